"""The serial line: one JSON object a second with what the meter knows.

Flow: meter -> TELEMETRY -> serial port.  Keys are those of the host's replay; numbers are made
from integers, digit by digit, so that no port's float rounding shows.
"""


def decimal(value, places, drop=0):
    """An integer in units of 10**-(places + drop) as a JSON number with `places` > 0 places, those
    beyond left out: decimal(-1500, 3) is "-1.500", decimal(-1999, 2, 1) is "-1.99".
    """
    size = abs(value) // 10**drop
    digits = "{:0{}d}".format(size, places + 1)
    return "{}{}.{}".format("-" if value < 0 and size else "", digits[:-places], digits[-places:])


def _truth(flag):
    return "true" if flag else "false"


def pieces(meter):
    """Yields the line of a meter that has a `second`, a few milliseconds of a chip's work at a
    time, so that frames can be looked after in between.  Registers, lamps and "t", the metered
    time in seconds, are those of the moment it begins.
    """
    tick_hz = meter.tick_hz
    registers = meter.registers.copy()
    estimated = meter.estimated.copy()
    rules = [_truth(rule.reversed) for rule in meter.rules]
    lamps = '"kwh":{},"ten":{},"reverse":{}'.format(
        _truth(meter.lit["kwh"]), _truth(meter.lit["ten"]), _truth(meter.lit["reverse"])
    )
    lost = meter.lost_frames
    yield '{{"t":{}'.format(decimal(meter.ticks * 1000 // tick_hz, 3))
    window = meter.second
    yield ',"delivered_wh":"{}"'.format(registers.delivered.text())
    yield ',"received_wh":"{}","elements":['.format(registers.received.text())
    for k, (delivered, received) in enumerate(registers.elements):
        yield '{}"delivered_wh":"{}",'.format(",{" if k else "{", delivered.text())
        yield '"received_wh":"{}",'.format(received.text())
        reading = meter.reading(window, k)
        yield '"volts":{},"amps":{},"watts":{},'.format(
            decimal(reading.volts_uv, 3, 3),
            decimal(reading.amps_ua, 3, 3),
            decimal(reading.watts_uw, 3, 3),
        )
        yield '"var":{},"va":{},"power_factor":{},"reversed":{}}}'.format(
            decimal(reading.vars_uw, 3, 3),
            decimal(reading.va_uva, 3, 3),
            decimal(reading.power_factor_ppm, 4, 2),
            rules[k],
        )
    yield '],"hertz":{},"leds":{{{}}}'.format(decimal(meter.hertz_mhz(window), 3), lamps)
    yield ',"faults":{{"lost_frames":{},"estimated_delivered_wh":"{}",'.format(
        lost, estimated.delivered.text()
    )
    yield '"estimated_received_wh":"{}"}}}}'.format(estimated.received.text())


def line(meter):
    """The whole line."""
    return "".join(pieces(meter))
