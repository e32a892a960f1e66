"""A day of the whole firmware in simulated time: power cuts, crashes, hangs, floods of garbage.

Flow: front end -> codes, events -> program.py on MicroPython (main.py on littlefs) -> its lines
-> SOAK's checks against float64 sums of the very same codes -> rows of a table.
`python -m tools.soak --help` tells the options.
"""

from collections.abc import Sequence

from tools.common import boards, command
from tools.common.errors import InputError
from tools.common.options import Parser
from tools.common.ranges import number_in
from tools.soak.judge import CHECKS
from tools.soak.run import run

_MOST_FAILURES = 20  # that are told of one check
_MOST_HOURS = 24 * 366


def _hours(text: str) -> float:
    hours = number_in(text)
    if not 0.1 <= hours <= _MOST_HOURS:
        raise ValueError
    return hours


_hours.__name__ = f"number of hours from 0.1 to {_MOST_HOURS}"


@command.reporting(failed=2)
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all is well, 1 something was lost, 2 it could not be tried."""
    parser = Parser(
        prog=command.name("soak"),
        description="Run the whole firmware for a day of simulated time, with power cuts, "
        "crashes, hangs and garbage typed, and check all it says against float64.",
        epilog="example: %(prog)s --hours 24",
    )
    parser.add_argument("--hours", metavar="H", type=_hours, default=24.0, help="(%(default)s)")
    parser.add_argument(
        "--board", metavar="NAME", default=boards.DEFAULT, help="board file (%(default)s)"
    )
    parser.add_argument("--engine", metavar="NAME", default="micropython", help="(%(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="(%(default)s)")
    options = parser.parse_args(argv)
    if options.engine not in ("micropython", "i386", "armhf"):
        raise InputError(f"engine {options.engine!r}: there are micropython, i386, armhf")
    if options.seed < 0:
        raise InputError(f"seed {options.seed}: it must be 0 or more")
    soak = run(options.hours * 3600, options.board, options.engine, options.seed)
    print(soak.text())
    for name, check in soak.checks.items():
        verdict = "pass" if check.tried and not check.failures else "FAIL"
        print(f"{verdict}  {CHECKS[name]}: {check.tried}, {len(check.failures)} lost")
        for failure in check.failures[:_MOST_FAILURES]:
            print(f"      {failure}")
    return 0 if soak.passed else 1
