"""What the meter publishes, against the closed formulas of sine waves."""

import math

import numpy as np
import pytest

from host_tests.meter_runs import Wave, convert, run, sine, split_phase

SECONDS = 3.0


@pytest.mark.parametrize("lag_deg", [0.0, 30.0, 60.0, -36.87, 89.0, -89.0, 180.0, 240.0])
@pytest.mark.parametrize("hertz", [50.0, 60.0])
def test_a_sines_readings(hertz: float, lag_deg: float) -> None:
    codes = convert(split_phase((30, 8), lag_deg, hertz), SECONDS)
    one, two, _ = run(codes).readings()
    lag = math.radians(lag_deg)
    for reading, amps in ((one, 30), (two, 8)):
        va = 120 * amps
        assert reading.volts_uv * 1e-6 == pytest.approx(120, rel=5e-4)
        assert reading.amps_ua * 1e-6 == pytest.approx(amps, rel=1e-3)
        assert reading.va_uva * 1e-6 == pytest.approx(va, rel=1e-3)
        assert reading.watts_uw * 1e-6 == pytest.approx(va * math.cos(lag), abs=5e-4 * va)
        # Lagging is positive. A leap of a slot or a frame would show: 0.045 is a frame.
        assert reading.vars_uw * 1e-6 == pytest.approx(va * math.sin(lag), abs=2e-3 * va)
        # Flowing backwards, the sign of the factor is that of the current against its flow.
        sign = -1 if math.sin(lag) * math.cos(lag) < -0.01 else 1
        factor = sign * abs(math.cos(lag))
        assert reading.power_factor_ppm * 1e-6 == pytest.approx(factor, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 1.4])
def test_noise_is_taken_out_of_the_amperes(noise: float, seed: int) -> None:
    codes = convert(split_phase((2, 10)), 10, noise=noise, seed=seed)
    one, two, _ = run(codes).readings()
    # A count of noise alone would make 2.006 A of 2 A (0.28 %) and 0.15 A of none.
    assert one.amps_ua * 1e-6 == pytest.approx(2, rel=3e-3)
    assert two.amps_ua * 1e-6 == pytest.approx(10, rel=1e-3)


def test_noise_alone_is_no_current() -> None:
    one, two, _ = run(convert(split_phase((0, 0)), 10, noise=1.0)).readings()
    for reading in (one, two):
        assert reading.amps_ua * 1e-6 < 0.06
        assert abs(reading.watts_uw) * 1e-6 < 1


def with_harmonics(wave: Wave, rms: float, hertz: float, parts: dict[int, float]) -> Wave:
    extra = [sine(rms * part, order * hertz) for order, part in parts.items()]
    return lambda t: wave(t) + sum(one(t) for one in extra)


def test_harmonics_of_the_current_add_to_amperes_only() -> None:
    waves = split_phase((20, 20), lag_deg=25)
    for name in ("i1", "i2"):
        waves[name] = with_harmonics(waves[name], 20, 60, {3: 0.2, 5: 0.1, 7: 0.05})
    one, two, _ = run(convert(waves, SECONDS)).readings()
    amps = 20 * math.sqrt(1 + 0.2**2 + 0.1**2 + 0.05**2)
    for reading in (one, two):
        assert reading.amps_ua * 1e-6 == pytest.approx(amps, rel=2e-3)
        assert reading.watts_uw == pytest.approx(2400e6 * math.cos(math.radians(25)), rel=1e-3)
        assert reading.vars_uw == pytest.approx(2400e6 * math.sin(math.radians(25)), rel=5e-3)
        factor = 20 / amps * math.cos(math.radians(25))
        assert reading.power_factor_ppm * 1e-6 == pytest.approx(factor, abs=2e-3)


@pytest.mark.parametrize("hertz", [*np.linspace(45, 65, 11), 49.98, 54.99, 55.01, 59.97, 60.02])
def test_frequency(hertz: float) -> None:
    of = run(convert(split_phase((10, 10), hertz=hertz), SECONDS))
    assert of.readings()[2] == pytest.approx(1000 * hertz, abs=10)
    # A window's own, and a second's, which is what the meter publishes.
    assert of.meter.second is not None
    for window in [*of.windows[2:-1], of.meter.second]:
        if window.whole or window is of.meter.second:
            assert of.meter.readings(window)[2] == pytest.approx(1000 * hertz, abs=10)


def test_frequency_with_noise() -> None:
    codes = convert(split_phase((10, 10), hertz=59.9), SECONDS, noise=1.4, offset=-60)
    assert run(codes).readings()[2] == pytest.approx(59900, abs=10)


@pytest.mark.parametrize("amps", [0.0, 15.0])
def test_no_voltage_reads_no_power(amps: float) -> None:
    codes = convert({"i1": sine(amps), "i2": sine(amps)}, SECONDS)
    of = run(codes)
    one, two, hertz_mhz = of.readings()
    assert hertz_mhz == 0
    for reading in (one, two):
        assert reading.volts_uv * 1e-6 < 0.1  # a count of dither is 0.07 V
        assert reading.amps_ua * 1e-6 == pytest.approx(amps, abs=0.05)
        assert abs(reading.watts_uw) * 1e-6 < 0.5
        assert reading.power_factor_ppm in range(-1_000_000, 1_000_001)


def test_silence_reads_zero() -> None:
    codes = np.full((20000, 4), 2048, np.uint16)
    one, two, hertz_mhz = run(codes).readings()
    for reading in (one, two):
        assert set(vars(reading).values()) == {0}
    assert hertz_mhz == 0
