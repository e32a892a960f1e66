"""Golden files: what a replay of a recording said, kept beside it and compared from then on.

Flow: report -> what is kept of it -> GOLDEN FILE, a section for each way; the next report of the
same way -> what has changed.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from threewire.operation.report import LEDS
from tools.common.errors import InputError
from tools.common.files import read_json, writable_folder, write_whole
from tools.regress.row import Row

_MWH = Decimal("0.001")
# Another machine's floating point may round a code the other way, which moves an energy by 1e-8 Wh
# or so: that can move the last digit kept, an edge by a cycle, and hertz by its last digit.
_SAME_HERTZ = 0.0015
_SLOWEST_HERTZ = 40.0
# Edges that are kept of each LED; of more, which hours have, their number tells.
_MOST_EDGES = 1000


def section(row: Row) -> str:
    """Of a golden file, that of a row's way, whatever the engine."""
    if row["adc"] is None:
        return f"{row['board']}, its own codes"
    return f"{row['board']}, {row['adc']} ADC, seed {row['seed']}"


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
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        pairs = [(key, old[key], new[key]) for key in old]
    elif where == "elements" and len(old) == len(new):
        pairs = [(f"element {k + 1}", a, b) for k, (a, b) in enumerate(zip(old, new))]
    else:
        return [] if _same(where, old, new, cycle_s) else [f"{old} was kept, now it is {new}"]
    found = []
    for name, a, b in pairs:
        found += [f"{name}: {line}" for line in changes(a, b, cycle_s, name)]
    return found


def _same(name: str, old: Any, new: Any, cycle_s: float) -> bool:
    """Energies to 1 mWh, edges in state and order and within a mains cycle, hertz to 1 mHz."""
    if name.endswith("_wh"):
        return abs(Decimal(old) - Decimal(new)) <= _MWH
    if name == "hertz":
        return abs(old - new) < _SAME_HERTZ
    if isinstance(old, list) and name in LEDS:
        return [lit for _, lit in old] == [lit for _, lit in new] and all(
            abs(a - b) <= cycle_s for (a, _), (b, _) in zip(old, new)
        )
    return old == new


def read(path: Path) -> dict[str, Any]:
    """The sections of a golden file; none where there is no file. Raises InputError."""
    if not path.exists():
        return {}
    return read_json(path, "golden file")


def compared(golden: Mapping[str, Any], row: Row, path: Path) -> list[str]:
    """What differs between a row and the section of its way, a line each; nothing where there is
    none. Raises InputError where the file is none of ours."""
    name = section(row)
    if name not in golden or row["report"] is None:
        return []
    now = of(row["report"])
    try:
        return changes(golden[name], now, 1 / max(now["hertz"], _SLOWEST_HERTZ))
    except (TypeError, ValueError, ArithmeticError) as problem:
        raise InputError(
            f"{path}: section {name!r} is none of a golden file ({problem}); --update writes it "
            "anew"
        ) from None


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


def updated(path: Path, rows: Iterable[Row], check: bool = False) -> list[str] | None:
    """Puts the sections of a recording's rows into its golden file; sections of other ways stay.
    Returns the diff, or None where the file is as it was. Raises InputError.

    check  write nothing
    """
    before = read(path)
    now = dict(before)
    for row in rows:
        if row["report"] is not None:
            name = section(row)
            # What only another machine's rounding has moved stays: no diff that says nothing.
            if name not in before or compared(before, row, path):
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
