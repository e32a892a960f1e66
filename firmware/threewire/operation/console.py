"""The serial console: commands in, a line each; answers out, a JSON object a line each.

Flow: serial port -> CONSOLE -> commands -> serial port.  Whatever bytes arrive, however they are
cut, nothing raises.  One line is answered at a time, one more waits in the buffer, and those that
come meanwhile are refused with one answer for all of them.
"""

from json import dumps

from micropython import const

# A calibration with all its tables takes some 700 bytes.
LONGEST = const(1100)
# Characters written at a time: 6 ms on a UART of 115200 baud.
_PIECE = const(64)
_ECHO = const(40)
_AT_ONCE = const(64)
_QUIET_MS = const(100)
# Of silence: nobody types that line any more, and the next line is somebody else's.
_FORGOTTEN_MS = const(10000)
_TICKS_MASK = const(0x3FFFFFFF)  # ticks_ms counts modulo 2**30, which is no small int
_CTRL_C = const(3)

# Whether a Ctrl-C that came now would stop: no, data are flowing; a line end has come after
# silence; silence.
_FLOW = const(0)
_LINE_END = const(1)
_SILENCE = const(2)

# Of a line: whole; too long to be kept; refused, for there was no room for it.
_WHOLE = const(1)
_TOO_LONG = const(2)
_REFUSED = const(3)


