"""The load profile's Modbus registers, beside those of a report: read by function 3.

Flow: load profile -> MODBUS PROFILE (a Modbus slave) <-> its lines.

A quarter of an hour has five registers: energy delivered and received, in mWh, 32 bits each with
the high word first, and the flags of its record.  Without a record all their bits are 1, which is
SunSpec's "not implemented".  A time is in Unix seconds, 32 bits; all bits are 1 where there is
none.

    45000             when the quarter that is open began
    45002             that quarter, as it stands
    45007             the quarter before it
    45012             before this time there is none
    45100 to 64299    the quarter that began at t, once it is over: 45100 + 5 * (t / 900 % 3840)

So a quarter stays where it is as long as it is stored, whatever ends while it is read.  An answer
is made at once, of what is stored at that moment.
"""

import struct

from micropython import const

from threewire.operation.modbus_slave import ModbusSlave

_S = const(900)
_HEAD_AT = const(45000)
_HEAD = const(14)
_OLDEST = const(24)  # byte of the head
_RING_AT = const(45100)
_RING = const(3840)  # as many quarters as the profile's files have room for
_EACH = const(5)
_BYTES = const(10)
_MOST = 0xFFFFFFFF
_READ_HOLDING = const(3)
_READ_BYTES = const(5)
_MOST_REGISTERS = const(125)
_FAILURE = b"\x83\4"


class ProfileSlave(ModbusSlave):
    """profile  LoadProfile; texts as ModbusSlave's"""

    def __init__(self, profile, *texts):
        super().__init__(*texts)
        self._profile = profile

    def answer(self, data):
        first = int.from_bytes(data[1:3], "big")
        if data[0] == _READ_HOLDING and len(data) == _READ_BYTES and first >= _HEAD_AT:
            count = int.from_bytes(data[3:], "big")
            if 1 <= count <= _MOST_REGISTERS:
                try:
                    said = self._registers(first, count)
                except OSError:
                    return _FAILURE
                if said:
                    return bytes((_READ_HOLDING, 2 * count)) + said
        return super().answer(data)

    def _registers(self, first, count):
        """So many registers, as bytes; None where there are not so many.  Raises OSError."""
        profile = self._profile
        if first < _RING_AT:
            first -= _HEAD_AT
            if first + count > _HEAD:
                return None
            made = self._head()
        else:
            first -= _RING_AT
            start = first // _EACH
            size = (first + count + _EACH - 1) // _EACH - start
            if start + size > _RING:
                return None
            made = bytearray(b"\xff" * (_BYTES * size))
            first -= _EACH * start
            # Those behind the open one are of the round before.
            now = start + profile.quarter // _RING * _RING
            for start in (now - _RING, now):
                self._put(made, 0, start, start + size)
        return made[2 * first : 2 * (first + count)]

    def _head(self):
        made = bytearray(b"\xff" * (2 * _HEAD))
        profile = self._profile
        found = profile.open()
        if found:
            quarter, delivered, received, flags = found
            values = quarter * _S, min(delivered, _MOST), min(received, _MOST), flags
            struct.pack_into(">IIIH", made, 0, *values)
            self._put(made, 4 + _BYTES, quarter - 1, quarter)
            struct.pack_into(">I", made, _OLDEST, profile.oldest() * _S)
        return made

    def _put(self, made, at, first, end):
        """The records of these quarters, from a byte on."""
        for found in self._profile.records(first, end):
            if found:
                struct.pack_into(">IIH", made, at + _BYTES * (found[0] - first), *found[1:])
