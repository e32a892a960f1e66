"""MicroPython's `micropython` module for CPython: enough for the firmware to run unchanged.

Viper's types become builtins, because its annotations are evaluated where the functions are
defined; a pointer to a buffer is the buffer itself, which indexes alike. Python's integers do not
wrap: an overflow that viper would hide is an OverflowError here, when it is stored in an int32
array.
"""

import builtins
import importlib


def _pointer(buffer):
    return buffer


def _halves(buffer):
    """A pointer to 16 bits is also made of one to words, to read their halves."""
    if getattr(buffer, "typecode", "H") == "i":
        return memoryview(buffer).cast("B").cast("H")
    return buffer


class _Address:
    """Of an array of words; what is so many bytes behind it is a pointer again."""

    def __init__(self, words):
        self._words = memoryview(words)

    def __add__(self, count):
        return self._words[count // self._words.itemsize :]


def _unsigned(value):
    return value if isinstance(value, int) else _Address(value)


for _name, _type in (
    ("ptr8", _pointer),
    ("ptr16", _halves),
    ("ptr32", _pointer),
    ("uint", _unsigned),
):
    setattr(builtins, _name, _type)


def const(value):
    return value


# Modules of the firmware -> what does the same as their functions more quickly here.
_IN_INTS = {
    "threewire.metering.words_viper": "words_in_ints",
    "threewire.metering.reactive_viper": "reactive_in_ints",
    "threewire.metering.wide": "window_in_ints",
    "threewire.metering.window_viper": "window_in_ints",
    "threewire.metering.window_words": "window_in_ints",
}


def viper(function):
    """The function itself, or what does the same more quickly here; `__wrapped__` is the other."""
    ints = _IN_INTS.get(function.__module__)
    if not ints:
        return function
    twin = importlib.import_module(ints).TWINS.get(function.__name__)
    if not twin:
        return function
    vars(twin)["__wrapped__"] = function
    return twin


def native(function):
    return function
