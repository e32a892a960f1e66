"""Files made hostile for every command that reads any: each must end in a result or in one line.

Flow: good files of every format -> HOSTILE FILES, by the ranges that the readers declare -> the
commands' mains -> rows of reliability.

usage: python -m tools.reliability.hostile_files [--count N] [--seed N] [COMMAND ...]
       python -m tools.reliability.hostile_files --atheris [libFuzzer's options]

Each input is a few good files of which one is changed: numbers to the ends of the declared
ranges and beyond, shapes and types to others, texts, bytes, lengths.  A traceback, more than one
line, one that is longer than anybody reads, a wrong exit status, more memory or time than is
allowed count as lost.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/reliability/hostile_files.py
    sys.path[0] += "/../.."
    __import__("tools")

import argparse
import contextlib
import io
import json
import random
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.common import boards
from tools.common.command import reporting
from tools.common.constants import read_constants
from tools.common.errors import InputError
from tools.common.options import Parser
from tools.engines.interpreters import choose_engine
from tools.linearity import cli as linearity
from tools.recordings import ranges
from tools.recordings.open import Capture, open_recording
from tools.reliability.file_seeds import FORMATS
from tools.reliability.hostile_input import fuzz
from tools.reliability.mutation import Shaper, mutated
from tools.replay import cli as replay
from tools.solve import cli as solve
from tools.solve.points_file import read_points

BOARD = boards.DEFAULT
_CORPUS = boards.ROOT / "build" / "fuzz_files"
_READERS = ("tools.recordings.", "tools.common.files", "tools.solve.points_file")
_MOST_SECONDS = 60
_MOST_BYTES = 3 << 30  # beyond what Python, numpy and scipy have taken
_LONGEST_LINE = 2500
# Each takes a process of its own, fifty times as long as the others.
_SLOW, _LEFT_OUT = "mat", 0.9
# What each is given: formats of file_seeds.py.
_RECORDINGS = tuple(name for name in FORMATS if name not in ("points", "lines", "calibration"))


def _replay(path: Path, engine: str) -> int:
    return replay.main([str(path), "--engine", engine, "--json"])


def _replay_calibrated(path: Path, engine: str) -> int:
    recording = path.with_name("recording.npz")
    return replay.main([str(recording), "--engine", engine, "--calibration", str(path), "--json"])


def _linearity(path: Path, engine: str) -> int:
    return linearity.main([str(path), "--input", "v1"])


def _solve(path: Path, engine: str) -> int:
    return solve.main([str(path)])


@reporting()
def _calibrate_points(path: Path, engine: str) -> int:
    """What `calibrate --points` reads before it asks the board anything about it."""
    read_points(path)
    return 0


@reporting()
def _calibrate_restore(path: Path, engine: str) -> int:
    """What `calibrate --restore` reads, of every board."""
    for name in boards.names():
        with contextlib.suppress(KeyError):
            read_constants(path, boards.load(name))
    return 0


# What is tried: the command, the formats that it is given, and the inputs of the long form.
COMMANDS: dict[str, tuple[Callable[[Path, str], int], tuple[str, ...]]] = {
    "replay": (_replay, _RECORDINGS),
    "replay --calibration": (_replay_calibrated, ("calibration",)),
    "linearity": (_linearity, ("capture", "npz")),
    "solve": (_solve, ("points", "lines")),
    "calibrate --points": (_calibrate_points, ("points", "lines")),
    "calibrate --restore": (_calibrate_restore, ("calibration",)),
}


def read(path: Path, kind: str) -> None:
    """Reads all of a file by its format's reader, held to its ranges. Raises InputError."""
    if kind in ("points", "lines"):
        read_points(path)
        return
    if kind == "calibration":
        read_constants(path, boards.load(BOARD))
        return
    opened = open_recording(path)
    for block in opened.blocks():
        if isinstance(opened, Capture):
            assert block.max() <= ranges.CODE.most
        else:
            assert (abs(block) <= ranges.VOLTS.most).all()


def one_input(data: bytes) -> None:
    """For atheris: the first byte chooses the format, the others are the file."""
    if not data:
        return
    kind = sorted(FORMATS)[data[0] % len(FORMATS)]
    files = FORMATS[kind](Shaper(random.Random(1), 0))
    name = next(iter(files))
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        for other, content in (files | {name: data[1:]}).items():
            (Path(folder) / other).write_bytes(content)
        try:
            read(Path(folder) / name, kind)
        except InputError as problem:
            assert len(str(problem).splitlines()) == 1 and len(str(problem)) < _LONGEST_LINE


