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
def scan(codes: ptr16, pos: int, x: int, st: ptr32) -> int:
    """Called as scan(codes, pos, end, st): add the frames at codes[pos:end] to the state `st`;
    stop in front of an upward crossing.

    `pos` and `end` count codes, both multiples of the stride apart; codes are 0..4095.  Where the
    state has a table the sums are of table[code], crossings still of the codes.  Returns the
    position reached: below `end` exactly when the frame there is the first of a new cycle.
    """
    # Viper keeps a function's first three variables in registers, and all others on the stack:
    # x is what the loop has to do with most.
    end = x
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
        if pos < seeing:
            armed = 0
            if stop > seeing:
                stop = seeing
        else:
            # Where to stop is looked for beforehand: what adds has nothing to ask then.
            at = pos
            while at < stop:
                z = codes[at + zs]
                if armed:
                    if z >= fire:
                        crossed = 1
                        stop = at
                elif z <= arm:
                    armed = 1
                at += stride
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
            x = corrected[table + codes[pos + x1s]] - _MID
            y = corrected[table + codes[pos + y1s]] - _MID
            sx1 = x + sx1
            sy1 = y + sy1
            xy1 = x * y + xy1
            py1 = y * p1 + py1
            xx1 = x * x + xx1
            yy1 = y * y + yy1
            p1 = x
            x = corrected[table + codes[pos + x2s]] - _MID
            y = corrected[table + codes[pos + y2s]] - _MID
            sx2 = x + sx2
            sy2 = y + sy2
            xy2 = x * y + xy2
            py2 = y * p2 + py2
            xx2 = x * x + xx2
            yy2 = y * y + yy2
            p2 = x
            pos += stride
        while pos < stop:
            x = codes[pos + x1s] - _MID
            y = codes[pos + y1s] - _MID
            sx1 = x + sx1
            sy1 = y + sy1
            xy1 = x * y + xy1
            py1 = y * p1 + py1
            xx1 = x * x + xx1
            yy1 = y * y + yy1
            p1 = x
            x = codes[pos + x2s] - _MID
            y = codes[pos + y2s] - _MID
            sx2 = x + sx2
            sy2 = y + sy2
            xy2 = x * y + xy2
            py2 = y * p2 + py2
            xx2 = x * x + xx2
            yy2 = y * y + yy2
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
def correlate(codes: ptr16, pos: int, x: int, st: ptr32):
    """Called as correlate(codes, pos, end, st): correlate every STEP-th of the frames at
    codes[pos:end], which follow on those before, with sine and cosine (see phasors.py)."""
    end = x  # as in `scan`
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
        c = cos + c
        s = sin + s
        x = codes[pos + x1s]
        if table:
            x = halves[table + x]
        c0 = x * cos + c0
        s0 = x * sin + s0
        x = codes[pos + y1s]
        if table:
            x = halves[table + x]
        c1 = x * cos + c1
        s1 = x * sin + s1
        x = codes[pos + x2s]
        if table:
            x = halves[table + x]
        c2 = x * cos + c2
        s2 = x * sin + s2
        x = codes[pos + y2s]
        if table:
            x = halves[table + x]
        c3 = x * cos + c3
        s3 = x * sin + s3
        n += 1
        pos += step
    st[base + _AHEAD] = pos - end
    # What has been added up is of codes: a call has some 200 of them, that is under 2**29.
    x = _MID * c
    y = _MID * s
    st[base + _PHASE] = phase
    k = base + _COUNT
    st[k] = st[k] + n
    k = base + _COS
    st[k] = st[k] + c
    st[k + 1] = st[k + 1] + c0 - x
    st[k + 2] = st[k + 2] + c1 - x
    st[k + 3] = st[k + 3] + c2 - x
    st[k + 4] = st[k + 4] + c3 - x
    k = base + _SIN
    st[k] = st[k] + s
    st[k + 1] = st[k + 1] + s0 - y
    st[k + 2] = st[k + 2] + s1 - y
    st[k + 3] = st[k + 3] + s2 - y
    st[k + 4] = st[k + 4] + s3 - y
