"""A board's serial port: found, opened, and given back.

Flow: PORT=…, or what is plugged in -> BOARD PORT (pyserial, by way of mpremote, which knows the
quirks of boards and systems) -> flash, console.
"""

import argparse
import errno
import os
import re
import select
import socket
from typing import Any
from urllib.parse import urlsplit

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports

from tools.common.command import seconds
from tools.common.errors import InputError, PortError

# Where pyserial looks first for what opens a URL.
serial.protocol_handler_packages.insert(0, "tools.cable.urls")

# Of a board with a serial chip, such as an ESP32's; USB takes no notice.
BAUD = 115200
# All that is asked of a board at a time has an end: so many times what an answer may take, beside
# what it takes by itself.
IN_ALL = 20
# Of what a library says of a failure, which may hold all that a board has said.
_LAST = 200
_BUSY = "busy: close the other program that uses it (a monitor, a terminal)"
# An emulated board looks at its socket some twenty times a second.
_TURNED_AWAY_S = 0.25
_CONNECTED_S = 2.0


def boards_there() -> list[tuple[str, str]]:
    """(port, what it calls itself) of all that is plugged in by USB, sorted."""
    return sorted(
        (found.device, " ".join(filter(None, (found.description, found.serial_number))))
        for found in list_ports.comports()
        if found.vid is not None
    )


def find(port: str | None) -> str:
    """The port to use: the one given, else that of the only board there is.

    Raises PortError for no board, InputError for several, which it lists, and for an empty text.
    """
    if port == "":
        raise InputError("--port is empty: name a port, or leave it out where there is one board")
    if port is not None:
        return port
    there = boards_there()
    if not there:
        raise PortError(
            "no board found: connect one by USB with a cable that carries data, or say where it "
            "is: PORT=/dev/ttyACM0 (--port)"
        )
    if len(there) > 1:
        listed = ", ".join(f"{name} ({what})" for name, what in there)
        raise InputError(f"{len(there)} boards found, say which by PORT= (--port): {listed}")
    return there[0][0]


class Whereabouts:
    """Where a board is that may come back under another name: it is known by its serial number,
    unless others have the same, as those of some serial chips do."""

    def __init__(self, port: str) -> None:
        self._port = port
        numbers = {found.device: found.serial_number for found in list_ports.comports()}
        number = numbers.get(port)
        self._number = number if [*numbers.values()].count(number) == 1 else None

    def now(self) -> str:
        """Its port."""
        there = []
        if self._number:
            there = [
                found.device
                for found in list_ports.comports()
                if found.serial_number == self._number
            ]
        return self._port if self._port in there or not there else there[0]


def open_port(port: str) -> SerialTransport:
    """The port, opened for this program alone. Raises PortError."""
    try:
        transport = SerialTransport(port, BAUD, exclusive=True)
    except TransportError:
        raise PortError(_why_not(port)) from None
    except (serial.SerialException, OSError, ValueError, re.error) as problem:
        # ValueError, re.error: a URL that pyserial does not know or understand.
        raise PortError(f"{port}: {problem}") from None
    line: Any = transport.serial  # of a kind that only pyserial knows
    if port.startswith("socket:") and _is_turned_away(line._socket):
        close_port(transport)
        raise PortError(f"{port}: {_BUSY}")
    return transport


def _is_turned_away(own: socket.socket) -> bool:
    """Whether a server has taken the connection and ended it at once, without a word: it serves
    somebody else, and a socket cannot be opened for one program alone."""
    if not select.select([own], [], [], _TURNED_AWAY_S)[0]:
        return False
    try:
        return own.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def close_port(transport: SerialTransport) -> None:
    """Gives it back, be the board still there or not."""
    try:
        transport.close()
    except (serial.SerialException, OSError):
        # Unplugged: there are no control lines to let go of, but the descriptor is still open.
        transport.serial.close()


def _is_busy(url: str) -> bool:
    """Whether a server is there that turns connections away, perhaps while one is opened."""
    try:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), _CONNECTED_S) as own:
            return _is_turned_away(own)
    except (OSError, ValueError, TypeError):
        return False


def _why_not(port: str) -> str:
    """What keeps a port from being opened, in one line; mpremote does not tell."""
    if port.startswith("socket:") and _is_busy(port):
        return f"{port}: {_BUSY}"
    if "://" in port:
        return f"{port}: nothing answers there; expected a board's port, or a server in its place"
    is_posix = os.name == "posix"
    if not (os.path.exists(port) if is_posix else _is_listed(port)):
        there = ", ".join(name for name, _ in boards_there()) or "none"
        return f"{port}: there is no such port; boards are at: {there}"
    if is_posix:
        if not os.access(port, os.R_OK | os.W_OK):
            remedy = "sudo usermod -aG dialout $USER, then log in anew"
            return f"{port}: no permission; on Linux: {remedy}"
        if not _is_serial(port):
            return f"{port}: no serial port; boards are at /dev/ttyACM0 and the like"
    return f"{port}: {_BUSY}"


def _is_listed(port: str) -> bool:
    """Whether Windows, where case does not count, has a port of this name."""
    names = {found.device.upper() for found in list_ports.comports()}
    return port.upper().removeprefix("\\\\.\\") in names


def _is_serial(port: str) -> bool:
    try:
        line = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as problem:
        # As one is that has been opened for one program alone.
        return problem.errno == errno.EBUSY
    try:
        return os.isatty(line)
    finally:
        os.close(line)


def told(problem: Exception) -> str:
    """A serial line's failure in the words of a PortError."""
    return f"the connection is gone ({str(problem)[:_LAST]}); is the board still plugged in?"


def add_arguments(parser: argparse.ArgumentParser, timeout: float) -> None:
    """--port and --timeout, of which the latter is `timeout` seconds unless it is given."""
    parser.add_argument(
        "--port",
        metavar="PORT",
        help="/dev/ttyACM0, COM3, socket://HOST:N (default: the only board there is)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=timeout,
        metavar="SECONDS",
        help=f"how long the board may take to answer (default {timeout:g})",
    )
