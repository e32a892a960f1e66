"""Test mains: volts and amperes as functions of time, for whoever meters what is made up.

Flow: bench, emulate, soak, accuracy, golden, tests -> WAVES -> front end.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Volts or amperes against an array of seconds.
Wave = Callable[[Floats], Floats]


def shape(angle: Floats, harmonics: Mapping[int, float] | None = None) -> Floats:
    """sin(angle), radians, and harmonics as parts of it: a third above zero flattens it, one below
    zero makes it peaked."""
    wave = np.sin(angle)
    for order, part in (harmonics or {}).items():
        wave += part * np.sin(order * angle)
    return wave


def sine(rms: float, hertz: float = 60, lag_deg: float = 0) -> Wave:
    """A sine of this rms, below zero for one that is turned round, behind by lag_deg."""
    peak, lag = rms * math.sqrt(2), math.radians(lag_deg)
    return lambda t: peak * np.sin(2 * math.pi * hertz * t - lag)


def split_phase(
    amps: Sequence[float],
    lags_deg: Sequence[float] = (0, 0),
    hertz: float = 60,
    volts: float = 120,
) -> dict[str, Wave]:
    """The same volts on both lines, and of each a current, below zero for one that flows
    backwards, and its lag."""
    return {
        "v1": sine(volts, hertz),
        "i1": sine(amps[0], hertz, lags_deg[0]),
        "v2": sine(-volts, hertz),
        "i2": sine(-amps[1], hertz, lags_deg[1]),
    }
