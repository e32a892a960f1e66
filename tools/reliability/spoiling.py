"""Lines that are nearly right: what a declared shape allows, made worse where it ends.

Flow: a line's JSON and its shape (tools/cable/shapes.py) -> SPOILING -> hostile board.
"""

import random
from typing import Any

from msgspec import inspect

# What is no value anywhere, or one too many everywhere.
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, -0.0, float("nan"), float("inf"), 1e308, -1e308, 5e-324),
    *(10**400, -(10**400), 2**53, 2**63, 2**64, "", "x" * 5000, "0" * 400, "=1+1", "..", "../x"),
    *("\x1b[2J", "\x9b\x07\r\n\u202e", "\u0663.\u0665", "\ud800", [], {}, [[]], {"": {}}),
)
_DEEP = 200


def spoil(value: Any, shape: Any, draw: random.Random) -> Any:
    """The value (of JSON) with one thing changed somewhere in it: gone, doubled, of another kind,
    or at an end of what the shape allows there, or just beyond."""
    return _spoil(value, inspect.type_info(shape), draw)


def _spoil(value: Any, info: Any, draw: random.Random) -> Any:
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        if draw.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        if draw.random() < 0.05:
            return {**value, draw.choice(("", "x" * 99, "\x1b", "lost")): value[key]}
        return {**value, key: _spoil(value[key], _field(info, key), draw)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        at = draw.randrange(len(value))
        if draw.random() < 0.2:
            return value[:at] if draw.random() < 0.5 else value * draw.choice((2, 50))
        return [*value[:at], _spoil(value[at], _item(info, at), draw), *value[at + 1 :]]
    return draw.choice((*_edges(info), *_ODD, _nested(draw), value))


def _field(info: Any, key: str) -> Any:
    for of in _all(info):
        if isinstance(of, inspect.StructType):
            for field in of.fields:
                if field.encode_name == key:
                    return field.type
        elif isinstance(of, inspect.DictType):
            return of.value_type
    return None


def _item(info: Any, at: int) -> Any:
    for of in _all(info):
        if isinstance(of, inspect.TupleType):
            return of.item_types[min(at, len(of.item_types) - 1)]
        if isinstance(of, inspect.ListType):
            return of.item_type
    return None


def _all(info: Any) -> tuple[Any, ...]:
    return info.types if isinstance(info, inspect.UnionType) else (info,)


def _edges(info: Any) -> list[Any]:
    """The ends of what is allowed, and what is next beyond them."""
    found: list[Any] = []
    for of in _all(info):
        for end, step in ((getattr(of, "ge", None), -1), (getattr(of, "le", None), 1)):
            if end is not None:
                found += [end, end + step, -end]
        if isinstance(of, inspect.StrType):
            most = of.max_length or 40
            found += ["a" * most, "0" * most, "a" * (most + 1), "1." + "0" * 12, "9" * 20 + ".9"]
    return found


def _nested(draw: random.Random) -> Any:
    value: Any = 0
    for _ in range(draw.choice((2, 40, _DEEP))):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value
