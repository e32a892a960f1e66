"""Whole regressions over small folders: energies against what volts and amperes make by hand."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.dask_cluster import Process, cluster
from tools.common import boards
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.regress import cli, measure
from tools.regress import run as regress_run
from tools.regress.job import Job
from tools.regress.row import Row

RATE_HZ = 4000
VOLTS = 120.0


def record(path: Path, amps: float, seconds: float = 2.0, factor: float = 1.0) -> Path:
    """60 Hz, both lines loaded alike at a power factor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = (np.arange(round(seconds * RATE_HZ)) + 0.5) / RATE_HZ
    volts = VOLTS * np.sqrt(2) * np.sin(2 * np.pi * 60 * t)
    current = amps * np.sqrt(2) * np.sin(2 * np.pi * 60 * t - np.arccos(factor))
    np.savez(path, rate_hz=RATE_HZ, v1=volts, i1=current, v2=-volts, i2=-current)
    return path


def wh(amps: float, seconds: float = 2.0) -> float:
    return 2 * VOLTS * amps * seconds / 3600


class Regress:
    """The command over a folder, with results of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.recordings = folder / "recordings"
        self.out = folder / "out"
        self._capsys = capsys
        self.said = self.erred = ""

    def __call__(self, *options: str) -> int:
        given = ["--jobs", "1", *options, "--out", str(self.out)]
        status = cli.main([str(self.recordings), *given])
        self.said, self.erred = self._capsys.readouterr()
        return status

    @property
    def rows(self) -> list[dict[str, Any]]:
        text = (self.out / "rows.jsonl").read_text()
        return sorted(map(json.loads, text.splitlines()), key=lambda row: row["recording"])


@pytest.fixture
def regress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Regress:
    need_engine("micropython")
    return Regress(tmp_path, capsys)


def test_energies_verdicts_and_what_is_known_from_before(
    regress: Regress, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(regress.recordings / "kettle.npz", 10)
    record(regress.recordings / "night" / "fridge.npz", 1.5, 3.0)
    assert regress() == 0
    kettle, fridge = regress.rows
    assert (kettle["recording"], fridge["recording"]) == ("kettle.npz", "night/fridge.npz")
    assert float(kettle["report"]["delivered_wh"]) == pytest.approx(wh(10), rel=1e-3)
    assert float(fridge["report"]["delivered_wh"]) == pytest.approx(wh(1.5, 3.0), rel=1e-3)
    assert [row["verdict"] for row in regress.rows] == ["passed", "passed"]
    assert "2 replays of 2 recordings: 2 passed" in regress.said
    assert "0 known from before" in regress.said and regress.erred == ""

    # What has not changed is not metered again...
    def never(job: object) -> None:
        raise AssertionError("metered again")

    with monkeypatch.context() as patch:
        patch.setattr(regress_run, "measure", never)
        assert regress() == 0
        again = regress.rows
        assert "2 known from before" in regress.said
        assert [row["digest"] for row in again] == [kettle["digest"], fridge["digest"]]
        assert all(row["was_kept"] for row in again)
        # ...nor a copy of it...
        os.link(regress.recordings / "kettle.npz", regress.recordings / "z.npz")
        (regress.recordings / "copy.npz").write_bytes((regress.recordings / "z.npz").read_bytes())
        assert regress() == 0
        names = [row["recording"] for row in regress.rows]
        assert "copy.npz" in names and len(names) == 4
        # ...but what has, and what is asked for otherwise.
        with pytest.raises(AssertionError, match="metered again"):
            regress("--seeds", "2")
        record(regress.recordings / "kettle.npz", 11)
        with pytest.raises(AssertionError, match="metered again"):
            regress()


def test_every_engine_board_converter_and_seed(regress: Regress) -> None:
    record(regress.recordings / "r.npz", 20)
    options = ["--engine", "micropython", "--engine", "cpython", "--board", "feather_rp2040"]
    options += ["--board", "esp32_devkitc", "--adc", "ideal", "--adc", "real", "--seeds", "2"]
    assert regress(*options) == 0
    ways = {
        tuple(row[name] for name in ("board", "engine", "adc", "seed")) for row in regress.rows
    }
    assert len(regress.rows) == len(ways) == 16
    # Both engines come to the same bits, each board, converter and seed to its own.
    digests: dict[tuple[Any, ...], set[str]] = {}
    for row in regress.rows:
        digests.setdefault((row["board"], row["adc"], row["seed"]), set()).add(row["digest"])
    assert len(digests) == 8 and all(len(each) == 1 for each in digests.values())
    assert len(set.union(*digests.values())) == 8


def test_what_cannot_be_used_is_named_and_the_rest_done(regress: Regress) -> None:
    record(regress.recordings / "good.npz", 10)
    whole = (regress.recordings / "good.npz").read_bytes()
    (regress.recordings / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (regress.recordings / "empty.csv").write_bytes(b"")
    (regress.recordings / "gone.npz").symlink_to("nowhere.npz")
    assert regress("--seeds", "2") == 2
    verdicts = {row["recording"]: row["verdict"] for row in regress.rows}
    assert verdicts == {"good.npz": "passed"} | dict.fromkeys(
        ("cut.npz", "empty.csv", "gone.npz"), "unusable"
    )
    # Each is told of once, in however many ways it was tried.
    for name, why in (
        ("cut.npz", "is not a whole .npz"),
        ("empty.csv", "is empty"),
        ("gone.npz", "cannot be read (no such file or directory)"),
    ):
        (at,) = (k for k, line in enumerate(regress.said.splitlines()) if line.startswith(name))
        assert why in regress.said.splitlines()[at + 1]


def test_what_was_gone_for_a_while_is_tried_again(
    regress: Regress, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(regress.recordings / "r.npz", 10)

    def gone(*given: object, **options: object) -> None:
        raise InputError("r.npz: no such file")

    with monkeypatch.context() as patch:
        patch.setattr(measure, "replay", gone)
        assert regress() == 2
    assert regress() == 0 and "0 known from before" in regress.said


@pytest.mark.parametrize("how", ["changes", "goes"])
def test_what_changes_while_it_is_metered_is_not_kept(
    regress: Regress, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Else what it has come to would be that of the contents before, for good."""
    file = record(regress.recordings / "a.npz", 10)
    record(regress.recordings / "b.npz", 20)
    before = file.read_bytes()

    def meanwhile(job: Job) -> Row:
        if job.name == "a.npz":
            if how == "changes":
                record(file, 5)
            else:
                file.unlink()
        return measure.measure(job)

    with monkeypatch.context() as patch:
        patch.setattr(regress_run, "measure", meanwhile)
        assert regress() == 2
    assert [row["verdict"] for row in regress.rows] == ["unusable", "passed"]
    assert "a.npz: " in regress.said and regress.rows[0]["why"] in (
        [f"{file}: has changed while it was metered; run this again"],
        [f"{file}: cannot be read any more (no such file or directory)"],
    )
    file.write_bytes(before)
    assert regress() == 0
    assert float(regress.rows[0]["report"]["delivered_wh"]) == pytest.approx(wh(10), rel=1e-3)
    assert "1 known from before" in regress.said


