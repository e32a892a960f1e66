"""The front end model: time base, loops, interpolation, and the two ADCs."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.front_end.interpolation import Evaluator, LoopSpline, StreamSpline, make_spline
from tools.front_end.looping import ArrayRecording, Floats, Source, loop_length, mains_frequency
from tools.front_end.model import (
    GAIN_SPREAD,
    NOISE_COUNTS,
    OFFSET_SPREAD_COUNTS,
    WIDE_CODES,
    FrontEnd,
    transfer_table,
)
from tools.replay.reference import Reference

INPUTS = ("i1", "v1", "i2", "v2")
VOLTS_A_COUNT, AMPS_A_COUNT = 0.11, 0.15


def tone(rate: float, samples: int, hertz: float, phase: float = 0.0) -> Floats:
    return np.sin(2 * np.pi * hertz * np.arange(samples) / rate + phase)


def house(rate: float, seconds: float, hertz: float = 60.0, lag: float = 0.5) -> ArrayRecording:
    n = round(rate * seconds)
    return ArrayRecording(
        rate,
        {
            "v1": 170 * tone(rate, n, hertz),
            "i1": 200 * tone(rate, n, hertz, -lag),
            "v2": -165 * tone(rate, n, hertz),
            "i2": -240 * tone(rate, n, hertz, lag),
        },
    )


def steady(rate: float = 8000.0, seconds: float = 1.0, **level: float) -> ArrayRecording:
    n = round(rate * seconds)
    names = ("v1", "i1", "v2", "i2") if {"v2", "i2"} & set(level) else ("v1", "i1")
    return ArrayRecording(rate, {name: np.full(n, level.get(name, 0.0)) for name in names})


def all_codes(front_end: FrontEnd, source: Source, size: int = 4096) -> np.ndarray:
    return np.concatenate(list(front_end.codes(source, size)))


class Lengthy(ArrayRecording):
    """A recording that is too long for a loop in memory: it claims so by its blocks' order."""

    reads = 0

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = 65536
    ) -> Iterator[Floats]:
        self.reads += 1
        return super().blocks(start, stop, size)


# --- cutting and looping ---------------------------------------------------------------------


def test_the_whole_recording_is_taken_once_without_a_duration() -> None:
    recording = house(8000, 1.2345)
    source = Source(recording)
    assert source.duration == Fraction(recording.samples, 8000)
    assert source.loop_samples is None
    joined = np.concatenate(list(source.blocks(1000)), axis=1)
    assert np.array_equal(joined, np.concatenate(list(recording.blocks()), axis=1))


def test_a_shorter_duration_cuts_and_does_not_loop() -> None:
    source = Source(house(8000, 2), 0.50005)
    assert source.loop_samples is None
    assert sum(b.shape[1] for b in source.blocks()) == 4001  # the last one counts in part


@pytest.mark.parametrize("duration", [0, -1.0])
def test_no_duration_to_speak_of_is_refused(duration: float) -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        Source(house(8000, 1), duration)


@pytest.mark.parametrize(("hertz", "rate"), [(60.0, 8000), (49.97, 1000), (59.98, 30707.25)])
def test_mains_frequency_from_either_voltage(hertz: float, rate: float) -> None:
    recording = house(rate, 2.03, hertz)
    assert mains_frequency(recording) == pytest.approx(hertz, rel=1e-4)
    v1, i1, v2, i2 = next(iter(recording.blocks(size=1 << 20)))
    rng = np.random.default_rng(1)
    for dead in (np.zeros_like(v1), rng.normal(0, 0.1, v1.size)):
        swapped = ArrayRecording(rate, {"v1": dead, "i1": i1, "v2": v2, "i2": i2})
        assert Source(swapped).mains_hz == pytest.approx(hertz, rel=1e-4)
        none = ArrayRecording(rate, {"v1": dead, "i1": i1, "v2": dead, "i2": i2})
        assert Source(none).mains_hz is None


