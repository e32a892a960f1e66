"""Faults: counts that outlive restarts, what windows show of inputs with known defects, and clocks
that part from each other."""

import math
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import SLOTS, Codes, blocks, board, convert, flat, split_phase
from threewire.metering import wide
from threewire.metering.calibration import Calibration, nominal
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
from threewire.metering.window import _AMPS2, _VOLTS2, Scales, Window
from threewire.operation.faults import NAMES, ClockCheck, FaultFinder, Faults
from tools.common import boards
from tools.front_end.waves import sine

MOST = 2**31 - 1


# Counts


def test_the_order_of_stored_counts() -> None:
    """A change here makes stored counts mean something else: names may only be appended."""
    assert NAMES[:11] == (
        "overrun",
        "stuck",
        "railed",
        "no_voltage",
        "bad_frequency",
        "clock_step",
        "bad_record",
        "save_failed",
        "watchdog",
        "exception",
        "task",
    )


def test_counts_and_whether_they_changed() -> None:
    faults = Faults()
    assert faults.counts == [0] * len(NAMES) and not faults.changed
    faults.count("overrun", 0)
    assert not faults.changed
    faults.count("task")
    faults.count("overrun", 7)
    faults.count("task", 2)
    assert faults.changed
    assert dict(zip(NAMES, faults.counts)) == dict.fromkeys(NAMES, 0) | {"overrun": 7, "task": 3}
    faults.changed = False
    faults.clear()
    assert faults.counts == [0] * len(NAMES) and faults.changed


def test_an_unknown_fault_is_an_error() -> None:
    with pytest.raises(ValueError):
        Faults().count("overuns")


def test_a_count_ends_and_does_not_wrap() -> None:
    faults = Faults()
    faults.count("stuck", MOST - 1)
    for _ in range(3):
        faults.count("stuck")
        assert faults.counts[1] == MOST
    faults.count("railed", 10**30)
    faults.from_list([0, 5, 5])
    assert faults.counts[:3] == [0, MOST, MOST]


def test_stored_counts_come_on_top_of_those_since_the_start() -> None:
    """So that a bad record found before they are there is not forgotten."""
    faults = Faults()
    faults.count("bad_record")
    faults.from_list(list(range(1, len(NAMES) + 1)))
    expected = list(range(1, len(NAMES) + 1))
    expected[NAMES.index("bad_record")] += 1
    assert faults.to_list() == expected


def test_what_is_stored_is_a_copy() -> None:
    faults = Faults()
    stored = faults.to_list()
    faults.count("stuck")
    assert stored == [0] * len(NAMES)


@given(st.lists(st.integers(0, MOST), max_size=20))
def test_lists_of_other_firmware(values: list[int]) -> None:
    faults = Faults()
    faults.from_list(values)
    assert faults.to_list() == (values + [0] * len(NAMES))[: len(NAMES)]
    assert not faults.changed


@given(
    st.lists(
        st.one_of(
            st.integers(),
            st.integers(MOST - 2, 2**200),
            st.none(),
            st.booleans(),
            st.floats(),
            st.text(max_size=3),
            st.binary(max_size=3),
            st.lists(st.integers(), max_size=2),
        ),
        max_size=20,
    )
)
def test_any_list_gives_counts(values: list[Any]) -> None:
    faults = Faults()
    faults.from_list(values)
    assert len(faults.counts) == len(NAMES)
    for value, count in zip(values, faults.counts):
        if type(value) is int:
            assert count == min(max(value, 0), MOST)
        else:
            assert count in (0, 1)
    again = Faults()
    again.from_list(faults.to_list())
    assert again.counts == faults.counts


# Windows


class Watched:
    """A meter whose windows are watched, and what was active after each: (seconds, texts)."""

    def __init__(self, layout: Layout | None = None, calibration: Calibration | None = None):
        self.layout = layout or board()
        self.faults = Faults()
        self.watch = FaultFinder(self.faults, self.layout)
        self.history: list[tuple[float, list[str]]] = []
        self.meter = Meter(
            self.layout, calibration or nominal(self.layout), on_window=self._on_window
        )

    def _on_window(self, window: Any) -> None:
        self.watch.window(window)
        seconds = self.meter.ticks / self.layout.tick_hz
        self.history.append((seconds, list(self.watch.active)))

    def feed(self, codes: Codes, cuts: Iterable[int] | None = None) -> "Watched":
        for block in blocks(codes, cuts):
            self.meter.feed(flat(block), len(block), self.layout.frame_ticks)
        return self

    @property
    def counts(self) -> dict[str, int]:
        return {name: n for name, n in zip(NAMES, self.faults.counts) if n}

    @property
    def seen(self) -> set[str]:
        return {text for _, active in self.history for text in active}

    def since(self, text: str) -> float:
        return next(seconds for seconds, active in self.history if text in active)


