"""What is typed, or stands in a file: lines of stdin, which come while a board is looked after.

Flow: stdin -> LINES (a thread of its own) -> session.  A terminal stays as it is: it echoes, and
takes back what is typed wrong, before a line comes here.
"""

import os
import threading
from queue import Empty, Queue

# Of a file that is fed in faster than a board answers.
_WAITING = 100
_READ = 4096


class Lines:
    """Lines of a file or terminal, without their ends.

    descriptor  of the open file
    longest     bytes of a line; of a longer one so many come and one more
    """

    def __init__(self, descriptor: int, longest: int) -> None:
        self._descriptor = descriptor
        self._most = longest + 1
        self._queue: Queue[bytes | None] = Queue(_WAITING)
        self._has_ended = False
        # Nothing can wake a thread that reads a terminal: it is left behind.
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def has_ended(self) -> bool:
        """Whether all lines have been taken and there will be no more."""
        return self._has_ended

    def take(self) -> bytes | None:
        """The next line, if there is one by now."""
        try:
            line = None if self._has_ended else self._queue.get_nowait()
        except Empty:
            return None
        self._has_ended = line is None
        return line

    def _read(self) -> None:
        line = b""
        while data := self._read_some():
            *ended, data = data.split(b"\n")
            for part in ended:
                self._queue.put((line + part)[: self._most])
                line = b""
            line = (line + data)[: self._most]
        if line:
            self._queue.put(line)
        self._queue.put(None)

    def _read_some(self) -> bytes:
        try:
            return os.read(self._descriptor, _READ)
        except OSError:
            return b""  # the terminal is gone
