"""Reads a board in a thread of its own, for as long as the gateway runs.

Flow: board's port -> link -> READER -> hub.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tools.cable.shapes import Version
from tools.monitor.link import Link, Standing
from tools.monitor.report import Report

# How long a look at a port may wait for something to come: fifty boards at the monitor's 50 ms
# would be a thousand looks a second.
PATIENCE_S = 0.5
# Between two words on a board that has nothing to report.
_TOLD_S = 1.0
# What a board may take of a core, and for how many seconds of work at once: one that writes
# without end is read more slowly, and takes nothing from the others.
_SHARE, _AT_ONCE_S = 0.05, 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """What a reader has to tell: a report, with who made it, or how the connection stands."""

    report: Report | None
    version: Version | None
    standing: Standing


class _Allowance:
    """Of this thread's processor time."""

    def __init__(self) -> None:
        self._left_s = _AT_ONCE_S
        self._used_s, self._at_s = time.thread_time(), time.monotonic()

    def wait_s(self) -> float:
        """How long to do nothing, before what has been used is within it again."""
        used_s, at_s = time.thread_time(), time.monotonic()
        self._left_s = min(self._left_s + _SHARE * (at_s - self._at_s), _AT_ONCE_S)
        self._left_s -= used_s - self._used_s
        self._used_s, self._at_s = used_s, at_s
        return max(0.0, -self._left_s / _SHARE)


class Reader(threading.Thread):
    """port, timeout   as Link's
    tell  is given Told in this thread, at least once a second, and must not block

    Raises InputError where waiting for the board would not help.
    """

    def __init__(self, port: str | None, timeout: float, tell: Callable[[Told], None]) -> None:
        super().__init__(name=f"board at {port or 'the only port'}", daemon=True)
        self._link = Link(port, timeout, patience_s=PATIENCE_S, asks_identity=True)
        self._tell = tell
        self._is_done = threading.Event()

    def end(self) -> None:
        """Asks it to end, which it does within half a second, unless a port is slow to
        open."""
        self._is_done.set()

    def run(self) -> None:
        told_at, told_state = 0.0, ("", "")
        allowance = _Allowance()
        try:
            while not self._is_done.wait(allowance.wait_s()):
                report = self._step()
                standing = self._link.standing
                now = time.monotonic()
                if (standing.state, standing.why) != told_state:
                    told_state = (standing.state, standing.why)
                    _log.log(
                        logging.WARNING if standing.why else logging.INFO,
                        "board at %s: %s%s",
                        standing.port or "no port yet",
                        standing.state,
                        f" ({standing.why})" if standing.why else "",
                    )
                elif report is None and now - told_at < _TOLD_S:
                    continue
                told_at = now
                self._tell(Told(report, self._link.identity, standing))
        finally:
            self._link.close()

    def _step(self) -> Report | None:
        try:
            return self._link.step()
        except Exception as problem:
            # A driver has errors of its own, as termios has where a board is unplugged while its
            # port is opened: without this thread nobody would look for it again.
            _log.debug("%s", self.name, exc_info=True)
            self._link.give_up(f"{type(problem).__name__}: {problem}")
            return None
