"""Where each code of a converter ends and the next begins, from a sine fitted to its codes.

Flow: sine_fit -> CODE EDGES -> linearity.  The sine-wave histogram test of IEEE 1241 with one
change: the histogram of the codes is held against that of the fitted sine, not against the arcsine
law.  So it does not matter how the sine's phases fell, nor that its amplitude wandered.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter1d, median_filter

from threewire.metering.kernel import MID
from tools.common.errors import InputError
from tools.linearity.sine_fit import Floats, SineFit

FULL = 4096
KNOTS = np.arange(0, FULL + 1, 256)
# The gain that stays as it is: the mean one of the codes within 512 of mid-scale.
STRAIGHT = 512
# A sine with harmonics in quadrature has some in phase too, which look like the converter's: with
# more than this, in counts rms, there is no telling its bow.
MAX_QUADRATURE = 0.2
# Fitted values are counted in cells of 1/32 count, from -256 to 4352.
_FINE = 32
_LOW = -256
_CELLS = (FULL + 512) * _FINE
# Between samples, in counts: what is wider could hide a step.
_MAX_GAP = 2.0
# A step is this many counts and this many deviations wider than the codes around it...
_MIN_EXCESS = 1.0
_DEVIATIONS = 6
_AROUND = 65
_MANY = 32
# ...and is trusted with this many codes between it and where the sine turns.
_BEYOND = 8
# What is smooth beside the steps may bend over this much of the sine's phase, in radians: a
# converter's bow, and the harmonics of a source where these are more than so many counts rms.
_BEND = 0.2
_BEND_OF_HARMONICS = 0.08
_HARMONICS = 4.0
_ROUNDS = 3


@dataclass(frozen=True)
class Solution:
    """steps     the wide codes
    excess    of each, in counts: its width beyond that of normal codes there
    bow       17 corrections in counts, at KNOTS: 0 at mid-scale, alike at 1536 and 2560
    straight  where each covered edge would be in a sine without harmonics, in counts
    """

    steps: list[int]
    excess: Floats
    bow: Floats
    straight: Floats

    @property
    def correction(self) -> Floats:
        """For the steps, by code, in counts: half of its own excess and that of those below."""
        wide = np.zeros(FULL)
        wide[self.steps] = self.excess
        return np.cumsum(wide) - wide / 2


class CodeEdges:
    """at[k] is the lower edge of code k, in counts of the sine: as many fitted values, with noise
    added to them, are below it as there are codes below k.

    The noise matters where the sine turns, and there its normal distribution will do.

    pieces    of the fit that are used
    covered   first and last code that the sine passes for certain; by default found out
    """

    def __init__(
        self,
        sine: SineFit,
        pieces: slice = slice(None),
        covered: tuple[int, int] | None = None,
    ) -> None:
        # Without that of rounding to a code, but never none.
        noise = math.sqrt(max(0.01, sine.noise**2 - 1 / 12))
        place = (sine.inputs[pieces].ravel() - _LOW) * _FINE
        hits = np.bincount(place.astype(np.int64).clip(0, _CELLS - 1), minlength=_CELLS)
        blurred = gaussian_filter1d(hits.astype(np.float64), noise * _FINE, mode="constant")
        codes = np.bincount(sine.codes[pieces].ravel(), minlength=FULL)
        below, fitted_below = [np.concatenate(([0], np.cumsum(h))) for h in (codes, blurred)]
        self.at: Floats = np.interp(below, fitted_below, _LOW + np.arange(_CELLS + 1) / _FINE)
        # In phase, not in counts, all edges are equally uncertain.
        self._middle, self._half = (sine.high + sine.low) / 2, sine.amplitude
        root2 = np.maximum(self._half**2 - (self.at - self._middle) ** 2, self._half)
        self._weight = root2**-0.5
        self._bend = _BEND if sine.beside < _HARMONICS + sine.noise else _BEND_OF_HARMONICS
        self.covered = covered or self._between(sine.low, sine.high, 5 * noise + 1)
        self._nearly = self._between(sine.low, sine.high, 2.5 * noise + 1)
        ends = ((self.at[list(self.covered)] - _LOW) * _FINE).astype(np.int64)
        self._gap = float(np.diff(np.flatnonzero(hits[slice(*ends)])).max(initial=0)) / _FINE

    def _between(self, low: float, high: float, margin: float) -> tuple[int, int]:
        inner = np.flatnonzero((self.at > low + margin) & (self.at < high - margin))
        return int(inner[0]), int(inner[-1]) - 1

    def steps(self) -> tuple[list[int], list[int], float]:
        """Codes that are much wider than those around them, ascending; such codes too near to
        where the sine turns; the excess in counts from which on one would have been found.

        What is covered ends before the second: beyond them nothing keeps its place.  Raises
        InputError where the samples leave gaps.
        """
        if self._gap > _MAX_GAP:
            raise InputError(
                f"the samples leave gaps of {self._gap:.1f} counts in the sine, at most "
                f"{_MAX_GAP:g}: its frequency is too simple a fraction of the rate; capture at "
                "another one, or longer"
            )
        low, high = self._nearly
        widths = np.diff(self.at)[low : high + 1]
        usual = median_filter(widths, _AROUND, mode="nearest")
        spread = 1.4826 * median_filter(np.abs(widths - usual), 4 * _AROUND + 1, mode="nearest")
        limit = np.maximum(_MIN_EXCESS, _DEVIATIONS * spread)
        found = (low + np.flatnonzero(widths - usual > limit)).tolist()
        if len(found) > _MANY:
            raise InputError(
                f"{len(found)} codes are wide, such as {found[0]} and {found[1]}: this is not a "
                f"converter with a few steps, at most {_MANY}"
            )
        first, last = self.covered
        trusted = [code for code in found if first + _BEYOND <= code <= last - _BEYOND]
        left_out = [code for code in found if code not in trusted]
        first = max([first, *(code + 1 for code in left_out if code < MID)])
        last = min([last, *(code - 1 for code in left_out if code > MID)])
        self.covered = first, last
        return trusted, left_out, float(limit.max())

    def solve(self, steps: list[int]) -> Solution:
        """Excess of each step, and the bow, by least squares over all covered edges.

        An edge is at smooth(its code + excess of the steps below).  That is linear in what is
        still missing of the excess: jumps, as high as the slope there makes them.
        """
        first, last = self.covered
        edge = np.arange(first, last + 2)
        weight = self._weight[edge][:, None]
        at = self.at[edge]
        jumps = (edge[:, None] > np.array(steps, dtype=int)).astype(float)
        excess = np.zeros(len(steps))
        place = slope = curve = at
        for _ in range(_ROUNDS):
            place = edge - 0.5 + jumps @ excess
            # Over the phase of the sine, harmonics are equally smooth everywhere.
            x = np.interp(place, place[[0, -1]], at[[0, -1]])
            smooth = self._splines(np.arcsin(((x - self._middle) / self._half).clip(-1, 1)))
            found = _least_squares(np.hstack((jumps, smooth)), at, weight)
            curve = smooth @ found[len(steps) :]
            # Positive, but in a set of pieces that do not reach as far as all.
            slope = np.maximum(np.gradient(curve, place), 0.1)
            excess = excess + found[: len(steps)] / slope[np.searchsorted(edge, steps)]
        straight: Floats = np.arange(FULL + 1, dtype=np.float64) - 0.5
        straight[edge] = place + (at - curve) / slope
        return Solution(steps, excess, self._bow(edge, at, jumps @ excess, weight), straight)

    def _splines(self, x: Floats) -> Floats:
        """Cubic splines over ascending x, (x, splines)."""
        inner = np.linspace(x[0], x[-1], 1 + max(1, round((x[-1] - x[0]) / self._bend)))
        knots = np.concatenate((inner[:1].repeat(3), inner, inner[-1:].repeat(3)))
        return BSpline.design_matrix(x, knots, 3).toarray()

    def _bow(self, edge: NDArray[np.int64], at: Floats, moved: Floats, weight: Floats) -> Floats:
        """By knot: a line with kinks there, fitted to the edges less what the steps moved them,
        less the straight line with its value and slope at mid-scale.

        A knot just beyond what is covered is on the line through the two before it; the bow of
        those behind it is like its own.
        """
        begin, end = math.ceil(edge[0] / 256), math.floor((edge[-1] - 1) / 256)
        shape = np.eye(KNOTS.size)[:, begin : end + 1]
        if begin:
            shape[begin - 1] = 2 * shape[begin] - shape[begin + 1]
        if end + 1 < KNOTS.size:
            shape[end + 1] = 2 * shape[end] - shape[end - 1]
        kinked = np.stack([np.interp(edge - 0.5, KNOTS, column) for column in shape.T], axis=1)
        known = np.flatnonzero(shape.any(axis=1))
        # How far the steps move edges is in codes, and the edges are in counts: times the gain.
        knots = shape @ _least_squares(kinked, np.stack((at, moved), axis=1), weight)
        low, mid, high = knots[np.searchsorted(KNOTS, (MID - STRAIGHT, MID, MID + STRAIGHT))]
        rise = high - low
        gain = rise[0] / (2 * STRAIGHT + rise[1])
        bow = ((knots - mid) @ (1, -gain)) / gain - (KNOTS - MID)
        return np.interp(KNOTS, KNOTS[known], bow[known])


def _least_squares(design: Floats, values: Floats, weight: Floats) -> Floats:
    """`values` is (rows, ...), `weight` (rows, 1). By the normal equations: fast, and precise
    enough for splines and jumps."""
    left = (design * weight**2).T
    return np.linalg.lstsq(left @ design, left @ values)[0].astype(np.float64)
