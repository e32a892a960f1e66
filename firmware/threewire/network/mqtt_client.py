"""An MQTT client that never waits: version 3.1.1, QoS 0, as a state machine on a non-blocking
socket.

Flow: mqtt_outlet.py -> MQTT CLIENT -> broker.  A message is the pieces that a function yields,
twice: they are counted first, for a packet tells its length before all else, and sent then, so
that no message is ever in memory as a whole.  Sections are those of MQTT Version 3.1.1 (OASIS).
"""

import errno

from micropython import const

# The first byte of a packet (2.2.1), of those that are sent and of those that are taken.
_CONNECT = const(0x10)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_RETAINED = const(0x31)
_PINGRESP = const(0xD0)
_PINGREQ = b"\xc0\0"
# Of CONNECT (3.1.2): clean session, will at QoS 1, retained; and besides a user, a password.
_FLAGS = const(0x2E)
_USER = const(0x80)
_PASSWORD = const(0x40)
_LONGEST_SHIFT = const(21)  # of a length's four digits to base 128 (2.2.3)
# Of CONNACK (3.2.2.3), from 1 on.
REFUSED = (
    "refused: version of MQTT",
    "refused: name of the client",
    "refused: the broker is not available",
    "refused: user or password is wrong",
    "refused: not allowed",
)

# A half-open connection is found by a ping that nobody answers.
_KEEPALIVE_S = const(15)
_PING_MS = const(15000)
_ANSWER_MS = const(10000)
# From one attempt to the next: doubled each time, and as at first where a ping has been answered.
_FIRST_MS = const(1000)
_MOST_MS = const(64000)

_OUT = const(512)  # bytes on their way to the socket
_IN = const(64)  # taken from it at a time
_AWAY, _CONNECTING, _GREETING, _UP = const(0), const(1), const(2), const(3)


