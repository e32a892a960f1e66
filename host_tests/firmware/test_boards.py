"""Every board file, and the firmware with it, as its chip would get them."""

from pathlib import Path

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import convert
from threewire.chip.chips import CHIPS
from threewire.metering.layout import INPUTS, Layout, LayoutError
from tools import image
from tools.common import boards
from tools.engines import process as engine_process
from tools.front_end.waves import Wave
from tools.selftest import chips as selftest

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = [ROOT / "firmware" / "main.py", *sorted((ROOT / "firmware/threewire").rglob("*.py"))]
WANTED = {
    *("feather_rp2040", "xiao_rp2040", "pico", "pico_w", "qtpy_rp2040"),
    *("arduino_nano_rp2040_connect", "pico2", "pico2_w", "feather_rp2350", "xiao_rp2350"),
    *("waveshare_rp2350_zero", "esp32_devkitc", "esp32s3_devkitc", "xiao_esp32s3"),
    "esp32c3_devkitm",
}
ARCHES = {
    "rp2040": "armv6m",
    "rp2350": "armv7emsp",
    "esp32": "xtensawin",
    "esp32s3": "xtensawin",
    "esp32c3": "rv32imc",
}
# Analogue pins by chip: RP2040 and RP2350A 26..29, of the others those of ADC1.
ANALOGUE = {
    "rp2040": range(26, 30),
    "rp2350": range(26, 30),
    "esp32": range(32, 40),
    "esp32s3": range(1, 11),
    "esp32c3": range(5),
}
# Pins that the chip or its boot needs otherwise: what they are strapped to at reset, flash, USB.
# RP2040: GPIO15, which revisions B0 and B1 borrow (datasheet, erratum RP2040-E5).
NOT_FREE = {
    "rp2040": {15},
    "rp2350": set(),
    "esp32": {0, 2, 5, 12, 15, *range(6, 12)},
    "esp32s3": {0, 19, 20, 45, 46, *range(26, 38)},
    "esp32c3": {2, 8, 9, *range(11, 20)},
}
# Of machine.Timer, those of the hardware (SOC_TIMER_GROUP_TOTAL_TIMERS of ESP-IDF).
TIMERS = {"esp32": 4, "esp32s3": 4, "esp32c3": 2}
DMA = [name for name in boards.names() if boards.module(name).SAMPLER["kind"] == "dma"]
DERIVED = {"pico", "pico_w", "pico2", "pico2_w", "xiao_rp2350"}
# What MicroPython 1.29 gives to files, KiB: on an ESP32 what is left of the flash behind 2 MB.
FILES_KIB = {
    "feather_rp2040": 7 * 1024,
    "xiao_rp2040": 1408,
    "pico": 1408,
    "pico_w": 848,
    "qtpy_rp2040": 7 * 1024,
    "arduino_nano_rp2040_connect": 1408,
    "pico2": 3 * 1024,
    "pico2_w": 4096 - 1536,
    "feather_rp2350": 7 * 1024,
    "xiao_rp2350": 1408,
    "waveshare_rp2350_zero": 3 * 1024,  # the Pico 2's build
    "esp32_devkitc": 2 * 1024,
    "esp32s3_devkitc": 6 * 1024,
    "xiao_esp32s3": 6 * 1024,
    "esp32c3_devkitm": 2 * 1024,
}


def compiled(source: Path, arch: str, folder: Path) -> int:
    """Bytes of the .mpy that mpy-cross makes; InputError if it does not compile."""
    return len(image.compile_module(source, source.name, arch, folder / "module.mpy"))


def test_the_boards_there_are():
    assert set(boards.names()) >= WANTED == set(FILES_KIB)


def test_every_table_of_chips_has_every_chip():
    assert set(ARCHES) <= set(CHIPS) == set(selftest.CHIPS)
    assert {boards.module(name).CHIP for name in WANTED} == set(ARCHES)


@pytest.mark.parametrize("name", boards.names())
def test_board_is_sound(name):
    board = boards.module(name)
    layout = boards.load(name)
    assert board.NAME == name == layout.name
    assert ARCHES[board.CHIP] == CHIPS[board.CHIP]["mpy_arch"]
    pins = [pin for _, pin in board.SLOTS]
    assert all(pin in ANALOGUE[board.CHIP] for pin in pins)
    pins += [pin for pin, _ in board.LEDS.values()]
    pins.append(board.SEAL)
    assert len(pins) == len(set(pins)), "a pin is used twice"
    assert not NOT_FREE[board.CHIP].intersection(pins)
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


@pytest.mark.parametrize("name", sorted(WANTED))
def test_the_file_system_is_as_large_as_micropython_makes_it(name):
    chip = boards.module(name).CHIP
    flash = image.geometry(name)
    assert flash.blocks * 4 == FILES_KIB[name]
    assert flash.prog_size == (32 if chip.startswith("esp32") else 256)


