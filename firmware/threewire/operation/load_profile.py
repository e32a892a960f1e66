"""The load profile: the total's energy, delivered and received, in each quarter of an hour of UTC.

Flow: registers, UTC -> LOAD PROFILE (an outlet) -> ring of quarters in flash; and back, for the
console and other outlets.

Energy is counted in whole milliwatt-hours of the registers, so that what all quarters have come to
is what the registers have, to the last one.  A quarter's record is written when it is over.  What
the quarter that is open has so far is kept in the registers' record, in the same save, with the
time of that: a record of this quarter or a later one is from after that save, and void with all
that has been metered since, or from a clock that was wrong.
"""

from micropython import const

from threewire.operation.utc import Utc
from threewire.storage.quarters import EACH, FILES, MOST, Quarters, slot_of

_S = const(900)

# Flags of a record.  Not all of the quarter was metered, or of that not all is in it; it has
# energy from outside it; UTC was set by more than 2 s; energy of lost frames is estimated.
_PARTIAL = const(1)
_MORE = const(2)
_CLOCK = const(4)
_ESTIMATED = const(8)

# A quarter that begins so late has not all of it; nor does one that UTC is moved in by more.
_LATE_S = const(2)
_MOVED_US = const(2000000)
# UTC that goes back by less into the quarter before leaves that as it is.
_BACK_S = const(60)
# Until what could not be written is tried again: in a ledger's day that is a fifth of it.
_AGAIN_S = const(300)

# What is kept in the registers' record: the last known UTC (or 1, for none), flags, and energies
# in mWh, of which 41 years at 48 kW fit.
_WH_BITS = const(44)
_WH_MASK = (1 << 44) - 1
_AT_BITS = const(96)
_ALL_BITS = const(128)
_UNKNOWN = const(1)

# A board is asked now and then: what answers takes no memory before.


def _utc(operator, given):
    from threewire.operation.profile_text import utc

    return utc(operator, given)


def _profile(operator, given):
    from threewire.operation.profile_text import answer

    return answer(operator.profile, given)


