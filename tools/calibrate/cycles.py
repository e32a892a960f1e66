"""The optical way: energy by the cycles of the 10 Wh LED, beside what a reference registered.

Flow: counted cycles, or the delivered register between two lines -> CYCLES -> the gain
of an element's current.
"""

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from threewire.metering.calibration import from_dict
from tools.cable.shapes import Element
from tools.calibrate.board import Board
from tools.calibrate.questions import SAFETY, ask
from tools.common.command import ring, say
from tools.common.errors import InputError, PortError
from tools.common.ranges import number_in
from tools.solve.checks import UNITY_PF, check_points
from tools.solve.fit import Point

WH_A_CYCLE = 10
# Beyond this a count is too short.
_MOST_COUNTING = 0.005
# The mains frequency where there is no voltage any more.
_SLOW_HZ = 50.0
# A person reads a display within so much of when he is told to.
_MOMENT_S = 0.5
_PROGRESS_S = 10


@dataclass(frozen=True)
class Energy:
    """Watt-hours with how far off they may be: half of the last digit that was written."""

    wh: float
    half_digit: float


def parse_wh(text: str) -> Energy:
    """Watt-hours as typed, 0 or more. Raises ValueError, with what would be right."""
    try:
        number_in(text)
        value = Decimal(text)
    except (ValueError, InvalidOperation):
        value = Decimal("nan")
    if not value.is_finite() or value < 0 or abs(value.adjusted()) > 12:
        raise ValueError(f"{text!r}: expected watt-hours, such as 100.25")
    exponent = int(value.as_tuple().exponent)
    return Energy(float(value), 0.5 * 10.0**exponent)


@dataclass(frozen=True)
class Count:
    """The same energy by the board and by the reference.

    counting  standard uncertainty of their ratio, by when they were read and to what digit
    """

    board_wh: float
    reference_wh: float
    counting: float

    def told(self, element: int) -> str:
        """In words, with how many cycles are needed where these are too few."""
        off = 100 * (self.board_wh / self.reference_wh - 1)
        text = (
            f"element {element}: {self.board_wh:.3f} Wh by the board, {self.reference_wh:g} Wh by "
            f"the reference: {off:+.3f} %, by its counting known to {100 * self.counting:.3f} %"
        )
        if self.counting > _MOST_COUNTING:
            needed = math.ceil(self.board_wh / WH_A_CYCLE * self.counting / _MOST_COUNTING)
            text += (
                f"\nwarning: more than {100 * _MOST_COUNTING:g} % is too much for a gain: count "
                f"{needed} cycles or more at this load"
            )
        return text


def counted(board: Board, cycles: int, reference: Energy, element: int) -> Count:
    """Of so many cycles that somebody has counted, edge to edge. Raises InputError where the
    board tells of another load than of this element alone."""
    if not reference.wh:
        raise InputError("the reference registered 0 Wh: count while the load is on")
    reading = board.read(1)
    watts, others = (reading.of(n)[0, 2] for n in (element, 3 - element))
    starting_w = board.layout.starting_mw / 1000
    if abs(others) >= starting_w:
        raise InputError(
            f"element {3 - element} carries {others:.0f} W: the LED counts both elements; switch "
            f"off what is on it and count again"
        )
    if watts <= -starting_w:
        raise InputError(_backwards(element, watts))
    if watts >= starting_w:
        say(f"taken to have been counted at the {watts:.0f} W that are on now")
        _check_unity(element, reading.of(element)[0])
    else:
        # 0.1 % of class amperes at the nominal voltage is the starting power.
        watts = 1000 * starting_w
        say(f"element {element} has no load now: taken to have been counted at {watts:.0f} W")
    seconds = 3600 * WH_A_CYCLE * cycles / watts
    # Each edge is late by anything from nothing to a mains cycle.
    edges = 1 / (reading.hertz or _SLOW_HZ) / math.sqrt(6) / seconds
    digit = reference.half_digit / math.sqrt(3) / reference.wh
    return Count(WH_A_CYCLE * cycles, reference.wh, math.hypot(edges, digit))


