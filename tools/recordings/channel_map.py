"""Chooses which channels of a file are the meter's inputs, and their scale: for all formats alike.

Recorders have channels under names of their own; the .json beside the recording says which to
use, and without one the names, then the units, decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.common.errors import InputError
from tools.common.files import find_beside
from tools.recordings.channel_file import FORM, ChannelMap, read_map
from tools.recordings.csv_rows import shorten
from tools.recordings.types import INPUTS, channel_order
from tools.recordings.units import parse_unit

_LISTED = 120  # characters of a list of names, in a message


@dataclass(frozen=True)
class Column:
    """A channel of a file: its name, its unit and its whole name, "" where the file says none."""

    name: str
    unit: str = ""
    path: str = ""


@dataclass(frozen=True)
class Choice:
    """The inputs a file has; for each its channel (from 0), and what makes it volts or amperes.

    rate_hz: as the .json says, None where it does not; notes: what the user should know.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...]
    factors: tuple[float, ...]
    rate_hz: float | None = None
    notes: tuple[str, ...] = ()


def choose_channels(
    path: Path,
    columns: Sequence[Column],
    full_scale: bool = False,
    ignored: int | None = None,
) -> Choice:
    """The inputs among the channels of the recording at `path`.

    1. A .json of the same stem decides when there is one:
           {"channels": [{"input": "v1", "column": "VA"}, {"input": "i1", "column": 4,
                         "scale": -0.5}], "rate_hz": 8000}
       A channel is named by its name, or by its number, from 1. Entries without "column" stand for
       the channels in the order of the file, one for each, null for what is not used. `scale`
       (optional, finite, not 0) multiplies what the file says: a transformer's ratio, or -1 for a
       channel recorded the other way round. The short form says the same: {"channels":
       {"v1": "VA", "i1": 4}, "scale": {"i1": -0.5}}.
    2. Else channels called v1 and i1 (and v2 and i2), in either case.
    3. Else the first two voltage and the first two current channels, by unit; the first of each
       when there is only one of each.

    Volts and amperes, with kilo, milli or the like before them, are converted; no unit is taken as
    volts or amperes. full_scale: the file's samples are shares of full scale, as in a .wav, so
    that a .json is needed with a `full_scale` (volts or amperes there, above 0) or a `scale`.
    ignored: a column of times, which nobody misses.
    Raises InputError when this leaves a doubt, saying what the .json needs.
    """
    json_path = find_beside(path, ".json")
    names = [column.name for column in columns]
    found = ChannelMap()
    if full_scale or json_path.exists():
        found = read_map(json_path, len(columns), full_scale)
        chosen = {
            name: _by_name(json_path, name, column, _called(columns, column), full_scale)
            for name, column in found.columns.items()
        }
        told = f"{', '.join(chosen) or 'none'} by {json_path.name}"
        order = channel_order(path, list(chosen), told)
    else:
        lower = [name.lower() for name in names]
        has_units = any(parse_unit(column.unit)[1] for column in columns)
        named = [name for name in INPUTS if name in lower]
        if ("v1" in named and "i1" in named) or (named and not has_units):
            chosen = {name: _by_name(path, name, name, lower, False) for name in named}
        else:
            chosen = _by_unit(path, json_path, columns)
        order = channel_order(path, list(chosen), listed(names))
    own = [_factor(path, name, columns[chosen[name]], name in found.factors) for name in order]
    factors = [factor * found.factors.get(name, 1.0) for name, factor in zip(order, own)]
    indices = [chosen[name] for name in order]
    return Choice(
        order,
        tuple(indices),
        tuple(factors),
        found.rate_hz,
        () if full_scale else _notes(order, indices, factors, columns, ignored),
    )


def listed(names: Sequence[str]) -> str:
    """Names with their numbers, for a message."""
    text = ", ".join(f"{k + 1} {name}" for k, name in enumerate(names))
    return shorten(text, _LISTED)


def _notes(
    order: Sequence[str],
    indices: Sequence[int],
    factors: Sequence[float],
    columns: Sequence[Column],
    ignored: int | None,
) -> tuple[str, ...]:
    plain = all(columns[k].name.lower() == name for name, k in zip(order, indices))
    notes = []
    if not plain or any(factor != 1.0 for factor in factors):
        told = [
            f"{name} is {columns[k].name or f'channel {k + 1}'}"
            + (f" x {factor:g}" if factor != 1.0 else "")
            for name, k, factor in zip(order, indices, factors)
        ]
        notes.append("channels: " + ", ".join(told))
    used = {*indices, ignored}
    left = [c.name for k, c in enumerate(columns) if k not in used and c.name]
    if left:
        notes.append(f"not used: {shorten(', '.join(left), _LISTED)}")
    return tuple(notes)


def _by_name(path: Path, name: str, column: Any, names: Sequence[str], by_number: bool) -> int:
    """The channel of this name, or of this number from 1; names of .wav channels are none."""
    if isinstance(column, int) and not isinstance(column, bool):
        if not 1 <= column <= len(names):
            raise InputError(
                f"{path}: {name} is channel {shorten(str(column))}; there are 1 to {len(names)}"
            )
        return column - 1
    if not isinstance(column, str) or by_number:
        what = (
            "a channel's number from 1" if by_number else "a channel's name, or its number from 1"
        )
        raise InputError(f"{path}: {name} is {column!r}; it must be {what}")
    if names.count(column) != 1:
        raise InputError(
            f"{path}: {name} must be one channel {column!r}, but there are {names.count(column)}; "
            f"the channels are {listed(names)}"
        )
    return names.index(column)


def _called(columns: Sequence[Column], asked: str | int) -> list[str]:
    """The channels' names, or their whole names where only these have the one asked for."""
    names = [column.name for column in columns]
    paths = [column.path for column in columns]
    return paths if asked not in names and asked in paths else names


def _by_unit(path: Path, json_path: Path, columns: Sequence[Column]) -> dict[str, int]:
    units = [parse_unit(column.unit)[1] for column in columns]
    volts = [k for k, unit in enumerate(units) if unit == "V"]
    amperes = [k for k, unit in enumerate(units) if unit == "A"]
    elements = 2 if min(len(volts), len(amperes)) >= 2 else 1
    if not volts or not amperes or (elements == 1 and len(volts) != len(amperes)):
        raise InputError(
            f"{path}: has no v1 and i1 by name, and cannot tell them from {len(volts)} channels "
            f"in V and {len(amperes)} in A ({listed([column.name for column in columns])}); name "
            f"them in {json_path.name} beside it, like {FORM}"
        )
    chosen = {}
    for k in range(elements):
        chosen[f"v{k + 1}"] = volts[k]
        chosen[f"i{k + 1}"] = amperes[k]
    return chosen


def _factor(path: Path, name: str, column: Column, is_scaled: bool) -> float:
    """What turns a channel's own unit into volts (v1, v2) or amperes (i1, i2).

    is_scaled: the .json has a scale for it, which also turns a clamp's volts into amperes.
    """
    wanted = "V" if name[0] == "v" else "A"
    if not column.unit.strip():
        return 1.0
    factor, quantity = parse_unit(column.unit)
    if factor and (quantity == wanted or (quantity and is_scaled)):
        return factor
    raise InputError(
        f"{path}: {name} is channel {column.name!r} in {column.unit!r}; its unit must be "
        f"{wanted}, k{wanted} or m{wanted}, or be left out: correct it in the file or choose "
        "another channel, or give its scale, in the .json"
    )
