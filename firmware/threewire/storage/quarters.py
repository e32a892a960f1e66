"""A ring of records in flash, one for a quarter of an hour of UTC.

Flow: load profile -> QUARTERS -> file system.  A quarter's number is its Unix seconds / 900.  Each
file has those of 256 numbers, in their order, and is begun anew 15 files later: 35 days and more
are always there.  A record, little-endian:

    number (3 bytes), flags, energy delivered and received in mWh (4 each), CRC-32
"""

import binascii
import struct

from micropython import const

from threewire.storage.folder import ENOENT, create

EACH = const(256)
FILES = const(15)
MOST = 0xFFFFFFFF  # mWh
_NUMBER = const(0xFFFFFF)
_BYTES = const(16)
_PIECE = const(256)


class Quarters:
    """In the folder `profile`, made when first needed.

    fs         module or object with os's mkdir(path) and rename(path, path)
    open_file  the open(path, mode) that goes with it
    """

    def __init__(self, fs, open_file):
        self._fs = fs
        self._open = open_file

    def append(self, quarter, delivered, received, flags):
        """Adds a record, of energies up to MOST and flags up to 255.  What its file has of this
        quarter or later ones is void, and goes.  Raises OSError."""
        data = struct.pack("<III", quarter | flags << 24, delivered, received)
        data += binascii.crc32(data).to_bytes(_BYTES - len(data), "little")
        slot = slot_of(quarter)
        first = quarter - quarter % EACH
        last = self._last(slot)
        if last and first <= last < quarter:
            self._write(slot, "ab", data)
        else:
            self._write(slot, "wb", self._before(slot, first, quarter) + data)

    def drop(self, slot, quarter):
        """Drops from a file, 0 to FILES - 1, the records of this quarter and later ones, and what
        is no record.  Raises OSError."""
        last = self._last(slot)
        if last is not None and not 0 < last < quarter:
            self._write(slot, "wb", self._before(slot, 0, quarter))

    def records(self, slot, first, end):
        """Yields (quarter, delivered, received, flags) of the quarters from `first` on and before
        `end` that are in a file, oldest first; and None, where looking for the next takes a while.
        Raises OSError."""
        at = 0
        while True:
            # It is not held open: it may be written to in between.
            data = self._read(slot, at)
            for k in range(0, len(data) - _BYTES + 1, _BYTES):
                found = _unpacked(data[k : k + _BYTES])
                if found and first <= found[0] < end:
                    yield found
            at += len(data)
            if len(data) < _PIECE:
                return
            yield None

    def _path(self, slot):
        return "profile/%d" % slot

    def _read(self, slot, at, size=_PIECE):
        """Bytes of a file from `at` on, where that is negative from its end; b"" without one."""
        try:
            with self._open(self._path(slot), "rb") as file:
                if at < 0:
                    at = max(0, file.seek(0, 2) + at)
                file.seek(at)
                return file.read(size)
        except OSError as problem:
            if problem.errno == ENOENT:
                return b""
            raise

    def _last(self, slot):
        """Number of a file's last record; 0 where it is not whole, None without any."""
        data = self._read(slot, -_BYTES)
        if not data:
            return None
        found = _unpacked(data) if len(data) == _BYTES else None
        return found[0] if found else 0

    def _before(self, slot, first, end):
        """Bytes of a file's records of the quarters from `first` on and before `end`."""
        kept = bytearray()
        at = 0
        while True:
            data = self._read(slot, at)
            for k in range(0, len(data) - _BYTES + 1, _BYTES):
                record = data[k : k + _BYTES]
                found = _unpacked(record)
                if found and first <= found[0] < end:
                    kept.extend(record)
                    # Each once, in their order, whatever is there.
                    first = found[0] + 1
            at += len(data)
            if len(data) < _PIECE:
                return kept

    def _write(self, slot, mode, data):
        with create(self._fs, self._open, "profile", self._path(slot), mode) as file:
            file.write(data)


def slot_of(quarter):
    """The file that its record is in."""
    return quarter // EACH % FILES


def _unpacked(record):
    """What `records` yields, or None of what is no record."""
    word, delivered, received, crc = struct.unpack("<IIII", record)
    if crc != binascii.crc32(record[:-4]):
        return None
    return word & _NUMBER, delivered, received, word >> 24
