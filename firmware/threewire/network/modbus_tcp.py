"""Modbus TCP: the slave's line behind a socket, for two clients at most.

Flow: clients <-> MODBUS TCP <-> operation.modbus_slave.  Frames are those of the Modbus Messaging
on TCP/IP Implementation Guide V1.0b.

Nothing here waits: a step looks at each client once.  A client that sends what is no request is
dropped, and so is one that does not end what it has begun, does not take an answer, or asks
nothing for long: it may be gone without a word.
"""

from micropython import const

_CLIENTS = const(2)
# Transaction, protocol (0), how many bytes follow, unit: which counts among those that follow.
_HEAD = const(7)
_BEFORE = const(6)
_LEAST = const(2)
_MOST = const(254)
_SLOW_MS = const(5000)
# A client that has been silent for so long makes room for another; later it is gone anyway.
_IDLE_MS = const(10000)
_SILENT_MS = const(120000)
# Between two tries to listen.
_AGAIN_MS = const(5000)
# Of the counts.
_ANSWERED = const(0)
_BAD = const(2)
_DROPPED = const(3)


class ModbusTcp:
    """socket  MicroPython's module
    port    to listen at
    answer  as ModbusSlave's; to any unit: there is this one
    is_up   whether there is a network
    clock   ticks_ms, ticks_diff

    is_called, step, break_off, sign   as ModbusSlave has them of its lines
    counts  requests answered and refused; clients dropped for what they sent, and for what they
            did not
    """

    is_called = False

    def __init__(self, socket, port, answer, is_up, clock):
        self._socket = socket
        self._number = port
        self._answer = answer
        self._is_up = is_up
        self._clock = clock
        self._port = None  # that listens
        self._since = None  # the last try to
        self._clients = []
        self.counts = [0] * 4

    def sign(self):
        return (
            ',"modbus_tcp":{"clients":%d,"answered":%d,"refused":%d,"bad":%d,"dropped":%d}'
            % tuple([len(self._clients)] + self.counts)
        )

    def break_off(self):
        """All connections end; there may be others at once."""
        # First what listens: who sees its connection end is not to come to that.
        if self._port:
            self._port.close()
        self._port = self._since = None
        for client in self._clients:
            client.port.close()
        self._clients = []

    def step(self):
        if not self._is_up():
            if self._port:
                self.break_off()
            return False
        now = self._clock.ticks_ms()
        waits = False
        for client in list(self._clients):
            try:
                waits = self._serve(client, now) or waits
            except OSError:
                # The other end has ended it, or it has been dropped.
                client.port.close()
                self._clients.remove(client)
        # Behind that: who has gone has made room.
        if self._port:
            self._accept(now)
        elif self._since is None or self._clock.ticks_diff(now, self._since) >= _AGAIN_MS:
            self._since = now
            self._listen()
        return waits

    def _listen(self):
        socket = self._socket
        port = None
        try:
            where = socket.getaddrinfo("0.0.0.0", self._number)[0][-1]
            port = socket.socket()
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port.bind(where)
            port.listen(_CLIENTS)
            port.setblocking(False)
            self._port = port
        except OSError:
            # There may be none left, or none yet.
            if port:
                port.close()

    def _accept(self, now):
        try:
            made = self._port.accept()[0]
        except OSError:
            return  # nobody is there
        made.setblocking(False)
        clients = self._clients
        if len(clients) == _CLIENTS:
            idle = [self._clock.ticks_diff(now, of.since) for of in clients]
            longest = max(idle)
            if longest < _IDLE_MS:
                made.close()
                return
            clients.pop(idle.index(longest)).port.close()
            self.counts[_DROPPED] += 1
        clients.append(_Client(made, now))

    def _serve(self, client, now):
        """Takes what has come, and answers a request that is whole.  Returns whether there may be
        more to do soon; raises OSError where the connection is to end."""
        port = client.port
        if client.out:
            client.out = client.out[port.write(client.out) or 0 :]
            if client.out:
                self._check(client, now, _SLOW_MS)
            return True
        while True:
            data = client.data
            size = _HEAD
            if len(data) >= _HEAD:
                size = data[4] << 8 | data[5]
                if data[2] or data[3] or not _LEAST <= size <= _MOST:
                    self._drop(_BAD)
                size += _BEFORE
                if len(data) == size:
                    break
            came = port.read(size - len(data))
            if came is None:
                self._check(client, now, _SLOW_MS if data else _SILENT_MS)
                return bool(data)
            if not came:
                raise OSError
            if not data:
                # A request's time is counted from its beginning, however it drips.
                client.since = now
            client.data = data + came
        said = self._answer(data[_HEAD:])
        self.counts[_ANSWERED + (said[0] >> 7)] += 1
        client.since = now
        client.data = b""
        out = data[:4] + bytes((0, len(said) + 1, data[_BEFORE])) + said
        client.out = out[port.write(out) or 0 :]
        return True

    def _check(self, client, now, most):
        if self._clock.ticks_diff(now, client.since) > most:
            self._drop(_DROPPED)

    def _drop(self, why):
        self.counts[why] += 1
        raise OSError


class _Client:
    """A connection.

    data   that has come of a request; out: what is still to go of an answer
    since  when that request began, or that answer, or the connection
    """

    def __init__(self, port, now):
        self.port = port
        self.since = now
        self.data = self.out = b""
