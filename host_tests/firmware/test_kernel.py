"""The per-sample kernel: sums against numpy int64, crossings against a search, and its bounds.

With and without a table of corrected codes behind the state.
"""

import itertools
import re
import subprocess
from array import array
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.rigs.meter_runs import MID, Codes, flat
from threewire.metering import kernel, kernel_viper
from threewire.metering.adc_table import table as adc_table
from tools.common.boards import ROOT

ENGINES = ("micropython", "i386", "armhf")
# The longest window kernel.py allows for: half a second of 8 us frames.
LONGEST_WINDOW = 62500
# (x1, y1, x2, y2): every order of four slots, every choice of three where inputs may be shared.
ORDERS = [(4, order) for order in itertools.permutations(range(4))] + [
    (3, order) for order in itertools.product(range(3), repeat=4)
]
PAIRS = ("XY1", "PY1", "XY2", "PY2", "XX1", "YY1", "XX2", "YY2")
SINGLES = ("SX1", "SY1", "SX2", "SY2")
# The most that a corrected code may be.
MOST = 4200
# Erratum E11's four wide codes, and a bow.
E11 = {
    "steps": [[512, 136], [1536, 131], [2560, 140], [3584, 136]],
    "bow_q4": [round(24 - 48 * ((k - 8) / 8) ** 2) for k in range(17)],
}
TABLES: dict[str, list[int]] = {
    "E11": adc_table(E11).tolist(),
    "monotone": np.sort(np.random.default_rng(1).integers(0, MOST + 1, 4096)).tolist(),
    # No converter is like this; it tells whether a code is looked up once, twice or not at all.
    "scrambled": np.random.default_rng(2).integers(0, MOST + 1, 4096).tolist(),
    "lowest": [0] * 4096,
    "highest": [MOST] * 4096,
}


def corrected(codes: Codes, table: str | None) -> np.ndarray:
    """What is summed of these codes."""
    return codes if table is None else np.array(TABLES[table])[codes]


def new_state(
    stride: int,
    order: tuple[int, ...],
    first: np.ndarray,
    arm: int = -1,
    fire: int = 4096,
    table: list[int] | None = None,
) -> array:
    """A state whose frame before the first is like it, as the accumulator starts one; by default
    nothing arms it. `first` is that frame as it is summed."""
    words = kernel.state(table)
    words[kernel.STRIDE] = stride
    x1, y1, x2, y2 = order
    words[kernel.X1], words[kernel.Y1], words[kernel.X2], words[kernel.Y2] = x1, y1, x2, y2
    words[kernel.Z] = y1
    words[kernel.ARM], words[kernel.FIRE] = arm, fire
    words[kernel.PREV_X1] = first[x1]
    words[kernel._PREV_X2] = first[x2]
    words[kernel._PREV_Z] = first[y1]
    return words


def sums_of(words: array) -> dict[str, int]:
    single = {name: words[getattr(kernel, f"_{name}")] for name in SINGLES}
    pair = {
        name: words[getattr(kernel, f"_{name}")] * 4096 + words[getattr(kernel, f"_{name}") + 1]
        for name in PAIRS
    }
    return single | pair


def expected(codes: np.ndarray, order: tuple[int, ...], before: np.ndarray) -> dict[str, int]:
    """The same sums in int64; `before` is the frame in front of the first."""
    x1, y1, x2, y2 = (codes[:, slot].astype(np.int64) - MID for slot in order)
    p1 = np.concatenate(([int(before[order[0]]) - MID], x1[:-1]))
    p2 = np.concatenate(([int(before[order[2]]) - MID], x2[:-1]))
    products = (x1 * y1, p1 * y1, x2 * y2, p2 * y2, x1 * x1, y1 * y1, x2 * x2, y2 * y2)
    named = dict(zip(SINGLES + PAIRS, (x1, y1, x2, y2, *products)))
    return {name: int(value.sum()) for name, value in named.items()}


