"""Recordings as regressions: what a replay of each said is kept in host_tests/golden.

Flow: recordings -> a regression with both ADCs (tools/regress) -> GOLDEN FILES.  A change of the
firmware shows as a diff of these files; `python -m tools.golden` prints it and rewrites them.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/golden.py
    sys.path[0] += "/.."
    __import__("tools")

import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np

from tools import house
from tools.common import command
from tools.common.boards import ROOT
from tools.common.errors import EngineFailed, InputError
from tools.common.files import writable_folder
from tools.common.options import Parser
from tools.engines.interpreters import choose_engine
from tools.front_end.looping import ArrayRecording, Floats, Recording
from tools.front_end.waves import shape
from tools.regress import goldens
from tools.regress.find import Found
from tools.regress.job import LOOPED_S, SHORT_S, Plan
from tools.regress.judge import Engines, judged
from tools.regress.kept import Kept
from tools.regress.row import Row
from tools.regress.run import Run, Workers

FOLDER = ROOT / "host_tests" / "golden"
# Recordings of real mains, beside the project and no part of it.
WAVES = ROOT.parent / "shared" / "waves"
ADCS = ("ideal", "real")
SEED = 5

# Installations are one second of 60 Hz at this rate, looped: 128 samples a cycle.
_RATE_HZ = 7680
_HERTZ = 60
_VOLTS = 120.0


@dataclass(frozen=True)
class Case:
    """A recording and how it is replayed.

    name     of its golden file
    open     gives the recording, or the path of its file
    seconds  to loop or cut it to; None: all of it, once
    """

    name: str
    open: Callable[[], Recording | Path]
    seconds: float | None = None


def _wave(
    rms: float,
    degrees: float = 0.0,
    harmonics: Mapping[int, float] | None = None,
    seconds: float = 1.0,
) -> Floats:
    """A wave `degrees` ahead of line 1's voltage.  rms is its fundamental's; harmonics
    as waves.shape has them."""
    # In the middle of each sample, which stands for the time from its left edge to the next.
    time = (np.arange(round(seconds * _RATE_HZ)) + 0.5) / _RATE_HZ
    angle = 2 * np.pi * _HERTZ * time + math.radians(degrees)
    return rms * math.sqrt(2) * shape(angle, harmonics)


def _recording(v1: Floats, i1: Floats, v2: Floats, i2: Floats) -> Recording:
    return ArrayRecording(_RATE_HZ, {"v1": v1, "i1": i1, "v2": v2, "i2": i2})


def _split_phase(amps1: float, amps2: float, lag_deg: float = 0.0) -> Recording:
    """Both lines with a load; amperes below zero are those of a CT that is turned round."""
    return _recording(
        v1=_wave(_VOLTS),
        i1=_wave(amps1, -lag_deg),
        v2=_wave(_VOLTS, 180),
        i2=_wave(amps2, 180 - lag_deg),
    )


def _harmonics() -> Recording:
    """Electronics: peaked currents, and a voltage that they have flattened."""
    flat, peaked = {3: 0.03}, {3: -0.8, 5: 0.6, 7: -0.4}
    return _recording(
        v1=_wave(_VOLTS, 0, flat),
        i1=_wave(20.0, 0, peaked),
        v2=_wave(_VOLTS, 180, flat),
        i2=_wave(12.0, 180, peaked),
    )


def _noon() -> Recording:
    """Ten seconds of import, ten in which line 2 exports more than line 1 takes, ten of import."""
    amps2 = np.repeat((11.0, -45.0, 11.0), 10 * _RATE_HZ)
    return _recording(
        v1=_wave(_VOLTS, seconds=30),
        i1=_wave(21.0, seconds=30),
        v2=_wave(_VOLTS, 180, seconds=30),
        i2=amps2 * _wave(1.0, 180, seconds=30),
    )


def _dead_line() -> Recording:
    nothing = np.zeros(_RATE_HZ)
    return _recording(v1=_wave(_VOLTS), i1=_wave(15.0, -20), v2=nothing, i2=nothing)


def _crossed() -> Recording:
    """208Y/120 with each CT on the other's line: 30 A on line 1, 20 A on line 2, lagging by 20."""
    return _recording(
        v1=_wave(_VOLTS),
        i1=_wave(20.0, -120 - 20),
        v2=_wave(_VOLTS, -120),
        i2=_wave(30.0, -20),
    )


def _house() -> Recording:
    # Kept, because a replay reads it twice and making it is what takes the time.
    home = house.generate(120.0)
    rows = np.concatenate(list(home.blocks()), axis=1)
    return ArrayRecording(home.rate_hz, dict(zip(home.channels, rows)))


