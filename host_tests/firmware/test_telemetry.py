"""The lines on the serial port: JSON, with the meter's own integers digit by digit.

Expected numbers are Decimals made from those integers, never the text under test.
"""

import json
import random
import subprocess
from decimal import ROUND_DOWN, Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import BOARD, NANO_WH, Run, convert, split_phase
from threewire.metering import reactive_viper
from threewire.metering.meter import Meter
from threewire.metering.reactive import Reactive
from threewire.metering.registers import Register, Registers
from threewire.operation.report import Report
from threewire.operation.telemetry import decimal, pieces
from tools.common import boards
from tools.engines.result import of_doctor
from tools.replay.report import as_json
from tools.replay.run import replay

TICK_HZ = 64_000_000
MICRO = {
    "volts": "volts_uv",
    "amps": "amps_ua",
    "watts": "watts_uw",
    "var": "vars_uw",
    "va": "va_uva",
    "power_factor": "power_factor_ppm",
}
# Of the total too.
POWERS = ("watts", "var", "va", "power_factor")
DEMAND = {"watts": "mean_uw", "least": "least_uw", "most": "most_uw", "peak": "peak_uw"}


def parsed(text: str) -> dict[str, Any]:
    """The line as JSON, its numbers as Decimals: nothing is rounded on the way."""
    assert "\n" not in text and text.isascii()

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), "a key twice"
        return dict(pairs)

    return json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=once)


def register(wh: int = 0, part: int = 0) -> Register:
    """A register of wh watt-hours and part / 10**9 of one."""
    unit = 10**18
    of = Register(unit)
    of.wh, of.residue = wh, part * 10**9
    return of


def reading(**values: int) -> SimpleNamespace:
    nothing = dict.fromkeys([*MICRO.values(), "watts1_uw"], 0)
    return SimpleNamespace(**nothing | {"volts_thd_ppm": None, "amps_thd_ppm": None} | values)


def registers_like(*values: tuple[int, int]) -> Registers:
    """Registers with so many wh and billionths of one, in the order of NAMES."""
    made = Registers(10**18)
    for (wh, part), (_, of) in zip(values, made.named()):
        of.wh, of.residue = wh, part * 10**9
    return made


def reactive_like(*wh: int) -> Any:
    """Quadrants I to IV of element 1, element 2 and the total with so many varh each."""
    made = Reactive(24000, TICK_HZ, reactive_viper)
    for k, quadrants in enumerate(made.quadrants):
        for n, of in enumerate(quadrants):
            of.wh = wh[4 * k + n]
    return made


def finding(verdict: str, alike: tuple[str, ...] = (), checks: tuple[int, ...] = ()) -> Any:
    return SimpleNamespace(verdict=verdict, alike=alike, checks=checks, text=f"is {verdict}.")


def meter_like(
    readings: tuple[Any, Any], hertz_mhz: int = 60000, ticks: int = 0, **replaced: Any
) -> Any:
    """What `line` asks of a meter."""
    right = SimpleNamespace(service="split phase", elements=(finding("right"),) * 2)
    return SimpleNamespace(
        **{
            "reactive": reactive_like(*[0] * 12),
            "demand": SimpleNamespace(**dict.fromkeys(DEMAND.values())),
            "diagnosis": lambda window, one, two: right,
            "second": None,
            "reading": lambda window, k: readings[k],
            "hertz_mhz": lambda window: hertz_mhz,
            "registers": registers_like(),
            "estimated": registers_like(),
            "rules": (SimpleNamespace(reversed=False),) * 2,
            "indicators": SimpleNamespace(lit={"kwh": True, "ten": True, "reverse": False}),
            "lost_frames": 0,
            "ticks": ticks,
            "tick_hz": TICK_HZ,
            **replaced,
        }
    )


class ReportLike(Report):
    """A report of what `meter_like` gives, with its readings."""

    def __init__(self, meter: Any) -> None:
        super().__init__(meter)
        self.meter = meter

    def reading(self, k: int) -> Any:
        return self.meter.reading(self._window, k)

    def hertz_mhz(self) -> int:
        return self.meter.hertz_mhz(self._window)

    def diagnosis(self) -> Any:
        return self.meter.diagnosis(self._window, self.reading(0), self.reading(1))


