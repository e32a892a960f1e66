"""Recordings of real mains on both ADC models, against float64 energies published with them."""

import json
from pathlib import Path

import pytest

from host_tests.conftest import need_engine
from tools.common import boards
from tools.front_end.model import FrontEnd
from tools.replay.run import replay

WAVES = Path(__file__).resolve().parents[3] / "shared" / "waves"
INDEX = WAVES / "INDEX.json"
pytestmark = pytest.mark.skipif(not INDEX.exists(), reason=f"no recordings in {WAVES}")

ENTRIES = json.loads(INDEX.read_text()) if INDEX.exists() else []
# Shorter than this and the end within a cycle weighs more than the meter: looped to 20 s.
SHORT_S = 1.0
LOOPED_S = 20.0


def apparent_wh(entry: dict, element: str, seconds: float) -> float:
    truth = entry["reference_float64"][element]
    return truth["volts"] * truth["amps"] * seconds / 3600


def true_wh(entry: dict, element: str, seconds: float) -> float:
    """All of its samples, or their mean over the time it is looped to."""
    truth = entry["reference_float64"][element]
    if seconds == LOOPED_S:
        return truth["watts_mean"] * seconds / 3600
    return truth["wh_all_samples"]


def run(entry: dict, adc: str, calibration: Path | None = None):
    seconds = LOOPED_S if entry["seconds"] < SHORT_S else entry["seconds"]
    done = replay(
        WAVES / entry["file"],
        engine="micropython",
        duration=LOOPED_S if seconds == LOOPED_S else None,
        adc=adc,
        seed=5,
        calibration=calibration,
    )
    assert done.seconds == pytest.approx(seconds, abs=1e-3)
    return done, seconds


def net_wh(done, element: str) -> float:
    e = done.metered.result["elements"][int(element[-1]) - 1]
    return float(e["delivered"]["wh"]) - float(e["received"]["wh"])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["file"])
def test_ideal_adc(entry):
    """0.1 % of the apparent energy.

    What limits it is not the meter: 1.5 s of dither leave about 0.02 % (fridge, kettle); the
    feeder's own DC, which no CT would pass, is 0.035 % of its energy (keating); and nine samples
    of strathmore's inrush are beyond the front end's range.
    """
    need_engine("micropython")
    done, seconds = run(entry, "ideal")
    for element in entry["reference_float64"]:
        error = net_wh(done, element) - true_wh(entry, element, seconds)
        assert abs(error) <= 1e-3 * apparent_wh(entry, element, seconds)
    assert set(done.clipped) == ({"v2"} if entry["file"].startswith("strathmore") else set())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["file"])
def test_real_adc(entry, tmp_path):
    """1.5 % of the apparent energy, with the gains that a calibration would have found.

    What is left is the RP2040's: its four wide codes make small signals read up to 0.84 % high a
    channel, and it has not been corrected for.
    """
    need_engine("micropython")
    layout = boards.load(boards.DEFAULT)
    front_end = FrontEnd.of(layout, adc="real", seed=5)
    gains = {
        f"{name}_{'nv' if name[0] == 'v' else 'na'}": round(
            (layout.nv_per_count if name[0] == "v" else layout.na_per_count)
            / (1 + front_end.gain_error[name])
        )
        for name in layout.slots
    }
    file = tmp_path / "gains.json"
    file.write_text(json.dumps(gains))
    done, seconds = run(entry, "real", file)
    for element in entry["reference_float64"]:
        error = net_wh(done, element) - true_wh(entry, element, seconds)
        assert abs(error) <= 15e-3 * apparent_wh(entry, element, seconds)
