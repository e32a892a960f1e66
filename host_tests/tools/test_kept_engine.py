"""An engine that is kept from one recording to the next: each comes out as on a process of its
own, and one that has died is made anew."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from tools.common import boards
from tools.common.errors import EngineFailed, InputError
from tools.engines import process
from tools.engines.child import Child
from tools.engines.process import Engine, Metered, kept
from tools.engines.running import Running
from tools.front_end.looping import ArrayRecording
from tools.front_end.model import Codes
from tools.replay.report import as_json
from tools.replay.run import replay

ENGINES = ("micropython", "cpython", "i386", "armhf")


@dataclass
class Case:
    """Codes of a second or less on a board, and how they are metered."""

    board: str = "feather_rp2040"
    watts: float = 6000.0
    hertz: float = 60.0
    options: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)

    def codes(self, seconds: float = 0.6) -> Codes:
        layout = boards.load(self.board)
        rate = layout.tick_hz / layout.frame_ticks
        wave = np.sin(2 * math.pi * self.hertz * np.arange(round(seconds * rate)) / rate)
        volts = 120e9 * math.sqrt(2) / layout.nv_per_count
        amps = self.watts / 120 * 1e9 * math.sqrt(2) / layout.na_per_count
        sizes = {"v1": volts, "i1": amps, "v2": -volts, "i2": -amps / 2}
        columns = [2048 + sizes[name] * wave for name in layout.slots]
        return np.rint(np.stack(columns, axis=1)).clip(0, 4095).astype(np.uint16)

    def run(self, engine: Engine) -> Metered:
        layout = boards.load(self.board)
        return engine.meter(
            [self.codes()],
            self.board,
            self.calibration,
            layout.frame_ticks,
            layout.tick_hz,
            **self.options,
        )


CASES = [
    Case(),
    Case(watts=-900.0),
    Case("pico", hertz=50.0),  # three inputs: another frame
    Case(options={"trace_ticks": 480_000}),
    Case(options={"spans": [(2000, 4800), (4000, 4810)]}),
    Case(options={"lost": (1500, 100)}),
    Case(options={"sampler": {"kind": "dma", "clocks": 2400}}),
    Case(calibration={"v1_nv": 120_000_000, "adc": {"steps": [[512, 200]]}}),
    Case("esp32_devkitc", watts=20_000.0),
    Case(options={"block_frames": 200}),
    Case(),
]


def alone(case: Case, engine: str) -> Metered:
    with kept(engine) as fresh:
        return case.run(fresh)


def came_of(metered: Metered) -> tuple[Any, ...]:
    return metered.result, metered.edges, metered.trace


@pytest.fixture(params=ENGINES)
def engine(request) -> Iterator[Engine]:
    need_engine(request.param)
    with kept(request.param) as engine:
        yield engine


def child_of(engine: Engine) -> Child:
    child = engine._running._child
    assert child
    return child


def process_of(engine: Engine) -> int:
    return child_of(engine)._process.pid


def test_each_recording_comes_out_as_on_a_process_of_its_own(engine):
    cases = CASES if engine.name != "armhf" else CASES[:3]  # qemu takes its time to start
    found = [came_of(case.run(engine)) for case in cases]
    assert found == [came_of(alone(case, engine.name)) for case in cases]
    differ = {repr(each) for each in found}
    assert len(differ) == min(len(cases), len(CASES) - 2)  # but other blocks, and the last


def test_the_process_is_kept_and_its_time_is_told_apart(engine):
    first = CASES[0].run(engine)
    number = process_of(engine)
    again = [CASES[k].run(engine) for k in (0, 1, 2)]
    assert process_of(engine) == number
    assert 0 < again[0].cpu_seconds < first.cpu_seconds  # without the start
    spent = first.cpu_seconds + sum(each.cpu_seconds for each in again)
    assert spent == pytest.approx(again[-1].spent_us / 1e6)


def test_one_that_died_is_made_anew():
    need_engine("micropython")
    with kept("micropython") as engine:
        first = came_of(CASES[0].run(engine))
        child_of(engine)._process.kill()
        child_of(engine)._process.wait()
        assert came_of(CASES[0].run(engine)) == first


def test_one_that_dies_at_work_fails_and_the_next_is_made_anew():
    need_engine("micropython")
    with kept("micropython") as engine:
        first = came_of(CASES[0].run(engine))

        def codes() -> Iterator[Codes]:
            yield CASES[0].codes()
            child_of(engine)._process.kill()
            yield CASES[0].codes()

        layout = boards.load("feather_rp2040")
        with pytest.raises(EngineFailed, match="engine micropython ended with status -9"):
            engine.meter(codes(), layout.name, {}, layout.frame_ticks, layout.tick_hz)
        assert came_of(CASES[0].run(engine)) == first


def test_what_an_engine_says_of_its_failure_is_told():
    need_engine("micropython")
    with kept("micropython") as engine:
        CASES[0].run(engine)
        with pytest.raises(EngineFailed, match="no_such_board"):
            engine.meter([CASES[0].codes()], "no_such_board", {}, 4800, 48_000_000)
        CASES[0].run(engine)


@pytest.mark.parametrize("board", ["feather_rp2040", "pico"])
def test_one_that_began_before_it_is_known_what_for_does_the_same(board):
    need_engine("micropython")
    case = Case(board)
    with Running("micropython") as running:
        child = running.begin()
        engine = Engine("micropython", running)
        found = came_of(case.run(engine))
        assert child_of(engine) is child
        assert came_of(case.run(engine)) == found == came_of(alone(case, "micropython"))
    assert child.status is not None


def test_a_recording_that_is_bad_within_ends_the_process_alone():
    need_engine("micropython")
    with kept("micropython") as engine:
        first = came_of(CASES[0].run(engine))

        def codes() -> Iterator[Codes]:
            yield CASES[0].codes()
            raise InputError("a.csv: line 7 is blank")

        layout = boards.load("feather_rp2040")
        with pytest.raises(InputError, match="line 7"):
            engine.meter(codes(), layout.name, {}, layout.frame_ticks, layout.tick_hz)
        assert came_of(CASES[0].run(engine)) == first


@pytest.mark.parametrize("sizes", [[1], [1024], [1000, 0, 3], [1023, 2, 5000]])
def test_how_blocks_are_cut_does_not_matter(sizes):
    """Not even to when an LED's edge or a row of the trace comes."""
    need_engine("micropython")
    codes = CASES[0].codes(0.2 if sizes == [1] else 0.6)
    blocks = []
    at = 0
    while at < len(codes):
        blocks.append(codes[at : at + sizes[len(blocks) % len(sizes)]])
        at += len(blocks[-1])
    layout = boards.load("feather_rp2040")
    whole, cut = [
        process.meter(
            "micropython",
            given,
            layout.name,
            {},
            layout.frame_ticks,
            layout.tick_hz,
            trace_ticks=480_000,
        )
        for given in ([codes], blocks)
    ]
    assert came_of(cut) == came_of(whole)
    assert cut.result["frames"] == len(codes)


