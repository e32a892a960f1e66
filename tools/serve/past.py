"""The past as the page and a spreadsheet are told it.

Flow: history -> PAST -> web.py.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tools.serve.energies import kwh
from tools.serve.history import Energy
from tools.serve.intervals import LEAST, MOST, REGISTERS, SUMS, Interval

# Intervals of the page's plots: fine enough for a screen.
_MOST_POINTS = 300
_STEPS_S = (60, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_POWERS = ("watts", "watts_1", "watts_2")
_RMS = ("volts_1", "volts_2", "amps_1", "amps_2")
HEAD = (
    "time",
    "seconds",
    "reports",
    *(f"{name}{end}" for name in _POWERS for end in ("", "_least", "_most")),
    *_RMS,
    *REGISTERS,
    "reverse_s",
    "faults",
)


def step_s(hours: int) -> int:
    """How long the intervals of a plot of so many hours are."""
    return next(of for of in _STEPS_S if hours * 3600 / of <= _MOST_POINTS or of == _STEPS_S[-1])


def points(found: Sequence[Interval]) -> list[list[float]]:
    """Start in seconds since 1970, then mean, least and most watts of the total and of both
    elements."""
    return [
        [
            of.start,
            *(
                value
                for k, name in enumerate(_POWERS)
                for value in (round(of.mean(name), 1), of.least[k] / 1000, of.most[k] / 1000)
            ),
        ]
        for of in found
    ]


def energy(of: Energy | None, day: date) -> dict[str, Any]:
    """A day's, in kWh as exact decimal texts; without them where there is no reading of it."""
    if of is None:
        return {"day": day.isoformat(), "is_whole": False}
    wh = of.wh
    return {
        "day": day.isoformat(),
        "is_whole": of.is_whole,
        "from": _time(of.from_s),
        "to": _time(of.to_s),
        "delivered_kwh": kwh(wh["delivered_wh"]),
        "received_kwh": kwh(wh["received_wh"]),
        "elements": [
            {
                "delivered_kwh": kwh(wh[f"delivered_{k}_wh"]),
                "received_kwh": kwh(wh[f"received_{k}_wh"]),
            }
            for k in (1, 2)
        ],
    }


def rows(found: Sequence[Interval]) -> str:
    """Lines of CSV, as HEAD names their fields: means to a thousandth, energies to the last
    digit."""
    return "".join(map(_row, found))


def _row(of: Interval) -> str:
    sums: dict[str, int] = dict(zip(SUMS, of.sums))
    least: dict[str, int] = dict(zip(LEAST, of.least))
    most: dict[str, int] = dict(zip(MOST, of.most))
    fields = [_time(of.start), str(of.seconds), str(sums["reports"])]
    for name in _POWERS:
        fields += [
            _mean(sums[f"{name}_sum"], sums["reports"]),
            _thousandths(least[f"{name}_least"]),
            _thousandths(most[f"{name}_most"]),
        ]
    fields += [_mean(sums[f"{name}_sum"], sums["reports"]) for name in _RMS]
    fields += [*of.registers, str(sums["reverse_s"]), str(sums["faults"])]
    return ",".join(fields) + "\r\n"


def _mean(total: int, count: int) -> str:
    return f"{(Decimal(total) / count).scaleb(-3):.3f}"


def _thousandths(value: int) -> str:
    return f"{Decimal(value).scaleb(-3):.3f}"


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
