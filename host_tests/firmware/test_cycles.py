"""Which crossings bound a cycle: notches, rings and dips through zero do not.

Expected energies are float64 sums of the waves; the codes are those of an ideal converter.
"""

import math
from typing import Any

import numpy as np
import pytest

from host_tests.rigs.meter_runs import (
    Codes,
    Run,
    blocks,
    board,
    convert,
    default_board,
    flat,
    split_phase,
)
from threewire.metering import accumulator
from threewire.metering.cycles import Cycles, goes_on, turn_q12
from tools.front_end.waves import Floats, Wave

HZ = 60


@pytest.mark.parametrize("degrees", range(-179, 181, 7))
@pytest.mark.parametrize("size", [3, 1000, 10**30])
def test_the_angle_of_a_phasor(degrees: int, size: int) -> None:
    re, im = (round(size * f(math.radians(degrees)) * 2**20) for f in (math.cos, math.sin))
    assert turn_q12(re, im) / 4096 * 360 == pytest.approx(degrees, abs=0.4)


def test_no_phasor_has_no_angle() -> None:
    assert turn_q12(0, 0) == 0


def judge(lengths: list[float], proven: int = -1) -> list[bool]:
    """Of a clock that gives 100 frames a cycle of 60 Hz; the fundamental crosses zero at the
    beginning of stretch `proven`."""
    of = Cycles(1, 6000)
    found = []
    for k, length in enumerate(lengths):
        found.append(bool(of.is_cycle(round(4096 * length))))
        if k == proven:
            of.check(1000, 0)
    return found


def test_two_alike_are_the_first() -> None:
    assert judge([100, 100.3, 99.9]) == [False, True, True]
    assert judge([75, 100, 100]) == [False, False, True]
    assert judge([120, 120, 120]) == [False, True, True]


@pytest.mark.parametrize("hertz", [30, 40, 44, 44.7, 65.4, 66, 70, 75])
def test_beyond_45_to_65_hertz_there_are_no_cycles(hertz: float) -> None:
    assert judge([6000 / hertz] * 20) == [False] * 20


@pytest.mark.parametrize("hertz", [45, 65])
def test_at_45_and_65_hertz_there_are_whatever_their_timing_is_off(hertz: float) -> None:
    lengths = [6000 / hertz + 0.2 * (-1) ** k for k in range(20)]
    assert judge(lengths) == [False] + [True] * 19


@pytest.mark.parametrize("step", [-0.5, 0.5])
def test_a_length_that_creeps_beyond_mains_is_lost(step: float) -> None:
    lengths = [100 + step * k for k in range(120)]
    for proven in (-1, 5):
        found = judge(lengths, proven)
        # What is followed lags by less than two frames here.
        mains = [6000 / 65 - 2 < length < 6000 / 45 + 2 for length in lengths]
        assert all(found[1 : 40 if step > 0 else 10])
        assert not any(is_found for is_found, may in zip(found, mains) if not may)


def test_a_stretch_of_another_length_is_none_and_is_lost() -> None:
    assert judge([100, 100, 130, 100, 100], proven=1) == [False, True, False, True, True]
    assert judge([100, 100, 75, 75, 100], proven=1) == [False, True, False, False, True]
    # What no window has proven is not gone back to.
    assert judge([100, 100, 130, 100, 100]) == [False, True, False, False, True]
    assert judge([100, 100, 75, 75, 100]) == [False, True, False, False, False]
    # Two notches' distances are nearly alike at best.
    assert judge([100, 103, 100, 103]) == [False] * 4


def test_a_length_that_changes_is_followed() -> None:
    lengths = [100 + 0.35 * k for k in range(60)]
    assert judge(lengths)[1:] == [True] * 59


def notched(
    angle_deg: float, depth: float, ring: float, width_s: float = 3e-4, edge_s: float = 4e-5
) -> Wave:
    """120 V, twice a cycle bent by `depth` of itself towards zero and beyond, and ringing."""

    def wave(t: Floats) -> Floats:
        x = np.mod(t - angle_deg / 360 / HZ, 1 / (2 * HZ))
        hole = np.clip(np.minimum(x / edge_s, 1 - (x - width_s) / edge_s), 0, 1)
        after = np.maximum(x - width_s, 0)
        rings = ring * np.where(
            x < width_s,
            np.exp(-x / 2e-4) * np.sin(6000 * np.pi * x),
            -np.exp(-after / 2e-4) * np.sin(6000 * np.pi * after),
        )
        return 120 * math.sqrt(2) * np.sin(2 * math.pi * HZ * t) * (1 - depth * hole - rings)

    return wave


