"""Adafruit Feather RP2040: four analogue pins A0..A3, so both voltages are measured."""

NAME = "feather_rp2040"
CHIP = "rp2040"
MPY_ARCH = "armv6m"

# Inputs in the order of conversion, with their pins.  The current comes first: its voltage, converted a
# slot later, then makes up for part of the time by which a CT runs ahead.
SLOTS = (("i1", 26), ("v1", 27), ("i2", 28), ("v2", 29))
DERIVED = {}
SLOT_NS = 5000

PERIOD_US = 125
BLOCK_FRAMES = 64

LEDS = {"kwh": (11, 1), "ten": (12, 1), "reverse": (13, 1)}

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200
