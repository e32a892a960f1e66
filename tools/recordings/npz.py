"""Reads .npz files piece by piece: recordings in volts and amperes, and raw captures.

An .npz is a zip of .npy files. numpy.load would hold whole arrays; here each .npy is a stream
whose header numpy parses and whose payload is read as it is needed, compressed or not.
"""

import lzma
import math
import re
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tools.common.errors import InputError
from tools.common.files import parse_json
from tools.recordings.types import (
    BLOCK,
    Capture,
    FloatArray,
    Recording,
    channel_order,
)

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
_REGISTERS = 6  # delivered and received, of the net and of both elements
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
_IDENTITY = re.compile(r"[0-9a-f]{1,32}")
_EXCERPT = 60  # of a text, in a message


@dataclass(frozen=True)
class _Member:
    """One .npy in the zip: where its payload starts and what it holds."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


@contextmanager
def _damage_to_input_error(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            f"{path}: {what} ({str(error) or type(error).__name__}); write it again with "
            "numpy.savez, it may be cut short"
        ) from error


def open_npz(path: Path) -> Recording | Capture:
    """Open an .npz: a Capture when it holds `codes`, else a Recording.

    Recording: `rate_hz` (one number) and 1-d arrays v1 i1 [v2 i2] of float16, float32, float64 or
    any integer type, all of one length, in volts and amperes. Capture: `codes` (uint16, frames by
    slots, C order), `board` (text), `slots` (1-d text), `frame_ticks` and `tick_hz` (positive
    whole numbers), optionally `calibration` and `energy` (JSON text), `spans` (whole numbers,
    n by 2: frames, and the ticks of each) and `id` (text: the identity of the very board). Other
    arrays are ignored.

    Pickles are never loaded. Raises InputError for anything else.
    """
    with _damage_to_input_error(path, "is not a whole .npz"), zipfile.ZipFile(path) as archive:
        names = [n[:-4] for n in archive.namelist() if n.endswith(".npy")]
        if "codes" in names:
            return _open_capture(path, archive, names)
        return _open_waveforms(path, archive, names)


def _open_waveforms(path: Path, archive: zipfile.ZipFile, names: list[str]) -> Recording:
    channels = channel_order(path, names, ", ".join(names[:12]) or "no arrays")
    members = [_member(path, archive, name) for name in channels]
    for member in members:
        if len(member.shape) != 1:
            raise InputError(
                f"{path}: {member.name} has shape {member.shape}; it must be 1-dimensional"
            )
        if member.dtype.kind not in "fiu" or member.dtype.itemsize > 8:
            raise InputError(
                f"{path}: {member.name} is of type {member.dtype}; it must be float16, float32, "
                "float64 or an integer type"
            )
    lengths = {member.name: member.shape[0] for member in members}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise InputError(f"{path}: channels differ in length ({told} samples); make them equal")

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        for raw in _pieces(path, members, start, stop, BLOCK):
            yield np.stack([column.astype(np.float64) for column in raw])

    rate_hz = _number(path, archive, names, "rate_hz")
    return Recording(path, rate_hz, lengths["v1"], channels, read)


def _open_capture(path: Path, archive: zipfile.ZipFile, names: list[str]) -> Capture:
    codes = _member(path, archive, "codes")
    if len(codes.shape) != 2 or codes.dtype.newbyteorder("=") != np.uint16:
        raise InputError(
            f"{path}: codes is {codes.dtype} of shape {codes.shape}; it must be uint16 of shape "
            "(frames, slots)"
        )
    board = _text(path, archive, names, "board")
    slots = tuple(_texts(path, archive, names, "slots"))
    if len(slots) != codes.shape[1] or not all(slots) or len(set(slots)) != len(slots):
        raise InputError(
            f"{path}: slots is {list(slots)} for {codes.shape[1]} columns of codes; it must name "
            "each column, no two alike"
        )
    calibration, energy = [
        _json_text(path, archive, name) if name in names else None
        for name in ("calibration", "energy")
    ]
    if energy is not None and not _is_energy(parse_json(energy.encode())):
        raise InputError(
            f"{path}: energy is {energy[:_EXCERPT]!r}; it must be a JSON object with delivered_wh "
            "and received_wh, decimal texts, and exact, six pairs of them"
        )

    def read(size: int) -> Iterator[NDArray[np.uint16]]:
        for (raw,) in _pieces(path, [codes], 0, codes.shape[0], size):
            yield raw.astype(np.uint16, copy=False)

    return Capture(
        path=path,
        frames=codes.shape[0],
        board=board,
        slots=slots,
        frame_ticks=_whole(path, archive, names, "frame_ticks"),
        tick_hz=_whole(path, archive, names, "tick_hz"),
        calibration=calibration,
        read=read,
        spans=_spans(path, archive) if "spans" in names else (),
        energy=energy,
        board_id=_identity(path, archive, names),
    )


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> _Member:
    """Parse one .npy header. InputError if it is damaged, pickled or not the size it says."""
    with _damage_to_input_error(path, f"array {name} is damaged"):
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
    return _Member(name, shape, dtype, offset)


def _pieces(
    path: Path, members: list[_Member], start: int, stop: int, size: int
) -> Iterator[list[NDArray[Any]]]:
    """Rows start..stop of several members side by side, at most `size` rows at a time."""
    with ExitStack() as stack:
        with _damage_to_input_error(path, "is not a whole .npz"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            files = []
            for member in members:
                file = stack.enter_context(archive.open(member.name + ".npy"))
                file.seek(member.offset + start * _row_bytes(member))
                files.append(file)
        while start < stop:
            n = min(size, stop - start)
            raw = []
            for member, file in zip(members, files, strict=True):
                with _damage_to_input_error(path, f"array {member.name} is damaged"):
                    data = file.read(n * _row_bytes(member))
                    if len(data) != n * _row_bytes(member):
                        raise EOFError(f"it ends before row {start + n}")
                raw.append(np.frombuffer(data, member.dtype).reshape(n, *member.shape[1:]))
            yield raw
            start += n


def _row_bytes(member: _Member) -> int:
    return math.prod(member.shape[1:]) * member.dtype.itemsize


def _array(
    path: Path, archive: zipfile.ZipFile, names: list[str], name: str, kinds: str
) -> NDArray[Any]:
    """A small array whole, of one of numpy's dtype kinds."""
    if name not in names:
        raise InputError(f"{path}: has no {name}; it holds {', '.join(names[:12])}")
    member = _member(path, archive, name)
    size = math.prod(member.shape) * member.dtype.itemsize
    if member.dtype.kind not in kinds or size > _MAX_SCALAR_BYTES:
        wanted = "text" if kinds == "U" else "a number"
        raise InputError(
            f"{path}: {name} is {member.dtype} of shape {member.shape}; it must be {wanted}"
        )
    with (
        _damage_to_input_error(path, f"array {name} is damaged"),
        archive.open(f"{name}.npy") as f,
    ):
        f.seek(member.offset)
        return np.frombuffer(f.read(size), member.dtype).reshape(member.shape)


