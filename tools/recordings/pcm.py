"""Opens .wav and .flac recordings: samples are shares of full scale, which the .json tells.

Flow: chunks of a .wav, or what soundfile makes of a .flac -> PCM -> Recording.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.common.errors import InputError
from tools.recordings import ranges
from tools.recordings.channel_map import Column, choose_channels
from tools.recordings.extras import needs
from tools.recordings.types import FloatArray, Reader, Recording

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BITS = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
_PIECE_BYTES = 1 << 18  # read at once, of all channels
_PIECE = 8192  # samples of each channel, of a .flac
_IN_64 = 0xFFFFFFFF  # the size of a chunk that stands in the chunk ds64


@dataclass(frozen=True)
class _Wave:
    """Where the samples of a .wav are, and how they are written."""

    rate_hz: int
    channels: int
    bits: int
    is_float: bool
    offset: int
    bytes: int


def open_wav(path: Path) -> Recording:
    """Open a WAV of PCM (8, 16, 24, 32 bit) or float (32, 64 bit) with the .json of the same stem.

        {"channels": [{"input": "v1", "full_scale": 400.0},
                      {"input": "i1", "full_scale": 141.4},
                      null],
         "rate_hz": 48000.0}

    channels  one entry for each channel of the WAV, in its order, null ignores a channel; or
              entries with "column", a channel's number from 1
    input     v1, i1, v2 or i2, each at most once
    full_scale  volts or amperes at digital full scale, above 0: a float sample of 1.0, or a PCM
              code of 2^(bits - 1), one beyond the largest (8 bit codes are around 128); or
              scale, the same but of either sign
    rate_hz   optional: samples a second, when the WAV's own whole number is not exact

    Files of more than 4 GB (RF64) are read too. The samples stream in bounded memory. Raises
    InputError for anything else, unknown keys included.
    """
    wave = _find(path)
    frame = wave.channels * wave.bits // 8

    def read(start: int, stop: int) -> Iterator[NDArray[np.float64]]:
        with path.open("rb") as file:
            file.seek(wave.offset + start * frame)
            while start < stop:
                n = min(max(1, _PIECE_BYTES // frame), stop - start)
                data = file.read(n * frame)
                if len(data) < n * frame:
                    return  # Recording says that the data end early
                start += n
                yield _shares(data, wave).reshape(n, wave.channels).T

    return _scaled(path, wave.rate_hz, wave.bytes // frame, wave.channels, read)


def open_flac(path: Path) -> Recording:
    """Open a FLAC with the .json of the same stem, as a .wav's. Needs the package soundfile.

    Streams in bounded memory. Raises InputError.
    """
    soundfile = needs(path, "soundfile")
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, samples, channels = file.samplerate, file.frames, file.channels
            if file.format != "FLAC":
                raise InputError(f"{path}: is {file.format} inside; a .flac must be FLAC")
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: is no FLAC that can be read ({error})") from error

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        try:
            with soundfile.SoundFile(path) as file:
                file.seek(start)
                while start < stop:
                    found = file.read(min(_PIECE, stop - start), dtype="float64", always_2d=True)
                    if not len(found):
                        return  # Recording says that the data end early
                    start += len(found)
                    yield found.T
        except soundfile.SoundFileError as error:
            raise InputError(f"{path}: is damaged ({error}); copy it again") from error

    return _scaled(path, rate_hz, samples, channels, read)


def _scaled(path: Path, rate_hz: float, samples: int, channels: int, read: Reader) -> Recording:
    """A Recording of samples that are shares of full scale, -1 to 1."""
    columns = [Column(f"channel {k + 1}") for k in range(channels)]
    choice = choose_channels(path, columns, full_scale=True)
    indices = list(choice.indices)
    gains = np.array(choice.factors)[:, None]

    def scaled(start: int, stop: int) -> Iterator[FloatArray]:
        for piece in read(start, stop):
            with np.errstate(all="ignore"):  # what overflows is refused in blocks()
                yield piece[indices] * gains

    return Recording(path, choice.rate_hz or float(rate_hz), samples, choice.names, scaled)


def _shares(data: bytes, wave: _Wave) -> FloatArray:
    """Samples as shares of full scale."""
    if wave.is_float:
        return np.frombuffer(data, f"<f{wave.bits // 8}").astype(np.float64)
    if wave.bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
    if wave.bits == 24:
        # Each into the upper three bytes of an integer of four, which keeps its sign.
        words = np.zeros((len(data) // 3, 4), np.uint8)
        words[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return words.view("<i4")[:, 0] / 2.0**31
    return np.frombuffer(data, f"<i{wave.bits // 8}") / 2.0 ** (wave.bits - 1)


def _find(path: Path) -> _Wave:
    """Walks through the chunks up to the samples. Raises InputError."""
    size = path.stat().st_size
    form: tuple[int, ...] | None = None
    long_bytes: int | None = None
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            raise InputError(
                f"{path}: is not a WAV that can be read (it does not begin with RIFF and WAVE)"
            )
        for _ in range(int(ranges.CHUNKS.most)):
            head = file.read(8)
            if len(head) < 8:
                raise InputError(f"{path}: has no data chunk; it is cut short or no WAV")
            name, length = head[:4], struct.unpack("<I", head[4:])[0]
            if name == b"data":
                break
            body = file.read(min(length, 64))
            if name == b"ds64" and len(body) >= 16:
                long_bytes = struct.unpack("<Q", body[8:16])[0]
            elif name == b"fmt ":
                form = _form(path, body)
            file.seek(length + length % 2 - len(body), 1)
        else:
            raise InputError(f"{path}: has no data chunk in {ranges.CHUNKS.most} of them")
        offset = file.tell()
    if length == _IN_64 and long_bytes is not None:
        length = long_bytes
    if form is None:
        raise InputError(f"{path}: has no fmt chunk before its data; it is damaged")
    if offset + length > size:
        raise InputError(
            f"{path}: is cut short, {size - offset} of {length} bytes of data; copy it again"
        )
    kind, channels, rate_hz, bits = form
    return _Wave(rate_hz, channels, bits, kind == _FLOAT, offset, length)


def _form(path: Path, body: bytes) -> tuple[int, ...]:
    """(format, channels, rate_hz, bits) of a fmt chunk."""
    if len(body) < 16:
        raise InputError(f"{path}: its fmt chunk has {len(body)} bytes; it is damaged")
    kind, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if kind == _EXTENSIBLE and len(body) >= 26:
        kind = struct.unpack("<H", body[24:26])[0]
    if kind not in _BITS:
        raise InputError(f"{path}: its samples are of format {kind}; they must be PCM or float")
    if bits not in _BITS[kind] or channels not in ranges.CHANNELS:
        allowed = ", ".join(map(str, _BITS[kind]))
        raise InputError(
            f"{path}: has {channels} channels of {bits} bit; there must be {ranges.CHANNELS}, of "
            f"{allowed} bit"
        )
    return kind, channels, rate_hz, bits
