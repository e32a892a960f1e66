"""A meter that meters with the firmware's machine code in the place of some of its functions.

Flow: NATIVE METER -> native_jobs, tests.
"""

from __future__ import annotations

import importlib
from typing import Any

from host_tests.firmware.test_kernel import E11
from host_tests.rigs.meter_runs import (
    I_NA,
    LOOPS,
    V_NV,
    Run,
    blocks,
    board,
    convert,
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


class Metered:
    """What a run of the meter comes to: no voltage at first, loads that come and go, lost frames,
    a CT whose phase depends on current."""

    def __init__(self) -> None:
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
        self.told: list[Any] = []
        for waves, seconds in pieces:
            codes = convert(waves, seconds, layout, noise=1.0, seed=len(self.told))
            for k, block in enumerate(blocks(codes, range(50, len(codes), 50))):
                run.meter.feed(flat(block), len(block), layout.frame_ticks)
                sag.feed(flat(block), len(block), layout.frame_ticks)
                if k == 60:
                    run.meter.gap(40, 40 * layout.frame_ticks)
                    sag.gap(40, 40 * layout.frame_ticks)
            self.told += [sag.is_near, sag.happened]
        run.finish()
        self.told += [run.registers, run.edges, sag._words, sag.counts]
        for window in run.windows:
            self.told.append({**vars(window), "scales": vars(window.scales)})
        self.told += [[r.value() for r in four] for four in run.meter.reactive.quadrants]
        self.told += [run.meter.estimated.delivered.micro_wh(), run.meter.lost_frames]


def metered_by(held: Held, name: str) -> Metered:
    """A run of the meter, of whose methods one is the machine's in the place of its own."""
    owner, _, method = name.partition(".")
    module = importlib.import_module(f"threewire.{held.module.replace('/', '.')}")
    of = getattr(module, owner)
    written = vars(of)[method]
    inside = []

    def by_machine(*args: Any) -> Any:
        if inside:
            return written(*args)  # it calls itself, of another object
        held.calls[name] += 1
        inside.append(name)
        try:
            return held.runtime.call(name, *args)
        finally:
            inside.pop()

    with swapped(of, method, by_machine):
        return Metered()
