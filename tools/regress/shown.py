"""How a row's numbers and names are written on the page.

Flow: rows -> SHOWN -> page, its table, its comparison of revisions.
"""

import math
from typing import Any

from tools.regress.row import Row

# Where there is no number.
NONE = "–"
# What errors, and what rows may all have alike, are called.
ERROR_NAMES = {"element1": "element 1", "element2": "element 2", "total": "total"}
ALIKE = ("board", "engine", "ADC", "seed")
_LONGEST = 240


def times(ratio: float | None) -> str:
    """Three digits, as far as they are before the point."""
    return NONE if ratio is None else f"{ratio:.3g}" if ratio < 1000 else f"{ratio:.0f}"


def ppm(value: float | None) -> str:
    """With its sign, to a tenth."""
    return NONE if value is None else f"{value:+.1f}"


def cut(line: str, most: int = _LONGEST) -> str:
    """As much of a line as one row can bring into the page: its JUnit and its own replay tell the
    rest."""
    return line if len(line) <= most else f"{line[: most - 1]}…"


def volt_amperes(report: dict[str, Any]) -> list[float]:
    """Mean volt-amperes of element 1, element 2 and both: the reference's, or without one those
    that the meter read at the end."""
    of = (report["reference"] or report)["elements"]
    elements = [element["va"] for element in of]
    return [*elements, math.fsum(elements)]


def way(row: Row) -> dict[str, str]:
    """What it was replayed on and with, by the names of ALIKE."""
    seed = row["seed"]
    found = (row["board"], row["engine"], row["adc"] or "codes", NONE if seed is None else seed)
    return dict(zip(ALIKE, map(str, found)))


def way_told(row: Row) -> list[str]:
    """The same as words, of which a board's own codes have no seed."""
    *words, seed = way(row).values()
    return words if seed == NONE else [*words, f"seed {seed}"]
