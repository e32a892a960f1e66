"""The metering module: codes in; registers, indicators and readings out.

Flow: sampler -> kernel -> accumulator -> METER's creep gates -> registers -> indicators; windows
-> reverse rule, readings.  Board and host run this very module; it knows no clock, pin or file.
"""

import micropython
from micropython import const

from threewire.metering import wide
from threewire.metering.accumulator import Accumulator, raw_per_wh
from threewire.metering.creep import CreepGate, noise_raw
from threewire.metering.demand import Demand
from threewire.metering.doctor import diagnose
from threewire.metering.flow import WORDS, Flow
from threewire.metering.indicators import Indicators, ReverseRule
from threewire.metering.intmath import isqrt, nearest
from threewire.metering.reactive import Reactive
from threewire.metering.readings import BENT_PPM, Reading
from threewire.metering.registers import Registers
from threewire.metering.window import Window, half_square

# A voltage whose mean is further from mid-scale than 512 counts, in 1/16, is none: its pin floats.
_FLOATS_Q4 = const(8192)
# Of a window's words, as in window.py.
_OWN = const(80)
# Of a stretch's words, as in stretch.py.
_STAGE = const(30)
# Of what words_viper.book returns; that both elements are done and count, and nothing else.
_USUAL = const(15)
_ONE_COUNTS = const(4)
_TWO_COUNTS = const(8)
_WHOLE = const(112)
_TO_EDGE_SHIFT = const(7)


