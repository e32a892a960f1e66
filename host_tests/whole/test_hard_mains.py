"""Waves that mislead meters, on every engine: flow that turns round, rest, notches, dips, noon.

Expected energies are float64 sums over the waves' own cycles, made here.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from tools.replay.report import as_json
from tools.replay.run import replay

RATE, HERTZ, SECONDS = 12_000, 60, 10
ENGINES = ("micropython", "i386", "armhf")
T = (np.arange(RATE * SECONDS) + 0.5) / RATE
W = 2 * np.pi * HERTZ * T
V = 120 * np.sqrt(2) * np.sin(W)
CYCLE = np.floor(T * HERTZ)


def current(amps: float, lag_deg: float = 0.0) -> np.ndarray:
    return amps * np.sqrt(2) * np.sin(W - np.radians(lag_deg))


def dipped() -> np.ndarray:
    volts = V.copy()
    volts[(T >= 0.0208) & (T < 0.0211)] = -40
    return volts


def notched() -> np.ndarray:
    """Behind each crest the voltage falls through zero for a quarter of a millisecond."""
    after = np.mod(T - 1 / 240, 1 / 120)
    return np.where(after < 2.5e-4, -0.4 * V, V)


WAVES = {
    "turning": (V, current(10) * np.where(CYCLE % 2 < 1, 1, -1)),
    "turning slowly": (V, current(4) * np.where(CYCLE % 14 < 7, 1, -1)),
    "resting": (V, current(12.5) * (CYCLE % 60 < 6)),
    "one dip": (dipped(), current(20, -60)),
    "notches": (notched(), current(30, 60)),
    "noon": (V, -current(20)),
}


def truth(name: str) -> tuple[float, float]:
    """Delivered and received watt-hours of an element, decided by the cycle."""
    volts, amps = WAVES[name]
    cycles = (volts * amps).reshape(-1, RATE // HERTZ).sum(axis=1) / RATE / 3600
    return float(np.maximum(cycles, 0).sum()), float(-np.minimum(cycles, 0).sum())


@pytest.fixture(scope="module", params=WAVES)
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[dict[str, Any]]]:
    """A wave's name and what --json prints of it with each engine."""
    path: Path = tmp_path_factory.mktemp("waves") / "wave.npz"
    volts, amps = WAVES[request.param]
    np.savez(path, rate_hz=float(RATE), v1=volts, i1=amps, v2=-volts, i2=-amps)
    printed = []
    for engine in ENGINES:
        need_engine(engine)
        printed.append(as_json(replay(path, engine=engine)))
    return request.param, printed


def test_energies_are_those_of_the_waves_cycles(runs: tuple[str, list[dict[str, Any]]]) -> None:
    name, printed = runs
    delivered, received = truth(name)
    hours = SECONDS / 3600
    reference = printed[0]["reference"]["elements"]
    for element, its in zip(printed[0]["elements"], reference):
        for key, true in (("delivered_wh", delivered), ("received_wh", received)):
            assert float(element[key]) == pytest.approx(true, rel=1e-3, abs=0.2 * hours)
            assert its[key] == pytest.approx(true, rel=1e-3, abs=0.2 * hours)
        if name == "resting":
            assert float(element["received_wh"]) <= 0.02 * hours
    assert printed[0]["hertz"] == pytest.approx(HERTZ, abs=0.02)


def test_all_engines_give_the_same(runs: tuple[str, list[dict[str, Any]]]) -> None:
    _, (first, *others) = runs
    for other in others:
        for key in ("delivered_wh", "received_wh", "elements", "hertz", "edges", "doctor"):
            assert other[key] == first[key], key


def test_what_is_said(runs: tuple[str, list[dict[str, Any]]]) -> None:
    name, printed = runs
    verdicts = [element["verdict"] for element in printed[0]["doctor"]["elements"]]
    if name in ("notches", "one dip", "resting"):
        assert verdicts == ["right", "right"]
    if name == "noon":
        assert verdicts == ["ct_reversed", "ct_reversed"]
        assert all("exports" in e["text"][:20] for e in printed[0]["doctor"]["elements"])


# ---- var, and a phase that depends on the current

HUNTS = 2 * np.pi * (60 * T - np.cos(4 * np.pi * T) / (4 * np.pi))
AT_50 = 2 * np.pi * 50 * T
ON = np.floor(T * HERTZ) % 60 < 12
# The current's samples are 60 us ahead at 30 A, 200 us at 1 A.
EARLY_TABLE = [[1000, 200_000], [30_000, 60_000]]


def root2(rms: float, angle: np.ndarray) -> np.ndarray:
    return rms * np.sqrt(2) * np.sin(angle)


# Volts, amperes as the input sees them, constants, and the watts and var that are right.
ENERGIES: dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any], float, float]] = {
    "hunting": (root2(120, HUNTS), root2(20, HUNTS - np.pi / 3), {}, 1200, 2078.461),
    "harmonic 49": (
        root2(120, AT_50) + root2(3.6, 49 * AT_50),
        root2(10, AT_50 - np.pi / 6) + root2(0.3, 49 * AT_50 + np.pi / 2),
        {},
        1039.230,
        600,
    ),
    "pulsing": (
        V,
        root2(30, W + 2 * np.pi * HERTZ * 60e-6 - np.pi / 3) * ON,
        {"phase1_by_ma": EARLY_TABLE, "phase2_by_ma": EARLY_TABLE},
        1800 * 12 / 60,
        3117.691 * 12 / 60,
    ),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_var_and_phase_by_current_on_every_engine(name: str, tmp_path: Path) -> None:
    volts, amps, constants, watts, var = ENERGIES[name]
    path, hours = tmp_path / "wave.npz", SECONDS / 3600
    np.savez(path, rate_hz=float(RATE), v1=volts, i1=amps, v2=-volts, i2=-amps)
    calibration = tmp_path / "constants.json"
    calibration.write_text(json.dumps(constants))
    printed = []
    for engine in ENGINES:
        need_engine(engine)
        printed.append(as_json(replay(path, engine=engine, calibration=calibration)))
    for element in printed[0]["elements"]:
        assert float(element["delivered_wh"]) == pytest.approx(watts * hours, rel=1e-3)
        varh = [float(text) for text in element["varh"]]
        assert varh == pytest.approx([var * hours, 0, 0, 0], rel=5e-3)
    if name != "pulsing":
        verdicts = [element["verdict"] for element in printed[0]["doctor"]["elements"]]
        assert verdicts == ["right", "right"]
    for other in printed[1:]:
        for key in ("delivered_wh", "received_wh", "varh", "elements", "hertz", "edges", "doctor"):
            assert other[key] == printed[0][key], key
