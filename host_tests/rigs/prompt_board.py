"""A board at the other end of a cable, for fast tests of flash: MicroPython's prompt with a
littlefs of a Pico's size, and when it is reset a meter that tells a line of telemetry.

Flow: tools.flash -> TCP -> BENCH PROMPT -> prompt_program.py on the host's MicroPython.
"""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

from host_tests.conftest import need_engine
from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.meter_runs import Run, convert, default_board, split_phase
from host_tests.rigs.telemetry_lines import telemetry_line
from tools import image
from tools.emulate import board as rp2040_board

FLASH = image.geometry(rp2040_board.FLASH)
FEATHER = {
    "name": "micropython",
    "version": [1, 26, 1, ""],
    "_machine": "Adafruit Feather RP2040 with RP2040",
    "_build": "ADAFRUIT_FEATHER_RP2040",
    # .mpy of version 6.3 for ARMv6-M, MP_NATIVE_ARCH_ARMV6M = 4 (py/persistentcode.h).
    "_mpy": 6 | 3 << 8 | 4 << 10,
}
_PROGRAM = Path(__file__).with_name("prompt_program.py")
_RESET = 3
_TELLS_S = 0.05


@cache
def report() -> str:
    """A line of telemetry."""
    layout = default_board()
    return telemetry_line(Run(layout).feed(convert(split_phase((40, 30)), 1.3, layout)).meter)


class Board(contextlib.ExitStack):
    """Use it as a context manager.

    files  on its file system; where there is threewire/, that meters until Ctrl-C
    said   of its sys.implementation, what is not FEATHER

    url        for --port
    resets     so far
    on_typed   called with what is typed, before it gets there
    """

    def __init__(self, folder: Path, files: Mapping[str, bytes], **said: Any) -> None:
        super().__init__()
        self._command = need_engine("micropython", "1m")
        self._said = json.dumps({**FEATHER, **said})
        self._image = folder / "flash.littlefs"
        self._image.write_bytes(image.pack(files, FLASH))
        self._server = ConsoleServer()
        self.url = self._server.url
        self.resets = 0
        self.on_typed: Callable[[bytes], object] = lambda data: None
        self._prompt: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None
        self._meters = any(path.startswith("threewire/") for path in files)
        self._is_done = threading.Event()
        self._teller = threading.Thread(target=self._tell, daemon=True)
        self._server.on_heard = self._hear

    def __enter__(self) -> Self:
        if not self._meters:
            self._begin_prompt()
        self.callback(self._end_prompt)
        self.enter_context(self._server)
        self._teller.start()
        self.callback(self._end_teller)
        return self

    def _end_teller(self) -> None:
        self._is_done.set()
        self._teller.join()

    @property
    def files(self) -> dict[str, bytes]:
        """What is in the flash, read with another littlefs."""
        return image.unpack(self._image.read_bytes(), FLASH)

    @property
    def meters(self) -> bool:
        """Whether its program runs; else it is at the prompt."""
        return self._meters

    def unplug(self) -> None:
        """It has lost its power as well."""
        self._server.unplug()
        self._end_prompt()

    def plug(self) -> None:
        self._meters = True
        self._server.plug()

    def hang(self) -> None:
        """From now on it says nothing."""
        self._server.on_heard = lambda data: None

    # ----

    def _begin_prompt(self) -> None:
        self._meters = False
        self._prompt = prompt = subprocess.Popen(
            [*self._command, str(_PROGRAM), str(self._image), self._said],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._listener = threading.Thread(target=self._listen, args=[prompt], daemon=True)
        self._listener.start()

    def _end_prompt(self) -> None:
        prompt, self._prompt = self._prompt, None
        if prompt is not None:
            prompt.kill()
            prompt.wait()
            if self._listener is not threading.current_thread() and self._listener:
                self._listener.join()

    def _listen(self, prompt: subprocess.Popen[bytes]) -> None:
        assert prompt.stdout and prompt.stdin
        while data := prompt.stdout.read(4096):
            self._server.say(data)
        prompt.stdout.close()
        if prompt.wait() == _RESET:
            self.resets += 1
            self._meters = True
            self._server.drop()

    def _hear(self, data: bytes) -> None:
        self.on_typed(data)
        if self._meters:
            _, ctrl_c, data = data.partition(b"\x03")
            if not ctrl_c:
                return
            self._begin_prompt()
        prompt = self._prompt
        if prompt is not None and prompt.stdin:
            with contextlib.suppress(OSError):  # it was reset
                prompt.stdin.write(data)

    def _tell(self) -> None:
        while not self._is_done.wait(_TELLS_S):
            if self._meters:
                self._server.say(report())
