"""The generated house: what its loads do to the waveforms, and what the demo needs of it."""

import math
from pathlib import Path

import numpy as np
import pytest

from tools.front_end.looping import Floats, Source, mains_frequency
from tools.house import STORY_S, House, generate, main
from tools.replay.reference import Reference

RATE = 8000.0


@pytest.fixture(scope="module")
def story() -> House:
    return generate()


def part(house: House, start_s: float, stop_s: float) -> Floats:
    rate = house.rate_hz
    blocks = list(house.blocks(round(start_s * rate), round(stop_s * rate)))
    return np.concatenate(blocks, axis=1)


def powers(block: Floats) -> tuple[float, float]:
    watts = (block[0::2] * block[1::2]).mean(axis=1)
    return float(watts[0]), float(watts[1])


def harmonics(row: Floats, cycles: int) -> Floats:
    """Amplitudes of harmonics 0, 1, 2, ... of a row of whole cycles."""
    return 2 * np.abs(np.fft.rfft(row))[::cycles] / row.size


def test_the_story_is_what_the_demo_needs(story: House) -> None:
    reference = Reference(RATE)
    peak = np.zeros(4)
    watts = []
    for block in story.blocks(size=int(RATE)):
        reference.add(block)
        peak = np.maximum(peak, np.abs(block).max(axis=1))
        watts.append(powers(block))
    # Two whole turns of the 1000 Wh LED, and the front end's range with room to spare.
    assert len(reference.crossings(500)) >= 4
    assert reference.delivered_wh > 2000
    assert peak[0::2].max() < 220 and peak[1::2].max() < 300
    assert reference.hertz == pytest.approx(60, abs=0.01)
    # Export: line 1 alone first, then both, at least a minute in all; import before and after.
    reversed_1 = [k for k, (one, _) in enumerate(watts) if one < -1000]
    reversed_2 = [k for k, (_, two) in enumerate(watts) if two < -1000]
    assert 60 <= len(reversed_1) <= 95 and reversed_1 == list(
        range(reversed_1[0], reversed_1[-1] + 1)
    )
    assert 60 <= len(reversed_2) < len(reversed_1)
    assert reversed_2[0] > reversed_1[0] + 10
    assert min(watts[5]) > 100 and min(watts[-20]) > 5000


def test_any_part_can_be_had_at_once_and_the_story_repeats(story: House) -> None:
    whole = part(story, 19.0, 30.0)
    for start_s, stop_s in ((19.0, 19.1), (23.4567, 25.5), (29.0, 30.0)):
        begin = round(start_s * RATE) - round(19.0 * RATE)
        piece = part(story, start_s, stop_s)
        assert np.abs(whole[:, begin : begin + piece.shape[1]] - piece).max() < 1e-5
    longer = generate(2 * STORY_S)
    assert powers(part(longer, 700, 701)) == pytest.approx(powers(part(story, 100, 101)), rel=1e-3)
    assert np.array_equal(part(longer, 19, 30), whole)
    seam = part(longer, STORY_S - 1, STORY_S + 1)
    assert np.isfinite(seam).all() and powers(seam)[0] > 500


def test_blocks_cover_every_sample_once() -> None:
    house = generate(3.21, rate_hz=5000, seed=4)
    assert house.samples == 16050 and house.seconds == pytest.approx(3.21)
    sizes = [block.shape for block in house.blocks(size=4000)]
    assert sizes == [(4, 4000)] * 4 + [(4, 50)]
    assert not list(house.blocks(100, 100))


def test_a_seed_is_a_house(story: House) -> None:
    same, other = generate(60, seed=1), generate(60, seed=2)
    assert np.array_equal(part(same, 20, 40), part(story, 20, 40))
    assert np.abs(part(other, 20, 40) - part(story, 20, 40)).max() > 5


def test_the_voltage_is_flat_topped_and_sags_under_load(story: House) -> None:
    light, heavy = part(story, 15, 16), part(story, 75, 76)
    rms = [math.sqrt(float(np.mean(block[0] ** 2))) for block in (light, heavy)]
    assert 120 < rms[0] < 122 and 116 < rms[1] < rms[0] - 2
    assert np.abs(light[0]).max() < rms[0] * math.sqrt(2)
    amplitude = harmonics(light[0], 60)
    assert 0.01 < amplitude[3] / amplitude[1] < 0.02
    assert 0.005 < amplitude[5] / amplitude[1] < 0.02
    assert np.corrcoef(light[0], light[2])[0, 1] < -0.9999  # split phase
    assert mains_frequency(story, round(60 * RATE)) == pytest.approx(60, abs=0.05)


