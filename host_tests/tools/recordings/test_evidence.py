"""What a COMTRADE file says of itself is looked at: time stamps, missing marks, sides, skew."""

import json
import struct
import tracemalloc

import numpy as np
import pytest

from host_tests.rigs.recording_files import (
    CHANNELS,
    codes_of,
    opened,
    read,
    refused,
    save_cff,
    save_comtrade,
)

N = 400
PLAIN = [("VA", "V", 1.0, 0.0), ("IA", "A", 1.0, 0.0)]


def saved(tmp_path, old="", new="", stamps=None, form="ASCII", revision="1999", codes=None):
    """A file of two channels at 8 kHz, its .cfg changed, its time stamps in microseconds given."""
    codes = codes_of(N, 2) if codes is None else codes
    path = save_comtrade(tmp_path / "a.cfg", codes, form, PLAIN, 0, revision=revision)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    if stamps is not None:
        lines = [f"{k + 1},{stamps(k)},{v},{a}\r\n" for k, (v, a) in enumerate(codes)]
        path.with_suffix(".dat").write_text("".join(lines), newline="")
    return path


def test_stamps_that_agree_are_no_news(tmp_path):
    recording = opened(saved(tmp_path))
    assert recording.warnings == ()
    assert recording.notes == (
        "channels: v1 is VA, i1 is IA",
        "values are of the primary side (ratios v1 240 : 120, i1 240 : 120)",
    )
    assert recording.nominal_hz == 60


@pytest.mark.parametrize("form", ["ASCII", "BINARY"])
def test_stamps_of_another_rate(tmp_path, form):
    path = saved(tmp_path, f"8000,{N}", f"4000,{N}", form=form)
    told = "time stamps say 8000 samples a second, the configuration 4000: the latter is taken"
    assert opened(path).warnings == (told,)
    assert opened(path).rate_hz == 4000


@pytest.mark.parametrize("factor", ["10", "0.001"])
def test_stamps_are_multiplied(tmp_path, factor):
    path = saved(tmp_path, "ASCII\n1", f"ASCII\n{factor}")
    assert f"time stamps say {8000 / float(factor):g} samples" in opened(path).warnings[0]


def test_stamps_in_nanoseconds(tmp_path):
    path = saved(tmp_path, ":12.123456", ":12.123456000", lambda k: k * 125_000)
    assert opened(path).warnings == ()


