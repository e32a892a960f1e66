"""Gross energies: flow that turns round, loads that rest, and notches that reach zero.

Flow: waves here -> laboratory's front end and meter -> errors of delivered and received -> rows.
What is delivered and what is received is decided for each mains cycle: the truth is float64 sums
over the wave's own cycles.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.accuracy.gates import VOLTS
from tools.accuracy.laboratory import Setup, meter_wave, row
from tools.front_end.looping import ArrayRecording

HERTZ = 60.0
_PER_CYCLE = 400
_SECONDS = 60.0
# Beside a share of the energy, what alternation may miss, and what rest may register.
_MISSED_W, _AT_REST_W = 0.2, 0.02
_ALTERNATION_PERCENT, _NOTCHED_PERCENT = 0.1, 0.05


@dataclass(frozen=True)
class Wave:
    """A wave of both elements, element 2 mirrored.

    watts    of a cycle that carries load; the amperes are those at power factor 1
    turns    the flow turns round every so many cycles; 0: never
    on, of   the load is on in so many cycles of so many
    notched  commutation notches and rings through zero, with a current that lags by 60 degrees
    """

    gate: str
    watts: float
    turns: int = 0
    on: int = 1
    of: int = 1
    notched: bool = False

    @property
    def cycles(self) -> int:
        """After which the wave repeats."""
        return max(2 * self.turns, self.of)

    def signals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Volts and amperes over its cycles."""
        t = (np.arange(self.cycles * _PER_CYCLE) + 0.5) / _PER_CYCLE  # in cycles
        volts = math.sqrt(2) * VOLTS * np.sin(2 * np.pi * t)
        lag = np.pi / 3 if self.notched else 0.0
        amps = math.sqrt(2) * self.watts / VOLTS * np.sin(2 * np.pi * t - lag)
        cycle = np.floor(t)
        amps = amps * (cycle % self.of < self.on)
        if self.turns:
            amps = amps * np.where(cycle // self.turns % 2 < 1, 1, -1)
        if self.notched:
            # Behind each crest: down to zero for 300 us, with a ring of 3 kHz at either edge.
            x = np.mod(t - 0.25, 0.5) / HERTZ
            hole = np.clip(np.minimum(x / 4e-5, 1 - (x - 3e-4) / 4e-5), 0, 1)
            after = np.where(x < 3e-4, x, x - 3e-4)
            ring = np.exp(-after / 2e-4) * np.sin(2 * np.pi * 3000 * after)
            volts = volts * (1 - hole - 0.4 * np.where(x < 3e-4, ring, -ring))
        return volts, amps

    def true_watts(self) -> tuple[float, float, float]:
        """Mean delivered and received watts of an element, decided by the cycle, and its VA."""
        volts, amps = self.signals()
        by_cycle = (volts * amps).reshape(-1, _PER_CYCLE).mean(axis=1)
        delivered = float(np.maximum(by_cycle, 0).mean())
        received = float(-np.minimum(by_cycle, 0).mean())
        va = math.sqrt(float(np.mean(volts**2)) * float(np.mean(amps**2)))
        return delivered, received, va

    def errors(self, delivered_w: float, received_w: float) -> Iterator[tuple[str, float, float]]:
        """(gate, error, limit), both in percent, of what was registered of an element."""
        true_delivered, true_received, va = self.true_watts()
        if self.notched:
            net = delivered_w - received_w - (true_delivered - true_received)
            yield self.gate, 100 * net / (true_delivered - true_received), _NOTCHED_PERCENT
            yield f"{self.gate}, back", 100 * received_w / va, _NOTCHED_PERCENT
        elif self.turns:
            for found, true in ((delivered_w, true_delivered), (received_w, true_received)):
                off = found - true
                beyond = math.copysign(max(0.0, abs(off) - _MISSED_W), off)
                yield self.gate, 100 * beyond / true, _ALTERNATION_PERCENT
        else:
            yield self.gate, 100 * received_w / true_delivered, 100 * _AT_REST_W / true_delivered


WAVES = (
    *(Wave(f"turns in {n}", watts, turns=n) for n in (1, 7, 60) for watts in (50.0, 700.0, 20e3)),
    Wave("rests", 1500.0, on=6, of=60),
    Wave("notches", 3600.0, notched=True),
)


def rows(pool: Executor, bench: Sequence[tuple[Setup, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row a wave and setup, as in accuracy.json: the worst of both elements and ways.

    bench  setups, each with its constants for mains of HERTZ
    """
    jobs = [
        (setup, wave, pool.submit(_meter, setup, wave, constants))
        for setup, constants in bench
        for wave in WAVES
    ]
    made = []
    for setup, wave, job in jobs:
        worst: dict[str, tuple[float, float]] = {}
        for of_element in job.result():
            for gate, error, limit in wave.errors(*of_element):
                if gate not in worst or abs(error) > abs(worst[gate][0]):
                    worst[gate] = error, limit
        for gate, (error, limit) in worst.items():
            amps = round(wave.watts / VOLTS, 3)
            power_factor = 0.5 if wave.notched else 1.0
            made.append(row(gate, setup, HERTZ, amps, power_factor, error, round(limit, 4)))
    return made


def _meter(setup: Setup, wave: Wave, constants: dict[str, Any]) -> list[tuple[float, float]]:
    """Delivered and received watts of each element, over the time it was metered."""
    volts, amps = wave.signals()
    recording = ArrayRecording(
        _PER_CYCLE * HERTZ, {"v1": volts, "i1": amps, "v2": -volts, "i2": -amps}
    )
    seconds = round(_SECONDS * HERTZ / wave.cycles) * wave.cycles / HERTZ
    result = meter_wave(setup, recording, seconds, HERTZ, constants)
    hours = result["ticks"] / setup.layout.tick_hz / 3600
    return [
        (float(e["delivered"]["wh"]) / hours, float(e["received"]["wh"]) / hours)
        for e in result["elements"]
    ]
