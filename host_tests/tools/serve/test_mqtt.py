"""MQTT against Mosquitto, and what Home Assistant makes of it."""

import asyncio
import copy
import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiomqtt
import pytest
import trustme

from host_tests.rigs import home_assistant, home_assistant_picture
from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running, said, wait_for
from host_tests.rigs.mosquitto import Broker, Listener
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.serve import sink as serve_sink
from tools.serve.gateway import Gateway
from tools.serve.mqtt import Settings, Sink

STATE = f"threewire/{CHIP_ID}/state"
AVAILABILITY = f"threewire/{CHIP_ID}/availability"
CONFIG = f"homeassistant/device/threewire_{CHIP_ID}/config"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_sink, "_AGAIN_S", 0.2)
    monkeypatch.setattr(serve_sink, "_LONGEST_S", 0.4)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    yield made
    made.kill()


@contextmanager
def at_work(folder: Path, broker: Broker, **table: Any) -> Iterator[tuple[Gateway, SayingBoard]]:
    with (
        SayingBoard() as board,
        running(folder / "state", [board], mqtt={"port": broker.port, **table}) as gateway,
    ):
        yield gateway, board


def report_until(board: SayingBoard, met: Callable[[], object], **options: Any) -> None:
    """Reports, as a board does once a second but sooner, until that is true."""

    def looked() -> object:
        board.report(said(**options))
        time.sleep(0.1)
        return met()

    wait_for(looked)


def test_all_that_a_line_says_arrives(tmp_path: Path, broker: Broker) -> None:
    with at_work(tmp_path, broker) as (_, board), Listener(broker.port) as listener:
        report_until(board, lambda: STATE in listener.latest, wh="98765432.123456789")
        state = json.loads(listener.wait(STATE))
        line = said(wh="98765432.123456789")
        # Watt-hours by thousand, to the last digit of them.
        assert state["delivered_kwh"] == "98765.432123456789"
        for mine, its in zip(state["elements"], line["elements"]):
            for name in ("watts", "var", "va", "power_factor", "volts", "amps", "reversed"):
                assert mine[name] == its[name], name
            assert mine["delivered_kwh"].replace(".", "").lstrip("0") == (
                its["delivered_wh"].replace(".", "").lstrip("0")
            )
        assert [mine["advice"] for mine in state["elements"]] == [
            its["text"] for its in line["doctor"]["elements"]
        ]
        assert (state["leds"], state["hertz"]) == (line["leds"], line["hertz"])
        assert listener.wait(AVAILABILITY) == "online"


def test_home_assistant_takes_what_it_is_told(tmp_path: Path, broker: Broker) -> None:
    with at_work(tmp_path, broker) as (_, board), Listener(broker.port) as listener:
        changed = {"leds": {"kwh": True, "ten": False, "reverse": True}}
        report_until(board, lambda: STATE in listener.latest, **changed)
        discovery, state = json.loads(listener.wait(CONFIG)), listener.wait(STATE)
    (verdict,) = home_assistant.judged((discovery, state))
    assert (verdict["refused"], verdict["faults"]) == (None, [])
    shown = verdict["shown"]
    line = said()
    assert shown["delivered_kwh"] == "1.234567891234"
    assert float(shown["watts2"]) == line["elements"][1]["watts"]
    assert (shown["reverse_led"], shown["reversed1"]) == ("ON", "OFF")
    assert shown["demand"] == "None"  # which it takes for unknown
    energies = [of for of in discovery["cmps"].values() if of.get("dev_cla") == "energy"]
    assert len(energies) == 6
    assert {(of["unit_of_meas"], of["stat_cla"]) for of in energies} == {
        ("kWh", "total_increasing")
    }


def test_its_picture_shows_each_entity_once() -> None:
    discovery, state = home_assistant_picture.told()
    state = json.dumps(json.loads(state) | {"demand_watts": None, "leds": {"reverse": True}})
    cards = home_assistant_picture.cards(discovery, state)
    names = [name for card in cards.values() for name, _ in card]
    assert sorted(names) == sorted(of["name"] for of in discovery["cmps"].values())
    sensors, diagnostic = (dict(cards[title]) for title in ("Sensors", "Diagnostic"))
    # 120 V and 22 A, 18 degrees behind: 2.51 kW.
    assert sensors["Element 1 power"].startswith("2,51")
    assert sensors["Element 1 power"].endswith(" W")
    assert sensors["Energy received"] == "4,120.000 kWh"
    assert sensors["Red lamp (reverse)"] == "Problem"
    assert sensors["Element 1 reversed"] == "OK"
    assert sensors["Demand"] == "Unknown"
    assert diagnostic["Service"] == "split phase"
    assert list(sensors) == sorted(sensors, key=str.casefold)


