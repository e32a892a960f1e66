"""Modbus RTU: the slave's line with frames that silence ends.

Flow: rs485.py <-> MODBUS RTU <-> modbus_slave.py.  Frames, times and the CRC are those of the
Modbus Serial Line Protocol and Implementation Guide V1.02.

Nothing here waits: a step looks for what has come, or answers.  Where a frame ends is sign by
silence.  Several that have come between two looks, of other devices on the line, are sign apart by
their CRC: behind a frame's last byte the CRC over all of it is 0.
"""

from array import array

import micropython
from micropython import const

# Of a frame so many bytes are kept: one that is answered has no more.
_KEPT = const(8)
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


class ModbusRtu:
    """port     as Rs485
    answer   as ModbusSlave's
    address  on the line

    is_called, step, break_off, sign   as ModbusSlave has them of its lines
    """

    def __init__(self, port, answer, address):
        self._port = port
        self._answer = answer
        self._address = address
        self._state = array("i", bytes(4 * _WORDS))
        self._buffer = bytearray(_CHUNK + _KEPT)
        self._last = 0
        self.counts = [0] * 4

    @property
    def is_called(self):
        return self._state[_LENGTH] or self._port.any()

    def sign(self):
        return ',"modbus":{"answered":%d,"refused":%d,"others":%d,"bad":%d}' % tuple(self.counts)

    def break_off(self):
        self._state[_LENGTH] = self._state[_ENDED] = 0

    def step(self):
        port = self._port
        state = self._state
        if port.busy():
            return False
        size = port.any()
        if size:
            while size:
                size = min(size, _CHUNK)
                port.readinto(self._buffer, size)
                _take(self._buffer, size, state)
                size = port.any()
            self._last = port.ticks_us()
        elif state[_LENGTH] and port.ticks_diff(port.ticks_us(), self._last) >= port.period_us:
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
        elif function & _REFUSED_BIT or (length != _READ and function in (3, 4)):
            # With our address only an answer is like that, which has come back where the line has
            # no direction: it is no request, and nobody may answer it.
            counts[_BAD] += 1
        else:
            said = self._answer(data[_CHUNK + 1 : _CHUNK + _KEPT - 2])
            counts[_ANSWERED + (said[0] >> 7)] += 1
            frame = bytes((self._address,)) + said
            crc = check(frame, len(frame))
            self._port.write(frame + bytes((crc & 0xFF, crc >> 8)))
