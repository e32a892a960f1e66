"""An engine as a child process: codes go in, edges, traces and the result come out.

Flow: front end -> PROCESS (program.py on MicroPython or CPython) -> replay's result.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tools.engines.child import started

# MicroPython looks for free memory from the heap's start and marks all of it when it collects: a
# small heap is the fast one.  Measured on the amd64 engine: 128 kB ran twice as fast as 1 MB.
HEAP = "320k"
# Where frames differ in length the meter keeps sums of each span until it knows the offsets.
_SPANS_HEAP = "2m"
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
    trace   rows (ticks, uW element 1, uW element 2, delivered uWh, received uWh, least uW of both
            elements, most uW of both): means over the time before `ticks`, and the least and the
            most of the means over trace_of_s in it
    trace_of_s  seconds
    """

    result: dict[str, Any] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    edges: list[tuple[str, bool, int]] = field(default_factory=list)
    trace: list[tuple[int, ...]] = field(default_factory=list)
    trace_of_s: float = 0.2  # a window: 10 cycles of 50 Hz, 12 of 60

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
    spans: ArrayLike = (),
    lost: tuple[int, int] | None = None,
) -> Metered:
    """Feeds blocks of codes, uint16 (n, slots), to the meter on an engine.

    sampler  what the board file's SAMPLER is taken to be instead
    spans    (n, 2): frames, and ticks of each, one after the other, where not all are of
             frame_ticks; none for frames behind the last of them
    lost     (frames that are metered, frames that are lost) one after the other

    Raises Unavailable, EngineFailed, and whatever `blocks` raises (the engine is then
    ended).
    """
    runs = np.asarray(spans, np.int64).reshape(-1, 2)
    config = {
        "board": board,
        "calibration": calibration,
        "frame_ticks": frame_ticks,
        "tick_hz": tick_hz,
        "block_frames": block_frames,
        "trace_ticks": trace_ticks,
        "sampler": sampler,
        "spans": len(runs) > 0,
        "lost": lost,
    }
    before = _children_seconds()
    metered = Metered()
    program = Path(__file__).with_name("program.py")
    name = f"engine {engine}"
    if len(runs) and heap == HEAP:
        heap = _SPANS_HEAP
    with started(engine, heap, program, config, name, PIPE_BYTES) as child:

        def listen() -> None:
            try:
                for line in child.out:
                    metered.take(line.decode())
            except ValueError:
                # A line that is cut off, of an engine that was ended in the midst of it.
                child.kill()

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            for piece in _pieces(blocks, runs, block_frames):
                if not child.write(piece):
                    break
            child.end_input()
            child.wait()
        except BaseException:
            child.kill()
            raise
        finally:
            listener.join()
        if child.status or not metered.result:
            raise child.failed()
    metered.cpu_seconds = _children_seconds() - before
    return metered


def _pieces(
    blocks: Iterable[NDArray[np.uint16]], runs: NDArray[np.int64], most: int
) -> Iterator[memoryview | bytes]:
    """What goes down the pipe: codes, where there are spans in blocks of `most` frames with the
    spans of each before it."""
    ends = np.cumsum(runs[:, 0])
    at = 0
    for block in blocks:
        codes = np.ascontiguousarray(block, dtype="<u2")
        if not len(runs):
            yield codes.data
            continue
        for first in range(0, len(codes), most):
            part = codes[first : first + most]
            low, high = np.searchsorted(ends, (at, at + len(part) - 1), "right")
            edges = np.concatenate(([at], ends[low:high], [at + len(part)]))
            pairs = np.stack((np.diff(edges), runs[low : high + 1, 1]), axis=1)
            yield np.uint32(len(pairs)).tobytes() + pairs.astype("<u4").tobytes()
            yield part.data
            at += len(part)


def _children_seconds() -> float:
    """Processor time of all children that have ended: unlike wall time it does not count waiting
    for codes, nor what else the machine is doing."""
    try:
        import resource
    except ImportError:  # Windows has none
        return time.monotonic()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
