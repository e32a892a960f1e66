"""What the gateway costs on this machine: processor time and memory, with one board and with many.

Flow: made-up boards on sockets -> `python -m tools.serve`, all sinks that need no server elsewhere
-> SERVING -> figures.  Linux alone tells of another process what is measured here.
"""

import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from threewire.metering.calibration import nominal
from threewire.metering.meter import Meter
from threewire.operation.report import Report
from threewire.operation.telemetry import pieces
from tools.bench.chip import AMPS, BOARD, HERTZ, VOLTS
from tools.bench.figures import Figure
from tools.bench.processes import cpu_s, peak_mb
from tools.common import boards
from tools.common.boards import ROOT
from tools.common.errors import EngineFailed
from tools.emulate.tcp_port import free_port
from tools.front_end.model import FrontEnd
from tools.front_end.waves import split_phase

MANY = 50
# Once all boards have reported, and then as long.
_SETTLED_S, _MEASURED_S = 10.0, 60.0
_STARTING_S = 60.0
_WATTS = VOLTS * AMPS * 2


def serving(count: int = MANY) -> list[Figure]:
    """With one board and with `count`. Raises EngineFailed where the gateway ends."""
    broker = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    percent, mb = {}, {}
    for boards_there in (1, count):
        used, most = _cost(boards_there, broker)
        percent[f"{boards_there}"], mb[f"{boards_there}"] = used, most
    to = "page, history, Modbus and MQTT" if broker else "page, history and Modbus"
    where = f"boards that report each second, for {_MEASURED_S:.0f} s; {to}"
    return [
        Figure("serve_core_percent", "gateway, of a core, boards", percent, "%", where),
        Figure("serve_mb", "gateway, most memory, boards", mb, "MB", where),
    ]


def _cost(count: int, broker: str | None) -> tuple[float, float]:
    """Per cent of a core, and MB at most."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="threewire-")))
        many = stack.enter_context(_Boards(count))
        tables = {"web": {"port": free_port()}, "modbus": {"port": free_port()}}
        if broker:
            port = free_port()
            served = [broker, "-p", str(port)]
            stack.callback(_end, subprocess.Popen(served, stderr=subprocess.DEVNULL))
            tables["mqtt"] = {"port": port}
        config = folder / "gateway.toml"
        config.write_text(_toml(folder, many.urls, tables))
        gateway = subprocess.Popen(
            [sys.executable, "-m", "tools.serve", "--config", str(config)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        stack.callback(_end, gateway)
        end = time.monotonic() + _STARTING_S
        while len(many.known) < count:
            if gateway.poll() is not None or time.monotonic() > end:
                gateway.kill()
                assert gateway.stderr
                raise EngineFailed(gateway.stderr.read().decode()[-500:] or "no answer")
            time.sleep(0.1)
        time.sleep(_SETTLED_S)
        before, began = cpu_s(gateway.pid), time.monotonic()
        time.sleep(_MEASURED_S)
        used = (cpu_s(gateway.pid) - before) / (time.monotonic() - began)
        return 100 * used, peak_mb(gateway.pid)


def _toml(folder: Path, urls: list[str], tables: dict[str, dict[str, int]]) -> str:
    text = f"[gateway]\nfolder = {json.dumps(str(folder / 'state'))}\n"
    text += "".join(f'[[board]]\nport = "{url}"\n' for url in urls)
    for name, table in {"history": {}, **tables}.items():
        text += f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
    return text


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


def _line() -> dict[str, Any]:
    """A line of telemetry, of the meter itself."""
    layout = boards.load(BOARD)
    meter = Meter(layout, nominal(layout))
    front_end = FrontEnd.of(layout)
    waves = split_phase((AMPS, AMPS), hertz=HERTZ, volts=VOLTS)
    frames = 2 * layout.tick_hz // layout.frame_ticks
    for block in front_end.codes_of(waves, frames, HERTZ):
        meter.feed(array("H", block.tobytes()), len(block), layout.frame_ticks, 0)
    return json.loads("".join(pieces(Report(meter))))


class _Boards:
    """So many boards, each on a socket of its own, in a thread.  Use it as a context manager.

    urls   for the gateway's settings
    known  numbers of those that have been asked who they are
    """

    def __init__(self, count: int) -> None:
        self._line = _line()
        self._servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        self.urls = [f"socket://127.0.0.1:{of.getsockname()[1]}" for of in self._servers]
        self.known: set[int] = set()
        self._clients: dict[int, socket.socket] = {}
        self._is_done = False
        self._selector = selectors.DefaultSelector()
        for k, server in enumerate(self._servers):
            self._selector.register(server, selectors.EVENT_READ, (k, server))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "_Boards":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done = True
        self._thread.join()
        for of in (*self._servers, *self._clients.values()):
            of.close()

    def _serve(self) -> None:
        began = time.monotonic()
        seconds = 0
        while not self._is_done:
            wait_s = began + seconds - time.monotonic()
            for key, _ in self._selector.select(max(0.0, wait_s)):
                self._take(*key.data)
            if time.monotonic() - began >= seconds:
                seconds += 1
                self._report(seconds)

    def _take(self, k: int, of: socket.socket) -> None:
        if of is self._servers[k]:
            client, _ = of.accept()
            self._clients[k] = client
            self._selector.register(client, selectors.EVENT_READ, (k, client))
            return
        try:
            data = of.recv(4096)
        except OSError:
            data = b""
        if not data:
            self._drop(k, of)
        elif b"version" in data:
            self.known.add(k)
            said = {"reply": "version", "version": "0.3.0", "board": "pico", "id": f"{k:016x}"}
            self._say(k, said)

    def _drop(self, k: int, of: socket.socket) -> None:
        self._selector.unregister(of)
        of.close()
        if self._clients.get(k) is of:
            del self._clients[k]

    def _report(self, seconds: int) -> None:
        wh = f"{1000 + _WATTS * seconds / 3600:.9f}"
        said = self._line | {"t": float(seconds), "delivered_wh": wh}
        for k in list(self._clients):
            self._say(k, said)

    def _say(self, k: int, said: dict[str, Any]) -> None:
        of = self._clients[k]
        try:
            of.sendall(json.dumps(said).encode() + b"\r\n")
        except OSError:
            self._drop(k, of)
