"""The console from the operator's side: piped, in a terminal, over what a board does meanwhile;
then with the firmware on the emulated board."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.screen import Screen
from host_tests.rigs.started_board import PowerOn, StartedBoards
from host_tests.rigs.telemetry_lines import telemetry
from tools.common.boards import ROOT
from tools.console import cli
from tools.console.lines import Lines
from tools.console.pretty import pretty
from tools.emulate import cli as emulate
from tools.emulate.port import EmulatedPort
from tools.reliability.hostile_input import StandIn

posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")
LINE = telemetry()[0]


class Board(ConsoleServer):
    """Says a line of telemetry whenever something comes, and again and again: what it says while
    its port is being opened is thrown away there."""

    def __init__(self) -> None:
        self.operator = StandIn()
        self._next = 0.0
        super().__init__(self.operator)
        self.on_heard = lambda data: self.say(LINE)

    def accept(self) -> None:
        super().accept()
        if time.monotonic() > self._next and self.say(LINE):
            self._next = time.monotonic() + 0.2


@pytest.fixture
def board() -> Iterator[Board]:
    with Board() as made:
        yield made


def batch(monkeypatch: pytest.MonkeyPatch, typed: bytes, *options: str) -> int:
    """The exit status of the command with this on its stdin."""
    read, write = os.pipe()

    def feed() -> None:
        # It may have ended before.
        with contextlib.suppress(BrokenPipeError), open(write, "wb") as file:
            file.write(typed)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with open(read) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        try:
            return cli.main([*options])
        finally:
            os.set_blocking(read, False)
            with contextlib.suppress(OSError):
                while os.read(read, 1 << 16):
                    pass
            feeder.join(5)


def typed_at(board: Board) -> list[str]:
    """The lines that the board has got."""
    return [line for line in board.heard.decode().splitlines() if line]


# ---- piped


def test_a_batch_is_answered_line_by_line(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board.operator.done.clear()
    given = b"version\r\n\n  seal\t\npreset delivered 5000\nlock\nexit\nunlock\n"
    assert batch(monkeypatch, given, "--port", board.url) == 0
    said, told = capsys.readouterr()
    # As the board wrote them, and nothing else: a line each.
    answers = [json.loads(line) for line in said.splitlines()]
    assert [answer["reply"] for answer in answers] == ["version", "seal", "preset", "lock"]
    assert answers[2] == {"reply": "preset", "register": "delivered", "wh": 5000}
    assert told == ""
    # Each as it was given, in its order; telemetry is off in between and on again at the end.
    assert typed_at(board) == [
        *("version", "quiet 600", "version", "seal"),
        *("preset delivered 5000", "lock", "quiet 0"),
    ]
    assert board.operator.done[-1] == ("quiet", 0)


def test_what_is_refused_is_told_and_the_rest_is_done(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board.operator.sealed = True
    given = b"nonsense\nseal\npreset delivered 5000"
    assert batch(monkeypatch, given, "--port", board.url) == 1
    said, told = capsys.readouterr()
    assert [json.loads(line)["reply"] for line in said.splitlines()] == ["seal"]
    assert told.splitlines() == [
        "refused: line 1: nonsense: unknown; see help",
        "refused: line 3: preset: sealed: connect the board's seal pin to ground and restart",
    ]


def test_nothing_that_is_typed_stops_the_meter(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Ctrl-C in a file would be the prompt's, were it sent; nor is what is no line of text, or
    what would flood the terminal."""
    given = [b"\x03", b"version\x03", b"\x1b[A", b"\xff", "caf\u200e".encode(), b"x" * 1101]
    given += [b"x" * 300_000, b"capture 2"]
    assert batch(monkeypatch, b"\n".join([*given, b"seal"]), "--port", board.url) == 1
    said, told = capsys.readouterr()
    assert [json.loads(line)["reply"] for line in said.splitlines()] == ["seal"]
    reasons = ["not sent: it has what is no printable text"] * 5
    reasons += ["more than 1100 bytes in a line"] * 2
    for line, reason in zip(told.splitlines(), reasons):
        assert line.startswith("refused: line ") and reason in line
    assert "keeps the codes that follow" in told.splitlines()[-1]
    assert len(told.splitlines()) == len(given)
    assert typed_at(board) == ["version", "quiet 600", "seal", "quiet 0"]
    assert not board.at_prompt


