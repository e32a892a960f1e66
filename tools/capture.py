"""Gets raw ADC codes off a board, gapless, with the energy that the board itself has made of them.

Flow: the board's `capture` command -> CAPTURE -> .npz -> replay, which must come to that very
energy, to the last bit; that is tried at once.  The lines are described in
firmware/threewire/operation/capture.py.
"""

import argparse
import base64
import binascii
import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from tools.cable import port as board_port
from tools.cable.console import BoardConsole
from tools.common import boards, command
from tools.common.command import Progress, say
from tools.common.errors import EngineFailed, InputError, PortError, Refused, Unavailable
from tools.common.files import check_writable, replacing, writable_folder
from tools.common.options import Parser
from tools.engines.interpreters import choose_engine
from tools.replay.report import as_json
from tools.replay.result import Replay
from tools.replay.run import replay

_LONGEST_S = 9999.0
# How a board answers that has no such command.
_UNKNOWN = "unknown; see help"


@dataclass
class Captured:
    """What came: `facts` as the board announced it, `energy` as it ended it, codes of shape
    (frames, slots), (frames, ticks of each) of its runs of frames of one length, and size, the
    bytes that they took on the serial line.
    """

    facts: dict[str, Any]
    codes: NDArray[np.uint16]
    spans: list[tuple[int, int]]
    energy: dict[str, Any]
    size: int

    @property
    def seconds(self) -> float:
        """Their length."""
        return sum(frames * ticks for frames, ticks in self.spans) / self.facts["tick_hz"]


@dataclass
class _Lines:
    """Lines of codes put together again.  Raises PortError for one that does not follow on."""

    port: str
    slots: int
    frames: int = 0
    parts: list[NDArray[np.uint16]] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0  # bytes of the lines

    def take(self, line: dict[str, Any]) -> None:
        text, spans = str(line["codes"]), line.get("spans")
        is_whole = binascii.crc32(text.encode()) == line.get("crc")
        try:
            codes = _codes(text)
        except ValueError:
            is_whole = False
            codes = np.array([], np.uint16)
        n = len(codes) // self.slots
        if not (is_whole and line.get("frame") == self.frames and _fits(spans, n)):
            raise PortError(
                f"{self.port}: the line with frame {self.frames} did not come whole: a poor "
                "cable, or another program that reads the port; nothing is kept"
            )
        self.size += len(json.dumps(line, separators=(",", ":"))) + 1
        self.parts.append(codes[: n * self.slots].reshape(n, self.slots))
        self.frames += n
        for frames, ticks in spans:
            if self.spans and self.spans[-1][1] == ticks:
                frames += self.spans.pop()[0]
            self.spans.append((frames, ticks))


def _fits(spans: Any, frames: int) -> TypeGuard[list[list[int]]]:
    """Whether these are spans of so many frames in all."""
    try:
        return frames == sum(n for n, ticks in spans if n > 0 and ticks > 0)
    except (TypeError, ValueError):
        return False


