"""Opens the scientific containers that hold recordings: .mat, .h5 and .hdf5, .tdms.

Flow: container -> CONTAINERS -> arrays.py -> Recording.
"""

import json
import logging
import math
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tools.common.errors import InputError
from tools.recordings import ranges
from tools.recordings.arrays import Container, recording_of
from tools.recordings.channel_map import Column
from tools.recordings.csv_rows import shorten
from tools.recordings.extras import needs
from tools.recordings.types import Recording

# Of a .tdms segment, and the bit of its fifth byte that says how its numbers are written.
_LEAD_IN_BYTES, _BIG_ENDIAN = 28, 1 << 6
_HDF5 = b"\x89HDF\r\n\x1a\n"
# scipy's reader of .mat dies of damaged files, so it works in a process of its own.
_MAT_PROGRAM = Path(__file__).with_name("mat_program.py")


def open_mat(path: Path) -> Recording:
    """Open a MATLAB .mat: vectors called v1 i1 [v2 i2], or as the .json beside it says, and a
    number called rate_hz (or Fs, or Tinterval, the seconds between samples).

    Files of version 7.3 are HDF5 and need the package h5py. Of older ones scipy makes plain files
    in a temporary folder, in a process of its own; from there they stream. Raises InputError.
    """
    with path.open("rb") as file:
        file.seek(512)
        if file.read(8) == _HDF5:
            return open_hdf5(path)
    needs(path, "scipy")
    folder = tempfile.TemporaryDirectory(prefix="threewire-")
    done = subprocess.run(
        [sys.executable, "-I", str(_MAT_PROGRAM), str(path.absolute()), folder.name],
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["its reader has died"])[-1]
        if done.returncode < 0:
            last = "it is damaged"
        raise InputError(f"{path}: is no .mat that can be read ({last[:120]})")
    names: list[str] = json.loads(done.stdout)

    def array(name: str) -> Any:
        # The folder is kept, and with it the files, as long as this may be asked.
        return np.load(Path(folder.name) / f"{names.index(name)}.npy", mmap_mode="r")

    @contextmanager
    def reading() -> Iterator[Callable[[str], Any]]:
        yield array

    container = Container(reading)
    for name in names:
        container.add(name, "", array(name))
    return recording_of(path, container)


def open_hdf5(path: Path) -> Recording:
    """Open an HDF5 file: one-dimensional datasets called v1 i1 [v2 i2], or as the .json beside it
    says by their paths ("scope/CH1"), and rate_hz, a dataset or an attribute of the file.

    A dataset's attribute "unit" or "units" is its unit. Needs the package h5py. Streams in bounded
    memory. Raises InputError.
    """
    h5py = needs(path, "h5py")

    @contextmanager
    def reading() -> Iterator[Callable[[str], Any]]:
        with _damage(path, "HDF5"), h5py.File(path, "r") as file:
            yield file.__getitem__

    container = Container(reading)

    seen = 0

    def look(name: str, item: Any) -> None:
        nonlocal seen
        seen += 1
        ranges.MEMBERS.check(path, "the number of its parts", seen)
        if not isinstance(name, str):  # as h5py gives what it cannot read
            raise InputError(f"{path}: damaged: a part's name is {name!r}; it must be UTF-8")
        ranges.NESTED.check(path, "how deep its parts are nested", name.count("/"))
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            _check_dataset(path, name, item)
            unit = item.attrs.get("unit", item.attrs.get("units", ""))
            unit = unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)
            container.add(name, unit, item)

    with _damage(path, "HDF5"), h5py.File(path, "r") as file:
        for name, value in file.attrs.items():
            is_number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fiu"
            if isinstance(name, str) and is_number:
                container.numbers[name.lower()] = float(value)
        file.visititems(look)
    return recording_of(path, container)


