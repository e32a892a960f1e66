"""Work over processes, of which some are ended from outside."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from host_tests.rigs.dask_cluster import cluster, nobody
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.regress.spread import TRIES, _without_traceback, spread


def squared(n: int) -> int:
    return n * n


def ends_its_worker(n: int) -> int:
    if n == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def ends_it_once(job: tuple[int, str]) -> int:
    n, flag = job
    if n == 5:
        # Whoever makes the file is the first.
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return n * n
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def fails(n: int) -> int:
    raise ZeroDivisionError(n)


def died(job: object) -> int:
    return -1


@pytest.mark.parametrize("workers", [1, 2])
def test_each_comes_once(workers: int) -> None:
    made = list(spread(squared, range(20), 20, died, workers))
    assert sorted(made) == [(n, n * n) for n in range(20)]
    assert list(spread(squared, [], 0, died, workers)) == []


def test_a_worker_that_dies_costs_another_try(tmp_path: Path) -> None:
    jobs = [(n, str(tmp_path / "flag")) for n in range(12)]
    made = {n: value for (n, _), value in spread(ends_it_once, jobs, len(jobs), died, 2)}
    assert made == {n: n * n for n in range(12)}
    assert (tmp_path / "flag").exists()


def test_what_ends_every_worker_is_given_up_and_alone() -> None:
    made = dict(spread(ends_its_worker, range(12), 12, died, 2))
    assert made == {n: -1 if n == 5 else n * n for n in range(12)}
    assert TRIES == 3


def test_what_work_raises_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread(fails, range(3), 3, died, 2))


# ---- a cluster


def slow_square(n: int) -> int:
    time.sleep(0.1)
    return n * n


def test_a_cluster_of_which_a_worker_is_killed() -> None:
    made = []
    with cluster(2) as (address, workers):
        for pair in spread(slow_square, range(30), 30, died, 1, address):
            made.append(pair)
            if len(made) == 8:
                workers[0].kill()
    assert sorted(made) == [(n, n * n) for n in range(30)]


def test_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.regress.spread._ANSWER_S", 1)
    with pytest.raises(InputError, match=r"no scheduler answers there.*expected the address"):
        list(spread(squared, [1], 1, died, 1, nobody()))


@pytest.mark.parametrize("address", ["nowhere", "tcp://", "http://127.0.0.1:1", "tls://[::1]:1"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InputError, match=r"no scheduler answers there .*expected the addr"):
        list(spread(squared, [1], 1, died, 1, address))


def test_an_address_that_is_none_is_told_in_one_line_and_ends_at_once(tmp_path: Path) -> None:
    """A client that came to nothing used to wait for its own end, for forty seconds, and then to
    leave a traceback."""
    (tmp_path / "r.csv").write_text("# rate_hz=8000\nv1,i1\n" + "1,1\n" * 9)
    command = [sys.executable, "-m", "tools.regress", str(tmp_path), "--dask", "nowhere"]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "firmware")))},
        capture_output=True,
        text=True,
        timeout=35,
    )
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith("error: --dask nowhere: no scheduler answers there")
    assert len(run.stderr.splitlines()) == 1


def test_what_listens_and_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.regress.spread._ANSWER_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match="nothing within 1 s"):
            list(spread(squared, [1], 1, died, 1, address))


def test_what_a_client_says_of_its_scheduler_is_one_line() -> None:
    lost = (OSError, OSError("lost"), None)
    said = logging.makeLogRecord({"msg": "Failed to %s", "args": ("reconnect",), "exc_info": lost})
    assert _without_traceback(said)
    assert logging.Formatter().format(said) == "Failed to reconnect"
    assert not _without_traceback(logging.makeLogRecord({"msg": " ", "exc_info": lost}))


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the seconds that a scheduler needs to start."""
    monkeypatch.setattr("tools.regress.spread._WORKER_S", 1)
    with cluster(0) as (address, _), pytest.raises(InputError, match="no worker for 1 s; `dask "):
        list(spread(squared, [1], 1, died, 1, address))
