"""When the registers are saved: often enough that little is lost, seldom enough for the flash.

Flow: registers -> SAVE POLICY -> store.  A save is due 60 s after the last one; or once 10 Wh have
moved or a fault was counted, but not within 10 s (longer where the flash endures less); or at once
when the voltage collapses.
"""

from micropython import const

_LONGEST_S = const(60)
_SHORTEST_S = const(10)
_STEP_WH = const(10)
# Three quarters of what the flash endures: the rest is for collapses, and for all others.
_SHARED_S = const(115200)  # of a day, 86400 s


class SavePolicy:
    """Goes by the meter's own time.

    tick_hz   ticks in a second
    saves_a_day  that the flash endures
    ticks     now
    moved_wh  whole watt-hours delivered and received, together, of what is saved: decreases by the
              commissioning zero alone, which is saved at once
    """

    def __init__(self, tick_hz, saves_a_day, ticks, moved_wh):
        self._longest = _LONGEST_S * tick_hz
        self._shortest = max(_SHORTEST_S * tick_hz, _SHARED_S * tick_hz // saves_a_day)
        self._urgent = False
        # Bounds are made once a save, so that asking allocates nothing.
        self._note(ticks)
        self._step_wh = moved_wh + _STEP_WH

    def due(self, ticks, moved_wh, is_wanted=False):
        """Whether to save now; is_wanted: something else than energy has changed."""
        if self._urgent:
            return True
        if ticks < self._soonest:
            return False
        return is_wanted or moved_wh >= self._step_wh or ticks >= self._latest

    def gasp(self):
        """The voltage has collapsed: a save is due at once."""
        self._urgent = True

    def tried(self, ticks, moved_wh, saved):
        """A save has just been made, of registers at moved_wh; `saved` tells whether it worked.

        One that failed is due again like one that energy wants, not at once: trying costs erasures
        and time too.
        """
        self._urgent = False
        self._note(ticks)
        if saved:
            self._step_wh = moved_wh + _STEP_WH
        else:
            self._latest = self._soonest

    def _note(self, ticks):
        self._soonest = ticks + self._shortest
        self._latest = ticks + self._longest
