"""Reads a COMTRADE configuration with the comtrade package, and what the package leaves out.

Flow: .cfg, or that section of a .cff -> CONFIGURATION -> comtrade.py.
"""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tools.common.errors import InputError
from tools.recordings import ranges
from tools.recordings.channel_map import Column
from tools.recordings.csv_rows import shorten
from tools.recordings.extras import needs

if TYPE_CHECKING:
    from comtrade import AnalogChannel, Cfg

_DATE = re.compile(r"\s*(\d{1,2})/(\d{1,2})/(\d{2,4})\s*,([\d:\s]*)\.?(\d*)")
_TIME = re.compile(r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})\s*", re.A)
_EPOCH = datetime(1970, 1, 1)
_COUNTS = re.compile(r"\s*(\d+)\s*,\s*(\d+)\s*A\s*,\s*(\d+)\s*D", re.I | re.A)
_ABSENT = "0"  # what the package has for a field that is absent


@dataclass(frozen=True)
class Configuration:
    """What a configuration says.

    revision  1991, 1999 or 2013; rate_hz None where it only gives time stamps; samples 0 where it
    does not say; tick_s  seconds of one count of the time stamps; form  the data's, in capitals;
    nominal_hz  of the mains, None where it is not said; start_s  of the first sample, seconds
    since 1970 by the recorder's clock, None where it is not said
    """

    revision: int
    rate_hz: float | None
    samples: int
    tick_s: float
    form: str
    nominal_hz: float | None
    analog: Sequence["AnalogChannel"]
    status_count: int
    start_s: float | None

    @property
    def columns(self) -> list[Column]:
        """Names and units of the analogue channels."""
        return [
            Column(channel.name.strip(), "" if channel.uu.strip() == _ABSENT else channel.uu)
            for channel in self.analog
        ]

    def skew_s(self, path: Path, index: int) -> float:
        """By how much an analogue channel (from 0) was sampled late. Raises InputError."""
        skew_us = self.analog[index].skew
        if not math.isfinite(skew_us):
            raise InputError(
                f"{path}: channel {self.analog[index].name!r} has a skew of {skew_us}; it must be "
                "a number of microseconds"
            )
        return skew_us * 1e-6

    def side_note(self, names: Sequence[str], indices: Sequence[int]) -> tuple[str | None, bool]:
        """(what the user should know of transformers' sides, whether it is a warning)."""
        told = {"P": [], "S": []}
        for name, index in zip(names, indices):
            channel = self.analog[index]
            side = str(channel.pors).strip().upper()
            if side in told:
                told[side].append(f"{name} {channel.primary:g} : {channel.secondary:g}")
        ratios = [ratio.split(" ", 1)[1] for ratio in (*told["S"], *told["P"])]
        is_other = any(ratio != "1 : 1" for ratio in ratios)
        if told["S"]:
            return (
                "values are of the transformers' secondary side and are metered as they are "
                f'({", ".join(told["S"])}); for the primary side give the ratio as "scale" in '
                "the .json",
                is_other,
            )
        if told["P"] and is_other:
            return f"values are of the primary side (ratios {', '.join(told['P'])})", False
        return None, False


class _Lines(io.StringIO):
    """Lines of a configuration for the package, which reads them once, from first to last.

    They are counted, for messages. Dates are replaced: the package refuses the month and the day
    in each other's place, as many recorders write them, and nothing here needs a date but the
    number of its decimals. So is the first line: in files of 1991 the package takes -1, an
    ordinary sample near zero, as missing.
    """

    count = 0
    is_nano = False
    first_date: re.Match[str] | None = None

    def readline(self, size: int = -1, /) -> str:
        self.count += 1
        line = super().readline(size)
        if self.count == 1:
            return "station,recorder,1999\n"
        if match := _DATE.match(line):
            self.is_nano = self.is_nano or len(match[5]) > 6
            self.first_date = self.first_date or match
            return "01/01/2000,00:00:00.000000\n"
        return line


