"""The three LEDs of the Series 1000: two green ones locked to the register, a red one for reverse
flow.

Flow: registers, reverse rules -> INDICATORS -> pins.  The green LEDs are functions of the
delivered register alone, so they show the same after any restart.
"""

from micropython import const

_KWH_HALF_WH = const(500)  # 1000 Wh a cycle: 500 on, 500 off
_TEN_HALF_WH = const(5)  # 10 Wh a cycle: 5 on, 5 off


def kwh_lit(delivered_wh):
    """State of the left green LED at this many whole watt-hours."""
    return delivered_wh // _KWH_HALF_WH & 1 == 0


def ten_lit(delivered_wh):
    """State of the right green LED at this many whole watt-hours."""
    return delivered_wh // _TEN_HALF_WH & 1 == 0


class Indicators:
    """What the LEDs show.

    on_edge   called as on_edge(name, lit, ticks) when one changes ("kwh", "ten", "reverse"), or
              None

    lit       name -> whether it is on
    shown_wh  watt-hours that the green LEDs show
    last_wh   the last before their next edge
    """

    def __init__(self, on_edge):
        self._on_edge = on_edge
        self.shown_wh = 0
        self.last_wh = _TEN_HALF_WH - 1
        self.lit = {"kwh": True, "ten": True, "reverse": False}

    def show_register(self, delivered, ticks):
        """Shows the delivered Register as it stands at `ticks`."""
        if delivered.wh != self.shown_wh:
            self._show_wh(delivered.wh, ticks)

    def show_half(self, delivered, raw, ticks):
        """Half a cycle has brought `raw` more, which the register takes with the other half.

        The register waits for the cycle's net.  Counted from a zero crossing, half a cycle has
        half the cycle's energy whatever the power factor, so edges come within half a cycle and
        the register confirms them.  Where it does not, because the flow has turned since, the
        LEDs go back to it.
        """
        if raw > 0:
            self._show_wh(delivered.wh_with(raw), ticks)

    def show_reverse(self, rules, ticks):
        """Shows whether any element's flow is reversed, of its ReverseRules."""
        self._show("reverse", rules[0].reversed or rules[1].reversed, ticks)

    def _show_wh(self, wh, ticks):
        self.shown_wh = wh
        self.last_wh = wh - wh % _TEN_HALF_WH + _TEN_HALF_WH - 1
        self._show("ten", ten_lit(wh), ticks)
        self._show("kwh", kwh_lit(wh), ticks)

    def _show(self, name, lit, ticks):
        if self.lit[name] != lit:
            self.lit[name] = lit
            if self._on_edge:
                self._on_edge(name, lit, ticks)


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
