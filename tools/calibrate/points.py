"""Loads with what the board and the reference read of each: from options, and kept in a file.

Flow: --point, the board's readings -> POINTS -> solver; points file that `--points` and
tools.solve take.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threewire.metering.calibration import from_dict
from tools.calibrate.board import Board, Reading
from tools.common.constants import write_constants
from tools.common.errors import InputError
from tools.common.ranges import number_in
from tools.solve.checks import check_points
from tools.solve.fit import Point

_NEEDED = ("element", "volts", "amps", "watts")
_SIGNS = ("var", "power_factor")
_EXAMPLE = '"element=1 volts=120.03 amps=30.01 watts=3601.2"'


@dataclass(frozen=True)
class Reference:
    """What a reference instrument reads of an element: volts, amps, watts; lags: whether the
    current does, None where it does not say."""

    element: int
    volts: float
    amps: float
    watts: float
    lags: bool | None = None

    @property
    def values(self) -> tuple[float, float, float]:
        return self.volts, self.amps, self.watts


def parse_number(text: str, above: float = -math.inf) -> float:
    """A finite number above a limit. Raises ValueError, with what would be right."""
    try:
        value = number_in(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > above):
        limit = "" if math.isinf(above) else f" above {above:g}"
        raise ValueError(f"{text!r}: expected a number{limit}, such as 120.03")
    return value


def parse_point(text: str) -> Reference:
    """A --point. Raises InputError."""
    given: dict[str, float] = {}
    try:
        for word in text.split():
            key, _, value = word.partition("=")
            if key not in _NEEDED + _SIGNS or key in given:
                raise ValueError(f"{word!r}: expected each of {', '.join(_NEEDED)} once")
            given[key] = parse_number(value, -math.inf if key in _SIGNS else 0)
        missing = [key for key in _NEEDED if key not in given]
        if missing:
            raise ValueError(f"{' and '.join(missing)} missing")
        if given["element"] not in (1, 2):
            raise ValueError(f"element is {given['element']:g}, there are 1 and 2")
    except ValueError as problem:
        raise InputError(f"--point {text!r}: {problem}; it is like {_EXAMPLE}") from None
    signs = [given[key] > 0 for key in _SIGNS if given.get(key)]
    return Reference(
        int(given["element"]),
        given["volts"],
        given["amps"],
        given["watts"],
        signs[0] if signs else None,
    )


def make_point(
    board: Board, reading: Reading, reference: Reference, percent: float, number: int
) -> Point:
    """Load `number`, whose reference is known to `percent` of reading. Raises InputError for what
    the board cannot be calibrated by."""
    name = f"load {number}, element {reference.element}"
    rows = reading.of(reference.element)
    volts, amps = rows[:, 0].min(), rows[:, 1].min()
    # What is left of the noise is no load either: a tenth of a per cent of class amperes.
    if volts <= 0 or amps * board.layout.nominal_volts * 1000 < board.layout.starting_mw:
        raise InputError(
            f"{name}: the board reads {volts:.3f} V and {amps:.3f} A: is the load on, and on this "
            "element?"
        )
    if not reading.hertz:
        raise InputError(f"{name}: the board finds no mains frequency: see its voltage inputs")
    point = Point(
        name=name,
        element=reference.element,
        hertz=reading.hertz,
        board=rows,
        reference=reference.values,
        percent=(percent, percent, percent),
        lags=reference.lags,
    )
    check_points([point], from_dict(board.in_force, board.layout), board.layout)
    return point


def keep_points(path: Path, board: Board, points: Sequence[Point]) -> None:
    """Writes a points file, with the constants that the board was read with. Raises InputError."""
    entries: list[dict[str, Any]] = []
    for point in points:
        volts, amps, watts = point.reference
        reference = {"volts": volts, "amps": amps, "watts": watts}
        if point.lags is not None:
            reference["power_factor"] = round(point.power_factor * (1 if point.lags else -1), 4)
        rows = [dict(zip(("volts", "amps", "watts", "var"), row)) for row in point.board.tolist()]
        entries.append({"element": point.element, "board": rows, "reference": reference})
    found = {
        "board": board.name,
        "id": board.id,
        "constants": board.in_force,
        "hertz": round(sum(point.hertz for point in points) / len(points), 3),
        "uncertainty_percent": points[0].percent[0],
        "points": entries,
    }
    write_constants(path, found)
