"""The Modbus maps, held against SunSpec's own models, Eastron's list of registers, numpy, numbers
by hand, and MicroPython, on which a board serves them by itself."""

import json
import math
import struct
import subprocess
from array import array
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sunspec2
from hypothesis import given
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.rigs import modbus_points
from host_tests.rigs.gateway_run import CHIP_ID, said
from host_tests.rigs.telemetry_lines import report_of
from threewire.operation import modbus_registers
from tools.common.boards import ROOT
from tools.monitor.link import LIVE, Standing
from tools.monitor.report import Report
from tools.serve import modbus
from tools.serve.snapshot import Device, Snapshot

MODELS = Path(sunspec2.__file__).parent / "models" / "json"
DEVICE = Device(CHIP_ID, CHIP_ID, "Garage", "feather_rp2040", "0.3.0", 7)
STANDING = Standing(LIVE, "here", "", 0.1, 0, 0, 0)
SCALE_FACTORS = {"A": -1, "V": -2, "Hz": -2, "W": 1, "VA": 1, "VAR": 1, "PF": -2}
# Where a point's unit is, sources of it are named so.
SOURCES = {
    "A": ("amps",),
    "V": ("volts", "line_volts"),
    "Hz": ("hertz",),
    "W": ("watts",),
    "VA": ("va",),
    "var": ("var",),
    "Pct": ("flow",),
    "Wh": ("delivered", "received"),
    "varh": ("q1", "q2", "q3", "q4"),
}


def snapshot(report: Report, device: Device = DEVICE) -> Snapshot:
    return Snapshot(device, report, datetime.now(UTC), True, True, STANDING)


def reading(**changed: Any) -> Snapshot:
    """What the maps are filled from: a line with something changed."""
    return snapshot(report_of(said(**changed)))


def read(of: Snapshot, function: int, first: int, count: int) -> bytes:
    """So many registers from the first on, whole answers one after the other."""
    meter = modbus._Meter(of)
    made = b""
    while count:
        n = min(count, 120)
        said = meter.answer(struct.pack(">BHH", function, first, n))
        assert said[:2] == bytes((function, 2 * n)) and len(said) == 2 + 2 * n
        made += said[2:]
        first += n
        count -= n
    return made


def maps(of: Snapshot) -> tuple[bytes, bytes]:
    """All registers of SunSpec's models and of an SDM630."""
    return read(of, 3, 40000, 179), read(of, 4, 0, 0x17E)


def model(number: int) -> list[dict[str, Any]]:
    return json.loads((MODELS / f"model_{number}.json").read_text())["group"]["points"]


def points(of: Snapshot) -> dict[str, int]:
    """The integers of model 202 as its own definition places them; strings are left out."""
    made, _ = maps(of)
    found: dict[str, int] = {}
    at = 2 * 70
    for point in model(202):
        size = 2 * point["size"]
        is_signed = point["type"] in ("int16", "sunssf")
        found[point["name"]] = int.from_bytes(made[at : at + size], "big", signed=is_signed)
        at += size
    return found


# ---- SunSpec


@pytest.mark.parametrize(
    ("which", "made"),
    [
        (0, modbus_points.sunspec()),
        (1, modbus_points.floats(modbus_points.SDM630)),
        (2, modbus_points.floats(modbus_points.LINE)),
    ],
)
def test_the_firmware_has_what_is_described(which: int, made: bytes) -> None:
    assert modbus_registers._TABLES[which] == made


@pytest.mark.parametrize(
    ("number", "described"), [(1, modbus_points.COMMON), (202, modbus_points.METER)]
)
def test_the_points_are_those_of_the_model(number: int, described: str) -> None:
    at = 0
    rows = list(modbus_points.points(described))
    for (name, register, size, what), point in zip(rows, model(number), strict=True):
        assert (name, register, size) == (point["name"], at, point["size"])
        none = {"int16": "-", "acc32": "--", "sunssf": "-", "pad": "-"}.get(point["type"])
        if point.get("mandatory") == "M":
            assert what != none, f"{name} is mandatory"
        if what in ("-", "--"):
            assert what == none, name
        if what[0].isalpha() and "units" in point:
            bare = what.removesuffix("_1").removesuffix("_2")
            assert bare in SOURCES[point["units"]], name
            assert what.endswith("_1") == name.lower().endswith("pha"), name
            assert what.endswith("_2") == name.lower().endswith("phb"), name
        at += size
    assert rows[1][3] == str(at - 2)  # L: what follows it


