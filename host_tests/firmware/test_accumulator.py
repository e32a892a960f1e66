"""From frames to energy: exact sums for any cuts, any frame length and any part of a cycle."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.rigs.meter_runs import (
    I_NA,
    LOOPS,
    MID,
    V_NV,
    Codes,
    Run,
    Sink,
    blocks,
    board,
    convert,
    flat,
    run,
    split_phase,
)
from threewire.metering.accumulator import Accumulator
from threewire.metering.calibration import Calibration, nominal
from threewire.metering.layout import Layout
from threewire.metering.window import _NOISE2, Window

# 0.5 V and 0.5 A a count: half a second is enough for many edges of the 10 Wh LED.
STRONG = Calibration((500_000_000, 500_000_000), (500_000_000, -500_000_000), (150_000, -90_000))
# Weights in Q24 and offsets in 1/16 count, as accumulator.py says of its raw unit.
RAW = 2**24 * 2**8
PERIOD = 160  # frames in a cycle of 50 Hz at 8 kHz


def accumulate(
    codes: Codes, layout: Layout, lengths: Iterable[tuple[int, int]] | None = None
) -> Sink:
    """Feeds blocks of (frames, frame_ticks), by default all codes at the board's rate."""
    sink = Sink()
    accumulator = Accumulator(layout, nominal(layout), sink, LOOPS)
    at = 0
    for frames, ticks in lengths or [(len(codes), layout.frame_ticks)]:
        accumulator.feed(flat(codes[at : at + frames]), frames, ticks)
        at += frames
    assert at == len(codes)
    accumulator.interrupt()
    return sink


