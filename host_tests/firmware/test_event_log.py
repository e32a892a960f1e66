"""The event log: entries that are JSON whatever is logged, bounded files, numbers that go on, and
files that are damaged, torn, full or cut off from power."""

import errno
import json
import os
import string
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from threewire.storage.event_log import EventLog
from tools.common.boards import ROOT  # puts the firmware on the path

FILE_BYTES = 2048
KEYS = {"n", "t", "what", "old", "new"}


def log(folder: Path, open_file: Callable[..., Any] = open) -> EventLog:
    return EventLog(os, open_file, str(folder / "log"), json)


def files(folder: Path) -> list[Path]:
    return [folder / "log" / f"log.{k}" for k in (0, 1)]


def put(folder: Path, *contents: bytes | None) -> Path:
    (folder / "log").mkdir(exist_ok=True)
    for path, content in zip(files(folder), contents):
        if content is not None:
            path.write_bytes(content)
    return folder


def strict(line: str) -> dict[str, Any]:
    """The entry, which must be one line of JSON in printable ASCII."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert set(line) <= set(string.printable) - set("\r\n\t\x0b\x0c")
    entry = json.loads(line, parse_constant=refuse)
    assert set(entry) == KEYS
    return entry


def entries(one: EventLog) -> list[dict[str, Any]]:
    return [strict(line) for line in one.lines()]


def numbers(one: EventLog) -> list[int]:
    return [entry["n"] for entry in entries(one)]


def test_a_new_board_has_no_entries_and_no_folder(tmp_path: Path) -> None:
    one = log(tmp_path)
    assert list(one.lines()) == [] and one.traceback() == ""
    assert not (tmp_path / "log").exists()


def test_what_an_entry_says(tmp_path: Path) -> None:
    one = log(tmp_path)
    assert one.append(3600, "preset delivered", "1.5", "2.5") is True
    assert one.append("3600.250", "clear faults", [0, 3], None) is True
    assert one.append(3601, "restart") is True
    assert entries(one) == [
        {"n": 1, "t": 3600, "what": "preset delivered", "old": "1.5", "new": "2.5"},
        {"n": 2, "t": "3600.250", "what": "clear faults", "old": [0, 3], "new": None},
        {"n": 3, "t": 3601, "what": "restart", "old": None, "new": None},
    ]
    # The file is JSON too, a line each.
    assert [json.loads(line)["n"] for line in files(tmp_path)[0].read_text().splitlines()] == [
        1,
        2,
        3,
    ]


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.text(max_size=30),
        st.text('"\\\x00\x1f\x7f\n\r\t\u00e9\u2028\U0001f600', max_size=30),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(deadline=None)
@given(st.text(max_size=10), json_values, json_values)
def test_any_value_is_told_exactly(
    tmp_path_factory: pytest.TempPathFactory, what: str, old: Any, new: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    one = log(folder)
    assert one.append(5, what, old, new)
    ((line),) = list(log(folder).lines())
    entry = strict(line)
    for value, found in ((what, entry["what"]), (old, entry["old"]), (new, entry["new"])):
        if len(json.dumps(value)) <= 64:
            assert found == value


@pytest.mark.parametrize(
    "value",
    [
        "x" * 100_000,
        '"' * 1000,
        "\\" * 1000,
        "\x00" * 1000,
        "\U0001f600" * 1000,
        10**1000,
        list(range(1000)),
        {"v1_nv": 110_000_000, "phase1_by_ma": [[k * 1000, -k] for k in range(80)]},
    ],
    ids=["long", "quotes", "backslashes", "zeros", "smileys", "digits", "list", "constants"],
)
def test_a_huge_value_is_cut(tmp_path: Path, value: Any) -> None:
    one = log(tmp_path)
    assert one.append(value, value, value, value)
    assert one.append(1, "next")
    first, second = entries(one)
    assert second["what"] == "next"
    for key, most in (("t", 24), ("what", 64), ("old", 400), ("new", 400)):
        kept = first[key]
        assert isinstance(kept, str) and kept.endswith("...")
        # The beginning of its JSON, and no less of it than fits.
        assert json.dumps(value).startswith(kept[:-3])
        assert most / 2 < len(json.dumps(kept)) <= most


def test_what_json_cannot_tell_is_refused(tmp_path: Path) -> None:
    one = log(tmp_path)
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (object(), b"bytes", {1: object()}, nested):
        assert one.append(1, "what", value) is False
    assert list(one.lines()) == [] and one.append(1, "what")
    assert numbers(one) == [1]


def test_the_files_take_turns(tmp_path: Path) -> None:
    """Of the last entries as many stay as one file holds at least, and the files stay small."""
    one = log(tmp_path)
    for n in range(1, 400):
        assert one.append(n, "save", "x" * (n * 37 % 300), n)
        sizes = [path.stat().st_size if path.exists() else 0 for path in files(tmp_path)]
        assert max(sizes) <= FILE_BYTES
        found = numbers(one)
        assert found == list(range(found[0], n + 1))
        if found[0] > 1:
            # The older file is a full one.
            assert max(sizes) > FILE_BYTES - 450 and len(found) >= 5


def test_the_largest_entries_fit_twice(tmp_path: Path) -> None:
    one = log(tmp_path)
    for n in range(1, 20):
        assert one.append("9" * 99, "w" * 99, "o" * 999, "n" * 999)
        kept = 4 - n % 2 if n > 2 else n
        assert numbers(one) == list(range(1, n + 1))[-kept:]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 350), max_size=40), st.sets(st.integers(0, 40)))
def test_restarts_make_no_difference(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], restarts: set[int]
) -> None:
    found = []
    for name, starts in (("once", set()), ("often", restarts)):
        folder = tmp_path_factory.mktemp(name)
        one = log(folder)
        for n, length in enumerate(lengths):
            if n in starts:
                one = log(folder)
            assert one.append(n, "x" * (length % 50), "y" * length)
        found.append(list(log(folder).lines()))
        assert list(one.lines()) == found[-1]
        assert [strict(line)["t"] for line in found[-1]] == list(range(len(lengths)))[
            len(lengths) - len(found[-1]) :
        ]
    assert found[0] == found[1]


# Damage


def filled(folder: Path, count: int = 30) -> list[str]:
    """A log with both files in use; returns its lines."""
    one = log(folder)
    for n in range(count):
        assert one.append(n, "filled", "x" * 80, n)
    lines = list(one.lines())
    assert all(path.exists() for path in files(folder)) and len(lines) > 15
    return lines


@pytest.mark.parametrize("which", [0, 1])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, which: int) -> None:
    lines = filled(tmp_path)
    path = files(tmp_path)[which]
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    other = files(tmp_path)[1 - which].read_bytes()
    gone = json.loads(last)["n"]
    for cut in [*range(1, len(last), 7), len(last)]:
        path.write_bytes(whole[:-cut])
        files(tmp_path)[1 - which].write_bytes(other)
        one = log(tmp_path)
        expected = [line for line in lines if strict(line)["n"] != gone or cut == 1]
        assert list(one.lines()) == expected
        assert one.append(99, "after")
        found = entries(log(tmp_path))
        assert found[-1]["what"] == "after"
        assert found[-1]["n"] == strict(expected[-1])["n"] + 1


damages = st.lists(
    st.one_of(
        st.tuples(st.just("bit"), st.integers(0, 10**6), st.integers(0, 7)),
        st.tuples(st.just("cut"), st.integers(0, 10**6), st.just(0)),
        st.tuples(st.just("insert"), st.integers(0, 10**6), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("erased"), st.integers(0, 10**6), st.integers(1, 600)),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)
@given(damages, damages)
def test_damaged_files_give_what_is_whole(
    tmp_path_factory: pytest.TempPathFactory, one_of: list[Any], other: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    lines = filled(folder)
    for path, damage in zip(files(folder), (one_of, other)):
        data = bytearray(path.read_bytes())
        for kind, at, much in damage:
            at %= max(1, len(data))
            if kind == "bit" and data:
                data[at] ^= 1 << much
            elif kind == "cut":
                del data[at:]
            elif kind == "insert":
                data[at:at] = much
            elif kind == "erased":
                data[at : at + much] = b"\xff" * len(data[at : at + much])
        path.write_bytes(data)
    one = log(folder)
    found = list(one.lines())
    assert [line for line in lines if line in found] == found
    assert one.append(1, "after") and one.append(2, "again")
    after = entries(log(folder))[-2:]
    assert [entry["what"] for entry in after] == ["after", "again"]
    assert after[1]["n"] == after[0]["n"] + 1
    assert all(path.stat().st_size <= FILE_BYTES + 200 for path in files(folder))


@settings(deadline=None)
@given(st.binary(max_size=3000), st.binary(max_size=3000), st.binary(max_size=1500))
def test_any_files_do_no_harm(
    tmp_path_factory: pytest.TempPathFactory, one_of: bytes, other: bytes, trace: bytes
) -> None:
    folder = put(tmp_path_factory.mktemp("any"), one_of, other)
    (folder / "log" / "traceback").write_bytes(trace)
    one = log(folder)
    assert list(one.lines()) == []
    assert len(one.traceback()) <= 1024
    assert one.append(1, "after") and numbers(log(folder)) == [1]


@given(st.binary(max_size=200))
def test_a_line_of_somebody_elses_with_a_right_crc(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    line = body + b',"crc":"%08x"}\n' % zlib.crc32(body)
    one = log(put(tmp_path_factory.mktemp("else"), line))
    list(one.lines())
    assert one.append(1, "after") and list(one.lines())[-1].endswith('"old":null,"new":null}')


def test_a_line_with_a_right_crc_that_is_no_json_is_passed_over(tmp_path: Path) -> None:
    body = b'{"n":7,"t":1,"what":"one","'
    one = log(put(tmp_path, body + b',"crc":"%08x"}\n' % zlib.crc32(body)))
    assert list(one.lines()) == []
    assert one.append(1, "after") and numbers(one) == [1]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    lines = filled(tmp_path)
    for path in files(tmp_path):
        with path.open("r+b") as file:
            file.truncate(1 << 40)
    (tmp_path / "log" / "traceback").touch()
    os.truncate(tmp_path / "log" / "traceback", 1 << 40)
    one = log(tmp_path)
    assert list(one.lines()) == lines
    assert len(one.traceback()) == 1024
    assert one.append(1, "after")
    assert sorted(path.stat().st_size > FILE_BYTES for path in files(tmp_path)) == [False, True]


def test_folders_in_the_places_of_files_are_put_aside(tmp_path: Path) -> None:
    put(tmp_path)
    for path in (*files(tmp_path), tmp_path / "log" / "traceback"):
        path.mkdir()
    one = log(tmp_path)
    assert list(one.lines()) == [] and one.traceback() == ""
    assert one.append(1, "what") and one.keep_traceback("text")
    again = log(tmp_path)
    assert numbers(again) == [1] and again.traceback() == "text"


def test_a_file_in_the_folders_place_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"somebody's")
    one = log(tmp_path)
    assert list(one.lines()) == [] and one.traceback() == ""
    assert one.append(1, "what") and one.keep_traceback("text")
    assert numbers(log(tmp_path)) == [1]
    assert (tmp_path / "log.bad").read_bytes() == b"somebody's"


@pytest.mark.parametrize("what", [b"{[]:1}", b"{1:2,null:3}", b"[" * 900 + b"]" * 900])
@pytest.mark.parametrize("engine", ["cpython", "micropython", "i386"])
def test_what_only_micropython_reads_does_not_stop_the_log(
    tmp_path: Path, engine: str, what: bytes
) -> None:
    body = b'{"n":7,"t":1,"what":' + what + b',"old":null,"new":null'
    put(tmp_path, body + b',"crc":"%08x"}\n' % zlib.crc32(body))
    path = [str(ROOT / "firmware")]
    if engine == "cpython":
        path.append(str(ROOT / "tools" / "shim"))
    script = tmp_path / "log.py"
    script.write_text(
        f"import json, os, sys\nsys.path[:0] = {path!r}\n"
        "from threewire.storage.event_log import EventLog\n"
        f"one = EventLog(os, open, {str(tmp_path / 'log')!r}, json)\n"
        "print(one.append(1, 'after'), json.loads(list(one.lines())[-1])['what'])\n"
    )
    done = subprocess.run(
        [*need_engine(engine), str(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True after\n"


# Failures


class Faulty:
    """An open() that fails as told: in opening, reading, writing (after a part) or closing."""

    def __init__(self, error: BaseException) -> None:
        self.at = ""
        self.error = error

    def open(self, path: str, mode: str) -> Any:
        if self.at == "open" or (self.at == "read" and "r" in mode):
            raise self.error
        return self._use(open(path, mode), "r" in mode)

    @contextmanager
    def _use(self, file: Any, reads: bool) -> Iterator[Any]:
        with file:
            yield file if reads else _Writer(self, file)
            if self.at == "close" and not reads:
                raise self.error


class _Writer:
    def __init__(self, faulty: Faulty, file: Any) -> None:
        self._faulty, self._file = faulty, file

    def write(self, data: bytes) -> int:
        if self._faulty.at == "write":
            self._file.write(data[: len(data) // 2])
            raise self._faulty.error
        return self._file.write(data)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "?"), MemoryError()],
    ids=["full", "broken", "no memory"],
)
@pytest.mark.parametrize("at", ["open", "write", "close"])
def test_a_failed_append_is_told_and_the_next_one_works(
    tmp_path: Path, at: str, error: BaseException
) -> None:
    """Even on a file system that keeps half a line."""
    faulty = Faulty(error)
    one = log(tmp_path, faulty.open)
    for n in range(1, 13):
        assert one.append(n, "right")
    faulty.at = at
    for _ in range(3):
        assert one.append(0, "failing") is False
        assert one.keep_traceback("text") is False
    faulty.at = ""
    assert one.append(13, "right")
    found = entries(one)
    assert [entry["t"] for entry in found if entry["what"] == "right"] == list(range(1, 14))
    told = [entry["n"] for entry in found]
    assert told == sorted(set(told))
    if at != "close":  # then it has been written all the same
        assert told == list(range(1, 14))


def test_no_memory_to_read_with_is_no_reason_to_overwrite(tmp_path: Path) -> None:
    lines = filled(tmp_path)
    faulty = Faulty(MemoryError())
    one = log(tmp_path, faulty.open)
    faulty.at = "read"
    assert one.append(1, "blind") is False
    faulty.at = ""
    assert list(one.lines()) == lines
    assert one.append(1, "seeing") and list(one.lines())[-2] == lines[-1]


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_cannot_be_read_any_more_is_replaced(tmp_path: Path, which: int) -> None:
    lines = filled(tmp_path)
    bad = files(tmp_path)[which]
    left = [line for line in lines if line[:-1] not in bad.read_text()]

    broken = {str(bad)}

    def open_file(path: str, mode: str) -> Any:
        if mode == "wb":
            broken.discard(path)
        if path in broken:
            raise OSError(errno.EIO, "Input/output error")
        return open(path, mode)

    one = log(tmp_path, open_file)
    assert list(one.lines()) == left
    last = strict(left[-1])["n"]
    for n in range(1, 30):
        assert one.append(n, "after", "x" * 80)
    assert not broken
    assert numbers(log(tmp_path))[-1] == last + 29


# Tracebacks


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 50_000])
def test_the_end_of_a_traceback_is_kept(tmp_path: Path, size: int) -> None:
    text = "".join(chr(32 + k * 7 % 95) if k % 40 else "\n" for k in range(size))
    one = log(tmp_path)
    assert one.keep_traceback("what was there before" * 20)
    assert one.keep_traceback(text) is True
    assert log(tmp_path).traceback() == text[-1024:]
    assert (tmp_path / "log" / "traceback").stat().st_size <= 1024


@pytest.mark.parametrize("lead", range(4))
def test_a_traceback_is_not_cut_within_a_character(tmp_path: Path, lead: int) -> None:
    one = log(tmp_path)
    for character in ("\u00e9", "\u20ac", "\U0001f600"):
        text = character * 1000 + "x" * lead
        assert one.keep_traceback(text)
        found = one.traceback()
        assert text.endswith(found) and 1024 - 4 < len(found.encode()) <= 1024


def test_a_damaged_traceback_is_shown_as_far_as_it_can_be(tmp_path: Path) -> None:
    one = log(tmp_path)
    assert one.keep_traceback("Traceback\nValueError: \u00e9")
    path = tmp_path / "log" / "traceback"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert log(tmp_path).traceback() == "Traceback\nValueError: ??"


# On MicroPython, its littlefs and the chips' words

_HEAD = """\
import json, sys
sys.path[:0] = [{firmware!r}, {tools!r}]
from flash_model import TEARS, Chip, Supply
from vfs import VfsLfs2
from threewire.storage.event_log import EventLog
from threewire.storage import event_log
chip = Chip(24)
VfsLfs2.mkfs(Supply(chip), progsize={prog_size})
def log(supply):
    fs = VfsLfs2(supply, progsize={prog_size})
    return EventLog(fs, fs.open, "/log", json)
