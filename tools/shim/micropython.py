"""MicroPython's `micropython` module for CPython: enough for the pure half of the firmware.

Viper's types become builtins, because its annotations are evaluated where the functions are
defined. Python's integers do not wrap: an overflow that viper would hide is an OverflowError here,
when it is stored in an int32 array.
"""

import builtins

for _name in ("ptr8", "ptr16", "ptr32", "uint"):
    setattr(builtins, _name, int)


def const(value):
    return value


def viper(function):
    return function


native = viper
