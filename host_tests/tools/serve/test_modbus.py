"""Devices over Modbus TCP, by both maps: pysunspec2 and pymodbus read them from a gateway."""

import asyncio
import contextlib
import errno
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running, said, wait_for
from host_tests.rigs.telemetry_lines import report_of
from host_tests.tools.serve.test_modbus_maps import snapshot
from threewire.operation import modbus_registers
from tools.emulate.tcp_port import free_port
from tools.serve import modbus, modbus_tcp
from tools.serve.feed import Feed
from tools.serve.gateway import Gateway
from tools.serve.sink import Status

OTHER_ID = "e6614103e7690c2d"
# Point of model 202 -> where the line has it: of the total, of element 1 and 2.
OF_TOTAL = {"W": "watts", "VA": "va", "VAR": "var"}
OF_ELEMENT = {**OF_TOTAL, "A": "amps", "PhV": "volts"}
ENERGIES = {"TotWhImp": "delivered_wh", "TotWhExp": "received_wh"}
QUADRANTS = ("TotVArhImpQ1", "TotVArhImpQ2", "TotVArhExpQ3", "TotVArhExpQ4")


@pytest.fixture
def port() -> int:
    return free_port()


def tell(gateway: Gateway, board: SayingBoard, line: dict[str, Any], at: int = 0) -> None:
    """A board's report, which the sink has as well then: it takes it in the same loop, behind the
    hub."""
    wanted = report_of(line)

    def is_there() -> bool:
        latest = gateway.hub.places[at].latest
        if latest and latest.is_live and latest.report == wanted:
            return True
        board.report(line)
        time.sleep(0.02)
        return False

    wait_for(is_there, "the report")
    time.sleep(0.02)


@contextlib.contextmanager
def one_board(folder: Path, port: int, **table: Any) -> Iterator[tuple[Gateway, SayingBoard]]:
    with (
        SayingBoard() as board,
        running(folder, [board], modbus={"port": port, **table}) as gateway,
    ):
        tell(gateway, board, said())
        yield gateway, board


def with_client(port: int, work: Callable[[AsyncModbusTcpClient], Awaitable[None]]) -> None:
    async def run() -> None:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=5, retries=0)
        assert await client.connect()
        try:
            await work(client)
        finally:
            client.close()

    asyncio.run(run())


def scan(port: int, unit: int = 1) -> tuple[Any, Any]:
    """Models 1 and 202, as pysunspec2 finds and reads them."""
    return models_of(SunSpecModbusClientDeviceTCP(slave_id=unit, ipaddr="127.0.0.1", ipport=port))


def models_of(device: Any) -> tuple[Any, Any]:
    """The same of a device of pysunspec2's, which is closed then."""
    try:
        device.scan()
        (common,), (meter,) = device.models[1], device.models[202]
        common.read()
        meter.read()
    finally:
        device.close()
    return common, meter


def to_the_digit(value: Any, exponent: int) -> float:
    """A number of the line in steps of a point, half away from zero."""
    step = Decimal(10) ** exponent
    return float((Decimal(str(value)) / step).to_integral_value(ROUND_HALF_UP) * step)


def whole(energy: str) -> int | None:
    """pysunspec2 has None for an accumulator that is 0, which SunSpec calls "not accumulated"."""
    return int(Decimal(energy).to_integral_value(ROUND_FLOOR)) or None


