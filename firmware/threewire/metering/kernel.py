"""The kernel's state: where the per-sample sums are kept.

Flow: sampler -> KERNEL (`scan`, `correlate`) -> accumulator -> registers.  The two loops are in
kernel_viper.py and for some chips in kernel_thumb.py.  `scan` walks interleaved ADC codes, adds up
what one mains cycle needs and stops at the frame where the next cycle starts; `correlate` looks at
some of the same frames for the phasors (phasors.py).  They know nothing of volts, gains or time:
all of that is applied to the sums, once a cycle.
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
_ARMED = const(8)
FRESH = const(9)  # 1: start the sums of a new cycle
PREV_X1 = const(10)  # codes of the frame before
_PREV_X2 = const(11)
_PREV_Z = const(12)
# Sums over the stretch since FRESH was set: of the codes less mid-scale,
# and of products, each as high word * 4096 + low word (0..4095).
_SX1 = const(13)
_SY1 = const(14)
_XY1 = const(15)  # same frame, x[n] * y[n]
_PY1 = const(17)  # neighbouring frame, x[n-1] * y[n]
_SX2 = const(19)
_SY2 = const(20)
_XY2 = const(21)
_PY2 = const(23)
# Sums of squares, which run on over cycles until they are cleared:
_XX1 = const(25)
_YY1 = const(27)
_XX2 = const(29)
_YY2 = const(31)
# Where the table of corrected codes begins, in bytes from the first word, in front of which it is
# where it is another state's; 0: there is none.
TABLE = const(33)
PHASORS = const(34)  # where the words of phasors.py begin
# So many of the next codes, a multiple of the stride, are not looked at for a crossing.
BLIND = const(35)
# Of a run of cycles, one like the other (cycles.py):
_RUN = const(36)  # how many more of it there may be
_BEGUN = const(37)  # where in its frame, in 1/4096, the cycle that goes on has begun
_LENGTH = const(38)  # of a cycle, in 1/4096 frame; 0 outside a run
_WITHIN = const(39)  # by how much the next may differ
_SHORTEST = const(40)  # what may be a cycle
_LONGEST = const(41)
_FRAME_Q20 = const(42)  # phase of a frame, 2**-20 turn
_RISE = const(43)  # of the voltage in the frame of the latest crossing, in counts
WORDS = const(44)
# Words for `correlate`, from st[PHASORS] on.  The phase is 24 bits of a turn; there are 512 words
# of a turn, 512 times the cosine in the high half and 512 times the sine in the low one.
STEP = const(0)  # codes from one frame looked at to the next
TURN = const(1)  # phase from one to the next
_AHEAD = const(2)  # codes from here to the next frame to look at
_PHASE = const(3)  # of that
_COUNT = const(4)  # frames looked at
_COS = const(5)  # sums of the cosine, and of x1, y1, x2, y2 less mid-scale times it
_SIN = const(10)  # and of the sine
SINE = const(15)
_ENTRIES = const(512)
# A window has at most 0.3 s * 8000 Hz frames, over which a sine's size is 2 / pi in the mean:
# 2400 * 512 * 2152 * 2 / pi = 1.7e9 < 2**31.
_SCALE = const(512)

MID = const(2048)  # mid-scale of 12 bits
# Frames between foldings; a corrected code is 0..4200: 256 * (4200 - 2048)**2 + 4095 < 2**31.
_FOLD = const(256)
_LOW_BITS = const(12)
_LOW = const(4095)
# The widest high word: squares over a window.  A window is under 0.5 s, a frame at least 8 us (the
# ADC's limit): 62500 * 2152**2 / 2**12 = 7.1e7 < 2**31.


def state(corrected=None):
    """A cleared state: array of WORDS int32, FRESH set; behind them those of `correlate`, and the
    4096 corrected codes that the iterable gives, if there is one, as 16-bit halves of words."""
    size = WORDS + SINE + _ENTRIES
    words = array("i", bytes(4 * (size + 2048 if corrected else size)))
    words[FRESH] = 1
    words[PHASORS] = WORDS
    if corrected:
        words[TABLE] = 4 * size
        for k, code in enumerate(corrected):
            put_half(words, 2 * size + k, code)
    return words


@micropython.viper
def _is_word_wide() -> bool:
    """Whether an address has 32 bits, as a word of the state."""
    product = 0x10000
    product *= product
    return product == 0


@micropython.viper
def _address(words: ptr8) -> int:
    return int(words)


def renewed(other):
    """A cleared state with the tables of another, which take long to make and much room: what is
    made of it has to keep hold of that one."""
    table = other[TABLE]
    if table and _is_word_wide():
        words = other[: WORDS + SINE + _ENTRIES]
        table += _address(other) - _address(words)
    else:
        # Where addresses are wider there is room for another.
        words = other[:]
    for k in range(WORDS + SINE):
        words[k] = 0
    words[FRESH] = 1
    words[PHASORS] = WORDS
    words[TABLE] = table
    return words


def put_half(words, k, value):
    """Writes half k, zero so far, of the words."""
    words[k >> 1] |= value << 16 * (k & 1)


@micropython.viper
def table_entry(words: ptr32, code: int) -> int:
    """What the sums take for a code."""
    table = words[TABLE] >> 1
    if not table:
        return code
    return int(ptr16(words)[table + code])


@micropython.viper
def third_differences(codes: ptr16, pos: int, count_and_stride: int, bins: ptr8) -> int:
    """Of an input's third differences: 64 * the sum of their squares + how many of them; pos is
    that of the first frame's code.

    count_and_stride  16 * how many, up to 60, + the stride: reads 3 frames more
    bins              bytearray(65), for their sizes

    Those beyond four times the median, and from 64 counts on, are left out: they are the wave's
    own edges.  Of white noise that is 1 %.
    """
    k = 0
    while k < 65:
        bins[k] = 0
        k += 1
    count = count_and_stride >> 4
    stride = count_and_stride & 15
    k = 0
    while k < count:
        d = codes[pos] - codes[pos + 3 * stride]
        d += 3 * (codes[pos + 2 * stride] - codes[pos + stride])
        if d < 0:
            d = 0 - d
        if d > 64:
            d = 64
        bins[d] = bins[d] + 1
        pos += stride
        k += 1
    k = 0
    seen = int(bins[0])
    while 2 * seen <= count:
        k += 1
        seen += bins[k]
    most = 4 * k + 2
    if most > 63:
        most = 63
    count = 0
    total = 0
    k = 0
    while k <= most:
        count += bins[k]
        total += int(bins[k]) * k * k
        k += 1
    return total * 64 + count
