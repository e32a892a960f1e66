"""Under CPython, the arithmetic of reactive_viper.py in Python's own integers.

Flow: micropython.viper -> REACTIVE_IN_INTS.  Each takes and leaves the same words as the function
of its name there, but for those that are only for the while of a call.
"""

from words_in_ints import _number, _put


def _double(words, at):
    return words[at] | words[at + 1] << 16


def _toward_zero(a, b):
    return a // b if a >= 0 else -(-a // b)


def flows(f, w, allowed):
    ticks, points = _double(f, 102), _double(f, 104)
    totals = [0, 0, 0]
    for e in (0, 1):
        found = [0, 0, 0]
        if allowed >> e & 1:
            at = 90 + 6 * e
            gain = (_double(f, at) | _double(f, at + 2) << 32) * (-1 if f[at + 4] else 1)
            found[0] = _number(w, 10 * e) // ticks >> 32
            for which, place in ((1, 120), (2, 100)):
                number = _number(w, place + 10 * e) * gain
                found[which] = _toward_zero(number, points << 17)
        for which, number in enumerate(found):
            _put(f, 30 * e + 10 * which, number)
            totals[which] += number
    for which, number in enumerate(totals):
        _put(f, 60 + 10 * which, number)


def book(f):
    ticks = _double(f, 106)
    least, unit = _number(f, 112), _number(f, 122)
    found = 0
    for k in range(3):
        watts, var, watts1 = (_number(f, 30 * k + 10 * which) for which in range(3))
        if abs(var) >= least:
            if abs(watts) >= max(least, abs(var) // 128):
                f[108 + k] = watts < 0
            quadrant = (1 if var > 0 else 2) if f[108 + k] else (0 if var > 0 else 3)
            found |= _add(f, 6 * k + quadrant, abs(var) * ticks, unit)
        if abs(watts1) >= least:
            found |= _add(f, 6 * k + (4 if watts1 > 0 else 5), abs(watts1) * ticks, unit)
    return found


def _add(f, which, raw, unit):
    at = 170 + 10 * which
    wh, residue = divmod(_number(f, at) + raw, unit)
    _put(f, at, residue)
    f[152 + which] += wh
    return 1 << which if wh else 0


TWINS = {of.__name__: of for of in (flows, book)}
