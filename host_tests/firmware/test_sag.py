"""The sag detector against waveforms whose collapse is known to the millisecond."""

import math
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import Codes, blocks, board, convert, flat
from threewire.metering.calibration import Calibration, nominal
from threewire.metering.layout import Layout
from threewire.metering.sag import Sag
from tools.common import boards
from tools.front_end.waves import Wave, sine

VOLTS = 120.0
# From the collapse to the end of the block that raises the alarm: 20 ms, give or take what a half
# cycle that is partly dead reads, and a bin.
FASTEST_S, SLOWEST_S = 0.017, 0.030


def scaled(wave: Wave, steps: Iterable[tuple[float, float]]) -> Wave:
    """The wave times what the last (second, factor) before says; 1 before the first."""
    steps = list(steps)
    starts = np.array([start for start, _ in steps])
    factors = np.array([1.0, *(factor for _, factor in steps)])
    return lambda t: wave(t) * factors[np.searchsorted(starts, t, side="right")]


def flat_topped(rms: float, hertz: float = 60, phase_deg: float = 0) -> Wave:
    """All its volts with a peak 11 % lower than a sine's."""

    def wave(t: NDArray[np.float64]) -> NDArray[np.float64]:
        x = 2 * math.pi * hertz * t + math.radians(phase_deg)
        return np.sin(x) + 0.12 * np.sin(3 * x) + 0.02 * np.sin(5 * x)

    cycle = wave(np.linspace(0, 1 / hertz, 1000, endpoint=False))
    size = rms / math.sqrt(np.mean(cycle**2))
    assert np.max(cycle) * size < 0.9 * rms * math.sqrt(2)
    return lambda t: size * wave(t)


def alarms(
    codes: Codes,
    layout: Layout | None = None,
    calibration: Calibration | None = None,
    cuts: Iterable[int] | None = None,
) -> list[float]:
    """Seconds of each alarm, at the end of the block that raised it: of 1 ms unless cut else."""
    layout = layout or board()
    sag = Sag(layout, calibration or nominal(layout))
    second = layout.tick_hz / layout.frame_ticks
    if cuts is None:
        cuts = range(0, len(codes), max(1, int(second / 1000)))
    found, at = [], 0
    for block in blocks(codes, cuts):
        sag.feed(flat(block), len(block), layout.frame_ticks)
        at += len(block)
        if sag.collapsed():
            found.append(at / second)
        assert not sag.collapsed()
    return found


def lines(one: Wave, two: Wave | None = None) -> dict[str, Wave]:
    return {"v1": one, "v2": two or (lambda t: -one(t)), "i1": sine(40), "i2": sine(70)}


def layouts() -> dict[str, Layout]:
    found = {name: boards.load(name) for name in boards.names()}
    found["8 kHz"] = board()
    found["2 kHz"] = board(period_us=500, block_frames=8)
    found["8 kHz at 50 Hz"] = board(nominal_hz=50)
    return found


@pytest.mark.parametrize("name", sorted(layouts()))
def test_a_collapse_at_any_phase_is_noticed_in_time(name: str) -> None:
    layout = layouts()[name]
    for phase in range(0, 360, 24):
        gone = 1.2 + phase / 360 / layout.nominal_hz
        wave = scaled(sine(VOLTS, layout.nominal_hz), [(gone, 0.0)])
        (at,) = alarms(convert(lines(wave), 1.5, layout), layout)
        assert gone + FASTEST_S <= at <= gone + SLOWEST_S


@pytest.mark.parametrize("hertz", [45, 50, 55, 60, 65])
@pytest.mark.parametrize("nominal_hz", [50, 60])
def test_a_collapse_at_another_frequency(hertz: float, nominal_hz: int) -> None:
    layout = board(nominal_hz=nominal_hz)
    for phase in range(0, 360, 40):
        gone = 1.4 + phase / 360 / hertz
        wave = scaled(sine(VOLTS, hertz), [(gone, 0.0)])
        (at,) = alarms(convert(lines(wave), 1.6, layout), layout)
        assert gone + FASTEST_S <= at <= gone + SLOWEST_S


@pytest.mark.parametrize("left", [0.75, 0.7, 0.5, 0.2])
def test_a_sag_that_leaves_some_voltage(left: float) -> None:
    for phase in range(0, 360, 24):
        gone = 1.2 + phase / 360 / 60
        (at,) = alarms(convert(lines(scaled(sine(VOLTS), [(gone, left)])), 1.6, noise=2))
        assert gone + FASTEST_S <= at <= gone + SLOWEST_S


