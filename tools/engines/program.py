"""The metering module at the end of a pipe: runs on MicroPython and CPython alike, host side.

Flow: replay's front end -> codes on stdin -> ENGINE (the firmware's meter) -> JSON lines on
stdout. Started as `micropython program.py PROJECT_ROOT CODES`; CODES: how many it is likely to
read at a time.  It meters one recording after the other, each with a new meter, until the end of
stdin.  A recording begins with a line, a JSON object:

    board         board file's name
    calibration   mapping for calibration.from_dict
    frame_ticks, tick_hz   length of a frame, and the clock it is counted in
    spans         whether frames differ in length
    block_frames  frames handed to the meter at a time
    read_frames   frames read at a time, in whole blocks; where they differ in length, one
    trace_ticks   0, or about how often to report power and registers
    sampler, slots   what the board file's SAMPLER and SLOTS are taken to be instead, or null
    lost          [frames that are metered, frames that are lost] one after the other; or null

Frames follow in pieces of any length: their number, as little-endian uint32, and little-endian
uint16 codes.  Where they differ in length, each piece is a block at most, and comes behind its
spans: the number of these, then frames and ticks of each, all little-endian uint32.  A number of
0 ends the recording.  Lines on stdout, each an array: ["ready"], once there was memory for the
meter, ["edge", name, lit, ticks], ["trace", ticks, uW 1, uW 2, delivered uWh, received uWh, least
uW 1, least uW 2, most uW 1, most uW 2] (least and most of the windows in it), and the recording's
last one, ["result", {...}, microseconds of processor time since the program was started].
"""

import gc
import json
import sys
import time
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


def layout_of(config):
    """The layout that a recording asks for; the board file stays as it is for the next one."""
    board = __import__(config["board"])
    own = board.SAMPLER, board.SLOTS
    board.SAMPLER = config["sampler"] or board.SAMPLER
    board.SLOTS = config["slots"] or board.SLOTS
    layout = Layout(board)
    board.SAMPLER, board.SLOTS = own
    layout.tick_hz = config["tick_hz"]
    layout.frame_ticks = config["frame_ticks"]
    return layout


def codes_for(config, layout):
    """Room for what is read at a time."""
    return array("H", bytes(2 * layout.stride * config["read_frames"]))


# The longest piece comes first, as on the board: modules leave holes in a small heap.
codes = array("H", bytes(2 * int(sys.argv[2])))

if ON_MICROPYTHON:
    # Else what compiling leaves behind spreads what stays over all of a small heap.
    gc.threshold(32768)

from result import result  # noqa: E402

LOOPS = None
if ON_MICROPYTHON and sys.maxsize > 1 << 32:
    import kernel_64
    import words_64

    from threewire.metering import reactive_viper, window_viper

    LOOPS = kernel_64, words_64, window_viper, reactive_viper

from threewire.metering import doctor, findings  # noqa: E402, F401
from threewire.metering.calibration import from_dict  # noqa: E402
from threewire.metering.meter import Meter  # noqa: E402
from threewire.metering.readings import watts_uw  # noqa: E402
from threewire.metering.sag import Sag  # noqa: E402
from threewire.metering.window import Window  # noqa: E402

if ON_MICROPYTHON:
    gc.threshold(-1)

# A board loads these compiled, now and then; to compile them takes more than a full heap has.
doctor.let_go = lambda name: None


def as_bytes(items, size):
    """The memory of an array whose items take `size` bytes, to read into."""
    if ON_MICROPYTHON:
        return memoryview(uctypes.bytearray_at(uctypes.addressof(items), size * len(items)))
    return memoryview(items).cast("B")


def fill(space):
    """Reads into all of it; EOFError where the stream ends before."""
    filled = 0
    while filled < len(space):
        got = source.readinto(space[filled:])
        if not got:
            raise EOFError("the input ends within a recording")
        filled += got


