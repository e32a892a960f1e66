"""The load profile as CSV: every quarter once, in UTC and in local time, also where clocks are put
forward and back."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tools.common.errors import PortError
from tools.profile.cli import Row, Rows, fetch, lines, main

CHICAGO = ZoneInfo("America/Chicago")


class Console:
    port = "made_up"

    def __init__(self, rows: list[Row], back: bool = False) -> None:
        self.asked: list[str] = []
        self._rows, self._back = rows, back

    def ask(self, command: str, shape: type) -> Rows:
        self.asked.append(command)
        _, first, count = command.split()
        found = [row for row in self._rows if row[0] >= int(first)][: int(count)]
        end = found[-1][0] + 900 if len(found) == int(count) else self._rows[-1][0] + 900
        return Rows(found, 0 if self._back else end)


def quarters(begin: datetime, count: int) -> list[Row]:
    first = int(begin.timestamp())
    return [(first + 900 * k, 1000 * k + 5, k, 0) for k in range(count)]


def test_all_rows_come_in_pieces_of_48() -> None:
    rows = quarters(datetime(2027, 1, 1, tzinfo=UTC), 100)
    console: Any = Console(rows)
    assert fetch(console) == rows
    assert len(console.asked) == 4
    with pytest.raises(PortError, match="no end"):
        broken: Any = Console(rows, back=True)
        fetch(broken)


@pytest.mark.parametrize(
    ("day", "hours", "twice"),
    [((2027, 3, 14), 23, 0), ((2027, 11, 7), 25, 4), ((2027, 6, 1), 24, 0)],
)
def test_a_day_on_which_clocks_change(day: tuple[int, int, int], hours: int, twice: int) -> None:
    begin = datetime(*day, tzinfo=CHICAGO)
    end = (begin + timedelta(days=1)).timestamp()
    rows = quarters(begin, int(end - begin.timestamp()) // 900)
    found = list(lines(rows, CHICAGO))
    assert len(found) == 4 * hours
    local = [row[1] for row in found]
    # Told with its distance from UTC each is another, and the same instant as in UTC.
    assert len(set(local)) == len(local)
    for utc, there, *_ in found:
        assert datetime.fromisoformat(utc) == datetime.fromisoformat(there)
    walls = Counter(text[:16] for text in local)
    assert sum(n == 2 for n in walls.values()) == twice
    assert all(text.startswith(f"{begin:%Y-%m-%d}") for text in local)


def test_energies_flags_and_what_is_missing() -> None:
    first = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
    found = list(lines([(first, 1234567, 8, 5), (first + 2700, 0, 0, 0)], UTC))
    assert found == [
        (
            "2027-01-01T00:00:00Z",
            "2027-01-01T00:00:00+00:00",
            "1234.567",
            "0.008",
            "partial clock",
        ),
        ("2027-01-01T00:15:00Z", "2027-01-01T00:15:00+00:00", "", "", "missing"),
        ("2027-01-01T00:30:00Z", "2027-01-01T00:30:00+00:00", "", "", "missing"),
        ("2027-01-01T00:45:00Z", "2027-01-01T00:45:00+00:00", "0.000", "0.000", ""),
    ]


def test_a_zone_that_there_is_not(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    out = tmp_path / "a.csv"
    assert main(["--out", str(out), "--zone", "Mars/Olympus", "--port", "/dev/none"]) == 2
    assert "Mars/Olympus" in capsys.readouterr().err and not out.exists()
