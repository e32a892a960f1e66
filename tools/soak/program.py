"""The whole firmware/main.py on host MicroPython in simulated time: what run.py runs.

Flow: run.py's codes and events -> SOAK'S PROGRAM (main.py -> littlefs) -> its lines and reports
on stdout.  What only a chip has is stood in for: `machine`, the clock, the ring that DMA fills,
the serial port.  Started as `micropython program.py PROJECT_ROOT`; a JSON object on stdin:

    board        board file's name
    codes        path of the codes: one block for each load, uint16, interleaved
    loads, block_frames   how many blocks, and frames in each
    load_frames  so long each load lasts, in turn: whole blocks
    medium       path of the flash's content, `blocks` * 4096 bytes; is written to
    blocks, prog_size     of its file system
    events       path of lines "MICROSECONDS KIND VALUE", in order of time:
                 type HEX, stall MS, crash 0, hang 0, power 0, cut OPERATIONS (until power goes
                 while the flash is written), over 0
    ticks_us, ticks_ms    what the clocks show at the beginning
    mark_us      a report so often

Reports are lines of JSON with the key "soak": "begin" of a boot, "mark", and "end" of a boot, in
which "cut": true says that it has cut the line before it short.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportArgumentType=false
import gc
import json
import os
import sys
from array import array

import uctypes
from vfs import VfsLfs2

_BLOCK = 4096
# Of MicroPython's block devices.
_BLOCK_COUNT = 4
_BLOCK_SIZE = 5
_ERASE = 6
_EIO = -5
# What the program's time goes to: a turn, a piece of a line, a page and an erasure of the flash
# (W25Q16JV, typical).
_TURN_US = 250
_WRITE_US = 200
_PAGE_US = 400
_ERASE_US = 45000
_WATCHDOG_US = 8000000
_BOOT_US = 1500000
# A report waits until nothing is being written, so that what is in memory is the same each time.
_QUIET_US = 300000
_TICKS = 1 << 30
_MARGIN_US = 20000  # of the ring, as in dma_sampler.py


class Off(BaseException):
    """Ends a boot; no program catches it.  Its text says how: reset, watchdog, power, over."""


class Clock:
    """MicroPython's `time` module.  now: microseconds since the soak began."""

    def __init__(self, us, ms):
        self.now = 0
        self._us = us
        self._ms = ms

    def ticks_us(self):
        return (self.now + self._us) % _TICKS

    def ticks_ms(self):
        return (self.now // 1000 + self._ms) % _TICKS

    def ticks_diff(self, end, start):
        return (end - start + _TICKS // 2) % _TICKS - _TICKS // 2

    def ticks_add(self, ticks, delta):
        return (ticks + delta) % _TICKS

    def sleep_ms(self, ms):
        self.now += 1000 * ms


class Medium:
    """Flash in a file, outside the heap whose use is measured.

    left  operations until the power goes; None: it stays
    dead  it has gone: nothing works any more
    """

    def __init__(self, path, blocks, clock):
        self._file = open(path, "r+b")  # noqa: SIM115
        self._blocks = blocks
        self._clock = clock
        self.left = None
        self.dead = False

    def readblocks(self, block, buffer, at=0):
        if self.dead:
            return _EIO
        self._file.seek(block * _BLOCK + at)
        self._file.readinto(buffer)
        return 0

    def writeblocks(self, block, buffer, at=0):
        if self._stops():
            return _EIO
        self._clock.now += _PAGE_US * -(-len(buffer) // 256)
        self._file.seek(block * _BLOCK + at)
        self._file.write(buffer)
        return 0

    def ioctl(self, operation, argument):
        if operation == _BLOCK_COUNT:
            return self._blocks
        if operation == _BLOCK_SIZE:
            return _BLOCK
        if operation == _ERASE:
            if self._stops():
                return _EIO
            self._clock.now += _ERASE_US
            self._file.seek(argument * _BLOCK)
            self._file.write(b"\xff" * _BLOCK)
        return _EIO if self.dead else 0

    def _stops(self):
        if self.left is not None:
            self.dead = self.dead or not self.left
            self.left -= 1
        return self.dead


class Pin:
    """machine.Pin; levels: of all outputs, by number."""

    IN = 0
    OUT = 1
    PULL_UP = 1
    levels = {}  # noqa: RUF012

    def __init__(self, number, mode=-1, pull=-1, value=None):
        self._number = number
        if value is not None:
            self.value(value)

    def value(self, level):
        self.levels[self._number] = level


class Machine:
    """The `machine` module."""

    Pin = Pin
    WDT_RESET = 3

    @staticmethod
    def reset():
        raise Off("reset")

    @staticmethod
    def unique_id():
        return bytes(8)


class World:
    """What happens to the board: the events, the reports, and what the stand-ins share."""

    def __init__(self, config, clock):
        self.clock = clock
        self.medium = Medium(config["medium"], config["blocks"], clock)
        self.board = __import__(config["board"])
        self.typed = b""
        self.is_hung = False
        self.fed = 0  # when the watchdog was
        self.said = 0  # when something was written...
        self.is_whole = True  # ...and whether it ended its line
        self.gaps = []
        self.main = None  # the module
        self._prog_size = config["prog_size"]
        self._seen = 0  # until when the firmware may take to see what has been done to it
        self._every = config["mark_us"]
        self._mark = self._every
        self._events = open(config["events"])  # noqa: SIM115
        self._next()

    def _next(self):
        """Finds when the next event is due; what it is, is read then, for it may be long."""
        self._place = self._events.tell()
        # After the last, which ends it all, there is nothing.
        self._at = int((self._events.readline() or "0").split()[0])
        self.due = min(self._at, self._mark)

    def act(self):
        """Does what is due.  Raises what ends the boot."""
        now = self.clock.now
        if now >= self._mark:
            self.due = now + 10000
            if now > max(self.said + _QUIET_US, self._seen) and self.is_whole:
                self._mark += self._every
                self.report("mark")
                self.due = min(self._at, self._mark)
            return
        self._events.seek(self._place)
        _, kind, value = self._events.readline().split()
        self._next()
        if kind == "type":
            self.typed += bytes([int(value[k : k + 2], 16) for k in range(0, len(value), 2)])
        elif kind == "stall":
            self.clock.now += 1000 * int(value)
            # The firmware takes note of it in a third of a second, the meter with the next window.
            self._seen = self.clock.now + 1000000
        elif kind == "hang":
            self.is_hung = True
        elif kind == "cut":
            self.medium.left = int(value)
        elif kind == "crash":
            raise ValueError("provoked")
        else:
            raise Off(kind)

    def report(self, what, **more):
        """Tells the state of the meter that main.py has assembled."""
        running = self.running
        gc.collect()
        more["memory"] = gc.mem_alloc()
        meter = running.meter
        estimated = meter.estimated
        registers = [register for _, register in meter.registers.named()]
        registers += [estimated.delivered, estimated.received]
        more["soak"] = what
        more["at_us"] = self.clock.now
        more["ticks"] = meter.ticks
        more["registers"] = [[r.wh, str(r.residue)] for r in registers]
        more["gaps"] = self.gaps
        more["lost_frames"] = meter.lost_frames
        more["faults"] = running.faults.counts
        more["active"] = running.fault_finder.active
        more["is_hung"] = self.is_hung
        more["restart_wanted"] = running.lifecycle.restart_wanted
        more["lit"] = meter.indicators.lit
        more["pins"] = {
            name: Pin.levels[pin] == level for name, (pin, level) in self.board.LEDS.items()
        }
        if not self.is_whole:
            more["cut"] = True
            print()
            self.is_whole = True
        print(json.dumps(more))

    def boot(self, cause):
        """Runs main.py from its first line until it is over; returns how it ended."""
        for name in [name for name in sys.modules if name == "main" or "threewire" in name]:
            del sys.modules[name]
        medium = self.medium
        medium.left = None
        medium.dead = self.is_hung = False
        self.gaps = []
        self.typed = b""
        self.running = None
        Pin.levels.clear()
        os.mount(VfsLfs2(medium, progsize=self._prog_size), "/flash")
        os.chdir("/flash")
        install(self, cause)
        try:
            __import__("main")
            raise SystemExit("main.py has come to its end")
        except Off as off:
            how = "power" if medium.dead else off.args[0]
        self.report("end", how=how)
        os.chdir("/")
        os.umount("/flash")
        self.clock.now += _BOOT_US
        return how


class Loads:
    """What the ADC sees: one block of codes after the other, looped."""

    def __init__(self, config, stride):
        self.frames = config["block_frames"]
        self.each = config["load_frames"]
        self.blocks = []
        with open(config["codes"], "rb") as file:
            for _ in range(config["loads"]):
                codes = array("H", bytes(2 * stride * self.frames))
                space = memoryview(uctypes.bytearray_at(uctypes.addressof(codes), 2 * len(codes)))
                got = 0
                while got < len(space):
                    more = file.readinto(space[got:])
                    if not more:
                        raise OSError("codes are missing")
                    got += more
                self.blocks.append(codes)


def sampler_for(world, loads):
    """The class that stands in for DmaSampler: as much as the time has brought, in a ring's
    pieces, and a gap where the ring has been overrun."""

    class DmaSampler:
        pause_ms = 20

        def __init__(self, board, layout, chip):
            self._ticks = layout.frame_ticks
            self._ring = board.SAMPLER["ring_frames"]
            self._at = 0

        def start(self):
            world.fed = world.clock.now
            self._at = world.clock.now * 48 // self._ticks
            # It is gone from there once it has raised.
            world.running = sys.modules["main"].assembly
            world.report("begin", cause=world.running.restarts.cause, frame=self._at)

        def stop(self):
            pass

        def pump(self, meter):
            clock = world.clock
            clock.now += _TURN_US
            if clock.now >= world.due:
                world.act()
            if world.medium.dead:
                raise Off("power")
            if clock.now > world.fed + _WATCHDOG_US:
                raise Off("watchdog")
            if world.is_hung:
                return 0
            start = self._at
            self._at = end = clock.now * 48 // self._ticks
            ring = self._ring
            if end - start > ring - _MARGIN_US * 48 // self._ticks:
                world.gaps.append([start, end - start])
                meter.gap(end - start, (end - start) * self._ticks)
                return 0
            block = loads.frames
            while start < end:
                first = start % block
                stop = min(end, start + ring - start % ring, start + block - first)
                codes = loads.blocks[start // loads.each % len(loads.blocks)]
                meter.feed(codes, stop - start, self._ticks, first)
                start = stop
            return 0

    return DmaSampler


class Modules:
    """Modules that are stood in for have what they are given."""

    def __init__(self, **named):
        for name, value in named.items():
            setattr(self, name, value)


def port_for(world, cause):
    """The module serial_port: what is typed comes from the events, what is said goes out."""

    class SerialPort:
        def __init__(self, chip):
            self.now_ms = world.clock.ticks_ms

        def open(self):
            world.fed = world.clock.now

        def close(self):
            pass

        def feed_watchdog(self):
            world.fed = world.clock.now

        def read(self, most):
            data = world.typed[:most]
            if data:
                world.typed = world.typed[most:]
            return data

        def write(self, text):
            world.clock.now += _WRITE_US
            world.said = world.clock.now
            world.is_whole = text[-1:] == "\n"
            sys.stdout.write(text)

        most = 1024
        holds = 64
        pause_ms = 1000

        def is_ready(self):
            return True

        def write_bytes(self, data):
            self.write(str(data, "utf-8"))

    return Modules(SerialPort=SerialPort, cause=lambda chip: cause, is_sealed=lambda board: True)


class CodeInFlash:
    """As its module's: here there is no flash for code to lie in."""

    def __init__(self, xip_base, assembler, stay):
        pass

    def begin(self):
        pass

    def end(self):
        return self

    def around(self, run):
        return run


def install(world, cause):
    """Puts the stand-ins where main.py's imports find them."""
    modules = sys.modules
    modules["board"] = world.board
    modules["machine"] = Machine
    modules["time"] = world.clock
    # Decorators are the compiler's, whatever the module has.
    modules["micropython"] = Modules(
        const=lambda value: value,
        alloc_emergency_exception_buf=lambda size: None,
        kbd_intr=lambda code: None,
    )
    modules["threewire.chip.serial_port"] = port_for(world, cause)
    modules["threewire.chip.code_in_flash"] = Modules(CodeInFlash=CodeInFlash)
    modules["threewire.chip.dma_sampler"] = Modules(DmaSampler=world.sampler)
    # The assembler of Thumb compiles on no PC.
    for name in ("kernel", "look", "reactive", "window", "words"):
        viper = name + "_viper"
        metering = __import__("threewire.metering." + viper).metering
        modules["threewire.metering." + name + "_thumb"] = getattr(metering, viper)
    # The firmware loads it at the first gap: its code is not to look like memory that is lost.
    __import__("threewire.metering.fill")


def main():
    root = sys.argv[1]
    sys.path.insert(0, root + "/firmware")
    sys.path.insert(0, root + "/boards")
    config = json.loads(sys.stdin.readline())
    clock = Clock(config["ticks_us"], config["ticks_ms"])
    world = World(config, clock)
    loads = Loads(config, len(world.board.SLOTS))
    world.sampler = sampler_for(world, loads)
    VfsLfs2.mkfs(world.medium, progsize=config["prog_size"])
    cause = "power"
    how = ""
    while how != "over":
        how = world.boot(cause)
        # To the chip a reset by the program looks like one by the watchdog.
        cause = "power" if how == "power" else "watchdog"


if __name__ == "__main__":
    main()
