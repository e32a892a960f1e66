"""The flash's cache, against reads whose misses are known, and what is seen of a core's reads."""

import random
import struct
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from rp2040py.rp2040 import RP2040

from tools import image
from tools.common import boards
from tools.emulate import xip_cache
from tools.emulate.board import EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.emulate.xip_cache import Cache, Cost, FlashReads
from tools.front_end.waves import split_phase

FLASH, RAM = 0x10000000, 0x20000000
SIZE = 16384
WAY = SIZE // 2


def missed(cache: Cache, *offsets: int) -> list[int]:
    return np.flatnonzero(cache.misses([FLASH + offset for offset in offsets])).tolist()


def test_one_word_after_another() -> None:
    cache = Cache()
    # Two instructions a word, and each word of a line comes by itself.
    assert missed(cache, *range(0, 32, 2)) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert missed(cache, 0, 3, 28, 31, 32) == [4]
    assert missed(cache, 40) == [0] and missed(cache, 44) == [0] and missed(cache, 40, 44) == []
    assert missed(cache) == []


def test_all_of_it_fits_and_no_more() -> None:
    words = range(0, SIZE, 4)
    cache = Cache()
    assert len(missed(cache, *words)) == SIZE // 4
    assert missed(cache, *words) == []
    assert missed(cache, *reversed(words)) == []
    # A line more, lap by lap: three lines of two words now share the two places of their set.
    longer = range(0, SIZE + 8, 4)
    missed(cache, *longer)
    assert [4 * k for k in missed(cache, *longer)] == [0, 4, WAY, WAY + 4, SIZE, SIZE + 4]


def test_lines_of_one_set() -> None:
    two = [0, WAY] * 5
    assert missed(Cache(), *two) == [0, 1]
    three = [0, WAY, 2 * WAY] * 4
    assert missed(Cache(), *three) == list(range(12))
    # The one that was used last stays,
    cache = Cache()
    assert missed(cache, 0, 4, WAY, 0, 2 * WAY, 0, 4, WAY) == [0, 1, 2, 4, 7]
    assert missed(cache, 0, 2 * WAY, 4) == [1]
    # and what goes takes both of its words along.
    assert missed(cache, WAY, 2 * WAY, 0, 4) == [0, 1, 2, 3]
    # Neighbours in other sets are none of its business.
    assert missed(Cache(), 0, 8, WAY + 16, 3 * WAY + 24, 0, 8) == [0, 1, 2, 3]


