"""A pin that gives pulses of a set length, timed by the RMT of an ESP32.

Flow: outlet -> PULSE_RMT -> pin.  Not run on the chip so far.
"""

from esp32 import RMT
from machine import Pin
from micropython import const

# 80 MHz by this: a pulse is 32767 of these at most, 104 ms.
_DIV = const(255)
_PER_US = const(80)
# At a time: an ESP32-C3's channel has room for 48.
_ROOM = const(4)


class PulsePin:
    """k       number of the channel
    pin     number
    on_us, off_us   length of a pulse, and from its end to the next at least: 1000 to 100000, and
                    500 or more
    """

    def __init__(self, k, pin, on_us, off_us):
        self._pair = (on_us * _PER_US // _DIV, off_us * _PER_US // _DIV)
        self._state = RMT(k, pin=Pin(pin), clock_div=_DIV)

    def give(self, n):
        """Takes up to n pulses that are to come, one after the other; returns how many."""
        if not self.is_idle():
            return 0
        n = min(n, _ROOM)
        self._state.write_pulses(self._pair * n)
        return n

    def is_idle(self):
        """Whether all have come."""
        return self._state.wait_done()
