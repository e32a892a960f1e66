"""Energies against the float64 reference, to the gates of the ideal converter.

That is 12 bits with dither, 20 s: 0.02 % of reading from 10 A up, 0.05 % from 3 A, 0.1 % at 2 A.
Against float64 arithmetic on the very same codes: 1 ppm.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from host_tests.rigs.meter_runs import (
    MID,
    Codes,
    default_board,
    front_end,
    net_wh,
    on_engine,
    register_wh,
)
from tools.engines.process import Metered
from tools.front_end.looping import ArrayRecording, Source
from tools.replay.reference import Reference

RATE = 24000
SECONDS = 20
CURRENT_HARMONICS = {3: 0.2, 5: 0.1, 7: 0.05}
VOLTAGE_HARMONICS = {3: 0.03}
POWER_FACTORS = {"1": 0.0, "0.5 lag": 60.0, "0.8 lead": -math.degrees(math.acos(0.8))}
HERTZ = (45, 50, 60, 65)
# Each current on either element, beside another one.
PAIRS = ((2, 200), (200, 3), (3, 100), (100, 10), (10, 30), (30, 2))


@dataclass(frozen=True)
class Case:
    """A steady load: rms amperes of the fundamental on both elements, and what surrounds it."""

    amps: tuple[float, float]
    lag_deg: float = 0.0
    hertz: int = 60
    harmonics: bool = False
    offset: float = 0.0
    seconds: int = SECONDS

    def source(self) -> Source:
        """120 V split phase; the current's shape lags as a whole."""
        angle = 2 * math.pi * self.hertz * np.arange(RATE) / RATE
        volts = shape(angle, VOLTAGE_HARMONICS if self.harmonics else {})
        amps = shape(
            angle - math.radians(self.lag_deg), CURRENT_HARMONICS if self.harmonics else {}
        )
        signals = {
            "v1": 120 * volts,
            "i1": self.amps[0] * amps,
            "v2": -120 * volts,
            "i2": -self.amps[1] * amps,
        }
        return Source(ArrayRecording(RATE, signals), self.seconds)

    def codes(self) -> Iterator[Codes]:
        return front_end(default_board(), offset_counts=self.offset).codes(self.source())

    def metered(self) -> Metered:
        return on_engine("micropython", self.codes())


def shape(angle: NDArray[np.float64], harmonics: dict[int, float]) -> NDArray[np.float64]:
    """A wave whose fundamental has an rms of 1."""
    wave = np.sin(angle)
    for order, part in harmonics.items():
        wave += part * np.sin(order * angle)
    return math.sqrt(2) * wave


@cache
def reference(case: Case) -> Reference:
    source = case.source()
    made = Reference(RATE, source.duration)
    for block in source.blocks():
        made.add(block)
    return made


def gate(amps: float) -> float:
    return 2e-4 if amps >= 10 else 5e-4 if amps >= 3 else 1e-3


def grid() -> Iterator[object]:
    """Every combination; those that are not marked slow meet every value on each axis."""
    count = 0
    for lag_deg in POWER_FACTORS.values():
        for hertz in HERTZ:
            for harmonics in (False, True):
                for offset in (0.0, 100.0):
                    for k, pair in enumerate(PAIRS):
                        case = Case(pair, lag_deg, hertz, harmonics, offset)
                        slow = (count + k) % 2
                        yield pytest.param(case, marks=[pytest.mark.slow] if slow else [])
                    count += 1


@pytest.mark.parametrize("case", list(grid()))
def test_energy_is_within_the_gates(case: Case) -> None:
    result = case.metered().result
    true = reference(case)
    for element, expected, amps in zip(result["elements"], true.elements, case.amps):
        assert float(net_wh(element)) == pytest.approx(expected.wh, rel=gate(amps))
        assert element["amps_ua"] * 1e-6 == pytest.approx(expected.amps, rel=5e-3)
        assert element["volts_uv"] * 1e-6 == pytest.approx(expected.volts, rel=5e-4)
    total = true.delivered_wh - true.received_wh
    assert float(net_wh(result)) == pytest.approx(total, rel=gate(min(case.amps)))
    assert result["hertz_mhz"] == pytest.approx(1000 * case.hertz, abs=10)


def float_wh(codes: Codes, k: int, hertz: float) -> float:
    """Energy of element k (0 or 1) in float64 by the meter's algebra: about the means over whole
    cycles, the input that is converted first delayed by interpolation exact at `hertz`."""
    layout = default_board()
    v, i = (("v1", "i1"), ("v2", "i2"))[k]
    period = layout.frame_ticks / layout.tick_hz
    v1 = codes[:, layout.slot["v1"]].astype(np.float64)
    rising = np.flatnonzero((v1[:-1] < v1.mean()) & (v1[1:] >= v1.mean())) + 1
    whole = slice(rising[0], rising[-1])
    volts, amps = (codes[:, layout.slot[name]].astype(np.float64) for name in (v, i))
    volts -= volts[whole].mean()
    amps -= amps[whole].mean()
    ahead_s = (layout.slot_ns[i] - layout.slot_ns[v]) * 1e-9
    first, second = (amps, volts) if ahead_s >= 0 else (volts, amps)
    before = np.concatenate((first[:1], first[:-1]))
    f, angle = abs(ahead_s) / period, 2 * math.pi * hertz * period
    delayed = math.sin((1 - f) * angle) * first + math.sin(f * angle) * before
    watts = delayed / math.sin(angle) @ second * layout.nv_per_count * layout.na_per_count * 1e-18
    return float(watts) * period / 3600


@pytest.mark.parametrize(
    "case",
    [
        Case((10, 200)),
        Case((200, 10), lag_deg=60, hertz=50),
        Case((30, 10), lag_deg=-36.87, hertz=65, offset=100),
        Case((10, 100), lag_deg=60, hertz=60, harmonics=True, offset=-100),
        Case((100, 30), hertz=45, harmonics=True),
        Case((-100, 30), lag_deg=20, offset=37.3),
    ],
)
def test_integers_lose_nothing_against_float64(case: Case) -> None:
    codes = np.concatenate(list(case.codes()))
    result = on_engine("micropython", [codes]).result
    for k, element in enumerate(result["elements"]):
        assert float(net_wh(element)) == pytest.approx(float_wh(codes, k, case.hertz), rel=1e-6)
    assert abs(codes.astype(int) - MID).max() < MID  # nothing was clipped


@pytest.mark.parametrize(
    "case",
    [
        Case((200, 200), seconds=80),
        Case((30, 200), hertz=50, seconds=20),
        Case((30, 30), hertz=65, seconds=60, offset=-60),
        Case((100, 100), hertz=45, seconds=40, harmonics=True),
        Case((10, 3), seconds=80),
        Case((200, -150), seconds=40),
    ],
)
def test_edges_come_within_a_cycle_of_the_true_step(case: Case) -> None:
    layout = default_board()
    run = case.metered()
    true = reference(case)
    late = 1 / case.hertz + layout.frame_ticks / layout.tick_hz
    for name, step in (("ten", 5), ("kwh", 500)):
        edges = [(at, lit) for which, lit, at in run.edges if which == name]
        assert len(edges) == register_wh(run.result["delivered"]) // step
        assert [lit for _, lit in edges] == [bool(k % 2) for k in range(len(edges))]
        expected = true.crossings(step)
        assert len(edges) == len(expected)
        for (ticks, _), at in zip(edges, expected):
            # Early by no more than the energy is in error.
            assert -1e-3 - 5e-5 * at <= ticks / layout.tick_hz - at <= late
