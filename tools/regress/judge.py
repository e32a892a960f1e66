"""What is wrong with what a replay came to: against float64, the board itself, and other engines.

Flow: row -> JUDGE -> its verdict, with a line for each thing that is wrong.
"""

from collections.abc import Mapping
from typing import Any

from tools.common import boards
from tools.regress.row import Row

# Percent of the energy that flowed by which a register may be off the float64 reference, where
# nothing else is asked for.  A real converter's gains are off, and nobody has calibrated it: 2.3 %
# at the worst of what golden files are kept of.
LIMITS = {"ideal": 0.1, "real": 3.0}
# Half of the last digit that a golden file keeps.
_ROUNDING_WH = 0.0005
# A load this much above the one at which the meter starts is counted for certain.
_STARTS_FOR_CERTAIN = 1.5


def off_reference(report: Mapping[str, Any], percent: float) -> list[str]:
    """The energies that are not those of the float64 reference, a line each.

    `percent` of the energy that flowed either way is allowed, and half a mWh for the rounding; for
    an element whose load is too little to be counted, all of it.
    """
    reference = report["reference"]
    if reference is None:
        return []
    starting_w = _STARTS_FOR_CERTAIN * boards.load(report["board"]).starting_mw / 1e3
    named = [("total", report, reference, 0.0)]
    uncounted_wh = 0.0
    for k, (e, truth) in enumerate(zip(report["elements"], reference["elements"])):
        flowed = truth["delivered_wh"] + truth["received_wh"]
        # Part of the time, or all of it.
        extra = flowed if flowed * 3600 < starting_w * report["seconds"] else 0.0
        uncounted_wh += extra
        named.append((f"element {k + 1}", e, truth, extra))
    found = []
    for name, e, truth, extra in named:
        flowed = truth["delivered_wh"] + truth["received_wh"]
        allowed = percent / 100 * flowed + _ROUNDING_WH + (uncounted_wh if e is report else extra)
        for way in ("delivered_wh", "received_wh"):
            off = float(e[way]) - truth[way]
            if abs(off) > allowed:
                found.append(
                    f"{name}: {way.removesuffix('_wh')} {float(e[way]):.6f} Wh, {truth[way]:.6f} "
                    f"by float64: off by {abs(off):.6f}, allowed are {allowed:.6f}"
                )
    return found


class Engines:
    """What the engines have come to, of which each must have come to the same."""

    def __init__(self) -> None:
        self._first: dict[tuple[Any, ...], tuple[str, str]] = {}

    def differs(self, row: Row) -> list[str]:
        """A line where another engine has come to something else."""
        # The emulated board has been metering before the recording begins, and goes on behind it:
        # what it is held against are the golden file and the reference.
        if not row["digest"] or row["engine"] == "rp2040":
            return []
        way = (row["recording"], row["board"], row["adc"], row["seed"])
        engine, digest = self._first.setdefault(way, (row["engine"], row["digest"]))
        if digest == row["digest"]:
            return []
        return [f"not to the last bit what engine {engine} came to"]


def judged(row: Row, limit: float | None, golden: list[str], engines: Engines) -> Row:
    """The row with its verdict.

    limit   percent; None: LIMITS
    golden  what its golden file has against it
    """
    if row["report"] is None:
        return row
    percent = limit if limit is not None else LIMITS[row["adc"] or "ideal"]
    off = off_reference(row["report"], percent)
    captured = row["report"]["captured"]
    if captured and not captured["identical"]:
        golden = [
            f"the board itself came to {captured['delivered_wh']} Wh delivered and "
            f"{captured['received_wh']} received, the replay to other bits",
            *golden,
        ]
    golden = [*golden, *engines.differs(row)]
    verdict = "limit" if off else "golden" if golden else "passed"
    return {**row, "verdict": verdict, "why": [*off, *golden]}