def random_codes(seed: int, frames: int) -> Codes:
    """Mains with any phase, offset and load; in part noise over the full scale, or silence."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / 8000 * rng.uniform(44, 66) * 2 * np.pi
    codes = np.empty((frames, 4))
    for slot in range(4):
        peak = rng.uniform(0, 2000) * (rng.random() > 0.15)
        codes[:, slot] = MID + rng.uniform(-100, 100) + peak * np.sin(t + rng.uniform(0, 6.3))
    codes += rng.normal(0, rng.choice([0, 1, 30]), codes.shape)
    codes = np.floor(codes).clip(0, 4095)
    for _ in range(rng.integers(0, 3)):
        at, until = sorted(rng.integers(0, frames, 2))
        codes[at:until] = rng.choice([0, 2048, 4095]) if rng.random() < 0.5 else 0
        if rng.random() < 0.5:
            codes[at:until] = rng.integers(0, 4096, (until - at, 4))
    return codes.astype(np.uint16)


def sums_of(window: Window) -> dict[str, object]:
    """All of a window but the noise, which is estimated from one block of at least four frames."""
    words = window.words[:_NOISE2] + window.words[_NOISE2 + 20 :]
    return {**vars(window), "words": words, "scales": vars(window.scales)}


def told(of: Run) -> tuple[object, ...]:
    return of.registers, of.edges, of.meter.ticks, [sums_of(window) for window in of.windows]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32),
    st.integers(1, 3500),
    st.lists(st.integers(0, 3500), max_size=30),
    st.sampled_from([1, 2, 3, 64, 1024]),
)
def test_the_cut_into_blocks_does_not_matter(
    seed: int, frames: int, cuts: list[int], size: int
) -> None:
    codes = random_codes(seed, frames)
    whole = run(codes, calibration=STRONG, cuts=[])
    anywhere = run(codes, calibration=STRONG, cuts=[min(cut, frames) for cut in cuts])
    evenly = run(codes, calibration=STRONG, cuts=range(size, frames, size))
    assert told(whole) == told(anywhere) == told(evenly)
    assert whole.meter.ticks == frames * whole.layout.frame_ticks


# A phase that falls with the current, through zero, and a converter with wide codes and a bow.
BY_MA = ([[1000, 90_000], [20_000, -60_000]], [[0, -200_000], [50_000, 150_000], [200_000, 0]])
ADC = {"steps": [[512, 136], [1536, 131], [2560, 140], [3584, 136]], "bow_q4": [*range(17)]}


@pytest.mark.parametrize("by_ma", [(None, None), BY_MA], ids=["one phase", "phase by current"])
@pytest.mark.parametrize("adc", [None, ADC], ids=["even converter", "E11"])
@pytest.mark.parametrize("seed", [1, 2])
def test_nor_does_it_with_tables(
    seed: int, adc: dict[str, Any] | None, by_ma: tuple[Any, Any]
) -> None:
    # A load that changes once a second, at power factor 0.5, and then anything.
    rng = np.random.default_rng(seed)
    parts = [
        convert(split_phase((amps, 3 * amps), 60), 1, noise=1.5, seed=seed + amps, offset=30)
        for amps in (7, 1, 60)
    ]
    codes = np.concatenate([*parts, random_codes(seed, 2000)])
    calibration = Calibration((V_NV, -V_NV), (I_NA, I_NA), (0, 0), by_ma, adc)
    whole = run(codes, calibration=calibration, cuts=[])
    anywhere = run(codes, calibration=calibration, cuts=rng.integers(0, len(codes), 100).tolist())
    evenly = run(codes, calibration=calibration, cuts=range(77, len(codes), 77))
    assert whole.registers == anywhere.registers == evenly.registers
    assert told(whole) == told(anywhere) == told(evenly)


def test_blocks_of_one_frame_give_the_same_edges() -> None:
    codes = convert(split_phase((150, 120)), 1.5, gains=(500_000_000, 500_000_000))
    calibration = Calibration((500_000_000,) * 2, (500_000_000,) * 2)
    apart = run(codes, calibration=calibration, cuts=range(1, len(codes)))
    assert told(apart) == told(run(codes, calibration=calibration, cuts=[]))
    assert len(apart.edges) == int(apart.wh("delivered") // 5) > 0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 3000), st.integers(0, 3), st.integers(-9, 9))
def test_mirrored_currents_swap_delivered_and_received(
    seed: int, frames: int, which: int, phase: int
) -> None:
    codes = random_codes(seed, frames).clip(1, 4095)
    mirrored = codes.copy()
    turned = [k for k in (0, 1) if which in (k, 2, 3)]
    for k in turned:
        mirrored[:, 2 * k] = 4096 - codes[:, 2 * k]
    calibration = Calibration(STRONG.v_nv, STRONG.i_na, (phase * 50_000, 70_000))
    plain = run(codes, calibration=calibration).registers
    other = run(mirrored, calibration=calibration).registers
    for k in (0, 1):
        ways = [f"delivered{k + 1}", f"received{k + 1}"]
        swapped = ways[::-1] if k in turned else ways
        assert [other[name] for name in ways] == [plain[name] for name in swapped]
    if len(turned) == 2:
        assert (other["delivered"], other["received"]) == (plain["received"], plain["delivered"])


def symmetric_mains(frames: int, start: int = 0, volts: int = 1500, amps: int = 700) -> Codes:
    """50 Hz in codes whose mean over any whole cycle is mid-scale exactly: the offsets are then
    known to be nothing, and every energy is a sum of products."""
    angle = 2 * np.pi * (np.arange(start, start + frames) % PERIOD + 0.5) / PERIOD
    codes = np.empty((frames, 4), np.int64)
    codes[:, 1] = np.rint(volts * np.sin(angle))
    codes[:, 0] = np.rint(amps * np.sin(angle - 2 * np.pi * 20 / PERIOD))
    codes[:, 3] = -codes[:, 1]
    codes[:, 2] = np.rint(-amps / 2 * np.sin(angle)) + np.rint(amps / 7 * np.sin(3 * angle))
    return (codes + MID).astype(np.uint16)


def exact_energy(codes: Codes, ticks: np.ndarray) -> tuple[int, int]:
    """Raw energy of both elements: every frame's product times its own length."""
    centred = codes.astype(np.int64) - MID
    one, two = (int((centred[:, 2 * k] * centred[:, 2 * k + 1] * ticks).sum()) for k in (0, 1))
    return one * RAW * V_NV * I_NA, two * RAW * V_NV * I_NA


