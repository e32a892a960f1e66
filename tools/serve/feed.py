"""What waits for a sink: it takes from its own feed, and is late or away at nobody's cost.

Flow: hub -> FEED, one a sink -> sink.
"""

import asyncio
from collections import deque

from tools.serve.snapshot import Snapshot

# Of all that there is to keep: an hour of one board, a minute of fifty.
MOST = 3600


class Feed:
    """Snapshots for one sink, in the order in which they came.

    keeps_all  True: each report is wanted, and when there are too many the oldest go; False: the
               latest of each device is enough
    lost       snapshots that have gone, of those that were all wanted
    """

    def __init__(self, keeps_all: bool, most: int = MOST) -> None:
        self._keeps_all = keeps_all
        self._most = most
        self._waiting: deque[Snapshot] = deque()
        self._latest: dict[str, Snapshot] = {}
        self._is_any = asyncio.Event()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting) if self._keeps_all else len(self._latest)

    def put(self, snapshot: Snapshot) -> None:
        """Never waits."""
        if self._keeps_all:
            if len(self._waiting) >= self._most:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(snapshot)
        else:
            # Behind the others, as what came last.
            self._latest.pop(snapshot.device.key, None)
            self._latest[snapshot.device.key] = snapshot
        self._is_any.set()

    async def get(self) -> Snapshot:
        """The oldest that waits; waits for one where there is none."""
        while not len(self):
            self._is_any.clear()
            await self._is_any.wait()
        if self._keeps_all:
            return self._waiting.popleft()
        return self._latest.pop(next(iter(self._latest)))
