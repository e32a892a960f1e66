"""The LEDs as functions of the register, against the guide's table, and the reverse rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threewire.metering.indicators import ReverseRule, kwh_lit, ten_lit

SECOND = 64_000_000
STARTING = 10**20


@pytest.mark.parametrize(("led", "half_wh"), [(kwh_lit, 500), (ten_lit, 5)])
def test_green_leds_begin_with_their_half_on(led, half_wh: int) -> None:
    # "500 wHrs ON and 500 wHrs OFF", "5 wHrs ON and 5 wHrs OFF", written out.
    table = ([True] * half_wh + [False] * half_wh) * (3000 // (2 * half_wh) + 1)
    assert [led(wh) for wh in range(3001)] == table[:3001]


@given(st.integers(0, 10**12))
def test_green_leds_repeat_for_ever(wh: int) -> None:
    assert kwh_lit(wh) is (wh % 1000 < 500)
    assert ten_lit(wh) is (wh % 10 < 5)


@pytest.mark.parametrize("ticks", [SECOND, SECOND * 6 // 5, 2 * SECOND])
def test_reverse_thresholds_are_exact(ticks: int) -> None:
    rule = ReverseRule(STARTING, SECOND)
    at = STARTING * ticks // SECOND  # energy at the starting power
    for raw, lit in (
        (-at, False),  # below minus the starting power only
        (-at - 1, True),
        (-at // 2 - 1, True),
        (-at // 2, True),  # above minus half of it only
        (-at // 2 + 1, False),
        (-at // 2 - 1, False),
        (-at, False),
        (0, False),
        (10 * at, False),
        (-100 * at, True),
        (100 * at, False),
    ):
        rule.judge(raw, ticks)
        assert rule.reversed is lit, (raw, lit)


@given(st.lists(st.tuples(st.integers(-(2**67), 2**67), st.integers(SECOND, 2 * SECOND))))
def test_reverse_follows_the_two_thresholds(seconds: list[tuple[int, int]]) -> None:
    rule = ReverseRule(STARTING, SECOND)
    lit = False
    for raw, ticks in seconds:
        rule.judge(raw, ticks)
        if raw * SECOND < -STARTING * ticks:
            lit = True
        elif 2 * raw * SECOND > -STARTING * ticks:
            lit = False
        assert rule.reversed is lit
