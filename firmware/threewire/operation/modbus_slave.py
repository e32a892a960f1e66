"""A Modbus RTU slave on an RS-485 line: the outlet that is asked.

Flow: report -> MODBUS SLAVE (modbus_registers.py) <-> rs485.py.  Frames, times and the CRC are
those of the Modbus Serial Line Protocol and Implementation Guide V1.02.

Nothing here waits: a step looks for what has come, answers, or makes a few registers.  While they
are made of one report those of the one before are served, so that an answer is of one.

Where a frame ends is told by silence.  Several that have come between two looks, of other devices
on the line, are told apart by their CRC: behind a frame's last byte the CRC over all of it is 0.
"""

from array import array

import micropython
from micropython import const

from threewire.operation import modbus_registers

# A request that is answered has so many bytes.
_REQUEST = const(8)
_LEAST_FRAME = const(4)
_MOST_FRAME = const(256)
# The state that `_take` goes on from: CRC, bytes since the frame began, and frames that have ended
# with others behind them.
_CRC = const(0)
_LENGTH = const(1)
_ENDED = const(2)
_WORDS = const(3)
_EMPTY_CRC = const(0xFFFF)
_CHUNK = const(64)  # bytes of the line at a time
_BUSY = const(6)  # the refusal before there has been a report
# Of `counts`.
_ANSWERED = const(0)
_OTHERS = const(2)
_BAD = const(3)
_BILLION = const(1000000000)
_ONCE = const(48)  # where the values are that there are once
_OF_SLAVE = const(35)  # place in what is kept of a report


@micropython.viper
def _fill(table: ptr16):
    """Makes the CRC's table."""
    for k in range(256):
        crc = k
        for _ in range(8):
            if crc & 1:
                crc = crc >> 1 ^ 0xA001
            else:
                crc >>= 1
        table[k] = crc


@micropython.viper
def _take(data: ptr8, size: int, state: ptr32, table: ptr16):
    """Takes so many bytes of the line; a frame's first are kept behind these in `data`."""
    crc = state[_CRC]
    length = state[_LENGTH]
    k = 0
    while k < size:
        if crc == 0 and length >= _LEAST_FRAME:
            # There is more behind a frame.
            state[_ENDED] += 1
            length = 0
        if length == 0:
            crc = _EMPTY_CRC
        byte = data[k]
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
        if length < _REQUEST:
            data[_CHUNK + length] = byte
        # Longer than any frame: only silence ends it.
        if length <= _MOST_FRAME:
            length += 1
        else:
            crc = 1
        k += 1
    state[_CRC] = crc
    state[_LENGTH] = length


@micropython.viper
def _check(data: ptr8, size: int, table: ptr16) -> int:
    """The CRC of so many bytes."""
    crc = _EMPTY_CRC
    k = 0
    while k < size:
        crc = crc >> 8 ^ table[(crc ^ data[k]) & 0xFF]
        k += 1
    return crc


