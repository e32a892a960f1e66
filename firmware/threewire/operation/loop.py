"""The main loop: meters, and beside that reports, answers and saves, a little at a time.

Flow: sampler -> SERVICE's intake -> meter, sag; SERVICE -> serial line, console, keeper.  Metering
comes first, and that registers advance is what feeds the watchdog.  The rest runs between pumps in
pieces of a few milliseconds; when a part of it crashes that is counted, and metering goes on.
"""

import micropython
from micropython import const

from threewire.operation.telemetry import pieces

# Turns of some 5 ms between two looks at what else there is to do; a lamp is never waited for.
_CHORE_TURNS = const(4)
# Looks between two comparisons of the clocks: a few a second.
_COMPARE_CHORES = const(16)
_MINUTE_S = const(60)


class Intake:
    """What the sampler pumps into: meter, sag and the desk's capture, while there is one, get the
    same blocks.  gaps: how many came; break_off() ends a line that is half written."""

    def __init__(self, desk, sag, break_off):
        self._break_off = break_off
        self._desk = desk
        self._meter = desk.meter
        self._sag = sag
        self.gaps = 0

    @micropython.native
    def feed(self, codes, frames, frame_ticks, first=0):
        self._meter.feed(codes, frames, frame_ticks, first)
        self._sag.feed(codes, frames, frame_ticks, first)
        if self._desk.capture:
            self._capture(codes, frames, frame_ticks, first)

    def _capture(self, codes, frames, frame_ticks, first):
        desk = self._desk
        try:
            desk.capture.feed(codes, frames, frame_ticks, first)
        except Exception as problem:
            desk.capture = None
            desk.survived(problem)
            self._break_off()

    def gap(self, frames, ticks):
        self.gaps += 1
        self._meter.gap(frames, ticks)
        if self._desk.capture:
            self._desk.capture.gap(frames, ticks)


class Service:
    """Runs a meter, one `turn` after the other, until `stopped`.

    sampler   pump(intake) hands over the frames there are
    sag       Sag
    desk      Desk
    console   Console
    clocks    ClockWatch
    port      read(most) -> bytes that have arrived, perhaps none; write(text) when it is_ready();
              now_ms(); feed_watchdog()
    """

    def __init__(self, sampler, sag, desk, console, clocks, port):
        self._sampler = sampler
        self._sag = sag
        self._desk = desk
        self._console = console
        self._clocks = clocks
        self._port = port
        self._meter = meter = desk.meter
        self._intake = Intake(desk, sag, self._break_off)
        self._gaps = 0
        self._fed = meter.ticks
        self._due = meter.ticks + meter.tick_hz
        self._minute = meter.ticks + _MINUTE_S * meter.tick_hz
        self._report = None
        self._turns = 0
        self._is_talking = False
        # Each by itself: the crash of one does not silence the others.
        self._chores = (self._keep, self._listen, self._report_due, self._look_after)

    @property
    def stopped(self):
        """The prompt has been asked for."""
        return self._console.stop

    @micropython.native
    def turn(self):
        """One round; returns whether there is more to do at once.  Raises what metering raises."""
        self._sampler.pump(self._intake)
        self._turns += 1
        if self._turns % _CHORE_TURNS and not self._is_talking:
            return False
        meter = self._meter
        if meter.ticks != self._fed:
            self._fed = meter.ticks
            self._port.feed_watchdog()
        return self._beside()

    def _beside(self):
        """What there is to do beside metering, which survives its crashes."""
        if not self._turns % _CHORE_TURNS:
            for chore in self._chores:
                try:
                    chore()
                except Exception as problem:
                    self._desk.survived(problem)
        try:
            if not self._port.is_ready():
                # A write would wait until frames are lost.  What there is to say waits instead.
                return False
            if self._desk.capture:
                self._is_talking = self._go_on(self._desk.capture)
            else:
                self._is_talking = self._talk()
        except Exception as problem:
            self._desk.capture = None
            self._desk.survived(problem)
            self._break_off()
        return self._is_talking

    def _go_on(self, capture):
        """Writes a piece of a capture, whose lines no other may cut: none is begun meanwhile.
        Returns whether there is more, or soon will be."""
        more = capture.step()
        if capture.over:
            self._desk.capture = None
        return more or capture.is_hurried

    def _break_off(self):
        """Ends a line that a crash has left half written."""
        self._report = None
        self._is_talking = False
        try:
            self._port.write("\n")
        except Exception:
            pass  # it was the port itself: there is no line to end

    def _keep(self):
        if self._sag.collapsed():
            self._desk.keeper.gasp()
        self._desk.keeper.tick()

    def _report_due(self):
        meter = self._meter
        if self._desk.capture:
            return
        if self._report is None and meter.ticks >= self._due and meter.second:
            # One line, however many seconds a gap has taken.
            self._due += meter.tick_hz * (1 + (meter.ticks - self._due) // meter.tick_hz)
            self._report = pieces(meter, self._desk.faults, self._desk.active)

    def _talk(self):
        """Writes a piece of a line: of telemetry, or of an answer that has begun before it.
        Returns whether there is more."""
        if self._report is None or self._console.busy:
            return self._console.step() or self._report is not None
        piece = next(self._report, None)
        if piece is None:
            self._report = None
            piece = "\n"
        self._port.write(piece)
        return True

    def _listen(self):
        console = self._console
        port = self._port
        data = port.read(console.at_most)
        if data and self._desk.capture:
            # Whoever types wants something else; who had asked for it may be gone.
            self._desk.capture.stop()
        console.take(data, port.now_ms())
        # At the beginning of input bytes come singly, for the sake of what follows a Ctrl-C.
        while data and not console.stop:
            data = port.read(console.at_most)
            if data:
                taken = console.take(data, port.now_ms())
                if taken > 1:
                    return

    def _look_after(self):
        if self._turns % (_CHORE_TURNS * _COMPARE_CHORES):
            return
        desk = self._desk
        gaps = self._intake.gaps
        if gaps != self._gaps:
            desk.faults.count("overrun", gaps - self._gaps)
            self._gaps = gaps
        self._clocks.compare(self._meter.ticks, self._port.now_ms())
        if self._minute and self._meter.ticks >= self._minute:
            self._minute = 0
            desk.restarts.minute_passed()
