"""A flow of energy that may turn round, in words: what of it is noise is held, the rest is booked
in its two registers.

Flow: stretch -> FLOW (of each element behind its creep gate, and of their net) -> registers.  A
cycle that is like the last one is booked by words_viper.book or its twin, on words alone.  What is
rare (a gate that opens or shuts, a gap's estimate) takes the same steps on ints, here and in
CreepGate.
"""

import micropython
from micropython import const

from threewire.metering import wide

# Words behind those of registers.pair, as words_viper.py and words_thumb.py have them too.
# Numbers as in wide:
_HELD = const(32)
_MOST = const(42)
_ENOUGH = const(52)
_FLOWED = const(92)
# Doubles:
_TICKS = const(82)  # in which came what is held
_LITTLE = const(84)
_SECOND = const(86)
# Single ones:
_OPEN = const(88)  # one of those below, or whether the gate is open
_ROOT = const(89)  # noise makes this times 2**shift in a second, where
_SHIFT_BYTES = const(90)  # the shift is 8 times this, of whole words,
_SHIFT_BITS = const(91)  # and this
_NEVER_SHUTS = const(2)
_ASKS = const(3)
# Of the pair's: whole watt-hours that are not in the registers' `wh` yet.
_IN_WH = const(30)
_OUT_WH = const(31)
# What a Flow wants behind a pair's words; not all of it is told of above.
WORDS = const(82)


class Flow:
    """The flow of one element, or of the net.

    delivered, received  the two Registers of a registers.pair, in which is booked
    noise_raw   the most that noise makes in a second, raw units
    tick_hz     ticks in a second
    enough_raw  a flow of so much resets little_ticks

    words   of the registers.pair
    held    raw energy that has not been booked yet, 0 for most of the time
    is_open, little_ticks, flowed   for CreepGate: whether words may be booked; ticks since there
            was enough, and what has flowed in them
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
        words[_SHIFT_BYTES] = 2 * (shift // 16)
        words[_SHIFT_BITS] = shift % 16
        words[_OPEN] = _NEVER_SHUTS

    @property
    def held(self):
        return wide.number(self.words, _HELD)

    @held.setter
    def held(self, raw):
        wide.put(self.words, _HELD, raw)

    @property
    def is_open(self):
        return 0 < self.words[_OPEN] < _ASKS

    @is_open.setter
    def is_open(self, is_open):
        self.words[_OPEN] = is_open

    def ask(self):
        """What comes next is for ints, until is_open is set."""
        self.words[_OPEN] = _ASKS

    @property
    def little_ticks(self):
        return wide.double(self.words, _LITTLE)

    @little_ticks.setter
    def little_ticks(self, ticks):
        wide.put_double(self.words, _LITTLE, ticks)

    @property
    def flowed(self):
        return wide.number(self.words, _FLOWED)

    @flowed.setter
    def flowed(self, raw):
        wide.put(self.words, _FLOWED, raw)

    def _hold(self, raw, ticks):
        self.held = raw
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
        """Counts the whole watt-hours that there are in the words."""
        words = self.words
        if words[_IN_WH]:
            self._delivered.wh += words[_IN_WH]
        if words[_OUT_WH]:
            self._received.wh += words[_OUT_WH]
        words[_IN_WH] = words[_OUT_WH] = 0
