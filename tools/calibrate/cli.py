"""Calibrates a board beside a reference instrument: make calibrate [PORT=…].

Flow: the board's readings and the reference's (questions, points, cycles) -> solver ->
CALIBRATE -> constants on the board, the old ones in a file.
`python -m tools.calibrate --help` tells the options.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from threewire.metering.calibration import from_dict
from tools.cable import port as board_port
from tools.calibrate import cycles as calibrate_cycles
from tools.calibrate import questions as calibrate_ask
from tools.calibrate import text as calibrate_text
from tools.calibrate.board import Board, command_for
from tools.calibrate.points import make_point, parse_number, parse_point
from tools.common import boards, command
from tools.common.command import say
from tools.common.constants import read_constants, write_constants
from tools.common.errors import InputError, PortError
from tools.common.files import reason
from tools.solve import changes as calibration_changes
from tools.solve.fit import Point
from tools.solve.points_file import DEFAULT_PERCENT, read_points
from tools.solve.solver import solve

_FOLDER = boards.ROOT / "build" / "calibration"
# A board starts in five seconds; one that a computer shows anew may take some more.
_TIMEOUT_S = 30.0
_SECONDS, _MOST_SECONDS = 10, 3600
_MOST_CYCLES = 1_000_000
_MOST_PERCENT = 10.0

_EPILOG = """\
Without options it asks, step by step. With them, for a load that is on:

  %(prog)s --point "element=1 volts=120.03 amps=30.01 watts=3601.2" --yes
  %(prog)s --points points.json     readings and all; solve --help shows the format
  %(prog)s --restore build/calibration/feather_rp2040-20260102-150405.json

or by energy, with a heater on one element: N cycles of the 10 Wh LED, edge to edge, while the
reference registered X Wh; or the board's delivered register between two of its lines, which is
finer than its LED, and the reference's Wh that are then asked for:

  %(prog)s --cycles 20 --reference-wh 201.35 --element 1
  %(prog)s --cycles 20 --watch --element 1

