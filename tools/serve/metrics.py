"""What Prometheus reads at /metrics: the meters' numbers, and how the gateway does.

Flow: hub, sinks -> METRICS -> web.py.

Names, units and types are those of prometheus.io/docs/practices/naming: base units, so that
energies are in joules (3600 to the watt-hour) and their rate() in watts; and when a report came,
in place of its age.  Where a board is gone its powers are absent, not frozen; its counters stay.

A sample is a float of 64 bits: of an energy it has each digit that the board has written up to
4.7 MWh, and is 0.016 J off at most in a hundred years at 48 kW.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from threewire.version import VERSION
from tools.monitor.report import Total
from tools.serve.energies import nano
from tools.serve.hub import Hub, Place
from tools.serve.snapshot import Snapshot

if TYPE_CHECKING:
    from tools.serve.gateway import Running

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_DEVICE = ("device", "name")
_ELEMENT = (*_DEVICE, "element")
_KIND = (*_DEVICE, "kind")
_SINK = ("sink",)

# Field of a report, name, what it says.
_ENERGIES = (
    ("delivered_wh", "threewire_energy_delivered_joules", "Energy from the line to the load."),
    ("received_wh", "threewire_energy_received_joules", "Energy from the load to the line."),
)
_POWERS = (
    ("watts", "threewire_power_watts", "Active power; below 0 where it is received."),
    ("var", "threewire_reactive_power_vars", "Reactive power; above 0 where current lags."),
    ("va", "threewire_apparent_power_voltamperes", "Apparent power."),
    ("power_factor", "threewire_power_factor_ratio", "Power factor; below 0 where current leads."),
)
_OF_ELEMENTS = (
    ("volts", "threewire_voltage_volts", "RMS voltage."),
    ("amps", "threewire_current_amperes", "RMS current."),
    ("reversed", "threewire_element_reversed", "Whether an element's power flows backwards."),
)


def render(hub: Hub, sinks: "Sequence[Running]" = ()) -> bytes:
    """All of it, in Prometheus' text format.

    sinks  the gateway's
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(hub, sinks))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, hub: Hub, sinks: "Sequence[Running]") -> None:
        self._hub = hub
        self._sinks = sinks

    def collect(self) -> Iterator[Metric]:
        known = self._hub.latest()
        yield from _of_places(self._hub.places, known)
        yield from _counters(known)
        yield from _gauges([snapshot for snapshot in known if snapshot.is_live])
        yield from _of_gateway(self._sinks)


def _of_places(places: Iterable[Place], known: list[Snapshot]) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "threewire_up",
        "Whether the board of a port reports; without a device where none has been there.",
        labels=(*_DEVICE, "port"),
    )
    for place in places:
        latest = place.latest
        port = place.board.port or (place.standing.port if place.standing else "")
        if latest and any(snapshot is latest for snapshot in known):
            up.add_metric((*_labels(latest), port), latest.is_live)
        else:
            up.add_metric(("", place.board.name or "", port), 0)
    yield up


def _counters(known: list[Snapshot]) -> Iterator[Metric]:
    for field, name, said in _ENERGIES:
        energy = CounterMetricFamily(name, f"{said} Total: net of both.", labels=_ELEMENT)
        for snapshot in known:
            for element, of in _parts(snapshot):
                energy.add_metric((*_labels(snapshot), element), _joules(getattr(of, field)))
        yield energy
    reactive = CounterMetricFamily(
        "threewire_reactive_energy_var_seconds",
        "Reactive energy of quadrants I to IV, as IEC 62053-23 counts them.",
        labels=(*_ELEMENT, "quadrant"),
    )
    faults = CounterMetricFamily("threewire_faults", "Faults that have happened.", labels=_KIND)
    lost = CounterMetricFamily(
        "threewire_lost_frames", "Samples lost, for which energy is estimated.", labels=_DEVICE
    )
    came = GaugeMetricFamily(
        "threewire_last_report_timestamp_seconds", "When the last report came.", labels=_DEVICE
    )
    info = InfoMetricFamily("threewire_device", "What kind of meter it is.", labels=_DEVICE)
    for snapshot in known:
        labels = _labels(snapshot)
        report, device = snapshot.report, snapshot.device
        for element, of in _parts(snapshot):
            for quadrant, varh in zip("1234", of.varh):
                reactive.add_metric((*labels, element, quadrant), _joules(varh))
        for kind, count in report.counts.items():
            faults.add_metric((*labels, kind), count)
        lost.add_metric(labels, report.lost_frames)
        came.add_metric(labels, snapshot.at.timestamp())
        info.add_metric(
            labels,
            {"board": device.board, "chip_id": device.chip_id, "version": device.version},
        )
    yield from (reactive, faults, lost, came, info)


def _gauges(live: list[Snapshot]) -> Iterator[Metric]:
    for field, name, said in _POWERS:
        power = GaugeMetricFamily(name, said, labels=_ELEMENT)
        for snapshot in live:
            for element, of in _parts(snapshot):
                power.add_metric((*_labels(snapshot), element), getattr(of, field))
        yield power
    for field, name, said in _OF_ELEMENTS:
        metric = GaugeMetricFamily(name, said, labels=_ELEMENT)
        for snapshot in live:
            for element, of in zip("12", snapshot.report.elements):
                metric.add_metric((*_labels(snapshot), element), getattr(of, field))
        yield metric
    hertz = GaugeMetricFamily("threewire_frequency_hertz", "Mains frequency.", labels=_DEVICE)
    demand = GaugeMetricFamily(
        "threewire_demand_watts", "Mean power of the last demand interval.", labels=_DEVICE
    )
    lamps = GaugeMetricFamily(
        "threewire_lamp_lit", "Whether a lamp is lit.", labels=(*_DEVICE, "lamp")
    )
    active = GaugeMetricFamily("threewire_fault_active", "Faults there are now.", labels=_KIND)
    for snapshot in live:
        labels, report = _labels(snapshot), snapshot.report
        hertz.add_metric(labels, report.hertz)
        if (watts := report.demand["watts"]) is not None:
            demand.add_metric(labels, watts)
        for lamp, is_lit in report.leds.items():
            lamps.add_metric((*labels, lamp), is_lit)
        for kind in {*report.counts, *report.active}:
            active.add_metric((*labels, kind), kind in report.active)
    yield from (hertz, demand, lamps, active)


def _of_gateway(sinks: "Sequence[Running]") -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "threewire_gateway_sink_up", "Whether a way out does what it is for.", labels=_SINK
    )
    lost = CounterMetricFamily(
        "threewire_gateway_sink_lost_reports",
        "Reports that a way out has lost, of those that it wants all of.",
        labels=_SINK,
    )
    waiting = GaugeMetricFamily(
        "threewire_gateway_sink_waiting_reports", "Reports that wait in memory.", labels=_SINK
    )
    for of in sinks:
        labels = (of.status.name,)
        up.add_metric(labels, of.status.is_ok)
        lost.add_metric(labels, of.feed.lost)
        waiting.add_metric(labels, len(of.feed))
    yield from (up, lost, waiting)
    yield InfoMetricFamily("threewire_gateway", "The gateway itself.", {"version": VERSION})


def _labels(snapshot: Snapshot) -> tuple[str, str]:
    return snapshot.device.key, snapshot.device.name


def _parts(snapshot: Snapshot) -> Iterator[tuple[str, Total]]:
    report = snapshot.report
    return zip(("total", "1", "2"), (report.total, *report.elements))


def _joules(energy: str) -> float:
    """Joules, or var-seconds, of decimal watt-hours: of integers, which are rounded once."""
    return nano(energy) * 9 / 2_500_000
