"""The load profile on MQTT: a quarter once it is over, and the newest upon each connection."""

import json
from pathlib import Path
from typing import Any

from host_tests.firmware.test_load_profile import QUARTER, S, begun, life, spend
from host_tests.rigs.board_parts import InFolder
from host_tests.rigs.profile_walk import Life
from threewire.network.mqtt_profile import ProfileTopic


class Client:
    """said  what it has been given"""

    def __init__(self) -> None:
        self.sessions = 1
        self.said: list[dict[str, Any]] = []

    def publish(self, topic: str, make: Any) -> None:
        assert topic == "base/id/profile"
        assert b"".join(make()) == b"".join(make())
        self.said.append(json.loads(b"".join(make())))


def made(one: Life) -> tuple[ProfileTopic, Client]:
    profile: Any = one.profile
    return ProfileTopic("base/id/profile", profile, lambda seconds: f"<{seconds}>"), Client()


def test_each_quarter_once_and_the_newest_upon_a_connection(tmp_path: Path) -> None:
    one = begun(tmp_path)
    topic, client = made(one)
    assert not topic.publish(client)  # there is none yet
    spend(one, 1234)
    assert topic.publish(client) and not topic.publish(client)
    first = {
        "from": f"<{QUARTER * S}>",
        "delivered_wh": "1.234",
        "received_wh": "0.000",
        "flags": [],
    }
    assert client.said == [first]
    spend(one, -5)
    assert topic.publish(client) and not topic.publish(client)
    client.sessions += 1
    assert topic.publish(client) and not topic.publish(client)
    assert client.said[1] == client.said[2] != first
    # A start without the time has the newest that there was.
    one.keeper.save()
    one = life(tmp_path)
    topic, other = made(one)
    assert not topic.publish(other)  # it is looked for
    one.steps()
    assert topic.publish(other) and other.said == client.said[2:]


def test_a_clock_that_goes_back_has_what_is_left(tmp_path: Path) -> None:
    one = begun(tmp_path)
    topic, client = made(one)
    for k in range(3):
        spend(one, 1000 + k)
    assert topic.publish(client)
    one.set_utc((QUARTER + 1) * S + 5)
    one.steps()
    assert topic.publish(client) and not topic.publish(client)
    assert [said["delivered_wh"] for said in client.said] == ["1.002", "1.000"]


def test_what_cannot_be_read_waits_for_no_one(tmp_path: Path) -> None:
    files = InFolder(tmp_path)
    broken = [False]

    def open_file(path: str, mode: str) -> Any:
        if broken[0]:
            raise OSError(5, "Input/output error")
        return files.open(path, mode)

    one = life(tmp_path, open_file)
    one.set_utc(QUARTER * S)
    one.steps()
    topic, client = made(one)
    spend(one, 7)
    broken[0] = True
    assert not topic.publish(client)
    broken[0] = False
    assert not topic.publish(client) and client.said == []
    spend(one, 8)
    assert topic.publish(client)
    assert client.said[0]["delivered_wh"] == "0.008"
