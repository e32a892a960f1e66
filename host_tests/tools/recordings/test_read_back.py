"""Recordings of every format read back, against numpy and against the comtrade package."""

import json
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from host_tests.rigs.recording_files import (
    RATE,
    capture_arrays,
    codes_of,
    opened,
    read,
    save_cff,
    save_comtrade,
    save_csv,
    save_map,
    save_npz,
    save_wav,
    table,
    waveforms,
)
from tools.common.errors import InputError
from tools.recordings.open import INPUTS, Capture, check_rate, open_recording

ROOT = Path(__file__).resolve().parents[3]
WAVES = ROOT.parent / "shared" / "waves"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:2]])
def test_npz_round_trip(tmp_path, compressed, inputs):
    waves = waveforms(inputs=inputs)
    path = save_npz(tmp_path / "a.npz", waves, compressed)
    recording = opened(path)
    assert recording.channels == inputs
    assert (recording.rate_hz, recording.samples) == (RATE, 500)
    assert recording.seconds == 500 / RATE
    assert recording.path == path
    blocks = list(recording.blocks(size=64))
    assert {block.shape for block in blocks} == {(4, 64), (4, 500 % 64)}
    assert all(block.dtype == np.float64 for block in blocks)
    np.testing.assert_array_equal(np.hstack(blocks), table(waves))
    np.testing.assert_array_equal(np.hstack(list(recording.blocks())), table(waves))  # again


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [k + n for k in "iu" for n in "1248"] + ["f2", "f4", "f8"])
def test_npz_types(tmp_path, order, kind):
    v1 = np.arange(100).astype(order + kind)
    path = save_npz(
        tmp_path / "a.npz", {"v1": v1, "i1": v1[::-1]}
    )  # a view with a negative stride, too
    found = read(path)
    np.testing.assert_array_equal(found[0], np.arange(100.0))
    np.testing.assert_array_equal(found[1], np.arange(100.0)[::-1])


def test_npz_scalar_rate_in_an_array_and_other_arrays(tmp_path):
    waves = waveforms()
    path = save_npz(tmp_path / "a.npz", {"rate_hz": np.array([8000]), "note": "x", **waves})
    np.testing.assert_array_equal(read(path), table(waves))


def test_start_stop_size(tmp_path):
    waves = waveforms()
    codes = codes_of(500)
    save_wav(tmp_path / "c.wav", codes[:, :3], 16)
    save_map(tmp_path / "c.wav")
    for path in (
        save_npz(tmp_path / "a.npz", waves),
        save_csv(tmp_path / "b.csv", waves),
        tmp_path / "c.wav",
        save_comtrade(tmp_path / "d.cfg", codes),
        save_comtrade(tmp_path / "e.cfg", codes, "BINARY"),
    ):
        whole = read(path)
        for start, stop, size in [(0, 1, 7), (3, 499, 7), (499, None, 1), (17, 10**9, 1000)]:
            np.testing.assert_array_equal(
                read(path, start=start, stop=stop, size=size), whole[:, start:stop]
            )
        assert list(opened(path).blocks(start=10, stop=10)) == []
        assert list(opened(path).blocks(start=10**6)) == []
        for wrong in ({"start": -1}, {"size": 0}):
            with pytest.raises(ValueError):
                opened(path).blocks(**wrong)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:2], ("i2", "v1", "i1", "v2")])
def test_csv_round_trip(tmp_path, end, inputs):
    waves = waveforms(inputs=inputs)
    path = save_csv(tmp_path / "a.csv", waves, end=end)
    recording = opened(path)
    assert recording.channels == (INPUTS if len(inputs) == 4 else INPUTS[:2])
    assert (recording.rate_hz, recording.samples) == (RATE, 500)
    np.testing.assert_array_equal(read(path), table(waves))


