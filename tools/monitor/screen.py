"""Where the monitor shows what it sees: a terminal drawn anew, or, without one, a line a report.

Flow: report, standing -> SCREEN (with the view) -> stdout.  Keys come from stdin.
"""

import os
import select
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tools.common.command import say
from tools.common.terminal import clean, raw
from tools.monitor import table as monitor_table
from tools.monitor import view as monitor_view
from tools.monitor.link import Standing
from tools.monitor.report import Report

_QUIT = ("q", "Q")


class Keys(ExitStack):
    """Keys as they are pressed, where stdin is a terminal.  Use it as a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self._is_there = bool(sys.stdin and sys.stdin.isatty())

    def __enter__(self) -> Self:
        if self._is_there and os.name == "posix":
            import termios
            import tty

            before = termios.tcgetattr(sys.stdin)

            def restore() -> None:
                with suppress(termios.error):  # the terminal is gone
                    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

            self.callback(restore)
            # Ctrl-C stays what it is.
            tty.setcbreak(sys.stdin)
        return self

    def quit_pressed(self) -> bool:
        """Whether q has been."""
        if not self._is_there:
            return False
        if os.name == "posix":
            found = False
            while not found and select.select([sys.stdin], [], [], 0)[0]:
                try:
                    typed = os.read(sys.stdin.fileno(), 64).decode(errors="replace")
                except OSError:
                    typed = ""
                # Nothing: there is nobody who could press one.
                self._is_there = bool(typed)
                found = not typed or any(key in typed for key in _QUIT)
            return found
        import msvcrt

        while msvcrt.kbhit():  # pyright: ignore[reportAttributeAccessIssue]
            if msvcrt.getwch() in _QUIT:  # pyright: ignore[reportAttributeAccessIssue]
                return True
        return False


class Plain(ExitStack):
    """A line a report on stdout, and on stderr what happens to the connection."""

    def __init__(self) -> None:
        super().__init__()
        self._said: tuple[str, str] | None = None

    def show(self, report: Report | None, is_new: bool, standing: Standing, notes: Any) -> None:
        news = standing.state, standing.why
        if news != self._said:
            self._said = news
            say(": ".join(filter(None, (standing.state, standing.why or standing.port))))
        if report is not None and is_new:
            print(plain_line(report, datetime.now(UTC)), flush=True)


def plain_line(report: Report, now: datetime) -> str:
    """A report in one line of text."""
    parts = [f"{now:%Y-%m-%dT%H:%M:%SZ} t {report.t:.1f}"]
    for k, element in enumerate(report.elements, 1):
        reversed_ = " REVERSED" if element.reversed else ""
        parts.append(
            f"{k}: {element.volts:.2f} V {element.amps:.3f} A {element.watts:.1f} W "
            f"{element.var:.1f} var PF {monitor_table.power_factor(element)}{reversed_}"
        )
    total = report.total
    parts.append(
        f"total {total.watts:.1f} W, delivered {total.delivered_wh} Wh, "
        f"received {total.received_wh} Wh"
    )
    lit = [name for name, is_lit in report.leds.items() if is_lit]
    parts.append(f"{report.hertz:.3f} Hz")
    parts.append(f"lit {' '.join(lit) or 'none'}")
    if report.demo is not None:
        parts.append(f"DEMO on the lamps, {report.demo.left_s} s more")
    if report.active:
        parts.append(f"faults now {', '.join(report.active)}")
    if report.counts:
        parts.append(f"faults counted {sum(report.counts.values())}")
    parts.append(f"doctor {', '.join(element.verdict for element in report.elements)}")
    return " | ".join(parts)


class Terminal(ExitStack):
    """The view, drawn anew at each report and a few times a second."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = self.enter_context(Live(console=console, screen=True, auto_refresh=False))

    def show(
        self, report: Report | None, is_new: bool, standing: Standing, notes: Sequence[str]
    ) -> None:
        width, height = self._console.size
        lines = monitor_view.lines(report, standing, notes, width, height)
        for line in lines:
            # Rich passes ESC on, of which there is one in the names of some ports.
            line.plain = clean(line.plain)
        # A line that is too long for a small terminal ends at its edge.
        text = Text("\n", no_wrap=True, overflow="crop").join(lines)
        self._live.update(text, refresh=True)


def of_stdout() -> Plain | Terminal:
    """The one that suits where stdout goes."""
    console = Console(file=raw(sys.stdout))
    can_draw = sys.stdout.isatty() and not console.is_dumb_terminal
    # LEDs and phasors are no letters of older encodings.
    return Terminal(console) if can_draw and "utf" in console.encoding else Plain()
