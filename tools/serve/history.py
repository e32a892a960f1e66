"""What has been: each device's power, energy and faults, minute by minute, in a file of its own.

Flow: feed -> HISTORY (recent.py, history_file.py, days.py) -> web.py.

The minute that is open, and those that could not be written yet, are in memory; what is asked for
is put together of them and of the file.  A disk that is full, or slow, keeps nothing waiting.
"""

import asyncio
import functools
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeVar

from msgspec import Meta, Struct

from tools.serve.days import bounds
from tools.serve.feed import Feed
from tools.serve.history_file import HistoryFile
from tools.serve.history_form import is_corrupt
from tools.serve.intervals import (
    MINUTE_S,
    REGISTERS,
    Interval,
    joined,
    widened,
)
from tools.serve.recent import Recent
from tools.serve.sink import Status

if TYPE_CHECKING:
    from tools.serve.gateway import Gateway

T = TypeVar("T")

FILE = "history.sqlite"
_LOOK_S = 1.0
# Before what could not be written is tried again.
_AGAIN_S = 10.0
_TIDY_S = 3600.0
# So many times in a row a clock that has jumped ahead has to say the same before rows go by it.
_TRUSTED = 24
_DAY_S = 86400
_NEAR_S = 600
_MIB = 1 << 20
_log = logging.getLogger(__name__)


class Settings(Struct):
    """[history]"""

    most_mb: Annotated[int, Meta(ge=10, le=1_000_000)] = 2000
    keep_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None


@dataclass(frozen=True)
class Energy:
    """What registers have risen by, exact decimal texts of Wh by their names in REGISTERS.

    from_s, to_s  since 1970: of the readings between which it is
    is_whole      whether they are at the ends of the day, or within ten minutes of them, or it is
                  still going on; energy of a time without readings belongs to the day in which
                  the next one is
    """

    wh: dict[str, str]
    from_s: int
    to_s: int
    is_whole: bool


