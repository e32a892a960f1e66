"""What a replay says: the JSON object of --json, and the table for people.

Flow: replay -> REPORT.  Energies stay decimal strings as the engine made them: no float touches
them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from threewire.metering.line_voltage import KINDS
from threewire.operation.report import (
    DEMAND,
    ENERGIES,
    ESTIMATED,
    FUNDAMENTAL,
    LEDS,
    POWERS,
    RMS,
    VARH,
)

if TYPE_CHECKING:
    from tools.replay.result import Replay

# What an engine's result has a reading under, in micro-units.
_MICRO = {
    "volts": "volts_uv",
    "amps": "amps_ua",
    "watts": "watts_uw",
    "var": "vars_uw",
    "va": "va_uva",
    "power_factor": "power_factor_ppm",
}


# A verdict of the doctor's that only a replay gives.
NOT_RECORDED = "not_recorded"


def error_ppm(delivered: str, received: str, true_wh: float) -> float | None:
    """Error of delivered - received (decimal strings, Wh) against true_wh, in millionths of it.

    None where the truth is nothing, or so little (under 1 mWh) that a ratio would say nothing.
    """
    if abs(true_wh) < 1e-3:
        return None
    # Exact: the strings have more digits than a float of hours of energy.
    measured = Fraction(delivered) - Fraction(received)
    return float(measured / Fraction(true_wh) - 1) * 1e6


def _powers(result: dict[str, Any]) -> dict[str, float]:
    return {name: result[_MICRO[name]] / 1e6 for name in POWERS}


def _energies(result: dict[str, Any]) -> dict[str, Any]:
    delivered, received = ENERGIES
    return {
        delivered: result["delivered"]["wh"],
        received: result["received"]["wh"],
        VARH: result[VARH],
        "fundamental_wh": result["fundamental_wh"],
    }


def _fundamental(element: dict[str, Any]) -> dict[str, float | None]:
    values = [element["watts1_uw"] / 1e6]
    values += [
        None if element[name] is None else element[name] / 1e4
        for name in ("volts_thd_ppm", "amps_thd_ppm")
    ]
    return dict(zip(FUNDAMENTAL, values))


def _doctor(doctor: dict[str, Any], recorded: int) -> dict[str, Any]:
    """Without advice on an element that the recording does not have."""
    none = {
        "verdict": NOT_RECORDED,
        "alike": [],
        "checks": [],
        "text": "Element 2 is not in the recording.",
    }
    elements = doctor["elements"]
    return {**doctor, "elements": [elements[0], elements[1] if recorded > 1 else none]}


def _events(events: dict[str, Any], recorded: int) -> dict[str, Any]:
    """As the console's answer to `events` has them, of the lines that were recorded."""
    return {
        "counts": {kind: [*events["counts"][kind][:recorded], 0][:2] for kind in KINDS},
        "newest": [
            {
                "line": line + 1,
                "kind": KINDS[kind],
                "t": began / 1e3,
                "ms": ms,
                "percent": reached / 100,
                "over": is_over,
            }
            for line, kind, began, ms, reached, is_over in events["newest"]
            if line < recorded
        ],
    }


def as_json(replay: Replay) -> dict[str, Any]:
    """The object that --json prints; keys as in the README's table."""
    result = replay.metered.result
    reference = replay.reference
    elements = [
        {
            **_energies(e),
            **{name: e[_MICRO[name]] / 1e6 for name in RMS},
            **_powers(e),
            "reversed": e["reversed"],
            **_fundamental(e),
        }
        for e in result["elements"]
    ]
    errors: dict[str, float | None] = {"element1": None, "element2": None, "total": None}
    truth = None
    if reference is not None:
        truth = reference.as_json()
        for k, e in enumerate(elements):
            true_wh = reference.elements[k].wh
            errors[f"element{k + 1}"] = error_ppm(e["delivered_wh"], e["received_wh"], true_wh)
        errors["total"] = error_ppm(
            result["delivered"]["wh"],
            result["received"]["wh"],
            reference.delivered_wh - reference.received_wh,
        )
    return {
        "seconds": replay.seconds,
        "frames": result["frames"],
        "engine": replay.engine,
        "board": replay.board,
        **_energies(result),
        "elements": elements,
        **_powers(result),
        "hertz": result["hertz_mhz"] / 1e3,
        "leds": {name: result["lit"][name] for name in LEDS},
        "edges": {name: [[s, lit] for s, lit in replay.edges(name)] for name in LEDS},
        "demand": {
            name: None
            if result["demand"][f"{name}_uw"] is None
            else result["demand"][f"{name}_uw"] / 1e6
            for name in DEMAND
        },
        "doctor": _doctor(result["doctor"], replay.recorded),
        "events": _events(result["events"], replay.recorded),
        "faults": {
            "lost_frames": result["lost_frames"],
            **{name: result[name] for name in ESTIMATED},
            "clipped": replay.clipped,
        },
        "captured": None
        if replay.captured is None
        else {
            "delivered_wh": replay.captured["delivered_wh"],
            "received_wh": replay.captured["received_wh"],
            "identical": replay.is_identical,
        },
        "reference": truth,
        "error_ppm": errors,
        "warnings": replay.warnings,
        "notes": replay.notes,
    }


