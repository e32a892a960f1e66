"""Band-limited interpolation of a recording at any instants, streamed: cubic B-spline over sinc.

A spline through too few samples a cycle weakens harmonics, so such recordings are first brought to
a higher rate by FFT (short loops, where it is exact) or by a windowed sinc (everything else).
"""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tools.front_end.looping import Floats, Source

Floats32 = NDArray[np.float32]

# Worst error of the cubic spline for a tone of n samples a period: about 3 (n - 1)**-4, droop and
# image together. At 8 kHz and 60 Hz (133 a cycle) that is below float32's 2e-7 for the first,
# 8e-6 for the 5th, 5e-5 for the 8th and 1e-3 for the 16th harmonic (measured); at 20 a cycle it
# would be 2e-5, 5e-3 and 4e-2 for the first, third and fifth. Droop costs energy only where the
# voltage has that harmonic too.
_STREAMED_SAMPLES_PER_CYCLE = 100
_RAISED_SAMPLES_PER_CYCLE = 200
_LOOPED_SAMPLES_PER_CYCLE = 256
_NOMINAL_HZ = 60.0

# Half the taps of the streamed sinc in samples of the recording, and its Kaiser window: flat to
# 0.46 of the sampling rate, with images 100 dB down: 1e-5 is the worst error measured up to 0.4.
_SINC_HALF = 40
_KAISER_BETA = 10.0
# The cubic B-spline's prefilter (Unser 1999, box 2): sqrt(3) z^|k| with its pole z = sqrt(3) - 2,
# which has faded to 2e-14 after 24 samples.
_PREFILTER_MARGIN = 24
_PREFILTER = math.sqrt(3) * (math.sqrt(3) - 2) ** np.abs(
    np.arange(-_PREFILTER_MARGIN, _PREFILTER_MARGIN + 1)
)
_MARGIN = _SINC_HALF + _PREFILTER_MARGIN

# Samples (after raising the rate) filtered at once when streaming, and the most kept of a loop.
_STREAM_BLOCK = 16384
_TABLE_MAX = 1 << 20


def _factor(source: Source, wanted_per_cycle: int) -> int:
    """By how much to raise the rate for `wanted_per_cycle` samples a mains cycle."""
    return max(1, math.ceil(wanted_per_cycle * (source.mains_hz or _NOMINAL_HZ) / source.rate_hz))