def test_mains_frequency_survives_a_dead_spell_and_noise() -> None:
    rate, n = 4000.0, 40000
    v1 = 170 * tone(rate, n, 50.03) + np.random.default_rng(2).normal(0, 2, n)
    v1[8000:20000] *= 0
    recording = ArrayRecording(rate, {"v1": v1, "i1": v1})
    assert mains_frequency(recording) == pytest.approx(50.03, rel=5e-4)


@settings(deadline=None, max_examples=200)
@given(samples=st.integers(20, 10**6), cycle=st.floats(10, 1000))
def test_a_loop_is_nearly_whole_cycles_and_nearly_the_recording(
    samples: int, cycle: float
) -> None:
    length = loop_length(samples, cycle)
    assert 1 <= length <= samples
    cycles = length / cycle
    if samples >= cycle:
        assert abs(cycles - round(cycles)) * cycle <= 0.5 + 1e-6
        assert round(cycles) >= 0.9 * math.floor(samples / cycle) - 1


def test_a_loop_runs_on_over_its_seam() -> None:
    # 8000/60 samples a cycle: 3 cycles are exactly 400 samples; 5.3 s are 42 400 samples.
    recording = house(8000, 0.2123)
    source = Source(recording, 5.3)
    assert source.loop_samples == 1600
    looped = np.concatenate(list(source.blocks(777)), axis=1)
    expected = np.concatenate(list(house(8000, 5.3).blocks()), axis=1)
    assert looped.shape == expected.shape
    assert np.abs(looped - expected).max() < 1e-9
    backwards = np.concatenate(list(source.extended(-500, 1700, 300)), axis=1)
    assert np.array_equal(backwards[:, :500], looped[:, 1100:1600])


def test_a_loop_too_long_for_memory_reads_the_recording_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording = Lengthy(
        8000, {"v1": 170 * tone(8000, 1700, 60), "i1": 9 * tone(8000, 1700, 60, 1)}
    )
    kept = Source(recording, 3)
    expected = np.concatenate(list(kept.blocks()), axis=1)
    codes = all_codes(FrontEnd(), kept)
    monkeypatch.setattr("tools.front_end.looping._LOOP_IN_MEMORY", 100)
    recording.reads = 0
    source = Source(recording, 3)
    assert source.loop() is None
    assert np.array_equal(np.concatenate(list(source.blocks()), axis=1), expected)
    assert recording.reads >= 15
    streamed = all_codes(FrontEnd(), source).astype(int)
    # The two splines differ by far less than a count: a few codes fall on the other side.
    assert np.abs(streamed - codes).max() <= 1
    assert np.count_nonzero(streamed - codes) < 1e-3 * codes.size


def test_a_looped_reference_has_the_analytic_energy() -> None:
    source = Source(house(8000, 0.2123), 3600)
    reference = Reference(8000, source.duration)
    for block in source.blocks():
        reference.add(block)
    watts = 170 * 200 / 2 * math.cos(0.5)
    assert reference.elements[0].wh == pytest.approx(watts, rel=1e-9)
    assert reference.elements[1].wh == pytest.approx(165 * 240 / 2 * math.cos(0.5), rel=1e-9)


def test_beyond_the_ends_the_signal_is_reflected_then_held() -> None:
    line = ArrayRecording(1000, {"v1": np.arange(300.0), "i1": 2 * np.arange(300.0)})
    for stop in (300, 428, 1000):
        joined = np.concatenate(list(Source(line).extended(-128, stop, 100)), axis=1)
        expected = np.minimum(np.arange(-128.0, stop), 427)
        assert np.array_equal(joined[0], expected)
    single = ArrayRecording(1000, {"v1": [3.0], "i1": [4.0]})
    joined = np.concatenate(list(Source(single).extended(-3, 4)), axis=1)
    assert np.array_equal(joined[:2], np.repeat([[3.0], [4.0]], 7, axis=1))


# --- interpolation ---------------------------------------------------------------------------

