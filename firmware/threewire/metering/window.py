"""Sums over a stretch of whole mains cycles: what readings and the reverse rule are made from.

Flow: accumulator -> WINDOW -> readings, meter.  A window is 10 or 12 cycles; windows add up to
longer ones, so a second, a demand period and a whole run are read by the same code.
"""

import micropython
from micropython import const

from threewire.metering.intmath import nearest

# Windows shorter than this part of a second, cut short by gaps, say little: too few codes.
_SHORT_PART = const(16)


# Element 1's and element 2's.
_NOTHING = (0, 0)


@micropython.native
def _sum(one, two):
    """Of two pairs."""
    if one is _NOTHING:
        return two
    return one[0] + two[0], one[1] + two[1]


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
        self.v_nv = v_nv
        self.i_na = i_na
        self.power_gain = (v_nv[0] * i_na[0], v_nv[1] * i_na[1])


class Window:
    """Sums of one or more windows; index k of a pair is element k + 1.

    ticks, frames     its length
    cycles, span_q12  mains cycles between the crossings that bound it, and the ticks * 4096 from
                      the first crossing to the last; both 0 where it was not bounded by crossings
    whole             True where it consists of mains cycles only, each bounded by crossings
                      (span_q12 then is its length to a small part of a frame)
    is_odd            there is in it what came between crossings, or without one, and was no cycle
                      of mains: not counting what was lost, or filled in
    energy            signed, raw units (accumulator), before the creep gate
    volts2, amps2     sums of squares about the mean (counts**2 / 256)
    own               pair: (mean of the voltage's codes less mid-scale, in 1/16 count; sum of
                      squares about it, or about the offset where that is known, counts**2 / 256)
    noise2            converter noise within amps2 (counts**2 / 256)
    points            frames behind what follows; 0 where the mains frequency was not known
    active, reactive  V * conj(I) of the mains frequency, reactive positive where the current lags,
                      in counts**2 * 2**17 times points
    volts1, amps1     |V|**2 and |I|**2 of the mains frequency, likewise
    across            (real, imaginary) of V2 * conj(V1) of the mains frequency, likewise
    scales            Scales of the counts; None before there is anything in it
    means             (voltage's, current's) mean of the codes less mid-scale, in 1/16 count, as
                      they are known at its end
    """

    # Of one with nothing in it: what an instance has of its own takes a chip time and memory.
    # Pairs that nobody changes: each list would be made anew for every window.
    means = None
    ticks = frames = cycles = span_q12 = points = 0
    whole = is_odd = False
    energy = volts2 = amps2 = noise2 = _NOTHING
    own = (_NOTHING, _NOTHING)
    active = reactive = volts1 = amps1 = across = _NOTHING

    def __init__(self, scales=None):
        self.scales = scales

    def deny(self):
        """The cycles in it are none of mains, whose frequency then is not known."""
        self.whole = False
        self.cycles = self.span_q12 = self.points = 0
        self.active = self.reactive = self.volts1 = self.amps1 = self.across = _NOTHING

    @property
    def is_short(self):
        """Whether it is too short to be judged."""
        return self.ticks * _SHORT_PART < self.scales.tick_hz

    def hertz_mhz(self):
        """Mains frequency in millihertz, 0 where it was not bounded by zero crossings."""
        if not self.span_q12:
            return 0
        return nearest(self.cycles * self.scales.tick_hz * 1000 << 12, self.span_q12)

    @micropython.native
    def add(self, other):
        self.scales = other.scales
        self.means = other.means
        self.whole = other.whole and (self.whole or not self.ticks)
        frames = max(1, self.frames + other.frames)
        own = []
        for (mine, before), (mean, squares) in zip(self.own, other.own):
            mean = (mine * self.frames + mean * other.frames) // frames
            own.append((mean, before + squares))
        self.own = own
        self.energy = _sum(self.energy, other.energy)
        self.volts2 = _sum(self.volts2, other.volts2)
        self.amps2 = _sum(self.amps2, other.amps2)
        self.noise2 = _sum(self.noise2, other.noise2)
        self.active = _sum(self.active, other.active)
        self.reactive = _sum(self.reactive, other.reactive)
        self.volts1 = _sum(self.volts1, other.volts1)
        self.amps1 = _sum(self.amps1, other.amps1)
        self.across = _sum(self.across, other.across)
        self.ticks += other.ticks
        self.frames += other.frames
        self.cycles += other.cycles
        self.span_q12 += other.span_q12
        self.points += other.points
