"""Calls of the functions that reckon: words, windows, reactive energy, integers, texts.

Flow: NATIVE WORD JOBS -> native_jobs.  Several are those that the functions' other tests have.
"""

from __future__ import annotations

import math
from array import array
from contextlib import ExitStack
from random import Random
from types import SimpleNamespace
from typing import Any

from host_tests.firmware import test_reactive_thumb as reactive_jobs
from host_tests.firmware import test_window_words as window_jobs
from host_tests.rigs.native_held import Held, swapped
from host_tests.rigs.native_meter import metered_with
from host_tests.rigs.native_runtime import signed
from host_tests.rigs.word_jobs import JOBS as WORD_JOBS
from threewire.metering import wide, window_words, words_viper
from threewire.operation import telemetry


def _drawn_jobs(reckon: Any, book: Any) -> None:
    scope: dict[str, Any] = {}
    exec(WORD_JOBS, scope)
    for seed in (1, 2):
        for _ in scope["reckoned"](reckon, seed, 25):
            pass
        for _ in scope["booked"](book, seed, 60):
            pass


def _held_for_long(book: Any, draw: Random) -> None:
    """What is held has been for about a second, the longest that counts."""
    scope: dict[str, Any] = {}
    exec(WORD_JOBS, scope)
    for _ in range(30):
        flows = []
        for enough in (1 << 100, 1 << 100, 0):
            delivered, received = scope["pair"](1 << 130, scope["WORDS"])
            flow = scope["Flow"](delivered, received, 1 << 100, 48_000_000, enough)
            if enough:
                flow.is_open = True
            wide.put(flow.words, 32, draw.randint(-(1 << 99), 1 << 99))
            wide.put_double(flow.words, 82, 48_000_000 - draw.choice((0, 1, 5, 1000)))
            flows.append(flow.words)
        e = array("H", bytes(2 * 34))
        for at in (0, 10):
            wide.put(e, at, draw.randint(-(1 << 97), 1 << 97))
        wide.put_double(e, 32, draw.choice((0, 1, 2, 999, 1000, 1001)))
        book(e, *flows)


def words_thumb_job(held: Held, draw: Random) -> None:
    reckon, book = held.function("reckon", _reckoned_in_words), held.function("book")
    _drawn_jobs(reckon, book)
    _held_for_long(book, draw)
    metered_with(1, SimpleNamespace(reckon=reckon, book=book))


def _reckoned_in_words(st: array, w: array, b: array, n: int) -> None:
    """As words_viper.reckon; but what is kept of each term is 64 bits in two words, the lower
    first, where that has 24 bits in the lower one."""
    values = [(b[at] & 0xFFFF_FFFF) + (b[at + 1] << 32) for at in range(0, 16, 2)]
    for k, value in enumerate(values):
        b[2 * k], b[2 * k + 1] = value & 0xFF_FFFF, value >> 24
    words_viper.reckon(st, w, b, n)
    for at in range(0, 16, 2):
        value = b[at] + (b[at + 1] << 24)
        b[at], b[at + 1] = signed(value), value >> 32


