"""What came of trying to make the meter lose something: rows of a table, and how they are shown.

Flow: power_cuts, soak, reliability -> ROWS -> stdout, build/reliability.json.
"""

import json
from collections.abc import Iterable, Sequence
from typing import TypedDict

# What was tried how often, how often it failed, whether all is as it must be (None: it cannot be
# tried here), and what was found.
Row = TypedDict("Row", {"what": str, "tried": int, "lost": int, "pass": bool | None, "found": str})


def row(what: str, tried: int, lost: int, found: str = "", holds: bool = True) -> Row:
    """A row.  It passes where something was tried, nothing was lost and what else it is about
    `holds`."""
    passes = tried > 0 and lost == 0 and holds
    return {"what": what, "tried": tried, "lost": lost, "pass": passes, "found": found}


def skipped(what: str, reason: str) -> Row:
    """The row of what needs something that is not on this machine."""
    return {"what": what, "tried": 0, "lost": 0, "pass": None, "found": f"skipped: {reason}"}


def kept(found: Iterable[Row]) -> list[Row]:
    """The same with one lost, where a row has failed for anything else."""
    return [row(of["what"], of["tried"], of["lost"] or (0 if of["pass"] else 1)) for of in found]


def show(table: Sequence[Row], as_json: bool) -> int:
    """Prints the rows. Returns the exit status: 0 all passed, 1 something did not."""
    if as_json:
        print(json.dumps(table, indent=1))
    else:
        for of in table:
            verdict = "pass" if of["pass"] else "FAIL"
            print(f"{verdict}  {of['what']}: {of['tried']}, {of['lost']} lost; {of['found']}")
    return 0 if all(of["pass"] for of in table) else 1
