"""A recording on the meter's time line: cut to a length, or looped over whole mains cycles.

Sample k of a recording at rate R stands for the time [k, k + 1)/R from its left edge, so that N
samples cover exactly N/R seconds. First stage of a replay: recording -> Source -> front end.
"""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tools.recordings.types import INPUTS

Floats = NDArray[np.float64]

# A loop of up to this many samples is kept in memory and repeated from there (4 MB of float64).
_LOOP_IN_MEMORY = 1 << 17
# An unlooped recording's frequency is taken from its first minute: nothing rests on more.
_FREQUENCY_SECONDS = 60
_HZ_MIN, _HZ_MAX = 45.0, 65.0
# Raw zero crossings closer than this are one noisy crossing (a 65 Hz cycle lasts 15.4 ms).
_SAME_CROSSING_S = 0.011
# To meet whole cycles better, a loop may leave out this share of the recording's cycles.
_LOOP_MAY_DROP = 0.1
_LOOP_GOOD_CYCLES = 1e-3
# Beyond each end of an unlooped recording this many samples are an odd reflection, then held.
_REFLECTED = 128


class Recording(Protocol):
    """What a replay needs of a recording; `tools.recordings` reads such objects from files."""

    @property
    def path(self) -> str | Path: ...

    @property
    def rate_hz(self) -> float: ...

    @property
    def samples(self) -> int: ...

    @property
    def channels(self) -> tuple[str, ...]: ...

    @property
    def seconds(self) -> float: ...

    @property
    def skew_s(self) -> tuple[float, ...]: ...

    @property
    def nominal_hz(self) -> float | None: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = 65536
    ) -> Iterator[Floats]: ...


class MadeRecording:
    """What a recording that was made, not recorded, has no doubts about: Recording's rest."""

    skew_s: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    nominal_hz: float | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ArrayRecording(MadeRecording):
    """A recording held in memory, all channels sampled at once.

    rate_hz: samples a second. signals: "v1", "i1" and perhaps "v2", "i2", arrays of one length,
    volts and amperes. Raises ValueError on other names or on lengths that differ.
    """

    def __init__(
        self, rate_hz: float, signals: Mapping[str, ArrayLike], path: str = "<memory>"
    ) -> None:
        channels = INPUTS[: len(signals)]
        if set(channels) != set(signals) or len(channels) not in (2, 4):
            raise ValueError(f"{path}: channels {sorted(signals)}: expected v1 i1 or v1 i1 v2 i2")
        arrays = [np.asarray(signals[name], dtype=np.float64) for name in channels]
        if len({a.shape for a in arrays}) != 1 or arrays[0].ndim != 1 or not arrays[0].size:
            raise ValueError(f"{path}: channels must be one-dimensional and of one length")
        self.path = path
        self.rate_hz = float(rate_hz)
        self.channels: tuple[str, ...] = channels
        self.samples: int = arrays[0].size
        self._data = np.zeros((4, self.samples))
        self._data[: len(arrays)] = arrays

    @property
    def seconds(self) -> float:
        return self.samples / self.rate_hz

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = 65536
    ) -> Iterator[Floats]:
        """Blocks (4, n <= size) of v1, i1, v2, i2; zeros for an absent element."""
        stop = self.samples if stop is None else min(stop, self.samples)
        for at in range(start, stop, size):
            yield self._data[:, at : min(at + size, stop)]


def _rising(row: Floats, first: int) -> Floats:
    """Where `row` crosses zero upwards, in samples counted with row[0] at index `first`."""
    at = np.flatnonzero((row[:-1] < 0) & (row[1:] >= 0))
    return first + at + row[at] / (row[at] - row[at + 1])


def _thin(crossings: Floats, gap: float) -> Floats:
    """`crossings` without those that follow the last one kept by less than `gap`."""
    if crossings.size < 2 or np.diff(crossings).min() >= gap:
        return crossings
    kept = [float(crossings[0])]
    for at in crossings[1:].tolist():
        if at - kept[-1] >= gap:
            kept.append(at)
    return np.array(kept)


def _hertz(crossings: Floats, rate_hz: float) -> float | None:
    """The frequency of a train of rising crossings (in samples), or None if it is not mains.

    Only intervals within 10 % of the median count, so that a line that was dead for a while does
    not disturb; they must be most of all intervals.
    """
    intervals = np.diff(crossings)
    if not intervals.size:
        return None
    # np.median would import numpy.ma, which takes as long as the rest of a short replay's start.
    ordered = np.sort(intervals)
    median = float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    good = intervals[np.abs(intervals - median) <= 0.1 * median]
    # Of two intervals that differ much neither is near the median.
    if 2 * good.size < intervals.size:
        return None
    hertz = rate_hz * good.size / float(good.sum())
    return hertz if _HZ_MIN <= hertz <= _HZ_MAX else None


def mains_frequency(recording: Recording, stop: int | None = None) -> float | None:
    """Mains frequency in hertz from v1's zero crossings (v2's if v1 shows none), 45 to 65 Hz.

    Uses samples 0 to `stop` (all by default), interpolated linearly at each crossing. None if
    neither voltage crosses zero regularly.
    """
    gap = _SAME_CROSSING_S * recording.rate_hz
    found: tuple[list[Floats], list[Floats]] = ([], [])
    last: Floats | None = None
    first = 0
    for block in recording.blocks(0, stop):
        volts = block[0::2]
        joined = volts if last is None else np.concatenate((last, volts), axis=1)
        for row, crossings in zip(joined, found, strict=True):
            crossings.append(_thin(_rising(row, first - (last is not None)), gap))
        first += block.shape[1]
        last = volts[:, -1:].copy()
    for crossings in found:
        if crossings:
            hertz = _hertz(_thin(np.concatenate(crossings), gap), recording.rate_hz)
            if hertz is not None:
                return hertz
    return None