def test_its_judgement_finds_faults(tmp_path: Path, broker: Broker) -> None:
    with at_work(tmp_path, broker) as (_, board), Listener(broker.port) as listener:
        report_until(board, lambda: STATE in listener.latest)
        good, state = json.loads(listener.wait(CONFIG)), listener.wait(STATE)
    changes = {
        "not valid together": {"unit_of_meas": "V"},
        "state class": {"stat_cla": "measurement"},
        "no key": {"dev_klass": "energy"},
        "expected SensorDeviceClass": {"dev_cla": "enrgy"},
    }
    cases = []
    for change in changes.values():
        bad = copy.deepcopy(good)
        bad["cmps"]["delivered_kwh"] |= change
        cases.append((bad, state))
    for fault, verdict in zip(changes, home_assistant.judged(*cases)):
        assert fault in " ".join(verdict["faults"]), verdict


def test_a_board_that_goes_is_offline_and_comes_back(tmp_path: Path, broker: Broker) -> None:
    with at_work(tmp_path, broker) as (_, board), Listener(broker.port) as listener:
        report_until(board, lambda: listener.latest.get(AVAILABILITY) == "online")
        board.unplug()
        listener.wait(AVAILABILITY, lambda text: text == "offline")
        board.plug()
        report_until(board, lambda: listener.latest.get(AVAILABILITY) == "online", t=2.0)


def test_what_it_has_said_is_retained(tmp_path: Path, broker: Broker) -> None:
    with at_work(tmp_path, broker) as (_, board):
        with Listener(broker.port) as first:
            report_until(board, lambda: STATE in first.latest)
        with Listener(broker.port) as late:
            for topic in (CONFIG, STATE, AVAILABILITY):
                late.wait(topic)
    with Listener(broker.port) as later:
        # It has ended in good order, and says so.
        later.wait(AVAILABILITY, lambda text: text == "offline")
        gateway = next(topic for topic in later.latest if topic.startswith("threewire/gateway/"))
        assert later.latest[gateway] == "offline"


def test_a_board_that_went_with_a_killed_gateway_is_offline(
    tmp_path: Path, broker: Broker
) -> None:
    with SayingBoard() as board:
        config = tmp_path / "gateway.toml"
        config.write_text(
            f"[gateway]\nfolder = '{tmp_path}/state'\n[[board]]\nport = '{board.url}'\n"
            f"[mqtt]\nport = {broker.port}\n"
        )

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-m", "tools.serve", "--config", str(config)],
                cwd=ROOT,
                stderr=subprocess.DEVNULL,
            )

        with Listener(broker.port) as listener:
            for is_killed in (False, True):
                # Ended in good order the first time, so that the device is known.
                gateway = start()
                report_until(board, lambda: listener.latest.get(AVAILABILITY) == "online")
                if is_killed:
                    gateway.kill()
                else:
                    gateway.send_signal(signal.SIGINT)
                    listener.wait(AVAILABILITY, lambda text: text == "offline")
                gateway.wait(20)
            assert listener.latest[AVAILABILITY] == "online"
            board.unplug()
            gateway = start()
            listener.wait(AVAILABILITY, lambda text: text == "offline")
            gateway.send_signal(signal.SIGINT)
            assert gateway.wait(20) == 0


def test_a_broker_that_was_killed_gets_all_again(tmp_path: Path, broker: Broker) -> None:
    with at_work(tmp_path, broker) as (gateway, board):
        with Listener(broker.port) as before:
            report_until(board, lambda: STATE in before.latest, wh=1000.0)
        broker.kill()
        status = gateway.sinks[0].status
        report_until(board, lambda: not status.is_ok, wh=1001.0)
        assert str(broker.port) in status.said
        broker.start()  # which has forgotten all
        with Listener(broker.port) as after:
            report_until(board, lambda: STATE in after.latest, wh=1002.0)
            after.wait(CONFIG)
            after.wait(AVAILABILITY, lambda text: text == "online")
            after.wait(STATE, lambda text: json.loads(text)["delivered_kwh"] == "1.002000000000")
            assert gateway.sinks[0].feed.lost == 0


def test_a_broker_that_is_not_there_yet_is_waited_for(tmp_path: Path, broker: Broker) -> None:
    broker.kill()
    with at_work(tmp_path, broker) as (gateway, board):
        report_until(board, lambda: gateway.hub.latest())
        wait_for(lambda: "broker at" in gateway.sinks[0].status.said)
        broker.start()
        with Listener(broker.port) as listener:
            report_until(board, lambda: STATE in listener.latest)


