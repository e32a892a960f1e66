"""The energies of a stretch, in words: what the kernel's sums have gained, by the weights.

Flow: kernel's sums; elements' offsets and weights -> STRETCH -> accumulator -> meter.  It is the
arithmetic of Element.central and Element.energy, to the last bit, without a big integer.  Both are
linear in the sums: what a stretch gains is the energy of what they have gained.
"""

from array import array

import micropython
from micropython import const

from threewire.metering import wide

# Words of 16 bits.  First the energies of element 1 and 2, which whoever gets them may change,
# and room for a third.
_CARRIED = const(30)  # what the stretch got from segments that ended within it
_TOTAL = const(50)  # of all stretches, which goes round
# Raw units that a count**2 / 256 of `same` and of `step` (Element.central) is worth, of element 1
# and 2; each is followed by its negative.
_WORTH = const(70)
_OFFSETS = const(150)  # x and y of element 1, then of 2: two words each, and a sign
_GAINED = const(158)  # by one of the sums
_SIZE = const(161)
# Words of 32 bits: `same` and `step` as high word + bias and low 24 bits, as they were when the
# stretch began, and as they are.
_NOW = const(8)
_BEFORE_X = const(16)  # codes in front of the segment's first frame
_SUMS = const(18)
_BIAS = const(0x20000000)
# Of the kernel's state, as in kernel.py: viper takes constants of this file only.
_PREV_X1 = const(10)
_SX1 = const(13)
_SY1 = const(14)
_XY1 = const(15)
_PY1 = const(17)
# Element 2's sums are so many words further on.
_NEXT = const(6)
_DIGITS = const(10)


class Stretch:
    """Of a meter whose kernel has the state `st`, array('i').

    words  array('H'): the raw energies of elements 1 and 2 so far, as in wide, at 0 and wide.WORDS
    """

    def __init__(self, st):
        self._st = st
        self.words = array("H", bytes(2 * _SIZE))
        self._sums = array("i", bytes(4 * _SUMS))
        self.frames = 0  # of the segment, that stretches before have
        self.restart()

    def weigh(self, elements):
        """Takes the elements' weights."""
        at = _WORTH
        for e in elements:
            for worth in e.worth():
                wide.put(self.words, at, worth)
                wide.put(self.words, at + wide.WORDS, -worth)
                at += 2 * wide.WORDS

    def zero(self, elements):
        """Takes the elements' offsets, before a segment's first frame."""
        at = _OFFSETS
        for e in elements:
            for offset in e.offsets:
                wide.put_double(self.words, at, offset & 0xFFFFFFFF)
                at += 2

    def restart(self):
        """A segment begins with the next frame."""
        sums = self._sums
        for k in (0, 2, 4, 6):
            sums[k] = _BIAS
            sums[k + 1] = 0
        sums[_BEFORE_X] = self._st[_PREV_X1]
        sums[_BEFORE_X + 1] = self._st[_PREV_X1 + 1]
        self.frames = 0

    @micropython.native
    def gain(self, frames):
        """Brings the energies up to the segment's `frames` frames, which are in the kernel's sums
        so far."""
        if frames:
            reckon(self._st, self.words, self._sums, frames)
        else:
            # The kernel's sums are still those of the segment before.
            self.words[: 2 * wide.WORDS] = self.words[_CARRIED:_TOTAL]
            self._sums[_NOW : 2 * _NOW] = self._sums[:_NOW]

    @micropython.native
    def keep(self, frames):
        """What has been gained is reckoned with: the next stretch begins, or a part of this one
        with other weights."""
        sums = self._sums
        k = 0
        while k < _NOW:
            sums[k] = sums[_NOW + k]
            k += 1
        self.frames = frames

    @micropython.native
    def end(self):
        """The stretch has ended, with the energies as they are, and the next begins."""
        add_to_totals(self.words)

    def carry(self, energies):
        """Of a stretch that goes on these are the energies so far, while the segment's sums begin
        anew, or its weights."""
        for k in (0, 1):
            wide.put(self.words, k * wide.WORDS, energies[k])
            wide.put(self.words, _CARRIED + k * wide.WORDS, energies[k])

    def energies(self):
        """[element 1's, element 2's] so far, as ints."""
        return [wide.number(self.words, k * wide.WORDS) for k in (0, 1)]

    def totals(self):
        """[element 1's, element 2's] of all stretches that have ended, mod 2**160."""
        return [wide.number(self.words, _TOTAL + k * wide.WORDS) for k in (0, 1)]


