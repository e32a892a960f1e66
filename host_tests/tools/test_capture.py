"""tools.capture against the firmware's own service behind TCP, with cables that spoil lines; and
what it keeps, replayed.  At the end the emulated board.
"""

import gc
import itertools
import json
import math
import os
import resource
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from msgspec import Struct

from host_tests.conftest import need_engine
from host_tests.rigs import capture_board as bench_capture
from host_tests.rigs.capture_board import BoardOverTcp, Text, lines_of
from host_tests.rigs.command_lines import with_usual
from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.machine import BY_TIMER
from host_tests.rigs.meter_runs import Codes, convert, split_phase
from host_tests.whole.test_engines_agree import TABLES
from threewire.metering.calibration import from_dict, nominal
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
from threewire.storage import record
from tools import image
from tools.cable.console import BoardConsole
from tools.cable.door import Line
from tools.cable.shapes import Announced, Captured
from tools.cable.shapes import Codes as CodesLine
from tools.capture import cli as capture
from tools.capture.file import CaptureFile
from tools.capture.receive import receive
from tools.common import boards
from tools.common.errors import InputError, PortError
from tools.emulate import board as rp2040_board
from tools.emulate.board import EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.emulate.port import EmulatedPort
from tools.engines import child
from tools.recordings.ranges import SPANS
from tools.replay.report import as_json, as_text
from tools.replay.run import replay

BOARD = boards.DEFAULT
# Of package.json, which mip reads; the firmware has its own.
VERSION = json.loads((boards.ROOT / "package.json").read_text(encoding="utf-8"))["version"]


class Faults(Struct):
    """The answer to `faults`."""

    counts: dict[str, int]


Refill = Callable[[], tuple[Codes, int] | int | None]


@pytest.fixture(autouse=True)
def _print_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.print_exception", bench_capture.print_exception, raising=False)


class Endless:
    """A second of a load again and again, in blocks of 5 ms, about as long as a turn on a board;
    a timer's are not all of one length."""

    def __init__(self, layout: Layout) -> None:
        self._codes = convert(split_phase((80, -50), lag_deg=25), 1.0, layout, noise=1)
        self._layout = layout
        self._size = layout.tick_hz // layout.frame_ticks // 200
        self._varies = layout.tick_hz != 48_000_000
        self.blocks = 0
        self.lose_at = -1  # block in whose place frames are lost

    def __call__(self) -> tuple[Codes, int] | int:
        at = self.blocks * self._size % (len(self._codes) - self._size)
        k = self.blocks = self.blocks + 1
        if k == self.lose_at:
            return 123
        ticks = self._layout.frame_ticks + (k * 7 % 5 - 2 if self._varies else 0)
        return self._codes[at : at + self._size], ticks


