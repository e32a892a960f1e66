"""A window's arithmetic in words against big integers: on CPython, in viper on words of 64 and of
32 bits, and in assembler on the emulated RP2040."""

from __future__ import annotations

import subprocess
from array import array
from fractions import Fraction
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from host_tests.conftest import need_engine
from host_tests.firmware.test_words_thumb import at_the_prompt
from threewire.metering import window_viper, window_words
from tools.common.boards import ROOT

# What a window is made from at most: frames, an offset in 1/16 count, a code less mid-scale.
MOST_FRAMES = 62500
MOST_OFFSET = 34432
MOST_CODE = 2152
# Jobs as a board's may be: re and im of both elements; then squares, and the voltages' product.
FIRST = bytes((1, 0, 0, 10, 1, 0, 1, 12, 3, 2, 0, 11, 3, 2, 1, 13, 255))
SECOND = bytes((0, 0, 0, 14, 1, 1, 0, 16, 2, 2, 0, 15, 3, 3, 0, 17, 2, 0, 0, 18, 2, 0, 1, 19, 255))


def number(words: array, at: int) -> int:
    return int.from_bytes(words[at : at + 10].tobytes(), "little", signed=True)


def put(words: array, at: int, value: int) -> None:
    words[at : at + 10] = array("H", value.to_bytes(20, "little", signed=True))


TWINS = ("gained", "add", "means", "squares", "central", "quotients", "turn")


def both(name: str) -> tuple[Any, Any]:
    """The function: as it is under CPython, where there may be a quicker one, and in viper."""
    of = getattr(window_words if name == "join" else window_viper, name)
    return of, raw(of)


def raw(of: Any) -> Any:
    return getattr(of, "__wrapped__", of)


def within(draw: Random, most: int) -> int:
    return (
        draw.choice((most, -most, 0, 1, -1)) if draw.random() < 0.2 else draw.randint(-most, most)
    )


