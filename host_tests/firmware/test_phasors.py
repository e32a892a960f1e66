"""Phasors of the mains frequency: sums against numpy int64, windows against float64 phasors.

Those are of the same codes, once of the frames that are looked at, once of all of them.
"""

import cmath
import math
import subprocess
from array import array
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import I_NA, MID, SLOTS, V_NV, Codes, Run, board, convert, flat
from threewire.metering import kernel, kernel_viper
from threewire.metering.adc_table import table as adc_table
from threewire.metering.calibration import Calibration
from threewire.metering.layout import Layout
from threewire.metering.phasors import Phasors
from threewire.metering.wide import WORDS, put
from threewire.metering.window import _ACROSS, _ACTIVE, _REACTIVE, Window
from tools.common.boards import ROOT
from tools.front_end.waves import Wave, sine

ENGINES = ("micropython", "i386")
TURN_BITS = 24
ENTRIES = 512  # of a turn in the sine
MOST = 4200  # as which a code may be summed
# Beyond the codes' own rounding: counts**2 * 2**17 a frame.
UNIT = 2**17
E11 = adc_table({"steps": [[512, 136], [1536, 131], [2560, 140], [3584, 136]]}).tolist()
SCRAMBLED = np.random.default_rng(4).integers(0, MOST + 1, 4096).tolist()
HARMONICS = {3: 0.2, 5: 0.1, 7: 0.05}


def pair(window: Window, at: int) -> tuple[int, int]:
    """The two numbers of a window's from these words on."""
    return window.number(at), window.number(at + WORDS)


