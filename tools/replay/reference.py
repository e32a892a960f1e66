"""The reference a replay is judged by: energies straight from the recording, in float64.

Shares no code with the firmware. It takes the same blocks as the front end, reads them once and
keeps nothing but sums, the open mains cycle and the list of step crossings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

# A rising zero crossing counts once the voltage has been below this: a dead line's noise and the
# chatter of a noisy crossing do not. 120 V mains swing to -170 V.
_SWING_V = -10.0
# Line 2 marks the cycles when line 1 has not crossed zero for one and a half cycles of 60 Hz.
_DEAD_S = 0.025
# No cycle is shorter than one of 90 Hz: neither a notch or a dip through zero, nor changing over
# to the other line, makes a sliver of one, whose energy might go the other way.
_SHORTEST_S = 0.011
# Without any crossing (no voltage at all, or dc) the energy is settled this often.
_SETTLE_S = 1.0
# How much time after the last sample may be asked for: a frame is far shorter.
_HOLD_S = 0.001


@dataclass(frozen=True)
class Element:
    """One element's results: watt-hours, rms volts and amperes, mean watts, volt-amperes."""

    delivered_wh: float
    received_wh: float
    wh: float
    volts: float
    amps: float
    watts: float
    va: float


class _Crossings:
    """Finds one voltage's rising zero crossings in consecutive blocks."""

    def __init__(self) -> None:
        self._last = math.nan
        self._lowest = math.inf  # since the last crossing, whether it counted or not

    def find(self, volts: Floats, first: int) -> Floats:
        """Crossings in samples from the recording's left edge; volts[0] is sample `first`."""
        joined = np.concatenate(([self._last], volts))
        self._last = float(volts[-1])
        below = joined < 0
        at = np.flatnonzero(below[:-1] > below[1:])
        if not at.size:
            self._lowest = min(self._lowest, float(volts.min()))
            return np.zeros(0)
        lows = np.fmin.reduceat(joined, np.concatenate(([0], at + 1)))
        lows[0] = min(self._lowest, lows[0])
        self._lowest = float(lows[-1])
        at = at[lows[:-1] <= _SWING_V]
        # joined[k] is sample first - 1 + k, whose centre is half a sample after its left edge.
        fraction = joined[at] / (joined[at] - joined[at + 1])
        return first - 0.5 + at + fraction


