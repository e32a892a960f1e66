"""What Home Assistant is told of a device, so that it shows it by itself: MQTT discovery of a
whole device in one message.

Flow: device, threewire.network.discovery -> HOME ASSISTANT -> mqtt.py.
"""

from threewire.network import discovery as of_a_device
from threewire.version import VERSION
from tools.serve.snapshot import Device


def discovery(device: Device, state_topic: str, availability: list[str]) -> str:
    """The message for topics.config_topic, JSON.

    availability  topics that all must say "online"
    """
    return "".join(
        of_a_device.discovery(
            device.key,
            device.name,
            device.board,
            device.version,
            device.chip_id,
            ("Threewire gateway", VERSION),
            availability,
            state_topic,
        )
    )
