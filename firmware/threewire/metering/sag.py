"""Notices that a line's voltage has collapsed, in time for a last save.

Flow: sampler -> SAG (beside the meter, fed with the same blocks) -> save policy.  A line is down
once every half cycle that ended within the last 20 ms had less than 80 % of the nominal rms; a new
one is looked at four times as often as they pass.  At another mains frequency, or with an offset
that is not known yet, the best of them reads too much: the limit is lower then (70 % at 45 Hz
where 60 Hz is nominal), and a voltage that is there is never taken for one that is not.  Squares
are summed, not peaks compared, because a flat-topped wave with all its volts must not alarm.
"""

from array import array

import micropython
from micropython import const

from threewire.metering.kernel import MID

_DOWN_PERCENT = const(80)
_UP_PERCENT = const(90)
_PERSIST_MS = const(20)
_RECOVER_MS = const(1000)
# Lines that collapse within this time of each other are one event.
_TOGETHER_MS = const(100)
# Half a cycle is judged by so many of its frames, or up to twice as many.
_SAMPLES = const(16)
_MAX_WORD = const(0x7FFFFFFF)

# Words of the state, none ever negative: a `ptr32` load extends with zeros on 64 bits.
_STEP = const(0)  # codes from one sample that is looked at to the next
_SIZE = const(1)  # samples in a quarter of half a cycle, a *bin*
_PERSIST = const(2)  # the times above, in bins
_RECOVER = const(3)
_TOGETHER = const(4)
_SKIP = const(5)  # codes from the end of the last block to the next sample
_LEFT = const(6)  # samples that the bin still takes
_BINS = const(7)  # bins in the sums of codes
_QUIET = const(8)  # bins in which a collapse still belongs to the last event
_END = const(9)  # of the lines' words
_LINES = const(10)
# Words of each line.
_SLOT = const(0)
_DOWN = const(1)  # sums of squares over half a cycle, at the limits
_UP = const(2)
_OFFSET = const(3)
_SUM = const(4)  # of codes, for the next offset
_SQUARES = const(5)  # sum of squares of this bin...
_SQUARES1 = const(6)  # ...and of the three before
_SQUARES2 = const(7)
_SQUARES3 = const(8)
_DOWN_FOR = const(9)  # bins since half a cycle was not down...
_NOT_UP_FOR = const(10)  # ...and since one was up; neither counts beyond _PERSIST
_UP_FOR = const(11)  # bins for which the voltage has been up, until it counts
_COUNTS = const(12)  # 1: the line has been up, so that it can collapse
_LINE_WORDS = const(13)


class Sag:
    """Watches the voltages of a board whose frames are as long as its layout says.

    A line can collapse once it has been above 90 % for a second, and again when it has come back
    for as long.
    """

    def __init__(self, layout, calibration):
        half = layout.tick_hz // (2 * layout.nominal_hz * layout.frame_ticks)
        every = max(1, half // _SAMPLES)
        # Up to 32 samples in half a cycle: 32 * 4095**2 < 2**30.
        size = max(1, (half + 2 * every) // (4 * every))
        bin_ticks = size * every * layout.frame_ticks
        self._stride = layout.stride
        # A voltage derived from the other has its slot, and nothing to tell that it does not.
        names = ["v1"] if layout.slot["v1"] == layout.slot["v2"] else ["v1", "v2"]
        self._st = st = array("i", [0] * (_LINES + len(names) * _LINE_WORDS))
        st[_STEP] = every * layout.stride
        st[_SIZE] = st[_LEFT] = size
        for word, ms in (
            (_PERSIST, _PERSIST_MS),
            (_RECOVER, _RECOVER_MS),
            (_TOGETHER, _TOGETHER_MS),
        ):
            st[word] = -(-ms * layout.tick_hz // (1000 * bin_ticks))
        st[_END] = len(st)
        for k, name in enumerate(names):
            line = _LINES + k * _LINE_WORDS
            st[line + _SLOT] = layout.slot[name]
            st[line + _OFFSET] = MID
            for word, percent in ((_DOWN, _DOWN_PERCENT), (_UP, _UP_PERCENT)):
                volts = percent * layout.nominal_volts
                squares = 4 * size * (volts * 10**7) ** 2 // calibration.v_nv[k] ** 2
                st[line + word] = min(squares, _MAX_WORD)
        self._happened = False

    def feed(self, codes, frames, frame_ticks, first=0):
        """Takes a block as Accumulator.feed does; what frame_ticks adds to the layout's is
        jitter."""
        pos = first * self._stride
        if _look(codes, pos, pos + frames * self._stride, self._st):
            self._happened = True

    def collapsed(self):
        """Whether there has been a collapse since this was last asked: true once for each."""
        happened = self._happened
        self._happened = False
        return happened


@micropython.viper
def _look(codes: ptr16, pos: int, end: int, st: ptr32) -> int:
    """Looks at the frames at codes[pos:end], in codes; returns 1 if a line has collapsed."""
    event = 0
    step = st[_STEP]
    lines_end = st[_END]
    left = st[_LEFT]
    persist = st[_PERSIST]
    pos += st[_SKIP]
    while pos < end:
        line = _LINES
        while line < lines_end:
            code = codes[pos + st[line + _SLOT]]
            st[line + _SUM] = st[line + _SUM] + code
            code -= st[line + _OFFSET]
            st[line + _SQUARES] = st[line + _SQUARES] + code * code
            line += _LINE_WORDS
        pos += step
        left -= 1
        if left:
            continue
        left = st[_SIZE]
        if st[_QUIET]:
            st[_QUIET] = st[_QUIET] - 1
        samples = 0
        st[_BINS] = st[_BINS] + 1
        if st[_BINS] == st[_RECOVER]:
            # A second is near enough to whole cycles: what is left of one moves the mean by less
            # than a hundredth of the peak.
            samples = st[_BINS] * left
            st[_BINS] = 0
        line = _LINES
        while line < lines_end:
            squares = st[line + _SQUARES]
            half = squares + st[line + _SQUARES1] + st[line + _SQUARES2] + st[line + _SQUARES3]
            st[line + _SQUARES3] = st[line + _SQUARES2]
            st[line + _SQUARES2] = st[line + _SQUARES1]
            st[line + _SQUARES1] = squares
            st[line + _SQUARES] = 0
            if half >= st[line + _UP]:
                st[line + _NOT_UP_FOR] = 0
            elif st[line + _NOT_UP_FOR] < persist:
                st[line + _NOT_UP_FOR] = st[line + _NOT_UP_FOR] + 1
            if st[line + _NOT_UP_FOR] >= persist:
                st[line + _UP_FOR] = 0
            elif st[line + _UP_FOR] < st[_RECOVER]:
                st[line + _UP_FOR] = st[line + _UP_FOR] + 1
            else:
                st[line + _COUNTS] = 1
            if half >= st[line + _DOWN]:
                st[line + _DOWN_FOR] = 0
            elif st[line + _DOWN_FOR] < persist:
                st[line + _DOWN_FOR] = st[line + _DOWN_FOR] + 1
            if st[line + _DOWN_FOR] >= persist and st[line + _COUNTS]:
                st[line + _COUNTS] = 0
                st[line + _UP_FOR] = 0
                if st[_QUIET] == 0:
                    event = 1
                    st[_QUIET] = st[_TOGETHER]
            if samples:
                st[line + _OFFSET] = (st[line + _SUM] + samples // 2) // samples
                st[line + _SUM] = 0
            line += _LINE_WORDS
    st[_SKIP] = pos - end
    st[_LEFT] = left
    return event
