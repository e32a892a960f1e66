"""MicroPython's `micropython` module for CPython: enough for the firmware to run unchanged.

Viper's types become builtins, because its annotations are evaluated where the functions are
defined; a pointer to a buffer is the buffer itself, which indexes alike. Python's integers do not
wrap: an overflow that viper would hide is an OverflowError here, when it is stored in an int32
array.
"""

import builtins


def _pointer(buffer):
    return buffer


def _halves(buffer):
    """A pointer to 16 bits is also made of one to words, to read their halves."""
    if getattr(buffer, "typecode", "H") == "i":
        return memoryview(buffer).cast("B").cast("H")
    return buffer


for _name, _type in (("ptr8", _pointer), ("ptr16", _halves), ("ptr32", _pointer), ("uint", int)):
    setattr(builtins, _name, _type)


def const(value):
    return value


def viper(function):
    return function


native = viper
