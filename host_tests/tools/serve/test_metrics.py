"""What Prometheus reads: by its client's own parsers, and by the rules that it publishes."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from host_tests.rigs.gateway_run import CHIP_ID, said
from host_tests.rigs.telemetry_lines import report_of
from threewire.version import VERSION
from tools.cable.shapes import Version
from tools.monitor.link import LIVE, WAITING, Standing
from tools.serve import metrics
from tools.serve.counters import Counters
from tools.serve.feed import Feed
from tools.serve.hub import Hub
from tools.serve.reader import Told
from tools.serve.settings import Board
from tools.serve.sink import Status

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
HOSTILE = 'a "b" \\ {c="d"}, é 中 \\n #'


def standing(state=LIVE, port="/dev/ttyACM0"):
    return Standing(state, port, "", 0.1, 0, 0, 0)


def version(chip_id=CHIP_ID):
    return Version(version="0.3.0", board="pico", id=chip_id)


@pytest.fixture
def hub_of(tmp_path):
    def make(*boards):
        return Hub(list(boards), Counters(tmp_path), lambda: AT)

    return make


def told(report, chip_id=CHIP_ID):
    return Told(report, version(chip_id), standing())


def samples(data, read=read_text):
    """(name, labels without device and name) -> value."""
    found = {}
    for family in read(data.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"twice: {key}"
            found[key] = sample.value
    return found


def value(found, sample, /, **labels):
    (one,) = (
        number
        for (of, having), number in found.items()
        if of == sample and labels.items() <= dict(having).items()
    )
    return one


@pytest.mark.parametrize("parser", ["text", "openmetrics"])
def test_numbers_are_the_boards(hub_of, parser):
    """Both of the client's parsers find the line's own numbers; joules are exact fractions,
    rounded once."""
    hub = hub_of(Board(port="/dev/a", name="House"))
    line = said(wh="13333.334638713")
    line["elements"][1]["received_wh"] = "0.000000001"
    line["faults"] |= {"overrun": 3, "active": ["stuck"], "lost_frames": 7}
    hub.take(hub.places[0], told(report_of(line)))
    if parser == "text":
        found = samples(metrics.render(hub))
    else:
        found = samples(as_openmetrics(_registry(hub)), read_openmetrics)
    delivered = "threewire_energy_delivered_joules_total"
    assert value(found, delivered, element="total") == float(Decimal("13333.334638713") * 3600)
    assert value(found, delivered, element="2") == float(
        Decimal(line["elements"][1]["delivered_wh"]) * 3600
    )
    received = "threewire_energy_received_joules_total"
    assert value(found, received, element="2") == 3.6e-6
    for k, varh in enumerate(line["varh"], 1):
        name = "threewire_reactive_energy_var_seconds_total"
        assert value(found, name, element="total", quadrant=f"{k}") == float(Decimal(varh) * 3600)
    for name, field in (
        ("power_watts", "watts"),
        ("reactive_power_vars", "var"),
        ("apparent_power_voltamperes", "va"),
        ("power_factor_ratio", "power_factor"),
    ):
        assert value(found, f"threewire_{name}", element="total") == line[field]
        for k in (0, 1):
            of = line["elements"][k][field]
            assert value(found, f"threewire_{name}", element=f"{k + 1}") == of
    for name, field in (
        ("voltage_volts", "volts"),
        ("current_amperes", "amps"),
        ("element_reversed", "reversed"),
    ):
        for k in (0, 1):
            of = line["elements"][k][field]
            assert value(found, f"threewire_{name}", element=f"{k + 1}") == of
    assert value(found, "threewire_frequency_hertz") == line["hertz"]
    assert {
        lamp: value(found, "threewire_lamp_lit", lamp=lamp) for lamp in ("kwh", "ten", "reverse")
    } == line["leds"]
    assert value(found, "threewire_faults_total", kind="overrun") == 3
    assert value(found, "threewire_fault_active", kind="overrun") == 0
    assert value(found, "threewire_fault_active", kind="stuck") == 1
    assert value(found, "threewire_lost_frames_total") == 7
    assert value(found, "threewire_last_report_timestamp_seconds") == AT.timestamp()
    assert value(found, "threewire_up", device=CHIP_ID, name="House", port="/dev/a") == 1
    assert value(found, "threewire_device_info", board="pico", version="0.3.0", chip_id=CHIP_ID)
    assert value(found, "threewire_gateway_info", version=VERSION) == 1
    # There has been no demand interval yet: an absent sample says so, a 0 would not.
    assert not [name for name, _ in found if name == "threewire_demand_watts"]


def _registry(hub):
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics._Collector(hub, ()))
    return registry


def test_digits_of_a_sample():
    """As the module says: one digit of the board's last place more is another sample up to
    4.7 MWh, and a hundred years at 48 kW are right to 0.016 J."""
    for wh in ("0.000000001", "4771000.000000001", "4771858.999999998"):
        nano = int(Decimal(wh) * 10**9)
        beside = f"{Decimal(nano + 1).scaleb(-9):f}"
        assert metrics._joules(wh) < metrics._joules(beside)
        assert round(metrics._joules(wh) / 3600e-9) == pytest.approx(nano, abs=0.5)
    century = Decimal(48_000 * 24 * 36525) + Decimal("0.123456789")
    off = abs(Decimal(metrics._joules(str(century))) - century * 3600)
    assert off <= Decimal("0.016")


def test_names_are_by_the_rules(hub_of):
    """prometheus.io/docs/practices/naming, and what promtool's linter asks for."""
    hub = hub_of(Board(port="/dev/a"))
    line = said()
    line["faults"] |= {"overrun": 1}
    line["demand"] = dict.fromkeys(line["demand"], 1.0)
    hub.take(hub.places[0], told(report_of(line)))
    text = metrics.render(hub, [_running("mqtt")]).decode()
    families = list(read_text(text))
    assert len(families) > 20
    # What there is to measure, and the unit that a name may end in.
    units = {
        "energy": ("joules", "var_seconds"),
        "power": ("watts", "vars", "voltamperes", "ratio"),
        "demand": ("watts",),
        "voltage": ("volts",),
        "current": ("amperes",),
        "frequency": ("hertz",),
        "timestamp": ("seconds",),
    }
    other = re.compile(
        r"(milli|micro|nano|kilo|mega|giga|hours?|minutes?|days?|percent|watthours?|kwh|wh|amps"
        r"|bits|ms|gauge|counter|info_info)"
    )
    for family in families:
        assert re.fullmatch(r"threewire_[a-z_]+", family.name), family.name
        assert family.documentation.endswith(".")
        words = family.name.split("_")
        assert not [word for word in words[1:] if other.fullmatch(word)], family.name
        for what, ends in units.items():
            if what in words[1:3]:
                assert family.name.endswith(ends), family.name
        is_counter = family.type == "counter"
        for sample in family.samples:
            assert sample.name.endswith("_total") == is_counter
            assert not re.search(r"_(sum|count|bucket|created)$", sample.name)
            # No label that repeats the name, and none of Prometheus' own.
            assert not {"job", "instance", "le", "quantile", "__name__"} & sample.labels.keys()
    # Help and type once each, before the samples, and a family in one piece.
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(names) == len(set(names)) == len(re.findall(r"^# HELP", text, re.MULTILINE))
    assert text.endswith("\n")
    assert metrics.CONTENT_TYPE == CONTENT_TYPE_PLAIN_0_0_4


