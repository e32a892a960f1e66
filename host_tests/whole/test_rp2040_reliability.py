"""What the whole firmware promises of restarts, crashes, faults and its serial port, on the
emulated RP2040.

What must be there is worked out from the waves alone, or read in the flash with the host's
littlefs.  Faults are provoked by a module that a changed image has: it crashes or hangs where, and
while, a pin is at ground.  All times are emulated ones.
"""

import json
import math
import random
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from host_tests.rigs.started_board import PowerOn, StartedBoards
from tools import image
from tools.common import boards
from tools.common.errors import BoardError
from tools.emulate import board as rp2040_board
from tools.emulate.board import EmulatedBoard
from tools.emulate.inputs import Inputs, Periodic, steady
from tools.front_end.waves import split_phase
from tools.reliability import emulated_board as rp2040_trials
from tools.reliability.emulated_board import Stored, stored

pytestmark = pytest.mark.rp2040

BOARD = boards.DEFAULT
MODULE = boards.module(BOARD)
LAYOUT = boards.load(BOARD)
FLASH = image.geometry(rp2040_board.FLASH)
HERTZ = 60
VOLTS, AMPS = 120.0, 150.0
WATTS = 2 * VOLTS * AMPS
CYCLE_S = 1 / HERTZ
# A residue's unit: frames' products of nV and nA, in 2**-32 of a tick.
RESIDUE_WH = Fraction(1, 3600 * 10**18 * LAYOUT.tick_hz << 32)

# Where the changed image crashes or hangs, and the pin that makes it.
PINS = {"metering": 2, "hang": 3, "telemetry": 4, "storage": 5, "console": 6}
PROVOKER = f"""
from time import sleep_ms
from machine import Pin
pins = {{name: Pin(pin, Pin.IN, Pin.PULL_UP) for name, pin in {PINS!r}.items()}}
def at(name):
    if pins[name].value():
        return
    while name == "hang":
        sleep_ms(500)
    raise RuntimeError("provoked in " + name)
"""
# Module, a line of it, what goes before that.
CHANGES = (
    ("operation/loop", "        frames = self._sampler.pump(self)\n", ("hang", "metering")),
    ("operation/telemetry", "    demand = report.demand\n", ("telemetry",)),
    ("storage/keeper", "        is_due = self._policy.due(", ("storage",)),
    ("operation/console", "        if self.stop or not data:\n", ("console",)),
)


def load(
    part: float = 1.0, turn: int = 1, hertz: float = HERTZ, cycles: int = 3, **levels: int
) -> Inputs:
    """VOLTS and `part` of AMPS on both elements; turn -1: CT 2 is mounted the wrong way. `levels`
    are inputs that are stuck at a code."""
    mains = split_phase((AMPS * part, AMPS * part * turn), hertz=hertz, volts=VOLTS)
    waves = {name: wave for name, wave in mains.items() if name not in levels}
    periodic, stuck = Periodic(waves, cycles / hertz, BOARD), steady(levels, BOARD)
    pins = {pin - 26: name for name, pin in MODULE.SLOTS}
    return lambda channel, nanos: (stuck if pins.get(channel) in levels else periodic)(
        channel, nanos
    )


def true_wh(start: float, end: float, part: float = 1.0) -> float:
    """Energy of `load(part)` between two instants, in closed form: P t less its ripple."""
    w = 4 * math.pi * HERTZ
    return part * WATTS * (end - start - (math.sin(w * end) - math.sin(w * start)) / w) / 3600


def text(register: tuple[int, int]) -> str:
    """A stored register as the board writes it: nine places, rounded down."""
    wh, residue = register
    return f"{wh}.{math.floor(residue * RESIDUE_WH * 10**9):09d}"


def energies(answer: dict[str, Any]) -> list[str]:
    """The texts of an answer to `registers`, in the order of Stored.registers."""
    return [
        of[key] for of in (answer, *answer["elements"]) for key in ("delivered_wh", "received_wh")
    ]


def ask(board: EmulatedBoard, command: str, seconds: float = 1.5) -> dict[str, Any]:
    """The answer to a command."""
    answer = answer_to(board, command + "\r\n", seconds)
    assert command.partition(" {")[0].startswith(answer["reply"]) and answer["reply"]
    return answer


