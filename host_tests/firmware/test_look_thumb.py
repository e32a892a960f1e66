"""The voltages' loop in assembler, on the emulated RP2040, against viper's word for word."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from host_tests.firmware.test_words_thumb import at_the_prompt
from threewire.metering import look_viper
from tools.common import boards
from tools.common.boards import ROOT

METERING = ROOT / "firmware" / "threewire" / "metering"

# The same codes on both, cut alike: steps of the amplitude, offsets, noise over the full scale and
# rails, gaps, other frequencies; two lines and one, one sample in five and each.  Of every call
# the words count; what is printed of a run is their sum, and what has been found.
JOBS = """
from array import array
from binascii import crc32

import micropython
from threewire.metering.calibration import nominal
from threewire.metering.layout import Layout
from threewire.metering.sag import Sag

# Thousandths of the nominal amplitude, frames, offset, noise; of line 2 the amplitude is another.
STEPS = (
    (1000, 1000, 2300, 60, 3), (0, 1000, 300, 0, 0), (1000, 30, 300, 0, 2),
    (1150, 1000, 2400, -90, 4000), (700, 1000, 400, -90, 0), (1000, 3000, 200, 2047, 0),
    (0, 0, 300, 2047, 0), (9000, 9000, 300, 0, 0), (1000, 1000, 400, 0, 5),
)
# A sine, and 1024.
SINE = array("i", [1024 + round(1024 * (x - x ** 3 / 6 + x ** 5 / 120 - x ** 7 / 5040))
                   for x in (k * 1.5707963 / 16 for k in range(17))])
for k in range(15, -1, -1):
    SINE.append(SINE[k])
for k in range(32):
    SINE.append(2048 - SINE[k])
ONE, TWO, OFFSET, NOISE, PHASE, TURN, DRAW, STRIDE = range(8)

@micropython.viper
def fill(codes: ptr16, st: ptr32, sine: ptr32, frames: int):
    stride = st[7]
    end = frames * stride
    at = 0
    while at < end:
        st[4] = st[4] + st[5] & 0xFFFF
        st[6] = st[6] * 25173 + 13849 & 0xFFFF
        s = sine[st[4] >> 10] - 1024
        noisy = st[2] - 4096 + (st[6] >> 4) * st[3] // 4096
        slot = 0
        while slot < stride:
            code = noisy + s * (st[1] if slot >= 2 else st[0]) // 1024
            if code < 0:
                code = 0
            if code > 4095:
                code = 4095
            codes[at] = code
            at += 1
            slot += 1

def check(look, board):
    layout = Layout(board)
    sag = Sag(layout, nominal(layout), look)
    codes = array("H", range(layout.stride * 300))
    st = array("i", range(8))
    st[STRIDE] = layout.stride
    st[TURN] = 65536 * 60 * layout.frame_ticks // layout.tick_hz
    peak = 1414 * board.NOMINAL_VOLTS * 1000 // (board.NV_PER_COUNT // 1000)
    sum = 0
    found = []
    for one, two, frames, offset, noise in STEPS:
        st[ONE] = one * peak // 1000
        st[TWO] = two * peak // 1000
        st[OFFSET] = 4096 + 2048 + offset - noise // 2
        st[NOISE] = noise
        while frames:
            x = st[DRAW]
            n = min(frames, 1 + (x >> 4) % 290)
            frames -= n
            first = x & 7
            fill(codes, st, SINE, first + n)
            sag.feed(codes, n, layout.frame_ticks, first)
            sum = crc32(sag._words, sum)
            if not x >> 8 & 15:
                sag.gap(3, 3 * layout.frame_ticks)
            if not x >> 12 & 15:
                sag.follow(45000 + x % 20000)
            if sag.collapsed():
                found.append(frames)
    return sum, found, sag.counts["sag"], sag.counts["interruption"], sag.counts["swell"]

def check_all(look, board):
    class Slow:
        pass
    class One(Slow):
        pass
    for name in dir(board):
        if name[0] != "_":
            setattr(Slow, name, getattr(board, name))
    # 2 kHz: of four samples a bin, one a frame.
    Slow.SAMPLER = {"kind": "timer", "period_us": 500, "block_frames": 8, "slot_ns": 6900}
    One.SLOTS = board.SLOTS[:3]
    One.DERIVED = {"v2": ("v1", -1)}
    print(check(look, Slow))
    print(check(look, One))
    print(check(look, board))
"""
ON_CHIP = """
import board
from threewire.metering.look_thumb import look
check_all(look, board)
"""


def here(say: Callable[..., None]) -> None:
    """The jobs by viper's code under CPython."""
    defined: dict[str, Any] = {"print": say}
    exec(JOBS, defined)
    defined["check_all"](look_viper.look, boards.module(boards.DEFAULT))


@pytest.mark.rp2040
def test_assembler_does_as_viper(uf2: Path) -> None:
    expected = []
    here(lambda said: expected.append(str(said)))
    with at_the_prompt(uf2) as board:
        board.run(1.0)
        said = board.execute(JOBS + ON_CHIP, 300.0)
    assert said.splitlines() == expected


def test_the_jobs_find_what_there_is_to_find() -> None:
    found = []
    here(found.append)
    for _, collapses, *counts in found[:2]:
        assert collapses and all(sum(count) for count in counts)
    assert [len(counts[0]) for _, _, *counts in found] == [2, 1, 2]


@pytest.mark.parametrize(("name", "size"), [("look_viper", 1), ("look_thumb", 4)])
def test_their_own_constants_are_those_of_the_lines(name: str, size: int) -> None:
    def constants(module: str) -> dict[str, int]:
        found = re.findall(
            r"^_(\w+) = const\((\w+)\)", (METERING / f"{module}.py").read_text(), re.MULTILINE
        )
        return {word: int(value, 0) for word, value in found}

    known, own = constants("line_voltage"), constants(name)
    for word in ("COLLAPSED", "CHANGED"):
        assert own.pop(word) == known[word]
    if size == 1:
        assert own.pop("BEFORE") == known["BEFORE"]
    else:
        assert 1 << own.pop("BEFORE_BITS") == known["BEFORE"]
        assert own.pop("LAST") == 4 * 15
    assert len(own) == 28
    for word, value in own.items():
        assert value == size * known[word], word
