"""The calibration solver: against a float64 model of a front end, and against the meter itself.

The model gives the board's readings by closed formulas from the true size of a count and the true
lead of the current; nothing of the solver's is used for it.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.rigs.meter_runs import Codes, Run, default_board, front_end
from host_tests.rigs.telemetry_lines import telemetry_line
from threewire.metering.calibration import from_dict
from tools.common import boards
from tools.common.errors import InputError
from tools.front_end.looping import ArrayRecording, Source
from tools.solve.cli import main
from tools.solve.fit import Floats, Point
from tools.solve.merge import merged
from tools.solve.solver import NOMINAL_LEAD_DEG, NOMINAL_LEAD_U_DEG, Solution, solve

BOARD = "feather_rp2040"
V_NV, I_NA = 110_000_000, 150_000_000
UNITY, LAG, LEAD = 0.0, 60.0, -math.degrees(math.acos(0.8))
TENTH = (0.1, 0.1, 0.1)
LAYOUT = boards.load(BOARD)


@dataclass(frozen=True)
class FrontEnd:
    """What an element's front end truly is, and the constants the board computes with."""

    v_nv: float = 1.043 * V_NV
    i_na: float = 0.931 * I_NA
    phase_ns: Callable[[float], float] = lambda amps: 64_000.0
    v_used: float = V_NV
    i_used: float = I_NA
    phase_used: Callable[[float], float] = lambda amps: 0.0
    hertz: float = 60.0

    def readings(self, volts: float, amps: float, lag_deg: float) -> Floats:
        """Volts, amps, watts, var that the board reads: a count is taken for another size, and a
        current that is not delayed enough seems to lag by less."""
        v = volts / self.v_nv * self.v_used
        i = amps / self.i_na * self.i_used
        early_s = (self.phase_ns(amps) - self.phase_used(i)) * 1e-9
        angle = math.radians(lag_deg) - 2 * math.pi * self.hertz * early_s
        return np.array([v, i, v * i * math.cos(angle), v * i * math.sin(angle)])

    def point(
        self,
        amps: float,
        lag_deg: float,
        volts: float = 120.0,
        element: int = 1,
        name: str = "",
        lines: int = 1,
    ) -> Point:
        """A point without any error but those to be calibrated."""
        read = np.tile(self.readings(volts, amps, lag_deg), (lines, 1))
        watts = volts * amps * math.cos(math.radians(lag_deg))
        name = name or f"{amps:g} A at {lag_deg:.0f} degrees"
        return Point(name, element, self.hertz, read, (volts, amps, watts), TENTH)


def solved(*points: Point, **constants: Any) -> Solution:
    return solve(constants, LAYOUT, points)


# ---- what perfect readings give


@settings(deadline=None)
@given(
    v=st.floats(0.8, 1.25),
    i=st.floats(0.8, 1.25),
    phase_ns=st.floats(-400_000, 400_000),
    phase_used=st.integers(-90_000, 90_000),
    v_sign=st.sampled_from((1, -1)),
    i_used=st.integers(120_000_000, 180_000_000),
    hertz=st.sampled_from((50.0, 59.97, 60.0)),
    lags=st.lists(st.floats(37, 72) | st.floats(-72, -37), min_size=1, max_size=3),
    nearly=st.floats(-13, 13),
    element=st.sampled_from((1, 2)),
)
def test_perfect_readings_give_the_front_end(
    v: float,
    i: float,
    phase_ns: float,
    phase_used: int,
    v_sign: int,
    i_used: int,
    hertz: float,
    lags: list[float],
    nearly: float,
    element: int,
) -> None:
    true = FrontEnd(
        v * V_NV,
        i * I_NA,
        lambda amps: phase_ns,
        V_NV + 7_000_003,
        i_used,
        lambda amps: phase_used,
        hertz,
    )
    in_force = {
        f"v{element}_nv": v_sign * (V_NV + 7_000_003),
        f"i{element}_na": i_used,
        f"phase{element}_ns": phase_used,
    }
    # A load's angle and a phase error of up to 10 degrees must leave power flowing to the load.
    points = [true.point(30, lag, element=element) for lag in (*lags, nearly)]
    points = [point for point in points if point.board[0, 2] > 0]
    found = solved(*points, **in_force)
    if not any(point.power_factor <= 0.8 for point in points):
        return
    assert found.constants[f"v{element}_nv"] == pytest.approx(v_sign * v * V_NV, abs=1.01)
    assert found.constants[f"i{element}_na"] == pytest.approx(i * I_NA, abs=1.01)
    assert found.constants[f"phase{element}_ns"] == pytest.approx(phase_ns, abs=1.01)
    assert set(found.constants) == set(in_force) == set(found.uncertainty)
    for left in found.residuals:
        assert np.abs(left.after).max() < 2e-4  # percent


def test_errors_before_and_after_are_the_boards() -> None:
    true = FrontEnd()
    points = [true.point(30, UNITY), true.point(30, LAG)]
    found = solved(*points)
    for left, point in zip(found.residuals, points):
        assert left.point is point
        want = 100 * (point.board[0, :3] / np.array(point.reference) - 1)
        assert left.before == pytest.approx(want)
    # The lead of 64 us, 1.38 degrees, is worth 4 % at PF 0.5 on top of the gains' 2.9 %.
    gains = 1 / (1.043 * 0.931)
    lead = math.cos(math.radians(60 - 1.3824)) / 0.5
    assert found.residuals[1].before[2] == pytest.approx(100 * (gains * lead - 1), abs=1e-3)
    assert np.abs(found.residuals[1].after).max() < 1e-4


