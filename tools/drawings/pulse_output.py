"""A pulse output that is isolated: an optocoupler between a pin and an S0 receiver.

Flow: parts -> PULSE OUTPUT -> boards/pulse_output.svg.
"""

from tools.drawings import parts as values
from tools.drawings.inputs import notes, ohm
from tools.drawings.svg import BLUE, GREY, INK, PALE, PURPLE, RED, Drawing
from tools.drawings.symbols import ground, pin, resistor, terminal

_TOP, _BOTTOM = 170.0, 270.0
# Of the optocoupler: its box, its LED and its transistor.
_LEFT, _RIGHT = 400.0, 540.0
_LED, _BASE = 440.0, 496.0


def pulse_output() -> Drawing:
    drawing = Drawing(
        980,
        462,
        "A pulse output for an S0 receiver",
        "A pin of the board drives the LED of an optocoupler through 470 ohms; the optocoupler's "
        "transistor is the contact between S0 plus and S0 minus of the receiver, which brings its "
        "own supply.",
    )
    drawing.text(40, 42, "A pulse output for an S0 receiver", 20, bold=True)
    drawing.text(
        40,
        66,
        "one for delivered, one for received; each with an optocoupler of its own",
        14,
        GREY,
    )
    drawing.text(60, 116, "on the meter's side", 14, bold=True)
    pin(drawing, 100, _TOP, "a free pin", PURPLE)
    resistor(drawing, 208, 350, _TOP, "R", ohm(values.OPTO_OHM))
    drawing.line((350, _TOP), (_LED, _TOP), (_LED, _BOTTOM), (240, _BOTTOM))
    ground(drawing, 240, _BOTTOM)
    _optocoupler(drawing)
    drawing.line((_BASE + 24, _TOP), (700, _TOP))
    drawing.line((_BASE + 24, _BOTTOM), (700, _BOTTOM))
    terminal(drawing, 704, _TOP, "S0 +", "start")
    terminal(drawing, 704, _BOTTOM, "S0 −", "start")
    drawing.rect(780, _TOP - 40, 160, _BOTTOM - _TOP + 80, "#f6f8fa", PALE, line=1.5, radius=10)
    drawing.texts(
        860,
        _TOP + 20,
        [
            "*S0 receiver",
            "with its own supply,",
            f"{values.S0_MOST_V:g} V and",
            f"{values.S0_MOST_A * 1e3:g} mA at most",
        ],
        12.5,
        anchor="middle",
    )
    for y in (_TOP, _BOTTOM):
        drawing.line((708, y), (780, y))
    notes(
        drawing,
        370,
        [
            f"LED: ({values.REFERENCE_V:g} V − {values.OPTO_V:g} V) / {ohm(values.OPTO_OHM)} = "
            f"{values.opto_a() * 1e3:.1f} mA. At a transfer ratio of "
            f"{values.OPTO_RATIO * 100:g} % that carries {values.opto_out_a() * 1e3:.0f} mA; "
            f"S0 asks for {values.S0_LEAST_A * 1e3:g} mA or more.",
            f"Its transistor stands {values.OPTO_MOST_V:g} V; with S0 + and S0 − exchanged it "
            "conducts nothing and may be damaged: look at the receiver's marking.",
            "Nothing but light goes from one side to the other. Keep their wires apart, and both "
            "away from mains.",
        ],
    )
    return drawing


def _optocoupler(drawing: Drawing) -> None:
    middle = (_TOP + _BOTTOM) / 2
    drawing.rect(_LEFT, _TOP - 24, _RIGHT - _LEFT, _BOTTOM - _TOP + 48, "none", INK, radius=6)
    drawing.text((_LEFT + _RIGHT) / 2, _TOP - 34, "U3", 13, anchor="middle", bold=True)
    drawing.text(
        (_LEFT + _RIGHT) / 2, _BOTTOM + 42, "optocoupler, Darlington", 13, anchor="middle"
    )
    # The LED, towards ground.
    drawing.polygon([(_LED - 10, middle - 9), (_LED + 10, middle - 9), (_LED, middle + 8)], INK)
    drawing.line((_LED - 11, middle + 8), (_LED + 11, middle + 8), line=2)
    for dy in (-6, 6):
        drawing.arrow((_LED + 16, middle + dy), (_LED + 36, middle + dy), RED, 1.5)
    # The transistor: collector above, emitter below.
    drawing.line((_BASE, middle - 22), (_BASE, middle + 22), line=3)
    drawing.line((_BASE, middle - 10), (_BASE + 24, middle - 26), (_BASE + 24, _TOP))
    drawing.line((_BASE, middle + 10), (_BASE + 24, middle + 26), (_BASE + 24, _BOTTOM))
    drawing.polygon(
        [(_BASE + 24, middle + 26), (_BASE + 13, middle + 24), (_BASE + 19, middle + 16)], INK
    )
    drawing.text(_RIGHT + 24, middle + 5, "isolated", 12.5, BLUE, bold=True)
