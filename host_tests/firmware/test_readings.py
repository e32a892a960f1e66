"""What the meter publishes, against closed formulas and float64 phasors: each second's readings
and those of whole runs."""

import math
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tools.common.boards
from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import (
    Codes,
    blocks,
    board,
    convert,
    default_board,
    flat,
    front_end,
    run,
    split_phase,
)
from threewire.metering.calibration import nominal
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
from threewire.metering.readings import Total
from threewire.metering.window import Window
from tools.engines import process as engine_process
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.waves import Wave, sine

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


EDGES = {
    "dimmed to 90 degrees": lambda t: np.where(
        np.mod(120 * t, 1) > 0.5, np.sin(120 * np.pi * t), 0
    ),
    "dimmed to 135 degrees": lambda t: np.where(
        np.mod(120 * t, 1) > 0.75, np.sin(120 * np.pi * t), 0
    ),
    "rectifier": lambda t: np.where(
        np.abs(np.mod(120 * t, 1) - 0.5) < 0.04, np.sign(np.sin(120 * np.pi * t)), 0
    ),
}


@pytest.mark.parametrize(("amps", "percent"), [(0.5, 1.5), (1.0, 0.5), (4.0, 0.05)])
@pytest.mark.parametrize("name", EDGES)
def test_a_loads_own_edges_are_no_noise(name: str, amps: float, percent: float) -> None:
    """Within what the noise of 20 s leaves, against the rms of the wave at its own samples."""
    layout, wave = default_board(), EDGES[name]
    t = np.arange(0, 20, layout.frame_ticks / layout.tick_hz)
    its = t + layout.slot_ns["i1"] * 1e-9
    size = amps / math.sqrt(np.mean(wave(its) ** 2))
    waves = {**split_phase((0, 0)), "i1": lambda at: size * wave(at)}
    codes = convert(waves, 20, layout, noise=1.2)
    one, _, _ = run(codes, layout).readings()
    assert one.amps_ua * 1e-6 == pytest.approx(amps, rel=percent / 100)


def test_a_half_wave_loads_amperes_are_without_their_dc() -> None:
    """As a CT passes it: sqrt(1/4 - 1/pi**2) of the sine's crest."""
    waves = {**split_phase((0, 0)), "i1": lambda t: 50 * np.maximum(np.sin(120 * np.pi * t), 0)}
    one, _, _ = run(convert(waves, 4)).readings()
    amps = 50 * math.sqrt(0.25 - 1 / math.pi**2)
    assert one.amps_ua * 1e-6 == pytest.approx(amps, rel=2e-3)
    assert one.power_factor_ppm * 1e-6 == pytest.approx(25 / math.sqrt(2) / amps, rel=5e-3)


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
        values = {name: value for name, value in vars(reading).items() if name[0] != "_"}
        assert len(values) == 6 and set(values.values()) == {0}
        assert reading.watts1_uw == 0
        assert reading.volts_thd_ppm is None and reading.amps_thd_ppm is None
    assert hertz_mhz == 0


# ---- reactive power, against float64 phasors of the recording

RATE = 24000
CURRENT_HARMONICS = {3: 0.2, 5: 0.1, 7: 0.05}
SHAPES: dict[str, tuple[dict[int, float], dict[int, float]]] = {
    "sines": ({}, {}),
    "current": ({}, CURRENT_HARMONICS),
    "both": ({3: 0.03}, CURRENT_HARMONICS),
    "both much": ({3: 0.2, 5: 0.1, 7: 0.05}, CURRENT_HARMONICS),
}


@cache
def signals(
    hertz: int, lag_deg: float, shape: str, amps: tuple[float, float], turned_deg: float = 0
) -> dict[str, NDArray[np.float64]]:
    """A second of 120 V split phase and of currents; harmonics at an angle of their own."""
    angle = 2 * np.pi * hertz * np.arange(RATE) / RATE

    def wave(angle: NDArray[np.float64], parts: dict[int, float]) -> NDArray[np.float64]:
        harmonics = [
            part * np.sin(n * (angle + math.radians(turned_deg))) for n, part in parts.items()
        ]
        return math.sqrt(2) * (np.sin(angle) + sum(harmonics))

    volts, current = SHAPES[shape]
    v = 120 * wave(angle, volts)
    i = wave(angle - math.radians(lag_deg), current)
    return {"v1": v, "i1": amps[0] * i, "v2": -v, "i2": -amps[1] * i}


