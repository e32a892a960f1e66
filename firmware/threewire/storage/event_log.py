"""What was changed on the board and when, in lines of JSON; and the traceback of the last crash.

Flow: console, main -> EVENT LOG -> file system -> console.  Two files take turns: when the newer
is full, the older one begins anew.  littlefs commits what is appended when the file is closed, all
or nothing; elsewhere a line that power has cut short is told by its CRC and passed over.
"""

import binascii

from micropython import const

from threewire.storage.folder import ENOENT, create

_FILE_BYTES = const(2048)
_TRACEBACK_MOST = const(1024)
# Of what an entry says, as JSON: it has 1000 bytes at most, so that a file holds two.
_WHAT_MOST = const(64)
_TIME_MOST = const(24)
_VALUE_MOST = const(400)
_TAIL = const(18)  # what _tail gives


class EventLog:
    """One part of the log, in at most 4 kB of files, and the traceback.  What may wash old entries
    out of a part is in no other.

    fs         module or object with os's mkdir(path)
    open_file  the open(path, mode) that goes with it
    folder     of the log, made when first needed
    json       the module of that name
    part       the part's name
    """

    def __init__(self, fs, open_file, folder, json, part="log"):
        self._fs = fs
        self._open = open_file
        self._dumps = json.dumps
        self._loads = json.loads
        self._folder = folder
        self._paths = ["{}/{}.{}".format(folder, part, k) for k in (0, 1)]
        self._traceback = folder + "/traceback"
        self._n = None  # number of the last entry; unknown until the files have been read
        self._newer = 0
        self._size = 0  # of the newer file

    def append(self, seconds, what, old=None, new=None):
        """Adds an entry, numbered on from the last; returns whether that worked, and never raises.

        seconds   metered time, an integer or a decimal as text
        what      happened
        old, new  values that JSON knows; of what is longer than 400 characters of it, the
                  beginning is kept as text
        """
        try:
            if self._n is None:
                self._find()
            body = '{"n":%d,"t":%s,"what":%s,"old":%s,"new":%s' % (
                self._n + 1,
                self._json(seconds, _TIME_MOST),
                self._json(what, _WHAT_MOST),
                self._json(old, _VALUE_MOST),
                self._json(new, _VALUE_MOST),
            )
            body = body.encode()
            line = body + _tail(body) + b"\n"
            mode = "ab"
            if self._size + len(line) > _FILE_BYTES:
                self._newer = 1 - self._newer
                self._size = 0
                mode = "wb"
            with create(
                self._fs, self._open, self._folder, self._paths[self._newer], mode
            ) as file:
                file.write(line)
        except Exception:
            self._n = None  # what there is now has to be looked at again
            return False
        self._n += 1
        self._size += len(line)
        return True

    def lines(self):
        """Yields the entries, the newest last, each the text of a JSON object with the keys n, t,
        what, old and new: at most what two files hold.
        """
        if self._n is None:
            self._find()
        for path in (self._paths[1 - self._newer], self._paths[self._newer]):
            for _, text in self._entries(self._read(path, _FILE_BYTES)):
                yield text

    def has(self, new):
        """Whether there is an entry with this as the new value, however it had to be written."""
        end = '"new":' + self._json(new, _VALUE_MOST) + "}"
        return any(line.endswith(end) for line in self.lines())

    def keep_traceback(self, text):
        """Keeps the last 1024 bytes of a text in the place of the one before; returns whether that
        worked, and never raises.
        """
        try:
            data = text[-_TRACEBACK_MOST:].encode()[-_TRACEBACK_MOST:]
            # Not from the middle of a character on.
            while data and data[0] & 0xC0 == 0x80:
                data = data[1:]
            with create(self._fs, self._open, self._folder, self._traceback, "wb") as file:
                file.write(data)
        except Exception:
            return False
        return True

    def traceback(self):
        """The text that was kept last, "" if none was."""
        data = self._read(self._traceback, _TRACEBACK_MOST) or b""
        try:
            return str(data, "utf-8")
        except ValueError:
            return "".join([chr(byte) if byte < 128 else "?" for byte in data])

    def _find(self):
        """Finds the last entry, and which file is the newer one."""
        last = [0, 0]
        full = [0, 0]
        for k, path in enumerate(self._paths):
            data = self._read(path, _FILE_BYTES)
            for n, _ in self._entries(data):
                last[k] = n
            # Nothing is added to a file that cannot be read, or whose last line is cut short.
            full[k] = _FILE_BYTES if data is None or data[-1:] not in b"\n" else len(data)
        self._newer = 1 if last[1] > last[0] else 0
        self._size = full[self._newer]
        self._n = last[self._newer]

    def _read(self, path, most):
        """The first `most` bytes of a file, b"" where there is none, None if it cannot be read."""
        try:
            with self._open(path, "rb") as file:
                return file.read(most)
        except OSError as problem:
            return b"" if problem.errno == ENOENT else None

    def _entries(self, data):
        """Yields number and text of each whole entry in a file's bytes."""
        for line in (data or b"").split(b"\n"):
            body = line[:-_TAIL]
            if line[-_TAIL:] == _tail(body):
                try:
                    text = str(body, "utf-8") + "}"
                    self._loads(text)
                    yield int(body[5 : body.find(b",")]), text
                except Exception:
                    pass  # somebody else's: it may be no JSON, or of keys that cannot be such

    def _json(self, value, most):
        """The value as JSON in ASCII, or its beginning as text, in `most` characters."""
        whole = text = _ascii(self._dumps(value)[: most + 1])
        keep = most
        while len(text) > most:
            keep -= keep >> 2
            text = self._dumps(whole[:keep] + "...")
        return text


def _ascii(json):
    """JSON with escapes for all that is not printable ASCII, which it can have in texts only."""
    parts = []
    for c in json:
        code = ord(c)
        if code > 0xFFFF:
            code -= 0x10000
            parts.append("\\u%04x" % (0xD800 + (code >> 10)))
            code = 0xDC00 + (code & 0x3FF)
        parts.append(c if code < 127 else "\\u%04x" % code)
    return "".join(parts)


def _tail(body):
    """What ends the line of an entry, given all before it."""
    return (',"crc":"%08x"}' % binascii.crc32(body)).encode()