def answer_to(board: EmulatedBoard, typed: str, seconds: float = 1.5) -> dict[str, Any]:
    """The first answer to what is typed."""
    have = len(board.lines)
    board.type(typed)

    def answers() -> list[dict[str, Any]]:
        told = [json.loads(s.text) for s in board.lines[have:] if s.text.startswith("{")]
        return [line for line in told if "reply" in line]

    board.run_until(answers, seconds, f"answer to {typed!r}", 5e-3)
    return answers()[0]


def started(board: EmulatedBoard, runs: int, seconds: float = 3.0) -> None:
    """Waits for the first conversion of run `runs` (from 0) of the sampler."""
    board.run_until(lambda: len(board.starts) > runs, seconds, "conversion", 1e-3)


def check_leds_at_start(board: EmulatedBoard, from_: Stored) -> None:
    """Before the first frame is metered, the LEDs show what was stored."""
    at, _ = board.starts[-1]
    assert board.seconds - at < 0.01
    wh, _ = from_.registers[0]
    assert board.lit("ten") == (wh // 5 % 2 == 0)
    assert board.lit("kwh") == (wh // 500 % 2 == 0)
    assert board.lit("reverse") == any(from_.reversed)


def told(board: EmulatedBoard, since: int = 0) -> list[dict[str, Any]]:
    """The lines of telemetry from line `since` on; each line must be whole."""
    return [
        line
        for line in (json.loads(s.text) for s in board.lines[since:] if s.text[:1] == "{")
        if "t" in line
    ]


@pytest.fixture(scope="module")
def power_on(started_boards: StartedBoards) -> PowerOn:
    """A board as it is flashed, which each test has for itself."""
    return started_boards.flashed()


@pytest.fixture(scope="module")
def unsealed(started_boards: StartedBoards) -> PowerOn:
    """The same with its seal open."""
    return started_boards.flashed(MODULE.SEAL)


def metering(power_on: PowerOn, seconds: float = 0.2) -> EmulatedBoard:
    """A board that has metered `load()` for so long."""
    board = power_on(load())
    started(board, 0)
    board.run(seconds)
    return board


# ---- console


def test_answers_come_between_lines_and_the_seal_holds(power_on: PowerOn) -> None:
    live = metering(power_on)
    since = len(live.lines)
    assert not any(ask(live, "faults")["counts"].values())
    assert ask(live, "version")["board"] == BOARD
    assert ask(live, "seal")["sealed"] is True
    assert {"version", "registers", "restart"} <= set(ask(live, "help")["commands"])
    for command in ('calibrate {"v1_nv":111000000}', "preset delivered 1000", "clear faults"):
        assert "sealed" in ask(live, command)["error"]
    before = [Fraction(value) for value in energies(ask(live, "registers"))]
    # Each is cut to its nine places, the sum of two by itself.
    assert before[0] > 0 and 0 <= before[0] - before[2] - before[4] < Fraction(2, 10**9)
    live.wait_reports(1, 1.5)
    for line in live.lines[since:]:
        assert isinstance(json.loads(line.text), dict)
    assert told(live)[-1]["faults"]["lost_frames"] == 0


def check_flood(board: EmulatedBoard, seconds: float) -> None:
    before = len(board.lines)
    board.wait_reports(1, 1.5)
    since = len(board.lines)
    chance = random.Random(1)
    noise = b"x" + chance.randbytes(200_000)
    end = board.seconds + seconds
    at = 0
    while board.seconds < end:
        if not board.flooding:
            assert at < len(noise)
            board.flood(noise[at : at + 512])
            at += 512
        board.run(0.5e-3)
    board.type("\r\n")
    board.run(0.5)
    for line in board.lines[since:]:
        assert isinstance(json.loads(line.text), dict)
    times = [line["t"] for line in told(board, before)]
    assert len(times) >= 2 and len(told(board, since)) >= int(seconds)
    assert np.diff(times) == pytest.approx(1, abs=0.1)
    faults = ask(board, "faults")["counts"]
    assert not any(faults.values()), faults
    assert told(board)[-1]["faults"]["lost_frames"] == 0


def test_a_flood_of_random_bytes_costs_nothing(power_on: PowerOn) -> None:
    live = metering(power_on)
    check_flood(live, 1.0)


@pytest.mark.slow
def test_a_long_flood_costs_nothing(power_on: PowerOn) -> None:
    live = metering(power_on)
    check_flood(live, 5.0)


# ---- restarts


def test_a_restart_by_command_loses_nothing(power_on: PowerOn) -> None:
    live = metering(power_on)
    # Without current nothing moves but by the offsets' error, so that what there is can be asked
    # for before and after.
    live.inputs = load(part=0)
    # Reactive energy is that of windows of 0.2 s, each of which takes a quarter off the error that
    # the load's end has left in the offsets.
    live.run(2)
    before = ask(live, "registers")
    assert Fraction(before["delivered_wh"]) > 0
    runs = len(live.starts)
    ask(live, "restart")
    asked = live.seconds
    started(live, runs)
    assert live.starts[-1][0] - asked < 2.4  # that is all that was not metered
    kept = stored(live.file_system)
    saved = [text(register) for register in kept.registers[:6]]
    for mine, theirs in zip(saved, energies(before), strict=True):
        # The cycle that the restart cuts short has no mean of its own: its offset is the tracked.
        assert abs(Fraction(mine) - Fraction(theirs)) < Fraction(1, 1000)  # 75 us of the load
    check_leds_at_start(live, kept)
    live.run(0.2)
    after = ask(live, "registers")
    assert energies(after) == saved
    for mine, theirs in zip(after["varh"], before["varh"], strict=True):
        assert abs(Fraction(mine) - Fraction(theirs)) < Fraction(1, 10_000)


def test_ctrl_c_gives_the_prompt_and_ctrl_d_meters_on(power_on: PowerOn) -> None:
    live = metering(power_on)
    # As mpremote does: a new line, Ctrl-C, and soon after that Ctrl-A.
    live.run(0.15)
    live.type("\r\x03")
    live.run(0.1)
    assert live.execute("print(6 * 7)") == "42\n"
    kept = stored(live.file_system)
    counted = live.execute("print(assembly.meter.registers.delivered.text())")
    assert counted.split() == [text(kept.registers[0])]
    runs = len(live.starts)
    live.soft_reset()
    started(live, runs)
    check_leds_at_start(live, kept)
    start, _ = live.starts[-1]
    report = live.wait_reports(1, 2.0)[0]
    gained = float(Fraction(report["delivered_wh"]) - Fraction(text(kept.registers[0])))
    assert gained == pytest.approx(true_wh(start, start + report["t"]), rel=2e-3)
    assert report["hertz"] == pytest.approx(HERTZ, rel=1e-3)
    for element in report["elements"]:
        assert element["volts"] == pytest.approx(VOLTS, rel=5e-3)
        assert element["amps"] == pytest.approx(AMPS, rel=5e-3)
        assert element["watts"] == pytest.approx(VOLTS * AMPS, rel=5e-3)
    counts = ask(live, "faults")["counts"]
    assert not counts["watchdog"] and not counts["exception"]


def test_a_collapse_saves_once_and_a_power_cut_takes_no_more(power_on: PowerOn) -> None:
    """Both lines go to nothing, as when a house loses its supply and the board's own holds it up
    for some 100 ms more."""
    live = metering(power_on, 0.05)
    start, _ = live.starts[-1]
    before = rp2040_trials.save(live)  # a new board's first save takes longer than others
    live.run(1.3)  # a voltage counts once it has been there for a second
    assert stored(live.file_system).sequence == before.sequence

    collapse = live.seconds
    live.inputs = steady({}, BOARD)
    flash = live.file_system
    live.run_until(lambda: live.file_system != flash, 0.1, "save", 1e-3)
    live.run_until(
        lambda: stored(live.file_system).sequence > before.sequence, 0.1, "record", 2e-3
    )
    # Of some 100 ms: the record is seen in steps of 2 ms.
    assert live.seconds - collapse < 0.07
    live.run(collapse + 0.1 - live.seconds)
    kept = stored(live.file_system)
    assert kept.sequence == before.sequence + 1
    gained = float(Fraction(text(kept.registers[0])))
    assert abs(gained - true_wh(start, collapse)) < WATTS * CYCLE_S / 3600

    runs = len(live.starts)
    live.power_cycle()
    started(live, runs)
    check_leds_at_start(live, kept)
    live.run(0.1)
    assert energies(ask(live, "registers")) == [text(r) for r in kept.registers[:6]]
    # The line is still down: no event, no save.
    assert stored(live.file_system).sequence == kept.sequence


@pytest.mark.slow
def test_a_dead_line_is_one_event_and_its_return_another(power_on: PowerOn) -> None:
    live = metering(power_on)
    live.run(1.3)
    before = rp2040_trials.save(live).sequence
    live.inputs = steady({}, BOARD)
    live.run(1.5)
    assert stored(live.file_system).sequence == before + 1
    live.inputs = load()
    live.run(1.3)
    assert stored(live.file_system).sequence == before + 1
    live.inputs = steady({}, BOARD)
    live.run(0.1)
    assert stored(live.file_system).sequence == before + 2


@pytest.mark.slow
def test_a_power_cut_takes_at_most_what_was_metered_since_the_last_save(
    power_on: PowerOn,
) -> None:
    live = metering(power_on)
    kept = rp2040_trials.save(live)
    live.run(0.4)
    runs = len(live.starts)
    live.inputs = load(part=0)
    live.power_cycle()
    started(live, runs)
    check_leds_at_start(live, kept)
    live.run(0.1)
    assert energies(ask(live, "registers")) == [text(r) for r in kept.registers[:6]]


@pytest.mark.slow
def test_resets_in_and_around_saves() -> None:
    for row in rp2040_trials.rows(short=True):
        assert row["pass"] and not row["lost"], row
        assert row["tried"] >= 4


# ---- crashes


@pytest.fixture(scope="module")
def provoked(started_boards: StartedBoards) -> PowerOn:
    """A board with PROVOKER and CHANGES in its flash."""
    files = image.contents(BOARD)
    files["provoker.py"] = PROVOKER.encode()
    for module, line, names in CHANGES:
        path = boards.ROOT / "firmware" / "threewire" / f"{module}.py"
        source = path.read_text()
        assert source.count(line) == 1
        indent = line[: len(line) - len(line.lstrip())]
        calls = "".join(f'{indent}provoker.at("{name}")\n' for name in names)
        source = re.sub(r"(?m)^from \w[\w.]* import ", r"import provoker\n\g<0>", source, count=1)
        source = source.replace(line, calls + line)
        files[f"threewire/{module}.mpy"] = image.compiled(path, source, BOARD)
    return started_boards.start(image.pack(files, FLASH))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["telemetry", "storage", "console"])
def test_a_crash_beside_metering_does_not_stop_it(provoked: PowerOn, where: str) -> None:
    with provoked(load()) as board:
        board.wait_reports(1, 3.0)
        start, _ = board.starts[0]
        board.drive(PINS[where], 0)
        if where == "telemetry":
            board.run(1.2)
        else:
            board.type("version\r\n")
            # Whether a save is due is asked some four times a second.
            board.run(0.6)
        board.drive(PINS[where], None)
        since = len(board.lines)
        board.run_until(lambda: told_at_all(board, since), 2.5, "line of telemetry", 0.01)
        report = told_at_all(board, since)[-1]
        assert report["faults"]["task"] >= 1
        assert report["faults"]["lost_frames"] == 0
        assert len(board.starts) == 1 and not board.resets
        metered = start + report["t"]
        assert float(report["delivered_wh"]) == pytest.approx(true_wh(start, metered), rel=2e-3)
        kept = ask(board, "traceback")["traceback"]
        assert "provoked in " + where in kept and "Traceback" in kept


def told_at_all(board: EmulatedBoard, since: int) -> list[dict[str, Any]]:
    """As `told`, passing over lines that are no JSON."""
    found = []
    for line in board.lines[since:]:
        try:
            found.append(json.loads(line.text))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict) and "t" in line]