@pytest.mark.parametrize("offset", [-100, 0, 100])
@pytest.mark.parametrize("hertz", [45, 47.3, 50, 57, 60, 61.7, 65])
@pytest.mark.parametrize("nominal_hz", [50, 60])
@pytest.mark.parametrize("shape", [sine, flat_topped])
def test_85_percent_is_no_collapse(
    shape: Callable[[float, float], Wave], nominal_hz: int, hertz: float, offset: float
) -> None:
    wave = scaled(shape(VOLTS, hertz), [(1.3, 0.85)])
    layout = board(nominal_hz=nominal_hz, slot_ns=2000)
    assert not alarms(convert(lines(wave), 4.0, layout, noise=2, offset=offset), layout)


@pytest.mark.parametrize("offset", [-100, 100])
def test_the_limit_is_80_percent_whatever_the_offset(offset: float) -> None:
    for left, there in ((0.82, False), (0.78, True)):
        codes = convert(lines(scaled(sine(VOLTS), [(2.5, left)])), 4.0, noise=2, offset=offset)
        assert bool(alarms(codes)) is there


@pytest.mark.parametrize("offset", [-100, 100])
def test_an_offset_does_not_hide_a_collapse(offset: float) -> None:
    for gone in (1.05, 2.207, 2.211):
        codes = convert(lines(scaled(sine(VOLTS), [(gone, 0.0)])), 2.5, noise=2, offset=offset)
        (at,) = alarms(codes)
        assert gone + FASTEST_S <= at <= gone + SLOWEST_S


@pytest.mark.parametrize(("dip_ms", "there"), [(8, False), (12, False), (15, False), (24, True)])
def test_a_dip_must_last(dip_ms: float, there: bool) -> None:
    for phase in range(0, 360, 24):
        gone = 1.2 + phase / 360 / 60
        wave = scaled(sine(VOLTS), [(gone, 0.0), (gone + dip_ms / 1000, 1.0)])
        assert bool(alarms(convert(lines(wave), 1.6))) is there


def test_one_event_for_each_collapse_once_the_voltage_is_back_for_a_second() -> None:
    steps = [
        (1.5, 0.0),
        (2.0, 1.0),  # back, but for 0.9 s only
        (2.9, 0.3),
        (3.1, 0.86),  # not back
        (4.5, 0.0),
        (5.0, 0.93),  # back for long enough
        (6.2, 0.0),
        (9.0, 0.5),
    ]
    found = alarms(convert(lines(scaled(sine(VOLTS), steps)), 9.5))
    assert [round(at, 1) for at in found] == [1.5, 6.2]


def test_a_line_that_was_never_up_cannot_collapse() -> None:
    nothing = scaled(sine(VOLTS), [(0.0, 0.0)])
    low = scaled(sine(VOLTS), [(0.0, 0.85), (2.0, 0.0)])
    rising = scaled(sine(VOLTS), [(0.0, 0.0), (0.5, 0.3), (1.0, 1.0)])
    assert not alarms(convert(lines(nothing), 3.0, noise=2, offset=100))
    assert not alarms(convert(lines(low), 3.0))
    assert not alarms(convert(lines(rising, nothing), 3.0))


@pytest.mark.parametrize("which", [0, 1])
def test_either_line_counts(which: int) -> None:
    pair = [sine(VOLTS), sine(-VOLTS)]
    pair[which] = scaled(pair[which], [(1.5, 0.0)])
    (at,) = alarms(convert(lines(*pair), 3.0))
    assert at == pytest.approx(1.525, abs=0.01)


@pytest.mark.parametrize(("later_s", "events"), [(0.0, 1), (0.003, 1), (0.05, 1), (0.3, 2)])
def test_lines_that_collapse_together_are_one_event(later_s: float, events: int) -> None:
    one, two = (
        scaled(sine(volts), [(1.5 + later, 0.0)]) for volts, later in ((120, 0), (-120, later_s))
    )
    assert len(alarms(convert(lines(one, two), 2.5))) == events


def test_lines_120_degrees_apart() -> None:
    one = scaled(sine(VOLTS), [(1.5, 0.0)])
    two = scaled(sine(VOLTS, lag_deg=120), [(1.5, 0.0)])
    assert len(alarms(convert(lines(one, two), 2.5))) == 1


def test_a_derived_voltage_is_the_other_one() -> None:
    layout = boards.load("pico")
    assert layout.slot["v1"] == layout.slot["v2"]
    wave = scaled(sine(VOLTS), [(1.5, 0.0)])
    assert len(alarms(convert({"v1": wave}, 2.5, layout), layout)) == 1


