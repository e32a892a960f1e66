"""Voltage events against rms values of one cycle that numpy makes of the wave itself."""

import json
import subprocess
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.firmware.test_sag import flat_topped, lines, scaled
from host_tests.rigs.board_parts import Port, Sampler, assembled
from host_tests.rigs.meter_runs import Codes, blocks, board, convert, flat
from threewire.metering.calibration import Calibration, nominal
from threewire.metering.layout import Layout
from threewire.metering.line_voltage import KINDS
from threewire.metering.sag import Sag
from tools.common import boards
from tools.front_end.waves import Wave, sine
from tools.replay.report import as_json, as_text
from tools.replay.run import replay

VOLTS = 120.0
# The list's bound.
KEPT = 8


class Event(NamedTuple):
    """line from 1 on; seconds; percent of nominal"""

    line: int
    kind: str
    t: float
    ms: float
    percent: float
    over: bool


def newest(sag: Sag) -> list[Event]:
    return [
        Event(line + 1, KINDS[kind], ms / 1000, long, reached / 100, is_over)
        for line, kind, ms, long, reached, is_over in sag.newest()
    ]


def followed(
    codes: Codes,
    layout: Layout | None = None,
    mhz: int = 0,
    cuts: Iterable[int] | None = None,
    calibration: Calibration | None = None,
) -> Sag:
    layout = layout or board()
    sag = Sag(layout, calibration or nominal(layout))
    if mhz:
        sag.follow(mhz)
    for block in blocks(codes, cuts):
        sag.feed(flat(block), len(block), layout.frame_ticks)
    return sag


def events(wave: Wave, seconds: float, layout: Layout | None = None, **how: Any) -> list[Event]:
    """Those of line 1, where line 2 is well."""
    layout = layout or board()
    well = sine(VOLTS, layout.nominal_hz)
    mhz = how.pop("mhz", 0)
    sag = followed(convert(lines(wave, well), seconds, layout, **how), layout, mhz)
    assert all(event.line == 1 for event in newest(sag))
    return newest(sag)


def truths(wave: Wave, hertz: float, seconds: float) -> list[list[Event]]:
    """What the rule of IEC 61000-4-30 makes of the wave, for each instant in half a cycle at which
    its half cycles may begin: rms over one cycle, below 90 % until at 92 %, or above 110 % until
    at 108 %; an event's time is that between the beginnings of the cycles that begin and end it.
    """
    rate = 240 * hertz
    squares = np.cumsum(wave(np.arange(int(seconds * rate)) / rate) ** 2)
    rms = np.sqrt((squares[240:] - squares[:-240]) / 240) / VOLTS * 100
    found = []
    for phase in range(0, 120, 6):
        grid = rms[phase::120]
        story, began, worst = [], None, 100.0
        low = False
        for k, value in enumerate(grid):
            if began is not None:
                if value >= 92 if low else value <= 108:
                    kind = ("interruption" if worst < 10 else "sag") if low else "swell"
                    t = (began * 120 + phase + 1) / rate
                    story.append(Event(1, kind, t, (k - began) * 500 / hertz, worst, True))
                    began = None
                else:
                    worst = min(worst, value) if low else max(worst, value)
            if began is None and not 90 <= value <= 110:
                began, worst, low = k, value, value < 90
        assert began is None
        found.append(story)
    return found


# ---- what they are


