"""Calibration constants as the host reads and writes them: JSON files, checked for their board.

Flow: file -> CONSTANTS -> replay, solve, calibrate, linearity -> file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from threewire.metering.calibration import CalibrationError, from_dict
from threewire.metering.layout import Layout
from tools.common.errors import InputError
from tools.common.files import check_writable, read_json, write_whole


def check_calibration(constants: Any, layout: Layout, path: str | Path) -> None:
    """InputError, naming `path`, unless the constants suit the board."""
    try:
        from_dict(constants, layout)
    except CalibrationError as problem:
        raise InputError(f"{path}: {problem}") from None


def read_constants(path: str | Path, layout: Layout) -> dict[str, Any]:
    """The constants in a file, checked for this board. Raises InputError."""
    found = read_json(Path(path), "calibration")
    check_calibration(found, layout, path)
    return found


def write_constants(path: Path, constants: dict[str, Any]) -> None:
    """Writes a calibration file, a constant a line, and waits until it is on the disk. Raises
    InputError.
    """
    rows = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in constants.items()]
    write_whole(path, "{\n" + ",\n".join(rows) + "\n}\n")


def constants_to_keep(path: str, board: str) -> dict[str, Any]:
    """The constants that are to be kept: those in the file, if there is one for this board."""
    file = check_writable(path)
    if not file.exists():
        return {}
    constants = read_json(file, "calibration")
    if constants.get("board", board) != board:
        raise InputError(
            f"{path}: made for board {constants['board']!r}, the capture by {board!r}"
        )
    return constants
