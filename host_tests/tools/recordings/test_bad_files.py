"""Every way in which a recording can be bad: one line that names the file, no traceback."""

import contextlib
import json
import os
import random
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from host_tests.rigs.recording_files import (
    RATE,
    capture_arrays,
    codes_of,
    consume,
    dat_bytes,
    read,
    refused,
    save_cff,
    save_comtrade,
    save_csv,
    save_map,
    save_npz,
    save_wav,
    waveforms,
)
from tools.common.errors import InputError
from tools.recordings.open import open_recording


def test_bad_paths(tmp_path):
    refused(tmp_path / "absent.npz", "no such file")
    refused(tmp_path, "is a directory")
    refused(tmp_path / "absent" / "a.csv", "no such file")
    refused(tmp_path / ("a" * 300 + ".npz"))
    odd = tmp_path / "two\nlines.npz"
    odd.write_bytes(b"")
    with pytest.raises(InputError, match=r"no\\x00name\.npz: "):
        open_recording(tmp_path / "no\0name.npz")
    with pytest.raises(InputError, match=r"two\\nlines\.npz: is empty"):
        open_recording(odd)
    other = tmp_path / "a.txt"
    other.write_bytes(b"x")
    refused(other, "'.txt'", ".npz")
    os.mkfifo(tmp_path / "pipe.csv")
    refused(tmp_path / "pipe.csv", "not a regular file")


def test_unreadable(tmp_path, monkeypatch):
    """Permission denied, as root never is: at open, and while streaming."""
    path = save_npz(tmp_path / "a.npz", waveforms())
    table_path = save_csv(tmp_path / "b.csv", waveforms())
    recording = open_recording(table_path)

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", deny)
    refused(path, "permission denied")
    with pytest.raises(InputError, match=r"b\.csv: cannot be read \(permission denied\)"):
        next(recording.blocks())


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".wav", ".cfg", ".dat", ".cff"])
def test_empty_and_garbage(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"")
    refused(path, "is empty")
    rng = random.Random(6)
    for length in (1, 2, 12, 100, 5000, 200_000):
        path.write_bytes(rng.randbytes(length))
        refused(path)
        path.write_bytes(b"x" * length)
        refused(path)
        path.write_bytes(b"\n" * length)
        refused(path)


GOOD = waveforms(20)


def without(*names):
    return {name: wave for name, wave in GOOD.items() if name not in names}


def spoilt(value, at=7):
    v2 = GOOD["v2"].copy()
    v2[at] = value
    return {**GOOD, "v2": v2}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (without("v1"), ["has no v1", "i1, v2, i2"]),
        (without("i1"), ["has no i1"]),
        (without("v2"), ["has i2 but no v2"]),
        (without("i2"), ["has v2 but no i2"]),
        ({}, ["has no v1"]),
        ({**GOOD, "rate_hz": None}, ["has no rate_hz"]),
        ({**GOOD, "rate_hz": "fast"}, ["rate_hz", "must be a number"]),
        ({**GOOD, "rate_hz": 8000j}, ["rate_hz", "must be a number"]),
        ({**GOOD, "rate_hz": np.array([8000, 8000])}, ["rate_hz", "one number"]),
        ({**GOOD, "rate_hz": 0}, ["rate_hz is 0", "450 to 10 000 000 samples a second"]),
        ({**GOOD, "rate_hz": -8000.0}, ["rate_hz is -8000", "450 to"]),
        ({**GOOD, "rate_hz": np.nan}, ["rate_hz is nan"]),
        ({**GOOD, "rate_hz": np.inf}, ["rate_hz is inf"]),
        ({**GOOD, "rate_hz": 449.9}, ["449.9", "must be 450 to"]),
        ({name: wave[:0] for name, wave in GOOD.items()}, ["0 samples", "at least 4"]),
        ({name: wave[:3] for name, wave in GOOD.items()}, ["3 samples"]),
        ({**GOOD, "i2": GOOD["i2"][:-1]}, ["differ in length", "i2 19"]),
        ({**GOOD, "i1": GOOD["i1"].reshape(2, 10)}, ["i1 is float64 of shape (2, 10)", "1-dim"]),
        ({**GOOD, "i1": np.float64(3)}, ["i1 is float64 of shape ()"]),
        ({**GOOD, "v1": GOOD["v1"].astype(complex)}, ["v1 is of type complex128"]),
        ({**GOOD, "v1": GOOD["v1"] > 0}, ["v1 is of type bool"]),
        ({**GOOD, "v1": np.array(["1"] * 20)}, ["v1 is of type <U1"]),
        ({**GOOD, "v1": np.zeros(20, "f4,f4")}, ["v1 is of type"]),
        ({**GOOD, "v1": np.array([1, None] * 10)}, ["pickled"]),
        ({**GOOD, "rate_hz": np.array(None)}, ["pickled"]),
        (spoilt(np.nan), ["v2 is nan at sample 7", "volts"]),
        (spoilt(np.inf), ["v2 is inf at sample 7"]),
        (spoilt(-np.inf, 19), ["v2 is -inf at sample 19"]),
        (spoilt(2e9), ["v2 is 2000000000.0 at sample 7"]),
    ],
)
def test_bad_npz(tmp_path, arrays, words):
    path = tmp_path / "bad.npz"
    save_npz(path, arrays)
    refused(path, *words)


