"""The board that is calibrated: what it is, what it reads, and new constants put on it.

Flow: board console -> BOARD (readings) -> calibrate; constants -> BOARD ->
board console, restart, and a look at what is in force then.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from threewire.metering.calibration import CalibrationError, from_dict
from threewire.metering.layout import Layout
from threewire.operation.console import LONGEST
from tools.cable import port as board_port
from tools.cable.console import BoardConsole, started
from tools.cable.port import IN_ALL, Whereabouts
from tools.cable.shapes import InForce, Restarting, Seal, Telemetry, Version
from tools.common import boards
from tools.common.command import say
from tools.common.errors import InputError, PortError, Refused
from tools.solve.fit import Floats

T = TypeVar("T")

_QUANTITIES = ("volts", "amps", "watts", "var")
# A steady load's readings, from the least to the most, as a part of their mean.
_STEADY = 0.005
# Lines that tell of a time before now: one is on its way, and the second that the next one tells
# of ends with a window of 0.2 s and so begins early.
_STALE = 2

_AS_IT_WAS = "nothing was changed, the old constants are in force"
_UNKNOWN = (
    "the old constants are in force until it restarts; whether the new ones were stored is not "
    "known: see its `calibration` after that"
)
_STORED = "the new constants are stored, and in force from its next start"


@dataclass(frozen=True)
class Reading:
    """What the board read over some lines.

    rows   (lines, 2, 4): volts, amps, watts and var of both elements
    hertz  mean; 0 without voltage
    """

    rows: Floats
    hertz: float

    def of(self, element: int) -> Floats:
        """(lines, 4) of element 1 or 2."""
        return self.rows[:, element - 1]

    def unsteady(self, element: int) -> str:
        """What varied by more than the readings of a steady load do, in words; else nothing."""
        rows = self.of(element)[:, :3]
        spread = np.ptp(rows, axis=0) / np.maximum(np.abs(rows.mean(axis=0)), 1e-9)
        return ", ".join(
            f"{what} by {100 * part:.1f} %"
            for what, part in zip(_QUANTITIES, spread.tolist())
            if part > _STEADY
        )


class Board(contextlib.ExitStack):
    """A board that meters.  Use it as a context manager.

    port, timeout  as the options give them

    name, layout  its board file's
    id            which one of this name it is
    in_force      the constants that it meters with
    sealed        whether it refuses others
    restarts      how often its metered time has begun anew while lines were read

    Raises PortError when it is gone, does not answer, or is not what the host's files are for.
    """

    name: str
    id: str
    layout: Layout
    in_force: dict[str, Any]

    def __init__(self, port: str | None, timeout: float) -> None:
        super().__init__()
        self.port = board_port.find(port)
        self._timeout = timeout
        self._where = Whereabouts(self.port)
        self.restarts = 0
        self._t = 0.0
        self._console = BoardConsole(self.port, timeout)
        self.callback(lambda: self._console.close())
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        version = self._ask("version", Version)
        self.name, self.id = version.board, version.id
        self.sealed = self._ask("seal", Seal).sealed
        try:
            self.layout = boards.load(self.name)
        except InputError as problem:
            raise self._other_release(problem) from None
        self.in_force = self._look_in_force()

    def _look_in_force(self) -> dict[str, Any]:
        """The constants in force, all that there are for such a board."""
        found = self._ask("calibration", InForce).calibration
        try:
            return from_dict(found, self.layout).to_dict()
        except CalibrationError as problem:
            raise self._other_release(problem) from None

    def _other_release(self, problem: Exception) -> PortError:
        return PortError(
            f"{self.port}: the board's firmware is not of this release ({problem}): flash it "
            "(`make flash BOARD=…`)"
        )

    def _ask(self, command: str, shape: type[T]) -> T:
        try:
            return self._console.ask(command, shape)
        except Refused as problem:
            raise PortError(f"{self.port}: the board refuses `{command}`: {problem}") from None

    @property
    def seal(self) -> str:
        """Where the seal is, and how it is opened."""
        pin = boards.module(self.name).SEAL
        return f"connect its seal pin (GPIO{pin}) to ground and restart it"

    # ---- readings

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Reads on meanwhile and drops it: who keeps a port open without reading it makes the
        board wait with every piece that it writes."""
        done = threading.Event()
        failed: list[PortError] = []

        def drop() -> None:
            try:
                while not done.is_set():
                    found = self._console.poll()
                    if isinstance(found, Telemetry):
                        self._see(found)
            except PortError as problem:
                failed.append(problem)

        reader = threading.Thread(target=drop, daemon=True)
        reader.start()
        try:
            yield
        finally:
            done.set()
            reader.join()
        if failed:
            raise failed[0]

    def _see(self, report: Telemetry) -> Telemetry:
        if report.t < self._t:
            self.restarts += 1
        self._t = report.t
        return report

    def settle(self) -> None:
        """Lets the lines go by that tell of what was before now."""
        for _ in range(_STALE):
            self.line()

    def line(self) -> Telemetry:
        """The next line of telemetry."""
        return self._see(self._console.report())

    def deadline(self, seconds: float, what: str) -> Callable[[], None]:
        """Of what takes the board so many seconds: a check that raises PortError when it has taken
        twice as long and 20 times what an answer may take. A board that is emulated is slow."""
        most = 2 * seconds + IN_ALL * self._timeout
        end = time.monotonic() + most

        def check() -> None:
            if time.monotonic() >= end:
                raise PortError(
                    f"{self.port}: {what} was not done within {most:g} s; where the board is that "
                    "slow, allow it more (--timeout)"
                )

        return check

    def read(self, lines: int) -> Reading:
        """The readings of so many seconds from now on. Tells of faults that there are."""
        rows, hertz = [], []
        active: dict[str, None] = {}
        check = self.deadline(lines, f"reading of {lines} s")
        for _ in range(lines):
            check()
            report = self.line()
            rows.append([[getattr(e, q) for q in _QUANTITIES] for e in report.elements])
            hertz.append(report.hertz)
            active |= dict.fromkeys(report.known.active)
        if active:
            say(f"the board tells of faults: {', '.join(active)}")
        return Reading(np.array(rows), float(np.mean(hertz)))

    # ---- constants

    def put(self, constants: dict[str, Any]) -> None:
        """Stores constants, restarts the board and sees them in force.

        PortError, and what is told at Ctrl-C, ends with what is in force then.
        """
        command = command_for(constants)
        state = _AS_IT_WAS
        try:
            try:
                stored = self._console.ask(command, InForce)
            except Refused as problem:
                raise PortError(f"{self.port}: the board refuses them: {problem}") from None
            except (PortError, KeyboardInterrupt):
                state = _UNKNOWN
                raise
            if stored.calibration != constants:
                state = _UNKNOWN
                raise PortError(f"{self.port}: the board has understood other constants")
            state = _STORED
            say("stored; the board restarts")
            # The connection may end before the answer comes; what is in force tells then.
            with suppress(PortError):
                self._ask("restart", Restarting)
            self._console.close()
            self._console = started(self._where, self._timeout)[0]
            self.in_force = self._look_in_force()
        except PortError as problem:
            raise PortError(f"{problem}; {state}") from None
        except KeyboardInterrupt:
            say(state)
            raise
        self._t = 0.0
        wanted = from_dict(constants, self.layout).to_dict()
        wrong = [
            key for key in wanted | self.in_force if wanted.get(key) != self.in_force.get(key)
        ]
        if wrong:
            raise PortError(
                f"{self.port}: the board meters with other constants ({', '.join(wrong)}), though "
                "it was told to restart: see its `log` and `faults`"
            )


def command_for(constants: dict[str, Any]) -> str:
    """The console's command that stores constants. Raises InputError when it is too long."""
    command = "calibrate " + json.dumps(constants, separators=(",", ":"))
    if len(command.encode()) > LONGEST:
        raise InputError(
            f"these constants take {len(command.encode())} bytes, the board's console {LONGEST} "
            "at most: leave out rows of the tables"
        )
    return command
