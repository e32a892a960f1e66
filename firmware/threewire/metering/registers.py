"""The energy registers: delivered and received, per element and of their net.  Exact and
monotonic.

Flow: creep gate -> REGISTERS -> indicators, storage, telemetry.  A register is a count of whole
watt-hours and a residue in raw units (accumulator), so nothing is ever rounded away; Python's
integers do not wrap, and both stay small: 100 years at 48 kW are 4.3e10 Wh.
"""

import micropython

NAMES = ("delivered", "received", "delivered1", "received1", "delivered2", "received2")


class Register:
    """A stored, never-decreasing energy total: `wh` whole watt-hours and `residue` raw units."""

    def __init__(self, raw_per_wh):
        self._unit = raw_per_wh
        self.wh = 0
        self.residue = 0

    def copy(self):
        other = Register(self._unit)
        other.wh = self.wh
        other.residue = self.residue
        return other

    @micropython.native
    def add(self, raw):
        """Adds raw >= 0 units."""
        self.residue += raw
        if self.residue >= self._unit:
            self.wh += self.residue // self._unit
            self.residue %= self._unit

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
        """The total in watt-hours as a decimal string with nine places, rounded down."""
        return "%d.%09d" % (self.wh, self.residue * 1000000000 // self._unit)


class Registers:
    """delivered, received: the net of the two elements; elements: a (delivered, received) pair
    each.
    """

    def __init__(self, raw_per_wh):
        self._unit = raw_per_wh
        self.delivered = Register(raw_per_wh)
        self.received = Register(raw_per_wh)
        self.elements = (
            (Register(raw_per_wh), Register(raw_per_wh)),
            (Register(raw_per_wh), Register(raw_per_wh)),
        )

    def named(self):
        """(name, Register) of each, in the order in which they are stored and sent."""
        (in1, out1), (in2, out2) = self.elements
        return zip(NAMES, (self.delivered, self.received, in1, out1, in2, out2))

    def copy(self):
        """All of them as they stand."""
        other = Registers(self._unit)
        other.delivered = self.delivered.copy()
        other.received = self.received.copy()
        other.elements = tuple([(d.copy(), r.copy()) for d, r in self.elements])
        return other

    @micropython.native
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
        net = raw1 + raw2
        if net > 0:
            self.delivered.add(net)
        elif net:
            self.received.add(-net)
