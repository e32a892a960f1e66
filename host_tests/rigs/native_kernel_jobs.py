"""Calls of the functions that see codes: kernel, cycles, fill, look.

Flow: NATIVE KERNEL JOBS -> native_jobs.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from random import Random
from typing import Any

from host_tests.firmware import test_look_thumb as look_jobs
from host_tests.firmware.test_kernel import TABLES
from host_tests.rigs.meter_runs import Run, convert, split_phase
from host_tests.rigs.native_held import Held, swapped
from host_tests.rigs.native_meter import metered_with
from threewire.metering import accumulator, kernel
from threewire.metering import fill as fill_module
from threewire.metering.phasors import Phasors


def kernel_calls(draw: Random, count: int) -> Iterator[tuple[array, int, int, array]]:
    """(codes, position, end, state): noise over the whole scale, waves, and codes at the
    thresholds, with and without a table; three and four slots in any order, armed or not, some
    frames not looked at, sums that go on."""
    for k in range(count):
        stride = draw.choice((3, 4))
        # Those at the thresholds stop in every few frames.
        longest = 40 if k % 3 == 2 else 400
        frames = min(longest, draw.choice((0, 1, 2, 255, 256, 257, draw.randint(1, longest))))
        first = draw.randrange(3)
        size = (first + frames) * stride
        arm, fire = draw.choice(((-1, 4096), (1900, 2060), (2047, 2048), (2000, 2000)))
        if k % 3 == 0:
            codes = array("H", [draw.randrange(4096) for _ in range(size)])
        elif k % 3 == 1:
            high, period = draw.uniform(100, 2600), draw.uniform(5, 200)
            codes = array("H", bytes(2 * size))
            for at in range(size):
                turn = at // stride / period - at % stride / 3
                wave = high * math.sin(2 * math.pi * turn) + draw.gauss(0, 2)
                codes[at] = min(4095, max(0, round(2048 + wave)))
        else:
            near = [max(0, c) for c in (arm - 1, arm, arm + 1, fire - 1, fire, fire + 1)]
            codes = array("H", [min(4095, draw.choice((*near, 0, 4095))) for _ in range(size)])
        table = draw.choice((None, *TABLES))
        st = kernel.state(TABLES[table] if table else None)
        for word in (kernel.X1, kernel.Y1, kernel.X2, kernel.Y2, kernel.Z):
            st[word] = draw.randrange(stride)
        st[kernel.STRIDE] = stride
        st[kernel.ARM], st[kernel.FIRE] = arm, fire
        st[kernel._ARMED] = draw.randrange(2)
        st[kernel.FRESH] = draw.randrange(2)
        for word in (kernel.PREV_X1, kernel._PREV_X2, kernel._PREV_Z):
            st[word] = draw.randrange(4096)
        for word in range(kernel._SX1, kernel.TABLE):
            st[word] = draw.randint(-(2**26), 2**26)
        for word in (*range(kernel._XY1, kernel._SX2, 2), *range(kernel._XY2, kernel.TABLE, 2)):
            # The high word, and the low one behind it.
            st[word + 1] = draw.randrange(4096)
        st[kernel.BLIND] = stride * draw.choice((0, 0, 1, draw.randrange(500)))
        Phasors(st, draw.choice((2000, 10_000)))
        at = st[kernel.PHASORS]
        st[at + kernel.STEP] = stride * draw.randint(1, 7)
        st[at + kernel.TURN] = draw.choice((0, 2**24 - 1, draw.randrange(2**22)))
        st[at + kernel._AHEAD] = stride * draw.randrange(8)
        st[at + kernel._PHASE] = draw.randrange(2**24)
        for word in range(at + kernel._COUNT, at + kernel.SINE):
            st[word] = draw.randint(-(2**24), 2**24)
        yield codes, first * stride, size, st


def kernel_loops_job(held: Held, draw: Random) -> None:
    of = held.functions()
    metered_with(0, of)
    for codes, pos, end, st in kernel_calls(draw, 45):
        while True:
            pos = of.scan(codes, pos, end, st)
            if pos >= end:
                break
            st[kernel.FRESH] = 1
    for codes, pos, end, st in kernel_calls(draw, 30):
        of.correlate(codes, pos, end, st)


def kernel_job(held: Held, draw: Random) -> None:
    # A core has words of 32 bits, and an address is where the array is.
    assert held.function("_is_word_wide", lambda: True)() is True
    words = array("i", [1, 2, 3])
    at = held.runtime.address(words)
    assert held.function("_address", lambda words: at)(words) == at
    third = held.function("third_differences")
    for _ in range(30):
        stride = draw.choice((3, 4))
        count = draw.randint(1, 60)
        spread = draw.choice((1, 5, 20, 60, 4096))
        codes = array(
            "H",
            [
                2048 + draw.randrange(-(-spread // -2), (spread + 1) // 2)
                for _ in range(stride * (count + 3))
            ],
        )
        bins = bytearray(draw.randbytes(65))
        third(codes, draw.randrange(stride), count << 4 | stride, bins)
    for table in (None, *TABLES.values()):
        st = kernel.state(table)
        for code in (0, 1, 2048, 4095, *(draw.randrange(4096) for _ in range(10))):
            held.function("table_entry")(st, code)


def goes_on_job(held: Held, draw: Random) -> None:
    goes_on = held.function("goes_on")
    found = []

    def noted(*args: Any) -> int:
        found.append(goes_on(*args))
        return found[-1]

    codes = convert(split_phase((40, -15), 20, 59.7), 1.2, noise=1.0)
    with swapped(accumulator, "goes_on", noted):
        Run().feed(codes)
    assert sum(fraction >= 0 for fraction in found) > 20
    # Words at and about the bounds within which it is a cycle of the run.
    begun = len(found)
    for _ in range(200):
        st = kernel.state()
        stride, z, pos = draw.choice((3, 4)), draw.randrange(3), draw.randrange(3)
        before, after = draw.choice((0, 2047, draw.randrange(4096))), draw.randrange(4096)
        codes = array("H", [after] * 8)
        st[kernel.Z], st[kernel.STRIDE], st[kernel.FIRE] = z, stride, 2048
        st[kernel._PREV_Z] = before
        fraction = ((2048 - before) << 12) // max(1, after - before)
        fraction = min(4096, max(0, fraction))
        n = draw.randint(100, 200)
        st[kernel._RUN] = draw.choice((0, 1, 9, 9, 9))
        st[kernel._BEGUN] = draw.randrange(4097)
        st[kernel._WITHIN] = within = draw.choice((8192, 40_960))
        off = draw.choice((within, -within, within + 1, draw.randint(-within, within)))
        st[kernel._LENGTH] = length = (n << 12) + fraction - st[kernel._BEGUN] - off
        st[kernel._SHORTEST] = draw.choice((0, 0, length + (off >> 2) + draw.randint(0, 1)))
        st[kernel._LONGEST] = draw.choice((2**20, 2**20, length + (off >> 2) - draw.randint(0, 1)))
        st[kernel._FRAME_Q20] = q20 = draw.randrange(1 << 17)
        at = st[kernel.PHASORS]
        ahead = draw.randrange(8)
        st[at + kernel._AHEAD] = stride * ahead + draw.randrange(stride)
        due = (((ahead + 1) << 12) - fraction) * q20 >> 12
        due += draw.choice((1024, -1024, 1025, -1025, draw.randint(-1024, 1024)))
        st[at + kernel._PHASE] = (due & 0xF_FFFF) << 4 | draw.randrange(16)
        found.append(goes_on(st, codes, pos, n))
    assert 20 < sum(fraction >= 0 for fraction in found[begun:]) < 180


def cycles_job(held: Held, draw: Random) -> None:
    goes_on_job(held, draw)
    turn_q12 = held.function("turn_q12")
    for size in range(50):
        sides = (0, 1, -1, 1 << size, draw.randint(-(1 << size), 1 << size))
        turn_q12(draw.choice(sides), draw.choice(sides))


def fill_job(held: Held, draw: Random) -> None:
    of = held.functions()
    with ExitStack() as stack:
        for name in ("_clear", "_mark", "_repeat"):
            stack.enter_context(swapped(fill_module, name, getattr(of, name)))
        for hertz, size, stride in ((50, 64, 3), (60, 300, 4), (60, 40, 4), (50, 201, 4)):
            st = kernel.state()
            Phasors(st, 4000)
            fill = fill_module.Fill(stride, size, st, size * 45 << 12, hertz)
            for slot in range(stride):
                fill.take_zero(slot, draw.randrange(1900, 2200))
            for turn in range(12):
                frames = draw.randint(1, size + 20)
                codes = array("H", bytes(2 * stride * frames))
                for at in range(len(codes)):
                    wave = 2300 * math.sin(2 * math.pi * (at // stride + 37 * turn) / (size * 0.8))
                    codes[at] = min(4095, max(0, round(2048 + wave + draw.gauss(0, 3))))
                fill.keep(codes, 0, frames)
                lost = draw.randint(1, size)
                # Mains cycles from 0.6 to all of what is kept.
                fill.follow(draw.randint(size * 6 // 10, size) << 12, lost)
                while lost:
                    lost -= fill.put(lost)[1]
            fill.clear()


def look_job(held: Held, draw: Random) -> None:
    look = held.function("look")
    said: list[Any] = []
    scope: dict[str, Any] = {"print": said.append}
    exec(look_jobs.JOBS, scope)
    scope["check_all"](look, look_jobs.boards.module(look_jobs.boards.DEFAULT))
    assert len(said) == 3
