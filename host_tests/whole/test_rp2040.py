"""The whole firmware on the emulated RP2040, from power-on: metering, LEDs, faults, resets.

What is expected is worked out here from the waves alone, in double precision.  All times are
emulated ones.
"""

import math
import os
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from host_tests.conftest import need_engine
from host_tests.rigs.started_board import PowerOn, StartedBoards
from tools import image
from tools.common import boards
from tools.common.errors import InputError, Repaired, Unavailable
from tools.emulate import board as rp2040_board
from tools.emulate import quirks as rp2040_quirks
from tools.emulate.board import EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.engines import process as engine_process
from tools.replay import on_rp2040 as rp2040_replay
from tools.replay.run import replay

pytestmark = pytest.mark.rp2040

BOARD = boards.DEFAULT
LAYOUT = boards.load(BOARD)
HERTZ = 60
# Unlike on each input, so that inputs that changed places would show; 47.8 kW in all.
VOLTS = (120.0, 117.0)
AMPS = (200.0, 203.0)
WATTS = (VOLTS[0] * AMPS[0], VOLTS[1] * AMPS[1])
FRAME_S = LAYOUT.frame_ticks / LAYOUT.tick_hz
RING_S = boards.module(BOARD).SAMPLER["ring_frames"] * FRAME_S
CYCLE_S = 1 / HERTZ

Wave = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def sine(rms: float) -> Wave:
    return lambda t: rms * math.sqrt(2) * np.sin(2 * math.pi * HERTZ * t)


def load(turn: int = 1, board: str = BOARD, part: float = 1.0) -> Periodic:
    """Both elements loaded with `part` of AMPS, at unity power factor; turn -1: CT 2 is mounted
    the wrong way."""
    waves = {
        "v1": sine(VOLTS[0]),
        "i1": sine(AMPS[0] * part),
        "v2": sine(-VOLTS[1]),
        "i2": sine(-AMPS[1] * part * turn),
    }
    return Periodic(waves, 3 * CYCLE_S, board)


def true_wh(start: float, end: float) -> float:
    """Energy of `load()` between two instants, in closed form: P t less its ripple."""
    w = 4 * math.pi * HERTZ
    ripple = (math.sin(w * end) - math.sin(w * start)) / w
    return sum(WATTS) * (end - start - ripple) / 3600


def crossings(start: float, end: float, step_wh: float, part: float = 1.0) -> list[float]:
    """The instants at which the energy of `load(part=part)` since `start` reaches a multiple of
    step_wh."""
    t = np.arange(start, end, 1e-5)
    w = 4 * math.pi * HERTZ
    wh = part * sum(WATTS) * (t - start - (np.sin(w * t) - math.sin(w * start)) / w) / 3600
    steps = np.floor(wh / step_wh)
    return t[np.flatnonzero(np.diff(steps) > 0) + 1].tolist()


@pytest.fixture(scope="module")
def power_on(started_boards: StartedBoards) -> PowerOn:
    """A board as it is flashed, which each test has for itself."""
    return started_boards.flashed()


def metering(power_on: PowerOn, seconds: float = 0.2) -> EmulatedBoard:
    """A board that has metered `load()` for so long."""
    board = power_on(load())
    board.run_until(lambda: board.starts, 0.1, "conversion")
    board.run(seconds)
    return board


def check_readings(report: dict[str, Any]) -> None:
    for k, element in enumerate(report["elements"]):
        assert element["volts"] == pytest.approx(VOLTS[k], rel=0.005)
        assert element["amps"] == pytest.approx(AMPS[k], rel=0.005)
        assert element["watts"] == pytest.approx(WATTS[k], rel=0.005)
    assert report["hertz"] == pytest.approx(HERTZ, rel=1e-3)


def stop_and_read(board: EmulatedBoard) -> dict[str, Any]:
    board.interrupt()
    return board.result()


# ---- from power-on


