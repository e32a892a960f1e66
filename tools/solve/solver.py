"""New constants for a board from its readings beside those of a reference instrument.

Flow: points_file's points -> SOLVER (by fit) -> constants, their uncertainties, what errors remain
-> solve, calibrate.  What no calibration should mend is refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from threewire.metering.calibration import MAX_PHASE_NS, Calibration, CalibrationError, from_dict
from threewire.metering.layout import Layout
from tools.common.errors import InputError, Unsettled
from tools.solve.checks import MOST_PHASE_PF, UNITY_PF, check_points
from tools.solve.fit import Fit, Floats, Observed, Point

# By how much a split-core CT leads at its middle currents, and the standard uncertainty of that:
# an assumption for where nothing was measured (makes differ from 0.3 to 3 degrees).
NOMINAL_LEAD_DEG, NOMINAL_LEAD_U_DEG = 1.5, 0.7
# Refused: what does not go together by these fractions and by 3 standard uncertainties.
_GAINS_APART = 0.01
_WATTS_APART = 0.02
_WATTS_LEFT = 0.01
# Said: what is off by so many standard uncertainties.  A misfit that chance makes less than once
# in a thousand times makes the constants less sure, too.
_SIGMAS_SAID = 4.0
_CHANCE = 1e-3
# Phase points within this ratio of currents make one row of a table; calibration has 8 at most.
_SAME_CURRENT = 1.1
_MOST_ROWS = 8
QUANTITIES = ("volts", "amps", "watts")
# Of a constant to an integer.
_ROUNDING = 1 / math.sqrt(12)


@dataclass(frozen=True)
class Residual:
    """Errors of the board's V, A, W at a point in percent: with the constants in force by now,
    which are mostly those that it read with, and with new ones."""

    point: Point
    before: Floats
    after: Floats

    @property
    def worse(self) -> list[int]:
        """Which of the three get worse, and so bad that it is not the reference's uncertainty."""
        before, after = np.abs(self.before), np.abs(self.after)
        return np.flatnonzero((after > before) & (after > np.array(self.point.percent))).tolist()


@dataclass(frozen=True)
class Solution:
    """constants: for calibration.from_dict, those in force with the new ones in their places.
    uncertainty: standard uncertainty by new constant, in its unit; a list of them for a table.
    notes: what was assumed or decided, for people; warnings: what does not go together.
    """

    constants: dict[str, Any]
    uncertainty: dict[str, Any]
    residuals: list[Residual]
    notes: list[str]
    warnings: list[str]

    @property
    def said(self) -> list[str]:
        """Notes and warnings as lines for people."""
        worse = [
            f"{left.point.name}: its {QUANTITIES[q]} get worse by these constants, from "
            f"{left.before[q]:+.3f} to {left.after[q]:+.3f} %"
            for left in self.residuals
            for q in left.worse
        ]
        return [*self.notes, *(f"warning: {text}" for text in [*self.warnings, *worse])]


def solve(
    constants: dict[str, Any],
    layout: Layout,
    points: Sequence[Point],
    lead_deg: float | None = None,
    lead_u_deg: float = NOMINAL_LEAD_U_DEG,
    now: dict[str, Any] | None = None,
) -> Solution:
    """New constants for the elements that have points.

    constants  those in force while the board was read, as for calibration.from_dict
    now        those in force by now, which errors are shown with; None: the same
    lead_deg   how far the current of an element without a point of low power factor leads, known
               to lead_u_deg; None: its phase in force stays, NOMINAL_LEAD_DEG where that is 0

    Raises InputError, naming the point, for readings that no calibration should mend.
    """
    try:
        calibration = from_dict(constants, layout)
    except CalibrationError as problem:
        raise InputError(f"constants in force: {problem}") from None
    made, uncertainty, notes, warnings = dict(constants), {}, [], []
    own = [[point for point in points if point.element == k + 1] for k in (0, 1)]
    for k in (0, 1):
        if own[k]:
            check_points(own[k], calibration, layout)
            element = _Element(own[k], calibration, k)
            element.solve(lead_deg, lead_u_deg)
            for key in element.replaced:
                made.pop(key, None)
            made |= element.constants
            uncertainty |= element.uncertainty
            notes += element.notes
            warnings += element.warnings
    try:
        new = from_dict(made, layout)
        old = calibration if now is None else from_dict(now, layout)
    except CalibrationError as problem:
        raise InputError(f"these points give no usable constants: {problem}") from None
    residuals = [
        Residual(point, _errors(point, calibration, old), _errors(point, calibration, new))
        for point in own[0] + own[1]
    ]
    return Solution(made, uncertainty, residuals, notes, warnings)


