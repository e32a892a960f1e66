"""The drawings: right pins, right numbers, readable, and as the script makes them."""

import ast
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pytest
from matplotlib.ft2font import FT2Font

from threewire.operation.pulse_settings import settings
from tools.common import boards
from tools.drawings import cli as drawings
from tools.drawings import parts as values
from tools.drawings import pinouts as drawing_boards
from tools.drawings.outlines import OUTLINES, split
from tools.drawings.svg import BLUE, GREEN

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "boards" / "README.md").read_text(encoding="utf-8")
FLOWING = " ".join(README.split())
BOARDS = (
    *("arduino_nano_rp2040_connect", "esp32_devkitc", "esp32c3_devkitm", "esp32s3_devkitc"),
    *("feather_rp2040", "feather_rp2350", "pico", "pico2", "pico2_w", "pico_w", "qtpy_rp2040"),
    *("waveshare_rp2350_zero", "xiao_esp32s3", "xiao_rp2040", "xiao_rp2350"),
)

# From the makers' pinouts, by GPIO: the name at the pad, and the pad's number counted as on a DIP:
# down the left side and up the right one.
_PICO = {
    26: ("GP26", 31), 27: ("GP27", 32), 28: ("GP28", 34),
    14: ("GP14", 19), 11: ("GP11", 15), 13: ("GP13", 17), 12: ("GP12", 16),
}  # fmt: skip
PADS = {
    "pico": _PICO,
    "pico_w": _PICO,
    "pico2": _PICO,
    "pico2_w": _PICO,
    "feather_rp2040": {
        26: ("A0", 5), 27: ("A1", 6), 28: ("A2", 7), 29: ("A3", 8),
        13: ("13", 25), 12: ("12", 24), 11: ("11", 23), 10: ("10", 22),
    },
    "feather_rp2350": {
        26: ("A0", 5), 27: ("A1", 6), 28: ("A2", 7), 29: ("A3", 8),
        7: ("7", 25), 4: ("4", 24), 11: ("11", 23), 10: ("10", 22),
    },
    "qtpy_rp2040": {
        29: ("A0", 1), 28: ("A1", 2), 27: ("A2", 3), 26: ("A3", 4),
        24: ("SDA", 5), 25: ("SCL", 6), 20: ("TX", 7), 3: ("MO", 11),
    },
    "arduino_nano_rp2040_connect": {
        26: ("A0", 4), 27: ("A1", 5), 28: ("A2", 6), 29: ("A3", 7),
        25: ("D2", 20), 16: ("D4", 22), 17: ("D5", 23), 18: ("D6", 24),
    },
    "xiao_rp2040": {
        26: ("D0/A0", 1), 27: ("D1/A1", 2), 28: ("D2/A2", 3), 29: ("D3/A3", 4),
        6: ("D4", 5), 7: ("D5", 6), 3: ("D10", 11),
    },
    "xiao_rp2350": {
        26: ("D0/A0", 1), 27: ("D1/A1", 2), 28: ("D2/A2", 3),
        6: ("D4", 5), 7: ("D5", 6), 2: ("D8", 9), 3: ("D10", 11),
    },
    "waveshare_rp2350_zero": {
        29: ("29", 4), 28: ("28", 5), 27: ("27", 6), 26: ("26", 7),
        2: ("2", 16), 3: ("3", 15), 4: ("4", 14), 5: ("5", 13),
    },
    "esp32_devkitc": {
        36: ("VP", 3), 39: ("VN", 4), 34: ("34", 5), 35: ("35", 6), 33: ("33", 8),
        25: ("25", 9), 26: ("26", 10), 27: ("27", 11),
    },
    "esp32s3_devkitc": {
        4: ("4", 4), 5: ("5", 5), 6: ("6", 6), 7: ("7", 7),
        15: ("15", 8), 16: ("16", 9), 17: ("17", 10), 18: ("18", 11),
    },
    "xiao_esp32s3": {
        1: ("D0", 1), 2: ("D1", 2), 3: ("D2", 3), 4: ("D3", 4),
        5: ("D4", 5), 6: ("D5", 6), 7: ("D8", 9), 9: ("D10", 11),
    },
    "esp32c3_devkitm": {
        3: ("IO3", 5), 0: ("IO0", 9), 1: ("IO1", 10), 10: ("IO10", 11),
        4: ("IO4", 20), 5: ("IO5", 21), 6: ("IO6", 22), 7: ("IO7", 23),
    },
}  # fmt: skip
# On the board, without a pad.
NO_PAD = {("xiao_rp2040", 17)}
PAD_COUNT = {
    **dict.fromkeys(("pico", "pico_w", "pico2", "pico2_w"), 40),
    **dict.fromkeys(("feather_rp2040", "feather_rp2350"), 28),
    **dict.fromkeys(("xiao_rp2040", "xiao_rp2350", "xiao_esp32s3", "qtpy_rp2040"), 14),
    "arduino_nano_rp2040_connect": 30,
    "waveshare_rp2350_zero": 18,
    "esp32_devkitc": 38,
    "esp32s3_devkitc": 44,
    "esp32c3_devkitm": 30,
}
# Supply pads by number, that must never be taken for another.
_PICO_SUPPLIES = {36: "3V3", 33: "AGND", 38: "GND", 39: "VSYS", 40: "VBUS", 3: "GND", 23: "GND"}
_FEATHER_SUPPLIES = {2: "3.3V", 3: "3.3V", 4: "GND", 26: "USB", 28: "Bat"}
_XIAO_SUPPLIES = {14: "5V", 13: "GND", 12: "3V3"}
SUPPLIES = {
    **dict.fromkeys(("pico", "pico_w", "pico2", "pico2_w"), _PICO_SUPPLIES),
    "feather_rp2040": {**_FEATHER_SUPPLIES, 27: "En"},
    "feather_rp2350": {**_FEATHER_SUPPLIES, 27: "EN", 16: "PCS"},
    **dict.fromkeys(("xiao_rp2040", "xiao_rp2350", "xiao_esp32s3"), _XIAO_SUPPLIES),
    "qtpy_rp2040": {14: "5V", 13: "GND", 12: "3V"},
    "arduino_nano_rp2040_connect": {
        2: "3V3", 3: "AREF", 12: "VUSB", 13: "REC", 14: "GND", 15: "VIN", 18: "RST", 19: "GND",
    },
    "waveshare_rp2350_zero": {1: "5V", 2: "GND", 3: "3V3"},
    "esp32_devkitc": {1: "3V3", 14: "GND", 19: "5V", 38: "GND", 32: "GND"},
    "esp32s3_devkitc": {1: "3V3", 2: "3V3", 21: "5V", 22: "G", 23: "G", 24: "G", 44: "G"},
    "esp32c3_devkitm": {
        1: "GND", 2: "3V3", 3: "3V3", 6: "GND", 13: "5V", 14: "5V", 15: "GND", 16: "GND",
        19: "GND", 24: "GND", 27: "GND", 30: "GND",
    },
}  # fmt: skip
LABELS = {
    "i1": "CT 1", "v1": "line 1 voltage", "i2": "CT 2", "v2": "line 2 voltage",
    "kwh": "1000 Wh LED (left)", "ten": "10 Wh LED (right)", "reverse": "REVERSE LED",
    "seal": "seal",
}  # fmt: skip
NOT_USED = "#8c959f"


