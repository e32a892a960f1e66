"""The float64 reference against closed forms, and against the recordings' own index."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.front_end.looping import ArrayRecording, Floats, Source
from tools.replay.reference import Reference

WAVES = Path(__file__).resolve().parents[3] / "shared" / "waves"


def run(
    signals: dict[str, Floats],
    rate: float,
    stop_s: float | Fraction | None = None,
    size: int = 65536,
    steps: tuple[float, ...] = (5.0, 500.0),
) -> Reference:
    reference = Reference(rate, stop_s, steps)
    for block in Source(ArrayRecording(rate, signals)).blocks(size):
        reference.add(block)
    return reference


def seconds(rate: float, duration: float) -> Floats:
    return np.arange(round(rate * duration)) / rate


def both(v: Floats, i1: Floats, i2: Floats) -> dict[str, Floats]:
    return {"v1": v, "i1": i1, "v2": -v, "i2": i2}


@pytest.mark.parametrize("lag_deg", [0.0, 60.0, -36.87, 180.0])
def test_a_sine_gives_volts_times_amps_times_power_factor(lag_deg: float) -> None:
    t = 2 * np.pi * 60 * seconds(8000, 10)
    v = 120 * math.sqrt(2) * np.sin(t)
    i = 30 * math.sqrt(2) * np.sin(t - math.radians(lag_deg))
    result = run(both(v, i, -i / 3), 8000)
    watts = 3600 * math.cos(math.radians(lag_deg))
    for element, share in zip(result.elements, (1.0, 1 / 3)):
        assert element.volts == pytest.approx(120, rel=1e-12)
        assert element.amps == pytest.approx(30 * share, rel=1e-12)
        assert element.watts == pytest.approx(watts * share, rel=1e-12)
        assert element.va == pytest.approx(3600 * share, rel=1e-12)
        assert element.wh == pytest.approx(watts * share / 360, rel=1e-12)
        assert element.delivered_wh - element.received_wh == pytest.approx(element.wh)
        assert (element.received_wh < 1e-3) is (watts > 0)
    assert result.hertz == pytest.approx(60, rel=1e-6)
    assert result.seconds == 10
    assert result.delivered_wh - result.received_wh == pytest.approx(watts * 4 / 3 / 360)


def test_only_equal_harmonics_make_power() -> None:
    t = 2 * np.pi * 50 * seconds(10_000, 4)
    v = 170 * np.sin(t) + 5 * np.sin(3 * t) + 3 * np.sin(5 * t + 0.4)
    i = 20 * np.sin(t - 0.3) - 4 * np.sin(3 * t) + 2 * np.sin(5 * t) + 9 * np.sin(7 * t)
    watts = 170 * 20 / 2 * math.cos(0.3) - 5 * 4 / 2 + 3 * 2 / 2 * math.cos(0.4)
    element = run({"v1": v, "i1": i}, 10_000).elements[0]
    assert element.watts == pytest.approx(watts, rel=1e-12)
    assert element.amps == pytest.approx(math.sqrt((400 + 16 + 4 + 81) / 2), rel=1e-12)


def test_the_sign_is_decided_cycle_by_cycle_for_each_element_and_for_the_net() -> None:
    # Six seconds in thirds: both import; element 2 exports less, then more than 1 imports.
    rate = 6000
    n = rate * 2
    v = 170 * np.sin(2 * np.pi * 60 * seconds(rate, 6))
    scale2 = np.repeat([1.0, -0.5, -3.0], n)
    result = run({"v1": v, "i1": 0.1 * v, "v2": -v, "i2": -0.1 * v * scale2}, rate)
    unit = 170**2 / 2 * 0.1 * 2 / 3600
    one, two = result.elements
    assert (one.delivered_wh, one.received_wh) == pytest.approx((3 * unit, 0), rel=1e-9)
    assert (two.delivered_wh, two.received_wh) == pytest.approx((unit, 3.5 * unit), rel=1e-3)
    assert two.wh == pytest.approx(-2.5 * unit, rel=1e-9)
    assert result.delivered_wh == pytest.approx((2 + 0.5) * unit, rel=1e-3)
    assert result.received_wh == pytest.approx(2 * unit, rel=1e-3)
    total = result.delivered_wh - result.received_wh
    assert total == pytest.approx(one.wh + two.wh, rel=1e-12)


def test_a_lagging_load_gives_nothing_back_over_whole_cycles() -> None:
    # Power runs backwards for 60 degrees of every half cycle: no cycle must show it. The two
    # partial cycles, at the ends, may; the recording begins and ends at a crossing, so there are
    # none here (half a sample apart).
    t = 2 * np.pi * 60 * (seconds(6000, 2) + 0.5 / 6000)
    v, i = 170 * np.sin(t), 50 * np.sin(t - math.radians(60))
    result = run({"v1": v, "i1": i}, 6000)
    assert result.received_wh == pytest.approx(0, abs=1e-9)


def test_partial_cycles_at_both_ends_are_cycles_of_their_own() -> None:
    # From the crest, PF 0: three quarters of a cycle, then whole ones, then a quarter.
    rate = 60 * 400
    t = 2 * np.pi * 60 * (seconds(rate, 10 / 60) + 0.5 / rate) + np.pi / 2
    v, i = 100 * np.sin(t), 10 * np.cos(t)
    result = run({"v1": v, "i1": i}, rate)
    # Integral of v*i = 500 sin 2t over three quarters from the crest, in watt-hours.
    quarter = 500 / (2 * np.pi * 60) / 3600
    assert result.received_wh == pytest.approx(quarter, rel=1e-4)
    assert result.delivered_wh == pytest.approx(quarter, rel=1e-4)
    assert result.elements[0].wh == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dead", [0.0, 1.0])
def test_line_2_marks_the_cycles_while_line_1_is_dead(dead: float) -> None:
    rate = 4000
    t = 2 * np.pi * 60 * seconds(rate, 5)
    v = 170 * np.sin(t)
    noise = dead * np.random.default_rng(1).normal(0, 1, v.size)
    signals = {"v1": noise, "i1": 0 * v, "v2": v, "i2": 10 * np.sin(t - 1.4)}
    result = run(signals, rate)
    watts = 170 * 10 / 2 * math.cos(1.4)
    assert result.hertz == pytest.approx(60, rel=1e-5)
    assert result.delivered_wh == pytest.approx(watts * 5 / 3600, rel=0.02)
    assert result.received_wh < 0.02 * result.delivered_wh
    v1 = v.copy()
    v1[rate : 3 * rate] = noise[rate : 3 * rate]
    partly = run({**signals, "v1": v1}, rate)
    assert partly.hertz == pytest.approx(60, rel=1e-4)
    assert partly.received_wh < 0.03 * partly.delivered_wh


def test_without_any_crossing_energy_is_still_counted() -> None:
    ones = np.ones(10_000)
    result = run({"v1": 100 * ones, "i1": 36 * ones}, 1000, steps=(1.0,))
    assert result.delivered_wh == pytest.approx(10, rel=1e-12)
    assert result.hertz is None
    assert result.crossings(1) == pytest.approx(np.arange(1, 11), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    size=st.integers(1, 3000),
    samples=st.integers(1, 3000),
    seed=st.integers(0, 2**32),
    lag=st.floats(-3, 3),
)
def test_blocks_do_not_matter(size: int, samples: int, seed: int, lag: float) -> None:
    rate = 2000.0
    rng = np.random.default_rng(seed)
    t = 2 * np.pi * 59.3 * np.arange(samples) / rate
    v = 170 * np.sin(t + 1) + rng.normal(0, 3, samples)
    v[samples // 3 : samples // 2] *= 0.01  # a spell without line 1
    i1 = 40 * np.sin(t + lag) + rng.normal(0, 10, samples)
    signals = {"v1": v, "i1": i1, "v2": -170 * np.sin(t), "i2": 100 * np.sin(t - lag)}
    whole = run(signals, rate, steps=(0.01,))
    parts = run(signals, rate, size=size, steps=(0.01,))
    assert parts.hertz == pytest.approx(whole.hertz)
    assert parts.crossings(0.01) == pytest.approx(whole.crossings(0.01), abs=1e-6)
    for one, other in zip(parts.elements, whole.elements):
        assert list(vars(one).values()) == pytest.approx(
            list(vars(other).values()), rel=1e-9, abs=1e-12
        )
    assert parts.delivered_wh == pytest.approx(whole.delivered_wh, abs=1e-12)
    assert parts.received_wh == pytest.approx(whole.received_wh, abs=1e-12)


@pytest.mark.parametrize("frames", [1, 799, 800, 801, 7999, 8000])
def test_energy_stops_where_it_is_told_to(frames: int) -> None:
    # A frame of 1/9001.3 s: the stop falls within a sample, and at the end just beyond it.
    period = Fraction(10, 80003)
    t = seconds(8000, 1)
    v, i = 100 + t, 10 + 3 * t
    stop = frames * period
    if stop > 1:
        assert stop - 1 < period
    result = run({"v1": v, "i1": i}, 8000, stop)
    samples = float(stop * 8000)
    weight = np.clip(samples - np.arange(8000), 0, 1)
    weight[-1] = max(0.0, samples - 7999)
    assert result.elements[0].wh == pytest.approx(float(weight @ (v * i)) / 8000 / 3600)
    assert result.elements[0].volts == pytest.approx(math.sqrt(weight @ v**2 / samples))
    assert result.seconds == pytest.approx(float(stop), rel=1e-12)


def test_the_last_sample_is_held_for_less_than_a_frame_and_no_longer() -> None:
    ones = np.ones(8000)
    held = run({"v1": 100 * ones, "i1": 36 * ones}, 8000, 1.0001)
    assert held.delivered_wh == pytest.approx(1.0001, rel=1e-9)
    with pytest.raises(ValueError, match="before the stop"):
        _ = run({"v1": ones, "i1": ones}, 8000, 1.1).delivered_wh


@pytest.mark.parametrize("size", [100, 65536])
def test_steps_are_crossed_when_a_constant_power_says(size: int) -> None:
    # dc: the delivered total is a straight line, 20 kW in two elements.
    ones = np.ones(1000 * 200)
    signals = {"v1": 100 * ones, "i1": 120 * ones, "v2": 100 * ones, "i2": 80 * ones}
    result = run(signals, 1000, size=size)
    times = result.crossings(5)
    assert len(times) == 222
    assert times == pytest.approx(np.arange(1, 223) * 0.9, abs=1e-6)
    assert result.crossings(500) == pytest.approx([90, 180], abs=1e-6)
    with pytest.raises(KeyError):
        result.crossings(3)


def test_steps_are_crossed_within_the_cycle_by_the_power_s_own_course() -> None:
    # W(t) = P (t - sin 2wt / 2w): solved here by bisection.
    rate, w, watts = 48_000, 2 * np.pi * 60, 24_000.0
    t = seconds(rate, 6.1) + 0.5 / rate
    v = 100 * math.sqrt(2) * np.sin(w * t)
    result = run({"v1": v, "i1": watts / 100 * math.sqrt(2) * np.sin(w * t)}, rate)
    for n, found in enumerate(result.crossings(5), 1):
        low, high = 0.0, 6.1
        for _ in range(60):
            middle = (low + high) / 2
            energy = watts / 3600 * (middle - math.sin(2 * w * middle) / (2 * w))
            low, high = (middle, high) if energy < 5 * n else (low, middle)
        # Every level falls near a zero of the power, where a little energy is much time.
        assert found == pytest.approx(low, abs=1e-6)
    assert len(result.crossings(5)) == 8


def test_received_energy_crosses_no_step() -> None:
    v = 170 * np.sin(2 * np.pi * 60 * seconds(4000, 20))
    sign = np.where(np.arange(v.size) // 20_000 % 2, -1.0, 1.0)  # five seconds each way
    result = run({"v1": v, "i1": 0.5 * v * sign}, 4000)
    power = 0.5 * 170**2 / 2
    expected = [5 * 3600 / power * n for n in range(1, 5)]
    expected = [at + 5 if at > 5 else at for at in expected]
    found = result.crossings(5)
    assert len(found) == 4
    assert found == pytest.approx(expected, abs=1 / 60)
    assert result.received_wh == pytest.approx(power * 10 / 3600, rel=2e-3)


def test_chatter_at_a_crossing_does_not_cut_the_cycle() -> None:
    rate = 20_000
    t = 2 * np.pi * 60 * seconds(rate, 5)
    v = 170 * np.sin(t) + np.random.default_rng(4).normal(0, 2, t.size)
    result = run({"v1": v, "i1": 10 * np.sin(t - 1.2)}, rate)
    assert result.hertz == pytest.approx(60, rel=1e-3)
    assert result.received_wh < 0.02 * result.delivered_wh


def test_a_reference_that_was_read_takes_no_more() -> None:
    result = run({"v1": np.ones(100), "i1": np.ones(100)}, 1000)
    assert result.delivered_wh > 0
    with pytest.raises(ValueError, match="no more"):
        result.add(np.ones((4, 10)))


def test_nothing_gives_nothing() -> None:
    found = Reference(8000).as_json()
    assert (found["delivered_wh"], found["received_wh"]) == (0.0, 0.0)
    assert found["hertz"] is None
    assert json.loads(json.dumps(found)) == found
    assert set(found["elements"][0]) == {
        *("delivered_wh", "received_wh", "wh", "volts", "amps", "watts", "va")
    }


def index() -> list[dict]:
    path = WAVES / "INDEX.json"
    return json.loads(path.read_text()) if path.exists() else []


@pytest.mark.skipif(not index(), reason=f"no index of recordings at {WAVES}")
@pytest.mark.parametrize("entry", index(), ids=lambda entry: entry["file"])
def test_recordings_have_their_index_s_energies(entry: dict) -> None:
    with np.load(WAVES / entry["file"]) as file:
        names = [name for name in ("v1", "i1", "v2", "i2") if name in file]
        signals = {name: file[name].astype(np.float64) for name in names}
        rate = float(file["rate_hz"])
    result = run(signals, rate, size=1000)
    for k, expected in enumerate(entry["reference_float64"].values()):
        element = result.elements[k]
        assert element.wh == pytest.approx(expected["wh_all_samples"], rel=1e-9)
        assert element.volts == pytest.approx(expected["volts"], rel=1e-9)
        assert element.amps == pytest.approx(expected["amps"], rel=1e-9)
        assert element.watts == pytest.approx(expected["watts_mean"], rel=1e-9)
    assert result.hertz == pytest.approx(entry["mains_hz"], rel=3e-4)
