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

What runs every block and every cycle of a run (cycles.py) is compiled to native code, which takes
more memory than bytecode; a window's first cycle and its last are not.
"""

from array import array

import micropython
from micropython import const

from threewire.metering import wide
from threewire.metering.cycles import Cycles, goes_on
from threewire.metering.element import Element
from threewire.metering.intmath import frame_angle2_q32, isqrt, nearest
from threewire.metering.kernel import MID
from threewire.metering.stretch import Stretch
from threewire.metering.sums import Sums
from threewire.metering.window import Scales, Window
from threewire.metering.window_words import WindowWork

# Mains slower than this has no cycles: 25 ms without a crossing closes the stretch as it stands.
_SLOWEST_HZ = const(40)
# Windows of IEC 61000-4-30: 10 cycles of 50 Hz, 12 of 60 Hz.
_WINDOW_CYCLES_50 = const(10)
_WINDOW_CYCLES_60 = const(12)
# The offset follows a window's mean by this part of the difference: slow enough that one window's
# load step does not move it, fast enough for the drift of a bias network.
_OFFSET_PART = const(4)
# Stretches that wait for offsets at most: without cycles these are 100 ms, which is a whole number
# of cycles of both 50 and 60 Hz.
_LONGEST_WAIT = const(4)
# Where there are crossings: two cycles alike come within so many stretches after a dip.
_LONGEST_FOR_CYCLES = const(8)
# So many windows in a row end with a broken stretch, for there a crossing begins the next: where
# there are no cycles it would be a window, which takes longer than a cycle, each stretch.
_MOST_BROKEN = const(8)
# Frames that noise is looked for in, and the part of the difference by which it is followed.
_NOISE_FRAMES = const(24)
_NOISE_PART = const(8)
# Gaps up to this part of a second are filled, as long as there was another within so many seconds:
# between longer ones there is a whole window, whose power tells more...
_FILLED_PART = const(3)
_QUIET_SECONDS = const(10)
# ...and where a cycle has up to so many frames, for it is kept: 8 kB.
_MOST_KEPT = const(1000)
# A recording of fewer cycles than this is too short for two that are alike.
_SHORT_CYCLES = const(3)
# Of the kernel's state, as in kernel.py: how many more cycles a run may have, where in its frame
# the one that goes on has begun, and what tells that there is a run.
_RUN = const(36)
_BEGUN = const(37)
_LENGTH = const(38)
# Where a Stretch's words have the totals.
_TOTAL = const(54)
# The chip's temperature is the mean of so many codes, a second's, whose noise is small then.
_TEMPERATURE_CODES = const(50)
# A phase of a frame, squared, that is less tells small changes of the mains frequency no more.
_TELLS_Q32 = const(1 << 15)


def raw_per_wh(tick_hz):
    """Raw energy units in a watt-hour, for a clock of tick_hz."""
    return 3600 * 10**18 * tick_hz << 32


class Accumulator:
    """Feeds blocks of frames through the kernel and closes stretches and windows.

    layout       Layout of the board
    calibration  Calibration
    sink         gets `cycle(energies, ticks)` for every stretch between crossings, with
                 Stretch.words, which it may change; where that returns true also
                 `half(energies, ticks)`, what half of the next cycle has brought; and
                 `window(Window)` after each tenth or twelfth, which returns a Window that nobody
                 needs any more, to be used again, or None
    loops        as Meter takes them
    like         Accumulator with the same layout and calibration, whose tables are taken over

    A *stretch* is a mains cycle, or what there is of one.  A *segment* is a run of frames of one
    length within a window: the kernel's sums run on over its stretches, whose energies are the
    differences.
    """

    def __init__(self, layout, calibration, sink, loops, like=None):
        self._sink = sink
        self._tick_hz = layout.tick_hz
        self._ticks = layout.frame_ticks
        self._stride = layout.stride
        self._most = max(2, layout.tick_hz // (layout.frame_ticks * _SLOWEST_HZ))
        self.elements = (Element(layout, calibration, 0), Element(layout, calibration, 1))
        kernel, arithmetic, of_windows, _ = loops
        self._work = WindowWork(self.elements, of_windows)
        self._sums = Sums(
            layout, self.elements, calibration.adc, kernel, like._sums if like else None
        )
        one, two = self.elements
        self._stretch = Stretch(self._sums.words, arithmetic)
        self._scales = Scales(layout.tick_hz, (one.v_nv, two.v_nv), (one.i_na, two.i_na))
        self._varying = any(calibration.phase_by_ma)
        self.temperature = None
        if calibration.reference and calibration.reference[0]:
            # A board without the sensor's slot, or without a drift, has no room for it.
            from threewire.metering.temperature import Temperature

            self.temperature = Temperature(self.elements, calibration.reference, layout.tick_hz)
        self._span(
            frame_angle2_q32(layout.nominal_hz * layout.frame_ticks, layout.tick_hz),
            (layout.tick_hz << 12) // (layout.nominal_hz * layout.frame_ticks),
        )
        self._sums.phasors.tune(self._angle)
        self._target = _target(layout.nominal_hz)
        self._cycles = Cycles(layout.frame_ticks, layout.tick_hz)
        self._started = False
        self._at_crossing = False  # the stretch began at a crossing
        self._begun = 0  # ...so many 1/4096 frame behind the last frame of the one before
        self._begun_seen = False  # ...which was in frames that had been converted
        self._fill = None  # Fill, where there has been a gap lately
        self._filled = False  # while a gap is filled
        self._nominal_hz = layout.nominal_hz
        self._waiting = []  # segments that wait for the first offsets
        self._loose = None  # frames and sums of windows since the last whole one
        self._learnt = False
        self._settled = False  # the offsets are those of a whole window
        self._has_offsets = False  # ...or of a second of broken ones, or without a voltage
        self._n = 0  # frames of the stretch
        self._half = 0  # at how many of them to report half a cycle; 0: not at all
        self._carried = 0  # ticks of segments that ended within it
        self._noise = None  # of each current, once it has been looked at
        self._broken = 0  # windows in a row that had no whole cycles
        self._window_began = array("H", bytes(4 * wide.WORDS))  # totals of the stretches before it
        self._new_window(0)

    # ---- frames to stretches

    @micropython.native
    def feed(self, codes, frames, frame_ticks, first=0):
        """Takes a block: `frames` frames of `frame_ticks` each, from frame `first` on of `codes`
        (uint16 0..4095, interleaved).
        """
        if frames <= 0:
            return
        sums = self._sums
        stride = self._stride
        pos = first * stride
        if not self._started:
            self._started = True
            sums.disconnect(codes, pos)
            self._stretch.restart()
        if frame_ticks != self._ticks:
            # Those there are keep the length they had.
            self._end_run()
            self._end_segment()
            self._weigh_for(frame_ticks)
        if self._noise is None and frames > 3:
            self._noise = [0, 0]
            for k in (0, 1):
                self._noise[k] = sums.noise(k, codes, pos, frames)
            self._wants_noise = True
        sure = pos
        if self._fill:
            # A crossing at its very first frame may be the seam.
            sure += self._keep(codes, pos, frames)
        self._take(codes, pos, pos + frames * stride, sure)

    @micropython.native
    def _take(self, codes, pos, total, sure):
        """Takes frames; crossings before `sure` were not seen."""
        sums = self._sums
        stride = self._stride
        most = self._most
        n = self._n
        while pos < total:
            limit = self._half or most
            end = pos + (limit - n) * stride
            if end > total:
                end = total
            start = pos
            pos = sums.add(codes, pos, end)
            n += (pos - start) // stride
            if pos < end:
                if self.temperature and not self._filled:
                    self.temperature.take(codes[pos + stride - 1])
                if goes_on(sums.words, codes, pos, n) >= 0:
                    self._go_on(n)
                else:
                    self._n = n
                    self._close(True, sums.fraction(codes, pos), pos >= sure)
                n = 0
                if self._wants_noise and not self._filled:
                    self._look_at_noise(codes, pos, (total - pos) // stride)
            elif n >= limit:
                if self._half:
                    self._half = 0
                    self._gain()
                    self._sink.half(self._stretch.words, self._stretch_ticks())
                else:
                    if self.temperature and not self._filled:
                        self.temperature.take(codes[pos - 1])
                    self._n = n
                    self._close(False, 0, False)
                    n = 0
                    # Perhaps only this element's voltage is missing.
                    sums.bound_by(1 - sums.reference)
        self._n = n

    @micropython.native
    def _look_at_noise(self, codes, pos, frames):
        """Follows the converter's noise, by frames behind a crossing: there dimmers and rectifiers
        have no edges."""
        if frames < _NOISE_FRAMES:
            return
        self._wants_noise = False
        # In place: on a small heap what is allocated costs more than the arithmetic.
        noise = self._noise
        for k in (0, 1):
            new = self._sums.noise(k, codes, pos, _NOISE_FRAMES)
            noise[k] = (noise[k] * (_NOISE_PART - 1) + new + _NOISE_PART // 2) // _NOISE_PART

    def _keep(self, codes, pos, frames):
        """Keeps frames for the next gap, until there has been none for a while.  Returns how many
        codes there are in the first frame if it comes right after a gap."""
        fill = self._fill
        after_gap = 0 if fill.quiet or not fill.is_long else self._stride
        fill.keep(codes, pos, frames)
        if fill.quiet * self._ticks > _QUIET_SECONDS * self._tick_hz:
            self._fill = None
        return after_gap

    def fill(self, frames, frame_ticks):
        """Takes frames in place of so many that were lost, if that can be.  Returns the energies
        that were estimated so; None where a gap has to be left."""
        self._end_run()
        if not self._started or self._most > _MOST_KEPT or frame_ticks != self._ticks:
            return None
        fill = self._fill
        if not fill:
            try:
                self._fill = self._sums.fill(
                    self._most, (self._tick_hz << 12) // self._ticks, self._nominal_hz
                )
            except MemoryError:
                pass
            return None
        # What is kept must tell of the gap: a cycle, or as much as was lost.
        is_known = fill.kept >= min(frames, self._most)
        if not is_known or frames * frame_ticks * _FILLED_PART > self._tick_hz:
            fill.clear()
            return None
        for e in self.elements:
            for slot, offset in zip((e.x_slot, e.y_slot), e.offsets):
                fill.take_zero(slot, MID + nearest(offset, 16))
        fill.follow(self._cycles.length, frames)
        if not self._cycles.length:
            self._window_seen = False  # what is filled in may have crossings of its own
        before = self._totals() if self._learnt else None
        self._filled = True
        while frames:
            first, n = fill.put(frames)
            pos = first * self._stride
            end = pos + n * self._stride
            self._take(fill.codes, pos, end, end if fill.is_long else pos)
            frames -= n
        self._filled = False
        if not before:
            return 0, 0
        return [wide.less(now, was) for now, was in zip(self._totals(), before)]

    def _totals(self):
        """Energies of all frames so far, mod 2**160."""
        self._gain()
        stretch = self._stretch
        return [ended + more for ended, more in zip(stretch.totals(), stretch.energies())]

    def interrupt(self):
        """Ends the stretch, and the window with it: the next frame does not follow on the last."""
        self._end_run()
        if self._n:
            self._close(False, 0, False)
        if self._window.ticks:
            self._end_window(0)
        self._started = False
        self._at_crossing = False

    def finish(self):
        """Accounts for all frames so far: metering ends here."""
        self.interrupt()
        if self._waiting:
            self._learn(False)
            if self._window.ticks:
                self._end_window(0)

    @micropython.native
    def _go_on(self, n):
        """As _close, at a crossing that `goes_on` has taken."""
        # In a run nothing is carried: no segment ends within it.
        ticks = n * self._ticks
        if self._varying:
            self._adapt(True)
        stretch = self._stretch
        stretch.end(self._sums.frames, ticks)
        self._window.ticks += ticks
        if self._sink.cycle(stretch.words, ticks):
            self._half = n >> 1
        elif self._half:
            self._half = 0

    def _end_run(self):
        """Cycles are not taken by `goes_on` any more, until _close begins another run."""
        st = self._sums.words
        if st[_LENGTH]:
            self._begun = st[_BEGUN]
            # A run may have all of the window's cycles but the last one.
            stretches = self._target - 1 - st[_RUN]
            if stretches > self._stretches:
                self._stretches = stretches
                self._last_fraction = self._begun
                self._quiet = False
            self._cycles.end_run(st)

    @micropython.native
    def _close(self, crossed, fraction, is_seen):
        """Ends the stretch: at a crossing, `fraction`/4096 of a frame after the frame before it,
        or because it is too long for a cycle or the last.  Of what is filled in no crossing is
        seen.
        """
        self._end_run()
        n = self._n
        length = 0
        whole = False
        if crossed and self._at_crossing:
            # The crossing is behind the frame before the first of the next stretch.
            length = (n << 12) + fraction - self._begun
            whole = self._cycles.is_cycle(length, self._begun_seen and is_seen)
            if not whole:
                self._is_odd |= self._begun_seen and is_seen
            elif self._waiting:
                self._prove_first()
        elif n:
            self._cycles.lose()
            if n >= self._most:
                self._is_odd = True
        if self._fill:
            self._fill.count(n << 12, is_seen)
        self._at_crossing = crossed
        self._begun = fraction
        self._begun_seen = is_seen
        if n:
            self._n = 0
            self._half = 0
            if self._learnt:
                if self._settle(whole, crossed, fraction) and whole:
                    self._half = n >> 1
            else:
                self._wait(whole, crossed, fraction)
        elif crossed and not self._window.ticks:
            self._fraction = self._last_fraction = fraction  # the window begins here
            self._window_seen = self._last_seen = is_seen
        if crossed:
            cycles = self._cycles
            self._sums.look_after(cycles.blind, cycles.is_found)
            self._sums.phasors.follow(fraction, length if whole else 0)
            # Without the window's last cycle, which has more to it, and while nothing is unusual.
            left = self._target - self._stretches - 1
            is_usual = self._unbroken and self._learnt and not self._fill
            if left > 0 and whole and is_seen and is_usual:
                cycles.begin_run(self._sums.words, fraction, left)
        else:
            self._sums.look_after(0, False)

    def _prove_first(self):
        """The stretch before was the first cycle: the one that has ended, which is like it, has
        shown so."""
        waiting = self._waiting
        k = len(waiting) - 1
        while k and not waiting[k][3]:
            k -= 1
        before = waiting[k]
        if before[3]:
            waiting[k] = before[:3] + ((True,) + before[3][1:],)

    def _wait(self, whole, crossed, fraction):
        """One stretch that waits for the first offsets, until there are enough to learn them."""
        self._end_segment((whole, crossed, fraction))
        ended = [entry[3][1] for entry in self._waiting if entry[3]]
        longest = _LONGEST_WAIT if True not in ended else _LONGEST_FOR_CYCLES
        if whole or len(ended) >= longest:
            self._learn(whole)

    @micropython.native
    def _settle(self, whole, crossed, fraction):
        """One stretch with known offsets.  Returns what the sink says to it."""
        sums = self._sums
        ticks = self._stretch_ticks()
        self._carried = 0
        if self._varying:
            self._adapt(True)
        self._stretch.end(sums.frames, ticks)
        return self._hand_on(ticks, whole, crossed, fraction)

    @micropython.native
    def _hand_on(self, ticks, whole, crossed, fraction):
        w = self._window
        if self._unbroken:
            if whole:
                self._last_fraction = fraction
                self._last_seen = self._begun_seen
            else:
                self._measure_span()
                self._unbroken = False
        if crossed:
            self._quiet = False
        self._stretches += 1
        w.ticks += ticks
        wanted = self._sink.cycle(self._stretch.words, ticks)
        # A window that holds a broken stretch ends with it, so that the next begins at a crossing.
        if self._stretches >= self._target or (
            crossed and not whole and self._broken < _MOST_BROKEN
        ):
            self._end_window(fraction)
        return wanted

    # ---- segments

    def _gain(self):
        """Brings the stretch's energies up to the frames so far."""
        sums = self._sums
        if self._varying:
            self._adapt(False)
        self._stretch.gain(sums.frames)

    @micropython.native
    def _adapt(self, ends):
        """Where the phase depends on the current, that of the stretch counts, which `ends` with
        the frames so far or goes on: takes its weights."""
        sums = self._sums
        frames = sums.frames - self._stretch.frames
        if frames:
            for e in self.elements:
                if e.rows:
                    total, squares = sums.current(e)
                    e.adapt(frames, total - e.total_before, squares - e.squares_before)
                    if ends:
                        e.total_before = total
                        e.squares_before = squares
            self._stretch.weigh(self.elements)

    @micropython.native
    def _stretch_ticks(self):
        return (self._sums.frames - self._stretch.frames) * self._ticks + self._carried

    @micropython.native
    def _end_segment(self, ending=None):
        """Takes the sums out of the kernel and adds them to the window's.  `ending`: how a stretch
        ends with it, while offsets are unknown."""
        sums = self._sums
        if not sums.frames:
            if ending and self._waiting:
                # The length of a frame changed at this very crossing.
                self._waiting[-1] = self._waiting[-1][:3] + (ending,)
            return
        if self._learnt:
            if self._n:
                self._carried = self._stretch_ticks()
                self._gain()
                self._stretch.carry(self._stretch.energies())
            self._work.add(sums.words, sums.frames)
        else:
            self._waiting.append((sums.raw(), sums.take_squares(), self._ticks, ending))
        for e in self.elements:
            e.total_before = e.squares_before = 0
        sums.restart()
        self._stretch.restart()

    # ---- offsets

    def _learn(self, whole):
        """First offsets; then accounts for what has waited for them.

        From the cycle that just ended, if it was whole.  Else, with no crossing in 25 ms or more,
        there is no voltage and the mean of all there is serves.  Less than a cycle has no mean of
        its own: mid-scale has to do.
        """
        waiting = self._waiting
        last = len(waiting) - 1
        if not whole:
            # One that may have been a cycle, at the end of a short recording.
            while last >= 0 and not (waiting[last][3] and waiting[last][3][0] is None):
                last -= 1
            there_is = sum([entry[0][0] for entry in waiting])
            whole = last >= 0 and there_is <= _SHORT_CYCLES * waiting[last][0][0]
        used = waiting
        if whole:
            first = last
            while first and waiting[first - 1][3] is None:
                first -= 1
            used = waiting[first : last + 1]
        raws = [entry[0] for entry in used]
        n, sx1, sy1, sx2, sy2 = [sum([r[k] for r in raws]) for k in (0, 1, 2, 6, 7)]
        crossings = [1 for entry in waiting if entry[3] and entry[3][1]]
        if whole or (n >= self._most and not crossings):
            one, two = self.elements
            one.offsets = (nearest(16 * sx1, n), nearest(16 * sy1, n))
            two.offsets = (nearest(16 * sx2, n), nearest(16 * sy2, n))
        self._learnt = True
        self._waiting = []
        # Nothing has been accounted for: what codes of the sensor there are count for all of it.
        self._warm(1)
        self._window.scales = self._scales
        is_seen = self._begun_seen
        if self._fill:
            # Which of their crossings were seen is not known any more.
            self._begun_seen = self._window_seen = False
        now = self._ticks
        stretch = self._stretch
        stretch.zero(self.elements)
        so_far = (0, 0)
        for raw, squares, ticks, ending in waiting:
            self._weigh_for(ticks)
            self._work.join(raw, squares)
            for k, e in enumerate(self.elements):
                if e.rows:
                    place = 0 if e.x_is_i else 1
                    e.adapt(raw[0], raw[5 * k + 1 + place], squares[2 * k + place])
            so_far = [
                before + e.energy(*e.central(raw[0], *raw[5 * k + 1 : 5 * k + 6]))
                for k, (before, e) in enumerate(zip(so_far, self.elements))
            ]
            stretch.carry(so_far)
            self._carried += raw[0] * ticks
            if ending:
                ticks = self._carried
                self._carried = 0
                stretch.end_as_carried(ticks)
                self._hand_on(ticks, *ending)
                so_far = (0, 0)
        self._begun_seen = is_seen
        self._weigh_for(now)
        later = self._sums.bound_by(self._sums.reference)
        self._fraction += later
        self._last_fraction += later

    def _warm(self, least):
        """Takes the sizes of a count as the chip's temperature makes them, where there are so many
        codes of it."""
        scales = self.temperature and self.temperature.scales(least)
        if scales:
            self._scales = scales
            for e in self.elements:
                e.take_gain(self._ticks)
            self._stretch.weigh(self.elements)

    def _span(self, angle2, length):
        """Takes note of the square of the phase that a frame spans; a cycle has so many 1/4096
        frame."""
        self._length = length
        self._angle2 = angle2
        self._angle = isqrt(angle2 << 32)
        self._reweigh()

    def _weigh_for(self, frame_ticks):
        """Frames have this length now."""
        # Weights take a chip milliseconds.
        if frame_ticks != self._ticks:
            self._ticks = frame_ticks
            self._reweigh()

    def _reweigh(self):
        for k, e in enumerate(self.elements):
            e.weigh(self._angle, self._angle2, self._ticks, self._tick_hz)
            self._work.turn(k, e.turn)
        self._stretch.weigh(self.elements)

    # ---- windows

    @micropython.native
    def _new_window(self, fraction, spare=None):
        if spare:
            spare.restart(self._scales)
        self._window = spare or Window(self._scales)
        self._work.restart()
        self._stretches = 0
        self._unbroken = True
        self._quiet = True  # there was no crossing
        self._is_odd = False  # frames that followed one on the other had no mains cycle
        self._fraction = fraction  # of the crossing it begins at...
        self._last_fraction = fraction  # ...and of the latest
        self._window_seen = self._last_seen = self._begun_seen
        self._wants_noise = True

    def _measure_span(self):
        """Notes the window's cycles so far and the time between the crossings that bound them."""
        w = self._window
        w.cycles = self._stretches
        w.span_q12 = (w.ticks << 12) + (self._last_fraction - self._fraction) * self._ticks

    @micropython.native
    def _end_window(self, fraction):
        """Completes the window's sums, hands it on, follows offsets and mains frequency."""
        self._end_segment()
        w = self._window
        one, two = self.elements
        work = self._work
        sums = self._sums
        phasors = sums.phasors
        work.arithmetic.gained(w.words, self._stretch.words, _TOTAL, self._window_began)
        known = self._unbroken and phasors.is_known
        known = phasors.take(work.words) and known
        if self._unbroken and not sums.is_mains(work.words):
            self._cycles.deny()
            self._is_odd = True
            self._broken = _MOST_BROKEN
            known = self._unbroken = False
        angle2 = self._angle2
        length = 0
        if self._unbroken:
            self._measure_span()
            length = w.span_q12 // (w.cycles * self._ticks)
            # A change of 2**-14 of the length is less than is followed in the square of the phase.
            if abs(length - self._length) + 2 > self._length >> 14 or angle2 < _TELLS_Q32:
                angle2 = frame_angle2_q32(w.cycles * self._ticks << 12, w.span_q12)
            self._target = _target(w.cycles * self._tick_hz // w.ticks)
        if self._window_seen and self._last_seen:
            w.whole = self._unbroken
        else:
            # Between crossings that nobody has seen time is not measured.
            w.cycles = w.span_q12 = 0
        # Without voltage there are no cycles to average over, but a whole window (300 ms) will do.
        quiet = self._quiet and self._stretches >= self._target
        loose = self._mean_of_loose()
        means = work.means()
        if quiet or loose:
            one.offsets, two.offsets = (means[:2], means[2:]) if quiet else (loose[:2], loose[2:])
        work.fill(w, means, self._has_offsets, self._noise)
        if known:
            work.fill_phasors(w, w.span_q12 // (self._ticks * phasors.every))
            re, im = sums.reference_phasor(work.words)
            self._cycles.check(re, im)
        moved = quiet or loose
        if self._unbroken:
            part = _OFFSET_PART if self._settled else 1
            for k, e in enumerate(self.elements):
                x, y = e.offsets
                x += nearest(means[2 * k] - x, part)
                y += nearest(means[2 * k + 1] - y, part)
                if (x, y) != e.offsets:
                    e.offsets = x, y
                    moved = True
        w.means = [one.means, two.means]
        self._broken = 0 if self._unbroken else self._broken + 1
        if self._broken > _MOST_BROKEN:
            w.deny()
        w.is_odd = self._is_odd
        if self._unbroken:
            self._settled = True
        if self._unbroken or quiet or loose:
            self._has_offsets = True
        self._warm(_TEMPERATURE_CODES)
        changed = False
        if self._varying:
            for e in self.elements:
                changed |= e.carry()
        # Weights take a while to make, and are good to 0.1 ppm for 0.01 % of frequency.
        if abs(angle2 - self._angle2) > angle2 >> 12:
            self._span(angle2, length)
        elif changed:
            self._reweigh()
        if moved:
            self._stretch.zero(self.elements)
        # A crossing is timed by where zero is taken to be: so is the next window's first one.
        later = sums.bound_by(sums.reference)
        self._new_window(fraction + later, self._sink.window(w))

    def _mean_of_loose(self):
        """Offsets (x1, y1, x2, y2) by a second of windows none of which was whole, once there is
        one: beside a second's cycles what of a cycle it has in excess is little.  Else None."""
        if self._unbroken:
            self._loose = None
            return None
        new = self._work.raw()
        old = self._loose
        self._loose = loose = [a + b for a, b in zip(old, new)] if old else new
        n = loose[0]
        if n * self._ticks < self._tick_hz:
            return None
        self._loose = None
        return tuple([nearest(16 * of, n) for of in loose[1:]])


def _target(hertz):
    """Cycles in a window at this mains frequency."""
    return _WINDOW_CYCLES_50 if hertz < 55 else _WINDOW_CYCLES_60