class Console:
    """Takes lines of at most 1100 bytes of UTF-8 that CR or LF ends, passing over those with
    nothing in them, and writes the answers.  A line that has begun is forgotten after ten seconds
    in which nothing comes.

    commands  called with a line's text; a generator of the answer, some 5 ms of work each: first
              '{"reply":"NAME"', then the rest of the line; its end ends a piece.  What it does
              after that it does when the line has been written
    write     writes text to the port
    on_crash  called with what a command or `write` has raised; the answer then tells it too

    busy      an answer has begun and not ended: nothing else may be written
    working   there is an answer under way
    stop      Ctrl-C has asked for the prompt; nothing is taken any more
    is_idle   no line has begun and there is silence: to take nothing would change nothing, and the
              next byte is to be read singly
    """

    def __init__(self, commands, write, on_crash):
        self._commands = commands
        self._write = write
        self._on_crash = on_crash
        self._buffer = memoryview(bytearray(LONGEST))
        self._size = 0  # bytes in it
        self._waits = 0  # _WHOLE or _TOO_LONG: they are a line that waits to be answered
        self._dropping = 0  # _TOO_LONG or _REFUSED: so is the line that is arriving
        self._refused = False  # whether lines were, after the one that waits
        self._due = False  # or before it: that answer is due first
        self.working = False
        self._answer = None  # the generator
        self._pieces = []
        self._made = False  # the pieces are a line
        self._state = _SILENCE  # nothing has come before what comes first
        self._since_ms = None
        self.busy = self.stop = self.is_idle = False

    @property
    def at_most(self):
        """Bytes to read from the port at a time: 1 while it may be the Ctrl-C that stops, so that
        what follows it is left for MicroPython's prompt; else 64."""
        return 1 if self._state else _AT_ONCE

    def take(self, data, now_ms):
        """Takes bytes that have arrived; returns how many of them: all, or those up to the Ctrl-C
        that stops: the first after silence, or the first after a line end after silence.

        data    bytes; empty when the port had nothing: 100 ms between two such looks are silence.
                Time without looks is none, for data may have come in it
        now_ms  ticks_ms
        """
        if self.stop or not data:
            if self._since_ms is None:
                self._since_ms = now_ms
            quiet_ms = (now_ms - self._since_ms) & _TICKS_MASK
            if quiet_ms >= _QUIET_MS:
                self._state = _SILENCE
            if quiet_ms >= _FORGOTTEN_MS:
                self._dropping = 0
                if not self._waits:
                    self._size = 0
            self.is_idle = self._state == _SILENCE and not (
                self.stop or self._dropping or (self._size and not self._waits)
            )
            return 0
        state = self._state
        self._state = _FLOW
        self._since_ms = None
        self.is_idle = False
        size = len(data)
        k = 0
        if state == _SILENCE and data[:1] in b"\r\n":
            k = 1
            if size == 1:
                self._state = _LINE_END
        if state and k < size and data[k] == _CTRL_C:
            self.stop = True
            return k + 1
        # All this goes by the chunk: by the byte it would take the chip ten times as long.
        rest = data.replace(b"\r", b"\n").replace(b"\t", b" ").replace(b"\x7f", b"\b")
        while rest:
            if self._waits:
                self._refuse(rest)
                break
            if not (self._size or self._dropping):
                rest = rest.lstrip(b" \b\n")
            part, end, rest = rest.partition(b"\n")
            if not self._dropping:
                self._type(part)
            if end:
                if self._size:
                    self._waits = self._dropping or _WHOLE
                self._dropping = 0
                if not self.working:
                    self._next()
        return size

    def stay(self, error):
        """The Ctrl-C is not to stop after all: says why, unless an answer is under way."""
        self.stop = False
        if not self.working:
            self._pieces = ['{"reply":"Ctrl-C"']
            self._fail(error)

    def _refuse(self, rest):
        """Drops bytes for which there is no room."""
        if self._dropping:
            _, end, rest = rest.partition(b"\n")
            if not end:
                return
        if rest.strip(b" \b\n"):
            self._refused = True
        self._dropping = _REFUSED if rest.rpartition(b"\n")[2].strip(b" \b") else 0

    def _type(self, part):
        """Takes a part of a line."""
        buffer = self._buffer
        size = self._size
        for k, typed in enumerate(part.split(b"\b")):
            if k:
                # Back over the bytes of one character.
                while size:
                    size -= 1
                    if buffer[size] & 0xC0 != 0x80:
                        break
            if not size:
                typed = typed.lstrip(b" ")
            end = size + len(typed)
            if end > LONGEST:
                self._dropping = _TOO_LONG
                size = LONGEST
                break
            buffer[size:end] = typed
            size = end
        self._size = size

    def step(self):
        """Does the next piece of an answer's work; returns whether there is more."""
        if not self.working:
            return False
        pieces = self._pieces
        try:
            if self._made:
                self.busy = True
                piece = pieces[0]
                self._write(piece[:_PIECE])
                if len(piece) > _PIECE:
                    pieces[0] = piece[_PIECE:]
                else:
                    pieces.pop(0)
                if not pieces:
                    self.busy = self._made = False
            elif self._answer:
                # Nothing is written before the line is made: a command that fails leaves no half
                # of one, and what else there is to write does not wait for its work.
                piece = next(self._answer, None)
                if piece is not None:
                    pieces.append(piece)
                    self._made = piece.endswith("\n")
                elif pieces:
                    self._fail("it broke off")
                else:
                    self._answer = None
        except Exception as problem:
            self._crashed(problem)
        if not (self._made or self._answer):
            self.working = False
            self._next()
        return self.working

    def _next(self):
        """Begins with the next answer, if there is one, in the order in which the lines came."""
        try:
            if self._due:
                self._due = False
                error = "lines refused; wait for each answer"
            elif self._waits:
                line = self._buffer[: self._size]
                too_long = self._waits == _TOO_LONG
                self._size = self._waits = 0
                self._due = self._refused
                self._refused = False
                try:
                    if too_long:
                        error = "more than {} bytes in a line".format(LONGEST)
                    elif min(line) < 32:
                        raise UnicodeError
                    else:
                        self._answer = self._commands(str(line, "utf-8"))
                        self.working = True
                        return
                except UnicodeError:
                    error = "no text: " + shown(bytes(line[:_ECHO]))
            else:
                return
            self._fail(error)
        except Exception as problem:
            self._crashed(problem)

    def _fail(self, error):
        head = self._pieces[0] if self._pieces else '{"reply":""'
        self._pieces = [head, ',"error":' + dumps(error) + "}\n"]
        self._answer = None
        self._made = self.working = True

    def _crashed(self, problem):
        try:
            if self._made:
                # It was `write`: what is left of the line could only fail again.
                self.busy = self._made = False
                self._pieces.clear()
            else:
                said = "{}: {}".format(type(problem).__name__, problem)
                self._fail("it crashed: " + said[: 2 * _ECHO])
        except Exception:
            # Not even the memory to say so.
            self._pieces.clear()
            self._pieces.append('{"reply":"","error":"it crashed"}\n')
            self._made = self.working = True
        self._answer = None
        try:
            self._on_crash(problem)
        except Exception:
            pass


def shown(data):
    """The beginning of any bytes in at most 40 printable ASCII characters."""
    return repr(data)[2:-1][:_ECHO]
