"""The main loop: meters, and beside that reports, answers and saves, a little at a time.

Flow: sampler -> LOOP -> meter, sag, captures; LOOP -> report -> outlets; console, keeper.
Metering comes first, and that registers advance is what feeds the watchdog.  The rest runs between
pumps in pieces of a few milliseconds; when a part of it crashes that is counted, and metering goes
on.
"""

from array import array

import micropython
from micropython import const

# A look at what else there is to do each sixteenth of a second, told by the frames that have come,
# or each second round that brings none.
_CHORE_PART = const(16)
_CHORE_ROUNDS = const(2)
# Looking for new frames has its price, however few there are.  An LED's edge follows by as much,
# so less is waited for one that is near, by each of the cycles to it; and what waits for the port,
# a capture, or a voltage that may be collapsing, is seen to sooner.
_PAUSE_MS = const(30)
_BUSY_PAUSE_MS = const(5)
_EDGE_PAUSE_MS = const(3)
# A collection takes as long for little garbage as for much (14 ms on the emulated RP2040), and
# MicroPython's own would come in the midst of a window's work.  So it is put off until about this
# much is left: a report and its line leave 6 kB behind, a window 2 kB.
_LEFT_BYTES = const(12000)
# What is to be done beside metering goes on for so long before there is another look at frames,
# with so many pieces at most.
_PIECE_MS = const(2)
_MOST_PIECES = const(4)
# The time between two, in parts of a second, follows what garbage there was.  To look takes half
# as long as a collection: a round of its own, before and behind every so many.
_PARTS = const(64)
_FIRST_PARTS = const(43)
_MOST_PARTS = const(320)
_UNSEEN = const(8)
# More than this part of a second is much for a round that has something else to do.
_LONG_PART = const(100)
# Part of a second that a report waits for an edge at most.
_LATEST_PART = const(10)
# A gap is told of so long after what made it, at most: two blocks, or what a ring holds.
_OWN_PART = const(4)
# Looks between two at whether a save is due, and between two comparisons of the clocks: a few a
# second.
_KEEP_CHORES = const(5)
_COMPARE_CHORES = const(10)
_MS_MASK = const(0x3FFFFFFF)  # now_ms counts modulo 2**30

# What is told of the loop itself, of the second before a report: thousandths of the time for which
# it was busy, milliseconds of frames that waited for it at most, and those that the report is
# late; and since the start, milliseconds of the longest save and of the longest collection.
_BUSY = const(0)
_RING = const(1)
_LATE = const(2)
_SAVE = const(3)
_COLLECTION = const(4)
_EFFORT = const(5)