@pytest.mark.parametrize("hertz", [50, 60])
@pytest.mark.parametrize("left", [0.0, 0.05, 0.2, 0.7, 0.85, 0.88, 1.13, 1.3])
@pytest.mark.parametrize("cycles", [0.5, 1, 2, 3.3, 25])
def test_an_event_is_what_iec_61000_4_30_says(hertz: int, left: float, cycles: float) -> None:
    layout = board(nominal_hz=hertz)
    # Bins make a half cycle up to 4 % shorter.
    slack_ms = 1.05 * 500 / hertz
    for phase in range(0, 360, 72):
        begins = 1.3 + phase / 360 / hertz
        wave = scaled(sine(VOLTS, hertz), [(begins, left), (begins + cycles / hertz, 1.0)])
        stories = truths(wave, hertz, begins + cycles / hertz + 0.3)
        found = events(wave, begins + cycles / hertz + 0.3, layout)
        possible = [story[0] if story else None for story in stories]
        assert all(len(story) <= 1 for story in stories)
        if not found:
            assert None in possible
            continue
        (event,) = found
        true = [event for event in possible if event]
        assert event.over and event.kind in {event.kind for event in true}
        worst = [event.percent for event in true]
        # An edge within a cycle counts by bins, an eighth of it.
        near = 1 if cycles >= 1 else 2
        assert min(worst) - near <= event.percent <= max(worst) + near
        times = [event.t for event in true]
        assert min(times) - slack_ms / 1000 <= event.t <= max(times) + slack_ms / 1000
        lengths = [event.ms for event in true]
        assert min(lengths) - slack_ms <= event.ms <= max(lengths) + slack_ms


@pytest.mark.parametrize("left", [0.0, 0.3, 0.8])
def test_its_length_and_depth_are_those_of_the_sag(left: float) -> None:
    """As anybody would measure them: within a cycle, and within 1 % of nominal."""
    for phase in range(0, 360, 24):
        begins = 1.3 + phase / 360 / 60
        for seconds in (0.1, 0.5):
            wave = scaled(sine(VOLTS), [(begins, left), (begins + seconds, 1.0)])
            (event,) = events(wave, 2.2, noise=2)
            assert event.percent == pytest.approx(100 * left, abs=1)
            assert event.ms == pytest.approx(1000 * seconds, abs=1000 / 60)
            assert begins - 1 / 60 <= event.t <= begins + 1 / 60


@pytest.mark.parametrize("name", [*boards.names(), "8 kHz at 50 Hz", "2 kHz"])
def test_on_every_board(name: str) -> None:
    made_up = {"8 kHz at 50 Hz": board(nominal_hz=50), "2 kHz": board(period_us=500)}
    layout = made_up[name] if name in made_up else boards.load(name)
    wave = scaled(sine(VOLTS, layout.nominal_hz), [(1.3, 0.6), (1.5, 1.0)])
    (event, *others) = newest(followed(convert(lines(wave), 2, layout), layout))
    assert event.kind == "sag" and event.ms == pytest.approx(200, abs=20)
    assert event.percent == pytest.approx(60, abs=1) and event.t == pytest.approx(1.3, abs=0.02)
    # Line 2 is line 1 turned over; but one that is derived has no events of its own.
    derived = layout.slot["v1"] == layout.slot["v2"]
    assert [event.line for event in others] == ([] if derived else [2])
    assert len(Sag(layout, nominal(layout)).counts["sag"]) == (1 if derived else 2)


@pytest.mark.parametrize("hertz", [45, 47.3, 50, 53, 57, 60, 62.5, 65])
@pytest.mark.parametrize("nominal_hz", [50, 60])
def test_the_cycle_is_the_mains_own(nominal_hz: int, hertz: float) -> None:
    layout = board(nominal_hz=nominal_hz)
    mhz = round(hertz * 1000)
    for left in (0.915, 1.085):
        wave = scaled(sine(VOLTS, hertz), [(0.0, left)])
        sag = followed(convert(lines(wave, wave), 3, layout), layout, mhz)
        assert newest(sag) == []
    wave = scaled(sine(VOLTS, hertz), [(2.0, 0.5), (2.3, 1.0), (2.6, 1.2), (2.9, 1.0)])
    sag = followed(convert(lines(wave, wave), 3.2, layout), layout, mhz)
    for event, kind, percent in zip(newest(sag)[::2], ("sag", "swell"), (50, 120)):
        assert event.kind == kind and event.percent == pytest.approx(percent, abs=1)
    assert len(newest(sag)) == 4


