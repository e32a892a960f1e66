"""What differs between the chips: one row for each, found by the board file's CHIP.

Flow: CHIPS -> assembly -> sampler, serial port; on the host also image, flash and drawings.  Plain
data, which imports nothing.  Another chip is another row.

    mpy_arch, mpy_arch_number   of native code in .mpy files: mpy-cross's name of it, and the
                       number in sys.implementation._mpy >> 10 (py/persistentcode.h)
    has_thumb          runs kernel_thumb.py
    is_usb             the prompt is on the chip's own USB, else on a UART behind a serial chip
    software_timer     of machine.Timer: -1 is a software timer, which only rp2 has
    watchdog_ctrl      address of WATCHDOG CTRL, for a watchdog that can be stopped; else None
    saves_a_day        that the flash endures for 20 years, at 100 000 erasures a block: littlefs
                       erases 0.14 blocks a save on rp2 (256 bytes are programmed at a time), one
                       on esp32 (32 bytes), whose frees are some 430 (`threewire power_cuts`)
    adc_base, dreq_adc   of the ADC that DMA reads; None: sampled by timer
"""

CHIPS = {
    # RP2040 datasheet: 2.5.3.1 (DREQ), 4.7.6 (watchdog), 4.9.6 (ADC).
    "rp2040": {
        "mpy_arch": "armv6m",
        "mpy_arch_number": 4,
        "has_thumb": True,
        "is_usb": True,
        "software_timer": -1,
        "saves_a_day": 12000,
        "watchdog_ctrl": 0x40058000,
        "adc_base": 0x4004C000,
        "dreq_adc": 36,
    },
    # RP2350 datasheet: 12.6.4.1 (DREQ), 12.9.7 (watchdog), 12.4.7 (ADC).
    "rp2350": {
        "mpy_arch": "armv7emsp",
        "mpy_arch_number": 7,
        "has_thumb": True,
        "is_usb": True,
        "software_timer": -1,
        "saves_a_day": 12000,
        "watchdog_ctrl": 0x400D8000,
        "adc_base": 0x400A0000,
        "dreq_adc": 48,
    },
    "esp32": {
        "mpy_arch": "xtensawin",
        "mpy_arch_number": 10,
        "has_thumb": False,
        "is_usb": False,
        "software_timer": 1,
        "saves_a_day": 5000,
        "watchdog_ctrl": None,
        "adc_base": None,
        "dreq_adc": None,
    },
}
