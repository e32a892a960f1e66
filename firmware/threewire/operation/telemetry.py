"""The serial line: one JSON object a second with what the meter knows.

Flow: meter -> TELEMETRY -> serial port.  Keys are those of the host's replay; numbers are made
from integers, digit by digit, so that no port's float rounding shows.
"""

from threewire.metering.readings import Total
from threewire.operation.faults import NAMES


def decimal(value, places, drop=0):
    """An integer in units of 10**-(places + drop) as a JSON number with `places` > 0 places, those
    beyond left out: decimal(-1500, 3) is "-1.500", decimal(-1999, 2, 1) is "-1.99".
    """
    size = abs(value) // 10**drop
    whole, part = divmod(size, 10**places)
    # On the chip str.format takes ten times as long, and so does putting strings together.
    return "%s%d.%0*d" % ("-" if value < 0 and size else "", whole, places, part)


def _truth(flag):
    return "true" if flag else "false"


def _quoted(text):
    # What the firmware says of itself has neither quotes nor control characters.
    return '"{}"'.format(text)


def _quadrants(registers):
    return '"varh":["%s","%s","%s","%s"]' % tuple([r.text() for r in registers])


def _powers(reading):
    return '"watts":%s,"var":%s,"va":%s,"power_factor":%s' % (
        decimal(reading.watts_uw, 3, 3),
        decimal(reading.vars_uw, 3, 3),
        decimal(reading.va_uva, 3, 3),
        decimal(reading.power_factor_ppm, 4, 2),
    )


def _watts(microwatts):
    return "null" if microwatts is None else decimal(microwatts, 3, 3)


def pieces(meter, faults=None, active=()):
    """Yields the line of a meter that has a `second`, a few milliseconds of a chip's work at a
    time, so that frames can be looked after in between.  Energies, lamps and "t", the metered
    time in seconds, are those of the moment it begins.

    faults  Faults, of which those that have happened are told; active: those there are, as text
    """
    tick_hz = meter.tick_hz
    registers = meter.registers.copy()
    estimated = meter.estimated.copy()
    quadrants = meter.reactive.copy()
    rules = [_truth(rule.reversed) for rule in meter.rules]
    lamps = '"kwh":{},"ten":{},"reverse":{}'.format(
        _truth(meter.lit["kwh"]), _truth(meter.lit["ten"]), _truth(meter.lit["reverse"])
    )
    lost = meter.lost_frames
    yield '{{"t":{}'.format(decimal(meter.ticks * 1000 // tick_hz, 3))
    window = meter.second
    yield ',"delivered_wh":"{}"'.format(registers.delivered.text())
    yield ',"received_wh":"{}",'.format(registers.received.text())
    yield _quadrants(quadrants[2]) + ',"elements":['
    readings = []
    for k, (delivered, received) in enumerate(registers.elements):
        yield '{}"delivered_wh":"{}",'.format(",{" if k else "{", delivered.text())
        yield '"received_wh":"{}",'.format(received.text())
        yield _quadrants(quadrants[k])
        reading = meter.reading(window, k)
        readings.append(reading)
        yield ',"volts":{},"amps":{},'.format(
            decimal(reading.volts_uv, 3, 3),
            decimal(reading.amps_ua, 3, 3),
        )
        yield '{},"reversed":{}}}'.format(_powers(reading), rules[k])
    yield '],{},"hertz":{},"leds":{{{}}}'.format(
        _powers(Total(*readings)), decimal(meter.hertz_mhz(window), 3), lamps
    )
    demand = meter.demand
    yield ',"demand":{{"watts":{},"least":{},"most":{},"peak":{}}}'.format(
        _watts(demand.mean_uw),
        _watts(demand.least_uw),
        _watts(demand.most_uw),
        _watts(demand.peak_uw),
    )
    diagnosis = meter.diagnosis(window, *readings)
    yield ',"doctor":{{"service":{},"elements":['.format(_quoted(diagnosis.service))
    for k, e in enumerate(diagnosis.elements):
        yield '{}{{"verdict":{},"alike":[{}],"checks":[{}],'.format(
            "," if k else "",
            _quoted(e.verdict),
            ",".join([_quoted(word) for word in e.alike]),
            ",".join([str(check) for check in e.checks]),
        )
        yield '"text":{}}}'.format(_quoted(e.text))
    yield ']}},"faults":{{"lost_frames":{},"estimated_delivered_wh":"{}",'.format(
        lost, estimated.delivered.text()
    )
    yield '"estimated_received_wh":"{}"'.format(estimated.received.text())
    if faults:
        counts = [
            ',"{}":{}'.format(name, count) for name, count in zip(NAMES, faults.counts) if count
        ]
        yield '{},"active":[{}]'.format(
            "".join(counts), ",".join([_quoted(text) for text in active])
        )
    yield "}}"


def line(meter):
    """The whole line."""
    return "".join(pieces(meter))
