"""What an honest board writes, made by the firmware itself: lines to be spoilt.

Flow: a steady load -> the firmware's meter, telemetry and capture -> TRUTHS -> hostile board.
"""

import json
from array import array
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from threewire.metering.calibration import nominal
from threewire.metering.meter import Meter
from threewire.operation.capture import Capture
from threewire.operation.report import Report
from threewire.operation.telemetry import pieces
from tools.common import boards
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.model import FrontEnd
from tools.front_end.waves import split_phase

LAYOUT = boards.load(boards.DEFAULT)
AMPS = 30.0
# Of a capture.
SECONDS = 0.12
_RATE_HZ = 24_000
_METERED_S = Fraction(5, 4)


@cache
def _codes() -> Any:
    """Frames of the load, as the sampler hands them over."""
    t = np.arange(_RATE_HZ) / _RATE_HZ
    waves = split_phase((AMPS, AMPS))
    recording = ArrayRecording(_RATE_HZ, {name: wave(t) for name, wave in waves.items()})
    blocks = FrontEnd.of(LAYOUT).codes(Source(recording, _METERED_S))
    return np.concatenate(list(blocks))


def _feed(meter: Any, codes: Any) -> None:
    meter.feed(array("H", codes.tobytes()), len(codes), LAYOUT.frame_ticks)


@cache
def telemetry() -> dict[str, Any]:
    """A report."""
    meter = Meter(LAYOUT, nominal(LAYOUT))
    for block in np.array_split(_codes(), 50):
        _feed(meter, block)
    return json.loads("".join(pieces(Report(meter))))


class _Paper:
    """A port that keeps what is written."""

    most = 4096

    def __init__(self) -> None:
        self.said = bytearray()

    def is_ready(self) -> bool:
        return True

    def write_bytes(self, data: bytes) -> None:
        self.said += data


@cache
def capture() -> tuple[dict[str, Any], ...]:
    """The lines of a capture of SECONDS, after the answer that announces them."""
    frames = int(SECONDS * LAYOUT.tick_hz) // LAYOUT.frame_ticks
    paper = _Paper()
    made = Capture(LAYOUT, lambda: Meter(LAYOUT, nominal(LAYOUT)), frames, paper)
    for block in np.array_split(_codes()[:frames], 24):
        _feed(made, block)
        made.step()
    while made.step():
        pass
    return tuple(json.loads(line) for line in paper.said.splitlines())


def announced() -> dict[str, Any]:
    """The answer before those lines."""
    return {
        "reply": "capture",
        "frames": int(SECONDS * LAYOUT.tick_hz) // LAYOUT.frame_ticks,
        "board": LAYOUT.name,
        "id": "e66058388334ab23",
        "version": "0.3.0",
        "slots": list(LAYOUT.slots),
        "tick_hz": LAYOUT.tick_hz,
        "frame_ticks": LAYOUT.frame_ticks,
        "calibration": nominal(LAYOUT).to_dict(),
    }
