"""The whole firmware on the official MicroPython for the ESP32, on a QEMU that has this chip.

Both are the user's own: where there is none the tests are skipped with the reason, in CI too.
Nothing drives the ADC's inputs there, so what is metered is what QEMU makes up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from threewire.version import VERSION
from tools import image
from tools.cable.console import BoardConsole
from tools.cable.shapes import Version
from tools.common.errors import Unavailable
from tools.emulate.esp32_board import Esp32Board

BOARD = "esp32_devkitc"
TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def console() -> Iterator[BoardConsole]:
    try:
        made = Esp32Board(image.contents(BOARD), BOARD)
    except Unavailable as problem:
        pytest.skip(str(problem))
    with made as board, BoardConsole(board.url, TIMEOUT_S) as console:
        yield console


def test_it_meters_and_reports_once_a_second(console: BoardConsole) -> None:
    reports = [console.report() for _ in range(4)]
    passed = [after.t - before.t for before, after in itertools.pairwise(reports)]
    assert all(second == pytest.approx(1.0, abs=0.2) for second in passed)
    assert console.misfit == ""


def test_it_says_what_it_is(console: BoardConsole) -> None:
    said = console.ask("version", Version)
    assert (said.version, said.board) == (VERSION, BOARD)
