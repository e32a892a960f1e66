"""The serial line: the outlet that writes a report a second, between answers and captures.

Flow: report, console, captures -> SERIAL LINE -> port.  A line that has begun is ended before
another begins, whoever writes it; while a capture is under way there are no reports, nor while an
operator has asked for quiet.
"""

import micropython

from threewire.operation.telemetry import written


class SerialLine:
    """port       most, is_ready(), write(text), write_bytes(data)
    console    Console, which writes to the same port
    captures   Captures, likewise; its `quiet` is how many reports are left out, by the operator's
               word, who has the captures as well
    """

    def __init__(self, port, console, captures):
        self._port = port
        self._console = console
        self._captures = captures
        captures.quiet = 0
        self._pieces = None  # of the line that is being written
        self._tail = None  # of its piece that is

    @property
    def is_free(self):
        """Whether it takes a report now."""
        return self._pieces is None and not self._captures.written

    def offer(self, report):
        """Begins the report's line."""
        if self._captures.quiet:
            self._captures.quiet -= 1
        else:
            self._pieces = written(report)

    @micropython.native
    def step(self):
        """Writes a piece.  Returns whether there is more; None: the port does not take any now."""
        if not self._port.is_ready():
            # A write would wait until frames are lost.  What there is to say waits instead.
            return None
        capture = self._captures.written
        if capture:
            more = capture.step()
            if capture.over:
                self._captures.drop()
            return more or capture.is_hurried
        if self._pieces is None or self._console.busy:
            return self._console.step() or self._pieces is not None
        piece = self._tail or next(self._pieces, None)
        if piece is None:
            self._pieces = None
            self._port.write("\n")
            return True
        most = self._port.most
        self._tail = None
        if len(piece) > most:
            # Another outlet's report is made in the same place.
            self._tail = bytes(piece[most:])
            piece = piece[:most]
        self._port.write_bytes(piece)
        return True

    def break_off(self):
        """Ends a line that a crash has left half written, and the capture that wrote it."""
        self._captures.drop()
        self._pieces = self._tail = None
        try:
            self._port.write("\n")
        except Exception:
            pass  # it was the port itself: there is no line to end
