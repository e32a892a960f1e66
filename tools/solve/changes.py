"""What a calibration changes, shown to people: constants old and new, errors before and after.

Flow: solver's solution -> CHANGES -> solve, calibrate.
"""

from collections.abc import Sequence
from typing import Any

from threewire.metering.calibration import from_dict
from threewire.metering.layout import Layout
from tools.solve.solver import QUANTITIES, Residual


def changes(
    old: dict[str, Any], new: dict[str, Any], uncertainty: dict[str, Any], layout: Layout
) -> str:
    """The constants that differ or have an uncertainty, old and new, a line each."""
    before, after = from_dict(old, layout), from_dict(new, layout)
    lines = [f"{'':24}{'in force':>14}{'new':>14}{'change':>14}{'uncertainty':>14}"]

    def row(name: str, was: Any, now: Any, change: str, u: str) -> None:
        if u or was != now:
            lines.append(f"{name:24}{was:>14}{now:>14}{change:>14}{u:>14}")

    for k in (0, 1):
        for key, was, now in (
            (f"v{k + 1}_nv", before.v_nv[k], after.v_nv[k]),
            (f"i{k + 1}_na", before.i_na[k], after.i_na[k]),
        ):
            u = f"{100 * uncertainty[key] / abs(now):.3f} %" if key in uncertainty else ""
            row(key, was, now, f"{100 * (now / was - 1):+.3f} %", u)
        if rows := after.phase_by_ma[k]:
            key = f"phase{k + 1}_by_ma"
            for (ma, ns), u_ns in zip(rows, uncertainty.get(key, [None] * len(rows))):
                was = before.phase_at(k, 1000 * ma)
                row(f"{key}, {ma / 1000:g} A", was, ns, _us(ns - was, "+"), _us(u_ns))
        else:
            key, now = f"phase{k + 1}_ns", after.phase_ns[k]
            if before.phase_by_ma[k]:
                row(key, "a table", now, "", _us(uncertainty.get(key)))
            else:
                was = before.phase_ns[k]
                row(key, was, now, _us(now - was, "+"), _us(uncertainty.get(key)))
    # Which of them there are both have or none.
    was, now = before.reference or ("none",) * 2, after.reference or ("none",) * 2
    for key, old_value, new_value in zip(("reference_ppb_per_k", "calibrated_code_q4"), was, now):
        row(key, old_value, new_value, "", "")
    if before.adc != after.adc:
        now = "none" if not after.adc else "another" if before.adc else "a table"
        row("adc", "a table" if before.adc else "none", now, "", "")
    return "\n".join(lines)


def _us(ns: float | None, sign: str = "") -> str:
    return "" if ns is None else f"{ns / 1000:{sign}.1f} us"


def errors(residuals: Sequence[Residual]) -> str:
    """The board's errors at each load: with the constants in force and with the new ones."""
    lines = ["errors of the board in percent, with the constants in force -> with the new ones"]
    lines.append(f"{'':24}{'A':>8}{'PF':>7}" + "".join(f"{q:>20}" for q in QUANTITIES))
    for left in residuals:
        name = left.point.name.rpartition(": ")[2]
        found = "".join(f"{f'{b:+.3f} -> {a:+.3f}':>20}" for b, a in zip(left.before, left.after))
        amps = left.point.reference[1]
        lines.append(f"{name:24}{amps:>8.3f}{left.point.power_factor:>7.3f}{found}")
    return "\n".join(lines)
