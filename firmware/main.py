"""Wires this board's parts together and runs: sampler -> meter -> lamps and serial line."""

import time

import board
import micropython

from threewire.layout import Layout

# Each sampler needs modules that other ports do not have.
if board.SAMPLER["kind"] == "dma":
    from threewire.dma_sampler import DmaSampler as Sampler
else:
    from threewire.timer_sampler import TimerSampler as Sampler

micropython.alloc_emergency_exception_buf(100)

layout = Layout(board)
# Its ring is the longest piece of memory that is asked for, so it comes before everything that
# would leave holes in the heap.
sampler = Sampler(board, layout)

from threewire.calibration import nominal  # noqa: E402
from threewire.lamps import Lamps  # noqa: E402
from threewire.meter import Meter  # noqa: E402
from threewire.telemetry import pieces  # noqa: E402

# RP2040 and RP2350 have the kernel in assembler, the others in viper.
if board.MPY_ARCH.startswith("arm"):
    from threewire.kernel_thumb import scan
else:
    from threewire.kernel import scan

# Long enough that looking for new frames costs little, short beside a mains cycle: the lamps
# follow by as much.
_PUMP_MS = 5

lamps = Lamps(board.LEDS)
meter = Meter(
    layout,
    nominal(layout),
    on_edge=lambda name, lit, ticks: lamps.show(name, lit),
    scan=scan,
)
for name, lit in meter.lit.items():
    lamps.show(name, lit)


def run():
    meter.pause()
    sampler.start()
    due = meter.ticks + meter.tick_hz
    report = None
    try:
        while True:
            sampler.pump(meter)
            if report is None and meter.ticks >= due and meter.second:
                # One line, however many seconds a gap has taken.
                due += meter.tick_hz * (1 + (meter.ticks - due) // meter.tick_hz)
                report = pieces(meter)
            if report:
                piece = next(report, None)
                if piece is None:
                    report = None
                print(piece or "", end="" if piece else "\n")
            else:
                time.sleep_ms(_PUMP_MS)
    finally:
        sampler.stop()


run()
