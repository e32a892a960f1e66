"""A random walk of energy, saves, restarts and losses of power through the pulse outlet, in which
each pulse that comes has a number: that of the register's step for which it stands.

Flow: PULSE WALK -> the firmware's Meter, Pulses, Store -> a file system -> what has gone wrong.
Runs on CPython and on MicroPython alike.
"""

from threewire.metering.calibration import nominal
from threewire.metering.meter import Meter
from threewire.operation.faults import Faults
from threewire.operation.pulses import Pulses
from threewire.storage.ledger import Ledger
from threewire.storage.record import REGISTERS
from threewire.storage.store import Store

EACH_US = 75000


class PulsePin:
    """Counts what it is given, so many at a time at most."""

    def __init__(self, room):
        self.given = 0
        self._room = room

    def give(self, n):
        n = min(n, self._room)
        self.given += n
        return n

    def is_idle(self):
        return True


class Machine:
    Timer = None

    def reset(self):
        pass


class Life:
    """A board from one start to the next.

    micro_wh   of a pulse
    """

    def __init__(self, fs, open_file, layout, micro_wh, make=Pulses):
        self.micro_wh = micro_wh
        self.meter = meter = Meter(layout, nominal(layout))
        self.pins = PulsePin(4), PulsePin(1)
        ledger = Ledger(open_file, meter.tick_hz, 12000)
        self.faults = Faults()
        store = Store(fs, ledger.open, "registers", "registers", REGISTERS)
        self.pulses = make(
            self.pins, micro_wh, EACH_US, Machine(), meter, self.faults, ledger, store
        )
        self.problems = self.pulses.restore()

    def count(self, k):
        """floor(register / step), from the register's exact value."""
        total = self.meter.registers
        wh, residue = (total.received if k else total.delivered).value()
        unit = total.raw_per_wh
        return (wh * unit + residue) * 1000000 // (self.micro_wh * unit)

    def flow(self, micro_wh, ms):
        """So much energy, received where it is negative, in so long."""
        total = self.meter.registers
        raw = abs(micro_wh) * total.raw_per_wh // 1000000 + 1
        (total.received if micro_wh < 0 else total.delivered).add(raw)
        self.meter._since[0] += self.meter.tick_hz * ms // 1000

    def settle(self, is_dead=lambda: False):
        """All that is due comes, unless the power goes."""
        for _ in range(8000):
            self.pulses.tick()
            if is_dead():
                break
            self.pulses.step()
            self.meter._since[0] += self.meter.tick_hz // 20
            if max(self.pulses._owed) <= 0:
                break

    def last(self, k):
        """Number of the last pulse: with what is owed it is that of the register."""
        self.pulses._look()
        return self.count(k) - self.pulses._owed[k]


def ahead(life):
    """So many pulses of each may not come any more where the power is lost now, or in a save that
    has just been tried."""
    pulses = life.pulses
    return [max(pulses._left[k], pulses._next[k]) for k in (0, 1)]


def walk(start, random, micro_wh, lives, steps, is_dead):
    """Walks through so many lives.

    start    called for a new Life
    random   random.Random, or MicroPython's module
    is_dead  whether the power is gone
    Returns [pulses that came, of them numbers that came twice or in disorder, pulses that a loss
    of power has cost, losses of power, pulses that orderly restarts have cost].
    """
    came = doubled = lost = cuts = missed = 0
    newest = [0, 0]  # numbers of pulses that have come
    may_lose = [0, 0]
    watts = 1000
    was_cut = False
    for _ in range(lives):
        life = start()
        if life.problems:
            doubled += 1
        first = [life.last(0), life.last(1)]
        for k in (0, 1):
            # What was not saved begins anew behind all that has come.
            gone = first[k] - newest[k]
            if gone < 0 or gone > may_lose[k]:
                doubled += 1
            if was_cut:
                lost += max(0, gone)
            else:
                missed += max(0, gone)
            newest[k] = first[k]
        ordered = random.getrandbits(2) == 0
        given = [0, 0]
        for _ in range(random.getrandbits(20) % steps + 1):
            before = ahead(life)
            what = random.getrandbits(5)
            if what == 0:
                watts = (100, 1000, 10000, 48000)[random.getrandbits(2)]
            elif what == 1:
                life.pulses.save()
            elif what == 2:
                life.pulses.gasp()
            elif what == 3:
                life.settle(is_dead)
            else:
                ms = 20 + random.getrandbits(9)
                sign = -1 if random.getrandbits(4) == 0 else 1
                life.flow(sign * (watts * ms * 1000 // 3600), ms)
            if not is_dead():
                life.pulses.tick()
            if not is_dead():
                life.pulses.step()
            for k in (0, 1):
                if life.pins[k].given != given[k]:
                    came += life.pins[k].given - given[k]
                    given[k] = life.pins[k].given
                    # Each once, one behind the other, and none before its energy.
                    if life.last(k) != first[k] + given[k] or life.last(k) > life.count(k):
                        doubled += 1
                    newest[k] = life.last(k)
            if is_dead():
                break
        if not is_dead() and ordered:
            before = ahead(life)
            life.pulses.save()  # as a restart does
        was_cut = is_dead() or not ordered
        may_lose = [max(a, b) for a, b in zip(before, ahead(life))] if was_cut else [0, 0]
        cuts += was_cut
    return [came, doubled, lost, cuts, missed]
