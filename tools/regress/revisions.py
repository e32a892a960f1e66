"""What the page says of another revision: how many replays came out the same, and what did not.

Flow: rows -> REVISIONS -> page.
"""

import json
from collections.abc import Sequence
from statistics import median
from typing import Any

from tools.regress.row import Against, Row
from tools.regress.shown import cut, way_told

# Lines and values of one replay that are listed.
_MOST_LINES, _MOST_CHANGES = 6, 8
_LONGEST_VALUE = 60


def revisions(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of each that rows were compared with, what page.html takes."""
    found: dict[str, list[tuple[int, Row, Against]]] = {}
    for k, row in enumerate(rows):
        if "against" in row:
            found.setdefault(row["against"]["rev"], []).append((k, row, row["against"]))
    return [_revision(rev, its) for rev, its in found.items()]


def _revision(rev: str, rows: Sequence[tuple[int, Row, Against]]) -> dict[str, Any]:
    same: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    unknown: list[dict[str, Any]] = []
    ratios: list[float] = []
    for number, row, against in rows:
        if against["speed_ratio"] is not None:
            ratios.append(against["speed_ratio"])
        of = same if against["is_same"] else changed if against["changes"] else unknown
        of.append(
            {
                "number": number,
                "way": ", ".join(way_told(row)),
                "why": [cut(line) for line in against["why"][:_MOST_LINES]],
                "changes": [_change(*change) for change in against["changes"][:_MOST_CHANGES]],
                "more": len(against["changes"]) - _MOST_CHANGES,
            }
        )
    return {
        "rev": rev,
        "all": len(rows),
        "same": len(same),
        "changed": len(changed),
        "unknown": len(unknown),
        "rows": changed + unknown,
        "ratios": [f"{of:.3g}" for of in (median(ratios), min(ratios), max(ratios))]
        if ratios
        else [],
    }


def _change(what: str, old: Any, new: Any) -> tuple[str, str, str, str]:
    """(what, there, here, how much more): the last of two numbers only."""
    try:
        # A lamp that is lit is no more than one that is not.
        more = "" if isinstance(new, bool) else f"{float(new) - float(old):+.6g}"
    except (TypeError, ValueError):
        more = ""
    return str(what), _value(old), _value(new), more


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cut(text, _LONGEST_VALUE)
