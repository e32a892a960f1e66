"""A Modbus slave, whatever it is asked over: the outlet that keeps a report's registers, and looks
after the lines on which they are asked for.

Flow: report -> MODBUS SLAVE (modbus_registers.py) <-> lines (modbus_rtu.py).

While registers are made of one report those of the one before are served, so that an answer is of
one.
"""

from array import array

from micropython import const

from threewire.operation.modbus_registers import WORDS, answer, between, events, put

_ONCE = const(48)
_ADDRESS = const(54)
_FLOATS = const(56)
_BUSY = const(6)  # the refusal before there has been a report
_BILLION = const(1000000000)
_OF_SLAVE = const(35)  # place in what is kept of a report


class ModbusSlave:
    """texts  board, version and board_id, of the common model

    is_free    whether it takes a report
    is_called  whether a step is due before the next round
    pause_ms   from one look at that to the next there should be no more
    lines      on which it is asked: each has is_called and break_off() as it has; step(), which
               returns whether it waits; sign(), what telemetry is to say of it
    """

    pause_ms = 5

    def __init__(self, *texts):
        self._texts = texts
        self._words = array("I", bytes(4 * WORDS))
        self._pieces = None
        self._is_known = False
        self.lines = []

    def address(self, *values):
        """From now on the registers have this address and code of a speed, 0: there is no line
        with a speed."""
        put(self._words, _ADDRESS, values)

    @property
    def is_free(self):
        return self._pieces is None

    @property
    def is_called(self):
        for line in self.lines:
            if line.is_called:
                return True
        return False

    def offer(self, report):
        """Its registers are made in the steps that follow."""
        self._pieces = self._made(report)
        report.kept[_OF_SLAVE] = "".join([line.sign() for line in self.lines]).encode()

    def step(self):
        """Looks after the lines, or goes on with the registers.  Returns whether there is more;
        None: it waits for a line."""
        waits = False
        for line in self.lines:
            if line.step():
                waits = True
        if self._pieces is not None:
            if next(self._pieces, self) is not self:
                return True
            self._pieces = None
        return None if waits else False

    def break_off(self):
        """After a crash: what was begun is forgotten."""
        self._pieces = None
        for line in self.lines:
            line.break_off()

    def answer(self, data):
        """The answer to a request, data, of at least one byte that asks for registers."""
        return answer(data, self._words if self._is_known else None, self._texts, _BUSY)

    def _made(self, report):
        """Yields when a part of the work on a report is done, until all of it is."""
        words = array("I", self._words)
        volts = []
        amps = []
        for k in (0, 1):
            reading = report.reading(k)
            yield
            volts.append(_says(reading.volts_uv, 1000))
            amps.append(_says(reading.amps_ua, 1000))
            values = self._readings(reading, report, k, volts[k], amps[k])
            yield
            put(words, 16 * k + 16, values)
            yield
        one, two = volts
        size = sum(amps)
        values = self._readings(report.total(), report, 2, (one + two) // 2, size)
        yield
        put(words, 0, values)
        yield
        service = report.diagnosis().service
        yield
        demand = report.demand
        values = [
            between(one, two, service),
            size // 2,
            report.hertz_mhz() * 1000,
            _says(demand.mean_uw or 0, 1000),
            _says(demand.peak_uw or 0, 1000),
            events(report.active, report.reversed, service),
        ]
        put(words, _ONCE, values)
        # These may have been set meanwhile.
        for k in (_ADDRESS, _ADDRESS + 1, _FLOATS + _ADDRESS, _FLOATS + _ADDRESS + 1):
            words[k] = self._words[k]
        self._words = words
        self._is_known = True

    def _readings(self, reading, report, which, *values):
        """Volts and amps given, what else there is of an element, or of both (which: 2)."""
        values = list(values)
        for value in (reading.watts_uw, reading.vars_uw, reading.va_uva):
            values.append(_says(value, 1000))
        values.append(_says(reading.power_factor_ppm, 100))
        # Of both is first.
        k = 2 * (which + 1) % 6
        for wh, part in [report.wh(k), report.wh(k + 1)] + report.varh(which):
            values.append(wh * _BILLION + part)
        return values


def _says(value, unit):
    """In whole units, as telemetry has it: the rest is left out."""
    return -(-value // unit * unit) if value < 0 else value // unit * unit
