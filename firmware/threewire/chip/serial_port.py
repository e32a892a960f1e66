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
# In an ESP32's memory of the RTC.
_RUNS = b"threewire"
# A millisecond apart: a cycle of 50 Hz and more.
_SEAL_LOOKS = const(25)
# A UART's FIFO, and what it sends in a millisecond at 115200 baud.
_FIFO = const(128)
_PER_MS = const(11)
# MicroPython keeps 260 bytes for us of what has come over an ESP32's UART, 23 ms of it, and drops
# the rest without a word: to be taken until there is nothing left, two looks to a chore.
_UART_HOLDS = const(320)
_UART_PAUSE_MS = const(5)
# What USB's has room for, of which POLLOUT tells one byte: what is longer may wait for the host.
_USB_FIFO = const(256)
_USB_HOLDS = const(64)
_USB_PAUSE_MS = const(1000)


class SerialPort:
    """The serial port that the prompt would be on, taken over from it.

    chip  its row of CHIPS

    most      bytes to write at a time
    holds     bytes to be read from it at a look
    pause_ms  from one look to the next there should be no more
    """

    def __init__(self, chip):
        self._watchdog_ctrl = chip["watchdog_ctrl"]
        self._is_usb = chip["is_usb"]
        if self._is_usb:
            # Its host waits.
            self.most, self.holds, self.pause_ms = _USB_FIFO, _USB_HOLDS, _USB_PAUSE_MS
        else:
            self.most, self.holds, self.pause_ms = _FIFO, _UART_HOLDS, _UART_PAUSE_MS
        self._out = select.poll()
        self._out.register(sys.stdout, select.POLLOUT)
        self._ready_ms = time.ticks_ms()
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._in = sys.stdin.buffer
        self._write = sys.stdout.buffer.write
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
            # This chip's watchdog cannot be stopped; the sampler's timer has been.  An ESP32-C3
            # has but that one and the one that blinks.
            self._timer = Timer(0)
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
            for _ in self._out.ipoll(0):
                return True
            return False
        return time.ticks_diff(time.ticks_ms(), self._ready_ms) >= 0

    def write(self, text):
        sys.stdout.write(text)
        if not self._is_usb:
            self._wrote(len(text))

    def write_bytes(self, data):
        self._write(data)
        if not self._is_usb:
            self._wrote(len(data))

    def _wrote(self, size):
        """Gives a UART the time to send it."""
        self._ready_ms = time.ticks_add(time.ticks_ms(), size // _PER_MS + 1)


def cause(chip):
    """Why the board has started, as restarts.CAUSES has it: a pin's reset counts as power, and so
    does one that was asked for, which the RP2040 and RP2350 do by their watchdog: by
    machine.reset(), or the boot ROM's after a UF2 has been copied.

    An ESP32 tells a panic as it tells its own reset, of which there is a note (Restarts), and as
    some releases tell a power-on: but nothing in the RTC's memory outlives that."""
    control = chip["watchdog_ctrl"]
    if not control:
        memory = machine.RTC().memory
        has_run = memory() == _RUNS
        memory(_RUNS)
        if has_run and machine.reset_cause() == machine.HARD_RESET:
            return "panic"
    if machine.reset_cause() != machine.WDT_RESET or (
        control and mem32[control + _SCRATCH4] != _ENABLED
    ):
        return "power"
    return "watchdog"


def is_sealed(board):
    """Whether the seal's pin is not at ground all the while that it is looked at: what a wire that
    hangs from it picks up opens no seal."""
    pin = Pin(board.SEAL, Pin.IN, Pin.PULL_UP)
    for _ in range(_SEAL_LOOKS):
        # Its pull-up charges a long wire first.
        time.sleep_ms(1)
        if pin.value():
            return True
    return False
