"""The lines on the serial port: JSON, with the meter's own integers digit by digit.

Expected numbers are Decimals made from those integers, never the text under test.
"""

import json
import subprocess
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.meter_runs import BOARD, NANO_WH, Run, convert, split_phase
from threewire.meter import Meter
from threewire.registers import Register
from threewire.telemetry import decimal, line
from tools import boards, replay
from tools.replay_report import as_json

TICK_HZ = 64_000_000
MICRO = {
    "volts": "volts_uv",
    "amps": "amps_ua",
    "watts": "watts_uw",
    "var": "vars_uw",
    "va": "va_uva",
    "power_factor": "power_factor_ppm",
}


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
    return SimpleNamespace(**{**dict.fromkeys(MICRO.values(), 0), **values})


def registers_like(**fields: Any) -> Any:
    totals = SimpleNamespace(**fields)
    totals.copy = lambda: totals
    return totals


def meter_like(
    readings: tuple[Any, Any], hertz_mhz: int = 60000, ticks: int = 0, **replaced: Any
) -> Any:
    """What `line` asks of a meter."""
    nothing = (register(), register())
    totals = registers_like(delivered=register(), received=register(), elements=(nothing,) * 2)
    return SimpleNamespace(
        **{
            "second": None,
            "reading": lambda window, k: readings[k],
            "hertz_mhz": lambda window: hertz_mhz,
            "registers": totals,
            "estimated": totals,
            "rules": (SimpleNamespace(reversed=False),) * 2,
            "lit": {"kwh": True, "ten": True, "reverse": False},
            "lost_frames": 0,
            "ticks": ticks,
            "tick_hz": TICK_HZ,
            **replaced,
        }
    )


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


@given(st.integers(), st.integers(1, 12))
def test_decimal_is_the_integer_shifted(value: int, places: int) -> None:
    said = decimal(value, places)
    assert Fraction(said) * 10**places == value
    # A JSON number too: no leading zero, no bare point.
    assert Fraction(json.loads(said, parse_float=str)) == Fraction(value, 10**places)


def test_decimal_on_micropython(tmp_path: Path) -> None:
    # Its `format` is another program than CPython's, with nested fields and long integers.
    cases = [(0, 3), (-1, 3), (-1500, 3), (59999, 4), (-(2**30), 3), (2**70 + 5, 9)]
    script = tmp_path / "decimals.py"
    root = Path(__file__).resolve().parents[1]
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(root / 'firmware')!r})\n"
        "from threewire.telemetry import decimal\n"
        f"for value, places in {cases!r}: print(decimal(value, places))\n"
    )
    said = subprocess.run(
        [*need_engine("micropython"), str(script)], capture_output=True, text=True, timeout=30
    )
    assert said.returncode == 0, said.stderr
    numbers = [Decimal(text) for text in said.stdout.split()]
    assert numbers == [Decimal(value).scaleb(-places) for value, places in cases]


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


def test_every_value_is_in_its_own_place() -> None:
    # No two alike, so that one in another's place would be seen.
    one = reading(**{name: 1000 * (11 + k) for k, name in enumerate(MICRO.values())})
    two = reading(**{name: 1000 * (21 + k) for k, name in enumerate(MICRO.values())})
    totals = registers_like(
        delivered=register(1, 5),
        received=register(2),
        elements=((register(3), register(4)), (register(5), register(43_000_000_000, 10**9 - 1))),
    )
    meter = meter_like(
        (one, two),
        hertz_mhz=59_998,
        ticks=TICK_HZ * 3 + TICK_HZ // 4,
        registers=totals,
        estimated=registers_like(delivered=register(7, 10**8), received=register(8)),
        rules=(SimpleNamespace(reversed=False), SimpleNamespace(reversed=True)),
        lit={"kwh": False, "ten": True, "reverse": True},
        lost_frames=400,
    )
    said = parsed(line(meter))

    def element(first: int, delivered: str, received: str, turned: bool) -> dict[str, Any]:
        values = [Decimal(first + k) / 1000 for k in range(6)]
        return {
            "delivered_wh": delivered,
            "received_wh": received,
            **dict(zip(MICRO, values)),
            "reversed": turned,
        }

    assert said == {
        "t": Decimal("3.250"),
        "delivered_wh": "1.000000005",
        "received_wh": "2.000000000",
        "elements": [
            element(11, "3.000000000", "4.000000000", False),
            element(21, "5.000000000", "43000000000.999999999", True),
        ],
        "hertz": Decimal("59.998"),
        "leds": {"kwh": False, "ten": True, "reverse": True},
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
    assert Decimal(said["delivered_wh"]) == wh_of(metered, registers.delivered)
    assert Decimal(said["received_wh"]) == wh_of(metered, registers.received)
    assert said["hertz"] == Decimal(hertz_mhz).scaleb(-3)
    assert said["leds"] == meter.lit
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
    assert [one["reversed"], two["reversed"]] == [False, True]
    assert said["leds"]["reverse"] is True
    net = 120 * (40 - 75) * 0.8660254 * float(said["t"]) / 3600
    assert float(said["received_wh"]) == pytest.approx(-net, rel=2e-3)
    assert said["delivered_wh"] == "0.000000000"
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
    replayed = kinds(as_json(replay.replay(tmp_path / "r.npz", engine="cpython")))
    said = kinds(json.loads(line(metered.meter)))
    # "t" is the board's alone; replay has more, which is of the recording.
    assert said.pop("t") == "number"
    faults = said.pop("faults")
    assert faults.items() <= replayed["faults"].items()
    assert said.items() <= replayed.items()
