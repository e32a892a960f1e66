"""Pulses: one on a pin for each step of the delivered register, and one on another for each of the
received one.

Flow: registers -> PULSES (an outlet) -> pins, which time them.  It is the board's keeper as well,
for how many have been given is stored in one record with the registers.

A pulse cannot be called back, and a save cannot be made with each of them.  So each record says
how far they may go until the next one, and what comes after a loss of power begins there: no step
of a register ever gives a second pulse, and what a loss of power costs is the pulses that might
have been given and were not.
"""

import time

from micropython import const

from threewire.storage.keeper import Keeper

# The last of the record's integers, greater than any of the keeper's counts: the step, and of
# received and delivered each how many pulses may be ahead of the register, or are behind it.  In
# one, for a record is short.
_BITS = const(21)
_MIDDLE = const(1 << 20)
_STEP_AT = const(42)
# How many may come until the next save: these, and what came in so long, going by the pulses
# since the last one.  A save is due 10 s after the last where power is that high.
_LEAST = const(2)
_AHEAD_S = const(20)
_NAP_MS = const(10)

_WH = const(1000000)  # in millionths


class Pulses(Keeper):
    """pins      for delivered and received, a pin or None.  It has give(n), which takes up to n
              pulses, and returns how many; is_idle(), whether all of these have begun
    micro_wh  of a pulse
    each_us   from one pulse to the next, at least
    machine   reset() and Timer, which this stands in for: a reset waits for what has been given
    meter, faults, ledger, store   as Keeper's
    """

    # Of an outlet: it takes no report.
    is_free = False

    def __init__(self, pins, micro_wh, each_us, machine, meter, faults, ledger, store):
        self._pins = pins
        self._step = micro_wh
        self._each = each_us
        self._machine = machine
        self.Timer = machine.Timer
        self._seen = [0, 0]  # steps of the registers
        self._owed = [0, 0]  # pulses; where negative, steps that are to give none
        self._left = [0, 0]  # pulses that may come until the next save
        self._next = [0, 0]  # what that is going to be
        self._used = [0, 0]  # pulses since the last one,
        self._since = 0  # which was then
        self._looked = -1  # ticks of the last look
        self._ends = True  # nothing is sure to follow on the save that is made now
        self._last = False  # nor on the one that the keeper makes
        super().__init__(meter, faults, ledger, store)

    # ---- an outlet's

    def step(self):
        """Gives the pulses that are due.  Returns None, to be asked again soon, where they come
        close upon each other or wait; else False."""
        self._look()
        waits = self._step < _WH
        for k, pin in enumerate(self._pins):
            if pin:
                n = min(self._owed[k], self._left[k])
                if n > 0:
                    n = pin.give(n)
                    self._owed[k] -= n
                    self._left[k] -= n
                    self._used[k] += n
                if self._owed[k] > 0:
                    waits = True
                if not self._left[k] and (self._used[k] or self._owed[k] > 0):
                    self._policy.gasp()
        return None if waits else False

    def break_off(self):
        """What crashed goes on with the next step."""

    # ---- machine's

    def reset(self):
        """Resets the board when all pulses that were given have come."""
        try:
            for pin in self._pins:
                while pin and not pin.is_idle():
                    time.sleep_ms(_NAP_MS)
            time.sleep_ms(self._each // 1000 + 1)
        finally:
            self._machine.reset()

    # ---- the keeper's

    def values(self):
        self._look()
        values = super().values()
        packed = self._step
        ticks = self._meter.ticks - self._since
        second = self._meter.tick_hz
        for k in (1, 0):
            used = self._used[k]
            least = used * self._each * second // 1000000
            left = 0
            if self._pins[k] and not self._ends:
                left = _LEAST + used * _AHEAD_S * second // max(1, ticks, least)
            self._next[k] = left
            # Whichever of the two records is found, it is not passed.
            self._left[k] = min(self._left[k], left)
            ahead = min(max(left - self._owed[k], -_MIDDLE), _MIDDLE - 1)
            packed = packed << _BITS | ahead + _MIDDLE
        values.append(packed)
        return values

    def save(self):
        saved = super().save()
        if saved:
            self._left, self._next = self._next, self._left
            self._used = [0, 0]
            self._since = self._meter.ticks
            self._last = False
        return saved

    def gasp(self):
        super().gasp()
        self._last = True

    def tick(self):
        # What else saves may be a restart's, so no pulse goes beyond that.
        self._ends = self._last
        super().tick()
        self._ends = True

    def preset(self, name, wh):
        self._look()
        super().preset(name, wh)
        self._begin_at()

    def zero(self):
        super().zero()
        self._begin_at()

    def _take(self, values):
        super()._take(values)
        self._begin_at()
        packed = values[-1]
        if packed >> _STEP_AT == self._step:
            for k, pin in enumerate(self._pins):
                if pin:
                    self._owed[k] = _MIDDLE - (packed & (2 * _MIDDLE - 1))
                packed >>= _BITS

    # ----

    def _begin_at(self):
        """The registers have been set: what they say is no reason for pulses."""
        self._seen = [self._steps(0), self._steps(1)]

    def _steps(self, k):
        """Whole steps in a register."""
        total = self._meter.registers
        register = total.received if k else total.delivered
        step = self._step
        if step % _WH:
            return register.micro_wh() // step
        return register.wh // (step // _WH)

    def _look(self):
        if self._step % _WH:
            # It takes big integers, so not more than once a cycle.
            ticks = self._meter.ticks
            if ticks == self._looked:
                return
            self._looked = ticks
        for k, pin in enumerate(self._pins):
            if pin:
                steps = self._steps(k)
                # In a commissioning zero there are less, and as many owed as before.
                if steps > self._seen[k]:
                    self._owed[k] += steps - self._seen[k]
                self._seen[k] = steps
