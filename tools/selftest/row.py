"""A row of the self-test's table: one thing that was looked at, and the verdict.

Flow: checks -> ROW -> table on stdout, build/selftest/BOARD-ID.json.
"""

from dataclasses import dataclass, field
from typing import Any

PASS, FAIL, SKIP = "pass", "FAIL", "skip"


@dataclass(frozen=True)
class Row:
    """name     of the check
    verdict  PASS, FAIL, or SKIP where nothing can be said of it here
    said     what was found, with its limit; of a skipped one why
    figures  name -> number, text or list, with the unit in the name
    """

    name: str
    verdict: str
    said: str
    figures: dict[str, Any] = field(default_factory=dict)


def judged(name: str, holds: bool, said: str, **figures: Any) -> Row:
    """A row that passes where what it is about `holds`."""
    return Row(name, PASS if holds else FAIL, said, figures)


def skipped(name: str, why: str, **figures: Any) -> Row:
    return Row(name, SKIP, why, figures)
