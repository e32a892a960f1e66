"""Modbus RTU: the slave's line with frames that silence ends.

Flow: rs485.py <-> MODBUS RTU <-> modbus_slave.py.  Frames, times and the CRC are those of the
Modbus Serial Line Protocol and Implementation Guide V1.02.

Nothing here waits: a step looks for what has come, or answers.  Where a frame ends is told by
silence.  Several that have come between two looks, of other devices on the line, are told apart by
their CRC: behind a frame's last byte the CRC over all of it is 0.
"""

from array import array

import micropython
from micropython import const

from threewire.operation.modbus_registers import nearest

# Of a frame so many bytes are kept, one more than any has that is done as it asks; what reads has
# _READ, and so has the answer to what writes.
_KEPT = const(14)
_READ = const(8)
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
# Of the counts.
_ANSWERED = const(0)
_OTHERS = const(2)
_BAD = const(3)
_REFUSED_BIT = const(0x80)
_WRITE = const(16)
# One value of two registers, after function and place.
_SHORT = b"\0\2\4"
_WRITE_BYTES = const(10)
# Eastron's holding registers of address and speed, and the speeds by code from _FIRST_SPEED on: of
# Eastron's own the first three, and 5, which is 1200 baud.
_ADDRESS_AT = const(0x14)
_SPEED_AT = const(0x1C)
_MOST_ADDRESS = const(247)
_FIRST_SPEED = const(2)
_TABLE = (9600, 19200, 38400, 0, 57600, 115200)
_ILLEGAL_FUNCTION = const(1)
_ILLEGAL_ADDRESS = const(2)
_ILLEGAL_VALUE = const(3)
_FAILURE = const(4)
_BUSY = const(6)


@micropython.viper
def _take(data: ptr8, size: int, state: ptr32):
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
        if length < _KEPT:
            data[_CHUNK + length] = byte
        crc ^= byte
        n = 8
        while n:
            crc = crc >> 1 ^ (0xA001 & 0 - (crc & 1))
            n -= 1
        # Longer than any frame: only silence ends it.
        if length <= _MOST_FRAME:
            length += 1
        else:
            crc = 1
        k += 1
    state[_CRC] = crc
    state[_LENGTH] = length


@micropython.viper
def check(data: ptr8, size: int) -> int:
    """The CRC of so many bytes."""
    crc = _EMPTY_CRC
    k = 0
    while k < size:
        crc ^= data[k]
        n = 8
        while n:
            crc = crc >> 1 ^ (0xA001 & 0 - (crc & 1))
            n -= 1
        k += 1
    return crc


def is_allowed(address=0, speed=0):
    """Whether there is this address and this code of a speed; without one there is not."""
    if not (1 <= address <= _MOST_ADDRESS and speed >= _FIRST_SPEED):
        return False
    return bool((_TABLE[speed - _FIRST_SPEED :] or (0,))[0])


