"""The board's Modbus slave: against pymodbus and pysunspec2 over a pseudo terminal, with frames by
hand, and with whatever noise makes of them."""

import json
import math
import random
import struct
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pymodbus.client import ModbusSerialClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceRTU

from host_tests.conftest import need_engine
from host_tests.rigs.board_parts import InFolder, SteadyBoard
from host_tests.rigs.machine import UNIQUE_ID
from host_tests.rigs.meter_runs import convert, default_board, split_phase
from host_tests.rigs.modbus_line import (
    MemoryLine,
    TerminalLine,
    crc_of,
    framed,
    hostile_line,
    micropython_slave,
    read_request,
    serving,
    terminal,
)
from host_tests.tools.serve.test_modbus import expected_of, floats, models_of
from threewire import outlets
from threewire.operation.modbus_rtu import ModbusRtu
from threewire.operation.modbus_slave import ModbusSlave
from threewire.storage.record import REGISTERS
from threewire.storage.store import Store
from threewire.version import VERSION

LAYOUT = default_board()
SECOND = convert(split_phase((30, -12)), 1, LAYOUT)


def table_entry(k: int) -> int:
    for _ in range(8):
        k = k >> 1 ^ 0xA001 if k & 1 else k >> 1
    return k


CRC_TABLE = [table_entry(k) for k in range(256)]
GIVEN = 1, 19200
GOOD = read_request(1, 3, 40000, 2)
ANSWER = framed(b"\x01\x03\x04SunS")


class Board(SteadyBoard):
    """The firmware's own assembly with a slave; its loop runs in simulated time."""

    def __init__(self, folder: Path, line: Any, sealed: bool = True, given: Any = GIVEN) -> None:
        super().__init__(folder, LAYOUT, SECOND, sealed=sealed)
        self.line = line
        self.slave = ModbusSlave(LAYOUT.name, VERSION, UNIQUE_ID.hex())
        store = Store(InFolder(folder), self.parts.ledger.open, "modbus", "modbus", REGISTERS)
        self.rtu = ModbusRtu(line, self.slave, given, store, self.parts.operator)
        self.slave.lines.append(self.rtu)
        self.parts.outlets = (self.slave,)
        self.loop = self.parts.new_loop()
        self.reports: list[Any] = []
        offer = self.slave.offer

        def keep(report: Any) -> None:
            self.reports.append(report)
            offer(report)

        self.slave.offer = keep

    @property
    def said(self) -> dict[str, Any]:
        """The last line of telemetry that is whole."""
        return json.loads(self.port.said.decode().split("\n")[-2])


@pytest.fixture
def board(tmp_path: Path) -> Board:
    made = Board(tmp_path, MemoryLine())
    made.run(2.9)
    return made


def counts(slave: ModbusSlave) -> dict[str, int]:
    (rtu,) = slave.lines
    return dict(zip(("answered", "refused", "others", "bad"), rtu.counts))


# ---- what clients read


