"""network.json: what is taken, and what is refused with what would be right and no secret told."""

import json
from typing import Any

import pytest

from threewire.network import settings

LEAST = {"ssid": "home"}


def test_what_is_absent_is_the_default() -> None:
    found = settings.read('{"ssid": "home"}')
    assert found == {**settings.DEFAULTS, **LEAST}
    assert found["port"] == 1883 and found["ntp"] == "pool.ntp.org" and found["modbus"] is False


GOOD: list[dict[str, Any]] = [
    {"ssid": "ü" * 16, "key": "x" * 63},
    {"key": "12345678", "hostname": "meter-2"},
    {"broker": "192.168.1.4", "user": "me", "password": "p" * 64},
    {"broker": "homeassistant.local", "port": 65535, "base": "a/b", "prefix": "ha"},
    {"name": "Zähler im Keller", "ntp": False, "modbus": 502},
    {"ntp": "0.pool.ntp.org"},
    {"ntp": "10.0.100.0"},
]


@pytest.mark.parametrize("given", GOOD)
def test_good_ones_are_taken_as_they_are(given: dict[str, Any]) -> None:
    given = LEAST | given
    assert settings.read(json.dumps(given)) == settings.DEFAULTS | given


BAD: list[tuple[dict[str, Any], str]] = [
    ({"ssid": ""}, "ssid has to be 1 to 32 bytes"),
    ({"ssid": "ü" * 17}, "ssid has to be 1 to 32 bytes"),
    ({"ssid": 7}, "ssid has to be text"),
    ({"key": "1234567"}, "key has to be 8 to 63"),
    ({"key": "x" * 64}, "key has to be 8 to 63"),
    ({"key": "ümlautümlaut"}, "key has to be 8 to 63"),
    ({"hostname": "a.b"}, "hostname has to be 1 to 32 letters"),
    ({"hostname": "-a"}, "hostname has to be 1 to 32 letters"),
    ({"broker": "1.2.3"}, "broker has to be a name"),
    ({"broker": "1.2.3.256"}, "broker has to be a name"),
    # To a C library it is 192.168.8.4.
    ({"broker": "192.168.010.4"}, "broker has to be a name"),
    ({"broker": "a_b"}, "broker has to be a name"),
    ({"broker": "a..b"}, "broker has to be a name"),
    ({"ntp": ""}, "ntp has to be a name"),
    ({"ntp": True}, "ntp has to be text"),
    ({"port": 0}, "port has to be a TCP port"),
    ({"port": True}, "port has to be a TCP port"),
    ({"port": False}, "port has to be a TCP port"),
    ({"modbus": 65536}, "modbus has to be a TCP port, 1 to 65535, or false"),
    ({"base": "a/#"}, "base has to be 1 to 64"),
    ({"prefix": "/ha"}, "prefix has to be 1 to 64"),
    ({"name": ""}, "name has to be 1 to 64"),
    ({"name": "a\nb"}, "name has to be 1 to 64"),
    ({"broker": "a", "user": "u" * 65}, "user has to be 64 bytes at most"),
    ({"broker": "a", "password": "secret"}, "password has to have a user"),
    ({"user": "u"}, "user has to have a broker"),
    ({"pasword": "secret"}, "there is no 'pasword'; there are ssid, key"),
]


@pytest.mark.parametrize(("given", "said"), BAD)
def test_bad_ones_are_refused_with_what_would_be_right(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as told:
        settings.read(json.dumps(LEAST | given))
    assert str(told.value).startswith(said)
    assert "\n" not in str(told.value) and "secret" not in str(told.value).replace("a secret", "")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"ssid"', '{"ssid": "a"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        settings.read(text)


def test_ssid_is_the_one_that_must_be_there() -> None:
    with pytest.raises(ValueError, match="ssid is missing"):
        settings.read("{}")
