"""The ADC's wide codes and bow: learnt from a sine, and corrected by the firmware's table.

The converters are the project's RP2040 model and others made here from their edges alone; what a
table should hold is worked out in float64.
"""

import json
import math
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import Codes, default_board, front_end
from threewire.metering.adc_table import table
from tools import image
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.model import (
    BOW_COUNTS,
    NOISE_COUNTS,
    REAL_BITS,
    WIDE_CODES,
    WIDE_WIDTH,
    transfer_table,
)
from tools.linearity import cli as linearity
from tools.linearity.learn import Linearity, learn

Floats = NDArray[np.float64]

FULL = 1 << REAL_BITS
# In the model the other codes make up for the wide ones, and a step is in units of those.
NORMAL = (FULL - WIDE_WIDTH * len(WIDE_CODES)) / (FULL - len(WIDE_CODES))
REAL_EXCESS = WIDE_WIDTH / NORMAL - 1
E11 = {"steps": [[512, 136], [1536, 136], [2560, 136], [3584, 136]]}
AMPERES = (3, 30, 100, 200)


@dataclass(frozen=True)
class Converter:
    """By edges: codes of width 1, some wider by `excess`, squeezed into 12 bits, behind a bow that
    is 0 at mid-scale and -`bow` at both ends."""

    excess: Mapping[int, float] = field(default_factory=dict)
    bow: float = 0.0

    def __call__(self, counts: Floats) -> Codes:
        width = np.ones(FULL)
        for code, excess in self.excess.items():
            width[code] += excess
        edges = np.cumsum(width) * FULL / width.sum()
        at = counts + 0.5
        at = at - self.bow * (2 * at / FULL - 1) ** 2
        return np.searchsorted(edges, at, side="right").clip(0, FULL - 1).astype(np.uint16)


def real(counts: Floats) -> Codes:
    """The project's model of the RP2040."""
    steps_a_count = transfer().size // FULL
    at = np.floor((counts + 0.5) * steps_a_count).astype(np.int64)
    codes = transfer()[at.clip(0, transfer().size - 1)]
    codes[at >= transfer().size] = FULL - 1
    return codes


@cache
def transfer() -> Codes:
    return transfer_table()


@dataclass(frozen=True)
class Sine:
    """What goes into a converter; the harmonics are (order, part of the sine, radians)."""

    amplitude: float = 1900.0
    hertz: float = 59.93
    seconds: float = 20.0
    rate: float = 10_000.0
    offset: float = 0.0
    noise: float = NOISE_COUNTS
    harmonics: tuple[tuple[int, float, float], ...] = ()
    wander: bool = False
    seed: int = 1

    def counts(self) -> Floats:
        rng = np.random.default_rng(self.seed)
        t = np.arange(round(self.rate * self.seconds)) / self.rate
        phase = 2 * np.pi * self.hertz * t + rng.uniform(0, 2 * np.pi)
        size = np.full(t.size, self.amplitude, dtype=np.float64)
        if self.wander:  # the frequency by +-20 mHz, the size by +-1 %
            phase += 0.14 * np.sin(2 * np.pi * t / 7)
            size *= 1 + 0.01 * np.sin(2 * np.pi * t / 5)
        wave = np.sin(phase)
        for order, part, lead in self.harmonics:
            wave += part * np.sin(order * phase + lead)
        return 2048 + self.offset + size * wave + rng.normal(0, self.noise, t.size)


def excess_of(learnt: Linearity) -> dict[int, float]:
    return {step.code: step.excess_q4 / 16 for step in learnt.steps}


FINE = np.arange(-20 * 32, (FULL + 20) * 32) / 32


def middles(converter: Callable[[Floats], Codes]) -> Floats:
    """By code, the mean of the inputs that give it."""
    codes = converter(FINE)
    hits = np.bincount(codes, minlength=FULL)
    return np.bincount(codes, weights=FINE, minlength=FULL) / np.maximum(hits, 1)


