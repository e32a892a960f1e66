"""Demand: the mean net power over each quarter of an hour, and its extremes.

Flow: windows -> DEMAND -> telemetry.  Quarters are counted in metered time from the first frame
after start, or from a commissioning zero: the board has no calendar.  A quarter ends with the
first window that reaches its 900 s, so that it is at most a window late and no lateness adds up.
"""

from array import array

from micropython import const

from threewire.metering.readings import mean_uw
from threewire.metering.wide import WORDS, number, put
from threewire.metering.window_words import join

INTERVAL_S = const(900)


class Demand:
    """Powers in microwatts, positive delivered; None before there has been a whole interval.

    mean_uw            of the last whole interval
    least_uw, most_uw  of the seconds in it
    peak_uw            greatest of all intervals' means
    """

    def __init__(self, tick_hz):
        self._tick_hz = tick_hz
        # Of the windows since the last whole second.
        self._words = array("H", bytes(4 * WORDS))  # energies of elements 1 and 2, as in wide
        self._second_ticks = 0
        self._raw = self._ticks = 0
        self.begin(0)

    def begin(self, now):
        """The first interval begins at the metered time `now`; what was before is forgotten."""
        self._end = now + INTERVAL_S * self._tick_hz
        self.mean_uw = self.least_uw = self.most_uw = self.peak_uw = None
        self._restart()

    def _restart(self):
        self._take()
        self._raw = self._ticks = 0
        self._least = self._most = None

    def _take(self):
        """(raw energy, ticks) since this was called last."""
        words = self._words
        raw = number(words, 0) + number(words, WORDS)
        ticks = self._second_ticks
        put(words, 0, 0)
        put(words, WORDS, 0)
        self._second_ticks = 0
        self._raw += raw
        self._ticks += ticks
        return raw, ticks

    def window(self, raw, ticks, now):
        """Takes the net raw energy of a window of `ticks`, which ended at the metered time
        `now`."""
        put(self._words, 0, number(self._words, 0) + raw)
        self._pass(ticks, now)

    def add(self, words, ticks, now):
        """Likewise those of element 1 and 2, as in wide, at words[0]: quicker on a chip."""
        join(self._words, words, 2)
        self._pass(ticks, now)

    def _pass(self, ticks, now):
        self._second_ticks += ticks
        if self._second_ticks >= self._tick_hz:
            raw, ticks = self._take()
            uw = mean_uw(raw, ticks << 12)
            if self._least is None or uw < self._least:
                self._least = uw
            if self._most is None or uw > self._most:
                self._most = uw
        if now >= self._end:
            self._take()
            length = INTERVAL_S * self._tick_hz
            self._end += length * ((now - self._end) // length + 1)
            self.mean_uw = mean_uw(self._raw, self._ticks << 12)
            self.least_uw = self._least
            self.most_uw = self._most
            if self.peak_uw is None or self.mean_uw > self.peak_uw:
                self.peak_uw = self.mean_uw
            self._restart()