def loop_length(samples: int, samples_per_cycle: float) -> int:
    """The samples of the longest good loop: as near to a whole number of cycles as they come.

    Looks among the whole numbers of cycles that leave out less than a tenth of the recording and
    prefers the longest of those within 0.001 cycle of the best. `samples` if none fits.
    """
    most = int((samples + 0.5) / samples_per_cycle)
    if most < 1:
        return samples
    cycles = np.arange(most, max(0, math.ceil(most * (1 - _LOOP_MAY_DROP)) - 1), -1)
    exact = cycles * samples_per_cycle
    miss = np.abs(np.rint(exact) - exact)
    best = int(np.flatnonzero(miss <= miss.min() + _LOOP_GOOD_CYCLES * samples_per_cycle)[0])
    return min(samples, int(np.rint(exact[best])))


class Source:
    """A recording cut or looped to `duration` seconds, read block by block.

    duration None is the whole recording once. A duration beyond the recording's own repeats it
    over whole mains cycles (over all of it if it has no mains frequency). Raises ValueError if the
    duration or the recording is empty.
    """

    def __init__(
        self, recording: Recording, duration: float | Fraction | str | None = None
    ) -> None:
        self.recording = recording
        self.rate_hz = float(recording.rate_hz)
        self.rate = Fraction(self.rate_hz)
        own = recording.samples / self.rate
        self.duration: Fraction = own if duration is None else Fraction(duration)
        if self.duration <= 0:
            what = "no samples" if duration is None else f"duration {duration} s"
            raise ValueError(f"{recording.path}: {what}: expected more than nothing")
        self.loop_samples: int | None = None
        self._tiled: Floats | None = None
        if self.duration > own:
            self.mains_hz = mains_frequency(recording)
            self.loop_samples = recording.samples
            if self.mains_hz is not None:
                self.loop_samples = loop_length(recording.samples, self.rate_hz / self.mains_hz)

    @cached_property
    def mains_hz(self) -> float | None:
        """The recording's mains frequency in hertz, None if it shows none."""
        return mains_frequency(
            self.recording, min(self.recording.samples, int(_FREQUENCY_SECONDS * self.rate_hz) + 1)
        )

    def loop(self) -> Floats | None:
        """One turn of the loop, (4, loop_samples), or None if not looped or too long to keep."""
        if self.loop_samples is None or self.loop_samples > _LOOP_IN_MEMORY:
            return None
        if self._tiled is None or self._tiled.shape[1] < self.loop_samples:
            self._tiled = np.concatenate(list(self.recording.blocks(0, self.loop_samples)), axis=1)
        return self._tiled[:, : self.loop_samples]

    def blocks(self, size: int = 65536, until: float | Fraction | None = None) -> Iterator[Floats]:
        """Consecutive blocks (4, n <= size) of v1, i1, v2, i2 that cover the duration.

        The last sample's rectangle may reach beyond `until` (seconds from the left edge; the
        duration by default). An unlooped recording ends with its last sample in any case. Blocks
        may be views: do not write to them.
        """
        end = math.ceil((self.duration if until is None else Fraction(until)) * self.rate)
        if self.loop_samples is None:
            end = min(end, self.recording.samples)
        return self.extended(0, end, size)

    def extended(self, start: int, stop: int, size: int = 65536) -> Iterator[Floats]:
        """As `blocks`, over samples [start, stop) of the signal continued beyond its ends.

        A loop continues periodically; an unlooped recording by odd reflection about its first and
        last sample (level and slope go on smoothly): from -128 on, and after its end for 128
        samples, then held.
        """
        if self.loop_samples is None:
            yield from self._reflected(start, stop, size)
            return
        turn = self.loop_samples
        loop = self.loop()
        if loop is None:
            while start < stop:
                at = start % turn
                end = min(turn, at + stop - start)
                yield from self.recording.blocks(at, end, size)
                start += end - at
            return
        if self._tiled is None or self._tiled.shape[1] < turn + size - 1:
            self._tiled = np.tile(loop, 1 + math.ceil((size - 1) / turn))
        for at in range(start, stop, size):
            index = at % turn
            yield self._tiled[:, index : index + min(size, stop - at)]

    def _reflected(self, start: int, stop: int, size: int) -> Iterator[Floats]:
        samples = self.recording.samples
        if start < 0:
            yield self._margin(0)[:, start : min(stop, 0) or None]
        inner = max(start, 0)
        if inner < min(stop, samples):
            yield from self.recording.blocks(inner, min(stop, samples), size)
        if stop > samples:
            beyond = self._margin(1)
            for at in range(max(start, samples) - samples, stop - samples, size):
                wanted = np.arange(at, min(at + size, stop - samples))
                yield beyond[:, np.minimum(wanted, _REFLECTED - 1)]

    def _margin(self, end: int) -> Floats:
        """The odd reflection before (end 0) or after (end 1) the recording, (4, _REFLECTED)."""
        samples = self.recording.samples
        known = min(samples, _REFLECTED + 1)
        first = (samples - known) * end
        edge = np.concatenate(list(self.recording.blocks(first, first + known)), axis=1)
        if known == 1:
            return np.repeat(edge, _REFLECTED, axis=1)
        width = ((0, 0), (0, _REFLECTED) if end else (_REFLECTED, 0))
        padded = np.pad(edge, width, mode="reflect", reflect_type="odd")
        return padded[:, known:] if end else padded[:, :_REFLECTED]
