"""Reads .wav recordings with scipy, scaled by the .json beside them."""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.common.errors import InputError
from tools.common.files import check_keys, find_beside, json_number, read_json
from tools.recordings.types import BLOCK, INPUTS, FloatArray, Recording, channel_order

# How scipy hands out 16 bit PCM, 24 and 32 bit PCM, and float samples.
_TYPES = ("int16", "int32", "float32", "float64")


def open_wav(path: Path) -> Recording:
    """Open a PCM (16, 24 or 32 bit) or float (32 or 64 bit) WAV with the .json of the same stem.

        {"channels": [{"input": "v1", "full_scale": 400.0},
                      {"input": "i1", "full_scale": 141.4},
                      null],
         "rate_hz": 48000.0}

    channels  one entry for each channel of the WAV, in its order; null ignores a channel
    input     v1, i1, v2 or i2, each at most once
    full_scale  volts or amperes at digital full scale, above 0: a float sample of 1.0, or a PCM
              code of 2^(bits - 1), one beyond the largest
    rate_hz   optional: samples a second, when the WAV's own whole number is not exact

    The samples are mapped and stream in bounded memory, but those of 24 bit cannot be mapped: they
    are loaded here, at 7 bytes a sample and channel while opening and 4 from then on.

    Raises InputError for anything else, unknown keys included.
    """
    size = path.stat().st_size
    wav_rate_hz, data = _load(path)
    if data.dtype.name not in _TYPES:
        raise InputError(
            f"{path}: its samples are {8 * data.dtype.itemsize} bit ({data.dtype.name}); they "
            "must be 16, 24 or 32 bit PCM or 32 or 64 bit float"
        )
    if data.ndim == 1:
        data = data[:, None]  # scipy's way with a single channel
    full_scale = 2.0 ** (8 * data.dtype.itemsize - 1) if data.dtype.kind == "i" else 1.0
    json_path = find_beside(path, ".json")
    scales, rate_hz = _scales(json_path, data.shape[1], wav_rate_hz)
    channels = channel_order(path, list(scales), f"{', '.join(scales)} by {json_path.name}")
    columns = [scales[name][0] for name in channels]
    gains = np.array([[scales[name][1]] for name in channels])

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        for at in range(start, stop, BLOCK):
            if path.stat().st_size < size:
                return  # Recording says that the data end early; touching the map would be fatal
            with np.errstate(all="ignore"):  # what overflows is refused in blocks()
                piece = data[at : min(at + BLOCK, stop), columns].T / full_scale * gains
            yield piece

    return Recording(path, rate_hz, len(data), channels, read)


class _Whole(io.BufferedReader):
    """A file whose reads are whole or fail: scipy would take a chunk cut short for a shorter."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation  # has scipy read() the data too, not leave them to numpy

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(super().fileno()).st_size - self.tell()
        # scipy looks for the 4 letters of another chunk at the end, too.
        if size is not None and size > max(left, 4):
            raise EOFError(f"it is cut short, {left} of {size} bytes of data")
        return super().read(size)


def _load(path: Path) -> tuple[int, NDArray[Any]]:
    """(rate, samples) as scipy gives them, mapped when they can be."""
    from scipy.io import wavfile  # here, because only WAV files should wait for its import

    with warnings.catch_warnings():
        # Of chunks it skips, and of trailing ones cut off: neither concerns the samples.
        warnings.simplefilter("ignore", wavfile.WavFileWarning)
        with contextlib.suppress(Exception):
            rate_hz, data = wavfile.read(path, mmap=True)
            return rate_hz, np.asarray(data)
        # 24 bit, or bad: the second attempt finds out why.
        try:
            with _Whole(io.FileIO(path)) as file:
                return wavfile.read(file)
        except OSError:
            raise
        except (UnboundLocalError, ZeroDivisionError):  # no such chunk; no channels
            why = "its fmt or its data chunk is missing or damaged"
        except Exception as error:  # a damaged header leads anywhere
            why = str(error)
    raise InputError(f"{path}: is not a WAV that can be read ({why}); copy or export it again")


def _scales(
    path: Path, columns: int, rate_hz: float
) -> tuple[dict[str, tuple[int, float]], float]:
    """({input: (column, full scale)}, rate_hz) from the .json."""
    found = read_json(path, "channel map")
    check_keys(path, "the channel map", found, ("channels", "rate_hz"))
    entries: Any = found.get("channels")
    if not isinstance(entries, list) or len(entries) != columns:
        raise InputError(
            f'{path}: "channels" must be a list of {columns}, one entry for each channel of '
            'the .wav, like {"input": "v1", "full_scale": 400.0} or null'
        )
    scales: dict[str, tuple[int, float]] = {}
    for column, entry in enumerate(entries):
        if entry is None:
            continue
        where = f"channels[{column}]"
        if not isinstance(entry, dict):
            raise InputError(
                f'{path}: {where} is {entry!r}; it must be like {{"input": "v1", "full_scale": '
                "400.0} or null"
            )
        check_keys(path, where, entry, ("input", "full_scale"))
        name = entry.get("input")
        if name not in INPUTS or name in scales:
            raise InputError(
                f"{path}: {where}.input is {name!r}; it must be one of {', '.join(INPUTS)}, each "
                "once"
            )
        full_scale = json_number(path, f"{where}.full_scale", entry.get("full_scale"))
        if full_scale < 0:
            raise InputError(f"{path}: {where}.full_scale is {full_scale}; it must be above 0")
        scales[name] = column, full_scale
    if "rate_hz" in found:
        return scales, json_number(path, "rate_hz", found["rate_hz"])
    return scales, float(rate_hz)
