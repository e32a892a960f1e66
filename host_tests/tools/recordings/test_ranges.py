"""Numbers out of their ranges, and structures that would take all memory: one line, at once."""

import json
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from host_tests.rigs.recording_files import (
    capture_arrays,
    codes_of,
    consume,
    dat_bytes,
    opened,
    read,
    refused,
    save_comtrade,
    save_csv,
    save_map,
    save_npz,
    save_wav,
    waveforms,
)
from tools.common.ranges import Range, number_in
from tools.recordings import ranges
from tools.recordings.open import Capture, open_recording

GOOD = waveforms(60)


def test_a_range():
    some = Range(-2, 1e7, "V")
    assert str(some) == "-2 to 10 000 000 V"
    for value in (-2, 0, 1e7, -0.0):
        assert value in some
    for value in (-2.0000001, 1e7 + 1, float("nan"), float("inf"), "1", None, 10**400):
        assert value not in some


@pytest.mark.parametrize("text", ["1", "-1.5", "+.5e-3", "5.", "nan", "-inf", "Infinity", "1E5"])
def test_numbers_that_are_taken(text):
    assert number_in(text) == pytest.approx(float(text), nan_ok=True)


@pytest.mark.parametrize(
    "text", ["", "1_0", "٣", "１２", "1e٣", "0x1", "1 ", "1,5", "e5", ".", "--1", "1" * 401, "1\n"]
)
def test_numbers_that_are_not(text):
    with pytest.raises(ValueError):
        number_in(text)


RATES = [450.0, 8000.0, 10e6]
NO_RATES = [449.999, 10e6 * (1 + 1e-9), 1e10, 1e308, 5e-324, -8000.0, float("nan"), float("inf")]


@pytest.mark.parametrize("rate", RATES + NO_RATES)
def test_rates_of_every_format(tmp_path, rate):
    """10 MHz and 450 Hz are the ends, whichever format says so, and in whatever way."""
    says = refused if rate in NO_RATES or rate != rate else lambda path, *words: consume(path)
    says(save_npz(tmp_path / "a.npz", {**GOOD, "rate_hz": rate}), "rate_hz is", "450 to 10 000")
    says(save_csv(tmp_path / "b.csv", GOOD, f"# rate_hz={rate!r}"), "450 to 10 000 000")
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.attrs["rate_hz"] = rate
        for name, wave in GOOD.items():
            file[name] = wave
    says(tmp_path / "c.h5", "rate_hz is", "450 to 10 000 000")
    path = save_comtrade(tmp_path / "d.cfg", codes_of(60), rates=["1", f"{rate!r},60"])
    path.with_suffix(".dat").write_bytes(
        b"".join(  # without time stamps, which would say something else
            line.replace(b",%d," % (k * 125), b",,", 1) + b"\n"
            for k, line in enumerate(dat_bytes(codes_of(60), "ASCII").splitlines())
        )
    )
    says(path, "rate_hz is", "450 to 10 000 000")
    save_wav(tmp_path / "e.wav", codes_of(60, 3), 16)
    save_map(tmp_path / "e.wav", rate_hz=rate)
    says(tmp_path / "e.wav", "rate_hz is")


@pytest.mark.parametrize("rate", [0, 449, 10_000_001, 2**32 - 1])
def test_rates_of_a_wav(tmp_path, rate):
    path = save_wav(tmp_path / "e.wav", codes_of(60, 3), 16)
    save_map(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:24] + struct.pack("<I", rate) + whole[28:])
    refused(path, f"rate_hz is {rate}", "450 to 10 000 000")


