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


def _element(reading, registers, rule):
    return (
        '{{"delivered_wh":"{}","received_wh":"{}","volts":{},"amps":{},"watts":{},"var":{},"va":{},'
        '"power_factor":{},"reversed":{}}}'
    ).format(
        registers[0].text(),
        registers[1].text(),
        decimal(reading.volts_uv, 3, 3),
        decimal(reading.amps_ua, 3, 3),
        decimal(reading.watts_uw, 3, 3),
        decimal(reading.vars_uw, 3, 3),
        decimal(reading.va_uva, 3, 3),
        decimal(reading.power_factor_ppm, 4, 2),
        _truth(rule.reversed),
    )


def line(meter, window):
    """One line of JSON about `window` (the last second) and the registers; "t" is the metered time
    in seconds.
    """
    one, two, hertz_mhz = meter.readings(window)
    total = meter.registers
    lit = meter.lit
    return (
        '{{"t":{},"delivered_wh":"{}","received_wh":"{}","elements":[{},{}],"hertz":{},'
        '"leds":{{"kwh":{},"ten":{},"reverse":{}}},"faults":{{"lost_frames":{},'
        '"estimated_delivered_wh":"{}","estimated_received_wh":"{}"}}}}'
    ).format(
        decimal(meter.ticks * 1000 // meter.tick_hz, 3),
        total.delivered.text(),
        total.received.text(),
        _element(one, total.elements[0], meter.rules[0]),
        _element(two, total.elements[1], meter.rules[1]),
        decimal(hertz_mhz, 3),
        _truth(lit["kwh"]),
        _truth(lit["ten"]),
        _truth(lit["reverse"]),
        meter.lost_frames,
        meter.estimated.delivered.text(),
        meter.estimated.received.text(),
    )