def test_npz_that_is_something_else(tmp_path):
    path = tmp_path / "bad.npz"
    np.save(tmp_path / "a.npy", np.zeros(10))
    path.write_bytes((tmp_path / "a.npy").read_bytes())
    refused(path, "not a whole .npz")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v1.npy", b"no array")
        archive.writestr("i1.npy", b"no array")
        archive.writestr("rate_hz.npy", b"no array")
    refused(path, "array v1 is damaged")
    # Headers that numpy's parser takes for Python 2's, warns of, and tokenizes.
    for header in (b"{'descr': (", b"{'descr': '<f8', 'fortran_order': False, 'shape': (20L,"):
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("v1", "i1", "rate_hz"):
                length = len(header).to_bytes(2, "little")
                archive.writestr(name + ".npy", b"\x93NUMPY\1\0" + length + header)
        refused(path, "array v1 is damaged")


def test_npz_with_an_array_twice(tmp_path):
    """Which of the two would be metered?"""
    path = save_npz(tmp_path / "bad.npz", GOOD)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("v1.npy", archive.read("i1.npy"))
    refused(path, "v1", "more than once")


def test_npz_header_that_lies(tmp_path):
    """A header of more data than there are must not be believed, nor allocate them."""
    path = save_npz(tmp_path / "bad.npz", GOOD)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for shape in (b"(10**15,)", b"(21,)    ", b"(19,)    ", b"(-20,)   ", b"(9999999999,)"):
        data = members["v1.npy"].replace(b"(20,), }" + b" " * (len(shape) - 5), shape + b", }")
        assert data != members["v1.npy"] and len(data) == len(members["v1.npy"])
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, data if name == "v1.npy" else content)
        refused(path, "array v1")


