"""What comes in at the pins: levels, noise, which pin is which slot, power where there is none.

Flow: subject's codes -> INPUT CHECKS -> rows.
"""

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from threewire.metering.kernel import MID
from threewire.metering.layout import SENSOR
from tools.common.errors import PortError
from tools.front_end.model import CALIBRATED_CELSIUS, sensor_code
from tools.selftest import programs
from tools.selftest.row import Row, judged, skipped
from tools.selftest.subject import Subject

# An input's mean is so near to mid-scale where it has its bias: 1 % resistors make 20 counts.
MOST_OFF = 200.0
# Beyond these a converter's input is at a rail; of this part of the codes.
LEAST_CODE, MOST_CODE = 8, 4087
MOST_RAILED_PART = 0.02
MOST_NOISE = 8.0
# Of the chip's sensor, as firmware/threewire/metering/temperature.py has them.
LEAST_SENSOR_CODE, MOST_SENSOR_CODE = 600, 1200
# Of a pin that is pulled up by 50 to 80 kOhm: against 5 kOhm of a bias network it rises by 0.1 V;
# one with nothing on it goes to the supply.
LEAST_RISE, BARE_RISE = 20.0, 1200.0
CLEARLY = 3.0
_SETTLE_MS = 500
# Whole cycles of 50 and of 60 Hz, so that a voltage that is on has no mean.
_WHOLE_MS = 100


class Pins(Struct, frozen=True):
    means: Annotated[
        list[Annotated[list[Annotated[int, Meta(ge=0, le=65535)]], Meta(max_length=5)]],
        Meta(min_length=1, max_length=5),
    ]


def noise(codes: NDArray[np.float64]) -> float:
    """Standard deviation of a converter's noise in counts, by third differences, in which a sine
    of mains and its harmonics hardly show: those of white noise have 20 times its variance."""
    return float(np.sqrt(np.mean(np.diff(codes, 3) ** 2) / 20))


def amplitude(codes: NDArray[np.float64], rate_hz: float, hertz: float) -> float:
    """Of the sine of this frequency, in counts, by least squares."""
    return abs(phasor(codes, rate_hz, hertz))


def phasor(codes: NDArray[np.float64], rate_hz: float, hertz: float) -> complex:
    """Of x = Re(phasor * exp(j w t)), t from the first frame on."""
    w = 2 * np.pi * hertz * np.arange(len(codes)) / rate_hz
    terms = np.column_stack((np.cos(w), np.sin(w), np.ones_like(w)))
    (a, b, _), *_ = np.linalg.lstsq(terms, codes, rcond=None)
    return complex(a, -b)


def inputs(subject: Subject, codes: NDArray[np.uint16]) -> list[Row]:
    """A row for each input, of codes (frames, slots)."""
    rate = 1e3 / subject.frame_ms
    return [
        _sensor(codes[:, k]) if name == SENSOR else _input(name, codes[:, k].astype(float), rate)
        for k, name in enumerate(subject.layout.slots)
    ]


def _sensor(codes: NDArray[np.uint16]) -> Row:
    mean = float(codes.mean())
    kelvin = (mean - sensor_code(0.0)) / (sensor_code(1.0) - sensor_code(0.0))
    said = f"mean {mean:.1f} counts, some {CALIBRATED_CELSIUS + kelvin:.0f} degrees Celsius"
    holds = LEAST_SENSOR_CODE <= mean <= MOST_SENSOR_CODE
    if not holds:
        said += f"; it is a temperature from {LEAST_SENSOR_CODE} to {MOST_SENSOR_CODE}"
    return judged(SENSOR, holds, said, mean=mean, calibrated_code_q4=round(16 * mean))


