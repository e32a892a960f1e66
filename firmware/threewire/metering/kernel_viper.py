"""The two loops over frames in viper: for the host, and for chips that have no twin of them in
assembler.

Flow: sampler -> SCAN, CORRELATE -> accumulator.  kernel.py tells where sums are kept.  Viper works
on machine words, 32 bits on the chips and 64 on a PC, and must give the same sums on both: no
intermediate leaves the int32 range, and a word loaded from the state is either known to be
non-negative, only added to and stored again, or given its sign, because a `ptr32` load extends
with zeros on 64 bits.  A board whose chip runs kernel_thumb.py does not carry this file.
"""

import micropython
from micropython import const

# Words of the state and bounds, as in kernel.py, which tells of them: viper takes constants of
# this file only.
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
_FOLD = const(256)
_LOW_BITS = const(12)
_LOW = const(4095)


@micropython.viper
def scan(codes: ptr16, pos: int, end: int, st: ptr32) -> int:
    """Add the frames at codes[pos:end] to the state `st`; stop in front of an upward crossing.

    `pos` and `end` count codes, both multiples of the stride apart; codes are 0..4095.  Where the
    state has a table the sums are of table[code], crossings still of the codes.  Returns the
    position reached: below `end` exactly when the frame there is the first of a new cycle.
    """
    x1s = st[_X1]
    y1s = st[_Y1]
    x2s = st[_X2]
    y2s = st[_Y2]
    zs = st[_Z]
    stride = st[_STRIDE]
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
    p1 = st[_PREV_X1] - _MID
    p2 = st[_PREV_X2] - _MID
    crossed = 0
    first = pos
    # Up to there nothing arms, so that nothing fires.
    seeing = pos + st[_BLIND]
    while pos < end and not crossed:
        stop = pos + _FOLD * stride
        if stop > end:
            stop = end
        arms = arm
        if pos < seeing:
            armed = 0
            arms = 0 - 1
            if stop > seeing:
                stop = seeing
        sx1 = 0
        sy1 = 0
        sx2 = 0
        sy2 = 0
        xy1 = st[_XY1 + 1]
        py1 = st[_PY1 + 1]
        xy2 = st[_XY2 + 1]
        py2 = st[_PY2 + 1]
        xx1 = st[_XX1 + 1]
        yy1 = st[_YY1 + 1]
        xx2 = st[_XX2 + 1]
        yy2 = st[_YY2 + 1]
        # The same loop twice: with a test inside, boards without a table would pay for it.
        while table and pos < stop:
            z = codes[pos + zs]
            if armed:
                if z >= fire:
                    crossed = 1
                    break
            elif z <= arms:
                armed = 1
            x = corrected[table + codes[pos + x1s]] - _MID
            y = corrected[table + codes[pos + y1s]] - _MID
            sx1 += x
            sy1 += y
            xy1 += x * y
            py1 += p1 * y
            xx1 += x * x
            yy1 += y * y
            p1 = x
            x = corrected[table + codes[pos + x2s]] - _MID
            y = corrected[table + codes[pos + y2s]] - _MID
            sx2 += x
            sy2 += y
            xy2 += x * y
            py2 += p2 * y
            xx2 += x * x
            yy2 += y * y
            p2 = x
            pos += stride
        while pos < stop and not crossed:
            z = codes[pos + zs]
            if armed:
                if z >= fire:
                    crossed = 1
                    break
            elif z <= arms:
                armed = 1
            x = codes[pos + x1s] - _MID
            y = codes[pos + y1s] - _MID
            sx1 += x
            sy1 += y
            xy1 += x * y
            py1 += p1 * y
            xx1 += x * x
            yy1 += y * y
            p1 = x
            x = codes[pos + x2s] - _MID
            y = codes[pos + y2s] - _MID
            sx2 += x
            sy2 += y
            xy2 += x * y
            py2 += p2 * y
            xx2 += x * x
            yy2 += y * y
            p2 = x
            pos += stride
        st[_SX1] = st[_SX1] + sx1
        st[_SY1] = st[_SY1] + sy1
        st[_SX2] = st[_SX2] + sx2
        st[_SY2] = st[_SY2] + sy2
        st[_XY1] = st[_XY1] + (xy1 >> _LOW_BITS)
        st[_XY1 + 1] = xy1 & _LOW
        st[_PY1] = st[_PY1] + (py1 >> _LOW_BITS)
        st[_PY1 + 1] = py1 & _LOW
        st[_XY2] = st[_XY2] + (xy2 >> _LOW_BITS)
        st[_XY2 + 1] = xy2 & _LOW
        st[_PY2] = st[_PY2] + (py2 >> _LOW_BITS)
        st[_PY2 + 1] = py2 & _LOW
        st[_XX1] = st[_XX1] + (xx1 >> _LOW_BITS)
        st[_XX1 + 1] = xx1 & _LOW
        st[_YY1] = st[_YY1] + (yy1 >> _LOW_BITS)
        st[_YY1 + 1] = yy1 & _LOW
        st[_XX2] = st[_XX2] + (xx2 >> _LOW_BITS)
        st[_XX2 + 1] = xx2 & _LOW
        st[_YY2] = st[_YY2] + (yy2 >> _LOW_BITS)
        st[_YY2 + 1] = yy2 & _LOW
    if pos > first:
        st[_PREV_X1] = p1 + _MID
        st[_PREV_X2] = p2 + _MID
        st[_PREV_Z] = codes[pos - stride + zs]
    if crossed:
        armed = 0
    st[_ARMED] = armed
    st[_BLIND] = seeing - pos if seeing > pos else 0
    return pos


