"""Tells a board its network, which is kept in its network.json: make provision [PORT=…].

Flow: questions, or a file -> PROVISION (firmware's own check) -> board's prompt -> network.json,
whole or not at all.  What is secret stays there.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/provision.py
    sys.path[0] += "/.."
    __import__("tools")

import getpass
import json
import os
import tomllib
from pathlib import Path
from typing import Any

from threewire.network import settings
from tools.cable import door
from tools.cable import port as board_port
from tools.cable.console import TIMEOUT_S
from tools.cable.door import Misfit
from tools.cable.prompt import ASIDE, Prompt
from tools.common import boards, command
from tools.common.command import say
from tools.common.errors import InputEnds, InputError, PortError
from tools.common.files import check_file, parse_json, read_start
from tools.common.options import Parser

FILE = "network.json"
_SECRET = ("key", "password")
# Python's own words quote what cannot be encoded.
_NO_UNICODE = "a text that is no Unicode; expected UTF-8"
# The chip of which no board has memory for all of it.
_SHORT_OF_MEMORY = "rp2040"
# The firmware reads no more.
_LONGEST = 2048
# Beside the old one, which it takes the place of when it is whole: littlefs does that in one step.
_WRITE = f"""
import os
_d = {{!r}}
try:
    with open({FILE + ASIDE!r}, "wb") as _f:
        _f.write(_d)
    with open({FILE + ASIDE!r}, "rb") as _f:
        _w = _f.read() == _d
    if _w:
        os.rename({FILE + ASIDE!r}, {FILE!r})
    print(_w)
except OSError as _e:
    try:
        os.remove({FILE + ASIDE!r})
    except OSError:
        pass
    print(_e.errno)
"""
# What a board does with its own copy, at its prompt; what is secret stays there.
_SHOW = f"""
import json
try:
    with open({FILE!r}) as _f:
        _d = json.load(_f)
except OSError:
    _d = {{}}
except ValueError:
    _d = None
if isinstance(_d, dict):
    for _k in {_SECRET!r}:
        if _d.get(_k):
            _d[_k] = True
print(json.dumps(_d))
"""
_FORGET = f"""
import os
_n = 0
for _f in ({FILE!r}, {FILE + ASIDE!r}):
    try:
        os.remove(_f)
        _n += 1
    except OSError:
        pass
