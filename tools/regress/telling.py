"""How a regression goes, while it goes: a bar on a terminal, else a line now and then.

Flow: row -> TELLING -> the terminal.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tools.common.command import say
from tools.common.terminal import clean, raw
from tools.regress.row import Row

_EACH_S = 30.0
_LINES = 3  # of what is wrong with one


def print_first(lines: Sequence[str], most: int) -> None:
    """Below what they belong to, and how many more there are."""
    for line in lines[:most]:
        print(f"  {clean(line)}")
    if len(lines) > most:
        print(f"  and {len(lines) - most} more")


class Telling:
    """Use as a context; give it each row."""

    def __init__(self, total: int, unit: str = "replays") -> None:
        self.verdicts: Counter[str] = Counter()
        self._total = total
        self._unit = unit
        self._done = self._fresh = 0
        self._began = self._told = time.monotonic()
        self._bar: Any = None
        self._said_so: set[tuple[str, ...]] = set()

    def __enter__(self) -> "Telling":
        if sys.stderr.isatty():
            from rich import progress  # it takes a while to import
            from rich.console import Console

            self._bar = progress.Progress(
                progress.BarColumn(),
                progress.TextColumn("{task.completed:.0f} of {task.total:.0f} {task.description}"),
                progress.TimeRemainingColumn(),
                console=Console(file=raw(sys.stderr)),
                transient=True,
                # What is printed beside it stays where it belongs when that is no terminal.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._task = self._bar.add_task(self._unit, total=self._total)
            self._bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def a_minute(self) -> float:
        """Replays that were done now, not known from before."""
        return 60 * self._fresh / max(1e-3, time.monotonic() - self._began)

    def take(self, row: Row) -> None:
        self.verdicts[row["verdict"]] += 1
        # What cannot be used is said once, in how many ways it may have been tried.
        said = (row["recording"], row["verdict"], *row["why"])
        if row["verdict"] != "passed" and said not in self._said_so:
            if row["verdict"] == "unusable":
                self._said_so.add(said)
            way = [row["board"], row["engine"], row["adc"], row["seed"]]
            named = " ".join(str(each) for each in way if each not in (None, ""))
            print(f"{clean(row['recording'])} ({named}): {row['verdict'].upper()}")
            print_first(row["why"], _LINES)
            sys.stdout.flush()
        self.step(not row["was_kept"])

    def step(self, is_fresh: bool = True) -> None:
        self._done += 1
        self._fresh += is_fresh
        told = f"{self._unit}, {self._said()}"
        if self._bar:
            self._bar.update(self._task, completed=self._done, description=told)
        elif time.monotonic() - self._told > _EACH_S:
            self._told = time.monotonic()
            left = (self._total - self._done) / max(self._fresh, 1) * (self._told - self._began)
            say(f"{self._done} of {self._total} {told}, {left:.0f} s left")

    def _said(self) -> str:
        failed = self._done - self.verdicts["passed"] if self.verdicts else 0
        return f"{self.a_minute:.0f} a minute" + (f", {failed} not passed" if failed else "")
