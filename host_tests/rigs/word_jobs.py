"""Jobs for the arithmetic in words, as a program that runs under MicroPython on the chip and under
CPython: the same jobs on both, from a generator of their own.
"""

JOBS = '''
from array import array
from binascii import crc32

from threewire.metering import wide
from threewire.metering.flow import WORDS, Flow
from threewire.metering.registers import pair


class Draw:
    """Pseudo-random ints."""

    def __init__(self, seed):
        self.x = seed

    def bits(self, n):
        value = 0
        for _ in range(0, n, 12):
            self.x = (self.x * 25173 + 13849) & 0xFFFFFF
            value = value << 12 | self.x >> 12
        return value & (1 << n) - 1

    def within(self, most):
        """-most to most, and often one of these."""
        k = self.bits(5)
        if k < 2:
            return (most, -most)[k]
        return self.bits(40) % (2 * most + 1) - most


def kernel_state(st, draw, n):
    """Sums as n frames of codes may make them."""
    for at in (13, 19):
        st[at] = draw.within(n * 2152)
        st[at + 1] = draw.within(n * 2152)
    for at in (15, 17, 21, 23):
        st[at] = draw.within(n * 1130)
        st[at + 1] = draw.bits(12)
    st[10], st[11] = draw.bits(12), draw.bits(12)


def segment(words, kept, draw):
    """Weights and offsets, and a segment that begins."""
    for k in range(4):
        worth = draw.within(1 << draw.bits(7) % 111)
        wide.put(words, 74 + 20 * k, worth)
        wide.put(words, 84 + 20 * k, -worth)
        wide.put_double(words, 154 + 2 * k, draw.within(34432) & 0xFFFFFFFF)
    for k in range(16):
        kept[k] = 0
    kept[16], kept[17] = draw.bits(12), draw.bits(12)


def reckoned(reckon, seed, calls):
    """Yields what there is before and after each call: (state, words, kept)."""
    draw = Draw(seed)
    st = array("i", bytes(4 * 36))
    words = array("H", bytes(2 * 165))
    kept = array("i", bytes(4 * 18))
    for call in range(calls):
        if not draw.bits(3):
            segment(words, kept, draw)
        if not draw.bits(3):
            for at in (34, 44):
                wide.put(words, at, draw.within(1 << 140))
        n = 1 + draw.bits(13) % 6000
        kernel_state(st, draw, n)
        before = st[:], words[:], kept[:]
        reckon(st, words, kept, -n if draw.bits(1) else n)
        yield n, before, (st, words, kept)


def booked(book, seed, calls):
    """Yields (what `book` says, energies, words of the flows) after each call."""
    draw = Draw(seed)
    flows = []
    for k in range(3):
        noise = 1 << draw.bits(8) % 120
        delivered, received = pair((1 << 129) + draw.bits(120), WORDS)
        enough = 0 if k == 2 else 1 + draw.bits(draw.bits(7) % 125)
        flows.append(Flow(delivered, received, noise + draw.bits(20), 48000000, enough))
    e = array("H", bytes(2 * 34))
    for call in range(calls):
        for k in (0, 1):
            if not draw.bits(3):
                flows[k].is_open = draw.bits(2) > 0
            if not draw.bits(5):
                flows[k].ask()
            if draw.bits(2):
                wide.put(e, 10 * k, draw.within(1 << draw.bits(8) % 131))
            elif draw.bits(1):
                wide.put(e, 10 * k, -flows[k].held)
        wide.put_double(e, 32, 1 + draw.bits(20))
        e[30] = draw.bits(2) * 5 & 15 if not draw.bits(3) else 0
        said = book(e, flows[0].words, flows[1].words, flows[2].words)
        yield said, e, [flow.words for flow in flows]


def check(arithmetic, calls):
    """Sum of all that `reckon` and `book` of a module leave behind."""
    total = 0
    for seed in (1, 2, 3):
        for n, before, (st, words, kept) in reckoned(arithmetic.reckon, seed, calls):
            total = crc32(bytes(words[:74]), total)
        for said, e, flows in booked(arithmetic.book, seed, calls):
            total = crc32(bytes(e[:34]) + bytes([said & 0xFF]), total)
            for words in flows:
                # All but what is for the while of a call, and its twin's own.
                total = crc32(bytes(words[:62]) + bytes(words[82:92]), total)
    return total
'''