@pytest.mark.parametrize(("name", "unit"), [("v1", "volts"), ("i2", "amperes")])
def test_samples_end_at_a_million(tmp_path, name, unit):
    for value in (1e6, -1e6):
        wave = GOOD[name].copy()
        wave[7] = value
        consume(save_npz(tmp_path / "a.npz", {**GOOD, name: wave}))
        wave[7] = np.nextafter(value, 2 * value)
        path = save_npz(tmp_path / "a.npz", {**GOOD, name: wave})
        refused(path, f"{name} is", "at sample 7", unit, "-1 000 000 to 1 000 000")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tick_hz": 2**63 - 1, "frame_ticks": 2**50}, ["tick_hz is 9223372036854775807", "to"]),
        ({"tick_hz": 99_999, "frame_ticks": 1}, ["tick_hz is 99999;"]),
        ({"frame_ticks": 95}, ["over frame_ticks 95 is 505263.1579", "450 to 500 000 frames"]),
        ({"frame_ticks": 106_667}, ["is 449.9985938", "450 to 500 000 frames"]),
        ({"frame_ticks": 2**63}, ["frame_ticks 9223372036854775808 is", "450 to"]),
        ({"slots": np.array(["v1", "i1", "v2", "x" * 5000])}, ["one of v1, i1, v2, i2"]),
        ({"codes": np.zeros((9, 0), np.uint16), "slots": np.zeros(0, "U1")}, ["slots is []"]),
        ({"spans": np.array([[1000, 0]])}, ["a value below 1"]),
        ({"spans": np.array([[-1, 6000], [1001, 6000]])}, ["a value below 1"]),
        ({"spans": np.array([[2**63, 6000], [1000, 6000]], np.uint64)}, ["a value below 1"]),
        ({"spans": np.array([[2**62, 6000]] * 4 + [[1000, 6000]])}, ["hold a number of more"]),
        ({"spans": np.array([[1000, 4_800_001]])}, ["a frame of 4800001 ticks", "0.1 s"]),
        ({"spans": np.array([[1000, 47]])}, ["a frame of 47 ticks in spans is", "1e-06 to"]),
        ({"energy": '{"delivered_wh": "' + "9" * 41 + '"}'}, ["must be a JSON object"]),
        ({"board": "x" * 100_000}, []),
    ],
)
def test_numbers_of_a_capture(tmp_path, changes, words):
    path = tmp_path / "bad.npz"
    np.savez(path, **capture_arrays(**changes))
    if changes.get("board"):
        assert len(open_recording(path).board) == 100_000  # type: ignore[union-attr]
    else:
        refused(path, *words)


def test_codes_end_at_4095(tmp_path):
    """Beyond them engines would read past their tables, each something else."""
    codes = np.full((70_000, 4), 4095, np.uint16)
    np.savez(tmp_path / "a.npz", **capture_arrays(codes=codes))
    consume(tmp_path / "a.npz")
    for value in (4096, 65535):
        codes[69_000, 2] = value
        np.savez(tmp_path / "a.npz", **capture_arrays(codes=codes))
        refused(tmp_path / "a.npz", f"the code of v2 in frame 69000 is {value};", "0 to 4095")


def spans_of(each, ticks=6000):
    """A capture of so many frames in each span."""
    return {
        "codes": np.zeros((sum(each), 4), np.uint16),
        "spans": np.array([(n, ticks + k % 2) for k, n in enumerate(each)]),
    }


def test_spans_by_the_thousand(tmp_path):
    """As many as a timer makes are taken; none by which a small file becomes much work."""
    path = tmp_path / "a.npz"
    np.savez(path, **capture_arrays(**spans_of([4] * 50_000)))
    capture = open_recording(path)
    assert isinstance(capture, Capture) and capture.spans.shape == (50_000, 2)
    assert capture.seconds == pytest.approx(200_000 * 6000.5 / 48e6, rel=1e-12)
    np.savez(path, **capture_arrays(**spans_of([9000] + [3] * 2700)))
    refused(path, "more than 2000 spans within a second's frames")
    arrays = capture_arrays(spans=np.ones((3_000_000, 2), np.int64))
    np.savez_compressed(path, **arrays)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    began = time.perf_counter()
    refused(path, "the number of spans is 3000000; it must be 0 to 1 048 576 spans")
    assert time.perf_counter() - began < 5 and tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_npz_that_must_be_unpacked_whole(tmp_path, method):
    save_npz(tmp_path / "good.npz", GOOD)
    with (
        zipfile.ZipFile(tmp_path / "good.npz") as good,
        zipfile.ZipFile(tmp_path / "bad.npz", "w", method) as bad,
    ):
        for name in good.namelist():
            bad.writestr(name, good.read(name))
    refused(tmp_path / "bad.npz", f"is packed by method {method}", "stored or deflated")


