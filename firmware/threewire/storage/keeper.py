"""Keeps what the meter has counted: makes a list of integers of it, saves that, and takes it up.

Flow: meter, faults -> KEEPER -> store; and back at start.  Watt-hours are kept with their
residues, so that an orderly restart loses nothing; reactive energy to the microvarh.
"""

from micropython import const

from threewire.storage.save_policy import SavePolicy

# The record's integers, in this order; a later firmware appends.
#   tick_hz, flags (bit 0, 1: element is reversed; bit 2: the peak demand is negative; bit 3: the
#   commissioning zero has been done; bit 4: it is locked), lost frames, peak demand in uW + 1 (0:
#   none yet),
#   eight registers, each watt-hours and residue: delivered, received, those of element 1 and of
#   element 2, estimated delivered and received,
#   twelve of reactive energy in uvarh: element 1, 2 and total, quadrants I to IV,
#   the faults' counts, in sixteen places; then what the ledger has; then what is kept beside.
_FIXED = const(4)
_REGISTERS = const(8)
_QUADRANTS = const(12)
_LEAST = const(32)  # _FIXED + 2 * _REGISTERS + _QUADRANTS
_COUNTED = const(2)  # of them tick_hz and flags are no counts
_REVERSED = const(3)
_NEGATIVE = const(4)
_ZEROED = const(8)
_LOCKED = const(16)
_FAULTS = const(16)
# No meter counts more: in a register the 10**12 Wh that a preset may give and a century at 48 kW
# on top of it, in all else 1.6 times that century.  So what is taken up can be saved again.
_MOST_WH = 1 << 40
_MOST = 1 << 56


