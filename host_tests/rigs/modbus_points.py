"""What the Modbus registers hold: SunSpec's models 1 (common) and 202 (split-phase meter), the
input registers of an Eastron SDM630, and its holding registers for address and speed.

Flow: MODBUS POINTS -> the tables in the firmware's modbus_registers.py, by which boards and the
gateway serve.  What is changed here goes there: test_modbus_maps.py tells the bytes.

SunSpec: names, order and types are those of its own model_1.json and model_202.json.  Positive
watts are imported, which is what the meter calls delivered.  Scale factors never change: each has
room for 48 kW, 200 A on each of two lines of 120 V, and as many digits as fit beside.

SDM630: addresses and meanings are those of Eastron's "SDM630Modbus Smart Meter Modbus Protocol
Implementation": each value a float32 in two registers, high word first; imported is positive; a
power factor has the sign of the flow; what a wiring does not have reads 0, as does phase 3 here.

Both are made of quantities, of both elements together, of element 1 ("_1" behind the name) and of
element 2 ("_2"), and of some that there are once; their values are whole numbers:

    volts, amps               millionths; of both: the mean, and the sum
    watts, var, va            millionths, with the meter's signs: watts positive from line to load
    flow                      power factor, millionths, with the sign of the watts
    delivered, received       billionths of a watt-hour
    q1, q2, q3, q4            billionths of a varh, by quadrant I to IV
    both                      delivered and received together
    var_import, var_export    likewise varh of quadrants I and II, III and IV
    var_both                  of all four
    line_volts                line to line: by the angle that the service has between its lines,
                              which is 180 degrees where it is not known
    amps_mean                 of both elements
    hertz                     millionths; 0 where it is not known
    demand, demand_peak       millionths of a watt; 0 before there has been an interval
    events                    bits of model 202's Evt
    address, speed            of the line: 1 to 247; Eastron's code of a baud rate
"""

from collections.abc import Iterator

from threewire.operation import modbus_registers

# In the order of their places.
EACH: str = """
volts amps watts var va flow delivered received q1 q2 q3 q4 both var_import var_export var_both
"""
ONCE: str = "line_volts amps_mean hertz demand demand_peak events address speed"

# Each point and what is in it: a quantity, a number that stays, what stands for none in an int16
# ("-") or an acc32 ("--"), or a text of so many registers, the next of those that are given.
COMMON = """
ID=1 L=66 Mn=text16 Md=text16 Opt=none8 Vr=text8 SN=text16 DA=address Pad=-
"""
# Scale factors are powers of ten, of 400 A, 276 V, 65 Hz and 48 kW in an int16, which has 32767.
METER = """
ID=202 L=105
A=amps AphA=amps_1 AphB=amps_2 AphC=0 A_SF=-1
PhV=volts PhVphA=volts_1 PhVphB=volts_2 PhVphC=- PPV=line_volts PhVphAB=line_volts PhVphBC=-
PhVphCA=- V_SF=-2
Hz=hertz Hz_SF=-2
W=watts WphA=watts_1 WphB=watts_2 WphC=- W_SF=1
VA=va VAphA=va_1 VAphB=va_2 VAphC=- VA_SF=1
VAR=var VARphA=var_1 VARphB=var_2 VARphC=- VAR_SF=1
PF=flow PFphA=flow_1 PFphB=flow_2 PFphC=- PF_SF=-2
TotWhExp=received TotWhExpPhA=received_1 TotWhExpPhB=received_2 TotWhExpPhC=--
TotWhImp=delivered TotWhImpPhA=delivered_1 TotWhImpPhB=delivered_2 TotWhImpPhC=-- TotWh_SF=0
TotVAhExp=-- TotVAhExpPhA=-- TotVAhExpPhB=-- TotVAhExpPhC=--
TotVAhImp=-- TotVAhImpPhA=-- TotVAhImpPhB=-- TotVAhImpPhC=-- TotVAh_SF=-
TotVArhImpQ1=q1 TotVArhImpQ1PhA=q1_1 TotVArhImpQ1PhB=q1_2 TotVArhImpQ1PhC=--
TotVArhImpQ2=q2 TotVArhImpQ2PhA=q2_1 TotVArhImpQ2PhB=q2_2 TotVArhImpQ2PhC=--
TotVArhExpQ3=q3 TotVArhExpQ3PhA=q3_1 TotVArhExpQ3PhB=q3_2 TotVArhExpQ3PhC=--
TotVArhExpQ4=q4 TotVArhExpQ4PhA=q4_1 TotVArhExpQ4PhB=q4_2 TotVArhExpQ4PhC=-- TotVArh_SF=0
Evt=events
"""
# Around them: what a map begins with, and what ends it.
HEAD = "text2"
END = "-1 0"
# Register, in hexadecimal digits, and quantity.  Energies are in kWh and kvarh.
SDM630 = """
00=volts_1 02=volts_2 06=amps_1 08=amps_2 0C=watts_1 0E=watts_2 12=va_1 14=va_2 18=var_1 1A=var_2
1E=flow_1 20=flow_2 2A=volts 2E=amps_mean 30=amps 34=watts 38=va 3C=var 3E=flow 46=hertz
48=delivered 4A=received 4C=var_import 4E=var_export 54=demand 56=demand_peak C8=line_volts
CE=line_volts 156=both 158=var_both 15A=delivered_1 15C=delivered_2 160=received_1 162=received_2
166=both_1 168=both_2 16C=var_import_1 16E=var_import_2 172=var_export_1 174=var_export_2
178=var_both_1 17A=var_both_2
"""
LINE = "14=address 1C=speed"

