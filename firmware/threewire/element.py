"""One element's part in the kernel's sums: which input is delayed, by how much, with what gain.

Flow: layout, calibration -> ELEMENT -> accumulator, readings.
"""

import micropython

from threewire.intmath import nearest, shift_weight_q24


class Element:
    """x is the input that is delayed, y the other; offsets are in 1/16 count.

    v_nv, i_na   size of a count, positive
    x_is_i       whether x is the current
    lag_q24      frames by which x is delayed, Q24
    """

    def __init__(self, layout, calibration, k):
        v, i = ("v1", "i1") if k == 0 else ("v2", "i2")
        v_nv = calibration.v_nv[k] * layout.sign[v]
        i_na = calibration.i_na[k] * layout.sign[i]
        self.power_gain = v_nv * i_na
        self.v_nv = abs(v_nv)
        self.i_na = abs(i_na)
        # The current is converted later than the voltage by the slots between, and the front end
        # shows it earlier than it is: both make its samples run ahead.
        ahead_ns = layout.slot_ns[i] - layout.slot_ns[v] + calibration.phase_ns[k]
        self.x_is_i = ahead_ns >= 0
        self._delay_ns = abs(ahead_ns)
        self.v_slot = layout.slot[v]
        self.i_slot = layout.slot[i]
        self.x_slot, self.y_slot = self.i_slot, self.v_slot
        if not self.x_is_i:
            self.x_slot, self.y_slot = self.v_slot, self.i_slot
        self.offsets = (0, 0)
        self.lag_q24 = 0

    def weigh(self, angle2_q32, frame_ticks, tick_hz):
        """Sets the weights for this mains frequency (intmath.frame_angle2_q32) and frame time."""
        self.lag_q24 = f = nearest((self._delay_ns * tick_hz) << 24, frame_ticks * 1000000000)
        self._w1 = shift_weight_q24(f, angle2_q32)
        self._w01 = self._w1 + shift_weight_q24((1 << 24) - f, angle2_q32)
        self._gain = self.power_gain * frame_ticks

    @micropython.native
    def central(self, n, sum_x, sum_y, s0, step, slip):
        """(S0, S1 - S0) about the offsets, in counts**2 / 256, from n frames' raw sums: of x, y,
        x[n] y[n], (x[n-1] - x[n]) y[n] and x[n-1] - x[n]."""
        a, b = self.offsets
        return (
            (s0 << 8) - ((b * sum_x + a * sum_y) << 4) + n * a * b,
            (step << 8) - (b * slip << 4),
        )

    @micropython.native
    def energy(self, same, step):
        """Raw energy of what `central` gave."""
        return (self._w01 * same + self._w1 * step) * self._gain