def decode(data: bytes) -> str:
    """The text of a configuration; station names may be in the writer's own code page."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse(path: Path, text: str) -> Configuration:
    """Raises InputError, with the line, for what is no configuration or has several rates."""
    comtrade = needs(path, "comtrade")
    ranges.CONFIGURATION_BYTES.check(path, "the length of its configuration", len(text))
    lines = text.splitlines()
    # The package makes lists of as many channels as the second line says, before it reads any.
    counts = _COUNTS.match("".join(lines[1:2]))
    if counts is None or len(counts[0]) > 40:
        raise InputError(
            f"{path}: line 2 must be like 6,4A,2D (the number of channels, analogue and status); "
            "this is no COMTRADE configuration"
        )
    if int(counts[2]) + int(counts[3]) > len(lines):
        raise InputError(
            f"{path}: line 2 says {counts[2]} analogue and {counts[3]} status channels, but there "
            f"are only {len(lines)} lines; it is cut short"
        )
    for what in (counts[2], counts[3]):
        ranges.CHANNELS_SAID.check(path, "the number of channels in line 2", int(what))
    _check_digits(path, lines, int(counts[2]) + int(counts[3]))
    source = _Lines(text)
    cfg = comtrade.Cfg(ignore_warnings=True)
    try:
        cfg.read(source)
    except Exception as error:  # a damaged configuration leads anywhere
        raise InputError(
            f"{path}: line {source.count} is not what a COMTRADE configuration has there "
            f"({shorten(str(error), 80)}); it is damaged or cut short"
        ) from error
    rate_hz, samples = _extent(path, cfg)
    ranges.TIME_FACTOR.check(path, "the last line's factor for time stamps", cfg.timemult)
    first = lines[0].split(",")
    year = first[2].strip() if len(first) > 2 else ""
    hertz = float(cfg.frequency)
    return Configuration(
        revision=int(year) if year in ("1999", "2001", "2013") else 1991,
        rate_hz=rate_hz,
        samples=samples,
        tick_s=(1e-9 if source.is_nano else 1e-6) * cfg.timemult,
        form=cfg.ft.strip().upper(),
        nominal_hz=hertz if hertz in ranges.NOMINAL_HZ and hertz > 0 else None,
        analog=cfg.analog_channels,
        status_count=cfg.status_count,
        start_s=_start_s(source.first_date, year),
    )


def _start_s(date: re.Match[str] | None, revision: str) -> float | None:
    """Seconds since 1970 of a date and time; None where there is none, or it cannot be."""
    time = _TIME.fullmatch(date[4]) if date else None
    if date is None or time is None:
        return None
    first, second, year = (int(date[k]) for k in (1, 2, 3))
    day, month = (first, second) if revision in ("1999", "2001", "2013") else (second, first)
    if month > 12:
        day, month = month, day
    if year < 100:
        year += 1900 if year >= 70 else 2000
    try:
        at = datetime(year, month, day, int(time[1]), int(time[2]), int(time[3]))
    except ValueError:
        return None
    return (at - _EPOCH).total_seconds() + float(f"0.{date[5] or 0}")


def _check_digits(path: Path, lines: Sequence[str], channels: int) -> None:
    """InputError for a number that the package would take, but is written as no recorder does:
    with underscores, or in the digits of another script."""
    for k, line in enumerate(lines):
        cells = [cell.strip() for cell in line.split(",")]
        if 2 <= k < 2 + channels:
            cells = cells[5:]  # names, phases and units may be anything
        for cell in cells:
            if (cell.isascii() and "_" not in cell) or not any(map(str.isdigit, cell)):
                continue
            try:
                float(cell)
            except ValueError:
                continue
            raise InputError(
                f"{path}: line {k + 1}: {shorten(cell)!r} is not a number; write it in the digits "
                "0 to 9"
            )


def _extent(path: Path, cfg: "Cfg") -> tuple[float | None, int]:
    """(rate_hz, samples) of a configuration whose stretches have all one rate."""
    rates = sorted({float(rate) for rate, _ in cfg.sample_rates})
    last = [int(end) for _, end in cfg.sample_rates]
    if len(rates) != 1:
        told = ", ".join(f"{rate:g}" for rate, _ in cfg.sample_rates[:6])
        raise InputError(
            f"{path}: has {len(cfg.sample_rates)} sampling rates ({told} Hz); they must be one, "
            "export it at one rate"
        )
    if last != sorted(last):
        told = ", ".join(map(str, last[:6]))
        raise InputError(
            f"{path}: its stretches end at samples {told}; each must end after the one before"
        )
    return (None if cfg.timestamp_critical or rates[0] == 0 else rates[0]), last[-1]
