"""Calibrating: the tool against a board whose readings are the real meter's, behind a front end
with errors, and whose console is the firmware's own; truth is worked out from the wave alone.

The optical way's figures are worked out by hand.
"""

import contextlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest

from host_tests.rigs.board_parts import assembled
from host_tests.rigs.command_lines import with_usual
from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.machine import UNIQUE_ID
from host_tests.rigs.meter_runs import flat, front_end
from host_tests.rigs.telemetry_lines import telemetry_line
from threewire.metering.calibration import from_dict, nominal
from threewire.metering.readings import Reading
from threewire.operation import console
from threewire.storage import record
from threewire.storage.record import CALIBRATION
from threewire.storage.store import Store, made_for
from tools.cable.shapes import Telemetry
from tools.calibrate import board as calibrate_board
from tools.calibrate import cli as calibrate
from tools.calibrate.board import command_for
from tools.calibrate.cycles import Count, Energy, parse_wh
from tools.calibrate.points import parse_point
from tools.common import boards
from tools.common.errors import InputError
from tools.front_end.looping import ArrayRecording, Source

BOARD = "feather_rp2040"
LAYOUT = boards.load(BOARD)
NOMINAL = nominal(LAYOUT).to_dict()
RATE = 24_000
VOLTS, HERTZ = 120.0, 60
# What a count truly is beside the board file's, and how element 2 differs from element 1.
TRUE_NV, TRUE_NA = 104_500_000, 158_250_000
OTHER_V, OTHER_I = 1.02, 0.96
LEAD_DEG, LAG_DEG = 1.2, 0.2
PHASE_NS = (LEAD_DEG + LAG_DEG) / 360 / HERTZ * 1e9
TRUE = {
    "v1_nv": TRUE_NV,
    "i1_na": TRUE_NA,
    "v2_nv": TRUE_NV / OTHER_V,
    "i2_na": TRUE_NA / OTHER_I,
    "phase1_ns": PHASE_NS,
    "phase2_ns": PHASE_NS,
}
IDENTITY = UNIQUE_ID.hex()
MINE = {"board": BOARD, "id": IDENTITY}
ANOTHER = "e66058388340612b"
# Wall time that the board takes for a second.
SECOND_S = 0.02
AWAY_S = 0.1


def truth(amps: float, lag_deg: float = 0.0) -> tuple[float, float, float]:
    """Volts, amps, watts of an element with this load."""
    return VOLTS, amps, VOLTS * amps * math.cos(math.radians(lag_deg))


def second_of(amps: tuple[float, float], lag_deg: float) -> Any:
    """The codes of one second, which may be repeated, as the sampler hands them over."""
    angle = 2 * math.pi * HERTZ * np.arange(RATE) / RATE
    volts = VOLTS * math.sqrt(2) * np.sin(angle)
    current = math.sqrt(2) * np.sin(angle - math.radians(lag_deg))
    signals = {
        "v1": volts,
        "i1": amps[0] * current,
        "v2": -volts * OTHER_V,
        "i2": -amps[1] * OTHER_I * current,
    }
    end = front_end(
        LAYOUT,
        ct_lead_deg=LEAD_DEG,
        divider_lag_deg=LAG_DEG,
        nv_per_count=TRUE_NV,
        na_per_count=TRUE_NA,
        seed=7,
    )
    frames = LAYOUT.tick_hz // LAYOUT.frame_ticks
    blocks = end.codes(Source(ArrayRecording(RATE, signals), Fraction(2)))
    return np.concatenate(list(blocks))[:frames]


