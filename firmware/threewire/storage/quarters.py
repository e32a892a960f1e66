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
_PIECE = const(512)


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
        last = self._number(slot, -_BYTES)
        if last and first <= last < quarter:
            self._write(slot, "ab", data)
        else:
            self._write(slot, "wb", self._before(slot, first, quarter) + data)

    def drop(self, slot, quarter):
        """Drops from a file, 0 to FILES - 1, the records of this quarter and later ones, and what
        is no record.  Returns the numbers of the first and the last that are left, 0 of what is
        none; None without any.  Raises OSError."""
        last = self._number(slot, -_BYTES)
        if last is not None and not 0 < last < quarter:
            self._write(slot, "wb", self._before(slot, 0, quarter))
            last = self._number(slot, -_BYTES)
        return None if last is None else (self._number(slot, 0), last)

    def records(self, slot, first, end):
        """Yields (quarter, delivered, received, flags) of the quarters from `first` on and before
        `end` that are in a file, oldest first; and None, where looking for the next takes a while.
        Raises OSError."""
        at = None
        while True:
            # It is not held open: it may be written to in between.
            at, data = self._read(slot, at, first)
            for k in range(0, len(data), _BYTES):
                found = _unpacked(data[k : k + _BYTES])
                if found and found[0] >= first:
                    if found[0] >= end:
                        return
                    yield found
            at += len(data)
            if len(data) < _PIECE:
                return
            yield None

    def _path(self, slot):
        return "profile/%d" % slot

    def _read(self, slot, at, first=0):
        """(at, bytes of a file from there on): where that is negative from its end, where it is
        None from the record of the quarter `first` on; b"" without one."""
        try:
            with self._open(self._path(slot), "rb") as file:
                if at is None:
                    at = _start(file, first)
                elif at < 0:
                    at = max(0, file.seek(0, 2) + at)
                file.seek(at)
                return at, file.read(_PIECE)
        except OSError as problem:
            if problem.errno == ENOENT:
                return 0, b""
            raise

    def _number(self, slot, at):
        """Number of a file's record at a byte, as `_read` has it; 0 where it is not whole, None
        without any."""
        _, data = self._read(slot, at)
        if not data:
            return None
        found = _unpacked(data[:_BYTES])
        return found[0] if found else 0

    def _before(self, slot, first, end):
        """Bytes of a file's records of the quarters from `first` on and before `end`."""
        kept = bytearray()
        at = 0
        while True:
            _, data = self._read(slot, at)
            for k in range(0, len(data), _BYTES):
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


def _start(file, first):
    """The byte before which all records of an open file are of quarters before this one; by
    halves, and what is no record may be of any."""
    low = 0
    high = file.seek(0, 2) // _BYTES
    while low < high:
        middle = (low + high) // 2
        file.seek(_BYTES * middle)
        found = _unpacked(file.read(_BYTES))
        if found and found[0] < first:
            low = middle + 1
        else:
            high = middle
    return _BYTES * low


def _unpacked(record):
    """What `records` yields, or None of what is no record."""
    if len(record) < _BYTES:
        return None
    word, delivered, received, crc = struct.unpack("<IIII", record)
    if crc != binascii.crc32(record[:-4]):
        return None
    return word & _NUMBER, delivered, received, word >> 24
