"""What the unsteady gates take for right, against float64 sums over their own waves."""

import numpy as np
import pytest

from tools.accuracy import unsteady
from tools.accuracy.laboratory import Setup
from tools.accuracy.unsteady import CASES, Case


@pytest.mark.parametrize("hertz", [50.0, 60.0])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.gate)
def test_powers_that_are_right_are_the_waves(case: Case, hertz: float) -> None:
    # 120 cycles at a rate that keeps step; frequencies that change have whole periods in 4 s.
    seconds = 4.0 if case.turns else 120 / hertz
    t = (np.arange(round(seconds * 48_000)) + 0.5) / 48_000
    waves = case.waves(hertz)
    volts, amps = waves["v1"](t), waves["i1"](t)
    assert np.array_equal(volts, -waves["v2"](t)) and np.array_equal(amps, -waves["i2"](t))
    if case.of_var:
        # Of the fundamental: the voltage, which is a sine, a quarter of its cycle later.
        late = case.waves(hertz)["v1"]
        turns = case.turns or (lambda at, nominal: nominal * at)
        grid = np.linspace(t[0] - 0.1, t[-1], 4_000_001)
        quarter = np.interp(turns(t, hertz) - 0.25, turns(grid, hertz), grid)
        true = float(np.mean(late(quarter) * amps))
    else:
        true = float(np.mean(volts * amps))
    assert case.true_power() == pytest.approx(true, rel=2e-4)
    rms = np.sqrt(np.mean(volts**2) * np.mean(amps**2))
    assert case.base() == pytest.approx(rms if case.harmonic else true, rel=2e-4)


def test_the_frequency_swings_as_the_gates_say() -> None:
    for case in CASES:
        if case.turns:
            t = np.arange(0, 8, 1e-4)
            hertz = np.diff(case.turns(t, 60.0)) / 1e-4
            assert hertz.min() == pytest.approx(59, abs=0.01)
            assert hertz.max() == pytest.approx(61, abs=0.01)
            assert np.abs(np.diff(hertz)).max() / 1e-4 == pytest.approx(
                1 if "Hz/s" in case.gate else 4 * np.pi, rel=0.02
            )


def test_an_error_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench whose meter reads 2 % of the var and of the watts too much."""

    def meter(setup: Setup, waves: object, frames: int, hertz: float, *of: object) -> object:
        layout = setup.layout
        hours = frames * layout.frame_ticks / layout.tick_hz / 3600
        watts, var = 1800 * 1.02 * hours, 3117.69 * 1.02 * hours
        element = {
            "delivered": {"wh": str(watts)},
            "received": {"wh": "0"},
            "varh": [str(var), "0", "0", "0"],
        }
        return {"ticks": frames * layout.frame_ticks, "elements": [element, element]}

    monkeypatch.setattr(unsteady, "meter_functions", meter)
    for case in CASES:
        if case.turns or case.lost:
            errors = unsteady._errors(Setup(), 60.0, case, {})
            assert errors == pytest.approx((2, 2), abs=0.01)
            assert max(errors) > case.limit_percent
