"""Work spread over processes, which ends with the command that gave it out.

Flow: accuracy -> POOL -> a meter on an engine in each process.
"""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from tools.common.errors import EngineFailed


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """That many processes, which end at once when what is done with them does not go on.

    Raises EngineFailed when one of them has been ended from outside.
    """
    with ProcessPoolExecutor(count) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            # It has given up by itself and ends its processes, which is waited for.
            raise EngineFailed("a process of the pool was ended from outside") from None
        except BaseException:
            # Else the pool would first see to the end of all that it was given.
            for process in multiprocessing.active_children():
                process.terminate()
            # Python leaves with a traceback while a pool is at its end: that is waited for too.
            pool.shutdown(cancel_futures=True)
            raise
