"""The log, bounded: what is said again and again, for days, does not fill a disk.

Flow: loggers -> TOLD -> the log's handler (cli.py).
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

# Of one kind and about one thing: so many at once, and one more each so many seconds.
_AT_ONCE, _AGAIN_S = 30, 60.0
# Kinds and things that are told apart.
_MOST, _LONGEST = 1000, 100


@dataclass
class _Kind:
    """left    words that may be said, as of `at`
    unsaid  those that have been left out since the last"""

    left: float
    at: float
    unsaid: int = 0


class Bounded(logging.Filter):
    """clock  seconds, monotonic

    A record's kind is its place in the program, its thing the first argument: a board's port, a
    sink's name, a chip.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        of = record.args if isinstance(record.args, tuple) else ()
        thing = str(of[0])[:_LONGEST] if of else ""
        key = record.pathname, record.lineno, thing
        kind = self._kinds.pop(key, None) or _Kind(_AT_ONCE, now)
        # Behind the others, of which the one that has been silent for longest goes.
        self._kinds[key] = kind
        if len(self._kinds) > _MOST:
            del self._kinds[next(iter(self._kinds))]
        kind.left = min(_AT_ONCE, kind.left + (now - kind.at) / _AGAIN_S)
        kind.at = now
        if kind.left < 1:
            kind.unsaid += 1
            return False
        kind.left -= 1
        if kind.unsaid:
            said = f"{record.getMessage()} (and {kind.unsaid} like it, left out before)"
            record.msg, record.args = said, ()
            kind.unsaid = 0
        return True
