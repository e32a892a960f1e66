"""Codes that the front end has made once, held by their digests: the same for ever, by the seed.

The waves are made of products and sums only, which come out alike on every machine.
"""

import hashlib
from fractions import Fraction

import numpy as np
import pytest

from tools.front_end.looping import ArrayRecording, Floats, Source
from tools.front_end.model import FrontEnd


def arch(turns: Floats) -> Floats:
    """Two parabolas in place of a sine: zero at whole and half turns, -1 to 1."""
    part = turns - np.floor(turns) - 0.5
    return 16 * part * (np.abs(part) - 0.5)


class Late(ArrayRecording):
    """A recorder that samples each input later than the one before."""

    skew_s = (0.0, 10.5e-6, 21e-6, 31.5e-6)


def recording(rate_hz: float, seconds: float, kind: type[ArrayRecording] = ArrayRecording):
    """Mains of 60 Hz with a load of uneven current, which is not the same in every cycle."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    turns = 60 * t
    volts = 170 * arch(turns) + 5 * arch(5 * turns)
    return kind(
        rate_hz,
        {
            "v1": volts,
            "i1": (60 + 9 * arch(0.5 * t)) * arch(turns - 0.08) + 12 * arch(3 * turns),
            "v2": 3 * arch(7 * turns) - volts,
            "i2": 20 * arch(turns - 0.5) + 250 * t / seconds * arch(7 * turns),
        },
    )


# rate, seconds recorded, seconds replayed, ADC, whether the loop is kept in memory.
CASES = {
    "loop, its rate the board's": (10_000, 2, 5, "ideal", True),
    "loop, real converter": (10_000, 2, 5, "real", True),
    "loop, another rate": (7680, 0.7, 5, "ideal", True),
    "loop, few samples a cycle": (1200, 1.3, 5, "ideal", True),
    "loop from its source": (12_000, 1.7, 5, "ideal", False),
    "loop from its source, few samples a cycle": (3200, 1.7, 5, "ideal", False),
    "once": (8000, 5, None, "ideal", True),
    "once, cut": (10_000, 6, 5, "real", True),
    "once, few samples a cycle": (4000, 5, None, "ideal", True),
    "once, many": (50_000, 3, None, "ideal", True),
}
DIGESTS = {
    "loop, its rate the board's; ArrayRecording": "277f32ad69785ceb4d679e6f",
    "loop, real converter; ArrayRecording": "684763e1f0f52e19ab0ad410",
    "loop, another rate; ArrayRecording": "5d8cab5bcec85b9f9e0871ca",
    "loop, few samples a cycle; ArrayRecording": "4d98b564fbffce74fb8967f5",
    "loop from its source; ArrayRecording": "1a9b5cd2cd3a03d736b96240",
    "loop from its source, few samples a cycle; ArrayRecording": "d5aacb8af67e3a5e967086ae",
    "once; ArrayRecording": "f9b16d4502ded55fce8ea2c4",
    "once, cut; ArrayRecording": "290fd47062302c12325d8326",
    "once, few samples a cycle; ArrayRecording": "fb76abe5891e21f42cb7e400",
    "once, many; ArrayRecording": "13f14bcd681a615bed0ef9aa",
    "loop, its rate the board's; Late": "a3efddc8f15f85f81097a773",
    "loop, real converter; Late": "d8533bbbfd084876ca16ec20",
    "loop, another rate; Late": "001fdbaa6f7f54e06b9843f6",
    "loop, few samples a cycle; Late": "467360fbece774cc0c443435",
    "loop from its source; Late": "d5a251d9e1cf66dc27b79ad6",
    "loop from its source, few samples a cycle; Late": "336920ea0730f09127d25edc",
    "once; Late": "e53d1b57e02be4ac5a139da1",
    "once, cut; Late": "ab0ead4975f72a3c7c19c852",
    "once, few samples a cycle; Late": "432ddcd62614ca120c7b76fb",
    "once, many; Late": "ca2c63982863517af6c0cf9d",
}


def digest(front_end: FrontEnd, source: Source) -> str:
    found = hashlib.sha256()
    for block in front_end.codes(source):
        found.update(block.astype("<u2").tobytes())
    return found.hexdigest()[:24]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", [ArrayRecording, Late])
def test_codes_are_those_of_before(case, kind, monkeypatch):
    rate_hz, recorded_s, seconds, adc, kept = CASES[case]
    if not kept:
        monkeypatch.setattr("tools.front_end.looping._LOOP_IN_MEMORY", 100)
    front_end = FrontEnd(
        ("v1", "i1", "v2", "i2"), (0.0, 25e-6, 5e-5, 75e-6), Fraction(1, 10_000), adc=adc, seed=7
    )
    source = Source(recording(rate_hz, recorded_s, kind), seconds)
    assert digest(front_end, source) == DIGESTS[f"{case}; {kind.__name__}"]
