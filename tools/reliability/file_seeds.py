"""Good files of every format that a command reads, made anew each time, through a Shaper.

Flow: Shaper -> FILE SEEDS -> hostile files.  What the Shaper leaves alone is a good file: a test
holds all of them to that.
"""

import importlib.util
import io
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from threewire.metering.calibration import nominal
from tools.common import boards
from tools.reliability.mutation import Shaper

RATE_HZ = 8000
_SAMPLES = 480
_BOARD = boards.DEFAULT
_INPUTS = ("v1", "i1", "v2", "i2")
_PEAKS = (170.0, 42.0, -170.0, -17.0)

# Files by name, the one that is named to the command first.
Files = dict[str, bytes]


def _waves() -> dict[str, Any]:
    angle = 2 * math.pi * 60 * np.arange(_SAMPLES) / RATE_HZ
    return {name: peak * np.sin(angle) for name, peak in zip(_INPUTS, _PEAKS)}


_WAVES = _waves()
_CODES = np.stack([np.rint(100 * wave) for wave in _WAVES.values()], axis=1).astype(np.int16)
_MAP = {
    "channels": [
        {"input": name, "column": k + 1, "scale": 0.01} for k, name in enumerate(_INPUTS)
    ],
    "rate_hz": RATE_HZ,
}


