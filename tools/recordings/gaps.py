"""Samples that a recorder marks as missing: short gaps are interpolated, long ones refused.

Flow: a reader's scan of the file -> GAPS -> its reading of the samples.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.common.errors import InputError
from tools.recordings.types import FloatArray

# As long as a gap may be, in seconds (a 17th of a 60 Hz cycle), and what share may be missing.
_LONGEST_S = 1e-3
_MOST_SHARE = 0.01


class Gaps:
    """Finds missing samples in consecutive pieces of channels, then fills them wherever asked.

    names: of the channels, in the order of a piece's rows; a missing sample is NaN. A gap is
    bridged by a straight line from the sample before it to the one after it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._seen = 0
        self._carry = np.zeros((len(names), 0))
        self._missing: list[list[NDArray[np.int64]]] = [[] for _ in names]
        self._known: list[list[NDArray[np.int64]]] = [[] for _ in names]
        self._values: list[list[FloatArray]] = [[] for _ in names]
        self._filled: list[tuple[NDArray[np.int64], FloatArray]] = []

    def scan(self, piece: FloatArray) -> None:
        """Takes the next piece (channels, n)."""
        first = self._seen - self._carry.shape[1]
        joined = np.concatenate((self._carry, piece), axis=1)
        absent = np.isnan(joined)
        if absent.any():
            for row, gone in enumerate(absent):
                edges = np.flatnonzero(gone[1:] != gone[:-1])
                beside = np.where(gone[edges], edges + 1, edges)
                at = np.flatnonzero(gone[self._carry.shape[1] :]) + self._seen
                self._missing[row].append(at)
                self._known[row].append(beside + first)
                self._values[row].append(joined[row, beside])
        self._carry = piece[:, -1:].copy()
        self._seen += piece.shape[1]

    def finish(self, path: Path, rate_hz: float, where: Callable[[int], str]) -> list[str]:
        """What was found, in lines for the user. Raises InputError for what may not be bridged."""
        told = []
        for row, name in enumerate(self._names):
            nothing = np.zeros(0, np.int64)
            missing = np.concatenate([nothing, *self._missing[row]])
            known = np.concatenate([nothing, *self._known[row]])
            values = np.concatenate([np.zeros(0), *self._values[row]])
            self._filled.append((missing, np.zeros(0)))
            if not missing.size:
                continue
            place = where(int(missing[0]))
            for sample, end in ((0, "begins"), (self._seen - 1, "ends")):
                if sample in (missing[0], missing[-1]):
                    raise InputError(
                        f"{path}: {name} is marked as missing at {where(sample)}, where the "
                        f"recording {end}; cut it where every input has a value"
                    )
            ends = np.flatnonzero(np.diff(missing) > 1)
            starts = np.concatenate(([0], ends + 1))
            lengths = np.diff(np.concatenate((starts, [missing.size])))
            worst = int(np.argmax(lengths))
            if lengths[worst] > max(1, _LONGEST_S * rate_hz):
                raise InputError(
                    f"{path}: {name} is marked as missing at {where(int(missing[starts[worst]]))} "
                    f"and for {lengths[worst]} samples; only gaps of up to {_LONGEST_S * 1e3:g} "
                    "ms are interpolated, cut the recording there"
                )
            if missing.size > max(1, _MOST_SHARE * self._seen):
                raise InputError(
                    f"{path}: {missing.size} of {self._seen} samples of {name} are marked as "
                    f"missing, the first at {place}; at most {_MOST_SHARE:.0%} are interpolated"
                )
            self._filled[row] = missing, np.interp(missing, known, values)
            many = "sample is" if missing.size == 1 else "samples are"
            told.append(
                f"{name}: {missing.size} {many} marked as missing and interpolated, the first at "
                f"{place}"
            )
        return told

    def fill(self, piece: FloatArray, first: int) -> None:
        """Puts what was interpolated into a piece that begins with sample `first`."""
        for row, (missing, values) in enumerate(self._filled):
            if missing.size:
                low, high = np.searchsorted(missing, (first, first + piece.shape[1]))
                piece[row, missing[low:high] - first] = values[low:high]