@micropython.viper
def correlate(codes: ptr16, pos: int, end: int, st: ptr32):
    """Correlate every STEP-th of the frames at codes[pos:end], which follow on those before, with
    sine and cosine (see phasors.py)."""
    base = st[_PHASORS]
    pos += st[base + _AHEAD]
    step = st[base + _STEP]
    turn = st[base + _TURN]
    phase = st[base + _PHASE]
    table = st[_TABLE] >> 1
    halves = ptr16(st)
    x1s = st[_X1]
    y1s = st[_Y1]
    x2s = st[_X2]
    y2s = st[_Y2]
    sine = base + _SINE
    n = 0
    c = 0
    s = 0
    c0 = 0
    c1 = 0
    c2 = 0
    c3 = 0
    s0 = 0
    s1 = 0
    s2 = 0
    s3 = 0
    while pos < end:
        both = st[sine + (phase >> 15)]
        # Halves with a sign, whether or not the word was extended with zeros.
        sin = ((both & 0xFFFF) ^ 0x8000) - 0x8000
        cos = (((both >> 16) & 0xFFFF) ^ 0x8000) - 0x8000
        phase = (phase + turn) & 0xFFFFFF
        x1 = codes[pos + x1s]
        y1 = codes[pos + y1s]
        x2 = codes[pos + x2s]
        y2 = codes[pos + y2s]
        if table:
            x1 = halves[table + x1]
            y1 = halves[table + y1]
            x2 = halves[table + x2]
            y2 = halves[table + y2]
        x1 -= _MID
        y1 -= _MID
        x2 -= _MID
        y2 -= _MID
        n += 1
        c += cos
        s += sin
        c0 += x1 * cos
        s0 += x1 * sin
        c1 += y1 * cos
        s1 += y1 * sin
        c2 += x2 * cos
        s2 += x2 * sin
        c3 += y2 * cos
        s3 += y2 * sin
        pos += step
    st[base + _AHEAD] = pos - end
    st[base + _PHASE] = phase
    k = base + _COUNT
    st[k] = st[k] + n
    k = base + _COS
    st[k] = st[k] + c
    st[k + 1] = st[k + 1] + c0
    st[k + 2] = st[k + 2] + c1
    st[k + 3] = st[k + 3] + c2
    st[k + 4] = st[k + 4] + c3
    k = base + _SIN
    st[k] = st[k] + s
    st[k + 1] = st[k + 1] + s0
    st[k + 2] = st[k + 2] + s1
    st[k + 3] = st[k + 3] + s2
    st[k + 4] = st[k + 4] + s3
