"""From the emulated board's converter to each of the gateway's sinks: the same watt-hours, to the
last digit that each can carry."""

import json
import math
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from line_protocol_parser import parse_line
from prometheus_client.parser import text_string_to_metric_families
from pymodbus.client import ModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from host_tests.rigs.gateway_run import running, wait_for
from host_tests.rigs.http_sink import taking
from host_tests.rigs.mosquitto import Broker, Listener
from host_tests.rigs.started_board import StartedBoards
from tools.emulate.inputs import Periodic
from tools.emulate.port import EmulatedPort
from tools.emulate.tcp_port import free_port
from tools.front_end.waves import split_phase
from tools.serve import hub as serve_hub

pytestmark = pytest.mark.rp2040
AMPS = (100.0, -40.0)
VOLTS = 120.0


class Overheard(EmulatedPort):
    """A port whose lines are kept as the board wrote them, before anything of ours reads them."""

    def __init__(self, board: Any) -> None:
        super().__init__(board)
        self._rest = b""
        self.lines: list[dict[str, Any]] = []

    def send(self, data: bytes) -> bool:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b'{"t"'):
                self.lines.append(json.loads(line))
        return super().send(data)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def test_the_same_watt_hours_everywhere(
    started_boards: StartedBoards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An emulated second takes many of ours.
    monkeypatch.setattr(serve_hub, "_GONE_S", 600.0)
    power_on = started_boards.flashed()
    load = Periodic(split_phase(AMPS, volts=VOLTS), 1 / 60)
    broker = Broker(tmp_path)
    web, modbus = free_port(), free_port()
    with (
        power_on(load) as board,
        Overheard(board) as port,
        taking() as influx,
        Listener(broker.port) as listener,
        running(
            tmp_path / "state",
            [port],
            timeout_s=600.0,
            history={},
            web={"port": web},
            mqtt={"port": broker.port},
            modbus={"port": modbus},
            influx={"url": influx.url, "database": "house", "batch_s": 1},
        ) as gateway,
    ):
        wait_for(lambda: len(gateway.hub.latest()) == 1, "a report", 300)
        # Each register, as the board has written it, at each second.
        wait_for(lambda: len(port.lines) >= 4, "lines", 300)
        key = gateway.hub.latest()[0].device.key
        wait_for(lambda: listener.latest.get(f"threewire/{key}/state"), "MQTT")
        wait_for(lambda: influx.lines, "InfluxDB", 60)

        page = json.loads(get(f"http://127.0.0.1:{web}/api/devices"))["devices"][0]["state"]
        mqtt = json.loads(listener.latest[f"threewire/{key}/state"])
        text = get(f"http://127.0.0.1:{web}/metrics").decode()
        scanned = SunSpecModbusClientDeviceTCP(
            slave_id=1, ipaddr="127.0.0.1", ipport=modbus, timeout=20
        )
        scanned.scan()
        with ModbusTcpClient("127.0.0.1", port=modbus, timeout=20) as client:
            answer = client.read_input_registers(0x48, count=4, device_id=1)
            floats = ModbusTcpClient.convert_from_registers(
                answer.registers, ModbusTcpClient.DATATYPE.FLOAT32
            )
        history: Any = gateway.sinks[0].sink
        lines = list(port.lines)
    rows = history._file.intervals(key, 0, 2**40, 10)
    history._file.close()
    broker.kill()

    def told(name: str, element: int | None = None) -> set[Decimal]:
        """What the board has said of a register so far, each second."""
        return {
            Decimal((line if element is None else line["elements"][element])[name])
            for line in lines
        }

    # Of the load itself: 100 A in, 40 A out, for as long as it has metered.
    last = lines[-1]
    assert float(last["elements"][0]["delivered_wh"]) == pytest.approx(
        VOLTS * AMPS[0] * last["t"] / 3600, rel=0.02
    )
    assert float(last["elements"][1]["received_wh"]) > 0

    names = ("delivered_wh", "received_wh")
    for state in (page, mqtt):
        for name in names:
            said = Decimal(state[name.replace("_wh", "_kwh")]) * 1000
            assert said in told(name)
            for k in (0, 1):
                of_element = state["elements"][k][name.replace("_wh", "_kwh")]
                assert Decimal(of_element) * 1000 in told(name, k)
    assert Decimal(rows[-1].registers[0]) in told("delivered_wh")
    assert Decimal(rows[-1].registers[5]) in told("received_wh", 1)

    joules = {
        sample.labels["element"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "threewire_energy_delivered_joules_total"
    }
    assert joules["total"] in {float(wh * 3600) for wh in told("delivered_wh")}
    assert joules["1"] in {float(wh * 3600) for wh in told("delivered_wh", 0)}

    model: Any = scanned.models[202][0]
    assert model.TotWhImp.cvalue in {math.floor(wh) for wh in told("delivered_wh")}
    assert model.TotWhExpPhB.cvalue in {math.floor(wh) or None for wh in told("received_wh", 1)}
    for found, name in zip(floats, names):  # pyright: ignore[reportArgumentType]
        assert min(abs(found - float(wh) / 1000) for wh in told(name)) <= 2**-24 * max(found, 1e-9)

    energies = [
        point["fields"]["delivered_nwh"]
        for point in map(parse_line, influx.lines)
        if point["tags"].get("element") == "1"
    ]
    assert energies and {Decimal(of).scaleb(-9) for of in energies} <= told("delivered_wh", 0)