def test_as_a_cache_that_goes_step_by_step() -> None:
    draw = random.Random(7)
    spots = [draw.randrange(3 * SIZE) for _ in range(60)]
    reads = []
    while len(reads) < 30_000:
        at = draw.choice(spots)
        reads += range(at, at + draw.randrange(2, 400), 2)
    sets: list[list[tuple[int, set[int]]]] = [[] for _ in range(SIZE // 16)]
    expected = []
    for k, read in enumerate(reads):
        line, ways = read // 8, sets[read // 8 % len(sets)]
        entry = next((entry for entry in ways if entry[0] == line), (line, set()))
        if read // 4 not in entry[1]:
            expected.append(k)
            entry[1].add(read // 4)
        ways[:] = [other for other in ways if other[0] != line][-1:] + [entry]
    assert 1000 < len(expected) < 20_000
    assert missed(Cache(), *reads) == expected
    # In pieces it is the same.
    cache, pieces, at = Cache(), [], 0
    while at < len(reads):
        end = at + draw.choice((1, 2, 3, 50, 1000))
        pieces += [at + k for k in missed(cache, *reads[at:end])]
        at = end
    assert pieces == expected


# Each instruction's place, halfwords and what it reads.
PROGRAM = {
    0x00: (0x4807,),  # ldr r0, [pc, #28]: 0x20
    0x02: (0x7841,),  # ldrb r1, [r0, #1]: 0x29
    0x04: (0x8842,),  # ldrh r2, [r0, #2]: 0x2a
    0x06: (0xF000, 0xF803),  # bl 0x10
    0x10: (0x4B04,),  # ldr r3, [pc, #16]: 0x24
    0x12: (0x4718,),  # bx r3
    0x20: (0x0028, 0x1000),
    0x24: (0x0101, 0x2000),
    0x28: (0xB2A1, 0xD4C3),
}
IN_RAM = (0x46C0, 0x8804, 0xE7FE)  # nop; ldrh r4, [r0, #0]: 0x28; b to itself


def test_what_is_seen_of_a_core() -> None:
    mcu = RP2040()
    for at, halves in PROGRAM.items():
        mcu.flash[at : at + 2 * len(halves)] = struct.pack(f"<{len(halves)}H", *halves)
    mcu.sram[0x100:0x106] = struct.pack("<3H", *IN_RAM)
    core = mcu.core
    core.pc = FLASH
    with FlashReads(mcu) as seen:
        for _ in range(5):
            core.execute_instruction()
        # What is done in parts is seen in parts.
        first = seen.reads[:]
        del seen.reads[:]
        for _ in range(4):
            core.execute_instruction()
    begin = 1  # of an instruction
    assert [read - FLASH for read in first] == [
        *(0x00 + begin, 0x20, 0x02 + begin, 0x28, 0x04 + begin, 0x2A),
        *(0x06 + begin, 0x08, 0x10 + begin, 0x24),
    ]
    assert [read - FLASH for read in seen.reads] == [0x12 + begin, 0x28]
    assert seen.others == 3
    # And the core got what it read.
    assert [core.registers[k] for k in range(5)] == [
        *(FLASH + 0x28, 0xB2, 0xD4C3, RAM + 0x101, 0xB2A1)
    ]
    assert core.pc == RAM + 0x104
    # After it nothing is seen.
    core.pc = FLASH
    core.execute_instruction()
    assert len(seen.reads) == 2 and seen.others == 3


def test_an_interrupt_handler_counts_too() -> None:
    """Its address has bit 0 set, as vectors have."""
    mcu = RP2040()
    mcu.flash[:8] = struct.pack("<4H", 0x46C0, 0x46C0, 0x46C0, 0xE7FE)
    core = mcu.core
    core.pc = FLASH + 1
    with FlashReads(mcu) as seen:
        for _ in range(3):
            core.execute_instruction()
    assert seen.reads.tolist() == [FLASH + 1, FLASH + 3, FLASH + 5]


def test_the_share() -> None:
    assert Cost(2.0, 0, 50_000_000, 1, 1, 500_000).share == pytest.approx(0.2)
    assert Cost(2.0, 50, 50_000_000, 1, 1, 500_000).share == pytest.approx(0.3)


class _Board:
    """A core that never rests, and its time."""

    def __init__(self, mcu: Any) -> None:
        self.mcu = mcu
        self.seconds = 0.0

    @property
    def cycles(self) -> int:
        return self.mcu.core.cycles

    def run(self, seconds: float) -> None:
        end = self.cycles + seconds * 125e6
        before = self.cycles
        while self.cycles < end:
            self.mcu.core.execute_instruction()
        self.seconds += (self.cycles - before) / 125e6

    def stall(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_core_that_waits() -> None:
    """Three reads of lines that share a set, from a loop in RAM: three misses in 8 cycles."""
    mcu = RP2040()
    # ldrb r4, [r0]; ldrb r4, [r1]; ldrb r4, [r2]; b back
    mcu.sram[:8] = struct.pack("<4H", 0x7804, 0x780C, 0x7814, 0xE7FB)
    core = mcu.core
    for k in range(3):
        core.registers[k] = FLASH + k * WAY
    core.pc = RAM
    cost = xip_cache.run(cast(EmulatedBoard, _Board(mcu)), 0.02, 100, 0.001)
    # The rest of a lap more or less, and what a stretch takes.
    assert cost.seconds == pytest.approx(0.02, abs=0.01)
    laps = cost.seconds * 125e6 / (8 + 3 * 100)
    assert cost.missing_words == pytest.approx(3 * laps, rel=1e-3)
    assert cost.cycles == pytest.approx(8 * laps, rel=1e-3)
    assert cost.instructions == pytest.approx(4 * laps, rel=1e-3)
    assert cost.flash_instructions == 0
    assert cost.share == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.rp2040
def test_a_board_that_meters(uf2: Path) -> None:
    """Most of what it executes comes from flash, and each missing word costs time."""
    load = Periodic(split_phase((10.0, 10.0), hertz=60, volts=120.0), 0.05, boards.DEFAULT)
    flash = image.build(boards.DEFAULT, "pico")
    with EmulatedBoard(flash, boards.DEFAULT, load, uf2) as board:
        board.wait_reports(1, 20.0)
        costs = [xip_cache.run(board, 0.5, word_cycles, 0.1) for word_cycles in (0, 50)]
        # And it meters on.
        board.wait_reports(1, 3.0)
    for cost in costs:
        assert cost.seconds == pytest.approx(0.5, abs=0.01)
        assert 0.5 < cost.flash_instructions / cost.instructions < 1
        assert cost.instructions < cost.cycles
        assert 1e-3 < cost.missing_words / cost.flash_instructions < 0.2
    assert costs[1].share > costs[0].share + 0.02