def transfer_of(
    converter: Callable[[Floats], Codes],
    adc: Mapping[str, Any] | None,
    corrected: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Input in counts, and the mean of what is read there: noise takes the edges off. What is read
    is the code, or the table's of a correction, or given by code."""
    at = FINE
    codes = converter(at)
    read = codes if adc is None else np.array(table(adc))[codes]
    if corrected is not None:
        read = corrected[codes]
    reach = np.arange(-6 * 32, 6 * 32 + 1) / 32
    noise = np.exp(-(reach**2) / (2 * NOISE_COUNTS**2))
    return at, np.convolve(read, noise / noise.sum(), mode="same")


def bend_rms(read: tuple[Floats, Floats], low: float, high: float) -> float:
    """Counts rms from the best straight line, for inputs from low to high."""
    at, mean = read
    inside = (at > low) & (at < high)
    line = np.polyfit(at[inside], mean[inside], 1)
    return float(np.std(mean[inside] - np.polyval(line, at[inside])))


def gain(read: tuple[Floats, Floats], centre: float, amplitude: float) -> float:
    """For a sine of that amplitude, in counts, about an input of `centre`."""
    sine = np.sin((np.arange(20_000) + 0.5) / 20_000 * 2 * np.pi)
    return 2 * float(np.mean(np.interp(centre + amplitude * sine, *read) * sine)) / amplitude


# --- the table -------------------------------------------------------------------------------


def exact(adc: Mapping[str, Any]) -> Floats:
    """The corrected codes before rounding: all in 1/4096 count, so float64 holds them exactly."""
    code = np.arange(FULL, dtype=np.float64)
    moved = np.zeros(FULL)
    for step, excess_q4 in adc["steps"]:
        passed = np.heaviside(code - step, 0.5) - np.heaviside(2048.0 - step, 0.5)
        moved += excess_q4 / 16 * passed
    bow = np.array(adc.get("bow_q4", [0] * 17)) / 16
    return code + moved + np.interp(code, np.arange(17) * 256.0, bow) - bow[8]


STEPS = st.dictionaries(st.integers(1, 4094) | st.sampled_from([2047, 2048, 2049]),
                        st.integers(0, 512), max_size=8)  # fmt: skip
BOWS = st.lists(st.integers(-256, 256), min_size=17, max_size=17)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.none() | BOWS)
def test_the_table_is_the_exact_correction_rounded_once(
    steps: dict[int, int], bow: list[int] | None
) -> None:
    adc: dict[str, Any] = {"steps": [[code, steps[code]] for code in sorted(steps)]}
    if bow is not None:
        adc["bow_q4"] = bow
    found = table(adc)
    expected = np.floor(exact(adc) + 0.5).clip(0, 4200)
    assert found.typecode == "i" and np.array_equal(found, expected)
    assert found[2048] == 2048


def test_without_steps_and_bow_nothing_changes() -> None:
    assert table({"steps": []}).tolist() == list(range(FULL))


def test_the_erratum_loses_the_lowest_seventeen_codes_alone() -> None:
    found = table(E11).tolist()
    assert found[:18] == [0] * 18 and found[18:512] == [code - 17 for code in range(18, 512)]
    assert found[3585:] == [code + 17 for code in range(3585, FULL)]
    assert found[1537:2560] == list(range(1537, 2560))


