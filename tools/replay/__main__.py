"""Replays a recording through the firmware's metering module: energies, readings, LED edges.

Flow: recording -> front end and ADC model -> engine (the meter) -> report; beside it the float64
reference sees the same samples.  `python -m tools.replay --help` tells the options.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from threewire.metering.calibration import CalibrationError, from_dict
from threewire.metering.layout import Layout
from tools.common import boards
from tools.engines import process as engine_process
from tools.engines import __main__ as engines
from tools.common.errors import InputError
from tools.front_end.model import FrontEnd
from tools.front_end.looping import Recording, Source
from tools.common.output_files import check_plot_path
from tools.recordings.open import Capture, check_rate, open_recording
from tools.replay.reference import Reference
from tools.replay.report import as_json, as_text

# Rows of the trace that a plot is drawn from, at most about this many.
_TRACE_ROWS = 1500
# The interpreters, and the emulated chip with all of the firmware.
ENGINES = (*engines.NAMES, "rp2040")


@dataclass
class Replay:
    """All that came of one replay; what the report, the plot and the tests read."""

    path: str | Path
    board: str
    engine: str
    layout: Layout
    metered: engine_process.Metered
    reference: Reference | None
    clipped: dict[str, int]
    wall_seconds: float
    captured: dict[str, Any] | None = None
    """What the board's own meter made of the same frames, when all of a capture was replayed with
    the constants it was made with: the object that firmware/threewire/operation/capture.py ends with."""

    @property
    def is_identical(self) -> bool | None:
        """Whether board and replay have come to the same energies, to the last bit; None: the
        board's are not known."""
        if self.captured is None:
            return None
        result = self.metered.result
        pairs = (result, *result["elements"])
        ours = [e[which]["raw"] for e in pairs for which in ("delivered", "received")]
        return [[str(wh), residue] for wh, residue in ours] == self.captured.get("exact")

    @property
    def seconds(self) -> float:
        """Metered time."""
        return self.metered.result["ticks"] / self.layout.tick_hz

    def edges(self, name: str) -> list[tuple[float, bool]]:
        """(seconds, lit) of one indicator."""
        hz = self.layout.tick_hz
        return [(ticks / hz, lit) for which, lit, ticks in self.metered.edges if which == name]


