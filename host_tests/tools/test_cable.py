"""How a board's port is found, opened and lost: pseudo-terminals stand for serial lines, and the
emulated board's port is tried with a board that only echoes."""

import argparse
import errno
import json
import os
import pty
import socket
import stat
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mpremote.transport_serial import SerialTransport
from msgspec import Struct

from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.telemetry_lines import telemetry
from tools.cable import port as board_port
from tools.cable.console import BoardConsole
from tools.cable.door import Answer
from tools.cable.port import Whereabouts
from tools.cable.prompt import Prompt
from tools.cable.shapes import SafeMode, Seal
from tools.common import command
from tools.common.errors import EngineFailed, InputError, PortError, Refused
from tools.emulate import cli as emulate
from tools.emulate.port import EmulatedPort
from tools.reliability.hostile_input import StandIn


def plugged(device: str, number: str | None = None, vid: int | None = 0x2E8A) -> Any:
    """What pyserial tells of a port; without a vendor's number it is none of USB."""
    return SimpleNamespace(device=device, description="Board", serial_number=number, vid=vid)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is plugged in."""
    there: list[Any] = []
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: list(there))
    return there


# ---- found


def test_the_only_board_is_found(ports: list[Any]) -> None:
    ports += [plugged("/dev/ttyS0", vid=None), plugged("/dev/ttyACM3", "E66")]
    assert board_port.find(None) == "/dev/ttyACM3"
    # Whatever is asked for is taken.
    assert board_port.find("COM3") == "COM3"


def test_an_empty_port_is_none(ports: list[Any]) -> None:
    ports.append(plugged("/dev/ttyACM3", "E66"))
    with pytest.raises(InputError, match=r"^--port is empty: name a port, or leave it out"):
        board_port.find("")


def test_no_board(ports: list[Any]) -> None:
    ports.append(plugged("/dev/ttyS0", vid=None))
    with pytest.raises(PortError, match="no board found: connect one by USB") as problem:
        board_port.find(None)
    assert "PORT=" in str(problem.value) and "--port" in str(problem.value)


def test_several_boards_are_listed(ports: list[Any]) -> None:
    ports += [plugged("/dev/ttyACM1", "E67"), plugged("/dev/ttyACM0", "E66")]
    with pytest.raises(InputError) as problem:
        board_port.find(None)
    assert str(problem.value) == (
        "2 boards found, say which by PORT= (--port): "
        "/dev/ttyACM0 (Board E66), /dev/ttyACM1 (Board E67)"
    )


def test_a_board_that_comes_back_under_another_name(ports: list[Any]) -> None:
    ports += [plugged("/dev/ttyACM0", "E66"), plugged("/dev/ttyACM1", "E67")]
    where = Whereabouts("/dev/ttyACM0")
    assert where.now() == "/dev/ttyACM0"
    ports[:] = [plugged("/dev/ttyACM1", "E67"), plugged("/dev/ttyACM2", "E66")]
    assert where.now() == "/dev/ttyACM2"
    # While it is away, and where nothing is known of it.
    ports.clear()
    assert where.now() == "/dev/ttyACM0"
    assert Whereabouts("socket://127.0.0.1:4000").now() == "socket://127.0.0.1:4000"


def test_boards_with_one_serial_number(ports: list[Any]) -> None:
    """As those with a CP2102 have: it tells nothing, and none is taken for another."""
    ports += [plugged("/dev/ttyUSB0", "0001"), plugged("/dev/ttyUSB1", "0001")]
    where = Whereabouts("/dev/ttyUSB1")
    assert where.now() == "/dev/ttyUSB1"
    ports.pop()
    assert where.now() == "/dev/ttyUSB1"
    # Nor where the other comes later.
    where = Whereabouts("/dev/ttyUSB0")
    ports.insert(0, plugged("/dev/ttyUSB/0", "0001"))
    assert where.now() == "/dev/ttyUSB0"


# ---- opened


@contextmanager
def line() -> Iterator[tuple[int, str]]:
    """A serial line: the board's end of it, and the port's name."""
    board, port = pty.openpty()
    tty.setraw(port)
    try:
        yield board, os.ttyname(port)
    finally:
        for end in (board, port):
            try:
                os.close(end)
            except OSError as problem:
                assert problem.errno == errno.EBADF  # the test has closed it


def refused(port: str) -> str:
    with pytest.raises(PortError) as problem:
        board_port.open_port(port)
    text = str(problem.value)
    assert text.startswith(f"{port}: ") and "\n" not in text
    return text.removeprefix(f"{port}: ")


def test_a_port_is_for_one_program_alone() -> None:
    with line() as (board, port):
        transport = board_port.open_port(port)
        assert refused(port).startswith("busy: close the other program that uses it")
        os.write(board, b"hello")
        assert transport.serial.read(5) == b"hello"
        board_port.close_port(transport)
        board_port.close_port(board_port.open_port(port))


def test_a_socket_is_for_one_program_alone_too() -> None:
    """The second is told so when it opens the port, and the first is not disturbed."""
    with emulated() as (_, port):
        transport = board_port.open_port(port.url)
        transport.serial.write(b"1")
        assert transport.serial.read(1) == b"1"
        assert refused(port.url).startswith("busy: close the other program that uses it")
        with pytest.raises(PortError, match="busy: close the other program"):
            BoardConsole(port.url, 5)
        transport.serial.write(b"2")
        assert transport.serial.read(1) == b"2"
        board_port.close_port(transport)
        transport = board_port.open_port(port.url)
        transport.serial.write(b"3")
        assert transport.serial.read(1) == b"3"
        board_port.close_port(transport)


def test_what_a_socket_says_at_once_is_not_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"

        def speak() -> None:
            client, _ = server.accept()
            with client:
                threading.Event().wait(0.1)  # pyserial throws away what comes while it opens
                client.sendall(b"hello")
                client.recv(1)

        threading.Thread(target=speak, daemon=True).start()
        transport = board_port.open_port(port)
        assert transport.serial.read(5) == b"hello"
        board_port.close_port(transport)


def test_a_port_that_is_not_there(ports: list[Any]) -> None:
    assert refused("/dev/ttyNONE") == "there is no such port; boards are at: none"
    ports += [plugged("/dev/ttyACM1"), plugged("/dev/ttyACM0")]
    assert refused("/dev/ttyNONE").endswith("boards are at: /dev/ttyACM0, /dev/ttyACM1")


def test_a_port_that_is_not_there_on_windows(
    ports: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_port, "os", SimpleNamespace(name="nt"))
    ports += [plugged("COM1", vid=None), plugged("COM12", "E66")]
    for port in ("COM3", "COM", r"\\.\COM3", "/dev/ttyACM0"):
        told = board_port._why_not(port)
        assert told == f"{port}: there is no such port; boards are at: COM12"
    for port in ("COM1", "com12", r"\\.\COM12"):
        assert board_port._why_not(port).startswith(f"{port}: busy: close the other program")


def test_what_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in ("/dev/null", str(tmp_path / "file"), str(tmp_path)):
        assert refused(path).startswith("no serial port; boards are at /dev/ttyACM0")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open anything")
def test_a_port_that_may_not_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.write_text("x")
    path.chmod(stat.S_IWUSR)
    assert refused(str(path)).startswith("no permission; on Linux: sudo usermod -aG dialout")


def test_the_permission_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for anybody but root."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert refused("/dev/null").startswith("no permission; on Linux: sudo usermod")


def test_urls() -> None:
    assert "protocol 'foo' not known" in refused("foo://somewhere")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        board_port.close_port(board_port.open_port(port))
    assert refused(port).startswith("nothing answers there")
    assert refused("socket://no.such.host.invalid:1").startswith("nothing answers there")
    assert refused("socket://127.0.0.1")
    assert refused("hwgrep://no such board").startswith("nothing answers there")
    assert "unterminated subpattern" in refused("hwgrep://(")


# ---- lost


RAW = b"raw REPL; CTRL-B to exit\r\n>"


def serve(board: int, answers: list[tuple[bytes, bytes]], end: Callable[[], object]) -> None:
    """Answers the first with the second, one after the other; then `end`."""

    def play() -> None:
        heard = b""
        for what, answer in answers:
            while what not in heard:
                heard += os.read(board, 100)
            heard = heard.partition(what)[2]
            os.write(board, answer)
        end()

    threading.Thread(target=play, daemon=True).start()


@pytest.mark.parametrize("is_pty", [True, False])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_prompts_board_that_is_pulled_out(
    monkeypatch: pytest.MonkeyPatch, is_pty: bool, after: int
) -> None:
    """Whatever has come before.  Of a line that is no pseudo-terminal mpremote asks how much there
    is to read, and gets the system's error as it is."""
    monkeypatch.setattr(SerialTransport, "_is_pty_device", staticmethod(lambda device: is_pty))
    with line() as (board, port):
        answers = [(b"\x03", b"\r\n>>> "), (b"\x01", RAW), (b"\x05A\x01", b"R\x01\x20\x00\x01")]
        serve(board, answers[:after], lambda: os.close(board))
        gone = pytest.raises(PortError, match=f"^{port}: the connection is gone")
        with gone, Prompt(port, 2) as prompt:
            prompt.run("print(1)")
        # It is not held.
        assert "busy" not in refused(port)


