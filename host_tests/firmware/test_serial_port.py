"""The chip's side of the loop: why the board has started, as the chip's registers tell it."""

import importlib
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from threewire.chip.chips import CHIPS

# Of MicroPython's rp2 port; esp32 has others.
PWRON_RESET, HARD_RESET, WDT_RESET = 1, 2, 3
# pico-sdk's hardware_watchdog: watchdog_enable() writes it, watchdog_reboot() a 0 or the boot
# ROM's 0xb007c0d3.  WATCHDOG SCRATCH4 is at 0x1c in the datasheets of both chips.
ENABLED, REBOOT, BOOT_VECTOR = 0x6AB73121, 0, 0xB007C0D3
SCRATCH4 = {"rp2040": 0x4005801C, "rp2350": 0x400D801C}


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """serial_port on a chip: `cause` to be told, and memory at addresses."""
    kept = [b""]

    def memory(data: bytes | None = None) -> bytes | None:
        if data is None:
            return kept[0]
        kept[0] = data
        return None

    machine = SimpleNamespace(
        WDT=None,
        Pin=None,
        Timer=None,
        mem32={},
        PWRON_RESET=PWRON_RESET,
        HARD_RESET=HARD_RESET,
        WDT_RESET=WDT_RESET,
        RTC=lambda: SimpleNamespace(memory=memory),
        kept=kept,
    )
    monkeypatch.setitem(sys.modules, "machine", machine)
    monkeypatch.delitem(sys.modules, "threewire.chip.serial_port", raising=False)
    module: Any = importlib.import_module("threewire.chip.serial_port")

    def cause(name: str, told: int, scratch4: int | None = None) -> str:
        machine.reset_cause = lambda: told
        machine.mem32.clear()
        if scratch4 is not None:
            machine.mem32[SCRATCH4[name]] = scratch4
        return module.cause(CHIPS[name])

    cause.machine = machine  # type: ignore[attr-defined]
    yield cause
    sys.modules.pop("threewire.chip.serial_port", None)


@pytest.mark.parametrize("name", ["rp2040", "rp2350"])
def test_only_a_watchdog_that_ran_out_is_a_fault(name: str, chip: Any) -> None:
    """MicroPython says WDT_RESET of a machine.reset() and of the start after a UF2 too."""
    assert chip(name, PWRON_RESET, 0) == "power"
    # A power-on, or the reset button, after metering: the register keeps what it had.
    assert chip(name, PWRON_RESET, ENABLED) == "power"
    assert chip(name, WDT_RESET, REBOOT) == "power"
    assert chip(name, WDT_RESET, BOOT_VECTOR) == "power"
    assert chip(name, WDT_RESET, ENABLED) == "watchdog"


def test_an_esp32_tells_it_by_itself(chip: Any) -> None:
    assert chip("esp32", PWRON_RESET) == "power"
    assert chip("esp32", WDT_RESET) == "watchdog"


def test_a_panic_is_no_power_on(chip: Any) -> None:
    """MicroPython tells both, and the chip's own reset, as HARD_RESET; what the RTC's memory
    holds is gone after a power-on."""
    assert chip("esp32", HARD_RESET) == "power"
    assert chip("esp32", HARD_RESET) == "panic"
    assert chip("esp32", WDT_RESET) == "watchdog"
    assert chip("esp32", PWRON_RESET) == "power"
    assert chip("esp32", HARD_RESET) == "panic"
    chip.machine.kept[0] = b""
    assert chip("esp32", HARD_RESET) == "power"


@pytest.mark.parametrize(
    ("levels", "sealed"),
    [
        ([0] * 100, False),
        ([1] * 100, True),
        # A wire that hangs from the pin: low for most of a cycle of hum, and high once.
        ([0] * 17 + [1] + [0] * 82, True),
        ([1] + [0] * 99, True),
    ],
)
def test_a_seal_is_open_only_while_it_is_at_ground_all_along(
    levels: list[int], sealed: bool, chip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["threewire.chip.serial_port"]
    left = list(levels)
    slept = []
    monkeypatch.setattr("time.sleep_ms", slept.append, raising=False)

    class Pin:
        IN, PULL_UP = 0, 1

        def __init__(self, number: int, mode: int, pull: int) -> None:
            assert (number, mode, pull) == (12, self.IN, self.PULL_UP)

        def value(self) -> int:
            return left.pop(0)

    monkeypatch.setattr(module, "Pin", Pin)
    assert vars(module)["is_sealed"](SimpleNamespace(SEAL=12)) is sealed
    # Longer than a cycle of 50 Hz, where it is open.
    assert sealed or sum(slept) > 20


@pytest.mark.parametrize(("name", "timers"), [("esp32", 4), ("esp32s3", 4), ("esp32c3", 2)])
def test_the_prompt_feeds_the_watchdog_by_a_timer_that_the_chip_has(
    name: str, timers: int, chip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SOC_TIMER_GROUP_TOTAL_TIMERS of ESP-IDF, of which a safe mode blinks with one."""
    started: list[tuple[int, Any]] = []

    def timer(number: int) -> Any:
        if not 0 <= number < timers:
            raise ValueError("invalid Timer number")
        return SimpleNamespace(init=lambda period, callback: started.append((number, callback)))

    module: Any = sys.modules["threewire.chip.serial_port"]
    monkeypatch.setattr(module, "Timer", timer)
    monkeypatch.setattr(module.micropython, "kbd_intr", lambda key: None, raising=False)
    fed: list[str] = []
    port = SimpleNamespace(
        write=lambda text: None,
        _watchdog_ctrl=CHIPS[name]["watchdog_ctrl"],
        _watchdog=SimpleNamespace(feed=lambda: fed.append("fed")),
        _timer=None,
    )
    module.SerialPort.close(port)
    ((number, feed),) = started
    assert number != CHIPS[name]["software_timer"]
    feed(port._timer)
    assert fed == ["fed"]
