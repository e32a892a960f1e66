"""What becomes of a .uf2 file that is copied onto the disk of BOOTSEL: the chips' boot ROMs, and a
program of MicroPython's kind for them.  Nothing here is the project's own reading of the format.

The format is read and written by its own page (github.com/microsoft/uf2), what the ROMs do is from
virtual_disk.c of pico-bootrom-rp2040 and pico-bootrom-rp2350, the program's table from pico-sdk's
binary_info/structure.h.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

RP2040, RP2350_ARM, RP2350_RISCV, ABSOLUTE = 0xE48BFF56, 0xE48BFF59, 0xE48BFF5A, 0xE48BFF57
XIP = 0x10000000
PAGE, SECTOR = 256, 4096
_FORMAT = "<IIIIIIII476sI"


class Block(NamedTuple):
    magic0: int
    magic1: int
    flags: int
    address: int
    size: int
    number: int
    count: int
    family: int
    data: bytes
    magic2: int

    @property
    def is_uf2(self) -> bool:
        return (self.magic0, self.magic1, self.magic2) == (0x0A324655, 0x9E5D5157, 0x0AB16F30)

    def pack(self) -> bytes:
        return struct.pack(_FORMAT, *self)


def blocks(file: bytes) -> list[Block]:
    assert len(file) % 512 == 0
    return [Block(*fields) for fields in struct.iter_unpack(_FORMAT, file)]


def block(address: int, data: bytes, number: int, count: int, family: int) -> Block:
    fields = (0x2000, address, PAGE, number, count, family)
    return Block(0x0A324655, 0x9E5D5157, *fields, data.ljust(476, b"\0"), 0x0AB16F30)


def uf2_of(program: bytes, family: int) -> bytes:
    """A file as picotool makes it of a program at the beginning of the flash."""
    pages = [program[at : at + PAGE] for at in range(0, len(program), PAGE)]
    made = [
        block(XIP + PAGE * k, page.ljust(PAGE, b"\0"), k, len(pages), family)
        for k, page in enumerate(pages)
    ]
    return b"".join(each.pack() for each in made)


def lead(tagged: bool = True) -> bytes:
    """picotool's block for erratum RP2350-E10, with the tag that newer ones have, or without."""
    made = block(0x10FFFF00, b"\xef" * PAGE, 0, 2, ABSOLUTE)
    if tagged:
        tag = (0x9957E304).to_bytes(4, "little")
        made = made._replace(flags=0xA000, data=(b"\xef" * PAGE + tag).ljust(476, b"\0"))
    return made.pack()


class Rom:
    """A chip in BOOTSEL, and its flash: erased by sectors, and programmed by pages, in which bits
    only go from 1 to 0.

    flash       bytes, as long as the chip's
    rebooted    whether it has got the last block of a file

    The RP2040's ROM erases by the numbers of blocks, that of the RP2350 by their addresses.
    """

    def __init__(self, flash: bytearray, chip: str) -> None:
        self.flash = flash
        self.rebooted = False
        self._by_number = chip == "rp2040"
        self._families = (RP2040,) if chip == "rp2040" else (RP2350_ARM, ABSOLUTE)
        self._file: tuple[int, int] | None = None

    def copy(self, file: Iterable[Block]) -> None:
        for each in file:
            assert not self.rebooted, "the disk has gone"
            self._take(each)

    def _take(self, each: Block) -> None:
        if not each.is_uf2 or not each.flags & 0x2000 or each.flags & 1 or each.size != PAGE:
            return
        if each.family not in self._families:
            return
        if self._file != (each.count, each.family):
            self._file = each.count, each.family
            self._erased: set[int] = set()
            self._written: set[int] = set()
        at = each.address - XIP
        assert at % PAGE == 0 and 0 <= at < 1 << 24 and each.number < each.count
        if each.number in self._written:
            return
        sector = at // SECTOR * SECTOR
        mark = each.number * PAGE // SECTOR if self._by_number else sector
        if sector < len(self.flash):
            if mark not in self._erased:
                self.flash[sector : sector + SECTOR] = b"\xff" * SECTOR
            page = int.from_bytes(each.data[:PAGE]) & int.from_bytes(self.flash[at : at + PAGE])
            self.flash[at : at + PAGE] = page.to_bytes(PAGE)
        self._erased.add(mark)
        self._written.add(each.number)
        self.rebooted = len(self._written) == each.count


def program(
    chip: str,
    build: str,
    start: int,
    size: int,
    version: str = "v1.28.0",
    name: str = "MicroPython",
    device: str = "MicroPython",
    length: int = 300_000,
    in_ram: bool = False,
) -> bytes:
    """One with the table by which picotool, too, knows what it is; all else in it is noise.

    build, version, name, device   as MicroPython's; start, size: of the file system
    in_ram                         its texts are where the program has copied them at its start
    """
    header_at = 0x1D4 if chip == "rp2040" else 0x200
    table_at, texts_at, copies_at = 0x2000, 0x3000, 0x2800
    moved = 0x20000000 - (XIP + texts_at) if in_ram else 0
    data = bytearray((k * 7 + k // 251) & 0xFF for k in range(length))
    at = texts_at

    def text(what: str) -> int:
        nonlocal at
        here, at = at, at + len(what) + 1
        data[here:at] = what.encode() + b"\0"
        return XIP + here + moved

    romfs = text("ROMFS")
    entries: Sequence[bytes] = (
        struct.pack("<HHII", 6, 0x5052, 0x02031C86, text(name)),
        struct.pack("<HHII", 6, 0x5052, 0x11A9BC3A, text(version)),
        struct.pack("<HHII", 5, 0x5052, 0x68F465DE, XIP + length),
        struct.pack("<HHIIIIH", 7, 0x504D, romfs, XIP + start - 0x8000, 0x8000, 0, 1),
        struct.pack("<HHIIIIH", 7, 0x504D, text(device), XIP + start, size, 0, 3),
    )
    text(build)
    pointers = b""
    for entry in entries:
        pointers += struct.pack("<I", XIP + at + -at % 4)
        at += -at % 4
        data[at : at + len(entry)] = entry
        at += len(entry)
    data[table_at : table_at + len(pointers)] = pointers
    copies = struct.pack("<III", XIP + texts_at, 0x20000000, 0x20001000) + bytes(12)
    data[copies_at : copies_at + len(copies)] = copies
    first = XIP + table_at
    header = (0x7188EBF2, first, first + len(pointers), XIP + copies_at, 0xE71AA390)
    data[header_at : header_at + 20] = struct.pack("<5I", *header)
    return bytes(data)


def changed(file: bytes, k: int, **fields: int | bytes) -> bytes:
    """A file of which one block has other fields."""
    found = blocks(file)
    found[k] = found[k]._replace(**fields)
    return b"".join(each.pack() for each in found)


def pages(file: bytes, family: int) -> Mapping[int, bytes]:
    """Address -> what goes there, of a family."""
    return {each.address: each.data[:PAGE] for each in blocks(file) if each.family == family}
