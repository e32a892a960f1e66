"""Numbers that come from files: what each may be, and the line that tells what it is not.

Flow: a reader -> RANGES -> its values, or InputError.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from tools.common.errors import InputError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.I | re.A)
_WHOLE = re.compile(r"[+-]?\d+", re.A)
_LONGEST_TEXT = 400  # characters of a number: more than any float64 has when it is written out


@dataclass(frozen=True)
class Range(Container[float]):
    """What a number may be: from `least` to `most`, both of them included, in `unit`."""

    least: float
    most: float
    unit: str = ""

    def __contains__(self, value: object) -> bool:
        """No comparison with NaN is true, so that it is in no range."""
        return isinstance(value, int | float) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"{_plain(self.least)} to {_plain(self.most)} {self.unit}".rstrip()

    def check(self, path: str | Path, what: str, value: float) -> None:
        """InputError, naming the file and what the value is of, unless it is in the range."""
        if value not in self:
            raise InputError(f"{path}: {what} is {shown(value)}; it must be {self}")


def _plain(value: float) -> str:
    """Without an exponent where few digits are enough: 10 000 000, not 1e+07."""
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}".replace(",", " ") if abs(value) >= 1e4 else str(int(value))
    return f"{value:g}"


def shown(value: object) -> str:
    """A number for a message, however long it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 64:
        return "a number of more than 64 bits"
    text = f"{value:.10g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def number_in(text: str) -> float:
    """The number that is written in a text, in ASCII digits and with a point: NaN and infinity are
    numbers here.  Python alone would take 1_0, and the digits of every script there is.

    Raises ValueError.
    """
    if len(text) > _LONGEST_TEXT or not _NUMBER.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a number")
    return float(text)


def whole_in(text: str) -> int:
    """As number_in, of a whole number. Raises ValueError."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(text)
