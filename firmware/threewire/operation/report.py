"""What the meter says once a second: a snapshot, and names, units and places of what is in it.

Flow: meter, faults -> REPORT -> outlets (serial line).  Names are those of the host's replay and
monitor too, which take them from here.
"""

from micropython import const

from threewire.metering.reactive import Quadrants
from threewire.metering.readings import Reading, Total
from threewire.metering.registers import wh_parts

# Decimal strings, Wh, nine places; varh: of quadrants I to IV.
ENERGIES = ("delivered_wh", "received_wh")
VARH = "varh"
# Of an element and of the total: name -> places as published.
POWERS = ("watts", "var", "va", "power_factor")
# Of an element besides: volts and amps, three places as the powers have.
RMS = ("volts", "amps")
# And what the mains frequency alone makes: watts, and distortion in percent or null.
FUNDAMENTAL = ("fundamental_watts", "volts_thd_percent", "amps_thd_percent")
# The others have three.
PLACES = {"power_factor": 4, "volts_thd_percent": 2, "amps_thd_percent": 2}
LEDS = ("kwh", "ten", "reverse")
# Places in what is kept of a report, behind those of registers.NAMES.
_OF_ESTIMATED = const(6)
_OF_QUADRANTS = const(8)
# Watts, or null before there has been an interval.
DEMAND = ("watts", "least", "most", "peak")
# Of what the loop tells of itself; the first has one place, the others none.
EFFORT = ("busy_percent", "ring_ms", "line_late_ms", "save_ms", "collection_ms")
ESTIMATED = ("estimated_delivered_wh", "estimated_received_wh")


class Report:
    """A meter that has a `second`, as it was when this was made; readings are those of its last
    second.

    faults  Faults, or None; active: those there are, as text
    effort  what the loop tells of itself (Loop), or None
    demo    Demo, whose the lamps are, or None
    kept    a dict that is kept from one report to the next: what has not changed since then is
            not made anew, which takes a chip a millisecond each

    ticks, tick_hz   metered time
    reversed         of each element
    leds             name (LEDS) -> whether it is lit
    lost_frames, faults, active, demand, effort, demo, kept
    """

    def __init__(self, meter, faults=None, active=(), kept=None, effort=None, demo=None):
        self._meter = meter
        self.kept = kept = {} if kept is None else kept
        self._window = meter.second
        self._readings = [None, None, None]  # of each element, and the doctor's
        self.ticks = meter.ticks
        self.tick_hz = meter.tick_hz
        # Values, not copies: those take milliseconds of a chip.
        self._registers = [of.snapshot() for _, of in meter.registers.named()]
        estimated = meter.estimated
        self._estimated = estimated.delivered.snapshot(), estimated.received.snapshot()
        self._quadrants = meter.reactive.snapshot()
        self.reversed = [rule.reversed for rule in meter.rules]
        self.leds = dict(meter.indicators.lit)
        self.lost_frames = meter.lost_frames
        self.demand = meter.demand
        self.faults = faults
        self.active = active
        self.effort = effort
        self.demo = demo

    def wh(self, k):
        """(whole watt-hours, billionths of one) of the register at place k of registers.NAMES."""
        return self._part(k, self._registers[k], self._meter.registers.raw_per_wh)

    def estimated_wh(self, k):
        """Likewise what has been estimated of the total's, delivered and received (k: 0, 1)."""
        return self._part(_OF_ESTIMATED + k, self._estimated[k], self._meter.registers.raw_per_wh)

    def varh(self, which):
        """Likewise quadrants I to IV of element 1, 2 (which: 0, 1) or the total."""
        known = self.kept.get(_OF_QUADRANTS)
        if not known:
            self.kept[_OF_QUADRANTS] = known = Quadrants(self._meter.reactive.raw_per_varh)
        return known.of(self._quadrants, which)

    def _part(self, place, value, unit):
        known = self.kept.get(place)
        if not known or known[0] != value:
            self.kept[place] = known = value, wh_parts(value, unit)
        return known[1]

    def reading(self, k):
        """Reading of element k + 1; made when it is first asked for."""
        if self._readings[k] is None:
            self._readings[k] = Reading(self._window, k)
        return self._readings[k]

    def total(self):
        """Total of both."""
        return Total(self.reading(0), self.reading(1))

    def hertz_mhz(self):
        return self._window.hertz_mhz()

    def diagnosis(self):
        found = self._readings
        if found[2] is None:
            found[2] = self._meter.diagnosis(self._window, self.reading(0), self.reading(1))
        return found[2]