def test_the_registers_begin_and_end_as_they_must() -> None:
    made, _ = maps(reading())
    assert len(made) == 2 * (2 + 68 + 107 + 2)
    assert made[:4] == b"SunS"
    assert struct.unpack(">HH", made[4:8]) == (1, 66)
    assert struct.unpack(">HH", made[140:144]) == (202, 105)
    assert struct.unpack(">HH", made[-4:]) == (0xFFFF, 0)


def test_scale_factors_are_those_that_the_model_asks_for() -> None:
    found = points(reading())
    for point in model(202):
        if "sf" not in point:
            continue
        unit = point["units"]
        if unit in ("Wh", "varh"):
            assert found[point["sf"]] == 0
        elif unit == "VAh":
            assert found[point["sf"]] == -32768
            assert found[point["name"]] == 0
        else:
            assert found[point["sf"]] == SCALE_FACTORS[point["sf"][:-3]]


def full_load() -> dict[str, Any]:
    """200 A of 120 V on each line, at 138 V: the most that the front end is made for."""
    line = said()
    of = {"amps": 200.0, "watts": 24000.0, "va": 24000.0, "var": 24000.0, "power_factor": 1.0}
    line["elements"] = [{**element, **of, "volts": 138.0} for element in line["elements"]]
    return line | {"watts": 48000.0, "va": 48000.0, "var": -48000.0, "power_factor": 1.0}


def test_48_kw_fit_and_no_digit_more_would() -> None:
    found = points(snapshot(report_of(full_load())))
    expected = {"A": 400, "PPV": 276, "Hz": 60, "W": 48000, "VA": 48000, "VAR": -48000, "PF": 100}
    for name, value in expected.items():
        factor = found[("V" if name == "PPV" else name) + "_SF"]
        assert found[name] * Decimal(10) ** factor == value
        assert abs(found[name]) < 32768 < abs(found[name]) * 10


def test_what_is_beyond_a_register_is_the_most_it_has() -> None:
    found = points(reading(watts=327680.0, var=-400000.0))
    assert (found["W"], found["VAR"]) == (32767, -32767)  # -32768 is "not implemented"


def test_energies_are_whole_watt_hours_and_wrap() -> None:
    assert points(reading(wh="999.999999999"))["TotWhImp"] == 999
    assert points(reading(wh="4294967295.999999999"))["TotWhImp"] == 2**32 - 1
    assert points(reading(wh="4294967301.000000000"))["TotWhImp"] == 5
    assert points(reading(wh="7.5"))["TotWhImp"] == 7
    assert points(reading(received_wh="70.1"))["TotWhExp"] == 70


def test_varh_go_to_their_quadrants() -> None:
    line = said(varh=["1.0", "2.9", "3.0", "4.0"])
    line["elements"][1]["varh"] = ["11.0", "12.0", "13.0", "14.0"]
    found = points(snapshot(report_of(line)))
    assert [found[f"TotVArh{q}"] for q in ("ImpQ1", "ImpQ2", "ExpQ3", "ExpQ4")] == [1, 2, 3, 4]
    assert [found[f"TotVArh{q}PhB"] for q in ("ImpQ1", "ImpQ2", "ExpQ3", "ExpQ4")] == [
        11,
        12,
        13,
        14,
    ]


@pytest.mark.parametrize(
    ("watts", "power_factor", "percent"),
    [(500, 0.5, 50), (500, -0.5, 50), (-500, 0.5, -50), (-500, -0.5, -50), (0, 0, 0)],
)
def test_a_power_factor_has_the_sign_of_the_watts(
    watts: float, power_factor: float, percent: float
) -> None:
    of = reading(watts=watts, power_factor=power_factor)
    assert points(of)["PF"] == 100 * percent
    assert sdm630(of)[0x3E] == percent / 100


def with_volts(service: str, one: float, two: float) -> Snapshot:
    line = said()
    line["doctor"]["service"] = service
    for element, volts in zip(line["elements"], (one, two)):
        element["volts"] = volts
    return snapshot(report_of(line))


