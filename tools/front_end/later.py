"""A recording from a later instant on, as one that begins there.

Flow: recording -> LATER -> Source.  The reader seeks where its format can.
"""

from collections.abc import Iterator
from pathlib import Path

from tools.common.errors import InputError
from tools.front_end.looping import Floats, Recording
from tools.recordings.types import LEAST_SAMPLES


class Later:
    """`recording` without its first from_s seconds, to the nearest sample; all else as it is.

    Raises InputError where that leaves fewer samples than a recording must have.
    """

    def __init__(self, recording: Recording, from_s: float) -> None:
        self._recording = recording
        self._first = round(from_s * recording.rate_hz)
        self.samples = recording.samples - self._first
        if self.samples < LEAST_SAMPLES:
            raise InputError(
                f"{recording.path}: ends at {recording.seconds:.10g} s, and is to be replayed "
                f"from {from_s:g} s on: begin before its end"
            )
        self.path: str | Path = recording.path
        self.rate_hz = recording.rate_hz
        self.channels = recording.channels
        self.skew_s = recording.skew_s
        self.nominal_hz = recording.nominal_hz
        self.warnings = recording.warnings
        self.notes = recording.notes

    @property
    def seconds(self) -> float:
        return self.samples / self.rate_hz

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = 65536
    ) -> Iterator[Floats]:
        """As the recording's own, counted from the first sample that is left."""
        stop = self.samples if stop is None else min(stop, self.samples)
        return self._recording.blocks(self._first + start, self._first + stop, size)
