"""A mains cycle's arithmetic in viper: for the host, and for chips that have no twin of it in
assembler.

Flow: kernel's sums -> RECKON -> accumulator; stretch's energies -> BOOK -> registers.  Numbers are
as in wide.py, of ten words of 16 bits.  As in kernel_viper.py no intermediate leaves 31 bits, or
its sign is taken off, so that words of 32 and of 64 bits give the same; where it has asked for the
latter, one product does for three.  A board whose chip runs words_thumb.py does not carry this
file.
"""

import micropython
from micropython import const

_DIGITS = const(10)
# Words of 16 bits of the stretch, as in stretch.py: viper takes constants of this file only.
_STAGE = const(30)
_ELAPSED = const(32)
_CARRIED = const(34)
_TOTAL = const(54)
_WORTH = const(74)
_OFFSETS = const(154)
_GAINED = const(162)
# Words of 32 bits of what it keeps: low 24 bits and the rest of each term.
_NOW = const(8)
_BEFORE_X = const(16)
# Of the kernel's state, as in kernel.py; element 2's sums are so many words further on.
_PREV_X1 = const(10)
_SX1 = const(13)
_XY1 = const(15)
_NEXT_SUMS = const(6)
# Words of 16 bits of a flow, as in flow.py.
_IN = const(0)
_OUT = const(10)
_UNIT = const(20)
_IN_WH = const(30)
_OUT_WH = const(31)
_HELD = const(32)
_MOST = const(42)
_ENOUGH = const(52)
_SUM = const(62)
_NEXT = const(72)
_TICKS = const(82)
_LITTLE = const(84)
_SECOND = const(86)
_OPEN = const(88)
_ROOT = const(89)
_SHIFT_BYTES = const(90)
_SHIFT_BITS = const(91)
_FLOWED = const(92)
_SIZE = const(102)


