"""Calibrating the emulated board: the whole firmware, its flash and its restart."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tools import image
from tools.calibrate import cli as calibrate
from tools.common import boards
from tools.emulate.board import EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.emulate.port import EmulatedPort
from tools.solve.solver import NOMINAL_LEAD_DEG

pytestmark = [pytest.mark.rp2040, pytest.mark.slow]

BOARD = boards.DEFAULT
HERTZ = 60
VOLTS, AMPS = 120.0, (60.0, 45.0)
# By how much the front end's signals are larger than the board file's are.
LARGER = {"v1": 1.05, "i1": 0.94, "v2": 0.98, "i2": 1.07}


def load() -> Periodic:
    """Both elements at unity power factor, through CTs that lead as much as is usual."""
    lead = math.radians(NOMINAL_LEAD_DEG)
    sizes = {"v1": VOLTS, "i1": AMPS[0], "v2": -VOLTS, "i2": -AMPS[1]}

    def sine(name: str, rms: float) -> Any:
        peak = rms * LARGER[name] * math.sqrt(2)
        ahead = lead if name[0] == "i" else 0.0
        return lambda t: peak * np.sin(2 * math.pi * HERTZ * t + ahead)

    return Periodic({name: sine(name, rms) for name, rms in sizes.items()}, 1 / HERTZ)


def test_readings_beside_a_reference_become_constants_in_force(
    uf2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.json"
    with EmulatedBoard(image.build(BOARD, "pico"), BOARD, load(), uf2) as board:
        board.drive(boards.module(BOARD).SEAL, 0)
        with EmulatedPort(board) as port:
            argv = ["--port", port.url, "--timeout", "120", "--seconds", "2", "--yes"]
            for n, amps in enumerate(AMPS, 1):
                watts = VOLTS * amps
                argv += ["--point", f"element={n} volts={VOLTS} amps={amps} watts={watts}"]
            status = calibrate.main([*argv, "--keep", str(kept)])
            assert port.failed is None
        out, err = capsys.readouterr()
        assert status == 0, err
        assert len(board.resets) == 1 and "in force now" in out
        # The registers were saved, and the restart was meant: nothing is told of as a fault.
        (report,) = board.wait_reports(1, 3.0)
        for element, amps in zip(report["elements"], AMPS):
            assert element["volts"] == pytest.approx(VOLTS, rel=1e-3)
            assert element["amps"] == pytest.approx(amps, rel=1e-3)
            assert element["watts"] == pytest.approx(VOLTS * amps, rel=1e-3)
        assert float(report["delivered_wh"]) > 0
        assert report["faults"]["active"] == [] and "watchdog" not in report["faults"]
    old = json.loads(kept.read_text())
    module = boards.module(BOARD)
    # The emulated flash chip has none of its own.
    assert old["id"] == "f" * 16
    assert (old["v1_nv"], old["i2_na"]) == (module.NV_PER_COUNT, module.NA_PER_COUNT)
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    for key, larger in zip(("v1_nv", "i1_na", "v2_nv", "i2_na"), LARGER.values()):
        assert int(rows[key][2]) == pytest.approx(int(rows[key][1]) / larger, rel=1e-3)