def _codes(text: str) -> NDArray[np.uint16]:
    """Codes of two characters each: 12 bits, the upper six first, as base64 has them."""
    packed = np.frombuffer(base64.b64decode(text + "AA" * (len(text) // 2 % 2)), np.uint8)
    one, two, three = packed.reshape(-1, 3).T.astype(np.uint16)
    pairs = np.stack((one << 4 | two >> 4, (two & 15) << 8 | three), axis=1)
    return pairs.reshape(-1)[: len(text) // 2].astype(np.uint16)


def check_seconds(seconds: float) -> None:
    """InputError for a length that no capture can have."""
    if not 0 < seconds <= _LONGEST_S:
        raise InputError(f"{seconds:g} s: expected more than 0, and {_LONGEST_S:g} at most")


def capture(console: BoardConsole, seconds: float) -> Captured:
    """Captures from a board that meters. Raises PortError and InputError; the board then goes on
    without the capture."""
    check_seconds(seconds)
    try:
        facts = console.ask(f"capture {seconds:.3f}")
    except Refused as problem:
        remedy = ": put this firmware on it, `make flash`" if str(problem) == _UNKNOWN else ""
        raise InputError(f"{console.port}: the board refuses: {problem}{remedy}") from None
    lines = _Lines(console.port, len(facts["slots"]))
    rate = facts["tick_hz"] / facts["frame_ticks"]
    progress = Progress("capturing", facts["frames"] / rate, "s")
    try:
        energy = _receive(console, facts, lines, progress)
    except BaseException:
        # Whatever is typed ends the capture, which the board would else go on with.
        with contextlib.suppress(PortError):
            console.send("")
        raise
    finally:
        progress.done()
    if energy.get("lost"):
        raise PortError(
            f"{console.port}: the board lost {energy['lost']} frames after {lines.frames}, for "
            "this computer or the cable did not take them fast enough; nothing is kept. Close "
            "other programs, or lower the board's rate (SAMPLER in its board file)"
        )
    if energy.get("captured") != lines.frames or lines.frames != facts["frames"]:
        raise PortError(
            f"{console.port}: {lines.frames} frames came of {facts['frames']}: something else was "
            "typed there, which ends a capture; nothing is kept"
        )
    return Captured(facts, np.concatenate(lines.parts), lines.spans, energy, lines.size)


def _receive(
    console: BoardConsole, facts: dict[str, Any], lines: _Lines, progress: Progress
) -> dict[str, Any]:
    """Takes lines of codes; returns the one that ends them."""
    heard = time.monotonic()
    while True:
        line = console.poll() or {}
        if "codes" in line:
            heard = time.monotonic()
            lines.take(line)
            progress.at(lines.frames)
        elif "captured" in line:
            return line
        elif "t" in line and lines.frames:
            raise PortError(
                f"{console.port}: the board broke off after {lines.frames} of {facts['frames']} "
                "frames and went on metering: see its `traceback`; nothing is kept"
            )
        elif time.monotonic() > heard + console.timeout:
            raise PortError(
                f"{console.port}: no frames came for {console.timeout:g} s after "
                f"{lines.frames} of {facts['frames']}; nothing is kept"
            )


def save(captured: Captured, path: Path) -> None:
    """Writes the .npz that tools/recordings/npz.py describes. Raises InputError."""
    facts = captured.facts
    arrays: dict[str, Any] = {
        "codes": captured.codes,
        "slots": np.array(facts["slots"]),
        "board": np.array(facts["board"]),
        "id": np.array(facts["id"]),
        "firmware": np.array(facts["version"]),
        "tick_hz": np.array(facts["tick_hz"]),
        "frame_ticks": np.array(facts["frame_ticks"]),
        "calibration": np.array(json.dumps(facts["calibration"])),
        "energy": np.array(json.dumps(captured.energy)),
    }
    if captured.spans != [(len(captured.codes), facts["frame_ticks"])]:
        arrays["spans"] = np.array(captured.spans, np.int64)
    with replacing(path) as aside, aside.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _path(given: str | None, board: str) -> Path:
    if given is not None:
        return check_writable(given, (".npz",))
    folder = writable_folder(boards.ROOT / "build" / "captures")
    return Path(os.path.relpath(folder / f"{board}-{datetime.now():%Y%m%d-%H%M%S}.npz"))


def _report(done: Replay, path: Path) -> None:
    assert done.captured is not None
    result = done.metered.result
    print(f"{path}: {done.seconds:.3f} s, {result['frames']} frames of board {done.board}")
    print(f"{'':12}{'delivered Wh':>20}{'received Wh':>20}")
    for name, energy in (("board", done.captured), (done.engine, as_json(done))):
        print(f"{name:12}{energy['delivered_wh']:>20}{energy['received_wh']:>20}")


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 captured, and the replay agrees to the last bit; 1 not; 2 what is given
    cannot be used."""
    parser = Parser(
        prog=command.name("capture"),
        description="Get a board's raw ADC codes, and replay them here to the board's own energy.",
        epilog="example: %(prog)s --seconds 10 --out kettle.npz",
    )
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="default 5")
    parser.add_argument(
        "--out", metavar="FILE", help=".npz (default: build/captures/BOARD-TIME.npz)"
    )
    parser.add_argument("--engine", metavar="NAME", help="of the replay (default micropython)")
    board_port.add_arguments(parser, 15.0)
    options = parser.parse_args(argv)
    _capture_and_replay(options)
    return 0


def _capture_and_replay(options: argparse.Namespace) -> None:
    # All that can be wrong with what was asked for, before the board is.
    check_seconds(options.seconds)
    _path(options.out, "")
    engine = choose_engine(options.engine)
    with BoardConsole(board_port.find(options.port), options.timeout) as console:
        captured = capture(console, options.seconds)
    path = _path(options.out, captured.facts["board"])
    save(captured, path)
    rate = captured.size / captured.seconds
    say(f"{path}: written; it took {rate / 1000:.1f} kB/s of the serial line")
    try:
        done = replay(path, engine=engine)
    except (Unavailable, EngineFailed) as problem:
        raise PortError(f"the capture is kept, but was not replayed: {problem}") from None
    _report(done, path)
    if not done.is_identical:
        raise PortError(
            f"{path}: the replay comes to another energy than the board: has the board the "
            "firmware of this folder (`make flash`)? Else this is a fault, please report it"
        )
    print("identical to the last bit")


if __name__ == "__main__":
    sys.exit(main())
