"""The three LEDs over time, as lanes of a plot.  Flow: plots of replay, monitor -> LED LANES."""

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

# LEDs by name: what it says beside the lane, its colour when lit.
_LANES = (
    ("kwh", "1000 Wh", "#1a8a1a"),
    ("ten", "10 Wh", "#1a8a1a"),
    ("reverse", "reverse", "#d62728"),
)
_DARK = "#e4e4e4"
_HEIGHT = 0.7
# Columns of a lane. A plot is wider in dots, so that each of them is seen.
COLUMNS = 800
# Where a lamp has edges closer than so many columns, bars would be of no true width: there its
# lane shows the mean of the columns around.
_APART, _AROUND = 3, 9
# What is lit a part of the time is never as pale as what is dark, nor as full as what is lit.
_PALEST, _FULLEST = 0.3, 0.75

# (start, length, part of that time in which it was lit) of each stretch of which something is
# known, by rising start.
Stretches = Iterable[tuple[float, float, float]]
Floats = NDArray[np.float64]


def columns(stretches: Stretches, width: float, count: int) -> tuple[Floats, Floats]:
    """(part known, part lit of that) of each of `count` columns that a time from 0 to `width` is
    divided into; lit is 0 where nothing is known."""
    rows = np.array(list(stretches), dtype=float).reshape(-1, 3)
    starts, lengths, parts = rows.T
    at = np.ravel([starts, starts + lengths], order="F")
    edges = np.linspace(0, width, count + 1)

    def within(each: Floats) -> Floats:
        """Of what each stretch has, what lies in each column."""
        if not len(each):
            return np.zeros(count)
        sums = np.cumsum(np.ravel([np.zeros(len(each)), each], order="F"))
        return np.diff(np.interp(edges, at, sums))

    known, lit = within(lengths), within(lengths * parts)
    # A stretch in which it was lit for a part of the time is on the way from one to the other.
    is_next = np.abs(at[2::2] - at[1:-1:2]) < 1e-9 * width
    changes, _ = np.histogram(starts[1:], edges, weights=np.abs(np.diff(parts)) * is_next)
    around = np.ones(_AROUND)
    is_dense = np.convolve(changes, around, "same") * _APART >= _AROUND
    # Beyond the last edge it is lit or dark, however close to that.
    near = np.ones(_APART + 1)
    is_dense &= np.convolve(changes, near)[:count] > 0
    is_dense &= np.convolve(changes[::-1], near)[:count][::-1] > 0
    dense_known = np.convolve(known, around, "same")
    dense_lit = np.convolve(lit, around, "same")
    part = np.where(is_dense, _ratio(dense_lit, dense_known), _ratio(lit, known))
    return np.minimum(known * count / width, 1), np.where(known > 0, part, 0)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.clip(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), 0, 1)


def draw(axes: Axes, lanes: Mapping[str, Stretches], width: float) -> None:
    """Draws a lane for each LED on a time axis from 0 to `width`, stretches in its units: how much
    of each column's time it was lit, so that what blinks faster than a plot can show looks neither
    lit nor dark. White is where nothing is known."""
    is_blinking = False
    for k, (name, _, colour) in enumerate(_LANES):
        known, lit = columns(lanes[name], width, COLUMNS)
        mixed = (lit > 1e-6) & (lit < 1 - 1e-6)
        # A single edge has columns of one colour on both sides.
        is_blinking |= bool((mixed[1:] & mixed[:-1]).any())
        shown = np.where(mixed, _PALEST + (_FULLEST - _PALEST) * lit, lit.round())[:, None]
        rgba = np.empty((1, COLUMNS, 4))
        rgba[0, :, :3] = (1 - shown) * to_rgb(_DARK) + shown * to_rgb(colour)
        rgba[0, :, 3] = known
        bottom = len(_LANES) - 1 - k
        axes.imshow(
            rgba,
            extent=(0, width, bottom, bottom + _HEIGHT),
            aspect="auto",
            interpolation="nearest",
        )
    axes.set_ylim(-(1 - _HEIGHT) / 2, len(_LANES) - (1 - _HEIGHT) / 2)
    axes.set_yticks([len(_LANES) - 1 - k + _HEIGHT / 2 for k in range(len(_LANES))])
    axes.set_yticklabels([label for _, label, _ in _LANES])
    axes.set_ylabel("LEDs")
    if is_blinking:
        axes.set_title("pale: lit for a part of that time", fontsize="small", loc="right")
