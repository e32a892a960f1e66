"""Circuits of the voltage inputs: a small mains transformer with a divider, and a ZMPT101B.

Flow: parts -> VOLTAGE CIRCUITS -> boards/voltage_*.svg.
"""

from tools.drawings import parts as values
from tools.drawings.inputs import notes, ohm, stage
from tools.drawings.svg import BLUE, GREY, RED, Drawing
from tools.drawings.symbols import (
    barrier,
    dot,
    fuse,
    resistor,
    resistor_down,
    terminal,
    transformer,
    varistor_down,
)

_WIDTH = 980.0
_TOP, _BOTTOM = 210.0, 330.0
_VARISTOR = 170.0


def _mains(drawing: Drawing, description: str, end: float) -> None:
    """Line 1 with its fuse, and neutral, with a varistor between them, as wires that end at
    `end`."""
    drawing.text(40, 66, description, 14, GREY)
    terminal(drawing, 60, _TOP, "L1", "end")
    terminal(drawing, 60, _BOTTOM, "N", "end")
    fuse(drawing, 64, 164, _TOP, "F", "0.5 to 2 A, fast")
    drawing.line((164, _TOP), (end, _TOP))
    drawing.line((64, _BOTTOM), (end, _BOTTOM))
    for y in (_TOP, _BOTTOM):
        dot(drawing, _VARISTOR, y)
    varistor_down(drawing, _VARISTOR, _TOP, _BOTTOM, "RV", f"{values.VARISTOR_VOLTS:g} V AC")
    drawing.text(60, (_TOP + _BOTTOM) / 2 + 5, "120 V", 14, RED, anchor="middle", bold=True)


def voltage_transformer() -> Drawing:
    """11 V unloaded, 11.5 k over 1 k."""
    drawing = Drawing(
        _WIDTH,
        536,
        "Line voltage by a transformer and a divider",
        "Line 1 through a fuse, with a varistor behind it, to a safety transformer; its secondary "
        "over a divider of 11.5 kilohm and 1 kilohm on the bias to the filter and the pin.",
    )
    drawing.text(40, 42, "Line voltage by a transformer and a divider", 20, bold=True)
    _mains(
        drawing, "a plug-in AC to AC supply, or a small safety transformer in a closed box", 238
    )
    for x in (238, 282):
        drawing.line((x, _TOP), (x, _TOP + 16))
        drawing.line((x, _BOTTOM), (x, _BOTTOM - 16))
    transformer(drawing, 260, _TOP + 16, _BOTTOM - 16)
    drawing.text(260, _TOP - 34, "T", 12.5, anchor="middle", bold=True)
    drawing.text(
        260,
        _TOP - 18,
        f"120 V : {values.TRANSFORMER_OPEN_V:.1f} V unloaded",
        12.5,
        anchor="middle",
    )
    barrier(drawing, 260, _BOTTOM - 4, _BOTTOM + 46)
    drawing.line((260, _TOP + 4), (260, _TOP + 12), stroke=RED, line=2)
    resistor(drawing, 344, 474, _TOP, "RH", ohm(values.HIGH_OHM))
    drawing.line((282, _TOP), (344, _TOP))
    dot(drawing, 474, _TOP)
    resistor_down(drawing, 474, _TOP, _BOTTOM, "RL", ohm(values.LOW_OHM))
    dot(drawing, 474, _BOTTOM)
    drawing.line((282, _BOTTOM), (560, _BOTTOM))
    drawing.line((474, _TOP), (560, _TOP))
    vt = values.TRANSFORMER
    stage(drawing, 560, _TOP, _BOTTOM, vt.guard_ohm, "v1", BLUE)
    notes(
        drawing,
        424,
        [
            f"RH = RL (11.0 V / 120 V × 0.11 V / (3.3 V / 4096) − 1) = "
            f"{values.EXACT_HIGH_OHM / 1000:.2f} kΩ, take {ohm(values.HIGH_OHM)}, 1 %, 50 ppm/K: "
            f"NV_PER_COUNT = {values.nano(vt.volts_a_count)}.",
            f'Measure T unloaded first: a "9 V" one gives 10 to 12 V. Both resistors together '
            f"take {values.DIVIDER_W * 1e3:.1f} mW. Clips at "
            f"{values.clip_peak(vt.volts_a_count):.0f} V peak.",
            f"RL, RH and Rg are {vt.filter_ohm:.0f} Ω to the capacitor: a delay of "
            f"{values.delay_us(vt.filter_ohm, values.FILTER_F):.1f} µs, as that of the current.",
            "Dots: T the wrong way round turns its element's sign. Nothing else may hang on the "
            "secondary.",
        ],
    )
    return drawing