@pytest.fixture(params=["cpython", "micropython", "i386"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The path of a terminal at which a slave answers, and the line of the same report."""
    with terminal() as (ours, path):
        if request.param == "cpython":
            board = Board(tmp_path, TerminalLine(ours))
            board.run(2.9)
            with serving(board.slave):
                yield path, board.said
            return
        board = Board(tmp_path, MemoryLine())
        board.run(2.9)
        program = need_engine(request.param)
        with micropython_slave(program, tmp_path, ours, board.reports[-1], UNIQUE_ID.hex()):
            yield path, board.said


def test_pysunspec2_reads_what_the_serial_line_says(served: tuple[str, dict[str, Any]]) -> None:
    path, line = served
    device = SunSpecModbusClientDeviceRTU(
        slave_id=1, name=path, baudrate=19200, parity="N", timeout=2
    )
    common, meter = models_of(device)
    found = {name: point.cvalue for name, point in meter.points.items()}
    expected = expected_of(line)
    assert expected["W"] > 0 > expected["WphB"]
    for name, value in expected.items():
        near = None if value is None else pytest.approx(value, rel=1e-12)
        assert found[name] == near, name
    texts = [common.points[name].value for name in ("Mn", "Md", "Vr", "SN", "DA")]
    assert texts == ["Threewire", LAYOUT.name, "0.3.0", UNIQUE_ID.hex(), 1]


def test_pymodbus_reads_both_maps(served: tuple[str, dict[str, Any]]) -> None:
    path, line = served
    # A pseudo terminal has no parity, and glibc may say so.
    client = ModbusSerialClient(path, baudrate=19200, parity="N", timeout=2, retries=0)
    assert client.connect()
    try:
        found = client.read_input_registers(0x0C, count=80, device_id=1)
        values = floats(found.registers)
        one, two = line["elements"]
        single = [struct.unpack(">f", struct.pack(">f", of["watts"]))[0] for of in (one, two)]
        assert values[:2] == single
        kwh = float(Decimal(line["delivered_wh"]) / 1000)
        assert values[(0x48 - 0x0C) // 2] == struct.unpack(">f", struct.pack(">f", kwh))[0]
        for function in (client.read_holding_registers, client.read_input_registers):
            found = function(40000, count=4, device_id=1)
            assert found.registers == [0x5375, 0x6E53, 1, 66]
        for first, count in ((0, 2), (40178, 2)):
            assert client.read_holding_registers(first, count=count, device_id=1).isError()
        assert client.write_register(40090, 7, device_id=1).exception_code == 1
        assert client.read_coils(0, count=1, device_id=1).exception_code == 1
        # Whole, and the longest there is.
        assert len(client.read_holding_registers(40000, count=125, device_id=1).registers) == 125
    finally:
        client.close()


# ---- frames


def test_the_guides_own_crc() -> None:
    """Of the guide's appendix B: 02 07 has 41 12."""
    assert crc_of(b"\x02\x07") == b"\x41\x12"


def test_a_request_is_answered_after_silence_alone(board: Board) -> None:
    line, slave = board.line, board.slave
    line.waiting += GOOD
    assert slave.step() is None
    line.now += line.period_us - 1
    assert slave.step() is None and not line.sent
    line.now += 1
    assert slave.step() is False and line.sent == [ANSWER]
    # It waits until that is out, whatever comes meanwhile.
    line.waiting += GOOD
    line.now = line.sends_until - 1
    assert slave.step() is False and slave.is_called and line.waiting
    line.now += 1
    assert line.ask(slave, b"") == [ANSWER]
    assert slave.step() is False and not slave.is_called


def test_before_the_first_report_it_is_busy(tmp_path: Path) -> None:
    board = Board(tmp_path, MemoryLine())
    assert board.line.ask(board.slave, GOOD) == [framed(b"\x01\x83\x06")]
    assert counts(board.slave)["refused"] == 1


@pytest.mark.parametrize("cuts", [(1,), (2, 5), (7,), tuple(range(1, 8))])
def test_a_request_may_come_in_pieces(board: Board, cuts: tuple[int, ...]) -> None:
    ends = [*cuts, len(GOOD)]
    parts = [GOOD[a:b] for a, b in zip((0, *cuts), ends)]
    assert board.line.ask(board.slave, *parts) == [ANSWER]


def test_what_is_for_others_is_not_answered(board: Board) -> None:
    line, slave = board.line, board.slave
    for address in (0, 2, 247, 255):
        assert line.ask(slave, read_request(address, 3, 40000, 2)) == []
    answer = framed(b"\x05\x03\xfa" + bytes(range(250)))
    assert len(answer) == 255
    assert line.ask(slave, answer) == []
    assert counts(slave) == {"answered": 0, "refused": 0, "others": 5, "bad": 0}


def test_frames_that_come_in_one_look_are_told_apart(board: Board) -> None:
    line, slave = board.line, board.slave
    others = read_request(5, 3, 0, 10) + framed(b"\x05\x03\x14" + bytes(20))
    assert line.ask(slave, others + GOOD) == [ANSWER]
    assert counts(slave) == {"answered": 1, "refused": 0, "others": 2, "bad": 0}
    # Of two that are for this board only the last is still waited for.
    assert line.ask(slave, GOOD + GOOD) == [ANSWER]


def test_an_answer_that_comes_back_is_none_to_answer(board: Board) -> None:
    """As where the line has no direction, and hears itself."""
    line, slave = board.line, board.slave
    (refusal,) = line.ask(slave, read_request(1, 3, 0, 1))
    for echo in (ANSWER, refusal, framed(b"\x01\x04\xfa" + bytes(250))):
        assert line.ask(slave, echo) == []
    assert line.ask(slave, GOOD) == [ANSWER]


@pytest.mark.parametrize(
    "frame",
    [
        GOOD[:-1],
        GOOD[:4],
        GOOD[:1],
        GOOD + b"\0",
        b"\xff" + GOOD,
        framed(GOOD[:-2] + b"\0"),
        bytes(256),
        bytes(300),
        b"\xff" * 5000,
        GOOD[:-2] + GOOD[-1:] + GOOD[-2:-1],
    ],
)
def test_what_is_no_request_is_counted_and_not_answered(board: Board, frame: bytes) -> None:
    line, slave = board.line, board.slave
    assert line.ask(slave, frame) == []
    # What begins with a whole frame has had that.
    others = int(frame.startswith(GOOD))
    assert counts(slave) == {"answered": 0, "refused": 0, "others": others, "bad": 1}
    assert line.ask(slave, GOOD) == [ANSWER]


def mutated(random_: random.Random) -> bytes:
    frame = bytearray(
        random_.choice(
            (
                GOOD,
                read_request(1, 4, 0, 80),
                read_request(1, 3, 40000, 125),
                read_request(2, 3, 0, 10),
                write_request(1, 0x14, 42),
                framed(b"\x05\x03\xfa" + bytes(250)),
            )
        )
    )
    for _ in range(random_.randint(1, 3)):
        kind = random_.randrange(5)
        at = random_.randrange(len(frame) + 1)
        if kind == 0 and at < len(frame):
            frame[at] ^= 1 << random_.randrange(8)
        elif kind == 1:
            del frame[at:]
        elif kind == 2:
            frame[at:at] = random_.randbytes(random_.randint(1, 20))
        elif kind == 3:
            frame += random_.randbytes(random_.randint(1, 300))
        else:
            frame[:at] = random_.randbytes(at)
        if not frame:
            frame += b"\0"
    return bytes(frame)


def expected(frame: bytes) -> tuple[int, bool]:
    """Frames of others in a look, and whether the rest is one that is answered; independent of how
    the firmware goes about it."""
    others = start = size = 0
    crc = 0xFFFF
    for k, byte in enumerate(frame):
        if size >= 4 and crc == 0 and size <= 256:
            others += 1
            start, size, crc = k, 0, 0xFFFF
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
        size += 1
    rest = frame[start:]
    if not 4 <= size <= 256 or crc:
        return others, False
    if rest[0] != 1:
        return others + 1, False
    is_answer = rest[1] & 0x80 or (rest[1] in (3, 4) and size != 8)
    is_answer |= rest[1] == 16 and size == 8
    return others, not is_answer


def test_ten_thousand_mutated_frames(tmp_path: Path, board: Board) -> None:
    """Each in two looks, in MicroPython; and some by the whole firmware, which meters on."""
    random_ = random.Random(7)
    frames = [mutated(random_) for _ in range(10_000)]
    cuts = [random_.randrange(len(frame) + 1) for frame in frames]
    looks = [(frame[:cut], frame[cut:]) for frame, cut in zip(frames, cuts)]
    said, found = hostile_line(need_engine("micropython"), tmp_path, looks, board.reports[-1])
    judged = [expected(frame) for frame in frames]
    for frame, answers, (_, is_answered) in zip(frames, said, judged, strict=True):
        assert len(answers) == is_answered, frame.hex()
        for answer in answers:
            assert answer[0] == 1 and crc_of(answer[:-2]) == answer[-2:]
    answered, refused, others, bad = found
    assert answered + refused == sum(is_answered for _, is_answered in judged) > 50
    assert others == sum(more for more, _ in judged)
    assert sum(found) >= 10_000 and bad > 5000

    before = board.parts.meter.ticks
    for frame in frames[:200]:
        board.line.ask(board.slave, frame)
        board.run(0.006)
    board.run(1.2)
    assert board.said["modbus"].items() >= counts(board.slave).items()
    assert board.line.ask(board.slave, GOOD) == [ANSWER]
    assert board.parts.meter.ticks - before >= 2 * LAYOUT.tick_hz
    assert sum(counts(board.slave).values()) >= 200
    assert board.said["faults"]["lost_frames"] == 0


def test_an_answer_is_of_one_report(board: Board) -> None:
    """While registers are made of another, those of the one before are served."""
    line, slave = board.line, board.slave
    asked = read_request(1, 4, 0x48, 2)
    (before,) = line.ask(slave, asked)
    board.run(5)
    (settled,) = line.ask(slave, asked)
    assert settled != before
    slave.offer(board.reports[-1])
    steps = 0
    while slave.step():
        steps += 1
        line.waiting += asked
        slave.step()
        line.now += line.period_us
        slave.step()
        line.now = line.sends_until
    assert steps > 2
    assert set(line.sent[-steps:]) == {settled}


def write_request(address: int, first: int, value: float) -> bytes:
    return framed(struct.pack(">BBHHBf", address, 16, first, 2, 4, value))


def test_address_and_speed_are_set_over_the_line(tmp_path: Path) -> None:
    board = Board(tmp_path, MemoryLine(), sealed=False)
    board.run(1.2)
    line, slave = board.line, board.slave
    told = framed(struct.pack(">BBHH", 1, 16, 0x14, 2))
    assert line.ask(slave, write_request(1, 0x14, 42)) == [told]  # still from where it was asked
    assert line.ask(slave, GOOD) == []
    asked = read_request(42, 3, 0x14, 10)
    (said,) = line.ask(slave, asked)
    assert struct.unpack(">f12xf", said[3:-2]) == (42, 3)
    assert line.ask(slave, read_request(42, 3, 40068, 1)) == [framed(b"\x2a\3\2\0\x2a")]
    assert line.baudrate == 19200
    assert len(line.ask(slave, write_request(42, 0x1C, 4))) == 1
    slave.step()
    assert line.baudrate == 38400
    log = [json.loads(text) for text in board.parts.operator.log_lines("changes")]
    assert [(of["what"], of["old"], of["new"]) for of in log] == [
        ("modbus", [1, 3], [42, 3]),
        ("modbus", [42, 3], [42, 4]),
    ]
    # So has what is made of a report that was under way.
    slave.offer(board.reports[-1])
    assert slave.step() and len(line.ask(slave, write_request(42, 0x14, 43))) == 1
    while slave.step():
        pass
    assert line.ask(slave, read_request(43, 3, 40068, 1)) == [framed(b"\x2b\3\2\0\x2b")]
    assert len(line.ask(slave, write_request(43, 0x14, 42))) == 1
    # What it has already is no reason to write.
    writes = board.parts.ledger.writes
    assert len(line.ask(slave, write_request(42, 0x1C, 4))) == 1
    assert board.parts.ledger.writes == writes
    board.run(1.2)
    found = board.said["modbus"]
    assert (found["address"], found["baudrate"]) == (42, 38400)

    # A restart has them, sealed or not; another setting in the board file begins anew.
    again = Board(tmp_path, MemoryLine())
    assert again.line.baudrate == 38400
    assert again.line.ask(again.slave, read_request(42, 3, 40000, 2)) == [framed(b"\x2a\x83\6")]
    other = Board(tmp_path, MemoryLine(), given=(1, 9600))
    assert other.line.baudrate == 9600
    assert other.line.ask(other.slave, GOOD) == [framed(b"\1\x83\6")]


@pytest.mark.parametrize(
    "stored",
    [
        [],
        [1, 3],
        [1, 3, 42],
        [1, 3, 0, 3],
        [1, 3, 248, 3],
        [1, 3, 42, 1],
        [1, 3, 42, 5],
        [1, 3, 42, 8],
        [1, 3, 2**70, 2**70],
        [2, 3, 42, 4],
    ],
)
def test_what_is_stored_and_cannot_be_is_passed_over(tmp_path: Path, stored: list[int]) -> None:
    files = InFolder(tmp_path)
    assert Store(files, files.open, "modbus", "modbus", REGISTERS).save(stored)
    board = Board(tmp_path, MemoryLine())
    assert board.line.baudrate == 19200 and board.rtu._address == 1


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (write_request(1, 0x14, 0), 3),
        (write_request(1, 0x14, 248), 3),
        (write_request(1, 0x14, 1.5), 3),
        (write_request(1, 0x14, math.nan), 3),
        (write_request(1, 0x14, math.inf), 3),
        (write_request(1, 0x14, -1), 3),
        (write_request(1, 0x1C, 1), 3),
        (write_request(1, 0x1C, 5), 3),
        (write_request(1, 0x1C, 8), 3),
        (write_request(1, 0x12, 7), 2),
        (write_request(1, 40068, 7), 2),
        (framed(bytes.fromhex("01 10 0014 0001 02 0007")), 3),
        (framed(bytes.fromhex("01 10 0014 0002 04 42280000 0000")), 3),
        (framed(bytes.fromhex("01 10 0014 0004 08 4228000042280000")), 3),
        (framed(bytes.fromhex("01 10")), 2),
        (framed(bytes.fromhex("01 06 0014 0007")), 1),
    ],
)
def test_what_cannot_be_set_is_refused(tmp_path: Path, request_: bytes, code: int) -> None:
    board = Board(tmp_path, MemoryLine(), sealed=False)
    refused = framed(bytes((1, request_[1] | 0x80, code)))
    # A function that is none is refused like that only where there is something to be read.
    board.run(1.2)
    writes = board.parts.ledger.writes
    assert board.line.ask(board.slave, request_) == [refused]
    assert board.parts.ledger.writes == writes
    assert board.line.baudrate == 19200 and board.line.ask(board.slave, GOOD) == [ANSWER]


