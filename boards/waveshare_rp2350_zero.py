"""Waveshare RP2350-Zero: four analogue pins, 26 to 29, so both voltages are measured."""

NAME = "waveshare_rp2350_zero"
CHIP = "rp2350"
# MicroPython's build to put on this board, which has none of its own, and what the build calls it:
# the Pico 2's, which has the same flash of 4 MB.
MICROPYTHON = "RPI_PICO2"
MACHINE = "Raspberry Pi Pico2"

# Inputs in the order of conversion, with their pins.  A current comes before its voltage: the slot
# between them makes up for part of the time by which a CT runs ahead.
SLOTS = (("i1", 26), ("v1", 27), ("i2", 28), ("v2", 29))
DERIVED = {}

# One conversion every `clocks` clocks of 48 MHz: 10 kHz a channel.  The ring holds 600 ms, of
# which 574 may pass: a halt of USB (500 ms) and an erasure of the flash (400 ms) lose no frame.
# Sampling by timer instead, at 4 kHz, takes
# {"kind": "timer", "period_us": 250, "block_frames": 32, "slot_ns": 6900, "timer": -1,
#  "hard": True}
SAMPLER = {"kind": "dma", "clocks": 1200, "ring_frames": 6000}

# Indicator -> (pin, level that lights it).  There is none on the board but a NeoPixel.
LEDS = {"kwh": (2, 1), "ten": (3, 1), "reverse": (4, 1)}

# The seal: with this pin at ground at start, calibration and registers may be changed.
SEAL = 5

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200

# MICROPY_HW_FLASH_STORAGE_BYTES of MicroPython's definition of the Pico 2, in blocks of 4096.
FILE_SYSTEM = {"blocks": 768, "prog_size": 256}
