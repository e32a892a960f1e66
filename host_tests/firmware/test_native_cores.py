"""The firmware's native, viper and assembler functions as the machine code that a board gets, on
processor cores: a Cortex-M0, a Cortex-M33, RV32 and an LX6.

Every call is held to what this Python makes of it, word for word; see rigs/native_held.py.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest

from host_tests.conftest import engine_missing
from host_tests.rigs import native_code, native_core
from host_tests.rigs.native_core import CoreFailed
from host_tests.rigs.native_cores import CORES
from host_tests.rigs.native_held import Differs, Held
from host_tests.rigs.native_jobs import CALLED
from host_tests.rigs.native_lx6 import Assembler, Lx6
from host_tests.rigs.native_meter import RUNS, by_machine, methods
from threewire.chip.chips import CHIPS
from threewire.metering import kernel, words_viper
from tools.common import boards
from tools.common.boards import ROOT
from tools.common.errors import Unavailable

ARCHITECTURES = tuple(native_code.architectures())
ON_UNICORN = tuple(arch for arch, (_, package, _) in CORES.items() if package == "unicorn")


def need(arch: str) -> None:
    """Ends the test where the core's emulator is not installed: not every platform has a wheel."""
    package = CORES[arch][1]
    if find_spec(package) is None:
        reason = f"needs the package {package}, of which not every platform has a wheel"
        engine_missing(Unavailable(CORES[arch][2], reason, "make setup GROUP=test"))


@contextmanager
def held(module: str, arch: str, most: int = 1 << 30) -> Iterator[Held]:
    need(arch)
    globals = CALLED[module][1] if module in CALLED else None
    with closing(Held(module, arch, globals, most)) as of:
        yield of


def runs(module: str, arch: str) -> bool:
    """Whether a chip of this architecture can have the module: assembler is Thumb's."""
    return native_code.architectures()[arch] or not module.endswith("_thumb")


def each(modules: Any, architectures: Any = ARCHITECTURES) -> Any:
    return pytest.mark.parametrize(
        ("arch", "module"),
        [(arch, module) for arch in architectures for module in modules if runs(module, arch)],
    )


# ---- which there are


def test_every_chip_of_a_board_has_a_core() -> None:
    named = {CHIPS[boards.module(name).CHIP]["mpy_arch"] for name in boards.names()}
    assert named <= set(ARCHITECTURES) <= set(CORES)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_function_in_machine_code_is_called(arch: str) -> None:
    """By what mpy-cross compiles: the tests below call all of a module's."""
    found = {module for module, _ in native_code.functions(arch)}
    called = {module for module in (*CALLED, *RUNS) if runs(module, arch)}
    assert found == called, "rigs/native_jobs.py has a job for each module with such functions"


def test_what_is_compiled_is_what_is_marked() -> None:
    found = {f"{module}.{name}" for module, name in native_code.functions("armv6m")}
    marked = {
        f"{module}.{line.split('def ')[1].split('(')[0]}"
        for module, path in native_code.sources().items()
        for before, line in itertools.pairwise(path.read_text().splitlines())
        if before.strip().startswith("@micropython.")
    }
    assert {name.split(".")[0] + "." + name.split(".")[-1] for name in found} == marked


# ---- what they do


@each(CALLED)
def test_functions_do_as_written(arch: str, module: str) -> None:
    with held(module, arch) as of:
        CALLED[module][0](of, Random(arch))
        left = set(methods(of)) if module in RUNS else set()
        assert all(count for name, count in of.calls.items() if name not in left), of.calls


@cache
def as_written(run: Callable[[], list[Any]]) -> list[Any]:
    return run()


@each(RUNS)
def test_a_board_does_alike_with_them(arch: str, module: str) -> None:
    with held(module, arch) as of:
        for in_turns in (True, False):
            assert by_machine(of, in_turns) == as_written(RUNS[module])
            assert not in_turns or all(of.calls[name] > 1 for name in methods(of)), of.calls


@each(CALLED, ON_UNICORN)
def test_accesses_are_aligned_and_within_what_is_given(arch: str, module: str) -> None:
    """A Cortex-M0 and an LX6 fault where they are not aligned; what is read beside a buffer is
    something else on each board."""
    wrong = []
    with held(module, arch, most=5) as of:
        core: Any = of.core

        def seen(at: int, size: int, writes: bool) -> None:
            if at % size or not of.runtime.allows(at, size, writes):
                wrong.append((hex(at), size, writes))

        core.watch(seen)
        CALLED[module][0](of, Random(module))
        assert core.accesses is seen and core.seen > 0
    assert not wrong


