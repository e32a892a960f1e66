"""Keeps what the monitor sees as CSV, a row a report, each on the disk's side before the next.

Flow: report -> CSV FILE -> disk.  A row is one write: whoever kills the program leaves
whole rows.
"""

import contextlib
import csv
import io
import os
from datetime import UTC, datetime
from pathlib import Path

from threewire.operation.report import ENERGIES, LEDS, PLACES, POWERS, RMS
from tools.common.errors import InputError
from tools.common.files import reason
from tools.monitor.report import Element, Report, Total

_OF_TOTAL = (*POWERS, *ENERGIES)
_OF_ELEMENT = (*RMS, *_OF_TOTAL, "reversed", "verdict")


def _named(name: str, k: int) -> str:
    """ "volts1", "delivered1_wh"."""
    return f"{name.removesuffix('_wh')}{k}{'_wh' * name.endswith('_wh')}"


# time: UTC, when the line came.  faults: how many have been counted, of all kinds.
COLUMNS = (
    "time",
    "t",
    *(_named(name, k) for k in (1, 2) for name in _OF_ELEMENT),
    *_OF_TOTAL,
    "hertz",
    *(f"led_{name}" for name in LEDS),
    "faults",
)
# What a spreadsheet takes a cell for a formula by; numbers are written here, and are none.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# More than a row of headers is long.
_HEAD = 4096


def row(report: Report, now: datetime) -> list[str]:
    """One of COLUMNS each; energies as the board wrote them, truth values as 1 and 0."""
    found = [now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), f"{report.t:.3f}"]
    for element in report.elements:
        found += [_shown(element, name) for name in _OF_ELEMENT]
    found += [_shown(report.total, name) for name in _OF_TOTAL]
    found.append(f"{report.hertz:.3f}")
    found += [str(int(report.leds[name])) for name in LEDS]
    found.append(str(sum(report.counts.values())))
    return found


def _shown(of: Element | Total, name: str) -> str:
    value = getattr(of, name)
    if isinstance(value, bool):
        return str(int(value))
    # With the places that telemetry has.
    return f"{value:.{PLACES.get(name, 3)}f}" if isinstance(value, float) else _text(value)


def _text(value: str) -> str:
    """A cell that no spreadsheet runs: an apostrophe makes a text of what looks like a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _line(values: tuple[str, ...] | list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


class CsvFile(contextlib.ExitStack):
    """A file to which rows are added; an earlier one goes on.  Use it as a context manager.

    rows     written so far
    lost     that could not be written, and why not, in `problem`

    Raises InputError, once, for a file that cannot be gone on with.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.rows = self.lost = 0
        self.problem = ""
        file = Path(path)
        if file.exists() and not file.is_file():
            raise InputError(f"{path or repr(path)}: is no regular file; name one for CSV")
        try:
            self._file = self.enter_context(file.open("a+b", buffering=0))
        except OSError as problem:
            raise InputError(f"{path}: cannot be written ({reason(problem)})") from None
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise

    def _begin(self) -> None:
        head = _line(COLUMNS)
        try:
            size = self._file.seek(0, os.SEEK_END)
            self._file.seek(0)
            found = self._file.read(_HEAD)
            if size:
                self._file.seek(size - 1)
            last = self._file.read(1)
            if not size:
                self._file.write(head)
                return
        except OSError as problem:
            raise InputError(f"{self.path}: cannot be written ({reason(problem)})") from None
        # A spreadsheet may have given it other line ends.
        if found.partition(b"\n")[0].rstrip(b"\r") != head.rstrip(b"\n"):
            raise InputError(
                f"{self.path}: has other columns than the monitor's; name another file, or move "
                "this one away"
            )
        if last != b"\n":
            raise InputError(
                f"{self.path}: its last row is not whole; end it by hand, or name another file"
            )

    def add(self, report: Report, now: datetime | None = None) -> None:
        """Adds a row.  A full disk is told by `lost`; the next row may find room again."""
        data = _line(row(report, now or datetime.now(UTC)))
        size = None
        try:
            size = self._file.seek(0, os.SEEK_END)
            if self._file.write(data) != len(data):
                raise OSError("disk full")
        except OSError as problem:
            self.lost += 1
            self.problem = reason(problem)
            self._cut(size)
        else:
            self.rows += 1

    def _cut(self, size: int | None) -> None:
        """Takes away the beginning of a row that did not fit."""
        try:
            if size is not None:
                self._file.truncate(size)
        except OSError:
            pass

    @property
    def note(self) -> str:
        """How it goes, for people."""
        name = Path(self.path).name
        if self.lost:
            return f"{name}: {self.lost} rows LOST ({self.problem})"
        return f"{name}: {self.rows} rows"
