"""The registers of a Modbus meter, filled and read, whatever line or network is around.

Flow: values -> MODBUS REGISTERS -> answers.  On the board as in the host's gateway.  Requests and
answers are protocol data units of the Modbus Application Protocol Specification V1.1b3.

What stands where is in three tables of a byte or two for a point.  They are made of
host_tests/rigs/modbus_points.py, which has the points by name, and what the values are.
"""

from math import frexp

from micropython import const

from threewire.metering.intmath import isqrt

# The three: SunSpec's models 1 and 202 from register 40000 on; of an Eastron SDM630 the input
# registers; and of its holding registers the address on the line and its speed.  A byte is the
# place of a value, or:
_ZERO = const(0x48)  # with -8 to 7 added: that number
_NONE = const(0x50)  # "not implemented" of an int16
_NUMBER = const(0x51)  # the number is the next byte
_TEXT = const(0x52)  # the next text, of so many registers as the next byte says
_SKIP = const(0x80)  # with 1 to 127 added: so many pairs of registers are 0
_TABLES = (
    b'R\x02IQBR\x10R\x10\x84R\x08R\x106PQ\xcaQi\x01\x11!HG\x00\x10 P00PPF2F\x02\x12"PI\x04\x14$PI'
    b"\x03\x13#PI\x05\x15%PF\x07\x17'\x81\x06\x16&\x81H\x81\x81\x81\x81\x81\x81\x81\x81P\x08\x18("
    b"\x81\t\x19)\x81\n\x1a*\x81\x0b\x1b+\x81H5GH",
    b'\x10 \x81\x11!\x81\x12"\x81\x14$\x81\x13#\x81\x15%\x84\x00\x811\x01\x81\x02\x81\x04\x81\x03'
    b"\x05\x832\x06\x07\r\x0e\x8234\xb80\x820\xc3\x0c\x0f\x16&\x81\x17'\x81\x1c,\x81\x1d-\x81\x1e."
    b"\x81\x1f/",
    b"\x8a6\x837",
)
_SUNSPEC = const(0)
_SDM630 = const(1)
_LINE = const(2)
# Registers of each: up to SunSpec's end, phase 3's kvarh in both directions, the line's speed.
_SIZES = const(179 | 0x017E << 10 | 0x1E << 20)

# Places: of the values of both elements together, of element 1 and of element 2, 16 each; of those
# that there are once; of the line's address and speed.  Behind all of them the same as float32.
_ONCE = const(48)
_EVENTS = const(53)
_SPEED = const(55)
_FLOATS = const(56)
WORDS = const(2 * _FLOATS)
_EACH = const(16)
# In an element's 16; energies are from _DELIVERED on.
_WATTS = const(2)
_FLOW = const(5)
_DELIVERED = const(6)
_Q1 = const(8)
_Q4 = const(11)
# What each of the 16 is, and behind them each of those that there are once: an energy, a number as
# it is, or one of which SunSpec's int16 has a step of so many powers of ten.
_ENERGY = const(9)
_POWERS = b"\4\5\7\7\7\2" + 10 * b"\t" + b"\4\5\4\7\7\0\0\0"
_MOST = const(32767)
_MILLION = const(1000000)
_BILLION = const(1000000000)

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
_SUNSPEC_AT = const(40000)
_LINE_AT = const(0x14)


