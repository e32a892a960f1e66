"""What the Modbus registers hold: SunSpec's models 1 (common) and 202 (split-phase meter), and the
input registers of an Eastron SDM630, for what knows that meter.

Flow: MODBUS POINTS -> modbus_registers.py, on the board and in the host's gateway, once at the
start.  On the board it is gone then.

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
"""

from micropython import const

# In the order of the places that modbus_registers.py has for them.
EACH = """
volts amps watts var va flow delivered received q1 q2 q3 q4 both var_import var_export var_both
"""
ONCE = "line_volts amps_mean hertz demand demand_peak events"

# Each point of model 202 and what is in it: a quantity, a number that stays, or what stands for
# none in an int16 ("-") or an acc32 ("--").  Scale factors are powers of ten, of 400 A, 276 V,
# 65 Hz and 48 kW in an int16, which has 32767.
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
TotVAhImp=-- TotVAhImpPhA=-- TotVAhImpPhB=-- TotVAhImpPhC=-- TotVAh_SF=-32768
TotVArhImpQ1=q1 TotVArhImpQ1PhA=q1_1 TotVArhImpQ1PhB=q1_2 TotVArhImpQ1PhC=--
TotVArhImpQ2=q2 TotVArhImpQ2PhA=q2_1 TotVArhImpQ2PhB=q2_2 TotVArhImpQ2PhC=--
TotVArhExpQ3=q3 TotVArhExpQ3PhA=q3_1 TotVArhExpQ3PhB=q3_2 TotVArhExpQ3PhC=--
TotVArhExpQ4=q4 TotVArhExpQ4PhA=q4_1 TotVArhExpQ4PhB=q4_2 TotVArhExpQ4PhC=-- TotVArh_SF=0
Evt=events
"""
# Register, in hexadecimal digits, and quantity.  Energies are in kWh and kvarh.
SDM630 = """
00=volts_1 02=volts_2 06=amps_1 08=amps_2 0C=watts_1 0E=watts_2 12=va_1 14=va_2 18=var_1 1A=var_2
1E=flow_1 20=flow_2 2A=volts 2E=amps_mean 30=amps 34=watts 38=va 3C=var 3E=flow 46=hertz
48=delivered 4A=received 4C=var_import 4E=var_export 54=demand 56=demand_peak C8=line_volts
CE=line_volts 156=both 158=var_both 15A=delivered_1 15C=delivered_2 160=received_1 162=received_2
166=both_1 168=both_2 16C=var_import_1 16E=var_import_2 172=var_export_1 174=var_export_2
178=var_both_1 17A=var_both_2
"""

# Registers from the first on: of SunSpec's head, model 1, model 202 and the end; of the SDM630's
# last, phase 3's kvarh in both directions, and its other half.
_SUNSPEC = const(179)
_METER = const(70)
_END = const(177)
_SDM630 = const(0x017E)
# Of the common model: where a text is, and its bytes; and the unit, with a pad behind it.
_TEXTS = ((4, 32), (20, 32), (44, 16), (52, 32))
_UNIT = const(68)
_NONE = const(0x8000)
# Marks the code of a value that is served as a float32.
_FLOAT = const(0x80)


def place(name):
    """Of a quantity among the values.  Raises ValueError."""
    once = ONCE.split()
    if name in once:
        return 48 + once.index(name)
    of = 0
    if name[-2:-1] == "_":
        of = int(name[-1])
        name = name[:-2]
    return 16 * of + EACH.split().index(name)


def points():
    """Of model 202: yields (name, first register in the model, registers, what is in it)."""
    at = 0
    for word in METER.split():
        name, _, what = word.partition("=")
        # Energies are behind the rest.
        is_wide = what in ("--", "events") or (
            what[0].isalpha() and what not in ONCE and place(what) % 16 > 5
        )
        yield name, at, 1 + is_wide, what
        at += 1 + is_wide


def sunspec(board, version, board_id, unit):
    """SunSpec's registers with what stays in them, and which values go where: pairs of register
    and place.  Each of the texts is cut where its field ends."""
    made = bytearray(2 * _SUNSPEC)

    def put(register, value):
        made[2 * register] = value >> 8 & 0xFF
        made[2 * register + 1] = value & 0xFF

    made[:4] = b"SunS"
    put(2, 1)
    put(3, 66)
    for (at, size), text in zip(_TEXTS, ("Threewire", board, version, board_id)):
        text = text.encode()[:size]
        made[2 * at : 2 * at + len(text)] = text
    put(_UNIT, unit)
    put(_UNIT + 1, _NONE)
    rows = bytearray()
    for _, at, _, what in points():
        at += _METER
        if what[0].isalpha():
            rows.append(at)
            rows.append(place(what))
        elif what == "-":
            put(at, _NONE)
        elif what != "--":
            put(at, int(what))
    put(_END, 0xFFFF)
    return made, bytes(rows)


def sdm630():
    """Likewise the SDM630's, of which pairs have half the register."""
    rows = bytearray()
    for word in SDM630.split():
        register, _, name = word.partition("=")
        rows.append(int(register, 16) // 2)
        rows.append(place(name) | _FLOAT)
    return bytearray(2 * _SDM630), bytes(rows)
