"""A recorder's skew, undone twice, and doubts about what was recorded, against closed forms."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from host_tests.rigs.recording_files import save_comtrade
from tools.front_end.looping import ArrayRecording, Floats, Source
from tools.replay.alignment import aligned
from tools.replay.evidence import Frequency, doubts, range_doubts
from tools.replay.reference import Reference
from tools.replay.run import replay

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
LAG = math.pi / 3


def skewed(path: Path, skew_us: dict[str, float], hertz=60.0, frequency=60) -> Path:
    """120 V and 20 A lagging by 60 degrees, each sampled late by so much, as the .cfg says."""
    t = np.arange(RATE) / RATE
    names = ("v1", "i1")
    late = [skew_us.get(name, 0.0) * 1e-6 for name in names]
    w = 2 * np.pi * hertz
    volts = 120 * math.sqrt(2) * np.sin(w * (t + late[0]))
    amps = 20 * math.sqrt(2) * np.sin(w * (t + late[1]) - LAG)
    codes = np.rint(np.column_stack((volts / 0.01, amps / 0.001))).astype(int)
    channels = [("v1", "V", 0.01, 0.0), ("i1", "A", 0.001, 0.0)]
    save_comtrade(path, codes, channels=channels, status=0)
    text = path.read_text().replace("\n60\n", f"\n{frequency}\n")
    for name, (_, unit, a, b) in zip(names, channels):
        was = f"{name},A,CB1,{unit},{a},{b},0,"
        assert was in text
        text = text.replace(was, f"{name},A,CB1,{unit},{a},{b},{skew_us.get(name, 0)},")
    path.write_text(text)
    return path


@pytest.mark.parametrize("duration", [None, 3.5])
@pytest.mark.parametrize(
    "skew_us",
    [{}, {"i1": 100.0}, {"i1": -125.0}, {"v1": 61.7}, {"v1": 1000.0, "i1": 63.0}],
)
def test_skew_is_undone(tmp_path, skew_us, duration):
    """120 V x 20 A x cos 60 degrees are 1200 W, by the meter and by the reference."""
    done = replay(skewed(tmp_path / "a.cfg", skew_us), engine="cpython", duration=duration)
    assert done.reference is not None
    assert done.reference.elements[0].watts == pytest.approx(1200, rel=2e-4)
    watts = done.metered.result["elements"][0]["watts_uw"] / 1e6
    assert watts == pytest.approx(1200, rel=4e-4)
    told = [note for note in done.notes if "sampled late" in note]
    assert len(told) == bool(skew_us)
    for name, us in skew_us.items():
        assert f"{name} {us:g} us" in told[0]


class Late(ArrayRecording):
    def __init__(self, signals: dict[str, Floats], skew_s: tuple[float, ...]) -> None:
        super().__init__(RATE, signals)
        self.skew_s = skew_s


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("size", [1000, 65536])
def test_alignment_against_the_tone_itself(looped, size):
    """A tone at 0.3 of the rate, sampled late by whole samples and by parts of them."""
    n = 6000
    k = np.arange(n)
    w = 2 * np.pi * 0.3
    late = (0.0, 0.37, -2.6, 31.0)
    signals = {name: np.sin(w * (k + d)) for name, d in zip(("v1", "i1", "v2", "i2"), late)}
    source = Source(Late(signals, tuple(d / RATE for d in late)), 1.5 if looped else None)
    until = source.duration
    blocks = list(aligned(source, until, size))
    found = np.concatenate(blocks, axis=1)
    assert found.shape == (4, 12_000 if looped else n)
    inner = slice(200, 5800)
    np.testing.assert_allclose(found[:, inner], np.sin(w * k[inner]) * np.ones((4, 1)), atol=2e-5)
    np.testing.assert_array_equal(found[0, :n], signals["v1"])


def test_no_skew_changes_nothing():
    wave = np.random.default_rng(1).normal(0, 1, 5000)
    source = Source(ArrayRecording(RATE, {"v1": wave, "i1": wave}), 1.7)
    found, expected = (
        np.concatenate(list(blocks), axis=1)
        for blocks in (aligned(source, source.duration, 700), source.blocks(700, source.duration))
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [7, 1000, 65536])
@pytest.mark.parametrize("hertz", [16.7, 30.0, 50.0, 60.0, 400.0])
@pytest.mark.parametrize("line", [0, 1])
def test_frequency_of_anything(hertz, size, line):
    """With noise of a volt at the crossings, and the other line dead but for noise."""
    rng = np.random.default_rng(3)
    block = rng.normal(0, 1.0, (4, 16_000))
    block[2 * line] += 170 * np.sin(2 * np.pi * hertz * np.arange(16_000) / RATE + 1)
    counted = Frequency(RATE)
    for at in range(0, 16_000, size):
        counted.add(block[:, at : at + size])
    assert counted.hertz == pytest.approx(hertz, rel=2e-3)


def test_no_frequency_of_nothing():
    counted = Frequency(RATE)
    counted.add(np.zeros((4, 100)))
    counted.add(np.full((4, 100), 170.0))
    assert counted.hertz is None
    assert range_doubts(None) == []


def judged(*, hertz=60.0, nominal=None, metered_hz=60.0, delivered=None, received=None, flow=1.0):
    """Doubts about ten seconds of 1200 W, of which the share `flow` of cycles is delivered."""
    t = np.arange(10 * RATE) / RATE
    way = np.where(np.floor(t * 60) % 2 < 2 * flow - 1, 1.0, -1.0) if flow < 1 else 1.0
    wave = np.sin(2 * np.pi * 60 * t)
    reference = Reference(RATE)
    reference.add(np.stack((170 * wave, 14 * wave * way, 0 * t, 0 * t)))
    result = {
        "hertz_mhz": metered_hz * 1e3,
        "delivered": {"wh": str(reference.delivered_wh if delivered is None else delivered)},
        "received": {"wh": str(reference.received_wh if received is None else received)},
    }
    return doubts(nominal, hertz, result, reference, {})


def test_doubts_one_by_one():
    assert judged() == []
    assert judged(nominal=60) == []
    (told,) = judged(nominal=50)
    assert told.startswith("names 50 Hz as the mains frequency, but its voltage has 60.000 Hz")
    (told,) = judged(hertz=66.0)
    assert told.startswith("its voltage has 66.000 Hz, mains 45 to 65 Hz")
    (told,) = judged(hertz=44.9)
    assert "44.900 Hz" in told
    (told,) = judged(metered_hz=168.0)
    assert "cycles of 60.000 Hz, the meter of 168.000 Hz" in told
    (told,) = judged(delivered=4.3, received=0.995)
    assert "the reference books each cycle as it flowed" in told
    assert judged(delivered=3.4, received=0.0) == []  # an error, which error_ppm tells


@pytest.mark.parametrize(
    ("hertz", "frequency", "told"),
    [(30.0, 30, "its voltage has 30.0"), (60.0, 50, "names 50 Hz as the mains frequency")],
)
def test_what_the_command_line_says(tmp_path, hertz, frequency, told):
    path = skewed(tmp_path / "a.cfg", {"i1": 50}, hertz, frequency)
    done = subprocess.run(
        [sys.executable, "-m", "tools.replay", str(path), "--engine", "cpython", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    lines = done.stderr.splitlines()
    assert lines == [
        *(f"note: {path}: {note}" for note in said["notes"]),
        *(f"warning: {path}: {warning}" for warning in said["warnings"]),
    ]
    assert any(line.startswith(f"warning: {path}: {told}") for line in lines)
    assert any("sampled late, and aligned: i1 50 us" in line for line in lines)