def test_hostile_name(hub_of):
    """Quotes, backslashes and braces in a name come back as they are, and make no line of their
    own."""
    hub = hub_of(Board(port='/dev/"x"\\', name=HOSTILE))
    hub.take(hub.places[0], told(report_of(said())))
    data = metrics.render(hub)
    found = samples(data)
    assert value(found, "threewire_frequency_hertz", name=HOSTILE, device=CHIP_ID) == 60.0
    assert value(found, "threewire_up", name=HOSTILE, port='/dev/"x"\\') == 1
    label = rb'[a-z_]+="([^"\\\n]|\\["\\n])*"'
    shape = re.compile(
        rb"# (HELP|TYPE) threewire_.*|threewire_[a-z_]+(\{%b(,%b)*\})? \S+" % (label, label)
    )
    assert all(shape.fullmatch(line) for line in data.splitlines())
    assert samples(as_openmetrics(_registry(hub)), read_openmetrics).keys() == found.keys()


def test_gone_board_has_counters_and_no_powers(hub_of):
    hub = hub_of(Board(port="/dev/a", name="A"), Board(port="/dev/b", name="B"))
    for place, chip_id in zip(hub.places, (CHIP_ID, "0b")):
        hub.take(place, told(report_of(said()), chip_id))
    hub.take(hub.places[0], Told(None, None, standing(WAITING)))
    found = samples(metrics.render(hub))
    assert value(found, "threewire_up", name="A") == 0
    assert value(found, "threewire_up", name="B") == 1
    assert value(found, "threewire_energy_delivered_joules_total", name="A", element="1") > 0
    measured = {"power_watts", "voltage_volts", "frequency_hertz", "lamp_lit", "element_reversed"}
    for name in measured:
        names = {dict(of)["name"] for (have, of) in found if have == f"threewire_{name}"}
        assert names == {"B"}, name


