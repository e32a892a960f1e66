"""What a board reads beside the reference, shown to people.

Flow: readings of both -> TEXT -> calibrate.
"""

from collections.abc import Sequence

import numpy as np

from tools.calibrate.board import Reading
from tools.solve.fit import Floats
from tools.solve.solver import QUANTITIES


def errors_now(name: str, reading: Floats, reference: Sequence[float]) -> str:
    """Errors of readings (lines, 4) against the reference's volts, amps and watts, in a line."""
    off = 100 * (reading.mean(axis=0)[:3] / np.array(reference) - 1)
    found = ", ".join(f"{q} {error:+.3f} %" for q, error in zip(QUANTITIES, off))
    return f"{name}: errors now: {found}"


def readings(reading: Reading) -> str:
    """The board's mean readings."""
    lines = [f"{'the board reads':24}{'V':>10}{'A':>10}{'W':>12}{'var':>12}"]
    for element in (1, 2):
        volts, amps, watts, var = reading.of(element).mean(axis=0).tolist()
        lines.append(f"element {element:<16}{volts:>10.3f}{amps:>10.3f}{watts:>12.3f}{var:>12.3f}")
    return "\n".join(lines)