def test_power_supplies_make_pulses_rich_in_odd_harmonics(story: House) -> None:
    # Seconds 2 to 3: line 2 carries its supplies only.
    block = part(story, 2, 3)
    amplitude = harmonics(block[3], 60)
    share = amplitude / amplitude[1]
    assert share[3] > 0.5 and share[5] > 0.3 and share[7] > 0.1
    assert share[0:16:2].max() < 0.01
    volts, amps = (math.sqrt(float(np.mean(row**2))) for row in block[2:4])
    assert 0.5 < powers(block)[1] / (volts * amps) < 0.8
    assert powers(block)[1] == pytest.approx(650, rel=0.03)
    # Current only flows at the crests, into the house.
    assert np.all(np.abs(block[3][np.abs(block[2]) < 100]) < 0.01)
    assert (block[2] * block[3]).min() > -0.5


def test_the_dimmer_conducts_in_the_second_half_of_each_half_cycle(story: House) -> None:
    # By the difference to when it is off: line 1's supplies are the same then.
    on, off = part(story, 251, 252), part(story, 256, 257)
    assert powers(on)[0] - powers(off)[0] == pytest.approx(250, rel=0.1)
    v, i = on[0], on[1]
    rising = (np.gradient(v) * np.sign(v) > 0) & (np.abs(v) > 20) & (np.abs(v) < 100)
    falling = (np.gradient(v) * np.sign(v) < 0) & (np.abs(v) > 20) & (np.abs(v) < 100)
    assert np.abs(i[rising]).max() < 0.05
    assert (i / v)[falling] == pytest.approx(500 / 120**2, rel=0.02)


def test_the_fridge_starts_with_an_inrush_and_runs_at_its_power_factor(story: House) -> None:
    before, start, running = part(story, 7, 8), part(story, 8, 8.1), part(story, 14, 15)
    peak = [np.abs(block[3]).max() for block in (before, start, running)]
    assert peak[1] > peak[0] + 5 and peak[2] < peak[1] - 5
    # The drifting frequency leaves the supplies' pulses nearly in step from second to second.
    watts = powers(running)[1] - powers(before)[1]
    assert watts == pytest.approx(180, rel=0.1)
    v = running[2]
    quarter = round(RATE / 240)
    reactive = float(np.mean(np.roll(v, quarter) * running[3])) - float(
        np.mean(np.roll(before[2], quarter) * before[3])
    )
    assert math.atan2(abs(reactive), watts) == pytest.approx(math.acos(0.7), abs=0.12)


def test_the_oven_is_between_the_lines_and_cycles(story: House) -> None:
    steps = [powers(part(story, k, k + 0.5)) for k in range(120, 170)]
    changes = np.diff(np.array(steps), axis=0)
    big = changes[np.abs(changes[:, 0]) > 1500]
    assert len(big) >= 2
    assert big[:, 0] == pytest.approx(big[:, 1], rel=0.05)


def test_write_gives_a_recording_of_the_same_waveforms(tmp_path: Path) -> None:
    out = tmp_path / "house.npz"
    assert main([str(out), "--seconds", "2.5", "--rate", "4000", "--seed", "3"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["house.npz"]
    house = generate(2.5, 4000, 3)
    with np.load(out) as file:
        assert sorted(file.files) == ["i1", "i2", "rate_hz", "v1", "v2"]
        assert float(file["rate_hz"]) == 4000
        expected = np.concatenate(list(house.blocks()), axis=1)
        for name, row in zip(house.channels, expected):
            assert file[name].dtype == np.float32
            assert np.abs(file[name] - row).max() < 1e-4
    assert Source(house).duration == 2.5


BAD = [
    *(["--seconds", seconds] for seconds in ("0", "nan", "inf", "1e12")),
    *(["--rate", rate] for rate in ("100", "nan", "inf")),
    ["--seed", "-1"],
]


@pytest.mark.parametrize("bad", BAD, ids=" ".join)
def test_bad_values_end_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: list[str]
) -> None:
    assert main([str(tmp_path / "x.npz"), *bad]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {bad[0]} {bad[1]}"[:18]) and error.count("\n") == 1
    assert ": expected " in error
    assert main([str(tmp_path / "no" / "x.npz"), "--seconds", "1"]) == 2
