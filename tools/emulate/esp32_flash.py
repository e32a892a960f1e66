"""The flash of an ESP32 as after `make flash`: MicroPython's own .bin, and our file system in the
partition that MicroPython mounts.

Flow: ESP32_GENERIC-….bin, tools.image -> ESP32 FLASH -> QEMU.  MicroPython mounts, as littlefs,
the data partition called "vfs" (its ports/esp32/modules/flashbdev.py, _boot.py).  Where the table
has none, as from 1.26 on, it makes one of what is behind the last partition (main.c).  The table's
format is that of ESP-IDF's gen_esp32part.py.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from tools.common.errors import InputError

FLASH_BYTES = 4 << 20
# The .bin begins with the boot loader, which is not at the flash's begin.
_BIN_AT = 0x1000
_TABLE_AT = 0x8000
_TABLE_BYTES = 0xC00
_IMAGE = 0xE9  # first byte of a boot loader or an application
_ENTRY = struct.Struct("<HBBII16sI")
_ENTRY_MARK = 0x50AA
_SUM_MARK = 0xEBEB  # of the entry behind the last, with the MD5 of those in front
_APP = 0
_DATA = 1
_ERASED = b"\xff"


@dataclass(frozen=True)
class Partition:
    """A piece of the flash, in bytes."""

    kind: int
    subtype: int
    at: int
    size: int
    label: str

    @property
    def end(self) -> int:
        return self.at + self.size


def partitions(firmware: bytes, name: str) -> list[Partition]:
    """The table of a .bin, which messages call `name`. Raises InputError."""

    def wrong(what: str) -> InputError:
        return InputError(f"{name}: {what}; expected MicroPython's ESP32_GENERIC-….bin")

    begin = _TABLE_AT - _BIN_AT
    if len(firmware) < begin + _TABLE_BYTES or firmware[0] != _IMAGE:
        raise wrong("is no image of an ESP32's flash from 0x1000 on")
    found = []
    for at in range(begin, begin + _TABLE_BYTES, _ENTRY.size):
        mark, kind, subtype, place, size, label, _ = _ENTRY.unpack_from(firmware, at)
        if mark == _SUM_MARK:
            if hashlib.md5(firmware[begin:at]).digest() != firmware[at + 16 : at + 32]:
                raise wrong("its partition table has another checksum than it says")
            break
        if mark != _ENTRY_MARK:
            raise wrong("has no partition table at 0x8000")
        text = label.rstrip(b"\0").decode("ascii", "replace")
        found.append(Partition(kind, subtype, place, size, text))
    if not any(of.kind == _APP for of in found):
        raise wrong("has no application in its partition table")
    return found


def file_system_at(table: list[Partition], name: str) -> Partition:
    """The partition that MicroPython mounts. Raises InputError."""
    for of in table:
        if (of.kind, of.label) == (_DATA, "vfs"):
            return of
    last = max(of.end for of in table)
    if last >= FLASH_BYTES:
        raise InputError(f"{name}: leaves no room for a file system in {FLASH_BYTES >> 20} MB")
    return Partition(_DATA, 0x81, last, FLASH_BYTES - last, "vfs")


def flash(firmware: bytes, file_system: bytes, name: str) -> bytes:
    """The whole flash, of FLASH_BYTES. Raises InputError for a .bin that is none, or whose
    partition is another than the file system's."""
    where = file_system_at(partitions(firmware, name), name)
    if where.size != len(file_system):
        raise InputError(
            f"{name}: its file system has {where.size >> 12} blocks of 4096 bytes, the board "
            f"file's {len(file_system) >> 12}"
        )
    if _BIN_AT + len(firmware) > where.at or where.end > FLASH_BYTES:
        raise InputError(f"{name}: does not fit in front of its file system at {where.at:#x}")
    whole = bytearray(_ERASED * FLASH_BYTES)
    whole[_BIN_AT : _BIN_AT + len(firmware)] = firmware
    whole[where.at : where.end] = file_system
    return bytes(whole)
