"""The three LEDs over time, as lanes of a plot.  Flow: plots of replay, monitor -> LED LANES."""

from collections.abc import Iterable, Mapping

from matplotlib.axes import Axes

# LEDs by name: what it says beside the lane, its colour when lit.
_LANES = (
    ("kwh", "1000 Wh", "#2ca02c"),
    ("ten", "10 Wh", "#2ca02c"),
    ("reverse", "reverse", "#d62728"),
)
_DARK = "#e4e4e4"
_HEIGHT = 0.7

Spans = Iterable[tuple[float, float]]


def draw(axes: Axes, dark: Mapping[str, Spans], lit: Mapping[str, Spans]) -> None:
    """Draws (start, length) of each stretch in which an LED was dark, and over them those in which
    it was lit, in the units of the axis; between them nothing is known."""
    for k, (name, _, colour) in enumerate(_LANES):
        lane = (len(_LANES) - 1 - k, _HEIGHT)
        axes.broken_barh(list(dark[name]), lane, facecolors=_DARK)
        axes.broken_barh(list(lit[name]), lane, facecolors=colour)
    axes.set_yticks([len(_LANES) - 1 - k + _HEIGHT / 2 for k in range(len(_LANES))])
    axes.set_yticklabels([label for _, label, _ in _LANES])
    axes.set_ylabel("LEDs")
