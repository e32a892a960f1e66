"""The time, by SNTP over UDP (RFC 4330, RFC 5905), asked for without waiting.

Flow: a server's answer -> NTP (an outlet that takes no report) -> operation.utc.
"""

import struct

from micropython import const

from threewire.operation.utc import Utc

_PORT = const(123)
_SIZE = const(48)
_CLIENT = b"\x23" + bytes(39)  # version 4, mode 3; the transmit timestamp comes behind it
_MODE, _SERVER = const(7), const(4)
_UNSYNCHRONISED = const(3)  # leap indicator
_MOST_STRATUM = const(15)
# Of an answer: further than that it says little about when it was sent.
_ANSWER_MS = const(1500)
_FIRST_MS = const(4000)
_MOST_MS = const(1024000)
# Between two that were answered, and behind a server's word to leave it alone (RFC 5905, 7.4).
_GOOD_MS = const(1024000)
_LEAVE_MS = const(14400000)
# From 1900 to 1970.  Seconds below the half are of the era that begins in 2036 (RFC 4330, 3).
_EPOCH = 2208988800
_ERA = 1 << 32


class Ntp:
    """station  Station
    host     a name or an address
    utc      set(unix_us, ticks_us), ticks_us(): metered microseconds now
    socket, clock, random   as Names has them
    """

    # Of an outlet: it takes no report.
    is_free = False

    def __init__(self, station, host, utc, socket, clock, random):
        self._station = station
        self._host = host
        self._utc = utc
        self._socket = socket
        self._clock = clock
        self._random = random
        self._line = None
        self._stamp = b""
        self._sent_us = 0
        self._since = clock.ticks_ms()
        self._pause = 0
        self._next_pause = _FIRST_MS
        self._round_trip_us = None
        self._why = "not asked yet"

    def told(self):
        """What the console tells: the last answer's round trip, and why there is none, if so."""
        trip = self._round_trip_us
        return {"ntp_ms": trip and trip // 1000, "ntp": self._why or "answers"}

    def step(self):
        """Returns None, to be asked again soon, while an answer is on its way."""
        now = self._clock.ticks_ms()
        passed = self._clock.ticks_diff(now, self._since)
        if self._line:
            self._hear(now, passed)
        elif passed >= self._pause:
            where = self._station.address(self._host, _PORT)
            if where:
                self._ask(where, now)
            else:
                # It stays due: in six days ticks go round.
                self._since, self._pause = now, 0
        return None if self._line else False

    def break_off(self):
        self._end(self._clock.ticks_ms(), "it crashed")

    def _ask(self, where, now):
        self._since = now
        self._why = "no answer"
        # No clock of this board's is in it: it is only to come back (RFC 4330 takes any).
        self._stamp = self._random(8)
        try:
            where = self._socket.getaddrinfo(*where)[0][-1]  # at once, of an address
            self._line = line = self._socket.socket(self._socket.AF_INET, self._socket.SOCK_DGRAM)
            line.setblocking(False)
            line.connect(where)
            self._sent_us = self._clock.ticks_us()
            line.send(_CLIENT + self._stamp)
        except OSError:
            self._end(now, "not sent")

    def _hear(self, now, passed):
        try:
            data = self._line.recv(_SIZE)
        except OSError:
            data = b""
        took_us = self._clock.ticks_diff(self._clock.ticks_us(), self._sent_us)
        if not data:
            if passed >= _ANSWER_MS or not self._station.is_up():
                self._end(now, self._why)
            return
        found, why = time_in(data, self._stamp)
        if why == "leave":
            self._end(now, "the server wants to be left alone")
            self._pause = _LEAVE_MS
        elif why:
            # Anybody may send a datagram: the real answer may still come.
            self._why = why
        else:
            sent_us, held_us = found
            trip = self._round_trip_us = max(0, took_us - held_us)
            # Metered time stands still between two pumps; this is asked right behind one.
            self._utc.set(sent_us + trip // 2, self._utc.ticks_us())
            self._end(now, None)

    def _end(self, now, why):
        if self._line:
            self._line.close()
            self._line = None
        self._why = why
        self._since = now
        if why:
            self._pause = self._next_pause
            self._next_pause = min(2 * self._pause, _MOST_MS)
        else:
            self._pause, self._next_pause = _GOOD_MS, _FIRST_MS


def time_in(data, stamp):
    """((Unix microseconds at which the server sent this answer, microseconds for which it had
    held the question), None); or (None, why not).  "leave": it asks to be left alone."""
    if len(data) < _SIZE or data[0] & _MODE != _SERVER or data[24:32] != stamp:
        return None, "no answer to what was asked"
    if not data[1]:
        return None, "leave"
    if data[1] > _MOST_STRATUM or data[0] >> 6 == _UNSYNCHRONISED:
        return None, "the server has no time itself"
    received = _unix_us(data, 32)
    sent = _unix_us(data, 40)
    # A server that has lost its own time tells of 1970.
    if sent < Utc.EARLIEST_S * 1000000 or sent < received:
        return None, "the server's times make no sense"
    return (sent, sent - received), None


def _unix_us(data, at):
    seconds, part = struct.unpack_from(">II", data, at)
    if not seconds:
        return 0
    if seconds < _ERA >> 1:
        seconds += _ERA
    return (seconds - _EPOCH) * 1000000 + (part * 1000000 >> 32)
