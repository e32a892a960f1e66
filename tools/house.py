"""A house to meter: its own generator of a 120/240 V recording, for the demo and for long runs.

Every load's current follows from the voltage waveform: heating elements, a capacitor-input power
supply, a dimmer, motors with inrush, and inverters that export. Computed block by block from the
time alone, so that hours need no memory and any part can be had at once.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/house.py
    sys.path[0] += "/.."
    __import__("tools")

import math
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.common import command
from tools.common.errors import InputError
from tools.common.files import check_writable, replacing
from tools.common.options import Parser
from tools.front_end.looping import Floats, MadeRecording
from tools.recordings.types import INPUTS

RATE_HZ = 8000.0
# The story below takes this long and then begins again.
STORY_S = 600.0

_VOLTS = 121.5  # each leg, rms, without load
_HERTZ = 60.0
# The mains frequency swings by this much either way, this slowly.
_DRIFT_HZ, _DRIFT_S = 0.03, 97.0
# What service drop and transformer have in series: volts of sag an ampere of the leg.
_OHMS = 0.035
# Flat-topped by everybody's power supplies: third and fifth harmonic of the voltage.
_THIRD, _FIFTH = 0.014, -0.008
# Steps of a waveform table over one cycle.
_STEPS = 4096


@dataclass(frozen=True)
class Load:
    """A load: its kind, legs (0, 1), watts at 120 or 240 V, and when it is on, in story seconds.

    A load on both legs sits between them, at 240 V. Watts below zero are pushed into the mains.
    """

    kind: str
    legs: tuple[int, ...]
    watts: float
    on: tuple[tuple[float, float], ...]

    @property
    def amps(self) -> float:
        """Active current, rms, at nominal voltage."""
        return self.watts / (120.0 * len(self.legs))


# Motors: power factor, inrush over running current, and the inrush's time constant in seconds.
_MOTORS = {"fridge": (0.70, 6.0, 0.12), "compressor": (0.85, 4.0, 0.35)}
# Seconds over which an inverter ramps up and down.
_RAMP_S = 2.0

_ALWAYS = ((0.0, STORY_S),)
# A quiet start, heavy loads, an export spell (line 1 alone, then both), heavy loads again.
_STORY = (
    Load("supply", (0,), 900.0, _ALWAYS),
    Load("supply", (1,), 650.0, _ALWAYS),
    Load("dimmer", (0,), 250.0, ((0.0, 255.0), (350.0, STORY_S))),
    Load("fridge", (1,), 180.0, ((8.0, 120.0), (365.0, 480.0))),
    Load("heater", (0, 1), 4500.0, ((20.0, 200.0), (430.0, 560.0))),  # hot water
    Load("heater", (0, 1), 9600.0, ((40.0, 245.0), (352.0, 595.0))),  # car, unity power factor
    Load("compressor", (0, 1), 3500.0, ((60.0, 230.0), (372.0, 590.0))),  # heat pump
    Load("inverter", (0,), -4200.0, ((258.0, 350.0),)),  # battery at the socket of line 1
    Load("inverter", (0, 1), -7600.0, ((276.0, 350.0),)),  # solar
)
_OVEN_W = 5000.0
_OVEN_SPELLS = ((25.0, 250.0), (355.0, STORY_S))


def _oven(rng: np.random.Generator) -> Load:
    """The oven, on both legs, whose thermostat cycles it within its two spells."""
    on: list[tuple[float, float]] = []
    for start, stop in _OVEN_SPELLS:
        at = start + rng.uniform(0.0, 3.0)
        while at < stop:
            off = at + rng.uniform(22.0, 32.0)
            on.append((at, min(off, stop)))
            at = off + rng.uniform(6.0, 10.0)
    return Load("heater", (0, 1), _OVEN_W, tuple(on))


def _voltage(sine: Floats) -> Floats:
    """The flat-topped voltage of peak near 1 from the sine of its fundamental."""
    # sin 3x = 3s - 4s³, sin 5x = 5s - 20s³ + 16s⁵: cheaper than three sines.
    square = sine * sine
    shape = square * (16 * _FIFTH)
    shape -= 20 * _FIFTH + 4 * _THIRD
    shape *= square
    shape += 1 + 3 * _THIRD + 5 * _FIFTH
    shape *= sine
    return shape


def _supply_table() -> Floats:
    """Current over a cycle of a rectifier with a capacitor that feeds a constant power of 1 W.

    Simulated at 120 V through 4 % of series resistance until steady; amperes, and the sum of
    voltage and current over the cycle is brought to 1 W.
    """
    watts = 100.0
    volts = 120 * math.sqrt(2) * _voltage(np.sin(2 * np.pi * np.arange(_STEPS) / _STEPS))
    ohms = 0.04 * 120**2 / watts
    farads = 1.0e-6 * watts  # 1 uF a watt
    dt = 1 / (_HERTZ * _STEPS)
    held = 150.0
    current = np.zeros(_STEPS)
    for _ in range(6):
        for k, now in enumerate(volts.tolist()):
            flow = max(0.0, (abs(now) - held) / ohms)
            held += (flow - watts / held) / farads * dt
            current[k] = math.copysign(flow, now)
    return current / float(np.mean(current * volts))


class House(MadeRecording):
    """The generated recording: (path, rate_hz, samples, channels, seconds, blocks).

    seconds: length; the ten-minute story repeats. rate_hz: samples a second, 2000 or more so that
    the power supplies' pulses keep their harmonics. seed: varies the oven's thermostat and the
    mains' phase. Volts and amperes stay within 220 V and 300 A. Raises ValueError on other values.
    """

    def __init__(self, seconds: float, rate_hz: float = RATE_HZ, seed: int = 1) -> None:
        if not (0 < seconds < math.inf and 2000 <= rate_hz < math.inf):
            raise ValueError(
                f"seconds {seconds:g}, rate_hz {rate_hz:g}: expected above 0 s, 2000 Hz or more"
            )
        self.path = f"<house, seed {seed}>"
        self.rate_hz = float(rate_hz)
        self.samples = max(1, round(seconds * rate_hz))
        self.channels: tuple[str, ...] = INPUTS
        rng = np.random.default_rng(seed)
        self.loads = (*_STORY, _oven(rng))
        self._drift_phase = float(rng.uniform(0, 2 * np.pi))
        self._start_cycles = float(rng.uniform(0, 1))
        table = _supply_table()
        self._supply = np.append(table, table[0])
        self._supply_rise = np.diff(self._supply)

    @property
    def seconds(self) -> float:
        return self.samples / self.rate_hz

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = 65536
    ) -> Iterator[Floats]:
        """Blocks (4, n <= size) of v1, i1, v2, i2 in volts and amperes."""
        stop = self.samples if stop is None else min(stop, self.samples)
        # Half a second at a time: its arrays stay in the cache.
        inner = max(256, int(self.rate_hz / 2))
        for at in range(start, stop, size):
            block = np.empty((4, min(size, stop - at)))
            for k in range(0, block.shape[1], inner):
                part = block[:, k : k + inner]
                self._fill(part, at + k)
            yield block

    def _fill(self, out: Floats, first: int) -> None:
        """Samples `first` and on into `out` (4, n)."""
        time = (first + np.arange(out.shape[1])) / self.rate_hz
        slow = 2 * np.pi / _DRIFT_S
        cycles = np.cos(slow * time + self._drift_phase)
        cycles *= -_DRIFT_HZ / slow
        cycles += _HERTZ * time
        cycles += self._start_cycles
        cycles -= np.floor(cycles)
        angle = 2 * np.pi * cycles
        sine, cosine = np.sin(angle), np.cos(angle)

        # What is on: for each load the samples and its envelope (1 when running steadily).
        running: list[tuple[Load, slice, Floats | float]] = []
        amps = np.zeros((2, out.shape[1]))
        for load in self.loads:
            for part, envelope in self._envelopes(load, first, time):
                running.append((load, part, envelope))
                for leg in load.legs:
                    amps[leg, part] += load.amps * envelope

        # The legs' voltages sag with what they carry; line 2 is line 1 turned over.
        volts, current = out[0::2], out[1::2]
        shape = _voltage(sine)
        shape *= math.sqrt(2)
        amps *= -_OHMS
        amps += _VOLTS
        np.multiply(amps[0], shape, out=volts[0])
        np.multiply(amps[1], shape, out=volts[1])
        np.negative(volts[1], out=volts[1])

        current[:] = 0
        for load, part, envelope in running:
            if len(load.legs) == 2:
                across = volts[0, part] - volts[1, part]
            else:
                across = volts[load.legs[0], part]
            drawn = self._current(load, across, part, envelope, cycles, sine, cosine)
            if len(load.legs) == 2:
                current[0, part] += drawn
                current[1, part] -= drawn
            else:
                current[load.legs[0], part] += drawn

    def _envelopes(
        self, load: Load, first: int, time: Floats
    ) -> Iterator[tuple[slice, Floats | float]]:
        """Where in this block the load runs, and by how much of its steady current."""
        story = math.floor(first / self.rate_hz / STORY_S)
        for again in (story, story + 1):
            for on, off in load.on:
                on_s, off_s = again * STORY_S + on, again * STORY_S + off
                low = max(0, math.ceil(on_s * self.rate_hz) - first)
                high = min(time.size, math.ceil(off_s * self.rate_hz) - first)
                if low >= high:
                    continue
                part = slice(low, high)
                since = time[part] - on_s
                if load.kind in _MOTORS:
                    _, inrush, tau = _MOTORS[load.kind]
                    if since[0] < 20 * tau:
                        yield part, 1 + (inrush - 1) * np.exp(-since / tau)
                        continue
                elif load.kind == "inverter":
                    until = off_s - time[part]
                    if since[0] < _RAMP_S or until[-1] < _RAMP_S:
                        yield part, np.minimum(np.minimum(since, until) / _RAMP_S, 1.0)
                        continue
                yield part, 1.0

    def _current(
        self,
        load: Load,
        across: Floats,
        part: slice,
        envelope: Floats | float,
        cycles: Floats,
        sine: Floats,
        cosine: Floats,
    ) -> Floats:
        """Amperes through a load from the voltage across it, from leg 1 where it has two."""
        nominal = 120.0 * len(load.legs)
        if load.kind == "heater":
            return across * (load.watts / nominal**2)
        if load.kind == "inverter":
            return across * (load.watts / nominal**2 * envelope)
        # Line 2 is half a cycle behind: its loads see the same waveform with the sign turned.
        sign = -1.0 if load.legs == (1,) else 1.0
        if load.kind in _MOTORS:
            # A steady torque: the fundamental, lagging by the angle of the power factor.
            factor, _, _ = _MOTORS[load.kind]
            lag = math.sqrt(1 - factor**2) / factor
            peak = sign * math.sqrt(2) * load.amps
            return peak * envelope * (sine[part] - lag * cosine[part])
        if load.kind == "dimmer":
            # Phase cut at 90 degrees: conducting in the second half of each half cycle, where
            # sine and cosine differ in sign. Its choke lets the current rise in about 0.1 ms.
            gate = np.clip(-12.0 * cosine[part] * np.sign(sine[part]), 0.0, 1.0)
            return across * (2 * load.watts / nominal**2) * gate
        # A switch-mode supply: pulses at the crests, which grow as the voltage falls, because the
        # power behind them is constant. On line 2 the table's half cycles change places.
        where = cycles[part] * _STEPS
        index = where.astype(np.intp)
        where -= index
        pulse = np.take(self._supply_rise, index)
        pulse *= where
        pulse += np.take(self._supply, index)
        return pulse * (sign * load.watts)


def generate(seconds: float = STORY_S, rate_hz: float = RATE_HZ, seed: int = 1) -> House:
    """The recording of a house, computed as it is read. Arguments as House's."""
    return House(seconds, rate_hz, seed)


