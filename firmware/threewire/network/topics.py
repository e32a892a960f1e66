"""What a meter says on MQTT: its topics, and its state as JSON.

Flow: report -> TOPICS -> mqtt_outlet.py; on the host, TOPICS -> tools/serve, whose gateway says
the same of boards that have no network.

    BASE/KEY/state          JSON, once a second, retained
    BASE/KEY/profile        what mqtt_profile.py makes, once a quarter of an hour, retained
    BASE/KEY/availability   "online" or "offline", retained
    PREFIX/device/…/config  what discovery.py makes, retained
"""

from threewire.operation.report import LEDS, POWERS, RMS
from threewire.operation.telemetry import energies, filled, number, powers, template, truth

ONLINE = b"online"
OFFLINE = b"offline"
# What Home Assistant keeps of a text, in characters.
LONGEST_TEXT = 255

# Kilowatt-hours with all twelve places, of watt-hours and billionths of one.
_KWH = '"delivered_kwh":"\4\x0b","received_kwh":"\4\x0b"'
_OF_BOTH = _KWH + ',"%s":\4,"%s":\4,"%s":\4,"%s":\5' % POWERS
# The state, from its "time" on; behind each stands a text, or the next.
_START = template(',"metered_s":\4,' + _OF_BOTH + ',"hertz":\4,"demand_watts":\4,"service":"')
_LAMPS = template('","leds":{"%s":\1,"%s":\1,"%s":\1},"faults":\1,"active_faults":"' % LEDS)
_ELEMENT = template("{" + _OF_BOTH + ',"%s":\4,"%s":\4,"reversed":\1,"verdict":"' % RMS)


def topic(base, key, what):
    """Of a device; what: "state" or "availability"."""
    return "%s/%s/%s" % (base, key, what)


def config_topic(prefix, key):
    """Where discovery goes; prefix: Home Assistant's."""
    return "%s/device/threewire_%s/config" % (prefix, key)


class State:
    """A Report's state at a time: pieces() yields its bytes, as often as it is asked, the same
    each time; a piece is to be done with before the next is made, of this or of a report.

    time  ISO 8601, or None where it is not known
    """

    def __init__(self, report, time=None):
        self._report = report
        self._time = ('{"time":"%s"' % time if time else '{"time":null').encode()
        # What goes on while the report stays as it was.
        self._demand_uw = report.demand.mean_uw
        self._count = sum(report.faults.counts)
        self._active = ", ".join(report.active) or "none"
        self._diagnosis = None

    def pieces(self):
        report = self._report
        yield self._time
        number(0, report.ticks * 1000 // report.tick_hz, 1)
        energies(2, report.wh(0), report.wh(1))
        powers(10, report.total())
        number(18, report.hertz_mhz(), 1)
        number(20, self._demand_uw, 1000)
        yield filled(_START)
        diagnosis = self._diagnosis
        if diagnosis is None:
            self._diagnosis = diagnosis = report.diagnosis()
        yield diagnosis.service.encode()
        for k, name in enumerate(LEDS):
            truth(2 * k, report.leds[name])
        number(6, self._count, 1)
        yield filled(_LAMPS)
        yield self._active[:LONGEST_TEXT].encode()
        yield b'","elements":['
        for k in (0, 1):
            energies(0, report.wh(2 + 2 * k), report.wh(3 + 2 * k))
            reading = report.reading(k)
            powers(8, reading)
            number(16, reading.volts_uv, 1000)
            number(18, reading.amps_ua, 1000)
            truth(20, report.reversed[k])
            yield filled(_ELEMENT)
            found = diagnosis.elements[k]
            yield ('%s","advice":"%s"}' % (found.verdict, found.text[:LONGEST_TEXT])).encode()
            yield b"]}" if k else b","
