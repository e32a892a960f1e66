"""Turns the kernel's sums into energy per mains cycle, and into windows for the readings.

Flow: sampler -> kernel -> ACCUMULATOR -> meter (registers, indicators, readings).  All arithmetic
is on integers, once a cycle.  Energy comes in *raw* units,

    counts**2 / 256 (offsets are in 1/16 count) * Q24 (phase weights) * nV * nA * ticks

so that one watt-hour is `raw_per_wh(tick_hz)` of them, a constant of the clock alone.

Removing the offsets a, b of the inputs x, y from a sum of products, and delaying one input by f
frames, are both linear in the sums, so neither costs anything per sample:

    S0 = sum (x[n] - a)(y[n] - b)        S1 = sum (x[n-1] - a)(y[n] - b)
    sum (x[n-f] - a)(y[n] - b) = w0 * S0 + w1 * S1 = (w0 + w1) * S0 + w1 * (S1 - S0)

x is the input that has to be delayed: the current where its samples run ahead of the voltage's (as
a CT makes them), else the voltage.  f may exceed 1: the weights then extrapolate.
"""

from micropython import const

from threewire.element import Element
from threewire.intmath import frame_angle2_q32, nearest
from threewire.kernel import (
    ARM,
    ARMED,
    FIRE,
    FRESH,
    MID,
    PREV_X1,
    PREV_X2,
    PREV_Z,
    PY1,
    PY2,
    STRIDE,
    SX1,
    SX2,
    SY1,
    SY2,
    WORDS,
    X1,
    X2,
    XX1,
    XY1,
    XY2,
    Y1,
    Y2,
    Z,
    scan,
    state,
    third_differences,
)
from threewire.window import Window

# Mains slower than this has no cycles: 25 ms without a crossing closes the stretch as it stands.
_SLOWEST_HZ = const(40)
# An upward zero crossing counts once the voltage has been this far below zero, as a part of the
# nominal voltage: 30 V, far above noise and notches, far below any voltage that is worth metering.
_ARM_PART = const(4)
# Windows of IEC 61000-4-30: 10 cycles of 50 Hz, 12 of 60 Hz.
_WINDOW_CYCLES_50 = const(10)
_WINDOW_CYCLES_60 = const(12)
# The offset follows a window's mean by this part of the difference: slow enough that one window's
# load step does not move it, fast enough for the drift of a bias network.
_OFFSET_PART = const(4)
# Frames looked at for noise in each window, and the most noise taken out (2 counts rms): beyond
# that it is the load's own high harmonics that are seen.
_NOISE_FRAMES = const(32)
_NOISE_LIMIT_Q8 = const(1024)


def raw_per_wh(tick_hz):
    """Raw energy units in a watt-hour, for a clock of tick_hz."""
    return 3600 * 10**18 * tick_hz << 32


