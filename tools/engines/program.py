"""The metering module at the end of a pipe: runs on MicroPython and CPython alike, host side.

Flow: replay's front end -> codes on stdin -> ENGINE (the firmware's meter) -> JSON lines on
stdout. Started as `micropython program.py PROJECT_ROOT`.  The first line of stdin is a JSON
object:

    board         board file's name
    calibration   mapping for calibration.from_dict
    frame_ticks, tick_hz   length of a frame, and the clock it is counted in
    spans         whether frames differ in length
    block_frames  frames handed to the meter at a time
    trace_ticks   0, or about how often to report power and registers
    sampler       what the board file's SAMPLER is taken to be instead, or null
    lost          [frames that are metered, frames that are lost] one after the other; or null

Frames follow as little-endian uint16 codes until the end of the stream.  Where they differ in
length, each block of them comes behind its spans: their number, then frames and ticks of each,
all little-endian uint32.  Lines on stdout, each an array: ["edge", name, lit, ticks], ["trace",
ticks, uW 1, uW 2, delivered uWh, received uWh, least uW 1, least uW 2, most uW 1, most uW 2]
(least and most of the windows in it), and the last one, ["result", {...}].
"""

import gc
import json
import sys
from array import array

root = sys.argv[1]
sys.path.insert(0, root + "/firmware")
sys.path.insert(0, root + "/boards")
ON_MICROPYTHON = sys.implementation.name == "micropython"
if ON_MICROPYTHON:
    import uctypes
else:
    sys.path.insert(0, root + "/tools/shim")


from threewire.metering.layout import Layout  # noqa: E402

source = sys.stdin.buffer
config = json.loads(source.readline())
board = __import__(config["board"])
if config["sampler"]:
    board.SAMPLER = config["sampler"]
layout = Layout(board)
layout.tick_hz = config["tick_hz"]
layout.frame_ticks = config["frame_ticks"]
# The longest piece comes first, as on the board: modules leave holes in a small heap.
frame_bytes = 2 * layout.stride
codes = array("H", bytes(frame_bytes * config["block_frames"]))

from result import result  # noqa: E402

from threewire.metering.calibration import from_dict  # noqa: E402
from threewire.metering.meter import Meter  # noqa: E402
from threewire.metering.readings import watts_uw  # noqa: E402
from threewire.metering.sag import Sag  # noqa: E402
from threewire.metering.window import Window  # noqa: E402


def as_bytes(items, size):
    """The memory of an array whose items take `size` bytes, to read into."""
    if ON_MICROPYTHON:
        return memoryview(uctypes.bytearray_at(uctypes.addressof(items), size * len(items)))
    return memoryview(items).cast("B")


def fill(space):
    """Reads into all of it; returns how many bytes there were before the stream's end."""
    filled = 0
    while filled < len(space):
        got = source.readinto(space[filled:])
        if not got:
            break
        filled += got
    return filled


def say(*line):
    # Straight to the stream: a whole line of the result would need one long piece of a full heap.
    json.dump(line, sys.stdout)
    print()


class Both:
    """Hands what there is to the meter, and then to the sag, as the board's loop does."""

    def __init__(self, meter, sag):
        self._meter = meter
        self._sag = sag

    def feed(self, codes, frames, ticks, first):
        self._meter.feed(codes, frames, ticks, first)
        self._sag.feed(codes, frames, ticks, first)

    def gap(self, frames, ticks):
        self._meter.gap(frames, ticks)
        self._sag.gap(frames, ticks)


class Trace:
    """Joins windows: all of them for the result, and stretches of trace_ticks for the trace; the
    sag gets to know the frequency of each."""

    def __init__(self, trace_ticks, sag):
        self.run = Window()
        self.meter = None
        self._sag = sag
        self._every = trace_ticks
        self._part = Window()
        self._bounds = None  # least uW of both elements, most uW of both

    def window(self, window):
        self.run.add(window)
        if window.whole:
            self._sag.follow(window.hertz_mhz())
        if self._every:
            self._part.add(window)
            if not window.is_short:
                self._see(watts_uw(window, 0), watts_uw(window, 1))
            if self._part.ticks >= self._every:
                self.report()

    def _see(self, one, two):
        least1, least2, most1, most2 = self._bounds or (one, two, one, two)
        self._bounds = (min(least1, one), min(least2, two), max(most1, one), max(most2, two))

    def report(self):
        part = self._part
        if part.ticks:
            self._part = Window()
            one, two = watts_uw(part, 0), watts_uw(part, 1)
            bounds = self._bounds or (one, two, one, two)
            self._bounds = None
            total = self.meter.registers
            say(
                "trace",
                self.meter.ticks,
                one,
                two,
                total.delivered.micro_wh(),
                total.received.micro_wh(),
                *bounds,
            )


class Spans:
    """How long the frames of each block are, where they differ."""

    def __init__(self, most):
        self._count = array("I", [0])
        self._pairs = array("I", bytes(8 * most))  # frames, and ticks of each, one after the other
        self._count_space = as_bytes(self._count, 4)
        self._space = as_bytes(self._pairs, 4)

    def frames(self):
        """How many frames come next; none at the stream's end."""
        if fill(self._count_space) < 4:
            return 0
        pairs = self._pairs
        fill(self._space[: 8 * self._count[0]])
        return sum([pairs[2 * k] for k in range(self._count[0])])

    def feed(self, meter, codes):
        """Hands the block to the meter."""
        first = 0
        for k in range(self._count[0]):
            frames = self._pairs[2 * k]
            meter.feed(codes, frames, self._pairs[2 * k + 1], first)
            first += frames


class Losses:
    """Hands frames to the meter, but for those that are lost."""

    def __init__(self, meter, pattern):
        self._meter = meter
        self._pattern = pattern
        self._left = pattern[0]  # of those that are metered

    def feed(self, codes, frames, ticks, first):
        while frames:
            part = min(frames, abs(self._left))
            if self._left > 0:
                self._meter.feed(codes, part, ticks, first)
                self._left -= part
                if not self._left:
                    self._left = -self._pattern[1]
            else:
                self._left += part
                if not self._left:
                    lost = self._pattern[1]
                    self._meter.gap(lost, lost * ticks)
                    self._left = self._pattern[0]
            first += part
            frames -= part


def main():
    calibration = from_dict(config["calibration"], layout)
    sag = Sag(layout, calibration)
    trace = Trace(config["trace_ticks"], sag)
    gc.collect()  # of what compiling the modules has left
    meter = Meter(
        layout,
        calibration,
        on_edge=lambda name, lit, ticks: say("edge", name, lit, ticks),
        on_window=trace.window,
    )
    trace.meter = meter
    taker = Both(meter, sag)
    if config["lost"]:
        taker = Losses(taker, config["lost"])
    space = as_bytes(codes, 2)
    frames = 0
    if config["spans"]:
        spans = Spans(config["block_frames"])
        while True:
            n = spans.frames()
            if not n or fill(space[: n * frame_bytes]) < n * frame_bytes:
                break
            spans.feed(taker, codes)
            frames += n
    else:
        more = True
        while more:
            n = fill(space) // frame_bytes
            more = n == config["block_frames"]
            if n:
                taker.feed(codes, n, layout.frame_ticks, 0)
            frames += n
    meter.finish()
    if config["trace_ticks"]:
        trace.report()

    say("result", result(meter, sag, frames, trace.run))


main()
