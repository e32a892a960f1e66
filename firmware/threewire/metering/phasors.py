"""Fundamental phasors: every few frames are correlated with a sine and cosine of mains frequency.

Flow: sampler -> PHASORS -> accumulator -> window (var, angles for the doctor).  Beside the energy
path: nothing here counts towards a watt-hour.  A window is whole mains cycles, over which
harmonics and the fundamental are orthogonal, so 1250 frames a second are enough: what aliases onto
50 Hz then are even harmonics, which mains does not have.
"""

from micropython import const

from threewire.metering.intmath import TWO_PI_Q32, nearest
from threewire.metering.kernel import AHEAD, PHASORS, SCALE, SINE, STEP, STRIDE, TURN, put_half

# Sine and twice the cosine of 1/1024 turn.
_STEP_SIN_Q36 = 421654782
_TWICE_COS_Q36 = 137436366223
# 512 counts are 1: from Q36 to counts, and half of one.
_COUNT_SHIFT = const(27)
_HALF_COUNT_Q36 = const(1 << 26)
# At least so many frames a second are looked at, and fewer than twice as many.
_RATE_HZ = const(1250)


def _write_sine(words, at):
    """Writes the sine's entries from half `at` on: four quarters of a turn and the first again.

    sin (k + 1) a = 2 cos a * sin k a - sin (k - 1) a, which is ten times as quick as a series for
    each, and in Q36 rounds to the same counts.
    """
    before, sine = -_STEP_SIN_Q36, 0
    for k in range(257):
        s = (sine + _HALF_COUNT_Q36) >> _COUNT_SHIFT
        put_half(words, at + k, SCALE + s)
        put_half(words, at + 512 + k, SCALE - s)
        if k < 256:
            put_half(words, at + 1024 + k, SCALE + s)
        if 0 < k < 256:
            put_half(words, at + 512 - k, SCALE + s)
            put_half(words, at + 1024 - k, SCALE - s)
        before, sine = sine, (_TWICE_COS_Q36 * sine >> 36) - before


class Phasors:
    """Sums of the current window; kernel.correlate adds them up in `words`, the kernel's state."""

    def __init__(self, words, rate_hz):
        self._base = base = words[PHASORS]
        if not words[base + SINE]:
            _write_sine(words, 2 * (base + SINE))
        self._words = words
        self._every = max(1, rate_hz // _RATE_HZ)  # frames from one looked at to the next
        words[base + STEP] = self._every * words[STRIDE]

    def tune(self, angle_q32):
        """Sets the phase that a frame spans (radians, Q32)."""
        self._words[self._base + TURN] = nearest((angle_q32 * self._every) << 24, TWO_PI_Q32)

    def take(self):
        """Takes out [frames, then sums of 1, x1, y1, x2, y2 times the cosine, then the sine], and
        begins anew with the next frame."""
        words = self._words
        first = self._base + AHEAD
        last = self._base + SINE
        sums = list(words[first + 2 : last])
        for k in range(first, last):
            words[k] = 0
        return sums


def power(sums, x, y, offsets):
    """Y * conj(X) of the inputs x, y (0 to 3: x1, y1, x2, y2) in what `take` gave, as its real and
    imaginary part: counts**2 * 2**17 times the frames, whose rms phasors' product it is.

    offsets  of x and y, in 1/16 count
    """
    n, c, *cos = sums[:6]
    s, *sin = sums[6:]
    a, b = offsets
    xc = cos[x] - nearest(a * c, 16)
    xs = sin[x] - nearest(a * s, 16)
    yc = cos[y] - nearest(b * c, 16)
    ys = sin[y] - nearest(b * s, 16)
    return (yc * xc + ys * xs) // n, (yc * xs - ys * xc) // n
