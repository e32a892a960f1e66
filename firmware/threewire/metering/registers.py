"""The energy registers: delivered and received, per element and of their net.  Exact, and
monotonic but for one commissioning zero.

Flow: creep gates, flows -> REGISTERS -> indicators, storage, telemetry.  A register is a count of
whole watt-hours and a residue in raw units (accumulator), so nothing is ever rounded away;
Python's integers do not wrap, and both stay small: 100 years at 48 kW are 4.3e10 Wh.
"""

from array import array

import micropython
from micropython import const

from threewire.metering import wide

NAMES = ("delivered", "received", "delivered1", "received1", "delivered2", "received2")

# Words of a pair: numbers as in wide, the residues and a watt-hour; and of whole
# watt-hours that are not in `wh` yet, one for each.
_IN = const(0)
_OUT = const(10)
_UNIT = const(20)
_WORDS = const(32)


class Register:
    """A stored, never-decreasing energy total: `wh` whole watt-hours and `residue` raw units."""

    def __init__(self, raw_per_wh):
        self._unit = raw_per_wh
        self.wh = 0
        self.residue = 0

    def value(self):
        """(wh, residue) as they stand."""
        return self.wh, self.residue

    def snapshot(self):
        """(wh, what stands for the residue), to be compared with others of this register, and for
        wh_parts: that is quicker on a chip than to make a big integer of it."""
        return self.wh, self.residue

    @micropython.native
    def add(self, raw):
        """Adds raw >= 0 units."""
        residue = self.residue + raw
        unit = self._unit
        if residue >= unit:
            self.wh += residue // unit
            residue %= unit
        self.residue = residue

    def wh_with(self, raw):
        """Whole watt-hours there would be with raw more (raw may be negative)."""
        return self.wh + (self.residue + raw) // self._unit

    def micro_wh(self):
        """The total in microwatt-hours, rounded down."""
        return self.wh * 1000000 + self.residue * 1000000 // self._unit

    def set_micro_wh(self, micro_wh):
        """Makes this total of what `micro_wh` gave."""
        self.wh = micro_wh // 1000000
        self.residue = micro_wh % 1000000 * self._unit // 1000000

    def text(self):
        return wh_text(self.value(), self._unit)


def wh_text(value, raw_per_wh):
    """A register's value in watt-hours as a decimal string with nine places, rounded down."""
    return "%d.%09d" % wh_parts(value, raw_per_wh)


def wh_parts(value, raw_per_wh):
    """(whole watt-hours, billionths of one) of a register's value or snapshot, rounded down."""
    wh, residue = value
    if not isinstance(residue, int):
        residue = int.from_bytes(residue, "little")
    return wh, residue * 1000000000 // raw_per_wh


class WordRegister(Register):
    """A Register whose residue is in words, from words[at] on."""

    def __init__(self, raw_per_wh, words, at):
        self.words = words
        self._at = at
        super().__init__(raw_per_wh)

    def snapshot(self):
        at = self._at
        return self.wh, self.words[at : at + _OUT]

    @property
    def residue(self):
        return wide.number(self.words, self._at)

    @residue.setter
    def residue(self, raw):
        wide.put(self.words, self._at, raw)


def pair(raw_per_wh, more=0):
    """(delivered, received) Register of one flow, in the same words, behind which there are `more`
    for whoever books in them."""
    words = array("H", bytes(2 * (_WORDS + more)))
    wide.put(words, _UNIT, raw_per_wh)
    return WordRegister(raw_per_wh, words, _IN), WordRegister(raw_per_wh, words, _OUT)


class Registers:
    """delivered, received: the net of the two elements; elements: a (delivered, received) pair
    each; raw_per_wh: of all of them; more: as `pair`'s.
    """

    def __init__(self, raw_per_wh, more=0):
        self.raw_per_wh = raw_per_wh
        self.delivered, self.received = pair(raw_per_wh, more)
        self.elements = (pair(raw_per_wh, more), pair(raw_per_wh, more))

    def named(self):
        """(name, Register) of each, in the order in which they are stored and sent."""
        (in1, out1), (in2, out2) = self.elements
        return zip(NAMES, (self.delivered, self.received, in1, out1, in2, out2))

    def values(self):
        """Value of each as they stand, in the order of NAMES."""
        return [register.value() for _, register in self.named()]

    def add(self, raw1, raw2):
        """Adds one mains cycle: the signed energies of element 1 and element 2.

        The total takes their sum: within a cycle one element's export offsets the other's import.
        """
        if raw1 > 0:
            self.elements[0][0].add(raw1)
        elif raw1:
            self.elements[0][1].add(-raw1)
        if raw2 > 0:
            self.elements[1][0].add(raw2)
        elif raw2:
            self.elements[1][1].add(-raw2)
        self.book(raw1 + raw2)

    def book_both_ways(self, raw):
        """Adds to the total what has both come in and gone out."""
        self.delivered.add(raw)
        self.received.add(raw)

    def book(self, net):
        """Adds to the total what both elements have taken together."""
        if net > 0:
            self.delivered.add(net)
        elif net:
            self.received.add(-net)
