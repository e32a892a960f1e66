"""Draws a replay: power of each element, both registers, and the three LEDs as lanes, on one time
axis.

Flow: replay (with its trace) -> PLOT file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from threewire.operation.report import LEDS
from tools.common import envelope, led_lanes, legends, time_axis
from tools.common.files import save_plot
from tools.common.terminal import clean

if TYPE_CHECKING:
    from tools.replay.result import Replay

_COLOURS = ("C0", "C1")


def stretches(
    edges: list[tuple[float, bool]], lit_at_start: bool, seconds: float
) -> list[tuple[float, float, float]]:
    """(start, length, 1 where it is lit and 0 where not) of all the time, from the LED's edges."""
    at = [0.0, *(since for since, _ in edges), seconds]
    lit = [lit_at_start, *(lit for _, lit in edges)]
    return [
        (start, end - start, float(is_lit))
        for start, end, is_lit in zip(at, at[1:], lit)
        if end > start
    ]


def draw(replay: Replay, path: str | Path) -> None:
    """Writes the plot (.png, .svg or .pdf), whole or not at all. Raises InputError if it
    cannot.
    """
    save_plot(figure_of(replay), path)


def figure_of(replay: Replay) -> Figure:
    """The plot, of a replay with its trace, for who writes it in another way."""
    unit = time_axis.unit_of(replay.seconds)
    rows = np.array(replay.metered.trace, dtype=float).reshape(-1, 9)
    ends = np.r_[0, rows[:, 0] / replay.layout.tick_hz]
    figure = Figure(figsize=(10, 7), layout="constrained")
    power, energy, lanes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2.4, 1.4))
    for k, colour in enumerate(_COLOURS):
        # Each row is of the stretch that ends there.
        least, mean, most = (np.r_[rows[:1, c], rows[:, c]] / 1e9 for c in (5 + k, 1 + k, 7 + k))
        envelope.draw(power, ends / unit.seconds, least, mean, most, f"element {k + 1}", colour)
    power.axhline(0, color="black", lw=0.6)
    power.set_ylabel("active power, kW")
    envelope.legend(power, replay.metered.trace_of_s, float(np.median(np.diff(ends))))
    for column, label in ((3, "delivered"), (4, "received")):
        energy.plot(ends / unit.seconds, np.r_[0, rows[:, column] / 1e6], label=label, lw=1.4)
    energy.set_ylabel("registers, Wh")
    legends.above(energy)
    for axes in (power, energy):
        axes.grid(alpha=0.3)
    found = {
        name: [
            (start / unit.seconds, size / unit.seconds, lit)
            for start, size, lit in stretches(
                replay.edges(name), name != "reverse", replay.seconds
            )
        ]
        for name in LEDS
    }
    led_lanes.draw(lanes, found, replay.seconds / unit.seconds)
    time_axis.draw(lanes, replay.seconds)
    figure.suptitle(
        f"{clean(Path(replay.path).name)}: {time_axis.told(replay.seconds)}, "
        f"board {replay.board}, engine {replay.engine}",
        # A name may have what would be read as a formula, or as a wrong one.
        parse_math=False,
    )
    return figure
