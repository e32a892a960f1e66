"""Voltages that have no mains cycles, on every engine: what is metered, shown and said of them.

Expected watts are float64 means of the waves at the instants of the frames, made here.
"""

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import NANO_WH, Codes, convert, default_board
from tools.common import boards
from tools.front_end.waves import Wave, sine

SECONDS = 4
ENGINES = ("cpython", "micropython", "i386", "armhf")
LAYOUT = default_board()
RATE = LAYOUT.tick_hz / LAYOUT.frame_ticks

# Meters the codes of a file; prints registers, what is shown, faults that are active, windows.
_SCRIPT = """\
import json, sys
from array import array
sys.path[:0] = {paths!r}
from threewire.operation.faults import FaultFinder, Faults
from threewire.metering.calibration import nominal
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
import {board} as board

layout = Layout(board)
codes = array("H", bytes(2 * layout.stride * 500))
finder = FaultFinder(Faults(), layout)
windows = [0, 0]  # all, and whole ones
def on_window(window):
    finder.window(window)
    windows[0] += 1
    windows[1] += window.whole
meter = Meter(layout, nominal(layout), on_window=on_window)
with open({codes!r}, "rb") as file:
    while True:
        n = file.readinto(codes) // (2 * layout.stride)
        if not n:
            break
        meter.feed(codes, n, layout.frame_ticks)
second = meter.second
one, two, mhz = meter.readings(second)
shown = [mhz] + [(r.volts_uv, r.amps_ua, r.watts_uw, r.vars_uw) for r in (one, two)]
verdicts = [found.verdict for found in meter.diagnosis(second, one, two).elements]
active = finder.active
meter.finish()
registers = []
for delivered, received in meter.registers.elements:
    registers += [(r.wh, str(r.residue)) for r in (delivered, received)]
print(json.dumps((registers, shown, active, finder._faults.to_list(), verdicts, windows)))
"""


def both(one: Wave, other: Wave) -> Wave:
    return lambda t: one(t) + other(t)


def square(peak: float, hertz: float) -> Wave:
    return lambda t: peak * np.sign(np.sin(2 * np.pi * hertz * t + 0.1))


def swinging(wave: Wave) -> Wave:
    """Through nothing and beyond, 20 times a second."""
    return lambda t: wave(t) * (1 + 1.5 * np.sin(40 * np.pi * t))


def sweep(peak: float, first_hz: float, last_hz: float, lag: float = 0.0) -> Wave:
    rise = (last_hz - first_hz) / SECONDS / 2
    return lambda t: peak * np.sin(2 * np.pi * (first_hz + rise * t) * t - lag)


def noise(peak: float) -> Wave:
    """White, whatever the rate: another value for each microsecond."""
    values = np.random.default_rng(8).uniform(-peak, peak, SECONDS * 1_000_000 + 1000)
    return lambda t: values[np.round(t * 1e6).astype(np.intp)]


LOAD = sine(10, 60, 60)
# Volts, amperes, and the limit on the watts' error in percent of volts times amperes: in the first
# second of a beat it may not be known where zero is.
NO_CYCLES: dict[str, tuple[Wave, Wave, float]] = {
    "40 Hz": (sine(120, 40), sine(10, 40, 60), 0.2),
    "44 Hz": (sine(120, 44), sine(10, 44, 60), 0.2),
    "66 Hz": (sine(120, 66), sine(10, 66, 60), 0.2),
    "70 Hz": (sine(120, 70), sine(10, 70, 60), 0.2),
    "100 Hz": (sine(120, 100), sine(10, 100, 60), 0.2),
    "120 Hz": (sine(120, 120), sine(10, 120, 60), 0.2),
    "180 Hz": (sine(120, 180), sine(10, 180, 60), 0.2),
    "400 Hz": (sine(120, 400), sine(10, 400, 60), 0.6),
    "railway": (sine(120, 50 / 3), sine(10, 50 / 3), 0.2),
    "a ripple alone": (sine(120, 3500), LOAD, 0.2),
    "ripple of 125 %": (both(sine(60, 60), sine(75, 3500)), LOAD, 0.2),
    "ripple as 48.8 Hz": (both(sine(60, 60), sine(75, 9951.2)), LOAD, 0.5),
    "ripple of 1 kHz": (both(sine(60, 60), sine(75, 1001)), LOAD, 0.2),
    "noise": (noise(180), LOAD, 2.0),
    "square, 1 kHz": (square(120, 1000), LOAD, 0.2),
    "no fundamental": (both(sine(90, 180), sine(60, 300)), LOAD, 0.2),
    "two mains": (both(sine(70, 50), sine(70, 60)), LOAD, 0.2),
    "swings": (swinging(sine(60, 60)), LOAD, 0.2),
    "rises": (sweep(150, 90, 400), sweep(14, 90, 400, 1), 0.6),
    "falls": (sweep(150, 44, 30), sweep(14, 44, 30, 1), 0.2),
}


