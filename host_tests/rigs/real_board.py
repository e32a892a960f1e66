"""The whole firmware on the host's MicroPython in real time, with real sockets.

Flow: codes -> a program of this folder (main.py) -> its serial line and what else it tells; and
whatever the test has given it to talk to.
"""

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from host_tests.conftest import need_engine
from tools.common import boards
from tools.common.boards import ROOT
from tools.soak.loads import codes

BOARD = boards.DEFAULT
BLOCKS = 64  # of its flash
PROG_SIZE = boards.module(BOARD).FILE_SYSTEM["prog_size"]
_MOST_S = 3000


class RealBoard(contextlib.ExitStack):
    """Use it as a context manager.

    program  the script that MicroPython runs
    config   of it, beside the soak's
    flash    what is on it; whether it is a file system is the program's affair
    fds      descriptors that it inherits
    files    what else it is to find: key of the config -> content, where there is one

    lines       of telemetry, as JSON
    replies     of the console, likewise
    complaints  what else it has said
    """

    def __init__(
        self,
        program: str,
        config: dict[str, Any],
        flash: bytes = b"\xff" * 4096 * BLOCKS,
        fds: Sequence[int] = (),
        files: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self._command = need_engine("micropython", "2M")
        self._program = Path(__file__).with_name(program)
        self._more = config
        self._flash = flash
        self._fds = fds
        self._files = files
        self.lines: list[dict[str, Any]] = []
        self.replies: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="board")))
        layout = boards.load(BOARD)
        loads = codes(BOARD, 1)
        (folder / "codes").write_bytes(b"".join(of.astype("<u2").tobytes() for of in loads))
        (folder / "medium").write_bytes(self._flash)
        (folder / "events").write_text(f"{_MOST_S * 10**6} over 0\n")
        for key, text in self._files.items():
            (folder / key).write_text(text)
        config = {
            "board": BOARD,
            "codes": str(folder / "codes"),
            "loads": len(loads),
            "block_frames": len(loads[0]),
            "load_frames": 10 * layout.tick_hz // layout.frame_ticks,
            "medium": str(folder / "medium"),
            "blocks": BLOCKS,
            "prog_size": PROG_SIZE,
            "events": str(folder / "events"),
            "mark_us": _MOST_S * 10**6,
            **{key: str(folder / key) if text else None for key, text in self._files.items()},
            **self._more,
        }
        self._process = process = subprocess.Popen(
            [*self._command, str(self._program), str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=self._fds,
        )
        self.callback(process.wait)
        self.type(json.dumps(config))
        for listen in (self._listen, self._overhear):
            thread = threading.Thread(target=listen, daemon=True)
            thread.start()
            self.callback(thread.join)
        self.callback(process.kill)
        return self

    def type(self, line: str) -> None:
        """On its serial port."""
        assert self._process and self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """As loss of its power: nothing is closed that it had opened, but by the system."""
        assert self._process
        self._process.kill()

    def hear(self, said: dict[str, Any]) -> None:
        """What the program tells on its standard error."""
        self.complaints.append(json.dumps(said))

    def _listen(self) -> None:
        assert self._process and self._process.stdout
        for line in self._process.stdout:
            # One that is cut short, by the end of it, is none.
            with contextlib.suppress(ValueError):
                if line.startswith('{"t"'):
                    self.lines.append(json.loads(line))
                elif line.startswith('{"reply"'):
                    self.replies.append(json.loads(line))
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
            self.hear(said)
