"""The whole installation: service, panel, CTs, taps, and the meter in its box.

Flow: WIRING -> boards/wiring.svg.
"""

from tools.drawings.svg import BLUE, GREEN, GREY, INK, ORANGE, RED, Drawing, number

_BLACK, _WHITE, _RED = "#30363d", "#a5aeb8", "#b62324"  # as the wires of a US service
_L1, _N, _L2 = 120.0, 230.0, 340.0
_BOX = 640.0


def wiring() -> Drawing:
    drawing = Drawing(
        980,
        770,
        "Wiring of both elements",
        "CT 1 around line 1 with line 1's voltage, CT 2 around line 2 with line 2's voltage; both "
        "CTs with their line side, H1, to the source; voltage taps through fuses.",
    )
    drawing.text(40, 42, "Wiring of both elements", 20, bold=True)
    drawing.text(
        40,
        66,
        "CT 1 and line 1 voltage are element 1; CT 2 and line 2 voltage are element 2",
        14,
        GREY,
    )
    drawing.rect(50, 92, 360, 44, "#f6f8fa", INK, line=2, radius=8)
    drawing.text(230, 119, "source: the utility's service", 15, anchor="middle", bold=True)
    drawing.rect(26, 196, 384, 470, "none", GREY, line=2, radius=10, dash="8 5")
    drawing.text(38, 216, "panel", 14, GREY, bold=True)
    drawing.rect(50, 690, 360, 44, "#f6f8fa", INK, line=2, radius=8)
    drawing.text(230, 717, "loads", 15, anchor="middle", bold=True)
    _feeder(drawing, _L1, "L1", _BLACK)
    _feeder(drawing, _N, "N", _WHITE)
    _feeder(drawing, _L2, "L2", _RED)
    _breaker(drawing, 253)
    _taps(drawing)
    _ct(drawing, _L1, 463, "CT 1")
    _ct(drawing, _L2, 555, "CT 2")
    _meter(drawing)
    return drawing


def _feeder(drawing: Drawing, x: float, name: str, colour: str) -> None:
    drawing.line((x, 136), (x, 690), stroke=colour, line=6)
    drawing.text(x + 10, 184, name, 15, bold=True)
    drawing.arrow((x - 18, 150), (x - 18, 186), GREY)


def _breaker(drawing: Drawing, y: float) -> None:
    for x in (_L1, _L2):
        drawing.rect(x - 20, y - 17, 40, 34, "#ffffff", INK, line=2, radius=5)
        drawing.line((x, y - 17), (x, y - 9), line=3)
        drawing.line((x, y + 17), (x, y + 9), (x - 10, y - 8), line=3)
    for x in (_L1 + 20, _N + 3):
        drawing.line((x, y), (x + 87, y), dash="6 4")
    drawing.texts(38, y - 2, ("main", "breaker"), 12.5, leading=1.3)


def _across(drawing: Drawing, x: float, y: float, colour: str, end: float) -> None:
    """A wire to the right from (x, y) that bridges every feeder on its way."""
    for feeder in (_N, _L2):
        if feeder > x:
            drawing.line((x, y), (feeder - 9, y), stroke=colour, line=2)
            drawing.path(f"M{number(feeder - 9)},{number(y)} a9,9 0 0 1 18,0", colour, 2)
            x = feeder + 9
    drawing.line((x, y), (end, y), stroke=colour, line=2)


def _taps(drawing: Drawing) -> None:
    """Three wires to the meter, those of the lines through fuses, each at its tap."""
    for x, y, name, colour in (
        (_L1, 306.0, "F1", _BLACK),
        (_N, 346.0, "", _WHITE),
        (_L2, 386.0, "F2", _RED),
    ):
        drawing.circle(x, y, 5.5, colour)
        _across(drawing, x, y, colour, _BOX + 10)
        if name:
            drawing.rect(x + 16, y - 9, 44, 18, "#ffffff", colour, line=2, radius=6)
            drawing.line((x + 16, y), (x + 60, y), stroke=colour, line=2)
            drawing.text(x + 38, y - 15, name, 13, anchor="middle", bold=True)
    drawing.texts(424, 270, ("F1, F2: 0.5 to 2 A, fast,", "each beside its tap"), 12.5)


def _ct(drawing: Drawing, x: float, y: float, name: str) -> None:
    """A CT around a feeder, and its two wires to the meter."""
    drawing.ellipse(x, y, 32, 16, "none", "#8c959f", 11)
    drawing.line((x, y - 24), (x, y + 4), stroke=_BLACK if x == _L1 else _RED, line=6)
    drawing.text(x - 42, y + 5, name, 15, ORANGE, anchor="end", bold=True)
    drawing.text(x - 24, y - 30, "H1", 13, anchor="end", bold=True)
    drawing.arrow((x - 17, y - 62), (x - 17, y - 22), ORANGE, 2.5)
    for dy, colour in ((-15.0, _BLACK), (15.0, _WHITE)):
        _across(drawing, x + 20, y + dy, colour, _BOX + 10)


def _meter(drawing: Drawing) -> None:
    drawing.rect(_BOX, 236, 290, 430, "#f6f8fa", INK, line=2, radius=12)
    drawing.text(_BOX + 145, 264, "meter: a closed box", 15, anchor="middle", bold=True)
    for y, name, role, colour in (
        (306.0, "L1", "line 1 voltage", BLUE),
        (346.0, "N", "neutral", GREY),
        (386.0, "L2", "line 2 voltage", BLUE),
        (448.0, "X1", "CT 1", ORANGE),
        (478.0, "X2", "CT 1, white wire", ORANGE),
        (540.0, "X1", "CT 2", ORANGE),
        (570.0, "X2", "CT 2, white wire", ORANGE),
    ):
        drawing.circle(_BOX + 18, y, 8, "#c9d1d9", INK)
        drawing.text(_BOX + 36, y + 5, name, 14, bold=True)
        drawing.text(_BOX + 66, y + 5, role, 14, colour)
    drawing.text(_BOX + 24, 612, "Inside: transformers of the voltages,", 13, INK)
    drawing.text(_BOX + 24, 630, "burdens (always connected), filters,", 13, INK)
    drawing.text(_BOX + 24, 648, "clamps, the board.", 13, INK)
    drawing.text(
        440,
        700,
        "Arrows: the line side, H1 or the label, faces the source.",
        13,
        ORANGE,
        bold=True,
    )
    drawing.text(
        440,
        724,
        "All supplies off, locked out and proved dead before a cover comes off.",
        13,
        RED,
        bold=True,
    )
    drawing.text(440, 748, "CT 1 with L1, CT 2 with L2: never crossed.", 13, GREEN, bold=True)
