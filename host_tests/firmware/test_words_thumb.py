"""A cycle's arithmetic: the reference in viper against big integers, and against its twin in
assembler on the emulated RP2040.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest

from host_tests.rigs.word_jobs import JOBS
from threewire.metering import words_viper
from tools import image
from tools.common.boards import ROOT
from tools.emulate import board as rp2040_board
from tools.emulate.board import EmulatedBoard

CALLS = 25
BOARD = "feather_rp2040"
VIPER = "threewire/metering/words_viper.py"
DEFINED: dict[str, Any] = {}
exec(JOBS, DEFINED)


def number(words: array, at: int) -> int:
    return int.from_bytes(words[at : at + 10].tobytes(), "little", signed=True)


def signed(words: array, at: int) -> int:
    return int.from_bytes(words[at : at + 2].tobytes(), "little", signed=True)


def terms(st: array, words: array, kept: array, n: int) -> list[int]:
    """What Element.central tells of both elements, from a kernel's state."""
    made = []
    for k in (0, 1):
        x0, y0 = (signed(words, 154 + 4 * k + 2 * i) for i in (0, 1))
        sum_x, sum_y, xy, xy_low, pxy, pxy_low = st[13 + 6 * k : 19 + 6 * k]
        same = (xy << 12) + xy_low
        slip = kept[16 + k] - st[10 + k]
        made.append((same << 8) - 16 * (y0 * sum_x + x0 * sum_y) + n * x0 * y0)
        made.append((((pxy << 12) + pxy_low - same) << 8) - 16 * y0 * slip)
    return made


def test_energies_are_those_of_big_integers() -> None:
    so_far = [0] * 4
    calls = 0
    for n, (st, words, kept), (_, after, kept_after) in DEFINED["reckoned"](
        words_viper.reckon, 7, 2000
    ):
        if not any(kept[:8]):
            so_far = [0] * 4
        now = terms(st, words, kept, n)
        gained = [a - b for a, b in zip(now, so_far)]
        for k in (0, 1):
            worth = [number(words, 74 + 20 * term) for term in (2 * k, 2 * k + 1)]
            energy = number(words, 34 + 10 * k) + sum(
                g * w for g, w in zip(gained[2 * k :], worth)
            )
            assert number(after, 10 * k) == energy
            if any(kept_after[:8]) and kept_after[:8] != kept[:8]:
                total = number(words, 54 + 10 * k) + energy
                assert number(after, 54 + 10 * k) == (total + 2**159) % 2**160 - 2**159
                assert number(after, 34 + 10 * k) == 0
        if kept_after[:8] != kept[:8]:
            so_far = now
        calls += 1
    assert calls == 2000


@pytest.mark.rp2040
def test_assembler_and_viper_do_the_same(uf2: Path) -> None:
    files = image.contents(BOARD)
    del files["main.py"]
    files[VIPER] = (ROOT / "firmware" / VIPER).read_bytes()
    flash = image.pack(files, image.geometry(rp2040_board.FLASH))
    with EmulatedBoard(flash, BOARD) as board:
        board.run(1.0)
        said = board.execute(
            JOBS
            + "\nfrom threewire.metering import words_thumb, words_viper\n"
            + f"print(check(words_thumb, {CALLS}), check(words_viper, {CALLS}))\n",
            300.0,
        )
    assert [int(total) for total in said.split()] == 2 * [DEFINED["check"](words_viper, CALLS)]
