"""A window's arithmetic in viper: for the host, and for chips that have no twin in assembler.

Flow: kernel's sums, phasors -> accumulator -> window_words, which tells of the words -> WINDOW.  A
board whose chip runs window_thumb.py does not carry this file.  Numbers are as in wide.py.  As in
kernel_viper.py no intermediate leaves 31 bits, or its sign is taken off, so that words of 32 and
of 64 bits give the same.
"""

import micropython
from micropython import const

# Words of 32 bits of what a window is made from, as in window_words.py: viper takes constants of
# this file only.
_COS = const(1)
_SIN = const(6)
_OFFSETS = const(11)
_N_Q12 = const(15)
_TURNS = const(16)
_FRAMES = const(20)
_SUMS = const(21)
_SQUARES = const(25)
_MEANS = const(33)
_REAL = const(37)
_IMAGINARY = const(41)

_DIGITS = const(10)
# Of the kernel's state, as in kernel.py.
_SX1 = const(13)
_NEXT_SUMS = const(6)
_XX1 = const(25)


@micropython.viper
def gained(to: ptr16, now: ptr16, at: int, was: ptr16):
    """Writes the two numbers at now[at], at an even place, less those at was[0] to to[0], and
    takes the former for the latter."""
    k = 0
    while k < 2 * _DIGITS:
        carry = 0
        end = k + _DIGITS
        while k < end:
            digit = now[at + k]
            carry += digit - was[k]
            was[k] = digit
            to[k] = carry & 0xFFFF
            carry >>= 16
            k += 1


@micropython.viper
def add(st: ptr32, j: ptr32, frames: int):
    """Adds what there is in the kernel's state, of so many frames, to the work `j`; the squares
    are taken out of it."""
    j[_FRAMES] = int(j[_FRAMES]) + frames
    k = 0
    while k < 4:
        at = _SX1 + (k & 1)
        if k > 1:
            at += _NEXT_SUMS
        j[_SUMS + k] = int(j[_SUMS + k]) + int(st[at])
        at = _XX1 + 2 * k
        low = int(st[at + 1]) + int(j[_SQUARES + 2 * k + 1])
        j[_SQUARES + 2 * k] = int(j[_SQUARES + 2 * k]) + int(st[at]) + (low >> 12)
        j[_SQUARES + 2 * k + 1] = low & 0xFFF
        st[at] = 0
        st[at + 1] = 0
        k += 1


