"""A UART with an RS-485 driver at its pins: what comes, and what goes while the direction says so.

Flow: modbus_rtu.py <-> RS485 -> chip.
"""

import time

from machine import UART, Pin, Timer
from micropython import const

# Start bit, eight bits, and what is behind them: parity and a stop bit, or two of these.
_BITS = const(11)
_MOST_BAUD = const(19200)
_SILENCE_US = const(1750)


class Rs485:
    """given     MODBUS of the board file
    timer     number of the machine.Timer that ends a transmission; -1 has hard interrupts

    period_us   that ends a frame: 3.5 characters, 1750 us above 19200 baud (Modbus Serial Line
                 Protocol and Implementation Guide V1.02, 2.5.1.1)
    any, readinto  as those of machine.UART
    ticks_us, ticks_diff  as those of MicroPython's time
    """

    def __init__(self, given, timer):
        # At high level the driver drives; until there is something to say it must not.
        pin = given["direction"]
        self._out = self._timer = None
        self._loose = timer >= 0
        if pin is not None:
            self._out = Pin(pin, Pin.OUT, value=0)
            self._timer = Timer(timer)
            self._type = {} if self._loose else {"hard": True}
        self._kept = given
        self.ticks_us = time.ticks_us
        self.ticks_diff = time.ticks_diff
        # Of the frame that is being sent: when it was begun, and how long it takes.
        self._since = None
        self._after = self._end

    def begin(self, baudrate):
        """From now on its speed is this."""
        given = self._kept
        parity = given["parity"]
        # Its buffers of 256 bytes hold any frame.
        self._port = uart = UART(
            given["uart"],
            baudrate,
            parity=parity,
            stop=2 if parity is None else 1,
            tx=Pin(given["tx"]),
            rx=Pin(given["rx"]),
            rxbuf=256,
            txbuf=256,
        )
        # Two bits more, so that the last stop bit is whole at whatever the clock's divider makes;
        # where the timer's interrupt is soft it comes once, so the frame is sure to be out.
        self._each = -(-_BITS * 1000000 // baudrate)
        self._least = self._each if self._loose else 2 * self._each // _BITS
        self.period_us = _SILENCE_US if baudrate > _MOST_BAUD else 7 * self._each // 2
        self.any = uart.any
        self.readinto = uart.readinto

    def write(self, data):
        """Sends a frame, and does not wait for its end."""
        self._span = len(data) * self._each + self._least
        if self._out:
            self._out(1)
        self._since = time.ticks_us()
        self._port.write(data)
        if self._timer:
            self._timer.init(
                mode=Timer.ONE_SHOT,
                period=self._span,
                tick_hz=1000000,
                callback=self._after,
                **self._type,
            )

    # Where it is a hard interrupt, some 20 us long (emulated RP2040): it allocates nothing.
    def _end(self, timer):
        # Where the UART has been kept waiting, as by a write to the flash, `busy` does it.
        if self._port.txdone():
            self._out(0)

    def busy(self):
        """Whether a frame is on its way; ends its transmission when it is out."""
        if self._since is None:
            return False
        if time.ticks_diff(time.ticks_us(), self._since) < self._span or not self._port.txdone():
            return True
        if self._out:
            self._out(0)
        self._since = None
        return False
