"""make provision: a board's network.json, whole or not at all, and no secret told."""

import io
import json
from pathlib import Path

import pytest

from host_tests.rigs.prompt_board import Board
from threewire.network import settings
from tools import provision

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
    typed = ["", "home", "1.2.3", "192.168.1.4", "me", "Cellar"]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    secrets = iter(["short", SECRETS["key"], SECRETS["password"]])
    monkeypatch.setattr("getpass.getpass", lambda prompt, stream: next(secrets))
    with Board(tmp_path, THERE, **PICO_W) as board:
        status, _, told = run(capsys, board.url)
        assert status == 0
        assert json.loads(board.files["network.json"]) == {**GIVEN, "name": "Cellar"}
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


def test_without_a_terminal_it_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    status, _, told = run(capsys, "socket://127.0.0.1:1")
    assert status == 2 and "--from FILE" in told


def test_a_board_without_the_firmware_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "network.json"
    path.write_text('{"ssid": "home"}')
    with Board(tmp_path, {"main.py": b""}, **PICO_W) as board:
        status, _, told = run(capsys, board.url, "--from", str(path))
        assert status == 2 and "make flash" in told
        assert "network.json" not in board.files