"""

_SAMPLES = [
    "",
    '"\\\x00\n\r\t\x1f\x7f',
    "\u00e9\u20ac\U0001f600",
    "x" * 1000,
    2**70,
    -5,
    None,
    [1, "a"],
]

_SAYS = """\
one = log(Supply(chip))
for k, value in enumerate({samples!r}):
    assert one.append(k, value, value, value)
assert one.keep_traceback("\U0001f600" * 300)
deep = []
for k in range(10000):
    deep = [deep]
assert not one.append(1, "deep", deep)
one = log(Supply(chip))
for line in one.lines():
    print(line)
print(json.dumps(one.traceback()))
"""


def on_engine(engine: str, tmp_path: Path, program: str, prog_size: int = 256) -> list[str]:
    script = tmp_path / "event_log.py"
    head = _HEAD.format(
        firmware=str(ROOT / "firmware"),
        tools=str(ROOT / "tools" / "power_cuts"),
        prog_size=prog_size,
    )
    script.write_text(head + program, encoding="utf-8")
    done = subprocess.run(
        [*need_engine(engine, "2M"), str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.splitlines()


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_on_micropython(engine: str, tmp_path: Path) -> None:
    told = on_engine(engine, tmp_path, _SAYS.format(samples=_SAMPLES))
    here = log(tmp_path)
    for k, value in enumerate(_SAMPLES):
        assert here.append(k, value, value, value)
    assert [strict(line) for line in told[:-1]] == entries(here)
    assert json.loads(told[-1]) == "\U0001f600" * 256


# Each step is done by a board that has just started: first without a cut, then cut in each
# operation, in each way.  What is found then must be what was there before, or after; and the
# next entry must get its place.
_CUTS = """\
{change}
def step(one, n):
    if n % 9 == 5:
        return one.keep_traceback(str(n) * 200)
    return one.append(n, "step", "x" * (n * 61 % 330), n)
