"""Circuits of the current inputs: a CT of 0.1 A, a 5 A line CT, a CT with a burden built in.

Flow: parts -> CURRENT CIRCUITS -> boards/ct_*.svg.
"""

from tools.drawings import parts as values
from tools.drawings.inputs import notes, ohm, stage
from tools.drawings.svg import GREY, ORANGE, RED, Drawing
from tools.drawings.symbols import (
    amplifier,
    current_transformer,
    dot,
    resistor,
    resistor_down,
    terminal,
    transformer,
    tvs_down,
)

_WIDTH = 980.0
_AMPS = values.CLASS_AMPS


def _sheet(height: float, title: str, under: str, description: str) -> Drawing:
    drawing = Drawing(_WIDTH, height, title, description)
    drawing.text(40, 42, title, 20, bold=True)
    drawing.text(40, 66, under, 14, GREY)
    return drawing


def _secondary(
    drawing: Drawing, x: float, top: float, bottom: float, burden: float, name: str
) -> None:
    """TVS and burden across two wires that begin at x; they end at x + 290."""
    for y in (top, bottom):
        drawing.line((x, y), (x + 290, y))
        dot(drawing, x + 110, y)
        dot(drawing, x + 180, y)
    tvs_down(drawing, x + 110, top, bottom, "TVS", "SMBJ5.0CA")
    resistor_down(drawing, x + 180, top, bottom, name, ohm(burden), colour=RED)


def ct_100ma() -> Drawing:
    ct = values.CT_100MA
    drawing = _sheet(
        568,
        "CT of 200 A : 0.1 A",
        "its secondary closed by the burden, before it is closed around a conductor",
        "A current transformer of 2000 to 1 with a TVS and a burden of 10.7 ohms across its "
        "secondary, one end on the bias, the other through filter and clamps to the pin.",
    )
    top, bottom = 230.0, 350.0
    current_transformer(drawing, 130, top, bottom, "CT 1")
    for y, name in ((top, "X1"), (bottom, "X2")):
        drawing.line((168, y), (254, y))
        terminal(drawing, 250, y, name)
    _secondary(drawing, 254, top, bottom, ct.burden_ohm, "RB")
    stage(drawing, 544, top, bottom, values.CT_GUARD_OHM, "i1", ORANGE)
    drawing.text(262, bottom + 22, "white wire", 12.5, GREY)
    notes(
        drawing,
        456,
        [
            f"RB = (3.3 V / 4096) / ({values.AMPS_A_COUNT} A / {ct.ratio:.0f}) = "
            f"{ct.exact_burden_ohm:.2f} Ω, take {ct.burden_ohm:g} Ω, 1 %, 50 ppm/K, 0.5 W: "
            f"NA_PER_COUNT = {values.nano(ct.amps_a_count)}.",
            f"At {_AMPS:.0f} A: {ct.secondary_a(_AMPS):.1f} A and {ct.burden_v(_AMPS):.2f} V "
            f"across RB, {ct.burden_w(_AMPS):.3f} W, "
            f"{values.sine_peak_counts(_AMPS, ct.amps_a_count):.0f} counts peak; clips at "
            f"{values.clip_peak(ct.amps_a_count):.0f} A peak.",
            f"The TVS holds the secondary at {values.TVS_BREAKDOWN_V} to "
            f"{values.TVS_CLAMPING_V} V should the burden ever open "
            f"({values.open_burden_w(ct, _AMPS):.2f} W at {_AMPS:.0f} A). It replaces no care.",
            "H1 faces the source, X2 (white) goes to the bias: "
            "power to the load is then positive.",
        ],
    )
    return drawing


