"""What the RP2040's flash costs: its cache's misses, counted and charged from outside.

Flow: EmulatedBoard -> FLASH READS (each fetch and load while it is on) -> CACHE -> words that have
to come from the flash -> RUN, in which the core waits for them.  The emulator has no wait states.

On the chip the interpreter runs from flash, behind a cache of 16 kB in two ways and lines of 8
bytes (RP2040 datasheet, 2.6.3); code and data in RAM and in the boot ROM do not wait.  A miss
reads one word, as MicroPython's second boot stage sets the XIP interface up.  What is assumed, for
the datasheet does not say it: a line keeps which of its words it has, and of two lines the one
that was used longer ago goes.  What the core fetches behind a branch that it then takes is not
counted, nor is what else the bus waits for.
"""

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rp2040py.memory_map import FLASH_START_ADDRESS, RAM_START_ADDRESS

from tools.common.errors import BoardError
from tools.emulate.board import CLOCK_HZ, EmulatedBoard

WORD = 4
SETS = 1024
# CPU cycles that a missing word takes: a transfer of 20 clocks of the flash with four bits at a
# time, half the system's clock, and one of 64 at a quarter of it with one bit, and some ten around
# each.
QUAD_CYCLES = 50
SERIAL_CYCLES = 266
# So long it runs before it has waited for what was missing meanwhile: far less than a pause
# of the loop.
_STRETCH_S = 1e-4


