"""One element's part in the kernel's sums: which input is delayed, by how much, with what gain.

Flow: layout, calibration -> ELEMENT -> accumulator, readings.
"""

from array import array

from threewire.metering.intmath import isqrt_word, nearest, shift_weight_q24, sin_q30
from threewire.metering.wide import WORDS, multiply, put

_QUARTER_TURN_Q30 = 1686629713
# Weights by current are made anew where the phase of a frame, squared, or its time have changed by
# this part: it moves them by 1e-6.
_WEIGHTS_PART = 256
# Rows of the table by current are at most so far apart: 2 degrees of 60 Hz, 0.02 % of a chord.
_APART_NS = 100000


class Element:
    """x is the input that is delayed, y the other; offsets are in 1/16 count.

    v_nv, i_na   size of a count, positive
    power_gain   their product, with the sign of the wiring
    v_sign       -1 for a voltage that is wired or derived as minus another
    x_is_i       whether x is the current
    turn         cosine and sine, Q30, of the angle by which x is delayed
    """

    def __init__(self, layout, calibration, k):
        v, i = ("v1", "i1") if k == 0 else ("v2", "i2")
        v_nv = calibration.v_nv[k] * layout.sign[v]
        i_na = calibration.i_na[k] * layout.sign[i]
        self.power_gain = v_nv * i_na
        self.v_nv = abs(v_nv)
        self.i_na = abs(i_na)
        self.v_sign = 1 if v_nv > 0 else -1
        self._skew_ns = layout.slot_ns[i] - layout.slot_ns[v]
        ahead_ns = self._skew_ns + calibration.phase_at(k, 0)
        self.x_is_i = ahead_ns >= 0
        self._delay_ns = abs(ahead_ns)
        self.v_slot = layout.slot[v]
        self.i_slot = layout.slot[i]
        self.x_slot, self.y_slot = self.i_slot, self.v_slot
        if not self.x_is_i:
            self.x_slot, self.y_slot = self.v_slot, self.i_slot
        self.offsets = (0, 0)
        # Where the phase depends on the current: [rms of the current in 1/8 count, its weights w0
        # + w1 and w1, delay in ns] for each row of the table.
        self.rows = None
        # Of the segment's frames before the stretch, there: the sums of its codes and squares.
        self.total_before = self.squares_before = 0
        self._delays = self._squares = 0  # sums of the delays times squares, and of these
        if calibration.phase_by_ma[k]:
            self.rows = []
            last = calibration.phase_by_ma[k][0]
            for row in calibration.phase_by_ma[k]:
                # Weights between two rows far apart would make a chord of the phasor's arc.
                parts = abs(row[1] - last[1]) // _APART_NS + 1
                for part in range(1, parts + 1):
                    ua, ahead_ns = [
                        nearest((parts - part) * a + part * b, parts)
                        for a, b in ((last[0] * 1000, row[0] * 1000), (last[1], row[1]))
                    ]
                    ahead_ns += self._skew_ns
                    delay_ns = ahead_ns if self.x_is_i else -ahead_ns
                    self.rows.append([nearest(ua * 8000, self.i_na), 0, 0, delay_ns])
                last = row
        self._weighed = (0, 0)
        self._w01 = self._w1 = self._gain = 0
        self._gain_words = array("H", bytes(2 * WORDS))

    @property
    def means(self):
        """Offsets of the voltage and of the current."""
        x, y = self.offsets
        return (y, x) if self.x_is_i else (x, y)

    def carry(self):
        """Takes the phase that the currents since the last time had, each by its square, for the
        phasors; whether it has changed.

        The current is converted later than the voltage by the slots between, and the front end
        shows it earlier than it is: both make its samples run ahead.  What is delayed stays
        delayed, so a table that crosses zero makes the delay negative.
        """
        if not self._squares:
            return False
        delay_ns = self._delays // self._squares
        self._delays = self._squares = 0
        changed = delay_ns != self._delay_ns
        self._delay_ns = delay_ns
        return changed

    def weigh(self, angle_q32, angle2_q32, frame_ticks, tick_hz):
        """Sets the weights for the phase that a frame spans (and its square) and frame time."""
        self.take_gain(frame_ticks)
        f = self._frames_q24(self._delay_ns, frame_ticks, tick_hz)
        delay_q30 = (f * angle_q32) >> 26
        self.turn = (sin_q30(_QUARTER_TURN_Q30 - abs(delay_q30)), sin_q30(delay_q30))
        if not self.rows:
            self._w01, self._w1 = _weights(f, angle2_q32)
            return
        angle2, ticks = self._weighed
        if (
            abs(angle2_q32 - angle2) * _WEIGHTS_PART > angle2_q32
            or abs(frame_ticks - ticks) * _WEIGHTS_PART > frame_ticks
        ):
            self._weighed = (angle2_q32, frame_ticks)
            for row in self.rows:
                f = self._frames_q24(row[3], frame_ticks, tick_hz)
                row[1:3] = _weights(f, angle2_q32)

    def take_gain(self, frame_ticks):
        """Takes the power_gain, and the frame time."""
        gain = self.power_gain * frame_ticks
        if gain != self._gain:
            self._gain = gain
            put(self._gain_words, 0, gain)

    def _frames_q24(self, ns, frame_ticks, tick_hz):
        return nearest((ns * tick_hz) << 24, frame_ticks * 1000000000)

    def adapt(self, n, total, squares):
        """Takes the weights for the current of n frames, given its codes' sum and that of their
        squares: between two rows in proportion, beyond them the nearest one's."""
        offset = self.offsets[0 if self.x_is_i else 1]
        square = ((squares << 8) - (offset * total << 5) + n * offset * offset) // n
        rms = isqrt_word(max(0, min(square >> 2, 0x3FFFFFFF)))
        below = self.rows[0]
        for row in self.rows:
            if rms <= row[0]:
                break
            below = row
        at, w01, w1, delay_ns = row
        span = at - below[0]
        if rms < at and span > 0:
            short = at - rms
            w01 -= (w01 - below[1]) * short // span
            w1 -= (w1 - below[2]) * short // span
            delay_ns -= (delay_ns - below[3]) * short // span
        self._w01, self._w1 = w01, w1
        self._delays += n * square * delay_ns
        self._squares += n * square

    def central(self, n, sum_x, sum_y, s0, step, slip):
        """(S0, S1 - S0) about the offsets, in counts**2 / 256, from n frames' raw sums: of x, y,
        x[n] y[n], (x[n-1] - x[n]) y[n] and x[n-1] - x[n]."""
        a, b = self.offsets
        return (
            (s0 << 8) - ((b * sum_x + a * sum_y) << 4) + n * a * b,
            (step << 8) - (b * slip << 4),
        )

    def energy(self, same, step):
        """Raw energy of what `central` gave."""
        return (self._w01 * same + self._w1 * step) * self._gain

    def put_worth(self, words, at):
        """Writes what 1 of either that `central` gives is worth, in raw units, to words[at], as in
        wide; its negative is behind each."""
        multiply(words, at, self._gain_words, self._w01)
        multiply(words, at + 2 * WORDS, self._gain_words, self._w1)


def _weights(f_q24, angle2_q32):
    """(w0 + w1, w1) for a delay of f frames."""
    w1 = shift_weight_q24(f_q24, angle2_q32)
    return w1 + shift_weight_q24((1 << 24) - f_q24, angle2_q32), w1
