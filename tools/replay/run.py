"""Replays a recording or a capture through an engine, with the float64 reference beside it.

Flow: recording -> front end and ADC model -> engine (the meter) -> RESULT; beside it the float64
reference sees the same samples.
"""

import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from threewire.metering.layout import Layout
from tools.common import boards, identity
from tools.common.command import Progress
from tools.common.constants import check_calibration, read_constants
from tools.common.errors import InputError
from tools.common.files import parse_json
from tools.engines import process as engine_process
from tools.engines.interpreters import choose_engine
from tools.engines.process import Engine
from tools.front_end.later import Later
from tools.front_end.looping import Recording, Source
from tools.front_end.model import FrontEnd
from tools.front_end.shared import Shared
from tools.front_end.swap_ct import check_recorded
from tools.front_end.swap_ct import turned as turned_cts
from tools.recordings.open import Capture, check_rate
from tools.recordings.parts import expanded, open_parts
from tools.replay.alignment import aligned
from tools.replay.evidence import Frequency, doubts, range_doubts
from tools.replay.plausibility import check_plausible
from tools.replay.reference import Reference
from tools.replay.result import Replay

# Rows of the trace that a plot is drawn from, at most about this many: it is wider in dots.
_TRACE_ROWS = 900
# Of signal, between two looks at how far the emulated board has come.
_TOLD_S = 0.02
# What the reference sees at a time: the memory of larger arrays is fetched anew from the system
# each time, which took a fifth of all.
_SAMPLES = 16384
# Of the board, that the engine gets at a time.
_FRAMES = 4 * engine_process.BLOCK_FRAMES
# Thirty years, a year of which takes an engine days.
_MOST_S = 1e9


def replay(
    path: str | Path | Sequence[str | Path],
    board: str | None = None,
    engine: str | Engine | None = None,
    duration: float | None = None,
    swap_ct: Sequence[int] = (),
    adc: str | None = None,
    seed: int | None = None,
    calibration: str | Path | None = None,
    trace: bool = False,
    recording: Recording | None = None,
    steps_wh: Sequence[float] = (),
    tell: Callable[[str, str], None] | None = None,
    from_s: float | None = None,
) -> Replay:
    """Replays the recording or capture at `path` (or the `recording` given in its place).

    path      a file, or all parts of one recording (tools/recordings/parts.py): names and patterns
    engine    its name, or one that is kept from one replay to the next (tools/engines/process.py);
              None: the best that there is
    duration  seconds to loop or cut to; None: all of it, once
    swap_ct   1, 2 or both: CTs that are mounted the wrong way round
    adc       "ideal" or "real"; None: the former
    seed      of the ADC; None: 0
    trace     keep power and registers over time, for a plot
    steps_wh  whose crossings the reference is asked for
    tell      is given what the user should know before the work: "note" or "warning", and the line
    from_s    seconds from its beginning at which to start; None: there

    Raises InputError, Unavailable, EngineFailed.
    """
    start = time.monotonic()
    if duration is not None and not 0 < duration <= _MOST_S:
        raise InputError(
            f"duration {duration:g} s: expected seconds, more than 0 and {_MOST_S:.0f} at most"
        )
    if from_s is not None and not 0 < from_s <= _MOST_S:
        raise InputError(
            f"from {from_s:g} s: expected seconds, more than 0 and less than the recording has"
        )
    if seed is not None and seed < 0:
        raise InputError(f"seed {seed}: expected an integer from 0 up")
    turned = turned_cts(swap_ct)
    if board is not None:
        boards.load(board)
    if not isinstance(engine, Engine):
        engine = choose_engine(engine)
    if recording is not None:
        opened = recording
    else:
        opened = open_parts(expanded([path] if isinstance(path, str | Path) else path))
    if isinstance(opened, Capture):
        for option, given in (
            ("--swap-ct", swap_ct),
            ("--adc", adc is not None),
            ("--seed", seed is not None),
        ):
            if given:
                raise InputError(
                    f"{opened.path}: holds a board's own codes, which no front end turns or makes "
                    f"anew: leave out {option}"
                )
        if from_s is not None:
            opened = opened.since(from_s)
        return _replay_capture(opened, board, engine, duration, calibration, trace, start)
    if from_s is not None:
        opened = Later(opened, from_s)
    recorded = len(opened.channels) // 2
    check_recorded(turned, opened.path, recorded)
    layout = boards.load(board or boards.DEFAULT)
    constants = {} if calibration is None else read_constants(calibration, layout)
    early = [*opened.warnings, *check_plausible(opened, layout)]
    if tell:
        for line in opened.notes:
            tell("note", line)
        for line in early:
            tell("warning", line)
    period = Fraction(layout.frame_ticks, layout.tick_hz)
    # The front end is ahead of the reference by a block of frames, and what either has at hand.
    ahead = _FRAMES * float(period) * opened.rate_hz + 2 * _SAMPLES
    source = Source(
        Shared(opened, ahead),
        None if duration is None else Fraction(duration).limit_denominator(10**9),
    )
    if source.mains_hz is not None:
        check_rate(opened.path, opened.rate_hz, source.mains_hz)
    front_end = FrontEnd.of(layout, adc=adc or "ideal", seed=seed or 0, swap_ct=turned)
    frames = front_end.frames(source)
    if not frames:
        raise InputError(
            f"{opened.path}: {float(source.duration):g} s are less than a frame of board "
            f"{layout.name} ({float(period):g} s)"
        )
    signs = np.array([1, -1 if turned[0] else 1, 1, -1 if turned[1] else 1])[:, None]
    until = frames * period
    reference = Reference(source.rate_hz, until, steps_wh)
    frequency = Frequency(source.rate_hz)
    samples = aligned(source, until, _SAMPLES)

    def refer(wanted: float) -> float:
        """Lets the reference see so many more samples, in whole blocks; how many are still
        wanted, below zero where there were more."""
        while wanted > 0 and (block := next(samples, None)) is not None:
            reference.add(block * signs if any(turned) else block)
            frequency.add(block)
            wanted -= block.shape[1]
        return wanted

    def codes() -> Iterator[NDArray[np.uint16]]:
        """What the engine gets; while it works on that the reference sees the same samples."""
        behind = 0.0
        samples_a_frame = float(period * source.rate)
        for block in front_end.codes(source, _FRAMES):
            yield block
            behind = refer(behind + len(block) * samples_a_frame)
        refer(math.inf)

    metered = _meter(codes(), float(source.duration), engine, layout, constants, trace)
    refer(math.inf)  # what is left, if the engine has not asked to the end
    clipped = {name: n for name, n in front_end.clipped.items() if n}
    doubtful = doubts(opened.nominal_hz, frequency.hertz, metered.result, reference, clipped)
    return Replay(
        opened.path,
        layout.name,
        _name(engine),
        layout,
        metered,
        reference,
        clipped,
        time.monotonic() - start,
        warnings=[*early, *doubtful],
        notes=list(opened.notes),
        recorded=recorded,
    )