class Cache:
    """Two ways, SETS sets, lines of two words; empty at first."""

    def __init__(self) -> None:
        # Words that leave an empty cache as this one is, when they are read in this order.
        self._held: npt.NDArray[np.uint32] = np.empty(0, np.uint32)

    def misses(self, addresses: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which of these reads, in their order and after all earlier ones, find their word missing
        and bring it in.  Addresses are bytes' below 2**32; what is read of a word does not matter.
        """
        read = np.asarray(addresses, np.uint32) // np.uint32(WORD)
        missing = np.zeros(len(read), np.bool_)
        # A word that was read just before is there.
        first = np.flatnonzero(np.diff(read, prepend=~read[:1]))
        words = np.concatenate((self._held, read[first]))
        if not len(words):
            return missing
        # Sets have nothing to do with each other.  In one of them every run of reads of a line
        # finds the line of the last run there, and of the one before that: no others.
        order = np.argsort((words // 2 % SETS).astype(np.uint16), kind="stable")
        words = words[order]
        lines = words // 2
        starts = np.diff(lines, prepend=~lines[:1]) != 0
        run = np.cumsum(starts) - 1
        lines = lines[starts]
        runs = np.arange(len(lines))
        # The run with which the line came that it reads.
        came = np.where(np.append([True, True], lines[2:] != lines[:-2])[: len(runs)], runs, 0)
        for parity in (0, 1):
            came[parity::2] = np.maximum.accumulate(came[parity::2])
        places = came[run] * 2 + words % 2
        # Where each place is read first: of assignments to one element the last one counts.
        when = np.full(2 * len(runs), len(words))
        when[places[::-1]] = np.arange(len(words))[::-1]
        found = order[when[places] == np.arange(len(words))] - len(self._held)
        missing[first[found[found >= 0]]] = True
        # The last two runs of each set, the older one first.
        last = np.append(np.diff(lines % SETS) != 0, True)
        older = np.append(last[1:], False) & ~last
        kept = np.flatnonzero(last | older)
        held = lines[kept, None] * np.uint32(2) + np.arange(2, dtype=np.uint32)
        self._held = held[when[came[kept, None] * 2 + np.arange(2)] < len(words)]
        return missing


class FlashReads:
    """Records what a chip reads through the cache, while it is entered.

    mcu       rp2040py's RP2040, native or not
    reads     addresses in order, of fetches and loads; that of an instruction's beginning has
              bit 0 set.  May be emptied at any time
    others    instructions that were not fetched from flash

    The bus's read functions stand in its class, and its core looks for them in the object first.
    """

    def __init__(self, mcu: Any) -> None:
        self._mcu = mcu
        self.reads = array("I")
        self.others = 0

    def __enter__(self) -> "FlashReads":
        mcu = self._mcu
        flash, ram = memoryview(mcu.flash).cast("B"), memoryview(mcu.sram).cast("B")
        flash16, ram16 = flash.cast("H"), ram.cast("H")
        flash32, ram32 = flash.cast("I"), ram.cast("I")
        registers = memoryview(mcu.core.registers)
        read8, read16, read32 = mcu.read_uint8, mcu.read_uint16, mcu.read_uint32
        flash_start, flash_end = FLASH_START_ADDRESS, FLASH_START_ADDRESS + len(flash)
        ram_start, ram_end = RAM_START_ADDRESS, RAM_START_ADDRESS + len(ram)
        seen = self.reads.append

        # The core counts on only when it has the instruction, so a fetch is where it stands, but
        # for bit 0 that an exception's vector brings.
        def read_uint16(address: int) -> int:
            if flash_start <= address < flash_end:
                seen(address | 1 if address ^ registers[15] < 2 else address)
                return flash16[address - flash_start >> 1]
            if address ^ registers[15] < 2:
                self.others += 1
            if ram_start <= address < ram_end:
                return ram16[address - ram_start >> 1]
            return read16(address)

        def read_uint32(address: int) -> int:
            if ram_start <= address < ram_end:
                return ram32[address - ram_start >> 2]
            if flash_start <= address < flash_end:
                seen(address)
                return flash32[address - flash_start >> 2]
            return read32(address)

        def read_uint8(address: int) -> int:
            if flash_start <= address < flash_end:
                seen(address & ~1)
                return flash[address - flash_start]
            if ram_start <= address < ram_end:
                return ram[address - ram_start]
            return read8(address)

        mcu.read_uint8, mcu.read_uint16, mcu.read_uint32 = read_uint8, read_uint16, read_uint32
        return self

    def __exit__(self, *_: object) -> None:
        mcu = self._mcu
        del mcu.read_uint8, mcu.read_uint16, mcu.read_uint32


@dataclass(frozen=True)
class Cost:
    """What the core has done in so many emulated seconds, where a missing word takes so many
    cycles."""

    seconds: float
    word_cycles: float
    cycles: int  # in which it was busy, besides waiting for words
    instructions: int
    flash_instructions: int
    missing_words: int

    @property
    def share(self) -> float:
        """Part of the time for which it is busy or waits for a word."""
        return (self.cycles + self.missing_words * self.word_cycles) / (self.seconds * CLOCK_HZ)


def run(board: EmulatedBoard, seconds: float, word_cycles: float, settling: float = 1.0) -> Cost:
    """Runs a board for so many seconds, in which the core waits for missing words, and before for
    those in which its cache fills and its loop settles, which are not counted.

    That the core is slower is seen by all that it does: a loop that has less time looks for work
    less often, reports later, or loses frames.  Takes some three times as long as a run without.
    Raises BoardError where nothing is seen, as with an emulator that no longer asks the object.
    """
    cache = Cache()
    cycles = instructions = flash_instructions = missing_words = 0
    start = board.seconds
    counted = start + settling
    end = counted + seconds
    with FlashReads(board.mcu) as seen:
        while board.seconds < end:
            counts = board.seconds >= counted
            before = board.cycles
            board.run(_STRETCH_S)
            reads = np.array(seen.reads)
            missing = int(np.count_nonzero(cache.misses(reads)))
            board.stall(missing * word_cycles / CLOCK_HZ)
            if counts:
                fetched = int(np.count_nonzero(reads & 1))
                cycles += board.cycles - before
                flash_instructions += fetched
                instructions += fetched + seen.others
                missing_words += missing
            else:
                start = board.seconds
            del seen.reads[:]
            seen.others = 0
    if not instructions:
        raise BoardError("the emulated core does not show what it fetches")
    return Cost(
        board.seconds - start, word_cycles, cycles, instructions, flash_instructions, missing_words
    )
