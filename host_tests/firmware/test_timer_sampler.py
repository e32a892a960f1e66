"""The timer sampler on a simulated clock: no frame lost or invented, and time that adds up.

What it should hand over is worked out from the instants at which the fake ADC was asked.
"""

import importlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from host_tests.rigs.machine import WRAP, Machine, Wave, installed, mains, timer_board
from threewire.metering.calibration import nominal
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter

BOARDS = {
    "four": timer_board("feather_rp2040"),
    "three": timer_board("pico"),
    # Half of this period is no whole number of microseconds.
    "fast": timer_board("feather_rp2040", period_us=125, block_frames=64),
    # Callbacks that are not hard, and slow conversions.
    "soft": timer_board("esp32_devkitc"),
}
KINDS = tuple(BOARDS)
# Of their timers no tick is late but in a stall.
HARD = KINDS[:3]
# As a soft one's rate, of which nothing is filled in before it comes to the meter.
BOARDS["slow"] = timer_board("feather_rp2040", period_us=1000, block_frames=16)
# What an ESP32 may be set to whose conversions are fast enough.
BOARDS["quick"] = timer_board("esp32_devkitc", period_us=500)
PERIOD_US: dict[str, int] = {kind: board.SAMPLER["period_us"] for kind, board in BOARDS.items()}
ENTRY_US = 3
SECOND_US = 1_000_000


class Recorder:
    """Takes what a meter would.  `feeding` is called while it has a block: time passes then."""

    def __init__(self, stride: int) -> None:
        self.stride = stride
        self.blocks: list[list[int]] = []  # or their pieces, where there are gaps
        self.lengths: list[int] = []  # of a frame, per block
        self.gaps: list[tuple[int, int, int]] = []  # (frames before it, frames, ticks)
        self.frames = 0
        self.ticks = 0
        self.feeding: Callable[[], None] = lambda: None

    def feed(self, codes: Sequence[int], frames: int, frame_ticks: int, first: int = 0) -> None:
        assert frames > 0 and frame_ticks > 0
        before = list(codes)
        self.feeding()
        assert list(codes) == before, "the block changed while it was being metered"
        piece = before[first * self.stride : (first + frames) * self.stride]
        assert len(piece) == frames * self.stride
        self.blocks.append(piece)
        self.lengths.append(frame_ticks)
        self.frames += frames
        self.ticks += frames * frame_ticks

    def gap(self, frames: int, ticks: int) -> None:
        self.gaps.append((self.frames, frames, ticks))
        self.ticks += ticks

    @property
    def gap_frames(self) -> int:
        return sum(frames for _, frames, _ in self.gaps)

    def slot(self, k: int) -> list[int]:
        """All codes of one slot."""
        return [code for block in self.blocks for code in block[k :: self.stride]]


