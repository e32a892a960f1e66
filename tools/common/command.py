"""What every command line needs: exit status, error lines, progress.

Flow: a command's cli -> COMMAND -> the terminal.
"""

import argparse
import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.common import ends
from tools.common.errors import EngineFailed, InputError, NotInstalled, PortError, Unavailable
from tools.common.ranges import number_in
from tools.common.terminal import clean, cleaned, raw


class Progress:
    """A bar on stderr, with what has been done of a `total` and the time left, when that is a
    terminal; else nothing."""

    def __init__(self, what: str, total: float, unit: str) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich import progress  # it takes a while to import
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TextColumn(f"{{task.completed:.1f}} of {{task.total:.1f}} {unit}"),
                progress.TimeRemainingColumn(),
                console=Console(file=raw(sys.stderr)),
                transient=True,
            )
            self._task = self._bar.add_task(what, total=total)
            self._bar.start()

    def at(self, done: float) -> None:
        if self._bar:
            self._bar.update(self._task, completed=done)

    def done(self) -> None:
        if self._bar:
            self._bar.stop()


def seconds(text: str) -> float:
    """An option's seconds. Raises argparse.ArgumentTypeError."""
    try:
        value = number_in(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(
            f"{text}: expected a number of seconds, finite and more than 0"
        )
    return value


def reporting(failed: int = 1) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Makes a main that shows no control characters, tells its errors, one line each, and returns
    the exit status that goes with them: what main returned; 2 what is given cannot be used;
    `failed` a board or an engine cannot be had or has failed; 130 Ctrl-C, 143 and 129 `kill` and
    the end of its terminal."""

    def told(main: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(main)
        def reports(*arguments: Any) -> int:
            with cleaned():
                return status(*arguments)

        def status(*arguments: Any) -> int:
            try:
                with ends.running():
                    status = main(*arguments)
            except SystemExit:
                raise
            except BaseException as problem:
                if ends.is_interrupt(problem):
                    said, status = "stopped", ends.interrupted()
                elif isinstance(problem, InputError):
                    said, status = f"error: {problem}", 2
                elif isinstance(problem, PortError | Unavailable | NotInstalled | EngineFailed):
                    said, status = f"error: {problem}", failed
                elif isinstance(problem, OSError) and problem.filename is not None:
                    # Already to look for some names is refused: those that are too long, or are
                    # in a folder that may not be entered.
                    said, status = f"error: {problem.filename}: {problem.strerror}", 2
                else:
                    raise
                print(said, file=sys.stderr)
            return ends.status(status)

        return reports

    return told


def name(tool: str) -> str:
    """How a command is called, in the manner in which this one was: for usage lines and hints."""
    is_threewire = Path(sys.argv[0]).stem == "threewire"
    return f"threewire {tool}" if is_threewire else f"python -m tools.{tool}"


def say(text: str) -> None:
    """Tells how it goes, beside the results."""
    print(clean(text, "\n"), file=sys.stderr, flush=True)


def ring() -> None:
    """Rings the terminal's bell."""
    print("\a", end="", file=raw(sys.stderr), flush=True)
