"""A firmware's code in one file, from which a board runs it where it lies in the flash.

Flow: image, with modules -> FLASH CODE -> flash_code.bin -> the board's code_in_flash.

The file is made of 32-bit words, low byte first:

    count                 how many different codes there are
    count of (key, what)  a code's first four bytes, signed, ascending; its size and place
    codes                 byte code and machine code, each from a whole word on, and in one block

A file's blocks begin in littlefs with pointers to earlier ones, so that `what` has in its lowest
12 bits where in its block a code begins, in 7 bits which of the file's blocks that is, and above
them the code's size in bytes.
"""

import ast
import struct
from collections.abc import Collection, Iterable
from itertools import chain
from typing import NamedTuple

# Of the flash, and so of littlefs on it.
BLOCK = 4096
_BLOCKS_AT_MOST = 128
_OF_BLOCK = 12
_OF_SIZE = 19
_WORD = 4
_POINTERS_AT_MOST = 7 * _WORD
# py/persistentcode.c, of MicroPython 1.23 and later.
_MAGIC = b"M\x06"
_HAS_ARCH_FLAGS = 0x40
_HAS_NO_BYTES = 4  # kinds of objects up to here
_TUPLE = 10
_TEXT = (5, 6)  # which end with a byte 0
_NATIVE = 1
_VIPER = 2
_ASSEMBLER = 3
_HAS_CHILDREN = 4
_HAS_RODATA = 0x20
_HAS_BSS = 0x40
_SCOPES = (
    ast.FunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


class Code(NamedTuple):
    """data    of a function, a class, or whatever else has code
    parent  which of the module's codes it is defined in; -1: the module's own
    """

    data: bytes
    parent: int


class _Mpy:
    """An .mpy file's bytes.

    at  place of what comes next
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = len(_MAGIC)

    def number(self) -> int:
        value = 0
        byte = 128
        while byte & 128:
            byte = self._data[self.at]
            self.at += 1
            value = value << 7 | byte & 127
        return value

    def pass_texts(self, count: int) -> None:
        for _ in range(count):
            size = self.number()
            if not size & 1:  # else it is one of MicroPython's own
                self.at += (size >> 1) + 1

    def pass_objects(self, count: int) -> None:
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

    def codes(self) -> list[Code]:
        codes: list[Code] = []
        # Of what is still to come: how many, and what they are defined in.
        ahead = [(1, -1)]
        while ahead:
            count, parent = ahead.pop()
            if count > 1:
                ahead.append((count - 1, parent))
            head = self.number()
            kind = head & 3
            begin = self.at
            self.at += head >> 3
            codes.append(Code(self._data[begin : self.at], parent))
            if kind == _NATIVE:
                self.number()
            elif kind == _VIPER:
                flags = self.number()
                rodata = self.number() if flags & _HAS_RODATA else 0
                if flags & _HAS_BSS:
                    self.number()
                self.at += rodata
            elif kind == _ASSEMBLER:
                for _ in range(3):
                    self.number()
            if head & _HAS_CHILDREN:
                ahead.append((self.number(), len(codes) - 1))
        return codes


def of_module(data: bytes) -> list[Code]:
    """The codes in an .mpy file, each before those of what is defined in it: the module's own
    first.

    Raises ValueError for what is no .mpy file of a version that is known.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"begins with {data[:2]!r}: expected {_MAGIC!r}")
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


def for_flash(data: bytes, source: str, in_ram: Collection[str]) -> list[bytes]:
    """The codes of a module's .mpy that are to be in the file: not the module's own, which runs
    once, nor those of the functions and methods `in_ram`, as "function" or "Class.method".

    Raises ValueError for one that is not in the source.
    """
    codes = of_module(data)
    module = ast.parse(source)
    left_out = {0}
    for name in in_ram:
        place = 0
        node: ast.AST = module
        for part in name.split("."):
            within = _defined_in(node)
            inner = [k for k, code in enumerate(codes) if code.parent == place]
            names = [getattr(of, "name", "") for of in within]
            if part not in names or len(inner) != len(within):
                raise ValueError(f"{name}: is to stay in RAM, but is not in the source")
            k = names.index(part)
            place, node = inner[k], within[k]
        left_out.add(place)
    return [code.data for k, code in enumerate(codes) if k not in left_out]


def _defined_in(scope: ast.AST) -> list[ast.AST]:
    """What has code of its own in a module's or a class's, in the order of the .mpy."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, _SCOPES):
            found.append(node)
        else:
            found += _defined_in(node)
    return found


def _pointers(block: int) -> int:
    """Bytes of the pointers to earlier ones that a file's block begins with: one more than its
    number can be halved (littlefs's DESIGN.md, CTZ skip-lists)."""
    return _WORD * (block & -block).bit_length()


def file_of(found: Iterable[bytes]) -> bytes:
    """The file with these codes, each once, without those that no block holds."""
    largest = BLOCK - _POINTERS_AT_MOST
    codes = {code: 0 for code in found if _WORD <= len(code) <= largest}
    at = _WORD + 2 * _WORD * len(codes)
    placed = bytearray()
    starts = [0]
    for code in codes:
        data = code + bytes(-len(code) % _WORD)
        while True:
            while starts[-1] <= at:
                starts.append(starts[-1] + BLOCK - _pointers(len(starts) - 1))
            room = starts[-1] - at
            if len(data) <= room:
                break
            placed += bytes(room)
            at += room
        block = len(starts) - 2
        place = _pointers(block) + at - starts[block]
        codes[code] = len(code) << _OF_SIZE | block << _OF_BLOCK | place
        placed += data
        at += len(data)
    assert len(starts) <= _BLOCKS_AT_MOST, "ten times what the firmware has"
    index = sorted((_key(code), what) for code, what in codes.items())
    return struct.pack(f"<{1 + 2 * len(index)}i", len(index), *chain(*index)) + placed


def _key(code: bytes) -> int:
    return int.from_bytes(code[:_WORD], "little", signed=True)