def _input(name: str, codes: NDArray[np.float64], rate_hz: float) -> Row:
    mean = float(codes.mean())
    railed = float(np.mean((codes <= LEAST_CODE) | (codes >= MOST_CODE)))
    sigma = noise(codes)
    sines = {hertz: amplitude(codes, rate_hz, hertz) for hertz in (50, 60)}
    wrong = []
    if railed > MOST_RAILED_PART:
        wrong.append(f"railed for {railed:.0%} of the time")
    elif np.ptp(codes) == 0:
        wrong.append("stuck: a converter has noise")
    elif abs(mean - MID) > MOST_OFF:
        wrong.append(f"its bias is off mid-scale ({MID}) by more than {MOST_OFF:g}")
    if sigma > MOST_NOISE:
        wrong.append(f"more noise than {MOST_NOISE:g} counts")
    said = (
        f"mean {mean:.1f}, noise {sigma:.2f} counts, {sines[50]:.1f} counts peak at 50 Hz and "
        f"{sines[60]:.1f} at 60 Hz"
    )
    return judged(
        f"input {name}",
        not wrong,
        "; ".join([said, *wrong]),
        mean=mean,
        noise=sigma,
        railed_part=railed,
        peak_50_hz=sines[50],
        peak_60_hz=sines[60],
    )


def pins(subject: Subject) -> list[Row]:
    """Whether each pin is its slot's: pulled up, no other slot's codes rise as much."""
    names = list(subject.layout.slots)
    led_out = [(name, pin) for name, pin in subject.module.SLOTS if name != SENSOR]
    if subject.chip.pads is None:
        return [
            skipped(f"pin {name}", "this chip's inputs have no pull-up") for name, _ in led_out
        ]
    frames = round(_WHOLE_MS / subject.frame_ms)
    told = subject.ask(
        programs.PINS.format(
            ms=_SETTLE_MS,
            frames=frames,
            pins=[pin for _, pin in led_out],
            pads=subject.chip.pads,
        ),
        Pins,
    )
    sizes = [len(row) for row in told.means]
    expected = [subject.layout.stride] * (1 + len(led_out))
    if sizes != expected:
        raise PortError(
            f"means of {sizes} inputs came, expected {expected}: a poor cable? Try again"
        )
    before, *pulled = (np.array(row) / 16 for row in told.means)
    return [
        _pin(name, pin, k, row - before, names)
        for k, ((name, pin), row) in enumerate(zip(led_out, pulled))
    ]


def _pin(name: str, pin: int, slot: int, rises: NDArray[np.float64], names: list[str]) -> Row:
    own = float(rises[slot])
    others = np.delete(rises, slot)
    most = float(others.max(initial=0.0))
    said = f"GPIO{pin} pulled up: its slot rises by {own:.0f} counts, no other by more than "
    said += f"{most:.0f}"
    holds = own >= LEAST_RISE and own >= CLEARLY * most
    if not holds and most > own:
        said += f": it is slot {names[int(rises.argmax())]} that rises"
    elif own >= BARE_RISE:
        said += ": nothing is on it"
    return judged(
        f"pin {name}",
        holds,
        said,
        rise=own,
        most_of_others=most,
        is_bare=own >= BARE_RISE,
    )


def phantom(subject: Subject, codes: NDArray[np.uint16], is_unloaded: bool) -> list[Row]:
    """Power of each element, in phase and in quadrature, where the operator says that there is
    voltage and no load."""
    layout = subject.layout
    rate = 1e3 / subject.frame_ms
    hertz = layout.nominal_hz
    starting = layout.starting_mw / 1e3
    found = []
    for k in (1, 2):
        name = f"phantom {k}"
        current = codes[:, layout.slot[f"i{k}"]].astype(float)
        v = phasor(codes[:, layout.slot[f"v{k}"]].astype(float), rate, hertz)
        i = phasor(current, rate, hertz)
        volts = abs(v) / np.sqrt(2) * layout.nv_per_count / 1e9
        power = v * i.conjugate() / 2 * layout.nv_per_count * layout.na_per_count / 1e18
        # A derived voltage is minus that of its slot.
        power *= layout.sign[f"v{k}"] * layout.sign[f"i{k}"]
        said = f"{power.real:+.1f} W, {power.imag:+.1f} var at {volts:.1f} V by nominal constants"
        figures = {"watts": power.real, "var": power.imag, "volts": float(volts)}
        if volts < layout.nominal_volts / 2:
            found.append(skipped(name, f"no voltage ({volts:.1f} V)", **figures))
        elif not is_unloaded:
            said += ": with no load on, ask for a verdict by --no-load"
            found.append(skipped(name, said, **figures))
        else:
            said += f" (at most {starting:g} W)"
            found.append(judged(name, abs(power.real) < starting, said, **figures))
    return found
