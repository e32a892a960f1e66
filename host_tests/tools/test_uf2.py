"""MicroPython and the firmware in one file: copied onto a chip by its boot ROM's own rules, it is
MicroPython's program and the board's files, whatever the flash has held; and it boots."""

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from littlefs import LittleFS, UserContext

from host_tests.rigs import boot_rom
from host_tests.rigs.boot_rom import PAGE, RP2040, RP2350_ARM, RP2350_RISCV, SECTOR, XIP, Rom
from tools import image
from tools.common import boards
from tools.common.boards import ROOT
from tools.emulate.board import EmulatedBoard
from tools.uf2 import cli

# A Pico's flash, and what MicroPython keeps of it for files (ports/rp2/boards/RPI_PICO).
PICO_FLASH, PICO_FILES = 2 << 20, 1408 << 10
PICO_START = PICO_FLASH - PICO_FILES
FAMILIES = {"rp2040": RP2040, "rp2350": RP2350_ARM}
WITH_A_DISK = [name for name in boards.names() if boards.module(name).CHIP in FAMILIES]


@pytest.fixture(scope="module", autouse=True)
def built_once() -> Iterator[None]:
    """A board's file system takes a second to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "build", functools.cache(image.build))
        patch.setattr(image, "contents", functools.cache(image.contents))
        yield


def join(folder: Path, board: str, micropython: Path) -> bytes:
    out = folder / "joined.uf2"
    given = ["--board", board, "--micropython", str(micropython), "--out", str(out)]
    assert cli.main(given) == 0
    return out.read_bytes()


def built(
    folder: Path, board: str, flash: int = 16 << 20, lead: bytes = b"", **other: Any
) -> Path:
    """The file of a program of MicroPython's kind for a board."""
    module = boards.module(board)
    size = image.geometry(board).size
    usual = {"build": module.MICROPYTHON, "start": flash - size, "size": size}
    made = boot_rom.program(module.CHIP, **{**usual, **other})
    path = folder / "micropython.uf2"
    path.write_bytes(lead + boot_rom.uf2_of(made, FAMILIES[module.CHIP]))
    return path


def noise(size: int) -> bytearray:
    return bytearray(random.Random(5).randbytes(size))


def mounted(flash: bytes | bytearray, blocks: int) -> LittleFS:
    context = UserContext(buffer=bytearray(flash))
    return LittleFS(
        context=context,
        block_size=SECTOR,
        block_count=blocks,
        read_size=32,
        prog_size=256,
        cache_size=1024,
        lookahead_size=32,
    )


