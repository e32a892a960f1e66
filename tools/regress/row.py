"""A row of a regression run: one recording, replayed once, as it stands in a file of JSON lines.

Flow: replays of many recordings -> ROW -> page, JUnit.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NotRequired, TypedDict

Verdict = Literal["passed", "limit", "golden", "failed", "unusable"]

# What each verdict says, in the order in which they are told.
VERDICTS: dict[Verdict, str] = {
    "passed": "as it should be",
    "limit": "an energy is off the float64 reference",
    "golden": "differs from its golden file, or between engines",
    "failed": "the engine gave no result",
    "unusable": "the recording cannot be read",
}

# The errors that a report has, as its "error_ppm" names them.
ERRORS = ("element1", "element2", "total")


class Against(TypedDict):
    """The same replay with the firmware of another revision.

    rev          its name, as it was asked for
    is_same      whether all that it reports is the same
    why          a line each, where it could not be compared
    changes      (what, there, here) of each value that is not the same
    speed_ratio  how many times as fast the firmware is here; None: not measured
    """

    rev: str
    is_same: bool
    why: list[str]
    changes: list[tuple[str, Any, Any]]
    speed_ratio: float | None


class Row(TypedDict):
    """One recording on one board, engine and converter, with one seed.

    key        SHA-256, in hex, of all that the result depends on
    recording  path of its file below the folder that was given, with "/"
    adc, seed  the model of the converter, and where it begins; None for a board's own codes
    verdict    one of VERDICTS
    why        a line each, where it is not "passed"
    was_kept   whether it is an earlier run's result
    took_s     seconds that the replay took, when it was run
    digest     of the exact result, in hex; empty where there is none
    report     the object of `threewire replay --json`; None where there is no result
    against    the same with another revision, where one was asked for
    """

    key: str
    recording: str
    board: str
    engine: str
    adc: Literal["ideal", "real"] | None
    seed: int | None
    verdict: Verdict
    why: list[str]
    was_kept: bool
    took_s: float
    digest: str
    report: dict[str, Any] | None
    against: NotRequired[Against]


class Lane(tuple[str, str, str]):
    """(board, engine, converter) that rows have in common; "codes" is the converter of a board's
    own codes."""

    __slots__ = ()

    def __str__(self) -> str:
        return "/".join(self)


def lane(row: Row) -> Lane:
    """What it was replayed on."""
    return Lane((row["board"], row["engine"], row["adc"] or "codes"))


def by_lane(rows: Iterable[Row]) -> dict[Lane, list[Row]]:
    """The rows of each lane, lanes in the order of their first row."""
    found: dict[Lane, list[Row]] = {}
    for row in rows:
        found.setdefault(lane(row), []).append(row)
    return found


def counts(rows: Iterable[Row]) -> dict[Verdict, int]:
    """How many rows have each verdict; all of VERDICTS are there, in their order."""
    found = Counter(row["verdict"] for row in rows)
    return {verdict: found[verdict] for verdict in VERDICTS}


def error_ppm(row: Row) -> float | None:
    """The largest error of its elements and total, with its sign, in millionths of the reference;
    None where there is no reference, or none that flowed enough to be compared with."""
    report = row["report"]
    errors = [] if report is None else [report["error_ppm"][name] for name in ERRORS]
    return max((e for e in errors if e is not None), key=_size, default=None)


def _size(ppm: float | None) -> float:
    """By which errors are put in order: no number at all is worse than any, no error is less."""
    if ppm is None:
        return -1.0
    return math.inf if math.isnan(ppm) else abs(ppm)


def worst(rows: Iterable[Row], n: int) -> list[Row]:
    """The n rows to look at first: those that failed before those that passed, then those whose
    recording cannot be read, of which there is nothing to see; in each the largest error first.
    Equal ones stay in the order in which they came."""

    def order(row: Row) -> tuple[int, float]:
        rank = {"passed": 1, "unusable": 2}.get(row["verdict"], 0)
        return rank, -_size(error_ppm(row))

    return sorted(rows, key=order)[:n]


def metered_s(rows: Iterable[Row]) -> float:
    """Seconds of mains that were metered in all."""
    return math.fsum(row["report"]["seconds"] for row in rows if row["report"] is not None)


def times_real_time(rows: Sequence[Row]) -> float | None:
    """Seconds metered in a second that a replay took, of the rows that were run and not kept from
    an earlier run; None where there are none."""
    run = [row for row in rows if row["report"] is not None and not row["was_kept"]]
    took = math.fsum(row["took_s"] for row in run)
    return metered_s(run) / took if took > 0 else None
