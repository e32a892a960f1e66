"""A UART with an RS-485 driver at its pins: what comes, and what goes while the direction says so.

Flow: modbus_slave.py <-> RS485 -> chip.
"""

import time

from machine import UART, Pin, Timer
from micropython import const

# Start bit, eight bits, and what is behind them: parity and a stop bit, or two of these.
_BITS = const(11)
_MOST_BAUD = const(19200)
_SILENCE_US = const(1750)
_PAUSE_MS = const(5)
_WATCHED_PAUSE_MS = const(1)


class Rs485:
    """settings  MODBUS of the board file
    timer     of a software timer, which ends a transmission on its own; else `is_sending` does,
              whenever it is asked

    address      of the board on the line
    silence_us   that ends a frame: 3.5 characters, 1750 us above 19200 baud (Modbus Serial Line
                 Protocol and Implementation Guide V1.02, 2.5.1.1)
    pause_ms     between two looks at the line, at most
    is_watched   whether a transmission ends by looks at `is_sending` alone
    any, readinto  as those of machine.UART
    ticks_us, ticks_diff  as those of MicroPython's time
    """

    def __init__(self, settings, timer):
        baud = settings["baudrate"]
        parity = settings["parity"]
        self.address = settings["address"]
        self._byte_us = -(-_BITS * 1000000 // baud)
        self.silence_us = _SILENCE_US if baud > _MOST_BAUD else 7 * self._byte_us // 2
        # At high level the driver drives; until there is something to say it must not.
        pin = settings["direction"]
        self._direction = None if pin is None else Pin(pin, Pin.OUT, value=0)
        # Its buffers of 256 bytes hold any frame.
        self._uart = UART(
            settings["uart"],
            baud,
            bits=8,
            parity=parity,
            stop=2 if parity is None else 1,
            tx=Pin(settings["tx"]),
            rx=Pin(settings["rx"]),
            rxbuf=256,
            txbuf=256,
        )
        self.any = self._uart.any
        self.readinto = self._uart.readinto
        self.ticks_us = time.ticks_us
        self.ticks_diff = time.ticks_diff
        self.is_watched = timer != -1 and pin is not None
        self.pause_ms = _WATCHED_PAUSE_MS if self.is_watched else _PAUSE_MS
        self._timer = None if self.is_watched or pin is None else Timer(-1)
        # Of the frame that is being sent: when it was begun, and how long it takes.
        self._since = None
        self._takes_us = 0
        self._on_end = self._end

    def write(self, data):
        """Sends a frame, and does not wait for its end."""
        # Two bits more, so that the last stop bit is whole at whatever the clock's divider makes.
        self._takes_us = len(data) * self._byte_us + 2 * self._byte_us // _BITS
        if self._direction:
            self._direction(1)
        self._since = time.ticks_us()
        self._uart.write(data)
        if self._timer:
            self._timer.init(
                mode=Timer.ONE_SHOT,
                period=self._takes_us,
                tick_hz=1000000,
                hard=True,
                callback=self._on_end,
            )

    # A hard interrupt, some 20 us long (emulated RP2040): it allocates nothing.
    def _end(self, timer):
        # Where a write to the flash has kept the UART waiting, `is_sending` does it.
        if self._uart.txdone():
            self._direction(0)

    def is_sending(self):
        """Whether a frame is on its way; ends its transmission when it is out."""
        if self._since is None:
            return False
        if time.ticks_diff(time.ticks_us(), self._since) < self._takes_us:
            return True
        if not self._uart.txdone():
            return True
        if self._direction:
            self._direction(0)
        self._since = None
        return False
