"""A flow of energy that may turn round, in words: what of it is noise is held, the rest is booked
in its two registers.

Flow: stretch -> FLOW (of each element behind its creep gate, and of their net) -> registers.  A
cycle that is like the last one takes `take`, on words alone.  What is rare (a gate that opens or
shuts, a lost stretch's estimate) takes the same steps on ints, in `booked` and in CreepGate.
"""

import micropython
from micropython import const

from threewire.metering import wide
from threewire.metering.registers import FLOW

# Words of registers.pair; see there for the ones before.  Numbers as in wide:
_HELD = const(32)
_MOST = const(42)
_FLOWED = const(52)
_ENOUGH = const(62)
_SUM = const(72)  # of what is held and what comes, and a word of zero
_SIZE = const(83)  # its magnitude, where that is not itself, and a word of zero
_NEXT_FLOWED = const(94)
# Doubles:
_TICKS = const(104)  # in which came what is held
_LITTLE_TICKS = const(106)
_SECOND = const(108)
# And single words:
_IS_OPEN = const(110)
_ROOT = const(111)
_SHIFT_WORDS = const(112)
_SHIFT_BITS = const(113)
WORDS = const(82)  # so many behind those of the pair
# Of registers.py: viper takes constants of this file only.
_IN = const(0)
_OUT = const(10)
_UNIT = const(20)
_IN_WH = const(30)
_OUT_WH = const(31)
_DIGITS = const(10)

# What `take` returns.
RARE = const(-1)  # nothing has been done: it is for ints
COUNTS = const(1)  # the flow's gate is open
WHOLE = const(2)  # a register has come to a whole watt-hour


class Flow:
    """The flow of one element, or of the net.

    delivered, received  the two Registers of a registers.pair, in which `take` books
    noise_raw   the most that noise makes in a second, raw units
    tick_hz     ticks in a second
    enough_raw  a flow of so much resets little_ticks

    words   of the registers.pair
    held    raw energy that has not been booked yet, 0 for most of the time
    is_open, little_ticks, flowed   for CreepGate: while it is not open nothing is booked; ticks
            since there was enough, and what has flowed in them
    """

    def __init__(self, delivered, received, noise_raw, tick_hz, enough_raw=0):
        self._delivered = delivered
        self._received = received
        self.words = words = delivered.words
        self._second = tick_hz
        self._most = noise_raw
        # Squares of some 26 bits are quick on 32-bit words.
        shift = 0
        while noise_raw >> shift > 8191:
            shift += 1
        self._shift = shift
        root = noise_raw >> shift
        self._square = root**2
        wide.put(words, _MOST, noise_raw)
        wide.put(words, _ENOUGH, enough_raw)
        wide.put_double(words, _SECOND, tick_hz)
        words[_ROOT] = root
        words[_SHIFT_WORDS], words[_SHIFT_BITS] = divmod(shift, 16)
        self.is_open = True

    @property
    def held(self):
        return wide.number(self.words, _HELD)

    @property
    def is_open(self):
        return bool(self.words[_IS_OPEN])

    @is_open.setter
    def is_open(self, is_open):
        self.words[_IS_OPEN] = is_open

    @property
    def little_ticks(self):
        return wide.double(self.words, _LITTLE_TICKS)

    @little_ticks.setter
    def little_ticks(self, ticks):
        wide.put_double(self.words, _LITTLE_TICKS, ticks)

    @property
    def flowed(self):
        return wide.number(self.words, _FLOWED)

    @flowed.setter
    def flowed(self, raw):
        wide.put(self.words, _FLOWED, raw)

    def _hold(self, raw, ticks):
        wide.put(self.words, _HELD, raw)
        wide.put_double(self.words, _TICKS, ticks)

    def booked(self, raw, ticks):
        """What is to be booked now, of `raw` that came in over `ticks` and of what was held: its
        sign is the direction; 0: all is held."""
        raw += self.held
        most = self._most
        if raw < most and -raw < most:
            # Over more than a second the limit is that of a second.
            ticks = min(wide.double(self.words, _TICKS) + ticks, self._second)
            if (raw >> self._shift) ** 2 * self._second <= self._square * ticks:
                self._hold(raw, ticks)
                return 0
        self._hold(0, 0)
        return raw

    def book(self, raw):
        """Books what `booked` gave."""
        if raw > 0:
            self._delivered.add(raw)
        elif raw:
            self._received.add(-raw)

    def mean_reaches(self, raw_a_second):
        """Whether the mean of what is held is at least this, either way."""
        ticks = wide.double(self.words, _TICKS)
        return ticks and abs(self.held) * self._second >= raw_a_second * ticks

    def release(self):
        """What is held, for nothing follows on it."""
        held = self.held
        self._hold(0, 0)
        return held

    @micropython.native
    def count(self):
        """Counts the whole watt-hours that `take` has told of."""
        words = self.words
        self._delivered.wh += words[_IN_WH]
        self._received.wh += words[_OUT_WH]
        words[_IN_WH] = words[_OUT_WH] = 0


