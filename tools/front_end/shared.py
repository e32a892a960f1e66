"""A recording that two read side by side, read from its file once.

Flow: recording -> SHARED -> Source -> front end, and behind it the reference.
"""

from collections.abc import Iterator
from pathlib import Path

from tools.front_end.looping import Floats, Recording

# Samples of each channel read at once: half a megabyte of float64.
_SIZE = 1 << 14
# What is kept beyond the distance that was said: the blocks that readers ask for, and their ends.
_MORE = 4


class Shared:
    """`recording`, of which what was read last is kept for who comes behind.

    distance: by how many samples one reader may be ahead of the other. Beyond that all comes out
    the same, but is read again.
    """

    def __init__(self, recording: Recording, distance: float) -> None:
        self._recording = recording
        self._most = int(distance) // _SIZE + _MORE
        self._kept: dict[int, Floats] = {}
        self._reading: Iterator[Floats] = iter(())
        self._next = -1
        self.path: str | Path = recording.path
        self.rate_hz = recording.rate_hz
        self.samples = recording.samples
        self.channels = recording.channels
        self.seconds = recording.seconds
        self.skew_s = recording.skew_s
        self.nominal_hz = recording.nominal_hz
        self.warnings = recording.warnings
        self.notes = recording.notes

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = _SIZE
    ) -> Iterator[Floats]:
        """As the recording's own, but that any block may have less than `size`; do not write to
        them."""
        stop = self.samples if stop is None else min(stop, self.samples)
        while start < stop:
            number, first = divmod(start, _SIZE)
            block = self._block(number)
            last = min(first + size, first + stop - start, block.shape[1])
            yield block[:, first:last]
            start += last - first

    def _block(self, number: int) -> Floats:
        found = self._kept.get(number)
        if found is not None:
            return found
        if number != self._next:
            self._reading = self._recording.blocks(number * _SIZE, None, _SIZE)
        found = next(self._reading)
        self._next = number + 1
        while len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[number] = found
        return found