def fed(volts: Wave, amps: Wave, seconds: float) -> tuple[Run, float]:
    """A run of the meter, and the watt-hours of each element in float64."""
    layout = default_board()
    run = Run(layout)
    mains = {"v1": volts, "i1": amps, "v2": lambda t: -volts(t), "i2": lambda t: -amps(t)}
    run.feed(convert(mains, seconds, layout))
    rate = 2_000_000
    true = 0.0
    for k in range(math.ceil(seconds)):
        t = k + (np.arange(round(min(1.0, seconds - k) * rate)) + 0.5) / rate
        true += float((volts(t) * amps(t)).sum()) / rate / 3600
    return run, true


@pytest.mark.parametrize("angle_deg", [20, 45, 90, 135, 160])
@pytest.mark.parametrize(("depth", "ring"), [(1.0, 0.0), (1.0, 0.4), (1.4, 0.2)])
def test_notches_bound_no_cycle(angle_deg: float, depth: float, ring: float) -> None:
    seconds = 6
    volts = notched(angle_deg, depth, ring)
    run, true = fed(volts, lambda t: 30 * math.sqrt(2) * np.sin(120 * np.pi * t - 1), seconds)
    hertz = run.readings()[2] / 1000
    run.meter.finish()
    assert hertz == pytest.approx(HZ, abs=0.02)
    # A dip of 0.3 ms is three frames wide: what lies between frames is not seen.
    for delivered, received in run.meter.registers.elements:
        net = float(delivered.text()) - float(received.text())
        assert net == pytest.approx(true, rel=2e-3)
        assert float(received.text()) < 5e-4 * 3600 * seconds / 3600


@pytest.mark.parametrize("at", np.arange(0.0, 3.0, 0.13).tolist())
def test_one_dip_in_the_first_cycles_costs_nothing(at: float) -> None:
    """At any place of the first three cycles, but at the crossing itself."""
    start = at / HZ
    if min(at % 1, 1 - at % 1) < 0.03:
        pytest.skip("at the crossing")

    def volts(t: Floats) -> Floats:
        wave = 120 * math.sqrt(2) * np.sin(2 * math.pi * HZ * t)
        dip = -40 * np.sign(np.sin(2 * math.pi * at))
        return np.where((t >= start) & (t < start + 3e-4), dip, wave)

    run, true = fed(volts, lambda t: 20 * math.sqrt(2) * np.sin(120 * np.pi * t + 1), 1.5)
    run.meter.finish()
    for delivered, received in run.meter.registers.elements:
        assert float(delivered.text()) - float(received.text()) == pytest.approx(true, rel=1e-3)


@pytest.mark.parametrize("depth", [1.2, 1.4])
@pytest.mark.parametrize(
    ("hertz", "angle_deg"), [(49.97, 90), (49.97, 120), (47.03, 90), (57.02, 90)]
)
def test_notches_where_mains_is_not_the_boards_own(
    hertz: float, angle_deg: float, depth: float
) -> None:
    """Half a cycle of 50 Hz is 60 % of one of 60 Hz: nor must a notch there look like a cycle."""
    seconds = 4

    def volts(t: Floats) -> Floats:
        return notched(angle_deg, depth, 0.0)(t * hertz / HZ)

    run, true = fed(volts, lambda t: 42.4 * np.sin(2 * np.pi * hertz * t - np.pi / 3), seconds)
    assert run.readings()[2] / 1000 == pytest.approx(hertz, abs=0.02)
    run.meter.finish()
    for delivered, received in run.meter.registers.elements:
        assert float(delivered.text()) - float(received.text()) == pytest.approx(true, rel=2e-3)


@pytest.mark.parametrize("hertz", [49.98, 60.01])
def test_notches_four_times_a_cycle(hertz: float) -> None:
    """One behind the half cycle is taken for the crossing first: the next is due within 25 ms."""

    def volts(t: Floats) -> Floats:
        angle = np.mod(360 * hertz * t, 360)
        wave = 120 * math.sqrt(2) * np.sin(2 * np.pi * hertz * t)
        for at in (30, 150, 210, 330):
            wave = np.where((angle >= at) & (angle < at + 6), -0.3 * wave, wave)
        return wave

    run, true = fed(volts, lambda t: 42.4 * np.sin(2 * np.pi * hertz * t - np.pi / 3), 4)
    assert len([window for window in run.windows[5:] if window.whole]) >= 14
    assert run.readings()[2] / 1000 == pytest.approx(hertz, abs=0.02)
    run.meter.finish()
    for delivered, received in run.meter.registers.elements:
        assert float(delivered.text()) - float(received.text()) == pytest.approx(true, rel=2e-3)