def test_npz_never_unpickles(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    for name in ("v1", "rate_hz", "codes", "board"):
        path = tmp_path / "bad.npz"
        arrays = {**GOOD, "rate_hz": RATE, name: np.array([Bomb()] * 20, dtype=object)}
        if name == "board":
            arrays = capture_arrays(board=np.array([Bomb()], dtype=object))
        np.savez(path, **arrays)
        refused(path, "pickled")
    assert not (tmp_path / "exploded").exists()


WH, EXACT = "12.345678901", [["12", "345"]] * 6
ENERGY = {"captured": 1000, "lost": 0, "delivered_wh": WH, "received_wh": WH, "exact": EXACT}
BAD_ENERGIES = [
    *("[]", "{}", "3", '"x"', "null", "true"),
    *(
        json.dumps(ENERGY | other)
        for other in (
            {"delivered_wh": 12.3},
            {"received_wh": "twelve"},
            {"received_wh": "1e3"},
            {"delivered_wh": "\u0661"},
            {"delivered_wh": None},
            {"exact": EXACT[:5]},
            {"exact": {}},
            {"exact": "123456"},
            {"exact": [["1", "2"]] * 5 + [["1"]]},
            {"exact": [["1", "2"]] * 5 + ["12"]},
            {"exact": [["1", 2]] * 6},
            {"exact": [["-1", "2"]] * 6},
        )
    ),
]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"codes": np.zeros((100, 4))}, ["codes is float64"]),
        ({"codes": np.zeros(100, np.uint16)}, ["shape (100,)"]),
        ({"codes": np.zeros((3, 4), np.uint16)}, ["the number of frames is 3;"]),
        ({"codes": np.zeros((100, 3), np.uint16)}, ["for 3 columns"]),
        ({"codes": np.asfortranarray(np.zeros((100, 4), np.uint16))}, ["Fortran"]),
        ({"board": None}, ["no board"]),
        ({"board": 3}, ["board is int64"]),
        ({"board": np.array(["a", "b"])}, ["one text"]),
        ({"slots": None}, ["no slots"]),
        ({"slots": np.array(["v1", "v1", "v2", "i2"])}, ["no two alike"]),
        ({"frame_ticks": 0}, ["frame_ticks is 0", "above 0"]),
        ({"frame_ticks": 6000.0}, ["frame_ticks is float64"]),
        ({"tick_hz": None}, ["no tick_hz"]),
        ({"tick_hz": -1}, ["tick_hz is -1"]),
        ({"frame_ticks": 6_000_000}, ["tick_hz over frame_ticks 6000000 is 8;", "450 to"]),
        ({"calibration": "{"}, ["calibration is not JSON"]),
        ({"calibration": 5}, ["calibration is int64"]),
        ({"id": "E6"}, ["id is 'E6'", "hexadecimal"]),
        ({"id": "f" * 33}, ["id is 'fff", "hexadecimal"]),
        ({"id": 5}, ["id is int64"]),
        *(({"energy": text}, ["energy is ", "must be a JSON object"]) for text in BAD_ENERGIES),
    ],
)
def test_bad_capture(tmp_path, changes, words):
    path = tmp_path / "bad.npz"
    np.savez(path, **capture_arrays(**changes))
    refused(path, *words)


def test_a_captures_energy(tmp_path):
    path = tmp_path / "good.npz"
    np.savez(path, **capture_arrays(energy=json.dumps(ENERGY)))
    consume(path)


