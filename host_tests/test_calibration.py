"""Calibration constants: what is refused and how, and that the rest comes back as it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.meter_runs import I_NA, V_NV, board
from threewire.calibration import CalibrationError, from_dict, nominal

GAINS = ("v1_nv", "i1_na", "v2_nv", "i2_na")
PHASES = ("phase1_ns", "phase2_ns")
NOMINAL = dict(v1_nv=V_NV, i1_na=I_NA, v2_nv=V_NV, i2_na=I_NA, phase1_ns=0, phase2_ns=0)
LEAST, MOST, MOST_PHASE = 1_000_000, 2_000_000_000, 500_000

magnitudes = st.integers(LEAST, MOST)
gains = st.one_of(magnitudes, magnitudes.map(lambda value: -value))
phases = st.integers(-MOST_PHASE, MOST_PHASE)


@pytest.mark.parametrize("key", GAINS)
@pytest.mark.parametrize(
    "value", [0, 1, -1, LEAST - 1, 1 - LEAST, MOST + 1, -MOST - 1, 10**30, -(10**30)]
)
def test_a_gain_out_of_range_is_refused(key: str, value: int) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict({key: value}, board())
    assert key in str(caught.value) and str(value) in str(caught.value)
    assert str(LEAST) in str(caught.value) and str(MOST) in str(caught.value)


@pytest.mark.parametrize("key", PHASES)
@pytest.mark.parametrize("value", [MOST_PHASE + 1, -MOST_PHASE - 1, 10**30])
def test_a_phase_out_of_range_is_refused(key: str, value: int) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict({key: value}, board())
    assert key in str(caught.value) and str(value) in str(caught.value)
    assert str(MOST_PHASE) in str(caught.value)


@pytest.mark.parametrize("key", GAINS + PHASES)
@pytest.mark.parametrize(
    "value", [True, False, 1.1e8, float("nan"), "110000000", "", None, [V_NV], {}, (1,)]
)
def test_a_value_of_another_type_is_refused(key: str, value: Any) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict({**NOMINAL, key: value}, board())
    assert key in str(caught.value) and repr(value) in str(caught.value)


@pytest.mark.parametrize("key", ["v3_nv", "V1_NV", "v1", "", "gain", "phase_ns"])
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict({**NOMINAL, key: V_NV}, board())
    message = str(caught.value)
    assert repr(key) in message
    assert all(known in message for known in ("board", *GAINS, *PHASES))


@pytest.mark.parametrize("name", ["feather_rp2040", "", None, 3, ["made_up"]])
def test_another_boards_constants_are_refused(name: Any) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict({**NOMINAL, "board": name}, board())
    assert "board" in str(caught.value)
    assert repr(name) in str(caught.value) and "'made_up'" in str(caught.value)


@pytest.mark.parametrize("constants", [None, [], [NOMINAL], "v1_nv", 1, True, 1.5, ()])
def test_what_is_no_mapping_is_refused(constants: Any) -> None:
    with pytest.raises(CalibrationError, match="object"):
        from_dict(constants, board())


@given(
    st.fixed_dictionaries(
        {}, optional={key: gains for key in GAINS} | {key: phases for key in PHASES}
    )
)
def test_good_constants_round_trip(constants: dict[str, int]) -> None:
    made = from_dict({**constants, "board": "made_up"}, board())
    assert made.to_dict() == NOMINAL | constants
    assert from_dict(made.to_dict(), board()).to_dict() == made.to_dict()
    want = NOMINAL | constants
    assert tuple(made.v_nv) == (want["v1_nv"], want["v2_nv"])
    assert tuple(made.i_na) == (want["i1_na"], want["i2_na"])
    assert tuple(made.phase_ns) == (want["phase1_ns"], want["phase2_ns"])


def test_nothing_given_is_nominal() -> None:
    assert from_dict({}, board()).to_dict() == NOMINAL
    assert nominal(board()).to_dict() == NOMINAL


@pytest.mark.parametrize("value", [LEAST, MOST, -LEAST, -MOST])
def test_the_limits_themselves_are_good(value: int) -> None:
    assert from_dict(dict.fromkeys(GAINS, value), board()).v_nv[1] == value