def test_a_line_of_1100_bytes_is_one(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(monkeypatch, b"y" * 1100 + b"\n", "--port", board.url) == 1
    assert "unknown; see help" in capsys.readouterr().err


def test_after_a_restart_it_goes_on(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(monkeypatch, b"restart\nseal\n", "--port", board.url) == 0
    said, told = capsys.readouterr()
    assert [json.loads(line)["reply"] for line in said.splitlines()] == ["restart", "seal"]
    assert told == "the board meters again\n"
    assert board.connected == 2
    assert typed_at(board)[2:] == ["restart", "quiet 600", "seal", "quiet 0"]


def test_a_demonstration_outlives_it(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is typed ends one: at the end nothing is."""
    assert batch(monkeypatch, b"seal\ndemo\n", "--port", board.url) == 0
    assert typed_at(board) == ["version", "quiet 600", "seal", "quiet 0", "demo"]
    replies = [json.loads(line)["reply"] for line in capsys.readouterr().out.splitlines()]
    assert replies == ["seal", "demo"]


def test_an_answer_that_is_no_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(data: bytes) -> None:
        for line in filter(None, data.split(b"\n")):
            name = line.split()[0]
            about = b'version","version":"1","board":"b","id":"0'
            told = about if name == b"version" else name + b'","x":"\xed\xa0\x80\xff\xc2\x9b'
            board.say(b'{"reply":"' + told + b'"}\r\n')

    with ConsoleServer() as board:
        board.on_heard = answer
        assert batch(monkeypatch, b"seal\n", "--port", board.url) == 0
    said, _ = capsys.readouterr()
    assert said == '{"reply":"seal","x":"' + 4 * "\ufffd" + '\\x9b"}\n'
    assert pretty(b'{"reply":"seal","x":"\xff"}', 80) == '{"x": "\\ufffd"}'


def test_quiet_that_is_not_answered_in_time_is_taken_back(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have been heard all the same."""
    answer = board._answer

    def version_only(data: bytes) -> None:
        if b"quiet" not in data:
            answer(data)

    board._answer = version_only
    assert batch(monkeypatch, b"seal\n", "--port", board.url, "--timeout", "0.5") == 1
    assert "no answer to 'quiet'" in capsys.readouterr().err
    assert typed_at(board) == ["version", "quiet 600", "quiet 0"]


class Earlier(StandIn):
    """Firmware that knows no `quiet`."""

    def quiet(self, seconds: int) -> None:
        raise ValueError("unknown; see help")


def test_earlier_firmware_is_not_asked_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ConsoleServer(Earlier()) as board:
        assert batch(monkeypatch, b"seal\n", "--port", board.url) == 0
        assert board.heard.count(b"quiet") == 1
    assert [json.loads(line)["reply"] for line in capsys.readouterr().out.splitlines()] == ["seal"]


def test_what_ends_it(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--port", board.url, "--timeout", "0.5"]
    board.at_prompt = True
    assert batch(monkeypatch, b"seal\n", *options) == 1
    assert "the board is at MicroPython's prompt" in capsys.readouterr().err
    board.at_prompt = False
    # Safe mode, while nobody types.
    told_later = threading.Timer(1.0, board.say, ['{"safe_mode":true}'])
    told_later.start()
    with open(os.devnull) as null, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", null)
        patch.setattr(Lines, "take", lambda self: None)
        assert cli.main(options) == 1
    told = capsys.readouterr().err
    assert "the board is in safe mode" in told and told.count("\n") == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("seal"))
    assert cli.main(options) == 2
    assert "stdin is closed" in capsys.readouterr().err
    with ConsoleServer() as silent:
        assert batch(monkeypatch, b"", "--port", silent.url, "--timeout", "0.3") == 1
    assert "no answer to 'version' within 0.3 s" in capsys.readouterr().err


# ---- in a terminal


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tools.console", *arguments]


@posix
@pytest.mark.parametrize("end", ["exit\n", "quit\n", "\x04", "\x03"])
def test_in_a_terminal(board: Board, end: str) -> None:
    board.operator.sealed = True
    screen = Screen(60, 24, command("--port", board.url))
    try:
        first = screen.read_until("\n> ")
        assert "Threewire 1.2.3" in first and "the meter goes on" in first
        board.say(LINE)
        screen.type("regis\x15seal\n")  # Ctrl-U takes the line back
        shown = screen.read_until('{"sealed": true, "locked": false}')
        # What is typed is seen, and telemetry is not.
        assert "seal" in shown and '"t":' not in first + shown
        screen.type("lock\n")
        screen.read_until("refused: lock: sealed: connect the board's seal pin to ground")
        screen.read_until("> ")
        screen.type("registers\n")
        shown = screen.read_until("> ")
        # What does not fit on a line is on several.
        assert '\n  "elements": [' in shown.replace("\r", "")
        assert max(map(len, shown.splitlines())) < 100
        screen.type(end)
        board.wait(lambda: b"quiet 0" in board.heard, 10)
        assert screen.process.wait(10) == (130 if end == "\x03" else 0)
        assert screen.modes == screen.before
        assert b"\x03" not in board.heard and not board.at_prompt
    finally:
        screen.close()


@posix
@pytest.mark.skipif(not shutil.which("make"), reason="there is no make on PATH")
def test_by_make(board: Board) -> None:
    make = ["make", "--old-file=.venv/ready-board", f"PY={sys.executable}", "console"]
    screen = Screen(80, 24, [*make, f"PORT={board.url}"])
    try:
        screen.read_until("\n> ")
        screen.type("\x03")
        assert screen.process.wait(10) != 2
        assert "***" not in screen.read_last()
    finally:
        screen.close()
    done = subprocess.run(
        [*make, f"PORT={board.url}"], cwd=ROOT, input="nonsense\n", capture_output=True, text=True
    )
    assert done.returncode == 2 and "refused: line 1: nonsense: unknown" in done.stderr


# ---- how it is shown


@pytest.mark.parametrize(
    ("line", "width", "shown"),
    [
        ('{"reply":"seal","sealed":true}', 80, '{"sealed": true}'),
        # Numbers as they are written; what is no number of JSON too.
        ('{"reply":"x","a":1.50,"b":-0,"c":12345678901234567890}', 80, None),
        (
            '{"reply":"x","a":[1,2,{"b":"c, \\"d"}],"e":{}}',
            80,
            '{"a": [1, 2, {"b": "c, \\"d"}], "e": {}}',
        ),
        (
            '{"reply":"x","first":[1,2,3],"second":{"a":"bcdefgh","i":[]}}',
            24,
            '{\n  "first": [1, 2, 3],\n  "second": {\n    "a": "bcdefgh",\n    "i": []\n  }\n}',
        ),
        ('{"reply":"x","a":[]}', 2, '{\n  "a": []\n}'),
        # What is no such object is shown as it came.
        ('{"a":1}', 80, '{"a":1}'),
        ("[" * 3000, 80, "[" * 3000),
    ],
)
def test_an_answer(line: str, width: int, shown: str | None) -> None:
    if shown is None:
        shown = '{"a": 1.50, "b": -0, "c": 12345678901234567890}'
    assert pretty(line.encode(), width) == shown


@pytest.mark.parametrize("width", [1, 20, 40, 80, 200])
def test_however_it_is_cut_it_is_the_same_json(width: int) -> None:
    found = json.loads(LINE)
    shown = pretty(json.dumps({"reply": "readings", **found}).encode(), width)
    assert json.loads(shown) == found
    # A line is longer only where there is nothing to cut: a key and a value of one piece.
    for row in shown.splitlines() if width >= 40 else ():
        assert len(row) <= width or not any(mark in row.strip()[:-1] for mark in ("[", "{", '",'))


# ---- the emulated board


@pytest.fixture(scope="module")
def power_on(started_boards: StartedBoards) -> PowerOn:
    return started_boards.flashed()


@pytest.mark.rp2040
def test_the_firmware_answers_and_is_quiet(
    power_on: PowerOn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with power_on(emulate.house("feather_rp2040")) as board, EmulatedPort(board) as port:

        def lines(seconds: float) -> int:
            """Of telemetry, in the next seconds."""

            def run(board: Any) -> int:
                have = len(board.reports)
                board.run(seconds)
                return sum("t" in report for _, report in board.reports[have:])

            return port.on_board(run)

        options = ["--port", port.url, "--timeout", "300"]
        assert batch(monkeypatch, b"seal\nquiet 601\nquiet 600\n", *options) == 1
        said, told = capsys.readouterr()
        answers = [json.loads(line) for line in said.splitlines()]
        assert answers == [
            {"reply": "seal", "sealed": True, "locked": False},
            {"reply": "quiet", "seconds": 600},
        ]
        assert told == "refused: line 2: quiet: SECONDS must be whole, 0 to 600\n"
        # The end of it has been the end of the silence.
        assert lines(2.5) >= 2
        port.on_board(lambda board: board.flood(b"\nquiet 600\n"))
        lines(1.0)
        assert lines(3.0) == 0
