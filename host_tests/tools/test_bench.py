"""Where the bench looks for MicroPython's count of what it has allocated, and what it does without
an emulated board."""

import json
import re
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn, cast

import pytest

from tools.bench import cli
from tools.bench.chip import _allocation_count
from tools.bench.figures import Figure
from tools.common.errors import BoardError, Unavailable
from tools.emulate.board import EmulatedBoard


class _Board:
    """A prompt whose threshold, in blocks of 16 bytes, stands at these places of RAM."""

    def __init__(self, *places: int) -> None:
        self.mcu = SimpleNamespace(sram=bytearray(4096))
        self._places = places
        self.threshold = 0
        self._set(50000)
        # What happens to be the same once.
        struct.pack_into("<I", self.mcu.sram, 100, 12345)

    def _set(self, threshold: int) -> None:
        self.threshold = threshold
        for place in self._places:
            struct.pack_into("<I", self.mcu.sram, place, threshold // 16)

    def execute(self, code: str) -> str:
        if code == "import gc; print(gc.threshold())":
            return f"{self.threshold}\n"
        given = re.fullmatch(r"gc\.threshold\((\d+)\)", code)
        assert given
        self._set(int(given[1]))
        return ""


def test_the_allocation_count_is_before_the_threshold() -> None:
    board = _Board(812)
    assert _allocation_count(cast(EmulatedBoard, board)) == 0x20000000 + 808
    assert board.threshold == 50000


@pytest.mark.parametrize(("places", "says"), [((), "at 0 places"), ((812, 16), "at 2 places")])
def test_an_allocation_count_that_cannot_be_told(places: tuple[int, ...], says: str) -> None:
    with pytest.raises(BoardError, match=says):
        _allocation_count(cast(EmulatedBoard, _Board(*places)))


def test_without_a_uf2_its_rows_are_left_out_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find() -> NoReturn:
        raise Unavailable("pico_w", "there is no UF2 of a Pico W", "put one there")

    figure = Figure("here", "speed here", 3.0, "times", "this machine")
    for name in ("find_uf2", "find_wireless_uf2"):
        monkeypatch.setattr(cli, name, find)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(cli, "OUT", tmp_path / "bench.json")
    monkeypatch.setattr(cli.host, "host_engines", lambda seconds: [figure])
    monkeypatch.setattr(cli.host, "host_replay", lambda seconds: [])
    monkeypatch.setattr(cli.regression, "regressions", lambda count: [])
    monkeypatch.setattr(cli.serving, "serving", lambda: [])
    assert cli.main([]) == 0
    said, told = capsys.readouterr()
    assert "without a network's rows: pico_w: there is no UF2 of a Pico W" in told
    assert "speed here" in said
    assert json.loads((tmp_path / "bench.json").read_text())["here"] == 3.0
