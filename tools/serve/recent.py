"""What the history's file has not got yet: minutes that are open, and such as wait to be written.

Flow: snapshots -> RECENT (intervals.py) -> history.py.
"""

import time
from dataclasses import dataclass

from tools.serve.intervals import MINUTE_S, Interval, joined, of_report
from tools.serve.snapshot import Snapshot

# Minutes that may wait, of all devices: a week of one, three hours of fifty; 10 MB.
MOST = 10_000
# A minute in which nothing more comes ends so long after its first report.
_ENDED_S = MINUTE_S + 5

# A device's key, and the interval's start.
Place = tuple[str, int]


@dataclass
class _Open:
    """A device's minute to which more may come."""

    interval: Interval
    since: float


class Recent:
    """names    key -> name of the devices that have reported
    waiting  minutes that have ended, the oldest first
    lost     those that there was no room for
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.waiting: dict[Place, Interval] = {}
        self.lost = 0
        self._open: dict[str, _Open] = {}
        self._faults: dict[str, int] = {}

    def take(self, snapshot: Snapshot) -> None:
        """A device's report goes into its minute."""
        if not snapshot.is_new:
            return
        key = snapshot.device.key
        self.names[key] = snapshot.device.name
        counted = sum(snapshot.report.counts.values())
        before = self._faults.get(key, counted)
        self._faults[key] = counted
        # A board that has started anew counts from nothing.
        faults = counted - before if counted >= before else counted
        new = of_report(snapshot.at.timestamp(), snapshot.report, faults)
        there = self._open.get(key)
        if there and there.interval.start == new.start:
            there.interval = joined(there.interval, new)
            return
        if there:
            self._end(key)
        self._open[key] = _Open(new, time.monotonic())

    def end(self, is_all: bool = False) -> None:
        """Ends the minutes of devices that have fallen silent, or all that are open."""
        now = time.monotonic()
        for key, of in list(self._open.items()):
            if is_all or now - of.since > _ENDED_S:
                self._end(key)

    def _end(self, key: str) -> None:
        interval = self._open.pop(key).interval
        self.wait((key, interval.start), interval)

    def wait(self, place: Place, interval: Interval) -> None:
        """It is to be written."""
        there = self.waiting.get(place)
        self.waiting[place] = joined(there, interval) if there else interval
        while len(self.waiting) > MOST:
            self.waiting.pop(next(iter(self.waiting)))
            self.lost += 1

    def give(self) -> dict[Place, Interval]:
        """All that waits, which is with the caller then."""
        found, self.waiting = self.waiting, {}
        return found

    def take_back(self, found: dict[Place, Interval]) -> None:
        """What could not be written waits again, before what has come meanwhile."""
        late, self.waiting = self.waiting, found
        for place, interval in late.items():
            self.wait(place, interval)

    def of(self, key: str) -> list[Interval]:
        """A device's, by their start, with the one that is open."""
        found = {start: of for (whose, start), of in self.waiting.items() if whose == key}
        if there := self._open.get(key):
            of = there.interval
            found[of.start] = joined(found[of.start], of) if of.start in found else of
        return [found[start] for start in sorted(found)]

    def is_open(self, key: str, start: int) -> bool:
        """Whether a device's minute of this start may still grow."""
        there = self._open.get(key)
        return there is not None and there.interval.start == start
