"""What no Modbus client sends, to the Modbus sink: whatever comes, others get right answers."""

import contextlib
import logging
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from host_tests.rigs.gateway_run import SayingBoard, said, wait_for
from host_tests.tools.serve.test_modbus import (
    GOOD,
    ask_of_a_new_one,
    connected,
    one_board,
)
from tools.emulate.tcp_port import free_port

# Of all frames before memory is looked at: pools fill first.
WARM = 0.3
# Far above what answers while others are hostile take here, far below a client's patience.
LONGEST_S = 1.0
# What the process may grow by; 7000 frames or connections of which something is kept are more.
GROWTH_KB = 4096


def frame(k: int, function: int, first: int, count: int, unit: int = 1) -> bytes:
    return struct.pack(">HHHBBHH", k & 0xFFFF, 0, 6, unit, function, first, count)


def good_frames() -> list[bytes]:
    """Reads, writes and others as they should be."""
    found = [frame(1, f, a, n) for f in (3, 4) for a in (0, 40000, 40070) for n in (2, 107, 125)]
    found += [frame(2, f, 40090, 1) for f in (1, 2, 5, 6, 8)]
    for data in (
        "10 9c9a 0002 04 00010002",
        "17 0000 0002 9c9a 0001 02 0007",
        "2b 0e 01 00",
        "11",
    ):
        pdu = bytes.fromhex(data)
        found.append(struct.pack(">HHHB", 3, 0, len(pdu) + 1, 1) + pdu)
    return found


def hostile(random_: random.Random) -> bytes:
    """One that is nearly right, or far from it."""
    good = bytearray(random_.choice(good_frames()))
    kind = random_.randrange(8)
    if kind == 0:
        for _ in range(random_.randint(1, 4)):
            good[random_.randrange(len(good))] ^= 1 << random_.randrange(8)
    elif kind == 1:
        good = good[: random_.randrange(len(good))]
    elif kind == 2:
        good[2:4] = random_.randbytes(2)
    elif kind == 3:
        good[4:6] = struct.pack(">H", random_.choice((0, 1, 2, 7, 254, 255, 256, 0x7FFF, 0xFFFF)))
    elif kind == 4:
        good = bytearray(random_.randbytes(random_.randint(1, 300)))
    elif kind == 5:
        good += random_.randbytes(random_.randint(1, 300))
    elif kind == 6:
        good = bytearray(b"".join(random_.choices(good_frames(), k=random_.randint(2, 8))))
        good = good[: len(good) - random_.randint(0, 11)]
    else:
        good = good[:7] + random_.randbytes(len(good) - 7)
    return bytes(good)


class Poller(threading.Thread):
    """Another client, of a board that says the same again and again.

    answers    how many there have been
    longest_s  that one took
    wrong      what was not as the first was
    """

    def __init__(self, port: int, board: SayingBoard) -> None:
        super().__init__()
        self._socket = connected(port)
        self._board = board
        self._done = threading.Event()
        self.answers, self.longest_s = 0, 0.0
        self.wrong: list[object] = []

    def read(self) -> bytes:
        self._socket.sendall(frame(9, 3, 40000, 125) + frame(9, 4, 0, 80))
        wanted = 9 + 250 + 9 + 160
        found = b""
        while len(found) < wanted:
            part = self._socket.recv(wanted - len(found))
            if not part:
                raise ConnectionError("closed")
            found += part
        return found

    def run(self) -> None:
        first = self.read()
        while not self._done.is_set():
            began = time.monotonic()
            try:
                found = self.read()
            except OSError as problem:
                self.wrong.append(problem)
                return
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.answers += 1
            if found != first:
                self.wrong.append(found)
            if not self.answers % 50:
                self._board.report(said())
            time.sleep(0.01)

    def end(self) -> None:
        self._done.set()
        self.join()
        self._socket.close()


