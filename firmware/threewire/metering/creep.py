"""The no-load gate: an element registers only what a real load draws, and then all of it.

Flow: accumulator -> CREEP -> registers.  The gate looks at an element's watts over at least a
second, never at amperes.  While it is shut energy is held back; when it opens, what was held over
this second and the one before it is let through, so that a load's first second counts.
"""

import micropython


class CreepGate:
    """Gate of one element.

    starting_raw   raw energy of one second at the starting power
    tick_hz        ticks in a second

    It opens as soon as the energy held is what half the starting power gives in a whole second (a
    load of 24 times the starting power opens it within 21 ms), and shuts after a second whose mean
    is under a quarter of it.
    """

    def __init__(self, starting_raw, tick_hz):
        self._second = tick_hz
        self._open_at = starting_raw // 2
        self._shut_below = starting_raw // 4
        self._ticks = 0
        self._sum = 0  # of this second
        self._held = 0  # of the second before, while shut...
        self._held_ticks = 0  # ...and its length
        self.is_open = False

    @micropython.native
    def passed(self, raw, ticks):
        """Energy that counts now, given what came in over `ticks` ticks."""
        if self.is_open:
            return raw
        self._ticks += ticks
        self._sum += raw
        held = abs(self._sum)
        # Over more than a second (energy estimated for a gap) it is the mean that counts.
        if held >= self._open_at and held * self._second >= self._open_at * self._ticks:
            return self._open()
        if self._ticks >= self._second:
            self._held = self._sum
            self._held_ticks = self._ticks
            self._sum = 0
            self._ticks = 0
        return 0

    def judge(self, raw, ticks):
        """Takes the element's energy over the last second (ticks long, at least tick_hz)."""
        if self.is_open and abs(raw) * self._second < self._shut_below * ticks:
            self.is_open = False

    def finish(self):
        """Energy that counts when metering ends before the second does: the mean over what there
        is, with the second before if there was one, decides.
        """
        raw = self._sum + self._held
        ticks = self._ticks + self._held_ticks
        if not self.is_open and abs(raw) * self._second >= self._open_at * ticks > 0:
            return self._open()
        return 0

    def _open(self):
        self.is_open = True
        raw = self._sum + self._held
        self._sum = 0
        self._held = 0
        self._held_ticks = 0
        self._ticks = 0
        return raw
