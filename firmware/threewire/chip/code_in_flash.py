"""Code that runs from where it lies in the flash, for MicroPython loads all of it into RAM.

Flow: the assembly's imports -> CODE IN FLASH -> functions of the modules that have come; what has
to stay as it is for that -> code_check.

The flash of an RP2040 or RP2350 is in its memory map, and what is in RAM of a function's byte code
or machine code is what was in its .mpy file, bit for bit; machine code does not ask where it is.
So a function's pointer to its code can be set to there, once both have been compared: the copy in
RAM is garbage then.  The firmware's code, but for what runs most, lies in a file of its own,
beside the modules, whose index is searched: tools/common/flash_code.py, which makes it, tells the
format.  littlefs writes the blocks of a file once, and leaves them where they are until the file
is removed.

Addresses are those of memory; sizes are bytes.
"""

import builtins
import sys
from array import array

import micropython
from machine import mem32
from micropython import const
from rp2 import Flash
from vfs import VfsLfs2

from threewire.chip.code_check import CodeCheck

# An RP2040's ends 264 kB behind its begin, an RP2350's 520.
_RAM = const(0x20000000)
_RAM_END = const(0x20082000)
# Of a function: what it is, its module, what is defined in it, its code; of one in assembler: what
# it is, how many arguments it takes, its code (mp_obj_fun_bc_t and mp_obj_fun_asm_t in
# MicroPython's py/objfun.h).
_CODE = const(12)
_ASM_CODE = const(8)
_CHILDREN = const(8)
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
# Larger reads: to find a file takes fewer.
_READ = const(512)
_FILE = "/threewire/flash_code.bin"
_BLOCK = const(4096)
_WORD = const(4)


def _function():
    pass


def _generator():
    yield


@micropython.native
def _native():
    pass


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


@micropython.viper
def _place(index: ptr32, count: int, blocks: ptr32, code: ptr32) -> int:  # noqa: F821
    """Where in the flash the same lies as at `code`; 0: nowhere.

    index   of each code its first word, ascending, and its size and place
    count   so many they are
    blocks  where the file's blocks are in memory
    """
    key = code[0]
    first = 0
    end = count
    while first < end:
        middle = (first + end) >> 1
        if index[2 * middle] < key:
            first = middle + 1
        else:
            end = middle
    while first < count and index[2 * first] == key:
        what = index[2 * first + 1]
        there = ptr32(blocks[what >> 12 & 127] + (what & 4095))  # noqa: F821
        first += 1
        words = what >> 21
        k = 0
        while k < words and there[k] == code[k]:
            k += 1
        # Behind the last whole word, 0 to 3 bytes: what follows in memory is another's.
        mask = (1 << (what >> 16 & 24)) - 1
        if k == words and (mask == 0 or ((there[k] ^ code[k]) & mask) == 0):
            return int(there)
    return 0


class CodeInFlash:
    """Follows the imports of the package's modules, and moves the code of each.

    xip_base   where the flash is in memory
    assembler  any function in assembler
    stay       modules that keep their code in RAM
    """

    def __init__(self, xip_base, assembler, stay=()):
        device = Flash()
        at = mem32[id(device) + _FLASH_BASE]
        self._base = xip_base + at
        self._numbers = []  # of the file's blocks
        self._count = 0
        if 0 < at < _MOST_FLASH and device.ioctl(_SIZE, 0) == _BLOCK:
            try:
                self._find(_Blocks(device))
            except OSError:
                pass  # a file system of another kind, or a firmware of sources
        self._blocks = array("i", [self._base + number * _BLOCK for number in self._numbers])
        self._places = {mem32[id(of)]: _CODE for of in (_function, _generator, _native, _place)}
        self._places[mem32[id(assembler)]] = _ASM_CODE
        self._native = mem32[id(_native)]
        self._seen = set(stay)
        self._import = None

    def begin(self):
        """From now on the modules that come are run from the flash."""
        self._import = builtins.__import__
        if self._count:
            builtins.__import__ = self._import_one

    def end(self):
        """Imports are as they were.  Returns a CodeCheck of what runs from the flash.  After it
        this module is needed no more, and its memory is free again."""
        builtins.__import__ = self._import
        check = CodeCheck(self._base, _BLOCK, self._numbers)
        self._index = self._import = None
        globals().clear()
        return check

    def _find(self, blocks):
        """Reads the file's index, and where its blocks lie."""
        with VfsLfs2(blocks, readsize=_READ).open(_FILE, "rb") as file:
            # What littlefs keeps in the blocks before is less than a block, so that of each one
            # byte is read.
            for at in range(0, file.seek(0, 2), _BLOCK):
                file.seek(at)
                file.read(1)
                self._numbers.append(blocks.latest)
            file.seek(0)
            count = array("i", [0])
            file.readinto(count)
            self._index = array("i", bytes(2 * _WORD * count[0]))
            file.readinto(self._index)
        self._count = count[0]

    def _import_one(self, name, names=None, values=None, parts=None, level=0):
        module = self._import(name, names, values, parts, level)
        if name.startswith("threewire"):
            self._look_at(name)
            # MicroPython itself asks so for a module of a package, with no tuple.
            if isinstance(parts, tuple) and hasattr(module, "__path__"):
                for part in parts:
                    self._look_at(name + "." + part)
        return module

    def _look_at(self, name):
        # As soon as it has come, for then none of its functions is running: what runs goes on in
        # the copy in RAM, to which nothing else would point.
        if name in self._seen or name not in sys.modules:
            return
        self._seen.add(name)
        for at in _addresses(sys.modules[name]):
            # Numbers, short texts and what is in the firmware of MicroPython have no such address.
            if at & 3 or not _RAM <= at < _RAM_END:
                continue
            place = self._places.get(mem32[at])
            if not place:
                continue
            code = mem32[at + place]
            if _RAM <= code < _RAM_END:
                there = _place(self._index, self._count, self._blocks, code)
                if there:
                    mem32[at + place] = there
                    if mem32[at] == self._native:
                        _move_prelude(at, code, there)


def _move_prelude(at, code, there):
    """Of the native function at `at`, whose code has moved: what it tells of its arguments lies
    behind its code, in the same block, and is found by a pointer of its own."""
    pointer = at + _CHILDREN
    if mem32[code]:
        pointer = mem32[pointer] + _WORD * mem32[code]
    if code < mem32[pointer] < code + _BLOCK:
        mem32[pointer] += there - code


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
