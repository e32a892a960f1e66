"""A board that publishes by MQTT: the whole firmware on the host's MicroPython, with its sockets.

Flow: codes -> mqtt_program.py (main.py, MqttOutlet) -> its serial line, what it tells of MQTT;
and whatever broker the test has given it.
"""

import contextlib
import json
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

from host_tests.conftest import need_engine
from tools.common import boards
from tools.common.boards import ROOT
from tools.soak.loads import codes

BOARD = boards.DEFAULT
ID = "e6614103e7690c2c"
SETTINGS = {
    "broker": "broker",
    "user": "",
    "password": "",
    "base": "threewire",
    "prefix": "homeassistant",
    "name": "Keller",
}
_PROGRAM = Path(__file__).with_name("mqtt_program.py")
_BLOCKS = 64
_MOST_S = 600


class MqttBoard(contextlib.ExitStack):
    """Use it as a context manager.

    lines  of telemetry, as JSON
    told   the last that it told of MQTT
    """

    def __init__(self, port: int, address: str = "127.0.0.1", **settings: Any) -> None:
        super().__init__()
        self._command = need_engine("micropython", "2M")
        self._address = address
        self._settings = {**SETTINGS, "port": port, **settings}
        self.lines: list[dict[str, Any]] = []
        self.told: dict[str, Any] = {}
        self.longest_us = 0
        self.complaints: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="mqtt")))
        layout = boards.load(BOARD)
        loads = codes(BOARD, 1)
        (folder / "codes").write_bytes(b"".join(of.astype("<u2").tobytes() for of in loads))
        (folder / "medium").write_bytes(b"\xff" * 4096 * _BLOCKS)
        (folder / "events").write_text(f"{_MOST_S * 10**6} over 0\n")
        config = {
            "board": BOARD,
            "codes": str(folder / "codes"),
            "loads": len(loads),
            "block_frames": len(loads[0]),
            "load_frames": 10 * layout.tick_hz // layout.frame_ticks,
            "medium": str(folder / "medium"),
            "blocks": _BLOCKS,
            "prog_size": boards.module(BOARD).FILE_SYSTEM["prog_size"],
            "events": str(folder / "events"),
            "mark_us": _MOST_S * 10**6,
            "settings": self._settings,
            "address": self._address,
        }
        self._process = process = subprocess.Popen(
            [*self._command, str(_PROGRAM), str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.close()
        self.callback(process.wait)
        for listen in (self._listen, self._overhear):
            thread = threading.Thread(target=listen, daemon=True)
            thread.start()
            self.callback(thread.join)
        self.callback(process.kill)
        return self

    def kill(self) -> None:
        """As loss of its power: nothing is closed that it had opened, but by the system."""
        assert self._process
        self._process.kill()

    def _listen(self) -> None:
        assert self._process and self._process.stdout
        for line in self._process.stdout:
            if line.startswith('{"t"'):
                with contextlib.suppress(ValueError):  # cut short
                    self.lines.append(json.loads(line))
            elif not line.startswith('{"'):
                self.complaints.append(line)

    def _overhear(self) -> None:
        assert self._process and self._process.stderr
        for line in self._process.stderr:
            try:
                said = json.loads(line)
            except ValueError:
                self.complaints.append(line)
                continue
            self.told = said["mqtt"]
            self.longest_us = said["longest_us"]
