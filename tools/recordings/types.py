"""What a recording is once it is open, and the checks every file format shares.

The readers (npz.py and its siblings) parse a file's header and make a Recording or
a Capture of it; the replay pulls blocks of samples from that, never the whole file.
"""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.common.errors import InputError
from tools.common.files import reason
from tools.common.ranges import shown
from tools.recordings import ranges

# Rows of a block, whatever the order in the file.
INPUTS = ("v1", "i1", "v2", "i2")

# A power is only as good as the samples in a cycle: under ten, the fifth harmonic folds back.
SAMPLES_PER_CYCLE = 10
LEAST_SAMPLES = int(ranges.SAMPLES.least)
BLOCK = 65536

FloatArray = NDArray[np.float64]
# (start, stop) -> float64 pieces of shape (channels, n), n of the reader's choosing.
Reader = Callable[[int, int], Iterator[FloatArray]]


def _whole_frames(frames: float) -> int:
    """How many begin within the time of so many, but for what floats are off."""
    return math.ceil(frames - 1e-6)


def unit_of(name: str) -> str:
    """The unit of an input, in words: "volts" for v1 and v2, "amperes" for i1 and i2."""
    return "volts" if name[0] == "v" else "amperes"


@dataclass(frozen=True)
class Recording:
    """Waveforms in volts and amperes at the meter's terminals, streamed from a file.

    rate_hz  samples a second of each channel, in ranges.RATE_HZ
    samples  number of samples of each channel, in ranges.SAMPLES; of ranges.SECONDS in all
    channels ("v1", "i1") or ("v1", "i1", "v2", "i2")
    skew_s   by how many seconds each of v1 i1 v2 i2 was sampled later than the rest says, at most
             ranges.SKEW_SAMPLES
    nominal_hz  the mains frequency that the file names, or None
    warnings, notes  one line each, for the user: what may be wrong with the file; what has been
             chosen, left out or taken for granted
    start_s  when its first sample was taken by the recorder's clock, in seconds since 1970, or
             None: only differences mean anything

    Making one raises InputError when one of these is out of its range. `read` and `where` are
    the file format's own: its pieces, and its words for the place of a sample.
    """

    path: Path
    rate_hz: float
    samples: int
    channels: tuple[str, ...]
    read: Reader
    where: Callable[[int], str] = "sample {}".format
    skew_s: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    nominal_hz: float | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    start_s: float | None = None

    def __post_init__(self) -> None:
        _check_extent(self.path, self.rate_hz, self.samples)
        for name, skew_s in zip(INPUTS, self.skew_s):
            most = ranges.SKEW_SAMPLES.most
            if skew_s * self.rate_hz not in ranges.SKEW_SAMPLES:
                raise InputError(
                    f"{self.path}: {name} is said to be sampled {skew_s * 1e6:g} us late; at "
                    f"most {most:g} samples, {most / self.rate_hz * 1e6:g} us, can be"
                )

    @property
    def seconds(self) -> float:
        """Length in seconds: samples / rate_hz."""
        return self.samples / self.rate_hz

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = BLOCK
    ) -> Iterator[FloatArray]:
        """Samples start <= k < stop, in order, as float64 arrays of shape (4, n).

        Rows are v1, i1, v2, i2 in volts and amperes, zeros where element 2 is absent. n is `size`,
        and less only in the last block. Each call reads the file anew; a stop of None or beyond
        the end means the end. Memory is bounded by `size`, not by the
        file.

        Raises InputError while iterating when the file turns out bad: a sample that is not a
        number, not finite or not in ranges.VOLTS or AMPERES, damaged data, data that end early.
        ValueError, at once, for a start below 0 or a size below 1.
        """
        if start < 0 or size < 1:
            raise ValueError(f"start {start} must be at least 0 and size {size} at least 1")
        stop = self.samples if stop is None else min(stop, self.samples)
        return self._blocks(start, stop, size)

    def _blocks(self, start: int, stop: int, size: int) -> Iterator[FloatArray]:
        if start >= stop:
            return
        rows = [INPUTS.index(name) for name in self.channels]
        block = np.zeros((4, min(size, stop - start)))
        filled = 0
        at = start
        try:
            for piece in self.read(start, stop):
                self._check(piece, at)
                if not filled and piece.shape == block.shape:
                    # All four, in order, and just as many as are wanted: no copy is needed.
                    at += piece.shape[1]
                    yield piece
                    if size > stop - at:
                        block = np.zeros((4, stop - at))
                    continue
                used = 0
                while used < piece.shape[1]:
                    n = min(piece.shape[1] - used, block.shape[1] - filled)
                    block[rows, filled : filled + n] = piece[:, used : used + n]
                    used += n
                    filled += n
                    at += n
                    if filled == block.shape[1]:
                        yield block
                        block = np.zeros((4, min(size, stop - at)))
                        filled = 0
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({reason(error)})") from error
        if at < stop:
            raise InputError(
                f"{self.path}: ends at sample {at} of {self.samples}; it is cut short or is still "
                "being written"
            )

    def _check(self, piece: FloatArray, first: int) -> None:
        # One comparison catches NaN, infinity and nonsense: no comparison with NaN is true.
        most = np.array([[ranges.of_input(name).most] for name in self.channels])
        fits = np.abs(piece) <= most
        if fits.all():
            return
        k = int(np.argmin(fits.all(axis=0)))
        row = int(np.argmin(fits[:, k]))
        name = self.channels[row]
        raise InputError(
            f"{self.path}: {name} is {float(piece[row, k])} at {self.where(first + k)}; every "
            f"sample must be a finite number of {unit_of(name)}, {ranges.of_input(name)}"
        )


