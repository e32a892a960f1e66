"""MicroPython's prompt on a board: what is there, and files put in place.

Flow: flash -> BOARD PROMPT (mpremote's raw REPL and file commands) -> the board.  Files are
written aside, checked by hash, and only then put in place, in one go: a cable that is pulled out
before leaves the firmware that was there; within that second it can leave a mixture: flash again.
"""

import contextlib
import hashlib
import io
import math
import os
import re
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mpremote.transport import TransportError, TransportExecError

from tools.cable import door
from tools.cable import port as board_port
from tools.cable.bounds import MOST, Bounds
from tools.cable.door import Answer, Misfit
from tools.cable.shapes import Probed
from tools.common.command import say
from tools.common.errors import InputError, PortError

# A name's end, while it is on its way.
ASIDE = ".new"
# Large enough that the exchange costs little, small enough for a full heap.
_CHUNK = 1024
# The firmware takes a Ctrl-C for one after a tenth of a second of silence, of which it knows by
# looking.
SILENCE_S = 0.25
# What the firmware's answer is about to a Ctrl-C that is not to stop it, how long that may take,
# and how many bytes may come meanwhile.
_CTRL_C = "Ctrl-C"
_WHY_S = 2.0
_LOOK_S = 0.01
_MOST = 8192
# Of what a board says, in a message: what is not JSON, and the last line of a traceback.
_EXCERPT, _LAST = 60, 200
# What ends a program's output, and then what it has raised; the prompt follows.
_END, _ENDS, _RAW_PROMPT = b"\x04", 2, b">"
# Ctrl-A, which the raw prompt answers with itself.
_RAW_REPL = b"\x01"
# Ctrl-B and Ctrl-D, and how long they may take to write.
_FRIENDLY_PROMPT, _SOFT_RESET = b"\x02", b"\x04"
_LEAVE_S = 1.0
# What there is to put a board back when something has failed, in times of what it may be silent.
_AFTER = 2
# A board file's name, else there is none.
_NAME = re.compile("[A-Za-z0-9_]*")
# Of a MicroPython's build, such as ESP32_GENERIC-SPIRAM.
_BUILD = re.compile(r"[A-Za-z0-9_-]{1,64}")

# Run at the board's prompt.  What it hashes is what is ours, or would be imported in its place.
# A board that meters has memory, but not in one piece: each file is told as soon as it is known.
_PROBE = """
import os, sys, json, hashlib, binascii
def _sha(path):
    digest = hashlib.sha256()
    buffer = bytearray(512)
    with open(path, "rb") as file:
        size = file.readinto(buffer)
        while size:
            digest.update(memoryview(buffer)[:size])
            size = file.readinto(buffer)
    return binascii.hexlify(digest.digest()).decode()
_folders = ["", "threewire/"]
_ours = False
print('{"files": {', end="")
_between = ""
for _f in _folders:
    try:
        _entries = list(os.ilistdir(_f[:-1] or "/"))
    except OSError:
        _entries = ()
    for _e in _entries:
        _n = _f + _e[0]
        if _e[1] & 0x4000:
            if _f:
                _folders.append(_n + "/")
        elif _f or _n.split(".")[0] in ("main", "board"):
            print(_between, json.dumps(_n), ": ", json.dumps(_sha(_n)), sep="", end="")
            _between = ", "
            _ours = _ours or _f != "" and not _n.endswith("ASIDE")
_n = ""
# Somebody else's could run for ever.
if _ours:
    try:
        _n = __import__("board").NAME
    except Exception:
        pass
_s = os.statvfs("/")
print("}, " + json.dumps({"version": list(sys.implementation.version)[:3],
    "machine": getattr(sys.implementation, "_machine", ""),
    "build": getattr(sys.implementation, "_build", ""),
    "arch": getattr(sys.implementation, "_mpy", 0) >> 10 & 15,
    # A file system that is more than full tells less than nothing.
    "free": _s[0] * _s[3] if _s[3] <= _s[2] else 0, "board": _n})[1:])
""".replace("ASIDE", ASIDE)
_MAKE_FOLDERS = """
import os
for _f in {!r}:
    try:
        os.mkdir(_f)
    except OSError:
        pass
"""
# A folder that holds anything stays.
_REMOVE_FOLDERS = """
import os
for _f in {!r}:
    try:
        os.rmdir(_f)
    except OSError:
        pass
"""
# Of each two the first takes the second's place, or goes where there is none.
_PUT_IN_PLACE = """
import os
for _p, _q in {!r}:
    if not _q:
        os.remove(_p)
        continue
    try:
        os.rename(_p, _q)
    except OSError:
        os.remove(_q)
        os.rename(_p, _q)
"""
# The firmware's own note that the reset which follows is meant, and no fault to be counted: for a
# firmware that can take it.
_NOTE = """
try:
    import os
    try:
        from threewire.storage import record
        from threewire.storage.store import Store
        from threewire.storage.restarts import Restarts
    except ImportError:
        # Up to 0.3.0 all modules were in one folder.
        from threewire import record
        from threewire.store import Store
        from threewire.restarts import Restarts
    Restarts(Store(os, open, "restarts", "restarts", record.REGISTERS)).about_to_restart("command")
except Exception:
    pass
"""
_RESET = "import machine, time\ntime.sleep_ms(100)\nmachine.reset()"


