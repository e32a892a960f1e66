"""JUnit XML: written for others to read, so others read it here: junitparser and expat."""

import ast
from pathlib import Path
from xml.etree import ElementTree

import pytest
from junitparser import Error, Failure, JUnitXml

from host_tests.rigs.regress_rows import report, row
from tools.common.errors import InputError
from tools.regress import junit

# Control characters, of which XML cannot write any; half of a pair; what turns text round; markup.
NAMES = (
    "a\x00b.npz",
    "a\x1b[31m.npz",
    "\udcff.npz",
    "\u202egnp.npz",
    "\ufffe.npz",
    "a\nb.npz",
    "<b>&\"']]>.npz",
)


def test_a_suite_a_lane_and_a_case_a_row(tmp_path: Path) -> None:
    why = ["delivered Wh: 1 there, 2 here", "reverse: lit <at> 3 s"]
    rows = [
        row("night/kettle.npz", took_s=1.25),
        row("night/kettle.npz", seed=3, verdict="limit", why=["off by 1 %"], took_s=0.1004),
        row("night/kettle.npz", adc="real", verdict="golden", why=why, took_s=0.2),
        row("cut.wav", adc="real", verdict="unusable", why=["ends early"], report=None, took_s=0),
        row("board.npz", adc=None, seed=None, verdict="failed", why=[], report=None, took_s=2),
    ]
    path = tmp_path / "a.xml"
    junit.write(path, "All of recordings", rows)

    found = JUnitXml.fromfile(str(path))
    assert found.name == "All of recordings"
    assert (found.tests, found.failures, found.errors) == (5, 2, 2)
    # No others: Jenkins's schema has none.
    root = ElementTree.parse(path).getroot()
    assert set(root.attrib) == {"name", "tests", "failures", "errors", "time"}
    assert found.time == pytest.approx(3.55)
    assert [(of.name, of.tests, of.failures, of.errors, of.time) for of in found] == [
        ("feather_rp2040/micropython/ideal", 2, 1, 0, 1.35),
        ("feather_rp2040/micropython/real", 2, 1, 1, 0.2),
        ("feather_rp2040/micropython/codes", 1, 0, 1, 2.0),
    ]
    cases = [case for suite in found for case in suite]
    assert [(case.classname, case.name) for case in cases] == [
        ("feather_rp2040.micropython.ideal", "night/kettle.npz seed 0"),
        ("feather_rp2040.micropython.ideal", "night/kettle.npz seed 3"),
        ("feather_rp2040.micropython.real", "night/kettle.npz seed 0"),
        ("feather_rp2040.micropython.real", "cut.wav seed 0"),
        ("feather_rp2040.micropython.codes", "board.npz"),
    ]
    results = [[(type(r), r.type, r.message, r.text) for r in case.result] for case in cases]
    assert results == [
        [],
        [(Failure, "limit", "off by 1 %", "off by 1 %")],
        [(Failure, "golden", why[0], "\n".join(why))],
        [(Error, "unusable", "ends early", "ends early")],
        # Without a word on it, what the verdict means.
        [(Error, "failed", "the engine gave no result", "the engine gave no result")],
    ]


def test_what_else_is_known_of_a_row_is_its_output(tmp_path: Path) -> None:
    said = report((-12.34, None, 5.0), seconds=2.5, warnings=("v1 clips",))
    path = tmp_path / "a.xml"
    junit.write(path, "t", [row(report=said, was_kept=True)])
    case = next(ElementTree.parse(path).iter("testcase"))
    assert case.findtext("system-out") == (
        "the result of an earlier run\n"
        "2.500 s metered; error in ppm of element 1, element 2 and total: -12.3, -, +5.0\n"
        "warning: v1 clips"
    )


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_can_be_written_and_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.xml"
    junit.write(path, name, [row(name, verdict="limit", why=[f"{name}: off"])])
    (case,) = ElementTree.parse(path).iter("testcase")
    shown = case.get("name", "").removesuffix(" seed 0")
    assert shown.isprintable()
    # As a literal of Python's it is the name again.
    assert ast.literal_eval("'" + shown.replace("'", "\\'") + "'") == name
    assert case[0].text == f"{shown}: off"


def test_times_have_three_digits_however_they_add_up(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    junit.write(path, "t", [row(took_s=0.1), row(took_s=0.2), row(took_s=1e-7)])
    times = [of.get("time") for of in ElementTree.parse(path).iter() if of.get("time")]
    assert times == ["0.3", "0.3", "0.1", "0.2", "0.0"]


def test_no_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        junit.write(tmp_path / "none" / "a.xml", "t", [row()])
    assert not [*tmp_path.iterdir()]
