"""The installation doctor against wirings laid out line by line, with numpy's complex phasors.

A wiring here is physical: lines with voltages and loads, CTs clamped on lines one way or the
other, references landed on lines.  What each element truly is follows from where its CT and its
reference are; what the inputs see follows from the phasors there.
"""

import itertools
import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import Run, convert, default_board, split_phase
from threewire.metering.doctor import Diagnosis, diagnose
from tools.common.boards import ROOT
from tools.engines.result import of_doctor

FIRMWARE = ROOT / "firmware"
ENGINES = ROOT / "tools" / "engines"
NOMINAL = default_board().nominal_volts
# The second line's angle from the first.  208Y/120 has either sequence.
SERVICES = {"split phase": (180,), "208Y/120": (-120, 120)}
# Power factors 0.3 lagging to 0.9 leading, as angles by which the current lags.
MOST_LAG = float(np.degrees(np.arccos(0.3)))
MOST_LEAD = -float(np.degrees(np.arccos(0.9)))
CHECKS = {
    "right": set(),
    "ct_reversed": {1, 3},
    "crossed": {2},
    "crossed_and_reversed": {1, 2, 3},
    "no_voltage": {2},
    "no_current": {3},
    "no_load": set(),
    "doubtful": set(),
}
# What a sentence must say of each verdict, as itself or as a look-alike.
WORDS = {
    "right": "wired right",
    "ct_reversed": "CT's two wires turned round",
    "crossed": "pairs its CT with the other line's voltage",
    "crossed_and_reversed": "pairs its CT, turned round, with the other line's voltage",
    "no_voltage": "no voltage",
    "no_current": "no current",
    "no_load": "too little current",
    "doubtful": "cannot be judged",
}


def polar(size: float, degrees: float) -> complex:
    return complex(size * np.exp(1j * np.radians(degrees)))


@dataclass
class Wiring:
    """Two lines of a service, and the meter's four inputs on them (None: left open)."""

    voltages: list[complex]
    currents: list[complex]
    ct_line: list[int | None] = field(default_factory=lambda: [0, 1])
    ct_turned: list[bool] = field(default_factory=lambda: [False, False])
    reference_line: list[int | None] = field(default_factory=lambda: [0, 1])

    def truth(self, k: int) -> str:
        """What element k + 1 is."""
        if self.reference_line[k] is None:
            return "no_voltage"
        if self.ct_line[k] is None:
            return "no_current"
        if self.ct_line[k] == self.reference_line[k]:
            return "ct_reversed" if self.ct_turned[k] else "right"
        return "crossed_and_reversed" if self.ct_turned[k] else "crossed"

    def inputs(self) -> tuple[list[complex], list[complex]]:
        """What the voltage and current inputs see."""
        volts = [0j if a is None else self.voltages[a] for a in self.reference_line]
        amps = [0j if a is None else self.currents[a] for a in self.ct_line]
        return volts, [-i if turned else i for i, turned in zip(amps, self.ct_turned)]


def service(degrees: float, loads: list[tuple[float, float]], volts: float = 120) -> Wiring:
    """Two lines that far apart, with a load (amperes, degrees of lag) on each."""
    voltages = [polar(volts, 0), polar(volts, degrees)]
    lines = [0, degrees]
    return Wiring(voltages, [polar(a, at - lag) for (a, lag), at in zip(loads, lines)])


def turn(k: int) -> Callable[[Wiring], None]:
    def fault(wiring: Wiring) -> None:
        wiring.ct_turned[k] = not wiring.ct_turned[k]

    return fault


def swap_references(wiring: Wiring) -> None:
    wiring.reference_line.reverse()


def swap_cts(wiring: Wiring) -> None:
    wiring.ct_line.reverse()


def share(line: int) -> Callable[[Wiring], None]:
    def fault(wiring: Wiring) -> None:
        wiring.reference_line = [None if a is None else line for a in wiring.reference_line]

    return fault