@micropython.viper
def take(e: ptr16, at: int, w: ptr16, ticks: int) -> int:
    """Books, or holds, the energy at e[at] that came in over `ticks`; w: a Flow's words.  Returns
    RARE, or the sum of what there is of COUNTS and WHOLE."""
    # What is held, and what comes.
    held = 0
    carry = 0
    k = 0
    while k < _DIGITS:
        t = w[_HELD + k]
        held |= t
        carry += t + e[at + k]
        w[_SUM + k] = carry & 0xFFFF
        carry >>= 16
        k += 1
    size = _SUM
    negative = w[_SUM + _DIGITS - 1] >> 15
    if negative:
        size = _SIZE
        carry = 1
        k = 0
        while k < _DIGITS:
            carry += w[_SUM + k] ^ 0xFFFF
            w[_SIZE + k] = carry & 0xFFFF
            carry >>= 16
            k += 1
    # Is it noise?  As in `booked`, shift and all.
    holds = 0
    passed = 0
    second = w[_SECOND] | (w[_SECOND + 1] << 16)
    k = _DIGITS - 1
    while k and w[size + k] == w[_MOST + k]:
        k -= 1
    if w[size + k] < w[_MOST + k]:
        passed = (w[_TICKS] | (w[_TICKS + 1] << 16)) + ticks
        if passed > second:
            passed = second
        k = _SUM + w[_SHIFT_WORDS]
        bits = w[_SHIFT_BITS]
        root = ((w[k] >> bits) | (w[k + 1] << (16 - bits))) & 0xFFFF
        if negative:
            root = 0x10000 - root
        holds = int(is_noise(root, second, w[_ROOT], passed))
    is_open = w[_IS_OPEN]
    if not is_open:
        if not holds:
            return -1
    else:
        # What has flowed since there was enough: more than a second of too little shuts the gate.
        little = 0
        k = _DIGITS - 1
        while k and w[size + k] == w[_ENOUGH + k]:
            k -= 1
        if holds or w[size + k] < w[_ENOUGH + k]:
            little = w[_LITTLE_TICKS] | (w[_LITTLE_TICKS + 1] << 16)
            carry = 0
            k = 0
            while k < _DIGITS:
                if little:
                    carry += w[_FLOWED + k]
                if not holds:
                    carry += w[size + k]
                w[_NEXT_FLOWED + k] = carry & 0xFFFF
                carry >>= 16
                k += 1
            little += ticks
            k = _DIGITS - 1
            while k and w[_NEXT_FLOWED + k] == w[_ENOUGH + k]:
                k -= 1
            if w[_NEXT_FLOWED + k] >= w[_ENOUGH + k]:
                little = 0
            elif little >= second:
                return -1
            else:
                k = 0
                while k < _DIGITS:
                    w[_FLOWED + k] = w[_NEXT_FLOWED + k]
                    k += 1
        w[_LITTLE_TICKS] = little & 0xFFFF
        w[_LITTLE_TICKS + 1] = little >> 16
    if not holds:
        passed = 0
    w[_TICKS] = passed & 0xFFFF
    w[_TICKS + 1] = passed >> 16
    if holds:
        k = 0
        while k < _DIGITS:
            w[_HELD + k] = w[_SUM + k]
            k += 1
        return is_open
    if held:
        k = 0
        while k < _DIGITS:
            w[_HELD + k] = 0
            k += 1
    # Into the register.
    at = _IN
    if negative:
        at = _OUT
    carry = 0
    k = 0
    while k < _DIGITS:
        carry += w[at + k] + w[size + k]
        w[at + k] = carry & 0xFFFF
        carry >>= 16
        k += 1
    wh = 0
    more = 1
    while more:
        k = _DIGITS - 1
        while k and w[at + k] == w[_UNIT + k]:
            k -= 1
        more = 0
        if w[at + k] >= w[_UNIT + k]:
            more = 1
            wh += 1
            carry = 0
            k = 0
            while k < _DIGITS:
                carry += w[at + k] - w[_UNIT + k]
                w[at + k] = carry & 0xFFFF
                carry >>= 16
                k += 1
    if not wh:
        return 1
    at = _IN_WH
    if negative:
        at = _OUT_WH
    w[at] = w[at] + wh
    return 3


@micropython.viper
def is_noise(root: int, second: int, most_root: int, ticks: int) -> int:
    """Whether root**2 * second is at most most_root**2 * ticks, both roots up to 2**14 and both
    times up to 2**30: in three parts of 15 bits."""
    low = (second & 0x7FFF) * root
    mid = (second >> 15) * root + (low >> 15)
    low = (low & 0x7FFF) * root
    high = (mid >> 15) * root
    mid = (mid & 0x7FFF) * root + (low >> 15)
    high += mid >> 15
    low2 = (ticks & 0x7FFF) * most_root
    mid2 = (ticks >> 15) * most_root + (low2 >> 15)
    low2 = (low2 & 0x7FFF) * most_root
    high2 = (mid2 >> 15) * most_root
    mid2 = (mid2 & 0x7FFF) * most_root + (low2 >> 15)
    high2 += mid2 >> 15
    if high != high2:
        return 1 if high < high2 else 0
    mid = ((mid & 0x7FFF) << 15) | (low & 0x7FFF)
    mid2 = ((mid2 & 0x7FFF) << 15) | (low2 & 0x7FFF)
    return 1 if mid <= mid2 else 0


@micropython.viper
def sum_up(e: ptr16, which: int):
    """Writes the net of the energies at e[0] and e[10], of those that `which` says (1, 2 or 3),
    to e[20]."""
    carry = 0
    k = 0
    while k < _DIGITS:
        if which & 1:
            carry += e[k]
        if which & 2:
            carry += e[_DIGITS + k]
        e[2 * _DIGITS + k] = carry & 0xFFFF
        carry >>= 16
        k += 1


@micropython.viper
def reaches(e: ptr16, at: int, w: ptr16) -> int:
    """Whether the energy at e[at], 0 or more, would take the delivered register to its next whole
    watt-hour."""
    if e[at + _DIGITS - 1] >> 15:
        return 0
    carry = 0
    k = 0
    while k < _DIGITS:
        carry += w[_IN + k] + e[at + k]
        w[_SUM + k] = carry & 0xFFFF
        carry >>= 16
        k += 1
    k = _DIGITS - 1
    while k and w[_SUM + k] == w[_UNIT + k]:
        k -= 1
    return 1 if w[_SUM + k] >= w[_UNIT + k] else 0
