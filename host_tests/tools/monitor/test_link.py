"""A connection that comes back, over a real socket, whatever cable, board and others do to it."""

import json
import random
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.telemetry_lines import telemetry
from tools.cable import port as board_port
from tools.common.errors import InputError
from tools.monitor import link as monitor_link
from tools.monitor.link import LIVE, OPEN, PROMPT, SAFE_MODE, WAITING, Link
from tools.monitor.report import Report

LINES = telemetry(seconds=8)
TIMES = [json.loads(text)["t"] for text in LINES]
SAFE = '{"safe_mode":true,"restarts_in_a_row":5}'
BANNER = b"MicroPython v1.26.1\r\nType help() for more information.\r\n>>> "


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_link, "_AGAIN_S", 0.05)
    monkeypatch.setattr(monitor_link, "_PROMPT_AGAIN_S", 0.1)
    monkeypatch.setattr(monitor_link, "_SILENT_S", 0.3)


@pytest.fixture
def server() -> Iterator[ConsoleServer]:
    with ConsoleServer() as made:
        yield made


class Watcher:
    """A link and all that it gave."""

    def __init__(self, port: str | None, timeout: float = 30.0) -> None:
        self.link = Link(port, timeout)
        self.reports: list[Report] = []
        self.states: list[str] = []

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.link.close()

    def until(self, met: Callable[[], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < end, (self.link.standing, len(self.reports))
            report = self.link.step()
            if report is not None:
                self.reports.append(report)
            if not self.states or self.states[-1] != self.link.standing.state:
                self.states.append(self.link.standing.state)

    @property
    def times(self) -> list[float]:
        return [report.t for report in self.reports]

    def until_reports(self, count: int) -> None:
        self.until(lambda: len(self.reports) >= count)

    def until_state(self, state: str) -> None:
        self.until(lambda: self.link.standing.state == state)

    def connect(self, server: ConsoleServer, count: int = 1) -> None:
        self.until(lambda: server.connected >= count and server.say(""))


def test_reports_come_in_order(server: ConsoleServer) -> None:
    with Watcher(server.url) as watcher:
        watcher.connect(server)
        assert watcher.link.standing.state == OPEN and watcher.link.standing.age_s is None
        for text in LINES[:4]:
            server.say(text)
        watcher.until_reports(4)
        standing = watcher.link.standing
        assert watcher.times == TIMES[:4] and watcher.states == [OPEN, LIVE]
        assert (standing.state, standing.why, standing.noise) == (LIVE, "", 0)
        assert standing.age_s is not None and 0 <= standing.age_s < 1
        time.sleep(0.2)
        assert 0.2 <= watcher.link.standing.age_s < 1.5  # pyright: ignore[reportOperatorIssue]


def test_garbage_is_dropped_and_counted(server: ConsoleServer) -> None:
    random.seed(3)
    binary = bytes(random.randrange(256) for _ in range(300)).replace(b"\n", b"") + b"\n"
    half = LINES[1][: len(LINES[1]) // 2].encode() + b"\r\n"
    broken = LINES[1].replace('"volts":', '"volts":NaN,"v":', 1)
    noise = [
        binary,
        half,
        b"[1,2]\n",
        b'{"t":1}\n',
        b'{"t":1,"elements":5}\n',
        b"\xff\xfe\x00\n",
        b"Traceback (most recent call last):\r\n",
        broken.encode() + b"\n",
        (LINES[1][:300] + LINES[1]).encode() + b"\n",
        b"[" * 100_000 + b"\n",
    ]
    with Watcher(server.url) as watcher:
        watcher.connect(server)
        server.say(LINES[0])
        for k, data in enumerate(noise):
            server.say(data)
            if k % 3 == 0:
                server.say(b"\r\n")  # is nothing, not even noise
                server.say('{"reply":"help","error":"left from somebody"}')
        server.say(LINES[2])
        watcher.until_reports(2)
        assert watcher.times == [TIMES[0], TIMES[2]]
        assert watcher.link.standing.noise == len(noise)
        assert watcher.link.standing.state == LIVE


def test_lines_in_any_pieces(server: ConsoleServer) -> None:
    random.seed(4)
    data = "\r\n".join(LINES[:3]).encode() + b"\r\n"
    with Watcher(server.url) as watcher:
        watcher.connect(server)
        while data:
            size = random.randrange(1, 400)
            server.say(data[:size])
            data = data[size:]
            time.sleep(0.002)
        watcher.until_reports(3)
        assert watcher.times == TIMES[:3] and watcher.link.standing.noise == 0


def test_what_comes_first_may_be_the_end_of_a_line(server: ConsoleServer) -> None:
    with Watcher(server.url) as watcher:
        watcher.until(lambda: server.connected)
        server.say(LINES[0][500:])
        server.say(LINES[1])
        watcher.until_reports(1)
        assert watcher.times == [TIMES[1]] and watcher.link.standing.noise == 0


def test_a_dropped_connection_comes_back(server: ConsoleServer) -> None:
    with Watcher(server.url) as watcher:
        for k in range(3):
            watcher.connect(server, k + 1)
            server.say(LINES[k])
            watcher.until_reports(k + 1)
            # In the middle of a line, of which nothing is left afterwards.
            server.say(LINES[7][:200].encode())
            server.drop()
            watcher.until_state(WAITING)
            assert "the connection is gone" in watcher.link.standing.why
        watcher.connect(server, 4)
        server.say(LINES[3])
        watcher.until_reports(4)
        assert watcher.times == TIMES[:4]
        standing = watcher.link.standing
        assert (standing.reconnections, standing.restarts, standing.noise) == (3, 0, 0)


def test_unplugged_and_plugged_in(server: ConsoleServer) -> None:
    with Watcher(server.url) as watcher:
        watcher.connect(server)
        server.say(LINES[0])
        watcher.until_reports(1)
        server.unplug()
        watcher.until(lambda: "nothing answers there" in watcher.link.standing.why)
        assert watcher.link.standing.state == WAITING and server.url in watcher.link.standing.why
        server.plug()
        watcher.connect(server, 2)
        server.say(LINES[5])
        watcher.until_reports(2)
        assert watcher.times == [TIMES[0], TIMES[5]]
        assert watcher.link.standing.state == LIVE and watcher.link.standing.why == ""


def test_a_restart_is_noticed(server: ConsoleServer) -> None:
    with Watcher(server.url) as watcher:
        watcher.connect(server)
        for text in LINES[:5]:
            server.say(text)
        watcher.until_reports(5)
        server.drop()
        watcher.connect(server, 2)
        for text in LINES[:3]:
            server.say(text)
        watcher.until_reports(8)
        assert watcher.times == TIMES[:5] + TIMES[:3]
        assert watcher.link.standing.restarts == 1 and watcher.link.standing.reconnections == 1


def test_a_board_at_the_prompt(server: ConsoleServer) -> None:
    """It says nothing by itself: it is asked by line ends, and its port is free in between."""
    server.at_prompt = True
    with Watcher(server.url) as watcher:
        watcher.until_state(PROMPT)
        why = watcher.link.standing.why
        assert "MicroPython's prompt" in why and "make flash" in why and "Ctrl-D" in why
        watcher.until(lambda: server.connected >= 4)
        assert watcher.states == [OPEN, PROMPT]
        assert bytes(server.heard).strip() == b""
        assert watcher.link.standing.noise <= 1
        noise = watcher.link.standing.noise
        watcher.until(lambda: server.connected >= 7)
        assert watcher.link.standing.noise == noise
        server.at_prompt = False
        watcher.connect(server, server.connected)
        watcher.until(lambda: watcher.link.standing.state == LIVE or not server.say(LINES[0]))
        watcher.until(lambda: server.say(LINES[0]) and watcher.link.standing.state == LIVE)
        assert watcher.link.standing.why == ""


def test_metering_that_ends_at_the_prompt(server: ConsoleServer) -> None:
    with Watcher(server.url) as watcher:
        watcher.connect(server)
        server.say(LINES[0])
        server.say(b"\r\n>>> ")
        watcher.until_state(PROMPT)
        assert watcher.times == TIMES[:1]


def test_safe_mode(server: ConsoleServer) -> None:
    with Watcher(server.url) as watcher:
        watcher.connect(server)
        server.say(LINES[0])
        watcher.until_reports(1)
        server.say(SAFE)
        server.at_prompt = True
        server.say(BANNER)
        watcher.until_state(SAFE_MODE)
        # The prompt that follows does not hide it.
        watcher.until(lambda: server.connected >= 4)
        assert watcher.states[watcher.states.index(SAFE_MODE) :] == [SAFE_MODE]
        assert "turn it off and on again" in watcher.link.standing.why
        assert "traceback" in watcher.link.standing.why
        server.at_prompt = False
        watcher.until(lambda: server.say(LINES[0]) and watcher.link.standing.state == LIVE)


def test_a_silent_board_is_given_up_and_tried_again(server: ConsoleServer) -> None:
    with Watcher(server.url, timeout=0.5) as watcher:
        watcher.until(lambda: "no telemetry within 0.5 s" in watcher.link.standing.why)
        assert watcher.link.standing.state == WAITING
        watcher.connect(server, 2)
        server.say(LINES[0])
        watcher.until_reports(1)
        # One that has been heard is not talked to.
        server.heard.clear()
        watcher.until_state(WAITING)
        assert server.heard == b""


def test_a_busy_port_is_tried_again(server: ConsoleServer) -> None:
    with Watcher(server.url) as first, Watcher(server.url) as second:
        first.connect(server)
        second.until(lambda: "busy: close the other program" in second.link.standing.why)
        first.link.close()
        second.connect(server, 2)
        server.say(LINES[0])
        second.until_reports(1)


# ---- where the board is


def plugged(*ports: tuple[str, str]) -> list[Any]:
    return [
        SimpleNamespace(device=device, serial_number=number, vid=0x2E8A, description="Board")
        for device, number in ports
    ]


def test_a_board_that_comes_back_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[Any] = []
    monkeypatch.setattr(board_port.list_ports, "comports", lambda: there)
    with ConsoleServer() as one, ConsoleServer() as two, Watcher(None) as watcher:
        assert watcher.link.standing.state == WAITING
        assert watcher.link.standing.why.startswith("no board found: connect one by USB")
        assert watcher.link.step() is None and watcher.link.standing.port == ""
        there += plugged((one.url, "E66"))
        watcher.connect(one)
        one.say(LINES[0])
        watcher.until_reports(1)
        assert watcher.link.standing.port == one.url
        there[:] = plugged(("/dev/ttyOTHER", "E77"), (two.url, "E66"))
        one.unplug()
        watcher.connect(two)
        two.say(LINES[1])
        watcher.until_reports(2)
        assert watcher.link.standing.port == two.url and watcher.times == TIMES[:2]


def test_several_boards_are_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    there = plugged(("/dev/ttyACM0", "1"), ("/dev/ttyACM1", "2"))
    monkeypatch.setattr(board_port.list_ports, "comports", lambda: there)
    with pytest.raises(InputError, match=r"2 boards found.*ttyACM0.*ttyACM1"):
        Link(None, 15.0)


def test_several_that_come_later_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[Any] = []
    monkeypatch.setattr(board_port.list_ports, "comports", lambda: there)
    with Watcher(None) as watcher:
        there += plugged(("/dev/ttyACM0", "1"), ("/dev/ttyACM1", "2"))
        watcher.until(lambda: "2 boards found" in watcher.link.standing.why)
        assert watcher.link.standing.state == WAITING


def test_a_port_that_is_only_described_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda *_: [])
    with Watcher("hwgrep://zzz") as watcher:
        watcher.until(lambda: "nothing answers there" in watcher.link.standing.why)
        assert watcher.link.standing.state == WAITING


@pytest.mark.parametrize(
    "port",
    [
        "nonsense://x",
        "hwgrep://(",
        "hwgrep://x&y",
        "socket://127.0.0.1",
        "socket://:4000",
        "socket://h:99999",
        "/dev/null/x/..",
    ]
    + ["/tmp", __file__],
)
def test_a_port_that_can_be_none(port: str) -> None:
    if port == "/dev/null/x/..":
        Link(port, 15.0).close()  # is not there, and may be one day
        return
    with pytest.raises(InputError) as caught:
        Link(port, 15.0)
    assert str(caught.value).startswith(f"{port}: is no ") and "/dev/ttyACM0" in str(caught.value)
