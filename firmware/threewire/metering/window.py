"""Sums over a stretch of whole mains cycles: what readings and the reverse rule are made from.

Flow: accumulator -> WINDOW -> readings, meter.  A window is 10 or 12 cycles; windows add up to
longer ones, so a second, a demand period and a whole run are read by the same code.
"""

from array import array

import micropython
from micropython import const

from threewire.metering.wide import WORDS, number, top
from threewire.metering.window_words import join

# Windows shorter than this part of a second, cut short by gaps, say little: too few codes.
_SHORT_PART = const(16)
# Places of a window's numbers, element 1's and element 2's, in its words.
_ENERGY = const(0)
_VOLTS2 = const(20)
_AMPS2 = const(40)
_NOISE2 = const(60)
_OWN = const(80)
_ACTIVE = const(100)
_REACTIVE = const(120)
_VOLTS1 = const(140)
_AMPS1 = const(160)
_ACROSS = const(180)
_NUMBERS = const(20)
_NOTHING = array("H", bytes(2 * _NUMBERS * WORDS))


def half_square(nominal_volts):
    """Square of half the nominal voltage, as a window's volts2 / frames times the square of the
    size of a count is."""
    return (nominal_volts * 8 * 10**9) ** 2


class Scales:
    """What a count of each element is worth, the same for all windows of a meter.

    tick_hz      of the window's ticks
    v_nv, i_na   size of a count in nV and nA, element 1 and 2
    power_gain   their products
    """

    def __init__(self, tick_hz, v_nv, i_na):
        self.tick_hz = tick_hz
        self._cycles = self._ratio = 0
        self.v_nv = v_nv
        self.i_na = i_na
        self.power_gain = (v_nv[0] * i_na[0], v_nv[1] * i_na[1])

    def hertz_mhz(self, cycles, span_q12):
        """Millihertz of so many cycles in so many 1/4096 ticks (more than 0), to the nearest."""
        # Most windows have as many as the one before.
        if cycles != self._cycles:
            self._cycles = cycles
            self._ratio = cycles * self.tick_hz * 1000 << 13
        return (self._ratio + span_q12) // (span_q12 << 1)


class Window:
    """Sums of one or more windows; index k of a pair is element k + 1.

    words             array('H'), its numbers as in wide, those of element 2 behind those of 1; of
                      some there are pairs of ints, made each time that they are asked for
        energy            signed, raw units (accumulator), before the creep gate
        volts2, amps2     sums of squares about the mean (counts**2 / 256)
        noise2            converter noise within amps2 (counts**2 / 256)
        own               sums of squares of the voltages about own_means, or about the offset
                          where that is known (counts**2 / 256)
        active, reactive  V * conj(I) of the mains frequency, reactive positive where the current
                          lags, in counts**2 * 2**17 times points
        volts1, amps1     |V|**2 and |I|**2 of the mains frequency, likewise
        across            (real, imaginary) of V2 * conj(V1) of the mains frequency, likewise
    ticks, frames     its length
    cycles, span_q12  mains cycles between the crossings that bound it, and the ticks * 4096 from
                      the first crossing to the last; both 0 where it was not bounded by crossings
    whole             True where it consists of mains cycles only, each bounded by crossings
                      (span_q12 then is its length to a small part of a frame)
    is_odd            there is in it what came between crossings, or without one, and was no cycle
                      of mains: not counting what was lost, or filled in
    own_means         means of its codes less mid-scale, in 1/16 count: of the voltages, then of
                      the currents; where windows have been added, those of the voltages alone
    own_offs          how far each is from the mean that the squares are about; not added
    points            frames behind the phasors; 0 where the mains frequency was not known
    scales            Scales of the counts; None before there is anything in it
    means             (voltage's, current's) mean of the codes less mid-scale, in 1/16 count, as
                      they are known at its end
    """

    # Of one with nothing in it: what an instance has of its own takes a chip time and memory.
    means = None
    frames = cycles = span_q12 = points = 0
    whole = is_odd = False

    def __init__(self, scales=None):
        self.scales = scales
        self.words = _NOTHING[:]
        self.own_means = [0, 0, 0, 0]
        self.own_offs = [0, 0, 0, 0]
        self.ticks = 0  # there from the start, so that no cycle has to make room for it

    def restart(self, scales):
        """There is nothing in it any more."""
        self.scales = scales
        self.words[:] = _NOTHING
        self.means = None
        self.ticks = self.frames = self.cycles = self.span_q12 = self.points = 0
        self.whole = self.is_odd = False

    def _pair(self, at):
        return number(self.words, at), number(self.words, at + WORDS)

    def energy(self):
        return self._pair(_ENERGY)

    def number(self, at):
        """The number at words[at], for whoever needs one of a pair only."""
        return number(self.words, at)

    @micropython.native
    def signs(self):
        """1 where the energy of element 1 is negative, and 2 where that of element 2 is."""
        words = self.words
        return words[_ENERGY + WORDS - 1] >> 15 | words[_ENERGY + 2 * WORDS - 1] >> 14 & 2

    def volts2(self):
        return self._pair(_VOLTS2)

    def phasors(self):
        """V * conj(I) of element 1 and of element 2, and V2 * conj(V1), of the mains frequency:
        (real, imaginary) of each, rounded down to 12 to 28 bits of the larger, where it has as
        many."""
        words = self.words
        pairs = (
            (_ACTIVE, _REACTIVE),
            (_ACTIVE + WORDS, _REACTIVE + WORDS),
            (_ACROSS, _ACROSS + WORDS),
        )
        found = []
        for pair in pairs:
            k = top(words, *pair)
            found.append(
                [
                    ((words[at + k] ^ 0x8000) - 0x8000 << 12) + (words[at + k - 1] >> 4)
                    for at in pair
                ]
            )
        return found

    @micropython.native
    def over_16_bits(self, at):
        """The number at words[at], 0 or more, over 2**16 and rounded down; 2**46 or more is told
        as 2**30 - 1."""
        words = self.words
        if words[at + 3] | words[at + 4] | words[at + 2] >> 14:
            return 0x3FFFFFFF
        return words[at + 1] | words[at + 2] << 16

    def deny(self):
        """The cycles in it are none of mains, whose frequency then is not known."""
        self.whole = False
        self.cycles = self.span_q12 = self.points = 0
        self.words[_ACTIVE:] = _NOTHING[_ACTIVE:]

    def is_short(self):
        """Whether it is too short to be judged."""
        return self.ticks * _SHORT_PART < self.scales.tick_hz

    def hertz_mhz(self):
        """Mains frequency in millihertz, 0 where it was not bounded by zero crossings."""
        if not self.span_q12:
            return 0
        return self.scales.hertz_mhz(self.cycles, self.span_q12)

    @micropython.native
    def add(self, other):
        self.scales = other.scales
        self.means = other.means
        self.whole = other.whole and (self.whole or not self.ticks)
        mine = self.frames
        its = other.frames
        self.frames = frames = mine + its
        if not frames:
            frames = 1
        means = self.own_means
        its_means = other.own_means
        means[0] = (means[0] * mine + its_means[0] * its) // frames
        means[1] = (means[1] * mine + its_means[1] * its) // frames
        join(self.words, other.words, _NUMBERS)
        self.ticks += other.ticks
        self.cycles += other.cycles
        self.span_q12 += other.span_q12
        self.points += other.points
