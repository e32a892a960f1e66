"""The firmware's console from the host's side: telemetry in, commands out.

Flow: board port -> BOARD CONSOLE (each line through the door) -> monitor, capture, calibrate.  The
board writes lines of JSON: one of telemetry a second, {"t": …}, and answers, {"reply": …}.  All
else is noise and dropped.  Whatever comes, no more than one line and one read is kept.
"""

import contextlib
import io
import select
import time
from collections import deque
from typing import Any, TypeVar

import serial

from threewire.operation.console import shown
from tools.cable import door
from tools.cable import port as board_port
from tools.cable.door import Answer, Line, Misfit
from tools.cable.port import Whereabouts
from tools.cable.shapes import SafeMode, Telemetry
from tools.common.errors import PortError, Refused

T = TypeVar("T")

# How long to wait for a board's answer; it takes one some 50 ms, and a start five seconds.
TIMEOUT_S = 15.0
# Between two tries to reach a board that starts.
_AGAIN_S = 0.3
# Bytes to ask the system for, and how long it may wait for so many.
_READ = 4096
READ_S = 0.05
_PROMPT = b">>> "
# No line of the firmware's comes near; noise without a line end is not kept for ever.
_LONGEST = 1 << 17


SAFE_MODE_TEXT = (
    "the board is in safe mode after crashes in a row: turn it off and on again, and read its "
    "`traceback`; energies are intact"
)


class BoardConsole(contextlib.ExitStack):
    """An open console.  Use it as a context manager.

    port     as pyserial takes it: /dev/ttyACM0, COM3, socket://127.0.0.1:4000
    timeout  seconds to wait for an answer or for a report
    patience_s  how long a look at the port may wait for something to come

    noise    lines dropped so far
    misfit   of the last of them that was of a kind of ours: in what it did not fit; "" before one
    size     bytes that have come

    Whatever it does raises PortError when the board is gone or does not answer in time.
    """

    def __init__(self, port: str, timeout: float = TIMEOUT_S, patience_s: float = READ_S) -> None:
        super().__init__()
        self.port = port
        self.timeout = timeout
        self.noise = 0
        self.misfit = ""
        self.size = 0
        self._transport = board_port.open_port(port)
        self.callback(board_port.close_port, self._transport)
        self._serial: Any = self._transport.serial
        self._serial.timeout = READ_S
        self._patience_s = patience_s
        # A board that does not read must not hold us.
        self._serial.write_timeout = timeout
        self._rest = bytearray()
        self._lines: deque[Line] = deque()
        # What came first may be the end of a line.
        self._is_first = True

    # ---- lines

    def poll(self) -> Line | None:
        """The next line, if there is one within 50 ms (patience_s)."""
        if not self._lines:
            self._read()
        return self._lines.popleft() if self._lines else None

    def _read(self) -> None:
        try:
            if self._patience_s > READ_S and not self._comes():
                return
            data = self._serial.read(_READ)
        except (serial.SerialException, OSError, TypeError, ValueError) as problem:
            # TypeError: pyserial's own, where the port has been closed under it; ValueError:
            # select's.
            raise PortError(f"{self.port}: {board_port.told(problem)}") from None
        self.size += len(data)
        self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._take(bytes(line))
        if len(self._rest) > _LONGEST:
            self._rest.clear()
            self.noise += 1

    def _comes(self) -> bool:
        """Whether something comes within the patience; where the system does not tell, it may."""
        try:
            number = self._serial.fileno()
        except (AttributeError, io.UnsupportedOperation):
            return True
        return bool(select.select([number], [], [], self._patience_s)[0])

    def _take(self, line: bytes) -> None:
        is_first, self._is_first = self._is_first, False
        line = line.strip()
        if not line:
            return
        found = None
        try:
            found = door.read(line)
        except Misfit as problem:
            self.misfit = str(problem)
        if found is not None:
            self._lines.append(found)
        elif not is_first:
            self.noise += 1

    # ---- what is asked for

    def ask(self, command: str, shape: type[T]) -> T:
        """The answer to a command, of this shape; lines that come before it are dropped. Raises
        Refused."""
        self.send(command)
        return self.reply(command, shape)

    def send(self, command: str) -> None:
        """Types a command."""
        try:
            # The line end before it ends what somebody may have typed there.
            self._serial.write(b"\n" + command.encode() + b"\n")
        except (serial.SerialException, OSError) as problem:
            raise PortError(f"{self.port}: {board_port.told(problem)}") from None

    def reply(self, command: str, shape: type[T]) -> T:
        """The answer to the command that has been sent. Raises Refused."""
        name = command.split()[0]
        end = time.monotonic() + self.timeout
        while time.monotonic() < end:
            line = self.poll()
            if isinstance(line, Answer) and _is_about(line.reply, command):
                if line.error is not None:
                    raise Refused(line.error)
                try:
                    return door.decode(line.line, shape, f"the board's answer to `{name}`")
                except Misfit as problem:
                    raise PortError(
                        f"{self.port}: {problem}: is its firmware of this release? (`make flash`)"
                    ) from None
            self.check_prompt()
        raise PortError(f"{self.port}: no answer to {name!r} {self.waited()}")

    def report(self) -> Telemetry:
        """The next line of telemetry."""
        end = time.monotonic() + self.timeout
        while time.monotonic() < end:
            line = self.poll()
            if isinstance(line, SafeMode):
                raise PortError(f"{self.port}: {SAFE_MODE_TEXT}")
            if isinstance(line, Telemetry):
                return line
            self.check_prompt()
        raise self.no_telemetry()

    def no_telemetry(self) -> PortError:
        """What is to be raised where a report has been waited for in vain."""
        is_still = " Or has it been asked for `quiet`? (`make console` ends that)"
        return PortError(f"{self.port}: no telemetry {self.waited()}{is_still * (not self.noise)}")

    def check_prompt(self) -> None:
        """Raises PortError when what came last is MicroPython's prompt."""
        if self._rest.endswith(_PROMPT):
            raise PortError(
                f"{self.port}: the board is at MicroPython's prompt, no meter runs there: flash "
                "it (`make flash BOARD=…`), or start it again by Ctrl-D in a terminal"
            )

    def waited(self) -> str:
        """How long, and what may be wrong where that was in vain."""
        found = f"within {self.timeout:g} s: is Threewire on the board? (`make flash BOARD=…`)"
        if self.misfit:
            found += f" {self.noise} lines were dropped; the last of ours: {self.misfit}"
        return found


def _is_about(name: str, command: str) -> bool:
    """Whether an answer of this name is to the command: the firmware gives the name of a command
    that it knows, the beginning of a line that it does not know, and none where it tells of the
    last line that came.
    """
    return (command + " ").startswith(name + " ") or name in ("", shown(command.encode()))


def started(where: Whereabouts, timeout: float) -> tuple[BoardConsole, Telemetry]:
    """The console of a board that starts, which takes its port away for a moment, and its first
    line of telemetry. Raises PortError after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        console = None
        try:
            console = BoardConsole(where.now(), max(end - time.monotonic(), 1.0))
            report = console.report()
            console.timeout = timeout
            return console, report
        except BaseException as problem:
            if console:
                console.close()
            if not isinstance(problem, PortError) or time.monotonic() >= end:
                raise
        time.sleep(_AGAIN_S)
