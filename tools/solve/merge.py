"""Puts a solution's constants among those that are there already.

Flow: solver's solution, constants that are there -> MERGE -> calibration file, board.
"""

from typing import Any

from threewire.metering.layout import Layout
from tools.solve.solver import Solution

# The constants of each element, which go together.
_KEYS = tuple((f"v{n}_nv", f"i{n}_na", f"phase{n}_ns", f"phase{n}_by_ma") for n in (1, 2))


def merged(
    there: dict[str, Any], in_force: dict[str, Any], solution: Solution, layout: Layout
) -> dict[str, Any]:
    """The constants to write where `there` stand by now (none: an empty dict): new ones for the
    elements solved for, and all else as it is there, or as in force where it is not there.
    """
    made = {"board": layout.name}
    of_elements = {key for keys in _KEYS for key in keys}
    for source in (in_force, there):
        made |= {key: value for key, value in source.items() if key not in of_elements}
    for keys in _KEYS:
        source = in_force
        if any(key in there for key in keys):
            source = there
        if keys[0] in solution.uncertainty:
            source = solution.constants
        made |= {key: source[key] for key in keys if key in source}
    return made