def test_elements_are_solved_apart_and_alone() -> None:
    one, two = FrontEnd(), FrontEnd(0.97 * V_NV, 1.08 * I_NA, lambda amps: -12_345.0)
    points = [
        end.point(amps, lag, element=n)
        for amps, lag in ((30, UNITY), (20, LAG))
        for n, end in ((1, one), (2, two))
    ]
    both = solved(*points)
    alone = [solved(*[p for p in points if p.element == n]) for n in (1, 2)]
    assert both.constants == alone[0].constants | alone[1].constants
    assert both.uncertainty == alone[0].uncertainty | alone[1].uncertainty
    assert set(alone[1].constants) == {"v2_nv", "i2_na", "phase2_ns"}
    # What is in force for the other element stays, and so does the converter's correction.
    rest = {"v2_nv": -V_NV, "phase2_by_ma": [[0, 5], [9, 6]], "adc": {"steps": []}, "board": BOARD}
    kept = solved(*[p for p in points if p.element == 1], **rest)
    assert kept.constants == alone[0].constants | rest


def test_a_board_with_a_derived_voltage_has_a_gain_for_it() -> None:
    end = FrontEnd(1.01 * V_NV, I_NA, lambda amps: 40_000.0)
    points = [end.point(30, UNITY, element=2), end.point(30, LAG, element=2)]
    found = solve({}, boards.load("pico"), points)
    assert found.constants["v2_nv"] == pytest.approx(1.01 * V_NV, abs=1)
    assert found.constants["phase2_ns"] == pytest.approx(40_000, abs=1)


# ---- what does not go together is said


def test_points_that_go_together_warn_of_nothing() -> None:
    end = FrontEnd()
    points = [end.point(30, UNITY), end.point(20, LAG), end.point(5, LEAD)]
    assert solved(*points).warnings == []
    # A heater alone, whose CT leads as it is assumed to: 1.5 degrees at 60 Hz.
    alone = FrontEnd(phase_ns=lambda amps: 1.5e9 / 360 / 60).point(30, UNITY)
    found = solved(alone)
    assert found.warnings == [] and not any("times what" in note for note in found.notes)


@pytest.mark.parametrize("percent", [0.3, 0.9, -0.9])
def test_a_misfit_is_said_and_makes_constants_less_sure(percent: float) -> None:
    """One heater whose watts are not volts times amps: the three readings share the error by the
    squares of their uncertainties, each 0.1 % but for the watts, which the assumed phase makes
    less sure."""
    end = FrontEnd(phase_ns=lambda amps: 1.5e9 / 360 / 60)
    good, bad = end.point(30, UNITY), changed(end.point(30, UNITY), watts=1 - percent / 100)
    found = solved(bad)
    degrees = math.radians(1.0)
    angle = math.radians(UNITY) - math.radians(1.5) + math.radians(1.5)
    sure = np.array([0.1, 0.1, 100 * math.hypot(1e-3, math.tan(angle) * 0.7 * degrees)])
    off = percent * sure**2 / (sure**2).sum()
    sigmas = (off / sure).max() if percent > 0 else -(off / sure).min()
    assert bool(found.warnings) == (sigmas > 4)
    misfit = abs(percent) / math.sqrt((sure**2).sum())
    ratio = found.uncertainty["v1_nv"] / solved(good).uncertainty["v1_nv"]
    # Chance makes a misfit of 3.3 standard uncertainties once in a thousand times.
    assert ratio == pytest.approx(misfit if misfit > 3.3 else 1, rel=0.02)


def test_an_assumed_phase_that_the_boards_own_var_contradicts() -> None:
    # A heater, 0 degrees by the reference, that the board sees lag by 8.
    end = FrontEnd(phase_ns=lambda amps: -8e9 / 360 / 60)
    found = solved(end.point(16.67, 0.0))
    assert any("own var" in text and "lags by 9.5 degrees" in text for text in found.warnings)
    assert not any(
        "own var" in text for text in solved(end.point(16.67, 0.0), phase1_ns=1).warnings
    )


def test_points_that_disagree_are_said() -> None:
    end = FrontEnd()
    other = changed(end.point(20, LAG), volts=1.008, watts=1.008)
    found = solved(end.point(30, UNITY), other)
    # 0.8 % apart, of 0.1 % each: 5.6 standard uncertainties.
    assert any(
        "volts by the reference" in text and "5.6 standard" in text for text in found.warnings
    )


# ---- phase by current


def falling_lead(amps: float) -> float:
    """3 degrees of lead at 1 A, 0.6 at 100 A, 60 Hz."""
    return 1e6 / 360 / 60 * 1000 * (3 - 1.2 * math.log10(amps))


CURRENTS = (2.0, 10.0, 40.0, 150.0)


def test_different_phases_make_a_table() -> None:
    true = FrontEnd(phase_ns=falling_lead)
    points = [true.point(amps, LAG) for amps in reversed(CURRENTS)]
    points += [true.point(10.2, LEAD), true.point(30, UNITY)]
    # 10 A and 10.2 A share a row, of their mean current.
    found = solved(*points, phase1_ns=3)
    rows = found.constants["phase1_by_ma"]
    assert [ma for ma, _ in rows] == [2000, 10100, 40000, 150000]
    assert "phase1_ns" not in found.constants
    for ma, ns in rows:
        assert ns == pytest.approx(falling_lead(ma / 1000), abs=300)
    assert len(found.uncertainty["phase1_by_ma"]) == 4
    assert all(u > 0 for u in found.uncertainty["phase1_by_ma"])
    made = from_dict(found.constants, LAYOUT)
    assert made.phase_at(0, 2_000_000) == pytest.approx(falling_lead(2), abs=60)
    assert any("table" in note for note in found.notes)
    for left in found.residuals:
        assert np.abs(left.after).max() < 0.02