class FakeBoard(contextlib.ExitStack):
    """A board of the firmware's own parts but sampler and port; a second takes 0.02 s.

    starts    how often it has started
    on_start  called before each start but the first
    """

    def __init__(self, folder: Path, sealed: bool = False, stored: Any = None) -> None:
        super().__init__()
        self._folder = folder
        self._sealed = sealed
        self.starts = 0
        self.on_start: Callable[[], None] = lambda: None
        self._codes = second_of((0.0, 0.0), 0.0)
        self._done = threading.Event()
        self._restart_wanted = False
        if stored:
            self._constants().save((BOARD, json.dumps(stored).encode()))
        self._start()
        self.server = ConsoleServer(self)
        self.url = self.server.url
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __getattr__(self, name: str) -> Any:
        # What the commands want of an operator.
        return getattr(self._assembly.operator, name)

    def __enter__(self) -> Self:
        self.enter_context(self.server)
        self._thread.start()
        self.callback(self._end)
        return self

    def _end(self) -> None:
        self._done.set()
        self._thread.join()
        assert self.server.crashes == []

    def _constants(self) -> Store:
        folder = str(self._folder / "calibration")
        return Store(os, open, folder, "constants", CALIBRATION, made_for(BOARD))

    def _start(self) -> None:
        """As main.py wires it."""
        self.starts += 1
        port = SimpleNamespace(write=self._say)
        self._assembly = assembled(self._folder, LAYOUT, None, port, self._sealed)
        self.meter = self._assembly.meter

    def restart(self) -> None:
        self._restart_wanted = True

    def _run(self) -> None:
        while not self._done.wait(SECOND_S):
            if self._restart_wanted:
                self._restart_wanted = False
                self.server.unplug()
                self.on_start()
                self._start()
                time.sleep(AWAY_S)
                self.server.plug()
            meter = self.meter
            for block in np.array_split(self._codes, 50):
                meter.feed(flat(block), len(block), LAYOUT.frame_ticks)
            if meter.second:
                self._say(telemetry_line(meter, self.faults, self.active))

    def _say(self, line: str) -> None:
        """A line, but not into the middle of an answer."""
        server = self.server
        while True:
            with server._lock:
                if not server._console.busy:
                    server.say(line)
                    return
            time.sleep(SECOND_S / 10)

    def load(self, one: float, two: float, lag_deg: float = 0.0) -> None:
        """Switches a load on."""
        self._codes = second_of((one, two), lag_deg)

    def settled(self) -> "FakeBoard":
        """After three seconds with this load."""
        end = self.meter.ticks + 3 * LAYOUT.tick_hz
        while self.meter.ticks < end:
            assert self._thread.is_alive()
            time.sleep(SECOND_S / 3)
        return self

    def errors(self, one: float, two: float, lag_deg: float = 0.0) -> list[float]:
        """Percent by which volts, amps and watts of both elements are off at a load."""
        self.load(one, two, lag_deg)
        self.settled()
        found = []
        for k, amps in enumerate((one, two)):
            reading = Reading(self.meter.second, k)
            read = (reading.volts_uv, reading.amps_ua, reading.watts_uw)
            found += [100 * (r / 1e6 / t - 1) for r, t in zip(read, truth(amps, lag_deg))]
        return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where constants are kept in place of build/calibration."""
    kept = tmp_path / "kept"
    monkeypatch.setattr(calibrate, "_FOLDER", kept)
    return kept


@pytest.fixture
def board(tmp_path: Path) -> Iterator[FakeBoard]:
    with FakeBoard(tmp_path) as made:
        yield made


class Keyboard:
    """Stands for stdin: answers in turn; a function among them is called for its answer."""

    def __init__(self, *answers: str | Callable[[], Any]) -> None:
        self.left = list(answers)

    def isatty(self) -> bool:
        return False

    def readline(self) -> str:
        if not self.left:
            return ""
        answer = self.left.pop(0)
        if callable(answer):
            answer = answer() or ""
        return answer + "\n"


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """The tool with options and answers: its exit status, stdout and stderr."""

    def run(port: str, *argv: Any, answers: Any = ()) -> tuple[int, str, str]:
        keyboard = Keyboard(*answers)
        monkeypatch.setattr(sys, "stdin", keyboard)
        capsys.readouterr()
        status = calibrate.main(with_usual(["--port", port, *map(str, argv)], timeout="5"))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        if status:
            *_, last = err.strip().splitlines()
            assert last.startswith("error: ") or status == 130
        assert status or keyboard.left == []
        return status, out, err

    return run


def point(element: int, amps: float, lag_deg: float = 0.0) -> str:
    volts, amps, watts = truth(amps, lag_deg)
    return f"element={element} volts={volts:.3f} amps={amps:.4f} watts={watts:.4f}"


def typed(amps: float, lag_deg: float = 0.0) -> list[str]:
    """What is typed of one element's reference."""
    return [f"{value:.4f}" for value in truth(amps, lag_deg)]


# ---- the board in the loop


def test_by_questions_from_readings_to_constants_on_the_board(
    board: FakeBoard, run: Any, folder: Path
) -> None:
    """Both gains and the phase of both elements, with every kind of wrong answer on the way."""
    assert max(abs(error) for error in board.errors(30, 30, 60)) > 5
    status, out, err = run(
        board.url,
        "--seconds",
        3,
        answers=[
            *("three", "both"),
            lambda: board.load(30, 30),
            *("abc", "-120", "nan", typed(30)[0], "", *typed(30)[1:]),
            *typed(30),
            # A typing error is told at once, and the load is taken again.
            "1",
            lambda: board.load(20, 20, 60),
            *(typed(20)[0], "2.0", "120", ""),
            *("both", "", *typed(20, 60), "lots", "2078", *typed(20, 60), ""),
            "",
            *("perhaps", "y"),
            "y",
        ],
    )
    assert status == 0, err
    assert (
        "MAINS VOLTAGE KILLS" in err
        and "use a USB isolator" in err
        and "expected one of 1, 2, both, b, Enter" in err
    )
    assert "'nan': expected a number above 0" in err and "'': expected a number" in err
    assert "not taken: load 2, element 1: amps need" in err
    in_force = board._assembly.operator.calibration
    for key, true in TRUE.items():
        assert in_force[key] == pytest.approx(true, rel=3e-4, abs=400), key
    assert board.starts == 2
    for load in ((30, 30, 0), (20, 20, 60), (100, 50, -37)):
        assert max(abs(error) for error in board.errors(*load)) < 0.1, load
    # Old and new, with their change; the errors before and after at each load.
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    old, new, change = rows["v1_nv"][1:4]
    assert (int(old), int(new)) == (LAYOUT.nv_per_count, in_force["v1_nv"])
    assert float(change) == pytest.approx(100 * (TRUE_NV / LAYOUT.nv_per_count - 1), abs=0.03)
    assert float(rows["phase2_ns"][3]) == pytest.approx(PHASE_NS / 1000, abs=0.5)
    assert out.count("->") == 1 + 4 * 3
    # And what is left at the last load, which is still on.
    last = [line for line in out.splitlines() if "errors now" in line]
    assert len(last) == 2
    for line in last:
        assert all(abs(float(word)) < 0.1 for word in line.split() if word[0] in "+-"), line
    # Old constants and readings were kept.
    (kept,) = folder.glob(f"{BOARD}-????????-??????.json")
    assert json.loads(kept.read_text()) == NOMINAL | MINE
    assert str(kept) in out and "points.json" in err
    (points,) = folder.glob("*-points.json")
    assert [p["element"] for p in json.loads(points.read_text())["points"]] == [1, 2, 1, 2]
    # The log tells who has changed what.
    entries = [json.loads(entry) for entry in board._assembly.operator.log_lines("changes")]
    assert entries[-1]["what"] == "calibrate" and entries[-1]["old"] == NOMINAL


