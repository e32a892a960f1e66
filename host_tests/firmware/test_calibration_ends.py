"""What constants feed, at the ends of their ranges and on every board: the kernel's words, the
thresholds, weights and rotations stay within what they are made for.
"""

import itertools
import math
from typing import Any

import pytest

from threewire.metering import kernel, kernel_viper
from threewire.metering.adc_table import table
from threewire.metering.calibration import from_dict
from threewire.metering.creep import noise_raw
from threewire.metering.element import Element
from threewire.metering.intmath import frame_angle2_q32, isqrt
from threewire.metering.layout import Layout
from threewire.metering.sag import Sag
from threewire.metering.sums import Sums
from tools.common import boards

# What converters make of mid-scale: any code, and what a table makes of the last ones.
ZEROS = range(4201)
# Four times the converter's noise of 2 counts, and as much for a hum.
LEAST_DEPTH = 32


def ends(layout: Layout) -> list[dict[str, Any]]:
    """Constants at every combination of ends of the gains, with the phases' ends in turn."""
    sizes = {"v": layout.nv_per_count, "i": layout.na_per_count}
    keys = ("v1_nv", "i1_na", "v2_nv", "i2_na")
    found = []
    phases = itertools.cycle(itertools.product((-500_000, 500_000), repeat=2))
    for parts in itertools.product((70, 130, -70, -130), repeat=4):
        gains = {
            # Up at the lower end, down at the upper.
            key: int(math.copysign(-(-sizes[key[0]] * abs(part) // 100), part))
            if abs(part) < 100
            else int(math.copysign(sizes[key[0]] * abs(part) // 100, part))
            for key, part in zip(keys, parts)
        }
        one, two = next(phases)
        found.append(gains | {"phase1_ns": one, "phase2_ns": two})
    return found


def sums_of(layout: Layout, constants: dict[str, Any]) -> Sums:
    calibration = from_dict(constants, layout)
    elements = (Element(layout, calibration, 0), Element(layout, calibration, 1))
    return Sums(layout, elements, calibration.adc, kernel_viper)


@pytest.mark.parametrize("name", boards.names())
def test_a_crossing_is_asked_for_within_the_scale(name: str) -> None:
    """Wherever zero is: the code that arms is one that there is, and as far below zero as noise
    never comes; or nothing fires at all."""
    layout = boards.load(name)
    depths = set()
    for constants in ends(layout):
        sums = sums_of(layout, constants)
        depth = tuple(sums._arm_depth)
        if depth in depths:
            continue
        depths.add(depth)
        for reference, is_due in itertools.product((0, 1), (False, True)):
            sums._is_due = is_due
            element = sums._elements[reference]
            for zero in ZEROS:
                element.offsets = (16 * (zero - 2048),) * 2
                sums.bound_by(reference)
                arm, fire = sums._st[kernel.ARM], sums._st[kernel.FIRE]
                assert 0 <= arm <= 4200 - LEAST_DEPTH
                assert fire > 4200 or (fire == zero and fire - arm >= LEAST_DEPTH)
                # About mid-scale there are always crossings.
                assert fire == zero or not 1024 <= zero <= 3072
    assert len(depths) == 4


@pytest.mark.parametrize("name", boards.names())
def test_the_state_has_words_of_31_bits_and_no_sign(name: str) -> None:
    layout = boards.load(name)
    for constants in ends(layout):
        calibration = from_dict(constants, layout)
        words = [*sums_of(layout, constants)._st[: kernel.WORDS]]
        sag = Sag(layout, calibration)
        for mhz in (45_000, 65_000):
            sag.follow(mhz)
            words += sag._words
        # Python's arrays would refuse more than 32 bits.
        assert min(words) >= 0
        # A voltage of nominal is neither up nor down at an end of the words.
        for line in sag._lines:
            assert 0 < line._limit(80) < line._limit(90) < line._limit(110) < 2**31 // 256
        assert all(
            noise_raw(layout, abs(v), abs(i)) > 0
            for v, i in zip(calibration.v_nv, calibration.i_na)
        )


@pytest.mark.parametrize("name", boards.names())
@pytest.mark.parametrize("hertz", [45, 65])
@pytest.mark.parametrize("ns", [-500_000, 0, 500_000])
def test_a_phase_is_a_delay_and_a_rotation(name: str, hertz: int, ns: int) -> None:
    """Of a sine wave: the weights of two frames make it `delay` later, and the rotation is that
    delay's."""
    layout = boards.load(name)
    frame_s = layout.frame_ticks / layout.tick_hz
    angle2 = frame_angle2_q32(hertz * layout.frame_ticks, layout.tick_hz)
    for rows in (None, [[0, ns], [1000, -ns]]):
        phases = {"phase1_ns": ns} if rows is None else {"phase1_by_ma": rows}
        element = Element(layout, from_dict(phases, layout), 0)
        for delay_ns in {element._delay_ns, *[row[3] for row in element.rows or ()]}:
            element._delay_ns = delay_ns
            element.weigh(isqrt(angle2 << 32), angle2, layout.frame_ticks, layout.tick_hz)
            turn = 2e-9 * math.pi * hertz * delay_ns
            assert abs(turn) < 0.3
            cos, sin = element.turn
            assert cos / 2**30 == pytest.approx(math.cos(turn), abs=2e-7)
            assert sin / 2**30 == pytest.approx(math.sin(turn), abs=2e-7)
            if rows is None:
                w01, w1 = element._w01 / 2**24, element._w1 / 2**24
                step = 2 * math.pi * hertz * frame_s
                made = (w01 - w1) + w1 * complex(math.cos(step), -math.sin(step))
                wanted = complex(math.cos(turn), -math.sin(turn))
                # At 1 kHz a frame is 23 degrees of 65 Hz.
                assert abs(made - wanted) < (1e-5 if step > 0.3 else 1e-6)


@pytest.mark.parametrize("bow", [256, -256])
@pytest.mark.parametrize("first", [1, 2040, 4087])
def test_the_converters_table_gives_no_more_than_the_sums_take(bow: int, first: int) -> None:
    """256 products of these, and what is carried over, fit a word."""
    for sign in (1, -1):
        bows = [bow * sign**k for k in range(17)]
        made = table({"steps": [[first + k, 512] for k in range(8)], "bow_q4": bows})
        assert min(made) >= 0
        assert max(made) <= 4200
    assert 256 * (4200 - 2048) ** 2 + 4095 < 2**31
