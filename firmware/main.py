"""Wires this board's parts together and runs: sampler -> meter -> lamps, serial line and store."""

import gc
import json
import os
import time

import board
import machine
import micropython

from threewire.metering.layout import Layout

# Each sampler needs modules that other ports do not have.
if board.SAMPLER["kind"] == "dma":
    from threewire.chip.dma_sampler import DmaSampler as Sampler
else:
    from threewire.chip.timer_sampler import TimerSampler as Sampler

micropython.alloc_emergency_exception_buf(100)
# Rubbish is collected before it is all over the heap, where what lives among it would leave no
# piece that is large enough for a second meter.
gc.threshold(50000)

layout = Layout(board)
# Its ring is the longest piece of memory that is asked for, so it comes before everything that
# would leave holes in the heap.
sampler = Sampler(board, layout)

from threewire.chip.leds import Lamps  # noqa: E402
from threewire.chip.serial_port import Port, cause, is_sealed  # noqa: E402
from threewire.metering.calibration import from_dict, nominal  # noqa: E402
from threewire.metering.meter import Meter  # noqa: E402
from threewire.metering.sag import Sag  # noqa: E402
from threewire.operation.commands import Commands  # noqa: E402
from threewire.operation.console import Console  # noqa: E402
from threewire.operation.desk import Desk  # noqa: E402
from threewire.operation.faults import ClockWatch, Faults, FaultWatch  # noqa: E402
from threewire.operation.loop import Service  # noqa: E402
from threewire.storage import record  # noqa: E402
from threewire.storage.event_log import EventLog  # noqa: E402
from threewire.storage.keeper import Keeper  # noqa: E402
from threewire.storage.restarts import Restarts  # noqa: E402
from threewire.storage.store import Store, made_for  # noqa: E402
from threewire.version import VERSION  # noqa: E402

# RP2040 and RP2350 have the kernel in assembler, the others in viper.
if board.MPY_ARCH.startswith("arm"):
    from threewire.metering.kernel_thumb import scan
else:
    from threewire.metering.kernel import scan

# Long enough that looking for new frames costs little, short beside a mains cycle: the lamps
# follow by as much.
_PUMP_MS = 5
_BLINK_MS = 500

lamps = Lamps(board.LEDS)
port = Port(board)


def store(folder, name, kind, check=None):
    return Store(os, open, folder, name, kind, check)


def check_constants(values):
    """ValueError unless stored constants are this board's and can be metered with."""
    made_for(layout.name)(values)
    from_dict(json.loads(values[1]), layout)


restarts = Restarts(store("restarts", "restarts", record.REGISTERS))
is_safe_mode = restarts.begin(cause())
constants = store("calibration", "constants", record.CALIBRATION, check_constants)
stored, _, problems = constants.load()
calibration = from_dict(json.loads(stored[1]), layout) if stored else nominal(layout)

faults = Faults()
watch = FaultWatch(faults, layout)
meter = Meter(
    layout,
    calibration,
    on_edge=lambda name, lit, ticks: lamps.show(name, lit),
    on_window=lambda window: watch.window(window, meter.elements, meter.hertz_mhz(window)),
    scan=scan,
)
keeper = Keeper(meter, faults, store("registers", "registers", record.REGISTERS))
problems += restarts.problems + keeper.restore()
log = EventLog(os, open, "log", json.dumps)
desk = Desk(
    VERSION,
    layout,
    is_sealed(board),
    meter,
    keeper,
    faults,
    watch,
    restarts,
    log,
    constants,
    lambda: Meter(layout, calibration, scan=scan, like=meter),
    port,
)
desk.note_start(problems)
for name, lit in meter.lit.items():
    lamps.show(name, lit)


def run():
    """Meters until the prompt is asked for.  A crash in metering restarts the board."""
    port.open()
    try:
        service = Service(
            sampler,
            Sag(layout, calibration),
            desk,
            Console(Commands(desk).answer, port.write, desk.survived),
            ClockWatch(faults, layout.tick_hz, time.ticks_diff),
            port,
        )
        desk.begin()
        meter.pause()
        sampler.start()
        while not service.stopped and not desk.restart_wanted:
            if not service.turn():
                time.sleep_ms(_PUMP_MS)
        sampler.pump(meter)
    except Exception as problem:
        try:
            desk.crashed(problem)
        finally:
            machine.reset()
    finally:
        sampler.stop()
    desk.end()
    if not service.stopped:
        machine.reset()
    port.close()


if is_safe_mode:
    print('{"safe_mode":true,"restarts_in_a_row":%d}' % restarts.streak)
    # Who leaves the prompt by a reset does so on purpose.
    restarts.about_to_restart("command")
    # Software timers have the number -1, which only rp2 has.
    blinker = machine.Timer(-1 if board.CHIP.startswith("rp") else 1)
    lamps.blink(False)
    blinker.init(period=_BLINK_MS, callback=lamps.blink_on)
else:
    run()
