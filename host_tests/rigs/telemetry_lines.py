"""What the monitor's tests share: lines of telemetry of a real meter, and reports made of them."""

import functools
import json
from dataclasses import replace
from typing import Any

from host_tests.rigs.meter_runs import BOARD, Run, convert, split_phase
from threewire.operation.faults import Faults
from threewire.operation.report import Report as Snapshot
from threewire.operation.telemetry import pieces
from tools.cable import door
from tools.cable.door import Misfit
from tools.cable.shapes import Telemetry
from tools.common import boards
from tools.monitor.report import Report, from_line


def telemetry_line(meter: Any, faults: Any = None, active: tuple[str, ...] = ()) -> str:
    """The whole line of a meter that has a `second`."""
    return "".join(pieces(Snapshot(meter, faults, active)))


@functools.cache
def telemetry(
    amps: tuple[float, float] = (40, 25),
    lag_deg: float = 30,
    seconds: int = 1,
    counted: tuple[tuple[str, int], ...] = (),
    active: tuple[str, ...] = (),
    lost_frames: int = 0,
) -> tuple[str, ...]:
    """So many lines, a second apart, of a meter with this load from its start on."""
    layout = boards.load(BOARD)
    run = Run(layout)
    codes = convert(split_phase(amps, lag_deg), seconds + 1.1, layout)
    faults = Faults()
    for name, count in counted:
        faults.count(name, count)
    found = []
    second = layout.tick_hz // layout.frame_ticks
    run.feed(codes[: second + second // 10])
    for k in range(1, seconds + 1):
        if k == 1 and lost_frames:
            run.meter.gap(lost_frames, lost_frames * layout.frame_ticks)
        run.feed(codes[k * second + second // 10 : (k + 1) * second + second // 10])
        found.append(telemetry_line(run.meter, faults, active))
    return tuple(found)


def line(**options: Any) -> dict[str, Any]:
    """One of them as JSON."""
    return json.loads(telemetry(**options)[-1])


def report(**options: Any) -> Report:
    """One of them, checked."""
    return report_of(line(**options))


def report_of(said: dict[str, Any]) -> Report:
    """What comes of such JSON at the door. Raises Misfit."""
    found = door.read(json.dumps(said).encode())
    if not isinstance(found, Telemetry):
        raise Misfit(f"no line of telemetry: {said!r:.80}")
    return from_line(found)


def with_doctor(of: Report, service: str, findings: Any) -> Report:
    """A report with other findings (threewire.metering.doctor.Finding of each element)."""
    one, two = (
        replace(element, verdict=its.verdict, checks=its.checks, text=its.text)
        for element, its in zip(of.elements, findings)
    )
    return replace(of, elements=(one, two), service=service)