@pytest.mark.parametrize("gain", [70_000_000, -300_000_000, 1_999_999_999])
def test_the_limits_follow_the_gain(gain: int) -> None:
    layout = board()
    calibration = Calibration((gain, gain), (150_000_000, 150_000_000))
    for left, there in ((0.84, False), (0.74, True)):
        codes = convert(
            lines(scaled(sine(VOLTS), [(1.5, left)])), 2.5, gains=(abs(gain), 150_000_000)
        )
        assert bool(alarms(codes, layout, calibration)) is there


def test_a_gain_that_no_wave_can_reach_is_never_up() -> None:
    layout = board()
    calibration = Calibration((1_000_000, 1_000_000), (150_000_000, 150_000_000))
    codes = np.random.default_rng(3).choice([0, 4095], (16000, 4)).astype(np.uint16)
    codes[12000:] = 2048
    assert not alarms(codes, layout, calibration)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_how_frames_are_cut_does_not_matter(data: st.DataObject) -> None:
    layout = board(period_us=500, block_frames=8)
    codes = convert(lines(scaled(sine(VOLTS), [(1.2, 0.0)])), 1.4, layout)
    (exact,) = alarms(codes, layout, cuts=range(len(codes)))
    cuts = sorted({*data.draw(st.lists(st.integers(0, len(codes)), max_size=60)), 0, len(codes)})
    (at,) = alarms(codes, layout, cuts=cuts)
    assert at == min(cut / 2000 for cut in cuts if cut / 2000 >= exact)


def test_a_ring_is_read_where_it_says() -> None:
    """Frames in the middle of a longer array, as the DMA's ring hands them over."""
    layout = board()
    codes = convert(lines(scaled(sine(VOLTS), [(1.2, 0.0)])), 1.4, layout)
    (exact,) = alarms(codes, cuts=range(0, len(codes), 100))
    sag = Sag(layout, nominal(layout))
    ring = flat(codes)
    found = []
    for first in range(0, len(codes), 100):
        sag.feed(ring, 100, layout.frame_ticks, first)
        if sag.collapsed():
            found.append((first + 100) / 8000)
    assert found == [exact]


_ON_ENGINE = """\
import sys
from array import array
sys.path[:0] = [{firmware!r}, {boards!r}]
from threewire.metering.calibration import nominal
from threewire.metering.layout import Layout
from threewire.metering.sag import Sag
import {board} as board
layout = Layout(board)
sag = Sag(layout, nominal(layout))
codes = array("H", bytes(2 * layout.stride * 50))
with open({codes!r}, "rb") as file:
    frame = 0
    while file.readinto(codes):
        sag.feed(codes, 50, layout.frame_ticks)
        frame += 50
        if sag.collapsed():
            print("alarm", frame)
print(list(sag._words))
"""


@pytest.mark.parametrize("name", ["feather_rp2040", "esp32_devkitc"])
@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_engines_agree_with_this_python(engine: str, name: str, tmp_path: Path) -> None:
    """Word for word, rails and noise over the full scale included; the shim would not hide an
    overflow."""
    layout = boards.load(name)
    wave = scaled(sine(VOLTS), [(1.5, 0.0), (1.9, 1.0), (3.3, 0.1)])
    codes = convert(lines(wave), 3.5, layout, noise=3, offset=-70)
    rng = np.random.default_rng(1)
    rest = rng.integers(0, 4096, (1250, layout.stride), dtype=np.uint16)
    rails = np.full((3000, layout.stride), 4095, np.uint16)
    codes = np.concatenate([codes, rails, rest, rails * 0])
    codes = codes[: len(codes) // 50 * 50]
    raw = tmp_path / "codes"
    raw.write_bytes(codes.astype("<u2").tobytes())
    script = tmp_path / "sag.py"
    script.write_text(
        _ON_ENGINE.format(
            firmware=str(boards.ROOT / "firmware"),
            boards=str(boards.BOARDS),
            board=name,
            codes=str(raw),
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "128k"), str(script)], capture_output=True, text=True, check=True
    )
    sag = Sag(layout, nominal(layout))
    expected = []
    for first in range(0, len(codes), 50):
        sag.feed(flat(codes[first : first + 50]), 50, layout.frame_ticks)
        if sag.collapsed():
            expected.append(f"alarm {first + 50}")
    assert len(expected) >= 2
    assert done.stdout.splitlines() == [*expected, str(list(sag._words))]
