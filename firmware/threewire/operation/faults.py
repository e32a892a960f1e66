"""Faults are counted and shown, never hidden: what went wrong how often, and what is wrong now.

Flow: windows, clocks, store, restarts -> FAULTS -> telemetry, console, store.
"""

import micropython
from micropython import const

from threewire.metering.wide import WORDS
from threewire.metering.window import half_square

# In the order of the stored counts: a later firmware may only append.
NAMES = (
    "overrun",  # gaps: frames were lost, the energy of which is estimated
    "stuck",  # an input whose codes do not vary: a real converter has noise
    "railed",  # an input whose mean is far from mid-scale, or at an end of the scale
    "no_voltage",  # collapses of an element's voltage below half of nominal
    "bad_frequency",  # mains outside 45 to 65 Hz, or a voltage that has no mains cycles
    "clock_step",  # the metered time has jumped against the clock
    "bad_record",  # stored data that could not be used
    "save_failed",
    "watchdog",  # restarts by the watchdog...
    "exception",  # ...and after a crash in metering
    "task",  # crashes in telemetry, console or storage that metering has survived
    "stall",  # gaps while the board itself wrote to its flash
)
# Counts end here.
_MOST = const(0x7FFFFFFF)

_LOW_MHZ = const(45000)
_HIGH_MHZ = const(65000)
# Windows in a row: after a jump of the voltage's offset one or two may count a crossing too many.
# Where there are no cycles, so many more without them than with them.
_ODD_WINDOWS = const(3)
# Offsets in 1/16 count: 1024 counts, half way to the end of the scale; and 2016, within what a
# table of the converter's errors makes of its last codes.
_RAILED_Q4 = const(16384)
_PINNED_Q4 = const(32256)

# Of a window's words, as in window.py.
_VOLTS2 = const(20)
_AMPS2 = const(40)

# What follows the name of a fault of each element.
_WHERE = ((" 1", " v1", " i1"), (" 2", " v2", " i2"))

# Frames reach the meter up to a quarter of a second late; more is no delay.
_STEP_MS = const(500)
# Compared with what was 5 to 10 s ago.
_AGO_MS = const(5000)


class Faults:
    """counts   how often each of NAMES has happened
    changed  whether that has changed; set to False by whoever has saved the counts
    """

    def __init__(self):
        self.counts = [0] * len(NAMES)
        self.changed = False

    def count(self, name, n=1):
        """`name` (one of NAMES, else ValueError) has happened n times."""
        k = NAMES.index(name)
        if n > 0:
            self.counts[k] = min(self.counts[k] + n, _MOST)
            # Each save may make a stall, which is not to ask for the next one.
            if name != "stall":
                self.changed = True

    def to_list(self):
        """The counts to be stored."""
        return list(self.counts)

    def from_list(self, values):
        """Adds stored counts to those since the start.  A list of another firmware may be shorter
        or longer; what is no count in it counts nothing.
        """
        for k, value in enumerate(values[: len(NAMES)]):
            if isinstance(value, int) and value > 0:
                self.counts[k] = min(self.counts[k] + value, _MOST)

    def clear(self):
        self.counts = [0] * len(NAMES)
        self.changed = True