def house(
    seconds: float,
    layout: Layout | None = None,
    hertz: float = 60,
    noise: float = 1.0,
    **options: Any,
) -> Codes:
    return convert(split_phase((30, 12), 20, hertz), seconds, layout, noise=noise, **options)


def slot(layout: Layout, name: str) -> int:
    return layout.slots.index(name)


def slow_board(slots: Sequence[str] = SLOTS, **options: Any) -> Layout:
    """Of 2 kHz: what is looked at here takes many seconds."""
    return board(slots, period_us=500, block_frames=8, **options)


LAYOUTS = {
    "currents last": slow_board(("v1", "i1", "v2", "i2")),
    "currents first": slow_board(("i1", "v1", "i2", "v2")),
    "voltage 2 derived": slow_board(("i1", "v1", "i2"), derived={"v2": ("v1", -1)}),
    "esp32_devkitc": boards.load("esp32_devkitc"),
}
# Each input of each of them.
INPUTS = [(layout, name) for layout in LAYOUTS.values() for name in layout.slots]
each_input = pytest.mark.parametrize(
    ("layout", "name"),
    INPUTS,
    ids=[f"{name} of {key}" for key in LAYOUTS for name in LAYOUTS[key].slots],
)
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def hertz_of(layout: Layout) -> int:
    """Frames in a second."""
    return round(layout.tick_hz / layout.frame_ticks)


def test_the_layouts_delay_either_input() -> None:
    delayed = set()
    for layout in LAYOUTS.values():
        meter = Meter(layout, nominal(layout))
        delayed |= {element.x_is_i for element in meter._accumulator.elements}
    assert delayed == {True, False}


@pytest.mark.parametrize("amps", [(0, 0), (0.1, 150), (-40, 3)])
@pytest.mark.parametrize("layout", [*LAYOUTS.values(), *map(boards.load, boards.names())])
def test_nothing_is_wrong_with_a_right_meter(layout: Layout, amps: tuple[float, float]) -> None:
    codes = convert(split_phase(amps), 3, layout)
    run = Watched(layout).feed(codes)
    assert run.counts == {} and run.seen == set() and len(run.history) >= 10
    noisy = convert(split_phase(amps, 60), 3, layout, noise=2, offset=-300)
    assert Watched(layout).feed(noisy).counts == {}


@settings(deadline=None, max_examples=25)
@given(
    st.floats(0, 1 / 60),
    st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 3000)), max_size=12),
)
def test_no_start_and_no_gap_is_taken_for_a_fault(
    start_s: float, pieces: list[tuple[int, int]]
) -> None:
    """Whatever is left of a cycle, and windows cut short by gaps, down to a single frame."""
    layout = slow_board()
    run = Watched(layout)
    at = 0
    codes = house(40, layout, noise=0, start_s=start_s)
    for metered, lost in pieces:
        run.feed(codes[at : at + metered])
        at += metered + lost
        run.meter.gap(lost, lost * layout.frame_ticks)
    run.feed(codes[at : at + 2000])
    assert run.counts == {} and run.seen == set()


@each_layout
@pytest.mark.parametrize("part", [0.48, 0.52])
@pytest.mark.parametrize("gain", [110_000_000, -150_000_000])
def test_half_of_nominal_is_the_limit(layout: Layout, gain: int, part: float) -> None:
    waves = split_phase((30, 12))
    waves |= {"v1": sine(120 * part), "v2": sine(-120 * part)}
    codes = convert(waves, 3, layout, noise=1, gains=(abs(gain), 150_000_000))
    run = Watched(layout, Calibration((gain, gain), (150_000_000,) * 2)).feed(codes)
    derived = "v2" not in layout.slots
    expected = {f"no_voltage {k}" for k in (1, 2)[: 1 if derived else 2]} if part < 0.5 else set()
    assert run.seen == expected and set(run.watch.active) == expected
    assert run.counts == ({"no_voltage": len(expected)} if expected else {})


