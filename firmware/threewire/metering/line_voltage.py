"""One line's voltage, followed in steps of some 2 ms: whether it has collapsed, and its events.

Flow: sampler -> sag -> LINE VOLTAGE -> sag.  Squares are summed, not peaks compared, because a
flat-topped wave with all its volts must not alarm.

A line is down once every half cycle that ended within the last 20 ms had less than 80 % of the
nominal rms; a new one is looked at four times as often as they pass.  At another mains frequency,
or with an offset that is not known yet, the best of them reads too much: the limit is lower then
(70 % at 45 Hz where 60 Hz is nominal), and a voltage that is there is never taken for one that is
not.

Events are those of IEC 61000-4-30 by its Urms(1/2): the rms over one cycle, renewed each half
cycle.  The cycle is the mains' own, from any instant on; the half cycle the nominal one.
"""

from array import array

from micropython import const

from threewire.metering.intmath import isqrt
from threewire.metering.kernel import MID

_DOWN_PERCENT = const(80)
_UP_PERCENT = const(90)
_PERSIST_US = const(20000)
_RECOVER_US = const(1000000)

# Of nominal: where a dip (IEC 61000-4-30, 5.4.2) and a swell (5.4.3) begin, and how much nearer to
# nominal each ends.  The clauses leave them to the user; these are the usual ones, 2 % among them.
_SAG_PERCENT = const(90)
_SWELL_PERCENT = const(110)
_HYSTERESIS_PERCENT = const(2)
# A sag that comes below is an interruption (5.5: 5 % or 10 % are usual; IEEE 1159: 10 %).
_INTERRUPTION_PERCENT = const(10)
KINDS = ("sag", "swell", "interruption")
_SAG = const(0)
_SWELL = const(1)
_INTERRUPTION = const(2)

# Half a cycle is judged by so many of its frames, or up to twice as many.
_SAMPLES = const(16)
# Half cycles after a gap, or the start, by which the last 16 bins are all of after it.
_COLD_HALVES = const(4)
_MAX_WORD = const(0x7FFFFFFF)
# A change of the mains frequency by this part of it is followed.
_FOLLOWED_PART = const(500)
# (4 pi)**2 / 6 and 7 (4 pi)**4 / 360, times 2**10 and 64 to the same power.
_K2 = const(110390000)
_K4 = 8330000000000

# What there is of each line to find: the sum of these.
_COLLAPSED = const(1)
_CHANGED = const(2)

# Words of the state, none ever negative: a `ptr32` load extends with zeros on 64 bits.
_MORE = const(0)  # 1: the words of another line follow
_FOUND = const(1)
_NEXT = const(2)  # codes from the end of the block to the next sample, and _BEFORE
_STEP = const(3)  # codes from one sample that is looked at to the next
_SIZE = const(4)  # samples in a quarter of half a cycle, a *bin*
_PERSIST = const(5)  # the times above, in bins
_RECOVER = const(6)
_DOWN = const(7)  # sums of squares over half a cycle, at the limits
_UP = const(8)
_LEFT = const(9)  # samples that the bin still takes
_BINS = const(10)  # bins of this second: the next one's place in the ring, mod 16
_SECONDS = const(11)  # times that _BINS has come to _RECOVER
_OFFSET = const(12)
_SUM = const(13)  # of codes, for the next offset
_SQUARES = const(14)  # sum of squares of this bin
_DOWN_FOR = const(15)  # bins since half a cycle was not down...
_NOT_UP_FOR = const(16)  # ...and since one was up; neither counts beyond _PERSIST
_UP_FOR = const(17)  # bins for which the voltage has been up, until it counts
_COUNTS = const(18)  # 1: the line has been up, so that it can collapse
_COLD = const(19)  # half cycles for which the rms is not known yet
_CYCLE_Q6 = const(20)  # bins in a mains cycle, 14 at most: the sum of...
_WHOLE = const(21)  # ...whole ones, and of twice the part of one on either side of them
_PART_Q6 = const(22)
# Mean squares over a cycle, summed over 1/64 bin.
_MEAN = const(23)  # the last
_LEAST = const(24)  # within these nothing begins or ends, nor is it worse than before
_MOST = const(25)
_RING = const(26)  # sums of squares of the last 16 bins
_WORDS = const(42)
# More than a block has codes.
_BEFORE = const(0x1000000)


def lines(layout, calibration):
    """What `look` needs, and a list of LineVoltage: one where a voltage is derived from the other,
    whose slot it has, and there is nothing to tell that the other does not."""
    slot = layout.slot
    count = 1 if slot["v1"] == slot["v2"] else 2
    words = array("i", bytes(4 * _WORDS * count))
    made = []
    for k in range(count):
        own = memoryview(words)[_WORDS * k :]
        made.append(LineVoltage(layout, slot["v%d" % (k + 1)], calibration.v_nv[k], own))
    return words, made