@pytest.mark.parametrize(
    ("service", "volts", "line_volts"),
    [
        ("split phase", (119.0, 121.5), 240.5),
        ("208Y/120", (120.0, 120.0), 120 * math.sqrt(3)),
        # |120 - 110 at 120 degrees|, by complex numbers.
        ("208Y/120", (120.0, 110.0), abs(120 - 110 * np.exp(2j * np.pi / 3))),
        ("unknown", (120.0, 0.0), 120.0),
    ],
)
def test_line_to_line(service: str, volts: tuple[float, float], line_volts: float) -> None:
    of = with_volts(service, *volts)
    found = points(of)
    assert found["PPV"] == found["PhVphAB"] == round(100 * line_volts)
    assert found["PhV"] == 100 * sum(volts) / 2
    assert sdm630(of)[0xC8] == pytest.approx(line_volts, rel=1e-6)
    assert bool(found["Evt"] & modbus_registers._SERVICE_UNKNOWN) == (service == "unknown")


def bits(active: list[str], backwards: tuple[bool, bool] = (False, False)) -> set[str]:
    """The model's names of the events that are told."""
    line = said()
    line["faults"]["active"] = active
    for element, is_reversed in zip(line["elements"], backwards):
        element["reversed"] = is_reversed
    told = points(snapshot(report_of(line)))["Evt"]
    (symbols,) = [point["symbols"] for point in model(202) if point["name"] == "Evt"]
    names = {s["name"].removeprefix("M_EVENT_") for s in symbols if told >> s["value"] & 1}
    assert told.bit_count() == len(names)
    return names


def test_events() -> None:
    assert bits([]) == set()
    assert bits(["no_voltage 2"]) == {"Under_Voltage"}
    assert bits(["no_voltage 2", "no_voltage 1"]) == {"Under_Voltage", "Power_Failure"}
    assert bits(["stuck i1"]) == bits(["railed v2"]) == {"Missing_Sensor"}
    assert bits(["bad_frequency"]) == {"OEM03"}
    assert bits(["something new"]) == {"OEM05"}
    assert bits([], (True, False)) == {"OEM01"}
    assert bits(["stuck v1"], (True, True)) == {"Missing_Sensor", "OEM01", "OEM02"}


def test_long_names_are_cut_and_leave_their_neighbours() -> None:
    device = replace(DEVICE, board="b" * 40, version="v" * 40, chip_id="c" * 32, unit=247)
    made, _ = maps(snapshot(report_of(said()), device))
    common = made[4:140]
    assert common[4:36].rstrip(b"\0") == b"Threewire"
    assert common[36:68] == b"b" * 32
    assert common[68:84] == bytes(16)
    assert common[84:100] == b"v" * 16
    assert common[100:132] == b"c" * 32
    assert struct.unpack(">Hh", common[132:]) == (247, -32768)


# ---- SDM630