def test_a_table_in_force_is_taken_as_it_was() -> None:
    table = [[1000, 90_000], [20_000, 30_000], [100_000, 10_000]]
    used = FrontEnd(
        phase_ns=lambda amps: 55_000.0,
        phase_used=lambda amps: float(np.interp(1000 * amps, *np.array(table, float).T)),
    )
    points = [used.point(amps, LAG) for amps in (3, 30, 90)]
    found = solved(*points, phase1_by_ma=table)
    assert found.constants["phase1_ns"] == pytest.approx(55_000, abs=2)
    assert "phase1_by_ma" not in found.constants
    # The other way round: from one phase to a table.
    other = FrontEnd(phase_ns=falling_lead, phase_used=lambda amps: 20_000.0)
    again = solved(*[other.point(amps, LAG) for amps in (3, 90)], phase1_ns=20_000)
    (_, low), (_, high) = again.constants["phase1_by_ma"]
    assert (low, high) == pytest.approx((falling_lead(3), falling_lead(90)), abs=2)


def test_phases_within_their_uncertainty_are_one() -> None:
    # 0.1 % of W and VA is 0.1 degree at PF 0.5: 4.6 us; these differ by 2 us.
    true = FrontEnd(phase_ns=lambda amps: 60_000.0 + (2_000 if amps > 10 else 0))
    points = [true.point(5, LAG), true.point(50, LAG)]
    found = solved(*points)
    assert found.constants["phase1_ns"] == pytest.approx(61_000, abs=1000)
    sure = [replace(point, percent=(0.001, 0.001, 0.001)) for point in points]
    assert len(solved(*sure).constants["phase1_by_ma"]) == 2


# ---- without a load of low power factor


def test_the_nominal_lead_is_assumed_and_said() -> None:
    true = FrontEnd(phase_ns=lambda amps: NOMINAL_LEAD_DEG / 360 / 60 * 1e9)
    found = solved(true.point(30, UNITY))
    assert found.constants["phase1_ns"] == round(NOMINAL_LEAD_DEG / 360 / 60 * 1e9)
    assert found.uncertainty["phase1_ns"] == pytest.approx(NOMINAL_LEAD_U_DEG / 360 / 60 * 1e9)
    assert found.constants["v1_nv"] == pytest.approx(1.043 * V_NV, abs=1)
    assert found.constants["i1_na"] == pytest.approx(0.931 * I_NA, abs=1)
    assert np.abs(found.residuals[0].after).max() < 1e-4
    assert any("assumed" in note and "1.5 +- 0.7" in note for note in found.notes)
    # At 50 Hz the same angle takes longer.
    slow = solved(replace(FrontEnd(), hertz=50.0).point(30, UNITY))
    assert slow.constants["phase1_ns"] == round(NOMINAL_LEAD_DEG / 360 / 50 * 1e9)


def test_a_lead_that_is_given_is_used_and_replaces_a_table() -> None:
    point = FrontEnd().point(30, UNITY)
    table = [[0, 1], [9, 2]]
    found = solve({"phase1_by_ma": table}, LAYOUT, [point], lead_deg=2.16, lead_u_deg=0.216)
    assert found.constants["phase1_ns"] == 100_000
    assert found.uncertainty["phase1_ns"] == pytest.approx(10_000)
    assert "phase1_by_ma" not in found.constants
    # Where the phase is measured a given lead is not used.
    measured = solve({}, LAYOUT, [point, FrontEnd().point(30, LAG)], lead_deg=2.16)
    assert measured.constants["phase1_ns"] == pytest.approx(64_000, abs=1)


@pytest.mark.parametrize("kept", [{"phase1_ns": 31_000}, {"phase1_by_ma": [[0, 9], [99, 8]]}])
def test_a_phase_in_force_stays(kept: dict[str, Any]) -> None:
    end = FrontEnd()
    found = solved(end.point(30, UNITY), **kept)
    assert {key: found.constants[key] for key in kept} == kept
    assert set(found.uncertainty) == {"v1_nv", "i1_na"}
    assert any("stays" in note for note in found.notes)
    assert found.constants["v1_nv"] == pytest.approx(1.043 * V_NV, rel=1e-4)


# ---- honesty of the stated uncertainties


def measured(
    rng: np.random.Generator, point: Point, common: Floats, own: float, scatter: float
) -> Point:
    """The point as it is really had: the reference is off by `common` (fractions of V, A, W) and
    at each point by another `own`; the board's lines scatter, its load with them, and are cut off.
    """
    off = 1 + common + own * rng.normal(size=3)
    n = len(point.board)
    noise = 1 + scatter * rng.normal(size=(n, 4))
    load = 1 + scatter * rng.normal(size=(n, 1)) * np.array([1, 1, 2, 2])
    read = np.trunc(point.board * noise * load * 1000) / 1000
    volts, amps, watts = (np.array(point.reference) * off).tolist()
    return replace(point, board=read, reference=(volts, amps, watts))


TRUE = {"v1_nv": 1.043 * V_NV, "i1_na": 0.931 * I_NA, "phase1_ns": 64_000.0}
LOADS = {
    "two": ((30, UNITY), (30, LAG)),
    "many": ((3, UNITY), (30, UNITY), (100, UNITY), (10, LAG), (30, LAG), (30, LEAD)),
    "phase only": ((20, LAG),),
    "unity only": ((30, UNITY),),
}
CASES = {
    # Errors of the reference that all points share, and that each has for itself, and scatter of
    # the board: fractions. And whether the stated uncertainty is then neither more nor less.
    "reference": (1e-3, 0.0, 0.0),
    "ranges": (0.0, 1e-3, 0.0),
    "scatter": (0.0, 0.0, 2e-3),
    "all": (1e-3, 0.0, 2e-3),
}


