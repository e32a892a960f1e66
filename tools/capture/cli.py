"""Gets raw ADC codes off a board, gapless, with the energy that the board itself has made of them.

Flow: the board's lines -> CAPTURE (receive, file) -> .npz -> replay, which must come to that very
energy, to the last bit; that is tried at once.
"""

import argparse
import os
from datetime import datetime
from pathlib import Path

import numpy as np

from threewire.metering.layout import SENSOR
from tools.cable import port as board_port
from tools.cable.console import BoardConsole
from tools.capture.file import CaptureFile
from tools.capture.receive import announce, check_seconds, receive, stopping
from tools.common import boards, command
from tools.common.command import say
from tools.common.errors import EngineFailed, PortError, Unavailable
from tools.common.files import check_writable, replacing, writable_folder
from tools.common.options import Parser
from tools.engines.interpreters import choose_engine
from tools.recordings.open import Capture, open_recording
from tools.replay.report import as_json
from tools.replay.result import Replay
from tools.replay.run import replay


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


def _sensor(path: Path) -> str:
    """What the chip's temperature sensor gave, as the constants have it."""
    capture = open_recording(path)
    assert isinstance(capture, Capture)
    total = sum(int(block[:, -1].sum(dtype=np.int64)) for block in capture.blocks())
    return f"{SENSOR}: calibrated_code_q4 would be {round(16 * total / capture.frames)} now"


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
        announced = announce(console, options.seconds)
        before = console.size
        with stopping(console):
            path = _path(options.out, announced.board)
            with (
                replacing(path) as aside,
                aside.open("wb") as opened,
                CaptureFile(opened, announced) as file,
            ):
                file.end(receive(console, announced, file))
                seconds = file.ticks / announced.tick_hz
        rate = (console.size - before) / seconds
    say(f"{path}: written; it took {rate / 1000:.1f} kB/s of the serial line")
    try:
        done = replay(path, engine=engine)
    except (Unavailable, EngineFailed) as problem:
        raise PortError(f"the capture is kept, but was not replayed: {problem}") from None
    _report(done, path)
    if SENSOR in announced.slots:
        print(_sensor(path))
    if not done.is_identical:
        raise PortError(
            f"{path}: the replay comes to another energy than the board: has the board the "
            "firmware of this folder (`make flash`)? Else this is a fault, please report it"
        )
    print("identical to the last bit")
