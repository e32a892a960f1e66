"""Recordings in audio files and scientific containers, written by the peers that own them."""

import importlib
import json
import struct

import numpy as np
import pytest

from host_tests.rigs.recording_files import INPUTS, opened, read, refused, table, waveforms
from tools.common.errors import InputError
from tools.recordings.open import open_recording

RATE = 8000


def save_map(path, channels, **extra):
    path.with_suffix(".json").write_text(json.dumps({"channels": channels, **extra}))


BY_ORDER = [{"input": "i1", "full_scale": 100.0}, None, {"input": "v1", "full_scale": 400.0}]
BY_NUMBER = [
    {"input": "v1", "column": 3, "scale": 400.0},
    {"input": "i1", "column": 1, "scale": 100.0},
]


SHORT = {"channels": {"v1": 3, "i1": 1}, "scale": {"v1": 400.0, "i1": 100.0}}


@pytest.mark.parametrize("told", [{"channels": BY_ORDER}, {"channels": BY_NUMBER}, SHORT])
@pytest.mark.parametrize("bits", [8, 24])
def test_wav_codes(tmp_path, bits, told):
    """Against arithmetic on the codes: 8 bit are unsigned around 128."""
    full = 1 << (bits - 1)
    codes = np.random.default_rng(1).integers(-full, full, (20_000, 3))
    codes[:2] = [[-full] * 3, [full - 1] * 3]
    raw = (codes + (128 if bits == 8 else 0)).astype("<i4").view(np.uint8)
    data = raw.reshape(-1, 4)[:, : bits // 8].tobytes()
    frame = 3 * bits // 8
    form = struct.pack("<HHIIHH", 1, 3, RATE, RATE * frame, frame, bits)
    path = tmp_path / "a.wav"
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )
    save_map(path, **told)
    np.testing.assert_allclose(read(path)[0], codes[:, 2] * 400.0 / full, rtol=1e-14)
    np.testing.assert_allclose(read(path)[1], codes[:, 0] * 100.0 / full, rtol=1e-14)
    part = read(path, start=8190, stop=8195)
    np.testing.assert_array_equal(part, read(path)[:, 8190:8195])


