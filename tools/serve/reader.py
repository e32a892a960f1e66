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
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """What a reader has to tell: a report, with who made it, or how the connection stands."""

    report: Report | None
    version: Version | None
    standing: Standing


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
        try:
            while not self._is_done.is_set():
                report = self._link.step()
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
