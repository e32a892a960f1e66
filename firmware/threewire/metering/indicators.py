"""The three lamps of the Series 1000: two green ones locked to the register, a red one for reverse
flow.

Flow: registers, reverse rule -> INDICATORS -> pins.  The green lamps are functions of the
delivered register alone, so they show the same after any restart.
"""

from micropython import const

_KWH_HALF_WH = const(500)  # 1000 Wh a cycle: 500 on, 500 off
_TEN_HALF_WH = const(5)  # 10 Wh a cycle: 5 on, 5 off


def kwh_lit(delivered_wh):
    """State of the left green lamp at this many whole watt-hours."""
    return delivered_wh // _KWH_HALF_WH & 1 == 0


def ten_lit(delivered_wh):
    """State of the right green lamp at this many whole watt-hours."""
    return delivered_wh // _TEN_HALF_WH & 1 == 0


def before_edge(delivered_wh):
    """Whether one watt-hour more makes an edge."""
    return delivered_wh % _TEN_HALF_WH == _TEN_HALF_WH - 1


class ReverseRule:
    """Whether an element's power flows backwards: on below minus the starting power over the last
    second, off again above minus half of it."""

    def __init__(self, starting_raw, tick_hz):
        self._second = tick_hz
        self._starting = starting_raw
        self.reversed = False

    def judge(self, raw, ticks):
        """Takes the element's energy over the last second (ticks long, at least tick_hz)."""
        if self.reversed:
            self.reversed = 2 * raw * self._second <= -self._starting * ticks
        else:
            self.reversed = raw * self._second < -self._starting * ticks
