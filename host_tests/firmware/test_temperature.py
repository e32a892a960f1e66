"""What a count is worth by the chip's own temperature sensor: against the physics of sensor and
reference in double precision, and to the last bit against constants that do not change."""

import re
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.rigs.meter_runs import (
    I_NA,
    LOOPS,
    SLOTS,
    V_NV,
    Codes,
    Run,
    Sink,
    convert,
    flat,
    run,
    split_phase,
)
from threewire.metering.accumulator import Accumulator
from threewire.metering.calibration import Calibration, CalibrationError, from_dict
from threewire.metering.element import Element
from threewire.metering.layout import Layout, LayoutError
from threewire.metering.temperature import Temperature
from tools.common import boards

# 8 kHz a channel.
CLOCKS = 1200
GAINS = ((V_NV, -V_NV), (I_NA, I_NA + 7))
CALIBRATED = 875


def board(**changes: Any) -> Layout:
    settings = {
        "NAME": "made_up",
        "SLOTS": [*((name, 26 + k) for k, name in enumerate(SLOTS)), ("temperature", None)],
        "DERIVED": {},
        "SAMPLER": {"kind": "dma", "clocks": CLOCKS, "ring_frames": 2000},
        "NV_PER_COUNT": V_NV,
        "NA_PER_COUNT": I_NA,
        "NOMINAL_VOLTS": 120,
        "NOMINAL_HZ": 60,
        "CLASS_AMPS": 200,
    }
    return Layout(SimpleNamespace(**settings | changes))


LAYOUT = board()


PLAIN = Calibration(*GAINS, phase_ns=(20_000, -9_000))


def by_the_sensor(ppb: int, code_q4: int = 16 * CALIBRATED) -> Calibration:
    return Calibration(*GAINS, phase_ns=(20_000, -9_000), reference=(ppb, code_q4))


def mains(seconds: float, sensor: Any, amps: tuple[float, float] = (80, -50)) -> Codes:
    """Codes of all slots: `sensor` is the last one's, for all frames or each."""
    codes = convert(split_phase(amps, lag_deg=25), seconds, LAYOUT, noise=1)
    codes[:, -1] = sensor
    return codes


def nearest(value: Fraction) -> int:
    """To the nearest integer, halves away from zero."""
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def rise(ppb: int, mean: Fraction | int, code_q4: int = 16 * CALIBRATED) -> Fraction:
    """What the reference is of what it was, where the sensor gives `mean`: 1 + a K, with K from
    the sensor's volts, mean / 4096 of the reference as it is, 1.721 mV a kelvin; s is what the
    module has of 2.1361454545 counts a kelvin."""
    a, s = Fraction(ppb, 10**9), Fraction(2136145455, 10**9)
    # K = (code at calibration - code * (1 + a K)) / s, solved for K.
    kelvin = (Fraction(code_q4, 16) - mean) / (s + a * mean)
    return 1 + a * kelvin


# ---- the sizes