class Sink:
    """Settings and gateway as every sink's."""

    keeps_all: ClassVar[bool] = True

    def __init__(self, settings: Settings, gateway: "Gateway") -> None:
        keep_s = None if settings.keep_days is None else settings.keep_days * _DAY_S
        self._file = HistoryFile(gateway.folder / FILE, settings.most_mb * _MIB, keep_s)
        # One thread, in which all that is asked of the file is done in order.
        self._thread = ThreadPoolExecutor(1, "history")
        # Whoever has it sees memory and file as they belong together.
        self._lock = asyncio.Lock()
        self._recent = Recent()
        # What the clock has been ahead of one that cannot be set, as rows were looked through.
        self._ahead_s: deque[float] = deque(maxlen=_TRUSTED)
        self._aside = ""
        self._found_bad: sqlite3.Error | None = None

    async def run(self, feed: Feed, status: Status) -> None:
        stop = asyncio.Event()
        writer = asyncio.create_task(self._keep_writing(stop, status))
        try:
            while not writer.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        self._recent.take(await feed.get())
        finally:
            # It is not broken off in the middle: what has come until now is written, too.
            stop.set()
            await writer

    # ---- what is written

    async def _keep_writing(self, stop: asyncio.Event, status: Status) -> None:
        again_at = tidy_at = 0.0
        while not stop.is_set():
            now = time.monotonic()
            self._recent.end()
            if now >= again_at and (self._recent.waiting or self._found_bad or not status.is_ok):
                is_good = await self._write(status)
                again_at = 0.0 if is_good else now + _AGAIN_S
            if now >= tidy_at and now >= again_at:
                self._ahead_s.append(time.time() - now)
                now_s = now + min(self._ahead_s)
                is_more = await self._do(status, functools.partial(self._file.tidy, now_s))
                tidy_at = now if is_more else now + _TIDY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stop.wait()
        self._recent.end(is_all=True)
        await self._write(status)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)

    async def _write(self, status: Status) -> bool:
        """All that waits, or nothing of it; whether it is written."""
        async with self._lock:
            # What comes to one of these minutes meanwhile waits apart: it is joined in the file.
            writing = self._recent.give()
            rows = [(key, self._recent.names[key], of) for (key, _), of in writing.items()]
            is_good = await self._do(status, lambda: self._file.write(rows), len(writing))
            if is_good is None:
                self._recent.take_back(writing)
            return is_good is not None

    async def _do(self, status: Status, work: Callable[[], bool], writing: int = 0) -> bool | None:
        """What comes of work on the file, to which so many minutes are being written; None where
        it cannot be done, and then nothing is."""
        try:
            if self._found_bad is not None:
                raise self._found_bad
            found = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as problem:
            self._found_bad = None
            said = str(problem)
            if isinstance(problem, sqlite3.Error) and is_corrupt(problem):
                said = await self._set_aside(said)
            lost = f", {self._recent.lost} are lost" if self._recent.lost else ""
            waiting = len(self._recent.waiting) + writing
            status.trouble(f"{self._file.path}: {said}; {waiting} minutes wait in memory{lost}")
            return None
        lost = ""
        if self._recent.lost:
            lost = f"; {self._recent.lost} minutes are lost, for which there was no room"
        status.ok(f"writes {self._file.path}{self._aside}{lost}")
        return found

    async def _set_aside(self, said: str) -> str:
        loop = asyncio.get_running_loop()
        try:
            aside = await loop.run_in_executor(self._thread, self._file.set_aside)
        except OSError as problem:
            return f"{said}; it cannot be moved away ({problem.strerror}), move it yourself"
        self._aside = f"; the one before could not be used, and is now {aside.name}"
        return f"{said}; it is now {aside.name}, and a new one is begun"

    # ---- what is asked

    async def _ask(self, work: Callable[[], T], without: T) -> T:
        """The file's answer; `without` where it has none."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as problem:
            _log.warning("history: %s: cannot be read: %s", self._file.path, problem)
            if is_corrupt(problem):
                # Who writes next makes room for a new one.
                self._found_bad = problem
            return without

    async def names(self) -> dict[str, str]:
        """Key -> name of all devices of which there is something."""
        async with self._lock:
            return await self._ask(self._file.names, {}) | self._recent.names

    async def thinned(self, key: str, from_s: int, to_s: int, seconds: int) -> list[Interval]:
        """What begins in this time, joined to intervals of so many seconds, without registers."""
        async with self._lock:
            memory = [of for of in self._recent.of(key) if from_s <= of.start < to_s]
            found = await self._ask(lambda: self._file.thinned(key, from_s, to_s, seconds), [])
        return _merged(found, [widened(of, seconds) for of in memory], seconds)

    async def intervals(self, key: str, from_s: int, to_s: int, limit: int) -> list[Interval]:
        """The first so many that begin in this time, as fine as they are."""
        async with self._lock:
            memory = [of for of in self._recent.of(key) if from_s <= of.start < to_s]
            found = await self._ask(lambda: self._file.intervals(key, from_s, to_s, limit), [])
        return _merged(found, memory, MINUTE_S)[:limit]

    async def energy(self, key: str, day: date) -> Energy | None:
        """Of a day of the calendar here, or what there is of it so far; None where there is
        nothing."""
        from_s, to_s = bounds(day)
        async with self._lock:
            memory = self._recent.of(key)
            before, first, last = await self._ask(
                lambda: (
                    self._file.last_before(key, from_s),
                    self._file.intervals(key, from_s, to_s, 1),
                    self._file.last_before(key, to_s),
                ),
                (None, [], None),
            )
        inside = sorted([*first, *_between(memory, from_s, to_s)], key=_start)
        earlier = [*([before] if before else []), *_between(memory, 0, from_s)]
        latest = [*([last] if last else []), *_between(memory, 0, to_s)]
        if not inside:
            return None
        begin = max(earlier, key=_start) if earlier else inside[0]
        end = max(latest, key=_start)
        is_going_on = self._recent.is_open(key, end.start)
        begun_s, ended_s = begin.start + begin.seconds, end.start + end.seconds
        return Energy(
            {
                # Of a clock that was wrong for a while the last may be the least.
                name: f"{max(Decimal(b) - Decimal(a), Decimal(0)):f}"
                for name, a, b in zip(REGISTERS, begin.registers, end.registers)
            },
            begun_s,
            ended_s,
            abs(begun_s - from_s) <= _NEAR_S and (to_s - ended_s <= _NEAR_S or is_going_on),
        )


def _start(of: Interval) -> int:
    return of.start


def _between(of: list[Interval], from_s: int, to_s: int) -> list[Interval]:
    return [each for each in of if from_s <= each.start < to_s]


def _merged(found: list[Interval], more: list[Interval], seconds: int) -> list[Interval]:
    """Both by their start, with those of the same start joined."""
    by_start = {of.start: of for of in found}
    for of in more:
        there = by_start.get(of.start)
        by_start[of.start] = joined(there, of, max(there.seconds, seconds)) if there else of
    return [by_start[start] for start in sorted(by_start)]