class LineVoltage:
    """A line of a board whose frames are as long as its layout says.

    slot, v_nv   its place in the frame, and what a count of it is worth
    words        _WORDS zeros for `look`, and behind them those of the lines that follow

    A line can collapse once it has been above 90 % for a second, and again when it has come back
    for as long.
    """

    def __init__(self, layout, slot, v_nv, words):
        half = layout.tick_hz // (2 * layout.nominal_hz * layout.frame_ticks)
        every = max(1, half // _SAMPLES)
        # Up to 32 samples in half a cycle: 32 * 4095**2 < 2**30, and 3.5 times that < 2**31.
        size = max(1, (half + 2 * every) // (4 * every))
        self._tick_hz = layout.tick_hz
        self._bin_ticks = size * every * layout.frame_ticks
        self._other_ticks = 0  # of the time, in which there were no bins
        # A mean of squares is `part` of `nominal` at nominal volts.
        self._nominal = size * (layout.nominal_volts * 10**9) ** 2
        self._part = 64 * v_nv**2
        self._words = st = words
        st[_MORE] = len(st) > _WORDS
        st[_NEXT] = _BEFORE + slot
        st[_STEP] = every * layout.stride
        st[_SIZE] = st[_LEFT] = size
        st[_OFFSET] = MID
        bin_us = 1000000 * self._bin_ticks // layout.tick_hz
        st[_PERSIST] = (_PERSIST_US + bin_us - 1) // bin_us
        # The ring's places go on from second to second.
        st[_RECOVER] = (_RECOVER_US // bin_us | 15) + 1
        st[_DOWN] = min(256 * self._limit(_DOWN_PERCENT), _MAX_WORD)
        st[_UP] = min(256 * self._limit(_UP_PERCENT), _MAX_WORD)
        st[_COLD] = _COLD_HALVES
        st[_MEAN] = self._limit(100)
        self._mhz = 0
        self._began = None  # ms at which the event began that is under way
        self._change()
        self.follow(layout.nominal_hz * 1000)

    def pass_over(self, ticks):
        """The voltage was not looked at for so long; 0: who knows."""
        self._other_ticks += ticks
        # A piece of a cycle that is shorter hardly shows in the rms.
        if not 0 < 4 * ticks < self._bin_ticks:
            self._words[_COLD] = _COLD_HALVES

    def follow(self, mhz):
        """The mains frequency, from 45000 to 65000 mHz.  It stays as it is in an event, for that
        of a dead line is none, and for a change that hardly shows in the rms."""
        if self._began is None and abs(mhz - self._mhz) * _FOLLOWED_PART > mhz:
            self._mhz = mhz
            st = self._words
            cycle = self._tick_hz * 64000 // (mhz * self._bin_ticks)
            st[_WHOLE] = whole = cycle >> 6
            # The squares swing at twice the mains frequency, of which nothing is to be left: with
            # phi = 2 pi / cycle and x of a bin beside the whole ones, the part is
            #   sin(x phi) / (2 sin(phi) cos((1 - x) phi)) = x / 2 * (1 + k (1 - x)**2), nearly,
            # where k = 2 phi / sin(2 phi) - 1 = (2 phi)**2 / 6 + 7 (2 phi)**4 / 360, nearly.
            x = cycle & 63
            square = cycle * cycle
            k_q10 = (_K2 + _K4 // square) // square
            st[_PART_Q6] = part = x + (x * k_q10 * (64 - x) ** 2 >> 22) + 1 >> 1
            st[_CYCLE_Q6] = (whole << 6) + 2 * part

    def ms(self):
        """When the cycle began that `look` has seen the end of, in metered ms since the start."""
        st = self._words
        bins_q6 = (st[_SECONDS] * st[_RECOVER] + st[_BINS] << 6) - st[_CYCLE_Q6]
        return (self._other_ticks + (bins_q6 * self._bin_ticks >> 6)) * 1000 // self._tick_hz

    def event(self):
        """What is under way, None if nothing is: (place in KINDS, ms at which it began, ms since
        then, hundredths of a percent of nominal that it has come to)."""
        began = self._began
        if began is None:
            return None
        kind = _SWELL
        mean = self._words[_MOST]
        if self._is_low:
            mean = self._words[_LEAST]
            kind = _INTERRUPTION if mean < self._limit(_INTERRUPTION_PERCENT) else _SAG
        reached = isqrt(mean * self._part * 10**8 // self._nominal)
        return kind, began, self.ms() - began, reached

    def found(self):
        """What `look` has found: (ms at which the line collapsed, or None; the event that is over,
        or None)."""
        found = self._words[_FOUND]
        at = self.ms() if found & _COLLAPSED else None
        return at, self._change() if found & _CHANGED else None

    def _change(self):
        """Takes note of what begins, or is worse; returns the event that is over, or None."""
        st = self._words
        mean = st[_MEAN]
        if self._began is not None and (mean < st[_LEAST]) == self._is_low:
            st[_LEAST if self._is_low else _MOST] = mean
            return None
        event = self.event()
        least = self._limit(_SAG_PERCENT)
        most = self._limit(_SWELL_PERCENT)
        self._began = self.ms()
        self._is_low = mean < least
        if self._is_low:
            least = mean
            most = self._limit(_SAG_PERCENT + _HYSTERESIS_PERCENT)
        elif mean > most:
            least = self._limit(_SWELL_PERCENT - _HYSTERESIS_PERCENT)
            most = mean
        else:
            self._began = None
        st[_LEAST] = least
        st[_MOST] = most
        return event

    def _limit(self, percent):
        """The mean of squares at so many percent of nominal."""
        return min(self._nominal * percent**2 // (self._part * 10000), _MAX_WORD)
