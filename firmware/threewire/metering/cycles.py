"""Which zero crossings bound a mains cycle: those that come when the next one is due.

Flow: accumulator's stretches -> CYCLES -> accumulator.  A notch or dip through zero is none.  Once
two cycles in a row have been alike, a crossing is looked for only about when the next is due;
until then no earlier than 13 ms after the last.  Mains has 45 to 65 Hz: a length beyond that is
none, nor is one that creeps there.  Lengths are in 1/4096 frame.

While one cycle is like the other they are a *run*: `goes_on` sees to all of a crossing that is
due, on the kernel's words.  Cycles' own steps see to the first, to those that end a window, and to
whatever is not as it was.
"""

import micropython
from micropython import const

# While cycles are not known, no crossing is believed earlier than a cycle of this: 60 % of one of
# 45 Hz, 86 % of one of 65 Hz...
_NO_HIGHER_HZ = const(76)
# ...and where they are, than this part before or after it is due (22.5 degrees; 11.25 where there
# has been a notch within 22.5).  Mains that changes faster is looked for anew.
_WITHIN_PART = const(16)
_CLOSELY_PART = const(32)
# Two are alike that differ by less than this part.
_ALIKE_PART = const(64)
# The length follows the latest by this part of the difference.
_FOLLOW_PART = const(4)
# What mains frequency can be, and the part of a cycle by which one that is just so may be timed
# wrongly.
_LOWEST_HZ = const(45)
_HIGHEST_HZ = const(65)
_TIMED_PART = const(256)
# No crossing is waited for longer than a cycle of this: the accumulator closes the stretch.
_WAITED_HZ = const(40)
# The voltage's phase at what is taken for its crossing may be 1/32 turn off, in 1/4096.
_OFF_TURN = const(128)
_TURN = const(4096)
# Where a cycle has few frames, the next crossing may be so many of them early or late.
_FEWEST = const(2)
# Words of the kernel's state, as in kernel.py; of those for `correlate`, behind them; and how far
# the sine may be off, as in phasors.py.
_Z = const(4)
_STRIDE = const(5)
_FIRE = const(7)
_PREV_Z = const(12)
_PHASORS = const(34)
_BLIND = const(35)
_RUN = const(36)
_BEGUN = const(37)
_LENGTH = const(38)
_WITHIN = const(39)
_SHORTEST = const(40)
_LONGEST = const(41)
_FRAME_Q20 = const(42)
_RISE = const(43)
_AHEAD = const(2)
_PHASE = const(3)
_OFF = const(1024)
# Beyond, a frame's phase times what is left to the next that is looked at has over 31 bits.
_MOST_FRAME_Q20 = const(1 << 17)


