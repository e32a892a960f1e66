"""A serial port at socket://127.0.0.1:N, for a board that is none: one client at a time.

Flow: flash, monitor, capture, calibrate -> TCP PORT -> emulated board, stand-ins of the tests.
"""

import contextlib
import os
import select
import socket
import threading
from abc import abstractmethod
from typing import Self

from tools.common.errors import InputError

_CHUNK = 4096


def free_port() -> int:
    """A TCP port of this machine at which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class TcpPort(contextlib.ExitStack):
    """Serves the port in a thread of its own.  Use it as a context manager.

    tcp_port  to listen at; 0: one that is free

    url        for PORT=
    connected  clients so far
    """

    def __init__(self, tcp_port: int = 0) -> None:
        super().__init__()
        self._server = self._listen(("127.0.0.1", tcp_port))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self.connected = 0
        self._client: socket.socket | None = None
        self._plugged = True
        self._is_done = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self.callback(self._end)
        self._thread.start()
        return self

    def _end(self) -> None:
        self._is_done = True
        self._thread.join()
        self.drop()
        self._server.close()

    @abstractmethod
    def _serve(self) -> None:
        """What the thread does until `_is_done`."""

    @staticmethod
    def _listen(address: tuple[str, int]) -> socket.socket:
        try:
            server = socket.create_server(address)
        except OSError as problem:
            host, port = address
            why = os.strerror(problem.errno or 0).lower()
            raise InputError(
                f"port {port} of {host}: cannot be served ({why}); take another one, or 0 for one "
                "that is free"
            ) from None
        server.setblocking(False)
        return server

    def accept(self) -> None:
        """Takes the client that waits, if there is one; a second finds the port busy."""
        if not self._plugged:
            return
        try:
            client, _ = self._server.accept()
        except BlockingIOError:
            return
        if self._client is not None:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self.connected += 1

    def send(self, data: bytes) -> bool:
        """The board writes.  Returns whether anybody listens; what is said to nobody is lost."""
        with self._lock:
            if self._client is None:
                return False
            try:
                self._client.sendall(data)
            except OSError:
                self.drop()
                return False
            return True

    def receive(self, wait_s: float) -> bytes:
        """What the client has written, within so many seconds; the connection drops at its end."""
        client = self._client
        if client is None:
            return b""
        try:
            if not select.select([client], [], [], wait_s)[0]:
                return b""
            data = client.recv(_CHUNK)
        except (OSError, ValueError):
            data = b""  # closed meanwhile
        if not data:
            with self._lock:
                if self._client is client:
                    self.drop()
        return data

    def drop(self) -> None:
        """Ends the connection; the next may come at once."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def unplug(self) -> None:
        """Pulls the cable: the connection drops; who connects then waits until it is back."""
        with self._lock:
            self._plugged = False
            self.drop()

    def plug(self) -> None:
        """Puts it back."""
        self._plugged = True