# rate, mains, harmonics with the worst error allowed, of an amplitude of 1
TONES = [
    (500, 50, {1: 1e-5, 3: 2e-5}),
    (1000, 50, {1: 1e-5, 3: 1e-5, 5: 1e-5, 8: 2e-5}),
    (1200, 60, {1: 1e-5, 3: 1e-5, 5: 1e-5, 8: 2e-5}),
    (2000, 50, {1: 1e-5, 3: 1e-5, 8: 1e-4, 15: 3e-4}),
    (8000, 60, {1: 1e-6, 3: 2e-6, 5: 1e-5, 8: 8e-5}),
    (30707.25, 60, {1: 1e-6, 8: 1e-6, 16: 1e-5}),
]


def interpolated(source: Source, row: int, low: float, step: float, count: int) -> Floats:
    """Row `row` of the source at sample positions low + k * step."""
    spline = make_spline(source, [row], np.ones(1), low, step * count)
    evaluate = Evaluator(1, count, step * spline.raised)
    base = math.floor(low * spline.raised) - 1
    table, origin = spline.window(base, base + math.ceil(evaluate.reach) + 4)
    out = np.empty((1, count), dtype=np.float32)
    evaluate(table, np.array([low * spline.raised - origin]), out)
    return out[0].astype(np.float64)


@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize(("rate", "mains", "harmonics"), TONES)
def test_tones_at_any_instant(
    rate: float, mains: float, harmonics: dict[int, float], looped: bool
) -> None:
    n = round(4 * rate)
    for order, error in harmonics.items():
        recording = ArrayRecording(
            rate, {"v1": tone(rate, n, mains), "i1": tone(rate, n, order * mains, 0.3)}
        )
        source = Source(recording, 100 if looped else None)
        step = rate / 9001.3
        at = 100.123 + step * np.arange(round(800 / step))
        found = interpolated(source, 1, 100.123, step, at.size)
        expected = np.sin(2 * np.pi * order * mains * at / rate + 0.3)
        assert np.abs(found - expected).max() < error
        spline = make_spline(source, [1], np.ones(1), 0, 1000)
        assert isinstance(spline, LoopSpline if looped else StreamSpline)


def test_a_multitone_in_a_short_loop_is_exact() -> None:
    # Everything up to 0.45 of the rate, over a loop of few cycles, across many turns and the seam.
    rate, n = 1200.0, 240
    rng = np.random.default_rng(3)
    parts = [(k, rng.uniform(0.1, 1), rng.uniform(0, 6)) for k in (1, 2, 3, 5, 7, 9)]
    mix = sum(a * tone(rate, n, 60 * k, p) for k, a, p in parts)
    recording = ArrayRecording(rate, {"v1": tone(rate, n, 60), "i1": mix})
    source = Source(recording, 60)
    assert source.loop_samples == 240
    at = 17.3 + 0.0777 * np.arange(20000)
    found = interpolated(source, 1, 17.3, 0.0777, 20000)
    expected = sum(a * np.sin(2 * np.pi * 60 * k * at / rate + p) for k, a, p in parts)
    assert np.abs(found - expected).max() < 2e-5


@pytest.mark.parametrize(
    ("rate", "seconds", "period"),
    [
        (8000.0, 1.0, 8000),
        (12000.0, 0.5, 4000),
        (10000.0, 0.25, 2000),  # a turn is no whole number of chunks, nor are ten
        (6400.0, 0.05, 400),  # many turns a chunk
        (24000.0, 50 / 24000, 50),  # a frame is 3 samples: 50 are three turns of an odd loop
        (8000.3, 1.0, None),
    ],
)
@pytest.mark.parametrize("adc", ["ideal", "real"])
def test_what_is_kept_of_a_loop_has_the_bits_it_would_have_anew(
    rate: float, seconds: float, period: int | None, adc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int | None] = []
    real = LoopSpline.period

    def noted(*args: Any) -> int | None:
        found.append(real(*args))
        return found[-1]

    recording = house(rate, seconds)
    monkeypatch.setattr(LoopSpline, "period", noted)
    kept = all_codes(FrontEnd(adc=adc, seed=5), Source(recording, 5))
    assert found == [period]
    monkeypatch.setattr(LoopSpline, "period", lambda *_: None)
    assert np.array_equal(kept, all_codes(FrontEnd(adc=adc, seed=5), Source(recording, 5)))