def line(meter: Any) -> str:
    """The line of a Meter, or of what stands in for one."""
    return "".join(pieces(Report(meter) if isinstance(meter, Meter) else ReportLike(meter)))


def assert_last_digit(said: Decimal, exact: Decimal, places: int) -> None:
    """`said` has this many places and is the exact value but for those that it has not."""
    assert said.as_tuple().exponent == -places
    assert abs(said - exact) < Decimal(1).scaleb(-places)


# ---- decimal


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0, 3, "0.000"),
        (1, 3, "0.001"),
        (-1, 3, "-0.001"),
        (999, 3, "0.999"),
        (1000, 3, "1.000"),
        (-1000, 3, "-1.000"),
        (-1500, 3, "-1.500"),
        (-42, 4, "-0.0042"),
        (10000, 4, "1.0000"),
        (7, 1, "0.7"),
        (123456789012345678901234567890, 9, "123456789012345678901.234567890"),
    ],
)
def test_decimal(value: int, places: int, text: str) -> None:
    assert decimal(value, places) == text


@given(st.integers(), st.integers(1, 12), st.integers(0, 6))
def test_decimal_is_the_integer_shifted(value: int, places: int, drop: int) -> None:
    said = decimal(value, places, drop)
    # Towards zero, and nothing is "-0.000".
    kept = abs(value) // 10**drop * (1 if value >= 0 else -1)
    assert Fraction(said) * 10**places == kept
    assert said.startswith("-") == (kept < 0)
    value = kept
    # A JSON number too: no leading zero, no bare point.
    assert Fraction(json.loads(said, parse_float=str)) == Fraction(value, 10**places)