@pytest.mark.parametrize("loads", LOADS)
@pytest.mark.parametrize("case", CASES)
def test_stated_uncertainties_are_honest(loads: str, case: str) -> None:
    shared, own, scatter = CASES[case]
    rng = np.random.default_rng(2)
    end = FrontEnd()
    lines = 6 if scatter else 1
    points = [end.point(amps, lag, lines=lines) for amps, lag in LOADS[loads]]
    percent = 100 * max(shared, own, 1e-6)
    points = [replace(point, percent=(percent,) * 3) for point in points]
    wanted = dict(TRUE)
    if loads == "unity only":
        del wanted["phase1_ns"]
    seeds = 250
    off: dict[str, list[float]] = {key: [] for key in wanted}
    for _ in range(seeds):
        common = shared * rng.normal(size=3)
        had = [measured(rng, point, common, own, scatter) for point in points]
        found = solved(*had)
        if "phase1_by_ma" in found.constants:  # 1 in 20, by chance
            continue
        for key, true in wanted.items():
            off[key].append((found.constants[key] - true) / found.uncertainty[key])
    for key, deviations in off.items():
        assert len(deviations) > 0.85 * seeds
        within = np.mean(np.abs(deviations) < 2)
        # 95.4 % of 250, less 3 times the scatter of such a count.
        assert within > 0.914, (key, within)
        # And no idle caution: what is stated is at most 2.5 times what happens.
        assert np.sqrt(np.mean(np.square(deviations))) > 0.4, key


def test_the_nominal_leads_uncertainty_is_honest() -> None:
    rng = np.random.default_rng(5)
    # A load of power factor 0.9: its watts depend on the lead, which differs from CT to CT.
    off = []
    for _ in range(300):
        lead_deg = NOMINAL_LEAD_DEG + NOMINAL_LEAD_U_DEG * rng.normal()
        end = FrontEnd(phase_ns=lambda amps, lead=lead_deg: lead / 360 / 60 * 1e9)
        had = measured(rng, end.point(30, 25), 1e-3 * rng.normal(size=3), 0.0, 0.0)
        found = solved(had)
        off.append((found.constants["i1_na"] - TRUE["i1_na"]) / found.uncertainty["i1_na"])
        # Such watts count for little: volts and amps of 0.1 % say more.
        assert found.uncertainty["i1_na"] < 1.05e-3 * found.constants["i1_na"]
    assert np.mean(np.abs(off) < 2) > 0.92


def test_more_lines_and_better_references_make_surer_constants() -> None:
    rng = np.random.default_rng(7)
    zero = np.zeros(3)

    def stated(lines: int, percent: float, scatter: float) -> float:
        points = [
            replace(FrontEnd().point(30, lag, lines=lines), percent=(percent,) * 3)
            for lag in (UNITY, LAG)
        ]
        points = [measured(rng, point, zero, 0.0, scatter) for point in points]
        return solved(*points).uncertainty["phase1_ns"]

    assert stated(100, 0.001, 3e-3) < 0.5 * stated(10, 0.001, 3e-3)
    assert stated(1, 0.05, 0) < 0.6 * stated(1, 0.1, 0)
    # By hand: 0.1 % in each of V, A, W of one point at PF 0.5 is sqrt(3) 0.1 % / tan 60 degrees.
    lone = solved(FrontEnd().point(30, LAG)).uncertainty["phase1_ns"]
    assert lone == pytest.approx(1e-3 / (2e-9 * math.pi * 60), rel=0.02)


# ---- refusals


def refused(*points: Point, **constants: Any) -> str:
    with pytest.raises(InputError) as caught:
        solved(*points, **constants)
    text = str(caught.value)
    assert "\n" not in text
    return text


def changed(point: Point, volts: float = 1, amps: float = 1, watts: float = 1) -> Point:
    """A point whose reference was read wrongly, by these factors."""
    v, i, p = point.reference
    return replace(point, reference=(v * volts, i * amps, p * watts))


def test_a_reversed_ct_is_a_wiring_fault() -> None:
    point = FrontEnd(i_used=-I_NA).point(30, UNITY, element=2, name="p[1]")
    point = replace(point, board=np.abs(point.board) * np.array([1, 1, -1, 1]))
    text = refused(point)
    assert "p[1]" in text and "wiring fault" in text and "CT 2 turned round" in text
    assert f"{point.board[0, 2]:.3f} W" in text and "not calibrated away" in text


@pytest.mark.parametrize(
    "v, i, what, ratio", [(1.4, 1, "volts", "1.400"), (1, 0.5, "amps", "0.500")]
)
def test_a_gain_far_off_the_board_files_is_another_part(
    v: float, i: float, what: str, ratio: str
) -> None:
    text = refused(FrontEnd(v * V_NV, i * I_NA).point(30, UNITY, name="p[0]"))
    assert "p[0]" in text and f"{what} need {ratio} times" in text and "0.7 to 1.3" in text
    assert ("burden" in text) == (what == "amps")
    # It is the board file's gain that counts, not that in force.
    used = FrontEnd(1.25 * V_NV, I_NA, v_used=0.8 * V_NV)
    assert solved(used.point(30, LAG), v1_nv=88_000_000).constants["v1_nv"] == pytest.approx(
        1.25 * V_NV, abs=1
    )


@pytest.mark.parametrize("what, factors", [("volts", (1.03, 1)), ("amps", (1, 0.96))])
def test_points_with_different_gains_are_named(what: str, factors: tuple[float, float]) -> None:
    end = FrontEnd()
    good, bad = end.point(30, UNITY, name="p[0]"), end.point(20, UNITY, name="p[1]")
    v, i = factors
    text = refused(good, changed(bad, v, i, v * i))
    assert "p[0]" in text and "p[1]" in text and what in text
    # A reference that is no better than that cannot say so.
    loose = [replace(p, percent=(2, 2, 2)) for p in (good, changed(bad, v, i, v * i))]
    assert solved(*loose).uncertainty["v1_nv"] > 0.01 * V_NV