def run(
    capsys: pytest.CaptureFixture[str], url: str, out: Path | str | None, *options: str
) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the tool."""
    given = [*(["--out", str(out)] if out else []), "--port", url, *options]
    status = capture.main(with_usual(given, seconds="0.5", timeout="5"))
    said, told = capsys.readouterr()
    return status, said, told


def failed(
    capsys: pytest.CaptureFixture[str], url: str, out: Path, *options: str, status: int = 1
) -> str:
    """The one line of a run that fails and leaves nothing behind."""
    before = sorted(out.parent.iterdir())
    found, said, told = run(capsys, url, out, *options)
    assert found == status and said == ""
    (line,) = told.splitlines()
    assert line.startswith("error: ") and "Traceback" not in line
    assert sorted(out.parent.iterdir()) == before
    return line.removeprefix("error: ")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "c.npz"


# ---- what comes out


CASES = [
    ("feather_rp2040", {}),
    ("pico", {}),
    ("esp32_devkitc", {}),
    ("feather_rp2040", TABLES),
]


@pytest.mark.parametrize(("name", "constants"), CASES)
def test_what_the_board_has_metered_is_replayed_to_the_last_bit(
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    constants: dict[str, Any],
) -> None:
    need_engine("micropython")
    layout = boards.load(name)
    calibration = from_dict(constants, layout)

    def noisy(line: bytes) -> Iterator[bytes]:
        """With what a board might say beside."""
        yield line
        yield b'noise "codes" {'
        yield b"[1]"

    options = {"calibration": calibration, "spoil": noisy}
    with BoardOverTcp(tmp_path, layout, Endless(layout), **options) as board:
        status, said, told = run(capsys, board.url, out)
        heard = board.port.said.rpartition(b"\n")[0] + b"\n"
    assert status == 0, told
    assert said.splitlines()[-1] == "identical to the last bit"
    assert str(out) in said and str(out) in told
    lines = [line for line in lines_of(bytes(heard)) if "codes" in line]
    (last,) = [line for line in lines_of(bytes(heard)) if "captured" in line]
    sent = Text(lines, layout.stride)
    # Decoded by hand, the very codes of the file.
    with np.load(out) as kept:
        assert kept["codes"].dtype == np.uint16
        assert kept["codes"].reshape(-1).tolist() == sent.codes
        assert kept["codes"].shape == (last["captured"], layout.stride)
        assert kept["slots"].tolist() == list(layout.slots)
        assert str(kept["id"]) == "e6605838833a7b2c"
        assert (str(kept["board"]), str(kept["firmware"])) == (name, VERSION)
        assert int(kept["tick_hz"]) == layout.tick_hz
        assert json.loads(str(kept["energy"])) == last
        assert json.loads(str(kept["calibration"])) == calibration.to_dict()
        varies = "spans" in kept
        spans = kept["spans"].tolist() if varies else []
        assert int(kept["frame_ticks"]) == layout.frame_ticks
    assert varies == (name == "esp32_devkitc")
    if varies:
        per_frame = [t for frames, t in spans for _ in range(frames)]
        assert per_frame == [t for frames, t in sent.spans for _ in range(frames)]
        assert len(set(per_frame)) == 5
    else:
        assert {ticks for _, ticks in sent.spans} == {layout.frame_ticks}
    # The energy is shown as the board told it, and by every engine.
    assert said.count(last["delivered_wh"]) == said.count(last["received_wh"]) == 2
    for engine in ("cpython", "micropython"):
        done = replay(out, engine=engine)
        assert done.is_identical is True
    # All of it and nothing but: with other constants, or less of it, there is nothing to compare.
    assert replay(out, engine="micropython", duration=0.3).is_identical is None
    path = tmp_path / "other.json"
    path.write_text('{"v1_nv": 111000000}')
    assert replay(out, engine="micropython", calibration=path).is_identical is None


def changed(out: Path, **arrays: Any) -> Path:
    """The file with some of its arrays replaced; None takes one out."""
    with np.load(out) as kept:
        other = {**{name: kept[name] for name in kept}, **arrays}
    path = out.with_name("changed.npz")
    np.savez(path, **{name: value for name, value in other.items() if value is not None})
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of a timer's board."""
    need_engine("micropython")
    folder = tmp_path_factory.mktemp("whole")
    layout = boards.load("esp32_devkitc")
    with BoardOverTcp(folder, layout, Endless(layout)) as board:
        given = ["--seconds", "0.8", "--port", board.url, "--out", str(folder / "w.npz")]
        assert capture.main(given) == 0
    return folder / "w.npz"


