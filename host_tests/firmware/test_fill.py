"""Frames that are lost all the time: what they carried is estimated, and said to be.

Expected energies are closed forms of the waves, or float64 sums over them.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from host_tests.rigs.meter_runs import (
    Codes,
    Run,
    board,
    convert,
    default_board,
    on_engine,
    register_wh,
    split_phase,
)
from threewire.metering.layout import Layout

SECONDS = 10
START_S = 0.0031
AMPS, LAG_DEG = (60.0, 25.0), 40.0
Power = Callable[[NDArray[np.float64]], NDArray[np.float64]]
# (frames that come, frames that are lost): shorter than a cycle and longer, in step with the mains
# of 50 and 60 Hz and not.
PATTERNS = [
    (51, 13),
    (320, 80),
    (1600, 400),
    (120, 8),
    (1, 1),
    (8, 8),
    (33, 33),
    (40, 40),
    (67, 67),
    (133, 133),
    (133, 44),
    (2000, 2000),
    (4000, 4000),
]


def sine(hertz: float) -> Power:
    """The power of both elements' sine waves."""

    def power(t: NDArray[np.float64]) -> NDArray[np.float64]:
        angle, lag = 2 * np.pi * hertz * t, np.radians(LAG_DEG)
        return 2 * 120 * np.outer(AMPS, np.sin(angle) * np.sin(angle - lag))

    return power


def lossy(
    codes: Codes, layout: Layout, pattern: Iterator[tuple[int, int]]
) -> tuple[Run, NDArray[np.bool_]]:
    """A run that loses frames, and which of those it knows of were lost."""
    run, at = Run(layout), 0
    gone = np.zeros(2 * len(codes), bool)
    while at < len(codes):
        there, lost = next(pattern)
        run.feed(codes[at : at + there])
        at = min(at + there, len(codes))
        if at < len(codes) and lost:
            run.meter.gap(lost, lost * layout.frame_ticks)
            gone[at : at + lost] = True
            at += lost
    return run.finish(), gone[:at]


def check(run: Run, gone: NDArray[np.bool_], watts: Power, hertz: float) -> None:
    """Holds a run to the power of element 1 and 2 at each frame's instant."""
    frame_s = run.layout.frame_ticks / run.layout.tick_hz
    power = watts(np.arange(len(gone)) * frame_s + START_S)
    for k in (1, 2):
        assert run.net_wh(k) == pytest.approx(power[k - 1].sum() * frame_s / 3600, rel=0.01)
    assert run.meter.ticks == len(gone) * run.layout.frame_ticks
    assert run.meter.lost_frames == gone.sum()
    estimated = run.meter.estimated
    net = float(estimated.delivered.text()) - float(estimated.received.text())
    in_all = power.sum() * frame_s / 3600
    assert net == pytest.approx(power[:, gone].sum() * frame_s / 3600, abs=0.04 * in_all)
    found = [w.hertz_mhz() / 1000 for w in run.windows if w.hertz_mhz()]
    assert not found or found == pytest.approx([hertz] * len(found), abs=0.05)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("hertz", [60.0, 50.0, 59.7])
def test_what_is_lost_at_any_rhythm_is_estimated(hertz: float, pattern: tuple[int, int]) -> None:
    layout = board(nominal_hz=int(round(hertz, -1)))
    # Where it is always the same half of a cycle that comes, no mean tells where zero is.
    offset = 0 if sum(pattern) == round(8000 / hertz) else 5
    mains = split_phase(AMPS, LAG_DEG, hertz)
    codes = convert(mains, SECONDS, layout, noise=1, offset=offset, start_s=START_S)
    check(*lossy(codes, layout, itertools.repeat(pattern)), sine(hertz), hertz)


