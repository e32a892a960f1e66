"""The per-sample sums: the only code that sees every frame.

Flow: sampler -> KERNEL -> accumulator -> registers.  `scan` walks interleaved ADC codes, adds up
what one mains cycle needs and stops at the frame where the next cycle starts.  It knows nothing of
volts, gains or time: all of that is applied to the sums, once a cycle.

Viper works on machine words, 32 bits on the chips and 64 on a PC, and must give the same sums on
both: no intermediate leaves the int32 range, and a word loaded from the state is either known to
be non-negative or only added to and stored again, because a `ptr32` load extends with zeros on 64
bits.
"""

from array import array

import micropython
from micropython import const

# Words of the state.  Where things are in a frame, and the thresholds, set by the accumulator:
X1 = const(0)  # slot of element 1's lagged input (see Accumulator)
Y1 = const(1)
X2 = const(2)
Y2 = const(3)
Z = const(4)  # slot of the voltage whose upward crossings bound the cycles
STRIDE = const(5)  # codes in a frame
ARM = const(6)  # a crossing counts only after a code at or below this one...
FIRE = const(7)  # ...and is the first code at or above this one
# Carried from call to call:
ARMED = const(8)
FRESH = const(9)  # 1: start the sums of a new cycle
PREV_X1 = const(10)  # codes of the frame before
PREV_X2 = const(11)
PREV_Z = const(12)
# Sums over the stretch since FRESH was set: of the codes less mid-scale,
# and of products, each as high word * 4096 + low word (0..4095).
SX1 = const(13)
SY1 = const(14)
XY1 = const(15)  # same frame, x[n] * y[n]
PY1 = const(17)  # neighbouring frame, x[n-1] * y[n]
SX2 = const(19)
SY2 = const(20)
XY2 = const(21)
PY2 = const(23)
# Sums of squares, which run on over cycles until they are cleared:
XX1 = const(25)
YY1 = const(27)
XX2 = const(29)
YY2 = const(31)
WORDS = const(33)

MID = const(2048)  # mid-scale of 12 bits
FOLD = const(256)  # frames between foldings: 256 * 2048**2 + 4095 = 2**30 + 4095 < 2**31
LOW_BITS = const(12)
_LOW = const(4095)
# The widest high word: squares over a window.  A window is under 0.5 s, a frame at least 8 us (the
# ADC's limit): 62500 * 2**22 / 2**12 = 6.4e7 < 2**31.


def state():
    """A cleared state: array of WORDS int32, FRESH set."""
    words = array("i", [0] * WORDS)
    words[FRESH] = 1
    return words


@micropython.viper
def scan(codes: ptr16, pos: int, end: int, st: ptr32) -> int:
    """Add the frames at codes[pos:end] to the state `st`; stop in front of an upward crossing.

    `pos` and `end` count codes, both multiples of the stride apart; codes are 0..4095.  Returns
    the position reached: below `end` exactly when the frame there is the first of a new cycle.
    """
    x1s = st[X1]
    y1s = st[Y1]
    x2s = st[X2]
    y2s = st[Y2]
    zs = st[Z]
    stride = st[STRIDE]
    arm = st[ARM]
    fire = st[FIRE]
    armed = st[ARMED]
    if st[FRESH]:
        k = SX1
        while k < XX1:
            st[k] = 0
            k += 1
        st[FRESH] = 0
    p1 = st[PREV_X1] - MID
    p2 = st[PREV_X2] - MID
    crossed = 0
    first = pos
    while pos < end and not crossed:
        stop = pos + FOLD * stride
        if stop > end:
            stop = end
        sx1 = 0
        sy1 = 0
        sx2 = 0
        sy2 = 0
        xy1 = st[XY1 + 1]
        py1 = st[PY1 + 1]
        xy2 = st[XY2 + 1]
        py2 = st[PY2 + 1]
        xx1 = st[XX1 + 1]
        yy1 = st[YY1 + 1]
        xx2 = st[XX2 + 1]
        yy2 = st[YY2 + 1]
        while pos < stop:
            z = codes[pos + zs]
            if armed:
                if z >= fire:
                    crossed = 1
                    break
            elif z <= arm:
                armed = 1
            x = codes[pos + x1s] - MID
            y = codes[pos + y1s] - MID
            sx1 += x
            sy1 += y
            xy1 += x * y
            py1 += p1 * y
            xx1 += x * x
            yy1 += y * y
            p1 = x
            x = codes[pos + x2s] - MID
            y = codes[pos + y2s] - MID
            sx2 += x
            sy2 += y
            xy2 += x * y
            py2 += p2 * y
            xx2 += x * x
            yy2 += y * y
            p2 = x
            pos += stride
        st[SX1] = st[SX1] + sx1
        st[SY1] = st[SY1] + sy1
        st[SX2] = st[SX2] + sx2
        st[SY2] = st[SY2] + sy2
        st[XY1] = st[XY1] + (xy1 >> LOW_BITS)
        st[XY1 + 1] = xy1 & _LOW
        st[PY1] = st[PY1] + (py1 >> LOW_BITS)
        st[PY1 + 1] = py1 & _LOW
        st[XY2] = st[XY2] + (xy2 >> LOW_BITS)
        st[XY2 + 1] = xy2 & _LOW
        st[PY2] = st[PY2] + (py2 >> LOW_BITS)
        st[PY2 + 1] = py2 & _LOW
        st[XX1] = st[XX1] + (xx1 >> LOW_BITS)
        st[XX1 + 1] = xx1 & _LOW
        st[YY1] = st[YY1] + (yy1 >> LOW_BITS)
        st[YY1 + 1] = yy1 & _LOW
        st[XX2] = st[XX2] + (xx2 >> LOW_BITS)
        st[XX2 + 1] = xx2 & _LOW
        st[YY2] = st[YY2] + (yy2 >> LOW_BITS)
        st[YY2 + 1] = yy2 & _LOW
    if pos > first:
        st[PREV_X1] = p1 + MID
        st[PREV_X2] = p2 + MID
        st[PREV_Z] = codes[pos - stride + zs]
    if crossed:
        armed = 0
    st[ARMED] = armed
    return pos


@micropython.viper
def third_differences(codes: ptr16, pos: int, count: int, stride: int) -> int:
    """Sum of `count` squared third differences of the input at codes[pos], each taken as at most
    64 counts so that a spike does not drown the rest.  Reads count + 3 frames.  count <= 2**17."""
    total = 0
    while count > 0:
        d = codes[pos] - codes[pos + 3 * stride]
        d += 3 * (codes[pos + 2 * stride] - codes[pos + stride])
        if d < 0:
            d = 0 - d
        if d > 64:
            d = 64
        total += d * d
        pos += stride
        count -= 1
    return total
