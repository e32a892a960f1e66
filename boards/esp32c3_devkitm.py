"""Espressif ESP32-C3-DevKitM-1: four pins of ADC1.  Not run on the chip so far."""

NAME = "esp32c3_devkitm"
CHIP = "esp32c3"
# MicroPython's name of its build for this board, and what the build calls the board.
MICROPYTHON = "ESP32_GENERIC_C3"
MACHINE = "ESP32C3 module"

# Inputs in the order of conversion, with their pins, all of ADC1.  Its fifth, IO2, has to be high
# when the chip starts.
SLOTS = (("i1", 0), ("v1", 1), ("i2", 3), ("v2", 4))
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
LEDS = {"kwh": (10, 1), "ten": (7, 1), "reverse": (6, 1)}

# The seal: with this pin at ground at start, calibration and registers may be changed.
SEAL = 5

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200

# Its MicroPython has Wi-Fi, which is used where there is a network.json.
WIFI = True

# The partition "vfs", which MicroPython makes of what is left of 4 MB behind the first two, in
# blocks of 4096 bytes.
FILE_SYSTEM = {"blocks": 512, "prog_size": 32}
