"""What varies faster than a plot can show: the mean as a line, and least to most behind it.

Flow: plots of replay, monitor -> ENVELOPE.
"""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tools.common import legends
from tools.common.time_axis import told

Floats = NDArray[np.float64]

_SHADE = 0.3


def draw(
    axes: Axes, ends: Floats, least: Floats, mean: Floats, most: Floats, label: str, colour: str
) -> None:
    """Draws values that each hold for the time from the one before to its own end, in the units of
    the axis; NaN: nothing is known of that time."""
    axes.fill_between(
        ends, least, most, step="pre", color=colour, alpha=_SHADE, linewidth=0.8, zorder=1.5
    )
    axes.step(ends, mean, where="pre", label=label, color=colour, linewidth=1.2)


def legend(axes: Axes, of_s: float, over_s: float) -> None:
    """Says what is drawn: means over over_s, and the least and the most of those over of_s."""
    text = f"line: mean of {told(over_s)}"
    if over_s >= 2 * of_s:
        text += f"; shade: least to most, of {told(of_s)} each"
    legends.above(axes, text)