def scan_all(codes: Codes, words: array, cuts: list[int]) -> list[int]:
    """Scans from cut to cut; the frames at which it stopped for a crossing."""
    stride = codes.shape[1]
    data = flat(codes)
    stops = []
    pos = 0
    for cut in [*cuts, len(codes)]:
        while pos < cut * stride:
            pos = kernel_viper.scan(data, pos, cut * stride, words)
            if pos < cut * stride:
                stops.append(pos // stride)
                words[kernel.FRESH] = 1
    return stops


@pytest.mark.parametrize(("stride", "order"), ORDERS)
def test_sums_equal_numpys_for_any_slots_and_cuts(stride: int, order: tuple[int, ...]) -> None:
    rng = np.random.default_rng([stride, *order])
    codes = rng.integers(0, 4096, (700, stride), dtype=np.uint16)
    words = new_state(stride, order, codes[0])
    assert scan_all(codes, words, sorted(rng.integers(0, 700, 7).tolist())) == []
    assert sums_of(words) == expected(codes, order, codes[0])


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("stride", "order"), ORDERS[::7])
def test_sums_are_of_the_corrected_codes(stride: int, order: tuple[int, ...], name: str) -> None:
    rng = np.random.default_rng([stride, *order])
    codes = rng.integers(0, 4096, (700, stride), dtype=np.uint16)
    straight = corrected(codes, name)
    words = new_state(stride, order, straight[0], table=TABLES[name])
    behind = words[kernel.WORDS :]
    assert scan_all(codes, words, sorted(rng.integers(0, 700, 7).tolist())) == []
    assert sums_of(words) == expected(straight, order, straight[0])
    # Carried over to the next call: what was summed, but the code as it is for the crossings.
    assert words[kernel.PREV_X1] == straight[-1, order[0]]
    assert words[kernel._PREV_X2] == straight[-1, order[2]]
    assert words[kernel._PREV_Z] == codes[-1, order[1]]
    assert words[kernel.WORDS :] == behind


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_kept_as_it_is_given(name: str) -> None:
    words = kernel.state(TABLES[name])
    assert [kernel.table_entry(words, code) for code in range(4096)] == TABLES[name]
    # Half words of a state whose words are signed: no entry may reach the sign.
    assert max(words) <= MOST << 16 | MOST


def test_without_a_table_a_code_is_what_it_is() -> None:
    words = kernel.state()
    assert words[kernel.TABLE] == 0
    assert [kernel.table_entry(words, code) for code in (0, 1, 2048, 4095)] == [0, 1, 2048, 4095]


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 2**32),
    st.integers(1, 900),
    st.lists(st.integers(0, 900), max_size=12),
    st.sampled_from([None, *TABLES]),
)
def test_cuts_do_not_matter(seed: int, frames: int, cuts: list[int], table: str | None) -> None:
    codes = np.random.default_rng(seed).integers(0, 4096, (frames, 4), dtype=np.uint16)
    straight = corrected(codes, table)
    words = new_state(4, (0, 1, 2, 3), straight[0], table=TABLES.get(table or ""))
    scan_all(codes, words, sorted(min(cut, frames) for cut in cuts))
    assert sums_of(words) == expected(straight, (0, 1, 2, 3), straight[0])


