"""Replays against what they said before (host_tests/golden), and the tool that keeps those files.

Beside the pinning stands what is true: the float64 reference of the same replay, and for the
installations made by code their watts, worked out here from volts, amperes and angles.
"""

import copy
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from tools import golden
from tools.common import boards
from tools.common.errors import InputError
from tools.front_end.looping import ArrayRecording, Recording
from tools.front_end.model import FrontEnd
from tools.golden import ADCS, Case
from tools.regress import goldens

CASES = {case.name: case for case in golden.cases()}
NAMES = sorted({file.stem for file in golden.FOLDER.glob("*.json")} | set(CASES))
# How a golden file's sections are called.
SECTIONS = {adc: f"feather_rp2040, {adc} ADC, seed 5" for adc in ADCS}
# Half of the last digit kept.
ROUNDING_WH = 0.0005
# (delivered, received) in Wh of the total, element 1 and element 2.
Truth = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


def kept(name: str) -> dict[str, Any]:
    file = golden.FOLDER / f"{name}.json"
    assert file.exists(), f"{file.name} is not there: `make golden` writes it"
    found = json.loads(file.read_text())
    return {adc: found[section] for adc, section in SECTIONS.items()}


@pytest.mark.parametrize("name", NAMES)
def test_recording(name: str) -> None:
    if name not in CASES:
        pytest.skip(f"no recording {name} in {golden.WAVES}")
    need_engine("micropython")
    old = kept(name)
    rows = golden.measure([CASES[name]], "micropython")[name]
    assert [goldens.section(row) for row in rows] == [*SECTIONS.values()] and {*SECTIONS} == {
        *ADCS
    }
    for adc, row in zip(ADCS, rows):
        assert row["report"] is not None
        found = goldens.changes(old[adc], goldens.of(row["report"]), 1 / old[adc]["hertz"])
        assert not found, "\n".join(
            [f"{name}: not what {name}.json says:", *found, "If it is meant: `make golden`."]
        )
    ideal = rows[0]["report"]
    assert ideal is not None
    reference = ideal["reference"]
    check_ideal(old["ideal"], reference)
    check_real(old["real"], reference)


def check_ideal(ideal: dict[str, Any], reference: dict[str, Any]) -> None:
    """0.1 % of the energy, whatever the meter says today."""
    pairs = [(ideal, reference), *zip(ideal["elements"], reference["elements"])]
    for e, truth in pairs:
        flowed = truth["delivered_wh"] + truth["received_wh"]
        for way in ("delivered_wh", "received_wh"):
            assert abs(float(e[way]) - truth[way]) <= 1e-3 * flowed + ROUNDING_WH


def check_real(real: dict[str, Any], reference: dict[str, Any]) -> None:
    """1.5 % of the apparent energy, the converter's known gain errors taken out: what its wide
    codes leave (test_waves.py)."""
    gain = FrontEnd.of(boards.load(boards.DEFAULT), adc="real", seed=golden.SEED).gain_error
    for k, (e, truth) in enumerate(zip(real["elements"], reference["elements"]), 1):
        net = float(e["delivered_wh"]) - float(e["received_wh"])
        net /= (1 + gain[f"v{k}"]) * (1 + gain[f"i{k}"])
        apparent_wh = truth["va"] * real["seconds"] / 3600
        assert abs(net - truth["wh"]) <= 15e-3 * apparent_wh + 2 * ROUNDING_WH


def steady(watts1: float, watts2: float, seconds: float = 20) -> Truth:
    one, two, net = (
        (max(w, 0) * seconds / 3600, max(-w, 0) * seconds / 3600)
        for w in (watts1, watts2, watts1 + watts2)
    )
    return net, one, two


def cosine(degrees: float) -> float:
    return math.cos(math.radians(degrees))


INSTALLATIONS: dict[str, Truth] = {
    "pf_half_lagging": steady(120 * 31 * 0.5, 120 * 20 * 0.5),
    # The third harmonic flows against the mains: 3 % of the volts, 80 % of the amperes.
    "heavy_harmonics": steady(120 * 20 * (1 - 0.03 * 0.8), 120 * 12 * (1 - 0.03 * 0.8)),
    "ct_2_turned": steady(120 * 40 * cosine(18), -120 * 25 * cosine(18)),
    "export_at_noon": (
        (120 * (21 + 11) * 20 / 3600, 120 * (45 - 21) * 10 / 3600),
        (120 * 21 * 30 / 3600, 0.0),
        (120 * 11 * 20 / 3600, 120 * 45 * 10 / 3600),
    ),
    "starting_load": steady(120 * 0.2, 120 * 0.2, 120),
    "dead_line_2": steady(120 * 15 * cosine(20), 0),
    # Line 2's current is 140 degrees behind line 1's voltage, line 1's 100 ahead of line 2's.
    "crossed_208y": steady(120 * 20 * cosine(140), 120 * 30 * cosine(100)),
}


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_installation_is_kept_with_its_true_energies(name: str) -> None:
    ideal = kept(name)["ideal"]
    for e, (delivered, received) in zip([ideal, *ideal["elements"]], INSTALLATIONS[name]):
        allowed = 1e-3 * (delivered + received) + ROUNDING_WH
        assert abs(float(e["delivered_wh"]) - delivered) <= allowed
        assert abs(float(e["received_wh"]) - received) <= allowed