HEAD = "# rate_hz=8000\nv1,i1\n"
ROWS = "1,2\n3,4\n5,6\n7,8\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + ROWS + "9,x\n" + ROWS, ["line 7", "column i1", "'x'"]),
        (HEAD + ROWS + "9,\n", ["line 7", "column i1", "''"]),
        (HEAD + ROWS + "1_0,2\n", ["line 7", "column v1", "'1_0'"]),
        (HEAD + ROWS + "1e,2\n", ["line 7", "column v1", "'1e'"]),
        (HEAD + ROWS + "0x10,2\n", ["line 7", "'0x10'"]),
        (HEAD + ROWS + "9\x1d,x\n", ["line 7", "column v1"]),
        (HEAD + ROWS + "é,2\n", ["line 7", "'é'"]),
        (HEAD + ROWS + "9" * 90 + "q,2\n", ["line 7", "999..."]),
        (HEAD + ROWS + "9\n" + ROWS, ["line 7", "1 columns", "must have 2: v1,i1"]),
        (HEAD + ROWS + "9,8,7\n" + ROWS, ["line 7", "3 columns"]),
        (HEAD + ROWS + "9,8,7\n9\n" + ROWS, ["line 7", "3 columns"]),
        (HEAD + ROWS + "\n" + ROWS, ["line 7", "blank"]),
        (HEAD + ROWS + "# remark\n" + ROWS, ["line 7", "1 columns"]),
        (HEAD + ROWS + "nan,2\n", ["v1 is nan", "line 7 (sample 4)"]),
        (HEAD + ROWS + "1,-inf\n", ["i1 is -inf", "line 7 (sample 4)", "amperes"]),
        (HEAD + ROWS + "1,1e999\n", ["i1 is inf", "line 7 (sample 4)"]),
        (HEAD, ["0 samples"]),
        (HEAD.strip(), ["0 samples"]),
        (HEAD + "1,2\n3,4\n5,6\n", ["3 samples"]),
        ("v1,i1\n" + ROWS, ["no '# rate_hz=N' line before line 1"]),
        ("# rate_hz=8000\n" + ROWS, ["line 2 is '1,2'", "header"]),
        ("# rate_hz=8000\n# v1,i1\n" + ROWS, ["line 3 is '1,2'", "header"]),
        ("# rate_hz=8000\nv1;i1\n1;2\n", ["1 samples"]),
        ("# rate_hz=8000\nv1/i1\n1/2\n", ["line 2 is 'v1/i1'", "commas"]),
        ("# rate_hz=8000\n", ["no header line"]),
        ("# rate_hz=8000\nv1,v2,i2\n" + "1,2,3\n" * 5, ["has no i1", "1 v1, 2 v2, 3 i2"]),
        ("# rate_hz=8000\nv1,i1,v2\n" + "1,2,3\n" * 5, ["has v2 but no i2"]),
        ("# rate_hz=8000\nv1,i1,v1\n" + "1,2,3\n" * 5, ["column v1 stands 2 times in line 2"]),
        ("# rate_hz=fast\n" + HEAD[15:] + ROWS, ["line 1", "'fast'"]),
        ("# rate_hz=\n" + HEAD[15:] + ROWS, ["line 1", "rate_hz is ''"]),
        ("# rate_hz=0\n" + HEAD[15:] + ROWS, ["rate_hz is 0"]),
        ("# rate_hz=-8000\n" + HEAD[15:] + ROWS, ["rate_hz is -8000"]),
        ("# rate_hz=nan\n" + HEAD[15:] + ROWS, ["rate_hz is nan"]),
        ("# rate_hz=100\n" + HEAD[15:] + ROWS, ["rate_hz is 100", "450"]),
        ("# rate_hz=8000\n" + HEAD + ROWS, ["line 2", "second time"]),
        ("# rate_hz=8000\n" + "#" * 70_000 + "\nv1,i1\n" + ROWS, ["no header line"]),
        (HEAD + ROWS + "1," + " " * (3 << 20) + "2\n" + ROWS, ["over"]),
    ],
)
def test_bad_csv(tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    refused(path, *words)


def test_csv_bad_number_far_down(tmp_path):
    waves = waveforms(50_000)
    path = save_csv(tmp_path / "bad.csv", waves)
    lines = path.read_text().split("\n")
    lines[43_210 - 1] = lines[43_210 - 1].replace(".", ".x", 1)
    path.write_text("\n".join(lines))
    refused(path, "line 43210, column v1")


def test_csv_that_is_not_text(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(HEAD.encode("utf-16"))
    refused(path, "binary")
    path.write_bytes(b"# rate_hz=8000\n\xff\xfe\n")
    refused(path, "line 2 is not text")
    path.write_bytes((HEAD + ROWS).encode() + b"\x80\x00,2\n")
    refused(path, "binary")


def test_wav_without_json_and_bad_json(tmp_path):
    path = save_wav(tmp_path / "bad.wav", codes_of(50, 3), 16)
    refused(path, "bad.json: no such file")
    v1 = {"input": "v1", "full_scale": 400}
    i1 = {"input": "i1", "full_scale": 10}
    for found, words in [
        ("{", ["not a JSON"]),
        ("[]", ["holds a list"]),
        ("\xff", ["JSON"]),
        ('{"channels": [], "channels": []}', ["'channels' stands twice"]),
        ("[" * 100_000, ["not a JSON"]),
        ({}, ['"channels" must be a list of 3']),
        ({"channels": [v1, i1]}, ["a list of 3"]),
        ({"channels": {"v1": 1}}, ["scale.v1 is None"]),
        ({"channels": {"v1": "left"}, "scale": {"v1": 1}}, ["v1 is 'left'", "number from 1"]),
        ({"channels": [{**v1, "column": 4}]}, ["v1 is channel 4", "1 to 3"]),
        ({"channels": [{**v1, "column": "left"}]}, ["v1 is 'left'", "number from 1"]),
        ({"channels": [{**v1, "scale": 1}, i1, None]}, ["full_scale and scale"]),
        ({"channels": [v1, i1, None], "rate": 1}, ["unknown key 'rate'", "rate_hz"]),
        ({"channels": [v1, {**i1, "gain": 1}, None]}, ["unknown key 'gain' in channels[1]"]),
        ({"channels": [v1, "i1", None]}, ["channels[1] is 'i1'"]),
        ({"channels": [v1, v1, None]}, ["channels[1].input is 'v1'", "once"]),
        ({"channels": [v1, {**i1, "input": "i3"}, None]}, ["'i3'"]),
        ({"channels": [v1, {**i1, "input": ["i1"]}, None]}, ["channels[1].input"]),
        ({"channels": [v1, {"input": "i1"}, None]}, ["channels[1].full_scale is None"]),
        ({"channels": [v1, {**i1, "full_scale": "10"}, None]}, ["full_scale is '10'"]),
        ({"channels": [v1, {**i1, "full_scale": True}, None]}, ["full_scale is True"]),
        ({"channels": [v1, {**i1, "full_scale": 0}, None]}, ["full_scale is 0"]),
        ({"channels": [v1, {**i1, "full_scale": -10}, None]}, ["above 0"]),
        ({"channels": [v1, {**i1, "full_scale": float("nan")}, None]}, ["full_scale is nan"]),
        ({"channels": [v1, {**i1, "full_scale": 10**400}, None]}, ["full_scale is 1000"]),
        ({"channels": [v1, i1, None], "rate_hz": "8000"}, ["rate_hz is '8000'"]),
        ({"channels": [v1, i1, None], "rate_hz": 44}, ["rate_hz is 44"]),
        ({"channels": [v1, None, None]}, ["has no i1"]),
        ({"channels": [v1, i1, {**v1, "input": "v2"}]}, ["has v2 but no i2"]),
    ]:
        text = found if isinstance(found, str) else json.dumps(found)
        path.with_suffix(".json").write_bytes(text.encode("latin-1"))
        refused(path, *words)


def test_bad_wav(tmp_path):
    path = tmp_path / "bad.wav"
    save_map(path)
    for bits in (24, 16):
        whole = save_wav(path, codes_of(50, 3), bits).read_bytes()
        for cut in range(1, len(whole)):
            path.write_bytes(whole[:cut])
            refused(path)
            if cut > 12:  # the same, with the size in the first header made to agree
                path.write_bytes(whole[:4] + struct.pack("<I", cut - 8) + whole[8:cut])
                refused(path)
        refused(path, f"cut short, {50 * 3 * bits // 8 - 1} of {50 * 3 * bits // 8} bytes")
        path.write_bytes(whole[:40] + b"\xff\xff\xff\xff" + whole[44:])
        refused(path, "cut short, ", "of 4294967295 bytes")
    path.write_bytes(whole.replace(b"RIFF", b"RIFX"))
    refused(path, "not a WAV")
    save_wav(path, codes_of(3, 3), 16)
    refused(path, "3 samples")
    save_wav(path, codes_of(50, 3), 16, rate=400)
    refused(path, "rate_hz is 400")
    path.write_bytes(whole[:22] + b"\0\0" + whole[24:])
    refused(path, "0 channels of 16 bit")
    path.write_bytes(whole[:34] + b"\x0c" + whole[35:])
    refused(path, "3 channels of 12 bit")
    path.write_bytes(whole[:20] + b"\x07" + whole[21:])
    refused(path, "format 7", "PCM")
    path.write_bytes(whole[:12] + whole[36:])
    refused(path, "no fmt chunk before its data")
    path.write_bytes(whole[:36])
    refused(path, "has no data chunk")
    unit = np.full((50, 3), np.float32("nan"))
    from scipy.io import wavfile

    wavfile.write(path, 8000, unit)
    refused(path, "v1 is nan at sample 0")


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("8,5A,3D", "8,5,3", ["line 2", "6,4A,2D"]),
        ("8,5A,3D", "9999999998,9999999995A,3D", ["line 2", "only"]),
        ("1\n8000,400", "2\n8000,200\n4000,400", ["2 sampling rates (8000, 4000 Hz)"]),
        ("1\n8000,400", "0\n0,400", None),
        ("8000,400", "0,400", None),
        ("8000,400", "-8000,400", ["rate_hz is -8000"]),
        ("1\n8000,400", "2\n8000,400\n8000,200", ["end at samples 400, 200"]),
        ("kV,1e-05,0.0,0", "kV,1e-05,0.0,nan", ["'VA' has a skew of nan"]),
        ("kV,1e-05,0.0,0", "kV,1e-05,0.0,4001", ["v1 is said to be sampled 4001 us late", "4000"]),
        ("kV,1e-05,0.0,0", "MV,1e-05,0.0,0", ["'VA' in 'MV'", "must be V, kV or mV"]),
        ("ASCII\n1", "ASCII\n0", ["factor for time stamps is 0;"]),
        ("8000,400", "nan,400", ["rate_hz is nan"]),
        ("8000,400", "60,400", ["rate_hz is 60"]),
        ("8000,400", "fast,400", ["line 13", "fast"]),
        ("8000,400", "8000", ["line 13"]),
        ("8000,400", "8000,401", ["cut short, 400 whole samples of the 401"]),
        ("8000,400", "8000,3", ["3 samples"]),
        ("8000,400", "8000,-3", ["-3 samples"]),
        ("2,IA,A,CB1,A,0.01", "2,IA,A,CB1,A,x", ["line 4", "'x'"]),
        ("2,IA,A,CB1,A,0.01", "2,IA,A,CB1,A,nan", ["i1 is nan"]),
        ("2,IA,A,CB1,A,0.01", "2,IA,A,CB1,A,1e308", ["i1 is"]),
        ("ASCII", "EBCDIC", ["'EBCDIC'", "ASCII, BINARY"]),
        (
            "1,VA,A,CB1,kV",
            "1,VA,A,CB1,pu",
            ["1 channels in V and 3 in A", '{"channels": [{"input": "v1"'],
        ),
        ("1,VA,A,CB1,kV", "1,v1,A,CB1,kV", None),
        ("1,VA,A,CB1,kV,1e-05,0.0,0,-32767,32767,240,120,P\n2,IA", "1,v1,,,A,1\n2,i1", ["'A'"]),
        ("2,IA", "2,VA", None),
    ],
)
def test_bad_cfg(tmp_path, old, new, words):
    path = save_comtrade(tmp_path / "bad.cfg", codes_of(), end="\n")
    edit(path, old, new)
    if words is None:  # still good: nothing needs the changed name
        read(path)
    else:
        refused(path, *words)


