"""Hostile files: those that are not changed are good, readers keep their word with any other, and
what a command does wrong is counted."""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from tools.common.errors import InputError
from tools.common.ranges import Range
from tools.recordings import ranges
from tools.recordings.open import open_recording
from tools.reliability import hostile_files
from tools.reliability.file_seeds import FORMATS
from tools.reliability.mutation import Shaper, declared, ends, hostile, mutated

# A .mat is unpacked when it is opened: what becomes of it then does not matter.
NO_RECORDINGS = ("mat", "points", "lines", "calibration")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / next(iter(files))


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_not_changed_is_good(tmp_path: Path, kind: str) -> None:
    """Of all variants of a format; else mutations of them would try nothing."""
    for seed in range(1 if kind == "mat" else 8):  # each takes a process of its own
        path = write(tmp_path, FORMATS[kind](Shaper(random.Random(seed), 0)))
        hostile_files.read(path, kind)


def test_the_declared_ranges_are_what_is_tried() -> None:
    names = [name for name, found in vars(ranges).items() if isinstance(found, Range)]
    assert len(names) > 15 and [getattr(ranges, name) for name in names] == declared()
    tried = ends()
    for some in declared():
        assert some.least in tried and some.most in tried
        beyond = [value for value in tried if value > some.most]
        assert beyond and min(beyond) <= some.most + 1 + abs(some.most) * 1e-9


def test_shapes_vary_and_repeat() -> None:
    for kind in FORMATS:
        if kind in ("hdf5", "mat", "tdms"):
            continue  # these write the time of day, or a mark of the process
        made = {tuple(FORMATS[kind](Shaper(random.Random(k))).items()) for k in range(60)}
        assert len(made) > 10, kind
        again = FORMATS[kind](Shaper(random.Random(7)))
        assert again == FORMATS[kind](Shaper(random.Random(7)))
    data = b"preset delivered 999\r\n"
    assert len({hostile(data, random.Random(k)) for k in range(200)}) > 150


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from([k for k in FORMATS if k != "mat"]))
def test_readers_keep_their_word(seed: int, kind: str) -> None:
    """Data within their ranges, or InputError: one line that is short and names the file."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), mutated(FORMATS[kind](Shaper(draw)), draw))
        try:
            hostile_files.read(path, kind)
        except InputError as problem:
            line = str(problem)
            assert len(line.splitlines()) == 1 and len(line) < 2100 and folder in line


@pytest.mark.parametrize("change", ["cut", "garbage", "other", "longer", "gone", "folder"])
@pytest.mark.parametrize("kind", [k for k in FORMATS if k not in NO_RECORDINGS])
def test_files_that_change_while_they_are_read(tmp_path: Path, kind: str, change: str) -> None:
    """Between the look at their head and the reading of their samples: data or one line."""
    path = write(tmp_path, FORMATS[kind](Shaper(random.Random(3), 0)))
    opened = open_recording(path)
    draw = random.Random(9)
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        if change == "cut":
            os.truncate(file, len(data) // 2)
        elif change == "garbage":
            file.write_bytes(draw.randbytes(len(data)))
        elif change == "longer":
            file.write_bytes(data + data)
        else:
            file.unlink()
            if change == "folder":
                file.mkdir()
    if change == "other":
        other = next(k for k in ("npz", "csv") if k != kind)
        for data in FORMATS[other](Shaper(random.Random(5), 0)).values():
            path.write_bytes(data)
    told = ""
    try:
        for _ in opened.blocks():
            pass
    except InputError as problem:
        told = str(problem)
    assert str(tmp_path) in told if change in ("gone", "folder") else len(told.splitlines()) < 2


@pytest.mark.parametrize("command", hostile_files.COMMANDS)
def test_commands_keep_their_word(command: str) -> None:
    need_engine("micropython")
    tried, broken = hostile_files.tries(command, 8, 1000)
    assert (tried, broken) == (8, [])


def test_bytes_of_a_fuzzer() -> None:
    seeds = hostile_files.seeds()
    assert len(seeds) == 4 * len(FORMATS)
    kinds = sorted(FORMATS)
    for data in (b"", b"\0", *seeds[::2]):
        if data and kinds[data[0]] != "mat":
            hostile_files.one_input(data)
            hostile_files.one_input(data[: len(data) // 2])


def say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr)


def crashing(path: Path, engine: str) -> int:
    raise KeyError("wh")


def in_two_lines(path: Path, engine: str) -> int:
    say("error: one", "two")
    return 2


def at_length(path: Path, engine: str) -> int:
    say("error: " + "x" * 3000)
    return 2


def without_a_word(path: Path, engine: str) -> int:
    return 2


def engine_gone(path: Path, engine: str) -> int:
    say("error: engine micropython ended with status 1")
    return 1


def waiting(path: Path, engine: str) -> int:
    try:
        time.sleep(30)
    except Exception:
        say("error: taken for one of its own")
    return 2


def leaving(path: Path, engine: str) -> int:
    sys.exit(2)


def good(path: Path, engine: str) -> int:
    say("note: one", "warning: two", "error: three")
    return 2


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (crashing, "KeyError"),
        (in_two_lines, "said 'two'"),
        (at_length, "a line of 3007 characters"),
        (without_a_word, "status 2 with"),
        (engine_gone, "status 1 with"),
        (waiting, "took more than"),
        (leaving, "ended by itself"),
        (good, None),
    ],
)
def test_a_broken_promise_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run, says: str | None
) -> None:
    monkeypatch.setattr(hostile_files, "_MOST_SECONDS", 1)
    found = hostile_files.broken_promise(run, tmp_path / "a.npz", "cpython")
    assert (found is None) if says is None else (found and says in found)


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its table, its status, and the seed by which a loss is had again."""
    monkeypatch.setattr(hostile_files, "bound_memory", lambda: None)
    commands = {"good": (good, ("csv",)), "bad": (crashing, ("csv",))}
    monkeypatch.setattr(hostile_files, "COMMANDS", commands)
    assert hostile_files.main(["--count", "3", "good"]) == 0
    assert capsys.readouterr().out == "good: 3 tried, 0 lost\n"
    assert hostile_files.main(["--count", "3", "--seed", "5", "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == '{"good": {"tried": 3, "lost": 0}, "bad": {"tried": 3, "lost": 3}}\n'
    for seed in (5, 6, 7):
        assert f"bad, --seed {seed} --count 1: Traceback" in said.err
    with pytest.raises(SystemExit) as ended:
        hostile_files.main(["nothing"])
    assert ended.value.code == 2


@pytest.mark.slow
@pytest.mark.parametrize("command", hostile_files.COMMANDS)
def test_a_thousand_of_each(command: str) -> None:
    need_engine("micropython")
    _, broken = hostile_files.tries(command, 1000, 50_000)
    assert broken == []