def work(draw: Random) -> array:
    """What there is of a window whose codes are not wider than they may be."""
    j = array("i", bytes(4 * 45))
    frames = draw.choice((1, 2, 17, 167, 2000, MOST_FRAMES, draw.randint(1, MOST_FRAMES)))
    points = draw.choice((1, 100, 1000, 1777, 2400))
    j[0] = points
    for at in (1, 6):
        j[at] = within(draw, min(512 * points, 40000))
        for k in range(1, 5):
            j[at + k] = within(draw, int(points * 512 * MOST_CODE * 0.6))
    for k in range(4):
        j[11 + k] = within(draw, MOST_OFFSET)
        j[21 + k] = total = within(draw, frames * MOST_CODE)
        # At least what the mean alone makes of the squares, at most what the widest codes do.
        square = draw.randint(-(-total * total // frames), frames * MOST_CODE**2)
        j[25 + 2 * k], j[26 + 2 * k] = square >> 12, square & 4095
    j[15] = draw.choice((points << 12, max(1, (points << 12) + within(draw, points << 6))))
    for k in range(4):
        j[16 + k] = within(draw, 1 << 30)
    j[20] = frames
    return j


def nearest(value: Fraction) -> int:
    """Halves away from zero."""
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


@pytest.mark.parametrize("seed", range(300))
def test_sums_means_and_squares_are_those_of_integers(seed: int) -> None:
    draw = Random(seed)
    j = work(draw)
    for add in both("add"):
        st = array("i", [draw.randint(0, 4095) for _ in range(36)])
        before, now = st[:], j[:]
        add(st, now, 77)
        assert now[20] == j[20] + 77
        for k, (at, square) in enumerate(zip((13, 14, 19, 20), (25, 27, 29, 31))):
            assert now[21 + k] == j[21 + k] + before[at]
            sums = [(of[p] << 12) + of[p + 1] for of, p in ((now, 25 + 2 * k), (j, 25 + 2 * k))]
            assert sums[0] == sums[1] + (before[square] << 12) + before[square + 1]
            assert 0 <= now[26 + 2 * k] < 4096
        # All else is as it was, but the squares, which have been taken out.
        assert st[:25] == before[:25] and not any(st[25:33]) and st[33:] == before[33:]
    places = draw.sample(range(2, 10), 4)
    for means, squares in zip(both("means"), both("squares")):
        now, words = j[:], array("H", [0xABCD] * 200)
        means(now)
        squares(now, words, bytes(places))
        for k in range(4):
            assert now[33 + k] == nearest(Fraction(16 * j[21 + k], j[20]))
            square = (j[25 + 2 * k] << 12) + j[26 + 2 * k]
            about = 256 * square - 32 * j[11 + k] * j[21 + k] + j[20] * j[11 + k] ** 2
            assert number(words, 10 * places[k]) == about >= 0
        assert sum(word == 0xABCD for word in words) >= 155


@pytest.mark.parametrize("seed", range(300))
def test_phasors_are_those_of_integers(seed: int) -> None:
    draw = Random(seed)
    j = work(draw)
    for at in (1, 6):
        for k in range(4):
            # So that it stays within 31 bits about the offset.
            j[at + 1 + k] = within(draw, 2**31 - 1 - MOST_OFFSET * 2500)
    window_viper.central(j)
    phasors = []
    for k in range(4):
        parts = []
        for at, to in ((1, 37), (6, 41)):
            value = j[at + 1 + k] - nearest(Fraction(j[11 + k] * j[at], 16))
            assert j[to + k] == value
            parts.append(value)
        phasors.append((complex(*parts) and tuple(parts)) or tuple(parts))
    for quotients, turn in zip(both("quotients"), both("turn")):
        words = array("H", [0xABCD] * 200)
        quotients(j, words, FIRST)
        for k in (0, 1):
            (xc, xs), (yc, ys) = phasors[2 * k : 2 * k + 2]
            re = 4096 * (yc * xc + ys * xs) // j[15]
            im = 4096 * (yc * xs - ys * xc) // j[15]
            assert number(words, 100 + 10 * k) == re
            assert number(words, 120 + 10 * k) == im
            if max(abs(re), abs(im)) >= 2**63:
                # More than a phasor's product is: its frames are fewer than they can be.
                continue
            signs = draw.randrange(4)
            turn(j, words, k, signs)
            cos, sin = j[16 + 2 * k : 18 + 2 * k]
            re, im = (re * cos - im * sin) // 2**30, (re * sin + im * cos) // 2**30
            assert number(words, 100 + 10 * k) == (-re if signs & 1 else re)
            assert number(words, 120 + 10 * k) == (-im if signs & 2 else im)
        quotients(j, words, SECOND)
        for k, place in enumerate((14, 16, 15, 17)):
            square = sum(of * of for of in phasors[k])
            assert number(words, 10 * place) == 4096 * square // j[15]
        (xc, xs), (yc, ys) = phasors[0], phasors[2]
        assert number(words, 180) == 4096 * (yc * xc + ys * xs) // j[15]
        assert number(words, 190) == 4096 * (yc * xs - ys * xc) // j[15]
        assert all(word == 0xABCD for word in words[20:100])


@pytest.mark.parametrize("seed", range(50))
def test_numbers_are_joined_and_gained(seed: int) -> None:
    draw = Random(seed)
    for join, gained in zip(both("join"), both("gained")):
        a, b = (array("H", draw.randbytes(400)) for _ in range(2))
        now = a[:]
        join(now, b, 20)
        for at in range(0, 200, 10):
            total = number(a, at) + number(b, at)
            assert (number(now, at) - total) % 2**160 == 0
        join(now, b, 0)
        words, was = array("H", bytes(60)), b[:20]
        gained(words, a, 50, was)
        for at in (0, 10):
            assert (number(words, at) - number(a, 50 + at) + number(b, at)) % 2**160 == 0
        assert was == a[50:70] and not any(words[20:])


# What is printed of each work is the sum of all that is left behind.  Numbers that are turned have
# less than 64 bits, as phasors' products do.
PROGRAM = """
from array import array
from binascii import crc32
from threewire.metering import wide

def check(words, of, works, first, second):
    for work in works:
        j = array("i", work)
        w = array("H", bytes(400))
        total = array("H", [word >> 7 & 0xFFFF for word in work[:40] * 5])
        was = array("H", [word & 0xFFFF for word in work[:20]])
        of.means(j)
        of.squares(j, w, bytes((2, 4, 3, 5)))
        of.central(j)
        of.quotients(j, w, first)
        for k in (0, 1):
            if all(wide.number(w, 100 + 10 * k + at) >> 63 in (0, -1) for at in (0, 20)):
                of.turn(j, w, k, sum(work) + k & 3)
        of.quotients(j, w, second)
        words.join(total, w, 20)
        of.gained(w, total, 40, was)
        st = array("i", j[:36])
        for k in range(26, 33, 2):
            st[k] &= 4095
        of.add(st, j, 5)
        print(*[crc32(bytes(left)) for left in (w, total, was, j, st)])
"""
ON_ENGINE = """
import sys
sys.path.insert(0, {path!r})
{program}
from threewire.metering import window_viper, window_words
check(window_words, window_viper, {works!r}, {first!r}, {second!r})
"""


def works(count: int) -> list[list[int]]:
    """Every other one as wide as phasors can be, every third with the fewest or the most frames
    that there are quotients over."""
    draw = Random(5)
    drawn = []
    for case in range(count):
        j = work(draw)
        if case % 2:
            for at in (1, 6):
                for k in range(4):
                    j[at + 1 + k] = within(draw, 2**31 - 1 - MOST_OFFSET * 2500)
        if case % 3 == 0:
            j[15] = draw.choice((1, 2**30 - 1))
        drawn.append(list(j))
    return drawn


def in_python(works: list[list[int]]) -> list[str]:
    """What CPython makes of the source as it stands, which the tests above hold against
    integers."""
    shown: list[str] = []
    scope: dict[str, Any] = {"print": lambda *sums: shown.append(" ".join(map(str, sums)))}
    exec(PROGRAM, scope)
    words = SimpleNamespace(join=raw(window_words.join))
    of = SimpleNamespace(**{name: raw(getattr(window_viper, name)) for name in TWINS})
    scope["check"](words, of, works, FIRST, SECOND)
    return shown


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_words_of_64_and_32_bits_do_alike(engine: str, tmp_path: Path) -> None:
    command = need_engine(engine, "4m")
    drawn = works(60)
    program = tmp_path / "program.py"
    path = str(ROOT / "firmware")
    program.write_text(
        ON_ENGINE.format(path=path, program=PROGRAM, works=drawn, first=FIRST, second=SECOND)
    )
    said = subprocess.run([*command, str(program)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == in_python(drawn)


@pytest.mark.rp2040
def test_assembler_does_as_viper(uf2: Path) -> None:
    drawn = works(90)
    said = []
    with at_the_prompt(uf2) as board:
        board.run(1.0)
        board.execute(
            PROGRAM + "from threewire.metering import window_thumb, window_words\n", 60.0
        )
        for at in range(0, len(drawn), 15):
            job = f"check(window_words, window_thumb, {drawn[at : at + 15]}, {FIRST}, {SECOND})"
            said += board.execute(job, 300.0).splitlines()
    assert said == in_python(drawn)
