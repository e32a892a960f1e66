"""The board's MQTT client against a scripted socket: what it says is read by a decoder of its own,
and whatever a broker answers, or does not, it goes on."""

import errno
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from threewire.network.mqtt_client import REFUSED, MqttClient

ACCEPTED = b"\x20\x02\x00\x00"
PONG = b"\xd0\x00"


class Net:
    """Stands in for the modules socket, select and time, and for the broker behind them.

    now      milliseconds
    sent     all bytes that the socket has taken
    comes    bytes that it gives next
    takes    how many bytes a send takes at most; None: EAGAIN
    is_open  False: the broker has closed
    """

    POLLOUT = 4

    def __init__(self) -> None:
        self.now = 0
        self.sent = b""
        self.comes = b""
        self.takes: int | None = 10_000
        self.is_open = self.is_writable = True
        self.fails: int | None = None
        self.connects = self.lines = 0
        self.longest = 0

    # time, of which ticks wrap
    def ticks_ms(self) -> int:
        return self.now % 2**30

    def ticks_add(self, ticks: int, ms: int) -> int:
        return (ticks + ms) % 2**30

    def ticks_diff(self, end: int, start: int) -> int:
        return (end - start + 2**29) % 2**30 - 2**29

    # socket
    def getaddrinfo(self, host: str, port: int) -> list[Any]:
        return [(2, 1, 0, "", (host, port))]

    def socket(self) -> "Net":
        self.lines += 1
        self.is_open = True
        self.comes = self.sent = b""
        return self

    def setblocking(self, flag: bool) -> None:
        assert flag is False

    def connect(self, where: Any) -> None:
        assert where == ("10.0.0.1", 1883)
        self.connects += 1
        raise OSError(self.fails or errno.EINPROGRESS, "")

    def send(self, data: Any) -> int:
        if self.takes is None:
            raise OSError(errno.EAGAIN, "")
        if not self.is_open:
            raise OSError(errno.ECONNRESET, "")
        taken = bytes(data[: self.takes])
        assert taken
        self.sent += taken
        return len(taken)

    def readinto(self, buffer: bytearray) -> int | None:
        count = min(len(buffer), len(self.comes))
        buffer[:count] = self.comes[:count]
        self.comes = self.comes[count:]
        self.longest = max(self.longest, count)
        return count or (None if self.is_open else 0)

    def close(self) -> None:
        self.lines -= 1

    # select
    def poll(self) -> "Net":
        return self

    def register(self, line: Any, what: int) -> None:
        assert what == self.POLLOUT

    def unregister(self, line: Any) -> None:
        pass

    def ipoll(self, ms: int) -> list[Any]:
        assert ms == 0
        return [(self, 4)] if self.is_writable else []


def made(net: Net, **options: Any) -> MqttClient:
    return MqttClient(
        net, net, net, lambda: ("10.0.0.1", 1883), "meter", ("a/will", b"offline"), **options
    )


