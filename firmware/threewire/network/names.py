"""Addresses of hosts' names: a question in one datagram over UDP at a time (RFC 1035), and none
that waits for its answer, as getaddrinfo does for seconds.

Flow: MQTT, NTP ask for a name -> NAMES -> the network's DNS server; names in .local are asked of
all hosts on it, as a simple resolver of multicast DNS does (RFC 6762, 5.1).
"""

from micropython import const

from threewire.network.settings import is_address

_PORT = const(53)
_LOCAL_PORT = const(5353)
_LOCAL_GROUP = "224.0.0.251"
_ANSWER_MS = const(2000)
_AGAIN_MS = const(2000)
_MOST_MS = const(64000)
# What has been found holds for so long; and longer, where nothing else is found.
_GOOD_MS = const(600000)
_LONGEST = const(512)  # of a datagram of DNS (RFC 1035, 2.3.4)
_HEADER = const(12)
_QR, _RCODE = const(0x80), const(0x0F)
_POINTER = const(0xC0)
_A_IN = b"\0\1\0\1"

_IP, _DUE, _PAUSE = const(0), const(1), const(2)


class Names:
    """socket  the module
    clock   ticks_ms, ticks_add, ticks_diff: as module time
    random  random(n): so many bytes that nobody can guess
    """

    def __init__(self, socket, clock, random):
        self._socket = socket
        self._clock = clock
        self._random = random
        self._known = {}  # name -> _IP, _DUE, _PAUSE
        self._asked = None  # name that is asked for
        self._line = None  # socket of that
        self._since = 0
        self._id = self._question = b""

    def ip(self, host):
        """Its address, as text; None while it is not known.  From the first time on it is asked
        for."""
        if is_address(host.encode()):
            return host
        if host not in self._known:
            self._known[host] = [None, self._clock.ticks_ms(), _AGAIN_MS]
        return self._known[host][_IP]

    def step(self, server):
        """server: address of the network's DNS; None: there is no network.  Returns whether an
        answer is waited for."""
        now = self._clock.ticks_ms()
        if not server:
            self._end()
            for known in self._known.values():
                known[_DUE], known[_PAUSE] = now, _AGAIN_MS
        elif self._asked:
            self._hear(now)
        else:
            for host, known in self._known.items():
                if self._clock.ticks_diff(now, known[_DUE]) >= 0:
                    self._ask(host, server, now)
                    break
        return self._asked is not None

    def _ask(self, host, server, now):
        known = self._known[host]
        known[_DUE] = self._clock.ticks_add(now, known[_PAUSE])
        known[_PAUSE] = min(2 * known[_PAUSE], _MOST_MS)
        parts = host.encode().split(b".")
        name = b"".join([bytes([len(part)]) + part for part in parts])
        self._question = name + b"\0" + _A_IN
        head = self._random(2) + b"\1\0\0\1\0\0\0\0\0\0"  # recursion, please; one question
        self._asked = host
        self._since = now
        is_local = host.endswith(".local")
        where = (_LOCAL_GROUP, _LOCAL_PORT) if is_local else (server, _PORT)
        self._id = head[:2]
        try:
            where = self._socket.getaddrinfo(*where)[0][-1]  # at once, of an address
            self._line = line = self._socket.socket(self._socket.AF_INET, self._socket.SOCK_DGRAM)
            line.setblocking(False)
            if is_local:
                # Who knows answers from an address of its own.
                line.sendto(head + self._question, where)
            else:
                line.connect(where)
                line.send(head + self._question)
        except OSError:
            self._end()

    def _hear(self, now):
        try:
            data = self._line.recv(_LONGEST)
        except OSError:
            data = b""
        ip = address_in(data, self._id, self._question)
        if ip:
            known = self._known[self._asked]
            known[_IP] = ip
            known[_DUE], known[_PAUSE] = self._clock.ticks_add(now, _GOOD_MS), _AGAIN_MS
            self._end()
        elif self._clock.ticks_diff(now, self._since) >= _ANSWER_MS:
            self._end()

    def _end(self):
        self._asked = None
        if self._line:
            self._line.close()
            self._line = None


def address_in(data, id, question):
    """The address, as text, in an answer to this question (name, type and class); None in any
    other bytes."""
    start = _HEADER + len(question)
    if (
        len(data) < start
        or data[:2] != id
        or not data[2] & _QR
        or data[3] & _RCODE
        or data[4:6] != b"\0\1"
        or data[_HEADER:start].lower() != question.lower()
    ):
        return None
    for _ in range(data[6] << 8 | data[7]):
        while start < len(data) and 0 < data[start] < _POINTER:
            start += 1 + data[start]
        if start >= len(data):
            return None
        start += 2 if data[start] else 1
        if start + 10 > len(data):
            return None
        size = data[start + 8] << 8 | data[start + 9]
        # In multicast DNS the class's first bit says that there is no other record.
        is_address = data[start : start + 2] == _A_IN[:2] and data[start + 3] == 1
        start += 10 + size
        if is_address and size == 4 and start <= len(data):
            return ".".join([str(byte) for byte in data[start - 4 : start]])
    return None
