"""UTC beside metered time, which it never steps: what is metered goes by the hardware's ticks.

Flow: NTP, console's `utc` -> UTC -> load profile.  It is unknown from a start on until it is set.
"""

from micropython import const

_US = const(1000000)
# For a drift: what the network's delays make of a shorter time is more than a crystal does.
_LONG_US = const(600000000)
# What no crystal does is no drift: it has been set to another time.
_JUMP_US = const(1000000)
_JUMP_PART = const(1000)


class Utc:
    """Time is in Unix microseconds; metered time in microseconds since the start, ticks_us().

    drift_ppb  by how many parts per billion the board's clock runs fast, from the first set to the
               last, which are ten minutes apart at least; None before
    EARLIEST_S  the year 2026: whoever tells a time before that has none
    on_change  called with the microseconds by which it has been moved, 0 where it was unknown;
               with None where it is unknown again
    """

    EARLIEST_S = 1767225600

    def __init__(self, meter):
        self._meter = meter
        self._ahead = None  # of metered time
        self._first = None  # metered time, and how far it was ahead then
        self.drift_ppb = None
        self.on_change = None

    def ticks_us(self):
        """Metered time now."""
        meter = self._meter
        return meter.ticks * _US // meter.tick_hz

    def set(self, unix_us, now_ticks_us):
        """It is, or was, unix_us at this metered time."""
        ahead = unix_us - now_ticks_us
        moved = 0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        first = self._first
        passed = now_ticks_us - first[0] if first else 0
        if not first or abs(ahead - first[1]) > _JUMP_US + passed // _JUMP_PART:
            self._first = now_ticks_us, ahead
            self.drift_ppb = None
        elif passed >= _LONG_US:
            self.drift_ppb = (first[1] - ahead) * 1000000000 // passed
        if self.on_change:
            self.on_change(moved)

    def forget(self):
        """Time has passed that was not metered."""
        self._ahead = self._first = self.drift_ppb = None
        if self.on_change:
            self.on_change(None)

    def at(self, ticks_us=None):
        """Unix seconds, whole, at this metered time or now; None while unknown."""
        if self._ahead is None:
            return None
        if ticks_us is None:
            ticks_us = self.ticks_us()
        return (ticks_us + self._ahead) // _US

    def ticks_at(self, seconds):
        """The first of the meter's ticks at which `at` gives these Unix seconds, while it is
        known."""
        return -((self._ahead - seconds * _US) * self._meter.tick_hz // _US)