def fundamental(of: dict[str, NDArray[np.float64]], hertz: int, k: int) -> complex:
    """P1 + j Q1 (IEEE 1459) of element k from phasors over whole cycles."""
    turn = np.exp(-2j * np.pi * hertz * np.arange(RATE) / RATE)
    v, i = (complex((of[f"{name}{k}"] * turn).mean()) * math.sqrt(2) for name in "vi")
    return v * i.conjugate()


def replayed(
    of: dict[str, NDArray[np.float64]],
    name: str = "feather_rp2040",
    seconds: float = 20,
    calibration: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """The result of metering them on a board with the ideal converter."""
    need_engine("micropython")
    layout = tools.common.boards.load(name)
    codes = front_end(layout, **options).codes(Source(ArrayRecording(RATE, of), seconds))
    return engine_process.meter(
        "micropython", codes, name, calibration or {}, layout.frame_ticks, layout.tick_hz
    ).result


def var_cases() -> Iterator[Any]:
    # At 52 and 63 Hz the frames that are looked at meet the mains at every phase.
    for hertz in (45, 50, 52, 60, 63, 65):
        for lag_deg in (60.0, -60.0):
            for shape in SHAPES:
                for turned_deg in (0.0, 40.0) if shape != "sines" else (0.0,):
                    quick = hertz in (50, 60) and turned_deg == 0
                    marks = () if quick else pytest.mark.slow
                    yield pytest.param(hertz, lag_deg, shape, turned_deg, marks=marks)


@pytest.mark.parametrize(("hertz", "lag_deg", "shape", "turned_deg"), list(var_cases()))
@pytest.mark.parametrize("name", ["feather_rp2040", "pico"])
def test_var_is_that_of_the_fundamental(
    name: str, hertz: int, lag_deg: float, shape: str, turned_deg: float
) -> None:
    # The pico derives v2 = -v1. At 3 A dither leaves 0.02 % over 20 s: no wider limit is needed.
    of = signals(hertz, lag_deg, shape, (100, 3), turned_deg)
    result = replayed(of, name)
    both = 0.0
    for k, element in enumerate(result["elements"], 1):
        q = fundamental(of, hertz, k).imag
        assert (q > 0) == (lag_deg > 0)
        assert element["vars_uw"] * 1e-6 == pytest.approx(q, rel=5e-3)
        both += q
    assert result["vars_uw"] * 1e-6 == pytest.approx(both, rel=5e-3)


@pytest.mark.parametrize("lag_deg", [60.0, -60.0, 0.0, 150.0])
@pytest.mark.parametrize("swapped", [(True, False), (False, True), (True, True)])
def test_a_turned_ct_turns_the_sign_of_watts_and_var(
    lag_deg: float, swapped: tuple[bool, bool]
) -> None:
    of = signals(60, lag_deg, "current", (100, 30))
    result = replayed(of, seconds=5, swap_ct=swapped)
    for k, element in enumerate(result["elements"], 1):
        s = fundamental(of, 60, k) * (-1 if swapped[k - 1] else 1)
        assert element["watts_uw"] * 1e-6 == pytest.approx(s.real, abs=2e-3 * abs(s))
        assert element["vars_uw"] * 1e-6 == pytest.approx(s.imag, abs=4e-3 * abs(s))


@pytest.mark.parametrize("lead_deg", [-3.0, -0.3, 0.3, 3.0])
@pytest.mark.parametrize("lag_deg", [60.0, -60.0])
@pytest.mark.parametrize("name", ["feather_rp2040", "pico"])
def test_var_is_right_whichever_input_is_delayed(
    name: str, lag_deg: float, lead_deg: float
) -> None:
    # A current that leads by more than its slot is delayed itself, else its voltage is.
    of = signals(60, lag_deg, "both", (100, 20))
    ns = round(lead_deg / 360 / 60 * 1e9)
    calibration = {"phase1_ns": ns, "phase2_ns": ns}
    result = replayed(of, name, 5, calibration, ct_lead_deg=lead_deg)
    for k, element in enumerate(result["elements"], 1):
        q = fundamental(of, 60, k).imag
        assert element["vars_uw"] * 1e-6 == pytest.approx(q, rel=5e-3)


# ---- both elements together


@pytest.mark.parametrize("lag_deg", [0.0, 40.0, -40.0, 140.0])
def test_the_total_is_of_sums(lag_deg: float) -> None:
    # Element 1 has the angle, element 2 draws 10 A at unity power factor.
    waves = split_phase((30, 10)) | {"i1": sine(30, lag_deg=lag_deg)}
    one, two, _ = run(convert(waves, 3)).readings()
    total = Total(one, two)
    p = 3600 * math.cos(math.radians(lag_deg)) + 1200
    q = 3600 * math.sin(math.radians(lag_deg))
    assert total.watts_uw * 1e-6 == pytest.approx(p, abs=5)
    assert total.vars_uw * 1e-6 == pytest.approx(q, abs=10)
    assert total.va_uva * 1e-6 == pytest.approx(4800, rel=1e-3)  # arithmetic
    sign = -1 if p * q < -1 else 1
    assert total.power_factor_ppm * 1e-6 == pytest.approx(sign * abs(p) / 4800, abs=2e-3)


def test_elements_that_cancel_have_a_power_factor_of_nothing() -> None:
    one, two, _ = run(convert(split_phase((30, -30), 20), 3)).readings()
    total = Total(one, two)
    assert abs(total.watts_uw) * 1e-6 < 3 and abs(total.vars_uw) * 1e-6 < 10
    assert abs(total.power_factor_ppm) < 1000
    assert total.va_uva * 1e-6 == pytest.approx(7200, rel=1e-3)


def test_nothing_has_a_power_factor_of_nothing() -> None:
    nothing: Any = SimpleNamespace(watts_uw=0, vars_uw=0, va_uva=0)
    assert vars(Total(nothing, nothing)) == dict.fromkeys(
        ("watts_uw", "vars_uw", "va_uva", "power_factor_ppm"), 0
    )


# ---- what is published every second

TEN_KHZ, TWO_KHZ = 100, 500  # microseconds


def every_second(codes: Codes, layout: Layout) -> list[tuple[Window, Any, Any, int]]:
    """What could be published: after each window the second behind it, with its readings."""
    found = []

    def on_window(_: Window) -> None:
        if meter.second is not None:
            found.append((meter.second, *meter.readings(meter.second)))

    meter = Meter(layout, nominal(layout), on_window=on_window)
    for block in blocks(codes):
        meter.feed(flat(block), len(block), layout.frame_ticks)
    return found


def with_a_third(hertz: float, angle_deg: float) -> dict[str, Wave]:
    """20 % of third harmonic in both voltages, at an angle to the crossing."""
    waves = split_phase((10, 10), hertz=hertz)
    for name, rms in (("v1", 120), ("v2", -120)):
        waves[name] = plus(waves[name], sine(0.2 * rms, 3 * hertz, angle_deg))
    return waves


def plus(one: Wave, other: Wave) -> Wave:
    return lambda t: one(t) + other(t)


ANGLES = (0, 90, 180, 270, 45)


def hertz_cases() -> Iterator[Any]:
    for n, hertz in enumerate(np.arange(45, 65.1, 0.5)):
        for k, angle_deg in enumerate(ANGLES):
            marks = () if n % len(ANGLES) == k else pytest.mark.slow
            yield pytest.param(float(hertz), angle_deg, marks=marks)


@pytest.mark.parametrize(("hertz", "angle_deg"), list(hertz_cases()))
@pytest.mark.parametrize("period_us", [TEN_KHZ, TWO_KHZ], ids=["10 kHz", "2 kHz"])
def test_every_seconds_hertz(period_us: int, hertz: float, angle_deg: float) -> None:
    layout = board(period_us=period_us)
    start_s = hertz % 1 / 50 + angle_deg / 1e5  # anywhere in a cycle
    codes = convert(with_a_third(hertz, angle_deg), 3, layout, noise=2, start_s=start_s)
    found = [hertz_mhz for *_, hertz_mhz in every_second(codes, layout)]
    assert len(found) >= 8
    assert found == pytest.approx([1000 * hertz] * len(found), abs=10)


@pytest.mark.parametrize("offset", [-100, 60])
@pytest.mark.parametrize("hertz", [50.0, 59.93])
@pytest.mark.parametrize("period_us", [TEN_KHZ, TWO_KHZ], ids=["10 kHz", "2 kHz"])
def test_every_seconds_hertz_with_a_bias_off_mid_scale(
    period_us: int, hertz: float, offset: float
) -> None:
    # The first second too: its first crossing was seen before the offset was known.
    layout = board(period_us=period_us)
    codes = convert(with_a_third(hertz, 180), 3, layout, offset=offset)
    found = [hertz_mhz for *_, hertz_mhz in every_second(codes, layout)]
    assert found == pytest.approx([1000 * hertz] * len(found), abs=10)


# Frames in a second differ by one from second to second, at the crossing of the voltage. Where the
# power there is not nothing, one frame too many shows: 0.01 % at 10 kHz and unity power factor.
@pytest.mark.parametrize("lag_deg", [0.0, 60.0, -60.0])
@pytest.mark.parametrize("hertz", [49.97, 50.07, 59.93, 60.0])
@pytest.mark.parametrize(
    ("period_us", "most"), [(TEN_KHZ, 1e-4), (TWO_KHZ, 2e-4)], ids=["10 kHz", "2 kHz"]
)
def test_a_steady_load_reads_the_same_each_second(
    period_us: int, most: float, hertz: float, lag_deg: float
) -> None:
    layout = board(period_us=period_us)
    found = every_second(convert(split_phase((200, 200), lag_deg, hertz), 4, layout), layout)
    steady = [row for row in found if row[0].whole]
    assert len(steady) >= 8
    watts = 24000 * math.cos(math.radians(lag_deg))
    for window, one, two, _ in found:
        # The first holds what there was before the first crossing: a frame or two more or less.
        near = most if window.whole else 3 * layout.frame_ticks / layout.tick_hz
        for reading in (one, two):
            assert reading.watts_uw * 1e-6 == pytest.approx(watts, rel=near)
            assert reading.volts_uv * 1e-6 == pytest.approx(120, rel=near)


@pytest.mark.parametrize("lag_deg", [0.0, 60.0, -60.0])
@pytest.mark.parametrize("hertz", [50.07, 59.93, 60.0])
@pytest.mark.parametrize("period_us", [TEN_KHZ, TWO_KHZ], ids=["10 kHz", "2 kHz"])
def test_a_steady_load_on_208y_120_reads_nearly_the_same_each_second(
    period_us: int, hertz: float, lag_deg: float
) -> None:
    # Element 2's voltage and current are anything at the crossing of element 1's voltage: up to
    # 3 times their mean product at this power factor, of which a frame too many is a part.
    layout = board(period_us=period_us)
    waves = split_phase((200, 200), lag_deg, hertz)
    waves |= {"v2": sine(120, hertz, 120), "i2": sine(200, hertz, 120 + lag_deg)}
    found = every_second(convert(waves, 4, layout), layout)
    watts = 24000 * math.cos(math.radians(lag_deg))
    frame = layout.frame_ticks / layout.tick_hz
    for _, one, two, _ in found:
        for reading in (one, two):
            assert reading.watts_uw * 1e-6 == pytest.approx(watts, rel=3 * frame)
            assert reading.volts_uv * 1e-6 == pytest.approx(120, rel=1.5 * frame)


def test_a_seconds_var_is_within_half_a_per_cent() -> None:
    for hertz, lag_deg in ((50.0, 60.0), (59.93, -60.0), (60.1, 60.0)):
        codes = convert(split_phase((200, 20), lag_deg, hertz), 3)
        q = 120 * math.sin(math.radians(lag_deg))
        for _, one, two, _ in every_second(codes, board()):
            assert one.vars_uw * 1e-6 == pytest.approx(200 * q, rel=5e-3)
            assert two.vars_uw * 1e-6 == pytest.approx(20 * q, rel=5e-3)
