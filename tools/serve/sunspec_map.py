"""SunSpec's models 1 (common) and 202 (split-phase meter), as registers.

Flow: modbus_reading.py -> SUNSPEC MAP -> function 3 (and 4) from register 40000 on.

Names, order and types are those of SunSpec's own model_1.json and model_202.json.  The tables are
plain data and nothing but struct is imported, so that a board can serve the same map by itself.

Positive watts are imported, which is what the meter calls delivered.  Scale factors never change:
each has room for 48 kW, 200 A on each of two lines of 120 V, and as many digits as fit beside.
What is beyond a register is told as the most that it can hold; energies wrap at 2**32.
"""

import struct

START = 40000
_MANUFACTURER = "Threewire"

# Powers of ten.  400 A, 276 V, 65 Hz, 48 kW; 32767 is the most that an int16 has.
A_SF = -1
V_SF = -2
HZ_SF = -2
W_SF = 1
VA_SF = 1
VAR_SF = 1
PF_SF = -2  # of per cent
WH_SF = 0
VARH_SF = 0
# Of a group that this meter has not.
_NO_SF = -32768

# What one step of a register is in the reading's own steps.
_A = 10 ** (6 + A_SF)
_V = 10 ** (6 + V_SF)
_HZ = 10 ** (6 + HZ_SF)
_W = 10 ** (6 + W_SF)
_VA = 10 ** (6 + VA_SF)
_VAR = 10 ** (6 + VAR_SF)
_PF = 10 ** (4 + PF_SF)
_WH = 10 ** (9 + WH_SF)
_VARH = 10 ** (9 + VARH_SF)

# Point, offset in its model, type, source, divisor.  Source: a key of the reading, a number that
# stays, or None for what is not implemented.  A string's divisor is its registers.
COMMON = (
    ("ID", 0, "uint16", 1, 1),
    ("L", 1, "uint16", 66, 1),
    ("Mn", 2, "string", "manufacturer", 16),
    ("Md", 18, "string", "board", 16),
    ("Opt", 34, "string", None, 8),
    ("Vr", 42, "string", "version", 8),
    ("SN", 50, "string", "serial", 16),
    ("DA", 66, "uint16", "unit", 1),
    ("Pad", 67, "int16", None, 1),
)
METER = (
    ("ID", 0, "uint16", 202, 1),
    ("L", 1, "uint16", 105, 1),
    ("A", 2, "int16", "amps", _A),
    ("AphA", 3, "int16", "amps_1", _A),
    ("AphB", 4, "int16", "amps_2", _A),
    ("AphC", 5, "int16", 0, 1),  # mandatory in the model
    ("A_SF", 6, "sunssf", A_SF, 1),
    ("PhV", 7, "int16", "volts_mean", _V),
    ("PhVphA", 8, "int16", "volts_1", _V),
    ("PhVphB", 9, "int16", "volts_2", _V),
    ("PhVphC", 10, "int16", None, 1),
    ("PPV", 11, "int16", "line_volts", _V),
    ("PhVphAB", 12, "int16", "line_volts", _V),
    ("PhVphBC", 13, "int16", None, 1),
    ("PhVphCA", 14, "int16", None, 1),
    ("V_SF", 15, "sunssf", V_SF, 1),
    ("Hz", 16, "int16", "hertz", _HZ),
    ("Hz_SF", 17, "sunssf", HZ_SF, 1),
    ("W", 18, "int16", "watts", _W),
    ("WphA", 19, "int16", "watts_1", _W),
    ("WphB", 20, "int16", "watts_2", _W),
    ("WphC", 21, "int16", None, 1),
    ("W_SF", 22, "sunssf", W_SF, 1),
    ("VA", 23, "int16", "va", _VA),
    ("VAphA", 24, "int16", "va_1", _VA),
    ("VAphB", 25, "int16", "va_2", _VA),
    ("VAphC", 26, "int16", None, 1),
    ("VA_SF", 27, "sunssf", VA_SF, 1),
    ("VAR", 28, "int16", "var", _VAR),
    ("VARphA", 29, "int16", "var_1", _VAR),
    ("VARphB", 30, "int16", "var_2", _VAR),
    ("VARphC", 31, "int16", None, 1),
    ("VAR_SF", 32, "sunssf", VAR_SF, 1),
    ("PF", 33, "int16", "flow", _PF),
    ("PFphA", 34, "int16", "flow_1", _PF),
    ("PFphB", 35, "int16", "flow_2", _PF),
    ("PFphC", 36, "int16", None, 1),
    ("PF_SF", 37, "sunssf", PF_SF, 1),
    ("TotWhExp", 38, "acc32", "received", _WH),
    ("TotWhExpPhA", 40, "acc32", "received_1", _WH),
    ("TotWhExpPhB", 42, "acc32", "received_2", _WH),
    ("TotWhExpPhC", 44, "acc32", None, 1),
    ("TotWhImp", 46, "acc32", "delivered", _WH),
    ("TotWhImpPhA", 48, "acc32", "delivered_1", _WH),
    ("TotWhImpPhB", 50, "acc32", "delivered_2", _WH),
    ("TotWhImpPhC", 52, "acc32", None, 1),
    ("TotWh_SF", 54, "sunssf", WH_SF, 1),
    ("TotVAhExp", 55, "acc32", None, 1),
    ("TotVAhExpPhA", 57, "acc32", None, 1),
    ("TotVAhExpPhB", 59, "acc32", None, 1),
    ("TotVAhExpPhC", 61, "acc32", None, 1),
    ("TotVAhImp", 63, "acc32", None, 1),
    ("TotVAhImpPhA", 65, "acc32", None, 1),
    ("TotVAhImpPhB", 67, "acc32", None, 1),
    ("TotVAhImpPhC", 69, "acc32", None, 1),
    ("TotVAh_SF", 71, "sunssf", _NO_SF, 1),
    ("TotVArhImpQ1", 72, "acc32", "q1", _VARH),
    ("TotVArhImpQ1PhA", 74, "acc32", "q1_1", _VARH),
    ("TotVArhImpQ1PhB", 76, "acc32", "q1_2", _VARH),
    ("TotVArhImpQ1PhC", 78, "acc32", None, 1),
    ("TotVArhImpQ2", 80, "acc32", "q2", _VARH),
    ("TotVArhImpQ2PhA", 82, "acc32", "q2_1", _VARH),
    ("TotVArhImpQ2PhB", 84, "acc32", "q2_2", _VARH),
    ("TotVArhImpQ2PhC", 86, "acc32", None, 1),
    ("TotVArhExpQ3", 88, "acc32", "q3", _VARH),
    ("TotVArhExpQ3PhA", 90, "acc32", "q3_1", _VARH),
    ("TotVArhExpQ3PhB", 92, "acc32", "q3_2", _VARH),
    ("TotVArhExpQ3PhC", 94, "acc32", None, 1),
    ("TotVArhExpQ4", 96, "acc32", "q4", _VARH),
    ("TotVArhExpQ4PhA", 98, "acc32", "q4_1", _VARH),
    ("TotVArhExpQ4PhB", 100, "acc32", "q4_2", _VARH),
    ("TotVArhExpQ4PhC", 102, "acc32", None, 1),
    ("TotVArh_SF", 104, "sunssf", VARH_SF, 1),
    ("Evt", 105, "bitfield32", "events", 1),
)
_COMMON_AT = 2
_METER_AT = _COMMON_AT + 68
_END_AT = _METER_AT + 107
REGISTERS = _END_AT + 2

