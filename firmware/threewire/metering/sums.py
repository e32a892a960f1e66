"""Owns the kernel's state: tells it what to add and where to stop, and takes the sums out.

Flow: sampler -> kernel -> _SUMS -> accumulator.
"""

import micropython
from micropython import const

from threewire.metering import kernel
from threewire.metering.adc_table import entries
from threewire.metering.intmath import nearest
from threewire.metering.kernel import BLIND, FIRE, FRESH, MID, PREV_X1, TABLE, Z
from threewire.metering.phasors import Phasors

# Of the kernel's state, as in kernel.py.
_ARMED = const(8)
_SX1 = const(13)
_XY1 = const(15)
_PY1 = const(17)
_SX2 = const(19)
_XX1 = const(25)
_XX2 = const(29)
_PREV_X2 = const(11)
_PREV_Z = const(12)
_RISE = const(43)
# An upward zero crossing counts once the voltage has been this far below zero, as a part of the
# nominal voltage: 30 V, far above noise and notches, far below any voltage that is worth metering.
_ARM_PART = const(4)
# Where a crossing is due, this part of it: 7.5 V.
_DUE_PART = const(4)
# Where less than this part of the voltage's square is of the frequency that was found, that is not
# its frequency.
_MAINS_PART = const(2)
# Of the work that is_mains takes, as in window_words.py.
_POINTS = const(0)
_COS = const(1)
_SIN = const(6)
_FRAMES = const(20)
_SUMS = const(21)
_SQUARES = const(25)
# A code that there is not.
_NEVER = const(0x7FFF)
# Frames looked at for noise, and the most noise taken out (2 counts rms): beyond that it is no
# converter's.
_NOISE_FRAMES = const(32)
_NOISE_LIMIT_Q8 = const(1024)


