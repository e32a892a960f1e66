"""What the soak puts on the meter: codes of two loads in turn, and their energy in float64.

Flow: front end -> SOAK LOADS -> program.py, judge.
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from threewire.metering.registers import NAMES as REGISTERS
from tools.common import boards
from tools.common.errors import InputError
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.model import FrontEnd
from tools.front_end.waves import split_phase

# Amperes of the elements and lag in degrees: 48 kW, and 3 A against 1 A that flows back.
LOADS = (((200.0, 200.0), 0.0), ((3.0, -1.0), 30.0))
HERTZ = 60
VOLTS = 120.0
_PER_CYCLE = 256
_BLOCK_S = 1  # whole cycles, looped


def codes(board: str, seed: int) -> list[NDArray[np.uint16]]:
    """A block (frames, slots) of codes for each load, by the RP2040's model of a converter."""
    made = []
    seconds = np.arange(_PER_CYCLE) / (_PER_CYCLE * HERTZ)
    for (one, two), lag_deg in LOADS:
        waves = split_phase((one, two), (lag_deg, lag_deg), HERTZ, VOLTS)
        recording = ArrayRecording(
            HERTZ * _PER_CYCLE,
            {name: np.tile(wave(seconds), HERTZ) for name, wave in waves.items()},
        )
        front_end = FrontEnd.of(boards.load(board), adc="real", seed=seed)
        blocks = list(front_end.codes(Source(recording, Fraction(_BLOCK_S))))
        if any(front_end.clipped.values()):
            raise InputError(f"board {board}: its range is too small for {one:.0f} A")
        made.append(np.concatenate(blocks))
    return made


class Reference:
    """Energy in float64 of the loads' blocks, looped in turn, over any frames since the beginning:
    the meter's algebra with sines for weights, about the means of each block."""

    def __init__(self, board: str, blocks: list[NDArray[np.uint16]], load_frames: int) -> None:
        self._load_frames = load_frames
        self._frames = len(blocks[0])
        self._sums = [[_running_wh(board, block, k) for k in range(2)] for block in blocks]

    def _until(self, frame: int, k: int, load: int) -> float:
        """Of load number `load` alone, from the beginning to the frame."""
        turns, rest = divmod(frame, self._load_frames * len(self._sums))
        within = min(max(rest - load * self._load_frames, 0), self._load_frames)
        sums = self._sums[load][k]
        loops, part = divmod(within, self._frames)
        return float((turns * (self._load_frames // self._frames) + loops) * sums[-1] + sums[part])

    def wh(self, start: int, end: int) -> list[float]:
        """Of REGISTERS, frames [start, end)."""
        found = [0.0] * len(REGISTERS)
        for load in range(len(self._sums)):
            one, two = (self._until(end, k, load) - self._until(start, k, load) for k in range(2))
            for at, energy in ((0, one + two), (2, one), (4, two)):
                found[at + (energy < 0)] += abs(energy)
        return found


def _running_wh(board: str, block: NDArray[np.uint16], k: int) -> NDArray[np.float64]:
    """Watt-hours of element k (0 or 1) before each frame of a looped block, and after the last."""
    layout = boards.load(board)
    v, i = (("v1", "i1"), ("v2", "i2"))[k]
    period = layout.frame_ticks / layout.tick_hz
    volts, amps = (block[:, layout.slot[name]].astype(np.float64) for name in (v, i))
    volts = (volts - volts.mean()) * layout.sign[v]
    amps = (amps - amps.mean()) * layout.sign[i]
    ahead_s = (layout.slot_ns[i] - layout.slot_ns[v]) * 1e-9
    first, second = (amps, volts) if ahead_s >= 0 else (volts, amps)
    f, angle = abs(ahead_s) / period, 2 * math.pi * HERTZ * period
    delayed = math.sin((1 - f) * angle) * first + math.sin(f * angle) * np.roll(first, 1)
    watts = delayed / math.sin(angle) * second * layout.nv_per_count * layout.na_per_count * 1e-18
    return np.concatenate(([0.0], np.cumsum(watts))) * period / 3600
