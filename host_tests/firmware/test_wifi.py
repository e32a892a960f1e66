"""Joining, names and the time, against a WLAN and sockets that are scripted: nothing waits."""

import struct
from itertools import pairwise
from typing import Any

import pytest

from threewire.network.names import Names, address_in
from threewire.network.ntp import Ntp, time_in
from threewire.network.settings import DEFAULTS
from threewire.network.wifi import Station

SETTINGS = {**DEFAULTS, "ssid": "home", "key": "12345678"}
DNS = "10.0.0.1"


class Clock:
    """MicroPython's, whose ticks go round at 2**30."""

    def __init__(self) -> None:
        self.us = (1 << 30) * 1000 - 5_000_000  # ticks_ms goes round five seconds in

    def ticks_ms(self) -> int:
        return self.us // 1000 & 0x3FFFFFFF

    def ticks_us(self) -> int:
        return self.us & 0x3FFFFFFF

    def ticks_add(self, ticks: int, delta: int) -> int:
        return ticks + delta & 0x3FFFFFFF

    def ticks_diff(self, end: int, start: int) -> int:
        return (end - start + (1 << 29) & 0x3FFFFFFF) - (1 << 29)


class Wlan:
    """joins_after  milliseconds that a join takes; None: it never comes"""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.joins_after: int | None = 500
        self.refuses = False
        self.says = 1  # it joins
        self.server = DNS
        self.connects: list[float] = []
        self._since: int | None = None

    def connect(self, ssid: str, key: str | None) -> None:
        assert (ssid, key) == ("home", "12345678")
        self.connects.append(self._clock.us / 1e6)
        if self.refuses:
            raise OSError(1)
        self._since = self._clock.us

    def disconnect(self) -> None:
        if self._since is None:
            raise OSError(1)
        self._since = None

    def lose(self) -> None:
        self._since = None

    def isconnected(self) -> bool:
        return (
            self._since is not None
            and self.joins_after is not None
            and self._clock.us - self._since >= self.joins_after * 1000
        )

    def ifconfig(self) -> tuple[str, str, str, str]:
        return "10.0.0.2", "255.255.255.0", DNS, self.server

    def status(self, what: str | None = None) -> int:
        assert what in (None, "rssi")
        return -61 if what else self.says


class Net:
    """Stands in for module socket; `answer`: given an address and a datagram, returns such."""

    AF_INET, SOCK_DGRAM = 2, 2

    def __init__(self) -> None:
        self.answer: Any = lambda where, data: []
        self.sent: list[tuple[Any, bytes]] = []
        self.open = 0
        self.fails = False

    def getaddrinfo(self, host: str, port: int) -> list[tuple[Any, ...]]:
        assert host.replace(".", "").isdigit(), "a name would be waited for"
        return [(2, 2, 0, "", (host, port))]

    def socket(self, family: int, kind: int) -> Any:
        if self.fails:
            raise OSError(12)
        self.open += 1
        return _Datagrams(self)


class _Datagrams:
    def __init__(self, net: Net) -> None:
        self._net = net
        self._peer: Any = None
        self._waiting: list[bytes] = []
        self._blocks = True

    def setblocking(self, flag: bool) -> None:
        self._blocks = flag

    def connect(self, where: Any) -> None:
        self._peer = where

    def send(self, data: bytes) -> None:
        self.sendto(data, self._peer)

    def sendto(self, data: bytes, where: Any) -> None:
        assert not self._blocks
        self._net.sent.append((where, bytes(data)))
        self._waiting += self._net.answer(where, bytes(data))

    def recv(self, most: int) -> bytes:
        assert not self._blocks
        if not self._waiting:
            raise OSError(11)
        return self._waiting.pop(0)[:most]

    def close(self) -> None:
        self._net.open -= 1


class Rig:
    def __init__(self) -> None:
        self.clock = Clock()
        self.wlan = Wlan(self.clock)
        self.net = Net()
        self._count = 0
        self.names = Names(self.net, self.clock, self.random)
        self.station = Station(self.wlan, SETTINGS, self.names, self.clock)

    def random(self, size: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size, "big")

    def run(self, seconds: float, *outlets: Any) -> None:
        end = self.clock.us + seconds * 1e6
        while self.clock.us < end:
            self.clock.us += 20_000
            for outlet in (self.station, *outlets):
                assert outlet.step() in (False, None)


