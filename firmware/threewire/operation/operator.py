"""What an operator can see and change: meter, faults, log, calibration, registers, seal.

Flow: console's commands -> OPERATOR -> keeper, stores, event log, captures, lifecycle.  What needs
the seal open is refused by the commands before it comes here; they also log it, but for the
commissioning zero, whose old values must be in the log before they are gone.
"""

import json
import sys

from threewire.transient import let_go


class Operator:
    """version, board   of the firmware and its board's name
    board_id         the one board of this name that it is, in hexadecimal digits
    sealed           False where the seal pin was at ground when the board started
    meter, sag, keeper, faults   as their classes
    calibration      the constants in force, as a mapping
    profile          LoadProfile, or None
    more             commands of what is there on some boards only, as the console's table has them

    fault_finder, ledger, logs, constants, captures, lifecycle   FaultFinder, Ledger, an EventLog
                     for each of lifecycle's LOGS, Store of the constants, Captures and Lifecycle
    """

    profile = None
    more = ()

    def __init__(
        self,
        version,
        layout,
        board_id,
        sealed,
        meter,
        sag,
        keeper,
        faults,
        fault_finder,
        ledger,
        logs,
        constants,
        captures,
        lifecycle,
    ):
        self.version = version
        self.board = layout.name
        self.board_id = board_id
        self.sealed = sealed
        self.meter = meter
        self.sag = sag
        self.keeper = keeper
        self.faults = faults
        self.calibration = meter.calibration.to_dict()
        self._layout = layout
        self._fault_finder = fault_finder
        self._ledger = ledger
        self._logs = logs
        self._constants = constants
        self._captures = captures
        self._lifecycle = lifecycle

    @property
    def active(self):
        """The faults there are now, as text."""
        return self._fault_finder.active

    @property
    def locked(self):
        return self.keeper.is_locked

    @property
    def counts(self):
        """How often each of the ledger's KINDS was done."""
        return self._ledger.counts

    def note(self, what, old=None, new=None):
        """As Lifecycle.note, of a change."""
        return self._lifecycle.note(what, old, new, "changes")

    def check(self):
        """Raises ValueError when a command may not write to the flash now."""
        self._ledger.check(self.meter.ticks)

    def log_lines(self, name):
        """Of one of lifecycle's LOGS."""
        return self._logs[name].lines()

    def traceback(self):
        return self._logs["log"].traceback()

    def write_calibration(self, constants):
        """Stores constants, in force from the next start.  Raises ValueError."""
        # As its text, it is in memory only while it is needed: a board is calibrated once.
        before = set(sys.modules)
        from threewire.metering.calibration import from_dict

        try:
            from_dict(constants, self._layout)
        finally:
            for name in set(sys.modules) - before:
                let_go(name)
        # Counted first: a loss of power between the two leaves a change counted, not a change
        # without a trace.
        self._count("calibrate")
        if not self._constants.save((self.board, json.dumps(constants).encode())):
            raise ValueError("not saved: " + self._constants.problem)

    def prepare_capture(self, seconds):
        """As Captures.prepare; returns what there is to know of the capture, as a mapping."""
        layout = self._layout
        return {
            "frames": self._captures.prepare(seconds),
            "board": self.board,
            "id": self.board_id,
            "version": self.version,
            "slots": layout.slots,
            "tick_hz": layout.tick_hz,
            "frame_ticks": layout.frame_ticks,
            "calibration": self.calibration,
        }

    def begin_capture(self):
        """The capture that is ready gets what is metered from now on."""
        self._captures.begin()

    def quiet(self, seconds):
        """The serial line leaves out so many reports, one a second, from now on."""
        self._captures.quiet = seconds

    def demo(self):
        """As Captures.prepare_demo."""
        return self._captures.prepare_demo()

    def preset(self, name, wh):
        """Raises a register (of registers.NAMES).  Raises ValueError."""
        self.keeper.preset(name, wh)
        self._count("preset")

    def clear_faults(self):
        self.faults.clear()
        self._count("clear faults")

    def lock(self, locked):
        """Whether Ctrl-C is not to stop metering while the seal is closed."""
        self.keeper.is_locked = locked
        self._count("lock" if locked else "unlock")

    def commissioning_zero(self):
        """As commissioning.zero."""
        # A board needs it once: it takes no memory before.
        from threewire.operation.commissioning import zero

        return zero(self)

    def voltage_events(self):
        """As voltage_events.pieces."""
        from threewire.operation.voltage_events import pieces

        return pieces(self.sag)

    def save(self):
        return self.keeper.save()

    def check_restart(self):
        """As Lifecycle.check_restart."""
        self._lifecycle.check_restart()

    def restart(self):
        """As Lifecycle.restart."""
        self._lifecycle.restart()

    def _count(self, kind):
        """Counts and saves."""
        self._ledger.count(kind)
        self.keeper.save()
