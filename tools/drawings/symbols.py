"""Symbols of circuit diagrams, each with its wires up to the points that are given.

Flow: SYMBOLS -> drawings of the circuits.  Names stand in bold, values under them.
"""

from tools.drawings.parts import MID_V
from tools.drawings.svg import BLUE, GREEN, GREY, INK, RED, Drawing, number

_SIZE = 12.5


def _label(
    drawing: Drawing, x: float, y: float, name: str, value: str, anchor: str = "start"
) -> None:
    drawing.text(x, y, name, _SIZE, anchor=anchor, bold=True)
    drawing.text(x, y + 16, value, _SIZE, anchor=anchor)


def resistor(
    drawing: Drawing, x0: float, x1: float, y: float, name: str, value: str, below: bool = False
) -> None:
    """Level, from x0 to x1."""
    middle = (x0 + x1) / 2
    drawing.line((x0, y), (x1, y))
    drawing.rect(middle - 22, y - 8, 44, 16, "#ffffff", INK, line=1.5)
    _label(drawing, middle, y + 24 if below else y - 31, name, value, "middle")


def resistor_down(
    drawing: Drawing,
    x: float,
    y0: float,
    y1: float,
    name: str,
    value: str,
    *,
    anchor: str = "start",
    colour: str = INK,
) -> None:
    middle = (y0 + y1) / 2
    drawing.line((x, y0), (x, y1))
    drawing.rect(x - 8, middle - 22, 16, 44, "#ffffff", colour, line=1.5)
    _label(drawing, x + (14 if anchor == "start" else -14), middle - 4, name, value, anchor)


def capacitor_down(
    drawing: Drawing,
    x: float,
    y0: float,
    y1: float,
    name: str,
    value: str,
    anchor: str = "start",
) -> None:
    middle = (y0 + y1) / 2
    drawing.line((x, y0), (x, middle - 4))
    drawing.line((x, middle + 4), (x, y1))
    for y in (middle - 4, middle + 4):
        drawing.line((x - 13, y), (x + 13, y), line=2.5)
    _label(drawing, x + (18 if anchor == "start" else -18), middle - 4, name, value, anchor)


def diode_up(drawing: Drawing, x: float, y0: float, y1: float) -> None:
    """A Schottky diode that conducts from the lower y0 up to y1."""
    middle = (y0 + y1) / 2
    drawing.line((x, y0), (x, y1))
    drawing.polygon([(x - 9, middle + 7), (x + 9, middle + 7), (x, middle - 7)], INK)
    y = middle - 8
    drawing.line((x - 10, y + 4), (x - 10, y), (x + 10, y), (x + 10, y - 4), line=2)


def tvs_down(drawing: Drawing, x: float, y0: float, y1: float, name: str, value: str) -> None:
    """Of both directions."""
    middle = (y0 + y1) / 2
    drawing.line((x, y0), (x, y1))
    for sign in (-1, 1):
        drawing.polygon(
            [(x - 9, middle + sign * 16), (x + 9, middle + sign * 16), (x, middle + sign * 1)], INK
        )
    drawing.line(
        (x - 13, middle + 5), (x - 10, middle), (x + 10, middle), (x + 13, middle - 5), line=2
    )
    _label(drawing, x - 18, middle - 4, name, value, "end")


def varistor_down(drawing: Drawing, x: float, y0: float, y1: float, name: str, value: str) -> None:
    middle = (y0 + y1) / 2
    drawing.line((x, y0), (x, y1))
    drawing.rect(x - 8, middle - 22, 16, 44, "#ffffff", INK, line=1.5)
    drawing.line((x - 19, middle + 20), (x - 12, middle + 20), (x + 14, middle - 20))
    _label(drawing, x - 23, middle - 4, name, value, "end")


def reference_down(
    drawing: Drawing, x: float, y0: float, y1: float, name: str, value: str
) -> None:
    """A shunt reference, its cathode at the upper y0."""
    middle = (y0 + y1) / 2
    drawing.line((x, y0), (x, y1))
    drawing.polygon([(x - 10, middle + 9), (x + 10, middle + 9), (x, middle - 8)], INK)
    y = middle - 9
    drawing.line((x - 15, y + 6), (x - 11, y), (x + 11, y), (x + 15, y - 6), line=2)
    _label(drawing, x + 20, middle - 2, name, value)


def ground(drawing: Drawing, x: float, y: float) -> None:
    for k, half in enumerate((11, 7, 3)):
        drawing.line((x - half, y + 4 * k), (x + half, y + 4 * k), line=2)
    drawing.text(x, y + 25, "GND", 12, anchor="middle", bold=True)


def supply(drawing: Drawing, x: float, y: float) -> None:
    """3.3 V above a wire that ends at (x, y)."""
    drawing.line((x - 10, y), (x + 10, y), stroke=RED, line=3)
    drawing.text(x, y - 7, "3V3", 12, RED, anchor="middle", bold=True)


