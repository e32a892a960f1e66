"""Why the board has started, what it survives, and how it ends.

Flow: restarts, stores' problems, crashes -> LIFECYCLE -> faults, event log, keeper, restarts.
"""

import sys
from io import StringIO

from micropython import const

_MINUTE_S = const(60)

# What happened by itself; what changed registers, constants or the lock; what stopped metering.
# Anybody can fill the last, operators the second.
LOGS = ("log", "changes", "visits")


class Lifecycle:
    """meter, keeper, faults, ledger, restarts   as their classes
    logs             an EventLog for each of LOGS, by its name
    sealed           whether the seal is closed

    restart_wanted   the board is to start anew when this round is over
    """

    def __init__(self, meter, keeper, faults, ledger, restarts, logs, sealed):
        self._meter = meter
        self._keeper = keeper
        self._faults = faults
        self._ledger = ledger
        self._restarts = restarts
        self._logs = logs
        self._sealed = sealed
        self._next_traceback = 0
        self._minute = 0  # metered ticks at which the start counts as a good one; 0: it does
        self.restart_wanted = False

    def note(self, what, old=None, new=None, log="log"):
        """Adds an entry to the log of this name; returns whether that worked."""
        ticks = self._meter.ticks
        if not self._ledger.can_log(ticks):
            return False
        return self._logs[log].append(ticks // self._meter.tick_hz, what, old, new)

    def note_start(self, problems, set_aside):
        """Takes note of why the board has started, of stored data that could not be used, and of
        constants that are another board's, which is no fault: they may stay for ever."""
        if self._restarts.cause == "watchdog":
            self._faults.count("watchdog")
            self.note("restart by the watchdog")
        elif self._restarts.cause == "panic":
            self._faults.count("exception")
            self.note("restart by a panic")
        self._faults.count("bad_record", len(problems))
        for what, found in (("bad record", problems), ("constants set aside", set_aside)):
            for problem in found:
                # A supply that fails again and again shall not write the same again and again.
                if not self._logs["log"].has(problem):
                    self.note(what, None, problem)

    def begin(self):
        """Metering begins, perhaps again after the prompt."""
        self.restart_wanted = False
        self._minute = self._meter.ticks + _MINUTE_S * self._meter.tick_hz
        self._restarts.take_back()

    def look_after(self):
        """To be called now and then: a minute of metering ends a row of restarts."""
        if self._minute and self._meter.ticks >= self._minute:
            self._minute = 0
            self._restarts.minute_passed()

    def survived(self, problem):
        """Takes note of a crash beside metering.  One that comes again and again must not wear the
        flash: tracebacks are kept a minute apart, and counts when registers are saved."""
        self._faults.count("task")
        if self._meter.ticks >= self._next_traceback:
            self._next_traceback = self._meter.ticks + _MINUTE_S * self._meter.tick_hz
            self._keep_traceback(problem)

    def crashed(self, problem):
        """Takes note of a crash in metering, after which the board restarts."""
        self._keep_traceback(problem)
        self._faults.count("exception")
        self.note("crash in metering", None, repr(problem))
        self._keeper.save()
        self._restarts.about_to_restart("exception")

    def stays(self):
        """Why metering does not stop for Ctrl-C now; "" if it does."""
        if not self._sealed:
            return ""
        if self._keeper.is_locked:
            return "locked: connect the board's seal pin to ground and restart"
        try:
            self._ledger.check(self._meter.ticks)
        except ValueError as problem:
            return str(problem)
        return ""

    def check_restart(self):
        """Raises ValueError when a command may not restart the board now."""
        if self._sealed:
            self._ledger.check_restart(self._meter.ticks)

    def restart(self):
        """The board is to start anew when this round is over."""
        if self._sealed:
            self._ledger.restarted()
        self.restart_wanted = True

    def end(self, why):
        """Metering has ended orderly, for the "prompt" or a "restart": saves, logs that, and
        leaves a note that the reset that follows, now or from the prompt, is no fault."""
        self._meter.pause()
        self._ledger.count(why)
        self._keeper.save()
        self.note(why, log="visits")
        self._restarts.about_to_restart("command")

    def _keep_traceback(self, problem):
        if self._ledger.can_log(self._meter.ticks):
            text = StringIO()
            sys.print_exception(problem, text)
            self._logs["log"].keep_traceback(text.getvalue())
