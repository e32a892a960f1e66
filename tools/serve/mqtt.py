"""Devices on an MQTT broker, which Home Assistant finds there by itself.

Flow: feed -> MQTT (states.py, home_assistant.py) -> broker.

Topics are those of a board that has a network itself (threewire.network.topics), and one besides:

    PREFIX/gateway/CLIENT     "online", or "offline" by the gateway's last will where it is gone

States are of now, and energies are counters: nothing is lost while the broker is away.
"""

import asyncio
import json
import re
import secrets
from typing import TYPE_CHECKING, Annotated, ClassVar

import aiomqtt
from msgspec import Meta, Struct

from threewire.network import topics
from tools.common.errors import InputError
from tools.common.files import write_whole
from tools.serve.feed import Feed
from tools.serve.home_assistant import discovery
from tools.serve.settings import Port, Text, secret, trusting
from tools.serve.sink import Status
from tools.serve.snapshot import Device, Snapshot
from tools.serve.states import state

if TYPE_CHECKING:
    from tools.serve.gateway import Gateway

# No wildcard, no empty level, nothing that a broker keeps for itself.
Topic = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][^+#\x00-\x1f\x7f]{0,99}(?<!/)\Z")]
_CLIENT = r"^[A-Za-z0-9_-]{1,60}\Z"
Client = Annotated[str, Meta(pattern=_CLIENT)]
# Seconds after which a broker that says nothing is gone.
_KEEPALIVE_S = 15
_TIMEOUT_S = 10.0
ONLINE, OFFLINE = topics.ONLINE.decode(), topics.OFFLINE.decode()


class Settings(Struct):
    """[mqtt]"""

    host: Text = "127.0.0.1"
    port: Port | None = None
    user: Text | None = None
    password_file: Text | None = None
    password_env: Text | None = None
    tls: bool = False
    ca_file: Text | None = None
    prefix: Topic = "threewire"
    discovery: Topic = "homeassistant"
    client: Client | None = None


class Sink:
    """Raises InputError for settings that contradict each other."""

    keeps_all: ClassVar[bool] = False

    def __init__(self, settings: Settings, gateway: "Gateway") -> None:
        if settings.ca_file and not settings.tls:
            raise InputError("ca_file is for TLS, which is off: set tls = true, or leave it out")
        self._settings = settings
        self._hub = gateway.hub
        self._password = secret(settings, "password")
        if self._password and not settings.user:
            raise InputError("a password is given, and no user; name the user")
        self._context = trusting(settings.ca_file) if settings.tls else None
        self._client = settings.client or _kept_client(gateway)
        self._port = settings.port or (8883 if settings.tls else 1883)
        # To this broker, since it is there: of each key.
        self._told: dict[str, Device] = {}
        self._said: dict[str, str] = {}

    @property
    def _gateway_topic(self) -> str:
        return f"{self._settings.prefix}/gateway/{self._client}"

    async def run(self, feed: Feed, status: Status) -> None:
        where = f"{self._settings.host}:{self._port}"
        self._told.clear()
        self._said.clear()
        try:
            async with aiomqtt.Client(
                self._settings.host,
                self._port,
                username=self._settings.user,
                password=self._password,
                identifier=self._client,
                tls_context=self._context,
                keepalive=_KEEPALIVE_S,
                timeout=_TIMEOUT_S,
                will=aiomqtt.Will(self._gateway_topic, OFFLINE, qos=1, retain=True),
            ) as client:
                status.ok(f"connected to the broker at {where}")
                await self._publish_until_gone(client, feed)
        except aiomqtt.MqttError as problem:
            raise ConnectionError(f"broker at {where}: {problem}") from None

    async def _publish_until_gone(self, client: aiomqtt.Client, feed: Feed) -> None:
        # Side by side: an answer that is waited for does not come from a broker that is gone.
        tasks = [
            asyncio.create_task(_listen(client)),
            asyncio.create_task(self._publish_all(client, feed)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            tasks[1].cancel()
            # In good order the last will is not sent: this says the same.
            for device in self._told.values():
                await client.publish(self._availability(device.key), OFFLINE, qos=1, retain=True)
            await client.publish(self._gateway_topic, OFFLINE, qos=1, retain=True)
            raise
        finally:
            for task in tasks:
                task.cancel()

    async def _publish_all(self, client: aiomqtt.Client, feed: Feed) -> None:
        # A gateway that was killed has left them online.
        for key in self._hub.away():
            await client.publish(self._availability(key), OFFLINE, qos=1, retain=True)
        await client.publish(self._gateway_topic, ONLINE, qos=1, retain=True)
        while True:
            await self._publish(client, await feed.get())

    async def _publish(self, client: aiomqtt.Client, snapshot: Snapshot) -> None:
        device = snapshot.device
        topic = topics.topic(self._settings.prefix, device.key, "state")
        if self._told.get(device.key) != device:
            self._told[device.key] = device
            self._said.pop(device.key, None)
            found = discovery(device, topic, [self._gateway_topic, self._availability(device.key)])
            await client.publish(
                topics.config_topic(self._settings.discovery, device.key),
                found,
                qos=1,
                retain=True,
            )
        await client.publish(topic, json.dumps(state(snapshot)), retain=True)
        said = ONLINE if snapshot.is_live else OFFLINE
        if self._said.get(device.key) != said:
            self._said[device.key] = said
            await client.publish(self._availability(device.key), said, qos=1, retain=True)

    def _availability(self, key: str) -> str:
        return topics.topic(self._settings.prefix, key, "availability")


async def _listen(client: aiomqtt.Client) -> None:
    """Until the broker is gone, which raises MqttError: nothing is subscribed to."""
    async for _ in client.messages:
        pass


def _kept_client(gateway: "Gateway") -> str:
    """A client's name that stays: two of the same name would end each other's sessions."""
    file = gateway.folder / "mqtt-client"
    try:
        found = file.read_text().strip()
    except (OSError, ValueError):
        found = ""
    if not re.fullmatch(_CLIENT, found):
        found = f"threewire-{secrets.token_hex(4)}"
        write_whole(file, found + "\n")
    return found
