"""Speed of the engines, and of a whole replay, on this machine.

Flow: a house's worth of cycles -> engines, replay -> HOST -> figures.  They depend on the machine.
"""

import math
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tools.bench.chip import AMPS, BOARD, HERTZ, VOLTS
from tools.bench.figures import Figure
from tools.common import boards
from tools.common.boards import ROOT
from tools.common.errors import EngineFailed, Unavailable
from tools.engines import interpreters as engines
from tools.engines import process as engine_process
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.model import FrontEnd

# What is replayed: a loop that is kept in memory, at the default board's own rate.
_REPLAYED_HZ = 10_000
_REPLAYED_S = 2


def _signals(rate: float, seconds: float) -> dict[str, np.ndarray]:
    """Volts and amperes of both elements, in opposite phase."""
    t = np.arange(round(rate * seconds)) / rate
    wave = math.sqrt(2) * np.sin(2 * math.pi * HERTZ * t)
    return {"v1": VOLTS * wave, "i1": AMPS * wave, "v2": -VOLTS * wave, "i2": -AMPS * wave}


def host_replay(seconds: float, engine: str = "micropython") -> list[Figure]:
    """Time of a whole `replay`, from its start to its end, that loops a recording to `seconds`.

    Raises EngineFailed.
    """
    walls = []
    with tempfile.TemporaryDirectory(prefix="threewire-") as folder:
        path = Path(folder) / "loop.npz"
        arrays: dict[str, Any] = _signals(_REPLAYED_HZ, _REPLAYED_S)
        np.savez(path, rate_hz=float(_REPLAYED_HZ), **arrays)
        options = ["--duration", f"{seconds:g}", "--engine", engine, "--json"]
        command = [sys.executable, "-m", "tools.replay", str(path), *options]
        for _ in range(3):
            began = time.monotonic()
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            walls.append(time.monotonic() - began)
            if done.returncode:
                raise EngineFailed(done.stderr.strip())
    where = (
        f"{platform.machine()}, whole process, best of 3, {seconds:g} s at {_REPLAYED_HZ} Hz, "
        f"looped, {engine}"
    )
    what = "replay with its front end and reference"
    return [Figure("replay_times_real_time", what, seconds / min(walls), "x real time", where)]


def host_engines(seconds: float) -> list[Figure]:
    """Time of each engine that is there for `seconds` of a house's worth of cycles."""
    layout = boards.load(BOARD)
    rate = 12000.0
    signals = _signals(rate, 1)
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
