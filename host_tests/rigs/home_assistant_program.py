"""Judges MQTT discovery by Home Assistant's own code: run by home_assistant.py, under its Python.

Standard input: a list of [discovery, state].  Standard output: for each {"version", "refused" (why
the message is, or null), "faults": [...] of components, "shown": {key: what its template makes of
the state}}.
"""

import asyncio
import json
import sys
import tempfile

import voluptuous as vol
from homeassistant.components.binary_sensor import DEVICE_CLASSES_SCHEMA as FLAG_CLASSES
from homeassistant.components.mqtt import abbreviations, binary_sensor, discovery, sensor
from homeassistant.components.sensor.const import (
    DEVICE_CLASS_STATE_CLASSES,
    DEVICE_CLASS_UNITS,
    SensorDeviceClass,
)
from homeassistant.const import CONF_PLATFORM, __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame
from homeassistant.helpers.template import Template

_SCHEMAS = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}


def _known_keys(schema):
    """Of a schema, and of those that it is made of."""
    found = set()
    waiting = [schema]
    while waiting:
        of = waiting.pop()
        if isinstance(of, vol.All | vol.Any):
            waiting += of.validators
        elif isinstance(of, vol.Schema):
            if isinstance(of.schema, dict):
                found |= {str(key) for key in of.schema}
            else:
                waiting.append(of.schema)
        elif isinstance(of, dict):
            found |= {str(key) for key in of}
    return found


def _faults_of(key, component, given):
    """What the schema lets pass: keys that nothing reads, a class with a wrong state class."""
    platform = given.get("p") or given["platform"]
    known = _known_keys(_SCHEMAS[platform]) | {"platform"}
    for name in given:
        full = abbreviations.ABBREVIATIONS.get(name, name)
        if full not in known:
            yield f"{key}: {name} is no key of a {platform}"
    if platform == "binary_sensor":
        try:
            FLAG_CLASSES(component.get("device_class"))
        except vol.Invalid as problem:
            yield f"{key}: {problem}"
        return
    given_class = component.get("device_class")
    if given_class is None:
        return
    of_class = SensorDeviceClass(given_class)
    unit = component.get("unit_of_measurement")
    if unit not in DEVICE_CLASS_UNITS[of_class]:
        yield f"{key}: unit {unit} is none of {given_class}"
    if component.get("state_class") not in DEVICE_CLASS_STATE_CLASSES[of_class]:
        yield f"{key}: state class {component.get('state_class')} is none of {given_class}"


async def _judged(cases):
    hass = HomeAssistant(tempfile.mkdtemp())
    frame.async_setup(hass)
    return [_verdict(hass, *case) for case in cases]


def _verdict(hass, given, state):
    payload = json.dumps(given)
    device = discovery._parse_device_payload(None, payload, "id", None)
    if not device:
        return {"version": __version__, "refused": "by the schema of a device"}
    shared = {key: value for key, value in device.items() if key != "components"}
    faults, shown = [], {}
    for key, component in device["components"].items():
        as_given = given["cmps"][key]
        template = Template(as_given["val_tpl"], hass)
        shown[key] = template.async_render_with_possible_json_value(state, None)
        of = discovery.MQTTDiscoveryPayload(component)
        platform = of.pop(CONF_PLATFORM)
        of["device"], of["origin"] = device["device"], device["origin"]
        discovery._merge_common_device_options(of, shared)
        try:
            _SCHEMAS[platform](of)
        except vol.Invalid as problem:
            faults.append(f"{key}: {problem}")
        else:
            faults += _faults_of(key, component, as_given)
    return {"version": __version__, "refused": None, "faults": faults, "shown": shown}


print(json.dumps(asyncio.run(_judged(json.load(sys.stdin)))))
