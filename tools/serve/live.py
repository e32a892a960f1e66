"""What is there now, as it comes: server-sent events to each page that is open.

Flow: web.py -> LIVE -> browsers.

    data: {…}                  a device, as now.py has it: about once a second
    event: boards, data: […]   how the boards' connections stand, where that has changed
    event: quiet               where there has been nothing else for a while
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from tools.serve.feed import Feed
from tools.serve.health import board
from tools.serve.now import now
from tools.serve.snapshot import Snapshot

if TYPE_CHECKING:
    from tools.serve.hub import Hub

# Pages that may be open at a time.
MOST = 32
# A page that takes nothing for so long is gone, or as good as.
_SLOW_S = 10.0
# Something comes at least so often, by which a browser's end is found out.
_QUIET_S = 15.0
_QUIET = b"event: quiet\ndata: 0\n\n"
_LOOK_S = 1.0
# Many boards' reports are written together: each write has its price.
_GATHER_S = 0.1


class Live:
    """hub  whose devices and boards are told

    A page that is slow gets the latest of each device, and costs the others nothing.
    """

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._feeds: dict[Feed, asyncio.Task] = {}
        self._made: dict[str, tuple[Snapshot, bytes]] = {}

    def __len__(self) -> int:
        """Pages that are open."""
        return len(self._feeds)

    def put(self, snapshot: Snapshot) -> None:
        for feed in self._feeds:
            feed.put(snapshot)

    def end(self) -> None:
        """Ends all of them."""
        for task in self._feeds.values():
            task.cancel()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        if len(self._feeds) >= MOST or task is None:
            raise web.HTTPServiceUnavailable(
                text=f"{MOST} pages are open, more are not served at a time\n",
                headers={"Retry-After": "30"},
            )
        feed = Feed(keeps_all=False)
        for snapshot in self._hub.latest():
            feed.put(snapshot)
        self._feeds[feed] = task
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        try:
            await response.prepare(request)
            with suppress(ConnectionError, asyncio.CancelledError):
                await self._tell(feed, response)
        except TimeoutError:
            drop(request)
        finally:
            del self._feeds[feed]
        return response

    async def _tell(self, feed: Feed, response: web.StreamResponse) -> None:
        """Until the page is gone, or takes nothing: ConnectionError, TimeoutError."""
        loop = asyncio.get_running_loop()
        boards, look_at, said_at = b"", 0.0, loop.time()
        while True:
            parts = []
            snapshot = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    snapshot = await feed.get()
            if snapshot:
                parts.append(self._event(snapshot))
                await asyncio.sleep(_GATHER_S)
                while len(feed):
                    parts.append(self._event(await feed.get()))
            if loop.time() >= look_at:
                look_at = loop.time() + _LOOK_S
                stand = msgspec.json.encode([board(place) for place in self._hub.places])
                if stand != boards:
                    boards = stand
                    parts.append(b"event: boards\ndata: %s\n\n" % stand)
            if not parts:
                if loop.time() - said_at < _QUIET_S:
                    continue
                parts.append(_QUIET)
            said_at = loop.time()
            async with asyncio.timeout(_SLOW_S):
                await response.write(b"".join(parts))

    def _event(self, snapshot: Snapshot) -> bytes:
        """The same for all pages: it is made once."""
        key = snapshot.device.key
        there = self._made.get(key)
        if there is None or there[0] is not snapshot:
            there = snapshot, b"data: %s\n\n" % msgspec.json.encode(now(snapshot))
            self._made[key] = there
        return there[1]


def drop(request: web.Request) -> None:
    """Ends the connection of somebody who takes nothing: an answer that ends in good order would
    wait for ever until that was taken."""
    if request.transport is not None:
        request.transport.abort()
