"""Finds its way in the head of a .csv: preamble, names, units, separators, the first row.

Flow: the first bytes of a .csv -> HEADER -> csv.py.  Instruments write what they like above their
columns; the numbers below tell which line is the header.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.common.errors import InputError
from tools.common.ranges import number_in
from tools.recordings.csv_preamble import (
    INTERVALS,
    Header,
    are_units,
    bare_names,
    cells_of,
    find_time,
    find_units,
    is_number,
    read_preamble,
    source_names,
    value_of,
)
from tools.recordings.csv_rows import shorten
from tools.recordings.types import INPUTS
from tools.recordings.units import is_unit

MOST_HEADER = 1 << 16
# Separators and decimal marks, the more telling first: a comma may be either.
_DIALECTS = ((";", ","), ("\t", ","), (";", "."), ("\t", "."), (",", "."))
_RATE = re.compile(r"#\s*rate_hz\s*=(.*)")
_INCREMENT = re.compile(r"t\s*inc(?:rement)?\s*[=:]\s*(\S+)", re.IGNORECASE)
# What stands above the numbers in place of names, which are in the preamble then.
_NO_NAMES = ("waveform data", "data")
_FEW = 4  # rows of numbers in a row make a table


@dataclass(frozen=True)
class _Line:
    number: int
    begin: int  # offset of the line, and of the next
    end: int
    text: str


def read_header(path: Path) -> Header:
    """Raises InputError, with the line, for what has no header or no numbers below it."""
    with path.open("rb") as file:
        head = file.read(MOST_HEADER)
    if b"\0" in head or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: is not text but binary; a .csv must be UTF-8 text")
    lines, rate_hz = _lines(path, head)
    if lines and _is_beside(lines[0].text):
        raise InputError(
            f"{path}: holds one channel, with its settings beside it; export all channels into "
            "one table, or write a .csv with columns v1 and i1"
        )
    found = _own(lines) or _instruments(lines)
    if found is None:
        if lines:
            raise InputError(
                f"{path}: line {lines[0].number} is {shorten(lines[0].text)!r}; it must be the "
                "header, column names like v1,i1 with commas between, and rows of numbers below"
            )
        raise InputError(
            f"{path}: has no header line in its first {len(head)} bytes; after the comments must "
            "come column names like v1,i1"
        )
    header, index = found
    header.rate_hz = rate_hz
    find_units(header)
    read_preamble(header, [line.text for line in lines[:index]])
    find_time(header)
    return header


def _is_beside(text: str) -> bool:
    """Whether it is the first line of an older Tektronix export, of one channel a file."""
    cells = cells_of(text, ",")
    return cells[0].lower() == "record length" and all(
        is_number(cell, ".") for cell in cells[3:5] or [""]
    )


def _lines(path: Path, head: bytes) -> tuple[list[_Line], float | None]:
    """The lines that are not blank and no comments, and the rate that a comment gives."""
    at = 3 if head.startswith(codecs.BOM_UTF8) else 0
    lines = []
    rate_hz = None
    number = 0
    while at < len(head):
        number += 1
        end = head.find(b"\n", at)
        if end < 0 and len(head) == MOST_HEADER:
            break  # a line cut off
        end = len(head) if end < 0 else end + 1
        try:
            text = head[at:end].decode("utf-8")
        except UnicodeDecodeError as error:
            text = head[at:end].decode("cp1252", "replace")  # the µ and ° of older instruments
            if not any(mark in text for mark in "µ°Ω²") or "�" in text:
                raise InputError(
                    f"{path}: line {number} is not text; a .csv must be UTF-8 text"
                ) from error
        text = text.strip("\r\n \x1a")
        begin, at = at, end
        if match := _RATE.match(text):
            if rate_hz is not None:
                raise InputError(f"{path}: line {number} gives rate_hz a second time")
            rate_hz = _rate(path, number, match[1])
        elif text.strip(' \t,;"') and not text.startswith("#"):
            lines.append(_Line(number, begin, end, text))
    return lines, rate_hz


def _rate(path: Path, number: int, text: str) -> float:
    text = text.strip(' \t;,"')  # a spreadsheet fills up its rows with separators
    try:
        return number_in(text)
    except ValueError:
        raise InputError(
            f"{path}: line {number}: rate_hz is {shorten(text)!r}; it must be a number of "
            "samples a second"
        ) from None


def _own(lines: Sequence[_Line]) -> tuple[Header, int] | None:
    """The header that names v1 or the like: whatever its rows hold, they are told of later."""
    for k, line in enumerate(lines):
        for separator in (",", ";", "\t"):
            names = cells_of(line.text, separator)
            if len(names) < 2 or not any(name.lower() in INPUTS for name in bare_names(names)):
                continue
            decimal = "."
            below = k + 1
            units: list[str] = []
            if below < len(lines) and are_units(cells_of(lines[below].text, separator)):
                units = cells_of(lines[below].text, separator)
                below += 1
            if below < len(lines) and separator != "," and "," in lines[below].text:
                decimal = ","
            quoted = below < len(lines) and '"' in lines[below].text
            last = lines[below - 1]
            header = Header(names, separator, decimal, last.end, last.number + 1, quoted)
            header.units = units
            if units and below < len(lines):  # a blank line may follow them
                header.begin, header.first_line = lines[below].begin, lines[below].number
            return header, k
    return None


def _instruments(lines: Sequence[_Line]) -> tuple[Header, int] | None:
    """The header above the first rows of numbers, by whichever separator makes a table of them."""
    for separator, decimal in _DIALECTS:
        table = [cells_of(line.text, separator) for line in lines]
        full = [
            len(cells) > 1
            and sum(is_number(cell, decimal) for cell in cells) > 1
            and all(not cell or is_number(cell, decimal) for cell in cells)
            for cells in table
        ]
        for k, cells in enumerate(table):
            few = range(k, min(k + _FEW, len(lines)))
            if k == 0 or not all(full[j] and len(table[j]) == len(cells) for j in few):
                continue
            units: list[str] = []
            top = k - 1
            if top and are_units(table[top]):
                units = table[top]
                top -= 1
            names = table[top]
            if names[0].lower() in _NO_NAMES and not any(is_unit(name) for name in names):
                names = source_names(table[:top]) or names
            if sum(bool(name) for name in names) < 2 or all(
                map(is_number, names, decimal * len(names))
            ):
                break
            header = Header(names, separator, decimal, lines[k].begin, lines[k].number)
            header.units = units
            header.is_quoted = '"' in lines[k].text
            # Names without cells below them are what Rigol has beside its columns.
            names += [""] * (len(cells) - len(names))
            header.names = [
                name if any(table[j][column] for j in few) else ""
                for column, name in enumerate(names[: len(cells)])
            ]
            for name in names:
                if match := _INCREMENT.search(name):
                    header.interval_s = value_of(match[1], decimal)
            for name, unit in zip(names, units):
                if name.lower() in INTERVALS:
                    header.interval_s = value_of(unit, decimal)
            return header, top
    return None
