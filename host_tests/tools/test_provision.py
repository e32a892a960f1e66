"""make provision: a board's network.json, whole or not at all, and no secret told."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.prompt_board import Board
from threewire.network import settings
from tools import provision
from tools.engines.child import asked

SECRETS = {"key": "top-secret-key", "password": "broker-secret"}
GIVEN = {"ssid": "home", "broker": "192.168.1.4", "user": "me", **SECRETS}
PICO_W = {"_machine": "Raspberry Pi Pico W with RP2040", "_build": "RPI_PICO_W"}
THERE = {"main.py": b"", "threewire/assembly.mpy": b"M\x06", "registers/registers.0": b"kept"}


def run(capsys: pytest.CaptureFixture[str], url: str, *options: str) -> tuple[int, str, str]:
    status = provision.main([*options, "--timeout", "5", "--port", url])
    said, told = capsys.readouterr()
    for secret in SECRETS.values():
        assert secret not in said + told
    return status, said, told


@pytest.mark.parametrize("kind", ["toml", "json"])
def test_a_file_is_put_on_the_board_and_shown_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / f"network.{kind}"
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in GIVEN.items())
    path.write_text(json.dumps(GIVEN) if kind == "json" else lines)
    with Board(tmp_path, THERE, **PICO_W) as board:
        status, said, told = run(capsys, board.url, "--from", str(path))
        assert (status, board.resets) == (0, 1), told
        files = board.files
        assert settings.read(files["network.json"].decode()) == settings.DEFAULTS | GIVEN
        assert THERE.items() <= files.items() and "network.json.new" not in files
        lines = said.splitlines()
        assert 'ssid      "home"' in lines and "key       is set" in lines
        status, said, _ = run(capsys, board.url, "--show")
        assert status == 0 and said.splitlines() == lines[:-1]
        status, said, _ = run(capsys, board.url, "--forget")
        assert (status, said) == (0, "removed\n") and "network.json" not in board.files
        assert run(capsys, board.url, "--forget")[1] == "there was none\n"
        assert run(capsys, board.url, "--show")[1] == "there is none\n"


def test_what_is_typed_is_checked_and_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A terminal that is not UTF-8 hands over bytes as half of a character.
    typed = ["", "h\udce4me", "home", "1.2.3", "192.168.1.4", "me", "Cellar"]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    secrets = iter(["short", "se\udce4cret-key", SECRETS["key"], SECRETS["password"]])
    monkeypatch.setattr("getpass.getpass", lambda prompt, stream: next(secrets))
    with Board(tmp_path, THERE, **PICO_W) as board:
        status, _, told = run(capsys, board.url)
        assert status == 0
        assert json.loads(board.files["network.json"]) == {**GIVEN, "name": "Cellar"}
    assert told.count("  a text that is no Unicode; expected UTF-8\n") == 2
    assert "udce4" not in told
    for what in ("ssid has to be 1 to 32", "key has to be 8 to 63", "broker has to be a name"):
        assert what in told


BAD = {
    "bad.toml": ('ssid = "home', "is no TOML"),
    "bad.json": ('{"ssid": "home"', "is no JSON"),
    "key.toml": ('ssid = "home"\nkey = "top"', "key has to be 8 to 63"),
    "word.toml": ('ssid = "home"\npass = "x"', "there is no 'pass'; there are ssid, key"),
    "none.json": ("[]", "it is no JSON object"),
    "large.toml": ("#" * 3000, "more than 2048 bytes"),
    "half.json": ('{"ssid": "\\ud800"}', "no Unicode"),
    "twice.json": ('{"ssid": "home", "key": "an old one", "key": "a new one"}', "is no JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_and_no_board_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text, why = BAD[name]
    (tmp_path / name).write_text(text)
    status, said, told = run(capsys, "socket://127.0.0.1:1", "--from", str(tmp_path / name))
    assert (status, said) == (2, "")
    assert told.startswith("error: ") and why in told and told.count("\n") == 1


@pytest.mark.parametrize("name", ["marked.toml", "marked.json"])
def test_a_file_of_windows_is_one_like_another(tmp_path: Path, name: str) -> None:
    """With a byte order mark, and carriage returns."""
    text = json.dumps(GIVEN) if name.endswith("json") else 'ssid = "home"\nname = "Zähler"\n'
    path = tmp_path / name
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    given = GIVEN if name.endswith("json") else {"ssid": "home", "name": "Zähler"}
    assert provision.from_file(str(path)) == given


def test_without_a_terminal_it_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    status, _, told = run(capsys, "socket://127.0.0.1:1")
    assert status == 2 and "--from FILE" in told


@pytest.mark.parametrize(
    ("board", "given", "warns"),
    [
        ("pico_w", {"broker": "192.168.1.4", "modbus": 502}, True),
        ("pico_w", {"broker": "192.168.1.4"}, False),
        ("pico_w", {"modbus": 502}, False),
        ("pico2_w", {"broker": "192.168.1.4", "modbus": 502}, False),
    ],
)
def test_what_a_board_has_no_memory_for_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    board: str,
    given: dict[str, object],
    warns: bool,
) -> None:
    path = tmp_path / "network.json"
    path.write_text(json.dumps({"ssid": "home", **given}))
    there = {**THERE, "board.py": f'NAME = "{board}"'.encode()}
    with Board(tmp_path, there, **PICO_W) as at:
        status, _, told = run(capsys, at.url, "--from", str(path))
        assert status == 0 and "network.json" in at.files
        assert ("no memory for both MQTT" in told) == warns


def test_a_board_without_the_firmware_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "network.json"
    path.write_text('{"ssid": "home"}')
    with Board(tmp_path, {"main.py": b""}, **PICO_W) as board:
        status, _, told = run(capsys, board.url, "--from", str(path))
        assert status == 2 and "make flash" in told
        assert "network.json" not in board.files


# ---- losses of power, and a file system that is full

RIGS = Path(__file__).parents[1] / "rigs"
OLD = {"ssid": "old", "key": "an old secret"}
SHORT = {"ssid": "home", "key": SECRETS["key"]}
# As long as there may be: a file that has blocks of its own.
LONG = {**GIVEN, **dict.fromkeys(("base", "prefix", "name", "user"), 64 * "n")}
LONG["broker"] = ".".join(4 * [60 * "n"])
PICO, ESP32 = 256, 32


def on_flash(before: Any, program: str, again: str, **given: Any) -> dict[str, Any]:
    need_engine("micropython")
    config = {"blocks": 16, "prog_size": PICO, "is_full": False, **given}
    config |= {"before": before and json.dumps(before), "program": program, "again": again}
    return asked("micropython", "4M", RIGS / "network_cuts.py", config)


def contents(found: list[tuple[str | None, int]]) -> list[Any]:
    """What was found, as settings; None where there was no file."""
    return [text and json.loads(text) for text, _ in found]


@pytest.mark.parametrize("prog_size", [PICO, ESP32])
@pytest.mark.parametrize("new", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("before", [None, OLD], ids=["none", "old"])
def test_wherever_the_power_goes_settings_are_whole(
    before: Any,
    new: dict[str, str],
    prog_size: int,
    record_property: Callable[[str, object], None],
) -> None:
    program = provision.program(new)
    found = on_flash(before, program, program, prog_size=prog_size)
    record_property("tried", found["cuts"])
    assert found["cuts"] >= 10
    there = contents(found["found"])
    assert before in there and new in there and len(there) == 2
    # Whatever was left behind, the next try ends well, and leaves nothing beside it.
    assert contents(found["again"]) == [new]
    assert (found["said"], found["left"]) == ("True", ["network.json"])


def test_wherever_the_power_goes_forgotten_is_forgotten_or_whole() -> None:
    found = on_flash(OLD, provision._FORGET, provision._FORGET)
    there = contents(found["found"])
    assert None in there and OLD in there and len(there) == 2
    assert contents(found["again"]) == [None]


def test_a_full_file_system_keeps_what_it_has() -> None:
    program = provision.program(LONG)
    found = on_flash(OLD, program, program, is_full=True)
    assert found["said"] == "28" and json.loads(found["now"]) == OLD
    assert found["cuts"] and contents(found["found"]) == [OLD]
    assert [name for name in found["left"] if not name.startswith("full")] == ["network.json"]


@pytest.mark.parametrize(
    ("program", "status", "why"),
    [
        ("print(28)", 2, "the board cannot write it (No space left on device)"),
        ("print(False)", 1, "did not arrive whole"),
        ("print(_d)", 1, "did not arrive whole"),
        ("raise ValueError(_d)", 1, "the board could not do it"),
        ("raise MemoryError", 1, "the board could not do it"),
    ],
)
def test_no_secret_is_told_whatever_goes_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    status: int,
    why: str,
) -> None:
    path = tmp_path / "network.json"
    path.write_text(json.dumps(GIVEN))
    monkeypatch.setattr(provision, "_WRITE", "_d = {!r}\n" + program)
    there = {**THERE, "network.json": json.dumps(OLD).encode()}
    with Board(tmp_path, there, **PICO_W) as board:
        ended, said, told = run(capsys, board.url, "--from", str(path))
        assert (ended, said) == (status, "")
        assert told.startswith("error: ") and why in told and told.count("\n") == 1
        assert json.loads(board.files["network.json"]) == OLD


@pytest.mark.parametrize("text", ["top-secret-key", '["top-secret-key"]', ""])
def test_a_damaged_file_is_told_without_its_content(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with Board(tmp_path, {**THERE, "network.json": text.encode()}, **PICO_W) as board:
        status, said, told = run(capsys, board.url, "--show")
        assert (status, said) == (2, "") and "is damaged; write it anew" in told
