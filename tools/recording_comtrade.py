"""Reads COMTRADE recordings (IEEE C37.111-1991 to 2013): .cfg with .dat, or a single .cff.

The comtrade package parses the configuration. The data are read here, piece by piece: the package
fills up a truncated .dat with zeros, which a meter must not take for dead mains.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tools.comtrade_channels import Choice, choose_channels
from tools.errors import InputError
from tools.input_files import check_file, find_beside
from tools.recording_text import find_rows, shorten
from tools.recording_types import BLOCK, FloatArray, Recording

if TYPE_CHECKING:
    from comtrade import Cfg

_MAX_CFG = 1 << 24
_DATE = re.compile(r"\s*\d{1,2}/\d{1,2}/\d{2,4}\s*,")
_SECTION = re.compile(
    rb"^---[ \t]*file type:[ \t]*(\w+)(?:[ \t]+(\w+))?(?:[ \t]*:[ \t]*(\d+))?[ \t]*---[ \t]*\r?\n",
    re.IGNORECASE | re.MULTILINE,
)
# Codes that mean "no value". In the 1991 binary format that was -1, also the code of an ordinary
# sample near zero: there it is taken as the sample it nearly always is.
_MISSING = {
    "ASCII": 99999.0,
    "BINARY": -(2.0**15),
    "BINARY32": -(2.0**31),
    "FLOAT32": float(np.finfo(np.float32).min),
}
_CODES = {"BINARY": "<i2", "BINARY32": "<i4", "FLOAT32": "<f4"}


@dataclass(frozen=True)
class _Data:
    """Where the samples are: bytes begin..end of a file, of which line `first_line` is first."""

    path: Path
    begin: int
    end: int
    first_line: int


def open_comtrade(path: Path) -> Recording:
    """Open a COMTRADE recording by its .cfg, its .dat or as a .cff; all four data formats.

    Which channels are v1 i1 [v2 i2], and their units: tools/comtrade_channels.py. Values are
    a*x + b as the .cfg says, primary or secondary as it says: no transformer ratio is applied. The
    channels' skew is not applied either. The rate is the .cfg's, which must give exactly one.

    Raises InputError for anything else, at once when the data are shorter than the .cfg says, and
    while streaming for samples marked as missing or out of sequence.
    """
    if path.suffix.lower() == ".cff":
        text, data = _split_cff(path)
        cfg = _parse_cfg(path, text)
    else:
        cfg_path = path
        if path.suffix.lower() == ".dat":
            cfg_path = find_beside(path, ".cfg")
            check_file(cfg_path, "COMTRADE configuration")
        cfg = _parse_cfg(cfg_path, cfg_path.read_bytes()[:_MAX_CFG])
        if path.suffix.lower() == ".dat":
            dat_path = path
        else:
            dat_path = find_beside(path, ".DAT" if path.suffix == ".CFG" else ".dat")
            check_file(dat_path, "COMTRADE data file")
        data = _Data(dat_path, 0, dat_path.stat().st_size, 1)
        path = cfg_path
    rate_hz, samples = _extent(path, cfg)
    choice = choose_channels(path, cfg.analog_channels)
    form = cfg.ft.strip().upper()
    if form == "ASCII":
        return _open_ascii(path, data, cfg, choice, rate_hz, samples)
    if form in _CODES:
        return _open_binary(path, data, cfg, choice, rate_hz, samples)
    raise InputError(
        f"{path}: its data format is {shorten(cfg.ft)!r}; known are ASCII, {', '.join(_CODES)}"
    )


def _open_ascii(
    path: Path, data: _Data, cfg: "Cfg", choice: Choice, rate_hz: float, samples: int
) -> Recording:
    status = [f"status {k + 1}" for k in range(cfg.status_count)]
    analog = [channel.name or f"analog {k + 1}" for k, channel in enumerate(cfg.analog_channels)]
    names = ("sample number", "timestamp", *analog, *status)
    rows = find_rows(data.path, data.begin, data.end, data.first_line, names)
    _check_length(data.path, rows.rows, samples)
    wanted = [0, *(2 + index for index in choice.indices)]

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        at = start
        previous: float | None = None
        for piece in rows.read(wanted, start, stop):
            _check_sequence(data.path, piece[0], previous, at, rows.where)
            previous = float(piece[0, -1])
            _check_missing(data.path, choice, piece[1:], _MISSING["ASCII"], at, rows.where)
            at += piece.shape[1]
            yield choice.scaled(piece[1:])

    return Recording(path, rate_hz, samples, choice.names, read, rows.where)


def _open_binary(
    path: Path, data: _Data, cfg: "Cfg", choice: Choice, rate_hz: float, samples: int
) -> Recording:
    form = cfg.ft.strip().upper()
    row = np.dtype(
        [
            ("number", "<u4"),
            ("time", "<u4"),
            ("analog", _CODES[form], (cfg.analog_count,)),
            ("status", "<u2", (-(-cfg.status_count // 16),)),
        ]
    )
    _check_length(data.path, (data.end - data.begin) // row.itemsize, samples)
    where = "sample {}".format

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        previous: float | None = None
        with data.path.open("rb") as file:
            file.seek(data.begin + start * row.itemsize)
            while start < stop:
                n = min(BLOCK, stop - start)
                data_bytes = file.read(n * row.itemsize)
                if len(data_bytes) < n * row.itemsize:
                    return  # Recording says that the data end early
                found = np.frombuffer(data_bytes, row)
                numbers = found["number"].astype(np.float64)
                _check_sequence(data.path, numbers, previous, start, where)
                previous = float(numbers[-1])
                codes = found["analog"].T[list(choice.indices)].astype(np.float64)
                _check_missing(data.path, choice, codes, _MISSING[form], start, where)
                yield choice.scaled(codes)
                start += n

    return Recording(path, rate_hz, samples, choice.names, read, where)


class _CfgLines(io.StringIO):
    """Lines of a configuration for the package, with two things it does not do itself.

    It counts them, for messages. And it replaces dates: the package refuses the month and the day
    in each other's place, as many recorders write them, and nothing here needs a date.
    """

    count = 0

    def readline(self, size: int = -1, /) -> str:
        self.count += 1
        line = super().readline(size)
        return "01/01/2000,00:00:00.000000\n" if self.count > 2 and _DATE.match(line) else line


def _parse_cfg(path: Path, data: bytes) -> "Cfg":
    from comtrade import Cfg  # here, because only COMTRADE files should wait for its import

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # station names in the writer's own code page
    lines = text.splitlines()
    # The package makes lists of as many channels as the second line says, before it reads any.
    counts = re.match(r"\s*(\d+)\s*,\s*(\d+)\s*A\s*,\s*(\d+)\s*D", "".join(lines[1:2]), re.I)
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
    source = _CfgLines(text)
    cfg = Cfg(ignore_warnings=True)
    try:
        cfg.read(source)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(
            f"{path}: line {source.count} is not what a COMTRADE configuration has there "
            f"({shorten(str(error), 80)}); it is damaged or cut short"
        ) from error
    return cfg


def _extent(path: Path, cfg: "Cfg") -> tuple[float, int]:
    """(rate_hz, samples) of a configuration with one rate."""
    if len(cfg.sample_rates) != 1:
        told = ", ".join(f"{rate:g}" for rate, _ in cfg.sample_rates[:6])
        raise InputError(
            f"{path}: has {len(cfg.sample_rates)} sampling rates ({told} Hz); it must have one, "
            "export it at one rate"
        )
    rate_hz, samples = cfg.sample_rates[0]
    if cfg.timestamp_critical:
        raise InputError(
            f"{path}: gives no sampling rate, only time stamps; export it at a fixed rate"
        )
    return float(rate_hz), int(samples)


def _check_length(path: Path, found: int, samples: int) -> None:
    if found < samples:
        raise InputError(
            f"{path}: is cut short, {found} whole samples of the {samples} that the configuration "
            "gives; copy it again"
        )


def _check_sequence(
    path: Path,
    numbers: np.ndarray,
    previous: float | None,
    at: int,
    where: Callable[[int], str],
) -> None:
    """InputError unless samples are numbered one by one: a gap is lost time, or lost alignment."""
    if previous is not None:
        numbers = np.concatenate(([previous], numbers))
        at -= 1
    steps = np.diff(numbers)
    if (steps == 1).all():
        return
    k = int(np.argmax(steps != 1))
    raise InputError(
        f"{path}: sample number {numbers[k + 1]:.0f} follows {numbers[k]:.0f} at "
        f"{where(at + k + 1)}; they must be consecutive, samples are missing or the number of "
        "channels is wrong"
    )


def _check_missing(
    path: Path,
    choice: Choice,
    codes: FloatArray,
    missing: float,
    at: int,
    where: Callable[[int], str],
) -> None:
    marked = codes == missing
    if not marked.any():
        return
    k = int(np.argmax(marked.any(axis=0)))
    name = choice.names[int(np.argmax(marked[:, k]))]
    raise InputError(
        f"{path}: {name} is marked as missing at {where(at + k)}; every sample must have a value"
    )


def _split_cff(path: Path) -> tuple[bytes, _Data]:
    """(configuration, place of the data) of a .cff."""
    with path.open("rb") as file:
        head = file.read(_MAX_CFG)
    sections = {}
    for match in _SECTION.finditer(head):
        kind = match[1].upper()
        if sections:
            sections[next(reversed(sections))].append(match.start())
        if kind in sections:
            raise InputError(f"{path}: has two sections {kind.decode()}; it must have one")
        sections[kind] = [match.end()]
        if kind == b"DAT":
            break  # always the last, and binary data may look like anything
    for kind in (b"CFG", b"DAT"):
        if kind not in sections:
            raise InputError(
                f"{path}: has no section '--- file type: {kind.decode()} ---'; a .cff must have "
                "CFG and DAT"
            )
    begin = sections[b"DAT"][0]
    data = _Data(path, begin, path.stat().st_size, head.count(b"\n", 0, begin) + 1)
    return head[slice(*sections[b"CFG"])], data