class _Progress:
    """One line on stderr, rewritten about ten times a second, when that is a terminal."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._on = sys.stderr.isatty()
        self._start = self._shown = time.monotonic()

    def at(self, seconds: float) -> None:
        now = time.monotonic()
        if self._on and now - self._shown > 0.1:
            self._shown = now
            speed = seconds / (now - self._start)
            text = f"\rreplaying {seconds:8.1f} of {self._seconds:.1f} s, {speed:.0f} x real time"
            print(text, end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self._on:
            print("\r" + " " * 70 + "\r", end="", file=sys.stderr, flush=True)


def load_calibration(path: str | Path | None, layout: Layout) -> dict[str, Any]:
    """The constants in a JSON file, checked for this board; {} without a file. Raises
    InputError.
    """
    if path is None:
        return {}
    try:
        constants = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror}; expected a calibration file") from None
    except ValueError as problem:
        raise InputError(
            f"{path}: not JSON ({problem}); expected an object like "
            '{"v1_nv": 110000000, "i1_na": 150000000}'
        ) from None
    check_calibration(constants, layout, path)
    return constants


def check_calibration(constants: Any, layout: Layout, path: str | Path) -> None:
    """InputError, naming `path`, unless the constants suit the board."""
    try:
        from_dict(constants, layout)
    except CalibrationError as problem:
        raise InputError(f"{path}: {problem}") from None


def choose_engine(name: str | None) -> str:
    """The engine asked for, or MicroPython, or CPython where that cannot be had (said on
    stderr).
    """
    if name is not None:
        if name not in ENGINES:
            raise InputError(f"engine {name!r} is unknown; there are {', '.join(ENGINES)}")
        return name
    try:
        engines.command("micropython")
        return "micropython"
    except engines.Unavailable as problem:
        print(f"using cpython, which is slower: {problem}", file=sys.stderr)
        return "cpython"


def replay(
    path: str | Path,
    board: str | None = None,
    engine: str | None = None,
    duration: float | None = None,
    swap_ct: int | None = None,
    adc: str = "ideal",
    seed: int = 0,
    calibration: str | Path | None = None,
    trace: bool = False,
    recording: Recording | None = None,
) -> Replay:
    """Replays the recording or capture at `path` (or the `recording` given in its place).

    duration  seconds to loop or cut to; None: all of it, once
    swap_ct   1 or 2: that CT is mounted the wrong way round
    trace     keep power and registers over time, for a plot

    Raises InputError, engines.Unavailable, engine_process.EngineFailed.
    """
    start = time.monotonic()
    if duration is not None and not (math.isfinite(duration) and duration > 0):
        raise InputError(f"duration {duration:g} s: expected more than 0")
    if seed < 0:
        raise InputError(f"seed {seed}: expected an integer from 0 up")
    if board is not None:
        boards.load(board)
    engine = choose_engine(engine)
    opened = open_recording(path) if recording is None else recording
    if isinstance(opened, Capture):
        return _replay_capture(opened, board, engine, duration, swap_ct, calibration, trace, start)
    layout = boards.load(board or boards.DEFAULT)
    constants = load_calibration(calibration, layout)
    source = Source(
        opened, None if duration is None else Fraction(duration).limit_denominator(10**9)
    )
    if source.mains_hz is not None:
        check_rate(opened.path, opened.rate_hz, source.mains_hz)
    period = Fraction(layout.frame_ticks, layout.tick_hz)
    front_end = FrontEnd.of(layout, adc=adc, seed=seed, swap_ct=(swap_ct == 1, swap_ct == 2))
    frames = front_end.frames(source)
    if not frames:
        raise InputError(
            f"{opened.path}: {float(source.duration):g} s are less than a frame of board "
            f"{layout.name} ({float(period):g} s)"
        )
    metered = _meter(
        front_end.codes(source, 4 * engine_process.BLOCK_FRAMES),
        float(source.duration),
        engine,
        layout,
        constants,
        trace,
    )
    signs = np.array([1, -1 if swap_ct == 1 else 1, 1, -1 if swap_ct == 2 else 1])[:, None]
    until = frames * period
    reference = Reference(source.rate_hz, until)
    for block in source.blocks(until=until):
        reference.add(block * signs)
    return Replay(
        opened.path,
        layout.name,
        engine,
        layout,
        metered,
        reference,
        {name: n for name, n in front_end.clipped.items() if n},
        time.monotonic() - start,
    )


def _replay_capture(
    capture: Capture,
    board: str | None,
    engine: str,
    duration: float | None,
    swap_ct: int | None,
    calibration: str | Path | None,
    trace: bool,
    start: float,
) -> Replay:
    """A capture's codes go to the meter as they are: no front end, so nothing to turn or to
    loop.
    """
    if board not in (None, capture.board):
        raise InputError(
            f"{capture.path}: made on board {capture.board!r}, asked for is {board!r}"
        )
    try:
        layout = boards.load(capture.board)
    except InputError as problem:
        raise InputError(f"{capture.path}: made on another board: {problem}") from None
    if capture.slots != layout.slots:
        raise InputError(
            f"{capture.path}: its slots are {' '.join(capture.slots)}, those of board "
            f"{layout.name} are {' '.join(layout.slots)}"
        )
    if swap_ct is not None:
        raise InputError(f"{capture.path}: a capture's CTs are as they were: leave out --swap-ct")
    layout.tick_hz = capture.tick_hz
    layout.frame_ticks = capture.frame_ticks
    left = capture.frames
    if duration is not None:
        left = round(duration * capture.rate_hz)
        if not 0 < left <= capture.frames:
            raise InputError(
                f"{capture.path}: holds {capture.seconds:g} s, and a capture is not looped: "
                f"--duration {duration:g} must be less"
            )
    if calibration is None and capture.calibration is not None:
        try:
            constants = json.loads(capture.calibration)
        except ValueError as problem:
            raise InputError(f"{capture.path}: its calibration is not JSON ({problem})") from None
        check_calibration(constants, layout, capture.path)
    else:
        constants = load_calibration(calibration, layout)

    def codes() -> Iterator[NDArray[np.uint16]]:
        rest = left
        for block in capture.blocks():
            yield block[:rest]
            rest -= len(block)
            if rest <= 0:
                return

    seconds = left / capture.rate_hz
    metered = _meter(codes(), seconds, engine, layout, constants, trace, capture.spans)
    captured = None
    if capture.energy is not None and left == capture.frames and calibration is None:
        captured = json.loads(capture.energy)
    elapsed = time.monotonic() - start
    return Replay(capture.path, layout.name, engine, layout, metered, None, {}, elapsed, captured)


def _meter(
    codes: Iterator[NDArray[np.uint16]],
    seconds: float,
    engine: str,
    layout: Layout,
    constants: dict[str, Any],
    trace: bool,
    spans: Sequence[tuple[int, int]] = (),
) -> engine_process.Metered:
    progress = _Progress(seconds)
    period = layout.frame_ticks / layout.tick_hz

    def counted() -> Iterator[NDArray[np.uint16]]:
        frames = 0
        for block in codes:
            yield block
            frames += len(block)
            progress.at(frames * period)

    try:
        if engine == "rp2040":
            if spans:
                raise InputError(f"engine {engine} samples at one rate, these frames vary")
            from tools.replay import on_rp2040 as rp2040_replay  # the emulator takes half a second to import

            return rp2040_replay.meter(
                counted(),
                seconds,
                layout.name,
                constants,
                layout.frame_ticks,
                layout.tick_hz,
                trace,
            )
        return engine_process.meter(
            engine,
            counted(),
            layout.name,
            constants,
            layout.frame_ticks,
            layout.tick_hz,
            spans=spans,
            trace_ticks=max(1, round(seconds / _TRACE_ROWS * layout.tick_hz)) if trace else 0,
        )
    finally:
        progress.done()


_EPILOG = """\
examples:
  python -m tools.replay kettle.npz
  python -m tools.replay kettle.npz --duration 20 --json
  python -m tools.replay house.csv --board pico --adc real --seed 3 --plot build/house.png
