"""The emulated board behind a port that the host's tools can open: socket://127.0.0.1:N.

Flow: flash, monitor, capture, calibrate -> TCP -> PORT -> EmulatedBoard's USB serial port.
What a cable does, it does: a reset of the chip drops the connection, what the board says while
nobody is connected is lost, and a second program finds the port busy.  But time stands still for
the board while a program that is connected does not read.
"""

from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

from tools.emulate.board import EmulatedBoard
from tools.emulate.tcp_port import TcpPort

# Emulated time between two looks at the socket.
_STEP_S = 1e-3
# From a reset until the host sees the port again.
_AWAY_S = 0.3

T = TypeVar("T")


class EmulatedPort(TcpPort):
    """Runs a board in the thread that serves its port.

    failed  what has ended that thread, if anything has
    """

    def __init__(self, board: EmulatedBoard, tcp_port: int = 0) -> None:
        super().__init__(tcp_port)
        self._board = board
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.failed: BaseException | None = None

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
        self.on_board(lambda board: super(EmulatedPort, self).unplug())

    def plug(self) -> None:
        self.on_board(lambda board: super(EmulatedPort, self).plug())

    def _serve(self) -> None:
        try:
            while not self._is_done:
                self._step()
        except BaseException as problem:
            self.failed = problem
            self.drop()

    def _step(self) -> None:
        board = self._board
        resets = len(board.resets)
        heard = board.heard
        board.run(_STEP_S)
        if len(board.resets) > resets:
            self.drop()
        elif data := board.said_since(heard):
            self.send(data)
        if not (board.resets and board.seconds < board.resets[-1] + _AWAY_S):
            self.accept()
        if not board.flooding and (data := self.receive(0)):
            board.flood(data)
        try:
            while True:
                self._asked.get_nowait()()
        except Empty:
            pass