def open_tdms(path: Path) -> Recording:
    """Open a LabVIEW .tdms: channels called v1 i1 [v2 i2] in one group, or as the .json beside it
    says ("group/channel"); the rate is that of their waveform properties.

    Needs the package npTDMS. Streams in bounded memory. Raises InputError.
    """
    nptdms = needs(path, "nptdms")
    with _damage(path, "TDMS"):
        _check_segments(path)
    # What it says of a file cut short is told with the recording, not by itself.
    nptdms.log.log_manager.console_handler.setLevel(logging.CRITICAL + 1)

    @contextmanager
    def reading() -> Iterator[Callable[[str], Any]]:
        with _damage(path, "TDMS"), nptdms.TdmsFile.open(path) as file:

            def channel(name: str) -> Any:
                group, _, rest = name.partition("/")
                return file[group][rest]

            yield channel

    container = Container(reading)
    increments: set[float] = set()
    starts: set[float | None] = set()
    with (
        _damage(path, "TDMS"),
        _said("nptdms", container.warnings),
        nptdms.TdmsFile.open(path) as file,
    ):
        for group in file.groups():
            for channel in group.channels():
                if len(channel) > 1 and channel.dtype.kind in "fiu":
                    unit = str(channel.properties.get("unit_string", ""))
                    container.columns.append(Column(f"{group.name}/{channel.name}", unit))
                    container.lengths.append(len(channel))
                    if increment := channel.properties.get("wf_increment"):
                        increments.add(float(increment))
                    starts.add(_start_s(channel.properties))
        for name, value in file.properties.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                container.numbers[name.lower()] = float(value)
    if len(increments) > 1:
        told = ", ".join(f"{1 / i:g}" for i in sorted(increments))
        raise InputError(f"{path}: its channels have rates of {told} Hz; they must have one")
    if increments:
        container.numbers["wf_increment"] = increments.pop()
    if len(starts) == 1:
        container.start_s = starts.pop()
    return recording_of(path, container)


def _start_s(properties: Mapping[str, Any]) -> float | None:
    """When a waveform begins, in seconds since 1970; None where it does not say."""
    at = properties.get("wf_start_time")
    offset = properties.get("wf_start_offset", 0.0)
    if not isinstance(at, np.datetime64) or not isinstance(offset, int | float):
        return None
    start_s = at.astype("datetime64[us]").astype(np.int64) / 1e6 + offset
    return start_s if start_s > 0 else None  # LabVIEW's zero, for none, is in 1904


def _check_segments(path: Path) -> None:
    """InputError for so many segments, each with what is told of it, that to keep them all takes
    gigabytes."""
    size = path.stat().st_size
    at = headers = 0
    with path.open("rb") as file:
        while at + _LEAD_IN_BYTES <= size:
            file.seek(at)
            lead_in = file.read(_LEAD_IN_BYTES)
            if lead_in[:4] != b"TDSm":
                return  # npTDMS tells what it is then
            order = ">" if lead_in[4] & _BIG_ENDIAN else "<"
            follows, header = struct.unpack(order + "QQ", lead_in[-16:])
            headers += _LEAD_IN_BYTES + min(header, size - at)
            if headers not in ranges.HEADER_BYTES:
                raise InputError(
                    f"{path}: the headers of its segments have more than "
                    f"{ranges.HEADER_BYTES.most} bytes; "
                    "defragment it, or split it"
                )
            at += _LEAD_IN_BYTES + follows


def _check_dataset(path: Path, name: str, item: Any) -> None:
    """InputError for data that are somewhere else, or can only be unpacked in huge pieces."""
    if item.external or item.is_virtual:
        raise InputError(
            f"{path}: {shorten(name)} has its data in another file; copy them into this one"
        )
    piece = math.prod(item.chunks or ()) * item.dtype.itemsize
    ranges.PIECE_BYTES.check(path, f"the size of a chunk of {shorten(name)}", piece)


@contextmanager
def _said(logger: str, lines: list[str]) -> Iterator[None]:
    """Takes what a package logs, each text once."""

    class Taker(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if text not in lines:
                lines.append(text)

    taker = Taker(logging.WARNING)
    logging.getLogger(logger).addHandler(taker)
    try:
        yield
    finally:
        logging.getLogger(logger).removeHandler(taker)


@contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (InputError, GeneratorExit):
        raise
    except Exception as error:  # a damaged file leads anywhere
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: is no {what} that can be read ({text})") from error
