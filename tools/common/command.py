"""What every command line needs: exit status, error lines, progress.

Flow: a command's cli -> COMMAND -> the terminal.
"""

import argparse
import functools
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.common.errors import EngineFailed, InputError, PortError, Unavailable


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


def reporting(failed: int = 1) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Makes a main that tells its errors, one line each, and returns the exit status that goes
    with them: what main returned; 2 what is given cannot be used; `failed` a board or an engine cannot
    be had or has failed; 130 Ctrl-C."""

    def told(main: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(main)
        def reports(*arguments: Any) -> int:
            try:
                return main(*arguments)
            except InputError as problem:
                print(f"error: {problem}", file=sys.stderr)
                return 2
            except (PortError, Unavailable, EngineFailed) as problem:
                print(f"error: {problem}", file=sys.stderr)
                return failed
            except KeyboardInterrupt:
                print("stopped", file=sys.stderr)
                return 130

        return reports

    return told


def name(tool: str) -> str:
    """How this command was called, for its usage line."""
    is_threewire = Path(sys.argv[0]).stem == "threewire"
    return f"threewire {tool}" if is_threewire else f"python -m tools.{tool}"


def say(text: str) -> None:
    """Tells how it goes, beside the results."""
    print(text, file=sys.stderr, flush=True)
