"""What the gates of voltages without mains cycles take for right, against float64 sums over their
own waves."""

import numpy as np
import pytest

from tools.accuracy import no_cycles
from tools.accuracy.laboratory import Setup
from tools.accuracy.no_cycles import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.gate)
def test_powers_that_are_right_are_the_waves(case: Case) -> None:
    # Ten seconds are whole periods of all of them.
    t = (np.arange(10 * 96_000) + 0.5) / 96_000
    waves = case.waves()
    volts, amps = waves["v1"](t), waves["i1"](t)
    assert np.array_equal(volts, -waves["v2"](t)) and np.array_equal(amps, -waves["i2"](t))
    assert case.true_power() == pytest.approx(float(np.mean(volts * amps)), rel=1e-5)
    assert case.base() == pytest.approx(float(volts.std() * amps.std()), rel=1e-5)
    # What the default board's front end takes.
    assert np.abs(volts).max() < 220


def test_an_error_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench whose meter reads 2 % of the volts times amperes too much."""
    case = CASES[0]

    def meter(setup: Setup, waves: object, frames: int, *of: object) -> object:
        layout = setup.layout
        hours = frames * layout.frame_ticks / layout.tick_hz / 3600
        element = {
            "delivered": {"wh": str((case.true_power() + 0.02 * case.base()) * hours)},
            "received": {"wh": "0"},
        }
        return {"ticks": frames * layout.frame_ticks, "elements": [element, element]}

    monkeypatch.setattr(no_cycles, "meter_functions", meter)
    assert no_cycles._errors(Setup(), case, {}) == pytest.approx((2.0, 2.0))
