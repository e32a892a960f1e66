"""A terminal with a program in it: what is typed and what is shown, for tests on POSIX."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from tools.common.boards import ROOT

# So that Ctrl-C is a signal.  In a program of its own: what is done between fork and exec, with
# threads around, may wait for ever for a lock that one of them has.
_IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Screen:
    """A program that runs in a terminal of its own, of so many columns and rows."""

    def __init__(self, columns: int, rows: int, program: Sequence[str]) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._termios = termios
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            [sys.executable, "-Sc", _IN_A_TERMINAL, *program],
            cwd=ROOT,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self._text = ""
        self._seen = 0
        # A terminal takes what comes, whether or not anybody looks at it.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                self._text += data.decode(errors="replace")
        except OSError:
            pass  # closed at the other end

    @property
    def modes(self) -> list[Any]:
        return self._termios.tcgetattr(self._slave)

    def read_until(self, text: str, seconds: float = 20.0) -> str:
        """All that has been shown since the text before came, up to this one; no colours."""
        end = time.monotonic() + seconds
        while True:
            found = re.sub(r"\x1b\[[0-9;]*m", "", self._text)[self._seen :]
            if text in found:
                size = found.index(text) + len(text)
                self._seen += size
                return found[:size]
            assert time.monotonic() < end, found[-4000:]
            time.sleep(0.02)

    def read_last(self) -> str:
        """What has been shown since, of a program that has ended."""
        os.write(self._slave, b"<end>")
        return self.read_until("<end>")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def hang_up(self) -> None:
        os.close(self._slave)
        os.close(self._master)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()