def test_a_sealed_board_and_a_full_budget_keep_what_is_set(tmp_path: Path, board: Board) -> None:
    asked = write_request(1, 0x14, 42)
    assert board.line.ask(board.slave, asked) == [framed(b"\x01\x90\x01")]
    (tmp_path / "open").mkdir()
    unsealed = Board(tmp_path / "open", MemoryLine(), sealed=False)
    unsealed.parts.ledger._wear.spend(1950)
    assert unsealed.line.ask(unsealed.slave, asked) == [framed(b"\x01\x90\x06")]
    for of in (board, unsealed):
        assert of.line.ask(of.slave, read_request(42, 3, 0, 2)) == []
        assert counts(of.slave)["refused"] == 1
        # Nor does the answer of another that has the same address, or what comes to all.
        assert of.line.ask(of.slave, framed(bytes.fromhex("01 10 0014 0002"))) == []
        assert of.line.ask(of.slave, write_request(0, 0x14, 42)) == []


def test_a_crash_forgets_what_was_begun(board: Board) -> None:
    line, slave = board.line, board.slave
    line.waiting += GOOD[:5]
    slave.step()
    slave.offer(board.reports[-1])
    slave.break_off()
    assert slave.is_free and not slave.is_called
    assert line.ask(slave, GOOD) == [ANSWER]