# ---- that the rig would tell


# A module, and in it something that is not as it should be: what nobody would see at once.
FAULTS = [
    ("metering/kernel_viper", "py2 = y * p2 + py2", "py2 = y * p1 + py2"),
    ("metering/kernel_viper", "if z >= fire:", "if z > fire:"),
    ("metering/kernel_viper", "s3 = x * sin + s3", "s3 = x * cos + s3"),
    ("metering/look_viper", "st[_LEFT] = left", "st[_LEFT] = left - 1"),
    (
        "metering/words_viper",
        "lo &= 0xFFFFFF\n            k = 4",
        "lo &= 0x7FFFFF\n            k = 4",
    ),
    ("metering/words_viper", "passed = second\n", "passed = second - 1\n"),
    ("metering/window_viper", "if carry or flip:", "if flip:"),
    ("metering/reactive_viper", "rest |= f[to] | f[to + 1]", "rest |= f[to + 1]"),
    ("metering/fill", "code = 4095", "code = 4094"),
    (
        "chip/timer_sampler",
        "_TICKS_MASK\n        lost += left_out",
        "0x1FFFFFFF\n        lost += left_out",
    ),
    ("chip/raster", "told[_VALUES] + 4 >> 3", "told[_VALUES] + 3 >> 3"),
    ("operation/telemetry", "if n == 9:", "if n == 8:"),
]
THUMB_FAULTS = [
    ("metering/kernel_thumb", "beq(SEES)", "bne(SEES)"),
    ("metering/words_thumb", "asr(r5, r2, 16)", "lsr(r5, r2, 16)"),
    ("metering/look_thumb", "ble(ON)", "blt(ON)"),
    ("metering/window_thumb", "asr(", "lsr("),
]


def of_each_core() -> Iterator[tuple[str, str, str, str]]:
    """One fault after the other, on one core after the other."""
    thumb = [arch for arch, has_thumb in native_code.architectures().items() if has_thumb]
    for faults, architectures in ((FAULTS, ARCHITECTURES), (THUMB_FAULTS, thumb)):
        for k, fault in enumerate(faults):
            yield architectures[k % len(architectures)], *fault


