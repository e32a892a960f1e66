"""Code that runs from where it lies in the flash, on the emulated RP2040: littlefs on the host
says where its files are."""

import pytest

from host_tests.rigs.started_board import PowerOn, StartedBoards
from threewire.chip.chips import CHIPS
from tools import image
from tools.bench import chip as bench
from tools.common.boards import ROOT
from tools.emulate.board import FLASH, EmulatedBoard

pytestmark = [pytest.mark.rp2040, pytest.mark.usefixtures("uf2")]

XIP = 0x10000000
RAM = 0x20000000
FLASH_BYTES = 2 << 20
BLOCK = 4096
FILE = "threewire/flash_code.bin"
GEOMETRY = image.geometry(FLASH)
# Where the code lies of all methods of the parts and of what they hold; a code's first bytes.
CODES = """
import gc
gc.collect()
from machine import mem32
from uctypes import bytearray_at
import micropython
def function(): pass
@micropython.native
def native(): pass
kinds = mem32[id(function)], mem32[id(native)]
seen = set()
found = {}
def look(thing, depth):
    of = type(thing)
    if of in seen or not hasattr(of, "__module__"): return
    seen.add(of)
    for part in of.__dict__.values():
        at = id(part)
        if not at & 3 and 0x20000000 <= at < 0x20042000 and mem32[at] in kinds:
            code = mem32[at + 12]
            found[code] = bytearray_at(code, 6).hex()
    if depth:
        for part in list(thing.__dict__.values()):
            if isinstance(part, (tuple, list)):
                for one in part: look(one, depth - 1)
            else:
                look(part, depth - 1)
look(assembly, 4)
print(len(seen))
for at, begin in found.items(): print(at, begin)
"""


@pytest.fixture(scope="module")
def flashed(started_boards: StartedBoards) -> PowerOn:
    return started_boards.flashed()


def codes(board: EmulatedBoard) -> tuple[int, dict[int, bytes]]:
    classes, *found = board.execute(CODES, 30.0).split("\n")[:-1]
    return int(classes), {
        int(at): bytes.fromhex(begin) for at, begin in (line.split() for line in found)
    }


def test_it_lies_in_the_files(flashed: PowerOn) -> None:
    with flashed(bench.load()) as board:
        board.wait_reports(1, 20.0)
        board.interrupt()
        classes, found = codes(board)
        flash = board.file_system
        base = XIP + FLASH_BYTES - len(flash)
    assert classes > 25 and len(found) > 170
    used = set(image.in_use(flash, GEOMETRY))
    file = image.unpack(flash, GEOMETRY)[FILE]
    machine_code = 0
    for at, begin in found.items():
        if at >= RAM:
            continue  # what runs most, the LEDs', and what comes before code is followed
        machine_code += begin[1:4] == bytes(3)  # it begins with a small number
        place = at - base
        assert place // BLOCK in used
        assert flash[place : place + len(begin)] == begin
        assert begin in file
    assert machine_code > 20
    assert sum(at < RAM for at in found) > 0.9 * len(found)


@pytest.mark.slow  # 40 s: another board's start
def test_without_it_metering_is_the_same(flashed: PowerOn) -> None:
    """Where the flash is not what the firmware takes it for the code stays in RAM."""
    path = ROOT / "firmware" / "threewire" / "chip" / "chips.py"
    source = path.read_text()
    elsewhere = source.replace(
        f"{CHIPS['rp2040']['xip_base']:#x}", f"{CHIPS['rp2040']['xip_base'] + BLOCK:#x}"
    )
    assert elsewhere != source
    files = image.contents(bench.BOARD)
    files["threewire/chip/chips.mpy"] = image.compiled(path, elsewhere, bench.BOARD)
    lines = []
    free = []
    for board in (
        flashed(bench.load()),
        EmulatedBoard(image.pack(files, GEOMETRY), bench.BOARD, bench.load()),
    ):
        with board:
            lines.append(board.wait_reports(3, 20.0)[-1])
            free.append(bench.free_at_prompt(board))
            _, found = codes(board)
    assert all(at >= RAM for at in found)
    assert free[0] > free[1] + 40_000
    for of in lines:
        # They do not start at the same instant of the waves.
        watts = float(of["delivered_wh"]) * 3600 / of["t"]
        assert watts == pytest.approx(2 * bench.VOLTS * bench.AMPS, rel=0.03)
        assert of["watts"] == pytest.approx(2 * bench.VOLTS * bench.AMPS, rel=1e-3)
        assert not of["faults"]["active"] and not of["faults"]["lost_frames"]


@pytest.mark.slow  # 40 s: it starts twice
def test_after_new_files_it_is_not_run(flashed: PowerOn) -> None:
    """Whoever copies files at the prompt and goes on without a restart."""
    with flashed(bench.load()) as board:
        wh = float(board.wait_reports(2, 20.0)[-1]["delivered_wh"])
        board.interrupt()
        resets = len(board.resets)
        before = image.in_use(board.file_system, GEOMETRY)
        board.execute(
            f"import os\nos.rename({FILE!r}, 'old')\n"
            f"with open('old', 'rb') as old, open({FILE!r}, 'wb') as new:\n"
            "    while data := old.read(512): new.write(data)\n"
            "os.remove('old')\n",
            30.0,
        )
        # What was there is overwritten with what littlefs has use for next.
        free = set(before) - set(image.in_use(board.file_system, GEOMETRY))
        assert len(free) > 10
        board.execute(
            f"import rp2\nfor k in {sorted(free)}: rp2.Flash().writeblocks(k, bytes({BLOCK}))\n"
        )
        heard = board.heard
        board.type("run()\r")
        later = board.wait_reports(2, 20.0)[-1]
        assert b"Files of the firmware have changed" in board.said_since(heard)
        assert len(board.resets) == resets + 1
        assert float(later["delivered_wh"]) > wh and not later["faults"]["active"]