# Four cycles and a frame hold two whole ones wherever they begin, which tell the offsets.
@settings(deadline=None, max_examples=60)
@given(st.integers(0, PERIOD - 1), st.integers(4 * PERIOD + 1, 4000), st.integers(-100, 100))
def test_partial_cycles_at_both_ends_count_exactly(start: int, frames: int, offset: int) -> None:
    layout = board(slot_ns=0, nominal_hz=50)
    codes = symmetric_mains(frames, start)
    ticks = np.full(frames, layout.frame_ticks)
    if frames > 1500:
        offset = 0  # crossings that follow the offset make the first window not quite whole cycles
    moved = (codes.astype(np.int64) + offset).astype(np.uint16)
    assert accumulate(moved, layout).total() == (*exact_energy(codes, ticks), ticks.sum())


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, PERIOD - 1),
    st.integers(4 * PERIOD + 1, 1500),
    st.integers(-100, 100),
    st.tuples(*[st.integers(-500, 500)] * 2),
)
def test_a_delay_is_an_interpolation_between_frames(
    start: int, frames: int, offset: int, phase_us: tuple[int, int]
) -> None:
    layout = board(slot_ns=8000, nominal_hz=50)
    codes = symmetric_mains(frames, start)
    sink = Sink()
    phases = (1000 * phase_us[0], 1000 * phase_us[1])
    accumulator = Accumulator(layout, Calibration((V_NV, V_NV), (I_NA, I_NA), phases), sink, LOOPS)
    moved = (codes.astype(np.int64) + offset).astype(np.uint16)
    accumulator.feed(flat(moved), frames, layout.frame_ticks)
    accumulator.interrupt()
    centred = codes.astype(np.float64) - MID
    angle = 2 * np.pi / PERIOD
    for k in (0, 1):
        amps, volts = centred[:, 2 * k], centred[:, 2 * k + 1]
        f = (1000 * phase_us[k] - 8000) / 125_000  # frames by which the current is ahead
        late, other = (amps, volts) if f >= 0 else (volts, amps)
        before = np.concatenate((late[:1], late[:-1]))
        f = abs(f)
        late = (np.sin((1 - f) * angle) * late + np.sin(f * angle) * before) / np.sin(angle)
        unit = RAW * V_NV * I_NA * layout.frame_ticks
        scale = np.abs(amps * volts).sum()
        assert sink.total()[k] / unit == pytest.approx(late @ other, abs=2e-6 * scale)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 150),  # early enough for the first crossing to be armed
    st.lists(
        st.tuples(
            st.integers(0, 9),  # in which window of ten cycles
            st.integers(1, PERIOD - 1),  # where in its cycle the rate changes
            st.integers(1, 7),  # for how many cycles
            st.sampled_from([7001, 7999, 8001, 9000]),
        ),
        max_size=5,
        unique_by=lambda change: change[0],
    ),
)
def test_frames_of_other_lengths_count_with_their_own(
    start: int, changes: list[tuple[int, int, int, int]]
) -> None:
    """The length changes in the middle of a cycle and back a number of cycles later, within a
    window: the tick-weighted means stay at mid-scale, so the sum is known exactly."""
    layout = board(slot_ns=0, nominal_hz=50)
    first = PERIOD - start  # frames before the first crossing
    frames = first + 101 * PERIOD + 33
    codes = symmetric_mains(frames, start)
    ticks = np.full(frames, layout.frame_ticks)
    for window, at, cycles, length in changes:
        begin = first + (10 * window + 1) * PERIOD + at
        ticks[begin : begin + cycles * PERIOD] = length
    edges = [0, *(np.flatnonzero(np.diff(ticks)) + 1).tolist(), frames]
    lengths = [(b - a, int(ticks[a])) for a, b in pairwise(edges)]
    sink = accumulate(codes, layout, lengths)
    assert sink.total() == (*exact_energy(codes, ticks), ticks.sum())


@pytest.mark.parametrize("change", [-1, 0, 1])
@pytest.mark.parametrize("length", [7952, 8080])
def test_the_length_of_a_frame_may_change_at_the_first_crossing(length: int, change: int) -> None:
    layout = board(slot_ns=0, nominal_hz=50)
    first, frames = 70, 20 * PERIOD
    codes = symmetric_mains(frames, PERIOD - first)
    ticks = np.full(frames, layout.frame_ticks)
    ticks[: first + change] = length
    at = first + change
    sink = accumulate(codes, layout, [(at, length), (frames - at, layout.frame_ticks)])
    assert sink.total() == (*exact_energy(codes, ticks), ticks.sum())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(1, 700), st.integers(7920, 8080))))
def test_any_frame_lengths_keep_time_and_energy(seed: int, lengths: list[tuple[int, int]]) -> None:
    layout = board(slot_ns=0)
    lengths.append((1000, layout.frame_ticks))
    ticks = np.concatenate([np.full(frames, length) for frames, length in lengths])
    instants = (np.cumsum(ticks) - ticks / 2) / layout.tick_hz
    angle = 2 * np.pi * 60 * instants + seed
    codes = np.empty((ticks.size, 4))
    codes[:, 1] = 1500 * np.sin(angle)
    codes[:, 0] = 1300 * np.sin(angle - 0.4)
    codes[:, 3] = -codes[:, 1]
    codes[:, 2] = 0
    codes = (np.rint(codes) + MID).astype(np.uint16)
    one, two, total = accumulate(codes, layout, lengths).total()
    assert total == ticks.sum()
    # Offsets are not nothing here: they are estimated from cycles of frames of any length.
    assert one == pytest.approx(exact_energy(codes, ticks)[0], rel=1e-3)
    assert abs(two) < 1e-3 * abs(one)


