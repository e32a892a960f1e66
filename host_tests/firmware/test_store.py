"""The store: which slot is read, which is written, and that no fault of the file system reaches
the newest record or the program."""

import errno
import os
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from threewire.storage.record import CALIBRATION, REGISTERS, pack
from threewire.storage.store import Store, made_for
from tools import image  # puts the firmware on the path
from tools.common.boards import ROOT


def store(folder: Path, open_file: Callable[..., Any] = open, **options: Any) -> Store:
    return Store(os, open_file, str(folder / "registers"), "r", REGISTERS, **options)


def slots(folder: Path) -> list[Path]:
    return [folder / "registers" / f"r.{slot}" for slot in (0, 1)]


def record(sequence: int, value: int) -> bytes:
    """A record of one number below 256, by hand."""
    body = b"3wir\x01\x01" + struct.pack("<IH", sequence, 2) + bytes([1, value])
    return body + struct.pack("<I", zlib.crc32(body))


def put(folder: Path, *contents: bytes | None) -> Path:
    (folder / "registers").mkdir(exist_ok=True)
    for path, content in zip(slots(folder), contents):
        if content is not None:
            path.write_bytes(content)
    return folder


def test_a_new_board_has_nothing_and_no_problem(tmp_path: Path) -> None:
    assert store(tmp_path).load() == (None, 0, [])
    assert not (tmp_path / "registers").exists()


def test_the_slots_take_turns_and_the_newest_is_read(tmp_path: Path) -> None:
    one = store(tmp_path)
    one.load()
    for n in range(1, 8):
        assert one.save([n]) and one.problem == "" and one.sequence == n
        assert slots(tmp_path)[(n + 1) % 2].read_bytes() == record(n, n)
        if n > 1:
            assert slots(tmp_path)[n % 2].read_bytes() == record(n - 1, n - 1)
        assert store(tmp_path).load() == ([n], n, [])


@pytest.mark.parametrize("newest", [0, 1])
def test_a_save_goes_to_the_slot_of_the_older(tmp_path: Path, newest: int) -> None:
    records = [record(40, 4), record(40, 4)]
    records[newest] = record(41, 5)
    one = store(put(tmp_path, *records))
    assert one.load() == ([5], 41, [])
    assert one.save([6])
    assert slots(tmp_path)[newest].read_bytes() == record(41, 5)
    assert slots(tmp_path)[1 - newest].read_bytes() == record(42, 6)


def test_a_save_before_any_load_does_not_forget_what_there_is(tmp_path: Path) -> None:
    one = store(put(tmp_path, record(8, 1), record(9, 2)))
    assert one.save([3])
    assert slots(tmp_path)[0].read_bytes() == record(10, 3)
    assert slots(tmp_path)[1].read_bytes() == record(9, 2)


BAD = {
    "one bit": record(41, 5)[:-1] + bytes([record(41, 5)[-1] ^ 1]),
    "cut short": record(41, 5)[:11],
    "text": b"hello, this is no record at all",
    "erased": b"\xff" * 300,
    "constants": pack(CALIBRATION, 41, ("pico", b"{}")),
}


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("what", sorted(BAD))
def test_a_damaged_newest_is_told_and_the_older_serves(
    tmp_path: Path, what: str, slot: int
) -> None:
    records = [record(40, 4), record(40, 4)]
    records[slot] = BAD[what]
    one = store(put(tmp_path, *records))
    values, sequence, problems = one.load()
    assert (values, sequence) == ([4], 40)
    assert len(problems) == 1 and "\n" not in problems[0]
    assert problems[0].startswith(f"{slots(tmp_path)[slot]}: ")
    # The damaged one is what is written next.
    assert one.save([7])
    assert store(tmp_path).load() == ([7], 41, [])
    assert slots(tmp_path)[1 - slot].read_bytes() == record(40, 4)


def test_both_damaged_is_nothing_with_two_problems(tmp_path: Path) -> None:
    one = store(put(tmp_path, BAD["text"], BAD["one bit"]))
    values, sequence, problems = one.load()
    assert (values, sequence, len(problems)) == (None, 0, 2)
    assert one.save([1]) and one.save([2])
    assert store(tmp_path).load() == ([2], 2, [])


