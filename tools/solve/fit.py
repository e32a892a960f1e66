"""The least squares behind the solver: gains and phases from an element's points, and how sure.

Flow: points -> Observed -> FIT -> solver.

With a and b the logarithms of how the sizes of a count change, and p the time by which the current
runs ahead (one, or one for each row of a table by current), a load that the board now reads as V,
A, W and Q var will be read as

    V' = V e^a     A' = A e^b     W' = e^(a+b) (W cos x - Q sin x)     x = 2 pi f (p - p in force)

because a delay of the current turns W and Q by its angle. a, b and p make these equal to the
reference's at all points, by weighted least squares: near unity W says a + b, at low power factor
it says p, and nothing is neglected.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, stdtrit

from threewire.metering.calibration import Calibration
from tools.common.errors import Unsettled

Floats = NDArray[np.float64]

# The board's readings end at 1/1000, cut off: the uncertainty of that with its mean.
_RESOLUTION = 1e-3 / math.sqrt(3)
# The probability of less than 2 standard deviations in a normal distribution.
_TWO_SIGMA = 0.5 + 0.5 * math.erf(2 / math.sqrt(2))
_MOST_STEPS = 50


@dataclass(frozen=True)
class Point:
    """One load on one element.

    name       what messages call it
    element    1 or 2
    hertz      of the mains
    board      (lines, 4): its volts, amps, watts and var
    reference  volts, amps, watts of the reference, all above 0
    percent    standard uncertainty of each, percent of reading
    lags       whether the current lags by the reference; None where it does not say
    """

    name: str
    element: int
    hertz: float
    board: Floats
    reference: tuple[float, float, float]
    percent: tuple[float, float, float]
    lags: bool | None = None

    @property
    def power_factor(self) -> float:
        """By the reference, without sign."""
        volts, amps, watts = self.reference
        return watts / (volts * amps)


class Observed:
    """The points of one element (k + 1) as arrays, a row each.

    board, true   (points, 4) means of the board's lines, (points, 3) the reference's readings
    turn          radians a microsecond of phase: phases are in microseconds here
    in_force_us   phase that the board's readings were made with
    u             (points, 3) standard uncertainty of ln(true / board): `by_true` by the reference,
                  `by_cut` by the digits left out, and by the lines' scatter
    lines         for each point what each line adds to the deviation of the mean (lines, 3),
                  relative: the root of the sum of their squares is its standard uncertainty
    """

    def __init__(self, points: Sequence[Point], calibration: Calibration, k: int) -> None:
        self.board = np.array([point.board.mean(axis=0) for point in points])
        self.true = np.array([point.reference for point in points])
        self.turn = np.array([2e-6 * math.pi * point.hertz for point in points])
        in_force = [calibration.phase_at(k, round(1e6 * amps)) for amps in self.board[:, 1]]
        self.in_force_us = np.array(in_force) / 1000
        self.by_true = np.array([point.percent for point in points]) / 100
        self.by_cut = _RESOLUTION / np.abs(self.board[:, :3])
        self.lines = [_scatter(point.board[:, :3]) for point in points]
        by_lines = np.array([np.sqrt((lines**2).sum(axis=0)) for lines in self.lines])
        # A point whose few lines happen to agree is not surer than the others.
        known = np.array([len(lines) > 1 for lines in self.lines])
        if known.any():
            usual = np.sqrt((by_lines[known] ** 2).mean(axis=0))
            by_lines[known] = np.maximum(by_lines[known], usual)
        self.u = np.sqrt(self.by_true**2 + self.by_cut**2 + by_lines**2)

    @property
    def angle(self) -> Floats:
        """Of the loads, lagging, by the board."""
        return np.arctan2(self.board[:, 3], self.board[:, 2])


def _scatter(lines: Floats) -> Floats:
    # Few lines say little of how they scatter, which Student's t makes up for: twice the result
    # covers what 2 sigma do. From one line nothing is known.
    n = len(lines)
    if n < 2:
        return np.zeros((1, 3))
    widen = float(stdtrit(n - 1, _TWO_SIGMA)) / 2
    return (lines / lines.mean(axis=0) - 1) * widen / math.sqrt(n * (n - 1))


class Fit:
    """Least squares solution: params are a, b and the free phases (us).

    shares    (points, phases) how much of each free phase acts at a point
    start_us  where to begin looking for them
    held_us   the phase at each point besides, known to held_u_us for all alike

    sigma     (points, 3) standard uncertainties that the points were weighted by
    errors    (points, 3) logarithms of reference over V', A', W'
    angle     (points,) of the loads, lagging, as the board would read them

    Raises Unsettled.
    """

    def __init__(
        self,
        seen: Observed,
        shares: Floats,
        start_us: Sequence[float],
        held_us: Floats,
        held_u_us: float,
    ) -> None:
        self._seen = seen
        gains = np.log(seen.true / seen.board[:, :3])[:, :2].mean(axis=0)
        self.params = np.concatenate((gains, start_us))
        slopes = np.zeros((*seen.true.shape, len(self.params)))
        slopes[:, 0, 0] = slopes[:, 1, 1] = slopes[:, 2, 0] = slopes[:, 2, 1] = 1
        apparent = np.hypot(seen.board[:, 2], seen.board[:, 3])
        still = seen.angle + seen.turn * (held_us - seen.in_force_us)
        angle = still + seen.turn * (shares @ self.params[2:])
        self._by_held = np.tan(angle) * seen.turn * held_u_us
        self.sigma = seen.u.copy()
        self.sigma[:, 2] = np.hypot(seen.u[:, 2], self._by_held)
        for _ in range(_MOST_STEPS):
            a, b = self.params[:2]
            angle = still + seen.turn * (shares @ self.params[2:])
            made = np.array((seen.board[:, 0], seen.board[:, 1], apparent * np.cos(angle))).T
            made *= np.exp([a, b, a + b])
            if not (made > 0).all():
                break
            self.errors = np.log(seen.true / made)
            slopes[:, 2, 2:] = -(np.tan(angle) * seen.turn)[:, None] * shares
            weighted = slopes / self.sigma[..., None]
            inverse = np.linalg.pinv(weighted.reshape(-1, len(self.params)))
            step = inverse @ (self.errors / self.sigma).ravel()
            self.params = self.params + step
            if np.abs(step).max() < 1e-9:
                # What a relative change of each reading of the reference does to each parameter.
                self.angle: Floats = angle
                self._pull = inverse.reshape(-1, *seen.true.shape) / self.sigma
                return
        raise Unsettled

    def u(self, of: dict[int, float]) -> float:
        """Standard uncertainty of a sum of parameters, given as {index: factor}.

        The reference's errors may be alike at all points (its own calibration) or each point's own
        (its ranges and digits): what gives more is taken, for volts, amps and watts each.
        """
        seen = self._seen
        pull = np.zeros_like(seen.true)
        for n, factor in of.items():
            pull += factor * self._pull[n]
        by_true = pull * seen.by_true
        total = np.maximum(by_true.sum(axis=0) ** 2, (by_true**2).sum(axis=0)).sum()
        total += ((pull * seen.by_cut) ** 2).sum() + (pull[:, 2] @ self._by_held) ** 2
        # Line by line, so that volts, amps and watts which rise and fall together do so here.
        for j, lines in enumerate(seen.lines):
            total += ((lines @ pull[j]) ** 2).sum()
        return math.sqrt(total)

    def misfit(self, chance: float) -> float:
        """By how much the errors are larger than the uncertainties say (the Birge ratio), or 1
        where chance alone makes them so with this probability or more."""
        free = self.errors.size - len(self.params)
        square = float(((self.errors / self.sigma) ** 2).sum())
        if free < 1 or chdtrc(free, square) >= chance:
            return 1.0
        return math.sqrt(square / free)

    def differ(self, m: int, n: int) -> bool:
        """Whether two parameters are apart by more than twice the uncertainty of that."""
        return abs(self.params[m] - self.params[n]) > 2 * self.u({m: 1.0, n: -1.0})
