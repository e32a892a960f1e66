"""What stands in for a board's parts in tests: sampler, serial port, file system; and the
firmware's own assembly with them.

Flow: codes -> SAMPLER -> assembly -> PORT's bytes.
"""

import os
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from host_tests.rigs.machine import UNIQUE_ID
from host_tests.rigs.meter_runs import Codes, flat
from threewire.assembly import assemble
from threewire.metering import kernel_viper, reactive_viper, window_viper, words_viper
from threewire.metering.layout import Layout
from threewire.operation.firmware import Firmware

# Of each frame that is lost.
LOST_TICKS = 4800


class Sampler:
    """Hands over one of `waiting` each time: (codes, ticks of a frame), or frames that were lost;
    when there is nothing left, what `refill` gives."""

    pause_ms = 20

    def __init__(self, refill: Callable[[], tuple[Codes, int] | int | None]) -> None:
        self.waiting: deque[tuple[Codes, int] | int] = deque()
        self.ticks = 0
        self._refill = refill

    def pump(self, intake: Any) -> int:
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
            return len(codes)
        return 0


class Port:
    """What the service writes, and what is typed to it.

    most   bytes of a capture at a time
    ready  whether writing does not wait
    """

    def __init__(self, most: int = 1024) -> None:
        self.most = most
        self.holds = 64
        self.pause_ms = 1000
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
    """A file system whose paths begin in a folder: os's mkdir and rename, and open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mkdir(self, path: str) -> None:
        os.mkdir(self._folder / path)

    def rename(self, path: str, new: str) -> None:
        os.rename(self._folder / path, self._folder / new)

    def open(self, path: str, mode: str) -> Any:
        return open(self._folder / path, mode)


def assembled(
    folder: Path,
    layout: Layout,
    sampler: Any,
    port: Any,
    sealed: bool = True,
    board_id: str = UNIQUE_ID.hex(),
    show: Callable[[str, bool], None] = lambda name, lit: None,
    profile: type | None = None,
) -> Firmware:
    """The firmware's own assembly of its parts, on files in a folder; show: as Leds.show; profile:
    LoadProfile, where the board file asks for it."""
    files = InFolder(folder)
    return assemble(
        layout=layout,
        sampler=sampler,
        leds=SimpleNamespace(show=show),
        port=port,
        cause="power",
        sealed=sealed,
        loops=(kernel_viper, words_viper, window_viper, reactive_viper),
        memory=SimpleNamespace(collect=lambda: None, mem_free=lambda: 0),
        machine=SimpleNamespace(unique_id=lambda: bytes.fromhex(board_id)),
        timer=-1,
        fs=files,
        open_file=files.open,
        ticks_diff=lambda end, start: end - start,
        saves_a_day=12_000,
        profile=profile,
    )


class SteadyBoard:
    """The firmware's own assembly on a load that comes again and again, in simulated time.

    codes    of the load, (frames, slots), handed over a fiftieth of a second at a time
    options  of `assembled`

    port, sampler, parts   of it
    loop     its own; whoever adds outlets makes it anew
    """

    def __init__(self, folder: Path, layout: Layout, codes: Codes, **options: Any) -> None:
        self._layout = layout
        self._codes = codes
        self._block = layout.tick_hz // layout.frame_ticks // 50
        self._at = 0
        self.port = Port()
        self.sampler = Sampler(self._refill)
        self.parts: Any = assembled(folder, layout, self.sampler, self.port, **options)
        self.loop: Any = self.parts.new_loop()

    def _refill(self) -> tuple[Codes, int]:
        codes = self._codes[self._at : self._at + self._block]
        self._at = (self._at + self._block) % len(self._codes)
        return codes, self._layout.frame_ticks

    def run(self, seconds: float) -> None:
        tick_hz = self._layout.tick_hz
        end = self.sampler.ticks + seconds * tick_hz
        while self.sampler.ticks < end:
            self.loop.run_round()
            self.port.now = 1000 * self.sampler.ticks // tick_hz
