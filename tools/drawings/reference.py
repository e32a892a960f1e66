"""A steadier reference for a Pico's converter: an LM4040 at ADC_VREF, and the bias on it.

Flow: parts -> REFERENCE -> boards/reference.svg.
"""

from tools.drawings import parts as values
from tools.drawings.inputs import farad, notes, ohm
from tools.drawings.svg import GREY, PALE, Drawing
from tools.drawings.symbols import (
    bias,
    capacitor_down,
    dot,
    ground,
    reference_down,
    resistor_down,
    supply,
    terminal,
)

_TOP, _MIDDLE, _BOTTOM = 210.0, 305.0, 400.0
# The board's edge, where its pads are.
_EDGE = 390.0


def reference_drawing() -> Drawing:
    drawing = Drawing(
        980,
        594,
        "A reference of 3.0 V at a Pico's ADC_VREF",
        "On the Pico a resistor of 200 ohms, R7, leads from 3.3 V to ADC_VREF and the converter. "
        "A shunt reference of 3.0 V from the pad ADC_VREF to AGND; the bias is divided out of "
        "ADC_VREF too.",
    )
    drawing.text(40, 42, "A reference of 3.0 V at ADC_VREF", 20, bold=True)
    drawing.text(
        40, 66, "a Pico, Pico W, Pico 2 or Pico 2 W: of the boards here only they lead it out", 14,
        GREY,
    )  # fmt: skip
    _on_the_board(drawing)
    drawing.line((_EDGE + 4, _TOP), (690, _TOP))
    drawing.line((_EDGE + 4, _BOTTOM), (770, _BOTTOM))
    for y in (_TOP, _BOTTOM):
        dot(drawing, 550, y)
    reference_down(drawing, 550, _TOP, _BOTTOM, "U2", "LM4040C30")
    resistor_down(drawing, 690, _TOP, _MIDDLE, "R1", ohm(values.BIAS_OHM))
    dot(drawing, 690, _MIDDLE)
    resistor_down(drawing, 690, _MIDDLE, _BOTTOM, "R2", ohm(values.BIAS_OHM), anchor="end")
    dot(drawing, 690, _BOTTOM)
    drawing.line((690, _MIDDLE), (850, _MIDDLE))
    capacitor_down(drawing, 770, _MIDDLE, _BOTTOM, "C1", farad(values.BIAS_F))
    dot(drawing, 770, _MIDDLE)
    bias(drawing, 850, _MIDDLE, values.SHUNT_V / 2)
    drawing.text(_EDGE + 190, _TOP - 50, "nothing else hangs on ADC_VREF", 12.5, GREY)
    rail_v = values.REFERENCE_V * (1 - values.RAIL_OFF)
    shunt_v = values.SHUNT_V + values.SHUNT_OFF_V
    through_a = (rail_v - shunt_v) / values.VREF_OHM
    count = values.SHUNT_COUNT_V * 1e3
    notes(
        drawing,
        480,
        [
            f"R7 is on the board and stays: (3.3 V − 3.0 V) / {ohm(values.VREF_OHM)} = "
            f"{(values.REFERENCE_V - values.SHUNT_V) / values.VREF_OHM * 1e3:.1f} mA, of which "
            f"{values.ADC_A * 1e3:g} mA are the converter's and {values.BIAS_A * 1e3:g} mA "
            "the bias's.",
            f"At the lowest rail: ({rail_v:.2f} V − {shunt_v:g} V) / {ohm(values.VREF_OHM)} = "
            f"{through_a * 1e3:.2f} mA leave U2 {values.shunt_least_a() * 1e3:.2f} mA; it needs "
            f"{values.SHUNT_LEAST_A * 1e3:g} mA. At the highest it gets "
            f"{values.shunt_most_a() * 1e3:.1f} of "
            f"{values.SHUNT_MOST_A * 1e3:g} mA.",
            f"A count is 3.0 V / 4096 = {count:.4f} mV. RB "
            f"{ohm(values.SHUNT_CT_100MA.burden_ohm)}: NA_PER_COUNT = "
            f"{values.nano(values.SHUNT_CT_100MA.amps_a_count)}; RH {ohm(values.SHUNT_HIGH_OHM)}: "
            f"NV_PER_COUNT = {values.nano(values.SHUNT_TRANSFORMER.volts_a_count)}.",
            "R1 goes to ADC_VREF in place of 3V3, so that the bias is the middle of the "
            "converter's range. The clamps stay on 3V3.",
        ],
    )
    return drawing


def _on_the_board(drawing: Drawing) -> None:
    """What a Pico has between its rail, its pads and the converter."""
    drawing.rect(40, 92, _EDGE - 40, 366, "#f6f8fa", PALE, line=1.5, radius=10)
    drawing.text(58, 118, "on the Pico", 14, GREY, bold=True)
    supply(drawing, 310, _TOP - 80)
    resistor_down(drawing, 310, _TOP - 80, _TOP, "R7", ohm(values.VREF_OHM), anchor="end")
    dot(drawing, 310, _TOP)
    drawing.line((230, _TOP), (_EDGE - 4, _TOP))
    drawing.rect(70, _TOP - 30, 160, 60, "#ffffff", line=1.5, radius=4)
    drawing.text(150, _TOP - 4, "converter", 13, anchor="middle", bold=True)
    drawing.text(150, _TOP + 14, "with its filter, R9", 12, GREY, anchor="middle")
    terminal(drawing, _EDGE, _TOP, "ADC_VREF, pad 35", "start")
    drawing.line((310, _BOTTOM), (_EDGE - 4, _BOTTOM))
    ground(drawing, 310, _BOTTOM)
    terminal(drawing, _EDGE, _BOTTOM, "AGND, pad 33", "start")
