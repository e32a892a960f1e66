"""Judges samples' time stamps: the rate they tell, and whether time is missing between them.

Flow: COMTRADE's second column, a time column -> STAMPS -> rate, holes.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.common.errors import InputError

# Times are compared in whole numbers of this, and span at most this many.
TICK_S = 1e-12
_MOST_TICKS = 2.0**62
# By what share two sources may differ on the rate.
_RATE_TOLERANCE = 1e-3
# A step this much longer than usual has lost a sample.
_HOLE = 1.5
# Where more of the steps than this are long, stamps were only rounded coarsely.
_ROUNDED_SHARE = 0.01
_DECIMALS = 9


class Stamps:
    """Time stamps, whole numbers of `unit_s` seconds, taken in order by `add`.

    wraps: at which number they begin anew (2**32 in binary COMTRADE), or None. Sums only are kept.
    """

    def __init__(self, unit_s: float, wraps: int | None = None) -> None:
        self._unit_s = unit_s
        self._wraps = wraps
        self._last: int | None = None
        self._steps = 0
        self._elapsed = 0
        self._divisor = 0
        self._usual = 0.0
        self._long = 0
        self._largest: tuple[int, int] = (0, 0)  # step, index of the sample after it
        self._least: tuple[int, int] = (0, 0)

    def add_seconds(self, since_first: NDArray[np.float64]) -> bool:
        """Takes the times of the next samples, in seconds since the very first one's, where
        `unit_s` is TICK_S.  Returns whether they were times; others are left out."""
        with np.errstate(all="ignore"):  # what overflows is no time
            ticks = since_first / TICK_S
        if not (np.abs(ticks) < _MOST_TICKS).all():
            return False
        self.add(np.rint(ticks).astype(np.int64))
        return True

    def add(self, stamps: NDArray[np.int64]) -> None:
        """Takes the stamps of the next samples."""
        last = stamps[:0] if self._last is None else np.array([self._last], np.int64)
        joined = np.concatenate((last, stamps))
        self._last = int(stamps[-1])
        steps = np.diff(joined)
        if not steps.size:
            return
        if self._wraps:
            steps = (steps + self._wraps // 2) % self._wraps - self._wraps // 2
        if not self._steps:
            self._usual = float(np.median(steps)) or float(np.mean(steps))
            self._largest = self._least = int(steps[0]), 1
        k = int(np.argmax(steps))
        if steps[k] > self._largest[0]:
            self._largest = int(steps[k]), self._steps + k + 1
        k = int(np.argmin(steps))
        if steps[k] < self._least[0]:
            self._least = int(steps[k]), self._steps + k + 1
        self._long += int((steps > _HOLE * self._usual).sum())
        self._divisor = int(np.gcd(self._divisor, np.gcd.reduce(steps)))
        self._elapsed += int(steps.sum())
        self._steps += steps.size

    @property
    def rate_hz(self) -> float | None:
        """Samples a second, as round as the stamps leave open; None where they stand still."""
        if self._elapsed <= 0:
            return None
        rate = self._steps / (self._elapsed * self._unit_s)
        for decimals in range(_DECIMALS):
            if abs(round(rate, decimals) / rate - 1) <= self.uncertainty:
                return round(rate, decimals)
        return rate

    @property
    def uncertainty(self) -> float:
        """By what share the rate may be off because stamps are rounded."""
        return max(self._divisor / self._elapsed, 1e-12) if self._elapsed > 0 else 1.0

    @property
    def hole(self) -> tuple[int, float] | None:
        """(number of the sample after it, from 0, its seconds) of the worst hole, or None.

        Seconds are those beyond a usual step, negative where stamps go back.
        """
        rounding = 0 if self._long <= _ROUNDED_SHARE * self._steps else 2 * self._divisor
        for step, index in (self._least, self._largest):
            if step < 0 or step > _HOLE * self._usual + rounding:
                return index, (step - self._usual) * self._unit_s
        return None


def check_rates(
    path: Path, rates: dict[str, float], slack: dict[str, float] | None = None
) -> None:
    """Raises InputError unless all who say how many samples there are in a second agree with the
    first.  slack: source -> by what share it may be off, where that is more than others may."""
    (source, rate_hz), *others = rates.items()
    for other, told in others:
        most = max(_RATE_TOLERANCE, (slack or {}).get(other, 0.0))
        if not abs(told / rate_hz - 1) <= most:
            raise InputError(
                f"{path}: {source} says {rate_hz:g} samples a second, {other} {told:g}; correct "
                "what is wrong, or leave it out"
            )


def hole_in(path: Path, what: str, seconds: float, before: str) -> InputError:
    """That time is missing: `what` (a column, the times) jumps, before a sample."""
    return InputError(
        f"{path}: {what} by {seconds:.6g} s before {before}; samples are missing there, cut the "
        "recording or export it without the hole"
    )
