"""Constants that are refused, by the board and by what makes or takes them on the PC: in the same
words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threewire.operation.commands import Commands
from tools.common.constants import read_constants
from tools.common.errors import InputError
from tools.reliability.hostile_input import LAYOUT, StandIn, Terminal
from tools.replay import cli as replay
from tools.solve import cli as solve

BAD: list[dict[str, Any]] = [
    {"v1_nv": 14_648_436},
    {"v2_nv": -76_999_999},
    {"i1_na": 195_000_001},
    {"i2_na": 0},
    {"phase1_ns": 500_001},
    {"phase2_by_ma": [[0, 0], [399_361, 0]]},
    {"phase1_ns": 0, "phase1_by_ma": [[0, 0], [1, 0]]},
    {"adc": {"steps": [[0, 1]]}},
    {"adc": {"steps": [], "bow_q4": [257] * 17}},
    {"board": "another"},
    {"v3_nv": 110_000_000},
]
POINT: dict[str, Any] = {
    "element": 1,
    "board": {"volts": 120.0, "amps": 30.0, "watts": 3600.0, "var": 0.0},
    "reference": {"volts": 120.1, "amps": 30.1, "watts": 3615.0},
}


def told_by_the_board(constants: dict[str, Any]) -> str:
    terminal = Terminal(Commands(StandIn()).answer)
    terminal.send(f"calibrate {json.dumps(constants)}\n".encode())
    (answer,) = terminal.answers
    return answer["error"]


@pytest.mark.parametrize("constants", BAD, ids=lambda constants: "_".join(constants))
def test_board_and_tools_refuse_alike(
    constants: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told_by_the_board(constants)
    assert "; it must be " in text
    path = tmp_path / "constants.json"
    path.write_text(json.dumps(constants))
    # As calibrate --restore reads it.
    with pytest.raises(InputError) as caught:
        read_constants(path, LAYOUT)
    assert str(caught.value) == f"{path}: {text}"
    recording = tmp_path / "waves.npz"
    at = np.arange(800) / 8000
    volts = 170 * np.sin(2 * np.pi * 60 * at)
    np.savez(recording, rate_hz=8000.0, v1=volts, i1=volts / 10, v2=-volts, i2=-volts / 10)
    points = tmp_path / "points.json"
    points.write_text(json.dumps({"board": LAYOUT.name, "hertz": 60.0, "points": [POINT]}))
    for main, arguments in (
        (replay.main, [recording, "--board", LAYOUT.name, "--engine", "cpython"]),
        (solve.main, [points]),
    ):
        status = main([str(argument) for argument in [*arguments, "--calibration", path]])
        error = capsys.readouterr().err
        assert status == 2 and error.strip().endswith(f"{path}: {text}"), error
