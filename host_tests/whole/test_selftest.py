"""The board's own proof on the emulated RP2040: it passes, and each planted fault is named."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.started_board import PowerOn, StartedBoards
from tools import image
from tools.bench import chip as bench
from tools.common import boards
from tools.emulate.board import FLASH, EmulatedBoard
from tools.emulate.inputs import Inputs
from tools.emulate.port import EmulatedPort
from tools.selftest import chip_checks, cli, end_checks, input_checks, programs
from tools.selftest.row import FAIL, PASS, SKIP, Row
from tools.selftest.subject import Subject

pytestmark = [pytest.mark.rp2040, pytest.mark.usefixtures("uf2")]

BOARD = boards.DEFAULT
MODULE = boards.module(BOARD)
# No chip has it: one that is not emulated, to those checks that look.
IDENTITY = "e6605838833a7b2c"


@dataclass
class Link:
    """A board at its prompt, as the self-test wants it."""

    board: EmulatedBoard

    def run(self, code: str) -> str:
        return self.board.execute(code, 60.0)

    def stream(self, code: str, take: Callable[[bytes], None], most: int) -> str:
        return self.board.execute(code, 60.0, take)

    def send(self, data: bytes) -> None:
        self.board.type(data.decode())


def noisy(inputs: Inputs, seed: int = 1) -> Inputs:
    """With a converter's noise, as a real one has it."""
    steps = np.random.default_rng(seed).normal(0, 0.7, 4096).round().astype(int).tolist()
    k = 0

    def code(channel: int, nanos: float) -> int | None:
        nonlocal k
        k += 1
        found = inputs(channel, nanos)
        return None if found is None else min(max(found + steps[k % 4096], 0), 4095)

    return code


@pytest.fixture(scope="module")
def flashed(started_boards: StartedBoards) -> PowerOn:
    return started_boards.flashed()


def at_prompt(power_on: PowerOn, inputs: Inputs) -> EmulatedBoard:
    board = power_on(inputs)
    board.run_until(lambda: board.starts, 0.1, "conversion")
    board.run(0.3)
    board.interrupt()
    return board


def subject_of(board: EmulatedBoard) -> tuple[Subject, list[Row]]:
    return chip_checks.identify(Link(board))


def interned(board: EmulatedBoard) -> int:
    """Names that MicroPython has met and keeps."""
    told = board.execute("import micropython\nmicropython.qstr_info()")
    found = re.search(r"n_qstr=(\d+)", told)
    assert found, told
    return int(found[1])


def verdicts(rows: list[Row]) -> dict[str, str]:
    return {row.name: row.verdict for row in rows}


def failed(rows: list[Row]) -> list[str]:
    return [row.name for row in rows if row.verdict == FAIL]


@pytest.mark.slow
def test_all_of_it_passes_on_the_emulated_chip(flashed: PowerOn) -> None:
    """What needs the board's prompt; the rest is tried over a port below."""
    with at_prompt(flashed, noisy(bench.load())) as board:
        subject, rows = subject_of(board)
        names = interned(board)
        rows += cli.at_the_prompt(subject, 3, False)
        # Of some 25 that there are until MicroPython wants 9 kB in one piece for more.
        assert interned(board) - names < 15
        by_name = verdicts(rows)
        assert not failed(rows), [cli.shown(row) for row in rows]
        assert {name for name, found in by_name.items() if found == SKIP} == {
            "phantom 1",
            "phantom 2",
            "cache",
            "clock",
            "usb",
            "held",
        }
        figures = {row.name: row.figures for row in rows}
        # By the bench, and by what is fed.
        assert figures["kernel"]["cycles_a_frame"] == pytest.approx(85, abs=25)
        assert figures["flash"] == {"lines": 4, "divider": 2}
        peak = bench.AMPS * 2**0.5 * 1e9 / subject.layout.na_per_count
        assert figures["input i1"]["peak_60_hz"] == pytest.approx(peak, rel=0.01)
        assert figures["input i1"]["noise"] == pytest.approx(0.76, rel=0.15)
        # 5 kOhm against 65: a fourteenth of what there is to the supply.
        assert figures["pin v2"]["rise"] == pytest.approx(2047 / 14, rel=0.1)
        assert figures["phantom 1"]["watts"] == pytest.approx(bench.AMPS * 120, rel=0.01)
        # Nothing is left behind: no file, and the firmware meters on.
        names = board.execute("import os; print(os.listdir())")
        assert "selftest" not in names
        board.type("run()\r\n")
        assert board.wait_reports(2, 5.0)[-1]["faults"]["lost_frames"] == 0


# ---- planted faults


@pytest.mark.slow
def test_slots_that_are_swapped(started_boards: StartedBoards) -> None:
    pins = dict(MODULE.SLOTS)
    around = tuple((name, pins[name] + 1 if pins[name] < 29 else 26) for name in pins)
    power_on = started_boards.start(bench.image_with(SLOTS=around))
    with at_prompt(power_on, noisy(bench.load())) as board:
        subject, _ = subject_of(board)
        rows = input_checks.pins(subject)
    assert failed(rows) == [f"pin {name}" for name in pins]
    assert "it is slot v2 that rises" in rows[0].said


