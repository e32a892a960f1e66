"""The board in a Wi-Fi: joins, and joins again whenever it is lost, without ever waiting for it.

Flow: settings -> STATION (an outlet that takes no report) -> the port's WLAN; MQTT, NTP and Modbus
ask it whether there is a network.
"""

from micropython import const

# Between two looks at the WLAN.
_LOOK_MS = const(100)
# A join takes some seconds, with the address; what takes longer is begun anew.
_JOIN_MS = const(20000)
# Sooner where the WLAN says that it has failed, once what it says is of this join: on a Pico W
# less than 0 (CYW43_LINK_FAIL and so on), on an ESP32 200 and more (WIFI_REASON_...).
_SURE_MS = const(3000)
_FAILED = const(200)
_NO_FAILURE = const(1000)
# From a failure to the next try: doubled each time, and as at first where it was up for so long.
_FIRST_MS = const(1000)
_MOST_MS = const(60000)
_STEADY_MS = const(30000)

_PAUSE, _JOINING, _UP = const(0), const(1), const(2)
_STATES = ("waits", "joins", "up")
# What a join that has failed has to say, by what the WLAN says of it: CYW43_LINK_... of a Pico W
# (2: joined, without an address), and WIFI_REASON_... of an ESP32, whose 15 and 204 are a
# handshake that a wrong password does not get through.
_FAILURES = (
    (-3, "wrong password"),
    (202, "wrong password"),
    (204, "wrong password"),
    (15, "wrong password"),
    (-2, "no such network"),
    (201, "no such network"),
    (2, "no address from it"),
)


class Station:
    """wlan      of the port, a station that is active: connect(ssid, key), disconnect(),
              isconnected(), status(), status("rssi"), ifconfig() -> (address, mask, gateway,
              DNS server).
              None of these waits for the network: on the emulated Pico W connect takes 4 ms
    settings  as settings.py has them
    names     Names
    clock     as Names has it
    """

    # Of an outlet: it takes no report.
    is_free = False

    def __init__(self, wlan, settings, names, clock):
        self._wlan = wlan
        self._ssid = settings["ssid"]
        self._key = settings["key"]
        self.names = names
        self._clock = clock
        self._state = _PAUSE
        self._looked = self._since = clock.ticks_ms()
        self._pause = 0
        self._next_pause = _FIRST_MS
        self._server = None
        self._joins = 0
        self._failures = 0
        self._failure = None  # the last one

    def is_up(self):
        """Whether the board has a network and an address in it."""
        return self._state == _UP

    def address(self, host, port):
        """(address, port) of a host; None while there is no network or it is not known."""
        ip = self.names.ip(host)
        return (ip, port) if ip and self._state == _UP else None

    def told(self):
        """What the console tells."""
        told = {
            "state": _STATES[self._state],
            "ssid": self._ssid,
            "address": None,
            "rssi_dbm": None,
            "joins": self._joins,
            "failures": self._failures,
            "failure": self._failure,
        }
        if self._state == _UP:
            told["address"] = self._wlan.ifconfig()[0]
            try:
                told["rssi_dbm"] = self._wlan.status("rssi")
            except (OSError, ValueError):
                pass  # lost at this very moment
        return told

    def step(self):
        """Looks whether there is anything to do; False: it need not be hurried."""
        now = self._clock.ticks_ms()
        passed = self._clock.ticks_diff
        if passed(now, self._looked) >= _LOOK_MS:
            self._looked = now
            self._look(now, passed(now, self._since))
            if self.names.step(self._server):
                # A lease that is renewed may have named another.
                self._server = self._wlan.ifconfig()[3]
        return False

    def break_off(self):
        """What crashed goes on with the next step."""

    def _look(self, now, passed):
        state = self._state
        if state == _PAUSE:
            if passed >= self._pause:
                self._enter(_JOINING, now)
                try:
                    self._wlan.connect(self._ssid, self._key or None)
                except OSError:
                    self._give_up(now)
        elif self._wlan.isconnected():
            if state == _JOINING:
                self._joins += 1
                self._server = self._wlan.ifconfig()[3]
                self._enter(_UP, now)
            elif passed >= _STEADY_MS:
                self._next_pause = _FIRST_MS
        elif state == _UP or passed >= _JOIN_MS or passed >= _SURE_MS and self._has_failed():
            self._give_up(now)

    def _has_failed(self):
        status = self._wlan.status()
        return status < 0 or _FAILED <= status < _NO_FAILURE

    def _why(self):
        if self._state == _UP:
            return "lost"
        status = self._wlan.status()
        for known, why in _FAILURES:
            if status == known:
                return why
        return "status %d" % status

    def _give_up(self, now):
        self._server = None
        self._failures += 1
        self._failure = self._why()
        self._pause = self._next_pause
        self._next_pause = min(2 * self._pause, _MOST_MS)
        self._enter(_PAUSE, now)
        try:
            # An ESP32 goes on trying by itself, and takes no other connect meanwhile.
            self._wlan.disconnect()
        except OSError:
            pass  # there was nothing to leave

    def _enter(self, state, now):
        self._state = state
        self._since = now
