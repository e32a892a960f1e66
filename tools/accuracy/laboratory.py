"""A bench on the host: a front end with the errors of real CTs, a meter, loads, and a calibration.

Flow: load -> front end and ADC model -> metering module on an engine -> error against what the
load took in truth.  The truth is float64 arithmetic on the wave itself.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from threewire.metering.layout import SENSOR, Layout
from tools.accuracy.gates import TEST_AMPS, Load
from tools.common import boards
from tools.engines import process as engine_process
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.model import FrontEnd
from tools.front_end.waves import Wave, shape
from tools.linearity import learn as linearity
from tools.solve import solver

# Errors of phase that calibration has to find, degrees at the mains frequency.
CT_LEAD_DEG = 1.2
DIVIDER_LAG_DEG = 0.2
# Samples of a cycle from which waves are made, and the cycles of a loop.
_PER_CYCLE = 256
_LOOP_CYCLES = 50
# The signal from which the converter's steps are learnt: a sine near full scale.
_LEARN_COUNTS = 1900.0
_LEARN_HZ = 50.3
_LEARN_S = 60.0
# A calibration reads the meter for so long at each load.
_CALIBRATE_S = 20.0
# The reference instrument is exact but for this: standard uncertainty in percent of V, A and W.
_EXACT = (0.001, 0.001, 0.001)
# Longer runs repeat so much of the converter's codes, from another cycle on each time.
_UNIQUE_S = 600.0
# Frames the front end hands on at once.
_BLOCK_FRAMES = 4 * engine_process.BLOCK_FRAMES


@dataclass(frozen=True)
class Setup:
    """What is on the bench: board, sampler in place of the board file's, ADC model and its seed,
    the engine that meters, whether the chip's temperature sensor has a slot, and how much warmer
    than at calibration it is, with the drift of the ADC's reference."""

    board: str = boards.DEFAULT
    sampler: dict[str, Any] | None = None
    adc: str = "real"
    seed: int = 1
    engine: str = "micropython"
    has_sensor: bool = False
    kelvin: float = 0.0
    reference_ppm: float = 0.0

    @property
    def layout(self) -> Layout:
        if self.sampler is None and self.slots is None:
            return boards.load(self.board)
        changes = {"SAMPLER": self.sampler, "SLOTS": self.slots}
        settings = vars(boards.module(self.board)) | {
            name: value for name, value in changes.items() if value is not None
        }
        return Layout(SimpleNamespace(**settings))

    @property
    def slots(self) -> tuple[tuple[str, int | None], ...] | None:
        """SLOTS in place of the board file's."""
        if not self.has_sensor:
            return None
        return (*boards.module(self.board).SLOTS, (SENSOR, None))

    @property
    def name(self) -> str:
        """The board, with its rate where the sampler is not its own."""
        if self.sampler is None:
            return self.board
        hertz = self.layout.tick_hz // self.layout.frame_ticks
        return f"{self.board} by {self.sampler['kind']} at {hertz} Hz"

    def front_end(self, **options: Any) -> FrontEnd:
        return FrontEnd.of(
            self.layout,
            adc=self.adc,
            seed=self.seed,
            kelvin=self.kelvin,
            reference_ppm=self.reference_ppm,
            **options,
        )


@dataclass(frozen=True)
class Metered:
    """What the meter made of a load.  errors_percent by element, None without load; wh is what it
    registered in any register, in all."""

    errors_percent: tuple[float | None, float | None]
    wh: float
    result: dict[str, Any]


def waves(load: Load) -> tuple[ArrayRecording, float]:
    """The load's volts and amperes over whole cycles, split phase, and the watts of an element
    that carries it."""
    rate = load.hertz * _PER_CYCLE
    angle = 2 * math.pi * np.arange(_PER_CYCLE) / _PER_CYCLE + math.radians(load.start_deg)
    volts = math.sqrt(2) * load.volts * np.sin(angle)
    lagging = angle - math.radians(load.lag_deg)
    current = shape(lagging, load.harmonics)
    if load.half_wave:
        current = np.maximum(current, 0.0)
    amps = math.sqrt(2) * load.amps * current
    one, two = load.elements
    signals = {"v1": volts, "i1": one * amps, "v2": -volts, "i2": -two * amps}
    looped = {name: np.tile(wave, _LOOP_CYCLES) for name, wave in signals.items()}
    return ArrayRecording(rate, looped), float(np.mean(volts * amps))


def meter(setup: Setup, load: Load, calibration: dict[str, Any]) -> Metered:
    """Meters a load for its seconds (rounded to whole cycles)."""
    recording, watts = waves(load)
    result = meter_wave(setup, recording, load.seconds, load.hertz, calibration)
    hours = result["ticks"] / setup.layout.tick_hz / 3600
    errors: list[float | None] = []
    for e, carries in zip(result["elements"], load.elements):
        net = float(e["delivered"]["wh"]) - float(e["received"]["wh"])
        errors.append(100 * (net / (watts * hours) - 1) if carries and watts else None)
    registers = [result, *result["elements"]]
    wh = sum(float(r[way]["wh"]) for r in registers for way in ("delivered", "received"))
    return Metered((errors[0], errors[1]), wh, result)


class Condition(Protocol):
    """What both elements are metered under, with the current `lag_deg` behind its voltage."""

    @property
    def gate(self) -> str: ...
    @property
    def limit_percent(self) -> float: ...
    @property
    def lag_deg(self) -> float: ...


