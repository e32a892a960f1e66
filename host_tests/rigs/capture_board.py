"""What the tests of a capture share: its text worked out by hand, and the firmware's own service
with all that main.py gives it but the chip.

Flow: codes -> SAMPLER -> service, desk, capture -> PORT's bytes, also by TCP to tools.capture.
"""

import base64
import contextlib
import json
import os
import threading
import traceback
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.meter_runs import Codes, flat
from threewire.assembly import Assembly
from threewire.metering.calibration import Calibration
from threewire.metering.kernel import scan
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
from threewire.storage.record import CALIBRATION
from threewire.storage.store import Store, made_for

# Of each frame that is lost.
LOST_TICKS = 4800
_TURN_S = 0.005
# Turns without a pause, at most.
_AT_ONCE = 40


def text_of(codes: Iterable[int]) -> str:
    """Codes as base64 of a string of 12 bits each, the first in front."""
    bits = "".join(f"{code:012b}" for code in codes)
    padded = bits + "0" * (-len(bits) % 24)
    data = bytes(int(padded[k : k + 8], 2) for k in range(0, len(padded), 8))
    return base64.b64encode(data).decode()[: len(bits) // 6]


def codes_of(text: str) -> list[int]:
    """The other way round."""
    data = base64.b64decode(text + "A" * (-len(text) % 4), validate=True)
    bits = "".join(f"{byte:08b}" for byte in data)[: 6 * len(text)]
    return [int(bits[k : k + 12], 2) for k in range(0, len(bits), 12)]


def lines_of(said: bytes, torn: int = 0) -> list[dict[str, Any]]:
    """What a board has written: whole lines of JSON, but for so many lines of a capture."""
    assert said == b"" or said.endswith(b"\n")
    lines = [line for line in said.split(b"\n") if line]
    whole = [line for line in lines if line.endswith(b"}")]
    assert len(lines) - len(whole) == torn
    begin = (b'{"codes":"', b'{"captured":')
    assert all(line.startswith(begin) for line in lines if line not in whole)
    return [json.loads(line) for line in whole]


class Text:
    """Lines of codes put together: codes in order, spans as (frames, ticks), frames in a line."""

    def __init__(self, lines: Iterable[dict[str, Any]], stride: int) -> None:
        self.codes: list[int] = []
        self.spans: list[tuple[int, int]] = []
        self.lengths: list[int] = []
        for line in lines:
            assert line.keys() == {"codes", "frame", "spans", "crc"}
            assert line["frame"] * stride == len(self.codes)
            assert zlib.crc32(line["codes"].encode()) == line["crc"]
            found = codes_of(line["codes"])
            assert found and len(found) % stride == 0
            self.codes += found
            self.lengths.append(len(found) // stride)
            assert sum(frames for frames, _ in line["spans"]) == self.lengths[-1]
            self.spans += [(frames, ticks) for frames, ticks in line["spans"]]

    @property
    def ticks(self) -> list[int]:
        """Of each frame."""
        return [ticks for frames, ticks in self.spans for _ in range(frames)]


class Sampler:
    """Hands over one of `waiting` each time: (codes, ticks of a frame), or frames that were lost;
    when there is nothing left, what `refill` gives."""

    def __init__(self, refill: Callable[[], tuple[Codes, int] | int | None]) -> None:
        self.waiting: deque[tuple[Codes, int] | int] = deque()
        self.ticks = 0
        self._refill = refill

    def pump(self, intake: Any) -> None:
        given = self.waiting.popleft() if self.waiting else self._refill()
        if isinstance(given, int):
            self.ticks += given * LOST_TICKS
            intake.gap(given, given * LOST_TICKS)
        elif given is not None:
            codes, ticks = given
            # Somewhere in an array, as in the ring.
            before = array("H", [1234] * codes.shape[1])
            self.ticks += len(codes) * ticks
            intake.feed(before + flat(codes), len(codes), ticks, 1)


class Port:
    """What the service writes, and what is typed to it.

    most   bytes of a capture at a time
    ready  whether writing does not wait
    """

    def __init__(self, most: int = 1024) -> None:
        self.most = most
        self.ready = True
        self.said = bytearray()
        self.typed = bytearray()
        self.fed = 0
        self.now = 0

    def read(self, most: int) -> bytes:
        data = bytes(self.typed[:most])
        del self.typed[:most]
        return data

    def is_ready(self) -> bool:
        return self.ready

    def write(self, text: str) -> None:
        self.put(text.encode())

    def write_bytes(self, data: bytes) -> None:
        assert self.ready and 0 < len(data) <= self.most
        self.put(bytes(data))

    def put(self, data: bytes) -> None:
        self.said += data

    def now_ms(self) -> int:
        return self.now & 0x3FFFFFFF

    def feed_watchdog(self) -> None:
        self.fed += 1


class InFolder:
    """A file system whose paths begin in a folder: os's mkdir, and open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mkdir(self, path: str) -> None:
        os.mkdir(self._folder / path)

    def open(self, path: str, mode: str) -> Any:
        return open(self._folder / path, mode)


def assembled(
    folder: Path, layout: Layout, sampler: Any, port: Any, sealed: bool = True
) -> Assembly:
    """The firmware's own assembly of its parts, on files in a folder, without LEDs."""
    files = InFolder(folder)
    return Assembly(
        layout=layout,
        sampler=sampler,
        leds=SimpleNamespace(show=lambda name, lit: None),
        port=port,
        cause="power",
        sealed=sealed,
        scan=scan,
        machine=None,
        timer=-1,
        fs=files,
        open_file=files.open,
        ticks_diff=lambda end, start: end - start,
    )


class Board:
    """main.py's parts on files in `folder`; time passes with what is sampled.

    new_meter    makes a capture's meter, instead of the right one
    """

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        calibration: Calibration | None = None,
        port: Port | None = None,
        new_meter: Callable[[], Meter] | None = None,
        refill: Callable[[], tuple[Codes, int] | int | None] = lambda: None,
    ) -> None:
        constants = Store(
            os, open, str(folder / "calibration"), "constants", CALIBRATION, made_for(layout.name)
        )
        if calibration is not None:
            values = json.dumps(calibration.to_dict()).encode()
            assert constants.save((layout.name, values))
        self.layout = layout
        self.port = port or Port()
        self.sampler = Sampler(refill)
        self.silent_ms = 0  # in which nothing was sampled
        self.assembly = assembly = assembled(folder, layout, self.sampler, self.port)
        self.meter = assembly.meter
        self.faults = assembly.faults
        self.captures = assembly.captures
        self.lifecycle = assembly.lifecycle
        self.operator = assembly.operator
        if new_meter is not None:
            self.captures.new_meter = new_meter
        self.loop = assembly.new_loop()

    def type(self, line: str) -> None:
        self.port.typed += line.encode() + b"\n"

    def round(self) -> None:
        """Until there is no more to do at once, or for as long as a capture is in a hurry."""
        for _ in range(_AT_ONCE):
            if not self.loop.run_round():
                break
        self.port.now = self.silent_ms + 1000 * self.sampler.ticks // self.layout.tick_hz

    def run(
        self, blocks: Iterable[tuple[Codes, int] | int] = (), torn: int = 0, silent_ms: int = 0
    ) -> list[dict[str, Any]]:
        """Meters, until that and all there is to write is done; what it has written meanwhile."""
        before = len(self.port.said)
        self.sampler.waiting.extend(blocks)
        quiet = 0
        while quiet < 12:
            said = len(self.port.said)
            self.round()
            self.silent_ms += silent_ms // 12
            is_busy = self.sampler.waiting or self.port.typed or len(self.port.said) > said
            quiet = 0 if is_busy else quiet + 1
        return lines_of(bytes(self.port.said[before:]), torn)


def print_exception(problem: BaseException, file: Any) -> None:
    """MicroPython's sys.print_exception, by which tracebacks are kept."""
    traceback.print_exception(problem, file=file)


class _Wire(Port):
    """The port of a board at the other end of a ConsoleServer."""

    def __init__(self, server: ConsoleServer, spoil: Callable[[bytes], Iterable[bytes]]) -> None:
        super().__init__()
        self._server = server
        self._spoil = spoil
        self._line = bytearray()
        server.on_heard = self.typed.extend

    def put(self, data: bytes) -> None:
        super().put(data)
        self._line += data
        while b"\n" in self._line:
            line, _, self._line = self._line.partition(b"\n")
            for said in self._spoil(bytes(line)):
                self._server.say(said + b"\r\n")


class BoardOverTcp(contextlib.ExitStack):
    """A Board that meters the same codes again and again, behind url.  Use it as a context
    manager.

    spoil  what the cable makes of each line
    """

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        refill: Callable[[], tuple[Codes, int] | int | None],
        spoil: Callable[[bytes], Iterable[bytes]] = lambda line: [line],
        **options: Any,
    ) -> None:
        super().__init__()
        self.server = ConsoleServer()
        self.url = self.server.url
        self.port = _Wire(self.server, spoil)
        self.board = Board(folder, layout, port=self.port, refill=refill, **options)
        self.failed: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.board.round()
                # In its own time, but for a capture, which nothing waits for.
                if not self.board.captures.on:
                    self._stop.wait(_TURN_S)
        except BaseException as problem:
            self.failed = problem

    def __enter__(self) -> Self:
        self.enter_context(self.server)
        self._thread.start()
        self.callback(self._end)
        return self

    def _end(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self.failed is None
