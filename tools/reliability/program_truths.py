"""What an honest board's prompt prints to the self-test's programs: to be spoilt.

Flow: a program of the self-test -> PROGRAM TRUTHS -> hostile board.
"""

import base64
import json
from typing import Any

import numpy as np

from tools.reliability import truths
from tools.selftest import chip_checks, input_checks

_RING = 2500
_LOST: dict[str, Any] = {"lost": 0}
_REGISTERS = {"chip_id": 0x20002927, "ssi_ctrlr0": 0x5F0300, "ssi_baudr": 2}
_CACHE = {"hits": 900_000, "accesses": 1_000_000}
_IDENTITY = {
    "machine": "Adafruit Feather RP2040 with RP2040",
    "build": "ADAFRUIT_FEATHER_RP2040",
    "micropython": [1, 26, 1],
    "hz": 125_000_000,
    "id": "e66058388334ab23",
    "board": truths.LAYOUT.name,
    "firmware": "0.3.0",
    "ring_frames": _RING,
}
# A piece of the program -> what it prints, and of which shape that has to be.  The first that is
# there counts.
_PRINTED: tuple[tuple[str, dict[str, Any], Any], ...] = (
    ("unique_id", _IDENTITY, chip_checks.Identity),
    ("assembly.run()", _CACHE, chip_checks.Cache),
    ("ssi_baudr", _REGISTERS, chip_checks.Registers),
    ("b2a_base64", {"codes": 4 * _RING, "stride": 4}, chip_checks.Dumped),
    (
        "kernel_viper as two",
        {"differ": [], "calls": 15, "us": [1700, 7900], "words": 571, "frames": _RING},
        chip_checks.Kernels,
    ),
    ("gc_us", {"gc_us": [14_000] * 5, "free": 62_000, "largest": 28_000}, chip_checks.Memory),
    (
        "store.save",
        {"saved": True, "us": [9000] * 30, "ring_frames": 300, **_LOST},
        chip_checks.Saves,
    ),
    (
        "0x2000",
        {"means": [[32_768 + 2400 * (k == n) for k in range(1, 5)] for n in range(5)]},
        input_checks.Pins,
    ),
    (
        "mark %d",
        {"us": 10_000_500, "frames": 100_005, "frame_ticks": 4800, "tick_hz": 48_000_000, **_LOST},
        chip_checks.Clock,
    ),
    (
        "longest_us",
        {"bytes": 65_536, "us": 500_000, "longest_us": 900, "held": 400, "ring_frames": 90}
        | _LOST,
        chip_checks.Port,
    ),
    ("getrandbits", {"stops": 200, "busy": 0, "moved": 0}, chip_checks.Stops),
)


def of(code: str) -> tuple[bytes, dict[str, Any], Any] | None:
    """What comes before the last line, the JSON object in that, and its shape; None for a program
    that prints nothing of its own."""
    for piece, told, shape in _PRINTED:
        if piece in code:
            return _before(piece), told, shape
    return None


def _before(piece: str) -> bytes:
    if piece == "b2a_base64":
        noise = np.random.default_rng(3).normal(2048, 1, 4 * _RING).round().astype("<u2")
        text = base64.encodebytes(noise.tobytes())
        return text.replace(b"\n", b"\r\n")
    if piece == "assembly.run()":
        effort = {"busy_percent": 14.1, "ring_ms": 40, "line_late_ms": 9, "save_ms": 31}
        report = truths.telemetry() | {"effort": {**effort, "collection_ms": 14}}
        return b"".join(json.dumps(report | {"t": n}).encode() + b"\r\n" for n in range(1, 5))
    if piece == "mark %d":
        return b"".join(b"mark %d\r\n" % (7000 * n) for n in range(2 * chip_checks.MARKS))
    if piece == "longest_us":
        return (b"." * 255 + b"\r\n") * 16 + b"held\r\n\r\n"
    return b""
