"""Wires a board's parts together: sampler -> meter -> LEDs, report -> outlets, registers -> store.

Flow: main.py -> ASSEMBLY -> everything.  The one module that knows all wings: it hands parts of
one to another.
"""

import time

import micropython

from threewire.metering.layout import SENSOR, Layout
from threewire.transient import let_go

# What is imported again, by what is loaded when it is asked for and at the prompt; and the doctor,
# whom the collector of garbage is to find early (see below).
_KEPT = (
    "metering",
    "metering.constants",
    "metering.doctor",
    "metering.fill",
    "metering.intmath",
    "metering.kernel",
    "metering.line_voltage",
    "metering.readings",
    "metering.temperature",
    "operation",
    "operation.console",
    "operation.report",
    "operation.telemetry",
)

# Runs at the prompt in safe mode, where the firmware's files may be written anew.
_IN_RAM = ("threewire.chip.leds",)


def on_board(board):
    """The Firmware of the board that this runs on.  After it this module is needed no more, and
    its memory is free again."""
    import gc
    import os
    import sys

    import machine

    from threewire.chip.chips import CHIPS

    micropython.alloc_emergency_exception_buf(100)
    # Often while modules are loaded, so that what stays lies close together: with a collection
    # each 105 kB the longest free piece was 3.5 kB of 63, with one each 40 kB it was 27 (emulated
    # RP2040, a converter's table).
    gc.threshold(25000)
    layout = Layout(board)
    chip = CHIPS[board.CHIP]
    code = None
    if chip["xip_base"] is not None:
        from threewire.chip.code_in_flash import CodeInFlash

        # Its own code stays in RAM anyhow.
        from threewire.metering.kernel_thumb import scan

        # Before what it is for: each module's code makes room for the next.
        code = CodeInFlash(chip["xip_base"], scan, _IN_RAM)
        code.begin()
    # The sampler's ring is the longest piece of memory that is asked for, so it comes before
    # everything that would leave holes in the heap.  Each sampler needs modules that other chips
    # do not have.
    if board.SAMPLER["kind"] == "dma":
        from threewire.chip.dma_sampler import DmaSampler

        sampler = DmaSampler(board, layout, chip)
    else:
        from threewire.chip.timer_sampler import TimerSampler

        sampler = TimerSampler(board, layout)
    from threewire.chip.leds import Leds
    from threewire.chip.serial_port import SerialPort, cause, is_sealed

    if chip["has_thumb"]:
        from threewire.metering import kernel_thumb, reactive_thumb, window_thumb, words_thumb
        from threewire.metering.look_thumb import look

        loops = kernel_thumb, words_thumb, window_thumb, reactive_thumb
    else:
        from threewire.metering import kernel_viper, reactive_viper, window_viper, words_viper
        from threewire.metering.look_viper import look

        loops = kernel_viper, words_viper, window_viper, reactive_viper
    keeper = None
    if hasattr(board, "PULSES"):
        from threewire import outlets

        keeper = outlets.keeper(board, layout, chip, machine)
    profile = None
    if getattr(board, "LOAD_PROFILE", False):
        from threewire.operation.load_profile import LoadProfile as profile
    # More often still, where what stays and what does not alternate: what is left as holes among
    # it, the loop fills (`Firmware.fill_holes`), and nothing else has them.  The longest free
    # piece was 55 kB with a collection each 25 kB, 64 with one each 14; each 8 took 0.3 s more.
    gc.threshold(16000)
    firmware = assemble(
        layout=layout,
        sampler=sampler,
        leds=Leds(board.LEDS),
        port=SerialPort(chip),
        cause=cause(chip),
        sealed=is_sealed(board),
        loops=loops,
        look=look,
        machine=machine,
        timer=chip["software_timer"],
        saves_a_day=chip["saves_a_day"],
        fs=os,
        open_file=open,
        ticks_diff=time.ticks_diff,
        memory=gc,
        keeper=keeper,
        profile=profile,
    )
    if hasattr(board, "MODBUS"):
        from threewire import outlets

        # Into one piece: what is loaded now stays, and the holes around it are lost to a capture.
        gc.collect()
        outlets.modbus(board, chip, firmware, os)
    if hasattr(board, "WIFI"):
        from threewire import outlets

        outlets.network(firmware)
    if code:
        firmware.run = code.end().around(firmware.run)
    del sys.modules["board"]
    # What has been made holds on to what it needs of its modules; the others are garbage.  And
    # MicroPython's collector goes over the whole heap once more, for twice the time or more, where
    # over 64 objects wait for it: those beside what it looks at, and beside all that led it there.
    # With all modules in sys.modules they do; with these 54 do at most.
    for name in list(sys.modules):
        if name.startswith("threewire.") and name[10:] not in _KEPT:
            let_go(name)
    # The loop's own come first.
    gc.threshold(-1)
    globals().clear()
    return firmware


