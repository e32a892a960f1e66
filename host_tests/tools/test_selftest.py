"""What the self-test works out of what a board has said, and a timer's board on made-up time."""

import io
import json
import random
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from host_tests.rigs.telemetry_lines import line
from tools import image
from tools.cable import door
from tools.cable.shapes import Telemetry
from tools.common import boards
from tools.common.errors import PortError
from tools.reliability import program_truths
from tools.reliability.mutation import hostile
from tools.reliability.spoiling import spoil
from tools.selftest import chip_checks, cli, end_checks, input_checks, timer_checks
from tools.selftest.chips import flash_lanes
from tools.selftest.row import FAIL, PASS, SKIP
from tools.selftest.subject import Subject, answer

BOARD = boards.DEFAULT
# No chip has it: one that is not emulated.
IDENTITY = "e6605838833a7b2c"


def of_nothing(board: str = BOARD, link: Any = None) -> Subject:
    return Subject(link, board, IDENTITY, 125_000_000, 2500)


def test_registers_that_are_kept() -> None:
    before = report_line(delivered_wh="10.000000000")
    later = report_line(delivered_wh="10.500000000")
    assert end_checks.registers(before, before) and end_checks.registers(later, before)
    assert not end_checks.registers(before, later)
    assert not end_checks.registers(report_line(delivered_wh="110.000000001"), before)


def report_line(**more: Any) -> Telemetry:
    found = door.read(json.dumps(line() | more).encode())
    assert isinstance(found, Telemetry)
    return found


@pytest.mark.parametrize(
    ("typed", "said"),
    [(b"\xff\n" + b"x" * 9000 + b"\ny\n", True), (b"", None)],
)
def test_what_is_no_text(typed: bytes, said: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(typed), "utf-8")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    assert cli.seen("Is it?") is said


