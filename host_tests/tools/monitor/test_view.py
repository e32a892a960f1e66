"""What the monitor shows: checked reports, the table, all that the doctor may say, the phasors.

Expected numbers come from the text of the telemetry line, expected places from hand-made geometry.
"""

import copy
import itertools
import json
import math
import random
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from rich.text import Text

from host_tests.rigs.telemetry_lines import line, report, report_of, with_doctor
from threewire.metering.doctor import diagnose
from threewire.operation.faults import NAMES
from tools.cable.door import Misfit
from tools.monitor import phasors as monitor_phasor
from tools.monitor import view as monitor_view
from tools.monitor.link import LIVE, OPEN, PROMPT, SAFE_MODE, WAITING, Standing
from tools.monitor.phasors import Arrow, Canvas
from tools.monitor.report import Report
from tools.monitor.screen import plain_line

HERE = Standing(LIVE, "/dev/ttyACM0", "", 0.4, 0, 0, 0)
LONG_PORT = "/dev/serial/by-id/usb-Adafruit_Feather_RP2040_DF61B0A4C7123456-if00"
GONE = f"{LONG_PORT}: there is no such port; boards are at: /dev/ttyACM1, /dev/ttyUSB0"


def shown(of: Report | None, standing: Standing = HERE, *args: Any) -> list[str]:
    """The view's lines, which fit the terminal they are for."""
    lines = monitor_view.lines(of, standing, *args)
    width, height = args[1:] or (80, 24)
    assert len(lines) <= height
    assert all(line.cell_len <= max(width, 52) for line in lines), [line.plain for line in lines]
    return [line.plain for line in lines]


def row(lines: list[str], label: str) -> list[str]:
    """The table's values of a row."""
    (found,) = [line for line in lines if line.startswith(f" {label} ")]
    # The drawing is beside it.
    return found[len(label) + 1 : 52].split()


