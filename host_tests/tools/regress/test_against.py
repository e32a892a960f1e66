"""Two firmwares over the same recordings: ours, and another revision's."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from host_tests.conftest import need_engine
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.regress import against, cli
from tools.regress.against import Revision, checked_out, compare
from tools.regress.job import Job, Way

has_git = pytest.mark.skipif(
    not (ROOT / ".git").exists() or not shutil.which("git"), reason="this is no git checkout"
)


def git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def record(path: Path) -> Path:
    t = (np.arange(6000) + 0.5) / 4000
    volts = 170 * np.sin(2 * np.pi * 60 * t)
    np.savez(path, rate_hz=4000, v1=volts, i1=volts / 6, v2=-volts, i2=-volts / 6)
    return path


def job(path: Path) -> Job:
    way = Way("feather_rp2040", "micropython", "ideal", 0)
    return Job(path.name, (str(path),), way, None, None, "key", "metering")


@has_git
def test_a_revision_is_there_as_long_as_it_is_needed() -> None:
    commit = git("rev-parse", "HEAD")
    with checked_out("HEAD") as revision:
        assert revision.commit == commit and revision.name == "HEAD"
        assert (revision.tree / "firmware" / "main.py").read_bytes() == git(
            "show", "HEAD:firmware/main.py"
        ).encode() + b"\n"
        assert str(revision.tree) in git("worktree", "list")
    assert not revision.tree.exists() and str(revision.tree) not in git("worktree", "list")


@has_git
@pytest.mark.parametrize("name", ["no-such-branch", "--help", "", "HEAD:README.md"])
def test_no_such_revision(name: str) -> None:
    with pytest.raises(InputError, match="no such revision"), checked_out(name):
        pass


@has_git
def test_the_same_firmware_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_engine("micropython")
    file = record(tmp_path / "r.npz")
    options = ["--out", str(tmp_path / "out"), "--jobs", "1", "--against", "HEAD"]
    assert cli.main([str(file), *options]) == 0
    said, _ = capsys.readouterr()
    assert "against HEAD: 0 of 1 replays changed; " in said
    assert cli.main([str(file), *options[:-1], "no-such-branch"]) == 2


def test_what_another_firmware_does_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's report has a frame more."""
    need_engine("micropython")
    tree = tmp_path / "tree"
    for name in ("firmware", "tools", "boards"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "build").mkdir()
    (tree / "build" / "engines").symlink_to(ROOT / "build" / "engines")
    file = tree / "tools" / "replay" / "report.py"
    text = file.read_text()
    assert text.count('"frames": result["frames"],') == 1
    file.write_text(text.replace('result["frames"],', 'result["frames"] + 1,'))
    found = compare(job(record(tmp_path / "r.npz")), Revision("other", "0" * 40, tree))
    assert not found["is_same"] and found["why"] == []
    ((what, old, new),) = found["changes"]
    assert what == "frames" and old == new + 1
    assert found["speed_ratio"] is not None and 0.05 < found["speed_ratio"] < 20

    # What only one of them can use.
    (tree / "boards" / "feather_rp2040.py").unlink()
    found = compare(job(tmp_path / "r.npz"), Revision("other", "0" * 40, tree))
    ((what, old, new),) = found["changes"]
    assert what == "recording" and "board 'feather_rp2040' is unknown" in old
    assert new == "is metered"
    # To refuse takes less time than to meter, and is no speed.
    assert found["speed_ratio"] is None


def test_where_two_reports_differ() -> None:
    old = {"a": 1, "gone": 2, "elements": [{"w": 1.5}, {"w": 2.5}], "edges": {"ten": [[1, True]]}}
    new = {"a": 1, "come": 3, "elements": [{"w": 1.5}, {"w": 2.6}], "edges": {"ten": []}}
    assert list(against._changes(old, new)) == [
        ("elements 2 w", 2.5, 2.6),
        ("edges ten, their number", 1, 0),
    ]
    old["edges"] = {"ten": [[1.0, True], [2.0, False]]}
    new["edges"] = {"ten": [[1.1, True], [2.1, False]]}
    assert [each for each in against._changes(old, new) if "edges" in each[0]] == [
        ("edges ten 1 1", 1.0, 1.1)
    ]