def test_bad_comtrade_files(tmp_path):
    path = save_comtrade(tmp_path / "bad.cfg", codes_of())
    dat = path.with_suffix(".dat")
    path.unlink()
    refused(dat, "bad.cfg: no such file")
    save_comtrade(path, codes_of())
    dat.unlink()
    refused(path, "bad.dat: no such file")
    dat.write_bytes(b"")
    refused(path, "bad.dat: is empty")
    cff = tmp_path / "bad2.cff"
    cfg = "--- file type: CFG ---\r\n" + path.read_text()
    for text in (
        cfg,
        cfg + "--- file type: DAT ASCII ---\r\n",
        cfg + "--- file type: DAT BINARY: 9 ---\r\n",
        "--- file type: DAT ASCII ---\r\n1,0,1,2\r\n",
        path.read_text(),
    ):
        cff.write_text(text)
        refused(cff, "no section '--- file type: CFG ---', or none like")
    cff.write_text(cfg + "--- file type: DAT BINARY: 9 ---\r\nx")
    refused(cff, "cut short, 0 whole samples of the 400")
    whole = save_cff(save_comtrade(path, codes_of())).read_bytes()
    mark = b"\r\n100,"
    assert whole.count(mark) == 1
    path.with_suffix(".cff").write_bytes(whole.replace(mark, b"\r\n1\xff00,"))
    line = whole[: whole.index(mark)].count(10) + 2
    refused(path.with_suffix(".cff"), f"line {line}, column number: '1�00' is not a number")


