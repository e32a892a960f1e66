"""An engine as a child process: codes go in, edges, traces and the result come out.

Flow: front end -> ENGINE PROCESS (program.py on MicroPython or CPython) -> replay's result.
"""

import json
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.common.boards import ROOT
from tools.common.errors import EngineFailed
from tools.engines import interpreters as engines

# MicroPython looks for free memory from the heap's start and marks all of it when it collects: a
# small heap is the fast one.  Measured on the amd64 engine: 128 kB ran twice as fast as 1 MB.
HEAP = "256k"
# 1024 frames of four codes are 8 kB: some ten system calls for each second of signal.
BLOCK_FRAMES = 1024
# Room for the front end to run ahead: with less, the processes wake each other for every block.
PIPE_BYTES = 1 << 20


@dataclass
class Metered:
    """What the meter made of the codes.

    result  the object described in program.py
    edges   (indicator, lit, ticks) in order of time
    cpu_seconds  processor time of the engine, its start included; on Windows wall time
    trace   rows (ticks, uW element 1, uW element 2, delivered uWh, received uWh)
    """

    result: dict[str, Any] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    edges: list[tuple[str, bool, int]] = field(default_factory=list)
    trace: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def take(self, line: str) -> None:
        kind, *rest = json.loads(line)
        if kind == "edge":
            name, lit, ticks = rest
            self.edges.append((name, lit, ticks))
        elif kind == "trace":
            self.trace.append(tuple(rest))
        else:
            self.result = rest[0]


def meter(
    engine: str,
    blocks: Iterable[NDArray[np.uint16]],
    board: str,
    calibration: dict[str, Any],
    frame_ticks: int,
    tick_hz: int,
    trace_ticks: int = 0,
    heap: str = HEAP,
    block_frames: int = BLOCK_FRAMES,
    sampler: dict[str, Any] | None = None,
    spans: Sequence[tuple[int, int]] = (),
) -> Metered:
    """Feeds blocks of codes, uint16 (n, slots), to the meter on an engine.

    sampler  what the board file's SAMPLER is taken to be instead
    spans    (frames, ticks of each) one after the other, where frames are not all of frame_ticks

    Raises Unavailable, EngineFailed, and whatever `blocks` raises (the engine is then
    ended).
    """
    config = {
        "board": board,
        "calibration": calibration,
        "frame_ticks": frame_ticks,
        "tick_hz": tick_hz,
        "block_frames": block_frames,
        "trace_ticks": trace_ticks,
        "sampler": sampler,
        "spans": list(spans),
    }
    before = _children_seconds()
    script = str(Path(__file__).with_name("program.py"))
    child = subprocess.Popen(
        [*engines.command(engine, heap), script, str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pipesize=PIPE_BYTES,
    )
    assert child.stdin and child.stdout and child.stderr
    metered = Metered()
    complaints: list[bytes] = []
    out, err = child.stdout, child.stderr

    def listen() -> None:
        for line in out:
            metered.take(line.decode())

    listeners = [
        threading.Thread(target=listen),
        threading.Thread(target=lambda: complaints.append(err.read())),
    ]
    for thread in listeners:
        thread.start()
    try:
        try:
            child.stdin.write(json.dumps(config).encode() + b"\n")
            for block in blocks:
                child.stdin.write(np.ascontiguousarray(block, dtype="<u2").data)
            child.stdin.close()
        except BrokenPipeError:
            pass  # it died: what it said on stderr tells why
    except BaseException:
        child.kill()
        raise
    finally:
        for thread in listeners:
            thread.join()
        child.wait()
        out.close()
        err.close()
    if child.returncode or not metered.result:
        said = b"".join(complaints).decode(errors="replace").strip()
        raise EngineFailed(f"engine {engine} ended with status {child.returncode}: {said[-2000:]}")
    metered.cpu_seconds = _children_seconds() - before
    return metered


def _children_seconds() -> float:
    """Processor time of all children that have ended: unlike wall time it does not count waiting
    for codes, nor what else the machine is doing."""
    try:
        import resource
    except ImportError:  # Windows has none
        return time.monotonic()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