def row(
    gate: str,
    setup: Setup,
    mains_hz: float,
    amps: float,
    power_factor: float,
    error_percent: float,
    limit_percent: float,
) -> dict[str, Any]:
    """A row of accuracy.json."""
    return {
        "gate": gate,
        "adc": setup.adc,
        "board": setup.name,
        "mains_hz": mains_hz,
        "amps": amps,
        "power_factor": power_factor,
        "error_percent": error_percent,
        "limit_percent": limit_percent,
        "pass": abs(error_percent) <= limit_percent,
    }


def rows_of(
    jobs: Iterable[tuple[Setup, float, Condition, Future[tuple[float, float]]]], amps: float
) -> list[dict[str, Any]]:
    """A row a job, which gives percent of element 1 and 2: the worse of both.

    jobs  each with its setup, mains frequency and condition
    """
    return [
        row(
            condition.gate,
            setup,
            hertz,
            amps,
            round(math.cos(math.radians(condition.lag_deg)), 3),
            max(job.result(), key=abs),
            condition.limit_percent,
        )
        for setup, hertz, condition, job in jobs
    ]


def meter_wave(
    setup: Setup,
    recording: ArrayRecording,
    seconds: float,
    hertz: float,
    calibration: dict[str, Any],
) -> dict[str, Any]:
    """The engine's result of a looped wave, over so many seconds rounded to whole cycles."""
    cycles = round(seconds * hertz)
    unique = min(cycles, round(_UNIQUE_S * hertz))
    source = Source(recording, Fraction(unique) / Fraction(hertz))
    codes = _front_end(setup).codes(source, _BLOCK_FRAMES)
    if cycles > unique:
        codes = _repeated(list(codes), cycles // unique, setup.seed)
    return _metered(setup, codes, calibration)


def meter_functions(
    setup: Setup,
    waves: Mapping[str, Wave],
    frames: int,
    hertz: float,
    calibration: dict[str, Any],
    lost: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """The engine's result of volts and amperes as functions of time, over so many frames; hertz is
    the mains frequency at which the bench's errors of phase are.

    lost  (frames that come, frames that are lost) one after the other
    """
    codes = _front_end(setup).codes_of(waves, frames, hertz, _BLOCK_FRAMES)
    return _metered(setup, codes, calibration, lost)


def _front_end(setup: Setup) -> FrontEnd:
    return setup.front_end(ct_lead_deg=CT_LEAD_DEG, divider_lag_deg=DIVIDER_LAG_DEG)


def _metered(
    setup: Setup,
    codes: Iterable[NDArray[np.uint16]],
    calibration: dict[str, Any],
    lost: tuple[int, int] | None = None,
) -> dict[str, Any]:
    layout = setup.layout
    return engine_process.meter(
        setup.engine,
        codes,
        setup.board,
        calibration,
        layout.frame_ticks,
        layout.tick_hz,
        sampler=setup.sampler,
        slots=setup.slots,
        lost=lost,
    ).result


def _repeated(
    blocks: list[NDArray[np.uint16]], times: int, seed: int
) -> Iterator[NDArray[np.uint16]]:
    """The blocks `times` times, each time from another one on: without load nothing in them tells
    where a cycle begins but the voltage, and a jump of that is what an engine must bear."""
    draw = np.random.default_rng(seed)
    yield from blocks
    for _ in range(times - 1):
        first = int(draw.integers(len(blocks)))
        yield from blocks[first:]
        yield from blocks[:first]


def sensor_mean_q4(setup: Setup) -> int:
    """The mean code of the chip's temperature sensor in 1/16 count, of a second's frames."""
    load = Load(60.0, TEST_AMPS, 0.0)
    codes = _front_end(setup).codes(Source(waves(load)[0], Fraction(1)))
    return round(16 * float(np.concatenate([block[:, -1] for block in codes]).mean()))


def learn_steps(setup: Setup) -> dict[str, Any]:
    """The calibration's "adc" for this converter, from a capture of a large sine."""
    layout = setup.layout
    rate = _LEARN_HZ * _PER_CYCLE
    angle = 2 * math.pi * np.arange(_PER_CYCLE * _LOOP_CYCLES) / _PER_CYCLE
    volts = _LEARN_COUNTS * layout.nv_per_count * 1e-9 * np.sin(angle)
    nothing = np.zeros_like(volts)
    recording = ArrayRecording(rate, {"v1": volts, "i1": nothing, "v2": -volts, "i2": nothing})
    source = Source(recording, Fraction(_LEARN_S))
    slot = layout.slot["v1"]
    codes = np.concatenate([block[:, slot] for block in setup.front_end().codes(source)])
    return linearity.learn(codes).adc()


def calibrate(setup: Setup, hertz: float, straighten: bool = True) -> dict[str, Any]:
    """Constants found at test amperes, power factor 1 and 0.5, by the solver; with the real
    converter its steps are learnt first, unless it is not to be straightened."""
    constants: dict[str, Any] = {}
    if setup.adc == "real" and straighten:
        constants["adc"] = learn_steps(setup)
    points = []
    for name, lag_deg in (("unity", 0.0), ("half", 60.0)):
        load = Load(hertz, TEST_AMPS, lag_deg, seconds=_CALIBRATE_S)
        result = meter(setup, load, constants).result
        truth = (load.volts, load.amps, load.volts * load.amps * math.cos(math.radians(lag_deg)))
        for k, e in enumerate(result["elements"]):
            read = [e[key] / 1e6 for key in ("volts_uv", "amps_ua", "watts_uw", "vars_uw")]
            points.append(
                solver.Point(
                    f"{name}, element {k + 1}", k + 1, hertz, np.array([read]), truth, _EXACT
                )
            )
    return solver.solve(constants, setup.layout, points).constants


def at(load: Load, **changes: Any) -> Load:
    """The load with changes."""
    return replace(load, **changes)
