"""The arithmetic of reactive energy in viper, what a window's powers by phasors are and booking
them: for the host, and for chips that have no twin of it in assembler.

Flow: window -> FLOWS -> reactive -> BOOK -> its registers.  Numbers are as in wide.py.  As in
window_viper.py no intermediate leaves 31 bits, or its sign is taken off, so that words of 32 and
of 64 bits give the same.  All chips have this file: it runs once a window.
"""

import micropython
from micropython import const

_DIGITS = const(10)
# Words, as in reactive.py: viper takes constants of this file only.
_ALL = const(30)
_TOTAL = const(60)
_GAINS = const(90)
_TICKS = const(102)
_POINTS = const(104)
_WAITED = const(106)
_RECEIVED = const(108)
_LEAST = const(112)
_UNIT = const(122)
_ROOM = const(132)
_OTHER = const(142)
_WH = const(152)
_REGISTERS = const(170)
_OF_EACH = const(6)
# Of a window, as in window.py.
_ACTIVE = const(100)
_REACTIVE = const(120)


@micropython.viper
def flows(f: ptr16, w: ptr16, k: int):
    """Called as flows(f, w, allowed): writes what a window, whose words are `w`, has of each
    element that is allowed (bits 1 and 2), and of both: watts, rounded down, and var and watts of
    the mains frequency, rounded toward zero, in nV * nA."""
    allowed = k  # as in kernel_viper.py's `scan`, a register is for what the loops need most
    e = 0
    while e < 2:
        which = 0
        while which < 3:
            to = _ALL * e + _DIGITS * which
            k = 0
            while k < _DIGITS:
                f[to + k] = 0
                k += 1
            at = _DIGITS * e
            n = f[_POINTS] | (f[_POINTS + 1] << 16)
            if which == 0:
                n = f[_TICKS] | (f[_TICKS + 1] << 16)
            elif which == 1:
                at += _REACTIVE
            else:
                at += _ACTIVE
            # The number without its sign, and how many digits it has.
            negative = w[at + _DIGITS - 1] >> 15
            flip = 0
            if negative:
                flip = 0xFFFF
            carry = negative
            size = 0
            k = 0
            while k < _DIGITS:
                carry += w[at + k] ^ flip
                digit = carry & 0xFFFF
                f[_ROOM + k] = digit
                if digit:
                    size = k + 1
                carry >>= 16
                k += 1
            if not (allowed >> e) & 1:
                size = 0
            # Times the gain, but for the watts, which have it.
            j = 0
            at = _GAINS + 6 * e
            if which:
                negative ^= f[at + 4]
            while size and j < 4:
                digit = f[at + j]
                if not which:
                    digit = 1
                carry = 0
                k = 0
                while k <= size and j + k < _DIGITS:
                    carry += digit * f[_ROOM + k] + f[to + j + k]
                    f[to + j + k] = carry & 0xFFFF
                    # It was up to 2**32 - 1: its sign is none.
                    carry = (carry >> 16) & 0xFFFF
                    k += 1
                j += 1
                if not which:
                    j = 4
            # Over n, so many bits at a time that a remainder with them has no more than 31.
            bits = 8
            while n >> (31 - bits):
                bits >>= 1
            mask = (1 << bits) - 1
            rest = 0
            k = _DIGITS
            if not size:
                k = 0
            while k:
                k -= 1
                digit = f[to + k]
                t = 0
                if digit or rest:
                    left = 16
                    while left:
                        left -= bits
                        rest = (rest << bits) | ((digit >> left) & mask)
                        t <<= bits
                        if rest >= n:
                            digits = rest // n
                            rest -= digits * n
                            t |= digits
                f[to + k] = t
            # Over 2**32, or 2**17.
            if not which:
                rest |= f[to] | f[to + 1]
            k = 0
            while k < _DIGITS:
                t = 0
                if k + 2 < _DIGITS:
                    t = f[to + k + 2]
                    if which:
                        t = (t << 15) & 0xFFFF
                if which and k + 1 < _DIGITS:
                    t |= f[to + k + 1] >> 1
                f[to + k] = t
                k += 1
            if negative:
                # -(q + 1) is the complement of q, and -q one more.
                carry = 1
                if rest and not which:
                    carry = 0
                k = 0
                while k < _DIGITS:
                    carry += f[to + k] ^ 0xFFFF
                    f[to + k] = carry & 0xFFFF
                    carry >>= 16
                    k += 1
            which += 1
        e += 1
    k = 0
    while k < _ALL:
        carry = 0
        end = k + _DIGITS
        while k < end:
            carry += f[k] + f[_ALL + k]
            f[_TOTAL + k] = carry & 0xFFFF
            carry >>= 16
            k += 1


