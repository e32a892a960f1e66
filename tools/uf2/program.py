"""What a MicroPython that is in pages of flash says of itself: version, build, its file system.

Flow: pages of a UF2 -> PROGRAM -> join.

The SDK puts a table into each program for picotool to read, "binary info": a header of five words
between two magic ones near the beginning (pico-sdk, binary_info/defs.h and structure.h), which
leads to a list of entries.  MicroPython has its version in it, and the piece of flash that its
file system is in (ports/rp2/rp2_flash.c, bi_block_device), whichever board it is built for and
whatever a ROM file system has been left beside it.  The name of the build is sys.implementation's
`_build`, a string somewhere in the program.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools.common.errors import InputError
from tools.uf2.blocks import FLASH, FLASH_END, PAGE, SECTOR

_HEADER = struct.Struct("<5I")
_START, _END = 0x7188EBF2, 0xE71AA390
# picotool looks for it in so many bytes; the RP2040's are behind the boot stage of a page.
_LOOKED_IN = 1024
_COPY = struct.Struct("<3I")
_MOST_COPIES = 10
_MOST_ENTRIES = 1000
_LONGEST = 256

_KIND = struct.Struct("<2H")
_TAG_PICO, _TAG_MICROPYTHON = (int.from_bytes(tag, "little") for tag in (b"RP", b"MP"))
_ID_AND_STRING, _BLOCK_DEVICE = 6, 7
_NAME_ID, _VERSION_ID = 0x02031C86, 0x11A9BC3A
_NAME = "MicroPython"
_TWO = struct.Struct("<2I")
_DEVICE = struct.Struct("<3I")
_VERSION = re.compile(r"v(\d{1,3})\.(\d{1,3})\b")


@dataclass(frozen=True)
class Program:
    """A MicroPython.

    version   as it says it, "v1.26.1"
    numbers   its first two, (1, 26)
    start     where its file system begins, an address
    size      of that, bytes
    """

    version: str
    numbers: tuple[int, int]
    start: int
    size: int


class _Memory:
    """What the program finds at an address: its pages, and what it copies to RAM at its start."""

    def __init__(self, pages: Mapping[int, bytes]) -> None:
        self._pages = pages
        self.copies: list[tuple[int, int, int]] = []

    def get(self, address: int, size: int) -> bytes:
        """Raises LookupError where there is nothing."""
        for source, start, end in self.copies:
            if start <= address < end:
                address += source - start
        found = b""
        while len(found) < size:
            at = (address + len(found)) % PAGE
            found += self._pages[address + len(found) - at][at:]
        return found[:size]

    def unpack(self, of: struct.Struct, address: int) -> tuple[int, ...]:
        return of.unpack(self.get(address, of.size))

    def text(self, address: int) -> str:
        """One that a zero byte ends."""
        found = b""
        while b"\0" not in found:
            if len(found) > _LONGEST:
                raise LookupError
            found += self.get(address + len(found), 1)
        return found[:-1].decode("ascii", "replace")


def look(name: str, pages: Mapping[int, bytes]) -> Program:
    """Raises InputError, with the file's name, for what is no MicroPython, or does not say where
    its file system is."""
    no_program = InputError(f"{name}: is no MicroPython: it does not say what it is")
    memory = _Memory(pages)
    texts: dict[int, str] = {}
    devices: dict[str, tuple[int, int]] = {}
    try:
        for address in _entries(memory, pages):
            kind, tag = memory.unpack(_KIND, address)
            if kind == _ID_AND_STRING and tag == _TAG_PICO:
                which, text = memory.unpack(_TWO, address + _KIND.size)
                texts[which] = memory.text(text)
            elif kind == _BLOCK_DEVICE and tag == _TAG_MICROPYTHON:
                text, start, size = memory.unpack(_DEVICE, address + _KIND.size)
                devices[memory.text(text)] = start, size
    except LookupError:
        raise no_program from None
    if not texts:
        raise no_program
    program = texts.get(_NAME_ID, "")
    if program != _NAME:
        raise InputError(f"{name}: is {program or 'a program'!r}, expected {_NAME!r}")
    version = texts.get(_VERSION_ID, "")
    numbers = _VERSION.match(version)
    if not numbers:
        raise InputError(f"{name}: says that its version is {version!r}, expected v1.26.1 or so")
    if _NAME not in devices:
        raise InputError(f"{name}: does not say where in the flash its file system is")
    start, size = devices[_NAME]
    if start % SECTOR or size % SECTOR or not FLASH <= start < start + size <= FLASH_END:
        raise InputError(
            f"{name}: has its file system at 0x{start:08x}, {size} bytes, which is no flash"
        )
    return Program(version, (int(numbers[1]), int(numbers[2])), start, size)


def _entries(memory: _Memory, pages: Mapping[int, bytes]) -> Iterator[int]:
    """Addresses of the table's entries, after the copies have been made known."""
    begin = min(pages)
    for at in range(begin, begin + _LOOKED_IN, 4):
        header = memory.unpack(_HEADER, at)
        if (header[0], header[-1]) == (_START, _END):
            break
    else:
        return
    _, first, last, copies, _ = header
    for at in range(copies, copies + _MOST_COPIES * _COPY.size, _COPY.size):
        source, start, end = memory.unpack(_COPY, at)
        if not source:
            break
        memory.copies.append((source, start, end))
    for at in range(first, min(last, first + 4 * _MOST_ENTRIES), 4):
        yield from memory.unpack(struct.Struct("<I"), at)


def is_build(pages: Mapping[int, bytes], build: str) -> bool:
    """Whether the program is MicroPython's build of this name, or a variant of it."""
    program = b"".join(pages[address] for address in sorted(pages))
    whole = rb"(?<![\w-])" + re.escape(build.encode()) + rb"(-[A-Z0-9_]+)?\0"
    return re.search(whole, program) is not None