def open_reference(k: int) -> Callable[[Wiring], None]:
    def fault(wiring: Wiring) -> None:
        wiring.reference_line[k] = None

    return fault


def open_ct(k: int) -> Callable[[Wiring], None]:
    def fault(wiring: Wiring) -> None:
        wiring.ct_line[k] = None

    return fault


FAULTS: dict[str, Callable[[Wiring], None]] = {
    "CT 1 turned": turn(0),
    "CT 2 turned": turn(1),
    "references swapped": swap_references,
    "CTs swapped": swap_cts,
    "both references on line 1": share(0),
    "both references on line 2": share(1),
    "no voltage 1": open_reference(0),
    "no voltage 2": open_reference(1),
    "no current 1": open_ct(0),
    "no current 2": open_ct(1),
}
NONE_ONE_OR_TWO: list[tuple[str, ...]] = [
    pair for n in (0, 1, 2) for pair in itertools.combinations(FAULTS, n)
]


def arguments(volts: list[complex], amps: list[complex], unit: float = 1e12) -> dict[str, Any]:
    """The doctor's, as integers; powers and V2 conj(V1) in the unit given (default uV uA)."""

    def parts(x: complex) -> tuple[int, int]:
        return round(x.real * unit), round(x.imag * unit)

    return {
        "volts_uv": tuple(round(abs(v) * 1e6) for v in volts),
        "amps_ua": tuple(round(abs(i) * 1e6) for i in amps),
        "powers": tuple(parts(v * i.conjugate()) for v, i in zip(volts, amps)),
        "v2_v1": parts(volts[1] * volts[0].conjugate()),
        "nominal_volts": NOMINAL,
    }


def seen(wiring: Wiring, **options: float) -> Diagnosis:
    """What the doctor says of exactly this."""
    return diagnose(**arguments(*wiring.inputs(), **options))


def verdicts(diagnosis: Diagnosis) -> list[str]:
    return [element.verdict for element in diagnosis.elements]


