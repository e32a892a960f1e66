"""A window's arithmetic in words against big integers, on CPython and in viper on words of 64 and
of 32 bits."""

from __future__ import annotations

import subprocess
from array import array
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest

from host_tests.conftest import need_engine
from threewire.metering import window_words
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


def raw(name: str) -> Any:
    """The function as viper has it, not what is quicker under CPython."""
    of = getattr(window_words, name)
    return getattr(of, "__wrapped__", of)


def both(name: str) -> tuple[Any, Any]:
    return getattr(window_words, name), raw(name)


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
    for gather in both("gather"):
        st = array("i", [draw.randint(0, 4095) for _ in range(36)])
        before, now = st[:], j[:]
        gather(st, now, 77)
        assert now[20] == j[20] + 77
        for k, (at, square) in enumerate(zip((13, 14, 19, 20), (25, 27, 29, 31))):
            assert now[21 + k] == j[21 + k] + before[at]
            sums = [(of[p] << 12) + of[p + 1] for of, p in ((now, 25 + 2 * k), (j, 25 + 2 * k))]
            assert sums[0] == sums[1] + (before[square] << 12) + before[square + 1]
            assert 0 <= now[26 + 2 * k] < 4096
        # All else is as it was, but the squares, which have been taken out.
        assert st[:25] == before[:25] and not any(st[25:33]) and st[33:] == before[33:]
    places = draw.sample(range(2, 10), 4)
    for means, squares in zip(both("means"), both("about_offsets")):
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
    raw("centre")(j)
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


PROGRAM = """
import sys
sys.path.insert(0, {path!r})
from array import array
from binascii import crc32
from threewire.metering import window_words
jobs = {jobs!r}
for j, first, second, a, b in jobs:
    j = array("i", j)
    w = array("H", bytes(400))
    window_words.means(j)
    window_words.about_offsets(j, w, bytes((2, 4, 3, 5)))
    window_words.centre(j)
    window_words.quotients(j, w, first)
    window_words.turn(j, w, 0, 1)
    window_words.turn(j, w, 1, 2)
    window_words.quotients(j, w, second)
    total = array("H", a)
    window_words.join(total, w, 20)
    window_words.gained(w, total, 40, array("H", b))
    st = array("i", j[:36])
    for k in range(26, 33, 2):
        st[k] &= 4095
    window_words.gather(st, j, 5)
    print(crc32(bytes(w)), crc32(bytes(total)), crc32(bytes(j)), crc32(bytes(st)))
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_words_of_64_and_32_bits_do_alike(engine: str, tmp_path: Path) -> None:
    command = need_engine(engine, "4m")
    draw = Random(5)
    jobs = []
    for _ in range(60):
        j = work(draw)
        jobs.append((list(j), FIRST, SECOND, draw.randbytes(400), draw.randbytes(40)))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(path=str(ROOT / "firmware"), jobs=jobs))
    said = subprocess.run([*command, str(program)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found = [[int(text) for text in line.split()] for line in said.stdout.splitlines()]
    # Against what CPython makes of the source as it stands, which the tests above hold against
    # integers.
    names = ("means", "about_offsets", "centre", "quotients", "turn", "join", "gained", "gather")
    shown: list[list[int]] = []
    scope: dict[str, Any] = {"print": lambda *values: shown.append(list(values))}
    source = PROGRAM.format(path=str(ROOT / "firmware"), jobs=jobs)
    for name in names:
        source = source.replace(f"window_words.{name}(", f"raw({name!r})(")
    exec(source, scope | {"raw": raw})
    assert len(found) == 60 and found == shown
