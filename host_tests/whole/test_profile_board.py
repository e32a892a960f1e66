"""The load profile of the whole firmware, on the host's MicroPython: by Modbus RTU and TCP
pymodbus reads what the console tells, to the digit, and Mosquitto has each quarter that ends."""

import json
import random
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from host_tests.rigs.gateway_run import wait_for
from host_tests.rigs.modbus_line import terminal
from host_tests.rigs.mosquitto import Broker, Listener
from host_tests.rigs.profile_board import ID, ProfileBoard
from tools.emulate.tcp_port import free_port

S = 900
# 2027, in the midst of a file of 256 and of the ring.
OPEN = 2_029_312 + 3840 + 100
TOPIC = f"threewire/{ID}/profile"
HEAD, RING, SIZE, PLACES = 45000, 45100, 5, 3840
NONE = (2**32 - 1, 2**32 - 1, 2**16 - 1)
Row = tuple[int, int, int]


def stored() -> dict[int, Row]:
    """Quarter -> delivered and received mWh, flags: of 38 days, some of which are missing."""
    draw = random.Random(7)
    return {
        n: (draw.randrange(12_000_000), draw.randrange(2**32), draw.randrange(16))
        for n in range(OPEN - 3650, OPEN)
        if draw.random() < 0.97
    }


def files(rows: dict[int, Row]) -> dict[str, bytes]:
    """As storage/quarters.py describes them."""
    made: dict[str, bytes] = {}
    newest = {n // 256 % 15: n // 256 for n in rows}
    for n, (delivered, received, flags) in rows.items():
        if newest[n // 256 % 15] == n // 256:
            record = struct.pack("<III", n | flags << 24, delivered, received)
            record += struct.pack("<I", zlib.crc32(record))
            path = f"profile/{n // 256 % 15}"
            made[path] = made.get(path, b"") + record
    return made


@pytest.fixture(scope="module")
def meters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProfileBoard, Any, Any]]:
    """A board that has come to the quarter OPEN + 1; clients of it by TCP and by its line."""
    port = free_port()
    broker = Broker(tmp_path_factory.mktemp("broker"))
    settings: dict[str, Any] = {"broker": "127.0.0.1", "port": broker.port, "modbus": port}
    try:
        with terminal() as (ours, path), ProfileBoard(ours, files(stored()), **settings) as board:
            wait_for(lambda: len(board.lines) > 1, "lines")
            with Listener(broker.port) as listener:
                board.ask(f"utc {(OPEN + 1) * S - 2}")
                listener.wait(TOPIC, lambda text: of(text) == OPEN)
                # When it knew the time it found the newest of those that were there.
                heard = [of(text) for topic, text in listener.said if topic == TOPIC]
                assert heard == [max(stored()), OPEN]
            yield (
                board,
                broker,
                (
                    ModbusTcpClient("127.0.0.1", port=port, timeout=5, retries=0),
                    ModbusSerialClient(path, baudrate=19200, timeout=5, retries=0),
                ),
            )
            assert not board.complaints
            faults = board.lines[-1]["faults"]
            assert (faults["lost_frames"], faults["active"]) == (0, [])
            assert "task" not in faults
    finally:
        broker.kill()


def of(text: str) -> int:
    """The quarter that a message is of."""
    start = datetime.fromisoformat(json.loads(text)["from"])
    return int(start.timestamp()) // S


def told(board: ProfileBoard) -> dict[int, Row]:
    """What the console tells of all there are."""
    found: dict[int, Row] = {}
    first = 0
    while True:
        answer = board.ask(f"profile {first} 48")
        if not answer["rows"]:
            return found
        found |= {row[0] // S: tuple(row[1:]) for row in answer["rows"]}
        first = answer["next"]


def read(client: Any, first: int, count: int) -> bytes:
    found = client.read_holding_registers(first, count=count, device_id=1)
    assert not found.isError(), found
    return struct.pack(f">{count}H", *found.registers)


def quarters(client: Any, first: int, end: int) -> dict[int, Row]:
    """As the page says: 25 at a time, not beyond the ring's end."""
    found = {}
    while first < end:
        size = min(25, end - first, PLACES - first % PLACES)
        said = read(client, RING + SIZE * (first % PLACES), SIZE * size)
        found |= {first + k: struct.unpack_from(">IIH", said, 10 * k) for k in range(size)}
        first += size
    return found


def test_modbus_has_what_the_console_tells(meters: tuple[ProfileBoard, Any, Any]) -> None:
    board, _, (tcp, line) = meters
    rows = told(board)
    oldest = (OPEN // 256 - 14) * 256
    assert rows.keys() == {n for n in stored() if n >= oldest} | {OPEN}
    assert all(rows[n] == of for n, of in stored().items() if n in rows)
    for client in (tcp, line):
        assert client.connect()
    began, open_wh, _, flags, *newest, first = struct.unpack(">IIIHIIHI", read(tcp, HEAD, 14))
    assert (began, tuple(newest), first) == ((OPEN + 1) * S, rows[OPEN], S * min(rows))
    # The open one has grown when the console is asked.
    after = board.ask("profile")["open"]
    assert after["start"] == began and flags == 0 and after["flags"] == []
    assert 0 < open_wh <= 1000 * Decimal(after["delivered_wh"])
    # All of the ring by the network, a tenth of it by the line.
    end = began // S
    for client, begin in ((tcp, end - PLACES), (line, end - 400)):
        found = quarters(client, begin, end)
        assert found == {n: rows.get(n, NONE) for n in range(begin, end)}
        assert read(client, HEAD, 2) == struct.pack(">I", began)
    for client in (tcp, line):
        for first, count in ((HEAD - 1, 2), (HEAD + 13, 2), (RING - 1, 2), (64299, 2)):
            said = client.read_holding_registers(first, count=count, device_id=1)
            assert said.exception_code == 2
        assert client.read_input_registers(RING, count=2, device_id=1).exception_code == 2
        client.close()


# A quarter's last second, and two in which the board has given up a broker: 7 s.
def test_mqtt_has_each_quarter_when_it_is_over(meters: tuple[ProfileBoard, Any, Any]) -> None:
    board, broker, _ = meters
    with Listener(broker.port) as late:
        # Retained.
        text = late.wait(TOPIC)
    rows = told(board)
    newest = max(rows)
    assert of(text) == newest
    said = json.loads(text)
    assert said["from"] == f"{datetime.fromtimestamp(newest * S, UTC):%Y-%m-%dT%H:%M:%S+00:00}"
    names = ("partial", "more", "clock", "estimated")
    assert said == {
        "from": said["from"],
        "delivered_wh": f"{Decimal(rows[newest][0]) / 1000:.3f}",
        "received_wh": f"{Decimal(rows[newest][1]) / 1000:.3f}",
        "flags": [name for k, name in enumerate(names) if rows[newest][2] >> k & 1],
    }
    with Listener(broker.port) as listener:
        listener.wait(TOPIC)
        board.ask(f"utc {(newest + 2) * S - 1}")
        listener.wait(TOPIC, lambda text: of(text) == newest + 1)
        # Once each, the retained one first.
        heard = [of(text) for topic, text in listener.said if topic == TOPIC]
        assert heard == [newest, newest + 1]
    # One that has forgotten all has the newest upon the connection, and once.
    broker.kill()
    wait_for(lambda: board.ask("network")["mqtt"] != "up", "its end")
    broker.start()
    with Listener(broker.port) as listener:
        listener.wait(TOPIC, lambda text: of(text) == newest + 1)
        listener.wait(TOPIC.replace("profile", "state"))
        assert [topic for topic, _ in listener.said].count(TOPIC) == 1
