"""What the monitor shows: a report and how the connection stands, as lines for a terminal.

Flow: monitor_report, monitor_link's Standing -> MONITOR VIEW (with monitor_phasor's drawing) ->
monitor_screen.  Pure: of the terminal it is given the size.  80 by 24 is enough for whatever the
board may say; where that is much, less important things make room.
"""

import textwrap
from collections.abc import Sequence

from rich.text import Text

from tools import monitor_phasor
from tools.monitor_link import LIVE, OPEN, SAFE_MODE, Standing
from tools.monitor_report import Element, Report, Total

LEAST_WIDTH, LEAST_HEIGHT = 80, 24
# Lamps: what is beside each, and its colour when lit.
LAMPS = {
    "kwh": ("kwh Kh 1000", "bright_green"),
    "ten": ("ten Kh 10", "bright_green"),
    "reverse": ("reverse", "bright_red"),
}
# The guide's three checks, in its order.
CHECKS = {1: "CT's line/load side", 2: "CT's voltage reference", 3: "CT wires' polarity"}
_QUADRANTS = ("I", "II", "III", "IV")

_LABEL, _COLUMN = 13, 13
_TABLE = _LABEL + 3 * _COLUMN
_GAP = 2
# Of a section's name, before its lines.
_HEAD = 8
# From this width on lamps, demand and faults stand under the table, beside a larger drawing.
_WIDE = 108
_LARGEST_DRAWING = 32
# Reports are a second apart.
_OLD_S = 3.0
# Below half a degree the firmware calls a current neither leading nor lagging.
_UNITY = 0.009

_DIM = "bright_black"
_STATES = {LIVE: "bold green", OPEN: "bold cyan", SAFE_MODE: "bold red"}
_VERDICTS = {"right": "green", "no_load": ""}


def lines(
    report: Report | None,
    standing: Standing,
    notes: Sequence[str] = (),
    width: int = LEAST_WIDTH,
    height: int = LEAST_HEIGHT,
) -> list[Text]:
    """At most `height` lines of at most `width` cells.

    notes         shown after the connection's figures, such as how many rows have been written
    width, height of the terminal; under 80 by 24 what does not fit is not shown
    """
    wide = max(width, LEAST_WIDTH)
    head = _head(report, standing, notes, wide)
    if report is None:
        return [*head, Text(), Text("  No report of the meter yet.", _DIM)][:height]
    body: list[Text] = []
    for is_short, is_brief in ((False, False), (True, False), (True, True)):
        body = _body(report, wide, height - len(head), is_short, is_brief)
        if len(head) + len(body) <= height:
            break
    if standing.state != LIVE:
        for line in body:
            line.stylize(_DIM)
    return [*head, *body][:height]


def _body(report: Report, width: int, height: int, is_short: bool, is_brief: bool) -> list[Text]:
    """All but the head.

    is_short  varh of the total only, in a line
    is_brief  without demand and what the checks are called
    """
    is_wide = width >= _WIDE
    text_width = _TABLE if is_wide else width
    table = _table(report, with_varh=not is_short)
    texts = [] if is_brief else _demand(report, text_width)
    texts += _faults(report, text_width)
    if is_short:
        texts = _section("varh", _varh_line(report), text_width) + texts
    doctor = _doctor(report, width, with_names=not is_brief)
    lamps = _lamps(report, None if is_wide else width)
    used = len(lamps) + len(table) + len(texts) + len(doctor)
    air = _air(height - used, 3 if is_wide else 4)
    if is_wide:
        left = [*lamps, *air[0], *table, *air[1], *texts]
        rows = max(len(left), min(_LARGEST_DRAWING, height - len(doctor) - len(air[2])))
        return [*_beside(left, _drawing(report, width - _TABLE - _GAP, rows)), *air[2], *doctor]
    drawing = _drawing(report, width - _TABLE - _GAP, len(table))
    return [
        *air[0],
        *lamps,
        *air[1],
        *_beside(table, drawing),
        *air[2],
        *texts,
        *air[3],
        *doctor,
    ]


