"""A recording at the emulated board's pins, over and over.

Flow: recording -> front end (a code for each instant) -> LOOPED -> EmulatedBoard.
"""

from array import array
from fractions import Fraction

import numpy as np

from threewire.metering.kernel import MID
from tools.common import boards
from tools.emulate.inputs import channels
from tools.front_end.looping import Recording, Source
from tools.front_end.model import FrontEnd

# Longer than anybody lets it run, a hundred days.
_SECONDS = 8_640_000
_CELLS = 1 << 15
# Conversions further apart than this belong to different runs of the sampler.
_PAUSE_NS = 1e6


class Looped:
    """What the ADC converts of a recording that begins at emulated second 0 and is looped over
    whole mains cycles.  Instants must not go backwards.

    turned  whether CT 1, and CT 2, are turned round

    Time is divided into cells of the sampler's own length between two conversions, each with a
    code of every input as it is in the cell's middle (ideal converter, with dither).  A run of the
    sampler begins in the middle of one, so that no conversion is on the edge between two, and all
    inputs are taken equally early or late, by half a cell at most.
    """

    def __init__(self, recording: Recording, board: str, turned: tuple[bool, bool]) -> None:
        layout = boards.load(board)
        cell = Fraction(layout.frame_ticks, layout.tick_hz) / layout.stride
        names = list(channels(board).values())
        front_end = FrontEnd.of(
            layout,
            inputs=names,
            offsets_s=[0.0] * len(names),
            frame_period=cell,
            swap_ct=turned,
        )
        self._column = {channel: k for k, channel in enumerate(channels(board))}
        self._columns = len(names)
        self._per_ns = float(1 / cell) / 1e9
        self._blocks = front_end.codes(Source(recording, Fraction(_SECONDS)), _CELLS)
        self._codes = array("H")
        self._first = 0  # cell that these begin with
        self._last_ns = -2 * _PAUSE_NS
        self._run_ns = 0.0  # when the sampler's run has begun,
        self._run_cell = 0  # and in which cell

    def __call__(self, channel: int, nanos: float) -> int:
        column = self._column.get(channel)
        if column is None:
            return MID
        if nanos - self._last_ns > _PAUSE_NS:
            self._run_ns = nanos
            self._run_cell = int(nanos * self._per_ns)
        self._last_ns = nanos
        cell = self._run_cell + int((nanos - self._run_ns) * self._per_ns + 0.5)
        at = (cell - self._first) * self._columns + column
        while at >= len(self._codes):
            at -= len(self._codes)
            self._first += len(self._codes) // self._columns
            self._codes = array("H", np.ascontiguousarray(next(self._blocks)).tobytes())
        return self._codes[at]
