"""Draws what was watched: power and voltage of each element, registers, LEDs as lanes.

Flow: history -> PLOT -> file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from threewire.operation.report import LEDS
from tools.common import led_lanes
from tools.common.files import save_plot
from tools.monitor.history import History, Point

# Up to so many seconds the time is in this unit, of so many.
_UNITS = ((600.0, 1.0, "seconds"), (36000.0, 60.0, "minutes"), (float("inf"), 3600.0, "hours"))
# Less is not worth a whole axis.
_LEAST_VOLTS = 4.0

Floats = NDArray[np.float64]


def line(points: Sequence[Point], value: Callable[[Point], Any]) -> tuple[Floats, Floats]:
    """(seconds, values), with a NaN at the end of each gap, so that nothing is drawn over it."""
    pairs: list[tuple[float, float]] = []
    for point in points:
        if point.after_gap:
            pairs.append((point.seconds, float("nan")))
        pairs.append((point.seconds, float(value(point))))
    seconds, values = np.array(pairs).T
    return seconds, values


def spans(points: Sequence[Point], name: str, lit: bool) -> list[tuple[float, float]]:
    """(start, length) of each stretch in which the LED was lit, or was dark: a point tells of the
    time since the one before it, unless there was no connection."""
    found: list[tuple[float, float]] = []
    for before, point in pairwise(points):
        if point.after_gap or point.leds[name] != lit:
            continue
        if found and sum(found[-1]) == before.seconds:
            start = found.pop()[0]
        else:
            start = before.seconds
        found.append((start, point.seconds - start))
    return found


def _alone(points: Sequence[Point]) -> list[Point]:
    """Those that no line would show."""
    starts = [k for k, point in enumerate(points) if k == 0 or point.after_gap]
    return [points[a] for a, b in zip(starts, [*starts[1:], len(points)]) if b == a + 1]


def _draw(
    axes: Axes,
    points: Sequence[Point],
    scale: float,
    lines: Sequence[tuple[str, Callable[[Point], Any]]],
    stepped: bool,
) -> None:
    for label, value in lines:
        seconds, values = line(points, value)
        # What is stepped is a mean over the time before it.
        style = "steps-pre" if stepped else "default"
        (drawn,) = axes.plot(seconds / scale, values, label=label, lw=1.2, drawstyle=style)
        alone = _alone(points)
        axes.plot(
            [point.seconds / scale for point in alone],
            [float(value(point)) for point in alone],
            ".",
            color=drawn.get_color(),
        )
    axes.grid(alpha=0.3)
    axes.legend(loc="best")


def _draw_lanes(axes: Axes, points: Sequence[Point], scale: float) -> None:
    dark, lit = (
        {
            name: [(start / scale, size / scale) for start, size in spans(points, name, is_lit)]
            for name in LEDS
        }
        for is_lit in (False, True)
    )
    led_lanes.draw(axes, dark, lit)


def draw(history: History, began: datetime, seconds: float, port: str, path: str | Path) -> None:
    """Writes the plot (.png, .svg or .pdf), whole or not at all. Raises InputError if it cannot.

    history  with a point at least
    began    when the watch began, and for how many seconds it went on
    """
    points, first = history.points, history.first
    assert first is not None
    scale, unit = next((size, unit) for most, size, unit in _UNITS if seconds <= most)
    figure = Figure(figsize=(10, 9), layout="constrained")
    power, volts, energy, lanes = figure.subplots(
        4, 1, sharex=True, height_ratios=(3, 1.8, 2.2, 1.4)
    )
    _draw(
        power,
        points,
        scale,
        [(f"element {k + 1}", lambda point, k=k: point.watts[k] / 1e3) for k in (0, 1)],
        stepped=True,
    )
    power.axhline(0, color="black", lw=0.6)
    power.set_ylabel("active power, kW")
    _draw(
        volts,
        points,
        scale,
        [(f"element {k + 1}", lambda point, k=k: point.volts[k]) for k in (0, 1)],
        stepped=True,
    )
    volts.set_ylabel("volts")
    volts.ticklabel_format(useOffset=False)
    low, high = volts.get_ylim()
    if high - low < _LEAST_VOLTS:
        middle = (low + high) / 2
        volts.set_ylim(middle - _LEAST_VOLTS / 2, middle + _LEAST_VOLTS / 2)
    _draw(
        energy,
        points,
        scale,
        [
            (
                f"delivered, from {first.delivered_wh:.3f}",
                lambda point: point.delivered_wh - first.delivered_wh,
            ),
            (
                f"received, from {first.received_wh:.3f}",
                lambda point: point.received_wh - first.received_wh,
            ),
        ],
        stepped=False,
    )
    energy.set_ylabel("registers, Wh more")
    _draw_lanes(lanes, points, scale)
    lanes.set_xlim(0, max(seconds, points[-1].seconds) / scale)
    lanes.set_xlabel(unit)
    figure.suptitle(f"{port}: {seconds:.0f} s from {began:%Y-%m-%d %H:%M:%S} UTC")
    save_plot(figure, path)
