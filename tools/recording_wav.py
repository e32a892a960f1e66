"""Reads .wav recordings, scaled by the .json beside them.

The RIFF chunks are walked here, not by the wave module: it knows no float samples, and
before Python 3.12 not the extensible header that 24-bit files commonly have.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tools.errors import InputError
from tools.input_files import check_keys, find_beside, json_number, read_json
from tools.recording_types import BLOCK, INPUTS, FloatArray, Recording, channel_order

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


@dataclass(frozen=True)
class _Wave:
    """What the chunks say: the sample format, and where the data are."""

    rate_hz: int
    channels: int
    is_float: bool
    bits: int
    offset: int
    samples: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.bits // 8


def open_wav(path: Path) -> Recording:
    """Open a PCM (16, 24 or 32 bit) or float (32 bit) WAV with the .json of the same stem.

        {"channels": [{"input": "v1", "full_scale": 400.0},
                      {"input": "i1", "full_scale": 141.4},
                      null],
         "rate_hz": 48000.0}

    channels  one entry for each channel of the WAV, in its order; null ignores a channel
    input     v1, i1, v2 or i2, each at most once
    full_scale  volts or amperes at digital full scale, above 0: a float sample of 1.0, or a PCM
              code of 2^(bits - 1), one beyond the largest
    rate_hz   optional: samples a second, when the WAV's own whole number is not exact

    Raises InputError for anything else, unknown keys included.
    """
    wave = _parse(path)
    json_path = find_beside(path, ".json")
    scales, rate_hz = _scales(json_path, wave)
    channels = channel_order(path, list(scales), f"{', '.join(scales)} by {json_path.name}")
    columns = [scales[name][0] for name in channels]
    gains = np.array([[scales[name][1]] for name in channels])

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        with path.open("rb") as file:
            file.seek(wave.offset + start * wave.frame_bytes)
            while start < stop:
                n = min(BLOCK, stop - start)
                data = file.read(n * wave.frame_bytes)
                if len(data) < n * wave.frame_bytes:
                    return  # Recording says that the data end early
                samples = _to_unit(data, wave).reshape(n, wave.channels).T[columns]
                with np.errstate(all="ignore"):  # what overflows is refused in blocks()
                    samples *= gains
                yield samples
                start += n

    return Recording(path, rate_hz, wave.samples, channels, read)


def _to_unit(data: bytes, wave: _Wave) -> NDArray[np.float64]:
    """Samples as fractions of full scale."""
    if wave.is_float:
        return np.frombuffer(data, "<f4").astype(np.float64)
    if wave.bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0] / 2.0**31
    return np.frombuffer(data, f"<i{wave.bits // 8}") / 2.0 ** (wave.bits - 1)


def _scales(path: Path, wave: _Wave) -> tuple[dict[str, tuple[int, float]], float]:
    """({input: (column, full scale)}, rate_hz) from the .json."""
    found = read_json(path, "channel map")
    check_keys(path, "the channel map", found, ("channels", "rate_hz"))
    entries: Any = found.get("channels")
    if not isinstance(entries, list) or len(entries) != wave.channels:
        raise InputError(
            f'{path}: "channels" must be a list of {wave.channels}, one entry for each channel of '
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
    return scales, float(wave.rate_hz)


def _parse(path: Path) -> _Wave:
    """Walk the chunks. InputError if the file is no such WAV or shorter than it says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise InputError(f"{path}: is not a WAV; it must begin with RIFF....WAVE")
        found = None
        at = 12
        while at + 8 <= size:
            file.seek(at)
            kind, length = struct.unpack("<4sI", file.read(8))
            at += 8
            if kind == b"fmt ":
                found = _format(path, file, min(length, size - at))
            elif kind == b"data":
                if found is None:
                    raise InputError(f"{path}: has data before its format; it is damaged")
                if at + length > size:
                    raise InputError(
                        f"{path}: is cut short, {size - at} of {length} bytes of data; copy it "
                        "again or rewrite its header"
                    )
                rate_hz, channels, is_float, bits = found
                return _Wave(
                    rate_hz, channels, is_float, bits, at, length // (channels * bits // 8)
                )
            at += length + length % 2  # chunks are padded to even lengths
    raise InputError(f"{path}: has no data chunk; it is cut short or not a WAV recording")


def _format(path: Path, file: BinaryIO, length: int) -> tuple[int, int, bool, int]:
    """(rate_hz, channels, is_float, bits) of a fmt chunk."""
    data = file.read(min(length, 40))
    if len(data) < 16:
        raise InputError(f"{path}: its fmt chunk has {len(data)} bytes; at least 16 are needed")
    code, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", data[:16])
    if code == _EXTENSIBLE and len(data) >= 26:
        (code,) = struct.unpack("<H", data[24:26])  # the first field of the subformat
    known = (code == _PCM and bits in (16, 24, 32)) or (code == _FLOAT and bits == 32)
    if not known:
        raise InputError(
            f"{path}: its samples are {bits} bit of format {code}; they must be 16, 24 or 32 bit "
            "PCM or 32 bit float"
        )
    if channels < 1 or frame_bytes != channels * bits // 8:
        raise InputError(
            f"{path}: its header gives {channels} channels of {bits} bit in {frame_bytes} bytes; "
            "these do not agree, it is damaged"
        )
    return rate_hz, channels, code == _FLOAT, bits
