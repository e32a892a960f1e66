"""Recordings in several files, and from a later instant on: against numpy on the joined arrays."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.recording_files import (
    RATE,
    capture_arrays,
    codes_of,
    opened,
    save_comtrade,
    save_csv,
    save_npz,
    table,
    waveforms,
)
from tools.common.errors import InputError
from tools.front_end.later import Later
from tools.front_end.looping import ArrayRecording
from tools.front_end.shared import Shared
from tools.recordings.open import INPUTS, Capture, open_recording
from tools.recordings.parts import Joined, called, expanded, open_parts
from tools.replay.cli import main
from tools.replay.report import as_json
from tools.replay.run import replay

WAVES = waveforms(8000)
WHOLE = table(WAVES)
CUTS = (0, 1700, 1709, 5000, 8000)


def cut(start: int, stop: int) -> dict[str, np.ndarray]:
    return {name: wave[start:stop] for name, wave in WAVES.items()}


def saved(folder: Path, form: str = "npz") -> list[Path]:
    """Parts called part_8, part_9 and so on, in order."""
    save = {"npz": save_npz, "csv": save_csv}[form]
    return [
        save(folder / f"part_{8 + k}.{form}", cut(start, stop))
        for k, (start, stop) in enumerate(pairwise(CUTS))
    ]


def joined(paths) -> Joined:
    found = open_parts(expanded(paths))
    assert isinstance(found, Joined)
    return found


def refused(paths, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        open_parts(expanded(paths))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("form", ["npz", "csv"])
@pytest.mark.parametrize("size", [1, 9, 1709, 65536])
def test_parts_are_the_joined_arrays(tmp_path, form, size):
    saved(tmp_path, form)
    recording = joined([tmp_path / f"part_*.{form}"])
    assert (recording.samples, recording.rate_hz, recording.channels) == (8000, RATE, INPUTS)
    assert recording.seconds == 1.0
    blocks = list(recording.blocks(size=size))
    assert {block.shape[1] for block in blocks[:-1]} <= {size}
    np.testing.assert_array_equal(np.hstack(blocks), WHOLE)
    for start, stop in ((0, 1700), (1699, 1701), (1705, 5003), (7990, None), (5000, 9000)):
        found = np.hstack(list(recording.blocks(start, stop, size)))
        np.testing.assert_array_equal(found, WHOLE[:, start:stop])
    assert list(recording.blocks(8000)) == []


def test_numbers_in_names_go_by_their_value_whatever_the_order_given(tmp_path):
    paths = saved(tmp_path)
    assert [path.name for path in expanded([tmp_path / "*.npz"])] == [
        "part_8.npz",
        "part_9.npz",
        "part_10.npz",
        "part_11.npz",
    ]
    recording = joined([paths[2], paths[3], paths[0], paths[1]])
    np.testing.assert_array_equal(np.hstack(list(recording.blocks())), WHOLE)
    (note,) = recording.notes
    assert note.startswith("4 parts are joined, by name, taken to leave no gap: part_8.npz part_9")
    assert note.endswith(".npz part_10.npz ...")
    assert recording.path == called(paths) == f"{paths[0]} and 3 more"


CODES = codes_of(4000)
CHANNELS = [(n, u, 0.01, 0.0) for n, u in (("v1", "V"), ("i1", "A"), ("v2", "V"), ("i2", "A"))]


def comtrade(path: Path, start: int, stop: int, began: str) -> Path:
    """Part of CODES, whose configuration says when it began."""
    save_comtrade(path, CODES[start:stop, :4], "BINARY", CHANNELS, status=0)
    text = path.read_text().replace("14/11/2023,10:11:12.123456", began)
    path.write_text(text, newline="")
    return path


def test_parts_that_say_when_they_begin_go_by_that(tmp_path):
    """Samples are 125 us apart, so that 1600 of them are 0.2 s; the second begins after midnight
    of the first's year."""
    comtrade(tmp_path / "z.cfg", 0, 1600, "31/12/2023,23:59:59.900000")
    comtrade(tmp_path / "a.cfg", 1600, 4000, "01/01/2024,00:00:00.100000")
    recording = joined([tmp_path / "*.*"])  # the .dat of each is no part of its own
    found = np.hstack(list(recording.blocks()))
    np.testing.assert_allclose(found, CODES[:, :4].T * 0.01, rtol=1e-12)
    assert recording.notes[0] == "2 parts are joined, by when they begin: z.cfg a.cfg"