@micropython.viper
def reckon(st: ptr32, w: ptr16, b: ptr32, n: int):
    """Energies of what there is in the kernel's state `st` beyond what `b` has kept, with those
    carried in, into `w`; n: frames of the segment, as a negative number where the stretch ends
    with them.  Then they are kept, and added to the totals."""
    halves = ptr16(st)
    kept = ptr16(b)
    # 2**48 - 1 where words have 64 bits, else 0.
    wide = 0x10000
    wide *= wide
    if wide:
        wide = (wide << 16) - 1
    ends = n < 0
    if ends:
        n = 0 - n
    k = 0
    while k < 2 * _DIGITS:
        w[k] = w[_CARRIED + k]
        k += 1
    e = 0
    while e < 2:
        at = _OFFSETS + 4 * e
        x0 = w[at] | (((w[at + 1] ^ 0x8000) - 0x8000) << 16)
        y0 = w[at + 2] | (((w[at + 3] ^ 0x8000) - 0x8000) << 16)
        # Element.central, as hi * 2**24 + lo, counts**2 / 256: n x0 y0, by 12 bits of x0 y0 at a
        # time.  Offsets are up to 34432, frames 62500, sums of codes 1.4e8: nothing has more than
        # 31 bits.
        p = x0 * y0
        lo = (p & 0xFFF) * n
        t = ((p >> 12) & 0xFFF) * n
        hi = (lo >> 24) + (t >> 12) + (p >> 24) * n
        lo = (lo & 0xFFFFFF) + ((t & 0xFFF) << 12)
        # - 16 (y0 sum x + x0 sum y), by 15 bits of the sums
        at = 2 * (_SX1 + _NEXT_SUMS * e)
        s = halves[at] | (((halves[at + 1] ^ 0x8000) - 0x8000) << 16)
        p = y0 * (s & 0x7FFF)
        t = y0 * (s >> 15)
        hi -= (p >> 20) + (t >> 5)
        lo -= ((p & 0xFFFFF) << 4) + ((t & 31) << 19)
        s = halves[at + 2] | (((halves[at + 3] ^ 0x8000) - 0x8000) << 16)
        p = x0 * (s & 0x7FFF)
        t = x0 * (s >> 15)
        hi -= (p >> 20) + (t >> 5)
        lo -= ((p & 0xFFFFF) << 4) + ((t & 31) << 19)
        # + 256 sum x y
        at = _XY1 + _NEXT_SUMS * e
        s = halves[2 * at] | (((halves[2 * at + 1] ^ 0x8000) - 0x8000) << 16)
        low = st[at + 1]
        hi += s >> 4
        lo += ((s & 15) << 20) + (low << 8)
        term = 0
        while term < 2:
            if term:
                # 256 sum (x[n-1] - x[n]) y - 16 y0 sum (x[n-1] - x[n])
                at += 2
                t = halves[2 * at] | (((halves[2 * at + 1] ^ 0x8000) - 0x8000) << 16)
                t -= s
                low = int(st[at + 1]) - low
                p = y0 * (int(b[_BEFORE_X + e]) - int(st[_PREV_X1 + e]))
                hi = (t >> 4) - (p >> 20)
                lo = ((t & 15) << 20) + (low << 8) - ((p & 0xFFFFF) << 4)
            hi += lo >> 24
            lo &= 0xFFFFFF
            k = 4 * e + 2 * term
            b[_NOW + k] = lo
            b[_NOW + k + 1] = hi
            # What it has gained, without its sign, in three words.
            lo -= int(b[k])
            k = 2 * k + 2
            hi -= kept[k] | (((kept[k + 1] ^ 0x8000) - 0x8000) << 16)
            hi += lo >> 24
            lo &= 0xFFFFFF
            worth = _WORTH + 4 * _DIGITS * e + 2 * _DIGITS * term
            if hi < 0:
                worth += _DIGITS
                lo = 0x1000000 - lo
                hi = (lo >> 24) - 1 - hi
                lo &= 0xFFFFFF
            w[_GAINED] = lo & 0xFFFF
            w[_GAINED + 1] = (lo >> 16) | ((hi & 0xFF) << 8)
            w[_GAINED + 2] = hi >> 8
            j = 0
            if wide:
                # In one go: it is under 2**48, and times a digit, with what is carried, under
                # 2**64.
                t = lo + (hi << 24)
                i = worth
                k = _DIGITS * e
                end = k + _DIGITS
                carry = 0
                while k < end:
                    carry = t * w[i] + carry + w[k]
                    w[k] = carry & 0xFFFF
                    carry = (carry >> 16) & wide
                    i += 1
                    k += 1
                j = 3
            while j < 3:
                digit = w[_GAINED + j]
                i = worth
                k = _DIGITS * e + j
                end = _DIGITS * e + _DIGITS
                carry = 0
                if not digit:
                    end = 0
                while k < end:
                    carry += digit * w[i] + w[k]
                    w[k] = carry & 0xFFFF
                    # It was up to 2**32 - 1: its sign is none.
                    carry = (carry >> 16) & 0xFFFF
                    i += 1
                    k += 1
                j += 1
            term += 1
        e += 1
    if ends:
        k = 0
        while k < _NOW:
            b[k] = b[_NOW + k]
            k += 1
        carry = 0
        k = 0
        while k < 2 * _DIGITS:
            if k == _DIGITS:
                carry = 0
            carry += w[k] + w[_TOTAL + k]
            w[_TOTAL + k] = carry & 0xFFFF
            carry >>= 16
            w[_CARRIED + k] = 0
            k += 1


