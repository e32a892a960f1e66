"""The Modbus line: the board behind an isolated driver, the line's two ends, and its bias.

Flow: parts -> RS485 -> boards/rs485.svg.
"""

from tools.drawings import parts as values
from tools.drawings.inputs import notes, ohm
from tools.drawings.svg import BLUE, GREY, INK, PALE, RED, Drawing
from tools.drawings.symbols import dot, resistor_down, terminal

_A, _B, _COMMON = 190.0, 290.0, 380.0
_CHIP = 250.0
_EDGE = 430.0


def rs485_drawing() -> Drawing:
    drawing = Drawing(
        980,
        560,
        "The Modbus line",
        "The board's TX, RX and direction go to an isolated RS-485 driver. Its line has a "
        "resistor of 120 ohms at each end, and one pair of bias resistors, at the master.",
    )
    drawing.text(40, 42, "The Modbus line, RS-485", 20, bold=True)
    drawing.text(
        40, 66, "two wires and a common, isolated from the board; 120 Ω at the two ends alone", 14,
        GREY,
    )  # fmt: skip
    _driver(drawing)
    for y in (_A, _B, _COMMON):
        drawing.line((_EDGE + 4, y), (900, y))
    for y, name in ((_A, "B, D1, +"), (_B, "A, D0, −"), (_COMMON, "common")):
        terminal(drawing, _EDGE, y, name, "start")
    for x, name in ((560.0, "RT1"), (850.0, "RT2")):
        for y in (_A, _B):
            dot(drawing, x, y)
        resistor_down(drawing, x, _A, _B, name, ohm(values.LINE_OHM))
    drawing.text(560, 415, "at one end", 12.5, GREY, anchor="middle")
    drawing.text(850, 415, "at the other", 12.5, GREY, anchor="middle")
    dot(drawing, 720, _A)
    dot(drawing, 720, _B)
    dot(drawing, 720, _COMMON)
    resistor_down(drawing, 720, _A - 80, _A, "RP", ohm(values.LINE_BIAS_OHM))
    resistor_down(drawing, 720, _B, _COMMON, "RN", ohm(values.LINE_BIAS_OHM))
    drawing.line((710, _A - 80), (730, _A - 80), stroke=RED, line=3)
    drawing.text(720, _A - 87, "5 V of the master", 12, RED, anchor="middle", bold=True)
    drawing.text(720, 415, "at one place", 12.5, GREY, anchor="middle")
    notes(
        drawing,
        456,
        [
            f"With both ends, silence is {values.line_idle_v() * 1e3:.0f} mV: 5 V · "
            f"{values.LINE_OHM / 2:g} Ω / (2 · {ohm(values.LINE_BIAS_OHM)} + "
            f"{values.LINE_OHM / 2:g} Ω); a receiver asks for 200 mV.",
            "The board is at one end or along the line: a stub of some centimetres, and RT1 only "
            "at an end.",
            "The driver's far side touches nothing of the board's: no ground, no supply, "
            "no cable's screen.",
        ],
    )
    return drawing


def _driver(drawing: Drawing) -> None:
    """The isolated driver between the board's pins and the line."""
    drawing.rect(_CHIP, 120, _EDGE - _CHIP, 300, "#f6f8fa", INK, line=1.5, radius=8)
    drawing.text(_CHIP + 90, 144, "U3: RS-485, isolated", 13, anchor="middle", bold=True)
    drawing.line((_CHIP + 90, 160), (_CHIP + 90, 404), stroke=RED, line=2, dash="7 5")
    for y, name, label in (
        (185.0, "TXD", "TX"),
        (235.0, "RXD", "RX"),
        (285.0, "DE, /RE", "direction"),
        (335.0, "VCC", "3V3"),
        (385.0, "GND", "GND"),
    ):
        drawing.line((180, y), (_CHIP, y))
        drawing.text(_CHIP + 8, y + 4.5, name, 12.5, bold=True)
        drawing.rect(70, y - 13, 110, 26, PALE if label in ("3V3", "GND") else BLUE, radius=5)
        drawing.text(
            125,
            y + 4.5,
            label,
            13,
            INK if label in ("3V3", "GND") else "#ffffff",
            anchor="middle",
            bold=True,
        )
    drawing.text(70, 160, "the board", 14, GREY, bold=True)
    for y in (_A, _B, _COMMON):
        drawing.line((_EDGE - 50, y), (_EDGE - 4, y))
