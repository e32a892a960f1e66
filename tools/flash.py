"""Puts the firmware on a board, and waits for its first line: make flash BOARD=… [PORT=…].

Flow: tools.image's files -> FLASH -> board prompt; then the board's console.  Only what differs is
copied.  Registers, calibration and log are never touched.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/flash.py
    sys.path[0] += "/.."
    __import__("tools")

import argparse
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from threewire.chip.chips import CHIPS
from tools import image
from tools.cable import console as board_console
from tools.cable import port as board_port
from tools.cable.port import Whereabouts
from tools.cable.prompt import ASIDE, Found, Prompt, folders_of
from tools.common import boards, command
from tools.common.command import say
from tools.common.errors import InputError, PortError
from tools.common.flash_code import BLOCK
from tools.common.options import Parser
from tools.monitor.report import Report, from_line
from tools.monitor.screen import plain_line

# Blocks that littlefs needs for itself when files come and go.
_SPARE_BLOCKS = 4
_FOLDER_BLOCKS = 2
_FOLDER = "threewire/"
# What ours take the place of, or what would be imported in the place of ours; where we have not
# been before it is somebody else's.
_IN_THE_WAY = ("main.py", "main.mpy", "board.py", "board.mpy")
_OURS_NO_MORE = (*_IN_THE_WAY, "main.py" + ASIDE, "board.mpy" + ASIDE)
_ANY_BUILD = "who knows that pins and flash are right goes on with ANY_BUILD=1 (--any-build)"
_ON_IT = "the new firmware is on it, and a slow board takes a longer TIMEOUT= (--timeout)"


@dataclass(frozen=True)
class Plan:
    """What has to be done: files to write (path -> bytes), paths to remove, and somebody else's
    files to keep, each with the name that it gets."""

    fresh: Mapping[str, bytes]
    stale: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]


def check(found: Found, board: str) -> None:
    """InputError unless this board file's firmware can run there."""
    module = boards.module(board)
    told = _dotted(found.version)
    chip = _chip(found.machine)
    if chip != module.CHIP:
        same = [name for name in boards.names() if chip == boards.module(name).CHIP]
        raise InputError(
            f"the board is a {found.machine!r}, board file {board} is for {module.CHIP}: another "
            f"BOARD=, of {', '.join(_made_for(found) or same or boards.names())}"
        )
    # The board file's least is that of its own build.
    least = image.least(board) if _build(found) in ("", module.MICROPYTHON) else image.LEAST
    if found.version < least:
        raise InputError(
            f"the board has MicroPython {told}, {_dotted(least)} is the least: get one at "
            f"{_page(board)}"
        )
    row = CHIPS[module.CHIP]
    if found.arch != row["mpy_arch_number"]:
        raise InputError(
            f"the board's MicroPython {told} takes no {row['mpy_arch']} code: it is another "
            f"build for {found.machine!r}; get the one at {_page(board)}"
        )


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def _page(board: str) -> str:
    return f"https://micropython.org/download/{boards.module(board).MICROPYTHON}/"


def _chip(machine: str) -> str:
    """The chip that MicroPython names at the end of its machine's name, as board files call it.

    Up to 1.28 that was "ESP32S3", then "ESP32-S3", and some builds name a chip of that family, as
    "ESP32-S3-FN8"; "ESP32-D0WDQ6", "ESP32-PICO-D4" and others are plain ESP32s.
    """
    name = machine.rpartition(" with ")[2].upper()
    esp32 = re.match(r"ESP32-?([SCHP][1-9]\d*)", name)
    if esp32:
        return f"esp32{esp32[1]}".lower()
    # What follows the chip's name is its variety: "RP2350-RISCV".
    return name.partition("-")[0].lower()


def _build(found: Found) -> str:
    # ESP32_GENERIC-SPIRAM is a variant of ESP32_GENERIC.
    return found.build.partition("-")[0]


def _made_for(found: Found) -> list[str]:
    """The board files that the MicroPython there is made for: by its build's name, else by what
    it calls the board."""
    build = _build(found)

    def is_for(name: str) -> bool:
        board = boards.module(name)
        if build:
            return build == board.MICROPYTHON
        # A variant says more: "Generic ESP32 module with SPIRAM with ESP32".
        return found.machine.startswith(f"{board.MACHINE} with ")

    return [name for name in boards.names() if is_for(name)]


def misfit(found: Found, board: str) -> str:
    """What speaks against this board file, and what would be right: the MicroPython there is made
    for another board with the same chip. "" where all is well, or where it does not tell."""
    build = _build(found)
    made_for = _made_for(found)
    if board in made_for or not (build or made_for):
        return ""
    least = image.least(board)
    since = f" {_dotted(least)} or later" if least > image.LEAST else ""
    remedy = f"MicroPython{since} from {_page(board)}"
    if made_for:
        remedy = f"BOARD={' or '.join(made_for)}, or {remedy}"
    return (
        f"the MicroPython there is {build or found.machine}, board file {board} is for "
        f"{boards.module(board).MICROPYTHON}: take {remedy}"
    )