def test_every_installation_made_by_code_has_its_truth() -> None:
    assert {case.name for case in golden.OWN} == set(INSTALLATIONS) | {"house_120_s"}


@pytest.mark.parametrize("name", NAMES)
def test_kept_edges_belong_to_the_kept_register(name: str) -> None:
    for adc in ADCS:
        said = kept(name)[adc]
        for led, step_wh in (("ten", 5), ("kwh", 500)):
            edges = said["edges"][led]
            assert len(edges) == Decimal(said["delivered_wh"]) // step_wh
            assert [lit for _, lit in edges] == [bool(k % 2) for k in range(len(edges))]


@pytest.mark.parametrize("name", NAMES)
def test_kept_files_are_as_the_tool_writes_them(name: str) -> None:
    file = golden.FOLDER / f"{name}.json"
    text = file.read_text()
    assert text == goldens.as_text(json.loads(text)) + "\n"


# ---- what a change looks like

EXAMPLE = {
    "seconds": 20.0,
    "frames": 200000,
    "delivered_wh": "9.511",
    "received_wh": "0.000",
    "elements": [
        {
            "delivered_wh": "25.362",
            "received_wh": "0.000",
            "verdict": "right",
            "alike": ["crossed_and_reversed"],
        },
        {
            "delivered_wh": "0.000",
            "received_wh": "15.851",
            "verdict": "ct_reversed",
            "alike": ["crossed"],
        },
    ],
    "service": "split phase",
    "hertz": 60.0,
    "clipped": {"v2": 12},
    "edges": {"kwh": [], "ten": [[4.5, False], [9.5, True]], "reverse": [[1.0167, True]]},
}


def changed(*path: Any, to: Any) -> dict[str, Any]:
    new = copy.deepcopy(EXAMPLE)
    at: Any = new
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return new


@pytest.mark.parametrize(
    "path, to, told",
    [
        (("delivered_wh",), "9.513", "delivered_wh: 9.511 was kept, now it is 9.5"),
        (("elements", 1, "received_wh"), "15.849", "element 2: received_wh: 15.851"),
        (("elements", 1, "verdict"), "right", "element 2: verdict: ct_reversed was kept"),
        (("elements", 0, "alike"), [], "element 1: alike"),
        (("elements",), [], "elements"),
        (("service",), "unknown", "service: split phase was kept, now it is unknown"),
        (("hertz",), 60.002, "hertz"),
        (("clipped",), {}, "clipped"),
        (("clipped", "v2"), 13, "v2"),
        (("frames",), 199999, "frames"),
        (("edges", "ten"), [[4.5, False]], "ten: edge 2: [9.5, True] was kept, now it is nothing"),
        (("edges", "ten", 1), [9.5, False], "ten: edge 2: [9.5, True] was kept"),
        (("edges", "ten", 1, 0), 9.518, "ten: edge 2"),
        # Of a thousand that are elsewhere the first one is told.
        (("edges", "ten"), [[k, False] for k in range(1000)], "ten: edge 1: [4.5, False] was"),
        (("edges", "reverse"), [], "reverse: edge 1"),
        (("added",), 1, "added: nothing was kept, now it is 1"),
        (("elements",), ["long" * 100], "elements: [{"),
    ],
)
def test_a_change_is_told(path: tuple[Any, ...], to: Any, told: str) -> None:
    (line,) = goldens.changes(EXAMPLE, changed(*path, to=to), 1 / 60)
    assert told in line and len(line) < 300


@pytest.mark.parametrize(
    "path, to",
    [
        (("delivered_wh",), "9.512"),
        (("elements", 1, "received_wh"), "15.850"),
        (("hertz",), 60.001),
        (("edges", "ten", 1, 0), 9.508),
    ],
)
def test_what_another_machine_may_change(path: tuple[Any, ...], to: Any) -> None:
    assert goldens.changes(EXAMPLE, changed(*path, to=to), 1 / 60) == []


# ---- the tool


def load(amps: float) -> Recording:
    """Two seconds of split phase."""
    angle = 2 * math.pi * 60 * np.arange(2 * 7680) / 7680
    volts, current = 120 * math.sqrt(2) * np.sin(angle), amps * math.sqrt(2) * np.sin(angle)
    return ArrayRecording(7680, {"v1": volts, "i1": current, "v2": -volts, "i2": -current})