def test_a_pause_ends_when_the_line_calls(board: Board) -> None:
    slept: list[int] = []

    def sleep_ms(ms: int) -> None:
        slept.append(ms)
        if len(slept) == 2:
            board.line.waiting += GOOD

    loop: Any = board.loop
    loop.pause_ms = 20
    loop.rest(sleep_ms)
    assert slept == [5, 5]
    board.line.waiting.clear()
    slept.clear()
    slept += [0, 0]
    loop.rest(sleep_ms)
    assert sum(slept) == 20


@pytest.fixture
def traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """MicroPython's way to write one."""
    monkeypatch.setattr(
        sys, "print_exception", lambda problem, file: file.write(repr(problem)), raising=False
    )


@pytest.mark.usefixtures("traceback")
def test_a_line_that_crashes_at_a_look_is_no_crash_of_metering(board: Board) -> None:
    def crash() -> int:
        raise OSError(5)

    loop: Any = board.loop
    board.line.any = crash
    loop.pause_ms = 20
    slept: list[int] = []
    loop.rest(slept.append)
    assert slept == [5]
    before = board.parts.meter.ticks
    board.run(1.2)
    assert board.parts.meter.ticks > before and board.said["faults"]["task"] > 0


@pytest.mark.usefixtures("traceback")
@pytest.mark.parametrize(
    "wrong", [ValueError("bad TX pin"), MemoryError("memory allocation failed"), None]
)
def test_a_board_meters_whatever_its_line_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Exception | None
) -> None:
    """As it is made at a start: with the line, or without where that cannot be."""
    made: Any = ModuleType("threewire.chip.rs485")

    def rs485(given: dict[str, Any], timer: int) -> MemoryLine:
        assert (given["uart"], timer) == (1, -1)
        if wrong:
            raise wrong
        return MemoryLine()

    made.Rs485 = rs485
    monkeypatch.setitem(sys.modules, "threewire.chip.rs485", made)
    board = Board(tmp_path, MemoryLine())
    parts = board.parts
    parts.outlets = parts.outlets[:0]
    settings = {"uart": 1, "address": 9, "baudrate": 9600}
    of: Any = SimpleNamespace(MODBUS=settings)
    outlets.modbus(of, {"software_timer": -1}, parts, InFolder(tmp_path))
    board.loop = parts.new_loop()
    board.run(3.2)
    assert len(parts.outlets) == (not wrong)
    told = board.said
    assert told["faults"].get("task", 0) == (1 if wrong else 0)
    if not wrong:
        assert (told["modbus"]["address"], told["modbus"]["baudrate"]) == (9, 9600)
        assert parts.outlets[0].answer(bytes.fromhex("03 9c40 0002"))[2:] == b"SunS"