@micropython.viper
def book(f: ptr16) -> int:
    """Books what `flows` has written, over the ticks that are waited for, in the registers: each
    where it is as much as the least.  Returns which registers have come to whole watt-hours, 1 for
    the first, 2 for the second and so on: these are then in their words."""
    j = 0  # in a register, as the first three variables are, and so is the next
    carry = 0
    found = 0
    k = 0
    while k < 3:
        flow = 1
        while flow < 3:
            # The number without its sign; and that of the watts beside it.
            at = _ALL * k + _DIGITS * flow
            room = _ROOM
            negative = 0
            received = 0
            while room:
                sign = f[at + _DIGITS - 1] >> 15
                flip = 0
                if sign:
                    flip = 0xFFFF
                carry = sign
                j = 0
                while j < _DIGITS:
                    carry += f[at + j] ^ flip
                    f[room + j] = carry & 0xFFFF
                    carry >>= 16
                    j += 1
                if room == _ROOM:
                    negative = sign
                    at = _ALL * k
                    room = _OTHER
                    if flow == 2:
                        room = 0
                else:
                    received = sign
                    room = 0
            j = _DIGITS - 1
            while j and f[_ROOM + j] == f[_LEAST + j]:
                j -= 1
            if f[_ROOM + j] >= f[_LEAST + j]:
                to = 4 + negative
                if flow == 1:
                    # Where the watts are enough to tell which way they flow.
                    j = _DIGITS - 1
                    while j and f[_OTHER + j] == f[_LEAST + j]:
                        j -= 1
                    if f[_OTHER + j] >= f[_LEAST + j]:
                        # Against the 128th of the var.
                        more = 0
                        t = 0
                        j = _DIGITS
                        while j and not more:
                            j -= 1
                            t = f[_ROOM + j] >> 7
                            if j + 1 < _DIGITS:
                                t |= (f[_ROOM + j + 1] << 9) & 0xFFFF
                            if f[_OTHER + j] != t:
                                more = 1
                        if f[_OTHER + j] >= t:
                            f[_RECEIVED + k] = received
                    to = 3 * negative
                    if f[_RECEIVED + k]:
                        to = 1 + negative
                to += _OF_EACH * k
                at = _REGISTERS + _DIGITS * to
                i = 0
                while i < 2:
                    digit = f[_WAITED + i]
                    carry = 0
                    j = i
                    while j < _DIGITS:
                        carry += digit * f[_ROOM + j - i] + f[at + j]
                        f[at + j] = carry & 0xFFFF
                        carry = (carry >> 16) & 0xFFFF
                        j += 1
                    i += 1
                more = 1
                while more:
                    j = _DIGITS - 1
                    while j and f[at + j] == f[_UNIT + j]:
                        j -= 1
                    more = 0
                    if f[at + j] >= f[_UNIT + j]:
                        more = 1
                        found |= 1 << to
                        f[_WH + to] = f[_WH + to] + 1
                        carry = 0
                        j = 0
                        while j < _DIGITS:
                            carry += f[at + j] - f[_UNIT + j]
                            f[at + j] = carry & 0xFFFF
                            carry >>= 16
                            j += 1
            flow += 1
        k += 1
    return found
