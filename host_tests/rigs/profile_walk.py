"""A random walk of energy, saves, restarts, losses of power and UTC through the load profile,
beside a world that knows what was metered when.

Flow: PROFILE WALK -> the firmware's Meter, Keeper, LoadProfile, Store -> a file system -> what the
records have, and what they are to have.  Runs on CPython and on MicroPython alike.
"""

from threewire.metering.calibration import nominal
from threewire.metering.meter import Meter
from threewire.operation.faults import Faults
from threewire.operation.load_profile import LoadProfile
from threewire.storage.keeper import Keeper
from threewire.storage.ledger import Ledger
from threewire.storage.record import REGISTERS
from threewire.storage.store import Store

QUARTER_S = 900
MWH = 1000
PARTIAL = 1


class Life:
    """A board from one start to the next."""

    def __init__(self, fs, open_file, layout):
        self.meter = meter = Meter(layout, nominal(layout))
        self.ledger = Ledger(open_file, meter.tick_hz, 12000)
        self.faults = Faults()
        store = Store(fs, self.ledger.open, "registers", "registers", REGISTERS)
        self.keeper = Keeper(meter, self.faults, self.ledger, store)
        self.profile = LoadProfile(meter, self.keeper, self.ledger, fs, self.ledger.open)
        self.problems = self.keeper.restore()

    def raw(self):
        """[delivered, received] of the registers, exactly."""
        total = self.meter.registers
        values = total.delivered.value(), total.received.value()
        return [wh * total.raw_per_wh + residue for wh, residue in values]

    def mwh(self):
        """Likewise, in whole milliwatt-hours."""
        return [raw * MWH // self.meter.registers.raw_per_wh for raw in self.raw()]

    def flow(self, micro_wh, seconds):
        """So much energy, received where it is negative, in so long."""
        total = self.meter.registers
        raw = abs(micro_wh) * total.raw_per_wh // 1000000 + 1
        (total.received if micro_wh < 0 else total.delivered).add(raw)
        self.pass_time(seconds)

    def pass_time(self, seconds):
        self.meter._since[0] += self.meter.tick_hz * seconds

    def set_utc(self, seconds):
        utc = self.profile.utc
        utc.set(seconds * 1000000, utc.ticks_us())

    def steps(self, is_dead=lambda: False):
        """As often as there is something to do at once, up to a walk through the ring."""
        for _ in range(4000):
            if is_dead():
                return
            self.profile.step()
            if self.profile._due > self.meter.ticks:
                return

    def records(self):
        """All records there are, but None."""
        return [found for found in self.profile.records(0, 1 << 24) if found]


class World:
    """What was metered when, as far as the registers still have it.

    now     Unix seconds of the true time
    chunks  (quarter, seconds, whether UTC was known, [delivered, received] of the registers behind
            it, in raw units), oldest first
    mixed   (first, last) of quarters whose energy nobody can tell from another's: UTC was not
            known in time
    """

    def __init__(self, now, life):
        self.now = now
        self.first = life.raw()
        self.chunks = []
        self.mixed = []
        self.dark = 0  # quarter in which the life began

    def begin(self, life):
        """A start: what the registers do not have any more was not.  Returns whether they are as
        they have been at some time."""
        raw = life.raw()
        while self.chunks and self.chunks[-1][3] != raw:
            self.chunks.pop()
        self.dark = self.now // QUARTER_S
        # What was metered without UTC before the last save is now the open quarter's.
        for quarter, _, known, _ in reversed(self.chunks):
            if known:
                break
            self.mixed.append((quarter, quarter))
            self.mixed.append((life.profile.quarter, life.profile.quarter))
        return raw == (self.chunks[-1][3] if self.chunks else self.first)

    def becomes_known(self):
        if self.dark != self.now // QUARTER_S:
            self.mixed.append((self.dark, self.now // QUARTER_S))

    def is_mixed(self, quarter):
        return any([first <= quarter <= last for first, last in self.mixed])

    def expected(self, unit):
        """Quarter -> (delivered mWh, received mWh, whether all of it was metered), of those that
        are not mixed."""
        found = {}
        before = self.first
        for quarter, seconds, _, raw in self.chunks:
            if not self.is_mixed(quarter):
                had = found.get(quarter, (0, 0, 0))
                energies = [
                    raw[k] * MWH // unit - before[k] * MWH // unit + had[k] for k in (0, 1)
                ]
                found[quarter] = (energies[0], energies[1], had[2] + seconds)
            before = raw
        return {
            quarter: (delivered, received, seconds == QUARTER_S)
            for quarter, (delivered, received, seconds) in found.items()
        }


class Archive:
    """All records there have been, also those that the ring does not have any more."""

    def __init__(self, life):
        self.records = {}
        self._base = life.mwh()
        self._seen = 0

    def begin(self, life):
        """Records of quarters that are open again, or still to come, are void."""
        quarter = life.profile.quarter
        self.records = {n: r for n, r in self.records.items() if n < quarter}
        self._seen = min(self._seen, quarter)

    def look(self, life):
        """Takes what is new, and returns what is wrong: "" where nothing is."""
        profile = life.profile
        for found in profile.records(self._seen, 1 << 24):
            if found:
                if found[0] in self.records:
                    return f"a second record of {found[0]}"
                self.records[found[0]] = found[1:]
                self._seen = found[0] + 1
        sums = profile.waiting()
        kept = profile.kept()
        open_one = profile.open()
        for found in list(self.records.values()) + ([open_one[1:]] if open_one else []):
            sums = [sums[0] + found[0], sums[1] + found[1]]
        now = life.mwh()
        if sums != [now[k] - self._base[k] for k in (0, 1)]:
            return f"the sums differ: {sums}, {now}"
        if not kept:
            return "nothing is kept"
        return ""

    def compare(self, life, now):
        """That the ring has the newest of them, as they were, and those of 35 days at `now`;
        returns what is wrong."""
        there = life.records()
        if any(self.records.get(found[0]) != found[1:] for found in there):
            return "a record has changed"
        newest = sorted(self.records)[-len(there) :] if there else []
        if [found[0] for found in there] != newest:
            return "a record is lost"
        least = now // QUARTER_S - 35 * 96
        if sum(n >= least for n in self.records) > len(there):
            return "less than 35 days"
        return ""


def walk(start, random, lives, steps, is_dead=lambda: False, now=1767225600):
    """Walks through so many lives of up to so many chunks of energy, each within a quarter.

    start    called for a new Life
    random   random.Random, or MicroPython's module
    is_dead  whether the power is gone
    Returns (problems, records that are as expected, of them whole, the World, the Archive);
    problems are lines, none where all is well.
    """
    problems = []
    life = start()
    world = World(now, life)
    archive = Archive(life)
    watts = 1000
    for number in range(lives):
        if number:
            life = start()
        problems += life.problems
        if not world.begin(life):
            problems.append(f"life {number}: registers that never were")
        archive.begin(life)
        dark_s = random.getrandbits((4, 8, 11)[random.getrandbits(8) % 3])
        for step in range(random.getrandbits(20) % steps + 1):
            life.steps(is_dead)
            if is_dead():
                break
            is_known = life.profile.utc.at() is not None
            if dark_s <= 0 and not is_known:
                life.set_utc(world.now)
                life.steps(is_dead)
                if is_dead():
                    break
                world.becomes_known()
                is_known = True
            what = random.getrandbits(4)
            if not what:
                watts = (0, 1000, 10000, 48000)[random.getrandbits(2)]
            left = QUARTER_S - world.now % QUARTER_S
            seconds = min(left, 1 + random.getrandbits((6, 8, 10, 10)[random.getrandbits(2)]))
            sign = -1 if what == 1 else 1
            life.flow(sign * (watts * seconds * 1000000 // 3600 + random.getrandbits(12)), seconds)
            world.chunks.append((world.now // QUARTER_S, seconds, is_known, life.raw()))
            world.now += seconds
            dark_s -= seconds
            life.steps(is_dead)
            if is_dead():
                break
            if what != 2:  # else it is not saved at once
                life.keeper.tick()
            if is_dead():
                break
            problem = archive.look(life)
            if problem:
                problems.append(f"life {number}, step {step}: {problem}")
                return problems, 0, 0, world, archive
        if not is_dead():
            if random.getrandbits(1):
                life.keeper.save()
            elif not random.getrandbits(2):
                # At the prompt, and back from there.
                life.profile.utc.forget()
        world.now += (1, 20, 200, 3000, 90000, 500000)[random.getrandbits(8) % 6]
    life = start()
    world.begin(life)
    archive.begin(life)
    problem = archive.look(life) or archive.compare(life, world.now)
    if problem:
        problems.append("at the end: " + problem)
    whole = checked = 0
    expected = world.expected(life.meter.registers.raw_per_wh)
    for quarter, (delivered, received, is_whole) in expected.items():
        record = archive.records.get(quarter)
        if quarter >= life.profile.quarter:
            continue
        if record is None:
            problems.append(f"{quarter} has no record")
        elif record[:2] != (delivered, received):
            problems.append(f"{quarter}: {record}, not {delivered}, {received}")
        elif is_whole != (record[2] == 0) or not (is_whole or record[2] & PARTIAL):
            problems.append(f"{quarter}: flags {record[2]}")
        checked += 1
        whole += is_whole
    there = {quarter for quarter, _, _, _ in world.chunks}
    for quarter, record in archive.records.items():
        # One that had just begun when the power went is as empty as its record.
        is_told = quarter in there or world.is_mixed(quarter)
        if not is_told and record != (0, 0, PARTIAL):
            problems.append(f"{quarter} was not metered")
    return problems, checked, whole, world, archive
