"""Proof on the emulated RP2040 that no loss of power takes more than what was not saved yet.

Flow: flash image -> EmulatedBoard, whose power or reset comes while it saves -> TRIALS -> rows of
a table.  What the flash holds is read here, with the host's littlefs.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/reliability/emulated_board.py
    sys.path[0] += "/../.."
    __import__("tools")

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from littlefs import LittleFSError

from threewire.storage import record
from threewire.storage.store import Store
from tools import image
from tools.bench.chip import load
from tools.common import boards, command
from tools.common.errors import BoardError, Unavailable
from tools.common.options import Parser
from tools.common.rows import Row, row, show
from tools.emulate import board as rp2040_board
from tools.emulate.board import EmulatedBoard

BOARD = boards.DEFAULT
# A save begins at most 20 ms after it has been asked for, and takes less than that here.
SAVE_S = 0.05
_RESETS = (16, 4)
_SAVES = (12, 2)
_SEED = 20


@dataclass(frozen=True)
class Stored:
    """The newest record of the registers in a flash.

    sequence   its number, 0: there is none
    registers  (watt-hours, residue) of each of the eight, in the keeper's order: delivered,
               received, those of element 1 and of element 2, estimated delivered and received
    reversed   of each element
    files      all other files, as they are
    """

    sequence: int
    registers: tuple[tuple[int, int], ...]
    reversed: tuple[bool, bool]
    files: dict[str, bytes]

    def lower_than(self, other: "Stored") -> bool:
        """Whether any register of this is behind the other's."""
        return any(mine < theirs for mine, theirs in zip(self.registers, other.registers))


class _Files:
    """What Store needs of a file system, of files that were read already."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def open(self, path: str, _mode: str) -> Any:
        try:
            return io.BytesIO(self._files[path])
        except KeyError:
            raise FileNotFoundError(2, path) from None


def stored(file_system: bytes) -> Stored:
    """Reads a flash's file system. Raises littlefs.LittleFSError when it cannot be mounted or
    read, ValueError when there are records and none is of use."""
    files = image.unpack(file_system, image.geometry(rp2040_board.FLASH))
    mine = {name: data for name, data in files.items() if name.startswith("registers/")}
    values, sequence, problems = Store(
        None, _Files(mine).open, "registers", "registers", record.REGISTERS
    ).load()
    others = {name: data for name, data in files.items() if name not in mine}
    if values is None:
        if problems:
            raise ValueError("; ".join(problems))
        return Stored(0, ((0, 0),) * 8, (False, False), others)
    numbers = [int(value) for value in values]
    registers = tuple(zip(numbers[4:20:2], numbers[5:20:2], strict=True))
    return Stored(sequence, registers, (bool(numbers[1] & 1), bool(numbers[1] & 2)), others)


def save(board: EmulatedBoard) -> Stored:
    """Has the board save, and waits for its answer."""
    answers = len(board.lines)
    board.type("save\r\n")
    board.run_until(
        lambda: any('"reply":"save"' in line.text for line in board.lines[answers:]),
        1.0,
        "answer to save",
    )
    return stored(board.file_system)


def states(board: EmulatedBoard) -> list[bytes]:
    """Has the board save, and returns every state that its flash goes through: what a loss of
    power would leave there."""
    found = [board.file_system]

    def note() -> None:
        now = board.file_system
        if now != found[-1]:
            found.append(now)

    board.on_flash = note
    save(board)
    board.on_flash = lambda: None
    return found


def _firmware(of: Stored) -> dict[str, bytes]:
    """The files that no save may touch."""
    return {name: data for name, data in of.files.items() if name.endswith((".mpy", ".py"))}


def _problem(file_system: bytes, least: Stored) -> str:
    """What is wrong with a flash that must hold at least what `least` has; "" if nothing is."""
    try:
        now = stored(file_system)
    except (LittleFSError, ValueError) as problem:
        return f"unreadable: {problem}"
    if now.sequence < least.sequence or now.lower_than(least):
        return f"record {now.sequence} instead of {least.sequence} or a later one"
    if _firmware(now) != _firmware(least):
        return "the firmware's files have changed"
    return ""


def _started(board: EmulatedBoard, runs: int) -> None:
    board.run_until(lambda: len(board.starts) > runs, 3.0, "conversion", 0.01)


def _row(what: str, tried: int, problems: list[str], found: str) -> Row:
    return row(what, tried, len(problems), problems[0] if problems else found)


def cuts(board: EmulatedBoard, saves: int) -> Row:
    """Every state of the flash in some saves of a board that meters: mounts, and has the record
    before or the new one."""
    problems: list[str] = []
    tried = 0
    before = save(board)
    for _ in range(saves):
        found = states(board)
        problems += [text for state in found if (text := _problem(state, before))]
        after = stored(found[-1])
        if after.sequence != before.sequence + 1:
            problems.append(f"record {after.sequence} after {before.sequence}")
        tried += len(found)
        before = after
    return _row("emulated board: power cuts in saves", tried, problems, "all states of the flash")


def resets(board: EmulatedBoard, count: int) -> Row:
    """Resets and losses of power in turn, spread over the time from before a save until after it;
    the board then starts and meters on from what it had saved."""
    problems: list[str] = []
    chance = random.Random(_SEED)
    least = save(board)
    for k in range(count):
        board.type("save\r\n")
        board.run((k + chance.random()) / count * SAVE_S)
        runs = len(board.starts)
        if k % 2:
            board.power_cycle()
        else:
            board.hard_reset()
        if text := _problem(board.file_system, least):
            problems.append(text)
        try:
            least = stored(board.file_system)
            _started(board, runs)
            # What it has restored shows in what it saves.
            now = save(board)
        except (BoardError, LittleFSError, ValueError) as problem:
            problems.append(str(problem))
            break
        if now.sequence <= least.sequence or now.lower_than(least):
            problems.append(f"record {now.sequence} is lower than {least.sequence} before it")
        least = now
    return _row("emulated board: resets in saves", count, problems, "metering goes on each time")


def rows(short: bool = False) -> list[Row]:
    """The table: the whole firmware on the official MicroPython, with 16 resets, or 4 in the
    short form, each of which takes about fifteen seconds.

    Raises Unavailable, BoardError.
    """
    file_system = image.build(BOARD, rp2040_board.FLASH)
    with EmulatedBoard(file_system, BOARD, load(), rp2040_board.find_uf2()) as board:
        _started(board, 0)
        return [cuts(board, _SAVES[short]), resets(board, _RESETS[short])]


@command.reporting(failed=2)
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all passed, 1 something did not, 2 it could not be tried."""
    parser = Parser(
        prog="python -m tools.reliability.emulated_board",
        description="Reset the emulated RP2040 and take its power away while it saves.",
        epilog="example: %(prog)s --short",
    )
    parser.add_argument("--short", action="store_true", help="fewer resets: some minutes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args(argv)
    try:
        table = rows(options.short)
    except (Unavailable, BoardError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return show(table, options.json)


if __name__ == "__main__":
    sys.exit(main())