@pytest.fixture
def rig() -> Rig:
    return Rig()


# ---- joining


def test_it_joins_and_joins_again(rig: Rig) -> None:
    assert not rig.station.is_up()
    rig.run(1)
    assert rig.station.is_up() and len(rig.wlan.connects) == 1
    told = rig.station.told()
    assert told["address"] == "10.0.0.2" and told["rssi_dbm"] == -61 and told["joins"] == 1
    rig.run(20)
    rig.wlan.lose()
    rig.run(0.2)
    assert not rig.station.is_up() and rig.station.told()["address"] is None
    rig.run(3)
    assert rig.station.is_up() and rig.station.told()["joins"] == 2


def test_tries_come_further_and_further_apart_up_to_a_bound(rig: Rig) -> None:
    rig.wlan.joins_after = None
    rig.run(1200)
    times = rig.wlan.connects
    apart = [b - a for a, b in pairwise(times)]
    assert apart[:6] == pytest.approx([21, 22, 24, 28, 36, 52], abs=0.5)
    assert apart[6:] == pytest.approx([80] * len(apart[6:]), abs=0.5)
    assert rig.station.told()["failures"] >= 10
    rig.wlan.joins_after = 500
    rig.run(81)
    assert rig.station.is_up()


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (-3, "wrong password"),
        (202, "wrong password"),
        (15, "wrong password"),
        (-2, "no such network"),
        (201, "no such network"),
        (2, "no address from it"),
        (7, "status 7"),
    ],
)
def test_a_join_that_fails_says_why(rig: Rig, says: int, why: str) -> None:
    assert rig.station.told()["failure"] is None
    rig.wlan.joins_after, rig.wlan.says = None, says
    rig.run(21)
    assert rig.station.told()["failure"] == why
    # It stays the last one, until there is another.
    rig.wlan.joins_after = 500
    rig.run(30)
    told = rig.station.told()
    assert (told["state"], told["failure"]) == ("up", why)
    rig.wlan.lose()
    rig.run(1)
    assert rig.station.told()["failure"] == "lost"


@pytest.mark.parametrize("says", [-2, 201], ids=["Pico W", "ESP32"])
def test_where_there_is_no_such_network_the_next_try_comes_soon(rig: Rig, says: int) -> None:
    rig.wlan.joins_after, rig.wlan.says = None, says
    rig.run(9)
    assert rig.wlan.connects[1] - rig.wlan.connects[0] == pytest.approx(4, abs=0.3)
    rig.wlan.joins_after = 500
    rig.run(6)
    assert rig.station.is_up()


def test_a_wlan_that_refuses_is_tried_again(rig: Rig) -> None:
    rig.wlan.refuses = True
    rig.run(10)
    assert 2 <= len(rig.wlan.connects) <= 5 and not rig.station.is_up()
    rig.wlan.refuses = False
    rig.run(20)
    assert rig.station.is_up()


def test_a_network_that_goes_each_second_is_not_joined_without_end(rig: Rig) -> None:
    for _ in range(600):
        rig.run(1)
        rig.wlan.lose()
    assert 5 <= len(rig.wlan.connects) <= 25
    # Steady again, the next loss is made good as soon as the first.
    rig.run(200)
    assert rig.station.is_up()
    rig.wlan.lose()
    rig.run(2.5)
    assert rig.station.is_up()


# ---- names


