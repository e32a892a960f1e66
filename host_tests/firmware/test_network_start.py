"""How a board comes to its network at the start: with all that its network.json asks for, or,
whatever is wrong, without any of it and with its Wi-Fi off."""

import gc
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from host_tests.rigs.machine import UNIQUE_ID
from threewire import outlets
from threewire.network.modbus_tcp import ModbusTcp
from threewire.network.mqtt_outlet import MqttOutlet
from threewire.network.ntp import Ntp
from threewire.network.wifi import Station
from threewire.operation.modbus_profile import ProfileSlave
from threewire.operation.modbus_slave import ModbusSlave

SETTINGS = {"ssid": "home", "broker": "10.0.0.9", "modbus": 502}


class Wlan:
    """steps  what it has been told to do"""

    IF_STA = 0

    def __init__(self) -> None:
        self.steps: list[bool] = []

    def __call__(self, which: int) -> "Wlan":
        return self

    def active(self, on: bool) -> None:
        self.steps.append(on)


@pytest.fixture
def wlan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Wlan:
    """In a folder with a network.json."""
    made = Wlan()
    module = SimpleNamespace(WLAN=made, hostname=lambda name: None)
    monkeypatch.setitem(sys.modules, "network", module)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(gc, "mem_free", lambda: 100_000, raising=False)
    for name in ("ticks_ms", "ticks_us"):
        monkeypatch.setattr(time, name, lambda: 0, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("network.json").write_text(json.dumps(SETTINGS))
    return made


def firmware(profile: Any = None) -> Any:
    operator = SimpleNamespace(
        profile=profile, board="pico2_w", board_id=UNIQUE_ID.hex(), version="0.3.0", more=()
    )
    return SimpleNamespace(operator=operator, outlets=("what was there",))


def told(of: Any) -> dict[str, Any]:
    """What the console's `network` tells."""
    (command,) = of.operator.more
    return command[3](of.operator, "")


def test_it_has_what_it_is_asked_for(wlan: Wlan) -> None:
    of = firmware()
    outlets.network(of)
    assert wlan.steps == [True]
    first, slave, station, mqtt = of.outlets
    assert first == "what was there" and type(slave) is ModbusSlave
    assert isinstance(station, Station) and isinstance(mqtt, MqttOutlet)
    assert isinstance(slave.lines[0], ModbusTcp) and len(slave.lines) == 1
    said = told(of)
    assert (said["state"], said["mqtt"]) == ("waits", "not tried yet")


def test_a_profile_has_its_time_from_there_and_is_served(wlan: Wlan) -> None:
    of = firmware(SimpleNamespace(utc=SimpleNamespace(at=lambda: None)))
    outlets.network(of)
    _, slave, station, ntp, mqtt = of.outlets
    assert type(slave) is ProfileSlave and isinstance(station, Station)
    assert isinstance(ntp, Ntp) and isinstance(mqtt, MqttOutlet)
    assert told(of)["ntp"] == "not asked yet"


@pytest.mark.parametrize(
    "broken",
    [
        "network.names.Names",
        "network.wifi.Station",
        "network.ntp.Ntp",
        "network.mqtt_outlet.MqttOutlet",
        "network.modbus_tcp.ModbusTcp",
        "operation.modbus_profile.ProfileSlave",
    ],
)
def test_what_fails_behind_it_leaves_the_wifi_off(
    wlan: Wlan, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("memory allocation failed")

    monkeypatch.setattr("threewire." + broken, fail)
    of = firmware(SimpleNamespace(utc=None))
    outlets.network(of)
    assert wlan.steps == [True, False]
    assert of.outlets == ("what was there",)
    assert told(of) == {"state": "off", "error": "MemoryError: memory allocation failed"}


def test_too_little_memory_left_is_the_same(wlan: Wlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "mem_free", lambda: 25_999, raising=False)
    of = firmware()
    slave: Any = ModbusSlave("pico_w", "0.3.0", "e661")
    slave.lines.append("its line")
    of.outlets = ("what was there", slave)
    outlets.network(of)
    assert wlan.steps == [True, False] and of.outlets == ("what was there", slave)
    # Nothing holds on to what was made for the network.
    assert slave.lines == ["its line"]
    assert told(of)["error"] == "MemoryError: 25999 bytes would be left"


def test_a_file_that_is_no_text_does_not_keep_the_meter_from_its_start(wlan: Wlan) -> None:
    Path("network.json").write_bytes('{"ssid": "home", "name": "Zähler"}'.encode("latin-1"))
    of = firmware()
    outlets.network(of)
    assert wlan.steps == [] and of.outlets == ("what was there",)
    assert told(of)["error"].startswith("ValueError: it is no JSON object")


def test_settings_that_are_wrong_leave_it_alone(wlan: Wlan) -> None:
    Path("network.json").write_text('{"ssid": ""}')
    of = firmware()
    outlets.network(of)
    assert wlan.steps == [] and of.outlets == ("what was there",)
    assert told(of)["error"].startswith("ValueError: ssid has to be")
    Path("network.json").unlink()
    of = firmware()
    outlets.network(of)
    assert wlan.steps == [] and "there is no network.json" in told(of)["error"]
