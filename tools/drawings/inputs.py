"""What all inputs have alike: filter, clamps and the bias they stand on.

Flow: parts -> INPUT -> boards/input.svg, and the right half of every circuit.
"""

from tools.drawings import parts as values
from tools.drawings.svg import GREEN, GREY, INK, ORANGE, PALE, RED, Drawing
from tools.drawings.symbols import (
    amplifier,
    bias,
    capacitor_down,
    diode_up,
    dot,
    ground,
    pin,
    resistor,
    resistor_down,
    supply,
)


def ohm(value: float) -> str:
    """10.7 Ω, 11.5 kΩ."""
    return f"{value / 1000:g} kΩ" if value >= 1000 else f"{value:g} Ω"


def farad(value: float) -> str:
    return f"{value * 1e6:g} µF" if value >= 1e-6 else f"{value * 1e9:g} nF"


def stage(
    drawing: Drawing,
    x: float,
    signal_y: float,
    bias_y: float,
    guard_ohm: float,
    label: str,
    colour: str,
) -> None:
    """From (x, signal_y) and the wire at bias_y that ends there to the pin, at x + 290."""
    resistor(drawing, x, x + 100, signal_y, "Rg", ohm(guard_ohm))
    dot(drawing, x + 100, signal_y)
    capacitor_down(drawing, x + 100, signal_y, bias_y, "C", farad(values.FILTER_F))
    dot(drawing, x + 100, bias_y)
    drawing.line((x, bias_y), (x + 190, bias_y))
    bias(drawing, x + 190, bias_y)
    clamp = x + 210
    drawing.line((x + 100, signal_y), (x + 290, signal_y))
    dot(drawing, clamp, signal_y)
    diode_up(drawing, clamp, signal_y, signal_y - 56)
    supply(drawing, clamp, signal_y - 56)
    diode_up(drawing, clamp, signal_y + 56, signal_y)
    ground(drawing, clamp, signal_y + 56)
    drawing.text(clamp + 18, signal_y - 30, "D", 12.5, bold=True)
    drawing.text(clamp + 18, signal_y - 14, "BAT54S", 12.5)
    pin(drawing, x + 290, signal_y, label, colour)


def notes(drawing: Drawing, y: float, lines: list[str]) -> None:
    """Lines of text under a drawing's rule at y."""
    drawing.line((30, y), (drawing.width - 30, y), stroke=PALE, line=1)
    drawing.texts(40, y + 26, lines, 13.5)


def input_drawing() -> Drawing:
    """Bias, plain and buffered, and why the filter's capacitor returns to it."""
    drawing = Drawing(
        980,
        664,
        "Bias, filter and clamps of every input",
        "Two equal resistors and a capacitor make a bias of half the supply; each input has a "
        "series resistor, a capacitor to the bias, and clamp diodes to 3.3 V and ground.",
    )
    drawing.text(40, 42, "Bias, filter and clamps", 20, bold=True)
    drawing.text(40, 66, "one bias for all inputs; filter and clamps once for each", 14, GREY)
    _plain_bias(drawing, 100, 132)
    _buffered_bias(drawing, 310, 132)
    drawing.text(580, 106, "each input (here CT 1)", 14, bold=True)
    stage_x = 634
    drawing.text(stage_x - 8, 204, "signal", 13, ORANGE, anchor="end", bold=True)
    stage(drawing, stage_x - 4, 200, 330, values.CT_GUARD_OHM, "i1", ORANGE)
    drawing.text(stage_x - 8, 334, "return", 13, GREEN, anchor="end", bold=True)
    _returns(drawing, 398)
    total = values.CT_GUARD_OHM + values.CT_100MA.burden_ohm
    hertz = values.NOMINAL_HZ
    notes(
        drawing,
        578,
        [
            f"Corner 1 / (2π R C) = {values.corner_hz(total, values.FILTER_F) / 1000:.2f} kHz; "
            f"delay R C = {values.delay_us(total, values.FILTER_F):.1f} µs, "
            f"{values.lag_deg(total, values.FILTER_F, hertz):.2f}° at {hertz:.0f} Hz: alike in "
            "all inputs, so only differences count.",
            f"Clamps: {values.TVS_CLAMPING_V:g} V at the signal drives "
            f"{values.clamp_ma(values.TVS_CLAMPING_V, values.CT_GUARD_OHM):.1f} mA through "
            f"{ohm(values.CT_GUARD_OHM)}; the pin stays within 0.4 V of its supply.",
            f"The bias has settled {values.bias_settled_s():.2f} s after power-on. "
            "Both its resistors 1 % and of one make.",
        ],
    )
    return drawing


