"""What a meter says on MQTT: its topics, its state as JSON, and what Home Assistant is told of it,
so that it shows it by itself: discovery of a whole device in one message.

Flow: report -> TOPICS -> mqtt_outlet.py; on the host, TOPICS -> tools/serve, whose gateway says
the same of boards that have no network.  Forms, units and classes are those of Home Assistant's
own code (mqtt/schemas.py, sensor/const.py, 2026.2).

    BASE/KEY/state          JSON, once a second, retained
    BASE/KEY/availability   "online" or "offline", retained
    PREFIX/device/…/config  discovery, retained
"""

from json import dumps

from threewire.operation.report import LEDS, POWERS, RMS
from threewire.operation.telemetry import energies, filled, number, powers, template, truth
from threewire.version import VERSION

ONLINE = b"online"
OFFLINE = b"offline"
# What Home Assistant keeps of a text, in characters.
LONGEST_TEXT = 255

# Kilowatt-hours with all twelve places, of watt-hours and billionths of one.
_KWH = '"delivered_kwh":"\4\x0b","received_kwh":"\4\x0b"'
_OF_BOTH = _KWH + ',"%s":\4,"%s":\4,"%s":\4,"%s":\5' % POWERS
# The state, from its "time" on; behind each stands a text, or the next.
START = template(',"metered_s":\4,' + _OF_BOTH + ',"hertz":\4,"demand_watts":\4,"service":"')
LAMPS = template('","leds":{"%s":\1,"%s":\1,"%s":\1},"faults":\1,"active_faults":"' % LEDS)
ELEMENT = template("{" + _OF_BOTH + ',"%s":\4,"%s":\4,"reversed":\1,"verdict":"' % RMS)

# What is shown of the total: key, name, class, unit, places; and of an element besides.
_OF_TOTAL = (
    "delivered_kwh,energy delivered,energy,kWh,3;received_kwh,energy received,energy,kWh,3;"
    "watts,power,power,W,1;var,reactive power,reactive_power,var,1;"
    "va,apparent power,apparent_power,VA,1;power_factor,power factor,power_factor,,3"
)
_OF_ELEMENT = _OF_TOTAL + ";volts,voltage,voltage,V,1;amps,current,current,A,2"
# Without a value it is "unknown", as Home Assistant takes the word "None".
_DEMAND = "value_json.demand_watts if value_json.demand_watts is not none else 'None'"
_TOLD = ',"ent_cat":"diagnostic"'
_COUNTED = ',"stat_cla":"total_increasing"'


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
        yield filled(START)
        diagnosis = self._diagnosis
        if diagnosis is None:
            self._diagnosis = diagnosis = report.diagnosis()
        yield diagnosis.service.encode()
        for k, name in enumerate(LEDS):
            truth(2 * k, report.leds[name])
        number(6, self._count, 1)
        yield filled(LAMPS)
        yield self._active[:LONGEST_TEXT].encode()
        yield b'","elements":['
        for k in (0, 1):
            energies(0, report.wh(2 + 2 * k), report.wh(3 + 2 * k))
            reading = report.reading(k)
            powers(8, reading)
            number(16, reading.volts_uv, 1000)
            number(18, reading.amps_ua, 1000)
            truth(20, report.reversed[k])
            yield filled(ELEMENT)
            found = diagnosis.elements[k]
            yield ('%s","advice":"%s"}' % (found.verdict, found.text[:LONGEST_TEXT])).encode()
            yield b"]}" if k else b","


def discovery(key, name, board, version, chip_id, origin, availability, state_topic):
    """Yields the text of the message for `config_topic`, a few hundred characters at a time.

    name          of the device
    origin        who tells of it
    availability  topics that all must say "online"
    """
    identity = "threewire_" + key
    yield '{"dev":{"ids":["%s"],"name":%s,"mf":"Threewire","mdl":%s,"sw":%s,"sn":%s}' % (
        identity,
        dumps(name),
        dumps(board),
        dumps(version),
        dumps(chip_id),
    )
    yield ',"o":{"name":"%s","sw":"%s"},"stat_t":%s' % (origin, VERSION, dumps(state_topic))
    yield ',"avty":[%s],"avty_mode":"all","cmps":{' % ",".join(
        ['{"t":%s}' % dumps(topic) for topic in availability]
    )
    for k in (0, 1, 2):
        path = "elements[%d]." % (k - 1) if k else ""
        for row in (_OF_ELEMENT if k else _OF_TOTAL).split(";"):
            yield _sensor(identity, row, path, k)
        if k:
            name = "Advice on element %d" % k
            yield _component(identity, "advice%d" % k, name, "value_json.%sadvice" % path, _TOLD)
            yield _problem(
                identity, "reversed%d" % k, "Element %d reversed" % k, path + "reversed"
            )
    yield _sensor(identity, "hertz,frequency,frequency,Hz,2", "", 0)
    yield _sensor(identity, "demand,demand,power,W,1", "", 0, _DEMAND)
    yield _problem(identity, "reverse_led", "Red lamp (reverse)", "leds.reverse")
    for key, name in (("service", "Service"), ("active_faults", "Faults now")):
        yield _component(identity, key, name, "value_json." + key, _TOLD)
    last = _component(identity, "faults", "Faults counted", "value_json.faults", _COUNTED + _TOLD)
    yield last[:-1] + "}}"


def _component(identity, key, name, shown, more, platform="sensor"):
    return '"%s":{"p":"%s","uniq_id":"%s_%s","name":"%s","val_tpl":"{{ %s }}"%s},' % (
        key,
        platform,
        identity,
        key,
        name,
        shown,
        more,
    )


def _problem(identity, key, name, path):
    shown = "'ON' if value_json.%s else 'OFF'" % path
    return _component(identity, key, name, shown, ',"dev_cla":"problem"', "binary_sensor")


def _sensor(identity, row, path, element, shown=None):
    key, name, of, unit, places = row.split(",")
    more = ',"dev_cla":"%s"%s,"sug_dsp_prc":%s' % (
        of,
        _COUNTED if of == "energy" else ',"stat_cla":"measurement"',
        places,
    )
    if unit:
        more += ',"unit_of_meas":"%s"' % unit
    shown = shown or "value_json.%s%s" % (path, key)
    if element:
        key += str(element)
        name = "Element %d %s" % (element, name)
    else:
        name = name[0].upper() + name[1:]
    return _component(identity, key, name, shown, more)