def alikes(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    return [element.alike for element in diagnosis.elements]


# ---- generated installations


@dataclass
class Case:
    service: str
    faults: tuple[str, ...]
    wiring: Wiring
    arguments: dict[str, Any]

    def __str__(self) -> str:
        loads = [
            f"{abs(i):.2f} A at {np.degrees(np.angle(v / i)):.1f} degrees"
            for v, i in zip(self.wiring.voltages, self.wiring.currents)
        ]
        return f"{self.service}, {' and '.join(self.faults) or 'no fault'}: {', '.join(loads)}"


def generate(seed: int, repeats: int) -> list[Case]:
    """Installations with no fault, each fault and each pair of them, measured with noise."""
    rng = np.random.default_rng(seed)
    cases = []
    for name, angles in SERVICES.items():
        for k, faults in enumerate(NONE_ONE_OR_TWO * repeats * len(angles)):
            angle = angles[k % len(angles)]
            # Half with power factors spread evenly, half with angles so.  Loads stay 0.05 A clear
            # of the ampere below which an open CT is no fault, for the noise.
            lags = rng.uniform(MOST_LEAD, MOST_LAG, 2)
            if rng.random() < 0.5:
                factors = rng.uniform(0.3, 1.1, 2)
                lags = np.degrees(np.arccos(np.where(factors > 1, 2 - factors, factors)))
                lags = np.where(factors > 1, -lags, lags)
            amps = np.exp(rng.uniform(np.log(1.05), np.log(150), 2))
            wiring = service(
                angle + rng.uniform(-2, 2), list(zip(amps, lags)), NOMINAL * rng.uniform(0.9, 1.1)
            )
            wiring.voltages[1] *= rng.uniform(0.97, 1.03)
            for fault in faults:
                FAULTS[fault](wiring)
            volts, currents = wiring.inputs()
            turned = np.exp(1j * np.radians(rng.normal(0, 0.2, 2)))
            volts = [complex(v * t + rng.normal(0, 0.05)) for v, t in zip(volts, turned)]
            noise = rng.normal(0, 0.01, (2, 2)) @ [1, 1j]
            currents = [complex(i + n) for i, n in zip(currents, noise)]
            # Any unit will do for the powers: from milliwatts to far beyond 64 bits.
            unit = 10.0 ** rng.integers(3, 25)
            cases.append(Case(name, faults, wiring, arguments(volts, currents, unit)))
    return cases


def check_sentence(number: int, element: Any) -> None:
    text = element.text
    assert text.endswith(".") and text.count(".") == 1 and "\n" not in text and text.isascii()
    assert f"lement {number} " in text and f"lement {3 - number} " not in text
    assert WORDS[element.verdict] in text
    assert ("exports" in text) == (WORDS["ct_reversed"] in text)
    assert ("looks the same" in text) == bool(element.alike)
    for word in WORDS:
        # "is wired right" and the like occur for no other reason than being meant.
        assert (WORDS[word] in text) == (word in (element.verdict, *element.alike)), text


@pytest.mark.parametrize("apart_deg", [180, 120, -120])
@pytest.mark.parametrize("lag_deg", [0, 10, 25])
def test_both_elements_export_at_noon(apart_deg: float, lag_deg: float) -> None:
    """Export is the first thing said where it explains the angle, whatever the service."""
    volts = [120 + 0j, polar(120, apart_deg)]
    currents = [-v / 120 * polar(20, -lag_deg) for v in volts]
    diagnosis = diagnose(**arguments(volts, currents, 1e6))
    for number, element in enumerate(diagnosis.elements, 1):
        assert element.verdict == "ct_reversed"
        assert element.text.startswith(f"Element {number} exports")
        if apart_deg == 180:
            assert element.alike == ("crossed",)


def test_installations_with_up_to_two_faults() -> None:
    cases = generate(1, 8)
    assert len(cases) > 500
    doubtful = dict.fromkeys(SERVICES, 0)
    judged = dict.fromkeys(SERVICES, 0)
    for case in cases:
        diagnosis = diagnose(**case.arguments)
        truth = [case.wiring.truth(k) for k in (0, 1)]
        if case.wiring.ct_line == [None, None]:
            # Nothing tells two open CTs from a house without load.
            truth = ["no_load" if word == "no_current" else word for word in truth]
        referenced = [a for a in case.wiring.reference_line if a is not None]
        if len(set(referenced)) == 2:
            assert diagnosis.service == case.service, case
        else:
            assert diagnosis.service == "unknown", case
        if truth == ["right", "right"]:
            assert verdicts(diagnosis) == truth and alikes(diagnosis) == [(), ()], case
        for k, element in enumerate(diagnosis.elements):
            candidates = (element.verdict, *element.alike)
            assert truth[k] in candidates or element.verdict == "doubtful", (case, element.text)
            if element.verdict == "doubtful":
                doubtful[case.service] += 1
                assert truth[k] in element.alike, (case, element.text)
            judged[case.service] += 1
            assert element.verdict not in element.alike
            assert len(set(element.alike)) == len(element.alike)
            due = set().union(*[CHECKS[word] for word in candidates])
            if element.verdict == "right":
                due = set()
            assert element.checks == tuple(sorted(due))
            check_sentence(k + 1, element)
    for name in SERVICES:
        share = doubtful[name] / judged[name]
        print(f"{name}: {doubtful[name]} of {judged[name]} elements doubtful ({share:.1%})")
    assert sum(doubtful.values()) <= 0.1 * sum(judged.values())


LAGS = np.linspace(MOST_LEAD, MOST_LAG, 15)


@pytest.mark.parametrize("angle", [180, 175, -120, 120, -115, 125])
def test_a_right_installation_is_right_under_any_likely_loads(angle: float) -> None:
    for lags in itertools.product(LAGS, LAGS):
        for amps in ((1, 1), (150, 1), (0.5, 150)):
            diagnosis = seen(service(angle, list(zip(amps, lags))))
            assert verdicts(diagnosis) == ["right", "right"], (amps, lags)
            assert alikes(diagnosis) == [(), ()], (amps, lags)


@pytest.mark.parametrize("open_input", [None, open_reference(0), open_ct(1)])
@pytest.mark.parametrize("angle", [180, -120, 120])
def test_a_low_power_factor_alone_is_never_a_fault(
    angle: float, open_input: Callable[[Wiring], None] | None
) -> None:
    for lags in itertools.product(np.linspace(-89, 89, 24), repeat=2):
        wiring = service(angle, [(20, lags[0]), (30, lags[1])])
        if open_input:
            open_input(wiring)
        for k, element in enumerate(seen(wiring).elements):
            if wiring.truth(k) != "right":
                assert element.verdict == wiring.truth(k)
            elif element.verdict != "right":
                assert element.verdict == "doubtful" and "right" in element.alike, lags


@pytest.mark.parametrize("angle", [-120, 120])
@pytest.mark.parametrize("turned", [False, True])
def test_a_heater_or_an_inverter_between_two_lines(angle: float, turned: bool) -> None:
    # On 208Y/120 its current is 30 degrees ahead of one line's voltage and behind the other's.
    wiring = service(angle, [(0, 0), (0, 0)])
    current = (wiring.voltages[0] - wiring.voltages[1]) / 10 * (-1 if turned else 1)
    wiring.currents = [current, -current]
    for element in seen(wiring).elements:
        if turned:
            assert "ct_reversed" in (element.verdict, *element.alike)
            assert "exports" in element.text
        else:
            assert element.verdict == "right" and not element.alike


@pytest.mark.parametrize("lag", [-80, -50, 80])
def test_split_phase_takes_a_turned_ct_with_any_load(lag: float) -> None:
    wiring = service(180, [(20, lag), (30, lag)])
    turn(0)(wiring)
    assert verdicts(seen(wiring)) == ["ct_reversed", "right"]


@pytest.mark.parametrize("lags", [(-50, -50), (-40, 0), (0, -40), (-60, -70)])
@pytest.mark.parametrize("angle", [-120, 120])
def test_an_export_of_low_power_factor_is_not_only_a_swap(
    angle: float, lags: tuple[float, float]
) -> None:
    # Less is exported than the house's own reactive power: leading, seen from the generator.
    wiring = service(angle, [(20, 180 + lags[0]), (30, 180 + lags[1])])
    for element in seen(wiring).elements:
        assert "ct_reversed" in (element.verdict, *element.alike)
        assert element.verdict in ("ct_reversed", "doubtful")


# ---- installations with known answers

FLAT = [(60.0, 0.0), (60.0, 0.0)]  # two loads of unity power factor


def from_angles(between: float, lags: tuple[float, float], amps: float = 60) -> Diagnosis:
    """From measured angles: of V2 from V1, and of each element's V from its I."""
    volts = [polar(120, 0), polar(120, between)]
    currents = [polar(amps, -lags[0]), polar(amps, between - lags[1])]
    return diagnose(**arguments(volts, currents))


def test_split_phase_with_one_element_negative() -> None:
    wiring = service(180, FLAT)
    turn(1)(wiring)
    diagnosis = seen(wiring)
    assert diagnosis.service == "split phase"
    assert verdicts(diagnosis) == ["right", "ct_reversed"]
    # The same as swapped references and CT 1 turned.
    assert alikes(diagnosis) == [("crossed_and_reversed",), ("crossed",)]
    assert [e.checks for e in diagnosis.elements] == [(), (1, 2, 3)]
    other = service(180, FLAT)
    swap_references(other)
    turn(0)(other)
    assert of_doctor(seen(other)) == of_doctor(diagnosis)


def test_split_phase_with_both_elements_negative() -> None:
    wiring = service(180, FLAT)
    swap_references(wiring)
    diagnosis = seen(wiring)
    for element in diagnosis.elements:
        assert {element.verdict, *element.alike} == {"crossed", "ct_reversed"}
        assert element.checks == (1, 2, 3)
        assert "looks the same" in element.text and "exports (solar, generator)" in element.text
    other = service(180, FLAT)
    turn(0)(other)
    turn(1)(other)
    assert of_doctor(seen(other)) == of_doctor(diagnosis)


@pytest.mark.parametrize("angle", [-120, 120])
def test_a_swap_on_a_network_shows_half_the_power_factor(angle: float) -> None:
    wiring = service(angle, FLAT)
    swap_references(wiring)
    volts, amps = wiring.inputs()
    powers = [v * i.conjugate() for v, i in zip(volts, amps)]
    assert [abs(p.real / abs(p)) for p in powers] == pytest.approx([0.5, 0.5])
    assert powers[0].imag == pytest.approx(-powers[1].imag)
    diagnosis = seen(wiring)
    assert diagnosis.service == "208Y/120"
    assert verdicts(diagnosis) == ["crossed", "crossed"]
    assert alikes(diagnosis) == [(), ()]
    assert [e.checks for e in diagnosis.elements] == [(2,), (2,)]


def test_the_miswired_recording() -> None:
    diagnosis = from_angles(-119.2, (132.7, -106.9))
    assert diagnosis.service == "208Y/120"
    assert verdicts(diagnosis) == ["crossed", "crossed"]
    assert alikes(diagnosis) == [(), ()]


def test_the_generator_recording() -> None:
    diagnosis = from_angles(-119.8, (-159.2, -157.5))
    assert diagnosis.service == "208Y/120"
    assert verdicts(diagnosis) == ["ct_reversed", "ct_reversed"]
    assert alikes(diagnosis) == [(), ()]
    assert all("exports (solar, generator)" in e.text for e in diagnosis.elements)
    assert [e.checks for e in diagnosis.elements] == [(1, 3), (1, 3)]


def test_a_kettle_alone() -> None:
    wiring = service(180, [(8.7, 0), (0, 0)])
    wiring.reference_line[1] = wiring.ct_line[1] = None
    diagnosis = seen(wiring)
    assert diagnosis.service == "unknown"
    assert verdicts(diagnosis) == ["right", "no_voltage"]
    assert alikes(diagnosis) == [(), ()]
    assert [e.checks for e in diagnosis.elements] == [(), (2,)]
    turn(0)(wiring)
    diagnosis = seen(wiring)
    assert verdicts(diagnosis) == ["ct_reversed", "no_voltage"]
    assert alikes(diagnosis) == [("crossed",), ()]


@pytest.mark.parametrize(
    ("lag", "expected"),
    [(146, "crossed"), (150, "ct_reversed"), (256, "ct_reversed"), (260, "crossed")],
)
def test_likely_loads_lead_by_32_and_lag_by_78_degrees(lag: float, expected: str) -> None:
    # A CT turned round puts that range 180 degrees on; beyond it, it is another line's voltage.
    volts, currents = [polar(120, 0), 0j], [polar(10, -lag), 0j]
    assert verdicts(diagnose(**arguments(volts, currents))) == [expected, "no_voltage"]


@pytest.mark.parametrize("line", [0, 1])
@pytest.mark.parametrize("angle", [180, -120, 120])
def test_both_references_on_one_line(angle: float, line: int) -> None:
    wiring = service(angle, [(60, 20), (60, 10)])
    share(line)(wiring)
    diagnosis = seen(wiring)
    words = verdicts(diagnosis)
    assert (words[line], words[1 - line]) == ("right", "crossed")
    assert 2 in diagnosis.elements[1 - line].checks
    assert all("both voltage references on one line" in e.text for e in diagnosis.elements)
    # With that CT turned as well, split phase tells no longer which line it is.
    turn(1 - line)(wiring)
    if angle == 180:
        diagnosis = seen(wiring)
        assert verdicts(diagnosis) == ["doubtful", "doubtful"]
        assert alikes(diagnosis) == [("right", "crossed_and_reversed")] * 2


@pytest.mark.parametrize("between", [25, 60, 90, -95, 145, -150])
def test_voltages_of_no_known_service(between: float) -> None:
    diagnosis = from_angles(between, (0, 180))
    assert diagnosis.service == "unknown"
    for element in diagnosis.elements:
        assert (element.verdict, element.alike, element.checks) == ("doubtful", (), (2,))
        assert "neither 180 nor 120 degrees" in element.text
    for element in from_angles(between, (0, 180), amps=0.3).elements:
        assert (element.verdict, element.checks) == ("no_load", ())


@pytest.mark.parametrize(
    ("between", "name"),
    [(161, "split phase"), (-161, "split phase"), (139, "208Y/120"), (-101, "208Y/120")],
)
def test_services_are_known_within_20_degrees(between: float, name: str) -> None:
    diagnosis = from_angles(between, (0, 0))
    assert diagnosis.service == name
    assert verdicts(diagnosis) == ["right", "right"]


@pytest.mark.parametrize("lag", [88, 92, 268])
def test_one_odd_element_does_not_hide_the_other(lag: float) -> None:
    # Element 1 all but purely reactive, element 2 turned round.
    diagnosis = from_angles(180, (lag, 180))
    assert verdicts(diagnosis) == ["doubtful", "ct_reversed"]
    assert diagnosis.elements[0].checks == ()
    assert "no likely load" in diagnosis.elements[0].text


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    ("amps", "others", "expected"),
    [
        (0.199, 1.0, ["no_current", "right"]),
        (0.199, 0.999, ["no_load", "right"]),
        (0.201, 150.0, ["no_load", "right"]),
        (0.499, 0.499, ["no_load", "no_load"]),
        (0.0, 0.0, ["no_load", "no_load"]),
        (0.5, 0.5, ["right", "right"]),
    ],
)
def test_how_much_current_is_judged(
    number: int, amps: float, others: float, expected: list[str]
) -> None:
    step = 3 - 2 * number
    wiring = service(180, [(amps, 0.0), (others, 0.0)][::step])
    assert verdicts(seen(wiring)) == expected[::step]