def expected_of(line: dict[str, Any]) -> dict[str, Any]:
    """What points of model 202 have, by the line and the digits that each carries."""
    one, two = line["elements"]
    digits = {"A": -1, "PhV": -2, "W": 1, "VA": 1, "VAR": 1}
    found: dict[str, Any] = {"Hz": to_the_digit(line["hertz"], -2)}
    for point, name in OF_TOTAL.items():
        found[point] = to_the_digit(line[name], digits[point])
    for phase, element in zip("AB", (one, two)):
        for point, name in OF_ELEMENT.items():
            found[f"{point}ph{phase}"] = to_the_digit(element[name], digits[point])
        sign = -1 if element["watts"] < 0 else 1
        percent = 100 * abs(Decimal(str(element["power_factor"])))
        found[f"PFph{phase}"] = sign * to_the_digit(percent, -2)
        for point, name in ENERGIES.items():
            found[f"{point}Ph{phase}"] = whole(element[name])
        for point, varh in zip(QUADRANTS, element["varh"]):
            found[f"{point}Ph{phase}"] = whole(varh)
    for point, name in ENERGIES.items():
        found[point] = whole(line[name])
    for point, varh in zip(QUADRANTS, line["varh"]):
        found[point] = whole(varh)
    amps = Decimal(str(one["amps"])) + Decimal(str(two["amps"]))
    volts = Decimal(str(one["volts"])) + Decimal(str(two["volts"]))
    found |= {"A": to_the_digit(amps, -1), "PPV": to_the_digit(volts, -2)}
    return found | {"PhVphAB": found["PPV"]}


def exporting() -> dict[str, Any]:
    """A line on which element 2 is reversed, and exports more than element 1 takes."""
    line = said(
        wh="13333334.638713123",
        received_wh="70007.999999999",
        watts=-4211.5,
        var=-812.345,
        va=9876.543,
        power_factor=-0.4264,
        hertz=59.987,
        varh=["15.5", "22.000000001", "333.9", "4444.4"],
    )
    line["elements"][0] |= {"volts": 119.876, "amps": 12.346, "watts": 1234.567}
    line["elements"][1] |= {
        "volts": 121.234,
        "amps": 45.0,
        "watts": -5446.067,
        "var": -1234.5,
        "power_factor": 0.9876,
        "reversed": True,
        "received_wh": "80008.5",
        "varh": ["10.1", "20.2", "30.3", "40.4"],
    }
    return line


# ---- SunSpec


def test_pysunspec2_reads_what_the_board_says(tmp_path: Path, port: int) -> None:
    with one_board(tmp_path, port) as (gateway, board):
        for line in (said(), exporting()):
            tell(gateway, board, line)
            common, meter = scan(port)
            found = {name: point.cvalue for name, point in meter.points.items()}
            for name, value in expected_of(line).items():
                near = None if value is None else pytest.approx(value, rel=1e-12)
                assert found[name] == near, name
        assert (found["W"], found["WphA"], found["WphB"]) == (-4210, 1230, -5450)
        assert (found["PF"], found["PFphB"]) == (-42.64, -98.76)
        assert (found["TotWhImp"], found["TotWhExp"]) == (13333334, 70007)
        assert found["Evt"] == modbus_registers._REVERSED_2
        texts = [common.points[name].value for name in ("Mn", "Md", "Vr", "SN", "DA")]
        assert texts == ["Threewire", "pico", "0.3.0", CHIP_ID, 1]


def test_what_the_model_calls_mandatory_is_there(tmp_path: Path, port: int) -> None:
    with one_board(tmp_path, port) as (gateway, board):
        tell(gateway, board, exporting())
        for model in scan(port):
            for name, point in model.points.items():
                if point.pdef.get("mandatory") == "M":
                    assert point.value is not None, name
            assert model.points["L"].value == model.len
            assert model.len == {1: 66, 202: 105}[model.model_id]


# ---- pymodbus, both maps


def floats(registers: Sequence[int]) -> list[float]:
    return [
        value
        for (value,) in struct.iter_unpack(">f", struct.pack(f">{len(registers)}H", *registers))
    ]


