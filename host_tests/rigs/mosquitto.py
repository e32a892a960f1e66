"""Mosquitto on this machine, and a client that hears all that is said there.

Flow: the gateway -> MOSQUITTO -> listener -> the test.
"""

import asyncio
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt

from host_tests.rigs import debian_programs
from host_tests.rigs.gateway_run import wait_for
from tools.emulate.tcp_port import free_port


class Broker:
    """Mosquitto on a port of this machine, which can be killed and started anew.

    lines  of its configuration besides
    """

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        # It gives up root for a user that may not enter a test's folder.
        text = [f"listener {self.port} 127.0.0.1", "user root", *lines]
        if not any(line.startswith("allow_anonymous") for line in lines):
            text.append("allow_anonymous true")
        self._config.write_text("\n".join(text) + "\n")
        self._argv = debian_programs.command("mosquitto", "mosquitto", "usr/sbin/mosquitto")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._argv, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, "the broker")

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, "the broker has ended"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


class Listener:
    """A client that has subscribed to all, in a thread.

    said   (topic, text), in the order in which they came
    latest topic -> text
    """

    def __init__(self, port: int, **options: Any) -> None:
        self.said: list[tuple[str, str]] = []
        self.latest: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._task = self._loop.create_task(self._listen(port, options))
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Listener":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def _work(self) -> None:
        with suppress(asyncio.CancelledError, aiomqtt.MqttError):
            self._loop.run_until_complete(self._task)

    async def _listen(self, port: int, options: dict[str, Any]) -> None:
        async with aiomqtt.Client("127.0.0.1", port, **options) as client:
            await client.subscribe("#", qos=1)
            self._ready.set()
            async for message in client.messages:
                text = bytes(message.payload).decode()  # pyright: ignore[reportArgumentType]
                self.said.append((str(message.topic), text))
                self.latest[str(message.topic)] = text

    def wait(self, topic: str, met: Callable[[str], object] = lambda text: True) -> str:
        def looked() -> str | None:
            text = self.latest.get(topic)
            return text if text is not None and met(text) else None

        return wait_for(looked, topic)