# None ends on a step of the LEDs, nor reaches one at a zero crossing: a last digit would decide.
OWN = (
    Case("house_120_s", _house),
    Case("pf_half_lagging", lambda: _split_phase(31.0, 20.0, 60), 20.0),
    Case("heavy_harmonics", _harmonics, 20.0),
    Case("ct_2_turned", lambda: _split_phase(40.0, -25.0, 18), 20.0),
    Case("export_at_noon", _noon),
    Case("starting_load", lambda: _split_phase(0.2, 0.2), 120.0),
    Case("dead_line_2", _dead_line, 20.0),
    Case("crossed_208y", _crossed, 20.0),
)


def recorded(folder: Path = WAVES) -> list[Case]:
    """The recordings in a folder's INDEX.json whose files are there; none without an index.

    Raises InputError when the index cannot be used.
    """
    index = folder / "INDEX.json"
    if not index.exists():
        return []
    try:
        found = [
            (folder / entry["file"], float(entry["seconds"]))
            for entry in json.loads(index.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(
            f"{index}: {problem!r}; expected an array of objects with file and seconds"
        ) from None
    return [
        Case(path.stem, lambda path=path: path, LOOPED_S if seconds < SHORT_S else None)
        for path, seconds in found
        if path.exists()
    ]


def cases() -> list[Case]:
    """All that can be replayed here."""
    return [*OWN, *recorded()]


def measure(run: Sequence[Case], engine: str, processes: int = 1) -> dict[str, list[Row]]:
    """Replays cases on the default board with both ADCs: each one's judged rows by its name.

    Raises InputError for a recording that cannot be used, and EngineFailed.
    """
    with tempfile.TemporaryDirectory(prefix="threewire-") as folder:
        found = [_found(case, Path(folder)) for case in run]
        plan = Plan(engines=(engine,), adcs=ADCS, seeds=(SEED,))
        rows: dict[str, list[Row]] = {case.name: [] for case in run}
        for row in Run(found, plan, Kept(Path(folder, "kept")), Workers(processes)).rows():
            if row["verdict"] == "unusable":
                raise InputError(row["why"][0])
            if row["verdict"] == "failed":
                raise EngineFailed(row["why"][0])
            rows[row["recording"]].append(judged(row, None, [], Engines()))
    return rows


def _found(case: Case, folder: Path) -> Found:
    source = case.open()
    if not isinstance(source, Path):
        waves = dict(zip(source.channels, np.concatenate(list(source.blocks()), axis=1)))
        source_path = folder / f"{case.name}.npz"
        np.savez(source_path, rate_hz=source.rate_hz, **waves)
        source = source_path
    return Found(case.name, source, (), FOLDER / f"{case.name}.json", case.seconds)


def update(run: Iterable[Case], folder: Path, engine: str, check: bool = False) -> int:
    """Replays the cases, prints what has changed in their golden files and rewrites these.

    check  write nothing

    Prints one line a case, and the diff of a file that has changed.  Nothing is written before
    all cases have been replayed, and never a file whose energies are not those of the reference.
    Returns the exit status: 1 if there is such a one, or with `check` if a file differs; else 0.
    Raises InputError and what replay raises.
    """
    if not check:
        writable_folder(folder)
    run = list(run)
    changed = wrong = 0
    made = measure(run, engine, joblib.cpu_count())
    for case in run:
        rows = made[case.name]
        file = folder / f"{case.name}.json"
        is_new = not file.exists()
        problems = [line for row in rows for line in row["why"]]
        diff = goldens.updated(file, rows, check=check or bool(problems))
        if problems:
            wrong += 1
            print(f"{case.name}: WRONG, not to be kept: {'; '.join(problems)}")
        elif diff is None:
            print(f"{case.name}: as before")
        else:
            changed += 1
            print(f"{case.name}: {'new' if is_new else 'changed'}")
        if diff and not is_new:
            print(*diff, sep="\n")
        sys.stdout.flush()
    names = {case.name for case in run}
    for file in sorted(folder.glob("*.json")):
        if file.stem not in names:
            print(f"{file.stem}: skipped, its recording is not in {WAVES}; its file stays")
    if check:
        print(f"{changed} to be rewritten by `make golden`, {wrong} wrong")
        return 1 if changed or wrong else 0
    print(f"{changed} written, {wrong} wrong")
    return 1 if wrong else 0


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, or nothing differs; 1 a file differs with --check, an energy is wrong,
    or there is no engine; 2 a recording or a golden file is unusable."""
    parser = Parser(
        prog=command.name("golden"),
        description="Replay every recording, show what has changed since its file in "
        "host_tests/golden was written, and rewrite that. Another machine's floating point may "
        "move a last digit; the tests allow for it.",
        epilog="example: %(prog)s --check",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if a file would change"
    )
    options = parser.parse_args(argv)
    return update(cases(), FOLDER, choose_engine(None), options.check)


if __name__ == "__main__":
    sys.exit(main())
