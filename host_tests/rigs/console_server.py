"""A stand-in for a board's serial port, for fast tests of the host's tools: socket://127.0.0.1:N.

Flow: lines that a test feeds, answers of the firmware's own console -> CONSOLE SERVER -> TCP ->
the tool under test.  No line's format is written down here: telemetry is made by the firmware's
own telemetry, answers by its commands over an operator that the test hands in.
"""

import select
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from threewire.operation.commands import Commands
from threewire.operation.console import Console

PROMPT = b"\r\n>>> "
_LOOK_S = 0.005
_CHUNK = 4096
_OPENING_S = 0.2


class ConsoleServer:
    """Serves one client at a time; a second finds the port busy.  Use it as a context manager.

    operator    answers the commands (Operator, or a stand-in for it); None: nothing
                is answered

    url         for --port
    heard       all bytes that have been typed so far
    connected   how many clients there have been
    at_prompt   MicroPython's prompt: a line end is answered by another prompt.  A Ctrl-C leads
                there, as on a board; may be set
    crashes     what commands have raised
    on_heard    called in the server's thread with what has been typed; may be set
    """

    def __init__(self, operator: Any = None) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self._address = self._server.getsockname()
        self.url = f"socket://127.0.0.1:{self._address[1]}"
        self.heard = bytearray()
        self.connected = 0
        self.at_prompt = False
        self.crashes: list[Exception] = []
        self.on_heard: Callable[[bytes], object] = lambda data: None
        self._answers = Commands(operator).answer if operator is not None else None
        self._client: socket.socket | None = None
        self._plugged = True
        self._is_done = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._restart()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_done = True
        self._thread.join()
        self.drop()
        self._server.close()

    # ---- what a test does

    def say(self, data: bytes | str) -> bool:
        """The board writes: bytes as they are, text as a line.  Returns whether anybody listens;
        what is said to nobody is lost."""
        if isinstance(data, str):
            data = data.encode() + b"\r\n"
        with self._lock:
            if self._client is None:
                return False
            try:
                self._client.sendall(data)
            except OSError:
                self.drop()
                return False
            return True

    def drop(self) -> None:
        """Ends the connection; the next may come at once."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def unplug(self) -> None:
        """Ends the connection, and no other comes about: connecting is refused."""
        with self._lock:
            self._plugged = False
            self._server.close()
            self.drop()

    def plug(self) -> None:
        """Takes connections again."""
        with self._lock:
            self._server = socket.create_server(self._address)
            self._server.setblocking(False)
            self._plugged = True
            self._restart()

    def wait(self, met: Callable[[], object], seconds: float = 5.0) -> None:
        """Until `met()`; AssertionError after so many seconds."""
        end = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < end, f"waited {seconds:g} s in vain; heard {self.heard!r}"
            time.sleep(_LOOK_S)

    def wait_client(self, count: int = 1, seconds: float = 5.0) -> None:
        """Until there have been so many clients, and the last is there and listens."""
        self.wait(lambda: self.connected >= count and self._client is not None, seconds)
        # What comes while pyserial opens a port it throws away.
        time.sleep(_OPENING_S)

    # ---- what the board does

    def _restart(self) -> None:
        """The board's console as after a start."""
        self._console: Any = (
            Console(self._answers, self._write, self.crashes.append) if self._answers else None
        )

    def _write(self, text: str) -> None:
        self.say(text.encode())

    def _run(self) -> None:
        while not self._is_done:
            with self._lock:
                self._accept()
                client = self._client
            if client is None:
                time.sleep(_LOOK_S)
                continue
            data = self._read(client)
            if data:
                self.heard += data
                self.on_heard(data)
            if self.at_prompt:
                self.say(PROMPT * data.replace(b"\r", b"\n").count(b"\n"))
            elif self._console is not None:
                self._answer(data)

    def _accept(self) -> None:
        if not self._plugged:
            return
        try:
            client, _ = self._server.accept()
        except BlockingIOError:
            return
        if self._client is not None:
            client.close()
        else:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client
            self.connected += 1

    def _read(self, client: socket.socket) -> bytes:
        try:
            if not select.select([client], [], [], _LOOK_S)[0]:
                return b""
            data = client.recv(_CHUNK)
        except (OSError, ValueError):
            data = b""  # closed meanwhile
        if not data:
            with self._lock:
                if self._client is client:
                    self.drop()
        return data

    def _answer(self, data: bytes) -> None:
        console = self._console
        now_ms = time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF
        if not data:
            console.take(b"", now_ms)
        while data:
            size = console.at_most
            console.take(data[:size], now_ms)
            data = data[size:]
            while console.step():
                pass
            if console.stop:
                self.at_prompt = True
                self.say(PROMPT)
                self._restart()
                break