@pytest.mark.parametrize("pattern", [(32, 8), (32, 32), (4, 1), (1, 1), (5, 5), (9, 4)], ids=str)
def test_few_frames_to_a_cycle(pattern: tuple[int, int]) -> None:
    layout = board(period_us=1000)
    codes = convert(split_phase(AMPS, LAG_DEG), SECONDS, layout, noise=1, start_s=START_S)
    check(*lossy(codes, layout, itertools.repeat(pattern)), sine(60), 60)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_losses_at_random(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def pattern() -> Iterator[tuple[int, int]]:
        while True:
            there = int(rng.integers(1, 600))
            yield there, int(rng.integers(0, there + 1))

    layout = board()
    codes = convert(split_phase(AMPS, LAG_DEG), SECONDS, layout, noise=1, start_s=START_S)
    check(*lossy(codes, layout, pattern()), sine(60), 60)


@pytest.mark.parametrize("pattern", [(51, 13), (320, 80), (1600, 400)], ids=str)
def test_mains_of_the_other_frequency_is_found_between_gaps(pattern: tuple[int, int]) -> None:
    layout = board(nominal_hz=60)
    codes = convert(split_phase(AMPS, LAG_DEG, 50), 20, layout, noise=1, start_s=START_S)
    check(*lossy(codes, layout, itertools.repeat(pattern)), sine(50), 50)


@pytest.mark.parametrize("pattern", [(51, 13), (320, 80), (67, 67), (1600, 400)], ids=str)
def test_a_dimmed_lamp(pattern: tuple[int, int]) -> None:
    """Its current flows in the second half of each half cycle: no sine tells what was lost."""
    layout, hertz = board(slot_ns=0), 60

    def waves(t: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        wave = np.sqrt(2) * np.sin(2 * np.pi * hertz * t)
        return 120 * wave, 40 * np.where(np.mod(2 * hertz * t, 1) > 0.5, wave, 0)

    def power(t: NDArray[np.float64]) -> NDArray[np.float64]:
        volts, amps = waves(t)
        return np.stack([volts * amps, volts * amps])

    volts, amps = waves(np.arange(0, SECONDS, 1 / 8000, dtype=np.float64) + START_S)
    counts = np.stack([amps / 0.15, volts / 0.11, -amps / 0.15, -volts / 0.11], axis=1)
    noise = np.random.default_rng(1).normal(0, 1, counts.shape)
    codes = np.rint(2048 + counts + noise).astype(np.uint16)
    check(*lossy(codes, layout, itertools.repeat(pattern)), power, hertz)


@pytest.mark.parametrize("between", [1, 5, 20, 60])
def test_a_long_gap_and_a_short_piece_tell_nothing_of_the_next_gap(between: int) -> None:
    """As where flash stalls a board twice: what is kept then is too little to fill a gap by."""
    layout = board()
    codes = convert(split_phase(AMPS, LAG_DEG), 20, layout, noise=1, start_s=START_S)
    for pattern in ([(8000, 2700), (between, 2600)], [(16000, 8), (between, 2600), (16000, 0)]):
        check(*lossy(codes, layout, itertools.cycle(pattern)), sine(60), 60)


@pytest.mark.parametrize("pattern", [(64, 64), (200, 50), (333, 300)], ids=str)
def test_too_fast_a_rate_to_keep_a_cycle(pattern: tuple[int, int]) -> None:
    """At 50 kHz a gap is estimated from the power before and after, be the pieces ever so short:
    within some per cent."""
    layout = board(period_us=20, slot_ns=2000)
    codes = convert(split_phase(AMPS, LAG_DEG), 4, layout, noise=1, offset=5, start_s=START_S)
    run, gone = lossy(codes, layout, itertools.repeat(pattern))
    power = sine(60)(np.arange(len(gone), dtype=np.float64) * 2e-5 + START_S)
    for k in (1, 2):
        assert run.net_wh(k) == pytest.approx(power[k - 1].sum() * 2e-5 / 3600, rel=0.05)


def test_interruptions_that_lose_nothing_do_no_harm() -> None:
    """A bias of 100 counts is found however often metering pauses."""
    layout = board()
    codes = convert(split_phase((0, 0)), 20, layout, noise=1, offset=100)
    nothing, paused = Run(layout), Run(layout)
    for at in range(0, len(codes), 150):
        nothing.feed(codes[at : at + 150])
        nothing.meter.gap(0, 0)
        paused.feed(codes[at : at + 150])
        paused.meter.pause()
        if at == 8000 * 3:
            before = [paused.wh(name) for name in paused.registers]
    assert set(nothing.finish().registers.values()) == {(0, 0)}
    assert paused.finish().meter.ticks == nothing.meter.ticks
    after = [paused.wh(name) for name in paused.registers]
    assert after == pytest.approx(before, abs=1e-3)


def test_at_no_load_nothing_is_estimated() -> None:
    layout = board()
    codes = convert(split_phase((0, 0)), SECONDS, layout, noise=1.2)
    run, _ = lossy(codes, layout, itertools.repeat((51, 13)))
    assert set(run.registers.values()) == {(0, 0)} and run.edges == []
    assert run.meter.estimated.delivered.text() == "0.000000000"


def test_after_the_last_gap_energy_is_exact_again() -> None:
    """What is kept for gaps goes when there are none, and leaves nothing behind."""
    layout = board()
    codes = convert(split_phase((30, 30)), 32, layout)
    run = Run(layout)
    for k in range(40):
        run.feed(codes[200 * k : 200 * k + 150])
        run.meter.gap(50, 50 * layout.frame_ticks)
    run.feed(codes[8000 : 8000 * 12])
    before = run.net_wh(1)
    run.feed(codes[8000 * 12 : 8000 * 32])
    assert run.net_wh(1) - before == pytest.approx(120 * 30 * 20 / 3600, rel=1e-4)


@pytest.mark.parametrize("pattern", [(64, 16), (83, 83), (2000, 500), (40, 40)], ids=str)
def test_engines_fill_alike(pattern: tuple[int, int]) -> None:
    layout = default_board()
    codes = convert(split_phase(AMPS, LAG_DEG), 3, layout, noise=1, offset=-30)
    here, *others = (
        on_engine(engine, [codes], lost=pattern)
        for engine in ("cpython", "micropython", "i386", "armhf")
    )
    for other in others:
        assert {**other.result, "busy_us": 0} == {**here.result, "busy_us": 0}
        assert other.edges == here.edges
    cos = np.cos(np.radians(LAG_DEG))
    hours = len(codes) * layout.frame_ticks / layout.tick_hz / 3600
    for k, amps in enumerate(AMPS):
        metered = float(register_wh(here.result["elements"][k]["delivered"]))
        assert metered == pytest.approx(120 * amps * cos * hours, rel=0.06)
