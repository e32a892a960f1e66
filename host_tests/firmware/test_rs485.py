"""The UART with its driver's direction, on stand-ins for MicroPython's parts; the emulated board
has the real ones."""

import importlib
import sys
from types import ModuleType
from typing import Any

import pytest

SETTINGS = {"uart": 1, "tx": 8, "rx": 9, "direction": 7, "parity": 0}


class Pin:
    OUT = 1

    def __init__(self, number: int, mode: int = 0, value: int | None = None) -> None:
        self.number = number
        self.levels = [] if value is None else [value]

    def __call__(self, level: int) -> None:
        self.levels.append(level)


class Uart:
    def __init__(self, number: int, baudrate: int, **options: Any) -> None:
        self.number, self.baudrate, self.options = number, baudrate, options
        self.sent: list[bytes] = []
        self.done = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)
        self.done = False

    def txdone(self) -> bool:
        return self.done

    def any(self) -> int:
        return 0

    def readinto(self, buffer: bytearray, size: int) -> int:
        return 0


class Timer:
    ONE_SHOT = 0

    def __init__(self, number: int) -> None:
        self.number = number
        self.given: dict[str, Any] = {}

    def init(self, **given: Any) -> None:
        self.given = given


class Clock(ModuleType):
    now = (1 << 30) - 1000

    def ticks_us(self) -> int:
        return self.now % (1 << 30)

    @staticmethod
    def ticks_diff(later: int, earlier: int) -> int:
        return (later - earlier + (1 << 29)) % (1 << 30) - (1 << 29)


@pytest.fixture
def rs485(monkeypatch: pytest.MonkeyPatch) -> Any:
    machine: Any = ModuleType("machine")
    machine.UART, machine.Pin, machine.Timer = Uart, Pin, Timer
    monkeypatch.setitem(sys.modules, "machine", machine)
    monkeypatch.delitem(sys.modules, "threewire.chip.rs485", raising=False)
    module = importlib.import_module("threewire.chip.rs485")
    monkeypatch.setattr(module, "time", Clock("time"))
    return module


@pytest.mark.parametrize(
    ("baudrate", "silence_us"),
    # 3.5 characters of 11 bits, rounded up by the bit; above 19200 baud what the standard fixes.
    [(9600, 4011), (19200, 2005), (38400, 1750), (57600, 1750), (115200, 1750)],
)
def test_silence_by_the_standard(rs485: Any, baudrate: int, silence_us: int) -> None:
    line = rs485.Rs485(SETTINGS, -1)
    line.begin(baudrate)
    assert abs(line.period_us - silence_us) <= 4


@pytest.mark.parametrize(("parity", "stop"), [(0, 1), (1, 1), (None, 2)])
def test_a_character_has_eleven_bits(rs485: Any, parity: int | None, stop: int) -> None:
    line = rs485.Rs485(SETTINGS | {"parity": parity}, -1)
    line.begin(9600)
    uart = line._port
    assert (uart.number, uart.baudrate) == (1, 9600)
    assert (uart.options["parity"], uart.options["stop"]) == (parity, stop)
    assert (uart.options["tx"].number, uart.options["rx"].number) == (8, 9)
    # Any frame fits, so that nothing waits for it.
    assert uart.options["txbuf"] >= 256 <= uart.options["rxbuf"]


@pytest.mark.parametrize(
    ("timer", "longer_us"),
    # Two bits, a hard interrupt; or a character, where MicroPython gets round to it.
    [(-1, 104), (1, 573)],
)
def test_the_driver_drives_while_a_frame_goes(rs485: Any, timer: int, longer_us: int) -> None:
    line = rs485.Rs485(SETTINGS, timer)
    line.begin(19200)
    assert line._out.levels == [0] and not line.busy()
    line.write(bytes(100))
    assert line._out.levels == [0, 1] and line.busy()
    given = line._timer.given
    assert line._timer.number == timer and given.get("hard", False) == (timer < 0)
    assert given["tick_hz"] == 1000000 and given["mode"] == Timer.ONE_SHOT
    assert given["period"] - 100 * 11 / 19200 * 1e6 == pytest.approx(longer_us, abs=20)
    line._port.done = True
    given["callback"](line._timer)
    assert line._out.levels == [0, 1, 0]
    rs485.time.now += given["period"]
    assert not line.busy()


def test_a_uart_that_was_kept_waiting_goes_on_driving(rs485: Any) -> None:
    line = rs485.Rs485(SETTINGS, -1)
    line.begin(19200)
    line.write(b"12345678")
    given = line._timer.given
    given["callback"](line._timer)
    rs485.time.now += 2 * given["period"]
    assert line.busy() and line._out.levels == [0, 1]
    line._port.done = True
    assert not line.busy() and line._out.levels == [0, 1, 0]


def test_without_a_direction_there_is_neither_pin_nor_timer(rs485: Any) -> None:
    line = rs485.Rs485(SETTINGS | {"direction": None}, 1)
    line.begin(19200)
    line.write(b"12345678")
    assert line.busy() and line._out is None and line._timer is None
    rs485.time.now += 10000
    line._port.done = True
    assert not line.busy()
