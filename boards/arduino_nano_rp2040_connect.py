"""Arduino Nano RP2040 Connect: four analogue pins, A0 to A3, so both voltages are measured."""

NAME = "arduino_nano_rp2040_connect"
CHIP = "rp2040"
# MicroPython's build to put on this board, and what the build calls the board: the Pico's, which
# fits its flash and pins.  That of the board's own name keeps files in FAT, which a loss of power
# can break and the PC writes to as well: no place for registers.
MICROPYTHON = "RPI_PICO"
MACHINE = "Raspberry Pi Pico"

# Inputs in the order of conversion, with their pins; A4 to A7 are the Wi-Fi module's.  A current
# comes before its voltage: the slot between them makes up for part of the time by which a CT runs
# ahead.
SLOTS = (("i1", 26), ("v1", 27), ("i2", 28), ("v2", 29))
DERIVED = {}

# One conversion every `clocks` clocks of 48 MHz: 10 kHz a channel.  The ring holds 545 ms.
# Sampling by timer instead, at 4 kHz, takes
# {"kind": "timer", "period_us": 250, "block_frames": 32, "slot_ns": 6900, "timer": -1,
#  "hard": True}
SAMPLER = {"kind": "dma", "clocks": 1200, "ring_frames": 5450}

# Indicator -> (pin, level that lights it).  The one on the board is orange.  D3, GPIO15, is left
# free: an RP2040 of revision B0 or B1 borrows it for a millisecond when USB is reset.
LEDS = {"kwh": (25, 1), "ten": (16, 1), "reverse": (17, 1)}

# The seal: with this pin at ground at start, calibration and registers may be changed.
SEAL = 18

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200

# MICROPY_HW_FLASH_STORAGE_BYTES of MicroPython's definition of the Pico, in blocks of 4096.
FILE_SYSTEM = {"blocks": 352, "prog_size": 256}