def sdm630(of: Snapshot) -> dict[int, float]:
    """Register -> the float that begins there."""
    _, made = maps(of)
    return {at // 2: struct.unpack(">f", made[at : at + 4])[0] for at in range(0, len(made), 4)}


def read_line(line: dict[str, Any]) -> Iterator[tuple[int, Decimal]]:
    """Register -> value, as Eastron's list has them (protocol V1.8; the registers that mbmd, so
    evcc, and templates for Home Assistant read are among them)."""
    for k, element in enumerate(line["elements"]):
        for first, name in ((0x00, "volts"), (0x06, "amps"), (0x0C, "watts"), (0x12, "va")):
            yield first + 2 * k, Decimal(str(element[name]))
        yield 0x18 + 2 * k, Decimal(str(element["var"]))
        yield 0x1E + 2 * k, Decimal(str(element["power_factor"]))
        yield 0x15A + 2 * k, Decimal(element["delivered_wh"]) / 1000
        yield 0x160 + 2 * k, Decimal(element["received_wh"]) / 1000
        both = Decimal(element["delivered_wh"]) + Decimal(element["received_wh"])
        yield 0x166 + 2 * k, both / 1000
        varh = [Decimal(text) / 1000 for text in element["varh"]]
        yield 0x16C + 2 * k, varh[0] + varh[1]
        yield 0x172 + 2 * k, varh[2] + varh[3]
        yield 0x178 + 2 * k, sum(varh, Decimal(0))
    one, two = line["elements"]
    yield 0x2A, Decimal(str(one["volts"])) / 2 + Decimal(str(two["volts"])) / 2
    yield 0x2E, Decimal(str(one["amps"])) / 2 + Decimal(str(two["amps"])) / 2
    yield 0x30, Decimal(str(one["amps"])) + Decimal(str(two["amps"]))
    yield 0x34, Decimal(str(line["watts"]))
    yield 0x38, Decimal(str(line["va"]))
    yield 0x3C, Decimal(str(line["var"]))
    yield 0x3E, Decimal(str(line["power_factor"]))
    yield 0x46, Decimal(str(line["hertz"]))
    yield 0x48, Decimal(line["delivered_wh"]) / 1000
    yield 0x4A, Decimal(line["received_wh"]) / 1000
    varh = [Decimal(text) / 1000 for text in line["varh"]]
    yield 0x4C, varh[0] + varh[1]
    yield 0x4E, varh[2] + varh[3]
    yield 0x54, Decimal(str(line["demand"]["watts"]))
    yield 0x56, Decimal(str(line["demand"]["peak"]))
    yield 0xC8, Decimal(str(one["volts"])) + Decimal(str(two["volts"]))
    yield 0xCE, Decimal(str(one["volts"])) + Decimal(str(two["volts"]))
    yield 0x156, (Decimal(line["delivered_wh"]) + Decimal(line["received_wh"])) / 1000
    yield 0x158, sum(varh, Decimal(0))


def test_the_sdm630_has_each_value_where_eastron_has_it() -> None:
    line = said(
        received_wh="1234567.123456789",
        varh=["1.5", "20.25", "300.125", "4000.5"],
        demand={"watts": 1234.5, "least": 1.0, "most": 2.0, "peak": 7654.25},
    )
    line["elements"][1] |= {"received_wh": "98765.432", "varh": ["5.5", "6.25", "7.125", "8.5"]}
    expected = dict(read_line(line))
    found = sdm630(snapshot(report_of(line)))
    for register, value in found.items():
        assert value == np.float32(float(expected.get(register, 0))), hex(register)
    assert set(expected) <= set(found)
    assert len(expected) == len(modbus_points.SDM630.split())


# ---- both


NUMBER = st.floats(-1e15, 1e15, allow_nan=False)
ENERGY = st.from_regex(r"[0-9]{1,20}\.[0-9]{1,12}", fullmatch=True)


@given(NUMBER, NUMBER, st.lists(ENERGY, min_size=4, max_size=4), st.floats(1, 1e6))
def test_whatever_the_door_lets_in_has_registers(
    number: float, other: float, energies: list[str], hertz: float
) -> None:
    line = said(watts=number, va=other, var=number, power_factor=other, hertz=hertz, varh=energies)
    line["delivered_wh"], line["received_wh"] = energies[:2]
    line["elements"][0] |= {"volts": number, "amps": other, "watts": other, "varh": energies}
    line["doctor"]["service"] = "208Y/120"
    of = snapshot(report_of(line))
    found = points(of)
    whole = Decimal(energies[0]).to_integral_value(ROUND_FLOOR)
    assert found["TotWhImp"] == whole % 2**32
    tens = (Decimal(number) / 10).to_integral_value(ROUND_HALF_UP)
    assert abs(found["W"] - max(-32767, min(32767, tens))) <= 1
    assert sdm630(of)[0x34] == pytest.approx(number, rel=1e-6, abs=1e-6)


@given(
    st.integers(-(2**70), 2**70).filter(bool) | st.integers(-(2**26), 2**26).filter(bool),
    st.sampled_from((10**6, 10**12)),
)
def test_a_float_is_the_nearest(n: int, d: int) -> None:
    """By the distances of its neighbours, in exact numbers."""
    bits = modbus_registers.nearest(n, d)
    assert bits >> 31 == (n < 0)

    def off(of: int) -> Fraction:
        value = float(np.uint32(of).view(np.float32))
        return abs(Fraction(value) - Fraction(n, d))

    here, below, above = off(bits), off(bits - 1), off(bits + 1)
    assert here <= min(below, above)
    assert bits % 2 == 0 or here < min(below, above)


SCRIPT = """\
import sys
sys.path[:0] = [{firmware!r}]
from array import array
from threewire.operation import modbus_registers
words = array("I", {words!r})
for function, first, count in {asked!r}:
    request = bytes((function, first >> 8, first & 255, 0, count))
    said = modbus_registers.answer(request, words, ("pico", "0.3.0", "e661"), 6)
    print("".join("%02x" % byte for byte in said))
words = array("I", bytes(4 * modbus_registers.WORDS))
for at, values in {values!r}:
    modbus_registers.put(words, at, values)
print(list(words) == {words!r})
"""


@pytest.mark.parametrize("engine", ["micropython", "i386"])
def test_micropython_makes_the_same_registers(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = reading(wh="13333334.638713123", received_wh="4294967301.5", watts=-1234.567)
    device = replace(DEVICE, board="pico", chip_id="e661")
    given = snapshot(replace(given.report, service="208Y/120"), device)
    values: list[tuple[int, list[int]]] = []
    put = modbus_registers.put

    def noted(words: Any, at: int, of: list[int]) -> None:
        values.append((at, list(of)))
        put(words, at, of)

    monkeypatch.setattr(modbus_registers, "put", noted)
    words = list(modbus.words_of(given))
    asked = [(3, 40000, 125), (3, 40125, 54), (4, 0, 120), (4, 0x156, 40)]
    script = tmp_path / "main.py"
    firmware = str(ROOT / "firmware")
    script.write_text(SCRIPT.format(firmware=firmware, words=words, asked=asked, values=values))
    done = subprocess.run(
        [*need_engine(engine), str(script)], capture_output=True, text=True, timeout=30
    )
    assert not done.stderr
    *said, is_same = done.stdout.split()
    expected = [
        bytes((function, 2 * count)) + read(given, function, first, count)
        for function, first, count in asked
        if count < 121
    ]
    assert [bytes.fromhex(text) for text in said[1:]] == expected
    assert bytes.fromhex(said[0])[2:] == read(given, 3, 40000, 125)
    assert is_same == "True"


# ---- requests, by hand


# Volts of element 1 are 2.0 as a float, the line is at address 9 with speed 3.
WORDS = [0] * modbus_registers.WORDS
WORDS[56 + 16] = 0x40000000
WORDS[54:56], WORDS[110:112] = (9, 3), (0x41100000, 0x40400000)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("03 9c40 0001", "03 02 5375"),
        ("03 9c41 0002", "03 04 6e53 0001"),
        ("03 9c43 0002", "03 04 0042 5468"),  # from the midst of what is behind
        ("03 9c84 0002", "03 04 0009 8000"),
        ("03 9cf1 0002", "03 04 ffff 0000"),  # the last two
        ("03 9cf2 0002", "83 02"),  # beyond the end
        ("03 9c3f 0001", "83 02"),  # before the beginning
        ("03 9c3f 0002", "83 02"),
        ("03 ffff 0001", "83 02"),
        ("03 afc8 000e", "83 02"),  # of a board's load profile, which only that has
        ("03 b02c 007d", "83 02"),
        ("03 9c40 0000", "83 03"),
        ("03 9c40 007e", "83 03"),  # 126
        ("03 9c40", "83 03"),
        ("03", "83 03"),
        ("03 9c40 0001 00", "83 03"),
        ("04 9c40 0001", "04 02 5375"),
        ("04 0000 0004", "04 08 4000 0000 0000 0000"),
        ("04 0002 0002", "04 04 0000 0000"),
        ("04 0001 0002", "84 02"),  # halves of two values
        ("04 0000 0001", "84 02"),
        ("04 017c 0002", "04 04 0000 0000"),
        ("04 017e 0002", "84 02"),
        ("03 0014 0002", "03 04 4110 0000"),
        ("03 0014 000a", "03 14" + "4110 0000" + 12 * "00" + "4040 0000"),
        ("03 001e 0002", "83 02"),
        ("03 0012 0002", "83 02"),
        ("01 0000 0001", "81 01"),
        ("06 0064 0001", "86 01"),
        ("10 0064 0001 02 0001", "90 01"),
        ("2b 0e 01 00", "ab 01"),
        ("00", "80 01"),
        ("83 01", "83 01"),
        ("ff", "ff 01"),
    ],
)
def test_answers(request_: str, expected: str) -> None:
    said = modbus_registers.answer(
        bytes.fromhex(request_), array("I", WORDS), ("m", "v", "s"), 0x0B
    )
    assert said == bytes.fromhex(expected)


def test_without_a_line_it_has_neither_address_nor_speed() -> None:
    words = array("I", [*WORDS[:55], 0, *WORDS[56:]])
    said = modbus_registers.answer(bytes.fromhex("0300140002"), words, (), 0x0B)
    assert said == b"\x83\x02"


@pytest.mark.parametrize("request_", ["03 0064 0001", "06 0064 0001", "00"])
def test_a_unit_that_is_not_there(request_: str) -> None:
    asked = bytes.fromhex(request_)
    expected = bytes((asked[0] | 0x80, 0x0B))
    assert modbus_registers.answer(asked, None, (), 0x0B) == expected
