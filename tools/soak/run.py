"""A day of the whole firmware in simulated time: power cuts, crashes, hangs, floods of garbage.

Flow: front end -> codes, events -> program.py on MicroPython (main.py on littlefs) -> its lines
-> RUN's checks against float64 sums of the very same codes -> rows of a table.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threewire.operation.commands import _TABLE as COMMANDS
from tools.common import boards
from tools.common.command import Progress
from tools.common.errors import InputError
from tools.common.rows import Row, row
from tools.engines.child import started
from tools.soak.judge import CAPTURE_S, CHECKS, Check, Event, Judge, sent
from tools.soak.loads import Reference, codes

# The clocks of a chip wrap at 2**30: in the soak soon after it has begun.
_TICKS = 1 << 30
_BLOCKS = 64  # of the flash
PROGRAM = Path(__file__).with_name("program.py")
# Small heaps are fast (engines/process.py): codes of 160 kB, compiled source, garbage.
_HEAP = "1M"


def events(seconds: float, load_s: float, seed: int) -> list[Event]:
    """(seconds, kind, value) of program.py for a soak of that length, as if it were a day: a
    command and a flood of garbage each hour, losses of frames, and restarts of every kind."""
    hour = seconds / 24
    draw = random.Random(seed)
    found: list[Event] = []

    def line(at: float, text: str) -> None:
        found.append((at, "type", (text + "\r\n").encode().hex()))

    # A demonstration's lamps are not the meter's, by which they are judged here.
    others = ("restart", "calibrate", "preset", "capture", "quiet", "demo")
    asked = [row[0] for row in COMMANDS if row[0] not in others]
    asked += [
        f"capture {CAPTURE_S:g}",
        "quiet 0",
        "preset delivered 999999999",
        'calibrate {"v1_nv":120000000}',
    ]
    for n in range(24):
        line((n + 0.2) * hour, asked[n % len(asked)])
        line((n + 0.5) * hour, draw.choice(asked))
        # A Ctrl-C after silence would stop metering, as it is meant to.
        garbage = b"x" + draw.randbytes(draw.randrange(500, 3000)) + b"\r\n"
        found.append(((n + 0.35) * hour, "type", garbage.hex()))
        if n % 4 == 1:
            # In the middle of a load: what is lost is like what is around it.
            at = ((n + 0.25) * hour // load_s + 0.5) * load_s
            found.append((at, "stall", str(draw.randrange(260, 900))))
    for n, kind in ((3, "crash"), (7, "hang"), (12, "crash"), (19, "hang")):
        found.append(((n + 0.6) * hour, kind, "0"))
    for n in (2, 10, 16):
        line((n + 0.6) * hour, "restart")
    for n in (5, 13, 20):
        found.append(((n + draw.uniform(0.55, 0.65)) * hour, "power", "0"))
    for n in (6, 9, 14, 18, 22):
        found.append(((n + draw.uniform(0.55, 0.65)) * hour, "cut", str(draw.randrange(5))))
    found.append((seconds, "over", "0"))
    return sorted(found)


@dataclass
class Soak:
    """What a soak has shown.

    seconds, wall_s  simulated, and how long it took
    checks           by the names of CHECKS
    worst_ppm        of all energies of more than 20 Wh, against float64
    memory           bytes in use at the reports of a boot once it has settled, by its number
    lost_wh          delivered Wh that each loss of power, or the watchdog, has cost
    how              each boot has ended
    """

    seconds: float
    wall_s: float
    checks: dict[str, Check]
    worst_ppm: float
    memory: dict[int, list[int]]
    lost_wh: list[float]
    how: list[str]
    wh: list[float]

    @property
    def passed(self) -> bool:
        return all(check.tried and not check.failures for check in self.checks.values())

    def rows(self) -> list[Row]:
        """What was tried, and lost."""
        return [
            row(CHECKS[name], check.tried, len(check.failures))
            for name, check in self.checks.items()
        ]

    def text(self) -> str:
        """A few lines on how it went."""
        ended = ", ".join(f"{n} {how}" for how, n in sorted(Counter(self.how).items()))
        grown = max((abs(of[-1] - of[0]) for of in self.memory.values()), default=0)
        in_use = [of[0] for of in self.memory.values()]
        return "\n".join(
            (
                f"{self.seconds / 3600:.2f} h in {self.wall_s:.0f} s: "
                f"{self.speed:.0f} times real time",
                f"{len(self.how)} boots ended by: {ended}",
                f"{self.wh[0]:.3f} Wh delivered, at most {self.worst_ppm:.3f} ppm off; "
                f"losses of power cost at most {max(self.lost_wh, default=0):.3f} Wh",
                f"{min(in_use, default=0)} to {max(in_use, default=0)} bytes in use after a "
                f"start, at its end {grown} more or less at most",
            )
        )

    @property
    def speed(self) -> float:
        """Times real time."""
        return self.seconds / self.wall_s


def run(
    seconds: float,
    board: str = boards.DEFAULT,
    engine: str = "micropython",
    seed: int = 1,
    program: Path = PROGRAM,
    happening: Sequence[Event] | None = None,
) -> Soak:
    """Soaks for so many simulated seconds, of which a 24th stands for an hour of a day.

    program, happening  to be run and to happen instead (tests)

    Raises InputError for a board there is not or without DMA, Unavailable, EngineFailed.
    """
    layout = boards.load(board)
    if boards.module(board).SAMPLER["kind"] != "dma":
        raise InputError(f"board {board}: soaks are of boards that sample by DMA")
    load_s = 60 if seconds >= 3600 else 10
    load_frames = load_s * layout.tick_hz // layout.frame_ticks
    happening = events(seconds, load_s, seed) if happening is None else happening
    blocks = codes(board, seed)
    judge = Judge(
        board,
        Reference(board, blocks, load_frames),
        max(5.0, min(1200.0, seconds / 80)),
        sent(happening),
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak") as name:
        folder = Path(name)
        (folder / "codes").write_bytes(b"".join(block.astype("<u2").tobytes() for block in blocks))
        (folder / "medium").write_bytes(b"\xff" * 4096 * _BLOCKS)
        (folder / "events").write_text(
            "".join(f"{round(at * 1e6)} {kind} {value}\n" for at, kind, value in happening)
        )
        config = {
            "board": board,
            "codes": str(folder / "codes"),
            "loads": len(blocks),
            "block_frames": len(blocks[0]),
            "load_frames": load_frames,
            "medium": str(folder / "medium"),
            "blocks": _BLOCKS,
            "prog_size": boards.module(board).FILE_SYSTEM["prog_size"],
            "events": str(folder / "events"),
            "ticks_us": _TICKS - 5_000_000,
            "ticks_ms": _TICKS - round(300 * seconds),
            "mark_us": round(1e6 * max(3.0, seconds / 144)),
        }
        with started(engine, _HEAP, program) as child:
            child.tell(config)
            child.end_input()
            for line in _lines(child.out, seconds):
                judge.take(line)
            child.wait()
            if not judge.how or judge.how[-1] != "over":
                raise child.failed(judge.last_words[-500:], "ended early,")
    judge.close()
    return Soak(
        seconds,
        time.monotonic() - began,
        judge.checks,
        judge.worst_ppm,
        judge.memory,
        judge.lost_wh,
        judge.how,
        judge.wh,
    )


def _lines(stream: Any, seconds: float) -> Iterator[str]:
    """The lines of a stream; says how far it is, on a terminal."""
    at = 0
    progress = Progress("soaking", seconds / 3600, "h")
    try:
        for line in stream:
            yield line.decode(errors="replace").rstrip("\r\n")
            at += line.startswith(b'{"t":')
            progress.at(at / 3600)
    finally:
        progress.done()