"""


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.replay",
        description="Replay recorded volts and amperes, or a board's codes, through the meter.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recording", help=".npz, .csv, .wav (with .json), COMTRADE .cfg, or a capture (.npz)"
    )
    parser.add_argument("--board", metavar="NAME", help=f"board file (default {boards.DEFAULT})")
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help=f"{', '.join(ENGINES)} (default micropython, else cpython)",
    )
    parser.add_argument(
        "--duration", type=float, metavar="SECONDS", help="loop over whole cycles, or cut, to this"
    )
    parser.add_argument(
        "--swap-ct", type=int, choices=(1, 2), metavar="N", help="turn CT 1 or 2 round"
    )
    parser.add_argument(
        "--adc",
        choices=("ideal", "real"),
        default="ideal",
        help="12 bits with dither (default), or the RP2040's noise and nonlinearity",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the ADC (default 0)")
    parser.add_argument("--calibration", metavar="FILE", help="JSON file of constants")
    parser.add_argument("--plot", metavar="FILE", help="draw powers, registers and LEDs over time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the engine cannot be had or failed, 2 the input is unusable."""
    options = _arguments(argv)
    try:
        if options.plot is not None:
            check_plot_path(options.plot)
        done = replay(
            options.recording,
            options.board,
            options.engine,
            options.duration,
            options.swap_ct,
            options.adc,
            options.seed,
            options.calibration,
            trace=options.plot is not None,
        )
        if options.plot is not None:
            from tools.replay.plot import draw  # matplotlib takes a second to import

            draw(done, options.plot)
    except InputError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except (engines.Unavailable, engine_process.EngineFailed) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    if done.clipped:
        counts = ", ".join(f"{name} {n} times" for name, n in done.clipped.items())
        print(f"warning: {done.path}: beyond the front end's range: {counts}", file=sys.stderr)
    print(json.dumps(as_json(done)) if options.json else as_text(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
