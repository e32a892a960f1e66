"""The chip's side of the loop: why the board has started, as the chip's registers tell it."""

import importlib
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from threewire.chip.chips import CHIPS

# Of MicroPython's rp2 port; esp32 has others.
PWRON_RESET, WDT_RESET = 1, 3
# pico-sdk's hardware_watchdog: watchdog_enable() writes it, watchdog_reboot() a 0 or the boot
# ROM's 0xb007c0d3.  WATCHDOG SCRATCH4 is at 0x1c in the datasheets of both chips.
ENABLED, REBOOT, BOOT_VECTOR = 0x6AB73121, 0, 0xB007C0D3
SCRATCH4 = {"rp2040": 0x4005801C, "rp2350": 0x400D801C}


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """serial_port on a chip: `cause` to be told, and memory at addresses."""
    machine = SimpleNamespace(
        WDT=None, Pin=None, Timer=None, mem32={}, PWRON_RESET=PWRON_RESET, WDT_RESET=WDT_RESET
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
