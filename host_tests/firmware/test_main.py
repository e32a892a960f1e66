"""The program that a board runs, from its first line to the power cut, on simulated boards.

Each board file runs by timer through the whole firmware; where it names DMA, which only the chip
has, it also runs with a stand-in for that sampler.
"""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import Mock

import numpy as np
import pytest

from host_tests.rigs.board_parts import Port, Sampler
from host_tests.rigs.machine import Machine, PowerOff, installed, mains, timer_board
from host_tests.rigs.meter_runs import Codes
from tools.common import boards

MAIN = Path(__file__).resolve().parents[2] / "firmware" / "main.py"
CYCLE_US = 1_000_000 / 60
WATTS = 2 * 120 * 200  # full load
STEP_US = 5 * 3600 / WATTS * 1e6  # 5 Wh

CASES = [(name, "timer") for name in boards.names()] + [
    (name, "dma") for name in boards.names() if boards.module(name).SAMPLER["kind"] == "dma"
]
every_board = pytest.mark.parametrize(("name", "kind"), CASES)


class DmaStandIn(Sampler):
    """Frames at the exact rate of the board file, as they would be in the ring by now."""

    machine: ClassVar[Machine]
    made: ClassVar[list["DmaStandIn"]]

    def __init__(self, board: Any, layout: Any, chip: Any) -> None:
        super().__init__(self._by_now)
        self._waves = [self.machine.waves[pin] for _, pin in board.SLOTS]
        self._layout = layout
        self._slot_us = board.SAMPLER["clocks"] / 48
        self.running = False
        self.made.append(self)

    def start(self) -> None:
        self._next = self.machine.now
        self.running = True

    def stop(self) -> None:
        self.running = False

    def _by_now(self) -> tuple[Codes, int] | None:
        frames = []
        while self._next + len(self._waves) * self._slot_us <= self.machine.now:
            frames.append([])
            for wave in self._waves:
                frames[-1].append(int(wave(self._next) + 0.5))
                self._next += self._slot_us
        if not frames:
            return None
        return np.array(frames, np.uint16), self._layout.frame_ticks


def port_stand_in(machine: Machine) -> SimpleNamespace:
    """The module serial_port: nothing is typed, lines are printed, the seal is closed."""

    class SerialPort(Port):
        def __init__(self, chip: Any) -> None:
            super().__init__()

        def open(self) -> None:
            pass

        def now_ms(self) -> int:
            return machine.now // 1000

        def put(self, data: bytes) -> None:
            print(data.decode(), end="")

    return SimpleNamespace(
        SerialPort=SerialPort, cause=lambda chip: "power", is_sealed=lambda board: True
    )


class Program:
    """main.py until the power went off: its pins, its lines, what still ran then."""

    def __init__(
        self,
        name: str,
        kind: str,
        amps: Any,
        seconds: float,
        early: Callable[[ModuleType], None] = lambda program: None,
    ) -> None:
        """`early` may change the program when it first sleeps."""
        self.board = timer_board(name) if kind == "timer" else boards.module(name)
        self.machine = machine = Machine(
            mains(self.board, amps),
            read_us=round(self.board.SAMPLER.get("slot_ns", 8000) / 1000),
            soft=self.board.CHIP.startswith("esp32"),
        )
        machine.off_at = round(seconds * 1e6)
        spec = importlib.util.spec_from_file_location("board_main", MAIN)
        assert spec is not None and spec.loader is not None
        program = importlib.util.module_from_spec(spec)

        def asleep() -> None:
            self.running = self.sampler_runs()
            early(program)
            machine.asleep = lambda: None

        self.running = False
        machine.asleep = asleep
        self.stand_ins: list[DmaStandIn] = []
        with installed(machine, self.board), pytest.MonkeyPatch.context() as patch:
            # CPython assembles no Thumb; twins in Python do the same (test_kernel_thumb,
            # test_look_thumb, test_reactive_thumb, test_window_words, test_words_thumb).
            for name in ("kernel", "look", "reactive", "window", "words"):
                twin = importlib.import_module(f"threewire.metering.{name}_viper")
                patch.setitem(sys.modules, f"threewire.metering.{name}_thumb", twin)
            if kind == "dma":
                sampler = type(
                    "DmaSampler", (DmaStandIn,), {"machine": machine, "made": self.stand_ins}
                )
                module = SimpleNamespace(DmaSampler=sampler)
                patch.setitem(sys.modules, "threewire.chip.dma_sampler", module)
            patch.setitem(sys.modules, "threewire.chip.serial_port", port_stand_in(machine))
            # There is no flash in a PC's memory for code to lie in.
            code = Mock(**{"end.return_value.around": lambda run: run})
            module = SimpleNamespace(CodeInFlash=lambda xip_base, assembler, stay: code)
            patch.setitem(sys.modules, "threewire.chip.code_in_flash", module)
            # What the board would have in flash: nothing so far.
            with tempfile.TemporaryDirectory() as flash, pytest.raises(PowerOff):
                patch.chdir(flash)
                spec.loader.exec_module(program)
            patch.undo()

    def sampler_runs(self) -> bool:
        return bool(self.machine.timers) or any(of.running for of in self.stand_ins)

    def changes(self, led: str) -> list[tuple[int, bool]]:
        """When the LED's pin took which state (True: lit), first what it was given first."""
        number, lit = self.board.LEDS[led]
        states = [(us, level == lit) for us, pin, level in self.machine.pin_log if pin == number]
        kept = states[:1]
        for us, state in states:
            if state != kept[-1][1]:
                kept.append((us, state))
        return kept

    def late_us(self) -> float:
        """The most by which an LED may lag behind the energy: a mains cycle, what the sampler
        keeps back, and the pause between looks at it."""
        sampler = self.board.SAMPLER
        held = (
            2 * sampler["block_frames"] * sampler["period_us"] if "block_frames" in sampler else 0
        )
        return CYCLE_US + held + 5000