@pytest.mark.parametrize("at_deg", [225, 250, 290])
def test_a_dip_in_every_other_cycle_from_the_first_on(at_deg: float) -> None:
    def volts(t: Floats) -> Floats:
        dip = np.mod(t - at_deg / 360 / HZ, 2 / HZ) < 4e-4
        return np.where(dip, 20, 120 * math.sqrt(2) * np.sin(2 * math.pi * HZ * t))

    run, true = fed(volts, lambda t: 42.4 * np.sin(2 * np.pi * HZ * t - np.pi / 3), 4)
    run.meter.finish()
    for delivered, received in run.meter.registers.elements:
        assert float(delivered.text()) - float(received.text()) == pytest.approx(true, rel=2e-3)


def mains(draw: np.random.Generator) -> Codes:
    """Six seconds of mains that is no steady sine: it drifts, and what happens to it on the way is
    drawn."""
    seconds = 6
    layout = board()
    t = np.arange(0, seconds, 1 / 40_000)
    hertz = np.full(t.size, draw.choice([45.2, 50.0, 59.3, 60.0, 64.6]))
    hertz += np.where(t > draw.uniform(1, 5), draw.choice([0, 0.02, 1.5, 6]), 0)
    hertz += draw.choice([0, 0.3]) * np.sin(2 * np.pi * draw.uniform(0.1, 4) * t)
    angle = 2 * np.pi * np.cumsum(hertz) / 40_000 + draw.uniform(0, 6)
    volts = 170 * np.sin(angle)
    notch = draw.choice([0.0, 0.0, 0.02, 0.2])
    volts[(angle + draw.uniform(0, 6)) % (2 * np.pi) < notch] *= -0.3
    for at in draw.uniform(0.5, seconds, draw.integers(0, 4)):
        volts[(t > at) & (t < at + draw.choice([0.004, 0.03, 0.5]))] *= draw.choice([0, 0.4, -1])
    volts += draw.choice([0, 0, 5, 25]) * np.sin(2 * np.pi * draw.uniform(3, 700) * t)
    amps = draw.uniform(1, 80) * np.sin(angle - draw.uniform(0, 6))

    def wave(values: Floats) -> Wave:
        return lambda at: np.interp(at, t, values)

    waves = {"v1": wave(volts), "i1": wave(amps), "v2": wave(-volts), "i2": wave(-0.4 * amps)}
    return convert(waves, seconds, layout, noise=float(draw.choice([0, 0.5, 8])))


@pytest.mark.parametrize("seed", range(30))
def test_a_run_of_cycles_is_as_each_by_itself(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(seed)
    codes = mains(draw)
    cuts = np.sort(draw.choice(len(codes), draw.integers(5, 900), replace=False)).tolist()
    gaps = set(draw.choice(len(cuts), draw.integers(0, 5)).tolist())
    jitter = set(draw.choice(len(cuts), draw.choice([0, 0, 3])).tolist())

    def metered(goes_on: Any) -> list[Any]:
        monkeypatch.setattr(accumulator, "goes_on", goes_on)
        of = Run()
        begun = of.meter.ticks
        ticks = []
        for k, block in enumerate(blocks(codes, cuts)):
            of.meter.feed(flat(block), len(block), of.layout.frame_ticks + (k in jitter))
            if k in gaps:
                lost = int(codes.sum() % 700)
                of.meter.gap(lost, lost * of.layout.frame_ticks)
            ticks.append(of.meter.ticks - begun)
        of.finish()
        told = [
            (window.words, window.ticks, window.frames, window.cycles, window.span_q12)
            + (window.whole, window.is_odd, window.points, window.own_means, window.means)
            for window in of.windows
        ]
        varh = [register.value() for four in of.meter.reactive.quadrants for register in four]
        return [told, ticks, of.registers, of.edges, varh]

    assert metered(goes_on) == metered(lambda *_: -1)


def test_most_cycles_of_steady_mains_are_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    took: list[bool] = []

    def counted(*given: Any) -> int:
        fraction = goes_on(*given)
        took.append(fraction >= 0)
        return fraction

    monkeypatch.setattr(accumulator, "goes_on", counted)
    Run().feed(convert(split_phase((40, 15), 20, 60), 5))
    # But for the last of each window, and the first.
    assert sum(took) >= 10 / 12 * len(took) - 15