@pytest.mark.parametrize(
    ("typed", "said"),
    [("y\n", True), ("No\n", False), ("what\n\nyes\n", True), ("", None), ("hm\n", None)],
)
def test_what_the_operator_says(
    typed: str, said: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    assert cli.seen("Is it?") is said


def test_nobody_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert cli.seen("Is it?") is None


# ---- what is worked out here


def test_a_clock_by_the_marks_that_were_under_way_for_the_shortest_time() -> None:
    """Marks 20 ms late now and then, ticks that wrap, and a host 200 ppm fast."""
    rng = np.random.default_rng(4)

    def marks(ppm: float, start_us: float) -> list[tuple[float, int]]:
        at = np.r_[np.arange(20), np.arange(20) + 1500] * 7e-3
        late = 0.3e-3 + rng.exponential(3e-3, 40)
        ticks = (start_us + at * 1e6).astype(int) % (1 << 30)
        return list(zip(((at + late) * (1 + ppm * 1e-6)).tolist(), ticks.tolist()))

    for start_us in (0, (1 << 30) - 5e6):
        for ppm, verdict in ((0, PASS), (200, FAIL), (-200, FAIL), (40, PASS)):
            row = chip_checks.host_row(marks(ppm, start_us))
            assert row.verdict == verdict, (ppm, row)
            assert row.figures["ppm"] == pytest.approx(-ppm, abs=60)


def test_noise_and_amplitudes_of_a_sine() -> None:
    rng = np.random.default_rng(5)
    t = np.arange(2500) / 1e4
    codes = 2048 + 700 * np.sin(2 * np.pi * 60 * t + 1) + 5 * np.sin(2 * np.pi * 180 * t)
    codes = codes + rng.normal(0, 1.5, len(t))
    assert input_checks.noise(codes) == pytest.approx(1.5, rel=0.1)
    assert input_checks.amplitude(codes, 1e4, 60) == pytest.approx(700, rel=0.005)
    assert abs(input_checks.phasor(codes, 1e4, 60) - 700 * np.exp(1j * (1 - np.pi / 2))) < 4


@pytest.mark.parametrize(
    ("watts", "unloaded", "verdict"), [(20.0, True, PASS), (60.0, True, FAIL), (60.0, False, SKIP)]
)
def test_phantom_power(watts: float, unloaded: bool, verdict: str) -> None:
    """0.1 % of 200 A at 120 V is 24 W."""
    layout = boards.load(BOARD)
    t = np.arange(2500) * layout.frame_ticks / layout.tick_hz
    codes = np.zeros((len(t), layout.stride), np.uint16)
    sine = np.sqrt(2) * np.sin(2 * np.pi * 60 * t)
    for k in (1, 2):
        codes[:, layout.slot[f"v{k}"]] = 2048.5 + 120e9 / layout.nv_per_count * sine
        # Less than a count: what a real converter makes of it by its noise.
        amps = watts / 120e-9 / layout.na_per_count * sine
        noise = np.random.default_rng(k).normal(0, 1, len(t))
        codes[:, layout.slot[f"i{k}"]] = 2048.5 + amps + noise
    subject = of_nothing()
    rows = input_checks.phantom(subject, codes, unloaded)
    assert [row.verdict for row in rows] == [verdict] * 2
    for row in rows:
        assert row.figures["watts"] == pytest.approx(watts, abs=6)
        assert row.figures["volts"] == pytest.approx(120, rel=0.002)


@pytest.fixture
def with_the_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board file has the temperature's slot."""
    module = SimpleNamespace(**vars(boards.module(BOARD)))
    module.SLOTS = (*module.SLOTS, ("temperature", None))
    monkeypatch.setattr(boards, "module", lambda name: module)


@pytest.mark.usefixtures("with_the_sensor")
def test_the_sensor_has_no_pin() -> None:
    """Four are pulled up, each of which raises its own slot; the means are of all five."""
    led_out = boards.module(BOARD).SLOTS[:-1]
    rest = [32_768] * 4 + [14_000]
    raised = [[code + 3200 * (slot == k) for slot, code in enumerate(rest)] for k in range(4)]
    asked: list[str] = []

    def answer(code: str) -> str:
        asked.append(code)
        return json.dumps({"means": [rest, *raised]})

    rows = input_checks.pins(of_nothing(link=SimpleNamespace(run=answer)))
    assert [row.name for row in rows] == [f"pin {name}" for name, _ in led_out]
    assert {row.verdict for row in rows} == {PASS}
    assert f"for pin in {[pin for _, pin in led_out]}:" in asked[0]


@pytest.mark.usefixtures("with_the_sensor")
@pytest.mark.parametrize(
    ("code", "verdict", "said"),
    [
        (879, PASS, "mean 879.0 counts, some 26 degrees Celsius"),
        (2048, FAIL, "it is a temperature from 600 to 1200"),
        (0, FAIL, "it is a temperature from 600 to 1200"),
    ],
)
def test_the_sensors_slot(code: int, verdict: str, said: str) -> None:
    """By the datasheet 879 counts of 3.3 V / 4096 are 708.2 mV, 2.2 mV over 27 degrees'."""
    subject = of_nothing()
    codes = np.random.default_rng(1).normal(2048, 1, (2500, 5)).round().astype(np.uint16)
    codes[:, 4] = code
    rows = input_checks.inputs(subject, codes)
    assert [row.name for row in rows[:4]] == [f"input {name}" for name in subject.layout.slots[:4]]
    assert {row.verdict for row in rows[:4]} == {PASS}
    assert (rows[4].name, rows[4].verdict) == ("temperature", verdict) and said in rows[4].said
    assert rows[4].figures["calibrated_code_q4"] == 16 * code


def test_without_a_voltage_nothing_is_said_of_phantom_power() -> None:
    codes = np.full((2500, 4), 2048, np.uint16)
    subject = of_nothing()
    assert {row.verdict for row in input_checks.phantom(subject, codes, True)} == {SKIP}


@pytest.mark.parametrize(
    ("told", "lines", "divider"),
    [
        ({"ssi_ctrlr0": 0x5F0300, "ssi_baudr": 2}, 4, 2),
        ({"ssi_ctrlr0": 0x1F0300, "ssi_baudr": 4}, 1, 4),
        # RP2350: M0_RFMT's reset value is 0x1000, one line; CLKDIV 0 is 256.
        ({"qmi_m0_rfmt": 0x1000, "qmi_m0_timing": 0x40000004}, 1, 4),
        ({"qmi_m0_rfmt": 0x000492A8, "qmi_m0_timing": 0x60007202}, 4, 2),
        ({"qmi_m0_rfmt": 0x2A8, "qmi_m0_timing": 0x60007200}, 4, 256),
    ],
)
def test_by_how_many_lines_a_flash_is_read(told: Any, lines: int, divider: int) -> None:
    assert flash_lanes(told) == (lines, divider)
    assert flash_lanes({}) is None


# ---- boards that lie


class Liar:
    """A board at its prompt that prints what is nearly right now and then; nothing takes time."""

    def __init__(self, seed: int, often: float) -> None:
        self._draw = random.Random(seed)
        self._often = often

    def run(self, code: str) -> str:
        program = program_truths.of(code)
        if not program:
            return "{}"
        before, told, shape = program
        if self._draw.random() < self._often:
            told = spoil(told, shape, self._draw)
            if self._draw.random() < 0.2:
                before = hostile(before or b" ", self._draw)
        return before.decode(errors="replace") + json.dumps(told)

    def stream(self, code: str, take: Callable[[bytes], None], most: int) -> str:
        said = self.run(code)
        take(said.encode(errors="surrogatepass"))
        return said

    def send(self, data: bytes) -> None:
        pass


def figures_of(link: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The report of what needs no operator."""
    monkeypatch.setattr(image, "compile_module", lambda *given: bytes(600))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    subject, rows = chip_checks.identify(link)
    rows += cli.at_the_prompt(subject, 2, True)
    return json.dumps(cli.report(subject, rows), allow_nan=False)


def test_whatever_a_board_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a verdict, or one line of error; a figure is a finite number."""
    assert len(json.loads(figures_of(Liar(0, 0.0), monkeypatch))["checks"]) == 24
    refused = 0
    for seed in range(250):
        try:
            figures_of(Liar(seed, 0.15), monkeypatch)
        except PortError:
            refused += 1
    assert 50 < refused < 240


@pytest.mark.parametrize(
    ("piece", "told"),
    [
        ("gc_us", {"gc_us": []}),
        ("store.save", {"us": []}),
        ("ssi_baudr", {"ssi_baudr": None}),
        ("b2a_base64", {"codes": 0}),
        ("b2a_base64", {"codes": 10_000, "stride": 2}),
        ("0x2000", {"means": [[32_768] * 4]}),
        ("0x2000", {"means": [[32_768] * 3] * 5}),
        ("mark %d", {"us": 0}),
        ("mark %d", {"tick_hz": 10**400}),
    ],
)
def test_answers_that_can_not_be_used(
    piece: str, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(Liar):
        def run(self, code: str) -> str:
            said = super().run(code)
            first = piece in code and "run()" not in code
            *lines, last = said.splitlines()
            return "\n".join([*lines, json.dumps(json.loads(last) | told)]) if first else said

    with pytest.raises(PortError):
        figures_of(Odd(0, 0.0), monkeypatch)


def test_the_power_of_a_derived_voltage() -> None:
    """A Pico has no voltage 2: it is minus voltage 1, and so is leg 2's current."""
    layout = boards.load("pico")
    t = np.arange(2500) * layout.frame_ticks / layout.tick_hz
    sine = np.sqrt(2) * np.sin(2 * np.pi * 60 * t)
    codes = np.zeros((len(t), layout.stride), np.uint16)
    codes[:, layout.slot["v1"]] = 2048.5 + 120e9 / layout.nv_per_count * sine
    for name, amps in (("i1", 20), ("i2", -10)):
        codes[:, layout.slot[name]] = 2048.5 + amps * 1e9 / layout.na_per_count * sine
    one, two = input_checks.phantom(of_nothing("pico"), codes, False)
    assert one.figures["watts"] == pytest.approx(2400, rel=0.01)
    assert two.figures["watts"] == pytest.approx(1200, rel=0.01)


# ---- a board whose samples come by a timer


class Timed:
    """A board at its prompt that converts in 50 us and whose ticks come late as `late_us` says,
    one after the other, on made-up time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, late_us: list[int]) -> None:
        self.now = 0
        self._late = late_us
        self._monkeypatch = monkeypatch
        link = self

        class Timer:
            PERIODIC = 1

            def __init__(self, number: int) -> None:
                pass

            def init(self, mode: int, period: int, tick_hz: int, callback: Any) -> None:
                assert tick_hz == 1_000_000
                link.period, link.tick, link.due = period, callback, link.now

            def deinit(self) -> None:
                link.tick = None

        self.tick: Any = None
        self.period = self.due = self.ticks = 0
        self.machine = ModuleType("machine")
        vars(self.machine).update(Timer=Timer)

    def read(self) -> int:
        self.now += 50
        return 2048 << 4

    def sleep_ms(self, ms: int) -> None:
        end = self.now + 1000 * ms
        while self.tick and self.due + self._late[self.ticks % len(self._late)] <= end:
            self.now = self.due + self._late[self.ticks % len(self._late)]
            self.ticks += 1
            self.due += self.period
            self.tick(None)
        self.now = end

    def run(self, code: str) -> str:
        if "_modules" in code:
            return "{}"
        self._monkeypatch.setitem(__import__("sys").modules, "machine", self.machine)
        reads = dict.fromkeys(("_read0", "_read1", "_read2", "_read3"), self.read)
        clock = {
            "ticks_us": lambda: self.now % (1 << 30),
            "ticks_ms": lambda: self.now // 1000,
            "ticks_add": lambda a, b: a + b,
            "ticks_diff": lambda a, b: a - b,
            "sleep_ms": self.sleep_ms,
        }
        for name, function in clock.items():
            self._monkeypatch.setattr(time, name, function, raising=False)
        said: list[str] = []
        names = {"assembly": SimpleNamespace(sampler=SimpleNamespace(**reads))}
        exec(code, names | {"print": said.append})
        return "\n".join(said)


@pytest.mark.parametrize(
    ("late", "verdict", "part"),
    [
        # A collection of 2 ms each 400 ticks: three late ticks.
        ([0, *[10] * 397, 900, 700], PASS, 2 / 400),
        ([0, 0, 800, 0], FAIL, 1 / 4),
    ],
)
def test_ticks_of_a_timer(
    late: list[int], verdict: str, part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    link: Any = Timed(monkeypatch, late)
    slots, ticks = timer_checks.timer(of_nothing("esp32_devkitc", link))
    assert slots.verdict == PASS and slots.figures["conversion_us"] == pytest.approx(50, abs=0.5)
    assert ticks.verdict == verdict
    assert ticks.figures["late_part"] == pytest.approx(part, rel=0.1)
    assert sum(ticks.figures["histogram_100_us"]) == pytest.approx(2000, abs=3)


def test_a_board_by_dma_has_no_timer() -> None:
    assert timer_checks.timer(of_nothing()) == []


def test_answers_of_another_firmware_are_told() -> None:
    with pytest.raises(PortError, match="not of this release"):
        answer("noise\n", chip_checks.Memory)