def _saved(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _npz(shape: Shaper) -> Files:
    arrays = shape.arrays({"rate_hz": RATE_HZ, **_WAVES})
    save = shape.draw.choice((np.savez, np.savez_compressed))
    return {"a.npz": _saved(lambda file: save(file, **arrays))}


def _capture(shape: Shaper) -> Files:
    layout = boards.load(_BOARD)
    n = 1500
    angle = 2 * math.pi * 60 * np.arange(n) * layout.frame_ticks / layout.tick_hz
    codes = np.rint(2048 + 900 * np.sin(angle))[:, None] * np.ones(layout.stride)
    wh = "0.123456789"
    energy = {"captured": n, "lost": 0, "delivered_wh": wh, "received_wh": wh}
    energy["exact"] = [["0", "123"]] * 6
    arrays = {
        "codes": codes.astype(np.uint16),
        "slots": np.array(layout.slots),
        "board": np.array(layout.name),
        "tick_hz": np.array(layout.tick_hz),
        "frame_ticks": np.array(layout.frame_ticks),
        "calibration": np.array(shape.text(nominal(layout).to_dict())),
        "energy": np.array(shape.text(energy)),
        "id": np.array("e6614c311b7f2a2b"),
    }
    if shape.draw.random() < 0.5:
        cuts = sorted(shape.draw.sample(range(1, n // 16), 9))
        sizes = np.diff([0, *(16 * cut for cut in cuts), n])
        arrays["spans"] = np.stack((sizes, layout.frame_ticks + np.arange(10) % 3), axis=1)
    arrays = shape.arrays(arrays)
    return {"a.npz": _saved(lambda file: np.savez(file, **arrays))}


def _csv(shape: Shaper) -> Files:
    lines = [f"# rate_hz={shape.written(RATE_HZ)}", ",".join(_INPUTS)]
    if shape.draw.random() < 0.5:
        step = shape.written(1 / RATE_HZ)
        lines = [f"Sample Interval,{step}", "Time,CH1,CH2", "s,V,A"]
        table = np.stack((np.arange(_SAMPLES) / RATE_HZ, _WAVES["v1"], _WAVES["i1"]), axis=1)
    else:
        table = np.stack(list(_WAVES.values()), axis=1)
    bad = shape.draw.randrange(_SAMPLES)
    for k, row in enumerate(table.tolist()):
        cells = [shape.written(round(x, 9)) if k == bad else repr(round(x, 9)) for x in row]
        lines.append(",".join(cells))
    return {"a.csv": ("\n".join(lines) + "\n").encode("utf-8", "replace")}


def _wav(shape: Shaper) -> Files:
    data = _CODES.astype("<i2").tobytes()
    form = struct.pack(
        "<HHIIHH",
        shape.whole(1, 16),
        shape.whole(4, 16),
        shape.whole(RATE_HZ, 32),
        RATE_HZ * 8,
        8,
        shape.whole(16, 16),
    )
    size = shape.whole(len(data), 32)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    body = b"WAVE" + chunks + data
    channels = [{"input": name, "full_scale": 400.0} for name in _INPUTS]
    return {
        "a.wav": b"RIFF" + struct.pack("<I", len(body)) + body,
        "a.json": shape.text({"channels": channels, "rate_hz": RATE_HZ}).encode(),
    }


def _flac(shape: Shaper) -> Files:
    import soundfile

    data = _saved(lambda file: soundfile.write(file, _CODES, RATE_HZ, format="FLAC"))
    channels = [{"input": name, "scale": 400.0} for name in _INPUTS]
    return {"a.flac": data, "a.json": shape.text({"channels": channels}).encode()}


def _comtrade(shape: Shaper) -> Files:
    form = shape.draw.choice(("ASCII", "BINARY", "BINARY32", "FLOAT32"))
    say = shape.written
    lines = [f"Somewhere,Recorder,{say(1999)}", f"{say(4)},{say('4A')},{say('0D')}"]
    for k, name in enumerate(_INPUTS):
        unit = "V" if name[0] == "v" else "A"
        lines.append(
            f"{k + 1},{name},A,X,{unit},{say(0.01)},{say(0.0)},{say(0.0)},-32767,32767,"
            f"{say(240)},{say(120)},{say('P')}"
        )
    lines += [say(60), say(1), f"{say(RATE_HZ)},{say(_SAMPLES)}"]
    lines += ["14/11/2023,10:11:12.123456"] * 2 + [form, say(1)]
    rows = []
    bad = shape.draw.randrange(_SAMPLES)
    for k, codes in enumerate(_CODES.tolist()):
        if form == "ASCII":
            cells = [k + 1, k * 125, *codes]
            rows.append(",".join(map(say if k == bad else str, cells)).encode() + b"\r\n")
        else:
            kind = {"BINARY": "h", "BINARY32": "i", "FLOAT32": "f"}[form]
            rows.append(struct.pack(f"<II4{kind}", k + 1, k * 125, *codes))
    text = "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n"
    data = b"".join(rows)
    if shape.draw.random() < 0.3:
        length = "" if form == "ASCII" else f": {say(len(data))}"
        heading = f"--- file type: DAT {form}{length} ---\r\n".encode("utf-8", "replace")
        return {"a.cff": b"--- file type: CFG ---\r\n" + text + heading + data}
    files = {"a.cfg": text, "a.dat": data}
    if shape.draw.random() < 0.3:
        files["a.json"] = shape.text(_MAP | {"rate_hz": RATE_HZ}).encode()
    return files


def _mat(shape: Shaper) -> Files:
    from scipy import io as matlab

    arrays = {"rate_hz": RATE_HZ, **_WAVES}
    pack = shape.draw.random() < 0.5
    try:
        shaped = shape.arrays(arrays)
        data = _saved(lambda file: matlab.savemat(file, shaped, do_compression=pack))
    except (TypeError, ValueError, OverflowError):  # what no .mat can hold
        data = _saved(lambda file: matlab.savemat(file, arrays, do_compression=pack))
    return {"a.mat": data}


def _hdf5(shape: Shaper) -> Files:
    import h5py

    def write(file: io.BytesIO) -> None:
        with h5py.File(file, "w") as made:
            for name, value in shape.arrays({"rate_hz": RATE_HZ, **_WAVES}).items():
                try:
                    made[f"scope/{name}"] = value
                except (TypeError, ValueError, OverflowError):  # what no HDF5 can hold
                    made[f"scope/{name}"] = "text"
            if made.get("scope/v1") is not None:
                unit = shape.written("V")
                if "\0" in unit:  # what h5py writes as text of one length only
                    unit = np.bytes_(unit.encode("utf-8", "replace") + b".")
                made["scope/v1"].attrs["unit"] = unit

    return {"a.h5": _saved(write)}


def _tdms(shape: Shaper) -> Files:
    import nptdms

    def write(file: io.BytesIO) -> None:
        with nptdms.TdmsWriter(file) as writer:
            writer.write_segment(
                [
                    nptdms.ChannelObject(
                        "g", name, wave, {"wf_increment": step, "unit_string": unit}
                    )
                    for name, wave in _WAVES.items()
                    for step in [float(min(shape.number(1 / RATE_HZ), 1e300))]
                    for unit in [shape.written("V" if name[0] == "v" else "A")]
                ]
            )

    return {"a.tdms": _saved(write)}


_READING = {"volts": 118.9, "amps": 30.3, "watts": 3595.0, "var": -118.2}
_REFERENCE = {"volts": 120.1, "amps": 30.0, "watts": 3600.0}
_LAGGING = {"volts": 120.0, "amps": 29.9, "watts": 1790.0, "var": 3110.0}


def _points_of(entry: dict[str, Any]) -> dict[str, Any]:
    layout = boards.load(_BOARD)
    return {
        "board": _BOARD,
        "constants": nominal(layout).to_dict(),
        "hertz": 60,
        "uncertainty_percent": {"volts": 0.1, "amps": 0.1, "watts": 0.1},
        "points": [entry, entry | {"element": 2}],
    }


def _points(shape: Shaper) -> Files:
    entry = {"element": 1, "board": [_READING, _READING], "reference": _REFERENCE}
    return {"a.json": shape.text(_points_of(entry)).encode()}


def _lines(shape: Shaper) -> Files:
    entry = {"element": 1, "lines": "b.jsonl", "reference": _REFERENCE}
    line = {"hertz": 60.0, "elements": [_READING, _READING]}
    lines = [shape.text(line) for _ in range(3)]
    return {
        "a.json": shape.text(_points_of(entry)).encode(),
        "b.jsonl": "\n".join(lines).encode(),
    }


def _calibration(shape: Shaper) -> Files:
    layout = boards.load(_BOARD)
    found = nominal(layout).to_dict() | {"board": _BOARD}
    found["adc"] = {"steps": [[512, 140], [1536, 140]], "bow_q4": [0] * 17}
    found.pop("phase1_ns", None)
    found["phase1_by_ma"] = [[1000, 50_000], [30_000, 40_000]]
    recording = _saved(lambda file: np.savez(file, rate_hz=RATE_HZ, **_WAVES))
    return {"a.json": shape.text(found).encode(), "recording.npz": recording}


# Format -> its good files.  Those that need a package are only there with it.
FORMATS: dict[str, Callable[[Shaper], Files]] = {
    "npz": _npz,
    "capture": _capture,
    "csv": _csv,
    "wav": _wav,
    "comtrade": _comtrade,
    "mat": _mat,
    "points": _points,
    "lines": _lines,
    "calibration": _calibration,
}
for _name, _module, _make in (
    ("flac", "soundfile", _flac),
    ("hdf5", "h5py", _hdf5),
    ("tdms", "nptdms", _tdms),
):
    if importlib.util.find_spec(_module):
        FORMATS[_name] = _make
