"""Pulse outputs: each step of a register gives one pulse at most, whenever the power goes, and one
exactly as long as it does not; and what a board file may say of them."""

import importlib
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.rigs import pulse_walk
from host_tests.rigs.board_parts import InFolder
from host_tests.rigs.meter_runs import default_board
from host_tests.rigs.pulse_walk import Life, walk
from threewire.operation.pulse_settings import settings
from threewire.operation.pulses import Pulses
from threewire.storage.keeper import Keeper
from threewire.storage.record import REGISTERS, pack
from tools.common import boards
from tools.engines.child import asked

WH = 1_000_000
LAYOUT = default_board()
RIGS = Path(pulse_walk.__file__).parent


def life(folder: Path, micro_wh: int = WH, make: Any = Pulses) -> Life:
    files = InFolder(folder)
    return Life(files, files.open, LAYOUT, micro_wh, make)


# ---- against an independent count


@given(
    st.sampled_from([WH, 100_000, 2 * WH, 2_500_000, 20_000, 10 * WH]),
    st.lists(st.integers(-3_000_000, 3_000_000), min_size=1, max_size=40),
)
def test_pulses_are_the_floor_of_the_register(
    tmp_path_factory: pytest.TempPathFactory, micro_wh: int, energies: list[int]
) -> None:
    one = life(tmp_path_factory.mktemp("flash"), micro_wh)
    for energy in energies:
        one.flow(energy, 40)
        one.pulses.tick()
        one.pulses.step()
        for k in (0, 1):
            assert one.pins[k].given <= one.count(k)
    one.settle()
    assert [pin.given for pin in one.pins] == [one.count(0), one.count(1)]


@pytest.mark.parametrize("micro_wh", [WH, 100_000, 2_500_000])
@pytest.mark.parametrize("seed", range(3))
def test_no_step_has_two_pulses_whenever_the_power_goes(
    tmp_path: Path, micro_wh: int, seed: int
) -> None:
    came, doubled, lost, cuts, missed = walk(
        lambda: life(tmp_path, micro_wh), random.Random(seed), micro_wh, 60, 60, lambda: False
    )
    assert came and cuts > 20 and lost
    assert doubled == missed == 0


def test_an_outlet_that_does_not_look_ahead_is_seen(tmp_path: Path) -> None:
    class Careless(Pulses):
        def step(self) -> bool | None:
            self._left = [1000, 1000]
            return super().step()

    found = walk(lambda: life(tmp_path, WH, Careless), random.Random(1), WH, 60, 60, lambda: False)
    assert found[1] > 0


@pytest.mark.parametrize(("micro_wh", "prog_size"), [(WH, 256), (100_000, 256), (WH, 32)])
def test_the_power_goes_in_each_operation_of_the_flash(micro_wh: int, prog_size: int) -> None:
    """On MicroPython's littlefs; each cut tears the operation it comes in."""
    need_engine("micropython")
    config = {"micro_wh": micro_wh, "lives": 300, "seed": micro_wh + prog_size}
    config["prog_size"] = prog_size
    told = asked("micropython", "32M", RIGS / "pulse_cuts.py", config)
    came, doubled, _, cuts, missed = told
    assert came > 300 and cuts > 150
    assert doubled == missed == 0


def test_a_loss_of_power_costs_what_was_ahead_and_no_more(tmp_path: Path) -> None:
    """A steady 3.6 kW, a pulse a second: two and those of 20 s at most."""
    one = life(tmp_path)
    for _ in range(600):
        one.flow(100_000, 100)
        one.pulses.tick()
        one.pulses.step()
    assert 58 <= one.pins[0].given <= 60
    last = one.last(0)
    other = life(tmp_path)
    # The register has lost at most what has flowed since the last save; the pulses go on behind
    # all that have come.
    assert other.count(0) <= one.count(0)
    assert 0 <= other.last(0) - last <= 2 + 20
    first = other.last(0)
    while other.count(0) <= first:
        assert other.pins[0].given == 0
        other.flow(100_000, 100)
        other.pulses.tick()
        other.pulses.step()
    other.settle()
    assert other.pins[0].given == 1


# ---- what sets a register is no energy


