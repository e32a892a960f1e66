"""A recording's samples as if all channels had been sampled at once: what the reference sees.

Flow: looped recording -> ALIGNMENT -> reference.  The front end undoes the recorder's skew by its
own interpolation; this one shares no code with it, so that each checks the other.
"""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from tools.front_end.looping import Floats, Source

# Half the taps of a Kaiser-windowed sinc: flat within 1e-5 up to 0.4 of the sampling rate.
_HALF = 40
_BETA = 10.0


def aligned(source: Source, until: float | Fraction, size: int = 65536) -> Iterator[Floats]:
    """Blocks (4, n <= size) of v1 i1 v2 i2 as Source.blocks gives them, without their skew.

    A channel without skew comes through unchanged, to the last bit.
    """
    delays = [skew_s * source.rate_hz for skew_s in source.recording.skew_s]
    if not any(delays):
        yield from source.blocks(size, until)
        return
    # Sample k is wanted at k - delay of what was recorded: a whole part, and 0 <= rest < 1.
    whole = [math.floor(-delay) for delay in delays]
    taps = [_taps(-delay - w) for delay, w in zip(delays, whole)]
    margin = _HALF + max(abs(w) for w in whole)
    end = math.ceil(Fraction(until) * source.rate)
    if source.loop_samples is None:
        end = min(end, source.recording.samples)
    held = np.empty((4, 0))
    for block in source.extended(-margin, end + margin, size):
        held = np.concatenate((held, block), axis=1)
        n = held.shape[1] - 2 * margin
        if n < 1:
            continue
        out = np.empty((4, n))
        for row, delay in enumerate(delays):
            if not delay:
                out[row] = held[row, margin : margin + n]
                continue
            first = margin + whole[row] + 1 - _HALF
            near = held[row, first : first + n + 2 * _HALF - 1]
            out[row] = np.correlate(near, taps[row], "valid")
        held = held[:, n:]
        yield out


def _taps(rest: float) -> Floats:
    """Weights of samples 1 - _HALF .. _HALF for the value `rest` (0 to 1) after sample 0."""
    at = np.arange(1 - _HALF, _HALF + 1) - rest
    window = np.i0(_BETA * np.sqrt(np.maximum(0.0, 1 - (at / _HALF) ** 2)))
    taps = np.sinc(at) * window
    return taps / taps.sum()