def test_a_board_that_says_nothing_more() -> None:
    """mpremote by itself would wait for two bytes without end."""
    answers = [(b"\x03", b"\r\n>>> "), (b"\x01", RAW), (b"\x05A\x01", b"R\x01")]
    with line() as (board, port):
        serve(board, answers, lambda: None)
        with pytest.raises(PortError), Prompt(port, 0.5) as prompt:
            prompt.run("print(1)")


def test_a_consoles_board_that_is_pulled_out() -> None:
    for board_end in ("read", "send"):
        with line() as (board, port), BoardConsole(port, 2) as console:
            os.write(board, b'x\n{"safe_mode":true}\n')
            assert console.poll() == SafeMode(True)
            os.close(board)
            with pytest.raises(PortError, match="the connection is gone"):
                if board_end == "read":
                    console.report()
                while True:
                    console.send("version")


# ---- the console


def console_reply(console: BoardConsole) -> str:
    """The next answer's command."""
    while (told := console.poll()) is None:
        pass
    assert isinstance(told, Answer)
    return told.reply


def test_noise_is_dropped_and_counted() -> None:
    with ConsoleServer() as board, BoardConsole(board.url, 1) as console:
        board.wait_client()
        # The first may be the end of a line.
        board.say(b'"watts":5}\r\n')
        board.say(b"\xff\xfe\r\n[1]\r\n5\r\nnull\r\n\r\n" + b"[" * 100_000 + b"\r\n")
        board.say(b'{"reply":"a"}\n{"reply"')
        board.say(b':"b"}\r\n')
        assert [console_reply(console) for _ in range(2)] == ["a", "b"] and console.noise == 5
        # Without end: not kept.
        for _ in range(40):
            board.say(b"x" * 4096)
            console.poll()
        board.say(b'\n{"reply":"c"}\n')
        assert console_reply(console) == "c" and console.noise >= 6


