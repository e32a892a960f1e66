"""The line at an emulated board's UART: what a master sends at its pace, and what is answered.

Flow: bytes -> LINE -> the emulated UART -> LINE -> bytes, each with its time.
"""

from collections import deque

from tools.emulate.board import EmulatedBoard
from tools.emulate.quirks import Uart


class Line:
    """Of a UART of a board; lasts until its power goes.

    sent   [(seconds, byte)] by the board: when the last bit of each was out
    ended  seconds at which the last bit of what was put on the line came
    """

    def __init__(self, board: EmulatedBoard, number: int) -> None:
        self._board = board
        self._uart: Uart = board.mcu.uart[number]
        self._uart.on_byte = lambda byte: self.sent.append((board.seconds, byte))
        self._queue: deque[int] = deque()
        self._alarm = self._uart.rp2040.clock.create_alarm(self._feed)
        self.sent: list[tuple[float, int]] = []
        self.ended = 0.0

    @property
    def byte_s(self) -> float:
        """How long a byte takes as the board has set its UART."""
        return self._uart.byte_ns / 1e9

    @property
    def is_busy(self) -> bool:
        """Whether there is something left to be put on the line."""
        return bool(self._queue)

    def put(self, data: bytes) -> None:
        """Sends bytes to the board, one close upon the other."""
        if not self._queue and data:
            self._alarm.schedule(self._uart.byte_ns)
        self._queue.extend(data)

    def _feed(self) -> None:
        self._uart.feed_byte(self._queue.popleft())
        self.ended = self._board.seconds
        if self._queue:
            self._alarm.schedule(self._uart.byte_ns)

    def ask(self, data: bytes, seconds: float = 0.5) -> tuple[bytes, float]:
        """What the board answers, and seconds from the last bit asked to the first answered.
        Nothing, and that time, where it does not within so long."""
        before = len(self.sent)
        self.put(data)
        board = self._board
        while self.is_busy:
            board.run(self.byte_s)
        end = board.seconds + seconds
        silence = 5 * self.byte_s
        while board.seconds < end:
            board.run(self.byte_s)
            if len(self.sent) > before and board.seconds - self.sent[-1][0] > silence:
                break
        said = self.sent[before:]
        if not said:
            return b"", seconds
        return bytes(byte for _, byte in said), said[0][0] - self.byte_s - self.ended
