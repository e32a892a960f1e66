"""The whole firmware/main.py on the host's MicroPython in real time, with a network that is there,
a Modbus line and a console: what profile_board.py runs.

Flow: the soak's stand-ins, whose clock is real -> main.py -> lines on stdout, sockets, a terminal.
Of the config, beside the soak's: "more", settings of the board file; "terminal", the descriptor of
a pseudo terminal.  The flash is a file system already.  The seal is open, and what comes on stdin
behind the config is typed.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportArgumentType=false
import json
import select
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


def ready(file):
    """What tells whether there is something to be read."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return lambda: len(poll.poll(0))


class World(program.World):
    _typed = b""
    _is_typed = staticmethod(ready(sys.stdin))

    @property
    def typed(self):
        while self._is_typed():
            line = sys.stdin.readline()
            if not line:
                break
            self._typed += line.encode()
        return self._typed

    @typed.setter
    def typed(self, left):
        self._typed = left


class Wlan:
    """One that has joined as soon as it is told to."""

    IF_STA = 0

    def __init__(self, which):
        self._is_on = self._has_joined = False

    def active(self, on):
        self._is_on = on

    def connect(self, ssid, key):
        self._has_joined = self._is_on

    def disconnect(self):
        self._has_joined = False

    def isconnected(self):
        return self._has_joined

    def status(self, what=""):
        return 0

    def ifconfig(self):
        return "127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1"


def rs485_at(terminal):
    """Rs485, the class, at a terminal."""
    file = open(terminal, "r+b")  # noqa: SIM115

    class Rs485:
        period_us = 2000
        ticks_us = staticmethod(time.ticks_us)
        ticks_diff = staticmethod(time.ticks_diff)
        any = staticmethod(ready(file))

        def __init__(self, given, timer):
            pass

        def begin(self, baudrate):
            pass

        def readinto(self, buffer, size):
            buffer[0] = file.read(size)[0]

        def write(self, data):
            file.write(data)

        def busy(self):
            return False

    return Rs485


def main():
    config = json.loads(sys.stdin.readline())
    world = World(config, RealClock())
    world.sampler = program.sampler_for(world, program.Loads(config, len(world.board.SLOTS)))
    for name, value in config["more"].items():
        setattr(world.board, name, value)
    sys.modules["network"] = program.Modules(WLAN=Wlan, hostname=lambda name: None)
    rs485 = program.Modules(Rs485=rs485_at(config["terminal"]))
    install = program.install

    def with_more(world, cause):
        install(world, cause)
        sys.modules["threewire.chip.serial_port"].is_sealed = lambda board: False
        sys.modules["threewire.chip.rs485"] = rs485

    program.install = with_more
    world.boot("power")


main()