@dataclass(frozen=True)
class Found:
    """What is on a board: its MicroPython, room, and files (path -> SHA-256 in hex).

    build  MicroPython's name of its build, such as RPI_PICO; "" where it does not tell it
    board  the board file's name that the firmware there tells; "" without it
    """

    version: tuple[int, ...]
    machine: str
    build: str
    arch: int
    free: int
    board: str
    files: Mapping[str, str]

    @property
    def has_firmware(self) -> bool:
        """Whether there is one of ours, and not only what is left of a copy broken off."""
        return any(
            path.startswith("threewire/") and not path.endswith(ASIDE) for path in self.files
        )


def folders_of(paths: Iterable[str]) -> list[str]:
    """All folders that these files are in, outer ones first."""
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    return sorted(folders - {"."})


class Prompt(contextlib.ExitStack):
    """MicroPython's raw prompt on a board; metering there has ended, with all registers saved.
    Use it as a context manager.

    port     as pyserial takes it
    timeout  seconds that the board may be silent; it has 20 times as many in all

    Raises PortError when the board is gone, does not answer or does not end.
    """

    def __init__(self, port: str, timeout: float) -> None:
        super().__init__()
        self.port = port
        self._timeout = timeout
        self._transport = board_port.open_port(port)
        self.callback(board_port.close_port, self._transport)
        # mpremote would wait for ever for some of a board's answers.
        line: Any = self._transport.serial
        line.timeout = line.write_timeout = timeout
        self._bounds = Bounds(port, line, board_port.IN_ALL * timeout)
        self._be_patient(self._transport)
        try:
            self._enter()
        except BaseException:
            self._leave()
            self.close()
            raise

    def _leave(self) -> None:
        """Starts again what Ctrl-C may have stopped, be it seen or not: a board does not meter at
        its prompt.  To a firmware that meters on it is the beginning of a line, soon forgotten."""
        self._bounds.extend(_LEAVE_S)
        with contextlib.suppress(PortError, OSError):
            self._transport.serial.write(_FRIENDLY_PROMPT + _SOFT_RESET)

    def _be_patient(self, transport: Any) -> None:
        """Where mpremote waits for ten seconds it is to wait as long as was said, if that is
        longer."""
        read_until = transport.read_until

        def read(least: int, ending: bytes, timeout: float | None = 10, **more: Any) -> bytes:
            return read_until(least, ending, timeout and max(timeout, self._timeout), **more)

        transport.read_until = read

    def _enter(self) -> None:
        transport = self._transport
        # The firmware takes a Ctrl-C for one only after silence: what a first one does not reach,
        # a second does.
        for is_last in (False, True):
            time.sleep(SILENCE_S)
            try:
                with self._connection():
                    # A soft reset would take with it what feeds a watchdog that cannot be stopped.
                    transport.enter_raw_repl(soft_reset=False, timeout_overall=self._whole_s)
                return
            except TransportError:
                if is_last:
                    self._ask_why()
                    raise PortError(
                        f"{self.port}: MicroPython's prompt does not come: is MicroPython on the "
                        "board, or a program that Ctrl-C does not stop? Press its reset button "
                        "and try again"
                    ) from None

    def _ask_why(self) -> None:
        """Raises PortError with what the firmware has against leaving metering, if it says so."""
        time.sleep(SILENCE_S)
        with self._connection():
            line: Any = self._transport.serial
            line.write(b"\x03")
            end = time.monotonic() + _WHY_S
            said = b""
            told = 0  # bytes of whole lines
            while time.monotonic() < end and len(said) < _MOST:
                waiting = min(line.in_waiting, _MOST - len(said))
                if waiting:
                    said += line.read(waiting)
                else:
                    time.sleep(_LOOK_S)
                *lines, rest = said[told:].split(b"\n")
                told = len(said) - len(rest)
                for whole in lines:
                    self._raise_why(whole)

    def _raise_why(self, line: bytes) -> None:
        with contextlib.suppress(Misfit):
            found = door.read(line)
            if isinstance(found, Answer) and found.reply == _CTRL_C and found.error:
                raise PortError(
                    f"{self.port}: the board keeps its prompt to itself: {found.error}"
                )

    @contextlib.contextmanager
    def _connection(self) -> Iterator[None]:
        try:
            # mpremote prints what it did not understand.
            self._bounds.begin()
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except OSError as problem:
            # A SerialException is one; the system's own come through from pyserial as well.
            raise PortError(f"{self.port}: {board_port.told(problem)}") from None

    @contextlib.contextmanager
    def _failures(self, quotes: bool = True) -> Iterator[None]:
        try:
            with self._connection():
                yield
        except TransportExecError as problem:
            if not quotes:
                raise PortError(f"{self.port}: the board could not do it") from None
            last = " ".join(problem.error_output.strip().splitlines()[-1:])
            raise PortError(f"{self.port}: the board says: {last[:_LAST]}") from None
        except (TransportError, struct.error, UnicodeDecodeError) as problem:
            # struct.error: mpremote's own, where an answer of two bytes does not come;
            # UnicodeDecodeError: or where one is no text.
            raise PortError(f"{self.port}: {board_port.told(problem)}") from None

    @property
    def _whole_s(self) -> int:
        return math.ceil(self._timeout)

    def run(self, code: str, quotes: bool = True) -> str:
        """Runs code; returns what it prints.

        quotes  whether what the board says of a failure may be told: it may be part of the code,
                in which there may be secrets
        """
        with self._failures(quotes):
            out, error = self._transport.exec_raw(code, timeout=self._whole_s)
            if error:
                raise TransportExecError(out, error.decode(errors="replace"))
            return out.decode(errors="replace")

    def stream(self, code: str, take: Callable[[bytes], None], most: int = MOST) -> str:
        """Runs code and hands over what it prints as it comes; returns all of it.

        take  may `send`, and may take its time: nobody reads meanwhile
        most  bytes that it may print
        """
        with self._failures():
            self._bounds.begin(most)
            self._transport.exec_raw_no_follow(code)
            line: Any = self._transport.serial
            said = bytearray()
            told = 0
            ends = 0
            while not (ends == _ENDS and said.endswith(_RAW_PROMPT)):
                data = line.read(1)
                if not data:
                    raise TransportError("it went silent")
                if line.in_waiting:
                    data += line.read(line.in_waiting)
                said += data
                ends = said.count(_END)
                if not ends:
                    take(bytes(said[told:]))
                    told = len(said)
            # mpremote wants to see the prompt before each program.
            line.write(_RAW_REPL)
            out, error, _ = said.split(_END)
            if error:
                raise TransportExecError(bytes(out), error.decode(errors="replace"))
            return out.decode(errors="replace")

    def send(self, data: bytes) -> None:
        """Types something to the program that streams."""
        self._transport.serial.write(data)

    def start_and_leave(self, code: str) -> None:
        """Starts a program that does not come back; the connection ends here."""
        with self._failures():
            self._transport.exec_raw_no_follow(code)

    def allow(self, seconds: float) -> None:
        """What the board is to do takes so many seconds beside what its answers may take."""
        self._bounds.allow(seconds)

    def look(self) -> Found:
        """What there is on the board."""
        said = self.run(_PROBE)
        try:
            told = door.decode(said.encode(), Probed, "what flash's probe prints there")
        except Misfit as problem:
            raise PortError(
                f"{self.port}: {said.strip()[:_EXCERPT]!r} came beside what was asked for: a "
                "program goes on there in timers or interrupts; press the board's reset button "
                f"({problem})"
            ) from None
        name = told.board if _NAME.fullmatch(told.board) else ""
        build = told.build if _BUILD.fullmatch(told.build) else ""
        return Found(told.version, told.machine, build, told.arch, told.free, name, told.files)

    def put(
        self,
        files: Mapping[str, bytes],
        kept: Sequence[tuple[str, str]] = (),
        removed: Sequence[str] = (),
    ) -> None:
        """Puts files (path -> bytes) on the board, when all of them are there: others are given
        new names first, what is removed goes, and main.py, with which a board starts, is the last.
        Raises InputError when it cannot write them.
        """
        self.run(_MAKE_FOLDERS.format(folders_of(files)))
        for path, data in files.items():
            say(f"{len(data):8}  {path}")
            aside = path + ASIDE
            with self._failures():
                try:
                    self._transport.fs_writefile(aside, data, chunk_size=_CHUNK)
                except OSError as problem:
                    # Of its file system's errors mpremote tells number and path; others are the
                    # connection's.
                    if problem.errno is None or problem.strerror != aside:
                        raise
                    raise InputError(
                        f"{path}: the board cannot write it ({os.strerror(problem.errno)}); the "
                        "firmware there is as it was"
                    ) from None
        self._verify({path + ASIDE: data for path, data in files.items()})
        steps = [*kept, *((path + ASIDE, path) for path in files), *((p, "") for p in removed)]
        steps.sort(key=lambda step: step[1] == "main.py")
        self.run(_PUT_IN_PLACE.format(steps))
        self.run(_REMOVE_FOLDERS.format(folders_of(removed)[::-1]))
        self._verify(files)

    def _verify(self, files: Mapping[str, bytes]) -> None:
        there = self.look().files
        for path, data in files.items():
            if there.get(path) != hashlib.sha256(data).hexdigest():
                raise PortError(f"{self.port}: {path} did not arrive whole; flash again")

    def reset(self) -> None:
        """Starts the board anew: the connection ends here."""
        self.run(_NOTE)
        self.start_and_leave(_RESET)

    def abandon(self, code: str = "") -> None:
        """The same wherever the exchange with the board stands, as far as it can be done.

        code  to be run before, which may fail
        """
        self._bounds.extend(_AFTER * self._timeout)
        with contextlib.suppress(PortError):
            self._enter()
            with contextlib.suppress(PortError):
                self.run(code)
            self.reset()
            return
        self._leave()