def metered(engine: str, codes: Codes, folder: Path) -> Any:
    """What the script prints."""
    file, script = folder / "codes", folder / "script.py"
    file.write_bytes(np.ascontiguousarray(codes).tobytes())
    paths = [str(boards.ROOT / "firmware"), str(boards.BOARDS)]
    if engine == "cpython":
        paths.append(str(boards.ROOT / "tools" / "shim"))
    script.write_text(_SCRIPT.format(paths=paths, board=LAYOUT.name, codes=str(file)))
    done = subprocess.run(
        [*need_engine(engine, "256k"), str(script)], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def converted(volts: Wave, amps: Wave, **options: Any) -> Codes:
    mains = {"v1": volts, "i1": amps, "v2": lambda t: -volts(t), "i2": lambda t: -amps(t)}
    gains = LAYOUT.nv_per_count, LAYOUT.na_per_count
    return convert(mains, SECONDS, LAYOUT, noise=1.0, gains=gains, **options)


def net_watts(registers: Any) -> tuple[float, float]:
    hours = SECONDS / 3600
    wh = [w + int(residue) / (NANO_WH * LAYOUT.tick_hz << 32) for w, residue in registers]
    return (wh[0] - wh[1]) / hours, (wh[2] - wh[3]) / hours


def truth(volts: Wave, amps: Wave) -> tuple[float, float]:
    """Mean watts, and volts times amperes, at the instants of the frames."""
    t = np.arange(round(SECONDS * RATE)) / RATE
    v, i = volts(t), amps(t)
    return float(np.mean(v * i)), float(v.std() * i.std())


@pytest.mark.parametrize("name", NO_CYCLES)
def test_what_has_no_cycles_is_metered_and_said(name: str, tmp_path: Path) -> None:
    volts, amps, limit_percent = NO_CYCLES[name]
    codes = converted(volts, amps)
    assert codes.min() > 0 and codes.max() < 4095
    first, *others = [metered(engine, codes, tmp_path) for engine in ENGINES]
    registers, shown, active, counts, verdicts, windows = first
    true, va = truth(volts, amps)
    for watts in net_watts(registers):
        assert watts == pytest.approx(true, abs=limit_percent / 100 * va)
    # No frequency is shown, and no var: there are no cycles to tell them from.
    assert shown[0] == 0 and [element[3] for element in shown[1:]] == [0, 0]
    assert shown[1][0] / 1e6 == pytest.approx(volts(np.arange(0, 1, 1e-6)).std(), rel=0.03)
    assert active == ["bad_frequency"]
    assert sum(counts) == 1
    assert verdicts == ["doubtful", "doubtful"]
    # A window takes a board longer than a cycle does.
    assert windows[0] < 10 + SECONDS * 80 / 10
    for other in others:
        assert other == first


@pytest.mark.parametrize("hertz", [45.1, 50.0, 60.0, 64.9])
@pytest.mark.parametrize(
    "shape", ["sine", "square", "half of a ripple", "third 60 %", "two mains, 1 to 3"]
)
def test_what_is_mains_has_cycles(shape: str, hertz: float, tmp_path: Path) -> None:
    """Far from a sine, but of a frequency that it can be told by."""
    volts: dict[str, Callable[[], Wave]] = {
        "sine": lambda: sine(120, hertz),
        "square": lambda: square(120, hertz),
        "half of a ripple": lambda: both(sine(100, hertz), sine(12, 3501)),
        "third 60 %": lambda: both(sine(100, hertz), sine(60, 3 * hertz)),
        "two mains, 1 to 3": lambda: both(sine(100, hertz), sine(5, 110 - hertz)),
    }
    wave, load = volts[shape](), sine(10, hertz, 60)
    registers, shown, active, counts, _, windows = metered(
        "cpython", converted(wave, load), tmp_path
    )
    true, va = truth(wave, load)
    for watts in net_watts(registers):
        # An edge of a square counts for the frame that it is in.
        assert watts == pytest.approx(true, abs=(0.02 if shape == "square" else 0.002) * va)
    assert shown[0] / 1000 == pytest.approx(hertz, abs=0.3)
    assert active == [] and not any(counts)
    assert windows[1] >= 0.8 * SECONDS * hertz / (10 if hertz < 55 else 12)


def interpolation_error(hertz: float) -> float:
    """Of a component in volts and amperes: error of its power, as a part of their product, where
    the phase between them is the worst.  The voltage, converted a slot after the current, is
    made from two neighbouring frames by weights that are right for 60 Hz."""
    frame = 2 * math.pi / RATE
    part = (LAYOUT.slot_ns["v1"] - LAYOUT.slot_ns["i1"]) * 1e-9 * RATE
    one = math.sin(part * frame * 60) / math.sin(frame * 60)
    other = math.sin((1 - part) * frame * 60) / math.sin(frame * 60)
    turn = frame * hertz
    made = other + one * np.exp(-1j * turn)
    return float(abs(made - np.exp(-1j * part * turn)))


@pytest.mark.parametrize(
    ("hertz", "percent"), [(400, 0.58), (1000, 3.7), (2000, 14.3), (3500, 40.7), (4900, 72)]
)
@pytest.mark.parametrize("lag_deg", [0, 52, 90, 180, 232])
def test_a_ripple_in_both_is_as_wrong_as_is_documented(
    hertz: float, percent: float, lag_deg: float, tmp_path: Path
) -> None:
    assert percent == pytest.approx(100 * interpolation_error(hertz), rel=0.02)
    volts = both(sine(60, 60), sine(75, hertz + 0.3))
    amps = both(LOAD, sine(5, hertz + 0.3, lag_deg))
    registers, *_ = metered("cpython", converted(volts, amps), tmp_path)
    true = 60 * 10 / 2 + 75 * 5 * math.cos(math.radians(lag_deg))
    bound = percent / 100 * 75 * 5 + 0.002 * math.hypot(60, 75) * math.hypot(10, 5)
    for watts in net_watts(registers):
        assert watts == pytest.approx(true, abs=bound)


def test_a_dead_and_a_steady_input_are_no_bad_frequency(tmp_path: Path) -> None:
    def steady(volts: float) -> Wave:
        return lambda t: volts + 0 * t

    for wave in (steady(0), steady(60)):
        _, shown, active, counts, verdicts, _ = metered("cpython", converted(wave, LOAD), tmp_path)
        assert shown[0] == 0 and verdicts == ["no_voltage", "no_voltage"]
        assert active == ["no_voltage 1", "no_voltage 2"] and sum(counts) == 2
