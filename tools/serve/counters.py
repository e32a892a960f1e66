"""Energies that never fall, whatever happens to the board: a board that has lost its last save, or
all of them, or has been replaced.

Flow: hub -> COUNTERS (files of devices) -> hub.

A board that was cut off from power goes on from its last save, a little below what it has told.
Its counters are held until they are beyond that again, so that they are the board's own whenever
they move.  Where they fall by more the registers have begun anew: that is another device.
"""

import functools
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tools.cable.shapes import Energy
from tools.common.errors import Failure, InputError
from tools.common.files import reason, write_whole
from tools.monitor.report import Element, Report, Total

# What a save may lose: a save is made every 10 Wh, and at the latest 10 s after the one before
# where that is sooner (the firmware's own rule), with half as much for the line's own second.
_LEAST_LOST_WH = 15
_LOST_S = 15
# The load may have been twice what the last report told, but nothing that is told makes of a
# register that begins anew one that is held for years.
_LOAD = 2
_MOST_LOST_WH = 10_000.0
_S_PER_HOUR = 3600
_FILE = "devices.json"
# Devices that are known, and how often a chip's registers may begin anew: far more than a house
# ever has.  Each is kept for good, here and by whatever takes reports, so a board that says
# another number each second, or whose registers jump, must not make them without end.
_MOST_DEVICES, _MOST_OF_CHIP = 1000, 100
_MOVE = f"and more are not taken: end the gateway and move {_FILE} away, to begin with none"
_log = logging.getLogger(__name__)

# Of both elements and of the total: delivered, received, and the quadrants' varh.
_ENERGIES = 18


class TooMany(Failure):
    """A new device, which there is no room for: str() is one line."""


class _Known(Struct):
    """The registers as they were handed on last, and how often they have begun anew."""

    generation: Annotated[int, Meta(ge=1, le=10**6)]
    energies: Annotated[list[Energy], Meta(min_length=_ENERGIES, max_length=_ENERGIES)]
    lost_wh: Annotated[float, Meta(ge=0, le=1e9)]


class Counters:
    """The energies of all devices that there have been.

    folder  where they are kept from one start of the gateway to the next

    Raises InputError for a file of devices that cannot be used: to begin without it might let
    counters fall.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._known: dict[str, _Known] = {}
        self._is_changed = False
        self._saving = threading.Lock()
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return
        except OSError as problem:
            raise InputError(
                f"{self._file}: cannot be read ({reason(problem)}); check its permissions"
            ) from None
        try:
            self._known = msgspec.json.decode(data, type=dict[str, _Known])
        except ValueError as problem:
            raise InputError(
                f"{self._file}: {problem}; it has the registers of the devices so far: put a copy "
                "back, or move it away, after which devices may start at lower counters"
            ) from None

    def save(self) -> None:
        """Writes what has changed. Raises InputError.

        May be called in another thread than all else: what is held meanwhile may be written, or is
        the next time."""
        with self._saving:
            if not self._is_changed:
                return
            self._is_changed = False
            try:
                known = msgspec.json.encode(self._known.copy())
                write_whole(self._file, msgspec.json.format(known, indent=1) + b"\n")
            except InputError:
                self._is_changed = True
                raise

    def device_keys(self) -> list[str]:
        """Of all devices that there are and have been."""
        return [
            _key(chip_id, generation)
            for chip_id, known in self._known.items()
            for generation in range(1, known.generation + 1)
        ]

    def held(self, chip_id: str, report: Report) -> tuple[str, Report]:
        """The key of the device that this is, and its report with counters that do not fall.
        Raises TooMany for a new one, where there are too many."""
        new = list(_energies(report))
        lost_wh = _may_lose(report)
        known = self._known.get(chip_id)
        if known is None:
            self._check_room()
            known = self._known[chip_id] = _Known(1, new, lost_wh)
        elif _has_begun_anew(known, new):
            if known.generation >= _MOST_OF_CHIP:
                raise TooMany(f"{chip_id}: its registers have begun anew too often, {_MOVE}")
            self._check_room()
            known = _Known(known.generation + 1, new, lost_wh)
            self._known[chip_id] = known
            _log.warning(
                "%s: its registers are lower than they were: it goes on as a new device, %s",
                chip_id,
                _key(chip_id, known.generation),
            )
        else:
            known.energies = [max(pair, key=_value) for pair in zip(known.energies, new)]
            known.lost_wh = lost_wh
        self._is_changed = True
        if known.energies != new:
            report = _with(report, known.energies)
        return _key(chip_id, known.generation), report

    def _check_room(self) -> None:
        """Raises TooMany."""
        if sum(known.generation for known in self._known.values()) >= _MOST_DEVICES:
            raise TooMany(f"{_MOST_DEVICES} devices have been here, {_MOVE}")


def _key(chip_id: str, generation: int) -> str:
    return chip_id if generation == 1 else f"{chip_id}-{generation}"


def _may_lose(report: Report) -> float:
    """Watt-hours, or varh, by which a power cut now may take a register back."""
    va = sum(element.va for element in report.elements)
    return min(_LEAST_LOST_WH + _LOAD * abs(va) * _LOST_S / _S_PER_HOUR, _MOST_LOST_WH)


def _has_begun_anew(known: _Known, new: list[str]) -> bool:
    return any(
        before != now and _value(before) - _value(now) > known.lost_wh
        for before, now in zip(known.energies, new)
    )


# Most energies of a report are those of the one before.
_value = functools.lru_cache(maxsize=4096)(Decimal)


def _of(report: Report) -> Iterator[Total]:
    yield report.total
    yield from report.elements


def _energies(report: Report) -> Iterator[str]:
    for of in _of(report):
        yield of.delivered_wh
        yield of.received_wh
        yield from of.varh


def _with(report: Report, energies: list[str]) -> Report:
    """The report with these in place of its own."""
    each = _ENERGIES // 3
    total, one, two = (_named(energies[k * each : (k + 1) * each]) for k in range(3))
    first, second = report.elements
    elements: tuple[Element, Element] = (replace(first, **one), replace(second, **two))
    return replace(report, total=replace(report.total, **total), elements=elements)


def _named(energies: list[str]) -> Mapping[str, object]:
    delivered, received, *varh = energies
    return {"delivered_wh": delivered, "received_wh": received, "varh": tuple(varh)}