def test_the_energies_last_digit_and_every_span_count(whole: Path) -> None:
    with np.load(whole) as kept:
        energy, spans, codes = (json.loads(str(kept["energy"])), kept["spans"], kept["codes"])
    assert replay(whole).is_identical
    for k in range(6):
        other = json.loads(json.dumps(energy))
        other["exact"][k][1] = str(int(other["exact"][k][1]) + 1)
        path = changed(whole, energy=np.array(json.dumps(other)))
        assert replay(path).is_identical is False
    spans[len(spans) // 2, 1] += 1
    assert replay(changed(whole, spans=spans)).is_identical is False
    assert replay(changed(whole, spans=None)).is_identical is False
    codes[len(codes) // 2, 0] ^= 1
    assert replay(changed(whole, codes=codes)).is_identical is False
    assert replay(changed(whole, energy=None)).is_identical is None


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"spans": np.array([[10, 16000]])}, "its spans hold 10 frames, its codes 800"),
        ({"spans": np.array([[800, 16000, 1]])}, r"shape \(n, 2\)"),
        ({"spans": np.array([[800.0, 16000.0]])}, "whole numbers"),
        ({"spans": np.array([[801, 16000], [-1, 16000]])}, "below 1"),
        ({"spans": np.array([[800, 0]])}, "below 1"),
        ({"energy": np.array("{")}, "energy is not JSON"),
        ({"energy": np.array(5)}, "energy"),
        ({"board": np.array("nowhere")}, "made on another board"),
        ({"slots": np.array(["v1", "i1", "i2", "v2"])}, "its slots are"),
    ],
)
def test_files_that_are_no_capture(whole: Path, arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as problem:
        replay(changed(whole, **arrays))
    assert "changed.npz: " in str(problem.value)


def test_another_energy_is_told(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_engine("micropython")
    layout = boards.load(BOARD)

    def tampered(line: bytes) -> Iterator[bytes]:
        if b'"exact"' in line:
            told = json.loads(line)
            told["exact"][0][1] = str(int(told["exact"][0][1]) - 1)
            line = json.dumps(told).encode()
        yield line

    with BoardOverTcp(tmp_path, layout, Endless(layout), tampered) as board:
        status, said, told = run(capsys, board.url, out)
    assert status == 1 and "identical" not in said
    line = told.splitlines()[-1]
    assert line.startswith(f"error: {out}: the replay comes to another energy than the board")
    # It is kept, to be looked into.
    assert replay(out).is_identical is False


# ---- what may go wrong on the way


class Spoil:
    """Lets a number of lines of codes through, then spoils one."""

    def __init__(self, what: str, after: int = 3) -> None:
        self._what = what
        self._after = after
        self._lines = 0

    def __call__(self, line: bytes) -> Iterator[bytes]:
        is_codes = line.startswith(b'{"codes"')
        self._lines += is_codes
        if self._what == "silent" and self._lines > self._after:
            return
        if self._what == "no end" and b'"captured"' in line:
            return
        if not (is_codes and self._lines == self._after + 1) or self._what == "no end":
            yield line
        elif self._what == "damaged":
            # The next character of the alphabet.
            yield line[:40] + (b"B" if line[40:41] != b"B" else b"C") + line[41:]
        elif self._what == "no base64":
            yield line[:40] + b"~" + line[41:]
        elif self._what == "renumbered":
            yield line.replace(b'"frame":', b'"frame":1')
        elif self._what == "repeated":
            yield line
            yield line
        elif self._what == "cut":
            yield line[:-30]
        elif self._what == "without spans":
            yield line.replace(b"spans", b"spons")
        else:
            assert self._what == "missing"


SPOILT = "did not come whole"


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("damaged", SPOILT),
        ("no base64", SPOILT),
        ("renumbered", SPOILT),
        ("repeated", SPOILT),
        ("missing", SPOILT),
        ("cut", SPOILT),
        ("without spans", SPOILT),
        ("silent", "no frames came for 1 s after "),
        ("no end", "broke off after 5000 of 5000"),
    ],
)
def test_a_cable_that_spoils_a_line(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str], what: str, says: str
) -> None:
    layout = boards.load(BOARD)
    with BoardOverTcp(tmp_path, layout, Endless(layout), Spoil(what)) as board:
        line = failed(capsys, board.url, out, "--timeout", "1")
    assert says in line and "nothing is kept" in line
    if says == SPOILT:
        # 250 frames a line; of those spoilt but not missed the fourth, else the next.
        assert f"frame {1000 if what == 'repeated' else 750} " in line