@micropython.native
def book(e, one, two, net):
    """Takes the energies in `e` (a Stretch's words) that came in over its _ELAPSED ticks: books
    them, or holds them, in the flows of element 1 and 2, and the net of those that count in that
    of both.  Returns a sum of

    1, 2     element 1, element 2 is done
    4, 8     it counts: its gate is open
    16, 32   its registers have come to a whole watt-hour
    64       those of the net have
    128..384 1 to 3 times this: so many more nets like it would take the delivered register to its
             next watt-hour

    or -1: the first element that is not done is for ints.  With that noted in e[_STAGE], which
    else begins at 0, this is to be called again."""
    ticks = e[_ELAPSED] | e[_ELAPSED + 1] << 16
    stage = e[_STAGE]
    if not stage & 1:
        done = take(e, 0, one, ticks)
        if done < 0:
            return -1
        stage |= 1 | (done & 1) << 2 | (done & 2) << 3
        e[_STAGE] = stage
    if not stage & 2:
        done = take(e, _DIGITS, two, ticks)
        if done < 0:
            return -1
        stage |= 2 | (done & 1) << 3 | (done & 2) << 4
        e[_STAGE] = stage
    sum_up(e, stage >> 2)
    if take(e, 2 * _DIGITS, net, ticks) & 2:
        stage |= 64
    return stage | reaches(e, 2 * _DIGITS, net) << 7


@micropython.viper
def take(e: ptr16, k: int, w: ptr16, ticks: int) -> int:
    """Called as take(e, at, w, ticks): books, or holds, the energy at e[at] that came in over
    `ticks`; w: a Flow's words.  Returns -1 where it is for ints, and nothing has been done; else 1
    if the gate is open, and 2 if a register has come to a whole watt-hour."""
    at = k  # as in kernel_viper.py's `scan`, a register is for what the loops have to do with most
    is_open = w[_OPEN]
    if is_open == 3:
        return -1
    # What is held, and what comes.
    held = 0
    carry = 0
    k = 0
    while k < _DIGITS:
        t = w[_HELD + k]
        held |= t
        carry += t + e[at + k]
        w[_SUM + k] = carry & 0xFFFF
        carry >>= 16
        k += 1
    size = _SUM
    negative = w[_SUM + _DIGITS - 1] >> 15
    if negative:
        size = _SIZE
        carry = 1
        k = 0
        while k < _DIGITS:
            carry += w[_SUM + k] ^ 0xFFFF
            w[_SIZE + k] = carry & 0xFFFF
            carry >>= 16
            k += 1
    # Is it noise?  As in `booked`, shift and all.
    holds = 0
    passed = 0
    second = w[_SECOND] | (w[_SECOND + 1] << 16)
    k = _DIGITS - 1
    while k and w[size + k] == w[_MOST + k]:
        k -= 1
    if w[size + k] < w[_MOST + k]:
        passed = (w[_TICKS] | (w[_TICKS + 1] << 16)) + ticks
        if passed > second:
            passed = second
        k = _SUM + (w[_SHIFT_BYTES] >> 1)
        bits = w[_SHIFT_BITS]
        root = ((w[k] >> bits) | (w[k + 1] << (16 - bits))) & 0xFFFF
        if negative:
            root = 0x10000 - root
        holds = int(is_noise(root, second, w[_ROOT], passed))
    if not is_open:
        if not holds:
            return -1
    elif is_open == 1:
        # What has flowed since there was enough: more than a second of too little shuts the gate.
        little = 0
        k = _DIGITS - 1
        while k and w[size + k] == w[_ENOUGH + k]:
            k -= 1
        if holds or w[size + k] < w[_ENOUGH + k]:
            little = w[_LITTLE] | (w[_LITTLE + 1] << 16)
            carry = 0
            k = 0
            while k < _DIGITS:
                if little:
                    carry += w[_FLOWED + k]
                if not holds:
                    carry += w[size + k]
                w[_NEXT + k] = carry & 0xFFFF
                carry >>= 16
                k += 1
            little += ticks
            k = _DIGITS - 1
            while k and w[_NEXT + k] == w[_ENOUGH + k]:
                k -= 1
            if w[_NEXT + k] >= w[_ENOUGH + k]:
                little = 0
            elif little >= second:
                return -1
            else:
                k = 0
                while k < _DIGITS:
                    w[_FLOWED + k] = w[_NEXT + k]
                    k += 1
        w[_LITTLE] = little & 0xFFFF
        w[_LITTLE + 1] = little >> 16
    if not holds:
        passed = 0
    w[_TICKS] = passed & 0xFFFF
    w[_TICKS + 1] = passed >> 16
    if holds:
        k = 0
        while k < _DIGITS:
            w[_HELD + k] = w[_SUM + k]
            k += 1
        return 1 if is_open else 0
    if held:
        k = 0
        while k < _DIGITS:
            w[_HELD + k] = 0
            k += 1
    # Into the register.
    at = _IN
    if negative:
        at = _OUT
    carry = 0
    k = 0
    while k < _DIGITS:
        carry += w[at + k] + w[size + k]
        w[at + k] = carry & 0xFFFF
        carry >>= 16
        k += 1
    wh = 0
    more = 1
    while more:
        k = _DIGITS - 1
        while k and w[at + k] == w[_UNIT + k]:
            k -= 1
        more = 0
        if w[at + k] >= w[_UNIT + k]:
            more = 1
            wh += 1
            carry = 0
            k = 0
            while k < _DIGITS:
                carry += w[at + k] - w[_UNIT + k]
                w[at + k] = carry & 0xFFFF
                carry >>= 16
                k += 1
    if not wh:
        return 1
    at = _IN_WH
    if negative:
        at = _OUT_WH
    w[at] = w[at] + wh
    return 3


