"""A pin that gives pulses of a set length, timed by a state machine of the PIO.

Flow: outlet -> PULSE_PIO (a FIFO of pulses that are to come) -> pin.  It needs no interrupt, and
takes nothing of the core's time: RP2040 datasheet, 3; RP2350's, 11.
"""

# ruff: noqa: F821  # the PIO's instructions, which the decorator knows

from machine import Pin
from micropython import const
from rp2 import PIO, StateMachine, asm_pio

# 50 us a step: a whole number of the core's clocks at 125 and at 150 MHz.
_HZ = const(20000)
_US = const(50)
# Steps that the program takes beside those that are counted, while on and while off.
_ON_STEPS = const(2)
_OFF_STEPS = const(5)
_ROOM = const(4)


@asm_pio(set_init=PIO.OUT_LOW)
def _pulse():
    pull()
    out(x, 16)
    set(pins, 1)
    label(1)
    jmp(x_dec, 1)
    set(pins, 0)
    out(x, 16)
    label(2)
    jmp(x_dec, 2)


class PulsePin:
    """k       number of the state machine
    pin     number
    on_us, off_us   length of a pulse, and from its end to the next at least: 1000 to 100000, and
                    500 or more
    """

    def __init__(self, k, pin, on_us, off_us):
        self._pair = (on_us // _US - _ON_STEPS) << 16 | off_us // _US - _OFF_STEPS
        self._state = StateMachine(k, _pulse, freq=_HZ, set_base=Pin(pin))
        self._state.active(1)

    def give(self, n):
        """Takes up to n pulses that are to come, one after the other; returns how many."""
        state = self._state
        n = min(n, _ROOM - state.tx_fifo())
        for _ in range(n):
            state.put(self._pair)
        return n

    def is_idle(self):
        """Whether the last has begun."""
        return not self._state.tx_fifo()
