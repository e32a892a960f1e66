"""A long recording in several files: its parts are put in order, and read as one.

Flow: names and patterns -> PARTS -> open.py for each -> one recording, that streams.
"""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from tools.common.errors import InputError
from tools.recordings import ranges
from tools.recordings.open import SUFFIXES, open_recording, recordings_among
from tools.recordings.types import BLOCK, Capture, FloatArray, Recording

_DIGITS = re.compile(r"(\d+)", re.ASCII)
# By how much the next part may begin early or late, by the recorder's clock: samples, and the
# share of the part before by which that clock and the one of the samples may run apart.
_TOLERANCE_SAMPLES = 1.5
_TOLERANCE_S = 2e-6  # the clock is written in microseconds
_TOLERANCE_SHARE = 50e-6


class Joined:
    """Parts of one recording, one after the other, as types.Recording is one.

    parts: at least two, in order, of the same rate, channels, skew and nominal frequency.
    """

    def __init__(self, parts: Sequence[Recording], notes: Sequence[str] = ()) -> None:
        first = parts[0]
        self.path = called([part.path for part in parts])
        self.rate_hz = first.rate_hz
        self.channels = first.channels
        self.skew_s = first.skew_s
        self.nominal_hz = first.nominal_hz
        self.samples = sum(part.samples for part in parts)
        self.warnings = _said_by(parts, "warnings")
        self.notes = (*notes, *_said_by(parts, "notes"))
        self._parts = parts
        ranges.SAMPLES.check(self.path, "the number of samples", self.samples)
        ranges.SECONDS.check(self.path, "its length", self.seconds)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / self.rate_hz

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = BLOCK
    ) -> Iterator[FloatArray]:
        """As types.Recording.blocks."""
        held: list[FloatArray] = []
        filled = 0
        for block in self._pieces(start, stop, size):
            held.append(block)
            filled += block.shape[1]
            if filled >= size:
                joined = held[0] if len(held) == 1 else np.concatenate(held, axis=1)
                yield joined[:, :size]
                filled -= size
                held = [joined[:, size:]] if filled else []
        if filled:
            yield np.concatenate(held, axis=1)

    def _pieces(self, start: int, stop: int | None, size: int) -> Iterator[FloatArray]:
        """The same, but less than `size` in the last one of each part, too."""
        stop = self.samples if stop is None else min(stop, self.samples)
        first = 0
        for part in self._parts:
            low, high = max(start - first, 0), min(stop - first, part.samples)
            if low < high:
                yield from part.blocks(low, high, size)
            first += part.samples


def expanded(given: Sequence[str | Path]) -> list[Path]:
    """The files that are meant: names, and patterns (day_*.flac) of recordings, as the shell's.

    A name that is there is meant as it stands. Of what lies beside recordings a pattern takes
    nothing: no .json; and a .dat whose .cfg is meant too is the same recording. Raises InputError
    for a pattern without any recording, and for a file that is named twice, by whatever names.
    """
    found: list[Path] = []
    for each in given:
        text = str(each)
        if not glob.has_magic(text) or Path(text).exists():
            found.append(Path(text))
            continue
        matching = recordings_among(map(Path, glob.glob(text, recursive=True)))
        if not matching:
            raise InputError(
                f"{text}: no recording has such a name; known are {' '.join(SUFFIXES)}"
            )
        found += sorted(matching, key=_natural)
    # A shell's pattern takes both files of COMTRADE, too.
    known = set(recordings_among(found))
    found = [path for path in found if path.suffix.lower() != ".dat" or path in known]
    seen: dict[str, Path] = {}
    for path in found:
        # As a link to the latest part may lie among them.
        same = seen.setdefault(os.path.realpath(path), path)
        if same is not path:
            also = "" if same == path else f", as {same} too"
            raise InputError(f"{path}: is named twice{also}; name each part once")
    return found


def called(paths: Sequence[Path]) -> str:
    """How messages call a recording in these files."""
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def open_parts(paths: Sequence[Path]) -> Recording | Joined | Capture:
    """The recording in these files: one is opened as it is, several are joined.

    Parts are put in the order of the times at which they begin where all of them tell it
    (COMTRADE, .tdms), and must then follow each other without a hole; else in that of their names,
    numbers in these by their value. Raises InputError for what is no part of the same recording,
    and what open_recording raises.
    """
    if len(paths) == 1:
        return open_recording(paths[0])
    parts: list[Recording] = []
    for path in paths:
        opened = open_recording(path)
        if isinstance(opened, Capture):
            raise InputError(f"{path}: holds a board's own codes; a capture is replayed alone")
        parts.append(opened)
    starts = [part.start_s for part in parts if part.start_s is not None]
    is_timed = len(starts) == len(parts)
    if is_timed:
        parts.sort(key=lambda part: part.start_s or 0.0)
    else:
        parts.sort(key=lambda part: _natural(part.path))
    for before, after in pairwise(parts):
        _check_alike(parts[0], after)
        if is_timed:
            _check_follows(before, after)
    names = " ".join(part.path.name for part in parts[:3]) + (" ..." if len(parts) > 3 else "")
    order = "by when they begin" if is_timed else "by name, taken to leave no gap"
    return Joined(parts, [f"{len(parts)} parts are joined, {order}: {names}"])


def _natural(path: Path) -> list[tuple[str, int]]:
    """Sorts part_9 before part_10."""
    pieces = _DIGITS.split(str(path))
    return [
        (text.casefold(), int(number)) for text, number in zip(pieces[::2], [*pieces[1::2], "0"])
    ]


def _check_alike(first: Recording, other: Recording) -> None:
    for what, one, two, unit in (
        ("samples a second", first.rate_hz, other.rate_hz, ""),
        ("channels", " ".join(first.channels), " ".join(other.channels), ""),
        ("skews", _listed(first.skew_s), _listed(other.skew_s), " us"),
        ("mains frequency", first.nominal_hz, other.nominal_hz, " Hz"),
    ):
        if one != two:
            raise InputError(
                f"{other.path}: its {what}: {_shown(two)}{unit}; those of {first.path} are "
                f"{_shown(one)}{unit}, and parts of one recording have the same"
            )


def _listed(skews_s: Sequence[float]) -> str:
    return " ".join(f"{skew_s * 1e6:g}" for skew_s in skews_s)


def _shown(value: float | str | None) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value or "none")


def _check_follows(before: Recording, after: Recording) -> None:
    """InputError where time is missing between two parts, or is in both of them."""
    assert before.start_s is not None and after.start_s is not None
    gap_s = after.start_s - before.start_s - before.seconds
    most_s = _TOLERANCE_S + max(
        _TOLERANCE_SAMPLES / before.rate_hz, _TOLERANCE_SHARE * before.seconds
    )
    if abs(gap_s) > most_s:
        where = "after" if gap_s > 0 else "before"
        raise InputError(
            f"{after.path}: begins {abs(gap_s):.3g} s {where} the end of {before.path}; parts of "
            "one recording follow each other without a hole, replay these apart"
        )


def _said_by(parts: Sequence[Recording], kind: str) -> tuple[str, ...]:
    """What all parts say once, and with the file's name what some say."""
    lines: dict[str, list[str]] = {}
    for part in parts:
        for line in getattr(part, kind):
            lines.setdefault(line, []).append(part.path.name)
    return tuple(
        line if len(names) == len(parts) else f"{name}: {line}"
        for line, names in lines.items()
        for name in (names[:1] if len(names) == len(parts) else names)
    )