def test_a_pin_at_its_supply(flashed: PowerOn) -> None:
    load = noisy(bench.load())

    def railed(channel: int, nanos: float) -> int | None:
        return 4095 if channel == 2 else load(channel, nanos)

    with at_prompt(flashed, railed) as board:
        subject, _ = subject_of(board)
        rows = input_checks.inputs(subject, chip_checks.dump(subject))
    assert failed(rows) == ["input i2"]
    assert "railed for 100%" in rows[2].said


@pytest.mark.slow
def test_a_kernel_with_a_wrong_word(started_boards: StartedBoards) -> None:
    files = image.contents(BOARD)
    path = boards.ROOT / "firmware" / "threewire" / "metering" / "kernel_thumb.py"
    # Codes of y go to the sum of x.
    before, right, after = path.read_text().rpartition("data(2, 0x4499)  # add r9, r3: sum y")
    assert right
    source = f"{before}data(2, 0x4498)  # add r8, r3{after}"
    files["threewire/metering/kernel_thumb.mpy"] = image.compiled(path, source, BOARD)
    power_on = started_boards.start(image.pack(files, image.geometry(FLASH)))
    with at_prompt(power_on, noisy(bench.load())) as board:
        subject, _ = subject_of(board)
        chip_checks.dump(subject)
        row = chip_checks.kernel(subject)
    assert row.verdict == FAIL and "differ" in row.said


@pytest.mark.slow
def test_a_ring_that_is_too_small(started_boards: StartedBoards) -> None:
    power_on = started_boards.start(
        bench.image_with(SAMPLER=dict(MODULE.SAMPLER, ring_frames=600))
    )
    with at_prompt(power_on, noisy(bench.load())) as board:
        subject, _ = subject_of(board)
        rows = chip_checks.metering(subject, 3, board.run)
    assert "ring" in failed(rows)


def test_a_save_that_takes_500_ms(flashed: PowerOn) -> None:
    with at_prompt(flashed, noisy(bench.load())) as board:
        subject, _ = subject_of(board)
        commands = 0

        def stall_once() -> None:
            nonlocal commands
            commands += 1
            if commands == 40:
                board.stall(0.5)

        board.on_flash = stall_once
        row = chip_checks.saves(subject)
    assert row.verdict == FAIL
    assert row.figures["most_ms"] == pytest.approx(500, abs=60)


@pytest.mark.parametrize(
    ("ppm", "verdict"),
    [
        (200, FAIL),
        pytest.param(0, PASS, marks=pytest.mark.slow),
        pytest.param(-200, FAIL, marks=pytest.mark.slow),
    ],
)
def test_a_host_clock_that_is_off(ppm: float, verdict: str, flashed: PowerOn) -> None:
    with at_prompt(flashed, noisy(bench.load())) as board:
        real = Subject(Link(board), BOARD, IDENTITY, 125_000_000, 2500)
        real.link.run(programs.REMEMBER)
        frames, clock = chip_checks.clock(real, lambda: board.seconds * (1 + ppm * 1e-6))
    assert frames.verdict == PASS
    assert clock.verdict == verdict
    assert clock.figures["ppm"] == pytest.approx(-ppm, abs=50)


@pytest.mark.slow
def test_a_lamp_on_the_wrong_pin(started_boards: StartedBoards) -> None:
    wrong = dict(MODULE.LEDS, ten=(9, 1))
    power_on = started_boards.start(bench.image_with(LEDS=wrong))
    with at_prompt(power_on, noisy(bench.load())) as board:
        asked = []

        def seen(question: str) -> bool:
            lamp = next(name for name, which in end_checks.LAMPS.items() if which in question)
            asked.append(lamp)
            return [name for name in MODULE.LEDS if board.lit(name)] == [lamp]

        rows = end_checks.lamps(Link(board), seen)
    assert asked == ["kwh", "ten", "reverse"]
    assert verdicts(rows) == {"lamp kwh": PASS, "lamp ten": FAIL, "lamp reverse": PASS}


def test_a_flash_that_is_read_one_bit_at_a_time(flashed: PowerOn) -> None:
    with at_prompt(flashed, noisy(bench.load())) as board:
        # RP2040 datasheet, 4.10.13: SPI_FRF is bits 22 and 21 of CTRLR0.
        board.mcu.ssi._crtlr0 &= ~(3 << 21)
        _, rows = subject_of(board)
    assert failed(rows) == ["flash"]


# ---- over a port, as an owner runs it


@pytest.mark.slow
def test_over_a_port_to_the_end(
    flashed: PowerOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Capture, prompt, watchdog, and the board meters again; the file has every figure."""
    need_engine("micropython")
    monkeypatch.setattr(cli, "FOLDER", tmp_path)
    with flashed(noisy(bench.load(amps=5))) as board, EmulatedPort(board) as port:
        assert cli.main(["--port", port.url, "--seconds", "2", "--timeout", "600"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("pass  capture: 10000 frames")
    assert said[1].startswith("emulated:") and said[-1] == "all that could be tried has passed"
    (path,) = tmp_path.iterdir()
    assert path.name == f"{BOARD}-{'ff' * 8}.json"
    told = json.loads(path.read_text())
    assert told["emulated"] is True and told["passed"] is True
    by_name = {check["name"]: check for check in told["checks"]}
    assert by_name["watchdog"]["verdict"] == PASS
    assert by_name["capture"]["frames"] == 10_000
    # Each line is a check of the file.
    assert len(told["checks"]) == len(said) - 2