def test_a_loop_is_not_kept_where_rounding_would_show() -> None:
    # Instants on samples have fractions of 0 or just below 1, as their sums are rounded.
    recording = house(8000, 1)
    spline = make_spline(Source(recording, 10), [0], np.ones(1), 0, 4096)
    assert spline.period(np.array([0.25]), Fraction(1)) == 8000 * spline.raised
    assert spline.period(np.array([0.0]), Fraction(1)) is None
    assert spline.period(np.array([0.5 + 2**-25]), Fraction(1)) is None  # between two floats


@pytest.mark.parametrize("rate", [1000.0, 8000.0])
def test_the_ends_of_an_unlooped_recording_stay_tame(rate: float) -> None:
    n = round(rate / 4)
    recording = ArrayRecording(
        rate, {"v1": tone(rate, n, 50), "i1": np.cos(2 * np.pi * 50 * np.arange(n) / rate)}
    )
    codes = all_codes(FrontEnd(na_per_count=1_000_000), Source(recording)).astype(float)
    frames = 2000
    assert codes.shape == (frames, 4)
    at = (np.arange(frames) + 0.5) / 8000 - 0.5 / rate - 7.5e-6
    expected = np.cos(2 * np.pi * 50 * at)
    error = np.abs(codes[:, 0] - 2048 - 1000 * expected)
    inner = slice(round(8000 * 8 / rate), -round(8000 * 8 / rate))
    # The reflection of a crest has the wrong curvature: it costs a little within a few samples.
    assert error[inner].max() < 3
    assert error.max() < 2 + 1000 * (2 * np.pi * 50 / rate) ** 2


# --- the ideal ADC ---------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 0.25, 0.5, 1.75, -100.3, 1234.567])
def test_steady_levels_have_tpdf_statistics(level: float) -> None:
    recording = steady(seconds=25, v1=level * VOLTS_A_COUNT, i1=-level * AMPS_A_COUNT)
    codes = all_codes(FrontEnd(), Source(recording)).astype(np.int64)
    assert codes.shape == (200_000, 4)
    for column, expected in zip(codes.T, (-level, level, 0.0, 0.0)):
        error = column - (2048 + expected)
        # Triangular dither: neither mean nor variance (1/12 + 1/6) depends on the level.
        assert abs(error.mean()) < 5 * 0.5 / math.sqrt(error.size)
        assert error.var() == pytest.approx(0.25, abs=0.005)
        assert np.abs(error).max() < 1.5 + 1e-3
    assert abs(np.corrcoef(codes.T) - np.eye(4)).max() < 0.015


def test_codes_of_a_sine_follow_the_closed_formula() -> None:
    recording = house(8000, 10)
    codes = all_codes(FrontEnd(offset_counts=7.3), Source(recording)).astype(np.float64)
    at = (np.arange(len(codes)) + 0.5) / 8000 - 0.5 / 8000
    signals = (
        (200 / AMPS_A_COUNT, -0.5, -7.5e-6),
        (170 / VOLTS_A_COUNT, 0.0, -2.5e-6),
        (-240 / AMPS_A_COUNT, 0.5, 2.5e-6),
        (-165 / VOLTS_A_COUNT, 0.0, 7.5e-6),
    )
    for column, (peak, phase, offset) in zip(codes.T, signals):
        expected = 2048 + 7.3 + peak * np.sin(2 * np.pi * 60 * (at + offset) + phase)
        error = column - expected
        inner = error[5:-5]
        assert np.abs(inner).max() < 1.5 + 2e-3
        assert abs(inner.mean()) < 0.01
        assert inner.var() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize("rate", [1000.0, 8000.0, 32000.0])
