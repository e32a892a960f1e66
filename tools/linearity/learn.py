"""Finds a converter's wide codes and its bow in a captured sine: the calibration's "adc".

Flow: capture -> sine_fit -> code_edges -> LEARN -> calibration file -> the firmware's adc_table.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threewire.metering.adc_table import table
from tools.common.errors import InputError
from tools.linearity.code_edges import FULL, MAX_QUADRATURE, MID, STRAIGHT, CodeEdges
from tools.linearity.sine_fit import Floats, fit, turns_a_sample

# What the calibration takes.
MAX_STEPS = 8
MAX_EXCESS_Q4 = 512
MAX_BOW_Q4 = 256
# Hits of a code where the sine is steepest: with fewer, steps drown in the converter's noise.
HITS = 10
# The scatter between this many sets of pieces of the capture tells the uncertainties.
_PARTS = 8


@dataclass(frozen=True)
class Step:
    """A wide code: how much wider than a normal one, in 1/16 count, with standard uncertainty."""

    code: int
    excess_q4: float
    uncertainty_q4: float


@dataclass(frozen=True)
class Linearity:
    """What a capture tells of a converter.

    amplitude, noise  of the sine and of what is beside it, in counts
    covered    first and last code that the sine passes for certain; nothing is known beyond
    visible    excess in counts from which on a wide code would have been found
    steps      the wide codes, ascending
    bow_q4     17 corrections in 1/16 count at the codes 0, 256, ... 4096, or None where the source
               was not good enough.  A knot just beyond what is covered is on the line through the
               two before it; those behind it are like it
    bow_uncertainty_q4  the greatest standard uncertainty of these
    widths     of the covered codes, in normal ones
    inl_before, inl_after  error of the covered codes from the best straight line, in counts, as
               they are and as adc_table corrects them
    notes      what was left out, and why
    """

    samples: int
    cycles: float
    amplitude: float
    noise: float
    covered: tuple[int, int]
    visible: float
    steps: tuple[Step, ...]
    bow_q4: Floats | None
    bow_uncertainty_q4: float
    widths: Floats
    inl_before: Floats
    inl_after: Floats
    notes: tuple[str, ...]

    def adc(self) -> dict[str, Any]:
        """The calibration's "adc": integers."""
        adc: dict[str, Any] = {"steps": [[s.code, round(s.excess_q4)] for s in self.steps]}
        if self.bow_q4 is not None:
            adc["bow_q4"] = [round(q4) for q4 in self.bow_q4.tolist()]
        return adc


def learn(codes: NDArray[np.uint16]) -> Linearity:
    """Wide codes and bow from one input's codes of a sine that passes mid-scale +-512 and more.

    codes  at a constant rate, 12 bits, one after the other; their number should be 200000 or more

    Gain and offset have no meaning here: the correction leaves code 2048 where it is, and the mean
    gain of the codes 1536 to 2560, so constants that were found with small loads stay right.
    Harmonics of the source do not hide steps, which are sharp, but look like a bow: where there
    are any that cannot be the converter's, no bow is given.  Those of a source that are exactly in
    phase with its sine cannot be told from a bow: take one of low distortion.
    Raises InputError for what is no such capture.
    """
    whole = _checked(codes)
    turns = turns_a_sample(whole)
    read = np.arange(FULL, dtype=np.float64)
    # A sine is bent by steps, and differently in pieces of another amplitude: once more, without.
    for _ in range(2):
        sine = fit(whole, turns, read)
        edges = CodeEdges(sine)
        wide, left_out, visible = edges.steps()
        found = edges.solve(wide)
        read = np.arange(FULL) + found.correction
    notes = [f"code {code}: wide, but too near to where the sine turns" for code in left_out]
    parts = [
        CodeEdges(sine, slice(k, None, _PARTS), edges.covered).solve(wide) for k in range(_PARTS)
    ]
    u_excess, u_bow = [
        16 * np.std(values, axis=0, ddof=1) / math.sqrt(_PARTS)
        for values in ([part.excess for part in parts], [part.bow for part in parts])
    ]
    # An integer of 1/16 count is what becomes of an excess.
    u_excess = np.hypot(u_excess, 1 / math.sqrt(12))
    excess_q4 = 16 * found.excess
    steps = [Step(*step) for step in zip(wide, excess_q4.tolist(), u_excess.tolist())]
    bow_q4, place = 16 * found.bow, edges.at
    most = float(np.abs(bow_q4).max())
    if sine.quadrature > MAX_QUADRATURE or most > MAX_BOW_Q4:
        # The source's smooth part is not in the errors shown either.
        bow_q4, place = None, found.straight
        notes.append(
            f"no bow: {most / 16:.1f} counts, and {sine.quadrature:.2f} rms in quadrature, are "
            f"the source's distortion (at most {MAX_BOW_Q4 // 16} and {MAX_QUADRATURE:g})"
        )
    first, last = edges.covered
    learnt = Linearity(
        samples=whole.size,
        cycles=whole.size * turns,
        amplitude=sine.amplitude,
        noise=sine.noise,
        covered=edges.covered,
        visible=visible,
        steps=_fitting(steps, notes),
        bow_q4=bow_q4,
        bow_uncertainty_q4=float(u_bow.max()),
        widths=np.diff(found.straight)[first : last + 1],
        inl_before=_inl(place, np.arange(FULL), edges.covered),
        inl_after=np.zeros(0),
        notes=tuple(notes),
    )
    corrected = np.array(table(learnt.adc()))
    return replace(learnt, inl_after=_inl(place, corrected, edges.covered))


