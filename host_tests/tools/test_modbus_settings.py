"""MODBUS of a board file: what may be there, and the page's own examples."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tools import image
from tools.common import boards, modbus_settings
from tools.common.errors import InputError
from tools.drawings.outlines import OUTLINES, split

PAGE = (boards.ROOT / "boards" / "README.md").read_text(encoding="utf-8")
GOOD = {
    "uart": 1,
    "tx": 8,
    "rx": 9,
    "direction": 7,
    "address": 1,
    "baudrate": 19200,
    "parity": 0,
}


def board(name: str = "feather_rp2040", **changed: Any) -> ModuleType:
    made = ModuleType("board")
    vars(made).update(vars(boards.module(name)))
    vars(made)["MODBUS"] = GOOD | changed
    return made


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"direction": None, "parity": None, "address": 247},
        {"uart": 0, "tx": 16, "rx": 1, "parity": 1},
        *({"baudrate": rate} for rate in (9600, 38400, 57600, 115200)),
    ],
)
def test_what_may_be_set(changed: dict[str, Any]) -> None:
    modbus_settings.check(board(**changed))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"uart": 2}, "uart: 2; expected 0 or 1"),
        ({"uart": True}, "uart: True; expected 0 or 1"),
        ({"tx": 9}, "tx: 9; expected 4, 8, 20 or 24"),
        ({"rx": "9"}, "rx: '9'; expected 5, 9, 21 or 25"),
        ({"direction": 30}, "direction: 30; expected 0 to 29 or None"),
        ({"direction": 13}, "direction: pin 13 is that of LED reverse"),
        ({"direction": 10}, "direction: pin 10 is that of the seal"),
        ({"direction": 26}, "direction: pin 26 is that of input i1"),
        ({"direction": 8}, "direction: pin 8 is that of MODBUS tx"),
        ({"address": 0}, "address: 0; expected 1 to 247"),
        ({"address": 248}, "address: 248; expected 1 to 247"),
        ({"baudrate": 1200}, "baudrate: 1200; expected 9600, 19200, 38400, 57600 or 115200"),
        ({"parity": "even"}, "parity: 'even'; expected 0, 1 (even, odd) or None"),
        ({"parity": 2}, "parity: 2; expected 0, 1 (even, odd) or None"),
        ({"stop": 1}, "has 'stop'; expected are uart, tx, rx"),
    ],
)
def test_what_may_not_be_set_is_one_clear_line(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as raised:
        modbus_settings.check(board(**changed))
    said = str(raised.value)
    assert said.startswith("board feather_rp2040: MODBUS") and says in said and "\n" not in said


@pytest.mark.parametrize(
    ("key", "pulses", "says"),
    [
        ("tx", {"delivered": 8}, "MODBUS tx: pin 8 is that of PULSES delivered"),
        ("rx", {"delivered": 3, "received": 9}, "MODBUS rx: pin 9 is that of PULSES received"),
        ("direction", {"received": 7}, "MODBUS direction: pin 7 is that of PULSES received"),
    ],
)
def test_a_pin_of_pulses_is_taken(key: str, pulses: dict[str, int], says: str) -> None:
    made = board()
    vars(made)["PULSES"] = pulses
    with pytest.raises(ValueError) as raised:
        modbus_settings.check(made)
    assert str(raised.value) == f"board feather_rp2040: {says}"
    vars(made)["MODBUS"] = GOOD | {"uart": 0, "tx": 0, "rx": 1, "direction": 2}
    modbus_settings.check(made)


@pytest.mark.parametrize("name", ["pico_w", "pico2_w"])
def test_a_pin_of_the_wifi_chip_is_taken(name: str) -> None:
    with pytest.raises(ValueError, match=r"MODBUS tx: pin 24 is that of the Wi-Fi chip$"):
        modbus_settings.check(board(name, uart=1, tx=24, rx=9, direction=7))
    modbus_settings.check(board("pico", uart=1, tx=24, rx=9, direction=7))


@pytest.mark.parametrize("value", [None, 5, "uart", []])
def test_no_dict_is_refused(value: Any) -> None:
    made = board()
    vars(made)["MODBUS"] = value
    with pytest.raises(ValueError, match="MODBUS: expected a dict"):
        modbus_settings.check(made)


@pytest.mark.parametrize("key", GOOD)
def test_a_key_that_is_missing_is_named(key: str) -> None:
    made = board()
    del vars(made)["MODBUS"][key]
    with pytest.raises(ValueError, match=f"MODBUS lacks '{key}'; expected are uart, tx"):
        modbus_settings.check(made)


@pytest.fixture
def board_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Makes a board file of the default board's with a line more; its name."""

    def make(line: str) -> str:
        source = (boards.BOARDS / f"{boards.DEFAULT}.py").read_text(encoding="utf-8")
        (tmp_path / f"{boards.DEFAULT}.py").write_text(f"{source}\n{line}\n", encoding="utf-8")
        monkeypatch.setattr(boards, "BOARDS", tmp_path)
        boards.module.cache_clear()
        return boards.DEFAULT

    yield make
    boards.module.cache_clear()


def test_image_and_flash_refuse_it_before_anything_is_made(
    board_file: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = board_file(f"MODBUS = {GOOD | {'uart': 0, 'tx': 13}!r}")
    for use in (boards.load, image.contents):
        with pytest.raises(InputError, match="MODBUS tx: 13; expected 0, 12, 16 or 28"):
            use(name)
    assert image.main(["--board", name]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    told = said.strip().removeprefix("error: ").rpartition(f"{name}.py: ")[2]
    assert f"    error: boards/{name}.py: {told}\n" in PAGE


def test_a_board_that_asks_has_its_files(board_file: Callable[[str], str]) -> None:
    before = set(image.contents(boards.DEFAULT))
    name = board_file(f"MODBUS = {GOOD!r}")
    assert set(image.contents(name)) - before == {
        "threewire/outlets.mpy",
        "threewire/chip/rs485.mpy",
        *(f"threewire/operation/modbus_{part}.mpy" for part in ("registers", "rtu", "slave")),
    }


def test_the_pages_own_settings_are_good() -> None:
    (line,) = re.findall(r"^    MODBUS = (\{.*\})$", PAGE, re.MULTILINE)
    modbus_settings.check(board(**ast.literal_eval(line)))


ROWS = re.findall(
    r"^\| (`[a-z0-9_`, ]+) \| (\d) \| (\d+) \| (\d+) \| (\d+) \| ([^|]+) \|$", PAGE, re.MULTILINE
)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_pages_pins_are_free_and_where_it_says(row: tuple[str, ...]) -> None:
    names, uart, *pins, pads = row
    tx, rx, direction = map(int, pins)
    for name in re.findall(r"`(\w+)`", names):
        made = board(name, uart=int(uart), tx=tx, rx=rx, direction=direction)
        modbus_settings.check(made)
        outline = OUTLINES[name]
        there = {gpio: pad for pad, gpio in map(split, (*outline.left, *outline.right))}
        assert [there[pin] for pin in (tx, rx, direction)] == pads.split(", ")


def test_the_page_has_all_boards_but_two() -> None:
    told = {name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])}
    assert set(boards.names()) - told == {"xiao_esp32s3", "esp32c3_devkitm"}