@micropython.viper
def means(j: ptr32):
    """Writes the means of the work's sums, rounded as intmath.nearest does it."""
    halves = ptr16(j)
    n = j[_FRAMES]
    k = 0
    while k < 4:
        at = 2 * (_SUMS + k)
        s = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
        sign = 1
        if s < 0:
            sign = -1
            s = 0 - s
        whole = s // n
        j[_MEANS + k] = sign * (16 * whole + (32 * (s - whole * n) + n) // (2 * n))
        k += 1


@micropython.viper
def squares(j: ptr32, w: ptr16, places: ptr8):
    """Writes the work's sums of squares about its offsets, of the four inputs, to w, each to the
    number of this place."""
    halves = ptr16(j)
    n = j[_FRAMES]
    k = 0
    while k < 4:
        at = 2 * (_OFFSETS + k)
        a = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
        # As hi * 2**24 + lo, counts**2 / 256: n a a, by 12 bits of a a at a time.  Offsets are up
        # to 34432, frames 62500, sums of codes 1.4e8: nothing has more than 31 bits.
        p = a * a
        lo = (p & 0xFFF) * n
        t = ((p >> 12) & 0xFFF) * n
        hi = (lo >> 24) + (t >> 12) + (p >> 24) * n
        lo = (lo & 0xFFFFFF) + ((t & 0xFFF) << 12)
        # - 32 a sum x, by 15 bits of the sum.
        at = 2 * (_SUMS + k)
        s = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
        p = a * (s & 0x7FFF)
        t = a * (s >> 15)
        hi -= (p >> 19) + (t >> 4)
        lo -= ((p & 0x7FFFF) << 5) + ((t & 15) << 20)
        # + 256 sum x x
        s = j[_SQUARES + 2 * k]
        hi += s >> 4
        lo += ((s & 15) << 20) + (j[_SQUARES + 2 * k + 1] << 8)
        hi += lo >> 24
        lo &= 0xFFFFFF
        at = _DIGITS * places[k]
        end = at + _DIGITS
        w[at] = lo & 0xFFFF
        w[at + 1] = (lo >> 16) | ((hi & 0xFF) << 8)
        w[at + 2] = (hi >> 8) & 0xFFFF
        w[at + 3] = (hi >> 24) & 0xFFFF
        at += 4
        while at < end:
            w[at] = (hi >> 31) & 0xFFFF
            at += 1
        k += 1


@micropython.viper
def central(j: ptr32):
    """Writes the four inputs' phasors about the work's offsets: what was summed, less the nearest
    to offset / 16 times the sum of the cosine, or sine."""
    halves = ptr16(j)
    term = 0
    while term < 2:
        at = 2 * (_SIN if term else _COS)
        c = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
        k = 0
        while k < 4:
            at = 2 * (_OFFSETS + k)
            a = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
            b = c
            sign = 1
            if a < 0:
                a = 0 - a
                sign = -1
            if b < 0:
                b = 0 - b
                sign = 0 - sign
            # By 12 bits of the sum: 34432 * 4095 has 28.
            p = a * (b & 0xFFF) + 8
            b = (a * (b >> 12) << 8) + (p >> 4)
            at = _COS + 1 + k
            to = _REAL + k
            if term:
                at = _SIN + 1 + k
                to = _IMAGINARY + k
            j[to] = int(j[at]) - sign * b
            k += 1
        term += 1


@micropython.viper
def quotients(j: ptr32, w: ptr16, jobs: ptr8):
    """Writes products Y * conj(X) of two phasors of the work, over its frames, to w, rounded down:
    counts**2 * 2**17 times these, whose rms phasors' product it is.

    jobs   four bytes for each, and a 255 behind the last: the inputs y and x; 0 for the real part
           of Y * conj(X), 1 for the imaginary one, and 2 more for its negative; the place of the
           number
    """
    halves = ptr16(j)
    n = j[_N_Q12]
    # So many bits at a time that a remainder with them has no more than 31.
    bits = 8
    while n >> (31 - bits):
        bits >>= 1
    mask = (1 << bits) - 1
    while jobs[0] != 255:
        s0 = 0
        s1 = 0
        s2 = 0
        s3 = 0
        imaginary = jobs[2] & 1
        term = 0
        while term < 2:
            # yc xc + ys xs, or yc xs - ys xc.
            at = 2 * (_REAL + jobs[0]) + 8 * term
            u = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
            at = 2 * (_REAL + jobs[1]) + 8 * (term ^ imaginary)
            v = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
            negative = term & imaginary
            if u < 0:
                u = 0 - u
                negative ^= 1
            if v < 0:
                v = 0 - v
                negative ^= 1
            u1 = u >> 16
            u &= 0xFFFF
            v1 = v >> 16
            v &= 0xFFFF
            # In four digits; a product of two is up to 2**32 - 1: its sign is none.
            t = u * v
            d0 = t & 0xFFFF
            p = u * v1
            v *= u1
            t = ((t >> 16) & 0xFFFF) + (p & 0xFFFF) + (v & 0xFFFF)
            d1 = t & 0xFFFF
            u = u1 * v1
            t = (t >> 16) + (p >> 16) + (v >> 16) + (u & 0xFFFF)
            d2 = t & 0xFFFF
            d3 = (t >> 16) + (u >> 16)
            if negative:
                d0 = 0 - d0
                d1 = 0 - d1
                d2 = 0 - d2
                d3 = 0 - d3
            t = s0 + d0
            s0 = t & 0xFFFF
            t = (t >> 16) + s1 + d1
            s1 = t & 0xFFFF
            t = (t >> 16) + s2 + d2
            s2 = t & 0xFFFF
            s3 += (t >> 16) + d3
            term += 1
        negative = 0
        if s3 < 0:
            negative = 1
            t = 0 - s0
            s0 = t & 0xFFFF
            t = (t >> 16) - s1
            s1 = t & 0xFFFF
            t = (t >> 16) - s2
            s2 = t & 0xFFFF
            s3 = (t >> 16) - s3
        # Times 4096, in five digits, from the highest on; then over n.
        at = _DIGITS * jobs[3]
        w[at] = (s0 << 12) & 0xFFFF
        w[at + 1] = (s0 >> 4) | ((s1 << 12) & 0xFFFF)
        w[at + 2] = (s1 >> 4) | ((s2 << 12) & 0xFFFF)
        w[at + 3] = (s2 >> 4) | ((s3 << 12) & 0xFFFF)
        w[at + 4] = s3 >> 4
        rest = 0
        k = at + 5
        while k > at:
            k -= 1
            digit = w[k]
            t = 0
            left = 16
            while left:
                left -= bits
                rest = (rest << bits) | ((digit >> left) & mask)
                t <<= bits
                if rest >= n:
                    p = rest // n
                    rest -= p * n
                    t |= p
            w[k] = t
        k = at + 5
        end = at + _DIGITS
        while k < end:
            w[k] = 0
            k += 1
        # Rounded down: what is left over makes a negative one more.
        carry = 0
        if negative and rest:
            carry = 1
        flip = 0
        if negative != jobs[2] >> 1:
            # -(q + 1) is the complement of q, and -q that of q - 1.
            flip = 0xFFFF
            carry ^= 1
        if carry or flip:
            k = at
            while k < end:
                carry += w[k] ^ flip
                w[k] = carry & 0xFFFF
                carry >>= 16
                k += 1
        jobs = ptr8(uint(jobs) + 4)


@micropython.viper
def turn(j: ptr32, w: ptr16, element: int, signs: int):
    """Turns the complex number whose parts are those of an element (0 or 1) at w[100] and w[120],
    of less than 64 bits, by the work's angle; then takes the negative of its real part, 1 in
    `signs`, and of its imaginary part, 2.  At w[140] and w[180] there is room."""
    halves = ptr16(j)
    half = 0
    while half < 2:
        # re cos - im sin, or re sin + im cos, in six digits.
        to = 180 + _DIGITS * half
        k = 0
        while k < 6:
            w[to + k] = 0
            k += 1
        term = 0
        while term < 2:
            at = 2 * (_TURNS + 2 * element + (half ^ term))
            f = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
            negative = term & (half ^ 1)
            if f < 0:
                f = 0 - f
                negative ^= 1
            # The number, or its negative.
            at = 100 + 20 * term + _DIGITS * element
            flip = 0
            if negative:
                flip = 0xFFFF
            carry = negative
            k = 0
            while k < 6:
                carry += w[at + k] ^ flip
                w[140 + k] = carry & 0xFFFF
                carry >>= 16
                k += 1
            i = 0
            while i < 2:
                digit = f & 0xFFFF
                f >>= 16
                carry = 0
                k = i
                while k < 6:
                    carry += digit * w[140 + k - i] + w[to + k]
                    w[to + k] = carry & 0xFFFF
                    carry = (carry >> 16) & 0xFFFF
                    k += 1
                i += 1
            term += 1
        half += 1
    half = 0
    while half < 2:
        # Over 2**30, rounded down.
        to = 100 + 20 * half + _DIGITS * element
        at = 180 + _DIGITS * half
        flip = 0
        carry = 0
        if signs & (1 + half):
            flip = 0xFFFF
            carry = 1
        sign = 0
        if w[at + 5] >> 15:
            sign = 0xFFFF
        k = 0
        while k < _DIGITS:
            t = sign
            if k < 4:
                t = (w[at + k + 1] >> 14) | ((w[at + k + 2] << 2) & 0xFFFF)
            elif k == 4:
                t = (w[at + 5] >> 14) | ((sign << 2) & 0xFFFF)
            carry += t ^ flip
            w[to + k] = carry & 0xFFFF
            carry >>= 16
            k += 1
        half += 1
