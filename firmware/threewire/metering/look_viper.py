"""The loop over samples of the voltages in viper: for the host, and for chips that have no twin of
it in assembler.

Flow: sampler -> sag -> LOOK -> line_voltage.py, which tells of the words.  A board whose chip runs
look_thumb.py does not carry this file.
"""

import micropython
from micropython import const

# Words and what is found, as in line_voltage.py: viper takes constants of this file only.
_COLLAPSED = const(1)
_CHANGED = const(2)
_MORE = const(0)
_FOUND = const(1)
_NEXT = const(2)
_STEP = const(3)
_SIZE = const(4)
_PERSIST = const(5)
_RECOVER = const(6)
_DOWN = const(7)
_UP = const(8)
_LEFT = const(9)
_BINS = const(10)
_SECONDS = const(11)
_OFFSET = const(12)
_SUM = const(13)
_SQUARES = const(14)
_DOWN_FOR = const(15)
_NOT_UP_FOR = const(16)
_UP_FOR = const(17)
_COUNTS = const(18)
_COLD = const(19)
_CYCLE_Q6 = const(20)
_WHOLE = const(21)
_PART_Q6 = const(22)
_MEAN = const(23)
_LEAST = const(24)
_MOST = const(25)
_RING = const(26)
_WORDS = const(42)
_BEFORE = const(0x1000000)


@micropython.viper
def look(codes: ptr16, pos: int, code: int, st: ptr32) -> int:
    """Called as look(codes, pos, end, st): looks at a block, the frames at codes[pos:end], in
    codes; st: all lines' words.  Returns 0 when it is through.  Else lines have st[_FOUND], and
    the rest is to be looked at by another call with the `end` as `pos`: a line stops where its
    mean is out of bounds.
    """
    # As in kernel_viper.py's `scan`, the third register is for what the loop has to do with most.
    first = pos
    end = code
    result = 0
    more = 1
    while more:
        found = 0
        step = st[_STEP]
        offset = st[_OFFSET]
        total = st[_SUM]
        squares = st[_SQUARES]
        left = st[_LEFT]
        bins = st[_BINS]
        # Of the last four bins, as it is from here on.
        half = 0
        n = 4
        while n:
            half += st[_RING + ((bins - n) & 15)]
            n -= 1
        pos = first - _BEFORE + st[_NEXT]
        while pos < end:
            code = codes[pos]
            pos += step
            total = code + total
            code -= offset
            squares = code * code + squares
            left -= 1
            if left:
                continue
            left = st[_SIZE]
            half += squares - st[_RING + ((bins - 4) & 15)]
            st[_RING + (bins & 15)] = squares
            squares = 0
            bins += 1
            up_for = st[_UP_FOR]
            if half >= st[_UP]:
                # As it is for most of the time, and so not down either.
                st[_NOT_UP_FOR] = 0
                st[_DOWN_FOR] = 0
                if up_for < st[_RECOVER]:
                    st[_UP_FOR] = up_for + 1
                else:
                    st[_COUNTS] = 1
            else:
                persist = st[_PERSIST]
                n = st[_NOT_UP_FOR]
                if n < persist:
                    n += 1
                st[_NOT_UP_FOR] = n
                if n >= persist:
                    up_for = 0
                elif up_for < st[_RECOVER]:
                    up_for += 1
                else:
                    st[_COUNTS] = 1
                n = st[_DOWN_FOR]
                if half >= st[_DOWN]:
                    n = 0
                elif n < persist:
                    n += 1
                st[_DOWN_FOR] = n
                if n >= persist and st[_COUNTS]:
                    st[_COUNTS] = 0
                    up_for = 0
                    found = _COLLAPSED
                st[_UP_FOR] = up_for
            if bins == st[_RECOVER]:
                # A second is near enough to whole cycles: what is left of one moves the mean by
                # less than a hundredth of the peak.
                n = bins * left
                offset = (total + n // 2) // n
                st[_OFFSET] = offset
                total = 0
                bins = 0
                st[_SECONDS] = st[_SECONDS] + 1
            if bins & 3:
                continue
            if st[_COLD]:
                st[_COLD] = st[_COLD] - 1
                continue
            # The whole bins of a cycle, and on either side of them a part of one.
            last = bins - 1
            n = last - st[_WHOLE]
            mean = st[_RING + (last & 15)] >> 6
            mean += st[_RING + ((n - 1) & 15)] >> 6
            mean *= st[_PART_Q6]
            while n < last:
                mean += st[_RING + (n & 15)]
                n += 1
            mean //= st[_CYCLE_Q6]
            st[_MEAN] = mean
            if mean < st[_LEAST] or mean > st[_MOST]:
                found |= _CHANGED
                break
        st[_FOUND] = found
        st[_BINS] = bins
        st[_NEXT] = pos - end + _BEFORE
        st[_SUM] = total
        st[_SQUARES] = squares
        st[_LEFT] = left
        result |= found
        more = st[_MORE]
        st = ptr32(uint(st) + 4 * _WORDS)
    return result
