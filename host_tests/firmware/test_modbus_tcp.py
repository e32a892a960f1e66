"""The board's Modbus TCP, on the host's MicroPython with its sockets: against pymodbus and
pysunspec2, and with clients that are slow, silent, hostile, or gone."""

import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient

from host_tests.conftest import need_engine
from host_tests.firmware.test_modbus_rtu import LAYOUT, Board
from host_tests.rigs.machine import UNIQUE_ID
from host_tests.rigs.modbus_line import MemoryLine, TcpSlave
from host_tests.tools.serve.test_modbus import expected_of, floats, scan
from host_tests.tools.serve.test_modbus_hostile import hostile
from threewire import outlets
from threewire.operation.modbus_slave import ModbusSlave

GOOD = bytes.fromhex("0001 0000 0006 01 03 9c40 0002")
ANSWER = bytes.fromhex("0001 0000 0007 01 03 04") + b"SunS"
Start = Callable[[int], TcpSlave]
# Far above what a step takes here, far below what a board's ring holds.
LONGEST_MS = 100


@pytest.fixture
def line(tmp_path: Path) -> Board:
    (tmp_path / "board").mkdir()
    board = Board(tmp_path / "board", MemoryLine())
    board.run(2.9)
    return board


@pytest.fixture
def start(tmp_path: Path, line: Board) -> Iterator[Start]:
    started: list[TcpSlave] = []

    def at_pace(pace: int) -> TcpSlave:
        program = need_engine("micropython")
        slave = TcpSlave(program, tmp_path, line.reports[-1], UNIQUE_ID.hex(), pace)
        started.append(slave.__enter__())
        return slave

    yield at_pace
    for slave in started:
        slave.__exit__()


def ask(client: socket.socket, request: bytes = GOOD) -> bytes:
    """The answer; none where the connection has ended."""
    try:
        client.sendall(request)
        said = b""
        while len(said) < 6 or len(said) < 6 + int.from_bytes(said[4:6], "big"):
            more = client.recv(300)
            if not more:
                return b""
            said += more
    except (BrokenPipeError, ConnectionResetError):
        return b""
    return said


def is_ended(client: socket.socket) -> bool:
    """Whether the board ends this connection, within the client's patience."""
    try:
        while client.recv(300):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


# ---- what clients read


def test_pysunspec2_reads_what_the_serial_line_says(start: Start, line: Board) -> None:
    slave = start(1)
    common, meter = scan(slave.port)
    for name, value in expected_of(line.said).items():
        near = None if value is None else pytest.approx(value, rel=1e-12)
        assert meter.points[name].cvalue == near, name
    texts = [common.points[name].value for name in ("Mn", "Md", "SN", "DA")]
    assert texts == ["Threewire", LAYOUT.name, UNIQUE_ID.hex(), 1]


def test_pymodbus_reads_both_maps(start: Start, line: Board) -> None:
    slave = start(1)
    client = ModbusTcpClient("127.0.0.1", port=slave.port, timeout=5, retries=0)
    assert client.connect()
    found = client.read_input_registers(0x0C, count=4, device_id=1)
    single = [
        struct.unpack(">f", struct.pack(">f", of["watts"]))[0] for of in line.said["elements"]
    ]
    assert floats(found.registers) == single
    # Whatever the unit, for there is this one.
    for unit in (0, 1, 7, 255):
        found = client.read_holding_registers(40000, count=125, device_id=unit)
        assert found.registers[:4] == [0x5375, 0x6E53, 1, 66]
    assert client.write_registers(0x14, [0x4228, 0], device_id=1).exception_code == 1
    assert client.read_holding_registers(0x14, count=2, device_id=1).exception_code == 2
    client.close()
    slave.end()
    assert slave.told == {"clients": 0, "answered": 5, "refused": 2, "bad": 0, "dropped": 0}
    assert slave.longest_ms < LONGEST_MS


# ---- clients


def test_there_are_two_clients_and_no_third(start: Start) -> None:
    slave = start(1)
    one, two = slave.connected(), slave.connected()
    assert ask(one) == ask(two) == ANSWER
    assert ask(slave.connected()) == b""
    assert ask(one) == ANSWER
    one.close()
    time.sleep(0.2)
    assert ask(slave.connected()) == ANSWER and ask(two) == ANSWER


def test_who_has_been_silent_makes_room(start: Start) -> None:
    """Of two that are there, and may be gone without a word; after ten seconds."""
    slave = start(20)
    one, two = slave.connected(), slave.connected()
    for _ in range(8):
        assert ask(two) == ANSWER
        time.sleep(0.1)
    three = slave.connected()
    assert ask(three) == ANSWER and ask(two) == ANSWER
    assert is_ended(one)
    slave.end()
    assert slave.told["dropped"] == 1