def _plain_bias(drawing: Drawing, x: float, y: float) -> None:
    drawing.text(x - 60, y - 26, "plain", 14, bold=True)
    supply(drawing, x, y)
    resistor_down(drawing, x, y, y + 90, "R1", ohm(values.BIAS_OHM), anchor="end")
    dot(drawing, x, y + 90)
    resistor_down(drawing, x, y + 90, y + 190, "R2", ohm(values.BIAS_OHM), anchor="end")
    ground(drawing, x, y + 190)
    drawing.line((x, y + 90), (x + 90, y + 90))
    capacitor_down(drawing, x + 50, y + 90, y + 190, "C1", farad(values.BIAS_F))
    dot(drawing, x + 50, y + 90)
    ground(drawing, x + 50, y + 190)
    bias(drawing, x + 90, y + 90)


def _buffered_bias(drawing: Drawing, x: float, y: float) -> None:
    drawing.text(x + 20, y - 26, "buffered", 14, bold=True)
    left = x + 20
    resistor_down(drawing, left, y, y + 73, "R1", ohm(values.BIAS_OHM), anchor="end")
    supply(drawing, left, y)
    dot(drawing, left, y + 73)
    end = y + 225
    resistor_down(drawing, left, y + 73, end, "R2", ohm(values.BIAS_OHM), anchor="end")
    ground(drawing, left, end)
    drawing.line((left, y + 73), (left + 64, y + 73))
    capacitor_down(drawing, left + 36, y + 73, end, "C1", farad(values.BIAS_F))
    dot(drawing, left + 36, y + 73)
    ground(drawing, left + 36, end)
    top = y + 90
    amplifier(drawing, left + 64, top)
    tip = left + 64 + 58
    drawing.line((tip, top), (tip + 18, top))
    drawing.line((tip + 6, top), (tip + 6, top + 40), (left + 54, top + 40), (left + 54, top + 17))
    drawing.line((left + 54, top + 17), (left + 64, top + 17))
    dot(drawing, tip + 6, top)
    bias(drawing, tip + 18, top)
    drawing.text(left + 66, top - 56, "U1", 12.5, bold=True)
    drawing.text(left + 66, top - 40, f"MCP6001, 3V3 and {farad(values.BYPASS_F)}", 12.5)


def _returns(drawing: Drawing, y: float) -> None:
    """Two boxes: the capacitor's current stays in its loop, or crosses the bias of all."""
    share = values.bias_share() * 100
    volts = values.NOMINAL_VOLTS
    boxes = (
        (
            30,
            GREEN,
            "Right: C returns to the bias",
            (
                "Its current goes round in a loop of its own: source, Rg, C, source.",
                "Nothing of it crosses the bias, so one bias serves all inputs and",
                "needs no buffer, as long as every source floats: CTs do, and",
                "transformers with nothing else on their secondary.",
            ),
        ),
        (
            500,
            RED,
            "Wrong: C returns to ground",
            (
                f"C and C1 divide every signal: {share:.2f} % of it stands on the bias,",
                f"and so on all other inputs. One voltage input at {volts:.0f} V then",
                f"makes an element read −{-values.phantom_w(volts):.0f} W with no current at all.",
                "So does a source that does not float: buffer the bias there.",
            ),
        ),
    )
    for x, colour, title, lines in boxes:
        drawing.rect(x, y, 450, 146, "#f6f8fa", colour, line=1.5, radius=10)
        drawing.text(x + 18, y + 30, title, 15, colour, bold=True)
        drawing.texts(x + 18, y + 58, lines, 12.5, INK, leading=1.65)
