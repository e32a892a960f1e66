"""What an operator can see and change: meter, faults, log, calibration, registers, seal.

Flow: console's commands -> DESK -> keeper, stores, event log.  What needs the seal open is refused
by the commands, which also log it, before it comes here.
"""

import json
import sys
from io import StringIO

from micropython import const

from threewire.metering.calibration import from_dict
from threewire.operation.capture import Capture

_MINUTE_S = const(60)


class Desk:
    """version, board   of the firmware and its board's name
    sealed           False where the seal pin was at ground when the board started
    meter, keeper, faults, restarts   as their classes
    watch            FaultWatch
    calibration      the constants in force, as a mapping
    new_meter, port  what a capture needs: what makes a meter that has metered nothing, and where
                     its lines go
    capture          the Capture that is under way, or None
    """

    def __init__(
        self,
        version,
        layout,
        sealed,
        meter,
        keeper,
        faults,
        watch,
        restarts,
        log,
        constants,
        new_meter,
        port,
    ):
        self.version = version
        self.board = layout.name
        self.sealed = sealed
        self.meter = meter
        self.keeper = keeper
        self.faults = faults
        self.watch = watch
        self.restarts = restarts
        self.calibration = meter.calibration.to_dict()
        self._layout = layout
        self._log = log
        self._constants = constants
        self._new_meter = new_meter
        self._port = port
        self.capture = self._next_capture = None
        self.restart_wanted = False
        self._next_traceback = 0

    @property
    def active(self):
        """The faults there are now, as text."""
        return self.watch.active

    def log(self, what, old=None, new=None):
        return self._log.append(self.meter.ticks // self.meter.tick_hz, what, old, new)

    def log_lines(self):
        return self._log.lines()

    def traceback(self):
        return self._log.traceback()

    def note_start(self, problems):
        """Takes note of why the board has started, and of stored data that could not be used."""
        if self.restarts.cause == "watchdog":
            self.faults.count("watchdog")
            self.log("restart by the watchdog")
        for problem in problems:
            self.faults.count("bad_record")
            self.log("bad record", None, problem)

    def survived(self, problem):
        """Takes note of a crash beside metering.  One that comes again and again must not wear the
        flash: tracebacks are kept a minute apart, and counts when registers are saved."""
        self.faults.count("task")
        if self.meter.ticks >= self._next_traceback:
            self._next_traceback = self.meter.ticks + _MINUTE_S * self.meter.tick_hz
            self._log.keep_traceback(traceback_of(problem))

    def crashed(self, problem):
        """Takes note of a crash in metering, after which the board restarts."""
        self._log.keep_traceback(traceback_of(problem))
        self.faults.count("exception")
        self.log("crash in metering", None, repr(problem))
        self.keeper.save()
        self.restarts.about_to_restart("exception")

    def write_calibration(self, constants):
        """Stores constants, in force from the next start.  Raises ValueError."""
        from_dict(constants, self._layout)
        if not self._constants.save((self.board, json.dumps(constants).encode())):
            raise ValueError("not saved: " + self._constants.problem)

    def prepare_capture(self, seconds):
        """Makes the next capture ready, of "SECONDS" or "SECONDS.PART"; returns what there is to
        know of it, as a mapping.  Raises ValueError for another text, one of less than a frame,
        and where there is no memory for it."""
        whole, _, part = seconds.partition(".")
        part = (part + "000")[:3]
        if not (whole.isdigit() and part.isdigit() and len(whole) < 5):
            raise ValueError("SECONDS must be a number such as 2 or 0.5, less than 10000")
        milliseconds = int(whole + part)
        layout = self._layout
        frames = milliseconds * layout.tick_hz // (1000 * layout.frame_ticks)
        if not frames:
            raise ValueError("less than a frame")
        self._next_capture = None
        try:
            self._next_capture = Capture(layout, self._new_meter(), frames, self._port)
        except MemoryError:
            raise ValueError("no memory for a second meter; restart, then try again")
        return {
            "frames": frames,
            "board": self.board,
            "version": self.version,
            "slots": layout.slots,
            "tick_hz": layout.tick_hz,
            "frame_ticks": layout.frame_ticks,
            "calibration": self.calibration,
        }

    def begin_capture(self):
        """The capture that is ready gets what is metered from now on."""
        self.capture = self._next_capture
        self._next_capture = None

    def preset(self, name, wh):
        """Raises a register (keeper.NAMES).  Raises ValueError."""
        self.keeper.preset(name, wh)
        self.keeper.save()

    def save(self):
        return self.keeper.save()

    def restart(self):
        """The board starts anew when this turn is over."""
        self.restart_wanted = True

    def begin(self):
        """Metering begins, perhaps again after the prompt."""
        self.restart_wanted = False
        self.capture = self._next_capture = None
        self.restarts.take_back()

    def end(self):
        """Metering has ended orderly: saves, and leaves a note that the reset that follows, now or
        from the prompt, is no fault."""
        self.meter.pause()
        self.keeper.save()
        self.restarts.about_to_restart("command")


def traceback_of(problem):
    text = StringIO()
    sys.print_exception(problem, text)
    return text.getvalue()