def _air(spare: int, places: int) -> list[list[Text]]:
    """An empty line at each of so many places, as far as they go; the first are the last to go
    without."""
    return [[Text()] if k < spare else [] for k in range(places)]


# ---- the connection


def _head(
    report: Report | None, standing: Standing, notes: Sequence[str], width: int
) -> list[Text]:
    first = Text(" Threewire ", "reverse bold")
    style = _STATES.get(standing.state, "bold yellow")
    first.append(f"  ● {standing.state}", style)
    if standing.port:
        first.append(f"  {standing.port}")
    facts = []
    if standing.age_s is not None:
        facts.append(f"last line {_age(standing.age_s)} ago")
    if report is not None:
        facts.append(f"metered {_clock(report.t)}")
    facts.append(f"noise {standing.noise}")
    if standing.reconnections:
        facts.append(f"reconnected {standing.reconnections}")
    if standing.restarts:
        facts.append(f"restarted {standing.restarts}")
    found = [_apart(first, Text("q quits", _DIM), width)]
    is_old = standing.state == LIVE and (standing.age_s or 0) > _OLD_S
    style = "yellow" if is_old else _DIM
    found += _filled([*facts, *notes], width - 1, " ", style)
    if standing.why:
        found += [Text(f" {line}", "yellow") for line in textwrap.wrap(standing.why, width - 2)]
    return found


