"""Calibration constants: what is refused and how, and that the rest comes back as it was."""

import json
import math
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import I_NA, V_NV, board
from threewire.metering.calibration import Calibration, CalibrationError, from_dict, nominal

ROOT = Path(__file__).resolve().parents[2]
GAINS = ("v1_nv", "i1_na", "v2_nv", "i2_na")
PHASES = ("phase1_ns", "phase2_ns")
TABLES = ("phase1_by_ma", "phase2_by_ma")
NOMINAL = dict(v1_nv=V_NV, i1_na=I_NA, v2_nv=V_NV, i2_na=I_NA, phase1_ns=0, phase2_ns=0)
# 30 % about the board file's 110 and 150 million, and what 2048 counts of the largest are.
RANGES = {"v": (77_000_000, 143_000_000), "i": (105_000_000, 195_000_000)}
MOST_PHASE = 500_000
MOST_MA = 399_360


def magnitudes(key: str) -> st.SearchStrategy[int]:
    sizes = st.integers(*RANGES[key[0]])
    return sizes | sizes.map(lambda value: -value)


gains = {key: magnitudes(key) for key in GAINS}
phases = st.integers(-MOST_PHASE, MOST_PHASE)
currents = st.sets(st.integers(0, MOST_MA), min_size=2, max_size=8).map(sorted)
tables = currents.flatmap(
    lambda mas: st.tuples(*[phases] * len(mas)).map(lambda ns: [list(row) for row in zip(mas, ns)])
)
codes = st.sets(st.integers(1, 4094), max_size=8).map(sorted)
steps = codes.flatmap(
    lambda at: st.tuples(*[st.integers(0, 512)] * len(at)).map(
        lambda excess: [list(row) for row in zip(at, excess)]
    )
)
bows = st.lists(st.integers(-256, 256), min_size=17, max_size=17)
converters = st.fixed_dictionaries({"steps": steps}, optional={"bow_q4": bows})


@pytest.mark.parametrize("key", GAINS)
@pytest.mark.parametrize("value", [0, 1, 14_648_436, 495_000_000, 10**30])
def test_a_gain_out_of_range_is_refused(key: str, value: int) -> None:
    """A count of a seventh, or of 4.5 times, what it is by the board file is another front end."""
    least, most = RANGES[key[0]]
    for found in (value, -value, least - 1, 1 - least, most + 1, -most - 1):
        with pytest.raises(CalibrationError) as caught:
            from_dict({key: found}, board())
        assert str(caught.value) == (
            f"{key} is {found}; it must be an integer of magnitude {least} to {most}, "
            "the board file's within 30 %"
        )


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


@pytest.mark.parametrize("key", ["v3_nv", "V1_NV", "v1", "", "gain", "phase_ns", "phase3_by_ma"])
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict({**NOMINAL, key: V_NV}, board())
    message = str(caught.value)
    assert repr(key) in message
    assert all(known in message for known in ("board", "id", *GAINS, *PHASES, *TABLES, "adc"))
    assert message.endswith(", adc, reference_ppb_per_k, calibrated_code_q4")


@pytest.mark.parametrize("name", ["feather_rp2040", "", None, 3, ["made_up"]])
def test_another_boards_constants_are_refused(name: Any) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict({**NOMINAL, "board": name}, board())
    assert "board" in str(caught.value)
    assert repr(name) in str(caught.value) and "'made_up'" in str(caught.value)


@pytest.mark.parametrize("identity", ["e6605838833a7b2c", "0", "f" * 32])
def test_the_identity_of_their_board_stays_with_them(identity: str) -> None:
    constants = from_dict({**NOMINAL, "id": identity}, board()).to_dict()
    assert constants == {**NOMINAL, "id": identity}
    # Constants of 0.3.0 and older have none.
    assert "id" not in from_dict(NOMINAL, board()).to_dict()


@pytest.mark.parametrize(
    "identity", ["", "f" * 33, "E660", "e6 60", "e6\n", "\u0661", 12, None, []]
)
def test_what_is_no_identity_is_refused(identity: Any) -> None:
    with pytest.raises(CalibrationError, match=r"id is .*1 to 32 hexadecimal digits"):
        from_dict({**NOMINAL, "id": identity}, board())


@pytest.mark.parametrize("constants", [None, [], [NOMINAL], "v1_nv", 1, True, 1.5, ()])
def test_what_is_no_mapping_is_refused(constants: Any) -> None:
    with pytest.raises(CalibrationError, match="object"):
        from_dict(constants, board())


