"""The registers of a Modbus meter, filled and read, whatever line or network is around.

Flow: values -> MODBUS REGISTERS <-> requests and answers.  On the board as in the host's gateway:
modbus_points.py says what the values are and where they go.  Requests and answers are protocol
data units of the Modbus Application Protocol Specification V1.1b3.
"""

from micropython import const

from threewire.metering.intmath import isqrt

# Of the values: 16 of both elements together, 16 of each, and those that there are once.
VALUES = const(54)
_EACH = const(16)
_WATTS = const(2)
_FLOW = const(5)
_DELIVERED = const(6)
_RECEIVED = const(7)
_Q1 = const(8)
_BOTH = const(12)
_VAR_IMPORT = const(13)
_VAR_EXPORT = const(14)
_VAR_BOTH = const(15)
_LINE_VOLTS = const(48)
_AMPS_MEAN = const(49)
_EVENTS = const(53)
# Marks the code of a value that is served as a float32.
_FLOAT = const(0x80)
# One step of an int16 in those of a value: by SunSpec's scale factors, of volts, amps, watts, var,
# va and flow, and, as far as they are served so, of those that there are once.
_STEPS = (10000, 100000, 10000000, 10000000, 10000000, 100)
_STEPS_ONCE = (10000, 0, 10000)
_MOST = const(32767)
_MILLION = const(1000000)
_BILLION = const(1000000000)
# Values that are made at a time.
_AT_A_TIME = const(6)

# Bits of model 202's Evt.
_POWER_FAILURE = const(1 << 2)  # no voltage on either line
_UNDER_VOLTAGE = const(1 << 3)  # none on one of them, or on both
_MISSING_SENSOR = const(1 << 7)  # an input that is stuck or railed
_REVERSED_1 = const(1 << 16)  # M_EVENT_OEM01: power flows backwards on element 1
_REVERSED_2 = const(1 << 17)
_BAD_FREQUENCY = const(1 << 18)
_SERVICE_UNKNOWN = const(1 << 19)  # PPV and PhVphAB are taken to be those of a split phase
_OTHER_FAULT = const(1 << 20)

_READ_HOLDING = const(3)
_READ_INPUT = const(4)
_ILLEGAL_FUNCTION = const(1)
_ILLEGAL_ADDRESS = const(2)
_ILLEGAL_VALUE = const(3)
_MOST_REGISTERS = const(125)
_READ_BYTES = const(5)
_SUNSPEC = const(40000)


def reckon(values, service):
    """Adds to given values those that follow from them: of each line what is both, the sign of the
    power factor; and what is for both lines together."""
    for at in (0, _EACH, 2 * _EACH):
        size = abs(values[at + _FLOW])
        values[at + _FLOW] = -size if values[at + _WATTS] < 0 else size
        values[at + _BOTH] = values[at + _DELIVERED] + values[at + _RECEIVED]
        taken = values[at + _Q1] + values[at + _Q1 + 1]
        given = values[at + _Q1 + 2] + values[at + _Q1 + 3]
        values[at + _VAR_IMPORT] = taken
        values[at + _VAR_EXPORT] = given
        values[at + _VAR_BOTH] = taken + given
    one = values[_EACH]
    two = values[2 * _EACH]
    values[0] = (one + two) // 2
    # Two sides of a triangle with 120 degrees between them, or in one line.
    is_wye = service == "208Y/120"
    values[_LINE_VOLTS] = isqrt(one * one + one * two + two * two) if is_wye else one + two
    amps = values[_EACH + 1] + values[2 * _EACH + 1]
    values[1] = amps
    values[_AMPS_MEAN] = amps // 2


def events(active, is_reversed, service):
    """The bits of Evt, by the faults that there are, as telemetry names them, and whether each
    element is reversed."""
    bits = lines = 0
    for fault in active:
        if fault.startswith("no_voltage"):
            bits |= _UNDER_VOLTAGE
            lines += 1
        elif fault.startswith("stuck") or fault.startswith("railed"):
            bits |= _MISSING_SENSOR
        elif fault == "bad_frequency":
            bits |= _BAD_FREQUENCY
        else:
            bits |= _OTHER_FAULT
    if lines > 1:
        bits |= _POWER_FAILURE
    one, two = is_reversed
    if one:
        bits |= _REVERSED_1
    if two:
        bits |= _REVERSED_2
    if service == "unknown":
        bits |= _SERVICE_UNKNOWN
    return bits