def test_each_input_is_converted_in_its_own_slot(rate: float, looped: bool) -> None:
    offsets = (3e-6, 1.7e-5, 4.1e-5, 8.9e-5)
    period = Fraction(6007, 48_000_000)
    source = Source(house(rate, 2.003 if looped else 20, 50.0), 20)
    codes = all_codes(FrontEnd(INPUTS, offsets, period), source).astype(np.float64)
    assert len(codes) == round(20 / period)
    centre = (np.arange(len(codes)) + 0.5) * float(period) - 0.5 / rate
    phases = []
    for column, offset in zip(codes.T, offsets):
        # Against the time the input should have been converted at: what is left is its error.
        angle = 2 * np.pi * 50 * (centre + offset - np.mean(offsets))
        basis = np.stack((np.sin(angle), np.cos(angle), np.ones_like(angle)), axis=1)
        a, b, _ = np.linalg.lstsq(basis, column, rcond=None)[0]
        phases.append(math.degrees(math.atan2(b, a)))
    expected = np.array([-math.degrees(0.5), 0.0, 180 + math.degrees(0.5), 180])
    error = (np.array(phases) - expected + 180) % 360 - 180
    assert np.abs(error).max() < 1e-3


def test_transducers_shift_in_time_as_told() -> None:
    source = Source(house(8000, 20, lag=0.0))
    codes = all_codes(FrontEnd(ct_lead_deg=0.35, divider_lag_deg=0.12), source).astype(float)
    angle = 2 * np.pi * 60 * np.arange(len(codes)) / 8000
    degrees = []
    for column, offset in zip(codes.T, (-7.5e-6, -2.5e-6, 2.5e-6, 7.5e-6)):
        turned = angle + 2 * np.pi * 60 * offset
        phase = math.atan2(float(column @ np.cos(turned)), float(column @ np.sin(turned)))
        degrees.append(math.degrees(phase) % 180)
    assert degrees == pytest.approx([0.35, 179.88, 0.35, 179.88], abs=1e-3)


def test_frames_keep_time_over_an_hour() -> None:
    # A period that no float holds; the last frames must still sit where Fractions put them.
    period = Fraction(6007, 48_000_000)
    source = Source(house(8000, 0.2), 3600)
    front_end = FrontEnd(("v1",), (0.0,), period)
    tail: list[np.ndarray] = []
    for block in front_end.codes(source):
        tail = [*tail[-1:], block]
    frames = front_end.frames(source)
    last = np.concatenate(tail)[:, 0].astype(float)
    exact = [
        float(((frames - len(last) + k + Fraction(1, 2)) * period - Fraction(1, 16000)) * 60 % 1)
        for k in range(len(last))
    ]
    error = last - 2048 - 170 / VOLTS_A_COUNT * np.sin(2 * np.pi * np.array(exact))
    assert np.abs(error).max() < 1.5 + 2e-3


def test_swapped_cts_are_turned_round_and_others_are_not() -> None:
    source = Source(steady(i1=30.0, v1=22.0, i2=60.0, v2=-22.0))
    for swap in ((False, False), (True, False), (False, True), (True, True)):
        mean = all_codes(FrontEnd(swap_ct=swap), source).mean(axis=0) - 2048
        signs = [-1 if swapped else 1 for swapped in swap]
        assert mean == pytest.approx([200 * signs[0], 200, 400 * signs[1], -200], abs=0.05)


