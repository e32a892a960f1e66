"""Bounds on an exchange with a board: it ends, and says no more than can be meant.

Flow: prompt -> BOUNDS around a serial line -> mpremote.  Its loops go on as long as a board says
something: one that floods, or drips a byte now and then, would keep them for ever.
"""

import time
from typing import Any

from tools.common.errors import PortError

# Of what a board says to one thing: its list of files takes 10 kB. mpremote puts it together byte
# by byte, in time that goes with the square.
MOST = 1 << 16


class Bounds:
    """All that is read from and written to a serial line goes by these, once they are around it.

    port     of which it is told that they are exceeded
    line     pyserial's, whose methods are put in place of
    seconds  from now on, for all there is to do

    Raises PortError where they are exceeded.
    """

    def __init__(self, port: str, line: Any, seconds: float) -> None:
        self._port = port
        self._read, self._write = line.read, line.write
        self.extend(seconds)
        self._most = self._left = MOST
        line.read, line.write = self.read, self.write

    def extend(self, seconds: float) -> None:
        """There are so many seconds from now on."""
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def allow(self, seconds: float) -> None:
        """There are so many seconds more."""
        self._seconds += seconds
        self._end += seconds

    def begin(self, most: int = MOST) -> None:
        """Another exchange: a board may say as much again."""
        self._most = self._left = most

    def read(self, size: int = 1) -> bytes:
        self._check_time()
        data = self._read(size)
        self._left -= len(data)
        if self._left < 0:
            raise PortError(
                f"{self._port}: the board does not stop talking: more than {self._most} bytes "
                "came where a short answer was due; press its reset button and try again"
            )
        return data

    def write(self, data: bytes) -> int:
        self._check_time()
        return self._write(data)

    def _check_time(self) -> None:
        if time.monotonic() >= self._end:
            raise PortError(
                f"{self._port}: not done within {self._seconds:g} s in all; where the board is "
                "that slow, allow it more (--timeout)"
            )
