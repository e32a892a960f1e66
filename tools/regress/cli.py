"""Replays every recording in folders, and compares each with float64, golden files and other
engines.

Flow: folders -> recordings -> workers -> verdicts -> what is printed, JSON lines, page, JUnit.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import joblib

from threewire.version import VERSION
from tools.common import boards, command
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.common.files import check_writable, replacing
from tools.common.options import Parser
from tools.common.terminal import clean
from tools.engines.interpreters import ENGINES, choose_engine
from tools.regress import goldens
from tools.regress.against import checked_out, commit_of
from tools.regress.find import Found, find, joined
from tools.regress.job import ADCS, Plan
from tools.regress.judge import LIMITS, Engines, judged
from tools.regress.kept import Kept
from tools.regress.row import Row, worst
from tools.regress.run import Run, Workers
from tools.regress.telling import Telling, print_first

FOLDER = ROOT / "build" / "regress"
_EPILOG = """\
examples:
  %(prog)s recordings
  %(prog)s recordings --engine micropython --engine i386 --board pico --adc real --seeds 5
  %(prog)s recordings --update
  %(prog)s recordings --html build/regress.html --junit build/regress.xml
  %(prog)s recordings --against HEAD~1
"""
_TITLE = "Regression"
# Lines of a change that are printed.
_CHANGES = 5

T = TypeVar("T")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog=command.name("regress"),
        description="Replay every recording in folders, on each engine, board and seed, and "
        "compare it with float64, with golden files, and engine with engine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recordings", nargs="*", metavar="FOLDER", help="or file")
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help=f"{', '.join(ENGINES)}; may stand several times (default micropython, else cpython)",
    )
    parser.add_argument(
        "--board",
        action="append",
        metavar="NAME",
        help=f"board file; may stand several times (default {boards.DEFAULT}, of a capture its "
        "own)",
    )
    parser.add_argument(
        "--adc",
        action="append",
        choices=ADCS,
        help="converter's model; may stand several times (default ideal)",
    )
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="seeds 0 to N - 1 of it (default 1)"
    )
    parser.add_argument(
        "--join",
        action="store_true",
        help="what is given, files or patterns in quotes, are parts of one recording",
    )
    parser.add_argument(
        "--from",
        dest="begin",
        type=float,
        metavar="SECONDS",
        help="start there in each",
    )
    parser.add_argument(
        "--duration",
        type=float,
        metavar="SECONDS",
        help="loop over whole cycles, or cut, to this",
    )
    parser.add_argument(
        "--limit",
        type=float,
        metavar="PERCENT",
        help="of the energy, by which a register may be off float64 (default 0.1, with --adc real "
        "3)",
    )
    parser.add_argument(
        "--golden", type=Path, metavar="FOLDER", help="of golden files (default: beside each)"
    )
    parser.add_argument(
        "--update", action="store_true", help="write golden files anew, and show what changes"
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="names or paths to leave out, as 'old' or '*.csv'; may stand several times",
    )
    parser.add_argument(
        "--against", metavar="REV", help="replay with the firmware of this git revision, too"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes (default: one for each core)"
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="of a Dask scheduler, whose workers do it: tcp://host:8786",
    )
    parser.add_argument(
        "--ship",
        action="store_true",
        help="send the recordings to Dask's workers, which else read them at the same paths",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="of results, in which those that are known are looked up (default build/regress)",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="report to look at")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="JUnit XML, for CI")
    options = parser.parse_args(argv)
    if not options.recordings or "" in options.recordings:
        raise InputError("which recordings? name a folder or files (with make: DIR=)")
    for name, value in (("--seeds", options.seeds), ("--jobs", options.jobs)):
        if value is not None and value < 1:
            raise InputError(f"{name} {value}: expected an integer from 1 up")
    for name, value in (("--from", options.begin), ("--duration", options.duration)):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{name} {value:g}: expected a number of seconds, more than 0")
    if options.limit is not None and not 0 <= options.limit <= 100:
        raise InputError(f"--limit {options.limit:g}: expected percent, 0 to 100")
    if options.join and options.exclude:
        raise InputError("--join and --exclude: parts are named one by one; leave one out")
    if options.ship and not options.dask:
        raise InputError("--ship is of --dask ADDRESS: leave it out, or name a scheduler")
    if options.jobs and options.dask:
        raise InputError(
            "--jobs and --dask: a cluster has its own number of workers; leave one out"
        )
    if options.golden is not None and options.golden.exists() and not options.golden.is_dir():
        raise InputError(f"--golden {options.golden}: is no folder; name that of golden files")
    # Each with an end of its own: neither takes the other's name, nor that of a recording.
    for path, suffixes in ((options.html, (".html", ".htm")), (options.junit, (".xml",))):
        if path is not None:
            check_writable(path, suffixes)
    return options


def _plan(options: argparse.Namespace) -> Plan:
    for name in options.board or ():
        boards.load(name)
    return Plan(
        engines=_once([choose_engine(name) for name in options.engine or (None,)]),
        boards=_once(options.board or [None]),
        adcs=_once(options.adc or [ADCS[0]]),
        seeds=range(options.seeds),
        begin=options.begin,
        duration=options.duration,
    )


def _once(names: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(names))


class _Judge:
    """Judges rows as they come, and keeps golden files where that is asked for."""

    def __init__(
        self, found: Sequence[Found], plan: Plan, limit: float | None, updates: bool
    ) -> None:
        self._golden = {each.name: each.golden for each in found}
        self._part = _part(plan)
        self._limit = limit
        self._updates = updates
        self._engines = Engines()
        self.without: set[str] = set()
        self.written = self.refused = 0

    def verdict(self, row: Row) -> Row:
        path = self._golden[row["recording"]]
        if row["report"] is None:
            return row
        against: list[str] = []
        if not self._updates:
            try:
                kept = goldens.read(path)
                against = goldens.compared(kept, row, path, self._part)
                if goldens.section(row, self._part) not in kept:
                    self.without.add(row["recording"])
            except InputError as problem:
                against = [str(problem)]
        return judged(row, self._limit, against, self._engines)

    def update(self, rows: Sequence[Row]) -> None:
        """Of one recording, all its ways: none of them is kept where one is wrong."""
        wrong = [row for row in rows if row["verdict"] != "passed"]
        path = self._golden[rows[0]["recording"]]
        if wrong:
            print(f"{path}: not written, a replay has not passed")
            return
        try:
            diff = goldens.updated(path, rows, part=self._part)
        except InputError as problem:
            self.refused += 1
            print(f"{path}: not written\n  {problem}")
            return
        if diff is not None:
            self.written += 1
            print(f"{path}:", *map(clean, diff), sep="\n")


def _judged(run: Run, judge: _Judge, updates: bool, telling: Telling) -> Iterator[Row]:
    """The rows with their verdicts, as they come."""
    left = Counter(run.names())
    pending: defaultdict[str, list[Row]] = defaultdict(list)
    for row in run.rows():
        row = judge.verdict(row)
        telling.take(row)
        if updates:
            name = row["recording"]
            left[name] -= 1
            pending[name].append(row)
            if not left[name]:
                judge.update(pending.pop(name))
        yield row


def _part(plan: Plan) -> str:
    """How golden files' sections tell that they are of a part of each recording."""
    begin = "" if plan.begin is None else f", from {plan.begin:.12g} s"
    return begin + ("" if plan.duration is None else f", {plan.duration:.12g} s long")


