"""A capture on the board's side: its text, its energy, and that metering is none the worse for it.

The text is worked out by hand with Python's base64, the energy in float64 from the codes alone.
"""

import random
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.rigs import capture_board as bench_capture
from host_tests.rigs.board_parts import Port
from host_tests.rigs.capture_board import Board, Text, codes_of, lines_of, text_of
from host_tests.rigs.meter_runs import (
    I_NA,
    MID,
    NANO_WH,
    SLOTS,
    V_NV,
    Codes,
    board,
    convert,
    flat,
    split_phase,
)
from host_tests.whole.test_engines_agree import TABLES
from threewire.metering.accumulator import raw_per_wh
from threewire.metering.calibration import from_dict, nominal
from threewire.metering.meter import Meter
from threewire.metering.registers import Registers
from threewire.operation.capture import Capture
from tools.common import boards

# What a line has beside its codes, at most: eight digits of frame, ten of CRC.
BESIDE = 90
FEATHER = boards.load("feather_rp2040")
# Slots and derived inputs of boards of three and four.
STRIDES: dict[int, tuple[tuple[str, ...], dict[str, tuple[str, int]]]] = {
    3: (SLOTS[:3], {"v2": ("v1", -1)}),
    4: (SLOTS, {}),
}

Blocks = list[tuple[Codes, int] | int]


@pytest.fixture(autouse=True)
def _print_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "print_exception", bench_capture.print_exception, raising=False)


class Fed:
    """In the place of a capture's meter: what it was fed."""

    def __init__(self, stride: int) -> None:
        self.stride = stride
        self.codes: list[int] = []
        self.ticks: list[int] = []
        self.registers = Registers(raw_per_wh(48_000_000))

    def finish(self) -> None:
        pass

    def feed(self, codes: Any, frames: int, frame_ticks: int, first: int) -> None:
        stride = self.stride
        self.codes += codes[first * stride : (first + frames) * stride]
        self.ticks += [frame_ticks] * frames


def random_codes(frames: int, stride: int, seed: int = 1) -> Codes:
    codes = np.random.default_rng(seed).integers(0, 4096, (frames, stride), np.uint16)
    codes[:1] = [0, 4095, 64, 63][:stride]
    return codes


# ---- the text


