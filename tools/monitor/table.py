"""The monitor's numbers: LEDs, mains, and a table of readings and registers.

Flow: report -> TABLE -> view.
"""

from collections.abc import Sequence

from rich.text import Text

from tools.monitor.report import Element, Report, Total

# LEDs: what is beside each, and its colour when lit.
LED_LABELS = {
    "kwh": ("kwh Kh 1000", "bright_green"),
    "ten": ("ten Kh 10", "bright_green"),
    "reverse": ("reverse", "bright_red"),
}
QUADRANTS = ("I", "II", "III", "IV")
_LABEL, _COLUMN = 13, 13
WIDTH = _LABEL + 3 * _COLUMN
# Below half a degree the firmware calls a current neither leading nor lagging.
_UNITY = 0.009
DIM = "bright_black"


def leds(report: Report, width: int | None) -> list[Text]:
    """The LEDs and the mains: on one line, or without a width on two."""
    said = Text(" ")
    for name, (label, colour) in LED_LABELS.items():
        is_lit = report.leds[name]
        said.append("███" if is_lit else "░░░", colour if is_lit else DIM)
        said.append(f" {label}   ", "bold" if is_lit else "")
    hertz = f"{report.hertz:.3f} Hz" if report.hertz else "no mains frequency"
    mains = Text().append(hertz, "bold")
    service = "service unknown" if report.service == "unknown" else report.service
    mains.append(f"  {service}")
    said.rstrip()
    if width is None:
        return [said, Text(" ") + mains]
    return [apart(said, mains, width)]


def table(report: Report, with_varh: bool) -> list[Text]:
    one, two = report.elements
    head = Text(" " * _LABEL)
    for k, (element, style) in enumerate(((one, "cyan"), (two, "yellow")), 1):
        if element.reversed:
            head.append(f"{k} REVERSED".rjust(_COLUMN), "bold bright_red")
        else:
            head.append(f"element {k}".rjust(_COLUMN), f"bold {style}")
    head.append("total".rjust(_COLUMN), "bold")
    of: tuple[Element, Element, Total] = one, two, report.total
    found = [
        head,
        _row("V", [f"{each.volts:.2f}" for each in (one, two)]),
        _row("A", [f"{each.amps:.3f}" for each in (one, two)]),
        _row("W", [f"{each.watts:.1f}" for each in of], "bold", [_sign(each) for each in of]),
        _row("var", [f"{each.var:.1f}" for each in of]),
        _row("VA", [f"{each.va:.1f}" for each in of]),
        _row("power factor", [power_factor(each) for each in of]),
        _row("Wh delivered", [wh(each.delivered_wh) for each in of], "bold"),
        _row("Wh received", [wh(each.received_wh) for each in of], "bold"),
    ]
    if with_varh:
        for k, name in enumerate(QUADRANTS):
            found.append(_row(f"varh {name}", [wh(each.varh[k]) for each in of]))
    return found


def _row(
    label: str, values: Sequence[str], style: str = "", styles: Sequence[str] = ("", "", "")
) -> Text:
    text = Text().append(f" {label}".ljust(_LABEL), DIM)
    for value, its in zip(values, styles):
        text.append(value.rjust(_COLUMN), f"{style} {its}".strip())
    return text


def _sign(of: Total) -> str:
    return "bright_red" if of.watts < -0.05 else ""


def power_factor(of: Total) -> str:
    """With the word for its side: telemetry has a leading current's below 0."""
    word = ""
    if of.power_factor < 0:
        word = " lead"
    elif of.power_factor and abs(of.var) > _UNITY * of.va:
        word = " lag"
    return f"{abs(of.power_factor):.4f}{word}"


def wh(text: str, width: int = _COLUMN - 1) -> str:
    """An energy cut, not rounded, to three places, or to what there is room for."""
    whole, _, part = text.partition(".")
    part = part[: max(0, min(3, width - len(whole) - 1))]
    return f"{whole}.{part}" if part else whole


def apart(left: Text, right: Text, width: int) -> Text:
    """Both on one line, the right one at its end, and without it where they do not fit."""
    room = width - left.cell_len - right.cell_len
    return left + Text(" " * room) + right if room > 0 else left
