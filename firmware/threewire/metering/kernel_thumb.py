# ruff: noqa: F821 - registers, mnemonics and labels of the inline assembler are no Python names
"""The two loops in Thumb assembler, for RP2040 and RP2350: contract, state and sums of
kernel_viper.py.

Flow: sampler -> KERNEL -> accumulator.  kernel_viper.py is the reference; this only does it in
a sixth of the time.  Only instructions of ARMv6-M, so that one source
serves both chips; cycles in comments are a Cortex-M0+'s in RAM (load 2, branch taken 2, else 1).
Other chips, an RP2350's RISC-V cores among them, do not compile this: SyntaxError.

How `scan` comes to 45 cycles a frame, and 400 a call:

- The crossing is searched for first, in a loop of its own (7 cycles), so that the sums need not
  look for it.
- Each element is summed by itself (19 cycles; 25 with a table of corrected codes), with its six
  sums in r8 to r12 and lr: Thumb-1 can add to high registers, though do nothing else with them.
- The loops address frames from the end, by an index that counts up to zero: no comparison.
- The sums are of the codes as they are.  Mid-scale M is taken out at the end of each block of n
  frames:  sum (x-M)(y-M) = sum xy - M (sum x + sum y - n M).  The sums on the way wrap at 2**32,
  which does not matter, because the results fit (see FOLD in kernel.py).

Nothing is allocated, nothing is called: hard interrupts may use it.
"""

import micropython
from micropython import const

# Words of the state by their byte offsets, 4 * those of kernel.py: the assembler takes constants
# of this file only.
_X1 = const(0)
_Y1 = const(4)
_Z = const(16)
_STRIDE = const(20)
_ARM = const(24)
_FIRE = const(28)
_ARMED = const(32)
_FRESH = const(36)
_PREV_X1 = const(40)
_PREV_Z = const(48)
_SX1 = const(52)
_SY1 = const(56)
_XY1 = const(60)
_XY1_LOW = const(64)
_PY1 = const(68)
_PY1_LOW = const(72)
_XX1 = const(100)
_XX1_LOW = const(104)
_YY1 = const(108)
_YY1_LOW = const(112)
_TABLE = const(132)
_BLIND = const(140)
# Element 2's words are `e` further on than element 1's for the slots, e / 2 for PREV_X, 3 e for
# the sums of a cycle, and 2 e for the squares, with this e.
_E = const(8)

_FOLD_BITS = const(8)  # FOLD is 256 frames
_MID_BITS = const(11)  # mid-scale M is 2048
_LOW_BITS = const(12)
_DROP_HIGH = const(20)  # 32 - _LOW_BITS

# The stack frame, by words: the position to return, where to stop, and the block's first frame,
# end, n * M, element (0 or _E), and the state.  The assembler has no names for its instructions,
# nor for others used here:
#   0x90rN  str rr, [sp, #4N]      0x98rN  ldr rr, [sp, #4N]      for r: 0 to 7
#   0xb087  sub sp, #28            0xb007  add sp, #28