def flat(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


# ---- lines of telemetry, checked


def test_a_report_holds_what_the_line_says() -> None:
    said = line(lag_deg=-30, counted=(("overrun", 2),), active=("stuck i1",), lost_frames=80)
    found = report_of(said)
    assert found.t == said["t"] and found.hertz == said["hertz"] and found.leds == said["leds"]
    for element, its in zip(found.elements, said["elements"]):
        for name in ("volts", "amps", "watts", "var", "va", "power_factor", "reversed"):
            assert getattr(element, name) == its[name]
        assert (element.delivered_wh, element.received_wh) == (
            its["delivered_wh"],
            its["received_wh"],
        )
        assert list(element.varh) == its["varh"]
    assert found.total.delivered_wh == said["delivered_wh"]
    assert found.counts == {"overrun": 2} and found.active == ("stuck i1",)
    assert found.lost_frames == 80


def spoiled() -> list[Any]:
    """Lines of which something is missing or not what it must be."""
    found = []
    for path in (
        ("t",),
        ("hertz",),
        ("watts",),
        ("delivered_wh",),
        ("varh",),
        ("leds", "ten"),
        ("demand", "peak"),
        ("elements", 0, "volts"),
        ("elements", 1, "received_wh"),
        ("elements", 1, "reversed"),
        ("doctor", "service"),
        ("doctor", "elements", 1, "text"),
        ("doctor", "elements", 0, "checks"),
        ("faults", "lost_frames"),
    ):
        for value in (..., "x\x1b[2J", [], {}, float("nan"), float("inf"), -1e300, True):
            if path[-1] in ("reversed", "ten") and value is True:
                continue
            if path[-1] == "checks" and value == []:
                continue
            broken = copy.deepcopy(line())
            inner: Any = broken
            for key in path[:-1]:
                inner = inner[key]
            if value is ...:
                del inner[path[-1]]
            else:
                inner[path[-1]] = value
            found.append(pytest.param(broken, id=f"{'.'.join(map(str, path))}={value!r:.12}"))
    return found


@pytest.mark.parametrize("broken", spoiled())
def test_a_line_that_is_not_whole_is_no_report(broken: Any) -> None:
    with pytest.raises(ValueError):
        report_of(broken)


@pytest.mark.parametrize("key", ["elements", "doctor", "faults", "leds", "demand"])
@pytest.mark.parametrize("value", [None, 1, "text", [], [1, 2], [1, 2, 3], {"a": 1}, [[], []]])
def test_nor_is_one_of_another_shape(key: str, value: Any) -> None:
    with pytest.raises(ValueError):
        report_of({**line(), key: value})


def test_a_count_is_a_whole_number() -> None:
    said = line()
    said["faults"]["overrun"] = 1.5
    with pytest.raises(ValueError):
        report_of(said)


# ---- the table


@pytest.mark.parametrize("amps", [(40, 25), (40, -75), (0.35, 180)])
def test_the_table_has_the_lines_numbers(amps: tuple[float, float]) -> None:
    said = line(amps=amps, seconds=3)
    lines = shown(report_of(said))
    of = [*said["elements"], said]
    for label, key, places in (("W", "watts", 1), ("var", "var", 1), ("VA", "va", 1)):
        for text, each in zip(row(lines, label), of, strict=True):
            assert float(text) == pytest.approx(each[key], abs=0.051)
            assert Decimal(text).as_tuple().exponent == -places
    for text, each in zip(row(lines, "V"), said["elements"], strict=True):
        assert float(text) == pytest.approx(each["volts"], abs=0.0051)
    for text, each in zip(row(lines, "A"), said["elements"], strict=True):
        assert float(text) == pytest.approx(each["amps"], abs=0.00051)
    for label, key in (("Wh delivered", "delivered_wh"), ("Wh received", "received_wh")):
        # Cut, not rounded, as on any meter.
        assert row(lines, label) == [each[key][:-6] for each in of]
    for k, quadrant in enumerate(("I", "II", "III", "IV")):
        assert row(lines, f"varh {quadrant}") == [each["varh"][k][:-6] for each in of]
    assert f"{said['hertz']:.3f} Hz  split phase" in flat(lines) or "split phase" in flat(lines)


@pytest.mark.parametrize(
    ("amps", "lag_deg", "words"),
    [
        ((40, 25), 30, ["0.8660 lag"] * 3),
        ((40, 25), -30, ["0.8660 lead"] * 3),
        ((40, 25), 0, ["1.0000"] * 3),
        ((40, 0), 60, ["0.5000 lag", "0.0000", "0.5000 lag"]),
    ],
)
def test_power_factors_have_their_side(
    amps: tuple[float, float], lag_deg: float, words: list[str]
) -> None:
    lines = shown(report(amps=amps, lag_deg=lag_deg))
    found = re.findall(r"\d\.\d+(?: l\w+)?", next(x for x in lines if "power factor" in x)[:52])
    for text, word in zip(found, words, strict=True):
        assert text.split()[1:] == word.split()[1:]
        # A load of nothing is the converter's noise.
        if word != "0.0000":
            assert float(text.split()[0]) == pytest.approx(float(word.split()[0]), abs=6e-4)


def test_a_reversed_element_is_said_to_be() -> None:
    lines = shown(report(amps=(40, -75), seconds=3))
    assert "element 1   2 REVERSED" in lines[5] or "2 REVERSED" in flat(lines)
    assert "element 2" not in flat(lines)


def test_a_century_of_energy_fits() -> None:
    of = report()
    huge = {
        "delivered_wh": "43000000000.123456789",
        "received_wh": "42999999999.987654321",
        "varh": ("43000000001.5",) * 4,
    }
    elements = [replace(e, **huge, volts=288.0, watts=-48000.0, amps=400.0) for e in of.elements]
    of = replace(
        of,
        t=36500 * 86400.0,
        total=replace(of.total, **huge, watts=-96000.0),
        elements=(elements[0], elements[1]),
    )
    lines = shown(of)
    assert row(lines, "Wh delivered") == ["43000000000"] * 3
    assert row(lines, "Wh received") == ["42999999999"] * 3
    assert "metered 36500 d 00:00:00" in flat(lines)


# ---- LEDs


@pytest.mark.parametrize("lit", list(itertools.product([False, True], repeat=3)))
def test_leds(lit: tuple[bool, bool, bool]) -> None:
    of = replace(report(), leds=dict(zip(("kwh", "ten", "reverse"), lit)))
    (text,) = [x for x in monitor_view.lines(of, HERE) if "Kh 1000" in x.plain]
    found = re.findall(r"(███|░░░) (kwh Kh 1000|ten Kh 10|reverse)", text.plain)
    assert [name for _, name in found] == ["kwh Kh 1000", "ten Kh 10", "reverse"]
    assert [led == "███" for led, _ in found] == list(lit)
    at = [match.start() for match in re.finditer("███|░░░", text.plain)]
    colours = [style_at(text, k) for k in at]
    bright = ["bright_green", "bright_green", "bright_red"]
    assert colours == [b if on else "bright_black" for b, on in zip(bright, lit)]


def style_at(text: Text, position: int) -> str:
    (found,) = [str(s.style) for s in text.spans if s.start <= position < s.end]
    return found


# ---- what is said in words


def findings() -> list[Any]:
    """(service, findings) of all that the firmware's doctor comes to."""
    random.seed(1)
    found = {}
    for _ in range(20000):
        volts = [random.choice((120_000_000,) * 9 + (0,)) for _ in "12"]
        amps = [random.choice((10_000_000,) * 6 + (0, 300_000)) for _ in "12"]
        powers = []
        for _ in "12":
            angle = random.uniform(-math.pi, math.pi)
            powers.append((round(1e6 * math.cos(angle)), round(1e6 * math.sin(angle))))
        between = math.radians(random.choice((180, 180, 120, -120, 0, 60)))
        v2_v1 = round(1e6 * math.cos(between)), round(1e6 * math.sin(between))
        its = diagnose(volts, amps, powers, v2_v1, 120)
        found.setdefault(tuple(each.text for each in its.elements), (its.service, its.elements))
    return list(found.values())


@pytest.fixture(scope="module")
def all_findings() -> list[Any]:
    found = findings()
    assert len(found) > 80
    return found


def test_whatever_the_doctor_says_is_shown_whole(all_findings: list[Any]) -> None:
    """In 80 by 24, with the demand and a fault, and in larger terminals."""
    of = replace(
        report(counted=(("overrun", 3),)),
        demand={"watts": 24000.0, "least": -123.5, "most": 48000.25, "peak": 47000.0},
    )
    for (service, elements), size in itertools.product(
        all_findings, ((80, 24), (107, 30), (108, 28), (120, 40), (200, 60))
    ):
        lines = shown(
            with_doctor(of, service, elements), HERE, ("house.csv: 1234567 rows",), *size
        )
        text = flat(lines)
        for element in elements:
            assert element.text in text
            if element.checks:
                named = ", ".join(map(str, element.checks))
                assert f"{element.text} Check {named}." in text
            for check in element.checks:
                assert f"{check} {monitor_view.CHECKS[check]}" in text
        # In a wide terminal these stand beside the drawing.
        text = flat([line[: 52 if size[0] >= 108 else None] for line in lines])
        assert "counted: overrun 3" in text
        assert "24000.0 W in the last 15 min (-123.5 to 48000.2), peak 47000.0 W" in text


def test_with_all_that_can_go_wrong_the_advice_is_still_there(all_findings: list[Any]) -> None:
    """Not connected, a long port name and all faults on top of the longest diagnosis."""
    service, elements = max(all_findings, key=lambda of: sum(len(e.text) for e in of[1]))
    of = with_doctor(report(counted=(("overrun", 3),)), service, elements)
    text = flat(shown(of, replace(HERE, state=WAITING, port="COM3", why="COM3: no such port")))
    assert all(element.text in text for element in elements)
    of = replace(of, counts=dict.fromkeys(NAMES, 2**31), active=tuple(NAMES), lost_frames=9**9)
    lines = shown(of, replace(HERE, state=WAITING, port=LONG_PORT, why=GONE))
    assert GONE in flat(lines) and "NOW: overrun, stuck" in flat(lines)


def test_faults_are_told() -> None:
    of = report(
        counted=(("overrun", 3), ("no_voltage", 1)), active=("no_voltage 2",), lost_frames=400
    )
    of = replace(of, estimated_delivered_wh="1.234567891", estimated_received_wh="0.000000001")
    text = flat(shown(of))
    assert (
        "Faults NOW: no_voltage 2; counted: overrun 3, no_voltage 1; lost frames 400, for which "
        "1.234 Wh delivered and 0.000 Wh received are estimated"
    ) in text
    assert "Faults none" in flat(shown(report()))
    assert "Demand no whole 15 min yet" in flat(shown(report()))


# ---- the connection


@pytest.mark.parametrize(
    ("standing", "says"),
    [
        (HERE, "● live /dev/ttyACM0"),
        (replace(HERE, state=OPEN, age_s=None), "● connected"),
        (replace(HERE, noise=17, reconnections=3, restarts=2), "noise 17 · reconnected 3"),
        (replace(HERE, restarts=2), "noise 0 · restarted 2"),
        (replace(HERE, age_s=754.2), "last line 0:12:34 ago"),
        (replace(HERE, age_s=1.04), "last line 1.0 s ago · metered 0:00:02"),
        (replace(HERE, state=WAITING, port="", why="no board found"), "● waiting"),
        (replace(HERE, state=PROMPT, why="flash it"), "● at the prompt"),
        (replace(HERE, state=SAFE_MODE, why="off and on"), "● safe mode"),
        (replace(HERE, state=WAITING, port=LONG_PORT, why=GONE), LONG_PORT),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_the_connection_is_shown(standing: Standing, says: str, is_there: bool) -> None:
    lines = shown(report() if is_there else None, standing)
    text = flat(lines)
    if is_there or "metered" not in says:
        assert says in text
    assert standing.why in text
    assert "q or Ctrl-C ends" in text or standing.port == LONG_PORT
    assert ("No report of the meter yet" in text) == (not is_there)


def test_what_is_old_is_dimmed() -> None:
    last = monitor_view.lines(report(), replace(HERE, state=WAITING))[-1]
    assert str(last.spans[-1].style) == "bright_black" and last.spans[-1].start == 0
    fresh = monitor_view.lines(report(), HERE)[-1]
    assert fresh.plain == last.plain and "green" in str(fresh.spans[-1].style)


@pytest.mark.parametrize(
    ("width", "height"),
    list(itertools.product((20, 52, 60, 79, 80, 81, 100, 107, 108, 132, 300), (3, 24, 25, 40))),
)
def test_any_size(width: int, height: int) -> None:
    lines = shown(report(), HERE, (), width, height)
    assert lines[0].startswith(" Threewire")
    if height >= 24:
        # Nothing is left out, and nothing comes twice.
        for label in ("V", "Wh delivered", "varh IV", "Demand", "Faults", "Doctor"):
            assert sum(x.startswith(f" {label} ") for x in lines) == 1
        drawn = sum("\u2800" < letter <= "\u28ff" for letter in "".join(lines))
        # The circle is whole, or not there.
        assert drawn > 40 if width >= 80 else drawn == 0
        assert "reverse" in flat(lines) and "60.000 Hz" in flat(lines)
        if width >= 52:
            assert "Element 2 is wired right." in flat(lines)


# ---- phasors


def dots(lines: list[Text]) -> set[tuple[int, int]]:
    """(x, y) of all Braille dots, by Unicode's numbering of them."""
    numbered = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    found = set()
    for row, text in enumerate(lines):
        for column, letter in enumerate(text.plain):
            pattern = ord(letter) - 0x2800
            if 0 < pattern < 256:
                found |= {
                    (2 * column + x, 4 * row + y)
                    for bit, (x, y) in enumerate(numbered)
                    if pattern >> bit & 1
                }
    return found


def drawn(*arrows: Arrow, columns: int = 26, rows: int = 10) -> set[tuple[int, int]]:
    """Dots of arrows alone, without the circle and the names."""
    canvas = Canvas(columns, rows)
    for arrow in arrows:
        canvas.arrow(arrow, "")
    return dots(canvas.lines())


@pytest.mark.parametrize(
    ("degrees", "tip"),
    # 26 by 10 cells are 52 by 40 dots: the center is (26, 20), the radius 19.
    [
        (0, (45, 20)),
        (90, (26, 1)),
        (180, (7, 20)),
        (-90, (26, 39)),
        (30, (42, 11)),  # 26 + 16.45, 20 - 9.5, which is rounded down the screen
        (-60, (36, 36)),  # 26 + 9.5, 20 + 16.45
        (-120, (17, 36)),
    ],
)
def test_an_arrow_ends_where_it_must(degrees: float, tip: tuple[int, int]) -> None:
    found = drawn(Arrow("I1", degrees, 1.0))
    assert tip in found and (26, 20) in found
    # Nothing is further from the center.
    assert max(math.hypot(x - 26, y - 20) for x, y in found) < 19.8
    half = drawn(Arrow("I1", degrees, 0.5))
    assert max(math.hypot(x - 26, y - 20) for x, y in half) < 10.3


def test_the_circle_is_one() -> None:
    found = dots(monitor_phasor.draw([], 40, 15))
    distances = [math.hypot(x - 40, y - 30) for x, y in found]
    assert len(found) > 60 and max(distances) < 29.8 and min(distances) > 28.2


@pytest.mark.parametrize(
    ("amps", "lag_deg", "ahead"),
    [
        ((40, 25), 30, (-30, -30)),
        ((40, 25), -25, (25, 25)),
        ((40, -25), 30, (-30, 150)),
        ((-40, 25), -20, (-160, 20)),
        ((40, 25), 0, (0, 0)),
        ((40, 25), 72, (-72, -72)),
    ],
)
def test_currents_are_where_the_loads_put_them(
    amps: tuple[float, float], lag_deg: float, ahead: tuple[float, float]
) -> None:
    """Angles of the waves that were fed; power factor and vars come from the real meter."""
    of = report(amps=amps, lag_deg=lag_deg, seconds=3)
    for k, expected in enumerate(ahead):
        element = of.elements[k]
        found = monitor_phasor.current_degrees(element, of.hertz)
        assert found == pytest.approx(expected, abs=0.2)
        # The same as power factor and the sign of the vars say, for waves without harmonics.
        angle = math.degrees(math.acos(math.copysign(abs(element.power_factor), element.watts)))
        assert found == pytest.approx(-math.copysign(angle, element.var), abs=1.5)
    by_name = {arrow.name: arrow for arrow in monitor_phasor.arrows(of)}
    assert by_name["V1"].degrees == 0 and by_name["V2"].degrees == 180
    assert by_name["I1"].degrees == pytest.approx(ahead[0], abs=0.2)
    assert by_name["I2"].degrees == pytest.approx(180 + ahead[1], abs=0.2)
    longest = max(abs(a) for a in amps)
    for k, name in enumerate(("I1", "I2")):
        assert by_name[name].length == pytest.approx(0.75 * abs(amps[k]) / longest, rel=5e-3)


def test_what_is_not_known_is_not_drawn() -> None:
    of = report()
    one, two = of.elements
    names = [a.name for a in monitor_phasor.arrows(replace(of, hertz=0.0))]
    assert names == ["V1", "V2"]
    quiet = replace(of, elements=(one, replace(two, amps=0.05)))
    assert [a.name for a in monitor_phasor.arrows(quiet)] == ["V1", "V2", "I1"]
    dead = replace(of, elements=(one, replace(two, volts=0.4, va=0.0)))
    assert [a.name for a in monitor_phasor.arrows(dead)] == ["V1", "I1"]
    assert monitor_phasor.captions(dead) == ["I1 lags V1 by 30.0°", "I2: no angle"]
    nothing = replace(dead, elements=(replace(one, volts=0.0, va=0.0),) * 2)
    assert monitor_phasor.arrows(nothing) == []


def test_captions() -> None:
    assert monitor_phasor.captions(report(amps=(40, -75), lag_deg=-30, seconds=3)) == [
        "I1 leads V1 by 30.0°",
        "I2 lags V2 by 150.0°",
    ]
    of = report()
    assert monitor_phasor.captions(replace(of, service="unknown"))[2] == "V2 against V1: not known"
    wye = replace(of, service="208Y/120")
    assert monitor_phasor.captions(wye)[2] == "V2 120° off, either way"
    assert {a.name: a.degrees for a in monitor_phasor.arrows(wye)}["V2"] == -120
    flipped = json.loads(json.dumps(line()))
    flipped["elements"][0].update(watts=-100.0, var=0.0, va=100.0)
    # Straight back, and no minus zero.
    assert monitor_phasor.captions(report_of(flipped))[0] == "I1 leads V1 by 180.0°"


@pytest.mark.parametrize("rows", [7, 10, 13, 24])
def test_every_name_is_written_once_near_its_tip(rows: int) -> None:
    random.seed(2)
    for _ in range(200):
        arrows = [
            Arrow("V1", 0, 1.0),
            Arrow("V2", random.choice((180, -120)), 0.99),
            Arrow("I1", random.uniform(-180, 180), 0.75),
            Arrow(
                "I2", random.choice((0.0, random.uniform(-180, 180))), random.uniform(0.3, 0.75)
            ),
        ]
        lines = monitor_phasor.draw(arrows, 26, rows)
        canvas = Canvas(26, rows)
        assert all(text.cell_len == 26 for text in lines) and len(lines) == rows
        for arrow in arrows:
            places = [
                (text.plain.index(arrow.name), k)
                for k, text in enumerate(lines)
                if arrow.name in text.plain
            ]
            assert len(places) == 1, (arrow, [text.plain for text in lines])
            ((column, row),) = places
            x, y = canvas.at(arrow.degrees, arrow.length * canvas.radius)
            assert math.hypot(2 * column + 2 - x, 4 * row + 2 - y) < 14


EFFORT = {
    "busy_percent": 14.5,
    "ring_ms": 35,
    "line_late_ms": 9,
    "save_ms": 48,
    "collection_ms": 17,
}
DEMO = {
    "left_s": 412,
    "delivered_wh": "67.488187517",
    "received_wh": "1.000000000",
    "leds": {"kwh": True, "ten": False, "reverse": True},
}


def told(**more: Any) -> str:
    return " ".join("\n".join(shown(report_of(line() | more), HERE, (), 100, 60)).split())


def test_what_the_board_says_of_itself_is_shown() -> None:
    text = told(effort=EFFORT)
    assert "busy 14.5 %" in text and "ring 35 ms" in text and "line 9 ms late" in text
    assert "longest save 48 ms" in text and "collection 17 ms" in text
    # A firmware that does not tell it yet.
    without = line()
    without.pop("effort", None)
    assert report_of(without).effort is None


def test_a_demonstration_is_told_apart() -> None:
    text = told(demo=DEMO)
    assert "DEMO the board's lamps show a made-up house" in text and "412 s more" in text
    assert "DEMO" not in told()
    said = plain_line(report_of(line() | {"demo": DEMO}), datetime.now(UTC))
    assert "DEMO on the lamps, 412 s more" in said


@pytest.mark.parametrize(
    "wrong",
    [
        {"effort": EFFORT | {"busy_percent": 101}},
        {"effort": EFFORT | {"ring_ms": -1}},
        {"demo": DEMO | {"left_s": "many"}},
        {"demo": {"left_s": 1}},
    ],
)
def test_what_is_not_of_its_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misfit):
        report_of(line() | wrong)