def numpys_sine() -> np.ndarray:
    """512 times the sine of a turn and a quarter in 512 steps a turn."""
    steps = np.arange(ENTRIES * 5 // 4)
    return np.rint(kernel._SCALE * np.sin(2 * np.pi * steps / ENTRIES)).astype(np.int64)


def new_state(
    stride: int, order: Sequence[int], rate_hz: int, turn: int, table: list[int] | None = None
) -> tuple[array, Phasors]:
    words = kernel.state(table)
    words[kernel.STRIDE] = stride
    words[kernel.X1], words[kernel.Y1], words[kernel.X2], words[kernel.Y2] = order
    phasors = Phasors(words, rate_hz)
    words[words[kernel.PHASORS] + kernel.TURN] = turn
    return words, phasors


def every_of(words: array) -> int:
    """How many frames there are from one that is looked at to the next."""
    return words[words[kernel.PHASORS] + kernel.STEP] // words[kernel.STRIDE]


def expected(
    codes: np.ndarray, order: Sequence[int], every: int, turn: int, table: list[int] | None = None
) -> list[int]:
    """What `take` gives, in int64."""
    looked_at = np.array(table)[codes[::every]] if table else codes[::every].astype(np.int64)
    phase = (np.arange(len(looked_at)) * turn) % 2**TURN_BITS >> (TURN_BITS - 9)
    sine = numpys_sine()
    waves = sine[phase + ENTRIES // 4], sine[phase]
    ones = np.full(len(looked_at), MID + 1)
    inputs = [ones, *(looked_at[:, slot] for slot in order)]
    return [
        len(looked_at),
        *(int(((values - MID) * wave).sum()) for wave in waves for values in inputs),
    ]


def random_codes(seed: int, frames: int, stride: int = 4) -> Codes:
    return np.random.default_rng(seed).integers(0, 4096, (frames, stride), dtype=np.uint16)


# ---- sums


def test_the_sine_is_numpys_to_the_digit() -> None:
    words, _ = new_state(4, (0, 1, 2, 3), 10000, 0)
    first = words[kernel.PHASORS] + kernel.SINE
    halves = np.array(words[first:], np.int32).view(np.int16).reshape(-1, 2)
    assert len(halves) == ENTRIES
    assert halves[:, 0].tolist() == numpys_sine()[:ENTRIES].tolist()
    assert halves[:, 1].tolist() == numpys_sine()[ENTRIES // 4 :].tolist()


@pytest.mark.parametrize("rate_hz", [1000, 3999, 4000, 7999, 8000, 10000, 20833])
def test_from_4000_frames_a_second_to_twice_as_many_are_looked_at(rate_hz: int) -> None:
    words, _ = new_state(3, (0, 1, 2, 1), rate_hz, 0)
    if rate_hz >= 4000:
        assert 4000 <= rate_hz / every_of(words) < 8000
    else:
        assert every_of(words) == 1


@pytest.mark.parametrize("table", [None, E11, SCRAMBLED], ids=["plain", "E11", "scrambled"])
@pytest.mark.parametrize("rate_hz", [1000, 2500, 10000])
@pytest.mark.parametrize(
    ("stride", "order"),
    [(4, (0, 1, 2, 3)), (4, (3, 2, 0, 1)), (3, (0, 1, 2, 1)), (3, (1, 0, 1, 2))],
)
def test_sums_equal_numpys(
    stride: int, order: tuple[int, ...], rate_hz: int, table: list[int] | None
) -> None:
    codes = random_codes(rate_hz, 1500, stride)
    turn = 1234567
    words, phasors = new_state(stride, order, rate_hz, turn, table)
    behind = words[words[kernel.PHASORS] + kernel.SINE :]
    kernel_viper.correlate(flat(codes), 0, codes.size, words)
    assert taken(phasors) == expected(codes, order, every_of(words), turn, table)
    assert words[words[kernel.PHASORS] + kernel.SINE :] == behind


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 2**32),
    st.integers(0, 900),
    st.lists(st.integers(0, 900), max_size=12),
    st.sampled_from([1000, 2500, 4000, 10000]),
    st.integers(0, 2**TURN_BITS - 1),
)
def test_cuts_do_not_matter(
    seed: int, frames: int, cuts: list[int], rate_hz: int, turn: int
) -> None:
    codes = random_codes(seed, frames)
    data = flat(codes)
    words, phasors = new_state(4, (0, 1, 2, 3), rate_hz, turn)
    every = every_of(words)
    bounds = [0, *sorted(min(cut, frames) for cut in cuts), frames]
    for begin, end in pairwise(bounds):
        kernel_viper.correlate(data, 4 * begin, 4 * end, words)
    assert taken(phasors) == expected(codes, (0, 1, 2, 3), every, turn)
    # And again from nothing, in phase with the next frame that comes.
    kernel_viper.correlate(data, 0, codes.size, words)
    assert taken(phasors) == expected(codes, (0, 1, 2, 3), every, turn)
    assert taken(phasors) == [0] * 11


def test_tuned_it_turns_once_a_cycle() -> None:
    for rate_hz, hertz in ((2000, 45), (8000, 50), (10000, 59.93), (10000, 65)):
        words, phasors = new_state(4, (0, 1, 2, 3), rate_hz, 0)
        phasors.tune(round(2 * math.pi * hertz / rate_hz * 2**32))
        turn = words[words[kernel.PHASORS] + kernel.TURN]
        # Q24 of a turn: half a step a frame is under 1e-4 turn in a window of 1250 frames.
        assert turn == pytest.approx(every_of(words) * hertz / rate_hz * 2**24, abs=0.6)


def taken(phasors: Phasors) -> list[int]:
    work = array("i", bytes(44))
    phasors.take(work)
    return list(work)


# 0.3 s, the longest window, of the most frames that may be looked at in a second; and the phase
# between them of 40 and 70 Hz at the most and the fewest.
LONGEST = 2400
TURNS = (83_886, 293_601)
# A table that makes the codes 0 and 4095 as far from mid-scale as can be.
WIDEST = [0, *range(1, 4095), MOST]


def widest_codes(turn: int, frames: int, high: int = 4095) -> Codes:
    """Codes whose every product with the cosine has one sign: no sum can be larger."""
    phase = (np.arange(frames) * turn) % 2**TURN_BITS >> (TURN_BITS - 9)
    up = numpys_sine()[phase + ENTRIES // 4] >= 0
    codes = np.where(up, high, 4095 - high).astype(np.uint16)
    return np.repeat(codes[:, None], 4, axis=1)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("high", [0, 4095])
def test_a_window_of_full_scale_fits_a_word(turn: int, high: int) -> None:
    # The shim raises OverflowError when a word does not hold.
    codes = widest_codes(turn, LONGEST, high)
    words, phasors = new_state(4, (0, 1, 2, 3), 7999, turn, WIDEST)
    assert every_of(words) == 1
    kernel_viper.correlate(flat(codes), 0, codes.size, words)
    found = taken(phasors)
    assert found == expected(codes, (0, 1, 2, 3), 1, turn, WIDEST)
    assert 1.6e9 < max(abs(word) for word in found) < 2**31


_ON_ENGINE = """\
import sys
from array import array
sys.path.insert(0, {firmware!r})
from threewire.metering import kernel, kernel_viper, wide, window_viper
from threewire.metering.phasors import Phasors
words = kernel.state({table})
words[kernel.STRIDE] = 4
words[kernel.X1], words[kernel.Y1], words[kernel.X2], words[kernel.Y2] = 3, 0, 1, 2
phasors = Phasors(words, {rate})
words[words[kernel.PHASORS] + kernel.TURN] = {turn}
codes = array("H", {codes})
for begin, end in {parts}:
    kernel_viper.correlate(codes, begin, end, words)
work = array("i", bytes(4 * 45))
phasors.take(work)
print(list(work[:11]))
work[11:15] = array("i", (-1600, 37, 5, 0))
work[15] = work[0] << 12
window_viper.central(work)
powers = array("H", bytes(400))
window_viper.quotients(work, powers, bytes((1, 0, 0, 0, 1, 0, 1, 1, 3, 2, 0, 2, 3, 2, 1, 3, 255)))
print([wide.number(powers, at) for at in (0, 10, 20, 30)])
print(list(words))
"""


def run_script(path: Path, script: str, engine: str) -> list[list[int]]:
    path.write_text(script)
    done = subprocess.run(
        [*need_engine(engine, "1M"), str(path)], capture_output=True, text=True, check=True
    )
    return [[int(word) for word in row[1:-1].split(",")] for row in done.stdout.splitlines()]


@pytest.mark.parametrize("kind", ["full scale", "random", "E11"])
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_have_the_same_words(engine: str, kind: str, tmp_path: Path) -> None:
    turn, rate, order = 805306, 10000, (3, 0, 1, 2)
    table = None
    codes = random_codes(9, 2000)
    if kind == "full scale":
        turn, rate, table = TURNS[0], 7999, WIDEST
        codes = widest_codes(turn, LONGEST)
        codes[:, 1:] = 4095 - codes[:, 1:]
    elif kind == "E11":
        table = E11
    parts = [(0, 1004), (1004, 1008), (1008, 3000), (3000, codes.size)]
    script = _ON_ENGINE.format(
        firmware=str(ROOT / "firmware"),
        table=table,
        rate=rate,
        turn=turn,
        codes=codes.ravel().tolist(),
        parts=parts,
    )
    sums, powers, words = run_script(tmp_path / "correlate.py", script, engine)
    here, phasors = new_state(4, order, rate, turn, table)
    for begin, end in parts:
        kernel_viper.correlate(flat(codes), begin, end, here)
    assert sums == taken(phasors) == expected(codes, order, every_of(here), turn, table)
    assert words == list(here)
    # In floating point, of the sums without rounding of what the offsets make.
    n, c, *cos = sums[:6]
    s, *sin = sums[6:]
    phasor = [
        complex(re - a / 16 * c, im - a / 16 * s) for re, im, a in zip(cos, sin, (-1600, 37, 5, 0))
    ]
    for (re, im), x, y in zip((powers[:2], powers[2:]), (0, 2), (1, 3)):
        # x and y are correlated with exp(+j): their product's conjugate is that of phasors.
        true = phasor[y].conjugate() * phasor[x] / n
        bound = 2 + 2 * (abs(phasor[x]) + abs(phasor[y])) / n
        assert abs(complex(re, im) - true) <= bound


# ---- windows


def total(terms: list[Wave], t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sum([term(t) for term in terms], axis=0)


def shapes(
    amps: Sequence[float], lag_deg: float, hertz: float, apart_deg: float, is_pure: bool
) -> dict[str, Wave]:
    """120 V and two currents, with harmonics at odd angles in both unless pure."""
    waves: dict[str, Wave] = {}
    for k, turned in ((1, 0.0), (2, apart_deg)):
        for name, rms, lag in ((f"v{k}", 120, turned), (f"i{k}", amps[k - 1], turned + lag_deg)):
            parts = {} if is_pure else HARMONICS if name[0] == "i" else {3: 0.1, 5: 0.03}
            terms = [sine(rms, hertz, lag)]
            terms += [sine(rms * p, n * hertz, 17 * n + n * lag) for n, p in parts.items()]
            waves[name] = partial(total, terms)
    return waves


def phasor_of(values: np.ndarray, frames: np.ndarray, angle: float, length: float) -> complex:
    """Rms phasor of what was sampled at these frames, each of them `angle` of the mains, where
    whole cycles have `length` of them."""
    return complex((values * np.exp(-1j * angle * frames)).sum() / length * math.sqrt(2))


def windows_with_codes(of: Run, codes: Codes) -> list[tuple[Window, Codes]]:
    """Windows whose phasors are known, with their frames; without the first of them, which began
    before its offsets were known."""
    at, found = 0, []
    for window in of.windows:
        found.append((window, codes[at : at + window.frames]))
        at += window.frames
    return [pair for pair in found if pair[0].points][1:]


def assert_phasors(
    layout: Layout,
    calibration: Calibration,
    codes: Codes,
    hertz: float,
    offset: float = 0,
    signs: Sequence[int] = (1, 1),
) -> None:
    """Every window's V * conj(I) and V2 * conj(V1) against numpy's."""
    every = max(1, layout.tick_hz // layout.frame_ticks // 4000)
    angle = 2 * math.pi * hertz * layout.frame_ticks / layout.tick_hz
    known = windows_with_codes(Run(layout, calibration).feed(codes), codes)
    assert len(known) >= 3
    for window, its in known:
        assert window.points == len(its[::every]) and window.whole
        centred = its.astype(np.float64) - MID - offset
        frames = np.arange(len(its))
        # Of the frames looked at: the sine's nine bits and its 512 steps a turn, which meet the
        # same phases each cycle where the mains frequency divides the rate, cost 0.15 %.
        # Of all of them: beside that, the last step may reach into the next cycle, by a part of
        # the window that counts twice.
        for part, most in ((every, 0.0015), (1, 0.0015 + 2 * (every - 1) / len(its))):
            length = window.span_q12 / 4096 / layout.frame_ticks / part
            at = {
                name: phasor_of(centred[::part, layout.slot[name]], frames[::part], angle, length)
                for name in ("v1", "i1", "v2", "i2")
            }
            for k in (0, 1):
                # As of one instant: later slots have turned further, and so has an early current.
                ahead_ns = layout.slot_ns[f"i{k + 1}"] - layout.slot_ns[f"v{k + 1}"]
                ahead_ns += calibration.phase_ns[k]
                turn = cmath.exp(2j * math.pi * hertz * ahead_ns * 1e-9)
                true = signs[k] * at[f"v{k + 1}"] * at[f"i{k + 1}"].conjugate() * turn
                found = complex(pair(window, _ACTIVE)[k], pair(window, _REACTIVE)[k]) / (
                    UNIT * window.points
                )
                assert abs(found - true) <= most * abs(true)
            true = signs[0] * signs[1] * at["v2"] * at["v1"].conjugate()
            found = complex(*pair(window, _ACROSS)) / (UNIT * window.points)
            assert abs(found - true) <= most * abs(true)


RATES = {500: "2 kHz", 250: "4 kHz", 125: "8 kHz", 100: "10 kHz"}
# 50 Hz at 10 kHz is looked at in 25 phases only; 52.083 Hz and 62.5 Hz divide rates as well, and
# there it is odd harmonics that alias onto them.
HERTZ = (45, 49.9, 50, 52.083, 55, 57.3, 60, 60.1, 62.5, 65)


@pytest.mark.parametrize("hertz", HERTZ)
@pytest.mark.parametrize("period_us", RATES, ids=RATES.values())
def test_phasors_are_numpys_at_any_rate_and_frequency(period_us: int, hertz: float) -> None:
    layout = board(period_us=period_us)
    codes = convert(shapes((100, 20), 50, hertz, 180, False), 1.6, layout)
    plain = Calibration((V_NV, V_NV), (I_NA, I_NA))
    assert_phasors(layout, plain, codes, hertz)


@pytest.mark.parametrize("lag_deg", [0.0, 60.0, -60.0, 90.0, 150.0, 200.0])
@pytest.mark.parametrize("apart_deg", [180.0, 120.0, -120.0, 0.0])
def test_phasors_are_numpys_at_any_angle(lag_deg: float, apart_deg: float) -> None:
    layout = board(period_us=100)
    codes = convert(shapes((100, 20), lag_deg, 60, apart_deg, False), 1.4, layout, offset=-100)
    plain = Calibration((V_NV, V_NV), (I_NA, I_NA))
    assert_phasors(layout, plain, codes, 60, offset=-100)


@pytest.mark.parametrize("phase_us", [(0, 0), (500, -500), (-300, 130), (25, -25)])
@pytest.mark.parametrize("slots", [SLOTS, ("v1", "i1", "v2", "i2"), ("i2", "v1", "i1", "v2")])
def test_phasors_are_of_one_instant(slots: tuple[str, ...], phase_us: tuple[int, int]) -> None:
    layout = board(slots, slot_ns=25_000, period_us=100)
    codes = convert(shapes((100, 20), -40, 50, 180, True), 1.4, layout, offset=100)
    ns = (1000 * phase_us[0], 1000 * phase_us[1])
    assert_phasors(layout, Calibration((V_NV, V_NV), (I_NA, I_NA), ns), codes, 50, offset=100)


@pytest.mark.parametrize("v_signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("i_signs", [(1, 1), (-1, -1)])
def test_a_negative_size_of_a_count_turns_the_input_round(
    v_signs: tuple[int, int], i_signs: tuple[int, int]
) -> None:
    layout = board()
    codes = convert(shapes((100, 20), 30, 60, 180, True), 1, layout)
    calibration = Calibration(
        (V_NV * v_signs[0], V_NV * v_signs[1]), (I_NA * i_signs[0], I_NA * i_signs[1])
    )
    known = windows_with_codes(Run(layout, calibration).feed(codes), codes)
    plain = windows_with_codes(Run(layout).feed(codes), codes)
    for (window, _), (its, _) in zip(known, plain, strict=True):
        for k in (0, 1):
            sign = v_signs[k] * i_signs[k]
            assert pair(window, _ACTIVE)[k] == sign * pair(its, _ACTIVE)[k]
            assert pair(window, _REACTIVE)[k] == sign * pair(its, _REACTIVE)[k]
        assert pair(window, _ACROSS) == tuple(
            v_signs[0] * v_signs[1] * part for part in pair(its, _ACROSS)
        )


def test_a_derived_voltage_is_minus_the_other() -> None:
    layout = board(("i1", "v1", "i2"), 33_333, 100, derived={"v2": ("v1", -1)})
    codes = convert(shapes((100, 20), 50, 60, 180, False), 1, layout)
    plain = Calibration((V_NV, V_NV), (I_NA, I_NA))
    assert_phasors(layout, plain, codes, 60, signs=(1, -1))
    for window, _ in windows_with_codes(Run(layout, plain).feed(codes), codes):
        re, im = pair(window, _ACROSS)
        assert re < 0 and im == 0


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, 8000), max_size=40), st.integers(0, 2**32))
def test_windows_phasors_do_not_depend_on_the_blocks(cuts: list[int], seed: int) -> None:
    codes = convert(shapes((90, 30), 35, 60.3, 180, False), 1, noise=1, seed=seed)

    def of(cuts: list[int]) -> list[tuple[object, ...]]:
        windows = Run().feed(codes, cuts).windows
        return [
            (w.points, pair(w, _ACTIVE), pair(w, _REACTIVE), pair(w, _ACROSS)) for w in windows
        ]

    whole = of([])
    assert whole == of(cuts)
    assert any(points for points, *_ in whole)


def test_a_window_whose_frequency_was_not_known_has_no_phasors() -> None:
    # The mains jumps from 50 to 60 Hz, as where a generator takes over: the sine is then out of
    # step for the window that it happens in, whichever way that is cut, and perhaps one more.
    of = Run(board(nominal_hz=50))
    of.feed(convert(shapes((90, 30), 35, 50, 180, True), 2))
    assert of.windows[-1].points
    of.windows.clear()
    of.feed(convert(shapes((90, 30), 35, 60, 180, True), 2))
    known = [bool(window.points) for window in of.windows]
    assert not any(known[:3]) and all(known[4:]) and len(known) > 6
    for window in of.windows:
        if not window.points:
            assert (
                pair(window, _ACTIVE) == pair(window, _REACTIVE) == pair(window, _ACROSS) == (0, 0)
            )
            assert of.meter.readings(window)[0].vars_uw == 0


def test_a_jump_of_a_hertz_is_followed() -> None:
    of = Run()
    for hertz in (60, 61):
        of.feed(convert(shapes((90, 30), 35, hertz, 180, True), 2))
        for window in [window for window in of.windows if window.points][-9:]:
            for reading, amps in zip(of.meter.readings(window)[:2], (90, 30)):
                q = 120 * amps * math.sin(math.radians(35))
                assert reading.vars_uw * 1e-6 == pytest.approx(q, rel=5e-3)


def test_without_voltage_there_are_no_phasors() -> None:
    of = Run().feed(convert({"i1": sine(50), "i2": sine(20)}, 2))
    assert [window.points for window in of.windows] == [0] * len(of.windows)
    assert of.windows


def test_windows_add_up() -> None:
    codes = convert(shapes((90, 30), 35, 60, 180, False), 2)
    of = Run().feed(codes)
    joined = Window()
    for window in of.windows:
        joined.add(window)
    for at in (_ACTIVE, _REACTIVE, _ACROSS):
        columns = zip(*[pair(window, at) for window in of.windows])
        assert list(pair(joined, at)) == [sum(column) for column in columns]
    assert joined.points == sum(window.points for window in of.windows)
    # The mean over frames whose frequency was known: one without phasors does not pull it down.
    q = 120 * 90 * math.sin(math.radians(35))
    assert of.meter.readings(joined)[0].vars_uw * 1e-6 == pytest.approx(q, rel=5e-3)


@given(
    st.lists(
        st.integers(0, 158).flatmap(lambda bits: st.integers(-(1 << bits), 1 << bits)),
        min_size=6,
        max_size=6,
    )
)
def test_phasors_are_told_in_words_of_28_bits(numbers: list[int]) -> None:
    """By one power of two less each pair, rounded down, and so that the angle stays."""
    window = Window()
    places = (_ACTIVE, _REACTIVE), (_ACTIVE + WORDS, _REACTIVE + WORDS), (_ACROSS, _ACROSS + WORDS)
    pairs = [tuple(numbers[2 * k : 2 * k + 2]) for k in range(3)]
    for at, exact in zip(places, pairs, strict=True):
        for place, number in zip(at, exact, strict=True):
            put(window.words, place, number)
    for found, exact in zip(window.phasors(), pairs, strict=True):
        assert all(-(1 << 28) <= part < 1 << 28 for part in found)
        shifts = [by for by in range(4, 164) if [number >> by for number in exact] == list(found)]
        assert shifts, (found, exact)
        size = max(map(abs, exact))
        if size >= 1 << 16:
            assert max(map(abs, found)) >= 1 << 11
