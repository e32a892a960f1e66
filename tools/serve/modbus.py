"""Devices as Modbus meters over TCP, each under its unit id: a SunSpec meter, and an SDM630.

Flow: feed -> MODBUS (the firmware's modbus_registers.py) -> modbus_tcp.py.  So a board that is a
slave by itself serves the same registers.

Registers are made when they are asked for, once a report, and a request is answered from those of
one report.  Nothing can be written.  A device that has gone is not there: a value that stays as it
was would be taken for one that is.
"""

import asyncio
import functools
from array import array
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta, Struct

from threewire.operation import modbus_registers
from tools.monitor.report import Total
from tools.serve.energies import nano
from tools.serve.feed import Feed
from tools.serve.modbus_tcp import Server
from tools.serve.settings import Port, Text
from tools.serve.sink import Status, why_not_listening
from tools.serve.snapshot import Snapshot

if TYPE_CHECKING:
    from tools.serve.gateway import Gateway

# What a gateway says of a device that does not answer.
_NO_RESPONSE = 0x0B
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
    def words(self) -> "array[int]":
        """As modbus_registers.py has them."""
        return words_of(self._snapshot)

    def answer(self, request: bytes) -> bytes:
        snapshot = self._snapshot
        device = snapshot.device
        return modbus_registers.answer(
            request,
            self.words if snapshot.is_live else None,
            (device.board, device.version, device.chip_id),
            _NO_RESPONSE,
        )


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
        if meter is None:
            return modbus_registers.answer(request, None, (), _NO_RESPONSE)
        return meter.answer(request)


def words_of(snapshot: Snapshot) -> "array[int]":
    """A snapshot's report as modbus_registers.py has it."""
    report = snapshot.report
    one, two = report.elements
    words = array("I", bytes(4 * modbus_registers.WORDS))
    volts = _millionths(one.volts), _millionths(two.volts)
    amps = _millionths(one.amps), _millionths(two.amps)
    of_all = ((0, report.total, sum(volts) // 2, sum(amps)),)
    of_each = zip((16, 32), report.elements, volts, amps)
    for at, each, *first in (*of_all, *of_each):
        modbus_registers.put(words, at, [*first, *_values(each)])
    once = [
        modbus_registers.between(*volts, report.service),
        sum(amps) // 2,
        _millionths(report.hertz),
        _millionths(report.demand["watts"] or 0),
        _millionths(report.demand["peak"] or 0),
        modbus_registers.events(report.active, (one.reversed, two.reversed), report.service),
        snapshot.device.unit,
    ]
    modbus_registers.put(words, 48, once)
    return words


def _values(each: Total) -> list[int]:
    powers = (each.watts, each.var, each.va, each.power_factor)
    energies = (each.delivered_wh, each.received_wh, *each.varh)
    return [*map(_millionths, powers), *map(nano, energies)]


def _millionths(value: float) -> int:
    return round(value * 1e6)
