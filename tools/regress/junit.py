"""JUnit XML of a regression run, for what shows or gates a CI's tests.

Flow: rows -> JUNIT -> FILE.xml.  A suite is a board, an engine and a converter; a case is a row.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from tools.common.files import write_whole
from tools.common.terminal import clean
from tools.regress.row import ERRORS, VERDICTS, Lane, Row, Verdict, by_lane, counts

# The meter was wrong; or there is nothing that could be right or wrong.
_FAILURES: tuple[Verdict, ...] = ("limit", "golden")


def write(path: str | Path, title: str, rows: Sequence[Row]) -> None:
    """Writes the file, whole or not at all. Raises InputError if it cannot.

    title  of the whole run
    """
    suites = JUnitXml(clean(title))
    for of, its in by_lane(rows).items():
        suite = TestSuite(clean(str(of)))
        suite.add_testcases([_case(of, row) for row in its])
        suite.time = round(suite.time or 0.0, 3)
        suites.append(suite)
    # Of all suites: what update_statistics would count beside it, Jenkins's schema does not have.
    verdicts = counts(rows)
    suites.tests = len(rows)
    suites.failures = sum(verdicts[of] for of in _FAILURES)
    suites.errors = len(rows) - suites.failures - verdicts["passed"]
    suites.time = round(math.fsum(row["took_s"] for row in rows), 3)
    write_whole(Path(path), suites.tostring())


def _case(of: Lane, row: Row) -> TestCase:
    seed = row["seed"]
    # Readers of these files tell cases apart by class and name, and nest classes at dots.
    case = TestCase(
        name=clean(row["recording"] if seed is None else f"{row['recording']} seed {seed}"),
        classname=clean(".".join(of)),
        # Schemas of these files take milliseconds, and no more digits.
        time=round(row["took_s"], 3),
    )
    verdict = row["verdict"]
    if verdict != "passed":
        # XML has no way to write most control characters, and parsers make one space of a line
        # end in an attribute.
        lines = [clean(line) for line in row["why"]] or [VERDICTS[verdict]]
        result = (Failure if verdict in _FAILURES else Error)(lines[0], verdict)
        result.text = "\n".join(lines)
        case.result = [result]
    said = _said(row)
    if said:
        case.system_out = "\n".join(said)
    return case


def _said(row: Row) -> list[str]:
    """What else is to be known of a row, a line each."""
    lines = ["the result of an earlier run"] if row["was_kept"] else []
    report = row["report"]
    if report is not None:
        errors = [report["error_ppm"][name] for name in ERRORS]
        told = ["-" if ppm is None else f"{ppm:+.1f}" for ppm in errors]
        lines.append(
            f"{report['seconds']:.3f} s metered; error in ppm of element 1, element 2 and total: "
            f"{', '.join(told)}"
        )
        lines += [f"warning: {clean(line)}" for line in report["warnings"]]
    return lines