@pytest.mark.slow
def test_what_a_crash_leaves_of_a_line_spoils_no_other(provoked: PowerOn) -> None:
    with provoked(load()) as board:
        started(board, 0)
        board.drive(PINS["telemetry"], 0)
        board.run(1.3)
        board.drive(PINS["telemetry"], None)
        have = len(board.lines)
        board.type("version\r\n")
        board.run(0.3)
        # The piece of a line has an end of its own.
        assert any(line.text.startswith('{"reply":"version"') for line in board.lines[have:])


@pytest.mark.slow
def test_a_crash_that_comes_again_and_again_spares_the_flash(provoked: PowerOn) -> None:
    with provoked(load()) as board:
        started(board, 0)
        board.run(0.1)
        states = [board.file_system]

        def note() -> None:
            now = board.file_system
            if now != states[-1]:
                states.append(now)

        board.on_flash = note
        board.drive(PINS["storage"], 0)
        board.run(0.4)
        # A few pages for the traceback and its entry in the log...
        changes = len(states) - 1
        assert 1 <= changes <= 16
        # ...and not some for each of the crashes, which are four a second.
        board.run(1.0)
        assert len(states) - 1 - changes <= 2


def check_safe_mode(board: EmulatedBoard, kept: Stored) -> None:
    """All LEDs blink together, there is a prompt, the energies are intact; and the power off and
    on again is the way out."""
    while any(board.seconds - board.led_edges(name)[-1][0] < 0.01 for name in MODULE.LEDS):
        board.run(0.01)  # the others may be about to follow
    changes = [board.led_edges(name)[-3:] for name in MODULE.LEDS]
    assert changes[0][0][0] > board.resets[-1]
    for mine in changes[1:]:
        for (at, lit), (other_at, other_lit) in zip(mine, changes[0], strict=True):
            assert lit == other_lit and abs(at - other_at) < 0.01
    assert np.diff([at for at, _ in changes[0]]) == pytest.approx(0.5, abs=0.05)
    assert int(board.execute("print(6 * 7)")) == 42
    assert stored(board.file_system).registers == kept.registers
    for pin in PINS.values():
        board.drive(pin, None)
    board.inputs = load(part=0)
    runs = len(board.starts)
    board.power_cycle()
    started(board, runs)
    check_leds_at_start(board, kept)
    board.run(0.1)
    assert energies(ask(board, "registers")) == [text(r) for r in kept.registers[:6]]


