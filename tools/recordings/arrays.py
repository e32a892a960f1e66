"""Makes recordings of named arrays in a scientific container: .mat, .h5 and .hdf5, .tdms.

Flow: a container's arrays -> ARRAYS -> Recording.  Each is named by its path in the container.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tools.common.errors import InputError
from tools.recordings import ranges
from tools.recordings.channel_map import Column, choose_channels
from tools.recordings.stamps import TICK_S, Stamps, check_rates, hole_in
from tools.recordings.types import BLOCK, FloatArray, Recording

# What holds the rate, and the time between two samples, as PicoScope and others call them.
_RATES = ("rate_hz", "fs", "sample_rate", "samplerate", "sampling_rate")
_INTERVALS = ("tinterval", "dt", "sample_interval", "wf_increment", "interval")
_TIMES = ("time", "t")


@dataclass
class Container:
    """What a container holds.

    columns  names and units of the one-dimensional arrays of numbers; lengths  of each
    numbers  single numbers by name, in lower case; warnings  for the user
    start_s  of the first sample, as types.Recording has it
    reading  a context in which arrays, by name, can be sliced
    """

    reading: Callable[[], AbstractContextManager[Callable[[str], Any]]]
    columns: list[Column] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    start_s: float | None = None

    def add(self, name: str, unit: str, array: Any) -> None:
        """Takes note of what is one-dimensional numbers, or one number; of nothing else."""
        shape = tuple(n for n in array.shape if n != 1)
        if getattr(array.dtype, "kind", "O") not in "fiu" or len(shape) > 1:
            return
        if shape:
            self.columns.append(Column(name, unit))
            self.lengths.append(shape[0])
        else:
            value = np.asarray(array[()], np.float64).reshape(-1)
            self.numbers[name.rsplit("/", 1)[-1].lower()] = float(value[0])


def recording_of(path: Path, container: Container) -> Recording:
    """The recording in a container. Raises InputError for what is none, or contradicts itself."""
    columns = container.columns
    if not columns:
        raise InputError(
            f"{path}: holds no vectors of numbers; it must have v1 and i1, or others that the "
            ".json beside it names"
        )
    # Where all arrays lie in one folder, its name says nothing.
    folders = {column.name.rpartition("/")[0] for column in columns}
    paths = [column.name for column in columns]
    shown = [
        Column(c.name.rpartition("/")[2], c.unit, c.name) if len(folders) == 1 else c
        for c in columns
    ]
    lower = [column.name.rsplit("/", 1)[-1].lower() for column in columns]
    time = next((lower.index(name) for name in _TIMES if lower.count(name) == 1), None)
    choice = choose_channels(path, shown, ignored=time)
    lengths = {container.lengths[index] for index in choice.indices}
    if len(lengths) > 1:
        told = ", ".join(
            f"{name} {container.lengths[index]}"
            for name, index in zip(choice.names, choice.indices)
        )
        raise InputError(f"{path}: channels differ in length ({told} samples); make them equal")
    samples = lengths.pop()
    notes = list(choice.notes)
    rates = _rates(path, container, choice.rate_hz)
    if time is not None and container.lengths[time] == samples:
        stamps = _stamps(path, container, paths[time])
        if stamps and (told := stamps.rate_hz):
            if not rates:
                notes.append(f"{told:g} samples a second by the times in {paths[time]}")
            rates[paths[time]] = told
    if not rates:
        raise InputError(
            f"{path}: has no {' or '.join(_RATES[:2])}, no {_INTERVALS[0]} and no times; give "
            '"rate_hz" in the .json beside it'
        )
    check_rates(path, rates)
    rate_hz = next(iter(rates.values()))
    wanted = [paths[index] for index in choice.indices]
    factors = np.array(choice.factors)[:, None]

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        with container.reading() as array:
            arrays = [array(name) for name in wanted]
            for at in range(start, stop, BLOCK):
                end = min(at + BLOCK, stop)
                piece = np.stack([_slice(a, at, end) for a in arrays])
                with np.errstate(all="ignore"):  # what overflows is refused, with its place
                    yield piece * factors

    return Recording(
        path,
        rate_hz,
        samples,
        choice.names,
        read,
        warnings=tuple(container.warnings),
        notes=tuple(notes),
        start_s=container.start_s,
    )


def _slice(array: Any, start: int, stop: int) -> FloatArray:
    """Part of a vector, or of a matrix of one row or column."""
    shape = getattr(array, "shape", (len(array),))
    if len(shape) < 2:
        return np.asarray(array[start:stop], np.float64)
    index = tuple(slice(start, stop) if n != 1 else slice(None) for n in shape)
    return np.asarray(array[index], np.float64).reshape(-1)


def _rates(path: Path, container: Container, asked: float | None) -> dict[str, float]:
    """Samples a second by each who says it, the .json first."""
    rates = {} if asked is None else {"the .json": asked}
    for names, is_interval in ((_RATES, False), (_INTERVALS, True)):
        for name in names:
            value = container.numbers.get(name)
            if value is None:
                continue
            if is_interval:
                ranges.INTERVAL_S.check(path, name, value)
            else:
                ranges.RATE_HZ.check(path, name, value)
            rates[name] = 1 / value if is_interval else value
    return rates


def _stamps(path: Path, container: Container, name: str) -> Stamps | None:
    stamps = Stamps(TICK_S)
    with container.reading() as array:
        times = array(name)
        length = max(getattr(times, "shape", (len(times),)))
        first = float(_slice(times, 0, 1)[0])
        for at in range(0, length, BLOCK):
            if not stamps.add_seconds(_slice(times, at, min(at + BLOCK, length)) - first):
                return None
    if hole := stamps.hole:
        raise hole_in(path, f"the times in {name} jump", hole[1], f"sample {hole[0]}")
    return stamps
