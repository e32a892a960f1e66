"""--swap-ct of a command line: CTs that are mounted the wrong way round.

Flow: a command's options -> SWAP CT -> front end.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tools.common.errors import InputError


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Adds --swap-ct, which gives a list of 1 and 2 in options.swap_ct."""
    parser.add_argument(
        "--swap-ct",
        type=int,
        choices=(1, 2),
        action="append",
        default=[],
        metavar="N",
        help="turn CT 1 or 2 round; once for each",
    )


def turned(given: Sequence[int]) -> tuple[bool, bool]:
    """Whether CT 1, and CT 2, are turned round. Raises InputError for one that is given twice."""
    if len(given) > len(set(given)):
        raise InputError(f"CT {given[0]} turned round twice (--swap-ct): leave one out")
    return 1 in given, 2 in given


def check_recorded(swap_ct: tuple[bool, bool], path: str | Path, elements: int) -> None:
    """InputError for a CT that is turned round where its element has not been recorded."""
    if swap_ct[1] and elements < 2:
        raise InputError(f"{path}: has no element 2: leave out --swap-ct 2")
