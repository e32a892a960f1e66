"""Where all boards come together, and all sinks start from: one snapshot a second for each board.

Flow: readers (threads) -> HUB (the event loop) -> feeds -> sinks.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tools.monitor.link import LIVE, Standing
from tools.serve.counters import Counters, TooMany
from tools.serve.feed import Feed
from tools.serve.reader import Told
from tools.serve.settings import MOST_BOARDS, Board
from tools.serve.snapshot import Device, Snapshot

# A board reports each second: after so long without one it is gone, or hangs.
_GONE_S = 5.0
_log = logging.getLogger(__name__)


@dataclass
class Place:
    """A board of the settings, and what is known of it.

    unit      of the settings, or the first that is free, in the order of the settings
    standing  how the connection stands; None before the reader's first word
    told_at   when that was told: a reader may hang in its port, and tell nothing more
    latest    of the device that was there last
    why_not   why what it says is not handed on
    """

    board: Board
    unit: int
    standing: Standing | None = None
    told_at: float = field(default_factory=lambda: time.monotonic())
    latest: Snapshot | None = None
    why_not: str = ""


class Hub:
    """boards    of the settings
    counters  that do not fall
    now       the time, UTC: what a report is marked with

    places  one a board
    """

    def __init__(
        self,
        boards: list[Board],
        counters: Counters,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self.places = [Place(board, unit) for board, unit in zip(boards, _units(boards))]
        self._counters = counters
        self._feeds: list[Feed] = []

    def feed(self, keeps_all: bool) -> Feed:
        """One more, which begins with what there is."""
        feed = Feed(keeps_all)
        for snapshot in self.latest():
            feed.put(replace(snapshot, is_new=False))
        self._feeds.append(feed)
        return feed

    def latest(self) -> list[Snapshot]:
        """Of each device that is, or was last, at its place; where it has moved to another port,
        that of the new one."""
        found: dict[str, Snapshot] = {}
        for place in self.places:
            new = place.latest
            if new is None:
                continue
            other = found.get(new.device.key)
            if other is None or (other.is_live, other.at) < (new.is_live, new.at):
                found[new.device.key] = new
        return list(found.values())

    def away(self) -> list[str]:
        """Keys of devices that there have been, and that do not report now."""
        live = {of.device.key for of in self.latest() if of.is_live}
        return [key for key in self._counters.device_keys() if key not in live]

    def take(self, place: Place, told: Told) -> None:
        """A reader's word, in the event loop."""
        place.standing, place.told_at = told.standing, time.monotonic()
        if told.report is None:
            if told.standing.state != LIVE:
                self._goes(place)
            return
        if told.version is None:
            place.why_not = "it has not said yet which board it is"
            return
        chip_id = told.version.id
        elsewhere = [
            other
            for other in self.places
            if other is not place
            and other.latest
            and other.latest.is_live
            and other.latest.device.chip_id == chip_id
        ]
        if elsewhere:
            self._refuse(place, f"the board at another port has the same id, {chip_id}, as it")
            return
        try:
            key, report = self._counters.held(chip_id, told.report)
        except TooMany as problem:
            self._goes(place)
            self._refuse(place, str(problem))
            return
        place.why_not = ""
        name = place.board.name or f"Threewire {key[-4 if '-' not in key else -6 :]}"
        version = told.version
        device = Device(key, chip_id, name, version.board, version.version, place.unit)
        before = place.latest
        if before and before.device.key != key:
            self._goes(place)
        snapshot = Snapshot(device, report, self._now(), True, True, told.standing)
        self._hand_on(place, snapshot)

    def check_age(self) -> None:
        """To be called once a second: finds boards that have fallen silent."""
        now = time.monotonic()
        for place in self.places:
            age_s = place.standing.age_s if place.standing else None
            if age_s is not None and age_s + now - place.told_at > _GONE_S:
                self._goes(place)

    def _goes(self, place: Place) -> None:
        latest = place.latest
        if latest and latest.is_live:
            standing = place.standing or latest.standing
            self._hand_on(place, replace(latest, is_live=False, is_new=False, standing=standing))

    def _hand_on(self, place: Place, snapshot: Snapshot) -> None:
        place.latest = snapshot
        for feed in self._feeds:
            feed.put(snapshot)

    def _refuse(self, place: Place, why: str) -> None:
        if why != place.why_not:
            place.why_not = why
            port = place.standing.port if place.standing else place.board.port
            _log.warning("board at %s: %s; nothing of it is handed on", port, why)


def _units(boards: list[Board]) -> Iterator[int]:
    taken = {board.unit for board in boards}
    free = (unit for unit in range(1, MOST_BOARDS + 1) if unit not in taken)
    for board in boards:
        yield board.unit or next(free)


async def watch_age(hub: Hub) -> None:
    """Looks for boards that have fallen silent, until it is cancelled."""
    while True:
        hub.check_age()
        await asyncio.sleep(1)
