"""The host's own kernel, two sums in a word of 64 bits: against numpy int64, and against the
kernel of 32 bits, from which the state after each call may differ in nothing."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.firmware.test_kernel import (
    FULL_SCALE,
    LONGEST_WINDOW,
    PAIRS,
    SINGLES,
    TABLES,
    WIDEST,
    expected,
    full_scale,
    sums_of,
)
from threewire.metering import kernel
from tools.common.boards import ROOT

_PATHS = f"""\
import json
import sys
from array import array
sys.path.insert(0, {str(ROOT / "firmware")!r})
sys.path.insert(0, {str(ROOT / "tools" / "engines")!r})
import kernel_64
from threewire.metering import kernel, kernel_viper
job = json.loads(sys.stdin.readline())
"""

# Prints the state after a window of a repeated block.
_WINDOW = """\
block = array("H", job["block"])
words = kernel.state(job["table"])
for word, value in job["settings"]:
    words[word] = value
for _ in range(job["times"]):
    if kernel_64.scan(block, 0, len(block), words) != len(block):
        print("stopped")
print(list(words))
"""

# Both kernels over random codes, in cuts, with crossings; prints how many runs there were, and the
# first that differs.
_TWINS = """\
import random
random.seed(job["seed"])
below = random.randrange
def run(k):
    stride = (4, 3, 5)[k % 3]
    frames = below(1, 1200)
    kind = k % 4
    codes = array("H", [
        (0, 4095)[below(2)] if kind == 0 else 4095 if kind == 1 else below(4096)
        for _ in range(frames * stride)
    ])
    if kind == 3:  # a wave, with a crossing now and then
        for at in range(0, len(codes), stride):
            codes[at] = 2048 + (at * 7 % 3001 - 1500)
    table = [below(4201) for _ in range(4096)] if k % 5 == 0 else None
    if table and kind == 1:
        table = [4200] * 4096
    start = kernel.state(table)
    for slot in range(4):
        start[slot] = below(stride)
    start[kernel.Z] = 0
    start[kernel.STRIDE] = stride
    start[kernel.ARM] = below(900, 2048)
    start[kernel.FIRE] = below(2048, 3000)
    start[kernel.PREV_X1] = below(4096)
    start[kernel.PREV_X1 + 1] = below(4096)
    start[kernel.BLIND] = stride * below(300) if k % 2 else 0
    base = start[kernel.PHASORS]
    start[base + kernel.STEP] = stride * below(1, 4)
    start[base + kernel.TURN] = below(1 << 20)
    for entry in range(512):
        start[base + kernel.SINE + entry] = below(-512, 513) << 16 | below(-512, 513) & 0xFFFF
    step = below(1, 900) * stride
    found = []
    for of in (kernel_viper, kernel_64):
        words = array("i", start)
        stops = []
        pos = 0
        while pos < len(codes):
            end = min(len(codes), pos + step)
            at = of.scan(codes, pos, end, words)
            if at > pos:
                of.correlate(codes, pos, at, words)
            stops.append((at, list(words[:base + kernel.SINE])))
            if at < end:
                words[kernel.FRESH] = 1
            if len(stops) > 2 and stops[-3][0] == at:
                break
            pos = at
        found.append(stops)
    return found[0] == found[1], len(found[0])
runs = [run(k) for k in range(job["runs"])]
print(json.dumps({
    "differ": [k for k, (same, _) in enumerate(runs) if not same],
    "calls": sum(calls for _, calls in runs),
}))
"""


def _printed(tmp_path: Path, program: str, job: dict[str, object]) -> str:
    script = tmp_path / "job.py"
    script.write_text(_PATHS + program)
    done = subprocess.run(
        [*need_engine("micropython", "4M"), str(script)],
        input=json.dumps(job) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("pattern", "table"),
    [(pattern, None) for pattern in (*FULL_SCALE, "random")]
    + [("high", WIDEST), ("opposite", WIDEST), ("random", TABLES["scrambled"])]
    + [("random", TABLES["highest"]), ("random", TABLES["lowest"])],
    ids=lambda value: "" if value is None else value if isinstance(value, str) else "table",
)
def test_sums_over_the_longest_window_are_numpys(
    pattern: str, table: list[int] | None, tmp_path: Path
) -> None:
    if pattern == "random":
        codes = np.random.default_rng(5).integers(0, 4096, (2500, 4), dtype=np.uint16)
    else:
        codes = full_scale(pattern, 2500)
    straight = np.array(table)[codes] if table else codes
    order = (3, 0, 1, 2)
    settings = [
        (getattr(kernel, name), order[k]) for k, name in enumerate(("X1", "Y1", "X2", "Y2"))
    ]
    settings += [(kernel.Z, 0), (kernel.STRIDE, 4), (kernel.ARM, -1), (kernel.FIRE, 4096)]
    settings += [(kernel.PREV_X1, int(straight[0, 3])), (kernel._PREV_X2, int(straight[0, 1]))]
    times = LONGEST_WINDOW // 2500
    job = {"block": codes.ravel().tolist(), "table": table, "settings": settings, "times": times}
    words = json.loads(_printed(tmp_path, _WINDOW, job))
    assert set(sums_of(words)) == {*SINGLES, *PAIRS}
    assert sums_of(words) == expected(np.tile(straight, (times, 1)), order, straight[0])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_call_leaves_another_state_than_the_kernel_of_32_bits(
    seed: int, tmp_path: Path
) -> None:
    found = json.loads(_printed(tmp_path, _TWINS, {"seed": seed, "runs": 60}))
    assert found["calls"] > 200
    assert found["differ"] == []


def test_a_fold_of_the_widest_codes_fits_half_a_word() -> None:
    source = (ROOT / "tools" / "engines" / "kernel_64.py").read_text()
    found = dict(re.findall(r"^_(\w+) = const\((\w+)\)$", source, re.MULTILINE))
    assert int(found["FOLD"]) * max(WIDEST) ** 2 < 2**32
    for name in ("FOLD", "HALF", "SIGN"):
        found.pop(name)
    assert int(found.pop("LOW")) == (1 << kernel._LOW_BITS) - 1
    assert len(found) == 38
    for name, value in found.items():
        known = getattr(kernel, name, None)
        assert int(value) == (getattr(kernel, f"_{name}") if known is None else known), name