def drained(capture: Capture, port: Port) -> tuple[Text, dict[str, Any]]:
    """What it has written when it is over: lines, and the last."""
    while capture.step():
        pass
    assert capture.over and capture.done
    *lines, last = lines_of(bytes(port.said))
    return Text(lines, capture._stride), last


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.sampled_from([3, 4]),
    st.lists(
        st.tuples(st.integers(0, 1100), st.integers(1, 3), st.integers(0, 4)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([128, 700, 1024]),
    st.integers(-3, 600),
)
def test_any_blocks_are_base64_of_their_codes(
    stride: int, cuts: list[tuple[int, int, int]], most: int, short: int
) -> None:
    """`short` frames of those that come are not wanted, or as many more than come; between two
    blocks there is time for some steps of `most` bytes, and when there is none, for as many as are
    needed."""
    slots, derived = STRIDES[stride]
    layout = board(slots, 0, derived=derived)
    total = sum(frames for frames, _, _ in cuts)
    wanted = max(1, total - short)
    codes = random_codes(total + 1, stride)[:total]
    fed, port = Fed(stride), Port(most)
    capture = Capture(layout, lambda: fed, wanted, port)
    at, ticks = 0, []
    for frames, ticks_of_each, steps in cuts:
        capture.feed(flat(codes[at : at + frames]), frames, ticks_of_each)
        at += frames
        ticks += [ticks_of_each] * frames
        for _ in range(steps):
            capture.step()
    taken = min(total, wanted)
    assert capture.done == (total >= wanted)
    capture.stop()
    text, last = drained(capture, port)
    assert (last["captured"], last["lost"]) == (taken, 0)
    assert text.codes == fed.codes == codes[:taken].reshape(-1).tolist()
    assert text.ticks == fed.ticks == ticks[:taken]
    # Lines as long as they may be, but for spans; none without a frame.
    longest = max(len(line) for line in port.said.split(b"\n"))
    assert longest <= 10 + 2000 + 240
    per_line = 2000 // (2 * stride)
    assert max(text.lengths, default=0) <= per_line
    assert len(text.lengths) <= taken / per_line + len(cuts) / 8 + 1


def test_the_text_itself() -> None:
    """By hand: 0x000 is AA, 0xfff is //, 0x040 is BA, 0x03f is A/."""
    assert text_of([0, 4095, 64, 63]) == "AA//BAA/"
    port = Port()
    capture = Capture(board(), lambda: Fed(4), 1, port)
    capture.feed(flat(random_codes(1, 4)), 1, 4800)
    assert not port.said and capture.done and not capture.over
    capture.step()
    crc = zlib.crc32(b"AA//BAA/")
    assert bytes(port.said) == (
        b'{"codes":"AA//BAA/","frame":0,"spans":[[1, 4800]],"crc":%d}\n' % crc
    )


def test_the_longest_numbers_fit_a_line() -> None:
    """A hundred million frames on, spans of half a minute each."""
    layout, port = board(), Port()
    capture = Capture(layout, lambda: Fed(4), 10**8, port)
    capture._taken = 10**8 - 500
    codes = random_codes(500, 4)
    for k in range(0, 500, 25):
        capture.feed(flat(codes[k : k + 25]), 25, 32_000_000 * 30 + k)
    while capture.step():
        pass
    *lines, _ = lines_of(bytes(port.said))
    assert [len(line["spans"]) for line in lines] == [8, 8, 4]
    assert [line["frame"] for line in lines] == [10**8 - 500, 10**8 - 300, 10**8 - 100]
    found = [code for line in lines for code in codes_of(line["codes"])]
    assert found == codes.reshape(-1).tolist()


def test_a_reader_that_does_not_keep_up_breaks_it_off() -> None:
    """One line is filled while another waits to be written: a third has no place."""
    layout, port = board(), Port()
    fed = Fed(4)
    capture = Capture(layout, lambda: fed, 9000, port)
    codes = random_codes(2000, 4)
    port.ready = False
    capture.feed(flat(codes[:300]), 300, 4800)
    assert not capture.done
    capture.feed(flat(codes[300:1150]), 850, 4800)
    assert capture.done and not port.said
    capture.feed(flat(codes), 2000, 4800)
    capture.gap(5, 5 * 4800)
    port.ready = True
    text, last = drained(capture, port)
    assert text.codes == fed.codes == codes[:500].reshape(-1).tolist()
    assert (last["captured"], last["lost"]) == (500, 650)


LOOKS = (300, 450, 550, 700, 800, 950, 1050, 1200, 1300, 1450)


def test_a_reader_that_is_ready_again_gets_all() -> None:
    layout, port = board(), Port()
    capture = Capture(layout, lambda: Fed(4), 1500, port)
    codes = random_codes(1500, 4)
    # Every line ends in a block for which the port is ready: what is left of the line before is
    # then written at once.
    at = 0
    for to, port.ready in [(200, False), *((at, at % 250 == 50) for at in LOOKS), (1500, True)]:
        capture.feed(flat(codes[at:to]), to - at, 4800)
        at = to
    text, last = drained(capture, port)
    assert text.codes == codes.reshape(-1).tolist() and last["lost"] == 0


@pytest.mark.parametrize(
    ("period_us", "hurried"), [(8, True), (78, True), (80, False), (100, False), (1000, False)]
)
def test_lines_that_come_often_are_hurried(period_us: int, hurried: bool) -> None:
    """250 frames a line: more than 50 lines a second at more than 12.5 kHz."""
    layout = board(period_us=period_us)
    assert Capture(layout, lambda: Fed(4), 10_000, Port()).is_hurried == hurried


ON_ENGINE = """\
import gc
import sys
sys.path[:0] = [{firmware!r}, {boards!r}]
import uctypes
from array import array
# First, as on the board: modules leave holes in a small heap.
codes = array("H", bytes({most_bytes}))
as_bytes = uctypes.bytearray_at(uctypes.addressof(codes), {most_bytes})
from threewire.metering.calibration import from_dict
from threewire.operation.capture import Capture
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
import {board} as board
layout = Layout(board)
class Port:
    most = 700
    def is_ready(self):
        return True
    def write_bytes(self, data):
        sys.stdout.buffer.write(data)
constants = from_dict({constants!r}, layout)
room = bytearray(20000)
first = Meter(layout, constants)
del room
gc.collect()
table_of = uctypes.addressof(first._accumulator._sums.words)
filled = []
while not {in_front} and (not filled or uctypes.addressof(filled[-1]) < table_of):
    filled.append(bytearray(2200))
meters = []
def new_meter():
    meters.append(Meter(layout, constants, like=first))
    return meters[0]
capture = Capture(layout, new_meter, {wanted}, Port())
if sys.maxsize < 1 << 32:
    words = meters[0]._accumulator._sums.words
    assert len(words) < 1000
    assert (uctypes.addressof(words) < table_of) == {in_front}
for frames, ticks in {cuts!r}:
    sys.stdin.buffer.readinto(memoryview(as_bytes)[: 2 * layout.stride * (frames + 1)])
    capture.feed(codes, frames, ticks, 1)
while capture.step():
    pass
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
@pytest.mark.parametrize("name", ["feather_rp2040", "pico"])
def test_engines_write_the_same(engine: str, name: str, tmp_path: Path) -> None:
    """With a meter of its own beside the board's, whose tables it shares where words are of 32
    bits."""
    layout = boards.load(name)
    codes = convert(split_phase((150, -90), lag_deg=20), 1.3, layout, noise=2)
    lengths = [(1, 4800), (777, 4800), (0, 4700), (999, 4801), (1, 4802)]
    cuts = [*lengths, *[(1001, 4800)] * 10]
    wanted = 11_000
    script, at, blocks = tmp_path / "capture.py", 0, b""
    for frames, _ in cuts:
        blocks += b"\1\2" * layout.stride + codes[at : at + frames].astype("<u2").tobytes()
        at += frames
    script.write_text(
        ON_ENGINE.format(
            firmware=str(boards.ROOT / "firmware"),
            boards=str(boards.BOARDS),
            board=name,
            constants=TABLES,
            in_front=name == "pico",
            wanted=wanted,
            cuts=cuts,
            most_bytes=2 * layout.stride * (1 + max(frames for frames, _ in cuts)),
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "384k"), str(script)], input=blocks, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    *lines, last = lines_of(done.stdout)
    assert Text(lines, layout.stride).codes == codes[:wanted].reshape(-1).tolist()
    meter = Meter(layout, from_dict(TABLES, layout))
    at, left = 0, wanted
    for frames, ticks in cuts:
        meter.feed(flat(codes[at : at + frames]), min(frames, left), ticks)
        at, left = at + frames, left - min(frames, left)
    meter.finish()
    check_end(last, meter, wanted)


# ---- the energy


def check_end(last: dict[str, Any], meter: Meter, frames: int, lost: int = 0) -> None:
    """The last line is that of a meter that has finished."""
    total = meter.registers
    six = [total.delivered, total.received, *total.elements[0], *total.elements[1]]
    assert last == {
        "captured": frames,
        "lost": lost,
        "delivered_wh": total.delivered.text(),
        "received_wh": total.received.text(),
        "exact": [[str(r.wh), str(r.residue)] for r in six],
    }


def cut(codes: Codes, ticks: int, size: int = 50) -> Blocks:
    return [(codes[at : at + size], ticks) for at in range(0, len(codes), size)]


def captured(told: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], Text, dict[str, Any]]:
    """The reply, the codes and the last line of the one capture in lines that are told."""
    told = list(told)
    (reply,) = [line for line in told if line.get("reply") == "capture"]
    (last,) = [line for line in told if "captured" in line]
    lines = [line for line in told if "codes" in line]
    # All in one piece, and nothing else between.
    assert told[told.index(last) - len(lines) : told.index(last)] == lines
    return reply, Text(lines, len(reply["slots"])), last


def test_the_energy_is_that_of_the_codes(tmp_path: Path) -> None:
    """No slot skew here, so the energy of an element is the sum of its products."""
    layout = board(slot_ns=0)
    codes = convert(split_phase((80, -50), lag_deg=25), 3.0, layout, noise=1)
    rig = Board(tmp_path, layout)
    rig.type("capture 2.5")
    told = rig.run()
    # From a zero crossing on: part of a cycle has no mean of its own.
    reply, text, last = captured(told + rig.run(cut(codes, layout.frame_ticks)))
    frames = reply["frames"]
    assert frames == 20_000 and last["captured"] == frames and last["lost"] == 0
    assert reply["slots"] == list(SLOTS) and reply["board"] == "made_up"
    assert reply["id"] == "e6605838833a7b2c"
    assert (reply["tick_hz"], reply["frame_ticks"]) == (layout.tick_hz, layout.frame_ticks)
    assert reply["calibration"] == nominal(layout).to_dict()
    found = np.array(text.codes).reshape(-1, 4)
    assert (codes[:frames] == found).all()
    signals = found.astype(float) - MID
    wh = [
        Fraction(int(wh)) + Fraction(int(residue), NANO_WH * layout.tick_hz << 32)
        for wh, residue in last["exact"]
    ]
    for k, (i, v) in enumerate(((0, 1), (2, 3))):
        true_wh = (signals[:, i] * signals[:, v]).sum() * I_NA * V_NV * 1e-18 / 8000 / 3600
        net_wh = wh[2 + 2 * k] - wh[3 + 2 * k]
        assert abs(true_wh) > 1 and float(net_wh) == pytest.approx(true_wh, rel=1e-6)
    assert wh[0] - wh[1] == wh[2] - wh[3] + wh[4] - wh[5]


@pytest.mark.parametrize("name", ["feather_rp2040", "pico", "esp32_devkitc"])
@pytest.mark.parametrize("constants", [{}, TABLES], ids=["nominal", "tables"])
def test_a_capture_changes_nothing_for_the_meter(
    tmp_path: Path, name: str, constants: dict[str, Any]
) -> None:
    """Bit for bit: all that would be saved.  And its own energy is that of a meter like it, fed
    from its first frame on."""
    layout = boards.load(name)
    calibration = from_dict(constants, layout)
    hertz = layout.tick_hz / layout.frame_ticks
    codes = convert(split_phase((40, -75), lag_deg=30), 20000 / hertz, layout, noise=2)
    chance = random.Random(2)
    blocks, at = [], 0
    while at < len(codes):
        size = chance.randrange(1, 90)
        # A timer's blocks are as long as they have been.
        ticks = layout.frame_ticks + (chance.randrange(-9, 10) if name[:3] == "esp" else 0)
        blocks.append((codes[at : at + size], ticks))
        at += size
    kept, said = [], []
    for command in ("version", "capture 1.3"):
        folder = tmp_path / command
        folder.mkdir()
        rig = Board(folder, layout, calibration)
        told = rig.run(blocks[:8])
        rig.type(command)
        said.append(told + rig.run(blocks[8:]))
        rig.lifecycle.end("prompt")
        kept.append(rig.assembly.keeper.values())
        assert rig.captures.on is None
    assert kept[0] == kept[1] and min(kept[0][k] for k in (7, 9, 15)) > 0
    reply, text, last = captured(said[1])
    assert not any("codes" in line for line in said[0])
    # The same frames once more, through a meter alone.
    meter = Meter(layout, calibration)
    frames = reply["frames"]
    found = np.array(text.codes, np.uint16).reshape(-1, layout.stride)
    at = 0
    for size, ticks in text.spans:
        meter.feed(flat(found[at : at + size]), size, ticks)
        at += size
    meter.finish()
    check_end(last, meter, frames)
    assert len(found) == frames
    if name[:3] == "esp":
        assert len({ticks for _, ticks in text.spans}) > 5


# ---- what else the board does meanwhile


def second(name: str = "feather_rp2040", seconds: float = 1.0) -> Codes:
    return convert(split_phase((100, 100)), seconds, boards.load(name))


def kinds(told: Iterable[dict[str, Any]]) -> list[str]:
    """What comes after what: first keys, or a reply's command, codes once for all."""
    found = [line.get("reply", next(iter(line))) for line in told]
    return [kind for k, kind in enumerate(found) if kind != "codes" or found[k - 1] != "codes"]


def test_nothing_is_said_beside_it(tmp_path: Path) -> None:
    rig = Board(tmp_path, FEATHER)
    ticks = FEATHER.frame_ticks
    told = rig.run(cut(second(seconds=2.2), ticks))
    assert kinds(told) == ["t", "t"]
    rig.type("capture 3")
    told = rig.run(cut(second(seconds=4.7), ticks))
    # The line that would have come in the meantime comes after it, once.
    assert kinds(told) == ["capture", "codes", "captured", "t", "t"]
    assert rig.meter.ticks / rig.meter.tick_hz > 6.5
    assert not any(rig.faults.counts) and rig.operator.traceback() == ""
    assert rig.port.fed > 100


def test_what_is_typed_ends_it_and_is_answered_then(tmp_path: Path) -> None:
    rig = Board(tmp_path, FEATHER)
    ticks = FEATHER.frame_ticks
    rig.run(cut(second(seconds=1.2), ticks))
    rig.type("capture 3")
    codes = second(seconds=1.5)
    told = rig.run(cut(codes, ticks))
    assert kinds(told) == ["capture", "codes"]
    rig.type("version")
    rig.type("seal")
    told += rig.run(cut(codes, ticks))
    assert kinds(told)[:3] == ["capture", "codes", "captured"]
    assert [kind for kind in kinds(told)[3:] if kind != "t"] == ["version", "seal"]
    _, text, last = captured(told)
    # Not at once, but in a few turns; whole, and by the codes that have come.
    assert 14_000 < last["captured"] < 17_000 and last["lost"] == 0
    meter = Meter(FEATHER, nominal(FEATHER))
    meter.feed(flat(np.array(text.codes, np.uint16)), last["captured"], ticks)
    meter.finish()
    check_end(last, meter, last["captured"])
    assert not any(rig.faults.counts)


def test_a_port_that_is_not_ready_holds_up_neither_metering_nor_lines(tmp_path: Path) -> None:
    rig = Board(tmp_path, FEATHER)
    ticks = FEATHER.frame_ticks
    codes = second(seconds=2.5)
    rig.type("capture 2")
    rig.run(cut(codes[:3000], ticks))
    rig.port.ready = False
    before = len(rig.port.said)
    rig.sampler.waiting.extend(cut(codes[3000:], ticks))
    while rig.sampler.waiting:
        rig.round()
    assert len(rig.port.said) == before
    rig.port.ready = True
    rig.run()
    told = lines_of(bytes(rig.port.said))
    _, text, last = captured(told)
    assert last["lost"] > 0 and len(text.codes) == 4 * last["captured"] < 4 * 20_000
    assert rig.meter.lost_frames == 0 and not any(rig.faults.counts)
    assert kinds(told)[-1] == "t"


def test_frames_that_are_lost_end_it(tmp_path: Path) -> None:
    rig = Board(tmp_path, FEATHER)
    ticks = FEATHER.frame_ticks
    codes = second()
    rig.run(cut(codes, ticks))
    rig.type("capture 2")
    begun = rig.run()
    told = begun + rig.run(
        [*cut(codes[:5000], ticks), 321, *cut(codes, ticks), 77, *cut(codes, ticks)]
    )
    reply, text, last = captured(told)
    taken = last["captured"]
    assert taken == 5000 and last["lost"] == 321 and reply["frames"] == 20_000
    assert len(text.codes) == 4 * taken
    assert text.codes == codes[5000 - taken : 5000].reshape(-1).tolist()
    meter = Meter(FEATHER, nominal(FEATHER))
    meter.feed(flat(codes[5000 - taken : 5000]), taken, ticks)
    meter.finish()
    check_end(last, meter, taken, 321)
    assert told.index(last) < next(k for k, line in enumerate(told) if "t" in line)
    assert rig.captures.on is None and rig.meter.lost_frames == 321 + 77


def test_what_is_lost_behind_the_last_frame_is_not_the_captures(tmp_path: Path) -> None:
    rig = Board(tmp_path, FEATHER)
    rig.type("capture 0.1")
    codes = second()
    told = rig.run(cut(codes[:200], FEATHER.frame_ticks))
    assert rig.captures.on
    # One after the other, before the service looks at it again.
    rig.loop._to_chores = 2001
    told += rig.run([(codes[:2000], FEATHER.frame_ticks), 50])
    _, text, last = captured(told)
    assert last["captured"] == 1000 and last["lost"] == 0 and len(text.codes) == 4000
    assert rig.meter.lost_frames == 50


def test_without_memory_it_is_refused(tmp_path: Path) -> None:
    def new_meter() -> Meter:
        raise MemoryError("memory allocation failed")

    rig = Board(tmp_path, FEATHER, new_meter=new_meter)
    for _ in range(2):
        rig.type("capture 1")
        told = rig.run(cut(second(), FEATHER.frame_ticks))
        (reply,) = [line for line in told if "reply" in line]
        assert "no memory" in reply["error"] and "frames" not in reply
        assert not any("codes" in line or "captured" in line for line in told)
    assert rig.captures.on is None and not any(rig.faults.counts)
    assert any("t" in line for line in told)


def fails_at(turn: int, of: Callable[..., Any], problem: Exception) -> Callable[..., Any]:
    """`of`, but for the call of this number, which fails."""
    calls = 0

    def call(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == turn:
            raise problem
        return of(*given)

    return call


# Of the writes, 128 bytes at a time: the first, others in a line, one in the last.
@pytest.mark.parametrize("where", ["meter", "finish", 1, 2, 40, 200, "last", "always"])
def test_its_crash_is_one_beside_metering(tmp_path: Path, where: str | int) -> None:
    codes, ticks = second(seconds=2.5), FEATHER.frame_ticks
    (tmp_path / "same").mkdir()
    same = Board(tmp_path / "same", FEATHER)
    same.run(cut(codes, ticks))

    meter = Meter(FEATHER, nominal(FEATHER))
    port = Port(128)
    rig = Board(tmp_path, FEATHER, port=port, new_meter=lambda: meter)
    write = port.write_bytes

    def write_bytes(data: bytes) -> None:
        if where == "always" or (where == "last" and b'"exact"' in bytes(data)):
            raise OSError(5)
        write(data)

    if where == "meter":
        meter.feed = fails_at(45, meter.feed, MemoryError("memory allocation failed"))
    elif where == "finish":
        meter.finish = fails_at(1, meter.finish, MemoryError("memory allocation failed"))
    else:
        fails = fails_at(where, write, OSError(5)) if isinstance(where, int) else write_bytes

        def only_in_a_capture(data: bytes) -> None:
            (fails if rig.captures.on else write)(data)

        port.write_bytes = only_in_a_capture  # type: ignore[method-assign]
    rig.type("capture 0.5")
    # All lines are whole but one of the capture's, which has ended with its line.
    told = rig.run(cut(codes, ticks), torn=where not in ("meter", "finish", "always", 1))
    assert [line["reply"] for line in told if "reply" in line] == ["capture"]
    assert not any("captured" in line for line in told)
    # Telemetry has gone on.
    assert sum("t" in line for line in told) >= 2
    assert next(iter(told[-1])) == "t"
    port.write_bytes = write  # type: ignore[method-assign]
    counts = ask_counts(rig)
    assert counts.pop("task") == 1 and not any(counts.values())
    assert "Error" in rig.operator.traceback()
    total, other = rig.meter.registers, same.meter.registers
    assert (total.delivered.wh, total.delivered.residue) == (
        other.delivered.wh,
        other.delivered.residue,
    )
    assert total.delivered.residue and rig.captures.on is None
    # And the next one is whole.
    rig.captures.new_meter = lambda: Meter(FEATHER, nominal(FEATHER))
    rig.type("capture 0.3")
    _, text, last = captured(rig.run(cut(codes[:5000], ticks)))
    assert last["captured"] == 3000 and len(text.codes) == 12_000


def ask_counts(rig: Board) -> dict[str, int]:
    rig.type("faults")
    (line,) = [line for line in rig.run() if "reply" in line]
    return line["counts"]


def test_ctrl_c_ends_it_with_whole_lines(tmp_path: Path) -> None:
    """And whoever goes on metering from the prompt begins without it."""
    rig = Board(tmp_path, FEATHER)
    rig.type("capture 2")
    codes = second()
    rig.run(cut(codes[:4321], FEATHER.frame_ticks))
    assert rig.captures.on
    rig.run(silent_ms=200)
    rig.port.typed += b"\x03"
    rig.port.ready = False
    rig.run(cut(codes[:2000], FEATHER.frame_ticks))
    # It has not come to its end, for nobody reads.
    assert rig.loop.stopped and rig.captures.on
    assert not any("t" in line for line in lines_of(bytes(rig.port.said)))
    rig.lifecycle.end("prompt")
    rig.lifecycle.begin()
    rig.captures.drop()
    assert rig.captures.on is None


# ---- what may be given


@pytest.mark.parametrize(
    ("given", "frames"),
    [
        ("1", 10_000),
        ("0.5", 5000),
        ("0.0010", 10),
        ("0.001", 10),
        ("1.2345", 12_340),
        ("007.25", None),
        ("9999.999", 99_999_990),
        ("5.", 50_000),
    ],
)
def test_seconds(tmp_path: Path, given: str, frames: int | None) -> None:
    rig = Board(tmp_path, FEATHER)
    rig.type("capture " + given)
    (reply,) = rig.run()
    assert reply["frames"] == (72_500 if frames is None else frames)
    assert rig.captures.on


@pytest.mark.parametrize(
    "given",
    [
        *("0", "0.0", "0.0009", "00000", "10000", "1e3", "-1", "+1", "nan", "inf", "0x10"),
        *("1_0", "1 2", "1.2.3", "1,5", ".5", ".", "..", "1.-5", "1.5s", "one", '"1"', "{}"),
        *("\u00b2", "1.\u00b2", "\u0661", "9" * 900, "1.9x", "1.99x", "\u00e9" * 400),
    ],
)
def test_what_is_no_seconds_is_refused(tmp_path: Path, given: str) -> None:
    rig = Board(tmp_path, FEATHER)
    rig.type("capture " + given)
    (reply,) = rig.run()
    if given == "\u0661":  # CPython's digits are more than MicroPython's
        return
    assert reply["reply"] == "capture" and reply.keys() == {"reply", "error"}
    assert len(reply["error"]) < 120
    assert rig.captures.on is None and not any(rig.faults.counts)
    rig.type("capture")
    (reply,) = rig.run()
    assert reply["error"] == "it is: capture SECONDS"


def test_the_end_has_room_for_the_longest_registers() -> None:
    """Of a hundred years at 48 kW, though a capture's begin at nothing."""
    meter = Meter(FEATHER, nominal(FEATHER))
    port = Port(300)
    capture = Capture(FEATHER, lambda: meter, 10, port)
    for register in (meter.registers.delivered, *meter.registers.elements[1]):
        register.wh = 42_076_800_000
        register.residue = (3600 * 10**18 * FEATHER.tick_hz << 32) - 1
    capture.stop()
    _, last = drained(capture, port)
    assert last["captured"] == 0 and last["delivered_wh"] == "42076800000.999999999"
    assert last["exact"][0] == ["42076800000", str((NANO_WH * FEATHER.tick_hz << 32) - 1)]
