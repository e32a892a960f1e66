"""A board's answer as it is to be read: its JSON, with what fits on a line on one line.

Numbers stay as the board wrote them.
"""

import json
from typing import Any

_STEP = 2


class _Number(str):
    """As it was written."""


def pretty(line: bytes, width: int) -> str:
    """An answer for a terminal of so many columns, without the name of its command."""
    text = line.decode(errors="replace")
    try:
        found = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        del found["reply"]
        return _shown(found, width, 0, 0)
    except (ValueError, LookupError, TypeError, RecursionError):
        return text


def _shown(value: Any, width: int, indent: int, before: int) -> str:
    """A value that begins behind `before` columns, on lines that are indented so much."""
    whole = _on_one_line(value)
    # A comma may follow.
    if before + len(whole) < width or not value or not isinstance(value, dict | list):
        return whole
    deeper = indent + _STEP
    if isinstance(value, dict):
        keys = [f"{json.dumps(key)}: " for key in value]
        values, ends = list(value.values()), "{}"
    else:
        keys, values, ends = [""] * len(value), value, "[]"
    items = [
        " " * deeper + key + _shown(item, width, deeper, deeper + len(key))
        for key, item in zip(keys, values)
    ]
    return "\n".join((ends[0], ",\n".join(items), " " * indent + ends[1]))


def _on_one_line(value: Any) -> str:
    if isinstance(value, _Number):
        return value
    if isinstance(value, dict):
        items = (f"{json.dumps(key)}: {_on_one_line(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_on_one_line, value))}]"
    return json.dumps(value)