def test_pymodbus_reads_both_maps(tmp_path: Path, port: int) -> None:
    line = exporting()
    with one_board(tmp_path, port) as (gateway, board):
        tell(gateway, board, line)

        async def work(client: AsyncModbusTcpClient) -> None:
            found = await client.read_input_registers(0, count=36, device_id=1)
            values = floats(found.registers)
            assert values[:9] == pytest.approx(
                [119.876, 121.234, 0, 12.346, 45, 0, 1234.567, -5446.067, 0]
            )
            assert values[15:18] == pytest.approx([0.866, -0.9876, 0])
            found = await client.read_input_registers(0x34, count=24, device_id=1)
            values = floats(found.registers)
            assert [values[0], values[2], values[4], values[5]] == pytest.approx(
                [-4211.5, 9876.543, -812.345, -0.4264]
            )
            assert values[9:] == pytest.approx([59.987, 13333.3346387, 70.008, *values[12:]])
            for function in (client.read_holding_registers, client.read_input_registers):
                found = await function(40000, count=4, device_id=1)
                assert found.registers == [0x5375, 0x6E53, 1, 66]
            # All of SunSpec, in pieces as large as there may be.
            first = await client.read_holding_registers(40000, count=125, device_id=1)
            rest = await client.read_holding_registers(40125, count=54, device_id=1)
            assert len(first.registers) + len(rest.registers) == 179
            assert list(rest.registers[-2:]) == [0xFFFF, 0]

        with_client(port, work)


def test_what_is_not_there_is_refused(tmp_path: Path, port: int) -> None:
    async def work(client: AsyncModbusTcpClient) -> None:
        for first, count in ((0, 1), (39999, 2), (40178, 2), (40179, 1), (65535, 1)):
            found = await client.read_holding_registers(first, count=count, device_id=1)
            assert found.exception_code == ExcCodes.ILLEGAL_ADDRESS, first
        last = 0x17C
        for first, count in ((1, 2), (0, 3), (last + 2, 2), (last, 4)):
            found = await client.read_input_registers(first, count=count, device_id=1)
            assert found.exception_code == ExcCodes.ILLEGAL_ADDRESS, first
        assert not (await client.read_input_registers(last, count=2, device_id=1)).isError()
        for unit in (0, 2, 247, 255):
            found = await client.read_holding_registers(40000, count=2, device_id=unit)
            assert found.exception_code == ExcCodes.GATEWAY_NO_RESPONSE, unit

    with one_board(tmp_path, port):
        with_client(port, work)


def test_nothing_can_be_written(tmp_path: Path, port: int) -> None:
    async def work(client: AsyncModbusTcpClient) -> None:
        async def registers() -> list[int]:
            sunspec = await client.read_holding_registers(40000, count=125, device_id=1)
            sdm630 = await client.read_input_registers(0, count=120, device_id=1)
            return [*sunspec.registers, *sdm630.registers]

        before = await registers()
        for address in (0, 40066, 40090):
            for found in (
                await client.write_coil(address, True, device_id=1),
                await client.write_coils(address, [True, False], device_id=1),
                await client.write_register(address, 7, device_id=1),
                await client.write_registers(address, [7, 8], device_id=1),
                await client.mask_write_register(
                    address=address, and_mask=0, or_mask=9, device_id=1
                ),
                await client.readwrite_registers(
                    read_address=address,
                    read_count=2,
                    write_address=address,
                    values=[7, 8],
                    device_id=1,
                ),
                await client.read_coils(address, count=1, device_id=1),
                await client.read_device_information(read_code=1, object_id=0, device_id=1),
                await client.diag_force_listen_only(device_id=1, no_response_expected=False),
            ):
                assert found.exception_code == ExcCodes.ILLEGAL_FUNCTION
        assert await registers() == before

    with one_board(tmp_path, port):
        with_client(port, work)


# ---- boards


def test_two_boards_have_two_units(tmp_path: Path, port: int) -> None:
    with (
        SayingBoard() as one,
        SayingBoard(OTHER_ID, board="feather_rp2040") as two,
        running(tmp_path, [one, two], units=[5, 240], modbus={"port": port}) as gateway,
    ):
        tell(gateway, one, said(wh=1000.0), 0)
        tell(gateway, two, exporting(), 1)
        common, meter = scan(port, 5)
        assert (common.SN.value, common.DA.value, meter.TotWhImp.value) == (CHIP_ID, 5, 1000)
        common, meter = scan(port, 240)
        assert (common.SN.value, common.DA.value) == (OTHER_ID, 240)
        assert (common.Md.value, meter.TotWhImp.value) == ("feather_rp2040", 13333334)


