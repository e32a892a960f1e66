"""The same codes give the same digits on every engine, and fit the heap that a board has."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from host_tests.rigs.meter_runs import (
    BOARD,
    Codes,
    convert,
    default_board,
    front_end,
    net_wh,
    on_engine,
    register_wh,
    split_phase,
)
from tools import house
from tools.common import boards
from tools.engines.process import Metered
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.waves import Wave
from tools.recordings.types import INPUTS

ENGINES = ("micropython", "i386", "armhf")
# Great gains, so that a few seconds make many edges, one CT turned round, and phases both ways.
STRONG = {
    "v1_nv": 142_000_000,
    "i1_na": 194_000_000,
    "v2_nv": 141_000_001,
    "i2_na": -193_000_007,
    "phase1_ns": 123_456,
    "phase2_ns": -98_765,
}
# Phases by current, through zero, and the converter's errors: the RP2040's wide codes and a bow.
TABLES: dict[str, Any] = {
    "phase1_by_ma": [[0, 333_333], [90_000, 150_001], [250_000, -77_777], [399_000, -123_456]],
    "phase2_by_ma": [[5_000, -250_000], [150_000, 98_765]],
    "adc": {
        "steps": [[512, 136], [1536, 131], [2560, 140], [3584, 136]],
        "bow_q4": [-24, -12, -3, 5, 12, 17, 21, 23, 24, 23, 20, 18, 11, 6, -2, -13, -25],
    },
}
STRONG_TABLES: dict[str, Any] = {
    "v1_nv": 142_000_001,
    "i1_na": 194_000_000,
    "v2_nv": -80_000_000,
    "i2_na": 110_000_003,
    **TABLES,
}
# Every constant at an end of its range: that of gains is 30 % about the board file's.
GAINS = ("v1_nv", "v2_nv", "i1_na", "i2_na")
LEAST_GAINS = dict(zip(GAINS, (77_000_000, -77_000_000, 105_000_000, -105_000_000)))
MOST_GAINS = dict(zip(GAINS, (143_000_000, -143_000_000, 195_000_000, 195_000_000)))
LAST_STEPS = [[4087 + k, 512] for k in range(8)]
FIRST_STEPS = [[1 + k, 512] for k in range(8)]
ENDS: dict[str, dict[str, Any]] = {
    "least": {**LEAST_GAINS, "phase1_ns": -500_000, "phase2_ns": 500_000},
    "most": {**MOST_GAINS, "phase1_ns": 500_000, "phase2_ns": -500_000},
    "least, tables": {
        **LEAST_GAINS,
        "phase1_by_ma": [[0, -500_000], [399_360, 500_000]],
        "phase2_by_ma": [[k, (-1) ** k * 500_000] for k in range(8)],
        "adc": {"steps": FIRST_STEPS, "bow_q4": [-256, 256] * 8 + [-256]},
    },
    "most, tables": {
        **MOST_GAINS,
        "phase1_by_ma": [[399_359, 500_000], [399_360, -500_000]],
        "phase2_by_ma": [[0, 500_000], [1, -500_000]],
        "adc": {"steps": LAST_STEPS, "bow_q4": [256] * 8 + [-256] * 9},
    },
}
CALIBRATIONS: dict[str, dict[str, Any]] = {
    "nominal": {},
    "strong": STRONG,
    "tables": STRONG_TABLES,
    **ENDS,
}
# Words are as long as on the chips on i386, twice as long on the PC. The converter's table makes
# the kernel's state 11 kB in one piece.  Of the modules, which are compiled there, those in viper
# take four times what boards have of them in assembler; and what a board loads now and
# then is there all along.
HEAPS = {
    ("micropython", False): "256k",
    ("i386", False): "208k",
    ("i386", True): "232k",
}


def of_the_house(start_s: float, stop_s: float) -> Codes:
    """Part of the generated house through the RP2040's converter."""
    story = house.generate()
    rate = story.rate_hz
    rows = np.concatenate(list(story.blocks(round(start_s * rate), round(stop_s * rate))), axis=1)
    source = Source(ArrayRecording(rate, dict(zip(INPUTS, rows))))
    return np.concatenate(list(front_end(default_board(), adc="real").codes(source)))