class Meter:
    """A two-element meter.

    layout, calibration  what is measured, and with which constants; the latter is kept
    on_edge              called as on_edge(name, lit, ticks) when an indicator changes ("kwh",
                         "ten", "reverse"); ticks since the first frame
    loops                where the chip has faster twins of them: those of kernel_viper,
                         words_viper, window_viper and reactive_viper
    like                 a Meter with the same layout and calibration, to be made quickly
    on_window            called as on_window(window) after each window (10 or 12 mains cycles);
                         returns true where it does not keep it, so that it is used again

    registers Registers; reactive: Reactive, registers of varh; demand: Demand
    ticks     time metered so far; a second has tick_hz of them, a frame frame_ticks
    window_ticks  of these in whole cycles of the window that is under way
    indicators  Indicators: what the LEDs show
    cycles_to_edge  so many more cycles like the last may take the green LEDs to their next edge,
                  1 to 3; 0: more than those
    lost_frames  frames that gaps have swallowed
    estimated    Registers of the energy estimated for them, which `registers` includes
    """

    def __init__(self, layout, calibration, on_edge=None, on_window=None, loops=None, like=None):
        self.tick_hz = layout.tick_hz
        self.frame_ticks = layout.frame_ticks
        self.calibration = calibration
        self._on_window = on_window
        if loops is None:
            # Boards with twins of them do not carry these.
            from threewire.metering import (
                kernel_viper,
                reactive_viper,
                window_viper,
                words_viper,
            )

            loops = kernel_viper, words_viper, window_viper, reactive_viper
        self._accumulator = Accumulator(
            layout, calibration, self, loops, like._accumulator if like else None
        )
        self._book = loops[1].book
        self.feed = self._accumulator.feed
        unit = raw_per_wh(layout.tick_hz)
        # One second at the starting power: P / 1000 W * 1 s / 3600 s/h, in raw units.
        starting = unit * layout.starting_mw // 3600000
        self.rules = (ReverseRule(starting, layout.tick_hz), ReverseRule(starting, layout.tick_hz))
        self.registers = Registers(unit, WORDS)
        noises = [noise_raw(layout, e.v_nv, e.i_na) for e in self._accumulator.elements]
        self.gates = tuple(
            [
                CreepGate(delivered, received, starting, noise, layout.tick_hz)
                for (delivered, received), noise in zip(self.registers.elements, noises)
            ]
        )
        for gate in self.gates:
            gate.bar()  # until its voltage has been seen
        self._ends = False
        self._unseen = [0, 0]  # of the first second, before there was a voltage
        self.cycles_to_edge = 0
        self._net = Flow(
            self.registers.delivered,
            self.registers.received,
            isqrt(noises[0] ** 2 + noises[1] ** 2),
            layout.tick_hz,
        )
        self._flow_words = tuple([of.words for of in [g.flow for g in self.gates] + [self._net]])
        self.reactive = Reactive(layout.starting_mw, layout.tick_hz, loops[3])
        self.demand = Demand(layout.tick_hz)
        self._nominal_volts = layout.nominal_volts
        self._least_square = half_square(layout.nominal_volts)
        # Time up to the window's begin, and since: a sum that grows would be allocated each cycle.
        # The latter in a list, for where a class has properties MicroPython looks for one at each
        # store to an attribute.
        self._ticks = 0
        self._since = [0]
        self._recent = []  # the fewest windows that make a second
        self._is_second = False  # they do
        self._second = None  # their sum, made when it is asked for
        self.indicators = Indicators(on_edge)
        self.lost_frames = 0
        self.estimated = Registers(unit)
        self._gap_ticks = 0  # lost and not yet estimated
        self._after = None  # windows since then, joined
        self._steady = None  # the latest window of whole cycles

    # ---- called by the accumulator

    @micropython.native
    def cycle(self, e, ticks):
        """Registers the energies in `e`, which end up as what counts of them.  Returns whether
        two more like it may take the LEDs to an edge."""
        self._since[0] += ticks
        e[_STAGE] = 0
        one_words, two_words, net_words = self._flow_words
        done = self._book(e, one_words, two_words, net_words)
        if done == _USUAL and not self.cycles_to_edge:
            return False  # there is nothing to count, nor to show
        if done < 0:
            done = self._book_rare(e, ticks)
        one, two = self.gates
        if not done & _ONE_COUNTS:
            one.pass_time(ticks)
        if not done & _TWO_COUNTS:
            two.pass_time(ticks)
        if done & _WHOLE:
            one.flow.count()
            two.flow.count()
            self._net.count()
        indicators = self.indicators
        wh = self.registers.delivered.wh
        # What half a cycle was expected to bring may not have come.
        if wh != indicators.shown_wh:
            self._show()
        to_edge = done >> _TO_EDGE_SHIFT
        if wh != indicators.last_wh:
            to_edge = 0
        if to_edge != self.cycles_to_edge:
            self.cycles_to_edge = to_edge
        return to_edge == 1 or to_edge == 2

    def _book_rare(self, e, ticks):
        """As words_viper.book, where a gate opens or shuts, or what was held before is booked."""
        done = -1
        while done < 0:
            k = e[_STAGE] & 1
            gate = self.gates[k]
            at = k * wide.WORDS
            raw = gate.passed(wide.number(e, at), ticks)
            wide.put(e, at, raw)
            e[_STAGE] |= 5 << k
            if gate.both_ways:
                self.registers.book_both_ways(gate.both_ways)
            done = self._book(e, *self._flow_words)
        return done

    @micropython.native
    def half(self, e, ticks):
        """What half a cycle has brought that is expected to bring the green LEDs' next edge."""
        one, two = self.gates
        raw1 = wide.number(e, 0)
        raw2 = wide.number(e, wide.WORDS)
        net = (raw1 if one.is_open else 0) + (raw2 if two.is_open else 0)
        net += self._net.held
        self.indicators.show_half(self.registers.delivered, net, self.ticks + ticks)

    @property
    def ticks(self):
        return self._ticks + self._since[0]

    @property
    def window_ticks(self):
        return self._since[0]

    @micropython.native
    def window(self, window):
        self._ticks += self._since[0]
        self._since[0] = 0
        now = self._ticks
        if self._gap_ticks:
            # Where none comes whole, a second's will do.
            after = self._after
            after.add(window)
            if window.whole or after.ticks >= self.tick_hz:
                after = window if window.whole else after
                self._bridge(self._steady or after, after)
        if window.whole:
            self._steady = window
        one, two = self.gates
        if not (one.is_allowed and two.is_allowed):
            self._look_for_voltage(window)
            if self._recent:
                self._look_for_voltage(self._recent[-1])  # short ones joined
        is_live = window.points or self._has_voltage(window, 0) or self._has_voltage(window, 1)
        self.reactive.add(window, (one.is_allowed, two.is_allowed), is_live)
        energy = 0
        for k in (0, 1):
            if self.gates[k].is_allowed:
                energy += window.number(wide.WORDS * k)
                if self._unseen[k]:
                    energy += self._unseen[k]
                    self._unseen[k] = 0
            elif now < self.tick_hz:
                self._unseen[k] += window.number(wide.WORDS * k)
        self.demand.window(energy, window.ticks, now)
        recent = self._recent
        # Windows cut short by gaps join the one before, so that only so many are kept.
        if recent and recent[-1].is_short():
            joined = Window()
            joined.add(recent[-1])
            joined.add(window)
            recent[-1] = joined
        else:
            recent.append(window)
        self._second = None
        ticks = signs = 0
        k = len(recent)
        while k and ticks < self.tick_hz:
            k -= 1
            w = recent[k]
            ticks += w.ticks
            signs |= w.signs()
        spare = None
        if ticks >= self.tick_hz:
            self._is_second = True
            while k:
                spare = recent.pop(0)
                k -= 1
            judged = False
            for k in (0, 1):
                rule = self.rules[k]
                # Where nothing has come out nothing is reversed, nor becomes so.
                if self.gates[k].is_allowed and (rule.reversed or signs >> k & 1):
                    judged = True
                    raw = 0
                    for w in recent:
                        raw += w.number(wide.WORDS * k)
                    rule.judge(raw, ticks)
            if judged:
                self.indicators.show_reverse(self.rules, now)
        is_kept = self._on_window and not self._on_window(window)
        return None if is_kept or spare is self._steady else spare

    def _look_for_voltage(self, window):
        """Allows an element to register from the first window on that has its voltage: a pin that
        floats follows hum, about no particular mean.  Where metering ends before there is one
        that can be judged, what there is decides."""
        if window.is_short() and not self._ends:
            return
        brief = self._ends and self.ticks * 20 < self.tick_hz
        for k, gate in enumerate(self.gates):
            if not gate.is_allowed and (brief or self._has_voltage(window, k)):
                gate.allow()

    def _has_voltage(self, window, k):
        least = self._least_square * window.frames
        squares = window.number(_OWN + wide.WORDS * k)
        floats = abs(window.own_means[k]) > _FLOATS_Q4
        return not floats and squares * window.scales.v_nv[k] ** 2 >= least

    # ---- called by whoever runs the meter

    def pause(self):
        """What is fed next does not follow on what was fed last, and nothing was lost between."""
        self._accumulator.interrupt()

    def show_registers(self):
        """Shows what the registers and reverse rules say, after they have been set from outside:
        the red LED is on at once if it was when they were stored."""
        self.indicators.show_register(self.registers.delivered, self.ticks)
        self.indicators.show_reverse(self.rules, self.ticks)

    def zero(self):
        """Sets all energies and lost frames to zero, and begins demand anew.  What has flowed so
        far and is not registered yet never will be; what is fed next counts."""
        self._accumulator.finish()
        self.reactive.finish()
        self._net.release()
        for gate in self.gates:
            gate.drop()
        for registers in (self.registers, self.estimated):
            for _, register in registers.named():
                register.set_micro_wh(0)
        self.reactive.zero()
        self.demand.begin(self.ticks)
        self.lost_frames = self._gap_ticks = 0
        self._unseen = [0, 0]
        self.show_registers()

    def gap(self, frames, ticks):
        """Takes note that `frames` frames, `ticks` long in all, were lost after what was fed last.
        What flowed meanwhile is estimated from the power before and after, once that is known; or
        at once, from the cycle before, where one gap follows on another."""
        if not ticks:
            return
        self.lost_frames += frames
        if frames and not ticks % frames:
            filled = self._accumulator.fill(frames, ticks // frames)
            if filled:
                self._add_estimates(filled)
                return
        self._accumulator.interrupt()
        self._ticks += ticks
        if not self._gap_ticks:
            self._after = Window()
        self._gap_ticks += ticks

    def finish(self):
        """Accounts for what is still under way: the frames since the last crossing, a gap with
        nothing after it, and a starting decision cut short.  Metering ends here."""
        self._ends = True
        self._accumulator.finish()
        self.reactive.finish()
        if self._gap_ticks:
            known = self._steady or self._after
            if known.ticks:
                self._bridge(known, known)
        one, two = self.gates
        registers = self.registers
        net = one.finish() + two.finish()
        registers.book_both_ways(one.both_ways + two.both_ways)
        registers.book(net + self._net.release())
        self.indicators.show_register(registers.delivered, self.ticks)

    @property
    def second(self):
        """The windows of the last second, joined; None while there has been less."""
        second = self._second
        if second is None and self._is_second:
            second = Window()
            for window in self._recent:
                second.add(window)
            self._second = second
        return second

    def readings(self, window):
        """(Reading of element 1, Reading of element 2, millihertz) over a window."""
        return Reading(window, 0), Reading(window, 1), window.hertz_mhz()

    def diagnosis(self, window, one, two):
        """The doctor's Diagnosis of a window, given its two Readings."""
        one_power, two_power, across = window.phasors()
        return diagnose(
            [
                reading.volts_uv if gate.is_allowed else 0
                for reading, gate in zip((one, two), self.gates)
            ],
            (one.amps_ua, two.amps_ua),
            (one_power, two_power),
            across,
            self._nominal_volts,
            [(reading.volts_thd_ppm or 0) > BENT_PPM for reading in (one, two)],
        )

    # ----

    def _show(self):
        self.indicators.show_register(self.registers.delivered, self.ticks)

    def _bridge(self, before, after):
        """Registers the gap's energy: its length at the mean of the powers before and after."""
        ticks = self._gap_ticks
        self._gap_ticks = 0
        estimates = []
        for was, is_now in zip(before.energy(), after.energy()):
            twice = was * after.ticks + is_now * before.ticks
            # Rounded to a raw unit, 1e-30 of a watt-hour or less: an estimate has no remainder to
            # keep.
            raw = nearest(twice * ticks, 2 * before.ticks * after.ticks)
            estimates.append(raw)
        one, two = self.gates
        net = one.passed(estimates[0], ticks) + two.passed(estimates[1], ticks)
        self.registers.book_both_ways(one.both_ways + two.both_ways)
        self._net.book(self._net.booked(net, ticks))
        self._show()
        if ticks >= self.tick_hz:
            # What comes behind a long gap is judged by itself, not by the mean with the gap.
            for gate in self.gates:
                gate.forget()
        self._add_estimates(estimates)

    def _add_estimates(self, estimates):
        self.estimated.add(
            *[raw if gate.is_open else 0 for raw, gate in zip(estimates, self.gates)]
        )
