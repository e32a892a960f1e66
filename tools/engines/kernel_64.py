"""The kernel's two loops for machine words of 64 bits, two sums in one: the host's own.

Flow: codes -> SCAN, CORRELATE -> accumulator.  Twins of those in kernel_viper.py, which chips and
engines of 32 bits run: same calls, same state, same sums to the last bit.  Two sums lie in one
word, 32 bits each, so that one product and one addition do for both.  They are of the codes as
they are, which are never negative; mid-scale is taken off once a fold.
"""

import micropython
from micropython import const

# Words of the state, as in kernel.py, which tells of them: viper takes constants of this file
# only.
_X1 = const(0)
_Y1 = const(1)
_X2 = const(2)
_Y2 = const(3)
_Z = const(4)
_STRIDE = const(5)
_ARM = const(6)
_FIRE = const(7)
_ARMED = const(8)
_FRESH = const(9)
_PREV_X1 = const(10)
_PREV_X2 = const(11)
_PREV_Z = const(12)
_SX1 = const(13)
_SY1 = const(14)
_XY1 = const(15)
_PY1 = const(17)
_SX2 = const(19)
_SY2 = const(20)
_XY2 = const(21)
_PY2 = const(23)
_XX1 = const(25)
_YY1 = const(27)
_XX2 = const(29)
_YY2 = const(31)
_TABLE = const(33)
_PHASORS = const(34)
_BLIND = const(35)
_STEP = const(0)
_TURN = const(1)
_AHEAD = const(2)
_PHASE = const(3)
_COUNT = const(4)
_COS = const(5)
_SIN = const(10)
_SINE = const(15)
_MID = const(2048)
# Frames between foldings; a corrected code is 0..4200: 240 * 4200**2 < 2**32.
_FOLD = const(240)
_LOW_BITS = const(12)
_LOW = const(4095)
_HALF = const(0xFFFFFFFF)
_SIGN = const(0x80000000)


@micropython.viper
def scan(frame: ptr16, y: int, x: int, st: ptr32) -> int:
    """Called as scan(codes, pos, end, st), as kernel_viper.py's."""
    # Viper keeps a function's first three variables in registers, and all others on the stack.
    codes = frame
    pos = y
    end = x
    x1s = st[_X1]
    y1s = st[_Y1]
    x2s = st[_X2]
    y2s = st[_Y2]
    zs = st[_Z]
    stride = st[_STRIDE]
    step = 2 * stride
    arm = st[_ARM]
    fire = st[_FIRE]
    armed = st[_ARMED]
    table = st[_TABLE] >> 1
    corrected = ptr16(st)
    if st[_FRESH]:
        k = _SX1
        while k < _XX1:
            st[k] = 0
            k += 1
        st[_FRESH] = 0
    # Of the frame before, in the upper half.
    before1 = st[_PREV_X1] << 32
    before2 = st[_PREV_X2] << 32
    crossed = 0
    first = pos
    # Up to there nothing arms, so that nothing fires.
    seeing = pos + st[_BLIND]
    while pos < end and not crossed:
        stop = pos + _FOLD * stride
        if stop > end:
            stop = end
        if pos < seeing:
            armed = 0
            if stop > seeing:
                stop = seeing
        else:
            x = pos
            if not armed:
                while x < stop and codes[x + zs] > arm:
                    x += stride
                if x < stop:
                    armed = 1
                    x += stride
            if armed:
                while x < stop and codes[x + zs] < fire:
                    x += stride
                if x < stop:
                    crossed = 1
                    stop = x
        n = (stop - pos) // stride
        p1 = before1 >> 32
        p2 = before2 >> 32
        # Lower and upper half: sums of x and y; of x * x and x * y; of y * y and of y times the x
        # of the frame before.
        s1 = 0
        a1 = 0
        b1 = 0
        s2 = 0
        a2 = 0
        b2 = 0
        frame = ptr16(uint(codes) + 2 * pos)
        behind = int(uint(codes)) + 2 * stop
        while table and int(uint(frame)) < behind:
            x = corrected[table + frame[y1s]]
            b1 = (x + before1) * x + b1
            y = x << 32
            x = corrected[table + frame[x1s]]
            before1 = x << 32
            s1 = x + y + s1
            a1 = (x + y) * x + a1
            x = corrected[table + frame[y2s]]
            b2 = (x + before2) * x + b2
            y = x << 32
            x = corrected[table + frame[x2s]]
            before2 = x << 32
            s2 = x + y + s2
            a2 = (x + y) * x + a2
            frame = ptr16(uint(frame) + step)
        while int(uint(frame)) < behind:
            x = frame[y1s]
            b1 = (x + before1) * x + b1
            y = x << 32
            x = frame[x1s]
            before1 = x << 32
            s1 = x + y + s1
            a1 = (x + y) * x + a1
            x = frame[y2s]
            b2 = (x + before2) * x + b2
            y = x << 32
            x = frame[x2s]
            before2 = x << 32
            s2 = x + y + s2
            a2 = (x + y) * x + a2
            frame = ptr16(uint(frame) + step)
        pos = stop
        # sum((x - m) * (y - m)) = sum(x * y) - m * (sum(x) + sum(y) - n * m)
        x = s1 & _HALF
        y = s1 >> 32
        whole = n * _MID
        st[_SX1] = st[_SX1] + x - whole
        st[_SY1] = st[_SY1] + y - whole
        total = st[_XX1 + 1] + (a1 & _HALF) - _MID * (x + x - whole)
        st[_XX1] = st[_XX1] + (total >> _LOW_BITS)
        st[_XX1 + 1] = total & _LOW
        total = st[_XY1 + 1] + ((a1 >> 32) & _HALF) - _MID * (x + y - whole)
        st[_XY1] = st[_XY1] + (total >> _LOW_BITS)
        st[_XY1 + 1] = total & _LOW
        total = st[_YY1 + 1] + (b1 & _HALF) - _MID * (y + y - whole)
        st[_YY1] = st[_YY1] + (total >> _LOW_BITS)
        st[_YY1 + 1] = total & _LOW
        x += p1 - (before1 >> 32)
        total = st[_PY1 + 1] + ((b1 >> 32) & _HALF) - _MID * (x + y - whole)
        st[_PY1] = st[_PY1] + (total >> _LOW_BITS)
        st[_PY1 + 1] = total & _LOW
        x = s2 & _HALF
        y = s2 >> 32
        st[_SX2] = st[_SX2] + x - whole
        st[_SY2] = st[_SY2] + y - whole
        total = st[_XX2 + 1] + (a2 & _HALF) - _MID * (x + x - whole)
        st[_XX2] = st[_XX2] + (total >> _LOW_BITS)
        st[_XX2 + 1] = total & _LOW
        total = st[_XY2 + 1] + ((a2 >> 32) & _HALF) - _MID * (x + y - whole)
        st[_XY2] = st[_XY2] + (total >> _LOW_BITS)
        st[_XY2 + 1] = total & _LOW
        total = st[_YY2 + 1] + (b2 & _HALF) - _MID * (y + y - whole)
        st[_YY2] = st[_YY2] + (total >> _LOW_BITS)
        st[_YY2 + 1] = total & _LOW
        x += p2 - (before2 >> 32)
        total = st[_PY2 + 1] + ((b2 >> 32) & _HALF) - _MID * (x + y - whole)
        st[_PY2] = st[_PY2] + (total >> _LOW_BITS)
        st[_PY2 + 1] = total & _LOW
    if pos > first:
        st[_PREV_X1] = before1 >> 32
        st[_PREV_X2] = before2 >> 32
        st[_PREV_Z] = codes[pos - stride + zs]
    if crossed:
        armed = 0
    st[_ARMED] = armed
    st[_BLIND] = seeing - pos if seeing > pos else 0
    return pos


