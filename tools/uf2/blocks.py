"""The UF2 format: blocks of 512 bytes, each with a page of flash and where it goes.

Flow: MicroPython's .uf2 -> BLOCKS (pages by address) -> program, join -> BLOCKS -> one .uf2.

By the format's own page (github.com/microsoft/uf2), and by what the chips' boot ROMs take of it
(pico-bootrom-rp2040 and -rp2350, virtual_disk.c): blocks of their family with 256 bytes at a
multiple of 256.  What they would pass over without a word is refused here.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tools.common.errors import InputError

PAGE = 256
SECTOR = 4096
# Where a chip sees its flash, and the most that it can see.
FLASH = 0x10000000
FLASH_END = 0x11000000

_SIZE = 512
_HEADER = struct.Struct("<8I")
_END = struct.Struct("<I")
_DATA = _SIZE - _HEADER.size - _END.size
_MAGIC = (0x0A324655, 0x9E5D5157)
_END_MAGIC = 0x0AB16F30
_HAS_FAMILY = 0x2000
_HAS_TAGS = 0x8000
_ERASED = b"\xff"

# Chip -> family of the files that its boot ROM takes; of an RP2350 those for its Arm cores.
FAMILIES = {"rp2040": 0xE48BFF56, "rp2350": 0xE48BFF59}
_ABSOLUTE = 0xE48BFF57
_NAMES = {
    0xE48BFF56: "an RP2040",
    _ABSOLUTE: "absolute addresses",
    0xE48BFF58: "data of an RP2350",
    0xE48BFF59: "an RP2350's Arm cores",
    0xE48BFF5A: "an RP2350's RISC-V cores",
    0xE48BFF5B: "an RP2350's Arm cores, not secure",
}
# RP2350-E10: picotool puts one block of this family before all others, which says that it is one
# of two, so that the boot ROM begins anew at the next.
_LEAD_BLOCKS = 2
_LEAD_DATA = b"\xef" * PAGE


@dataclass(frozen=True)
class Flash:
    """What a file puts into a chip's flash.

    pages   address -> 256 bytes
    lead    the block of erratum RP2350-E10 that goes before all others, as it is; else empty
    """

    pages: Mapping[int, bytes]
    lead: bytes = b""


def read(name: str, data: bytes, chip: str) -> Flash:
    """A file's content, which must be all of it for this chip. Raises InputError, with the file's
    name, for whatever is not so."""
    if not data or len(data) % _SIZE:
        raise InputError(
            f"{name}: is no UF2 file: {len(data)} bytes, expected blocks of {_SIZE}; "
            "is its download whole?"
        )
    blocks = [data[k : k + _SIZE] for k in range(0, len(data), _SIZE)]
    lead = blocks.pop(0) if chip == "rp2350" and _is_lead(blocks[0]) else b""
    pages: dict[int, bytes] = {}
    for number, block in enumerate(blocks):
        where = f"{name}: block {number + bool(lead)}"
        address = _check(where, block, chip, number, len(blocks))
        if address in pages:
            raise InputError(f"{where}: goes to 0x{address:08x}, as an earlier one does")
        pages[address] = block[_HEADER.size : _HEADER.size + PAGE]
    if not pages:
        raise InputError(f"{name}: has no block for the flash; is its download whole?")
    return Flash(pages, lead)


def _check(where: str, block: bytes, chip: str, number: int, count: int) -> int:
    """The address of a block that is as the boot ROM wants it. Raises InputError."""
    *magic, flags, address, size, found, of, family = _HEADER.unpack_from(block)
    (end,) = _END.unpack_from(block, _SIZE - _END.size)
    if tuple(magic) != _MAGIC or end != _END_MAGIC:
        raise InputError(
            f"{where}: has not the magic numbers of a UF2 file; is it one, and whole?"
        )
    if flags != _HAS_FAMILY:
        raise InputError(f"{where}: has flags 0x{flags:x}, expected 0x{_HAS_FAMILY:x}")
    if family != FAMILIES[chip]:
        whose = _NAMES.get(family, f"family 0x{family:08x}")
        raise InputError(f"{where}: is for {whose}, expected {_NAMES[FAMILIES[chip]]}")
    if (found, of) != (number, count):
        raise InputError(
            f"{where}: says that it is block {found} of {of}, expected {number} of {count}; "
            "is its download whole?"
        )
    if size != PAGE:
        raise InputError(f"{where}: has {size} bytes for the flash, expected {PAGE}")
    if address % PAGE or not FLASH <= address < FLASH_END:
        raise InputError(
            f"{where}: goes to 0x{address:08x}, expected a multiple of {PAGE} from 0x{FLASH:08x} "
            f"to 0x{FLASH_END - PAGE:08x}"
        )
    return address


def _is_lead(block: bytes) -> bool:
    """Whether a block is that of RP2350-E10.  Newer ones have a tag besides, by which chips that
    are mended pass it over."""
    *magic, flags, address, size, number, of, family = _HEADER.unpack_from(block)
    (end,) = _END.unpack_from(block, _SIZE - _END.size)
    return (
        (*magic, end) == (*_MAGIC, _END_MAGIC)
        and flags & ~_HAS_TAGS == _HAS_FAMILY
        and (size, number, of, family) == (PAGE, 0, _LEAD_BLOCKS, _ABSOLUTE)
        and address % PAGE == 0
        and FLASH <= address < FLASH_END
        and block[_HEADER.size : _HEADER.size + PAGE] == _LEAD_DATA
    )


def write(flash: Flash, chip: str) -> bytes:
    """A file with this content.

    Sectors that are written are written whole, with 0xFF where there is no page, so that every 16
    blocks are one sector: the RP2040's boot ROM erases a sector with the first block of each 16 by
    their *numbers*, wherever they go (erratum RP2040-E14).  A sector that began in the midst of
    such 16 would be written without being erased, and then erased with half of it written.
    """
    sectors = sorted({address // SECTOR * SECTOR for address in flash.pages})
    addresses = [sector + at for sector in sectors for at in range(0, SECTOR, PAGE)]
    blocks = [flash.lead]
    for number, address in enumerate(addresses):
        header = _HEADER.pack(
            *_MAGIC, _HAS_FAMILY, address, PAGE, number, len(addresses), FAMILIES[chip]
        )
        page = flash.pages.get(address, _ERASED * PAGE)
        blocks.append(header + page.ljust(_DATA, b"\0") + _END.pack(_END_MAGIC))
    return b"".join(blocks)