def test_what_is_no_frequency_of_mains_is_not_followed() -> None:
    """A dead line's; the loop hands over none that is beyond 45 to 65 Hz."""
    layout = board()
    sag = followed(convert(lines(scaled(sine(VOLTS), [(1.0, 0.0)])), 1.5), layout)
    sag.follow(45000)
    for block in blocks(convert(lines(sine(VOLTS)), 1.0)):
        sag.feed(flat(block), len(block), layout.frame_ticks)
    assert [event.percent for event in newest(sag)] == pytest.approx([0, 0], abs=0.5)
    assert all(event.over for event in newest(sag))


@pytest.mark.parametrize("rms", [0.86, 0.94, 1.06, 1.14])
def test_volts_count_not_peaks(rms: float) -> None:
    found = events(flat_topped(rms * VOLTS), 2.0)
    if 0.9 < rms < 1.1:
        assert found == []
    else:
        (event,) = found
        assert not event.over and event.percent == pytest.approx(100 * rms, abs=0.7)


@pytest.mark.parametrize("offset", [-100, 100])
def test_an_offset_is_no_voltage(offset: float) -> None:
    wave = scaled(sine(VOLTS), [(2.5, 0.3), (2.8, 1.0)])
    (event,) = events(wave, 3.2, offset=offset)
    assert event.percent == pytest.approx(30, abs=1)


# ---- when one begins and ends


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        ([0.895, 0.91, 0.895, 0.91, 0.93], ["sag"]),
        ([1.105, 1.09, 1.105, 1.09, 1.07], ["swell"]),
        ([0.895, 0.93, 0.895, 0.93], ["sag", "sag"]),
        ([1.105, 1.07, 1.105, 1.07], ["swell", "swell"]),
        ([0.905, 1.095, 0.905], []),
        ([0.8, 1.2, 0.8, 1.0], ["sag", "swell", "sag"]),
        ([0.8, 0.05, 0.6, 1.0], ["interruption"]),
        ([0.05, 0.5, 0.05, 0.88, 1.0], ["interruption"]),
        ([0.11, 1.0, 0.09, 1.0], ["sag", "interruption"]),
    ],
)
def test_hysteresis_and_the_worse_kind(steps: list[float], kinds: list[str]) -> None:
    wave = scaled(sine(VOLTS), [(1.0 + 0.2 * k, left) for k, left in enumerate(steps)])
    found = events(wave, 1.2 + 0.2 * len(steps))
    assert [event.kind for event in found] == kinds
    assert all(event.over for event in found) or steps[-1] in (0.905,)
    for before, after in pairwise(found):
        assert before.t + before.ms / 1000 <= after.t + 1e-3
    if kinds == ["interruption"]:
        assert found[0].percent == pytest.approx(5, abs=0.5)
        assert found[0].ms == pytest.approx(200 * (len(steps) - 1), abs=20)


def test_noise_at_the_threshold_makes_few() -> None:
    for volts in (0.90, 1.10):
        assert len(events(sine(volts * VOLTS), 20, noise=10)) <= 1


def test_a_start_in_an_interruption() -> None:
    wave = scaled(sine(VOLTS), [(0.0, 0.0), (2.0, 1.0)])
    (event,) = events(wave, 2.5, noise=2, offset=50)
    assert event.kind == "interruption" and event.over and event.t < 0.06
    assert event.t + event.ms / 1000 == pytest.approx(2.0, abs=0.02)
    wave = scaled(sine(VOLTS), [(0.0, 0.0)])
    (event,) = events(wave, 2.5, noise=2)
    assert event.kind == "interruption" and not event.over
    assert event.t + event.ms / 1000 == pytest.approx(2.5, abs=0.03)


def test_each_line_has_its_own() -> None:
    one = scaled(sine(VOLTS), [(1.2, 0.5), (1.4, 1.0), (2.0, 1.2), (2.1, 1.0)])
    two = scaled(sine(-VOLTS), [(1.3, 0.0), (1.6, 1.0)])
    sag = followed(convert(lines(one, two), 2.5))
    assert [(event.line, event.kind) for event in newest(sag)] == [
        (1, "sag"),
        (2, "interruption"),
        (1, "swell"),
    ]
    assert sag.counts == {"sag": [1, 0], "swell": [1, 0], "interruption": [0, 1]}


