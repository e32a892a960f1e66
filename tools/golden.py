"""Recordings as regressions: what a replay of each said is kept in host_tests/golden.

Flow: recording -> replay, ideal and real ADC -> report -> GOLDEN FILE.  A change of the firmware
shows as a diff of these files; `python -m tools.golden` prints it and rewrites them.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/golden.py
    sys.path[0] += "/.."
    __import__("tools")

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from tools import house
from tools.common import boards, command
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.common.files import reason, writable_folder, write_whole
from tools.common.options import Parser
from tools.engines.interpreters import choose_engine
from tools.front_end.looping import ArrayRecording, Floats, Recording
from tools.front_end.waves import shape
from tools.replay.report import as_json
from tools.replay.run import replay

FOLDER = ROOT / "host_tests" / "golden"
# Recordings of real mains, beside the project and no part of it.
WAVES = ROOT.parent / "shared" / "waves"
ADCS = ("ideal", "real")
SEED = 5
# Shorter than this and the end within a cycle weighs more than the meter: looped.
_SHORT_S = 1.0
_LOOPED_S = 20.0
_MWH = Decimal("0.001")
# What a golden energy may be off the float64 reference, in Wh a Wh that flowed.
_ALLOWED = 1e-3

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
        Case(path.stem, lambda path=path: path, _LOOPED_S if seconds < _SHORT_S else None)
        for path, seconds in found
        if path.exists()
    ]


def cases() -> list[Case]:
    """All that can be replayed here."""
    return [*OWN, *recorded()]


def _mwh(wh: str) -> str:
    return str(Decimal(wh).quantize(_MWH))


def _kept(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a replay's report (its --json)."""
    doctor = report["doctor"]
    return {
        "seconds": round(report["seconds"], 6),
        "frames": report["frames"],
        "delivered_wh": _mwh(report["delivered_wh"]),
        "received_wh": _mwh(report["received_wh"]),
        "elements": [
            {
                "delivered_wh": _mwh(e["delivered_wh"]),
                "received_wh": _mwh(e["received_wh"]),
                "verdict": found["verdict"],
                "alike": list(found["alike"]),
            }
            for e, found in zip(report["elements"], doctor["elements"])
        ],
        "service": doctor["service"],
        "hertz": round(report["hertz"], 3),
        "clipped": report["faults"]["clipped"],
        "edges": {
            name: [[round(s, 6), lit] for s, lit in edges]
            for name, edges in report["edges"].items()
        },
    }


@dataclass(frozen=True)
class Outcome:
    """What the replays of a case gave: its golden file's object, and the float64 reference's
    (reference.as_json), which is the same for both ADCs."""

    golden: dict[str, Any]
    reference: dict[str, Any]


def measure(case: Case, engine: str) -> Outcome:
    """Replays a case on the default board with both ADCs.  Raises what replay raises."""
    source = case.open()
    is_file = isinstance(source, Path)
    golden: dict[str, Any] = {"board": boards.DEFAULT, "seed": SEED}
    reference: dict[str, Any] = {}
    for adc in ADCS:
        done = replay(
            source if is_file else case.name,
            engine=engine,
            duration=case.seconds,
            adc=adc,
            seed=SEED,
            recording=None if is_file else source,
        )
        report = as_json(done)
        golden[adc] = _kept(report)
        reference = report["reference"]
    return Outcome(golden, reference)


def off_reference(golden: Mapping[str, Any], reference: Mapping[str, Any]) -> list[str]:
    """The ideal ADC's energies that are not those of the reference, one line each.

    0.1 % of the energy that flowed either way is allowed, and half a mWh for the rounding.
    """
    found = []
    kept = golden["ideal"]
    named = [("total", kept, reference)]
    for k, pair in enumerate(zip(kept["elements"], reference["elements"])):
        named.append((f"element {k + 1}", *pair))
    for name, e, truth in named:
        flowed = truth["delivered_wh"] + truth["received_wh"]
        for way in ("delivered_wh", "received_wh"):
            if abs(float(e[way]) - truth[way]) > _ALLOWED * flowed + 0.0005:
                found.append(f"{name} {way} {e[way]}, but {truth[way]:.6f} by the reference")
    return found


def as_text(golden: Any, indent: str = "") -> str:
    """A golden file's text: JSON with arrays of plain values on one line, such as edges."""
    inner = indent + " "
    if isinstance(golden, dict) and golden:
        items = [f"{json.dumps(key)}: {as_text(value, inner)}" for key, value in golden.items()]
        left, right = "{}"
    elif isinstance(golden, list) and any(isinstance(value, list | dict) for value in golden):
        items = [as_text(value, inner) for value in golden]
        left, right = "[]"
    else:
        return json.dumps(golden)
    return f"{left}\n{inner}" + f",\n{inner}".join(items) + f"\n{indent}{right}"


def _read(file: Path) -> str | None:
    """What the file holds, None if there is none."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise InputError(f"{file}: cannot be read ({reason(problem)})") from None


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
    texts: dict[Path, str] = {}
    names = set()
    wrong = 0
    for case in run:
        names.add(case.name)
        file = folder / f"{case.name}.json"
        before = _read(file)
        outcome = measure(case, engine)
        now = as_text(outcome.golden) + "\n"
        problems = off_reference(outcome.golden, outcome.reference)
        if problems:
            wrong += 1
            print(f"{case.name}: WRONG, not to be kept: {'; '.join(problems)}")
        elif now == before:
            print(f"{case.name}: as before")
        else:
            print(f"{case.name}: {'new' if before is None else 'changed'}")
            texts[file] = now
        if before is not None and now != before:
            old, new = f"{file.name}, kept", f"{file.name}, now"
            diff = difflib.unified_diff(
                before.splitlines(), now.splitlines(), old, new, lineterm=""
            )
            print(*diff, sep="\n")
        sys.stdout.flush()
    for file in sorted(folder.glob("*.json")):
        if file.stem not in names:
            print(f"{file.stem}: skipped, its recording is not in {WAVES}; its file stays")
    if check:
        print(f"{len(texts)} to be rewritten by `make golden`, {wrong} wrong")
        return 1 if texts or wrong else 0
    for file, text in texts.items():
        write_whole(file, text)
    print(f"{len(texts)} written, {wrong} wrong")
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
