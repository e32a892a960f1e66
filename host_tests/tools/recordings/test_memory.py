"""Each reader's peak memory: what tools/README.md states, whatever the file's length."""

import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
RATE = 8000
# MB beyond a reader's own imports, as the page has them.
STATED = {
    **{"npz": 25, "packed": 25, "capture": 25, "csv": 45, "wav": 25, "flac": 25, "comtrade": 25},
    **{"comtrade_text": 45, "hdf5": 45, "tdms": 25},
}
READ = """
import re, sys
from pathlib import Path
from tools.recordings.open import open_recording
for path in sys.argv[1:]:
    frames = 0
    for block in open_recording(path).blocks():
        frames += max(block.shape)
    # Not resource's maximum, which begins with that of the process that has started this one.
    print(frames, *re.findall(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text()))
"""


def waves(n):
    angle = 2 * np.pi * 60 * np.arange(n) / RATE
    return {"v1": 170 * np.sin(angle), "i1": 10 * np.sin(angle)}


def save(kind, path, n):
    """A recording of n samples of v1 and i1."""
    found = waves(n)
    codes = np.stack([np.rint(100 * wave) for wave in found.values()], axis=1).astype("<i2")
    channels = [{"input": name, "scale": 400.0} for name in found]
    if kind in ("npz", "packed"):
        path = path.with_suffix(".npz")
        (np.savez if kind == "npz" else np.savez_compressed)(path, rate_hz=RATE, **found)
    elif kind == "capture":
        path = path.with_suffix(".npz")
        slots = ["v1", "i1", "v2", "i2"]
        np.savez(
            path,
            codes=np.full((n, 4), 2048, np.uint16),
            slots=slots,
            board="feather_rp2040",
            tick_hz=48_000_000,
            frame_ticks=4800,
        )
    elif kind == "csv":
        path = path.with_suffix(".csv")
        table = np.stack(list(found.values()), axis=1)
        np.savetxt(path, table, "%.6f", ",", header=f"# rate_hz={RATE}\nv1,i1", comments="")
    elif kind == "wav":
        path = path.with_suffix(".wav")
        path.with_suffix(".json").write_text(json.dumps({"channels": channels}))
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(codes.tobytes())
    elif kind == "flac":
        soundfile = pytest.importorskip("soundfile")
        path = path.with_suffix(".flac")
        path.with_suffix(".json").write_text(json.dumps({"channels": channels}))
        soundfile.write(path, codes, RATE)
    elif kind.startswith("comtrade"):
        path = path.with_suffix(".cfg")
        form = "ASCII" if kind.endswith("text") else "BINARY"
        rows = [
            f"{k},{name},A,X,{unit},0.01,0,0,-32767,32767,1,1,P"
            for k, name, unit in ((1, "v1", "V"), (2, "i1", "A"))
        ]
        head = ["a,b,1999", "2,2A,0D", *rows, "60", "1", f"{RATE},{n}"]
        path.write_text("\n".join([*head, *["01/01/2020,00:00:00.000000"] * 2, form, "1", ""]))
        numbers = np.arange(n)
        dat = path.with_suffix(".dat")
        if form == "ASCII":
            np.savetxt(dat, np.column_stack((numbers + 1, numbers * 125, codes)), "%d", ",")
        else:
            record = np.zeros(n, [("number", "<u4"), ("stamp", "<u4"), ("values", "<i2", 2)])
            record["number"], record["stamp"], record["values"] = numbers + 1, numbers * 125, codes
            dat.write_bytes(record.tobytes())
    elif kind == "hdf5":
        h5py = pytest.importorskip("h5py")
        path = path.with_suffix(".h5")
        with h5py.File(path, "w") as file:
            file.attrs["rate_hz"] = RATE
            for name, values in found.items():
                file.create_dataset(name, data=values, chunks=True, compression="gzip")
    else:
        nptdms = pytest.importorskip("nptdms")
        path = path.with_suffix(".tdms")
        with nptdms.TdmsWriter(path) as writer:
            for at in range(0, n, 1 << 16):
                writer.write_segment(
                    [
                        nptdms.ChannelObject(
                            "g", name, values[at : at + (1 << 16)], {"wf_increment": 1 / RATE}
                        )
                        for name, values in found.items()
                    ]
                )
    return path


def measured(tmp_path, kind, sizes):
    """Peak memory, in MB, after each of the files of these sizes has been read."""
    paths = [save(kind, tmp_path / f"{kind}{n}", n) for n in sizes]
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    rows = [list(map(int, line.split())) for line in done.stdout.splitlines()]
    assert [frames for frames, _ in rows] == list(sizes)
    return [kilobytes / 1024 for _, kilobytes in rows]


LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("kind", STATED)
def test_peak_memory_is_as_stated(tmp_path, kind):
    """Of files of 8 s, two minutes and nine; the first of them brings what is imported."""
    small, middle, large = measured(tmp_path, kind, (1 << 6, 1 << 20, 1 << 22))
    print(f"{kind}: {small:.0f} MB, then {middle - small:+.1f}, {large - small:+.1f}")
    assert large - small < STATED[kind]
    assert large - middle < 5


@LINUX
@pytest.mark.parametrize("kind", ["capture", "wav"])
def test_peak_memory_of_two_minutes(tmp_path, kind):
    small, large = measured(tmp_path, kind, (1 << 6, 1 << 20))
    assert large - small < STATED[kind]


def test_the_page_states_them():
    page = (ROOT / "tools" / "README.md").read_text(encoding="utf-8")
    assert f"most {max(STATED.values())} MB" in page
    assert f"{STATED['npz']} MB" in page
