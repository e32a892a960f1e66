"""Reads the arrays of an .npz piece by piece, and small ones whole, in bounded memory.

Flow: a zip of .npy files -> NPZ MEMBERS -> npz.py.  numpy.load would hold whole arrays; here each
.npy is a stream whose header numpy parses and whose payload is read as it is needed, compressed or
not.
"""

import io
import lzma
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tools.common.errors import InputError
from tools.recordings import ranges
from tools.recordings.csv_rows import shorten

# What zipfile, the decompressors and numpy's header parser raise on damaged bytes.
# NotImplementedError (an unknown compression) and RecursionError are RuntimeErrors.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    OverflowError,
    MemoryError,
    RuntimeError,
    tokenize.TokenError,
)
_MAX_SCALAR_BYTES = 1 << 20  # of a scalar or a text: far above any real one
# The most that zipfile may ask for at once: a directory of some thousand arrays, or a block.
_MAX_READ = 1 << 20
# Of a member's local header: where it says how long its name, and what follows that, are.
_NAME_LENGTH = 26
_HOW = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Member:
    """One .npy in the zip: where its payload starts and what it holds."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    checked: list[bool] = field(default_factory=list, compare=False)
    """Not empty once all of it has been read and has come to its checksum."""


class _Bounded(io.FileIO):
    """A file of which nobody reads much at once: a directory of any length is refused."""

    def read(self, size: int = -1, /) -> bytes:
        found = super().read(_MAX_READ + 1 if size < 0 else min(size, _MAX_READ + 1))
        if len(found) > _MAX_READ:
            raise ValueError(f"its directory is longer than {_MAX_READ} bytes")
        return found


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, as numpy writes them: nothing that must be unpacked whole."""
    with _Bounded(path) as file:
        with damage_to_input_error(path, "is not a whole .npz"):
            archive = zipfile.ZipFile(file)
        with archive:
            infos = archive.infolist()
            ranges.MEMBERS.check(path, "the number of its arrays", len(infos))
            for info in infos:
                if info.compress_type not in _HOW:
                    raise InputError(
                        f"{path}: {shorten(info.filename)} is packed by method "
                        f"{info.compress_type}; it must be stored or deflated, as numpy.savez and "
                        "savez_compressed do"
                    )
            yield archive


