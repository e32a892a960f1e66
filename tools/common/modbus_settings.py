"""What a board file may say of its Modbus line: MODBUS, checked before it goes onto a board.

Flow: board file -> MODBUS SETTINGS -> boards.load.
"""

from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

from threewire.operation.pulse_settings import NAMES as pulse_names

# Pins that an RP2040's or RP2350's UART can have, by its number: TX, RX (RP2040 datasheet, table
# "GPIO Functions"; RP2350's as well).
_RP2 = {0: ((0, 12, 16, 28), (1, 13, 17, 29)), 1: ((4, 8, 20, 24), (5, 9, 21, 25))}
# An ESP32's can have any pins that it has; those here are inputs only, of an ESP32.
_ESP32_INPUTS = range(34, 40)
# UARTs beside the one with the prompt.
_ESP32_UARTS = {"esp32": (1, 2), "esp32s3": (1, 2), "esp32c3": (1,)}
_PINS = {"esp32": 40, "esp32s3": 49, "esp32c3": 22}
_RP2_PINS = 30
# Between an RP2040 or RP2350 and the Wi-Fi chip of a Pico W or Pico 2 W (their datasheets).
_RP2_WIFI = (23, 24, 25, 29)
BAUDRATES = (9600, 19200, 38400, 57600, 115200)
_KEYS = ("uart", "tx", "rx", "direction", "address", "baudrate", "parity")


def check(board: ModuleType) -> None:
    """Raises ValueError, whose text says which setting and what would be right."""
    try:
        _check(board)
    except ValueError as problem:
        raise ValueError(f"board {board.NAME}: {problem}") from None


def _check(board: ModuleType) -> None:
    settings: Any = vars(board).get("MODBUS")
    if settings is None:
        if hasattr(board, "MODBUS"):
            raise ValueError("MODBUS: expected a dict of settings, or no such line, not None")
        return
    if not isinstance(settings, Mapping):
        raise ValueError(f"MODBUS: expected a dict of settings, not {settings!r}")
    missing = [key for key in _KEYS if key not in settings]
    unknown = [key for key in settings if key not in _KEYS]
    if missing or unknown:
        wrong = f"lacks {missing[0]!r}" if missing else f"has {unknown[0]!r}"
        raise ValueError(f"MODBUS {wrong}; expected are {', '.join(_KEYS)}")
    chip: str = board.CHIP
    is_rp2 = chip.startswith("rp2")
    _one_of(settings, "uart", sorted(_RP2) if is_rp2 else _ESP32_UARTS[chip])
    if is_rp2:
        tx, rx = _RP2[settings["uart"]]
        directions: Collection[int] = range(_RP2_PINS)
    else:
        rx = range(_PINS[chip])
        inputs = _ESP32_INPUTS if chip == "esp32" else ()
        directions = tx = [pin for pin in rx if pin not in inputs]
    _one_of(settings, "tx", tx)
    _one_of(settings, "rx", rx)
    if settings["direction"] is not None:
        _one_of(settings, "direction", directions, " or None")
    _one_of(settings, "address", range(1, 248))
    _one_of(settings, "baudrate", BAUDRATES)
    if settings["parity"] is not None:
        _one_of(settings, "parity", (0, 1), " (even, odd) or None")
    _not_taken(board, settings)


def _one_of(
    settings: Mapping[str, Any], key: str, allowed: Collection[int], also: str = ""
) -> None:
    value = settings[key]
    if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
        return
    if isinstance(allowed, range):
        shown = f"{allowed[0]} to {allowed[-1]}"
    else:
        *most, last = map(str, allowed)
        shown = f"{', '.join(most)} or {last}" if most and not also else ", ".join([*most, last])
    raise ValueError(f"MODBUS {key}: {value!r}; expected {shown}{also}")


def _not_taken(board: ModuleType, settings: Mapping[str, Any]) -> None:
    taken = {pin: f"input {name}" for name, pin in board.SLOTS if pin is not None}
    taken |= {pin: f"LED {name}" for name, (pin, _) in board.LEDS.items()}
    taken[board.SEAL] = "the seal"
    if hasattr(board, "WIFI") and board.CHIP.startswith("rp2"):
        taken |= dict.fromkeys(_RP2_WIFI, "the Wi-Fi chip")
    pulses = getattr(board, "PULSES", {})
    taken |= {pulses.get(name): f"PULSES {name}" for name in pulse_names}
    for key in ("tx", "rx", "direction"):
        pin = settings[key]
        if pin is None:
            continue
        if pin in taken:
            raise ValueError(f"MODBUS {key}: pin {pin} is that of {taken[pin]}")
        taken[pin] = f"MODBUS {key}"