def test_by_options(board: FakeBoard, run: Any, tmp_path: Path) -> None:
    board.load(30, 12)
    board.settled()
    kept = tmp_path / "old.json"
    options = ("--point", point(1, 30), "--point", point(2, 12), "--seconds", 2, "--keep", kept)
    status, out, err = run(board.url, *options, "--dry-run")
    assert status == 0 and "nothing was changed" in err and not kept.exists()
    status, out, err = run(board.url, *options, "--yes")
    assert status == 0, err
    assert "assumed to lead by 1.5" in out and str(kept) in out
    assert max(abs(error) for error in board.errors(30, 12)) < 0.1
    # Its constants are still better than none at power factor 0.5: only the CT's lead is guessed.
    assert max(abs(error) for error in board.errors(30, 12, 60)) < 0.5
    assert json.loads(kept.read_text()) == NOMINAL | MINE
    # The same file again is refused before anything is asked or written.
    status, out, err = run(board.url, *options, "--yes")
    assert status == 2 and "there already" in err and board.starts == 2


def test_element_2_alone_leaves_element_1_as_it_was(tmp_path: Path, run: Any) -> None:
    stored = {"board": BOARD, "i1_na": -151_000_000, "phase1_by_ma": [[1000, 9], [2000, 5]]}
    stored["adc"] = {"steps": [[512, 4]]}
    with FakeBoard(tmp_path, stored=stored) as board:
        board.load(5, 12)
        board.settled()
        status, _, err = run(board.url, "--point", point(2, 12), "--seconds", 2, "--yes")
        assert status == 0, err
        found = board._assembly.operator.calibration
        assert {key: found[key] for key in stored if key != "board"} == {
            key: value for key, value in stored.items() if key != "board"
        }
        assert found["i2_na"] == pytest.approx(TRUE["i2_na"], rel=1e-3)


def test_a_points_file_needs_no_readings(
    board: FakeBoard, run: Any, folder: Path, tmp_path: Path
) -> None:
    """The file that questions have kept gives what they gave."""
    load = lambda: board.load(30, 20, 60)  # noqa: E731
    answers = ["both", load, *typed(30, 60), "", *typed(20, 60), "2078", ""]
    status, asked, err = run(board.url, "--seconds", 2, "--dry-run", answers=answers)
    assert status == 0, err
    (file,) = folder.iterdir()
    board.load(0, 0)
    status, out, err = run(board.url, "--points", file, answers=["y"])
    assert status == 0, err
    for line in asked.splitlines():
        if line.startswith(("v", "i")):
            assert line in out.splitlines()
    for key, true in TRUE.items():
        assert board._assembly.operator.calibration[key] == pytest.approx(
            true, rel=4e-4, abs=400
        ), key
    kept = json.loads(file.read_text())
    assert kept["points"][1]["reference"]["power_factor"] == 0.5
    assert len(kept["points"][0]["board"]) == 2
    assert "power_factor" not in kept["points"][0]["reference"]
    assert kept["id"] == IDENTITY and kept["constants"] == NOMINAL
    other = tmp_path / "other.json"
    other.write_text(json.dumps(kept | {"board": "pico", "constants": {}}))
    status, _, err = run(board.url, "--points", other)
    assert status == 2 and "board is 'pico', the one there is 'feather_rp2040'" in err