@pytest.mark.parametrize("name", [name for name in boards.names() if name not in DMA])
def test_boards_without_dma_have_the_timers_that_they_use(name):
    board = boards.module(name)
    used = {board.SAMPLER["timer"], CHIPS[board.CHIP]["software_timer"]}
    assert len(used) == 2
    assert all(0 <= timer < TIMERS[board.CHIP] for timer in used)
    assert not board.SAMPLER["hard"]


@pytest.mark.parametrize("name", DMA)
def test_dma_boards_keep_the_datasheets_limits(name):
    """RP2040 datasheet 4.9: a conversion takes 96 clocks of 48 MHz, DIV.INT has 16 bits, the round
    robin goes upwards from the first input."""
    board = boards.module(name)
    layout = boards.load(name)
    assert 96 <= board.SAMPLER["clocks"] <= 65536
    pins = [pin for _, pin in board.SLOTS]
    assert pins == sorted(pins)
    assert layout.frame_ticks == board.SAMPLER["clocks"] * len(pins)
    assert layout.tick_hz == 48_000_000
    rate_hz = layout.tick_hz / layout.frame_ticks
    assert rate_hz >= 10_000
    # Flash erase and garbage collection may hold the program up for 150 ms.
    assert (board.SAMPLER["ring_frames"] - 256) / rate_hz > 0.150


def test_which_boards_derive_a_voltage():
    assert {name for name in WANTED if boards.module(name).DERIVED} == DERIVED
    for name in WANTED - DERIVED:
        assert boards.load(name).stride == 4


@pytest.mark.parametrize("name", sorted(DERIVED))
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


@pytest.mark.parametrize("chip", CHIPS)
def test_every_source_compiles_as_it_stands(chip, tmp_path):
    row = CHIPS[chip]
    sources = FIRMWARE
    if not row["has_thumb"]:
        assert not row["mpy_arch"].startswith("arm")
        sources = [source for source in sources if not source.stem.endswith("_thumb")]
    for source in sources:
        assert compiled(source, row["mpy_arch"], tmp_path)


@pytest.mark.parametrize("name", boards.names())
def test_firmware_compiles_for_the_board(name, tmp_path):
    board = boards.module(name)
    assert compiled(boards.BOARDS / f"{name}.py", CHIPS[board.CHIP]["mpy_arch"], tmp_path)
    # A third of what the board has for files: flashing puts new ones beside the old.
    files = image.contents(name)
    assert sum(map(len, files.values())) < image.geometry(name).size // 3
    flash = image.geometry(name)
    packed = image.pack(files, flash)
    assert len(packed) == flash.size and image.unpack(packed, flash) == files
    # All of it for this chip: the third byte of an .mpy has the architecture of its native code, 0
    # where it has none, above two bits of the version (py/persistentcode.h).
    number = CHIPS[board.CHIP]["mpy_arch_number"]
    arches = {data[2] >> 2 & 0x0F for path, data in files.items() if path.endswith(".mpy")}
    assert arches == {0, number}


# Unlike on each input, so that inputs that changed places would show.
VOLTS, AMPS, LAG_DEG = (119.0, 116.0), (80.0, 50.0), (0.0, 35.0)


def wave(rms: float, lag_deg: float = 0.0) -> Wave:
    return lambda t: rms * 2**0.5 * np.sin(2 * np.pi * 60 * t - np.radians(lag_deg))


@pytest.mark.parametrize("name", boards.names())
def test_the_board_meters(name):
    """Two seconds, on the host's engine, of codes converted at this board's instants and handed
    over at its rate; held against volts times amperes times the cosine."""
    need_engine("micropython")
    layout = boards.load(name)
    is_derived = bool(boards.module(name).DERIVED)
    volts = (VOLTS[0], VOLTS[0]) if is_derived else VOLTS
    mains = {
        "v1": wave(volts[0]),
        "i1": wave(AMPS[0], LAG_DEG[0]),
        "v2": wave(-volts[1]),
        "i2": wave(-AMPS[1], LAG_DEG[1]),
    }
    slots = {what: signal for what, signal in mains.items() if what in layout.slots}
    assert set(mains) - set(slots) == ({"v2"} if is_derived else set())
    result = engine_process.meter(
        "micropython", [convert(slots, 2.0, layout)], name, {}, layout.frame_ticks, layout.tick_hz
    ).result
    for k, element in enumerate(result["elements"]):
        watts = volts[k] * AMPS[k] * np.cos(np.radians(LAG_DEG[k]))
        delivered = float(element["delivered"]["wh"]) - float(element["received"]["wh"])
        assert element["watts_uw"] / 1e6 == pytest.approx(watts, rel=2e-3)
        assert delivered == pytest.approx(watts * 2.0 / 3600, rel=2e-3)
