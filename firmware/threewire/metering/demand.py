"""Demand: the mean net power over each quarter of an hour, and its extremes.

Flow: windows -> DEMAND -> telemetry.  Quarters are counted in metered time from the first frame
after start, or from a commissioning zero: the board has no calendar.  A quarter ends with the
first window that reaches its 900 s, so that it is at most a window late and no lateness adds up.
"""

from micropython import const

from threewire.metering.readings import mean_uw

INTERVAL_S = const(900)


class Demand:
    """Powers in microwatts, positive delivered; None before there has been a whole interval.

    mean_uw            of the last whole interval
    least_uw, most_uw  of the seconds in it
    peak_uw            greatest of all intervals' means
    """

    def __init__(self, tick_hz):
        self._tick_hz = tick_hz
        self.begin(0)

    def begin(self, now):
        """The first interval begins at the metered time `now`; what was before is forgotten."""
        self._end = now + INTERVAL_S * self._tick_hz
        self.mean_uw = self.least_uw = self.most_uw = self.peak_uw = None
        self._restart()

    def _add_second(self):
        self._raw += self._second_raw
        self._ticks += self._second_ticks
        self._second_raw = self._second_ticks = 0

    def _restart(self):
        self._raw = self._ticks = 0
        self._second_raw = self._second_ticks = 0
        self._least = self._most = None

    def window(self, raw, ticks, now):
        """Takes the net raw energy of a window of `ticks`, which ended at the metered time
        `now`."""
        self._second_raw += raw
        self._second_ticks += ticks
        if self._second_ticks >= self._tick_hz:
            uw = mean_uw(self._second_raw, self._second_ticks << 12)
            self._add_second()
            if self._least is None or uw < self._least:
                self._least = uw
            if self._most is None or uw > self._most:
                self._most = uw
        if now >= self._end:
            self._add_second()
            length = INTERVAL_S * self._tick_hz
            self._end += length * ((now - self._end) // length + 1)
            self.mean_uw = mean_uw(self._raw, self._ticks << 12)
            self.least_uw = self._least
            self.most_uw = self._most
            if self.peak_uw is None or self.mean_uw > self.peak_uw:
                self.peak_uw = self.mean_uw
            self._restart()
