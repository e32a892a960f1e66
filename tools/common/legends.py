"""Legends that hide nothing of what is drawn.  Flow: plots -> LEGENDS."""

from matplotlib.axes import Axes


def above(axes: Axes, text: str = "") -> None:
    """Puts the legend over the upper edge of the axes, on the left, and a text on the right."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        fontsize="small",
        borderaxespad=0,
    )
    axes.set_title(text, fontsize="small", loc="right")