class Reference:
    """Energies and means of blocks given to `add`, each sample standing for 1/rate_hz seconds.

    rate_hz: samples a second. stop_s: seconds from the recording's left edge up to which energy
    counts: the sample there counts in part, and the last sample is held if the end falls short by
    less than 1 ms. None counts all samples. steps_wh: the energy steps `crossings` can be asked
    for. Asking for any result ends the recording.

    Delivered and received are decided once per mains cycle, for each element and for the net of
    both; a cycle lies between rising zero crossings of v1 (of v2 while v1 is dead), and what is
    left at either end is a cycle of its own.
    """

    def __init__(
        self,
        rate_hz: float,
        stop_s: float | Fraction | None = None,
        steps_wh: Sequence[float] = (5.0, 500.0),
    ) -> None:
        self._rate = float(rate_hz)
        self._stop = None if stop_s is None else Fraction(stop_s) * Fraction(rate_hz)
        self._wh = 1 / (self._rate * 3600)  # watt-hours of one watt for one sample
        self._samples = 0
        self._squares = np.zeros(4)  # of all samples but the last, whose weight is not known yet
        self._last = np.zeros(4)
        self._finders = (_Crossings(), _Crossings())
        self._crossed = [np.zeros(0), np.zeros(0)]  # each line's crossings not settled yet
        self._line1_at = 0.0  # line 1's last crossing, in samples
        self._previous = -1  # which line marked the last boundary, -1 for none
        self._cycles = 0
        self._cycle_samples = 0.0
        # The open cycle: where it began, and the powers from that sample on, of element 1 in the
        # real part and of element 2 in the imaginary: a running sum of both takes the time of one.
        self._start = 0.0
        self._base = 0
        self._powers = np.zeros(0, np.complex128)
        self._energy = np.zeros(2)
        self._delivered = np.zeros(3)  # element 1, element 2, net
        self._received = np.zeros(3)
        self._steps = {float(step): [] for step in steps_wh}
        self._end: float | None = None

    def add(self, block: Floats) -> None:
        """Take the next block (4, n): v1, i1, v2, i2 in volts and amperes."""
        if self._end is not None:
            raise ValueError("the reference has been read: it takes no more samples")
        if self._stop is not None:
            block = block[:, : max(0, math.ceil(self._stop) - self._samples)]
        if not block.shape[1]:
            return
        self._squares += self._last**2
        # Not np.dot: of so long rows BLAS makes threads, which take the engine's processor.
        self._squares += np.einsum("ij,ij->i", block[:, :-1], block[:, :-1])
        self._last = block[:, -1].copy()
        for line, finder in enumerate(self._finders):
            found = finder.find(block[2 * line], self._samples)
            self._crossed[line] = np.concatenate((self._crossed[line], found))
        powers = np.empty(self._powers.size + block.shape[1], np.complex128)
        powers[: self._powers.size] = self._powers
        for k, of_one in enumerate((powers.real, powers.imag)):
            np.multiply(block[2 * k], block[2 * k + 1], out=of_one[self._powers.size :])
        self._powers = powers
        self._samples += block.shape[1]
        # A crossing before the last sample's rectangle can no longer be preceded by a new one.
        self._settle(self._boundaries(self._samples - 1))

    def _boundaries(self, limit: float) -> list[float]:
        """Takes the crossings before `limit` (samples) and makes cycles of them."""
        before = [int(np.searchsorted(at, limit)) for at in self._crossed]
        ones, twos = [at[:n] for at, n in zip(self._crossed, before)]
        self._crossed = [at[n:] for at, n in zip(self._crossed, before)]
        # Line 2's count where line 1 is dead.
        latest = np.concatenate(([self._line1_at], ones))[np.searchsorted(ones, twos, "right")]
        twos = twos[twos - latest > _DEAD_S * self._rate]
        if ones.size:
            self._line1_at = float(ones[-1])
            gaps = np.diff(ones, prepend=self._start)
            least, most = _SHORTEST_S * self._rate, _DEAD_S * self._rate
            if not (twos.size or self._previous) and least <= gaps.min() and gaps.max() <= most:
                # All cycles are line 1's, as for most of the time.  One after the other, as below.
                sums = np.add.accumulate(np.concatenate(([self._cycle_samples], gaps)))
                self._cycle_samples = float(sums[-1])
                self._cycles += ones.size
                return [*ones.tolist(), *self._settled_by_time(float(ones[-1]), limit)]
        bounds: list[float] = []
        last = self._start
        events = [(at, 0) for at in ones.tolist()] + [(at, 1) for at in twos.tolist()]
        for at, line in sorted(events):
            bounds += self._settled_by_time(last, at)
            last = bounds[-1] if bounds else last
            if self._previous >= 0 and at - last < _SHORTEST_S * self._rate:
                continue
            if line == self._previous and at - last <= _DEAD_S * self._rate:
                self._cycles += 1
                self._cycle_samples += at - last
            bounds.append(at)
            self._previous = line
            last = at
        return bounds + self._settled_by_time(last, limit)

    def _settled_by_time(self, last: float, until: float) -> list[float]:
        """Where energy is settled between two positions (samples) without a boundary between."""
        bounds: list[float] = []
        while until - last > _SETTLE_S * self._rate:
            last += _SETTLE_S * self._rate
            bounds.append(last)
            self._previous = -1
        return bounds

    def _settle(self, bounds: list[float]) -> None:
        """Close the cycles that end at `bounds`: rising sample positions after self._start."""
        if not bounds:
            return
        edges = np.array([self._start, *bounds])
        running = np.zeros(self._powers.size + 1, np.complex128)
        np.cumsum(self._powers, out=running[1:])
        elements = np.diff(self._between(running, edges))
        cycles = np.concatenate((elements, elements.sum(axis=0, keepdims=True)))
        before = float(self._delivered[2])
        self._energy += elements.sum(axis=1)
        self._delivered += np.maximum(cycles, 0).sum(axis=1)
        self._received -= np.minimum(cycles, 0).sum(axis=1)
        for step, times in self._steps.items():
            if self._delivered[2] >= (len(times) + 1) * step:
                total = before + np.cumsum(np.maximum(cycles[2], 0))
                self._cross(step, times, total, edges, running, before)
        self._start = bounds[-1]
        done = int(self._start) - self._base
        self._powers = self._powers[done:].copy()
        self._base += done

    def _between(self, running: Complexes, at: Floats) -> Floats:
        """Running energy (2, n) at any positions, given the running sum of the powers: within a
        sample it grows evenly."""
        index = np.minimum(at.astype(np.int64) - self._base, self._powers.size - 1)
        part = at - self._base - index
        powers = self._powers[index]
        return np.stack(
            [
                total * self._wh + part * power * self._wh
                for total, power in (
                    (running.real[index], powers.real),
                    (running.imag[index], powers.imag),
                )
            ]
        )

    def _cross(
        self,
        step: float,
        times: list[float],
        total: Floats,
        edges: Floats,
        running: Complexes,
        before: float,
    ) -> None:
        """Append to `times` (seconds) when the delivered total passed each multiple of `step`.

        total: after each cycle. A level counts in the cycle that ends at or above it, from the
        first instant in that cycle at which the running sum is there.
        """
        while (level := (len(times) + 1) * step) <= total[-1]:
            cycle = int(np.searchsorted(total, level))
            first, last = edges[cycle], edges[cycle + 1]
            at = np.concatenate(([first], np.arange(int(first) + 1, math.ceil(last)), [last]))
            energy = self._between(running, at).sum(axis=0)
            energy += (total[cycle - 1] if cycle else before) - energy[0]
            k = int(np.argmax(energy >= level)) or len(at) - 1
            rise = energy[k] - energy[k - 1]
            part = min(1.0, (level - energy[k - 1]) / rise) if rise > 0 else 1.0
            times.append(float(at[k - 1] + part * (at[k] - at[k - 1])) / self._rate)

    def _finish(self) -> float:
        """Close the last cycle; the number of samples that count, the last one's part included."""
        if self._end is None:
            end = float(self._samples if self._stop is None else self._stop)
            if self._samples and end - self._samples > max(1.0, _HOLD_S * self._rate):
                raise ValueError(
                    f"{self._samples} samples end {(end - self._samples) / self._rate:.3g} s "
                    "before the stop asked for"
                )
            self._end = end if self._samples else 0.0
            if self._samples:
                self._squares += self._last**2 * (end - (self._samples - 1))
                self._settle([*self._boundaries(end), end])
        return self._end

    @property
    def seconds(self) -> float:
        """The time that counted."""
        return self._finish() / self._rate

    @property
    def hertz(self) -> float | None:
        """Mean frequency over all whole mains cycles, None if there are none."""
        self._finish()
        return self._rate * self._cycles / self._cycle_samples if self._cycles else None

    @property
    def elements(self) -> tuple[Element, Element]:
        """The results of element 1 and element 2."""
        samples = self._finish() or 1.0
        rms = np.sqrt(self._squares / samples)
        made = []
        for k in range(2):
            volts, amps = float(rms[2 * k]), float(rms[2 * k + 1])
            made.append(
                Element(
                    delivered_wh=float(self._delivered[k]),
                    received_wh=float(self._received[k]),
                    wh=float(self._energy[k]),
                    volts=volts,
                    amps=amps,
                    watts=float(self._energy[k]) / (samples * self._wh),
                    va=volts * amps,
                )
            )
        return made[0], made[1]

    @property
    def delivered_wh(self) -> float:
        """Net energy of the cycles in which both elements together took energy."""
        self._finish()
        return float(self._delivered[2])

    @property
    def received_wh(self) -> float:
        """Net energy, positive, of the cycles in which both elements together gave energy."""
        self._finish()
        return float(self._received[2])

    def crossings(self, step_wh: float) -> Floats:
        """Seconds from the left edge at which the delivered total passed 1, 2, ... x step_wh.

        KeyError for a step that was not named in `steps_wh`.
        """
        self._finish()
        return np.array(self._steps[float(step_wh)])

    def as_json(self) -> dict[str, Any]:
        """{"delivered_wh", "received_wh" of the net, "elements": [{delivered_wh, received_wh, wh,
        volts, amps, watts, va}, ...], "hertz"}, all floats (hertz may be None).
        """
        return {
            "delivered_wh": self.delivered_wh,
            "received_wh": self.received_wh,
            "elements": [dict(vars(element)) for element in self.elements],
            "hertz": self.hertz,
        }
