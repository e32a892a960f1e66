"""Espressif ESP32-S3-DevKitC-1: four pins of ADC1.  Not run on the chip so far."""

NAME = "esp32s3_devkitc"
CHIP = "esp32s3"
# MicroPython's name of its build for this board, and what the build calls the board.
# Its variant SPIRAM_OCT has the heap in PSRAM, where a collection of garbage takes far longer.
MICROPYTHON = "ESP32_GENERIC_S3"
MACHINE = "Generic ESP32S3 module"

# Inputs in the order of conversion, with their pins, all of ADC1: ADC2 and Wi-Fi exclude each
# other.
SLOTS = (("i1", 4), ("v1", 5), ("i2", 6), ("v2", 7))
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
LEDS = {"kwh": (15, 1), "ten": (16, 1), "reverse": (17, 1)}

# The seal: with this pin at ground at start, calibration and registers may be changed.
SEAL = 18

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