@pytest.mark.parametrize(
    ("began", "says"),
    [
        ("00.100183", None),  # less than one and a half samples late
        ("00.099817", None),
        ("00.100195", "begins 0.000195 s after the end of"),
        ("00.099805", "begins 0.000195 s before the end of"),
        ("07.100000", "begins 7 s after the end of"),
    ],
)
def test_a_hole_or_an_overlap_is_refused(tmp_path, began, says):
    first = comtrade(tmp_path / "a.cfg", 0, 1600, "31/12/2023,23:59:59.900000")
    second = comtrade(tmp_path / "b.cfg", 1600, 4000, f"01/01/2024,00:00:{began}")
    if says is None:
        assert joined([first, second]).samples == 4000
    else:
        refused([first, second], f"{second}: {says} {first}; ", "replay these apart")


def test_parts_of_tdms_go_by_their_time(tmp_path):
    nptdms = pytest.importorskip("nptdms")
    start = np.datetime64("2024-03-01T00:00:00.000000")
    for name, low, high in (("b", 0, 4000), ("a", 4000, 8000)):
        began = {
            "wf_increment": 1 / RATE,
            "wf_start_time": start + np.timedelta64(low * 125, "us"),
        }
        with nptdms.TdmsWriter(tmp_path / f"{name}.tdms") as writer:
            writer.write_segment(
                [nptdms.ChannelObject("g", n, w, began) for n, w in cut(low, high).items()]
            )
    found = np.hstack(list(joined([tmp_path / "?.tdms"]).blocks()))
    np.testing.assert_array_equal(found, WHOLE)


def test_what_is_no_part_of_the_same_recording_is_refused(tmp_path):
    first, second, *_ = saved(tmp_path)
    other = save_npz(tmp_path / "other.npz", {**cut(0, 90), "rate_hz": 8000.5})
    says = "its samples a second: 8000; those of"
    refused([first, other], f"{first}: {says} {other} are 8000.5, and parts of one recording")
    single = save_npz(tmp_path / "single.npz", {n: WAVES[n][:90] for n in ("v1", "i1")})
    refused([first, single], f"{single}: its channels: v1 i1; those of {first} are v1 i1 v2 i2")
    np.savez(tmp_path / "captured.npz", **capture_arrays(calibration=None))
    refused([first, tmp_path / "captured.npz"], "captured.npz: holds a board's own codes", "alone")
    refused([first, second, tmp_path / "." / "part_8.npz"], "part_8.npz: is named twice")
    refused([tmp_path / "part_*.npz", second], "part_9.npz: is named twice")
    latest = tmp_path / "latest.npz"
    latest.symlink_to("part_9.npz")
    refused([first, second, latest], f"latest.npz: is named twice, as {second} too; name each")
    refused([first, tmp_path / "absent.npz"], "absent.npz: no such file")
    refused([tmp_path / "day_*.npz"], "day_*.npz: no recording has such a name")
    late = comtrade(tmp_path / "late.cfg", 0, 1600, "01/01/2024,00:00:00.000000")
    text = late.read_text().replace("CB1,V,0.01,0.0,0", "CB1,V,0.01,0.0,3", 1)
    other = comtrade(tmp_path / "on_time.cfg", 0, 1600, "01/01/2024,00:00:00.200000")
    late.write_text(text, newline="")
    refused([late, other], f"{other}: its skews: 0 0 0 0 us; those of {late} are 3 0 0 0 us")


def test_a_name_that_is_there_is_no_pattern(tmp_path):
    odd = save_npz(tmp_path / "a[1].npz", cut(0, 90))
    assert expanded([odd]) == [odd]
    assert open_parts(expanded([odd])).path == odd


def test_both_files_of_comtrade_are_one_part(tmp_path):
    first = comtrade(tmp_path / "a.cfg", 0, 1600, "31/12/2023,23:59:59.900000")
    second = comtrade(tmp_path / "b.cfg", 1600, 4000, "01/01/2024,00:00:00.100000")
    both = [file for path in (first, second) for file in (path, path.with_suffix(".dat"))]
    assert expanded(both) == [first, second] and joined(both).samples == 4000
    assert expanded(both[1:]) == [both[1], second]


