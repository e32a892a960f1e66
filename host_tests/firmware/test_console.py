"""The console against a model of it that goes by the byte, and against whatever bytes there are.

The model here and the console share no code: it says which lines are answered, in which order, and
which are refused.
"""

import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from tools import image
from tools.common.boards import ROOT
from tools.reliability import hostile_input as fuzz_console
from tools.reliability.hostile_input import Terminal

LONGEST = 1100
WRAP = 1 << 30  # of ticks_ms

quick = settings(derandomize=True, deadline=None, max_examples=150)
long = settings(derandomize=True, deadline=None, max_examples=3000)


def echo(text: str) -> Iterator[str]:
    """Answers with the line."""
    yield '{"reply":' + json.dumps(text)
    yield "}\n"


def replies(terminal: Terminal) -> list[str]:
    assert all("error" not in answer for answer in terminal.answers)
    return [answer["reply"] for answer in terminal.answers]


def type_all(data: bytes, size: int = LONGEST * 2) -> Terminal:
    """A terminal after these bytes, `size` at a time, each answered before the next."""
    terminal = Terminal(echo)
    for at in range(0, len(data), size):
        terminal.send(data[at : at + size])
    return terminal


# ---- lines


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r\n\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_every_line_end_ends_one_line(end: bytes, size: int) -> None:
    terminal = type_all(end + b"one" + end + b"two" + end + end, size)
    assert replies(terminal) == ["one", "two"]


def test_a_line_is_answered_when_it_has_ended() -> None:
    terminal = type_all(b"version")
    assert terminal.text == ""
    terminal.send(b"\n")
    assert replies(terminal) == ["version"]


@pytest.mark.parametrize("line", [b" ", b"\t", b" \t ", b"a\b", b"\b\b", b"\x7f", b"\xc3\xa9\x7f"])
def test_a_line_with_nothing_in_it_is_passed_over(line: bytes) -> None:
    assert replies(type_all(line + b"\r\nok\n")) == ["ok"]


def test_blanks_before_a_line_and_tabs() -> None:
    assert replies(type_all(b" \t preset\tdelivered 5 \n")) == ["preset delivered 5 "]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (b"versx\bion", "version"),
        (b"versx\x7fion", "version"),
        (b"\b\bversion", "version"),
        (b"xyz\b\b\b\b\bversion", "version"),
        (b" x\b version", "version"),
        ("é€😀".encode() + b"\b\b" + b"!", "é!"),
        ("é€😀".encode() + b"\x7f", "é€"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 64])
def test_backspace_edits(typed: bytes, line: str, size: int) -> None:
    assert replies(type_all(typed + b"\n", size)) == [line]


KEYS = st.lists(st.sampled_from(["a", "é", "€", "😀", "\b", "\x7f", " ", "x y"]), max_size=30)


@quick
@given(KEYS, st.integers(1, 9))
def test_backspace_takes_back_a_character(keys: list[str], size: int) -> None:
    line: list[str] = []
    for key in "".join(keys):
        if key in "\b\x7f":
            del line[-1:]
        elif line or key != " ":
            line.append(key)
    terminal = type_all("".join([*keys, "\n"]).encode(), size)
    assert replies(terminal) == (["".join(line)] if line else [])


def errors(terminal: Terminal) -> list[str]:
    assert all(answer["reply"] == "" for answer in terminal.answers)
    return [answer["error"] for answer in terminal.answers]


@pytest.mark.parametrize("size", [1, 7, 64, 5000])
def test_the_longest_line_and_one_byte_more(size: int) -> None:
    longest = b"x" * LONGEST
    assert replies(type_all(longest + b"\n", size)) == [longest.decode()]
    terminal = type_all(longest + b"y\n" + b"z" * 70_000 + b"\r\n", size)
    assert errors(terminal) == ["more than 1100 bytes in a line"] * 2
    terminal.send(b"ok\n")
    assert terminal.answers[-1] == {"reply": "ok"}