def below(**changes: Any) -> dict[str, Any]:
    """Usable errors of a converter with changes, None for a key that is left out."""
    adc = {"steps": [[512, 136], [1536, 136]], "bow_q4": [0] * 17} | changes
    return {key: value for key, value in adc.items() if value is not None}


ROWS = [[100, 90_000], [5_000, 60_000], [200_000, -20_000]]
# Constants, the key (and place) that the message must name, and what it must say besides.
BAD = [
    ({"phase1_by_ma": ROWS[:1]}, "phase1_by_ma", "2 to 8 pairs"),
    ({"phase2_by_ma": []}, "phase2_by_ma", "2 to 8 pairs"),
    ({"phase2_by_ma": [[k, k] for k in range(9)]}, "phase2_by_ma", "2 to 8 pairs"),
    ({"phase1_by_ma": None}, "phase1_by_ma", "None"),
    ({"phase1_by_ma": 60_000}, "phase1_by_ma", "60000"),
    ({"phase1_by_ma": "[[1, 2], [3, 4]]"}, "phase1_by_ma", "pairs"),
    ({"phase1_by_ma": {"0": 1, "1": 2}}, "phase1_by_ma", "pairs"),
    ({"phase1_by_ma": [[0, 1], [2]]}, "phase1_by_ma[1]", "[2]"),
    ({"phase1_by_ma": [[0, 1, 2], [3, 4]]}, "phase1_by_ma[0]", "[0, 1, 2]"),
    ({"phase1_by_ma": [[0, 1], 2]}, "phase1_by_ma[1]", "is 2"),
    ({"phase1_by_ma": [[0, 1], None]}, "phase1_by_ma[1]", "None"),
    ({"phase1_by_ma": [[0, 1], [2.0, 3]]}, "phase1_by_ma[1]", "2.0"),
    ({"phase1_by_ma": [[0, 1], [2, True]]}, "phase1_by_ma[1]", "True"),
    ({"phase1_by_ma": [[False, 1], [2, 3]]}, "phase1_by_ma[0]", "False"),
    ({"phase1_by_ma": [[-1, 1], [2, 3]]}, "phase1_by_ma[0]", "-1"),
    ({"phase1_by_ma": [[0, 1], [MOST_MA + 1, 3]]}, "phase1_by_ma[1]", str(MOST_MA + 1)),
    ({"phase1_by_ma": [[0, MOST_PHASE + 1], [2, 3]]}, "phase1_by_ma[0]", str(MOST_PHASE + 1)),
    ({"phase1_by_ma": [[0, 1], [2, -MOST_PHASE - 1]]}, "phase1_by_ma[1]", str(-MOST_PHASE - 1)),
    ({"phase1_by_ma": [[5, 1], [5, 3]]}, "phase1_by_ma[1]", "above"),
    ({"phase1_by_ma": [[5, 1], [4, 3]]}, "phase1_by_ma[1]", "above"),
    ({"phase1_by_ma": ROWS, "phase1_ns": 0}, "phase1_ns", "phase1_by_ma"),
    ({"phase2_by_ma": ROWS, "phase2_ns": 7}, "phase2_ns", "phase2_by_ma"),
    ({"adc": None}, "adc", "steps"),
    ({"adc": []}, "adc", "steps"),
    ({"adc": 12}, "adc", "steps"),
    ({"adc": {}}, "adc", "steps"),
    ({"adc": {"bow_q4": [0] * 17}}, "adc", "steps"),
    ({"adc": below(step=[])}, "'step'", "bow_q4"),
    ({"adc": below(steps=None)}, "adc", "steps"),
    ({"adc": below(steps=3)}, "adc steps", "0 to 8 pairs"),
    ({"adc": below(steps=[[k, 1] for k in range(1, 10)])}, "adc steps", "0 to 8 pairs"),
    ({"adc": below(steps=[[0, 1]])}, "adc steps[0]", "1 to 4094"),
    ({"adc": below(steps=[[4095, 1]])}, "adc steps[0]", "1 to 4094"),
    ({"adc": below(steps=[[512, -1]])}, "adc steps[0]", "0 to 512"),
    ({"adc": below(steps=[[512, 513]])}, "adc steps[0]", "513"),
    ({"adc": below(steps=[[512, 8.5]])}, "adc steps[0]", "8.5"),
    ({"adc": below(steps=[[512, 1], [512, 1]])}, "adc steps[1]", "above"),
    ({"adc": below(bow_q4=[0] * 16)}, "adc bow_q4", "17 integers"),
    ({"adc": below(bow_q4=[0] * 18)}, "adc bow_q4", "17 integers"),
    ({"adc": below(bow_q4=0)}, "adc bow_q4", "17 integers"),
    ({"adc": {"steps": [], "bow_q4": None}}, "adc bow_q4", "None"),
    ({"adc": below(bow_q4=[0] * 16 + [257])}, "adc bow_q4[16]", "-256 to 256"),
    ({"adc": below(bow_q4=[-257] + [0] * 16)}, "adc bow_q4[0]", "-257"),
    ({"adc": below(bow_q4=[0, True] + [0] * 15)}, "adc bow_q4[1]", "True"),
]