def _ppm(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"


def as_text(replay: Replay) -> str:
    """The same for people: energies beside the reference, readings, LEDs, speed."""
    report = as_json(replay)
    truth = report["reference"]
    lines = [
        f"{replay.path}: {report['seconds']:.3f} s, {report['frames']} frames, board "
        f"{replay.board}, engine {replay.engine}",
        "",
        f"{'':12}{'delivered Wh':>16}{'received Wh':>16}{'reference, net Wh':>20}"
        f"{'error ppm':>12}",
    ]
    rows = [("element 1", report["elements"][0], 0), ("element 2", report["elements"][1], 1)]
    for name, e, k in rows:
        true_wh = f"{truth['elements'][k]['wh']:.6f}" if truth else "-"
        ppm = _ppm(report["error_ppm"][f"element{k + 1}"])
        lines.append(
            f"{name:12}{e['delivered_wh']:>16}{e['received_wh']:>16}{true_wh:>20}{ppm:>12}"
        )
    true_wh = f"{truth['delivered_wh'] - truth['received_wh']:.6f}" if truth else "-"
    ppm = _ppm(report["error_ppm"]["total"])
    lines.append(
        f"{'total':12}{report['delivered_wh']:>16}{report['received_wh']:>16}"
        f"{true_wh:>20}{ppm:>12}"
    )
    lines += ["", f"{'':12}{'V':>10}{'A':>10}{'W':>12}{'var':>12}{'VA':>12}{'PF':>8}"]
    for name, e, _ in rows:
        lines.append(
            f"{name:12}{e['volts']:>10.3f}{e['amps']:>10.3f}{e['watts']:>12.2f}"
            f"{e['var']:>12.2f}{e['va']:>12.2f}{e['power_factor']:>8.4f}"
            + ("  REVERSED" if e["reversed"] else "")
        )
    lines.append(
        f"{'total':32}{report['watts']:>12.2f}{report['var']:>12.2f}{report['va']:>12.2f}"
        f"{report['power_factor']:>8.4f}"
    )
    leds = ", ".join(
        f"{name} {'on' if lit else 'off'} ({len(report['edges'][name])} edges)"
        for name, lit in report["leds"].items()
    )
    captured = report["captured"]
    if captured:
        same = "the same to the last bit" if captured["identical"] else "ANOTHER ENERGY"
        lines += [
            "",
            f"the board itself: {captured['delivered_wh']} Wh delivered, "
            f"{captured['received_wh']} Wh received: {same}",
        ]
    doctor = report["doctor"]
    advice = [f"doctor: {e['text']}" for e in doctor["elements"]]
    events = report["events"]
    counts = events["counts"]
    if events["newest"]:
        said = [f"{sum(of)} {kind}{'s' * (sum(of) != 1)}" for kind, of in counts.items()]
        advice.append(f"voltage: {', '.join(said)} over; the newest, and what goes on:")
    advice += [
        f"  line {e['line']}, {e['kind']} at {e['t']:.3f} s, {e['ms']} ms"
        f"{'' if e['over'] else ' so far'}, {e['percent']:.2f} % of nominal"
        for e in events["newest"]
    ]
    busy = replay.metered.cpu_seconds
    lines += [
        "",
        f"{report['hertz']:.3f} Hz; LEDs: {leds}",
        *advice,
        f"speed: {report['seconds'] / replay.wall_seconds:.0f} x real time in all, "
        f"{report['seconds'] / busy:.0f} x by the processor time of the engine alone",
    ]
    return "\n".join(lines)