def test_watts_that_are_not_volts_times_amps_at_unity() -> None:
    point = FrontEnd().point(30, 2, name="p[0]")
    text = refused(changed(point, watts=0.975))
    # They are by 2.5 % less; the phase assumed is off by a tenth of a degree, which is nothing.
    assert "p[0]" in text and "-2.5 %" in text and "at unity power factor" in text
    text = refused(changed(point, watts=1.03))
    assert "p[0]" in text and "1.029 of its volts times amps" in text
    assert solved(changed(point, watts=0.99)).constants


def test_a_voltage_of_the_other_line_on_a_wye_service() -> None:
    # A heater beside a voltage that is 60 degrees off: watts of half its volts times amps.
    point = FrontEnd().point(30, UNITY, name="p[0]")
    point = replace(point, board=point.board * np.array([1, 1, 0.5, 1]))
    assert "on the line of its voltage" in refused(point)


def test_a_contradicting_power_factor_point() -> None:
    end = FrontEnd()
    good, bad = (
        end.point(30, LAG, name="p[0]"),
        changed(end.point(30, LAG, name="p[1]"), watts=1.1),
    )
    assert re.search(r"p\[[01]\].* contradicts", refused(good, bad))


@pytest.mark.parametrize("lag_deg", [LAG, -LAG])
def test_a_phase_beyond_what_a_front_end_has(lag_deg: float) -> None:
    end = FrontEnd(phase_ns=lambda amps: math.copysign(560_000.0, lag_deg))
    text = refused(end.point(30, lag_deg, name="p[0]"))
    assert "p[0]" in text and "560 us" in text and "12.1 degrees" in text and "500 us" in text
    end = FrontEnd(phase_ns=lambda amps: math.copysign(499_000.0, lag_deg))
    assert solved(end.point(30, lag_deg)).constants["phase1_ns"] == pytest.approx(
        math.copysign(499_000, lag_deg), abs=1
    )


def test_leading_by_one_and_lagging_by_the_other() -> None:
    lag, lead = FrontEnd().point(30, LAG, name="p[0]"), FrontEnd().point(30, LEAD, name="p[0]")
    assert solved(replace(lag, lags=True)).constants == solved(lag).constants
    assert solved(replace(lead, lags=False)).constants == solved(lead).constants
    assert "leads by the reference, but lags" in refused(replace(lag, lags=False))
    assert "lags by the reference, but leads" in refused(replace(lead, lags=True))


def test_loads_that_are_no_good() -> None:
    end = FrontEnd()
    distorted = end.point(30, LAG, name="p[0]")
    distorted = replace(distorted, board=distorted.board * np.array([1, 1, 1, 0.8]))
    assert "no sine wave" in refused(distorted)
    unsteady = end.point(30, UNITY, name="p[0]", lines=3)
    unsteady.board[1] *= (1, 1.3, 1.3, 1.3)
    assert "load changed" in refused(unsteady) and "p[0]" in refused(unsteady)
    assert "expected 0.3 to 1" in refused(end.point(30, 80, name="p[0]"))
    assert "1.050 of its volts" in refused(changed(end.point(30, UNITY), watts=1.05))
    many = [end.point(2 * 1.3**k, LAG) for k in range(9)]
    steep = [replace(end, phase_ns=lambda amps, k=k: 9_000.0 * k) for k in range(9)]
    assert "9 currents" in refused(*many)
    assert len(solved(*[e.point(2 * 1.3**k, LAG) for k, e in enumerate(steep[:8])]).residuals) == 8
    assert "constants in force" in refused(end.point(30, UNITY), v1_nv=True)
    with pytest.raises(InputError, match="500 us at most"):
        solve({}, LAYOUT, [end.point(30, UNITY)], lead_deg=12)


# ---- the command


def files(folder: Path, entries: list[dict[str, Any]], **top: Any) -> str:
    file = folder / "points.json"
    file.write_text(json.dumps({"board": BOARD, "hertz": 60, "points": entries} | top))
    return str(file)


def as_json(point: Point, **reference: Any) -> dict[str, Any]:
    names = ("volts", "amps", "watts", "var")
    rows = [dict(zip(names, row)) for row in point.board.tolist()]
    return {
        "element": point.element,
        "board": rows if len(rows) > 1 else rows[0],
        "reference": dict(zip(names, point.reference)) | reference,
    }


GOOD = [as_json(FrontEnd().point(30, UNITY)), as_json(FrontEnd().point(30, LAG), var=3117.7)]


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made.json"
    status, text, err = command(capsys, files(tmp_path, GOOD), "--out", out)
    assert status == 0 and not err
    made = json.loads(out.read_text())
    want = solved(FrontEnd().point(30, UNITY), FrontEnd().point(30, LAG)).constants
    assert made == want | {"board": BOARD}
    for key, value in want.items():
        assert re.search(rf"^{key} +\d+ +{value} ", text, re.MULTILINE), text
    assert "points[1], element 1" in text and "+-" not in text
    # 2.98 % low in volts times amps, as it read; nothing after.
    assert re.search(r"^points\[0\].* -4\.123 -> [+-]0\.000 .*\+7\.411 -> [+-]0\.000 ", text, re.M)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.json", "points.json"]


