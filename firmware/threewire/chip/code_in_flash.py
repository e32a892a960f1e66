"""Byte code that runs from where it lies in the flash, for MicroPython loads all code into RAM.

Flow: the assembly's imports -> CODE IN FLASH -> functions of the modules that have come; what has
to stay as it is for that -> code_check.

The flash of an RP2040 or RP2350 is in its memory map, and what is in RAM of a function's byte code
is what lies in its .mpy file, bit for bit.  So a function's pointer to its code can be set to
there, once both have been compared: the copy in RAM is garbage then.  littlefs writes the blocks
of a file once, and leaves them where they are until the file is removed.

Addresses are those of memory; sizes are bytes.
"""

import builtins
import sys

from machine import mem32
from micropython import const
from rp2 import Flash
from uctypes import bytearray_at
from vfs import VfsLfs2

from threewire.chip.code_check import CodeCheck
from threewire.chip.mpy_file import byte_codes

# An RP2040's ends 264 kB behind its begin, an RP2350's 520.
_RAM = const(0x20000000)
_RAM_END = const(0x20082000)
# Of a function: what it is, its module, what is defined in it, its code (mp_obj_fun_bc_t in
# MicroPython's py/objfun.h).
_CODE = const(12)
# Of a property, which has three, and of a static or class method: functions (py/objproperty.c,
# py/obj.h).
_INNER = (4, 8, 12)
# Of rp2.Flash: where in the flash the file system begins (ports/rp2/rp2_flash.c).
_FLASH_BASE = const(4)
_MOST_FLASH = const(1 << 24)
# What MicroPython asks a block device (vfs.AbstractBlockDev.ioctl).
_COUNT = const(4)
_SIZE = const(5)
_EROFS = const(30)
# Larger reads: to find a file takes fewer.  littlefs keeps four of them.
_READ = const(512)
# So many bytes show that a block is what a file begins with.
_SURE = const(32)
# So much of a code tells it from most others; there is none that is shorter.
_BEGIN = const(6)


def _function():
    pass


def _generator():
    yield


class _Blocks:
    """A flash's blocks, to be read.

    latest  number of the block that was read last
    """

    def __init__(self, device):
        self._device = device
        self.latest = 0

    def readblocks(self, block, buffer, offset=0):
        self.latest = block
        return self._device.readblocks(block, buffer, offset)

    def writeblocks(self, block, buffer, offset=0):
        return -_EROFS

    def ioctl(self, what, argument):
        return self._device.ioctl(what, argument) if what in (_COUNT, _SIZE) else 0


def _head(k):
    """Size of the pointers to earlier ones with which the block k of a file begins: 4 bytes each,
    one more than k can be halved (littlefs's DESIGN.md, CTZ skip-lists)."""
    bit = k & -k
    head = 0
    while bit:
        head += 4
        bit >>= 1
    return head


class CodeInFlash:
    """Follows the imports of the package's modules, and moves the code of each.

    xip_base  where the flash is in memory
    stay      modules that keep their code in RAM
    """

    def __init__(self, xip_base, stay=()):
        device = Flash()
        at = mem32[id(device) + _FLASH_BASE]
        self._base = xip_base + at
        self._blocks = _Blocks(device)
        self._block_size = device.ioctl(_SIZE, 0)
        try:
            self._files = VfsLfs2(self._blocks, readsize=_READ)
        except OSError:
            self._files = None  # a file system of another kind
        if not 0 < at < _MOST_FLASH:
            self._files = None
        self._kinds = mem32[id(_function)], mem32[id(_generator)]
        self._seen = set(stay)
        self._used = []  # numbers of the blocks that are run from
        self._import = None

    def begin(self):
        """From now on the modules that come are run from the flash."""
        self._import = builtins.__import__
        if self._files:
            builtins.__import__ = self._import_one

    def end(self):
        """Imports are as they were.  Returns a CodeCheck of what runs from the flash.  After it
        this module is needed no more, and its memory is free again."""
        builtins.__import__ = self._import
        check = CodeCheck(self._base, self._block_size, self._used)
        self._files = self._blocks = self._import = None
        globals().clear()
        return check

    def _import_one(self, name, names=None, values=None, parts=None, level=0):
        module = self._import(name, names, values, parts, level)
        self._look_at(name)
        # MicroPython itself asks so for a module of a package, with no tuple.
        if isinstance(parts, tuple):
            for part in parts:
                self._look_at(name + "." + part)
        return module

    def _look_at(self, name):
        # As soon as it has come, for then none of its functions is running: what runs goes on in
        # the copy in RAM, to which nothing else would point.
        if name in self._seen or not name.startswith("threewire.") or name not in sys.modules:
            return
        self._seen.add(name)
        try:
            codes, blocks = self._read("/" + name.replace(".", "/") + ".mpy")
        except OSError:
            return  # a package, or its source
        if codes and self._move(name, codes):
            self._used += blocks

    def _read(self, path):
        """What there is in a file: (address, size) of each byte code that lies in one block, by
        its first bytes; and the numbers of the blocks that the file lies in."""
        codes = {}
        blocks = []
        with self._files.open(path, "rb") as file:
            length = file.seek(0, 2)
            starts = []
            addresses = []
            start = 0
            while start < length:
                file.seek(start)
                file.read(1)
                head = _head(len(blocks))
                blocks.append(self._blocks.latest)
                addresses.append(self._base + self._blocks.latest * self._block_size + head)
                starts.append(start)
                start += self._block_size - head
            file.seek(0)
            data = file.read(_SURE)
            # Small files lie among their folder's entries, which move.
            if len(data) < _SURE or data != bytearray_at(addresses[0], _SURE):
                return codes, blocks
            if len(blocks) == 1:
                data = bytearray_at(addresses[0], length)
            else:
                data += file.read()
        starts.append(start)
        for at, size in byte_codes(data):
            k = 0
            while starts[k + 1] <= at:
                k += 1
            if size >= _BEGIN and at + size <= starts[k + 1]:
                address = addresses[k] + at - starts[k]
                begin = bytes(bytearray_at(address, _BEGIN))
                codes.setdefault(begin, []).append((address, size))
        return codes, blocks

    def _move(self, name, codes):
        """Whether a function of the module runs from the flash now."""
        moved = False
        for at in _addresses(sys.modules[name]):
            if self._move_one(at, codes):
                moved = True
        return moved

    def _move_one(self, at, codes):
        """Whether what is at an address is a function that runs from the flash now."""
        # Numbers, short texts and what is in the firmware of MicroPython have no such address.
        if at & 3 or not _RAM <= at < _RAM_END or mem32[at] not in self._kinds:
            return False
        code = mem32[at + _CODE]
        if not _RAM <= code < _RAM_END:
            return False
        for there, size in codes.get(bytes(bytearray_at(code, _BEGIN)), ()):
            if bytearray_at(code, size) == bytearray_at(there, size):
                mem32[at + _CODE] = there
                return True
        return False


def _addresses(module):
    """Where all lies that a module and its classes have, the functions among it."""
    for thing in module.__dict__.values():
        if not isinstance(thing, type):
            yield id(thing)
        elif thing.__dict__.get("__module__") == module.__name__:
            for part in thing.__dict__.values():
                if isinstance(part, property):
                    for inner in _INNER:
                        yield mem32[id(part) + inner]
                elif isinstance(part, (staticmethod, classmethod)):
                    yield mem32[id(part) + _INNER[0]]
                else:
                    yield id(part)
