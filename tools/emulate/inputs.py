"""What the emulated board's ADC sees: codes as functions of channel and emulated time.

Flow: waves, or the front end's codes -> INPUTS -> EmulatedBoard.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from threewire.metering.kernel import MID
from threewire.metering.layout import SENSOR
from tools.common import boards

_FULL = 4095
_FIRST_ADC_PIN = 26
_SENSOR = 4  # channel of the chip's temperature sensor

# Code of an ADC channel at an emulated instant in nanoseconds; None: the conversion does not end.
Inputs = Callable[[int, float], int | None]


def channels(board: str) -> dict[int, str]:
    """ADC channel -> input."""
    return {
        _SENSOR if name == SENSOR else pin - _FIRST_ADC_PIN: name
        for name, pin in boards.module(board).SLOTS
    }


def steady(levels: Mapping[str, int], board: str = boards.DEFAULT) -> Inputs:
    """The same code for ever on each input named; the others are at mid-scale."""
    codes = {channel: levels.get(name, MID) for channel, name in channels(board).items()}
    return lambda channel, nanos: codes.get(channel, MID)


class Periodic:
    """Volts and amperes as functions of time, repeated every `period_s`.

    waves   input -> function of an array of seconds, volts or amperes; absent: nothing
    step_ns what the table resolves: 1 us is 0.02 degree of 60 Hz, and alike for all inputs

    Without dither, as a noiseless converter is: use loads well above a count.
    """

    def __init__(
        self,
        waves: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]],
        period_s: float,
        board: str = boards.DEFAULT,
        step_ns: float = 1000.0,
    ) -> None:
        layout = boards.load(board)
        self._steps = round(period_s * 1e9 / step_ns)
        self._per_ns = self._steps / (period_s * 1e9)
        t = (np.arange(self._steps) + 0.5) / self._steps * period_s
        self._tables = [[MID] * self._steps for _ in range(5)]
        for channel, name in channels(board).items():
            if name in waves:
                nano = layout.nv_per_count if name[0] == "v" else layout.na_per_count
                codes = np.floor(waves[name](t) * (1e9 / nano) + MID + 0.5)
                self._tables[channel] = codes.clip(0, _FULL).astype(int).tolist()

    def __call__(self, channel: int, nanos: float) -> int:
        # Tables of Python integers: indexing an array would cost a microsecond more.
        return self._tables[channel][int(nanos * self._per_ns) % self._steps]


class Frames:
    """Codes by frame, frame 0 at the first conversion; after the last frame the ADC stands still.

    blocks: codes (n, slots) as tools/front_end/model.py makes them, taken as they are needed.
    """

    def __init__(self, blocks: Iterable[NDArray[np.uint16]], board: str) -> None:
        layout = boards.load(board)
        self._blocks: Iterator[NDArray[np.uint16]] = iter(blocks)
        self._stride = layout.stride
        self._slot = {
            channel: layout.slots.index(name) for channel, name in channels(board).items()
        }
        # Half a conversion early, so that a rounded clock cannot reach the frame before.
        self._frame_ns = layout.frame_ticks * 1e9 / layout.tick_hz
        self._early_ns = self._frame_ns / self._stride / 2
        self._start: float | None = None
        self._codes = array("H")
        self.frames: int | None = None
        """How many there were, once they are used up."""

    def __call__(self, channel: int, nanos: float) -> int | None:
        start = self._start
        if start is None:
            start = self._start = nanos - self._early_ns
        at = int((nanos - start) / self._frame_ns) * self._stride + self._slot[channel]
        while at >= len(self._codes):
            block = next(self._blocks, None)
            if block is None:
                self.frames = len(self._codes) // self._stride
                return None
            self._codes.frombytes(np.ascontiguousarray(block, np.uint16).tobytes())
        return self._codes[at]