def _checked(codes: NDArray[np.uint16]) -> NDArray[np.int64]:
    """As int64; InputError unless they are codes of a wave with enough amplitude and samples."""
    if codes.ndim != 1 or codes.dtype.kind not in "iu" or not codes.size:
        raise InputError(f"{codes.dtype} of shape {codes.shape}: expected one row of codes")
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= FULL:
        raise InputError(f"codes from {low} to {high}; expected 12 bits, 0 to {FULL - 1}")
    # The share at a rail of a sine that just reaches it is far above this; one glitch is not.
    clipped = np.count_nonzero((codes == 0) | (codes == FULL - 1))
    if clipped > 3 and clipped > 1e-5 * codes.size:
        raise InputError(f"clipped: {clipped} samples at code 0 or {FULL - 1}; lower the signal")
    low, high = np.quantile(codes, (0.001, 0.999)).astype(int).tolist()
    # 16 codes are lost at each end where the sine turns.
    if low > MID - STRAIGHT - 16 or high < MID + STRAIGHT + 16:
        raise InputError(
            f"too small to meet a step: codes {low} to {high}; it must pass {MID - STRAIGHT} and "
            f"{MID + STRAIGHT}, better also 512 and 3584"
        )
    # A sine of amplitude A hits the codes at its middle N / (pi A) times each.
    needed = math.ceil(HITS * math.pi * (high - low) / 2)
    if codes.size < needed:
        raise InputError(f"{codes.size} samples; a sine of this size needs at least {needed}")
    return codes.astype(np.int64)


def _fitting(steps: list[Step], notes: list[str]) -> tuple[Step, ...]:
    """Those of the steps that a calibration takes; notes which it does not."""
    for step in steps:
        if step.excess_q4 > MAX_EXCESS_Q4:
            raise InputError(
                f"code {step.code} is {step.excess_q4 / 16:.0f} counts too wide; the most that "
                f"can be corrected is {MAX_EXCESS_Q4 // 16}"
            )
    widest = sorted(steps, key=lambda step: -step.excess_q4)
    if widest[MAX_STEPS:]:
        others = ", ".join(str(code) for code in sorted(s.code for s in widest[MAX_STEPS:]))
        notes.append(f"more than {MAX_STEPS} wide codes: left out {others}")
    return tuple(sorted(widest[:MAX_STEPS], key=lambda step: step.code))


def _inl(edges: Floats, read: NDArray[np.int64], covered: tuple[int, int]) -> Floats:
    """Error of what is read for the covered codes, from the best straight line, in counts."""
    first, last = covered
    middle = (edges[first : last + 1] + edges[first + 1 : last + 2]) / 2
    read = read[first : last + 1]
    return read - np.polynomial.Polynomial.fit(middle, read, 1)(middle)