_NOT_ACCUMULATED = "--"
_NOT_IMPLEMENTED = "-"


def place(name: str) -> int:
    """Of a quantity among the values. Raises ValueError."""
    once = ONCE.split()
    if name in once:
        return 48 + once.index(name)
    bare, _, element = name.rpartition("_")
    if element in ("1", "2"):
        return 16 * int(element) + EACH.split().index(bare)
    return EACH.split().index(name)


def points(model: str) -> Iterator[tuple[str, int, int, str]]:
    """Of COMMON or METER: (name, first register in the model, registers, what is in it)."""
    at = 0
    for word in model.split():
        name, _, what = word.partition("=")
        if what[:4] in ("text", "none"):
            size = int(what[4:])
        else:
            size = 1 + (what in (_NOT_ACCUMULATED, "events") or _is_energy(what))
        yield name, at, size, what
        at += size


def _is_energy(what: str) -> bool:
    return what[0].isalpha() and what not in ONCE.split() and place(what) % 16 > 5


def sunspec() -> bytes:
    """The map of all that is from register 40000 on."""
    in_models = [what for model in (COMMON, METER) for *_, what in points(model)]
    return b"".join(_code(what) for what in [HEAD, *in_models, *END.split()])


def floats(described: str) -> bytes:
    """The map of registers that hold float32 alone: SDM630, LINE."""
    made = b""
    at = 0
    for word in described.split():
        register, _, name = word.partition("=")
        pair, odd = divmod(int(register, 16), 2)
        assert pair >= at and not odd
        if pair > at:
            made += bytes((modbus_registers._SKIP + pair - at,))
        made += bytes((place(name),))
        at = pair + 1
    return made


def _code(what: str) -> bytes:
    if what == _NOT_ACCUMULATED:
        return bytes((modbus_registers._SKIP + 1,))
    if what == _NOT_IMPLEMENTED:
        return bytes((modbus_registers._NONE,))
    if what.startswith("none"):
        return bytes((modbus_registers._SKIP + int(what[4:]) // 2,))
    if what.startswith("text"):
        return bytes((modbus_registers._TEXT, int(what[4:])))
    if what[0].isalpha():
        return bytes((place(what),))
    number = int(what)
    if -8 <= number < 8:
        return bytes((modbus_registers._ZERO + number,))
    return bytes((modbus_registers._NUMBER, number))