@pytest.mark.parametrize("which", [1, 2])
def test_one_count_for_each_collapse_of_an_element(which: int) -> None:
    codes = house(10)
    for start, end in ((2, 4), (4.6, 5), (7, 10)):
        gone = codes[round(8000 * start) : 8000 * end]
        gone[:, slot(board(), f"v{which}")] = 2048 + np.arange(len(gone)) % 3
    run = Watched().feed(codes)
    assert run.counts == {"no_voltage": 3} and run.seen == {f"no_voltage {which}"}
    assert run.watch.active == [f"no_voltage {which}"]
    for seconds, active in run.history:
        if any(start + 0.45 < seconds < end for start, end in ((2, 4), (7, 10))):
            assert active
        if seconds < 2 or 5.5 < seconds < 7:
            assert not active


@each_layout
def test_mains_that_fail_and_come_back(layout: Layout) -> None:
    """Both voltages, so that there are no cycles to average over meanwhile."""
    there = split_phase((30, 12))
    gone = {name: wave for name, wave in there.items() if name[0] == "i"}
    parts = [
        convert(waves, 2.0, layout, noise=1, seed=k, start_s=2.0 * k)
        for k, waves in enumerate((there, gone, there, {}))
    ]
    run = Watched(layout).feed(np.concatenate(parts))
    lines = 1 if "v2" not in layout.slots else 2
    assert run.counts == {"no_voltage": 2 * lines}
    assert run.watch.active == ["no_voltage 1", "no_voltage 2"][:lines]


@pytest.mark.parametrize("code", [2048, 2700])
@each_input
def test_a_stuck_input_is_named(layout: Layout, name: str, code: int) -> None:
    codes = house(20, layout)
    second = hertz_of(layout)
    codes[3 * second : 14 * second, slot(layout, name)] = code
    run = Watched(layout).feed(codes)
    assert 3 < run.since(f"stuck {name}") < 3.5
    assert run.counts["stuck"] == 1
    # A voltage that is stuck is missing too.
    missing = {f"no_voltage {name[1]}"} if name[0] == "v" else set()
    assert run.seen == {f"stuck {name}"} | missing
    assert run.watch.active == []


@each_input
def test_an_input_that_is_stuck_from_the_start(layout: Layout, name: str) -> None:
    codes = house(8, layout)
    codes[:, slot(layout, name)] = 2100
    run = Watched(layout).feed(codes)
    assert f"stuck {name}" in run.watch.active and run.counts["stuck"] == 1


@each_layout
def test_a_converter_that_is_stuck_altogether(layout: Layout) -> None:
    codes = np.full((12_000, layout.stride), 1999, np.uint16)
    run = Watched(layout).feed(codes)
    voltages = [name for name in layout.slots if name[0] == "v"]
    assert run.counts == {"stuck": layout.stride, "no_voltage": len(voltages)}
    assert set(run.watch.active) == {f"stuck {name}" for name in layout.slots} | {
        f"no_voltage {name[1]}" for name in voltages
    }


@pytest.mark.parametrize("code", [0, 4095])
@each_input
def test_an_input_at_an_end_of_the_scale_is_railed_and_not_stuck(
    layout: Layout, name: str, code: int
) -> None:
    codes = house(16, layout)
    second = hertz_of(layout)
    codes[2 * second : 13 * second, slot(layout, name)] = code
    run = Watched(layout).feed(codes)
    assert 2 < run.since(f"railed {name}") < 4
    assert run.counts["railed"] == 1
    assert run.seen - {f"no_voltage {name[1]}"} == {f"railed {name}"}
    assert run.watch.active == []


@pytest.mark.parametrize("side", [-1, 1])
@each_input
def test_a_mean_of_1024_counts_is_the_limit(layout: Layout, name: str, side: int) -> None:
    for offset, there in ((1000, False), (1048, True)):
        waves = split_phase((30, 12))
        # Small enough not to clip there.
        waves[name] = sine(75 if name[0] == "v" else 10)
        codes = convert(waves, 6, layout, noise=1).astype(np.int32)
        codes[:, slot(layout, name)] += side * offset
        assert codes.min() > 0 and codes.max() < 4095
        run = Watched(layout).feed(codes.astype(np.uint16))
        assert run.seen == ({f"railed {name}"} if there else set())
        assert run.counts == ({"railed": 1} if there else {})


