"""Straightens the ADC: what each code would have read on an even converter, one table for all
inputs of a board, since they share one converter.

Flow: calibration's "adc" -> ADC TABLE -> the kernel's state, which looks every code up.
"""

from array import array

from micropython import const

from threewire.metering.intmath import nearest

_CODES = const(4096)
_MID = const(2048)
# Work is in 1/4096 count: a bow between knots is 1/16 counts by 1/256 of their distance.
# The highest value, all steps and the bow at their limits, is under 2**25.
_UNIT = const(4096)
# The kernel's sums take codes up to 2152 from mid-scale: 256 * 2152**2 + 4095 < 2**31.
_MOST = const(4200)


def table(adc):
    """array("i") of 4096: the corrected code of each code, in counts, 0 to 4200.

    adc  "steps": [[code, excess_q4], ...], the codes that are wider than a normal one, and by how
         much in 1/16 count; optionally "bow_q4": 17 corrections in 1/16 count, to be added to the
         codes 0, 256, ... 4096 and linearly between them.  Both as calibration checks them.

    A code moves away from mid-scale by the excess of every step between it and 2048, and by half
    of its own where it is a step: the middle of what it covers.  The bow counts from its value at
    2048, so 2048 stays 2048.  The sum of both is rounded once, to the nearest integer.

    Never negative, since a load from the state extends with zeros on 64 bits.  With the RP2040's
    two steps below mid-scale that touches the codes 0 to 16 only, where the input clips anyway.
    """
    return array("i", entries(adc))


def entries(adc):
    """Yields what `table` holds, for whom there is no room for it."""
    bow = adc.get("bow_q4") or [0] * 17
    excess = dict(adc["steps"])
    moved = -(bow[8] << 8) - (excess.get(_MID, 0) << 7)
    for code, width in excess.items():
        if code < _MID:
            moved -= width << 8
    for code in range(_CODES):
        half = excess.get(code, 0) << 7
        moved += half
        knot = code >> 8
        part = code & 255
        at = code * _UNIT + moved + bow[knot] * (256 - part) + bow[knot + 1] * part
        yield min(max(nearest(at, _UNIT), 0), _MOST)
        moved += half
