"""Makes calibration constants of readings of the board beside those of a reference instrument.

Flow: points file, constants in force -> SOLVE (with the solver) -> table, calibration file.
`python -m tools.solve --help` shows a points file.
"""

import argparse
import math
from pathlib import Path
from typing import Any

from threewire.metering.calibration import from_dict
from threewire.metering.layout import Layout
from tools.common import command, identity
from tools.common.constants import read_constants, write_constants
from tools.common.errors import InputError
from tools.common.options import Parser
from tools.solve.changes import changes, errors
from tools.solve.checks import LEAST_PF, MOST_PHASE_PF
from tools.solve.merge import merged
from tools.solve.points_file import DEFAULT_PERCENT, PointsFile, read_points
from tools.solve.solver import NOMINAL_LEAD_DEG, NOMINAL_LEAD_U_DEG, Solution, solve

_MOST_LEAD_U_DEG = 10


def as_text(solution: Solution, in_force: dict[str, Any], layout: Layout) -> str:
    """Constants old and new with standard uncertainties, errors before and after."""
    return "\n\n".join(
        (
            layout.name,
            changes(in_force, solution.constants, solution.uncertainty, layout),
            errors(solution.residuals),
        )
    )


_EPILOG = f"""\
A points file, with two loads on element 1: a heater, and a motor of power factor about 0.5:

  {{"board": "feather_rp2040", "hertz": 60, "uncertainty_percent": 0.1,
   "points": [
    {{"element": 1, "board": {{"volts": 118.9, "amps": 30.31, "watts": 3601.9, "var": -118.2}},
     "reference": {{"volts": 120.1, "amps": 30.02, "watts": 3605.3}}}},
    {{"element": 1, "lines": "motor.jsonl",
     "reference": {{"volts": 120.0, "amps": 29.9, "watts": 1790.0, "var": 3110.0}}}}]}}

constants of the file's own, beside its board: those that the board was read with (what it answers
         to `calibration`); id: which board it was. make calibrate keeps both
board    readings of the board, or a list of them, second by second
lines    or a file of the board's lines, or of what replay --json printed
var, power_factor of a reference: may be left out; of the first only the sign counts, positive
         where the current lags
uncertainty_percent (default {DEFAULT_PERCENT:g}): of the reference's readings, one standard
         uncertainty: a number, or an object of volts, amps and watts; a reference may have its own

Every load gives the gains, and one of power factor {LEAST_PF:g} to {MOST_PHASE_PF:g} the phase
as well; such loads at several currents give a table of phases by current where they differ. A
heater's watts prove the gains. What is a fault of the wiring is refused, not calibrated away.

examples:
  %(prog)s points.json
  %(prog)s points.json --calibration in_force.json --out calibration.json
"""


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog=command.name("solve"),
        description="Make calibration constants of the board's readings and a reference's.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("points", help="JSON file of points, see below")
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="constants in force while the board was read (default those in the points file, else "
        "the board file's)",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write the new constants there; what else it holds stays"
    )
    parser.add_argument(
        "--nominal-ct-lead",
        type=float,
        metavar="DEG",
        help="phase lead of a CT, for an element without a load of low power factor (default its "
        f"phase in force, else {NOMINAL_LEAD_DEG:g}, an assumption for split-core CTs)",
    )
    parser.add_argument(
        "--ct-lead-uncertainty",
        type=float,
        default=NOMINAL_LEAD_U_DEG,
        metavar="DEG",
        help="standard uncertainty of that lead (default %(default)g)",
    )
    identity.add_option(parser)
    return parser.parse_args(argv)


def _in_force(options: argparse.Namespace, found: PointsFile) -> dict[str, Any]:
    """The constants that the board was read with. Raises InputError where that is not sure."""
    path = options.points
    if options.calibration is None:
        return found.constants or {}
    stated = read_constants(options.calibration, found.layout)
    _check_identity(options, options.calibration, stated.get("id"), found.board_id)
    if found.constants is not None:
        if _of_metering(stated, found.layout) != _of_metering(found.constants, found.layout):
            raise InputError(
                f"{path}: read with other constants than those of {options.calibration}: leave "
                "out --calibration, the points file has its own"
            )
    elif options.out and Path(options.out).resolve() == Path(options.calibration).resolve():
        raise InputError(
            f"{options.out}: solved again, it would be corrected twice: name another file by "
            f'--out, or give {path} its "constants"'
        )
    return stated


def _of_metering(constants: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """All of them, without the board's identity, which metering does not ask."""
    return from_dict({k: v for k, v in constants.items() if k != "id"}, layout).to_dict()


def _check_identity(options: argparse.Namespace, path: str, found: Any, of_points: Any) -> None:
    if identity.differ(found, of_points) and not options.another_board:
        raise InputError(identity.refusal(path, found, of_points, f"that of {options.points}"))


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 the input is unusable, or nothing a calibration should mend."""
    options = _arguments(argv)
    lead_deg, lead_u_deg = options.nominal_ct_lead, options.ct_lead_uncertainty
    if lead_deg is not None and not math.isfinite(lead_deg):
        raise InputError(
            f"--nominal-ct-lead is {lead_deg:g}; it must be a finite number of degrees"
        )
    if not 0 <= lead_u_deg <= _MOST_LEAD_U_DEG:
        raise InputError(
            f"--ct-lead-uncertainty is {lead_u_deg:g}; it must be 0 to {_MOST_LEAD_U_DEG} degrees"
        )
    found = read_points(options.points)
    layout, notes = found.layout, found.notes
    in_force = _in_force(options, found)
    solution = solve(in_force, layout, found.points, lead_deg, lead_u_deg)
    notes += solution.said
    if options.out:
        out = Path(options.out)
        there = read_constants(out, layout) if out.exists() else {}
        board_id = in_force.get("id") if found.board_id is None else found.board_id
        _check_identity(options, options.out, there.get("id"), board_id)
        constants = merged(there, in_force, solution, layout)
        if board_id is not None:
            constants["id"] = board_id
        write_constants(out, constants)
        notes.append(f"written to {out}")
        if constants.get("adc") != in_force.get("adc"):
            notes.append(
                f"{out}: its adc was not in force for these readings: read and solve again with it"
            )
    print("\n".join([as_text(solution, in_force, layout), "", *notes]).rstrip())
    return 0
