"""Opens .npz files: recordings in volts and amperes, and raw captures.

Flow: arrays of an .npz -> NPZ -> Recording or Capture.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threewire.metering.layout import SENSOR
from tools.common.errors import InputError
from tools.common.files import parse_json
from tools.recordings import ranges
from tools.recordings.csv_rows import shorten
from tools.recordings.npz_members import (
    damage_to_input_error,
    described,
    listed_names,
    member_of,
    number_of,
    opened_zip,
    pieces,
    text_of,
    texts_of,
    whole_of,
)
from tools.recordings.types import (
    BLOCK,
    INPUTS,
    Capture,
    FloatArray,
    Recording,
    channel_order,
)

_REGISTERS = 6  # delivered and received, of the net and of both elements
_IDENTITY = re.compile(r"[0-9a-f]{1,32}")
_PIECE = 1 << 14  # samples read at once
_DECIMAL = re.compile(rf"[0-9]{{1,{ranges.DIGITS.most}}}(\.[0-9]{{1,{ranges.DIGITS.most}}})?")


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
    with damage_to_input_error(path, "is not a whole .npz"), opened_zip(path) as archive:
        names = [n[:-4] for n in archive.namelist() if n.endswith(".npy")]
        if len(set(names)) < len(names):
            ((twice, _),) = Counter(names).most_common(1)
            raise InputError(
                f"{path}: array {shorten(twice)} is in it more than once; give each one name of "
                "its own"
            )
        if "codes" in names:
            return _open_capture(path, archive, names)
        return _open_waveforms(path, archive, names)


def _open_waveforms(path: Path, archive: zipfile.ZipFile, names: list[str]) -> Recording:
    channels = channel_order(path, names, listed_names(names) or "no arrays")
    members = [member_of(path, archive, name) for name in channels]
    for member in members:
        if len(member.shape) != 1:
            raise InputError(
                f"{path}: {member.name} is {described(member)}; it must be 1-dimensional"
            )
        if member.dtype.kind not in "fiu" or member.dtype.itemsize > 8:
            raise InputError(
                f"{path}: {member.name} is of type {shorten(str(member.dtype))}; it must be "
                "float16, float32, float64 or an integer type"
            )
    lengths = {member.name: member.shape[0] for member in members}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise InputError(f"{path}: channels differ in length ({told} samples); make them equal")

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        for raw in pieces(path, members, start, stop, _PIECE):
            piece = np.empty((len(raw), len(raw[0])))
            for row, column in zip(piece, raw):
                row[:] = column
            yield piece

    rate_hz = number_of(path, archive, names, "rate_hz")
    return Recording(path, rate_hz, lengths["v1"], channels, read)


def _open_capture(path: Path, archive: zipfile.ZipFile, names: list[str]) -> Capture:
    codes = member_of(path, archive, "codes")
    if len(codes.shape) != 2 or codes.dtype.newbyteorder("=") != np.uint16:
        raise InputError(
            f"{path}: codes is {described(codes)}; it must be uint16 of shape (frames, slots)"
        )
    board = text_of(path, archive, names, "board")
    slots = tuple(texts_of(path, archive, names, "slots"))
    known = {*INPUTS, SENSOR}
    if len(slots) != codes.shape[1] or not slots or len(set(slots) & known) != len(slots):
        raise InputError(
            f"{path}: slots is {shorten(str(list(slots[:8])))} for {codes.shape[1]} columns of "
            f"codes; it must name each column, one of {', '.join((*INPUTS, SENSOR))}, no two alike"
        )
    calibration, energy = [
        _json_text(path, archive, name) if name in names else None
        for name in ("calibration", "energy")
    ]
    if energy is not None and not _is_energy(parse_json(energy.encode())):
        raise InputError(
            f"{path}: energy is {shorten(energy, 60)!r}; it must be a JSON object with "
            "delivered_wh and received_wh, decimal texts, and exact, six pairs of them"
        )

    def read(start: int, size: int) -> Iterator[NDArray[np.uint16]]:
        for (raw,) in pieces(path, [codes], start, codes.shape[0], size):
            yield raw.astype(np.uint16, copy=False)

    return Capture(
        path=path,
        frames=codes.shape[0],
        board=board,
        slots=slots,
        frame_ticks=whole_of(path, archive, names, "frame_ticks"),
        tick_hz=whole_of(path, archive, names, "tick_hz"),
        calibration=calibration,
        read=read,
        spans=_spans(path, archive) if "spans" in names else np.zeros((0, 2), np.int64),
        energy=energy,
        board_id=_identity(path, archive, names),
    )


def _spans(path: Path, archive: zipfile.ZipFile) -> NDArray[np.int64]:
    member = member_of(path, archive, "spans")
    if member.dtype.kind not in "iu" or len(member.shape) != 2 or member.shape[1] != 2:
        raise InputError(
            f"{path}: spans is {described(member)}; it must be whole numbers of shape (n, 2)"
        )
    ranges.SPANS.check(path, "the number of spans", member.shape[0])
    spans = np.zeros(member.shape, np.int64)
    at = 0
    for (raw,) in pieces(path, [member], 0, member.shape[0], BLOCK):
        spans[at : at + len(raw)] = raw  # what is beyond comes out below 0, and is refused
        at += len(raw)
    return spans


def _identity(path: Path, archive: zipfile.ZipFile, names: list[str]) -> str | None:
    """None in captures of 0.3.0 and older."""
    if "id" not in names:
        return None
    found = text_of(path, archive, names, "id")
    if not _IDENTITY.fullmatch(found):
        raise InputError(
            f"{path}: id is {shorten(found, 60)!r}; it must be 1 to 32 hexadecimal digits"
        )
    return found


def _json_text(path: Path, archive: zipfile.ZipFile, name: str) -> str:
    text = text_of(path, archive, [name], name)
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