@dataclass
class Text:
    text: str
    x0: float
    x1: float
    base: float
    size: float


@cache
def font(bold: bool) -> FT2Font:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name))


@cache
def svg(path: str) -> ET.Element:
    return ET.fromstring(drawings.makers()[path]().to_svg())


def tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


@cache
def texts(path: str) -> tuple[Text, ...]:
    """All texts as wide as DejaVu Sans makes them, the widest of the fonts that are asked for."""
    found = []
    for element in svg(path):
        if tag(element) != "text":
            continue
        size = float(element.get("font-size", "0"))
        face = font(element.get("font-weight") == "bold")
        face.set_size(size, 72)
        face.set_text(element.text or "", 0)
        width = face.get_width_height()[0] / 64
        x = float(element.get("x", "nan"))
        x -= {"start": 0, "middle": width / 2, "end": width}[element.get("text-anchor", "start")]
        found.append(Text(element.text or "", x, x + width, float(element.get("y", "nan")), size))
    return tuple(found)


def pads(name: str) -> list[tuple[str, float, float, str]]:
    """Colour, x, y and printed name of each pad, counted as on a DIP."""
    path = f"boards/{name}.svg"
    rings = [
        (float(c.get("cx", "nan")), float(c.get("cy", "nan")), c.get("fill", ""))
        for c in svg(path)
        if tag(c) == "circle" and c.get("r") == "8"
    ]
    middle = svg(path).get("width")
    assert middle is not None
    left = sorted((y, x, fill) for x, y, fill in rings if x < float(middle) / 2)
    right = sorted(((y, x, fill) for x, y, fill in rings if x > float(middle) / 2), reverse=True)
    found = []
    for y, x, fill in left + right:
        toward = 1 if (y, x, fill) in left else -1
        beside = [
            t for t in texts(path)
            if abs(t.base - y - 4.5) < 1 and (t.x0 - x if toward > 0 else x - t.x1) > 0
        ]  # fmt: skip
        nearest = min(beside, key=lambda t: abs((t.x0 if toward > 0 else t.x1) - x))
        found.append((fill, x, y, nearest.text))
    return found


def wanted(name: str) -> dict[int, str]:
    """GPIO -> label, straight from the board file."""
    board = boards.module(name)
    found = {pin: LABELS[what] for what, pin in board.SLOTS}
    found.update({pin: LABELS[what] for what, (pin, _) in board.LEDS.items()})
    found[board.SEAL] = LABELS["seal"]
    return found


# --- Pinouts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOARDS)
def test_every_pin_of_the_board_file_is_at_its_pad(name):
    path = f"boards/{name}.svg"
    there = pads(name)
    assert len(there) == PAD_COUNT[name]
    for gpio, label in wanted(name).items():
        marks = [t for t in texts(path) if t.text == f"GPIO{gpio}"]
        assert len(marks) == 1
        if (name, gpio) in NO_PAD:
            continue
        printed, number = PADS[name][gpio]
        fill, x, y, shown = there[number - 1]
        assert shown == printed
        assert fill != NOT_USED
        assert abs(marks[0].base - y - 4.5) < 1
        flags = [t for t in texts(path) if t.text == label and abs(t.base - y - 4.5) < 1]
        assert len(flags) == 1
        assert (flags[0].x0 > x) == (marks[0].x0 > x), "the label is on the pad's side"


@pytest.mark.parametrize("name", BOARDS)
def test_only_the_pins_of_the_board_file_are_highlighted(name):
    lit = {k + 1 for k, (fill, *_) in enumerate(pads(name)) if fill != NOT_USED}
    supplies = ("GND", "AGND", "G", "3V3", "3.3V", "3V")
    power = {k + 1 for k, pad in enumerate(pads(name)) if pad[3] in supplies}
    assert lit - power == {PADS[name][gpio][1] for gpio in wanted(name) if gpio in PADS[name]}
    assert {t.text for t in texts(f"boards/{name}.svg") if t.text.startswith("GPIO")} == {
        f"GPIO{gpio}" for gpio in wanted(name)
    }


@pytest.mark.parametrize("name", BOARDS)
def test_supply_pads(name):
    there = pads(name)
    for number, printed in SUPPLIES[name].items():
        assert there[number - 1][3] == printed


def test_the_led_on_the_xiao_is_called_out():
    found = {t.text: t.base for t in texts("boards/xiao_rp2040.svg")}
    assert found["GPIO17"] == found["REVERSE LED"] == found["is on the board"]