def test_an_npz_of_a_great_many_arrays(tmp_path):
    """Whose directory alone would take some hundred megabytes."""
    path = tmp_path / "bad.npz"
    for count, says in ((5000, "the number of its arrays is 5000"), (30_000, "longer than")):
        with zipfile.ZipFile(path, "w") as archive:
            for k in range(count):
                archive.writestr(f"{k}.npy", b"")
        refused(path, says)


def test_an_npz_that_unpacks_to_a_thousand_times_its_size_streams(tmp_path):
    """Zeros without end: read as they come, a block at a time."""
    path = tmp_path / "a.npz"
    header = np.lib.format.header_data_from_array_1_0(np.zeros(1))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("v1", "i1"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, {**header, "shape": (1 << 23,)})
                for _ in range(64):
                    file.write(bytes(1 << 20))
        with archive.open("rate_hz.npy", "w") as file:
            np.lib.format.write_array(file, np.array(8000.0))
    assert path.stat().st_size < 1 << 18
    tracemalloc.start()
    blocks = opened(path).blocks()
    for _ in range(50):
        next(blocks)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize("compressed", [False, True])
def test_the_far_end_of_a_long_npz(tmp_path, compressed):
    wave = np.random.default_rng(4).normal(0, 100, 700_000)
    path = save_npz(tmp_path / "a.npz", {"v1": wave, "i1": -wave}, compressed)
    found = read(path, start=699_000)
    np.testing.assert_array_equal(found[:2], [wave[699_000:], -wave[699_000:]])


def test_a_wav_of_very_many_channels(tmp_path):
    path = tmp_path / "a.wav"
    save_wav(path, np.zeros((100, 1024), np.int16), 16)
    channels = [
        {"input": "v1", "column": 1, "scale": 1},
        {"input": "i1", "column": 1024, "scale": 1},
    ]
    path.with_suffix(".json").write_text(json.dumps({"channels": channels}))
    assert read(path).shape == (4, 100)
    whole = path.read_bytes()
    path.write_bytes(whole[:22] + b"\xff\xff" + whole[24:])
    refused(path, "has 65535 channels of 16 bit", "1 to 1024 channels")


def test_a_wav_of_very_many_chunks(tmp_path):
    path = tmp_path / "a.wav"
    save_map(path)
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 100_000)
    refused(path, "has no data chunk in 4096")


def test_digits_of_other_scripts(tmp_path):
    rows = "v1,i1\n" + "1,2\n" * 5
    path = tmp_path / "a.csv"
    for rate in ("٨٠٠٠", "８０００", "8_000"):
        path.write_text(f"# rate_hz={rate}\n{rows}", encoding="utf-8")
        refused(path, "line 1: rate_hz is", "must be a number")
    path.write_text("# rate_hz=8000\nv1,i1\n1,2\n1,2\n٣,2\n1,2\n", encoding="utf-8")
    refused(path, "line 5, column v1: '٣' is not a number")
    path.write_text("Sample Interval,١e-4\nCH1(V),CH2(A)\n" + "1,2\n" * 9, encoding="utf-8")
    refused(path, "no '# rate_hz=N' line")
    cfg = save_comtrade(tmp_path / "b.cfg", codes_of())
    good = cfg.read_text()
    for old, new in (
        ("8000,400", "٨٠٠٠,400"),
        ("8000,400", "8000,4_00"),
        ("8,5A,3D", "٨,٥A,٣D"),
        ("1e-05", "1e-0٥"),
        ("\n60\n", "\n6_0\n"),
    ):
        assert old in good
        cfg.write_text(good.replace(old, new, 1), encoding="utf-8")
        refused(cfg, "line ")
    cfg.write_text(good.replace("1,VA,A,CB1", "1,VA,٣,1_0", 1), encoding="utf-8")
    read(cfg)


