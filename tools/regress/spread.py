"""Jobs spread over the cores of this machine, or of a cluster, by joblib.

Flow: jobs -> SPREAD -> what each came to, in the order in which they are done.  A worker that dies
costs the jobs that were under way another try.
"""

import asyncio
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from typing import Any, TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor

from tools.common.errors import InputError

# How often a job may be under way when a worker dies.  The last try is by itself: else one that
# kills its worker would take others with it.
TRIES = 3
# Seconds until a scheduler must have answered, and then until it must have a worker.
_ANSWER_S = _WORKER_S = 20

Given = TypeVar("Given")
Made = TypeVar("Made")


def spread(
    work: Callable[[Given], Made],
    given: Iterable[Given],
    count: int,
    died: Callable[[Given], Made],
    workers: int,
    dask: str | None = None,
) -> Iterator[tuple[Given, Made]]:
    """(what was given, what `work` made of it), in the order in which they are done.

    given    is asked for one when there is somebody to do it
    count    how many there are
    died     what comes of one whose worker has died TRIES times
    workers  processes on this machine
    dask     address of a Dask scheduler, tcp://host:port, whose workers do it instead

    Raises InputError where there is no such scheduler, and whatever `work` raises.
    """
    if not count:
        return
    rest = enumerate(given)
    under_way: dict[int, Given] = {}
    tries: Counter[int] = Counter()

    def dispatched(again: list[int], also: Iterable[tuple[int, Given]]) -> Iterator[Any]:
        for at in again:
            yield joblib.delayed(_with_number)(work, at, under_way[at])
        for at, each in also:
            under_way[at] = each
            yield joblib.delayed(_with_number)(work, at, each)

    with _backend(workers, dask) as lost, warnings.catch_warnings():
        # Whoever takes no more rows knows that there are some left.
        warnings.filterwarnings("ignore", ".*have been cancelled", UserWarning)
        is_done = False
        while not is_done:
            # What was under way when a worker died: first with the others, then by itself.
            suspects = [at for at in under_way if tries[at] == TRIES - 1]
            again, also = (suspects[:1], iter(())) if suspects else (list(under_way), rest)
            # One of its own for each try: what the last one still had under way ends there.
            parallel = joblib.Parallel(
                n_jobs=-1 if dask else workers,
                batch_size=1,  # pyright: ignore[reportArgumentType]
                return_as="generator_unordered",
            )
            try:
                try:
                    given_out: Any = parallel(dispatched(again, also))
                except TimeoutError:
                    raise InputError(
                        f"--dask {dask}: its scheduler has had no worker for {_WORKER_S} s; `dask "
                        f"worker {dask}` starts one"
                    ) from None
                with closing(given_out) as results:
                    for at, made in results:
                        yield under_way.pop(at), made
                # The last one's thread may have taken another just before it saw the end.
                is_done = not suspects and not under_way
            except lost:
                for at in again if suspects else list(under_way):
                    tries[at] += 1
                    if tries[at] == TRIES:
                        each = under_way.pop(at)
                        yield each, died(each)


async def _met(address: str) -> None:
    """Raises OSError, ValueError or TypeError where no scheduler answers in time."""
    from distributed.core import rpc

    async def asked() -> Any:
        async with rpc(address, timeout=_ANSWER_S) as other:
            return await other.identity()

    kind = (await asyncio.wait_for(asked(), _ANSWER_S)).get("type")
    if kind != "Scheduler":
        raise ValueError(f"it is a {str(kind).lower()}")


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return bool(record.getMessage().strip())


def _with_number(work: Callable[[Given], Made], at: int, each: Given) -> tuple[int, Made]:
    return at, work(each)


@contextmanager
def _backend(workers: int, dask: str | None) -> Iterator[tuple[type[Exception], ...]]:
    """Where joblib's jobs are done meanwhile; gives what is raised when a worker has died."""
    if dask is None:
        try:
            with joblib.parallel_config("loky", n_jobs=workers):
                yield (BrokenProcessPool,)
        except BaseException:
            # Ctrl-C, or the end of who reads: what is under way is not waited for.
            get_reusable_executor().shutdown(wait=False, kill_workers=True)
            raise
        return
    from distributed import Client, KilledWorker  # a second to import

    try:
        # First, because a client that comes to nothing takes a minute to end, and leaves a
        # traceback; and what is no scheduler at all, but listens, it never leaves.
        asyncio.run(_met(dask))
        client = Client(dask, timeout=_ANSWER_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        why = str(problem) or f"nothing within {_ANSWER_S} s"
        raise InputError(
            f"--dask {dask}: no scheduler answers there ({why}); expected the address that "
            "`dask scheduler` prints, as tcp://host:8786"
        ) from None
    # That it has lost its scheduler, and goes on alone, it says in one line.
    logging.getLogger("distributed.client").addFilter(_without_traceback)
    with (
        client,
        joblib.parallel_config("dask", client=client, wait_for_workers_timeout=_WORKER_S),
    ):
        yield (KilledWorker,)
