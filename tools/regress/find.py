"""Which recordings there are in folders, and which files belong to each.

Flow: folders and files as given -> FIND -> Found, in the order of their names -> jobs.
"""

import errno
import fnmatch
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.common.errors import InputError
from tools.common.files import reason
from tools.recordings.npz_members import opened_zip
from tools.recordings.open import SUFFIXES, recordings_among
from tools.recordings.parts import expanded

GOLDEN = ".golden.json"
# What may stand beside a recording and be part of it: a map of channels, COMTRADE's two files.
_BESIDE = (".json", ".cfg", ".dat")
_PIECE = 1 << 20


@dataclass(frozen=True)
class Found:
    """A recording.

    name     its path from the folder that was given, with slashes; of a file, its name
    path     of its file
    beside   files that it is read with
    seconds  to loop or cut it to; None: as it is
    golden   where its golden file is, if there is one
    also     its other parts, where it is in several files
    """

    name: str
    path: Path
    beside: tuple[Path, ...]
    golden: Path
    seconds: float | None = None
    also: tuple[Path, ...] = ()

    @property
    def parts(self) -> tuple[Path, ...]:
        return (self.path, *self.also)

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self.parts, *self.beside)

    @property
    def size(self) -> int:
        """Bytes in all; 0 where a file is gone or must not be read."""
        try:
            return sum(os.stat(file).st_size for file in self.files)
        except OSError:
            return 0

    @property
    def is_capture(self) -> bool:
        """Whether it is a board's own codes, which no converter's model makes anew."""
        if self.path.suffix.lower() != ".npz" or self.also:
            return False
        try:
            with opened_zip(self.path) as archive:
                return "codes.npy" in archive.namelist()
        except (OSError, InputError):
            return False  # what it is then, opening it tells


def find(
    given: Iterable[str | Path], golden: Path | None = None, without: Sequence[str] = ()
) -> list[Found]:
    """The recordings in folders, of all formats and at any depth, and those named by themselves;
    each once, in the order of their names.  With more than one of these, names are paths as given,
    and whole where these would be the same.

    golden   folder of the golden files; None: each beside its recording
    without  patterns, as a shell has them, of names or paths that are left out

    Hidden files and folders are passed over, as are golden files, and links to folders, which may
    go round. Raises InputError for what is not there, for a folder that cannot be read, and where
    nothing is found.
    """
    files: dict[Path, tuple[Path, str]] = {}
    given = list(given)
    for each in given:
        path = Path(each)
        folder, paths = (
            (path, _in_folder(path, without)) if path.is_dir() else (path.parent, [path])
        )
        for file in paths:
            name = file.relative_to(folder).as_posix() if len(given) == 1 else _plain(file)
            if any(_matches(part, without) for part in _parts(name)):
                continue
            files.setdefault(_real(file), (file, name))
    if not files:
        raise InputError(
            f"{', '.join(map(str, given))}: no recording in it; known are {' '.join(SUFFIXES)}"
        )
    # Without what leads out of the folder that one is in, two may have one name.
    often = Counter(name for _, name in files.values())
    beside = _Beside()
    found = []
    for file, name in files.values():
        if often[name] > 1:
            name = _plain(file.absolute())
        at = golden / f"{name}{GOLDEN}" if golden else file.with_name(f"{file.name}{GOLDEN}")
        found.append(Found(name, file, beside.of(file), at))
    return sorted(found, key=lambda each: (each.name, str(each.path)))


def joined(given: Sequence[str | Path], golden: Path | None = None) -> Found:
    """The one recording whose parts are given, by names or patterns. Raises InputError."""
    paths = expanded(given)
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name the parts, as '{path}/*.npz' in quotes")
    first = paths[0]
    name = f"{first.name} and {len(paths) - 1} more" if len(paths) > 1 else first.name
    lists = _Beside()
    beside = tuple(dict.fromkeys(file for path in paths for file in lists.of(path)))
    at = (golden or first.parent) / f"{name}{GOLDEN}"
    return Found(name, first, beside, at, also=tuple(paths[1:]))


def _parts(name: str) -> Iterator[str]:
    """A path, and each name in it."""
    yield name
    yield from name.split("/")


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _plain(path: Path) -> str:
    """A path without what leads out of a folder: it can stand for itself in another one."""
    parts = Path(os.path.normpath(path)).parts
    return "/".join(part for part in parts if part != ".." and part != path.anchor)


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()  # a link to itself, say: why it cannot be read, reading it tells


def _in_folder(folder: Path, without: Sequence[str]) -> list[Path]:
    def fails(problem: OSError) -> None:
        raise InputError(
            f"{problem.filename}: cannot be read ({reason(problem)}); check its permissions, or "
            "leave it out with --exclude"
        )

    paths = []
    for at, folders, names in os.walk(folder, onerror=fails):
        # What is left out is not looked into: a disk's lost+found is root's alone.
        shown = (each for each in folders if not each.startswith("."))
        folders[:] = sorted(each for each in shown if not _matches(each, without))
        seen = sorted(name for name in names if not name.startswith("."))
        paths += recordings_among(Path(at, name) for name in seen)
    return paths


class _Beside:
    """Files that stand beside recordings.  A folder is listed once, however many it has."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[str]]] = {}

    def of(self, path: Path) -> tuple[Path, ...]:
        """Those of the same stem that are read with it, whatever the case of their ends."""
        if path.suffix.lower() == ".cff":
            return ()
        if path.parent not in self._folders:
            self._folders[path.parent] = self._listed(path.parent)
        names = self._folders[path.parent].get(path.stem, ())
        return tuple(path.with_name(name) for name in names if name != path.name)

    def _listed(self, folder: Path) -> dict[str, list[str]]:
        """Stem -> names of what may be part of a recording."""
        found: dict[str, list[str]] = {}
        with suppress(OSError):  # one that can be entered, but not listed
            for name in sorted(os.listdir(folder)):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in _BESIDE:
                    found.setdefault(stem, []).append(name)
        return found


def content(files: Iterable[Path]) -> str:
    """SHA-256 over the files' ends of names and what is in them. Raises OSError, also for what
    has no end, as a pipe or /dev/zero."""
    whole = hashlib.sha256()
    for file in files:
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(file))
        whole.update(f"{file.suffix.lower()} {state.st_size}\n".encode())
        with file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                whole.update(piece)
    return whole.hexdigest()