def test_a_board_meters_by_itself_and_to_the_last_bit(power_on: PowerOn) -> None:
    """One power-on tells: when the first line comes and what it says, the rate, the LEDs'
    edges, that 150 ms without the program cost nothing, and the registers."""
    with power_on(load()) as board:
        report = board.wait_reports(1, 3.2)[0]
        assert board.seconds < 3.2
        check_readings(report)
        assert report["faults"]["lost_frames"] == 0

        # Both green LEDs come on before the first conversion.
        start, first = board.starts[0]
        assert first == 0
        for led in ("kwh", "ten"):
            assert [lit for at, lit in board.led_edges(led) if at < start] == [True]
        assert not board.lit("reverse")

        # The divider says how many conversions a second has, exactly.
        rate = LAYOUT.stride * LAYOUT.tick_hz // LAYOUT.frame_ticks
        before = len(board.codes)
        board.run(1.0)
        assert len(board.codes) - before == rate

        # The last crossing may be waiting for its edge, a cycle long.
        edges = board.led_edges("ten", start)
        true = crossings(start, board.seconds, 5.0)
        assert len(true) >= 4
        assert len(true) - len(edges) in (0, 1)
        assert [lit for _, lit in edges] == [k % 2 == 1 for k in range(len(edges))]
        for (at, _), crossing in zip(edges, true):
            assert abs(at - crossing) < CYCLE_S
        if len(edges) < len(true):
            assert board.seconds - true[-1] < CYCLE_S

        # What the ring is for.
        assert RING_S > 0.2
        board.stall(0.15)
        board.run(0.05)
        result = stop_and_read(board)
        assert result["lost_frames"] == 0

        # The host's engine makes the same of the same codes, to the last bit.
        frames = result["frames"]
        assert 0 <= len(board.codes) // LAYOUT.stride - frames < 200
        same = replayed(board.codes, frames)
        for pair, other in zip([result, *result["elements"]], [same, *same["elements"]]):
            for name in ("delivered", "received"):
                assert pair[name]["raw"] == other[name]["raw"]
        assert float(result["delivered"]["wh"]) == pytest.approx(
            true_wh(start, start + frames * FRAME_S), rel=1e-3
        )


def replayed(codes: array, frames: int) -> dict[str, Any]:
    """The result of the first `frames` frames on the host's MicroPython."""
    need_engine("micropython")
    all_codes = np.array(codes, np.uint16)[: frames * LAYOUT.stride].reshape(-1, LAYOUT.stride)
    return engine_process.meter(
        "micropython", [all_codes], BOARD, {}, LAYOUT.frame_ticks, LAYOUT.tick_hz
    ).result


# ---- while it meters


def test_a_turned_ct_lights_the_red_led_while_it_is_turned(power_on: PowerOn) -> None:
    live = metering(power_on)
    live.inputs = load(turn=-1)
    live.run_until(lambda: live.lit("reverse"), 1.5, "red LED", 0.01)
    live.inputs = load()
    live.run_until(lambda: not live.lit("reverse"), 1.5, "dark red LED", 0.01)


def test_ctrl_c_gives_the_prompt_and_run_goes_on(power_on: PowerOn) -> None:
    live = metering(power_on)
    live.interrupt()
    ticks = int(live.execute("print(assembly.meter.ticks)"))
    runs = len(live.starts)
    live.type("run()\r\n")
    live.run_until(lambda: len(live.starts) > runs, 0.5, "conversion")
    live.run(0.2)
    live.interrupt()
    gained = int(live.execute("print(assembly.meter.ticks)")) - ticks
    # Ctrl-C is seen within a fifth of a second; what has come by then is metered.
    assert 0.15 < gained / LAYOUT.tick_hz < 0.4
    runs = len(live.starts)
    live.type("run()\r\n")
    live.run_until(lambda: len(live.starts) > runs, 0.5, "conversion")


@pytest.mark.slow
def test_a_hard_reset_resumes(power_on: PowerOn) -> None:
    live = metering(power_on)
    live.hard_reset()
    check_readings(live.wait_reports(1, 3.0)[0])


def test_an_overrun_is_counted_and_its_energy_estimated(power_on: PowerOn) -> None:
    live = metering(power_on, 1.0)
    start, first = live.starts[-1]
    live.stall(0.6)
    live.run(0.3)
    result = stop_and_read(live)
    lost = result["lost_frames"]
    # All that was converted while the core stood still, and what the program was behind by.
    assert 0.6 <= lost * FRAME_S < 0.65
    # Not a frame more or less than there were: the sampler's place in the ring says so.
    ring = boards.module(BOARD).SAMPLER["ring_frames"]
    assert (result["frames"] + lost) % ring == int(
        live.execute("print(assembly.sampler._words[0])")
    )
    converted = (len(live.codes) - first) // LAYOUT.stride
    assert 0 <= converted - result["frames"] - lost < 200
    estimated = float(result["estimated_delivered_wh"])
    assert estimated == pytest.approx(sum(WATTS) * lost * FRAME_S / 3600, rel=0.01)
    end = start + (result["frames"] + lost) * FRAME_S
    assert float(result["delivered"]["wh"]) == pytest.approx(true_wh(start, end), rel=0.005)


