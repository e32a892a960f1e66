"""A stand-in for the parts of `machine` and of MicroPython's `time` that the firmware touches.

Flow: waves -> fake ADC -> firmware under test -> fake pins.  There is one simulated clock, in
whole microseconds: it moves only while something waits, converts or sleeps, so runs repeat.
"""

import importlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from tools.common import boards

WRAP = 1 << 30  # ticks_us counts modulo this
UNIQUE_ID = bytes.fromhex("e6605838833a7b2c")
# Modules that bind `machine` or the clock when they are imported: imported anew for every fake.
HARDWARE = ("threewire.assembly", "threewire.chip.timer_sampler", "threewire.chip.leds")

# How the files of boards with DMA say they may be sampled by timer instead.
BY_TIMER = {
    "kind": "timer",
    "period_us": 250,
    "block_frames": 32,
    "slot_ns": 6900,
    "timer": -1,
    "hard": True,
}

# Code, mid-scale included, against the simulated time in us.
Wave = Callable[[int], float]


class PowerOff(BaseException):
    """Ends a program that never returns: raised out of sleep_ms at the time given, and past what
    the program makes of its exceptions."""


class Pin:
    OUT = 1
    _machine: ClassVar["Machine"]

    def __init__(self, number: int, mode: int = -1, value: int | None = None) -> None:
        self.number = number
        if mode == self.OUT:
            if self._machine.soft and number >= 34:
                raise ValueError("pin can only be input")
            self._machine.outputs.add(number)
        if value is not None:
            self.value(value)

    def value(self, level: int) -> None:
        machine = self._machine
        assert self.number in machine.outputs, f"pin {self.number} is no output"
        machine.levels[self.number] = level
        machine.pin_log.append((machine.now, self.number, level))


class ADC:
    """12 bits, which read_u16 spreads over 16 as the ports do."""

    _machine: ClassVar["Machine"]

    def __init__(self, pin: Pin) -> None:
        machine = self._machine
        self._wave = machine.waves.get(pin.number, lambda now: 2048)
        self._instants = machine.instants.setdefault(pin.number, [])

    def read_u16(self) -> int:
        machine = self._machine
        if machine.fails(machine.now):
            raise OSError(-260, "ESP_ERR_TIMEOUT")
        self._instants.append(machine.now)
        raw = min(max(int(self._wave(machine.now) + 0.5), 0), 4095)
        machine.now += machine.read_us
        return raw << 4 | raw >> 8


