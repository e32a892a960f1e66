"""What a sink is, and how it is kept going: one that fails is started anew, and told of.

Flow: hub -> feed -> SINK (mqtt.py, modbus.py, ...) -> network, disk.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Protocol

from tools.common.files import reason
from tools.common.terminal import clean
from tools.serve.feed import Feed

# Before a sink that has failed is started anew: doubled each time, up to the latter.
_AGAIN_S, _LONGEST_S = 1.0, 60.0
# Of what is said of a failure.
_SAID = 300
_log = logging.getLogger(__name__)


@dataclass
class Status:
    """How a sink does, for the log and /health.

    name   of its table in the settings
    is_ok  whether it does what it is for
    said   in a few words
    since  when that began
    """

    name: str
    is_ok: bool = False
    said: str = "starting"
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def ok(self, said: str) -> None:
        """It works."""
        self._become(True, said)

    def trouble(self, said: str) -> None:
        """It does not, and what would help if that is known."""
        self._become(False, said)

    def _become(self, is_ok: bool, said: str) -> None:
        said = clean(said)[:_SAID]
        if (is_ok, said) == (self.is_ok, self.said):
            return
        self.is_ok, self.said, self.since = is_ok, said, datetime.now(UTC)
        _log.log(logging.INFO if is_ok else logging.WARNING, "%s: %s", self.name, said)


class Sink(Protocol):
    """A way out for snapshots; made of its own table of the settings.

    keeps_all  as Feed's
    """

    keeps_all: ClassVar[bool]

    async def run(self, feed: Feed, status: Status) -> None:
        """Takes from the feed until it is cancelled.  What it raises is told, and it is run again:
        what has to be closed it closes itself.  It must not block the loop: disks and other slow
        things go to a thread."""
        ...


def why_not_listening(problem: OSError) -> str:
    """What the system has against an address, without the address: asyncio says that, too."""
    return reason(problem).rpartition(": ")[2]


async def keep_running(sink: Sink, feed: Feed, status: Status) -> None:
    """Runs a sink, and again where it has failed, until it is cancelled."""
    wait_s = _AGAIN_S
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await sink.run(feed, status)
            status.trouble("ended by itself")
        except Exception as problem:
            said = str(problem) or type(problem).__name__
            status.trouble(said)
            _log.debug("%s", status.name, exc_info=True)
        if loop.time() - began > _LONGEST_S:
            wait_s = _AGAIN_S
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_S)
