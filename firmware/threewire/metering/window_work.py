"""What a window is made from: the sums of its segments, and its phasors; and making it.

Flow: kernel's sums, phasors -> accumulator -> WINDOW WORK -> window.  The arithmetic itself is in
window_words.py.
"""

from array import array

from threewire.metering import window_words
from threewire.metering.intmath import nearest
from threewire.metering.wide import WORDS, number, put, put_double
from threewire.metering.window import NOISE2, OWN, VOLTS2
from threewire.metering.window_words import (
    FRAMES,
    MEANS,
    N_Q12,
    OFFSETS,
    POINTS,
    SQUARES,
    SUMS,
    TURNS,
)

_NO_SUMS = array("i", bytes(4 * (MEANS - FRAMES)))


class WindowWork:
    """Of a meter with these two Elements.

    words   array('i') as window_words has them; `Phasors.take` writes to it
    """

    def __init__(self, elements):
        self._elements = elements
        self.words = array("i", bytes(4 * window_words.WORK))
        # For window_words: where a number goes that is of x1, y1, x2 or y2; the products of two
        # phasors that an angle turns, and those that none does.
        squares = []
        turned = []
        others = []
        volts = []
        self._signs = []
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
            self._signs.append(negative | (negative == e.x_is_i) << 1)
        negative = 2 if elements[0].v_sign != elements[1].v_sign else 0
        for part in (0, 1):
            others += (volts[1], volts[0], part | negative, 18 + part)
        self._squares = bytes(squares)
        self._turned = bytes(turned + [255])
        self._others = bytes(others + [255])

    @property
    def frames(self):
        return self.words[FRAMES]

    def restart(self):
        """The sums begin anew."""
        self.words[FRAMES:MEANS] = _NO_SUMS

    def turn_by(self, k, turn):
        """Takes the cosine and sine, Q30, of the angle by which the input x of element k + 1 is to
        be delayed."""
        at = TURNS + 2 * k
        self.words[at], self.words[at + 1] = turn

    def add(self, st, frames):
        """Adds a segment of so many frames: what there is in the kernel's state, whose squares are
        taken out of it."""
        window_words.gather(st, self.words, frames)

    def add_sums(self, raw, squares):
        """Adds a segment of which Sums.raw and Sums.take_squares are given."""
        j = self.words
        j[FRAMES] += raw[0]
        for k, at in enumerate((1, 2, 6, 7)):
            j[SUMS + k] += raw[at]
            square = (j[SQUARES + 2 * k] << 12) + j[SQUARES + 2 * k + 1] + squares[k]
            j[SQUARES + 2 * k] = square >> 12
            j[SQUARES + 2 * k + 1] = square & 0xFFF

    def sums(self):
        """(frames, then the sums of x1, y1, x2 and y2)."""
        return self.words[FRAMES : FRAMES + 5]

    def means(self):
        """Means of x1, y1, x2 and y2, in 1/16 count."""
        window_words.means(self.words)
        return tuple(self.words[MEANS : MEANS + 4])

    def fill(self, window, means, has_offsets, noise):
        """Writes a window's sums of squares about the elements' offsets, and those of its voltages
        about their own mean unless it has_offsets; and the noise (Sums.noise), if that is known.
        """
        j = self.words
        w = window.words
        own_means = []
        own_offs = []
        for k, e in enumerate(self._elements):
            at = 2 * k
            j[OFFSETS + at], j[OFFSETS + at + 1] = e.offsets
            v = 1 if e.x_is_i else 0
            own_means.append(means[at + v])
            own_offs.append(means[at + v] - e.offsets[v])
        window.frames = n = j[FRAMES]
        window.own_means = own_means
        window_words.about_offsets(j, w, self._squares)
        w[OWN : OWN + 2 * WORDS] = w[VOLTS2 : VOLTS2 + 2 * WORDS]
        if not has_offsets:
            for k, off in enumerate(own_offs):
                put(w, OWN + WORDS * k, number(w, OWN + WORDS * k) - n * off * off)
        if noise:
            put_double(w, NOISE2, n * noise[0])
            put_double(w, NOISE2 + WORDS, n * noise[1])

    def fill_phasors(self, window, span_q12):
        """Writes what its phasors make, about the same offsets; span_q12: 1/4096 of the frames
        looked at, by the time between its crossings."""
        j = self.words
        w = window.words
        window.points = points = j[POINTS]
        # A frame looked at beyond the last crossing adds to no sine that begins there: cycles
        # have so many by their time.  While offsets were learnt not all had been looked at.
        n_q12 = points << 12
        if abs(span_q12 - n_q12) << 6 < n_q12:
            n_q12 = span_q12 * span_q12 // n_q12
        j[N_Q12] = n_q12
        window_words.centre(j)
        window_words.quotients(j, w, self._turned)
        for k, signs in enumerate(self._signs):
            window_words.turn(j, w, k, signs)
        window_words.quotients(j, w, self._others)


def offsets_towards(offsets, means, part):
    """Offsets that have gone this part of the way to the means."""
    return tuple([a + nearest(mean - a, part) for a, mean in zip(offsets, means)])
