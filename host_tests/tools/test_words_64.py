"""The host's own arithmetic of a cycle, on words of 64 bits: against Python's integers."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.word_jobs import JOBS
from threewire.metering import flow, stretch, words_viper
from tools.common.boards import ROOT

# What is held has been for about a second, the longest that counts; and a watt-hour or several
# are full at once.
_EDGES = """
def edges(book, seed, calls):
    draw = Draw(seed)
    total = 0
    for call in range(calls):
        flows = []
        for enough in (1 << 100, 1 << 100, 0):
            delivered, received = pair(1 << (130 if call & 1 else 98), WORDS)
            of = Flow(delivered, received, 1 << 100, 48000000, enough)
            if enough:
                of.is_open = True
            wide.put(of.words, 32, draw.within(1 << 99))
            wide.put_double(of.words, 82, 48000000 - (0, 1, 5, 1000)[draw.bits(2)])
            flows.append(of.words)
        e = array("H", bytes(2 * 34))
        for at in (0, 10):
            wide.put(e, at, draw.within(1 << 97))
        wide.put_double(e, 32, (0, 1, 2, 999, 1000, 1001)[draw.bits(4) % 6])
        said = book(e, *flows)
        total = crc32(bytes(e[:34]) + bytes([said & 0xFF]), total)
        for words in flows:
            total = crc32(bytes(words[:62]) + bytes(words[82:92]), total)
    return total
"""
_PROGRAM = f"""\
import sys
sys.path.insert(0, {str(ROOT / "firmware")!r})
sys.path.insert(0, {str(ROOT / "tools" / "engines")!r})
{JOBS}{_EDGES}
import words_64
"""


def _printed(tmp_path: Path, line: str) -> int:
    script = tmp_path / "job.py"
    script.write_text(_PROGRAM + line)
    command = [*need_engine("micropython", "4M"), str(script)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.fixture(scope="module")
def in_integers() -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec(JOBS + _EDGES, scope)
    return scope


def test_calls_leave_the_words_that_integers_do(
    in_integers: dict[str, Any], tmp_path: Path
) -> None:
    assert _printed(tmp_path, "print(check(words_64, 60))") == in_integers["check"](
        words_viper, 60
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_limits_of_noise_and_several_watt_hours_at_once(
    seed: int, in_integers: dict[str, Any], tmp_path: Path
) -> None:
    said = _printed(tmp_path, f"print(edges(words_64.book, {seed}, 150))")
    assert said == in_integers["edges"](words_viper.book, seed, 150)


def test_words_are_where_the_firmware_has_them() -> None:
    source = (ROOT / "tools" / "engines" / "words_64.py").read_text()
    found = {
        name: int(value) for name, value in re.findall(r"^_(\w+) = const\((\d+)\)", source, re.M)
    }
    of_16 = ("STAGE", "IN_WH", "OPEN", "ROOT", "SHIFT_BYTES", "SHIFT_BITS")
    of_state = ("NOW", "BEFORE_X", "PREV_X1", "SX1", "XY1", "NEXT_SUMS")
    assert found.pop("WORDS") == words_viper._DIGITS // 2
    assert len(found) == 29
    for name, value in found.items():
        known = getattr(words_viper, f"_{name}")
        assert value == (known if name in of_16 or name in of_state else known / 2), name
        for module in (stretch, flow) if name != "SIZE" else ():
            assert getattr(module, f"_{name}", known) == known, name
