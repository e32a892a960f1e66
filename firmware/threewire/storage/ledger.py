"""What has been done to the board that wears it or leaves a trace, and how much of it may be done.

Flow: stores, event log -> LEDGER -> file system; keeper, lifecycle and commands ask it first, and
the keeper keeps it over restarts.
"""

from micropython import const

# What changes registers or constants, or stops metering; counts that never go back.  In the order
# of the stored counts: a later firmware may only append.
KINDS = (
    "preset",
    "calibrate",
    "commissioning zero",
    "clear faults",
    "lock",
    "unlock",
    "prompt",
    "restart",
)
# Counts end here.
_MOST = const(0x7FFFFFFF)

_DAY_S = const(86400)
# Saves at once: some fifty visits of the prompt, which adds nothing to what twenty years take.
_AT_ONCE = const(2000)
# Of these so many are kept for what must be saved, a loss of power among it.
_KEPT = const(200)
# In saves: a file that is not short (log, constants) takes about a block that is erased, where a
# save of the registers takes a seventh (littlefs with pages of 256 bytes: 0.6 to 1.1 and 0.14).
_LONG = const(8)
_SHORT = ("registers", "restarts")
# What a command writes at most: three entries of the log and three saves.
_COMMAND = const(32)
# Command restarts of a sealed board: each costs more than a second of metering.
_RESTARTS = const(6)
_RESTART_S = const(3600)


class Ledger:
    """open_file    the open(path, mode) of the file system
    tick_hz      of the meter's ticks
    saves_a_day  that the flash endures for twenty years

    saves_a_day  as given
    writes   to the flash, since the start
    counts   of KINDS, in the life of what is stored
    """

    def __init__(self, open_file, tick_hz, saves_a_day):
        self._open = open_file
        self._tick_hz = tick_hz
        self.saves_a_day = saves_a_day
        self._wear = Budget(_AT_ONCE, _DAY_S * tick_hz // saves_a_day)
        self._restarts = Budget(_RESTARTS, _RESTART_S * tick_hz)
        self.writes = 0
        self.counts = [0] * len(KINDS)

    def open(self, path, mode):
        """Opens a file; what is opened to be written is charged: all writing goes through here."""
        if mode != "rb":
            self.writes += 1
            self._wear.spend(1 if path.split("/")[0] in _SHORT else _LONG)
        return self._open(path, mode)

    def can_save(self, ticks):
        """Whether there is a save left."""
        return self._wear.left(ticks) > 0

    def can_log(self, ticks):
        """Whether what can be left out may be written."""
        return self._wear.left(ticks) >= _KEPT + _LONG

    def check(self, ticks):
        """Raises ValueError unless a command may write now."""
        self._later(self._wear, ticks, _KEPT + _COMMAND, "the flash has been written to too often")

    def check_restart(self, ticks):
        """Raises ValueError unless a sealed board may be restarted by command now."""
        self._later(self._restarts, ticks, 1, "too many restarts")

    def count(self, kind):
        """One of KINDS has been done."""
        k = KINDS.index(kind)
        self.counts[k] = min(self.counts[k] + 1, _MOST)

    def restarted(self):
        self._restarts.spend(1)

    def to_list(self, ticks):
        """Integers to be stored by the save that comes now, which is counted too."""
        left = [max(0, self._wear.left(ticks) - 1), max(0, self._restarts.left(ticks))]
        return left + self.counts

    def from_list(self, values):
        """Takes up stored integers; of another firmware there may be fewer or more."""
        for budget, left in zip((self._wear, self._restarts), values):
            budget.restore(left)
        for k, count in enumerate(values[2 : 2 + len(KINDS)]):
            self.counts[k] = min(self.counts[k] + count, _MOST)

    def _later(self, budget, ticks, n, what):
        ticks = budget.until(ticks, n)
        if ticks:
            seconds = ticks // self._tick_hz + 1
            raise ValueError("later: {}; again in {} s".format(what, seconds))


class Budget:
    """So many of something at once, and one more each so often, by the meter's own time.

    most   that can be saved up; there are as many at the start
    each   ticks that bring one more
    """

    def __init__(self, most, each):
        self._each = each
        self._full = self._ticks_left = most * each
        self._at = 0

    def left(self, ticks):
        """How many there are now; less than 0 when more have been spent."""
        self._ticks_left = min(self._ticks_left + ticks - self._at, self._full)
        self._at = ticks
        return self._ticks_left // self._each

    def spend(self, n):
        self._ticks_left -= n * self._each

    def until(self, ticks, n):
        """Ticks until there will be n."""
        return max(0, (n - self.left(ticks)) * self._each)

    def restore(self, left):
        """There were so many when the board ended; what has been spent since is on top."""
        self._ticks_left -= self._full - min(left * self._each, self._full)