class Late(Struct):
    late: int


def test_answers_are_told_from_each_other() -> None:
    with ConsoleServer(StandIn(sealed=True)) as board, BoardConsole(board.url, 2) as console:
        board.wait_client()
        # What somebody may have typed there is ended first.
        assert console.ask("version", dict[str, str])["version"] == "1.2.3"
        board.say(telemetry()[0])
        assert console.ask("seal", Seal) == Seal(True)
        with pytest.raises(Refused, match=r"^sealed: connect"):
            console.ask("preset delivered 5", Seal)
        # In the first 40 of its bytes, in which quotes may be escaped.
        for unknown in ("sea", "sealed", "sea " + "x" * 60, 'sea "it\'s" ' + "x" * 60):
            with pytest.raises(Refused, match="unknown; see help"):
                console.ask(unknown, Seal)
        board.say('{"reply":"version"}')
        board.say('{"reply":"seal","late":1}')
        assert console.reply("seal x", Late).late == 1
        with pytest.raises(PortError, match="no answer to 'registers' within 2 s"):
            console.reply("registers", Seal)
        assert board.crashes == []


def test_an_error_of_another_line_is_not_the_commands() -> None:
    with ConsoleServer(StandIn(sealed=True)) as board, BoardConsole(board.url, 2) as console:
        board.wait_client()
        for typed in (b"sea", b"preset delivered 5", b"calibration x"):
            # What somebody has left there is ended, answered, and no answer to this.
            console._serial.write(typed)
            assert console.ask("seal", Seal).sealed
        board.say('{"reply":5,"error":"of something else"}')
        assert console.ask("seal", Seal).sealed
        # One without a name is about the last line.
        board.say('{"reply":"","error":"lines refused; wait for each answer"}')
        with pytest.raises(Refused, match="lines refused"):
            console.reply("seal", Seal)


def test_reports_and_what_comes_in_their_place() -> None:
    with ConsoleServer() as board, BoardConsole(board.url, 0.5) as console:
        board.wait_client()
        for text in ('{"reply":"seal"}', '{"t":1}', '{"t":1,"elements":[]}', telemetry()[0]):
            board.say(text)
        assert console.report().t == json.loads(telemetry()[0])["t"]
        with pytest.raises(PortError, match=r"no telemetry within 0\.5 s: is Threewire on"):
            console.report()
        board.say(json.dumps({"safe_mode": True, "restarts_in_a_row": 5}))
        with pytest.raises(PortError, match="in safe mode after crashes"):
            console.report()
        board.say(b"Traceback\r\n>>> ")
        for what in (console.report, lambda: console.ask("seal", Seal)):
            with pytest.raises(PortError, match="at MicroPython's prompt, no meter runs there"):
                what()