@pytest.mark.parametrize("form", ["ASCII", "BINARY"])
def test_truncated_comtrade(tmp_path, form):
    path = save_comtrade(tmp_path / "bad.cfg", codes_of(30), form)
    dat = path.with_suffix(".dat")
    cfg, whole = path.read_bytes(), dat.read_bytes()
    for cut in range(len(whole.rstrip()) if form == "ASCII" else len(whole)):
        dat.write_bytes(whole[:cut])
        refused(path)
    dat.write_bytes(whole)
    for cut in range(cfg.index(form.encode()) + len(form) - 1):
        path.write_bytes(cfg[:cut])
        refused(path)


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        ("ASCII", 99999),
        ("BINARY", -32768),
        ("BINARY32", -(2**31)),
        ("FLOAT32", float(np.finfo(np.float32).min)),
    ],
)
def test_comtrade_missing_samples(tmp_path, form, missing):
    codes = codes_of().astype(object if form != "FLOAT32" else float)
    codes[123:132, 2] = missing  # at 8 kHz, a sample more than is interpolated
    path = save_comtrade(tmp_path / "bad.cfg", codes, form)
    refused(path, "v2 is marked as missing", "sample 123", "for 9 samples", "1 ms")


@pytest.mark.parametrize("form", ["ASCII", "BINARY"])
def test_comtrade_gap(tmp_path, form):
    codes = codes_of()
    path = save_comtrade(tmp_path / "bad.cfg", codes, form)
    dat = path.with_suffix(".dat")
    dat.write_bytes(dat_bytes(codes[:200], form) + dat_bytes(codes[200:], form, first=205))
    refused(path, "sample number 205 follows 200", "sample 200")