@pytest.mark.parametrize("ppm", [-500.0, -100.0, -15.0, 15.0, 100.0, 500.0])
@pytest.mark.parametrize("kelvin", [-60.0, -25.0, -0.4, 0.0, 7.5, 25.0, 60.0])
def test_a_count_is_worth_what_the_reference_makes_it(ppm: float, kelvin: float) -> None:
    """From volts and kelvin to codes, by the datasheet's line, and back by the module."""

    def code(kelvin: float) -> float:
        reference = 3.3 * (1 + ppm * 1e-6 * kelvin)
        celsius = 31.0 + kelvin
        return (0.706 - 0.001721 * (celsius - 27)) / reference * 4096

    calibration = by_the_sensor(round(ppm * 1000), round(16 * code(0)))
    elements = [Element(LAYOUT, calibration, k) for k in (0, 1)]
    found = Temperature(elements, calibration.reference, LAYOUT.tick_hz)
    # Whole codes whose mean is the real one.
    codes = 4096
    total = round(code(kelvin) * codes)
    for k in range(codes):
        found.take(total * (k + 1) // codes - total * k // codes)
    scales = found.scales(codes)
    assert scales
    # A sixteenth of a count, to which the code of calibration is rounded, is 0.03 K.
    near = 0.03 * abs(ppm) * 1e-6 + 1e-8
    for k, (v_nv, i_na) in enumerate(zip(*GAINS)):
        by = 1 + ppm * 1e-6 * kelvin
        assert scales.v_nv[k] == pytest.approx(abs(v_nv) * by, rel=near)
        assert scales.i_na[k] == pytest.approx(i_na * by, rel=near)
        assert scales.power_gain[k] == scales.v_nv[k] * scales.i_na[k]
        assert elements[k].power_gain == (1 if v_nv > 0 else -1) * scales.power_gain[k]
        # What it was calibrated to is what the next one starts from.
        assert (elements[k].v_nv, elements[k].i_na) == (abs(v_nv), i_na)


@given(
    st.integers(-500_000, 500_000),
    st.integers(9600, 19200),
    st.lists(st.integers(600, 1200), min_size=1, max_size=80),
)
def test_sizes_are_rounded_once(ppb: int, code_q4: int, codes: list[int]) -> None:
    calibration = by_the_sensor(ppb, code_q4)
    elements = [Element(LAYOUT, calibration, k) for k in (0, 1)]
    found = Temperature(elements, calibration.reference, LAYOUT.tick_hz)
    for code in codes:
        found.take(code)
    assert found.scales(len(codes) + 1) is None
    scales: Any = found.scales(len(codes))
    by = rise(ppb, Fraction(sum(codes), len(codes)), code_q4)
    assert 0.8 < by < 1.25
    assert scales.v_nv == tuple(nearest(abs(v_nv) * by) for v_nv in GAINS[0])
    assert scales.i_na == tuple(nearest(i_na * by) for i_na in GAINS[1])


# ---- the meter


@pytest.mark.parametrize("ppb", [500_000, 100_000, -100_000, -500_000])
@pytest.mark.parametrize("code", [600, 823, 929, 1200])
def test_a_steady_temperature_is_a_calibration_at_that(ppb: int, code: int) -> None:
    """To the last bit, from the first frame on."""
    codes = mains(2.3, code)
    (v1, v2), (i1, i2) = [[nearest(size * rise(ppb, code)) for size in pair] for pair in GAINS]
    here = run(codes, LAYOUT, by_the_sensor(ppb))
    there = run(codes, LAYOUT, Calibration((v1, v2), (i1, i2), phase_ns=(20_000, -9_000)))
    assert here.registers == there.registers
    for one, other in zip(here.readings()[:2], there.readings()[:2]):
        for name in ("volts_uv", "amps_ua", "watts_uw", "vars_uw", "va_uva"):
            assert getattr(one, name) == getattr(other, name), name
    assert here.meter.reactive.values() == there.meter.reactive.values()
    # Of 120 V and 80 A with 25 degrees between them, and 20 us that are taken for the front end's.
    watts = 120 * 80 * np.cos(np.radians(25 + 20e-6 * 60 * 360))
    delivered_wh = watts * 2.3 / 3600 * float(rise(ppb, code)) ** 2
    assert here.wh("delivered1") == pytest.approx(delivered_wh, rel=3e-4)


@pytest.mark.parametrize(
    "calibration", [by_the_sensor(0), by_the_sensor(0, 9600), by_the_sensor(90_000)]
)
def test_nothing_changes_without_a_drift_or_a_rise(calibration: Calibration) -> None:
    codes = mains(2.0, CALIBRATED)
    here, there = run(codes, LAYOUT, calibration), run(codes, LAYOUT, PLAIN)
    assert here.registers == there.registers
    assert [list(w.words) for w in here.windows] == [list(w.words) for w in there.windows]


@pytest.mark.parametrize("code", [0, 599, 1201, 4095])
def test_what_is_no_temperature_changes_nothing(code: int) -> None:
    codes = mains(2.0, code)
    here, there = run(codes, LAYOUT, by_the_sensor(300_000)), run(codes, LAYOUT, PLAIN)
    assert here.registers == there.registers


class Watched(Sink):
    """Notes how many cycles there had been at each window's end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[int] = []

    def window(self, window: Any) -> None:
        super().window(window)
        self.ends.append(len(self.cycles))


def watched(codes: Codes, calibration: Calibration, step: int) -> tuple[Watched, int]:
    """What an accumulator tells that gets so many frames at a time, and how many cycles it told
    of at once when it had offsets."""
    sink = Watched()
    accumulator = Accumulator(LAYOUT, calibration, sink, LOOPS)
    waited = 0
    for at in range(0, len(codes), step):
        block = codes[at : at + step]
        accumulator.feed(flat(block), len(block), LAYOUT.frame_ticks)
        waited = waited or len(sink.cycles)
    accumulator.finish()
    return sink, waited


def test_a_window_has_the_mean_of_a_second_before_it() -> None:
    """While the board warms up by 20 K in 8 s: each cycle's energy is what it would be without,
    times what the codes at the ends of the cycles before its window make of a count."""
    ppb = 250_000
    codes = mains(8.0, CALIBRATED)
    frames = len(codes)
    noise = np.random.default_rng(3).normal(0, 2, frames)
    codes[:, -1] = np.rint(CALIBRATED - 43 * np.arange(frames) / frames + noise)
    before, waited = watched(codes, PLAIN, 50)
    after, _ = watched(codes, by_the_sensor(ppb), 1000)
    assert [ticks for *_, ticks in after.cycles] == [ticks for *_, ticks in before.cycles]
    assert after.ends == before.ends
    ends = np.cumsum([ticks for *_, ticks in before.cycles]) // LAYOUT.frame_ticks
    assert len(ends) > 450 and 1 <= waited < 5

    def sizes(mean: Fraction) -> list[list[int]]:
        return [[nearest(abs(size) * rise(ppb, mean)) for size in pair] for pair in GAINS]

    # The frame behind a crossing; the last stretch ends without one.
    taken = [int(codes[end, -1]) for end in ends[:-1]]
    now = sizes(Fraction(sum(taken[:waited]), waited))
    first, changes = waited, 0
    for k, (was, energies) in enumerate(zip(before.cycles, after.cycles)):
        for element in (0, 1):
            old = abs(GAINS[0][element]) * GAINS[1][element]
            new = now[0][element] * now[1][element]
            assert energies[element] * old == was[element] * new, (k, element)
        if k + 1 in before.ends and k + 1 - first >= 50:
            now = sizes(Fraction(sum(taken[first : k + 1]), k + 1 - first))
            first = k + 1
            changes += 1
    assert changes > 6


@pytest.mark.parametrize("seed", range(4))
def test_blocks_cut_anywhere_give_the_same_bits(seed: int) -> None:
    """Over a dip of both voltages, a step of the temperature, codes that are none, and gaps."""
    rng = np.random.default_rng(seed)
    codes = mains(3.0, 0)
    codes[:, -1] = np.rint(rng.normal(870, 3, len(codes)))
    codes[9000:, -1] -= 60
    codes[17_000:, -1] = 4095
    codes[12_000:14_000, [LAYOUT.slot["v1"], LAYOUT.slot["v2"]]] = 2048
    gaps = {8000: 40, 8400: 55, 9100: 30, 20_000: 4000}

    def metered(cuts: set[int]) -> Run:
        meter = Run(LAYOUT, by_the_sensor(400_000))
        at = 0
        for cut in sorted(cuts | set(gaps) | {len(codes)}):
            meter.feed(codes[at:cut], [])
            if cut in gaps:
                meter.meter.gap(gaps[cut], gaps[cut] * LAYOUT.frame_ticks)
            at = cut
        return meter.finish()

    whole = metered(set())
    pieces = metered(set(rng.integers(1, len(codes), 300).tolist()))
    assert pieces.registers == whole.registers
    assert pieces.edges == whole.edges
    assert pieces.meter.estimated.delivered.residue == whole.meter.estimated.delivered.residue


# ---- the board file, and what constants may be


def timed(slots: Any) -> dict[str, Any]:
    sampler = {"kind": "timer", "period_us": 125, "block_frames": 64, "slot_ns": 5000}
    return {"SLOTS": slots, "SAMPLER": sampler}


PINS = [(name, 26 + k) for k, name in enumerate(SLOTS)]


@pytest.mark.parametrize(
    "changes",
    [
        timed([*PINS, ("temperature", None)]),
        {"SLOTS": [("temperature", None), *PINS]},
        {"SLOTS": [*PINS, ("temperature", None), ("temperature", None)]},
        {"SLOTS": [*PINS, ("temperature", 4)]},
    ],
)
def test_a_slot_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LayoutError) as caught:
        board(**changes)
    assert str(caught.value) == (
        'board made_up: SLOTS has temperature; it must be the last, ("temperature", None), and '
        "SAMPLER's kind dma"
    )


def test_the_inputs_are_where_they_were() -> None:
    without = board(SLOTS=PINS)
    assert (LAYOUT.slot, LAYOUT.slot_ns) == (without.slot, without.slot_ns)
    assert LAYOUT.stride == 5 and LAYOUT.frame_ticks == 5 * CLOCKS


KEYS = ("reference_ppb_per_k", "calibrated_code_q4")


@pytest.mark.parametrize("values", [(0, 9600), (-500_000, 19_200), (500_000, 14_001)])
def test_constants_come_back_as_they_were(values: tuple[int, int]) -> None:
    constants = dict(zip(KEYS, values))
    made = from_dict(constants, LAYOUT)
    assert made.reference == values
    assert made.to_dict().items() >= constants.items()
    assert not set(KEYS) & set(from_dict({}, LAYOUT).to_dict())


@pytest.mark.parametrize(
    ("constants", "key", "right"),
    [
        ({KEYS[0]: 100_000}, KEYS[0], "beside calibrated_code_q4"),
        ({KEYS[1]: 14_000}, KEYS[1], "beside reference_ppb_per_k"),
        ({KEYS[0]: 500_001, KEYS[1]: 14_000}, KEYS[0], "an integer, -500000 to 500000"),
        ({KEYS[0]: -500_001, KEYS[1]: 14_000}, KEYS[0], "an integer, -500000 to 500000"),
        ({KEYS[0]: 1e5, KEYS[1]: 14_000}, KEYS[0], "an integer, -500000 to 500000"),
        ({KEYS[0]: True, KEYS[1]: 14_000}, KEYS[0], "an integer, -500000 to 500000"),
        ({KEYS[0]: 1, KEYS[1]: 9599}, KEYS[1], "an integer, 9600 to 19200"),
        ({KEYS[0]: 1, KEYS[1]: 19_201}, KEYS[1], "an integer, 9600 to 19200"),
        ({KEYS[0]: 1, KEYS[1]: None}, KEYS[1], "an integer, 9600 to 19200"),
    ],
)
def test_what_cannot_be_is_refused(constants: dict[str, Any], key: str, right: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict(constants, LAYOUT)
    assert str(caught.value) == f"{key} is {constants[key]!r}; it must be {right}"


@pytest.mark.parametrize("key", KEYS)
def test_a_board_without_the_slot_takes_none(key: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict({key: 14_000}, board(SLOTS=PINS))
    assert str(caught.value) == (
        f"{key} is 14000; it must be left out: SLOTS of the board file has no temperature"
    )


def test_the_pages_formula_finds_the_drift() -> None:
    """Of a board that reads `low` at 824.5 counts, calibrated at 880."""
    page = (boards.BOARDS / "README.md").read_text(encoding="utf-8")
    found = re.search(
        r"([\d.]+) % low \(r = ([\d.]+)\) at\s+c1 = ([\d.]+) has .* and a constant of (\d+)\.",
        page,
    )
    assert found and "is 2136145455 · (r - 1) / (c0 - r · c1)" in page and "c0 = 880" in page
    low, ratio, now = (Fraction(text) for text in found.groups()[:3])
    ppb = int(found[4])
    assert 1 + low / 100 == ratio
    assert round(2136145455 * (ratio - 1) / (880 - ratio * now)) == ppb
    # What the meter makes of it is what it has read too little.
    assert float(rise(ppb, now, 16 * 880)) == pytest.approx(float(ratio), abs=1e-8)