def voltage_zmpt101b() -> Drawing:
    """56 k in each lead, 820 ohms."""
    drawing = Drawing(
        _WIDTH,
        536,
        "Line voltage by a ZMPT101B",
        "Line 1 behind its fuse and varistor, and neutral, each through a resistor of 56 kilohm, "
        "to the primary of a current-type transformer 2 mA to 2 mA; 820 ohms across its "
        "secondary.",
    )
    drawing.text(40, 42, "Line voltage by a ZMPT101B", 20, bold=True)
    _mains(
        drawing,
        "a 1 : 1 current transformer of 2 mA; resistors in both leads set its current",
        184,
    )
    resistor(drawing, 184, 284, _TOP, "RS1", ohm(values.ZMPT_SERIES_OHM))
    resistor(drawing, 184, 284, _BOTTOM, "RS2", ohm(values.ZMPT_SERIES_OHM), below=True)
    drawing.line((284, _TOP), (334, _TOP), (334, _TOP + 16))
    drawing.line((284, _BOTTOM), (334, _BOTTOM), (334, _BOTTOM - 16))
    drawing.line((378, _TOP + 16), (378, _TOP))
    drawing.line((378, _BOTTOM - 16), (378, _BOTTOM))
    transformer(drawing, 356, _TOP + 16, _BOTTOM - 16)
    drawing.text(356, _TOP - 34, "T", 12.5, anchor="middle", bold=True)
    drawing.text(356, _TOP - 18, "ZMPT101B", 12.5, anchor="middle")
    barrier(drawing, 356, _BOTTOM - 4, _BOTTOM + 46)
    drawing.line((378, _TOP), (560, _TOP))
    drawing.line((378, _BOTTOM), (560, _BOTTOM))
    dot(drawing, 464, _TOP)
    resistor_down(drawing, 464, _TOP, _BOTTOM, "RB", ohm(values.ZMPT_BURDEN_OHM), colour=RED)
    dot(drawing, 464, _BOTTOM)
    vt = values.ZMPT
    stage(drawing, 560, _TOP, _BOTTOM, vt.guard_ohm, "v1", BLUE)
    volts = values.NOMINAL_VOLTS
    notes(
        drawing,
        424,
        [
            f"RB = (3.3 V / 4096) / (0.11 V / {ohm(values.ZMPT_TOTAL_OHM)}) = "
            f"{values.ZMPT_EXACT_BURDEN_OHM:.1f} Ω, take {ohm(values.ZMPT_BURDEN_OHM)}: "
            f"NV_PER_COUNT = {values.nano(vt.volts_a_count)}. Clips at "
            f"{values.clip_peak(vt.volts_a_count):.0f} V peak.",
            f"At {volts:.0f} V: {values.ZMPT_MA:.2f} mA, "
            f"{values.zmpt_series_w(volts) * 1e3:.0f} mW in each RS: flameproof, "
            "0.5 W, for 350 V or more; one in each lead.",
            f"RB and Rg are {vt.filter_ohm:.0f} Ω to the capacitor: a delay of "
            f"{values.delay_us(vt.filter_ohm, values.FILTER_F):.1f} µs, as that of the current.",
            "Dots: T the wrong way round turns its element's sign. A bought module's amplifier "
            "and trimmer are left out.",
        ],
    )
    return drawing
