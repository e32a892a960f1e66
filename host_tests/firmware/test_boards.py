"""Every board file, and the firmware with it, as its chip would get them."""

from pathlib import Path

import pytest

from threewire.chip.chips import CHIPS
from threewire.metering.layout import INPUTS, Layout, LayoutError
from tools import image
from tools.common import boards

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = [ROOT / "firmware" / "main.py", *sorted((ROOT / "firmware/threewire").rglob("*.py"))]
WANTED = {"feather_rp2040", "xiao_rp2040", "pico", "pico2", "esp32_devkitc"}
ARCHES = {"rp2040": "armv6m", "rp2350": "armv7emsp", "esp32": "xtensawin"}
# Analogue pins by chip: RP2040 and RP2350A 26..29, ESP32 those of ADC1.
ANALOGUE = {"rp2040": range(26, 30), "rp2350": range(26, 30), "esp32": range(32, 40)}


def compiled(source: Path, arch: str, folder: Path) -> int:
    """Bytes of the .mpy that mpy-cross makes; InputError if it does not compile."""
    return len(image.compile_module(source, source.name, arch, folder / "module.mpy"))


def test_the_boards_there_are():
    assert set(boards.names()) >= WANTED


@pytest.mark.parametrize("name", boards.names())
def test_board_is_sound(name):
    board = boards.module(name)
    layout = boards.load(name)
    assert board.NAME == name == layout.name
    assert ARCHES[board.CHIP] == CHIPS[board.CHIP]["mpy_arch"]
    pins = [pin for _, pin in board.SLOTS]
    assert all(pin in ANALOGUE[board.CHIP] for pin in pins)
    pins += [pin for pin, _ in board.LEDS.values()]
    assert len(pins) == len(set(pins)), "a pin is used twice"
    assert set(board.LEDS) == {"kwh", "ten", "reverse"}
    assert all(level in (0, 1) for _, level in board.LEDS.values())
    assert set(layout.slot) == set(INPUTS)
    assert layout.frame_ticks > 0 and layout.tick_hz > 0
    # All slots fit into a frame, and full load fits the converter.
    frame_ns = 1e9 * layout.frame_ticks / layout.tick_hz
    assert max(layout.slot_ns.values()) < frame_ns
    peak = 2**0.5 * board.CLASS_AMPS * 1e9 / layout.na_per_count
    assert peak < 2048
    assert 1.15 * 2**0.5 * board.NOMINAL_VOLTS * 1e9 / layout.nv_per_count < 2048


@pytest.mark.parametrize("name", [n for n in boards.names() if n != "esp32_devkitc"])
def test_dma_boards_keep_the_datasheets_limits(name):
    """RP2040 datasheet 4.9: a conversion takes 96 clocks of 48 MHz, DIV.INT has 16 bits, the round
    robin goes upwards from the first input."""
    board = boards.module(name)
    layout = boards.load(name)
    assert board.SAMPLER["kind"] == "dma"
    assert 96 <= board.SAMPLER["clocks"] <= 65536
    pins = [pin for _, pin in board.SLOTS]
    assert pins == sorted(pins)
    assert layout.frame_ticks == board.SAMPLER["clocks"] * len(pins)
    assert layout.tick_hz == 48_000_000
    rate_hz = layout.tick_hz / layout.frame_ticks
    assert rate_hz >= 10_000
    # Flash erase and garbage collection may hold the program up for 150 ms.
    assert (board.SAMPLER["ring_frames"] - 256) / rate_hz > 0.150


@pytest.mark.parametrize("name", ["pico", "pico2"])
def test_derived_voltage_is_minus_the_other(name):
    layout = boards.load(name)
    assert layout.stride == 3
    assert layout.slot["v2"] == layout.slot["v1"]
    assert layout.slot_ns["v2"] == layout.slot_ns["v1"]
    assert (layout.sign["v1"], layout.sign["v2"]) == (1, -1)


def test_input_without_a_slot_is_refused():
    class Board:
        NAME = "half"
        SLOTS = (("i1", 26), ("v1", 27))
        DERIVED = {}  # noqa: RUF012
        SAMPLER = {"kind": "dma", "clocks": 1200}  # noqa: RUF012

    with pytest.raises(LayoutError, match="half: input v2"):
        Layout(Board)


@pytest.mark.parametrize("name", boards.names())
def test_firmware_compiles_for_the_board(name, tmp_path):
    board = boards.module(name)
    sources = [*FIRMWARE, boards.BOARDS / f"{name}.py"]
    arch = CHIPS[board.CHIP]["mpy_arch"]
    if not arch.startswith("arm"):
        sources = [source for source in sources if not source.stem.endswith("_thumb")]
    for source in sources:
        assert compiled(source, arch, tmp_path)
    # An eighth of what the board has for files.
    flashed = sum(len(data) for data in image.contents(name).values())
    assert flashed < image.geometry(name).size // 8
