"""A regression: every recording in every way, each once, whatever happens on the way.

Flow: Found, plan -> jobs -> kept rows, and workers for the rest -> RUN -> rows, not judged yet.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tools.common.errors import EngineFailed, Failure, InputError
from tools.common.files import reason, write_whole
from tools.regress.against import Revision, compare
from tools.regress.find import Found
from tools.regress.job import Job, Plan, Way, jobs_of, longest_first, shipped
from tools.regress.kept import Kept
from tools.regress.measure import blank, measure, picture
from tools.regress.row import Against, Row
from tools.regress.spread import TRIES, spread


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    count     processes on this machine
    dask      address of a Dask scheduler, whose workers do it instead
    ships     send them the recordings' bytes, not their paths
    """

    count: int
    dask: str | None = None
    ships: bool = False


class Run:
    """One run over recordings.  `rows` gives each row as it comes; `pictures` and `compared` are
    of its jobs, too."""

    def __init__(self, found: Sequence[Found], plan: Plan, kept: Kept, workers: Workers) -> None:
        self._kept = kept
        self._workers = workers
        # Of a job's first part: all files, and what was in them when it was made.
        self._files: dict[str, tuple[tuple[Path, ...], str]] = {}
        self._unread: list[Row] = []
        sized: list[tuple[int, Job]] = []
        # Two recordings of one content are metered once.
        self._names: dict[str, list[Job]] = {}
        for each in found:
            try:
                content = kept.content(each.files)
            except OSError as problem:
                why = f"{problem.filename or each.path}: cannot be read ({reason(problem)})"
                self._unread += [_unread(each.name, way, why) for way in plan.ways(False)]
                continue
            for job in jobs_of(each, plan, content):
                self._files[job.parts[0]] = each.files, content
                same = self._names.setdefault(job.key, [])
                same.append(job)
                if len(same) == 1:
                    sized.append((each.size, job))
        self._jobs = longest_first(sized)

    @property
    def total(self) -> int:
        """Rows that there will be."""
        return len(self._unread) + sum(map(len, self._names.values()))

    def names(self) -> Iterator[str]:
        """The recording of each row that there will be."""
        for row in self._unread:
            yield row["recording"]
        for same in self._names.values():
            yield from (job.name for job in same)

    def rows(self) -> Iterator[Row]:
        """Those that were there first, then the others as they are done.  Each is kept before it
        is given. Raises InputError where it cannot be, and where there is no scheduler."""
        yield from self._unread
        todo = []
        for job in self._jobs:
            row: Any = self._kept.rows.get(job.key)
            if row is None:
                todo.append(job)
            else:
                row["was_kept"] = True
                yield from self._named(row)
        for job, row in self._spread(measure, todo, _died):
            why = self._changed(job)
            if why is not None:
                row = _unread(job.name, job.way, why, job.key)
            # What has failed may come out otherwise, as when a worker has no more memory, and what
            # cannot be used, as when its disk was gone meanwhile.
            if row["report"] is not None:
                self._kept.rows.add(row)
            yield from self._named(row)

    def _named(self, row: Row) -> Iterator[Row]:
        for job in self._names[row["key"]]:
            named = row.copy()
            named["recording"] = job.name
            yield named

    def _changed(self, job: Job) -> str | None:
        """Why what has come of a job is not of the contents that its key is made of; None where
        it is."""
        files, content = self._files[job.parts[0]]
        try:
            if self._kept.content(files) == content:
                return None
        except OSError as problem:
            return f"{problem.filename or files[0]}: cannot be read any more ({reason(problem)})"
        return f"{files[0]}: has changed while it was metered; run this again"

    def pictures(self, keys: Sequence[str]) -> dict[str, bytes]:
        """SVGs of rows, by their keys; none of what cannot be drawn."""
        folder = self._kept.folder / "pictures"
        found = {}
        todo = []
        for key in dict.fromkeys(keys):
            try:
                found[key] = (folder / f"{key}.svg").read_bytes()
            except OSError:
                if key in self._names:
                    todo.append(self._names[key][0])
        for job, svg in self._spread(picture, todo, _none):
            if svg is not None and self._changed(job) is None:
                found[job.key] = svg
                # Where it cannot be kept it is drawn anew the next time.
                with suppress(OSError, InputError):
                    folder.mkdir(exist_ok=True)
                    write_whole(folder / f"{job.key}.svg", svg)
        return found

    def compared(self, revision: Revision) -> Iterator[tuple[str, Against]]:
        """(key, what has changed since that revision), by this machine alone, where it lies."""
        todo = []
        for job in self._jobs:
            known = self._kept.rows.get(_beside(job, revision))
            if known is None:
                todo.append(job)
            else:
                yield job.key, known["against"]
        here = dataclasses.replace(self._workers, dask=None, ships=False)
        work = partial(_compared, revision=revision)
        for job, against in self._spread(work, todo, partial(_not_compared, revision), here):
            why = self._changed(job)
            if why is not None:
                against = _not_compared(revision, job, why)
            if against["speed_ratio"] is not None:
                self._kept.rows.add({"key": _beside(job, revision), "against": against})
            yield job.key, against

    def _spread(
        self,
        work: Callable[[Job], Any],
        jobs: Sequence[Job],
        died: Callable[[Job], Any],
        workers: Workers | None = None,
    ) -> Iterator[tuple[Job, Any]]:
        workers = workers or self._workers
        given = map(self._shipped, jobs) if workers.ships else iter(jobs)
        try:
            yield from spread(work, given, len(jobs), died, workers.count, workers.dask)
        except OSError as problem:
            # Whoever asks may be writing a file, of which this says nothing.
            raise EngineFailed(
                f"the work cannot go on ({reason(problem)}); what is done is kept"
            ) from None

    def _shipped(self, job: Job) -> Job:
        try:
            return shipped(job, self._files[job.parts[0]][0])
        except OSError:
            return job  # gone meanwhile: the worker says so


def _beside(job: Job, revision: Revision) -> str:
    return f"{job.key} {revision.commit}"


def _compared(job: Job, revision: Revision) -> Against:
    try:
        return compare(job, revision)
    except (Failure, OSError) as problem:
        return _not_compared(revision, job, str(problem))


def _not_compared(revision: Revision, job: Job, why: str = "its process died") -> Against:
    return {
        "rev": revision.name,
        "is_same": False,
        "why": [f"could not be compared: {why}"],
        "changes": [],
        "speed_ratio": None,
    }


def _unread(name: str, way: Way, why: str, key: str = "") -> Row:
    return {**blank(name, way, key), "verdict": "unusable", "why": [why]}


def _died(job: Job) -> Row:
    why = f"its worker died {TRIES} times"
    return {**blank(job.name, job.way, job.key), "verdict": "failed", "why": [why]}


def _none(job: Job) -> None:
    return None
