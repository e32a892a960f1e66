"""The chip's side of the loop: serial port, clock, watchdog, why the board started, the seal.

Flow: loop, serial line, console, capture -> SERIAL PORT -> chip.
"""

import select
import sys
import time

import machine
import micropython
from machine import WDT, Pin, Timer, mem32
from micropython import const

# Under the 8388 ms that an RP2040's watchdog can wait; start-up takes another second.
_WATCHDOG_MS = const(8000)
_FEED_MS = const(1000)
# Of WATCHDOG CTRL: its bit ENABLE (RP2040 datasheet 4.7.6, RP2350 12.9.7), and the alias in which
# writing a bit clears it (2.1.2, 2.1.3).
_CLR_ALIAS = const(0x3000)
_ENABLE = 1 << 30
# SCRATCH4, and what the SDK leaves there when it enables the watchdog for WDT (watchdog_enable());
# whatever resets the chip on purpose writes something else.  It outlives the reset.
_SCRATCH4 = const(0x1C)
_ENABLED = const(0x6AB73121)
_CTRL_C = const(3)
# A UART's FIFO, and what it sends in a millisecond at 115200 baud.
_FIFO = const(128)
_PER_MS = const(11)
# Over USB: a capture's line.
_MOST = const(2300)


class SerialPort:
    """The serial port that the prompt would be on, taken over from it.

    chip  its row of CHIPS

    most  bytes to write at a time
    """

    def __init__(self, chip):
        self._watchdog_ctrl = chip["watchdog_ctrl"]
        self._is_usb = chip["is_usb"]
        self.most = _MOST if self._is_usb else _FIFO
        self._out = select.poll()
        self._out.register(sys.stdout, select.POLLOUT)
        self._ready_ms = time.ticks_ms()
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._in = sys.stdin.buffer
        self._watchdog = None
        self._timer = None
        self.now_ms = time.ticks_ms

    def open(self):
        """From now on Ctrl-C is a byte like others, and the watchdog wants to be fed."""
        micropython.kbd_intr(-1)
        self._watchdog = WDT(timeout=_WATCHDOG_MS)

    def close(self):
        """The prompt has the port again, on a line of its own, and needs no feeding."""
        self.write("\n")
        micropython.kbd_intr(_CTRL_C)
        control = self._watchdog_ctrl
        if control:
            mem32[control + _CLR_ALIAS] = _ENABLE
        elif self._watchdog:
            # This chip's watchdog cannot be stopped.
            self._timer = Timer(2)
            self._timer.init(period=_FEED_MS, callback=lambda timer: self._watchdog.feed())

    def feed_watchdog(self):
        self._watchdog.feed()

    @micropython.native
    def read(self, most):
        """Up to `most` bytes of what has arrived."""
        # Most often there is nothing, of which poll() would make a list.
        for _ in self._poll.ipoll(0):
            return self._read(most)
        return b""

    def _read(self, most):
        data = self._in.read(1)
        if most == 1:
            return data
        data = bytearray(data)
        while len(data) < most and self._poll.poll(0):
            data += self._in.read(1)
        return data

    def is_ready(self):
        """Whether what is written now is taken at once.  Over USB that is so unless somebody holds
        the port and does not read: MicroPython then waits half a second for each piece.  A UART
        takes what its FIFO holds, and is given the time to send it."""
        if self._is_usb:
            return bool(self._out.poll(0))
        return time.ticks_diff(time.ticks_ms(), self._ready_ms) >= 0

    def write(self, text):
        sys.stdout.write(text)
        self._wrote(len(text))

    def write_bytes(self, data):
        sys.stdout.buffer.write(data)
        self._wrote(len(data))

    def _wrote(self, size):
        self._ready_ms = time.ticks_add(time.ticks_ms(), size // _PER_MS + 1)


def cause(chip):
    """Why the board has started, as restarts.CAUSES has it: a pin's reset counts as power, and so
    does one that was asked for, which the RP2040 and RP2350 do by their watchdog: by
    machine.reset(), or the boot ROM's after a UF2 has been copied."""
    control = chip["watchdog_ctrl"]
    if machine.reset_cause() != machine.WDT_RESET or (
        control and mem32[control + _SCRATCH4] != _ENABLED
    ):
        return "power"
    return "watchdog"


def is_sealed(board):
    """Whether the seal's pin is not at ground."""
    return bool(Pin(board.SEAL, Pin.IN, Pin.PULL_UP).value())
