"""The registers: nothing is lost, nothing runs backwards, a hundred years fit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.rigs.meter_runs import NANO_WH, Raw
from threewire.metering.accumulator import raw_per_wh
from threewire.metering.registers import Register, Registers

# The RP2040's clock of ADC pacing, and the timer sampler's.
CLOCKS = (48_000_000, 64_000_000)
UNIT = NANO_WH * CLOCKS[1] << 32
# A mains cycle at 48 kW is 0.22 Wh; small ones exercise the carry.
cycles = st.lists(
    st.tuples(*[st.integers(-UNIT, UNIT) | st.integers(-5, 5) | st.just(0)] * 2), max_size=40
)


def content(register: Register, unit: int = UNIT) -> Fraction:
    assert 0 <= register.residue < unit
    return register.wh + Fraction(register.residue, unit)


def raws(registers: Registers) -> list[Raw]:
    flat = [
        registers.delivered,
        registers.received,
        *registers.elements[0],
        *registers.elements[1],
    ]
    return [(register.wh, register.residue) for register in flat]


@pytest.mark.parametrize("tick_hz", CLOCKS)
def test_a_watt_hour_in_raw_units(tick_hz: int) -> None:
    # 1 W of nV * nA is 1e18; 3600 s of ticks; 2**8 of offsets and 2**24 of phase weights.
    assert raw_per_wh(tick_hz) == 3600 * 10**18 * tick_hz * 2**8 * 2**24


@given(st.lists(st.integers(0, 10**9 * UNIT) | st.integers(0, 10), max_size=30))
def test_many_adds_equal_one(parts: list[int]) -> None:
    many, one = Register(UNIT), Register(UNIT)
    for part in parts:
        many.add(part)
    one.add(sum(parts))
    assert (many.wh, many.residue) == (one.wh, one.residue)
    assert content(many) == Fraction(sum(parts), UNIT)


def test_a_step_that_fills_no_unit_carries_exactly() -> None:
    # 1/7 Wh and a bit, 20000 times, and then 1e9 Wh a step, 1000 times.
    register = Register(UNIT)
    part = UNIT // 7 + 1
    for _ in range(20000):
        register.add(part)
    assert content(register) == Fraction(20000 * part, UNIT)
    big = 10**9 * UNIT - 1
    for _ in range(1000):
        register.add(big)
    assert content(register) == Fraction(20000 * part + 1000 * big, UNIT)
    assert register.wh == (20000 * part + 1000 * big) // UNIT


def test_one_raw_unit_counts_beside_1e12_watt_hours() -> None:
    register = Register(UNIT)
    register.add(10**12 * UNIT - 1)
    assert (register.wh, register.residue) == (10**12 - 1, UNIT - 1)
    register.add(1)
    assert (register.wh, register.residue) == (10**12, 0)


@given(st.integers(0, 10**13 * UNIT) | st.integers(0, 3 * UNIT))
def test_text_and_micro_watt_hours_round_down(raw: int) -> None:
    register = Register(UNIT)
    register.add(raw)
    text = register.text()
    assert text == f"{Decimal(raw * 10**9 // UNIT).scaleb(-9):.9f}"
    assert Fraction(text) <= Fraction(raw, UNIT) < Fraction(text) + Fraction(1, 10**9)
    assert register.micro_wh() == raw * 10**6 // UNIT


@given(cycles)
def test_registers_never_decrease(steps: list[tuple[int, int]]) -> None:
    registers = Registers(UNIT)
    before = raws(registers)
    for one, two in steps:
        registers.add(one, two)
        after = raws(registers)
        assert all(later >= earlier for later, earlier in zip(after, before))
        before = after


@settings(max_examples=200)
@given(cycles)
def test_each_register_holds_its_cycles(steps: list[tuple[int, int]]) -> None:
    registers = Registers(UNIT)
    for one, two in steps:
        registers.add(one, two)
    signed = [[one for one, _ in steps], [two for _, two in steps], [sum(s) for s in steps]]
    pairs = [*registers.elements, (registers.delivered, registers.received)]
    for energies, (delivered, received) in zip(signed, pairs):
        assert content(delivered) - content(received) == Fraction(sum(energies), UNIT)
        # The net is decided cycle by cycle.
        assert content(delivered) * UNIT == sum(e for e in energies if e > 0)
        assert content(received) * UNIT == -sum(e for e in energies if e < 0)


def test_a_hundred_years_at_48_kilowatts() -> None:
    hours = 100 * 36525 // 100 * 24
    registers = Registers(UNIT)
    day = 24 * 24000 * UNIT + 12345  # 24 kW on each element, and a little that must not get lost
    for _ in range(hours // 24):
        registers.add(day, day)
    total = 2 * day * (hours // 24)
    assert content(registers.delivered) == Fraction(total, UNIT)
    assert registers.delivered.wh == 48000 * hours == 42_076_800_000
    assert registers.received.text() == "0.000000000"
    before = registers.delivered.residue
    registers.add(1, 0)
    assert registers.delivered.residue == before + 1