@pytest.mark.parametrize(("volts", "expected"), [(60.1, "right"), (59.9, "no_voltage")])
def test_half_the_nominal_voltage_is_a_voltage(volts: float, expected: str) -> None:
    wiring = service(180, FLAT)
    wiring.voltages[1] *= volts / 120
    assert verdicts(seen(wiring)) == ["right", expected]


def test_zeros_are_no_error() -> None:
    # Zero everywhere, and phasors of zero where the rms values say otherwise.
    zero = (0, 0)
    for volts, amps, words in [
        (0, 0, {"no_voltage"}),
        (120_000_000, 0, {"no_load"}),
        (120_000_000, 50_000_000, {"doubtful"}),
    ]:
        for v2_v1 in (zero, (-1, 0), (-5, 9), (1, 0)):
            diagnosis = diagnose((volts,) * 2, (amps,) * 2, (zero, zero), v2_v1, NOMINAL)
            assert set(verdicts(diagnosis)) == words
            for k, element in enumerate(diagnosis.elements):
                check_sentence(k + 1, element)


def test_elements_are_treated_alike() -> None:
    for case in generate(2, 1):
        given = dict(case.arguments)
        for name in ("volts_uv", "amps_ua", "powers"):
            given[name] = given[name][::-1]
        given["v2_v1"] = (given["v2_v1"][0], -given["v2_v1"][1])
        one, other = diagnose(**case.arguments), diagnose(**given)
        assert one.service == other.service
        assert verdicts(one) == verdicts(other)[::-1]
        assert alikes(one) == alikes(other)[::-1]


