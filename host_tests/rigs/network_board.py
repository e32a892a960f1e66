"""A board in a network: the whole firmware on the host's MicroPython, with its sockets.

Flow: codes -> network_program.py (main.py, outlets.network) -> its serial line, what it tells of
its network; and whatever broker, DNS server and clients the test has given it.
"""

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from host_tests.conftest import need_engine
from host_tests.rigs.gateway_run import wait_for
from tools.common import boards
from tools.common.boards import ROOT
from tools.soak.loads import codes

BOARD = boards.DEFAULT
ID = "0000000000000000"
"""Of the soak's stand-in for a chip."""
SETTINGS: dict[str, Any] = {"ssid": "home", "key": "12345678", "name": "Keller", "ntp": False}
STAYS = {"join_ms": 0, "there_ms": 0, "gone_ms": 0, "until_ms": 0}
"""A network that is joined at once, and always there."""
# The longest step measured on an idle core is 1.5 ms; others may have the core meanwhile.
STEP_MS = 50.0
_PROGRAM = Path(__file__).with_name("network_program.py")
_BLOCKS = 64
_MOST_S = 3000


class NetworkBoard(contextlib.ExitStack):
    """Use it as a context manager.

    settings   of network.json, beside SETTINGS
    wlan, ports, way, idle_pace   as the program has them
    looks      what an RS-485 line hears, each in two looks

    lines    of telemetry, as JSON
    told     the last that the console's `network` would tell
    answers  on the RS-485 line: number of the look and the answer
    heard    of the looks so far
    """

    def __init__(
        self,
        settings: dict[str, Any],
        wlan: dict[str, int] = STAYS,
        ports: dict[int, int] | None = None,
        way: str = "",
        looks: Sequence[tuple[bytes, bytes]] = (),
        idle_pace: int = 1,
    ) -> None:
        super().__init__()
        self._command = need_engine("micropython", "2M")
        self._config = {
            "settings": {**SETTINGS, **settings},
            "wlan": wlan,
            "ports": ports or {},
            "way": way,
            "idle_pace": idle_pace,
        }
        self._looks = looks
        self.lines: list[dict[str, Any]] = []
        self.told: dict[str, Any] = {}
        self.answers: list[tuple[int, bytes]] = []
        self.heard = 0
        self.longest_ms: dict[str, float] = {}
        self.complaints: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="network")))
        layout = boards.load(BOARD)
        loads = codes(BOARD, 1)
        (folder / "codes").write_bytes(b"".join(of.astype("<u2").tobytes() for of in loads))
        (folder / "medium").write_bytes(b"\xff" * 4096 * _BLOCKS)
        (folder / "events").write_text(f"{_MOST_S * 10**6} over 0\n")
        looks = "".join(f"{one.hex()},{two.hex()}\n" for one, two in self._looks)
        (folder / "looks").write_text(looks)
        config = {
            **self._config,
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
            "looks": str(folder / "looks") if looks else None,
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

    def wait(self, met: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        """Until that is so; AssertionError after so many seconds, with what it has told."""
        try:
            wait_for(met, what, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.told} {self.complaints}") from None

    def meters(self, seconds: int = 3) -> None:
        """It goes on metering for so long, no frame is lost, nothing has crashed, and no step was
        long."""
        before = len(self.lines)
        self.wait(lambda: len(self.lines) >= before + seconds, "lines", seconds + 10)
        assert not self.complaints
        faults = self.lines[-1]["faults"]
        assert (faults["lost_frames"], faults["active"]) == (0, [])
        assert set(faults) <= {
            *("lost_frames", "estimated_delivered_wh", "estimated_received_wh", "active")
        }
        assert max(self.longest_ms.values()) < STEP_MS, self.longest_ms

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
            if "answer" in said:
                number, answer = said["answer"]
                self.answers.append((number, bytes.fromhex(answer)))
                continue
            self.longest_ms = {name: us / 1000 for name, us in said["longest_us"].items()}
            self.heard = said.get("heard", 0)
            self.told = said["network"]