@pytest.mark.parametrize("rounded", [1000, 250])
def test_stamps_rounded_coarsely_are_no_holes(tmp_path, rounded):
    path = saved(tmp_path, stamps=lambda k: k * 125 // rounded * rounded)
    assert opened(path).warnings == ()


@pytest.mark.parametrize(
    ("stamps", "told"),
    [
        (lambda k: k * 125 + 125 * (k > 99), "jump by 0.000125 s before line 101 (sample 100)"),
        (lambda k: k * 125 + 10**6 * (k > 99), "jump by 1 s before line 101"),
        (lambda k: k * 125 - 30_000 * (k > 250), "jump by -0.03 s before line 252"),
    ],
)
def test_a_hole_in_the_stamps(tmp_path, stamps, told):
    refused(saved(tmp_path, stamps=stamps), told, "cut the recording")


@pytest.mark.parametrize("value", [0, ""])
def test_stamps_that_tell_nothing(tmp_path, value):
    path = saved(tmp_path, stamps=lambda k: value)
    assert opened(path).warnings == ()
    path = saved(tmp_path, f"1\n8000,{N}", f"0\n0,{N}", lambda k: value)
    refused(path, "gives no sampling rate", "a.dat no time stamps that go on")


def test_binary_stamps_begin_anew(tmp_path):
    codes = codes_of(N, 2)
    path = saved(tmp_path, form="BINARY", codes=codes)
    record = np.frombuffer(path.with_suffix(".dat").read_bytes(), "<u4").reshape(N, 3).copy()
    record[:, 1] += np.uint32(2**32 - 20_000)
    path.with_suffix(".dat").write_bytes(record.tobytes())
    assert opened(path).warnings == ()
    np.testing.assert_array_equal(read(path)[:2], codes.T)


@pytest.mark.parametrize("samples", [N, 0])
def test_a_rate_from_the_stamps(tmp_path, samples):
    path = saved(tmp_path, f"1\n8000,{N}", f"0\n0,{samples}", lambda k: round(k * 1e6 / 7680))
    recording = opened(path)
    assert (recording.rate_hz, recording.samples) == (7680, N)
    assert "7680 samples a second by the time stamps; no rate is given" in recording.notes


def test_stretches_of_one_rate(tmp_path):
    path = saved(tmp_path, f"1\n8000,{N}", f"3\n8000,100\n8000,300\n8000,{N}")
    recording = opened(path)
    assert (recording.rate_hz, recording.samples, recording.warnings) == (8000, N, ())


@pytest.mark.parametrize("form", ["ASCII", "BINARY"])
def test_more_data_than_said(tmp_path, form):
    recording = opened(saved(tmp_path, f"8000,{N}", "8000,100", form=form))
    assert recording.samples == 100
    told = f"a.dat holds {N} samples, the configuration says 100: the rest is left out"
    assert recording.warnings == (told,)


@pytest.mark.parametrize(
    ("form", "revision", "mark"),
    [
        ("ASCII", "1991", 999999),
        ("ASCII", "1991", 99999),
        ("ASCII", "1999", 99999),
        ("ASCII", "1999", ""),
        ("ASCII", "2013", ""),
        ("ASCII", "2013", 99999),
        ("BINARY", "1999", -(2**15)),
        ("BINARY", "2013", -(2**15)),
        ("BINARY32", "2013", -(2**31)),
        ("FLOAT32", "2013", np.nan),
        ("FLOAT32", "2013", np.finfo(np.float32).min),
    ],
)
def test_missing_samples_are_bridged(tmp_path, form, revision, mark):
    """Alone and three in a row, in one channel; the other one is as it was."""
    codes = codes_of(N, 2).astype(object)
    expected = codes.astype(float)
    for first, last in ((123, 124), (200, 203)):
        codes[first:last, 1] = mark
        x = np.arange(first, last)
        expected[first:last, 1] = np.interp(
            x, [first - 1, last], [codes[first - 1, 1], codes[last, 1]]
        )
    if form != "ASCII":
        codes = codes.astype(np.float32 if form == "FLOAT32" else np.int64)
    path = saved(tmp_path, form=form, revision=revision, codes=codes)
    if revision == "1991":
        path.write_text(path.read_text().replace(",1991", "", 1))
    np.testing.assert_allclose(read(path)[:2], expected.T, rtol=1e-6)
    np.testing.assert_allclose(read(path, start=201, stop=202)[:2], expected.T[:, 201:202], 1e-6)
    place = "line 124 (sample 123)" if form == "ASCII" else "sample 123"
    told = f"i1: 4 samples are marked as missing and interpolated, the first at {place}"
    assert opened(path).warnings == (told,)


def test_a_mark_within_a_channels_range_is_a_value(tmp_path):
    codes = codes_of(N, 2)
    codes[50, 1] = 99999
    path = saved(tmp_path, "A,1.0,0.0,0,-32767,32767", "A,1.0,0.0,0,-99999,99999", codes=codes)
    assert read(path)[1, 50] == 99999
    assert opened(path).warnings == ()


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (slice(10, 19), "at line 11 (sample 10) and for 9 samples; only gaps of up to 1 ms"),
        (slice(0, 1), "at line 1 (sample 0), where the recording begins"),
        (slice(N - 1, N), f"at line {N} (sample {N - 1}), where the recording ends"),
        (slice(1, -1, 50), f"8 of {N} samples of i1 are marked as missing"),
    ],
)
def test_missing_samples_that_are_too_many(tmp_path, missing, told):
    codes = codes_of(N, 2)
    codes[missing, 1] = 99999
    refused(saved(tmp_path, codes=codes), told)


