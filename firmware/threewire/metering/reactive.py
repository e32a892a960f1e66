"""What the mains frequency alone makes, per element and of their sum: reactive energy by quadrant,
and active energy.

Flow: windows -> REACTIVE -> telemetry.  Quadrants are those of IEC 62053-23: I delivers watts and
lags, II receives and lags, III receives and leads, IV delivers and leads.  Where the watts are too
few to tell which way they flow (a capacitor's are noise, and its phase's error) they count as they
did last.
"""

from micropython import const

from threewire.metering.readings import raw_vars, raw_watts1
from threewire.metering.registers import Register
from threewire.metering.wide import WORDS

# Watts under this part of the var, 0.45 degrees, have no direction.
_CLEAR_PART = const(128)


def raw_per_varh(tick_hz):
    """Raw units in a varh: nV * nA * ticks."""
    return 3600 * 10**18 * tick_hz


class Reactive:
    """quadrants: for element 1, element 2 and the total a list of four Registers, I to IV;
    fundamental: likewise (delivered, received) of the active energy;
    raw_per_varh: of all of them, and as many are a watt-hour."""

    def __init__(self, starting_mw, tick_hz):
        self.raw_per_varh = unit = raw_per_varh(tick_hz)
        # Below half the starting power it is noise, as for the watts.
        self._least = starting_mw * 10**15 // 2
        self.quadrants = [[Register(unit) for _ in range(4)] for _ in range(3)]
        self.fundamental = [(Register(unit), Register(unit)) for _ in range(3)]
        self._most = tick_hz  # more than this is not waited for: the voltage is missing
        self._ticks = 0  # of windows that await one whose phasors are known
        self._latest = None
        self._received = [False] * 3  # which way the watts flowed last, of what has quadrants

    def add(self, window, is_allowed=(True, True), is_live=True):
        """Adds a window, of the elements that are allowed to register: what it lacks in phasors
        is taken to be like the next that has them, if there is a voltage at all (is_live)."""
        if is_live:
            self._ticks += window.ticks
        if not window.points:
            if self._ticks > self._most:
                self._ticks = self._most
            return
        flows = []
        for k in (0, 1):
            flow = 0, 0, 0
            if is_allowed[k]:
                watts = window.number(WORDS * k) // window.ticks >> 32
                flow = watts, raw_vars(window, k), raw_watts1(window, k)
            flows.append(flow)
        one, two = flows
        flows.append((one[0] + two[0], one[1] + two[1], one[2] + two[2]))
        self._latest = flows
        self.finish()

    def finish(self):
        """Books what still awaits its phasors as the latest there were."""
        ticks, self._ticks = self._ticks, 0
        least = self._least
        for which, (watts, var, watts1) in enumerate(self._latest or ()):
            if var >= least or -var >= least:
                self._book(which, watts, var, ticks)
            if watts1 >= least:
                self.fundamental[which][0].add(watts1 * ticks)
            elif -watts1 >= least:
                self.fundamental[which][1].add(-watts1 * ticks)

    def zero(self):
        """Sets all registers to zero."""
        for of in self.quadrants + self.fundamental:
            for register in of:
                register.set_micro_wh(0)

    def values(self):
        """Values of the quadrants as they stand."""
        return [[r.value() for r in registers] for registers in self.quadrants]

    def _book(self, which, watts, var, ticks):
        if abs(watts) >= max(self._least, abs(var) // _CLEAR_PART):
            self._received[which] = watts < 0
        if self._received[which]:
            quadrant = 1 if var > 0 else 2
        else:
            quadrant = 0 if var > 0 else 3
        self.quadrants[which][quadrant].add(abs(var) * ticks)
