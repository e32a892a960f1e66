"""The accuracy gates: which loads are metered, and how far off each may be.

The project's own limits, in the shape of the class 0.2 and 0.5 tables of ANSI C12.20 and
IEC 62053-22 but quoted from neither; class amperes 200 A, test amperes 30 A, 120 V.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

CLASS_AMPS = 200.0
TEST_AMPS = 30.0
VOLTS = 120.0
MAINS_HZ = (50.0, 60.0)
# Power factor -> by how many degrees the current lags; a negative power factor leads.
POWER_FACTORS = {1.0: 0.0, 0.5: 60.0, -0.8: -36.8699}
# Which elements carry the load.
BOTH, FIRST, SECOND = (1, 1), (1, 0), (0, 1)
_HARMONICS = {3: 0.2, 5: 0.1, 7: 0.05}

# RP2040 model: percent at power factor 1, then at the others.
_REAL = {200.0: (0.2, 0.3), 100.0: (0.2, 0.3), 30.0: (0.2, 0.3), 3.0: (0.2, 0.3), 2.0: (0.4, 0.5)}
# Ideal converter: what one count of dither leaves.
_IDEAL = {200.0: 0.02, 100.0: 0.02, 30.0: 0.02, 10.0: 0.02, 3.0: 0.05, 2.0: 0.1}


@dataclass(frozen=True)
class Load:
    """What is on the mains.

    amps on each element that carries it (`elements`), current lagging by lag_deg; harmonics of the
    current as parts of its fundamental; half_wave: a rectified resistive load, alternate half
    waves of which are missing (amps are those of the unrectified one).
    """

    hertz: float
    amps: float
    lag_deg: float = 0.0
    volts: float = VOLTS
    elements: tuple[int, int] = BOTH
    harmonics: Mapping[int, float] = field(default_factory=dict)
    half_wave: bool = False
    seconds: float = 20.0
    start_deg: float = 0.0


@dataclass(frozen=True)
class Gate:
    """A limit on the error of one load, in percent of the reading.

    against  the error is the change from this load's; None: from the truth
    sigma    it is the standard deviation over ten runs that is limited
    """

    name: str
    load: Load
    power_factor: float
    limit_percent: float
    against: Load | None = None
    sigma: bool = False


def _loads(hertz: float, limits: Mapping[float, tuple[float, float]]) -> Iterator[Gate]:
    for amps, (at_unity, otherwise) in limits.items():
        for pf, lag in POWER_FACTORS.items():
            for elements in (BOTH, FIRST, SECOND):
                limit = at_unity if pf == 1 else otherwise
                yield Gate("load", Load(hertz, amps, lag, elements=elements), pf, limit)


def _influences(hertz: float, limit: float) -> Iterator[Gate]:
    normal = {pf: Load(hertz, TEST_AMPS, lag) for pf, lag in POWER_FACTORS.items()}
    for pf, load in normal.items():
        lag = load.lag_deg
        for part in (0.9, 1.1):
            changed = Load(hertz, TEST_AMPS, lag, VOLTS * part)
            yield Gate("voltage", changed, pf, 0.1 * limit, load)
        for part in (0.98, 1.02):
            changed = Load(hertz * part, TEST_AMPS, lag)
            yield Gate("frequency", changed, pf, 0.1 * limit, load)
        changed = Load(hertz, TEST_AMPS, lag, harmonics=_HARMONICS)
        yield Gate("harmonics", changed, pf, 0.2 * limit, load)
    yield Gate("half-wave", Load(hertz, TEST_AMPS, half_wave=True), 1.0, 1.0 * limit, normal[1.0])
    yield Gate("repeatability", normal[1.0], 1.0, 0.05 * limit, sigma=True)


def real(limit: float = 1.0) -> list[Gate]:
    """The gates of the RP2040 model; `limit` 1 for class 0.2, 2 for class 0.5."""
    gates: list[Gate] = []
    scaled = {amps: (a * limit, b * limit) for amps, (a, b) in _REAL.items()}
    for hertz in MAINS_HZ:
        gates += _loads(hertz, scaled)
        gates += _influences(hertz, limit)
        gates.append(Gate("starting", Load(hertz, 0.2, seconds=600.0), 1.0, 10.0))
        gates.append(
            Gate("no load", Load(hertz, 0.0, volts=1.15 * VOLTS, seconds=86400.0), 1.0, 0.0)
        )
    return gates


def ideal() -> list[Gate]:
    """The gates of the ideal converter."""
    limits = {amps: (limit, limit) for amps, limit in _IDEAL.items()}
    return [gate for hertz in MAINS_HZ for gate in _loads(hertz, limits)]


def short(gates: list[Gate]) -> list[Gate]:
    """Those that take a few seconds: one run each of the ends and the middle of the range."""
    return [
        gate
        for gate in gates
        if gate.load.seconds <= 20
        and gate.load.elements == BOTH
        and not gate.sigma
        and (gate.name != "load" or gate.load.amps in (200.0, 30.0, 3.0, 2.0))
    ]