def nearly_500_wh(program: ModuleType) -> None:
    # Both green LEDs are on at 490 Wh, as at 0: main.py has shown them right.
    program.assembly.meter.registers.delivered.wh = 490


@every_board
def test_leds_and_lines_at_full_load(
    name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Program(name, kind, (200, 200), 3.3, nearly_500_wh)

    # Only the LEDs' pins were driven, and with the power both green ones go on, the red one not.
    assert run.machine.outputs == {pin for pin, _ in run.board.LEDS.values()}
    for led in ("kwh", "ten"):
        assert run.changes(led)[0][0] == 0
        assert [lit for us, lit in run.changes(led) if us == 0] == [False, True]
    assert run.changes("reverse") == [(0, False)]

    # From there on they follow the register: every 5 Wh the one, at 500 Wh the other.
    ten = [change for change in run.changes("ten") if change[0]]
    assert [lit for _, lit in ten] == [False, True] * 4
    for k, (us, _) in enumerate(ten, 1):
        assert -0.002 * k * STEP_US - 2000 <= us - k * STEP_US <= run.late_us()
    ((us, lit),) = [change for change in run.changes("kwh") if change[0]]
    assert not lit
    assert -3000 <= us - 2 * STEP_US <= run.late_us()

    # A line a second, of what has been metered by then.
    said = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert len(said) == 3
    assert [line["t"] for line in said[1:]] == pytest.approx([2, 3], abs=0.1)
    assert 1 <= said[0]["t"] < 1.3
    for line in said:
        metered_wh = float(line["delivered_wh"]) - 490
        assert metered_wh == pytest.approx(WATTS * line["t"] / 3600, rel=3e-3)
        assert line["hertz"] == pytest.approx(60, abs=0.05)
        for element in line["elements"]:
            assert element["volts"] == pytest.approx(120, rel=2e-3)
            assert element["amps"] == pytest.approx(200, rel=2e-3)
            assert element["watts"] == pytest.approx(WATTS / 2, rel=3e-3)
        assert line["faults"]["lost_frames"] == 0
        assert line["watts"] == pytest.approx(WATTS, rel=3e-3)
        assert line["varh"] == ["0.000000000"] * 4
        assert set(line["demand"].values()) == {None}
        assert line["doctor"]["service"] == "split phase"
        assert [found["verdict"] for found in line["doctor"]["elements"]] == ["right", "right"]

    # The sampler ran, and does not any more: its callback would outlive the program.
    assert run.running and not run.sampler_runs()


@every_board
@pytest.mark.parametrize("turned", [1, 2])
def test_a_turned_ct_lights_the_red_led(name: str, kind: str, turned: int) -> None:
    amps = (-50, 80) if turned == 1 else (80, -50)
    run = Program(name, kind, amps, 1.6)
    (off, on) = run.changes("reverse")
    assert off == (0, False)
    assert on[1] and 0.9e6 < on[0] <= 1.5e6
    pin, level = run.board.LEDS["reverse"]
    assert run.machine.levels[pin] == level


@pytest.mark.parametrize("kind", ["timer", "dma"])
def test_the_red_led_follows_within_a_second_and_a_half(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def turned(now: int) -> float:
        return -60 if 1_700_000 <= now < 4_000_000 else 60

    run = Program(boards.DEFAULT, kind, (100, turned), 5.6)
    (_, on, off) = run.changes("reverse")
    assert on[1] and 1.7e6 < on[0] <= 3.2e6
    assert not off[1] and 4e6 < off[0] <= 5.5e6
    said = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [line["leds"]["reverse"] for line in said] == [
        on[0] < 1e6 * line["t"] + run.late_us() and 1e6 * line["t"] < off[0] for line in said
    ]
    assert len(said) == 5


def test_active_low() -> None:
    # Seeed's red LED is between the supply and its pin: dark is high.
    run = Program("xiao_rp2040", "timer", (10, 10), 0.1)
    assert run.machine.levels == {6: 1, 7: 1, 17: 1}
    run = Program("feather_rp2040", "timer", (10, 10), 0.1)
    assert run.machine.levels == {11: 1, 12: 1, 13: 0}


def test_nothing_of_a_fake_stays_behind() -> None:
    import time

    Program(boards.DEFAULT, "timer", (10, 10), 0.05)
    assert not {"machine", "board", "threewire.chip.timer_sampler", "threewire.chip.leds"} & set(
        sys.modules
    )
    assert not hasattr(time, "ticks_us") and not hasattr(time, "sleep_ms")
    assert not hasattr(sys.modules["threewire.chip"], "leds")
