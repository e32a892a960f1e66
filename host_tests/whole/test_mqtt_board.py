"""The whole firmware with MQTT of its own, on the host's MicroPython and its sockets: Mosquitto
has what the serial line says, to the digit, and no broker, however bad, costs metering a frame."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from host_tests.rigs import home_assistant
from host_tests.rigs.gateway_run import wait_for
from host_tests.rigs.mosquitto import Broker, Listener
from host_tests.rigs.mqtt_board import ID, MqttBoard
from tools.emulate.tcp_port import free_port

STATE = f"threewire/{ID}/state"
AVAILABILITY = f"threewire/{ID}/availability"
CONFIG = f"homeassistant/device/threewire_{ID}/config"
ACCEPTED = b"\x20\x02\x00\x00"
# The longest step measured on an idle core is 0.8 ms; others may have the core meanwhile.
STEP_US = 50_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    yield made
    made.kill()


def meters(board: MqttBoard, seconds: int = 3) -> None:
    """It goes on metering, and no frame is lost, nor has anything crashed."""
    before = len(board.lines)
    wait_for(lambda: len(board.lines) >= before + seconds, "lines", seconds + 10)
    assert not board.complaints
    faults = board.lines[-1]["faults"]
    assert (faults["lost_frames"], faults["active"]) == (0, [])
    assert set(faults) <= {
        *("lost_frames", "estimated_delivered_wh", "estimated_received_wh", "active")
    }
    assert board.longest_us < STEP_US


def test_a_broker_has_what_the_serial_line_says(tmp_path: Path, broker: Broker) -> None:
    with Listener(broker.port) as listener:
        with MqttBoard(broker.port, name='Zähler "Süd"') as board:
            meters(board, 6)
            said = [json.loads(text) for topic, text in listener.said if topic == STATE]
            assert listener.latest[AVAILABILITY] == "online"
            by_time = {line["t"]: line for line in board.lines}
            assert len(said) >= 4
            for state in said:
                line = by_time[state["metered_s"]]
                for mine, its in zip((state, *state["elements"]), (line, *line["elements"])):
                    for name in ("delivered", "received"):
                        kwh = Decimal(mine[f"{name}_kwh"])
                        assert kwh * 1000 == Decimal(its[f"{name}_wh"])
                        assert kwh.as_tuple().exponent == -12
                    for name in ("watts", "var", "va", "power_factor"):
                        assert mine[name] == its[name]
                for k, its in enumerate(line["elements"]):
                    mine = state["elements"][k]
                    assert [mine[of] for of in ("volts", "amps", "reversed")] == (
                        [its[of] for of in ("volts", "amps", "reversed")]
                    )
                    found = line["doctor"]["elements"][k]
                    assert (mine["verdict"], mine["advice"]) == (found["verdict"], found["text"])
                assert (state["hertz"], state["leds"]) == (line["hertz"], line["leds"])
            assert board.told["mqtt_dropped"] == 0
            with Listener(broker.port) as late:
                # Retained, all of it.
                for topic in (CONFIG, STATE, AVAILABILITY):
                    late.wait(topic)
            board.kill()
            listener.wait(AVAILABILITY, lambda text: text == "offline")
        discovery, state = json.loads(listener.latest[CONFIG]), listener.latest[STATE]
    assert discovery["dev"]["name"] == 'Zähler "Süd"'
    assert discovery["avty"] == [{"t": AVAILABILITY}]
    (verdict,) = home_assistant.judged((discovery, state))
    assert (verdict["refused"], verdict["faults"]) == (None, [])
    assert verdict["shown"]["delivered_kwh"] == json.loads(state)["delivered_kwh"]


def test_a_broker_that_is_killed_gets_all_again(broker: Broker) -> None:
    with MqttBoard(broker.port) as board:
        wait_for(lambda: board.told.get("mqtt") == "up", "the broker")
        meters(board, 2)
        broker.kill()
        wait_for(lambda: board.told["mqtt"] not in ("up", ""), "its end")
        meters(board, 2)
        broker.start()  # which has forgotten all
        with Listener(broker.port) as listener:
            for topic in (CONFIG, STATE, AVAILABILITY):
                listener.wait(topic)
        meters(board, 2)
        assert board.told["mqtt_sessions"] == 2


def test_refusals_are_told(tmp_path: Path) -> None:
    (tmp_path / "users").touch(0o600)
    broker = Broker(tmp_path, f"password_file {tmp_path / 'users'}", "allow_anonymous false")
    try:
        with MqttBoard(broker.port, user="ann", password="secret") as board:
            wait_for(lambda: board.told.get("mqtt", "").startswith("refused:"), "the refusal")
            meters(board)
            assert board.told["mqtt_sessions"] == 0
            assert "secret" not in json.dumps(board.told)
    finally:
        broker.kill()


@contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A broker that does what `serve` does with each that comes; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        is_over = threading.Event()

        def accept() -> None:
            while not is_over.is_set():
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=run, args=[line], daemon=True).start()

        def run(line: socket.socket) -> None:
            try:
                serve(line)
                is_over.wait(120)
            except OSError:
                pass
            line.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            is_over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def flood(line: socket.socket) -> None:
    """10 000 packets, some of them damaged, as fast as they are taken."""
    draw = random.Random(4)
    line.recv(1000)
    line.sendall(ACCEPTED)
    for _ in range(10_000):
        topic = draw.randbytes(draw.randrange(90))
        packet = bytearray(bytes([0x30, len(topic)]) + topic)
        if draw.random() < 0.001:
            packet[draw.randrange(len(packet))] ^= 1 << draw.randrange(8)
        line.sendall(packet)


def close(line: socket.socket) -> None:
    line.recv(1000)
    line.sendall(ACCEPTED)
    time.sleep(0.5)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.close()  # with a reset


def stop_reading(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    line.recv(1000)
    line.sendall(ACCEPTED)


def be_silent(line: socket.socket) -> None:
    pass


@pytest.mark.parametrize("serve", [flood, close, stop_reading, be_silent])
def test_bad_brokers_cost_metering_nothing(serve: Callable[[socket.socket], None]) -> None:
    with serving(serve) as port, MqttBoard(port) as board:
        meters(board, 5)
        assert bool(board.told["mqtt_sessions"]) == (serve is not be_silent)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "192.0.2.1", "255.255.255.255"])
def test_no_broker_costs_metering_nothing(address: str) -> None:
    """Refused, or sent to an address that nobody has, or that no connection goes to."""
    with MqttBoard(free_port(), address) as board:
        meters(board)
        assert board.told["mqtt"] not in ("up", "not tried yet")


@pytest.mark.slow  # a ping is sent after 15 s, and its answer waited for 10 s
def test_a_half_open_connection_is_found(tmp_path: Path) -> None:
    def half(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(ACCEPTED)
        while line.recv(65536):
            pass

    with serving(half) as port, MqttBoard(port) as board:
        seen: list[Any] = []

        def found() -> bool:
            seen.append(board.told.get("mqtt"))
            return seen[-1] == "the broker does not answer"

        wait_for(found, "its end", 40)
        assert "up" in seen
        meters(board)
