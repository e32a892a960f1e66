"""Where the byte code lies in an .mpy file, of MicroPython 1.23 or later.

Flow: code_in_flash -> MPY FILE.  The format is that of MicroPython's py/persistentcode.c.
"""

import micropython
from micropython import const

_MAGIC = b"M\x06"
_HAS_ARCH_FLAGS = const(0x40)
_HAS_NO_BYTES = const(4)  # kinds of objects up to here
_TUPLE = const(10)
_TEXT = (5, 6)  # which end with a byte 0
_BYTE_CODE = const(0)
_NATIVE = const(1)
_VIPER = const(2)
_ASSEMBLER = const(3)
_HAS_CHILDREN = const(4)
_HAS_RODATA = const(0x20)
_HAS_BSS = const(0x40)


class _Mpy:
    """An .mpy file's bytes.

    at  place of what comes next
    """

    def __init__(self, data):
        self._data = data
        self.at = len(_MAGIC)

    @micropython.native
    def number(self):
        data = self._data
        at = self.at
        value = 0
        byte = 128
        while byte & 128:
            byte = data[at]
            at += 1
            value = value << 7 | byte & 127
        self.at = at
        return value

    def pass_texts(self, count):
        for _ in range(count):
            size = self.number()
            if not size & 1:  # else it is one of MicroPython's own
                self.at += (size >> 1) + 1

    def pass_objects(self, count):
        while count:
            count -= 1
            kind = self.number()
            if kind <= _HAS_NO_BYTES:
                continue
            size = self.number()
            if kind == _TUPLE:
                count += size
            else:
                self.at += size + (kind in _TEXT)

    @micropython.native
    def codes(self):
        """(Place, size) of each byte code, whatever it is defined in."""
        number = self.number
        codes = []
        count = 1
        while count:
            count -= 1
            head = number()
            kind = head & 3
            size = head >> 3
            if kind == _BYTE_CODE:
                codes.append((self.at, size))
            self.at += size
            if kind == _NATIVE:
                number()
            elif kind == _VIPER:
                flags = number()
                rodata = number() if flags & _HAS_RODATA else 0
                if flags & _HAS_BSS:
                    number()
                self.at += rodata
            elif kind == _ASSEMBLER:
                for _ in range(3):
                    number()
            if head & _HAS_CHILDREN:
                count += number()
        return codes


def byte_codes(data):
    """(Place, size) of each byte code in an .mpy file; none where it is another version's."""
    if data[: len(_MAGIC)] != _MAGIC:
        return []
    mpy = _Mpy(data)
    flags = mpy.number()
    mpy.number()  # bits of a small integer
    if flags & _HAS_ARCH_FLAGS:
        mpy.number()
    texts = mpy.number()
    objects = mpy.number()
    mpy.pass_texts(texts)
    mpy.pass_objects(objects)
    return mpy.codes()
