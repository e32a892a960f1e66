"""A watch on a board, from its beginning to its end.

Flow: link -> WATCH -> screen, CSV file, history and its plot.  It ends when it is asked to and not
before: a board that is gone may come back.
"""

import argparse
import math
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tools.common.command import say
from tools.common.errors import InputError
from tools.common.files import check_plot_path
from tools.monitor import screen as monitor_screen
from tools.monitor.csv_file import CsvFile
from tools.monitor.history import History
from tools.monitor.link import LIVE, Link
from tools.monitor.report import Report

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
