"""The no-load gate: an element registers only what a real load draws, all of it, the way it went.

Flow: accumulator -> CREEP -> registers.  A converter's noise times the voltage is an energy too,
of either sign.  A Flow therefore holds what comes in until it exceeds what noise makes in that
time, and books it in the direction it went: alternating flow counts both ways, noise does not.
Beside that a CreepGate asks for a second's flow, without regard to its direction, before it takes
an element for loaded; what flowed meanwhile is let through when it opens.
"""

import micropython
from micropython import const

from threewire.metering.flow import Flow
from threewire.metering.intmath import isqrt

# The noisiest converter that is supported, counts rms: an RP2040's has 0.97 to 1.36 with its
# regulator in either mode.
_NOISE_COUNTS = const(2)
# A flow is real beyond so many standard deviations.  At 1.2 counts these are 6.6 of them, which
# noise exceeds once in 10**10 cycles.
_SIGMAS = const(4)
# The gate looks back over a second, in so many parts.
_PARTS = const(8)


def noise_raw(layout, v_nv, i_na):
    """The most that noise makes of the nominal voltage in a second, raw units.

    v_nv, i_na  size of a count

    The noise of n samples adds up as their root does: 4 * 2 counts * V * sqrt(n) * frame time.
    """
    frames = layout.tick_hz // layout.frame_ticks
    amps_nv_na = _SIGMAS * _NOISE_COUNTS * i_na * layout.nominal_volts * 10**9
    return (amps_nv_na * isqrt(frames) * layout.frame_ticks) << 32


class CreepGate:
    """Gate of one element, which books what passes.

    delivered, received   the element's two Registers
    starting_raw   raw energy of one second at the starting power
    noise_raw      as Flow's
    tick_hz        ticks in a second

    It opens as soon as the flow of the last second, both directions added up, is what half the
    starting power gives (a load of 24 times the starting power opens it within 21 ms), and shuts
    after a second whose flow is under a quarter of it.

    is_allowed  False after `bar` until `allow`: nothing opens it

    both_ways   what has flowed each way beside what `passed` returns, where that has just opened
                the gate; else 0
    """

    def __init__(self, delivered, received, starting_raw, noise_raw, tick_hz):
        # What is open has had enough when it has flowed as much as keeps it from shutting.
        self.flow = Flow(delivered, received, noise_raw, tick_hz, starting_raw // 4)
        self._second = tick_hz
        self._part_ticks = tick_hz // _PARTS
        self._open_at = starting_raw // 2
        self._shut_below = starting_raw // 4
        self._restart()
        self.is_allowed = True
        self._is_late = False  # it is allowed now, and what has flowed may be enough
        self.flow.is_open = False
        self.both_ways = 0

    @property
    def is_open(self):
        """Whether what comes is booked."""
        return self.flow.is_open

    def _restart(self):
        # While the gate is shut, of the parts of the last second: length, what came in and what
        # went out.  _part is the one that goes on.
        self._times = [0] * _PARTS
        self._ins = [0] * _PARTS
        self._outs = [0] * _PARTS
        self._part = 0
        self.flow.little_ticks = 0

    def passed(self, raw, ticks):
        """Energy that counts now, given what came in over `ticks` ticks.  It is in the registers,
        but for what the flow still holds."""
        if self.is_open:
            self.both_ways = 0
            return self._passed(raw, ticks)
        booked = self.flow.booked(raw, ticks)
        part = self._part
        if booked > 0:
            self._ins[part] += booked
        elif booked:
            self._outs[part] -= booked
        if (booked or self._is_late) and self.is_allowed:
            self._times[part] += ticks
            self._is_late = False
            self.flow.is_open = False
            if self._opens():
                return self._open()
            ticks = 0
        self.pass_time(ticks)
        return 0

    @micropython.native
    def pass_time(self, ticks):
        """So many ticks have passed with the gate shut."""
        part = self._part
        times = self._times
        times[part] += ticks
        if times[part] >= self._part_ticks:
            self._part = part = (part + 1) % _PARTS
            times[part] = self._ins[part] = self._outs[part] = 0

    def _passed(self, raw, ticks):
        """`passed` of an open gate."""
        flow = self.flow
        booked = flow.booked(raw, ticks)
        flow.book(booked)
        flowed = abs(booked)
        if flow.little_ticks:
            flowed += flow.flowed
        ticks += flow.little_ticks
        if flowed >= self._shut_below:
            flow.little_ticks = 0
        elif ticks < self._second:
            flow.little_ticks = ticks
            flow.flowed = flowed
        else:
            flow.is_open = False
            self._restart()
            # What is held waits for more, as ever, and counts when it is let through.
            raw -= flow.held
        return raw

    def bar(self):
        """Nothing opens it until `allow`; what flows in the second before that counts then."""
        self.is_allowed = False

    def allow(self):
        self.is_allowed = self._is_late = True
        if not self.is_open:
            self.flow.ask()

    def forget(self):
        """What has come so far, while shut, is not looked back on."""
        if not self.is_open:
            self._restart()

    def drop(self):
        """What has come so far and is not booked never will be."""
        self.flow.release()
        self.forget()

    def finish(self):
        """Energy that counts when metering ends before the second does: the mean over what there
        is decides."""
        flow = self.flow
        raw = self.both_ways = 0
        if not self.is_open:
            ticks = sum(self._times)
            flowed = sum(self._ins) + sum(self._outs) + abs(flow.held)
            if not self.is_allowed or not ticks or flowed * self._second < self._open_at * ticks:
                return 0
            raw = self._open()
        if not flow.mean_reaches(self._open_at):
            return raw - flow.release()
        flow.book(flow.release())
        return raw

    def _opens(self):
        """Whether the last second's flow is enough.  Over more than a second (energy that is
        estimated for a gap) it is the mean that counts."""
        ticks = max(sum(self._times), self._second)
        return (sum(self._ins) + sum(self._outs)) * self._second >= self._open_at * ticks

    def _open(self):
        ins = sum(self._ins)
        outs = sum(self._outs)
        self._restart()
        flow = self.flow
        flow.is_open = True
        flow.book(ins)
        flow.book(-outs)
        self.both_ways = min(ins, outs)
        return ins - outs + flow.held
