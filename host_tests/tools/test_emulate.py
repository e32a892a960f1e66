"""What the emulated board's converter is given: made loads, and recordings over and over."""

import math
import socket
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tools import image
from tools.common import boards
from tools.common.errors import InputError
from tools.emulate import cli
from tools.emulate.board import EmulatedBoard
from tools.emulate.inputs import Inputs
from tools.emulate.port import EmulatedPort

HZ, RATE = 60.0, 8000.0
CHANNEL = {"i1": 0, "v1": 1, "i2": 2, "v2": 3}
# Peak and lag of each input of the recording, which ends in the midst of a cycle.
PEAKS = {"v1": 120 * 2**0.5, "i1": 30 * 2**0.5, "v2": -120 * 2**0.5, "i2": -20 * 2**0.5}
LAGS_DEG = {"v1": 0.0, "i1": 0.0, "v2": 0.0, "i2": 60.0}


def recording(folder: Path, *names: str) -> Path:
    t = (np.arange(round(0.74 * RATE)) + 0.5) / RATE
    waves: dict[str, Any] = {
        name: PEAKS[name] * np.sin(2 * np.pi * HZ * t - math.radians(LAGS_DEG[name]))
        for name in names or PEAKS
    }
    path = folder / "load.npz"
    np.savez(path, rate_hz=RATE, **waves)
    return path


def fitted(inputs: Inputs, name: str, start: float, seconds: float) -> tuple[float, float]:
    """(peak in volts or amperes, lag in degrees of the mains' own time) of what the converter is
    given at the instants at which the board's sampler converts this input."""
    layout = boards.load(boards.DEFAULT)
    frames = np.arange(round(seconds * layout.tick_hz / layout.frame_ticks))
    codes, instants = [], []
    for k in frames:
        for slot, other in enumerate(layout.slots):
            t = start + (k + slot / layout.stride) * layout.frame_ticks / layout.tick_hz
            code = inputs(CHANNEL[other], t * 1e9)
            if other == name:
                assert code is not None
                codes.append(code)
                instants.append(t)
    w = 2 * np.pi * HZ * np.array(instants)
    base = np.stack((np.sin(w), np.cos(w), np.ones_like(w)), axis=1)
    (a, b, _), *_ = np.linalg.lstsq(base, np.array(codes, float), rcond=None)
    nano = layout.nv_per_count if name[0] == "v" else layout.na_per_count
    return math.hypot(a, b) * nano / 1e9, -math.degrees(math.atan2(b, a))


def apart(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


@pytest.mark.parametrize("swapped", [(), (1, 2)])
def test_a_recording_over_and_over(tmp_path: Path, swapped: tuple[int, ...]) -> None:
    """In the second run of the sampler too, which begins anywhere, and beyond the recording's end:
    peaks to 0.1 %, angles between inputs to 0.05 degrees, those to the mains to half a cell."""
    path = str(recording(tmp_path))
    for start in (1.3, 1.3 + 0.011, 2.7 + 1e-5 / 3):
        lags = {}
        for name, peak in PEAKS.items():
            # Instants must not go backwards: each input has its own.
            inputs = cli.load(path, boards.DEFAULT, swapped)
            fitted(inputs, name, start - 0.5, 0.05)
            found, lags[name] = fitted(inputs, name, start, 0.3)
            assert found == pytest.approx(abs(peak), rel=1e-3)
            turned = (peak < 0) != (name in {f"i{n}" for n in swapped})
            lags[name] -= LAGS_DEG[name] + 180 * turned
        assert all(apart(lag, 0) < 360 * HZ * 13e-6 for lag in lags.values()), lags
        assert all(apart(lag, lags["v1"]) < 0.05 for lag in lags.values()), lags


def test_of_one_element_the_other_is_at_rest(tmp_path: Path) -> None:
    inputs = cli.load(str(recording(tmp_path, "v1", "i1")), boards.DEFAULT, ())
    assert fitted(inputs, "i1", 1.0, 0.1)[0] == pytest.approx(PEAKS["i1"], rel=2e-3)
    assert fitted(inputs, "v2", 1.1, 0.1)[0] < 0.05
    # A channel without an input of the board, such as the temperature's.
    assert inputs(4, 1.3e9) == 2048


def test_the_made_load_with_a_ct_turned_round() -> None:
    plain, turned = (cli.load(None, boards.DEFAULT, swapped) for swapped in ((), (1,)))
    for name in PEAKS:
        peaks, lags = zip(*(fitted(inputs, name, 0.0, 0.5) for inputs in (plain, turned)))
        assert peaks[0] == pytest.approx(peaks[1], rel=1e-3)
        assert apart(*lags) == pytest.approx(180 if name == "i1" else 0, abs=0.05)


def test_what_it_cannot_play(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = recording(tmp_path, "v1", "i1")
    capture = tmp_path / "codes.npz"
    layout = boards.load(boards.DEFAULT)
    np.savez(
        capture,
        codes=np.full((1000, 4), 2048, np.uint16),
        board=layout.name,
        slots=np.array(layout.slots),
        frame_ticks=layout.frame_ticks,
        tick_hz=layout.tick_hz,
    )
    for options, says in (
        (["--recording", str(one), "--swap-ct", "2"], "has no element 2: leave out --swap-ct 2"),
        (["--recording", str(capture)], "a board's own codes; expected volts and amperes"),
        (["--recording", str(tmp_path / "none.npz")], "none.npz"),
        (["--swap-ct", "1", "--swap-ct", "1"], "CT 1 turned round twice"),
        (["--recording", ""], "--recording is empty; expected FILE"),
    ):
        assert cli.main(options) == 2
        said, told = capsys.readouterr()
        assert said == "" and told.startswith("error: ") and told.count("\n") == 1
        assert says in told
    with pytest.raises(InputError):
        cli.load(str(capture), boards.DEFAULT, ())


@pytest.mark.slow
@pytest.mark.rp2040
def test_the_board_meters_a_recording(tmp_path: Path, uf2: Path) -> None:
    inputs = cli.load(str(recording(tmp_path)), boards.DEFAULT, (2,))
    with EmulatedBoard(image.build(boards.DEFAULT, "pico"), boards.DEFAULT, inputs, uf2) as board:
        line = board.wait_reports(2, 8.0)[-1]
    one, two = line["elements"]
    assert one["watts"] == pytest.approx(3600, rel=2e-3)
    assert two["watts"] == pytest.approx(-1200, rel=5e-3)
    assert two["reversed"] and line["hertz"] == pytest.approx(60, abs=0.02)


def test_a_tcp_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as refused:
            EmulatedPort(cast(Any, None), port)
    assert str(refused.value) == (
        f"port {port} of 127.0.0.1: cannot be served (address already in use); take another one, "
        "or 0 for one that is free"
    )