SMALL = Case("small", lambda: load(30))
LOUD = Case("loud", lambda: load(300))  # clips, so that its energy is not the recording's


def update(*cases: Case, folder: Path, check: bool = False) -> int:
    need_engine("micropython")
    return golden.update(cases, folder, "micropython", check)


def falsify(file: Path) -> str:
    """Puts another energy of element 1 into the file of SMALL; returns the file's new text."""
    text = file.read_text().replace('"delivered_wh": "2.000"', '"delivered_wh": "2.002"', 1)
    file.write_text(text)
    return text


def test_new_then_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert update(SMALL, folder=tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == ["small: new", "1 written, 0 wrong"]
    (file,) = tmp_path.iterdir()
    written = file.read_bytes()
    said = json.loads(written)[SECTIONS["ideal"]]
    # 120 V, 30 A, 2 s on each of two elements.
    assert said["elements"][0]["delivered_wh"] == "2.000" and said["delivered_wh"] == "4.000"
    for check in (True, False):
        assert update(SMALL, folder=tmp_path, check=check) == 0
        assert capsys.readouterr().out.startswith("small: as before\n0 ")
    assert [file.read_bytes()] == [written]


def test_a_change_is_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    update(SMALL, folder=tmp_path)
    file = tmp_path / "small.json"
    right = file.read_text()
    false = falsify(file)
    assert false != right
    capsys.readouterr()

    assert update(SMALL, folder=tmp_path, check=True) == 1
    checked = capsys.readouterr().out
    assert checked.startswith("small: changed\n--- small.json, kept\n+++ small.json, now\n@@ ")
    assert '\n-    "delivered_wh": "2.002",\n+    "delivered_wh": "2.000",\n' in checked
    assert "make golden" in checked
    assert file.read_text() == false

    assert update(SMALL, folder=tmp_path) == 0
    written = capsys.readouterr().out
    assert written.splitlines()[:-1] == checked.splitlines()[:-1]
    assert file.read_text() == right
    assert list(tmp_path.iterdir()) == [file]


def test_check_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "golden"
    assert update(SMALL, folder=folder, check=True) == 1
    assert "small: new" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_files_of_absent_recordings_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "feeder.json"
    absent.write_text("{}\n")
    update(SMALL, folder=tmp_path)
    capsys.readouterr()
    for check in (True, False):
        assert update(SMALL, folder=tmp_path, check=check) == 0
        assert "\nfeeder: skipped, its recording is not in " in capsys.readouterr().out
    assert absent.read_text() == "{}\n"


def test_a_wrong_energy_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for check in (True, False):
        assert update(LOUD, folder=tmp_path, check=check) == 1
        assert "loud: WRONG, not to be kept: total: delivered" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_when_a_recording_is_unusable(tmp_path: Path) -> None:
    bad = Case("bad", lambda: tmp_path / "nowhere.npz")
    with pytest.raises(InputError, match=r"nowhere\.npz"):
        update(SMALL, bad, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_engine("micropython")
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    monkeypatch.setattr(golden, "cases", lambda: [SMALL])
    assert golden.main(["--check"]) == 1 and list(tmp_path.iterdir()) == []
    assert golden.main([]) == 0
    assert golden.main(["--check"]) == 0
    falsify(tmp_path / "small.json")
    assert golden.main(["--check"]) == 1
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(golden, "FOLDER", tmp_path / "small.json" / "where")
    assert golden.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "small.json" in line


def test_recordings_are_found_by_their_index(tmp_path: Path) -> None:
    assert golden.recorded(tmp_path) == []
    for name in ("short.npz", "long.npz"):
        (tmp_path / name).write_bytes(b"")
    entries = [
        {"file": "short.npz", "seconds": 0.0667, "what": "four cycles"},
        {"file": "long.npz", "seconds": 6},
        {"file": "lost.npz", "seconds": 6},
    ]
    (tmp_path / "INDEX.json").write_text(json.dumps(entries))
    short, long = golden.recorded(tmp_path)
    assert (short.name, short.seconds, short.open()) == ("short", 20.0, tmp_path / "short.npz")
    assert (long.name, long.seconds, long.open()) == ("long", None, tmp_path / "long.npz")


@pytest.mark.parametrize("text", ["", "{}x", "[1]", '[{"file": "a.npz"}]', '{"file": 1}'])
def test_bad_index(text: str, tmp_path: Path) -> None:
    (tmp_path / "INDEX.json").write_text(text)
    with pytest.raises(InputError, match=r"INDEX\.json.*file and seconds"):
        golden.recorded(tmp_path)
