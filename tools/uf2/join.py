"""MicroPython and a board's file system, in one file for the disk that BOOTSEL shows.

Flow: MicroPython's .uf2, tools.image's file system -> JOIN -> a .uf2.
"""

from tools import image
from tools.common import boards
from tools.common.errors import InputError
from tools.uf2 import blocks, program
from tools.uf2.blocks import SECTOR, Flash
from tools.uf2.program import Program


def join(board: str, name: str, micropython: bytes) -> tuple[bytes, Program]:
    """The file for a board, and the MicroPython in it.

    name         of MicroPython's file, for messages
    micropython  its content

    Raises InputError when that is not this board's, or the board has no such disk.
    """
    module = boards.module(board)
    chip = check_board(board)
    flash = blocks.read(name, micropython, chip)
    found = program.look(name, flash.pages)
    page = f"get the .uf2 at https://micropython.org/download/{module.MICROPYTHON}/"
    if found.numbers < image.least(board):
        least = ".".join(map(str, image.least(board)))
        raise InputError(f"{name}: is MicroPython {found.version}, v{least} is the least: {page}")
    if not program.is_build(flash.pages, module.MICROPYTHON):
        others = [
            other
            for other in boards.names()
            if chip == boards.module(other).CHIP
            and program.is_build(flash.pages, boards.module(other).MICROPYTHON)
        ]
        whose = f", but for BOARD={' or '.join(others)}" if others else ""
        raise InputError(
            f"{name}: is not MicroPython for board {board} ({module.MICROPYTHON}){whose}: {page}"
        )
    geometry = image.geometry(board)
    if found.size != geometry.size:
        raise InputError(
            f"{name}: MicroPython {found.version} has {found.size // SECTOR} blocks for files, "
            f"board file {board} has {geometry.blocks}: {page}, in another version"
        )
    end = max(flash.pages) + blocks.PAGE
    if end > found.start:
        raise InputError(
            f"{name}: reaches to 0x{end:08x}, into the file system, which begins at "
            f"0x{found.start:08x}; expected MicroPython alone: {page}"
        )
    pages = dict(flash.pages)
    files = image.build(board)
    for block in image.in_use(files, geometry):
        for at in range(block * SECTOR, (block + 1) * SECTOR, blocks.PAGE):
            pages[found.start + at] = files[at : at + blocks.PAGE]
    return blocks.write(Flash(pages, flash.lead), chip), found


def check_board(board: str) -> str:
    """The chip of a board that shows a disk. Raises InputError for another."""
    chip = boards.module(board).CHIP
    if chip not in blocks.FAMILIES:
        raise InputError(
            f"board {board}: its {chip} shows no disk to copy a .uf2 to; put MicroPython on it "
            f"with esptool, and then use flash; boards that show one: {', '.join(with_a_disk())}"
        )
    return chip


def with_a_disk() -> list[str]:
    """The boards that show one, sorted."""
    return [name for name in boards.names() if boards.module(name).CHIP in blocks.FAMILIES]