@pytest.mark.parametrize("factor", [0, -1, 1e-300, 1e300, "nan", "inf"])
def test_factors_of_time_stamps(tmp_path, factor):
    path = save_comtrade(tmp_path / "b.cfg", codes_of(), end="\n")
    path.write_text(path.read_text().replace("ASCII\n1\n", f"ASCII\n{factor}\n"))
    refused(path, "last line's factor for time stamps is", "1e-06 to 1 000 000")


def test_a_configuration_of_any_length(tmp_path):
    path = save_comtrade(tmp_path / "b.cfg", codes_of(), end="\n")
    text = path.read_text()
    path.write_text(text + "x\n" * (1 << 22))
    refused(path, "the length of its configuration is", "0 to 4 194 304 bytes")
    lines = text.split("\n")
    path.write_text("\n".join([lines[0], "30000,30000A,0D", *["1,a"] * 30_000]))
    refused(path, "the number of channels in line 2 is 30000")


@pytest.mark.parametrize("scale", [1e-10, 1e10, -1e10, 1e308, 5e-324])
def test_scales(tmp_path, scale):
    path = save_comtrade(tmp_path / "b.cfg", codes_of())
    mapping = {"channels": {"v1": "VA", "i1": "IA"}, "scale": {"v1": scale}}
    path.with_suffix(".json").write_text(json.dumps(mapping))
    refused(path.with_suffix(".cfg"), "scale.v1 without its sign is", "1e-09 to 1 000 000 000")


def test_an_hdf5_that_is_elsewhere_or_in_huge_pieces(tmp_path):
    h5py = pytest.importorskip("h5py")

    def saved(make):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.attrs["rate_hz"] = 8000.0
            file["i1"] = GOOD["i1"]
            make(file)
        return tmp_path / "a.h5"

    n = 60
    outside = [("/dev/zero", 0, h5py.h5f.UNLIMITED)]
    refused(
        saved(lambda f: f.create_dataset("v1", (n,), np.float64, external=outside)), "another file"
    )
    layout = h5py.VirtualLayout((n,), np.float64)
    layout[:] = h5py.VirtualSource("other.h5", "v1", (n,))
    refused(saved(lambda f: f.create_virtual_dataset("v1", layout)), "another file")
    huge = saved(lambda f: f.create_dataset("v1", (1 << 30,), np.float64, chunks=(1 << 28,)))
    refused(huge, "the size of a chunk of v1 is 2147483648", "0 to 67 108 864 bytes")
    saved(lambda f: f.create_dataset("v1", (10**14,), np.float64, chunks=(1000,)))
    refused(tmp_path / "a.h5", "differ in length")
    # A thousand folders, each in the one before, take 6 s to walk through.
    refused(saved(lambda f: f.create_group("/".join("g" * 66))), "nested is 65")


@pytest.mark.slow
def test_a_mat_that_unpacks_to_gigabytes(tmp_path):
    from scipy import io

    path = tmp_path / "a.mat"
    arrays = {"v1": GOOD["v1"], "i1": GOOD["i1"], "rate_hz": 8000.0}
    io.savemat(
        path, {**arrays, "big": np.zeros((1, (1 << 27) - 100), np.uint8)}, do_compression=True
    )
    assert path.stat().st_size < 1 << 20
    refused(path, "it holds 10737", "save it as version 7.3")


def test_the_page_states_the_ranges():
    """The table of tools/README.md, by the numbers themselves."""
    page = Path(__file__).resolve().parents[3].joinpath("tools", "README.md").read_text("utf-8")
    for some in (ranges.RATE_HZ, ranges.CODE, ranges.FRAME_HZ):
        assert str(some).removesuffix(some.unit).strip() in page
    for some in (ranges.VOLTS, ranges.AMPERES):
        assert (some.least, some.most) == (-1e6, 1e6)
    assert "±1 000 000" in page and "32 samples either way" in page
    assert ranges.SKEW_SAMPLES.most == 32 and ranges.SECONDS.most == 1e6
    assert (ranges.SCALE.least, ranges.SCALE.most) == (1e-9, 1e9)
    assert f"{ranges.SPANS.most:,}".replace(",", " ") in page
    assert f"{ranges.SPANS_A_SECOND.most} in a second" in page