def test_energies_are_the_same_with_a_slave_and_without(tmp_path: Path, board: Board) -> None:
    (tmp_path / "other").mkdir()
    other = Board(tmp_path / "other", MemoryLine())
    other.parts.outlets = ()
    other.loop = other.parts.new_loop()
    for _ in range(60):
        board.line.ask(board.slave, GOOD)
        board.run(0.02)
    while other.sampler.ticks < board.sampler.ticks:
        other.loop.run_round()
    assert board.parts.meter.ticks == other.parts.meter.ticks > 4 * LAYOUT.tick_hz
    for (name, ours), (_, theirs) in zip(
        board.parts.meter.registers.named(), other.parts.meter.registers.named()
    ):
        assert ours.snapshot() == theirs.snapshot(), name


def test_what_comes_while_it_looks_is_no_silence(board: Board) -> None:
    class Late(MemoryLine):
        """Right behind a look that finds nothing the rest comes, and all stands still for long."""

        rest = b""

        def any(self) -> int:
            found = super().any()
            if not found and self.rest:
                self.now += 3 * self.period_us
                self.waiting += self.rest
                self.rest = b""
            return found

    line = Late()
    board.rtu._port = line
    line.waiting += GOOD[:4]
    board.slave.step()
    line.rest = GOOD[4:]
    assert line.ask(board.slave, b"", b"") == [ANSWER]
    assert counts(board.slave) == {"answered": 1, "refused": 0, "others": 0, "bad": 0}
