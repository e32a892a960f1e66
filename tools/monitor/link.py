"""A connection to a board that comes back: unplugged, restarted, not there yet, at the prompt.

Flow: board console -> LINK (checked reports, and how the connection stands) -> monitor, gateway.
"""

import math
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import serial

from tools.cable import port as board_port
from tools.cable.console import READ_S, SAFE_MODE_TEXT, BoardConsole
from tools.cable.door import Answer, Line, Misfit, decode
from tools.cable.port import Whereabouts
from tools.cable.shapes import SafeMode, Telemetry, Version
from tools.common.errors import InputError, PortError
from tools.common.terminal import clean
from tools.monitor.report import Report, from_line

# How it stands.
WAITING = "waiting"  # there is no port to open
OPEN = "connected"  # and nothing of use has come yet
LIVE = "live"
PROMPT = "at the prompt"
SAFE_MODE = "safe mode"

# Between two tries to open the port, and at the prompt: there the port is somebody else's most of
# the time, to look, to flash, to type Ctrl-D.
_AGAIN_S = 1.0
_PROMPT_AGAIN_S = 3.0
# A prompt says nothing by itself, but answers a line end, which the firmware passes over.
_SILENT_S = 2.5
# Between two questions which board it is, until one is answered.
_ASK_S = 2.0

# A board reports once a second; some reports may come at once after a while. More are a flood, and
# would fill the disk with rows.
_A_SECOND, _AT_ONCE = 10.0, 1000.0

_LIKE = "one is like /dev/ttyACM0, COM3 or socket://127.0.0.1:4000"


@dataclass(frozen=True)
class Standing:
    """How the connection stands.

    state          one of the words above
    port           where the board is, or was; "" where none has been found
    why            what keeps it from being live and what would help, one line; else ""
    age_s          since the last report; None before the first
    noise          lines dropped
    reconnections  how often reports came again on a new connection
    restarts       how often the board's time went back
    """

    state: str
    port: str
    why: str
    age_s: float | None
    noise: int
    reconnections: int
    restarts: int


class _Console(BoardConsole):
    """One that is looked at without waiting for a report."""

    def look(self) -> Line | None:
        """The next line within its patience. Raises PortError at MicroPython's prompt."""
        line = self.poll()
        if line is None:
            self.check_prompt()
        return line

    @property
    def is_at_prompt(self) -> bool:
        try:
            self.check_prompt()
        except PortError:
            return True
        return False