class Keeper:
    """Saves a meter's registers and the faults in a Store, when the policy says so.

    problem  one line on why the last save failed; "" when it did not
    is_zeroed  whether the commissioning zero has been done, in the life of what is stored
    is_locked  whether Ctrl-C is not to stop metering while the seal is closed
    beside     has one more integer in the record, or None.  It has kept(), which gives that;
               take(values), which finds it among those from the ledger's on; look(), before
               something else than energy changes the registers; and begin(), behind that
    """

    beside = None

    def __init__(self, meter, faults, ledger, store):
        self._meter = meter
        self._faults = faults
        self._ledger = ledger
        self._store = store
        self.is_zeroed = self.is_locked = False
        self._named = list(meter.registers.named())
        estimated = meter.estimated
        self._all = [register for _, register in self._named]
        self._all += [estimated.delivered, estimated.received]
        self._quadrants = [r for of in meter.reactive.quadrants for r in of]
        store.check = self._checked
        self._begin()

    @property
    def problem(self):
        return self._store.problem

    def restore(self):
        """Takes up the newest record; returns a line for every one that is of no use.

        Without a record the registers stay at zero.
        """
        values, _, problems = self._store.load()
        if values:
            self._take(values)
        self._begin()
        return problems

    def values(self):
        """The record's integers."""
        meter = self._meter
        peak = meter.demand.peak_uw
        flags = 0
        for k, rule in enumerate(meter.rules):
            flags |= rule.reversed << k
        if peak is not None and peak < 0:
            flags |= _NEGATIVE
        if self.is_zeroed:
            flags |= _ZEROED
        if self.is_locked:
            flags |= _LOCKED
        values = [meter.tick_hz, flags, meter.lost_frames, 0 if peak is None else abs(peak) + 1]
        for register in self._all:
            values.append(register.wh)
            values.append(register.residue)
        for register in self._quadrants:
            values.append(register.micro_wh())
        counts = self._faults.to_list()
        counts += [0] * (_FAULTS - len(counts))
        values += counts + self._ledger.to_list(meter.ticks)
        if self.beside:
            values.append(self.beside.kept())
        return values

    def save(self):
        """Saves now; returns whether that worked."""
        saved = self._store.save(self.values())
        self._policy.tried(self._meter.ticks, self._moved(), saved)
        self._faults.changed = self._faults.changed and not saved
        if not saved:
            self._faults.count("save_failed")
        return saved

    def gasp(self):
        """The voltage has collapsed: the next `tick` saves."""
        self._policy.gasp()

    def tick(self):
        """Saves if it is time to, and the flash may be written to."""
        ticks = self._meter.ticks
        is_due = self._policy.due(ticks, self._moved(), self._faults.changed)
        if is_due and self._ledger.can_save(ticks):
            self.save()

    def preset(self, name, wh):
        """Raises the register of this name (Registers.named) to `wh` whole watt-hours.  Raises
        ValueError for a name that there is not, and for no more than there is."""
        register = dict(self._named).get(name)
        if not register:
            names = ", ".join([name for name, _ in self._named])
            raise ValueError("no register {!r}; there are {}".format(name, names))
        if not register.wh < wh < 10**12:
            raise ValueError(
                "{} is {} Wh; it can only be raised, to less than 10**12".format(
                    name, register.text()
                )
            )
        if self.beside:
            self.beside.look()
        register.wh = wh
        register.residue = 0
        self._meter.show_registers()
        if self.beside:
            self.beside.begin()

    def zero(self):
        """The commissioning zero: sets all that is counted to zero, but the faults, and stores
        that.  Raises ValueError when it could not be stored: all is as it was.
        """
        # Stored first, zeros and mark in one record: a loss of power leaves that or the one
        # before.
        values = self.values()
        values[1] = values[1] & (_REVERSED | _LOCKED) | _ZEROED
        for k in range(_COUNTED, _LEAST):
            values[k] = 0
        if not self._store.save(values):
            self._faults.count("save_failed")
            raise ValueError("not saved; nothing is changed: " + self.problem)
        self.is_zeroed = True
        self._meter.zero()
        if self.beside:
            self.beside.begin()
        self._ledger.count("commissioning zero")
        # In the other slot too: damage to one does not bring the old registers back.
        self.save()

    def _begin(self):
        meter = self._meter
        self._policy = SavePolicy(
            meter.tick_hz, self._ledger.saves_a_day, meter.ticks, self._moved()
        )

    def _moved(self):
        total = self._meter.registers
        return total.delivered.wh + total.received.wh

    def _checked(self, values):
        """A record's integers.  Raises ValueError for what no meter has counted."""
        tick_hz = values[0] if len(values) >= _LEAST else 0
        if not tick_hz:
            raise ValueError("{} values, clock first".format(len(values)))
        # Less than a watt-hour, by the clock that it was metered with.
        unit = self._meter.registers.raw_per_wh // self._meter.tick_hz * tick_hz
        for k, value in enumerate(values[:_LEAST]):
            most = _MOST
            if 0 <= k - _FIXED < 2 * _REGISTERS:
                most = unit if k & 1 else _MOST_WH
            if value >= most:
                raise ValueError("value {} is beyond what a meter counts".format(k))
        return values

    def _take(self, values):
        meter = self._meter
        tick_hz, flags, lost_frames, peak = values[:_FIXED]
        at = _FIXED
        for register in self._all:
            register.wh = values[at]
            # Of another clock: its unit is to this one's as the clocks are.
            register.residue = values[at + 1] * meter.tick_hz // tick_hz
            register.add(0)
            at += 2
        for register in self._quadrants:
            register.set_micro_wh(values[at])
            at += 1
        meter.lost_frames = lost_frames
        if peak:
            meter.demand.peak_uw = (peak - 1) * (-1 if flags & _NEGATIVE else 1)
        self.is_zeroed = bool(flags & _ZEROED)
        for k, rule in enumerate(meter.rules):
            rule.reversed = bool(flags >> k & 1)
        self.is_locked = bool(flags & _LOCKED)
        self._faults.from_list(values[at : at + _FAULTS])
        self._ledger.from_list(values[at + _FAULTS :])
        meter.show_registers()
        if self.beside:
            self.beside.take(values[at + _FAULTS :])
