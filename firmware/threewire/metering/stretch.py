"""The energies of a stretch, in words: what the kernel's sums have gained, by the weights.

Flow: kernel's sums; elements' offsets and weights -> STRETCH -> accumulator -> meter.  It is the
arithmetic of Element.central and Element.energy, to the last bit, without a big integer.  Both are
linear in the sums: what a stretch gains is the energy of what they have gained.
"""

from array import array

import micropython
from micropython import const

from threewire.metering import wide
from threewire.metering.kernel import PREV_X1

# Words of 16 bits, as words_viper.py and words_thumb.py have them too.  First the energies of
# element 1 and 2, and room for their net; whoever gets them may change these.
_STAGE = const(30)  # of Meter's booking
ELAPSED = const(32)  # the stretch's ticks, a double
_CARRIED = const(34)  # what the stretch got from segments that ended within it
_TOTAL = const(54)  # of all stretches, which goes round
# Raw units that a count**2 / 256 of Element.central's first and second is worth, of element 1 and
# 2; each is followed by its negative.
_WORTH = const(74)
_OFFSETS = const(154)  # x and y of element 1, then of 2: doubles
_SIZE = const(165)
# Words of 32 bits: Element.central's two of each element, as they were when the stretch began,
# and as they are, in the twin's own way.
_NOW = const(8)
_BEFORE_X = const(16)  # codes in front of the segment's first frame
_SUMS = const(18)


class Stretch:
    """Of a meter whose kernel has the state `st`, array('i').

    arithmetic  words_viper, or a twin of it for the chip

    words   array('H'): the raw energies of elements 1 and 2 so far, as in wide, at 0 and
            wide.WORDS
    frames  of the segment, that stretches before have
    """

    def __init__(self, st, arithmetic):
        self._st = st
        self._reckon = arithmetic.reckon
        self.words = array("H", bytes(2 * _SIZE))
        self._sums = array("i", bytes(4 * _SUMS))
        self.restart()

    def weigh(self, elements):
        """Takes the elements' weights."""
        at = _WORTH
        for e in elements:
            e.put_worth(self.words, at)
            at += 4 * wide.WORDS

    def zero(self, elements):
        """Takes the elements' offsets, before a segment's first frame."""
        at = _OFFSETS
        for e in elements:
            for offset in e.offsets:
                self.words[at] = offset & 0xFFFF
                self.words[at + 1] = offset >> 16 & 0xFFFF
                at += 2

    def restart(self):
        """A segment begins with the next frame."""
        sums = self._sums
        for k in range(_NOW):
            sums[k] = 0
        for k in (0, 1):
            sums[_BEFORE_X + k] = self._st[PREV_X1 + k]
        self.frames = 0

    def gain(self, frames):
        """Brings the energies up to the segment's `frames` frames, which are in the kernel's sums
        so far."""
        if frames:
            self._reckon(self._st, self.words, self._sums, frames)
        else:
            # The kernel's sums are still those of the segment before.
            self.words[: 2 * wide.WORDS] = self.words[_CARRIED:_TOTAL]

    @micropython.native
    def end(self, frames, ticks):
        """As `gain`, and the stretch ends with them: it took so many ticks, and the next one
        begins."""
        words = self.words
        words[ELAPSED] = ticks & 0xFFFF
        words[ELAPSED + 1] = ticks >> 16
        if frames:
            self._reckon(self._st, words, self._sums, -frames)
        else:
            self.end_as_carried(ticks)
        self.frames = frames

    def end_as_carried(self, ticks):
        """The stretch ends with what is carried."""
        words = self.words
        wide.put_double(words, ELAPSED, ticks)
        for at in (0, wide.WORDS):
            raw = wide.number(words, _CARRIED + at)
            wide.put(words, at, raw)
            wide.put(words, _TOTAL + at, wide.number(words, _TOTAL + at) + raw)
            wide.put(words, _CARRIED + at, 0)

    def carry(self, energies):
        """Of a stretch that goes on these are the energies so far, while the segment's sums begin
        anew, or its weights."""
        for k in (0, 1):
            wide.put(self.words, _CARRIED + k * wide.WORDS, energies[k])

    def energies(self):
        """[element 1's, element 2's] so far, as ints."""
        return [wide.number(self.words, k * wide.WORDS) for k in (0, 1)]

    def totals(self):
        """[element 1's, element 2's] of all stretches that have ended, mod 2**160."""
        return [wide.number(self.words, _TOTAL + k * wide.WORDS) for k in (0, 1)]