def square(seconds: float) -> Codes:
    """All that element 1 can show: 225 V and 307 A, turning with each other."""
    layout = default_board()
    at = np.arange(round(seconds * layout.tick_hz / layout.frame_ticks))
    high = (at * layout.frame_ticks * 60 // layout.tick_hz) % 2 == 0
    codes = np.full((len(at), 4), 2048, np.uint16)
    for name in ("v1", "i1"):
        codes[:, layout.slot[name]] = np.where(high, 4095, 1)
    return codes


def off_middle(mean: int, volts: float, seconds: float) -> Codes:
    """Voltages about a code near an end of the scale, clipped there, as a bias that drifts away or
    a divider that has come off makes them."""
    layout = default_board()
    return convert(
        split_phase((30, 30), lag_deg=20, hertz=60) | {"v1": sine(volts), "v2": sine(-volts)},
        seconds,
        layout,
        noise=2,
        offset=mean - 2048,
    )


def sine(volts: float) -> Wave:
    return lambda t: volts * np.sqrt(2) * np.sin(2 * np.pi * 60 * t)


@cache
def everything() -> Codes:
    """A house, reversals, random codes over the full scale, silence, rails, a dead line, voltages
    near the ends of the scale, and a number of frames that no block divides."""
    board = default_board()
    rng = np.random.default_rng(6)
    dead = split_phase((40, 40), lag_deg=40)
    del dead["v1"]
    parts = [
        of_the_house(60, 62.5),
        convert(split_phase((20, -30), lag_deg=-50, hertz=49.3), 1.7, board, noise=1, offset=70),
        convert(split_phase((-20, 30), lag_deg=70, hertz=49.3), 1.3, board, noise=1, offset=70),
        rng.integers(0, 4096, (4000, 4), dtype=np.uint16),
        np.full((5000, 4), 2048, np.uint16),
        np.zeros((500, 4), np.uint16),
        np.full((700, 4), 4095, np.uint16),
        convert(dead, 1.1, board, noise=2),
        convert(split_phase((150, 150), hertz=64), 1.2, board),
        off_middle(100, 100, 1.5),
        off_middle(30, 5, 1.0),
        off_middle(4000, 100, 1.5),
        off_middle(350, 20, 1.0),
        square(15.6),
    ]
    codes = np.concatenate(parts)
    return codes[: len(codes) // 1024 * 1024 - 655]


@cache
def metered(engine: str, calibration: str, block_frames: int = 1024) -> Metered:
    # Tables of eight rows, each far from the next, take twice as much where words are of 64 bits.
    heap = "512k" if engine == "micropython" else "256k"
    return on_engine(
        engine,
        [everything()],
        CALIBRATIONS[calibration],
        block_frames=block_frames,
        heap=heap,
    )


def result_of(run: Metered) -> dict[str, object]:
    """The result without how long it took."""
    return {name: value for name, value in run.result.items() if name != "busy_us"}


@pytest.mark.parametrize("calibration", ["strong", "tables"])
def test_the_codes_are_worth_comparing(calibration: str) -> None:
    run = metered("cpython", calibration)
    assert run.result["frames"] == len(everything())
    assert {name for name, _, _ in run.edges} == {"kwh", "ten", "reverse"}
    for element in run.result["elements"]:
        assert all(register_wh(element[name]) > 0.25 for name in ("delivered", "received"))
        # Reactive energy both ways.
        assert len([1 for text in element["varh"] if float(text) > 0.1]) >= 2
    ticks = [at for _, _, at in run.edges]
    assert ticks == sorted(ticks) and len(ticks) > 20


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree(engine: str, calibration: str) -> None:
    here, there = metered("cpython", calibration), metered(engine, calibration)
    assert result_of(there) == result_of(here)
    assert there.edges == here.edges


@cache
def warming() -> Codes:
    """`everything` on a board with its temperature's slot, which warms up, is cold at once, and
    then has a sensor that gives none."""
    codes = everything()
    rng = np.random.default_rng(7)
    sensor = 900 - np.linspace(0, 150, len(codes)) + rng.normal(0, 2, len(codes))
    sensor[len(codes) // 2 :] += 200
    sensor[len(codes) * 7 // 8 :] = 0
    return np.column_stack([codes, np.rint(sensor).astype(np.uint16)])


@cache
def metered_warm(engine: str, block_frames: int = 1024, ppb_per_k: int = 400_000) -> Metered:
    constants = {"reference_ppb_per_k": ppb_per_k, "calibrated_code_q4": 13_800}
    return on_engine(
        engine,
        [warming()],
        {**STRONG_TABLES, **constants},
        block_frames=block_frames,
        heap="512k" if engine == "micropython" else "256k",
        slots=(*boards.module(BOARD).SLOTS, ("temperature", None)),
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree_while_the_board_warms_up(engine: str) -> None:
    here, there = metered_warm("cpython"), metered_warm(engine)
    assert result_of(there) == result_of(here)
    assert there.edges == here.edges
    other = metered_warm(engine, 77)
    assert other.edges == here.edges
    for name in ("delivered", "received"):
        assert other.result[name] == here.result[name]
        # What warms and what cools it cancel in part.
        without = metered_warm("cpython", ppb_per_k=0).result[name]
        ratio = register_wh(here.result[name]) / register_wh(without)
        assert 0.001 < abs(ratio - 1) < 0.1


def test_the_tables_make_a_difference() -> None:
    # Each alone; the engines are compared with all of them.
    everything_there = metered("cpython", "tables").result["delivered"]
    for key in ("phase1_by_ma", "phase2_by_ma", "adc"):
        fewer = {name: value for name, value in STRONG_TABLES.items() if name != key}
        run = on_engine("micropython", [everything()], fewer)
        assert run.result["delivered"] != everything_there


@pytest.mark.parametrize("calibration", ["strong", "tables"])
@pytest.mark.parametrize("engine", ["cpython", *ENGINES])
def test_registers_and_edges_do_not_depend_on_the_blocks(engine: str, calibration: str) -> None:
    usual = metered("cpython", calibration)
    other = metered(engine, calibration, 77)
    assert other.edges == usual.edges
    for name in ("delivered", "received"):
        assert other.result[name] == usual.result[name]
        for k in (0, 1):
            assert other.result["elements"][k][name] == usual.result["elements"][k][name]


@pytest.mark.parametrize(("engine", "with_tables"), HEAPS)
def test_ten_minutes_fit_a_boards_heap(engine: str, with_tables: bool) -> None:
    second = convert(split_phase((200, 180), lag_deg=30), 1, default_board(), noise=1)

    def minutes() -> Iterator[Codes]:
        for _ in range(600):
            yield second

    run = on_engine(
        engine,
        minutes(),
        TABLES if with_tables else {},
        heap=HEAPS[engine, with_tables],
        trace_ticks=default_board().tick_hz,
    )
    assert run.result["frames"] == 600 * len(second)
    watts = sum(e["watts_uw"] for e in run.result["elements"]) * 1e-6
    assert float(net_wh(run.result)) == pytest.approx(watts / 6, rel=1e-5)
    delivered_wh = register_wh(run.result["delivered"])
    assert len([1 for name, _, _ in run.edges if name == "ten"]) == delivered_wh // 5