@pytest.mark.parametrize("adc", ["ideal", "real"])
@pytest.mark.parametrize(("ppm", "kelvin"), [(100.0, -25.0), (1000.0, 50.0), (-150.0, 60.0)])
def test_all_inputs_are_read_in_proportion_to_one_over_the_reference(
    adc: str, ppm: float, kelvin: float
) -> None:
    """3.3 V that have become 3.3 V (1 + ppm K): the same volts are fewer of its 4096ths."""
    level = {"i1": 270.0, "v1": 198.0, "i2": -270.0, "v2": -198.0}
    at_rest, held = Source(steady(seconds=5)), Source(steady(seconds=5, **level))

    def signal(**drift: Any) -> np.ndarray:
        """Counts that each input moves by, between two levels."""
        ends = [FrontEnd(adc=adc, seed=4, **drift) for _ in range(2)]
        still, moved = (all_codes(end, of) for end, of in zip(ends, (at_rest, held)))
        # The code of zero stays where a bias out of the reference has it.
        assert still.mean(axis=0) == pytest.approx(
            all_codes(FrontEnd(adc=adc, seed=4), at_rest).mean(axis=0), abs=1e-9
        )
        return moved.mean(axis=0) - still.mean(axis=0)

    pin_volts = 3.3 * np.array([1800, 1800, -1800, -1800]) / 4096
    expected = pin_volts / (3.3 * (1 + ppm * kelvin * 1e-6) / 4096)
    found = signal(reference_ppm=ppm, kelvin=kelvin)
    if adc == "ideal":
        assert found == pytest.approx(expected, abs=0.02)
    else:  # with its channels' gains on both sides; its codes are not all as wide as each other
        assert found / signal() == pytest.approx(np.abs(expected) / 1800, rel=1e-3)
    # Without a drift no temperature changes anything, nor a drift at calibration's.
    nothing: tuple[dict[str, Any], ...] = ({"kelvin": kelvin}, {"reference_ppm": ppm})
    for none in nothing:
        same = all_codes(FrontEnd(adc=adc, seed=4, **none), held)
        assert np.array_equal(same, all_codes(FrontEnd(adc=adc, seed=4), held))


@pytest.mark.parametrize("adc", ["ideal", "real"])
@pytest.mark.parametrize(("ppm", "kelvin"), [(0.0, 0.0), (100.0, -25.0), (-150.0, 60.0)])
def test_the_chips_sensor_reads_its_volts_by_the_reference(
    adc: str, ppm: float, kelvin: float
) -> None:
    """0.706 V at 27 degrees, 1.721 mV less for each more; it is at 25 at calibration."""
    five = {"inputs": (*INPUTS, "temperature"), "offsets_s": [0.0, 5e-6, 1e-5, 1.5e-5, 0.0]}
    drift: dict[str, Any] = {"reference_ppm": ppm, "kelvin": kelvin}
    source = Source(steady(i1=150.0, v1=110.0, seconds=5))
    front_end = FrontEnd(adc=adc, seed=4, **five, **drift)
    codes = all_codes(front_end, source)
    assert codes.shape[1] == 5
    volts = 0.706 + 0.001721 * (2 - kelvin)
    expected = volts * 4096 / (3.3 * (1 + ppm * kelvin * 1e-6))
    # The real converter's bow, and its first wide code.
    assert codes[:, 4].mean() == pytest.approx(expected, abs=3 if adc == "real" else 0.02)
    assert 0.3 < codes[:, 4].std() < 2
    # The inputs are what they are without it, but for what dither and noise made of them.
    without = all_codes(FrontEnd(adc=adc, seed=4, **drift), source)
    assert codes[:, :4].mean(axis=0) == pytest.approx(without.mean(axis=0), abs=0.05)
    waves = {name: lambda t: np.full_like(t, 110.0) for name in INPUTS}
    (evaluated,) = front_end.codes_of(waves, 4000, 60)
    assert evaluated[:, 4].mean() == pytest.approx(codes[:, 4].mean(), abs=0.2)


def test_clipped_samples_are_counted_by_input() -> None:
    source = Source(steady(i1=400.0, v1=-400.0, i2=1.0, v2=1e9))
    for adc in ("ideal", "real"):
        front_end = FrontEnd(adc=adc)
        codes = all_codes(front_end, source, 1000)
        assert front_end.clipped == {"i1": 8000, "v1": 8000, "i2": 0, "v2": 8000}
        assert set(codes[:, 0]) == {4095} and set(codes[:, 1]) == {0}
        all_codes(front_end, Source(steady(v1=1.0)))
        assert not any(front_end.clipped.values())  # of the last replay only


