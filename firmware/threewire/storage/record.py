"""What one slot of the store holds: a versioned record whose CRC tells a whole one from any other
bytes.

Flow: registers, calibration -> RECORD -> store -> file system.  Little-endian:

    magic "3wir", version, kind, sequence number (4 bytes), bytes of payload (2), payload, CRC-32

The payload of registers is a list of integers of any size, each after its length in bytes: values
that a later firmware appends do not change the format, which is what the version is for.  The
payload of calibration is the board's name after its length, and the constants as JSON in UTF-8.
"""

import binascii
import struct

from micropython import const

REGISTERS = const(1)
CALIBRATION = const(2)

# Registers are saved all day.  Up to here littlefs keeps a file within its folder's log (an eighth
# of a block or a cache of four pages; 512 and 1024 bytes on rp2), and a save is one commit of two
# pages: measured up to 472 bytes, from 480 on it takes three.  Constants are written by hand.
_MOST = {REGISTERS: 472, CALIBRATION: 1024}
MAX_BYTES = const(1024)

_MAGIC = b"3wir"
_VERSION = const(1)
_HEADER = "<4sBBIH"
_HEADER_BYTES = const(12)
_CRC = "<I"
_CRC_BYTES = const(4)
_SEQUENCE_END = 1 << 32


class RecordError(ValueError):
    """Bytes that are no record, or values that do not fit one; the text says in one line why."""


def pack(kind, sequence, values):
    """The record as bytes.

    kind      REGISTERS: values is a list of integers >= 0; CALIBRATION: values is the pair
              (board's name, constants as UTF-8 bytes of JSON)
    sequence  0 to 2**32 - 1

    Raises RecordError.
    """
    if not 0 <= sequence < _SEQUENCE_END:
        raise RecordError("sequence number {}; it must fit 32 bits".format(sequence))
    if kind == REGISTERS:
        payload = _pack_integers(values)
    else:
        board, constants = values
        payload = _prefixed(board.encode()) + constants
    size = _HEADER_BYTES + len(payload) + _CRC_BYTES
    if size > _MOST[kind]:
        raise RecordError("{} bytes; a record has at most {}".format(size, _MOST[kind]))
    body = struct.pack(_HEADER, _MAGIC, _VERSION, kind, sequence, len(payload)) + payload
    return body + struct.pack(_CRC, binascii.crc32(body))


def unpack(data):
    """(kind, sequence, values) as given to `pack`, from any bytes.  Raises RecordError."""
    size = len(data)
    if size > MAX_BYTES:
        raise RecordError("more than the {} bytes of a record".format(MAX_BYTES))
    if size < _HEADER_BYTES + _CRC_BYTES:
        raise RecordError("only {} bytes".format(size))
    magic, version, kind, sequence, length = struct.unpack(_HEADER, data[:_HEADER_BYTES])
    if magic != _MAGIC:
        raise RecordError("no record: it begins with {!r}".format(magic))
    if version != _VERSION:
        raise RecordError("version {}; this firmware reads {}".format(version, _VERSION))
    end = _HEADER_BYTES + length
    if end + _CRC_BYTES != size:
        raise RecordError("{} bytes instead of {}".format(size, end + _CRC_BYTES))
    if struct.unpack(_CRC, data[end:])[0] != binascii.crc32(data[:end]):
        raise RecordError("damaged: the CRC does not match")
    payload = data[_HEADER_BYTES:end]
    if kind == REGISTERS:
        return kind, sequence, _unpack_integers(payload)
    if kind == CALIBRATION:
        name, constants = _split(payload)
        try:
            return kind, sequence, (str(name, "utf-8"), constants)
        except ValueError:
            raise RecordError("the board's name is not UTF-8")
    raise RecordError("kind {} is unknown".format(kind))


def _prefixed(data):
    if len(data) > 255:
        raise RecordError("a value of {} bytes; at most 255 fit".format(len(data)))
    return bytes([len(data)]) + data


def _split(payload):
    """What the length that the payload begins with announces, and the rest."""
    end = 1 + payload[0] if payload else 1
    if end > len(payload):
        raise RecordError("a value is cut short")
    return payload[1:end], payload[end:]


def _pack_integers(values):
    parts = []
    for value in values:
        if value < 0:
            raise RecordError("value {}; registers are never negative".format(value))
        # There is no int.bit_length; and a shift makes an object until the rest is small.
        size = 0
        rest = value
        while rest > 0xFFFFFF:
            rest >>= 24
            size += 3
        while rest:
            rest >>= 8
            size += 1
        parts.append(_prefixed(value.to_bytes(size, "little")))
    return b"".join(parts)


def _unpack_integers(payload):
    values = []
    while payload:
        digits, payload = _split(payload)
        values.append(int.from_bytes(digits, "little"))
    return values