def test_a_wav_beyond_four_gigabytes(tmp_path):
    """RF64: the chunk ds64 has the length."""
    data = np.arange(-300, 300, dtype="<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 3, RATE, RATE * 6, 6, 16)
    path = tmp_path / "a.wav"
    path.write_bytes(
        b"RF64\xff\xff\xff\xffWAVEds64"
        + struct.pack("<IQQQI", 28, 0, len(data), 200, 0)
        + b"fmt "
        + struct.pack("<I", 16)
        + form
        + b"data\xff\xff\xff\xff"
        + data
    )
    save_map(path, BY_ORDER)
    assert opened(path).samples == 200
    np.testing.assert_allclose(read(path)[1], np.arange(-300, 300, 3) / 32768 * 100)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_flac(tmp_path, subtype):
    soundfile = pytest.importorskip("soundfile")
    bits = int(subtype[4:])
    full = 1 << (bits - 1)
    codes = np.random.default_rng(1).integers(-full, full, (20_000, 3)).astype(np.int32)
    path = tmp_path / "a.flac"
    soundfile.write(path, codes << (32 - bits), RATE, subtype)
    save_map(path, BY_ORDER)
    recording = opened(path)
    assert (recording.rate_hz, recording.samples) == (RATE, 20_000)
    np.testing.assert_allclose(read(path)[0], codes[:, 2] * 400.0 / full, rtol=1e-14)
    np.testing.assert_allclose(
        read(path, start=9000, stop=9001)[1], codes[9000:9001, 0] * 100 / full
    )
    whole = path.read_bytes()
    for cut in (1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path)
    path.with_suffix(".json").unlink()
    path.write_bytes(whole)
    refused(path, "a.json: no such file")


@pytest.mark.parametrize("shape", [(-1,), (1, -1), (-1, 1)])
@pytest.mark.parametrize("rate", [{"rate_hz": 8000.0}, {"Fs": 8000}, {"Tinterval": 1 / 8000}])
def test_mat(tmp_path, shape, rate):
    from scipy import io

    waves = waveforms()
    path = tmp_path / "a.mat"
    arrays = {name: wave.reshape(shape) for name, wave in waves.items()}
    io.savemat(path, {**arrays, **rate, "note": "text", "grid": np.eye(3)})
    recording = opened(path)
    assert recording.rate_hz == pytest.approx(8000, rel=1e-12)
    assert recording.channels == INPUTS
    np.testing.assert_array_equal(read(path), table(waves))


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_mat_cut_short(tmp_path, shape):
    from scipy import io

    path = tmp_path / "a.mat"
    arrays = {name: wave.reshape(shape) for name, wave in waveforms().items()}
    io.savemat(path, {**arrays, "rate_hz": 8000.0, "note": "text", "grid": np.eye(3)})
    whole = path.read_bytes()
    for cut in (1, 130, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path)


def test_a_mat_that_kills_its_reader(tmp_path, monkeypatch):
    """Some damaged files crash scipy: its process dies, and one line tells."""
    from tools.recordings import containers

    program = tmp_path / "dies.py"
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(containers, "_MAT_PROGRAM", program)
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file")
    refused(path, "is no .mat that can be read (it is damaged)")


def test_mat_of_an_oscilloscope(tmp_path):
    """As PicoScope exports: A, B and Tinterval, which only the .json can tell apart."""
    from scipy import io

    waves = waveforms()
    path = tmp_path / "a.mat"
    io.savemat(
        path,
        {"A": np.float32(waves["v1"] / 20), "B": np.float32(waves["i1"]), "Tinterval": 1.25e-4},
    )
    refused(path, "no v1 and i1 by name", "1 A, 2 B")
    save_map(path, [{"input": "v1", "column": "A", "scale": 20}, {"input": "i1", "column": "B"}])
    np.testing.assert_allclose(read(path)[:2], table(waves)[:2], rtol=1e-6)
    assert opened(path).notes == ("channels: v1 is A x 20, i1 is B",)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".mat"])
def test_hdf5(tmp_path, suffix):
    h5py = pytest.importorskip("h5py")
    waves = waveforms(100_000)
    path = tmp_path / f"a{suffix}"
    block = 512 if suffix == ".mat" else 0  # what MATLAB writes before it
    with h5py.File(path, "w", userblock_size=block) as file:
        for name, wave in waves.items():
            file.create_dataset(f"scope/{name}", data=wave[None], chunks=True, compression="gzip")
        file["scope/v1"].attrs["unit"] = "kV"
        file.attrs["rate_hz"] = 8000.0
    expected = table(waves)
    expected[0] *= 1e3
    np.testing.assert_array_equal(read(path), expected)
    np.testing.assert_array_equal(
        read(path, start=65_530, stop=65_540), expected[:, 65_530:65_540]
    )
    channels = [{"input": "v1", "column": "scope/i1", "scale": 2}, {"input": "i1", "column": "i2"}]
    save_map(path, channels)
    np.testing.assert_array_equal(read(path)[:2], [2 * waves["i1"], waves["i2"]])
    whole = path.read_bytes()
    for cut in (600, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path)


def save_h5(path, **arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate_hz": None}, ["has no rate_hz or fs", '"rate_hz" in the .json']),
        ({"rate_hz": -1.0}, ["rate_hz is -1;", "must be 450 to"]),
        ({"rate_hz": 8000.0, "dt": 1e-3}, ["rate_hz says 8000", "dt 1000"]),
        ({"time": np.arange(500) / 4000}, ["rate_hz says 8000", "time 4000"]),
        ({"time": np.arange(500) / 8000 + (np.arange(500) > 99)}, ["times in time jump by 1 s"]),
        ({"i2": np.zeros(499)}, ["channels differ in length", "i2 499"]),
        ({"i2": None}, ["has v2 but no i2"]),
        ({"v1": np.full(500, np.nan)}, ["v1 is nan at sample 0"]),
        ({"v1": np.zeros((500, 2))}, ["has no v1"]),
    ],
)
def test_bad_hdf5(tmp_path, changes, words):
    arrays = {"rate_hz": 8000.0, **waveforms(), **changes}
    arrays = {name: value for name, value in arrays.items() if value is not None}
    refused(save_h5(tmp_path / "a.h5", **arrays), *words)


