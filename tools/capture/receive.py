"""Receives a capture: asks the board for it, and takes its lines until the one that ends them.

Flow: the board's `capture` command -> RECEIVE (each line checked) -> capture file.  The lines are
described in firmware/threewire/operation/capture.py.
"""

import base64
import binascii
import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tools.cable.console import BoardConsole
from tools.cable.port import IN_ALL
from tools.cable.shapes import Announced, Captured, Codes, Telemetry
from tools.capture.file import CaptureFile
from tools.common import boards
from tools.common.command import Progress
from tools.common.errors import InputError, PortError, Refused
from tools.recordings.ranges import FRAME_HZ, SPANS, TICK_HZ

_LONGEST_S = 9999.0
# How a board answers that has no such command.
_UNKNOWN = "unknown; see help"


def check_seconds(seconds: float) -> None:
    """InputError for a length that no capture can have."""
    if not 0 < seconds <= _LONGEST_S:
        raise InputError(f"{seconds:g} s: expected more than 0, and {_LONGEST_S:g} at most")


def announce(console: BoardConsole, seconds: float) -> Announced:
    """Has a board that meters begin a capture; returns what it says is to come. Raises PortError
    and InputError; the board then goes on without a capture."""
    check_seconds(seconds)
    try:
        with stopping(console):
            announced = console.ask(f"capture {_asked(seconds)}", Announced)
            _check(console.port, announced, seconds)
    except Refused as problem:
        remedy = ": put this firmware on it, `make flash`" if str(problem) == _UNKNOWN else ""
        raise InputError(f"{console.port}: the board refuses: {problem}{remedy}") from None
    return announced


def _asked(seconds: float) -> str:
    return f"{seconds:.3f}"


def _check(port: str, announced: Announced, seconds: float) -> None:
    """PortError for a capture that is not what was asked for, or of a board that there is not."""
    try:
        layout = boards.load(announced.board)
    except InputError as problem:
        raise PortError(
            f"{port}: the board's firmware is not of this release ({problem}): flash it "
            "(`make flash BOARD=…`)"
        ) from None
    if list(layout.slots) != announced.slots:
        raise PortError(
            f"{port}: the board's slots are {' '.join(announced.slots)}, those of board "
            f"{layout.name} are {' '.join(layout.slots)}: flash it (`make flash BOARD=…`)"
        )
    rate_hz = announced.tick_hz / announced.frame_ticks
    for found, expected in ((announced.tick_hz, TICK_HZ), (rate_hz, FRAME_HZ)):
        if found not in expected:
            raise PortError(
                f"{port}: the board says that it has {found:g} {expected.unit}; "
                f"expected {expected}"
            )
    # As firmware/threewire/operation/captures.py counts them.
    ms = int(_asked(seconds).replace(".", ""))
    wanted = ms * announced.tick_hz // (1000 * announced.frame_ticks)
    if announced.frames != wanted:
        raise PortError(
            f"{port}: the board announces {announced.frames} frames; {seconds:g} s of it are "
            f"{wanted}"
        )


@contextlib.contextmanager
def stopping(console: BoardConsole) -> Iterator[None]:
    """What fails meanwhile ends the capture, which the board would else go on with."""
    try:
        yield
    except BaseException:
        # Whatever is typed ends it.
        with contextlib.suppress(PortError):
            console.send("")
        raise


def receive(console: BoardConsole, announced: Announced, file: CaptureFile) -> Captured:
    """Takes all frames into the file; returns what the board has made of them. Raises PortError
    when they do not come whole, or not in time."""
    rate_hz = announced.tick_hz / announced.frame_ticks
    progress = Progress("capturing", announced.frames / rate_hz, "s")
    try:
        energy = _take_lines(console, announced, file, lambda: progress.at(file.frames / rate_hz))
    finally:
        progress.done()
    if energy.lost:
        raise PortError(
            f"{console.port}: the board lost {energy.lost} frames after {file.frames}, for "
            "this computer or the cable did not take them fast enough; nothing is kept. Close "
            "other programs, or lower the board's rate (SAMPLER in its board file)"
        )
    if energy.captured != file.frames or file.frames != announced.frames:
        raise PortError(
            f"{console.port}: {file.frames} frames came of {announced.frames}: something else was "
            "typed there, which ends a capture; nothing is kept"
        )
    return energy


def _take_lines(
    console: BoardConsole, announced: Announced, file: CaptureFile, tell: Callable[[], None]
) -> Captured:
    """Takes lines of codes; returns the one that ends them."""
    port = console.port
    seconds = announced.frames * announced.frame_ticks / announced.tick_hz
    most_s = 2 * seconds + IN_ALL * console.timeout
    heard = time.monotonic()
    end = heard + most_s
    while True:
        line = console.poll()
        now = time.monotonic()
        if isinstance(line, Codes):
            heard = now
            _take(port, line, announced, file)
            tell()
        elif isinstance(line, Captured):
            return line
        elif isinstance(line, Telemetry) and file.frames:
            raise PortError(
                f"{port}: the board broke off after {file.frames} of {announced.frames} "
                "frames and went on metering: see its `traceback`; nothing is kept"
            )
        if now > heard + console.timeout:
            raise PortError(
                f"{port}: no frames came for {console.timeout:g} s after {file.frames} of "
                f"{announced.frames}; nothing is kept"
                + (f" ({console.misfit})" * bool(console.misfit))
            )
        if now > end:
            raise PortError(
                f"{port}: {file.frames} of {announced.frames} frames came within {most_s:g} s; "
                "where the board is that slow, allow it more (--timeout); nothing is kept"
            )


def _take(port: str, line: Codes, announced: Announced, file: CaptureFile) -> None:
    """Takes a line. Raises PortError for one that does not follow on."""
    slots = len(announced.slots)
    frames, odd = divmod(len(line.codes), 2 * slots)
    is_whole = not odd and binascii.crc32(line.codes.encode()) == line.crc
    spans = line.spans
    if not (is_whole and line.frame == file.frames and sum(n for n, _ in spans) == frames):
        raise PortError(
            f"{port}: the line with frame {file.frames} did not come whole: a poor "
            "cable, or another program that reads the port; nothing is kept"
        )
    if file.frames + frames > announced.frames:
        raise PortError(
            f"{port}: more frames came than the {announced.frames} that the board has announced; "
            "nothing is kept"
        )
    if file.spans not in SPANS:
        raise PortError(
            f"{port}: {file.spans} runs of frames of one length have come, {SPANS} can be "
            "kept: capture a shorter time; nothing is kept"
        )
    file.add(_codes(line.codes).reshape(frames, slots), spans)


def _codes(text: str) -> NDArray[np.uint16]:
    """Codes of two characters each: 12 bits, the upper six first, as base64 has them."""
    packed = np.frombuffer(base64.b64decode(text + "AA" * (len(text) // 2 % 2)), np.uint8)
    one, two, three = packed.reshape(-1, 3).T.astype(np.uint16)
    pairs = np.stack((one << 4 | two >> 4, (two & 15) << 8 | three), axis=1)
    return pairs.reshape(-1)[: len(text) // 2].astype(np.uint16)
