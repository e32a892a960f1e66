"""What no calibration should mend: points that speak of wiring, of a wrong part or a wrong load.

Flow: points -> CHECKS -> solver.
"""

import math

from threewire.metering.calibration import GAIN_PERCENT, Calibration
from threewire.metering.layout import Layout
from tools.common.errors import InputError
from tools.solve.fit import Point

# Power factors. Phase is taken from loads in the range of the first two: above it the angle says
# too little, below it a percentage of watts does.
LEAST_PF, MOST_PHASE_PF = 0.3, 0.8
UNITY_PF = 0.97
# How much more than volts times amps the reference's watts may be, for its errors.
_WATTS_OVER = 0.02
# A gain this far off the board file's, which the board refuses, is another part, or a broken one.
_GAIN_OFF = GAIN_PERCENT / 100
# W and var make up volts times amps, but for harmonics, to this fraction.
_SINE_OFF = 0.02
# Amperes of a steady load, from the least to the most.
_LOAD_CHANGE = 0.10


def check_points(points: list[Point], calibration: Calibration, layout: Layout) -> None:
    """InputError, naming the point and what to look at, for one that cannot be right by itself."""
    for point in points:
        _check_flow(point)
        _check_gains(point, calibration, layout)
        if point.power_factor <= MOST_PHASE_PF:
            _check_angle(point)


def _check_gains(point: Point, calibration: Calibration, layout: Layout) -> None:
    k = point.element - 1
    volts, amps, _, _ = point.board.mean(axis=0).tolist()
    by_v = point.reference[0] / volts * abs(calibration.v_nv[k]) / layout.nv_per_count
    by_i = point.reference[1] / amps * abs(calibration.i_na[k]) / layout.na_per_count
    parts = "voltage divider or transformer", "CT and burden"
    for what, part, ratio in zip(("volts", "amps"), parts, (by_v, by_i)):
        if abs(ratio - 1) > _GAIN_OFF:
            raise InputError(
                f"{point.name}: {what} need {ratio:.3f} times what a count is worth by the board "
                f"file; {1 - _GAIN_OFF:g} to {1 + _GAIN_OFF:g} is possible: see whether {part} "
                "are what the board file is for"
            )


def _check_flow(point: Point) -> None:
    low, high = point.board[:, 1].min(), point.board[:, 1].max()
    if high > low * (1 + _LOAD_CHANGE):
        raise InputError(
            f"{point.name}: the load changed while the board was read, from {low:.3f} to "
            f"{high:.3f} A; give readings of one steady load"
        )
    watts = point.board[:, 2].mean()
    if watts <= 0:
        raise InputError(
            f"{point.name}: the board reads {watts:.3f} W where the reference reads "
            f"{point.reference[2]:.3f} W: a wiring fault (CT {point.element} turned round, or its "
            "wires crossed), to be mended there and not calibrated away"
        )
    if not LEAST_PF <= point.power_factor <= 1 + _WATTS_OVER:
        raise InputError(
            f"{point.name}: the reference's watts are {point.power_factor:.3f} of its volts times "
            f"amps; expected {LEAST_PF:g} to 1"
        )


def _check_angle(point: Point) -> None:
    volts, amps, watts, var = point.board.mean(axis=0).tolist()
    # Harmonics have no common angle with the fundamental.
    if abs(math.hypot(watts, var) / (volts * amps) - 1) > _SINE_OFF:
        raise InputError(
            f"{point.name}: the board's watts and var make {math.hypot(watts, var):.1f} VA, its "
            f"volts times amps {volts * amps:.1f}: the current is no sine wave; take a motor, a "
            "choke or a capacitor for a low power factor"
        )
    if point.lags not in (None, var > 0):
        seen = ("lags", "leads") if point.lags else ("leads", "lags")
        raise InputError(
            f"{point.name}: the current {seen[0]} by the reference, but {seen[1]} by the board "
            f"({var:.1f} var): see whether CT {point.element} is on the line of its voltage"
        )
