"""An emulated ESP32 with a board's firmware: QEMU, whose UART is served at a TCP port.

Flow: tools.image, MicroPython's .bin -> flash -> ESP32 BOARD (QEMU) -> flash, monitor, capture,
with that PORT=.  Nothing drives its ADC's inputs: what it meters is what QEMU makes up.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tools import image
from tools.common.errors import EngineFailed
from tools.emulate import esp32_flash
from tools.emulate.tcp_port import free_port
from tools.engines import qemu_esp32

# Until its port takes a connection, and from the request to end until it is made to.
_START_S = 20.0
_END_S = 5.0
_LOOK_S = 0.05


class Esp32Board(contextlib.ExitStack):
    """The board, powered on.  Use it as a context manager.

    files     path on the board -> bytes
    flash_of  whose FILE_SYSTEM the board file has
    tcp_port  of its UART; 0: one that is free

    url       for PORT=

    Raises Unavailable, InputError, and EngineFailed when QEMU does not start.
    """

    def __init__(self, files: Mapping[str, bytes], flash_of: str, tcp_port: int = 0) -> None:
        super().__init__()
        self._qemu = qemu_esp32.find_qemu()
        path = qemu_esp32.find_firmware()
        file_system = image.pack(files, image.geometry(flash_of))
        self._flash = esp32_flash.flash(path.read_bytes(), file_system, str(path))
        self._tcp_port = tcp_port or free_port()
        self.url = f"socket://127.0.0.1:{self._tcp_port}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="threewire-")))
            flash = folder / "flash.bin"
            flash.write_bytes(self._flash)
            self._said = stack.enter_context(open(folder / "qemu.txt", "w+b"))
            self._process = subprocess.Popen(
                qemu_esp32.arguments(self._qemu, flash, self._tcp_port),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
            )
            stack.callback(self._end)
            self._await_port()
            self.push(stack.pop_all())
        return self

    def failure(self) -> str | None:
        """Why QEMU has ended, by what it said last; None: it runs."""
        status = self._process.poll()
        if status is None:
            return None
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f"QEMU ended with status {status}: {lines[-1] if lines else 'no reason given'}"

    def _await_port(self) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if failure := self.failure():
                raise EngineFailed(failure)
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self._tcp_port), _LOOK_S).close()
                return
            time.sleep(_LOOK_S)
        raise EngineFailed(f"QEMU does not serve the board's UART within {_START_S:.0f} s")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
