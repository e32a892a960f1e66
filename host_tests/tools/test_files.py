"""Files that commands write: whole or not at all, where they were meant to be, or said before."""

import os
import re
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tools import house, image
from tools.common.errors import InputError
from tools.common.files import check_writable, replacing, writable_folder, write_whole

ROOT = Path(__file__).resolve().parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refuse_to_write(patch: pytest.MonkeyPatch, number: int = 13) -> None:
    """As a system that lets nobody write: root, as whom tests may run, may write anywhere."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    patch.setattr(tempfile, "TemporaryFile", refuse)


def test_where_a_file_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before the work that it is to hold."""
    assert check_writable(tmp_path / "a.npz", (".npz",)) == tmp_path / "a.npz"
    (tmp_path / "there.npz").write_bytes(b"older")
    assert check_writable(str(tmp_path / "there.npz"), (".npz",)) == tmp_path / "there.npz"
    assert check_writable(tmp_path / "any name") == tmp_path / "any name"
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    before = names(tmp_path)
    for path, says in (
        ("", "'': expected the name of a file"),
        (".npz", ".npz: expected a name that ends in .npz$"),
        ("a.csv", "a.csv: expected a name that ends in .npz$"),
        (tmp_path / "folder.npz", "is a directory; name a file in it"),
        (tmp_path / "pipe.npz", "is no regular file; name another"),
        (tmp_path / "none" / "a.npz", "there is no folder .*none$"),
        (tmp_path / "there.npz" / "a.npz", "there is no folder"),
    ):
        with pytest.raises(InputError, match=says):
            check_writable(path, (".npz",))
    assert names(tmp_path) == before
    for number, why in ((13, "permission denied"), (28, "no space left on device")):
        refuse_to_write(monkeypatch, number)
        says = rf"a\.npz: nothing can be written in .* \({why}\); name another folder$"
        with pytest.raises(InputError, match=says):
            check_writable(tmp_path / "a.npz", (".npz",))
        with pytest.raises(InputError, match=rf"{re.escape(str(tmp_path))}: nothing .*{why}"):
            writable_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write in any folder")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"nothing can be written in .* \(permission denied"):
        check_writable(tmp_path / "a.npz")


def test_a_folder_is_made(tmp_path: Path) -> None:
    assert writable_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert names(tmp_path / "a" / "b") == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be made \(not a.*; name another place"):
        writable_folder(tmp_path / "file" / "b")


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither one that lies in wait where the file is written aside, by its earlier name, nor one
    in the place of the file itself."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    out = tmp_path / "out.json"
    (tmp_path / ".out.json.new").symlink_to(precious)
    out.symlink_to(precious)
    write_whole(out, "new")
    assert precious.read_text() == "kept" and out.read_text() == "new"
    assert not out.is_symlink() and (tmp_path / ".out.json.new").is_symlink()
    # Nobody can lay a link where it goes: the name is another each time, made if there is none.
    used = set()
    for _ in range(20):
        with replacing(out) as aside:
            used.add(aside.name)
            assert aside.stat().st_size == 0 and not aside.is_symlink()
    assert len(used) == 20


def test_what_a_link_in_wait_would_have_been_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when its name is guessed."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    monkeypatch.setattr("secrets.token_hex", lambda size: "guessed")
    (tmp_path / ".guessed.new").symlink_to(precious)
    with pytest.raises(InputError, match=r"out: cannot be written \(file exists\)"):
        write_whole(tmp_path / "out", "new")
    assert precious.read_text() == "kept" and not (tmp_path / "out").exists()


def test_permissions_stay(tmp_path: Path) -> None:
    """Those of the file that is replaced; else what any new file gets."""
    out = tmp_path / "out"
    plain = tmp_path / "plain"
    plain.touch()
    write_whole(out, b"1")
    assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    out.chmod(0o640)
    write_whole(out, b"2")
    assert stat.S_IMODE(out.stat().st_mode) == 0o640 and out.read_bytes() == b"2"


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("older")
    with pytest.raises(ZeroDivisionError), replacing(out) as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path) == ["out"] and out.read_text() == "older"
    for path in (tmp_path / "none" / "out", tmp_path / ("long" * 100)):
        with pytest.raises(InputError, match="cannot be written"):
            write_whole(path, "new")
    assert names(tmp_path) == ["out"]


def limited(size: int, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs Python with files of at most `size` bytes, as on a disk that is full then."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/firmware:{ROOT}/tools/shim"},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit,
    )


IMAGE = """
import sys
from tools import image
image.contents = lambda board: {"main.py": b"1"}  # not compiled: mpy-cross would need the disk
sys.exit(image.main(["--flash", "pico", "--out", sys.argv[1]]))
"""
HOUSE = (
    "import sys; from tools import house; sys.exit(house.main([sys.argv[1], '--seconds', '9']))"
)
CONSTANTS = """
import sys
from pathlib import Path
from tools.common.command import reporting
from tools.common.constants import write_constants
sys.exit(reporting()(lambda: write_constants(Path(sys.argv[1]), {"adc": [0] * 10**6}))())
"""


@pytest.mark.parametrize(
    ("code", "suffix"), [(IMAGE, "littlefs"), (HOUSE, "npz"), (CONSTANTS, "json")]
)
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, code: str, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    out.write_text("older")
    done = limited(200_000, code, out)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {out}: cannot be written (file too large)")
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert names(tmp_path) == [out.name] and out.read_text() == "older"
    # Not even room to try.
    done = limited(1000, code, out)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert names(tmp_path) == [out.name] and out.read_text() == "older"


def test_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that cannot be written in, by whatever command."""
    from tools import demo
    from tools.accuracy import cli as accuracy
    from tools.bench import cli as bench
    from tools.capture import cli as capture
    from tools.reliability import cli as reliability

    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(capture.board_port, "find", work)
    monkeypatch.setattr(demo, "replay", work)
    monkeypatch.setattr(demo.house, "generate", work)
    monkeypatch.setattr(accuracy, "rows", work)
    monkeypatch.setattr(bench.chip, "default_rate", work)
    monkeypatch.setattr(bench.host, "host_engines", work)
    monkeypatch.setattr(reliability, "rows", work)
    monkeypatch.setattr(image, "contents", work)
    monkeypatch.setattr(house, "generate", work)
    refuse_to_write(monkeypatch)
    for main, options in (
        (capture.main, ["--engine", "cpython"]),
        (capture.main, ["--engine", "cpython", "--out", str(tmp_path / "a.npz")]),
        (demo.main, ["--engine", "cpython"]),
        (accuracy.main, ["--engine", "cpython"]),
        (bench.main, []),
        (reliability.main, []),
        (image.main, []),
        (image.main, ["--out", str(tmp_path / "a.littlefs")]),
        (house.main, [str(tmp_path / "a.npz")]),
    ):
        assert main(options) == 2
        said = capsys.readouterr().err
        assert "nothing can be written in" in said and said.count("\n") == 1