def _name(engine: str | Engine) -> str:
    return engine.name if isinstance(engine, Engine) else engine


def _replay_capture(
    capture: Capture,
    board: str | None,
    engine: str | Engine,
    duration: float | None,
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
            constants = parse_json(capture.calibration.encode())
        except ValueError as problem:
            raise InputError(f"{capture.path}: its calibration is not JSON ({problem})") from None
        check_calibration(constants, layout, capture.path)
    else:
        constants = {} if calibration is None else read_constants(calibration, layout)

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
    doubtful = range_doubts(metered.result["hertz_mhz"] / 1e3 or None)
    found = constants.get("id")
    if identity.differ(found, capture.board_id):
        doubtful.append(
            f"metered with constants of the board with the id {found}, captured on that with "
            f"{capture.board_id}"
        )
    return Replay(
        capture.path,
        layout.name,
        _name(engine),
        layout,
        metered,
        None,
        {},
        elapsed,
        captured,
        doubtful,
    )


def _meter(
    codes: Iterator[NDArray[np.uint16]],
    seconds: float,
    engine: str | Engine,
    layout: Layout,
    constants: dict[str, Any],
    trace: bool,
    spans: ArrayLike = (),
) -> engine_process.Metered:
    progress = Progress("replaying", seconds, "s")
    period = layout.frame_ticks / layout.tick_hz

    # The emulated board takes half a minute for a second: its progress is told as often.
    is_board = _name(engine) == "rp2040"
    most = round(_TOLD_S / period) if is_board else None

    def counted() -> Iterator[NDArray[np.uint16]]:
        frames = 0
        for block in codes:
            size = most or len(block)
            for at in range(0, len(block), size):
                yield block[at : at + size]
                frames += len(block[at : at + size])
                progress.at(frames * period)

    try:
        if is_board:
            if len(np.asarray(spans)):
                raise InputError(f"engine {_name(engine)} samples at one rate, these frames vary")
            # Here, not above: the emulator takes half a second to import.
            from tools.replay import on_rp2040

            return on_rp2040.meter(
                counted(),
                seconds,
                layout.name,
                constants,
                layout.frame_ticks,
                layout.tick_hz,
                trace,
            )
        meter = (
            engine.meter
            if isinstance(engine, Engine)
            else functools.partial(engine_process.meter, engine)
        )
        return meter(
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
