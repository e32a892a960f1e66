"""The gateway: readers, hub and sinks from the start to the end.

Flow: settings -> GATEWAY (readers -> hub -> sinks).
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tools.common.errors import InputError
from tools.common.files import reason, writable_folder
from tools.monitor.link import check_port
from tools.serve.counters import Counters
from tools.serve.feed import Feed
from tools.serve.hub import Hub, Place, watch_age
from tools.serve.reader import Reader, Told
from tools.serve.settings import Settings
from tools.serve.sink import Sink, Status, keep_running
from tools.serve.sinks import module

# How often the counters are written down: a memory card lasts.
_SAVE_S = 60.0
# What sinks have to end in good order.
_ENDING_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Running:
    """A sink with what belongs to it."""

    sink: Sink
    feed: Feed
    status: Status


class Gateway:
    """settings  whose sinks are made, and whose secrets are read

    hub       what the sinks start from
    sinks     with their feeds, and how they do
    folder    where it keeps what outlives it

    Raises InputError for what cannot be used.
    """

    def __init__(
        self, settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        for board in settings.boards:
            if board.port:
                check_port(board.port)
        self.folder = writable_folder(Path(settings.gateway.folder))
        self._counters = Counters(self.folder)
        self.hub = Hub(settings.boards, self._counters, now)
        self.sinks: list[Running] = []
        for name, table in settings.sinks.items():
            try:
                sink = module(name).Sink(table, self)
                self.sinks.append(Running(sink, self.hub.feed(sink.keeps_all), Status(name)))
            except InputError as problem:
                raise InputError(f"[{name}]: {problem}") from None

    async def run(self, on_ending: Callable[[], object] = lambda: None) -> None:
        """Until it is cancelled, or asked to end by Ctrl-C or a kill, and then has `on_ending`
        called.  Raises InputError where another is at work in its folder."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            stack.enter_context(_locked(self.folder))
            for place in self.hub.places:
                stack.enter_context(self._reading(place, loop))
            tasks = [
                asyncio.create_task(keep_running(of.sink, of.feed, of.status)) for of in self.sinks
            ]
            tasks += [asyncio.create_task(work) for work in (watch_age(self.hub), self._save())]
            stop = asyncio.Event()
            with _signals(loop, stop):
                try:
                    await stop.wait()
                finally:
                    on_ending()
                    for task in tasks:
                        task.cancel()
                    _, late = await asyncio.wait(tasks, timeout=_ENDING_S)
                    for task in late:
                        _log.warning("not ended in time: %s", task.get_name())
                    self._save_now()

    @contextlib.contextmanager
    def _reading(self, place: Place, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        def tell(told: Told) -> None:
            # The loop may have ended before the reader.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.hub.take, place, told)

        reader = Reader(place.board.port, place.board.timeout, tell)
        reader.start()
        try:
            yield
        finally:
            reader.end()

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_S)
            # A disk that hangs holds nothing else up.
            await asyncio.to_thread(self._save_now)

    def _save_now(self) -> None:
        try:
            self._counters.save()
        except InputError as problem:
            _log.warning("counters: %s", problem)


def _locked(folder: Path) -> IO[bytes]:
    """A file that keeps other gateways out of the folder as long as it is open."""
    try:
        file = (folder / "lock").open("ab")
    except OSError as problem:
        raise InputError(
            f"{folder / 'lock'}: cannot be opened ({reason(problem)}); move it away"
        ) from None
    try:
        import fcntl  # not on Windows, where whoever starts two has to know it

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError:
        file.close()
        raise InputError(
            f"{folder}: another gateway is at work there; give this one a folder of its own "
            "([gateway])"
        ) from None
    return file


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> Iterator[None]:
    """A kill and Ctrl-C end it in good order.  Where the system has no such handlers Ctrl-C
    cancels it."""
    added = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
            added.append(number)
    try:
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)
