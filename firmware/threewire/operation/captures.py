"""A capture's whole life: made ready, begun; the loop feeds it, the serial line writes it.  And a
demonstration's, which takes its place and is not written.

Flow: operator's command -> CAPTURES -> loop, serial line.
"""

from threewire.transient import let_go

_CODES = ("capture", "demo")
_NO_ROOM = "no memory for a second meter; restart, then try again"


class Captures:
    """At most one capture, or demonstration, at a time.

    layout      of the board
    new_meter   called for a Meter that has metered nothing yet: one like the board's own; or with
                a Layout and an on_edge, for a meter of that
    port        as Capture's
    show_own    called when the lamps are the board's own again

    on          the Capture that is under way, or the Demo, or None
    """

    def __init__(self, layout, new_meter, port, leds, show_own):
        self._layout = layout
        self.new_meter = new_meter
        self._port = port
        self._leds = leds
        self._show_own = show_own
        self._next = None
        self.on = None

    @property
    def demo(self):
        """The Demo that is under way, or None."""
        on = self.on
        return on if on and not on.writes else None

    @property
    def written(self):
        """The Capture that is under way, or None."""
        on = self.on
        return on if on and on.writes else None

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
            raise ValueError(_NO_ROOM)
        return frames

    def prepare_demo(self):
        """Loads its code; returns what begins a demonstration and returns its seconds.  That
        raises ValueError where there is no memory for it, or something else is under way."""
        try:
            from threewire.operation.demo import Demo
        except MemoryError:
            Demo = None

        def begin():
            if self.on:
                raise ValueError("a capture or a demo is under way")
            try:
                if not Demo:
                    raise MemoryError
                self.on = Demo(self._layout, self.new_meter, self._leds)
            except MemoryError:
                self.drop()
                raise ValueError(_NO_ROOM)
            return self.on.left_s

        return begin

    def begin(self):
        """The capture that is ready gets what is metered from now on."""
        self.on = self._next
        self._next = None

    def drop(self):
        """There is none any more, neither under way nor ready, and their code goes too."""
        was_demo = self.demo
        self.on = self._next = None
        if was_demo:
            self._show_own()
        for name in _CODES:
            let_go("threewire.operation." + name)
