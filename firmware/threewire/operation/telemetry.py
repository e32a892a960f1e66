"""A report as text: one JSON object, made a piece at a time.

Flow: report -> TELEMETRY -> serial line, console.  Numbers are made from integers, digit by digit,
so that no port's float rounding shows.
"""

from array import array

import micropython
from micropython import const

from threewire.operation.faults import NAMES
from threewire.operation.report import (
    DEMAND,
    EFFORT,
    ENERGIES,
    ESTIMATED,
    FUNDAMENTAL,
    LEDS,
    POWERS,
    RMS,
    VARH,
)

# On the chip a string takes a quarter of a millisecond, however it is made, for it is looked up
# among all names that are known; bytes are not.  So a line is bytes, made of templates, in which a
# character below a blank stands for the next number, with one place less than its code, or for a
# point and the nine digits behind it, or for these alone.
_NINE_DIGITS = const(10)
_NINE_MORE = const(11)
_WH = const("\1\x0a")
_VARH = '"%s":["%s","%s","%s","%s"]' % (VARH, _WH, _WH, _WH, _WH)
_POWERS = '"%s":\4,"%s":\4,"%s":\4,"%s":\5' % POWERS
_DEMAND = ',"demand":{"%s":%%s,"%s":%%s,"%s":%%s,"%s":%%s}' % DEMAND


def _registers(name):
    return '"%s":"%s","%s":"%s"' % (name[0], _WH, name[1], _WH)


def template(text):
    """What `filled` takes, of text in which `\\1` and so on stand for numbers."""
    return text.encode() + b"\0"


_HEADER = template('{"t":\4,' + _registers(ENERGIES) + "," + _VARH + ',"elements":[')
_TABLE = template(",{" + _registers(ENERGIES) + "," + _VARH)
_RMS = template(',"%s":\4,"%s":\4,' % RMS + _POWERS + ',"reversed":\1')
_FUNDAMENTAL = template(',"%s":\4,"%s":\3,"%s":\3}' % FUNDAMENTAL)
_LEDS = template("]," + _POWERS + ',"hertz":\4,"leds":{"%s":\1,"%s":\1,"%s":\1}' % LEDS)
_EFFORT = template(',"effort":{"%s":\2,"%s":\1,"%s":\1,"%s":\1,"%s":\1}' % EFFORT)
_FAULTS = template(',"faults":{"lost_frames":\1,' + _registers(ESTIMATED))

# A number is two words: what is less than a billion, and billions with _NEGATIVE; or a text: where
# in _buffer it begins, times 8, with its length, and _TEXT.
_BILLION = const(1000000000)
_NEGATIVE = const(1 << 28)
_TEXT = const(2 << 28)
_NULL = const(8 * 0 + 4)
_TRUE = const(8 * 4 + 4)
_FALSE = const(8 * 8 + 5)
# The longest piece has six energies of up to 27 digits.  Behind the texts and a number's digits
# there is the piece.
_words = array("i", [0] * 26)
_buffer = bytearray(b"nulltruefalse" + bytes(400))
_DIGITS = const(48)  # end there
_view = memoryview(_buffer)[_DIGITS:]

# Places in what is kept of a report, for what seldom changes; Report's are below.
_OF_DEMAND = const(32)
_OF_DOCTOR = const(33)
_OF_COUNTS = const(34)
_OF_SLAVE = const(35)


def decimal(value, places, drop=0):
    """An integer in units of 10**-(places + drop) as a JSON number with `places` > 0 places, those
    beyond left out: decimal(-1500, 3) is "-1.500", decimal(-1999, 2, 1) is "-1.99".
    """
    size = abs(value) // 10**drop
    whole, part = divmod(size, 10**places)
    return "%s%d.%0*d" % ("-" if value < 0 and size else "", whole, places, part)


@micropython.viper
def _fill(line: ptr8, template: ptr8, words: ptr32) -> int:
    """Writes a template, which ends with 0, with the numbers in `words`; returns its length."""
    to = _DIGITS
    at = 0
    k = 0
    while True:
        code = template[at]
        at += 1
        if code >= 32:
            line[to] = code
            to += 1
            continue
        if code == 0:
            return to - _DIGITS
        low = words[k]
        high = words[k + 1]
        k += 2
        sign = high >> 28
        first = end = _DIGITS
        if sign > 1:
            first = low >> 3
            end = first + (low & 7)
        else:
            high &= _NEGATIVE - 1
            n = 0
            point = code - 1
            if code == _NINE_DIGITS:
                code = 9
            elif code == _NINE_MORE:
                code = 9
                point = 0
            while n < code or low or high:
                if n == 9:
                    low = high
                    high = 0
                rest = low // 10
                first -= 1
                line[first] = 48 + low - 10 * rest
                low = rest
                n += 1
                if n == point:
                    first -= 1
                    line[first] = 46
            if sign:
                first -= 1
                line[first] = 45
        while first < end:
            line[to] = line[first]
            to += 1
            first += 1


