"""The three LEDs on their pins.  Flow: indicators -> LEDS."""

from machine import Pin


class Leds:
    """Board file's LEDS: indicator name -> (pin, level that lights it)."""

    def __init__(self, leds):
        self._pins = {}
        self._all_lit = False
        for name, (pin, level) in leds.items():
            self._pins[name] = (Pin(pin, Pin.OUT, value=1 - level), level)

    def show(self, name, lit):
        pin, level = self._pins[name]
        pin.value(level if lit else 1 - level)

    def blink(self, lit):
        """Shows all of them alike: safe mode."""
        self._all_lit = lit
        for name in self._pins:
            self.show(name, lit)

    def blink_on(self, timer):
        """A timer's callback for that."""
        self.blink(not self._all_lit)
