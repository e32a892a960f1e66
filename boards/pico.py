"""Raspberry Pi Pico: three free analogue pins, so voltage 2 is derived from voltage 1."""

NAME = "pico"
CHIP = "rp2040"
# MicroPython's name of its build for this board, and what the build calls the board.
MICROPYTHON = "RPI_PICO"
MACHINE = "Raspberry Pi Pico"

# Inputs in the order of conversion, with their pins; voltage 2 is taken to be minus voltage 1.
SLOTS = (("i1", 26), ("v1", 27), ("i2", 28))
DERIVED = {"v2": ("v1", -1)}

# One conversion every `clocks` clocks of 48 MHz: 10 kHz a channel.  The ring holds 545 ms.
# Sampling by timer instead, at 4 kHz, takes
# {"kind": "timer", "period_us": 250, "block_frames": 32, "slot_ns": 6900, "timer": -1,
#  "hard": True}
SAMPLER = {"kind": "dma", "clocks": 1600, "ring_frames": 5450}

# Indicator -> (pin, level that lights it).  GP15 is left free: an RP2040 of revision B0 or B1
# borrows it for a millisecond when USB is reset.
LEDS = {"kwh": (14, 1), "ten": (11, 1), "reverse": (13, 1)}

# The seal: with this pin at ground at start, calibration and registers may be changed.
SEAL = 12

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200

# MICROPY_HW_FLASH_STORAGE_BYTES of MicroPython's definition of this board, in blocks of 4096.
FILE_SYSTEM = {"blocks": 352, "prog_size": 256}
