"""The input registers of an Eastron SDM630, for what knows that meter.

Flow: modbus_reading.py -> SDM630 MAP -> function 4 from register 0 on.

Addresses and meanings are those of Eastron's "SDM630Modbus Smart Meter Modbus Protocol
Implementation": each value a float32 in two registers, high word first; imported is positive; a
power factor has the sign of the flow; what a wiring does not have reads 0, as does phase 3 here.
Plain data, and nothing but struct is imported, so that a board can serve the same map by itself.
"""

import struct

START = 0

# Name, register, source (a key of the reading), divisor.
MAP = (
    ("phase 1 volts", 0x0000, "volts_1", 1e6),
    ("phase 2 volts", 0x0002, "volts_2", 1e6),
    ("phase 1 amps", 0x0006, "amps_1", 1e6),
    ("phase 2 amps", 0x0008, "amps_2", 1e6),
    ("phase 1 watts", 0x000C, "watts_1", 1e6),
    ("phase 2 watts", 0x000E, "watts_2", 1e6),
    ("phase 1 VA", 0x0012, "va_1", 1e6),
    ("phase 2 VA", 0x0014, "va_2", 1e6),
    ("phase 1 var", 0x0018, "var_1", 1e6),
    ("phase 2 var", 0x001A, "var_2", 1e6),
    ("phase 1 power factor", 0x001E, "flow_1", 1e6),
    ("phase 2 power factor", 0x0020, "flow_2", 1e6),
    ("mean volts, line to neutral", 0x002A, "volts_mean", 1e6),
    ("mean amps", 0x002E, "amps_mean", 1e6),
    ("sum of amps", 0x0030, "amps", 1e6),
    ("total watts", 0x0034, "watts", 1e6),
    ("total VA", 0x0038, "va", 1e6),
    ("total var", 0x003C, "var", 1e6),
    ("total power factor", 0x003E, "flow", 1e6),
    ("hertz", 0x0046, "hertz", 1e6),
    ("kWh imported", 0x0048, "delivered", 1e12),
    ("kWh exported", 0x004A, "received", 1e12),
    ("kvarh imported", 0x004C, "var_import", 1e12),
    ("kvarh exported", 0x004E, "var_export", 1e12),
    ("demand, watts", 0x0054, "demand", 1e6),
    ("peak demand, watts", 0x0056, "demand_peak", 1e6),
    ("volts, line 1 to line 2", 0x00C8, "line_volts", 1e6),
    ("mean volts, line to line", 0x00CE, "line_volts", 1e6),
    ("kWh, both directions", 0x0156, "total", 1e12),
    ("kvarh, both directions", 0x0158, "var_total", 1e12),
    ("phase 1 kWh imported", 0x015A, "delivered_1", 1e12),
    ("phase 2 kWh imported", 0x015C, "delivered_2", 1e12),
    ("phase 1 kWh exported", 0x0160, "received_1", 1e12),
    ("phase 2 kWh exported", 0x0162, "received_2", 1e12),
    ("phase 1 kWh, both directions", 0x0166, "total_1", 1e12),
    ("phase 2 kWh, both directions", 0x0168, "total_2", 1e12),
    ("phase 1 kvarh imported", 0x016C, "var_import_1", 1e12),
    ("phase 2 kvarh imported", 0x016E, "var_import_2", 1e12),
    ("phase 1 kvarh exported", 0x0172, "var_export_1", 1e12),
    ("phase 2 kvarh exported", 0x0174, "var_export_2", 1e12),
    ("phase 1 kvarh, both directions", 0x0178, "var_total_1", 1e12),
    ("phase 2 kvarh, both directions", 0x017A, "var_total_2", 1e12),
)
# The last is phase 3's kvarh in both directions, 0x017C.
REGISTERS = 0x017E
# A value: neither half of one is read by itself.
REGISTERS_EACH = 2


def registers(reading: dict) -> bytes:
    """All registers from START on, big-endian, of a reading to which `derive` has added."""
    made = bytearray(2 * REGISTERS)
    for _, register, source, divisor in MAP:
        struct.pack_into(">f", made, 2 * register, reading[source] / divisor)
    return bytes(made)