def test_a_replay_takes_an_engine_that_is_kept():
    need_engine("micropython")
    t = np.arange(7680) / 7680
    wave = np.sin(2 * math.pi * 60 * t)
    recordings = [
        ArrayRecording(7680, {"v1": 170 * wave, "i1": amps * wave}) for amps in (20, -7, 20)
    ]
    with kept("micropython") as engine:
        found = [
            as_json(replay("-", engine=engine, recording=recording, duration=2))
            for recording in recordings
        ]
        number = process_of(engine)
        replay("-", engine=engine, recording=recordings[0], duration=1)
        assert process_of(engine) == number
    assert found[0] == found[2] != found[1]
    assert found[0] == as_json(
        replay("-", engine="micropython", recording=recordings[0], duration=2)
    )
    assert found[0]["engine"] == "micropython"


def test_where_memory_is_too_small_for_the_next_the_process_is_made_anew():
    """Making room for blocks of 224 kB takes most of the heap: only the start has that much."""
    need_engine("micropython")
    with kept("micropython") as engine:
        large = replace(CASES[0], options={"block_frames": 28_000})
        numbers = []
        for case in (CASES[0], large, CASES[0]):
            assert came_of(case.run(engine)) == came_of(alone(CASES[0], "micropython"))
            numbers.append(process_of(engine))
        assert numbers[0] != numbers[1] == numbers[2]