def test_a_derived_voltage_is_said_to_have_no_pin():
    for name in BOARDS:
        said = any("Line 2 voltage has no pin" in t.text for t in texts(f"boards/{name}.svg"))
        assert said == (name.startswith("pico") or name == "xiao_rp2350")


@pytest.mark.parametrize(
    ("name", "volts"),
    [
        ("esp32_devkitc", "2.45"),
        ("esp32s3_devkitc", "3.1"),
        ("xiao_esp32s3", "3.1"),
        ("esp32c3_devkitm", "2.5"),
    ],
)
def test_where_a_converter_ceases_to_be_straight_is_said(name, volts):
    """By ESP-IDF's guides, at 11 dB."""
    said = " ".join(t.text for t in texts(f"boards/{name}.svg"))
    assert f"on ADC1 only. Their straight range ends at {volts} V:" in said


def test_the_pads_along_the_edge_are_named_and_not_used():
    path = "boards/waveshare_rp2350_zero.svg"
    places = sorted(
        (float(c.get("cx", "nan")), float(c.get("cy", "nan")))
        for c in svg(path)
        if tag(c) == "circle" and c.get("r") == "7" and c.get("stroke") == NOT_USED
    )
    named = [
        [t.text for t in texts(path) if abs((t.x0 + t.x1) / 2 - x) < 1 and 0 < y - t.base < 15]
        for x, y in places
    ]
    assert named == [["13"], ["12"], ["11"], ["10"], ["9"]]


def test_a_pin_that_the_board_does_not_have_is_refused(monkeypatch, capsys, tmp_path):
    wrong = SimpleNamespace(**vars(boards.module("pico")))
    wrong.SEAL = 23  # the Pico's own regulator
    real = boards.module
    monkeypatch.setattr(boards, "module", lambda name: wrong if name == "pico" else real(name))
    assert drawings.main(["--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: boards/pico\.py: GPIO23 \(seal\) is on no header.*\n", said)
    assert list(tmp_path.iterdir()) == []


def test_a_board_without_an_outline_has_no_drawing(monkeypatch):
    monkeypatch.setattr(boards, "names", lambda: [*BOARDS, "own_board"])
    assert drawing_boards.drawn() == list(BOARDS) == sorted(OUTLINES)


# --- Pulse outputs ------------------------------------------------------------------------------


def test_the_pins_for_pulses_are_free_and_at_their_pads():
    rows = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \| `(\{.*\})` \|$", README, re.MULTILINE
    )
    named = set()
    for names, pads_said, said in rows:
        pulses = ast.literal_eval(said)
        for name in re.findall(r"`(\w+)`", names):
            named.add(name)
            board = SimpleNamespace(**vars(boards.module(name)), PULSES=pulses)
            settings(board, boards.load(name))
            printed = dict(
                (gpio, pad)
                for pad, gpio in map(split, OUTLINES[name].left + OUTLINES[name].right)
                if gpio is not None
            )
            assert [printed[gpio] for gpio in pulses.values()] == pads_said.split(", ")
    assert named == set(BOARDS) - {"esp32c3_devkitm"}


def test_an_optocoupler_carries_what_s0_asks_for():
    """By hand: 2.1 V across 470 ohms are 4.47 mA, and six times that is 26.8 mA."""
    assert values.opto_a() == pytest.approx(4.47e-3, rel=1e-3)
    assert values.S0_LEAST_A < values.opto_out_a() < values.S0_MOST_A
    assert values.S0_MOST_V < values.OPTO_MOST_V
    assert "(3.3 V - 1.2 V) / 470 Ω = 4.5 mA" in FLOWING and "4.5 mA × 600 % = 27 mA" in FLOWING


# --- The files --------------------------------------------------------------------------------


