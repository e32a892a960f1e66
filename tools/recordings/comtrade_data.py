"""Reads the samples of COMTRADE piece by piece, in each of the four forms of data.

Flow: .dat, or that section of a .cff -> SAMPLES -> comtrade.py.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tools.common.errors import InputError
from tools.recordings.csv_rows import NumberRows, find_rows, shorten
from tools.recordings.types import FloatArray

_CODES = {"BINARY": "<i2", "BINARY32": "<i4", "FLOAT32": "<f4"}
_LOWEST = {"BINARY": -(2.0**15), "BINARY32": -(2.0**31)}
# The marks of a missing sample in ASCII, beside a field left empty: outside the range there is.
_MARKS = {1991: (99999.0, 999999.0), 1999: (99999.0,)}
_PIECE = 1 << 16  # bytes of binary data read at once, at least a record
_MOST_HEADER = 1 << 23
_SECTION = re.compile(
    rb"^[ \t]*---[ \t]*file[ \t]+type[ \t]*:?[ \t]*(\w+)[ \t]*(\w*)[ \t]*:?[ \t]*(\d*)[ \t]*---"
    rb"[ \t]*\r?(?:\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)

# Sample numbers, time stamps (both in floats, NaN where there is none) and values (channels, n).
Piece = tuple[FloatArray, FloatArray, FloatArray]


class Samples(Protocol):
    """What all forms of data are read by."""

    found: int
    """How many whole samples there are."""

    def read(self, start: int, stop: int) -> Iterator[Piece]:
        """Samples start..stop; a missing one is NaN. Raises InputError, naming the place."""
        ...

    def where(self, sample: int, /) -> str:
        """The place of a sample in words."""
        ...


@dataclass(frozen=True)
class Section:
    """Where in a file the data are: bytes begin..end, and the number of lines before them."""

    path: Path
    begin: int
    end: int
    lines: int = 0


class BinarySamples:
    """Data in records of a sample each: number, time stamp, values, status words."""

    def __init__(
        self, section: Section, form: str, analog: int, status: int, indices: tuple[int, ...]
    ) -> None:
        self._section = section
        self._indices = list(indices)
        self._lowest = _LOWEST.get(form)
        words = -(-status // 16)
        self._record = np.dtype(
            [
                ("number", "<u4"),
                ("stamp", "<u4"),
                ("values", _CODES[form], (analog,)),
                ("status", "<u2", (words,)),
            ]
        )
        self.found = (section.end - section.begin) // self._record.itemsize

    def where(self, sample: int) -> str:
        return f"sample {sample}"

    def read(self, start: int, stop: int) -> Iterator[Piece]:
        size = self._record.itemsize
        most = max(1, _PIECE // size)
        with self._section.path.open("rb") as file:
            file.seek(self._section.begin + start * size)
            while start < stop:
                data = file.read(min(most, stop - start) * size)
                found = np.frombuffer(data, self._record, len(data) // size)
                if not found.size:
                    return  # Recording says that the data end early
                start += found.size
                with np.errstate(invalid="ignore"):  # a NaN that signals is missing like any
                    values = found["values"][:, self._indices].T.astype(np.float64)
                if self._lowest is not None:
                    values[values == self._lowest] = np.nan
                else:  # the lowest number there is, where NaN could not be written
                    values[values == float(np.finfo(np.float32).min)] = np.nan
                stamps = found["stamp"].astype(np.float64)
                stamps[found["stamp"] == 0xFFFFFFFF] = np.nan
                yield found["number"].astype(np.float64), stamps, values


class TextSamples:
    """Data in lines of a sample each."""

    def __init__(
        self,
        section: Section,
        names: list[str],
        status: int,
        indices: tuple[int, ...],
        revision: int,
        most: FloatArray,
    ) -> None:
        columns = ("number", "time stamp", *names, *(f"status {k + 1}" for k in range(status)))
        self._rows: NumberRows = find_rows(
            section.path, section.begin, section.end, section.lines + 1, columns, True
        )
        self._wanted = [0, 1, *(2 + index for index in indices)]
        # A mark is none where the configuration says that a channel goes so far.
        self._marks = [(mark, most[:, None] < mark) for mark in _MARKS.get(revision, _MARKS[1999])]
        self.found = self._rows.rows
        self.where: Callable[[int], str] = self._rows.where

    def read(self, start: int, stop: int) -> Iterator[Piece]:
        for numbers in self._rows.read(self._wanted, start, stop):
            values = numbers[2:]
            for mark, allowed in self._marks:
                values[(values == mark) & allowed] = np.nan
            yield numbers[0], numbers[1], values

    def check_end(self) -> None:
        """InputError when the last line is cut off before its last value."""
        if self.found and not self._rows.last_cell():
            raise InputError(
                f"{self._rows.path}: {self.where(self.found - 1)} is cut short; copy it again"
            )


def split_cff(path: Path) -> tuple[bytes, str, Section]:
    """(configuration, form of the data in capitals or "", where they are) of a .cff.

    The colons in the sections' headings may be left out. Raises InputError without both sections.
    """
    with path.open("rb") as file:
        head = file.read(_MOST_HEADER)
    size = path.stat().st_size
    text, form, section = b"", "", None
    at = 0
    while match := _SECTION.search(head, at):
        kind, at = match[1].upper(), match.end()
        if kind == b"DAT":
            form = match[2].decode().upper()
            end = at + int(match[3]) if match[3] and form != "ASCII" else size
            section = Section(path, at, min(end, size), head.count(b"\n", 0, at))
            break
        following = _SECTION.search(head, at)
        if kind == b"CFG":
            text = head[at : following.start() if following else len(head)]
    if not text.strip() or section is None or section.begin >= section.end:
        raise InputError(
            f"{path}: has no section '--- file type: CFG ---', or none like '--- file type: DAT "
            "ASCII ---' with data; a .cff must have both"
        )
    return text, form, section


def check_form(path: Path, form: str) -> None:
    """InputError unless the data's form is known."""
    if form != "ASCII" and form not in _CODES:
        raise InputError(
            f"{path}: its data format is {shorten(form)!r}; known are ASCII, {', '.join(_CODES)}"
        )


def whole_numbers(stamps: FloatArray) -> NDArray[np.int64] | None:
    """Time stamps as integers; None where any is missing or beyond all reason."""
    if not (np.abs(stamps) < 2.0**53).all():
        return None
    return stamps.astype(np.int64)
