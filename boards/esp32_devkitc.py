"""Espressif ESP32-DevKitC: four pins of ADC1.  Not run on the chip so far."""

NAME = "esp32_devkitc"
CHIP = "esp32"
MPY_ARCH = "xtensawin"

# Inputs in the order of conversion, with their pins, all of ADC1: ADC2 and Wi-Fi exclude each
# other.
SLOTS = (("i1", 36), ("v1", 39), ("i2", 34), ("v2", 35))
DERIVED = {}

# A frame every PERIOD_US by the timer, handed over in blocks.  SLOT_NS from one conversion to the
# next: from Espressif's figure for one read, not measured on the chip.
PERIOD_US = 1000
BLOCK_FRAMES = 16
SLOT_NS = 50000
TIMER_ID = 0
TIMER_KIND = {}

# Indicator -> (pin, level that lights it).
LEDS = {"kwh": (25, 1), "ten": (26, 1), "reverse": (27, 1)}

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200