def test_files_are_as_drawn_and_the_same_in_every_process():
    done = subprocess.run(
        [sys.executable, "-m", "tools.drawings", "--check"], cwd=ROOT, capture_output=True,
        text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(f.name for f in (ROOT / "boards").glob("*.svg")) == sorted(
        Path(path).name for path in drawings.makers() if path.startswith("boards/")
    )


def test_check_names_what_differs(tmp_path, capsys):
    assert drawings.main(["--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == list(drawings.makers())
    assert drawings.main(["--out", str(tmp_path), "--check"]) == 0
    with (tmp_path / "boards" / "pico.svg").open("ab") as file:
        file.write(b"\n")
    (tmp_path / "boards" / "wiring.svg").unlink()
    assert drawings.main(["--out", str(tmp_path), "--check"]) == 1
    named = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(named) == ["boards/pico.svg", "boards/wiring.svg"]


def test_bad_folder_is_one_line_and_status_2(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (tmp_path / "none", file):
        assert drawings.main(["--out", str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: --out ") and said.count("\n") == 1
    (tmp_path / "boards").write_text("")
    assert drawings.main(["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("path", drawings.makers())
def test_svg_is_plain_and_stands_on_a_white_sheet(path):
    source = drawings.makers()[path]().to_svg()
    assert not re.search(r"<script|href|<style|<image| transform=|20\d\d-\d\d", source)
    root = svg(path)
    assert [tag(e) for e in root][:2] == ["title", "desc"]
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    sheet = next(e for e in root if tag(e) == "rect")
    assert sheet.get("fill") == "#ffffff" and float(sheet.get("rx", "0")) > 0
    assert float(sheet.get("width", "0")) == float(root.get("width", "0")) - 1
    assert min(t.size for t in texts(path)) >= 11


@pytest.mark.parametrize("path", drawings.makers())
def test_no_text_is_cut_off_or_lies_on_another(path):
    width, height = (float(svg(path).get(key, "nan")) for key in ("width", "height"))
    there = texts(path)
    for t in there:
        assert t.x0 >= 6 and t.x1 <= width - 6, t.text
        assert t.base - t.size >= 6 and t.base + 0.25 * t.size <= height - 6, t.text
    for k, a in enumerate(there):
        for b in there[k + 1 :]:
            apart = a.x1 <= b.x0 or b.x1 <= a.x0
            over = a.base <= b.base - 0.75 * b.size or b.base <= a.base - 0.75 * a.size
            assert apart or over, (a.text, b.text)


@pytest.mark.parametrize("path", drawings.makers())
def test_no_wire_runs_through_a_text(path):
    """But for a text in a small box of its own, which hides the wire behind it."""
    boxes: list[tuple[float, float, float, float]] = []
    wires: list[tuple[float, float, float, float]] = []
    for element in svg(path):
        if tag(element) == "rect" and element.get("fill") != "none":
            x, y, w, h = (float(element.get(key, "nan")) for key in ("x", "y", "width", "height"))
            boxes.append((x, y, x + w, y + h))
        elif tag(element) == "polyline":
            points = [tuple(map(float, p.split(","))) for p in element.get("points", "").split()]
            for (ax, ay), (bx, by) in pairwise(points):
                if ax == bx or ay == by:
                    wires.append((min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)))
    for t in texts(path):
        top, bottom = t.base - 0.7 * t.size, t.base + 0.05 * t.size
        middle = ((t.x0 + t.x1) / 2, (top + bottom) / 2)
        inner = [b for b in boxes if b[0] < middle[0] < b[2] and b[1] < middle[1] < b[3]]
        if any(b[3] - b[1] < 30 for b in inner):  # a label in a box of its own
            continue
        for x0, y0, x1, y1 in wires:
            assert x1 <= t.x0 or x0 >= t.x1 or y1 <= top or y0 >= bottom, (
                t.text,
                (x0, y0, x1, y1),
            )


def test_the_front_has_its_three_leds():
    found = texts("boards/front_panel.svg")
    said = " ".join(t.text for t in found)
    for words in (
        "1000 Wh cycle: 500 on, 500 off", "10 Wh cycle: 5 on, 5 off",
        "REVERSE if lit, installation is wrong, unless it exports",
    ):  # fmt: skip
        assert words in said
    leds = [
        (float(c.get("cx", "nan")), c.get("fill"))
        for c in svg("boards/front_panel.svg")
        if c.get("fill") in ("url(#green-lens)", "url(#red-lens)")
    ]
    at = {t.text: (t.x0 + t.x1) / 2 for t in found}
    assert sorted(x for x, fill in leds if fill == "url(#green-lens)") == pytest.approx(
        [at["1000 Wh cycle:"], at["10 Wh cycle:"]], abs=1
    )
    assert [x for x, fill in leds if fill == "url(#red-lens)"] == pytest.approx(
        [at["REVERSE"]], abs=1
    )


def test_fuses_are_at_their_taps():
    """Inside the panel, each right beside the dot on its line, before the wire goes anywhere."""
    root = svg("boards/wiring.svg")
    panel = next(e for e in root if tag(e) == "rect" and e.get("stroke-dasharray"))
    left = float(panel.get("x", "nan"))
    right = left + float(panel.get("width", "nan"))
    dots = {
        (float(e.get("cx", "nan")), float(e.get("cy", "nan")))
        for e in root
        if tag(e) == "circle" and e.get("r") == "5.5"
    }
    fuses = [
        tuple(float(e.get(key, "nan")) for key in ("x", "y", "width", "height"))
        for e in root
        if tag(e) == "rect" and e.get("height") == "18"
    ]
    names = {t.text: t for t in texts("boards/wiring.svg") if t.text in ("F1", "F2")}
    assert len(dots) == 3 and len(fuses) == len(names) == 2
    for name, (x, y, width, height) in zip(("F1", "F2"), fuses):
        assert left < x and x + width < right
        assert any(0 < x - dot_x < 20 and dot_y == y + height / 2 for dot_x, dot_y in dots)
        assert x < names[name].x0 and names[name].x1 < x + width
        assert 0 < y - names[name].base < 10


def test_the_checks_are_in_the_order_of_the_readme():
    """The page numbers them 1 to 3, as the meter's verdicts do."""
    asked = re.findall(r"^([123])\. \*\*(.+?\?)\*\*", README, re.M)
    assert [number for number, _ in asked] == ["1", "2", "3"]
    chart = [t for t in sorted(texts("boards/reverse.svg"), key=lambda t: t.base)]
    shown = [t.text for t in chart if re.match(r"[123]  ?", t.text)]
    for (number, question), line, word in zip(asked, shown, ("CT", "voltage", "wires")):
        assert line.startswith(number) and word in line and word in question


def test_the_chart_has_no_dead_end():
    """From every box an arrow goes on, but from those in green, with which all is done; and what
    is mended leads on to the next question."""
    root = svg("boards/reverse.svg")
    rects = [
        (*(float(e.get(key, "nan")) for key in ("x", "y", "width", "height")), e.get("stroke"))
        for e in root
        if tag(e) == "rect" and e.get("rx") == "10"
    ]
    lines = [
        [tuple(map(float, p.split(","))) for p in e.get("points", "").split()]
        for e in root
        if tag(e) == "polyline"
    ]

    def leaves(x: float, y: float, left: float, top: float, width: float, height: float) -> bool:
        at_side = x in (left, left + width) and top <= y <= top + height
        at_end = y in (top, top + height) and left <= x <= left + width
        return at_side or at_end

    ends = [of for of in rects if not any(leaves(*line[0], *of[:4]) for line in lines)]
    assert [of[4] for of in ends] == [GREEN, GREEN]
    assert len([of for of in rects if of[4] == BLUE]) == 3


# --- The numbers ------------------------------------------------------------------------------

COUNT = 3.3 / 4096
COUNT_3V = 3.0 / 4096


def test_boards_state_the_front_end_that_is_drawn():
    for name in BOARDS:
        board = boards.module(name)
        assert round(values.AMPS_A_COUNT * 1e9) == board.NA_PER_COUNT
        assert round(values.VOLTS_A_COUNT * 1e9) == board.NV_PER_COUNT
        assert board.CLASS_AMPS == values.CLASS_AMPS
        assert (board.NOMINAL_VOLTS, board.NOMINAL_HZ) == (120, 60)


@pytest.mark.parametrize(
    ("exact", "taken"),
    [(10.742, 10.7), (21.484, 21.5), (820.3, 820), (11516, 11500), (22259, 22100), (98.9, 100),
     (9.9, 10), (0.976, 0.976), (47.2, 47), (4990, 4990)],
)  # fmt: skip
def test_preferred_values(exact, taken):
    assert values.preferred_ohm(exact) == taken


def test_currents():
    ct = values.CT_100MA
    assert ct.exact_burden_ohm == pytest.approx(3.3 * 2000 / 4096 / 0.15)
    assert (ct.burden_ohm, values.CT_5A.burden_ohm) == (10.7, 21.5)
    assert ct.burden_v(200) == pytest.approx(0.1 * 10.7)
    assert ct.burden_w(200) == pytest.approx(0.1 * 0.1 * 10.7)
    assert values.nano(ct.amps_a_count) == round(1e9 * COUNT / 10.7 * 2000)
    assert values.CT_5A.exact_burden_ohm == pytest.approx(COUNT / (0.15 / 40 / 100))
    assert values.CT_5A.burden_w(200) == pytest.approx(0.05**2 * 21.5)
    assert values.nano(values.CT_5A.amps_a_count) == round(1e9 * COUNT / 21.5 * 4000)
    assert pytest.approx(200 * COUNT / 0.333) == values.CT_333MV_AMPS_A_COUNT
    assert pytest.approx(3.21) == values.CT_333MV_GAIN
    assert pytest.approx(200 * COUNT / 0.333 / 3.21) == values.CT_333MV_AMPLIFIED_AMPS_A_COUNT
    assert values.clip_peak(0.15) == pytest.approx(307.2)
    assert values.sine_peak_counts(200, 0.15) == pytest.approx(200 * 2**0.5 / 0.15)
    # The mean of |sin| is 2 / pi: 0.1 A rms at 6.4 V.
    assert values.open_burden_w(ct, 200) == pytest.approx(0.1 * 2**0.5 * 2 / math.pi * 6.4)
    assert pytest.approx(25 * 0.0172 * 10 / 2.5) == values.LEAD_VA


def test_voltages():
    assert pytest.approx(0.00732421875) == values.EXACT_VOLTS_OUT
    assert (values.HIGH_OHM, values.ZMPT_BURDEN_OHM, values.ESP32_HIGH_OHM) == (11500, 820, 21500)
    # One volt of mains is 11/120 V, of which the divider leaves 1 of 12.5.
    assert values.TRANSFORMER.volts_a_count == pytest.approx(COUNT / (11 / 120 / 12.5))
    assert values.TRANSFORMER.filter_ohm == pytest.approx(1 / (1 / 1000 + 1 / 11500) + 100)
    assert values.ZMPT.volts_a_count == pytest.approx(COUNT / (820 / 112000))
    assert pytest.approx(120 / 112) == values.ZMPT_MA
    assert values.zmpt_series_w(138) == pytest.approx(138**2 / 112000 / 2)
    assert values.clip_peak(values.TRANSFORMER.volts_a_count) == pytest.approx(225.0)
    assert pytest.approx(121 / 12500) == values.DIVIDER_W


def test_filter():
    ohm, farad = 1010.7, 47e-9
    tau = ohm * farad
    assert values.corner_hz(ohm, farad) == pytest.approx(1 / tau / 2 / math.pi)
    assert values.delay_us(ohm, farad) == pytest.approx(47.5, abs=0.05)
    response = 1 / (1 + 2j * math.pi * 60 * tau)
    assert values.gain_at(ohm, farad, 60) == pytest.approx(abs(response))
    lag = -math.degrees(math.atan2(response.imag, response.real))
    assert values.lag_deg(ohm, farad, 60) == pytest.approx(lag)
    assert values.lag_us(360, 60) == pytest.approx(1e6 / 60)
    # All inputs lag alike, to what 1 % and 5 % parts differ by anyway.
    lags = [ohm, values.TRANSFORMER.filter_ohm, values.ZMPT.filter_ohm]
    assert max(lags) / min(lags) < 1.03


def test_bias_share_by_solving_the_circuit():
    """Source of 1 V from the bias, Rg and C to ground; the bias has 5 kohm and 10 uF to ground."""
    omega = 2 * math.pi * 60
    through_filter = 1 / (1000 + 1 / (1j * omega * 47e-9))
    of_bias = 1 / 5000 + 1j * omega * 10e-6
    # Kirchhoff at the bias: of_bias * vb + through_filter * (vb + 1) = 0.
    vb = -through_filter / (of_bias + through_filter)
    assert values.bias_share() == pytest.approx(abs(vb), rel=0.01)
    assert vb.real < 0 and abs(vb.imag) < 0.1 * abs(vb.real)
    amps = 120 / 0.11 * vb.real * 0.15
    assert values.phantom_w(120) == pytest.approx(120 * amps, rel=0.01)


def test_clamps_and_leds():
    assert values.clamp_ma(9.2, 1000) == pytest.approx(1.65 + 9.2 - 3.3 - 0.4)
    assert values.led_ma(2.1) == pytest.approx(1.2 / 0.33)
    assert max(values.led_ma(values.GREEN_V), values.led_ma(values.RED_V)) < 12
    # The highest peaks stay within an ESP32's straight range.
    assert values.esp32_swing_v() == pytest.approx(0.8)
    assert values.ESP32_CT.burden_v(200 * 2**0.5) < 0.8
    assert 138 * 2**0.5 / values.ESP32_VOLTS_A_COUNT * COUNT < 0.8


def test_the_reference_has_the_current_that_it_needs():
    """By solving R7, the bias, the converter and the LM4040 at the rail's ends."""
    for rail, shunt, shown in (
        (3.3 * 0.97, 3.0 + 0.045, values.shunt_least_a()),
        (3.3 * 1.03, 3.0 - 0.045, values.shunt_most_a()),
    ):
        through = (rail - shunt) / 200
        # The bias's share moves with the voltage: by 1.5 % of 0.15 mA, which is nothing here.
        assert shown == pytest.approx(through - 150e-6 - shunt / 20e3, abs=3e-6)
        assert 70e-6 < shown < 15e-3
    assert values.most_vref_ohm() > 200
    at_most = (3.3 * 0.97 - 3.045) / values.most_vref_ohm()
    assert at_most == pytest.approx(70e-6 + 150e-6 + 150e-6)
    assert values.rail_ppm(1) == pytest.approx(0.033 / 200 * 0.9 / 3.0 * 1e6)


def test_the_parts_for_3_volts_keep_the_front_end():
    """Each is the nearest there is to 10/11 of the signal that 3.3 V ask for."""
    assert (values.SHUNT_CT_100MA.burden_ohm, values.SHUNT_CT_5A.burden_ohm) == (9.76, 19.6)
    assert (values.SHUNT_FEEDBACK_OHM, values.SHUNT_HIGH_OHM) == (19_100, 12_700)
    assert values.SHUNT_ZMPT_BURDEN_OHM == 750
    for amps in (
        values.SHUNT_CT_100MA.amps_a_count,
        values.SHUNT_CT_5A.amps_a_count,
        values.SHUNT_CT_333MV_AMPLIFIED_AMPS_A_COUNT,
    ):
        assert amps == pytest.approx(0.15, rel=0.01)
        assert 200 * 2**0.5 / amps < 2048
    for input_ in (values.SHUNT_TRANSFORMER, values.SHUNT_ZMPT):
        assert input_.volts_a_count == pytest.approx(0.11, rel=0.01)
        assert input_.filter_ohm == pytest.approx(1000, rel=0.08)
    # And what is left as it is does not reach 200 A.
    assert values.clip_peak(values.SHUNT_AMPS_A_COUNT) < 200 * 2**0.5


# What the page and the drawings say, by formulas of their own.
SHOWN = {
    "10.74 Ω": COUNT / (0.15 / 2000),
    "21.48 Ω": COUNT / (0.15 / 4000),
    "0.8057 mV": COUNT * 1e3,
    "150591414": 1e9 * COUNT / 10.7 * 2000,
    "149890988": 1e9 * COUNT / 21.5 * 4000,
    "483882320": 1e9 * COUNT / 0.333 * 200,
    "150742156": 1e9 * COUNT / 0.333 * 200 / 3.21,
    "0.4839 A": COUNT / 0.333 * 200,
    "0.1507 A": COUNT / 0.333 * 200 / 3.21,
    "585 counts": 0.333 * 2**0.5 / COUNT,
    "0.107 W": 0.1**2 * 10.7,
    "0.054 W": 0.05**2 * 21.5,
    "1.07 V": 0.1 * 10.7,
    "1.075 V": 0.05 * 21.5,
    "0.58 W": 0.1 * 2**1.5 / math.pi * 6.4,
    "0.069 Ω": 0.0172 * 10 / 2.5,
    "1.72 VA": 25 * 0.0172 * 10 / 2.5,
    "1886 counts": 200 * 2**0.5 / 0.15,
    "1774 counts": 138 * 2**0.5 / 0.11,
    "307 A": 2048 * 0.15,
    "308 A": 2048 * COUNT / 10.7 * 2000,
    "225 V": 2048 * 0.11,
    "7.324 mV": 1e3 * COUNT / 0.11,
    "12.52": 11 / 120 * 0.11 / COUNT,
    "11.52 kΩ": 11 / 120 * 0.11 / COUNT - 1,
    "109863281": 1e9 * COUNT / (11 / 120 / 12.5),
    "9.7 mW": 1e3 * 11**2 / 12500,
    "920 Ω": 1 / (1 / 1000 + 1 / 11500),
    "820.3 Ω": COUNT / (0.11 / 112000),
    "110041921": 1e9 * COUNT / (820 / 112000),
    "1.07 mA": 120 / 112,
    "64 mW": 120**2 / 112 / 2,
    "85 mW": 138**2 / 112 / 2,
    "15.4 µs": 20 / 60 / 360 / 60 * 1e6,
    "3.35 kHz": 1 / (2 * math.pi * 1010.7 * 47e-9) / 1e3,
    "47.5 µs": 1010.7 * 0.047,
    "47.9 µs": 1020 * 0.047,
    "47.0 µs": 1000 * 0.047,
    "1.03°": math.degrees(math.atan(2 * math.pi * 60 * 1010.7 * 47e-9)),
    "55.6 µs": 1.2 / 360 / 60 * 1e6,
    "32 %": 100 / math.hypot(1, 2 * math.pi * 9940 * 1010.7 * 47e-9),
    "0.8 %": 100 - 100 / math.hypot(1, 2 * math.pi * 420 * 1010.7 * 47e-9),
    "716 Hz": 1 / (2 * math.pi * 1010.7 * 220e-9),
    "222 µs": 1010.7 * 0.22,
    "0.47 %": 100 * 47e-9 / 10e-6,
    "92 W": 120 / 0.11 * 0.0047 * 0.15 * 120,
    "0.25 s": 5 * 5000 * 10e-6,
    "7.1 mA": 1.65 + 9.2 - 3.3 - 0.4,
    "29 mA": 4 * (1.65 + 9.2 - 3.3 - 0.4),
    "3.6 mA": (3.3 - 2.1) / 0.33,
    "4.2 mA": (3.3 - 1.9) / 0.33,
    "286713190": 1e9 * COUNT / 5.62 * 2000,
    "197753906": 1e9 * COUNT / (11 / 120 / 22.5),
    # With an LM4040 of 3.0 V.  In mA of R7's 200 ohms: a rail 3 % off, 45 mV either way.
    "0.7324 mV": 1e3 * COUNT_3V,
    "0.78 mA": (3.3 * 0.97 - 3.045) / 0.2,
    "0.15 mA": 3.0 / 20,
    "0.48 mA": (3.3 * 0.97 - 3.045) / 0.2 - 0.15 - 3.0 / 20,
    "1.9 mA": (3.3 * 1.03 - 2.955) / 0.2 - 0.15 - 3.0 / 20,
    "0.42 kΩ": (3.3 * 0.97 - 3.045) / (0.07 + 0.15 + 3.0 / 20),
    "0.4 mA": (3.3 * 0.97 - 3.045) / 0.2 - 0.15 - 3.0 / 20 - 0.07,
    "136363636": 1e9 * 0.15 * 3.0 / 3.3,
    "100000000": 1e9 * 0.11 * 3.0 / 3.3,
    "279 A": 2048 * 0.15 * 3.0 / 3.3,
    "197 A": 2048 * 0.15 * 3.0 / 3.3 / 2**0.5,
    "150086450": 1e9 * COUNT_3V / 9.76 * 2000,
    "149473852": 1e9 * COUNT_3V / 19.6 * 4000,
    "439893018": 1e9 * COUNT_3V / 0.333 * 200,
    "151165986": 1e9 * COUNT_3V / 0.333 * 200 / 2.91,
    "109463778": 1e9 * COUNT_3V / (11 / 120 / 13.7),
    "109375000": 1e9 * COUNT_3V / (750 / 112000),
    # 3.3 V less or more by 1 % is 33 mV, across 200 ohms and 0.9: and twice that in energy.
    "0.01 %": 2 * 0.033 / 200 * 0.9 / 3.0 * 100,
    "0.075 %": 2 * 15e-6 * 25 * 100,
    "0.5 %": 2 * 100e-6 * 25 * 100,
}  # fmt: skip


@pytest.mark.parametrize("shown", SHOWN)
def test_the_page_shows_what_a_formula_gives(shown):
    number = re.match(r"[\d.]+", shown)
    assert number is not None
    decimals = len(number[0].partition(".")[2])
    # Half of the last place, and for what ends in 5 there whichever way it was rounded.
    assert float(number[0]) == pytest.approx(SHOWN[shown], abs=0.501 * 10.0**-decimals)
    assert re.search(rf"(?<![\d.]){re.escape(shown)}", FLOWING), f"{shown} is not in the page"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("boards/ct_100ma.svg", ["10.74 Ω", "10.7 Ω", "150591414", "0.107 W", "308 A", "0.58 W"]),
        ("boards/ct_5a.svg", ["21.48 Ω", "21.5 Ω", "149890988", "0.054 W", "307 A", "1.72 VA"]),
        ("boards/ct_333mv.svg", ["0.4839 A", "483882320", "585 counts", "22.1 kΩ", "150742156"]),
        ("boards/voltage_transformer.svg", ["11.52 kΩ", "11.5 kΩ", "109863281", "9.7 mW", "47.9"]),
        ("boards/voltage_zmpt101b.svg", ["820.3 Ω", "820 Ω", "110041921", "64 mW", "47.0 µs"]),
        (
            "boards/reference.svg",
            ["200 Ω", "1.5 mA", "0.78 mA", "0.48 mA", "0.07 mA", "1.9 of 15 mA", "0.7324 mV"]
            + ["9.76 Ω", "150086450", "12.7 kΩ", "109463778", "BIAS 1.5 V", "LM4040C30"],
        ),
        ("boards/input.svg", ["3.35 kHz", "47.5 µs", "1.03°", "0.47 %", "−92 W", "7.1 mA"]),
    ],
)
def test_the_drawings_show_the_same(path, shown):
    said = " ".join(t.text for t in texts(path))
    for number in shown:
        assert number in said


# --- The parts ----------------------------------------------------------------------------------


def parts_listed() -> list[tuple[str, str, str, str]]:
    """Circuit, part, value and rating, example: a row each."""
    section = README[README.index("\n## Parts\n") :]
    rows: list[tuple[str, str, str, str]] = []
    for line in section[section.index("|---|") :].split("\n\n")[0].splitlines()[1:]:
        circuit, part, value, example = (cell.strip() for cell in line.strip("|").split("|"))
        rows.append((circuit or rows[-1][0], part, value, example))
    return rows


def ohms_of(text: str) -> float:
    found = re.match(r"([\d.]+) (k?)Ω", text)
    assert found, text
    return float(found[1]) * (1000 if found[2] else 1)


def test_the_parts_are_those_of_the_drawings():
    listed = {(circuit, part): value for circuit, part, value, _ in parts_listed()}
    for where, ohm in {
        ("bias", "R1, R2"): values.BIAS_OHM,
        ("each input", "Rg with a CT"): values.CT_GUARD_OHM,
        ("CT of 100 mA", "RB"): values.CT_100MA.burden_ohm,
        ("5 A CT", "RB"): values.CT_5A.burden_ohm,
        ("amplified", "Rf"): values.FEEDBACK_OHM,
        ("amplified", "Rs"): values.GAIN_OHM,
        ("reference", "RB of a 100 mA CT with it"): values.SHUNT_CT_100MA.burden_ohm,
        ("reference", "RB of a 5 A CT with it"): values.SHUNT_CT_5A.burden_ohm,
        ("reference", "Rf with it"): values.SHUNT_FEEDBACK_OHM,
        ("reference", "RH with it"): values.SHUNT_HIGH_OHM,
        ("reference", "RB of a ZMPT101B with it"): values.SHUNT_ZMPT_BURDEN_OHM,
        ("transformer", "RH"): values.HIGH_OHM,
        ("transformer", "RL"): values.LOW_OHM,
        ("transformer", "Rg"): values.TRANSFORMER.guard_ohm,
        ("ZMPT101B", "RS1, RS2"): values.ZMPT_SERIES_OHM,
        ("ZMPT101B", "RB"): values.ZMPT_BURDEN_OHM,
        ("ZMPT101B", "Rg"): values.ZMPT.guard_ohm,
        ("LEDs", "in series with each"): values.LED_OHM,
    }.items():
        assert ohms_of(listed[where]) == ohm, where
    assert listed["each input", "C"].startswith(f"{values.FILTER_F * 1e9:g} nF")
    assert listed["bias", "C1"].startswith(f"{values.BIAS_F * 1e6:g} µF")
    assert listed["buffered bias", "at its supply"].startswith(f"{values.BYPASS_F * 1e9:g} nF")
    assert listed["each tap", "RV"].startswith(f"{values.VARISTOR_VOLTS:g} V AC")
    assert listed["LEDs", "1000 Wh, 10 Wh"].endswith(f"{values.GREEN_V} V")
    assert listed["LEDs", "reverse"].endswith(f"{values.RED_V} V")
    # Twice what each has to bear.
    assert values.CT_100MA.burden_w(200) < 0.5 / 2 and "0.5 W" in listed["CT of 100 mA", "RB"]
    assert values.CT_5A.burden_w(200) < 0.25 / 2 and "0.25 W" in listed["5 A CT", "RB"]
    assert values.zmpt_series_w(138) < 0.5 / 4 and "0.5 W" in listed["ZMPT101B", "RS1, RS2"]
    assert values.VARISTOR_VOLTS > 138 and values.LEAD_VA < 2.5


def test_the_numbers_of_parts_say_the_values_beside_them():
    """By their makers' codes: three digits and a power of ten, of which 9 is -1; R and K as the
    point; two digits and a power of ten, in pF."""
    seen = 0
    for _, _, value, example in parts_listed():
        for digits, power in re.findall(r"MBB02070C(\d{3})(\d)FCT00", example):
            exponent = -1 if power == "9" else int(power)
            assert ohms_of(value) == pytest.approx(int(digits) * 10.0**exponent)
            seen += 1
        for whole, mark, part in re.findall(r"CMF\d\d(\d+)([RK])(\d+)FH", example):
            assert ohms_of(value) == float(f"{whole}.{part}") * (1000 if mark == "K" else 1)
            seen += 1
        for digits, power in re.findall(r"KEMET C\d+C(\d\d)(\d)", example):
            nanofarad = int(digits) * 10 ** int(power) / 1000
            assert value.startswith(f"{nanofarad:g} nF")
            seen += 1
    assert seen == 20


def test_who_leads_the_reference_out():
    """The page says that only the Picos do, and the outlines of all boards bear it out."""
    for name in BOARDS:
        led_out = [pad[3] for pad in pads(name) if "VREF" in pad[3]]
        assert led_out == (["ADC_VREF"] if name.startswith("pico") else [])
    assert pads("pico")[34][3] == "ADC_VREF" and pads("pico")[32][3] == "AGND"
    said = [t.text for t in texts("boards/reference.svg")]
    assert "ADC_VREF, pad 35" in said and "AGND, pad 33" in said


def test_the_varistor_and_the_buffered_bias_have_their_values():
    for path in ("boards/voltage_transformer.svg", "boards/voltage_zmpt101b.svg"):
        said = [t.text for t in texts(path)]
        assert "RV" in said and "150 V AC" in said and said.index("F") < said.index("RV")
    said = [t.text for t in texts("boards/input.svg")]
    assert said.count("10 kΩ") == 4 and said.count("10 µF") == 2
    assert "MCP6001, 3V3 and 100 nF" in said


# --- The page ---------------------------------------------------------------------------------


def test_the_warning_comes_first():
    lines = [line for line in README.splitlines() if line.strip()]
    assert lines[0].startswith("# ")
    assert lines[1].startswith("> ## ") and "KILLS" in lines[1]
    quote = " ".join(
        line.lstrip("> ") for line in README[: README.index("\n\nAll drawings")].splitlines()
    )
    for words in (
        "Never work live", "locked out", "proved dead", "qualified",
        "Never open the secondary of a CT", "no certified meter", "Nothing may be billed",
        "fuse", "creepage", "transformer with reinforced insulation", "overvoltage category III",
        "Nothing here has been built or run by this project, on any real board",
    ):  # fmt: skip
        assert words in quote, words


def test_every_drawing_is_on_the_page_and_every_link_leads_somewhere():
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert sorted(shown) == sorted(
        path.removeprefix("boards/") for path in drawings.makers() if path.startswith("boards/")
    )
    headings = {}
    for folder in ("boards", "firmware", "host_tests", "tools"):
        file = ROOT / folder / "README.md"
        titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.M)
        headings[file] = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
    for target in re.findall(r"(?<!!)\[[^]]+\]\(([^)]+)\)", README):
        path, _, anchor = target.partition("#")
        file = (ROOT / "boards" / path).resolve() if path else ROOT / "boards" / "README.md"
        assert file.exists(), target
        assert anchor in headings[file], target


@pytest.mark.parametrize("name", BOARDS)
def test_the_page_tells_each_board_s_pins(name):
    assert f"`{name}`" in README
    section = README[README.index(f"]({name}.svg)") :]
    table = section[section.index("| what |") :].split("\n\n")[0]
    told: dict[int, str] = {}
    for row in table.splitlines()[2:]:
        what, _, gpios = (cell.strip() for cell in row.strip("|").split("|"))
        names = [n.strip() for n in what.removeprefix("LEDs ").removeprefix("LED ").split(",")]
        told |= dict(zip(map(int, gpios.split(",")), names, strict=True))
    plain = {gpio: re.sub(r" LED|REVERSE", lambda m: "" if "LED" in m[0] else "reverse", label)
             for gpio, label in wanted(name).items()}  # fmt: skip
    assert told == plain