def test_csv_long_enough_for_several_chunks(tmp_path):
    waves = waveforms(60_000)
    path = save_csv(tmp_path / "a.csv", waves)
    assert path.stat().st_size > 3 << 20
    np.testing.assert_array_equal(read(path), table(waves))
    part = read(path, start=31_234, stop=45_678)
    np.testing.assert_array_equal(part, table(waves)[:, 31_234:45_678])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff# rate_hz=8000\r\nv1,i1\r\n1,2\r\n3,4\r\n5,6\r\n7,8\r\n\r\n\r\n",
        "# made by hand\n\n#rate_hz = 8e3,,\n# more\nv1,i1\n1,2\n3,4\n5,6\n7,8",
        '# rate_hz=8000\nnote,"i1",time,v1\nx,2,,1\né,4,,3\n,6,,5\n,8,1,7\n   \n\n',
        "# rate_hz=8000\n v1 , i1 \n 1 , 2 \n+3,4.\n5e0,.6e1\n7,8\n\x1a",
    ],
)
def test_csv_tolerance(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8", newline="")
    np.testing.assert_array_equal(read(path)[:2], [[1, 3, 5, 7], [2, 4, 6, 8]])


@pytest.mark.parametrize("bits", [16, 24, 32])
def test_wav_pcm(tmp_path, bits):
    full = 1 << (bits - 1)
    codes = np.random.default_rng(3).integers(-full, full, (300, 3))
    codes[0] = -full
    codes[1] = full - 1
    path = save_wav(tmp_path / "a.wav", codes, bits)
    save_map(path)
    recording = opened(path)
    assert (recording.rate_hz, recording.samples) == (8000.0, 300)
    assert recording.channels == ("v1", "i1")
    found = read(path)
    np.testing.assert_allclose(found[0], codes[:, 2] / full * 400.0, rtol=1e-15)
    np.testing.assert_allclose(found[1], codes[:, 0] / full * 100.0, rtol=1e-15)
    assert not found[2:].any()


@pytest.mark.parametrize("kind", ["int16", "int32", "float32", "float64"])
def test_wav_by_scipy(tmp_path, kind):
    from scipy.io import wavfile

    unit = np.random.default_rng(4).uniform(-1, 1, (300, 3)).astype(np.float32)
    integer = kind.startswith("int")
    data = (unit * np.iinfo(kind).max if integer else unit).astype(kind)
    full = -float(np.iinfo(kind).min) if integer else 1.0
    path = tmp_path / "a.wav"
    wavfile.write(path, 8000, data)
    save_map(path, rate_hz=7999.5)
    assert open_recording(path).rate_hz == 7999.5
    np.testing.assert_allclose(read(path)[0], data[:, 2].astype(float) / full * 400, rtol=1e-15)


@pytest.mark.parametrize("bits", [16, 24])
def test_wav_extensible_with_other_chunks(tmp_path, bits):
    codes = np.arange(-30, 30).reshape(20, 3)
    raw = codes.astype("<i4").view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    size = 3 * bits // 8
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 3, 8000, 8000 * size, size, bits, 22, bits, 7)
    form += bytes.fromhex("0100000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"LIST" + struct.pack("<I", 3) + b"odd\0"
    chunks += b"data" + struct.pack("<I", len(raw)) + raw + b"note" + struct.pack("<I", 2) + b"ok"
    path = tmp_path / "a.WAV"
    save_map(path)
    for size in (4 + len(chunks), 0xFFFFFFFF, 4 + len(chunks) - 10):  # the latter two: no matter
        path.write_bytes(b"RIFF" + struct.pack("<I", size) + b"WAVE" + chunks)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read(path)[0]
        np.testing.assert_array_equal(found, codes[:, 2] / 2 ** (bits - 1) * 400)


@pytest.mark.parametrize("form", ["ASCII", "BINARY", "BINARY32", "FLOAT32"])
@pytest.mark.parametrize("status", [0, 3, 17])
def test_comtrade_round_trip(tmp_path, form, status):
    codes = codes_of()
    path = save_comtrade(tmp_path / "a.cfg", codes, form, status=status)
    expected = np.array(
        [
            codes[:, 0] * 0.01,  # kV
            codes[:, 1] * 0.01 + 0.5,
            codes[:, 2] * 0.01 - 0.25,
            codes[:, 3] * 0.01,  # kA
        ]
    )
    recording = opened(path)
    assert (recording.rate_hz, recording.samples, recording.channels) == (8000.0, 400, INPUTS)
    np.testing.assert_allclose(read(path), expected, rtol=1e-12)
    np.testing.assert_array_equal(read(path.with_suffix(".dat")), read(path))

    import comtrade

    other = comtrade.load(
        str(path), ignore_warnings=True, use_numpy_arrays=True, use_double_precision=True
    )
    package = np.array(other.analog[:4]) * [[1000], [1], [1], [1000]]
    np.testing.assert_allclose(read(path), package, rtol=1e-12)


@pytest.mark.parametrize("form", ["ASCII", "BINARY"])
def test_comtrade_cff(tmp_path, form):
    path = save_comtrade(tmp_path / "a.cfg", codes_of(), form)
    expected = read(path)
    cff = save_cff(path)
    path.unlink()
    np.testing.assert_array_equal(read(cff), expected)
    if form == "ASCII":
        cff.write_bytes(cff.read_bytes().rstrip())
        np.testing.assert_array_equal(read(cff), expected)


def test_comtrade_by_name_and_by_json(tmp_path):
    codes = codes_of()
    names = [("I1", "A", 1, 0), ("x", "V", 1, 0), ("V1", "", 2, 0), ("I2", "A", 3, 0)]
    path = save_comtrade(tmp_path / "a.cfg", codes[:, :5], channels=[*names, ("V2", "V", 4, 0)])
    np.testing.assert_array_equal(read(path), (codes * [1, 1, 2, 3, 4]).T[[2, 0, 4, 3]])
    mapping = {"channels": {"v1": "x", "i1": 4}, "scale": {"i1": -0.5}}
    path.with_suffix(".json").write_text(json.dumps(mapping))
    found = read(path)
    assert opened(path).channels == ("v1", "i1")
    np.testing.assert_array_equal(found[:2], [codes[:, 1], codes[:, 3] * -1.5])


def test_comtrade_of_1991_with_samples_of_minus_one(tmp_path):
    """The package alone would take them as missing."""
    codes = codes_of()
    codes[::7] = -1
    path = save_comtrade(tmp_path / "a.cfg", codes, "BINARY")
    expected = read(path)
    path.write_text(path.read_text().replace(",1999", ""))
    np.testing.assert_array_equal(read(path), expected)


def test_comtrade_is_forgiving(tmp_path, capfd):
    """Mixed case of extensions, dates in the American order, the 1991 form, LF, a final 0x1A."""
    codes = codes_of()
    path = save_comtrade(tmp_path / "a.cfg", codes, end="\n", first=0)
    expected = read(path)
    text = path.read_text().replace("14/11/2023", "11/14/2023").replace(",1999", "")
    (tmp_path / "A2.CFG").write_bytes(text.replace("Somewhere", "Köln").encode("latin-1"))
    (tmp_path / "A2.dat").write_bytes(path.with_suffix(".dat").read_bytes() + b"\x1a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read(tmp_path / "A2.CFG"), expected)
    np.testing.assert_array_equal(read(tmp_path / "A2.dat"), expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compressed", [False, True])
def test_capture(tmp_path, compressed):
    path = tmp_path / "a.npz"
    arrays = capture_arrays()
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    capture = open_recording(path)
    assert isinstance(capture, Capture)
    assert capture.board == "feather_rp2040"
    assert capture.slots == INPUTS
    assert (capture.frame_ticks, capture.tick_hz) == (6000, 48_000_000)
    assert (capture.rate_hz, capture.seconds, capture.frames) == (8000.0, 0.125, 1000)
    assert capture.calibration == '{"v1": 1}' and capture.board_id is None
    for size in (1, 300, 65536):
        blocks = list(capture.blocks(size))
        assert all(block.dtype == np.uint16 and block.shape[1] == 4 for block in blocks)
        assert len(blocks) == -(-1000 // size)
        np.testing.assert_array_equal(np.vstack(blocks), arrays["codes"])
    np.savez(
        path, **capture_arrays(calibration=None, codes=arrays["codes"].astype(">u2"), id="e66")
    )
    capture = open_recording(path)
    assert isinstance(capture, Capture) and capture.calibration is None
    assert capture.board_id == "e66"
    np.testing.assert_array_equal(np.vstack(list(capture.blocks())), arrays["codes"])


def test_check_rate():
    check_rate("a.csv", 600.0, 60.0)
    for rate in (599.9, float("nan")):
        with pytest.raises(InputError, match=r"^a\.csv: .* at least 10 a cycle .*600 a second$"):
            check_rate("a.csv", rate, 60.0)


@settings(max_examples=40, deadline=None)
@given(
    data=hnp.arrays(
        np.float32,
        st.tuples(st.just(4), st.integers(4, 300)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    sizes=st.lists(st.integers(1, 400), min_size=2, max_size=2),
    form=st.sampled_from(["npz", "packed", "csv"]),
)
def test_block_size_does_not_matter(data, sizes, form):
    waves = dict(zip(INPUTS, data))
    with tempfile.TemporaryDirectory() as folder:
        if form == "csv":
            path = save_csv(Path(folder) / "a.csv", waves)
        else:
            path = save_npz(Path(folder) / "a.npz", waves, form == "packed")
        for size in sizes:
            np.testing.assert_array_equal(read(path, size=size), data.astype(float))


def test_memory_is_bounded(tmp_path):
    """Ten minutes at 8 kHz, 4.8 million samples a channel, 77 MB: a few megabytes to stream."""
    n = 600 * 8000
    wave = np.tile(np.sin(np.arange(8000) * (2 * np.pi * 60 / 8000)).astype(np.float32), 600)
    path = save_npz(tmp_path / "long.npz", dict.fromkeys(INPUTS, wave))
    del wave
    total = 0
    tracemalloc.start()
    try:
        for block in open_recording(path).blocks():
            total += block.shape[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == n
    assert peak < 16e6


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_memory_is_bounded_for_wav(tmp_path, kind):
    from scipy.io import wavfile

    path = tmp_path / "long.wav"
    wavfile.write(path, 8000, np.ones((2_000_000, 3), kind))
    save_map(path)
    tracemalloc.start()
    try:
        assert sum(block.shape[1] for block in open_recording(path).blocks()) == 2_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 9e6


def test_memory_is_bounded_for_text(tmp_path):
    path = tmp_path / "long.csv"
    rows = "".join(f"{k / 7:.6f},{k / 11:.6f}\n" for k in range(1000))
    with path.open("w") as file:
        file.write("# rate_hz=8000\nv1,i1\n")
        for _ in range(300):
            file.write(rows)
    tracemalloc.start()
    try:
        recording = opened(path)
        assert sum(block.shape[1] for block in recording.blocks()) == 300_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24e6


def test_import_is_light():
    """The slow packages are imported only for the files that need them."""
    code = (
        "import sys, tools.recordings; "
        "print([m for m in ('scipy', 'comtrade', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def recorded():
    index = WAVES / "INDEX.json"
    if not index.exists():
        skip = pytest.mark.skip(reason=f"no recorded waveforms in {WAVES}")
        return [pytest.param(None, marks=skip, id="none")]
    return [pytest.param(entry, id=entry["file"]) for entry in json.loads(index.read_text())]


@pytest.mark.parametrize("entry", recorded())
def test_recorded_waveforms(entry):
    recording = opened(WAVES / entry["file"])
    assert recording.rate_hz == entry["rate_hz"]
    rms = np.sqrt(np.mean(np.hstack(list(recording.blocks())) ** 2, axis=1))
    for k, element in enumerate(("element1", "element2")):
        expected = entry["reference_float64"].get(element)
        if expected is None:
            assert not rms[2 * k : 2 * k + 2].any()
            continue
        assert rms[2 * k] == pytest.approx(expected["volts"], rel=1e-6)
        assert rms[2 * k + 1] == pytest.approx(expected["amps"], rel=1e-6)