class Timer:
    PERIODIC = 1
    _machine: ClassVar["Machine"]

    def __init__(self, id: int) -> None:
        # rp2 has software timers only, all of them -1; esp32 has four of hardware.
        assert id in (range(4) if self._machine.soft else (-1,)), f"no timer {id}"
        self.running = False

    def init(
        self,
        *,
        mode: int,
        period: int,
        tick_hz: int,
        callback: Callable[["Timer"], None],
        hard: bool | None = None,
    ) -> None:
        machine = self._machine
        assert mode == self.PERIODIC and tick_hz == 1_000_000
        if machine.soft and hard is not None:
            raise TypeError("extra keyword arguments given")  # what esp32 says of `hard`
        machine.wait(machine.init_us)
        self.period_us = period
        self._callback = callback
        self._begun = machine.now
        self._tick = 0
        self.running = True
        machine.timers.append(self)
        self._arm()

    def deinit(self) -> None:
        self.running = False
        if self in self._machine.timers:
            self._machine.timers.remove(self)

    def _arm(self) -> None:
        """Finds the next tick that is not lost, and when it will be served."""
        machine = self._machine
        while True:
            self._tick += 1
            due = self._begun + self._tick * self.period_us
            latency = machine.latency(self._tick)
            if latency is None or self._queue_full(due):
                machine.lost += 1
                continue
            self.at = due + latency
            for begin, end in machine.stalls:
                if begin <= self.at < end:
                    self.at = end
            return

    def _queue_full(self, due: int) -> bool:
        """Whether a tick of this instant finds no room among those that a stall keeps waiting."""
        machine = self._machine
        for begin, end in machine.stalls:
            if machine.soft and begin <= due < end:
                first = max(1, -((self._begun - begin) // self.period_us))  # tick of the stall
                return self._tick - first >= machine.QUEUE
        return False

    def fire(self) -> None:
        # The next is armed first: the callback may stop the timer.
        self._arm()
        try:
            self._callback(self)
        except Exception:
            # A hard timer never calls again; a soft one tells of it on the serial port.
            if not self._machine.soft:
                self.deinit()
            self._machine.raised += 1
        self._machine.now += self._machine.entry_us


class Machine:
    """One simulated board.

    waves     pin -> Wave; a pin that is not there is at mid-scale
    start_us  what the clock shows at first; ticks_us is that modulo 2**30
    read_us   time of a conversion
    entry_us  time an interrupt costs beside its conversions
    init_us   time from the call of Timer.init to the instant the period counts from
    latency   tick (1, 2, ...) -> us from the instant it is due to its callback, None: it is lost
    stalls    (begin, end) in us, in which no callback runs: the ticks fire back to back after it
    soft      the timer is that of esp32: callbacks wait in a queue of 8, the others are lost
    fails     us -> whether a conversion that begins then raises, as esp32's may

    Recorded: `instants` of the conversions by pin, `pin_log` of (us, pin, level), `levels`,
    `lost` ticks, `raised`: callbacks that ended with an exception, `timers` that run.
    """

    QUEUE = 8

    def __init__(
        self,
        waves: Mapping[int, Wave] | None = None,
        start_us: int = 0,
        read_us: int = 8,
        entry_us: int = 3,
        init_us: int = 0,
        latency: Callable[[int], int | None] = lambda tick: 0,
        stalls: Sequence[tuple[int, int]] = (),
        soft: bool = False,
        fails: Callable[[int], bool] = lambda now: False,
    ) -> None:
        self.waves = dict(waves or {})
        self.now = start_us
        self.read_us = read_us
        self.entry_us = entry_us
        self.init_us = init_us
        self.latency = latency
        self.stalls = stalls
        self.soft = soft
        self.fails = fails
        self.asleep: Callable[[], None] = lambda: None  # called when the program goes to sleep
        self.off_at: int | None = None
        self.instants: dict[int, list[int]] = {}
        self.outputs: set[int] = set()
        self.levels: dict[int, int] = {}
        self.pin_log: list[tuple[int, int, int]] = []
        self.lost = self.raised = 0
        self.timers: list[Timer] = []

    def wait(self, us: int) -> None:
        """Lets time pass for the main program; interrupts are served meanwhile."""
        until = self.now + us
        while self.timers:
            timer = min(self.timers, key=lambda timer: timer.at)
            if timer.at > until:
                break
            self.now = max(self.now, timer.at)
            timer.fire()
        self.now = max(self.now, until)

    # ---- MicroPython's time

    def ticks_us(self) -> int:
        return self.now % WRAP

    @staticmethod
    def ticks_add(ticks: int, delta: int) -> int:
        return (ticks + delta) % WRAP

    @staticmethod
    def ticks_diff(later: int, earlier: int) -> int:
        return (later - earlier + WRAP // 2) % WRAP - WRAP // 2

    def sleep_ms(self, ms: int) -> None:
        self.asleep()
        self.wait(1000 * ms)
        if self.off_at is not None and self.now >= self.off_at:
            raise PowerOff

    def module(self) -> ModuleType:
        """What `import machine` gives on this board."""
        module = ModuleType("machine")
        module.unique_id = lambda: UNIQUE_ID  # type: ignore[attr-defined]
        for part in (Pin, ADC, Timer):
            setattr(module, part.__name__, type(part.__name__, (part,), {"_machine": self}))
        return module


def timer_board(name: str, **sampler: Any) -> SimpleNamespace:
    """This board's file, sampling by timer; `sampler` replaces settings of that."""
    board = SimpleNamespace(**vars(boards.module(name)))
    kind = board.SAMPLER if board.SAMPLER["kind"] == "timer" else BY_TIMER
    board.SAMPLER = {**kind, **sampler}
    return board


def mains(board: Any, amps: tuple[Wave | float, Wave | float]) -> dict[int, Wave]:
    """120 V of 60 Hz on both legs of this board's front end, and a current on each: amperes, which
    may be a function of the simulated time; below zero they flow backwards."""
    volts = {"v1": 120, "v2": -120}
    loads = {"i1": (amps[0], 1), "i2": (amps[1], -1)}
    w = 2 * math.pi * 60e-6

    def voltage(rms: float) -> Wave:
        peak = rms * math.sqrt(2) * 1e9 / board.NV_PER_COUNT
        return lambda now: 2048 + peak * math.sin(w * now)

    def current(rms: Wave | float, leg: int) -> Wave:
        peak = leg * math.sqrt(2) * 1e9 / board.NA_PER_COUNT
        if callable(rms):
            return lambda now: 2048 + peak * rms(now) * math.sin(w * now)
        return lambda now: 2048 + peak * rms * math.sin(w * now)

    return {
        pin: current(*loads[name]) if name in loads else voltage(volts[name])
        for name, pin in board.SLOTS
    }


@contextmanager
def installed(machine: Machine, board: Any = None) -> Iterator[None]:
    """Makes this the machine (and `board` the board file) that the firmware finds.

    Its hardware modules are imported anew inside, and are gone afterwards: nothing of a fake stays
    behind for other tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "machine", machine.module())
        patch.setitem(sys.modules, "board", board)
        # MicroPython has a threshold too.
        patch.setitem(
            sys.modules,
            "gc",
            SimpleNamespace(threshold=lambda size: None, collect=lambda: None, mem_free=lambda: 0),
        )
        for name in ("ticks_us", "ticks_add", "ticks_diff", "sleep_ms"):
            patch.setattr(time, name, getattr(machine, name), raising=False)
        micropython = importlib.import_module("micropython")
        patch.setattr(micropython, "alloc_emergency_exception_buf", lambda size: None, False)
        patch.setattr(micropython, "kbd_intr", lambda code: None, False)
        _forget()
        # The assembly lets these go: for other tests they are still there.
        kept = {name: of for name, of in sys.modules.items() if name.startswith("threewire.")}
        try:
            yield
        finally:
            sys.modules.update(kept)
            for name, of in kept.items():
                package, _, module = name.rpartition(".")
                setattr(sys.modules[package], module, of)
            _forget()


def _forget() -> None:
    package = importlib.import_module("threewire.chip")
    for name in HARDWARE:
        sys.modules.pop(name, None)
        vars(package).pop(name.rpartition(".")[2], None)
