"""Restarts in a row: a crash in metering restarts the board, too many of them end in safe mode.

Flow: reset cause, the note of the run before -> RESTARTS (with a store of its own) -> main.  A row
is of crashes with less than a minute of metering between them.  A power-on or a command ends it: a
failing supply must not end in safe mode, and whoever turns the power off and on again has a way
out of it.
"""

from micropython import const

# The first of them is never noted: it stands for no note.  A panic is a crash of MicroPython
# itself, of which only the chip can tell.
CAUSES = ("power", "watchdog", "exception", "command", "panic")
_NOTED = const(4)
_SAFE_MODE = const(5)
_MOST = const(0x7FFFFFFF)


class Restarts:
    """store   a Store of REGISTERS for this alone
    cause        of this start, once it has begun
    streak       restarts in a row
    watchdogs, exceptions   restarts of these causes since ever
    problems     one line for each slot of the store that could not be used
    """

    def __init__(self, store):
        self._store = store
        values, _, self.problems = store.load()
        values = [min(value, _MOST) for value in (values or [])[:4]]
        values += [0] * (4 - len(values))
        self.streak, self.watchdogs, self.exceptions, self._note = values
        self.cause = ""
        self._saved = True

    def begin(self, cause):
        """The board has started; returns whether this is safe mode: metering is not to be tried.

        cause  one of CAUSES as the chip tells it.  A note comes first: to the chip a reset by the
               program may look like any other.
        """
        if 0 < self._note < _NOTED:
            cause = CAUSES[self._note]
        self.cause = cause
        is_new = self._note or self.streak
        self._note = 0
        if cause in ("watchdog", "exception", "panic"):
            is_new = True
            self.streak = min(self.streak + 1, _MOST)
            if cause == "watchdog":
                self.watchdogs = min(self.watchdogs + 1, _MOST)
            else:
                self.exceptions = min(self.exceptions + 1, _MOST)
        else:
            self.streak = 0
        # A failing supply, which starts the board again and again, shall not wear the flash.
        if is_new:
            self._save()
        return self.streak >= _SAFE_MODE

    def about_to_restart(self, cause):
        """Leaves a note, "exception" or "command", for the start after the reset that follows.
        Returns whether that worked; a watchdog, or a reset without a note, is what the chip says.
        """
        self._note = CAUSES.index(cause)
        return self._save()

    def take_back(self):
        """What a note was left for does not happen: metering goes on."""
        if self._note:
            self._note = 0
            self._save()

    def minute_passed(self):
        """A minute has been metered since the start, or since this was last called."""
        if self.streak or not self._saved:
            self.streak = 0
            self._save()

    def _save(self):
        values = [self.streak, self.watchdogs, self.exceptions, self._note]
        self._saved = self._store.save(values)
        return self._saved