def test_frames_that_the_board_loses(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = boards.load(BOARD)
    endless = Endless(layout)

    def spoil(line: bytes) -> Iterator[bytes]:
        if b'"frame":1000,' in line:
            endless.lose_at = endless.blocks + 5
        yield line

    with BoardOverTcp(tmp_path, layout, endless, spoil) as board:
        line = failed(capsys, board.url, out)
        assert board.board.meter.lost_frames == 123
    assert "the board lost 123 frames after " in line and "nothing is kept" in line


@pytest.mark.parametrize("where", ["meter", "meter at once", "finish"])
def test_a_capture_that_crashes_on_the_board(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    """Metering goes on there, and with it telemetry."""
    layout = boards.load(BOARD)
    meter = Meter(layout, nominal(layout))
    feed, feeds = meter.feed, 0

    def fail(*given: Any) -> None:
        nonlocal feeds
        feeds += 1
        if where != "meter" or feeds > 40:
            raise MemoryError
        feed(*given)

    setattr(meter, "finish" if where == "finish" else "feed", fail)
    with BoardOverTcp(tmp_path, layout, Endless(layout), new_meter=lambda: meter) as board:
        line = failed(capsys, board.url, out, "--timeout", "4")
    assert ("broke off after " if where != "meter at once" else "no frames came for 4 s") in line
    assert "nothing is kept" in line


def test_a_board_that_refuses(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_meter() -> Meter:
        raise MemoryError

    layout = boards.load(BOARD)
    with BoardOverTcp(tmp_path, layout, Endless(layout), new_meter=no_meter) as board:
        line = failed(capsys, board.url, out, status=2)
        assert "the board refuses: no memory for a second meter" in line
        line = failed(capsys, board.url, out, "--seconds", "0.0001", status=2)
        assert "the board refuses: less than a frame" in line


def test_a_cable_that_is_pulled_out(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = boards.load(BOARD)

    def spoil(line: bytes) -> Iterator[bytes]:
        yield line
        if b'"frame":1500,' in line:
            board.server.unplug()

    with BoardOverTcp(tmp_path, layout, Endless(layout), spoil) as board:
        line = failed(capsys, board.url, out)
        assert "the connection is gone" in line and board.url in line
        line = failed(capsys, board.url, out)
        assert "nothing answers there" in line


def test_ctrl_c(
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    polls = 0
    poll = BoardConsole.poll

    def interrupted(console: BoardConsole) -> Line | None:
        nonlocal polls
        line = poll(console)
        polls += isinstance(line, CodesLine)
        if polls == 3:
            raise KeyboardInterrupt
        return line

    monkeypatch.setattr(BoardConsole, "poll", interrupted)
    layout = boards.load(BOARD)
    with BoardOverTcp(tmp_path, layout, Endless(layout)) as board:
        assert run(capsys, board.url, out) == (130, "", "stopped\n")
    assert not out.exists()


def test_boards_that_are_no_meter(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleServer() as silent:
        line = failed(capsys, silent.url, out, "--timeout", "0.5")
        assert "no answer to 'capture' within 0.5 s: is Threewire on the board?" in line
    with ConsoleServer() as prompt:
        prompt.at_prompt = True
        line = failed(capsys, prompt.url, out)
        assert "is at MicroPython's prompt" in line


# ---- a board that lies


def spoiling(old: bytes, new: bytes) -> Callable[[bytes], Iterator[bytes]]:
    """A board that says something else in the place of this."""

    def spoil(line: bytes) -> Iterator[bytes]:
        yield line.replace(old, new)

    return spoil


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"board": "feather_rp2040"', b'"board": "../../evil"', "`$.board`"),
        (b'"board": "feather_rp2040"', b'"board": "/tmp/evil"', "`$.board`"),
        (b'"board": "feather_rp2040"', b'"board": "unheard_of"', "'unheard_of' is unknown"),
        (b'"frames": 5000', b'"frames": 5001', "announces 5001 frames; 0.5 s of it are 5000"),
        (b'"frames": 5000', b'"frames": 1' + b"0" * 400, "`$.frames`"),
        (b'"frames": 5000', b'"frames": "many"', "`$.frames`"),
        (b'"frames": 5000', b'"frame": 5000', "missing required field `frames`"),
        (b'"tick_hz": 48000000', b'"tick_hz": 0', "`$.tick_hz`"),
        (b'"tick_hz": 48000000', b'"tick_hz": 480000', "has 100 frames a second; expected 450"),
        (b'"slots": [', b'"slots": ["x",', "the board's slots are x "),
        (b'"slots": [', b'"slots": ["x","y",', "`$.slots`"),
        (b'"v2"', b'"v3"', "the board's slots are "),
        (b'"calibration": {', b'"calibration": {"x": {"y": {}},', "`$.calibration"),
        (b'"version"', b'"version": "\\u001b[2J", "v"', "`$.version`"),
    ],
)
def test_a_header_that_lies(
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    old: bytes,
    new: bytes,
    says: str,
) -> None:
    layout = boards.load(BOARD)
    with BoardOverTcp(tmp_path, layout, Endless(layout), spoiling(old, new)) as board:
        line = failed(capsys, board.url, out)
        # It has been told to stop.
        board.server.wait(lambda: not board.board.captures.on)
    assert says in line and line.startswith(board.url)


def test_a_boards_name_leads_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the default file's name it is a part."""
    monkeypatch.setattr(boards, "ROOT", tmp_path / "project")
    layout = boards.load(BOARD)
    spoil = spoiling(b'"board": "feather_rp2040"', b'"board": "../../../evil"')
    with BoardOverTcp(tmp_path, layout, Endless(layout), spoil) as board:
        assert run(capsys, board.url, None, "--engine", "cpython")[0] == 1
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


@pytest.mark.parametrize("key", ["delivered_wh", "received_wh"])
def test_a_printed_energy_that_lies_is_not_called_identical(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """By one in its last digit, while the exact registers are right."""
    layout = boards.load(BOARD)

    def spoil(line: bytes) -> Iterator[bytes]:
        if line.startswith(b'{"captured"'):
            said = json.loads(line)
            said[key] = said[key][:-1] + str((int(said[key][-1]) + 1) % 10)
            line = json.dumps(said, separators=(",", ":")).encode()
        yield line

    with BoardOverTcp(tmp_path, layout, Endless(layout), spoil) as board:
        status, said, told = run(capsys, board.url, out, "--engine", "cpython")
    assert status == 1 and "identical" not in said
    assert "the replay comes to another energy than the board" in told.splitlines()[-1]
    done = replay(out, engine="cpython")
    assert done.is_identical is False and "ANOTHER ENERGY" in as_text(done)
    assert as_json(done)["captured"]["identical"] is False


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (b'{"captured":5000,"lost":0}', "no frames came for 1 s after 5000 of 5000"),
        (b'{"captured":"5000"}', "a capture's end does not fit"),
    ],
)
def test_an_end_that_does_not_fit(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str], end: bytes, says: str
) -> None:
    layout = boards.load(BOARD)

    def spoil(line: bytes) -> Iterator[bytes]:
        if line.startswith(b'{"captured"'):
            yield end
        elif not line.startswith(b'{"t"'):
            yield line

    with BoardOverTcp(tmp_path, layout, Endless(layout), spoil) as board:
        line = failed(capsys, board.url, out, "--timeout", "1")
    assert says in line and "nothing is kept" in line


class Played:
    """In a console's place: lines as they are made, each so many seconds after the last."""

    port, timeout, misfit = "there", 10.0, ""

    def __init__(self, lines: Iterator[Line], every_s: float, monkeypatch: Any) -> None:
        self._lines, self._every_s = lines, every_s
        self.now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def poll(self) -> Line | None:
        self.now += self._every_s
        return next(self._lines, None)


def announced(frames: int, slots: int = 4, ticks: int = 4800) -> Announced:
    names = list(boards.load(BOARD).slots)[:slots]
    return Announced(frames, BOARD, "1" * 16, "1", names, 48_000_000, ticks, {})


def made(lines: int, frames: int = 500, spans: int = 1, seed: int = 1) -> Iterator[Line]:
    """Lines of codes, all noise."""
    draw = np.random.default_rng(seed)
    for k in range(lines):
        text = bench_capture.text_of(draw.integers(0, 4096, 4 * frames).tolist())
        each = [(frames // spans, 4800 + (k + n) % 2) for n in range(spans)]
        yield CodesLine(text, k * frames, each, zlib.crc32(text.encode()))


@pytest.mark.parametrize("every_s", [9.0, 0.05])
def test_a_capture_that_does_not_end(
    out: Path, monkeypatch: pytest.MonkeyPatch, every_s: float
) -> None:
    """A frame a line, each of which comes in time; and lines that have none."""
    frames = 1 if every_s == 9.0 else 0
    empty = CodesLine("", 0, [], 0)
    lines = made(10**9, 1) if frames else itertools.repeat(empty)
    played = Played(lines, every_s, monkeypatch)
    header = announced(20_000)
    refused = pytest.raises(PortError, match=r"of 20000 frames came within 204 s")
    with out.open("wb") as opened, CaptureFile(opened, header) as file, refused:
        receive(cast(Any, played), header, file)
    # Twice its two seconds, and twenty times ten.
    assert 204 <= played.now < 215


def test_more_frames_than_were_announced(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(made(10**9), 0.05, monkeypatch)
    header = announced(2000)
    refused = pytest.raises(PortError, match="more frames came than the 2000 that")
    with out.open("wb") as opened, CaptureFile(opened, header) as file, refused:
        receive(cast(Any, played), header, file)


def peak_of(out: Path, lines: int, monkeypatch: pytest.MonkeyPatch, spans: int = 1) -> int:
    """The most memory in bytes that receiving so many lines of 500 frames takes."""
    header = announced(500 * lines)
    end = Captured(500 * lines, 0, "1.0", "0.0", [("1", "0")] * 6)
    played = Played(itertools.chain(made(lines, spans=spans), [end]), 0.001, monkeypatch)
    gc.collect()
    tracemalloc.start()
    try:
        with out.open("wb") as opened, CaptureFile(opened, header) as file:
            file.end(receive(cast(Any, played), header, file))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_go_with_the_length_of_a_capture(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peak_of(out, 2, monkeypatch)  # what is made once
    peaks = [peak_of(out, lines, monkeypatch) for lines in (10, 110)]
    # A hundred lines more are 400 kB of codes.
    assert peaks[1] < peaks[0] + 30_000 and peaks[1] < 1_500_000, peaks
    with np.load(out) as kept:
        assert kept["codes"].shape == (55_000, 4)


def test_memory_of_the_most_runs_of_frames_that_are_kept(out: Path) -> None:
    """16 bytes each, as tools/README.md says, to the end of the file."""
    runs = int(SPANS.most)
    draw = np.random.default_rng(1)
    lengths = draw.integers(2000, 1 << 28, runs).tolist()
    codes = np.zeros((1 << 12, 4), np.uint16)
    gc.collect()
    tracemalloc.start()
    try:
        with out.open("wb") as opened, CaptureFile(opened, announced(runs)) as file:
            for k in range(0, runs, len(codes)):
                file.add(codes, [(1, ticks) for ticks in lengths[k : k + len(codes)]])
            file.end(Captured(runs, 0, "1.0", "0.0", [("1", "0")] * 6))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    with np.load(out) as kept:
        assert kept["spans"][:, 1].tolist() == lengths and (kept["spans"][:, 0] == 1).all()


# ---- what may be given


NO_BOARD = "socket://127.0.0.1:1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--seconds", "0"], "0 s: expected more than 0"),
        (["--seconds", "-1"], "-1 s: expected"),
        (["--seconds", "nan"], "nan s: expected"),
        (["--seconds", "inf"], "inf s: expected"),
        (["--seconds", "1e4"], "10000 s: expected more than 0, and 9999 at most"),
    ],
)
def test_seconds_that_cannot_be(
    out: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    with ConsoleServer() as board:
        assert says in failed(capsys, board.url, out, *options, status=2)
        assert not board.heard


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("c.csv", "expected a name that ends in .npz"),
        ("c", "expected a name that ends in .npz"),
        (".npz", "expected a name that ends in .npz"),
        ("nowhere/c.npz", "there is no folder"),
    ],
)
def test_a_file_that_cannot_be_is_told_at_once(
    out: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    path = out.with_name("x").parent / name
    status, said, told = run(capsys, NO_BOARD, path)
    assert status == 2 and said == "" and says in told and len(told.splitlines()) == 1


def test_an_engine_that_is_not_there_leaves_the_capture(
    tmp_path: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MICROPYTHON", "/nowhere/micropython")
    layout = boards.load(BOARD)
    with BoardOverTcp(tmp_path, layout, Endless(layout)) as board:
        status, said, told = run(capsys, board.url, out, "--engine", "micropython")
    assert status == 1 and said == ""
    assert told.splitlines()[-1].startswith("error: the capture is kept, but was not replayed: ")
    monkeypatch.undo()
    assert replay(out, engine="cpython").is_identical


def test_a_disk_that_is_full(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files may not grow beyond 66 000 bytes here, which the codes of four seconds do; what is
    tried before is less."""
    layout = boards.load(BOARD)
    out.write_bytes(b"what was there")
    with BoardOverTcp(tmp_path, layout, Endless(layout)) as board:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (66_000, hard))
        try:
            line = failed(capsys, board.url, out, "--seconds", "4", status=2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert line.startswith(f"{out}: cannot be written (file too large)")
    assert out.read_bytes() == b"what was there"


def test_a_name_that_is_a_folders(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out.mkdir()
    layout = boards.load(BOARD)
    with BoardOverTcp(tmp_path, layout, Endless(layout)) as board:
        line = failed(capsys, board.url, out, status=2)
    assert "is a directory; name a file in it" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out.parent.chmod(0o500)
    layout = boards.load(BOARD)
    with BoardOverTcp(tmp_path, layout, Endless(layout)) as board:
        line = failed(capsys, board.url, out, status=2)
    assert "nothing can be written in" in line


def test_the_default_file_is_in_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_engine("micropython")
    monkeypatch.setattr(boards, "ROOT", tmp_path)
    layout = boards.load(BOARD)
    (tmp_path / "build").write_bytes(b"")
    with BoardOverTcp(tmp_path, layout, Endless(layout)) as board:
        status, said, told = run(capsys, board.url, None)
        assert status == 2 and said == ""
        (line,) = told.splitlines()
        assert "captures: cannot be made (not a directory); name another place" in line
        (tmp_path / "build").unlink()
        status, said, told = run(capsys, board.url, None, "--engine", "cpython")
    (path,) = (tmp_path / "build" / "captures").iterdir()
    assert path.name.startswith(f"{BOARD}-20") and path.suffix == ".npz"
    assert status == 0 and path.name in said


@pytest.mark.parametrize("options", [["--help"], ["--seconds", "many"], ["--timeout", "soon"]])
def test_arguments(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    with pytest.raises(SystemExit) as done:
        capture.main(options)
    said, told = capsys.readouterr()
    if options == ["--help"]:
        assert done.value.code == 0 and "example: python -m tools.capture" in said
    else:
        assert done.value.code == 2 and options[1] in told and "Traceback" not in told


# ---- on the emulated board


def on_the_chip(files: dict[str, bytes], name: str, uf2: Path) -> EmulatedBoard:
    packed = image.pack(files, image.geometry(rp2040_board.FLASH))
    waves = {
        key: lambda t, peak=peak: peak * math.sqrt(2) * np.sin(2 * math.pi * 60 * t)
        for key, peak in (("v1", 120), ("i1", 90), ("v2", -120), ("i2", 35))
    }
    return EmulatedBoard(packed, name, Periodic(waves, 3 / 60, name), uf2)


def check_converted(port: EmulatedPort, codes: Codes) -> None:
    """They are, in one run, what the ADC has converted."""
    converted = port.on_board(lambda board: board.codes.tobytes())
    at = converted.find(codes.tobytes())
    assert at > 0 and at % (2 * codes.shape[1]) == 0


@pytest.mark.rp2040
def test_two_seconds_on_the_board(
    uf2: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the default rate, with constants of its own; the emulated ADC knows what it has told."""
    need_engine("micropython")
    # With tables: the second meter needs the largest piece of memory then.
    constants = {"v1_nv": 111_000_001, **TABLES}
    files = image.contents(BOARD)
    stored = (BOARD, json.dumps(constants).encode())
    files["calibration/constants.0"] = record.pack(record.CALIBRATION, 1, stored)
    emulated = on_the_chip(files, BOARD, uf2)
    with emulated, EmulatedPort(emulated) as port:
        port.on_board(lambda board: board.wait_reports(1, 5.0))
        given = ["--seconds", "2", "--timeout", "120", "--engine", "micropython"]
        status, said, told = run(capsys, port.url, out, *given)
        assert status == 0, told
        assert said.endswith("identical to the last bit\n")
        with np.load(out) as kept:
            codes = kept["codes"]
            assert json.loads(str(kept["calibration"])).items() >= constants.items()
            assert "spans" not in kept
        assert codes.shape == (20_000, 4)
        check_converted(port, codes)
        # Nothing was lost over it, and metering goes on.
        port.on_board(lambda board: board.wait_reports(1, 3.0))
        with BoardConsole(port.url, 120) as console:
            assert not any(console.ask("faults", Faults).counts.values())
        lines = port.on_board(lambda board: [line.text for line in board.lines])
        last = [json.loads(text) for text in lines if text.startswith('{"t"')][-1]
        assert last["faults"]["lost_frames"] == 0
        # 120 V with a count worth 0.9 % more; the tables are of a converter that bends by 1.5
        # counts, which the emulated one does not.
        watts = 120 * 90 * 111_000_001 / 110_000_000
        assert last["elements"][0]["watts"] == pytest.approx(watts, rel=0.02)
        assert last["elements"][1]["watts"] == pytest.approx(-120 * 35, rel=0.02)


@pytest.fixture
def board_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Changes settings in a board file, in a folder of boards of its own for this process and its
    engines."""
    root = tmp_path / "project"
    (root / "boards").mkdir(parents=True)
    for name in ("firmware", "tools"):
        (root / name).symlink_to(boards.ROOT / name)
    source = boards.BOARDS

    def change(board: str, **settings: Any) -> str:
        for path in source.glob("*.py"):
            (root / "boards" / path.name).symlink_to(path)
        lines = [(source / f"{board}.py").read_text(encoding="utf-8")]
        lines += [f"{name} = {value!r}" for name, value in settings.items()]
        (root / "boards" / f"{board}.py").unlink()
        (root / "boards" / f"{board}.py").write_text("\n".join(lines) + "\n")
        monkeypatch.setattr(boards, "BOARDS", root / "boards")
        monkeypatch.setattr(child, "ROOT", root)
        boards.module.cache_clear()
        return board

    yield change
    monkeypatch.undo()
    boards.module.cache_clear()


@pytest.mark.slow
@pytest.mark.rp2040
def test_three_seconds_of_three_slots_by_timer(
    uf2: Path, out: Path, capsys: pytest.CaptureFixture[str], board_with: Callable[..., str]
) -> None:
    """Frames are then as long as the timer's blocks have been."""
    need_engine("micropython")
    slow_pico = board_with("pico", SAMPLER={**BY_TIMER, "period_us": 1000})
    emulated = on_the_chip(image.contents(slow_pico), slow_pico, uf2)
    with emulated, EmulatedPort(emulated) as port:
        given = ["--seconds", "3", "--timeout", "120", "--engine", "micropython"]
        status, said, told = run(capsys, port.url, out, *given)
        assert status == 0, told
        assert said.endswith("identical to the last bit\n")
        with np.load(out) as kept:
            codes = kept["codes"]
            assert int(kept["tick_hz"]) == 32_000_000
            spans = kept["spans"] if "spans" in kept else np.array([[3000, 32_000]])
        assert codes.shape == (3000, 3) and spans[:, 0].sum() == 3000
        assert (spans[:, 0] * spans[:, 1]).sum() == pytest.approx(3 * 32_000_000, rel=1e-3)
        check_converted(port, codes)
        assert replay(out, engine="cpython").is_identical


@pytest.mark.slow
@pytest.mark.rp2040
def test_the_sensors_slot_on_the_board(
    uf2: Path, out: Path, capsys: pytest.CaptureFixture[str], board_with: Callable[..., str]
) -> None:
    """The chip gets 40 counts warmer between two seconds: its energy is what its codes are worth,
    by the line of the datasheet, and the replay of its capture comes to the same bits."""
    need_engine("micropython")
    file = boards.module(BOARD)
    name = board_with(
        BOARD,
        SLOTS=(*file.SLOTS, ("temperature", None)),
        SAMPLER={**file.SAMPLER, "clocks": 960, "ring_frames": 2000},
    )
    constants = {"v1_nv": 111_000_001, "reference_ppb_per_k": 300_000, "calibrated_code_q4": 14000}
    files = image.contents(name)
    stored = (name, json.dumps(constants).encode())
    files["calibration/constants.0"] = record.pack(record.CALIBRATION, 1, stored)
    emulated = on_the_chip(files, name, uf2)
    mains, sensor = emulated.inputs, 875
    emulated.inputs = lambda channel, nanos: sensor if channel == 4 else mains(channel, nanos)
    with emulated, EmulatedPort(emulated) as port:
        port.on_board(lambda board: board.wait_reports(2, 5.0))
        cold = last_report(port)
        sensor = 835
        # A mean of both, then of the new ones alone.
        port.on_board(lambda board: board.wait_reports(4, 6.0))
        warm = last_report(port)
        given = ["--seconds", "1", "--timeout", "120", "--engine", "micropython"]
        status, said, told = run(capsys, port.url, out, *given)
        assert status == 0, told
        assert said.endswith(
            "temperature: calibrated_code_q4 would be 13360 now\nidentical to the last bit\n"
        )
        with np.load(out) as kept:
            codes = kept["codes"]
            assert kept["slots"].tolist() == [*(slot for slot, _ in file.SLOTS), "temperature"]
            assert json.loads(str(kept["calibration"])).items() >= constants.items()
        assert codes.shape == (10_000, 5) and (codes[:, 4] == 835).all()
        check_converted(port, codes)
    # 2.136 counts a kelvin of the sensor, and the 300 ppm/K of its own 835 counts.
    kelvin = 40 / (1.721e-3 * 4096 / 3.3 + 300e-6 * 835)
    assert 16 < kelvin < 17
    rise = (1 + 300e-6 * kelvin) ** 2
    for element, watts in zip(cold["elements"], (120 * 90 * 111_000_001 / 110_000_000, -120 * 35)):
        assert element["watts"] == pytest.approx(watts, rel=1e-3)
    for before, after in zip(cold["elements"], warm["elements"]):
        assert after["watts"] / before["watts"] == pytest.approx(rise, rel=1e-4)
        assert after["volts"] / before["volts"] == pytest.approx(rise**0.5, rel=1e-4)
    assert replay(out, engine="cpython").is_identical


def last_report(port: EmulatedPort) -> dict[str, Any]:
    lines = port.on_board(lambda board: [line.text for line in board.lines])
    return [json.loads(text) for text in lines if text.startswith('{"t"')][-1]
