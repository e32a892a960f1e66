"""The no-load gate in exact integers: what opens it, what passes, which way, what is dropped."""

from array import array
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threewire.metering import flow, wide, words_viper
from threewire.metering.creep import CreepGate, Flow
from threewire.metering.registers import pair

HZ = 6000
CYCLE = HZ // 60
# Energy of a second at the starting power; a cycle at that power is a whole number, and even.
STARTING = 240 * 10**6
PER_CYCLE = STARTING // 60


# What noise makes in a second: of a cycle it is an eighth of that, 0.19 J of 24.
NOISE = STARTING // 16


def gate(noise: int = 0) -> CreepGate:
    return CreepGate(*pair(10**30, flow.WORDS), STARTING, noise, HZ)


def booked(of: CreepGate) -> tuple[int, int]:
    """Delivered and received so far."""
    delivered, received = of.flow._delivered, of.flow._received
    unit = delivered._unit
    return delivered.wh * unit + delivered.residue, received.wh * unit + received.residue


def passed(of: CreepGate, cycles: Iterable[int]) -> list[int]:
    return [taken(of, raw, CYCLE) for raw in cycles]


def taken(of: CreepGate, raw: int, ticks: int) -> int:
    """What passes of an energy in words, which are for ints only where they say so."""
    words = array("H", bytes(2 * wide.WORDS))
    wide.put(words, 0, raw)
    done = words_viper.take.__wrapped__(words, 0, of.flow.words, ticks)
    if done < 0:
        return of.passed(raw, ticks)
    of.flow.count()
    if not done:
        of.pass_time(ticks)
    return raw if done else 0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "share", [Fraction(1, 2), Fraction(1, 2) + Fraction(1, 1000), Fraction(1)]
)
def test_a_load_from_half_the_starting_power_up_is_all_counted(sign: int, share: Fraction) -> None:
    of = gate()
    raw = int(sign * share * PER_CYCLE)
    out = passed(of, [raw] * 200)
    first = next(k for k, energy in enumerate(out) if energy)
    assert first < 60  # within the first second
    assert out[first] == raw * (first + 1)  # with all there was before
    assert sum(out) == 200 * raw


@pytest.mark.parametrize("sign", [1, -1])
def test_below_half_the_starting_power_nothing_passes(sign: int) -> None:
    of = gate()
    raw = sign * (PER_CYCLE // 2 - 1)
    assert not any(passed(of, [raw] * 6000))
    assert of.finish() == 0


def test_a_big_load_opens_at_once() -> None:
    # 24 times the starting power: half a second's worth at the starting power in 1/48 s.
    of = gate()
    out = passed(of, [24 * PER_CYCLE] * 3)
    assert out == [0, 48 * PER_CYCLE, 24 * PER_CYCLE]
    assert passed(gate(), [30 * PER_CYCLE]) == [30 * PER_CYCLE]


@pytest.mark.parametrize("idle", [0, 1, 30, 59, 60, 61, 119, 250])
def test_a_load_keeps_its_first_second_whenever_it_is_switched_on(idle: int) -> None:
    of = gate()
    raw = PER_CYCLE * 6 // 10
    out = passed(of, [0] * idle + [raw] * 130)
    assert sum(out) == 130 * raw
    assert any(out[: idle + 120])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32))
