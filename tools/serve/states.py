"""A device's state as JSON says it on the network: the same names for MQTT and the page.

Flow: snapshot -> STATES -> mqtt.py, web.py.  A board that has a network itself says the same in
the same order (threewire.network.topics); a test compares them.
"""

from typing import Any

from threewire.network.topics import LONGEST_TEXT
from tools.monitor.report import Element, Total
from tools.serve.energies import kwh
from tools.serve.snapshot import Snapshot


def state(snapshot: Snapshot) -> dict[str, Any]:
    """Powers in W, var and VA, volts, amperes, hertz as numbers; energies in kWh as decimal texts,
    which lose nothing; texts of at most LONGEST_TEXT characters."""
    report = snapshot.report
    return {
        "time": snapshot.at.isoformat(timespec="milliseconds"),
        "metered_s": report.t,
        **_energies_and_powers(report.total),
        "hertz": report.hertz,
        "demand_watts": report.demand["watts"],
        "service": report.service,
        "leds": dict(report.leds),
        "faults": sum(report.counts.values()),
        "active_faults": (", ".join(report.active) or "none")[:LONGEST_TEXT],
        "elements": [_element(element) for element in report.elements],
    }


def _energies_and_powers(of: Total) -> dict[str, Any]:
    return {
        "delivered_kwh": kwh(of.delivered_wh),
        "received_kwh": kwh(of.received_wh),
        "watts": of.watts,
        "var": of.var,
        "va": of.va,
        "power_factor": of.power_factor,
    }


def _element(of: Element) -> dict[str, Any]:
    return {
        **_energies_and_powers(of),
        "volts": of.volts,
        "amps": of.amps,
        "reversed": of.reversed,
        "verdict": of.verdict,
        "advice": of.text[:LONGEST_TEXT],
    }
