"""What to do when the red LED is lit: the three checks, in order, as a flow chart.

Flow: REVERSE -> boards/reverse.svg.
"""

from collections.abc import Sequence

from tools.drawings.svg import BLUE, GREEN, GREY, INK, RED, Drawing, Point

_X = 330.0  # the column of questions
_SIDE = 775.0  # and of what to do
_WIDTH = 980.0


def reverse_drawing() -> Drawing:
    drawing = Drawing(
        _WIDTH,
        1010,
        "When the red LED is lit",
        "Do you export? If not: all supplies off and proved dead, then three checks: the CT's "
        "line side faces the source, the voltage reference is on its CT's line, the CT's two "
        "wires are on the right terminals. Mend what is wrong, and go on to the next; if it is "
        "lit again, read the doctor's verdict and begin again with all supplies off.",
    )
    drawing.text(40, 42, "When the red LED is lit", 20, bold=True)
    drawing.text(
        40,
        66,
        "it means: power flows from the load to the source on at least one element",
        14,
        GREY,
    )
    _box(drawing, _X, 108, ("*REVERSE is lit",), RED)
    _down(drawing, 132, 168)
    _question(drawing, 218, ("Does power flow out on purpose:", "solar, a battery, a generator?"))
    _yes(
        drawing,
        218,
        "yes",
        GREEN,
        ("*All is right.", "Red shows the export;", "it goes out when that ends."),
    )
    _down(drawing, 268, 306, "no")
    _box(
        drawing,
        _X,
        344,
        (
            "*All supplies off, locked out, proved dead",
            "(solar and generator too), by a qualified person",
        ),
        INK,
        76,
    )
    _down(drawing, 382, 416)
    checks = (
        (
            ("*1  Does the CT's line side", "(H1, label) face the source?"),
            ("*Turn the CT round:", "its arrow points", "to the load."),
        ),
        (
            ("*2  Is the voltage reference", "on the same line as its CT?"),
            ("*Exchange the two taps:", "CT 1 with line 1,", "CT 2 with line 2."),
        ),
        (
            ("*3  Are the CT's two wires", "on the right terminals?"),
            ("*Exchange the two wires:", "white on X2,", "burden always connected."),
        ),
    )
    y = 466.0
    for question, mend in checks:
        _question(drawing, y, question)
        _yes(drawing, y, "no", BLUE, mend)
        _down(drawing, y + 50, y + 86, "yes")
        # Whoever has mended one goes on to the next: all three are made.
        _then(drawing, ((_SIDE + 5, y + 45), (_SIDE + 5, y + 68), (_X, y + 68)), BLUE)
        y += 136
    _box(
        drawing,
        _X,
        y - 14,
        ("*Covers closed, supplies on: is it dark", "with an ordinary load on both lines?"),
        INK,
        72,
    )
    _yes(drawing, y - 14, "yes", GREEN, ("*Done.",), 235)
    _down(drawing, y + 22, y + 54, "no")
    _box(
        drawing,
        _X,
        y + 86,
        ("*Read the doctor's verdict", "it names the element, and what would look the same"),
        GREY,
        64,
    )
    _then(drawing, ((_X - 235, y + 86), (48, y + 86), (48, 344), (_X - 235, 344)), GREY)
    return drawing


def _box(
    drawing: Drawing,
    x: float,
    y: float,
    lines: tuple[str, ...],
    colour: str,
    height: float = 48,
    width: float = 470,
) -> None:
    """Centred on (x, y)."""
    drawing.rect(
        x - width / 2, y - height / 2, width, height, "#f6f8fa", colour, line=2, radius=10
    )
    first = y - (len(lines) - 1) * 11 + 5
    drawing.texts(x, first, lines, 15, colour, anchor="middle", leading=22 / 15)


def _question(drawing: Drawing, y: float, lines: tuple[str, ...]) -> None:
    half = 235.0
    drawing.polygon(
        [
            (_X - half, y),
            (_X - 190, y - 50),
            (_X + 190, y - 50),
            (_X + half, y),
            (_X + 190, y + 50),
            (_X - 190, y + 50),
        ],
        "#fff8e6",
        "#9a6700",
        2,
    )
    drawing.texts(_X, y - 6, lines, 15, INK, anchor="middle", leading=22 / 15)


def _yes(
    drawing: Drawing,
    y: float,
    answer: str,
    colour: str,
    lines: tuple[str, ...],
    half: float = 235,
) -> None:
    """To the right, by that answer, what then."""
    width = 260.0
    drawing.arrow((_X + half, y), (_SIDE - width / 2 + 5, y), colour)
    drawing.text(_X + half + 8, y - 8, answer, 14, colour, bold=True)
    _box(drawing, _SIDE + 5, y, lines, colour, 22 * len(lines) + 24, width)


def _then(drawing: Drawing, points: Sequence[Point], colour: str) -> None:
    """From point to point, with a head at the last."""
    drawing.line(*points[:-1], stroke=colour, line=2)
    drawing.arrow(points[-2], points[-1], colour)


def _down(drawing: Drawing, y0: float, y1: float, answer: str = "") -> None:
    drawing.arrow((_X, y0), (_X, y1))
    if answer:
        drawing.text(_X - 12, (y0 + y1) / 2 + 2, answer, 14, INK, anchor="end", bold=True)
