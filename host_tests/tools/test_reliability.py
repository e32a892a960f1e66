"""The table of reliability: its rows, its verdict, and its short form with all that is in it."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from host_tests.conftest import need_engine
from tools.common.errors import EngineFailed, Unavailable
from tools.reliability import cli as reliability
from tools.reliability import emulated_board
from tools.reliability import hostile_input as fuzz_console
from tools.reliability.cli import row, skipped
from tools.reliability.of_tests import OfTests, of_tests

KEYS = {"what", "tried", "lost", "pass"}


def with_parts(patch: pytest.MonkeyPatch, *parts: Any) -> None:
    patch.setattr(reliability, "PARTS", parts)


def test_nothing_lost_is_the_only_pass() -> None:
    assert row("a", 10, 0) == {
        **{"what": "a", "tried": 10, "lost": 0, "pass": True},
        "found": "",
    }
    assert not row("a", 10, 1)["pass"]
    assert not row("a", 0, 0)["pass"]
    # A flash that does not last has lost, though every save was there.
    worn = row("wear", 9, 0, "3 years", holds=False)
    assert not worn["pass"]
    assert reliability.kept([worn]) == [row("wear", 9, 1)]


def test_the_verdict_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "made" / "rows.json"
    with_parts(monkeypatch, lambda short: [row("one", 5, 0)], lambda short: [row("two", 7, 0)])
    assert reliability.main(["--output", str(output)]) == 0
    assert json.loads(output.read_text()) == [
        {"what": "one", "tried": 5, "lost": 0, "pass": True},
        {"what": "two", "tried": 7, "lost": 0, "pass": True},
    ]
    table = [line.split("|") for line in capsys.readouterr().out.splitlines()]
    assert [cell.strip() for cell in table[0]] == ["what", "tried", "lost", "pass", "found"]
    assert [cell.strip() for cell in table[2]] == ["one", "5", "0", "yes"]
    with_parts(monkeypatch, lambda short: [row("one", 5, 0)], lambda short: [row("two", 7, 3)])
    assert reliability.main(["--output", str(output)]) == 1
    assert "NO" in capsys.readouterr().out


def test_what_is_not_there_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rows.json"
    without = skipped("broker", "there is no mosquitto here")
    with_parts(monkeypatch, lambda short: [without, row("two", 7, 0, "longest step 1.0 ms")])
    assert reliability.main(["--output", str(output)]) == 0
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    told = [[cell.strip() for cell in line] for line in lines]
    assert told == [
        ["broker", "0", "0", "-", "skipped: there is no mosquitto here"],
        ["two", "7", "0", "yes", "longest step 1.0 ms"],
    ]
    assert [of["pass"] for of in json.loads(output.read_text())] == [None, True]
    with_parts(monkeypatch, lambda short: [without, row("two", 7, 1)])
    assert reliability.main(["--output", str(output)]) == 1


TESTS = """
import pytest

@pytest.mark.parametrize("step, back", [(0.5, 1), (7.26, {back})])
def test_it_is_tried(record_property, step, back):
    for name, value in (("lost_frames", {lost}), ("longest_step_ms", step), ("tried", 40)):
        record_property(name, value)
    record_property("recovered", 0)
    record_property("recovered", back)

def test_plain():
    assert {holds}

def test_wants_a_program():
    pytest.skip("there is no such program")
