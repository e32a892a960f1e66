"""What the mains frequency alone makes, per element and of their sum: reactive energy by quadrant,
and active energy.

Flow: windows -> REACTIVE -> telemetry.  Quadrants are those of IEC 62053-23: I delivers watts and
lags, II receives and lags, III receives and leads, IV delivers and leads.  Where the watts are too
few to tell which way they flow (a capacitor's are noise, and its phase's error) they count as they
did last.
"""

from array import array

import micropython
from micropython import const

from threewire.metering.registers import WordRegister, wh_parts
from threewire.metering.wide import WORDS, differ, put, put_double

# Words of 16 bits.  Numbers as in wide, of element 1, element 2 and both: watts, var and watts of
# the mains frequency.
_GAINS = const(90)  # of the elements' powers by phasors: four words, and the sign
_TICKS = const(102)  # of the window, a double
_POINTS = const(104)  # likewise
_WAITED = const(106)  # ticks to be booked, likewise
# Whether the watts flowed back last, of what has quadrants: of element 1, element 2 and both.
# Watts under 1/128 of the var, 0.45 degrees, have no direction.
_RECEIVED = const(108)
_LEAST = const(112)  # as numbers: what is booked at least, and a watt-hour
_UNIT = const(122)
# Behind room for two: whole watt-hours that are not in the registers' `wh` yet, and residues.  Of
# each three: four quadrants, and what is delivered and received.
_WH = const(152)
_REGISTERS = const(170)
_OF_EACH = const(6)
_SIZE = const(350)


def raw_per_varh(tick_hz):
    """Raw units in a varh: nV * nA * ticks."""
    return 3600 * 10**18 * tick_hz


class Reactive:
    """arithmetic: reactive_viper, or a twin of it for the chip

    quadrants: for element 1, element 2 and the total a list of four Registers, I to IV;
    fundamental: likewise (delivered, received) of the active energy;
    raw_per_varh: of all of them, and as many are a watt-hour."""

    def __init__(self, starting_mw, tick_hz, arithmetic):
        self.raw_per_varh = unit = raw_per_varh(tick_hz)
        self.arithmetic = arithmetic
        self._words = words = array("H", bytes(2 * _SIZE))
        # Below half the starting power it is noise, as for the watts.
        put(words, _LEAST, starting_mw * 10**15 // 2)
        put(words, _UNIT, unit)
        self._registers = registers = [
            WordRegister(unit, words, _REGISTERS + WORDS * k) for k in range(3 * _OF_EACH)
        ]
        firsts = range(0, 3 * _OF_EACH, _OF_EACH)
        self.quadrants = [registers[k : k + 4] for k in firsts]
        self.fundamental = [tuple(registers[k + 4 : k + _OF_EACH]) for k in firsts]
        self._most = tick_hz  # more than this is not waited for: the voltage is missing
        self._ticks = 0  # of windows that await one whose phasors are known
        self._is_known = False  # there has been one
        self._scales = None  # Scales whose gains the words have

    @micropython.native
    def add(self, window, is_allowed=(True, True), is_live=True):
        """Adds a window, of the elements that are allowed to register: what it lacks in phasors
        is taken to be like the next that has them, if there is a voltage at all (is_live)."""
        if is_live:
            self._ticks += window.ticks
        if not window.points:
            if self._ticks > self._most:
                self._ticks = self._most
            return
        words = self._words
        if window.scales is not self._scales:
            self._scales = window.scales
            for k, gain in enumerate(window.scales.power_gain):
                at = _GAINS + 6 * k
                put_double(words, at, abs(gain) & 0xFFFFFFFF)
                put_double(words, at + 2, abs(gain) >> 32)
                words[at + 4] = gain < 0
        put_double(words, _TICKS, window.ticks)
        put_double(words, _POINTS, window.points)
        one, two = is_allowed
        self.arithmetic.flows(words, window.words, (1 if one else 0) | (2 if two else 0))
        self._is_known = True
        self.finish()

    @micropython.native
    def finish(self):
        """Books what still awaits its phasors as the latest there were."""
        words = self._words
        put_double(words, _WAITED, self._ticks)
        self._ticks = 0
        if not self._is_known:
            return
        whole = self.arithmetic.book(words)
        k = 0
        while whole:
            if whole & 1:
                self._registers[k].wh += words[_WH + k]
                words[_WH + k] = 0
            whole >>= 1
            k += 1

    def zero(self):
        """Sets all registers to zero."""
        for register in self._registers:
            register.set_micro_wh(0)

    def snapshot(self):
        """What Quadrants takes: quicker on a chip than values."""
        return [register.wh for register in self._registers], self._words[_REGISTERS:]

    def values(self):
        """Values of the quadrants as they stand."""
        return [[r.value() for r in registers] for registers in self.quadrants]


class Quadrants:
    """(whole varh, billionths of one) of quadrants I to IV, of one snapshot after the other: what
    has not changed from one to the next is not made anew."""

    def __init__(self, raw_per_varh):
        self._unit = raw_per_varh
        self._snapshot = [0] * (3 * _OF_EACH), array("H", bytes(2 * (_SIZE - _REGISTERS)))
        self._parts = [(0, 0)] * (3 * _OF_EACH)

    def of(self, snapshot, which):
        """Of element 1, 2 (which: 0, 1) or both: a list."""
        parts = self._parts
        wh, words = snapshot
        before = self._snapshot
        if before is not snapshot:
            changed = differ(words, before[1], 3 * _OF_EACH)
            for k, more in enumerate(wh):
                if more != before[0][k] or changed >> k & 1:
                    parts[k] = None
            self._snapshot = snapshot
        first = _OF_EACH * which
        for k in range(first, first + 4):
            if not parts[k]:
                residue = words[WORDS * k : WORDS * k + WORDS]
                parts[k] = wh_parts((wh[k], residue), self._unit)
        return parts[first : first + 4]