def seeds() -> list[bytes]:
    """Good files to begin with, of every format."""
    return [
        bytes([k]) + next(iter(FORMATS[kind](Shaper(random.Random(seed), 0)).values()))
        for k, kind in enumerate(sorted(FORMATS))
        for seed in range(4)
    ]


class TooLong(BaseException):
    """The time is over; no handler of errors takes it for one of its own."""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Bounds the time of what is done within, where there is an alarm clock."""

    def over(*_: Any) -> None:
        raise TooLong

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(_MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def bound_memory() -> None:
    """Bounds this process's memory, where there is a way."""
    with contextlib.suppress(ImportError, OSError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + _MOST_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def broken_promise(run: Callable[[Path, str], int], path: Path, engine: str) -> str | None:
    """What a command has done wrong with a file, or None."""
    out, told = io.StringIO(), io.StringIO()
    try:
        with _limited(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
            status = run(path, engine)
    except TooLong:
        return f"took more than {_MOST_SECONDS} s"
    except SystemExit as end:
        return f"ended by itself: {end}"
    except Exception:
        return traceback.format_exc()
    errors = [line for line in told.getvalue().splitlines() if line.startswith("error: ")]
    others = [
        line
        for line in told.getvalue().splitlines()
        if not line.startswith(("error: ", "note: ", "warning: "))
    ]
    if others:
        return f"said {others[0]!r}"
    if status == 0:
        return None if not errors else f"status 0 with {errors[0]!r}"
    if status != 2 or len(errors) != 1:
        return f"status {status} with {told.getvalue()[-1000:]!r}"
    if len(errors[0]) > _LONGEST_LINE:
        return f"a line of {len(errors[0])} characters"
    return None


def trial(command: str, draw: random.Random, folder: Path, engine: str) -> str | None:
    """Tries one input on a command, made in an empty folder. Returns what was broken, or None."""
    run, formats = COMMANDS[command]
    kind = draw.choice(formats)
    if kind == _SLOW and draw.random() < _LEFT_OUT:
        kind = draw.choice(formats)
    files = FORMATS[kind](Shaper(draw))
    for name, data in mutated(files, draw).items():
        (folder / name).write_bytes(data)
    return broken_promise(run, folder / next(iter(files)), engine)


def tries(command: str, count: int, seed: int) -> tuple[int, list[str]]:
    """(how many were tried, what was broken and by which) of a command."""
    engine = choose_engine(None)
    broken = []
    for k in range(count):
        number = seed + k
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            problem = trial(command, random.Random(number), Path(folder), engine)
        if problem:
            broken.append(f"{command}, --seed {number} --count 1: {problem}")
    return count, broken


@reporting()
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 nothing was lost, 1 something was, 2 bad options."""
    parser = Parser(
        prog="python -m tools.reliability.hostile_files",
        description="Hand every command files that are damaged, and such as nobody would make.",
    )
    parser.add_argument("--count", type=int, default=1000, help="inputs a command (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--atheris", nargs=argparse.REMAINDER, help="let libFuzzer choose, with its options"
    )
    parser.add_argument("command", nargs="*", help=f"of {', '.join(COMMANDS)} (default all)")
    options = parser.parse_args(argv)
    if options.atheris is not None:
        modules = [found for name, found in sys.modules.items() if name.startswith(_READERS)]
        return fuzz(options.atheris, one_input, seeds(), modules, _CORPUS)
    for command in options.command:
        if command not in COMMANDS:
            parser.error(f"{command!r}: expected of {', '.join(COMMANDS)}")
    bound_memory()
    found: dict[str, Any] = {}
    for command in options.command or COMMANDS:
        tried, broken = tries(command, options.count, options.seed)
        found[command] = {"tried": tried, "lost": len(broken)}
        for text in broken:
            print(text, file=sys.stderr)
        if not options.json:
            print(f"{command}: {tried} tried, {len(broken)} lost", flush=True)
    if options.json:
        print(json.dumps(found))
    return 1 if any(of["lost"] for of in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