def test_the_same_points_again_change_nothing(
    board: FakeBoard, run: Any, folder: Path, tmp_path: Path
) -> None:
    """They were read with constants that are in force no more."""
    board.load(30, 20)
    answers = ["both", "", *typed(30), *typed(20), ""]
    assert run(board.url, "--seconds", 2, "--dry-run", answers=answers)[0] == 0
    (file,) = folder.iterdir()
    assert run(board.url, "--points", file, "--yes")[0] == 0
    made = board._assembly.operator.calibration
    assert made["i1_na"] == pytest.approx(TRUE["i1_na"], rel=1e-3) and board.starts == 2
    status, out, err = run(board.url, "--points", file, "--yes")
    assert status == 0 and "in force already" in err and board.starts == 2
    assert "read with other constants than are in force by now" in out and "worse" not in out
    # Where others came between, they come back to the same.
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"i1_na": 120_000_000, "v2_nv": 100_000_000}))
    assert run(board.url, "--restore", other, "--yes")[0] == 0
    status, out, _ = run(board.url, "--points", file, "--yes")
    assert status == 0 and board._assembly.operator.calibration == made
    # Amperes are 24 % low with those.
    (row,) = [line for line in out.splitlines() if line.startswith("points[0]")]
    assert float(row.split()[-6]) == pytest.approx(100 * (120e6 / TRUE_NA - 1), abs=0.1)


def test_points_that_do_not_say_what_they_were_read_with(
    board: FakeBoard, run: Any, folder: Path
) -> None:
    board.load(30, 20)
    answers = ["1", "", *typed(30), ""]
    assert run(board.url, "--seconds", 2, "--dry-run", answers=answers)[0] == 0
    (file,) = folder.iterdir()
    points = json.loads(file.read_text())
    del points["constants"]
    file.write_text(json.dumps(points))
    status, _, err = run(board.url, "--points", file, "--yes")
    assert status == 2 and board.starts == 1
    assert 'give it "constants", what it answered to `calibration`' in err
    file.write_text(json.dumps(points | {"constants": {}}))
    assert run(board.url, "--points", file, "--yes")[0] == 0
    found = board._assembly.operator.calibration["i1_na"]
    assert found == pytest.approx(TRUE["i1_na"], rel=1e-3)


# ---- whose constants they are


