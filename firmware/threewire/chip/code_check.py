"""Whether the code that runs from the flash is still what was there when it was loaded.

Flow: code_in_flash -> CODE CHECK -> who starts the firmware's loop.
"""

from array import array
from binascii import crc32
from time import sleep_ms

import machine
from micropython import const
from uctypes import bytearray_at

# USB takes so long at most for a line.
_SAYS_MS = const(100)


class CodeCheck:
    """base    where the file system is in memory
    size    of its blocks
    blocks  numbers of those which the code lies in
    """

    def __init__(self, base, size, blocks):
        self._base = base
        self._size = size
        self._blocks = array("H", blocks)

    def around(self, run):
        """`run`, which is called again only where nothing has changed since it ended.  Else the
        board restarts: with the files that are there now."""
        crc = None

        def check_and_run():
            nonlocal crc
            if crc is not None and self._sum() != crc:
                print("Files of the firmware have changed: the board restarts with them.")
                sleep_ms(_SAYS_MS)
                machine.reset()
            run()
            crc = self._sum()

        return check_and_run

    def _sum(self):
        crc = 0
        for block in self._blocks:
            crc = crc32(bytearray_at(self._base + block * self._size, self._size), crc)
        return crc