@pytest.mark.parametrize("slot", [0, 1])
def test_an_empty_slot_is_what_a_cut_first_save_leaves(tmp_path: Path, slot: int) -> None:
    records: list[bytes | None] = [None, None]
    records[slot] = b""
    assert store(put(tmp_path, *records)).load() == (None, 0, [])
    records[1 - slot] = record(1, 9)
    assert store(put(tmp_path, *records)).load() == ([9], 1, [])


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, record(1, 9))
    with slots(tmp_path)[1].open("wb") as file:
        file.truncate(1 << 40)
    values, _, problems = store(tmp_path).load()
    assert values == [9]
    assert problems == [f"{slots(tmp_path)[1]}: more than the 1024 bytes of a record"]


def test_a_folder_in_a_slots_place_is_told_and_put_aside(tmp_path: Path) -> None:
    put(tmp_path, record(3, 9))
    slots(tmp_path)[1].mkdir()
    (slots(tmp_path)[1] / "kept").write_bytes(b"somebody's")
    one = store(tmp_path)
    values, sequence, problems = one.load()
    assert (values, sequence, len(problems)) == ([9], 3, 1)
    assert one.save([10]) and one.save([11])
    assert store(tmp_path).load() == ([11], 5, [])
    assert (tmp_path / "registers" / "r.1.bad" / "kept").read_bytes() == b"somebody's"


def test_a_folder_is_put_aside_whatever_is_in_the_way(tmp_path: Path) -> None:
    put(tmp_path, record(3, 9))
    for name in ("r.1", "r.1.bad"):
        (tmp_path / "registers" / name / "full").mkdir(parents=True)
    (tmp_path / "registers" / "r.1.bad.bad").write_bytes(b"somebody's")
    one = store(tmp_path)
    assert one.load()[:2] == ([9], 3)
    assert one.save([10]) and one.save([11])
    assert store(tmp_path).load() == ([11], 5, [])
    assert (tmp_path / "registers" / "r.1.bad.bad.bad" / "full").is_dir()


def test_a_folder_that_cannot_be_put_aside_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, record(3, 9))
    slots(tmp_path)[1].mkdir()

    def refuse(*names: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "rename", refuse)
    one = store(tmp_path)
    assert one.load()[:2] == ([9], 3)
    assert not one.save([10])
    assert str(slots(tmp_path)[1]) in one.problem and "\n" not in one.problem
    assert store(tmp_path).load()[:2] == ([9], 3)


def test_a_file_in_the_folders_place_is_told_and_put_aside(tmp_path: Path) -> None:
    (tmp_path / "registers").write_bytes(b"somebody's")
    one = store(tmp_path)
    values, sequence, problems = one.load()
    assert (values, sequence, len(problems)) == (None, 0, 2)
    assert one.save([1])
    assert store(tmp_path).load() == ([1], 1, [])
    assert (tmp_path / "registers.bad").read_bytes() == b"somebody's"


LAST = 2**32 - 1


@pytest.mark.parametrize("slot", [0, 1])
def test_saves_go_on_behind_the_last_sequence_number(tmp_path: Path, slot: int) -> None:
    """Of records as 0.3.0 writes them, which gives up here."""
    records = [record(LAST - 1, 4), record(LAST - 1, 4)]
    records[slot] = record(LAST, 5)
    one = store(put(tmp_path, *records))
    assert one.load() == ([5], LAST, [])
    for n, value in enumerate((6, 7, 8)):
        assert one.save([value]) and one.sequence == n
        assert store(tmp_path).load() == ([value], n, [])
    assert {path.read_bytes() for path in slots(tmp_path)} == {record(1, 7), record(2, 8)}


@given(st.integers(0, LAST), st.integers(0, LAST) | st.sampled_from([0, 1, 2**31, LAST]))
def test_whatever_sequence_numbers_there_are_a_save_is_the_newest(
    tmp_path_factory: pytest.TempPathFactory, one: int, apart: int
) -> None:
    """Of any two, a number from 0 to 2**32 - 1 and another, the save that follows is found, and
    the one behind that."""
    folder = tmp_path_factory.mktemp("planted")
    put(folder, record(one, 1), record((one + apart) % 2**32, 2))
    kept = store(folder)
    values, sequence, problems = kept.load()
    # RFC 1982, 3.2: the one ahead is the greater where it is less than half a turn ahead.
    assert values == ([2] if 0 < apart < 2**31 else [1]) and problems == []
    for n in (1, 2, 3):
        assert kept.save([10 + n])
        assert store(folder).load() == ([10 + n], (sequence + n) % 2**32, [])