@micropython.viper
def is_noise(root: int, second: int, most_root: int, ticks: int) -> int:
    """Whether root**2 * second is at most most_root**2 * ticks, both roots up to 2**14 and both
    times up to 2**30: in three parts of 15 bits."""
    low = (second & 0x7FFF) * root
    mid = (second >> 15) * root + (low >> 15)
    low = (low & 0x7FFF) * root
    high = (mid >> 15) * root
    mid = (mid & 0x7FFF) * root + (low >> 15)
    high += mid >> 15
    low2 = (ticks & 0x7FFF) * most_root
    mid2 = (ticks >> 15) * most_root + (low2 >> 15)
    low2 = (low2 & 0x7FFF) * most_root
    high2 = (mid2 >> 15) * most_root
    mid2 = (mid2 & 0x7FFF) * most_root + (low2 >> 15)
    high2 += mid2 >> 15
    if high != high2:
        return 1 if high < high2 else 0
    mid = ((mid & 0x7FFF) << 15) | (low & 0x7FFF)
    mid2 = ((mid2 & 0x7FFF) << 15) | (low2 & 0x7FFF)
    return 1 if mid <= mid2 else 0


@micropython.viper
def sum_up(e: ptr16, which: int):
    """Writes the net of the energies at e[0] and e[10], of those that `which` says (1, 2 or 3),
    to e[20]."""
    k = 0
    carry = 0
    while k < _DIGITS:
        if which & 1:
            carry += e[k]
        if which & 2:
            carry += e[_DIGITS + k]
        e[2 * _DIGITS + k] = carry & 0xFFFF
        carry >>= 16
        k += 1


@micropython.viper
def reaches(e: ptr16, k: int, w: ptr16) -> int:
    """Called as reaches(e, at, w): how many times the energy at e[at] would take the delivered
    register to its next whole watt-hour, 1 to 3; 0: more often, or it is negative."""
    at = k
    if e[at + _DIGITS - 1] >> 15:
        return 0
    so_far = _IN
    times = 1
    while times <= 3:
        carry = 0
        k = 0
        while k < _DIGITS:
            carry += w[so_far + k] + e[at + k]
            w[_SUM + k] = carry & 0xFFFF
            carry >>= 16
            k += 1
        k = _DIGITS - 1
        while k and w[_SUM + k] == w[_UNIT + k]:
            k -= 1
        if w[_SUM + k] >= w[_UNIT + k]:
            return times
        so_far = _SUM
        times += 1
    return 0