def state(one):
    return list(one.lines()), one.traceback()
tried = steps = erased = 0
lost = []
while steps < {steps}:
    chip.mark()
    supply = Supply(chip)
    one = log(supply)
    before = state(one)
    first = supply.operations
    assert step(one, steps)
    after = state(one)
    end = supply.operations
    for cut in range(first, end):
        for tear in range(len(TEARS)):
            chip.back()
            supply = Supply(chip, cut, tear)
            done = step(log(supply), steps)
            tried += 1
            try:
                one = log(Supply(chip))
            except OSError:
                lost.append("unmountable")
                continue
            found = state(one)
            if found != after and (done or found != before):
                lost.append("entries")
            elif not one.append(1, "next") or '"next"' not in list(one.lines())[-1]:
                lost.append("next")
    chip.back()
    assert step(log(Supply(chip)), steps)
    steps += 1
lines = list(log(Supply(chip)).lines())
print(tried, len(lost), sorted(set(lost)), lines[0][5:].split(",")[0], lines[-1][5:].split(",")[0])
"""

# Makes room before it writes.
_CARELESS = """\
import threewire.storage.event_log as module
create = module.create
def careless(fs, open_file, folder, path, mode):
    if mode == "wb":
        try:
            fs.remove(path)
        except OSError:
            pass
    return create(fs, open_file, folder, path, mode)
module.create = careless
"""


@pytest.mark.parametrize("prog_size", [256, 32])
def test_a_cut_at_any_time_costs_no_entry(prog_size: int, tmp_path: Path) -> None:
    (line,) = on_engine("micropython", tmp_path, _CUTS.format(change="", steps=45), prog_size)
    tried, lost, kinds, first, last = line.split()
    assert (lost, kinds) == ("0", "[]")
    assert int(tried) > 500
    # Forty entries of 60 to 390 bytes: the files have begun anew more than twice.
    assert int(last) == 40 and int(first) > 20


def test_a_loss_would_be_seen(tmp_path: Path) -> None:
    (line,) = on_engine("micropython", tmp_path, _CUTS.format(change=_CARELESS, steps=25))
    assert "entries" in line
