"""Boards that lie, flood, drip, fall silent or go, and what the tools do with them: they end, in
good order and in time, with no traceback, and show no control character.

Flow: truths, spoilt by shape or by byte -> HOSTILE BOARD -> virtual port -> capture, flash,
calibrate, monitor, console, selftest -> rows of a table.
`python -m tools.reliability.hostile_board [N]` tries N.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/reliability/hostile_board.py
    sys.path[0] += "/../.."
    __import__("tools")

import contextlib
import hashlib
import io
import json
import os
import random
import re
import tempfile
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import serial

from tools import flash, image
from tools.cable import shapes
from tools.cable.prompt import ASIDE
from tools.calibrate import cli as calibrate
from tools.capture import cli as capture
from tools.common.command import reporting
from tools.common.errors import EngineFailed
from tools.common.options import Parser
from tools.common.rows import Row, row
from tools.console import cli as console
from tools.monitor import cli as monitor
from tools.reliability import program_truths, truths
from tools.reliability.mutation import hostile
from tools.reliability.spoiling import spoil
from tools.reliability.virtual_port import plugged_in
from tools.selftest import cli as selftest
from tools.selftest import end_checks

TRIES = 10_000
_SEED = 9
_TIMEOUT_S = 0.4
# It is in a hurry.
_REPORT_S = 0.25
# All that a tool may take: 20 times its timeout, twice, and what it takes by itself.
_MOST_S = 45 * _TIMEOUT_S + 20
# What the self-test takes by itself, and waits at least for what a board says and starts.
_SELFTEST_S = 400
_WATCHED_S = 1.5
# What is typed at the console, and told of a board that is not passed or refuses.
_TYPED = (b"version", b"seal", b"calibration", b"nonsense", b"demo", b"restart")
_TELLS = {"selftest": "failed: ", "console": "refused: "}
_REPORT = re.compile(r"[a-z0-9_]+-[0-9a-f]{1,32}\.json")
_PATHS = ("main.py", "board.mpy", "threewire/a.mpy")
_FILES = {path: path.encode() * 300 for path in _PATHS}
_KEPT = {"c.npz", "k.json", "k-points.json", "m.csv"}
_HARMFUL = ("Cc", "Cf", "Cs", "Zl", "Zp")
# How a board is hostile, each as often as it stands here.
_WAYS = ("shapes",) * 12 + ("bytes",) * 4 + ("order", "silent", "gone", "drip", "flood")
_NOISE = (b"", b"\xff\xfe", b"[" * 500, b"null", b"Traceback", b'{"safe_mode":true}', b"\r\n>>> ")
_SHAPES: dict[str, Any] = {
    "t": shapes.Telemetry,
    "codes": shapes.Codes,
    "captured": shapes.Captured,
    "version": shapes.Version,
    "seal": shapes.Seal,
    "calibration": shapes.InForce,
    "calibrate": shapes.InForce,
    "restart": shapes.Restarting,
    "capture": shapes.Announced,
    "quiet": shapes.Head,
    "demo": shapes.Head,
}


class HostileBoard:
    """A board with our firmware, and MicroPython's prompt behind it.

    meters  it is not at the prompt
    """

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._way = draw.choice(_WAYS)
        self._often = draw.choice((0.05, 0.3, 1.0))
        self._left = draw.randrange(12)  # lines until it falls silent, and so on
        self.meters = True
        self._calibration = truths.announced()["calibration"]
        self._out = bytearray()
        self._typed = b""
        self._is_raw = self._is_flashed = False
        self._aside: dict[str, bytes] = {}
        self._told_at = 0.0

    # ---- as a virtual port wants it

    def opened(self) -> None:
        self._out.clear()
        self._typed = b""

    def hear(self, data: bytes) -> None:
        self._typed += data
        if self.meters and b"\x03" in data:
            self.meters = False
            self._say(b"\r\n>>> ")
        if self.meters:
            *lines, self._typed = self._typed.split(b"\n")
            for line in lines:
                self._answer(line.decode(errors="replace"))
        else:
            self._at_prompt()

    def say(self, most: int, now: float) -> bytes:
        if self.meters and not self._out and now - self._told_at >= _REPORT_S:
            self._told_at = now
            self._line(truths.telemetry(), "t")
        is_due = self._left <= 0
        if self._way == "gone" and is_due:
            raise serial.SerialException("it was pulled out \x1b[2J")
        if self._way == "silent" and is_due:
            self._out.clear()
        if self._way == "flood" and is_due and len(self._out) < most:
            self._out += self._draw.choice((b"x" * 997, b"\x01" * 400, bytes(self._out[-2000:])))
        if self._way == "drip":
            most = min(most, 1)
        found = bytes(self._out[:most])
        del self._out[:most]
        return found

    # ---- what it says

    def _say(self, data: bytes) -> None:
        self._left -= 1
        if self._way == "bytes" and self._draw.random() < self._often:
            data = hostile(data, self._draw)
        self._out += data

    def _line(self, value: dict[str, Any], kind: str) -> None:
        draw = self._draw
        if self._way == "shapes" and draw.random() < self._often:
            value = spoil(value, _SHAPES[kind], draw)
        line = json.dumps(value, ensure_ascii=draw.random() < 0.7).encode(errors="surrogatepass")
        if self._way == "order" and draw.random() < self._often:
            other = json.dumps(truths.telemetry()).encode()
            line = draw.choice((b"", line + b"\n" + line, *_NOISE, other, line[:-9], line * 40))
        self._say(line + b"\r\n")

    def _answer(self, command: str) -> None:
        name, _, given = command.strip().partition(" ")
        header = truths.announced()
        about = {"reply": name}
        if name == "version":
            self._line({**about, **{k: header[k] for k in ("version", "board", "id")}}, name)
        elif name == "seal":
            self._line({**about, "sealed": False}, name)
        elif name == "calibration":
            self._line({**about, "calibration": self._calibration}, name)
        elif name == "calibrate":
            self._calibration = json.loads(given)
            self._line({**about, "calibration": self._calibration}, name)
        elif name in ("quiet", "demo"):
            self._line({**about, "seconds": 0}, name)
        elif name == "restart":
            self._line({**about, "restarting": True}, name)
        elif name == "capture":
            self._line(header, name)
            for line in truths.capture():
                self._line(line, "codes" if "codes" in line else "captured")
        elif name:
            self._line({**about, "error": "unknown; see help"}, "quiet")

    def _at_prompt(self) -> None:
        """MicroPython's raw prompt, without its raw paste."""
        if b"\x01" in self._typed and not self._typed.endswith(b"A\x01"):
            self._typed = self._typed.rpartition(b"\x01")[2]
            self._say(b"raw REPL; CTRL-B to exit\r\n>")
        if self._typed.endswith(b"\x05A\x01"):
            self._typed = b""
            self._say(b"R\x00")
        while b"\x04" in self._typed:
            code, _, self._typed = self._typed.partition(b"\x04")
            self._say(b"OK" + self._run(code.decode(errors="replace")) + b"\x04\x04>")

    def _run(self, code: str) -> bytes:
        if "machine.reset" in code:
            self.meters = True
        elif code.startswith("f=open("):
            self._aside[code.split("'")[1]] = b""
        elif "rename" in code:
            self._is_flashed = True
        elif "ilistdir" in code:
            return self._probed()
        elif "WDT(" in code:
            # It is left alone, and starts again.
            self.meters = True
        elif program := program_truths.of(code):
            before, told, shape = program
            if self._way == "shapes" and self._draw.random() < self._often:
                told = spoil(told, shape, self._draw)
            return before + json.dumps(told).encode() + b"\r\n"
        return b"{}\r\n" if "{}" in code else b""

    def _probed(self) -> bytes:
        files = dict(_FILES) if self._is_flashed else {"main.py": b"old", "threewire/b.mpy": b""}
        if not self._is_flashed:
            files |= {path: _FILES.get(path.removesuffix(ASIDE), b"") for path in self._aside}
        found: Any = {
            "version": [1, 26, 1],
            "machine": "Adafruit Feather RP2040 with RP2040",
            "arch": 4,
            "build": "ADAFRUIT_FEATHER_RP2040",
            "free": 1 << 20,
            "board": truths.LAYOUT.name,
            "files": {path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
        }
        if self._way == "shapes" and self._draw.random() < self._often:
            found = spoil(found, shapes.Probed, self._draw)
        return json.dumps(found).encode() + b"\r\n"


# ---- the tools


def _unplayed(*given: Any, **more: Any) -> Any:
    raise EngineFailed("not replayed here")


def _options(tool: str, folder: Path) -> list[str]:
    load = f"volts=120 amps={truths.AMPS} watts={120 * truths.AMPS}"
    return {
        "capture": ["--seconds", str(truths.SECONDS), "--out", str(folder / "c.npz")],
        "flash": ["--board", truths.LAYOUT.name],
        "calibrate": [
            *("--point", f"element=1 {load}", "--seconds", "2", "--yes"),
            *("--keep", str(folder / "k.json")),
        ],
        "monitor": ["--seconds", str(_WATCHED_S), "--csv", str(folder / "m.csv")],
        "console": [],
        "selftest": ["--seconds", "2"],
    }[tool]


TOOLS: dict[str, Callable[[list[str]], int]] = {
    "capture": capture.main,
    "flash": flash.main,
    "calibrate": calibrate.main,
    "monitor": monitor.main,
    "console": console.main,
    "selftest": selftest.main,
}


@contextlib.contextmanager
def _patched(folder: Path) -> Iterator[None]:
    """What takes long and reads nothing from a port is left out."""
    with (
        mock.patch.object(console, "Lines", _Typed),
        mock.patch.object(selftest, "choose_engine", lambda name: "cpython"),
        mock.patch.object(selftest, "FOLDER", folder),
        mock.patch.object(end_checks, "replay", _unplayed),
        mock.patch.object(image, "compile_module", lambda *given: bytes(1500)),
        mock.patch.object(capture, "choose_engine", lambda name: "cpython"),
        mock.patch.object(capture, "replay", _unplayed),
        mock.patch.object(image, "contents", lambda board: dict(_FILES)),
    ):
        yield


class _Typed:
    """In the place of the console's Lines, whose thread goes by another time."""

    def __init__(self, descriptor: int, longest: int) -> None:
        self._lines = list(_TYPED)

    @property
    def has_ended(self) -> bool:
        return not self._lines

    def take(self) -> bytes | None:
        return self._lines.pop(0) if self._lines else None


def _not_json(text: str) -> str:
    """What speaks against it; "" if nothing does."""

    def none(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        json.loads(text, parse_constant=none)
    except ValueError as problem:
        return str(problem)
    return ""


def problem(tool: str, seed: int) -> str:
    """What is wrong with how a tool ends with a hostile board; "" if nothing is."""
    board = HostileBoard(random.Random(seed))
    said = io.StringIO()
    with (
        tempfile.TemporaryDirectory(prefix="hostile") as folder,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        open(os.devnull) as stdin,
        mock.patch.object(sys, "stdin", stdin),
        plugged_in(board) as clock,
        _patched(Path(folder)),
    ):
        began = clock.now
        given = ["--port", "/dev/hostile", "--timeout", str(_TIMEOUT_S)]
        try:
            status = TOOLS[tool]([*given, *_options(tool, Path(folder))])
        except Exception:
            return traceback.format_exc()
        took = clock.now - began
        left = {path.name for path in Path(folder).iterdir()}
        for name in filter(_REPORT.fullmatch, left):
            if wrong := _not_json((Path(folder) / name).read_text()):
                return f"{name}: {wrong}"
    if status not in (0, 1, 2):
        return f"status {status}"
    if took > (_SELFTEST_S if tool == "selftest" else _MOST_S):
        return f"it took {took:.0f} s"
    if {name for name in left if not _REPORT.fullmatch(name)} - _KEPT:
        return f"it left {sorted(left)}"
    text = said.getvalue()
    harmful = [c for c in text if unicodedata.category(c) in _HARMFUL and c != "\n"]
    if harmful:
        return f"it has shown {harmful!r}"
    lines = text.splitlines()
    if status == 1 and tool in _TELLS and any(line.startswith(_TELLS[tool]) for line in lines):
        return ""
    if status and sum(line.startswith("error: ") for line in lines) != 1:
        return f"not one line of error: {text!r}"
    return ""


def rows(tries: int) -> list[Row]:
    """The table: so many hostile boards for each tool."""
    found = []
    for tool in TOOLS:
        lost = 0
        for seed in range(_SEED, _SEED + tries):
            if wrong := problem(tool, seed):
                lost += 1
                print(f"{tool}, board {seed}: {wrong}", file=sys.stderr)
        found.append(row(f"hostile boards: {tool}", tries, lost))
    return found


@reporting()
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 nothing was lost, 1 something was, 2 bad options."""
    parser = Parser(
        prog="python -m tools.reliability.hostile_board",
        description="Put every command that talks to a board before boards that lie.",
    )
    parser.add_argument(
        "--count", metavar="N", type=int, default=TRIES, help="boards a command (%(default)s)"
    )
    found = rows(parser.parse_args(argv).count)
    for of in found:
        print(f"{of['what']}: {of['tried']} tried, {of['lost']} lost")
    return 0 if all(of["pass"] for of in found) else 1


if __name__ == "__main__":
    sys.exit(main())