def test_constants_and_points_of_another_board(board: FakeBoard, run: Any, tmp_path: Path) -> None:
    file = tmp_path / "another.json"
    row = {"volts": 114.0, "amps": 30.0, "watts": 3420.0, "var": 0.0}
    points = [{"element": 1, "board": row, "reference": row | {"volts": 120.0, "watts": 3600.0}}]
    for option, told in (
        ("--restore", {"v1_nv": 111_000_000}),
        ("--points", {"constants": {}, "hertz": 60, "points": points}),
    ):
        starts = board.starts
        file.write_text(json.dumps({"board": BOARD, "id": ANOTHER} | told))
        status, _, err = run(board.url, option, file, "--yes")
        (said,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert status == 2 and str(file) in said and ANOTHER in said and IDENTITY in said
        assert "--another-board" in said and board.starts == starts
        # A board that has been swapped takes them.
        status, _, err = run(board.url, option, file, "--yes", "--another-board")
        assert status == 0 and "calibrate this one anew" in err, err
        assert board._assembly.operator.calibration["id"] == IDENTITY
        assert board.starts == starts + 1
    found = board._assembly.operator.calibration["v1_nv"]
    assert found == pytest.approx(LAYOUT.nv_per_count * 120 / 114, rel=3e-4)


def test_a_copied_flash_is_told_until_the_constants_are_this_boards(
    tmp_path: Path, run: Any
) -> None:
    stored = {"board": BOARD, "id": ANOTHER, "v1_nv": 111_000_000}
    with FakeBoard(tmp_path, stored=stored) as board:
        assert board._assembly.operator.calibration["v1_nv"] == 111_000_000
        file = tmp_path / "same.json"
        file.write_text(json.dumps({"v1_nv": 111_000_000}))
        status, _, err = run(board.url, "--restore", file, "--yes")
        assert status == 0 and board.starts == 2
        assert ANOTHER in err and IDENTITY in err and "its flash is a copy" in err
        status, _, err = run(board.url, "--restore", file, "--yes")
        assert status == 0 and "copy" not in err and "in force already" in err


def test_what_was_kept_is_restored(board: FakeBoard, run: Any, folder: Path) -> None:
    board.load(30, 30)
    board.settled()
    assert run(board.url, "--point", point(1, 30), "--seconds", 2, "--yes")[0] == 0
    made = board._assembly.operator.calibration
    assert made != NOMINAL
    (kept,) = folder.iterdir()
    back = folder / "second.json"
    status, out, err = run(board.url, "--restore", kept, "--keep", back, answers=["y"])
    assert status == 0, err
    assert (
        board._assembly.operator.calibration == NOMINAL | {"id": IDENTITY}
        and "v1_nv" in out
        and "v2_nv" not in out
    )
    assert json.loads(back.read_text()) == {"board": BOARD, **made}
    assert board.starts == 3
    status, _, err = run(board.url, "--restore", kept, "--yes")
    assert status == 0 and "in force already" in err and board.starts == 3


# ---- what is refused


def test_a_sealed_board_is_told_before_anything_is_asked(tmp_path: Path, run: Any) -> None:
    with FakeBoard(tmp_path, sealed=True) as board:
        status, out, err = run(board.url)
        assert status == 1 and "sealed: connect its seal pin (GPIO10) to ground" in err
        assert out == "" and "MAINS" not in err
        board.load(30, 30)
        board.settled()
        options = ("--point", point(1, 30), "--seconds", 2)
        assert run(board.url, *options, "--yes")[0] == 1
        # To look what would come of it, it need not be open.
        assert run(board.url, *options, "--dry-run")[0] == 0
        assert board.starts == 1 and board._assembly.operator.calibration == NOMINAL


def test_what_no_calibration_should_mend(board: FakeBoard, run: Any, folder: Path) -> None:
    board.load(-30, 0)
    board.settled()

    def said(text: str) -> str:
        status, out, err = run(board.url, "--point", text, "--seconds", 2, "--yes")
        assert status == 2 and out == ""
        return err.strip().splitlines()[-1]

    assert "a wiring fault (CT 1 turned round" in said(point(1, 30))
    assert "A: is the load on, and on this element?" in said(point(2, 30))
    board.load(30, 0)
    board.settled()
    assert "amps need" in said(point(1, 60))
    low = "element=1 volts=120 amps=30 watts=900"
    assert "0.250 of its volts times amps; expected 0.3 to 1" in said(low)
    assert list(folder.iterdir()) == [] and board.starts == 1


def test_loads_that_contradict_each_other_are_kept_but_not_solved(
    board: FakeBoard, run: Any, folder: Path
) -> None:
    load = lambda: board.load(30, 0)  # noqa: E731
    volts, amps, watts = truth(30)
    wrong = [f"{volts}", f"{1.04 * amps}", f"{1.04 * watts}"]
    answers = ["1", load, *typed(30), "1", "", *wrong, ""]
    status, out, err = run(board.url, "--seconds", 2, answers=answers)
    assert status == 2 and out == ""
    assert "load 2, element 1: amps by the reference are" in err.splitlines()[-1]
    (points,) = folder.iterdir()
    assert len(json.loads(points.read_text())["points"]) == 2 and board.starts == 1


def test_an_unsteady_load_is_warned_of(board: FakeBoard, run: Any) -> None:
    board.load(30, 0)
    board.settled()
    loads = iter([30.5, 30.0, 30.4] * 20)
    done = threading.Event()

    def change() -> None:
        while not done.wait(2 * SECOND_S):
            board.load(next(loads), 0)

    changer = threading.Thread(target=change)
    changer.start()
    status, _, err = run(board.url, "--point", point(1, 30.2), "--seconds", 6, "--dry-run")
    done.set()
    changer.join()
    assert status == 0 and "warning: element 1 was not steady: amps by 1." in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--point", "element=1 volts=120 amps=30"], "watts missing"),
        (["--point", "element=3 volts=120 amps=30 watts=3600"], "element is 3, there are 1 and 2"),
        (["--point", "element=1 volts=x amps=30 watts=3600"], "'x': expected a number above 0"),
        (["--point", "element=1 volts=1 volts=2"], "'volts=2': expected each"),
        (["--point", "element=1 ohms=1"], "'ohms=1': expected each"),
        (
            ["--point", "element=1 volts=12\u0660 amps=30 watts=3600"],
            "'12\u0660': expected a number",
        ),
        (["--cycles", "9", "--reference-wh", "1_0", "--element", "1"], "'1_0': expected watt-h"),
        (["--point", "element=1 volts=0 amps=30 watts=3600"], "above 0"),
        (["--point", "element=1 volts=inf amps=30 watts=3600"], "above 0"),
        (["--point", point(1, 30), "--point", point(1, 20)], "one load at a time"),
        (["--seconds", "0"], "--seconds is '0'"),
        (["--seconds", "1.5"], "--seconds is '1.5'"),
        (["--uncertainty", "0"], "--uncertainty: '0'"),
        (["--uncertainty", "30"], "10 % at most"),
        (["--cycles", "10"], "--cycles goes with"),
        (["--cycles", "10", "--element", "1"], "--cycles goes with"),
        (["--cycles", "10", "--reference-wh", "100"], "--cycles and --element"),
        (["--cycles", "-1", "--watch", "--element", "1"], "--cycles is '-1'"),
        (["--cycles", "9", "--reference-wh", "ten", "--element", "1"], "'ten': expected watt-h"),
        (["--cycles", "9", "--reference-wh", "1", "--watch", "--element", "1"], "leave out"),
        (["--watch"], "--cycles goes with"),
        (["--element", "1"], "--cycles and --element"),
        (["--reference-wh", "nan"], "--cycles goes with"),
        (["--restore", ""], "--restore is empty"),
        (["--points", ""], "--points is empty"),
        (["--keep", ""], "--keep is empty"),
        (["--seconds", ""], "--seconds is empty"),
        (["--uncertainty", ""], "--uncertainty is empty"),
        (["--cycles", "", "--watch", "--element", "1"], "--cycles is empty"),
        (["--restore", "x", "--seconds", "5"], "--seconds is of no use with --restore"),
        (["--restore", "x", "--uncertainty", "1"], "--uncertainty is of no use with --restore"),
        (["--points", "x", "--seconds", "10"], "--seconds is of no use with --points"),
        (["--points", "x", "--uncertainty", "1"], "--uncertainty is of no use with --points"),
        (
            ["--cycles", "9", "--watch", "--element", "1", "--seconds", "9"],
            "--seconds is of no use with --cycles",
        ),
        (["--restore", "x", "--yes", "--dry-run"], "--yes writes: leave one out"),
        (["--point", ""], "element and volts and amps and watts missing"),
    ],
)
def test_options_are_checked_before_the_board_is_looked_for(
    options: list[str], says: str, run: Any
) -> None:
    status, _, err = run("socket://127.0.0.1:1", *options)
    assert status == 2 and says in err