def _status(verdicts: Counter[str], judge: _Judge) -> int:
    if verdicts["limit"] + verdicts["golden"] + verdicts["failed"]:
        return 1
    return 2 if verdicts["unusable"] + judge.refused else 0


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all passed; 1 a limit or a golden file failed, or an engine; 2 a recording
    or a golden file cannot be used, or what was asked for."""
    options = _arguments(argv)
    plan = _plan(options)
    if options.against:
        commit_of(options.against)
    if options.join:
        found = [joined(options.recordings, options.golden)]
    else:
        found = find(options.recordings, options.golden, options.exclude)
    kept = Kept(options.out)
    workers = Workers(options.jobs or joblib.cpu_count(), options.dask, options.ship)
    run = Run(found, plan, kept, workers)
    judge = _Judge(found, plan, options.limit, options.update)
    rows: list[Row] = []
    began = time.monotonic()
    with (
        Telling(run.total) as telling,
        replacing(kept.folder / "rows.jsonl") as aside,
        aside.open("w", encoding="utf-8") as lines,
    ):
        for row in _judged(run, judge, options.update, telling):
            lines.write(json.dumps(row) + "\n")
            rows.append(_lighter(row))
    took_s = time.monotonic() - began
    rows.sort(key=_order)
    if options.against:
        _compare(run, rows, options.against)
    _say(rows, telling, judge, options.update, took_s)
    if options.junit:
        from tools.regress import junit

        junit.write(options.junit, _TITLE, rows)
    if options.html:
        from tools.regress import page

        pictures = run.pictures([row["key"] for row in worst(rows, page.WORST) if row["key"]])
        page.write(options.html, _TITLE, rows, _about(options, plan), pictures)
    return _status(telling.verdicts, judge)


def _lighter(row: Row) -> Row:
    """Without what grows with a recording's length."""
    if row["report"] is None:
        return row
    heavy = ("edges", "events")
    return {**row, "report": {key: of for key, of in row["report"].items() if key not in heavy}}


