"""Voltages without mains cycles: other frequencies, two at once, and a ripple beyond the mains.

Flow: waves here -> laboratory's front end and meter -> errors -> rows.  What is right is known in
closed form; errors are percent of volts times amperes.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.accuracy.laboratory import Setup, meter_functions, rows_of
from tools.front_end.waves import Floats, Wave

# The mains that the bench was calibrated at.
HERTZ = 60.0
_SECONDS = 20
# A component above mains is interpolated between frames, by weights that are right for mains: of
# 400 Hz that is 0.6 % where a current is delayed by half a frame of 10 kHz.
_LIMIT_PERCENT, _ABOVE_PERCENT = 0.2, 0.7
_AMPS = 30.0


@dataclass(frozen=True)
class Case:
    """A gate, for both elements; the second is mirrored.

    volts    (rms, hertz) of the sines that the voltage is made of; the current has those at or
             below `below` hertz, in proportion, lagging by lag_deg
    swings   hertz at which the size of both swings from twice through nothing and beyond
    """

    gate: str
    limit_percent: float
    volts: tuple[tuple[float, float], ...]
    lag_deg: float = 60.0
    below: float = math.inf
    swings: float = 0.0

    def waves(self) -> dict[str, Wave]:
        """Volts and amperes as functions of time."""
        lag = math.radians(self.lag_deg)

        def volts(t: Floats) -> Floats:
            return self._size(t) * sum(self._sines(t, self.volts))

        def amps(t: Floats) -> Floats:
            of = [(_AMPS * rms / self._rms(), hertz) for rms, hertz in self._carried()]
            return self._size(t) * sum(self._sines(t, of, lag))

        return {"v1": volts, "i1": amps, "v2": lambda t: -volts(t), "i2": lambda t: -amps(t)}

    def _carried(self) -> list[tuple[float, float]]:
        return [part for part in self.volts if part[1] <= self.below]

    def _rms(self) -> float:
        return math.sqrt(sum(rms**2 for rms, _ in self._carried()))

    def _size(self, t: Floats) -> Floats:
        return 1 + (1.5 * np.sin(2 * np.pi * self.swings * t) if self.swings else 0 * t)

    def _sines(
        self, t: Floats, parts: Sequence[tuple[float, float]], lag: float = 0.0
    ) -> Iterator[Floats]:
        for rms, hertz in parts:
            yield math.sqrt(2) * rms * np.sin(2 * np.pi * hertz * t + 0.3 - lag)

    def true_power(self) -> float:
        """Mean watts of an element."""
        square = 1 + 1.5**2 / 2 if self.swings else 1
        return square * _AMPS * self._rms() * math.cos(math.radians(self.lag_deg))

    def base(self) -> float:
        """Volts times amperes."""
        square = 1 + 1.5**2 / 2 if self.swings else 1
        return square * _AMPS * math.sqrt(sum(rms**2 for rms, _ in self.volts))


CASES = (
    *(Case(f"no cycles, {hertz:g} Hz", _LIMIT_PERCENT, ((120, hertz),)) for hertz in (16.7, 100)),
    Case("no cycles, 400 Hz", _ABOVE_PERCENT, ((120, 400.0),)),
    Case("no cycles, 50 + 60 Hz", _LIMIT_PERCENT, ((70, 50.0), (70, 60.0))),
    Case("no cycles, swings", _LIMIT_PERCENT, ((60, 60.0),), swings=20.0),
    # 125 % of the mains' own volts.
    *(
        Case(f"ripple of {khz:g} kHz", _LIMIT_PERCENT, ((60, 60.0), (75, khz * 1000)), below=60.0)
        for khz in (3.5, 9.9512)
    ),
)


def rows(pool: Executor, bench: Sequence[tuple[Setup, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row a case and setup, as in accuracy.json: the worse of both elements.

    bench  setups, each with its constants for mains of HERTZ
    """
    jobs = [
        (setup, HERTZ, case, pool.submit(_errors, setup, case, constants))
        for setup, constants in bench
        for case in CASES
    ]
    return rows_of(jobs, _AMPS)


def _errors(setup: Setup, case: Case, constants: dict[str, Any]) -> tuple[float, float]:
    """Percent, of element 1 and 2."""
    layout = setup.layout
    frames = round(_SECONDS * layout.tick_hz / layout.frame_ticks)
    result = meter_functions(setup, case.waves(), frames, HERTZ, constants)
    hours = result["ticks"] / layout.tick_hz / 3600
    one, two = (
        100
        * ((float(e["delivered"]["wh"]) - float(e["received"]["wh"])) / hours - case.true_power())
        / case.base()
        for e in result["elements"]
    )
    return one, two
