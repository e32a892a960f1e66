"""A capture: the raw codes of some seconds as text, and what a meter of their own makes of them.

Flow: loop -> CAPTURE -> serial port.  Whoever has the codes can meter them again and
must come to the same energy, to the last bit.  Lines of JSON:

    {"codes":"…","frame":0,"spans":[[500,4800]],"crc":1234567890}   codes as two characters each
    {"captured":20000,"lost":0,"delivered_wh":"…", …}               the last one

A code's two characters are its upper and its lower six bits in the alphabet of base64, so that two
codes are what base64 makes of three bytes.  Spans are how many frames were how many ticks long.
One line is made while the one before is written; a reader that does not keep up breaks the capture
off.
"""

from binascii import crc32

import micropython
from micropython import const

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_HEAD = b'{"codes":"'
# The most that the codes of a line take: a quarter of a second at 1 kHz, 25 ms at 10 kHz.
_LONGEST = const(2000)
_PER_CODE = const(2)
# Where there are more lines in a second than this, it is not enough to look for them now and then.
_HURRIED = const(50)
# What follows on the codes: spans at most, and the characters of all of it.
_SPANS = const(8)
_TAIL = const(240)


@micropython.viper
def _write_codes(text, at: int, codes, pos: int, end: int):
    """Two characters each for codes[pos:end], from text[at] on."""
    to = ptr8(text)
    source = ptr16(codes)
    alphabet = ptr8(_ALPHABET)
    while pos < end:
        code = source[pos]
        to[at] = alphabet[code >> 6 & 63]
        to[at + 1] = alphabet[code & 63]
        at += 2
        pos += 1


class Capture:
    """Takes the next `frames` frames.

    layout     of the board
    new_meter  called for a Meter that has metered nothing yet
    port       write_bytes(data), most bytes at a time, when it is_ready()

    done       no more frames are taken: all have come, some were lost, or it was told to stop
    over       and all of it has been written
    is_hurried  `step` is wanted in every round
    """

    writes = True

    def __init__(self, layout, new_meter, frames, port):
        self._stride = layout.stride
        self._port = port
        self._frames = frames
        self._size = size = layout.stride * _PER_CODE  # of a frame
        per_line = min(frames, _LONGEST // size)
        self.is_hurried = layout.tick_hz > per_line * _HURRIED * layout.frame_ticks
        # One that is filled, one that is written.
        self._texts = []
        for _ in range(2):
            text = memoryview(bytearray(len(_HEAD) + per_line * size + _TAIL))
            text[: len(_HEAD)] = _HEAD
            self._texts.append(text)
        # Behind the texts: of its pieces none is as long as these.
        self._meter = new_meter()
        self._end = len(_HEAD) + per_line * size
        self._out = None  # what is being written, whole, of which so many bytes have been
        self._written = 0
        self._last = None  # the last line's pieces
        self._taken = 0
        self._lost = 0
        self._begin_line()
        self.done = self.over = False

    def _begin_line(self):
        self._used = len(_HEAD)
        self._spans = []

    @micropython.native
    def feed(self, codes, frames, frame_ticks, first=0):
        """As Meter.feed."""
        stride = self._stride
        left = min(frames, self._frames - self._taken)
        while left and not self.done:
            spans = self._spans
            is_new = not spans or spans[-1][1] != frame_ticks
            if self._used == self._end or is_new and len(spans) == _SPANS:
                # After a while without a round there is much to take at once.
                while self._out and self._port.is_ready():
                    self._write_some()
                if self._out:
                    self._lost = left
                    self.done = True
                    return
                self._end_line()
                spans = self._spans
                is_new = True
            if is_new:
                spans.append([0, frame_ticks])
            n = min(left, (self._end - self._used) // self._size)
            pos = first * stride
            self._meter.feed(codes, n, frame_ticks, first)
            _write_codes(self._texts[0], self._used, codes, pos, pos + n * stride)
            spans[-1][0] += n
            self._used += n * self._size
            self._taken += n
            first += n
            left -= n
        if self._taken == self._frames:
            self.done = True

    def gap(self, frames, ticks):
        """As Meter.gap: nothing comes after it."""
        if not self.done:
            self._lost = frames
            self.done = True

    def stop(self):
        """No more frames are taken."""
        self.done = True

    def _end_line(self):
        """The line is the next to be written, and another begins."""
        used = self._used
        text = self._texts[0]
        frames = self._taken - (used - len(_HEAD)) // self._size
        crc = crc32(text[len(_HEAD) : used])
        tail = '","frame":{},"spans":{},"crc":{}}}\n'.format(frames, self._spans, crc).encode()
        end = used + len(tail)
        text[used:end] = tail
        self._begin_writing(text[:end])
        self._texts.reverse()
        self._begin_line()

    def _begin_writing(self, text):
        self._out = text
        self._written = 0

    @micropython.native
    def _write_some(self):
        out = self._out
        begin = self._written
        self._written = end = begin + self._port.most
        if end >= len(out):
            self._out = None
        self._port.write_bytes(out[begin:end])

    @micropython.native
    def step(self):
        """Writes what the ready port takes at a time, if there is any; returns whether there is
        more."""
        if not self._out and (self._used == self._end or self.done and self._spans):
            self._end_line()
        if self._out:
            self._write_some()
            # As much as is taken at once.
            while self._out and self._port.is_ready():
                self._write_some()
            return self.done or bool(self._out)
        if self.done and not self.over:
            if self._last is None:
                self._last = self._energy()
            piece = next(self._last, None)
            if piece:
                self._begin_writing(piece.encode())
                self._write_some()
            else:
                self.over = True
        return self.done and not self.over

    def _energy(self):
        meter = self._meter
        meter.finish()
        total = meter.registers
        yield '{{"captured":{},"lost":{},"delivered_wh":"{}",'.format(
            self._taken, self._lost, total.delivered.text()
        )
        # Exactly: whole watt-hours, and the residue in the accumulator's units.
        start = '"received_wh":"' + total.received.text() + '","exact":['
        for _, register in total.named():
            yield '{}["{}","{}"]'.format(start, register.wh, register.residue)
            start = ","
        yield "]}\n"
