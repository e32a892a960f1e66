"""Verdicts on reports made by hand."""

from typing import Any

import pytest

from tools.regress.judge import Engines, judged, off_reference
from tools.regress.row import Row

# 9.5 and 15.9 Wh in an hour are above the load with which a meter for 200 A starts.
DELIVERED, RECEIVED = 25.362, 15.851


def truth(delivered: float, received: float) -> dict[str, float]:
    return {"delivered_wh": delivered, "received_wh": received}


def report(**changed: Any) -> dict[str, Any]:
    return {
        "board": "feather_rp2040",
        "seconds": 20.0,
        "delivered_wh": "9.511",
        "received_wh": "0.000",
        "elements": [
            {"delivered_wh": "25.362", "received_wh": "0.000"},
            {"delivered_wh": "0.000", "received_wh": "15.851"},
        ],
        "reference": {**truth(9.5113, 0), "elements": [truth(25.3621, 0), truth(0, 15.8506)]},
        "captured": None,
        **changed,
    }


def row(of: dict[str, Any] | None, engine: str = "micropython", digest: str = "00") -> Row:
    return {
        "key": "k",
        "recording": "r.npz",
        "board": "feather_rp2040",
        "engine": engine,
        "adc": "ideal",
        "seed": 0,
        "verdict": "passed",
        "why": [],
        "was_kept": False,
        "took_s": 1.0,
        "digest": digest,
        "report": of,
    }


@pytest.mark.parametrize(
    ("net", "percent", "lines"),
    [
        # 0.1 % of 9.511 Wh are 9.5 mWh, and half a mWh: 8 are allowed, 11 are not.
        (9.519, 0.1, 0),
        (9.522, 0.1, 1),
        (9.522, 0.2, 0),
        (9.504, 0.1, 0),
        (9.500, 0.1, 1),
    ],
)
def test_a_tenth_of_a_percent_and_half_a_mwh(net: float, percent: float, lines: int) -> None:
    of = report()
    of["reference"]["delivered_wh"] = net
    found = off_reference(of, percent)
    assert len(found) == lines
    assert all(line.startswith("total: delivered 9.511000 Wh") for line in found)


def test_the_wrong_way_is_as_wrong_as_the_wrong_amount() -> None:
    of = report()
    of["reference"]["elements"][1] = truth(15.8506, 0)
    assert [line[:20] for line in off_reference(of, 0.1)] == [
        "element 2: delivered",
        "element 2: received ",
    ]


def test_a_load_that_is_too_small_is_not_held_against_the_meter() -> None:
    # 0.1 % of 200 A at 120 V are 24 W: 20 W for an hour may be missed, 60 W not.
    for watts, lines in ((20.0, 0), (60.0, 2)):
        nothing = {"delivered_wh": "0.000", "received_wh": "0.000"}
        of = report(
            seconds=3600.0,
            **nothing,
            elements=[nothing, nothing],
            reference={**truth(watts, 0), "elements": [truth(watts, 0), truth(0, 0)]},
        )
        assert len(off_reference(of, 0.1)) == lines


def test_verdicts() -> None:
    right = judged(row(report()), None, [], Engines())
    assert (right["verdict"], right["why"]) == ("passed", [])
    golden = judged(row(report()), None, ["hertz: 60 was kept, now it is 50"], Engines())
    assert (golden["verdict"], golden["why"]) == ("golden", ["hertz: 60 was kept, now it is 50"])
    off = report()
    off["reference"]["delivered_wh"] = 9.0
    both = judged(row(off), None, ["hertz"], Engines())
    assert both["verdict"] == "limit" and both["why"][1:] == ["hertz"]
    assert judged(row(off), 100.0, [], Engines())["verdict"] == "passed"
    capture = report(reference=None)
    capture["captured"] = {"delivered_wh": "1", "received_wh": "2", "identical": False}
    assert judged(row(capture), None, [], Engines())["verdict"] == "golden"
    capture["captured"]["identical"] = True
    assert judged(row(capture), None, [], Engines())["verdict"] == "passed"
    unusable: Row = {**row(None), "verdict": "unusable", "why": ["is empty"]}
    assert judged(unusable, None, [], Engines()) == unusable


def test_engines_are_held_to_the_first_and_the_emulated_board_is_not() -> None:
    engines = Engines()
    assert engines.differs(row(report(), "micropython", "00")) == []
    assert engines.differs(row(report(), "i386", "00")) == []
    (line,) = engines.differs(row(report(), "armhf", "01"))
    assert "what engine micropython came to" in line
    assert engines.differs(row(report(), "rp2040", "02")) == []
    # Of another seed, and without a result.
    assert engines.differs({**row(report(), "i386", "03"), "seed": 1}) == []
    assert engines.differs(row(None, "armhf", "")) == []