def number(k, value, unit):
    """Makes value / unit, without its fraction, the number at words[k]: less than 10**17 either
    way; None: null."""
    high = 0
    if value is None:
        value = _NULL
        high = _TEXT
    else:
        if value < 0:
            value = -value
            if value >= unit:
                high = _NEGATIVE
        value //= unit
        if value >= _BILLION:
            high += value // _BILLION
            value %= _BILLION
    _words[k] = value
    _words[k + 1] = high


def truth(k, flag):
    """Likewise true or false."""
    _words[k] = _TRUE if flag else _FALSE
    _words[k + 1] = _TEXT


def energies(k, *given):
    """Makes energies (whole and billionths) the numbers from words[k] on."""
    words = _words
    for wh, part in given:
        number(k, wh, 1)
        words[k + 2] = part
        words[k + 3] = 0
        k += 4


def powers(k, reading):
    """Likewise the four POWERS of a Reading or Total."""
    number(k, reading.watts_uw, 1000)
    number(k + 2, reading.vars_uw, 1000)
    number(k + 4, reading.va_uva, 1000)
    number(k + 6, reading.power_factor_ppm, 100)


def filled(text):
    """A template's bytes with the numbers, until others are made, whoever asks for them."""
    return _view[: _fill(_buffer, text, _words)]


def _quoted(text):
    # What the firmware says of itself has neither quotes nor control characters.
    return '"%s"' % text


def _watts(microwatts):
    return "null" if microwatts is None else decimal(microwatts, 3, 3)


def _says(found):
    return '{"verdict":%s,"alike":[%s],"checks":[%s],"text":%s}' % (
        _quoted(found.verdict),
        ",".join([_quoted(word) for word in found.alike]),
        ",".join([str(check) for check in found.checks]),
        _quoted(found.text),
    )


def pieces(report):
    """Yields a Report's object, a few milliseconds of a chip's work at a time, so that frames can
    be looked after in between; "t" is the metered time in seconds."""
    for piece in written(report):
        yield str(piece, "utf8")


def written(report):
    """The same as bytes, of which each is to be done with before the next is made, of this report
    or another."""
    kept = report.kept
    number(0, report.ticks * 1000 // report.tick_hz, 1)
    energies(2, report.wh(0), report.wh(1), *report.varh(2))
    yield filled(_HEADER)
    for k in (0, 1):
        energies(0, report.wh(2 + 2 * k), report.wh(3 + 2 * k), *report.varh(k))
        yield filled(_TABLE if k else memoryview(_TABLE)[1:])
        reading = report.reading(k)
        number(0, reading.volts_uv, 1000)
        number(2, reading.amps_ua, 1000)
        powers(4, reading)
        truth(12, report.reversed[k])
        yield filled(_RMS)
        number(0, reading.watts1_uw, 1000)
        number(2, reading.volts_thd_ppm, 100)
        number(4, reading.amps_thd_ppm, 100)
        yield filled(_FUNDAMENTAL)
    powers(0, report.total())
    number(8, report.hertz_mhz(), 1)
    for k, name in enumerate(LEDS):
        truth(10 + 2 * k, report.leds[name])
    yield filled(_LEDS)
    demand = report.demand
    what = (demand.mean_uw, demand.least_uw, demand.most_uw, demand.peak_uw)
    known = kept.get(_OF_DEMAND)
    if not known or known[0] != what:
        text = _DEMAND % tuple([_watts(uw) for uw in what])
        kept[_OF_DEMAND] = known = what, text.encode()
    yield known[1]
    diagnosis = report.diagnosis()
    known = kept.get(_OF_DOCTOR)
    if known and known[0] is diagnosis:
        yield known[1]
        yield known[2]
    else:
        start = (',"doctor":{"service":%s,"elements":[' % _quoted(diagnosis.service)).encode()
        yield start
        one = _says(diagnosis.elements[0]).encode()
        yield one
        two = (",%s]}" % _says(diagnosis.elements[1])).encode()
        yield two
        kept[_OF_DOCTOR] = diagnosis, start + one, two
    if report.effort:
        for k, value in enumerate(report.effort):
            number(2 * k, value, 1)
        yield filled(_EFFORT)
    if report.demo:
        yield report.demo.sign()
    known = kept.get(_OF_SLAVE)
    if known:
        yield known
    number(0, report.lost_frames, 1)
    energies(2, report.estimated_wh(0), report.estimated_wh(1))
    yield filled(_FAULTS)
    if report.faults:
        counts = report.faults.counts
        known = kept.get(_OF_COUNTS)
        active = list(report.active)
        if not known or known[0] != counts or known[1] != active:
            text = "".join(
                [',"%s":%d' % (name, count) for name, count in zip(NAMES, counts) if count]
            ) + ',"active":[%s]}}' % ",".join([_quoted(text) for text in active])
            kept[_OF_COUNTS] = known = list(counts), active, text.encode()
        yield known[2]
    else:
        yield b"}}"
