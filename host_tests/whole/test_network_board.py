"""The whole firmware in a network, on the host's MicroPython and its sockets: Mosquitto has what
the serial line says, to the digit, and no broker, server, client or Wi-Fi, however bad, costs
metering a frame.

Of each board its frames lost, its longest step and whether it has recovered are kept as properties
of the test, which are what `make reliability` shows.
"""

import contextlib
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from host_tests.firmware.test_modbus_rtu import expected, mutated
from host_tests.rigs import home_assistant
from host_tests.rigs.bad_networks import (
    Datagrams,
    Mutator,
    Proxy,
    Serve,
    be_good,
    be_silent,
    close,
    flood,
    loopback,
    nothing,
    rubbish,
    serving,
    stop_reading,
)
from host_tests.rigs.modbus_line import crc_of
from host_tests.rigs.mosquitto import Broker, Listener
from host_tests.rigs.network_board import ID, NetworkBoard
from host_tests.tools.serve.test_modbus_hostile import hostile
from tools.emulate.tcp_port import free_port

STATE = f"threewire/{ID}/state"
AVAILABILITY = f"threewire/{ID}/availability"
CONFIG = f"homeassistant/device/threewire_{ID}/config"
COUNT = 10_000
Keep = Callable[[str, object], None]
Start = Callable[..., NetworkBoard]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def start(record_property: Keep) -> Iterator[Start]:
    """Starts a board with a broker at this port; what came of it is kept at its end."""
    with contextlib.ExitStack() as stack:

        def started(port: int, address: str = "127.0.0.1", **given: Any) -> NetworkBoard:
            settings = {"broker": address, "port": port, **given.pop("settings", {})}
            board = NetworkBoard(settings, **given)
            stack.callback(keep, board)
            return stack.enter_context(board)

        def keep(board: NetworkBoard) -> None:
            if board.lines and board.longest_ms:
                record_property("lost_frames", board.lines[-1]["faults"]["lost_frames"])
                record_property("longest_step_ms", max(board.longest_ms.values()))

        yield started


def recovers(board: NetworkBoard, record_property: Keep) -> None:
    """Behind a fault: it publishes, and meters on."""
    record_property("recovered", 0)
    board.wait(lambda: board.told["mqtt"] == "up", "the broker", 60)
    board.meters(2)
    record_property("recovered", 1)


def test_a_broker_has_what_the_serial_line_says(start: Start, broker: Broker) -> None:
    with Listener(broker.port) as listener:
        board = start(broker.port, settings={"name": 'Zähler "Süd"'})
        board.meters(6)
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


def test_a_broker_that_is_killed_gets_all_again(
    start: Start, broker: Broker, record_property: Keep
) -> None:
    board = start(broker.port)
    board.wait(lambda: board.told.get("mqtt") == "up", "the broker")
    board.meters(2)
    broker.kill()
    board.wait(lambda: board.told["mqtt"] not in ("up", ""), "its end")
    board.meters(2)
    broker.start()  # which has forgotten all
    with Listener(broker.port) as listener:
        for topic in (CONFIG, STATE, AVAILABILITY):
            listener.wait(topic)
    recovers(board, record_property)
    assert board.told["mqtt_sessions"] == 2


def test_refusals_are_told(tmp_path: Path, start: Start) -> None:
    (tmp_path / "users").touch(0o600)
    broker = Broker(tmp_path, f"password_file {tmp_path / 'users'}", "allow_anonymous false")
    try:
        board = start(broker.port, settings={"user": "ann", "password": "secret"})
        board.wait(lambda: board.told.get("mqtt", "").startswith("refused:"), "the refusal")
        board.meters()
        assert board.told["mqtt_sessions"] == 0
        assert "secret" not in json.dumps(board.told)
    finally:
        broker.kill()


@pytest.mark.parametrize("serve", [flood, close, stop_reading, be_silent])
def test_bad_brokers_cost_metering_nothing(start: Start, serve: Serve) -> None:
    with serving(serve) as port:
        board = start(port)
        board.meters(5)
        assert bool(board.told["mqtt_sessions"]) == (serve is not be_silent)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "192.0.2.1", "255.255.255.255"])
def test_no_broker_costs_metering_nothing(start: Start, address: str) -> None:
    """Refused, or sent to an address that nobody has, or that no connection goes to."""
    board = start(free_port(), address, way=address)
    board.meters()
    assert board.told["mqtt"] not in ("up", "not tried yet")


def test_a_silent_broker_is_left_and_a_good_one_found(start: Start, record_property: Keep) -> None:
    servers: list[Serve] = [be_silent]
    with serving(lambda line: servers[0](line)) as port:
        board = start(port, idle_pace=10)
        board.wait(lambda: board.told.get("mqtt") == "the broker does not answer", "its end")
        servers[0] = be_good
        recovers(board, record_property)


def test_a_half_open_connection_is_found(
    start: Start, broker: Broker, record_property: Keep
) -> None:
    """Behind a proxy that passes nothing on any more: a ping is sent after 15 s, and its answer
    waited for 10 s."""
    proxy = Proxy(broker.port)
    with serving(proxy.serve) as port:
        board = start(port, idle_pace=10)
        board.wait(lambda: board.told.get("mqtt") == "up", "the broker")
        begun = board.lines[-1]["t"]
        proxy.swallow()
        board.wait(lambda: board.told["mqtt_sessions"] == 2, "another connection")
        assert board.lines[-1]["t"] - begun < 40
        recovers(board, record_property)


