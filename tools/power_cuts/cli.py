"""Proof of the register store: power cuts in every operation of the flash, and the flash's wear.

Flow: a board's flash image -> program.py on MicroPython -> POWER CUTS -> rows of a table.
`python -m tools.power_cuts --help` tells the options.
"""

from collections.abc import Sequence

from tools.common import command
from tools.common.options import Parser
from tools.common.ranges import whole_in
from tools.common.rows import show
from tools.power_cuts.run import BOARD, CUTS, SAVES_A_BLOCK, rows


def _count(text: str) -> int:
    """An option that counts something, 1 or more."""
    number = whole_in(text)
    if number < 1:
        raise ValueError
    return number


_count.__name__ = "number"  # as argparse names it in its complaint


@command.reporting(failed=2)
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all passed, 1 something did not, 2 it could not be tried."""
    parser = Parser(
        prog=command.name("power_cuts"),
        description="Cut the power in every operation of the register store on a simulated flash "
        "under MicroPython's littlefs, and measure the flash's wear.",
        epilog="example: %(prog)s --board xiao_rp2040 --cuts 1000",
    )
    parser.add_argument("--board", metavar="NAME", default=BOARD, help="board file (%(default)s)")
    parser.add_argument(
        "--cuts", metavar="N", type=_count, default=CUTS, help="random cuts (%(default)s)"
    )
    parser.add_argument(
        "--saves",
        metavar="N",
        type=_count,
        help=f"saves for the wear ({SAVES_A_BLOCK} for each block of the flash)",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args(argv)
    table = rows(options.board, options.cuts, options.saves, options.seed)
    return show(table, options.json)
