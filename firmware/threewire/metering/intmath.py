"""Integer mathematics shared by the pure stages: symmetric rounding, square root, small angles.

Everything here gives the same digits on every port: no float is involved.  Angles are small (a
frame is a small part of a mains cycle), so they are carried as squares and expanded in series.
"""

import micropython
from micropython import const

# 4 * pi**2 and 2 * pi in Q32: 39.47841760435743 and 6.283185307179586 * 2**32, rounded.
FOUR_PI2_Q32 = 169558512509
TWO_PI_Q32 = 26986075409

_WORD = const(1 << 30)
_WORD2 = const(1 << 60)


def nearest(a, b):
    """a / b (b > 0) rounded to the nearest integer, halves away from zero: nearest(-a, b) is
    -nearest(a, b), so that an offset estimated from inverted samples is exactly inverted.
    """
    if a < 0:
        return -((b - 2 * a) // (2 * b))
    return (2 * a + b) // (2 * b)


def isqrt(n):
    """Largest integer whose square is at most n (n >= 0)."""
    if n < _WORD:
        return isqrt_word(n)
    shift = 0
    top = n
    while top >= _WORD2:
        top >>= 30
        shift += 15
    root = isqrt_words(top >> 30, top & (_WORD - 1))
    if not shift:
        return root
    # Newton's iteration from above.
    x = root + 1 << shift
    while True:
        y = (x + n // x) >> 1
        if y >= x:
            return x
        x = y


@micropython.viper
def isqrt_word(n: int) -> int:
    """As isqrt, for n < 2**30; quick."""
    root = 0
    bit = 1 << 28
    while bit:
        if n >= root + bit:
            n -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root


@micropython.viper
def isqrt_words(high: int, low: int) -> int:
    """As isqrt, for high * 2**30 + low; high from 1 and both less than 2**30; quick."""
    # Zimmermann's Karatsuba square root, in digits of 15 bits: the remainder of the upper half's
    # root, divided by twice that, is the lower half's or one more.
    halvings = 0
    while high < 1 << 28:
        high = high << 2 | low >> 28
        low = (low & 0xFFFFFFF) << 2
        halvings += 1
    root = int(isqrt_word(high))
    high -= root * root
    # At most twice the root is left, which has 15 bits: this is less than 2**31.
    high = high << 15 | low >> 15
    part = high // (2 * root)
    left = ((high - 2 * root * part) << 15 | low & 0x7FFF) - part * part
    root = (root << 15) + part
    if left < 0:
        root -= 1
    return root >> halvings


def frame_angle2_q32(cycles, frames):
    """Square of the mains phase that one frame spans, (2 pi cycles / frames)**2, in Q32 rad**2."""
    return nearest(FOUR_PI2_Q32 * cycles * cycles, frames * frames)


def sin_q30(t_q30):
    """sin t in Q30 for t in Q30, |t| < 1.6 rad (pi / 2 and a little).

    Taylor series to the eleventh power: the first term left out is under 8e-8 at 1.6 rad.
    """
    one = 1 << 30
    z = (t_q30 * t_q30) >> 30
    s = one - z // 110
    for product in (72, 42, 20, 6):
        s = one - ((z * s) >> 30) // product
    return (t_q30 * s) >> 30


def shift_weight_q24(f_q24, angle2_q32):
    """sin(f * angle) / sin(angle) in Q24: the weight of the neighbouring frame when a sine wave is
    moved by f frames.

    Linear interpolation gives the weight f; this is f with the terms in angle**2 and angle**4 that
    make both gain and phase exact at the mains frequency:
    f * (1 + (1 - f**2) angle**2 / 6 + (7 - 10 f**2 + 3 f**4) angle**4 / 360).
    """
    one = 1 << 24
    f2 = (f_q24 * f_q24) >> 24
    second = (one - f2) * angle2_q32 // 6  # Q56
    fourth = ((7 * one - 10 * f2 + 3 * ((f2 * f2) >> 24)) * angle2_q32 >> 32) * angle2_q32 // 360
    return nearest(f_q24 * ((1 << 56) + second + fourth), 1 << 56)
