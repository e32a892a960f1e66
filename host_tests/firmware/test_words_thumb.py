"""A cycle's arithmetic, in viper on words of 32 and 64 bits and in assembler on the emulated
RP2040, against big integers.
"""

from __future__ import annotations

import ast
import subprocess
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies

from host_tests.rigs.word_jobs import JOBS
from threewire.metering import wide, words_viper
from tools import image
from tools.common.boards import ROOT
from tools.common.errors import Unavailable
from tools.emulate import board as rp2040_board
from tools.emulate.board import EmulatedBoard
from tools.engines import interpreters

CALLS = 25
BOARD = "feather_rp2040"
DEFINED: dict[str, Any] = {}
exec(JOBS, DEFINED)


def number(words: array, at: int) -> int:
    return int.from_bytes(words[at : at + 10].tobytes(), "little", signed=True)


def signed(words: array, at: int) -> int:
    return int.from_bytes(words[at : at + 2].tobytes(), "little", signed=True)


def terms(st: array, words: array, kept: array, n: int) -> list[int]:
    """What Element.central tells of both elements, from a kernel's state."""
    made = []
    for k in (0, 1):
        x0, y0 = (signed(words, 154 + 4 * k + 2 * i) for i in (0, 1))
        sum_x, sum_y, xy, xy_low, pxy, pxy_low = st[13 + 6 * k : 19 + 6 * k]
        same = (xy << 12) + xy_low
        slip = kept[16 + k] - st[10 + k]
        made.append((same << 8) - 16 * (y0 * sum_x + x0 * sum_y) + n * x0 * y0)
        made.append((((pxy << 12) + pxy_low - same) << 8) - 16 * y0 * slip)
    return made


def test_energies_are_those_of_big_integers() -> None:
    so_far = [0] * 4
    calls = 0
    for n, (st, words, kept), (_, after, kept_after) in DEFINED["reckoned"](
        words_viper.reckon.__wrapped__, 7, 2000
    ):
        if not any(kept[:8]):
            so_far = [0] * 4
        now = terms(st, words, kept, n)
        gained = [a - b for a, b in zip(now, so_far)]
        for k in (0, 1):
            worth = [number(words, 74 + 20 * term) for term in (2 * k, 2 * k + 1)]
            energy = number(words, 34 + 10 * k) + sum(
                g * w for g, w in zip(gained[2 * k :], worth)
            )
            assert number(after, 10 * k) == energy
            if any(kept_after[:8]) and kept_after[:8] != kept[:8]:
                total = number(words, 54 + 10 * k) + energy
                assert number(after, 54 + 10 * k) == (total + 2**159) % 2**160 - 2**159
                assert number(after, 34 + 10 * k) == 0
        if kept_after[:8] != kept[:8]:
            so_far = now
        calls += 1
    assert calls == 2000


@given(
    strategies.integers(-(2**159), 2**159 - 1),
    strategies.integers(-(2**31) + 1, 2**31 - 1),
)
@example(2**159 - 1, -(2**31) + 1)
@example(-(2**159), 2**31 - 1)
@example(-1, -65536)
def test_a_number_times_an_int(value: int, factor: int) -> None:
    by, words = array("H", bytes(20)), array("H", [0xABCD] * 24)
    wide.put(by, 0, value)
    wide.multiply(words, 2, by, factor)
    for at, expected in ((2, value * factor), (12, -value * factor)):
        assert (number(words, at) - expected) % 2**160 == 0
    assert [*words[:2], *words[22:]] == [0xABCD] * 4


# Cycles from the end of a window to the block before the next one ends, over and over, with the
# heap locked: element 1 draws, element 2 draws too, exports, draws next to nothing, or nothing.
# Too little for an LED's edge, which does allocate.
LOCKED = """
import math, micropython
import board
from threewire.metering import kernel_thumb, reactive_thumb, window_thumb, words_thumb
from threewire.metering.calibration import nominal
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter

layout = Layout(board)
slot = layout.slot
ended = []
codes = array("H", bytes(8 * 500))

def load(amps1, amps2):
    for k in range(500):
        phase = 6 * math.pi * k / 500
        v = int(1300 * math.sin(phase))
        i = math.sin(phase - 0.3)
        for name, code in (("v1", v), ("i1", amps1 * i), ("v2", -v), ("i2", -amps2 * i)):
            codes[4 * k + slot[name]] = 2048 + int(code)

def locked(amps1, amps2, least):
    load(amps1, amps2)
    loops = kernel_thumb, words_thumb, window_thumb, reactive_thumb
    meter = Meter(layout, nominal(layout), loops=loops, on_window=lambda window: ended.append(0))
    for k in range(120):
        meter.feed(codes, 100, layout.frame_ticks, k % 5 * 100)
    frames = 0
    while frames < least:
        ended.clear()
        while not ended:
            k += 1
            meter.feed(codes, 100, layout.frame_ticks, k % 5 * 100)
        micropython.heap_lock()
        try:
            for _ in range(18):
                k += 1
                meter.feed(codes, 100, layout.frame_ticks, k % 5 * 100)
                frames += 100
        finally:
            micropython.heap_unlock()
    wh = [register.micro_wh() for pair in meter.registers.elements for register in pair]
    return frames, wh

for amps2, least in (200, 10000), (-200, 3600), (3, 3600), (0, 3600):
    print(locked(100, amps2, least))
"""


def checked(arithmetic: str) -> str:
    """A program that prints the sum of what a module leaves behind."""
    return f"{JOBS}\nfrom threewire.metering import {arithmetic} as a\nprint(check(a, {CALLS}))\n"


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_viper_does_as_integers(engine: str, tmp_path: Path) -> None:
    program = tmp_path / "jobs.py"
    path = str(ROOT / "firmware")
    program.write_text(f"import sys\nsys.path.insert(0, {path!r})\n" + checked("words_viper"))
    try:
        command = interpreters.command(engine, "2m")
    except Unavailable as problem:
        pytest.skip(str(problem))
    said = subprocess.run([*command, str(program)], capture_output=True, text=True, check=True)
    assert int(said.stdout) == DEFINED["check"](words_viper, CALLS)


def at_the_prompt(uf2: Path) -> EmulatedBoard:
    """A board without a program of its own."""
    files = image.contents(BOARD)
    del files["main.py"]
    return EmulatedBoard(image.pack(files, image.geometry(rp2040_board.FLASH)), BOARD, uf2=uf2)


@pytest.mark.rp2040
def test_assembler_does_as_integers(uf2: Path) -> None:
    with at_the_prompt(uf2) as board:
        board.run(1.0)
        said = board.execute(checked("words_thumb"), 300.0)
    assert int(said) == DEFINED["check"](words_viper, CALLS)


@pytest.mark.slow
@pytest.mark.rp2040
def test_a_cycle_allocates_nothing(uf2: Path) -> None:
    with at_the_prompt(uf2) as board:
        board.run(1.0)
        metered = board.execute("from array import array\n" + LOCKED, 300.0)
    loads = ((1, 0, 10_000), (0, 1, 3600), (1, 0, 3600), (0, 0, 3600))
    for line, (into, out_of, least) in zip(metered.splitlines(), loads, strict=True):
        frames, wh = ast.literal_eval(line)
        assert frames >= least
        assert wh[0] and not wh[1] and [bool(wh[2]), bool(wh[3])] == [into, out_of]