class LoadProfile:
    """meter, keeper, ledger   as their classes; fs, open_file   as Quarters'

    utc      Utc
    newest   the newest quarter that has a record; 0: none, or it is not known yet
    quarter  the one that is open, or was when UTC was known last; 0: it never was
    last     UTC in that quarter, as it was last looked at, Unix seconds; 0: none
    problem  one line on why the last record could not be written; "" when it could
    """

    # Of an outlet: it takes no report.
    is_free = False
    # As the console's table has them.
    commands = (
        ("utc", " [SECONDS]", False, _utc, "the time; sets it"),
        ("profile", " [FROM COUNT]", False, _profile, "energy of quarters of an hour"),
    )

    def __init__(self, meter, keeper, ledger, fs, open_file):
        self.utc = Utc(meter)
        self._quarters = Quarters(fs, open_file)
        self._meter = meter
        self._keeper = keeper
        self._ledger = ledger
        self.newest = self.quarter = self.last = 0
        self.problem = ""
        self._is_known = False  # whether what is metered now is the open quarter's
        # Energies, of the open quarter and behind them of the time without UTC since it was open;
        # and flags, likewise.
        self._energies = [0, 0, 0, 0]
        self._flags = [0, 0]
        self._since_us = self.utc.ticks_us()  # since then there is no UTC
        self._slot = FILES  # of the ring's files, the next to be looked through for void records
        # No quarter before it has a record, as far as is known; and of the files looked through so
        # far the first and the last that has one.
        self._oldest = 0
        self._there = None
        # Records of a clock that was wrong, one after the other; their energy; and the quarter
        # that it really was.
        self._moved = None
        self._back = [0, 0]
        self._target = 0
        self._due = 0  # ticks of the next step that has anything to do
        self.begin()
        self.utc.on_change = self._changed
        keeper.beside = self

    # ---- what is known of quarters

    def read(self, quarter):
        """(delivered, received, flags) of a quarter of this number (Unix seconds / 900), in mWh;
        None without a record.  Raises OSError."""
        for found in self.records(quarter, quarter + 1):
            if found:
                return found[1:]
        return None

    def records(self, first, end):
        """Yields (quarter, delivered, received, flags) of those there are from `first` on and
        before `end`, oldest first; and None, where looking for the next takes a while.  Raises
        OSError."""
        end = min(end, self.quarter)
        first = max(first, self.oldest())
        while first < end:
            after = (first // EACH + 1) * EACH
            for found in self._quarters.records(slot_of(first), first, min(after, end)):
                yield found
            first = after

    def oldest(self):
        """No quarter before this one has a record."""
        # As many files back as there are.
        return max(self._oldest, (self.quarter // EACH - FILES + 1) * EACH, 0)

    def open(self):
        """Likewise the one that is open, as it stands; None before there is any."""
        self.look()
        if not self.quarter:
            return None
        return (self.quarter,) + tuple(self._energies[:2]) + (self._flags[0],)

    def waiting(self):
        """Energies in mWh of the time without UTC, which are to be added to some quarter."""
        self.look()
        return self._energies[2:]

    # ---- an outlet's

    def step(self):
        """Ends the quarter when it is over.  Returns False: there is nothing that waits for the
        port."""
        now = self._meter.ticks
        if now < self._due:
            return False
        # Also when it raises.
        self._due = now + _AGAIN_S * self._meter.tick_hz
        if not self._ledger.can_log(now):
            return False
        try:
            if self._slot < FILES:
                self._look_through()
                self._due = 0
            elif self._moved:
                self._take_back()
            else:
                self._turn()
            self.problem = ""
        except OSError as problem:
            self.problem = str(problem)
        return False

    def break_off(self):
        """What crashed goes on with the next step."""

    # ---- what the keeper has beside it

    def begin(self):
        """The registers have been set: what they say is no energy."""
        self._seen = self._reading()
        self._lost = self._meter.lost_frames

    def look(self):
        """Adds what has been metered since the last look."""
        part = 0 if self._is_known else 1
        if self._meter.lost_frames != self._lost:
            self._flags[part] |= _ESTIMATED
        seen = self._seen
        self.begin()
        for k in (0, 1):
            # Never negative, for no record takes that, and no save would be made any more.
            self._energies[2 * part + k] += max(0, self._seen[k] - seen[k])

    def kept(self):
        self.look()
        quarter = self.quarter
        if self._is_known:
            # As long as it is open, it is that quarter's time.
            self.last = min(max(self.utc.at(), quarter * _S), quarter * _S + _S - 1)
        delivered, received, more, back = self._energies
        value = (self.last or _UNKNOWN) << 8 | self._flags[0] | self._flags[1]
        value = value << _WH_BITS | delivered + more
        return value << _WH_BITS | received + back

    def take(self, values):
        for value in values:
            if value >> _AT_BITS and not value >> _ALL_BITS:
                energies = [value >> _WH_BITS & _WH_MASK, value & _WH_MASK]
                value >>= 2 * _WH_BITS
                flags = value & 255
                value >>= 8
                if value > _UNKNOWN:
                    self.last = value
                    self.quarter = value // _S
                    self._slot = 0
                    self._energies = energies + [0, 0]
                    self._flags = [flags | _PARTIAL, 0]
                else:
                    self._energies = [0, 0] + energies
                    self._flags[1] = flags | _MORE
        self.begin()

    # ----

    def _reading(self):
        total = self._meter.registers
        return total.delivered.micro_wh() // 1000, total.received.micro_wh() // 1000

    def _changed(self, moved_us):
        """Of UTC."""
        self.look()
        self._due = 0
        self._moved = None
        if moved_us is None:
            self._flags[0] |= _PARTIAL
            if self._is_known:
                self._is_known = False
                self._since_us = self.utc.ticks_us()
        elif abs(moved_us) > _MOVED_US:
            self._flags[0] |= _CLOCK

    def _turn(self):
        """Goes on to the quarter that it is now."""
        at = self.utc.at()
        if at is None:
            return
        quarter = self.quarter
        if at < quarter * _S - _BACK_S:
            self._target = at // _S
            self._moved = self._later(self._target)
            self._back = [0, 0]
            self._due = 0
            return
        now = max(at // _S, quarter)
        self.look()
        flags = self._flags
        energies = self._energies
        if now > quarter:
            if quarter:
                self._end(at)
            else:
                self._begin_at(at)
            self.quarter = now
            self.last = at
            was = flags[0]
            # More of it than one record takes.
            flags[0] = _MORE if max(energies[:2]) else 0
            if self._is_known and at - now * _S > _LATE_S:
                flags[0] |= _PARTIAL | was & _CLOCK
        if not self._is_known:
            self._is_known = True
            flags[0] |= flags[1]
            since = self.utc.at(self._since_us)
            if since > now * _S:
                flags[0] |= _PARTIAL
            elif since < now * _S and max(energies[2:]):
                flags[0] |= _MORE
            energies[0] += energies[2]
            energies[1] += energies[3]
            energies[2] = energies[3] = flags[1] = 0
        self._due = self.utc.ticks_at((now + 1) * _S) if self._slot == FILES else 0

    def _look_through(self):
        """One of the ring's files."""
        found = self._quarters.drop(self._slot, self.quarter)
        if not self._slot:
            self._there = self.quarter, 0
        if found:
            self._there = min(self._there[0], found[0]), max(self._there[1], found[1])
        self._slot += 1
        if self._slot == FILES:
            self._oldest, self.newest = self._there

    def _begin_at(self, at):
        """UTC is known for the first time, so far as is stored."""
        # From here on a record is void, or not, by what is stored.
        self.last = at
        self.quarter = at // _S
        if not self._keeper.save():
            self.last = self.quarter = 0
            raise OSError(self._keeper.problem)
        # There may be records of a life that is forgotten.
        self._slot = 0

    def _end(self, at):
        """Writes the record of the open quarter, as of these Unix seconds."""
        quarter = self.quarter
        flags = self._flags[0]
        if self._is_known and at - (quarter + 1) * _S > _LATE_S:
            flags |= _PARTIAL if flags & _CLOCK else _MORE
        energies = self._energies
        delivered = min(energies[0], MOST)
        received = min(energies[1], MOST)
        self._quarters.append(quarter, delivered, received, flags)
        energies[0] -= delivered
        energies[1] -= received
        self.newest = quarter

    def _later(self, first):
        """Yields the records there are from this quarter on, in no order."""
        for slot in range(FILES):
            for found in self._quarters.records(slot, first, self.quarter):
                yield found

    def _take_back(self):
        """UTC goes back before quarters that have a record: their energy becomes that of the one
        that it is now, which gets the one record that it may have."""
        found = next(self._moved, False)
        if found is None or found:
            if found:
                self._back[0] += found[1]
                self._back[1] += found[2]
            self._due = 0
            return
        self.look()
        before = self.quarter, self.last, self._energies, self._flags
        delivered, received, more, back = self._energies
        self._energies = [delivered + self._back[0], received + self._back[1], more, back]
        self._flags = [self._flags[0] | _PARTIAL | _MORE | _CLOCK, self._flags[1]]
        self.quarter = self._target
        self.last = self.quarter * _S
        # The records go when it is sure that their energy is kept.
        if not self._keeper.save():
            self.quarter, self.last, self._energies, self._flags = before
            raise OSError(self._keeper.problem)
        # In the other slot too: damage to one does not bring the other clock back.
        self._keeper.save()
        self._moved = None
        self._oldest = self.newest = self._slot = self._due = 0