class Faults:
    """An open() that fails as told: in opening, reading, writing or closing."""

    def __init__(self) -> None:
        self.at = ""
        self.error: BaseException = OSError(errno.ENOSPC, "No space left on device")

    def open(self, path: str, mode: str) -> Any:
        if self.at == "open" or (self.at == "read" and "r" in mode):
            raise self.error
        return self._file(path, mode)

    @contextmanager
    def _file(self, path: str, mode: str) -> Iterator[Any]:
        # As littlefs does: what an interrupted write leaves is what there was before.
        if "r" in mode:
            with open(path, "rb") as file:
                yield file
            return
        whole = bytearray()
        yield _Writer(self, whole)
        if self.at == "close":
            raise self.error
        Path(path).write_bytes(whole)


class _Writer:
    def __init__(self, faults: Faults, whole: bytearray) -> None:
        self._faults, self._whole = faults, whole

    def write(self, data: bytes) -> int:
        if self._faults.at == "write":
            raise self._faults.error
        self._whole += data
        return len(data)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        MemoryError("memory allocation failed, allocating 1024 bytes"),
    ],
    ids=["full", "broken", "no memory"],
)
@pytest.mark.parametrize("at", ["open", "write", "close"])
def test_a_failed_save_is_told_and_costs_nothing_older(
    tmp_path: Path, at: str, error: BaseException
) -> None:
    faults = Faults()
    one = store(put(tmp_path, record(40, 4), record(41, 5)), faults.open)
    one.load()
    faults.at, faults.error = at, error
    for value in (6, 7):
        assert one.save([value]) is False
        assert str(error) in one.problem and str(slots(tmp_path)[0]) in one.problem
        assert store(tmp_path).load() == ([5], 41, [])
    faults.at = ""
    assert one.save([8]) is True and one.problem == ""
    assert store(tmp_path).load() == ([8], 42, [])
    assert slots(tmp_path)[1].read_bytes() == record(41, 5)


def test_values_that_do_not_fit_do_not_stop_the_meter(tmp_path: Path) -> None:
    one = store(put(tmp_path, record(40, 4)))
    assert one.save([-1]) is False and "never negative" in one.problem
    assert one.save([2**2000, 2**2000]) is False and "at most 472" in one.problem
    assert one.save([5]) and store(tmp_path).load() == ([5], 41, [])


def test_an_unreadable_slot_is_told(tmp_path: Path) -> None:
    faults = Faults()
    faults.at, faults.error = "read", OSError(errno.EIO, "Input/output error")
    values, _, problems = store(put(tmp_path, record(1, 1)), faults.open).load()
    assert values is None and len(problems) == 2 and "Input/output error" in problems[0]