def assemble(
    layout,
    sampler,
    leds,
    port,
    cause,
    sealed,
    loops,
    machine,
    timer,
    saves_a_day,
    fs,
    open_file,
    ticks_diff,
    memory,
    look=None,
    keeper=None,
    profile=None,
):
    """The Firmware of these parts.

    layout    Layout of the board
    sampler   as DmaSampler
    leds      show(name, lit), blink(lit), blink_on(timer)
    port      as SerialPort
    cause     why the board has started, of restarts.CAUSES
    sealed    False where operators may change registers and constants
    loops     the kernel's, the words', the window's and the reactive energy's, four modules
    machine   reset(), Timer, unique_id()
    timer     number of the machine.Timer that blinks
    saves_a_day  as in CHIPS
    fs, open_file   the file system: os, and open
    ticks_diff      of MicroPython's time
    memory    collect() garbage; mem_free(), bytes
    look      as Sag has it
    keeper    makes the Keeper of its parts, where that is an outlet, and stands in for machine
    profile   LoadProfile, the class, where there is to be one
    """
    import json

    # Here, not above: their code is loaded when the sampler has its ring.
    from threewire.metering.constants import nominal
    from threewire.metering.meter import Meter
    from threewire.metering.sag import Sag
    from threewire.operation.captures import Captures
    from threewire.operation.faults import FaultFinder, Faults
    from threewire.operation.firmware import Firmware
    from threewire.operation.lifecycle import LOGS, Lifecycle
    from threewire.operation.operator import Operator
    from threewire.storage import record
    from threewire.storage.event_log import EventLog
    from threewire.storage.keeper import Keeper
    from threewire.storage.ledger import Ledger
    from threewire.storage.restarts import Restarts
    from threewire.storage.store import Store, made_for
    from threewire.version import VERSION

    if SENSOR in layout.slots:
        # Now, beside the others, and not when the meter asks for it: then it leaves twice as many
        # holes in the heap.
        from threewire.metering import temperature  # noqa: F401

    # What is made now lies where the loading of code has left holes, not behind them; and so
    # below, where files have been read.
    memory.collect()
    of_this_board = made_for(layout.name)

    def calibration_of(values):
        """The Calibration of stored constants.  Raises whatever is wrong with them."""
        # What there may be of them is read as strictly as what is typed, by code that is here only
        # until they are read.
        from threewire.metering.calibration import from_dict
        from threewire.operation.constants_text import read

        return from_dict(read(of_this_board(values)[1]), layout)

    ledger = Ledger(open_file, layout.tick_hz, saves_a_day)
    open_file = ledger.open
    restarts = Restarts(Store(fs, open_file, "restarts", "restarts", record.REGISTERS))
    is_safe_mode = restarts.begin(cause)
    constants = Store(
        fs, open_file, "calibration", "constants", record.CALIBRATION, calibration_of
    )
    calibration, _, problems = constants.load()
    if calibration is None:
        calibration = nominal(layout)
    memory.collect()

    def new_meter(of=None, on_edge=None):
        if of:
            return Meter(of, nominal(of), on_edge=on_edge, loops=loops)
        return Meter(layout, calibration, loops=loops, like=meter)

    def show_own():
        for name, lit in meter.indicators.lit.items():
            leds.show(name, lit)

    captures = Captures(layout, new_meter, port, leds, show_own)
    faults = Faults()
    sag = Sag(layout, calibration, look)
    fault_finder = FaultFinder(faults, layout, sag.follow)
    meter = Meter(
        layout,
        calibration,
        # The lamps of a demonstration are its own.
        on_edge=lambda name, lit, ticks: captures.demo or leds.show(name, lit),
        on_window=fault_finder.window,
        loops=loops,
    )
    outlet = keeper
    keeper = (outlet or Keeper)(
        meter, faults, ledger, Store(fs, open_file, "registers", "registers", record.REGISTERS)
    )
    if profile:
        profile = profile(meter, keeper, ledger, fs, open_file)
    problems += restarts.problems + keeper.restore()
    memory.collect()
    logs = {name: EventLog(fs, open_file, "log", json, name) for name in LOGS}
    lifecycle = Lifecycle(
        meter=meter,
        keeper=keeper,
        faults=faults,
        ledger=ledger,
        restarts=restarts,
        logs=logs,
        sealed=sealed,
    )
    operator = Operator(
        version=VERSION,
        layout=layout,
        board_id=machine.unique_id().hex(),
        sealed=sealed,
        meter=meter,
        sag=sag,
        keeper=keeper,
        faults=faults,
        fault_finder=fault_finder,
        ledger=ledger,
        logs=logs,
        constants=constants,
        captures=captures,
        lifecycle=lifecycle,
    )
    if profile:
        operator.profile = profile
        operator.more = profile.commands
    lifecycle.note_start(problems, constants.set_aside)
    show_own()
    memory.collect()
    firmware = Firmware(
        layout=layout,
        sampler=sampler,
        leds=leds,
        port=port,
        machine=keeper if outlet else machine,
        timer=timer,
        ticks_diff=ticks_diff,
        memory=memory,
        meter=meter,
        sag=sag,
        keeper=keeper,
        faults=faults,
        fault_finder=fault_finder,
        ledger=ledger,
        restarts=restarts,
        captures=captures,
        lifecycle=lifecycle,
        operator=operator,
        is_safe_mode=is_safe_mode,
    )
    if outlet:
        firmware.outlets = (keeper,)
    if profile:
        firmware.outlets += (profile,)
    return firmware