def test_a_sine_beyond_the_range_clips_the_share_it_should() -> None:
    n = 80_000
    recording = ArrayRecording(
        8000, {"v1": 300 * tone(8000, n, 59.9), "i1": 10 * tone(8000, n, 59.9)}
    )
    front_end = FrontEnd()
    all_codes(front_end, Source(recording))
    beyond = sum(math.acos(limit * VOLTS_A_COUNT / 300) for limit in (2047.5, 2048.5)) / math.pi
    assert front_end.clipped["v1"] == pytest.approx(n * beyond, rel=2e-3)
    assert front_end.clipped["i1"] == 0


def test_an_absent_element_reads_mid_scale_and_absent_inputs_are_not_converted() -> None:
    source = Source(steady(v1=100.0, i1=10.0))
    codes = all_codes(FrontEnd(), source).astype(int)
    assert np.abs(codes[:, 2:] - 2048).max() <= 1
    three = all_codes(FrontEnd(("i1", "v1", "i2"), (0.0, 2e-6, 4e-6)), source)
    assert three.shape == (8000, 3)
    assert three.dtype == np.uint16 and three.flags.c_contiguous


@pytest.mark.parametrize(
    ("seconds", "period", "frames"),
    [
        (Fraction(1), Fraction(1, 8000), 8000),
        (Fraction("0.30007"), Fraction(1, 8000), 2401),
        (Fraction("0.3"), Fraction(7, 48_000), 2057),
        (Fraction("1.7"), Fraction(1, 5000), 8500),
    ],
)
def test_the_number_of_frames_is_the_duration_rounded(
    seconds: Fraction, period: Fraction, frames: int
) -> None:
    source = Source(steady(v1=1.0), seconds)
    front_end = FrontEnd(frame_period=period)
    assert front_end.frames(source) == frames
    assert len(all_codes(front_end, source, 999)) == frames


@pytest.mark.parametrize("adc", ["ideal", "real"])
@pytest.mark.parametrize("looped", [True, False])
def test_codes_repeat_by_seed_and_do_not_depend_on_the_block_size(adc: str, looped: bool) -> None:
    source = Source(house(8000, 0.8 if looped else 3), 3)
    first = all_codes(FrontEnd(adc=adc, seed=5), source)
    for size in (1, 7, 512, 4095, 4096, 5000, 100_000):
        blocks = list(FrontEnd(adc=adc, seed=5).codes(source, size))
        assert [len(b) for b in blocks[:-1]] == [size] * (len(blocks) - 1)
        assert all(b.flags.c_contiguous and b.dtype == np.uint16 for b in blocks)
        assert np.array_equal(np.concatenate(blocks), first)
    again = FrontEnd(adc=adc, seed=5)
    assert np.array_equal(all_codes(again, source), all_codes(again, source))
    assert np.count_nonzero(all_codes(FrontEnd(adc=adc, seed=6), source) != first) > 10_000


def test_codes_are_these_ones() -> None:
    # Pinned: a replay must repeat on any machine and with any later numpy.
    source = Source(steady(seconds=0.001, v1=10.0, i1=10.0))
    ideal = all_codes(FrontEnd(seed=1), source)
    real = all_codes(FrontEnd(seed=1, adc="real"), source)
    assert ideal.tolist()[:2] == [[2114, 2140, 2048, 2048], [2116, 2139, 2048, 2048]]
    assert real.tolist()[:2] == [[2116, 2144, 2035, 2058], [2119, 2147, 2034, 2059]]


def test_unusable_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="adc"):
        FrontEnd(adc="perfect")
    with pytest.raises(ValueError, match="offsets"):
        FrontEnd(("v1", "i1"), (0.0,))
    with pytest.raises(ValueError, match="inputs"):
        FrontEnd(("v3",), (0.0,))
    with pytest.raises(ValueError, match="bits"):
        FrontEnd(adc="real", bits=16)
    for drift in ((-1e4, 100.0), (math.nan, 1.0), (1.0, math.inf)):
        with pytest.raises(ValueError, match="reference"):
            FrontEnd(reference_ppm=drift[0], kelvin=drift[1])
    with pytest.raises(ValueError, match="expected v1 i1"):
        ArrayRecording(8000, {"v1": [1.0], "i2": [1.0]})
    with pytest.raises(ValueError, match="one length"):
        ArrayRecording(8000, {"v1": [1.0, 2.0], "i1": [1.0]})