@dataclass(frozen=True)
class Capture:
    """Raw ADC codes made on a board by tools.capture, streamed from its .npz.

    frames      number of frames, in ranges.SAMPLES
    board       name of the board file
    slots       names of the inputs in the order in which a frame converts them
    frame_ticks, tick_hz  a frame lasts exactly frame_ticks / tick_hz seconds; ranges.TICK_HZ and
                FRAME_HZ hold them
    calibration JSON text of the calibration then in force, or None
    spans       (n, 2): frames, and ticks of each, of each run of frames of one length, where they
                are not all of the one above: a timer's are as long as they have been; else empty
    energy      what the board's own meter has made of the frames, JSON text as
                firmware/threewire/operation/capture.py writes it, or None
    board_id    the identity of the very board, hexadecimal digits, or None
    first       the file's frame with which it begins
    """

    path: Path
    frames: int
    board: str
    slots: tuple[str, ...]
    frame_ticks: int
    tick_hz: int
    calibration: str | None
    read: Callable[[int, int], Iterator[NDArray[np.uint16]]]
    spans: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    energy: str | None = None
    board_id: str | None = None
    first: int = 0

    def __post_init__(self) -> None:
        path = self.path
        ranges.TICK_HZ.check(path, "tick_hz", self.tick_hz)
        ranges.SAMPLES.check(path, "the number of frames", self.frames)
        ranges.FRAME_HZ.check(path, f"tick_hz over frame_ticks {self.frame_ticks}", self.rate_hz)
        ranges.SPANS.check(path, "the number of spans", len(self.spans))
        if len(self.spans):
            self._check_spans()
        ranges.CAPTURE_SECONDS.check(path, "its length", self.seconds)

    def _check_spans(self) -> None:
        frames, ticks = self.spans.T
        if frames.min() < 1 or ticks.min() < 1:
            raise InputError(
                f"{self.path}: spans has a value below 1; frames and ticks are positive"
            )
        # One by one and in floats no sum can overflow before it is known to be small.
        if float(frames.sum(dtype=np.float64)) != self.frames:
            raise InputError(
                f"{self.path}: its spans hold {shown(sum(map(int, frames)))} frames, "
                f"its codes {self.frames}; they must be as many"
            )
        most = int(ranges.SPANS_A_SECOND.most)
        ends = np.cumsum(frames)
        if len(ends) > most and (ends[most:] - ends[:-most]).min() < self.rate_hz:
            raise InputError(
                f"{self.path}: more than {ranges.SPANS_A_SECOND.most} spans within a second's "
                f"frames; frames of one length must be one span, of blocks of a timer's frames"
            )
        for value in (ticks.min(), ticks.max()):
            ranges.FRAME_S.check(
                self.path, f"a frame of {int(value)} ticks in spans", int(value) / self.tick_hz
            )

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return self.tick_hz / self.frame_ticks

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        ticks = float(self.frames * self.frame_ticks)
        if len(self.spans):
            ticks = float(np.prod(self.spans, axis=1, dtype=np.float64).sum())
        return ticks / self.tick_hz

    def since(self, from_s: float) -> "Capture":
        """The same without the frames that begin before from_s seconds, and without the energy of
        all of them. Raises InputError where that leaves fewer than a capture must have."""
        spans = self.spans
        if len(spans):
            ends = np.cumsum(spans[:, 0] * spans[:, 1]) / self.tick_hz
            whole = int(np.searchsorted(ends, from_s, "right"))
            left_s = from_s - (float(ends[whole - 1]) if whole else 0.0)
            gone = int(spans[:whole, 0].sum())
            if whole < len(spans):
                part = _whole_frames(left_s * self.tick_hz / float(spans[whole, 1]))
                gone += part
                spans = spans[whole:].copy()
                spans[0, 0] -= part
                spans = spans[spans[:, 0] > 0]
        else:
            gone = _whole_frames(from_s * self.rate_hz)
        if self.frames - gone < LEAST_SAMPLES:
            raise InputError(
                f"{self.path}: ends at {self.seconds:.10g} s, and is to be replayed from "
                f"{from_s:g} s on: begin before its end"
            )
        return replace(
            self, frames=self.frames - gone, spans=spans, energy=None, first=self.first + gone
        )

    def blocks(self, size: int = BLOCK) -> Iterator[NDArray[np.uint16]]:
        """All frames in order, as uint16 arrays of shape (n, slots); n is `size` but in the last.

        Each call reads the file anew. Raises InputError while iterating when the data turn out
        damaged, or a code beyond the 12 bits of ranges.CODE; ValueError, at once, for a size below
        1.
        """
        if size < 1:
            raise ValueError(f"size {size} must be at least 1")
        return self._blocks(size)

    def _blocks(self, size: int) -> Iterator[NDArray[np.uint16]]:
        first = self.first
        for block in self.read(first, size):
            if block.size and block.max() > ranges.CODE.most:
                frame, slot = np.argwhere(block > ranges.CODE.most)[0]
                ranges.CODE.check(
                    self.path,
                    f"the code of {self.slots[slot]} in frame {first + frame}",
                    int(block[frame, slot]),
                )
            yield block
            first += len(block)


