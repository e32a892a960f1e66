"""What every command line needs: exit status, error lines, progress.

Flow: a command's cli -> COMMAND -> the terminal.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable

from tools.common.errors import InputError, PortError


class Progress:
    """One line on stderr, rewritten about ten times a second, when that is a terminal."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._on = sys.stderr.isatty()
        self._start = self._shown = time.monotonic()

    def at(self, seconds: float) -> None:
        now = time.monotonic()
        if self._on and now - self._shown > 0.1:
            self._shown = now
            speed = seconds / (now - self._start)
            text = f"\rreplaying {seconds:8.1f} of {self._seconds:.1f} s, {speed:.0f} x real time"
            print(text, end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self._on:
            print("\r" + " " * 70 + "\r", end="", file=sys.stderr, flush=True)


def seconds(text: str) -> float:
    """An option's seconds. Raises argparse.ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text}: expected seconds, more than 0")
    return value


def run(what: Callable[[], None]) -> int:
    """Does what a command is for; returns its exit status: 0 done, 1 the board cannot be reached
    or does not do it, 2 what is given cannot be used, 130 Ctrl-C."""
    try:
        what()
    except InputError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except PortError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def say(text: str) -> None:
    """Tells how it goes, beside the results."""
    print(text, file=sys.stderr, flush=True)