def test_a_board_that_is_unplugged_is_not_there_until_it_comes_back(
    tmp_path: Path, port: int
) -> None:
    async def told(client: AsyncModbusTcpClient) -> int | None:
        """The code of a refusal, or the kWh imported."""
        found = await client.read_input_registers(0x48, count=2, device_id=1)
        held = await client.read_holding_registers(40090, count=1, device_id=1)
        assert found.isError() == held.isError()
        return found.exception_code or round(floats(found.registers)[0])

    with one_board(tmp_path, port) as (gateway, board):
        tell(gateway, board, said(wh=7000.0))

        async def work(client: AsyncModbusTcpClient) -> None:
            assert await told(client) == 7
            board.unplug()
            end = time.monotonic() + 10
            while await told(client) != ExcCodes.GATEWAY_NO_RESPONSE:
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            board.plug()
            await asyncio.to_thread(board.wait_client, 2)
            await asyncio.to_thread(tell, gateway, board, said(t=11.0, wh=9000.0))
            assert await told(client) == 9

        with_client(port, work)


def test_an_answer_is_of_one_report(tmp_path: Path, port: int) -> None:
    def line(k: int) -> dict[str, Any]:
        made = said(t=10.0 + k, watts=float(k), var=float(k), va=float(k))
        made["elements"] = [
            {**element, "watts": float(k), "amps": float(k)} for element in made["elements"]
        ]
        return made

    done = threading.Event()
    with one_board(tmp_path, port) as (gateway, board):
        tell(gateway, board, line(0))

        def say() -> None:
            k = 0
            while not done.is_set():
                k = (k + 1) % 100
                board.report(line(k))
                time.sleep(0.002)

        talking = threading.Thread(target=say)
        talking.start()

        async def work(client: AsyncModbusTcpClient) -> None:
            seen = set()
            for _ in range(500):
                found = await client.read_input_registers(0x06, count=60, device_id=1)
                values = floats(found.registers)
                of_one = {values[0], values[1], values[3], values[4], values[23], values[25]}
                assert len(of_one) == 1
                seen |= of_one
            assert len(seen) > 5

        try:
            with_client(port, work)
        finally:
            done.set()
            talking.join()


# ---- limits


def ask(connection: socket.socket, unit: int = 1) -> bytes:
    connection.sendall(struct.pack(">HHHBBHH", 7, 0, 6, unit, 3, 40000, 2))
    return connection.recv(100)


GOOD = struct.pack(">HHHBBB", 7, 0, 7, 1, 3, 4) + b"SunS"


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def ask_of_a_new_one(port: int) -> bytes:
    with connected(port) as connection, contextlib.suppress(OSError):
        return ask(connection)
    return b""


