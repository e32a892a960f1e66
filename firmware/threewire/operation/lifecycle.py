"""Why the board has started, what it survives, and how it ends.

Flow: restarts, stores' problems, crashes -> LIFECYCLE -> faults, event log, keeper, restarts.
"""

import sys
from io import StringIO

from micropython import const

_MINUTE_S = const(60)


class Lifecycle:
    """meter, keeper, faults, restarts, log   as their classes; log is the EventLog

    restart_wanted   the board is to start anew when this round is over
    """

    def __init__(self, meter, keeper, faults, restarts, log):
        self._meter = meter
        self._keeper = keeper
        self._faults = faults
        self._restarts = restarts
        self._log = log
        self._next_traceback = 0
        self._minute = 0  # metered ticks at which the start counts as a good one; 0: it does
        self.restart_wanted = False

    def note(self, what, old=None, new=None):
        """Adds an entry to the event log; returns whether that worked."""
        return self._log.append(self._meter.ticks // self._meter.tick_hz, what, old, new)

    def note_start(self, problems):
        """Takes note of why the board has started, and of stored data that could not be used."""
        if self._restarts.cause == "watchdog":
            self._faults.count("watchdog")
            self.note("restart by the watchdog")
        for problem in problems:
            self._faults.count("bad_record")
            self.note("bad record", None, problem)

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
            self._log.keep_traceback(traceback_of(problem))

    def crashed(self, problem):
        """Takes note of a crash in metering, after which the board restarts."""
        self._log.keep_traceback(traceback_of(problem))
        self._faults.count("exception")
        self.note("crash in metering", None, repr(problem))
        self._keeper.save()
        self._restarts.about_to_restart("exception")

    def end(self):
        """Metering has ended orderly: saves, and leaves a note that the reset that follows, now or
        from the prompt, is no fault."""
        self._meter.pause()
        self._keeper.save()
        self._restarts.about_to_restart("command")


def traceback_of(problem):
    text = StringIO()
    sys.print_exception(problem, text)
    return text.getvalue()
