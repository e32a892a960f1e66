"""Finds its way in the head of a .csv: preamble, names, units, separators, the first row.

Flow: the first bytes of a .csv -> HEADER -> csv.py.  Instruments write what they like above their
columns; the numbers below tell which line is the header.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.common.errors import InputError
from tools.recordings.channel_map import is_unit
from tools.recordings.csv_rows import shorten
from tools.recordings.types import INPUTS

MOST_HEADER = 1 << 16
# Separators and decimal marks, the more telling first: a comma may be either.
_DIALECTS = ((";", ","), ("\t", ","), (";", "."), ("\t", "."), (",", "."))
_RATE = re.compile(r"#\s*rate_hz\s*=(.*)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.I)
_UNIT_IN_NAME = re.compile(r"(.*\S)\s*[(\[]([^()\[\]]*)[)\]]")
_INCREMENT = re.compile(r"t\s*inc(?:rement)?\s*[=:]\s*(\S+)", re.IGNORECASE)
_TIME_NAMES = ("time", "t", "x", "x-axis", "seconds", "second", "time stamp", "timestamp")
_TIME_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
}
_SEQUENCE = "sequence"
# What preambles call the time between two samples, and the number of them in a second.
_INTERVALS = ("sample interval", "sampling period", "sampling interval", "xinc", "increment")
_RATES = ("sample rate", "sampling rate", "samplerate")
_PROBES = ("probe attenuation", "probe atten", "probe", "probe ratio")
_FEW = 4  # rows of numbers in a row make a table


@dataclass
class Header:
    """What stands above the numbers.

    names, units  of the columns, "" for what is not said; separator, decimal: one character each;
    begin, first_line  offset and number of the first row; rate_hz  as `# rate_hz=` says;
    interval_s  between samples, as the preamble says; time  the column of times or None, and
    time_unit_s  what one is in seconds; probes  what the preamble says of probe factors
    """

    names: list[str]
    separator: str
    decimal: str
    begin: int
    first_line: int
    is_quoted: bool = False
    rate_hz: float | None = None
    interval_s: float | None = None
    units: list[str] = field(default_factory=list)
    time: int | None = None
    time_unit_s: float = 1.0
    probes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Line:
    number: int
    end: int  # offset of the next line
    text: str


def read_header(path: Path) -> Header:
    """Raises InputError, with the line, for what has no header or no numbers below it."""
    with path.open("rb") as file:
        head = file.read(MOST_HEADER)
    if b"\0" in head or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: is not text but binary; a .csv must be UTF-8 text")
    lines, rate_hz = _lines(path, head)
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
    _find_units(header)
    _read_preamble(header, lines[:index])
    _find_time(header)
    return header


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
        at = end
        if match := _RATE.match(text):
            if rate_hz is not None:
                raise InputError(f"{path}: line {number} gives rate_hz a second time")
            rate_hz = _rate(path, number, match[1])
        elif text.strip(' \t,;"') and not text.startswith("#"):
            lines.append(_Line(number, end, text))
    return lines, rate_hz


def _rate(path: Path, number: int, text: str) -> float:
    text = text.strip(' \t;,"')  # a spreadsheet fills up its rows with separators
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise InputError(
            f"{path}: line {number}: rate_hz is {shorten(text)!r}; it must be a number of "
            "samples a second"
        ) from None


def _cells(text: str, separator: str) -> list[str]:
    return [cell.strip(' \t"') for cell in text.split(separator)]


def _is_number(cell: str, decimal: str) -> bool:
    if decimal == ",":
        cell = cell.replace(",", ".")
    return bool(_NUMBER.fullmatch(cell))


def _own(lines: Sequence[_Line]) -> tuple[Header, int] | None:
    """The header that names v1 or the like: whatever its rows hold, they are told of later."""
    for k, line in enumerate(lines):
        for separator in (",", ";", "\t"):
            names = _cells(line.text, separator)
            if len(names) < 2 or not any(name.lower() in INPUTS for name in _bare(names)):
                continue
            decimal = "."
            below = k + 1
            units: list[str] = []
            if below < len(lines) and _are_units(_cells(lines[below].text, separator)):
                units = _cells(lines[below].text, separator)
                below += 1
            if below < len(lines) and separator != "," and "," in lines[below].text:
                decimal = ","
            quoted = below < len(lines) and '"' in lines[below].text
            last = lines[below - 1]
            header = Header(names, separator, decimal, last.end, last.number + 1, quoted)
            header.units = units
            if below < len(lines) and lines[below].number != header.first_line:
                _skip_blank(header, lines, below)
            return header, k
    return None


def _skip_blank(header: Header, lines: Sequence[_Line], below: int) -> None:
    """Begins where the first row does, when units stand between: blank lines may follow them."""
    if header.units:
        header.begin = lines[below].end - len(lines[below].text.encode()) - 1
        header.first_line = lines[below].number


def _bare(names: Sequence[str]) -> list[str]:
    return [match[1] if (match := _UNIT_IN_NAME.fullmatch(name)) else name for name in names]


def _are_units(cells: Sequence[str]) -> bool:
    """Whether a line holds units: they, numbers (an increment) and nothing else."""
    told = 0
    for cell in cells:
        bare = cell.strip("()[] ").lower()
        if bare == _SEQUENCE or bare in _TIME_UNITS or is_unit(bare):
            told += 1
        elif cell and not _is_number(cell, "."):
            return False
    return told > 0


def _instruments(lines: Sequence[_Line]) -> tuple[Header, int] | None:
    """The header above the first rows of numbers, by whichever separator makes a table of them."""
    for separator, decimal in _DIALECTS:
        table = [_cells(line.text, separator) for line in lines]
        full = [
            len(cells) > 1
            and sum(_is_number(cell, decimal) for cell in cells) > 1
            and all(not cell or _is_number(cell, decimal) for cell in cells)
            for cells in table
        ]
        for k, cells in enumerate(table):
            few = range(k, min(k + _FEW, len(lines)))
            if k == 0 or not all(full[j] and len(table[j]) == len(cells) for j in few):
                continue
            units: list[str] = []
            top = k - 1
            if top and _are_units(table[top]):
                units = table[top]
                top -= 1
            names = table[top]
            if sum(bool(name) for name in names) < 2 or all(
                map(_is_number, names, decimal * len(names))
            ):
                break
            begin = lines[k - 1].end
            header = Header(names, separator, decimal, begin, lines[k - 1].number + 1)
            header.units = units
            header.is_quoted = '"' in lines[k].text
            header.first_line = lines[k].number
            # Names beyond the cells of a row are what Rigol has beside them.
            header.names = names[: len(cells)] + [""] * (len(cells) - len(names))
            for name in names:
                if match := _INCREMENT.search(name):
                    header.interval_s = _value(match[1], decimal)
            for name, unit in zip(names, units):
                if name.lower() in _INTERVALS:
                    header.interval_s = _value(unit, decimal)
            return header, top
    return None


def _value(text: str, decimal: str) -> float | None:
    text = text.strip(" ,").replace(",", ".") if decimal == "," else text.strip(" ,")
    match = re.match(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", text)
    try:
        found = float(match[0]) if match else 0.0
    except ValueError:
        return None
    return found if found > 0 else None


def _find_units(header: Header) -> None:
    """Units from their own line, or from behind the names: CH1(V), Time [ms]."""
    units = [unit.strip("()[] ") for unit in header.units]
    units += [""] * (len(header.names) - len(units))
    for k, name in enumerate(header.names):
        match = _UNIT_IN_NAME.fullmatch(name)
        if match and (is_unit(match[2]) or match[2].lower() in _TIME_UNITS):
            header.names[k] = match[1]
            units[k] = units[k] or match[2]
    header.units = units[: len(header.names)]


def _read_preamble(header: Header, lines: Sequence[_Line]) -> None:
    """What lines like "Sample Interval,1e-6" and "Vertical Units,V,A" say."""
    for line in lines:
        key, *values = _cells(line.text, header.separator)
        key = key.rstrip(":= ").lower()
        # Siglent has "Analog:1.0E-9" and "CH1:V" where others have the value alone.
        values = [value.rsplit(":", 1)[-1].strip() for value in values]
        first = values[0] if values else ""
        if key in _INTERVALS:
            header.interval_s = header.interval_s or _value(first, header.decimal)
        elif key in _RATES and (rate := _value(first, header.decimal)):
            header.interval_s = header.interval_s or 1 / rate
        elif key == "vertical units":
            for k, unit in enumerate(values, 1):
                if k < len(header.units) and not header.units[k] and is_unit(unit):
                    header.units[k] = unit
        elif key in _PROBES:
            header.probes += [value for value in values if value]


def _find_time(header: Header) -> None:
    for k, (name, unit) in enumerate(zip(header.names, header.units)):
        unit = unit.lower()
        if unit == _SEQUENCE:
            header.time = None if header.interval_s or header.rate_hz else k
            if header.interval_s:
                header.names[k] = ""
            return
        if unit in _TIME_UNITS or (name.lower() in _TIME_NAMES and not unit):
            header.time = k
            header.time_unit_s = _TIME_UNITS.get(unit, 1.0)
            return
