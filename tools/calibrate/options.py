"""The options of a calibration, and which of them go together.

Flow: command line -> OPTIONS -> calibrate.
"""

import argparse

from tools.cable import port as board_port
from tools.calibrate import cycles as calibrate_cycles
from tools.calibrate.points import parse_number, parse_point
from tools.common import command, identity
from tools.common.errors import InputError
from tools.common.options import Parser
from tools.solve.points_file import DEFAULT_PERCENT

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


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(
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
    how.add_argument("--points", metavar="FILE", help="points file, as kept before")
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
        help=f"to read the board for at a load (default {_SECONDS})",
    )
    parser.add_argument(
        "--uncertainty",
        metavar="PERCENT",
        help="of the reference's readings, one standard uncertainty "
        f"(default {DEFAULT_PERCENT:g}; a points file has its own)",
    )
    parser.add_argument(
        "--keep", metavar="FILE", help="for the old constants (default in build/calibration)"
    )
    identity.add_option(parser)
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--dry-run", action="store_true", help="stop before writing")
    return parser.parse_args(argv)


def check(options: argparse.Namespace) -> None:
    """InputError for options that do not go together, before the board is looked for; numbers
    take the place of their texts."""
    by_cycles = options.cycles is not None
    if by_cycles != bool(options.reference_wh is not None or options.watch):
        raise InputError("--cycles goes with --reference-wh or with --watch; see --help")
    if options.watch and options.reference_wh is not None:
        raise InputError("--watch asks for the reference's Wh: leave out --reference-wh")
    if by_cycles != (options.element is not None):
        raise InputError("--cycles and --element go together, and with nothing else; see --help")
    _check_used(options)
    options.cycles = _whole("--cycles", options.cycles, 1, _MOST_CYCLES) if by_cycles else None
    options.seconds = _whole("--seconds", options.seconds or str(_SECONDS), 1, _MOST_SECONDS)
    try:
        option = "--uncertainty"
        options.uncertainty = parse_number(options.uncertainty or str(DEFAULT_PERCENT), above=0)
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


def _check_used(options: argparse.Namespace) -> None:
    """InputError for an option that would change nothing."""
    for how, unused in (
        ("restore", ("seconds", "uncertainty")),
        ("points", ("seconds", "uncertainty")),
        ("cycles", ("seconds",)),
    ):
        for option in unused:
            if getattr(options, how) is not None and getattr(options, option) is not None:
                raise InputError(f"--{option} is of no use with --{how}: leave it out")
    if options.dry_run and options.yes:
        raise InputError("--dry-run stops before writing, --yes writes: leave one out")


def _whole(option: str, text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
        return int(text)
    raise InputError(f"{option} is {text!r}; expected a whole number from {least} to {most}")
