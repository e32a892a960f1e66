"""A board's pinout: its outline, and on it the pins that its board file uses.

Flow: board file + OUTLINES -> PINOUT -> boards/NAME.svg.
"""

from types import ModuleType

from threewire.chip.chips import CHIPS
from threewire.metering.layout import SENSOR
from tools.common import boards
from tools.common.errors import InputError
from tools.drawings import parts as values
from tools.drawings.outlines import OUTLINES, Outline, split
from tools.drawings.svg import BLUE, GREEN, GREY, INK, ORANGE, PALE, PURPLE, RED, Drawing

_WIDTH = 980.0
_LEFT, _RIGHT = 380.0, 600.0  # the board's edges
_TOP = 112.0
_PITCH = 27.0
_EDGE_PITCH = 32.0
_PCB = "#22303c"
_SILK = "#f0f3f6"
_PAD = "#8c959f"
_UNUSED = "#9ea7b0"
_GROUNDS = ("GND", "AGND", "G")
_SUPPLIES = ("3V3", "3.3V", "3V")

# Where text that begins at x has to be anchored to run left (-1) or right (1) of it.
_AWAY = {-1: "end", 1: "start"}

_INPUTS = {
    "i1": ("CT 1", ORANGE),
    "v1": ("line 1 voltage", BLUE),
    "i2": ("CT 2", ORANGE),
    "v2": ("line 2 voltage", BLUE),
}
_LED_LABELS = {
    "kwh": ("1000 Wh LED (left)", GREEN),
    "ten": ("10 Wh LED (right)", GREEN),
    "reverse": ("REVERSE LED", RED),
}
_LEGEND = (
    ("current", ORANGE),
    ("voltage", BLUE),
    ("green LED", GREEN),
    ("red LED, 3.3 V", RED),
    ("seal", PURPLE),
    ("ground", INK),
    ("not used", _PAD),
)


def drawn() -> list[str]:
    """The boards whose outline is known; the others do without a drawing."""
    return [name for name in boards.names() if name in OUTLINES]


def roles(board: ModuleType) -> dict[int, tuple[str, str]]:
    """GPIO -> label and colour, for every pin that the board file names."""
    found = {pin: _INPUTS[name] for name, pin in board.SLOTS if name != SENSOR}
    for name, (pin, _) in board.LEDS.items():
        found[pin] = _LED_LABELS[name]
    found[board.SEAL] = ("seal", PURPLE)
    return found


def pinout(name: str) -> Drawing:
    """Raises InputError where the board file uses a pin that the board does not have."""
    board, outline = boards.module(name), OUTLINES[name]
    used = roles(board)
    there = {split(pin)[1] for pin in outline.left + outline.right} | set(outline.leds)
    for gpio in sorted(set(used) - there):
        raise InputError(
            f"boards/{name}.py: GPIO{gpio} ({used[gpio][0]}) is on no header of the "
            f"{outline.title}; tools/drawings/outlines.py lists those that are"
        )
    bottom = _TOP + 44 + outline.rows * _PITCH + 34
    notes = _notes(board, outline)
    drawing = Drawing(
        _WIDTH,
        bottom + 76 + 20 * len(notes),
        f"{outline.title}: pins that Threewire uses",
        "; ".join(f"GPIO{gpio}: {label}" for gpio, (label, _) in sorted(used.items())),
    )
    drawing.text(_WIDTH / 2, 38, outline.title, 22, anchor="middle", bold=True)
    drawing.text(
        _WIDTH / 2, 62, f"pins of boards/{name}.py, seen from above", 14, GREY, anchor="middle"
    )
    _board(drawing, outline, bottom)
    supplies = _supplies(outline)
    for out, pins, first in ((-1, outline.left, 0), (1, outline.right, outline.right_from)):
        for k, pin in enumerate(pins):
            gpio = split(pin)[1]
            label, colour = supplies.get((out, k), ("", _PAD))
            if gpio in used:
                label, colour = used[gpio]
            y = _TOP + 44 + (first + k + 0.5) * _PITCH
            x = _pin(drawing, out, pin, y, label, colour)
            if gpio in used:
                _beside(drawing, board, outline, out, gpio, x, y, colour)
    _leds_on_board(drawing, outline, used, {split(p)[1] for p in outline.left + outline.right})
    _legend(drawing, bottom + 40, notes)
    return drawing


