"""A line of telemetry, checked: what the monitor shows, keeps and draws.

Flow: link -> REPORT -> view, CSV file, plot.  A line that a bad cable has damaged, or
that another program wrote, must not get further than here.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threewire.operation.report import DEMAND, ENERGIES, ESTIMATED, LEDS, POWERS, VARH

_WH = re.compile(r"\d{1,20}\.\d{1,12}")
# No sentence of the firmware's is as long.
_LONGEST_TEXT = 500
_NO_COUNTS = ("lost_frames", *ESTIMATED, "active")


@dataclass(frozen=True)
class Total:
    """Both elements together.

    watts, var, va, power_factor  as telemetry has them: power factor negative where the current
                                  leads
    delivered_wh, received_wh     decimal strings, as the board wrote them
    varh                          of quadrants I to IV, the same
    """

    watts: float
    var: float
    va: float
    power_factor: float
    delivered_wh: str
    received_wh: str
    varh: tuple[str, str, str, str]


@dataclass(frozen=True)
class Element(Total):
    """One of them; verdict, checks and text are the installation doctor's."""

    volts: float
    amps: float
    reversed: bool
    verdict: str
    checks: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Report:
    """What a board says once a second.

    t         seconds metered since the board's start
    leds      kwh, ten, reverse -> lit
    demand    watts, least, most, peak -> watts; None before there has been an interval
    service   "split phase", "208Y/120" or "unknown"
    counts    fault -> how often, those that have happened
    active    faults there are now
    """

    t: float
    total: Total
    elements: tuple[Element, Element]
    hertz: float
    leds: Mapping[str, bool]
    demand: Mapping[str, float | None]
    service: str
    lost_frames: int
    estimated_delivered_wh: str
    estimated_received_wh: str
    counts: Mapping[str, int]
    active: tuple[str, ...]


def from_line(line: Mapping[str, Any]) -> Report:
    """The report of a line's JSON object. Raises ValueError when it is none, or not whole."""
    try:
        return _report(line)
    except (KeyError, TypeError, IndexError, AttributeError) as problem:
        raise ValueError(f"no line of telemetry: {problem!r}") from None


def _report(line: Mapping[str, Any]) -> Report:
    one, two = line["elements"]
    first, second = line["doctor"]["elements"]
    faults = line["faults"]
    return Report(
        t=_number(line["t"]),
        total=Total(**_powers(line)),
        elements=(_element(one, first), _element(two, second)),
        hertz=_number(line["hertz"]),
        leds={name: _truth(line["leds"][name]) for name in LEDS},
        demand={
            name: None if line["demand"][name] is None else _number(line["demand"][name])
            for name in DEMAND
        },
        service=_text(line["doctor"]["service"]),
        lost_frames=_count(faults["lost_frames"]),
        **{name: _wh(faults[name]) for name in ESTIMATED},
        counts={
            _text(name): _count(value) for name, value in faults.items() if name not in _NO_COUNTS
        },
        active=tuple(_text(name) for name in _list(faults.get("active", []))),
    )


def _element(element: Mapping[str, Any], finding: Mapping[str, Any]) -> Element:
    return Element(
        **_powers(element),
        volts=_number(element["volts"]),
        amps=_number(element["amps"]),
        reversed=_truth(element["reversed"]),
        verdict=_text(finding["verdict"]),
        checks=tuple(_count(check) for check in _list(finding["checks"])),
        text=_text(finding["text"]),
    )


def _powers(of: Mapping[str, Any]) -> dict[str, Any]:
    first, second, third, fourth = (_wh(text) for text in _list(of[VARH]))
    return {
        **{name: _number(of[name]) for name in POWERS},
        **{name: _wh(of[name]) for name in ENERGIES},
        VARH: (first, second, third, fourth),
    }


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    # Python's JSON knows NaN, and Infinity, and integers without end.
    if not math.isfinite(value) or abs(value) > 1e15:
        raise ValueError(f"{value!r} is no reading")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(value)
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _wh(value: Any) -> str:
    if not _WH.fullmatch(value):
        raise ValueError(f"{value!r} is no energy")
    return value


def _text(value: Any) -> str:
    # What is not printable could move a terminal's cursor.
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise TypeError(value)
    return value