# ---- what is typed


@pytest.mark.parametrize(
    ("given", "value"),
    [
        *(("5", 5.0), ("0.25", 0.25), ("1e3", 1000.0)),
        *((bad, None) for bad in ("0", "-1", "nan", "inf", "", "soon", "1,5")),
    ],
)
def test_seconds(given: str, value: float | None, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    board_port.add_arguments(parser, 12.5)
    assert parser.parse_args([]).timeout == 12.5
    if value is not None:
        assert parser.parse_args(["--timeout", given]).timeout == value
        return
    with pytest.raises(SystemExit) as done:
        parser.parse_args([f"--timeout={given}"])
    assert done.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.endswith(
        f"argument --timeout: {given}: expected a number of seconds, finite and more than 0"
    )


def fail(problem: BaseException) -> Callable[[], int]:
    def raise_it() -> int:
        raise problem

    return raise_it


def test_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.reporting()(lambda: 0)() == 0
    assert command.reporting()(fail(PortError("gone")))() == 1
    assert command.reporting()(fail(InputError("wrong")))() == 2
    assert command.reporting()(fail(KeyboardInterrupt()))() == 130
    assert command.reporting(failed=2)(fail(EngineFailed("ended")))() == 2
    assert capsys.readouterr() == ("", "error: gone\nerror: wrong\nstopped\nerror: ended\n")
    with pytest.raises(ZeroDivisionError):
        command.reporting()(fail(ZeroDivisionError()))()


# ---- the emulated board's port


@pytest.mark.parametrize("given", ["99999", "65536", "-1", "4000.0", "", "any", "\u0661"])
def test_a_tcp_port_that_cannot_be_is_refused_at_once(
    given: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("the board was started")

    monkeypatch.setattr(emulate, "EmulatedBoard", fail)
    with pytest.raises(SystemExit) as done:
        emulate.main(["--tcp-port", given])
    assert done.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.endswith(f"--tcp-port: {given}: expected a whole number from 0 to 65535")


class Echo:
    """In an emulated board's place: says what it is sent."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.resets: list[float] = []
        self.flooding = False
        self._said = bytearray()
        self._heard = bytearray()
        self.breaks = self.resets_next = False

    def run(self, seconds: float) -> None:
        threading.Event().wait(1e-4)
        self.seconds += seconds
        self._said += self._heard
        self._heard.clear()
        if self.resets_next:
            self.resets_next = False
            self.resets.append(self.seconds)
        if self.breaks:
            raise RuntimeError("the core stopped")

    def flood(self, data: bytes) -> None:
        self._heard += data

    @property
    def heard(self) -> int:
        return len(self._said)

    def said_since(self, heard: int) -> bytes:
        return bytes(self._said[heard:])


@contextmanager
def emulated() -> Iterator[tuple[Echo, EmulatedPort]]:
    echo: Any = Echo()
    with EmulatedPort(echo) as port:
        yield echo, port


def connected(port: EmulatedPort) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", int(port.url.rpartition(":")[2])), 5)
    return client


def test_what_is_typed_comes_back_whole() -> None:
    with emulated() as (_, port), connected(port) as client:
        data = bytes(range(256)) * 300
        client.sendall(data)
        back = b""
        while len(back) < len(data):
            back += client.recv(4096)
        assert back == data


def test_a_second_client_is_turned_away() -> None:
    with emulated() as (_, port), connected(port) as client:
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        with connected(port) as second:
            assert second.recv(1) == b""
        client.sendall(b"2")
        assert client.recv(1) == b"2"


def test_a_reset_and_an_unplugged_cable_end_the_connection() -> None:
    with emulated() as (echo, port):
        with connected(port) as client:
            client.sendall(b"1")
            assert client.recv(1) == b"1"
            echo.resets_next = True
            assert client.recv(1) == b""
        with connected(port) as client:
            # Not before the host would see the port again.
            client.sendall(b"2")
            assert client.recv(1) == b"2"
            assert echo.seconds >= echo.resets[0] + 0.3
            port.unplug()
            assert client.recv(1) == b""
        with connected(port) as waiting:
            waiting.settimeout(0.1)
            waiting.sendall(b"4")
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            port.plug()
            waiting.settimeout(5)
            assert waiting.recv(1) == b"4"


def test_a_board_that_breaks_is_told() -> None:
    with emulated() as (echo, port), connected(port) as client:
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        echo.breaks = True
        assert client.recv(1) == b""
        with pytest.raises(RuntimeError, match="the core stopped"):
            port.on_board(lambda board: board.seconds)
        assert isinstance(port.failed, RuntimeError)