# Bits of Evt.
POWER_FAILURE = 1 << 2  # no voltage on either line
UNDER_VOLTAGE = 1 << 3  # none on one of them, or on both
MISSING_SENSOR = 1 << 7  # an input that is stuck or railed
REVERSED_1 = 1 << 16  # M_EVENT_OEM01: power flows backwards on element 1
REVERSED_2 = 1 << 17
BAD_FREQUENCY = 1 << 18
SERVICE_UNKNOWN = 1 << 19  # PPV and PhVphAB are taken to be those of a split phase
OTHER_FAULT = 1 << 20


def registers(reading: dict) -> bytes:
    """All registers from START on, big-endian, of a reading to which `derive` has added."""
    reading["manufacturer"] = _MANUFACTURER
    reading["events"] = events(reading)
    made = bytearray(2 * REGISTERS)
    made[:4] = b"SunS"
    _fill(made, _COMMON_AT, COMMON, reading)
    _fill(made, _METER_AT, METER, reading)
    struct.pack_into(">HH", made, 2 * _END_AT, 0xFFFF, 0)
    return bytes(made)


def events(reading: dict) -> int:
    """The bits of Evt."""
    bits = 0
    for fault in reading["active"]:
        kind = fault.split(" ")[0]
        if kind == "no_voltage":
            bits |= UNDER_VOLTAGE
        elif kind in ("stuck", "railed"):
            bits |= MISSING_SENSOR
        elif kind == "bad_frequency":
            bits |= BAD_FREQUENCY
        else:
            bits |= OTHER_FAULT
    if "no_voltage 1" in reading["active"] and "no_voltage 2" in reading["active"]:
        bits |= POWER_FAILURE
    if reading["reversed_1"]:
        bits |= REVERSED_1
    if reading["reversed_2"]:
        bits |= REVERSED_2
    if reading["service"] == "unknown":
        bits |= SERVICE_UNKNOWN
    return bits


def _fill(made: bytearray, start: int, table: tuple, reading: dict) -> None:
    for _, offset, kind, source, divisor in table:
        at = 2 * (start + offset)
        value = reading[source] if isinstance(source, str) else source
        if kind == "int16":
            value = -32768 if value is None else _whole(value, divisor)
            struct.pack_into(">h", made, at, value)
        elif kind == "acc32":
            # Not rounded: a register is full before it counts, and 0 is "not accumulated".
            value = 0 if value is None else value // divisor & 0xFFFFFFFF
            struct.pack_into(">I", made, at, value)
        elif kind == "string":
            text = (value or "").encode()[: 2 * divisor]
            made[at : at + len(text)] = text
        else:
            form = {"uint16": ">H", "sunssf": ">h", "bitfield32": ">I"}[kind]
            struct.pack_into(form, made, at, value)


def _whole(value: int, divisor: int) -> int:
    """Rounded, half away from zero, within what an int16 has beside "not implemented"."""
    size = (2 * abs(value) + divisor) // (2 * divisor)
    if size > 32767:
        size = 32767
    return -size if value < 0 else size
