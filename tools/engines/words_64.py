"""A mains cycle's arithmetic on words of 32 bits in machine words of 64: the host's own.

Flow: kernel's sums -> RECKON -> accumulator; stretch's energies -> BOOK -> registers.  Twins of
those in words_viper.py, which chips and engines of 32 bits run: same calls, same energies and
registers to the last bit.  A number of wide.py is five words here, and what is done to each is
written out: with an index that is a constant viper makes a third of the instructions.
"""

import micropython
from micropython import const

# As in words_viper.py, which tells of them, in words of 32 bits where it has two of 16: viper
# takes constants of this file only.
_WORDS = const(5)
_STAGE = const(30)  # of 16 bits
_ELAPSED = const(16)
_CARRIED = const(17)
_TOTAL = const(27)
_WORTH = const(37)
_OFFSETS = const(77)
_NOW = const(8)
_BEFORE_X = const(16)
_PREV_X1 = const(10)
_SX1 = const(13)
_XY1 = const(15)
_NEXT_SUMS = const(6)
_OUT = const(5)
_UNIT = const(10)
_IN_WH = const(30)  # of 16 bits
_HELD = const(16)
_MOST = const(21)
_ENOUGH = const(26)
_SUM = const(31)
_NEXT = const(36)
_TICKS = const(41)
_LITTLE = const(42)
_SECOND = const(43)
_OPEN = const(88)  # of 16 bits, as the next three
_ROOT = const(89)
_SHIFT_BYTES = const(90)
_SHIFT_BITS = const(91)
_FLOWED = const(46)
_SIZE = const(51)
_ALL = const(0xFFFFFFFF)
_SIGN = const(0x80000000)


@micropython.viper
def reckon(by: ptr32, to: ptr32, b: ptr32, n: int):
    """Called as reckon(st, w, b, n), as words_viper.py's.  What is kept of each term is 64 bits
    in two words, the lower first."""
    # Viper keeps a function's first three variables in registers, and all others on the stack.
    st = by
    w = to
    kept = b
    ends = n < 0
    if ends:
        n = 0 - n
    e = 0
    while e < 2:
        by = ptr32(uint(w) + 8 * e)
        x0 = (by[_OFFSETS] ^ _SIGN) - _SIGN
        y0 = (by[_OFFSETS + 1] ^ _SIGN) - _SIGN
        by = ptr32(uint(st) + 4 * _NEXT_SUMS * e)
        x = (by[_SX1] ^ _SIGN) - _SIGN
        y = (by[_SX1 + 1] ^ _SIGN) - _SIGN
        # Element.central: offsets are up to 34432, frames 62500, sums of codes 1.4e8, of their
        # products 2**40: nothing has more than 52 bits.
        same = (((by[_XY1] ^ _SIGN) - _SIGN) << 12) + by[_XY1 + 1]
        now = (same << 8) - ((y0 * x + x0 * y) << 4) + n * x0 * y0
        step = (((by[_XY1 + 2] ^ _SIGN) - _SIGN) << 12) + by[_XY1 + 3] - same
        to = ptr32(uint(w) + 4 * _WORDS * e)
        b = ptr32(uint(kept) + 16 * e)
        # Beginning with what is carried in.
        carried = 4 * _CARRIED
        term = 0
        while term < 2:
            if term:
                now = (step << 8) - ((y0 * (kept[_BEFORE_X + e] - st[_PREV_X1 + e])) << 4)
                b = ptr32(uint(b) + 8)
                carried = 0
            b[_NOW] = now
            b[_NOW + 1] = now >> 32
            now -= b[0] + (b[1] << 32)
            by = ptr32(uint(w) + 4 * (_WORTH + 4 * _WORDS * e + 2 * _WORDS * term))
            if now < 0:
                now = 0 - now
                by = ptr32(uint(by) + 4 * _WORDS)
            of = ptr32(uint(to) + carried)
            # A product of two words and what is added to it are under 2**64, and have no sign.
            x = now & _ALL
            y = x * by[0] + of[0]
            to[0] = y
            y = x * by[1] + ((y >> 32) & _ALL) + of[1]
            to[1] = y
            y = x * by[2] + ((y >> 32) & _ALL) + of[2]
            to[2] = y
            y = x * by[3] + ((y >> 32) & _ALL) + of[3]
            to[3] = y
            to[4] = x * by[4] + ((y >> 32) & _ALL) + of[4]
            x = now >> 32
            if x:
                y = x * by[0] + to[1]
                to[1] = y
                y = x * by[1] + ((y >> 32) & _ALL) + to[2]
                to[2] = y
                y = x * by[2] + ((y >> 32) & _ALL) + to[3]
                to[3] = y
                to[4] = x * by[3] + ((y >> 32) & _ALL) + to[4]
            term += 1
        if ends:
            by = ptr32(uint(to) + 4 * _TOTAL)
            y = to[0] + by[0]
            by[0] = y
            y = (y >> 32) + to[1] + by[1]
            by[1] = y
            y = (y >> 32) + to[2] + by[2]
            by[2] = y
            y = (y >> 32) + to[3] + by[3]
            by[3] = y
            by[4] = (y >> 32) + to[4] + by[4]
            to[_CARRIED] = 0
            to[_CARRIED + 1] = 0
            to[_CARRIED + 2] = 0
            to[_CARRIED + 3] = 0
            to[_CARRIED + 4] = 0
            b[0] = b[_NOW]
            b[1] = b[_NOW + 1]
            b = ptr32(uint(kept) + 16 * e)
            b[0] = b[_NOW]
            b[1] = b[_NOW + 1]
        e += 1


