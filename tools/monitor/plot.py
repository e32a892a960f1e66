"""Draws what was watched: power and voltage of each element, registers, LEDs as lanes.

Flow: history -> PLOT -> file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from threewire.operation.report import LEDS
from tools.common import envelope, led_lanes, legends, time_axis
from tools.common.files import save_plot
from tools.monitor.history import History, Point, Range

# Less is not worth a whole axis.
_LEAST_VOLTS = 4.0
# A report's readings are means over a second.
_REPORT_S = 1.0
_COLOURS = ("C0", "C1")

Floats = NDArray[np.float64]


def line(points: Sequence[Point], *values: Callable[[Point], float]) -> list[Floats]:
    """Seconds, and each of the values, with a NaN at the end of each gap, so that nothing is drawn
    over it."""
    rows: list[list[float]] = []
    for point in points:
        if point.after_gap:
            rows.append([point.seconds, *(float("nan") for _ in values)])
        rows.append([point.seconds, *(float(value(point)) for value in values)])
    return list(np.array(rows).T)


def stretches(points: Sequence[Point], name: str) -> list[tuple[float, float, float]]:
    """(start, length, part in which the LED was lit) of each time of which that is known."""
    return [
        (point.seconds - point.known_s, point.known_s, point.lit_s[name] / point.known_s)
        for point in points
        if point.known_s > 0
    ]


def _alone(points: Sequence[Point]) -> list[Point]:
    """Those that no line would show."""
    starts = [k for k, point in enumerate(points) if k == 0 or point.after_gap]
    return [points[a] for a, b in zip(starts, [*starts[1:], len(points)]) if b == a + 1]


def _draw_ranges(
    axes: Axes, history: History, scale: float, of: Callable[[Point], Range], name: str
) -> None:
    """Both elements' means, with least and most where a point stands for several reports."""
    for k, colour in enumerate(_COLOURS):
        seconds, least, mean, most = line(
            history.points,
            lambda point, k=k: of(point).least[k],
            lambda point, k=k: of(point).mean[k],
            lambda point, k=k: of(point).most[k],
        )
        envelope.draw(axes, seconds / scale, least, mean, most, f"element {k + 1}", colour)
        alone = _alone(history.points)
        axes.plot(
            [point.seconds / scale for point in alone],
            [of(point).mean[k] for point in alone],
            ".",
            color=colour,
        )
    axes.set_ylabel(name)
    axes.grid(alpha=0.3)
    envelope.legend(axes, _REPORT_S, history.stride * _REPORT_S)


def _draw_registers(axes: Axes, history: History, scale: float) -> None:
    first = history.first
    assert first is not None
    alone = _alone(history.points)
    for name, start, value in (
        ("delivered", first.delivered_wh, lambda point: point.delivered_wh - first.delivered_wh),
        ("received", first.received_wh, lambda point: point.received_wh - first.received_wh),
    ):
        seconds, values = line(history.points, value)
        label = f"{name}, from {start:.3f}"
        (drawn,) = axes.plot(seconds / scale, values, label=label, lw=1.2)
        axes.plot(
            [point.seconds / scale for point in alone],
            [float(value(point)) for point in alone],
            ".",
            color=drawn.get_color(),
        )
    axes.set_ylabel("registers, Wh more")
    axes.grid(alpha=0.3)
    legends.above(axes)


def draw(history: History, began: datetime, seconds: float, port: str, path: str | Path) -> None:
    """Writes the plot (.png, .svg or .pdf), whole or not at all. Raises InputError if it cannot.

    history  with a point at least
    began    when the watch began, and for how many seconds it went on
    """
    points = history.points
    length = max(seconds, points[-1].seconds)
    scale = time_axis.unit_of(length).seconds
    figure = Figure(figsize=(10, 9), layout="constrained")
    power, volts, energy, lanes = figure.subplots(
        4, 1, sharex=True, height_ratios=(3, 1.8, 2.2, 1.4)
    )
    _draw_ranges(power, history, scale, lambda point: _thousandth(point.watts), "active power, kW")
    power.axhline(0, color="black", lw=0.6)
    _draw_ranges(volts, history, scale, lambda point: point.volts, "volts")
    volts.ticklabel_format(useOffset=False)
    low, high = volts.get_ylim()
    if high - low < _LEAST_VOLTS:
        middle = (low + high) / 2
        volts.set_ylim(middle - _LEAST_VOLTS / 2, middle + _LEAST_VOLTS / 2)
    _draw_registers(energy, history, scale)
    found = {
        name: [(start / scale, size / scale, lit) for start, size, lit in stretches(points, name)]
        for name in LEDS
    }
    led_lanes.draw(lanes, found, length / scale)
    time_axis.draw(lanes, length)
    figure.suptitle(f"{port}: {time_axis.told(seconds)} from {began:%Y-%m-%d %H:%M:%S} UTC")
    save_plot(figure, path)


def _thousandth(of: Range) -> Range:
    """Of watts, kilowatts."""
    return Range(*((pair[0] / 1e3, pair[1] / 1e3) for pair in (of.least, of.mean, of.most)))
