"""Cold and warm: energy 25 K from the temperature of calibration, as the ADC's reference drifts.

Flow: loads here -> laboratory's front end, whose reference drifts, and meter -> errors -> rows.
Volts and amperes are both read in proportion to 1 / reference: energy errs by twice its drift,
unless the chip's own sensor has a slot and the constants tell the drift.
Burdens, dividers and CTs drift besides, and are not in this.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from tools.accuracy.gates import TEST_AMPS, Load
from tools.accuracy.laboratory import Setup, meter, rows_of, sensor_mean_q4

# Calibrated at 25 degrees Celsius, metered at 0 and 50.
KELVIN = 25.0
# What is taken for a board's 3.3 V rail, whose regulator's sheet tells no drift, and the most of
# an LM4040 of grade A, B or C; and what its sheet calls typical.
RAIL_PPM, LM4040_PPM = 100.0, 15.0
# The project's own, in the shape of what classes 0.5 and 0.2 allow a kelvin, for 25 of them.
_RAIL_PERCENT, _LM4040_PERCENT = 0.03 * KELVIN, 0.01 * KELVIN
# A tenth of what the rail's drift makes.
_KNOWN_PERCENT = 0.05


@dataclass(frozen=True)
class Case:
    """A gate, for both elements: so many kelvin from calibration, by a reference that rises by
    reference_ppm with each; the current lags by lag_deg.  known_ppm: what the constants tell of
    that, where the board has the sensor's slot; 0 where it has none."""

    gate: str
    limit_percent: float
    reference_ppm: float
    kelvin: float
    lag_deg: float
    known_ppm: float = 0.0

    def setup(self, calibrated: Setup) -> Setup:
        """The bench at this temperature."""
        return replace(
            calibrated,
            kelvin=self.kelvin,
            reference_ppm=self.reference_ppm,
            has_sensor=self.known_ppm != 0,
        )

    def constants(self, calibrated: Setup, found: dict[str, Any]) -> dict[str, Any]:
        """Those found at calibration, with what the sensor gave there."""
        if not self.known_ppm:
            return found
        return found | {
            "reference_ppb_per_k": round(1000 * self.known_ppm),
            "calibrated_code_q4": sensor_mean_q4(replace(calibrated, has_sensor=True)),
        }


CASES = tuple(
    Case(f"{name}, {abs(kelvin):g} K {way}", limit, ppm, kelvin, lag_deg, known_ppm)
    for name, ppm, limit, known_ppm in (
        ("rail 100 ppm/K", RAIL_PPM, _RAIL_PERCENT, 0.0),
        ("rail 100 ppm/K by the sensor", RAIL_PPM, _KNOWN_PERCENT, RAIL_PPM),
        ("LM4040 15 ppm/K", LM4040_PPM, _LM4040_PERCENT, 0.0),
    )
    for kelvin, way in ((-KELVIN, "colder"), (KELVIN, "warmer"))
    for lag_deg in (0.0, 60.0)
)


def rows(
    pool: Executor, bench: Sequence[tuple[Setup, float, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """A row a case, setup and mains frequency, as in accuracy.json: the worse of both elements.

    bench  setups as they were calibrated, each with a mains frequency and its constants there
    """
    jobs = [
        (setup, hertz, case, pool.submit(errors_percent, setup, hertz, case, constants))
        for setup, hertz, constants in bench
        for case in CASES
    ]
    return rows_of(jobs, TEST_AMPS)


def errors_percent(
    setup: Setup, hertz: float, case: Case, constants: dict[str, Any]
) -> tuple[float, float]:
    """Percent of the energy, of element 1 and 2."""
    load = Load(hertz, TEST_AMPS, case.lag_deg)
    errors = meter(case.setup(setup), load, case.constants(setup, constants)).errors_percent
    one, two = (error for error in errors if error is not None)
    return one, two
