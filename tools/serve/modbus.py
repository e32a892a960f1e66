"""Devices as Modbus meters over TCP, each under its unit id: a SunSpec meter, and an SDM630.

Flow: feed -> MODBUS (modbus_reading.py -> sunspec_map.py, sdm630_map.py) -> modbus_tcp.py.

Registers are made when they are asked for, once a report, and a request is answered from those of
one report.  Nothing can be written.  A device that has gone is not there: a value that stays as it
was would be taken for one that is.
"""

import asyncio
import functools
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta, Struct

from tools.monitor.report import Total
from tools.serve import sdm630_map, sunspec_map
from tools.serve.energies import nano
from tools.serve.feed import Feed
from tools.serve.modbus_pdu import READ_HOLDING, READ_INPUT, answer
from tools.serve.modbus_reading import ELEMENTS, OF, derive
from tools.serve.modbus_tcp import Server
from tools.serve.settings import Port, Text
from tools.serve.sink import Status, why_not_listening
from tools.serve.snapshot import Snapshot

if TYPE_CHECKING:
    from tools.serve.gateway import Gateway

# The first register, all of them as bytes, and how many a value has.
Area = tuple[int, bytes, int]
# Below it a system may ask for rights.
_FREE_PORT = 1024


class Settings(Struct):
    """[modbus]"""

    host: Text = "127.0.0.1"
    port: Port = 5020
    connections: Annotated[int, Meta(ge=1, le=1000)] = 8
    idle_s: Annotated[float, Meta(ge=1, le=86400)] = 120.0


class _Meter:
    """A device under its unit id."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @functools.cached_property
    def areas(self) -> dict[int, tuple[Area, ...]] | None:
        """What each function reads; None where the device has gone."""
        if not self._snapshot.is_live:
            return None
        reading = reading_of(self._snapshot)
        sunspec = (sunspec_map.START, sunspec_map.registers(reading), 1)
        sdm630 = (sdm630_map.START, sdm630_map.registers(reading), sdm630_map.REGISTERS_EACH)
        # SunSpec is read by function 3; some read it by 4, where nothing else is.
        return {READ_HOLDING: (sunspec,), READ_INPUT: (sdm630, sunspec)}


class Sink:
    keeps_all: ClassVar[bool] = False

    def __init__(self, settings: Settings, gateway: "Gateway") -> None:
        self._settings = settings
        self._meters: dict[int, _Meter] = {}

    async def run(self, feed: Feed, status: Status) -> None:
        """Raises ConnectionError where it cannot listen."""
        settings = self._settings
        where = f"{settings.host}:{settings.port}"
        server = Server(self._answer, settings.connections, settings.idle_s)
        taking = asyncio.ensure_future(self._take(feed))
        try:
            await server.serve(
                settings.host, settings.port, lambda: status.ok(f"listening at {where}")
            )
        except OSError as problem:
            hint = "; give [modbus] another host or port"
            if isinstance(problem, PermissionError) and settings.port < _FREE_PORT:
                hint = f"; a port from {_FREE_PORT} on needs no rights"
            why = why_not_listening(problem)
            raise ConnectionError(f"cannot listen at {where} ({why}){hint}") from None
        finally:
            taking.cancel()

    async def _take(self, feed: Feed) -> None:
        while True:
            snapshot = await feed.get()
            self._meters[snapshot.device.unit] = _Meter(snapshot)

    def _answer(self, unit: int, request: bytes) -> bytes:
        meter = self._meters.get(unit)
        return answer(request, meter.areas if meter else None)


def reading_of(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot's report as modbus_reading.py has it."""
    report, device = snapshot.report, snapshot.device
    reading: dict[str, Any] = {
        "hertz": _millionths(report.hertz),
        "demand": _millionths(report.demand["watts"] or 0),
        "demand_peak": _millionths(report.demand["peak"] or 0),
        "service": report.service,
        "active": report.active,
        "board": device.board,
        "version": device.version,
        "serial": device.chip_id,
        "unit": device.unit,
    }
    for of, each in zip(OF, (report.total, *report.elements)):
        _add(reading, of, each)
    for of, element in zip(ELEMENTS, report.elements):
        reading["volts" + of] = _millionths(element.volts)
        reading["amps" + of] = _millionths(element.amps)
        reading["reversed" + of] = element.reversed
    return derive(reading)


def _add(reading: dict[str, Any], of: str, each: Total) -> None:
    for name in ("watts", "var", "va", "power_factor"):
        reading[name + of] = _millionths(getattr(each, name))
    reading["delivered" + of] = nano(each.delivered_wh)
    reading["received" + of] = nano(each.received_wh)
    for k, varh in enumerate(each.varh, 1):
        reading[f"q{k}{of}"] = nano(varh)


def _millionths(value: float) -> int:
    return round(value * 1e6)
