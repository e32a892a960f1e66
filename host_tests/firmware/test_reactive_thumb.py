"""The arithmetic of reactive energy in words against big integers: on CPython, and in viper on
words of 64 and of 32 bits, and in assembler on the emulated RP2040."""

import subprocess
from array import array
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from host_tests.conftest import need_engine
from host_tests.firmware.test_window_words import number, put, raw
from host_tests.firmware.test_words_thumb import at_the_prompt
from threewire.metering import reactive_viper
from tools.common.boards import ROOT

UNIT = 3600 * 10**18 * 64_000_000
LEAST = 12 * 10**18
# The functions as they are written, which CPython too can run.
AS_WRITTEN = SimpleNamespace(flows=raw(reactive_viper.flows), book=raw(reactive_viper.book))


def put_double(words: array, at: int, value: int) -> None:
    words[at], words[at + 1] = value & 0xFFFF, value >> 16


def toward_zero(a: int, b: int) -> int:
    return abs(a) // b * (1 if a >= 0 else -1)


def drawn(draw: Random) -> tuple[array, array, int]:
    """Words of a meter, those of a window, and which elements are allowed.  Of some the watts are
    about a 128th of the var, or the powers about the least, or what they are times is even."""
    f = array("H", bytes(700))
    w = array("H", bytes(400))
    ticks = draw.choice((1, 3, draw.randint(1, 2**30 - 1), draw.randint(10**6, 2 * 10**7)))
    points = draw.choice((1, 2, 800, 2400, draw.randint(1, 62500)))
    gains = [draw.choice((1, 1650 * 10**13, draw.randint(1, 2**60))) for _ in range(2)]
    for k, gain in enumerate(gains):
        at = 90 + 6 * k
        put_double(f, at, gain & 0xFFFFFFFF)
        put_double(f, at + 2, gain >> 32)
        f[at + 4] = draw.randrange(2)
    put_double(f, 102, ticks)
    put_double(f, 104, points)
    put_double(f, 106, draw.choice((0, 1, ticks, draw.randint(0, 2**27))))
    for k in range(3):
        f[108 + k] = draw.randrange(2)
    put(f, 112, LEAST)
    put(f, 122, UNIT)
    for k in range(18):
        put(f, 170 + 10 * k, draw.choice((0, 1, UNIT - 1, draw.randrange(UNIT))))
        f[152 + k] = draw.randrange(3)
    for e, gain in enumerate(gains):
        var = draw.choice((0, LEAST, LEAST - 1, 128 * LEAST, draw.randrange(2**74)))
        watts = draw.choice(
            (0, LEAST, LEAST - 1, var // 128, var // 128 + 1, draw.randrange(2**74))
        )
        for at, power in ((120, var), (100, draw.choice((0, watts, draw.randrange(2**74))))):
            some = draw.choice((-1, 0, 1, 2**16))
            value = (power * points << 17) // gain + some
            put(w, at + 10 * e, draw.choice((1, -1)) * min(value, 2**79))
        energy = draw.choice((1, -1)) * (watts * ticks << 32) + draw.choice((-1, 0, 1))
        put(w, 10 * e, energy)
    return f, w, draw.randrange(4)


def flowed(f: array, w: array, allowed: int) -> list[list[int]]:
    """Watts, var and watts of the mains frequency of element 1, 2 and both."""
    ticks, points = (f[at] + (f[at + 1] << 16) for at in (102, 104))
    flows = []
    for e in range(2):
        at = 90 + 6 * e
        gain = sum(f[at + k] << 16 * k for k in range(4)) * (-1 if f[at + 4] else 1)
        of_phasors = [
            toward_zero(number(w, place + 10 * e) * gain, points * 2**17) for place in (120, 100)
        ]
        flow = [number(w, 10 * e) // (ticks * 2**32), *of_phasors]
        flows.append(flow if allowed >> e & 1 else [0, 0, 0])
    return [*flows, [sum(pair) for pair in zip(*flows)]]


@pytest.mark.parametrize("seed", range(300))
def test_flows_and_registers_are_those_of_integers(seed: int) -> None:
    for of in (reactive_viper, AS_WRITTEN):
        f, w, allowed = drawn(Random(seed))
        flows = flowed(f, w, allowed)
        of.flows(f, w, allowed)
        for k in range(3):
            assert [number(f, 30 * k + 10 * which) for which in range(3)] == flows[k]
        ticks = f[106] + (f[107] << 16)
        received = [bool(f[108 + k]) for k in range(3)]
        energies = [f[152 + k] * UNIT + number(f, 170 + 10 * k) for k in range(18)]
        whole = [f[152 + k] for k in range(18)]
        found = of.book(f)
        for k, (watts, var, watts1) in enumerate(flows):
            if abs(var) >= LEAST:
                if abs(watts) >= LEAST and abs(watts) >= abs(var) // 128:
                    received[k] = watts < 0
                quadrants = {(False, True): 0, (True, True): 1, (True, False): 2}
                energies[6 * k + quadrants.get((received[k], var > 0), 3)] += abs(var) * ticks
            if abs(watts1) >= LEAST:
                energies[6 * k + (4 if watts1 > 0 else 5)] += abs(watts1) * ticks
        assert [bool(f[108 + k]) for k in range(3)] == received
        assert [f[152 + k] * UNIT + number(f, 170 + 10 * k) for k in range(18)] == energies
        assert all(0 <= number(f, 170 + 10 * k) < UNIT for k in range(18))
        assert [found >> k & 1 for k in range(18)] == [f[152 + k] > whole[k] for k in range(18)]


# What is printed is the sum of all that is left behind.
PROGRAM = """
from array import array
from binascii import crc32, unhexlify

def check(of, jobs):
    for f, w, allowed in jobs:
        f, w = array("H", unhexlify(f)), array("H", unhexlify(w))
        of.flows(f, w, allowed)
        found = of.book(f)
        # But for what is only for the while of a call.
        print(found, crc32(bytes(f[:132] + f[152:])))
"""
ON_ENGINE = """
import sys
sys.path.insert(0, {path!r})
{program}
from threewire.metering import reactive_viper
check(reactive_viper, {jobs!r})
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_words_of_64_and_32_bits_do_alike(engine: str, tmp_path: Path) -> None:
    command = need_engine(engine, "4m")
    jobs = [drawn(Random(seed)) for seed in range(100)]
    program = tmp_path / "program.py"
    text = ON_ENGINE.format(
        path=str(ROOT / "firmware"),
        program=PROGRAM,
        jobs=as_text(jobs),
    )
    program.write_text(text)
    said = subprocess.run([*command, str(program)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == in_python(jobs)


@pytest.mark.rp2040
def test_assembler_does_as_viper(uf2: Path) -> None:
    jobs = [drawn(Random(seed)) for seed in range(100, 160)]
    said = []
    with at_the_prompt(uf2) as board:
        board.run(1.0)
        board.execute(PROGRAM + "from threewire.metering import reactive_thumb\n", 60.0)
        for at in range(0, len(jobs), 6):
            job = f"check(reactive_thumb, {as_text(jobs[at : at + 6])})"
            said += board.execute(job, 60.0).splitlines()
    assert said == in_python(jobs)


def in_python(jobs: list[tuple[array, array, int]]) -> list[str]:
    """What CPython makes of the source as it stands, which the test above holds against
    integers."""
    shown: list[str] = []
    scope: dict[str, Any] = {"print": lambda *sums: shown.append(" ".join(map(str, sums)))}
    exec(PROGRAM, scope)
    scope["check"](AS_WRITTEN, as_text(jobs))
    return shown


def as_text(jobs: list[tuple[array, array, int]]) -> list[tuple[str, str, int]]:
    return [(f.tobytes().hex(), w.tobytes().hex(), allowed) for f, w, allowed in jobs]
