"""The board that is tested: what it is, how it is reached, and the answers of its programs.

Flow: prompt -> SUBJECT -> checks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from threewire.chip import chips as firmware_chips
from threewire.metering.layout import Layout
from tools.cable import door
from tools.cable.door import Misfit
from tools.common import boards
from tools.common.errors import PortError
from tools.selftest import programs
from tools.selftest.chips import CHIPS, Chip

T = TypeVar("T")

# Of the timer sampler.
_BLOCKS = 16
# An emulated chip says that its unique id is all ones.
_EMULATED = "ff" * 8


class Link(Protocol):
    """The board's prompt, as Prompt has it."""

    def run(self, code: str) -> str: ...

    def stream(self, code: str, take: Callable[[bytes], None], most: int) -> str: ...

    def send(self, data: bytes) -> None: ...


@dataclass(frozen=True)
class Subject:
    """link      the board's prompt
    name      of its board file
    identity  its chip's unique id in hex
    hz        of its core
    ring_frames  that its DMA sampler's ring holds; 0 of a timer sampler
    """

    link: Link
    name: str
    identity: str
    hz: int
    ring_frames: int = 0

    @property
    def module(self) -> Any:
        return boards.module(self.name)

    @property
    def layout(self) -> Layout:
        return boards.load(self.name)

    @property
    def chip(self) -> Chip:
        return CHIPS.get(self.module.CHIP, Chip())

    @property
    def row(self) -> dict[str, Any]:
        """Of the firmware's own CHIPS."""
        return firmware_chips.CHIPS[self.module.CHIP]

    @property
    def is_emulated(self) -> bool:
        return self.identity == _EMULATED

    @property
    def frame_ms(self) -> float:
        return self.layout.frame_ticks * 1e3 / self.layout.tick_hz

    @property
    def usable_ms(self) -> float:
        """How long the program may be away before frames are lost."""
        sampler = self.module.SAMPLER
        if sampler["kind"] == "dma":
            return max(0.0, self.ring_frames * self.frame_ms - boards.RING_MARGIN_MS)
        return sampler["block_frames"] * (_BLOCKS - 1) * self.frame_ms

    def ask(self, code: str, shape: type[T]) -> T:
        """Runs a program; returns the JSON object in its last line. Raises PortError."""
        return answer(self.run(code), shape)

    def run(self, code: str) -> str:
        """Runs a program; returns what it prints. What fails leaves its names: the board is then
        started anew."""
        said = self.link.run(code)
        self.link.run(programs.FORGET)
        return said

    def stream(self, code: str, take: Callable[[bytes], None], most: int) -> str:
        """As Link.stream."""
        said = self.link.stream(code, take, most)
        self.link.run(programs.FORGET)
        return said


def answer(said: str, shape: type[T]) -> T:
    """The JSON object in the last line that a program has printed. Raises PortError."""
    last = said.strip().splitlines()[-1:] or [""]
    try:
        return door.decode(last[0].encode(), shape, "what the self-test's program prints")
    except Misfit as problem:
        raise PortError(f"the board's firmware is not of this release? {problem}") from None


def by_line(take: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Takes what a program prints as it comes, and hands on each line when it is whole."""
    rest = b""

    def take_data(data: bytes) -> None:
        nonlocal rest
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            take(line.strip())

    return take_data
