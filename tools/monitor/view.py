"""What the monitor shows: a report and how the connection stands, as lines for a terminal.

Flow: report, the link's Standing -> VIEW (with the table, and the phasors) -> screen.  Pure: of
the terminal it is given the size.  80 by 24 is enough for whatever the board may say; where that
is much, less important things make room.
"""

import textwrap
from collections.abc import Sequence

from rich.text import Text

from tools.monitor import phasors as monitor_phasor
from tools.monitor.link import LIVE, OPEN, SAFE_MODE, Standing
from tools.monitor.report import Report
from tools.monitor.table import DIM, QUADRANTS, WIDTH, apart, leds, table, wh

LEAST_WIDTH, LEAST_HEIGHT = 80, 24
# The guide's three checks, in its order.
CHECKS = {1: "CT's line/load side", 2: "CT's voltage reference", 3: "CT wires' polarity"}
_GAP = 2
# Of a section's name, before its lines.
_HEAD = 8
# From this width on LEDs, demand and faults stand under the table, beside a larger drawing.
_WIDE = 108
_LARGEST_DRAWING = 24
# Reports are a second apart.
_OLD_S = 3.0

_STATES = {LIVE: "bold green", OPEN: "bold cyan", SAFE_MODE: "bold bright_red"}
_VERDICTS = {"right": "green", "no_load": "", "doubtful": "yellow"}


def lines(
    report: Report | None,
    standing: Standing,
    notes: Sequence[str] = (),
    width: int = LEAST_WIDTH,
    height: int = LEAST_HEIGHT,
) -> list[Text]:
    """At most `height` lines of at most `width` cells.

    notes         shown after the connection's figures, such as how many rows have been written
    width, height of the terminal; under 80 by 24 what does not fit is not shown: the drawing
                  first, and under the table's 52 columns its right end
    """
    wide = max(width, WIDTH)
    head = _head(report, standing, notes, wide)
    if report is None:
        return [*head, Text(), Text("  No report of the meter yet.", DIM)][:height]
    body: list[Text] = []
    for is_short, is_brief in ((False, False), (True, False), (True, True)):
        body = _body(report, wide, height - len(head), is_short, is_brief)
        if len(head) + len(body) <= height:
            break
    if standing.state != LIVE:
        for line in body:
            line.stylize(DIM)
    return [*head, *body][:height]