print(_n)
"""


def check(given: Any, where: str) -> dict[str, Any]:
    """What of these settings differs from the defaults. Raises InputError, which tells none."""
    try:
        found = settings.checked(given)
    except UnicodeError:
        raise InputError(f"{where}: {_NO_UNICODE}") from None
    except ValueError as problem:
        raise InputError(f"{where}: {problem}") from None
    return {k: v for k, v in found.items() if settings.DEFAULTS.get(k) != v}


def from_file(name: str) -> dict[str, Any]:
    """The settings in a TOML or JSON file. Raises InputError."""
    path = Path(name)
    check_file(path, "settings")
    data = read_start(path, _LONGEST + 1)
    if len(data) > _LONGEST:
        raise InputError(f"{path}: more than {_LONGEST} bytes; expected a few settings")
    try:
        if path.suffix.lower() == ".json":
            given = parse_json(data)
        else:
            given = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # The parsers' words may quote a secret.
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise InputError(f'{path}: is no {kind}; expected lines like ssid = "home"') from None
    return check(given, str(path))


def from_questions() -> dict[str, Any]:
    """The settings that somebody types. Raises InputEnds."""
    given: dict[str, Any] = {"ssid": _asked("Name of the Wi-Fi", "ssid", {})}
    given["key"] = _secret("Its password (none: Enter)", "key", given)
    given["broker"] = _asked("MQTT broker, name or address (none: Enter)", "broker", given)
    if given["broker"]:
        given["user"] = _asked("User there (none: Enter)", "user", given)
        if given["user"]:
            given["password"] = _secret("Password there", "password", given)
        given["name"] = _asked("Name of this meter (Threewire: Enter)", "name", given)
    return check({k: v for k, v in given.items() if v != ""}, "settings")


def _asked(question: str, key: str, given: dict[str, Any]) -> str:
    while True:
        print(f"{question}: ", end="", file=sys.stderr, flush=True)
        text = sys.stdin.readline()
        if not text:
            raise _end(question)
        if _is_right(text := text.strip(), key, given):
            return text


def _secret(question: str, key: str, given: dict[str, Any]) -> str:
    while True:
        try:
            text = getpass.getpass(f"{question}: ", sys.stderr)
        except EOFError:
            raise _end(question) from None
        if _is_right(text, key, given):
            return text


def _end(question: str) -> InputEnds:
    return InputEnds(
        f"the input ends at {question!r}: nothing was written to the board; without a terminal "
        "the settings come from a file (--from FILE)"
    )


def _is_right(text: str, key: str, given: dict[str, Any]) -> bool:
    if not text and key != "ssid":
        return True
    try:
        settings.checked({"ssid": "x", "broker": "x", "user": "x", **given, key: text})
    except UnicodeError:
        say(f"  {_NO_UNICODE}")
        return False
    except ValueError as problem:
        say(f"  {problem}")
        return False
    return True


def shown(found: dict[str, Any]) -> list[str]:
    """A line for each setting that is not the default; of what is secret, that it is set."""
    return [
        f"{key:9} {'is set' if key in _SECRET else json.dumps(value, ensure_ascii=False)}"
        for key, value in sorted(found.items())
    ]


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done; 1 the board cannot be reached; 2 what is given cannot be used."""
    parser = Parser(
        prog=command.name("provision"),
        description="Tell a board with Wi-Fi its network: asked for, or from a file. It is"
        " checked here, written on the board whole or not at all, and what is secret stays there. "
        "The board's metering stops for that, with all registers saved, for some five seconds.",
        epilog='A file is TOML or JSON, with ssid = "home" and any of '
        f"{', '.join(settings.DEFAULTS)}. example: %(prog)s --from network.toml",
    )
    board_port.add_arguments(parser, TIMEOUT_S)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--from", dest="file", metavar="FILE", help="settings, not to be asked")
    what.add_argument("--show", action="store_true", help="what the board has, without secrets")
    what.add_argument("--forget", action="store_true", help="remove it from the board")
    options = parser.parse_args(argv)
    found = None
    if not (options.show or options.forget):
        found = from_file(options.file) if options.file else from_questions()
    with Prompt(board_port.find(options.port), options.timeout) as prompt:
        try:
            if options.show:
                _show(prompt)
            elif options.forget:
                _forget(prompt)
            elif found is not None:
                _put(prompt, found)
        except BaseException:
            prompt.abandon()
            raise
        prompt.reset()
    return 0


def program(found: dict[str, Any]) -> str:
    """What a board does at its prompt to have these settings.  It prints True, an error's number
    where it cannot write, or False; wherever it ends, settings that are there are whole."""
    return _WRITE.format(json.dumps(found).encode())


def _put(prompt: Prompt, found: dict[str, Any]) -> None:
    board = prompt.look()
    if not board.has_firmware:
        raise InputError(f"{prompt.port}: has no Threewire yet: `make flash` first")
    if board.board in boards.names():
        module = boards.module(board.board)
        if not hasattr(module, "WIFI"):
            raise InputError(f"{prompt.port}: board {board.board} has no Wi-Fi that is used")
        if module.CHIP == _SHORT_OF_MEMORY and found.get("broker") and found.get("modbus"):
            say(
                f"warning: board {board.board} has no memory for both MQTT and Modbus TCP beside "
                "its metering, and stays out of the network where it is to do both: take one of "
                "them, or a Pico 2 W or an ESP32"
            )
    said = prompt.run(program(found), quotes=False).strip()
    if said.isdecimal() and len(said) < 4:
        raise InputError(
            f"{FILE}: the board cannot write it ({os.strerror(int(said))}); what it had of a "
            "network is as it was"
        )
    if said != "True":
        raise PortError(f"{prompt.port}: {FILE} did not arrive whole; do it again")
    for line in shown(found):
        print(line)
    print("written; in ten seconds `make console`, and `network` there, tells whether it is in it")


def _show(prompt: Prompt) -> None:
    said = prompt.run(_SHOW)
    try:
        found = door.decode(said.encode(), dict[str, Any], "network.json")
    except Misfit:
        raise InputError(
            f"{prompt.port}: network.json there is damaged; write it anew, or --forget it"
        ) from None
    print("\n".join(shown(found)) or "there is none")


def _forget(prompt: Prompt) -> None:
    print("removed" if prompt.run(_FORGET).strip() != "0" else "there was none")


if __name__ == "__main__":
    sys.exit(main())