class Loop:
    """Runs a meter, one round after the other.

    stopped   the prompt has been asked for
    pause_ms  how long to wait before the next round, where there is nothing more to do at once
    called    outlets that may have something to do before it: `rest` looks after them
    sampler       pump(intake) hands over the frames there are, and returns how many; pause_ms:
                  from one to the next there should be no more
    meter, sag, captures, keeper, faults, ledger, lifecycle, clock_check, console   as their
                  classes
    port          read(most) -> bytes that have arrived, perhaps none; now_ms(); feed_watchdog();
                  pause_ms, as the sampler's; holds: bytes to be taken from it at a look
    memory        collect() garbage; mem_free(), bytes
    take_report   called once a second for the report that is offered to the outlets, with what
                  there is to be told of the loop, as `_BUSY` to `_COLLECTION` have it
    serial_line   SerialLine, the outlet that answers and captures share
    outlets       the others.  Each has is_free, whether it takes a report; offer(report); step()
                  -> whether there is more, None while it can do nothing; break_off() after a crash
                  of its own.  One after the other has its step, so that one that waits, or
                  crashes, silences no other.  One may have is_called too, whether it has
                  something to do before the next round, and pause_ms from one look at that to the
                  next
    """

    def __init__(
        self,
        sampler,
        meter,
        sag,
        captures,
        keeper,
        faults,
        ledger,
        lifecycle,
        clock_check,
        console,
        port,
        memory,
        take_report,
        serial_line,
        outlets=(),
    ):
        self._sampler = sampler
        self._meter = meter
        self._sag = sag
        self._captures = captures
        self._keeper = keeper
        self._faults = faults
        self._ledger = ledger
        self._lifecycle = lifecycle
        self._clock_check = clock_check
        self._console = console
        self._port = port
        self._memory = memory
        self._take_report = take_report
        self._serial_line = serial_line
        self._outlets = (serial_line,) + tuple(outlets)
        self.called = [outlet for outlet in outlets if hasattr(outlet, "is_called")]
        self._gaps = 0  # that have come, since they were counted last
        self._stalls = 0  # and those behind writing to the flash,
        self._writes = 0  # of which there were so many:
        self._own = 0  # gaps until these ticks are its own
        self._fed = meter.ticks
        self._due = meter.ticks + meter.tick_hz
        self._soonest = meter.ticks  # of a collection
        self._parts = _FIRST_PARTS  # from one to the next
        self._unseen = 3  # collections to the next look at what one brings, the one before it is 1
        self._left = 0  # bytes before it
        self._chore_frames = meter.tick_hz // (_CHORE_PART * meter.frame_ticks)
        self._to_chores = 0  # frames
        self._looks = 1  # at what there is to do
        self.stopped = console.stop
        self.pause_ms = _PAUSE_MS
        self._least_ms = min(sampler.pause_ms, port.pause_ms)
        self._slept_ms = 0
        self._since_ms = port.now_ms()  # that and the most are counted
        self._most = 0  # frames handed over at a time
        self._has_waited = False  # what is beside metering, for this one
        self._effort = array("i", [0] * _EFFORT)
        self._is_busy = False  # an outlet has more to do, or waits, or has been given something
        # Each by itself: the crash of one does not silence the others.
        self._chores = (self._keep, self._listen, self._report, self._look_after, self._tidy)

    @micropython.native
    def feed(self, codes, frames, frame_ticks, first=0):
        """What the sampler hands over: meter, sag and the capture that is under way get the same
        blocks."""
        self._meter.feed(codes, frames, frame_ticks, first)
        self._sag.feed(codes, frames, frame_ticks, first)
        if self._captures.on:
            self._capture(codes, frames, frame_ticks, first)

    def _capture(self, codes, frames, frame_ticks, first):
        try:
            on = self._captures.on
            on.feed(codes, frames, frame_ticks, first)
            if on.over and not on.writes:
                self._captures.drop()
        except Exception as problem:
            self._lifecycle.survived(problem)
            self._serial_line.break_off()

    def gap(self, frames, ticks):
        if self._meter.ticks < self._own:
            self._stalls += 1
            self._own += ticks
        else:
            self._gaps += 1
        self._meter.gap(frames, ticks)
        self._sag.gap(frames, ticks)
        if self._captures.on:
            self._captures.on.gap(frames, ticks)

    @micropython.native
    def run_round(self):
        """One round; returns whether there is more to do at once.  Raises what metering raises."""
        frames = self._sampler.pump(self)
        if not frames:
            frames = 0
            self._to_chores -= self._chore_frames // _CHORE_ROUNDS
        else:
            self._to_chores -= frames
            if frames > self._most:
                self._most = frames
        if self._sag.happened:
            # The last save is not to wait for its turn.
            self._looks = self._to_chores = 0
        meter = self._meter
        more = False
        if self._is_busy or self._to_chores <= 0:
            more = self._beside(frames)
        pause_ms = _PAUSE_MS
        captures = self._captures
        to_edge = meter.cycles_to_edge
        if to_edge:
            pause_ms = _EDGE_PAUSE_MS * to_edge
        if pause_ms > _BUSY_PAUSE_MS and (
            self._is_busy or self._sag.is_near or captures.on and captures.written
        ):
            pause_ms = _BUSY_PAUSE_MS
        if pause_ms > self._least_ms:
            pause_ms = self._least_ms
        self.pause_ms = pause_ms
        if not more:
            self._slept_ms += pause_ms
        return more

    def rest(self, sleep_ms):
        """Waits for the next round, or until one of `called` has something to do before it."""
        pause_ms = self.pause_ms
        for outlet in self.called:
            while pause_ms > outlet.pause_ms:
                sleep_ms(outlet.pause_ms)
                pause_ms -= outlet.pause_ms
                # What crashes here crashes in its step too, which is survived.
                try:
                    is_called = outlet.is_called
                except Exception:
                    is_called = True
                if is_called:
                    self._slept_ms -= pause_ms
                    self._is_busy = True
                    return
        sleep_ms(pause_ms)

    @micropython.native
    def _beside(self, frames):
        """What there is to do beside metering, which survives its crashes, in a round that has
        brought so many frames."""
        meter = self._meter
        # A window's end takes long by itself, and so does a report beside 30 ms of frames: what
        # there is to do waits for the next round, which comes at once and has few of them.  Rounds
        # in a row may all have many.
        ticks = meter.ticks
        brought = frames * meter.frame_ticks
        is_long = meter.window_ticks < brought or (
            brought * _LONG_PART > meter.tick_hz and ticks >= min(self._due, self._soonest)
        )
        if is_long and not self._has_waited and not self._sag.happened:
            self._has_waited = True
            return True
        self._has_waited = False
        if self._to_chores <= 0:
            self._to_chores = self._chore_frames
            looks = self._looks
            self._looks = looks + 1
            if ticks != self._fed:
                self._fed = ticks
                self._port.feed_watchdog()
            keep, listen, report, look_after, tidy = self._chores
            # A collapse has made `looks` zero.
            if not looks % _KEEP_CHORES:
                self._run(keep)
            self._run(listen)
            if not looks % _COMPARE_CHORES:
                self._run(look_after)
            # Either takes as long as an edge that is not near may still be away: never both.
            if ticks >= self._due:
                self._run(report)
            elif ticks >= self._soonest:
                self._run(tidy)
        has_more = False
        # The serial line has nothing to do unless the loop has given it something, or an answer
        # waits behind what it had; what others have is their own affair.
        captures = self._captures
        if (
            self._is_busy
            or self._console.working
            or len(self._outlets) > 1
            or (captures.on and captures.written)
        ):
            now_ms = self._port.now_ms
            begun = now_ms()
            for _ in range(_MOST_PIECES):
                has_more = self._step_outlets()
                if not has_more or (now_ms() - begun) & _MS_MASK >= _PIECE_MS:
                    break
        if self._ledger.writes != self._writes:
            self._writes = self._ledger.writes
            self._own = meter.ticks + meter.tick_hz // _OWN_PART
        return has_more

    def _step_outlets(self):
        has_more = waits = False
        for outlet in self._outlets:
            try:
                more = outlet.step()
                if more:
                    has_more = True
                elif more is None:
                    waits = True
            except Exception as problem:
                self._lifecycle.survived(problem)
                outlet.break_off()
        self._is_busy = has_more or waits
        return has_more

    def _run(self, chore):
        try:
            chore()
        except Exception as problem:
            self._lifecycle.survived(problem)

    def _keep(self):
        begun = self._port.now_ms()
        if self._sag.collapsed():
            self._keeper.gasp()
        self._keeper.tick()
        if self._ledger.writes != self._writes:
            self._note_longest(_SAVE, begun)

    def _report(self):
        meter = self._meter
        late = meter.ticks - self._due
        # To begin one takes as long as half a cycle: an edge that is near goes first.
        if meter.cycles_to_edge and late < meter.tick_hz // _LATEST_PART:
            return
        if not meter.second:
            return
        takers = [outlet for outlet in self._outlets if outlet.is_free]
        if not takers:
            return
        # One report, however many seconds a gap has taken.
        self._due += meter.tick_hz * (1 + (meter.ticks - self._due) // meter.tick_hz)
        report = self._take_report(self._efforts(late))
        self._is_busy = True
        for outlet in takers:
            try:
                outlet.offer(report)
            except Exception as problem:
                self._lifecycle.survived(problem)

    def _tidy(self):
        meter = self._meter
        # An LED's edge is not to wait for it.
        if meter.cycles_to_edge:
            return
        memory = self._memory
        unseen = self._unseen
        self._unseen = unseen - 1
        if unseen == 1:
            self._left = memory.mem_free()
            return
        if unseen < 0:
            self._space(self._left, memory.mem_free())
            self._unseen = _UNSEEN
        else:
            begun = self._port.now_ms()
            memory.collect()
            # MicroPython looks for room from the first byte on, and for each array anew until
            # something of one block has been made: each time through all that stays, 1 ms.
            _ = (self,)
            self._note_longest(_COLLECTION, begun)
        if unseen:
            self._soonest = meter.ticks + self._parts * meter.tick_hz // _PARTS

    def _space(self, left, free):
        """Sets the time between two collections by the bytes that were free before one and are
        after it."""
        parts = self._parts
        garbage = max(1, free - left)
        parts = min(parts * max(0, free - _LEFT_BYTES) // garbage, 2 * parts)
        self._parts = max(_FIRST_PARTS, min(parts, _MOST_PARTS))

    def _note_longest(self, what, begun_ms):
        took = (self._port.now_ms() - begun_ms) & _MS_MASK
        if took > self._effort[what]:
            self._effort[what] = took

    def _efforts(self, late):
        """What there is to be told of the loop with a report that is so many ticks late."""
        effort = self._effort
        meter = self._meter
        now = self._port.now_ms()
        passed = (now - self._since_ms) & _MS_MASK
        effort[_BUSY] = max(0, passed - self._slept_ms) * 1000 // max(1, passed)
        effort[_RING] = self._most * meter.frame_ticks * 1000 // meter.tick_hz
        effort[_LATE] = late * 1000 // meter.tick_hz
        self._slept_ms = self._most = 0
        self._since_ms = now
        return effort

    @micropython.native
    def _listen(self):
        console = self._console
        port = self._port
        if console.is_idle:
            data = port.read(1)
            if not data:
                return
        else:
            data = port.read(console.at_most)
        on = self._captures.on
        if data and on:
            # Any typed byte ends a capture, whoever asked for it may be gone; and a demo, which is
            # gone before what is typed is answered.
            on.stop()
            if not on.writes:
                self._captures.drop()
        self._take(data)
        # At the beginning of input bytes come singly, for the sake of what follows a Ctrl-C.
        taken = 0
        while data and taken < port.holds and not console.stop:
            data = port.read(console.at_most)
            if data:
                taken += self._take(data)

    def _take(self, data):
        console = self._console
        # Where something has come there may be more.
        self._is_busy = True
        self._to_chores = 0
        taken = console.take(data, self._port.now_ms())
        if console.stop:
            why = self._lifecycle.stays()
            if why:
                console.stay(why)
        self.stopped = console.stop
        return taken

    def _look_after(self):
        self._faults.count("overrun", self._gaps)
        self._faults.count("stall", self._stalls)
        self._gaps = self._stalls = 0
        self._clock_check.compare(self._meter.ticks, self._port.now_ms())
        self._lifecycle.look_after()