def _notes(board: ModuleType, outline: Outline) -> list[str]:
    notes = []
    for name, (source, sign) in board.DERIVED.items():
        minus = "minus " if sign < 0 else ""
        notes.append(
            f"{_INPUTS[name][0].capitalize()} has no pin: "
            f"it is taken to be {minus}{_INPUTS[source][0]}."
        )
    straight = CHIPS[board.CHIP]["straight_mv"]
    if straight:
        notes.append(
            "Inputs are on ADC1 only. Their straight range ends at "
            f"{straight[1] / 1000:g} V: the text says what to change."
        )
    notes.append(
        "Seal: with this pin at GND when the board starts, "
        "registers and calibration may be changed."
    )
    notes.append(
        "Every input comes from its own isolated front end with filter and clamps, "
        "never from mains directly."
    )
    return notes


def _board(drawing: Drawing, outline: Outline, bottom: float) -> None:
    middle = (_LEFT + _RIGHT) / 2
    drawing.rect(_LEFT, _TOP, _RIGHT - _LEFT, bottom - _TOP, _PCB, "#0d1117", radius=14)
    top_usb = outline.usb == "top"
    y = _TOP - 12 if top_usb else bottom - 26
    drawing.rect(middle - 36, y, 72, 38, "#c9d1d9", "#6e7781", radius=6)
    drawing.text(middle, y + 24, "USB", 13, INK, anchor="middle", bold=True)
    if outline.antenna:
        top = bottom - 34 if top_usb else _TOP + 8
        drawing.rect(middle - 70, top, 140, 26, "#30363d", "#6e7781")
        zig = [
            (middle - 62 + 12 * k // 2, top + (6 if k % 4 in (1, 2) else 20)) for k in range(21)
        ]
        drawing.line(*zig, stroke="#d4a72c", line=1.5)
    for k, pin in enumerate(outline.edge):
        x = middle + (k - (len(outline.edge) - 1) / 2) * _EDGE_PITCH
        drawing.circle(x, bottom - 13, 7, _PAD, _PAD, 2)
        drawing.circle(x, bottom - 13, 3, "#ffffff")
        drawing.text(x, bottom - 25, pin, 12, _UNUSED, anchor="middle")
    if outline.holes:
        for x in (_LEFT + 16, _RIGHT - 16):
            for y in (_TOP + 16, bottom - 16):
                drawing.circle(x, y, 6.5, "#ffffff", "#d4a72c", 2)
    y = (_TOP + bottom) / 2
    half = max(31.0, 5.0 * len(outline.chip))
    drawing.rect(middle - half, y - 28, 2 * half, 56, "#0d1117", "#6e7781", radius=3)
    drawing.text(middle, y + 4.5, outline.chip, 12, _SILK, anchor="middle", bold=True)


def _supplies(outline: Outline) -> dict[tuple[int, int], tuple[str, str]]:
    """Label and colour of the supply pins, by side and place: those to use have a label."""
    found = {}
    grounds = [pin for pin in outline.left + outline.right if pin in _GROUNDS]
    wanted = {"AGND" if "AGND" in grounds else grounds[0], *_SUPPLIES}
    for out, pins in ((-1, outline.left), (1, outline.right)):
        for k, pin in enumerate(pins):
            if pin in _GROUNDS + _SUPPLIES:
                power = pin in _SUPPLIES
                label = "3.3 V for bias and clamps" if power else "ground of the front end"
                found[out, k] = (label if pin in wanted else "", RED if power else INK)
                wanted.discard(pin)
    return found


def _pin(drawing: Drawing, out: int, pin: str, y: float, label: str, colour: str) -> float:
    """One row: pad and name on the board; beside it, where it is used, its GPIO and what for.
    Gives the x where the label ends.
    """
    name, gpio = split(pin)
    x = _RIGHT if out > 0 else _LEFT
    drawing.circle(x - out * 13, y, 8, colour, _PAD if colour == _PAD else "#d4a72c", 2)
    drawing.circle(x - out * 13, y, 3, "#ffffff")
    fill = _UNUSED if colour == _PAD else _SILK
    drawing.text(x - out * 28, y + 4.5, name, 13, fill, anchor=_AWAY[-out], bold=bool(label))
    if not label:
        return x
    x += out * 8
    if gpio is not None:
        drawing.text(x, y + 4.5, f"GPIO{gpio}", 13, colour, anchor=_AWAY[out])
        x += out * 58
    return _flag(drawing, x, y, out, label, colour)


def _beside(
    drawing: Drawing,
    board: ModuleType,
    outline: Outline,
    out: int,
    gpio: int,
    x: float,
    y: float,
    colour: str,
) -> None:
    """What hangs on an LED's pin and on the seal's."""
    if gpio in outline.leds:
        drawing.text(x + out * 8, y + 4.5, "is on the board", 13, GREY, anchor=_AWAY[out])
        return
    for pin, level in board.LEDS.values():
        if pin == gpio:
            _led(drawing, x, y, out, level, colour)
    if gpio == board.SEAL:
        _switch(drawing, x, y, out)


def _flag(drawing: Drawing, x: float, y: float, out: int, label: str, colour: str) -> float:
    """A coloured box with white text, from x outwards; gives the x of its far end."""
    width = 7.9 * len(label) + 16
    drawing.rect(x if out > 0 else x - width, y - 11, width, 22, colour, None, radius=6)
    drawing.text(x + out * width / 2, y + 4.5, label, 13, "#ffffff", anchor="middle", bold=True)
    return x + out * width


def _led(drawing: Drawing, x: float, y: float, out: int, level: int, colour: str) -> None:
    """Resistor and LED from a pin to ground, or to 3.3 V where low level lights it."""
    end = "GND" if level else "3.3 V"
    drawing.line((x, y), (x + out * 96, y), stroke=INK)
    left = x + out * 10 if out > 0 else x - 58
    drawing.rect(left, y - 8, 48, 16, "#ffffff", INK, line=1.5)
    drawing.text(left + 24, y + 4, f"{values.LED_OHM:.0f} Ω", 11, anchor="middle")
    tip, base = (82, 68) if level else (68, 82)
    drawing.polygon(
        [(x + out * base, y - 7), (x + out * base, y + 7), (x + out * tip, y)], colour, INK
    )
    drawing.line((x + out * tip, y - 7), (x + out * tip, y + 7), line=2)
    drawing.text(x + out * 100, y + 4.5, end, 12, INK, anchor=_AWAY[out], bold=True)


def _switch(drawing: Drawing, x: float, y: float, out: int) -> None:
    """A jumper to ground."""
    drawing.line((x, y), (x + out * 14, y))
    drawing.circle(x + out * 17, y, 3, "#ffffff", INK)
    drawing.line((x + out * 19, y - 2), (x + out * 37, y - 10))
    drawing.circle(x + out * 40, y, 3, "#ffffff", INK)
    drawing.line((x + out * 43, y), (x + out * 52, y))
    drawing.text(x + out * 56, y + 4.5, "GND", 12, INK, anchor=_AWAY[out], bold=True)


def _leds_on_board(
    drawing: Drawing,
    outline: Outline,
    used: dict[int, tuple[str, str]],
    on_headers: set[int | None],
) -> None:
    """LEDs that are soldered to the board; one without a header pin gets its label beside it."""
    x, y = _RIGHT - 50, _TOP + 20
    for gpio, name in outline.leds.items():
        if gpio not in used:
            continue
        label, colour = used[gpio]
        drawing.circle(x, y, 12, "#ffb3b8")
        drawing.rect(x - 7, y - 5, 14, 10, colour, "#ffffff", radius=2)
        drawing.text(x, y + 26, name, 11, _SILK, anchor="middle")
        if gpio not in on_headers:
            drawing.line((x + 12, y), (_RIGHT + 6, y), stroke=colour)
            drawing.text(_RIGHT + 8, y + 4.5, f"GPIO{gpio}", 13, colour)
            end = _flag(drawing, _RIGHT + 64, y, 1, label, colour)
            drawing.text(end + 8, y + 4.5, "is on the board", 13, GREY)


def _legend(drawing: Drawing, y: float, notes: list[str]) -> None:
    drawing.line((30, y - 18), (_WIDTH - 30, y - 18), stroke=PALE, line=1)
    x = 60.0
    for label, colour in _LEGEND:
        drawing.circle(x, y, 7, colour)
        drawing.text(x + 13, y + 4.5, label, 13, GREY)
        x += 44 + 7.0 * len(label)
    drawing.texts(53, y + 32, notes, 13, GREY, leading=20 / 13)