def test_what_else_the_file_holds_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_force = tmp_path / "in_force.json"
    in_force.write_text(json.dumps({"v2_nv": 100_000_000, "phase2_ns": 4, "phase1_ns": 0}))
    out = tmp_path / "made.json"
    adc = {"steps": [[512, 136]]}
    table = [[1000, 5], [2000, 6]]
    out.write_text(json.dumps({"adc": adc, "phase2_by_ma": table, "i1_na": 190_000_000}))
    points = files(tmp_path, GOOD)
    status, text, _ = command(capsys, points, "--calibration", in_force, "--out", out)
    assert status == 0
    made = json.loads(out.read_text())
    # Element 1 is new; element 2 is as the file had it, all of it.
    assert made["adc"] == adc and made["phase2_by_ma"] == table
    assert "v2_nv" not in made and "phase2_ns" not in made
    assert made["i1_na"] == round(0.931 * I_NA) and made["board"] == BOARD
    from_dict(made, LAYOUT)
    assert "its adc was not in force" in text
    # Over the file in force itself, and the other element after it: nothing else changes.
    points = files(tmp_path, [entry | {"element": 2} for entry in GOOD], constants=made)
    assert command(capsys, points, "--calibration", out, "--out", out)[0] == 0
    again = json.loads(out.read_text())
    of_two = {"v2_nv", "i2_na", "phase2_ns", "phase2_by_ma"}
    for constants in (made, again):
        assert of_two & set(constants) == (
            {"phase2_by_ma"} if constants is made else {"v2_nv", "i2_na", "phase2_ns"}
        )
        for key in of_two & set(constants):
            del constants[key]
    assert again == made


