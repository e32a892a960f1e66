"""Speed of the engines on this machine.

Flow: a house's worth of cycles -> engines -> HOST -> figures.  They depend on the machine.
"""

import math
import platform
import sys
from fractions import Fraction

import numpy as np

from tools.bench.chip import AMPS, BOARD, HERTZ, VOLTS
from tools.bench.figures import Figure
from tools.common import boards
from tools.common.errors import Unavailable
from tools.engines import interpreters as engines
from tools.engines import process as engine_process
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.model import FrontEnd


def host_engines(seconds: float) -> list[Figure]:
    """Time of each engine that is there for `seconds` of a house's worth of cycles."""
    layout = boards.load(BOARD)
    rate = 12000.0
    t = np.arange(int(rate)) / rate
    wave = math.sqrt(2) * np.sin(2 * math.pi * HERTZ * t)
    signals = {"v1": VOLTS * wave, "i1": AMPS * wave, "v2": -VOLTS * wave, "i2": -AMPS * wave}
    # 8 kHz, whatever the board's rate: what the project's speed is quoted at.
    frame_ticks = layout.tick_hz // 8000
    period = Fraction(frame_ticks, layout.tick_hz)
    front_end = FrontEnd.of(layout, frame_period=period)
    second = np.concatenate(list(front_end.codes(Source(ArrayRecording(rate, signals)))))
    per_frame: dict[str, float] = {}
    times: dict[str, float] = {}
    for name in engines.NAMES:
        turns = round(seconds if name != "cpython" else seconds / 10)
        try:
            best = min(
                engine_process.meter(
                    name,
                    (second for _ in range(turns)),
                    BOARD,
                    {},
                    frame_ticks,
                    layout.tick_hz,
                ).cpu_seconds
                for _ in range(3)
            )
        except Unavailable as problem:
            print(problem, file=sys.stderr)
            continue
        per_frame[name] = best / (turns * len(second)) * 1e9
        times[name] = turns / best
    where = (
        f"{platform.machine()}, processor time, best of 3, {float(1 / period):.0f} Hz a channel"
    )
    return [
        Figure("ns_per_frame", "whole engine", per_frame, "ns a frame", where),
        Figure("times_real_time", "whole engine", times, "x real time", where),
    ]