@pytest.mark.slow
def test_hangs_and_crashes_restart_it_and_five_in_a_row_are_enough(provoked: PowerOn) -> None:
    with provoked(load()) as board:
        board.wait_reports(1, 3.0)
        kept = rp2040_trials.save(board)

        # A hang.
        board.drive(PINS["hang"], 0)
        hung = board.seconds
        board.run_until(lambda: board.resets, 10.0, "reset by the watchdog", 0.01)
        board.drive(PINS["hang"], None)
        started(board, 1)
        assert board.starts[-1][0] - hung < 10
        check_leds_at_start(board, kept)
        start, _ = board.starts[-1]
        report = board.wait_reports(1, 2.0)[0]
        assert report["faults"]["watchdog"] == 1
        gained = float(Fraction(report["delivered_wh"]) - Fraction(text(kept.registers[0])))
        assert gained == pytest.approx(true_wh(start, start + report["t"]), rel=2e-3)
        assert "watchdog" in json.dumps(ask(board, "log")["entries"])

        # A crash in metering.
        board.drive(PINS["metering"], 0)
        crashed = board.seconds
        board.run_until(lambda: len(board.resets) == 2, 1.0, "reset after a crash")
        board.drive(PINS["metering"], None)
        kept = stored(board.file_system)
        started(board, 2)
        assert board.starts[-1][0] - crashed < 10
        check_leds_at_start(board, kept)
        board.run(0.1)
        counts = ask(board, "faults")["counts"]
        assert (counts["watchdog"], counts["exception"]) == (1, 1)
        assert "provoked in metering" in ask(board, "traceback")["traceback"]

        # And so on: three more, and it does not try again.
        board.drive(PINS["metering"], 0)
        board.run_until(lambda: len(board.resets) == 5, 6.0, "three more resets", 0.01)
        kept = stored(board.file_system)
        runs = len(board.starts)
        board.run(4.0)  # a start of more than a second, then some blinks
        assert len(board.resets) == 5 and len(board.starts) == runs
        check_safe_mode(board, kept)
        counts = ask(board, "faults")["counts"]
        assert (counts["watchdog"], counts["exception"]) == (1, 4)


