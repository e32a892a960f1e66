"""Keeps a record through any loss of power: two slots, written in turn, the newest whole one wins.

Flow: registers, calibration -> record -> STORE -> file system (littlefs).  The slots are files in
a folder of their own, so that only that folder's log takes the wear.  A save rewrites the slot
that does not hold the newest record; littlefs commits it when the file is closed, all or nothing,
and reads back what it has programmed: there is nothing more to verify here.
"""

from micropython import const

from threewire.storage.folder import ENOENT, create
from threewire.storage.record import MAX_BYTES, RecordError, pack, unpack

# Sequence numbers go round: of two, that is the newer which is less than half a turn ahead.  In
# the slots of one board they are next to each other.
_TURN = 0xFFFFFFFF
_HALF_TURN = const(0x7FFFFFFF)


class OtherBoard(ValueError):
    """What a check raises of a record that is whole, and another board's."""


class Store:
    """One kind of record in the slots `name`.0 and `name`.1 of `folder`, made when first saved.

    fs         module or object with os's mkdir(path)
    open_file  the open(path, mode) that goes with it
    kind       of record: REGISTERS or CALIBRATION
    check      called with a record's values; returns what `load` is to give of them.  Where it
               raises, whatever it is, the record is of no use here, and passed over like a damaged
               one

    sequence   number of the newest record, 0 when there is none; 0 follows on 2**32 - 1
    set_aside  a line for each slot that holds another board's record: no use here, and no fault
    problem    one line on why the last save failed; "" when it did not
    """

    def __init__(self, fs, open_file, folder, name, kind, check=None):
        self._fs = fs
        self._open = open_file
        self._folder = folder
        self._paths = ["{}/{}.{}".format(folder, name, slot) for slot in (0, 1)]
        self._kind = kind
        self.check = check
        self._next = None  # slot to write; unknown until the slots have been read
        self.sequence = 0
        self.set_aside = []
        self.problem = ""

    def load(self):
        """(values, sequence, problems): the newest whole record's, or None and 0.  Never raises.

        problems has a line for each slot that cannot be used, none for one that is not written
        yet.
        """
        problems = []
        self.set_aside = []
        newest = None
        self.sequence = 0
        self._next = 0
        for slot, path in enumerate(self._paths):
            try:
                with self._open(path, "rb") as file:
                    data = file.read(MAX_BYTES + 1)
                if not data:
                    continue  # power was lost between making the file and its first record
                kind, sequence, values = unpack(data)
                if kind != self._kind:
                    raise RecordError("kind {} instead of {}".format(kind, self._kind))
                if self.check:
                    values = self.check(values)
            except OtherBoard as problem:
                self.set_aside.append("{}: {}".format(path, problem))
            except Exception as problem:
                # What is stored may be anything, and must not keep the board from starting.
                is_error = isinstance(problem, OSError)
                if not (is_error and problem.errno == ENOENT):
                    is_told = is_error or isinstance(problem, ValueError)
                    problems.append("{}: {}".format(path, problem if is_told else repr(problem)))
            else:
                if newest is None or 0 < (sequence - self.sequence & _TURN) <= _HALF_TURN:
                    newest = values
                    self.sequence = sequence
                    self._next = 1 - slot
        return newest, self.sequence, problems

    def save(self, values):
        """Writes the values as the newest record; returns whether that worked.

        Whatever goes wrong (a full or broken file system, no memory, values that do not fit), the
        newest record stays as it was, and the next save tries anew.
        """
        if self._next is None:
            self.load()
        path = self._paths[self._next]
        try:
            sequence = self.sequence + 1 & _TURN
            data = pack(self._kind, sequence, values)
            with create(self._fs, self._open, self._folder, path, "wb") as file:
                file.write(data)
        except (OSError, MemoryError, ValueError) as problem:
            self.problem = "{}: {}".format(path, problem)
            return False
        self.problem = ""
        self.sequence = sequence
        self._next = 1 - self._next
        return True


def made_for(board):
    """The check that refuses constants made for another board than the one of this name."""

    def check(values):
        if values[0] != board:
            raise OtherBoard("made for board {!r}, this is {!r}".format(values[0], board))
        return values

    return check
