"""The whole installation: service, panel, CTs, taps, and the meter in its box.

Flow: WIRING -> boards/wiring.svg.
"""

from tools.drawing_svg import BLUE, GREEN, GREY, INK, ORANGE, RED, Drawing

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
    drawing.rect(50, 196, 360, 470, "none", GREY, line=2, radius=10, dash="8 5")
    drawing.text(62, 216, "panel", 14, GREY, bold=True)
    drawing.rect(50, 690, 360, 44, "#f6f8fa", INK, line=2, radius=8)
    drawing.text(230, 717, "loads", 15, anchor="middle", bold=True)
    _feeder(drawing, _L1, "L1", "#30363d")
    _feeder(drawing, _N, "N", "#b1bac4")
    _feeder(drawing, _L2, "L2", "#b62324")
    drawing.rect(80, 236, 300, 34, "#ffffff", INK, line=2, radius=5)
    drawing.text(230, 258, "main breaker (neutral passes)", 13, anchor="middle")
    drawing.line((_N, 238), (_N, 241), stroke="#b1bac4", line=6)
    _taps(drawing)
    _ct(drawing, _L1, 470, "CT 1", 448)
    _ct(drawing, _L2, 560, "CT 2", 540)
    _meter(drawing)
    return drawing


def _feeder(drawing: Drawing, x: float, name: str, colour: str) -> None:
    drawing.line((x, 136), (x, 690), stroke=colour, line=6)
    drawing.text(x + 10, 184, name, 15, bold=True)
    drawing.arrow((x - 18, 150), (x - 18, 186), GREY)


def _taps(drawing: Drawing) -> None:
    """Three wires to the meter, those of the lines through fuses; they pass behind no feeder
    without a bridge."""
    for x, y, name, colour in (
        (_L1, 306.0, "F1", "#30363d"),
        (_N, 346.0, "", "#8c959f"),
        (_L2, 386.0, "F2", "#b62324"),
    ):
        drawing.circle(x, y, 5, colour)
        bridges = [other for other in (_N, _L2) if other > x]
        start = x
        for other in bridges:
            drawing.line((start, y), (other - 9, y), stroke=colour, line=2)
            drawing.path(f"M{other - 9:g},{y:g} a9,9 0 0 1 18,0", colour, 2)
            start = other + 9
        drawing.line((start, y), (_BOX, y), stroke=colour, line=2)
        if name:
            drawing.rect(446, y - 9, 52, 18, "#ffffff", colour, line=2, radius=6)
            drawing.line((446, y), (498, y), stroke=colour, line=2)
            drawing.text(504, y - 8, f"{name}  0.5 to 2 A fast", 12.5)


def _ct(drawing: Drawing, x: float, y: float, name: str, box_y: float) -> None:
    """A CT around a feeder, and its two wires to the meter's terminals at box_y and 24 below."""
    drawing.ellipse(x, y, 32, 15, "none", "#8c959f", 10)
    drawing.line((x, y - 22), (x, y + 2), stroke="#30363d" if x == _L1 else "#b62324", line=6)
    drawing.text(x - 40, y + 5, name, 15, ORANGE, anchor="end", bold=True)
    drawing.text(x - 22, y - 24, "H1", 13, anchor="end", bold=True)
    drawing.arrow((x - 18, y - 58), (x - 18, y - 20), ORANGE, 2.5)
    for dy, colour in ((-6.0, INK), (8.0, "#8c959f")):
        bend = 560.0 if dy < 0 else 576.0
        to = box_y if dy < 0 else box_y + 30
        start = x + 34
        at = y + dy
        for other in (_N, _L2):
            if other > x:
                drawing.line((start, at), (other - 9, at), stroke=colour, line=2)
                drawing.path(f"M{other - 9:g},{at:g} a9,9 0 0 1 18,0", colour, 2)
                start = other + 9
        drawing.line((start, at), (bend, at), (bend, to), (_BOX, to), stroke=colour, line=2)


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
    for y0, y1, number in ((292, 400, ""), (434, 492, "1"), (526, 584, "2")):
        del number
        drawing.line(
            (_BOX + 246, y0), (_BOX + 254, y0), (_BOX + 254, y1), (_BOX + 246, y1), stroke=GREY
        )
    drawing.text(
        440,
        700,
        "Arrows: the line side, H1 or the label, faces the source.",
        14,
        ORANGE,
        bold=True,
    )
    drawing.text(
        440,
        724,
        "All supplies off, locked out and proved dead before a cover comes off.",
        14,
        RED,
        bold=True,
    )
    drawing.text(440, 748, "CT 1 with L1, CT 2 with L2: never crossed.", 14, GREEN, bold=True)
