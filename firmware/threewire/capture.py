"""A capture: the raw codes of some seconds as text, and what a meter of their own makes of them.

Flow: service's intake -> CAPTURE -> serial port.  Whoever has the codes can meter them again and
must come to the same energy, to the last bit.  Lines of JSON, some twenty a second:

    {"codes":"…","frame":0,"frame_ticks":4800,"crc":1234567890}     codes as two characters each
    {"captured":20000,"lost":0,"delivered_wh":"…", …}               the last one

A code's two characters are its upper and its lower six bits in the alphabet of base64, so that two
codes are what base64 makes of three bytes.  There is no buffer beside the line: a slow reader is
waited for, as long as the sampler's ring holds; after that frames are lost, and it is broken off.
"""

from binascii import crc32

import micropython
from micropython import const

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# Lines a second, about; and the most that one takes, which is to be found in one piece.
_LINES = const(20)
_LONGEST = const(4096)
_PER_CODE = const(2)


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

    layout   of the board
    meter    a Meter that has metered nothing yet
    write    writes bytes to the port

    done     all frames have come, or it has been broken off by a gap
    """

    def __init__(self, layout, meter, frames, write):
        self._meter = meter
        self._stride = layout.stride
        self._write = write
        self._frames = frames
        self._size = layout.stride * _PER_CODE  # of a frame
        per_line = layout.tick_hz // layout.frame_ticks // _LINES
        self._text = memoryview(
            bytearray(self._size * max(1, min(per_line, _LONGEST // self._size)))
        )
        self._used = 0
        self._ticks = 0  # of each frame in the line
        self._taken = 0
        self._lost = 0
        self.done = False

    def feed(self, codes, frames, frame_ticks, first=0):
        """As Meter.feed."""
        if self.done:
            return
        frames = min(frames, self._frames - self._taken)
        self._meter.feed(codes, frames, frame_ticks, first)
        if frame_ticks != self._ticks:
            self._end_line()
            self._ticks = frame_ticks
        stride = self._stride
        pos = first * stride
        end = pos + frames * stride
        while pos < end:
            part = min(end, pos + (len(self._text) - self._used) // _PER_CODE)
            _write_codes(self._text, self._used, codes, pos, part)
            self._used += (part - pos) * _PER_CODE
            self._taken += (part - pos) // stride
            pos = part
            if self._used == len(self._text):
                self._end_line()
        if self._taken == self._frames:
            self.done = True

    def gap(self, frames, ticks):
        """As Meter.gap: nothing comes after it."""
        if not self.done:
            self._lost = frames
            self.done = True

    def _end_line(self):
        used = self._used
        if used:
            self._used = 0
            text = self._text[:used]
            frame = self._taken - used // self._size
            # Made before the line begins: what fails here leaves no half of one.
            rest = '","frame":{},"frame_ticks":{},"crc":{}}}\n'.format(
                frame, self._ticks, crc32(text)
            ).encode()
            try:
                self._write(b'{"codes":"')
                self._write(text)
                self._write(rest)
            except Exception:
                # What is written next is a line of its own.
                self._write(b"\n")
                raise

    def finish(self):
        """Ends the last line; then yields that of the meter, piece by piece."""
        self._end_line()
        meter = self._meter
        meter.finish()
        yield '{{"captured":{},"lost":{},"delivered_wh":"{}","received_wh":"{}"'.format(
            self._taken,
            self._lost,
            meter.registers.delivered.text(),
            meter.registers.received.text(),
        )
        # Exactly: whole watt-hours, and the residue in the accumulator's units.
        yield ',"exact":['
        total = meter.registers
        start = ""
        for pair in ((total.delivered, total.received),) + total.elements:
            for register in pair:
                yield '{}["{}","{}"]'.format(start, register.wh, register.residue)
                start = ","
        yield "]}\n"
