"""A serial port with a board that may do anything, in a time of its own: hours pass at once.

Flow: hostile board -> VIRTUAL PORT (in pyserial's place) -> mpremote, console -> the tools.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol
from unittest import mock

import serial

# What it takes to look once where there is something to read, or where there is not.
_LOOK_S, _IDLE_S = 0.0005, 0.05


class Clock:
    """What stands for the time of this process."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.0)


class Behind(Protocol):
    """Who is at the other end."""

    def hear(self, data: bytes) -> None:
        """Bytes have been typed."""

    def say(self, most: int, now: float) -> bytes:
        """At most so many bytes, at this time. Raises serial.SerialException when it is gone."""
        ...

    def opened(self) -> None:
        """A connection begins."""


class VirtualPort:
    """In the place of pyserial's."""

    def __init__(self, board: Behind, clock: Clock) -> None:
        self._board = board
        self._clock = clock
        self._ahead = b""
        self.timeout: float | None = None
        self.write_timeout: float | None = None
        self.rts = self.dtr = True
        self.is_open = False

    def isOpen(self) -> bool:
        return self.is_open

    def open(self) -> None:
        self.is_open = True
        self._ahead = b""
        self._board.opened()

    def close(self) -> None:
        self.is_open = False

    def read(self, size: int = 1) -> bytes:
        end = self._clock.now + (60.0 if self.timeout is None else self.timeout)
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        while len(data) < size:
            found = self._board.say(size - len(data), self._clock.now)
            self._clock.now += _LOOK_S if found else _IDLE_S
            data += found
            if self._clock.now >= end:
                break
        return data

    def inWaiting(self) -> int:
        if not self._ahead:
            self._clock.now += _LOOK_S
            self._ahead = self._board.say(64, self._clock.now)
        return len(self._ahead)

    in_waiting = property(inWaiting)

    def reset_input_buffer(self) -> None:
        self._ahead = b""

    def write(self, data: bytes) -> int:
        self._clock.now += _LOOK_S
        self._board.hear(bytes(data))
        return len(data)


@contextlib.contextmanager
def plugged_in(board: Behind) -> Iterator[Clock]:
    """Whatever port is opened meanwhile has this board at its other end, and time is the clock's
    that is given."""
    clock = Clock()
    port: Any = VirtualPort(board, clock)
    with (
        mock.patch.object(serial, "serial_for_url", lambda *given, **more: port),
        mock.patch("serial.tools.list_ports.comports", lambda *given: []),
        mock.patch("time.monotonic", clock.monotonic),
        mock.patch("time.sleep", clock.sleep),
    ):
        yield clock