def watched(board: Board, cycles: int, element: int) -> Count:
    """Of an element's delivered register from one line to another, `cycles` later or little more,
    at which the reference is asked for."""
    say(SAFETY.partition("\n\n")[0])
    say("")
    ask(
        board,
        f"Have a steady load on element {element}, and the reference's Wh before you. Ready?",
        lambda text: text,
    )
    board.settle()
    start, start_s, found = _register(board, element)
    restarts = board.restarts
    watts = found.watts
    if watts <= -board.layout.starting_mw / 1000:
        raise InputError(_backwards(element, watts))
    if watts < board.layout.starting_mw / 1000:
        raise InputError(f"element {element} reads {watts:.3f} W: is its load on?")
    _check_unity(element, [found.volts, found.amps, found.watts])
    first = _reference(board, None)
    wanted = WH_A_CYCLE * cycles
    wh, end_s, told_s = Decimal(0), start_s, start_s
    check = board.deadline(3600 * wanted / watts, f"a count of {wanted} Wh at {watts:.0f} W")
    while wh < wanted:
        check()
        now, now_s, _ = _register(board, element)
        if board.restarts > restarts:
            raise PortError(f"{board.port}: the board has restarted meanwhile: begin again")
        wh, end_s = now - start, now_s
        if end_s - told_s >= _PROGRESS_S:
            told_s = end_s
            say(f"{wh:.2f} of {wanted} Wh")
    last = _reference(board, first)
    reference_wh = last.wh - first.wh
    moments = math.sqrt(2) * _MOMENT_S / math.sqrt(3) / (end_s - start_s)
    digits = math.hypot(first.half_digit, last.half_digit) / math.sqrt(3) / reference_wh
    return Count(float(wh), reference_wh, math.hypot(moments, digits))


def _register(board: Board, element: int) -> tuple[Decimal, float, Element]:
    """Delivered Wh of an element, the metered second of that, and all of the element's line."""
    report = board.line()
    found = report.elements[element - 1]
    return Decimal(found.delivered_wh), report.t, found


def _reference(board: Board, first: Energy | None) -> Energy:
    def parse(text: str) -> Energy:
        found = parse_wh(text)
        if first and found.wh <= first.wh:
            raise ValueError(f"{text!r}: expected more than at the start, {first.wh:g}")
        return found

    ring()
    say("NOW: read the reference's Wh.")
    return ask(board, "What did it show?", parse)


def _backwards(element: int, watts: float) -> str:
    return (
        f"element {element} reads {watts:.0f} W: its energy is received, which the LED does not "
        "count: a wiring fault (CT turned round), to be mended there"
    )


def _check_unity(element: int, reading: Any) -> None:
    volts, amps, watts = (float(value) for value in reading[:3])
    if watts < UNITY_PF * volts * amps:
        say(
            f"warning: element {element} has a power factor of {watts / (volts * amps):.2f}: an "
            "error of phase goes into the gain; a heater is right"
        )


def correct(
    board: Board, count: Count, element: int, percent: float
) -> tuple[dict[str, Any], dict[str, float]]:
    """The constants in force with another gain of the element's current, and its standard
    uncertainty with `percent` of the reference's. Raises InputError as the solver does."""
    calibration = from_dict(board.in_force, board.layout)
    ratio = count.reference_wh / count.board_wh
    # Of a load of an ampere, for the solver's rule of what a gain may be.
    volts = float(board.layout.nominal_volts)
    point = Point(
        name=f"element {element}",
        element=element,
        hertz=60.0,
        board=np.array([[volts, 1.0, volts, 0.0]]),
        reference=(volts, ratio, volts * ratio),
        percent=(percent, percent, percent),
    )
    check_points([point], calibration, board.layout)
    value = round(calibration.i_na[element - 1] * ratio)
    key = f"i{element}_na"
    relative = math.hypot(count.counting, percent / 100)
    return board.in_force | {key: value}, {key: abs(value) * relative}
