"""Wires a board's parts together: sampler -> meter -> LEDs, report -> outlets, registers -> store.

Flow: main.py -> ASSEMBLY -> everything.  The one module that knows all wings: it hands parts of
one to another.
"""

import json
import time

import micropython

from threewire.chip.chips import CHIPS
from threewire.metering.layout import Layout

# Long enough that looking for new frames costs little, short beside a mains cycle: the LEDs
# follow by as much.
_PUMP_MS = 5
_BLINK_MS = 500


def on_board(board):
    """The Assembly of the board that this runs on."""
    import gc
    import os

    import machine

    micropython.alloc_emergency_exception_buf(100)
    # Collect garbage early, so that the heap keeps one free block large enough for a capture's
    # second meter.
    gc.threshold(50000)
    layout = Layout(board)
    # Each sampler needs modules that other chips do not have.
    if board.SAMPLER["kind"] == "dma":
        from threewire.chip.dma_sampler import DmaSampler as Sampler
    else:
        from threewire.chip.timer_sampler import TimerSampler as Sampler
    # Its ring is the longest piece of memory that is asked for, so it comes before everything that
    # would leave holes in the heap.
    sampler = Sampler(board, layout)
    from threewire.chip.leds import Leds
    from threewire.chip.serial_port import SerialPort, cause, is_sealed

    if CHIPS[board.CHIP]["has_thumb"]:
        from threewire.metering.kernel_thumb import scan
    else:
        from threewire.metering.kernel import scan
    return Assembly(
        layout=layout,
        sampler=sampler,
        leds=Leds(board.LEDS),
        port=SerialPort(board),
        cause=cause(),
        sealed=is_sealed(board),
        scan=scan,
        machine=machine,
        timer=CHIPS[board.CHIP]["software_timer"],
        fs=os,
        open_file=open,
        ticks_diff=time.ticks_diff,
    )


class Assembly:
    """All parts of a running firmware, by name.

    layout    Layout of the board
    sampler   start(), stop(), pump(intake)
    leds      show(name, lit), blink(lit), blink_on(timer)
    port      as SerialPort
    cause     why the board has started, of restarts.CAUSES
    sealed    False where operators may change registers and constants
    scan      the kernel
    machine   reset(), Timer
    timer     number of the machine.Timer that blinks
    fs, open_file   the file system: os, and open
    ticks_diff      of MicroPython's time
    """

    def __init__(
        self,
        layout,
        sampler,
        leds,
        port,
        cause,
        sealed,
        scan,
        machine,
        timer,
        fs,
        open_file,
        ticks_diff,
    ):
        # Here, not above: their code is loaded when the sampler has its ring.
        from threewire.metering.calibration import from_dict, nominal
        from threewire.metering.meter import Meter
        from threewire.operation.captures import Captures
        from threewire.operation.faults import FaultFinder, Faults
        from threewire.operation.lifecycle import Lifecycle
        from threewire.operation.operator import Operator
        from threewire.storage import record
        from threewire.storage.event_log import EventLog
        from threewire.storage.keeper import Keeper
        from threewire.storage.restarts import Restarts
        from threewire.storage.store import Store, made_for
        from threewire.version import VERSION

        def check_constants(values):
            """ValueError unless stored constants are this board's and can be metered with."""
            made_for(layout.name)(values)
            from_dict(json.loads(values[1]), layout)

        self.sampler = sampler
        self.leds = leds
        self.port = port
        self.layout = layout
        self._machine = machine
        self._timer = timer
        self._ticks_diff = ticks_diff
        self.restarts = Restarts(Store(fs, open_file, "restarts", "restarts", record.REGISTERS))
        self.is_safe_mode = self.restarts.begin(cause)
        constants = Store(
            fs, open_file, "calibration", "constants", record.CALIBRATION, check_constants
        )
        stored, _, problems = constants.load()
        calibration = from_dict(json.loads(stored[1]), layout) if stored else nominal(layout)

        self.faults = Faults()
        self.fault_finder = FaultFinder(self.faults, layout)
        self.meter = meter = Meter(
            layout,
            calibration,
            on_edge=lambda name, lit, ticks: leds.show(name, lit),
            on_window=self.fault_finder.window,
            scan=scan,
        )
        self.keeper = Keeper(
            meter, self.faults, Store(fs, open_file, "registers", "registers", record.REGISTERS)
        )
        problems += self.restarts.problems + self.keeper.restore()
        log = EventLog(fs, open_file, "log", json.dumps)
        self.captures = Captures(
            layout, lambda: Meter(layout, calibration, scan=scan, like=meter), port
        )
        self.lifecycle = Lifecycle(
            meter=meter,
            keeper=self.keeper,
            faults=self.faults,
            restarts=self.restarts,
            log=log,
        )
        self.operator = Operator(
            version=VERSION,
            layout=layout,
            sealed=sealed,
            meter=meter,
            keeper=self.keeper,
            faults=self.faults,
            fault_finder=self.fault_finder,
            log=log,
            constants=constants,
            captures=self.captures,
            lifecycle=self.lifecycle,
        )
        self.lifecycle.note_start(problems)
        for name, lit in meter.indicators.lit.items():
            leds.show(name, lit)

    def start(self):
        """Meters, or in safe mode leaves the prompt to whoever is there."""
        if self.is_safe_mode:
            self._blink()
        else:
            self.run()

    def new_loop(self):
        """The loop from its beginning: no line is half written, nothing has been typed."""
        from threewire.metering.sag import Sag
        from threewire.operation.commands import Commands
        from threewire.operation.console import Console
        from threewire.operation.faults import ClockCheck
        from threewire.operation.loop import Loop
        from threewire.operation.report import Report
        from threewire.operation.serial_line import SerialLine

        meter = self.meter
        layout = self.layout
        console = Console(Commands(self.operator).answer, self.port.write, self.lifecycle.survived)
        return Loop(
            sampler=self.sampler,
            meter=meter,
            sag=Sag(layout, meter.calibration),
            captures=self.captures,
            keeper=self.keeper,
            faults=self.faults,
            lifecycle=self.lifecycle,
            clock_check=ClockCheck(self.faults, layout.tick_hz, self._ticks_diff),
            console=console,
            port=self.port,
            take_report=lambda: Report(meter, self.faults, self.fault_finder.active),
            serial_line=SerialLine(self.port, console, self.captures),
            # Another outlet is another line here.
            outlets=(),
        )

    def run(self):
        """Meters until the prompt is asked for.  A crash in metering restarts the board."""
        port = self.port
        lifecycle = self.lifecycle
        port.open()
        try:
            loop = self.new_loop()
            lifecycle.begin()
            self.captures.drop()
            self.meter.pause()
            self.sampler.start()
            while not loop.stopped and not lifecycle.restart_wanted:
                if not loop.run_round():
                    time.sleep_ms(_PUMP_MS)
            self.sampler.pump(self.meter)
        except Exception as problem:
            try:
                lifecycle.crashed(problem)
            finally:
                self._machine.reset()
        finally:
            self.sampler.stop()
        lifecycle.end()
        if not loop.stopped:
            self._machine.reset()
        port.close()

    def _blink(self):
        """Safe mode: all LEDs blink together, and the prompt is there."""
        print('{"safe_mode":true,"restarts_in_a_row":%d}' % self.restarts.streak)
        # A reset from the safe-mode prompt is deliberate: do not count it as a crash.
        self.restarts.about_to_restart("command")
        blinker = self._machine.Timer(self._timer)
        self.leds.blink(False)
        blinker.init(period=_BLINK_MS, callback=self.leds.blink_on)
