"""Fits a sine to the codes of a captured one, piece by piece, as the mains wander.

Flow: capture -> SINE FIT -> code_edges -> linearity.  What does not look like a sine is refused.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from tools.common.errors import InputError

Floats = NDArray[np.float64]

# The sine is followed in pieces of this many cycles, and at least this many pieces are needed.
_PIECE_CYCLES = 10
_PIECES = 8
_CYCLE_SAMPLES = 10
# What counts as a sine. Beside it may be, in counts rms, what is no harmonic: noise. And as a part
# of it all there is: the mains have less than 8 % of harmonics (EN 50160).
_MAX_NOISE = 6.0
_MAX_BESIDE = 0.08
_ORDERS = 20
# A piece of another amplitude than most, by more than this part of it, is left out.
_STEADY = 0.1
# Phases of the sine that are told apart.
_BINS = 1024


@dataclass(frozen=True)
class SineFit:
    """inputs   the fitted sine in counts, (pieces, samples)
    codes       what it was converted to
    low, high   its extremes, the median of all pieces
    beside      what is beside the sine, in counts rms
    noise       what of that are no harmonics
    quadrature  its harmonics up to the 20th that are in quadrature with it, in counts rms.  A
                converter errs alike on the way up and down: these are the source's
    """

    inputs: Floats
    codes: NDArray[np.int64]
    low: float
    high: float
    beside: float
    noise: float
    quadrature: float

    @property
    def amplitude(self) -> float:
        return (self.high - self.low) / 2


def turns_a_sample(codes: NDArray[np.int64]) -> float:
    """The frequency in cycles a sample, to a part of 1 / (samples looked at).

    Raises InputError for too few cycles, or too few samples in one.
    """
    some = codes[: 1 << 17]
    spectrum = np.abs(np.fft.rfft((some - some.mean()) * np.hanning(some.size)))
    peak = int(np.argmax(spectrum[1:-1])) + 1
    a, b, c = np.log(spectrum[peak - 1 : peak + 2] + 1e-9)
    turns = float(peak + 0.5 * (a - c) / (a - 2 * b + c)) / some.size
    cycles, least = turns * codes.size, _PIECES * _PIECE_CYCLES
    if cycles < least:
        raise InputError(f"{cycles:.0f} cycles of a sine; at least {least} are needed")
    if turns * _CYCLE_SAMPLES > 1:
        raise InputError(f"{1 / turns:.1f} samples a cycle; at least {_CYCLE_SAMPLES} are needed")
    return turns


def fit(codes: NDArray[np.int64], turns: float, read: Floats) -> SineFit:
    """Fits a sine of `turns` cycles a sample, about, to 80 cycles or more of codes, each taken for
    what `read` says by code.

    Each piece has its own offset, and amplitude and phase that change linearly.  Pieces with a
    jolt or a sag in them are left out.  Raises InputError for what is no steady sine.
    """
    per = round(_PIECE_CYCLES / turns)
    given = codes[: codes.size // per * per].reshape(-1, per)
    rows = read[given]
    phase = _phase(rows, turns)
    inputs = np.empty(rows.shape)
    waves = np.zeros(rows.shape)
    quadrature = 0.0
    t = np.linspace(-1, 1, per)
    # Twice, because harmonics leak into the fit of a piece that is not quite whole cycles.
    for _ in range(2):
        for k, row in enumerate(rows - waves):
            cos, sin = np.cos(phase[k]), np.sin(phase[k])
            basis = np.stack((cos, sin, t * cos, t * sin, np.ones(per)), axis=1)
            found = np.linalg.solve(basis.T @ basis, basis.T @ row)
            inputs[k] = basis @ found
            phase[k] -= math.atan2(found[1], found[0])
        quadrature, waves = _repeating(phase, rows - inputs)
    left = np.abs(rows - inputs - waves)
    power = np.mean(left**2, axis=1)
    span = np.ptp(inputs, axis=1)
    kept = power <= 4 * np.median(power)
    kept &= np.abs(span / np.median(span) - 1) <= _STEADY
    low = float(np.median(inputs[kept].min(axis=1)))
    high = float(np.median(inputs[kept].max(axis=1)))
    beside = math.sqrt(float(np.mean((rows - inputs)[kept] ** 2)))
    share = math.sqrt(8) * beside / (high - low)
    if not share <= _MAX_BESIDE:
        raise InputError(
            f"not a sine: what is beside it is {100 * share:.0f} % of it, at most "
            f"{100 * _MAX_BESIDE:g} % would be harmonics of the mains"
        )
    # From the median, to which the inside of wide codes adds nothing.
    noise = 1.4826 * float(np.median(left[kept]))
    if noise > _MAX_NOISE or 4 * np.count_nonzero(kept) < 3 * kept.size:
        raise InputError(
            f"not a steady sine: beside it and its harmonics are {noise:.1f} counts rms, at most "
            f"{_MAX_NOISE:g}; there is a jolt or a sag in {np.count_nonzero(~kept)} of its "
            f"{kept.size} pieces"
        )
    return SineFit(inputs[kept], given[kept], low, high, beside, noise, quadrature)


def _phase(rows: Floats, turns: float) -> Floats:
    """The phase of each sample: a drift of the frequency is followed from piece to piece."""
    at = np.arange(rows.size).reshape(rows.shape)
    phase = 2 * np.pi * turns * at
    level = rows.mean(axis=1, keepdims=True)
    angle = np.unwrap(np.angle(((rows - level) * np.exp(-1j * phase)).mean(axis=1)))
    return phase + CubicSpline(at.mean(axis=1), angle)(at)


def _repeating(phase: Floats, rest: Floats) -> tuple[float, Floats]:
    """What of `rest` repeats with the phase of the sine (a cosine): the harmonics in quadrature,
    in counts rms, and all of it by sample.
    """
    at = (phase / (2 * np.pi) * _BINS).astype(np.int64) % _BINS
    hits = np.bincount(at.ravel(), minlength=_BINS)
    mean = np.bincount(at.ravel(), weights=rest.ravel(), minlength=_BINS) / np.maximum(hits, 1)
    middle = 2 * np.pi * (np.arange(_BINS) + 0.5) / _BINS
    sines = np.sin(np.outer(np.arange(2, _ORDERS + 1), middle))
    return math.sqrt(2) / _BINS * float(np.linalg.norm(sines @ mean)), mean[at]