def test_a_folder_behind_a_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_engine("micropython")
    record(tmp_path / "far" / "r.npz", 10)
    (tmp_path / "far" / "deep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    path = tmp_path / "link" / ".." / "r.npz"
    assert cli.main([str(path), "--jobs", "1", "--out", str(tmp_path / "out")]) == 0
    assert "1 passed" in capsys.readouterr().out


def test_a_picture_that_cannot_be_kept_is_shown_all_the_same(
    regress: Regress, tmp_path: Path
) -> None:
    record(regress.recordings / "a.npz", 10)
    regress.out.mkdir()
    (regress.out / "pictures").write_text("")
    page = tmp_path / "page.html"
    assert regress("--html", str(page)) == 0
    assert "data:image/svg+xml" in page.read_text()


def test_an_energy_that_is_off(regress: Regress) -> None:
    # Twice the range of the front end: clipped, and so less than flowed.
    record(regress.recordings / "loud.npz", 400)
    record(regress.recordings / "right.npz", 40)
    assert regress() == 1
    loud, right = regress.rows
    assert (loud["verdict"], right["verdict"]) == ("limit", "passed")
    assert any(line.startswith("element 1: delivered") for line in loud["why"])
    assert f"{wh(400) / 2:.6f} by float64" in loud["why"][-1]
    assert "LIMIT" in regress.said
    # Nothing is metered again for another limit.
    assert regress("--limit", "60") == 0 and "2 known from before" in regress.said
    assert regress("--limit", "0.00001") == 1


def test_golden_files(regress: Regress) -> None:
    recording = record(regress.recordings / "sub" / "r.npz", 30, 5.0)
    assert regress() == 0 and "1 recordings without a golden file" in regress.said
    assert regress("--update") == 0
    assert "1 golden files written" in regress.said and "+++ r.npz.golden.json" in regress.said
    golden = recording.with_name("r.npz.golden.json")
    kept = json.loads(golden.read_text())
    (section,) = kept.values()
    assert float(section["delivered_wh"]) == pytest.approx(wh(30, 5.0), abs=0.0006 + 1e-3 * 5)
    assert section["edges"]["ten"][0][1] is False and section["edges_in_all"]["ten"] == 2
    before = golden.read_bytes()
    assert regress() == 0 and regress("--update") == 0
    assert "0 golden files written" in regress.said and golden.read_bytes() == before

    # Another seed is another way: it has no section, and one of its own beside the first.
    assert regress("--seeds", "2") == 0 and "without a golden file" in regress.said
    assert regress("--seeds", "2", "--update") == 0
    assert len(json.loads(golden.read_text())) == 2

    golden.write_text(golden.read_text().replace('"ten": 2', '"ten": 3', 1))
    assert regress() == 1
    (row,) = regress.rows
    assert row["verdict"] == "golden"
    assert row["why"] == ["edges_in_all: ten: 3 was kept, now it is 2"]
    assert regress("--update") == 0
    lines = [line.replace(" ", "") for line in regress.said.splitlines()]
    assert '-"ten":3,' in lines and '+"ten":2,' in lines
    assert regress() == 0


def test_golden_files_in_a_folder_of_their_own_and_broken_ones(regress: Regress) -> None:
    record(regress.recordings / "sub" / "r.npz", 30)
    folder = regress.out.with_name("goldens")
    assert regress("--golden", str(folder), "--update") == 0
    assert [each.name for each in regress.recordings.rglob("*.json")] == []
    golden = folder / "sub" / "r.npz.golden.json"
    assert golden.exists() and regress("--golden", str(folder)) == 0
    for broken in ("{", "[]", '{"feather_rp2040, ideal ADC, seed 0": {"elements": 5}}'):
        golden.write_text(broken)
        assert regress("--golden", str(folder)) == 1
        assert str(golden) in regress.rows[0]["why"][0] or "was kept" in regress.rows[0]["why"][0]


def test_golden_files_that_cannot_be_written_cost_the_others_nothing(regress: Regress) -> None:
    names = ("a", "b", "c", "d" * 246)
    for k, name in enumerate(names):
        record(regress.recordings / f"{name}.npz", 10 + k)
    goldens = [regress.recordings / f"{name}.npz.golden.json" for name in names]
    # As a merge, or a loss of power, may leave it; it may hold what other ways came to.
    goldens[0].write_text('<<<<<<< HEAD\n{"feather')
    goldens[1].write_text('{"feather_rp2040, ideal ADC, seed 0": {"hertz": "x"}, "other": 1}')
    assert regress("--update") == 2
    assert "2 golden files written, 2 could not be" in regress.said and regress.erred == ""
    lines = regress.said.splitlines()
    at = lines.index(f"{goldens[0]}: not written")
    assert lines[at + 1].startswith(f"  {goldens[0]}: is not a JSON golden file")
    assert lines[at + 1].endswith("; put it right, or delete it")
    assert goldens[0].read_text() == '<<<<<<< HEAD\n{"feather'
    assert json.loads(goldens[1].read_text())["other"] == 1
    # The name of the last one leaves no room for ".golden.json".
    assert regress() == 1 and [row["verdict"] for row in regress.rows] == [
        *("golden", "passed", "passed", "passed")
    ]
    goldens[0].unlink()
    assert regress("--update") == 2 and regress() == 0


def test_golden_files_of_a_part_of_each_recording(regress: Regress) -> None:
    record(regress.recordings / "r.npz", 30, 6.0)
    golden = regress.recordings / "r.npz.golden.json"
    assert regress("--update") == 0
    whole = json.loads(golden.read_text())
    # Nothing is held against a part, nor takes the place of the whole.
    assert regress("--from", "2") == 0 and "1 recording" in regress.said
    assert regress("--from", "2", "--duration", "1.5", "--update") == 0
    both = json.loads(golden.read_text())
    ((name, section),) = (each for each in both.items() if each[0] not in whole)
    assert name.endswith(", from 2 s, 1.5 s long") and section["seconds"] == 1.5
    assert {**both, **whole} == both
    assert regress() == 0 and "without a golden" not in regress.said


def test_two_recordings_of_one_name_are_not_held_against_each_other(
    regress: Regress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "here" / "a" / "r.npz", 10)
    record(tmp_path / "a" / "r.npz", 20)
    monkeypatch.chdir(tmp_path / "here")
    goldens = tmp_path / "goldens"
    given = ["a", "../a", "--jobs", "1", "--engine", "micropython", "--engine", "cpython"]
    given += ["--golden", str(goldens), "--out", str(regress.out)]
    assert cli.main([*given, "--update"]) == 0
    assert {row["verdict"] for row in regress.rows} == {"passed"}
    assert len({row["recording"] for row in regress.rows}) == 2
    assert len(list(goldens.rglob("*.json"))) == 2
    assert cli.main(given) == 0


def test_a_wrong_energy_is_not_kept(regress: Regress) -> None:
    record(regress.recordings / "loud.npz", 400)
    assert regress("--update") == 1
    assert "not written, a replay has not passed" in regress.said
    assert list(regress.recordings.glob("*.json")) == []


def test_an_engine_that_comes_to_other_bits(
    regress: Regress, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(regress.recordings / "r.npz", 30)
    right = measure.digest

    def other(done: Any) -> str:
        return "0" * 64 if done.engine == "cpython" else right(done)

    monkeypatch.setattr(measure, "digest", other)
    assert regress("--engine", "micropython", "--engine", "cpython") == 1
    (wrong,) = (row for row in regress.rows if row["verdict"] != "passed")
    assert wrong["verdict"] == "golden" and "not to the last bit" in wrong["why"][0]


def test_parts_of_one_recording_and_a_part_of_it(regress: Regress, tmp_path: Path) -> None:
    whole = record(regress.recordings / "whole.npz", 30, 6.0)
    channels = dict(np.load(whole))
    rate_hz = channels.pop("rate_hz")
    for k, (first, last) in enumerate(((0, 9001), (9001, 24_000))):
        part = {name: values[first:last] for name, values in channels.items()}
        np.savez(tmp_path / f"part_{k}.npz", rate_hz=rate_hz, **part)
    assert regress() == 0
    (one,) = regress.rows
    regress.recordings = tmp_path / "part_*.npz"
    assert regress("--join") == 0
    (joined,) = regress.rows
    assert joined["recording"] == "part_0.npz and 1 more"
    assert joined["digest"] == one["digest"] != ""
    # Its golden file is not that of its first part.
    assert regress("--join", "--update") == 0
    assert [each.name for each in tmp_path.glob("*.json")] == ["part_0.npz and 1 more.golden.json"]
    assert regress("--join", "--from", "4", "--duration", "1") == 0
    (cut,) = regress.rows
    assert float(cut["report"]["delivered_wh"]) == pytest.approx(wh(30, 1.0), rel=1e-3)


def test_a_capture_is_held_against_its_board(regress: Regress) -> None:
    regress.recordings.mkdir()
    layout = boards.load("feather_rp2040")
    frames = round(2 * layout.tick_hz / layout.frame_ticks)
    t = np.arange(frames) * layout.frame_ticks / layout.tick_hz
    wave = 2048 + np.round(900 * np.sin(2 * np.pi * 60 * t))
    capture = {
        "codes": np.repeat(wave[:, None], 4, axis=1).astype(np.uint16),
        "slots": np.array(layout.slots),
        "board": "feather_rp2040",
        "tick_hz": layout.tick_hz,
        "frame_ticks": layout.frame_ticks,
    }
    file = regress.recordings / "c.npz"
    np.savez(file, **capture)
    # No converter's model makes its codes anew, however many are asked for.
    assert regress("--adc", "ideal", "--adc", "real", "--seeds", "3") == 0
    (row,) = regress.rows
    assert (row["adc"], row["seed"], row["board"]) == (None, None, "feather_rp2040")
    assert row["report"]["frames"] == frames

    energy = {name: row["report"][name] for name in ("delivered_wh", "received_wh")}
    energy["exact"] = [["1", "2"]] * 6
    np.savez(file, **capture, energy=json.dumps(energy))
    assert regress() == 1
    (row,) = regress.rows
    assert row["verdict"] == "golden" and "the board itself came to" in row["why"][0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--seeds", "0"], "--seeds 0: expected an integer from 1 up"),
        (["--jobs", "0"], "--jobs 0: expected"),
        (["--limit", "101"], "--limit 101: expected percent, 0 to 100"),
        (["--engine", "z80"], "engine 'z80' is unknown"),
        (["--board", "arduino_uno"], "board 'arduino_uno' is unknown"),
        (["--ship"], "--ship is of --dask"),
        (["--dask", "tcp://127.0.0.1:1", "--jobs", "2"], "leave one out"),
        (["--exclude", "*"], "no recording in it"),
        (["--html", "/nowhere/x.html"], "/nowhere"),
        (["--html", "/nowhere/r.npz"], "r.npz: expected a name that ends in .html"),
        (["--junit", "/nowhere/page.html"], "page.html: expected a name that ends in .xml"),
        (["--golden", __file__], "is no folder"),
        (["--against", "nowhere"], "--against nowhere: no such revision"),
        (["--duration", "-1"], "--duration -1: expected a number of seconds"),
        (["--duration", "inf"], "--duration inf: expected a number of seconds"),
        (["--from", "nan"], "--from nan: expected a number of seconds"),
        (["--from", "5"], "ends at 2 s, and is to be replayed from 5 s on"),
        (["", "--seeds", "2"], "which recordings?"),
        (["--join", "--exclude", "x"], "leave one out"),
    ],
)
def test_what_is_refused(regress: Regress, options: list[str], says: str) -> None:
    record(regress.recordings / "r.npz", 30)
    given = [str(regress.recordings), *options, "--out", str(regress.out)]
    assert cli.main(given) == 2
    said, erred = regress._capsys.readouterr()
    assert says in erred + said and len(erred.splitlines()) <= 1
    # What can be told at once is told before the work.
    assert regress.out.exists() == says.startswith("ends at")


def kill_behind(worker: Process, kept: Path, lines: int) -> None:
    """Once so many results are there."""
    until(lambda: kept.exists() and kept.read_bytes().count(b"\n") >= lines)
    worker.kill()


def test_a_cluster_of_three_of_which_one_is_killed(regress: Regress) -> None:
    for n in range(24):
        record(regress.recordings / f"r{n:02}.npz", 5 + n, 20.0)
    assert regress() == 0
    alone = {row["recording"]: row["digest"] for row in regress.rows}
    for option in ("--dask", "--ship --dask"):
        regress.out = regress.out.with_name(option.replace(" ", ""))
        kept = regress.out / "kept.jsonl"
        with cluster(3) as (address, workers):
            killer = threading.Thread(target=kill_behind, args=(workers[1], kept, 5))
            killer.start()
            given = [str(regress.recordings), *option.split(), address, "--out", str(regress.out)]
            assert cli.main(given) == 0
            killer.join()
        assert [row["was_kept"] for row in regress.rows] == [False] * 24
        assert {row["recording"]: row["digest"] for row in regress.rows} == alone
        lines = kept.read_text().splitlines()
        assert len(lines) == 24 == len({json.loads(line)["of"]["key"] for line in lines})


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent to it")
def test_a_run_that_is_broken_off_goes_on_where_it_was(regress: Regress) -> None:
    for n in range(12):
        record(regress.recordings / f"r{n:02}.npz", 5 + n, 20.0)
    command = [sys.executable, "-m", "tools.regress", str(regress.recordings)]
    command += ["--out", str(regress.out), "--jobs", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    kept = regress.out / "kept.jsonl"
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        until(lambda: kept.exists() and kept.read_bytes().count(b"\n") >= 2)
        child.send_signal(signal.SIGINT)
        _, erred = child.communicate(timeout=60)
    assert child.returncode == 130 and erred == "stopped\n"
    known = kept.read_bytes().count(b"\n")
    assert 2 <= known < 12 and not (regress.out / "rows.jsonl").exists()
    assert regress() == 0
    assert f"{known} known from before" in regress.said
    assert len(regress.rows) == 12 == len({row["recording"] for row in regress.rows})
    for n, row in enumerate(regress.rows):
        assert float(row["report"]["delivered_wh"]) == pytest.approx(wh(5 + n, 20), rel=1e-3)
