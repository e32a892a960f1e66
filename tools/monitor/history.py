"""What has been watched, thinned out so that any time of it fits: for the plot.

Flow: report -> HISTORY -> plot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from threewire.metering.indicators import kwh_lit, ten_lit
from threewire.operation.report import LEDS
from tools.monitor.report import Report

# Twice as many as a plot is wide in dots.
MOST = 4000
# Watt-hours for which a green LED is lit, and then dark: it shows the delivered register.
_HALF_WH = {"kwh": (500, kwh_lit), "ten": (5, ten_lit)}

Pair = tuple[float, float]


@dataclass(frozen=True)
class Range:
    """Values of both elements: least, mean and most of what reports in a row have told."""

    least: Pair
    mean: Pair
    most: Pair


@dataclass(frozen=True)
class Point:
    """Some reports in a row.

    seconds            since the watch began, of the last of them
    watts, volts       of both elements, each report's being a mean over its second
    delivered_wh, received_wh   of the last
    leds               of the last
    known_s            seconds up to `seconds` of which it is known how the LEDs were: all since
                       the point before, but for gaps
    lit_s              in how many of these each was lit
    count              how many reports
    after_gap          there was no connection before
    """

    seconds: float
    watts: Range
    volts: Range
    delivered_wh: Decimal
    received_wh: Decimal
    leds: Mapping[str, bool]
    known_s: float
    lit_s: Mapping[str, float]
    count: int
    after_gap: bool


class History:
    """points  at most `most` of Point, and a report more; what is older is as fine as what is new
    first   the first of them, as it came: registers are drawn from there
    stride  reports that a point stands for, but the last point
    """

    def __init__(self, most: int = MOST) -> None:
        self.points: list[Point] = []
        self.first: Point | None = None
        self.stride = 1
        self._most = most
        self._is_gap = False

    def gap(self) -> None:
        """There is no connection."""
        self._is_gap = True

    def add(self, report: Report, seconds: float) -> None:
        """Takes a report that came so many seconds after the watch began."""
        last = self.points[-1] if self.points else None
        is_gap = self._is_gap and last is not None
        point = _point(report, seconds, None if is_gap else last, is_gap)
        self._is_gap = False
        self.first = self.first or point
        if last and last.count < self.stride and not is_gap:
            self.points[-1] = _joined(last, point)
            return
        if len(self.points) >= self._most:
            self._thin()
        self.points.append(point)

    def _thin(self) -> None:
        """Makes one of each two.  A gap between them goes before them."""
        self.stride *= 2
        points = self.points
        pairs = zip(points[::2], points[1::2])
        self.points = [_joined(*pair) for pair in pairs] + points[len(points) & ~1 :]


def _point(report: Report, seconds: float, before: Point | None, after_gap: bool) -> Point:
    one, two = report.elements
    watts, volts = (one.watts, two.watts), (one.volts, two.volts)
    delivered_wh = Decimal(report.total.delivered_wh)
    known_s = seconds - before.seconds if before else 0.0
    lit = {name: _part_lit(name, before, delivered_wh, report) if before else 0 for name in LEDS}
    return Point(
        seconds,
        Range(watts, watts, watts),
        Range(volts, volts, volts),
        delivered_wh,
        Decimal(report.total.received_wh),
        report.leds,
        known_s,
        {name: known_s * part for name, part in lit.items()},
        1,
        after_gap,
    )


def _part_lit(name: str, before: Point, delivered_wh: Decimal, report: Report) -> float:
    """In how much of the time since the report before an LED was lit.

    A report tells of the moment in which it is made: until then it was as before.  A green one
    may have been on and off several times meanwhile, as the register tells, if that is what it
    shows.
    """
    rise = delivered_wh - before.delivered_wh
    if name in _HALF_WH and rise > 0:
        half, is_lit = _HALF_WH[name]
        ends = ((before.delivered_wh, before.leds), (delivered_wh, report.leds))
        if any(is_lit(int(wh)) == leds[name] for wh, leds in ends):
            return float((_lit_wh(delivered_wh, half) - _lit_wh(before.delivered_wh, half)) / rise)
    return float(before.leds[name])


def _lit_wh(wh: Decimal, half: int) -> Decimal:
    """Of all watt-hours up to these, those in which a green LED is lit."""
    cycles, rest = divmod(wh, 2 * half)
    return cycles * half + min(rest, Decimal(half))


def _joined(a: Point, b: Point) -> Point:
    def both(of_a: Range, of_b: Range) -> Range:
        means = [(x * a.count + y * b.count) / count for x, y in zip(of_a.mean, of_b.mean)]
        return Range(
            (min(of_a.least[0], of_b.least[0]), min(of_a.least[1], of_b.least[1])),
            (means[0], means[1]),
            (max(of_a.most[0], of_b.most[0]), max(of_a.most[1], of_b.most[1])),
        )

    count = a.count + b.count
    return Point(
        b.seconds,
        both(a.watts, b.watts),
        both(a.volts, b.volts),
        b.delivered_wh,
        b.received_wh,
        b.leds,
        a.known_s + b.known_s,
        {name: a.lit_s[name] + b.lit_s[name] for name in LEDS},
        count,
        a.after_gap or b.after_gap,
    )