"""


@pytest.mark.parametrize(
    ("given", "names", "found"),
    [
        ({}, "tried", OfTests(80, 0, "longest step 7.3 ms, recovered", True, "")),
        ({"lost": 3}, "tried", OfTests(80, 6, "longest step 7.3 ms, recovered", True, "")),
        ({"back": 0}, "tried", OfTests(80, 0, "longest step 7.3 ms, NOT recovered", False, "")),
        ({}, "plain", OfTests(1, 0, "", True, "")),
        ({"holds": False}, "plain", OfTests(1, 1, "", True, "")),
        ({}, "plain or program", OfTests(1, 0, "", True, "there is no such program")),
        ({}, "program", OfTests(0, 0, "", True, "there is no such program")),
    ],
)
def test_what_tests_keep_is_read(
    tmp_path: Path, given: dict[str, object], names: str, found: OfTests
) -> None:
    path = tmp_path / "test_of_it.py"
    path.write_text(TESTS.format(**{"lost": 0, "back": 1, "holds": True, **given}))
    assert of_tests(str(path), names) == found


def test_a_part_that_cannot_be_tried_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def power(short: bool) -> list[reliability.Row]:
        raise EngineFailed("it ended")

    with_parts(monkeypatch, power, lambda short: [row("other", 1, 0)])
    assert reliability.rows(True) == [row("power", 0, 1), row("other", 1, 0)]
    assert capsys.readouterr().err == "error: it ended\n"


def test_without_an_emulated_board_there_are_no_rows_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(short: bool) -> list[reliability.Row]:
        raise Unavailable("rp2040", "there is no UF2", "put one there")

    monkeypatch.setattr(emulated_board, "rows", none)
    assert reliability.emulated(True) == []
    said = capsys.readouterr().err
    assert "there is no UF2" in said and said.count("\n") == 1
    monkeypatch.setattr(emulated_board, "rows", lambda short: [row("on the chip", 3, 0)])
    assert reliability.emulated(True) == [row("on the chip", 3, 0)]


def test_hostile_input_is_varied_and_repeats() -> None:
    data = b"preset delivered 999\r\n"
    made = {reliability.hostile(data, random.Random(k)) for k in range(200)}
    assert len(made) > 150 and data not in made - {data}
    assert reliability.hostile(data, random.Random(5)) == reliability.hostile(
        data, random.Random(5)
    )


def test_a_target_that_breaks_its_promise_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(data: bytes) -> None:
        assert len(data) % 2

    def right(data: bytes) -> None:
        assert isinstance(data, bytes)

    monkeypatch.setattr(fuzz_console, "fuzz_console", right)
    monkeypatch.setattr(fuzz_console, "TARGETS", (right, *[broken] * 4))
    console, stored = reliability.hostile_input(True)
    assert console["pass"] and not stored["pass"]
    assert 0 < stored["lost"] < stored["tried"]
    assert capsys.readouterr().err.count("broken(") == stored["lost"]


def test_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--long"], ["rows"]):
        with pytest.raises(SystemExit) as ended:
            reliability.main(options)
        assert ended.value.code == 2
    (tmp_path / "file").touch()
    capsys.readouterr()
    assert reliability.main(["--output", str(tmp_path / "file" / "rows.json")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1


def test_the_short_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts but the emulated board, whose trials have tests of their own."""
    need_engine("micropython")
    with_parts(monkeypatch, *[part for part in reliability.PARTS if part.__name__ != "emulated"])
    output = tmp_path / "rows.json"
    status = reliability.main(["--short", "--output", str(output)])
    found = json.loads(output.read_text())
    assert status == 0, found
    assert len(found) >= 15
    assert all(set(of) == KEYS and of["tried"] > 0 for of in found)
    told = " ".join(of["what"] for of in found)
    for what in ("cuts in a save", "soak", "hundred years", "hostile", "boards: flash"):
        assert what in told


@pytest.mark.slow
@pytest.mark.rp2040
def test_the_short_form_on_the_emulated_board(uf2: Path) -> None:
    found = reliability.emulated(True)
    assert [of["what"] for of in found] == [
        "emulated board: power cuts in saves",
        "emulated board: resets in saves",
    ]
    assert all(of["pass"] for of in found), found


@pytest.mark.slow
def test_all_of_it(tmp_path: Path) -> None:
    need_engine("micropython")
    output = tmp_path / "rows.json"
    assert reliability.main(["--output", str(output)]) == 0, output.read_text()
    assert "wear at 48 kW" in output.read_text()