def test_a_gap_across_pieces(tmp_path):
    """Binary data are read 64 kB at a time: the gap's ends are in two of them."""
    n = 12_000
    codes = np.column_stack((np.arange(n), np.arange(n))) % 30_000
    path = saved(tmp_path, form="BINARY", codes=codes)
    whole = np.frombuffer(path.with_suffix(".dat").read_bytes(), "<i2").reshape(n, 6)
    border = (1 << 16) // 12
    for first in range(border - 4, border + 3):
        record = whole.copy()
        record[first : first + 3, 5] = -(2**15)
        path.with_suffix(".dat").write_bytes(record.tobytes())
        np.testing.assert_allclose(read(path)[1], codes[:, 1], atol=1e-9)


def test_the_secondary_side(tmp_path):
    path = saved(tmp_path, "A,1.0,0.0,0,-32767,32767,240,120,P", "A,1,0,0,-32767,32767,200,1,S")
    (told,) = opened(path).warnings
    assert told.startswith("values are of the transformers' secondary side")
    assert "(i1 200 : 1)" in told
    mapping = {
        "channels": [{"input": "v1", "column": 1}, {"input": "i1", "column": 2, "scale": 20}]
    }
    before = read(path)
    path.with_suffix(".json").write_text(json.dumps(mapping))
    np.testing.assert_array_equal(read(path)[1], 20 * before[1])


@pytest.mark.parametrize(
    ("units", "factors"),
    [
        (("Volts", "Amps"), (1, 1)),
        (("volt", "AMPERES"), (1, 1)),
        (("KV", "mA"), (1e3, 1e-3)),
        (("kilovolts", "ma"), (1e3, 1e-3)),
        (("mV", "kA"), (1e-3, 1e3)),
        (("[V]", "µA"), (1, 1e-6)),
        (("v", "a"), (1, 1)),
    ],
)
def test_units_in_words_and_any_case(tmp_path, units, factors):
    codes = codes_of(N, 2)
    channels = [("x", units[0], 0.01, 0.0), ("y", units[1], 0.01, 0.0)]
    path = save_comtrade(tmp_path / "a.cfg", codes, channels=channels, status=0)
    path.write_bytes(path.read_text().encode("utf-8"))
    expected = codes.T * 0.01 * np.array(factors)[:, None]
    np.testing.assert_allclose(read(path)[:2], expected, rtol=1e-12)


@pytest.mark.parametrize("form", ["ASCII", "BINARY", "FLOAT32"])
@pytest.mark.parametrize(
    ("old", "new"),
    [(b"type: ", b"type "), (b"file type: ", b"File Type:"), (b"--- file", b"---file")],
)
def test_cff_headings(tmp_path, form, old, new):
    path = save_comtrade(tmp_path / "a.cfg", codes_of(), form)
    expected = read(path)
    cff = save_cff(path)
    data = cff.read_bytes()
    text, mark, rest = data.partition(b"--- file type: DAT")
    cff.write_bytes((text + mark).replace(old, new) + rest)
    np.testing.assert_array_equal(read(cff), expected)


def test_channels_left_out_are_named(tmp_path):
    notes = opened(save_comtrade(tmp_path / "a.cfg", codes_of())).notes
    assert notes[0] == "channels: v1 is VA x 1000, i1 is IA, v2 is VB, i2 is IB x 1000"
    assert notes[1] == "not used: IC"


@pytest.mark.parametrize("form", ["ASCII", "BINARY"])
def test_memory_is_bounded(tmp_path, form):
    n = 200_000
    path = save_comtrade(tmp_path / "a.cfg", codes_of(4), form, CHANNELS, rates=["1", f"8000,{n}"])
    with path.with_suffix(".dat").open("wb") as file:
        for k in range(n):
            if form == "ASCII":
                file.write(b"%d,%d,1,2,3,4,5,0,0,0\r\n" % (k + 1, k * 125))
            else:
                file.write(struct.pack("<II5hH", k + 1, k * 125, 1, 2, 3, 4, 5, 0))
    tracemalloc.start()
    try:
        assert sum(block.shape[1] for block in opened(path).blocks()) == n
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (24e6 if form == "ASCII" else 8e6)
