"""Seeed Studio XIAO ESP32S3: four pins of ADC1.  Not run on the chip so far."""

NAME = "xiao_esp32s3"
CHIP = "esp32s3"
# MicroPython's name of its build for this board, and what the build calls the board.
# It has the heap in PSRAM, where a collection of garbage takes longer.
MICROPYTHON = "SEEED_XIAO_ESP32S3"
MACHINE = "Seeed XIAO ESP32S3"
MICROPYTHON_LEAST = (1, 29)

# Inputs in the order of conversion, with their pins, all of ADC1: ADC2 and Wi-Fi exclude each
# other.
SLOTS = (("i1", 1), ("v1", 2), ("i2", 3), ("v2", 4))
DERIVED = {}

# A frame every period_us, handed over in blocks; slot_ns from one conversion to the next is an
# estimate, not measured on the chip.  ESP32 has no hard interrupts.
# 2 kHz (500) is for a chip whose conversions have been seen to take 50 us or less.
SAMPLER = {
    "kind": "timer",
    "period_us": 1000,
    "block_frames": 16,
    "slot_ns": 50000,
    "timer": 0,
    "hard": False,
}

# Indicator -> (pin, level that lights it).  The one on the board is yellow.
LEDS = {"kwh": (5, 1), "ten": (6, 1), "reverse": (7, 1)}

# The seal: with this pin at ground at start, calibration and registers may be changed.
SEAL = 9

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200

# Its MicroPython has Wi-Fi, which is used where there is a network.json.
WIFI = True

# The partition "vfs", which MicroPython makes of what is left of 8 MB behind the first two, in
# blocks of 4096 bytes.
FILE_SYSTEM = {"blocks": 1536, "prog_size": 32}
