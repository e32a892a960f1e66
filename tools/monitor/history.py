"""What has been watched, thinned out so that any time of it fits: for the plot.

Flow: report -> HISTORY -> plot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tools.monitor.report import Report

# Twice as many as a plot is wide in dots.
MOST = 4000


@dataclass(frozen=True)
class Point:
    """Some reports in a row.

    seconds            since the watch began, of the last of them
    watts, volts       of both elements: means
    delivered_wh, received_wh   of the last
    leds               of the last; reverse: of any
    count              how many reports
    after_gap          there was no connection before
    """

    seconds: float
    watts: tuple[float, float]
    volts: tuple[float, float]
    delivered_wh: Decimal
    received_wh: Decimal
    leds: Mapping[str, bool]
    count: int
    after_gap: bool


class History:
    """points  at most `most` of Point, and a report more; what is older is as fine as what is new
    first   the first of them, as it came: registers are drawn from there
    """

    def __init__(self, most: int = MOST) -> None:
        self.points: list[Point] = []
        self.first: Point | None = None
        self._most = most
        self._stride = 1  # reports a point
        self._is_gap = False

    def gap(self) -> None:
        """There is no connection."""
        self._is_gap = True

    def add(self, report: Report, seconds: float) -> None:
        """Takes a report that came so many seconds after the watch began."""
        one, two = report.elements
        point = Point(
            seconds,
            (one.watts, two.watts),
            (one.volts, two.volts),
            Decimal(report.total.delivered_wh),
            Decimal(report.total.received_wh),
            report.leds,
            1,
            self._is_gap and bool(self.points),
        )
        self._is_gap = False
        self.first = self.first or point
        last = self.points[-1] if self.points else None
        if last and last.count < self._stride and not point.after_gap:
            self.points[-1] = _joined(last, point)
            return
        if len(self.points) >= self._most:
            self._thin()
        self.points.append(point)

    def _thin(self) -> None:
        """Makes one of each two.  A gap between them goes before them."""
        self._stride *= 2
        points = self.points
        pairs = zip(points[::2], points[1::2])
        self.points = [_joined(*pair) for pair in pairs] + points[len(points) & ~1 :]


def _joined(a: Point, b: Point) -> Point:
    count = a.count + b.count

    def mean(of_a: tuple[float, float], of_b: tuple[float, float]) -> tuple[float, float]:
        one, two = ((x * a.count + y * b.count) / count for x, y in zip(of_a, of_b))
        return one, two

    return Point(
        b.seconds,
        mean(a.watts, b.watts),
        mean(a.volts, b.volts),
        b.delivered_wh,
        b.received_wh,
        {**b.leds, "reverse": a.leds["reverse"] or b.leds["reverse"]},
        count,
        a.after_gap or b.after_gap,
    )