def float32(n, d):
    """The bits of the float32 that is nearest to n / d (d > 0), ties to even.

    By integers, so that a chip's single precision and a PC's double make the same.
    """
    sign = 0
    if n < 0:
        sign = 0x80000000
        n = -n
    if not n:
        return 0
    shift = 24
    top = n // d
    while not top:
        top = (n << shift) // d
        shift += 24
    # `shift` makes 2**23 up to 2**24 of n / d.
    while top > 255:
        top >>= 8
        shift -= 8
    while top:
        top >>= 1
        shift -= 1
    if shift < 0:
        d <<= -shift
    else:
        n <<= shift
    whole = n // d
    rest = 2 * (n - whole * d) - d
    if rest > 0 or (rest == 0 and whole & 1):
        whole += 1
    # One too many for the fraction is one more for the exponent.
    return sign + (150 - shift << 23) + whole - 0x800000


def fill(made, rows, values, start):
    """Makes a few registers of values, from `start` on in `rows`; returns where to go on, or 0.

    made, rows  as modbus_points.py makes them
    values      to which `reckon` has added
    """
    end = min(start + 2 * _AT_A_TIME, len(rows))
    for k in range(start, end, 2):
        at = 2 * rows[k]
        code = rows[k + 1]
        value = values[code & 0x7F]
        is_energy = code & 0x70 < 0x30 and code & 0x0F >= _DELIVERED
        if code & _FLOAT:
            at += at
            value = float32(value, _MILLION * _MILLION if is_energy else _MILLION)
        elif is_energy:
            # Not rounded: a register is full before it counts, and 0 is "not accumulated".  What
            # is beyond it wraps.
            value //= _BILLION
        elif code != _EVENTS:
            step = _STEPS_ONCE[code & 0x0F] if code >= _LINE_VOLTS else _STEPS[code & 0x0F]
            # Half away from zero, within what an int16 has beside "not implemented".
            size = min((2 * abs(value) + step) // (2 * step), _MOST)
            if value < 0:
                size = -size
            made[at] = size >> 8 & 0xFF
            made[at + 1] = size & 0xFF
            continue
        high = value >> 16
        made[at] = high >> 8 & 0xFF
        made[at + 1] = high & 0xFF
        made[at + 2] = value >> 8 & 0xFF
        made[at + 3] = value & 0xFF
    return end if end < len(rows) else 0


def areas(sunspec, sdm630):
    """What each function reads, of both maps' registers: areas, each (first register, registers as
    bytes, registers a value)."""
    # SunSpec is read by function 3; some read it by 4, where nothing else is.  Neither half of an
    # SDM630's value is read by itself.
    first = _SUNSPEC, sunspec, 1
    return {_READ_HOLDING: (first,), _READ_INPUT: ((0, sdm630, 2), first)}


def answer(request, areas, without):
    """The answer to a request of at least one byte.

    areas    as `areas` makes them; None where there are none
    without  the refusal then
    """
    function = request[0]
    code = without
    if areas is not None:
        code = _ILLEGAL_FUNCTION
        if function in areas:
            code = _ILLEGAL_VALUE
            if len(request) == _READ_BYTES:
                first = request[1] << 8 | request[2]
                count = request[3] << 8 | request[4]
                if 1 <= count <= _MOST_REGISTERS:
                    code = _ILLEGAL_ADDRESS
                    for start, registers, each in areas[function]:
                        at = 2 * (first - start)
                        end = at + 2 * count
                        if at >= 0 and end <= len(registers):
                            if (first - start) % each or count % each:
                                break
                            return bytes((function, 2 * count)) + registers[at:end]
    return bytes((function | 0x80, code))