@contextmanager
def damage_to_input_error(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        why = shorten(str(error) or type(error).__name__, 120)
        raise InputError(
            f"{path}: {what} ({why}); write it again with numpy.savez, it may be cut short"
        ) from error


def member_of(path: Path, archive: zipfile.ZipFile, name: str) -> Member:
    """Parse one .npy header. InputError if it is damaged, pickled or not the size it says."""
    with damage_to_input_error(path, f"array {name} is damaged"):
        info = archive.getinfo(name + ".npy")
        with archive.open(info) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's about headers that Python 2 wrote
            version = npy.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = npy.read_array_header_1_0(file)
            else:
                shape, fortran, dtype = npy.read_array_header_2_0(file)
            offset = file.tell()
    if dtype.hasobject:
        raise InputError(
            f"{path}: array {name} holds pickled Python objects, which are never loaded; save it "
            "as plain numbers"
        )
    if fortran and len(shape) > 1:
        raise InputError(
            f"{path}: array {name} is in Fortran order; save numpy.ascontiguousarray of it"
        )
    bytes_said = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or info.file_size - offset != bytes_said:
        raise InputError(
            f"{path}: array {name} has {info.file_size - offset} bytes of data but its header "
            f"says {bytes_said}; the file is damaged, write it again with numpy.savez"
        )
    return Member(name, shape, dtype, offset)


def pieces(
    path: Path, members: list[Member], start: int, stop: int, size: int
) -> Iterator[list[NDArray[Any]]]:
    """Rows start..stop of several members side by side, at most `size` rows at a time.

    What is not packed is sought, where it does not begin with the first row or has been found to
    come to its checksum: that takes a third of the time, and a loop reads it again and again.
    """
    whole = start == 0 and all(stop == member.shape[0] for member in members)
    with ExitStack() as stack:
        with damage_to_input_error(path, "is not a whole .npz"):
            archive = stack.enter_context(opened_zip(path))
            files = []
            for member in members:
                info = archive.getinfo(member.name + ".npy")
                at = member.offset + start * _row_bytes(member)
                file: IO[bytes] = stack.enter_context(archive.open(info))
                if info.compress_type == zipfile.ZIP_STORED and (start or member.checked):
                    at += _payload(path, info)
                    file = stack.enter_context(path.open("rb"))
                    file.seek(at)
                else:
                    _skip(file, at)
                files.append(file)
        while start < stop:
            n = min(size, stop - start)
            raw = []
            for member, file in zip(members, files, strict=True):
                with damage_to_input_error(path, f"array {member.name} is damaged"):
                    data = file.read(n * _row_bytes(member))
                    if len(data) != n * _row_bytes(member):
                        raise EOFError(f"it ends before row {start + n}")
                raw.append(np.frombuffer(data, member.dtype).reshape(n, *member.shape[1:]))
            start += n
            if whole and start == stop:
                for member in members:
                    member.checked[:] = [True]
            yield raw


def _payload(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the payload of a member that is not packed begins: behind a header of its own."""
    with path.open("rb") as file:
        file.seek(info.header_offset + _NAME_LENGTH)
        name, extra = struct.unpack("<HH", file.read(4))
    return info.header_offset + _NAME_LENGTH + 4 + name + extra


def _skip(file: IO[bytes], size: int) -> None:
    """Goes on by so many bytes; zipfile's own way would read sixteen megabytes at once."""
    while size and (read := len(file.read(min(size, _MAX_READ // 2)))):
        size -= read


def _row_bytes(member: Member) -> int:
    return math.prod(member.shape[1:]) * member.dtype.itemsize


def _array(
    path: Path, archive: zipfile.ZipFile, names: list[str], name: str, kinds: str
) -> NDArray[Any]:
    """A small array whole, of one of numpy's dtype kinds."""
    if name not in names:
        raise InputError(f"{path}: has no {name}; it holds {listed_names(names)}")
    member = member_of(path, archive, name)
    size = math.prod(member.shape) * member.dtype.itemsize
    if member.dtype.kind not in kinds or size > _MAX_SCALAR_BYTES:
        wanted = "text" if kinds == "U" else "a number"
        raise InputError(f"{path}: {name} is {described(member)}; it must be {wanted}")
    with (
        damage_to_input_error(path, f"array {name} is damaged"),
        archive.open(f"{name}.npy") as f,
    ):
        f.seek(member.offset)
        return np.frombuffer(f.read(size), member.dtype).reshape(member.shape)


def number_of(path: Path, archive: zipfile.ZipFile, names: list[str], name: str) -> float:
    found = _array(path, archive, names, name, "fiu")
    if found.size != 1:
        told = shorten(str(found.shape))
        raise InputError(f"{path}: {name} has shape {told}; it must be one number")
    return float(found.reshape(-1)[0])


def whole_of(path: Path, archive: zipfile.ZipFile, names: list[str], name: str) -> int:
    found = _array(path, archive, names, name, "iu")
    if found.size != 1 or int(found.reshape(-1)[0]) < 1:
        told = shorten(str(found.tolist() if found.size == 1 else found.reshape(-1)[:8]))
        raise InputError(f"{path}: {name} is {told}; it must be one whole number above 0")
    return int(found.reshape(-1)[0])


def texts_of(path: Path, archive: zipfile.ZipFile, names: list[str], name: str) -> list[str]:
    found = _array(path, archive, names, name, "U")
    with damage_to_input_error(path, f"array {name} is damaged"):
        return [str(text) for text in found.reshape(-1)]  # raises on what is not Unicode


def text_of(path: Path, archive: zipfile.ZipFile, names: list[str], name: str) -> str:
    found = texts_of(path, archive, names, name)
    if len(found) != 1 or not found[0]:
        raise InputError(
            f"{path}: {name} is {shorten(str(found[:4]))}; it must be one text, not empty"
        )
    return found[0]


def listed_names(names: list[str]) -> str:
    return shorten(", ".join(names[:12]), 120)


def described(member: Member) -> str:
    return f"{shorten(str(member.dtype))} of shape {shorten(str(member.shape))}"