def files_in(flash: bytes | bytearray) -> dict[str, bytes]:
    """As littlefs finds them."""
    fs = mounted(flash, len(flash) // SECTOR)
    found = {}
    for folder, _, names in fs.walk("/"):
        for name in names:
            with fs.open(f"{folder}/{name}", "rb") as file:
                found[f"{folder}/{name}".lstrip("/")] = file.read()
    return found


# ---- what is on the chip afterwards


def test_a_pico_has_its_micropython_and_its_files(tmp_path: Path, uf2: Path) -> None:
    joined = boot_rom.blocks(join(tmp_path, "pico", uf2))
    theirs = boot_rom.pages(uf2.read_bytes(), RP2040)
    # Systems write a file's blocks in their own order, and some of them twice.
    shuffled = [*joined, *joined[40:60]]
    random.Random(3).shuffle(shuffled)
    last = shuffled.pop()
    for order in (joined, [*(each for each in shuffled if each != last), last]):
        rom = Rom(noise(PICO_FLASH), "rp2040")
        rom.copy(order)
        assert rom.rebooted
        for address, page in theirs.items():
            assert rom.flash[address - XIP : address - XIP + PAGE] == page
        assert files_in(rom.flash[PICO_START:]) == image.contents("pico")


@pytest.mark.parametrize("board", WITH_A_DISK)
@pytest.mark.parametrize("lead", [b"", boot_rom.lead(), boot_rom.lead(tagged=False)])
def test_every_board_with_a_disk(tmp_path: Path, board: str, lead: bytes) -> None:
    """In a flash of 16 MB, in whose last sector the block of RP2350-E10 writes."""
    chip = boards.module(board).CHIP
    if lead and chip == "rp2040":
        return  # such a file is none of its chip's: below
    source = built(tmp_path, board, lead=lead, version="v1.29.0")
    joined = join(tmp_path, board, source)
    assert joined.startswith(lead)
    rom = Rom(noise(16 << 20), chip)
    rom.copy(boot_rom.blocks(joined))
    assert rom.rebooted
    for address, page in boot_rom.pages(source.read_bytes(), FAMILIES[chip]).items():
        assert rom.flash[address - XIP : address - XIP + PAGE] == page
    assert files_in(rom.flash[-image.geometry(board).size :]) == image.contents(board)


def test_texts_that_the_program_has_copied_to_ram(tmp_path: Path) -> None:
    join(tmp_path, "pico", built(tmp_path, "pico", PICO_FLASH, in_ram=True))


def test_every_16_blocks_are_one_sector(tmp_path: Path) -> None:
    """As the RP2040's boot ROM needs it (erratum RP2040-E14), with a program that ends in the
    midst of a sector."""
    source = built(tmp_path, "pico", PICO_FLASH, length=300_300)
    assert len(boot_rom.blocks(source.read_bytes())) % 16
    joined = boot_rom.blocks(join(tmp_path, "pico", source))
    for first in range(0, len(joined), 16):
        start = joined[first].address
        assert start % SECTOR == 0
        assert [each.address for each in joined[first : first + 16]] == [
            *range(start, start + SECTOR, PAGE)
        ]
    assert [(each.number, each.count) for each in joined] == [
        (k, len(joined)) for k in range(len(joined))
    ]


def worn(files: bytes) -> bytes:
    """A file system that has lived on from this one: its folders have been written often, and
    hold other things."""
    fs = mounted(files, len(files) // SECTOR)
    folders = [folder for folder, _, _ in fs.walk("/")]
    for k in range(120):
        for folder in folders:
            with fs.open(f"{folder}/old{k % 3}.bin", "wb") as file:
                file.write(bytes(60))
    fs.unmount()
    return bytes(fs.context.buffer)  # pyright: ignore[reportAttributeAccessIssue]


def test_nothing_of_an_earlier_file_system_comes_back(tmp_path: Path) -> None:
    """Of a folder's two blocks littlefs takes that with the higher count."""
    ours = image.contents("pico")
    files = image.build("pico")
    stale = worn(files)
    assert files_in(stale) != ours
    rom = Rom(noise(PICO_START) + stale, "rp2040")
    rom.copy(boot_rom.blocks(join(tmp_path, "pico", built(tmp_path, "pico", PICO_FLASH))))
    assert files_in(rom.flash[PICO_START:]) == ours
    # It would, if only the blocks came that have something in them.
    partly = bytearray(stale)
    for at in range(0, len(files), SECTOR):
        if files[at : at + SECTOR] != b"\xff" * SECTOR:
            partly[at : at + SECTOR] = files[at : at + SECTOR]
    assert files_in(partly) != ours


@pytest.mark.rp2040
def test_it_boots_and_meters(tmp_path: Path, uf2: Path) -> None:
    """All that the emulated chip has is what its boot ROM has made of the file, in a flash that
    has held something else."""
    rom = Rom(noise(PICO_FLASH), "rp2040")
    rom.copy(boot_rom.blocks(join(tmp_path, "pico", uf2)))
    assert rom.rebooted
    with EmulatedBoard(bytes(PICO_FILES), "pico", uf2=uf2) as board:
        assert len(board.mcu.flash) >= PICO_FLASH
        board.mcu.flash[:] = bytes(rom.flash).ljust(len(board.mcu.flash), b"\xff")
        (line,) = board.wait_reports(1, 8.0)
    assert line["t"] >= 1 and len(line["elements"]) == 2 and line["leds"]["kwh"]


# ---- what is refused


def refused(folder: Path, given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line; what there was stays."""
    out = folder / "kept.uf2"
    out.write_bytes(b"kept")
    before = sorted(folder.iterdir())
    capsys.readouterr()
    assert cli.main([*given, "--out", str(out)]) == 2
    said, told = capsys.readouterr()
    assert said == "" and told.startswith("error: ") and told.count("\n") == 1
    assert out.read_bytes() == b"kept" and sorted(folder.iterdir()) == before
    return told


Change = Callable[[bytes], bytes]
SPOILED: list[tuple[Change, str]] = [
    (lambda file: b"", "is empty"),
    (lambda file: file[:-1], "expected blocks of 512"),
    (lambda file: b"<html>" * 512, "block 0: has not the magic numbers"),
    (lambda file: file[:-512], "block 0: says that it is block 0 of 1172, expected 0 of 1171"),
    (lambda file: file[512:], "block 0: says that it is block 1 of 1172, expected 0 of 1171"),
    (lambda file: boot_rom.changed(file, 7, number=8), "block 7: says that it is block 8"),
    (lambda file: boot_rom.changed(file, 7, magic0=0), "block 7: has not the magic numbers"),
    (lambda file: boot_rom.changed(file, 7, magic1=0), "block 7: has not the magic numbers"),
    (lambda file: boot_rom.changed(file, 7, magic2=0), "block 7: has not the magic numbers"),
    (lambda file: boot_rom.changed(file, 7, flags=0x2001), "block 7: has flags 0x2001"),
    (lambda file: boot_rom.changed(file, 7, flags=0), "block 7: has flags 0x0"),
    (lambda file: boot_rom.changed(file, 7, size=476), "block 7: has 476 bytes for the flash"),
    (lambda file: boot_rom.changed(file, 7, address=XIP + 128), "goes to 0x10000080, expected"),
    (lambda file: boot_rom.changed(file, 7, address=0x20000000), "goes to 0x20000000, expected"),
    (lambda file: boot_rom.changed(file, 7, address=XIP), "goes to 0x10000000, as an earlier"),
    (lambda file: boot_rom.changed(file, 7, family=0x12345678), "is for family 0x12345678, expec"),
    (lambda file: boot_rom.changed(file, 7, family=RP2350_ARM), "for an RP2350's Arm cores, exp"),
    (lambda file: boot_rom.lead() + file, "block 0: has flags 0xa000"),
]


@pytest.mark.parametrize(("spoil", "says"), SPOILED)
def test_what_is_no_such_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Change, says: str
) -> None:
    source = built(tmp_path, "pico", PICO_FLASH)
    source.write_bytes(spoil(source.read_bytes()))
    given = ["--board", "pico", "--micropython", str(source)]
    told = refused(tmp_path, given, capsys)
    assert f"{source}: " in told and says in told


def test_the_block_of_e10_comes_first_and_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = built(tmp_path, "pico2")
    plain = source.read_bytes()
    given = ["--board", "pico2", "--micropython", str(source)]
    for file in (
        boot_rom.lead() * 2 + plain,
        plain + boot_rom.lead(),
        boot_rom.changed(boot_rom.lead() + plain, 0, data=bytes(476)),
    ):
        source.write_bytes(file)
        refused(tmp_path, given, capsys)
    source.write_bytes(boot_rom.lead())
    assert "has no block for the flash" in refused(tmp_path, given, capsys)


MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"build": "RPI_PICO_W"}, "is not MicroPython for board pico (RPI_PICO)"),
    ({"build": "ADAFRUIT_FEATHER_RP2040"}, "(RPI_PICO), but for BOARD=feather_rp2040: get"),
    ({"build": "MY_RPI_PICO"}, "is not MicroPython for board pico"),
    ({"name": "CircuitPython"}, "is 'CircuitPython', expected 'MicroPython'"),
    ({"version": "v1.25.0"}, "is MicroPython v1.25.0, v1.26 is the least"),
    ({"version": "(unknown)"}, "says that its version is '(unknown)', expected v1.26.1 or so"),
    ({"device": "other"}, "does not say where in the flash its file system is"),
    ({"size": 0xD4000}, "has 212 blocks for files, board file pico has 352"),
    ({"start": 0x1080}, "has its file system at 0x10001080"),
    ({"start": 0xFF0000}, "which is no flash"),
    (
        {"start": 0x40000},
        "reaches to 0x10049400, into the file system, which begins at 0x10040000",
    ),
]


@pytest.mark.parametrize(("other", "says"), MISFITS)
def test_a_micropython_that_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, Any], says: str
) -> None:
    source = built(tmp_path, "pico", PICO_FLASH, **other)
    told = refused(tmp_path, ["--board", "pico", "--micropython", str(source)], capsys)
    assert f"{source}: " in told and says in told


def test_a_variant_of_its_build_fits(tmp_path: Path) -> None:
    join(tmp_path, "pico", built(tmp_path, "pico", PICO_FLASH, build="RPI_PICO-SOME_VARIANT"))


def test_another_program_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "other.uf2"
    given = ["--board", "pico", "--micropython", str(source)]
    good = boot_rom.program("rp2040", "RPI_PICO", PICO_START, PICO_FILES)
    # Without the table; with one that leads nowhere, or to a text that does not end.
    for at, data in ((0x1D4, bytes(4)), (0x1D8, b"\0\0\0\x20"), (0x3000, b"x" * 2000)):
        made = bytearray(good)
        made[at : at + len(data)] = data
        source.write_bytes(boot_rom.uf2_of(bytes(made), RP2040))
        assert f"{source}: is no MicroPython" in refused(tmp_path, given, capsys)


def test_risc_v(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = boot_rom.program("rp2350", "RPI_PICO2-RISCV", 1 << 20, 3 << 20)
    source = tmp_path / "riscv.uf2"
    source.write_bytes(boot_rom.lead() + boot_rom.uf2_of(made, RP2350_RISCV))
    told = refused(tmp_path, ["--board", "pico2", "--micropython", str(source)], capsys)
    assert "block 1: is for an RP2350's RISC-V cores, expected an RP2350's Arm cores" in told


def test_what_has_been_joined_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source.uf2"
    source.write_bytes(join(tmp_path, "pico", built(tmp_path, "pico", PICO_FLASH)))
    told = refused(tmp_path, ["--board", "pico", "--micropython", str(source)], capsys)
    assert "expected MicroPython alone" in told


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "which board? BOARD= (--board) one of "),
        (["--board", "feather"], "feather_rp2040"),
        (["--board", "pico"], "which MicroPython? MICROPYTHON= (--micropython)"),
        (["--board", "esp32_devkitc"], "shows no disk to copy a .uf2 to"),
        (["--board", "pico", "--micropython", "/nowhere/m.uf2"], "/nowhere/m.uf2: no such file"),
        (["--board", "pico", "--micropython", ""], "--micropython is empty"),
        (["--board", "pico", "--micropython", str(ROOT)], "is a directory"),
        (["--board", "pico", "--micropython", str(ROOT / "Makefile")], "is no UF2 file"),
    ],
)
def test_what_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], says: str
) -> None:
    assert says in refused(tmp_path, given, capsys)


def test_the_file_is_not_put_over_micropythons_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = built(tmp_path, "pico", PICO_FLASH)
    before = source.read_bytes()
    given = ["--board", "pico", "--micropython", str(source), "--out", str(source)]
    assert cli.main(given) == 2
    assert "is MicroPython's own file; name another" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert cli.main([*given[:-1], str(tmp_path / "joined.bin")]) == 2
    assert "expected a name that ends in .uf2" in capsys.readouterr().err


def test_it_says_whom_it_is_for_and_what_it_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    join(tmp_path, "pico", built(tmp_path, "pico", PICO_FLASH))
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path / 'joined.uf2'}: ")
    for words in ("MicroPython v1.28.0", "BOOTSEL", "lose its registers", "make flash BOARD=pico"):
        assert words in said
