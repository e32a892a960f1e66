"""Draws a replay: power of each element, both registers, and the three LEDs as lanes, on one time
axis.

Flow: replay (with its trace) -> PLOT file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from threewire.operation.report import LEDS
from tools.common import led_lanes
from tools.common.files import save_plot

if TYPE_CHECKING:
    from tools.replay.result import Replay


def lit_spans(
    edges: list[tuple[float, bool]], lit_at_start: bool, seconds: float
) -> list[tuple[float, float]]:
    """(start, length) of every time the LED was on, from its edges."""
    spans = []
    since = 0.0 if lit_at_start else None
    for at, lit in edges:
        if lit and since is None:
            since = at
        elif not lit and since is not None:
            spans.append((since, at - since))
            since = None
    if since is not None:
        spans.append((since, seconds - since))
    return spans


def _draw_lanes(axes: Axes, replay: Replay) -> None:
    lit = {name: lit_spans(replay.edges(name), name != "reverse", replay.seconds) for name in LEDS}
    led_lanes.draw(axes, {name: [(0.0, replay.seconds)] for name in LEDS}, lit)
    axes.set_xlabel("seconds")


def draw(replay: Replay, path: str | Path) -> None:
    """Writes the plot (.png, .svg or .pdf), whole or not at all. Raises InputError if it
    cannot.
    """
    rows = np.array(replay.metered.trace, dtype=float).reshape(-1, 5)
    time = rows[:, 0] / replay.layout.tick_hz
    figure = Figure(figsize=(10, 7), layout="constrained")
    power, energy, lanes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2.4, 1.4))
    # Each row is a mean over the stretch that ends there.
    for column, label in ((1, "element 1"), (2, "element 2")):
        values = rows[:, column] / 1e9
        power.step(np.r_[0, time], np.r_[values[:1], values], where="pre", label=label, lw=1.2)
    power.axhline(0, color="black", lw=0.6)
    power.set_ylabel("active power, kW")
    power.legend(loc="lower right")
    for column, label in ((3, "delivered"), (4, "received")):
        energy.plot(np.r_[0, time], np.r_[0, rows[:, column] / 1e6], label=label, lw=1.4)
    energy.set_ylabel("registers, Wh")
    energy.legend(loc="upper left")
    for axes in (power, energy):
        axes.grid(alpha=0.3)
    _draw_lanes(lanes, replay)
    lanes.set_xlim(0, replay.seconds)
    figure.suptitle(
        f"{Path(replay.path).name}: {replay.seconds:g} s, board {replay.board}, "
        f"engine {replay.engine}"
    )
    save_plot(figure, path)
