"""Reactive energy: varh in the right one of four quadrants, as much as the fundamental's Q makes.

Against Q * t of closed formulas, and against sums of made-up windows in Fractions.
"""

import math
from array import array
from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.rigs.meter_runs import (
    I_NA,
    V_NV,
    Codes,
    Run,
    board,
    convert,
    default_board,
    front_end,
    on_engine,
    split_phase,
)
from threewire.metering import reactive_viper, wide
from threewire.metering.reactive import Quadrants, Reactive, raw_per_varh
from threewire.metering.window import _ENERGY, _REACTIVE, Scales, Window
from tools.engines.result import of_doctor
from tools.front_end.looping import ArrayRecording, Source

TICK_HZ = 64_000_000
# 0.1 % of 200 A at 120 V; half of it in var is the least that is booked.
STARTING_MW = 24_000
LEAST_VAR = 12
QUADRANTS = "I", "II", "III", "IV"
# Angle by which the current lags -> quadrant (IEC 62053-23): delivers and lags, receives and lags
# and so on, where "lags" is the sign of Q.
ANGLES = {30: "I", 75: "I", 100: "II", 150: "II", 200: "III", 260: "III", 290: "IV", 330: "IV"}


def varh(of: Run, which: int) -> list[float]:
    """The four registers of element 1, element 2 or (index 2) the total, I to IV."""
    return [float(register.text()) for register in of.meter.reactive.quadrants[which]]


def booked_s(of: Run) -> float:
    """The time until the end of the last window with phasors: what is booked by then."""
    ticks = known = 0
    for window in of.windows:
        ticks += window.ticks
        if window.points:
            known = ticks
    return known / of.layout.tick_hz


def only(quadrant: str, amount: float) -> list[float]:
    return [amount if name == quadrant else 0 for name in QUADRANTS]


# ---- of a meter


@pytest.mark.parametrize(("lag_deg", "quadrant"), ANGLES.items())
@pytest.mark.parametrize("hertz", [50.0, 60.0])
def test_a_load_books_its_q_in_its_quadrant(hertz: float, lag_deg: int, quadrant: str) -> None:
    of = Run().feed(convert(split_phase((40, 15), lag_deg, hertz), 5))
    seconds = booked_s(of)
    assert seconds > 4.7
    for which, amps in enumerate((40, 15, 55)):
        q_varh = 120 * amps * abs(math.sin(math.radians(lag_deg))) * seconds / 3600
        assert varh(of, which) == pytest.approx(only(quadrant, q_varh), rel=5e-3)


def test_the_total_has_the_quadrant_of_the_sums() -> None:
    # Element 1 delivers 3.6 kW and lags by 3 kvar, element 2 receives 4.8 kW and leads by 2 kvar.
    pairs = ((3600, 3000), (-4800, -2000))
    waves = {}
    for k, (p, q) in enumerate(pairs, 1):
        amps, lag = math.hypot(p, q) / 120, math.degrees(math.atan2(q, p))
        sign = 1 if k == 1 else -1
        waves |= {
            f"{name}{k}": wave
            for name, wave in (
                ("v", split_phase((1, 1))["v1" if sign > 0 else "v2"]),
                ("i", split_phase((amps, amps), lag)["i1" if sign > 0 else "i2"]),
            )
        }
    of = Run().feed(convert(waves, 5))
    hours = booked_s(of) / 3600
    assert varh(of, 0) == pytest.approx(only("I", 3000 * hours), rel=5e-3)
    assert varh(of, 1) == pytest.approx(only("III", 2000 * hours), rel=5e-3)
    # In all -1.2 kW and 1 kvar.
    assert varh(of, 2) == pytest.approx(only("II", 1000 * hours), rel=1e-2)


