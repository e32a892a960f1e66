"""A Dask cluster on this machine: a scheduler and workers, each a process that may be killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tools.common.boards import ROOT
from tools.emulate.tcp_port import free_port

Process = subprocess.Popen[bytes]


def nobody() -> str:
    """An address at which there is no scheduler."""
    return f"tcp://127.0.0.1:{free_port()}"


@contextmanager
def _process(name: str, *words: str) -> Iterator[Process]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *words, "--no-dashboard"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "firmware")))}
    null = subprocess.DEVNULL
    child = subprocess.Popen(command, cwd=ROOT, env=env, stdout=null, stderr=null)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[Process]]]:
    """The scheduler's address, and the workers, of one thread each."""
    address = nobody()
    with ExitStack() as stack:
        port = address.rpartition(":")[2]
        stack.enter_context(_process("scheduler", "--host", "127.0.0.1", "--port", port))
        yield (
            address,
            [
                stack.enter_context(_process("worker", address, "--nthreads", "1", "--no-nanny"))
                for _ in range(workers)
            ],
        )