class Rig:
    """A sampler on a fake board, and a meter or Recorder behind it."""

    def __init__(self, kind: str, machine: Machine, module: ModuleType) -> None:
        self.machine = machine
        self.module = module
        self.board = BOARDS[kind]
        self.layout = Layout(self.board)
        self.period_us = PERIOD_US[kind]
        self.block: int = self.board.SAMPLER["block_frames"]
        self.sampler = module.TimerSampler(self.board, self.layout)
        self.recorder = Recorder(self.layout.stride)
        self.begun = machine.now

    def run(self, us: int, every_us: int = 4000, meter: Any = None) -> "Rig":
        """Lets this much time pass, pumping every so often; at the end, until nothing is left."""
        until = self.machine.now + us
        while self.machine.now < until:
            self.machine.wait(min(every_us, until - self.machine.now))
            self.sampler.pump(meter or self.recorder)
        while self.sampler.pump(meter or self.recorder):
            pass
        return self

    def instants(self) -> list[int]:
        """When each frame was begun."""
        return self.machine.instants[self.board.SLOTS[0][1]]

    def span_us(self, frames: int | None = None) -> int:
        """From the first frame to the first of those not handed over yet."""
        instants = self.instants()
        return instants[self.recorder.frames if frames is None else frames] - instants[0]

    def tick(self, us: int) -> int:
        """Number of the timer's tick that was due last at this instant."""
        return (us - self.begun) // self.period_us

    def owed_frames(self) -> int:
        """Ticks from the first frame's to that of the first frame not handed over, less the frames
        handed over and the gaps: frames that are not accounted for."""
        instants = self.instants()
        ticks = self.tick(instants[self.recorder.frames]) - self.tick(instants[0])
        return ticks - self.recorder.frames - self.recorder.gap_frames

    def true_gaps(self) -> list[tuple[int, int, int]]:
        """What the Recorder's gaps should be, by when each frame was begun: half a period from
        its tick at most."""
        ticks = [
            (us - self.begun + self.period_us // 2) // self.period_us
            for us in self.instants()[: self.recorder.frames + 1]
        ]
        return [
            (before, tick - last - 1, (tick - last - 1) * self.layout.frame_ticks)
            for before, (last, tick) in enumerate(pairwise(ticks), start=1)
            if tick > last + 1
        ]

    def owed_us(self) -> float:
        """Time that has passed less time handed over."""
        return self.span_us() - self.recorder.ticks * SECOND_US / self.layout.tick_hz


@contextmanager
def rig(kind: str = "four", **options: Any) -> Iterator[Rig]:
    """A sampler that has just been started.  Its slots' codes tell the slot and the tick."""
    board = BOARDS[kind]
    start_us = options.get("start_us", 0) + options.get("init_us", 0)
    options.setdefault("waves", labels(board, start_us))
    options.setdefault("read_us", round(board.SAMPLER["slot_ns"] / 1000))
    options.setdefault("entry_us", ENTRY_US)
    options.setdefault("soft", board.CHIP.startswith("esp32"))
    machine = Machine(**options)
    with installed(machine):
        of = Rig(kind, machine, importlib.import_module("threewire.chip.timer_sampler"))
        of.sampler.start()
        of.begun = machine.now
        yield of


def label(slot: int, tick: int) -> int:
    return slot * 1000 + tick % 1000


def labels(board: SimpleNamespace, start_us: int) -> dict[int, Wave]:
    def wave(slot: int) -> Wave:
        return lambda now: label(slot, (now - start_us) // board.SAMPLER["period_us"])

    return {pin: wave(k) for k, (_, pin) in enumerate(board.SLOTS)}


def jitter(period_us: int, seed: int) -> Callable[[int], int]:
    """Latencies below half a period."""
    rng = random.Random(seed)
    return lambda tick: rng.randrange((period_us + 1) // 2)


# ---- what a frame and a block are


@pytest.mark.parametrize("kind", KINDS)
def test_frames_hold_the_slots_in_order_and_blocks_come_once_each_in_order(kind: str) -> None:
    with rig(kind) as of:
        of.run(SECOND_US)
        stride, recorder = of.layout.stride, of.recorder
        for slot in range(stride):
            codes = recorder.slot(slot)
            assert codes == [label(slot, 1 + n) for n in range(len(codes))]
        # All but the block in hand and the one before it, whose length is not known yet.
        ticks = SECOND_US // of.period_us
        assert ticks - 2 * of.block <= recorder.frames < ticks
        # Exact clock: exact times.
        assert set(recorder.lengths) == {of.layout.frame_ticks}
        assert recorder.gaps == []
        # Every input is converted at its slot's own instant.
        for slot, (_, pin) in enumerate(of.board.SLOTS):
            after_us = of.machine.instants[pin][0] - of.begun - of.period_us
            assert after_us == slot * of.machine.read_us


def test_all_codes_come_through_as_converted() -> None:
    pins = [pin for _, pin in BOARDS["four"].SLOTS]
    rng = random.Random(7)
    converted: dict[int, list[int]] = {pin: [] for pin in pins}

    def noise(pin: int) -> Wave:
        def wave(now: int) -> int:
            code = rng.choice((0, 1, 15, 16, 2047, 2048, 4094, 4095, rng.randrange(4096)))
            converted[pin].append(code)
            return code

        return wave

    with rig(waves={pin: noise(pin) for pin in pins}) as of:
        of.run(SECOND_US // 4)
        assert of.recorder.frames > 900
        for slot, pin in enumerate(pins):
            assert of.recorder.slot(slot) == converted[pin][: of.recorder.frames]


def test_pump_says_how_many_frames_it_handed_over() -> None:
    with rig() as of:
        block_us = of.period_us * of.block
        assert of.sampler.pump(of.recorder) == 0
        # A block is handed over when its successor has begun.
        of.machine.wait(block_us)
        assert of.sampler.pump(of.recorder) == 0
        of.machine.wait(of.period_us)
        assert of.sampler.pump(of.recorder) == of.block
        assert of.sampler.pump(of.recorder) == 0
        of.machine.wait(3 * block_us)
        assert of.sampler.pump(of.recorder) == 3 * of.block
        assert len(of.recorder.blocks) == 4


def test_a_block_stays_as_it_is_while_it_is_metered() -> None:
    # Metering takes 6 of a block's 8 ms: interrupts come all the while.
    with rig() as of:
        of.recorder.feeding = lambda: of.machine.wait(6000)
        of.run(2 * SECOND_US, every_us=1000)
        assert of.recorder.gaps == []
        assert of.recorder.slot(0) == [label(0, 1 + n) for n in range(of.recorder.frames)]


def test_after_stop_nothing_is_converted() -> None:
    with rig() as of:
        of.run(SECOND_US // 10)
        of.sampler.stop()
        frames = len(of.instants())
        of.run(SECOND_US // 10)
        assert len(of.instants()) == frames > 350
        assert of.machine.timers == []


@pytest.mark.parametrize("kind", KINDS)
def test_block_counters_wrap(kind: str) -> None:
    with rig(kind) as of:
        module, words = of.module, of.sampler._words
        # As after 65533 blocks, 65534 of them, ... : the ring's place follows from the count.
        for word in (module._FILLED, module._TAKEN):
            words[word] = 0xFFFD
        words[module._AT] = 0xFFFD % module._BLOCKS * words[module._SIZE]
        of.sampler._forget(0)  # what is in front of the first block has been handed over
        of.run(12 * of.period_us * of.block)
        assert len(of.recorder.blocks) >= 10
        assert of.recorder.slot(0) == [label(0, 1 + n) for n in range(of.recorder.frames)]
        assert of.recorder.gaps == [] and set(of.recorder.lengths) == {of.layout.frame_ticks}
        assert words[module._FILLED] < 16


# ---- time


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("seed", range(2))
def test_times_add_up_under_jitter_and_over_the_wrap_of_ticks_us(kind: str, seed: int) -> None:
    period_us = PERIOD_US[kind]
    start_us = WRAP - 1000 * period_us - 10  # a tick is due before it wraps, and served after
    with rig(kind, start_us=start_us, latency=jitter(period_us, seed)) as of:
        while of.machine.now < start_us + 3 * SECOND_US:
            of.run(50_000)
            # At any time, not only in the end: nothing but a quarter of a frame is owed.
            if of.recorder.frames:
                assert abs(of.owed_us()) <= period_us / 4
        assert of.recorder.gaps == []
        assert of.owed_frames() == 0
        assert of.recorder.slot(0) == [label(0, 1 + n) for n in range(of.recorder.frames)]
        # What is settled with a block is jitter, less than a period of it.
        assert all(
            abs(length - of.layout.frame_ticks) < period_us for length in of.recorder.lengths
        )
        assert of.machine.now > WRAP + SECOND_US


@pytest.mark.parametrize("kind", KINDS)
def test_an_exact_clock_stays_exact_over_the_wrap_of_ticks_us(kind: str) -> None:
    with rig(kind, start_us=3 * WRAP - SECOND_US // 2) as of:
        of.run(SECOND_US)
        assert of.recorder.gaps == [] and set(of.recorder.lengths) == {of.layout.frame_ticks}
        assert of.owed_us() == 0


def test_a_constant_latency_is_no_jitter() -> None:
    with rig(latency=lambda tick: 90) as of:
        of.run(SECOND_US)
        assert of.recorder.gaps == [] and set(of.recorder.lengths) == {of.layout.frame_ticks}


@pytest.mark.parametrize("init_us", [60, 1000, 5000])
def test_the_time_that_starting_the_timer_takes_is_no_lateness(init_us: int) -> None:
    # The first tick comes a period after the timer was armed, which is at the end of a call with
    # five arguments: 62 us of byte-code (emulated RP2040), and milliseconds if memory has to be
    # collected.
    with rig(init_us=init_us) as of:
        of.run(SECOND_US)
        assert of.recorder.frames > 3800
        assert of.recorder.gaps == []
        assert of.owed_us() == 0


# ---- ticks that come late, or not at all


@pytest.mark.parametrize("kind", HARD)
def test_late_ticks_are_left_out_and_counted(kind: str) -> None:
    period_us = PERIOD_US[kind]
    rng = random.Random(3)
    late: set[int] = set()

    def latency(tick: int) -> int:
        if tick < 3:
            return 0  # late is what is late beside these
        if rng.random() < 0.01:
            late.add(tick)
            return period_us // 2 + 1 + rng.randrange(period_us // 8)
        return rng.randrange(period_us // 2)

    with rig(kind, latency=latency) as of:
        of.run(3 * SECOND_US)
        handed = of.recorder.slot(0)
        first_not = of.tick(of.instants()[of.recorder.frames])
        missing = {tick for tick in late if tick < first_not}
        assert len(missing) > 20
        expected = [label(0, n) for n in range(1, first_not) if n not in late]
        assert handed == expected
        assert of.recorder.gap_frames == len(missing)
        assert of.owed_frames() == 0
        assert abs(of.owed_us()) <= period_us / 4
        assert of.recorder.gaps == of.true_gaps()


# Frames (0, 1, ...) that are lost, of blocks of B: the first and last of a block, over the ends of
# blocks and of the ring, all but one of a block, whole blocks, every other.
PLACES: dict[str, Callable[[int, int], bool]] = {
    "one": lambda n, B: n in (B + 5, 4 * B + 9),
    "first": lambda n, B: n == 2 * B,
    "second": lambda n, B: n in (1, 2 * B + 1),
    "last": lambda n, B: n == 2 * B - 1,
    "over the end": lambda n, B: 3 * B - 3 <= n < 3 * B + 4,
    "over the ring's end": lambda n, B: 16 * B - 2 <= n < 16 * B + 3,
    "all but one": lambda n, B: 2 * B < n < 3 * B,
    "blocks": lambda n, B: 2 * B + 3 <= n < 5 * B + 1,
    "every other": lambda n, B: n > 20 and n % 2 == 0,
    "two of three": lambda n, B: n % 3 > 0,
}


@pytest.mark.parametrize("late", [False, True], ids=["lost", "late"])
@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("kind", HARD)
def test_gaps_are_told_of_where_they_are(kind: str, places: str, late: bool) -> None:
    period_us, block = PERIOD_US[kind], BOARDS[kind].SAMPLER["block_frames"]

    def latency(tick: int) -> int | None:
        if tick == 1 or not PLACES[places](tick - 1, block):
            return 0
        return period_us * 3 // 4 if late else None

    with rig(kind, latency=latency) as of:
        of.run(40 * block * period_us)
        recorder = of.recorder
        assert recorder.frames >= 10 * block
        gone = [n for n in range(36 * block) if PLACES[places](n, block)]
        # By where they were lost, and by when the ADC was asked.
        here = [n for n in range(36 * block) if n not in gone]
        assert recorder.slot(0)[:block] == [label(0, 1 + n) for n in here[:block]]
        gaps = [
            (k, b - a - 1, (b - a - 1) * of.layout.frame_ticks)
            for k, (a, b) in enumerate(pairwise(here), start=1)
            if b > a + 1
        ]
        assert gaps and recorder.gaps[: len(gaps)] == gaps[: len(recorder.gaps)]
        assert recorder.gaps == of.true_gaps()
        # Exact clock: exact times.
        assert set(recorder.lengths) == {of.layout.frame_ticks}
        assert of.owed_frames() == 0 and of.owed_us() == 0


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("part", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("kind", HARD)
def test_gaps_at_random(kind: str, part: float, seed: int) -> None:
    """Ticks lost, late by less than a period and by more, under jitter and over the wrap."""
    period_us, block = PERIOD_US[kind], BOARDS[kind].SAMPLER["block_frames"]
    rng = random.Random(seed)

    def latency(tick: int) -> int | None:
        if tick == 1:
            return 0
        if rng.random() > part:
            return rng.randrange(period_us // 2)
        return rng.choice((None, rng.randrange(period_us // 2 + 1, 3 * period_us)))

    with rig(kind, start_us=WRAP - 30 * block * period_us, latency=latency) as of:
        of.run(100 * block * period_us)
        recorder = of.recorder
        assert recorder.frames >= 10 * block
        assert recorder.gaps == of.true_gaps()
        assert len(recorder.gaps) > 50 * part
        assert abs(of.owed_us()) < period_us
        # What is told of a gap is told in frames like the one before it.
        lengths = [
            length
            for block, length in zip(recorder.blocks, recorder.lengths)
            for _ in range(len(block) // recorder.stride)
        ]
        assert {lengths[before - 1] for before, _, _ in recorder.gaps} == {of.layout.frame_ticks}
        assert all(abs(length / of.layout.frame_ticks - 1) <= 1 / 8 for length in lengths)


def test_a_pause_between_stop_and_start_is_a_gap() -> None:
    with rig() as of:
        of.run(SECOND_US // 10)
        of.sampler.stop()
        of.machine.wait(3_000_100)
        of.sampler.start()
        of.run(SECOND_US // 10)
        assert of.owed_us() == pytest.approx(0, abs=of.period_us / 4)
        assert [frames for _, frames, _ in of.recorder.gaps] == [pytest.approx(12_000, abs=1)]


def test_a_gap_that_is_longer_than_ticks_us_can_tell() -> None:
    with rig("soft") as of:
        of.run(SECOND_US)
        of.machine.wait(600 * SECOND_US)
        of.run(SECOND_US)
        assert of.recorder.gaps == of.true_gaps() and len(of.recorder.gaps) == 1
        assert of.recorder.gap_frames > 599_000
        assert of.owed_frames() == 0 and of.owed_us() == 0


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("beyond_us", [-1, 0, 1])
def test_half_a_period_late_is_either_a_frame_or_a_gap(kind: str, beyond_us: int) -> None:
    # The first tick of the fourth block, about as late as a tick may be.
    period_us, block = PERIOD_US[kind], BOARDS[kind].SAMPLER["block_frames"]
    half_us = period_us // 2 + beyond_us
    with rig(kind, latency=lambda tick: half_us if tick == 1 + 3 * block else 0) as of:
        of.run(8 * block * period_us)
        assert of.recorder.frames >= 5 * block
        assert of.owed_frames() == 0
        assert abs(of.owed_us()) <= period_us / 4


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("wild", [False, True], ids=["exact", "jitter"])
def test_lost_ticks_are_counted_and_sampling_goes_on(kind: str, wild: bool) -> None:
    period_us = PERIOD_US[kind]
    shake = jitter(period_us, 5) if wild else lambda tick: 0
    rng = random.Random(11)
    lost = {n for n in range(100, 100_000) if rng.random() < 0.002}

    with rig(kind, latency=lambda tick: None if tick in lost else shake(tick)) as of:
        of.run(2 * SECOND_US)
        ticks = 2 * SECOND_US // of.period_us
        missing = len([tick for tick in lost if tick < ticks])
        assert of.machine.lost >= missing > 2
        # Under jitter it may take a few ticks more until one is known to be on time.
        most = (3 if wild else 1) * missing + 1
        assert of.recorder.frames > ticks - most - 2 * of.block, "it stopped"
        assert abs(of.owed_frames()) <= 1
        assert missing - 1 <= of.recorder.gap_frames <= most
        assert abs(of.owed_us()) <= period_us / 4


def stalled_frames(stall_us: int, period_us: int) -> tuple[float, float]:
    """The least and the most frames that a stall may cost.  The most: every tick missed takes
    ENTRY_US after it, when more of them come; none of all these is on time."""
    return stall_us / period_us - 2, stall_us / (period_us - ENTRY_US) + 1


# Beginnings of stalls: right in front of a block, right behind one, in the middle.
@pytest.mark.parametrize("tick", [64 * 20, 64 * 20 + 1, 64 * 20 + 45])
@pytest.mark.parametrize("wild", [False, True], ids=["exact", "jitter"])
@pytest.mark.parametrize("kind", ["four", "fast", "three"])
def test_a_stall_is_a_gap_of_its_length(kind: str, wild: bool, tick: int) -> None:
    period_us = PERIOD_US[kind]
    start_us = WRAP - tick * period_us - 20_000  # it wraps in the stall
    begin = start_us + tick * period_us - period_us // 3
    stalls = [(begin, begin + 50_000), (begin + 700_000, begin + 703_000)]
    options: dict[str, Any] = {"latency": jitter(period_us, tick)} if wild else {}
    with rig(kind, start_us=start_us, stalls=stalls, **options) as of:
        of.run(2 * SECOND_US)
        assert abs(of.owed_frames()) <= 1
        assert abs(of.owed_us()) <= period_us / 4
        bounds = [stalled_frames(us, period_us) for us in (50_000, 3000)]
        least, most = (sum(ends) for ends in zip(*bounds))
        assert least <= of.recorder.gap_frames <= most
        assert len(of.recorder.gaps) <= 4
        # The codes are those of the ticks that were served in time.
        ticks = [of.tick(us) for us in of.instants()[: of.recorder.frames]]
        assert of.recorder.slot(0) == [label(0, n) for n in ticks]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [1, 20])
def test_a_full_ring_keeps_the_oldest_and_counts_the_rest(kind: str, seconds: int) -> None:
    with rig(kind, start_us=WRAP - 700_000) as of:
        of.run(SECOND_US // 2)
        before = of.recorder.frames
        of.machine.wait(seconds * SECOND_US)
        handed = of.sampler.pump(of.recorder)
        assert handed >= 6 * of.block
        of.run(SECOND_US // 2)
        assert abs(of.owed_frames()) <= 1
        assert of.owed_us() == 0
        assert len(of.recorder.gaps) == 1
        at, frames, ticks = of.recorder.gaps[0]
        # Up to the gap and behind it no frame is missing.
        assert at >= before + 7 * of.block
        numbers = list(range(1, at + 1))
        numbers += range(at + 1 + frames, at + 1 + frames + of.recorder.frames - at)
        assert of.recorder.slot(0) == [label(0, n) for n in numbers]
        assert ticks == frames * of.layout.frame_ticks
        ring = of.module._BLOCKS * of.block
        assert abs(frames - seconds * SECOND_US // of.period_us) <= ring


# ---- soft timers: late conversions are samples with a time of their own

SOFT_US = PERIOD_US["soft"]
AMPLITUDE = 1500


def sine(slot: int, us: float, harmonic: int = 1) -> float:
    """What the inputs of `soft` are: 60 Hz, in another phase each."""
    return 2048 + AMPLITUDE * math.sin(2 * math.pi * 60e-6 * harmonic * us + slot)


def sines(harmonic: int = 1) -> dict[int, Wave]:
    def wave(slot: int) -> Wave:
        return lambda now: sine(slot, now, harmonic)

    return {pin: wave(slot) for slot, (_, pin) in enumerate(BOARDS["soft"].SLOTS)}


def collections(every_us: int, until_us: int, seed: int) -> list[tuple[int, int]]:
    """2 ms each, at random."""
    rng = random.Random(seed)
    at = 5000 + rng.randrange(every_us)
    found = []
    while at < until_us:
        found.append((at, at + 2000))
        at += every_us // 2 + rng.randrange(every_us)
    return found


def off_counts(of: Rig, first_us: int | None = None) -> list[float]:
    """How much each code handed over is off what its input was when its frame should have been
    converted, of what comes behind gaps too."""
    recorder = of.recorder
    gaps = {before: frames for before, frames, _ in recorder.gaps}
    at_us = of.begun + of.period_us if first_us is None else first_us
    found = []
    codes = [recorder.slot(slot) for slot in range(recorder.stride)]
    for n, frame in enumerate(zip(*codes)):
        at_us += gaps.get(n, 0) * of.period_us
        for slot, code in enumerate(frame):
            found.append(abs(code - sine(slot, at_us + slot * of.machine.read_us)))
        at_us += of.period_us
    return found


def accounted_us(of: Rig) -> int:
    """Time handed over."""
    assert of.recorder.ticks % of.layout.frame_ticks == 0
    return of.recorder.ticks // of.layout.frame_ticks * of.period_us


@pytest.mark.parametrize("every_ms", [30, 500])
@pytest.mark.parametrize("seed", range(3))
def test_no_frame_is_lost_to_a_collection(every_ms: int, seed: int) -> None:
    begin = WRAP - SECOND_US
    stalls = [(begin + a, begin + b) for a, b in collections(1000 * every_ms, 3 * SECOND_US, seed)]
    with rig("soft", waves=sines(), start_us=begin, stalls=stalls) as of:
        of.run(3 * SECOND_US)
        assert of.recorder.gaps == []
        assert set(of.recorder.lengths) == {of.layout.frame_ticks}
        # The last two blocks may be still in hand.
        assert 3 * SECOND_US - accounted_us(of) <= (2 * of.block + 1) * of.period_us
        off = off_counts(of)
        # What is late by less than 1/32 of a period is taken for on time: 1.2 % of the wave.  One
        # that is put there by its neighbours is off by 0.5 % at most; for one in the time of
        # another's conversion it would be a third of it.
        assert max(off) < AMPLITUDE * 0.0125
        assert max(off) > 0.6, "there was nothing to put right"


@pytest.mark.parametrize("part", [0.1, 0.5, 1])
@pytest.mark.parametrize("seed", range(2))
def test_late_ticks_are_put_where_they_belong(part: float, seed: int) -> None:
    rng = random.Random(seed)

    def latency(tick: int) -> int:
        return rng.randrange(SOFT_US * 9 // 10) if tick > 1 and rng.random() < part else 0

    with rig("soft", waves=sines(), latency=latency) as of:
        of.run(3 * SECOND_US)
        assert of.recorder.gaps == []
        assert set(of.recorder.lengths) == {of.layout.frame_ticks}
        off = off_counts(of)
        assert max(off) < AMPLITUDE * 0.03
        # As they were converted these would be off by a tenth of it and more.
        assert sum(off) / len(off) < AMPLITUDE * 0.01


@pytest.mark.parametrize("first_us", [0, 61, 300, 500, 700, 1500])
def test_the_first_tick_may_be_late(first_us: int) -> None:
    with rig("soft", waves=sines(), latency=lambda tick: first_us if tick == 1 else 0) as of:
        of.run(2 * SECOND_US)
        assert of.recorder.gaps == []
        passed = of.recorder.ticks / of.layout.tick_hz * SECOND_US
        # From the first frame to the first of those that are not handed over.
        ends = of.begun + of.period_us + first_us + passed
        assert (ends - of.begun) % of.period_us == pytest.approx(
            0, abs=of.period_us / 4
        ) or -ends % of.period_us == pytest.approx(0, abs=of.period_us / 4)
        # After a while they are as they were converted: the timer says when.
        instants = of.instants()[: of.recorder.frames + 2]
        for slot in range(of.recorder.stride):
            after = slot * of.machine.read_us
            converted = [int(sine(slot, us + after) + 0.5) for us in instants]
            codes = of.recorder.slot(slot)[-500:]
            assert any(codes == converted[-500 - k : -k or None] for k in range(12))


# Ticks in a row that are lost, from one on that is somewhere in a block: its first and last frame
# among them, and the ring's.
@pytest.mark.parametrize("first", [2, 33, 40, 47, 256, 257])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 20])
@pytest.mark.parametrize("how", ["lost", "fail"])
def test_a_few_lost_ticks_are_filled_in_and_more_are_a_gap(
    how: str, count: int, first: int
) -> None:
    gone = range(first, first + count)
    options: dict[str, Any] = {"latency": lambda tick: None if tick in gone else 0}
    if how == "fail":
        # The third conversion: two of the frame are there.
        options = {
            "fails": lambda now: (now // SOFT_US) in gone and now % SOFT_US == 100,
        }
    with rig("soft", waves=sines(), **options) as of:
        of.run(SECOND_US)
        assert of.machine.raised == 0
        told = [] if count <= 3 else [(first - 1, count, count * of.layout.frame_ticks)]
        assert of.recorder.gaps == told
        assert set(of.recorder.lengths) == {of.layout.frame_ticks}
        assert SECOND_US - accounted_us(of) <= (2 * of.block + 1) * of.period_us
        off = off_counts(of)
        # With a single frame in front of it there is less to go by.
        assert max(off) < AMPLITUDE * (0.7 if first == 2 else 0.005)


@pytest.mark.parametrize("stall_ms", [9, 50, 300])
@pytest.mark.parametrize("phase_us", [1, 300, 620, 990])
def test_a_stall_that_overflows_the_queue_of_callbacks(stall_ms: int, phase_us: int) -> None:
    # esp32: 8 callbacks wait, the others are lost.
    begin = 700_000 + phase_us
    end = begin + 1000 * stall_ms
    with rig("soft", waves=sines(), stalls=[(begin, end)]) as of:
        of.run(3 * SECOND_US)
        assert of.machine.lost == stall_ms - 8
        (gap,) = of.recorder.gaps
        at, frames, ticks = gap
        assert ticks == frames * of.layout.frame_ticks
        # What comes first behind it is a sample of its own time: none is left out.
        assert abs(at - 700) <= 1 and stall_ms - 1 <= frames <= stall_ms
        assert 3 * SECOND_US - accounted_us(of) <= (2 * of.block + 1) * of.period_us
        off = off_counts(of)
        # Beside it there are neighbours on one side only.
        beside = slice((at - 3) * of.recorder.stride, (at + 3) * of.recorder.stride)
        assert max(off[beside]) < AMPLITUDE * 0.05
        off[beside] = []
        assert max(off) < AMPLITUDE * 0.005


# ---- energy, from the wave to the registers


class Metered:
    """Ten seconds of 120 V and, unless told else, 50 A on both elements, 12 kW in all."""

    WATTS = 12_000

    def __init__(self, kind: str, amps: float = 50, **options: Any) -> None:
        board = BOARDS[kind]
        with rig(kind, waves=mains(board, (amps, amps)), **options) as of:
            self.hertz: list[float] = []  # of each window that has it

            def on_window(window: Any) -> None:
                if window.hertz_mhz():
                    self.hertz.append(window.hertz_mhz() / 1000)

            self.meter = Meter(of.layout, nominal(of.layout), on_window=on_window)
            of.run(10 * SECOND_US, meter=self.meter)
            self.meter.finish()
            # Handed over are the blocks that another one's first frame follows.
            handed = (len(of.instants()) - 1) // of.block * of.block
            self.seconds = of.span_us(handed) / SECOND_US
            self.metered_s = self.meter.ticks / self.meter.tick_hz
        self.true_wh = self.WATTS * amps / 50 * self.seconds / 3600

    def error(self) -> float:
        """Of the total, and no element may be worse."""
        registers = self.meter.registers
        halves = [
            float(delivered.text()) / (self.true_wh / 2) - 1 for delivered, _ in registers.elements
        ]
        halves.append(float(registers.delivered.text()) / self.true_wh - 1)
        assert registers.received.text() == "0.000000000"
        return max(halves, key=abs)


@pytest.mark.parametrize("kind", KINDS)
def test_energy_of_a_sine(kind: str) -> None:
    metered = Metered(kind)
    assert 9.95 < metered.seconds < 10
    assert abs(metered.error()) < 0.002
    assert metered.meter.lost_frames == 0
    assert metered.meter.ticks == pytest.approx(
        metered.seconds * metered.meter.tick_hz,
        abs=metered.meter.tick_hz * PERIOD_US[kind] * 0.25e-6,
    )


@pytest.mark.parametrize("kind", ["four", "soft"])
def test_energy_under_jitter(kind: str) -> None:
    metered = Metered(kind, latency=jitter(PERIOD_US[kind], 1))
    assert abs(metered.error()) < 0.005
    assert metered.meter.lost_frames == 0


@pytest.mark.parametrize("wild", [False, True], ids=["exact", "jitter"])
@pytest.mark.parametrize("stall_ms", [50, 43])
@pytest.mark.parametrize("kind", ["four", "fast"])
def test_energy_over_a_stall(kind: str, stall_ms: int, wild: bool) -> None:
    # 50 ms are three cycles, so the wave goes on where it was; 43 ms are not.
    begin = 5_004_321
    options: dict[str, Any] = {"latency": jitter(PERIOD_US[kind], 2)} if wild else {}
    metered = Metered(kind, stalls=[(begin, begin + 1000 * stall_ms)], **options)
    assert abs(metered.error()) < 0.005
    lost = metered.meter.lost_frames
    least, most = stalled_frames(1000 * stall_ms, PERIOD_US[kind])
    assert 0.99 * least <= lost <= 1.01 * most
    estimated = metered.meter.estimated
    gap_wh = Metered.WATTS * lost * PERIOD_US[kind] * 1e-6 / 3600
    assert float(estimated.delivered.text()) == pytest.approx(gap_wh, rel=0.01)
    assert [float(delivered.text()) for delivered, _ in estimated.elements] == [
        pytest.approx(gap_wh / 2, rel=0.01)
    ] * 2
    assert estimated.received.text() == "0.000000000"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("part", [0.1, 0.2, 0.4])
def test_energy_and_frequency_where_ticks_are_lost_at_random(part: float, seed: int) -> None:
    rng = random.Random(seed)

    def latency(tick: int) -> int | None:
        if tick == 1 or rng.random() > part:
            return 0
        return rng.choice((None, rng.randrange(501, 999)))

    metered = Metered("slow", latency=latency)
    assert metered.meter.lost_frames == pytest.approx(1000 * part * metered.seconds, rel=0.1)
    assert abs(metered.error()) < 0.01
    # A window may have none, but no wrong one.
    assert metered.hertz or part > 0.2
    assert metered.hertz == pytest.approx([60.0] * len(metered.hertz), abs=0.1)


@pytest.mark.parametrize("amps", [50, 5])
@pytest.mark.parametrize("every_ms", [50, 500])
@pytest.mark.parametrize("kind", ["soft", "quick"])
def test_energy_where_garbage_is_collected(kind: str, every_ms: int, amps: float) -> None:
    stalls = collections(1000 * every_ms, 10 * SECOND_US, every_ms)
    metered = Metered(kind, amps=amps, stalls=stalls)
    metered.true_wh *= metered.metered_s / metered.seconds  # no frame is one conversion here
    assert abs(metered.error()) < (0.001 if amps == 50 else 0.005)
    assert metered.meter.lost_frames == 0
    assert len(metered.hertz) > 40
    assert metered.hertz == pytest.approx([60.0] * len(metered.hertz), abs=0.03)
