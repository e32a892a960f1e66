"""Espressif ESP32-DevKitC: four pins of ADC1.  Not run on the chip so far."""

NAME = "esp32_devkitc"
CHIP = "esp32"
# MicroPython's name of its build for this board, and what the build calls the board.
MICROPYTHON = "ESP32_GENERIC"
MACHINE = "Generic ESP32 module"

# Inputs in the order of conversion, with their pins, all of ADC1: ADC2 and Wi-Fi exclude each
# other.
SLOTS = (("i1", 36), ("v1", 39), ("i2", 34), ("v2", 35))
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

# Indicator -> (pin, level that lights it).
LEDS = {"kwh": (25, 1), "ten": (26, 1), "reverse": (27, 1)}

# The seal: with this pin at ground at start, calibration and registers may be changed.
SEAL = 33

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200

# Its MicroPython has Wi-Fi, which is used where there is a network.json.
WIFI = True

# The partition "vfs" of MicroPython's table for 4 MB, in blocks of 4096 bytes.
FILE_SYSTEM = {"blocks": 512, "prog_size": 32}
