"""Reads the .json beside a recording: which channel is which input, and at what scale.

Flow: .json -> CHANNEL FILE -> channel_map.py.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.common.errors import InputError
from tools.common.files import check_keys, json_number, read_json
from tools.recordings import ranges
from tools.recordings.types import INPUTS

FORM = '{"channels": [{"input": "v1", "column": "CH1", "scale": 200.0}, ...]}'


@dataclass
class ChannelMap:
    """What a .json says: for each input its column and its factor."""

    columns: dict[str, str | int] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    rate_hz: float | None = None


def read_map(path: Path, count: int, full_scale: bool) -> ChannelMap:
    read = read_json(path, "channel map")
    given: Any = read.get("channels")
    found = ChannelMap()
    if isinstance(given, dict):
        check_keys(path, "the channel map", read, ("channels", "scale", "rate_hz"))
        _read_short(path, given, read.get("scale", {}), full_scale, found)
    else:
        check_keys(path, "the channel map", read, ("channels", "rate_hz"))
        _read_list(path, given, count, full_scale, found)
    if "rate_hz" in read:
        found.rate_hz = json_number(path, "rate_hz", read["rate_hz"])
        ranges.RATE_HZ.check(path, "rate_hz", found.rate_hz)
    return found


def _scale(path: Path, where: str, value: Any) -> float:
    factor = json_number(path, where, value)
    ranges.SCALE.check(path, f"{where} without its sign", abs(factor))
    return factor


def _read_short(
    path: Path, given: dict[str, Any], scale: Any, full_scale: bool, found: ChannelMap
) -> None:
    if not isinstance(scale, dict):
        raise InputError(f'{path}: "scale" is {scale!r}; it must be like {{"i1": -0.5}}')
    check_keys(path, '"channels"', given, INPUTS)
    check_keys(path, '"scale"', scale, tuple(given))
    found.columns.update(given)
    # Shares of full scale are nothing without it: each input must have one.
    for name in given if full_scale else scale:
        found.factors[name] = _scale(path, f"scale.{name}", scale.get(name))


def _read_list(path: Path, given: Any, count: int, full_scale: bool, found: ChannelMap) -> None:
    key = "full_scale" if full_scale else "scale"
    named = (
        isinstance(given, list)
        and given
        and all(isinstance(entry, dict) and "column" in entry for entry in given)
    )
    if not isinstance(given, list) or not given or not (named or len(given) == count):
        like = '{"input": "v1", "full_scale": 400.0} or null' if full_scale else FORM
        raise InputError(
            f'{path}: "channels" must be a list of {count}, one entry for each channel of the '
            f'recording, or each with its "column", like {like}'
        )
    for k, entry in enumerate(given):
        if entry is None:
            continue
        where = f"channels[{k}]"
        if not isinstance(entry, dict):
            raise InputError(
                f'{path}: {where} is {entry!r}; it must be like {{"input": "v1", "{key}": 400.0}} '
                "or null"
            )
        scales = ("full_scale", "scale") if full_scale else ("scale",)
        check_keys(path, where, entry, ("input", "column", *scales))
        name = entry.get("input")
        if name not in INPUTS or name in found.columns:
            raise InputError(
                f"{path}: {where}.input is {name!r}; it must be one of {', '.join(INPUTS)}, each "
                "once"
            )
        found.columns[name] = entry.get("column", k + 1)
        if "full_scale" in entry and "scale" in entry:
            raise InputError(f"{path}: {where} has full_scale and scale; it must have one of them")
        if "scale" in entry:
            found.factors[name] = _scale(path, f"{where}.scale", entry["scale"])
        elif full_scale:
            factor = _scale(path, f"{where}.full_scale", entry.get("full_scale"))
            if factor < 0:
                raise InputError(f"{path}: {where}.full_scale is {factor}; it must be above 0")
            found.factors[name] = factor
