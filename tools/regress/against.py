"""The firmware of another revision, metering the same: what has changed since.

Flow: revision -> git worktree -> its own replay of each recording, beside ours -> AGAINST: bits,
energies, edges, verdicts, speed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.common.boards import ROOT
from tools.common.errors import EngineFailed, InputError
from tools.regress.job import LOOPED_S, Job
from tools.regress.row import Against

_ENGINES = Path("build") / "engines"


@dataclass(frozen=True)
class Revision:
    """A revision's sources.

    name    as it was asked for
    commit  40 hex digits
    tree    folder of its files
    """

    name: str
    commit: str
    tree: Path


def commit_of(name: str) -> str:
    """The commit that a revision's name means. Raises InputError for one that there is not."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if commit is None:
        raise InputError(f"--against {name}: no such revision in {ROOT}; `git log` lists them")
    return commit


@contextmanager
def checked_out(name: str) -> Iterator[Revision]:
    """A revision of this project beside it, as long as it is needed. Raises InputError for one
    that there is not."""
    commit = commit_of(name)
    with tempfile.TemporaryDirectory(prefix="threewire-") as folder:
        tree = Path(folder, "tree")
        if _git("worktree", "add", "--detach", "--quiet", str(tree), commit) is None:
            raise InputError(f"--against {name}: git can make no worktree of it in {folder}")
        try:
            # Its interpreters are ours: what differs is what they run.
            if (ROOT / _ENGINES).exists():
                (tree / _ENGINES).parent.mkdir(exist_ok=True)
                (tree / _ENGINES).symlink_to(ROOT / _ENGINES)
            yield Revision(name, commit, tree)
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*words: str) -> str | None:
    try:
        run = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        raise InputError("--against needs git, which is not on PATH") from None
    return run.stdout.strip() if run.returncode == 0 else None


def compare(job: Job, revision: Revision) -> Against:
    """What a replay by the revision came to, against ours: each a process of its own, by the same
    command line, so that the times are of the same. An input that only one of them can use is a
    change, too. Raises EngineFailed, InputError."""
    theirs, their_s = _replayed(job, revision.tree)
    ours, our_s = _replayed(job, ROOT)
    ratio = None
    if isinstance(theirs, dict) and isinstance(ours, dict):
        found = list(_changes(theirs, ours))
        ratio = round(their_s / our_s, 3)
    else:
        said = [each if isinstance(each, str) else "is metered" for each in (theirs, ours)]
        found = [("recording", said[0], said[1])] if said[0] != said[1] else []
    return {
        "rev": revision.name,
        "is_same": not found,
        "why": [],
        "changes": found,
        "speed_ratio": ratio,
    }


def _replayed(job: Job, tree: Path) -> tuple[dict[str, Any] | str, float]:
    """The report by a tree's own command, or the one line that it says instead; seconds."""
    way = job.way
    words = [sys.executable, "-m", "tools.replay", *job.parts, "--json", "--engine", way.engine]
    for option, value in (
        ("--board", way.board),
        ("--adc", way.adc),
        ("--seed", way.seed),
        ("--from", job.begin),
        ("--duration", job.seconds),
    ):
        if value is not None:
            words += [option, str(value)]
    began = time.monotonic()
    report = _run(words, tree)
    if isinstance(report, dict) and job.is_looped(report["seconds"]):
        began = time.monotonic()
        report = _run([*words, "--duration", str(LOOPED_S)], tree)
    return report, time.monotonic() - began


def _run(words: list[str], tree: Path) -> dict[str, Any] | str:
    paths = {"PYTHONPATH": os.pathsep.join((str(tree), str(tree / "firmware")))}
    run = subprocess.run(
        words, cwd=tree, env={**os.environ, **paths}, capture_output=True, text=True
    )
    if run.returncode:
        return (run.stderr.strip().splitlines() or [f"ended with status {run.returncode}"])[-1]
    try:
        return json.loads(run.stdout)
    except ValueError:
        raise EngineFailed(f"the replay in {tree} printed no JSON") from None


def _changes(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two reports differ; of an array of edges its length, or the first edge that does."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key in old and key in new:
                yield from _changes(old[key], new[key], f"{where} {key}".strip())
            # What only one revision tells is no change of what is metered.
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where}, their number", len(old), len(new)
        else:
            for k, (a, b) in enumerate(zip(old, new)):
                if a != b:
                    yield from _changes(a, b, f"{where} {k + 1}")
                    if where.startswith("edges"):
                        return
    elif old != new:
        yield where, old, new