def test_a_pattern_leaves_out_what_lies_beside(tmp_path):
    saved(tmp_path, "csv")
    channels = {"channels": {n: n for n in INPUTS}}
    for path in tmp_path.glob("part_*.csv"):
        path.with_suffix(".json").write_text(json.dumps(channels))
    assert len(expanded([tmp_path / "part_*"])) == 4


def test_notes_of_all_parts_are_said_once(tmp_path):
    first = comtrade(tmp_path / "a.cfg", 0, 1600, "01/01/2024,00:00:00.000000")
    second = comtrade(tmp_path / "b.cfg", 1600, 4000, "01/01/2024,00:00:00.200000")
    lines = second.with_suffix(".dat").read_bytes()
    second.with_suffix(".dat").write_bytes(lines + lines[-16:])  # a sample too many
    recording = joined([first, second])
    (said,) = {*opened(first).notes}
    assert recording.notes[1:] == (said,)
    (warning,) = recording.warnings
    assert warning.startswith("b.cfg: b.dat holds 2401 samples")


def sines(n: int = 16_000) -> dict[str, np.ndarray]:
    turns = 60 * np.arange(n) / RATE
    wave = np.sin(2 * np.pi * turns)
    return {
        "v1": 170 * wave,
        "i1": 20 * wave * (1 + turns / 99),
        "v2": -170 * wave,
        "i2": 9 * wave,
    }


def test_a_replay_of_parts_is_that_of_the_whole(tmp_path):
    need_engine("micropython")
    waves = sines()
    whole = save_npz(tmp_path / "whole.npz", waves)
    for k, (start, stop) in enumerate(((0, 5001), (5001, 9000), (9000, 16_000))):
        save_npz(tmp_path / f"p{k}.npz", {n: w[start:stop] for n, w in waves.items()})
    for duration in (None, 1.7, 5):
        one = as_json(replay(whole, engine="micropython", duration=duration))
        parts = as_json(replay([tmp_path / "p?.npz"], engine="micropython", duration=duration))
        assert parts.pop("notes") != one.pop("notes")
        assert parts == one


@pytest.mark.parametrize("from_s", [0.5, 0.25006, 1.9])
def test_from_leaves_out_what_comes_before(tmp_path, from_s):
    need_engine("micropython")
    waves = sines()
    whole = save_npz(tmp_path / "whole.npz", waves)
    first = round(from_s * RATE)
    rest = save_npz(tmp_path / "rest.npz", {n: w[first:] for n, w in waves.items()})
    for duration in (None, 3):
        later = as_json(replay(whole, engine="micropython", duration=duration, from_s=from_s))
        assert later == as_json(replay(rest, engine="micropython", duration=duration))


@pytest.mark.parametrize("spans", [None, [(300, 4800), (200, 9600), (500, 2400)]])
def test_from_of_a_capture_is_of_its_own_frames(tmp_path, spans):
    """Frames are of 0.1 ms; of the spans those of the second are of 0.2 ms, of the third 0.05."""
    arrays = capture_arrays(calibration=None, frame_ticks=4800, spans=spans)
    np.savez(tmp_path / "a.npz", **arrays)
    capture = open_recording(tmp_path / "a.npz")
    assert isinstance(capture, Capture)
    cases = (
        [(0.03, 300, []), (0.0001, 1, []), (0.00011, 2, []), (0.0007, 7, [])]
        if spans is None
        else [
            (0.01, 100, [(200, 4800), (200, 9600), (500, 2400)]),
            (0.03, 300, [(200, 9600), (500, 2400)]),
            (0.0301, 301, [(199, 9600), (500, 2400)]),
            (0.0303, 302, [(198, 9600), (500, 2400)]),
            (0.09, 900, [(100, 2400)]),
        ]
    )
    for from_s, first, left in cases:
        later = capture.since(from_s)
        assert later.frames == 1000 - first and later.energy is None
        assert later.spans.tolist() == [list(span) for span in left]
        found = np.vstack(list(later.blocks(64)))
        np.testing.assert_array_equal(found, arrays["codes"][first:])
    with pytest.raises(InputError, match=r"a\.npz: ends at 0\.\d+ s, .* from 0\.2 s on: begin be"):
        capture.since(0.2)


def test_from_beyond_the_end_is_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", cut(0, 4000))
    for from_s in (0.5, 0.4997, 7e5):
        with pytest.raises(
            InputError, match=r"a\.npz: ends at 0\.5 s, and is to be replayed from"
        ):
            replay(path, engine="cpython", from_s=from_s)
    for from_s in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"^from .*: expected seconds, more than 0"):
            replay(path, engine="cpython", from_s=from_s)


