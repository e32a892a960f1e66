"""What Home Assistant is told of a device, so that it shows it by itself: MQTT discovery of a
whole device in one message.

Flow: device, threewire.network.topics -> HOME ASSISTANT -> mqtt.py.
"""

from threewire.network import topics
from tools.serve.snapshot import Device


def discovery(device: Device, state_topic: str, availability: list[str]) -> str:
    """The message for topics.config_topic, JSON.

    availability  topics that all must say "online"
    """
    return "".join(
        topics.discovery(
            device.key,
            device.name,
            device.board,
            device.version,
            device.chip_id,
            "Threewire gateway",
            availability,
            state_topic,
        )
    )
