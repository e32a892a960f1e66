"""The installation doctor: says of each element what is wired wrong, and what would look the same.

Flow: phasors of a window -> DOCTOR -> findings -> telemetry, host.  Every wiring with at most two
faults is held against what was measured; those under which both loads are likely ones stay.
"""

import micropython
from micropython import const

from threewire.transient import let_go

# An element with voltage but less than the starting current (0.1 % of 200 A) has none.
_CURRENT_UA = const(200000)
# What the other element must carry for that to be a fault and not a quiet house.
_LOADED_UA = const(1000000)
# The least current whose angle is used: 0.01 A of noise, three times over, turns 0.5 A by 3.4
# degrees, and the rest of the 6 that _is_load allows is for the CT's own error at so little.
_JUDGED_UA = const(500000)

# What the two voltages are to each other: those of two lines, of one line, of neither service, or
# not to be compared because one is missing.
_APART = const(0)
_SHARED = const(1)
_ODD = const(2)
_ONE_GONE = const(3)
# One is half a wave, or far from a sine.
_BENT = const(5)
# There are no phasors: no window of whole cycles has been metered.
_BRIEF = const(4)

# A verdict on a judged element is two bits: both, or neither, as well.
_REVERSED = const(1)
_CROSSED = const(2)
_DRAWS = const(16)
_EXPORTS = const(32)

# Where the other line may be when its voltage is not known: 180, 120 or -120 degrees away.
_ANY_LINE = ((-1, 0), (-56, 97), (-56, -97))  # 97 / 56 is the root of 3 within 2e-5

# What diagnose() judged last -> the Diagnosis that came of it.
_latest = {}

# Larger parts of a phasor than this are cut by 16 bits.
_FIRST = const((1 << 28) - 1)


class Finding:
    """What was found of one element.

    verdict  "right", "ct_reversed", "crossed" (the CT and its voltage reference are on different
             lines), "crossed_and_reversed", "no_voltage", "no_current", "no_load" or "doubtful"
    alike    the other verdicts that would look the same; of a doubtful one, all of them
    checks   which of the guide's three to make: 1 line and load side of the CT, 2 voltage
             reference on the CT's line, 3 polarity of the CT's wires at the terminals
    text     one sentence that names the element, its verdict and what looks the same
    """

    def __init__(self, verdict, alike, checks, text):
        self.verdict = verdict
        self.alike = alike
        self.checks = checks
        self.text = text


class Diagnosis:
    """service: "split phase", "208Y/120" or "unknown"; elements: a Finding of each."""

    def __init__(self, service, elements):
        self.service = service
        self.elements = elements


def diagnose(volts_uv, amps_ua, powers, v2_v1, nominal_volts, bent=(False, False)):
    """The Diagnosis of an installation, from its fundamental phasors V and I.

    volts_uv, amps_ua  their rms, a pair each
    powers             pair of (re, im) of V * conj(I), any unit: im > 0 where the current lags
    v2_v1              (re, im) of V2 * conj(V1), any unit
    bent               pair: whether the voltage is far from a sine

    Powers that are (0, 0) in spite of voltage and current have not been metered for long enough.
    At most two faults are looked for; an element without voltage or current is one of them.
    Loads are taken to have power factors from 0.3 lagging to 0.9 leading.  A true export looks
    like a turned CT.
    """
    least_uv = nominal_volts * 500000
    voltages = _ONE_GONE
    service = "unknown"
    others = _ANY_LINE, _ANY_LINE
    if volts_uv[0] >= least_uv and volts_uv[1] >= least_uv:
        re, im = _scaled(v2_v1)
        voltages, service = _relation(re, abs(im))
        if voltages == _APART:
            # V_other * conj(I) is V * conj(I) turned by V_other / V, whatever the service.
            others = ((re, im),), ((re, -im),)

    states = ["", ""]
    bends = [None, None]
    fits = [-1, -1]  # what is not judged fits everything
    for k in (0, 1):
        if volts_uv[k] < least_uv:
            states[k] = "no_voltage"
        elif bent[k]:
            states[k] = "doubtful"
            bends[k] = _BENT
        elif amps_ua[k] < _CURRENT_UA and amps_ua[1 - k] >= _LOADED_UA:
            states[k] = "no_current"
        elif amps_ua[k] < _JUDGED_UA:
            states[k] = "no_load"
        elif not any(powers[k]):
            states[k] = "doubtful"
            voltages = _BRIEF
        elif voltages == _ODD:
            states[k] = "doubtful"
        else:
            re, im = _scaled(powers[k])
            fits[k] = _fits(re, im, others[k], service == "split phase")

    # All the rest follows from these, and most often they are what they were.
    what = (voltages, service, states[0], states[1], bends[0], bends[1], fits[0], fits[1])
    diagnosis = _latest.get(what)
    if not diagnosis:
        from threewire.metering.findings import judge

        found = [Finding(*given) for given in judge(states, bends, fits, voltages)]
        let_go("threewire.metering.findings")
        if len(_latest) > 1:
            _latest.clear()
        _latest[what] = diagnosis = Diagnosis(service, found)
    return diagnosis


def _fits(re, im, others, is_split):
    """Which verdicts a power allows: bit v for a likely load under verdict v, _DRAWS where it is
    positive and _EXPORTS where it is negative without a doubt.
    others: where the other line may be from the element's own voltage.
    """
    fits = _loads(re, im, is_split)
    for c, s in others:
        fits |= _loads(re * c - im * s, re * s + im * c, is_split) << _CROSSED
    if re > 0:
        return fits | _DRAWS
    return fits | _EXPORTS if abs(im) < -9 * re else fits  # 96.3 degrees and more


def _loads(re, im, is_split):
    """1 where a power is that of a likely load, 1 << _REVERSED where it is that of one whose CT is
    turned, or 0.

    From 0.3 lagging to 0.9 leading (72.5 to -25.8 degrees) and 6 degrees more each way, for what
    CT, front end and noise turn it.  A heater between two lines of 208Y/120, 30 degrees ahead on
    one of them, is still in.  Crossed elements are 120 degrees off there, so that the ranges of
    right and crossed stay 9 degrees apart.
    In split phase every fault is 180 degrees off, and nothing stands against a wider range.
    """
    bit = 1
    if re < 0:
        re = -re
        im = -im
        bit = 1 << _REVERSED
    if is_split:
        return bit if abs(im) < 9 * re else 0  # 83.7 degrees
    return bit if re and -5 * re <= 8 * im <= 40 * re else 0  # -32.0 to 78.7 degrees


def _relation(re, im):
    """(what the voltages are to each other, service) from V2 * conj(V1), im without its sign."""
    if 11 * im < -4 * re:  # 160 degrees
        return _APART, "split phase"
    if -21 * re < 25 * im and 3 * im < -17 * re:  # 140 to 100
        return _APART, "208Y/120"
    if 11 * im < 4 * re:  # 20
        return _SHARED, "unknown"
    return _ODD, "unknown"


def _scaled(phasor):
    """A phasor of any size with its larger part in 12 bits, which leaves 0.02 degrees and keeps
    every product above within 31 bits.
    """
    re, im = phasor
    size = abs(re)
    if abs(im) > size:
        size = abs(im)
    shift = 0
    while size > _FIRST:
        size >>= 16
        shift += 16
    shift += _shift(size)
    return re >> shift, im >> shift


@micropython.viper
def _shift(size: int) -> int:
    """How many bits beyond 12 there are in it."""
    shift = 0
    while size >> 12:
        size >>= 1
        shift += 1
    return shift
