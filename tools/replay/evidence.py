"""Doubts about a recording, or about what came of it, that the user should know of.

Flow: recording, meter's result, reference -> EVIDENCE -> warnings.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.front_end.looping import Floats
from tools.replay.reference import Reference

_HZ_MIN, _HZ_MAX = 45.0, 65.0
# 50 Hz for 60 Hz is a fifth off; no mains that a recorder triggers on strays by a twentieth.
_NOMINAL_TOLERANCE = 0.05
_HERTZ_TOLERANCE = 0.005
# A crossing counts from below one of these to above the other: noise at zero is none.
_SWING_V = 10.0
# Energies that differ by more, in one direction, while the net agrees, were booked otherwise.
_BOOKED_TOLERANCE = 0.01
_LEAST_WH = 1e-3


class Frequency:
    """Counts a recording's mains cycles, whatever their length: of v1, of v2 where v1 is dead.

    Its own, because the meter and the reference look for mains of about 45 to 65 Hz only.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate = rate_hz
        self._samples = 0
        self._is_high: list[bool | None] = [None, None]
        self._first = [0, 0]
        self._last = [0, 0]
        self._rises = [0, 0]

    def add(self, block: Floats) -> None:
        """Takes the next block (4, n) of v1 i1 v2 i2, in volts and amperes."""
        for line, volts in enumerate(block[0::2]):
            if line and self._rises[0] > 1:
                break  # nobody asks for those of v2
            # Where a half wave begins to be beyond the swing, above zero or below.
            ups, downs = [_begins(beyond) for beyond in (volts >= _SWING_V, volts <= -_SWING_V)]
            where = np.concatenate((ups, downs))
            if not where.size:
                continue
            order = np.argsort(where)
            is_up = order < ups.size
            after_down = np.concatenate(([self._is_high[line] is False], ~is_up[:-1]))
            at = where[order][is_up & after_down].tolist()
            self._is_high[line] = bool(is_up[-1])
            if at:
                if not self._rises[line]:
                    self._first[line] = self._samples + at[0]
                self._last[line] = self._samples + at[-1]
                self._rises[line] += len(at)
        self._samples += block.shape[1]

    @property
    def hertz(self) -> float | None:
        """Mean frequency between the first and the last rise; None without two of them."""
        for first, last, rises in zip(self._first, self._last, self._rises):
            if rises > 1:
                return self._rate * (rises - 1) / (last - first)
        return None


def _begins(beyond: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where runs of True begin."""
    at = np.flatnonzero(beyond[1:] & ~beyond[:-1]) + 1
    return np.concatenate(([0], at)) if beyond[0] else at


def range_doubts(hertz: float | None) -> list[str]:
    """The doubt about a mains frequency that is none."""
    if hertz is None or _HZ_MIN <= hertz <= _HZ_MAX:
        return []
    return [
        f"its voltage has {hertz:.3f} Hz, mains {_HZ_MIN:g} to {_HZ_MAX:g} Hz: is the sampling "
        "rate right?"
    ]


def doubts(
    nominal_hz: float | None,
    hertz: float | None,
    result: Mapping[str, Any],
    reference: Reference,
    clipped: Mapping[str, int],
) -> list[str]:
    """One line for each doubt.

    nominal_hz: as the file says, or None; hertz: as counted. result: the engine's. clipped:
    conversions beyond the front end's range by input.
    """
    found = range_doubts(hertz)
    if nominal_hz and hertz and abs(hertz / nominal_hz - 1) > _NOMINAL_TOLERANCE:
        found.append(
            f"names {nominal_hz:g} Hz as the mains frequency, but its voltage has {hertz:.3f} "
            "Hz: is the sampling rate right?"
        )
    metered_hz = result["hertz_mhz"] / 1e3
    if reference.hertz and abs(metered_hz / reference.hertz - 1) > _HERTZ_TOLERANCE:
        found.append(
            f"the reference has found mains cycles of {reference.hertz:.3f} Hz, the meter of "
            f"{metered_hz:.3f} Hz: they divide energy into cycles differently"
        )
    delivered, received = (float(result[way]["wh"]) for way in ("delivered", "received"))
    most = max(reference.delivered_wh, reference.received_wh, _LEAST_WH / _BOOKED_TOLERANCE)
    net = delivered - received - (reference.delivered_wh - reference.received_wh)
    off = delivered - reference.delivered_wh
    if abs(off) > _BOOKED_TOLERANCE * most and abs(net) < _BOOKED_TOLERANCE * most:
        found.append(
            f"the reference books each cycle as it flowed, {reference.delivered_wh:.6f} Wh "
            f"delivered and {reference.received_wh:.6f} received; the meter {delivered:.6f} and "
            f"{received:.6f}: the flow alternates faster than the meter decides"
        )
    if clipped:
        counts = ", ".join(f"{name} {n} times" for name, n in clipped.items())
        found.append(f"beyond the front end's range: {counts}")
    return found