@pytest.mark.slow
def test_a_reset_that_was_asked_for_is_no_fault(power_on: PowerOn) -> None:
    """As `mpremote reset` does it on a board that has no note of ours yet, such as one that has
    just been flashed over mip: to MicroPython it is a watchdog's reset."""
    with power_on(load()) as board:
        started(board, 0)
        board.interrupt()
        board.execute(
            "import os\nfor name in os.listdir('restarts'): os.remove('restarts/' + name)"
        )
        board.type("import machine; machine.reset()\r")
        board.run_until(lambda: board.resets, 2.0, "reset")
        started(board, 1)
        report = board.wait_reports(1, 2.0)[0]
        assert not {"watchdog", "exception"} & report["faults"].keys()
        board.interrupt()
        assert board.execute("import machine; print(machine.reset_cause())").strip() == "3"


@pytest.mark.slow
def test_a_core_that_stands_still_is_restarted(power_on: PowerOn) -> None:
    with power_on(load()) as board:
        started(board, 0)
        board.run(0.2)
        hung = board.seconds
        board.stall(7.9)
        assert not board.resets
        board.stall(0.6)
        assert len(board.resets) == 1
        started(board, 1)
        assert board.starts[-1][0] - hung < 10
        assert board.wait_reports(1, 2.0)[0]["faults"]["watchdog"] == 1


