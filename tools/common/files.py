"""Files that a command reads and writes: checked before the work, written whole or not at all.

Every finding is an InputError.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.common.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # takes a second to import

# Of a JSON file that a user hands over: far beyond a calibration or a map of channels.
MAX_JSON_BYTES = 4 << 20
MAX_JSON_DEPTH = 32
_TRIED_BYTES = 1 << 16  # to find out whether a disk is full
# A bracket, or a whole string with the brackets in it (an unended one to the end of the text).
_JSON_MARK = re.compile(r'[][{}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def reason(error: OSError) -> str:
    """The operating system's words without its number and path."""
    return (error.strerror or str(error)).lower()


def check_file(path: Path, what: str = "recording") -> None:
    """InputError unless path is a readable regular file of at least one byte."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory; name a {what} file in it")
        if not path.exists():
            raise InputError(f"{path}: no such file; name an existing {what} file")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file; copy the {what} into one first")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path}: is empty; expected a {what} file")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: cannot be read ({why}); check its permissions") from error


def read_start(path: Path, most: int) -> bytes:
    """At most so many bytes of a file, from its beginning. Raises InputError."""
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error


def find_beside(path: Path, suffix: str) -> Path:
    """The file of the same stem with `suffix` (".json"), in any case if the exact one is absent.

    Recorders and copies from FAT file systems mix A.CFG with A.dat. Returns the exact name when
    there is none.
    """
    exact = path.with_suffix(suffix)
    if exact.exists():
        return exact
    try:
        for other in sorted(path.parent.iterdir()):
            if other.stem == path.stem and other.suffix.lower() == suffix.lower():
                return other
    except OSError:
        pass  # a directory that can be entered but not listed
    return exact


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file; `what` it describes goes into the messages.

    Every JSON file that a user hands over comes through here. UTF-8, with or without a byte order
    mark; at most MAX_JSON_BYTES, nested at most MAX_JSON_DEPTH deep. Raises InputError when it is
    missing, no regular file, larger or deeper, not JSON, not an object, or repeats a key.
    """
    check_file(path, what)
    data = read_start(path, MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise InputError(f"{path}: is larger than {MAX_JSON_BYTES} bytes; a {what} is far smaller")
    try:
        found = parse_json(data)
    except ValueError as error:
        raise InputError(f"{path}: is not a JSON {what} ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds a {type(found).__name__}; the {what} must be an object")
    return found


def parse_json(data: bytes) -> Any:
    """The value in JSON text that a user hands over, wherever it stood.

    Takes time in proportion to the text. Raises ValueError when it is not UTF-8, not JSON, nested
    too deep, or repeats a key.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    raise ValueError(f"key {key!r} stands twice")
                seen.add(key)
        return found

    text = data.decode("utf-8-sig")
    if _json_depth(text) > MAX_JSON_DEPTH:
        raise ValueError(f"nested deeper than {MAX_JSON_DEPTH}")
    return json.loads(text, object_pairs_hook=once)


def _json_depth(text: str) -> int:
    """How deep its brackets are nested: found before the parser would go there."""
    depth = deepest = 0
    for mark in _JSON_MARK.findall(text):
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def check_keys(path: Path, where: str, found: dict[str, Any], allowed: tuple[str, ...]) -> None:
    """InputError when an object of a JSON file has a key that nothing reads."""
    for key in found:
        if key not in allowed:
            raise InputError(
                f"{path}: unknown key {key!r} in {where}; known are {', '.join(allowed)}"
            )


def json_number(path: Path, where: str, value: Any) -> float:
    """A number of a JSON file as a finite float other than 0, else InputError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number) and number != 0:
            return number
    raise InputError(f"{path}: {where} is {value!r}; it must be a finite number other than 0")


def check_writable(path: str | Path, suffixes: tuple[str, ...] = ()) -> Path:
    """The path of a file that is to be written, with one of these suffixes (".npz"; none: any).
    Raises InputError where it cannot be: found out before the work, not after.
    """
    file = Path(path)
    if not file.name:
        raise InputError(f"{str(path)!r}: expected the name of a file")
    if suffixes and file.suffix not in suffixes:
        *others, last = suffixes
        listed = f"{', '.join(others)} or {last}" if others else last
        raise InputError(f"{path}: expected a name that ends in {listed}")
    if file.is_dir():
        raise InputError(f"{path}: is a directory; name a file in it")
    if file.exists() and not file.is_file():
        raise InputError(f"{path}: is no regular file; name another")
    if not file.parent.is_dir():
        raise InputError(f"{path}: there is no folder {file.parent}")
    # Files are written beside what they replace.
    _try_writing(path, file.parent)
    return file


def writable_folder(folder: Path) -> Path:
    """The folder, made if there is none. Raises InputError where nothing can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"{folder}: cannot be made ({reason(problem)}); name another place"
        ) from None
    _try_writing(folder, folder)
    return folder


def _try_writing(path: str | Path, folder: Path) -> None:
    """Writes a block and drops it again: permissions alone do not tell of a full disk, nor root of
    a disk that is read only."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIED_BYTES))
            file.flush()
    except OSError as problem:
        raise InputError(
            f"{path}: nothing can be written in {folder} ({reason(problem)}); name another folder"
        ) from None


def check_plot_path(path: str) -> Path:
    """As check_writable, of a plot."""
    return check_writable(path, (".png", ".svg", ".pdf"))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of an empty file beside `path` to write to, which is on the disk and takes
    its name at the end of the `with`.  A link of that name is replaced, never followed.

    Left with an error, `path` is as it was, and nothing is left beside it.  Raises InputError for
    what the system refuses.
    """
    # A name that nobody can guess, and made only if there is none: no link lies in wait there.
    aside = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        aside.open("xb").close()
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        if path.is_file():
            shutil.copymode(path, aside)
        os.replace(aside, path)
    except OSError as problem:
        raise InputError(
            f"{path}: cannot be written ({reason(problem)}); name a file in a folder that can"
        ) from None
    finally:
        with suppress(OSError):
            aside.unlink()


def write_whole(path: Path, data: bytes | str) -> None:
    """Writes a file, text as UTF-8, whole or not at all. Raises InputError."""
    with replacing(path) as aside:
        aside.write_bytes(data.encode() if isinstance(data, str) else data)


def save_plot(figure: Figure, path: str | Path) -> None:
    """Writes a figure in the format that the suffix names (.png, .svg or .pdf). Raises
    InputError.
    """
    path = Path(path)
    with replacing(path) as aside:
        figure.savefig(aside, format=path.suffix[1:], dpi=110)
