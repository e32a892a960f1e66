"""What a window is made from, and making it: sums of squares about the offsets, and what phasors
make, in words.

Flow: kernel's sums, phasors -> accumulator -> WINDOW WORDS -> window.  Numbers are as in wide.py.
As in kernel_viper.py no intermediate leaves 31 bits, or its sign is taken off, so that words of 32
and of 64 bits give the same.
"""

from array import array

import micropython
from micropython import const

from threewire.metering.wide import WORDS, number, put, put_double

# Words of 32 bits of what a window is made from, the *work*.  First what Phasors.take gives, of
# x1, y1, x2 and y2 as the kernel has them:
_POINTS = const(0)
_COS = const(1)  # sum of the cosine, and of each input times it
_SIN = const(6)  # and of the sine
# What the accumulator writes:
_OFFSETS = const(11)  # of the four, in 1/16 count
_N_Q12 = const(15)  # frames, as `quotients` takes them
_TURNS = const(16)  # cosine and sine, Q30, of the angle by which x is delayed, of each element
# What `gather` sums up of the window's segments: frames, codes less mid-scale of the four inputs,
# and their squares, each as high word * 4096 + low word.
_FRAMES = const(20)
_SUMS = const(21)
_SQUARES = const(25)
# What `means` and `centre` make of it: means of the four, in 1/16 count, and their phasors about
# the offsets.
_MEANS = const(33)
_REAL = const(37)
_IMAGINARY = const(41)
_WORK = const(45)

_DIGITS = const(10)
# Of a window, as in window.py.
_VOLTS2 = const(20)
_NOISE2 = const(60)
_OWN = const(80)
# Of the kernel's state, as in kernel.py.
_SX1 = const(13)
_NEXT_SUMS = const(6)
_XX1 = const(25)


@micropython.viper
def join(to: ptr16, words: ptr16, count: int):
    """Adds `count` numbers, one behind the other, to as many."""
    k = 0
    while count:
        count -= 1
        carry = 0
        end = k + _DIGITS
        while k < end:
            carry += to[k] + words[k]
            to[k] = carry & 0xFFFF
            carry >>= 16
            k += 1


@micropython.viper
def gained(to: ptr16, now: ptr16, at: int, was: ptr16):
    """Writes the two numbers at now[at] less those at was[0] to to[0], and takes the former for
    the latter."""
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
def gather(st: ptr32, j: ptr32, frames: int):
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
def about_offsets(j: ptr32, w: ptr16, places: ptr8):
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
def centre(j: ptr32):
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
    """Writes products of two phasors of the work, over its frames, to w: phasors.product, and
    phasors.square.

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


class WindowWork:
    """Of a meter with these two Elements.

    words   array('i'), the work; Phasors.take writes to it
    """

    def __init__(self, elements):
        self._elements = elements
        self.words = array("i", bytes(4 * _WORK))
        # Places of the squares of x1, y1, x2 and y2; the products of two phasors that an angle
        # turns then, and those that none does.
        squares = []
        turned = []
        others = []
        volts = []
        signs = []
        for k, e in enumerate(elements):
            x = 2 * k
            y = x + 1
            v, i = (y, x) if e.x_is_i else (x, y)
            squares += (4 + k, 2 + k) if e.x_is_i else (2 + k, 4 + k)
            turned += (y, x, 0, 10 + k, y, x, 1, 12 + k)
            others += (v, v, 0, 14 + k, i, i, 0, 16 + k)
            volts.append(v)
            negative = e.power_gain < 0
            # Where x is the voltage, y * conj(x) is I * conj(V).
            signs.append(negative | (negative == e.x_is_i) << 1)
        negative = 2 if elements[0].v_sign != elements[1].v_sign else 0
        for part in (0, 1):
            others += (volts[1], volts[0], part | negative, 18 + part)
        self._jobs = signs, bytes(squares), bytes(turned + [255]), bytes(others + [255])

    def restart(self):
        """The sums begin anew."""
        self.words[_FRAMES:_MEANS] = array("i", bytes(4 * (_MEANS - _FRAMES)))

    def turn(self, k, turn):
        """Takes the cosine and sine, Q30, of the angle by which the input x of element k + 1 is to
        be delayed."""
        at = _TURNS + 2 * k
        self.words[at], self.words[at + 1] = turn

    def add(self, st, frames):
        """Adds a segment of so many frames: what there is in the kernel's state, whose squares are
        taken out of it."""
        gather(st, self.words, frames)

    def join(self, raw, squares):
        """Adds a segment of which Sums.raw and Sums.take_squares are given."""
        j = self.words
        j[_FRAMES] += raw[0]
        for k, at in enumerate((1, 2, 6, 7)):
            j[_SUMS + k] += raw[at]
            square = (j[_SQUARES + 2 * k] << 12) + j[_SQUARES + 2 * k + 1] + squares[k]
            j[_SQUARES + 2 * k] = square >> 12
            j[_SQUARES + 2 * k + 1] = square & 0xFFF

    def raw(self):
        """(frames, then the sums of x1, y1, x2 and y2)."""
        return self.words[_FRAMES : _FRAMES + 5]

    def means(self):
        """Means of x1, y1, x2 and y2, in 1/16 count."""
        means(self.words)
        return tuple(self.words[_MEANS : _MEANS + 4])

    def fill(self, window, means, is_known, noise):
        """Writes a window's sums of squares about the elements' offsets, and those of its voltages
        about their own mean, unless it is_known where zero is; and the noise (Sums.noise), if
        there is one.
        """
        j = self.words
        w = window.words
        own_means = []
        own_offs = []
        for k, e in enumerate(self._elements):
            at = 2 * k
            j[_OFFSETS + at], j[_OFFSETS + at + 1] = e.offsets
            v = 1 if e.x_is_i else 0
            own_means.append(means[at + v])
            own_offs.append(means[at + v] - e.offsets[v])
        window.frames = n = j[_FRAMES]
        window.own_means = own_means
        about_offsets(j, w, self._jobs[1])
        w[_OWN : _OWN + 2 * WORDS] = w[_VOLTS2 : _VOLTS2 + 2 * WORDS]
        if not is_known:
            for k, off in enumerate(own_offs):
                put(w, _OWN + WORDS * k, number(w, _OWN + WORDS * k) - n * off * off)
        if noise:
            put_double(w, _NOISE2, n * noise[0])
            put_double(w, _NOISE2 + WORDS, n * noise[1])

    def fill_phasors(self, window, span_q12):
        """Writes what its phasors make, about the same offsets; span_q12: 1/4096 of the frames
        looked at, by the time between its crossings."""
        j = self.words
        w = window.words
        window.points = points = j[_POINTS]
        # A frame looked at beyond the last crossing adds to no sine that begins there: cycles
        # have so many by their time.  While offsets were learnt not all had been looked at.
        n_q12 = points << 12
        if abs(span_q12 - n_q12) << 6 < n_q12:
            n_q12 = span_q12 * span_q12 // n_q12
        j[_N_Q12] = n_q12
        centre(j)
        signs, _, turned, others = self._jobs
        quotients(j, w, turned)
        turn(j, w, 0, signs[0])
        turn(j, w, 1, signs[1])
        quotients(j, w, others)