@micropython.asm_thumb
def scan(r0, r1, r2, r3):
    """scan(codes, pos, end, st) -> position reached; see kernel_viper.scan."""
    # The assembler's entry has saved r4 to r7 and lr.  17 cycles with that.
    mov(r4, r8)
    mov(r5, r9)
    mov(r6, r10)
    mov(r7, r11)
    push({r4, r5, r6, r7})
    data(2, 0xB087)  # sub sp, #28

    # r7: the state, from here to the end, but for one loop.
    mov(r7, r3)
    data(2, 0x9706)  # str r7: state

    # A new cycle: clear SX1 to PY2, 12 words.  5 or 26 cycles.
    ldr(r4, [r7, _FRESH])
    cmp(r4, 0)
    beq(RUNNING)
    mov(r4, 0)
    mov(r5, 0)
    mov(r6, 0)
    str(r4, [r7, _FRESH])
    add(r3, _SX1)
    data(2, 0xC370, 0xC370, 0xC370, 0xC370)  # stmia r3!, {r4, r5, r6} four times
    label(RUNNING)

    # Positions become addresses.  r0: codes, r1: first frame, r2: end; r5: bytes in a frame;
    # r6: index, from minus the bytes to go up to zero.  9 cycles.
    add(r1, r1, r1)
    add(r1, r1, r0)
    add(r2, r2, r2)
    add(r2, r2, r0)
    ldr(r5, [r7, _STRIDE])
    add(r5, r5, r5)
    sub(r6, r1, r2)
    bpl(NOTHING)

    # Find where to stop.  r2: Z of the frame at the end, r3: Z of this frame, r4: threshold.
    # About 10 cycles, then 7 a frame.
    ldr(r3, [r7, _Z])
    add(r3, r3, r3)
    add(r2, r2, r3)
    # The first codes may not be looked at: nothing is armed there.  6 cycles, or 17.
    mov(r3, _BLIND)
    data(2, 0x58FC)  # ldr r4, [r7, r3]
    cmp(r4, 0)
    beq(SEES)
    add(r4, r4, r4)
    add(r6, r6, r4)
    mov(r4, 0)
    str(r4, [r7, _ARMED])
    cmp(r6, 0)
    ble(SEES_AGAIN)
    lsr(r4, r6, 1)
    mov(r6, 0)
    label(SEES_AGAIN)
    data(2, 0x50FC)  # str r4, [r7, r3]
    cmp(r6, 0)
    beq(SOUGHT)
    label(SEES)
    ldr(r3, [r7, _ARMED])
    cmp(r3, 0)
    bne(ARMED)
    ldr(r4, [r7, _ARM])
    label(SEEK_ARM)
    data(2, 0x5B93)  # ldrh r3, [r2, r6]    2
    cmp(r3, r4)  # 1
    ble(ARMS)  # 1
    add(r6, r6, r5)  # 1
    bmi(SEEK_ARM)  # 2
    b(SOUGHT)
    label(ARMS)
    mov(r3, 1)
    str(r3, [r7, _ARMED])
    add(r6, r6, r5)  # the frame that arms does not fire
    bpl(SOUGHT)
    label(ARMED)
    ldr(r4, [r7, _FIRE])
    label(SEEK_FIRE)
    data(2, 0x5B93)  # ldrh r3, [r2, r6]    2
    cmp(r3, r4)  # 1
    bge(FIRES)  # 1
    add(r6, r6, r5)  # 1
    bmi(SEEK_FIRE)  # 2
    b(SOUGHT)
    label(FIRES)
    mov(r3, 0)
    str(r3, [r7, _ARMED])
    label(SOUGHT)

    # r2: the frame to stop at.  If that is not the first: PREV_Z, and the result.  19 cycles.
    add(r6, r6, r2)
    ldr(r3, [r7, _Z])
    add(r3, r3, r3)
    sub(r2, r6, r3)
    cmp(r2, r1)
    bne(BLOCKS)
    label(NOTHING)
    sub(r0, r1, r0)
    lsr(r0, r0, 1)
    b(RETURN)
    label(BLOCKS)
    sub(r6, r6, r5)
    ldrh(r3, [r6, 0])
    str(r3, [r7, _PREV_Z])
    sub(r0, r2, r0)
    lsr(r0, r0, 1)
    data(2, 0x9000, 0x9201)  # str r0, r2: result, where to stop

    # A block, of at most 256 frames.  r1: its first frame, r2: where to stop, r5: bytes in a
    # frame; then r0: bytes in the block, r3: bytes in 256 frames, r4: end.  10 cycles.
    label(BLOCK)
    lsl(r3, r5, _FOLD_BITS)
    sub(r0, r2, r1)
    cmp(r0, r3)
    bls(FITS)
    mov(r0, r3)
    label(FITS)
    add(r4, r1, r0)
    data(2, 0x9102, 0x9403)  # str r1, r4: first frame, end

    # r6: frames in the block = r0 / r5, bit by bit, from bit _FOLD_BITS down.  9 * 8 + 4 cycles.
    mov(r6, 0)
    label(DIVIDE)
    cmp(r0, r3)
    bcc(LESS)
    sub(r0, r0, r3)  # leaves the carry set
    label(LESS)
    adc(r6, r6)
    lsr(r3, r3, 1)
    cmp(r3, r5)
    bcs(DIVIDE)
    lsl(r6, r6, _MID_BITS)
    data(2, 0x9604)  # str r6: n * M
    mov(r0, 0)

    # One element's sums.  r0: x of the frame at the end, r1: y there; r2: x, r3: y, r4: x of the
    # frame before, then its product; r5: bytes in a frame, r6: index.  27 cycles before the loop.
    label(ELEMENT)
    data(2, 0x9005)  # str r0: element
    add(r3, r7, r0)
    lsr(r4, r0, 1)
    add(r4, r4, r7)
    ldr(r4, [r4, _PREV_X1])
    data(2, 0x9E02, 0x9A03)  # ldr r6, r2: first frame, end
    sub(r6, r6, r2)
    ldr(r0, [r3, _X1])
    add(r0, r0, r0)
    add(r0, r0, r2)
    ldr(r1, [r3, _Y1])
    add(r1, r1, r1)
    add(r1, r1, r2)
    mov(r3, 0)
    mov(r8, r3)
    mov(r9, r3)
    mov(r10, r3)
    mov(r11, r3)
    mov(r12, r3)
    mov(lr, r3)
    # Is there a table of corrected codes?  8 cycles.
    mov(r2, _TABLE)
    data(2, 0x58BA)  # ldr r2, [r7, r2]
    add(r7, r7, r2)
    cmp(r2, 0)
    beq(FRAME)
    # 25 cycles a frame: the code is looked up.
    label(CORRECTED_FRAME)
    data(2, 0x5B82)  # ldrh r2, [r0, r6]
    data(2, 0x5B8B)  # ldrh r3, [r1, r6]
    add(r2, r2, r2)
    add(r3, r3, r3)
    data(2, 0x5ABA)  # ldrh r2, [r7, r2]
    data(2, 0x5AFB)  # ldrh r3, [r7, r3]
    mul(r4, r3)
    data(2, 0x44A3)  # add r11, r4: sum x[n-1] * y[n]
    mov(r4, r2)
    mul(r4, r3)
    data(2, 0x44A2)  # add r10, r4: sum x * y
    data(2, 0x4490)  # add r8, r2: sum x
    data(2, 0x4499)  # add r9, r3: sum y
    mul(r3, r3)
    data(2, 0x449E)  # add lr, r3: sum y * y
    mov(r4, r2)
    mul(r2, r2)
    data(2, 0x4494)  # add r12, r2: sum x * x
    add(r6, r6, r5)
    bmi(CORRECTED_FRAME)
    data(2, 0x9F06)  # ldr r7: state
    b(SUMMED)
    # 19 cycles a frame: 4 for two loads, 4 multiplications, 6 additions, 2 moves, 3 to go round.
    label(FRAME)
    data(2, 0x5B82)  # ldrh r2, [r0, r6]
    data(2, 0x5B8B)  # ldrh r3, [r1, r6]
    mul(r4, r3)
    data(2, 0x44A3)  # add r11, r4: sum x[n-1] * y[n]
    mov(r4, r2)
    mul(r4, r3)
    data(2, 0x44A2)  # add r10, r4: sum x * y
    data(2, 0x4490)  # add r8, r2: sum x
    data(2, 0x4499)  # add r9, r3: sum y
    mul(r3, r3)
    data(2, 0x449E)  # add lr, r3: sum y * y
    mov(r4, r2)
    mul(r2, r2)
    data(2, 0x4494)  # add r12, r2: sum x * x
    add(r6, r6, r5)
    bmi(FRAME)
    label(SUMMED)

    # r4: the code before the block less the last one in it, which takes its place; r5 and r6:
    # where the element's sums and squares are, less _SX1 and _XX1.  12 cycles.
    data(2, 0x9805)  # ldr r0: element
    lsr(r1, r0, 1)
    add(r1, r1, r7)
    ldr(r2, [r1, _PREV_X1])
    str(r4, [r1, _PREV_X1])
    sub(r4, r2, r4)
    add(r6, r7, r0)
    add(r6, r6, r0)
    add(r5, r6, r0)

    # Sums of x and y less mid-scale.  r2: sum y, r3: sum x - n M, r0: sum y - n M.  16 cycles.
    data(2, 0x9804)  # ldr r0: n * M
    mov(r3, r8)
    sub(r3, r3, r0)
    mov(r2, r9)
    sub(r0, r2, r0)
    ldr(r1, [r5, _SX1])
    add(r1, r1, r3)
    str(r1, [r5, _SX1])
    ldr(r1, [r5, _SY1])
    add(r1, r1, r0)
    str(r1, [r5, _SY1])

    # What mid-scale makes of the products, taken out.  r1: x * y, r4: x[n-1] * y[n] (whose sum of
    # x is off by the r4 from above), r0: y * y, r3: x * x.  17 cycles.
    add(r1, r3, r2)
    add(r4, r4, r1)
    add(r0, r0, r2)
    mov(r2, r8)
    add(r3, r3, r2)
    lsl(r1, r1, _MID_BITS)
    lsl(r4, r4, _MID_BITS)
    lsl(r0, r0, _MID_BITS)
    lsl(r3, r3, _MID_BITS)
    mov(r2, r10)
    sub(r1, r2, r1)
    mov(r2, r11)
    sub(r4, r2, r4)
    mov(r2, lr)
    sub(r0, r2, r0)
    mov(r2, r12)
    sub(r3, r2, r3)

    # Fold them into high and low words.  4 * 13 cycles.
    ldr(r2, [r5, _XY1_LOW])
    add(r1, r1, r2)
    lsl(r2, r1, _DROP_HIGH)
    lsr(r2, r2, _DROP_HIGH)
    str(r2, [r5, _XY1_LOW])
    asr(r1, r1, _LOW_BITS)
    ldr(r2, [r5, _XY1])
    add(r1, r1, r2)
    str(r1, [r5, _XY1])

    ldr(r2, [r5, _PY1_LOW])
    add(r4, r4, r2)
    lsl(r2, r4, _DROP_HIGH)
    lsr(r2, r2, _DROP_HIGH)
    str(r2, [r5, _PY1_LOW])
    asr(r4, r4, _LOW_BITS)
    ldr(r2, [r5, _PY1])
    add(r4, r4, r2)
    str(r4, [r5, _PY1])

    ldr(r2, [r6, _XX1_LOW])
    add(r3, r3, r2)
    lsl(r2, r3, _DROP_HIGH)
    lsr(r2, r2, _DROP_HIGH)
    str(r2, [r6, _XX1_LOW])
    asr(r3, r3, _LOW_BITS)
    ldr(r2, [r6, _XX1])
    add(r3, r3, r2)
    str(r3, [r6, _XX1])

    ldr(r2, [r6, _YY1_LOW])
    add(r0, r0, r2)
    lsl(r2, r0, _DROP_HIGH)
    lsr(r2, r2, _DROP_HIGH)
    str(r2, [r6, _YY1_LOW])
    asr(r0, r0, _LOW_BITS)
    ldr(r2, [r6, _YY1])
    add(r0, r0, r2)
    str(r0, [r6, _YY1])

    # On to the other element, the next block, or out.  The loops are too long for a conditional
    # branch.  10 to 17 cycles.
    ldr(r5, [r7, _STRIDE])
    add(r5, r5, r5)
    data(2, 0x9805)  # ldr r0: element
    cmp(r0, 0)
    bne(BOTH)
    mov(r0, _E)
    b(ELEMENT)
    label(BOTH)
    data(2, 0x9903, 0x9A01)  # ldr r1, r2: end of the block, where to stop
    cmp(r1, r2)
    bcs(ALL)
    b(BLOCK)
    label(ALL)
    data(2, 0x9800)  # ldr r0: result

    # 10 cycles, and the assembler's exit.
    label(RETURN)
    data(2, 0xB007)  # add sp, #28
    pop({r4, r5, r6, r7})
    mov(r8, r4)
    mov(r9, r5)
    mov(r10, r6)
    mov(r11, r7)


