"""Outlets of the report: each gets what it can take, and none disturbs another or metering."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from host_tests.rigs.board_parts import SteadyBoard
from host_tests.rigs.meter_runs import convert, default_board, split_phase
from threewire.operation.faults import NAMES
from threewire.operation.loop import Loop
from threewire.operation.report import Report
from threewire.operation.telemetry import pieces

LAYOUT = default_board()
BLOCK = LAYOUT.tick_hz // LAYOUT.frame_ticks // 50
SECOND = convert(split_phase((30, 12)), 1, LAYOUT)


class Outlet:
    """Keeps the reports it is given, and needs `steps` steps for each.

    is_called, pause_ms  as ModbusSlave's

    waits    it can do nothing, as one whose port is held and not read
    crashes  raised by its next step
    """

    pause_ms = 5

    def __init__(self, steps: int = 3) -> None:
        self.is_called = False
        self.reports: list[Report] = []
        self.broken_off = 0
        self.waits = False
        self.crashes: Exception | None = None
        self._steps = steps
        self._left = 0

    @property
    def is_free(self) -> bool:
        return not self._left

    def offer(self, report: Report) -> None:
        assert self.is_free
        self.reports.append(report)
        self._left = self._steps

    def step(self) -> bool | None:
        if self.crashes:
            problem, self.crashes = self.crashes, None
            raise problem
        if self.waits:
            return None
        self._left = max(0, self._left - 1)
        return self._left > 0

    def break_off(self) -> None:
        self.broken_off += 1
        self._left = 0


class Rig(SteadyBoard):
    """The firmware's own assembly with more outlets."""

    def __init__(self, folder: Path, *outlets: Outlet) -> None:
        super().__init__(folder, LAYOUT, SECOND)
        self.collection_ms = 0
        self.collections: list[int] = []  # milliseconds
        self.room = self.garbage_a_second = 0  # bytes
        loop = self.loop
        self.loop = Loop(
            sampler=self.sampler,
            meter=self.parts.meter,
            sag=loop._sag,
            captures=self.parts.captures,
            keeper=self.parts.keeper,
            faults=self.parts.faults,
            ledger=self.parts.ledger,
            lifecycle=self.parts.lifecycle,
            clock_check=loop._clock_check,
            console=loop._console,
            port=self.port,
            memory=SimpleNamespace(collect=self._collect, mem_free=self._mem_free),
            take_report=loop._take_report,
            serial_line=loop._serial_line,
            outlets=outlets,
        )

    def _collect(self) -> None:
        self.port.now += self.collection_ms
        self.collections.append(self.port.now)

    def _mem_free(self) -> int:
        return self.room - self.garbage_a_second * (self.port.now - self.collections[-1]) // 1000

    @property
    def lines(self) -> int:
        return self.port.said.count(b'{"t":')


@pytest.fixture(autouse=True)
def print_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.print_exception", lambda problem, file: None, raising=False)


def test_each_outlet_gets_a_report_a_second(tmp_path: Path) -> None:
    one, two = Outlet(1), Outlet(30)
    rig = Rig(tmp_path, one, two)
    rig.run(5.5)
    assert rig.lines == len(one.reports) == len(two.reports) == 5
    # The very same snapshot for all of them, of the moment it was taken.
    assert one.reports == two.reports
    ticks = [report.ticks / LAYOUT.tick_hz for report in one.reports]
    assert ticks == pytest.approx([1, 2, 3, 4, 5], abs=0.15)
    for report in one.reports:
        whole, billionths = report.wh(0)
        assert whole + billionths / 1e9 == pytest.approx(
            120 * 42 * report.ticks / LAYOUT.tick_hz / 3600, rel=2e-2
        )