# ---- seal, faults


@pytest.mark.slow
def test_an_open_seal_and_what_it_lets_one_change(unsealed: PowerOn) -> None:
    with unsealed(load(turn=-1)) as board:
        board.wait_reports(1, 3.0)
        assert ask(board, "seal")["sealed"] is False
        assert "pico" in ask(board, 'calibrate {"board":"pico"}')["error"]
        assert "error" in ask(board, 'calibrate {"v1_nv":0}')
        gain = round(MODULE.NV_PER_COUNT * 1.05)
        answer = ask(board, f'calibrate {{"v1_nv":{gain}}}')
        assert answer["calibration"] == {"v1_nv": gain}
        assert ask(board, "preset delivered 505")["wh"] == 505
        assert "error" in ask(board, "preset delivered 504")
        assert ask(board, "lock")["locked"] is True
        # In force from the next start, not before; and that with the seal closed.
        assert ask(board, "readings")["elements"][0]["volts"] == pytest.approx(VOLTS, rel=2e-3)
        board.run_until(lambda: board.lit("reverse"), 2.0, "red LED", 0.01)
        runs = len(board.starts)
        ask(board, "restart")
        board.drive(MODULE.SEAL, None)
        board.inputs = load(part=0)
        started(board, runs)
        kept = stored(board.file_system)
        assert kept.registers[0][0] == 505 and kept.reversed == (False, True)
        assert not board.lit("kwh") and not board.lit("ten") and board.lit("reverse")
        check_leds_at_start(board, kept)

        report = board.wait_reports(1, 2.0)[0]
        one, two = report["elements"]
        assert one["volts"] == pytest.approx(VOLTS * gain / MODULE.NV_PER_COUNT, rel=2e-3)
        assert two["volts"] == pytest.approx(VOLTS, rel=2e-3)
        assert ask(board, "seal")["sealed"] is True
        assert ask(board, "calibration")["calibration"]["v1_nv"] == gain
        assert "sealed" in ask(board, "preset delivered 600")["error"]
        # Locked: Ctrl-C is answered, and metering goes on.
        board.run(0.4)
        answer = answer_to(board, "\x03", 1.0)
        assert answer["reply"] == "Ctrl-C" and "locked" in answer["error"]
        board.wait_reports(1, 2.0)
        log = ask(board, "log", 3.0)
        done = {"calibrate": 1, "preset": 1, "lock": 1, "restart": 1}
        assert {kind: n for kind, n in log["counts"].items() if n} == done
        assert [entry["what"] for entry in log["visits"]] == ["restart"]
        entries = {entry["what"]: entry for entry in log["changes"]}
        calibrated = next(e for what, e in entries.items() if what.startswith("calibrat"))
        assert str(MODULE.NV_PER_COUNT) in json.dumps(calibrated["old"])
        assert str(gain) in json.dumps(calibrated["new"])
        preset = next(e for what, e in entries.items() if what.startswith("preset"))
        assert "505" in json.dumps(preset["new"]) and preset["old"] is not None