def question(data: bytes) -> tuple[str, bytes]:
    """The name that a query asks for, worked out anew; and its id."""
    at, parts = 12, []
    while data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    assert data[2:12] == bytes([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    assert data[at:] == bytes([0, 0, 1, 0, 1])
    return ".".join(parts), data[:2]


def answer_to(data: bytes, ip: tuple[int, int, int, int] = (192, 168, 1, 4)) -> bytes:
    """A CNAME, then an address, as a server has them."""
    cname = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 4) + b"\x01a\xc0\x0c"
    a = b"\xc0\x2a" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes(ip)
    return data[:2] + b"\x81\x80\0\1\0\2\0\0\0\0" + data[12:] + cname + a


def test_a_name_is_asked_for_at_the_networks_server(rig: Rig) -> None:
    rig.net.answer = lambda where, data: [answer_to(data)]
    assert rig.station.address("broker.lan", 1883) is None
    rig.run(2)
    assert rig.station.address("broker.lan", 1883) == ("192.168.1.4", 1883)
    ((where, data),) = rig.net.sent
    assert where == (DNS, 53) and question(data)[0] == "broker.lan"
    assert rig.net.open == 0
    # An address needs nobody.
    assert rig.station.address("10.9.8.7", 1) == ("10.9.8.7", 1)
    rig.run(500)
    assert len(rig.net.sent) == 1
    rig.net.answer = lambda where, data: [answer_to(data, (192, 168, 1, 5))]
    rig.run(200)
    assert rig.station.address("broker.lan", 1883) == ("192.168.1.5", 1883)


def test_a_server_that_a_lease_changes_is_asked_without_a_new_join(rig: Rig) -> None:
    rig.net.answer = lambda where, data: [answer_to(data)] if where == ("10.0.0.7", 53) else []
    rig.station.address("broker.lan", 1883)
    rig.run(60)
    assert rig.station.address("broker.lan", 1883) is None
    rig.wlan.server = "10.0.0.7"
    rig.run(150)
    assert rig.station.address("broker.lan", 1883) == ("192.168.1.4", 1883)
    assert rig.station.told()["joins"] == 1


def test_local_names_are_asked_of_all_hosts(rig: Rig) -> None:
    rig.net.answer = lambda where, data: [answer_to(data)]
    rig.station.address("homeassistant.local", 1883)
    rig.run(2)
    assert rig.net.sent[0][0] == ("224.0.0.251", 5353)
    assert rig.station.address("homeassistant.local", 1883) == ("192.168.1.4", 1883)


def test_a_server_that_never_answers_is_asked_seldom(rig: Rig) -> None:
    rig.station.address("a.example", 1)
    rig.station.address("b.example", 1)
    rig.run(600)
    asked = [question(data)[0] for _, data in rig.net.sent]
    assert 10 <= asked.count("a.example") <= 16 and 10 <= asked.count("b.example") <= 16
    assert rig.net.open <= 1
    rig.net.fails = True
    rig.run(300)
    assert rig.net.open == 0


def test_no_bytes_but_an_answer_give_an_address() -> None:
    asked = b"\x12\x34" + bytes([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    body = b"\x01a\0\0\1\0\1"
    whole = answer_to(asked + body)
    assert address_in(whole, b"\x12\x34", body) == "192.168.1.4"
    assert address_in(whole, b"\x12\x35", body) is None
    assert address_in(whole, b"\x12\x34", b"\x01b\0\0\1\0\1") is None
    for size in range(len(whole)):
        assert address_in(whole[:size], b"\x12\x34", body) is None
    refused = bytearray(whole)
    refused[3] |= 3
    assert address_in(bytes(refused), b"\x12\x34", body) is None
    # Whatever a byte is changed to, it ends, with an address or without.
    for at in range(len(whole)):
        for value in (0, 1, 63, 64, 192, 255):
            spoilt = bytearray(whole)
            spoilt[at] = value
            found = address_in(bytes(spoilt), b"\x12\x34", body)
            assert found is None or found.count(".") == 3


# ---- time


class Utc:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sets: list[tuple[int, int]] = []

    def ticks_us(self) -> int:
        return self._clock.us

    def set(self, unix_us: int, ticks_us: int) -> None:
        self.sets.append((unix_us, ticks_us))


UNIX_S = 1_800_000_000  # 2027
SINCE_1900 = UNIX_S + 2_208_988_800


def server_says(
    data: bytes, mode: int = 4, stratum: int = 2, leap: int = 0, seconds: int = SINCE_1900
) -> bytes:
    """It has held the question for a quarter of a second, and sends at half past `seconds`."""
    head = bytes([leap << 6 | 4 << 3 | mode, stratum]) + bytes(22)
    times = struct.pack(">IIII", seconds % 2**32, 1 << 30, seconds % 2**32, 1 << 31)
    return head + data[40:48] + times


@pytest.fixture
def timed(rig: Rig) -> tuple[Rig, Ntp, Utc]:
    utc = Utc(rig.clock)
    return rig, Ntp(rig.station, "10.0.0.9", utc, rig.net, rig.clock, rig.random), utc


def test_the_time_is_set_and_asked_for_again(timed: tuple[Rig, Ntp, Utc]) -> None:
    rig, ntp, utc = timed
    rig.net.answer = lambda where, data: [server_says(data)]
    rig.run(2, ntp)
    ((where, data),) = rig.net.sent
    assert where == ("10.0.0.9", 123) and len(data) == 48 and data[0] == 0x23
    ((unix_us, ticks_us),) = utc.sets
    # It comes at the next look, 20 ms later, of which the server has held it for more.
    assert unix_us == UNIX_S * 1_000_000 + 500_000
    assert ticks_us <= rig.clock.us
    assert ntp.told() == {"ntp_ms": 0, "ntp": "answers"} and rig.net.open == 0
    rig.run(2100, ntp)
    assert len(utc.sets) == 3


def test_half_of_the_way_is_added() -> None:
    stamp = bytes(range(8))
    (sent, held), why = time_in(server_says(bytes(40) + stamp), stamp)  # type: ignore[misc]
    assert (sent, held, why) == (UNIX_S * 1_000_000 + 500_000, 250_000, None)
    (sent, _), _ = time_in(  # type: ignore[misc]
        server_says(bytes(40) + stamp, seconds=2_208_988_800 + 1_767_225_600), stamp
    )
    assert sent == 1_767_225_600_500_000  # The first of 2026.
    # In 2036 the seconds begin anew.
    (sent, _), _ = time_in(server_says(bytes(40) + stamp, seconds=2**32 + 5), stamp)  # type: ignore[misc]
    assert sent == (2**32 + 5 - 2_208_988_800) * 1_000_000 + 500_000


@pytest.mark.parametrize(
    "spoilt",
    [
        {"mode": 3},
        {"stratum": 16},
        {"leap": 3},
        {"seconds": 0},
        # Of a server that has lost its time, by 1970 and by 1968; and the last second of 2025.
        {"seconds": 2_208_988_800 + 500},
        {"seconds": 2**31},
        {"seconds": 2_208_988_800 + 1_767_225_599},
    ],
    ids=str,
)
def test_what_is_no_time_is_not_taken(timed: tuple[Rig, Ntp, Utc], spoilt: dict[str, int]) -> None:
    rig, ntp, utc = timed
    rig.net.answer = lambda where, data: [server_says(data, **spoilt)]
    rig.run(60, ntp)
    assert not utc.sets and ntp.told()["ntp"] != "answers"
    assert 2 <= len(rig.net.sent) <= 6


def test_an_answer_to_another_question_is_none(timed: tuple[Rig, Ntp, Utc]) -> None:
    rig, ntp, utc = timed
    # A stranger's comes first, then the real one.
    rig.net.answer = lambda where, data: [server_says(bytes(48)), server_says(data)]
    rig.run(2, ntp)
    assert len(utc.sets) == 1
    assert time_in(b"", b"12345678")[0] is None


def test_a_server_that_wants_peace_has_it(timed: tuple[Rig, Ntp, Utc]) -> None:
    rig, ntp, utc = timed
    rig.net.answer = lambda where, data: [server_says(data, stratum=0)]
    rig.run(600, ntp)
    assert len(rig.net.sent) == 1 and not utc.sets
    assert ntp.told()["ntp"] == "the server wants to be left alone"


def test_silence_is_asked_less_and_less(timed: tuple[Rig, Ntp, Utc]) -> None:
    rig, ntp, _ = timed
    rig.run(3600, ntp)
    assert 8 <= len(rig.net.sent) <= 11
    assert ntp.told() == {"ntp_ms": None, "ntp": "no answer"}
    # Without a network nothing is asked.
    rig.wlan.joins_after = None
    rig.wlan.lose()
    sent = len(rig.net.sent)
    rig.run(3600, ntp)
    assert len(rig.net.sent) <= sent and rig.net.open == 0


@pytest.mark.parametrize("days", [1, 7, 12, 20])
def test_the_time_is_asked_for_soon_after_days_without_a_network(
    timed: tuple[Rig, Ntp, Utc], days: int
) -> None:
    """Its clock counts no further than twelve days, and half of them back."""
    rig, ntp, utc = timed
    rig.net.answer = lambda where, data: [server_says(data)]
    rig.wlan.joins_after = None
    for _ in range(days * 144):
        rig.clock.us += 600_000_000
        rig.station.step()
        ntp.step()
    assert not rig.net.sent
    rig.wlan.joins_after = 500
    rig.run(120, ntp)
    assert len(utc.sets) == 1
