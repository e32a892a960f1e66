"""A hundred years at full load, and every clock that wraps meanwhile.

Energies are checked against integers added up outside the firmware; what takes a clock is driven
across its wrap and must do what it does far away from one.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.machine import WRAP, Machine, installed, mains, timer_board
from host_tests.rigs.meter_runs import (
    LOOPS,
    NANO_WH,
    Run,
    Sink,
    board,
    convert,
    default_board,
    flat,
)
from host_tests.rigs.telemetry_lines import telemetry_line
from threewire.metering.accumulator import Accumulator
from threewire.metering.calibration import nominal
from threewire.metering.demand import Demand
from threewire.metering.registers import Register, Registers
from threewire.operation.console import Console
from threewire.operation.faults import ClockCheck, Faults
from threewire.storage import record
from threewire.storage.keeper import Keeper
from threewire.storage.ledger import Ledger
from tools.common import boards
from tools.front_end.waves import sine

YEARS = 100
DAYS = YEARS * 36525 // 100
CYCLES_A_DAY = 86400 * 60
FULL_WH = 48000 * 24 * DAYS


def full_load(seconds: float) -> Any:
    """48 kW as codes, which do not repeat from cycle to cycle."""
    waves = {"v1": sine(120), "i1": sine(200), "v2": sine(-120), "i2": sine(-200)}
    return convert(waves, seconds, noise=1.2)


@pytest.fixture(scope="module")
def cycles() -> list[tuple[int, int, int]]:
    """(raw 1, raw 2, ticks) of real cycles."""
    layout = board()
    sink = Sink()
    accumulator = Accumulator(layout, nominal(layout), sink, LOOPS)
    sink.half = lambda *given: None  # type: ignore[attr-defined]
    codes = full_load(1)
    accumulator.feed(flat(codes), len(codes), layout.frame_ticks)
    found = sink.cycles[1:]  # the first is what came before the first crossing
    assert len(found) >= 57
    return found


def unit_of(layout: Any) -> int:
    return NANO_WH * layout.tick_hz << 32


# A hundred years


def test_a_hundred_years_of_real_cycles_are_exact(cycles: list[tuple[int, int, int]]) -> None:
    unit = unit_of(board())
    registers = Registers(unit)
    totals = [0, 0]
    day = [sum(cycle[k] for cycle in cycles) * (CYCLES_A_DAY // len(cycles)) for k in (0, 1)]
    for number in range(DAYS):
        # Each day a real cycle too, another one each time, so that no residue comes twice.
        one, two, _ = cycles[number % len(cycles)]
        registers.add(*day)
        registers.add(one, two)
        totals = [totals[0] + day[0] + one, totals[1] + day[1] + two]
    expected = [
        (registers.delivered, sum(totals)),
        (registers.elements[0][0], totals[0]),
        (registers.elements[1][0], totals[1]),
    ]
    for register, raw in expected:
        assert (register.wh, register.residue) == divmod(raw, unit)
        assert register.text() == nine_places(Fraction(raw, unit))
    # 48 kW but for the converter's noise and a day that is no whole number of what there is.
    assert registers.delivered.wh == pytest.approx(FULL_WH, rel=1e-3)
    assert registers.received.wh == registers.received.residue == 0


def nine_places(wh: Fraction) -> str:
    """By decimal arithmetic, rounded down."""
    with localcontext() as context:
        context.prec = 60
        context.rounding = "ROUND_DOWN"
        exact = Decimal(wh.numerator) / Decimal(wh.denominator)
        return str(exact.quantize(Decimal("1e-9")))


def aged(run: Run, wh: int, ticks: int = 0) -> Run:
    """The run's meter as after years: registers of `wh` watt-hours."""
    meter = run.meter
    registers = meter.registers
    for register in (registers.delivered, *registers.elements[0], *registers.elements[1]):
        register.wh = wh
    meter._ticks = ticks
    if ticks:
        meter.demand = Demand(meter.tick_hz)
        meter.demand._end += ticks
    meter.show_registers()
    run.edges.clear()
    return run