@micropython.viper
def book(e: ptr32, w: ptr32, size: ptr32, net: ptr32) -> int:
    """Called as book(e, one, two, net), as words_viper.py's."""
    two = size
    of_16 = ptr16(e)
    stage = of_16[_STAGE]
    ticks = e[_ELAPSED]
    k = 0
    while k < 3:
        if k == 1:
            w = two
        elif k == 2:
            w = net
            # The net of those that count.
            first = _ALL if stage & 4 else 0
            second = _ALL if stage & 8 else 0
            c = (e[0] & first) + (e[5] & second)
            e[10] = c
            c = (c >> 32) + (e[1] & first) + (e[6] & second)
            e[11] = c
            c = (c >> 32) + (e[2] & first) + (e[7] & second)
            e[12] = c
            c = (c >> 32) + (e[3] & first) + (e[8] & second)
            e[13] = c
            e[14] = (c >> 32) + (e[4] & first) + (e[9] & second)
        if k == 2 or not (stage >> k) & 1:
            of_16 = ptr16(w)
            is_open = of_16[_OPEN]
            if is_open == 3:
                return -1
            # What is held, and what comes.
            size = ptr32(uint(e) + 4 * _WORDS * k)
            held = w[_HELD] | w[_HELD + 1] | w[_HELD + 2] | w[_HELD + 3] | w[_HELD + 4]
            if held:
                c = w[_HELD] + size[0]
                w[_SUM] = c
                c = (c >> 32) + w[_HELD + 1] + size[1]
                w[_SUM + 1] = c
                c = (c >> 32) + w[_HELD + 2] + size[2]
                w[_SUM + 2] = c
                c = (c >> 32) + w[_HELD + 3] + size[3]
                w[_SUM + 3] = c
                w[_SUM + 4] = (c >> 32) + w[_HELD + 4] + size[4]
                size = ptr32(uint(w) + 4 * _SUM)
            total = size
            negative = size[4] >> 31
            if negative:
                c = (size[0] ^ _ALL) + 1
                w[_SIZE] = c
                c = (c >> 32) + (size[1] ^ _ALL)
                w[_SIZE + 1] = c
                c = (c >> 32) + (size[2] ^ _ALL)
                w[_SIZE + 2] = c
                c = (c >> 32) + (size[3] ^ _ALL)
                w[_SIZE + 3] = c
                w[_SIZE + 4] = (c >> 32) + (size[4] ^ _ALL)
                size = ptr32(uint(w) + 4 * _SIZE)
            # Is it noise?  As in `booked`, shift and all.
            holds = 0
            passed = 0
            second = w[_SECOND]
            j = 4
            while j and size[j] == w[_MOST + j]:
                j -= 1
            if size[j] < w[_MOST + j]:
                passed = w[_TICKS] + ticks
                if passed > second:
                    passed = second
                j = of_16[_SHIFT_BYTES] >> 1
                bits = of_16[_SHIFT_BITS]
                halves = ptr16(total)
                root = ((halves[j] >> bits) | (halves[j + 1] << (16 - bits))) & 0xFFFF
                if negative:
                    root = 0x10000 - root
                # Roots are up to 2**14, and times 2**30.
                c = of_16[_ROOT]
                if root * root * second <= c * c * passed:
                    holds = 1
            if not is_open:
                if not holds:
                    return -1
            elif is_open == 1:
                # What has flowed since there was enough: more than a second of too little shuts
                # the gate.
                little = 0
                j = 4
                while j and size[j] == w[_ENOUGH + j]:
                    j -= 1
                if holds or size[j] < w[_ENOUGH + j]:
                    little = w[_LITTLE]
                    j = 0
                    c = 0
                    while j < _WORDS:
                        if little:
                            c += w[_FLOWED + j]
                        if not holds:
                            c += size[j]
                        w[_NEXT + j] = c
                        c >>= 32
                        j += 1
                    little += ticks
                    j = 4
                    while j and w[_NEXT + j] == w[_ENOUGH + j]:
                        j -= 1
                    if w[_NEXT + j] >= w[_ENOUGH + j]:
                        little = 0
                    elif little >= second:
                        return -1
                    else:
                        j = 0
                        while j < _WORDS:
                            w[_FLOWED + j] = w[_NEXT + j]
                            j += 1
                w[_LITTLE] = little
            counts = 1
            wh = 0
            if holds:
                w[_TICKS] = passed
                w[_HELD] = total[0]
                w[_HELD + 1] = total[1]
                w[_HELD + 2] = total[2]
                w[_HELD + 3] = total[3]
                w[_HELD + 4] = total[4]
                if not is_open:
                    counts = 0
            else:
                w[_TICKS] = 0
                if held:
                    w[_HELD] = 0
                    w[_HELD + 1] = 0
                    w[_HELD + 2] = 0
                    w[_HELD + 3] = 0
                    w[_HELD + 4] = 0
                # Into the register.
                register = w
                if negative:
                    w = ptr32(uint(w) + 4 * _OUT)
                c = w[0] + size[0]
                w[0] = c
                c = (c >> 32) + w[1] + size[1]
                w[1] = c
                c = (c >> 32) + w[2] + size[2]
                w[2] = c
                c = (c >> 32) + w[3] + size[3]
                w[3] = c
                w[4] = (c >> 32) + w[4] + size[4]
                size = ptr32(uint(register) + 4 * _UNIT)
                more = 1
                while more:
                    j = 4
                    while j and w[j] == size[j]:
                        j -= 1
                    more = 0
                    if w[j] >= size[j]:
                        more = 1
                        wh += 1
                        c = w[0] - size[0]
                        w[0] = c
                        c = (c >> 32) + w[1] - size[1]
                        w[1] = c
                        c = (c >> 32) + w[2] - size[2]
                        w[2] = c
                        c = (c >> 32) + w[3] - size[3]
                        w[3] = c
                        w[4] = (c >> 32) + w[4] - size[4]
                if wh:
                    of_16[_IN_WH + negative] = of_16[_IN_WH + negative] + wh
                    wh = 1
            if k == 2:
                if wh:
                    stage |= 64
            else:
                stage |= (1 << k) | (counts << (k + 2)) | (wh << (k + 4))
                of_16 = ptr16(e)
                of_16[_STAGE] = stage
        k += 1
    # How many times the net would take the delivered register to its next whole watt-hour.
    if not e[14] >> 31:
        k = 1
        while k <= 3:
            c = net[0] + e[10] * k - net[_UNIT]
            c = (c >> 32) + net[1] + e[11] * k - net[_UNIT + 1]
            c = (c >> 32) + net[2] + e[12] * k - net[_UNIT + 2]
            c = (c >> 32) + net[3] + e[13] * k - net[_UNIT + 3]
            if (c >> 32) + net[4] + e[14] * k - net[_UNIT + 4] >= 0:
                return stage | k << 7
            k += 1
    return stage