def test_comtrade_bad_numbers(tmp_path):
    path = save_comtrade(tmp_path / "bad.cfg", codes_of(), end="\n")
    dat = path.with_suffix(".dat")
    lines = dat.read_text().split("\n")
    for cells, words in [
        ("101,12500,1,2,x,4,5,0,0,0", ["bad.dat: line 101, column VB: 'x' is not a number"]),
        ("101,12500,1,2,inf,4,5,0,0,0", ["v2 is inf at line 101 (sample 100)"]),
        ("101,12500,1,2,3,4,5,0,0", ["bad.dat: line 101 has 9 columns; it must have 10"]),
        ("101,12500,1,2,3,4,5,0,0,0,0", ["line 101 has 11 columns"]),
        ("1x1,12500,1,2,3,4,5,0,0,0", ["line 101, column number: '1x1' is not a number"]),
        (",12500,1,2,3,4,5,0,0,0", ["line 101, column number: ''"]),
        ("102,12500,1,2,3,4,5,0,0,0", ["sample number 102 follows 100"]),
        ("101,1x1,1,2,3,4,5,0,0,0", ["line 101, column time stamp: '1x1'"]),
        ("101,2500,1,2,3,4,5,0,0,0", ["time stamps jump by -0.01 s", "line 101 (sample 100)"]),
    ]:
        dat.write_text("\n".join([*lines[:100], cells, *lines[101:]]))
        refused(path, *words)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({}, ['"channels"']),
        ({"channels": ["v1"]}, ['"channels" must be a list of 5']),
        ({"channels": [{"input": "v1", "column": "VA", "full_scale": 1}]}, ["'full_scale'"]),
        ({"channels": {"v1": "VA", "i1": "IA"}, "rate_hz": 1}, ["rate_hz is 1"]),
        ({"channels": {"v1": "VA", "i1": "IA"}, "rate": 8000}, ["unknown key 'rate'"]),
        ({"channels": {"v1": "VA", "i3": "IA"}}, ["unknown key 'i3'"]),
        ({"channels": {"v1": "VA"}}, ["has no i1"]),
        ({"channels": {"v1": "VA", "i1": "IA", "v2": "VB"}}, ["has v2 but no i2"]),
        ({"channels": {"v1": "VA", "i1": "ID"}}, ["'ID'", "there are 0", "1 VA, 2 IA"]),
        ({"channels": {"v1": "VA", "i1": 6}}, ["i1 is channel 6", "1 to 5"]),
        ({"channels": {"v1": "VA", "i1": 0}}, ["i1 is channel 0"]),
        ({"channels": {"v1": "VA", "i1": True}}, ["i1 is True"]),
        ({"channels": {"v1": "VA", "i1": "VB"}}, ["i1 is channel 'VB' in 'V'"]),
        ({"channels": {"v1": "VA", "i1": "IA"}, "scale": {"v2": 1}}, ["unknown key 'v2'"]),
        ({"channels": {"v1": "VA", "i1": "IA"}, "scale": {"v1": 0}}, ["scale.v1 is 0"]),
        ({"channels": {"v1": "VA", "i1": "IA"}, "scale": [1]}, ['"scale" is [1]']),
    ],
)
def test_bad_comtrade_json(tmp_path, mapping, words):
    path = save_comtrade(tmp_path / "bad.cfg", codes_of())
    path.with_suffix(".json").write_text(json.dumps(mapping))
    refused(path, *words)