def run(net: Net, client: MqttClient, ms: int, each: int = 5) -> None:
    for _ in range(ms // each):
        for _ in range(200):
            if not client.step():
                break
        net.now += each


def up(net: Net, **options: Any) -> MqttClient:
    client = made(net, **options)
    run(net, client, 20)
    net.comes = ACCEPTED
    run(net, client, 20)
    assert client.is_up and client.is_idle
    return client


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(first byte, what follows the length) of each; all of the data is packets."""
    while data:
        size = shift = 0
        at = 1
        while True:
            size |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                break
        assert len(data) >= at + size
        yield data[0], data[at : at + size]
        data = data[at + size :]


def fields(data: bytes) -> list[bytes]:
    found = []
    while data:
        size = int.from_bytes(data[:2], "big")
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found


def pieces(*sizes: int) -> Any:
    return lambda: [bytes([65 + k % 26]) * size for k, size in enumerate(sizes)]


@pytest.mark.parametrize("user, password", [("", ""), ("ann", ""), ("ann", "pä ss")])
def test_what_it_greets_with(user: str, password: str) -> None:
    net = Net()
    up(net, user=user, password=password)
    ((kind, body),) = packets(net.sent)
    assert kind == 0x10 and body[:7] == b"\0\4MQTT\4"
    flags = 0x2E | 0x80 * bool(user) | 0x40 * bool(password)
    assert body[7:10] == bytes([flags, 0, 15])
    given = [text.encode() for text in (user, password) if text]
    assert fields(body[10:]) == [b"meter", b"a/will", b"offline", *given]


@pytest.mark.parametrize("takes", [1, 7, 511, 512, 10_000])
@pytest.mark.parametrize("sizes", [(), (1,), (600,), (100,) * 30, (512, 0, 511, 2000), (17000,)])
def test_a_message_of_any_size_arrives_whole(takes: int, sizes: tuple[int, ...]) -> None:
    net = Net()
    client = up(net)
    net.sent, net.takes = b"", takes
    client.publish("b/state", pieces(*sizes))
    assert not client.is_idle
    # A socket that takes nothing for a while costs nothing but time.
    net.takes = None
    run(net, client, 50)
    assert not net.sent
    net.takes = takes
    for _ in range(40_000):
        client.step()
    ((kind, body),) = packets(net.sent)
    assert kind == 0x31
    assert body == b"\0\7b/state" + b"".join(pieces(*sizes)())
    assert client.is_idle and client.dropped == 0


def test_one_that_is_made_otherwise_the_second_time_ends_the_connection() -> None:
    net = Net()
    client = up(net)
    sizes = iter((5, 6))
    client.publish("t", lambda: [b"x" * next(sizes)])
    run(net, client, 50)
    assert not client.is_up and "as long as" in client.why
    assert client.dropped == 1


def test_it_pings_and_finds_a_half_open_connection() -> None:
    net = Net()
    client = up(net)
    for _ in range(3):
        net.sent = b""
        run(net, client, 15_100)
        assert net.sent == b"\xc0\0"
        net.comes = PONG
        run(net, client, 50)
    run(net, client, 15_000)
    assert client.is_up
    run(net, client, 10_100)
    assert not client.is_up and client.why == "the broker does not answer"
    assert net.lines == 0


def test_a_socket_that_takes_nothing_is_half_open_too() -> None:
    net = Net()
    client = up(net)
    net.takes = None
    client.publish("t", pieces(3000))
    run(net, client, 25_200)
    assert not client.is_up and client.dropped == 1


@pytest.mark.parametrize("code", range(1, 6))
def test_refusals_are_told_by_reason(code: int) -> None:
    net = Net()
    client = made(net)
    run(net, client, 20)
    net.comes = bytes([0x20, 2, 0, code])
    run(net, client, 20)
    assert client.why == REFUSED[code - 1] and client.why.startswith("refused")
    assert client.sessions == 0 and net.lines == 0


@pytest.mark.parametrize(
    "happens",
    ["refused", "absent", "silent", "closes"],
)
def test_attempts_become_rare_and_stay_bounded(happens: str) -> None:
    net = Net()
    client = made(net)
    if happens == "refused":
        net.fails = errno.ECONNREFUSED
    net.is_writable = happens != "absent"
    net.takes = None if happens == "silent" else 10_000
    at = []
    for _ in range(40_000):
        before = net.connects
        client.step()
        if net.connects > before:
            at.append(net.now)
        if happens == "closes":
            net.is_open = False
        net.now += 20
    waits = [(end - start) // 1000 for start, end in pairwise(at)]
    if happens == "refused":
        assert client.why == "refused: nobody takes MQTT at that port"
    answer = 10 if happens in ("absent", "silent") else 0
    assert waits[:8] == pytest.approx([n + answer for n in (1, 2, 4, 8, 16, 32, 64, 64)], abs=1)
    assert net.lines <= 1


def test_after_an_answered_ping_it_comes_back_soon() -> None:
    net = Net()
    net.fails = errno.ECONNREFUSED
    client = made(net)
    run(net, client, 60_000)
    net.fails = None
    while not client.is_up:
        net.comes = ACCEPTED if net.sent else b""
        run(net, client, 100)
    run(net, client, 15_100)
    net.comes = PONG
    run(net, client, 100)
    net.is_open = False
    client.publish("t", pieces(1))
    run(net, client, 100)
    assert not client.is_up
    before = net.connects
    run(net, client, 1_000)
    assert net.connects == before + 1


def test_days_without_a_network_are_no_reason_to_wait() -> None:
    """Its clock counts no further than twelve days, and half of them back."""
    net = Net()
    there: list[Any] = [None]
    client = MqttClient(net, net, net, lambda: there[0], "meter", ("w", b""))
    for _ in range(30):
        run(net, client, 86_400_000, 600_000)
    assert net.connects == 0 and client.why == "no network, or no address of the broker yet"
    there[0] = ("10.0.0.1", 1883)
    client.step()
    assert net.connects == 1


def test_what_comes_unasked_is_dropped_whatever_its_length() -> None:
    net = Net()
    client = up(net)
    run(net, client, 15_100)
    # A PUBLISH at QoS 0 and 1 of a megabyte, and the answer behind them, in pieces of any size.
    body = bytes(1_000_000)
    net.comes = (b"\x30\xc0\x84\x3d" + body) + (b"\x32\xc0\x84\x3d" + body) + PONG
    for _ in range(40_000):
        client.step()
    assert not net.comes and net.longest <= 64
    run(net, client, 14_000)
    assert client.is_up


@pytest.mark.parametrize(
    "said",
    [
        b"\x20\x02\x00\x00",  # once more
        b"\x30\x80\x80\x80\x80\x01",  # a length of five digits
        b"\x36\x02\x00\x00",  # QoS 3
        b"\xd0\x01\x00",
        b"\xd1\x00",
        b"\x00\x00",
        b"\xf0\x00",
        b"\x10\x00",
        b"\x90\x03\x00\x01\x00",
        b"\xe0\x00",
    ],
)
def test_what_is_no_mqtt_ends_the_connection(said: bytes) -> None:
    net = Net()
    client = up(net)
    net.comes = said
    client.publish("t", pieces(1))
    run(net, client, 100)
    assert not client.is_up and client.why.startswith("the broker sent")


@pytest.mark.parametrize(
    "said", [b"\x20\x02\x00\x06", b"\x20\x02\x01\x00", b"\x20\x03\0\0\0", b"\x30\0", b"HTTP/1.1"]
)
def test_an_answer_that_is_none(said: bytes) -> None:
    net = Net()
    client = made(net)
    run(net, client, 20)
    net.comes = said
    run(net, client, 20)
    assert not client.is_up and client.why.startswith("the broker sent")


def test_ten_thousand_mutated_packets() -> None:
    draw = random.Random(3)
    net = Net()
    seeds = [ACCEPTED, PONG, b"\x30\x05\0\1tab", b"\x90\x03\0\1\0", b"\x40\x02\0\1"]
    client = made(net)
    sessions = 0
    for _ in range(10_000):
        net.now += 70_000
        run(net, client, 10)
        if draw.random() < 0.7:
            net.comes += ACCEPTED
        for _ in range(draw.randrange(4)):
            data = bytearray(draw.choice(seeds) * draw.randint(1, 9))
            for _ in range(draw.randrange(4)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            net.comes += data
        net.is_open = draw.random() < 0.9
        net.takes = draw.choice((None, 3, 10_000))
        run(net, client, 10)
        if client.is_idle:
            client.publish("t", pieces(draw.randrange(2000)))
        run(net, client, 10)
        assert net.lines <= 1
    sessions = client.sessions
    assert sessions > 1000
    # It is as it was: a good broker gets all.
    net.is_open, net.takes, net.comes = True, 10_000, b""
    client.close()
    net.now += 70_000
    run(net, client, 20)
    net.comes = ACCEPTED
    run(net, client, 20)
    net.sent = b""
    client.publish("t", pieces(700))
    run(net, client, 20)
    assert list(packets(net.sent)) == [(0x31, b"\0\1t" + b"A" * 700)]
