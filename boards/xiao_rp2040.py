"""Seeed Studio XIAO RP2040: four analogue pins, A0 to A3, so both voltages are measured."""

NAME = "xiao_rp2040"
CHIP = "rp2040"
# MicroPython's name of its build for this board, and what the build calls the board.
# It is there from 1.28 on.
MICROPYTHON = "SEEED_XIAO_RP2040"
MACHINE = "Seeed Studio XIAO RP2040"
MICROPYTHON_LEAST = (1, 28)

# Inputs in the order of conversion, with their pins.  A current comes before its voltage: the slot
# between them makes up for part of the time by which a CT runs ahead.
SLOTS = (("i1", 26), ("v1", 27), ("i2", 28), ("v2", 29))
DERIVED = {}

# One conversion every `clocks` clocks of 48 MHz: 10 kHz a channel.  The ring holds 545 ms.
# Sampling by timer instead, at 4 kHz, takes
# {"kind": "timer", "period_us": 250, "block_frames": 32, "slot_ns": 6900, "timer": -1,
#  "hard": True}
SAMPLER = {"kind": "dma", "clocks": 1200, "ring_frames": 5450}

# Indicator -> (pin, level that lights it).  The red one is on the board and
# lights at low level.
LEDS = {"kwh": (6, 1), "ten": (7, 1), "reverse": (17, 0)}

# The seal: with this pin at ground at start, calibration and registers may be changed.
SEAL = 3

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200

# MICROPY_HW_FLASH_STORAGE_BYTES of MicroPython's definition of this board, in blocks of 4096.
FILE_SYSTEM = {"blocks": 352, "prog_size": 256}