@pytest.mark.parametrize("engine", ["micropython", "i386"])
def test_decimal_on_micropython(engine: str, tmp_path: Path) -> None:
    # Its formatting is another program than CPython's, with nested fields and long integers.
    cases = [(0, 3, 0), (-1, 3, 0), (-1500, 3, 0), (59999, 4, 0), (-(2**30), 3, 0)]
    cases += [(2**70 + 5, 9, 0), (-(2**31), 3, 3), (48_000_000_000, 3, 3), (-999, 3, 3)]
    cases += [(10**15 + 7, 12, 2), (-(10**15), 1, 6), (2**30 - 1, 4, 2), (100_000_001, 4, 2)]
    script = tmp_path / "decimals.py"
    root = Path(__file__).resolve().parents[2]
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(root / 'firmware')!r})\n"
        "from threewire.operation.telemetry import decimal\n"
        f"for value, places, drop in {cases!r}: print(decimal(value, places, drop))\n"
    )
    said = subprocess.run(
        [*need_engine(engine), str(script)], capture_output=True, text=True, timeout=30
    )
    assert said.returncode == 0, said.stderr
    texts = said.stdout.split()
    for text, (value, places, drop) in zip(texts, cases, strict=True):
        kept = Decimal(abs(value) // 10**drop).scaleb(-places)
        assert Decimal(text) == (-kept if value < 0 else kept)
        assert Decimal(text).as_tuple().exponent == -places
        assert text.startswith("-") == (value < 0 and kept > 0)


# ---- lines made up from extremes

EXTREMES = [
    0,
    1,
    999,
    1000,
    1_234_567,
    120_000_000,
    48_000_000_000,
    10**15 + 1,
]


@pytest.mark.parametrize("size", EXTREMES)
@pytest.mark.parametrize("sign", [1, -1])
def test_readings_of_any_size_and_sign(size: int, sign: int) -> None:
    one = reading(
        volts_uv=size,
        amps_ua=size,
        watts_uw=sign * size,
        vars_uw=-sign * size,
        va_uva=size,
        power_factor_ppm=sign * min(size, 1_000_000),
    )
    said = parsed(line(meter_like((one, reading()), hertz_mhz=min(size, 70_000))))
    for key, name in MICRO.items():
        places = 4 if key == "power_factor" else 3
        exact = Decimal(getattr(one, name)).scaleb(-6)
        assert_last_digit(said["elements"][0][key], exact, places)
        assert said["elements"][1][key] == 0
    assert said["hertz"] == Decimal(min(size, 70_000)).scaleb(-3)
    assert abs(said["elements"][0]["power_factor"]) <= 1
    for key in ("watts", "var", "va"):
        assert said[key] == said["elements"][0][key]
    # As much W as VA, and var of the other sign: it leads.
    if size:
        assert said["power_factor"] == -1


@pytest.mark.parametrize("size", EXTREMES)
@pytest.mark.parametrize("sign", [1, -1])
def test_demand_and_reactive_energy_of_any_size(size: int, sign: int) -> None:
    uw = dict(zip(DEMAND.values(), (sign * size, -sign * size, sign * (size + 5), size // 3)))
    varh = [size + n for n in range(12)]
    meter = meter_like(
        (reading(), reading()), demand=SimpleNamespace(**uw), reactive=reactive_like(*varh)
    )
    said = parsed(line(meter))
    for key, name in DEMAND.items():
        assert_last_digit(said["demand"][key], Decimal(uw[name]).scaleb(-6), 3)
    found = [*said["elements"][0]["varh"], *said["elements"][1]["varh"], *said["varh"]]
    assert [Decimal(text) for text in found] == varh
    assert all(Decimal(text).as_tuple().exponent == -9 for text in found)


def test_demand_is_null_before_there_is_any() -> None:
    said = parsed(line(meter_like((reading(), reading()))))
    assert said["demand"] == dict.fromkeys(DEMAND)
    # A quarter too short for a second has a mean, but no extremes.
    only = SimpleNamespace(mean_uw=-1_500_000, least_uw=None, most_uw=None, peak_uw=0)
    said = parsed(line(meter_like((reading(), reading()), demand=only)))
    assert said["demand"] == {"watts": Decimal("-1.5"), "least": None, "most": None, "peak": 0}


def test_every_value_is_in_its_own_place() -> None:
    # No two alike, so that one in another's place would be seen.
    alone = {"watts1_uw": 17_000, "volts_thd_ppm": 18_199, "amps_thd_ppm": 1_190_000}
    one = reading(**{name: 1000 * (11 + k) for k, name in enumerate(MICRO.values())}, **alone)
    two = reading(**{name: 1000 * (21 + k) for k, name in enumerate(MICRO.values())})
    totals = registers_like((1, 5), (2, 0), (3, 0), (4, 0), (5, 0), (43_000_000_000, 10**9 - 1))
    meter = meter_like(
        (one, two),
        hertz_mhz=59_998,
        ticks=TICK_HZ * 3 + TICK_HZ // 4,
        registers=totals,
        estimated=registers_like((7, 10**8), (8, 0)),
        rules=(SimpleNamespace(reversed=False), SimpleNamespace(reversed=True)),
        indicators=SimpleNamespace(lit={"kwh": False, "ten": True, "reverse": True}),
        lost_frames=400,
        reactive=reactive_like(*range(60, 72)),
        demand=SimpleNamespace(mean_uw=31_000, least_uw=32_000, most_uw=33_000, peak_uw=34_000),
        diagnosis=lambda window, *of: SimpleNamespace(
            service=f"of {window}" if of == (one, two) else "of others",
            elements=(
                finding("crossed", ("right", "ct_reversed"), (2,)),
                finding("no_current", (), (3, 1)),
            ),
        ),
        second="this second",
    )
    said = parsed(line(meter))

    def element(
        first: int, delivered: str, received: str, turned: bool, alone: tuple[Any, ...]
    ) -> dict[str, Any]:
        values = [Decimal(first + k) / 1000 for k in range(6)]
        return {
            "delivered_wh": delivered,
            "received_wh": received,
            "varh": [f"{60 + 4 * (first > 20) + n}.000000000" for n in range(4)],
            **dict(zip(MICRO, values)),
            "reversed": turned,
            **dict(zip(("fundamental_watts", "volts_thd_percent", "amps_thd_percent"), alone)),
        }

    # Percent with two places, those beyond left out.
    of_one = (Decimal("0.017"), Decimal("1.81"), Decimal("119.00"))
    assert said == {
        "t": Decimal("3.250"),
        "delivered_wh": "1.000000005",
        "received_wh": "2.000000000",
        "varh": ["68.000000000", "69.000000000", "70.000000000", "71.000000000"],
        "elements": [
            element(11, "3.000000000", "4.000000000", False, of_one),
            element(21, "5.000000000", "43000000000.999999999", True, (0, None, None)),
        ],
        "watts": Decimal("0.036"),
        "var": Decimal("0.038"),
        "va": Decimal("0.040"),
        "power_factor": Decimal("0.9"),
        "hertz": Decimal("59.998"),
        "leds": {"kwh": False, "ten": True, "reverse": True},
        "demand": {
            "watts": Decimal("0.031"),
            "least": Decimal("0.032"),
            "most": Decimal("0.033"),
            "peak": Decimal("0.034"),
        },
        "doctor": {
            "service": "of this second",
            "elements": [
                {
                    "verdict": "crossed",
                    "alike": ["right", "ct_reversed"],
                    "checks": [2],
                    "text": "is crossed.",
                },
                {
                    "verdict": "no_current",
                    "alike": [],
                    "checks": [3, 1],
                    "text": "is no_current.",
                },
            ],
        },
        "faults": {
            "lost_frames": 400,
            "estimated_delivered_wh": "7.100000000",
            "estimated_received_wh": "8.000000000",
        },
    }


def test_a_century_of_seconds() -> None:
    ticks = 100 * 365 * 86400 * TICK_HZ + 1
    said = parsed(line(meter_like((reading(), reading()), ticks=ticks)))
    assert said["t"] == 100 * 365 * 86400


# ---- lines of a real meter


@pytest.fixture(scope="module")
def metered() -> Run:
    """Element 1 delivers at a power factor, element 2 receives; a gap in between."""
    run = Run(boards.load(BOARD))
    codes = convert(split_phase((40, -75), lag_deg=30), 5, run.layout)
    run.feed(codes[:24000])
    run.meter.gap(800, 800 * run.layout.frame_ticks)
    run.feed(codes[24800:])
    return run


def wh_of(run: Run, register: Any) -> Decimal:
    """A register in watt-hours, its nine decimals cut off."""
    exact = register.wh * 10**9 + register.residue * 10**9 // (NANO_WH * run.layout.tick_hz << 32)
    return Decimal(exact).scaleb(-9)


def test_a_line_says_what_the_meter_holds(metered: Run) -> None:
    meter: Meter = metered.meter
    said = parsed(line(meter))
    *readings, hertz_mhz = meter.readings(meter.second)
    registers = meter.registers
    for element, its, pair in zip(said["elements"], readings, registers.elements):
        for key, name in MICRO.items():
            exact = Decimal(getattr(its, name)).scaleb(-6)
            assert_last_digit(element[key], exact, 4 if key == "power_factor" else 3)
        for key, of in zip(("delivered_wh", "received_wh"), pair):
            assert Decimal(element[key]) == wh_of(metered, of)
    *elements, total = meter.reactive.quadrants
    for element, quadrants in zip([*said["elements"], said], [*elements, total]):
        for text, of in zip(element["varh"], quadrants, strict=True):
            unit = NANO_WH * metered.layout.tick_hz
            assert Decimal(text) == Decimal(of.wh * 10**9 + of.residue * 10**9 // unit).scaleb(-9)
    for key in POWERS[:3]:
        exact = Decimal(sum(getattr(its, MICRO[key]) for its in readings)).scaleb(-6)
        assert_last_digit(said[key], exact, 3)
    diagnosis = meter.diagnosis(meter.second, *readings)
    assert said["doctor"] == parsed(json.dumps(of_doctor(diagnosis)))
    assert Decimal(said["delivered_wh"]) == wh_of(metered, registers.delivered)
    assert Decimal(said["received_wh"]) == wh_of(metered, registers.received)
    assert said["hertz"] == Decimal(hertz_mhz).scaleb(-3)
    assert said["leds"] == meter.indicators.lit
    assert said["faults"]["lost_frames"] == 800
    assert Decimal(said["faults"]["estimated_received_wh"]) == wh_of(
        metered, meter.estimated.received
    )
    exact = (Decimal(meter.ticks) / meter.tick_hz).quantize(Decimal("0.001"), ROUND_DOWN)
    assert said["t"] == exact


def test_a_line_says_what_was_fed(metered: Run) -> None:
    # From the loads: 120 V, 40 A and -75 A at 30 degrees, 5 s less the cycle under way.
    said = parsed(line(metered.meter))
    one, two = said["elements"]
    for element, amps, sign in ((one, 40, 1), (two, 75, -1)):
        va = 120 * amps
        assert float(element["volts"]) == pytest.approx(120, rel=1e-3)
        assert float(element["amps"]) == pytest.approx(amps, rel=1e-3)
        assert float(element["va"]) == pytest.approx(va, rel=2e-3)
        assert float(element["watts"]) == pytest.approx(sign * va * 0.8660254, rel=2e-3)
        assert float(element["var"]) == pytest.approx(sign * va * 0.5, rel=5e-3)
        assert abs(float(element["power_factor"])) == pytest.approx(0.8660254, abs=2e-3)
        fundamental = float(element["fundamental_watts"])
        assert fundamental == pytest.approx(sign * va * 0.8660254, rel=2e-3)
        assert 0 <= element["volts_thd_percent"] < 2.5 and element["amps_thd_percent"] < 2.5
    assert [one["reversed"], two["reversed"]] == [False, True]
    assert said["leds"]["reverse"] is True
    net = 120 * (40 - 75) * 0.8660254 * float(said["t"]) / 3600
    assert float(said["received_wh"]) == pytest.approx(-net, rel=2e-3)
    assert said["delivered_wh"] == "0.000000000"
    # Sums of both: 4.8 kVA and 9 kVA, at 30 degrees each.
    assert float(said["watts"]) == pytest.approx(-4200 * 0.8660254, rel=2e-3)
    assert float(said["var"]) == pytest.approx(-2100, rel=5e-3)
    assert float(said["va"]) == pytest.approx(13800, rel=2e-3)
    assert float(said["power_factor"]) == pytest.approx(4200 * 0.8660254 / 13800, abs=2e-3)
    # Quadrant I, and III twice; of the 5 s a window and the gap may be missing.
    for of, quadrant, var in ((one, 0, 2400), (two, 2, 4500), (said, 2, 2100)):
        booked = [float(text) for text in of["varh"]]
        assert 0.9 * var * 5 / 3600 < booked.pop(quadrant) < 1.005 * var * 5 / 3600
        assert booked == [0, 0, 0]
    assert said["doctor"]["elements"][1]["verdict"] == "ct_reversed"
    gap_s = 800 * metered.layout.frame_ticks / metered.layout.tick_hz
    share = float(said["faults"]["estimated_received_wh"]) / -net
    assert share == pytest.approx(gap_s / float(said["t"]), rel=0.01)
    assert float(said["hertz"]) == pytest.approx(60, abs=0.02)
    assert 4.9 < said["t"] <= 5


def test_a_line_before_there_is_any_load() -> None:
    layout = boards.load(BOARD)
    run = Run(layout).feed(convert({}, 2, layout))
    said = parsed(line(run.meter))
    assert said["hertz"] == 0
    for element in said["elements"]:
        assert abs(element["watts"]) < Decimal("0.01")  # of the converter's dither
        assert abs(element["power_factor"]) <= 1
        assert element["varh"] == ["0.000000000"] * 4
    assert said["varh"] == ["0.000000000"] * 4
    assert abs(said["watts"]) < Decimal("0.02") and said["var"] == 0
    assert said["leds"] == {"kwh": True, "ten": True, "reverse": False}


# ---- the same names as the replay's


def kinds(value: Any) -> Any:
    """An object's keys, down to whether each value is text, a number or a truth value."""
    if isinstance(value, dict):
        return {key: kinds(its) for key, its in value.items()}
    if isinstance(value, list):
        return [kinds(its) for its in value]
    return (
        "number"
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else (type(value).__name__)
    )


def test_keys_and_kinds_are_those_of_the_replay(tmp_path: Path, metered: Run) -> None:
    t = np.arange(8000) / 8000
    waves = split_phase((40, -75), lag_deg=30)
    arrays: dict[str, Any] = {name: wave(t) for name, wave in waves.items()}
    np.savez(tmp_path / "r.npz", rate_hz=8000.0, **arrays)
    replayed = kinds(as_json(replay(tmp_path / "r.npz", engine="cpython")))
    said = kinds(json.loads(line(metered.meter)))
    # "t" is the board's alone; replay has more, which is of the recording.
    assert said.pop("t") == "number"
    for element in replayed["elements"]:
        del element["fundamental_wh"]
    faults = said.pop("faults")
    assert faults.items() <= replayed["faults"].items()
    assert said.items() <= replayed.items()


# ---- its digits, against Python's own

ON_ENGINE = """\
import sys
sys.path[:0] = [{firmware!r}]
from threewire.operation.telemetry import pieces

class Of:
    def __init__(self, **given):
        for name in given:
            setattr(self, name, given[name])

def line(given):
    ticks, hertz, lost, wh, numbers, ppm = given
    readings = []
    for k in (0, 6):
        w, q, s, v, a, w1 = numbers[k:k + 6]
        readings.append(Of(watts_uw=w, vars_uw=q, va_uva=s, volts_uv=v, amps_ua=a, watts1_uw=w1,
            power_factor_ppm=ppm[k // 6], volts_thd_ppm=ppm[2], amps_thd_ppm=ppm[3]))
    right = Of(verdict="right", alike=(), checks=(), text="it is.")
    doctor = Of(service="a", elements=(right, right))
    demand = Of(mean_uw=numbers[0], least_uw=None, most_uw=numbers[1], peak_uw=numbers[2])
    return "".join(pieces(Of(
        kept={{}}, ticks=ticks, tick_hz=1000, wh=lambda k: wh[k], estimated_wh=lambda k: wh[6 + k],
        varh=lambda which: wh[4 * which:4 * which + 4], reading=lambda k: readings[k],
        reversed=(True, False), total=lambda: readings[1], hertz_mhz=lambda: hertz,
        leds={{"kwh": False, "ten": True, "reverse": False}}, demand=demand,
        diagnosis=lambda: doctor, lost_frames=lost, faults=None, active=(),
        effort=(hertz % 1001, lost % 700, hertz, lost % 100000, 0), demo=None)))

"""
NUMBERS = st.one_of(
    st.integers(-(10**17), 10**17),
    st.integers(-3000, 3000),
    st.builds(
        lambda sign, power, near: sign * (power + near),
        st.sampled_from([-1, 1]),
        st.sampled_from([10**n for n in range(17)] + [2**n for n in range(20, 50)]),
        st.integers(-1001, 1001),
    ),
)
PARTS = st.sampled_from([0, 1, 9, 10, 10**8, 10**9 - 1]) | st.integers(0, 10**9 - 1)
WHOLE = st.sampled_from([0, 9, 10**9 - 1, 10**9, 10**10, 2**40, 10**16]) | st.integers(0, 10**9)
GIVEN = st.tuples(
    st.integers(0, 10**14),
    st.integers(0, 99_999),
    st.integers(0, 2**56),
    st.lists(st.tuples(WHOLE, PARTS), min_size=12, max_size=12),
    st.lists(NUMBERS, min_size=12, max_size=12),
    st.tuples(
        st.integers(-(10**6), 10**6),
        st.sampled_from([-99, -100, -101, 99, 10**6]),
        st.none() | st.integers(0, 8_000_000),
        st.none() | st.integers(0, 99),
    ),
)


def written_by_python(given: Any) -> str:
    """The line, its numbers as CPython formats Decimals."""
    ticks, hertz, lost, wh, numbers, ppm = given

    def digits(value: int | None, places: int, drop: int) -> str:
        if value is None:
            return "null"
        size = abs(value) // 10**drop
        said = f"{Decimal(size).scaleb(-places):f}"
        return f"-{said}" if value < 0 and size else said

    def micro(value: int | None) -> str:
        return digits(value, 3, 3)

    def energy(k: int) -> str:
        return f'"{wh[k][0]}.{wh[k][1]:09d}"'

    def quadrants(which: int) -> str:
        return f'"varh":[{",".join(energy(4 * which + n) for n in range(4))}]'

    def powers(k: int) -> str:
        w, q, s = (micro(n) for n in numbers[6 * k : 6 * k + 3])
        return f'"watts":{w},"var":{q},"va":{s},"power_factor":{digits(ppm[k], 4, 2)}'

    def element(k: int) -> str:
        of = numbers[6 * k : 6 * k + 6]
        return (
            f'{{"delivered_wh":{energy(2 + 2 * k)},"received_wh":{energy(3 + 2 * k)},'
            f'{quadrants(k)},"volts":{micro(of[3])},"amps":{micro(of[4])},{powers(k)},'
            f'"reversed":{"false" if k else "true"},"fundamental_watts":{micro(of[5])},'
            f'"volts_thd_percent":{digits(ppm[2], 2, 2)},'
            f'"amps_thd_percent":{digits(ppm[3], 2, 2)}}}'
        )

    right = '{"verdict":"right","alike":[],"checks":[],"text":"it is."}'
    return (
        f'{{"t":{digits(ticks, 3, 0)},"delivered_wh":{energy(0)},"received_wh":{energy(1)},'
        f'{quadrants(2)},"elements":[{element(0)},{element(1)}],{powers(1)},'
        f'"hertz":{digits(hertz, 3, 0)},"leds":{{"kwh":false,"ten":true,"reverse":false}},'
        f'"demand":{{"watts":{micro(numbers[0])},"least":null,"most":{micro(numbers[1])},'
        f'"peak":{micro(numbers[2])}}},"doctor":{{"service":"a","elements":[{right},{right}]}},'
        f'"effort":{{"busy_percent":{digits(hertz % 1001, 1, 0)},"ring_ms":{lost % 700},'
        f'"line_late_ms":{hertz},"save_ms":{lost % 100000},"collection_ms":0}},'
        f'"faults":{{"lost_frames":{lost},"estimated_delivered_wh":{energy(6)},'
        f'"estimated_received_wh":{energy(7)}}}}}'
    )


_here: dict[str, Any] = {}
exec(ON_ENGINE.format(firmware="."), _here)


@given(GIVEN)
def test_every_digit(given: Any) -> None:
    with localcontext(prec=60):
        assert _here["line"](given) == written_by_python(given)


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_every_digit_on_micropython(engine: str, tmp_path: Path) -> None:
    rng = random.Random(5)

    def number() -> int:
        size = rng.choice([0, 1, 999, 1000, 2**31, 2**32, 10**12 - 1, 10**12, 10**17])
        if rng.random() < 0.6:
            size = rng.randrange(10 ** rng.randrange(1, 18))
        return size * rng.choice([-1, 1])

    cases = [
        (
            rng.randrange(10**14),
            rng.randrange(10**5),
            rng.randrange(2**56),
            [
                (abs(number()) // 10, rng.choice([0, 10**9 - 1, rng.randrange(10**9)]))
                for _ in "x" * 12
            ],
            [number() for _ in "x" * 12],
            (
                rng.randrange(-(10**6), 10**6),
                rng.randrange(-150, 150),
                rng.choice([None, 7]),
                8 * 10**6,
            ),
        )
        for _ in range(40)
    ]
    script = tmp_path / "lines.py"
    root = Path(__file__).resolve().parents[2]
    script.write_text(
        ON_ENGINE.format(firmware=str(root / "firmware"))
        + f"for given in {cases!r}:\n    print(line(given))\n"
    )
    run = subprocess.run(
        [*need_engine(engine), str(script)], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    with localcontext(prec=60):
        assert run.stdout.splitlines() == [written_by_python(given) for given in cases]