def _age(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else _clock(seconds)


def _clock(seconds: float) -> str:
    """Hours and so on: "0:00:07", "12:34:56", "3 d 01:00:00"."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}:{minute:02}:{second:02}"
    return f"{hours // 24} d {hours % 24:02}:{minute:02}:{second:02}"


# ---- lamps and readings


def _lamps(report: Report, width: int | None) -> list[Text]:
    """The lamps and the mains: on one line, or without a width on two."""
    lamps = Text(" ")
    for name, (label, colour) in LAMPS.items():
        is_lit = report.leds[name]
        lamps.append("███" if is_lit else "░░░", colour if is_lit else _DIM)
        lamps.append(f" {label}   ", "bold" if is_lit else "")
    mains = Text(f"{report.hertz:.3f} Hz" if report.hertz else "no mains frequency", "bold")
    service = "service unknown" if report.service == "unknown" else report.service
    mains.append(f"  {service}", "not bold")
    lamps.rstrip()
    if width is None:
        return [lamps, Text(" ") + mains]
    return [_apart(lamps, mains, width)]


def _table(report: Report, with_varh: bool) -> list[Text]:
    one, two = report.elements
    head = Text(" " * _LABEL)
    for k, (element, style) in enumerate(((one, "cyan"), (two, "yellow")), 1):
        if element.reversed:
            head.append(f"{k} REVERSED".rjust(_COLUMN), "bold red")
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
        _row("power factor", [_power_factor(each) for each in of]),
        _row("Wh delivered", [_wh(each.delivered_wh) for each in of], "bold"),
        _row("Wh received", [_wh(each.received_wh) for each in of], "bold"),
    ]
    if with_varh:
        for k, name in enumerate(_QUADRANTS):
            found.append(_row(f"varh {name}", [_wh(each.varh[k]) for each in of]))
    return found


def _row(
    label: str, values: Sequence[str], style: str = "", styles: Sequence[str] = ("", "", "")
) -> Text:
    text = Text(f" {label}".ljust(_LABEL), _DIM)
    for value, its in zip(values, styles):
        text.append(value.rjust(_COLUMN), f"not dim {style} {its}".strip())
    return text


def _sign(of: Total) -> str:
    return "red" if of.watts < -0.05 else ""


def _power_factor(of: Total) -> str:
    """With the word for its side: telemetry has a leading current's below 0."""
    word = ""
    if of.power_factor < 0:
        word = " lead"
    elif of.power_factor and abs(of.var) > _UNITY * of.va:
        word = " lag"
    return f"{abs(of.power_factor):.4f}{word}"


def _wh(text: str, width: int = _COLUMN - 1) -> str:
    """An energy cut, not rounded, to three places, or to what there is room for."""
    whole, _, part = text.partition(".")
    part = part[: max(0, min(3, width - len(whole) - 1))]
    return f"{whole}.{part}" if part else whole


def _varh_line(report: Report) -> list[str]:
    pairs = zip(_QUADRANTS, report.total.varh)
    return ["total " + "  ".join(f"{name} {_wh(text)}" for name, text in pairs)]


def _drawing(report: Report, columns: int, rows: int) -> list[Text]:
    captions = [Text(text.center(columns), _DIM) for text in monitor_phasor.captions(report)]
    return [
        *monitor_phasor.draw(monitor_phasor.arrows(report), columns, rows - len(captions)),
        *captions,
    ]


# ---- what is said in words


def _demand(report: Report, width: int) -> list[Text]:
    demand = report.demand
    if demand["watts"] is None:
        return _section("Demand", ["no whole quarter of an hour yet"], width)
    watts, least, most, peak = (
        f"{demand[name] or 0.0:.1f}" for name in ("watts", "least", "most", "peak")
    )
    said = f"{watts} W in the last quarter of an hour ({least} to {most}), peak {peak} W"
    return _section("Demand", textwrap.wrap(said, width - _HEAD - 1), width)


def _faults(report: Report, width: int) -> list[Text]:
    parts = []
    if report.active:
        parts.append("NOW: " + ", ".join(report.active))
    if report.counts:
        counted = ", ".join(f"{name} {count}" for name, count in report.counts.items())
        parts.append(f"counted: {counted}")
    if report.lost_frames:
        delivered, received = (
            _wh(text) for text in (report.estimated_delivered_wh, report.estimated_received_wh)
        )
        parts.append(
            f"lost frames {report.lost_frames}, for which {delivered} Wh delivered and "
            f"{received} Wh received are estimated"
        )
    style = "bold red" if report.active else "yellow" if parts else "green"
    said = textwrap.wrap("; ".join(parts) or "none", width - _HEAD - 1)
    return _section("Faults", said, width, style)


def _doctor(report: Report, width: int, with_names: bool) -> list[Text]:
    found = []
    checks: set[int] = set()
    for k, element in enumerate(report.elements):
        said = element.text
        if element.checks:
            said += f" Check {', '.join(map(str, element.checks))}."
            checks.update(element.checks)
        wrapped = textwrap.wrap(said, width - _HEAD - 1)
        style = _VERDICTS.get(element.verdict, "bold red")
        found += _section("" if k else "Doctor", wrapped, width, style)
    if checks and with_names:
        names = [f"{check} {CHECKS[check]}" for check in sorted(checks & CHECKS.keys())]
        found += _section("", textwrap.wrap(" · ".join(names), width - _HEAD), width)
    return found


def _section(name: str, said: Sequence[str], width: int, style: str = "") -> list[Text]:
    found = []
    for k, line in enumerate(said):
        text = Text(f" {'' if k else name}".ljust(_HEAD), _DIM)
        text.append(line, f"not dim {style}".strip())
        found.append(text)
    return found


# ---- lines put together


def _apart(left: Text, right: Text, width: int) -> Text:
    """Both on one line, the right one at its end, and without it where they do not fit."""
    room = width - left.cell_len - right.cell_len
    return left + Text(" " * room) + right if room > 0 else left


def _beside(left: Sequence[Text], right: Sequence[Text]) -> list[Text]:
    """The right lines beside the table's; there may be more of them."""
    found = []
    for k in range(max(len(left), len(right))):
        line = left[k].copy() if k < len(left) else Text()
        if k < len(right):
            line.append(" " * (_TABLE + _GAP - line.cell_len))
            line.append_text(right[k])
        found.append(line)
    return found


def _filled(parts: Sequence[str], width: int, indent: str, style: str) -> list[Text]:
    """Parts with dots between them on as many lines as they take, none of them divided."""
    rows = [""]
    for part in parts:
        longer = f"{rows[-1]} · {part}" if rows[-1] else part
        if rows[-1] and len(indent + longer) > width:
            rows.append(part)
        else:
            rows[-1] = longer
    return [Text(indent + row, style) for row in rows]
