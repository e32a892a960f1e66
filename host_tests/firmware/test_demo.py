"""The demonstration: its lamps follow the house by its own sums, and the meter is untouched."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from host_tests.rigs.board_parts import Port, Sampler, assembled
from host_tests.rigs.meter_runs import default_board
from threewire.operation import demo as firmware_demo
from tools.cable import door
from tools.cable.shapes import Telemetry

LAYOUT = default_board()
BLOCK = LAYOUT.tick_hz // LAYOUT.frame_ticks // 50
# With a converter's noise; nothing else is on the pins.
BARE = np.random.default_rng(2).normal(2048, 0.7, (BLOCK, LAYOUT.stride)).round().astype(np.uint16)
VOLTS = 120.0


class Rig:
    """A board without a front end; `run` lets it meter."""

    def __init__(self, folder: Path) -> None:
        self.port = Port()
        self.sampler = Sampler(lambda: (BARE, LAYOUT.frame_ticks))
        self.edges: list[tuple[float, str, bool]] = []
        self.lit: dict[str, bool] = {}
        self.parts = assembled(folder, LAYOUT, self.sampler, self.port, show=self._show)
        self.loop: Any = self.parts.new_loop()

    @property
    def seconds(self) -> float:
        return self.sampler.ticks / LAYOUT.tick_hz

    def _show(self, name: str, lit: bool) -> None:
        if self.lit.get(name) != lit:
            self.edges.append((self.seconds, name, lit))
        self.lit[name] = lit

    def run(self, seconds: float) -> None:
        end = self.seconds + seconds
        while self.seconds < end:
            self.loop.run_round()
            self.port.now = round(1000 * self.seconds)

    def type(self, text: str) -> None:
        self.port.typed += text.encode()

    def said(self) -> list[dict[str, Any]]:
        # The last one may be on its way.
        *lines, _ = self.port.said.decode().split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def house_watts(seconds: np.ndarray) -> np.ndarray:
    """Of both legs: V I cos(phi), a lag of 1/32 cycle being 11.25 degrees."""
    watts = np.zeros((len(seconds), 2))
    table = firmware_demo._HOUSE
    ends = np.cumsum([row[0] for row in table])
    which = np.searchsorted(ends, seconds % ends[-1], side="right")
    for k, (_, one, two, lag) in enumerate(table):
        share = math.cos(math.radians(11.25 * lag))
        watts[which == k] = [VOLTS * one / 1e3 * share, VOLTS * two / 1e3 * share]
    return watts


def test_the_lamps_follow_the_house(rig: Rig) -> None:
    rig.run(1.2)
    begun = rig.seconds
    rig.type("demo\r\n")
    rig.run(90)
    answer = next(line for line in rig.said() if line.get("reply") == "demo")
    assert answer["seconds"] == 600
    t = np.arange(0, 90, 0.001)
    watts = house_watts(t)
    # Delivered is the net, cycle by cycle, where it is positive.
    wh = np.cumsum(np.maximum(watts.sum(1), 0)) / 3.6e6
    ten = [at for at, name, _ in rig.edges if name == "ten" and at > begun + 0.1]
    due = t[np.flatnonzero(np.diff(np.floor(wh / 5)) > 0)]
    assert abs(len(ten) - len(due)) <= 1 and len(due) > 50
    n = min(len(ten), len(due))
    late = np.array(ten[:n]) - begun - due[:n]
    # What it begins with, and amounts of codes.
    assert np.abs(late).max() < 0.8
    red = [(at - begun, lit) for at, name, lit in rig.edges if name == "reverse" and at > begun]
    sun = sum(row[0] for row in firmware_demo._HOUSE[:5])
    assert red[0] == (pytest.approx(sun, abs=1.6), True)
    assert not red[1][1] and red[1][0] == pytest.approx(80, abs=1.6)


def test_registers_are_untouched_and_telemetry_has_the_sign(rig: Rig) -> None:
    rig.run(1.2)
    rig.type("demo\r\n")
    rig.run(20)
    meter = rig.parts.meter
    assert {register.text() for _, register in meter.registers.named()} == {"0.000000000"}
    reports = [line for line in rig.said() if "t" in line]
    signs = [line["demo"] for line in reports if "demo" in line]
    assert len(signs) >= 18 and signs[0]["left_s"] > signs[-1]["left_s"] >= 579
    assert float(signs[-1]["delivered_wh"]) > 10
    # The board's own lamps stand still, those of the sign are what is lit.
    assert reports[-1]["leds"] == {"kwh": True, "ten": True, "reverse": False}
    assert reports[-1]["delivered_wh"] == "0.000000000"
    shown = door.read(json.dumps(reports[-1]).encode())
    assert isinstance(shown, Telemetry) and shown.demo is not None
    assert shown.demo.leds.reverse is False


@pytest.mark.parametrize("key", ["x", "\r", " "])
def test_any_key_ends_it(rig: Rig, key: str) -> None:
    rig.run(1.2)
    rig.type("demo\r\n")
    rig.run(45)
    assert rig.parts.captures.demo
    rig.type(key)
    rig.run(1.5)
    assert rig.parts.captures.on is None
    # They are the board's own again.
    assert rig.lit == {"kwh": True, "ten": True, "reverse": False}
    assert "demo" not in rig.said()[-1]


def test_it_ends_by_itself_after_ten_minutes(rig: Rig) -> None:
    fed = []
    meter = SimpleNamespace(
        feed=lambda codes, frames, ticks: fed.append(frames * ticks),
        indicators=SimpleNamespace(lit={}),
    )
    demo = firmware_demo.Demo(LAYOUT, lambda of, on_edge: meter, None)
    seconds = 0
    while not demo.over:
        demo.feed(None, 1, LAYOUT.tick_hz)
        seconds += 1
    # As much as has passed, cycle by cycle of 60 Hz.
    assert seconds == 600 and sum(fed) == 600 * LAYOUT.tick_hz and len(fed) == 36_000
    # The loop is done with one that is over.
    rig.run(1.2)
    rig.type("demo\r\n")
    rig.run(2)
    demo = rig.parts.captures.demo
    demo._left = LAYOUT.tick_hz
    rig.run(0.8)
    assert rig.parts.captures.on is demo
    rig.run(0.4)
    assert rig.parts.captures.on is None


def test_neither_disturbs_the_other(rig: Rig) -> None:
    rig.run(1.2)
    rig.type("demo\r\n")
    rig.run(2)
    # To type ends it, so what is typed next finds none.
    rig.type("demo\r\n")
    rig.run(2)
    rig.type("capture 0.2\r\n")
    rig.run(3)
    said = rig.said()
    assert [line.get("seconds") for line in said if line.get("reply") == "demo"] == [600, 600]
    assert any("captured" in line for line in said)
    assert rig.parts.captures.on is None


@pytest.mark.parametrize("typed", ["demo", "capture 0.2"])
def test_whatever_is_typed_finds_none_under_way(rig: Rig, typed: str) -> None:
    """Also where frames come in blocks, as an ESP32's do: rounds go by in which there are none."""
    rig.run(1.2)
    rig.type("demo\r\n")
    rig.run(2)
    rig.type(typed + "\r\n")
    frames, rig.sampler._refill = rig.sampler._refill, lambda: None
    for _ in range(12):
        rig.loop.run_round()
        rig.port.now += 20
    rig.sampler._refill = frames
    rig.run(3)
    said = [line for line in rig.said() if "t" not in line]
    assert not [line for line in said if "error" in line]
    if typed == "demo":
        assert [line["seconds"] for line in said] == [600, 600]
        assert rig.parts.captures.demo
    else:
        assert (
            said[-1]["captured"] == said[1]["frames"] == LAYOUT.tick_hz // LAYOUT.frame_ticks // 5
        )


def test_frames_that_are_lost_are_not_made_up_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a gap there is enough to do, and nothing of a demonstration may stop the meter."""
    monkeypatch.setattr("sys.print_exception", lambda problem, file: None, raising=False)
    rig.run(1.2)
    rig.type("demo\r\n")
    rig.run(2)
    demo = rig.parts.captures.demo
    left = demo._left

    def full(*given: Any) -> None:
        raise MemoryError

    demo._meter.feed = full
    rig.sampler.waiting.append(20_000)
    rig.loop.run_round()
    assert rig.parts.captures.demo is demo and demo._left == left
    assert rig.parts.meter.lost_frames == 20_000
    # What it cannot do when frames come again ends it, and not the meter.
    rig.run(1)
    assert rig.parts.captures.on is None
    assert rig.lit == {"kwh": True, "ten": True, "reverse": False}


def test_without_memory_it_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.run(1.2)

    def full(*given: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(rig.parts.captures, "new_meter", full)
    rig.type("demo\r\n")
    rig.run(1)
    answer = next(line for line in rig.said() if line.get("reply") == "demo")
    assert "no memory" in answer["error"]
    assert rig.parts.captures.on is None
