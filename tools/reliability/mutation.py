"""Makes files and what goes into them worse: by the ranges that readers declare, or by chance.

Flow: a maker of good files -> MUTATION -> hostile files.
"""

import json
import math
import random
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from tools.common.ranges import Range
from tools.recordings import ranges

_SPECIAL = (
    *(0, -0.0, 1, -1, 0.5, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324),
    *(2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**400),
)
_TEXTS = (
    "",
    "x",
    "v1",
    "i1",
    "\0",
    "٣",
    "1_0",
    "\x1b[31m",
    "é" * 300,
    "../../x",
    "{",
    "0x10",
    "nan",
)
_TYPES = ("f2", "f4", "f8", "i1", "u2", "i8", "u8", "c16", "?", "U3", "O", "M8[s]", "f8,f8")


def declared() -> list[Range]:
    """The ranges that the readers hold numbers to."""
    return [found for found in vars(ranges).values() if isinstance(found, Range)]


def ends() -> list[float]:
    """The ends of the declared ranges, what lies next to them outside, and far beyond."""
    found: list[float] = []
    for some in declared():
        for end, way in ((some.least, -math.inf), (some.most, math.inf)):
            found += [end, math.nextafter(end, way), end * 1000, end / 1000]
            if end == int(end):
                found += [int(end), int(end) - 1, int(end) + 1]
    return found


_ENDS = ends()


class Shaper:
    """Hands values on, a few of them made hostile: at most two in a file, often none."""

    def __init__(self, draw: random.Random, left: int | None = None) -> None:
        self.draw = draw
        self.left = draw.choice((0, 1, 1, 2)) if left is None else left

    def _hits(self, one_in: int = 6) -> bool:
        if not self.left or self.draw.randrange(one_in):
            return False
        self.left -= 1
        return True

    def _worse(self) -> float:
        return self.draw.choice(self.draw.choice((_ENDS, _SPECIAL)))

    def number(self, good: float) -> float:
        return self._worse() if self._hits() else good

    def whole(self, good: int, bits: int) -> int:
        """A number for an unsigned field of so many bits."""
        worse = self.number(good)
        if isinstance(worse, int):
            return worse % (1 << bits)
        return int(worse) % (1 << bits) if math.isfinite(worse) else (1 << bits) - 1

    def written(self, good: float | str) -> str:
        """A number or a text as a text file has it."""
        if not self._hits(12):
            return str(good)
        return (
            str(self.draw.choice(_TEXTS)) if self.draw.random() < 0.3 else _digits(self._worse())
        )

    def array(self, good: Any) -> Any:
        """An array of numpy, or what becomes one."""
        if not self._hits():
            return good
        draw = self.draw
        made = np.array(good)
        way = draw.randrange(7)
        if way == 0:
            return np.array(_as_number(self._worse()))
        if way == 1 and made.size and made.dtype.kind in "fiu":
            made = made.astype(draw.choice(("f8", "i8", "u8", "f4")))
            with np.errstate(all="ignore"):
                made.reshape(-1)[draw.randrange(made.size)] = _as_float(self._worse(), made.dtype)
            return made
        if way == 2:
            try:
                with np.errstate(all="ignore"):
                    return made.astype(draw.choice(_TYPES))
            except (TypeError, ValueError, OverflowError):
                return np.array([None, {}], object)
        if way == 3:
            made = np.atleast_1d(made)
            return draw.choice((made[:0], made[:3], made[None], made.reshape(-1, 1), made.T))
        if way == 4:
            return np.array(draw.choice(_TEXTS))
        if way == 5:
            return np.array([draw.choice(_TEXTS)] * draw.choice((1, 2, 4)))
        return np.concatenate([made.reshape(-1)] * 2)

    def arrays(self, good: Mapping[str, Any]) -> dict[str, Any]:
        """Named arrays, of which one may be missing or have another's name."""
        found = {name: self.array(value) for name, value in good.items()}
        if self._hits():
            name = self.draw.choice(list(found))
            value = found.pop(name)
            if self.draw.random() < 0.5:
                found[self.draw.choice(list(found))] = value
        return found

    def tree(self, good: Any) -> Any:
        """A value of JSON."""
        if self._hits(12):
            way = self.draw.randrange(4)
            if way == 0:
                return self._worse()
            if way == 1:
                return self.draw.choice(_TEXTS)
            return self.draw.choice((None, True, [], {}, [good], {"x": good}, [good] * 1000))
        if isinstance(good, dict):
            found = {key: self.tree(value) for key, value in good.items()}
            if found and self._hits(12):
                found.pop(self.draw.choice(list(found)))
            return found
        if isinstance(good, list):
            return [self.tree(value) for value in good]
        return self.number(good) if isinstance(good, int | float) else good

    def text(self, good: Any) -> str:
        """JSON text of a tree."""
        return json.dumps(self.tree(good))


def _digits(value: float) -> str:
    return "1" + "0" * 400 if value == 10**400 else repr(value)


def _as_number(value: float) -> float:
    return value if isinstance(value, float) or abs(value) < 1 << 63 else float(1 << 63)


def _as_float(value: float, kind: np.dtype[Any]) -> Any:
    if kind.kind == "f":
        return float(_as_number(value))
    number = float(_as_number(value))
    return int(number) % (1 << 63) if math.isfinite(number) else 0


def mutated(files: Mapping[str, bytes], draw: random.Random) -> dict[str, bytes]:
    """The files, half of the time one of them with its bytes made worse."""
    found = dict(files)
    if draw.random() < 0.5:
        name = draw.choice(list(found))
        found[name] = hostile(found[name], draw)
    return found


def hostile(data: bytes, draw: random.Random) -> bytes:
    """Input made worse: bits turned, pieces cut out, doubled, put elsewhere or made up, numbers at
    the ends of what so many bytes can hold."""
    worse = bytearray(data)
    for _ in range(draw.randrange(1, 6)):
        at = draw.randrange(len(worse) + 1)
        size = draw.choice((1, 2, 4, 16, 64, 1200))
        way = draw.randrange(6)
        if way == 0 and at < len(worse):
            worse[at] ^= 1 << draw.randrange(8)
        elif way == 1:
            del worse[at : at + size]
        elif way == 2:
            worse[at:at] = worse[at : at + size]
        elif way == 3:
            worse[at : at + size] = draw.randbytes(size)
        elif way == 4:
            kind, bits = draw.choice((("<H", 16), ("<I", 32), ("<Q", 64), (">I", 32)))
            value = draw.choice((0, 1, (1 << bits) - 1, 1 << bits - 1, (1 << bits - 1) - 1))
            worse[at : at + bits // 8] = struct.pack(kind, value)
        else:
            worse[at:at] = draw.choice((b"\r\n", b"\x03", b"\b\b\b", b"\xff\xfe", b"{[[", b"\x00"))
    return bytes(worse)