def test_solved_again_the_constants_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The points say which constants they were read with; without, nothing may come twice."""
    in_force = {"v1_nv": 100_000_000, "i1_na": 140_000_000}
    # What a count is worth beside what the front end's readings take it for.
    want = {"v1_nv": 1.043 * in_force["v1_nv"], "i1_na": 0.931 * in_force["i1_na"]}
    points = files(tmp_path, GOOD, constants=in_force)
    out = tmp_path / "made.json"
    for _ in range(2):
        assert command(capsys, points, "--out", out)[0] == 0
        made = json.loads(out.read_text())
        assert {key: made[key] for key in want} == pytest.approx(want, rel=1e-5)
    # What they are not read with is refused, and so is the file that solving writes.
    status, _, err = command(capsys, points, "--calibration", out)
    assert status == 2 and "read with other constants than those of" in err
    before = out.read_bytes()
    points = files(tmp_path, GOOD)
    status, _, err = command(capsys, points, "--calibration", out, "--out", out)
    assert status == 2 and "corrected twice" in err and out.read_bytes() == before
    assert command(capsys, points, "--calibration", out, "--out", tmp_path / "next.json")[0] == 0


def test_points_and_constants_of_two_boards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = files(tmp_path, GOOD, id="e6605838833a7b2c")
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"id": "e66058388340612b", "i2_na": 151_000_000}))
    before = other.read_bytes()
    for option in ("--calibration", "--out"):
        status, _, err = command(capsys, points, option, other)
        assert status == 2 and err.count("\n") == 1
        assert "e6605838833a7b2c" in err and "e66058388340612b" in err
        assert "--another-board" in err and other.read_bytes() == before
    # Points without one are of the board whose constants they were read with.
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"id": "e6605838833a7b2c"}))
    files(tmp_path, GOOD)
    assert command(capsys, points, "--calibration", mine, "--out", other)[0] == 2
    assert other.read_bytes() == before
    files(tmp_path, GOOD, constants={"id": "e6605838833a7b2c"})
    assert command(capsys, points, "--out", other)[0] == 2 and other.read_bytes() == before
    capsys.readouterr()
    assert command(capsys, points, "--out", other, "--another-board")[0] == 0
    made = json.loads(other.read_text())
    assert (made["id"], made["i2_na"]) == ("e6605838833a7b2c", 151_000_000)


def test_a_load_that_gets_worse_is_told() -> None:
    """A coarse reading agrees with the constants in force, a fine one asks for 0.5 % more."""
    still = FrontEnd(V_NV, I_NA, lambda amps: 0.0)
    coarse = replace(still.point(30, UNITY), percent=(0.2, 0.2, 0.2))
    fine = replace(still, v_nv=1.005 * V_NV).point(20, UNITY)
    found = solved(coarse, replace(fine, percent=(0.02, 0.02, 0.02)))
    (volts,) = [text for text in found.said if "volts get worse" in text]
    assert re.search(r"^warning: .*from \+0\.000 to \+0\.49\d %$", volts)
    assert not [text for text in found.said if "amps get worse" in text]
    assert not [text for text in solved(fine).said if "worse" in text]


def test_merging_takes_each_elements_constants_from_one_place() -> None:
    found = Solution({"v1_nv": 1, "i1_na": 2, "phase1_by_ma": [3]}, {"v1_nv": 0.1}, [], [], [])
    there = {"phase1_ns": 7, "v2_nv": 8, "board": BOARD, "adc": 9}
    in_force = {"phase1_ns": 4, "i2_na": 5, "phase2_ns": 6, "adc": 0}
    want = {"board": BOARD, "v1_nv": 1, "i1_na": 2, "phase1_by_ma": [3]}
    assert merged(there, in_force, found, LAYOUT) == want | {"v2_nv": 8, "adc": 9}
    assert merged({}, in_force, found, LAYOUT) == want | {"i2_na": 5, "phase2_ns": 6, "adc": 0}


def test_lists_and_uncertainties_and_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end, rng = FrontEnd(hertz=50), np.random.default_rng(3)
    points = [end.point(30, lag, lines=9) for lag in (UNITY, LAG)]
    points = [measured(rng, point, np.zeros(3), 0, 1e-3) for point in points]
    listed = [as_json(point, uncertainty_percent={"amps": 0.3}) for point in points]
    top = {"hertz": 50, "uncertainty_percent": 0.05}
    # As the board says it: both elements in a line, and what else a terminal catches.
    for n, entry in enumerate(listed):
        nothing = {"volts": 119.0, "amps": 0.0, "watts": 0.0, "var": 0.0}
        rows = [{"t": 1, "elements": [row, nothing], "hertz": 50.0} for row in entry["board"]]
        caught = [
            's":1.2,"var":3}]}',
            "MPY: soft reboot",
            "",
            *map(json.dumps, rows),
            '{"t":9,"el',
        ]
        (tmp_path / f"load{n}.jsonl").write_text("\n".join(caught) + "\n")
    named = [
        {"element": 1, "lines": f"load{n}.jsonl", "reference": entry["reference"]}
        for n, entry in enumerate(listed)
    ]
    direct = [replace(p, percent=(0.05, 0.3, 0.05)) for p in points]
    want = solved(*direct).constants
    for entries in (listed, named):
        out = tmp_path / "made.json"
        given_top = dict(top)
        if entries is named:
            given_top["hertz"] = 60  # that of the lines counts
        status, text, _ = command(capsys, files(tmp_path, entries, **given_top), "--out", out)
        assert status == 0
        assert json.loads(out.read_text()) == want | {"board": BOARD}
        assert ("load1.jsonl: 3 of 12 lines are no readings" in text) == (entries is named)
        share = 100 * solved(*direct).uncertainty["i1_na"] / want["i1_na"]
        assert re.search(rf"^i1_na .* {share:.3f} %$", text, re.M)


BAD_POINTS = [
    ({"board": "toaster"}, "toaster"),
    ({"board": None}, "board is None"),
    ({"hertz": "60"}, "hertz is '60'"),
    ({"hertz": 400}, "hertz is 400; it must be a number above 40 and 70 at most"),
    ({"hertz": True}, "hertz is True"),
    ({"uncertainty_percent": 0}, "uncertainty_percent is 0"),
    ({"uncertainty_percent": None}, "uncertainty_percent is None"),
    ({"uncertainty_percent": {"watt": 1}}, "'watt'; known are volts, amps, watts"),
    ({"uncertainty_percent": {"amps": -1}}, "amps is -1"),
    ({"points": []}, "points is a list of 0"),
    ({"points": {"element": 1}}, "points is {'element': 1}"),
    ({"points": [7]}, "points[0] is 7"),
    ({"pionts": []}, "'pionts'; known are board, id, constants, hertz"),
    ({"id": "my board"}, "id is 'my board'"),
    ({"constants": []}, "constants is []"),
    ({"constants": {"v1_nv": 5}}, "v1_nv is 5"),
    ({"constants": {"board": "pico"}}, "board is 'pico'"),
]
BAD_ENTRIES = [
    ({"element": 3}, "points[0]: element is 3"),
    ({"element": True}, "element is True"),
    ({"element": [1]}, "element is [1]"),
    ({"lines": "x.jsonl"}, "either board"),
    ({"board": []}, "board is a list of 0"),
    ({"board": 3}, "board[0] is 3"),
    ({"board": {"volts": 120, "amps": 30, "watts": 3600}}, "board[0]: var is missing"),
    ({"board": {"volts": 0, "amps": 30, "watts": 3600, "var": 0}}, "volts is 0; it must be"),
    ({"board": {"volts": 1e999, "amps": 30, "watts": 3600, "var": 0}}, "volts is inf"),
    ({"board": {"volts": 120, "amps": 30, "watts": math.nan, "var": 0}}, "watts is nan"),
    ({"board": {"volts": 120, "amps": 30, "watts": 10**400, "var": 0}}, "watts is 1000"),
    ({"reference": None}, "reference is None"),
    ({"reference": {"volts": 120, "amps": 30}}, "reference: watts is missing"),
    ({"reference": {"volts": 120, "amps": 30, "watts": -3600}}, "watts is -3600"),
    ({"reference": {"volts": 120, "amps": 30, "watts": 3600, "pf": 1}}, "'pf'"),
    ({"note": "x"}, "'note'"),
]


@pytest.mark.parametrize(
    "top, said", BAD_POINTS + [({"points": [GOOD[0] | bad]}, said) for bad, said in BAD_ENTRIES]
)
def test_an_unusable_points_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], top: dict[str, Any], said: str
) -> None:
    status, out, err = command(capsys, files(tmp_path, GOOD, **top))
    assert status == 2 and not out
    assert err.startswith("error: ") and err.count("\n") == 1
    assert said in err and "points.json" in err


def test_other_unusable_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: object) -> str:
        status, out, err = command(capsys, *arguments)
        assert status == 2 and not out and err.startswith("error: ") and err.count("\n") == 1
        return err

    good = files(tmp_path, GOOD)
    assert "none.json: no such file" in said(tmp_path / "none.json")
    text = tmp_path / "text.json"
    text.write_text("{volts")
    assert "not a JSON points file" in said(text)
    assert "not a JSON calibration" in said(good, "--calibration", text)
    other = tmp_path / "other.json"
    other.write_text('{"board": "pico"}')
    for option in ("--calibration", "--out"):
        assert "other.json: board is 'pico'" in said(good, option, other)
    assert other.read_text() == '{"board": "pico"}'
    assert "cannot be written" in said(good, "--out", tmp_path / "no" / "made.json")
    assert "is a directory" in said(good, "--out", tmp_path)
    assert "--nominal-ct-lead" in said(good, "--nominal-ct-lead", "nan")
    assert "--ct-lead-uncertainty" in said(good, "--ct-lead-uncertainty", "-1")
    unity = files(tmp_path, GOOD[:1])
    assert "CT lead of -30 degrees" in said(unity, "--nominal-ct-lead", "-30")
    named = {"element": 2, "lines": "l.jsonl", "reference": GOOD[0]["reference"]}
    assert "l.jsonl: no such file" in said(files(tmp_path, [named]))
    assert "lines is 3" in said(files(tmp_path, [named | {"lines": 3}]))
    log = tmp_path / "l.jsonl"
    for content, why in (
        ("nothing\n[1]\n", "holds no readings"),
        ('{"elements": [{}]}', "line 1: elements is [{}]"),
        ('\n{"elements": [{}, {"volts": 1}]}', "line 2, element 2: amps is missing"),
        ('{"elements": [1, 2]}', "element 2 is 2"),
    ):
        log.write_text(content)
        assert why in said(files(tmp_path, [named]))
    row = {"volts": 120, "amps": 30, "watts": 3600, "var": 0}
    log.write_text(json.dumps({"elements": [row, row], "hertz": 0.0}))
    assert "line 1: hertz is 0" in said(files(tmp_path, [named]))
    log.write_text(json.dumps({"elements": [row, row]}))
    without = tmp_path / "without.json"
    without.write_text(json.dumps({"board": BOARD, "points": [named]}))
    assert "hertz is missing" in said(without)
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".new") == []


def test_a_nominal_lead_by_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made.json"
    options = ("--nominal-ct-lead", 2.16, "--ct-lead-uncertainty", 0.2, "--out", out)
    status, text, _ = command(capsys, files(tmp_path, GOOD[:1]), *options)
    assert status == 0 and json.loads(out.read_text())["phase1_ns"] == 100_000
    assert "given to lead by 2.16 +- 0.2 degrees" in text


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "python -m tools.solve points.json" in text
    # The points file shown is one, and its loads go together.
    shown = text[text.index("  {") : text.index("]}\n") + 2]
    example = json.loads(shown)
    end = FrontEnd(120.1 / 118.9 * V_NV, 30.02 / 30.31 * I_NA, hertz=60)
    example["points"][1] |= {"board": as_json(end.point(29.9, LAG))["board"]}
    del example["points"][1]["lines"]
    example["points"][1]["reference"]["watts"] = 120 * 29.9 / 2
    file = tmp_path / "example.json"
    file.write_text(json.dumps(example))
    assert main([str(file)]) == 0


# ---- with the meter


SECONDS = 20
RATE = 24_000
# Front ends: what a count truly is beside the board file's.
TRUE_NV, TRUE_NA = 104_500_000, 158_250_000


def codes(amps: float, lag_deg: float) -> Iterator[Codes]:
    """Both elements at a load, through CTs that lead and dividers that lag, by an ideal ADC."""
    angle = 2 * math.pi * 60 * np.arange(RATE) / RATE
    volts = 120 * math.sqrt(2) * np.sin(angle)
    current = amps * math.sqrt(2) * np.sin(angle - math.radians(lag_deg))
    signals = {"v1": volts, "i1": current, "v2": -volts, "i2": -current}
    end = front_end(
        default_board(),
        ct_lead_deg=1.2,
        divider_lag_deg=0.2,
        nv_per_count=TRUE_NV,
        na_per_count=TRUE_NA,
        seed=round(abs(lag_deg)),
    )
    return end.codes(Source(ArrayRecording(RATE, signals), SECONDS))


def metered(amps: float, lag_deg: float, constants: dict[str, Any], lines: Path | None) -> Run:
    """A run of the meter, whose lines on the serial port go to a file."""
    run = Run(default_board(), from_dict(constants, default_board()))
    said = ['ts":3}]}']
    for block in codes(amps, lag_deg):
        run.feed(block)
        if run.meter.second and run.meter.ticks >= len(said) * 1.2 * run.meter.tick_hz:
            said.append(telemetry_line(run.meter))
    if lines:
        lines.write_text("\n".join(said) + "\n")
    return run.finish()


def test_the_meter_is_right_once_calibrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = default_board()
    entries = []
    for name, lag_deg in (("heater", UNITY), ("motor", LAG)):
        file = tmp_path / f"{name}.jsonl"
        metered(30, lag_deg, {}, file)
        watts = 3600 * math.cos(math.radians(lag_deg))
        entries += [
            {
                "element": element,
                "lines": file.name,
                "reference": {"volts": 120, "amps": 30, "watts": watts},
            }
            for element in (1, 2)
        ]
    out = tmp_path / "made.json"
    assert command(capsys, files(tmp_path, entries), "--out", out)[0] == 0
    made = json.loads(out.read_text())
    for n in (1, 2):
        assert made[f"v{n}_nv"] == pytest.approx(TRUE_NV, rel=1e-4)
        assert made[f"i{n}_na"] == pytest.approx(TRUE_NA, rel=2e-4)
        assert made[f"phase{n}_ns"] == pytest.approx(1.4 / 360 / 60 * 1e9, abs=300)
    assert board.name == made["board"]
    for amps, lag_deg in ((30, UNITY), (30, LAG), (30, LEAD), (100, LAG)):
        run = metered(amps, lag_deg, made, None)
        wh = 120 * amps * math.cos(math.radians(lag_deg)) * SECONDS / 3600
        for element in (1, 2):
            assert run.net_wh(element) == pytest.approx(wh, rel=2e-4)
        for reading in run.readings()[:2]:
            assert reading.volts_uv == pytest.approx(120e6, rel=2e-4)
            assert reading.amps_ua == pytest.approx(amps * 1e6, rel=3e-4)
    # As it was without them the board was 10 % off at PF 0.5: the gains would not do alone.
    before = metered(30, LAG, {}, None).net_wh(1) * 3600 / SECONDS
    assert abs(before / 1800 - 1) > 0.03
