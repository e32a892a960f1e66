"""One file for a fresh board: make uf2 BOARD=… MICROPYTHON=FILE.uf2.

Flow: options -> UF2 -> join -> build/BOARD.uf2 -> the disk that BOOTSEL shows.
"""

from pathlib import Path

from tools.common import boards, command
from tools.common.errors import InputError
from tools.common.files import check_file, check_writable, reason, writable_folder, write_whole
from tools.common.options import Parser
from tools.uf2.join import check_board, join, with_a_disk

# No build of MicroPython's comes near, nor a chip's flash of 16 MB with its blocks' headers.
_MOST = 64 << 20

_WHAT_FOR = """\
For a fresh board: hold its BOOTSEL (BOOT) down, plug it in, and copy this file onto the disk that
appears.  The disk goes, and after some ten seconds the board meters.
A board that has metered would lose its registers, calibration and log by it; what keeps them is
    make flash BOARD={board}"""


def _read(path: Path) -> bytes:
    check_file(path, "UF2 of MicroPython")
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from None
    if len(data) > _MOST:
        raise InputError(f"{path}: is larger than {_MOST} bytes; a UF2 of MicroPython is smaller")
    return data


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 what is given cannot be used."""
    parser = Parser(
        prog=command.name("uf2"),
        description="Join the official MicroPython and a board's firmware in one .uf2 file, for "
        "the disk that a fresh RP2040 or RP2350 board shows when BOOTSEL is held down.",
        epilog="A board that has metered would lose its registers, calibration and log: use "
        f"{command.name('flash')} there. example: %(prog)s --board pico --micropython "
        "RPI_PICO-20250911-v1.26.1.uf2",
    )
    parser.add_argument("--board", metavar="NAME", help="board file")
    parser.add_argument(
        "--micropython",
        type=Path,
        metavar="FILE",
        help="MicroPython's .uf2 for this very board, from micropython.org/download",
    )
    parser.add_argument("--out", metavar="FILE", help="default: build/BOARD.uf2")
    options = parser.parse_args(argv)
    if options.board is None:
        raise InputError(f"which board? BOARD= (--board) one of {', '.join(with_a_disk())}")
    check_board(options.board)
    if options.micropython is None:
        build = boards.module(options.board).MICROPYTHON
        raise InputError(
            "which MicroPython? MICROPYTHON= (--micropython) the .uf2 from "
            f"https://micropython.org/download/{build}/"
        )
    micropython = _read(options.micropython)
    if options.out is None:
        out = writable_folder(boards.ROOT / "build") / f"{options.board}.uf2"
    else:
        out = check_writable(options.out, (".uf2",))
    if out.exists() and out.samefile(options.micropython):
        raise InputError(f"{out}: is MicroPython's own file; name another")
    data, program = join(options.board, str(options.micropython), micropython)
    write_whole(out, data)
    print(f"{out}: {len(data)} bytes, with MicroPython {program.version}")
    print(_WHAT_FOR.format(board=options.board))
    return 0
