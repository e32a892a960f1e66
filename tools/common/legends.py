"""Legends that hide nothing of what is drawn.  Flow: plots -> LEGENDS."""

from matplotlib.axes import Axes


def above(axes: Axes, text: str = "", ncols: int = 3) -> None:
    """Puts the legend over the upper edge of the axes, on the left, in so many columns, and a text
    on the right."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=ncols,
        frameon=False,
        fontsize="small",
        borderaxespad=0,
    )
    axes.set_title(text, fontsize="small", loc="right")