class ModbusRtu:
    """port      as Rs485
    sink      ModbusSlave
    given     address and baud rate of the board file
    store     Store of what has been set over the line, for as long as the board file says the same
    operator  Operator: `sealed`, `check` and `note`

    is_called, step, break_off, sign   as ModbusSlave has them of its lines
    """

    def __init__(self, port, sink, given, store, operator):
        self._port = port
        self._answer = sink.answer
        self._hand_on = sink.address
        self._store = store
        self._operator = operator
        self._own = [given[0], _TABLE.index(given[1]) + _FIRST_SPEED]
        self._settled = self._own
        values = store.load()[0] or ()
        # Of another firmware there may be more of them.
        if list(values[:2]) == self._own and is_allowed(*values[2:4]):
            self._settled = list(values[2:4])
        self._begin()
        self._state = array("i", bytes(4 * _WORDS))
        self._buffer = bytearray(_CHUNK + _KEPT)
        self._last = 0
        self.counts = [0] * 4

    @property
    def is_called(self):
        return self._state[_LENGTH] or self._port.any()

    def _begin(self):
        """With the address and the speed that have been set."""
        self._due = False
        self._address, speed = self._settled
        self._port.begin(_TABLE[speed - _FIRST_SPEED])
        self._hand_on(*self._settled)

    def sign(self):
        values = [self._address, _TABLE[self._settled[1] - _FIRST_SPEED]]
        return (
            ',"modbus":{"address":%d,"baudrate":%d,"answered":%d,"refused":%d,"others":%d,"bad":%d}'
            % tuple(values + self.counts)
        )

    def break_off(self):
        self._state[_LENGTH] = self._state[_ENDED] = 0

    def step(self):
        port = self._port
        state = self._state
        if port.busy():
            return False
        if self._due:
            # The answer to what has set them is out.
            self._begin()
        # Before the look: what comes behind it is no silence, however late that is seen.
        now = port.ticks_us()
        size = port.any()
        if size:
            while size:
                size = min(size, _CHUNK)
                port.readinto(self._buffer, size)
                _take(self._buffer, size, state)
                size = port.any()
            self._last = port.ticks_us()
        elif state[_LENGTH] and port.ticks_diff(now, self._last) >= port.period_us:
            self._end()
        return state[_LENGTH]

    def _end(self):
        """Silence has ended a frame."""
        state = self._state
        counts = self.counts
        data = self._buffer
        length = state[_LENGTH]
        is_whole = length >= _LEAST_FRAME and not state[_CRC]
        counts[_OTHERS] += state[_ENDED]
        self.break_off()
        function = data[_CHUNK + 1]
        if not is_whole:
            counts[_BAD] += 1
        elif data[_CHUNK] != self._address:
            # A broadcast too: of what can only be read there is none.
            counts[_OTHERS] += 1
        elif function & _REFUSED_BIT or (
            length == _READ if function == _WRITE else length != _READ and function in (3, 4)
        ):
            # With our address only an answer is like that, which has come back where the line has
            # no direction: it is no request, and nobody may answer it.
            counts[_BAD] += 1
        else:
            request = data[_CHUNK + 1 : _CHUNK + min(length, _KEPT) - 2]
            said = self._write(request) if function == _WRITE else self._answer(request)
            counts[_ANSWERED + (said[0] >> 7)] += 1
            frame = bytes((self._address,)) + said
            crc = check(frame, len(frame))
            self._port.write(frame + bytes((crc & 0xFF, crc >> 8)))

    def _write(self, data):
        """The answer to a request that sets address or speed, which it then has for ever."""
        values = list(self._settled)
        first = int.from_bytes(data[1:3], "big")
        error = _ILLEGAL_VALUE
        if self._operator.sealed:
            # "The server is in the wrong state to process a request of this type".
            error = _ILLEGAL_FUNCTION
        elif first not in (_ADDRESS_AT, _SPEED_AT):
            error = _ILLEGAL_ADDRESS
        elif len(data) == _WRITE_BYTES and data[3:6] == _SHORT:
            which = first == _SPEED_AT
            # Of a float32: a whole number below 256, or it is another's bits.
            bits = int.from_bytes(data[6:], "big")
            shift = 150 - (bits >> 23)
            value = (bits & 0x7FFFFF | 0x800000) >> shift if 16 <= shift < 24 else 0
            values[which] = value
            if nearest(value, 1) == bits and is_allowed(*values):
                error = self._keep(values)
        if error:
            return bytes((_WRITE | _REFUSED_BIT, error))
        self._due = True
        return bytes(data[:5])

    def _keep(self, values):
        """Stores them; returns why not, or 0."""
        if values == self._settled:
            return 0
        try:
            self._operator.check()
        except ValueError:
            return _BUSY
        if not self._store.save(self._own + values):
            return _FAILURE
        self._operator.note("modbus", self._settled, values)
        self._settled = values
        return 0
