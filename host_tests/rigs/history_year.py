"""How large a year of many devices is in the gateway's history, and how fast it answers.

    PYTHONPATH=firmware:tools/shim .venv/bin/python -m host_tests.rigs.history_year [DEVICES]

Flow: made-up rows of a year -> history's file in a temporary folder -> a table.  Takes some three
minutes with 50 devices, and 1.5 GB of room.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.serve.history_file import FINE_S, HistoryFile
from tools.serve.intervals import FIVE_S, LEAST, MINUTE_S, MOST, REGISTERS, SUMS, Interval

_NOW_S = 1_800_000_000 // 86400 * 86400
_DAY_S = 86400
_DAYS = 365


def interval(start: int, seconds: int, wh: int, of: random.Random) -> Interval:
    """With as many digits as a house has."""
    watts = [of.randrange(-3_000_000, 9_000_000) for _ in range(3)]
    volts = [of.randrange(119_000, 121_000) for _ in range(2)]
    amps = [of.randrange(40_000) for _ in range(2)]
    return Interval(
        start,
        seconds,
        (seconds, *(each * seconds for each in (*watts, *volts, *amps)), of.randrange(seconds), 0),
        tuple(each - of.randrange(99_999) for each in watts),
        tuple(each + of.randrange(99_999) for each in watts),
        tuple(f"{wh + k}.{of.randrange(10**9):09}" for k in range(len(REGISTERS))),
    )


def fill(file: HistoryFile, count: int) -> None:
    """Day by day, each as a gateway that has run all the time has it now: a month of minutes, and
    fives before it."""
    of = random.Random(1)
    width = 2 + len(SUMS) + len(LEAST) + len(MOST) + len(REGISTERS)
    file.write((f"{k:016x}", f"meter {k}", interval(0, MINUTE_S, 0, of)) for k in range(count))
    connection = file._connection()
    connection.execute("DELETE FROM minutes")
    ids = [id for (id,) in connection.execute("SELECT id FROM devices ORDER BY key")]
    for day in range(_DAYS, 0, -1):
        begin = _NOW_S - day * _DAY_S
        table, seconds = ("minutes", MINUTE_S) if begin >= _NOW_S - FINE_S else ("fives", FIVE_S)
        with file._change() as change:
            for device in ids:
                rows = (
                    (device, each.start, *each.sums, *each.least, *each.most, *each.registers)
                    for each in (
                        interval(start, seconds, device * 10**6 + start // 3600, of)
                        for start in range(begin, begin + _DAY_S, seconds)
                    )
                )
                change.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", rows)


def told(what: str, work: Callable[[str], object], keys: list[str]) -> None:
    """Median and longest, of one device after the other."""
    took = []
    for key in keys:
        began = time.perf_counter()
        work(key)
        took.append((time.perf_counter() - began) * 1000)
    print(f"{what:42}{statistics.median(took):9.2f} ms{max(took):9.1f} ms at most")


def main(count: int) -> None:
    keys = [f"{k:016x}" for k in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.sqlite"
        file = HistoryFile(path, 1 << 40, None)
        fill(file, count)
        rows = [
            file._connection().execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("minutes", "fives")
        ]
        print(f"{count} devices, a year: {sum(rows):,} rows, {path.stat().st_size / 1e6:.0f} MB")
        for what, back_s, seconds, most in (
            ("the last hour", 3600, 60, count),
            ("the last day", _DAY_S, 300, count),
            ("31 days, thinned", 31 * _DAY_S, 10800, 5),
            ("the year, thinned", _DAYS * _DAY_S, _DAY_S, 5),
        ):
            told(
                what,
                lambda key, back_s=back_s, seconds=seconds: file.thinned(
                    key, _NOW_S - back_s, _NOW_S, seconds
                ),
                keys[:most],
            )
        half_s = _NOW_S - _DAYS // 2 * _DAY_S
        told("registers at an instant", lambda key: file.last_before(key, half_s), keys)
        told("1000 rows for CSV", lambda key: file.intervals(key, 0, _NOW_S, 1000), keys)
        of = random.Random(2)
        minutes = [interval(_NOW_S + 60 * k, MINUTE_S, 10**9, of) for k in range(60)]
        cpu = time.process_time()
        for_each = iter(minutes)
        told(
            "a minute of all devices written",
            lambda _: file.write(
                (key, "meter", each) for each in [next(for_each)] for key in keys
            ),
            keys[:60],
        )
        print(f"  of which CPU {(time.process_time() - cpu) / min(60, count) * 1000:.1f} ms")
        told("an hour of all devices joined", lambda _: file.tidy(_NOW_S + 3600), keys[:1])
        file.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 50)
