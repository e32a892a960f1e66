"""Which recordings a folder has, against folders laid out by hand."""

import errno
import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tools.common.errors import InputError
from tools.regress.find import content, find, joined


def lay(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_all_formats_at_any_depth_and_what_belongs_to_them(tmp_path: Path) -> None:
    lay(
        tmp_path,
        *("b.csv", "a/x.wav", "a/x.json", "a/y.FLAC", "a/deep/z.npz", "fault.CFG", "fault.DAT"),
        *("one.cff", "lonely.dat", "notes.txt", "b.csv.golden.json", ".hidden/h.npz", ".h.npz"),
    )
    found = find([tmp_path])
    assert [each.name for each in found] == [
        *("a/deep/z.npz", "a/x.wav", "a/y.FLAC", "b.csv", "fault.CFG", "lonely.dat", "one.cff")
    ]
    beside = {each.name: [file.name for file in each.beside] for each in found if each.beside}
    assert beside == {"a/x.wav": ["x.json"], "fault.CFG": ["fault.DAT"]}
    assert {each.golden.name for each in found} >= {"b.csv.golden.json", "z.npz.golden.json"}
    assert all(each.golden.parent == each.path.parent for each in found)


def test_each_once_however_it_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "a/x.csv", "a/y.csv", "b/x.csv")
    (tmp_path / "b" / "link.csv").symlink_to(tmp_path / "a" / "x.csv")
    (tmp_path / "b" / "round").symlink_to(tmp_path)
    found = find([tmp_path / "a", tmp_path / "a" / "x.csv", tmp_path / "b"])
    assert [each.path for each in found] == [
        tmp_path / name for name in ("a/x.csv", "a/y.csv", "b/x.csv")
    ]
    # Two folders may have files of one name: each has a golden file of its own.
    apart = find([tmp_path / "a", tmp_path / "b"], tmp_path / "kept")
    assert len({each.golden for each in apart}) == len(apart) == 3
    assert all((tmp_path / "kept") in each.golden.parents for each in apart)


def test_what_is_left_out(tmp_path: Path) -> None:
    lay(tmp_path, "x.csv", "old/x.npz", "new/old.npz", "new/x.csv")
    names = [each.name for each in find([tmp_path], without=["old", "*.csv"])]
    assert names == ["new/old.npz"]


def test_what_is_left_out_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk's lost+found, which only root may read."""
    lay(tmp_path, "x.csv", "lost+found/x.npz")
    entered = os.scandir

    def denied(path: str) -> object:
        if Path(path).name == "lost+found":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return entered(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match=r"lost\+found: cannot be read .*, or leave it out with"):
        find([tmp_path])
    assert [each.name for each in find([tmp_path], without=["lost+found"])] == ["x.csv"]


def test_what_is_not_there(tmp_path: Path) -> None:
    lay(tmp_path, "notes.txt")
    with pytest.raises(InputError, match=r"no recording in it; known are \.npz"):
        find([tmp_path])
    # A file that is named is one to be told of, whatever it is.
    assert [each.name for each in find([tmp_path / "gone.npz"])] == ["gone.npz"]


def test_a_folder_is_no_part(tmp_path: Path) -> None:
    lay(tmp_path, "a.csv", "b.csv")
    with pytest.raises(InputError, match="is a folder; name the parts"):
        joined([tmp_path])


def test_a_capture_is_told_from_a_recording(tmp_path: Path) -> None:
    np.savez(tmp_path / "capture.npz", codes=np.zeros((2, 4), np.uint16))
    np.savez(tmp_path / "recording.npz", v1=np.zeros(2))
    lay(tmp_path, "broken.npz", "table.csv")
    assert {each.name: each.is_capture for each in find([tmp_path])} == {
        **{"broken.npz": False, "capture.npz": True},
        **{"recording.npz": False, "table.csv": False},
    }


def test_a_directory_in_an_archive_that_nobody_would_read_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.npz", "w") as archive:
        for name in ("codes.npy", *map(str, range(30_000))):
            archive.writestr(name, b"")
    (found,) = find([tmp_path])
    assert not found.is_capture


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    for each in find([tmp_path]):
        with pytest.raises(OSError, match="no regular file"):
            content(each.files)


def test_a_link_to_itself_is_found_and_said_by_who_reads_it(tmp_path: Path) -> None:
    lay(tmp_path, "a.csv")
    (tmp_path / "round.csv").symlink_to("round.csv")
    assert [each.name for each in find([tmp_path])] == ["a.csv", "round.csv"]


def test_content_is_of_all_files_and_not_of_their_names(tmp_path: Path) -> None:
    lay(tmp_path, "a.wav", "a.json")
    one = content([tmp_path / "a.wav", tmp_path / "a.json"])
    by_hand = hashlib.sha256(b".wav 5\na.wav.json 6\na.json").hexdigest()
    assert one == by_hand
    (tmp_path / "a.wav").rename(tmp_path / "b.wav")
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    assert content([tmp_path / "b.wav", tmp_path / "b.json"]) == one
    (tmp_path / "b.json").write_bytes(b"b.json")
    assert content([tmp_path / "b.wav", tmp_path / "b.json"]) != one
