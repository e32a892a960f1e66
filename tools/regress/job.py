"""One replay of a regression: what is metered, on what, and the key of its result.

Flow: Found, engines, boards, converters, seeds -> JOBS, the longest first -> workers.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tools.common.boards import ROOT
from tools.engines.interpreters import probe
from tools.regress.find import Found

Adc = Literal["ideal", "real"]
ADCS: tuple[Adc, ...] = ("ideal", "real")
# What the result of a replay depends on, beside recording and options: all that makes codes of it,
# and all that meters them.
_METERING = (
    *("firmware/threewire", "boards", "tools/front_end", "tools/recordings", "tools/replay"),
    *("tools/engines", "tools/shim", "tools/common", "tools/regress/job.py"),
    "tools/regress/measure.py",
)
# Shorter than this the end within a cycle weighs more than the meter: such a one is looped, over
# whole cycles, to so many seconds.
SHORT_S = 1.0
LOOPED_S = 20.0
# What an engine takes, in bytes of a recording that micropython meters meanwhile: for the order
# alone.  The emulated chip runs all of the firmware, instruction by instruction.
_SLOWNESS = {"cpython": 8, "micropython": 1, "i386": 1, "armhf": 12, "rp2040": 10_000}


@dataclass(frozen=True)
class Way:
    """How a recording is replayed.

    adc   "ideal" or "real"; None for a capture, which is a board's own codes
    seed  of the converter; None for a capture
    """

    board: str | None
    engine: str
    adc: Adc | None
    seed: int | None


@dataclass(frozen=True)
class Job:
    """A recording, replayed in one way.

    name      as of Found
    parts     paths of its files
    begin     seconds of it that are passed over first; None: none
    seconds   to loop or cut it to; None: all of it
    key       of its result: SHA-256 over content, firmware, tools and options
    metering  digest of firmware and tools, which those of a worker must have too
    shipped   names and bytes of its files, for a worker that does not see them
    """

    name: str
    parts: tuple[str, ...]
    way: Way
    begin: float | None
    seconds: float | None
    key: str
    metering: str
    shipped: tuple[tuple[str, bytes], ...] = ()

    def is_looped(self, seconds: float) -> bool:
        """Whether it is to LOOPED_S, where as it is it has so many seconds. A capture's codes are
        never looped."""
        return self.seconds is None and self.way.adc is not None and seconds < SHORT_S


@dataclass(frozen=True)
class Plan:
    """In which ways recordings are replayed.

    boards   None: the default; of a capture, that on which it was made
    """

    engines: Sequence[str]
    boards: Sequence[str | None] = (None,)
    adcs: Sequence[Adc] = ADCS[:1]
    seeds: Sequence[int] = (0,)
    begin: float | None = None
    duration: float | None = None

    def ways(self, is_capture: bool) -> Iterator[Way]:
        for board in self.boards:
            for engine in self.engines:
                if is_capture:
                    yield Way(board, engine, None, None)
                    continue
                for adc in self.adcs:
                    for seed in self.seeds:
                        yield Way(board, engine, adc, seed)


@cache
def metering() -> str:
    """SHA-256 over the sources of all that a result depends on."""
    whole = hashlib.sha256()
    for name in _METERING:
        path = ROOT / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            whole.update(f"{file.relative_to(ROOT).as_posix()}\n".encode())
            whole.update(file.read_bytes())
    return whole.hexdigest()


def jobs_of(found: Found, plan: Plan, content: str) -> Iterator[Job]:
    """Every way of a recording whose content has that digest."""
    seconds = found.seconds if plan.duration is None else plan.duration
    for way in plan.ways(found.is_capture):
        said: dict[str, Any] = {
            "content": content,
            "metering": metering(),
            "engine": _version(way.engine),
            "way": vars(way),
            "begin": plan.begin,
            "seconds": seconds,
        }
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        # Not os.path.abspath: behind a link to a folder ".." leads elsewhere.
        parts = tuple(str(part.absolute()) for part in found.parts)
        yield Job(found.name, parts, way, plan.begin, seconds, key, metering())


@cache
def _version(engine: str) -> str:
    """Raises Unavailable."""
    if engine == "rp2040":
        from tools.emulate.board import find_uf2  # the emulator takes half a second to import

        return hashlib.sha256(find_uf2().read_bytes()).hexdigest()
    return probe(engine).version


def longest_first(jobs: Iterable[tuple[int, Job]]) -> list[Job]:
    """By the bytes of their recordings, which come with them, and by what the engine takes."""
    order = sorted(jobs, key=lambda each: -each[0] * _SLOWNESS.get(each[1].way.engine, 1))
    return [job for _, job in order]


def shipped(job: Job, files: Iterable[Path]) -> Job:
    """The job with its recording's bytes. Raises OSError."""
    return replace(job, shipped=tuple((file.name, file.read_bytes()) for file in files))