def _body(report: Report, width: int, height: int, is_short: bool, is_brief: bool) -> list[Text]:
    """All but the head.

    is_short  varh of the total only, in a line
    is_brief  without demand and what the checks are called
    """
    is_wide = width >= _WIDE
    has_drawing = width >= LEAST_WIDTH
    text_width = WIDTH if is_wide else width
    rows = table(report, with_varh=not is_short)
    texts = _demo(report, text_width)
    texts += [] if is_brief else _demand(report, text_width)
    texts += [] if is_short else _effort(report, text_width)
    texts += _faults(report, text_width)
    if is_short:
        texts = _varh(report, text_width) + texts
    doctor = _doctor(report, width, with_names=not is_brief)
    lit = leds(report, width if has_drawing and not is_wide else None)
    used = len(lit) + len(rows) + len(texts) + len(doctor)
    air = _air(height - used, 4)
    if is_wide:
        left = [*lit, *air[1], *rows, *air[2], *texts]
        most = height - len(doctor) - len(air[0]) - len(air[3])
        size = max(len(left), min(_LARGEST_DRAWING, most))
        drawing = _drawing(report, width - WIDTH - _GAP, size)
        return [*air[0], *_beside(left, drawing), *air[3], *doctor]
    if has_drawing:
        rows = _beside(rows, _drawing(report, width - WIDTH - _GAP, len(rows)))
    return [
        *air[0],
        *lit,
        *air[1],
        *rows,
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
    first = Text().append(" Threewire ", "reverse bold")
    style = _STATES.get(standing.state, "bold yellow")
    first.append(f"  ● {standing.state}", style)
    found = [first]
    if len(standing.port) <= width - first.cell_len - 2:
        first.append(f"  {standing.port}")
        found = [apart(first, Text("q or Ctrl-C ends", DIM), width)]
    else:
        found += [Text(f" {part}") for part in textwrap.wrap(standing.port, width - 2)]
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
    is_old = standing.state == LIVE and (standing.age_s or 0) > _OLD_S
    style = "yellow" if is_old else DIM
    found += [Text(f" {row}", style) for row in _packed([*facts, *notes], width - 2)]
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


# ---- what is said in words


def _varh(report: Report, width: int) -> list[Text]:
    parts = [f"{name} {wh(text)}" for name, text in zip(QUADRANTS, report.total.varh)]
    return _section("varh", _packed(["total", *parts], width - _HEAD - 1), width)


def _demand(report: Report, width: int) -> list[Text]:
    demand = report.demand
    if demand["watts"] is None:
        return _section("Demand", ["no whole 15 min yet"], width)
    watts, least, most, peak = (
        f"{demand[name] or 0.0:.1f}" for name in ("watts", "least", "most", "peak")
    )
    said = f"{watts} W in the last 15 min ({least} to {most}), peak {peak} W"
    return _section("Demand", textwrap.wrap(said, width - _HEAD - 1), width)


def _demo(report: Report, width: int) -> list[Text]:
    demo = report.demo
    if demo is None:
        return []
    said = (
        f"the board's lamps show a made-up house at ten times its pace for {demo.left_s} s more "
        f"({wh(demo.delivered_wh)} Wh delivered there); all else here is the board's own"
    )
    return _section("DEMO", textwrap.wrap(said, width - _HEAD - 1), width, "bold yellow")


def _effort(report: Report, width: int) -> list[Text]:
    effort = report.effort
    if effort is None:
        return []
    said = (
        f"busy {effort.busy_percent:.1f} %, ring {effort.ring_ms} ms, line "
        f"{effort.line_late_ms} ms late; longest save {effort.save_ms} ms, "
        f"collection {effort.collection_ms} ms"
    )
    return _section("Board", textwrap.wrap(said, width - _HEAD - 1), width)


def _faults(report: Report, width: int) -> list[Text]:
    parts = []
    if report.active:
        parts.append("NOW: " + ", ".join(report.active))
    if report.counts:
        counted = ", ".join(f"{name} {count}" for name, count in report.counts.items())
        parts.append(f"counted: {counted}")
    if report.lost_frames:
        delivered, received = (
            wh(text) for text in (report.estimated_delivered_wh, report.estimated_received_wh)
        )
        parts.append(
            f"lost frames {report.lost_frames}, for which {delivered} Wh delivered and "
            f"{received} Wh received are estimated"
        )
    style = "bold bright_red" if report.active else "yellow" if parts else "green"
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
        style = _VERDICTS.get(element.verdict, "bold bright_red")
        found += _section("" if k else "Doctor", wrapped, width, style)
    if checks and with_names:
        names = [f"{check} {CHECKS[check]}" for check in sorted(checks & CHECKS.keys())]
        found += _section("", textwrap.wrap(" · ".join(names), width - _HEAD), width)
    return found


def _section(name: str, said: Sequence[str], width: int, style: str = "") -> list[Text]:
    found = []
    for k, line in enumerate(said):
        text = Text().append(f" {'' if k else name}".ljust(_HEAD), DIM)
        text.append(line, style)
        found.append(text)
    return found


# ---- lines put together


def _drawing(report: Report, columns: int, rows: int) -> list[Text]:
    captions = [Text(text.center(columns), DIM) for text in monitor_phasor.captions(report)]
    return [
        *monitor_phasor.draw(monitor_phasor.arrows(report), columns, rows - len(captions)),
        *captions,
    ]


def _beside(left: Sequence[Text], right: Sequence[Text]) -> list[Text]:
    """The right lines beside the table's; there may be more of them."""
    found = []
    for k in range(max(len(left), len(right))):
        line = left[k].copy() if k < len(left) else Text()
        if k < len(right):
            line.append(" " * (WIDTH + _GAP - line.cell_len))
            line.append_text(right[k])
        found.append(line)
    return found


def _packed(parts: Sequence[str], width: int) -> list[str]:
    """Parts with dots between them on as many lines as they take, none of them divided that fits
    a line."""
    rows = [""]
    for part in parts:
        longer = f"{rows[-1]} · {part}" if rows[-1] else part
        if len(longer) <= width:
            rows[-1] = longer
        else:
            rows += textwrap.wrap(part, width)
    return [row for row in rows if row]
