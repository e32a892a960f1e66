"""A device as the page shows it now: its state, with what only people look at.

Flow: snapshot -> NOW (states.py, the monitor's phasors) -> web.py.
"""

from datetime import UTC, datetime
from typing import Any

from tools.monitor.phasors import arrows, captions
from tools.monitor.view import CHECKS
from tools.serve.snapshot import Snapshot
from tools.serve.states import state


def now(snapshot: Snapshot) -> dict[str, Any]:
    """device  key, name, board, version, unit
    is_live   whether it still reports
    why       why not, and what would help
    state     as states.py has it
    phasors   name, degrees counterclockwise from V1, length in radii of the circle
    angles    in words
    demand    watts, least, most, peak: W, or null before there has been an interval
    faults    those that have happened, with how often
    active    those there are now
    checks    of each element, what the doctor wants looked at
    demo      seconds that the board's own lamps still show a demonstration; 0 without
    """
    report, device = snapshot.report, snapshot.device
    return {
        "device": {
            "key": device.key,
            "name": device.name,
            "board": device.board,
            "version": device.version,
            "unit": device.unit,
        },
        "is_live": snapshot.is_live,
        "why": "" if snapshot.is_live else snapshot.standing.why,
        "state": state(snapshot),
        "phasors": [[of.name, round(of.degrees, 1), round(of.length, 3)] for of in arrows(report)],
        "angles": captions(report),
        "demand": dict(report.demand),
        "faults": dict(report.counts),
        "active": list(report.active),
        "checks": [[CHECKS[k] for k in of.checks if k in CHECKS] for of in report.elements],
        "demo": report.demo.left_s if report.demo else 0,
    }


def age_s(snapshot: Snapshot) -> float:
    """How old its report is; of a clock that has been set back, 0."""
    return max(0.0, round((datetime.now(UTC) - snapshot.at).total_seconds(), 1))