def test_board_that_has_not_been_there(hub_of):
    hub = hub_of(Board(port="/dev/a", name="A"))
    found = samples(metrics.render(hub))
    assert value(found, "threewire_up", name="A", port="/dev/a") == 0
    assert not [name for name, _ in found if "energy" in name]


def test_board_moved_to_another_port_is_told_once(hub_of):
    """The same device twice would make Prometheus refuse all of it."""
    hub = hub_of(Board(port="/dev/a"), Board(port="/dev/b"))
    hub.take(hub.places[0], told(report_of(said(wh=1.0))))
    hub.take(hub.places[0], Told(None, None, standing(WAITING)))
    hub.take(hub.places[1], told(report_of(said(wh=2.0))))
    found = samples(metrics.render(hub))  # which asserts that none is twice
    energy = value(found, "threewire_energy_delivered_joules_total", element="total")
    assert energy == 7200
    assert value(found, "threewire_up", port="/dev/a") == 0
    assert value(found, "threewire_up", port="/dev/b", device=CHIP_ID) == 1


def _running(name, is_ok=True, lost=0, waiting=0) -> Any:
    status = Status(name)
    (status.ok if is_ok else status.trouble)("so")
    feed = Feed(True)
    feed.lost = lost
    for _ in range(waiting):
        feed.put(SimpleNamespace())  # type: ignore[arg-type]
    return SimpleNamespace(status=status, feed=feed)


def test_sinks(hub_of):
    sinks = [_running("mqtt"), _running("influx", is_ok=False, lost=5, waiting=2)]
    found = samples(metrics.render(hub_of(Board(port="/dev/a")), sinks))
    for sink, up, lost, waiting in (("mqtt", 1, 0, 0), ("influx", 0, 5, 2)):
        assert value(found, "threewire_gateway_sink_up", sink=sink) == up
        assert value(found, "threewire_gateway_sink_lost_reports_total", sink=sink) == lost
        assert value(found, "threewire_gateway_sink_waiting_reports", sink=sink) == waiting


def test_report_of_other_device_is_not_mixed_in(hub_of):
    """Two boards' samples have their own labels."""
    hub = hub_of(Board(port="/dev/a", name="A"), Board(port="/dev/b", name="B"))
    first = report_of(said(wh=10.0))
    hub.take(hub.places[0], told(first))
    second = replace(first, total=replace(first.total, watts=-5.5))
    hub.take(hub.places[1], told(second, "0b"))
    found = samples(metrics.render(hub))
    assert value(found, "threewire_power_watts", name="A", element="total") == first.total.watts
    assert value(found, "threewire_power_watts", device="0b", element="total") == -5.5