def crossings(z: Codes, arm: int, fire: int) -> list[int]:
    """Frames at or above `fire` whose latest decided frame before was at or below `arm`."""
    decided = np.flatnonzero((z <= arm) | (z >= fire))
    high = z[decided] >= fire
    return decided[1:][high[1:] & ~high[:-1]].tolist()


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 2**32),
    st.integers(1, 600),
    st.floats(5, 120),
    st.sampled_from([0.0, 20.0, 300.0, 3000.0]),
    st.integers(0, 800) | st.integers(0, 4),
    st.lists(st.integers(0, 600), max_size=6),
    st.sampled_from([None, "E11", "scrambled"]),
    st.integers(0, 700) | st.just(0),
)
def test_crossings_and_the_sums_between_them(
    seed: int,
    frames: int,
    period: float,
    noise: float,
    depth: int,
    cuts: list[int],
    table: str | None,
    blind: int,
) -> None:
    # Crossings are of the codes as they are, the sums of what the table makes of them.
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4096, (frames, 4), dtype=np.uint16)
    wave = 1500 * np.sin(2 * np.pi * np.arange(frames) / period + rng.uniform(0, 6))
    codes[:, 1] = (MID + wave + rng.normal(0, noise, frames)).clip(0, 4095)
    arm, fire = MID - 1 - depth, MID
    if depth < 5:  # at the very thresholds
        codes[:, 1] = rng.integers(arm - 1, fire + 2, frames)
    straight = corrected(codes, table)
    words = new_state(4, (0, 1, 2, 3), straight[0], arm, fire, TABLES.get(table or ""))
    data = flat(codes)
    # Nothing is seen in the frames that are not looked at, and at first none has been armed.
    words[kernel.BLIND] = 4 * blind
    bounds = [blind + at for at in crossings(codes[blind:, 1], arm, fire)]
    pos = 0
    begun = 0
    for cut in sorted({min(cut, frames) for cut in cuts} | {frames}):
        while pos < cut * 4:
            pos = kernel_viper.scan(data, pos, cut * 4, words)
            assert (
                sums_of(words).items()
                >= {
                    name: value
                    for name, value in expected(
                        straight[begun : pos // 4], (0, 1, 2, 3), straight[max(0, begun - 1)]
                    ).items()
                    if name not in ("XX1", "YY1", "XX2", "YY2")  # these run on over the cycles
                }.items()
            )
            assert words[kernel.BLIND] == max(0, 4 * blind - pos)
            if pos < cut * 4:
                assert pos // 4 == bounds.pop(0)
                begun = pos // 4
                words[kernel.FRESH] = 1
    assert not bounds
    assert sums_of(words)["XX1"] == expected(straight, (0, 1, 2, 3), straight[0])["XX1"]


def full_scale(pattern: str, frames: int) -> Codes:
    """Codes at the ends of the range: all 0, all 4095, both in turn, or in turn and opposite."""
    codes = np.zeros((frames, 4), np.uint16)
    if pattern == "high":
        codes[:] = 4095
    elif pattern != "low":
        codes[1::2] = 4095
        if pattern == "opposite":
            codes[:, 1::2] = 4095 - codes[:, 1::2]
    return codes


FULL_SCALE = ("low", "high", "alternating", "opposite")


# Codes 0 and 4095 at the ends of what a table may make of them.
WIDEST = [0, *range(1, 4095), MOST]


@pytest.mark.parametrize("is_widest", [False, True])
@pytest.mark.parametrize("pattern", FULL_SCALE)
def test_full_scale_fits_for_the_longest_window(pattern: str, is_widest: bool) -> None:
    # One unbroken scan also covers the longest stretch, 25 ms. The shim raises OverflowError when
    # a word does not hold.
    codes = full_scale(pattern, LONGEST_WINDOW)
    straight = np.array(WIDEST)[codes] if is_widest else codes
    words = new_state(4, (0, 1, 2, 3), straight[0], table=WIDEST if is_widest else None)
    scan_all(codes, words, [])
    assert sums_of(words) == expected(straight, (0, 1, 2, 3), straight[0])
    # Far from the 30 bits and sign of a chip's small integer, too.
    largest = max(abs(word) for word in words[kernel._SX1 : kernel.TABLE])
    assert largest < 2 ** (28 if is_widest else 27)


def test_a_block_of_the_widest_codes_fits_a_word() -> None:
    # Within a block sums are in registers, where the shim sees no overflow: the low word that
    # they begin with, and 256 products of the widest code.
    furthest = max(MOST - MID, MID)
    assert (1 << kernel._LOW_BITS) - 1 + kernel._FOLD * furthest**2 < 2**31


def test_the_shim_would_notice_an_overflow() -> None:
    codes = full_scale("high", 300)
    words = new_state(4, (0, 1, 2, 3), codes[0])
    words[kernel.FRESH] = 0
    words[kernel._XY1] = 2**31 - 10
    with pytest.raises(OverflowError):
        scan_all(codes, words, [])


# Prints the sums of a repeated block of codes, then those of the third differences.
_ON_ENGINE = """\
import sys
from array import array
sys.path.insert(0, {firmware!r})
from threewire.metering import kernel, kernel_viper
block = array("H", {block})
words = kernel.state({table})
for word, value in {settings}:
    words[word] = value
for _ in range({times}):
    if kernel_viper.scan(block, 0, len(block), words) != len(block):
        print("stopped")
print(list(words)[{sums}])
print(kernel.third_differences(block, 1, 60 << 4 | 4, bytearray(65)))
"""


def kept_third_differences(row: Codes) -> int:
    """64 * the sum of the squares of those up to four times the median + how many these are."""
    sizes = np.abs(np.diff(row.astype(np.int64), 3)).clip(max=64)
    median = np.sort(sizes)[len(sizes) // 2]
    kept = sizes[sizes <= min(4 * median + 2, 63)]
    return int(64 * (kept**2).sum() + len(kept))


@pytest.mark.parametrize(
    ("pattern", "table"),
    [(pattern, None) for pattern in (*FULL_SCALE, "random")]
    + [("high", WIDEST), ("opposite", WIDEST), ("random", TABLES["E11"])]
    + [("random", TABLES["highest"]), ("random", TABLES["lowest"])],
    ids=lambda value: "" if value is None else value if isinstance(value, str) else "table",
)
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_hold_full_scale_too(
    engine: str, pattern: str, table: list[int] | None, tmp_path: Path
) -> None:
    if pattern == "random":
        codes = np.random.default_rng(5).integers(0, 4096, (2500, 4), dtype=np.uint16)
    else:
        codes = full_scale(pattern, 2500)
    straight = np.array(table)[codes] if table else codes
    order = (3, 0, 1, 2)
    settings = [(name, order[k]) for k, name in enumerate(("X1", "Y1", "X2", "Y2"))]
    settings += [("Z", 0), ("STRIDE", 4), ("ARM", -1), ("FIRE", 4096)]
    settings += [("PREV_X1", int(straight[0, 3])), ("_PREV_X2", int(straight[0, 1]))]
    script = tmp_path / "scan.py"
    script.write_text(
        _ON_ENGINE.format(
            firmware=str(ROOT / "firmware"),
            block=codes.ravel().tolist(),
            table=table,
            settings=[(getattr(kernel, name), value) for name, value in settings],
            times=LONGEST_WINDOW // 2500,
            sums=f"{kernel._SX1}:{kernel.TABLE}",
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "1M"), str(script)], capture_output=True, text=True, check=True
    )
    printed, third = done.stdout.splitlines()
    words = new_state(4, order, straight[0])
    sums = array("i", [int(word) for word in printed[1:-1].split(",")])
    words[kernel._SX1 : kernel.TABLE] = sums
    repeated = np.tile(straight, (LONGEST_WINDOW // 2500, 1))
    assert sums_of(words) == expected(repeated, order, straight[0])
    # The noise of the converter is of the codes as they are.
    assert int(third) == kept_third_differences(codes[:63, 1])


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([1, 5, 20, 60, 4096]))
def test_third_differences_are_numpys(seed: int, count: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    low = (4096 - spread) // 2
    codes = rng.integers(low, low + spread, (count + 3, 3), dtype=np.uint16)
    bins = bytearray(rng.integers(0, 256, 65, dtype=np.uint8))
    for slot in range(3):
        found = kernel.third_differences(flat(codes), slot, count << 4 | 3, bins)
        assert found == kept_third_differences(codes[:, slot])


def test_vipers_own_constants_are_the_kernels() -> None:
    source = (ROOT / "firmware" / "threewire" / "metering" / "kernel_viper.py").read_text()
    found = dict(re.findall(r"^_(\w+) = const\((\d+)\)$", source, re.MULTILINE))
    assert int(found.pop("LOW")) == (1 << kernel._LOW_BITS) - 1
    assert len(found) == 39
    for name, value in found.items():
        known = getattr(kernel, name, None)
        assert int(value) == (getattr(kernel, f"_{name}") if known is None else known), name