def _number(path: Path, archive: zipfile.ZipFile, names: list[str], name: str) -> float:
    found = _array(path, archive, names, name, "fiu")
    if found.size != 1:
        raise InputError(f"{path}: {name} has shape {found.shape}; it must be one number")
    return float(found.reshape(-1)[0])


def _whole(path: Path, archive: zipfile.ZipFile, names: list[str], name: str) -> int:
    found = _array(path, archive, names, name, "iu")
    if found.size != 1 or int(found.reshape(-1)[0]) < 1:
        raise InputError(
            f"{path}: {name} is {found.tolist()}; it must be one whole number above 0"
        )
    return int(found.reshape(-1)[0])


def _spans(path: Path, archive: zipfile.ZipFile) -> tuple[tuple[int, int], ...]:
    member = _member(path, archive, "spans")
    if member.dtype.kind not in "iu" or len(member.shape) != 2 or member.shape[1] != 2:
        raise InputError(
            f"{path}: spans is {member.dtype} of shape {member.shape}; it must be whole numbers "
            "of shape (n, 2)"
        )
    rows = [row for (raw,) in _pieces(path, [member], 0, member.shape[0], BLOCK) for row in raw]
    spans = tuple((int(frames), int(ticks)) for frames, ticks in rows)
    if any(frames < 1 or ticks < 1 for frames, ticks in spans):
        raise InputError(f"{path}: spans has a value below 1; frames and ticks are positive")
    return spans


def _identity(path: Path, archive: zipfile.ZipFile, names: list[str]) -> str | None:
    """None in captures of 0.3.0 and older."""
    if "id" not in names:
        return None
    found = _text(path, archive, names, "id")
    if not _IDENTITY.fullmatch(found):
        raise InputError(
            f"{path}: id is {found[:_EXCERPT]!r}; it must be 1 to 32 hexadecimal digits"
        )
    return found


def _json_text(path: Path, archive: zipfile.ZipFile, name: str) -> str:
    text = _text(path, archive, [name], name)
    try:
        parse_json(text.encode())
    except ValueError as error:
        raise InputError(f"{path}: {name} is not JSON text ({error})") from error
    return text


def _is_energy(found: Any) -> bool:
    """Whether it is what firmware/threewire/operation/capture.py ends a capture with."""
    if not isinstance(found, dict):
        return False
    exact = found.get("exact")
    if not (isinstance(exact, list) and len(exact) == _REGISTERS):
        return False
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in exact):
        return False
    texts = [found.get("delivered_wh"), found.get("received_wh"), *chain(*exact)]
    return all(isinstance(text, str) and _DECIMAL.fullmatch(text) for text in texts)


def _texts(path: Path, archive: zipfile.ZipFile, names: list[str], name: str) -> list[str]:
    found = _array(path, archive, names, name, "U")
    with _damage_to_input_error(path, f"array {name} is damaged"):
        return [str(text) for text in found.reshape(-1)]  # raises on what is not Unicode


def _text(path: Path, archive: zipfile.ZipFile, names: list[str], name: str) -> str:
    found = _texts(path, archive, names, name)
    if len(found) != 1 or not found[0]:
        raise InputError(f"{path}: {name} is {found[:4]}; it must be one text, not empty")
    return found[0]
