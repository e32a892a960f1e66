"""A job, done: in a worker, on this machine or another.

Flow: job -> replay on an engine -> what is kept of it, before anybody has judged it.
"""

import hashlib
import io
import json
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tools.common import boards
from tools.common.errors import EngineFailed, Failure, InputError, Unavailable
from tools.engines.process import Engine
from tools.regress.job import LOOPED_S, Job, Way, metering
from tools.regress.row import Row
from tools.replay.report import as_json
from tools.replay.result import Replay
from tools.replay.run import replay


def blank(name: str, way: Way, key: str = "") -> Row:
    """The row of a recording of which nothing is known yet, or nothing can be."""
    return {
        "key": key,
        "recording": name,
        "board": way.board or boards.DEFAULT,
        "engine": way.engine,
        "adc": way.adc,
        "seed": way.seed,
        "verdict": "passed",
        "why": [],
        "was_kept": False,
        "took_s": 0.0,
        "digest": "",
        "report": None,
    }


def measure(job: Job) -> Row:
    """Its row; an input that cannot be used and an engine that fails are rows, too.  The verdict
    is "passed" for all others: limits and golden files are the caller's."""
    began = time.monotonic()
    row = blank(job.name, job.way, job.key)
    try:
        if metering() != job.metering:
            raise EngineFailed(
                "this worker has other sources than the command that sends it work: install the "
                "same version there"
            )
        done = _replayed(job)
        row["report"] = as_json(done)
        row["board"] = done.board
        row["digest"] = digest(done)
    except InputError as problem:
        row["verdict"], row["why"] = "unusable", [str(problem)]
    except Failure as problem:
        row["verdict"], row["why"] = "failed", [str(problem)]
    except Exception as problem:
        # A reader that does not know what it is given says so with an InputError: this is a fault
        # of ours, and no reason to lose what the others come to.
        row["verdict"], row["why"] = "failed", [f"crashed: {type(problem).__name__}: {problem}"]
    row["took_s"] = round(time.monotonic() - began, 3)
    return row


def digest(done: Replay) -> str:
    """SHA-256 over all that the meter came to, to the last bit, and the LEDs' edges."""
    exact = json.dumps([done.metered.result, done.metered.edges], sort_keys=True)
    return hashlib.sha256(exact.encode()).hexdigest()


def _replayed(job: Job, trace: bool = False) -> Replay:
    if not job.shipped:
        return _run(job, job.parts, trace)
    with tempfile.TemporaryDirectory(prefix="threewire-") as folder:
        for name, data in job.shipped:
            Path(folder, name).write_bytes(data)
        try:
            return _run(job, [str(Path(folder, Path(each).name)) for each in job.parts], trace)
        except InputError as problem:
            # Of the file as it is known where the command runs.
            raise InputError(
                str(problem).replace(folder, str(Path(job.parts[0]).parent))
            ) from None


def _run(job: Job, parts: Sequence[str], trace: bool) -> Replay:
    way = job.way
    # A name that stands alone is no pattern, whatever is in it.
    path = parts[0] if len(parts) == 1 else parts

    def replayed(seconds: float | None) -> Replay:
        engine = _engine(way.engine)
        return replay(
            path,
            way.board,
            engine,
            seconds,
            adc=way.adc,
            seed=way.seed,
            trace=trace,
            from_s=job.begin,
        )

    done = replayed(job.seconds)
    if job.is_looped(done.seconds):
        done = replayed(LOOPED_S)
    return done


class _Engines(threading.local):
    """Those of a thread, of which Dask has several in a worker: starting one takes longer than
    metering a short recording."""

    def __init__(self) -> None:
        self.kept: dict[str, Engine] = {}


_engines = _Engines()


def _engine(name: str) -> Engine:
    return _engines.kept.setdefault(name, Engine(name))


def picture(job: Job) -> bytes | None:
    """Its power, registers and LEDs, as an SVG; None where there is nothing to be drawn."""
    from tools.replay.plot import figure_of  # matplotlib takes a second to import

    try:
        figure = figure_of(_replayed(job, trace=True))
    except (InputError, EngineFailed, Unavailable):
        return None
    out = io.BytesIO()
    figure.savefig(out, format="svg")
    return out.getvalue()
