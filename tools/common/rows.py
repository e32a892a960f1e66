"""What came of trying to make the meter lose something: lines of a table, and how they are shown.

Flow: power_cuts, rp2040_trials -> TRIAL ROWS -> stdout; reliability has them in its own table.
"""

import json
from collections.abc import Sequence
from typing import TypedDict

# What was tried how often, how often it failed, whether all is as it must be, and what was found.
Row = TypedDict("Row", {"what": str, "tried": int, "lost": int, "pass": bool, "found": str})


def show(table: Sequence[Row], as_json: bool) -> int:
    """Prints the rows. Returns the exit status: 0 all passed, 1 something did not."""
    if as_json:
        print(json.dumps(table, indent=1))
    else:
        for row in table:
            verdict = "pass" if row["pass"] else "FAIL"
            print(f"{verdict}  {row['what']}: {row['tried']}, {row['lost']} lost; {row['found']}")
    return 0 if all(row["pass"] for row in table) else 1
