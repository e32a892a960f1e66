"""One element's wiring into the kernel's sums: which input is delayed, by how much, with what
gain.

Flow: layout, calibration -> ELEMENT -> accumulator.
"""

from threewire.intmath import nearest, shift_weight_q24


class Element:
    """Which inputs one element multiplies, and the constants that its sums are weighted with."""

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
        self.delay_ns = abs(ahead_ns)
        self.v_slot = layout.slot[v]
        self.i_slot = layout.slot[i]
        self.x_slot, self.y_slot = self.i_slot, self.v_slot
        if not self.x_is_i:
            self.x_slot, self.y_slot = self.v_slot, self.i_slot
        self.offsets = [0, 0]  # of x and y, in 1/16 count
        self.lag_q24 = 0  # frames by which x is delayed
        self.weights = (0, 0, 0, 0, 0)

    def weigh(self, angle2_q32, frame_ticks, tick_hz):
        """Sets (offset of x, offset of y, w0 + w1, w1, gain) for this mains frequency and rate."""
        self.lag_q24 = f = nearest((self.delay_ns * tick_hz) << 24, frame_ticks * 1000000000)
        w1 = shift_weight_q24(f, angle2_q32)
        w0 = shift_weight_q24((1 << 24) - f, angle2_q32)
        self.weights = (self.offsets[0], self.offsets[1], w0 + w1, w1, self.power_gain)
