"""The network of an emulated board that has Wi-Fi: an access point, and this machine behind it.

Flow: the board's Wi-Fi chip -> rp2040py's NAT -> WIRELESS -> servers on this machine's loopback.
The board is 10.0.0.2 and what listens on the loopback is 10.0.0.1, for TCP and UDP; names are
asked for at 10.0.0.1 too.  All of it runs between two steps of the emulator, in its
thread: rp2040py itself would answer from another one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rp2040py.clock.clock import IClock
from rp2040py.external.cyw43 import Cyw43439
from rp2040py.external.cyw43 import bus as cyw43_bus
from rp2040py.external.cyw43.nat import GATEWAY_IP, NatBridge

SSID = "RP2040PY-GUEST"
"""Of the access point, which takes any key."""
HOST = ".".join(map(str, GATEWAY_IP))
"""This machine, for the board."""
PINS = (23, 24, 25, 29)
"""Between the RP2040 and its Wi-Fi chip: power, data, select and clock."""

_LOOPBACK = "127.0.0.1"
# Emulated time between two looks at the sockets, and what a server has of real time in each to
# answer: idle, the board's time runs ahead of it.
_LOOK_NS = 1_000_000
_GIVEN_S = 0.0002
_NO_NETWORKS = 3  # CYW43_STATUS_NO_NETWORKS, of cyw43-driver


class Wireless:
    """What is around a board's Wi-Fi chip, of one power-on.

    ports      of UDP at 10.0.0.1 that are others of the loopback's, as 53, for names

    is_there   whether the access point is; without it, who joins finds no such network
    is_silent  nothing comes through in either direction, and nobody is told: what is connected is
               half-open
    joins      how often the board has joined
    """

    def __init__(self, chip: Cyw43439, clock: IClock) -> None:
        bridge = chip.bus.nat_bridge
        assert bridge is not None
        self._bus: Any = chip.bus
        self._bridge: NatBridge = bridge
        self.ports: dict[int, int] = {}
        self.is_there = True
        self.is_silent = False
        self.joins = 0
        self._loop = asyncio.new_event_loop()
        tcp: Any = bridge._tcp
        udp: Any = bridge._udp
        tcp._rp2040 = udp._rp2040 = self
        tcp._connect_fn = self._connect
        self._relay: Callable[..., Coroutine[Any, Any, None]] = udp._relay
        udp._relay = self._relay_here
        self._take_frame = bridge.handle_outbound_ethernet_frame
        setattr(bridge, "handle_outbound_ethernet_frame", self._from_board)  # noqa: B010
        self._joined = self._bus._queue_join_events
        self._bus._queue_join_events = self._join
        self._to_board = self._bus.queue_rx_ethernet_frame
        tcp._queue_ethernet_frame = udp._queue_ethernet_frame = self._hand_on
        self._look_again = clock.create_alarm(self._look)
        self._look_again.schedule(_LOOK_NS)

    def lose(self) -> None:
        """The access point goes, and the chip notices it."""
        self.is_there = False
        self._bridge.reset()
        self._bus._queue_disassoc_events()

    def close(self) -> None:
        """Ends all connections."""
        self._look_again.cancel()
        self._bridge.reset()
        # Who waits for an answer need wait no more.
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._step()
        self._loop.close()

    # ---- of the NAT, in the place of the emulator

    def schedule_threadsafe(self, what: Coroutine[Any, Any, None]) -> None:
        self._loop.create_task(what)

    async def _connect(self, host: str, port: int) -> Any:
        return await asyncio.open_connection(_LOOPBACK if host == HOST else host, port)

    def _relay_here(self, *given: Any) -> Awaitable[None]:
        *start, upstream, reply_ip, reply_port = given
        if reply_ip == GATEWAY_IP:
            upstream = _LOOPBACK, self.ports.get(reply_port, reply_port)
        return self._relay(*start, upstream, reply_ip, reply_port)

    def _from_board(self, frame: bytes) -> None:
        if not self.is_silent:
            self._take_frame(frame)

    def _hand_on(self, frame: bytes) -> None:
        if not self.is_silent:
            self._to_board(frame)

    def _join(self) -> None:
        if self.is_there:
            self.joins += 1
            self._joined()
        else:
            self._bus.queue_rx_packet(
                self._bus._build_async_event(cyw43_bus.CYW43_EV_SET_SSID, _NO_NETWORKS)
            )

    # ---- between two steps of the emulator

    def _look(self) -> None:
        self._step()
        self._look_again.schedule(_LOOK_NS)

    def _step(self) -> None:
        if asyncio.all_tasks(self._loop):
            self._loop.call_later(_GIVEN_S, self._loop.stop)
            self._loop.run_forever()