def test_a_preset_gives_no_pulse(tmp_path: Path) -> None:
    one = life(tmp_path)
    one.flow(2_500_000, 100)
    one.settle()
    assert one.pins[0].given == 2
    one.flow(700_000, 100)  # one is due, and not given yet
    one.pulses.preset("delivered", 5000)
    one.settle()
    assert one.pins[0].given == 3
    one.flow(3_000_000, 100)
    one.settle()
    assert one.pins[0].given == 6
    one.pulses.save()
    other = life(tmp_path)
    other.settle()
    assert other.pins[0].given == 0


@pytest.mark.parametrize("micro_wh", [WH, 100_000])
def test_a_commissioning_zero_keeps_what_is_owed(tmp_path: Path, micro_wh: int) -> None:
    one = life(tmp_path, micro_wh)
    one.flow(75 * micro_wh // 10, 100)
    one.pulses.zero()
    assert one.count(0) == 0 and one.pins[0].given == 0
    # Now, or behind a loss of power.
    other = life(tmp_path, micro_wh)
    for each in (one, other):
        each.flow(micro_wh, 20)
        each.settle()
        assert each.pins[0].given == 8
        each.flow(micro_wh, 100)
        each.settle()
        assert each.pins[0].given == 9


# ---- the record


def test_a_record_without_pulses_begins_at_its_register(tmp_path: Path) -> None:
    plain = life(tmp_path, make=lambda *parts: Keeper(*parts[4:]))
    plain.flow(40_000_000, 100)
    assert plain.pulses.save()
    one = life(tmp_path)
    one.settle()
    assert one.count(0) == 40 and one.pins[0].given == 0
    one.flow(1_000_000, 100)
    one.settle()
    assert one.pins[0].given == 1
    # And one with them is good without.
    one.pulses.save()
    plain = life(tmp_path, make=lambda *parts: Keeper(*parts[4:]))
    assert plain.problems == [] and plain.count(0) == 41


def test_another_step_begins_at_the_register(tmp_path: Path) -> None:
    one = life(tmp_path)
    one.flow(5_000_000, 100)
    one.pulses.save()  # five are owed
    other = life(tmp_path, 2 * WH)
    other.settle()
    assert other.pins[0].given == 0
    other = life(tmp_path)
    other.settle()
    assert other.pins[0].given == 5


def test_the_longest_record_fits(tmp_path: Path) -> None:
    """A century at 48 kW in each register, and counts that are at their end."""
    one = life(tmp_path)
    values = one.pulses.values()
    unit = one.meter.registers.raw_per_wh
    longest = [values[0], 31, (1 << 56) - 1, (1 << 40)]
    longest += [(1 << 40) - 1, unit - 1] * 8 + [(1 << 56) - 1] * 12
    longest += [0x7FFFFFFF] * 12 + [0] * 4 + [2000, 6] + [0x7FFFFFFF] * 8
    assert len(longest) + 1 == len(values)
    assert len(pack(REGISTERS, 2**32 - 1, longest + [10**12 << 42 | (1 << 42) - 1])) <= 448


def test_a_save_that_fails_stops_no_metering_and_doubles_nothing(tmp_path: Path) -> None:
    one = life(tmp_path)
    one.flow(20_000_000, 100)
    one.settle()
    assert one.pins[0].given == 20
    files = InFolder(tmp_path)

    def full(path: str, mode: str) -> Any:
        if mode == "wb":
            raise OSError(28, "No space left on device")
        return files.open(path, mode)

    one.pulses._store._open = full
    one.flow(400_000_000, 100)
    one.settle()
    given = one.pins[0].given
    # Up to what the last save allows, and then they wait.
    assert given < 420 and one.faults.counts[7] > 0
    assert life(tmp_path).last(0) >= one.last(0)
    one.pulses._store._open = files.open
    one.meter._since[0] += 100 * LAYOUT.tick_hz
    for _ in range(5):
        one.settle()
    assert one.pins[0].given == 420


# ---- the end


def test_a_reset_waits_for_the_pulses_that_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    one = life(tmp_path)
    waits = [False, False, True]
    monkeypatch.setattr(one.pins[0], "is_idle", lambda: waits.pop(0))
    monkeypatch.setattr(one.pulses._machine, "reset", lambda: done.append("reset"))
    slept: list[int] = []
    monkeypatch.setattr("time.sleep_ms", lambda ms: slept.append(ms), raising=False)
    one.pulses.reset()
    assert done == ["reset"] and waits == [] and sum(slept) >= 75


# ---- the pin of an ESP32


def test_an_esp32s_pin_takes_pulses_when_it_has_given_those_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the RMT's own clock of 80 MHz / 255: each duration has 15 bits."""
    written: list[tuple[int, ...]] = []
    done = [True]
    rmt = SimpleNamespace(write_pulses=written.append, wait_done=lambda: done[0])
    made: list[Any] = []

    def new(channel: int, pin: Any, clock_div: int) -> Any:
        made.append((channel, pin, clock_div))
        return rmt

    monkeypatch.setitem(sys.modules, "esp32", SimpleNamespace(RMT=new))
    monkeypatch.setitem(sys.modules, "machine", SimpleNamespace(Pin=lambda number: number))
    assert "threewire.chip.pulse_rmt" not in sys.modules
    module = importlib.import_module("threewire.chip.pulse_rmt")
    pin = module.PulsePin(1, 18, 100_000, 25_000)
    assert made == [(1, 18, 255)]
    assert pin.give(9) == 4 and pin.give(1) == 1
    on, off = int(0.1 * 80e6 / 255), int(0.025 * 80e6 / 255)
    assert written == [(on, off) * 4, (on, off)] and on < 1 << 15
    done[0] = False
    assert pin.give(1) == 0 and not pin.is_idle()
    # With its stand-ins it is of no use to others.
    del sys.modules["threewire.chip.pulse_rmt"]


# ---- the board file


def board(**pulses: Any) -> Any:
    module = boards.module(boards.DEFAULT)
    return SimpleNamespace(
        NAME="made_up", SLOTS=module.SLOTS, LEDS=module.LEDS, SEAL=module.SEAL, PULSES=pulses
    )


@pytest.mark.parametrize(
    ("pulses", "found"),
    [
        ({"delivered": 6}, ([6, None], WH, 50_000, 25_000)),
        ({"received": 0}, ([None, 0], WH, 50_000, 25_000)),
        ({"delivered": 6, "ms": 30}, ([6, None], WH, 30_000, 30_000)),
        (
            {"delivered": 6, "received": 7, "micro_wh": 10 * WH, "ms": 100},
            ([6, 7], 10 * WH, 100_000, 100_000),
        ),
        ({"delivered": 6, "micro_wh": 100_000, "ms": 3}, ([6, None], 100_000, 3000, 3000)),
        ({"delivered": 6, "micro_wh": 100_000, "ms": 5}, ([6, None], 100_000, 5000, 2500)),
    ],
)
def test_settings(pulses: dict[str, Any], found: Any) -> None:
    assert settings(board(**pulses), LAYOUT) == found
    _, micro_wh, on_us, off_us = found
    # At 48 kW they fit.
    assert on_us + off_us <= micro_wh * 3600 / 48000
    assert 2 * off_us >= on_us


@pytest.mark.parametrize(
    ("pulses", "words"),
    [
        ({}, "no pin; name one for delivered, received or both"),
        ({"delivered": None}, "no pin"),
        ({"delivered": 6, "wh": 1}, "'wh'; there are delivered, received, micro_wh, ms"),
        ({"delivered": "6"}, "delivered '6' is no whole number"),
        ({"delivered": True}, "delivered True is no whole number"),
        ({"delivered": -1}, "delivered -1 is no whole number"),
        ({"delivered": 6, "micro_wh": 0.1}, "micro_wh 0.1 is no whole number"),
        ({"delivered": 6, "ms": 0}, "ms 0 is no whole number"),
        ({"delivered": 26}, "pin 26 is used twice"),
        ({"delivered": 11}, "pin 11 is used twice"),
        ({"delivered": 10}, "pin 10 is used twice"),
        ({"delivered": 6, "received": 6}, "pin 6 is used twice"),
        ({"delivered": 6, "ms": 51}, "a pulse each 75000 us"),
        ({"delivered": 6, "ms": 51}, "it has 50 ms at most"),
        ({"delivered": 6, "micro_wh": 100_000}, "a pulse each 7500 us"),
        ({"delivered": 6, "micro_wh": 10 * WH, "ms": 101}, "100 ms at most"),
        ({"delivered": 6, "micro_wh": 10**13}, "at most"),
    ],
)
def test_what_a_board_file_must_not_say(pulses: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^board made_up: PULSES: ") as told:
        settings(board(**pulses), LAYOUT)
    assert words in str(told.value) and "\n" not in str(told.value)