def _errors(point: Point, read: Calibration, new: Calibration) -> Floats:
    """Percent of V, A, W at a point that was read with some constants, as they are with others."""
    k = point.element - 1
    volts, amps, watts, var = point.board.mean(axis=0).tolist()
    by_v, by_i = new.v_nv[k] / read.v_nv[k], new.i_na[k] / read.i_na[k]
    moved_ns = new.phase_at(k, round(1e6 * amps * by_i)) - read.phase_at(k, round(1e6 * amps))
    x = 2e-9 * math.pi * point.hertz * moved_ns
    turned = watts * math.cos(x) - var * math.sin(x)
    found = np.array([volts * by_v, amps * by_i, turned * by_v * by_i])
    return 100 * (found / np.array(point.reference) - 1)


# ---- an element's solution


class _Element:
    """Element k + 1. `solve` fills in `constants` (the new ones), `uncertainty`, `replaced` (keys
    that have to go), `notes` and `warnings`.
    """

    def __init__(self, points: list[Point], calibration: Calibration, k: int) -> None:
        self.points = points
        self.name = f"element {k + 1}"
        self.k = k
        self.calibration = calibration
        self.seen = Observed(points, calibration, k)
        self.pf = np.array([point.power_factor for point in points])
        self.single, self.table = f"phase{k + 1}_ns", f"phase{k + 1}_by_ma"
        self.constants: dict[str, Any] = {}
        self.uncertainty: dict[str, Any] = {}
        self.replaced: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.misfit = 1.0

    def solve(self, lead_deg: float | None, lead_u_deg: float) -> None:
        """Raises InputError where no constants suit all points."""
        self._check_gains()
        groups: list[list[int]] = []
        try:
            if (self.pf <= MOST_PHASE_PF).any():
                fit, groups = self._with_phase()
            else:
                fit = self._without_phase(lead_deg, lead_u_deg)
        except Unsettled:
            raise InputError(
                f"{self.points[0].name}: no constants bring {self.name} to the reference; see "
                "whether both were read at the same load"
            ) from None
        self._check_watts(fit)
        self._warn_of_misfits(fit)
        if not groups:
            self._warn_of_angles(fit)
        sizes = (self.calibration.v_nv[self.k], self.calibration.i_na[self.k])
        for q, key in enumerate((f"v{self.k + 1}_nv", f"i{self.k + 1}_na")):
            value = round(sizes[q] * math.exp(fit.params[q]))
            self.constants[key] = value
            self.uncertainty[key] = math.hypot(self.misfit * value * fit.u({q: 1.0}), _ROUNDING)
        phases_ns = [round(1000 * us) for us in fit.params[2:].tolist()]
        spread = [
            math.hypot(self.misfit * 1000 * fit.u({2 + n: 1.0}), _ROUNDING)
            for n in range(len(phases_ns))
        ]
        if len(groups) > 1:
            amps_ma = [round(1000 * self.seen.true[group, 1].mean()) for group in groups]
            self.constants[self.table] = [list(row) for row in zip(amps_ma, phases_ns)]
            self.uncertainty[self.table] = spread
            self.replaced.append(self.single)
            self.notes.append(f"{self.name}: its phase differs with the current: a table")
        elif groups:
            self.constants[self.single], self.uncertainty[self.single] = phases_ns[0], spread[0]
            self.replaced.append(self.table)

    def _check_gains(self) -> None:
        ratio = np.log(self.seen.true / self.seen.board[:, :3])
        u = self.seen.u
        for j, point in enumerate(self.points):
            for i, other in enumerate(self.points[:j]):
                for q, what in enumerate(QUANTITIES[:2]):
                    sigma = math.hypot(u[i, q], u[j, q])
                    apart = abs(ratio[i, q] - ratio[j, q])
                    is_implausible = apart > max(_GAINS_APART, 3 * sigma)
                    if not is_implausible and apart <= _SIGMAS_SAID * sigma:
                        continue
                    told = (
                        f"{point.name}: {what} by the reference are "
                        f"{math.exp(ratio[j, q]):.4f} times the board's, but "
                        f"{math.exp(ratio[i, q]):.4f} times at {other.name}: see which of the "
                        "readings is wrong"
                    )
                    if is_implausible:
                        raise InputError(told)
                    self.warnings.append(f"{told} ({apart / sigma:.1f} standard uncertainties)")

    def _warn_of_misfits(self, fit: Fit) -> None:
        for point, left, sigma in zip(self.points, fit.errors, fit.sigma):
            q = int(np.argmax(np.abs(left / sigma)))
            if abs(left[q]) > _SIGMAS_SAID * sigma[q]:
                self.warnings.append(
                    f"{point.name}: its {QUANTITIES[q]} are still "
                    f"{100 * math.expm1(-left[q]):+.2f} % off with the best constants, "
                    f"{abs(left[q]) / sigma[q]:.1f} times the standard uncertainty: its volts, "
                    "amps and watts, or the points, do not go together; see whether all were "
                    "read at the same load"
                )
        self.misfit = fit.misfit(_CHANCE)
        if self.misfit > 1:
            self.notes.append(
                f"{self.name}: uncertainties are {self.misfit:.1f} times what the readings' own "
                "would give, for they do not go together"
            )

    def _warn_of_angles(self, fit: Fit) -> None:
        """Where the phase was not measured: the board's var with it, against the reference's
        watts."""
        for point, pf, angle, sigma in zip(self.points, self.pf, fit.angle, fit.sigma):
            most = math.acos(max(-1.0, min(1.0, pf - _SIGMAS_SAID * math.sqrt((sigma**2).sum()))))
            if abs(angle) > most:
                self.warnings.append(
                    f"{point.name}: by the board's own var its current "
                    f"{'lags' if angle > 0 else 'leads'} by {abs(math.degrees(angle)):.1f} "
                    f"degrees with the phase of {self.name} as it is taken here, by the "
                    f"reference's watts by {math.degrees(most):.1f} at the very most: that phase "
                    "is wrong, measure it at a load of low power factor"
                )

    def _with_phase(self) -> tuple[Fit, list[list[int]]]:
        """The fit with a phase for each current that has points of low power factor, or one for
        all where they do not differ; and the points of each phase."""
        seen = self.seen
        # The phase by each point alone: good where the power factor is low.
        true = np.copysign(np.arccos(np.minimum(self.pf, 1)), seen.angle)
        alone_us = seen.in_force_us + (true - seen.angle) / seen.turn
        groups: list[list[int]] = []
        for j in np.argsort(seen.true[:, 1]).tolist():
            if self.pf[j] > MOST_PHASE_PF:
                continue
            if abs(alone_us[j]) > MAX_PHASE_NS / 1000:
                raise InputError(
                    f"{self.points[j].name}: the current would run {alone_us[j]:.0f} us ahead "
                    f"({math.degrees(alone_us[j] * seen.turn[j]):.1f} degrees), that of a front "
                    f"end by {MAX_PHASE_NS // 1000} us at most: see whether CT {self.k + 1} is on "
                    "the line of its voltage, and the reference on the same load"
                )
            if groups and seen.true[j, 1] <= _SAME_CURRENT * seen.true[groups[-1][0], 1]:
                groups[-1].append(j)
            else:
                groups.append([j])
        if len(groups) > _MOST_ROWS:
            raise InputError(
                f"{self.points[0].name}: {self.name} has loads of low power factor at "
                f"{len(groups)} currents; a table of phases has {_MOST_ROWS} at most, leave out "
                "some"
            )
        fit = self._fit(groups, alone_us)
        pairs = [(2 + i, 2 + j) for j in range(len(groups)) for i in range(j)]
        if not any(fit.differ(i, j) for i, j in pairs):
            groups = [[j for group in groups for j in group]]
            fit = self._fit(groups, alone_us)
        return fit, groups

    def _fit(self, groups: list[list[int]], alone_us: Floats) -> Fit:
        """A phase for each group of points, by rising current, in proportion between them."""
        amps = [self.seen.true[group, 1].mean() for group in groups]
        shares = [np.interp(self.seen.true[:, 1], amps, row) for row in np.eye(len(groups))]
        start_us = [float(alone_us[group].mean()) for group in groups]
        return Fit(self.seen, np.array(shares).T, start_us, np.zeros(len(self.points)), 0.0)

    def _without_phase(self, lead_deg: float | None, lead_u_deg: float) -> Fit:
        """The fit of the gains with a phase that is given, assumed, or the one in force."""
        hertz = float(self.seen.turn.mean()) / (2e-6 * math.pi)
        u_us = 1e6 * lead_u_deg / 360 / hertz
        none = np.zeros((len(self.points), 0))
        in_force = self.calibration.phase_ns[self.k] or self.calibration.phase_by_ma[self.k]
        if lead_deg is None and in_force:
            self.notes.append(
                f"{self.name}: no load of low power factor; its phase stays as it was in force"
            )
            return Fit(self.seen, none, [], self.seen.in_force_us, u_us)
        how = "given" if lead_deg is not None else "assumed"
        lead_deg = NOMINAL_LEAD_DEG if lead_deg is None else lead_deg
        phase_us = 1e6 * lead_deg / 360 / hertz
        if abs(phase_us) > MAX_PHASE_NS / 1000:
            raise InputError(
                f"a CT lead of {lead_deg:g} degrees is {phase_us:.0f} us at {hertz:g} Hz; "
                f"{MAX_PHASE_NS // 1000} us at most are possible"
            )
        self.notes.append(
            f"{self.name}: no load of low power factor; its CT is {how} to lead by {lead_deg:g} "
            f"+- {lead_u_deg:g} degrees"
        )
        self.constants[self.single] = round(1000 * phase_us)
        self.uncertainty[self.single] = math.hypot(1000 * u_us, _ROUNDING)
        self.replaced.append(self.table)
        return Fit(self.seen, none, [], np.full(len(self.points), phase_us), u_us)

    def _check_watts(self, fit: Fit) -> None:
        for point, pf, left, sigma in zip(self.points, self.pf, fit.errors, fit.sigma):
            limit = 3 * math.sqrt((sigma**2).sum())
            apart = left[2] - left[0] - left[1]
            if pf >= UNITY_PF and abs(apart) > max(_WATTS_APART, limit):
                raise InputError(
                    f"{point.name}: the board's watts ask for "
                    f"{100 * math.expm1(apart):+.1f} % beside its volts and amps, at unity power "
                    "factor: see which reading is wrong, and whether the CT is on the line of its "
                    "voltage"
                )
            if abs(left[2]) > max(_WATTS_LEFT, limit):
                raise InputError(
                    f"{point.name}: its watts would be {100 * math.expm1(-left[2]):+.1f} % off "
                    "with the best constants: it contradicts the other points"
                )
