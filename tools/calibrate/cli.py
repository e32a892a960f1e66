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
from tools.calibrate import cycles as calibrate_cycles
from tools.calibrate import questions as calibrate_ask
from tools.calibrate import text as calibrate_text
from tools.calibrate.board import Board, command_for
from tools.calibrate.kept_count import KeptCount
from tools.calibrate.options import arguments, check
from tools.calibrate.points import make_point
from tools.common import boards, command, identity
from tools.common.command import say
from tools.common.constants import read_constants, write_constants
from tools.common.errors import InputError, PortError
from tools.common.files import reason
from tools.solve import changes as calibration_changes
from tools.solve.fit import Point
from tools.solve.merge import merged
from tools.solve.points_file import read_points
from tools.solve.solver import Solution, solve

_FOLDER = boards.ROOT / "build" / "calibration"


@dataclass(frozen=True)
class Proposal:
    """New constants, with the uncertainty of each, what else to show of them, the points that
    questions have led to, and the count by hand that they stand on."""

    constants: dict[str, Any]
    uncertainty: dict[str, Any] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    asked: tuple[Point, ...] = ()
    count: KeptCount | None = None


def calibrate(options: argparse.Namespace) -> None:
    """Does what the options say. Raises PortError and InputError."""
    check(options)
    with Board(options.port, options.timeout) as board:
        say(f"{board.port}: {board.name}, {'sealed' if board.sealed else 'unsealed'}")
        if board.sealed and not options.dry_run:
            raise PortError(f"{board.port}: the board is sealed: {board.seal}, then begin again")
        kept = _usual_file(board.name) if options.keep is None else Path(options.keep)
        _check_free(kept)
        is_copy = identity.differ(board.in_force.get("id"), board.id)
        if is_copy:
            say(
                "warning: the constants in force are of the board with the id "
                f"{board.in_force['id']}, this is that with {board.id}: its flash is a copy"
            )
        proposal = _propose(board, options, kept)
        new = proposal.constants | {"board": board.name, "id": board.id}
        command_for(new)
        layout = board.layout
        print(calibration_changes.changes(board.in_force, new, proposal.uncertainty, layout))
        for text in proposal.shown:
            print(f"\n{text}")
        if options.dry_run:
            say("not written (--dry-run): nothing was changed")
        elif new == _named(board) and not is_copy:
            say("these are in force already: nothing to write")
        elif options.yes or calibrate_ask.confirm(board, "Write them to the board?"):
            write_constants(kept, _named(board))
            if proposal.count:
                proposal.count.keep(_beside(kept, "count"), board)
            say(f"the old constants are kept in {kept}")
            board.put(new)
            print(f"\nin force now; the old constants are in {kept}")
            if proposal.asked:
                calibrate_ask.errors_now(board, list(proposal.asked), options.seconds)
        else:
            say("not written: nothing was changed")


def _named(board: Board) -> dict[str, Any]:
    """The constants in force with the board's name and id, as of a board of 0.3.0 too."""
    return {"board": board.name} | board.in_force | {"id": board.id}


def _beside(kept: Path, what: str) -> Path:
    """The file of what stands behind the new constants, beside the old ones."""
    return kept.with_name(f"{kept.stem}-{what}.json")


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
        _check_identity(options, options.restore, constants.get("id"), board)
        # All that such a file stands for: what it leaves out is the board file's.
        return Proposal(from_dict(constants, board.layout).to_dict())
    if options.cycles:
        return _by_cycles(board, options, kept)
    if options.points is not None:
        return _by_file(board, options)
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
    kept_points = _beside(kept, "points")
    _check_free(kept_points)
    asked = calibrate_ask.gather(board, options.seconds, options.uncertainty, kept_points)
    return _solved(board, asked, asked=tuple(asked))


def _by_file(board: Board, options: argparse.Namespace) -> Proposal:
    """From the constants that the points were read with, whatever is in force by now: the same
    points give the same constants, however often."""
    found = read_points(options.points)
    if found.layout.name != board.name:
        raise InputError(
            f"{options.points}: board is {found.layout.name!r}, the one there is {board.name!r}"
        )
    _check_identity(options, options.points, found.board_id, board)
    if found.constants is None:
        raise InputError(
            f"{options.points}: does not say which constants the board was read with: give it "
            '"constants", what it answered to `calibration` then; {} are the board file\'s'
        )
    now = board.in_force
    solution = solve(found.constants, board.layout, found.points, now=now)
    constants = merged(now, found.constants, solution, board.layout)
    notes = list(found.notes)
    read_with = from_dict(found.constants, board.layout).to_dict()
    if any(read_with.get(key) != now.get(key) for key in solution.uncertainty):
        notes.append("read with other constants than are in force by now, and solved from those")
    if found.constants.get("adc") != now.get("adc"):
        notes.append("warning: the adc in force is not that of these readings: read anew with it")
    return _proposal(constants, solution, notes)


def _solved(board: Board, points: list[Point], asked: tuple[Point, ...] = ()) -> Proposal:
    solution = solve(board.in_force, board.layout, points)
    return _proposal(solution.constants, solution, (), asked)


def _proposal(
    constants: dict[str, Any],
    solution: Solution,
    notes: Sequence[str],
    asked: tuple[Point, ...] = (),
) -> Proposal:
    shown = [calibration_changes.errors(solution.residuals)]
    if notes := [*notes, *solution.said]:
        shown.append("\n".join(notes))
    return Proposal(constants, solution.uncertainty, tuple(shown), asked)


def _by_cycles(board: Board, options: argparse.Namespace, kept: Path) -> Proposal:
    element = int(options.element)
    by_hand = None
    if options.watch:
        count = calibrate_cycles.watched(board, options.cycles, element)
    else:
        by_hand = KeptCount(element, options.cycles, options.reference_wh.wh)
        by_hand.check_new(board, {_FOLDER, kept.parent})
        _check_free(_beside(kept, "count"))
        count = calibrate_cycles.counted(board, options.cycles, options.reference_wh, element)
    constants, uncertainty = calibrate_cycles.correct(board, count, element, options.uncertainty)
    return Proposal(constants, uncertainty, (count.told(element),), count=by_hand)


def _check_identity(options: argparse.Namespace, path: str, found: Any, board: Board) -> None:
    if identity.differ(found, board.id):
        if not options.another_board:
            raise InputError(identity.refusal(path, found, board.id, "the one there"))
        say(f"{path}: of another board, with the id {found}: calibrate this one anew")


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the board cannot be reached, is sealed or does not take them, 2 what
    is given cannot be used, or nothing that a calibration should mend, 130 Ctrl-C."""
    options = arguments(argv)
    calibrate(options)
    return 0
