"""What the preamble and the column names of a .csv say of units, times, rates and probes.

Flow: lines above the numbers -> PREAMBLE -> csv_header.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.common.ranges import number_in
from tools.recordings.units import is_unit

_LEAST = 1e-300
_UNIT_IN_NAME = re.compile(r"(.*\S)\s*[(\[]([^()\[\]]*)[)\]]")
_TIME_NAMES = ("time", "t", "x", "x-axis", "seconds", "second", "time stamp", "timestamp")
_TIME_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
}
_SEQUENCE = "sequence"
# What preambles call the time between two samples, and the number of them in a second.
INTERVALS = ("sample interval", "sampling period", "sampling interval", "xinc", "increment")
_RATES = ("sample rate", "sampling rate", "samplerate")
_PROBES = ("probe attenuation", "probe atten", "probe", "probe ratio")
_SOURCE = "source"


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


def cells_of(text: str, separator: str) -> list[str]:
    return [cell.strip(' \t"') for cell in text.split(separator)]


def is_number(cell: str, decimal: str) -> bool:
    if decimal == ",":
        cell = cell.replace(",", ".")
    try:
        number_in(cell)
    except ValueError:
        return False
    return True


def bare_names(names: Sequence[str]) -> list[str]:
    return [match[1] if (match := _UNIT_IN_NAME.fullmatch(name)) else name for name in names]


def are_units(cells: Sequence[str]) -> bool:
    """Whether a line holds units: they, numbers (an increment) and nothing else."""
    told = 0
    for cell in cells:
        bare = cell.strip("()[] ").lower()
        if bare == _SEQUENCE or bare in _TIME_UNITS or is_unit(bare):
            told += 1
        elif cell and not is_number(cell, "."):
            return False
    return told > 0


def source_names(table: Sequence[Sequence[str]]) -> list[str]:
    """Names of the columns where a preamble has them: Source,CH1,CH2 or Source,CH1,Source,CH2."""
    for cells in table:
        if cells[0].lower() == _SOURCE:
            return ["Time" if cell.lower() == _SOURCE else cell for cell in cells]
    return []


def value_of(text: str, decimal: str) -> float | None:
    text = text.strip(" ,").replace(",", ".") if decimal == "," else text.strip(" ,")
    match = re.match(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", text, re.A)
    try:
        found = number_in(match[0]) if match else 0.0
    except ValueError:
        return None
    # Neither too small to be turned into a rate, nor beyond all numbers.
    return found if _LEAST < found < 1 / _LEAST else None


def find_units(header: Header) -> None:
    """Units from their own line, or from behind the names: CH1(V), Time [ms]."""
    units = [unit.strip("()[] ") for unit in header.units]
    units += [""] * (len(header.names) - len(units))
    for k, name in enumerate(header.names):
        match = _UNIT_IN_NAME.fullmatch(name)
        if match and (is_unit(match[2]) or match[2].lower() in _TIME_UNITS):
            header.names[k] = match[1]
            units[k] = units[k] or match[2]
    header.units = units[: len(header.names)]


def read_preamble(header: Header, lines: Sequence[str]) -> None:
    """What lines like "Sample Interval,1e-6" and "Vertical Units,V,A" say."""
    for line in lines:
        key, *values = cells_of(line, header.separator)
        key = key.rstrip(":= ").lower()
        # Siglent has "Analog:1.0E-9" and "CH1:V" where others have the value alone.
        values = [value.rsplit(":", 1)[-1].strip() for value in values]
        first = values[0] if values else ""
        if key in INTERVALS:
            header.interval_s = header.interval_s or value_of(first, header.decimal)
        elif key in _RATES and (rate := value_of(first, header.decimal)):
            header.interval_s = header.interval_s or 1 / rate
        elif key == "vertical units":
            for k, unit in enumerate(values, 1):
                if k < len(header.units) and not header.units[k] and is_unit(unit):
                    header.units[k] = unit
        elif key in _PROBES:
            header.probes += [value for value in values if value]


def find_time(header: Header) -> None:
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
