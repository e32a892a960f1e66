"""Which one of the boards of a kind: constants, captures and points hold for that one.

Flow: a file's id, the board's -> IDENTITY -> calibrate, solve, linearity, replay.  An id is the
hexadecimal digits of `machine.unique_id()`; files of 0.3.0 and older have none.
"""

import argparse
from pathlib import Path
from typing import Any

OPTION = "--another-board"


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option by which a person insists."""
    parser.add_argument(
        OPTION,
        action="store_true",
        help="take what was found on another board of the same kind, as where a broken one has "
        "been swapped; calibrate it anew as soon as there is a reference",
    )


def differ(one: Any, other: Any) -> bool:
    """Whether these are the ids of two boards, as far as both are known."""
    return one is not None and other is not None and one != other


def refusal(path: str | Path, found: Any, there: Any, what: str) -> str:
    """One line on why `path`, found on one board, is not for `what` is there."""
    return (
        f"{path}: of the board with the id {found}, {what} is that with {there}: each board has "
        f"constants of its own; {OPTION} takes them all the same"
    )
