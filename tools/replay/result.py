"""What came of a replay: everything that the report, the plot and the tests read.

Flow: run -> RESULT -> report, plot.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threewire.metering.layout import Layout
from tools.engines import process as engine_process
from tools.replay.reference import Reference


@dataclass
class Replay:
    """All that came of one replay; what the report, the plot and the tests read."""

    path: str | Path
    board: str
    engine: str
    layout: Layout
    metered: engine_process.Metered
    reference: Reference | None
    clipped: dict[str, int]
    wall_seconds: float
    captured: dict[str, Any] | None = None
    """What the board's own meter made of the same frames, when all of a capture was replayed with
    the constants it was made with: the object that a capture ends with."""
    warnings: list[str] = field(default_factory=list)
    """What may be wrong with the recording or with what came of it, a line each."""
    notes: list[str] = field(default_factory=list)
    """What was chosen in the recording, left out or taken for granted, a line each."""
    recorded: int = 2
    """How many elements the recording has; of the other one nothing can be said."""

    @property
    def is_identical(self) -> bool | None:
        """Whether board and replay have come to the same energies, to the last bit; None: the
        board's are not known. What the board has printed counts, as well as the exact registers
        behind it."""
        if self.captured is None:
            return None
        result = self.metered.result
        pairs = (result, *result["elements"])
        ways = ("delivered", "received")
        ours = {
            "exact": [[str(wh), of] for e in pairs for wh, of in [e[w]["raw"] for w in ways]],
            **{f"{way}_wh": result[way]["wh"] for way in ways},
        }
        return ours.items() <= self.captured.items()

    @property
    def seconds(self) -> float:
        """Metered time."""
        return self.metered.result["ticks"] / self.layout.tick_hz

    def edges(self, name: str) -> list[tuple[float, bool]]:
        """(seconds, lit) of one indicator."""
        hz = self.layout.tick_hz
        return [(ticks / hz, lit) for which, lit, ticks in self.metered.edges if which == name]
