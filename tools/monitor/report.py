"""A line of telemetry as the monitor shows, keeps and draws it.

Flow: link -> REPORT -> view, CSV file, plot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from threewire.operation.report import DEMAND, ESTIMATED, LEDS
from tools.cable import shapes
from tools.cable.shapes import Demo, Effort, Telemetry


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
    effort    what the board's loop tells of itself; None where it does not
    demo      while one is on, whose the board's lamps are
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
    effort: Effort | None = None
    demo: Demo | None = None


def from_line(line: Telemetry) -> Report:
    """The report of a line of telemetry."""
    one, two = (_element(*pair) for pair in zip(line.elements, line.doctor.elements))
    known = line.known
    return Report(
        t=line.t,
        total=Total(**_fields(line, Total)),
        elements=(one, two),
        hertz=line.hertz,
        leds={name: getattr(line.leds, name) for name in LEDS},
        demand={name: getattr(line.demand, name) for name in DEMAND},
        service=line.doctor.service,
        lost_frames=known.lost_frames,
        **{name: getattr(known, name) for name in ESTIMATED},
        counts=line.counts,
        active=tuple(known.active),
        effort=line.effort,
        demo=line.demo,
    )


def _element(element: shapes.Element, finding: shapes.Finding) -> Element:
    return Element(
        **_fields(element, Total),
        volts=element.volts,
        amps=element.amps,
        reversed=element.reversed,
        verdict=finding.verdict,
        checks=tuple(finding.checks),
        text=finding.text,
    )


def _fields(of: shapes.Powers, wanted: type[Total]) -> dict[str, Any]:
    return {field.name: getattr(of, field.name) for field in fields(wanted)}
