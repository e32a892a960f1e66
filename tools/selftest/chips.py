"""What the self-test reads in each chip, by its datasheet.

Flow: CHIPS -> checks -> programs.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Chip:
    """A chip's registers.

    registers   name -> address, of what is told as it is
    cache       likewise, of what the flash's cache counts: hits and accesses
    pads        of the pad of pin 0; setting bit 3 pulls a pin up (PUE), by the aliases at 0x2000
                (set) and 0x3000 (clear); None: its inputs have no pull-up
    busy_bit    of a DMA channel's CTRL
    """

    registers: dict[str, int] = field(default_factory=dict)
    cache: dict[str, int] = field(default_factory=dict)
    pads: int | None = None
    busy_bit: int | None = None


CHIPS = {
    # RP2040 datasheet: 2.20 (SYSINFO), 4.10.13 (SSI: CTRLR0, BAUDR), 2.6.3.8 (XIP counters),
    # 2.19.6.3 (PADS_BANK0), 2.5.7 (DMA).
    "rp2040": Chip(
        {
            "chip_id": 0x40000000,
            "ssi_ctrlr0": 0x18000000,
            "ssi_baudr": 0x18000014,
        },
        cache={"hits": 0x1400000C, "accesses": 0x14000010},
        pads=0x4001C004,
        busy_bit=24,
    ),
    # RP2350 datasheet: 12.15 (SYSINFO), 12.14.5 (QMI: M0_TIMING, M0_RFMT), 4.4.5 (XIP counters),
    # 9.11.3 (PADS_BANK0), 12.6.10 (DMA).
    "rp2350": Chip(
        {
            "chip_id": 0x40000000,
            "qmi_m0_timing": 0x400D000C,
            "qmi_m0_rfmt": 0x400D0010,
        },
        cache={"hits": 0x400C800C, "accesses": 0x400C8010},
        pads=0x40038004,
        busy_bit=26,
    ),
    "esp32": Chip(),
    "esp32s3": Chip(),
    "esp32c3": Chip(),
}


def flash_lanes(told: dict[str, int]) -> tuple[int, int] | None:
    """(data lines, divider of the clock) by which the flash is read; None where the chip does not
    tell."""
    if "ssi_ctrlr0" in told:
        # SPI_FRF: 0 one, 1 two, 2 four.
        return 1 << (told["ssi_ctrlr0"] >> 21 & 3), told["ssi_baudr"] & 0xFFFF
    if "qmi_m0_rfmt" in told:
        # DATA_WIDTH likewise; CLKDIV 0 stands for 256.
        return 1 << (told["qmi_m0_rfmt"] >> 8 & 3), told["qmi_m0_timing"] & 0xFF or 256
    return None