def bias(drawing: Drawing, x: float, y: float, volts: float = MID_V) -> None:
    """The bias as the end of a wire that comes from the left."""
    drawing.rect(x, y - 12, 100, 24, "#e6f4ea", GREEN, line=1.5, radius=12)
    drawing.text(x + 50, y + 4.5, f"BIAS {volts:g} V", 12.5, GREEN, anchor="middle", bold=True)


def pin(drawing: Drawing, x: float, y: float, label: str, colour: str) -> None:
    """The board's pin as the end of a wire that comes from the left."""
    width = 8.2 * len(label) + 26
    drawing.polygon(
        [(x, y), (x + 10, y - 13), (x + width, y - 13), (x + width, y + 13), (x + 10, y + 13)],
        colour,
    )
    drawing.text(x + width / 2 + 5, y + 4.5, label, 13, "#ffffff", anchor="middle", bold=True)


def dot(drawing: Drawing, x: float, y: float) -> None:
    drawing.circle(x, y, 3.5, INK)


def terminal(drawing: Drawing, x: float, y: float, name: str, anchor: str = "middle") -> None:
    drawing.circle(x, y, 4, "#ffffff", INK)
    dx = {"middle": 0, "start": 9, "end": -9}[anchor]
    drawing.text(x + dx, y - 9, name, 12.5, anchor=anchor, bold=True)


def fuse(drawing: Drawing, x0: float, x1: float, y: float, name: str, value: str) -> None:
    middle = (x0 + x1) / 2
    drawing.line((x0, y), (x1, y))
    drawing.rect(middle - 22, y - 7, 44, 14, "none", INK, line=1.5, radius=4)
    _label(drawing, middle, y - 31, name, value, "middle")


def winding(drawing: Drawing, x: float, y0: float, y1: float, out: int, turns: int = 4) -> None:
    """Half circles from y0 down to y1 that bulge to the right (out 1) or the left (-1)."""
    radius = (y1 - y0) / turns / 2
    arcs = "".join(
        f" a{number(radius)},{number(radius)} 0 0 {1 if out > 0 else 0} 0,{number(2 * radius)}"
        for _ in range(turns)
    )
    drawing.path(f"M{number(x)},{number(y0)}{arcs}", line=2)


def transformer(drawing: Drawing, x: float, y0: float, y1: float) -> None:
    """Primary at x - 22, secondary at x + 22, both from y0 to y1, dots at the top."""
    winding(drawing, x - 22, y0, y1, 1)
    winding(drawing, x + 22, y0, y1, -1)
    for dx in (-3, 3):
        drawing.line((x + dx, y0), (x + dx, y1), line=2)
    for dx in (-30, 30):
        drawing.circle(x + dx, y0 + 9, 3, INK)


def current_transformer(
    drawing: Drawing, x: float, y0: float, y1: float, name: str, line: str = "line 1"
) -> None:
    """A conductor that runs down at x through a ring; its secondary ends are (x + 38, y0), X1, and
    (x + 38, y1), X2.
    """
    middle = (y0 + y1) / 2
    top, bottom = y0 - 62, y1 + 62
    drawing.line((x, top), (x, bottom), line=7, stroke="#30363d")
    drawing.ellipse(x, middle, 36, 17, "none", "#8c959f", 11)
    drawing.line((x, top), (x, middle + 10), line=7, stroke="#30363d")
    winding(drawing, x + 38, y0 + 12, y1 - 12, 1, 3)
    drawing.line((x + 38, y0), (x + 38, y0 + 12))
    drawing.line((x + 38, y1), (x + 38, y1 - 12))
    drawing.text(x, top - 24, "from the source", 12, GREY, anchor="middle")
    drawing.text(x, top - 9, f"({line})", 12, GREY, anchor="middle")
    drawing.text(x, bottom + 17, "to the load", 12, GREY, anchor="middle")
    drawing.arrow((x - 22, top + 2), (x - 22, top + 36), "#8c959f", 2.5)
    drawing.text(x - 14, middle - 28, "H1", 13, anchor="end", bold=True)
    drawing.text(x - 48, middle + 4.5, name, 13, anchor="end", bold=True)


def amplifier(drawing: Drawing, x: float, y: float, size: float = 34) -> None:
    """A triangle with its inputs at (x, y - size / 2), +, and (x, y + size / 2), -, and its output
    at (x + 1.7 size, y).
    """
    drawing.polygon([(x, y - size), (x, y + size), (x + 1.7 * size, y)], "#ffffff", INK)
    drawing.text(x + 6, y - size / 2 + 5, "+", 15, bold=True)
    drawing.text(x + 6, y + size / 2 + 5, "−", 15, bold=True)


def barrier(drawing: Drawing, x: float, y0: float, y1: float) -> None:
    """Between mains and what may be touched."""
    drawing.line((x, y0), (x, y1), stroke=RED, line=2, dash="7 5")
    drawing.text(x - 10, y1 + 4, "mains", 12.5, RED, anchor="end", bold=True)
    drawing.text(x + 10, y1 + 4, "isolated", 12.5, BLUE, bold=True)
