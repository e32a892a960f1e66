"""So many of something at once, and one more each so often.  Flow: ledger -> BUDGET."""


class Budget:
    """Goes by the meter's own time.

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