def test_what_was_deleted_does_not_make_a_line_too_long() -> None:
    terminal = type_all((b"x" * 800 + b"\b" * 800) * 3 + b"ok\n", 64)
    assert replies(terminal) == ["ok"]


GARBAGE = [bytes([code]) + b"help" for code in range(32) if code not in b"\b\t\n\r"] + [
    b"\x80help",
    b"\xff\xfe",
    b"help\xc3",
    b"\xc3(",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\x1b[A",
    bytes(range(128, 256)) * 5,
    b"\x00" * LONGEST,
]


@pytest.mark.parametrize("line", GARBAGE)
def test_garbage_is_answered_without_being_shown(line: bytes) -> None:
    terminal = type_all(b" " + line + b"\nok\n", 30)
    error = terminal.answers[0]["error"]
    assert terminal.answers[0]["reply"] == "" and error.startswith("no text: ")
    shown = error.removeprefix("no text: ")
    assert len(shown) <= 40 and shown.isascii() and shown.isprintable()
    assert terminal.text.isascii() and terminal.answers[1:] == [{"reply": "ok"}]


# ---- one is answered, one waits

REFUSAL = {"reply": "", "error": "lines refused; wait for each answer"}


def test_two_lines_at_once_are_answered_and_the_others_refused_in_one_answer() -> None:
    terminal = type_all(b"one\ntwo\nthree\nfour\n\nfive\n")
    assert terminal.answers == [{"reply": "one"}, {"reply": "two"}, REFUSAL]
    terminal.send(b"six\n")
    assert terminal.answers[3:] == [{"reply": "six"}]


@pytest.mark.parametrize("end", [b"", b"\n", b" \b\n \r\n\t"])
def test_nothing_is_refused_where_there_is_nothing(end: bytes) -> None:
    assert replies(type_all(b"one\ntwo\n" + end)) == ["one", "two"]


def test_a_line_that_began_without_room_is_dropped_up_to_its_end() -> None:
    terminal = Terminal(echo)
    terminal.send(b"one\ntwo\nthr")
    assert terminal.answers == [{"reply": "one"}, {"reply": "two"}, REFUSAL]
    terminal.send(b"ee")
    terminal.send(b"!\nfour\nfive\nsix")
    terminal.send(b"\nseven\n")
    assert terminal.answers[3:] == [
        {"reply": "four"},
        {"reply": "five"},
        REFUSAL,
        {"reply": "seven"},
    ]


def test_a_refused_line_goes_on_being_dropped_while_there_is_no_room() -> None:
    terminal = Terminal(echo)
    terminal.send(b"one\ntwo\nthr", steps=0)
    terminal.send(b"ee", steps=0)
    terminal.work()
    terminal.send(b"!\n")
    terminal.send(b" \b\nfour\n")
    assert terminal.answers == [{"reply": "one"}, {"reply": "two"}, REFUSAL, {"reply": "four"}]


def test_refusals_are_told_where_the_lines_would_have_been() -> None:
    terminal = Terminal(echo)
    terminal.send(b"a\nb\nrefused\n", steps=0)
    while not terminal.text.endswith("\n"):
        terminal.work(1)
    terminal.work(1)
    terminal.send(b"c\nrefused\nrefused\n", steps=0)
    terminal.work()
    assert terminal.answers == [
        {"reply": "a"},
        {"reply": "b"},
        REFUSAL,
        {"reply": "c"},
        REFUSAL,
    ]


def test_lines_wait_while_one_is_answered() -> None:
    terminal = Terminal(echo)
    terminal.send(b"one\n", steps=1)
    terminal.send(b" \ntw", steps=1)
    terminal.send(b"o\n", steps=0)
    terminal.work()
    assert replies(terminal) == ["one", "two"]


REFUSED = 0


class Model:
    """What becomes of bytes when all there is to answer is answered after each chunk."""

    def __init__(self) -> None:
        self.expected: list[str | int | None] = []  # a line; None: an error; REFUSED: a refusal
        self._line: list[int] = []
        self._room = True

    def chunk(self, data: bytes) -> None:
        places = 2
        refused = False
        for code in data:
            code = 32 if code == 9 else code
            if code in b"\r\n":
                if self._room and self._line:
                    self.expected.append(self._made())
                    places -= 1
                self._line = []
                self._room = True
            elif self._line:
                self._line.append(code)
            elif code != 32:
                self._room = places > 0
                refused |= not self._room
                self._line.append(code)
        if refused:
            self.expected.append(REFUSED)

    def _made(self) -> str | None:
        try:
            text = bytes(self._line).decode()
        except UnicodeDecodeError:
            return None
        return None if min(text) < " " or len(self._line) > LONGEST else text


def seen(terminal: Terminal) -> list[str | int | None]:
    found: list[str | int | None] = []
    for answer in terminal.answers:
        error = answer.get("error")
        if error is None:
            found.append(answer["reply"])
        elif answer == REFUSAL:
            found.append(REFUSED)
        else:
            assert error.startswith(("no text: ", "more than 1100 bytes"))
            found.append(None)
    return found


def without_editing(data: bytes) -> bytes:
    return data.replace(b"\b", b"-").replace(b"\x7f", b"-")


CHUNKS = st.lists(
    st.one_of(
        st.binary(max_size=64),
        st.sampled_from([b"\n", b"help\r\n", b"\t a\n", b"\xc3", b"\xa9", b"\x00\n"]),
        st.lists(st.sampled_from(b"\r\n ab"), max_size=64).map(bytes),
        st.integers(1, 2300).map(lambda n: b"z" * n),
    ),
    max_size=30,
)


def check_against_model(chunks: list[bytes]) -> None:
    terminal, model = Terminal(echo), Model()
    # Something has come, so Ctrl-C is a byte like any other.
    terminal.send(b" ")
    for chunk in chunks:
        data = without_editing(chunk)
        assert terminal.send(data) == len(data)
        model.chunk(data)
    assert seen(terminal) == model.expected
    assert not terminal.crashes


@quick
@given(CHUNKS)
def test_every_line_has_its_answer(chunks: list[bytes]) -> None:
    check_against_model(chunks)


@pytest.mark.slow
@long
@given(CHUNKS)
def test_every_line_has_its_answer_long(chunks: list[bytes]) -> None:
    check_against_model(chunks)


def test_a_flood_is_refused_in_bulk_and_the_console_lives() -> None:
    noise = random.Random(5)
    terminal = Terminal(echo)
    terminal.send(b" ")
    for _ in range(5000):
        assert terminal.send(noise.randbytes(64), steps=1) == 64
    terminal.send(b"\n")
    count = len(terminal.answers)
    # 2500 lines came; an answer takes two steps or more.
    assert 500 < count < 2500
    terminal.send(b"ok\n")
    assert terminal.answers[-1] == {"reply": "ok"}
    assert terminal.crashes == [] and not terminal.console.stop


# ---- answers among other lines


def test_a_line_is_written_in_small_pieces_that_nothing_may_come_between() -> None:
    def many(text: str) -> Iterator[str]:
        yield '{"reply":"many"'
        yield ',"text":"' + "x" * 1000 + '"'
        yield from [f',"n{k}":{k}' for k in range(50)]
        yield "}\n"

    terminal = Terminal(many)
    console = terminal.console
    terminal.send(b"many\nmany\n", steps=0)
    lines = 0
    while console.step():
        assert console.busy == (terminal.text != "" and not terminal.text.endswith("\n"))
        if not console.busy:
            # As telemetry does: a line of its own, in the middle of an answer's making.
            terminal.text += '{"reply":"telemetry"}\n'
            lines += 1
    assert lines > 100
    found = [answer for answer in terminal.answers if answer["reply"] == "many"]
    assert len(found) == 2 and found[0] == found[1]
    assert found[0]["n49"] == 49 and len(found[0]["text"]) == 1000


def test_nothing_to_do_is_said() -> None:
    terminal = Terminal(echo)
    assert terminal.console.step() is False
    terminal.send(b"half", steps=0)
    assert terminal.console.step() is False
    terminal.send(b"\n", steps=0)
    assert terminal.console.step() is True
    terminal.work()
    assert terminal.console.step() is False


# ---- crashes


class Unsayable(Exception):
    def __str__(self) -> str:
        raise ValueError


def failing(problem: Exception, after: int) -> Callable[[str], Iterator[str]]:
    """Commands of which "bad" raises after so many pieces."""

    def answer(text: str) -> Iterator[str]:
        if text != "bad":
            yield from echo(text)
            return
        pieces = ['{"reply":"bad"', ',"a":[1', ",2", "]", "}\n"]
        yield from pieces[:after]
        raise problem

    return answer


PROBLEMS = [
    ValueError("no\nway"),
    OSError(28, "full"),
    MemoryError(),
    RecursionError("too deep"),
    KeyError("é\x00" * 500),
    UnicodeError(),
    Unsayable(),
    StopIteration(),
]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("after", range(6))
def test_a_command_that_raises_is_answered_and_reported(problem: Exception, after: int) -> None:
    terminal = Terminal(failing(problem, after))
    terminal.send(b"bad\n")
    terminal.send(b"ok\n")
    *answers, last = terminal.answers
    assert last == {"reply": "ok"}
    assert len(terminal.crashes) == 1
    if after == 5:
        # What it does after its line cannot be told in it.
        assert answers.pop(0) == {"reply": "bad", "a": [1, 2]}
    (answer,) = answers
    name = "bad" if 0 < after < 5 and not isinstance(problem, Unsayable) else ""
    assert answer.keys() == {"reply", "error"} and answer["reply"] == name
    assert answer["error"].startswith("it crashed") and len(answer["error"]) <= 100
    if not isinstance(problem, (Unsayable, StopIteration)):
        assert terminal.crashes == [problem]
        assert type(problem).__name__ in answer["error"]


def test_an_answer_without_an_end_is_an_error() -> None:
    def unending(text: str) -> Iterator[str]:
        if text == "ok":
            yield from echo(text)
        elif text != "nothing":
            yield '{"reply":"some"'
            yield ',"a":'

    terminal = Terminal(unending)
    terminal.send(b"some\nnothing\n")
    terminal.send(b"ok\n")
    assert terminal.answers == [{"reply": "some", "error": "it broke off"}, {"reply": "ok"}]
    assert terminal.crashes == []


def test_a_crash_does_not_take_the_next_line_with_it() -> None:
    for after in range(6):
        terminal = Terminal(failing(OSError(5), after))
        terminal.send(b"bad\nok\nrefused\n")
        assert [answer["reply"] for answer in terminal.answers[-2:]] == ["ok", ""]
        assert len(terminal.crashes) == 1


def test_a_report_that_raises_is_survived() -> None:
    said: list[str] = []

    def report(problem: Exception) -> None:
        raise problem

    from threewire.operation.console import Console

    console = Console(failing(OSError(5), 2), said.append, report)
    console.take(b"bad\nok\n", 0)
    while console.step():
        pass
    assert [json.loads(line)["reply"] for line in "".join(said).splitlines()] == ["bad", "ok"]


@pytest.mark.parametrize("times", range(1, 5))
def test_a_write_that_raises_ends_that_answer_only(times: int) -> None:
    from threewire.operation.console import Console

    said: list[str] = []
    crashes: list[Exception] = []

    def write(text: str) -> None:
        nonlocal times
        times -= 1
        if times >= 0:
            raise OSError(5)
        said.append(text)

    console = Console(echo, write, crashes.append)
    for name in (b"one", b"two", b"three", b"four", b"five"):
        console.take(name + b"\n", 0)
        while console.step():
            pass
        assert not console.busy
    assert len(crashes) == 5 - len("".join(said).splitlines()) > 0
    assert json.loads("".join(said).splitlines()[-1]) == {"reply": "five"}


# ---- Ctrl-C

# What comes after what pause (ms, with looks at the port every 10 ms), and how many of the last
# one's bytes are taken when it stops; None when it does not.
CTRL_C = [
    ([(0, b"\x03")], 1),
    ([(0, b"\r\x03")], 2),
    ([(0, b"\r\x03\r\x01")], 2),
    ([(0, b"\x03\x03\x01")], 1),
    ([(0, b"help\n"), (150, b"\x03")], 1),
    ([(0, b"help\n"), (150, b"\r\x03\r\x01")], 2),
    ([(0, b"help\n"), (150, b"\n\x03")], 2),
    ([(0, b"help\n"), (150, b"\r"), (0, b"\x03\x01")], 1),
    ([(0, b"help\n"), (150, b"\r"), (50, b"\x03\x01")], 1),
    ([(0, b"hel"), (150, b"\x03")], 1),
    ([(0, b"hel"), (150, b"\r\x03")], 2),
    ([(0, b"help\n"), (40, b"\x03")], None),
    ([(0, b"help\n"), (40, b"\r\x03")], None),
    ([(0, b"help\r\x03")], None),
    ([(0, b"a\x03")], None),
    ([(0, b"help\n"), (150, b"a\x03")], None),
    ([(0, b"help\n"), (150, b"\r\r\x03")], None),
    ([(0, b"help\n"), (150, b"\r"), (0, b"a\x03")], None),
    ([(0, b"help\n"), (150, b"\r"), (0, b"\r"), (0, b"\x03")], None),
    ([(0, b"help\n"), (60, b"a"), (60, b"\x03")], None),
]


@pytest.mark.parametrize(("events", "taken"), CTRL_C)
@pytest.mark.parametrize("start", [0, WRAP - 200, WRAP - 145, WRAP - 50, WRAP - 1])
def test_ctrl_c(events: list[tuple[int, bytes]], taken: int | None, start: int) -> None:
    terminal = Terminal(echo)
    terminal.now_ms = start
    for ms, data in events[:-1]:
        if ms:
            terminal.pause(ms)
        assert terminal.send(data) == len(data)
        assert not terminal.console.stop
    ms, data = events[-1]
    if ms:
        terminal.pause(ms)
    found = terminal.send(data)
    assert terminal.console.stop == (taken is not None)
    assert found == (len(data) if taken is None else taken)


@pytest.mark.parametrize("data", [b"\x03\r\x01", b"\r\x03\r\x01"])
def test_what_follows_ctrl_c_is_left_in_the_port(data: bytes) -> None:
    """Read as `at_most` says, not a byte too much is read."""
    terminal = Terminal(echo)
    terminal.send(b"version\n")
    terminal.pause()
    port = list(data)
    while not terminal.console.stop:
        size = terminal.console.at_most
        terminal.send(bytes(port[:size]))
        del port[:size]
    assert bytes(port) == data[data.index(3) + 1 :]
    assert terminal.console.take(b"help\n", 0) == 0


def test_input_that_flows_is_read_by_the_chunk() -> None:
    terminal = Terminal(echo)
    assert terminal.console.at_most == 1
    terminal.send(b"h")
    assert terminal.console.at_most == 64
    terminal.pause(40)
    assert terminal.console.at_most == 64
    terminal.pause()
    assert terminal.console.at_most == 1
    terminal.send(b"\r")
    assert terminal.console.at_most == 1
    terminal.send(b"e")
    assert terminal.console.at_most == 64


def test_a_stall_is_no_silence() -> None:
    """In half a second in which nobody looked, a flood has gone on."""
    terminal = Terminal(echo)
    terminal.send(b"flood")
    terminal.now_ms += 500
    terminal.send(b"\x03flood")
    assert not terminal.console.stop
    terminal.console.take(b"", terminal.now_ms)
    terminal.now_ms += 500
    terminal.send(b"\x03flood")
    assert not terminal.console.stop


def test_silence_of_weeks_is_silence() -> None:
    terminal = Terminal(echo)
    terminal.send(b"a\n")
    for _ in range(5):
        for step in (10, 200, WRAP // 2, WRAP // 2 - 5, 7):
            terminal.console.take(b"", terminal.now_ms)
            terminal.now_ms = (terminal.now_ms + step) % WRAP
    terminal.send(b"\r\x03")
    assert terminal.console.stop


# ---- a line that is not ended

FORGOTTEN_MS = 10_000


@pytest.mark.parametrize("start", [0, WRAP - 10_200, WRAP - 5000, WRAP - 1])
@pytest.mark.parametrize("begun", [b"preset delivered 50", b"x" * 1200, b"\xc3"])
def test_a_started_line_is_forgotten_after_ten_seconds(begun: bytes, start: int) -> None:
    terminal = Terminal(echo)
    terminal.now_ms = start
    terminal.send(begun)
    terminal.pause(FORGOTTEN_MS + 50)
    terminal.send(b"000\nversion\n")
    assert replies(terminal) == ["000", "version"]


def test_a_line_may_be_typed_slowly() -> None:
    terminal = Terminal(echo)
    for key in b"version\n":
        terminal.send(bytes([key]))
        terminal.pause(FORGOTTEN_MS - 100)
    assert replies(terminal) == ["version"]


def test_a_stall_forgets_no_line() -> None:
    """In half a minute in which nobody looked, the rest of the line has come."""
    terminal = Terminal(echo)
    terminal.send(b"ver")
    terminal.pause(1000)
    terminal.now_ms += 30_000
    terminal.send(b"sion\n")
    assert replies(terminal) == ["version"]


def test_a_line_that_waits_is_not_forgotten() -> None:
    terminal = Terminal(echo)
    terminal.send(b"one\ntwo\nthr", steps=0)
    terminal.pause(FORGOTTEN_MS + 50)
    # What had no room is told; what comes now is no end of it.
    terminal.work()
    terminal.send(b"four\n")
    assert terminal.answers == [{"reply": "one"}, {"reply": "two"}, REFUSAL, {"reply": "four"}]


@quick
@given(st.lists(st.sampled_from(["a", "b", "\n", " ", "\b", "short", "long"]), max_size=40))
def test_keys_and_pauses_against_a_model(events: list[str]) -> None:
    terminal = Terminal(echo)
    expected: list[str] = []
    line = ""
    quiet_ms = 0
    for event in events:
        if event in ("short", "long"):
            # Looks at the port are 10 ms apart, the first of them no silence yet.
            ms = FORGOTTEN_MS // 2 - 500 if event == "short" else FORGOTTEN_MS + 50
            terminal.pause(ms)
            quiet_ms += ms
            if quiet_ms > FORGOTTEN_MS:
                line = ""
        else:
            quiet_ms = 0
            terminal.send(event.encode())
            if event == "\n":
                expected += [line] if line else []
                line = ""
            elif event == "\b":
                line = line[:-1]
            elif line or event != " ":
                line += event
    assert replies(terminal) == expected


# ---- whatever comes


@pytest.mark.parametrize("target", fuzz_console.TARGETS)
def test_seeds_hold(target: Callable[[bytes], None]) -> None:
    for data in fuzz_console.seeds():
        if fuzz_console.TARGETS[data[0]] is target:
            target(data[1:])


@pytest.mark.parametrize("target", fuzz_console.TARGETS)
def test_any_bytes(target: Callable[[bytes], None]) -> None:
    @quick
    @given(st.binary(max_size=3000))
    def check(data: bytes) -> None:
        target(data)

    check()


LINES = st.lists(
    st.one_of(
        st.binary(max_size=100),
        st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")),
        st.sampled_from([data[10:] for data in fuzz_console.seeds() if data[0] == 0]),
    ),
    max_size=12,
).map(b"\n".join)


def check_typed(head: bytes, lines: bytes) -> None:
    fuzz_console.fuzz_console(head.ljust(9, b"\x40") + lines + b"\n")


@quick
@given(st.binary(max_size=9), LINES)
def test_any_lines(head: bytes, lines: bytes) -> None:
    check_typed(head, lines)


@pytest.mark.slow
@long
@given(st.binary(max_size=9), LINES)
def test_any_lines_long(head: bytes, lines: bytes) -> None:
    check_typed(head, lines)


def fuzz(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: it has wheels for CPython 3.11 on Linux x86-64")
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tools.reliability.hostile_input",
            *options,
            str(folder / "corpus"),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("runs", [2000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_atheris_finds_nothing(tmp_path: Path, runs: int) -> None:
    done = fuzz(tmp_path, f"-runs={runs}", "-seed=1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"Done {runs} runs" in done.stderr


def test_without_atheris_the_fuzzer_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert fuzz_console.main([]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: atheris is not installed") and said.count("\n") == 1


# ---- on MicroPython

_ON_ENGINE = """\
import gc, json, sys
sys.path.insert(0, {firmware!r})
from threewire.operation.console import Console

def echo(text):
    yield '{{"reply":' + json.dumps(text)
    yield "}}\\n"

def quiet(text):
    pass

crashes = []
console = Console(echo, sys.stdout.write, crashes.append)
console.take(b" ", 0)
for chunk in {chunks}:
    console.take(chunk, 0)
    while console.step():
        pass
assert not crashes and not console.busy

# 2000 lines of garbage, as fast as they come and with time to answer them.
console = Console(echo, quiet, crashes.append)
console.take(b" ", 0)
noise = open({noise!r}, "rb").read()
def flood(lines, steps):
    at = 0
    while lines > 0:
        chunk = noise[at : at + 64]
        at = (at + 64) % len(noise)
        lines -= chunk.count(b"\\r") + chunk.count(b"\\n")
        console.take(chunk, 0)
        for k in range(steps):
            if not console.step():
                break
    console.take(b"\\n", 0)
    while console.step():
        pass
for steps in (1, 1000):
    flood(50, steps)
    gc.collect()
    before = gc.mem_alloc()
    flood(2000, steps)
    gc.collect()
    sys.stderr.write("%d\\n" % (gc.mem_alloc() - before))
assert not crashes and not console.stop
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_on_micropython_the_same_answers_in_bounded_memory(engine: str, tmp_path: Path) -> None:
    noise = random.Random(9)
    chunks = [without_editing(noise.randbytes(noise.randrange(1, 65))) for _ in range(60)]
    chunks += [b"\nversion\r\n", "né".encode()[:2], "né".encode()[2:] + b"\t!\n"]
    chunks += [b"x" * 1100, b"\n", b"x" * 1101, b"\n", b"a\nb\nc\nd\nhalf", b" e\nf\n"]
    model = Model()
    for chunk in chunks:
        model.chunk(chunk)
    script = tmp_path / "console.py"
    (tmp_path / "noise").write_bytes(noise.randbytes(20_000))
    script.write_text(
        _ON_ENGINE.format(
            firmware=str(ROOT / "firmware"), chunks=chunks, noise=str(tmp_path / "noise")
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "256k"), str(script)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    terminal = Terminal(echo)
    terminal.text = done.stdout
    assert seen(terminal) == model.expected
    # Some bytes either way are what is being answered when it is counted.
    assert all(abs(int(grown)) < 300 for grown in done.stderr.split())


def test_console_and_commands_are_small(tmp_path: Path) -> None:
    size = 0
    for name in ("console.py", "commands.py"):
        source = ROOT / "firmware" / "threewire" / "operation" / name
        size += len(image.compile_module(source, name, "armv6m", tmp_path / "m.mpy"))
    # 5 kB with the fourteen commands there were first; capture, the commissioning zero and events,
    # which are modules of their own, took 150 bytes each, fundamental energies 70, lock, pacing
    # and the log's parts 520, a line that is forgotten 20, and telling when nothing goes on 40;
    # quiet and the demonstration 430 together.
    assert size < 5 * 1024 + 1650
