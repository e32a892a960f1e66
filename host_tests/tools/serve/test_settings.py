"""The gateway's settings: every key is known, told of and checked."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.serve.cli import main
from tools.serve.settings import Board, Gateway, read, secret
from tools.serve.sinks import SHAPES

EXAMPLE = ROOT / "tools" / "serve" / "gateway.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def test_the_example_has_each_key_with_its_default() -> None:
    """As it stands, and with every key that is commented out put in force."""
    shapes = {"gateway": Gateway, "board": Board, **SHAPES}
    text = EXAMPLE.read_text()
    read(EXAMPLE, SHAPES)
    # A key that is commented out stands right behind its sign, words stand apart from it.
    lines = [re.sub(r"^#(?=[\[a-z])", "", line) for line in text.splitlines()]
    found = tomllib.loads("\n".join(lines))
    assert found.keys() == shapes.keys()
    for name, shape in shapes.items():
        table = found[name][0] if name == "board" else found[name]
        assert table.keys() == set(shape.__struct_fields__), name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gatway]\n", "unknown key 'gatway'; did you mean 'gateway'"),
        ("[mqtt]\nhsot = 'a'\n", r"unknown key 'hsot' in \[mqtt\]; did you mean 'host'"),
        ("[[board]]\nprot = 'a'\n", r"unknown key 'prot' in \[\[board\]\] 1; did you mean 'port'"),
        ("[mqtt]\nport = 'a'\n", r"\[mqtt\]: Expected `int"),
        ("[mqtt]\nport = 0\n", r"\[mqtt\]: .*`port`"),
        ("mqtt = 5\n", r"\[mqtt\] is no table"),
        ("board = 5\n", "begin each board by"),
        ("[[board]]\n[[board]]\n", "has no port"),
        ("[[board]]\nport='a'\n[[board]]\nport='a'\n", "two boards have the port 'a'"),
        ("[[board]]\nport='a'\nunit=3\n[[board]]\nport='b'\nunit=3\n", "two boards have the unit"),
        ("[[board]]\nunit = 248\n", "unit"),
        ('[[board]]\nname = "a\\u0007"\n', "name"),
        ("[[board]]\nport = 'a'\nunit = true\n", "unit"),
        ('[mqtt]\nhost = "a\\nb"\n', "host"),
        ('[[board]]\nport = "a\\u0000"\n', "port"),
        ("[mqtt]\nuser = ''\n", "user"),
        (f"[mqtt]\nhost = '{'a' * 201}'\n", "host"),
        ("[mqtt\n", "is not TOML"),
        ("\x00", "is not TOML"),
        ("", None),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str | None) -> None:
    path = written(tmp_path, text)
    if says is None:
        path.write_text("# nothing\n")
        assert read(path, SHAPES).boards == [Board()]
        return
    with pytest.raises(InputError, match=says) as caught:
        read(path, SHAPES)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--config", "none.toml"], 2, "none.toml: no such file; name an existing settings file"),
        (["--config", "two.toml", "--port", "/dev/x"], 2, "has 2 boards; leave it out"),
        (["--config", "good.toml", "--check"], 0, ""),
        (["--config", "bad.toml"], 2, "unknown key"),
        (["--config", "file.toml"], 2, "a file"),
        (["--config", "."], 2, "is a directory"),
        (["--config", "pipe"], 2, "is not a regular file"),
        (["--config", "link.toml", "--check"], 0, ""),
        (["--config", "good.toml", "--check", "--port", ""], 2, "--port is empty"),
        (["--config", "good.toml", "--check", "--port", "http://["], 2, "is no port"),
        (["--config", "port.toml", "--check"], 2, "a file: is no serial port"),
        (["--config", "class.toml", "--check"], 2, "is no port"),
    ],
)
def test_the_command_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = f"[gateway]\nfolder = {str(tmp_path / 'state')!r}\n"
    (tmp_path / "a file").touch()
    texts = {
        "good": folder,
        "bad": "[a]\n",
        "two": f"{folder}[[board]]\nport='a'\n[[board]]\nport='b'\n",
        "port": f"{folder}[[board]]\nport='a file'\n",
        "class": f"{folder}[[board]]\nport='alt://x?class=os'\n",
        "file": f"[gateway]\nfolder = {str(tmp_path / 'a file')!r}\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text)
    os.mkfifo("pipe")
    os.symlink("good.toml", "link.toml")
    assert main(arguments) == status
    told = capsys.readouterr()
    assert says in told.err and "Traceback" not in told.err


def test_a_check_of_settings_leaves_nothing_behind(tmp_path: Path) -> None:
    state = tmp_path / "state"
    sinks = "[mqtt]\n[influx]\ndatabase = 'house'\n[history]\n[web]\n[modbus]\n"
    path = written(tmp_path, f"[gateway]\nfolder = {str(state)!r}\n{sinks}")
    assert main(["--config", str(path), "--check"]) == 0
    assert not state.exists()
    # What only a sink finds is found all the same.
    path.write_text(f"[gateway]\nfolder = {str(state)!r}\n[influx]\n")
    assert main(["--config", str(path), "--check"]) == 2
    assert not state.exists()


class Secrets(Struct):
    key_file: str | None = None
    key_env: str | None = None


def test_where_secrets_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("very secret\r\n")
    monkeypatch.setenv("A_KEY", "other")
    assert secret(Secrets(), "key") is None
    assert secret(Secrets(key_file=str(file)), "key") == "very secret"
    assert secret(Secrets(key_env="A_KEY"), "key") == "other"


def test_a_secret_that_is_no_text_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "hush\udcff")
    with pytest.raises(InputError, match="A_KEY is not UTF-8") as caught:
        secret(Secrets(key_env="A_KEY"), "key")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "data", "says"),
    [
        ({"key_env": "NO_SUCH_KEY"}, b"", "NO_SUCH_KEY"),
        ({"key_file": "key", "key_env": "A"}, b"x", "both are given"),
        ({"key_file": "key"}, b"one\ntwo\n", "one line"),
        ({"key_file": "key"}, b"\xff\xfe", "UTF-8"),
        ({"key_file": "key"}, b"x" * 5000, "4096"),
        ({"key_file": "key"}, b"\n", "one line"),
    ],
)
def test_secrets_that_are_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    data: bytes,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(InputError, match=says):
        secret(Secrets(**given), "key")
