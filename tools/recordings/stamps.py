"""Judges samples' time stamps: the rate they tell, and whether time is missing between them.

Flow: COMTRADE's second column, a time column -> STAMPS -> rate, holes.
"""

import numpy as np
from numpy.typing import NDArray

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
        for sign, kept in ((1, "_largest"), (-1, "_least")):
            k = int(np.argmax(sign * steps))
            if sign * steps[k] > sign * getattr(self, kept)[0]:
                setattr(self, kept, (int(steps[k]), self._steps + k + 1))
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