def test_files_that_cannot_be_used(board: FakeBoard, run: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    for option in ("--restore", "--points"):
        assert run(board.url, option, tmp_path / "none.json")[0] == 2
        for content in ("{", '{"v1_nv": 5}'):
            bad.write_text(content)
            status, _, err = run(board.url, option, bad, "--yes")
            assert status == 2 and str(bad) in err
    options = ("--restore", bad, "--keep")
    assert "no such folder" in run(board.url, *options, tmp_path / "no" / "x.json")[2]
    assert run(board.url, *options, tmp_path)[0] == 2
    assert board.starts == 1


def test_readings_that_are_kept_are_not_written_over(
    board: FakeBoard, run: Any, tmp_path: Path
) -> None:
    keep, points = tmp_path / "x.json", tmp_path / "x-points.json"
    board.load(30, 30)
    answers = ["1", "", *typed(30), "", "n"]
    assert run(board.url, "--seconds", 1, "--keep", keep, answers=answers)[0] == 0
    kept = points.read_bytes()
    assert kept and not keep.exists()
    status, _, err = run(board.url, "--seconds", 1, "--keep", keep, answers=["1", ""])
    assert status == 2 and f"{points}: there already" in err and "Load 1" not in err
    assert points.read_bytes() == kept
    # It goes on by them.
    status, _, _ = run(board.url, "--points", points, "--keep", keep, "--yes")
    assert status == 0 and keep.exists() and points.read_bytes() == kept


def test_no_board(run: Any) -> None:
    status, _, err = run("socket://127.0.0.1:1")
    assert status == 1 and "127.0.0.1:1" in err


def test_another_release_is_told(run: Any) -> None:
    class Other:
        version, board, board_id = "9", "unheard_of", IDENTITY
        sealed = locked = False
        more = ()
        calibration = NOMINAL

    with ConsoleServer(Other()) as server:
        status, _, err = run(server.url)
    assert status == 1 and "'unheard_of' is unknown" in err and "make flash" in err


def test_constants_must_fit_a_line() -> None:
    rows = [[50_000 * k + 10_000, -499_999 + k] for k in range(8)]
    largest = dict.fromkeys(("v1_nv", "i1_na", "v2_nv", "i2_na"), -142_999_999) | {
        "board": BOARD,
        "id": "f" * 32,
        "phase1_by_ma": rows,
        "phase2_by_ma": rows,
        "adc": {"steps": [[4000 + k, 512] for k in range(8)], "bow_q4": [-256] * 17},
    }
    from_dict(largest, LAYOUT)
    assert len(command_for(largest)) <= console.LONGEST
    record.pack(CALIBRATION, 1, (BOARD, json.dumps(largest).encode()))
    with pytest.raises(InputError, match="1100 at most"):
        command_for(largest | {"more": "x" * 600})


# ---- broken off


def test_the_end_of_the_input_at_each_question(board: FakeBoard, run: Any) -> None:
    """Whatever question it comes at, nothing is written."""
    answers: list[Any] = ["1", lambda: board.load(30, 30), *typed(30), ""]
    for k in range(len(answers) + 1):
        status, _, err = run(board.url, "--seconds", 1, answers=answers[:k])
        assert status == 2 and "nothing was written" in err, k
    assert board.starts == 1
    status, _, err = run(board.url, answers=[""])
    assert status == 2 and "no load was read" in err
    # After writing a missing answer is a no, and takes nothing back.
    status, out, err = run(board.url, "--seconds", 1, answers=[*answers, "y"])
    assert status == 0 and board.starts == 2 and "in force now" in out
    assert "Is load 1 still on" in err and "nothing was written" not in err


def test_ctrl_c_at_a_question(board: FakeBoard, run: Any) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    status, _, err = run(board.url, answers=["1", interrupt])
    assert status == 130 and "stopped" in err and board.starts == 1


def test_unplugged_at_a_question_and_while_reading(board: FakeBoard, run: Any) -> None:
    board.load(30, 30)

    def unplug() -> None:
        board.server.unplug()
        time.sleep(0.2)

    status, _, err = run(board.url, answers=["1", unplug])
    assert status == 1 and "the connection is gone" in err
    board.server.plug()
    timer = threading.Timer(0.3, board.server.unplug)
    timer.start()
    status, _, err = run(board.url, "--point", point(1, 30), "--seconds", 3600, "--yes")
    assert status == 1 and "the connection is gone" in err


def test_a_board_that_does_not_come_back_says_what_is_in_force(
    board: FakeBoard, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"v1_nv": 111_000_000}))
    gone = threading.Event()

    def wait() -> None:
        gone.wait(4)

    board.on_start = wait
    status, out, err = run(board.url, "--restore", file, "--yes", "--timeout", "1")
    gone.set()
    assert status == 1 and "stored, and in force from its next start" in err
    assert "the old constants are kept in" in err and "in force now" not in out