def ct_5a() -> Drawing:
    ct = values.CT_5A
    drawing = _sheet(
        578,
        "5 A line CT and an interposing transformer",
        "200 : 5, then 5 A : 50 mA; the 5 A circuit is never opened under current",
        "A line current transformer of 200 to 5 ampere feeds, over a shorting terminal block, a "
        "transformer of 5 ampere to 50 milliampere, whose burden is 21.5 ohms.",
    )
    top, bottom = 230.0, 350.0
    current_transformer(drawing, 110, top, bottom, "CT 1")
    for y, name in ((top, "X1"), (bottom, "X2")):
        drawing.line((148, y), (292, y))
        terminal(drawing, 216, y, name)
    drawing.rect(196, top - 36, 40, bottom - top + 66, "none", GREY, dash="5 4", radius=6)
    drawing.text(216, bottom + 48, "shorting", 12, GREY, anchor="middle")
    drawing.text(216, bottom + 63, "terminal block", 12, GREY, anchor="middle")
    drawing.line((292, top), (292, top + 20))
    drawing.line((292, bottom), (292, bottom - 20))
    transformer(drawing, 314, top + 20, bottom - 20)
    drawing.text(314, top - 28, "T", 12.5, anchor="middle", bold=True)
    drawing.text(314, top - 12, "5 A : 50 mA", 12.5, anchor="middle")
    drawing.line((336, top + 20), (336, top))
    drawing.line((336, bottom - 20), (336, bottom))
    _secondary(drawing, 336, top, bottom, ct.burden_ohm, "RB")
    stage(drawing, 626, top, bottom, values.CT_GUARD_OHM, "i1", ORANGE)
    notes(
        drawing,
        466,
        [
            f"RB = (3.3 V / 4096) / ({values.AMPS_A_COUNT} A / {ct.ratio:.0f}) = "
            f"{ct.exact_burden_ohm:.2f} Ω, take {ct.burden_ohm:g} Ω, 1 %, 50 ppm/K, 0.25 W: "
            f"NA_PER_COUNT = {values.nano(ct.amps_a_count)}.",
            f"At {_AMPS:.0f} A: 5 A, then {ct.secondary_a(_AMPS) * 1e3:.0f} mA and "
            f"{ct.burden_v(_AMPS):.3f} V across RB, {ct.burden_w(_AMPS):.3f} W; clips at "
            f"{values.clip_peak(ct.amps_a_count):.0f} A peak.",
            f"Leads count: {values.LEAD_M:.0f} m of {values.LEAD_MM2} mm² copper, both ways "
            f"together, are {values.LEAD_OHM:.3f} Ω, {values.LEAD_VA:.2f} VA of the CT's rated "
            "burden at 5 A.",
            "Short the block before anything on its right is touched, and only with all supplies "
            "off.",
        ],
    )
    return drawing


def ct_333mv() -> Drawing:
    drawing = _sheet(
        822,
        "CT of 200 A : 333 mV, burden built in",
        "no second burden; coarser counts, or an amplifier",
        "A current transformer with a voltage output of 333 millivolts, once straight to the "
        "filter and once through an amplifier of gain 3.21 around a buffered bias.",
    )
    top, bottom = 218.0, 328.0
    drawing.text(40, 104, "A  straight", 15, bold=True)
    current_transformer(drawing, 150, top, bottom, "CT 1")
    for y, name in ((top, "X1"), (bottom, "X2")):
        drawing.line((188, y), (500, y))
        terminal(drawing, 300, y, name)
    stage(drawing, 500, top, bottom, values.CT_GUARD_OHM, "i1", ORANGE)

    top, bottom = 528.0, 672.0
    drawing.line((30, 424), (_WIDTH - 30, 424), stroke="#d1d9e0", line=1)
    drawing.text(40, 454, "B  amplified", 15, bold=True)
    for y, name in ((top, "X1"), (bottom, "X2")):
        terminal(drawing, 170, y, name)
    drawing.text(120, (top + bottom) / 2 + 5, "from the CT", 13, GREY, anchor="middle")
    out = top + 17
    drawing.line((174, top), (320, top))
    amplifier(drawing, 320, out)
    drawing.text(344, top - 22, "U1  half of an MCP6002", 12.5)
    drawing.line((320, out + 17), (300, out + 17), (300, out + 52))
    drawing.line((377.8, out), (520, out))
    dot(drawing, 410, out)
    drawing.line((410, out), (410, out + 52))
    resistor(drawing, 300, 410, out + 52, "Rf", ohm(values.FEEDBACK_OHM), below=True)
    dot(drawing, 300, out + 52)
    resistor_down(drawing, 300, out + 52, bottom, "Rs", ohm(values.GAIN_OHM), anchor="end")
    dot(drawing, 300, bottom)
    drawing.line((174, bottom), (520, bottom))
    stage(drawing, 520, out, bottom, values.CT_GUARD_OHM, "i1", ORANGE)
    notes(
        drawing,
        714,
        [
            f"A: a count is (3.3 V / 4096) / (0.333 V / {_AMPS:.0f} A) = "
            f"{values.CT_333MV_AMPS_A_COUNT:.4f} A: NA_PER_COUNT = "
            f"{values.nano(values.CT_333MV_AMPS_A_COUNT)}. {_AMPS:.0f} A peak at "
            f"{values.sine_peak_counts(_AMPS, values.CT_333MV_AMPS_A_COUNT):.0f} counts.",
            f"B: gain 1 + Rf / Rs = {values.CT_333MV_GAIN:.2f} "
            f"(exactly {values.CT_333MV_EXACT_GAIN:.3f} would give 0.15 A a count): "
            f"NA_PER_COUNT = {values.nano(values.CT_333MV_AMPLIFIED_AMPS_A_COUNT)}.",
            "B draws current from the bias through Rs: use the buffered bias (the other half of "
            "the MCP6002), rail to rail at 3.3 V.",
            "Which wire is X1 differs from maker to maker (white here, black there): go by the "
            "CT's sheet.",
        ],
    )
    return drawing