@pytest.mark.slow
def test_a_commissioning_zero_while_it_meters(unsealed: PowerOn) -> None:
    with unsealed(load()) as board:
        board.wait_reports(1, 3.0)
        before = board.seconds
        assert ask(board, "preset delivered 505")["wh"] == 505
        assert not board.lit("kwh") and not board.lit("ten")
        was = ask(board, "commissioning zero", 3.0)["was"]
        # With what has flowed since the preset, at 48 kW.
        most = 505 + true_wh(0, board.seconds - before)
        assert 505 <= Fraction(was["delivered"]) < most and Fraction(was["delivered1"]) > 0
        zeroed = board.seconds
        now = [Fraction(value) for value in energies(ask(board, "registers"))]
        # What has flowed since then, and what was in the ring.
        assert now[0] < true_wh(0, board.seconds - zeroed + 0.3)
        assert 0 <= now[0] - now[2] - now[4] < Fraction(2, 10**9)
        assert board.lit("kwh") and board.lit("ten")
        assert "has been done" in ask(board, "commissioning zero")["error"]
        assert not any(ask(board, "faults")["counts"].values())
        runs = len(board.starts)
        board.power_cycle()
        started(board, runs)
        kept = stored(board.file_system)
        assert kept.registers[0][0] == 0
        check_leds_at_start(board, kept)
        assert "has been done" in ask(board, "commissioning zero")["error"]
        entries = {entry["what"]: entry["old"] for entry in ask(board, "log")["changes"]}
        assert entries["before commissioning zero"] == entries["commissioning zero"] == was


@pytest.mark.slow
def test_faults_are_counted_once_each_and_kept_until_they_are_cleared(unsealed: PowerOn) -> None:
    expected = {"no_voltage": 1, "stuck": 1, "railed": 1, "bad_frequency": 1, "overrun": 1}

    def counted(counts: dict[str, Any]) -> dict[str, int]:
        return {name: n for name, n in counts.items() if n and name != "clock_step"}

    with unsealed(load()) as board:
        board.wait_reports(1, 3.0)
        # A dead voltage whose converter shows no noise, a current input at its supply, 44 Hz.
        board.inputs = load(hertz=44, v2=2048, i1=4095)
        active = set()
        for _ in range(5):
            active = set(board.wait_reports(1, 1.5)[0]["faults"]["active"])
            if len(active) == 4:
                break
        assert active == {"no_voltage 2", "stuck v2", "railed i1", "bad_frequency"}
        board.stall(0.6)
        board.run(0.1)
        board.inputs = load()
        shown: dict[str, Any] = {"active": active}
        for _ in range(5):
            shown = board.wait_reports(1, 1.5)[0]["faults"]
            if not shown["active"]:
                break
        assert not shown["active"]
        assert {name: shown.get(name) for name in expected} == expected
        assert 0.6 <= shown["lost_frames"] * LAYOUT.frame_ticks / LAYOUT.tick_hz < 0.7
        assert counted(ask(board, "faults")["counts"]) == expected
        assert ask(board, "save")["saved"] is True
        runs = len(board.starts)
        board.power_cycle()
        started(board, runs)
        board.run(0.1)
        assert counted(ask(board, "faults")["counts"]) == expected
        assert not counted(ask(board, "clear faults")["counts"])
        assert "clear faults" in json.dumps(ask(board, "log")["changes"])
        assert not counted(ask(board, "faults")["counts"])


def test_an_answer_that_does_not_come_is_told(power_on: PowerOn) -> None:
    board = power_on(load())
    with pytest.raises(BoardError, match="no '>>>>' within"):
        board.run_until(lambda: False, 0.002, "'>>>>'")
