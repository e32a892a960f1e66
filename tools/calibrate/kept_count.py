"""A count of the LED by hand, kept with the constants that it was made with: applied once only.

Flow: --cycles, --reference-wh -> KEPT COUNT -> file beside the old constants, which the next
calibration by cycles looks for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.calibrate.board import Board
from tools.common.constants import write_constants
from tools.common.errors import InputError
from tools.common.files import read_json


@dataclass(frozen=True)
class KeptCount:
    """So many cycles on an element, while the reference registered reference_wh."""

    element: int
    cycles: int
    reference_wh: float

    def keep(self, path: Path, board: Board) -> None:
        """Writes it. Raises InputError."""
        write_constants(path, {**self._told(board), "constants": board.in_force})

    def _told(self, board: Board) -> dict[str, object]:
        return {
            "board": board.name,
            "id": board.id,
            "element": self.element,
            "cycles": self.cycles,
            "reference_wh": self.reference_wh,
        }

    def check_new(self, board: Board, folders: Iterable[Path]) -> None:
        """InputError where this very count has been applied, and the board meters with other
        constants than it was made with: that would correct twice."""
        keys = [f"{q}{self.element}_{unit}" for q, unit in (("v", "nv"), ("i", "na"))]
        for path in (path for folder in folders for path in folder.glob("*-count.json")):
            try:
                found = read_json(path, "count")
            except InputError:
                continue  # whatever it is, no count that was kept whole
            then = found.pop("constants", None)
            if found != self._told(board) or not isinstance(then, dict):
                continue
            if any(then.get(key) != board.in_force[key] for key in keys):
                raise InputError(
                    f"this count has been applied: {path} has it, with the constants that it was "
                    "made with, and others are in force by now; count again, more cycles"
                )
