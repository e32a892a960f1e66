"""A report as text: one JSON object, made a piece at a time.

Flow: report -> TELEMETRY -> serial line, console.  Numbers are made from integers, digit by digit,
so that no port's float rounding shows.
"""

from threewire.operation.faults import NAMES
from threewire.operation.report import (
    DEMAND,
    ENERGIES,
    ESTIMATED,
    FUNDAMENTAL,
    LEDS,
    POWERS,
    RMS,
    VARH,
)

# On the chip str.format takes ten times as long as %, and putting strings together does too.
_POWERS = '"%s":%%s,"%s":%%s,"%s":%%s,"%s":%%s' % POWERS
_RMS = ',"%s":%%s,"%s":%%s,' % RMS
_FUNDAMENTAL = ',"%s":%%s,"%s":%%s,"%s":%%s}' % FUNDAMENTAL
_VARH = '"%s":["%%s","%%s","%%s","%%s"]' % VARH
_LEDS = '"%s":%%s,"%s":%%s,"%s":%%s' % LEDS
_DEMAND = ',"demand":{"%s":%%s,"%s":%%s,"%s":%%s,"%s":%%s}' % DEMAND


def decimal(value, places, drop=0):
    """An integer in units of 10**-(places + drop) as a JSON number with `places` > 0 places, those
    beyond left out: decimal(-1500, 3) is "-1.500", decimal(-1999, 2, 1) is "-1.99".
    """
    size = abs(value) // 10**drop
    whole, part = divmod(size, 10**places)
    return "%s%d.%0*d" % ("-" if value < 0 and size else "", whole, places, part)


def _truth(flag):
    return "true" if flag else "false"


def _quoted(text):
    # What the firmware says of itself has neither quotes nor control characters.
    return '"%s"' % text


def _quadrants(report, which):
    return _VARH % tuple(report.varh(which))


def _powers(reading):
    return _POWERS % (
        decimal(reading.watts_uw, 3, 3),
        decimal(reading.vars_uw, 3, 3),
        decimal(reading.va_uva, 3, 3),
        decimal(reading.power_factor_ppm, 4, 2),
    )


def _watts(microwatts):
    return "null" if microwatts is None else decimal(microwatts, 3, 3)


def _percent(ppm):
    return "null" if ppm is None else decimal(ppm, 2, 2)


def pieces(report):
    """Yields a Report's object, a few milliseconds of a chip's work at a time, so that frames can
    be looked after in between; "t" is the metered time in seconds."""
    yield '{"t":' + decimal(report.ticks * 1000 // report.tick_hz, 3)
    yield ',"%s":"%s"' % (ENERGIES[0], report.wh(0))
    yield ',"%s":"%s",' % (ENERGIES[1], report.wh(1))
    yield _quadrants(report, 2) + ',"elements":['
    for k in (0, 1):
        yield '%s"%s":"%s",' % (",{" if k else "{", ENERGIES[0], report.wh(2 + 2 * k))
        yield '"%s":"%s",' % (ENERGIES[1], report.wh(3 + 2 * k))
        yield _quadrants(report, k)
        reading = report.reading(k)
        yield _RMS % (decimal(reading.volts_uv, 3, 3), decimal(reading.amps_ua, 3, 3))
        yield '%s,"reversed":%s' % (_powers(reading), _truth(report.reversed[k]))
        yield _FUNDAMENTAL % (
            decimal(reading.watts1_uw, 3, 3),
            _percent(reading.volts_thd_ppm),
            _percent(reading.amps_thd_ppm),
        )
    yield '],%s,"hertz":%s,"leds":{%s}' % (
        _powers(report.total()),
        decimal(report.hertz_mhz(), 3),
        _LEDS % tuple([_truth(report.leds[name]) for name in LEDS]),
    )
    demand = report.demand
    yield _DEMAND % (
        _watts(demand.mean_uw),
        _watts(demand.least_uw),
        _watts(demand.most_uw),
        _watts(demand.peak_uw),
    )
    diagnosis = report.diagnosis()
    yield ',"doctor":{"service":%s,"elements":[' % _quoted(diagnosis.service)
    for k, e in enumerate(diagnosis.elements):
        yield '%s{"verdict":%s,"alike":[%s],"checks":[%s],' % (
            "," if k else "",
            _quoted(e.verdict),
            ",".join([_quoted(word) for word in e.alike]),
            ",".join([str(check) for check in e.checks]),
        )
        yield '"text":%s}' % _quoted(e.text)
    yield ']},"faults":{"lost_frames":%d,"%s":"%s",' % (
        report.lost_frames,
        ESTIMATED[0],
        report.estimated_wh(0),
    )
    yield '"%s":"%s"' % (ESTIMATED[1], report.estimated_wh(1))
    if report.faults:
        counts = [
            ',"%s":%d' % (name, count) for name, count in zip(NAMES, report.faults.counts) if count
        ]
        yield '%s,"active":[%s]' % (
            "".join(counts),
            ",".join([_quoted(text) for text in report.active]),
        )
    yield "}}"
