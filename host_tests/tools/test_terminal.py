"""Nothing that is shown moves a terminal's cursor, turns its text round or feigns a line, whoever
wrote it: a board, a file's name, an argument."""

import io
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from host_tests.rigs.console_server import ConsoleServer
from tools.calibrate import cli as calibrate
from tools.capture import cli as capture
from tools.common import command
from tools.common.errors import InputError, PortError, Refused
from tools.common.terminal import Cleaned, clean, cleaned, raw
from tools.linearity import cli as linearity
from tools.monitor import cli as monitor
from tools.monitor.link import LIVE, Standing
from tools.monitor.screen import Plain
from tools.replay import cli as replay
from tools.solve import cli as solve

# What the Unicode database calls control, format, surrogate, or a separator of lines.
HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
EVIL = "a\x1b]0;x\x07\x9b2J\u202eb\r\n\u2028"


def harmful(text: str, kept: str = "\n") -> list[str]:
    return [c for c in text if unicodedata.category(c) in HARMFUL and c not in kept]


def test_every_harmful_character_is_escaped_and_letters_stay() -> None:
    for code in range(sys.maxunicode + 1):
        c = chr(code)
        shown = clean(c)
        assert not harmful(shown, ""), hex(code)
        if unicodedata.category(c)[0] in "LNPS":
            assert shown == c, hex(code)
    assert clean(EVIL) == r"a\x1b]0;x\x07\x9b2J\u202eb\r\n\u2028"
    assert clean("a\nb\tc\x1b", "\n") == "a\nb\\tc\\x1b"
    # What is left of a name that is no UTF-8.
    assert clean(b"\xff.npz".decode(errors="surrogateescape")) == r"\udcff.npz"


def test_errors_are_one_line() -> None:
    for kind in (InputError, PortError, Refused):
        assert str(kind(EVIL)) == clean(EVIL)


def test_streams_are_cleaned_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with cleaned():
        print(EVIL)
        sys.stderr.writelines(["one\n", "\x1b[1m\n"])
        with cleaned():
            print("\x1btwice")
        assert isinstance(sys.stdout, Cleaned) and raw(sys.stdout) is before[0]
        assert sys.stdout.encoding == before[0].encoding and not sys.stdout.isatty()
    assert (sys.stdout, sys.stderr) == before and raw(sys.stdout) is sys.stdout
    said, told = capsys.readouterr()
    assert said == "a\\x1b]0;x\\x07\\x9b2J\\u202eb\\r\n\\u2028\n\\x1btwice\n"
    assert told == "one\n\\x1b[1m\n"


def test_a_stream_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with cleaned():
        assert sys.stdout is None


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "replay": replay.main,
    "capture --out": capture.main,
    "monitor --seconds 0.1 --csv": monitor.main,
    "calibrate --restore": calibrate.main,
    "solve": solve.main,
    "linearity": linearity.main,
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_files_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, is_there: bool
) -> None:
    path = tmp_path / "\x1b[2J\u202e\x9b.npz"
    if is_there:
        path.write_bytes(b"PK\x03\x04 no recording")
    _, *option = name.split()
    with ConsoleServer() as board:
        at = ["--port", board.url, "--timeout", "0.2"] if option else []
        status = COMMANDS[name]([*option, str(path), *at])
    said, told = capsys.readouterr()
    assert (status in (1, 2) or name[0] == "m") and not harmful(said + told)
    if not option:
        assert "\\x1b[2J" in told


@pytest.mark.parametrize("name", COMMANDS)
def test_an_argument_that_there_is_not(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """As of a name that a shell has put in the place of a star; those that take many names say
    that there is no such file."""
    try:
        status = COMMANDS[name](["one", "two", "\x1b[31mthree\u202e"])
    except SystemExit as problem:
        status = problem.code
    assert status == 2
    said, told = capsys.readouterr()
    assert not harmful(said + told) and "three" in told


def test_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    for port in ("/dev/tty\x1b[2J", "socket://\x1b[2J:1", "\x1bfoo://x"):
        assert capture.main(["--port", port]) == 1
        said, told = capsys.readouterr()
        assert not harmful(said + told) and "error: " in told


def test_what_a_board_refuses_with(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleServer() as board:

        def answer(data: bytes) -> None:
            if b"capture" in data:
                board.say('{"reply":"capture","error":"\\u001b[2J\\u009b\\n\\u202eno"}')

        board.on_heard = answer
        assert capture.main(["--port", board.url, "--timeout", "5"]) == 2
    said, told = capsys.readouterr()
    assert said == "" and not harmful(told) and told.count("\n") == 1
    assert "the board refuses: \\x1b[2J\\x9b\\n\\u202eno" in told


def test_the_monitors_lines(capsys: pytest.CaptureFixture[str]) -> None:
    standing = Standing(LIVE, "/dev/\x1b[2J", "\x1b\nwhy\u202e", 0.0, 0, 0, 0)
    with Plain() as plain:
        plain.show(None, False, standing, [])
    told = capsys.readouterr().err
    assert not harmful(told) and "why" in told


def test_progress_is_drawn_where_there_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich's own control characters are meant."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")

    @command.reporting()
    def main() -> int:
        progress = command.Progress("working", 10, "s")
        progress.at(5)
        progress.done()
        command.say("\x1bdone")
        return 0

    assert main() == 0
    assert "\x1b[" in screen.getvalue() and screen.getvalue().endswith("\\x1bdone\n")
