"""Frames that stand in for lost ones, where losses come one upon the other: the wave as it was.

Flow: accumulator's frames -> FILL -> accumulator, which takes what it gives like any others.  A
single gap is not filled: its energy is the mean of the power before and after (see Meter).
"""

from array import array

import micropython
from micropython import const

from threewire.metering.kernel import MID, PHASORS, SINE

# Words of what _repeat is told.
_AT = const(0)
_END = const(1)
_SIZE = const(2)
_CYCLE = const(3)
_STRIDE = const(4)
_SINE = const(5)
_ZERO = const(6)
# Crossings further apart than so many cycles tell little of the frequency, and those for which
# both frequencies are as near, within this part of a cycle; so many that agree settle it.
_LONGEST = const(6)
_CLEAR_PART = const(16)
_VOTES = const(6)
# A gap of this part of a cycle is long: 5.6 degrees.
_LONG_PART = const(64)
# Half a frame is up to 3 degrees of a cycle of fewer frames than this.
_FEW = const(64)


class Fill:
    """The latest frames, by which the next gap is filled.

    stride  codes in a frame
    frames  to keep, those of the slowest mains' cycle or more
    words   the kernel's state, for its sine
    second_q12, hertz   1/4096 frames in a second, and the nominal mains frequency

    codes   array("H"): a ring of frames, from which what `put` gives is to be read
    kept    frames since `clear`
    quiet   frames since the last gap
    is_long  whether that was too long for a crossing within it to be timed
    """

    def __init__(self, stride, frames, words, second_q12, hertz):
        self.codes = array("H", bytes(2 * stride * frames))
        self._view = memoryview(self.codes)
        self._seen = bytearray(frames)  # 1: it was converted
        self._words = words
        self._told = told = array("i", [0] * _ZERO + [MID] * stride)
        told[_SIZE] = frames
        told[_STRIDE] = stride
        told[_SINE] = words[PHASORS] + SINE
        self._usual = (second_q12 // 50, second_q12 // 60)
        self._cycle = second_q12 // hertz  # length by which gaps are filled
        self._since = 0  # 1/4096 frames since a crossing was seen
        self._votes = 0  # how much more often 60 Hz suited these than 50 Hz
        self._at = 0  # where the next frame goes
        self.quiet = 0
        self.is_long = True
        self.clear()

    def clear(self):
        """What is fed next does not follow on what was fed last."""
        _clear(self.codes, self._seen, self._told)
        self.kept = 0

    def take_zero(self, slot, code):
        """The code at which this slot's input is nothing."""
        self._told[_ZERO + slot] = code

    def keep(self, codes, pos, frames):
        """Keeps converted frames, from codes[pos] on."""
        self.quiet += frames
        self.kept += frames
        size = self._told[_SIZE]
        stride = self._told[_STRIDE]
        if frames > size:
            pos += (frames - size) * stride
            self._at = (self._at + frames - size) % size
            frames = size
        source = memoryview(codes)
        while frames:
            at = self._at
            n = min(frames, size - at)
            self._view[at * stride : (at + n) * stride] = source[pos : pos + n * stride]
            _mark(self._seen, at, at + n)
            self._at = (at + n) % size
            pos += n * stride
            frames -= n

    def count(self, length, is_seen):
        """Takes note of so many 1/4096 frames, and whether a crossing was seen at their end: where
        cycles cannot be found, these tell 50 from 60 Hz."""
        self._since += length
        if not is_seen:
            return
        fifty, sixty = self._usual
        since, self._since = self._since, 0
        if since > _LONGEST * fifty:
            return
        off50, off60 = [min(since % usual, -since % usual) for usual in self._usual]
        if abs(off50 - off60) > sixty // _CLEAR_PART:
            votes = self._votes + (1 if off60 < off50 else -1)
            self._votes = max(-_VOTES, min(votes, _VOTES))

    def follow(self, cycle_q12, frames):
        """Takes the length of a mains cycle, 1/4096 frame, 0 where it is not known, and that of
        the gap that is to be filled."""
        if cycle_q12:
            self._cycle = cycle_q12
        elif abs(self._votes) == _VOTES:
            self._cycle = self._usual[1 if self._votes > 0 else 0]
        self.is_long = frames * _LONG_PART << 12 > self._cycle

    def put(self, frames):
        """Writes up to so many frames behind the latest, in one piece; returns (first, how many).

        A frame is as one cycle earlier; where that was lost too, as half a cycle earlier, about
        zero; where even that was, on the sine through two others.  Where nothing serves it is as
        what stood in a cycle earlier.  Where a cycle has few frames none is a whole one earlier:
        there the sine comes first.
        """
        self.quiet = 0
        told = self._told
        first = self._at
        n = min(frames, told[_SIZE] - first)
        self.kept += n
        told[_AT] = first
        told[_END] = first + n
        told[_CYCLE] = min(self._cycle, told[_SIZE] << 12)
        _repeat(self.codes, self._seen, told, self._words)
        self._at = (first + n) % told[_SIZE]
        return first, n


@micropython.viper
def _clear(codes: ptr16, seen: ptr8, told: ptr32):
    stride = told[_STRIDE]
    at = 0
    frame = 0
    while frame < told[_SIZE]:
        seen[frame] = 0
        k = 0
        while k < stride:
            codes[at] = told[_ZERO + k]
            at += 1
            k += 1
        frame += 1


@micropython.viper
def _mark(seen: ptr8, at: int, end: int):
    while at < end:
        seen[at] = 1
        at += 1


@micropython.viper
def _repeat(codes: ptr16, seen: ptr8, told: ptr32, words: ptr32):
    at = told[_AT]
    end = told[_END]
    size = told[_SIZE]
    cycle = (told[_CYCLE] + 2048) >> 12
    half = (told[_CYCLE] + 4096) >> 13
    stride = told[_STRIDE]
    sine = told[_SINE]
    quarter = cycle + 2 >> 2
    few = cycle < _FEW
    # The sine has 512 entries of a turn.
    turn_q14 = (1 << 28) // (told[_CYCLE] >> 7)
    sin_near = 0
    sin_far = 0
    sin_apart = 0
    far = 0
    while at < end:
        source = at - cycle
        if source < 0:
            source += size
        mirrored = at - half
        if mirrored < 0:
            mirrored += size
        how = 0
        if few or not seen[source]:
            if seen[mirrored] and not seen[source]:
                how = 1
                source = mirrored
            if few or not how:
                # Two that were seen, the nearest and one a quarter turn before that, within 1/16:
                # further from it what is wrong in them would grow.
                near = 1
                one = at - 1
                if one < 0:
                    one += size
                while near < cycle and not seen[one]:
                    near += 1
                    one -= 1
                    if one < 0:
                        one += size
                far = near + quarter
                least = far - (quarter >> 2)
                last = far + (quarter >> 2)
                if last >= size:
                    last = size - 1
                other = at - far
                if other < 0:
                    other += size
                while far <= last and not seen[other]:
                    far += 1
                    other -= 1
                    if other < 0:
                        other += size
                if far > last:
                    far = near + quarter
                    other = at - far
                    if other < 0:
                        other += size
                    while far >= least and not seen[other]:
                        far -= 1
                        other += 1
                        if other >= size:
                            other -= size
                    if far < least:
                        near = cycle
                if near < cycle and far < size:
                    how = 2
                    sin_near = words[sine + (near * turn_q14 + 8192 >> 14 & 511)]
                    sin_near = (sin_near & 0xFFFF ^ 0x8000) - 0x8000
                    sin_far = words[sine + (far * turn_q14 + 8192 >> 14 & 511)]
                    sin_far = (sin_far & 0xFFFF ^ 0x8000) - 0x8000
                    sin_apart = words[sine + ((far - near) * turn_q14 + 8192 >> 14 & 511)]
                    sin_apart = (sin_apart & 0xFFFF ^ 0x8000) - 0x8000
                    source = one
                    mirrored = other
        k = 0
        while k < stride:
            code = int(codes[source * stride + k])
            if how:
                zero = told[_ZERO + k]
                code -= zero
                if how == 1:
                    code = zero - code
                else:
                    code = code * sin_far - (int(codes[mirrored * stride + k]) - zero) * sin_near
                    code = zero + code // sin_apart
                if code < 0:
                    code = 0
                if code > 4095:
                    code = 4095
            codes[at * stride + k] = code
            k += 1
        seen[at] = 0
        at += 1
