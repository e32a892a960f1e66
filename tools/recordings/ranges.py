"""What the numbers in a recording may be: one table for all formats.

Each range is far beyond what a meter's terminals or a recorder have: what lies outside is a
mistake of unit, a damaged file or an attack, and never a case to be careful with further on.
"""

from tools.common.ranges import Range

# The lower end is ten samples a cycle of 45 Hz. The upper one is 160 000 a cycle: oscilloscopes go
# further, but nothing that a meter sees is in it, and an open mains cycle is kept in memory.
RATE_HZ = Range(450.0, 10e6, "samples a second")
INTERVAL_S = Range(1 / RATE_HZ.most, 1 / RATE_HZ.least, "s")
SAMPLES = Range(4, 10**13)
SECONDS = Range(0.0, 1e6, "s")
# Recorders of faults write the primary side: no line has a crest of 1 MV, no fault 1 MA.  Whether
# it can be of a meter's terminals is asked before it is metered (replay/plausibility.py).
VOLTS = Range(-1e6, 1e6, "V")
AMPERES = Range(-1e6, 1e6, "A")
# What volts or amperes are multiplied by: from a probe's to that of a transformer.
SCALE = Range(1e-9, 1e9)
# A skew is less than the time between two samples by its nature; beyond this it is a mistake.
SKEW_SAMPLES = Range(-32, 32, "samples")
NOMINAL_HZ = Range(0.0, 1000.0, "Hz")
# What COMTRADE multiplies the counts of its time stamps by.
TIME_FACTOR = Range(1e-6, 1e6)
# Channels beside the four that are used.
CHANNELS = Range(1, 1024, "channels")

# A capture: 12 bits, at up to the 500 kS/s of the RP2040's converter.
CODE = Range(0, 4095)
FRAME_HZ = Range(450.0, 500e3, "frames a second")
CAPTURE_SECONDS = Range(0.0, 1e5, "s")
# From the timer's microseconds to sixteenths and more of them.
TICK_HZ = Range(100_000, 1_000_000_000, "Hz")
# Of a timer's each block's frames are of their own length: 150 ms of stall make them 10 ms longer.
FRAME_S = Range(1e-6, 0.1, "s")
SPANS = Range(0, 1 << 20, "spans")
# A timer's blocks are of 16 frames: 63 spans in a second at 1 kHz.
SPANS_A_SECOND = Range(0, 2000, "spans")
# Wh of a register in digits, with nine places: beyond what a hundred years at 48 kW come to.
DIGITS = Range(1, 40, "digits")

# Cells, lists and the like: of a file's structure, not of what it measures.
CHUNKS = Range(0, 4096, "chunks")
CONFIGURATION_BYTES = Range(0, 4 << 20, "bytes")
CHANNELS_SAID = Range(0, 20_000, "channels")
PIECE_BYTES = Range(0, 1 << 26, "bytes")
MEMBERS = Range(1, 4096, "arrays")
# npTDMS keeps up to fifteen times as many.
HEADER_BYTES = Range(0, 8 << 20, "bytes")
# HDF5 goes to each part by its whole path: time that goes with the square of this.
NESTED = Range(0, 64, "groups")


def of_input(name: str) -> Range:
    """The range of an input's samples: VOLTS of v1 and v2, AMPERES of i1 and i2."""
    return VOLTS if name[0] == "v" else AMPERES
