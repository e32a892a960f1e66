"""A meter, and a board's loop, with the firmware's machine code in the place of some functions.

Flow: NATIVE METER -> native_jobs, tests.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from host_tests.firmware.test_kernel import E11
from host_tests.rigs.board_parts import Port, Sampler, assembled
from host_tests.rigs.meter_runs import (
    I_NA,
    LOOPS,
    MID,
    V_NV,
    Run,
    blocks,
    board,
    convert,
    default_board,
    flat,
    split_phase,
)
from host_tests.rigs.native_held import Held, swapped
from threewire.metering.calibration import Calibration
from threewire.metering.meter import Meter
from threewire.metering.sag import Sag


def metered_with(place: int, of: Any) -> None:
    """A meter whose kernel (0), words, window's or reactive energy's arithmetic (3) are these
    functions meters a service, with and without a table of corrected codes."""
    loops: list[Any] = list(LOOPS)
    loops[place] = of
    layout = board()
    for adc, seed in ((None, 1), (E11, 2)):
        gains = (V_NV, V_NV), (I_NA, I_NA)
        meter = Meter(layout, Calibration(*gains, adc=adc), loops=tuple(loops))
        codes = convert(split_phase((40, -15), 20, 59.7), 0.45, layout, 1.0, seed=seed)
        for block in blocks(codes):
            meter.feed(flat(block), len(block), layout.frame_ticks)
        meter.finish()
        assert any(meter.registers.elements[0][0].value())


def metered() -> list[Any]:
    """What a run of the meter comes to: no voltage at first, loads that come and go, lost frames,
    a CT whose phase depends on current."""
    layout = board()
    rows = [[1000, 90_000], [40_000, 20_000]]
    of = Calibration((V_NV, V_NV), (I_NA, -I_NA), (0, 30_000), (rows, None))
    run = Run(layout, of)
    sag = Sag(layout, of)
    pieces = (
        ({}, 0.1),
        (split_phase((40, 0), 20, 60), 0.7),
        (split_phase((0, -60), 60, 60), 0.6),
        (split_phase((0.05, 0.3), 0, 60), 0.4),
    )
    told: list[Any] = []
    for waves, seconds in pieces:
        codes = convert(waves, seconds, layout, noise=1.0, seed=len(told))
        for k, block in enumerate(blocks(codes, range(50, len(codes), 50))):
            run.meter.feed(flat(block), len(block), layout.frame_ticks)
            sag.feed(flat(block), len(block), layout.frame_ticks)
            if k == 60:
                run.meter.gap(40, 40 * layout.frame_ticks)
                sag.gap(40, 40 * layout.frame_ticks)
        told += [sag.is_near, sag.happened]
    run.finish()
    told += [run.registers, run.edges, sag._words, sag.counts]
    for window in run.windows:
        told.append({**vars(window), "scales": vars(window.scales)})
    told += [window.over_16_bits(at) for window in run.windows for at in (20, 40)]
    told += [[r.value() for r in four] for four in run.meter.reactive.quadrants]
    told += [run.meter.estimated.delivered.micro_wh(), run.meter.lost_frames]
    # Watt-hours and edges by the dozen.
    fast = Run(layout, Calibration((V_NV, V_NV), (60 * I_NA, 60 * I_NA)))
    fast.feed(convert(split_phase((40, 25), 30, 60), 2.5, layout, noise=1.0))
    return [*told, fast.registers, fast.edges]


def looped() -> list[Any]:
    """What two seconds of a board's loop come to: reports, an answer, a capture, a voltage that
    collapses, lost frames."""
    layout = default_board()
    frames = layout.tick_hz // layout.frame_ticks // 50
    port = Port()
    waves = split_phase((30, 12), 20, 60)
    codes = convert(waves, 2.0, layout, noise=1.0)
    codes[80 * frames : 90 * frames] = MID
    sampler = Sampler(lambda: None)
    for k, block in enumerate(blocks(codes, range(frames, len(codes), frames))):
        sampler.waiting.append((block, layout.frame_ticks))
        if k in (30, 31, 70):
            sampler.waiting.append(25)
    told: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        firmware = assembled(Path(folder), layout, sampler, port)
        loop = firmware.new_loop()
        for k in range(150):
            if k in (20, 60):
                port.typed += b"version\n" if k == 20 else b"capture 0.2\n"
            told += [loop.run_round(), loop.pause_ms]
        meter = firmware.meter
        told += [bytes(port.said), port.fed, meter.ticks, meter.lost_frames, sampler.ticks]
        told += [register.value() for _, register in meter.registers.named()]
    assert b'{"t":' in port.said and b'"captured"' in port.said
    return told


# Of each module whose functions are methods of parts of one: what is run.
RUNS: dict[str, Callable[[], list[Any]]] = {
    **dict.fromkeys(
        [
            "metering/accumulator",
            "metering/creep",
            "metering/flow",
            "metering/meter",
            "metering/phasors",
            "metering/reactive",
            "metering/registers",
            "metering/sag",
            "metering/stretch",
            "metering/sums",
            "metering/window",
            "metering/window_words",
        ],
        metered,
    ),
    **dict.fromkeys(
        ["operation/capture", "operation/faults", "operation/loop", "operation/serial_line"],
        looped,
    ),
}
# So far ahead in calls may a method be of another that it may itself call.
_AHEAD = 1


def by_machine(held: Held, in_turns: bool) -> list[Any]:
    """What a run comes to in which a module's methods are the machine's in the place of its own:
    each whenever it is called, but for those that it then calls itself; or in turns, so that
    these have theirs."""
    module = importlib.import_module(f"threewire.{held.module.replace('/', '.')}")
    with contextlib.ExitStack() as stack:
        for name in methods(held):
            owner, _, method = name.partition(".")
            of = getattr(module, owner)
            written = vars(of)[method]
            stack.enter_context(swapped(of, method, _machines(held, name, written, in_turns)))
        return RUNS[held.module]()


def methods(held: Held) -> list[str]:
    """Of a module of RUNS, what these call: what is no method has a job."""
    return [name for name in held.calls if "." in name]


def _machines(
    held: Held, name: str, written: Callable[..., Any], in_turns: bool
) -> Callable[..., Any]:
    all_of_them = methods(held)

    def called(*args: Any) -> Any:
        calls = held.calls
        if held.runtime.is_busy:
            return written(*args)
        if in_turns and calls[name] > 2 * min(calls[of] for of in all_of_them) + _AHEAD:
            return written(*args)
        calls[name] += 1
        return held.runtime.call(name, *args)

    return called
