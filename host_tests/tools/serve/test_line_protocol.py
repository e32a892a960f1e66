"""A snapshot in line protocol, each line judged by a parser that is not ours."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from host_tests.rigs.gateway_run import CHIP_ID, said
from host_tests.rigs.telemetry_lines import report_of
from tools.monitor.link import LIVE, Standing
from tools.serve.energies import nano
from tools.serve.line_protocol import gone, lines
from tools.serve.snapshot import Device, Snapshot

AT_MS = 1_772_366_400_250
HOSTILE = [
    "two words",
    " at both ends ",
    "a,b=c d",
    'quo"ted',
    "back\\slash\\",
    "é 中 \N{HOUSE BUILDING}",
    "line\nend\r\t\0",
    "#comment",
    "\\",
    "=",
    ",",
]


def snapshot_of(line, name="House"):
    device = Device(CHIP_ID, CHIP_ID, name, "pico", "0.3.0", 1)
    at = datetime.fromtimestamp(AT_MS / 1000, UTC)
    standing = Standing(LIVE, "/dev/a", "", 0.0, 0, 0, 0)
    return Snapshot(device, report_of(line), at, True, True, standing)


def parsed(data):
    assert data.endswith(b"\n") and b"\n\n" not in data
    return [parse_line(line) for line in data.decode().splitlines()]


def test_fields_are_the_lines():
    """Each number of the board's line, energies to the last digit, under its tags."""
    line = said(wh="13333.334638713")
    line["elements"][1]["received_wh"] = "0.000000001"
    line["demand"]["watts"] = -12.5
    line["faults"] |= {"overrun": 3, "active": ["stuck", "railed"], "lost_frames": 7}
    board, total, one, two = parsed(lines(snapshot_of(line), AT_MS))
    assert [of["time"] for of in (board, total, one, two)] == [AT_MS] * 4
    assert board["measurement"] == "threewire_board"
    assert board["tags"] == {"device": CHIP_ID, "name": "House"}
    assert board["fields"] == {
        "live": True,
        "hertz": line["hertz"],
        "metered_s": line["t"],
        "lamp_kwh": line["leds"]["kwh"],
        "lamp_ten": line["leds"]["ten"],
        "lamp_reverse": line["leds"]["reverse"],
        "faults": 3,
        "active_faults": "stuck, railed",
        "lost_frames": 7,
        "service": line["doctor"]["service"],
        "demand_watts": -12.5,
    }
    for of, element, its in zip((total, one, two), ("total", "1", "2"), (line, *line["elements"])):
        assert of["measurement"] == "threewire"
        assert of["tags"] == {"device": CHIP_ID, "element": element, "name": "House"}
        wanted = {name: its[name] for name in ("watts", "var", "va", "power_factor")}
        wanted |= {f"{way}_nwh": exact(its[f"{way}_wh"]) for way in ("delivered", "received")}
        wanted |= {f"quadrant{k}_nvarh": exact(varh) for k, varh in enumerate(its["varh"], 1)}
        if element != "total":
            wanted |= {name: its[name] for name in ("volts", "amps", "reversed")}
            wanted["verdict"] = line["doctor"]["elements"][int(element) - 1]["verdict"]
        assert of["fields"] == wanted
        # A field that is now an integer and now a float would be refused.
        assert all(isinstance(of["fields"][name], float) for name in ("watts", "var", "va"))
    assert total["fields"]["delivered_nwh"] == 13_333_334_638_713


def exact(wh):
    return int(Decimal(wh).scaleb(9))


@given(st.integers(0, 10**29))
def test_nano_is_exact(value):
    assert nano(f"{value // 10**9}.{value % 10**9:09}") == value


def test_nano_of_other_places():
    """A later firmware may write more or fewer places than nine: what is below is left off."""
    assert nano("1.5") == 1_500_000_000
    assert nano("0.123456789999") == 123_456_789


def test_numbers_without_a_fraction_stay_floats():
    line = said() | {"watts": 60, "hertz": 60, "va": 1e15, "var": -1e-9}
    text = lines(snapshot_of(line), AT_MS).decode()
    _, total, *_ = parsed(text.encode())
    for name, value in (("watts", 60.0), ("va", 1e15), ("var", -1e-9)):
        assert total["fields"][name] == value and isinstance(total["fields"][name], float)
    assert "watts=60.0," in text and "hertz=60.0," in text


def test_energy_beyond_64_bits_is_left_out():
    """A hostile board's 10^20 Wh must not have the line refused with all else in it."""
    largest = "9223372036.854775807"
    line = said(wh=largest)
    _, total, one, _ = parsed(lines(snapshot_of(line), AT_MS))
    assert total["fields"]["delivered_nwh"] == one["fields"]["delivered_nwh"] == 2**63 - 1
    for wh in ("9223372036.854775808", "99999999999999999999.999999999"):
        _, total, one, two = parsed(lines(snapshot_of(said(wh=wh)), AT_MS))
        assert "delivered_nwh" not in total["fields"]
        assert {"watts", "received_nwh"} <= total["fields"].keys()
        assert "delivered_nwh" in two["fields"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name(name):
    """It comes back as it is, but for a backslash and what no terminal shows."""
    snapshot = replace(snapshot_of(said()), device=snapshot_of(said(), name).device)
    found = [*parsed(lines(snapshot, AT_MS)), *parsed(gone(snapshot.device, AT_MS))]
    assert len(found) == 5
    wanted = name.replace("\\", "/")
    for char, shown in (("\n", "/n"), ("\r", "/r"), ("\t", "/t"), ("\0", "/x00")):
        wanted = wanted.replace(char, shown)
    assert {of["tags"]["name"] for of in found} == {wanted}
    assert {of["tags"]["device"] for of in found} == {CHIP_ID}


@given(st.text(min_size=1, max_size=60), st.text(' !"\\,=ab', min_size=1, max_size=40))
def test_any_text(name, word):
    """No name and no word of a board breaks out of its place; a word comes back as it is."""
    line = said()
    line["doctor"]["service"] = word
    found = parsed(lines(snapshot_of(line, name), AT_MS))
    assert len(found) == 4
    assert all(of["tags"].keys() >= {"device", "name"} for of in found)
    assert all(of["time"] == AT_MS for of in found)
    assert found[0]["fields"]["service"] == word


def test_gone():
    (found,) = parsed(gone(snapshot_of(said()).device, AT_MS))
    assert found["measurement"] == "threewire_board"
    assert found["fields"] == {"live": False}
    assert found["time"] == AT_MS
