"""Chooses which channels of a COMTRADE file are the meter's inputs, and their scale.

Recorders have a dozen channels under names of their own; the .json beside the recording says which
to use, and without one the names, then the units, decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.common.errors import InputError
from tools.common.files import check_keys, find_beside, json_number, read_json
from tools.recordings.csv_rows import shorten
from tools.recordings.types import INPUTS, channel_order

if TYPE_CHECKING:
    from comtrade import AnalogChannel

_PREFIXES = {"k": 1e3, "K": 1e3, "": 1.0, "m": 1e-3}
_HINT = 'beside it, like {"channels": {"v1": "VA", "i1": "IA", "v2": "VB", "i2": "IB"}}'


@dataclass(frozen=True)
class Choice:
    """The inputs a file has; for each its analogue channel (from 0), and what makes it V or A."""

    names: tuple[str, ...]
    indices: tuple[int, ...]
    factors: tuple[float, ...]


def choose_channels(path: Path, channels: Sequence["AnalogChannel"]) -> Choice:
    """The inputs among the analogue channels of the .cfg or .cff at `path`.

    1. A .json of the same stem decides when there is one:
           {"channels": {"v1": "VA", "i1": 4, "v2": "VB", "i2": 5}, "scale": {"i1": -0.5}}
       A channel is named by its id, or by its number, from 1, among the analogue channels.
       `scale` (optional, finite, not 0) multiplies what the .cfg says: a transformer's ratio, or
       -1 for a channel recorded the other way round.
    2. Else channels whose ids are v1 and i1 (and v2 and i2), in either case.
    3. Else the first two voltage and the first two current channels, by unit; the first of each
       when there is only one of each.

    Units V and A, with k or m before them, are converted to volts and amperes; no unit is taken
    as volts or amperes. Raises InputError when this leaves a doubt, saying what the .json needs.
    """
    json_path = find_beside(path, ".json")
    scale: dict[str, float] = {}
    if json_path.exists():
        chosen, scale = _by_json(json_path, channels)
        names = channel_order(json_path, list(chosen), f"channels {', '.join(chosen) or 'none'}")
    else:
        ids = [channel.name.lower() for channel in channels]
        if "v1" in ids and "i1" in ids:
            chosen = {name: _by_id(path, name, name, ids) for name in INPUTS if name in ids}
        else:
            chosen = _by_unit(path, json_path, channels)
        names = channel_order(path, list(chosen), "other channels")
    return Choice(
        names=names,
        indices=tuple(chosen[name] for name in names),
        factors=tuple(
            _factor(path, name, channels[chosen[name]]) * scale.get(name, 1.0) for name in names
        ),
    )


def _by_json(
    path: Path, channels: Sequence["AnalogChannel"]
) -> tuple[dict[str, int], dict[str, float]]:
    found = read_json(path, "channel map")
    check_keys(path, "the channel map", found, ("channels", "scale"))
    given: Any = found.get("channels")
    scale: Any = found.get("scale", {})
    if not isinstance(given, dict) or not isinstance(scale, dict):
        raise InputError(
            f'{path}: "channels" and "scale" must be objects, like {{"channels": {{"v1": "VA", '
            '"i1": "IA"}, "scale": {"v1": 0.5}}'
        )
    check_keys(path, '"channels"', given, INPUTS)
    check_keys(path, '"scale"', scale, tuple(given))
    ids = [channel.name for channel in channels]
    chosen = {}
    for name, channel in given.items():
        if isinstance(channel, str):
            chosen[name] = _by_id(path, name, channel, ids)
        elif isinstance(channel, int) and not isinstance(channel, bool):
            if not 1 <= channel <= len(channels):
                raise InputError(
                    f"{path}: {name} is channel {channel}; there are 1 to {len(channels)}"
                )
            chosen[name] = channel - 1
        else:
            raise InputError(
                f"{path}: {name} is {channel!r}; it must be a channel id, or its number from 1"
            )
    return chosen, {name: json_number(path, f"scale.{name}", scale[name]) for name in scale}


def _by_id(path: Path, name: str, channel: str, ids: Sequence[str]) -> int:
    count = ids.count(channel)
    if count != 1:
        raise InputError(
            f"{path}: {name} is to be channel {channel!r}, of which there are {count}; the "
            f"recording has {_listed(ids)}, name one by its number from 1 in the .json"
        )
    return ids.index(channel)


def _by_unit(path: Path, json_path: Path, channels: Sequence["AnalogChannel"]) -> dict[str, int]:
    units = [_unit(channel.uu)[1] for channel in channels]
    volts = [k for k, unit in enumerate(units) if unit == "V"]
    amperes = [k for k, unit in enumerate(units) if unit == "A"]
    elements = 2 if min(len(volts), len(amperes)) >= 2 else 1
    if not volts or not amperes or (elements == 1 and len(volts) != len(amperes)):
        raise InputError(
            f"{path}: cannot tell v1 i1 v2 i2 from {len(volts)} channels in V and {len(amperes)} "
            f"in A ({_listed([channel.name for channel in channels])}); name them in "
            f"{json_path.name} {_HINT}"
        )
    chosen = {}
    for k in range(elements):
        chosen[f"v{k + 1}"] = volts[k]
        chosen[f"i{k + 1}"] = amperes[k]
    return chosen


def _unit(text: str) -> tuple[float, str]:
    """(factor, "V" or "A") of a unit; ("" as the quantity of an unknown one)."""
    text = text.strip()
    if text[-1:].upper() in ("V", "A") and text[:-1] in _PREFIXES:
        return _PREFIXES[text[:-1]], text[-1].upper()
    return 1.0, ""


def _factor(path: Path, name: str, channel: "AnalogChannel") -> float:
    """What turns a channel's own unit into volts (v1, v2) or amperes (i1, i2)."""
    wanted = "V" if name[0] == "v" else "A"
    factor, quantity = _unit(channel.uu)
    # Recorders leave the unit out, or the package's stand-in for an absent field is there.
    if channel.uu.strip() in ("", "0") or quantity == wanted:
        return factor
    raise InputError(
        f"{path}: {name} is channel {channel.name!r} in {channel.uu!r}; its unit must be "
        f"{wanted}, k{wanted} or m{wanted}, or be left out: correct the .cfg or choose another "
        "channel in the .json"
    )


def _listed(ids: Sequence[str]) -> str:
    return shorten(", ".join(f"{k + 1} {name}" for k, name in enumerate(ids)), 120)