def test_noise_never_opens_it(seed: int) -> None:
    # Ten minutes of a converter's noise at 120 V, in watts averaged over a cycle: 0.15 A a count
    # times 1.2 counts over 133 frames are 1.9 W, against 12 W that open the gate. The mean wanders
    # as much again.
    watt = PER_CYCLE / 24
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 2 * watt, 36000) + 2 * watt * np.sin(np.arange(36000) / 700)
    of = gate(NOISE)
    assert not any(passed(of, noise.astype(int).tolist()))
    assert of.is_open is False and booked(of) == (0, 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_gate_shuts_below_a_quarter_and_not_above(sign: int) -> None:
    of = gate()
    passed(of, [sign * PER_CYCLE] * 60)
    quarter = PER_CYCLE // 4
    assert passed(of, [sign * quarter] * 600) == [sign * quarter] * 600
    assert of.is_open
    # A second later than the flow has fallen.
    out = passed(of, [sign * (quarter - 1)] * 130)
    assert any(out[:59]) and not any(out[70:]) and not of.is_open
    # What comes while it is shut is lost, but for the last second.
    small = sign * (PER_CYCLE // 4)
    assert not any(passed(of, [small] * 600))
    late = passed(of, [sign * PER_CYCLE] * 60)
    assert 60 * PER_CYCLE <= abs(sum(late)) <= 60 * PER_CYCLE + 60 * abs(small)


@pytest.mark.parametrize("every", [1, 2, 7, 20, 60, 90])
@pytest.mark.parametrize("times", [2, 30])
def test_flow_that_alternates_is_booked_both_ways(every: int, times: int) -> None:
    """Though its net is nothing: from the first cycle on, where a second brings enough."""
    of = gate(NOISE)
    flow = times * PER_CYCLE
    cycles = [flow if k // every % 2 == 0 else -flow for k in range(720)]
    out = passed(of, cycles)
    assert of.is_open
    assert booked(of) == (sum(c for c in cycles if c > 0), -sum(c for c in cycles if c < 0))
    assert sum(out) == sum(cycles)


def test_what_has_opened_it_flowed_both_ways() -> None:
    of = gate()
    quarter = PER_CYCLE * 60 // 4
    assert passed(of, [quarter, -quarter // 2]) == [0, 0]
    assert passed(of, [quarter]) == [quarter + quarter // 2]
    assert of.both_ways == quarter // 2
    assert booked(of) == (2 * quarter, quarter // 2)
    of.passed(PER_CYCLE, CYCLE)
    of.passed(PER_CYCLE, CYCLE)
    assert of.both_ways == 0


def test_noise_between_bursts_is_held_and_not_booked() -> None:
    """A load that rests for 50 of 60 cycles: what noise makes meanwhile goes with the next burst,
    and nothing is received."""
    rng = np.random.default_rng(4)
    noise = rng.normal(0, NOISE / 8 / 6.6, 60 * 600).astype(int)
    load = np.where(np.arange(noise.size) % 60 < 10, 50 * PER_CYCLE, 0)
    of = gate(NOISE)
    out = passed(of, (load + noise).tolist())
    delivered, received = booked(of)
    assert received == 0
    assert delivered + of.flow.held == sum(out) == int((load + noise).sum())


def test_pulses_count_wherever_they_fall() -> None:
    """20 J in one or more cycles, every few seconds, against seconds that begin anywhere."""
    joules = STARTING // 24
    for cycles in (1, 2, 5, 30):
        for idle in (131, 177, 250, 307):
            of = gate(NOISE)
            pulse = [20 * joules // cycles] * cycles
            passed(of, ([0] * idle + pulse) * 12)
            of.finish()
            assert booked(of) == (12 * sum(pulse), 0), (cycles, idle)


def test_a_pulse_behind_a_gap_counts() -> None:
    """A gap of 20 s without load, then 20 J in one cycle at any time."""
    joules = STARTING // 24
    for idle in (0, 15, 30, 59, 80):
        of = gate(NOISE)
        passed(of, [0] * 100)
        of.passed(0, 20 * 60 * CYCLE)
        of.forget()
        passed(of, [0] * idle + [20 * joules] + [0] * 200)
        assert booked(of) == (20 * joules, 0), idle


def test_what_is_held_when_the_gate_shuts_counts_with_what_follows() -> None:
    of = gate(NOISE)
    passed(of, [10**3 * PER_CYCLE])  # opens it
    passed(of, [0] * 59)
    out = passed(of, [NOISE // 20])  # held, as it might be noise, while the second ends
    assert not of.is_open and out == [0] and of.flow.held == NOISE // 20
    out = passed(of, [10**3 * PER_CYCLE])
    assert out == [10**3 * PER_CYCLE + NOISE // 20]
    assert booked(of) == (2 * 10**3 * PER_CYCLE + NOISE // 20, 0)


@given(st.lists(st.integers(-(10**9), 10**9), max_size=100))
def test_a_flow_keeps_all_that_it_is_given(raws: list[int]) -> None:
    of = Flow(*pair(10**30, flow.WORDS), 10**8, HZ)
    out = [of.booked(raw, CYCLE) for raw in raws]
    assert sum(out) + of.held == sum(raws)
    assert abs(of.held) <= 10**8
    # What is booked exceeds what noise makes in the time since the last.
    since = 0
    for energy in out:
        since += CYCLE
        if energy:
            assert abs(energy) >= 0.999 * 10**8 * min(1, since / HZ) ** 0.5 - 2**14
            since = 0


def test_hysteresis_holds_a_load_between_the_thresholds() -> None:
    shut = gate()
    between = PER_CYCLE * 3 // 8
    assert not any(passed(shut, [between] * 300))
    opened = gate()
    passed(opened, [PER_CYCLE] * 60)
    assert passed(opened, [between] * 300) == [between] * 300


@pytest.mark.parametrize("cycles", [1, 2, 30, 59])
def test_finish_decides_on_what_there_is(cycles: int) -> None:
    of = gate()
    raw = PER_CYCLE // 2
    assert not any(passed(of, [raw] * cycles))
    assert of.finish() == raw * cycles
    assert of.finish() == 0
    below = gate()
    passed(below, [raw - 1] * cycles)
    assert below.finish() == 0
    assert gate().finish() == 0


stretches = st.lists(
    st.tuples(
        st.integers(-3 * STARTING, 3 * STARTING) | st.integers(-40, 40), st.integers(1, 150)
    ),
    max_size=200,
)


@given(stretches)
def test_what_passes_is_what_came_less_whole_dropped_stretches(
    steps: list[tuple[int, int]],
) -> None:
    """While open all passes; on opening, the last so many stretches pass together, and only what
    came before them, while shut, is dropped."""
    of = gate()
    pending: list[int] = []
    for raw, ticks in steps:
        was_open = of.is_open
        out = taken(of, raw, ticks)
        if was_open:
            assert out == raw
            continue
        pending.append(raw)
        if of.is_open:
            tails = [sum(pending[k:]) for k in range(len(pending))]
            assert out in tails
            pending = []
        else:
            assert out == 0
    if pending:
        assert of.finish() in [0, *(sum(pending[k:]) for k in range(len(pending)))]


# From what is nothing beside noise to what is a whole watt-hour and more at a time.
_ENERGIES = st.one_of(
    st.integers(-NOISE // 8, NOISE // 8),
    st.integers(-2 * PER_CYCLE, 2 * PER_CYCLE),
    st.integers(-(10**12), 10**12),
    st.sampled_from([0, NOISE, -NOISE, NOISE - 1, 1 - NOISE, STARTING // 4, 2**15, -(2**16)]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(_ENERGIES, st.integers(1, 90)), min_size=1, max_size=20),
    st.sampled_from([0, 1, NOISE, NOISE * 10**4 + 12345]),
    st.sampled_from([10**30, 10**11 + 7]),
)
def test_words_and_ints_do_the_same(runs: list[tuple[int, int]], noise: int, unit: int) -> None:
    in_words, in_ints = [CreepGate(*pair(unit, flow.WORDS), STARTING, noise, HZ) for _ in range(2)]
    for raw, count in runs:
        for ticks in range(CYCLE - count % 7, CYCLE + count - count % 7):
            assert taken(in_words, raw, ticks) == in_ints.passed(raw, ticks)
            assert booked(in_words) == booked(in_ints)
            assert in_words.flow.held == in_ints.flow.held
            assert in_words.is_open == in_ints.is_open
            assert in_words.flow.little_ticks == in_ints.flow.little_ticks
    assert in_words.finish() == in_ints.finish()
    assert booked(in_words) == booked(in_ints)