class Sums:
    """The kernel's sums over a run of frames.

    loops      kernel_viper, or a twin of it for the chip
    like       Sums of the same layout and adc, whose tables are taken over; or None
    words      the kernel's state
    frames     in the sums so far
    reference  0 or 1: whose voltage bounds the cycles
    phasors    Phasors of the same frames, which run on until they are taken
    """

    def __init__(self, layout, elements, adc, loops, like=None):
        self._scan = loops.scan
        self._correlate = loops.correlate
        self._elements = elements
        self._stride = layout.stride
        self._arm_depth = [
            layout.nominal_volts * 1000000000 // (_ARM_PART * e.v_nv) for e in elements
        ]
        if like:
            st = kernel.renewed(like._st)
            self.like = like._st  # which has to be there as long as this
        else:
            st = kernel.state(entries(adc) if adc else None)
        self._st = self.words = st
        st[kernel.STRIDE] = layout.stride
        st[kernel.X1] = elements[0].x_slot
        st[kernel.Y1] = elements[0].y_slot
        st[kernel.X2] = elements[1].x_slot
        st[kernel.Y2] = elements[1].y_slot
        self.phasors = Phasors(st, layout.tick_hz // layout.frame_ticks)
        self._bins = bytearray(65)  # for `noise`
        self._is_due = False
        self._zero = 0  # code at which the reference is nothing
        self.bound_by(0)
        self.restart()

    @micropython.native
    def bound_by(self, reference):
        """Bounds the cycles by the upward zero crossings of this element's voltage.  Returns by
        how much later (1/4096 frame) the latest crossing would have been where zero is now."""
        st = self._st
        self.reference = reference
        e = self._elements[reference]
        if st[kernel.Z] != e.v_slot:
            st[kernel.Z] = e.v_slot
            st[_ARMED] = st[kernel.BLIND] = st[_RISE] = 0
        place = 1 if e.x_is_i else 0
        self._input = 2 * reference + place  # of x1, y1, x2 and y2
        zero = MID + nearest(e.offsets[place], 16)
        moved = zero - self._zero
        self._zero = zero
        depth = self._arm_depth[reference]
        arm = zero - (depth // _DUE_PART if self._is_due else depth)
        if arm < 0:
            # No code is so far below zero: none is a crossing.
            arm = 0
            zero = _NEVER
        st[kernel.FIRE] = zero
        st[kernel.ARM] = arm
        return (moved << 12) // st[_RISE] if st[_RISE] > 0 else 0

    def look_after(self, frames, is_due):
        """The next crossing is looked for after so many frames more.  Where it is due then, less
        depth is asked for: only noise must be told from it."""
        st = self._st
        st[BLIND] = frames * self._stride
        if is_due != self._is_due:
            self._is_due = is_due
            self.bound_by(self.reference)

    def reference_phasor(self, work):
        """The reference voltage's phasor in what `phasors.take` gave: real where the window began
        at its upward crossing."""
        k = self._input
        return work[_SIN + 1 + k], work[_COS + 1 + k]

    @micropython.native
    def is_mains(self, work):
        """Whether the reference voltage is for the most part of the frequency whose phasors
        `phasors.take` gave, in the window that `work` (window_words) is of."""
        k = self._input
        re = abs(work[_SIN + 1 + k])
        im = abs(work[_COS + 1 + k])
        n = work[_FRAMES]
        points = work[_POINTS]
        if points:
            # Where it is so by more than what is left out here, which are small ints.
            square = ((re >> 16) ** 2 + (im >> 16) ** 2) // points
            if square * 16 > (work[_SQUARES + 2 * k] + 1) * points // n:
                return True
        # As Window's volts1, times points; and the squares about their own mean, times n.
        square = (re * re + im * im) * (_MAINS_PART * n * n)
        squares = (work[_SQUARES + 2 * k] << 12) + work[_SQUARES + 2 * k + 1]
        return square >= (squares * n - work[_SUMS + k] ** 2) * (points * points) << 17

    def disconnect(self, codes, pos):
        """The frame at codes[pos] follows on no other: the one before is taken to be like it."""
        st = self._st
        self._before_x1 = st[PREV_X1] = kernel.table_entry(st, codes[pos + st[kernel.X1]])
        self._before_x2 = st[_PREV_X2] = kernel.table_entry(st, codes[pos + st[kernel.X2]])
        st[_PREV_Z] = codes[pos + st[kernel.Z]]
        st[_ARMED] = 0
        self.look_after(0, False)

    @micropython.native
    def add(self, codes, pos, end):
        """Adds the frames at codes[pos:end], or those in front of a crossing; returns where it
        stopped."""
        st = self._st
        stop = self._scan(codes, pos, end, st)
        self.frames += (stop - pos) // self._stride
        self._correlate(codes, pos, stop, st)
        return stop

    def fraction(self, codes, pos):
        """How far the crossing that ended `add` at pos is behind the frame before: 0..4096."""
        st = self._st
        before = st[_PREV_Z]
        st[_RISE] = rise = codes[pos + st[Z]] - before
        # The threshold may have moved since the frame before: stay within the frame.
        if rise <= 0:
            return 4096
        part = ((st[FIRE] - before) << 12) // rise
        if part < 0:
            return 0
        return part if part < 4096 else 4096

    def fill(self, frames, second_q12, hertz):
        """A Fill that keeps so many frames; as Fill."""
        # A board that loses none has no room for it.
        from threewire.metering.fill import Fill

        return Fill(self._stride, frames, self._st, second_q12, hertz)

    def restart(self):
        """The sums begin anew with the next frame; squares run on until they are taken."""
        st = self._st
        st[FRESH] = 1
        self.frames = 0
        self._before_x1 = st[PREV_X1]
        self._before_x2 = st[_PREV_X2]

    def raw(self):
        """[frames, then for each element the sums that Element.central takes]."""
        st = self._st
        raw = [self.frames]
        for at, before_x, prev_x in (
            (_SX1, self._before_x1, PREV_X1),
            (_SX2, self._before_x2, _PREV_X2),
        ):
            # Behind the sums of x and y those of x[n] y[n] and of x[n-1] y[n].
            s0, s1 = [(st[at + k] << 12) + st[at + k + 1] for k in (_XY1 - _SX1, _PY1 - _SX1)]
            raw += (st[at], st[at + 1], s0, s1 - s0, before_x - st[prev_x])
        return raw

    @micropython.native
    def current(self, element):
        """(sum of its current's codes, sum of their squares) in `raw` and `squares`."""
        st = self._st
        at = 0 if element.x_is_i else 1
        if element is not self._elements[0]:
            return st[_SX2 + at], (st[_XX2 + 2 * at] << 12) + st[_XX2 + 1 + 2 * at]
        return st[_SX1 + at], (st[_XX1 + 2 * at] << 12) + st[_XX1 + 1 + 2 * at]

    def squares(self):
        """[sum x**2, sum y**2] of element 1, then of element 2."""
        st = self._st
        return [(st[k] << 12) + st[k + 1] for k in range(_XX1, TABLE, 2)]

    def take_squares(self):
        """Takes out `squares`."""
        st = self._st
        squares = self.squares()
        for k in range(_XX1, TABLE):
            st[k] = 0
        return squares

    @micropython.native
    def noise(self, k, codes, pos, frames):
        """Variance (counts**2, Q8) of the converter's noise in element k + 1's current, from up to
        32 of these frames.  A mains wave's third differences are tiny, those of white noise have
        20 times its variance, 19 without those that are taken for a load's edges.
        """
        count = min(frames, _NOISE_FRAMES) - 3
        slot = self._elements[k].i_slot
        total = kernel.third_differences(codes, pos + slot, count << 4 | self._stride, self._bins)
        count = max(1, total & 63)
        return min(_NOISE_LIMIT_Q8, (total >> 6 << 8) // (19 * count))
