"""Integers of 160 bits, in arrays of 16-bit words: what each mains cycle reckons with.

Flow: stretch, flow (viper on the words) <- WIDE -> ints, for whoever reads or writes one now and
then.  A big integer allocates, and its code runs from the flash; a word in an array does neither.
Ten words, the lowest first, the sign as two's complement has it: a raw energy (accumulator) of
10**9 Wh fits.
"""

from array import array

import micropython
from micropython import const

WORDS = const(10)
_ONE_MORE = 1 << 160
# Kept, for what is allocated is garbage soon.
_copy = array("H", bytes(2 * WORDS))


@micropython.native
def number(words, at):
    """The int at words[at]."""
    is_negative = _take(_copy, words, at)
    value = int.from_bytes(_copy, "little")
    return value - _ONE_MORE if is_negative else value


@micropython.viper
def _take(to: ptr16, words: ptr16, at: int) -> int:
    """Copies the words of the number at words[at]; returns whether it is negative."""
    k = 0
    while k < WORDS:
        to[k] = words[at + k]
        k += 1
    return to[WORDS - 1] >> 15


def put(words, at, value):
    """Writes an int of less than 2**159 either way to words[at]."""
    words[at : at + WORDS] = array("H", (value & (_ONE_MORE - 1)).to_bytes(2 * WORDS, "little"))


def double(words, at):
    """The int, 0 to 2**32 - 1, of the two words at words[at]."""
    return words[at] | words[at + 1] << 16


def put_double(words, at, value):
    """Writes such an int to words[at]."""
    words[at] = value & 0xFFFF
    words[at + 1] = value >> 16


def less(a, b):
    """a - b of two that go round."""
    value = (a - b) & (_ONE_MORE - 1)
    return value - _ONE_MORE if value >> 159 else value


@micropython.viper
def top(words: ptr16, at: int, other: int) -> int:
    """The highest place, 1 at least, whose word tells more of the number at words[at], or of that
    at words[other], than its sign."""
    k = WORDS - 1
    while k > 1:
        for _ in range(2):
            high = words[at + k]
            low = words[at + k - 1]
            if high != (0xFFFF if low >> 15 else 0):
                return k
            at, other = other, at
        k -= 1
    return k


@micropython.viper
def differ(one: ptr16, other: ptr16, count: int) -> int:
    """Of `count` numbers, 30 at most, one behind the other, a bit for each that is not as in the
    other words: bit 0 for the first."""
    found = 0
    bit = 1
    k = 0
    while count:
        count -= 1
        end = k + WORDS
        is_other = 0
        while k < end:
            is_other |= one[k] ^ other[k]
            k += 1
        if is_other:
            found |= bit
        bit <<= 1
    return found


@micropython.viper
def multiply(to: ptr16, at: int, words: ptr16, factor: int):
    """Writes the number at words[0], times an int of less than 2**31 either way, to to[at]; behind
    it the same with the other sign."""
    other = at + WORDS
    if factor < 0:
        factor = 0 - factor
        other = at
        at += WORDS
    k = 0
    while k < WORDS:
        to[at + k] = 0
        k += 1
    j = 0
    while j < 2:
        digit = factor & 0xFFFF
        factor >>= 16
        k = j
        carry = 0
        while k < WORDS:
            carry += digit * words[k - j] + to[at + k]
            to[at + k] = carry & 0xFFFF
            # It was up to 2**32 - 1: its sign is none.
            carry = (carry >> 16) & 0xFFFF
            k += 1
        j += 1
    k = 0
    carry = 1
    while k < WORDS:
        carry += to[at + k] ^ 0xFFFF
        to[other + k] = carry & 0xFFFF
        carry >>= 16
        k += 1