@pytest.mark.slow  # some hundred connections, which are tried again after a second or more
def test_ten_thousand_mutated_packets_of_a_broker(start: Start, record_property: Keep) -> None:
    hostile_one = Mutator(5)
    servers: list[Serve] = [hostile_one.serve]
    with serving(lambda line: servers[0](line)) as port:
        board = start(port, idle_pace=50)
        board.wait(lambda: hostile_one.sent >= COUNT, "packets", 240)
        record_property("tried", hostile_one.sent)
        sessions = board.told["mqtt_sessions"]
        assert sessions > 20
        servers[0] = be_good
        hostile_one.is_over = True
        board.wait(lambda: board.told["mqtt_sessions"] > sessions, "a good one")
        recovers(board, record_property)


# ---- names


@pytest.mark.parametrize("answer", [nothing, rubbish(2)], ids=["never", "rubbish"])
def test_dns_that_does_not_answer(start: Start, record_property: Keep, answer: Any) -> None:
    with serving(be_good) as port, Datagrams(answer) as dns:
        board = start(port, "broker.lan", ports={53: dns.port}, idle_pace=10)
        board.wait(lambda: dns.asked > 3, "questions")
        board.meters(2)
        assert board.told["mqtt_sessions"] == 0 and "no address" in board.told["mqtt"]
        dns.answer = loopback
        recovers(board, record_property)


# ---- Wi-Fi


@pytest.mark.parametrize("join_ms", [0, 300, 700, 1500])
def test_a_network_that_is_gone_a_second_after_it_came(
    start: Start, record_property: Keep, join_ms: int
) -> None:
    """It is lost while the board joins, as soon as it has joined, and later, and is not there at
    all for each second join; then it stays."""
    wlan = {"join_ms": join_ms, "there_ms": 1000, "until_ms": 30_000}
    modbus = free_port()
    with serving(be_good) as port:
        board = start(port, wlan=wlan, settings={"modbus": modbus}, idle_pace=10)
        board.wait(lambda: board.lines and board.lines[-1]["t"] > 30, "half a minute")
        assert board.told["failures"] >= 3
        assert bool(board.told["joins"]) == (join_ms < 1000)
        board.wait(lambda: board.told["state"] == "up", "the network", 60)
        recovers(board, record_property)
        with socket.create_connection(("127.0.0.1", modbus), 10) as client:
            client.sendall(MODBUS_GOOD)
            assert client.recv(100).endswith(b"SunS")


# ---- Modbus

MODBUS_GOOD = bytes.fromhex("0001 0000 0006 01 03 9c40 0002")


@pytest.mark.slow  # ten thousand connections
def test_ten_thousand_mutated_packets_to_modbus_tcp(start: Start, record_property: Keep) -> None:
    """Each by a connection of its own; the broker has all the while what it is to have."""
    random_ = random.Random(3)
    modbus = free_port()
    with serving(be_good) as port:
        board = start(port, settings={"modbus": modbus}, idle_pace=20)
        board.wait(lambda: board.told.get("mqtt") == "up", "the broker")
        for _ in range(COUNT):
            with socket.create_connection(("127.0.0.1", modbus), 10) as client:
                with contextlib.suppress(OSError):
                    client.sendall(hostile(random_) + MODBUS_GOOD)
                    client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):
                    while client.recv(4096):
                        pass
        record_property("tried", COUNT)
        recovers(board, record_property)
        told = board.lines[-1]["modbus_tcp"]
        assert min(told[what] for what in ("answered", "refused", "bad")) > 1000
        assert told["dropped"] == 0
        assert board.told["mqtt_sessions"] == 1


@pytest.mark.slow  # ten thousand frames, of which silence ends each
def test_ten_thousand_mutated_frames_and_noise_on_a_line(
    start: Start, record_property: Keep
) -> None:
    random_ = random.Random(9)
    frames = [mutated(random_) for _ in range(COUNT)]
    # Noise, as a line has that nothing holds, behind every tenth.
    for k in range(0, len(frames), 10):
        frames.insert(k, random_.randbytes(random_.randint(1, 60)))
    cuts = [random_.randrange(len(frame) + 1) for frame in frames]
    looks = [(frame[:cut], frame[cut:]) for frame, cut in zip(frames, cuts)]
    with serving(be_good) as port:
        board = start(port, looks=looks, idle_pace=20)
        board.wait(lambda: board.heard == len(frames), "frames", 200)
        record_property("tried", len(frames))
        recovers(board, record_property)
        counts = board.lines[-1]["modbus"]
    judged = [expected(frame) for frame in frames]
    answers = Counter(number for number, _ in board.answers)
    assert answers == Counter(k for k, (_, is_answered) in enumerate(judged) if is_answered)
    for _, answer in board.answers:
        assert answer[0] == 1 and crc_of(answer[:-2]) == answer[-2:]
    assert counts["answered"] + counts["refused"] == len(board.answers) > 50
    assert counts["others"] == sum(more for more, _ in judged)
    assert counts["bad"] > 5000
