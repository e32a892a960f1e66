"""Writes recordings of every format for the tests, and reads them back.

Files are written by numpy, csv and wave; COMTRADE by hand after IEEE C37.111-1999.
"""

import csv
import io
import json
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tools.common.errors import InputError
from tools.recordings.open import INPUTS, Recording, open_recording

RATE = 8000.0


def waveforms(n=500, inputs=INPUTS):
    """Waveforms of n samples for each input, as a dict of float64 arrays."""
    t = np.arange(n) / RATE
    rng = np.random.default_rng(1)
    peaks = {"v1": 170.0, "i1": 7.0, "v2": -170.0, "i2": -3.0}
    return {
        name: peaks[name] * np.sin(2 * np.pi * 60 * t) + rng.normal(0, 0.1, n) for name in inputs
    }


def table(waves):
    """The (4, n) array that blocks() should give for a dict of waveforms."""
    n = len(next(iter(waves.values())))
    return np.array([np.asarray(waves.get(name, np.zeros(n)), float) for name in INPUTS])


def opened(path) -> Recording:
    """Open what must be a recording, not a capture."""
    recording = open_recording(path)
    assert isinstance(recording, Recording)
    return recording


def read(path, **kwargs):
    """All of a recording as one (4, n) array."""
    return np.hstack(list(opened(path).blocks(**kwargs)))


def consume(path):
    """Open a file and read all of it, whatever it is."""
    for _ in open_recording(path).blocks():
        pass


def refused(path, *words):
    """Assert that a file is refused in one line that names it and holds the words."""
    with pytest.raises(InputError) as caught:
        consume(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert Path(path).stem in message
    assert "Traceback" not in message
    for word in words:
        assert word in message, message


def save_npz(path, waves, compressed=False):
    """Write waveforms with numpy; an entry rate_hz among them replaces RATE, None drops it."""
    arrays: dict[str, Any] = {"rate_hz": RATE, **waves}
    arrays = {name: value for name, value in arrays.items() if value is not None}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def save_csv(path, waves, rate="# rate_hz=8000", end="\n"):
    with path.open("w", newline="") as file:
        if rate is not None:
            file.write(rate + end)
        writer = csv.writer(file, lineterminator=end)
        writer.writerow(waves)
        writer.writerows(zip(*(map(repr, map(float, column)) for column in waves.values())))
    return path


def save_wav(path, codes, bits, rate=8000):
    """Write integer codes of shape (n, channels) with the standard library."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(codes.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        raw = codes.astype("<i4").tobytes()
        cut = np.frombuffer(raw, np.uint8).reshape(-1, 4)[:, : bits // 8]
        file.writeframes(cut.tobytes())
    return path


def save_map(path, **extra):
    """The .json beside a 4-channel .wav, one input being left out by null."""
    channels = [{"input": "i1", "full_scale": 100.0}, None, {"input": "v1", "full_scale": 400.0}]
    path.with_suffix(".json").write_text(json.dumps({"channels": channels, **extra}))


CHANNELS = [  # id, unit, a, b
    ("VA", "kV", 0.00001, 0.0),
    ("IA", "A", 0.01, 0.5),
    ("VB", "V", 0.01, -0.25),
    ("IB", "kA", 0.00001, 0.0),
    ("IC", "A", 1.0, 0.0),
]


def save_comtrade(
    path,
    codes,
    form="ASCII",
    channels=CHANNELS,
    status=3,
    rates=None,
    revision="1999",
    end="\r\n",
    first=1,
):
    """Write .cfg and .dat of codes of shape (n, channels) after IEEE C37.111-1999, 5 and 6."""
    n = len(codes)
    cfg = [
        f"Somewhere,Recorder,{revision}",
        f"{len(channels) + status},{len(channels)}A,{status}D",
        *(
            f"{k + 1},{name},A,CB1,{unit},{a},{b},0,-32767,32767,240,120,P"
            for k, (name, unit, a, b) in enumerate(channels)
        ),
        *(f"{k + 1},ST{k + 1},,,0" for k in range(status)),
        "60",
        *(rates or ["1", f"8000,{n}"]),
        "14/11/2023,10:11:12.123456",
        "14/11/2023,10:11:12.223456",
        form,
        "1",
    ]
    path.write_text(end.join(cfg) + end, newline="")
    path.with_suffix(".dat").write_bytes(dat_bytes(codes, form, status, end, first))
    return path


def save_cff(path):
    """The .cff of a .cfg and its .dat, beside them."""
    data = path.with_suffix(".dat").read_bytes()
    form = path.read_text().split()[-2]
    length = "" if form == "ASCII" else f": {len(data)}"
    path = path.with_suffix(".cff")
    path.write_bytes(
        b"--- file type: CFG ---\r\n"
        + path.with_suffix(".cfg").read_bytes()
        + b"--- file type: INF ---\r\nnothing\r\n--- file type: HDR ---\r\n"
        + f"--- file type: DAT {form}{length} ---\r\n".encode()
        + data
    )
    return path


def dat_bytes(codes, form, status=3, end="\r\n", first=1):
    out = io.BytesIO()
    for k, row in enumerate(codes):
        if form == "ASCII":
            cells = [k + first, k * 125, *row, *([0] * status)]
            out.write((",".join(map(str, cells)) + end).encode())
        else:
            code = {"BINARY": "h", "BINARY32": "i", "FLOAT32": "f"}[form]
            words = [0] * ((status + 15) // 16)
            out.write(
                struct.pack(
                    f"<II{len(row)}{code}{len(words)}H", k + first, k * 125, *row.tolist(), *words
                )
            )
    return out.getvalue()


def codes_of(n=400, columns=5):
    return np.random.default_rng(2).integers(-17000, 17000, (n, columns))


def capture_arrays(**changes) -> dict[str, Any]:
    codes = np.random.default_rng(5).integers(0, 4096, (1000, 4)).astype(np.uint16)
    arrays: dict[str, Any] = {
        "codes": codes,
        "board": "feather_rp2040",
        "slots": np.array(["v1", "i1", "v2", "i2"]),
        "frame_ticks": 6000,
        "tick_hz": 48_000_000,
        "calibration": '{"v1": 1}',
    }
    arrays.update(changes)
    return {name: value for name, value in arrays.items() if value is not None}