The old constants are kept in build/calibration. --restore takes any calibration file, those of
solve and linearity among them; what it leaves out is then the board file's. The board must be
unsealed: its seal pin at ground when it starts.
"""


@dataclass(frozen=True)
class Proposal:
    """New constants, with the uncertainty of each, what else to show of them, and the points
    that questions have led to."""

    constants: dict[str, Any]
    uncertainty: dict[str, Any] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    asked: tuple[Point, ...] = ()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=command.name("calibrate"),
        description="Calibrate a board beside a reference instrument.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    board_port.add_arguments(parser, _TIMEOUT_S)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--point",
        action="append",
        metavar="TEXT",
        help="what the reference reads of an element now, see below; once for each element",
    )
    how.add_argument("--points", metavar="FILE", help="points file, made with these constants")
    how.add_argument("--restore", metavar="FILE", help="put the constants of a file on the board")
    how.add_argument("--cycles", metavar="N", help="cycles of the 10 Wh LED")
    parser.add_argument(
        "--reference-wh", metavar="X", help="what the reference registered in them"
    )
    parser.add_argument(
        "--watch", action="store_true", help="count by the board's register; ask the reference"
    )
    parser.add_argument("--element", choices=("1", "2"), help="the one that carried the load")
    parser.add_argument(
        "--seconds",
        metavar="S",
        default=str(_SECONDS),
        help=f"to read the board for at a load (default {_SECONDS})",
    )
    parser.add_argument(
        "--uncertainty",
        metavar="PERCENT",
        default=str(DEFAULT_PERCENT),
        help="of the reference's readings, one standard uncertainty "
        f"(default {DEFAULT_PERCENT:g}; a points file has its own)",
    )
    parser.add_argument(
        "--keep", metavar="FILE", help="for the old constants (default in build/calibration)"
    )
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--dry-run", action="store_true", help="stop before writing")
    return parser.parse_args(argv)


def _check(options: argparse.Namespace) -> None:
    """InputError for options that do not go together, before the board is looked for; numbers
    take the place of their texts."""
    for option in ("points", "restore", "keep"):
        if getattr(options, option) == "":
            raise InputError(f"--{option} is empty; expected the name of a file")
    by_cycles = options.cycles is not None
    if by_cycles != bool(options.reference_wh is not None or options.watch):
        raise InputError("--cycles goes with --reference-wh or with --watch; see --help")
    if options.watch and options.reference_wh is not None:
        raise InputError("--watch asks for the reference's Wh: leave out --reference-wh")
    if by_cycles != (options.element is not None):
        raise InputError("--cycles and --element go together, and with nothing else; see --help")
    options.cycles = _whole("--cycles", options.cycles, 1, _MOST_CYCLES) if by_cycles else None
    options.seconds = _whole("--seconds", options.seconds, 1, _MOST_SECONDS)
    try:
        option = "--uncertainty"
        options.uncertainty = parse_number(options.uncertainty, above=0)
        if options.uncertainty > _MOST_PERCENT:
            raise ValueError(f"expected {_MOST_PERCENT:g} % at most")
        option = "--reference-wh"
        if options.reference_wh is not None:
            options.reference_wh = calibrate_cycles.parse_wh(options.reference_wh)
    except ValueError as problem:
        raise InputError(f"{option}: {problem}") from None
    options.point = [parse_point(text) for text in options.point or ()]
    elements = [reference.element for reference in options.point]
    if len(elements) > len(set(elements)):
        raise InputError(
            "--point: an element has one load at a time; give each element once, or several loads "
            "by questions or by --points"
        )


def _whole(option: str, text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
        return int(text)
    raise InputError(f"{option} is {text!r}; expected a whole number from {least} to {most}")


def calibrate(options: argparse.Namespace) -> None:
    """Does what the options say. Raises PortError and InputError."""
    _check(options)
    with Board(options.port, options.timeout) as board:
        say(f"{board.port}: {board.name}, {'sealed' if board.sealed else 'unsealed'}")
        if board.sealed and not options.dry_run:
            raise PortError(f"{board.port}: the board is sealed: {board.seal}, then begin again")
        kept = _usual_file(board.name) if options.keep is None else Path(options.keep)
        _check_free(kept)
        proposal = _propose(board, options, kept)
        new = {"board": board.name} | proposal.constants
        command_for(new)
        layout = board.layout
        print(calibration_changes.changes(board.in_force, new, proposal.uncertainty, layout))
        for text in proposal.shown:
            print(f"\n{text}")
        if options.dry_run:
            say("not written (--dry-run): nothing was changed")
        elif proposal.constants == board.in_force:
            say("these are in force already: nothing to write")
        elif options.yes or calibrate_ask.confirm(board, "Write them to the board?"):
            write_constants(kept, {"board": board.name} | board.in_force)
            say(f"the old constants are kept in {kept}")
            board.put(new)
            print(f"\nin force now; the old constants are in {kept}")
            if proposal.asked:
                calibrate_ask.errors_now(board, list(proposal.asked), options.seconds)
        else:
            say("not written: nothing was changed")


def _usual_file(board: str) -> Path:
    """Where a board's old constants are kept when nobody says: a name that nothing has yet, nor
    the points beside it."""
    stem = f"{board}-{datetime.now():%Y%m%d-%H%M%S}"
    names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    return next(
        _FOLDER / f"{name}.json" for name in names if not list(_FOLDER.glob(f"{name}*.json"))
    )


def _check_free(kept: Path) -> None:
    """InputError unless a file can be kept there, where none is yet; makes the usual folder."""
    try:
        if kept.parent == _FOLDER:
            _FOLDER.mkdir(parents=True, exist_ok=True)
        if kept.exists():
            raise InputError(f"{kept}: there already; name another file by --keep")
        if not kept.parent.is_dir():
            raise InputError(f"{kept.parent}: no such folder; name one for the old constants")
    except OSError as problem:
        raise InputError(f"{kept}: {reason(problem)}; name another file") from None


def _propose(board: Board, options: argparse.Namespace, kept: Path) -> Proposal:
    if options.restore is not None:
        constants = read_constants(options.restore, board.layout)
        # All that such a file stands for: what it leaves out is the board file's.
        return Proposal(from_dict(constants, board.layout).to_dict())
    if options.cycles:
        return _by_cycles(board, options)
    if options.points is not None:
        layout, points, notes = read_points(options.points)
        if layout.name != board.name:
            raise InputError(
                f"{options.points}: board is {layout.name!r}, the one there is {board.name!r}"
            )
        return _solved(board, points, notes)
    if options.point:
        say(f"reading the board for {options.seconds} s")
        reading = board.read(options.seconds)
        say(calibrate_text.readings(reading))
        calibrate_ask.warn(reading, tuple(reference.element for reference in options.point))
        points = [
            make_point(board, reading, reference, options.uncertainty, 1)
            for reference in options.point
        ]
        return _solved(board, points)
    kept_points = kept.with_name(f"{kept.stem}-points.json")
    _check_free(kept_points)
    asked = calibrate_ask.gather(board, options.seconds, options.uncertainty, kept_points)
    return _solved(board, asked, asked=tuple(asked))


def _solved(
    board: Board, points: list[Point], notes: Sequence[str] = (), asked: tuple[Point, ...] = ()
) -> Proposal:
    solution = solve(board.in_force, board.layout, points)
    shown = [calibration_changes.errors(solution.residuals)]
    if notes := [*notes, *solution.said]:
        shown.append("\n".join(notes))
    return Proposal(solution.constants, solution.uncertainty, tuple(shown), asked)


def _by_cycles(board: Board, options: argparse.Namespace) -> Proposal:
    element = int(options.element)
    if options.watch:
        count = calibrate_cycles.watched(board, options.cycles, element)
    else:
        count = calibrate_cycles.counted(board, options.cycles, options.reference_wh, element)
    constants, uncertainty = calibrate_cycles.correct(board, count, element, options.uncertainty)
    return Proposal(constants, uncertainty, (count.told(element),))


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the board cannot be reached, is sealed or does not take them, 2 what
    is given cannot be used, or nothing that a calibration should mend, 130 Ctrl-C."""
    options = _arguments(argv)
    calibrate(options)
    return 0
