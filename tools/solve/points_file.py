"""Reads a points file: loads, with the board's readings and the reference's of each.

Flow: points file, files of the board's lines -> POINTS FILE -> solver.  The format is shown
by `python -m tools.solve --help`.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from threewire.metering.layout import Layout
from tools.common import boards
from tools.common.constants import check_calibration
from tools.common.errors import InputError
from tools.common.files import check_file, read_json, reason
from tools.solve.fit import Point

# What the reference is trusted to where the file does not say, and what can be said: percent of
# reading, one standard uncertainty.
DEFAULT_PERCENT = 0.1
_MOST_PERCENT = 10.0
_LEAST_HZ, _MOST_HZ = 40.0, 70.0
# Readings at a meter's terminals: no service has more.
_MOST_VOLTS, _MOST_AMPS, _MOST_WATTS = 1e3, 1e4, 1e7
_MOST = {"volts": _MOST_VOLTS, "amps": _MOST_AMPS, "watts": _MOST_WATTS, "var": _MOST_WATTS}
# Loads of an element are one or two, and a few more for a table; the board has a line a second.
_MOST_POINTS = 100
_MOST_LINES = 100_000
_LINE_BYTES = 1 << 22  # of replay --json, with hours of LED edges
# Of a value in a message.
_EXCERPT = 60

_QUANTITIES = ("volts", "amps", "watts")
_PERCENT = "uncertainty_percent"


@dataclass(frozen=True)
class PointsFile:
    """What a points file holds.

    layout     of the board
    constants  those that the board had while it was read, None where the file does not say
    board_id   which one of the boards of this kind it was, None where it does not say
    notes      on what was left out
    """

    layout: Layout
    points: list[Point]
    constants: dict[str, Any] | None
    board_id: str | None
    notes: list[str]


def read_points(path: str | Path) -> PointsFile:
    """The file, whole. Raises InputError."""
    path = Path(path)
    found = _Object(
        str(path),
        read_json(path, "points file"),
        "board",
        "id",
        "constants",
        "hertz",
        _PERCENT,
        "points",
    )
    name = found.values.get("board")
    if not isinstance(name, str):
        raise InputError(
            f"{path}: board is {_excerpt(name)}; it must be one of {', '.join(boards.names())}"
        )
    try:
        layout = boards.load(name)
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from None
    hertz = found.number("hertz", _LEAST_HZ, _MOST_HZ) if "hertz" in found.values else None
    percent = _percent(found, (DEFAULT_PERCENT,) * 3)
    entries = found.values.get("points")
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_POINTS:
        count = f"a list of {len(entries)}" if isinstance(entries, list) else _excerpt(entries)
        raise InputError(f"{path}: points is {count}; it must be a list of 1 to {_MOST_POINTS}")
    points, notes = [], []
    for n, entry in enumerate(entries):
        where = f"{path}: points[{n}]"
        points.append(_point(path.parent, where, entry, hertz, percent, notes))
    constants = found.values.get("constants")
    if constants is not None:
        check_calibration(constants, layout, f"{path}: constants")
    identity = found.values.get("id")
    if identity is not None:
        check_calibration({"id": identity}, layout, path)
    elif constants is not None:
        identity = constants.get("id")
    return PointsFile(layout, points, constants, identity, notes)


def _excerpt(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        return "beyond words"
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


class _Object:
    """A JSON object, `where` it stands, and its numbers; InputError for what it should not be.

    known: the keys it may have; none: any.
    """

    def __init__(self, where: str, found: Any, *known: str) -> None:
        self.where = where
        if not isinstance(found, dict):
            raise InputError(f"{where} is {_excerpt(found)}; it must be an object")
        self.values: dict[str, Any] = found
        for key in found:
            if known and key not in known:
                raise InputError(
                    f"{where}: unknown key {_excerpt(key)}; known are {', '.join(known)}"
                )

    def number(self, key: str, above: float = -math.inf, most: float = math.inf) -> float:
        """A finite number that is more than `above` and `most` at most."""
        if key not in self.values:
            raise InputError(f"{self.where}: {key} is missing")
        value = self.values[key]
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number) and above < number <= most:
                return number
        limits = "" if math.isinf(above) else f" above {above:g}"
        limits += "" if math.isinf(most) else f" and {most:g} at most"
        raise InputError(f"{self.where}: {key} is {_excerpt(value)}; it must be a number{limits}")


def _percent(found: _Object, default: tuple[float, ...]) -> tuple[float, float, float]:
    """The uncertainty of volts, amps and watts that an object states, else `default`."""
    stated = found.values.get(_PERCENT, {})
    if isinstance(stated, dict):
        each = _Object(f"{found.where}: {_PERCENT}", stated, *_QUANTITIES)
        volts, amps, watts = (
            each.number(key, 0, _MOST_PERCENT) if key in stated else percent
            for key, percent in zip(_QUANTITIES, default)
        )
    else:
        volts = amps = watts = found.number(_PERCENT, 0, _MOST_PERCENT)
    return volts, amps, watts


def _point(
    folder: Path,
    where: str,
    entry: Any,
    hertz: float | None,
    percent: tuple[float, ...],
    notes: list[str],
) -> Point:
    found = _Object(where, entry, "element", "board", "lines", "reference").values
    element = found.get("element")
    if not isinstance(element, int) or isinstance(element, bool) or element not in (1, 2):
        raise InputError(f"{where}: element is {_excerpt(element)}; it must be 1 or 2")
    where += f", element {element}"
    if ("board" in found) == ("lines" in found):
        raise InputError(f"{where}: it must have either board, readings, or lines, a file of them")
    if "board" in found:
        given = found["board"] if isinstance(found["board"], list) else [found["board"]]
        if not 0 < len(given) <= _MOST_LINES:
            raise InputError(
                f"{where}: board is a list of {len(given)}; it must be readings, or a list of 1 "
                f"to {_MOST_LINES}"
            )
        rows = [_row(f"{where}: board[{n}]", row) for n, row in enumerate(given)]
    else:
        rows, hertz = _lines(folder, where, found["lines"], element, hertz, notes)
    if hertz is None:
        raise InputError(f"{where}: the file's hertz is missing; give the mains frequency")
    reference = _Object(
        f"{where}: reference",
        found.get("reference"),
        *_QUANTITIES,
        "var",
        "power_factor",
        _PERCENT,
    )
    volts, amps, watts = (reference.number(key, 0, _MOST[key]) for key in _QUANTITIES)
    # Only their sign counts: volts, amps and watts say the rest.
    signs = [reference.number(key) for key in ("var", "power_factor") if key in reference.values]
    return Point(
        name=where,
        element=element,
        hertz=hertz,
        board=np.array(rows),
        reference=(volts, amps, watts),
        percent=_percent(reference, percent),
        lags=signs[0] > 0 if signs and signs[0] else None,
    )


def _row(where: str, found: Any) -> list[float]:
    readings = _Object(where, found)
    return [
        readings.number("volts", 0, _MOST_VOLTS),
        readings.number("amps", 0, _MOST_AMPS),
        readings.number("watts", -_MOST_WATTS, _MOST_WATTS),
        readings.number("var", -_MOST_WATTS, _MOST_WATTS),
    ]


def _text_lines(file: Path) -> Iterator[str]:
    """Lines of a file, whatever is in it; one at a time is kept. Raises InputError."""
    try:
        with file.open("rb") as source:
            for number in range(1, _MOST_LINES + 1):
                line = source.readline(_LINE_BYTES + 1)
                if not line:
                    return
                if len(line) > _LINE_BYTES:
                    raise InputError(
                        f"{file}: line {number} is longer than {_LINE_BYTES} bytes; the board's "
                        "lines are shorter"
                    )
                yield line.decode("utf-8", "replace")
            if source.read(1):
                raise InputError(
                    f"{file}: holds more than {_MOST_LINES} lines; a minute's are enough"
                )
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({reason(error)}); check its permissions"
        ) from None


def _lines(
    folder: Path, where: str, name: Any, element: int, hertz: float | None, notes: list[str]
) -> tuple[list[list[float]], float | None]:
    """Readings, and their mean frequency if they have one, from a file of the board's lines.

    What a terminal caught besides whole lines of readings is left out, and noted.
    """
    if not isinstance(name, str):
        raise InputError(f"{where}: lines is {_excerpt(name)}; it must be the name of a file")
    file = folder / name
    check_file(file, "file of the board's lines")
    rows, frequencies, others = [], [], 0
    for number, line in enumerate(_text_lines(file), 1):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or "elements" not in found:
            others += bool(line.strip())
            continue
        here = f"{file}: line {number}"
        elements = found["elements"]
        if not isinstance(elements, list) or len(elements) < element:
            raise InputError(f"{here}: elements is {_excerpt(elements)}; it must be a list of two")
        rows.append(_row(f"{here}, element {element}", elements[element - 1]))
        if "hertz" in found:
            frequencies.append(_Object(here, found).number("hertz", _LEAST_HZ, _MOST_HZ))
    if not rows:
        raise InputError(
            f"{file}: holds no readings; expected JSON objects with elements, one a line, as the "
            "board sends them and replay --json prints them"
        )
    if others:
        notes.append(f"{file}: {others} of {others + len(rows)} lines are no readings: left out")
    return rows, float(np.mean(frequencies)) if frequencies else hertz
