"""The time below a plot: in the unit that fits its length, and lengths in words.

Flow: plots of replay, monitor -> TIME AXIS.
"""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True)
class Unit:
    """seconds   that it has
    name      in the plural, below the axis
    symbol    behind a number
    most_s    the longest plot that is drawn in it
    steps     of its ticks, times a power of ten
    """

    seconds: float
    name: str
    symbol: str
    most_s: float
    steps: tuple[float, ...]


_TENTHS = (1, 2, 5, 10)
_UNITS = (
    Unit(1.0, "seconds", "s", 10 * _MINUTE, _TENTHS),
    Unit(_MINUTE, "minutes", "min", 2 * _HOUR, _TENTHS),
    Unit(_HOUR, "hours", "h", 4 * _DAY, (1, 2, 3, 4, 6, 10)),
    Unit(_DAY, "days", "d", float("inf"), _TENTHS),
)


def unit_of(seconds: float) -> Unit:
    """The unit of a plot of this length."""
    return next(unit for unit in _UNITS if seconds <= unit.most_s)


def draw(axes: Axes, seconds: float) -> None:
    """Sets limits, ticks and name of the time axis of a plot whose times are in unit_of(seconds)
    already."""
    unit = unit_of(seconds)
    axes.set_xlim(0, seconds / unit.seconds)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=13, steps=list(unit.steps)))
    axes.set_xlabel(unit.name)


def told(seconds: float) -> str:
    """A length in words: 0.2 s, 90 min, 24 h."""
    unit = unit_of(seconds)
    return f"{seconds / unit.seconds:.3g} {unit.symbol}"