def make_plan(found: Found, files: Mapping[str, bytes]) -> Plan:
    """What differs. Raises InputError when it does not fit, or would cost somebody's program."""
    fresh = {
        path: data
        for path, data in files.items()
        if found.files.get(path) != hashlib.sha256(data).hexdigest()
    }
    kept = () if found.has_firmware else tuple(_kept(found, files, fresh))
    # What is left of a copy that was broken off, of earlier releases, or would be imported first.
    asides = {path + ASIDE for path in fresh}  # written anew, and moved away
    stale = tuple(
        path
        for path in found.files
        if path not in files
        and path not in asides
        and path not in dict(kept)
        and (path.startswith(_FOLDER) or path in _OURS_NO_MORE)
    )
    needed = sum(-(-len(data) // BLOCK) for data in fresh.values())
    needed += _FOLDER_BLOCKS * len(set(folders_of(fresh)) - set(folders_of(found.files)))
    if fresh and (needed + _SPARE_BLOCKS) * BLOCK > found.free:
        raise InputError(
            f"the board's file system has {found.free} bytes free, {needed * BLOCK} are needed "
            "to put the new files beside the old: take away what is not needed (mpremote fs rm)"
        )
    return Plan(fresh, stale, kept)


def _kept(
    found: Found, files: Mapping[str, bytes], fresh: Mapping[str, bytes]
) -> Iterator[tuple[str, str]]:
    for path in _IN_THE_WAY:
        if path in found.files and (path in fresh or path not in files):
            name, _, suffix = path.partition(".")
            new = f"{name}.before.{suffix}"
            if new in found.files:
                raise InputError(
                    f"the board has a {path} that is not ours, and a {new} as well: take one away "
                    "(mpremote fs rm)"
                )
            yield path, new


def flash(board: str | None, port: str | None, timeout: float, any_build: bool = False) -> Report:
    """Flashes a board; returns its first report.

    board      board file's name; None: the one that the firmware on the board says it is
    any_build  also where its MicroPython is made for another board with the same chip

    Raises PortError and InputError. The firmware is then as it was, and meters on; or it is the
    new one, whose first line did not come, and the error says so.
    """
    if board is not None:
        boards.load(board)
    with Prompt(board_port.find(port), timeout) as prompt:
        where = Whereabouts(prompt.port)
        try:
            found = prompt.look()
            _bring_up_to_date(prompt, found, board or found.board, any_build)
        except BaseException:
            # Ctrl-C too: whatever the board ran before, it runs that again.
            prompt.abandon()
            raise
        prompt.reset()
    try:
        console, line = board_console.started(where, timeout)
    except PortError as problem:
        raise PortError(f"{problem}; {_ON_IT}") from None
    console.close()
    return from_line(line)


def _bring_up_to_date(prompt: Prompt, found: Found, board: str, any_build: bool) -> None:
    if board not in boards.names():
        raise InputError(f"which board is it? BOARD= (--board) one of {', '.join(boards.names())}")
    say(f"{prompt.port}: {found.machine}, MicroPython {_dotted(found.version)}")
    check(found, board)
    if wrong := misfit(found, board):
        if not any_build:
            raise InputError(f"{wrong}; {_ANY_BUILD}")
        say(f"warning: {wrong}")
    if found.board not in ("", board):
        say(f"it was flashed as {found.board}: constants calibrated for that are not used")
    plan = make_plan(found, image.contents(board))
    for path, new in plan.kept:
        say(f"the {path} there is not ours: it is kept as {new}")
    if plan.fresh or plan.stale or plan.kept:
        prompt.put(plan.fresh, plan.kept, plan.stale)
    say(f"{len(plan.fresh)} files copied, {len(plan.stale)} removed; starting")


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 the board meters, 1 it cannot be reached or does not answer, 2 it is not
    one that this can be put on, or what is given cannot be used."""
    parser = Parser(
        prog=command.name("flash"),
        description="Put the firmware on a board, keeping its registers and calibration.",
        epilog="example: %(prog)s --board feather_rp2040 --port /dev/ttyACM0",
    )
    parser.add_argument(
        "--board",
        metavar="NAME",
        help=f"{', '.join(boards.names())} (default: the one that was flashed before)",
    )
    parser.add_argument(
        "--any-build",
        action="store_true",
        help="also where its MicroPython is made for another board with the same chip",
    )
    board_port.add_arguments(parser, 30.0)
    options = parser.parse_args(argv)
    _flash_and_show(options)
    return 0


def _flash_and_show(options: argparse.Namespace) -> None:
    report = flash(options.board, options.port, options.timeout, options.any_build)
    say("the board meters; its first line:")
    print(plain_line(report, datetime.now(UTC)))


if __name__ == "__main__":
    sys.exit(main())
