"""What changes within a window: var under harmonics and while the mains frequency changes, loads
that pulse on a CT whose phase depends on the current, and frames that are lost all the time.

Flow: waves here -> laboratory's front end and meter -> errors -> rows.  What is right is known in
closed form.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.accuracy.gates import TEST_AMPS, VOLTS
from tools.accuracy.laboratory import Setup, meter_functions, rows_of
from tools.front_end.waves import Floats, Wave

_CYCLES = 1200
_VAR_PERCENT, _PULSING_PERCENT, _LOST_PERCENT = 0.5, 0.1, 1.0
# One that every clock of 1250 frames a second takes for the fundamental at 50 Hz (24, 26, 49, 51),
# the strongest of real loads, and the last below the 60th that mains of 65 Hz must not meet.
HARMONICS = (3, 5, 24, 26, 49, 51, 59)
_PART = 0.1
# The current is on for so many cycles of so many.
_ON, _OF = 12, 60
# By how much less the pulsing load's CT leads at 30 A than at 1 A.
_LESS_NS = 140_000


@dataclass(frozen=True)
class Case:
    """A gate, for both elements; the second is mirrored.

    lag_deg   by which the current lags
    turns     cycles of the mains until a time, given its frequency; None: a steady one
    harmonic  of the current, 10 %; 0: none
    pulses    the current is on in 12 cycles of 60, and the CT's phase depends on it
    lost      (frames that come, frames that are lost) one after the other
    """

    gate: str
    limit_percent: float
    lag_deg: float = 45.0
    turns: Callable[[Floats, float], Floats] | None = None
    harmonic: int = 0
    pulses: bool = False
    lost: tuple[int, int] | None = None

    @property
    def of_var(self) -> bool:
        """Whether it is var that is looked at, not watts."""
        return bool(self.turns or self.harmonic)

    def waves(self, hertz: float) -> dict[str, Wave]:
        """Volts and amperes as functions of time."""
        lag = math.radians(self.lag_deg)

        def cycles(t: Floats) -> Floats:
            return self.turns(t, hertz) if self.turns else hertz * t

        def volts(t: Floats) -> Floats:
            return math.sqrt(2) * VOLTS * np.sin(2 * np.pi * cycles(t))

        def amps(t: Floats) -> Floats:
            angle = 2 * np.pi * cycles(t)
            wave = np.sin(angle - lag) + _PART * bool(self.harmonic) * np.sin(
                self.harmonic * angle + 0.7
            )
            if self.pulses:
                wave = wave * (np.floor(cycles(t)) % _OF < _ON)
            return math.sqrt(2) * TEST_AMPS * wave

        return {"v1": volts, "i1": amps, "v2": lambda t: -volts(t), "i2": lambda t: -amps(t)}

    def true_power(self) -> float:
        """Mean watts of an element, or var."""
        va = VOLTS * TEST_AMPS * (_ON / _OF if self.pulses else 1)
        lag = math.radians(self.lag_deg)
        return va * (math.sin(lag) if self.of_var else math.cos(lag))

    def base(self) -> float:
        """What the error is a percentage of: VA where harmonics are in it, else the power."""
        if self.harmonic:
            return VOLTS * TEST_AMPS * math.sqrt(1 + _PART**2)
        return self.true_power()

    def constants(self, found: dict[str, Any]) -> dict[str, Any]:
        """The bench's constants, with a phase by current where the load pulses."""
        if not self.pulses:
            return found
        constants = dict(found)
        for k in (1, 2):
            ns = constants.pop(f"phase{k}_ns")
            constants[f"phase{k}_by_ma"] = [[1_000, ns + _LESS_NS], [30_000, ns]]
        return constants


def _ramp(t: Floats, hertz: float) -> Floats:
    """1 Hz/s, up and down again, about the mains frequency."""
    period = 4.0
    phase = np.mod(t, period)
    up = np.minimum(phase, period / 2)
    down = phase - up
    return hertz * t + up**2 / 2 - up + (down - down**2 / 2)


def _hunts(t: Floats, hertz: float) -> Floats:
    """1 Hz either way, twice a second."""
    return hertz * t - np.cos(4 * np.pi * t) / (4 * np.pi)


CASES = (
    *(Case(f"var, harmonic {n}", _VAR_PERCENT, harmonic=n) for n in HARMONICS),
    Case("var, 1 Hz/s", _VAR_PERCENT, 60.0, turns=_ramp),
    Case("var, hunting", _VAR_PERCENT, 60.0, turns=_hunts),
    Case("pulsing, CT table", _PULSING_PERCENT, 60.0, pulses=True),
    *(
        Case(f"{lost} of {lost + there} lost", _LOST_PERCENT, 60.0, lost=(there, lost))
        for there, lost in ((64, 16), (400, 100), (2000, 500), (83, 83))
    ),
)


def rows(
    pool: Executor, bench: Sequence[tuple[Setup, float, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """A row a case, setup and mains frequency, as in accuracy.json: the worse of both elements.

    bench  setups, each with a mains frequency and its constants there
    """
    jobs = [
        (setup, hertz, case, pool.submit(_errors, setup, hertz, case, constants))
        for setup, hertz, constants in bench
        for case in CASES
    ]
    return rows_of(jobs, TEST_AMPS)


def _errors(
    setup: Setup, hertz: float, case: Case, constants: dict[str, Any]
) -> tuple[float, float]:
    """Percent, of element 1 and 2."""
    layout = setup.layout
    # A whole number of pulses.
    frames = round(_CYCLES / hertz * layout.tick_hz / layout.frame_ticks)
    result = meter_functions(
        setup, case.waves(hertz), frames, hertz, case.constants(constants), case.lost
    )
    hours = result["ticks"] / layout.tick_hz / 3600
    errors = []
    for e in result["elements"]:
        if case.of_var:
            one, two, three, four = map(float, e["varh"])
            power = (one + two - three - four) / hours
        else:
            power = (float(e["delivered"]["wh"]) - float(e["received"]["wh"])) / hours
        errors.append(100 * (power - case.true_power()) / case.base())
    return errors[0], errors[1]
