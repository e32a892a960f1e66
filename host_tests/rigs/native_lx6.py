"""An Xtensa LX6 with its windows, which runs a single function's machine code, on `labwired`.

Flow: native_runtime -> LX6.  As native_core.Core says it.
"""

from __future__ import annotations

import importlib
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

from host_tests.rigs import native_core
from host_tests.rigs.native_core import CoreFailed


class Lx6:
    """An ESP32 of `labwired`.

    A small program calls the function.  It and each entry of the runtime say what they want and
    turn in a loop until it has been done: `labwired` stops after a time, and at nothing else that
    it could go on from.  Code that it has run stays as it was, whatever is written there.
    """

    code: tuple[int, int] = (0x4008_1000, 0x1_F000)
    data: tuple[int, int] = (0x3FFB_1000, 0x2_0000)
    _PROGRAM = 0x4008_0000
    _ENTRIES_AT = 0x4008_0400
    # Words by which the program is talked with: what it wants, an entry's number (0 is no
    # function's) or that its call is over, and 0 when that has been done; four words, the
    # function, the result, a register and the stack as they were left, and clocks: of the whole
    # call, and of waiting in it.
    _TALK = 0x3FFB_0000
    _WORDS = 11
    _OVER = native_core.ENTRIES
    _PROCESSOR = 0x0004_0020  # PS: windows, user mode
    # It is looked at after so many clocks, twice as many each time.
    _LEAST, _MOST = 48, 12_000
    _HZ = 240_000_000
    _CLOCKS_A_SECOND = 500_000  # of this machine's

    def __init__(self) -> None:
        labwired = importlib.import_module("labwired")
        self.serve: native_core.Serve = lambda number, words: 0
        self.instructions = 0
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "core.elf"
            path.write_bytes(_elf(self._PROGRAM, self._program()))
            self._sim = labwired.Sim(path, chip="esp32")
        assert self._wanted() == self._OVER

    def _program(self) -> bytes:
        a = Assembler(self._PROGRAM)
        a.jump(self._PROGRAM + 0x40)
        a.seek(4)
        constant = {}
        for word in (self._PROCESSOR, sum(self.data), native_core.KEPT, self._TALK):
            constant[word] = a.at
            a.emit(word, 4)
        a.seek(0x40)
        a.constant(2, constant[self._PROCESSOR])
        a.emit(0x13E620)  # wsr.ps a2
        a.emit(0x002010)  # rsync
        a.constant(1, constant[sum(self.data)])
        a.constant(7, constant[native_core.KEPT])
        a.constant(2, constant[self._TALK])
        again = a.at
        a.move(3, self._OVER)
        a.ask(3, 2)
        for k in range(4):
            a.load(10 + k, 2, 1 + k)
        a.load(8, 2, 5)
        a.clock(6)
        a.emit(0x0008E0)  # callx8 a8
        a.clock(5)
        a.emit(0xC05560)  # sub a5, a5, a6
        for register, word in ((10, 6), (7, 7), (1, 8), (5, 9)):
            a.store(register, 2, word)
        a.jump(again)
        entered = a.at
        a.constant(9, constant[self._TALK])
        for k in range(4):
            a.store(2 + k, 9, 1 + k)
        a.clock(10)
        a.ask(8, 9)
        a.clock(11)
        a.emit(0xC0BBA0)  # sub a11, a11, a10
        a.load(10, 9, 10)
        a.emit(0x80BBA0)  # add a11, a11, a10
        a.store(11, 9, 10)
        a.load(2, 9, 6)
        a.emit(0x000090)  # retw
        for number in range(native_core.ENTRIES):
            a.seek(self._ENTRIES_AT - self._PROGRAM + 16 * number)
            a.emit(0x004136)  # entry a1, 32
            a.move(8, number)
            a.jump(entered)
        return bytes(a.code)

    def _wanted(self) -> int:
        """Runs until the program wants something; what."""
        clocks = self._LEAST
        spent = 0
        while spent < native_core.SECONDS * self._CLOCKS_A_SECOND:
            try:
                stop = self._sim.run_for(clocks / self._HZ)
            except RuntimeError as problem:
                raise CoreFailed(str(problem)) from None
            wanted = self._sim.read_u32(self._TALK)
            if wanted:
                return wanted
            if stop.kind != "reached":
                raise CoreFailed(f"it has stopped: {stop.kind}")
            spent += clocks
            clocks = min(2 * clocks, self._MOST)
        raise CoreFailed(f"not back after {spent} clocks")

    def entry(self, number: int) -> int:
        return self._ENTRIES_AT + 16 * number

    def write(self, at: int, data: bytes) -> None:
        # Word by word, which takes long: only what is another.
        there = self.read(at, len(data) + 3 & ~3)
        data += there[len(data) :]
        for k in range(0, len(data), 4):
            if there[k : k + 4] != data[k : k + 4]:
                self._sim.write_u32(at + k, int.from_bytes(data[k : k + 4], "little"))

    def read(self, at: int, size: int) -> bytes:
        return self._sim.read_memory(at, size)

    def call(self, at: int, words: Sequence[int], stack: int) -> int:
        sim = self._sim
        assert stack == sum(self.data)
        given = [*words, 0, 0, 0, 0][:4]
        self.write(self._TALK + 4, struct.pack("<5I", *(word & 0xFFFF_FFFF for word in given), at))
        sim.write_u32(self._TALK + 40, 0)
        sim.write_u32(self._TALK, 0)
        while (wanted := self._wanted()) != self._OVER:
            asked = struct.unpack("<4I", self.read(self._TALK + 4, 16))
            sim.write_u32(self._TALK + 24, self.serve(wanted, list(asked)) & 0xFFFF_FFFF)
            sim.write_u32(self._TALK, 0)
        talk = struct.unpack(f"<{self._WORDS}I", self.read(self._TALK, 4 * self._WORDS))
        result, kept, end, clocks, waited = talk[6:]
        # Each instruction takes a clock there.
        self.instructions = clocks - waited
        if (kept, end) != (native_core.KEPT, stack):
            raise CoreFailed("the caller's registers are not as they were")
        return result

    def close(self) -> None:
        self._sim.close()