def test_the_list_is_bounded_and_counts_go_on() -> None:
    steps = [
        (1.2 + 0.1 * k + d, 0.5 - k / 100 if not d else 1.0) for k in range(12) for d in (0, 0.05)
    ]
    sag = followed(convert(lines(scaled(sine(VOLTS), steps), sine(VOLTS)), 2.6))
    found = newest(sag)
    assert sag.counts["sag"] == [12, 0] and len(found) == KEPT
    assert [event.t for event in found] == pytest.approx(
        [1.2 + 0.1 * k for k in range(4, 12)], abs=0.02
    )
    assert [event.percent for event in found] == pytest.approx(
        [50 - k for k in range(4, 12)], abs=1
    )


# ---- what it is fed


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_how_frames_are_cut_does_not_matter(data: st.DataObject) -> None:
    layout = board(period_us=500, block_frames=8)
    steps = [(1.0, 0.0), (1.1, 1.2), (1.15, 0.7), (1.2, 1.0), (1.3, 0.85), (1.33, 1.0)]
    codes = convert(lines(scaled(sine(VOLTS), steps), sine(VOLTS)), 1.6, layout)
    exact = newest(followed(codes, layout, cuts=range(0, len(codes), 7)))
    assert len(exact) == 4
    cuts = sorted({*data.draw(st.lists(st.integers(0, len(codes)), max_size=60)), 0, len(codes)})
    assert newest(followed(codes, layout, cuts=cuts)) == exact
    assert newest(followed(codes, layout, cuts=[])) == exact


def with_gap(codes: Codes, first: int, frames: int) -> Sag:
    layout = board()
    sag = Sag(layout, nominal(layout))
    for block in blocks(codes[:first]):
        sag.feed(flat(block), len(block), layout.frame_ticks)
    sag.gap(frames, frames * layout.frame_ticks)
    for block in blocks(codes[first + frames :]):
        sag.feed(flat(block), len(block), layout.frame_ticks)
    return sag


def test_lost_frames_are_no_event() -> None:
    codes = convert(lines(sine(VOLTS)), 2.0)
    for first in range(9000, 9140, 9):
        for frames in (1, 3, 30, 67, 100, 1000):
            assert newest(with_gap(codes, first, frames)) == []


def test_an_event_goes_on_over_lost_frames() -> None:
    codes = convert(lines(scaled(sine(VOLTS), [(1.2, 0.4), (1.8, 1.0)]), sine(VOLTS)), 2.3)
    for frames in (1, 70, 1000, 3000):
        (event,) = newest(with_gap(codes, 10_400, frames))
        assert event.ms == pytest.approx(600, abs=17) and event.t == pytest.approx(1.2, abs=0.017)
    # What has ended meanwhile ends with the first whole cycle, what has begun begins with it.
    (event,) = newest(with_gap(codes, 10_400, 5000))
    assert event.ms == pytest.approx(740, abs=30)
    (event,) = newest(with_gap(codes, 9000, 2000))
    assert event.t == pytest.approx(1.375, abs=0.06)


def test_codes_at_the_rails_are_bounded_nonsense() -> None:
    layout = board()
    rng = np.random.default_rng(5)
    parts = [
        np.full((9000, 4), 4095, np.uint16),
        np.zeros((9000, 4), np.uint16),
        rng.choice(np.array([0, 4095], np.uint16), (9000, 4)),
        rng.integers(0, 4096, (9000, 4)).astype(np.uint16),
    ]
    sag = Sag(layout, nominal(layout))
    before: list[int] = [0] * 6
    for k in range(40):
        for block in blocks(parts[k % 4][: 500 * (1 + k % 17)]):
            sag.feed(flat(block), len(block), layout.frame_ticks)
        if not k % 5:
            sag.gap(k, k * layout.frame_ticks)
        counts = [count for kind in KINDS for count in sag.counts[kind]]
        assert all(old <= new for old, new in zip(before, counts))
        before = counts
        assert len(newest(sag)) <= KEPT + 2
        for event in newest(sag):
            assert 0 <= event.percent < 400 and event.ms >= 0
    # Once the offset is what it was, so is everything.
    for block in blocks(convert(lines(sine(VOLTS)), 3.0)):
        sag.feed(flat(block), len(block), layout.frame_ticks)
    assert all(event.over for event in newest(sag))


