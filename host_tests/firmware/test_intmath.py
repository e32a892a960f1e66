"""Integer mathematics against Fractions, math.isqrt and float64."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threewire.metering.intmath import (
    FOUR_PI2_Q32,
    TWO_PI_Q32,
    frame_angle2_q32,
    isqrt,
    nearest,
    shift_weight_q24,
    sin_q30,
)

BIG = st.integers(-(10**60), 10**60)
# Up to 10 us a slot and 500 us of phase at 65 Hz are 0.21 rad; the mathematics serve beyond that.
SHIFTS = st.floats(-4, 5)
ANGLES = st.floats(1e-3, 0.4)


@given(BIG | st.integers(-50, 50), st.integers(1, 10**30) | st.integers(1, 8))
def test_nearest_rounds_halves_away_from_zero(a: int, b: int) -> None:
    magnitude = math.floor(Fraction(abs(a), b) + Fraction(1, 2))
    assert nearest(a, b) == (magnitude if a >= 0 else -magnitude)


@given(st.integers(0, 10**60) | st.integers(0, 1000))
def test_isqrt(n: int) -> None:
    assert isqrt(n) == math.isqrt(n)


@given(st.integers(1, 2**200))
def test_isqrt_around_squares(root: int) -> None:
    assert isqrt(root * root) == root
    assert isqrt(root * root - 1) == root - 1
    assert isqrt(root * root + 2 * root) == root


def test_four_pi_squared() -> None:
    assert round(4 * math.pi**2 * 2**32) == FOUR_PI2_Q32


def test_two_pi() -> None:
    assert round(2 * math.pi * 2**32) == TWO_PI_Q32


@given(st.integers(1, 5000), st.integers(10, 10**6))
def test_frame_angle(cycles: int, frames: int) -> None:
    true = (2 * math.pi * cycles / frames) ** 2 * 2**32
    assert frame_angle2_q32(cycles, frames) == pytest.approx(true, rel=1e-9, abs=0.51)


@given(SHIFTS, ANGLES)
def test_shift_weight_is_a_ratio_of_sines(f: float, t: float) -> None:
    # The series stops after t**4. The next term of sin(ft)/sin(t), with its parts added up
    # without regard to sign, bounds what is left out; the rest is Q24 and Q32 rounding.
    found = shift_weight_q24(round(f * 2**24), round(t * t * 2**32)) / 2**24
    left_out = abs(f) * t**6 * (31 + 49 * f**2 + 21 * f**4 + 3 * f**6) / 15120
    assert found == pytest.approx(math.sin(f * t) / math.sin(t), abs=1.2 * left_out + 4e-7)


@given(st.floats(-0.25, 0.25), st.floats(0.01, 0.1))
def test_shift_weight_at_the_angles_that_occur(shift_rad: float, t: float) -> None:
    # 500 us of phase and a slot's skew, at 65 Hz, on a board of 4 to 40 kHz.
    f = shift_rad / t
    if -4 <= f <= 5:
        found = shift_weight_q24(round(f * 2**24), round(t * t * 2**32)) / 2**24
        true = math.sin(f * t) / math.sin(t)
        assert found == pytest.approx(true, abs=1e-6 * max(1, abs(f)))


@given(st.integers(-4 << 24, 5 << 24))
def test_shift_weight_without_angle_is_linear_interpolation(f_q24: int) -> None:
    assert shift_weight_q24(f_q24, 0) == f_q24


@given(st.integers(0, 2**32 * 16 // 100))
def test_whole_shifts_are_exact(angle2_q32: int) -> None:
    assert shift_weight_q24(0, angle2_q32) == 0
    assert shift_weight_q24(1 << 24, angle2_q32) == 1 << 24


# A quarter of a turn and what a delay of 500 us and a slot adds or takes, at 65 Hz.
@given(st.integers(-(2**30) * 181 // 100, 2**30 * 181 // 100) | st.sampled_from([0, 1, -1]))
def test_sine(t_q30: int) -> None:
    # The series ends with the eleventh power; the next term bounds what is left out.
    t = t_q30 / 2**30
    left_out = abs(t) ** 13 / math.factorial(13)
    assert sin_q30(t_q30) / 2**30 == pytest.approx(math.sin(t), abs=left_out + 2e-8)


def test_a_quarter_of_a_turn_gives_the_cosine() -> None:
    # As element.py takes it, for delays either way.
    quarter_q30 = round(math.pi / 2 * 2**30)
    for t in (-0.24, -0.03, 0.0, 0.01, 0.24):
        found = sin_q30(quarter_q30 - round(t * 2**30)) / 2**30
        assert found == pytest.approx(math.cos(t), abs=5e-7)
