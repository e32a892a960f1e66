"""The emulated board behind a port that the host's tools can open: socket://127.0.0.1:N.

Flow: flash, monitor, capture, calibrate -> TCP -> RP2040 PORT -> EmulatedBoard's USB serial port.
What a cable does, it does: a reset of the chip drops the connection, what the board says while
nobody is connected is lost, and a second program finds the port busy.  But time stands still for
the board while a program that is connected does not read.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from tools.emulate.board import EmulatedBoard

# Emulated time between two looks at the socket.
_STEP_S = 1e-3
# From a reset until the host sees the port again.
_AWAY_S = 0.3
_CHUNK = 4096

T = TypeVar("T")


class EmulatedPort:
    """Runs a board in a thread of its own, and serves its port.  Use it as a context manager.

    tcp_port  to listen at; 0: one that is free

    url     for PORT=
    failed  what has ended the board's thread, if anything has
    """

    def __init__(self, board: EmulatedBoard, tcp_port: int = 0) -> None:
        self._board = board
        self._server = socket.create_server(("127.0.0.1", tcp_port))
        self._server.setblocking(False)
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._client: socket.socket | None = None
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._is_done = False
        self._plugged = True
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

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
        self._drop()
        self._server.close()

    def on_board(self, what: Callable[[EmulatedBoard], T]) -> T:
        """Does something with the board, between two of its steps; returns what that returns."""
        answer: Future[T] = Future()

        def act() -> None:
            try:
                answer.set_result(what(self._board))
            except BaseException as problem:
                answer.set_exception(problem)

        self._asked.put(act)
        while True:
            try:
                return answer.result(timeout=1)
            except TimeoutError:
                if not self._thread.is_alive():
                    raise RuntimeError(f"the emulated board is gone: {self.failed!r}") from None

    def unplug(self) -> None:
        """Pulls the cable: the connection drops, and no other comes about."""
        self.on_board(lambda board: self._set_plugged(False))

    def plug(self) -> None:
        """Puts it back."""
        self.on_board(lambda board: self._set_plugged(True))

    def _set_plugged(self, plugged: bool) -> None:
        self._plugged = plugged
        if not plugged:
            self._drop()

    def _run(self) -> None:
        try:
            while not self._is_done:
                self._turn()
        except BaseException as problem:
            self.failed = problem
            self._drop()

    def _turn(self) -> None:
        board = self._board
        resets = len(board.resets)
        heard = board.heard
        board.run(_STEP_S)
        if len(board.resets) > resets:
            self._drop()
        elif self._client is not None:
            self._tell(board.said_since(heard))
        self._listen()
        try:
            while True:
                self._asked.get_nowait()()
        except Empty:
            pass

    def _tell(self, data: bytes) -> None:
        try:
            if data and self._client is not None:
                self._client.sendall(data)
        except OSError:
            self._drop()

    def _listen(self) -> None:
        board = self._board
        is_away = board.resets and board.seconds < board.resets[-1] + _AWAY_S
        if self._plugged and not is_away:
            try:
                client, _ = self._server.accept()
            except BlockingIOError:
                pass
            else:
                if self._client is not None:
                    client.close()
                else:
                    self._client = client
        if self._client is None or board.flooding:
            return
        self._client.settimeout(0)
        try:
            data = self._client.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        finally:
            self._client.settimeout(None)
        if data:
            board.flood(data)
        else:
            self._drop()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