def words_viper_job(held: Held, draw: Random) -> None:
    of = held.functions()
    _drawn_jobs(of.reckon, of.book)
    metered_with(1, of)
    # `book` as it is written calls the others.
    with ExitStack() as stack:
        for name in ("take", "sum_up", "reaches"):
            stack.enter_context(swapped(words_viper, name, getattr(of, name)))
        _drawn_jobs(words_viper.reckon, words_viper.book)
        _held_for_long(words_viper.book, draw)
    for _ in range(60):
        root, most = draw.randint(0, 1 << 14), draw.randint(0, 1 << 14)
        second = draw.randint(1, 1 << 30)
        # Often about as much on both sides.
        ticks = min(1 << 30, root * root * second // max(1, most * most) + draw.randint(-1, 1))
        of.is_noise(root, second, most, max(0, draw.choice((ticks, draw.randint(0, 1 << 30)))))


def wide_job(held: Held, draw: Random) -> None:
    multiply = held.function("multiply")
    for _ in range(40):
        by, words = array("H", bytes(20)), array("H", [0xABCD] * 24)
        wide.put(by, 0, draw.choice((2**159 - 1, 1 - 2**159, -1, draw.randint(-(2**140), 2**140))))
        factor = draw.choice(
            (0, 1, -1, 2**31 - 1, 1 - 2**31, -65536, draw.randint(-(2**30), 2**30))
        )
        multiply(words, 2, by, factor)
    top = held.function("top")
    for _ in range(60):
        words = array("H", bytes(40))
        for at in (0, 10):
            size = draw.randrange(159)
            wide.put(
                words,
                at,
                draw.choice(
                    (0, -1, 1 << size, -(1 << size), draw.randint(-(1 << size), 1 << size))
                ),
            )
        top(words, 0, 10)
        top(words, 10, 0)
    number = held.function("number")
    take = held.function("_take")
    values = [draw.randint(-(2**130), 2**130) for _ in range(20)]
    for value in (0, 1, -1, 1 - 2**159, -(2**159), *values):
        words = array("H", [0xABCD] * 3 + [0] * 10 + [0xABCD])
        wide.put(words, 3, value)
        take(array("H", bytes(20)), words, 3)
        number(words, 3)
    differ = held.function("differ")
    for count in (0, 1, 18, 30):
        one = array("H", draw.randbytes(600))
        other = one[:]
        for _ in range(draw.randrange(12)):
            other[draw.randrange(300)] ^= 1 << draw.randrange(16)
        differ(one, other, count)


def window_job(held: Held, draw: Random) -> None:
    of = held.functions()
    scope: dict[str, Any] = {"print": lambda *sums: None}
    exec(window_jobs.PROGRAM, scope)
    scope["check"](window_words, of, window_jobs.works(40), window_jobs.FIRST, window_jobs.SECOND)
    # Of any two inputs, and the negative too, as where one voltage is the other way round.
    for work in window_jobs.works(12):
        j = array("i", work)
        jobs = [(draw.randrange(4), draw.randrange(4), k % 4, k) for k in range(20)]
        of.central(j)
        of.quotients(j, array("H", [0xABCD] * 200), bytes([*sum(jobs, ()), 255]))
    metered_with(2, of)


def window_words_job(held: Held, draw: Random) -> None:
    join = held.function("join")
    for count in (0, 1, 2, 7, 20, 20, 20):
        join(*(array("H", draw.randbytes(400)) for _ in range(2)), count)


def reactive_job(held: Held, draw: Random) -> None:
    of = held.functions()
    for _ in range(60):
        f, w, allowed = reactive_jobs.drawn(draw)
        of.flows(f, w, allowed)
        of.book(f)
    metered_with(3, of)


def intmath_job(held: Held, draw: Random) -> None:
    of = held.functions()
    for k in range(60):
        root = draw.randrange(1 << 15)
        n = min(2**30 - 1, max(0, root * root + k % 3 - 1))
        assert of.isqrt_word(n) == math.isqrt(n)
        root = draw.randint(1 << 15, (1 << 30) - 1)
        n = min(2**60 - 1, max(2**30, root * root + k % 3 - 1))
        assert of.isqrt_words(n >> 30, n & (1 << 30) - 1) == math.isqrt(n)


def shift_job(held: Held, draw: Random) -> None:
    for size in (
        0,
        1,
        4095,
        4096,
        65535,
        *(draw.getrandbits(draw.randint(1, 30)) for _ in range(20)),
    ):
        assert held.function("_shift")(size) == max(0, size.bit_length() - 12)


def telemetry_job(held: Held, draw: Random) -> None:
    fill = held.function("_fill")
    templates = [value for value in vars(telemetry).values() if isinstance(value, bytes)]
    templates = [value for value in templates if value.endswith(b"\0")]
    assert len(templates) > 4
    for _ in range(15):
        for template in templates:
            words = array("i", bytes(4 * len(telemetry._words)))
            for at in range(0, len(words), 2):
                if draw.random() < 0.2:
                    words[at] = draw.choice((telemetry._NULL, telemetry._TRUE, telemetry._FALSE))
                    words[at + 1] = telemetry._TEXT
                else:
                    words[at] = draw.choice((0, 9, 10, 999_999_999, draw.randrange(10**9)))
                    words[at + 1] = draw.choice((0, 0, 99_999_999, draw.randrange(10**8)))
                    words[at + 1] |= draw.choice((0, telemetry._NEGATIVE))
            fill(bytearray(telemetry._buffer), template, words)


def capture_job(held: Held, draw: Random) -> None:
    for _ in range(15):
        codes = array("H", [draw.randrange(4096) for _ in range(draw.randint(1, 300))])
        end = draw.randint(0, len(codes))
        begin = draw.randint(0, end)
        text = bytearray(draw.randbytes(10 + 2 * len(codes)))
        held.function("_write_codes")(text, draw.randrange(10), codes, begin, end)
