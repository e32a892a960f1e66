"""A Cortex-M0, a Cortex-M33 and RV32 that run a single function's machine code, on `unicorn`.

Flow: native_runtime -> UNICORN.  As native_core.Core says it.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable, Sequence
from typing import Any

from host_tests.rigs import native_core
from host_tests.rigs.native_core import CoreFailed


def _package(part: str = "") -> Any:
    """Of the package, which is not everywhere."""
    return importlib.import_module(f"unicorn.{part}".rstrip("."))


class UnicornCore:
    """What ARM and RISC-V have in common; `watch` counts and sees every access to memory."""

    code: tuple[int, int] = (0x1000_0000, 0x2_0000)
    data: tuple[int, int] = (0x2000_0000, 0x8_0000)
    _ENTRIES_AT = 0x3000_0000
    _END = 0x3001_0000  # where a call returns to

    def __init__(self, machine: Any, returns: bytes, registers: dict[str, Any]) -> None:
        unicorn = _package()
        self._uc = machine
        self._registers = registers
        self.serve: native_core.Serve = lambda number, words: 0
        self.instructions = 0
        self._is_watching = False
        self.accesses: Callable[[int, int, bool], None] = lambda at, size, writes: None
        self.seen = 0
        machine.mem_map(self.code[0], self.code[1], unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        machine.mem_map(self.data[0], self.data[1], unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        machine.mem_map(self._ENTRIES_AT, 0x2_0000, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        machine.mem_write(self._ENTRIES_AT, returns * (16 * native_core.ENTRIES // len(returns)))
        machine.hook_add(
            unicorn.UC_HOOK_CODE,
            self._served,
            begin=self._ENTRIES_AT,
            end=self._ENTRIES_AT + 16 * native_core.ENTRIES - 1,
        )
        self._unicorn = unicorn

    def entry(self, number: int) -> int:
        return self._ENTRIES_AT + 16 * number | self._registers["bit"]

    def write(self, at: int, data: bytes) -> None:
        self._uc.mem_write(at, data)

    def read(self, at: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(at, size))

    def watch(self, accesses: Callable[[int, int, bool], None]) -> None:
        """From now on counts instructions and accesses (`seen`), and tells of each access where it
        is, how many bytes it has, and whether it writes."""
        self.accesses = accesses
        if self._is_watching:
            return
        self._is_watching = True
        of = self._unicorn
        self._uc.hook_add(of.UC_HOOK_CODE, self._counted, begin=self.code[0], end=sum(self.code))
        self._uc.hook_add(of.UC_HOOK_MEM_READ | of.UC_HOOK_MEM_WRITE, self._accessed)

    def _counted(self, uc: Any, at: int, size: int, user: Any) -> None:
        self.instructions += 1

    def _accessed(self, uc: Any, kind: int, at: int, size: int, value: int, user: Any) -> None:
        self.seen += 1
        self.accesses(at, size, kind == self._unicorn.UC_MEM_WRITE)

    def _served(self, uc: Any, at: int, size: int, user: Any) -> None:
        number = (at - self._ENTRIES_AT) // 16
        words = [uc.reg_read(register) for register in self._registers["words"]]
        result = self.serve(number, words)
        uc.reg_write(self._registers["words"][0], result & 0xFFFF_FFFF)

    def call(self, at: int, words: Sequence[int], stack: int) -> int:
        uc = self._uc
        registers = self._registers
        for register, word in zip(registers["words"], [*words, 0, 0, 0, 0]):
            uc.reg_write(register, word & 0xFFFF_FFFF)
        for k, register in enumerate(registers["kept"]):
            uc.reg_write(register, native_core.KEPT + k)
        uc.reg_write(registers["stack"], stack)
        uc.reg_write(registers["back"], self._END | registers["bit"])
        self.instructions = 0
        try:
            most_us = round(native_core.SECONDS * 1_000_000)
            uc.emu_start(at | registers["bit"], self._END, timeout=most_us)
        except self._unicorn.UcError as problem:
            raise CoreFailed(f"{problem} at {self._place()}") from None
        if uc.reg_read(registers["place"]) & ~1 != self._END:
            raise CoreFailed(f"not back after {native_core.SECONDS} s, at {self._place()}")
        if uc.reg_read(registers["stack"]) != stack:
            raise CoreFailed("the stack is not as it was")
        for k, register in enumerate(registers["kept"]):
            if uc.reg_read(register) != native_core.KEPT + k:
                raise CoreFailed(f"register {k} of those to be kept is not as it was")
        return uc.reg_read(registers["words"][0])

    def _place(self) -> str:
        return f"code + {self._uc.reg_read(self._registers['place']) - self.code[0]:#x}"

    def close(self) -> None:
        pass


def cortex(model: str) -> UnicornCore:
    unicorn, arm = _package(), _package("arm_const")
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_CORTEX_{model}"))
    return UnicornCore(
        machine,
        b"\x70\x47",  # bx lr
        {
            "words": [getattr(arm, f"UC_ARM_REG_R{k}") for k in range(4)],
            "kept": [getattr(arm, f"UC_ARM_REG_R{k}") for k in range(4, 12)],
            "stack": arm.UC_ARM_REG_SP,
            "back": arm.UC_ARM_REG_LR,
            "place": arm.UC_ARM_REG_PC,
            "bit": 1,
        },
    )


def rv32() -> UnicornCore:
    unicorn, riscv = _package(), _package("riscv_const")
    return UnicornCore(
        unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32),
        struct.pack("<I", 0x8067),  # ret
        {
            "words": [getattr(riscv, f"UC_RISCV_REG_A{k}") for k in range(4)],
            "kept": [getattr(riscv, f"UC_RISCV_REG_S{k}") for k in range(12)],
            "stack": riscv.UC_RISCV_REG_SP,
            "back": riscv.UC_RISCV_REG_RA,
            "place": riscv.UC_RISCV_REG_PC,
            "bit": 0,
        },
    )