@pytest.mark.parametrize("amps", [2.0, 30.0, 200.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_load_of_unity_power_factor_books_nothing(amps: float, sign: int) -> None:
    # 24 kVA: 12 var would be 0.03 degrees.
    for hertz in (50, 59.93, 60.0):
        of = Run().feed(convert(split_phase((sign * amps, amps), hertz=hertz), 4))
        assert [varh(of, which) for which in range(3)] == [[0] * 4] * 3


@pytest.mark.parametrize("noise", [0.0, 1.4])
def test_no_load_books_nothing(noise: float) -> None:
    of = Run().feed(convert(split_phase((0, 0)), 30, noise=noise))
    assert [varh(of, which) for which in range(3)] == [[0] * 4] * 3


def test_no_voltage_books_nothing() -> None:
    waves = split_phase((50, 50), lag_deg=60)
    of = Run().feed(convert({name: waves[name] for name in ("i1", "i2")}, 5))
    assert [varh(of, which) for which in range(3)] == [[0] * 4] * 3


@pytest.mark.parametrize("lag_deg", [60.0, -60.0])
def test_time_without_voltage_is_no_reactive_energy_once_it_is_back(lag_deg: float) -> None:
    # Fuses of the voltage leads are out for a minute: no voltage, no vars, whatever flows after.
    full = split_phase((50, 20), lag_deg)
    without = {name: wave for name, wave in full.items() if name[0] == "i"}
    of = Run()
    of.feed(convert(full, 3)).feed(convert(without, 60, start_s=3))
    of.feed(convert(full, 3, start_s=63))
    for which, amps in enumerate((50, 20, 70)):
        q_varh = 120 * amps * math.sin(math.radians(60)) * 6 / 3600
        # Either end of the break may cost a window, and so does what is still under way.
        assert sum(varh(of, which)) == pytest.approx(q_varh, rel=0.15)


def test_a_voltage_that_is_missing_on_one_element_books_nothing_there() -> None:
    waves = split_phase((50, 20), lag_deg=60)
    del waves["v1"]
    of = Run().feed(convert(waves, 8))
    assert varh(of, 0) == [0] * 4
    # Found by the other element's crossings, after 25 ms without one.
    q_varh = 120 * 20 * math.sin(math.radians(60)) * booked_s(of) / 3600
    assert varh(of, 1) == pytest.approx(only("I", q_varh), rel=0.02)


@pytest.mark.parametrize("lag_deg", [-90, 90, -89.9, -90.1, 90.2])
def test_a_pure_capacitor_or_coil_has_one_quadrant(lag_deg: float) -> None:
    of = Run().feed(convert(split_phase((100, 3), lag_deg), 6, noise=1.2))
    for which, amps in enumerate((100, 3, 103)):
        found = varh(of, which)
        assert len([amount for amount in found if amount]) == 1
        assert sum(found) == pytest.approx(120 * amps * booked_s(of) / 3600, rel=5e-3)
        assert found[0 if lag_deg > 0 else 3] > 0


def test_a_capacitor_at_an_exporting_service_leads_and_receives() -> None:
    """The watts tell until there are none: a capacitor that stays on alone counts as before."""
    of = Run().feed(convert(split_phase((-20, -20), 30), 4))
    before = varh(of, 0)
    of.feed(convert(split_phase((20, 20), -90), 4, noise=1.2, start_s=4))
    assert before[0] == before[1] == before[3] == 0 < before[2]
    assert varh(of, 0)[2] > 1.5 * before[2] and varh(of, 0)[3] == 0


# ---- waves that a sine is not all of, and that change


@pytest.mark.parametrize("hertz", [50.0, 60.0, 50.47, 62.5])
@pytest.mark.parametrize("order", [2, 3, 7, 24, 26, 49, 51, 59, 60])
def test_no_harmonic_counts_as_the_fundamental(hertz: float, order: int) -> None:
    """10 % of any harmonic in the current: within 0.5 % of VA of the fundamental's Q."""
    layout = default_board()
    waves = split_phase((50, 50), 45, hertz)
    for name, turned in (("i1", 1), ("i2", -1)):
        plain = waves[name]

        def distorted(t: Any, plain: Any = plain, turned: int = turned) -> Any:
            harmonic = np.sin(2 * np.pi * order * hertz * t + 0.7)
            return plain(t) + turned * 5 * math.sqrt(2) * harmonic

        waves[name] = distorted
    of = Run(layout).feed(convert(waves, 4, layout, noise=1))
    va = 120 * 50 * math.sqrt(1.01)
    q = 120 * 50 * math.sin(math.pi / 4)
    for window in [w for w in of.windows if w.points][2:]:
        for reading in of.meter.readings(window)[:2]:
            assert reading.vars_uw * 1e-6 == pytest.approx(q, abs=0.005 * va)


SWINGS = {
    "1 Hz/s": lambda t: 59 * t + t**2 / 2,
    "-1 Hz/s": lambda t: 62 * t - t**2 / 2,
    "1 Hz either way, twice a second": lambda t: 60 * t - np.cos(4 * np.pi * t) / (4 * np.pi),
}


@pytest.mark.parametrize("name", SWINGS)
def test_varh_while_the_mains_frequency_changes(name: str) -> None:
    """Within 0.5 %, and the doctor judges."""
    layout, turns = default_board(), SWINGS[name]

    def wave(rms: float, lag_deg: float) -> Any:
        lag = math.radians(lag_deg)
        return lambda t: rms * math.sqrt(2) * np.sin(2 * np.pi * turns(t) - lag)

    waves = {"v1": wave(120, 0), "v2": wave(-120, 0), "i1": wave(40, 60), "i2": wave(-15, -30)}
    of = Run(layout).feed(convert(waves, 6, layout, noise=1)).finish()
    hours = 6 / 3600
    lagging, leading = 120 * 40 * math.sin(math.pi / 3), 120 * 15 * 0.5
    assert varh(of, 0) == pytest.approx(only("I", lagging * hours), rel=5e-3)
    assert varh(of, 1) == pytest.approx(only("IV", leading * hours), rel=5e-3)
    # The first two, one of which begins with the recording, only find the frequency.
    assert all(window.points for window in of.windows[2:-1])
    second = of.meter.second
    assert second is not None
    said = of_doctor(of.meter.diagnosis(second, *of.meter.readings(second)[:2]))
    assert [element["verdict"] for element in said["elements"]] == ["right", "right"]


def test_a_turned_ct_books_in_the_opposite_quadrant() -> None:
    of = Run().feed(convert(split_phase((-40, 15), lag_deg=50), 4))
    hours = booked_s(of) / 3600
    q = 120 * math.sin(math.radians(50))
    assert varh(of, 0) == pytest.approx(only("III", 40 * q * hours), rel=5e-3)
    assert varh(of, 1) == pytest.approx(only("I", 15 * q * hours), rel=5e-3)


def recording(amps: Sequence[float], lag_deg: float, seconds: float) -> list[Codes]:
    """A second of sines, looped, as the default board's converter sees it."""
    rate = 24000
    t = np.arange(rate) / rate
    signals = {name: wave(t) for name, wave in split_phase(amps, lag_deg).items()}
    source = Source(ArrayRecording(rate, signals), seconds)
    return list(front_end(default_board()).codes(source))


@pytest.mark.parametrize(("lag_deg", "quadrant"), [(60, "I"), (-60, "IV"), (120, "II")])
def test_a_finished_replay_has_the_reactive_energy_of_all_its_frames(
    lag_deg: float, quadrant: str
) -> None:
    # As for the watt-hours: what is under way at the end counts too. 20 s of 100 A and 3 A.
    result = on_engine("micropython", recording((100, 3), lag_deg, 20)).result
    for amps, found in zip((100, 3, 103), (*result["elements"], result)):
        q_varh = 120 * amps * abs(math.sin(math.radians(lag_deg))) * 20 / 3600
        assert [float(text) for text in found["varh"]] == pytest.approx(
            only(quadrant, q_varh), rel=5e-3
        )


# ---- of made-up windows

GAIN = V_NV * I_NA
SCALES = Scales(TICK_HZ, (V_NV, V_NV), (I_NA, I_NA))


def window(watts: Sequence[float], var: Sequence[float], ticks: int, points: int = 250) -> Window:
    """A window of about these powers; without points it tells no var."""
    made = Window(SCALES)
    made.ticks = ticks
    made.points = points
    for k in (0, 1):
        wide.put(made.words, _ENERGY + 10 * k, round(watts[k] * 1e18) * ticks << 32)
        if points:
            value = round(var[k] * 1e18 / GAIN * 2**17 * points)
            wide.put(made.words, _REACTIVE + 10 * k, value)
    return made


def exact_var(made: Window, k: int) -> Fraction:
    return Fraction(made.number(_REACTIVE + 10 * k) * GAIN, made.points * 2**17 * 10**18)


def totals(of: Reactive) -> list[list[Fraction]]:
    """All registers in varh, exactly."""
    unit = 3600 * 10**18 * TICK_HZ
    return [[r.wh + Fraction(r.residue, unit) for r in registers] for registers in of.quadrants]


powers = st.integers(-24_000, 24_000)
windows = st.lists(
    st.tuples(powers, powers, powers, powers, st.integers(1, TICK_HZ // 5), st.booleans()),
    max_size=12,
)


@given(windows)
def test_quadrants_are_those_of_the_signs_and_of_the_last_watts_that_told(
    rows: list[tuple[int, int, int, int, int, bool]],
) -> None:
    of = Reactive(STARTING_MW, TICK_HZ, reactive_viper)
    expected = [[Fraction(0)] * 4 for _ in range(3)]
    waiting = 0
    delivers = [True] * 3
    for p1, q1, p2, q2, ticks, is_known in rows:
        made = window((p1, p2), (q1, q2), ticks, 250 if is_known else 0)
        of.add(made)
        # What has no phasors counts as the next that has: for how long is another question.
        waiting += ticks
        if waiting > TICK_HZ:
            return
        if not is_known:
            continue
        var = [exact_var(made, 0), exact_var(made, 1)]
        for which, (p, q) in enumerate(((p1, var[0]), (p2, var[1]), (p1 + p2, var[0] + var[1]))):
            if abs(q) >= LEAST_VAR:
                # Under 12 W, or under 1/128 of the var, the watts do not tell.
                if abs(p) >= 12 and 128 * abs(p) >= abs(q):
                    delivers[which] = p > 0
                quadrant = {(1, 1): 0, (1, 0): 1, (0, 0): 2, (0, 1): 3}[q > 0, delivers[which]]
                expected[which][quadrant] += abs(q) * Fraction(waiting, 3600 * TICK_HZ)
        waiting = 0
    found = totals(of)
    for which in range(3):
        for quadrant in range(4):
            # An attovar of rounding, each window.
            assert found[which][quadrant] == pytest.approx(expected[which][quadrant], abs=1e-15)


@pytest.mark.parametrize("sign", [1, -1])
def test_half_the_starting_power_is_the_least_that_counts(sign: int) -> None:
    for var, counts in ((LEAST_VAR - 0.01, False), (LEAST_VAR + 0.01, True)):
        of = Reactive(STARTING_MW, TICK_HZ, reactive_viper)
        of.add(window((100, -100), (sign * var, sign * var), TICK_HZ))
        assert [any(registers) for registers in totals(of)[:2]] == [counts, counts]


def test_values_stand_still() -> None:
    of = Reactive(STARTING_MW, TICK_HZ, reactive_viper)
    of.add(window((100, 100), (500, -500), TICK_HZ))
    before = totals(of)
    kept: Any = of.values()
    of.add(window((100, 100), (500, -500), TICK_HZ))
    unit = raw_per_varh(TICK_HZ)
    assert [[wh + Fraction(residue, unit) for wh, residue in of] for of in kept] == before
    assert totals(of)[0][0] == 2 * before[0][0]


def test_after_a_century_at_full_load_a_window_still_counts_in_full() -> None:
    of = Reactive(STARTING_MW, TICK_HZ, reactive_viper)
    century_s = 100 * 365 * 86400
    for registers in of.quadrants:
        registers[0].add(raw_per_varh(TICK_HZ) * 20_000 * century_s // 3600)
    before = totals(of)[0][0]
    assert before == Fraction(20_000 * century_s, 3600)
    of.add(window((24000, 24000), (20, 20), TICK_HZ // 5))
    assert totals(of)[0][0] - before == pytest.approx(20 * 0.2 / 3600, rel=1e-9)


@pytest.mark.parametrize("seconds", [0.1, 0.15])
def test_what_is_cut_short_books_no_more_than_there_was(seconds: float) -> None:
    # Runs too short for a window of whole cycles have no phasors, and gaps between them no time.
    of = Run(board(slot_ns=0))
    for k in range(20):
        of.feed(convert(split_phase((50, 50), lag_deg=60), seconds, start_s=k))
        of.meter.pause()
    of.feed(convert(split_phase((50, 50), lag_deg=60), 2, start_s=20)).finish()
    most = 6000 * math.sin(math.radians(60)) * (20 * seconds + 2) / 3600
    assert sum(varh(of, 0)) <= 1.005 * most


@given(st.randoms(use_true_random=False))
def test_quadrants_of_one_snapshot_after_the_other(random: Random) -> None:
    """Also of an older one again, as an outlet asks that writes slowly."""
    unit = raw_per_varh(1000)
    residues = [random.randrange(unit) for _ in range(18)]
    whole = [random.randrange(10 ** random.randrange(1, 9)) for _ in range(18)]
    seen = []
    quadrants = Quadrants(unit)
    for _ in range(6):
        for k in random.sample(range(18), random.randrange(18)):
            residues[k] = random.choice((0, 1, unit - 1, residues[k], random.randrange(unit)))
            whole[k] += random.randrange(2)
        words = array("H", bytes(2 * 180))
        for k, residue in enumerate(residues):
            wide.put(words, 10 * k, residue)
        seen.append(((list(whole), words), list(zip(whole, residues, strict=True))))
        for snapshot, exact in random.sample(seen, random.randrange(1, len(seen) + 1)):
            which = random.randrange(3)
            assert quadrants.of(snapshot, which) == [
                (wh, residue * 10**9 // unit) for wh, residue in exact[6 * which : 6 * which + 4]
            ]
