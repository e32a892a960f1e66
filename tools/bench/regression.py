"""Speed of regressions on this machine: many short recordings, as a user's command meters them.

Flow: recordings made here -> `python -m tools.regress` -> REGRESSION -> figures.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tools.bench.chip import HERTZ, VOLTS
from tools.bench.figures import Figure
from tools.bench.processes import peak_mb
from tools.common.boards import ROOT

_RATE_HZ = 7680
_SECONDS = 20.0
_LOOK_S = 0.2


def regressions(count: int) -> list[Figure]:
    """Of `count` recordings of 20 s: on one core and on all that there are, anew and again."""
    with tempfile.TemporaryDirectory(prefix="threewire-") as folder:
        recordings = Path(folder, "recordings")
        recordings.mkdir()
        for n in range(count):
            _record(recordings / f"r{n:04}.npz", n)
        cores = sorted(_cores())
        alone_s, _ = _run(recordings, Path(folder, "one"), cores[:1])
        all_s, most_mb = _run(recordings, Path(folder, "all"), cores)
        again_s, _ = _run(recordings, Path(folder, "all"), cores)
        lines = Path(folder, "one", "rows.jsonl").read_text().splitlines()
        took_s = sum(json.loads(line)["took_s"] for line in lines)
    if len(lines) != count:
        raise RuntimeError(f"{len(lines)} rows of {count} recordings")
    where = f"{count} recordings of {_SECONDS:.0f} s, {len(cores)} cores, whole command"
    return [
        Figure("regress_a_minute", "regression", 60 * count / all_s, "a minute", where),
        Figure(
            "regress_overhead_ms",
            "regression, beside the replays, a recording",
            1e3 * (alone_s - took_s) / count,
            "ms",
            where.replace(f"{len(cores)} cores", "one core"),
        ),
        Figure("regress_speedup", "regression, all cores", alone_s / all_s, "x one core", where),
        Figure("regress_again_percent", "regression, again", 100 * again_s / all_s, "%", where),
        Figure("regress_worker_mb", "regression, largest worker", most_mb, "MB", where),
    ]


def _record(path: Path, n: int) -> None:
    t = (np.arange(round(_RATE_HZ * _SECONDS)) + 0.5) / _RATE_HZ
    angle = 2 * math.pi * HERTZ * t
    volts = VOLTS * math.sqrt(2) * np.sin(angle)
    # No two alike: copies are known by their content, and metered once.
    amps = (2 + 0.1 * n) * math.sqrt(2) * np.sin(angle - 0.01 * (n % 100))
    waves = {"v1": volts, "i1": amps, "v2": -volts, "i2": -amps}
    halved: dict[str, Any] = {name: of.astype("f4") for name, of in waves.items()}
    np.savez(path, rate_hz=_RATE_HZ, **halved)


def _cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _run(recordings: Path, out: Path, cores: list[int]) -> tuple[float, float]:
    """Seconds of the command on these cores; MB that its largest process had at once (0: it was
    over too soon, or the system does not tell)."""
    words = [sys.executable, "-m", "tools.regress", str(recordings), "--out", str(out)]
    before = _cores()
    if hasattr(os, "sched_setaffinity"):
        # A child has what its parent has.
        os.sched_setaffinity(0, cores)
    try:
        began = time.monotonic()
        with subprocess.Popen(
            [*words, "--jobs", str(len(cores))], cwd=ROOT, stdout=subprocess.DEVNULL
        ) as child:
            most = 0.0
            while child.poll() is None:
                most = max([most, *map(peak_mb, _descendants(child.pid))])
                time.sleep(_LOOK_S)
        if child.returncode:
            raise RuntimeError(f"{' '.join(words)}: status {child.returncode}")
        return time.monotonic() - began, most
    finally:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, before)


def _descendants(number: int) -> list[int]:
    found = [number]
    for each in found:
        with suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found