def _order(row: Row) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in ("recording", "board", "engine", "adc", "seed"))


def _compare(run: Run, rows: Sequence[Row], name: str) -> None:
    """Puts what has changed since a revision into the rows, and says it."""
    of_key: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["key"]:
            of_key[row["key"]].append(row)
    changed = 0
    ratios = []
    with checked_out(name) as revision, Telling(len(of_key), "compared") as telling:
        for key, against in run.compared(revision):
            for row in of_key[key]:
                row["against"] = against
            if against["speed_ratio"] is not None:
                ratios.append(against["speed_ratio"])
            if not against["is_same"]:
                changed += 1
                print(f"{clean(of_key[key][0]['recording'])}: CHANGED since {name}")
                lines = against["why"] + [
                    f"{what}: {old}, now {new}" for what, old, new in against["changes"]
                ]
                print_first(lines, _CHANGES)
            telling.step()
    speed = f"; {statistics.median(ratios):.2f} times its speed (median)" if ratios else ""
    print(f"against {name}: {changed} of {len(of_key)} replays changed{speed}")


def _say(
    rows: Sequence[Row], telling: Telling, judge: _Judge, updates: bool, took_s: float
) -> None:
    counted = [f"{n} {verdict}" for verdict, n in telling.verdicts.most_common()]
    hours = sum(row["report"]["seconds"] for row in rows if row["report"]) / 3600
    fresh = sum(not row["was_kept"] for row in rows)
    print(
        f"{len(rows)} replays of {len({row['recording'] for row in rows})} recordings: "
        f"{', '.join(counted)}; {hours:.3g} h metered, {fresh} now in {took_s:.1f} s, "
        f"{len(rows) - fresh} known from before"
    )
    if updates:
        refused = f", {judge.refused} could not be" if judge.refused else ""
        print(f"{judge.written} golden files written{refused}")
    elif judge.without:
        print(f"{len(judge.without)} recordings without a golden file of this: --update writes it")


def _about(options: argparse.Namespace, plan: Plan) -> dict[str, str]:
    return {
        "recordings": ", ".join(map(str, options.recordings)),
        "engines": ", ".join(plan.engines),
        "boards": ", ".join(
            board or f"{boards.DEFAULT}, of captures their own" for board in plan.boards
        ),
        "converter": f"{', '.join(plan.adcs)}; {len(plan.seeds)} seed{'s'[: len(plan.seeds) > 1]}",
        "limit": ", ".join(
            f"{LIMITS[adc] if options.limit is None else options.limit:g} % ({adc})"
            for adc in plan.adcs
        ),
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "Threewire": VERSION,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
    }
