"""Samples by a periodic timer: works on any port that has machine.Timer and machine.ADC.

Flow: ADC -> TIMER SAMPLER -> meter.  The interrupt stores one frame a tick in a ring of blocks;
`pump` hands full blocks to the meter with the time they really took, from tick to tick.  Where
frames were lost it hands over the block in pieces, and tells of each gap between them.

Where timers are soft (ESP32) a collection of garbage, 2 ms, delays all that are due meanwhile, and
they come one upon the other behind it.  Each is converted when it comes, so it is a sample with a
time of its own: it is kept for the instant of the raster that it is nearest to, with how far it is
off, and `pump` puts it there by the wave through its neighbours.  So it fills in the instants for
which there is none, up to 3 ms of them: no frame is lost to a collection.

The interrupt allocates nothing: it calls bound methods made beforehand, stores small integers into
arrays and keeps its counters masked.  It costs about 75 us (emulated RP2040 at 125 MHz, four
inputs): 30 % of the CPU at 4 kHz, and at 8 kHz more than there is.
"""

from array import array
from time import ticks_diff, ticks_us

import micropython
from machine import ADC, Pin, Timer
from micropython import const

_BLOCKS = const(16)  # in the ring, an eighth of a second at 4 kHz; a power of two
# Part of what it holds for which it may be left alone.
_PAUSE_PART = const(10)
_TICKS_MASK = const(0x3FFFFFFF)  # ticks_us wraps at 2**30
_TICKS_HALF = const(0x20000000)

# Words the interrupt keeps; block counters run modulo 2**16.
_DUE = const(0)  # ticks_us at which the next tick is to come; -1 before the first
_PERIOD = const(1)
_LATE = const(2)  # a tick later than this is left out
_AT = const(3)  # where the next code goes...
_LEFT = const(4)  # ...and how many frames its block still takes
_FRAMES = const(5)  # frames in a block
_SIZE = const(6)  # codes in a block
_FILLED = const(7)  # blocks completed
_TAKEN = const(8)  # blocks handed over
_FOUR = const(9)  # 1: four slots, 0: three
_NEAR = const(10)  # 0: the timer is hard; else what is off by no more is where it should be
_OFF = const(11)  # by how much the latest frame is
_LAST = const(12)  # when it was converted
_STEADY = const(13)  # ticks in a row that have come a period apart
_WORDS = const(14)
_COUNT = const(0xFFFF)

# So many of those tell when the timer is on time.
_TIMELY = const(8)
_NEAR_PART = const(32)  # of a period: 0.7 degrees of 60 Hz at 1 kHz

# To settle what time is owed a frame is made this part longer or shorter at most: phases are
# corrected by parts of a frame, and would be out of all proportion in a very short one.
_SETTLED_PART = const(8)


def _input(pin):
    adc = ADC(Pin(pin))
    if hasattr(ADC, "ATTN_11DB"):
        # ESP32: the range that a bias at half of 3.3 V needs; its default ends at 1.1 V.
        adc.atten(ADC.ATTN_11DB)
    return adc