class Assembler:
    """The few instructions that the program has, as the Xtensa ISA summary encodes them."""

    def __init__(self, begin: int) -> None:
        self._begin = begin
        self.code = bytearray()

    @property
    def at(self) -> int:
        return self._begin + len(self.code)

    def emit(self, word: int, size: int = 3) -> None:
        self.code += word.to_bytes(size, "little")

    def seek(self, offset: int) -> None:
        assert len(self.code) <= offset
        self.code += bytes(offset - len(self.code))

    def constant(self, register: int, at: int) -> None:
        self.emit((at - (self.at + 3 & ~3) >> 2 & 0xFFFF) << 8 | register << 4 | 1)  # l32r

    def move(self, register: int, value: int) -> None:
        self.emit(value << 16 | 0xA002 | register << 4)  # movi

    def load(self, register: int, base: int, word: int) -> None:
        self.emit(word << 12 | base << 8 | register << 4 | 8, 2)  # l32i.n

    def store(self, register: int, base: int, word: int) -> None:
        self.emit(word << 12 | base << 8 | register << 4 | 9, 2)  # s32i.n

    def jump(self, to: int) -> None:
        self.emit((to - self.at - 4 & 0x3FFFF) << 6 | 6)  # j

    def clock(self, register: int) -> None:
        self.emit(0x03EA00 | register << 4)  # rsr.ccount

    def ask(self, register: int, base: int) -> None:
        """Says what is wanted, and waits for it; the register is 0 then."""
        self.store(register, base, 0)
        wait = self.at
        self.load(register, base, 0)
        self.again(register, wait)

    def again(self, register: int, at: int) -> None:
        """There, unless the register is 0."""
        self.emit((at - self.at - 4 & 0xFFF) << 12 | register << 8 | 0x56)  # bnez


def _elf(at: int, program: bytes) -> bytes:
    """An executable of one piece, whose first instruction is its first."""
    head = struct.pack("<2HIIIIIHHHHHH", 2, 94, 1, at, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    piece = struct.pack("<8I", 1, 84, at, at, len(program), len(program), 7, 4)
    return b"\x7fELF\x01\x01\x01".ljust(16, b"\0") + head + piece + program