@pytest.mark.parametrize(
    ("hertz", "bad"),
    [(44.9, True), (45.1, False), (50, False), (60, False), (64.9, False), (65.1, True)],
)
def test_the_frequency_of_whole_windows(hertz: float, bad: bool) -> None:
    run = Watched().feed(house(5, hertz=hertz))
    assert run.counts == ({"bad_frequency": 1} if bad else {})
    assert run.watch.active == (["bad_frequency"] if bad else [])


def test_a_bad_frequency_is_over_when_it_is_right_or_gone() -> None:
    waves = split_phase((30, 12), hertz=70)
    parts = [
        house(3, hertz=70),
        house(3),
        house(3, hertz=70),
        convert({name: waves[name] for name in ("i1", "i2")}, 3, noise=1),
    ]
    run = Watched().feed(np.concatenate(parts))
    assert run.counts == {"bad_frequency": 2, "no_voltage": 2}
    assert run.watch.active == ["no_voltage 1", "no_voltage 2"]


def test_gaps_do_not_make_many_of_one_bad_frequency() -> None:
    run = Watched()
    for _ in range(5):
        run.feed(house(1.13, hertz=70))
        run.meter.gap(100, 100 * run.layout.frame_ticks)
    assert run.counts == {"bad_frequency": 1}


class Made(Window):
    """A window made by hand, whose frequency is what it is said to be."""

    def __init__(self, mhz: int) -> None:
        super().__init__(Scales(48_000_000, (110_000_000, 110_000_000), (1, 1)))
        self.mhz = mhz

    def hertz_mhz(self) -> int:
        return self.mhz


def made_window(mhz: int, whole: bool, is_odd: bool, volts2: Sequence[int]) -> Window:
    window = Made(mhz)
    window.ticks = 9_600_000
    window.frames = 1600
    window.whole = whole
    window.is_odd = is_odd
    window.means = [(0, 0), (0, 0)]
    for k in (0, 1):
        wide.put(window.words, _VOLTS2 + 10 * k, volts2[k])
        wide.put(window.words, _AMPS2 + 10 * k, 12345)
    return window


def judged(
    *hertz_mhz: int, whole: bool = True, volts2: Sequence[int] = (10**12, 10**12)
) -> dict[str, int]:
    """What windows made by hand count, of these frequencies."""
    layout = board()
    faults = Faults()
    watch = FaultFinder(faults, layout)
    for mhz in hertz_mhz:
        watch.window(made_window(mhz, whole, False, volts2))
    return {name: n for name, n in zip(NAMES, faults.counts) if n}


def test_the_frequency_limits_to_the_millihertz() -> None:
    for mhz in (44_999, 65_001):
        assert judged(mhz, mhz, mhz) == {"bad_frequency": 1}
        assert judged(*[mhz] * 3, 60_000, *[mhz] * 9) == {"bad_frequency": 2}
        # A window or two in a row may come of an offset that has jumped.
        assert judged(mhz, mhz, 60_000, mhz, mhz) == {}
        assert judged(mhz, mhz, mhz, whole=False) == {}
    for mhz in (45_000, 65_000):
        assert judged(mhz, mhz, mhz) == {}


def found_without(kinds: str, volts2: int = 10**12) -> str:
    """Whether a bad frequency is active after each window: one (w)ith cycles, with(o)ut, one that
    (l)acks some frames, or (d)ead."""
    layout = board()
    watch = FaultFinder(Faults(), layout)
    found = ""
    for kind in kinds:
        mhz = 60_000 if kind == "w" else 0
        levels = [0 if kind == "d" else volts2] * 2
        watch.window(made_window(mhz, kind == "w", kind == "o", levels))
        found += "x" if "bad_frequency" in watch.active else "."
    return found


def test_a_voltage_without_cycles_is_a_bad_frequency() -> None:
    assert found_without("wwooooowww.") == "....xxxxx.."
    # Now and then is none, and one that comes and goes is one.
    assert found_without("wowowoowlo") == "." * 10
    assert found_without("wooowowoowwww") == "...xxxxxxxx.."
    # Lost frames tell nothing, a dead voltage has no frequency.
    assert found_without("wllllllll") == "." * 9
    assert found_without("wooood") == "...xx."
    assert found_without("oooo", volts2=1000) == "...."


