"""Modbus over TCP: connections, so many at a time, and requests of bounded length and time.

Flow: network -> MODBUS TCP (one request after the other) -> its answer -> network.  Frames are
those of the Modbus Messaging on TCP/IP Implementation Guide V1.0b.

pymodbus's server is not used: of requests that come together it answers the first (3.16.1), after
one of another protocol none, refuses a function under a number that is none, and needs 18 MB.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable

# Transaction, protocol (0), bytes that follow, unit: which counts among those that follow.
_HEAD = struct.Struct(">HHHB")
_PROTOCOL = 0
# With the unit: a protocol data unit has 1 to 253 bytes.
_SHORTEST, _LONGEST = 2, 254
# What waits of a connection here, and in the system each way: some frames.
_WAITING_BYTES = 1024
_SYSTEM_BYTES = 16384
# Behind each answer: all others in the loop have their turn, and a flood does not fill a core.
_PAUSE_S = 0.001
# Between two words on connections closed at once: somebody may try without end.
_SAID_S = 60.0
_log = logging.getLogger(__name__)

# (unit, request) -> answer, both as protocol data units.
Answers = Callable[[int, bytes], bytes]


class Server:
    """answers      called in the event loop, and must not block it
    connections  so many at a time; more are closed at once
    idle_s       after so long without a whole request a connection is closed, and likewise where
                 an answer is not taken
    """

    def __init__(self, answers: Answers, connections: int, idle_s: float) -> None:
        self._answers = answers
        self._connections = connections
        self._idle_s = idle_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._said_full_at = -_SAID_S

    async def serve(self, host: str, port: int, on_ready: Callable[[], None]) -> None:
        """Until it is cancelled. Raises OSError where it cannot listen there."""
        server = await asyncio.start_server(self._connected, host, port, limit=_WAITING_BYTES)
        for listening in server.sockets:
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                listening.setsockopt(socket.SOL_SOCKET, buffer, _SYSTEM_BYTES)
        try:
            on_ready()
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= self._connections:
            writer.transport.abort()
            self._say_full()
            return
        task = asyncio.ensure_future(self._serve_one(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say_full(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._said_full_at + _SAID_S:
            self._said_full_at = now
            _log.warning(
                "modbus: %d connections are open, as many as there may be: closed another",
                self._connections,
            )

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # The other end may be gone, or send what is no Modbus, at any byte.
            with contextlib.suppress(OSError, EOFError):
                while True:
                    async with asyncio.timeout(self._idle_s):
                        frame = await self._next(reader)
                        if not frame:
                            break
                        writer.write(frame)
                        await writer.drain()
                    await asyncio.sleep(_PAUSE_S)
        finally:
            # Not close, which would wait for an end that takes no answer.
            writer.transport.abort()

    async def _next(self, reader: asyncio.StreamReader) -> bytes:
        """The answer to the next request; empty where what comes is no frame."""
        head = await reader.readexactly(_HEAD.size)
        transaction, protocol, size, unit = _HEAD.unpack(head)
        if protocol != _PROTOCOL or not _SHORTEST <= size <= _LONGEST:
            # Where the next one begins cannot be known.
            return b""
        found = self._answers(unit, await reader.readexactly(size - 1))
        return _HEAD.pack(transaction, _PROTOCOL, len(found) + 1, unit) + found