@pytest.mark.parametrize(("arch", "module", "right", "wrong"), list(of_each_core()))
def test_a_fault_in_the_source_is_noticed(
    arch: str, module: str, right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = native_code.sources()[module].read_text()
    assert right in text
    source = tmp_path / "module.py"
    source.write_text(text.replace(right, wrong))
    compiled = native_code.compiled(source, arch)
    monkeypatch.setattr(native_code, "module", lambda *_: compiled)
    with held(module, arch) as of, pytest.raises((Differs, CoreFailed)):
        CALLED[module][0](of, Random(arch))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_differs_is_noticed(arch: str) -> None:
    def other(e: Any, which: int) -> None:
        words_viper.sum_up(e, which)
        e[29] ^= 1

    with held("metering/words_viper", arch) as of:
        numbers = array("H", bytes(range(60)))
        of.function("sum_up")(numbers, 3)
        with pytest.raises(Differs, match=r"sum_up: argument 0 differs at 1 places.*\[29\]"):
            of.function("sum_up", other)(numbers, 3)
        with pytest.raises(Differs, match="gives 0 instead of 1"):
            of.function("is_noise", lambda *_: 1)(16384, 1 << 30, 1, 1)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_is_written_beside_a_buffer_is_noticed(arch: str) -> None:
    with held("metering/fill", arch) as of:
        of.runtime.call("_mark", bytearray(20), 0, 20)
        with pytest.raises(CoreFailed, match="written beside a buffer of 20 bytes"):
            of.runtime.call("_mark", bytearray(20), 0, 21)
        with pytest.raises(CoreFailed, match="written to bytes"):
            of.runtime.call("_mark", bytes(20), 0, 20)


@pytest.mark.parametrize("arch", ON_UNICORN)
def test_accesses_beside_a_buffer_and_not_aligned_are_noticed(arch: str) -> None:
    with held("metering/kernel", arch) as of:
        wrong = []
        core: Any = of.core

        def seen(at: int, size: int, writes: bool) -> None:
            if at % size or not of.runtime.allows(at, size, writes):
                wrong.append((at, size, writes))

        core.watch(seen)
        st = kernel.state(range(4096))
        of.runtime.call("table_entry", st, 4095)
        assert not wrong
        of.runtime.call("table_entry", st, 4096)
        assert [access[1:] for access in wrong] == [(2, False)]
        wrong.clear()
        words = array("i", bytes(400))
        of.runtime.call("table_entry", of.runtime.address(words) + 2, 0)
        assert [access[1:] for access in wrong] == [(4, False)]


# Nothing but a function that spoils a register, and one without an end.
SPOILS = {
    "armv6m": bytes.fromhex("01247047"),  # movs r4, #1; bx lr
    "armv7emsp": bytes.fromhex("01247047"),
    "rv32imc": bytes.fromhex("85448280"),  # li s1, 1; ret
}
ENDLESS = {
    "armv6m": bytes.fromhex("fee7"),
    "armv7emsp": bytes.fromhex("fee7"),
    "rv32imc": bytes.fromhex("01a0"),
    "xtensawin": bytes.fromhex("36410006ffff"),  # entry a1, 32; j to itself
}


@pytest.mark.parametrize("arch", SPOILS)
def test_a_register_that_is_spoilt_is_noticed(arch: str) -> None:
    need(arch)
    core = CORES[arch][0]()
    core.write(core.code[0], SPOILS[arch])
    with pytest.raises(CoreFailed, match="is not as it was"):
        core.call(core.code[0], [], sum(core.data))


@pytest.mark.parametrize("arch", ENDLESS)
def test_code_without_an_end_is_noticed(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    need(arch)
    monkeypatch.setattr(native_core, "SECONDS", 0.05)
    with closing(CORES[arch][0]()) as core:
        core.write(core.code[0], ENDLESS[arch])
        with pytest.raises(CoreFailed, match="not back after"):
            core.call(core.code[0], [], sum(core.data))


# ---- how long they are


def test_an_instruction_of_the_lx6_is_counted_once() -> None:
    need("xtensawin")
    a = Assembler(Lx6.code[0])
    a.emit(0x004136)  # entry a1, 32
    again = a.at
    a.emit(0x824330)  # mull a4, a3, a3
    a.emit(0xFFC222)  # addi a2, a2, -1
    a.again(2, again)
    a.emit(0x000090)  # retw
    spent = []
    with closing(Lx6()) as core:
        core.write(core.code[0], bytes(a.code))
        for turns in (10, 110):
            core.call(core.code[0], [turns], sum(core.data))
            spent.append(core.instructions)
    assert spent[1] - spent[0] == 3 * 100


def per_frame(arch: str, module: str, function: str, table: list[int] | None) -> float:
    """Instructions a frame, of two calls of which one has 200 frames more."""
    spent = []
    with held(module, arch) as of:
        if arch in ON_UNICORN:
            core: Any = of.core
            core.watch(lambda at, size, writes: None)
        for frames in (100, 300):
            st = kernel.state(table)
            for word, slot in ((kernel.Y1, 1), (kernel.X2, 2), (kernel.Y2, 3), (kernel.Z, 1)):
                st[word] = slot
            st[kernel.STRIDE] = 4
            st[kernel.ARM], st[kernel.FIRE] = 0, 4096
            st[kernel.PHASORS] = kernel.WORDS
            st[kernel.WORDS + kernel.STEP] = 8
            codes = array("H", [2048] * 4 * frames)
            of.runtime.call(function, codes, 0, len(codes), st)
            spent.append(of.core.instructions)
    return (spent[1] - spent[0]) / 200


def described(arch: str, module: str) -> str:
    """A row of the page's table."""
    compiled = native_code.module(module, arch).functions
    scan, table, correlate = (
        per_frame(arch, module, *which)
        for which in (("scan", None), ("scan", list(range(4096))), ("correlate", None))
    )
    kind = "assembler" if module.endswith("_thumb") else "viper"
    size = sum(len(code.code) for code in compiled.values())
    return (
        f"| {CORES[arch][2]}, `{arch}`, {kind} | {scan:.0f} / {table:.0f} / {correlate:.0f} | "
        f"{size} |"
    )


@each([module for module in CALLED if "/kernel_" in module])
def test_the_page_tells_size_and_instructions(arch: str, module: str) -> None:
    page = (ROOT / "host_tests" / "README.md").read_text(encoding="utf-8")
    row = described(arch, module)
    assert row in page.splitlines(), row