@given(st.lists(st.sampled_from(["save", "fail", "damage older", "damage newer", "restart"])))
def test_any_history_keeps_the_newest_whole_record(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Against a model: the two last records, as a list; damage takes one off it."""
    folder = tmp_path_factory.mktemp("history")
    faults = Faults()
    one = store(folder, faults.open)
    one.load()
    whole: list[int] = []
    for step in steps:
        if step in ("save", "fail"):
            faults.at = "close" if step == "fail" else ""
            if one.save([one.sequence % 250 + 1]):
                whole = [*whole[-1:], one.sequence]
            continue
        if step.startswith("damage"):
            if len(whole) < 2:
                continue
            gone = whole.pop(step == "damage newer")
            for path in slots(folder):
                if path.read_bytes() == record(gone, (gone - 1) % 250 + 1):
                    path.write_bytes(b"gone")
        one = store(folder, faults.open)
        newest = whole[-1] if whole else 0
        assert one.load()[:2] == ([(newest - 1) % 250 + 1] if whole else None, newest)


# Constants


def constants(folder: Path, board: str) -> Store:
    name = str(folder / "calibration")
    return Store(os, open, name, "constants", CALIBRATION, made_for(board))


def test_constants_keep_the_set_before(tmp_path: Path) -> None:
    one = constants(tmp_path, "pico")
    old, new = b'{"v1_nv": 110000000}', b'{"v1_nv": 110000001}'
    assert one.save(("pico", old)) and one.save(("pico", new))
    assert constants(tmp_path, "pico").load() == (("pico", new), 2, [])
    assert [path.stat().st_size > len(old) for path in (tmp_path / "calibration").iterdir()] == [
        True,
        True,
    ]
    (tmp_path / "calibration" / "constants.1").write_bytes(b"")
    assert constants(tmp_path, "pico").load() == (("pico", old), 1, [])


def test_constants_of_another_board_are_refused(tmp_path: Path) -> None:
    mine = constants(tmp_path, "pico")
    assert mine.save(("pico", b"{}")) and mine.save(("pico2", b'{"v1_nv": 1}'))
    one = constants(tmp_path, "pico")
    assert one.load() == (("pico", b"{}"), 1, [])
    # They are whole, and nobody's fault.
    assert one.set_aside == [
        f"{tmp_path / 'calibration' / 'constants.1'}: made for board 'pico2', this is 'pico'"
    ]
    other = constants(tmp_path, "feather_rp2040")
    assert other.load() == (None, 0, []) and len(other.set_aside) == 2
    # Its own take the place of one of them; the other stays, and is not told twice.
    assert other.save(("feather_rp2040", b"{}"))
    assert other.load() == (("feather_rp2040", b"{}"), 1, []) and len(other.set_aside) == 1


def test_a_check_of_the_callers_own_passes_a_record_over(tmp_path: Path) -> None:
    def small(values: list[int]) -> str:
        if values[0] > 4:
            raise ValueError("too much")
        return f"made of {values[0]}"

    one = store(put(tmp_path, record(40, 4), record(41, 5)), check=small)
    assert one.load() == ("made of 4", 40, [f"{slots(tmp_path)[1]}: too much"])


@pytest.mark.parametrize(
    "problem",
    [TypeError("no\norder"), KeyError(1), MemoryError(), RecursionError(), OSError(5, "x")],
)
def test_whatever_a_check_raises_passes_the_record_over(
    tmp_path: Path, problem: Exception
) -> None:
    def broken(values: list[int]) -> list[int]:
        if values[0] > 4:
            raise problem
        return values

    one = store(put(tmp_path, record(40, 4), record(41, 5)), check=broken)
    values, sequence, problems = one.load()
    assert (values, sequence, len(problems)) == ([4], 40, 1)
    said = problems[0].removeprefix(f"{slots(tmp_path)[1]}: ")
    assert said in (repr(problem), str(problem)) and said and "\n" not in said
    # It is what is written next.
    assert one.save([3]) and store(tmp_path, check=broken).load() == ([3], 41, [])


# On the real file system of a board


_ON_LITTLEFS = """\
import sys
sys.path[:0] = [{firmware!r}, {tools!r}]
from flash_model import Chip, Supply
from vfs import VfsLfs2
from threewire.storage.record import REGISTERS
from threewire.storage.store import Store
with open({image!r}, "rb") as file:
    chip = Chip({blocks}, file.read())
fs = VfsLfs2(Supply(chip), progsize={prog_size})
def store(folder="/registers"):
    return Store(fs, fs.open, folder, "r", REGISTERS)
one = store()
print(one.load(), one.save([1]), one.save([2]))
size = 100000
while size > 1000:
    try:
        with fs.open("/fill%d" % chip.programmed, "wb") as file:
            file.write(bytes(size))
    except OSError as problem:
        code = problem.errno
        size //= 4
print(code)
print(min([one.save([k + 2**110] * 24) for k in range(3000)]), one.problem)
print(store().load() == ([2999 + 2**110] * 24, 3002, []))
other = store("/other")
print(other.save([1]), other.problem)
for kind in ("wb", None):
    fs = VfsLfs2(Supply(Chip({blocks}, open({image!r}, "rb").read())), progsize={prog_size})
    if kind:
        fs.open("/registers", "wb").close()
    else:
        fs.mkdir("/registers")
        fs.mkdir("/registers/r.0")
        fs.mkdir("/registers/r.0/full")
    one = store()
    print(one.load(), one.save([1]), one.save([2]), store().load())
    print(sorted(fs.ilistdir("/"))[-1][0])
"""


def test_a_full_littlefs_still_takes_saves(tmp_path: Path) -> None:
    """Slots that are there need no more room; a new folder does, and that is told."""
    geometry = image.Geometry(blocks=40, prog_size=256)
    flash = tmp_path / "flash.littlefs"
    flash.write_bytes(image.pack({"main.py": b"pass\n"}, geometry))
    script = tmp_path / "full.py"
    script.write_text(
        _ON_LITTLEFS.format(
            firmware=str(ROOT / "firmware"),
            tools=str(ROOT / "tools" / "power_cuts"),
            image=str(flash),
            blocks=geometry.blocks,
            prog_size=geometry.prog_size,
        )
    )
    done = subprocess.run(
        [*need_engine("micropython", "4M"), str(script)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "(None, 0, []) True True",
        "28",
        "True ",
        "True",
        "False /other/r.0: 28",
        "(None, 0, ['/registers/r.0: 20', '/registers/r.1: 20']) True True ([2], 2, [])",
        "registers.bad",
        "(None, 0, ['/registers/r.0: [Errno 21] EISDIR']) True True ([2], 2, [])",
        "registers",
    ]
