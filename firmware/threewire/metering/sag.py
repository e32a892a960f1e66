"""Watches the voltages beside the meter: a collapse, in time for a last save, and voltage events.

Flow: sampler -> SAG (fed with the same blocks as the meter) -> save policy; console, replay.
"""

from array import array

import micropython
from micropython import const

from threewire.metering.line_voltage import KINDS, lines

# Lines that collapse within this time of each other are one event.
_TOGETHER_MS = const(100)
# Words of a line, as in line_voltage.py.
_PERSIST = const(5)
_DOWN_FOR = const(15)
_WORDS = const(42)
# Events that are kept, of so many words each.
_KEPT = const(8)
_EVENT = const(5)


class Sag:
    """look      where the chip has a twin of it: that of look_viper

    counts    KINDS -> of each line, how many voltage events of that kind are over
    happened  there has been a collapse that nobody has asked `collapsed` about
    is_near   a voltage is low, and may be about to have collapsed

    All of it is in RAM.  A line that is dead from the start on has an event from the start on; one
    goes on over lost frames, and while nothing is metered.
    """

    def __init__(self, layout, calibration, look=None):
        if look is None:
            # Boards with a twin of it do not carry this.
            from threewire.metering.look_viper import look
        self._look = look
        self._stride = layout.stride
        self._words, self._lines = lines(layout, calibration)
        self.counts = {kind: [0] * len(self._lines) for kind in KINDS}
        self._kept = array("q", bytes(8 * _KEPT * _EVENT))
        self._ended = 0  # events
        self._collapsed_ms = -_TOGETHER_MS
        self.happened = self.is_near = False

    @micropython.native
    def feed(self, codes, frames, frame_ticks, first=0):
        """Takes a block as Accumulator.feed does; what frame_ticks adds to the layout's is
        jitter."""
        stride = self._stride
        pos = first * stride
        end = pos + frames * stride
        words = self._words
        while self._look(codes, pos, end, words):
            pos = end
            self._find()
        near = False
        at = _DOWN_FOR
        for _ in self._lines:
            low_for = words[at]
            if low_for and low_for < words[at + _PERSIST - _DOWN_FOR]:
                near = True
            at += _WORDS
        self.is_near = near

    def _find(self):
        for k, line in enumerate(self._lines):
            now, event = line.found()
            if now is not None and abs(now - self._collapsed_ms) > _TOGETHER_MS:
                self._collapsed_ms = now
                self.happened = True
            if event:
                self.counts[KINDS[event[0]]][k] += 1
                at = self._ended % _KEPT * _EVENT
                self._kept[at : at + _EVENT] = array("q", (k,) + event)
                self._ended += 1

    def collapsed(self):
        """Whether there has been a collapse since this was last asked: true once for each."""
        happened = self.happened
        self.happened = False
        return happened

    def gap(self, frames, ticks):
        """Takes note of lost frames as Meter.gap does; of 0 and 0 where what is fed next does not
        follow on what was fed last."""
        for line in self._lines:
            line.pass_over(ticks)

    def follow(self, mhz):
        """Takes note of the mains frequency, from 45000 to 65000 mHz."""
        for line in self._lines:
            line.follow(mhz)

    def newest(self):
        """Yields the newest events that are over, the last one last, then those that are under
        way: (line, 0 or 1; place in KINDS; ms metered when it began; its ms so far; hundredths of
        a percent of nominal that it has come to; whether it is over)."""
        for n in range(max(0, self._ended - _KEPT), self._ended):
            at = n % _KEPT * _EVENT
            yield tuple(self._kept[at : at + _EVENT]) + (True,)
        for k, line in enumerate(self._lines):
            event = line.event()
            if event:
                yield (k,) + event + (False,)