def is_closed(connection: socket.socket) -> bool:
    """Whether the other end closes, without a word more."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def test_requests_that_come_together_are_answered_in_order(tmp_path: Path, port: int) -> None:
    asked = b"".join(struct.pack(">HHHBBHH", k, 0, 6, 1, 3, 40000, 2) for k in range(300))
    with one_board(tmp_path, port), connected(port) as connection:
        began = time.monotonic()
        connection.sendall(asked)
        with connection.makefile("rb") as answers:
            for k in range(300):
                assert answers.read(13) == struct.pack(">H", k) + GOOD[2:]
        # 1 ms from one to the next: a flood does not keep the loop from all else.
        assert time.monotonic() - began > 0.29


def test_more_connections_than_there_may_be_are_closed(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with one_board(tmp_path, port, connections=3), contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(port)) for _ in range(3)]
        assert [ask(connection) for connection in held] == 3 * [GOOD]
        for _ in range(5):
            with connected(port) as fourth:
                assert is_closed(fourth)
        assert [ask(connection) for connection in held] == 3 * [GOOD]
        held[0].close()

        wait_for(lambda: ask_of_a_new_one(port) == GOOD, "room for another")
    warned = [record for record in caplog.records if "3 connections are open" in record.message]
    assert len(warned) == 1  # not one for each


def test_one_that_says_nothing_or_takes_nothing_is_closed(tmp_path: Path, port: int) -> None:
    with (
        one_board(tmp_path, port, idle_s=1.0, connections=4) as (_, board),
        connected(port) as silent,
        connected(port) as half,
        connected(port) as deaf,
        connected(port) as busy,
        contextlib.ExitStack() as stack,
    ):
        half.sendall(b"\0\7\0\0\0\6\1")
        # What asks without reading fills both ends' buffers, and waits then.
        deaf.settimeout(0.2)
        asked = 100 * struct.pack(">HHHBBHH", 7, 0, 6, 1, 3, 40000, 125)
        with contextlib.suppress(OSError):
            while True:
                deaf.sendall(asked)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            board.report(said())
            assert ask(busy) == GOOD
            time.sleep(0.1)
        assert is_closed(silent)
        assert is_closed(half)
        # All three have given their places back.
        others = [stack.enter_context(connected(port)) for _ in range(3)]
        assert [ask(each) for each in (*others, busy)] == 4 * [GOOD]


def test_where_it_cannot_listen_it_is_told_and_tried_again(tmp_path: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with (
            SayingBoard() as board,
            running(tmp_path, [board], modbus={"port": port}) as gateway,
        ):
            (sink,) = gateway.sinks
            wait_for(lambda: "cannot listen" in sink.status.said, "the word of it")
            assert not sink.status.is_ok
            assert (
                sink.status.said == f"cannot listen at 127.0.0.1:{port} (address already in use); "
                "give [modbus] another host or port"
            )
            tell(gateway, board, said())
            taken.close()
            wait_for(lambda: sink.status.is_ok, "another try")
            assert sink.status.said == f"listening at 127.0.0.1:{port}"
            tell(gateway, board, said(t=11.0))
            with connected(port) as connection:
                assert ask(connection) == GOOD


def test_a_port_that_needs_rights_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any, **options: Any) -> None:
        # As asyncio has it where the system refuses.
        raise OSError(errno.EACCES, "error while attempting to bind on address: permission denied")

    monkeypatch.setattr(asyncio, "start_server", refuse)
    sink = modbus.Sink(modbus.Settings(port=502), cast(Gateway, None))
    with pytest.raises(ConnectionError) as told:
        asyncio.run(sink.run(Feed(False), Status("modbus")))
    assert str(told.value) == (
        "cannot listen at 127.0.0.1:502 (permission denied); a port from 1024 on needs no rights"
    )


def test_settings_out_of_bounds() -> None:
    for table in ({"connections": 0}, {"idle_s": 0}, {"port": 0}, {"host": ""}, {"port": 70000}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(table, modbus.Settings)


# ---- cost


def test_what_a_snapshot_and_a_poll_cost(tmp_path: Path) -> None:
    """Printed with -s; the bounds are far from what is measured."""
    of = snapshot(report_of(exporting()))
    made = [modbus._Meter(of) for _ in range(300)]
    taken = cpu(lambda: [modbus._Meter(of) for _ in range(300)]) / 300
    filled = cpu(lambda: [meter.words for meter in made]) / 300
    asked = 1000 * struct.pack(">HHHBBHH", 7, 0, 6, 1, 3, 40070, 107)

    async def polls() -> None:
        server = modbus_tcp.Server(lambda unit, pdu: made[0].answer(pdu), 8, 60)
        port = free_port()
        ready = asyncio.Event()
        task = asyncio.ensure_future(server.serve("127.0.0.1", port, ready.set))
        await ready.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(1000):
            writer.write(asked[:12])
            await reader.readexactly(9 + 214)
        writer.close()
        task.cancel()

    polled = cpu(lambda: asyncio.run(polls())) / 1000
    print(
        f"\na snapshot {1e6 * taken:.1f} us, its registers, once it is polled, {1e6 * filled:.0f} "
        f"us; a poll of 107 registers {1e6 * polled:.0f} us, its client's part with it"
    )
    assert taken < 1e-4
    assert filled < 5e-3
    assert polled < 5e-3


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
