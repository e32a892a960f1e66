"""A capture's whole life: made ready, begun; the loop feeds it, the serial line writes it.

Flow: operator's command -> CAPTURES -> loop, serial line.
"""

import sys

from threewire import operation

_CODE = "threewire.operation.capture"


class Captures:
    """At most one capture at a time.

    layout      of the board
    port        as Capture's

    new_meter   called for a Meter that has metered nothing yet
    on          the Capture that is under way, or None
    """

    def __init__(self, layout, new_meter, port):
        self._layout = layout
        self.new_meter = new_meter
        self._port = port
        self._next = None
        self.on = None

    def prepare(self, seconds):
        """Makes the next capture ready, of "SECONDS" or "SECONDS.PART"; returns its frames.
        Raises ValueError for another text, one of less than a frame, and where there is no memory
        for it."""
        whole, _, part = seconds.partition(".")
        part = (part + "000")[:3]
        # Of bytes, to which only 0 to 9 are digits on any Python.
        if not ((whole + part).encode().isdigit() and 0 < len(whole) < 5):
            raise ValueError("SECONDS must be a number such as 2 or 0.5, less than 10000")
        milliseconds = int(whole + part)
        layout = self._layout
        frames = milliseconds * layout.tick_hz // (1000 * layout.frame_ticks)
        if not frames:
            raise ValueError("less than a frame")
        self._next = None
        try:
            # Its code takes 3 kB, which are free while nobody captures.
            from threewire.operation.capture import Capture

            self._next = Capture(layout, self.new_meter, frames, self._port)
        except MemoryError:
            raise ValueError("no memory for a second meter; restart, then try again")
        return frames

    def begin(self):
        """The capture that is ready gets what is metered from now on."""
        self.on = self._next
        self._next = None

    def drop(self):
        """There is none any more, neither under way nor ready, and their code goes too."""
        self.on = self._next = None
        if _CODE in sys.modules:
            del sys.modules[_CODE], operation.capture