# Offsets of what `correlate` needs: of the word that tells where its own words begin, and of these
# from there on.
_PHASORS = const(136)
_STEP = const(0)
_TURN = const(4)
_AHEAD = const(8)
_PHASE = const(12)
_COUNT = const(16)
_COS = const(20)
_SIN = const(40)
_SINE = const(60)

# The stack frame, by words: 4 times the input, the codes' end, the index of the first frame that
# is looked at, its phase, the words of `correlate`, and the state.


@micropython.asm_thumb
def correlate(r0, r1, r2, r3):
    """correlate(codes, pos, end, st); see kernel_viper.correlate.

    81 cycles a frame that is looked at, 93 with a table, and 300 a call: each input has its turn,
    20 cycles with the products of its code, whose sums are in r8 and r9; those of the cosine and
    sine alone are in r12 and r11.  The phase, in lr, has 32 bits here.
    """
    mov(r4, r8)
    mov(r5, r9)
    mov(r6, r10)
    mov(r7, r11)
    push({r4, r5, r6, r7})
    data(2, 0xB086)  # sub sp, #24

    # r4: the words of this, r2: end, r6: index of the first frame, from minus the bytes.
    mov(r7, r3)
    mov(r4, _PHASORS)
    data(2, 0x593C)  # ldr r4, [r7, r4]
    lsl(r4, r4, 2)
    add(r4, r4, r7)
    data(2, 0x9404, 0x9705)  # str r4, r7
    ldr(r5, [r4, _AHEAD])
    add(r1, r1, r5)
    add(r1, r1, r1)
    add(r2, r2, r2)
    sub(r6, r1, r2)
    add(r2, r2, r0)
    data(2, 0x9201, 0x9602)  # str r2, r6
    cmp(r6, 0)
    bge(NOTHING)
    ldr(r5, [r4, _TURN])
    lsl(r5, r5, 8)
    mov(r10, r5)
    ldr(r5, [r4, _PHASE])
    lsl(r5, r5, 8)
    data(2, 0x9503)  # str r5
    ldr(r5, [r4, _STEP])
    add(r5, r5, r5)
    mov(r0, 0)

    # One input.  r0: its code of the frame at the end, r1: the table of corrected codes, r7: the
    # sine's words, r5: bytes from one frame to the next.  27 cycles before the loop.
    label(INPUT)
    data(2, 0x9000, 0x9F05)  # str r0: 4 * input; ldr r7: state
    add(r0, r0, r7)
    ldr(r0, [r0, 0])
    add(r0, r0, r0)
    data(2, 0x9E01)  # ldr r6: end
    add(r0, r0, r6)
    data(2, 0x9B03)  # ldr r3: phase
    mov(lr, r3)
    mov(r3, 0)
    mov(r8, r3)
    mov(r9, r3)
    mov(r11, r3)
    mov(r12, r3)
    data(2, 0x9E02)  # ldr r6: index
    mov(r1, _TABLE)
    data(2, 0x5879)  # ldr r1, [r7, r1]
    cmp(r1, 0)
    beq(PLAIN)
    add(r1, r1, r7)
    data(2, 0x9F04)  # ldr r7: words of this
    add(r7, _SINE)
    label(CORRECTED_FRAME)
    mov(r2, lr)
    lsr(r2, r2, 23)
    lsl(r2, r2, 2)
    data(2, 0x58BA)  # ldr r2, [r7, r2]
    data(2, 0xB213)  # sxth r3, r2: sine
    asr(r2, r2, 16)  # cosine
    data(2, 0x4494)  # add r12, r2
    data(2, 0x449B)  # add r11, r3
    data(2, 0x5B84)  # ldrh r4, [r0, r6]
    add(r4, r4, r4)
    data(2, 0x5B0C)  # ldrh r4, [r1, r4]
    mul(r2, r4)
    data(2, 0x4490)  # add r8, r2
    mul(r3, r4)
    data(2, 0x4499)  # add r9, r3
    data(2, 0x44D6)  # add lr, r10
    add(r6, r6, r5)
    bmi(CORRECTED_FRAME)
    b(SUMMED)
    label(PLAIN)
    data(2, 0x9F04)  # ldr r7: words of this
    add(r7, _SINE)
    label(FRAME)
    mov(r2, lr)
    lsr(r2, r2, 23)
    lsl(r2, r2, 2)
    data(2, 0x58BA)  # ldr r2, [r7, r2]
    data(2, 0xB213)  # sxth r3, r2: sine
    asr(r2, r2, 16)  # cosine
    data(2, 0x4494)  # add r12, r2
    data(2, 0x449B)  # add r11, r3
    data(2, 0x5B84)  # ldrh r4, [r0, r6]
    mul(r2, r4)
    data(2, 0x4490)  # add r8, r2
    mul(r3, r4)
    data(2, 0x4499)  # add r9, r3
    data(2, 0x44D6)  # add lr, r10
    add(r6, r6, r5)
    bmi(FRAME)
    label(SUMMED)

    # What mid-scale makes of the products, taken out.  r2, r3: sums of the cosine and sine.
    mov(r2, r12)
    mov(r3, r11)
    data(2, 0x9800, 0x9C04)  # ldr r0: 4 * input, r4: words of this
    add(r4, r4, r0)
    add(r4, 4)  # behind the cosine's own sum
    lsl(r1, r2, _MID_BITS)
    mov(r0, r8)
    sub(r0, r0, r1)
    ldr(r1, [r4, _COS])
    add(r1, r1, r0)
    str(r1, [r4, _COS])
    lsl(r1, r3, _MID_BITS)
    mov(r0, r9)
    sub(r0, r0, r1)
    ldr(r1, [r4, _SIN])
    add(r1, r1, r0)
    str(r1, [r4, _SIN])
    data(2, 0x9800)  # ldr r0: 4 * input
    add(r0, 4)
    cmp(r0, 16)
    bne(INPUT)

    # The same for all inputs: sums of cosine and sine, phase, and frames.
    data(2, 0x9C04)  # ldr r4: words of this
    ldr(r1, [r4, _COS])
    add(r1, r1, r2)
    str(r1, [r4, _COS])
    ldr(r1, [r4, _SIN])
    add(r1, r1, r3)
    str(r1, [r4, _SIN])
    mov(r1, lr)
    lsr(r1, r1, 8)
    str(r1, [r4, _PHASE])
    data(2, 0x9A02)  # ldr r2: index of the first frame
    ldr(r1, [r4, _COUNT])
    label(COUNTS)
    add(r1, 1)
    add(r2, r2, r5)
    cmp(r2, r6)
    bne(COUNTS)
    str(r1, [r4, _COUNT])
    label(NOTHING)
    lsr(r6, r6, 1)
    str(r6, [r4, _AHEAD])

    data(2, 0xB006)  # add sp, #24
    pop({r4, r5, r6, r7})
    mov(r8, r4)
    mov(r9, r5)
    mov(r10, r6)
    mov(r11, r7)
