"""Waves that mislead meters: steep pulses, an inverter's ripple, and the waves of type tests.

Flow: waves here -> CT and filter here -> laboratory's front end and meter -> error -> rows.
The truth is the float64 mean of volts times amperes of the wave itself, ahead of CT and filter.

Where the waves are from:
- Steep pulses: F. Leferink, C. Keyer and A. Melentjev, "Static energy meter errors caused by
  conducted electromagnetic interference", IEEE Electromagnetic Compatibility Magazine (2016):
  certified meters were -46 to +582 % off with dimmed lamps.  Z. Marais and others, "Sensitivity of
  static energy meter reading errors to changes in non-sinusoidal load conditions" (2019), of EMPIR
  17NRM02 MeterEMI: phase-fired heaters and lamps, from almost nothing to five times the energy.
- Ripple: 2 to 150 kHz, the band of IEC 61000-4-19 (2014).
- The others: the influence tests of OIML R 46-1/-2 (2012), 3.3 and 6.3.

A limit is the base limit of class 0.2 and what an influence may add to it, in the shape of R 46's
class D.  As all gates they are the project's own, set without the text at hand and quoted from
none; so are the harmonics of the quadriform and the peaked wave.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tools.accuracy.gates import CLASS_AMPS, TEST_AMPS, VOLTS
from tools.accuracy.laboratory import CT_LEAD_DEG, Setup, meter_functions, row
from tools.front_end.waves import Floats

# The low-pass at each of the converter's inputs, boards/README.md: 3.35 kHz.
FILTER_OHM, FILTER_F = 1010.7, 47e-9
# By what part mains is beside nominal: as two crystals are beside each other.  At nominal the
# samples would fall on the same places of every pulse for ever (`keeping_step`).
_BESIDE = 37e-6
# Of a cycle: 0.5 us where edges are steep, 4 us elsewhere.
_FINE, _COARSE = 1 << 15, 1 << 12
_SECONDS = 20.0
# Waves that keep step are the same in every cycle.
_IN_STEP_S = 4.0

# Percent: base limits at power factor 1 and 0.5, and what is added by influence.
_BASE, _BASE_HALF = 0.2, 0.3
_BY_VOLTAGE, _BY_FREQUENCY = 0.1, 0.1
_BY_SEVERE_VOLTAGE = 3 * _BY_VOLTAGE
_BY_HARMONICS = 0.2
_BY_PHASE_FIRED = 0.4
_BY_BURSTS, _BY_LOST_LINE, _BY_HIGH_ORDER = 0.5, 0.5, 0.5
_BY_DC = 1.0

# The quadriform wave, with a steep and flat-topped current: harmonic -> part of the fundamental.
# Those of the voltage are at 180 degrees.
_QUADRIFORM_AMPS = {3: 0.30, 5: 0.18, 7: 0.14, 11: 0.09, 13: 0.05}
_QUADRIFORM_VOLTS = {3: 0.038, 5: 0.024, 7: 0.017, 11: 0.010, 13: 0.008}
# The peaked wave is of the same harmonics, with these turned round, in volts and amperes.
_TURNED = (3, 7, 11)


@dataclass(frozen=True, kw_only=True)
class Load:
    """A load for each element, the second mirrored: a resistor, unless a kind below says more.

    lag_deg  by which the current lags
    """

    per_cycle: ClassVar[int] = _COARSE
    lag_deg: float = 0.0

    @property
    def cycles(self) -> int:
        """After which the wave repeats."""
        return 1

    def period_s(self, hertz: float) -> float:
        return self.cycles / hertz

    def element(self, t: Floats, hertz: float) -> tuple[Floats, Floats]:
        """Volts, and amperes of a load of 1 A (what it would take of the unchanged sine), at so
        many seconds."""
        angle = 2 * np.pi * hertz * t
        volts = math.sqrt(2) * VOLTS * np.sin(angle)
        return volts, math.sqrt(2) * np.sin(angle - math.radians(self.lag_deg))

    def inputs(self, t: Floats, hertz: float) -> dict[str, Floats]:
        volts, amps = self.element(t, hertz)
        return {"v1": volts, "i1": amps, "v2": -volts, "i2": -amps}


@dataclass(frozen=True, kw_only=True)
class PhaseCut(Load):
    """A resistor behind a dimmer: on from `fired_deg` of each half cycle; its current rises within
    `rise_us`."""

    per_cycle: ClassVar[int] = _FINE
    fired_deg: float
    rise_us: float

    def element(self, t: Floats, hertz: float) -> tuple[Floats, Floats]:
        volts, amps = super().element(t, hertz)
        return volts, amps * np.clip(self._after_s(t, hertz) / (self.rise_us * 1e-6), 0, 1)

    def _after_s(self, t: Floats, hertz: float) -> Floats:
        """Since it was fired, below zero before."""
        return np.mod(t, 0.5 / hertz) - self.fired_deg / 360 / hertz


@dataclass(frozen=True, kw_only=True)
class Pulses(PhaseCut):
    """A dimmed lamp: a short pulse in each half cycle, from `fired_deg` on, that rises and falls
    within `rise_us` and is as long as `crest` (peak over rms, which is 1 A) makes it."""

    crest: float

    def element(self, t: Floats, hertz: float) -> tuple[Floats, Floats]:
        volts, _ = Load.element(self, t, hertz)
        rise = self.rise_us * 1e-6
        flat = 0.5 / hertz / self.crest**2 - 2 / 3 * rise
        x = self._after_s(t, hertz)
        pulse = np.clip(np.minimum(x / rise, 2 + (flat - x) / rise), 0, 1)
        return volts, self.crest * pulse * np.sign(np.sin(2 * np.pi * hertz * t))


@dataclass(frozen=True, kw_only=True)
class Harmonics(Load):
    """Harmonics of volts and amperes: order -> part of the fundamental."""

    of_volts: Mapping[int, float] = field(default_factory=dict)
    of_amps: Mapping[int, float] = field(default_factory=dict)

    def element(self, t: Floats, hertz: float) -> tuple[Floats, Floats]:
        volts, amps = super().element(t, hertz)
        angle = 2 * np.pi * hertz * t
        for wave, scale, parts in ((volts, VOLTS, self.of_volts), (amps, 1.0, self.of_amps)):
            for order, part in parts.items():
                wave += part * math.sqrt(2) * scale * np.sin(order * angle)
        return volts, amps


@dataclass(frozen=True, kw_only=True)
class Bursts(Load):
    """Two cycles on, two off."""

    @property
    def cycles(self) -> int:
        return 4

    def element(self, t: Floats, hertz: float) -> tuple[Floats, Floats]:
        volts, amps = super().element(t, hertz)
        return volts, amps * (np.mod(t * hertz, 4) < 2)


@dataclass(frozen=True, kw_only=True)
class HalfWave(Load):
    """A resistor behind a diode: what a half-wave rectifier takes.

    The truth is all of the load's energy: the DC that a CT does not pass carries none, as there is
    none in the voltage.  A core that DC saturates is not modelled; such loads need a CT made for
    DC.
    """

    def element(self, t: Floats, hertz: float) -> tuple[Floats, Floats]:
        volts, amps = super().element(t, hertz)
        return volts, np.maximum(amps, 0)


@dataclass(frozen=True, kw_only=True)
class Steps(Load):
    """Voltage and frequency that jump every second between two parts of nominal, beside a crossing
    of zero and without a jump of phase."""

    of_volts: tuple[float, float] = (1.0, 1.0)
    of_hertz: tuple[float, float] = (1.0, 1.0)

    def _lengths(self, hertz: float) -> tuple[float, float]:
        """Seconds: 60.3 cycles, then 59.7."""
        first, then = self.of_hertz
        return 60.3 / (first * hertz), 59.7 / (then * hertz)

    def period_s(self, hertz: float) -> float:
        return sum(self._lengths(hertz))

    @property
    def cycles(self) -> int:
        return 120

    def element(self, t: Floats, hertz: float) -> tuple[Floats, Floats]:
        length, _ = self._lengths(hertz)
        before = t < length
        first, then = self.of_hertz
        volts, amps = super().element(
            np.where(before, first * t, first * length + then * (t - length)), hertz
        )
        part = np.where(before, *self.of_volts)
        return part * volts, part * amps


@dataclass(frozen=True, kw_only=True)
class LostLine(Load):
    """One line's voltage is gone for 60.3 cycles of 240, and the current of its element flows on,
    as on a test bench."""

    line: int

    @property
    def cycles(self) -> int:
        return 240

    def inputs(self, t: Floats, hertz: float) -> dict[str, Floats]:
        signals = super().inputs(t, hertz)
        x = t * hertz
        signals[f"v{self.line}"] *= (x < 90.1) | (x >= 150.4)
        return signals


@dataclass(frozen=True)
class Ripple:
    """Of the current: `part` of the load's fundamental at so many kHz, to which is added so many
    times mains (where that is a board's rate, the ripple comes out as mains), and off_hz."""

    part: float
    khz: float
    mains: int = 0
    off_hz: float = 0.0

    def hertz(self, mains_hz: float) -> float:
        return 1000 * self.khz + self.mains * mains_hz + self.off_hz


@dataclass(frozen=True)
class Wave:
    """A gate: a load of so many amperes on each element, with a limit on the error of its
    energy."""

    gate: str
    limit_percent: float
    amps: float
    load: Load
    ripple: Ripple | None = None

    @property
    def power_factor(self) -> float:
        """The row's, which tells loads apart: of the sine that is behind the wave."""
        return round(math.cos(math.radians(self.load.lag_deg)), 4)

    def signals(self, hertz: float) -> dict[str, Floats]:
        """Volts and amperes by input over a period, sampled in the middle of equal parts; without
        the ripple, which carries no energy at a voltage that has none."""
        n = self.load.cycles * self.load.per_cycle
        t = (np.arange(n) + 0.5) / n * self.load.period_s(hertz)
        signals = self.load.inputs(t, hertz)
        return {k: x * (self.amps if k[0] == "i" else 1.0) for k, x in signals.items()}

    def true_watts(self, hertz: float) -> tuple[float, float]:
        """Mean watts of each element; no cycle of these waves flows back."""
        s = self.signals(hertz)
        return float(np.mean(s["v1"] * s["i1"])), float(np.mean(s["v2"] * s["i2"]))


@dataclass(frozen=True)
class Chain:
    """What a signal passes before it is converted: a CT, a high-pass that leads by CT_LEAD_DEG at
    hertz, and the filter.  Gain and delay at hertz are taken out: the front end has the delay, and
    the gain is what calibration finds.
    """

    hertz: float
    is_current: bool
    filtered: bool = True

    def __call__(self, hertz: Floats) -> NDArray[np.complex128]:
        """The response at so many hertz, 1 at mains; no frequency but 0 below zero."""
        mains = complex(self._raw(np.array([self.hertz]))[0])
        turned = np.exp(-1j * np.angle(mains) * hertz / self.hertz)
        return self._raw(hertz) / abs(mains) * turned

    def _raw(self, hertz: Floats) -> NDArray[np.complex128]:
        response = np.ones(hertz.shape, dtype=np.complex128)
        if self.filtered:
            response /= 1 + 2j * np.pi * hertz * FILTER_OHM * FILTER_F
        if self.is_current:
            corner = self.hertz * math.tan(math.radians(CT_LEAD_DEG))
            response *= hertz / (hertz - 1j * corner)
        return response


class Input:
    """What stands at an input of the converter, at any instant: the wave behind the chain from a
    table of its period, and the ripple (amperes peak, hertz) as the sine it is.

    late_s  all of it is so much earlier, so that conversions meet other places
    """

    def __init__(
        self,
        wave: Floats,
        period_s: float,
        chain: Chain,
        ripple: tuple[float, float] = (0.0, 0.0),
        late_s: float = 0.0,
    ) -> None:
        response = chain(np.arange(wave.size // 2 + 1) / period_s)
        passed = np.fft.irfft(np.fft.rfft(wave) * response, wave.size)
        self._table = np.concatenate((passed[-1:], passed, passed[:1]))
        self._size = wave.size
        self._period_s = period_s
        self._late_s = late_s
        peak, self._hertz = ripple
        left = complex(chain(np.array([self._hertz]))[0])
        self._peak, self._angle = peak * abs(left), float(np.angle(left))

    def __call__(self, t: Floats) -> Floats:
        t = t + self._late_s
        turns = t / self._period_s
        at = (turns - np.floor(turns)) * self._size + 0.5
        k = at.astype(np.intp)
        at -= k
        value = self._table[k] * (1 - at) + self._table[k + 1] * at
        if self._peak:
            value += self._peak * np.sin(2 * np.pi * self._hertz * t + self._angle)
        return value


def _steep() -> Iterator[Wave]:
    """Heaters and lamps that are dimmed by phase, at 90 degrees as in R 46, and narrow pulses."""
    limit = _BASE + _BY_PHASE_FIRED
    for angle in (45, 90, 135):
        for rise in (10, 50, 200):
            cut = PhaseCut(fired_deg=angle, rise_us=rise)
            yield Wave(f"fired {angle}, {rise} us", limit, TEST_AMPS, cut)
    for crest, angle, rise in (
        (5, 45, 10),
        (5, 90, 200),
        (10, 45, 10),
        (10, 90, 10),
        (10, 90, 50),
        (10, 90, 100),
        (10, 135, 10),
    ):
        pulses = Pulses(crest=crest, fired_deg=angle, rise_us=rise)
        yield Wave(f"crest {crest} at {angle}, {rise} us", limit, TEST_AMPS / 2, pulses)


def _rippled() -> Iterator[Wave]:
    """An inverter's ripple, and one whose carrier or sideband comes out, at 10 kHz, within some
    hertz of DC or mains: crystals differ by 30 ppm and more."""
    limit = _BASE + _BY_HIGH_ORDER
    for part in (0.01, 0.1):
        for khz in (2.5, 4.7, 16.3, 98.7):
            gate = f"ripple {100 * part:g} %, {khz:g} kHz"
            yield Wave(gate, limit, TEST_AMPS, Load(), Ripple(part, khz))
    for khz in (10.0, 20.0, 50.0, 150.0):
        for mains in (-1, 0, 1):
            gate = f"ripple 10 %, {khz:g} kHz" + {-1: " - mains", 0: "", 1: " + mains"}[mains]
            ripple = Ripple(0.1, khz, mains, 0.03 * khz + 0.07)
            yield Wave(gate, limit, TEST_AMPS, Load(), ripple)


def _of_type_tests() -> Iterator[Wave]:
    """R 46's other waves."""
    flat = {n: -part for n, part in _QUADRIFORM_VOLTS.items()}
    harmonics = Harmonics(of_volts=flat, of_amps=_QUADRIFORM_AMPS)
    yield Wave("quadriform", _BASE + _BY_HARMONICS, TEST_AMPS, harmonics)
    harmonics = Harmonics(of_volts=_turned(flat), of_amps=_turned(_QUADRIFORM_AMPS))
    yield Wave("peaked", _BASE + _BY_HARMONICS, TEST_AMPS, harmonics)
    yield Wave("bursts", _BASE + _BY_BURSTS, TEST_AMPS, Bursts())
    for amps in (TEST_AMPS, CLASS_AMPS / 2):
        yield Wave("half-wave by CT", _BASE + _BY_DC, amps, HalfWave())
    jump = Steps(of_volts=(0.9, 1.1))
    yield Wave("volts jump, 90 to 110 %", _BASE + _BY_VOLTAGE, TEST_AMPS, jump)
    jump = Steps(of_volts=(0.8, 1.15))
    yield Wave("volts jump, 80 to 115 %", _BASE + _BY_SEVERE_VOLTAGE, TEST_AMPS, jump)
    for base, lag_deg in ((_BASE, 0.0), (_BASE_HALF, 60.0)):
        jump = Steps(lag_deg=lag_deg, of_hertz=(0.98, 1.02))
        yield Wave("hertz jump, 98 to 102 %", base + _BY_FREQUENCY, TEST_AMPS, jump)
    for line in (1, 2):
        yield Wave(f"line {line} lost", _BASE + _BY_LOST_LINE, TEST_AMPS, LostLine(line=line))


def _turned(parts: Mapping[int, float]) -> dict[int, float]:
    return {n: -part if n in _TURNED else part for n, part in parts.items()}


WAVES = (*_steep(), *_rippled(), *_of_type_tests())


def rows(
    pool: Executor,
    bench: Sequence[tuple[Setup, float, dict[str, Any]]],
    waves: Sequence[Wave] = WAVES,
) -> list[dict[str, Any]]:
    """A row a wave, mains and converter, as in accuracy.json: the worst of both elements, and of
    setups that differ by their seeds only.

    bench  setups, each with a mains frequency and its constants for that
    """
    jobs = [
        (setup, hertz, wave, pool.submit(errors_percent, setup, wave, hertz, constants))
        for setup, hertz, constants in bench
        for wave in waves
    ]
    worst: dict[tuple[Any, ...], dict[str, Any]] = {}
    for setup, hertz, wave, job in jobs:
        key = (setup.adc, setup.name, hertz, wave.gate, wave.amps, wave.power_factor)
        error, limit = max(job.result(), key=abs), round(wave.limit_percent, 4)
        if key not in worst or abs(error) > abs(worst[key]["error_percent"]):
            worst[key] = row(wave.gate, setup, hertz, wave.amps, wave.power_factor, error, limit)
    return list(worst.values())


def errors_percent(
    setup: Setup,
    wave: Wave,
    hertz: float,
    constants: dict[str, Any],
    beside: float = _BESIDE,
    filtered: bool = True,
    late_s: float = 0.0,
    at_least_s: float = _SECONDS,
) -> tuple[float, float]:
    """Of the energy delivered on each element, in whole periods of the wave, of mains that is
    `beside` hertz by this part."""
    mains = hertz * (1 + beside)
    layout = setup.layout
    period_s = wave.load.period_s(mains)
    seconds = math.ceil(at_least_s / period_s) * period_s
    frames = round(seconds * layout.tick_hz / layout.frame_ticks)
    ripple = (0.0, 0.0)
    if wave.ripple is not None:
        ripple = wave.ripple.part * math.sqrt(2) * wave.amps, wave.ripple.hertz(mains)
    inputs = {}
    for name, signal in wave.signals(mains).items():
        is_current = name[0] == "i"
        chain = Chain(hertz, is_current, filtered)
        of_input = ripple if is_current else (0.0, 0.0)
        inputs[name] = Input(signal, period_s, chain, of_input, late_s)
    result = meter_functions(setup, inputs, frames, hertz, constants)
    hours = result["ticks"] / layout.tick_hz / 3600
    one, two = (
        100 * (float(e["delivered"]["wh"]) / (true * hours) - 1)
        for e, true in zip(result["elements"], wave.true_watts(mains))
    )
    return one, two


def keeping_step(
    pool: Executor, setup: Setup, hertz: float, constants: dict[str, Any]
) -> list[tuple[str, float, float]]:
    """What only a filter can make less, and so no gate: (wave, worst error % without the filter,
    with it) of waves that are sampled at the same places of every cycle for as long as they last.

    A ripple that comes out as mains is metered as mains, and a pulse as wide as its samples are
    apart counts for one sample or for none.  Mains against a board's crystal never holds still so
    well: with 37 ppm between them the places wander through in 3 s, and the errors cancel.
    """
    frame_s = setup.layout.frame_ticks / setup.layout.tick_hz
    waves = [
        Wave(f"ripple 10 %, {khz:g} kHz - mains", 0.0, TEST_AMPS, Load(), Ripple(0.1, khz, -1))
        for khz in (10.0, 20.0, 50.0, 150.0)
    ]
    waves += [w for w in WAVES if w.gate in ("fired 135, 10 us", "crest 10 at 90, 10 us")]
    jobs = []
    for wave in waves:
        repeats_s = 1 / wave.ripple.hertz(hertz) if wave.ripple else frame_s
        jobs += [
            (wave, filtered, pool.submit(errors_percent, setup, wave, hertz, constants, *how))
            for filtered in (False, True)
            for k in range(8)
            for how in [(0.0, filtered, k / 8 * repeats_s, _IN_STEP_S)]
        ]
    worst: dict[tuple[str, bool], float] = {}
    for wave, filtered, job in jobs:
        for error in job.result():
            key = wave.gate, filtered
            worst[key] = max(worst.get(key, 0.0), error, key=abs)
    return [(w.gate, worst[w.gate, False], worst[w.gate, True]) for w in waves]