@micropython.viper
def goes_on(st: ptr32, codes: ptr16, pos: int, n: int) -> int:
    """Takes the crossing in front of codes[pos], which has ended a stretch of n frames, where that
    was another cycle of the run that the kernel's words `st` tell of: its length is followed, and
    the next crossing is looked for about when it is due.  Returns how far (1/4096 frame) it is
    behind the frame before; -1: it is no such cycle, and nothing has been taken note of."""
    if not st[_RUN]:
        return -1
    before = int(st[_PREV_Z])
    rise = int(codes[pos + int(st[_Z])]) - before
    if rise <= 0:
        return -1
    fraction = ((int(st[_FIRE]) - before) << 12) // rise
    if fraction < 0:
        fraction = 0
    elif fraction > 4096:
        fraction = 4096
    length = int(st[_LENGTH])
    within = int(st[_WITHIN])
    off = (n << 12) + fraction - int(st[_BEGUN]) - length
    if off > within or 0 - off > within:
        return -1
    length += off >> 2
    if length < int(st[_SHORTEST]) or length > int(st[_LONGEST]):
        return -1
    # As Phasors.follow, where the sine is in step.
    stride = int(st[_STRIDE])
    base = int(st[_PHASORS])
    due = ((int(st[base + _AHEAD]) // stride + 1) << 12) - fraction
    due = due * int(st[_FRAME_Q20]) >> 12
    off = (((int(st[base + _PHASE]) >> 4) - due + 0x80000) & 0xFFFFF) - 0x80000
    if off > _OFF or 0 - off > _OFF:
        return -1
    st[_RUN] = int(st[_RUN]) - 1
    st[_RISE] = rise
    st[_LENGTH] = length
    st[_BEGUN] = fraction
    st[_BLIND] = ((length - within) >> 12) * stride
    return fraction


@micropython.native
def turn_q12(re, im):
    """Angle of a phasor in 1/4096 of a turn, -2048..2048, within 4; 0 for (0, 0)."""
    a, b = abs(re), abs(im)
    if not a and not b:
        return 0
    less, more = (a, b) if a < b else (b, a)
    r = (less << 12) // more
    # atan r = r (pi / 4 + 0.273 (1 - r)), within 0.22 degrees.
    angle = r * (512 + (178 * (_TURN - r) >> 12)) >> 12
    if a < b:
        angle = 1024 - angle
    if re < 0:
        angle = 2048 - angle
    return angle if im >= 0 else -angle


class Cycles:
    """Judges the stretches between crossings of one reference.

    frame_ticks, tick_hz   as Layout's

    length    of a cycle, 0 where it is not known
    is_found  length and phase of the cycles are known
    blind     frames of the next stretch in which no crossing is believed
    """

    def __init__(self, frame_ticks, tick_hz):
        second_q12 = (tick_hz << 12) // frame_ticks
        self._shortest = second_q12 * (_TIMED_PART - 1) // (_HIGHEST_HZ * _TIMED_PART)
        self._longest = second_q12 * (_TIMED_PART + 1) // (_LOWEST_HZ * _TIMED_PART)
        self._waited = second_q12 // _WAITED_HZ
        self._unknown = second_q12 // _NO_HIGHER_HZ >> 12
        self._is_proven = False  # the fundamental crosses zero where its cycles begin
        self.length = 0  # 0: not known
        self._within = 0  # by how much the next may differ
        self.lose()

    def lose(self):
        """The next stretch does not follow on the last, or its end was missed."""
        self.is_found = False
        self._latest = 0  # of the stretch before, while the length is not known
        self._shift = 0  # by how much later than a cycle the next crossing is due
        self.blind = self._unknown
        if not self._is_proven:
            self.length = 0

    def begin_run(self, st, begun, count):
        """A run of up to `count` cycles begins, if it may: the first has begun `begun`/4096 frame
        behind the frame before."""
        if self.is_found and not self._shift and st[_FRAME_Q20] < _MOST_FRAME_Q20:
            st[_RUN] = count
            st[_BEGUN] = begun
            st[_LENGTH] = self.length
            st[_WITHIN] = self._within
            st[_SHORTEST] = self._shortest
            st[_LONGEST] = self._longest

    def end_run(self, st):
        """Takes over what the run has come to, which ends with this."""
        self.length = st[_LENGTH]
        self.blind = (self.length - self._within) >> 12
        st[_RUN] = st[_LENGTH] = 0

    def deny(self):
        """What was found is no mains."""
        self._is_proven = False
        self.lose()

    def is_cycle(self, length, is_seen=True):
        """Whether a stretch from one crossing to the next was a cycle; None: perhaps, for it has
        the length of one, but none before it has shown that.

        is_seen  both were seen: the length is nobody's guess
        """
        if self.is_found:
            within = self._within
            shift = self._shift
            off = length - self.length - shift
            if -within <= off and off <= within:
                if shift:
                    self._shift = 0
                elif is_seen:
                    self.length = length = self.length + off // _FOLLOW_PART
                    if not self._shortest <= length <= self._longest:
                        self.deny()
                        return False
                self.blind = (self.length - within) >> 12
                return not shift
            self.lose()
        return self._is_first(length) if is_seen else False

    def _is_first(self, length):
        latest, self._latest = self._latest, length
        if not self._shortest <= length <= self._longest:
            self._latest = 0
            return False
        for other in (latest, self.length):
            if other and abs(length - other) <= other // _ALIKE_PART:
                self.length = (length + other) >> 1
                self.is_found = True
                self._is_proven = False
                self._look_within(_WITHIN_PART)
                return True
        return None

    def _look_within(self, part):
        self._within = max(self.length // part, _FEWEST << 12)
        self.blind = (self.length + self._shift - self._within) >> 12

    def check(self, re, im):
        """Takes the reference's fundamental phasor at the crossing that a window began with.
        Where that was no zero crossing of the fundamental the next is due elsewhere."""
        if not self.is_found:
            return
        angle = turn_q12(re, im)
        self._is_proven = abs(angle) <= _OFF_TURN
        if not self._is_proven:
            self._shift = -angle * self.length >> 12
            if self.length + self._shift > self._waited:
                # So long is not waited for: it is due within this cycle.
                self._shift -= self.length
            self._look_within(_CLOSELY_PART)