def put(words, at, values):
    """Fills in values that follow each other, from a place on.

    Of an element, or of both together, these are volts to q4, as a list; those that follow from
    them are added, and the power factor gets its sign.
    """
    if at < _ONCE:
        flow = abs(values[_FLOW])
        values[_FLOW] = -flow if values[_WATTS] < 0 else flow
        one, two, three, four = values[_Q1:]
        values.append(values[_DELIVERED] + values[_DELIVERED + 1])
        values.append(one + two)
        values.append(three + four)
        values.append(one + two + three + four)
    for k, value in enumerate(values, at):
        which = k & 15 if k < _ONCE else k - 2 * _EACH
        power = _POWERS[which]
        if power == _ENERGY:
            # Not rounded: a register is full before it counts, and 0 is "not accumulated".  What
            # is beyond it wraps.
            words[k] = value // _BILLION & 0xFFFFFFFF
            unit = _MILLION * _MILLION
        elif power:
            # Half away from zero, within what an int16 has beside "not implemented".
            unit = 10**power
            size = min((2 * abs(value) + unit) // (2 * unit), _MOST)
            words[k] = (-size if value < 0 else size) & 0xFFFF
            unit = _MILLION
        else:
            words[k] = value
            unit = 1
        if not _Q1 <= which <= _Q4:
            words[_FLOATS + k] = nearest(value, unit)


def between(one, two, service):
    """The volts from line to line, of those of both lines."""
    if service < "a":
        # 208Y/120, the one that begins with a digit: two sides of a triangle with 120 degrees
        # between them.
        return isqrt(one * one + one * two + two * two)
    return one + two


def events(active, flows, service):
    """The bits of Evt, by the faults that there are, as telemetry names them, and whether
    power flows backwards on each element."""
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
    if flows[0]:
        bits |= _REVERSED_1
    if flows[1]:
        bits |= _REVERSED_2
    if service == "unknown":
        bits |= _SERVICE_UNKNOWN
    return bits


def nearest(n, unit):
    """The bits of the float32 that is nearest to n / unit (unit > 0), ties to even.

    By integers, so that a chip's single precision and a PC's double make the same.
    """
    if not n:
        return 0
    sign = 0
    if n < 0:
        sign = 0x80000000
        n = -n
    # Makes 2**23 up to 2**24 of n / unit, or is one off.
    shift = 24 - frexp(n / unit)[1]
    while True:
        if shift < 0:
            each = unit << -shift
            whole = n
        else:
            each = unit
            whole = n << shift
        rest = whole
        whole //= each
        if whole >> 24:
            shift -= 1
        elif not whole >> 23:
            shift += 1
        else:
            break
    rest = 2 * (rest - whole * each) - each
    if rest > 0 or (rest == 0 and whole & 1):
        whole += 1
    # One too many for the fraction is one more for the exponent.
    return sign + (150 - shift << 23) + whole - 0x800000


def answer(data, words, pieces, error):
    """The answer to a request, data, of at least one byte.

    words   array("I") of WORDS, filled; None where there is nothing to be read.  With a speed of
            the line in it that and the address can be read by themselves
    pieces  a tuple of SunSpec's texts: model, version, serial number; each is cut where its field
            ends
    error   the refusal where there is nothing
    """
    function = data[0]
    if words:
        error = _ILLEGAL_FUNCTION
        if function in (_READ_HOLDING, _READ_INPUT):
            error = _ILLEGAL_VALUE
            first = int.from_bytes(data[1:3], "big")
            count = int.from_bytes(data[3:], "big")
            if len(data) == _READ_BYTES and 1 <= count <= _MOST_REGISTERS:
                error = _ILLEGAL_ADDRESS
                which = _SUNSPEC
                if first < _SUNSPEC_AT:
                    which = _SDM630 if function == _READ_INPUT else _LINE
                else:
                    # It is read by function 3; some read it by 4, where nothing else is.
                    first -= _SUNSPEC_AT
                if (
                    first + count <= _SIZES >> 10 * which & 0x3FF
                    # Neither half of a float is read by itself.
                    and (which == _SUNSPEC or not (first | count) & 1)
                    and (which != _LINE or (words[_SPEED] and first >= _LINE_AT))
                ):
                    return bytes((function, 2 * count)) + _read(
                        _TABLES[which], words, pieces, which != _SUNSPEC, first, count
                    )
    return bytes((function | 0x80, error))


def _read(codes, words, pieces, wide, first, count):
    """So many registers of a table, as bytes; wide: all its values are float32."""
    at = -2 * first
    end = 2 * count
    made = bytearray(end)
    codes = iter(codes)
    pieces = iter(("SunS", "Threewire") + pieces)
    for code in codes:
        if at >= end:
            break
        if code & _SKIP:
            at += 4 * (code - _SKIP)
            continue
        size = 2
        if code < _FLOATS:
            if wide or code == _EVENTS or (code < _ONCE and code & 15 >= _DELIVERED):
                size = 4
            value = words[code + _FLOATS if wide else code]
        elif code == _NUMBER or code == _TEXT:
            value = next(codes)
        else:
            value = 0x8000 if code == _NONE else code - _ZERO & 0xFFFF
        if code == _TEXT:
            size = 2 * value
            value = next(pieces).encode()[:size]
        if at + size > 0:
            # What is asked for may begin or end in the midst of it.
            said = value if code == _TEXT else value.to_bytes(size, "big")
            start = max(at, 0)
            said = said[start - at : end - at]
            made[start : start + len(said)] = said
        at += size
    return made
