"""What the gateway says on MQTT, byte for byte as before boards said it too; and that a board's
own state has the same keys in the same order, and the same values."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from host_tests.rigs.meter_runs import Run, convert, default_board, split_phase
from host_tests.rigs.telemetry_lines import report_of
from threewire.network import topics
from threewire.operation.faults import Faults
from threewire.operation.report import Report
from threewire.operation.telemetry import pieces
from tools.serve.home_assistant import discovery
from tools.serve.snapshot import Device, Snapshot
from tools.serve.states import state

# Recorded of version 0.3.0, whose gateway had all this to itself.
RECORDED: dict[str, Any] = json.loads(
    Path(__file__).with_name("gateway_messages.json").read_text(encoding="utf-8")
)
DEVICE = Device(**RECORDED["discoveries"][0]["device"])


def snapshot(line: dict[str, Any], at: str) -> Snapshot:
    standing: Any = None
    return Snapshot(DEVICE, report_of(line), datetime.fromisoformat(at), True, True, standing)


@pytest.mark.parametrize("of", RECORDED["discoveries"])
def test_discovery_as_recorded(of: dict[str, Any]) -> None:
    device = Device(**of["device"])
    assert discovery(device, of["state_topic"], of["availability"]) == of["text"]
    assert topics.config_topic("homeassistant", device.key) == of["topic"]


@pytest.mark.parametrize("of", RECORDED["states"])
def test_a_state_as_recorded(of: dict[str, Any]) -> None:
    assert json.dumps(state(snapshot(of["line"], of["at"]))) == of["text"]


def test_names_that_need_quotes() -> None:
    device = Device("k", 'c"\\', 'a "name" \\', 'b"\\', '0.3 "x"', 1)
    found = json.loads(discovery(device, 'a "b"/state', ['c "d"']))
    assert found["dev"]["name"] == 'a "name" \\'
    assert (found["dev"]["mdl"], found["dev"]["sw"]) == ('b"\\', '0.3 "x"')
    assert (found["stat_t"], found["avty"]) == ('a "b"/state', [{"t": 'c "d"'}])


def keys(of: Any) -> Any:
    """Names in their order, all the way down."""
    if isinstance(of, dict):
        return [(name, keys(value)) for name, value in of.items()]
    return [keys(value) for value in of] if isinstance(of, list) else None


@pytest.mark.parametrize(
    ("amps", "lag", "wh", "active"),
    [
        ((40, 25), 30, 0, ()),
        ((-20, 33), -40, 98765432, ("v1 stuck", "voltage 2 missing")),
        ((1, -150), 5, 43_000_000_000, tuple(["a fault with a long name"] * 30)),
    ],
)
def test_a_boards_state_is_the_gateways(
    amps: tuple[float, float], lag: float, wh: int, active: tuple[str, ...]
) -> None:
    layout = default_board()
    run = Run(layout).feed(convert(split_phase(amps, lag), 1.3, layout))
    for k, (_, register) in enumerate(run.meter.registers.named()):
        register.wh += wh + k
    faults = Faults()
    faults.count("overrun", 3 * len(active))
    report = Report(run.meter, faults, active)
    said = topics.State(report, "2026-12-02T03:04:05.678+00:00")
    # As often as asked, the same; the serial line's pieces in between are made in the same place.
    first = b"".join([bytes(piece) for piece in said.pieces()])
    line = json.loads("".join(pieces(report)))
    mine = json.loads(b"".join([bytes(piece) for piece in said.pieces()]))
    assert json.loads(first) == mine
    line["faults"]["active"] = list(active)
    its = state(snapshot(line, "2026-12-02T03:04:05.678+00:00"))
    assert mine == its
    assert keys(mine) == keys(its)
    # To the digit, of what the serial line says.
    assert Decimal(mine["delivered_kwh"]) * 1000 == Decimal(line["delivered_wh"])
    for one, other in zip(mine["elements"], line["elements"]):
        assert Decimal(one["received_kwh"]) * 1000 == Decimal(other["received_wh"])


def test_a_state_without_a_time() -> None:
    layout = default_board()
    run = Run(layout).feed(convert(split_phase((5, 5), 0), 1.3, layout))
    said = topics.State(Report(run.meter, Faults()))
    assert json.loads(b"".join([bytes(of) for of in said.pieces()]))["time"] is None