class Accumulator:
    """Feeds blocks of frames through the kernel and closes cycles and windows.

    layout       Layout of the board
    calibration  Calibration
    sink         gets `cycle(raw1, raw2, ticks)` for every stretch between crossings, then
                 `window(Window)` after each tenth or twelfth
    """

    def __init__(self, layout, calibration, sink):
        self._sink = sink
        self._tick_hz = layout.tick_hz
        self._ticks = layout.frame_ticks
        self._stride = layout.stride
        self._most = max(2, layout.tick_hz // (layout.frame_ticks * _SLOWEST_HZ))
        one = Element(layout, calibration, 0)
        two = Element(layout, calibration, 1)
        self.elements = (one, two)
        self._arm_depth = [
            layout.nominal_volts * 1000000000 // (_ARM_PART * e.v_nv) for e in self.elements
        ]
        st = self._st = state()
        st[STRIDE] = layout.stride
        st[X1] = one.x_slot
        st[Y1] = one.y_slot
        st[X2] = two.x_slot
        st[Y2] = two.y_slot
        self._watch(0)
        self._angle2 = frame_angle2_q32(layout.nominal_hz * layout.frame_ticks, layout.tick_hz)
        self._target = _target(layout.nominal_hz)
        self._reweigh()
        self._started = False
        self._n = 0  # frames of the stretch so far...
        self._taken = 0  # ...and how many of them the kernel's sums no longer hold
        self._split = None  # tick-weighted sums of those
        self._sums = [0] * 11
        self._at_crossing = False  # the stretch began at a crossing...
        self._fraction = 0  # ...this far (in 1/4096 frame) after the frame in front of it
        self._misses = 0  # stretches in a row that no crossing ended
        self._waiting = []  # stretches that wait for the first offsets
        self._learnt = False
        self._settled = False  # the offsets are those of a whole window
        self._squares = [0, 0, 0, 0]  # taken out of the kernel early
        self._new_window(0)

    # ---- frames to stretches

    def feed(self, codes, frames, frame_ticks):
        """Takes a block: uint16 codes 0..4095, interleaved, `frames` frames of `frame_ticks`
        each.
        """
        if frames <= 0:
            return
        st = self._st
        if not self._started:
            # There is no frame before: it is taken to be like this one.
            self._started = True
            st[PREV_X1] = codes[st[X1]]
            st[PREV_X2] = codes[st[X2]]
            st[PREV_Z] = codes[st[Z]]
            self._before_x1 = st[PREV_X1]
            self._before_x2 = st[PREV_X2]
        if frame_ticks != self._ticks:
            self._retime(frame_ticks)
        if self._deaf and frames > 3:
            self._listen(codes, frames)
        stride = self._stride
        most = self._most
        total = frames * stride
        pos = 0
        while pos < total:
            end = pos + (most - self._n) * stride
            if end > total:
                end = total
            start = pos
            pos = scan(codes, pos, end, st)
            self._n += (pos - start) // stride
            if pos < end:
                before = st[PREV_Z]
                rise = codes[pos + st[Z]] - before
                # The threshold may have moved since the frame before: stay within the frame.
                part = ((st[FIRE] - before) << 12) // rise if rise > 0 else 4096
                self._close(True, min(max(part, 0), 4096))
            elif self._n >= most:
                self._close(False, 0)

    def interrupt(self):
        """Accounts for the frames since the last crossing, and ends the window with them: the next
        frame, if there is one, does not follow on the last."""
        if self._n:
            self._close(False, 0)
        if self._frames:
            self._end_window(0)
        self._started = False
        self._st[ARMED] = 0

    def _retime(self, frame_ticks):
        """From here on a frame is frame_ticks long; those there are keep the length they had."""
        if self._n > self._taken:
            self._split = self._weighted(self._take())
            self._taken = self._n
        self._ticks = frame_ticks
        self._reweigh()

    def _take(self):
        """Takes the stretch's sums out of the kernel: frames, then per element
        sum x, sum y, S0, S1 - S0 and sum x[n-1] - sum x, offsets not yet removed."""
        st = self._st
        x1 = st[PREV_X1]
        x2 = st[PREV_X2]
        # Read word by word into a list that is kept: a slice or a tuple would be one more
        # allocation of several heap blocks, which cost more than the arithmetic.
        sums = self._sums
        sums[0] = self._n - self._taken
        sums[1] = st[SX1]
        sums[2] = st[SY1]
        sums[3] = s = (st[XY1] << 12) + st[XY1 + 1]
        sums[4] = (st[PY1] << 12) + st[PY1 + 1] - s
        sums[5] = self._before_x1 - x1
        sums[6] = st[SX2]
        sums[7] = st[SY2]
        sums[8] = s = (st[XY2] << 12) + st[XY2 + 1]
        sums[9] = (st[PY2] << 12) + st[PY2 + 1] - s
        sums[10] = self._before_x2 - x2
        st[FRESH] = 1
        self._before_x1 = x1
        self._before_x2 = x2
        return sums

    def _weighted(self, sums):
        ticks = self._ticks
        split = self._split
        if split is None:
            return [ticks * s for s in sums]
        return [t + ticks * s for t, s in zip(split, sums)]

    def _close(self, crossed, fraction):
        """Ends the stretch: at a crossing, or because it is too long for a cycle or the last."""
        begun = self._at_crossing
        self._at_crossing = crossed
        n = self._n
        if n:
            sums = self._take()
            ticks = self._ticks
            if self._split is not None:
                sums = self._weighted(sums)
                ticks = 1
                self._split = None
            self._n = 0
            self._taken = 0
            stretch = (sums, ticks, n, crossed and begun, crossed, fraction)
            if self._learnt:
                self._settle(*stretch)
            else:
                self._wait(stretch)
        elif crossed and not self._frames:
            self._fraction = fraction  # the window begins here
        if crossed:
            self._misses = 0
        else:
            self._misses += 1
            if not self._misses & 1:
                # Perhaps only this element's voltage is missing: watch the other's.
                self._watch(1 - self._reference)

    # ---- offsets

    def _wait(self, stretch):
        """Keeps stretches until one can tell the offsets: a whole cycle, or one without cycles.
        What comes before the first crossing is a piece of a cycle, whose mean says nothing."""
        sums, ticks, n, whole, crossed, fraction = stretch
        stretch = (list(sums), ticks, n, whole, crossed, fraction)
        self._waiting.append((stretch, self._take_squares()))
        if crossed and not whole:
            return
        n = sums[0]
        for k, e in enumerate(self.elements):
            e.offsets = [nearest(16 * sums[5 * k + 1], n), nearest(16 * sums[5 * k + 2], n)]
        self._learnt = True
        self._reweigh()
        waiting = self._waiting
        self._waiting = []
        for stretch, squares in waiting:
            self._squares = squares
            self._settle(*stretch)

    def _reweigh(self):
        for e in self.elements:
            e.weigh(self._angle2, self._ticks, self._tick_hz)

    def _watch(self, k):
        """Bounds the cycles by the upward zero crossings of element k's voltage."""
        st = self._st
        self._reference = k
        e = self.elements[k]
        if st[Z] != e.v_slot:
            st[Z] = e.v_slot
            st[ARMED] = 0
        zero = MID + nearest(e.offsets[1 if e.x_is_i else 0], 16)
        st[FIRE] = zero
        st[ARM] = zero - self._arm_depth[k]

    # ---- stretches to energy and windows

    def _settle(self, sums, ticks, frames, whole, crossed, fraction):
        """One stretch with known offsets: its energies go on, its sums join the window."""
        n, sx1, sy1, s1, d1, dx1, sx2, sy2, s2, d2, dx2 = sums
        one, two = self.elements
        w = self._window
        a, b, w01, w1, gain = one.weights
        s = (s1 << 8) - ((b * sx1 + a * sy1) << 4) + n * a * b
        d = (d1 << 8) - (b * dx1 << 4)
        e1 = (w01 * s + w1 * d) * (gain * ticks)
        same, step = w.same, w.step
        same[0] += s * ticks
        step[0] += d * ticks
        a, b, w01, w1, gain = two.weights
        s = (s2 << 8) - ((b * sx2 + a * sy2) << 4) + n * a * b
        d = (d2 << 8) - (b * dx2 << 4)
        e2 = (w01 * s + w1 * d) * (gain * ticks)
        same[1] += s * ticks
        step[1] += d * ticks
        energy = w.energy
        energy[0] += e1
        energy[1] += e2
        means = self._means
        means[0] += sx1 * ticks
        means[1] += sy1 * ticks
        means[2] += sx2 * ticks
        means[3] += sy2 * ticks
        if self._unbroken:
            if whole:
                self._last_fraction = fraction
            else:
                self._measure_span()
                self._unbroken = False
        ticks *= n
        w.ticks += ticks
        self._frames += frames
        self._stretches += 1
        self._sink.cycle(e1, e2, ticks)
        if self._stretches >= self._target or (crossed and not whole):
            self._end_window(fraction)

    def _new_window(self, fraction):
        self._window = Window()
        self._frames = 0
        self._stretches = 0
        self._unbroken = True
        self._fraction = fraction  # of the crossing it begins at...
        self._last_fraction = fraction  # ...and of the latest
        self._means = [0, 0, 0, 0]
        self._noise_q8 = [0, 0]
        self._deaf = True

    def _take_squares(self):
        """Takes sum x**2 and sum y**2 of both elements out of the kernel."""
        st = self._st
        words = st[XX1:WORDS]
        for k in range(XX1, WORDS):
            st[k] = 0
        return [t + (words[2 * k] << 12) + words[2 * k + 1] for k, t in enumerate(self._squares)]

    def _measure_span(self):
        """Notes the window's cycles so far and the time between the crossings that bound them."""
        w = self._window
        w.cycles = self._stretches
        w.span_q12 = (w.ticks << 12) + (self._last_fraction - self._fraction) * self._ticks

    def _end_window(self, fraction):
        """Completes the window's sums, hands it on, follows offsets and mains frequency."""
        w = self._window
        w.frames = frames = self._frames
        if self._unbroken:
            w.whole = True
            self._measure_span()
            self._angle2 = frame_angle2_q32(w.cycles, frames)
            self._target = _target(w.cycles * self._tick_hz // w.ticks)
        w.angle2_q32 = self._angle2
        squares = self._take_squares()
        self._squares = [0, 0, 0, 0]
        for k, e in enumerate(self.elements):
            x = nearest(16 * self._means[2 * k], w.ticks)
            y = nearest(16 * self._means[2 * k + 1], w.ticks)
            a, b = e.offsets
            # sum (x - a)**2, with the sum of x from its mean: frames may have differed in length.
            x2 = (squares[2 * k] << 8) - frames * (2 * x - a) * a
            y2 = (squares[2 * k + 1] << 8) - frames * (2 * y - b) * b
            w.volts2[k], w.amps2[k] = (y2, x2) if e.x_is_i else (x2, y2)
            w.noise2[k] = frames * self._noise_q8[k]
            if self._unbroken:
                part = _OFFSET_PART if self._settled else 1
                e.offsets = [a + nearest(x - a, part), b + nearest(y - b, part)]
        if self._unbroken:
            self._settled = True
        self._reweigh()
        self._watch(self._reference)
        self._new_window(fraction)
        self._sink.window(w)

    def _listen(self, codes, frames):
        """Estimates the converter's noise in the currents from their third differences: those of a
        mains wave are tiny, those of white noise have 20 times its variance."""
        self._deaf = False
        m = min(frames, _NOISE_FRAMES) - 3
        for k, e in enumerate(self.elements):
            total = third_differences(codes, e.i_slot, m, self._stride)
            self._noise_q8[k] = min(_NOISE_LIMIT_Q8, (total << 8) // (20 * m))


def _target(hertz):
    """Cycles in a window at this mains frequency."""
    return _WINDOW_CYCLES_50 if hertz < 55 else _WINDOW_CYCLES_60