def _cut(value, unit):
    """In whole units, as telemetry has it: the rest is left out."""
    return -(-value // unit * unit) if value < 0 else value // unit * unit


class ModbusSlave:
    """line      as Rs485
    board, version, board_id  texts of the common model

    is_free   whether it takes a report
    is_called whether a step is due before the next round
    pause_ms  from one look at that to the next there should be no more
    counts    frames since the start: answered, refused, of others, bad
    """

    def __init__(self, line, board, version, board_id):
        # Its text is gone when the registers have been made.
        from threewire.operation.modbus_points import sdm630, sunspec

        self._line = line
        self._address = line.address
        self._maps = sunspec(board, version, board_id, line.address), sdm630()
        self._served = [bytearray(made) for made, _ in self._maps]
        self._areas = None  # before the first report
        self._values = [0] * modbus_registers.VALUES
        self._table = array("H", bytes(512))
        _fill(self._table)
        self._state = array("i", bytes(4 * _WORDS))
        self._buffer = bytearray(_CHUNK + _REQUEST)
        self._last = 0
        self._pieces = None
        self.counts = [0] * 4
        self.pause_ms = line.pause_ms

    @property
    def is_free(self):
        return self._pieces is None

    @property
    def is_called(self):
        line = self._line
        return self._state[_LENGTH] or line.any() or (line.is_watched and line.is_sending())

    def offer(self, report):
        """Its registers are made in the steps that follow."""
        self._pieces = self._made(report)
        report.kept[_OF_SLAVE] = (
            ',"modbus":{"answered":%d,"refused":%d,"others":%d,"bad":%d}' % tuple(self.counts)
        ).encode()

    def step(self):
        """Looks at the line, answers, or goes on with the registers.  Returns whether there is
        more; None: it waits for the line."""
        line = self._line
        state = self._state
        waits = line.is_watched
        if not line.is_sending():
            size = line.any()
            if size:
                while size:
                    size = min(size, _CHUNK)
                    line.readinto(self._buffer, size)
                    _take(self._buffer, size, state, self._table)
                    size = line.any()
                self._last = line.ticks_us()
            elif (
                state[_LENGTH] and line.ticks_diff(line.ticks_us(), self._last) >= line.silence_us
            ):
                self._end()
            waits = state[_LENGTH] or (waits and line.is_sending())
        if self._pieces is not None:
            if next(self._pieces, self) is not self:
                return True
            self._pieces = None
        return None if waits else False

    def _end(self):
        """Silence has ended a frame."""
        state = self._state
        counts = self.counts
        data = self._buffer
        length = state[_LENGTH]
        is_whole = length >= _LEAST_FRAME and not state[_CRC]
        counts[_OTHERS] += state[_ENDED]
        state[_LENGTH] = state[_ENDED] = 0
        function = data[_CHUNK + 1]
        if not is_whole:
            counts[_BAD] += 1
        elif data[_CHUNK] != self._address:
            # A broadcast too: of what can only be read there is none.
            counts[_OTHERS] += 1
        elif function & 0x80 or (length != _REQUEST and function in (self._areas or ())):
            # With our address only an answer is like that, which has come back where the line has
            # no direction: it is no request, and nobody may answer it.
            counts[_BAD] += 1
        else:
            request = data[_CHUNK + 1 : _CHUNK + _REQUEST - 2]
            said = modbus_registers.answer(request, self._areas, _BUSY)
            counts[_ANSWERED + (said[0] >> 7)] += 1
            frame = bytes((self._address,)) + said
            crc = _check(frame, len(frame), self._table)
            self._line.write(frame + bytes((crc & 0xFF, crc >> 8)))

    def _made(self, report):
        """Yields when a part of the work on a report is done, until all of it is."""
        values = self._values
        for k in (1, 2):
            reading = report.reading(k - 1)
            yield
            values[16 * k] = _cut(reading.volts_uv, 1000)
            values[16 * k + 1] = _cut(reading.amps_ua, 1000)
            self._put(16 * k, reading, report, 2 * k, k - 1)
            yield
        self._put(0, report.total(), report, 0, 2)
        yield
        service = report.diagnosis().service
        yield
        demand = report.demand
        values[_ONCE + 2] = report.hertz_mhz() * 1000
        values[_ONCE + 3] = _cut(demand.mean_uw or 0, 1000)
        values[_ONCE + 4] = _cut(demand.peak_uw or 0, 1000)
        values[_ONCE + 5] = modbus_registers.events(report.active, report.reversed, service)
        modbus_registers.reckon(values, service)
        yield
        for made, rows in self._maps:
            at = modbus_registers.fill(made, rows, values, 0)
            while at:
                yield
                at = modbus_registers.fill(made, rows, values, at)
        for served, (made, _) in zip(self._served, self._maps):
            served[:] = made
        if not self._areas:
            self._areas = modbus_registers.areas(*self._served)

    def _put(self, at, reading, report, register, which):
        """Values from `at` on: powers, energies from a register on, and varh."""
        values = self._values
        values[at + 2] = _cut(reading.watts_uw, 1000)
        values[at + 3] = _cut(reading.vars_uw, 1000)
        values[at + 4] = _cut(reading.va_uva, 1000)
        values[at + 5] = _cut(reading.power_factor_ppm, 100)
        self._energies(at + 6, report.wh(register), report.wh(register + 1), *report.varh(which))

    def _energies(self, at, *pairs):
        for whole, part in pairs:
            self._values[at] = whole * _BILLION + part
            at += 1

    def break_off(self):
        """After a crash: what was begun is forgotten."""
        self._pieces = None
        self._state[_LENGTH] = self._state[_ENDED] = 0
