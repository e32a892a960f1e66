"""A demonstration: a house at ten times its pace, for a board that has no front end.

Flow: loop's time -> DEMO (a cycle's codes, a meter of their own) -> the three lamps, report.  The
board's own meter meters on; while this lasts its lamps are not its own, and telemetry says so.
"""

from array import array
from json import dumps
from math import pi, sin

from micropython import const

_SECONDS = const(600)
_FRAMES = const(32)  # of a cycle
_MID = const(2048)
_CURRENT_MA = const(500)  # of a count
_VOLTAGE_MV = const(110)
# What the house does, again and again: seconds; milliamperes of leg 1 and 2 (negative: it feeds
# back), ten times those of a house, so that a cycle stands for ten; by how many frames they lag.
_HOUSE = (
    (8, 15000, 10000, 0),  # what is always on
    (12, 140000, 10000, 0),  # a kettle
    (8, 15000, 10000, 1),
    (16, 240000, 220000, 0),  # a dryer
    (12, 90000, 10000, 3),  # a pump
    (14, -180000, -180000, 0),  # sun on the roof
    (10, -60000, 70000, 0),  # and on one leg, with a load on the other
)


class Demo:
    """As a Capture, but that it writes nothing.

    layout     of the board
    new_meter  called with a Layout and an on_edge, for a Meter of its own
    leds       show(name, lit)

    over   it has ended
    """

    writes = is_hurried = False

    def __init__(self, layout, new_meter, leds):
        self._layout = of = _Like(layout)
        of.frame_ticks = of.tick_hz // (of.nominal_hz * _FRAMES)
        of.na_per_count = _CURRENT_MA * 1000000
        of.nv_per_count = _VOLTAGE_MV * 1000000
        of.slot_ns = dict([(name, 0) for name in of.slot_ns])
        self._codes = array("H", bytes(2 * _FRAMES * of.stride))
        self._meter = new_meter(of, lambda name, lit, ticks: leds.show(name, lit))
        self._ticks = 0  # that have passed and are not metered yet
        self._left = _SECONDS * of.tick_hz
        self._step = -1
        self._ends = 0  # of the step, in ticks that are left then
        self.over = False
        for name, lit in self._meter.indicators.lit.items():
            leds.show(name, lit)

    @property
    def left_s(self):
        return self._left // self._layout.tick_hz

    def sign(self):
        """What a report has of it: seconds left, its energies, and the lamps, which are its."""
        total = self._meter.registers
        lit = self._meter.indicators.lit
        return (
            ',"demo":{"left_s":%d,"delivered_wh":"%s","received_wh":"%s","leds":%s}'
            % (self.left_s, total.delivered.text(), total.received.text(), dumps(lit))
        ).encode()

    def feed(self, codes, frames, frame_ticks, first=0):
        """So much time has passed."""
        of = self._layout
        cycle = _FRAMES * of.frame_ticks
        self._ticks += frames * frame_ticks
        while self._ticks >= cycle and not self.over:
            self._ticks -= cycle
            self._left -= cycle
            if self._left <= self._ends or self._step < 0:
                self._next()
            self._meter.feed(self._codes, _FRAMES, of.frame_ticks)
            if self._left <= 0:
                self.stop()

    def gap(self, frames, ticks):
        """The house stands still: behind a gap its meter has enough to do."""

    def stop(self):
        self.over = True

    def _next(self):
        """The house does the next thing: a cycle of it."""
        of = self._layout
        self._step = (self._step + 1) % len(_HOUSE)
        seconds, one, two, lag = _HOUSE[self._step]
        self._ends = self._left - seconds * of.tick_hz
        peak = 2**0.5
        volts = of.nominal_volts * 1000 * peak / _VOLTAGE_MV
        # Leg 2's voltage is minus leg 1's, and so is the current of what is on it.
        for name, size, late in (
            ("v1", volts, 0),
            ("i1", one * peak / _CURRENT_MA, lag),
            ("v2", -volts, 0),
            ("i2", -two * peak / _CURRENT_MA, lag),
        ):
            if name in of.slots:
                slot = of.slot[name]
                for k in range(_FRAMES):
                    # Half a frame on: no code is at the crossing itself.
                    phase = 2 * pi * (k - late + 0.5) / _FRAMES
                    self._codes[k * of.stride + slot] = int(_MID + size * sin(phase) + 0.5)


class _Like:
    """A copy of a Layout, to be changed."""

    def __init__(self, layout):
        for name in dir(layout):
            if name[0] != "_":
                setattr(self, name, getattr(layout, name))