def test_windows_are_ten_cycles_of_50_hz_and_twelve_of_60() -> None:
    for hertz, cycles in ((45, 10), (50, 10), (60, 12), (65, 12)):
        codes = convert(split_phase((10, 10), hertz=hertz), 3)
        windows = accumulate(codes, board()).windows
        assert {window.cycles for window in windows[2:-1]} == {cycles}
        assert all(window.whole for window in windows[2:-1])


@pytest.mark.parametrize("hertz", [45.0, 49.97, 55.3, 60.0, 65.0])
@pytest.mark.parametrize("period_us", [100, 500])
def test_the_span_of_a_whole_window_is_that_of_its_cycles(period_us: int, hertz: float) -> None:
    layout = board(period_us=period_us)
    codes = convert(split_phase((10, 10), hertz=hertz), 3, layout)
    windows = [window for window in accumulate(codes, layout).windows if window.whole]
    assert len(windows) >= 10
    for window in windows[1:]:
        span_s = window.span_q12 / 4096 / layout.tick_hz
        # Dither of 0.6 counts rms where a microsecond is 0.6 counts, at both ends.
        assert span_s == pytest.approx(window.cycles / hertz, abs=6e-6)
        # The frames are as many as begin between the crossings.
        assert abs(window.frames - span_s / (period_us * 1e-6)) <= 1.1
        assert window.ticks == window.frames * layout.frame_ticks


def test_a_window_is_whole_where_nothing_broke_its_cycles() -> None:
    # Voltage, none for a second and a bit, voltage, a pause, voltage.
    full = split_phase((10, 10))
    layout = board()
    of = Run(layout)
    of.feed(convert(full, 1.5, layout))
    of.feed(convert({"i1": full["i1"]}, 1.21, layout, start_s=1.5))
    of.feed(convert(full, 1.49, layout, start_s=2.71))
    of.meter.pause()
    of.feed(convert(full, 1.5, layout, start_s=6)).finish()
    broken = [window for window in of.windows if not window.whole]
    whole = [window for window in of.windows if window.whole]
    assert {window.cycles for window in whole} == {12}
    # Four starts of up to a cycle, up to 300 ms at a time without voltage, three ends.
    assert 8 <= len(broken) <= 14
    assert sum(window.ticks for window in whole) > 3.2 * layout.tick_hz
    ends = np.cumsum([window.ticks for window in of.windows]) / layout.tick_hz
    for window, end_s in zip(of.windows, ends):
        begin_s = end_s - window.ticks / layout.tick_hz
        if begin_s < 2.7 and end_s > 1.51:
            assert not window.whole
    # Joined, one that is not makes none of them whole, wherever it is.
    for order in ([*whole, broken[0]], [broken[0], *whole], [whole[0], broken[0], whole[1]]):
        joined = Window()
        for window in order:
            joined.add(window)
        assert not joined.whole
    joined = Window()
    for window in whole:
        joined.add(window)
    assert joined.whole


def test_windows_add_up_to_the_cycles() -> None:
    codes = convert(split_phase((10, -3), lag_deg=30), 2)
    sink = accumulate(codes, board())
    one, two, ticks = sink.total()
    joined = Window()
    for window in sink.windows:
        joined.add(window)
    assert (*joined.energy(), joined.ticks) == (one, two, ticks)
    assert joined.frames == len(codes)


def test_a_block_may_begin_anywhere_in_the_codes() -> None:
    codes = random_codes(11, 3000)
    sink = Sink()
    layout = board()
    accumulator = Accumulator(layout, nominal(layout), sink, LOOPS)
    for first in range(0, 3000, 250):
        accumulator.feed(flat(codes), 250, layout.frame_ticks, first)
    accumulator.interrupt()
    assert sink.cycles == accumulate(codes, layout).cycles


def test_empty_blocks_change_nothing() -> None:
    codes = random_codes(3, 1000)
    of = Run()
    for block in blocks(codes):
        of.meter.feed(flat(block), 0, 12345)
        of.feed(block)
        of.meter.feed(flat(block), 0, 1)
    assert told(of.finish()) == told(run(codes))