class LoopSpline:
    """Spline coefficients of one turn of a loop, exact in the frequency domain.

    rows: the rows of a block (v1 i1 v2 i2) wanted, in the order wanted, and scale: what each is
    multiplied by. span: the most coefficients asked for at once. Raised is how many coefficients
    there are to a sample of the recording.
    """

    def __init__(self, loop: Floats, factor: int, rows: list[int], scale: Floats, span: int):
        self.raised = factor
        turn = loop.shape[1] * factor
        self._turn = turn
        repeated = np.arange(turn + span) % turn
        self._table = np.empty((len(rows), repeated.size), dtype=np.float32)
        # The B-spline's samples (1/6, 4/6, 1/6) have this spectrum: dividing by it interpolates.
        spline = (2 + np.cos(2 * np.pi / turn * np.arange(turn // 2 + 1))) / 3
        for row, gain, out in zip(rows, scale, self._table):
            spectrum = np.fft.rfft(loop[row] * gain)
            if factor > 1 and loop.shape[1] % 2 == 0:
                spectrum[-1] /= 2  # the Nyquist bin stands for both signs of its frequency
            whole = np.zeros(turn // 2 + 1, dtype=np.complex128)
            whole[: spectrum.size] = spectrum * factor
            out[:] = np.fft.irfft(whole / spline, turn)[repeated]

    def window(self, low: int, high: int) -> tuple[Floats32, int]:
        """An array (rows, n) with coefficients low..high in it, and the index of its first."""
        return self._table, low - low % self._turn

    def period(self, start: Floats, step: Fraction) -> int | None:
        """After how many instants from start on (one for each row), step apart, all in
        coefficients, the same values come again, to the last bit; None: they never do."""
        turn = self._turn * step.denominator
        period = turn // math.gcd(turn, step.numerator)
        if period > self._table.shape[1]:
            return None
        # An instant's fraction is one of these, but for the rounding of a few sums of table
        # indices, which must be too small to show in float32.
        fraction = (start[:, None] + np.arange(step.denominator) / step.denominator) % 1
        off = 4 * np.spacing(float(self._table.shape[1]))
        low, high = (fraction - off).astype(np.float32), (fraction + off).astype(np.float32)
        return period if (low == high).all() and low.min() > 0 and high.max() < 1 else None


class StreamSpline:
    """Spline coefficients of a source made as they are needed, in blocks that never depend on use.

    Arguments as LoopSpline's; windows must not go backwards. Memory: a window and a block.
    """

    def __init__(self, source: Source, factor: int, rows: list[int], scale: Floats, low: int):
        self.raised = factor
        self._rows = rows
        self._scale = scale[:, None]
        self._size = max(1, _STREAM_BLOCK // factor)
        first = low // factor
        self._tail = next(_regular(source, first - _MARGIN, 2 * _MARGIN))
        self._samples = _regular(source, first + _MARGIN, self._size)
        self._first = first * factor
        self._held = np.empty((len(rows), 0), dtype=np.float32)
        self._phases = [_sinc_taps(phase / factor) for phase in range(1, factor)]

    def window(self, low: int, high: int) -> tuple[Floats32, int]:
        """An array (rows, n) with coefficients low..high in it, and the index of its first."""
        end = self._first + self._held.shape[1]
        if high >= end:
            done = min(low - self._first, self._held.shape[1])
            parts = [self._held[:, done:]]
            while high >= end:
                parts.append(self._next())
                end += parts[-1].shape[1]
            self._held = np.concatenate(parts, axis=1)
            self._first += done
        return self._held, self._first

    def period(self, start: Floats, step: Fraction) -> None:
        """As LoopSpline's: they never do."""

    def _next(self) -> Floats32:
        joined = np.concatenate((self._tail, next(self._samples)), axis=1)
        self._tail = joined[:, -2 * _MARGIN :]
        return self._filter(joined[self._rows] * self._scale)

    def _filter(self, samples: Floats) -> Floats32:
        """Coefficients, float32, of (rows, n) samples without _MARGIN of them at either end."""
        if self.raised > 1:
            # What is left of the margin at the raised rate is more than the prefilter takes.
            cut = _PREFILTER_MARGIN * (self.raised - 1)
            samples = self._raise(samples)[:, cut:-cut]
        else:
            samples = samples[:, _SINC_HALF:-_SINC_HALF]
        out = [np.convolve(row, _PREFILTER, "valid") for row in samples]
        return np.array(out, dtype=np.float32)

    def _raise(self, samples: Floats) -> Floats:
        """`raised` samples for each one, without _SINC_HALF of them at either end."""
        n = samples.shape[1] - 2 * _SINC_HALF
        out = np.empty((samples.shape[0], n, self.raised))
        out[:, :, 0] = samples[:, _SINC_HALF:-_SINC_HALF]
        for row, into in zip(samples, out):
            for phase, taps in enumerate(self._phases, 1):
                into[:, phase] = np.correlate(row[1:], taps, "valid")[:n]
        return out.reshape(samples.shape[0], -1)


def _regular(source: Source, first: int, size: int) -> Iterator[Floats]:
    """Blocks of exactly (4, size) from sample `first` on, without end."""
    parts: list[Floats] = []
    filled = 0
    # Far beyond any duration: the source continues its signal, and the caller stops asking.
    for block in source.extended(first, first + (1 << 62), size):
        parts.append(block)
        filled += block.shape[1]
        if filled >= size:
            joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
            yield joined[:, :size]
            parts = [joined[:, size:]] if filled > size else []
            filled -= size


def _sinc_taps(fraction: float) -> Floats:
    """Weights of samples -_SINC_HALF + 1 .. _SINC_HALF for the value at 0 < fraction < 1."""
    at = np.arange(1 - _SINC_HALF, _SINC_HALF + 1) - fraction
    window = np.i0(_KAISER_BETA * np.sqrt(1 - (at / _SINC_HALF) ** 2)) / np.i0(_KAISER_BETA)
    taps = np.sinc(at) * window
    return taps / taps.sum()


Spline = LoopSpline | StreamSpline


def make_spline(
    source: Source, rows: list[int], scale: Floats, low: float, per_chunk: float
) -> Spline:
    """The right kind of spline for `source`.

    low: the first instant ever asked for, per_chunk: the most asked for in one window, both in
    samples of the recording. rows and scale as LoopSpline's.
    """
    loop = source.loop()
    if loop is not None:
        factor = _factor(source, _LOOPED_SAMPLES_PER_CYCLE)
        span = math.ceil(per_chunk * factor) + 8
        if loop.shape[1] * factor + span <= _TABLE_MAX:
            return LoopSpline(loop, factor, rows, scale, span)
    factor = _factor(source, _STREAMED_SAMPLES_PER_CYCLE)
    if factor > 1:
        factor = _factor(source, _RAISED_SAMPLES_PER_CYCLE)
    return StreamSpline(source, factor, rows, scale, math.floor(low * factor) - 2)


class Evaluator:
    """Evaluates splines at instants `step` apart, `frames` of them for each of `rows` rows.

    Buffers are made once: at several million conversions a second every pass counts.
    """

    def __init__(self, rows: int, frames: int, step: float) -> None:
        self._ramp = step * np.arange(frames)
        shape = (rows, frames)
        self._position = np.empty(shape)
        self._whole = np.empty(shape)
        self._index = np.empty(shape, dtype=np.intp)
        self._weight = np.empty(shape, dtype=np.float32)
        self._fraction = np.empty(shape, dtype=np.float32)
        self._rest = np.empty(shape, dtype=np.float32)
        self._taken = np.empty(shape, dtype=np.float32)

    @property
    def reach(self) -> float:
        """From the first to the last instant, in coefficients."""
        return float(self._ramp[-1])

    def __call__(self, table: Floats32, offsets: Floats, out: Floats32) -> None:
        """out[r, k] = row r of the spline with coefficients `table` at offsets[r] + k * step.

        Row r of `table` must reach from offsets[r] - 1 to the last instant + 2. Cubic B-spline:
        weights g³/6, 2/3 - f²(1 - f/2), 2/3 - g²(1 - g/2), f³/6 with f the fraction, g = 1 - f.
        """
        position, whole, index = self._position, self._whole, self._index
        f, g, weight, taken = self._fraction, self._rest, self._weight, self._taken
        np.add(offsets[:, None], self._ramp, out=position)
        np.floor(position, out=whole)
        np.subtract(position, whole, out=position)
        np.copyto(f, position, casting="same_kind")
        np.subtract(np.float32(1), f, out=g)
        # One flat table, so that a single gather serves all rows; -1 for the first of the four.
        whole += (np.arange(len(table)) * table.shape[1] - 1.0)[:, None]
        np.copyto(index, whole, casting="unsafe")
        flat = table.reshape(-1)

        # No index is out of range: "wrap" is the mode that looks for that in the least time.
        np.multiply(g, g, out=weight)
        weight *= g
        weight *= np.float32(1 / 6)
        np.take(flat, index, out=out, mode="wrap")
        out *= weight
        for near, first in ((f, 1), (g, 2)):
            np.multiply(near, np.float32(0.5), out=weight)
            weight -= np.float32(1)
            weight *= near
            weight *= near
            weight += np.float32(2 / 3)
            np.take(flat[first:], index, out=taken, mode="wrap")
            taken *= weight
            out += taken
        np.multiply(f, f, out=weight)
        weight *= f
        weight *= np.float32(1 / 6)
        np.take(flat[3:], index, out=taken, mode="wrap")
        taken *= weight
        out += taken
