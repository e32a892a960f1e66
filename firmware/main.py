"""Wires this board's parts together and runs: sampler -> meter -> lamps and serial line."""

import time

import board
import micropython

from threewire.calibration import nominal
from threewire.lamps import Lamps
from threewire.layout import Layout
from threewire.meter import Meter
from threewire.telemetry import line
from threewire.timer_sampler import TimerSampler

micropython.alloc_emergency_exception_buf(100)

layout = Layout(board)
lamps = Lamps(board.LEDS)
meter = Meter(layout, nominal(layout), on_edge=lambda name, lit, ticks: lamps.show(name, lit))
for name, lit in meter.lit.items():
    lamps.show(name, lit)
sampler = TimerSampler(board, layout)


def run():
    sampler.start()
    due = meter.tick_hz
    try:
        while True:
            if not sampler.pump(meter):
                time.sleep_ms(1)
            elif meter.ticks >= due and meter.second:
                due += meter.tick_hz
                print(line(meter, meter.second))
    finally:
        sampler.stop()


run()
