"""Golden files: what a replay of a recording said, kept beside it and compared from then on.

Flow: report -> what is kept of it -> GOLDEN FILE, a section for each way; the next report of the
same way -> what has changed.
"""

import difflib
import errno
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from threewire.operation.report import LEDS
from tools.common.errors import InputError
from tools.common.files import read_json, reason, writable_folder, write_whole
from tools.regress.row import Row
from tools.regress.shown import cut

_MWH = Decimal("0.001")
# Another machine's floating point may round a code the other way, which moves an energy by 1e-8 Wh
# or so: that can move the last digit kept, an edge by a cycle, and hertz by its last digit.
_SAME_HERTZ = 0.0015
_SLOWEST_HERTZ = 40.0
# Edges that are kept of each LED; of more, which hours have, their number tells.
_MOST_EDGES = 1000
# Of a value that has changed so much is told: the diff of --update has all of it.
_LONGEST = 100


def section(row: Row, part: str = "") -> str:
    """Of a golden file, that of a row's way, whatever the engine.

    part  what else its name says, where the rows are of a part of each recording
    """
    codes = f"{row['adc']} ADC, seed {row['seed']}" if row["adc"] else "its own codes"
    return f"{row['board']}, {codes}{part}"


def _mwh(wh: str) -> str:
    return str(Decimal(wh).quantize(_MWH))


def of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a replay's report (its --json)."""
    doctor = report["doctor"]
    return {
        "seconds": round(report["seconds"], 6),
        "frames": report["frames"],
        "delivered_wh": _mwh(report["delivered_wh"]),
        "received_wh": _mwh(report["received_wh"]),
        "elements": [
            {
                "delivered_wh": _mwh(e["delivered_wh"]),
                "received_wh": _mwh(e["received_wh"]),
                "verdict": found["verdict"],
                "alike": list(found["alike"]),
            }
            for e, found in zip(report["elements"], doctor["elements"])
        ],
        "service": doctor["service"],
        "hertz": round(report["hertz"], 3),
        "clipped": report["faults"]["clipped"],
        "edges": {
            name: [[round(s, 6), lit] for s, lit in edges[:_MOST_EDGES]]
            for name, edges in report["edges"].items()
        },
        "edges_in_all": {name: len(edges) for name, edges in report["edges"].items()},
    }


def changes(old: Any, new: Any, cycle_s: float, where: str = "") -> list[str]:
    """What has changed between two golden sections, but for what another machine may, a line
    each."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(key, old.get(key), new.get(key)) for key in dict.fromkeys((*old, *new))]
    elif where == "elements" and len(old) == len(new):
        pairs = [(f"element {k + 1}", a, b) for k, (a, b) in enumerate(zip(old, new))]
    elif isinstance(old, list) and isinstance(new, list) and where in LEDS:
        both = enumerate(zip_longest(old, new), 1)
        apart = (each for each in both if not _same_edge(*each[1], cycle_s))
        # Behind the first that is elsewhere most are.
        return [f"edge {k}: {_change(a, b)}" for k, (a, b) in islice(apart, 1)]
    else:
        return [] if _same(where, old, new) else [_change(old, new)]
    found = []
    for name, a, b in pairs:
        found += [f"{name}: {line}" for line in changes(a, b, cycle_s, name)]
    return found


def _change(old: Any, new: Any) -> str:
    return f"{_told(old)} was kept, now it is {_told(new)}"


def _told(value: Any) -> str:
    return "nothing" if value is None else cut(str(value), _LONGEST)


def _same_edge(old: Any, new: Any, cycle_s: float) -> bool:
    """In state, and within a mains cycle; None where there is none."""
    if old is None or new is None:
        return False
    return old[1] == new[1] and abs(old[0] - new[0]) <= cycle_s


def _same(name: str, old: Any, new: Any) -> bool:
    """Energies to 1 mWh, hertz to 1 mHz."""
    if old is None or new is None:
        return old is new
    if name.endswith("_wh"):
        return abs(Decimal(old) - Decimal(new)) <= _MWH
    if name == "hertz":
        return abs(old - new) < _SAME_HERTZ
    return old == new


def read(path: Path) -> dict[str, Any]:
    """The sections of a golden file; none where there is no file. Raises InputError."""
    try:
        if not path.exists():
            return {}
    except OSError as problem:
        if problem.errno == errno.ENAMETOOLONG:
            return {}  # there can be none
        raise InputError(f"{path}: cannot be read ({reason(problem)})") from None
    return read_json(path, "golden file")


def compared(golden: Mapping[str, Any], row: Row, path: Path, part: str = "") -> list[str]:
    """What differs between a row and the section of its way, a line each; nothing where there is
    none. Raises InputError where the file is none of ours.

    part  as section's
    """
    name = section(row, part)
    if name not in golden or row["report"] is None:
        return []
    now = of(row["report"])
    try:
        return changes(golden[name], now, 1 / max(now["hertz"], _SLOWEST_HERTZ))
    except (TypeError, ValueError, LookupError, ArithmeticError) as problem:
        raise InputError(
            f"{path}: section {name!r} is none of a golden file ({problem}); --update writes it "
            "anew"
        ) from None


def _differs(golden: Mapping[str, Any], row: Row, path: Path, part: str) -> bool:
    try:
        return bool(compared(golden, row, path, part))
    except InputError:
        return True  # no section of a golden file: it becomes one


def as_text(golden: Any, indent: str = "") -> str:
    """A golden file's text: JSON with arrays of plain values on one line, such as edges."""
    inner = indent + " "
    if isinstance(golden, dict) and golden:
        items = [f"{json.dumps(key)}: {as_text(value, inner)}" for key, value in golden.items()]
        left, right = "{}"
    elif isinstance(golden, list) and any(isinstance(value, list | dict) for value in golden):
        items = [as_text(value, inner) for value in golden]
        left, right = "[]"
    else:
        return json.dumps(golden)
    return f"{left}\n{inner}" + f",\n{inner}".join(items) + f"\n{indent}{right}"


def updated(
    path: Path, rows: Iterable[Row], check: bool = False, part: str = ""
) -> list[str] | None:
    """Puts the sections of a recording's rows into its golden file; sections of other ways stay.
    Returns the diff, or None where the file is as it was. Raises InputError.

    check  write nothing
    part   as section's
    """
    try:
        before = read(path)
    except InputError as problem:
        # It may hold what other ways have come to, for which nobody has asked now.
        raise InputError(f"{problem}; put it right, or delete it") from None
    now = dict(before)
    for row in rows:
        if row["report"] is not None:
            name = section(row, part)
            # What only another machine's rounding has moved stays: no diff that says nothing.
            if name not in before or _differs(before, row, path, part):
                now[name] = of(row["report"])
    text = as_text(dict(sorted(now.items()))) + "\n"
    kept = as_text(before) + "\n" if before else ""
    if text == kept:
        return None
    if not check:
        writable_folder(path.parent)
        write_whole(path, text)
    names = (f"{path.name}, kept", f"{path.name}, now")
    return list(difflib.unified_diff(kept.splitlines(), text.splitlines(), *names, lineterm=""))