@micropython.viper
def correlate(frame: ptr16, phase: int, x: int, st: ptr32):
    """Called as correlate(codes, pos, end, st), as kernel_viper.py's."""
    base = st[_PHASORS]
    first = phase + st[base + _AHEAD]
    end = x
    behind = int(uint(frame)) + 2 * end
    frame = ptr16(uint(frame) + 2 * first)
    step = st[base + _STEP]
    on = 2 * step
    turn = st[base + _TURN]
    phase = st[base + _PHASE]
    table = st[_TABLE] >> 1
    corrected = ptr16(st)
    x1s = st[_X1]
    y1s = st[_Y1]
    x2s = st[_X2]
    y2s = st[_Y2]
    sines = ptr32(uint(st) + 4 * (base + _SINE))
    # Sums of the sine in the lower half, which may be negative, and of the cosine in the upper.
    both = 0
    of0 = 0
    of1 = 0
    of2 = 0
    of3 = 0
    while table and int(uint(frame)) < behind:
        # The lower half's sign is borrowed from the upper, which is given it back at the end.
        x = sines[phase >> 15]
        x = (x >> 16 << 48 >> 16) + (x << 48 >> 48)
        phase = (phase + turn) & 0xFFFFFF
        both = x + both
        of0 = corrected[table + frame[x1s]] * x + of0
        of1 = corrected[table + frame[y1s]] * x + of1
        of2 = corrected[table + frame[x2s]] * x + of2
        of3 = corrected[table + frame[y2s]] * x + of3
        frame = ptr16(uint(frame) + on)
    while int(uint(frame)) < behind:
        x = sines[phase >> 15]
        x = (x >> 16 << 48 >> 16) + (x << 48 >> 48)
        phase = (phase + turn) & 0xFFFFFF
        both = x + both
        of0 = frame[x1s] * x + of0
        of1 = frame[y1s] * x + of1
        of2 = frame[x2s] * x + of2
        of3 = frame[y2s] * x + of3
        frame = ptr16(uint(frame) + on)
    pos = end - (behind - int(uint(frame)) >> 1)
    n = (pos - first) // step
    st[base + _AHEAD] = pos - end
    st[base + _PHASE] = phase
    k = base + _COUNT
    st[k] = st[k] + n
    s = ((both & _HALF) ^ _SIGN) - _SIGN
    c = (both - s) >> 32
    k = base + _COS
    st[k] = st[k] + c
    st[k + 5] = st[k + 5] + s
    s *= _MID
    c *= _MID
    n = 0
    while n < 4:
        x = of0 if n == 0 else of1 if n == 1 else of2 if n == 2 else of3
        both = ((x & _HALF) ^ _SIGN) - _SIGN
        k += 1
        st[k] = st[k] + ((x - both) >> 32) - c
        st[k + 5] = st[k + 5] + both - s
        n += 1
