"""Reads COMTRADE recordings (IEEE C37.111-1991 to 2013) with the comtrade package.

The package fills up a truncated .dat with zeros, which a meter must not take for dead mains, and
does not mind columns or samples left out: the checks of all that are here.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.common.errors import InputError
from tools.common.files import check_file, find_beside
from tools.recordings.comtrade_channels import choose_channels
from tools.recordings.csv_rows import shorten
from tools.recordings.types import FloatArray, Recording

if TYPE_CHECKING:
    from comtrade import Cfg, Comtrade

_DATE = re.compile(r"\s*\d{1,2}/\d{1,2}/\d{2,4}\s*,")
_VALUE_BYTES = {"BINARY": 2, "BINARY32": 4, "FLOAT32": 4}
# Spaces, line ends and the 0x1A (end of file) of old systems may trail the last line.
_TRAILING = b" \t\r\n\x1a"


def open_comtrade(path: Path) -> Recording:
    """Open a COMTRADE recording by its .cfg, its .dat or as a .cff; all four data formats.

    Which channels are v1 i1 [v2 i2], and their units: tools/comtrade_channels.py. Values are
    a*x + b as the .cfg says, primary or secondary as it says: no transformer ratio is applied. The
    channels' skew is not applied either. The rate is the .cfg's, which must give exactly one.

    The file is loaded whole here, every channel, which takes 6 times the size of binary data and
    15 times that of ASCII data. The inputs' samples alone are kept, at 8 bytes each.

    Raises InputError for anything else: data shorter than the .cfg says, samples out of sequence
    or marked as missing.
    """
    data_path = path
    where = "sample {}".format
    if path.suffix.lower() == ".cff":
        text, data = _split_cff(path)
    else:
        if path.suffix.lower() == ".dat":
            path = find_beside(path, ".cfg")
            check_file(path, "COMTRADE configuration")
        else:
            data_path = find_beside(path, ".DAT" if path.suffix == ".CFG" else ".dat")
            check_file(data_path, "COMTRADE data file")
        text = _decode(path.read_bytes())
        data = data_path.read_bytes()
    cfg = _parse_cfg(path, text)
    rate_hz, samples = _extent(path, cfg)
    choice = choose_channels(path, cfg.analog_channels)
    form = cfg.ft.strip().upper()
    if form == "ASCII" and data_path != path:
        where = _line_of

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        yield values[:, start:stop]

    # Made before the data are looked at, because it refuses a rate or a length out of range.
    recording = Recording(path, rate_hz, samples, choice.names, read, where)
    if form == "ASCII":
        found = _load(data_path, text, _check_ascii(data_path, data, cfg, samples, where))
    elif form in _VALUE_BYTES:
        status_bytes = -(-cfg.status_count // 16) * 2
        record_bytes = 8 + cfg.analog_count * _VALUE_BYTES[form] + status_bytes
        _check_length(data_path, len(data) // record_bytes, samples)
        found = _load(data_path, text, data)
    else:
        raise InputError(
            f"{path}: its data format is {shorten(cfg.ft)!r}; known are ASCII, "
            f"{', '.join(_VALUE_BYTES)}"
        )
    _check_sequence(data_path, np.asarray(found.time) * rate_hz + 1, where)
    values = np.array([found.analog[index] for index in choice.indices])
    missing = np.isnan(values)
    if missing.any():
        k = int(np.argmax(missing.any(axis=0)))
        name = choice.names[int(np.argmax(missing[:, k]))]
        raise InputError(
            f"{data_path}: {name} is nan or marked as missing at {where(k)}; every sample must "
            "have a value"
        )
    with np.errstate(all="ignore"):  # what overflows is refused, with its place, in blocks()
        values *= np.array(choice.factors)[:, None]
    return recording


def _line_of(sample: int) -> str:
    return f"line {sample + 1} (sample {sample})"


def _load(path: Path, text: str, data: bytes | list[str]) -> "Comtrade":
    """What the package makes of a configuration and of data that were found long enough."""
    from comtrade import Comtrade  # here, because only COMTRADE files should wait for its import

    found = Comtrade(ignore_warnings=True, use_numpy_arrays=True, use_double_precision=True)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found.read(_CfgLines(text), data)
    except Exception as error:  # damaged data lead anywhere
        raise InputError(
            f"{path}: is no sound COMTRADE data ({shorten(str(error), 80)}); copy or export it "
            "again"
        ) from error
    return found


def _split_cff(path: Path) -> tuple[str, bytes]:
    """(configuration, data) of a .cff, divided by the package."""
    import comtrade

    class Splitter(comtrade.Comtrade):
        text: str = ""
        data: Any = b""

        def read(self, cfg_lines: str, dat_lines_or_bytes: str | bytes) -> None:
            self.text, self.data = cfg_lines, dat_lines_or_bytes

    found = Splitter()
    found.load(str(path))
    if not found.text or not found.data:
        raise InputError(
            f"{path}: has no section '--- file type: CFG ---', or none like '--- file type: DAT "
            "ASCII ---' with data; a .cff must have both"
        )
    whole = path.read_bytes()
    if isinstance(found.data, str):
        text = whole
        # The package leaves out a last line without a line end.
        data = found.data.encode() + b"\n" + whole[whole.rfind(b"\n") + 1 :]
    else:
        data = found.data
        text = whole[: -len(data)]
    try:
        text.decode()  # the package leaves out what is not UTF-8, be it a digit
    except UnicodeDecodeError as error:
        line = whole.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8 text; it is damaged") from error
    return found.text, data


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # station names in the writer's own code page


class _CfgLines(io.StringIO):
    """Lines of a configuration for the package, which reads them once, from first to last.

    They are counted, for messages. Dates are replaced: the package refuses the month and the day
    in each other's place, as many recorders write them, and nothing here needs a date. So is the
    first line: in files of 1991 the package takes -1, an ordinary sample near zero, as missing.
    """

    count = 0

    def readline(self, size: int = -1, /) -> str:
        self.count += 1
        line = super().readline(size)
        if self.count == 1:
            return "station,recorder,1999\n"
        return "01/01/2000,00:00:00.000000\n" if _DATE.match(line) else line


def _parse_cfg(path: Path, text: str) -> "Cfg":
    from comtrade import Cfg  # here, because only COMTRADE files should wait for its import

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
    except Exception as error:  # a damaged configuration leads anywhere
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


def _check_ascii(
    path: Path, data: bytes, cfg: "Cfg", samples: int, where: Callable[[int], str]
) -> list[str]:
    """The lines of ASCII data for the package, which would not mind columns too many or too few.

    Blanks around numbers are gone from them: the package knows the mark of a missing value only
    without.
    """
    columns = 2 + cfg.analog_count + cfg.status_count
    lines = data.rstrip(_TRAILING).decode("latin-1").split("\n")
    _check_length(path, len(lines), samples)
    for k, line in enumerate(lines[:samples]):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != columns:
            raise InputError(
                f"{path}: {where(k)} has {len(cells)} columns; the configuration gives {columns}"
            )
        for cell in cells[2:]:
            try:
                float(cell)
            except ValueError:
                raise InputError(
                    f"{path}: {where(k)}: {shorten(cell)!r} is not a number"
                ) from None
        lines[k] = ",".join(cells)
    return lines


def _check_sequence(path: Path, numbers: FloatArray, where: Callable[[int], str]) -> None:
    """InputError unless samples are numbered one by one: a gap is lost time, or lost alignment.

    The package makes times of the numbers, and these numbers were made of its times: not exact.
    """
    gaps = np.abs(np.diff(numbers) - 1) > 0.5
    if not gaps.any():
        return
    k = int(np.argmax(gaps))
    raise InputError(
        f"{path}: sample number {numbers[k + 1]:.0f} follows {numbers[k]:.0f} at "
        f"{where(k + 1)}; they must be consecutive, samples are missing or the number of channels "
        "is wrong"
    )
