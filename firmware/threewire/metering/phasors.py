"""Fundamental phasors: every few frames are correlated with a sine and cosine of mains frequency.

Flow: sampler -> PHASORS -> accumulator -> window (var, angles for the doctor).  Beside the energy
path: nothing here counts towards a watt-hour.  A window is whole mains cycles, over which
harmonics and the fundamental are orthogonal.  At 4000 frames a second or more no harmonic below
the 60th aliases onto the fundamental of 65 Hz or less; samplers that are slower look at every
frame.  The sine follows the mains by the cycle: each begins where it does.
"""

from array import array

import micropython
from micropython import const

from threewire.metering.intmath import TWO_PI_Q32, nearest
from threewire.metering.kernel import PHASORS, SINE, STEP, STRIDE, TURN

# Of the kernel's state, as in kernel.py.
_FRAME_Q20 = const(42)
_AHEAD = const(2)
_PHASE = const(3)
_ENTRIES = const(512)
# Sine and twice the cosine of 1/512 turn.
_STEP_SIN_Q36 = 843293690
_TWICE_COS_Q36 = 137428604572
# 512 counts are 1: from Q36 to counts, and half of one.
_COUNT_SHIFT = const(27)
_HALF_COUNT_Q36 = const(1 << 26)
# At least so many frames a second are looked at, and fewer than twice as many.
_RATE_HZ = const(4000)
# The sine may be so much of a turn ahead or behind, 0.35 degrees, in 2**-20.
_OFF = const(1024)
# Where a cycle differs from what it was taken for by more than this part, 3 %, its phasor is not
# known.
_KNOWN_PART = const(32)
# What is taken: the words of two sums of six, but for one count.
_TAKEN = const(11)
_NOTHING = array("i", bytes(4 * (SINE - _AHEAD)))


def _write_sine(words, at):
    """Writes the entries, from word `at` on.

    sin (k + 1) a = 2 cos a * sin k a - sin (k - 1) a, which is ten times as quick as a series for
    each, and in Q36 rounds to the same counts.
    """
    before, sine = -_STEP_SIN_Q36, 0
    quarter = _ENTRIES // 4
    counts = []
    for _ in range(quarter + 1):
        counts.append((sine + _HALF_COUNT_Q36) >> _COUNT_SHIFT)
        before, sine = sine, (_TWICE_COS_Q36 * sine >> 36) - before
    for k in range(quarter):
        sin, cos = counts[k], counts[quarter - k]
        for _ in range(4):
            words[at + k] = (cos << 16) + (sin & 0xFFFF)
            sin, cos = cos, -sin
            k += quarter


class Phasors:
    """Sums of the current window; the kernel's `correlate` adds them up in `words`, its state.

    every     frames from one that is looked at to the next
    is_known  the sine has been in step since `take`
    """

    def __init__(self, words, rate_hz):
        self._base = base = words[PHASORS]
        if not words[base + SINE]:
            _write_sine(words, base + SINE)
        self._words = words
        self.every = max(1, rate_hz // _RATE_HZ)
        words[base + STEP] = self.every * words[STRIDE]
        self._is_new = True  # nothing has been looked at yet
        self.is_known = True

    def tune(self, angle_q32):
        """Sets the phase that a frame spans (radians, Q32)."""
        self._words[self._base + TURN] = nearest((angle_q32 * self.every) << 24, TWO_PI_Q32)
        self._words[_FRAME_Q20] = nearest(angle_q32 << 20, TWO_PI_Q32)

    @micropython.native
    def follow(self, fraction, length):
        """A cycle begins `fraction`/4096 of a frame behind the frame before; the one before it had
        `length`/4096 frames, 0 if that was no cycle."""
        words = self._words
        base = self._base
        frames_q12 = ((words[base + _AHEAD] // words[STRIDE] + 1) << 12) - fraction
        due_q20 = frames_q12 * words[_FRAME_Q20] >> 12
        off = ((words[base + _PHASE] >> 4) - due_q20 + 0x80000 & 0xFFFFF) - 0x80000
        if self._is_new or off < -_OFF or off > _OFF:
            words[base + _PHASE] = (due_q20 & 0xFFFFF) << 4
            if length and not self._is_new:
                self._retune(length)
            self._is_new = False

    def _retune(self, length):
        """Takes a cycle's length, 1/4096 frame, for the next one's."""
        frame_q20 = (1 << 32) // length
        words = self._words
        if abs(frame_q20 - words[_FRAME_Q20]) * _KNOWN_PART > frame_q20:
            self.is_known = False
        words[_FRAME_Q20] = frame_q20
        words[self._base + TURN] = (self.every << 36) // length

    @micropython.native
    def take(self, work):
        """Writes frames, then the sums of 1, x1, y1, x2, y2 times the cosine, then the sine, to
        work[:11], and begins anew with the next frame.  Returns whether there are any frames."""
        words = self._words
        self.is_known = self._is_new = True
        first = self._base + _AHEAD
        last = self._base + SINE
        work[:_TAKEN] = words[first + 2 : last]
        words[first:last] = _NOTHING
        return work[0] > 0
