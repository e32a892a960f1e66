"""What Home Assistant is told of a meter, so that it shows it by itself: MQTT discovery of a whole
device in one message.

Flow: DISCOVERY -> mqtt_outlet.py, which loads it anew for each connection; and tools/serve.
Forms, units and classes are those of Home Assistant's own code (mqtt/schemas.py, sensor/const.py,
2026.2).
"""

from json import dumps

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


def discovery(key, name, board, version, chip_id, origin, availability, state_topic):
    """Yields the text of the message for `config_topic`, a few hundred characters at a time.

    name          of the device
    origin        who tells of it: name, version
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
    yield ',"o":{"name":"%s","sw":"%s"},"stat_t":%s' % (origin + (dumps(state_topic),))
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