def test_a_session_that_is_taken_over_ends_by_the_last_will(
    tmp_path: Path, broker: Broker
) -> None:
    async def take_over() -> None:
        async with aiomqtt.Client("127.0.0.1", broker.port, identifier="house"):
            pass

    topic = "threewire/gateway/house"
    with (
        at_work(tmp_path, broker, client="house") as (_, board),
        Listener(broker.port) as listener,
    ):
        report_until(board, lambda: listener.latest.get(topic) == "online")
        asyncio.run(take_over())
        wait_for(lambda: (topic, "offline") in listener.said)
        listener.wait(topic, lambda text: text == "online")
        listener.said.clear()
        report_until(board, lambda: any(of == STATE for of, _ in listener.said))


def test_with_tls_a_user_and_a_password(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for pem in own.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "chain.pem"), append=True)
    (tmp_path / "users").write_text(f"meter:{mosquitto_hash('a secret')}\n")
    (tmp_path / "password").write_text("a secret\n")
    (tmp_path / "wrong").write_text("no secret\n")
    (tmp_path / "users").chmod(0o600)
    broker = Broker(
        tmp_path,
        f"certfile {tmp_path / 'chain.pem'}",
        f"keyfile {tmp_path / 'key.pem'}",
        f"password_file {tmp_path / 'users'}",
        "allow_anonymous false",
    )
    table = {
        "tls": True,
        "ca_file": str(tmp_path / "ca.pem"),
        "user": "meter",
        "password_file": str(tmp_path / "password"),
    }
    try:
        with at_work(tmp_path, broker, **table) as (gateway, _):
            wait_for(lambda: gateway.sinks[0].status.is_ok)
        for wrong in (
            {"ca_file": str(tmp_path / "other.pem")},
            {"password_file": str(tmp_path / "wrong")},
        ):
            with at_work(tmp_path, broker, **(table | wrong)) as (gateway, _):
                wait_for(lambda: "broker at" in gateway.sinks[0].status.said)
                assert not gateway.sinks[0].status.is_ok
                assert "secret" not in gateway.sinks[0].status.said
    finally:
        broker.kill()


def mosquitto_hash(password: str) -> str:
    """A line of its file of passwords: PBKDF2 with SHA-512 (mosquitto_passwd(1))."""
    salt = b"0123456789ab"
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"$7$101${b64encode(salt).decode()}${b64encode(made).decode()}"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"ca_file": "ca.pem"}, "tls = true"),
        ({"password_env": "THREEWIRE_NO_SUCH"}, "THREEWIRE_NO_SUCH"),
        ({"tls": True, "ca_file": "/no/such.pem"}, "/no/such.pem"),
        ({"prefix": "a/#"}, "prefix"),
        ({"port": 70000}, "port"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, table: dict[str, Any], says: str) -> None:
    with (
        SayingBoard() as board,
        pytest.raises(InputError, match=says),
        running(tmp_path, [board], mqtt=table),
    ):
        pass


@pytest.mark.parametrize("kept", ["a/+/#", "", "x" * 500, "zwei Wörter"])
def test_a_name_that_cannot_be_one_is_made_anew(tmp_path: Path, kept: str) -> None:
    (tmp_path / "mqtt-client").write_text(kept)
    gateway: Any = SimpleNamespace(folder=tmp_path, hub=None)
    name = Sink(Settings(), gateway)._client
    assert re.fullmatch("threewire-[0-9a-f]{8}", name)
    assert Sink(Settings(), gateway)._client == name


def test_a_broker_that_closes_on_what_it_is_told_is_left_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does for which a message is too large: no answer is waited for that cannot come."""
    connected = []
    with socket.create_server(("127.0.0.1", 0)) as server, SayingBoard() as board:
        server.settimeout(20)

        def serve() -> None:
            while len(connected) < 3:
                client, _ = server.accept()
                with client:
                    client.recv(4096)
                    client.sendall(b"\x20\x02\x00\x00")  # CONNACK, accepted
                    client.recv(4096)
                connected.append(time.monotonic())

        thread = threading.Thread(target=serve)
        thread.start()
        with running(tmp_path, [board], mqtt={"port": server.getsockname()[1]}) as gateway:
            wait_for(lambda: len(connected) == 3)
            wait_for(lambda: not gateway.sinks[0].status.is_ok)
        thread.join(20)
    assert connected[-1] - connected[0] < 5
    assert not [of for of in caplog.records if of.exc_info]