def test_file_that_shrinks_while_it_is_read(tmp_path):
    codes = codes_of(500)
    save_map(tmp_path / "c.wav")
    for path, data in [
        (save_npz(tmp_path / "a.npz", waveforms()), None),
        (save_csv(tmp_path / "b.csv", waveforms()), None),
        (save_wav(tmp_path / "c.wav", codes[:, :3], 16), None),
    ]:
        recording = open_recording(path)
        data = data or path
        os.truncate(data, data.stat().st_size // 2)
        with pytest.raises(InputError):
            list(recording.blocks())


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_truncated_anywhere(tmp_path, compressed):
    path = save_npz(tmp_path / "bad.npz", waveforms(50), compressed)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        refused(path)


def save_container(base, kind, waves):
    """One of the formats that other packages write, where they are installed."""
    if kind == 0:
        h5py = pytest.importorskip("h5py")
        with h5py.File(base / "a.h5", "w") as file:
            file.attrs["rate_hz"] = RATE
            for name, wave in waves.items():
                file.create_dataset(name, data=wave, compression="gzip")
        return base / "a.h5"
    if kind == 1:
        nptdms = pytest.importorskip("nptdms")
        channels = [
            nptdms.ChannelObject("g", name, wave, {"wf_increment": 1 / RATE})
            for name, wave in waves.items()
        ]
        with nptdms.TdmsWriter(base / "a.tdms") as writer:
            writer.write_segment(channels)
        return base / "a.tdms"
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(base / "a.flac", codes_of(60, 3).astype(np.int16), int(RATE))
    save_map(base / "a.flac")
    return base / "a.flac"


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=861630)  # a name in an .h5 that is no UTF-8
def test_damaged_bytes_anywhere(seed):
    """Overwritten and cut files of every format give data or InputError, never another error."""
    rng = random.Random(seed)
    codes = codes_of(60)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        kind = rng.randrange(11)
        if kind < 2:
            path = victim = save_npz(base / "a.npz", waveforms(60), kind == 1)
        elif kind == 2:
            path = victim = base / "a.npz"
            np.savez(path, **capture_arrays())
        elif kind == 3:
            path = victim = save_csv(base / "a.csv", waveforms(60))
        elif kind == 4:
            path = victim = save_wav(base / "a.wav", codes[:, :3], rng.choice([8, 16, 24, 32]))
            save_map(path)
        elif kind > 7:
            path = victim = save_container(base, kind - 8, waveforms(60))
        elif kind == 5:
            path = save_comtrade(base / "a.cfg", codes, rng.choice(["ASCII", "BINARY"]))
            path = victim = save_cff(path)
        else:
            path = save_comtrade(base / "a.cfg", codes, ["ASCII", "BINARY"][kind - 6])
            victim = rng.choice([path, path.with_suffix(".dat")])
        data = bytearray(victim.read_bytes())
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(1, len(data)) :]
        victim.write_bytes(data)
        with contextlib.suppress(InputError):
            source = open_recording(path)
            for block in source.blocks():
                assert np.isfinite(block).all()
