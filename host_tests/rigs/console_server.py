"""A stand-in for a board's serial port, for fast tests of the host's tools: socket://127.0.0.1:N.

Flow: lines that a test feeds, answers of the firmware's own console -> CONSOLE SERVER -> TCP ->
the tool under test.  No line's format is written down here: telemetry is made by the firmware's
own telemetry, answers by its commands over an operator that the test hands in.
"""

import time
from collections.abc import Callable
from typing import Any

from threewire.operation.commands import Commands
from threewire.operation.console import Console
from tools.emulate.tcp_port import TcpPort

PROMPT = b"\r\n>>> "
_LOOK_S = 0.005
_OPENING_S = 0.2


class ConsoleServer(TcpPort):
    """A port with the firmware's console behind it.

    operator    answers the commands (Operator, or a stand-in for it); None: nothing
                is answered

    heard       all bytes that have been typed so far
    at_prompt   MicroPython's prompt: a line end is answered by another prompt.  A Ctrl-C leads
                there, as on a board; may be set
    stays       why a Ctrl-C does not lead there; "" if it does.  May be set
    crashes     what commands have raised
    on_heard    called in the server's thread with what has been typed; may be set
    """

    def __init__(self, operator: Any = None) -> None:
        super().__init__()
        self.heard = bytearray()
        self.at_prompt = False
        self.stays = ""
        self.crashes: list[Exception] = []
        self.on_heard: Callable[[bytes], object] = lambda data: None
        self._answers = Commands(operator).answer if operator is not None else None
        self._restart()

    # ---- what a test does

    def say(self, data: bytes | str) -> bool:
        """The board writes: bytes as they are, text as a line.  Whether anybody listens."""
        return self.send(data.encode() + b"\r\n" if isinstance(data, str) else data)

    def unplug(self) -> None:
        """Ends the connection, and no other comes about: connecting is refused."""
        with self._lock:
            super().unplug()
            self._address = self._server.getsockname()
            self._server.close()

    def plug(self) -> None:
        """Takes connections again, as a board that has just started."""
        with self._lock:
            self._server = self._listen(self._address)
            super().plug()
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

    def _serve(self) -> None:
        while not self._is_done:
            with self._lock:
                self.accept()
                client = self._client
            if client is None:
                time.sleep(_LOOK_S)
                continue
            data = self.receive(_LOOK_S)
            if data:
                self.heard += data
                self.on_heard(data)
            if self.at_prompt:
                self.say(PROMPT * data.replace(b"\r", b"\n").count(b"\n"))
            elif self._console is not None:
                self._answer(data)

    def _answer(self, data: bytes) -> None:
        console = self._console
        now_ms = time.monotonic_ns() // 1_000_000 & 0x3FFFFFFF
        if not data:
            console.take(b"", now_ms)
        while data:
            size = console.at_most
            console.take(data[:size], now_ms)
            data = data[size:]
            if console.stop and self.stays:
                console.stay(self.stays)
            while console.step():
                pass
            if console.stop:
                self.at_prompt = True
                self.say(PROMPT)
                self._restart()
                break
