"""Watches a board: make monitor [PORT=…].  A live view, or a line a report where it is piped.

Flow: monitor_link -> MONITOR -> monitor_screen, monitor_csv, monitor_history and its plot.  It
ends when it is asked to and not before: a board that is gone may come back.
"""

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tools.cable import port as board_port
from tools.monitor import screen as monitor_screen
from tools.cable.console import TIMEOUT_S
from tools.cable.port import say
from tools.common.errors import InputError
from tools.monitor.csv_file import CsvFile
from tools.monitor.history import History
from tools.monitor.link import LIVE, Link
from tools.monitor.report import Report
from tools.common.output_files import check_plot_path

# How often the view is drawn when nothing has come: the age of the last line goes on.
_DRAW_S = 0.2


class Watch:
    """A watch on a board, from its beginning to its end.

    options  as of the command line; raises InputError for what cannot be used
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._csv: CsvFile | None = None
        self._plot: str | None = options.plot
        self._seconds: float = options.seconds or math.inf
        self._history = History()
        self._report: Report | None = None
        self._reports = 0
        if self._plot is not None:
            check_plot_path(self._plot)
        self._link = Link(options.port, options.timeout)
        if options.csv is not None:
            if self._plot and Path(options.csv).resolve() == Path(self._plot).resolve():
                raise InputError(f"{self._plot}: is the name of the CSV too; give it another")
            self._csv = CsvFile(options.csv)
        self._began = datetime.now(UTC)
        self._began_s = time.monotonic()

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began_s

    def run(self) -> None:
        """Watches until it is asked to end.  Raises InputError when something that was asked for
        could not be written."""
        try:
            with ExitStack() as stack:
                stack.callback(self._link.close)
                if self._csv:
                    stack.enter_context(self._csv)
                screen = stack.enter_context(monitor_screen.of_stdout())
                keys = stack.enter_context(monitor_screen.Keys())
                self._loop(screen, keys)
        finally:
            self._end()

    def _loop(
        self,
        screen: monitor_screen.Plain | monitor_screen.Terminal,
        keys: monitor_screen.Keys,
    ) -> None:
        drawn = -math.inf
        while self._elapsed < self._seconds and not keys.quit_pressed():
            report = self._link.step()
            standing = self._link.standing
            if report is not None:
                self._take(report)
            elif standing.state != LIVE:
                self._history.gap()
            now = time.monotonic()
            if report is not None or now - drawn >= _DRAW_S:
                drawn = now
                notes = [self._csv.note] if self._csv else []
                screen.show(self._report, report is not None, standing, notes)

    def _take(self, report: Report) -> None:
        self._report = report
        self._reports += 1
        self._history.add(report, self._elapsed)
        if self._csv:
            self._csv.add(report)

    def _end(self) -> None:
        say(f"{self._reports} reports in {self._elapsed:.0f} s")
        if self._csv:
            say(self._csv.note)
        if self._plot and self._history.points:
            from tools.monitor.plot import draw  # matplotlib takes a second to import

            port = self._link.standing.port
            draw(self._history, self._began, self._elapsed, port, self._plot)
            say(f"drawn: {self._plot}")
        elif self._plot:
            say(f"{self._plot}: not drawn, there was no report")
        if self._csv and self._csv.lost:
            raise InputError(self._csv.note)


def _signalled(number: int, frame: FrameType | None) -> None:
    """Ends in good order: the terminal as it was, the plot drawn."""
    if number != signal.SIGTERM:
        # The terminal is gone, and writing to it would fail.
        _silence(1, 2)
    sys.exit(128 + number)


def _silence(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


@contextmanager
def _signals() -> Iterator[None]:
    """A kill, or a terminal's end, is a way to be asked to end; but not under nohup."""
    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, _signalled)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(options: argparse.Namespace) -> None:
    with _signals():
        try:
            Watch(options).run()
        except BrokenPipeError:
            # Who reads has seen enough. What Python writes at its end must not fail again.
            _silence(1)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 asked to end, 2 what is given cannot be used, 130 Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.monitor",
        description="Watch a board's readings, registers, lamps and faults. q or Ctrl-C ends it.",
        epilog="example: python -m tools.monitor --port /dev/ttyACM0 --csv house.csv "
        "--plot house.png",
    )
    board_port.add_arguments(parser, TIMEOUT_S)
    parser.add_argument("--csv", metavar="FILE", help="add a row a report to this file")
    parser.add_argument(
        "--plot", metavar="FILE", help="draw what was watched, at the end (.png, .svg, .pdf)"
    )
    parser.add_argument(
        "--seconds",
        type=board_port.seconds,
        metavar="N",
        help="end after so many (default: never)",
    )
    options = parser.parse_args(argv)
    return board_port.run(lambda: _watch(options))


if __name__ == "__main__":
    sys.exit(main())
