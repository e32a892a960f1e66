"""The pulse outputs of the whole firmware on the emulated RP2040: what is on the pin, against the
register, and against the waves alone.

All times are emulated ones.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.whole.test_rp2040 import BOARD, CYCLE_S, crossings, load, replayed
from tools.bench.chip import image_with
from tools.common import boards
from tools.emulate.board import EmulatedBoard

pytestmark = pytest.mark.rp2040

DELIVERED, RECEIVED = 6, 7
BOTH = {"delivered": DELIVERED, "received": RECEIVED}


def powered(uf2: Path, pulses: dict[str, Any], part: float = 1.0, turn: int = 1) -> EmulatedBoard:
    inputs = load(part=part, turn=turn)
    return EmulatedBoard(image_with(PULSES=pulses), BOARD, inputs, uf2)


def rises(board: EmulatedBoard, pin: int = DELIVERED) -> list[float]:
    return [edge.seconds for edge in board.edges if edge.pin == pin and edge.level == 1]


def lengths(board: EmulatedBoard, pin: int = DELIVERED) -> tuple[list[float], list[float]]:
    """Of all pulses, and of what is between them."""
    on, off = [], []
    edges = [edge for edge in board.edges if edge.pin == pin]
    for one, other in pairwise(edges):
        if one.level is not None and other.level is not None:
            (on if one.level else off).append(other.seconds - one.seconds)
    return on, off


def register(board: EmulatedBoard) -> float:
    board.interrupt()
    return float(board.result()["delivered"]["wh"])


def test_pulses_follow_the_register_and_change_nothing(uf2: Path) -> None:
    """At 47.8 kW, 1 Wh and 50 ms nearly fill the time."""
    with powered(uf2, BOTH) as board:
        board.run_until(lambda: board.starts, 5.0, "conversion")
        board.run(0.8)
        # What is owed comes when nothing flows any more.
        board.inputs = load(part=0)
        board.run(0.5)
        board.interrupt()
        result = board.result()
        assert len(rises(board)) == int(float(result["delivered"]["wh"])) >= 10
        assert not rises(board, RECEIVED)
        assert board.level(RECEIVED) == 0
        on, off = lengths(board)
        assert on == pytest.approx([0.05] * len(on), abs=1e-4)
        assert min(off[1:]) >= 0.025 - 1e-4
        assert result["lost_frames"] == 0
        # To the last bit as without them.
        same = replayed(board.codes, result["frames"])
        for pair, other in zip([result, *result["elements"]], [same, *same["elements"]]):
            for name in ("delivered", "received"):
                assert pair[name]["raw"] == other[name]["raw"]


@pytest.mark.slow
def test_no_pulse_comes_twice_over_restarts_and_losses_of_power(uf2: Path) -> None:
    with powered(uf2, BOTH) as board:
        board.run_until(lambda: board.starts, 5.0, "conversion")
        board.run(1.2)
        # An orderly restart costs none: pulses that were given come before it.
        board.type("restart\r\n")
        board.run_until(lambda: len(board.starts) > 1, 5.0, "second start")
        board.run(0.1)
        before = len(rises(board))
        assert before >= 14
        board.run_until(lambda: len(rises(board)) > before, 2.0, "pulse", 5e-4)
        # The power goes in the midst of the first pulse.  This start's record lets two come.
        board.power_cycle()
        came = len(rises(board))
        board.run_until(lambda: len(board.starts) > 2, 5.0, "third start")
        board.run(0.9)
        board.inputs = load(part=0)
        board.run(0.6)
        wh = int(register(board))
        assert wh > came
        assert wh - 2 <= len(rises(board)) <= wh
        whole = [length for length in lengths(board)[0] if length > 0.03]
        assert whole == pytest.approx([0.05] * len(whole), abs=1e-4)
        assert len(rises(board)) - len(whole) <= 1


@pytest.mark.slow
def test_a_tenth_of_a_watt_hour_for_a_test_bench(uf2: Path) -> None:
    with powered(uf2, {"delivered": DELIVERED, "micro_wh": 100_000, "ms": 3}) as board:
        board.run_until(lambda: board.starts, 5.0, "conversion")
        start = board.starts[0][0]
        board.run(2.5)
        seen = np.array(rises(board))
        true = np.array(crossings(start, board.seconds, 0.1))[: len(seen)]
        late = (seen - true)[seen > start + 1.0]
        assert late.min() > 0
        assert late.mean() < 3 * CYCLE_S and late.std() < 1.5 * CYCLE_S
        assert lengths(board)[0] == pytest.approx([0.003] * len(lengths(board)[0]), abs=1e-4)
        assert board.reports[-1][1]["faults"]["lost_frames"] == 0


@pytest.mark.slow
def test_what_is_exported_comes_at_the_other_pin(uf2: Path) -> None:
    with powered(uf2, {"received": RECEIVED}, turn=-1) as board:
        # Element 2 is turned, and element 1 has no current: all is received.
        waves = load(turn=-1)
        idle = load(part=0)
        channel = next(pin - 26 for name, pin in boards.module(BOARD).SLOTS if name == "i1")
        board.inputs = lambda at, nanos: (idle if at == channel else waves)(at, nanos)
        board.run_until(lambda: board.starts, 5.0, "conversion")
        board.run(1.2)
        board.inputs = load(part=0)
        board.run(0.5)
        board.interrupt()
        wh = int(float(board.result()["received"]["wh"]))
        assert wh >= 7 and len(rises(board, RECEIVED)) == wh


@pytest.mark.slow
def test_settings_that_do_not_fit_are_told_at_the_start(uf2: Path) -> None:
    with powered(uf2, {"delivered": DELIVERED, "ms": 60}) as board:
        board.run(2.0)
        said = board.said_since(0).decode()
        assert f"board {BOARD}: PULSES: ms 60 do not fit" in said
        assert not board.starts
