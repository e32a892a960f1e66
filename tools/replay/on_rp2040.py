"""A replay on the emulated board: its own main.py meters the front end's codes, frame by frame.

Flow: front end -> Frames -> ON RP2040 (EmulatedBoard) -> the result that other engines give.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threewire.metering.calibration import from_dict, nominal
from threewire.metering.layout import Layout
from tools import image
from tools.common import boards
from tools.common.errors import BoardError, EngineFailed, InputError
from tools.emulate.board import ENGINE, FLASH, EmulatedBoard
from tools.emulate.inputs import Frames
from tools.engines import process as engine_process

# From the last conversion until the program has metered it: its sleep, a line, a window.
_HANDED_OVER_S = 0.05

# The readings are those of the last second, so there must be one.
LEAST_S = 1.5


def meter(
    blocks: Iterable[NDArray[np.uint16]],
    seconds: float,
    board: str,
    calibration: Mapping[str, Any],
    frame_ticks: int,
    tick_hz: int,
    trace: bool = False,
) -> engine_process.Metered:
    """Feeds blocks of codes, uint16 (n, slots), `seconds` in all, through the ADC to the board's
    own main.py, to the last frame.  As engine_process.meter, but readings are those of the last
    second, and a trace has a row a second.

    Raises Unavailable, InputError, and EngineFailed when the board
    misbehaves.
    """
    layout = boards.load(board)
    if boards.module(board).CHIP != ENGINE:
        raise InputError(f"board {board}: engine {ENGINE} is another chip")
    if seconds < LEAST_S:
        raise InputError(f"{seconds:g} s: engine {ENGINE} needs {LEAST_S:g} s of signal at least")
    if (frame_ticks, tick_hz) != (layout.frame_ticks, layout.tick_hz):
        raise InputError(f"engine {ENGINE} samples at board {board}'s rate, this is another")
    if calibration and from_dict(calibration, layout).to_dict() != nominal(layout).to_dict():
        raise InputError(f"engine {ENGINE} meters with board {board}'s nominal constants")
    frames = Frames(blocks, board)
    began = time.process_time()
    metered = engine_process.Metered()
    try:
        with EmulatedBoard(image.build(board, FLASH), board, frames) as emulated:
            emulated.run_until(lambda: emulated.starts, 5.0, "conversion")
            while frames.frames is None:
                emulated.run(0.01)
            emulated.run(_HANDED_OVER_S)
            metered.edges = _edges(emulated, emulated.starts[0][0])
            reports = emulated.reports
            emulated.interrupt()
            metered.result = emulated.result()
    except BoardError as problem:
        raise EngineFailed(f"engine {ENGINE}: {problem}") from None
    metered.cpu_seconds = time.process_time() - began
    if trace:
        metered.trace_of_s = 1.0
        metered.trace = [_trace_row(report, layout) for _, report in reports]
    return metered


def _edges(board: EmulatedBoard, start: float) -> list[tuple[str, bool, int]]:
    """(LED, lit, ticks since the first conversion) in order of time."""
    hz = board.layout.tick_hz
    edges = [
        (name, lit, round((seconds - start) * hz))
        for name in boards.module(board.layout.name).LEDS
        for seconds, lit in board.led_edges(name, start)
    ]
    return sorted(edges, key=lambda edge: edge[2])


def _trace_row(report: dict[str, Any], layout: Layout) -> tuple[int, ...]:
    """A line of the board as a row of engine_process.Metered.trace."""
    watts = [round(element["watts"] * 1e6) for element in report["elements"]]
    return (
        round(report["t"] * layout.tick_hz),
        *watts,
        round(float(report["delivered_wh"]) * 1e6),
        round(float(report["received_wh"]) * 1e6),
        *watts,
        *watts,
    )