@pytest.mark.parametrize("constants, key, said", BAD)
def test_an_unusable_table_is_refused(constants: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        from_dict(constants, board())
    message = str(caught.value)
    assert key in message and said in message and "must be" in message
    assert "\n" not in message and len(message) < 200


# Any JSON value, and any where a constant is expected.
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
odd_rows = st.lists(st.lists(st.integers(-5, 500) | values, max_size=3) | values, max_size=9)
odd_adc = st.fixed_dictionaries(
    {}, optional={"steps": odd_rows, "bow_q4": st.lists(st.integers(-300, 300) | values)}
)
odd_constants = st.fixed_dictionaries(
    {},
    optional={key: gains[key] | values for key in GAINS}
    | {key: phases | values for key in PHASES}
    | {key: tables | odd_rows | values for key in TABLES}
    | {"adc": converters | odd_adc | values, "board": st.just("made_up") | values},
)


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def read_or_refuse(constants: Any) -> None:
    """Anything but a CalibrationError of one short line, or constants that come back, fails."""
    try:
        made = from_dict(constants, board())
    except CalibrationError as refusal:
        assert 0 < len(str(refusal)) < 300
        str(refusal).encode("utf-8")
    else:
        assert from_dict(made.to_dict(), board()).to_dict() == made.to_dict()


@given(values | odd_constants)
def test_no_json_value_raises_anything_else(constants: Any) -> None:
    read_or_refuse(constants)


def test_values_beyond_words_are_refused() -> None:
    # Such depth and length that CPython will not print them.
    for value in (nested(100_000), 10**5000, [[1, 10**5000], [2, 3]], "x" * 10_000, "\ud800"):
        for key in (*GAINS, *PHASES, *TABLES, "adc", "board"):
            with pytest.raises(CalibrationError):
                from_dict({key: value}, board())
            read_or_refuse({key: value})
        read_or_refuse(value)
    read_or_refuse({"\ud800": 1})
    read_or_refuse({"x" * 10_000: 1})


@given(st.fixed_dictionaries({}, optional=gains | {key: phases for key in PHASES}))
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


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_limits_themselves_are_good(end: int, sign: int) -> None:
    constants = {key: sign * RANGES[key[0]][end] for key in GAINS}
    made = from_dict(constants, board())
    assert made.to_dict() == NOMINAL | constants
    from_dict({"phase1_by_ma": [[0, 0], [MOST_MA, 0]]}, board())


@given(st.integers(1_000_000, 2_000_000_000), st.integers(1_000_000, 2_000_000_000))
def test_the_range_is_within_30_percent_of_any_front_end(nv: int, na: int) -> None:
    layout = board()
    layout.nv_per_count, layout.na_per_count = nv, na
    for keys, size in ((GAINS[::2], nv), (GAINS[1::2], na)):
        least = math.ceil(Fraction(7, 10) * size)
        most = math.floor(Fraction(13, 10) * size)
        for key in keys:
            from_dict({key: least}, layout)
            from_dict({key: -most}, layout)
            for value in (least - 1, -(most + 1)):
                with pytest.raises(CalibrationError, match=f"{least} to {most}"):
                    from_dict({key: value}, layout)


@given(
    st.fixed_dictionaries(
        {"phase1_by_ma": tables}, optional={"phase2_by_ma": tables, "adc": converters}
    )
)
def test_good_tables_round_trip(constants: dict[str, Any]) -> None:
    made = from_dict(json.loads(json.dumps(constants)), board())
    want = {key: NOMINAL[key] for key in GAINS} | constants
    if "phase2_by_ma" not in constants:
        want["phase2_ns"] = 0
    assert made.to_dict() == want
    assert from_dict(json.loads(json.dumps(made.to_dict())), board()).to_dict() == want
    assert made.adc == constants.get("adc")
    assert made.phase_by_ma == (constants["phase1_by_ma"], constants.get("phase2_by_ma"))
    assert made.phase_ns[0] == constants["phase1_by_ma"][-1][1]


def test_what_is_optional_is_absent() -> None:
    made = from_dict({}, board())
    assert made.adc is None and made.phase_by_ma == (None, None)
    assert Calibration((1, 2), (3, 4), (5, 6)).phase_at(1, 10**8) == 6
    bare = Calibration((V_NV, V_NV), (I_NA, I_NA))
    assert bare.to_dict() == NOMINAL and bare.adc is None and bare.phase_at(0, 5) == 0


@given(phases, phases, st.integers(0, 2 * 10**9))
def test_without_a_table_the_phase_is_one(one: int, two: int, amps_ua: int) -> None:
    made = from_dict({"phase1_ns": one, "phase2_ns": two}, board())
    assert (made.phase_at(0, amps_ua), made.phase_at(1, amps_ua)) == (one, two)


def line_through(rows: list[list[int]], amps_ua: int) -> Fraction:
    """The table at a current, exactly: a weighted mean of the rows around it."""
    (low, low_ns), (high, high_ns) = next(
        pair for pair in pairwise(rows) if amps_ua <= 1000 * pair[1][0]
    )
    part = Fraction(amps_ua - 1000 * low, 1000 * (high - low))
    return (1 - part) * low_ns + part * high_ns


@given(tables, st.data())
def test_the_phase_follows_the_table(rows: list[list[int]], data: st.DataObject) -> None:
    made = from_dict({"phase2_by_ma": rows, "phase1_ns": 3}, board())
    first, last = 1000 * rows[0][0], 1000 * rows[-1][0]
    amps_ua = data.draw(st.integers(first, last))
    found = made.phase_at(1, amps_ua)
    assert isinstance(found, int)
    assert abs(found - line_through(rows, amps_ua)) <= Fraction(1, 2)
    # numpy's own interpolation of the table, which holds the ends, anywhere.
    anywhere = data.draw(st.integers(0, 2 * 10**9))
    mas, ns = np.array(rows, float).T
    assert made.phase_at(1, anywhere) == pytest.approx(
        np.interp(anywhere / 1000, mas, ns), abs=0.501
    )
    # Turned over, the table gives the negatives: no side is preferred in rounding.
    turned = from_dict({"phase2_by_ma": [[ma, -ns] for ma, ns in rows]}, board())
    assert turned.phase_at(1, anywhere) == -made.phase_at(1, anywhere)
    assert made.phase_at(0, anywhere) == 3


def test_the_table_holds_at_its_rows_and_beyond() -> None:
    made = from_dict({"phase1_by_ma": ROWS}, board())
    for amps_ua, ns in (
        (0, 90_000),
        (99_999, 90_000),
        (100_000, 90_000),
        (5_000_000, 60_000),
        (2_550_000, 75_000),  # half way between 0.1 A and 5 A
        (102_500_000, 20_000),
        (200_000_000, -20_000),
        (200_000_001, -20_000),
        (2_000_000_000, -20_000),
    ):
        assert made.phase_at(0, amps_ua) == ns


SCRIPT = """
import json, sys
sys.path[:0] = {path!r}
from threewire.metering.calibration import CalibrationError, from_dict
class Layout:
    name, nv_per_count, na_per_count = "made_up", 110000000, 150000000
out = []
for constants in json.loads({constants!r}):
    try:
        made = from_dict(constants, Layout)
        out.append([made.phase_at(0, ua) for ua in {currents!r}] + [made.to_dict()])
    except CalibrationError as refusal:
        out.append("refused")
print(json.dumps(out))
"""


@pytest.mark.parametrize("engine", ["cpython", "micropython", "i386"])
def test_engines_read_constants_alike(engine: str, tmp_path: Path) -> None:
    full = {"adc": below(), "phase1_by_ma": ROWS, "v1_nv": -V_NV, "board": "made_up"}
    given_ = [full, *[constants for constants, _, _ in BAD]]
    currents = (0, 100_001, 3_333_333, 77_777_777, 123_456_789, 400_000_000)
    path = [str(ROOT / "firmware")]
    if engine == "cpython":
        path.append(str(ROOT / "tools" / "shim"))
    script = tmp_path / "read.py"
    script.write_text(
        SCRIPT.format(path=path, constants=json.dumps(given_), currents=currents), "utf-8"
    )
    done = subprocess.run(
        [*need_engine(engine), str(script)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, *rest = json.loads(done.stdout)
    assert rest == ["refused"] * len(BAD)
    assert first[-1]["phase1_by_ma"] == ROWS and first[-1]["adc"] == below()
    for found, amps_ua in zip(first, currents):
        at = min(max(amps_ua, 100_000), 200_000_000)
        assert abs(found - line_through(ROWS, at)) <= Fraction(1, 2)
