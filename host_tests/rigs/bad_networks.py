"""Brokers, DNS servers and ways through a network that do not what they should, on this machine.

Flow: a test -> BAD NETWORKS <-> network_board.py.
"""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from host_tests.firmware.test_wifi import answer_to

ACCEPTED = b"\x20\x02\x00\x00"
PING, PONG = b"\xc0\x00", b"\xd0\x00"
Serve = Callable[[socket.socket], None]
_HOLDS_S = 120


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
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
                is_over.wait(_HOLDS_S)
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


# ---- what a broker does with one that comes


def be_good(line: socket.socket) -> None:
    """It accepts, takes all, and answers pings."""
    line.recv(1000)
    line.sendall(ACCEPTED)
    while data := line.recv(65536):
        if PING in data:
            line.sendall(PONG)
    raise OSError


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


class Mutator:
    """A broker that accepts and then sends packets that are mutated, each of them.

    sent     packets so far, of all connections
    is_over  set it, and all connections end
    """

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._lock = threading.Lock()
        self.sent = 0
        self.is_over = False

    def _packet(self) -> bytes:
        draw = self._draw
        body = bytearray(draw.randbytes(draw.randrange(2, 60)))
        # QoS 0 and 1, duplicates and retained ones: nothing of it was asked for.
        packet = bytearray([draw.choice((0x30, 0x31, 0x32, 0x3A)), len(body)]) + body
        # One in fifty also where that may end the connection.
        if draw.random() < 0.02:
            packet[draw.randrange(2)] = draw.randrange(256)
        return bytes(packet)

    def serve(self, line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(ACCEPTED)
        # A ping that is answered lets it come back soon.
        while PING not in line.recv(65536):
            pass
        line.sendall(PONG)
        line.setblocking(False)
        while not self.is_over:
            with self._lock:
                line.sendall(b"".join(self._packet() for _ in range(10)))
                self.sent += 10
            # As fast as they are read, so that few are lost at its end.
            time.sleep(0.01)
            with suppress(BlockingIOError):
                data = line.recv(65536)
                if not data:
                    raise OSError
                if PING in data:
                    line.sendall(PONG)
        raise OSError


# ---- ways


class Proxy:
    """A way to a port of this machine.

    swallow()  what is connected now is half-open from now on: nothing that is sent either way
               arrives, and nobody is told; who comes later has a way
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._swallowed = threading.Event()

    def swallow(self) -> None:
        self._swallowed.set()
        self._swallowed = threading.Event()

    def serve(self, line: socket.socket) -> None:
        swallowed = self._swallowed
        with socket.create_connection(("127.0.0.1", self._port)) as other:
            back = threading.Thread(target=_pass_on, args=[other, line, swallowed], daemon=True)
            back.start()
            _pass_on(line, other, swallowed)
            with suppress(OSError):
                other.shutdown(socket.SHUT_RDWR)
            back.join()


def _pass_on(line: socket.socket, other: socket.socket, swallowed: threading.Event) -> None:
    with suppress(OSError):
        while data := line.recv(65536):
            if not swallowed.is_set():
                other.sendall(data)


# ---- names

Answer = Callable[[bytes], Sequence[bytes]]


class Datagrams:
    """A server of datagrams, as DNS.  Use it as a context manager.

    answer  makes datagrams of one
    asked   so many have come so far
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Datagrams":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._socket.close()

    def _work(self) -> None:
        while not self._is_over.is_set():
            with suppress(OSError):
                data, where = self._socket.recvfrom(2000)
                self.asked += 1
                for said in self.answer(data):
                    self._socket.sendto(said, where)


def nothing(question: bytes) -> Sequence[bytes]:
    return ()


def loopback(question: bytes) -> Sequence[bytes]:
    """Every name is this machine's."""
    return [answer_to(question, (127, 0, 0, 1))]


def rubbish(seed: int) -> Answer:
    """Two hundred datagrams, none of which is an answer to the question."""
    draw = random.Random(seed)

    def made(question: bytes) -> bytes:
        right = bytearray(answer_to(question, (127, 0, 0, 1)))
        kind = draw.randrange(7)
        if kind == 0:
            return draw.randbytes(draw.randrange(600))
        if kind == 1:
            right[0] ^= 1 << draw.randrange(8)  # another's
        elif kind == 2:
            right = right[: draw.randrange(len(right))]
        elif kind == 3:
            right[3] |= draw.randrange(1, 16)  # refused
        elif kind == 4:
            right[2] &= 0x7F  # a question
        elif kind == 5:
            right[12 + draw.randrange(len(question) - 16)] ^= 0x41  # of another name
        else:
            # So many answers, of which none is there; or a name that leads to itself.
            end = draw.choice((b"", b"\xc0" + bytes([len(question)])))
            right[6:8] = b"\xff\xff"
            right = right[: len(question)] + end
        return bytes(right)

    return lambda question: [made(question) for _ in range(200)]