@pytest.mark.parametrize("gain", [1_000_000, 70_000_000, -300_000_000, 1_999_999_999])
def test_the_limits_follow_the_gain(gain: int) -> None:
    layout = board()
    calibration = Calibration((gain, gain), (150_000_000, 150_000_000))
    wave = scaled(sine(VOLTS if abs(gain) > 1e7 else 1.0), [(1.5, 0.5), (1.8, 1.0)])
    codes = convert(lines(wave), 2.5, gains=(abs(gain), 150_000_000))
    one, _ = newest(followed(codes, layout, calibration=calibration))
    if gain == 1_000_000:
        # No wave on these inputs is as much as a hundredth of nominal.
        assert one.kind == "interruption" and not one.over and one.percent < 1
    else:
        assert one.kind == "sag" and one.percent == pytest.approx(50, abs=1.5)


_ON_ENGINE = """\
import json
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
    n = 0
    while file.readinto(codes):
        sag.feed(codes, 50, layout.frame_ticks)
        n += 1
        if n == 250:
            sag.follow(58800)
            sag.gap(77, 77 * layout.frame_ticks)
print(json.dumps([sag.counts, [list(event) for event in sag.newest()], list(sag._words)]))
"""


@pytest.mark.parametrize("name", ["feather_rp2040", "esp32_devkitc", "pico"])
@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_engines_agree_with_this_python(engine: str, name: str, tmp_path: Path) -> None:
    """Word for word, rails and noise over the full scale included."""
    layout = boards.load(name)
    wave = scaled(sine(VOLTS), [(1.2, 0.0), (1.4, 1.0), (1.6, 0.7), (1.8, 1.3), (1.9, 1.0)])
    codes = convert(lines(wave), 2.5, layout, noise=3, offset=-70)
    rng = np.random.default_rng(1)
    rest = rng.integers(0, 4096, (3000, layout.stride), dtype=np.uint16)
    rails = np.full((3000, layout.stride), 4095, np.uint16)
    codes = np.concatenate([codes, rails, rest, rails * 0, codes])
    codes = codes[: len(codes) // 50 * 50]
    raw = tmp_path / "codes"
    raw.write_bytes(codes.astype("<u2").tobytes())
    script = tmp_path / "events.py"
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
    for n, block in enumerate(blocks(codes, range(50, len(codes), 50))):
        sag.feed(flat(block), 50, layout.frame_ticks)
        if n == 249:
            sag.follow(58800)
            sag.gap(77, 77 * layout.frame_ticks)
    expected = [sag.counts, [list(event) for event in sag.newest()], list(sag._words)]
    assert sum(sag.counts["sag"]) >= 2 and sag.counts["interruption"][0] >= 1
    assert json.loads(done.stdout) == expected


# ---- where they are seen


class Board:
    """The firmware's own assembly, fed with a wave, as many codes a round as come in 5 ms."""

    def __init__(self, folder: Path, wave: Wave, seconds: float, layout: Layout) -> None:
        codes = convert(lines(wave, wave), seconds, layout)
        self._blocks = iter(blocks(codes, range(0, len(codes), 50)))
        self._ticks = layout.frame_ticks
        self.port = Port()
        self.sampler = Sampler(self._refill)
        self.firmware = assembled(folder, layout, self.sampler, self.port)
        self.loop: Any = self.firmware.new_loop()
        self.more = True

    def _refill(self) -> Any:
        block = next(self._blocks, None)
        self.more = block is not None
        return (block, self._ticks) if self.more else None

    def run(self, rounds: int = 1 << 30) -> None:
        while self.more and rounds:
            self.loop.run_round()
            self.port.now += 5
            rounds -= 1

    def ask(self) -> dict[str, Any]:
        self.port.typed += b"\r\nevents\r\n"
        for _ in range(400):
            self.loop.run_round()
            self.port.now += 5
        (answer,) = [line for line in self.port.said.splitlines() if b'"reply":"events"' in line]
        self.port.said.clear()
        return json.loads(answer)


def test_the_console_shows_them(tmp_path: Path) -> None:
    layout = boards.load(boards.DEFAULT)
    wave = scaled(sine(VOLTS, 52), [(2.0, 0.6), (2.2, 1.0), (2.5, 0.0)])
    rig = Board(tmp_path, wave, 3.0, layout)
    rig.run()
    answer = rig.ask()
    assert answer["counts"] == {"sag": [1, 1], "swell": [0, 0], "interruption": [0, 0]}
    assert [(e["line"], e["kind"], e["over"]) for e in answer["newest"]] == [
        (1, "sag", True),
        (2, "sag", True),
        (1, "interruption", False),
        (2, "interruption", False),
    ]
    one, _, three, _ = answer["newest"]
    assert one.keys() == {"line", "kind", "t", "ms", "percent", "over"}
    # The frequency has come by: a board of 60 Hz would be up to 4 % off at 52.
    assert one["percent"] == pytest.approx(60, abs=0.5)
    assert one["t"] == pytest.approx(2.0, abs=0.02) and one["ms"] == pytest.approx(200, abs=20)
    assert three["t"] == pytest.approx(2.5, abs=0.02)
    assert three["t"] + three["ms"] / 1000 == pytest.approx(3.0, abs=0.03)


def test_they_outlive_the_prompt_and_lost_frames_reach_them(tmp_path: Path) -> None:
    layout = boards.load(boards.DEFAULT)
    wave = scaled(sine(VOLTS), [(1.5, 0.6), (1.7, 1.0), (2.0, 0.5), (2.8, 1.0)])
    rig = Board(tmp_path, wave, 3.5, layout)
    rig.run(420)
    rig.loop = rig.firmware.new_loop()
    rig.sampler.waiting.append(5000)
    rig.run()
    counts = rig.firmware.sag.counts["sag"]
    assert counts == [2, 2]
    (_, _, event, _) = newest(rig.firmware.sag)
    assert event.ms == pytest.approx(800 + 5000 * 1000 * 4800 / layout.tick_hz, abs=20)


def recording(folder: Path, wave: Wave, seconds: float) -> Path:
    rate = 8000.0
    t = np.arange(int(seconds * rate)) / rate
    path = folder / "sags.npz"
    np.savez(path, rate_hz=rate, v1=wave(t), i1=sine(5)(t), v2=sine(-VOLTS)(t), i2=sine(5)(t))
    return path


@pytest.mark.parametrize("engine", ["cpython", "micropython"])
def test_a_replay_shows_those_of_a_recording(engine: str, tmp_path: Path) -> None:
    need_engine(engine)
    wave = scaled(sine(VOLTS), [(1.0, 0.7), (1.25, 1.0), (1.6, 1.15)])
    done = replay(recording(tmp_path, wave, 2.0), engine=engine)
    found = as_json(done)["events"]
    assert found["counts"] == {"sag": [1, 0], "swell": [0, 0], "interruption": [0, 0]}
    one, two = found["newest"]
    assert one["kind"] == "sag" and one["line"] == 1 and one["over"]
    assert one["percent"] == pytest.approx(70, abs=0.7) and one["ms"] == pytest.approx(250, abs=17)
    assert (
        two["kind"] == "swell" and not two["over"] and two["percent"] == pytest.approx(115, abs=1)
    )
    text = as_text(done)
    assert "voltage: 1 sag, 0 swells, 0 interruptions over" in text
    assert "line 1, sag at " in text and "ms so far" in text


def test_a_replay_without_events_does_not_speak_of_them(tmp_path: Path) -> None:
    done = replay(recording(tmp_path, sine(VOLTS), 1.0), engine="cpython")
    assert as_json(done)["events"]["newest"] == [] and "voltage:" not in as_text(done)
