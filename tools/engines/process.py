"""An engine as a child process: codes go in, edges, traces and the result come out.

Flow: front end -> PROCESS (program.py on MicroPython or CPython) -> replay's result.  `meter` has
a process for one recording, `kept` one for as many as are asked for.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tools.engines.child import Child
from tools.engines.running import BLOCK_FRAMES, HEAP, READ_FRAMES, SPANS_HEAP, Running

# Behind the last piece of a recording.
_END = bytes(4)
# Where a 32-bit engine's processor time, in microseconds, begins anew.
_WRAP_US = 1 << 32


@dataclass
class Metered:
    """What the meter made of the codes.

    result  the object described in program.py
    edges   (indicator, lit, ticks) in order of time
    cpu_seconds  processor time of the engine, its start included where it was not kept
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
    spent_us: int = 0
    """The same since the engine was started."""

    def take(self, line: str) -> None:
        """Takes a line of the engine's; ValueError for what is none."""
        kind, *rest = json.loads(line)
        if kind == "edge":
            name, lit, ticks = rest
            self.edges.append((name, lit, ticks))
        elif kind == "trace":
            self.trace.append(tuple(rest))
        elif kind == "result":
            self.result, self.spent_us = rest


class Engine:
    """An engine whose process is kept from one recording to the next, one at a time.

    Each has a new meter, and comes out as on a process of its own.

    running  its process, where that has begun already; else it begins with the first recording
    """

    def __init__(self, name: str, running: Running | None = None) -> None:
        self.name = name
        self._running = running or Running(name)
        self._spent_us = 0

    def end(self) -> None:
        """Ends the process, if there is one."""
        self._running.end()

    def meter(
        self,
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
        slots: Sequence[tuple[str, int | None]] | None = None,
    ) -> Metered:
        """Feeds blocks of codes, uint16 (n, slots), to a new meter.

        sampler, slots   what the board file's SAMPLER and SLOTS are taken to be instead
        spans    (n, 2): frames, and ticks of each, one after the other, where not all are of
                 frame_ticks; none for frames behind the last of them
        lost     (frames that are metered, frames that are lost) one after the other

        Raises Unavailable, EngineFailed, and whatever `blocks` raises (the process is then
        ended).
        """
        runs = np.asarray(spans, np.int64).reshape(-1, 2)
        read_blocks = max(1, READ_FRAMES // block_frames) if heap == HEAP and not len(runs) else 1
        config = {
            "board": board,
            "calibration": calibration,
            "frame_ticks": frame_ticks,
            "tick_hz": tick_hz,
            "block_frames": block_frames,
            "read_frames": read_blocks * block_frames,
            "trace_ticks": trace_ticks,
            "sampler": sampler,
            "slots": slots,
            "spans": len(runs) > 0,
            "lost": lost,
        }
        if len(runs) and heap == HEAP:
            heap = SPANS_HEAP
        child, has_metered = self._running.told(heap, config, read_blocks * block_frames)
        if not has_metered:
            self._spent_us = 0
        try:
            metered = _metered(child, _pieces(blocks, runs, block_frames))
        except BaseException:
            self.end()
            raise
        spent_us = metered.spent_us - self._spent_us
        metered.cpu_seconds = (spent_us if spent_us >= 0 else spent_us + _WRAP_US) / 1e6
        self._spent_us = metered.spent_us
        return metered


@contextmanager
def kept(name: str) -> Iterator[Engine]:
    """An engine for many recordings; left, its process is ended."""
    engine = Engine(name)
    try:
        yield engine
    finally:
        engine.end()


def meter(
    engine: str,
    blocks: Iterable[NDArray[np.uint16]],
    board: str,
    calibration: dict[str, Any],
    frame_ticks: int,
    tick_hz: int,
    **options: Any,
) -> Metered:
    """Engine.meter, with its options, on a process for this recording alone."""
    with kept(engine) as alone:
        return alone.meter(blocks, board, calibration, frame_ticks, tick_hz, **options)


def _metered(child: Child, pieces: Iterable[memoryview | bytes]) -> Metered:
    """What a process makes of a recording whose configuration it has got."""
    metered = Metered()

    def listen() -> None:
        try:
            for line in child.out:
                metered.take(line.decode())
                if metered.result:
                    return
        except ValueError:
            # A line that is cut off, of an engine that was ended in the midst of it.
            child.kill()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        if all(child.write(piece) for piece in pieces) and child.write(_END):
            child.flush()
    except BaseException:
        child.kill()
        raise
    finally:
        listener.join()
    if not metered.result:
        child.end_input()
        child.wait()
        raise child.failed()
    return metered


def _pieces(
    blocks: Iterable[NDArray[np.uint16]], runs: NDArray[np.int64], most: int
) -> Iterator[memoryview | bytes]:
    """What goes down the pipe: codes behind the number of their frames; where there are spans, in
    blocks of `most` frames behind the spans of each."""
    ends = np.cumsum(runs[:, 0])
    at = 0
    for block in blocks:
        codes = np.ascontiguousarray(block, dtype="<u2")
        if not len(codes):
            continue  # a number of 0 would end the recording
        if not len(runs):
            yield np.uint32(len(codes)).tobytes()
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
