"""The whole firmware/main.py on the host's MicroPython in real time, with all that it does on a
network, by its own sockets: what network_board.py runs.

Flow: the soak's stand-ins, whose clock is real -> main.py, outlets.network -> lines on stdout, and
the network.  Of the config, beside the soak's:

    settings   of network.json
    wlan       join_ms: that a join takes; there_ms: until_ms the network comes with each second
               join that is begun, from the first on, and goes so long after; later it is there
               for good
    ports      port of the DNS server that is asked (53) -> the one on this machine
    way        the address beyond this machine to which there is a way
    looks      path of lines with what an RS-485 line hears at a look, in hexadecimal digits, and
               behind a comma at the next one; or null: there is no such line
    idle_pace  so many times as fast as real time that passes for which the firmware sleeps

On stderr there is, each 0.2 s, {"network": what the console tells, "longest_us": of each outlet's
steps, by its class, "heard": of the looks}.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportArgumentType=false
import json
import socket
import sys
import time

root = sys.argv[1]
sys.path[:0] = [
    root + "/firmware",
    root + "/boards",
    root + "/tools/soak",
    root + "/host_tests/rigs",
]

import program  # noqa: E402
from real_clock import RealClock  # noqa: E402

_SAY_MS = 200
_BETWEEN_US = 300
_ENETUNREACH = 101
_MODBUS = {"uart": 1, "tx": 8, "rx": 9, "direction": None, "address": 1}


class Wlan:
    """A station, and the network that it is to join."""

    IF_STA = 0

    def __init__(self, clock, join_ms, there_ms, until_ms):
        self._clock = clock
        self._times = join_ms, there_ms, until_ms
        self._since = None  # milliseconds at which it was told to join
        self._come = 0  # and at which the network came last
        self._begun = 0  # joins

    def __call__(self, kind):
        return self

    def active(self, on):
        pass

    def _look(self):
        """(now, since when the network has been there; None: it is not)."""
        _, there, until = self._times
        now = self._clock.now // 1000
        if now >= until:
            return now, until
        return now, self._come if now - self._come < there else None

    def connect(self, ssid, key):
        self._since = self._clock.now // 1000
        self._begun += 1
        if self._begun % 2:
            self._come = self._since

    def disconnect(self):
        self._since = None

    def isconnected(self):
        now, come = self._look()
        since = self._since
        # As on a Pico W: a network that has gone is not joined again by itself.
        if since is None or come is None or since < come:
            return False
        return now - since >= self._times[0]

    def status(self, what=None):
        if what:
            return -61
        if self.isconnected():
            return 3
        _, come = self._look()
        since = self._since
        if since is None:
            return 0
        return -2 if come is None or since < come else 1

    def ifconfig(self):
        return "127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1"


class Line:
    """Rs485, on which the looks are heard, and each is answered before the next."""

    period_us = 2000

    def __init__(self, clock, looks):
        self._clock = clock
        self._file = open(looks)  # noqa: SIM115
        self._waiting = b""
        self._second = None
        self._since = 0  # the last that has come
        self._is_over = True  # the slave has seen the silence behind a look
        # The slave's time: the last that it asked for, and the one behind its last reading.
        self._asked = self._read = 0
        self._reads = False  # that one is still to come
        self.heard = 0
        self.ticks_diff = clock.ticks_diff

    def begin(self, baudrate):
        pass

    def ticks_us(self):
        self._asked = asked = self._clock.ticks_us()
        if self._reads:
            self._read = asked
            self._reads = False
        return asked

    def any(self):
        if self._waiting:
            return len(self._waiting)
        now = self._clock.now
        passed = now - self._since
        if self._second is not None:
            if passed > _BETWEEN_US:
                self._waiting, self._second = self._second, None
                self._since = now
        elif not self._is_over:
            # The step that asks this sees it too.
            waited = self.ticks_diff(self._asked, self._read)
            self._is_over = not self._reads and waited >= self.period_us
        elif passed > 2 * self.period_us:
            text = self._file.readline()
            if text:
                self.heard += 1
                self._waiting, self._second = [_bytes(part) for part in text.split(",")]
                self._since = now
                self._is_over = False
        return len(self._waiting)

    def readinto(self, buffer, size):
        buffer[:size] = self._waiting[:size]
        self._waiting = self._waiting[size:]
        self._reads = True

    def write(self, data):
        sys.stderr.write(json.dumps({"answer": [self.heard - 1, data.hex()]}) + "\n")

    def busy(self):
        return False


def _bytes(text):
    text = text.strip()
    return bytes([int(text[k : k + 2], 16) for k in range(0, len(text), 2)])


def sockets(ports, way):
    """The module socket, of which the ports asked for are others', and which has no way but to
    this machine: what a rubbish answer names is not to be connected to."""

    def getaddrinfo(host, port):
        if not host.startswith("127.") and host not in ("0.0.0.0", way):
            raise OSError(_ENETUNREACH)
        return socket.getaddrinfo(host, ports.get(str(port), port))

    names = ("AF_INET", "SOCK_DGRAM", "SOL_SOCKET", "SO_REUSEADDR", "socket")
    found = {name: getattr(socket, name) for name in names}
    return program.Modules(getaddrinfo=getaddrinfo, **found)


class Watch:
    """Times outlets' steps, and says now and then what there is to know of the network."""

    def __init__(self, told, line):
        self._told = told
        self._line = line
        self._longest = {}
        self._since = time.ticks_ms()

    def time(self, outlet):
        step = outlet.step
        name = type(outlet).__name__
        longest = self._longest
        longest[name] = 0

        def timed():
            begun = time.ticks_us()
            more = step()
            took = time.ticks_diff(time.ticks_us(), begun)
            if took > longest[name]:
                longest[name] = took
            self._say()
            return more

        outlet.step = timed

    def _say(self):
        if time.ticks_diff(time.ticks_ms(), self._since) > _SAY_MS:
            self._since = time.ticks_ms()
            said = {"network": self._told(), "longest_us": self._longest}
            if self._line:
                said["heard"] = self._line.heard
            sys.stderr.write(json.dumps(said) + "\n")


def main():
    config = json.loads(sys.stdin.readline())
    clock = RealClock(config["idle_pace"])
    world = program.World(config, clock)
    world.sampler = program.sampler_for(world, program.Loads(config, len(world.board.SLOTS)))
    program.VfsLfs2.mkfs(world.medium, progsize=config["prog_size"])
    install = program.install
    line = None
    world.board.WIFI = True
    if config["looks"]:
        line = Line(clock, config["looks"])
        world.board.MODBUS = dict(_MODBUS, baudrate=19200, parity=0)

    def with_network(world, cause):
        install(world, cause)
        modules = sys.modules
        modules["socket"] = sockets(config["ports"], config["way"])
        modules["network"] = program.Modules(
            WLAN=Wlan(clock, **config["wlan"]), hostname=lambda name: None
        )
        if line:
            modules["threewire.chip.rs485"] = program.Modules(Rs485=lambda given, timer: line)
        with open("network.json", "w") as file:
            json.dump(config["settings"], file)
        import threewire.assembly as assembly

        on_board = assembly.on_board

        def watched(board):
            firmware = on_board(board)
            (told,) = [row[3] for row in firmware.operator.more if row[0] == "network"]
            watch = Watch(told, line)
            for outlet in firmware.outlets:
                watch.time(outlet)
            return firmware

        assembly.on_board = watched

    program.install = with_network
    world.boot("power")


main()
