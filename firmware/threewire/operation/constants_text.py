"""Constants as text: what somebody types after `calibrate`, and what is stored of it.

Flow: console's commands, stored constants -> CONSTANTS TEXT -> calibration.  MicroPython's json
reads {"v1_nv"}, missing commas and wrong brackets, and makes something of them.  Constants are
what was meant, or refused.
"""

from micropython import const

from threewire.operation.console import shown

# The converter's errors: a pair in a list in an object in an object.
_DEEPEST = const(4)
# Blanks, braces, brackets, commas and colons.
_MARKS = tuple(b" {}[],:")


def read(data):
    """What UTF-8 says: JSON of objects, lists, integers as JSON writes them and strings without
    blanks, marks or escapes, nested up to four deep and with no key twice; blanks stand between.

    Raises ValueError, with what it stumbles at, for any other bytes.
    """
    words = _words(data)
    found = _value(next(words), words, _DEEPEST)
    word = next(words)
    if word:
        _stumble(word)
    return found


def _words(data):
    """Yields marks and what is between them, and an empty word at the end.  Bytes, for each
    character that a string gives would be kept in memory for good."""
    start = 0
    for k, code in enumerate(data):
        if code in _MARKS:
            if k > start:
                yield data[start:k]
            if code != 32:
                yield data[k : k + 1]
            start = k + 1
    if start < len(data):
        yield data[start:]
    yield b""


def _value(word, words, depth):
    """The value that begins with a word."""
    if word == b"{":
        found = {}
        end = b"}"
    elif word == b"[":
        found = []
        end = b"]"
    else:
        return _plain(word)
    if not depth:
        _stumble(word)
    word = next(words)
    while word != end:
        if end == b"]":
            found.append(_value(word, words, depth - 1))
        else:
            key = _plain(word)
            if not isinstance(key, str):
                _stumble(word)
            if key in found:
                raise ValueError(shown(word) + " is there twice")
            word = next(words)
            if word != b":":
                _stumble(word)
            found[key] = _value(next(words), words, depth - 1)
        word = next(words)
        if word == b",":
            word = next(words)
            if word == end:
                _stumble(word)
        elif word != end:
            _stumble(word)
    return found


def _plain(word):
    """The string or integer that a word is."""
    inner = word[1:-1]
    try:
        if word == b'"' + inner + b'"':
            if b'"' not in inner and b"\\" not in inner:
                return str(inner, "utf-8")
        else:
            value = int(str(word, "utf-8"))
            # Not 007, nor -0, nor what else is a number to Python.
            if str(value).encode() == word:
                return value
    except ValueError:
        pass
    _stumble(word)


def _stumble(word):
    where = "`" + shown(word) + "`" if word else "its end"
    raise ValueError("no whole JSON of integers, at " + where + '; it is like {"v1_nv":110000000}')