@micropython.viper
def reckon(st: ptr32, w: ptr16, b: ptr32, n: int):
    """Energies of what there is in the kernel's state `st` beyond what `b` has kept, with those
    carried in, into `w`; n: frames of the segment."""
    halves = ptr16(st)
    k = 0
    while k < 2 * _DIGITS:
        w[k] = w[_CARRIED + k]
        k += 1
    e = 0
    while e < 2:
        at = _OFFSETS + 4 * e
        x0 = w[at] | (((w[at + 1] ^ 0x8000) - 0x8000) << 16)
        y0 = w[at + 2] | (((w[at + 3] ^ 0x8000) - 0x8000) << 16)
        # Element.central, as hi * 2**24 + lo, counts**2 / 256: n x0 y0, by 12 bits of x0 y0 at a
        # time.  Offsets are up to 34432, frames 62500, sums of codes 1.4e8: nothing has more than
        # 31 bits.
        p = x0 * y0
        lo = (p & 0xFFF) * n
        t = ((p >> 12) & 0xFFF) * n
        hi = (lo >> 24) + (t >> 12) + (p >> 24) * n
        lo = (lo & 0xFFFFFF) + ((t & 0xFFF) << 12)
        # - 16 (y0 sum x + x0 sum y), by 15 bits of the sums
        at = 2 * (_SX1 + _NEXT * e)
        s = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
        p = y0 * (s & 0x7FFF)
        t = y0 * (s >> 15)
        hi -= (p >> 20) + (t >> 5)
        lo -= ((p & 0xFFFFF) << 4) + ((t & 31) << 19)
        s = halves[at + 2] | (((halves[at + 3] ^ 0x8000) - 0x8000) << 16)
        p = x0 * (s & 0x7FFF)
        t = x0 * (s >> 15)
        hi -= (p >> 20) + (t >> 5)
        lo -= ((p & 0xFFFFF) << 4) + ((t & 31) << 19)
        # + 256 sum x y
        at = _XY1 + _NEXT * e
        s = halves[2 * at] | (((halves[2 * at + 1] ^ 0x8000) - 0x8000) << 16)
        low = st[at + 1]
        hi += s >> 4
        lo += ((s & 15) << 20) + (low << 8)
        term = 0
        while term < 2:
            if term:
                # 256 sum (x[n-1] - x[n]) y - 16 y0 sum (x[n-1] - x[n])
                at += 2
                t = halves[2 * at] | (((halves[2 * at + 1] ^ 0x8000) - 0x8000) << 16)
                t -= s
                low = int(st[at + 1]) - low
                p = y0 * (int(b[_BEFORE_X + e]) - int(st[_PREV_X1 + e]))
                hi = (t >> 4) - (p >> 20)
                lo = ((t & 15) << 20) + (low << 8) - ((p & 0xFFFFF) << 4)
            hi += lo >> 24
            lo &= 0xFFFFFF
            k = 4 * e + 2 * term
            b[_NOW + k] = hi + _BIAS
            b[_NOW + k + 1] = lo
            # What it has gained, without its sign, in three words.
            hi -= int(b[k]) - _BIAS
            lo -= int(b[k + 1])
            hi += lo >> 24
            lo &= 0xFFFFFF
            worth = _WORTH + 4 * _DIGITS * e + 2 * _DIGITS * term
            if hi < 0:
                worth += _DIGITS
                lo = 0x1000000 - lo
                hi = (lo >> 24) - 1 - hi
                lo &= 0xFFFFFF
            w[_GAINED] = lo & 0xFFFF
            w[_GAINED + 1] = (lo >> 16) | ((hi & 0xFF) << 8)
            w[_GAINED + 2] = hi >> 8
            j = 0
            while j < 3:
                digit = w[_GAINED + j]
                i = worth
                k = _DIGITS * e + j
                end = _DIGITS * e + _DIGITS
                carry = 0
                if not digit:
                    end = 0
                while k < end:
                    carry += digit * w[i] + w[k]
                    w[k] = carry & 0xFFFF
                    # It was up to 2**32 - 1: its sign is none.
                    carry = (carry >> 16) & 0xFFFF
                    i += 1
                    k += 1
                j += 1
            term += 1
        e += 1


@micropython.viper
def add_to_totals(w: ptr16):
    """Adds both energies to the totals; nothing is carried any more."""
    carry = 0
    k = 0
    while k < 2 * _DIGITS:
        if k == _DIGITS:
            carry = 0
        carry += w[k] + w[_TOTAL + k]
        w[_TOTAL + k] = carry & 0xFFFF
        carry >>= 16
        w[_CARRIED + k] = 0
        k += 1