def test_the_voltage_limit_exactly() -> None:
    """60 V of 0.11 V a count, in squares of 1/16 count."""
    limit = 1600 * (60 / 0.11 * 16) ** 2
    assert judged(60_000, volts2=(math.floor(limit), 10**12)) == {"no_voltage": 1}
    assert judged(60_000, volts2=(math.ceil(limit), math.ceil(limit))) == {}


# Clocks

PERIOD = 2**30
HZ = 48_000_000
Step = Callable[[float], float]


def ticks_diff(end: int, start: int) -> int:
    """As MicroPython documents it: the signed difference of two values that wrap."""
    return ((end - start + PERIOD // 2) % PERIOD) - PERIOD // 2


def steps(
    metered_s: Step,
    seconds: float,
    each_s: float = 0.25,
    start_ms: int = 0,
    clock_s: Step = lambda t: t,
) -> list[float]:
    """Seconds at which a step is counted, asking each_s, of clocks as functions of true time."""
    faults = Faults()
    watch = ClockCheck(faults, HZ, ticks_diff)
    k = NAMES.index("clock_step")
    found = []
    for n in range(round(seconds / each_s)):
        t = n * each_s
        before = faults.counts[k]
        ms = (start_ms + math.floor(1000 * clock_s(t))) % PERIOD
        watch.compare(math.floor(metered_s(t) * HZ), ms)
        found += [t] * (faults.counts[k] - before)
    assert sum(faults.counts) == len(found)
    return found


@pytest.mark.parametrize("start_ms", [0, PERIOD - 20_000, PERIOD // 2 - 20_000, PERIOD - 1])
@pytest.mark.parametrize("jump_s", [-1000, -5, -0.55, 0.55, 5, 1e6])
def test_a_step_is_counted_once(jump_s: float, start_ms: int) -> None:
    found = steps(lambda t: 2000 + t + (jump_s if t >= 20.1 else 0), 60, start_ms=start_ms)
    assert found == [20.25]


@pytest.mark.parametrize("jump_s", [-5, -0.6, 0.6, 5])
def test_a_step_of_the_clock_is_one_too(jump_s: float) -> None:
    found = steps(
        lambda t: t,
        60,
        start_ms=PERIOD - 30_000,
        clock_s=lambda t: 100 + t + (jump_s if t >= 20.1 else 0),
    )
    assert found == [20.25]


@pytest.mark.parametrize("jump_s", [-0.45, 0.45])
def test_less_than_half_a_second_is_none(jump_s: float) -> None:
    assert not steps(lambda t: 10 + t + (jump_s if t >= 20.1 else 0), 60)


def test_what_frames_need_to_reach_the_meter_is_none() -> None:
    """A quarter of a second of ring, filled and emptied in any rhythm."""
    rng = np.random.default_rng(1)
    assert not steps(lambda t: max(0.0, t - rng.uniform(0, 0.275)), 3000, 0.05)
    assert not steps(lambda t: t - (t % 0.27), 300, 0.05)


@pytest.mark.parametrize("ppm", [-200, 0, 200])
@pytest.mark.parametrize("each_s", [1.0, 60.0])
def test_two_crystals_and_a_wrap_are_none(ppm: float, each_s: float) -> None:
    """13 days: ticks_ms wraps after 12.4."""
    days = 13 if each_s > 1 else 0.5
    start = 0 if each_s > 1 else PERIOD - 20_000_000
    assert not steps(lambda t: t * (1 + ppm * 1e-6), days * 86400, each_s, start)


@pytest.mark.parametrize("stop_s", [0.7, 2.0, 7.0, 30.0])
def test_a_stop_is_one_step_whenever_it_begins_and_however_long_it_lasts(stop_s: float) -> None:
    for start_s in map(float, np.arange(10, 20.5, 0.35)):
        found = steps(lambda t, start_s=start_s: t - min(max(t - start_s, 0), stop_s), 80)
        assert len(found) == 1 and start_s + 0.5 <= found[0] <= start_s + 0.8


def test_a_stop_that_is_made_up_for_is_still_one_step() -> None:
    """Sampling stands still for 8 s, then the sampler notices and reports the gap."""
    found = steps(lambda t: 20 if 20 <= t < 28 else t, 60)
    assert found == [20.75]


def test_a_gap_reported_at_once_is_none() -> None:
    """The program was held up for 3 s: by the time it asks, the gap has been told."""
    faults = Faults()
    watch = ClockCheck(faults, HZ, ticks_diff)
    for second in (0, 1, 2, 5, 6, 9, 10, 11):
        watch.compare(second * HZ, second * 1000)
    assert faults.counts == [0] * len(NAMES)


def test_steps_apart_are_counted_each() -> None:
    found = steps(lambda t: 100 + t + 2 * (t >= 20) - 3 * (t >= 30) + (t >= 50), 60)
    assert found == [20, 30, 50]


def test_a_sampler_whose_ticks_us_wrapped_unnoticed() -> None:
    """ticks_us wraps after 17.9 minutes: of a longer stall the sampler sees the rest only, of one
    of more than half of that a negative time, which it takes for none."""
    for stall_s, seen_s in (
        (PERIOD * 1e-6 + 1.0, 1.0),
        (PERIOD * 0.6e-6, 0.0),
        (100.0, 100.0),
        (PERIOD * 0.45e-6, PERIOD * 0.45e-6),
    ):
        stall_us = round(stall_s * 1e6)
        assert max(0, ticks_diff((7 + stall_us) % PERIOD, 7)) * 1e-6 == pytest.approx(seen_s)
        faults = Faults()
        watch = ClockCheck(faults, HZ, ticks_diff)
        for second in range(20):
            watch.compare(second * HZ, second * 1000)
        for second in range(19, 40):
            watch.compare(round((seen_s + second) * HZ), round((stall_s + second) * 1000) % PERIOD)
        lost = stall_s - seen_s > 0.5
        assert faults.counts[NAMES.index("clock_step")] == lost


# On the chips' word size

_ON_ENGINE = """\
import sys, time
sys.path[:0] = [{firmware!r}, {boards!r}]
from threewire.operation.faults import ClockCheck, Faults, FaultFinder
from threewire.metering.layout import Layout
from threewire.metering.wide import put
from threewire.metering.window import Scales, Window
import {board} as board

class Seen(Window):
    hertz = 45000
    def hertz_mhz(self):
        return self.hertz
layout = Layout(board)
faults = Faults()
faults.from_list([2**31 - 2, 2**40])
faults.count("overrun", 5)
watch = FaultFinder(faults, layout)
w = Seen(Scales(layout.tick_hz, [110000000] * 2, [1] * 2))
w.ticks = 9600000
w.frames = 2000
w.whole = True
w.means = [(16390, -3)] * 2
w.own_means = [16390, 16390, -2, -3]
w.own_offs = [0, 0, 1, 0]
def levels(at, one, two):
    put(w.words, at, one)
    put(w.words, at + 10, two)
levels(20, 2 * 10**12, 10**11)
levels(40, 2000, 10**12)
watch.window(w)
print(watch.active)
levels(40, 2001, 0)
w.hertz = 44999
for n in range(4):
    watch.window(w)
print(watch.active)
print(faults.to_list())
faults.clear()
clock = ClockCheck(faults, 48000000, time.ticks_diff)
now = time.ticks_add(0, -20000)
for second in range(10**7, 10**7 + 60):
    clock.compare(second * 48000000, now)
    now = time.ticks_add(now, 1000)
    if second == 10**7 + 15 or second == 10**7 + 40:
        now = time.ticks_add(now, 501)
print(faults.counts)
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_on_micropython(engine: str, tmp_path: Path) -> None:
    """An offset of 1024 counts and 6/16; squares of nothing, and of just what an input is off; a
    clock that wraps (on 32 bits) between two steps of 501 ms."""
    script = tmp_path / "faults.py"
    script.write_text(
        _ON_ENGINE.format(
            firmware=str(boards.ROOT / "firmware"),
            boards=str(boards.BOARDS),
            board="feather_rp2040",
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "128k"), str(script)], capture_output=True, text=True, check=True
    )
    both = ["stuck i1", "railed v1", "railed v2", "no_voltage 2"]
    expected = [0] * len(NAMES)
    expected[:5] = [MOST, MOST, 2, 1, 1]
    after = [0] * len(NAMES)
    after[NAMES.index("clock_step")] = 2
    assert done.stdout.splitlines() == [
        str(both),
        str(["railed v1", "railed v2", "no_voltage 2", "stuck i2", "bad_frequency"]),
        str(expected),
        str(after),
    ]