# --- the real ADC ----------------------------------------------------------------------------


def test_the_transfer_table_has_the_erratum_s_wide_codes_and_the_bow() -> None:
    table = transfer_table().astype(int)
    steps_a_count = 32
    assert table.size == 4096 * steps_a_count
    # The bow takes the last code out of the range: only an overdriven input reads 4095.
    assert table[0] == 0 and table[-1] == 4094 and np.all(np.diff(table) >= 0)
    widths = np.bincount(table, minlength=4096) / steps_a_count
    for code in WIDE_CODES:
        assert widths[code] == pytest.approx(9.5, abs=0.06)
    others = np.delete(widths, WIDE_CODES)[8:-8]
    assert others.max() < 1.1 and others.min() > 0.9
    # Without the wide codes' staircase, what is left is the arch of +-1.5 counts.
    edges = np.cumsum(widths)[:-1]
    plain = np.full(4096, (4096 - 38) / 4092)
    plain[list(WIDE_CODES)] = 9.5
    bow = np.cumsum(plain)[:-1] - edges
    expected = 1.5 * (1 - 2 * (2 * edges / 4096 - 1) ** 2)
    inner = slice(8, -8)
    assert np.abs(bow - expected)[inner].max() < 0.05


def test_the_histogram_of_a_slow_ramp_shows_the_wide_codes() -> None:
    n = 1_600_000
    ramp = np.linspace(-260.0, 260.0, n)
    front_end = FrontEnd(("v1",), (0.0,), adc="real", seed=3)
    recording = ArrayRecording(8000, {"v1": ramp, "i1": np.zeros(n)})
    codes = all_codes(front_end, Source(recording))[:, 0]
    per_count = n * VOLTS_A_COUNT / 520 / (1 + front_end.gain_error["v1"])
    widths = np.bincount(codes, minlength=4096) / per_count
    for code in WIDE_CODES:
        assert widths[code] == pytest.approx(9.5, rel=0.05)
        assert widths[code - 3 : code].mean() == pytest.approx(0.99, abs=0.1)


def test_the_noise_and_the_channels_errors_are_the_model_s() -> None:
    source = Source(steady(seconds=25, v1=20.0, i1=20.0))
    seen: list[float] = []
    for seed in range(8):
        front_end = FrontEnd(adc="real", seed=seed)
        seen += [*front_end.gain_error.values()]
        assert max(map(abs, front_end.gain_error.values())) <= GAIN_SPREAD
        assert max(map(abs, front_end.offset_error.values())) <= OFFSET_SPREAD_COUNTS
    assert len(set(seen)) == 32 and np.ptp(seen) > GAIN_SPREAD
    front_end = FrontEnd(adc="real", seed=2)
    codes = all_codes(front_end, source).astype(np.float64)
    for name, column in zip(front_end.inputs, codes.T):
        # Rounding adds a twelfth; codes near mid-scale are 0.8 % narrow.
        assert column.std() == pytest.approx(math.hypot(NOISE_COUNTS, 0.289) * 1.008, rel=0.01)
        value = {"v1": 20 / VOLTS_A_COUNT, "i1": 20 / AMPS_A_COUNT}.get(name, 0.0)
        at = value * (1 + front_end.gain_error[name]) + front_end.offset_error[name]
        # Bow of 1.5 counts at mid-scale; two wide codes below, 4 x 8.5 narrowed evenly.
        assert column.mean() - 2048 == pytest.approx(at * 1.0084 + 1.5, abs=0.15)
    assert abs(np.corrcoef(codes.T) - np.eye(4)).max() < 0.015


def test_a_channel_s_errors_do_not_depend_on_the_slots() -> None:
    four = FrontEnd(adc="real", seed=9)
    two = FrontEnd(("v1", "i1"), (0.0, 2e-6), adc="real", seed=9)
    assert two.gain_error == four.gain_error and two.offset_error == four.offset_error
