"""Reads lines of comma-separated numbers piece by piece: the body of a .csv.

Numbers are parsed by numpy in chunks; only when a chunk is refused does a slow second pass look
for the line and the column to name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.common.errors import InputError
from tools.common.ranges import number_in
from tools.recordings.types import FloatArray

_CHUNK = 1 << 20
_COMMA, _NEWLINE = b",\n"
# Spaces, line ends and the 0x1A (end of file) of old systems may trail the last row.
_TRAILING = b" \t\r\n\x1a"
# An empty cell: between two separators, or before the first or after the last of a line.
_BLANK_CELL = re.compile(rb"(?<=,)[ \t]*(?=,|\r?\n)")
_BLANK = " \t\r"  # around a number; str.strip() alone would take control characters too


@dataclass(frozen=True)
class NumberRows:
    """Lines of numbers in part of a text file, with no blank line between them.

    begin, end  byte offsets of the first row, and just after the last one's last character
    first_line  line number of the first row, counted from 1 at the head of the file
    rows        number of lines
    columns     name of every column, for messages
    blanks      an empty cell is a missing value, NaN; else it is refused
    separator, decimal  between cells, and in numbers
    is_quoted   cells may stand between quotation marks
    """

    path: Path
    begin: int
    end: int
    first_line: int
    rows: int
    columns: tuple[str, ...]
    blanks: bool = False
    separator: str = ","
    decimal: str = "."
    is_quoted: bool = False

    def where(self, row: int) -> str:
        """The place of a row in words."""
        return f"line {self.first_line + row} (sample {row})"

    def read(self, wanted: list[int], start: int, stop: int) -> Iterator[FloatArray]:
        """Rows start..stop of the wanted columns as float64 pieces of shape (wanted, n).

        Raises InputError naming line and column at a wrong number of columns or a bad number. NaN
        and infinity are numbers here.
        """
        row = 0
        for lines in self._chunks():
            n = lines.count(b"\n")
            first = max(start - row, 0)
            last = min(stop - row, n)
            if first < last:
                if first > 0 or last < n:
                    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == _NEWLINE) + 1
                    lines = lines[ends[first - 1] if first else 0 : ends[last - 1]]
                yield self._parse(lines, wanted, row + first)
            row += n
            if row >= stop:
                return

    def _chunks(self) -> Iterator[bytes]:
        """The region in pieces of whole lines, every line ended by a newline."""
        rest = b""
        at = self.begin
        with self.path.open("rb") as file:
            file.seek(at)
            while at < self.end:
                data = file.read(min(_CHUNK, self.end - at))
                if not data:
                    break
                at += len(data)
                data = rest + data
                cut = len(data) if at >= self.end else data.rfind(b"\n") + 1
                if len(data) - cut > _CHUNK:
                    raise InputError(
                        f"{self.path}: has a line of over {_CHUNK} bytes; not a table"
                    )
                lines, rest = data[:cut], data[cut:]
                if at >= self.end:
                    lines += b"\n"
                if lines:
                    yield self._plain(lines)

    def _plain(self, lines: bytes) -> bytes:
        """The same lines with commas between cells and points in numbers."""
        if self.is_quoted:
            lines = lines.replace(b'"', b"")
        if self.decimal != ".":
            lines = lines.replace(self.decimal.encode(), b".")
        if self.separator != ",":
            lines = lines.replace(self.separator.encode(), b",")
        return lines

    def last_cell(self) -> bytes:
        """The last cell of the last row, empty where the row ends with a separator."""
        with self.path.open("rb") as file:
            at = max(self.begin, self.end - _CHUNK)
            file.seek(at)
            return re.split(rb"[,\n]", file.read(self.end - at))[-1].strip()

    def _parse(self, lines: bytes, wanted: list[int], row: int) -> FloatArray:
        if self.blanks:
            lines = _BLANK_CELL.sub(b"nan", lines)
        # Every line must have the same separators as the header, or values would slip a column.
        marks = np.frombuffer(lines, np.uint8)
        marks = marks[(marks == _COMMA) | (marks == _NEWLINE)]
        width = len(self.columns)
        expected = np.full(width, _COMMA, np.uint8)
        expected[-1] = _NEWLINE
        if len(marks) % width == 0 and (marks.reshape(-1, width) == expected).all():
            try:
                text = lines.replace(b"\r\n", b"\n").decode("ascii").split("\n")[:-1]
                found = np.loadtxt(
                    text, delimiter=",", usecols=wanted, comments=None, dtype=np.float64, ndmin=2
                ).T
            except ValueError:
                pass
            else:
                if found.shape[1] * width == len(marks):
                    return found
        return self._parse_slowly(lines, wanted, row)

    def _parse_slowly(self, lines: bytes, wanted: list[int], row: int) -> FloatArray:
        found = []
        for k, line in enumerate(lines[:-1].split(b"\n")):
            text = line.decode("utf-8", "replace").strip(_BLANK)
            cells = [cell.strip(_BLANK) for cell in text.split(",")]
            place = f"{self.path}: line {self.first_line + row + k}"
            if not text:
                raise InputError(f"{place} is blank; rows must follow each other")
            if len(cells) != len(self.columns):
                raise InputError(
                    f"{place} has {len(cells)} columns; it must have {len(self.columns)}: "
                    f"{shorten(','.join(self.columns))}"
                )
            for column in wanted:
                cell = cells[column]
                try:
                    number_in(cell)
                except ValueError:
                    raise InputError(
                        f"{place}, column {self.columns[column]}: {shorten(cell)!r} is not a "
                        "number; write it like -12.5 or 3e-2"
                    ) from None
            found.append([float(cells[column]) for column in wanted])
        return np.array(found).T


def find_rows(
    path: Path,
    begin: int,
    end: int,
    first_line: int,
    columns: tuple[str, ...],
    blanks: bool = False,
    separator: str = ",",
    decimal: str = ".",
    is_quoted: bool = False,
) -> NumberRows:
    """The rows between two byte offsets: trims what trails the last one, then counts lines."""
    with path.open("rb") as file:
        while end > begin:
            at = max(begin, end - _CHUNK)
            file.seek(at)
            kept = len(file.read(end - at).rstrip(_TRAILING))
            end = at + kept
            if kept:
                break
        file.seek(begin)
        rows = 1 if end > begin else 0
        at = begin
        while at < end and (data := file.read(min(_CHUNK, end - at))):
            rows += data.count(b"\n")
            at += len(data)
    return NumberRows(
        path, begin, end, first_line, rows, columns, blanks, separator, decimal, is_quoted
    )


def shorten(text: str, most: int = 40) -> str:
    """At most `most` characters of a text of unknown size, for a message."""
    return text if len(text) <= most else text[: most - 3] + "..."