class MqttClient:
    """socket, select   the modules
    clock            ticks_ms, ticks_add, ticks_diff: as module time
    address          () -> (numeric address, port), or None while there is none
    client, will     names of the client, and topic and text that the broker tells, retained, when
                     the client is gone: str, str, bytes
    user, password   str; "" for neither

    why       text: how it stands, or why the last connection has ended
    sessions  how often a broker has accepted it
    dropped   messages that have gone with a connection
    """

    def __init__(self, socket, select, clock, address, client, will, user="", password=""):
        self._socket = socket
        self._clock = clock
        self._address = address
        flags = _FLAGS | (_USER if user else 0) | (_PASSWORD if user and password else 0)
        topic, text = will
        self._hello = [b"\0\4MQTT\4" + bytes([flags, 0, _KEEPALIVE_S])]
        for field in (client, topic, text, user, password)[: 3 + (flags >> 7) + (flags >> 6 & 1)]:
            field = field if isinstance(field, bytes) else field.encode()
            self._hello.append(len(field).to_bytes(2, "big") + field)
        self._poll = select.poll()
        self._writable = select.POLLOUT
        self._line = None
        self._state = _AWAY
        self._out = memoryview(bytearray(_OUT))
        self._in = bytearray(_IN)
        self._first = self._last = 0  # what of _out is still to be sent
        self._pause = _FIRST_MS
        # When that is over, the next ping is due, or an answer is too late; None: that has been.
        self._due = clock.ticks_ms()
        self._awaits = False  # an answer is waited for
        self._pings = False  # a ping is to be sent
        self._looks = False  # whether anything has come is to be looked for
        self.why = "not tried yet"
        self.sessions = self.dropped = 0
        self._clear()

    def _clear(self):
        self._first = self._last = 0
        self._make = None  # of the message under way: makes its pieces,
        self._pieces = None  # which are these,
        self._rest = None  # and what of one is left;
        self._head = b""  # its topic, with that one's length
        self._type = 0
        self._size = 0  # bytes counted, or still to come, with the head's
        self._counts = False
        self._left = self._value = 0  # of a packet that comes in
        self._shift = -1  # of its length's next digit; less: its first byte is to come
        self._kind = 0

    @property
    def is_idle(self):
        """Whether it is connected and takes a message."""
        return self._state == _UP and not self._make

    @property
    def is_up(self):
        return self._state == _UP

    def publish(self, topic, make):
        """Begins a message, retained; make() yields its pieces, bytes, the same each time.  Only
        where it `is_idle`."""
        topic = topic.encode()
        self._begin(_RETAINED, len(topic).to_bytes(2, "big") + topic, make)
        self._looks = True

    def _begin(self, first, head, make):
        self._type = first
        self._head = head
        self._size = len(head)
        self._make = make
        self._pieces = iter(make())
        self._counts = True

    def step(self):
        """A little of what there is to do: one piece is made, or one call of the socket.  Returns
        whether there is more at once; None: it waits."""
        try:
            return self._step()
        except OSError as problem:
            why = "error %s" % problem.errno
            # lwIP tells of a refusal as of a reset, and only who sends is told.
            if self._state < _UP and problem.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
                why = "refused: nobody takes MQTT at that port"
            self._end(why)
        return False

    def close(self):
        """Ends the connection, which is tried anew later."""
        self._end("closed")

    # ----

    def _step(self):
        state = self._state
        if self._due is not None:
            now = self._clock.ticks_ms()
            if self._clock.ticks_diff(now, self._due) >= 0:
                # Later it would look as if it were still to come.
                self._due = None
                if self._awaits:
                    self._end("the broker does not answer")
                    return False
                if state == _UP:
                    self._pings = True
                    self._await(_ANSWER_MS)
        if state == _AWAY:
            if self._due is None:
                self._connect()
            return False
        if state == _CONNECTING:
            for _ in self._poll.ipoll(0):
                # It is there, or has failed: sending tells.
                self._state = _GREETING
                self._begin(_CONNECT, b"", self._greeting)
                return True
            return None
        if self._last == _OUT or self._last and not self._make:
            return self._send()
        if self._make:
            return self._compose()
        if self._pings:
            self._pings = False
            self._put(_PINGREQ)
            return True
        if self._looks or self._awaits:
            return self._receive()
        return False

    def _greeting(self):
        return self._hello

    def _await(self, ms):
        self._awaits = True
        self._due = self._clock.ticks_add(self._clock.ticks_ms(), ms)

    def _connect(self):
        where = self._address()
        if not where:
            self.why = "no network, or no address of the broker yet"
            return
        where = self._socket.getaddrinfo(*where)[0][-1]  # at once, of an address
        self._clear()
        self._await(_ANSWER_MS)
        self._line = self._socket.socket()
        self._line.setblocking(False)
        self._state = _CONNECTING
        self.why = "connecting"
        self._poll.register(self._line, self._writable)
        try:
            self._line.connect(where)
        except OSError as problem:
            if problem.errno != errno.EINPROGRESS:
                raise

    def _end(self, why):
        if self._make and self._state == _UP:
            self.dropped += 1
        line = self._line
        self._line = None
        self._state = _AWAY
        self._awaits = self._pings = self._looks = False
        self._clear()
        self.why = why
        self._due = self._clock.ticks_add(self._clock.ticks_ms(), self._pause)
        self._pause = min(2 * self._pause, _MOST_MS)
        if line:
            try:
                self._poll.unregister(line)
            except (KeyError, OSError):
                pass  # it had not come so far
            line.close()

    # ---- what goes out

    def _put(self, data):
        """Takes what there is room for; the rest is kept."""
        room = _OUT - self._last
        if len(data) > room:
            # The piece that it is of is made anew where another's is.
            self._rest = bytes(data[room:])
            data = data[:room]
        self._out[self._last : self._last + len(data)] = data
        self._last += len(data)

    def _send(self):
        try:
            self._first += self._line.send(self._out[self._first : self._last])
        except OSError as problem:
            if problem.errno != errno.EAGAIN:
                raise
            return None
        if self._first == self._last:
            self._first = self._last = 0
        return True

    def _compose(self):
        """Counts a piece, or puts it behind what is to be sent."""
        rest = self._rest
        if rest:
            self._rest = None
            self._put(rest)
            return True
        piece = next(self._pieces, None)
        if self._counts:
            if piece is not None:
                self._size += len(piece)
                return True
            self._counts = False
            self._pieces = iter(self._make())
            self._put(_header(self._type, self._size) + self._head)
            self._size -= len(self._head)
            return True
        if piece is not None:
            self._size -= len(piece)
            self._put(piece)
            return True
        if self._size:
            # The broker would take the next message for this one's end.
            self._end("a message was not as long as it was told to be")
            return False
        self._make = self._pieces = None
        return True

    # ---- what comes in

    def _receive(self):
        count = self._line.readinto(self._in)
        self._looks = False
        if count == 0:
            self._end("the broker has closed the connection")
            return False
        if count is None:
            return None if self._awaits else False
        why = self._take(count)
        if why:
            self._end(why)
            return False
        # Who sends much does not hurry us.
        self._looks = count == _IN
        return None

    def _take(self, count):
        """Goes through so many bytes of _in.  Returns why the connection is to end, or None."""
        at = 0
        while at < count:
            if self._left and self._kind != _CONNACK:
                # Of any length, and dropped.
                skipped = min(self._left, count - at)
                self._left -= skipped
                at += skipped
                continue
            byte = self._in[at]
            at += 1
            why = None
            if self._left:
                self._left -= 1
                self._value = self._value << 8 | byte
                if not self._left:
                    why = self._connack(self._value)
            elif self._shift < 0:
                self._kind = byte
                self._shift = self._value = 0
            elif byte & 0x80 and self._shift == _LONGEST_SHIFT:
                why = "the broker sent no MQTT"
            else:
                self._value |= (byte & 0x7F) << self._shift
                self._shift += 7
                if not byte & 0x80:
                    self._shift = -1
                    self._left = self._value
                    self._value = 0
                    why = self._packet()
            if why:
                return why
        return None

    def _packet(self):
        """A packet has begun.  Returns why it cannot be, or None."""
        kind = self._kind
        if kind == _CONNACK:
            if self._left == 2 and self._state == _GREETING:
                return None
        elif self._state == _UP:
            # Nothing is subscribed to; whoever publishes to it all the same is not listened to.
            if kind & 0xF0 == _PUBLISH and kind & 6 != 6:
                return None
            if kind == _PINGRESP and not self._left and self._awaits and not self._pings:
                self._pause = _FIRST_MS
                self._go_on()
                return None
        return "the broker sent what is not due"

    def _connack(self, said):
        if said:
            # Its first byte is 0: no session is kept.
            if said <= len(REFUSED):
                return REFUSED[said - 1]
            return "the broker sent no MQTT"
        self._state = _UP
        self.sessions += 1
        self.why = "up"
        self._go_on()
        return None

    def _go_on(self):
        """Nothing is waited for, until the next ping."""
        self._awaits = False
        self._due = self._clock.ticks_add(self._clock.ticks_ms(), _PING_MS)


def _header(first, size):
    """A packet's first bytes: what it is, and how long."""
    found = bytearray([first])
    while size > 0x7F:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    found.append(size)
    return bytes(found)
