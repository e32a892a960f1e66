"""What can be no recording of a meter's terminals is said at once, and what may be one before the
work; and nothing that a file holds makes much work of little."""

import math
import time

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.recording_files import capture_arrays, save_npz
from tools.common import boards
from tools.common.errors import InputError
from tools.engines import process
from tools.front_end.looping import ArrayRecording, mains_frequency
from tools.replay import cli, run
from tools.replay.plausibility import check_plausible
from tools.replay.reference import Reference

RATE = 8000.0
LAYOUT = boards.load("feather_rp2040")


def sines(volts=120.0, amps=30.0, seconds=1.0):
    t = np.arange(round(seconds * RATE)) / RATE
    wave = math.sqrt(2) * np.sin(2 * math.pi * 60 * t)
    return {"v1": volts * wave, "i1": amps * wave, "v2": -volts * wave, "i2": -amps * wave}


def warnings(**waves):
    return check_plausible(ArrayRecording(RATE, sines() | waves, "a.npz"), LAYOUT)


@pytest.mark.parametrize("factor", [(1e3, 1e3), (1e3, 1), (1, 1e3)])
def test_millivolts_and_milliamperes(tmp_path, capsys, monkeypatch, factor):
    """Ten seconds of them took 200 s; now they are refused before an engine is started."""

    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(run, "_meter", work)
    monkeypatch.setattr(run, "Source", work)
    path = save_npz(tmp_path / "a.npz", sines(120 * factor[0], 30 * factor[1], 10))
    assert cli.main([str(path), "--engine", "cpython"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: ") and said.count("\n") == 1
    name, unit, size = ("v1", "volts", 120) if factor[0] > 1 else ("i1", "amperes", 30)
    assert f"{name} has {size}000 {unit} rms in its first second" in said
    assert "if it is in thousandths, multiply it by 0.001" in said


def test_at_which_size():
    """The board takes 225 V and 307 A at the crest (its own file): beyond ten times that nothing
    is metered, beyond the sine of it something is lost."""
    v_most, i_most = 2048 * 0.11, 2048 * 0.15
    assert LAYOUT.nv_per_count == 110_000_000 and LAYOUT.na_per_count == 150_000_000
    wave = sines(1, 1)["v1"]
    assert warnings() == []
    assert warnings(v1=wave * 0.999 * v_most / math.sqrt(2), i2=-wave * i_most * 0.7) == []
    (told,) = warnings(v2=wave * 1.001 * v_most / math.sqrt(2))
    assert told.startswith("v2 has 159.") and "takes 225.3 volts at the crest" in told
    (told,) = warnings(i1=wave * 9.99 * i_most)
    assert told.startswith("i1 has 3068.") and "takes 307.2 amperes" in told
    with pytest.raises(InputError, match=r"^a\.npz: i1 has 3075\.\d+ amperes rms"):
        warnings(i1=wave * 10.01 * i_most)


def test_kilovolts():
    wave = sines(0.12)["v1"]
    (told,) = warnings(v1=wave, v2=wave)
    assert told.startswith("its voltages have 0.12 volts rms") and told.endswith("file in kV?")
    assert warnings(v1=wave) == []  # a dead line
    assert warnings(v1=0 * wave, v2=0 * wave) == []


def test_said_before_the_work(tmp_path, capsys, monkeypatch):
    path = save_npz(tmp_path / "a.npz", sines(240))

    def work(*arguments: object, **options: object) -> None:
        said = capsys.readouterr().err
        assert said.startswith(f"warning: {path}: v1 has 240 volts rms") and said.count("\n") == 2
        raise InputError("the work has begun")

    monkeypatch.setattr(run, "_meter", work)
    assert cli.main([str(path), "--engine", "cpython"]) == 2
    assert capsys.readouterr().err == "error: the work has begun\n"


def test_said_once(tmp_path, capsys):
    path = save_npz(tmp_path / "a.npz", sines(240, seconds=0.5))
    assert cli.main([str(path), "--engine", "cpython"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(set(lines)) == 3
    assert "v1 has 240" in lines[0] and "v2 has 240" in lines[1] and "range: " in lines[2]


def test_huge_values_make_no_work():
    """At a million volts and amperes 10 s come to 600 million steps of 5 Wh, which a replay does
    not ask for."""
    began = time.perf_counter()
    reference = Reference(RATE, None, ())
    reference.add(np.full((4, 80_000), 1e6))
    assert reference.delivered_wh == pytest.approx(2e12 * 10 / 3600, rel=1e-12)
    assert time.perf_counter() - began < 2


def test_three_crossings_at_unlike_distances():
    """20 ms and 40 ms apart, neither is within a tenth of their median."""
    wave = -np.ones(800)
    for crossing in (100, 260, 580):
        wave[crossing : crossing + 40] = 1
    silent = np.zeros(800)
    assert mains_frequency(ArrayRecording(RATE, {"v1": wave, "i1": silent})) is None


def codes(frames):
    t = np.arange(frames) * LAYOUT.frame_ticks / LAYOUT.tick_hz
    wave = np.sin(2 * math.pi * 60 * t)
    size = {"v": 1500, "i": 300}
    rows = [np.rint(2048 + size[name[0]] * wave) for name in LAYOUT.slots]
    return np.stack(rows, axis=1).astype(np.uint16)


def metered(engine, block, spans=()):
    pieces = [block[:12_345], block[12_345:12_346], block[12_346:]]
    return process.meter(
        engine, iter(pieces), LAYOUT.name, {}, LAYOUT.frame_ticks, LAYOUT.tick_hz, spans=spans
    ).result


@pytest.mark.parametrize("engine", ["micropython", "i386", "cpython"])
def test_spans_by_the_thousand(engine):
    """However frames of one length are cut into spans, the energy is the same to the last bit;
    and thousands of lengths are metered in little memory, as long as each has been."""
    need_engine(engine)
    block = codes(30_000)
    whole = metered(engine, block)
    draw = np.random.default_rng(3)
    for cuts in ([], [1], [29_999], np.unique(draw.integers(1, 30_000, 9000)), range(1, 30_000)):
        edges = np.concatenate(([0], np.asarray(cuts, np.int64), [30_000]))
        spans = np.stack((np.diff(edges), np.full(len(edges) - 1, LAYOUT.frame_ticks)), axis=1)
        found = metered(engine, block, spans)
        assert found["delivered"] == whole["delivered"] and found["ticks"] == whole["ticks"]
    spans = np.stack((np.full(6000, 5), LAYOUT.frame_ticks + np.arange(6000) % 7), axis=1)
    found = metered(engine, block, spans)
    assert found["ticks"] == int(np.prod(spans, axis=1).sum())
    # Lengths that differ by 3 ticks in 4800 on average: energy goes with time, exactly.
    scale = found["ticks"] / whole["ticks"]
    wh, before = float(found["delivered"]["wh"]), float(whole["delivered"]["wh"])
    assert wh / before == pytest.approx(scale, rel=2e-6)


def test_a_capture_of_many_spans_is_replayed(tmp_path):
    need_engine("micropython")
    frames = np.full((4000, 4), 2048, np.uint16)
    spans = np.stack((np.full(1000, 4), 6000 + np.arange(1000) % 2), axis=1)
    arrays = capture_arrays(codes=frames, spans=spans, slots=np.array(LAYOUT.slots))
    arrays["calibration"] = "{}"
    np.savez(tmp_path / "a.npz", **arrays)
    done = run.replay(tmp_path / "a.npz", engine="micropython")
    assert done.metered.result["frames"] == 4000
    assert done.metered.result["ticks"] == 4 * 1000 * 6000 + 4 * 500