@contextmanager
def undisturbed(
    folder: Path, caplog: pytest.LogCaptureFixture, **table: Any
) -> Iterator[tuple[int, Poller]]:
    """The port of a gateway, and another client that polls it meanwhile, and a little longer,
    which is answered in time, and right; nothing is logged that has failed."""
    port = free_port()
    with one_board(folder, port, **table) as (_, board):
        poller = Poller(port, board)
        poller.start()
        try:
            yield port, poller
            answers = poller.answers
            wait_for(lambda: poller.wrong or poller.answers > answers + 3, "answers", 5)
        finally:
            poller.end()
    assert not poller.wrong
    assert poller.longest_s < LONGEST_S
    bad = [r for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info]
    assert not bad, bad[0].getMessage()


def memory_kb() -> int:
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def send(port: int, data: bytes, reads: bool) -> None:
    with connected(port) as connection, contextlib.suppress(OSError):
        connection.sendall(data)
        if reads:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


@pytest.mark.parametrize(
    "frames",
    # 12 s: as many connections.
    [1_000, pytest.param(10_000, marks=pytest.mark.slow)],
)
def test_frames_that_are_wrong(
    frames: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random_ = random.Random(frames)
    warm_kb = 0
    with undisturbed(tmp_path, caplog, connections=200) as (port, poller):
        for k in range(frames):
            if k == WARM * frames:
                warm_kb = memory_kb()
            send(port, hostile(random_), reads=bool(k % 2))
        grown_kb = memory_kb() - warm_kb
        assert grown_kb < GROWTH_KB
        assert poller.answers > frames / 100


def drip(port: int) -> None:
    """A byte at a time, of a frame that would be right."""
    with connected(port) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in frame(1, 3, 40000, 2)[:11]:
                connection.sendall(bytes((byte,)))
                time.sleep(0.15)
            assert connection.recv(1) == b""
        assert time.monotonic() - began < 3


def never_ends(port: int, part: bytes, is_refused: bool) -> None:
    """As much as is taken within 2 s.  is_refused: the other end must close before."""
    end = time.monotonic() + 2
    with connected(port) as connection:
        connection.settimeout(0.5)
        try:
            while time.monotonic() < end:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            return
        except TimeoutError:
            pass
        assert not is_refused


def reads_while_it_asks(port: int) -> None:
    """A flood of what is right, for two seconds, whose answers are read."""
    part = 500 * frame(1, 4, 0, 80)
    end = time.monotonic() + 2
    with connected(port) as connection:
        connection.settimeout(0.2)

        def read() -> None:
            with contextlib.suppress(OSError):
                while connection.recv(1 << 16):
                    pass

        reading = threading.Thread(target=read)
        reading.start()
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                connection.sendall(part)
        connection.shutdown(socket.SHUT_RDWR)
        reading.join()


HOSTS: dict[str, Callable[[int], None]] = {
    "drip": drip,
    "zeros": lambda port: never_ends(port, bytes(65536), True),
    "noise": lambda port: never_ends(port, random.Random(1).randbytes(65536), True),
    "a long one": lambda port: never_ends(port, b"\0\1\0\0\0\xfe\1\3" + bytes(252), False),
    "longer than there are": lambda port: never_ends(
        port, b"\0\1\0\0\xff\xff\1\3" + bytes(65528), True
    ),
    "answers not read": lambda port: never_ends(port, 500 * frame(1, 3, 40000, 125), False),
    "a flood": reads_while_it_asks,
}


@pytest.mark.parametrize("name", HOSTS)
def test_one_without_end(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with undisturbed(tmp_path, caplog, idle_s=1.0) as (port, _):
        before_kb = memory_kb()
        HOSTS[name](port)
        assert memory_kb() - before_kb < 2 * GROWTH_KB


def test_half_open_connections_give_their_places_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with undisturbed(tmp_path, caplog, idle_s=1.0, connections=5) as (port, _):
        held = [connected(port) for _ in range(4)]
        held[0].sendall(b"\0\1")
        with contextlib.ExitStack() as stack:
            for each in held:
                stack.callback(each.close)
            assert ask_of_a_new_one(port) == b""
            wait_for(lambda: ask_of_a_new_one(port) == GOOD, "a place")
