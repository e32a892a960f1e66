"""Lines for the board's Modbus slave in tests: one in memory, one at a pseudo terminal, and a
MicroPython that serves such a terminal.

Flow: test, or a client -> LINE -> slave -> LINE -> test, or the client.
"""

import contextlib
import json
import os
import pty
import socket
import struct
import subprocess
import termios
import threading
import time
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from threewire.operation.modbus_slave import ModbusSlave
from tools.common.boards import ROOT
from tools.emulate.tcp_port import free_port

WRAP = 1 << 30


def crc_of(data: bytes) -> bytes:
    """Bit by bit, as the guide to the serial line has it (V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)


def framed(data: bytes) -> bytes:
    """With its CRC."""
    return data + crc_of(data)


def read_request(address: int, function: int, first: int, count: int) -> bytes:
    return framed(struct.pack(">BBHH", address, function, first, count))


class MemoryLine:
    """What Rs485 is to the slave, with a clock that a test moves.

    waiting  bytes that have come; sent: frames of the slave's; now: microseconds
    """

    period_us = 2000

    def __init__(self) -> None:
        self.waiting = bytearray()
        self.sent: list[bytes] = []
        self.now = WRAP - 5000
        self.sends_until = self.now

    def begin(self, baudrate: int) -> None:
        assert not self.busy()
        self.baudrate = baudrate

    def any(self) -> int:
        return len(self.waiting)

    def readinto(self, buffer: bytearray, size: int) -> int:
        assert 0 < size <= len(self.waiting)
        buffer[:size] = self.waiting[:size]
        del self.waiting[:size]
        return size

    def write(self, data: bytes) -> None:
        assert not self.busy()
        self.sent.append(bytes(data))
        self.sends_until = self.now + 573 * len(data)

    def busy(self) -> bool:
        return self.now < self.sends_until

    def ticks_us(self) -> int:
        return self.now % WRAP

    @staticmethod
    def ticks_diff(later: int, earlier: int) -> int:
        return (later - earlier + WRAP // 2) % WRAP - WRAP // 2

    def ask(self, slave: ModbusSlave, *parts: bytes) -> list[bytes]:
        """What the slave answers to parts, between which it looks once, and then to silence."""
        before = len(self.sent)
        for part in parts:
            self.waiting += part
            slave.step()
            self.now += 300
        self.now += self.period_us
        slave.step()
        said = self.sent[before:]
        while self.busy():
            self.now += 5000
            slave.step()
        return said


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, str]]:
    """The board's end of a pseudo terminal, as a descriptor, and the client's, as a path."""
    ours, theirs = pty.openpty()
    try:
        for end in (ours, theirs):
            tty.setraw(end, termios.TCSANOW)
        yield ours, os.ttyname(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


class TerminalLine(MemoryLine):
    """The same at a pseudo terminal, by the wall clock."""

    def __init__(self, ours: int) -> None:
        super().__init__()
        os.set_blocking(ours, False)
        self._ours = ours

    def any(self) -> int:
        with contextlib.suppress(BlockingIOError, OSError):
            self.waiting += os.read(self._ours, 4096)
        return len(self.waiting)

    def write(self, data: bytes) -> None:
        os.write(self._ours, data)

    def busy(self) -> bool:
        return False

    def ticks_us(self) -> int:
        return time.monotonic_ns() // 1000 % WRAP


@contextlib.contextmanager
def serving(slave: ModbusSlave) -> Iterator[None]:
    """Its steps go on in a thread."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            slave.step()
            time.sleep(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


# What MicroPython makes of a report of the numbers that it is given.
SCRIPT = """\
import sys
sys.path[:0] = [{firmware!r}]
from threewire.operation.modbus_rtu import ModbusRtu
from threewire.operation.modbus_slave import ModbusSlave

class Of:
    def __init__(self, **values):
        for name, value in values.items():
            setattr(self, name, value)

given = {given!r}
class Report:
    kept = {{}}
    active = given["active"]
    reversed = given["reversed"]
    demand = Of(**given["demand"])
    def reading(self, k):
        return Of(**given["readings"][k])
    def total(self):
        return Of(**given["readings"][2])
    def wh(self, k):
        return given["wh"][k]
    def varh(self, which):
        return given["varh"][which]
    def hertz_mhz(self):
        return given["hertz_mhz"]
    def diagnosis(self):
        return Of(service=given["service"])

slave = ModbusSlave("feather_rp2040", "0.3.0", {board_id!r})
class Store:
    def load(self):
        return None, 0, []
slave.offer(Report())
"""
# And serves at a terminal.
SERVING = """\
import select, time

class Line:
    period_us = 2000
    def begin(self, baudrate):
        pass
    def __init__(self):
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
    def any(self):
        return 1 if self._poll.poll(0) else 0
    def readinto(self, buffer, size):
        buffer[0] = sys.stdin.buffer.read(1)[0]
    def write(self, data):
        sys.stdout.buffer.write(data)
    def busy(self):
        return False

line = Line()
line.ticks_us, line.ticks_diff = time.ticks_us, time.ticks_diff
slave.lines.append(ModbusRtu(line, slave, (1, 19200), Store(), None))
while True:
    if not slave.step():
        time.sleep_ms(1)
"""
# And answers to looks at a line, of which there is one in each line of a file.
HOSTILE = """\
class Line:
    period_us = 2000
    def begin(self, baudrate):
        pass
    now = 0
    waiting = b""
    def any(self):
        return len(self.waiting)
    def readinto(self, buffer, size):
        buffer[:size] = self.waiting[:size]
        self.waiting = self.waiting[size:]
    def write(self, data):
        self.sent.append("".join("%02x" % byte for byte in data))
    def busy(self):
        return False
    def ticks_us(self):
        return self.now
    def ticks_diff(self, later, earlier):
        return later - earlier

line = Line()
rtu = ModbusRtu(line, slave, (1, 19200), Store(), Of(sealed=True))
slave.lines.append(rtu)
while slave.step():
    pass
for text in open("looks"):
    line.sent = []
    for part in text[:-1].split(","):
        line.waiting = bytes([int(part[k : k + 2], 16) for k in range(0, len(part), 2)])
        slave.step()
        line.now += 300
    line.now += 2000
    slave.step()
    print(",".join(line.sent))
print(rtu.counts)
"""
# And serves at a TCP port.  Its time goes `pace` times as fast; while there is a file "down" there
# is no network.  At its end, which its standard input tells, it says what telemetry would, and how
# many milliseconds its longest step took.
AT_PORT = """\
import os, select, socket, time
from threewire.network.modbus_tcp import ModbusTcp

class Clock:
    def ticks_ms(self):
        return time.ticks_ms() * {pace} % (1 << 30)
    def ticks_diff(self, later, earlier):
        return (later - earlier + (1 << 29)) % (1 << 30) - (1 << 29)

def is_up():
    try:
        os.stat("down")
        return False
    except OSError:
        return True

slave.address(1, 0)
tcp = ModbusTcp(socket, {port}, slave.answer, is_up, Clock())
slave.lines.append(tcp)
ends = select.poll()
ends.register(sys.stdin, select.POLLIN)
longest = 0
while not ends.poll(0):
    begun = time.ticks_us()
    more = slave.step()
    longest = max(longest, time.ticks_diff(time.ticks_us(), begun))
    if not more:
        time.sleep_us(100)
print("{{" + tcp.sign()[1:] + "}}")
print(longest // 1000)
"""
_READING = ("volts_uv", "amps_ua", "watts_uw", "vars_uw", "va_uva", "power_factor_ppm")


def _script(report: Any, board_id: str) -> str:
    readings = [report.reading(0), report.reading(1), report.total()]
    given = {
        "active": list(report.active),
        "reversed": report.reversed,
        "demand": {name: getattr(report.demand, name) for name in ("mean_uw", "peak_uw")},
        "readings": [
            {name: getattr(of, name) for name in _READING if hasattr(of, name)} for of in readings
        ],
        "wh": [report.wh(k) for k in range(6)],
        "varh": [report.varh(which) for which in range(3)],
        "hertz_mhz": report.hertz_mhz(),
        "service": report.diagnosis().service,
    }
    return SCRIPT.format(firmware=str(ROOT / "firmware"), given=given, board_id=board_id)


@contextlib.contextmanager
def micropython_slave(
    program: Sequence[str], folder: Path, ours: int, report: Any, board_id: str
) -> Iterator[None]:
    """A MicroPython that serves what a Report says, at a terminal."""
    script = folder / "main.py"
    script.write_text(_script(report, board_id) + SERVING)
    with subprocess.Popen(
        [*program, str(script)], stdin=ours, stdout=ours, stderr=subprocess.PIPE
    ) as process:
        try:
            yield
        finally:
            process.kill()
            assert process.stderr is not None
            said = process.stderr.read()
            assert not said, said.decode()


class TcpSlave:
    """A MicroPython that serves what a Report says at a TCP port.  Use it as a context manager.

    port   at which it listens
    pace   how much faster than ours its time goes

    told, longest_ms  of it when it has ended: what telemetry says, and its longest step
    """

    def __init__(
        self, program: Sequence[str], folder: Path, report: Any, board_id: str, pace: int = 1
    ) -> None:
        self.port = free_port()
        self.told: dict[str, int] = {}
        self.longest_ms = 0
        self._down = folder / "down"
        script = folder / "main.py"
        text = _script(report, board_id) + AT_PORT.format(port=self.port, pace=pace)
        script.write_text(text)
        self._process = subprocess.Popen(
            [*program, str(script)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def connected(self, timeout: float = 10.0) -> socket.socket:
        """A client, as soon as it can be one."""
        end = time.monotonic() + timeout
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout)
            except ConnectionRefusedError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def is_up(self, up: bool) -> None:
        """Whether it has a network from now on."""
        if up:
            self._down.unlink()
        else:
            self._down.touch()

    def end(self) -> None:
        """It sees what has ended by now, and ends."""
        time.sleep(0.1)
        said, problem = self._process.communicate("\n", 30)
        assert not problem, problem
        sign, longest = said.splitlines()
        self.told = json.loads(sign)["modbus_tcp"]
        self.longest_ms = int(longest)

    def __enter__(self) -> "TcpSlave":
        self.connected().close()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def hostile_line(
    program: Sequence[str], folder: Path, frames: Sequence[tuple[bytes, ...]], report: Any
) -> tuple[list[list[bytes]], list[int]]:
    """What a slave in MicroPython answers to each frame, which comes in parts and ends with
    silence; and its counts behind them all."""
    script = folder / "main.py"
    script.write_text(_script(report, "e661") + HOSTILE)
    text = "".join(",".join(part.hex() for part in parts) + "\n" for parts in frames)
    (folder / "looks").write_text(text)
    done = subprocess.run(
        [*program, str(script)], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert not done.stderr, done.stderr
    *lines, counts = done.stdout.splitlines()
    said = [[bytes.fromhex(part) for part in line.split(",") if part] for line in lines]
    return said, json.loads(counts)
