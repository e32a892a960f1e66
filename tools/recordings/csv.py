"""Reads .csv recordings: the header here, the rows by tools/recording_text.py.

# rate_hz=8000
# any other comment
v1,i1,v2,i2
169.706,1.25,-169.706,-0.75
"""

import re
from pathlib import Path

from tools.common.errors import InputError
from tools.recordings.csv_rows import find_rows, shorten
from tools.recordings.types import INPUTS, Recording, channel_order

_MAX_HEADER = 1 << 16
_RATE = re.compile(r"#\s*rate_hz\s*=(.*)")


def open_csv(path: Path) -> Recording:
    """Open a .csv of volts and amperes.

    Comment lines (#) come first, one of them `# rate_hz=N`; then a line with the column names, v1
    i1 [v2 i2] in any order; then one line a sample, commas between numbers with a decimal point.
    Other columns are ignored, whatever they hold. A byte order mark, CRLF and blank lines at the
    end are accepted; blank lines or comments between the rows are not. The text is read as UTF-8.

    Raises InputError for anything else. A file cut at the end of a line is a shorter recording: a
    .csv cannot tell.
    """
    rate_hz, names, begin, first_line = _header(path)
    rows = find_rows(path, begin, path.stat().st_size, first_line, names)
    channels = channel_order(path, names, f"columns {shorten(','.join(names))}")
    for name in INPUTS:
        if names.count(name) > 1:
            raise InputError(
                f"{path}: column {name} stands {names.count(name)} times in line "
                f"{first_line - 1}; it must stand once"
            )
    wanted = [names.index(name) for name in channels]
    return Recording(
        path=path,
        rate_hz=rate_hz,
        samples=rows.rows,
        channels=channels,
        read=lambda start, stop: rows.read(wanted, start, stop),
        where=rows.where,
    )


def _header(path: Path) -> tuple[float, tuple[str, ...], int, int]:
    """(rate_hz, column names, offset of the first row, its line number)."""
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER)
    if b"\0" in head:
        raise InputError(f"{path}: is not text but binary; a .csv must be UTF-8 text")
    mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    at = mark
    line_number = 0
    rate_hz: float | None = None
    while at < len(head):
        line_number += 1
        end = head.find(b"\n", at)
        if end < 0 and len(head) == _MAX_HEADER:
            break  # no line of a header is that long
        end = len(head) if end < 0 else end + 1
        try:
            line = head[at:end].decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: line {line_number} is not text; a .csv must be UTF-8 text"
            ) from error
        at = end
        if line.startswith("#"):
            if match := _RATE.match(line):
                if rate_hz is not None:
                    raise InputError(f"{path}: line {line_number} gives rate_hz a second time")
                rate_hz = _rate(path, line_number, match[1])
        elif line:
            if rate_hz is None:
                raise InputError(
                    f"{path}: no '# rate_hz=N' line before line {line_number}; put one "
                    "first, N in samples a second"
                )
            return rate_hz, _names(path, line_number, line), at, line_number + 1
    raise InputError(
        f"{path}: has no header line in its first {len(head)} bytes; after the comments must come "
        "column names like v1,i1"
    )


def _rate(path: Path, line_number: int, text: str) -> float:
    text = text.strip(' \t,"')  # a spreadsheet fills up its rows with commas
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise InputError(
            f"{path}: line {line_number}: rate_hz is {shorten(text)!r}; it must be a number of "
            "samples a second"
        ) from None


def _names(path: Path, line_number: int, line: str) -> tuple[str, ...]:
    names = tuple(name.strip(' \t"') for name in line.split(","))
    if not any(name in INPUTS for name in names):
        raise InputError(
            f"{path}: line {line_number} is {shorten(line)!r}; it must be the header, column "
            "names like v1,i1 with commas between"
        )
    return names