# ---- more of the same, slowly

_BLOCKER = """
import machine, time
def block(timer):
    state = machine.disable_irq()
    time.sleep_us({us})
    machine.enable_irq(state)
timer = machine.Timer(-1, mode=machine.Timer.ONE_SHOT, period=100, hard=True, callback=block)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "loses"), [(0.15, False), (0.6, True)])
def test_interrupts_that_are_blocked_by_a_program(
    power_on: PowerOn, seconds: float, loses: bool
) -> None:
    live = metering(power_on)
    live.interrupt()
    live.execute(_BLOCKER.format(us=round(seconds * 1e6)))
    live.type("run()\r\n")
    live.run(1.0 + seconds)
    result = stop_and_read(live)
    assert (result["lost_frames"] > 0) == loses
    if loses:
        assert seconds <= result["lost_frames"] * FRAME_S < seconds + 0.05


def test_an_edge_is_in_time_while_a_line_is_made(power_on: PowerOn) -> None:
    """The first line is begun when a second has been metered: here the energy's crossing falls
    just behind that, when the first second has not been registered yet and no edge is expected."""
    part = 5.0 * 3600 / 1.018 / sum(WATTS)
    with power_on(load(part=part)) as board:
        board.run_until(lambda: board.starts, 3.0, "conversion")
        start, _ = board.starts[0]
        board.run(1.2)
        assert len(board.reports) == 1
        (crossing,) = crossings(start, board.seconds, 5.0, part)
        ((at, lit),) = board.led_edges("ten", start)
        assert not lit
        # With a collection of garbage in the midst of it a second cycle goes by.
        assert abs(at - crossing) < 2 * CYCLE_S


@pytest.mark.slow
def test_a_voltage_without_cycles_costs_the_core_no_more(power_on: PowerOn) -> None:
    """Where a ripple makes a crossing every 0.3 ms, too, there are some six windows a second."""
    waves: dict[str, Wave] = {"i1": sine(AMPS[0]), "i2": sine(-AMPS[1])}
    for name, volts in (("v1", 60.0), ("v2", -60.0)):
        waves[name] = lambda t, volts=volts: (
            sine(volts)(t) + 1.25 * volts * math.sqrt(2) * np.sin(2 * math.pi * 3500 * t)
        )
    with power_on(Periodic(waves, 3 * CYCLE_S, BOARD)) as board:
        board.wait_reports(3, 20.0)
        start = board.cycles
        board.run(2.0)
        # 40 % where there are cycles.
        assert (board.cycles - start) / (2.0 * 125e6) < 0.5
        report = board.reports[-1][1]
    assert report["faults"]["lost_frames"] == 0
    assert report["faults"]["bad_frequency"] == 1
    assert report["faults"]["active"] == ["bad_frequency"]
    for element, amps in zip(report["elements"], AMPS):
        assert element["watts"] == pytest.approx(60 * amps, rel=5e-3)
        assert element["volts"] == pytest.approx(60 * math.hypot(1, 1.25), rel=5e-3)


@pytest.mark.slow
def test_a_power_cycle_resumes(power_on: PowerOn) -> None:
    with power_on(load()) as board:
        board.wait_reports(1, 3.0)
        board.power_cycle()
        check_readings(board.wait_reports(1, 3.0)[0])
        assert len(board.starts) == 2


@pytest.mark.slow
def test_a_board_with_other_pins_meters_and_shows_it_there(uf2: Path) -> None:
    """A QT Py RP2040: its LEDs are at other pins than the default board's, by its maker's pinout
    SDA, SCL and TX, and its seal at MO."""
    name = "qtpy_rp2040"
    file_system = image.build(name, rp2040_board.FLASH)
    with EmulatedBoard(file_system, name, load(turn=-1, board=name), uf2) as board:
        board.drive(3, 0)
        report = board.wait_reports(1, 3.0)[0]
        one, two = report["elements"]
        assert one["volts"] == pytest.approx(VOLTS[0], rel=0.005)
        assert two["volts"] == pytest.approx(VOLTS[1], rel=0.005)
        assert one["watts"] == pytest.approx(WATTS[0], rel=0.005)
        assert two["watts"] == pytest.approx(-WATTS[1], rel=0.005)
        assert report["faults"]["lost_frames"] == 0
        board.run_until(lambda: board.level(20) == 1, 1.5, "red LED at TX", 0.01)
        assert {board.level(pin) for pin in (24, 25)} == {1}
        board.type("seal\r\n")
        board.run(0.5)
        (answer,) = [line.text for line in board.lines if '"reply":"seal"' in line.text]
        assert '"sealed":false' in answer.replace(" ", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pico", "pico_w"])
def test_the_picos_own_board_derives_its_second_voltage(uf2: Path, name: str) -> None:
    file_system = image.build(name, rp2040_board.FLASH)
    with EmulatedBoard(file_system, name, load(board=name), uf2) as board:
        one, two = board.wait_reports(1, 3.0)[0]["elements"]
        assert one["volts"] == two["volts"] == pytest.approx(VOLTS[0], rel=0.005)
        assert one["watts"] == pytest.approx(WATTS[0], rel=0.005)
        assert two["watts"] == pytest.approx(VOLTS[0] * AMPS[1], rel=0.005)


@pytest.mark.slow
def test_a_replay_on_the_board_is_the_hosts_replay(uf2: Path, tmp_path: Path) -> None:
    need_engine("micropython")
    t = (np.arange(8000) + 0.5) / 8000
    path = tmp_path / "load.npz"
    np.savez(path, rate_hz=8000.0, v1=sine(120)(t), i1=sine(190)(t))
    on_board = replay(path, engine="rp2040", duration=1.75, swap_ct=[1])
    on_host = replay(path, engine="micropython", duration=1.75, swap_ct=[1])
    ours, theirs = on_board.metered.result, on_host.metered.result
    for name in ("frames", "ticks", "delivered", "received", "lit", "lost_frames"):
        assert ours[name] == theirs[name]
    assert ours["elements"][0]["received"] == theirs["elements"][0]["received"]
    assert ours["elements"][0]["reversed"] and not ours["elements"][1]["reversed"]
    assert ours["elements"][0]["watts_uw"] == pytest.approx(-120 * 190 * 1e6, rel=0.005)
    for led in ("kwh", "ten", "reverse"):
        edges = list(zip(on_board.edges(led), on_host.edges(led), strict=True))
        for (at, lit), (host_at, host_lit) in edges:
            assert lit == host_lit
            assert abs(at - host_at) < CYCLE_S


# ---- the harness itself


def test_the_emulator_still_makes_the_mistakes_that_are_patched() -> None:
    assert rp2040_quirks.round_robin_masks_with_12()
    assert rp2040_quirks.round_robin_skips_0()
    assert rp2040_quirks.usb_answers_with_nothing()
    assert rp2040_quirks.pio_sleeps()
    assert rp2040_quirks.uart_never_ceases()


def test_a_repaired_emulator_is_told(uf2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rp2040_quirks, "round_robin_masks_with_12", lambda: False)
    with pytest.raises(Repaired, match=r"tools/emulate/quirks\.py"):
        EmulatedBoard(image.pack({}, image.geometry(rp2040_board.FLASH)), BOARD, uf2=uf2)


def test_the_uf2_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREEWIRE_UF2", "/nowhere/at/all.uf2")
    with pytest.raises(Unavailable, match="/nowhere/at/all"):
        rp2040_board.find_uf2()


def test_the_newest_uf2_in_the_cache_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THREEWIRE_UF2", raising=False)
    monkeypatch.setattr(rp2040_board, "_CACHE", tmp_path)
    for age, name in enumerate(("b.uf2", "a.uf2")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert rp2040_board.find_uf2() == tmp_path / "b.uf2"


def test_without_any_uf2_it_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.delenv("THREEWIRE_UF2", raising=False)
    monkeypatch.setattr(rp2040_board, "_CACHE", tmp_path)
    monkeypatch.setattr(rp2040_board, "resolve_firmware", fail)
    with pytest.raises(Unavailable, match="no network"):
        rp2040_board.find_uf2()


def test_an_image_of_another_flash_is_an_error(uf2: Path) -> None:
    with pytest.raises(InputError, match="--flash pico"):
        EmulatedBoard(b"\xff" * 4096, BOARD, uf2=uf2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seconds": 1.0}, "1.5 s"),
        ({"board": "pico2"}, "another chip"),
        ({"calibration": {"v1_nv": 111000000}}, "nominal"),
        ({"frame_ticks": 6000}, "rate"),
    ],
)
def test_what_the_board_cannot_replay_is_an_error(options: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {
        "blocks": [],
        "seconds": 2.0,
        "board": BOARD,
        "calibration": {},
        "frame_ticks": LAYOUT.frame_ticks,
        "tick_hz": LAYOUT.tick_hz,
    }
    with pytest.raises(InputError, match=says):
        rp2040_replay.meter(**given | options)
