"""Energies never fall, and a board that begins anew is another device."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tests.rigs.gateway_run import said
from host_tests.rigs.telemetry_lines import report_of
from tools.common.errors import InputError
from tools.monitor.report import Report
from tools.serve.counters import Counters, TooMany

CHIP = "e6614103e7690c2c"


def at(wh: float | str, **changed: Any) -> Report:
    return report_of(said(wh=wh, **changed))


def quiet(wh: float) -> Report:
    """Of a house with no load: a save loses little."""
    report = at(wh)
    one, two = (replace(element, va=0.0) for element in report.elements)
    return replace(report, elements=(one, two))


def test_what_rises_goes_through_to_the_last_digit(tmp_path: Path) -> None:
    counters = Counters(tmp_path)
    for wh in ("1.000000001", "1.000000002", "99999999999.999999999"):
        key, report = counters.held(CHIP, at(wh))
        assert (key, report.total.delivered_wh) == (CHIP, wh)
        assert report == at(wh)


def test_a_lost_save_is_held_until_it_is_caught_up(tmp_path: Path) -> None:
    counters = Counters(tmp_path)
    for wh, shown in ((1000, "1000.000000000"), (992, "1000.000000000"), (999, "1000.000000000")):
        key, report = counters.held(CHIP, quiet(wh))
        assert (key, report.total.delivered_wh) == (CHIP, shown)
    _, report = counters.held(CHIP, quiet(1001))
    assert report.total.delivered_wh == "1001.000000000"


def test_at_a_large_load_more_may_be_lost(tmp_path: Path) -> None:
    # 48 kVA for 10 s, the least time between two saves, are 133 Wh.
    report = at(10_000)
    heavy = replace(
        report, elements=tuple(replace(element, va=24000.0) for element in report.elements)
    )  # pyright: ignore[reportArgumentType]
    for counters, key in ((Counters(tmp_path), CHIP), (Counters(tmp_path), CHIP)):
        counters.held(CHIP, heavy)
        assert counters.held(CHIP, at(10_000 - 133))[0] == key
    counters = Counters(tmp_path)
    counters.held(CHIP, quiet(10_000))
    assert counters.held(CHIP, at(10_000 - 133))[0] == f"{CHIP}-2"


def test_whatever_a_board_says_can_be_read_again(tmp_path: Path) -> None:
    """The largest values that the door lets through."""
    line = said(wh="9" * 20 + "." + "9" * 12)
    for element in line["elements"]:
        element["va"] = 1e15
    counters = Counters(tmp_path)
    counters.held(CHIP, report_of(line))
    counters.save()
    again = Counters(tmp_path)
    # An absurd load lets nothing be lost that no save could lose.
    assert again.held(CHIP, quiet(3.0))[0] == f"{CHIP}-2"


def test_devices_are_not_made_without_end(tmp_path: Path) -> None:
    counters = Counters(tmp_path)
    low, high = quiet(1.0), quiet(1000.0)
    keys = set()
    with pytest.raises(TooMany, match=r"begun anew too often.*move devices\.json away"):
        for _ in range(1000):
            keys |= {counters.held("aa", high)[0], counters.held("aa", low)[0]}
    assert len(keys) == 100
    with pytest.raises(TooMany, match="1000 devices have been here"):
        for k in range(2000):
            keys.add(counters.held(f"{k:05x}", low)[0])
    assert len(keys) == 1000
    # Those that are known go on, and what is kept of them can be read.
    assert counters.held("00005", high)[1].total.delivered_wh == "1000.000000000"
    counters.save()
    assert Counters(tmp_path).held("00005", high)[0] == "00005"


@pytest.mark.parametrize("before", [20, 1234, 1e9])
def test_registers_that_begin_anew_are_another_device(tmp_path: Path, before: float) -> None:
    counters = Counters(tmp_path)
    counters.held(CHIP, quiet(before))
    key, report = counters.held(CHIP, quiet(0.25))
    assert (key, report.total.delivered_wh) == (f"{CHIP}-2", "0.250000000")
    assert counters.held(CHIP, quiet(0.5))[0] == f"{CHIP}-2"


def test_each_of_the_registers_counts(tmp_path: Path) -> None:
    line = said()
    for place in ("received_wh", "varh", "of element 2"):
        changed = json.loads(json.dumps(line))
        if place == "varh":
            changed["varh"][3] = "5000.000000000"
        elif place == "of element 2":
            changed["elements"][1]["received_wh"] = "5000.000000000"
        else:
            changed[place] = "5000.000000000"
        counters = Counters(tmp_path)
        assert counters.held(place, report_of(changed))[0] == place
        assert counters.held(place, report_of(line))[0] == f"{place}-2"


def test_they_are_known_at_the_next_start(tmp_path: Path) -> None:
    counters = Counters(tmp_path)
    counters.held(CHIP, quiet(5000))
    counters.held("other", quiet(3))
    counters.save()
    again = Counters(tmp_path)
    assert again.held(CHIP, quiet(4995))[1].total.delivered_wh == "5000.000000000"
    assert again.held(CHIP, quiet(1))[0] == f"{CHIP}-2"
    again.save()
    assert Counters(tmp_path).held(CHIP, quiet(2))[0] == f"{CHIP}-2"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a":{"generation":0}}', '{"a":5}', "\xff"])
def test_a_file_that_is_damaged_is_named_and_kept(tmp_path: Path, text: str) -> None:
    file = tmp_path / "devices.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"devices\.json: "):
        Counters(tmp_path)
    assert file.read_bytes() == text.encode("latin-1")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=30))
def test_no_device_ever_falls(tmp_path: Path, nano_wh: list[int]) -> None:
    counters = Counters(tmp_path / "none")
    highest: dict[str, Decimal] = {}
    for value in nano_wh:
        key, report = counters.held(CHIP, quiet(float(Decimal(value).scaleb(-9))))
        shown = Decimal(report.total.delivered_wh)
        assert shown >= highest.get(key, Decimal(0))
        highest[key] = shown
