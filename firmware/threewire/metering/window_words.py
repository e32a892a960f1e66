"""What a window is made from, and making it: sums of squares about the offsets, and what phasors
make, in words.

Flow: kernel's sums, phasors -> accumulator -> WINDOW WORDS -> window.  Numbers are as in wide.py.
The arithmetic is in window_viper.py or, in assembler, window_thumb.py, but for `join`, which all
chips have.
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
# What `add` sums up of the window's segments: frames, codes less mid-scale of the four inputs,
# and their squares, each as high word * 4096 + low word.
_FRAMES = const(20)
_SUMS = const(21)
_SQUARES = const(25)
# What `means` and `central` make of it: means of the four, in 1/16 count, and their phasors about
# the offsets.
_MEANS = const(33)
_REAL = const(37)
_IMAGINARY = const(41)
_WORK = const(45)
_NOTHING = array("i", bytes(4 * (_MEANS - _FRAMES)))

_DIGITS = const(10)
# Of a window, as in window.py.
_VOLTS2 = const(20)
_NOISE2 = const(60)
_OWN = const(80)


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


class WindowWork:
    """Of a meter with these two Elements.

    arithmetic   window_viper, or a twin of it for the chip
    words        array('i'), the work; Phasors.take writes to it
    """

    def __init__(self, elements, arithmetic):
        self._elements = elements
        self.arithmetic = arithmetic
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
        self._pairs = signs, bytes(squares), bytes(turned + [255]), bytes(others + [255])

    def restart(self):
        """The sums begin anew."""
        self.words[_FRAMES:_MEANS] = _NOTHING

    def turn(self, k, turn):
        """Takes the cosine and sine, Q30, of the angle by which the input x of element k + 1 is to
        be delayed."""
        at = _TURNS + 2 * k
        self.words[at], self.words[at + 1] = turn

    def add(self, st, frames):
        """Adds a segment of so many frames: what there is in the kernel's state, whose squares are
        taken out of it."""
        self.arithmetic.add(st, self.words, frames)

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

    @micropython.native
    def means(self):
        """Means of x1, y1, x2 and y2, in 1/16 count."""
        self.arithmetic.means(self.words)
        return tuple(self.words[_MEANS : _MEANS + 4])

    @micropython.native
    def fill(self, window, means, is_known, noise):
        """Writes a window's sums of squares about the elements' offsets, and those of its voltages
        about their own mean, unless it is_known where zero is; and the noise (Sums.noise), if
        there is one.
        """
        j = self.words
        w = window.words
        one, two = self._elements
        offsets = one.offsets + two.offsets
        own_means = window.own_means
        own_offs = window.own_offs
        squares = self._pairs[1]
        at = 0
        for place in squares:
            place -= _VOLTS2 // _DIGITS  # among both voltages and both currents
            mean = means[at]
            offset = offsets[at]
            j[_OFFSETS + at] = offset
            own_means[place] = mean
            own_offs[place] = mean - offset
            at += 1
        window.frames = n = j[_FRAMES]
        self.arithmetic.squares(j, w, squares)
        w[_OWN : _OWN + 2 * WORDS] = w[_VOLTS2 : _VOLTS2 + 2 * WORDS]
        if not is_known:
            for k in (0, 1):
                off = own_offs[k]
                put(w, _OWN + WORDS * k, number(w, _OWN + WORDS * k) - n * off * off)
        if noise:
            put_double(w, _NOISE2, n * noise[0])
            put_double(w, _NOISE2 + WORDS, n * noise[1])

    @micropython.native
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
        reckon = self.arithmetic
        reckon.central(j)
        signs, _, turned, others = self._pairs
        reckon.quotients(j, w, turned)
        reckon.turn(j, w, 0, signs[0])
        reckon.turn(j, w, 1, signs[1])
        reckon.quotients(j, w, others)
