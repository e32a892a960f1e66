"""Draws the phasors of both elements with Braille dots: V1 to the right, angles counterclockwise.

Flow: report -> PHASORS -> view.  A current's angle from its own voltage is that of the
watts and vars, which are the mains frequency's; telemetry has no angle between the voltages, but
the doctor's word for the service says which it is.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from tools.monitor.report import Element, Report

# Below this the current is noise, and so is its angle.
LEAST_AMPS = 0.1
# V2's angle by service; of 208Y/120 it may as well be +120.
_V2_DEG = {"split phase": 180.0, "208Y/120": -120.0}

# A Braille cell is 2 dots wide and 4 high, and as terminals' cells are twice as high as wide, the
# dots are evenly spaced.
_WIDE, _HIGH = 2, 4
_BRAILLE = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
# Cells left and right of the circle for the voltages' names.
MARGIN_COLUMNS = 3
# An arrow's head: strokes of so many radii, at least so many dots, turned by so many degrees.
_HEAD, _HEAD_DOTS, _HEAD_DEG = 0.15, 5, 152
# From dot to dot of the circle, in dots.
_CIRCLE_STEP = 2.5
# Where a name may be, seen from its arrow's tip, the best first.
_NAME_DEG = (0, 45, -45, 90, -90, 135, -135)
# As many places worse it is when a letter hides dots.
_COVERED = 3
# The longer current, and the shortest whose direction can still be seen, in radii.
_LONGEST_CURRENT, _SHORTEST_CURRENT = 0.75, 0.3

STYLES = {"V1": "cyan", "I1": "bright_cyan bold", "V2": "yellow", "I2": "bright_yellow bold"}
_CIRCLE_STYLE = "bright_black"


@dataclass(frozen=True)
class Arrow:
    """name: "V1" ...; degrees counterclockwise from the right; length in radii."""

    name: str
    degrees: float
    length: float


def current_degrees(element: Element, hertz: float) -> float | None:
    """How far the current is ahead of its voltage, -180 to 180; None where that is not known:
    no voltage, hardly any current, no mains frequency."""
    if not element.va or element.amps < LEAST_AMPS or not hertz:
        return None
    # 0 - var: there is no minus zero to be -180 degrees.
    return math.degrees(math.atan2(0.0 - element.var, element.watts))


def arrows(report: Report) -> list[Arrow]:
    """Those that are known, voltages first.  V2 is drawn opposite V1 where the service is
    unknown."""
    found = []
    longest_volts = max(element.volts for element in report.elements)
    longest_amps = max(element.amps for element in report.elements)
    starts = (0.0, _V2_DEG.get(report.service, 180.0))
    for k, element in enumerate(report.elements):
        if element.volts > 0.1 * longest_volts:
            found.append(Arrow(f"V{k + 1}", starts[k], element.volts / longest_volts))
    for k, element in enumerate(report.elements):
        ahead = current_degrees(element, report.hertz)
        if ahead is not None:
            share = max(_LONGEST_CURRENT * element.amps / longest_amps, _SHORTEST_CURRENT)
            found.append(Arrow(f"I{k + 1}", starts[k] + ahead, share))
    return found


def captions(report: Report) -> list[str]:
    """In words, 26 characters at most: each element's current against its voltage; then, where
    the drawing does not say all, the angle between the voltages."""
    found = []
    for k, element in enumerate(report.elements, 1):
        ahead = current_degrees(element, report.hertz)
        if ahead is None:
            found.append(f"I{k}: no angle")
        elif abs(ahead) < 0.05:
            found.append(f"I{k} in phase with V{k}")
        else:
            word = "leads" if ahead > 0 else "lags"
            found.append(f"I{k} {word} V{k} by {abs(ahead):.1f}°")
    if report.service == "208Y/120":
        found.append("V2 120° off, either way")
    elif report.service not in _V2_DEG:
        found.append("V2 against V1: not known")
    return found


class Canvas:
    """Dots and letters in columns by rows of a terminal."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]
        self._letters: dict[tuple[int, int], tuple[str, str]] = {}

    @property
    def center(self) -> tuple[float, float]:
        """In dots, from the top left: a dot, so that level and upright lines are one dot thick."""
        return self.columns * _WIDE // 2, self.rows * _HIGH // 2

    @property
    def radius(self) -> float:
        """Of the circle, in dots."""
        wide = (self.columns - 2 * MARGIN_COLUMNS) * _WIDE
        high = self.rows * _HIGH
        return max((min(wide, high) - 1) // 2, 1)

    def at(self, degrees: float, length: float) -> tuple[float, float]:
        """The dot in that direction from the center, `length` dots away."""
        x, y = self.center
        angle = math.radians(degrees)
        return x + length * math.cos(angle), y - length * math.sin(angle)

    def dot(self, x: float, y: float, style: str) -> None:
        column, row = math.floor(x + 0.5), math.floor(y + 0.5)
        if 0 <= column < self.columns * _WIDE and 0 <= row < self.rows * _HIGH:
            cell = row // _HIGH, column // _WIDE
            self._dots[cell[0]][cell[1]] |= _BITS[row % _HIGH][column % _WIDE]
            self._styles[cell[0]][cell[1]] = style

    def line(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        steps = max(1, math.ceil(max(abs(end[0] - start[0]), abs(end[1] - start[1]))))
        for k in range(steps + 1):
            x, y = (a + (b - a) * k / steps for a, b in zip(start, end))
            self.dot(x, y, style)

    def circle(self, style: str) -> None:
        count = round(2 * math.pi * self.radius / _CIRCLE_STEP)
        for k in range(count):
            self.dot(*self.at(360 * k / count, self.radius), style)

    def arrow(self, arrow: Arrow, style: str) -> None:
        length = arrow.length * self.radius
        tip = self.at(arrow.degrees, length)
        self.line(self.center, tip, style)
        head = max(_HEAD * self.radius, _HEAD_DOTS)
        for turn in (_HEAD_DEG, -_HEAD_DEG):
            angle = math.radians(arrow.degrees + turn)
            end = tip[0] + head * math.cos(angle), tip[1] - head * math.sin(angle)
            self.line(tip, end, style)

    def name(self, arrow: Arrow, style: str) -> None:
        """Writes an arrow's name where its tip is, on as few dots as can be."""
        tip = self.at(arrow.degrees, arrow.length * self.radius)
        places = []
        for k, (far, turn) in enumerate(itertools.product((1.0, 1.7), _NAME_DEG)):
            angle = math.radians(arrow.degrees + turn)
            # Far enough from the tip that two letters are beside it, not on it.
            x = (tip[0] + far * 4.5 * math.cos(angle)) / _WIDE - (len(arrow.name) - 1) / 2
            y = (tip[1] - far * 5.5 * math.sin(angle)) / _HIGH
            column, row = round(x - 0.25), round(y - 0.375)
            cells = [(row, column + n) for n in range(len(arrow.name))]
            if all(self._is_free(cell) for cell in cells):
                covered = sum(bool(self._dots[r][c]) for r, c in cells)
                places.append((_COVERED * covered + k, cells))
        if places:
            for cell, letter in zip(min(places)[1], arrow.name):
                self._letters[cell] = letter, style

    def _is_free(self, cell: tuple[int, int]) -> bool:
        row, column = cell
        return 0 <= row < self.rows and 0 <= column < self.columns and cell not in self._letters

    def lines(self) -> list[Text]:
        """A Text a row, each as wide as the canvas."""
        found = []
        for row in range(self.rows):
            text = Text()
            for column in range(self.columns):
                dots = self._dots[row][column]
                blank = chr(_BRAILLE | dots) if dots else " "
                letter, style = self._letters.get(
                    (row, column), (blank, self._styles[row][column])
                )
                text.append(letter, style)
            found.append(text)
        return found


def draw(drawn: Sequence[Arrow], columns: int, rows: int) -> list[Text]:
    """The drawing, a Text a row."""
    canvas = Canvas(columns, rows)
    canvas.circle(_CIRCLE_STYLE)
    for arrow in drawn:
        canvas.arrow(arrow, STYLES[arrow.name])
    for arrow in drawn:
        canvas.name(arrow, STYLES[arrow.name])
    return canvas.lines()