def test_ctrl_c_while_it_restarts_says_what_is_in_force(
    board: FakeBoard, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"v1_nv": 111_000_000}))

    def interrupt(where: Any, timeout: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrate_board, "started", interrupt)
    status, _, err = run(board.url, "--restore", file, "--yes")
    assert status == 130 and "stored, and in force from its next start\nstopped" in err


def test_a_board_that_cannot_store_them_says_so(
    board: FakeBoard, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"v1_nv": 111_000_000}))

    def fail(constants: Any) -> None:
        raise ValueError("not saved: no space")

    monkeypatch.setattr(board, "write_calibration", fail, raising=False)
    status, _, err = run(board.url, "--restore", file, "--yes")
    assert status == 1 and "the board refuses them: not saved: no space; nothing was chang" in err
    # Unplugged when it has been asked for: nobody knows.
    monkeypatch.setattr(board, "write_calibration", lambda c: board.server.unplug(), raising=False)
    status, _, err = run(board.url, "--restore", file, "--yes", "--keep", tmp_path / "k.json")
    assert status == 1 and "is not known" in err


def test_constants_that_do_not_come_into_force_are_noticed(
    board: FakeBoard, run: Any, tmp_path: Path
) -> None:
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"v1_nv": 111_000_000}))

    def lose() -> None:
        for path in (tmp_path / "calibration").iterdir():
            path.unlink()

    board.on_start = lose
    status, _, err = run(board.url, "--restore", file, "--yes")
    assert status == 1 and "meters with other constants (v1_nv, id)" in err


# ---- by cycles of the LED


def test_cycles_correct_the_gain_of_the_current(board: FakeBoard, run: Any) -> None:
    """40 cycles, 400 Wh by the board. Voltage reads 110/104.5 high and current 150/158.25 low, so
    that the reference has 400 * 104.5/110 * 158.25/150 of them."""
    reference = 400 * (TRUE_NV / LAYOUT.nv_per_count) * (TRUE_NA / LAYOUT.na_per_count)
    board.load(30, 0)
    board.settled()
    options = ("--cycles", 40, "--reference-wh", f"{reference:.2f}", "--element", 1, "--yes")
    status, out, err = run(board.url, *options)
    assert status == 0, err
    ratio = reference / 400
    found = board._assembly.operator.calibration
    assert found["i1_na"] == pytest.approx(LAYOUT.na_per_count * ratio, rel=2e-5)
    assert {key: found[key] for key in NOMINAL if key != "i1_na"} == {
        key: NOMINAL[key] for key in NOMINAL if key != "i1_na"
    }
    # Watts are right: volts and amps need more than energy tells.
    assert abs(board.errors(30, 30)[2]) < 0.1
    # 400 Wh at some 3590 W are 401 s: two edges within 16.7 ms, 0.0017 %, and half of 0.01 Wh.
    watts = 3600 / ratio
    edges = (1 / 60) / math.sqrt(6) / (400 * 3600 / watts)
    u = math.hypot(edges, 0.005 / math.sqrt(3) / reference)
    assert f"known to {100 * u:.3f} %" in out
    (row,) = [line.split() for line in out.splitlines() if line.startswith("i1_na")]
    assert float(row[-2]) == pytest.approx(100 * math.hypot(u, 1e-3), abs=2e-3)


def test_the_same_count_is_not_applied_twice(board: FakeBoard, run: Any, folder: Path) -> None:
    board.load(30, 0)
    board.settled()
    options = ("--cycles", 40, "--reference-wh", "401.5", "--element", 1)
    assert run(board.url, *options, "--dry-run")[0] == 0 and not list(folder.iterdir())
    assert run(board.url, *options, "--yes")[0] == 0
    made = board._assembly.operator.calibration
    assert made["i1_na"] == round(LAYOUT.na_per_count * 401.5 / 400)
    kept, count = sorted(folder.iterdir(), key=lambda path: len(path.name))
    status, _, err = run(board.url, *options, "--yes")
    assert status == 2 and f"{count} has it" in err and "count again" in err
    assert board._assembly.operator.calibration == made and board.starts == 2
    # Another count is another; and with the constants that it was made with this one may come.
    other = ("--cycles", 40, "--reference-wh", "400.2", "--element", 1)
    assert run(board.url, *other, "--yes")[0] == 0
    assert run(board.url, "--restore", kept, "--yes")[0] == 0
    assert run(board.url, *options, "--yes")[0] == 0
    assert board._assembly.operator.calibration == made


