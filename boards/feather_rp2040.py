"""Adafruit Feather RP2040: four analogue pins, A0 to A3, so both voltages are measured."""

NAME = "feather_rp2040"
CHIP = "rp2040"
MPY_ARCH = "armv6m"

# Inputs in the order of conversion, with their pins.  A current comes before its voltage: the slot
# between them makes up for part of the time by which a CT runs ahead.
SLOTS = (("i1", 26), ("v1", 27), ("i2", 28), ("v2", 29))
DERIVED = {}

# A frame every PERIOD_US by the timer, handed over in blocks.  SLOT_NS from one conversion to the
# next.
PERIOD_US = 125
BLOCK_FRAMES = 64
SLOT_NS = 8000
TIMER_ID = -1
TIMER_KIND = {"hard": True}

# Indicator -> (pin, level that lights it).  The red one is on the board.
LEDS = {"kwh": (11, 1), "ten": (12, 1), "reverse": (13, 1)}

# Front end: 0.11 V and 0.15 A a count around mid-scale.
NV_PER_COUNT = 110000000
NA_PER_COUNT = 150000000
NOMINAL_VOLTS = 120
NOMINAL_HZ = 60
CLASS_AMPS = 200