@pytest.mark.parametrize("begun", [b"", GOOD[:1], GOOD[:7], GOOD[:11]])
def test_who_does_not_go_on_is_dropped(start: Start, begun: bytes) -> None:
    """In five seconds where a request has begun, else in two minutes."""
    slave = start(100)
    client = slave.connected()
    client.sendall(begun)
    since = time.monotonic()
    assert is_ended(client)
    took = 100 * (time.monotonic() - since)
    assert (5 if begun else 120) - 1 < took < (5 if begun else 120) + 60
    slave.end()
    assert slave.told["dropped"] == 1


def test_a_request_that_drips_has_no_more_time(start: Start) -> None:
    slave = start(20)
    client, other = slave.connected(), slave.connected()
    dripped = 0
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for byte in 100 * GOOD:
            client.sendall(bytes((byte,)))
            dripped += 1
            assert ask(other) == ANSWER
            time.sleep(0.05)
            client.setblocking(False)
            try:
                if client.recv(300) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            client.setblocking(True)
            # Whole ones are answered, so it is one that never ends: a length that is not filled.
            if dripped == 4:
                client.sendall(b"\0\xfe")
    assert 4 <= dripped < 12


@pytest.mark.slow  # until all buffers between the two are full
def test_who_does_not_take_answers_is_dropped_and_delays_nobody(start: Start) -> None:
    slave = start(20)
    client, other = socket.socket(), slave.connected()
    # A window that is soon full.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", slave.port))
    client.setblocking(False)
    asks_all = 50 * bytes.fromhex("0001 0000 0006 01 03 9c40 007d")
    end = time.monotonic() + 20
    slowest = 0.0
    left = b""
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while time.monotonic() < end:
            since = time.monotonic()
            assert ask(other) == ANSWER
            slowest = max(slowest, time.monotonic() - since)
            for _ in range(200):
                left = left or asks_all
                try:
                    left = left[client.send(left) :]
                except BlockingIOError:
                    time.sleep(0.01)
                    break
    assert time.monotonic() < end and slowest < 1.0
    slave.end()
    assert slave.told["dropped"] == 1 and slave.longest_ms < LONGEST_MS


def test_requests_that_come_together_are_answered_in_turn(start: Start) -> None:
    slave = start(1)
    client = slave.connected()
    client.sendall(b"".join(struct.pack(">H", k) + GOOD[2:] for k in range(40)))
    said = b""
    while len(said) < 40 * len(ANSWER):
        said += client.recv(4096)
    assert said == b"".join(struct.pack(">H", k) + ANSWER[2:] for k in range(40))


def test_a_network_that_goes_ends_connections_and_may_come_back(start: Start) -> None:
    slave = start(20)
    client = slave.connected()
    assert ask(client) == ANSWER
    slave.is_up(False)
    assert is_ended(client)
    with pytest.raises(ConnectionRefusedError):
        slave.connected(0.3)
    slave.is_up(True)
    assert ask(slave.connected()) == ANSWER


def test_a_port_that_is_taken_is_tried_again(start: Start) -> None:
    """In five seconds; until then, and behind it, the slave goes on."""
    slave = start(20)
    slave.is_up(False)
    time.sleep(0.1)
    with socket.create_server(("0.0.0.0", slave.port)) as taker:
        slave.is_up(True)
        time.sleep(0.1)
        taker.close()
    client = slave.connected()
    assert ask(client) == ANSWER
    slave.end()
    assert slave.longest_ms < LONGEST_MS


# ---- whatever comes


def test_ten_thousand_mutated_packets(start: Start) -> None:
    """Each by a connection of its own, which is answered or ended; another client has its answers
    all the while."""
    slave = start(1)
    random_ = random.Random(3)
    other = slave.connected()
    for n in range(10_000):
        with slave.connected() as client:
            with contextlib.suppress(OSError):
                client.sendall(hostile(random_) + GOOD)
                client.shutdown(socket.SHUT_WR)
            assert is_ended(client)
        if n % 10 == 0:
            assert ask(other) == ANSWER
    slave.end()
    told = slave.told
    assert told["clients"] == 1 and told["dropped"] == 0
    assert min(told[what] for what in ("answered", "refused", "bad")) > 1000
    assert slave.longest_ms < LONGEST_MS


# ---- how it comes to a board


def test_it_is_another_way_to_the_slave_that_is_there(line: Board) -> None:
    parts: Any = line.parts
    outlets.modbus_tcp(parts, 502, lambda: False, socket, time)
    assert parts.outlets == (line.slave,) and len(line.slave.lines) == 2
    line.run(2.2)
    assert line.said["modbus"]["address"] == 1
    assert line.said["modbus_tcp"] == {
        "clients": 0,
        "answered": 0,
        "refused": 0,
        "bad": 0,
        "dropped": 0,
    }


def test_without_a_line_it_brings_its_own(line: Board) -> None:
    parts: Any = line.parts
    parts.outlets = parts.outlets[:0]
    outlets.modbus_tcp(parts, 502, lambda: False, socket, time)
    (slave,) = parts.outlets
    assert isinstance(slave, ModbusSlave) and not slave.is_called
    assert slave.answer(bytes.fromhex("03 9c40 0002")) == b"\x83\x06"