def test_an_old_meter_meters_like_a_new_one() -> None:
    """The same codes: the same energies to the last bit, the same edges at the same time."""
    codes = full_load(3)
    years = YEARS * 31557600 * board().tick_hz
    new = Run().feed(codes).finish()
    # As many whole turns of both LEDs: they show what they show at zero.
    old = aged(Run(), FULL_WH // 1000 * 1000, years).feed(codes).finish()
    for name, (wh, residue) in new.registers.items():
        was = 0 if name == "received" else FULL_WH // 1000 * 1000
        assert old.registers[name] == (was + wh, residue)
    assert len(new.edges) >= 7
    assert old.edges == [(name, lit, years + ticks) for name, lit, ticks in new.edges]
    assert new.wh("delivered") == pytest.approx(48000 * 3 / 3600, rel=1e-3)


def test_what_an_old_meter_says_has_all_its_digits() -> None:
    years = YEARS * 31557600
    codes = full_load(1.5)
    old = aged(Run(), FULL_WH, years * board().tick_hz).feed(codes)
    text = telemetry_line(old.meter)
    assert f'{{"t":{years + 1}.' in text
    wh = Fraction(old.meter.registers.delivered.residue, unit_of(board()))
    gained = old.meter.registers.delivered.wh - FULL_WH
    assert f'"delivered_wh":"{nine_places(FULL_WH + gained + wh)}"' in text
    assert 15 <= gained <= 20


def test_the_record_of_an_old_meter_fits_and_comes_back() -> None:
    """All twenty registers and all counts at what they can be after a hundred years."""
    layout = default_board()
    unit = unit_of(layout)
    run = Run(layout)
    meter, faults = run.meter, Faults()
    registers = [meter.registers.delivered, meter.registers.received]
    registers += [*meter.registers.elements[0], *meter.registers.elements[1]]
    registers += [meter.estimated.delivered, meter.estimated.received]
    for k, register in enumerate(registers):
        register.wh, register.residue = FULL_WH - k, unit - 1 - k
    for of in meter.reactive.quadrants:
        for register in of:
            register.wh = FULL_WH
    meter.lost_frames = DAYS * 86400 * 10000
    meter.demand.peak_uw = -48 * 10**9
    faults.from_list([0x7FFFFFFF] * 40)

    class Store:
        values: list[int] | None = None

        def save(self, values: list[int]) -> bool:
            # Saved every 10 s of them all, the sequence number does not come to its end.
            self.data = record.pack(record.REGISTERS, DAYS * 8640, values)
            return True

        def load(self) -> tuple[Any, int, list[str]]:
            _, sequence, values = record.unpack(self.data)
            return values, sequence, []

    store = Store()
    ledger = Ledger(open, layout.tick_hz, 12_000)
    assert Keeper(meter, faults, ledger, store).save()
    again = Run(layout)
    counts = Faults()
    assert Keeper(again.meter, counts, ledger, store).restore() == []
    assert again.registers == run.registers
    assert again.meter.lost_frames == meter.lost_frames
    assert again.meter.demand.peak_uw == meter.demand.peak_uw
    assert counts.counts == faults.counts


def test_adding_takes_no_longer_after_a_hundred_years(cycles: list[tuple[int, int, int]]) -> None:
    unit = unit_of(board())

    def seconds(wh: int) -> float:
        best = 1e9
        for _ in range(20):
            register = Register(unit)
            register.wh, register.residue = wh, unit // 3
            began = time.perf_counter()
            for one, two, _ in cycles * 5:
                register.add(one + two)
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(FULL_WH) < 2 * seconds(0)


# The same on words of 32 bits, with their small integers of 31 bits.
_ENGINE = """
import sys
sys.path.insert(0, sys.argv[1] + "/firmware")
from threewire.metering.registers import Registers
unit, one, two, days = [int(text) for text in sys.argv[2:]]
registers = Registers(unit)
for _ in range(days):
    registers.add(one, two)
for register in (registers.delivered, registers.elements[0][0], registers.elements[1][1]):
    print(register.wh, register.residue, register.text())
"""


@pytest.mark.parametrize("engine", ["micropython", "i386"])
def test_a_hundred_years_on_other_engines(
    engine: str, cycles: list[tuple[int, int, int]], tmp_path: Any
) -> None:
    command = need_engine(engine)
    unit = unit_of(board())
    one = sum(cycle[0] for cycle in cycles) * (CYCLES_A_DAY // len(cycles)) + 12345
    two = -(one // 7)
    (tmp_path / "years.py").write_text(_ENGINE)
    given = [str(number) for number in (unit, one, two, DAYS)]
    done = subprocess.run(
        [*command, str(tmp_path / "years.py"), str(boards.ROOT), *given],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = []
    for raw in ((one + two) * DAYS, one * DAYS, -two * DAYS):
        wh, residue = divmod(raw, unit)
        expected.append(f"{wh} {residue} {nine_places(Fraction(raw, unit))}")
    assert done.stdout.splitlines() == expected


# Clocks that wrap

# Microseconds on the clock when a run begins: far from a wrap, and soon before it; the wrap then
# falls before, into and after what happens, or on it exactly.
FAR_US = 1_000_000
BEFORE_US = [1, 50_000, 299_998, 300_000, 300_001, 550_000, 700_003, 1_000_000]


class Recorder:
    """Takes what a meter would."""

    def __init__(self, stride: int) -> None:
        self._stride = stride
        self.took: list[Any] = []

    def feed(self, codes: Sequence[int], frames: int, frame_ticks: int, first: int = 0) -> None:
        part = list(codes)[first * self._stride : (first + frames) * self._stride]
        self.took.append((frame_ticks, part))

    def gap(self, frames: int, ticks: int) -> None:
        self.took.append(("gap", frames, ticks))

    @property
    def gaps(self) -> list[Any]:
        return [entry for entry in self.took if entry[0] == "gap"]


def by_timer(start_us: int) -> Recorder:
    """A second by the timer sampler, with jitter and a stall in which frames are lost."""
    file = timer_board("feather_rp2040")
    # Waves of the time since the start, so that codes tell only when frames were taken.
    waves = {
        pin: (lambda now, wave=wave: wave(now - start_us))
        for pin, wave in mains(file, (200, 200)).items()
    }
    machine = Machine(
        waves,
        start_us,
        latency=lambda tick: tick * 7 % 60,
        stalls=[(start_us + 300_000, start_us + 420_000)],
    )
    recorder = Recorder(4)
    with installed(machine, file):
        from threewire.chip.timer_sampler import TimerSampler
        from threewire.metering.layout import Layout

        sampler = TimerSampler(file, Layout(file))
        sampler.start()
        for _ in range(200):
            machine.wait(5000)
            sampler.pump(recorder)
        sampler.stop()
    return recorder


def test_the_timer_sampler_does_not_notice_a_wrap() -> None:
    far = by_timer(FAR_US)
    assert len(far.gaps) == 1 and len(far.took) > 100
    for before_us in BEFORE_US:
        assert by_timer(WRAP - before_us).took == far.took, before_us
        assert by_timer(2 * WRAP - before_us).took == far.took, before_us


class Chip:
    """The ADC's registers and a DMA that fills a ring at the clock's pace."""

    BASE = 0x4004C000
    START = 0x20000000
    DMA = 0x50000000
    _CS, _FCS = BASE, BASE + 8
    _READY, _EMPTY, _OVER = 1 << 8, 1 << 8, 1 << 11

    def __init__(self, machine: Machine, clocks: int) -> None:
        self._machine = machine
        self._clocks = clocks
        self.over = False
        self.begun_us: int | None = None
        self.channels: list[Any] = []

    def __getitem__(self, address: int) -> int:
        if address == self._CS:
            return self._READY
        if address == self.DMA + 4:
            return self.channels[0].write
        return self._EMPTY | (self._OVER if self.over else 0)

    def __setitem__(self, address: int, value: int) -> None:
        if address == self._FCS and value & self._OVER:
            self.over = False

    def dma(self) -> Any:
        chip = self

        class Dma:
            channel = 0
            registers = memoryview(bytes(16))

            def __init__(self) -> None:
                chip.channels.append(self)

            def pack_ctrl(self, **given: Any) -> int:
                return 0

            def active(self, value: int | None = None) -> int:
                return 0

            def config(
                self, write: Any = None, count: int = 0, trigger: bool = False, **given: Any
            ) -> None:
                if trigger:
                    self._ring, self._count, self._done = write, count, 0
                    chip.begun_us = chip._machine.now

            @property
            def write(self) -> int:
                assert chip.begun_us is not None
                passed = chip._machine.now - chip.begun_us
                done = passed * 48 // chip._clocks
                for k in range(max(self._done, done - self._count), done):
                    self._ring[k % self._count] = k * 5 % 4096
                self._done = done
                return chip.START + 2 * (done % self._count)

        return Dma


@contextmanager
def dma_sampler(start_us: int) -> Iterator[tuple[Any, Machine, Chip]]:
    """The real DMA sampler on a made-up chip."""
    file = boards.module("feather_rp2040")
    machine = Machine(start_us=start_us)
    chip = Chip(machine, file.SAMPLER["clocks"])
    rp2 = ModuleType("rp2")
    rp2.DMA = chip.dma()  # type: ignore[attr-defined]
    uctypes = ModuleType("uctypes")
    # Registers, or the ring.
    uctypes.addressof = lambda of: (  # type: ignore[attr-defined]
        Chip.DMA if isinstance(of, memoryview) else Chip.START
    )
    name = "threewire.chip.dma_sampler"
    with installed(machine, file), pytest.MonkeyPatch.context() as patch:
        sys.modules["machine"].mem32 = chip  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "rp2", rp2)
        patch.setitem(sys.modules, "uctypes", uctypes)
        sys.modules.pop(name, None)
        try:
            import threewire.chip.dma_sampler as module
            from threewire.chip.chips import CHIPS

            module.ptr32 = (  # type: ignore[attr-defined]
                lambda of: [chip[of]] if isinstance(of, int) else of
            )
            yield module.DmaSampler(file, default_board(), CHIPS[file.CHIP]), machine, chip
        finally:
            sys.modules.pop(name, None)
            vars(sys.modules["threewire"]).pop("dma_sampler", None)


# Between looks at the ring of 545 ms: its end is passed, it is overrun by some of its length and
# by more than twice as much.
_PAUSES_US = [5000] * 30 + [440_000, 5000, 726_000, 5000, 5000, 1_336_300] + [5000] * 30


def by_dma(start_us: int, pauses_us: Sequence[int] = _PAUSES_US) -> Recorder:
    recorder = Recorder(4)
    with dma_sampler(start_us) as (sampler, machine, chip):
        sampler.start()
        for k, pause_us in enumerate(pauses_us):
            machine.wait(pause_us)
            # Once the FIFO drops conversions.
            chip.over = k == 50
            sampler.pump(recorder)
        sampler.stop()
    return recorder


def test_the_dma_sampler_does_not_notice_a_wrap() -> None:
    far = by_dma(FAR_US)
    # Frames are 100 us: those of the two overruns, and of the time until the FIFO was seen.
    assert [frames for _, frames, _ in far.gaps] == [7260, 13363, 50]
    codes = [code for kind, part, *_ in far.took if kind != "gap" for code in part]
    steps = {(after - before) % 4096 for before, after in pairwise(codes)}
    assert 5 in steps and len(steps) <= 4
    for before_us in [*BEFORE_US, *range(5000, 1_600_000, 100_000)]:
        assert by_dma(WRAP - before_us).took == far.took, before_us


@pytest.mark.parametrize("minutes", [18, 60, 24 * 60])
def test_the_dma_sampler_over_many_wraps(minutes: int) -> None:
    """No frame is lost or invented while ticks_us wraps every 18 minutes: as many as the exact
    rate gives, 10 kHz."""
    with dma_sampler(WRAP - 3) as (sampler, machine, _):
        frames = 0

        class Counter:
            def feed(self, codes: Any, n: int, frame_ticks: int, first: int = 0) -> None:
                nonlocal frames
                frames += n

        sampler.start()
        began = machine.now
        # A DMA that only counts: a day's codes are too many to be written.
        type(sampler._data).write = property(
            lambda self: Chip.START + 2 * ((machine.now - began) // 25 % self._count)
        )
        looks = minutes * 60 * 5
        counter = Counter()
        for _ in range(looks):
            machine.now += 200_000
            sampler.pump(counter)
        assert frames == looks * 2000
        assert machine.now - began == minutes * 60_000_000


def typed(start_ms: int, script: Sequence[tuple[int, bytes]]) -> list[Any]:
    """What a console makes of bytes (b"": a look that finds none) after so many ms each."""
    answered: list[str] = []
    console = Console(
        lambda text: iter((f'{{"reply":"{text}"', "\n")), answered.append, lambda problem: None
    )
    now = start_ms
    seen: list[Any] = []
    for pause_ms, data in script:
        now = (now + pause_ms) % WRAP
        seen.append((console.take(data, now), console.at_most, console.stop))
        while console.step():
            pass
    return [*seen, answered]


# What is typed, and whether it ends in the prompt: 100 ms of silence before the Ctrl-C do.
SCRIPTS: list[tuple[list[tuple[int, bytes]], bool]] = [
    ([(0, b"version\n"), (5, b""), (60, b""), (60, b""), (5, b"\x03")], True),
    ([(0, b"version\n"), (5, b""), (50, b""), (49, b""), (5, b"\x03")], False),
    ([(0, b"version\n"), (5, b""), (50, b""), (50, b""), (5, b"\x03")], True),
    ([(0, b"ab"), (40, b""), (40, b"c\n"), (90, b""), (99, b""), (1, b"\x03")], False),
    ([(0, b"x\n"), (1, b""), (100, b""), (3, b"\r"), (2, b"\x03")], True),
    ([(0, b"x\n"), (200, b"\x03")], False),
]


@pytest.mark.parametrize(("script", "stops"), SCRIPTS)
def test_the_consoles_silence_does_not_notice_a_wrap(
    script: list[tuple[int, bytes]], stops: bool
) -> None:
    far = typed(1000, script)
    assert far[-2][2] == stops
    for before_ms in [*range(300), 1000]:
        assert typed(WRAP - before_ms, script) == far, before_ms


def ticks_diff(end: int, start: int) -> int:
    """As MicroPython documents it."""
    return (end - start + WRAP // 2) % WRAP - WRAP // 2


def watched(start_ms: int, metered: Callable[[int], float]) -> list[int]:
    """The steps counted after each look, three a second for a minute; metered(ms) is the metered
    time in ms."""
    faults = Faults()
    watch = ClockCheck(faults, 48_000_000, ticks_diff)
    counts = []
    for ms in range(0, 60_000, 333):
        watch.compare(round(metered(ms) * 48_000), (start_ms + ms) % WRAP)
        counts.append(faults.counts[5])
    return counts


@pytest.mark.parametrize(
    ("metered", "steps"),
    [
        (lambda ms: ms, 0),
        (lambda ms: ms * 1.0002, 0),
        (lambda ms: max(0, ms - 300), 0),
        (lambda ms: ms - 700 * (ms > 30_000), 1),
        (lambda ms: ms + 700 * (ms > 30_000), 1),
        (lambda ms: ms - 700 * (ms > 20_000) - 700 * (ms > 45_000), 2),
        (lambda ms: min(ms, 30_000), 1),
    ],
)
def test_the_clock_watch_does_not_notice_a_wrap(
    metered: Callable[[int], float], steps: int
) -> None:
    far = watched(1000, metered)
    assert far[-1] == steps
    for before_ms in [0, 1, 15_000, 29_999, 30_001, 30_500, 33_333, 45_001, 59_999]:
        assert watched(WRAP - before_ms, metered) == far, before_ms