def say(*line):
    # In one piece: else each word and comma is a system call, and wakes who listens.
    sys.stdout.write(json.dumps(line) + "\n")


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
            if not window.is_short():
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


class Frames:
    """Takes a recording's frames from the stream and hands them on in blocks of one size, however
    the pieces are cut."""

    def __init__(self, codes, layout, block):
        self._codes = codes
        self._space = as_bytes(codes, 2)
        self._frame_bytes = 2 * layout.stride
        self._ticks = layout.frame_ticks
        self._block = block
        self._count = array("I", [0])
        self._count_space = as_bytes(self._count, 4)

    def _next_count(self):
        fill(self._count_space)
        return self._count[0]

    def feed(self, taker):
        """Hands all of them to a meter; returns how many there were."""
        space = self._space
        size = len(space)
        block = self._block
        block_bytes = block * self._frame_bytes
        frames = filled = handed = 0  # the latter two in bytes of the space
        count = self._next_count()
        while count:
            frames += count
            left = count * self._frame_bytes
            while left:
                part = min(left, size - filled)
                fill(space[filled : filled + part])
                left -= part
                filled += part
                while filled - handed >= block_bytes:
                    taker.feed(self._codes, block, self._ticks, handed // self._frame_bytes)
                    handed += block_bytes
                if handed == size:
                    filled = handed = 0
            count = self._next_count()
        if filled > handed:
            rest = (filled - handed) // self._frame_bytes
            taker.feed(self._codes, rest, self._ticks, handed // self._frame_bytes)
        return frames


class SpannedFrames(Frames):
    """The same of frames that differ in length: each piece is a block, behind its spans."""

    def __init__(self, codes, layout, block):
        Frames.__init__(self, codes, layout, block)
        # Frames, and ticks of each, one after the other: at most as many spans as frames.
        self._pairs = array("I", bytes(8 * block))
        self._pairs_space = as_bytes(self._pairs, 4)

    def feed(self, taker):
        pairs = self._pairs
        frames = 0
        count = self._next_count()
        while count:
            fill(self._pairs_space[: 8 * count])
            block = sum([pairs[2 * k] for k in range(count)])
            fill(self._space[: block * self._frame_bytes])
            first = 0
            for k in range(count):
                taker.feed(self._codes, pairs[2 * k], pairs[2 * k + 1], first)
                first += pairs[2 * k]
            frames += block
            count = self._next_count()
        return frames


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


def spent_us():
    """Processor time of this process, its start included."""
    return int(1e6 * (time.clock() if ON_MICROPYTHON else time.process_time()))


def meter_recording(config, layout, codes):
    calibration = from_dict(config["calibration"], layout)
    sag = Sag(layout, calibration)
    trace = Trace(config["trace_ticks"], sag)
    gc.collect()  # of what compiling the modules, or the recording before, has left
    meter = Meter(
        layout,
        calibration,
        on_edge=lambda name, lit, ticks: say("edge", name, lit, ticks),
        on_window=trace.window,
        loops=LOOPS,
    )
    trace.meter = meter
    taker = Both(meter, sag)
    if config["lost"]:
        taker = Losses(taker, config["lost"])
    say("ready")
    sys.stdout.flush()
    reader = SpannedFrames if config["spans"] else Frames
    frames = reader(codes, layout, config["block_frames"]).feed(taker)
    meter.finish()
    if config["trace_ticks"]:
        trace.report()

    # Straight to the stream: a line as long as this would need one long piece of a full heap.
    json.dump(["result", result(meter, sag, frames, trace.run), spent_us()], sys.stdout)
    print()
    sys.stdout.flush()


line = source.readline()
while line:
    config = json.loads(line)
    layout = layout_of(config)
    if len(codes) != layout.stride * config["read_frames"]:
        codes = None
        gc.collect()
        codes = codes_for(config, layout)
    meter_recording(config, layout, codes)
    # Before anything that stays is allocated behind what the meter has left.
    gc.collect()
    line = source.readline()
