"""What Home Assistant is told of a device, so that it shows it by itself: MQTT discovery of a
whole device in one message.

Flow: device -> HOME ASSISTANT -> mqtt.py.  Forms, units and classes are those of Home Assistant's
own code (mqtt/schemas.py, sensor/const.py, 2026.2); its MQTT pages describe them.
"""

from typing import Any

from threewire.version import VERSION
from tools.serve.snapshot import Device

ORIGIN = {"name": "Threewire gateway", "sw": VERSION}

# key, name, device class, unit, what is shown of it: of the total and of each element.
_ENERGY = (
    ("delivered_kwh", "energy delivered", "energy", "kWh", 3),
    ("received_kwh", "energy received", "energy", "kWh", 3),
)
_POWER = (
    ("watts", "power", "power", "W", 1),
    ("var", "reactive power", "reactive_power", "var", 1),
    ("va", "apparent power", "apparent_power", "VA", 1),
    ("power_factor", "power factor", "power_factor", None, 3),
)
_RMS = (
    ("volts", "voltage", "voltage", "V", 1),
    ("amps", "current", "current", "A", 2),
)


def discovery(device: Device, state_topic: str, availability: list[str]) -> dict[str, Any]:
    """The message for PREFIX/device/ID/config, whose ID is `device_id`.

    availability  topics that all must say "online"
    """
    made = _Components(device_id(device))
    for row in (*_ENERGY, *_POWER):
        made.sensor(row, row[0], "")
    for k in (0, 1):
        for row in (*_ENERGY, *_POWER, *_RMS):
            made.sensor(row, f"elements[{k}].{row[0]}", f"{k + 1}")
        made.text(f"advice{k + 1}", f"Advice on element {k + 1}", f"elements[{k}].advice")
        made.problem(f"reversed{k + 1}", f"Element {k + 1} reversed", f"elements[{k}].reversed")
    made.sensor(("hertz", "frequency", "frequency", "Hz", 2), "hertz", "")
    made.sensor(("demand", "demand", "power", "W", 1), "demand_watts", "", may_be_none=True)
    made.problem("reverse_led", "Red lamp (reverse)", "leds.reverse")
    made.text("service", "Service", "service")
    made.text("active_faults", "Faults now", "active_faults")
    made.count("faults", "Faults counted", "faults")
    return {
        "dev": {
            "ids": [device_id(device)],
            "name": device.name,
            "mf": "Threewire",
            "mdl": device.board,
            "sw": device.version,
            "sn": device.chip_id,
        },
        "o": ORIGIN,
        "stat_t": state_topic,
        "avty": [{"t": topic} for topic in availability],
        "avty_mode": "all",
        "cmps": made.found,
    }


def device_id(device: Device) -> str:
    return f"threewire_{device.key}"


class _Components:
    """found  key -> component, as discovery has them"""

    def __init__(self, identity: str) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self._identity = identity

    def _add(self, key: str, platform: str, name: str, template: str, **more: Any) -> None:
        self.found[key] = {
            "p": platform,
            "uniq_id": f"{self._identity}_{key}",
            "name": name,
            "val_tpl": template,
            **more,
        }

    def sensor(
        self,
        row: tuple[str, str, str, str | None, int],
        path: str,
        element: str,
        may_be_none: bool = False,
    ) -> None:
        key, name, device_class, unit, places = row
        name = f"Element {element} {name}" if element else name.capitalize()
        of_unit = {"unit_of_meas": unit} if unit else {}
        shown = f"{{{{ value_json.{path} }}}}"
        if may_be_none:
            # Without a value it is "unknown", as Home Assistant takes this word.
            shown = f"{{{{ value_json.{path} if value_json.{path} is not none else 'None' }}}}"
        self._add(
            f"{key}{element}",
            "sensor",
            name,
            shown,
            dev_cla=device_class,
            stat_cla="total_increasing" if device_class == "energy" else "measurement",
            sug_dsp_prc=places,
            **of_unit,
        )

    def text(self, key: str, name: str, path: str) -> None:
        self._add(key, "sensor", name, f"{{{{ value_json.{path} }}}}", ent_cat="diagnostic")

    def count(self, key: str, name: str, path: str) -> None:
        self._add(
            key,
            "sensor",
            name,
            f"{{{{ value_json.{path} }}}}",
            stat_cla="total_increasing",
            ent_cat="diagnostic",
        )

    def problem(self, key: str, name: str, path: str) -> None:
        template = f"{{{{ 'ON' if value_json.{path} else 'OFF' }}}}"
        self._add(key, "binary_sensor", name, template, dev_cla="problem")