class _Pace:
    """So many at once, and so many a second."""

    def __init__(self, now: float) -> None:
        self._left, self._at = _AT_ONCE, now

    def allows(self, now: float) -> bool:
        """Whether there is one left."""
        self._left = min(self._left + _A_SECOND * (now - self._at), _AT_ONCE)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Link:
    """Looks for the board, connects, and connects again, as long as `step` is called.

    port     as board_port.find takes it: None for the only board there is
    timeout  seconds without a report after which a connection is given up for another
    clock    seconds, monotonic
    patience_s     how long a step may wait for something to come
    asks_identity  whether each connection's board is asked which one it is

    identity  what it has answered; None before, and on a new connection or after a restart: behind
              a serial chip it may be another board by then

    Raises InputError at once where waiting would not help: several boards, a port that can never
    be one.
    """

    def __init__(
        self,
        port: str | None,
        timeout: float,
        clock: Callable[[], float] = lambda: time.monotonic(),
        patience_s: float = READ_S,
        asks_identity: bool = False,
    ) -> None:
        self._timeout = timeout
        self._clock = clock
        self._patience_s = patience_s
        self._asks_identity = asks_identity
        self._asked_at = -math.inf
        self.identity: Version | None = None
        self._console: _Console | None = None
        self._where: Whereabouts | None = None
        self._wanted = port
        self._port = port or ""
        self._state, self._why = WAITING, ""
        self._noise = 0  # of connections that have ended
        self._reconnections = self._restarts = 0
        self._last_t: float | None = None
        self._last_at: float | None = None
        self._again_at = clock()
        self._pace = _Pace(clock())
        # Of this connection: when it began, the last report or line end sent, whether there was
        # a report.
        self._since = self._nudged = 0.0
        self._is_heard = False
        if port:
            check_port(port)
        else:
            self._find()

    def close(self) -> None:
        if self._console is not None:
            self._noise += self._noise_here
            console, self._console = self._console, None
            console.close()

    def give_up(self, why: str) -> None:
        """The connection is of no use any more; another is made soon."""
        self._give_up(WAITING, clean(why), _AGAIN_S)

    @property
    def _noise_here(self) -> int:
        """Lines dropped on this connection.  A prompt that has been asked for is none."""
        if self._console is None or (self._is_stopped and not self._is_heard):
            return 0
        return self._console.noise

    @property
    def _is_stopped(self) -> bool:
        return self._state in (PROMPT, SAFE_MODE)

    @property
    def standing(self) -> Standing:
        now = self._clock()
        return Standing(
            self._state,
            self._port,
            self._why,
            None if self._last_at is None else now - self._last_at,
            self._noise + self._noise_here,
            self._reconnections,
            self._restarts,
        )

    def step(self) -> Report | None:
        """Does what is next to do, for some 50 ms (patience_s); the report that has come, if one
        has."""
        if self._console is None:
            if self._clock() < self._again_at:
                time.sleep(self._patience_s)
            else:
                self._open()
            return None
        try:
            return self._look(self._console)
        except PortError as problem:
            if not self._console.is_at_prompt:
                self._give_up(WAITING, str(problem), _AGAIN_S)
            elif self._state == SAFE_MODE:
                self._give_up(SAFE_MODE, self._why, _PROMPT_AGAIN_S)
            else:
                self._give_up(PROMPT, str(problem), _PROMPT_AGAIN_S)
            return None

    def _find(self) -> bool:
        """Where the board is, if there is one."""
        try:
            self._port = board_port.find(self._wanted)
        except PortError as problem:
            self._why = str(problem)
            return False
        return True

    def _open(self) -> None:
        try:
            if self._where is not None:
                self._port = self._where.now()
            elif not self._find():
                self._again_at = self._clock() + _AGAIN_S
                return
            self._console = _Console(self._port, self._timeout, self._patience_s)
        except (PortError, InputError) as problem:
            # Boards that are plugged in later may be too many as well.
            self._give_up(WAITING, str(problem), _AGAIN_S)
            return
        self._where = Whereabouts(self._port)
        self._since = self._nudged = self._clock()
        self._is_heard = False
        self.identity, self._asked_at = None, -math.inf
        if self._is_stopped:
            self._nudged -= _SILENT_S
        else:
            self._state, self._why = OPEN, ""

    def _give_up(self, state: str, why: str, seconds: float) -> None:
        self.close()  # as long as the state is that of this connection
        self._state, self._why = state, why
        self._again_at = self._clock() + seconds

    def _look(self, console: _Console) -> Report | None:
        line = console.look()
        now = self._clock()
        if isinstance(line, Telemetry):
            if not self._pace.allows(now):
                self._noise += 1
                return None
            report = from_line(line)
            if self._last_t is not None and report.t < self._last_t:
                self.identity = None
            self._take_note(report, now)
            if self._asks_identity and self.identity is None and now - self._asked_at >= _ASK_S:
                self._asked_at = now
                console.send("version")
            return report
        # Whatever else comes, and be it without end.
        if now - self._since >= self._timeout:
            raise console.no_telemetry()
        if isinstance(line, SafeMode):
            self._state, self._why = SAFE_MODE, f"{self._port}: {SAFE_MODE_TEXT}"
        elif line is None:
            if not self._is_heard and now - self._nudged >= _SILENT_S:
                self._nudged = now
                console.send("")
        elif not isinstance(line, Answer):
            # An answer may be left from who was here before.
            self._noise += 1
        elif (
            line.reply == "version"
            and line.error is None
            and self.identity is None
            and self._asked_at > -math.inf
        ):
            # Only what has been asked for: nobody becomes another in the midst of a connection.
            self._identify(line)
        return None

    def _identify(self, answer: Answer) -> None:
        try:
            self.identity = decode(answer.line, Version, "the board's answer to `version`")
        except Misfit:
            self._noise += 1

    def _take_note(self, report: Report, now: float) -> None:
        if not self._is_heard and self._last_at is not None:
            self._reconnections += 1
        if self._last_t is not None and report.t < self._last_t:
            self._restarts += 1
        self._is_heard = True
        self._last_t, self._last_at, self._since = report.t, now, now
        self._state, self._why = LIVE, ""


def check_port(port: str) -> None:
    """InputError for a port that no board can ever be at."""
    if "://" not in port:
        path = Path(port)
        if os.name == "posix" and path.exists() and not path.is_char_device():
            raise InputError(f"{port}: is no serial port; {_LIKE}")
        return
    try:
        serial.serial_for_url(port, do_not_open=True)
        where = urlsplit(port)
        usable = where.scheme != "socket" or bool(where.hostname and where.port)
    except serial.SerialException:
        return  # hwgrep://…: what it describes is not there, and may be one day
    except (ValueError, TypeError, re.error):
        # TypeError: alt:// with the name of what is no port
        usable = False
    if not usable:
        raise InputError(f"{port}: is no port; {_LIKE}")
