"""The running firmware: its parts by name, and what is done with them from start to end.

Flow: assembly -> FIRMWARE -> loop.
"""

import time

import micropython
from micropython import const

from threewire.operation.commands import Commands
from threewire.operation.console import Console
from threewire.operation.faults import ClockCheck
from threewire.operation.loop import Loop
from threewire.operation.report import Report
from threewire.operation.serial_line import SerialLine

_BLINK_MS = const(500)
# MicroPython looks for room from the first block of the heap on that is free.  What byte code has
# there for the while of a call is freed at once, as are the digits of big integers: in holes at
# the heap's beginning they make all else be looked for through everything that stays, for 0.6 ms
# each time (emulated RP2040), which was a sixth of all that the CPU had to do.
_BLOCK = const(16)
_ROOM_BLOCKS = const(64)
_MOST_HOLES = const(1000)


class Firmware:
    """Its parts, as threewire/assembly.py makes them.

    outlets   beside the serial line
    """

    outlets = ()

    def __init__(
        self,
        layout,
        sampler,
        leds,
        port,
        machine,
        timer,
        ticks_diff,
        memory,
        meter,
        sag,
        keeper,
        faults,
        fault_finder,
        ledger,
        restarts,
        captures,
        lifecycle,
        operator,
        is_safe_mode,
    ):
        self.layout = layout
        self.sampler = sampler
        self.leds = leds
        self.port = port
        self.machine = machine
        self.timer = timer
        self.ticks_diff = ticks_diff
        self.memory = memory
        self.meter = meter
        self.sag = sag
        self.keeper = keeper
        self.faults = faults
        self.fault_finder = fault_finder
        self.ledger = ledger
        self.restarts = restarts
        self.captures = captures
        self.lifecycle = lifecycle
        self.operator = operator
        self.is_safe_mode = is_safe_mode

    def start(self):
        """Meters, or in safe mode leaves the prompt to whoever is there."""
        if self.is_safe_mode:
            self._blink()
        else:
            self.run()

    def new_loop(self):
        """The loop from its beginning: no line is half written, nothing has been typed."""
        meter = self.meter
        # What was fed before is not followed on.
        self.sag.gap(0, 0)
        texts = {}
        console = Console(Commands(self.operator).answer, self.port.write, self.lifecycle.survived)
        return Loop(
            sampler=self.sampler,
            meter=meter,
            sag=self.sag,
            captures=self.captures,
            keeper=self.keeper,
            faults=self.faults,
            ledger=self.ledger,
            lifecycle=self.lifecycle,
            clock_check=ClockCheck(self.faults, meter.tick_hz, self.ticks_diff),
            console=console,
            port=self.port,
            memory=self.memory,
            take_report=lambda effort: Report(
                meter,
                self.faults,
                self.fault_finder.active,
                texts,
                effort,
                self.captures.demo,
            ),
            serial_line=SerialLine(self.port, console, self.captures),
            outlets=self.outlets,
        )

    @micropython.native
    def fill_holes(self):
        """Fills the holes between what stays in the heap; as long as what this returns is there,
        nothing is allocated among that."""
        self.memory.collect()
        filling = None
        at = in_a_row = count = 0
        # One block each, until they come one behind the other: there the room begins.
        while in_a_row < _ROOM_BLOCKS:
            if count == _MOST_HOLES:
                return None  # a Python whose heap is another
            count += 1
            filling = (filling,)
            in_a_row = in_a_row + 1 if id(filling) - at == _BLOCK else 0
            at = id(filling)
        while in_a_row:
            in_a_row -= 1
            filling = filling[0]
        return filling

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
            if self.operator.profile:
                # At the prompt no time was metered.
                self.operator.profile.utc.forget()
            filling = self.fill_holes()
            self.sampler.start()
            sleep_ms = time.sleep_ms
            rest = loop.rest if loop.called else None
            run_round = loop.run_round
            while not loop.stopped and not lifecycle.restart_wanted:
                if run_round():
                    continue
                # A call less, for which a frame would be allocated.
                if rest:
                    rest(sleep_ms)
                else:
                    sleep_ms(loop.pause_ms)
            del filling
            self.sampler.pump(self.meter)
        except Exception as problem:
            try:
                lifecycle.crashed(problem)
            finally:
                self.machine.reset()
        finally:
            self.sampler.stop()
        self.captures.drop()
        lifecycle.end("prompt" if loop.stopped else "restart")
        if not loop.stopped:
            self.machine.reset()
        port.close()

    def _blink(self):
        """Safe mode: all LEDs blink together, and the prompt is there."""
        print('{"safe_mode":true,"restarts_in_a_row":%d}' % self.restarts.streak)
        # A reset from there is deliberate: it is not to count as a crash.
        self.lifecycle.end("prompt")
        blinker = self.machine.Timer(self.timer)
        self.leds.blink(False)
        blinker.init(period=_BLINK_MS, callback=self.leds.blink_on)