# Prints the tables of a list of corrections.
_ON_ENGINE = """\
import sys
sys.path.insert(0, {firmware!r})
from threewire.metering.adc_table import table
for adc in {adcs}:
    print(list(table(adc)))
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_engines_make_the_same_tables(engine: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    adcs: list[dict[str, Any]] = [E11, {"steps": [[code, 512] for code in range(2050, 2058)]}]
    for count in (0, 3, 8):
        codes = np.sort(rng.choice(np.arange(1, 4095), count, replace=False)).tolist()
        steps = [[code, int(rng.integers(0, 513))] for code in codes]
        adcs.append({"steps": steps, "bow_q4": rng.integers(-256, 257, 17).tolist()})
    script = tmp_path / "tables.py"
    script.write_text(_ON_ENGINE.format(firmware=str(ROOT / "firmware"), adcs=adcs))
    done = subprocess.run(
        [*need_engine(engine, "256k"), str(script)], capture_output=True, text=True, check=True
    )
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert printed == [np.floor(exact(adc) + 0.5).clip(0, 4200).tolist() for adc in adcs]


def test_the_module_is_small(tmp_path: Path) -> None:
    source = ROOT / "firmware" / "threewire" / "metering" / "adc_table.py"
    assert len(image.compile_module(source, "adc_table.py", "armv6m", tmp_path / "t.mpy")) < 1000


# --- learning: the RP2040's model ------------------------------------------------------------


REAL = [
    Sine(),
    Sine(hertz=50.017, offset=-20.0, seed=2),
    Sine(seconds=60.0, hertz=60.011, offset=20.0, seed=3),
    Sine(rate=4000.0, seconds=40.0, seed=4),
    Sine(wander=True, seed=5),
    # What 120 V are: the outer steps are 15 to 20 counts from where the sine turns.
    Sine(amplitude=1560.0, seed=6),
    Sine(amplitude=1560.0, hertz=50.02, seconds=60.0, seed=7),
]


@cache
def of_the_model(sine: Sine) -> Linearity:
    return learn(real(sine.counts()))


@pytest.mark.parametrize("sine", REAL)
def test_the_model_s_steps_and_bow_are_found(sine: Sine) -> None:
    learnt = of_the_model(sine)
    found = excess_of(learnt)
    assert tuple(found) == WIDE_CODES and not learnt.notes
    assert list(found.values()) == pytest.approx([REAL_EXCESS] * 4, abs=0.3)
    assert learnt.cycles == pytest.approx(sine.hertz * sine.seconds, rel=1e-3)
    # In codes the sine is larger than in counts: the wide ones make the others narrow.
    assert learnt.amplitude == pytest.approx(sine.amplitude / NORMAL, rel=2e-3)
    assert learnt.noise == pytest.approx(math.hypot(NOISE_COUNTS, 0.289), rel=0.08)
    low, high = sine.amplitude * -1 + sine.offset, sine.amplitude + sine.offset
    assert learnt.covered[0] < 2048 + low / NORMAL + 17 + 20
    assert learnt.covered[1] > 2048 + high / NORMAL - 17 - 20
    # The arch of the model, upside down: a correction, and 0 at mid-scale.
    assert learnt.bow_q4 is not None
    knots = np.arange(0, 4097, 256)
    inside = (knots > learnt.covered[0]) & (knots < learnt.covered[1])
    arch = 2 * BOW_COUNTS * (knots / 2048 - 1) ** 2
    assert np.abs(learnt.bow_q4 / 16 - arch)[inside].max() < 0.3
    assert learnt.bow_uncertainty_q4 / 16 < 0.3


@pytest.mark.parametrize("sine", REAL)
def test_the_corrected_model_is_straight(sine: Sine) -> None:
    learnt = of_the_model(sine)
    low, high = 2048 + sine.offset - sine.amplitude, 2048 + sine.offset + sine.amplitude
    before, after = transfer_of(real, None), transfer_of(real, learnt.adc())
    assert bend_rms(before, low + 10, high - 10) > 2
    assert bend_rms(after, low + 10, high - 10) < 0.35
    # What the tool says of it is from the capture alone.
    assert float(np.std(learnt.inl_before)) == pytest.approx(
        bend_rms(before, low + 10, high - 10), rel=0.05
    )
    assert float(np.std(learnt.inl_after)) < 0.35
    assert gain(after, 3000, 400) == pytest.approx(gain(after, 2048, 400), rel=1e-3)
    # Loads that stay within the inner steps are read as before.
    assert gain(after, 2048, 450) == pytest.approx(gain(before, 2048, 450), rel=1e-4)


@pytest.mark.slow
def test_the_uncertainties_are_honest() -> None:
    scores = []
    for seed in range(30):
        scores += [
            (step.excess_q4 - 16 * REAL_EXCESS) / step.uncertainty_q4
            for step in learn(real(Sine(seed=100 + seed).counts())).steps
        ]
    # 120 scores of Student's t with 7 degrees of freedom: 91 % within 2, rms 1.18.
    assert len(scores) == 120
    assert np.mean(np.abs(scores) < 2) > 0.82
    assert 0.8 < math.sqrt(np.mean(np.square(scores))) < 1.5


# --- learning: other converters and sources --------------------------------------------------


@pytest.mark.parametrize(
    "converter",
    [
        Converter(),
        Converter({2560: 9.0}),
        Converter({777: 5.0, 2050: 3.0, 3001: 12.0}, bow=2.5),
        Converter({1023: 4.0, 1024: 7.0}, bow=-4.0),
        Converter({256 * k: 3.0 + k for k in (2, 4, 6, 7, 9, 10, 12, 14)}),
    ],
)
def test_other_boards(converter: Converter) -> None:
    learnt = learn(converter(Sine(amplitude=1850.0, offset=12.0, seed=8).counts()))
    found = excess_of(learnt)
    assert list(found) == sorted(converter.excess)
    for code, excess in converter.excess.items():
        assert found[code] == pytest.approx(excess, abs=0.3)
    # No table can do better than to put each code in the middle of what it covers; and ours is in
    # whole counts, an error of 0.29 rms where the correction takes all values.
    best = bend_rms(transfer_of(converter, None, middles(converter)), 230, 3900)
    after = bend_rms(transfer_of(converter, learnt.adc()), 230, 3900)
    assert after < math.hypot(best, 0.35)
    assert learnt.visible < 1.5


def test_the_widest_eight_of_nine_steps_are_kept() -> None:
    converter = Converter({300 * k: 3.0 + k for k in range(2, 11)})
    learnt = learn(converter(Sine(seed=9).counts()))
    assert [step.code for step in learnt.steps] == [300 * k for k in range(3, 11)]
    assert learnt.notes == ("more than 8 wide codes: left out 600",)


MAINS = ((3, 0.02, 1.0), (5, 0.015, 2.0), (7, 0.005, 3.0), (11, 0.002, 1.5))
IN_PHASE = ((3, 0.02, math.pi), (5, 0.01, 0.0))


@pytest.mark.parametrize("harmonics", [MAINS, IN_PHASE])
def test_distorted_mains_tell_the_steps_but_no_bow(
    harmonics: tuple[tuple[int, float, float], ...],
) -> None:
    sine = Sine(amplitude=1700.0, harmonics=harmonics, wander=True, seed=10)
    learnt = learn(real(sine.counts()))
    assert list(excess_of(learnt).values()) == pytest.approx([REAL_EXCESS] * 4, abs=0.3)
    assert "bow_q4" not in learnt.adc()
    assert len(learnt.notes) == 1 and learnt.notes[0].startswith("no bow: ")
    # The errors shown are those of the steps.
    assert float(np.std(learnt.inl_before)) == pytest.approx(2.6, abs=0.2)
    assert float(np.std(learnt.inl_after)) < 0.35


@pytest.mark.parametrize(("amplitude", "met"), [(1540.0, False), (1550.0, True)])
def test_steps_near_the_turning_points_are_left_out_and_told(amplitude: float, met: bool) -> None:
    # The outer wide codes reach from 1531 to 1540 counts on either side of mid-scale.
    learnt = learn(real(Sine(amplitude=amplitude, seed=11).counts()))
    found = excess_of(learnt)
    assert list(found) == [1536, 2560]
    assert list(found.values()) == pytest.approx([REAL_EXCESS] * 2, abs=0.3)
    told = [f"code {code}: wide, but too near to where the sine turns" for code in (512, 3584)]
    assert learnt.notes == (tuple(told) if met else ())
    assert 512 < learnt.covered[0] < 530 and 3566 < learnt.covered[1] < 3584
    after = transfer_of(real, learnt.adc())
    assert bend_rms(after, 2048 - 1500, 2048 + 1500) < 0.35


def test_small_sines_learn_what_they_meet() -> None:
    learnt = learn(real(Sine(amplitude=700.0, seed=12).counts()))
    assert list(excess_of(learnt)) == [1536, 2560]
    assert learnt.bow_q4 is not None
    # Straight to the next knot, and flat behind it.
    assert learnt.bow_q4[0] == learnt.bow_q4[4] and learnt.bow_q4[12] == learnt.bow_q4[16]
    line = 2 * learnt.bow_q4[[6, 10]] - learnt.bow_q4[[7, 9]]
    assert learnt.bow_q4[[5, 11]] == pytest.approx(line, abs=3)


def test_a_few_jolts_do_no_harm() -> None:
    counts = Sine(seed=13).counts()
    rng = np.random.default_rng(13)
    counts[rng.integers(0, counts.size, 12)] += rng.choice([-1500, 1500], 12)
    counts[50_000:50_400] *= 0.9
    counts[80_000:93_000] = 2048 + 0.7 * (counts[80_000:93_000] - 2048)
    learnt = learn(real(counts.clip(20, 4050)))
    assert list(excess_of(learnt).values()) == pytest.approx([REAL_EXCESS] * 4, abs=0.3)
    assert float(np.std(learnt.inl_after)) < 0.35


# --- refusals --------------------------------------------------------------------------------


def two_tones() -> Floats:
    beside = Sine(amplitude=90.0, hertz=87.3, noise=0.0).counts() - 2048
    return Sine(amplitude=1700.0).counts() + beside


def triangle() -> Floats:
    t = np.arange(200_000) / 10_000 * 59.93
    return 2048 + 1800 * (4 * np.abs(t % 1 - 0.5) - 1)


def clipped_before_the_converter() -> Floats:
    return Sine(amplitude=2000.0).counts().clip(900, 3200)


def beating() -> Floats:
    return Sine(amplitude=1300.0).counts() + 0.25 * (
        Sine(amplitude=1300.0, hertz=60.53, noise=0.0).counts() - 2048
    )


def coarse() -> Floats:
    return Sine().counts() // 64 * 64 + 32


def switched_off() -> Floats:
    counts = Sine(amplitude=1800.0).counts()
    counts[::7] = 2048.0
    return counts


REFUSED: list[tuple[Callable[[], Floats], str]] = [
    (lambda: Sine(seconds=5.0).counts(), r"50000 samples; .* needs at least 59\d\d\d"),
    (lambda: Sine(amplitude=400.0).counts(), r"too small .* 16\d\d to 24\d\d; it must pass 1536"),
    (lambda: Sine(amplitude=700.0, offset=300.0).counts(), "too small"),
    (lambda: np.full(200_000, 2048.0), "too small"),
    (lambda: Sine(amplitude=2100.0).counts(), r"clipped: \d+ samples at code 0 or 4095"),
    (lambda: Sine(offset=200.0).counts(), "clipped"),
    (two_tones, r"not a steady sine: .* counts rms, at most 6"),
    (beating, r"not a steady sine: .* sag in \d\d of its 119 pieces"),
    (coarse, r"\d\d codes are wide, such as \d+ and \d+"),
    (triangle, r"not a sine: .* 12 %"),
    (clipped_before_the_converter, "not a sine"),
    (switched_off, "not a sine"),
    (lambda: np.random.default_rng(1).uniform(500, 3500, 200_000), "not a sine|samples a cycle"),
    (lambda: Sine(hertz=3.3).counts(), "66 cycles of a sine; at least 80"),
    (lambda: Sine(hertz=1234.5).counts(), r"8\.1 samples a cycle; at least 10"),
    (lambda: Sine(hertz=60.0).counts(), r"leave gaps of 1\d\.\d counts"),
    (lambda: Sine(hertz=50.0, seconds=60.0).counts(), "leave gaps"),
]


@pytest.mark.parametrize(("counts", "says"), REFUSED)
def test_what_is_no_such_capture_is_refused(counts: Callable[[], Floats], says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        learn(real(counts()))
    assert len(str(refused.value)) < 220


def test_codes_of_another_kind_are_refused() -> None:
    counts = Sine().counts()
    with pytest.raises(InputError, match="12 bits"):
        learn((counts * 16).astype(np.uint16))
    with pytest.raises(InputError, match="one row of codes"):
        learn(np.zeros((1000, 4), np.uint16))
    with pytest.raises(InputError, match="one row of codes"):
        learn(np.zeros(0, np.uint16))


def test_a_code_too_wide_to_correct_is_refused() -> None:
    with pytest.raises(InputError, match=r"code 1000 is (39|40) counts too wide; .* is 32"):
        learn(Converter({1000: 40.0})(Sine().counts()))


# --- energy ----------------------------------------------------------------------------------


def metered(seed: int, peaks: tuple[float, float]) -> tuple[Codes, Codes]:
    """Codes of v1 and i1 of a board, its converter's errors drawn from the seed, for 20 s: whole
    cycles, but no simple fraction of the rate."""
    rate = 12_000
    wave = np.sin(2 * np.pi * 59.95 * np.arange(20 * rate) / rate)
    recording = ArrayRecording(rate, {"v1": peaks[0] * wave, "i1": peaks[1] * wave})
    layout = default_board()
    blocks = front_end(layout, adc="real", seed=seed).codes(Source(recording))
    codes = np.concatenate(list(blocks))
    return codes[:, layout.slot["v1"]], codes[:, layout.slot["i1"]]


def power_errors(
    seed: int, amperes: Iterable[float], adcs: Iterable[Mapping[str, Any]]
) -> list[list[float]]:
    """For each correction, in percent: of the mean power of 120 V and those currents, once the
    gain is right at 30 A."""
    loads = {amps: metered(seed, (120 * 2**0.5, amps * 2**0.5)) for amps in {30, *amperes}}

    def watts_an_ampere(amps: float, read: NDArray[np.int64]) -> float:
        volts, current = (read[codes] - read[codes].mean() for codes in loads[amps])
        return float(volts @ current) / amps

    tables = [np.array(table(adc), dtype=np.int64) for adc in adcs]
    return [
        [100 * (watts_an_ampere(amps, t) / watts_an_ampere(30, t) - 1) for amps in amperes]
        for t in tables
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_power_is_right_at_all_loads_when_it_is_at_one(seed: int) -> None:
    # A sine of 1900 counts on v1 teaches what serves all inputs.
    learnt = learn(metered(seed, (1900 * 0.11, 1.0))[0])
    adc = learnt.adc()
    plain, steps, both = power_errors(seed, AMPERES, [{"steps": []}, {"steps": adc["steps"]}, adc])
    assert -1.2 < plain[2] < -0.7 and -1.2 < plain[3] < -0.6
    # At 3 A the noise of 20 s is 0.014 %.
    for errors, gates in ((steps, (0.06, 0.001, 0.15, 0.25)), (both, (0.06, 0.001, 0.05, 0.05))):
        for error, limit in zip(errors, gates):
            assert abs(error) < limit


# --- the command -----------------------------------------------------------------------------


def capture(path: Path, columns: Mapping[str, Codes], board: str = "feather_rp2040") -> Path:
    np.savez(
        path,
        codes=np.stack(list(columns.values()), axis=1).astype(np.uint16),
        board=board,
        slots=np.array(list(columns)),
        frame_ticks=4800,
        tick_hz=48_000_000,
    )
    return path


@pytest.fixture(scope="module")
def sine_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    quiet = np.full(200_000, 2048, np.uint16)
    columns = {"i1": quiet, "v1": real(Sine(seed=20).counts()), "i2": quiet, "v2": quiet}
    return capture(tmp_path_factory.mktemp("capture") / "sine.npz", columns)


def test_the_command_prints_a_table_and_the_constants(
    sine_npz: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert linearity.main([str(sine_npz)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "200000 samples, 1199 cycles of 191" in lines[0]
    rows = [line.split() for line in lines if " +- " in line and not line.startswith("bow")]
    assert [int(row[0]) for row in rows] == list(WIDE_CODES)
    assert all(float(row[1]) == pytest.approx(REAL_EXCESS, abs=0.3) for row in rows)
    assert any(line.startswith("bow ") for line in lines)
    assert any(line.startswith("INL   2.6") for line in lines)
    adc = json.loads(lines[-1])["adc"]
    assert [code for code, _ in adc["steps"]] == list(WIDE_CODES) and len(adc["bow_q4"]) == 17


def test_the_command_merges_into_a_calibration(
    sine_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "calibration.json"
    plot = tmp_path / "adc.png"
    kept = {"board": "feather_rp2040", "v1_nv": 111_000_000, "phase1_by_ma": [[0, 1], [9, 2]]}
    out.write_text(json.dumps(kept | {"adc": {"steps": [[7, 7]]}}))
    arguments = [str(sine_npz), "--input", "v1", "--out", str(out), "--plot", str(plot)]
    assert linearity.main(arguments) == 0
    assert capsys.readouterr().out.endswith(f"written: {out}\n")
    found = json.loads(out.read_text())
    adc = found.pop("adc")
    assert found == kept
    assert [code for code, _ in adc["steps"]] == list(WIDE_CODES)
    assert plot.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adc.png", "calibration.json"]
    new = tmp_path / "new.json"
    assert linearity.main([str(sine_npz), "--out", str(new)]) == 0
    assert json.loads(new.read_text()) == {"adc": adc}


def test_a_file_of_another_board_is_not_mixed_with_this_ones(
    sine_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sine, out = tmp_path / "sine.npz", tmp_path / "calibration.json"
    with np.load(sine_npz) as arrays:
        np.savez(sine, **arrays, id="e6605838833a7b2c")
    out.write_text(json.dumps({"id": "e66058388340612b", "v1_nv": 111_000_000}))
    before = out.read_bytes()
    assert linearity.main([str(sine), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--another-board" in said and out.read_bytes() == before
    assert "e6605838833a7b2c" in said and "e66058388340612b" in said
    assert linearity.main([str(sine), "--out", str(out), "--another-board"]) == 0
    found = json.loads(out.read_text())
    assert (found["id"], found["v1_nv"]) == ("e6605838833a7b2c", 111_000_000)
    assert [code for code, _ in found["adc"]["steps"]] == list(WIDE_CODES)


def test_bad_input_is_one_line(
    sine_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volts = tmp_path / "volts.npz"
    np.savez(volts, rate_hz=1000.0, v1=np.zeros(100), i1=np.zeros(100))
    pico = tmp_path / "pico.json"
    pico.write_text('{"board": "pico"}')
    broken = tmp_path / "broken.json"
    broken.write_text('{"v1_nv": ')
    sine = str(sine_npz)
    cases = [
        ([str(tmp_path / "none.npz")], "no such file"),
        ([str(volts)], "volts and amperes; expected codes"),
        ([sine, "--input", "v3"], "no input 'v3'; there are i1, v1, i2, v2"),
        ([sine, "--input", "i1"], "sine.npz, i1: too small to meet a step"),
        ([sine, "--out", str(pico)], "made for board 'pico', the capture by 'feather_rp2040'"),
        ([sine, "--out", str(broken)], "is not a JSON calibration"),
        ([sine, "--out", str(tmp_path / "no" / "where.json")], "there is no folder"),
        ([sine, "--plot", str(tmp_path / "plot.txt")], ".png, .svg or .pdf"),
    ]
    for arguments, says in cases:
        assert linearity.main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1
        assert captured.err.startswith("error: ") and says in captured.err
    assert broken.read_text() == '{"v1_nv": ' and pico.read_text() == '{"board": "pico"}'


def test_no_more_of_a_capture_is_read_than_is_used(
    sine_npz: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(linearity, "MAX_SAMPLES", 150_000)
    assert linearity.main([str(sine_npz)]) == 0
    assert capsys.readouterr().out.startswith("150000 samples, ")


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        linearity.main(["--help"])
    assert ended.value.code == 0
    assert "python -m tools.linearity sine.npz --input v1 --out" in capsys.readouterr().out
