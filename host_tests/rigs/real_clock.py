"""The soak's clock in real time, for what talks by real sockets.  Runs on MicroPython.

Flow: module time -> REAL CLOCK -> the soak's stand-ins, the firmware.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import time

import program


class RealClock(program.Clock):
    """Whose time nobody makes; but of idle time so many times as much may pass."""

    def __init__(self, idle_pace=1):
        self._pace = idle_pace
        self._begin = time.ticks_us()
        self._whole = 0
        self.gmtime = time.gmtime
        super().__init__(0, 0)

    @property
    def now(self):
        passed = time.ticks_diff(time.ticks_us(), self._begin)
        if passed > 1 << 28:
            self._whole += passed
            self._begin = time.ticks_add(self._begin, passed)
            passed = 0
        return self._whole + passed

    @now.setter
    def now(self, us):
        pass

    def sleep_ms(self, ms):
        us = 1000 * ms // self._pace
        begun = time.ticks_us()
        time.sleep_us(us)
        # As many times as long, whatever the system has made of it.
        self._whole += (self._pace - 1) * min(us, time.ticks_diff(time.ticks_us(), begun))
