"""Calibration by questions: what to do in short steps, and what the reference reads.

Flow: person at the keyboard, the board's readings -> QUESTIONS -> points -> calibrate.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tools.calibrate import text as calibrate_text
from tools.calibrate.board import Board, Reading
from tools.calibrate.points import Reference, keep_points, make_point, parse_number
from tools.common.command import say
from tools.common.errors import InputEnds, InputError
from tools.solve.checks import LEAST_PF, MOST_PHASE_PF
from tools.solve.fit import Point

T = TypeVar("T")

SAFETY = f"""\
MAINS VOLTAGE KILLS. Only a qualified person switches loads and connects the reference. The meter's
own wiring stays untouched: no CT is opened or moved, no terminal loosened. Stop here if anything
is open that should be closed. A board on a PC's USB has the PC's earth: use a USB isolator
whenever the front end is at mains.

A heater on each element gives the gains, a load of power factor {LEAST_PF:g} to {MOST_PHASE_PF:g}
(a motor, a choke) the phase."""
_ELEMENTS = {"1": (1,), "2": (2,), "both": (1, 2), "b": (1, 2), "": ()}
_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


def ask(board: Board, question: str, parse: Callable[[str], T]) -> T:
    """The answer to a question; `parse` raises ValueError, with what would be right, for one that
    is none, and it is asked again. Raises InputEnds at the end of the input."""
    sys.stdout.flush()
    while True:
        print(f"{question} ", end="", file=sys.stderr, flush=True)
        with board.idle():
            try:
                text = sys.stdin.readline()
            except UnicodeDecodeError:
                text = ""
            if not (text and sys.stdin.isatty()):
                say("")  # nobody has typed the end of this line
        if not text:
            raise InputEnds(
                f"the input ends at {question!r}: nothing was written to the board; at a terminal "
                "this tool asks, without one it takes options (--help)"
            )
        try:
            return parse(text.strip())
        except ValueError as problem:
            say(f"  {problem}")


def confirm(board: Board, question: str) -> bool:
    """Yes or no."""
    return ask(board, f"{question} [y/N]", lambda text: _choice(text.lower(), _ANSWERS))


def _choice(text: str, choices: dict[str, T]) -> T:
    if text not in choices:
        known = ", ".join(key if key else "Enter" for key in choices)
        raise ValueError(f"{text!r}: expected one of {known}")
    return choices[text]


def gather(board: Board, seconds: int, percent: float, kept: Path) -> list[Point]:
    """Loads, as many as there are wanted, one or more.

    seconds  that the board is read for at each; percent: uncertainty of the reference
    kept     points file that has them after each load

    Raises InputError when there are none, or at the end of the input.
    """
    say(SAFETY)
    points: list[Point] = []
    number = 0
    while True:
        say("")
        question = f"Load {number + 1}: which element carries it: 1, 2 or both (Enter: no more)?"
        elements = ask(board, question, lambda text: _choice(text.lower(), _ELEMENTS))
        if not elements:
            break
        found = _load(board, elements, seconds, percent, number + 1)
        if not found:
            continue
        number += 1
        points += found
        keep_points(kept, board, points)
        if number == 1:
            say(f"what is read is kept in {kept}, to go on from by --points")
    if not points:
        raise InputError("no load was read: nothing to calibrate by; nothing was changed")
    return points


def _load(
    board: Board, elements: tuple[int, ...], seconds: int, percent: float, number: int
) -> list[Point]:
    """A load's points, one an element; none when one of them cannot be used, which is told."""
    say("Switch the load on and wait until it is steady. The board is read when you press Enter:")
    ask(board, f"read the reference during the {seconds} s after that. Ready?", lambda text: text)
    reading = read(board, seconds, elements)
    say(calibrate_text.readings(reading))
    points = []
    for element in elements:
        reference = _reference(board, element)
        try:
            points.append(make_point(board, reading, reference, percent, number))
        except InputError as problem:
            say(f"not taken: {problem}")
            return []
    for point in points:
        say(calibrate_text.errors_now(point.name, point.board, point.reference))
    return points


def read(board: Board, seconds: int, elements: tuple[int, ...]) -> Reading:
    """What the board reads from now on, after a load has been switched; warns where it varies."""
    say(f"reading for {seconds} s")
    board.settle()
    reading = board.read(seconds)
    warn(reading, elements)
    return reading


def warn(reading: Reading, elements: tuple[int, ...]) -> None:
    """Tells where the readings varied."""
    for element in elements:
        if found := reading.unsteady(element):
            say(f"warning: element {element} was not steady: {found} while it was read")


def _reference(board: Board, element: int) -> Reference:
    volts, amps, watts = (
        ask(
            board,
            f"element {element}, {what} by the reference:",
            lambda text: parse_number(text, above=0),
        )
        for what in ("volts", "amperes", "watts")
    )
    lags = None
    if watts <= MOST_PHASE_PF * volts * amps:
        question = f"element {element}, var by the reference, negative leading (Enter: unknown):"
        var = ask(board, question, lambda text: parse_number(text) if text else 0.0)
        lags = var > 0 if var else None
    return Reference(element, volts, amps, watts, lags)


def errors_now(board: Board, points: list[Point], seconds: int) -> None:
    """Tells what error is left at the last load, where it is still on; at the end of the input it
    is not: the constants are on the board by now."""
    last = points[-1].name.partition(",")[0]
    say("")
    try:
        question = f"Is {last} still on, with the reference as it was? Show its errors?"
        if not confirm(board, question):
            return
    except InputEnds:
        return
    elements = [point for point in points if point.name.startswith(f"{last},")]
    reading = read(board, seconds, tuple(point.element for point in elements))
    for point in elements:
        rows = reading.of(point.element)
        print(calibrate_text.errors_now(f"element {point.element}", rows, point.reference))
