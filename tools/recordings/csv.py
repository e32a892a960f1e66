"""Opens .csv recordings: this project's own form, and what oscilloscopes and recorders export.

Flow: header and rows -> CSV -> Recording.

# rate_hz=8000
# any other comment
v1,i1,v2,i2
169.706,1.25,-169.706,-0.75
"""

from pathlib import Path

import numpy as np

from tools.common.errors import InputError
from tools.recordings.channel_map import Choice, Column, choose_channels
from tools.recordings.csv_header import read_header
from tools.recordings.csv_preamble import Header
from tools.recordings.csv_rows import NumberRows, find_rows, shorten
from tools.recordings.stamps import TICK_S, Stamps, check_rates, hole_in
from tools.recordings.types import INPUTS, FloatArray, Recording

# A column of times without a unit agrees with the rate in one of these, too.
_UNSAID_UNITS = ((1e3, "milliseconds"), (1e6, "microseconds"))


def open_csv(path: Path) -> Recording:
    """Open a .csv of volts and amperes.

    Comment lines (#) come first, one of them `# rate_hz=N`; then a line with the column names, v1
    i1 [v2 i2] in any order; then one line a sample. Other columns are ignored, whatever they hold,
    but a column of times: it gives the rate where no other does, and must agree with it and have
    no hole. Exports of instruments are read too: a preamble above the names, a line of units below
    them or units in brackets behind, commas, semicolons or tabs between numbers (with a decimal
    comma unless commas separate), quotes, a byte order mark. Which columns are which, and scales:
    tools/recordings/channel_map.py. Blank lines at the end are accepted; blank lines or comments
    between the rows are not.

    Raises InputError for anything else. A file cut at the end of a line is a shorter recording: a
    .csv cannot tell.
    """
    header = read_header(path)
    rows = find_rows(
        path,
        header.begin,
        path.stat().st_size,
        header.first_line,
        tuple(header.names),
        separator=header.separator,
        decimal=header.decimal,
        is_quoted=header.is_quoted,
    )
    _check_once(path, header)
    columns = [Column(name, unit) for name, unit in zip(header.names, header.units, strict=True)]
    choice = choose_channels(path, columns, ignored=header.time)
    wanted = list(choice.indices)
    notes = list(choice.notes)
    rate_hz = _rate(path, header, rows, choice, notes)
    if header.probes:
        notes.append(
            f"probe factors {', '.join(header.probes)} are taken as already in the values"
        )
    factors = np.array(choice.factors)[:, None]

    def read(start: int, stop: int):
        for piece in rows.read(wanted, start, stop):
            with np.errstate(all="ignore"):  # what overflows is refused, with its place
                yield piece * factors

    return Recording(
        path=path,
        rate_hz=rate_hz,
        samples=rows.rows,
        channels=choice.names,
        read=read,
        where=rows.where,
        notes=tuple(notes),
    )


def _check_once(path: Path, header: Header) -> None:
    lower = [name.lower() for name in header.names]
    for name in INPUTS:
        if lower.count(name) > 1:
            raise InputError(
                f"{path}: column {name} stands {lower.count(name)} times in line "
                f"{header.first_line - 1}; it must stand once"
            )


def _rate(path: Path, header: Header, rows: NumberRows, choice: Choice, notes: list[str]) -> float:
    """Samples a second, as all that is said of them agrees. Raises InputError."""
    given = {
        "the .json": choice.rate_hz,
        "'# rate_hz'": header.rate_hz,
        "the preamble": 1 / header.interval_s if header.interval_s else None,
    }
    given = {source: rate for source, rate in given.items() if rate is not None}
    source, rate_hz = next(iter(given.items()), ("", None))
    stamps = _stamps(path, header, rows, rate_hz is not None, notes)
    if stamps and (told := stamps.rate_hz):
        for per_second, unit in _UNSAID_UNITS:
            if header.time_unit_s == 1 and rate_hz and abs(told * per_second / rate_hz - 1) < 1e-6:
                notes.append(f"column {header.names[header.time or 0]} is taken as {unit}")
                return rate_hz
        given["the time column"] = told
        if rate_hz is None:
            name = header.names[header.time or 0] or f"{(header.time or 0) + 1}"
            notes.append(f"{told:g} samples a second by the time column {name}")
            return told
    if rate_hz is None:
        raise InputError(
            f"{path}: no '# rate_hz=N' line before line {header.first_line - 1}, and no column "
            "of times; put one first, N in samples a second"
        )
    if not rate_hz > 0:
        return rate_hz  # refused with the recording
    check_rates(path, given, {"the time column": 2 * stamps.uncertainty} if stamps else None)
    if source == "the preamble":
        notes.append(f"{rate_hz:g} samples a second by the preamble")
    return rate_hz


def _stamps(
    path: Path, header: Header, rows: NumberRows, is_given: bool, notes: list[str]
) -> Stamps | None:
    """The column of times, looked at once; None where there is none that can be read."""
    if header.time is None:
        return None
    stamps = Stamps(TICK_S)
    first: float | None = None
    name = header.names[header.time] or f"column {header.time + 1}"
    try:
        for piece in rows.read([header.time], 0, rows.rows):
            times: FloatArray = piece[0] * header.time_unit_s
            if first is None:
                first = float(times[0])
            if not stamps.add_seconds(times - first):
                raise InputError(f"{path}: column {name} has a time that is none")
    except InputError as problem:
        if not is_given:
            raise
        notes.append(f"column {name} is not checked: {shorten(str(problem), 160)}")
        return None
    if hole := stamps.hole:
        sample, seconds = hole
        raise hole_in(path, f"column {name} jumps", seconds, rows.where(sample))
    if stamps.rate_hz is None and not is_given and rows.rows > 1:
        raise InputError(f"{path}: column {name} stands still; its times must go on")
    return stamps
