"""Devices as Modbus meters over TCP, each under its unit id: a SunSpec meter, and an SDM630.

Flow: feed -> MODBUS (the firmware's modbus_registers.py and modbus_points.py) -> modbus_tcp.py.
So a board that is a slave by itself serves the same registers.

Registers are made when they are asked for, once a report, and a request is answered from those of
one report.  Nothing can be written.  A device that has gone is not there: a value that stays as it
was would be taken for one that is.
"""

import asyncio
import functools
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta, Struct

from threewire.operation import modbus_points, modbus_registers
from tools.monitor.report import Total
from tools.serve.energies import nano
from tools.serve.feed import Feed
from tools.serve.modbus_tcp import Server
from tools.serve.settings import Port, Text
from tools.serve.sink import Status, why_not_listening
from tools.serve.snapshot import Snapshot

if TYPE_CHECKING:
    from tools.serve.gateway import Gateway

# The first register, all of them as bytes, and how many a value has.
Area = tuple[int, bytes, int]
# What a gateway says of a device that does not answer.
_NO_RESPONSE = 0x0B
# Below it a system may ask for rights.
_FREE_PORT = 1024


place = functools.cache(modbus_points.place)


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
        return modbus_registers.areas(*maps(self._snapshot))


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
        return modbus_registers.answer(request, meter.areas if meter else None, _NO_RESPONSE)


def maps(snapshot: Snapshot) -> tuple[bytes, bytes]:
    """The registers of SunSpec's models and of an SDM630, as bytes."""
    device = snapshot.device
    values = values_of(snapshot)
    found = []
    for blank, rows in _blank(device.board, device.version, device.chip_id, device.unit):
        made = bytearray(blank)
        at = modbus_registers.fill(made, rows, values, 0)
        while at:
            at = modbus_registers.fill(made, rows, values, at)
        found.append(bytes(made))
    one, two = found
    return one, two


@functools.lru_cache(maxsize=64)
def _blank(
    board: str, version: str, chip_id: str, unit: int
) -> tuple[tuple[bytearray, bytes], ...]:
    """Both maps of a device before they are filled."""
    return modbus_points.sunspec(board, version, chip_id, unit), modbus_points.sdm630()


def values_of(snapshot: Snapshot) -> list[int]:
    """A snapshot's report as modbus_points.py has them."""
    report = snapshot.report
    one, two = report.elements
    values = [0] * modbus_registers.VALUES
    for of, each in (("", report.total), ("_1", one), ("_2", two)):
        _add(values, of, each)
    for of, each in (("_1", one), ("_2", two)):
        values[place("volts" + of)] = _millionths(each.volts)
        values[place("amps" + of)] = _millionths(each.amps)
    values[place("hertz")] = _millionths(report.hertz)
    values[place("demand")] = _millionths(report.demand["watts"] or 0)
    values[place("demand_peak")] = _millionths(report.demand["peak"] or 0)
    values[place("events")] = modbus_registers.events(
        report.active, (one.reversed, two.reversed), report.service
    )
    modbus_registers.reckon(values, report.service)
    return values


def _add(values: list[int], of: str, each: Total) -> None:
    for name in ("watts", "var", "va"):
        values[place(name + of)] = _millionths(getattr(each, name))
    values[place("flow" + of)] = _millionths(each.power_factor)
    values[place("delivered" + of)] = nano(each.delivered_wh)
    values[place("received" + of)] = nano(each.received_wh)
    for k, varh in enumerate(each.varh, 1):
        values[place(f"q{k}{of}")] = nano(varh)


def _millionths(value: float) -> int:
    return round(value * 1e6)
