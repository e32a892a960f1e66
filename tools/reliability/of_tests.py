"""What came of tests, with what they keep of it as properties.

Flow: pytest -> its JUnit report -> OF TESTS -> reliability.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from tools.common.boards import ROOT
from tools.common.errors import EngineFailed

# Of what pytest said, where it has failed.
_EXCERPT = 2000


@dataclass(frozen=True)
class OfTests:
    """Of the tests that were run together.

    tried    how many ran; or what they tried, where they keep that
    lost     tests that failed, and frames that metering lost in those that keep that
    found    what else they keep, as people read it
    holds    whether all have recovered that are to
    skipped  why the last one was, that was; or nothing
    """

    tried: int
    lost: int
    found: str
    holds: bool
    skipped: str


def of_tests(path: str, names: str) -> OfTests:
    """Runs the tests of a file with these names, as pytest's -k has them. Raises EngineFailed."""
    with tempfile.TemporaryDirectory(prefix="reliability") as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            + ["-o", "junit_family=xunit1", f"--junitxml={report}", "-k", names, path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            raise EngineFailed(f"pytest ended with {done.returncode}: {done.stderr[-500:]}")
        found = read(report)
    if found.lost:
        print(done.stdout[-_EXCERPT:], file=sys.stderr)
    return found


def read(report: Path) -> OfTests:
    """Of a JUnit report.  Its tests may keep the properties lost_frames, longest_step_ms,
    recovered (0 or 1) and tried."""
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    ran = count["tests"] - count["skipped"]
    kept: dict[str, list[float]] = {}
    for of in suite.iter("testcase"):
        # What is kept again takes the place of what was kept.
        last = {each.get("name", ""): each.get("value", "") for each in of.iter("property")}
        for name, value in last.items():
            kept.setdefault(name, []).append(float(value))
    reasons = [each.get("message", "") for each in suite.iter("skipped")]
    told = []
    if "longest_step_ms" in kept:
        told.append(f"longest step {max(kept['longest_step_ms']):.1f} ms")
    holds = all(kept.get("recovered", ()))
    if "recovered" in kept:
        told.append("recovered" if holds else "NOT recovered")
    return OfTests(
        tried=round(sum(kept.get("tried", ()))) or ran,
        lost=count["failures"] + count["errors"] + round(sum(kept.get("lost_frames", ()))),
        found=", ".join(told),
        holds=holds,
        skipped=(reasons or [""])[-1],
    )
