"""The door for all that comes from a port: a line's bytes become what is declared, or are refused.

Flow: bytes of a line -> DOOR (against shapes) -> console, prompt.  Inside it types are known.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tools.cable.shapes import Captured, Codes, Head, SafeMode, Telemetry

T = TypeVar("T")


class Misfit(ValueError):
    """A line, or an answer, that is not of its shape; the text says what it was to be, what was
    found, where, and what would be right."""


@dataclass(frozen=True)
class Answer:
    """An answer to a command, of which so far only the head has been looked at: `reply` names the
    command, `error` says why it was not done."""

    reply: str
    error: str | None
    line: bytes


Line = Telemetry | Answer | Codes | Captured | SafeMode


class _Keys(Struct):
    """Each kind of line has a key that no other has."""

    t: Raw | UnsetType = UNSET
    reply: Raw | UnsetType = UNSET
    codes: Raw | UnsetType = UNSET
    captured: Raw | UnsetType = UNSET
    safe_mode: Raw | UnsetType = UNSET


# In the order in which they are looked for: only an answer may have another's key.
_KINDS: tuple[tuple[str, str, type[Struct]], ...] = (
    ("reply", "an answer", Head),
    ("t", "a line of telemetry", Telemetry),
    ("codes", "a capture's line", Codes),
    ("captured", "a capture's end", Captured),
    ("safe_mode", "a line of safe mode", SafeMode),
)
_keys = msgspec.json.Decoder(_Keys)


@cache
def _decoder(shape: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(shape)


def decode(data: bytes, shape: type[T], what: str) -> T:
    """JSON as the shape that `what` must have. Raises Misfit."""
    try:
        return _decoder(shape).decode(data)
    except (ValueError, RecursionError) as problem:
        # Of msgspec ValueErrors alone; RecursionError: nested beyond all bounds.
        raise Misfit(f"{what} does not fit: {problem}") from None


def read(line: bytes) -> Line | None:
    """What a line says; None for one of no kind of ours, such as noise. Raises Misfit for one
    that is of a kind, and not of its shape."""
    try:
        keys = _keys.decode(line)
    except (ValueError, RecursionError):
        return None
    for key, what, shape in _KINDS:
        if getattr(keys, key) is not UNSET:
            found: Any = decode(line, shape, what)
            return Answer(found.reply, found.error, line) if isinstance(found, Head) else found
    return None