class FaultFinder:
    """Looks for what windows can tell, and counts a fault when it begins.

    faults   the Faults to count in
    layout   of the board; a voltage that is derived from another is not judged
    on_hertz called as on_hertz(millihertz) after each window that shows a frequency of mains
    active   what is wrong now: "no_voltage 2", "stuck i1", "railed v2", "bad_frequency", in the
             order in which it began

    A fault begins with a window that shows it (a bad frequency with the third in a row) and ends
    with one that does not.  A voltage without mains cycles is a bad frequency as well: that ends
    when as many windows have had them, or the voltage is gone.
    """

    def __init__(self, faults, layout, on_hertz=None):
        self.active = []
        self._on_hertz = on_hertz
        self._faults = faults
        self._least_square = half_square(layout.nominal_volts)
        self._derived = layout.slot["v1"] == layout.slot["v2"]
        self._odd = 0  # windows in a row whose frequency was bad
        self._without = 0  # that had a voltage but no cycles, less those that had
        self._scales = None  # of the windows; what the next is made from
        self._least = (0, 0)

    def _take_scales(self, scales):
        self._scales = scales
        # Squares of a frame that are enough for a voltage, over 2**16 and rounded up.
        self._least = [(self._least_square // v_nv**2 >> 16) + 1 for v_nv in scales.v_nv]

    @micropython.native
    def window(self, window):
        """Judges a Window, unless it is too short for that.  Returns True: it is not kept."""
        if window.is_short():
            return True
        hertz_mhz = window.hertz_mhz()
        n = window.frames
        lacks = False
        lives = False
        if window.scales is not self._scales:
            self._take_scales(window.scales)
        for k, (v, i) in enumerate(window.means):
            if not self.active and -_RAILED_Q4 <= i <= _RAILED_Q4:
                # As most windows are: nothing is wrong, and nothing was.
                off = window.own_offs[k + 2]
                varies = -1 <= off <= 1 and window.over_16_bits(_AMPS2 + WORDS * k)
                if varies and k and self._derived:
                    continue
                squares = window.over_16_bits(_VOLTS2 + WORDS * k)
                if varies and -_RAILED_Q4 <= v <= _RAILED_Q4 and squares > n * self._least[k]:
                    lives = True
                    continue
            number, v_name, i_name = _WHERE[k]
            self._input(i_name, i, window, k + 2, _AMPS2 + WORDS * k)
            if k and self._derived:
                continue
            self._input(v_name, v, window, k, _VOLTS2 + WORDS * k)
            low = window.over_16_bits(_VOLTS2 + WORDS * k) <= n * self._least[k]
            if low:
                low = window.volts2()[k] * window.scales.v_nv[k] ** 2 < n * self._least_square
            self._judge("no_voltage", number, low)
            lacks |= low
            lives |= not low
        if not lives:
            self._without = 0
        elif not window.whole and window.is_odd:
            self._without = min(self._without + 1, _ODD_WINDOWS)
        elif self._without:
            self._without -= 1
        if window.whole and not _LOW_MHZ <= hertz_mhz <= _HIGH_MHZ:
            self._odd += 1
        elif window.whole or lacks:
            self._odd = 0
            if window.whole and self._on_hertz:
                self._on_hertz(hertz_mhz)
        least = 1 if "bad_frequency" in self.active else _ODD_WINDOWS
        self._judge("bad_frequency", "", self._odd >= _ODD_WINDOWS or self._without >= least)
        return True

    def _input(self, where, offset, window, which, at):
        self._judge("railed", where, abs(offset) > _RAILED_Q4)
        # All that a constant input's squares have is how far it is from what they are about.  At
        # an end of the scale a converter shows no noise either.
        off = window.own_offs[which]
        constant = window.number(at) == window.frames * off * off
        self._judge("stuck", where, constant and abs(window.own_means[which]) < _PINNED_Q4)

    def _judge(self, name, where, there):
        if not there and not self.active:
            return
        text = name + where
        if there != (text in self.active):
            if there:
                self.active.append(text)
                self._faults.count(name)
            else:
                self.active.remove(text)


class ClockCheck:
    """Compares the metered time with a clock and counts when one of them has stepped by more than
    half a second against the other: sampling that has stopped, frames lost without notice.  A step
    that goes on is one, until the two have kept together for 5 s.

    tick_hz      of the metered ticks
    ticks_diff   time.ticks_diff, which knows where the clock wraps
    """

    def __init__(self, faults, tick_hz, ticks_diff):
        self._faults = faults
        self._tick_hz = tick_hz
        self._ticks_diff = ticks_diff
        self._older = None
        self._newer = (0, 0)
        self._together = True

    def compare(self, ticks, now_ms):
        """To be called a few times a second, and not by the meter, which may have stopped: metered
        ticks and time.ticks_ms of one moment, after what was sampled has been fed.
        """
        now = (ticks, now_ms)
        if self._older is None:
            self._older = self._newer = now
        since, since_ms = self._older
        metered_ms = (ticks - since) * 1000 // self._tick_hz
        if abs(metered_ms - self._ticks_diff(now_ms, since_ms)) > _STEP_MS:
            if self._together:
                self._faults.count("clock_step")
            self._together = False
            self._older = self._newer = now
        elif self._ticks_diff(now_ms, self._newer[1]) >= _AGO_MS:
            self._together = True
            self._older = self._newer
            self._newer = now
