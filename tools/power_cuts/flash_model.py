"""NOR flash that can lose power in any operation: what littlefs is run on when power is cut.

Flow: POWER CUTS' PROGRAM -> littlefs -> FLASH MODEL.  Runs on MicroPython and CPython.  `Chip` is
what stays when the power goes: cells that programming can only take from 1 to 0 and erasing sets
to 1, a block at a time, and how often that was done.  `Supply` is the chip from one power-on to
the next, as the block device that littlefs wants.
"""

# pyright: reportMissingImports=false, reportUndefinedVariable=false
import random

import micropython

BLOCK = 4096
PAGE = 256

# Of MicroPython's block devices.
_BLOCK_COUNT = 4
_BLOCK_SIZE = 5
_ERASE = 6
_EIO = -5

# Ways in which an operation ends that power is cut in.
TEARS = ("before", "part", "early", "late", "after")
_BEFORE, _PART, _EARLY, _LATE, _AFTER = range(len(TEARS))

_ERASED = b"\xff" * BLOCK


@micropython.viper
def _program(cells: ptr8, at: int, data: ptr8, start: int, end: int):
    """Takes to 0 the bits of cells that are 0 in data[start:end], which belongs at `at`."""
    while start < end:
        cells[at + start] = cells[at + start] & data[start]
        start += 1


def _noise(size):
    """Random bytes, a multiple of four."""
    words = [random.getrandbits(32).to_bytes(4, "little") for _ in range(size // 4)]
    return b"".join(words)


class Chip:
    """Cells of `blocks` blocks, erased but for those at the start that `image` fills.

    erases    of each block
    erased, programmed, pages   how many operations there were, and pages in the latter
    """

    def __init__(self, blocks, image=b""):
        self.blocks = blocks
        self._cells = {}  # of the blocks that are not erased
        self._kept = {}  # of those that have changed since `mark`, as they were
        self.erases = [0] * blocks
        self.erased = self.programmed = self.pages = 0
        for block in range(len(image) // BLOCK):
            data = image[block * BLOCK : (block + 1) * BLOCK]
            if data != _ERASED:
                self._cells[block] = bytearray(data)

    def mark(self):
        """The state that `back` goes back to is this one."""
        self._kept = {}

    def back(self):
        """Puts the cells (not the counts) back to where they were at `mark`."""
        self._cells.update(self._kept)
        self._kept = {}

    def _keep(self, block):
        if block not in self._kept:
            self._kept[block] = bytearray(self._cells.get(block, _ERASED))

    def read(self, block, at, buffer):
        cells = memoryview(self._cells.get(block, _ERASED))
        buffer[:] = cells[at : at + len(buffer)]

    def erase(self, block, tear=_AFTER):
        """Erases a block; torn, part of it is as it was and part erased or anything."""
        self._keep(block)
        if tear == _BEFORE:
            return
        self.erases[block] += 1
        self.erased += 1
        cells = bytearray(self._cells.pop(block, _ERASED))
        if tear == _AFTER:
            return
        cut = random.randrange(1, BLOCK)
        if tear == _PART:
            cells[:] = _noise(BLOCK)
        elif tear == _EARLY:
            cells[:cut] = _ERASED[:cut]
        else:
            cells[cut:] = _ERASED[cut:]
        self._cells[block] = cells

    def program(self, block, at, data, tear=_AFTER):
        """Programs bytes, page after page; torn, the page under way has some of its bits."""
        self._keep(block)
        if tear == _BEFORE:
            return
        if block not in self._cells:
            self._cells[block] = bytearray(_ERASED)
        cells = self._cells[block]
        size = len(data)
        self.programmed += 1
        self.pages += (at + size - 1) // PAGE - at // PAGE + 1
        end = size
        if tear != _AFTER:
            # Pages before this byte are done.  Of its own page the bits change one by one, in no
            # order (part); or the bytes do, in theirs, up to here, few (early) or nearly all.
            end = random.randrange(min(size, 16) if tear == _EARLY else size)
            if tear == _LATE:
                end = size - 1
        if tear == _PART:
            start = max(0, end - (at + end) % PAGE)
            end = min(size, start + PAGE - (at + start) % PAGE)
            some = bytearray(data)
            for k, byte in enumerate(_noise(-(-size // 4) * 4)[:size]):
                if k >= start:
                    some[k] |= byte
            data = some
        _program(cells, at, data, 0, end)


class Supply:
    """Power for a chip, until operation number `cut` (from 0; None: never), which ends as `tear`
    says.  From then on nothing works.

    operations   erasures and programmings so far
    """

    def __init__(self, chip, cut=None, tear=_AFTER):
        self._chip = chip
        self._cut = cut
        self._tear = tear
        self.operations = 0
        self.dead = False

    def readblocks(self, block, buffer, at=0):
        if self.dead:
            return _EIO
        self._chip.read(block, at, buffer)
        return 0

    def writeblocks(self, block, buffer, at=0):
        tear = self._next()
        if tear is not None:
            self._chip.program(block, at, buffer, tear)
        return _EIO if self.dead else 0

    def ioctl(self, operation, argument):
        if operation == _BLOCK_COUNT:
            return self._chip.blocks
        if operation == _BLOCK_SIZE:
            return BLOCK
        if operation == _ERASE:
            tear = self._next()
            if tear is not None:
                self._chip.erase(argument, tear)
        return _EIO if self.dead else 0

    def _next(self):
        """How the operation that now begins ends; None when it does not begin."""
        if self.dead:
            return None
        tear = _AFTER
        if self.operations == self._cut:
            self.dead = True
            tear = self._tear
        self.operations += 1
        return tear