def write(
    path: str | Path, seconds: float = STORY_S, rate_hz: float = RATE_HZ, seed: int = 1
) -> None:
    """Write the house to an .npz of float32 v1 i1 v2 i2 and rate_hz, in bounded memory.

    Takes 16 bytes a sample on disk (77 MB for ten minutes) and, while writing, as much again
    beside it. InputError if it cannot be written.
    """
    path = check_writable(path, (".npz",))
    house = generate(seconds, rate_hz, seed)
    with (
        replacing(path) as aside,
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
        ExitStack() as stack,
    ):
        files = {name: Path(folder) / name for name in house.channels}
        # Written, not mapped: a full disk is then an error, not the end of the program.
        written = [stack.enter_context(file.open("wb")) for file in files.values()]
        for block in house.blocks():
            for file, values in zip(written, block):
                file.write(values.astype(np.float32).tobytes())
        stack.close()
        rows = {name: np.memmap(file, np.float32, "r") for name, file in files.items()}
        with aside.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                rate_hz=np.float64(rate_hz),
                v1=rows["v1"],
                i1=rows["i1"],
                v2=rows["v2"],
                i2=rows["i2"],
            )


@command.reporting()
def main(arguments: list[str] | None = None) -> int:
    parser = Parser(
        prog=command.name("house"),
        description="Write the recording of a 120/240 V house: ten minutes with an oven, motors, "
        "power supplies, a dimmer and a spell of export, over and over.",
        epilog="example: %(prog)s build/house.npz --seconds 600",
    )
    parser.add_argument("out", metavar="OUT.npz", type=Path, help="the file to write")
    parser.add_argument("--seconds", type=float, default=STORY_S, help="length (%(default)g)")
    parser.add_argument("--rate", type=float, default=RATE_HZ, help="samples/s (%(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="another house (%(default)s)")
    options = parser.parse_args(arguments)
    for name, value, least, most in (
        ("--seconds", options.seconds, 1e-3, 864_000),
        ("--rate", options.rate, 2000, 1_000_000),
        ("--seed", options.seed, 0, 1 << 63),
    ):
        if not least <= value <= most:
            raise InputError(f"{name} {value}: expected {least:g} to {most}")
    try:
        write(options.out, options.seconds, options.rate, options.seed)
    except ValueError as error:
        print(f"error: {options.out}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