class TimerSampler:
    """Converts the board's slots, three or four, every `period_us` of the board's SAMPLER and
    hands over blocks of `block_frames`.

    A tick that is served more than half a period late is left out: its samples would lie about
    when they were taken.  Such frames, those the ring had no room for, and those whose tick was
    lost are a gap, which the meter is told of right behind the last frame before it.  Of a soft
    timer none is left out, and what is missing is filled in where that is little (see above).

    pause_ms   from one `pump` to the next there should be no more
    """

    def __init__(self, board, layout):
        sampler = board.SAMPLER
        self._period_us = sampler["period_us"]
        self._frames = sampler["block_frames"]
        # The time of a block in us is that of a frame in ticks of the layout's clock.
        self._block_us = layout.frame_ticks
        size = self._frames * layout.stride
        reads = [_input(pin).read_u16 for name, pin in board.SLOTS]
        self._read0, self._read1, self._read2 = reads[:3]
        self._read3 = reads[-1]
        self._codes = array("H", bytes(2 * size * _BLOCKS))
        whole = memoryview(self._codes)
        self._views = [whole[k * size : (k + 1) * size] for k in range(_BLOCKS)]
        self._stamps = array("i", [0] * _BLOCKS)  # ticks_us of each block's first frame
        soft = not sampler["hard"]
        # How many were lost right behind each frame of the ring, and, of a soft timer, by how
        # many us each is off; which blocks have losses, or frames that are off too much.
        self._marks = array("i", [0] * (self._frames * _BLOCKS * (1 + soft)))
        self._is_marked = bytearray(_BLOCKS)
        self._words = words = array("i", [0] * _WORDS)
        words[_PERIOD] = self._period_us
        words[_LATE] = (self._period_us - 1) // 2
        words[_FRAMES] = words[_LEFT] = self._frames
        words[_SIZE] = size
        words[_FOUR] = 1 if layout.stride == 4 else 0
        self._raster = None
        if soft:
            # Chips with hard timers do not carry it.
            from threewire.chip.raster import Raster

            words[_NEAR] = self._period_us // _NEAR_PART
            self._raster = Raster(
                self._codes, self._marks, self._frames * _BLOCKS, layout.stride, self._period_us
            )
            self._is_marked[_BLOCKS - 1] = 1  # nothing is in front of the first frame
        self.pause_ms = self._frames * self._period_us * _BLOCKS // (_PAUSE_PART * 1000)
        self._owed = 0  # time that has passed and was not handed over, in ticks of the layout
        self._timer = Timer(sampler["timer"])
        # Only ports that have hard interrupts know the word.
        self._kind = {"hard": True} if sampler["hard"] else {}
        # Bound methods made once: making one allocates.
        self._serves = self._serve
        self._tick = self._try if soft else self._serves

    def start(self):
        self._words[_DUE] = -1
        self._timer.init(
            mode=Timer.PERIODIC,
            period=self._period_us,
            tick_hz=1000000,
            callback=self._tick,
            **self._kind,
        )

    def stop(self):
        self._timer.deinit()

    def _try(self, timer):
        """As _serve, where a conversion may fail: MicroPython 1.29 says so.  The tick is lost
        then, as the next one finds."""
        try:
            self._serves(timer)
        except OSError:
            pass

    @micropython.viper
    def _serve(self, timer):
        words = ptr32(self._words)
        now = int(ticks_us())
        due = words[_DUE]
        if due < 0:
            due = now  # the first tick says when the others are due
        late = (now - due + _TICKS_HALF & _TICKS_MASK) - _TICKS_HALF
        period = words[_PERIOD]
        left = words[_LEFT]
        near = words[_NEAR]
        if near:
            step = now - words[_LAST] - period
            steady = words[_STEADY] + 1
            if step > near or 0 - step > near:
                steady = 0
            if steady > _TIMELY:
                steady = 0
                if late < period and (late > near or 0 - late > near):
                    due += late  # it is the first tick that was not on time
                    late = 0
            words[_STEADY] = steady
            words[_LAST] = now
        again = 0
        if late < 0 - words[_LATE]:
            # One of those that a stall has piled up: its time has been passed over...
            off = words[_OFF]
            if off < 0:
                off = 0 - off
            late += period
            if late >= off or 0 - late >= off or not near:
                return
            again = 1  # ...but it is nearer to where the latest frame should be
        lost = 0
        while late >= period:  # ticks were lost
            late -= period
            due += period
            lost += 1
        left_out = 0
        if late > words[_LATE] and not again:
            if near:
                late -= period
                due += period
                lost += 1
            else:
                left_out = 1
        if left == words[_FRAMES] and not left_out and not again:
            # First frame of a block: is there room for it?
            filled = words[_FILLED]
            if (filled - words[_TAKEN] & _COUNT) >= _BLOCKS - 1:
                left_out = 1
                words[_OFF] = 0  # there is no such frame
        at = words[_AT]
        if again:
            at -= 3 + words[_FOUR]
            if at < 0:
                at += words[_SIZE] * _BLOCKS
        if not left_out:
            # Nothing has been written down so far: any of these may fail.
            code0 = int(self._read0()) >> 4
            code1 = int(self._read1()) >> 4
            code2 = int(self._read2()) >> 4
            code3 = 0
            four = words[_FOUR]
            if four:
                code3 = int(self._read3()) >> 4
            codes = ptr16(self._codes)
            codes[at] = code0
            codes[at + 1] = code1
            codes[at + 2] = code2
            at += 3
            if four:
                codes[at] = code3
                at += 1
        if not again:
            words[_DUE] = due + period & _TICKS_MASK
        lost += left_out
        if lost or near:
            # The latest frame so far: its block is not handed over before the next has come.
            block = words[_FILLED]
            place = words[_FRAMES] - left
            if place == 0:
                block -= 1
                place = words[_FRAMES]
            block &= _BLOCKS - 1
            place += block * words[_FRAMES] - 1
            marks = ptr32(self._marks)
            is_marked = ptr8(self._is_marked)
            if lost:
                marks[place] += lost
                is_marked[block] = 1
            if left_out:
                return
            if near:
                ring = words[_FRAMES] * _BLOCKS
                if not again:
                    block = words[_FILLED] & (_BLOCKS - 1)
                    place += 1
                    if place == ring:
                        place = 0
                words[_OFF] = late
                marks[ring + place] = late
                if late > near or 0 - late > near:
                    is_marked[block] = 1
                if again:
                    return
                now = due
        if left == words[_FRAMES]:
            stamps = ptr32(self._stamps)
            stamps[words[_FILLED] & (_BLOCKS - 1)] = now
        left -= 1
        if left == 0:
            filled = words[_FILLED] + 1 & _COUNT
            words[_FILLED] = filled
            at = (filled & (_BLOCKS - 1)) * words[_SIZE]
            left = words[_FRAMES]
        words[_AT] = at
        words[_LEFT] = left

    def pump(self, meter):
        """Hands every block to the meter whose successor has begun: only then is its length known.

        Returns the number of frames.
        """
        words = self._words
        frames = self._frames
        block_us = self._block_us
        period_us = self._period_us
        late_us = words[_LATE]
        settled = late_us // 2 * frames
        n = 0
        while True:
            taken = words[_TAKEN]
            ready = (words[_FILLED] - taken) & _COUNT
            if ready == 0 or (ready == 1 and words[_LEFT] == frames):
                return n
            k = taken & (_BLOCKS - 1)
            if self._raster and self._is_marked[k]:
                there = (ready + 1) * frames - words[_LEFT]
                if there < frames + self._raster.SIDE:
                    return n  # it takes some frames more to put right the last
                self._raster.begin(there)
            took = ticks_diff(self._stamps[(k + 1) & (_BLOCKS - 1)], self._stamps[k])
            excess = took - block_us
            left = frames
            pause = 0
            if self._is_marked[k]:
                first, lost = self._hand_pieces(meter, k)
                left -= first
                # Together with a gap it may take longer than ticks_us can tell.
                excess = ticks_diff(excess - lost * period_us & _TICKS_MASK, 0)
            if excess >= period_us:
                # More than jitter: the timer had been stopped.
                pause = (excess + late_us) // period_us
                excess -= pause * period_us
            # What jitter adds to one block it takes from the next: settle only what has piled up.
            owed = self._owed + excess * frames
            length = block_us
            if abs(owed) > settled and left:
                most = block_us // _SETTLED_PART
                more = min(max(owed // left, -most), most)
                length += more
                owed -= more * left
            self._owed = owed
            if left:
                meter.feed(self._views[k], left, length, frames - left)
            if pause:
                meter.gap(pause, pause * block_us)
            if self._raster:
                self._forget(k)
            words[_TAKEN] = (taken + 1) & _COUNT
            n += frames

    def _hand_pieces(self, meter, k):
        """Hands over block k up to its last gap; returns (how many frames, how many were lost).

        These pieces have frames of the usual length, of which a gap is told too: no time is
        settled in front of one.
        """
        marks = self._marks
        raster = self._raster
        near = self._words[_NEAR]
        begin = k * self._frames
        in_all = first = 0
        for n in range(self._frames):
            at = begin + n
            if raster:
                raster.take(at, near)
            gap = marks[at]
            if gap:
                meter.feed(self._views[k], n + 1 - first, self._block_us, first)
                if raster and gap <= raster.most:
                    meter.feed(raster.bridge(gap), gap, self._block_us)
                else:
                    meter.gap(gap, gap * self._block_us)
                first = n + 1
                in_all += gap
                if not raster:
                    marks[at] = 0
        if not raster:
            self._is_marked[k] = 0
        return first, in_all

    def _forget(self, k):
        """Clears what was noted of the block before this one: this one needed it, to know when
        those frames were converted."""
        k = (k - 1) & (_BLOCKS - 1)
        if self._is_marked[k]:
            self._is_marked[k] = 0
            marks = self._marks
            for at in range(k * self._frames, (k + 1) * self._frames):
                marks[at] = 0