def _check_extent(path: Path, rate_hz: float, samples: int) -> None:
    if rate_hz not in ranges.RATE_HZ:
        raise InputError(
            f"{path}: rate_hz is {shown(rate_hz)}; it must be {ranges.RATE_HZ}, "
            f"{SAMPLES_PER_CYCLE} a cycle of 45 Hz mains and more"
        )
    if samples < ranges.SAMPLES.least:
        raise InputError(f"{path}: holds {samples} samples; at least 4 are needed")
    ranges.SAMPLES.check(path, "the number of samples", samples)
    ranges.SECONDS.check(path, "its length", samples / rate_hz)


def check_rate(path: str | Path, rate_hz: float, mains_hz: float) -> None:
    """InputError unless rate_hz gives SAMPLES_PER_CYCLE samples to a cycle of mains_hz.

    For the replay, once it has measured the mains frequency; opening a file only knows the floor
    for the slowest mains.
    """
    least = SAMPLES_PER_CYCLE * mains_hz
    if not rate_hz >= least:
        raise InputError(
            f"{path}: {rate_hz:g} samples a second are {rate_hz / mains_hz:.3g} a cycle of its "
            f"{mains_hz:g} Hz mains; at least {SAMPLES_PER_CYCLE} a cycle are needed, {least:g} "
            "a second"
        )


def channel_order(path: Path, names: Collection[str], found: str) -> tuple[str, ...]:
    """The channels of a recording in the order of INPUTS, from the names a file holds.

    Other names are ignored. `found` tells the user what there is. Raises InputError unless there
    are v1 and i1, and either both or none of v2 and i2.
    """
    for name in ("v1", "i1"):
        if name not in names:
            raise InputError(f"{path}: has no {name}; it must have v1 and i1, but holds {found}")
    has = [name in names for name in ("v2", "i2")]
    if any(has) and not all(has):
        there, absent = ("v2", "i2") if has[0] else ("i2", "v2")
        raise InputError(
            f"{path}: has {there} but no {absent}; give both, or neither for one element"
        )
    return INPUTS if all(has) else INPUTS[:2]