def test_too_few_cycles_are_told(board: FakeBoard, run: Any) -> None:
    """2 cycles and a reference of whole Wh: 0.5/sqrt(3)/20 is 1.44 %; 6 are enough."""
    board.load(30, 0)
    board.settled()
    options = ("--cycles", 2, "--reference-wh", 20, "--element", 1, "--dry-run")
    status, out, _ = run(board.url, *options)
    assert status == 0 and "count 6 cycles or more" in out and "known to 1.44" in out
    assert (
        "warning"
        not in run(board.url, "--cycles", 6, "--reference-wh", 60, "--element", 1, "--dry-run")[1]
    )


def test_cycles_that_cannot_be_of_this_element(board: FakeBoard, run: Any) -> None:
    def said(reference: str) -> str:
        options = ("--cycles", 10, "--reference-wh", reference, "--element", 1, "--dry-run")
        status, _, err = run(board.url, *options)
        assert status == 2
        return err

    board.load(30, 5)
    board.settled()
    assert "element 2 carries" in said("100")
    board.load(-30, 0)
    board.settled()
    assert "its energy is received" in said("100")
    board.load(30, 0)
    board.settled()
    assert "element 1: amps need 1.310 times" in said("131")
    assert "element 1: amps need 0.690 times" in said("69")
    assert "registered 0 Wh" in said("0.0")
    # Switched off meanwhile: taken to have been the largest load, 24 kW; 1.5 s a cycle.
    board.load(0, 0)
    board.settled()
    options = ("--cycles", 1, "--reference-wh", "10.0000", "--element", 1, "--dry-run")
    status, out, err = run(board.url, *options)
    assert status == 0 and "has no load now: taken to have been counted at 24000 W" in err
    u = 100 * (1 / 60) / math.sqrt(6) / 1.5
    assert f"known to {u:.3f} %" in out


def test_the_register_is_watched(
    board: FakeBoard, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference's register goes on with the true energy, and is read at a line's instant."""
    board.load(40, 7)
    board.settled()
    watts = truth(40)[2]
    seen: list[float] = []
    line = calibrate_board.Board.line

    def spied(self: Any) -> Telemetry:
        report = line(self)
        seen.append(report.t)
        return report

    def wh() -> str:
        return f"{5000 + watts * seen[-1] / 3600:.4f}"

    monkeypatch.setattr(calibrate_board.Board, "line", spied)
    options = ("--cycles", 8, "--watch", "--element", 1, "--yes")
    status, out, err = run(board.url, *options, answers=["", "wh", wh, "1", wh])
    assert status == 0, err
    assert "expected more than at the start" in err and err.count("NOW") == 2
    ratio = TRUE_NV / LAYOUT.nv_per_count * TRUE_NA / LAYOUT.na_per_count
    found = board._assembly.operator.calibration
    assert found["i1_na"] == pytest.approx(LAYOUT.na_per_count * ratio, rel=1e-3)
    assert {key for key in NOMINAL if found[key] != NOMINAL[key]} == {"i1_na"}
    # Half a second at either end of the minute that 80 Wh take.
    u = 0.5 * math.sqrt(2 / 3) / (3600 * 80 / (watts / ratio))
    (told,) = [line for line in out.splitlines() if "known to" in line]
    assert float(told.split("known to ")[1].split()[0]) == pytest.approx(100 * u, rel=0.02)


def test_a_restart_while_it_is_watched_is_noticed(board: FakeBoard, run: Any) -> None:
    """Of a board whose port stays, as an ESP32's does."""
    board.load(40, 7)
    board.settled()

    def start_anew() -> str:
        board._start()
        board.settled()
        return "5000"

    options = ("--cycles", 1, "--watch", "--element", 1, "--yes")
    status, _, err = run(board.url, *options, answers=["", start_anew])
    assert status == 1 and "has restarted meanwhile: begin again" in err


def test_watching_what_has_no_load_or_runs_backwards(board: FakeBoard, run: Any) -> None:
    options = ("--cycles", 1, "--watch", "--element", 2)
    assert "is its load on?" in run(board.url, *options, answers=[""])[2]
    board.load(0, -9)
    board.settled()
    assert "its energy is received" in run(board.url, *options, answers=[""])[2]


def test_a_count_by_hand() -> None:
    count = Count(200.0, 201.0, 0.012)
    text = count.told(1)
    # 0.5 % wants 2.4 times as many as 20.
    assert "-0.498 %" in text and "known to 1.200 %" in text and "count 48 cycles" in text
    assert "warning" not in Count(200.0, 201.0, 0.005).told(1)


def test_watt_hours_as_typed() -> None:
    assert parse_wh("100.250") == Energy(100.25, 0.0005)
    assert parse_wh("100") == Energy(100.0, 0.5)
    for text in ("", "x", "-1", "nan", "inf", "1e99", "1,5"):
        with pytest.raises(ValueError, match="expected watt-hours"):
            parse_wh(text)


def test_a_points_sign_is_that_of_var_or_power_factor() -> None:
    base = "element=2 volts=120 amps=30 watts=1800"
    assert parse_point(base).lags is None
    assert parse_point(f"{base} var=3100").lags is True
    assert parse_point(f"{base} power_factor=-0.5").lags is False
    assert parse_point(f"{base} var=0").lags is None
