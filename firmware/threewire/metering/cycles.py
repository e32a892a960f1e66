"""Which zero crossings bound a mains cycle: those that come when the next one is due.

Flow: accumulator's stretches -> CYCLES -> accumulator.  A notch or dip through zero is none.  Once
two cycles in a row have been alike, a crossing is looked for only about when the next is due;
until then no earlier than 13 ms after the last.  Mains has 45 to 65 Hz: a length beyond that is
none, nor is one that creeps there.  Lengths are in 1/4096 frame.
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

    def deny(self):
        """What was found is no mains."""
        self._is_proven = False
        self.lose()

    @micropython.native
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