def test_the_command_takes_parts_and_from(tmp_path, capsys):
    need_engine("micropython")
    for k in (2, 10):
        save_npz(tmp_path / f"day_{k}.npz", sines(8000))
    pattern = str(tmp_path / "day_*.npz")
    assert main([pattern, "--from", "0.5", "--json", "--engine", "micropython"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["seconds"] == 1.5
    assert said.err == (
        f"note: {tmp_path / 'day_2.npz'} and 1 more: 2 parts are joined, by name, taken to leave "
        "no gap: day_2.npz day_10.npz\n"
    )
    assert main([pattern, "--from", "2", "--engine", "micropython"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"error: {tmp_path / 'day_2.npz'} and 1 more: ")
    assert said.err.endswith(
        "ends at 2 s, and is to be replayed from 2 s on: begin before its end\n"
    )


class Counted(ArrayRecording):
    """Counts the samples that are read of it."""

    read = 0

    def blocks(self, start=0, stop=None, size=65536):
        for block in super().blocks(start, stop, size):
            self.read += block.shape[1]
            yield block


@pytest.mark.parametrize(("ahead", "reads"), [(30_000, 1), (200_000, 2)])
def test_two_readers_side_by_side_read_once(ahead, reads):
    """As long as the one is no further ahead than was said; beyond, all is the same."""
    waves = {"v1": np.arange(300_000.0), "i1": -np.arange(300_000.0)}
    recording = Counted(RATE, waves)
    shared = Shared(recording, 50_000)
    found: list[list[np.ndarray]] = [[], []]
    readers = [shared.blocks(0, None, 1000), shared.blocks(0, None, 777)]
    had = [0, 0]
    while min(had) < 300_000:
        which = 0 if had[0] < min(had[1] + ahead, 300_000) else 1
        found[which].append(next(readers[which]))
        had[which] += found[which][-1].shape[1]
    for blocks in found:
        np.testing.assert_array_equal(np.hstack(blocks)[:2], [waves["v1"], waves["i1"]])
    assert recording.read == 300_000 if reads == 1 else recording.read > 300_000
    np.testing.assert_array_equal(
        np.hstack(list(shared.blocks(70_001, 70_900)))[0], np.arange(70_001.0, 70_900)
    )


def test_later_is_counted_from_there():
    recording = ArrayRecording(RATE, {n: WHOLE[k] for k, n in enumerate(INPUTS)})
    later = Later(recording, 0.25)
    assert (later.samples, later.seconds) == (6000, 0.75)
    np.testing.assert_array_equal(np.hstack(list(later.blocks())), WHOLE[:, 2000:])
    np.testing.assert_array_equal(np.hstack(list(later.blocks(7, 90, 11))), WHOLE[:, 2007:2090])


def test_a_very_large_file_is_read_from_there_alone(tmp_path):
    """Eight hours of four channels at 50 kHz, 23 GB, of which the disk holds the last second."""
    need_engine("micropython")
    if shutil.disk_usage(tmp_path).free < 1 << 30:
        pytest.skip("less than 1 GB is free")
    rate, seconds = 50_000, 8 * 3600
    n = rate * seconds * 16
    t = np.arange(rate) / rate
    wave = np.sin(2 * np.pi * 60 * t)
    head = b"RF64\xff\xff\xff\xffWAVEds64" + (28).to_bytes(4, "little")
    head += (n + 72).to_bytes(8, "little") + n.to_bytes(8, "little") + bytes(12)
    head += b"fmt " + np.array([16], "<u4").tobytes() + np.array([3, 4], "<u2").tobytes()
    head += np.array([rate, rate * 16], "<u4").tobytes() + np.array([16, 32], "<u2").tobytes()
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.write(head + b"data\xff\xff\xff\xff")
        begin = file.tell()
        file.truncate(begin + n)
        file.seek(begin + n - rate * 16)
        file.write(np.outer(wave, [170, 10, -170, 10]).astype("<f4").tobytes())
    scales = [{"input": name, "full_scale": 1.0} for name in INPUTS]
    path.with_suffix(".json").write_text(json.dumps({"channels": scales}))
    done = replay(path, engine="micropython", from_s=seconds - 1.0)
    assert done.seconds == 1.0
    assert done.metered.result["elements"][0]["watts_uw"] == pytest.approx(850e6, rel=2e-3)