def test_the_unit_of_the_powers_does_not_matter() -> None:
    wiring = service(-120, [(5, 40), (90, 10)])
    swap_cts(wiring)
    plain = of_doctor(seen(wiring))
    assert verdicts(seen(wiring)) == ["crossed", "crossed"]
    for exponent in range(0, 60, 3):
        assert of_doctor(seen(wiring, unit=10.0**exponent)) == plain


# ---- on the engines

PROGRAM = """\
import json
import sys

sys.path.insert(0, sys.argv[1])
from threewire.metering.doctor import diagnose

sys.path.insert(1, sys.argv[3])
from result import of_doctor

with open(sys.argv[2]) as file:
    cases = json.load(file)
print(json.dumps([of_doctor(diagnose(**case)) for case in cases]))
"""


@pytest.mark.parametrize("engine", ["micropython", "i386"])
def test_engines_agree(engine: str, tmp_path: Path) -> None:
    argv = need_engine(engine, heap="8M")
    given = [case.arguments for case in generate(3, 2)]
    program, cases = tmp_path / "program.py", tmp_path / "cases.json"
    program.write_text(PROGRAM, encoding="utf-8")
    cases.write_text(json.dumps(given), encoding="utf-8")
    done = subprocess.run(
        [*argv, str(program), str(FIRMWARE), str(cases), str(ENGINES)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [of_doctor(diagnose(**case)) for case in given]


def test_before_the_first_phasors_it_says_that_it_cannot_know() -> None:
    volts, amps = (120_000_000, 120_000_000), (5_000_000, 5_000_000)
    for element in diagnose(volts, amps, ((0, 0), (0, 0)), (0, 0), 120).elements:
        assert element.verdict == "doubtful" and element.checks == ()
        assert "before some more cycles have been metered" in element.text


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (lambda w: np.maximum(np.sin(w), 0), True),
        (lambda w: np.sign(np.sin(w)) * 0.71, True),
        (lambda w: np.sin(w) + 0.1 * np.sin(3 * w), False),
    ],
    ids=["half a wave", "square", "10 % of the third"],
)
def test_a_voltage_that_is_no_sine_is_said(shape: Any, said: bool) -> None:
    volts = 120 * math.sqrt(2)
    waves = {
        "v1": lambda t: volts * shape(120 * np.pi * t),
        "v2": lambda t: -volts * shape(120 * np.pi * t),
        **{name: wave for name, wave in split_phase((20, 20)).items() if name[0] == "i"},
    }
    of = Run().feed(convert(waves, 3, noise=1))
    second = of.meter.second
    assert second is not None
    found = of.meter.diagnosis(second, *of.meter.readings(second)[:2]).elements
    for finding in found:
        assert (finding.verdict == "doubtful") == said
        assert ("half a wave, or far from a sine" in finding.text) == said
        assert (2 in finding.checks) == said


@pytest.mark.parametrize(("counts", "mean"), [(150, 2048), (300, 1500), (540, 2048), (900, 700)])
def test_pins_that_float_have_no_voltage_and_register_nothing(counts: int, mean: int) -> None:
    """Hum on all pins alike about means that drift, as where nothing is connected."""
    layout = default_board()
    t = np.arange(0, 30, layout.frame_ticks / layout.tick_hz)
    noise = np.random.default_rng(1).normal(0, 3, (len(t), 4))
    hum = counts * (np.sin(120 * np.pi * t) + 0.3 * np.sin(360 * np.pi * t))
    drift = [200 * np.sin(0.3 * t + slot) for slot in range(4)]
    codes = np.rint(mean + hum[:, None] + np.array(drift).T + noise).clip(0, 4095)
    of = Run(layout).feed(codes.astype(np.uint16))
    second = of.meter.second
    assert second is not None
    found = of.meter.diagnosis(second, *of.meter.readings(second)[:2]).elements
    of.finish()
    assert set(of.registers.values()) == {(0, 0)} and of.edges == []
    assert [finding.verdict for finding in found] == ["no_voltage", "no_voltage"]
    assert of.meter.reactive.values() == [[(0, 0)] * 4] * 3