def test_a_report_tells_of_the_loop_itself(tmp_path: Path) -> None:
    told = []

    class Told(Outlet):
        def offer(self, report: Report) -> None:
            super().offer(report)
            assert report.effort is not None
            told.append(list(report.effort))

    rig = Rig(tmp_path, Told(1))
    slept = since = most = 0
    expected = []
    while len(told) < 4:
        now = rig.port.now
        # A collection takes longer once; the longest is told of from then on.
        rig.collection_ms = 23 if len(told) == 2 else 18
        held = len(told) == 1 and not most
        if held:
            # 60 ms of frames at once.
            rig.sampler.waiting.append((np.tile(SECOND[:BLOCK], (3, 1)), LAYOUT.frame_ticks))
        most = max(most, 60 if held else 20)
        reports = len(told)
        more = rig.loop.run_round()
        if len(told) > reports:
            late = rig.parts.meter.ticks - len(told) * LAYOUT.tick_hz
            expected.append(((now - since - slept) * 1000 // (now - since), most, late))
            since, slept, most = now, 0, 0
        slept += 0 if more else rig.loop.pause_ms
        rig.port.now = 1000 * rig.sampler.ticks // LAYOUT.tick_hz
    for (busy, ring, late, save, _), (is_busy, waited, ticks) in zip(told, expected):
        assert busy == pytest.approx(is_busy, abs=1)
        assert ring == waited and save == 0
        assert late == ticks * 1000 // LAYOUT.tick_hz
    assert [of[-1] for of in told][::3] == [18, 23]


@pytest.mark.parametrize(
    "room, garbage_a_second, seconds",
    [
        (66_000, 24_000, (54 / 24 - 0.1, 54 / 24 + 0.1)),  # 12 kB are left
        (30_000, 40_000, (0.6, 0.75)),  # no oftener than that
        (200_000, 3_000, (4.9, 5.1)),  # no more seldom
    ],
)
def test_garbage_is_left_until_most_of_the_memory_is_used(
    tmp_path: Path, room: int, garbage_a_second: int, seconds: tuple[float, float]
) -> None:
    rig = Rig(tmp_path)
    rig.room, rig.garbage_a_second = room, garbage_a_second
    rig.run(60)
    least, most = seconds
    apart = np.diff(rig.collections)[-3:] / 1000
    assert all(least < each < most for each in apart), apart
    # It was never used up.
    used = garbage_a_second * np.max(np.diff(rig.collections)[-3:]) / 1000
    assert used < room


def test_memory_that_is_wanted_otherwise_has_garbage_collected_sooner(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.room, rig.garbage_a_second = 66_000, 8_000
    rig.run(60)
    assert rig.collections[-1] - rig.collections[-2] == pytest.approx(5000, abs=100)
    rig.room, rig.garbage_a_second = 40_000, 20_000
    rig.run(60)
    assert rig.collections[-1] - rig.collections[-2] == pytest.approx(1400, abs=100)


def test_one_that_is_stuck_silences_no_other(tmp_path: Path) -> None:
    stuck, other = Outlet(), Outlet()
    rig = Rig(tmp_path, stuck, other)
    stuck.waits = True
    rig.run(4.5)
    assert rig.lines == len(other.reports) == 4
    assert len(stuck.reports) == 1
    # It goes on where it was, and takes what comes then.
    stuck.waits = False
    rig.run(2)
    assert len(stuck.reports) == 3 and len(other.reports) == 6


def test_a_serial_port_that_is_held_and_not_read_silences_no_other(tmp_path: Path) -> None:
    other = Outlet()
    rig = Rig(tmp_path, other)
    rig.port.ready = False
    rig.run(4.5)
    assert len(other.reports) == 4 and rig.lines == 0
    rig.port.ready = True
    rig.run(2)
    assert len(other.reports) == 6 and rig.lines >= 2


def test_one_that_crashes_is_counted_and_disturbs_none(tmp_path: Path) -> None:
    broken, other = Outlet(), Outlet()
    rig = Rig(tmp_path, broken, other)
    rig.run(1.5)
    broken.crashes = ValueError("provoked")
    rig.run(3)
    assert broken.broken_off == 1
    assert rig.parts.faults.counts[NAMES.index("task")] == 1
    assert rig.lines == len(other.reports) == len(broken.reports) == 4
    assert rig.parts.meter.ticks >= 4.4 * LAYOUT.tick_hz
    assert rig.parts.meter.lost_frames == 0


def test_an_answer_behind_a_capture_waits_for_nobody(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.run(1.3)
    rig.port.typed += b"capture 0.02\nevents\n"
    # Before the next report is made, which would look after it as well.
    rig.run(0.6)
    said = rig.port.said
    captured = said.index(b'{"captured"')
    assert b'{"reply":"events"' in said[captured:]


def test_quiet_leaves_out_the_serial_lines_reports_alone(tmp_path: Path) -> None:
    other = Outlet(1)
    rig = Rig(tmp_path, other)
    rig.run(1.5)
    rig.port.typed += b"quiet 3\nseal\n"
    rig.run(3)
    assert b'{"reply":"quiet","seconds": 3}' in rig.port.said
    assert b'{"reply":"seal"' in rig.port.said
    assert (rig.lines, len(other.reports)) == (1, 4)
    # It ends by itself,
    rig.run(2)
    assert (rig.lines, len(other.reports)) == (3, 6)
    # and before that when it is asked to, or where the line begins anew.
    rig.port.typed += b"quiet 600\n"
    rig.run(2)
    assert rig.lines == 3
    rig.port.typed += b"quiet 0\n"
    rig.run(2)
    assert rig.lines == 5
    rig.port.typed += b"quiet 600\n"
    rig.run(1)
    rig.parts.new_loop()
    rig.run(1)
    assert rig.lines == 6


class Slow(Outlet):
    """Makes a piece of the report's line in every third step."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._pieces: Any = None
        self._steps = 0

    @property
    def is_free(self) -> bool:
        return self._pieces is None

    def offer(self, report: Report) -> None:
        self._pieces = pieces(report)

    def step(self) -> bool | None:
        self._steps += 1
        if self._steps % 3 or self._pieces is None:
            return None
        piece = next(self._pieces, None)
        if piece is None:
            self._pieces = None
            piece = "\n"
        self.text += piece
        return True


def test_two_lines_that_are_made_at_once_are_both_whole(tmp_path: Path) -> None:
    slow = Slow()
    rig = Rig(tmp_path, slow)
    # What a UART takes at a time, less than a piece has.
    rig.port.most = 128
    for _, register in rig.parts.meter.registers.named():
        register.wh = 123456
    rig.run(4.5)
    lines = rig.port.said.decode().splitlines()
    assert len(lines) == 4
    for line in lines + slow.text.splitlines()[:3]:
        assert json.loads(line)["delivered_wh"].startswith("1234")
