"""Samples by a periodic timer: works on any port that has machine.Timer and machine.ADC.

Flow: ADC -> TIMER SAMPLER -> meter.  The interrupt stores one frame a tick in a ring of blocks; `pump`
hands full blocks to the meter with the time they really took, from tick to tick.

The interrupt allocates nothing: it calls bound methods made beforehand, stores small integers into
arrays and keeps its counters masked.  It costs about 43 us (emulated RP2040 at 125 MHz, four inputs),
a third of the CPU at 8 kHz.
"""

import micropython
from array import array
from machine import ADC, Pin, Timer
from micropython import const
from time import ticks_add, ticks_diff, ticks_us

_BLOCKS = const(8)  # in the ring; a power of two
_COUNT = const(0xFFFF)  # block counters are masked to this


class TimerSampler:
    """Converts the board's slots every PERIOD_US and hands over blocks of BLOCK_FRAMES frames.

    A tick that is served more than half a period late is left out: the samples would lie about when
    they were taken.  Such frames, those the ring had no room for, and those whose tick was lost are a
    gap, which the meter is told of.
    """

    def __init__(self, board, layout):
        self._period_us = board.PERIOD_US
        self._late_us = board.PERIOD_US // 2
        self._frames = board.BLOCK_FRAMES
        self._stride = layout.stride
        # A block of frames, in us: frame_ticks of the layout's clock.
        self._block_us = self._period_us * self._frames
        self._reads = tuple([ADC(Pin(pin)).read_u16 for name, pin in board.SLOTS])
        size = self._frames * self._stride
        self._size = size
        self._codes = array("H", bytes(2 * size * _BLOCKS))
        whole = memoryview(self._codes)
        self._views = [whole[k * size : (k + 1) * size] for k in range(_BLOCKS)]
        self._stamps = array("i", [0] * _BLOCKS)  # ticks_us of each block's first frame
        self._at = 0  # where the next code goes
        self._stop = size  # where its block ends
        self._filled = 0  # blocks completed, masked
        self._taken = 0  # blocks handed over, masked
        self._owed_us = 0
        self._due = 0
        self._timer = Timer(board.TIMER_ID)
        self._tick = self._serve  # a bound method made once: making one allocates

    def start(self, **kind):
        """Starts the ticks.  kind: hard=True where the port has hard interrupts."""
        self._due = ticks_add(ticks_us(), self._period_us)
        self._timer.init(
            mode=Timer.PERIODIC,
            period=self._period_us,
            tick_hz=1000000,
            callback=self._tick,
            **kind
        )

    def stop(self):
        self._timer.deinit()

    @micropython.native
    def _serve(self, timer):
        now = ticks_us()
        due = self._due
        self._due = ticks_add(due, self._period_us)
        if ticks_diff(now, due) > self._late_us:
            return
        at = self._at
        if at + self._size == self._stop:
            # First frame of a block: is there room for it?
            filled = self._filled
            if (filled - self._taken) & _COUNT >= _BLOCKS - 1:
                return
            self._stamps[filled & (_BLOCKS - 1)] = now
        codes = self._codes
        for read in self._reads:
            codes[at] = read() >> 4
            at += 1
        if at == self._stop:
            self._filled = filled = (self._filled + 1) & _COUNT
            at = (filled & (_BLOCKS - 1)) * self._size
            self._stop = at + self._size
        self._at = at

    def pump(self, meter):
        """Hands every block to the meter whose successor has begun: only then is its length known.

        Returns the number of blocks.
        """
        n = 0
        while True:
            taken = self._taken
            ready = (self._filled - taken) & _COUNT
            # The last full block counts once a frame of the next is in: `_at` has left its start.
            if ready == 0 or (ready == 1 and self._at + self._size == self._stop):
                return n
            k = taken & (_BLOCKS - 1)
            took = ticks_diff(self._stamps[(k + 1) & (_BLOCKS - 1)], self._stamps[k])
            excess = took - self._block_us
            gap = (excess + self._late_us) // self._period_us
            if gap > 0:
                excess -= gap * self._period_us
            # What jitter adds to one block it takes from the next: settle only what has piled up.
            self._owed_us += excess
            length = self._block_us
            if abs(self._owed_us) > self._late_us // 2:
                length += self._owed_us
                self._owed_us = 0
            meter.feed(self._views[k], self._frames, length)
            if gap > 0:
                meter.gap(gap, gap * self._block_us)
            self._taken = (taken + 1) & _COUNT
            n += 1
