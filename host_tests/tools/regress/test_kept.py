"""Results that are kept, in files that are cut short, changed and shared."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from tools.common.errors import InputError
from tools.regress.kept import Kept


def test_what_is_kept_is_there_the_next_time(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "out")
    assert "a" not in kept.rows and kept.rows.get("a") is None
    kept.rows.add({"key": "a", "n": 1})
    kept.rows.add({"key": "b", "n": 2})
    kept.rows.add({"key": "a", "n": 3})
    for each in (kept, Kept(tmp_path / "out")):
        assert each.rows.get("a") == {"key": "a", "n": 3}
        assert each.rows.get("b") == {"key": "b", "n": 2}


def test_two_runs_at_once_lose_nothing(tmp_path: Path) -> None:
    one, other = Kept(tmp_path), Kept(tmp_path)
    for n in range(10):
        one.rows.add({"key": f"one {n}", "n": n})
        other.rows.add({"key": f"other {n}", "n": n})
    both = Kept(tmp_path).rows
    for n in range(10):
        assert both.get(f"one {n}") == {"key": f"one {n}", "n": n} == one.rows.get(f"one {n}")
        assert both.get(f"other {n}") == {"key": f"other {n}", "n": n}


@pytest.mark.parametrize("cut", [1, 5, 20, 22])
def test_what_was_cut_short_is_not_there_and_spoils_nothing(tmp_path: Path, cut: int) -> None:
    kept = Kept(tmp_path)
    kept.rows.add({"key": "a", "n": 1})
    kept.rows.add({"key": "b", "n": 2})
    (file,) = (each for each in tmp_path.iterdir() if b'"n"' in each.read_bytes())
    file.write_bytes(file.read_bytes()[:-cut])
    again = Kept(tmp_path)
    assert again.rows.get("a") == {"key": "a", "n": 1}
    # Only its line's end is gone: that is no loss.
    assert again.rows.get("b") == ({"key": "b", "n": 2} if cut == 1 else None)
    again.rows.add({"key": "c", "n": 3})
    assert Kept(tmp_path).rows.get("c") == {"key": "c", "n": 3}
    lines = file.read_bytes().splitlines()
    assert json.loads(lines[-1])["of"] == {"key": "c", "n": 3}


def test_rubbish_in_it(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.rows.add({"key": "a", "n": 1})
    (file,) = (each for each in tmp_path.iterdir() if each.stat().st_size)
    good = file.read_bytes()
    file.write_bytes(b'\xff\xfe\n[1]\n{"n":1}\n"key"\n{"key":[]}\n' + b"[" * 9999 + b"\n" + good)
    assert Kept(tmp_path).rows.get("a") == {"key": "a", "n": 1}
    # A digit that the disk has turned, and objects that are none of ours.
    for other in (good.replace(b'"n": 1', b'"n": 7'), b'{"key": "a", "n": 1}\n', b"\0" * 99):
        file.write_bytes(other)
        assert Kept(tmp_path).rows.get("a") is None
    # Changed behind a run's back.
    file.write_bytes(b"x" * file.stat().st_size)
    assert kept.rows.get("a") is None


def test_content_is_reckoned_anew_where_a_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_bytes(b"one")
    kept = Kept(tmp_path / "out")
    first = kept.content([file])
    assert first == hashlib.sha256(b".csv 3\none").hexdigest() == kept.content([file])
    file.write_bytes(b"another")
    assert Kept(tmp_path / "out").content([file]) != first
    file.unlink()
    with pytest.raises(FileNotFoundError):
        kept.content([file])


def test_files_of_one_length_and_time_that_change_places(tmp_path: Path) -> None:
    one, other, aside = (tmp_path / name for name in ("one.csv", "other.csv", "aside.csv"))
    for file, text in ((one, b"one"), (other, b"two")):
        file.write_bytes(text)
        os.utime(file, (1e9, 1e9))
    kept = Kept(tmp_path / "out")
    before = kept.content([one]), kept.content([other])
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    assert (kept.content([other]), kept.content([one])) == before


def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="out"):
        Kept(tmp_path / "out")