def test_hdf5_with_times_alone(tmp_path):
    path = save_h5(tmp_path / "a.h5", time=np.arange(500) / 8000, **waveforms())
    assert opened(path).rate_hz == 8000
    assert opened(path).notes == ("8000 samples a second by the times in time",)


def test_tdms(tmp_path):
    nptdms = pytest.importorskip("nptdms")
    waves = waveforms()
    path = tmp_path / "a.tdms"
    properties = {"wf_increment": 1 / 8000, "unit_string": "V"}
    channels = [
        nptdms.ChannelObject("scope", name, wave, {**properties, "unit_string": unit})
        for (name, wave), unit in zip(waves.items(), ("mV", "A", "V", ""))
    ]
    with nptdms.TdmsWriter(path) as writer:
        writer.write_segment(channels)
        writer.write_segment(channels)
    recording = opened(path)
    assert recording.rate_hz == pytest.approx(8000, rel=1e-12)
    assert recording.samples == 1000
    expected = np.tile(table(waves), 2)
    expected[0] /= 1e3
    np.testing.assert_allclose(read(path), expected, rtol=1e-15)
    np.testing.assert_array_equal(read(path, start=499, stop=502), read(path)[:, 499:502])
    path.write_bytes(b"no TDMS at all")
    refused(path, "holds no vectors of numbers")


def test_a_tdms_cut_short_is_told(tmp_path, capfd):
    nptdms = pytest.importorskip("nptdms")
    path = tmp_path / "a.tdms"
    with nptdms.TdmsWriter(path) as writer:
        for _ in range(2):
            writer.write_segment(
                [
                    nptdms.ChannelObject("g", name, np.ones(100), {"wf_increment": 1e-4})
                    for name in ("v1", "i1")
                ]
            )
    whole = path.read_bytes()
    for cut in (1600, 1650):  # the last segment's data; and part of what is before them
        path.write_bytes(whole[:-cut])
        assert opened(path).samples == 100
        assert "Last segment" in opened(path).warnings[0]
        assert read(path).shape == (4, 100)
    path.write_bytes(whole[:-8])
    refused(path, "channels differ in length (v1 200, i1 199 samples)")
    assert capfd.readouterr() == ("", "")


def test_tdms_of_two_rates(tmp_path):
    nptdms = pytest.importorskip("nptdms")
    path = tmp_path / "a.tdms"
    with nptdms.TdmsWriter(path) as writer:
        writer.write_segment(
            [
                nptdms.ChannelObject("g", name, np.zeros(100), {"wf_increment": step})
                for name, step in (("v1", 1e-4), ("i1", 2e-4))
            ]
        )
    refused(path, "rates of 10000, 5000 Hz", "must have one")


@pytest.mark.parametrize(
    ("suffix", "module", "name"),
    [
        (".flac", "soundfile", "soundfile"),
        (".mat", "scipy", "scipy"),
        (".h5", "h5py", "h5py"),
        (".tdms", "nptdms", "npTDMS"),
    ],
)
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, suffix, module, name):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"something")
    whole = importlib.import_module

    def without(asked, *rest):
        if asked == module:
            raise ImportError(asked)
        return whole(asked, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(InputError) as caught:
        open_recording(path)
    assert str(caught.value) == (
        f"{path}: {suffix} files need the package {name}, which is not installed; to get it: "
        "make setup GROUP=recordings"
    )


@pytest.mark.parametrize(("order", "flag"), [("<", 0), (">", 1 << 6)])
def test_a_tdms_in_a_million_segments(tmp_path, order, flag):
    """npTDMS would keep 0.4 GB of them, in minutes."""
    pytest.importorskip("nptdms")
    path = tmp_path / "a.tdms"
    segment = b"TDSm" + struct.pack("<I", 8 | flag) + struct.pack(order + "IQQ", 4713, 16, 0)
    path.write_bytes((segment + bytes(16)) * 1_000_000)
    refused(path, "the headers of its segments have more than 8388608 bytes; defragment it")
