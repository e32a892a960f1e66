"""What differs between the chips: one row for each, found by the board file's CHIP.

Flow: CHIPS -> assembly -> sampler, serial port; on the host also image, flash and drawings.  Plain
data, which imports nothing.  Another chip is another row.

    mpy_arch, mpy_arch_number   of native code in .mpy files: mpy-cross's name of it, and the
                       number in sys.implementation._mpy >> 10 (py/persistentcode.h)
    has_thumb          runs kernel_thumb.py
    is_usb             the prompt is on the chip's own USB alone, and POLLOUT tells whether it has
                       room; else on a UART at 115200 baud, of which nothing tells
    software_timer     of machine.Timer: -1 is a software timer, which only rp2 has
    watchdog_ctrl      address of WATCHDOG CTRL, for a watchdog that can be stopped; else None
    saves_a_day        that the flash endures for 20 years, at 100 000 erasures a block: littlefs
                       erases 0.14 blocks a save on rp2 (256 bytes are programmed at a time), one
                       on esp32 (32 bytes), whose frees are some 430 (`threewire power_cuts`)
    xip_base           where the flash is in memory; None: it is not, or not as it lies there
    adc_base, dreq_adc   of the ADC that DMA reads; None: sampled by timer
    straight_mv        where the ADC is straight, from and to; None: all the way to the supply
"""

CHIPS = {
    # RP2040 datasheet: 2.2 (flash), 2.5.3.1 (DREQ), 4.7.6 (watchdog), 4.9.6 (ADC).
    "rp2040": {
        "mpy_arch": "armv6m",
        "mpy_arch_number": 4,
        "has_thumb": True,
        "is_usb": True,
        "software_timer": -1,
        "saves_a_day": 12000,
        "watchdog_ctrl": 0x40058000,
        "xip_base": 0x10000000,
        "adc_base": 0x4004C000,
        "dreq_adc": 36,
        "straight_mv": None,
    },
    # RP2350 datasheet: 2.2 (flash), 12.6.4.1 (DREQ), 12.9.7 (watchdog), 12.4.7 (ADC).
    "rp2350": {
        "mpy_arch": "armv7emsp",
        "mpy_arch_number": 7,
        "has_thumb": True,
        "is_usb": True,
        "software_timer": -1,
        "saves_a_day": 12000,
        "watchdog_ctrl": 0x400D8000,
        "xip_base": 0x10000000,
        "adc_base": 0x400A0000,
        "dreq_adc": 48,
        "straight_mv": None,
    },
    # ESP32, ESP32-S3, ESP32-C3: straight at the attenuation of 11 dB, by ESP-IDF's guide to each.
    "esp32": {
        "mpy_arch": "xtensawin",
        "mpy_arch_number": 10,
        "has_thumb": False,
        "is_usb": False,
        "software_timer": 1,
        "saves_a_day": 5000,
        "watchdog_ctrl": None,
        "xip_base": None,
        "adc_base": None,
        "dreq_adc": None,
        "straight_mv": (150, 2450),
    },
    # Its generic build has the prompt on USB and on UART 0 as well, and what is written goes to
    # both at the UART's pace; whatever the build, POLLOUT says yes (mp_hal_stdio_poll and
    # mp_hal_stdout_tx_strn in MicroPython's ports/esp32/mphalport.c).
    "esp32s3": {
        "mpy_arch": "xtensawin",
        "mpy_arch_number": 10,
        "has_thumb": False,
        "is_usb": False,
        "software_timer": 1,
        "saves_a_day": 5000,
        "watchdog_ctrl": None,
        "xip_base": None,
        "adc_base": None,
        "dreq_adc": None,
        "straight_mv": (0, 3100),
    },
    # RISC-V, one core; as the ESP32-S3 in all else here.
    "esp32c3": {
        "mpy_arch": "rv32imc",
        "mpy_arch_number": 11,
        "has_thumb": False,
        "is_usb": False,
        "software_timer": 1,
        "saves_a_day": 5000,
        "watchdog_ctrl": None,
        "xip_base": None,
        "adc_base": None,
        "dreq_adc": None,
        "straight_mv": (0, 2500),
    },
}
