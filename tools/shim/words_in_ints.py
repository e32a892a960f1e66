"""Under CPython, the arithmetic of words_viper.py in Python's own integers: ten words at a time.

Flow: micropython.viper -> WORDS_IN_INTS.  A word at a time, as viper does it, takes CPython far
longer.  Each takes and leaves the same words as the function of its name there, but for those that
are only for the while of a call.
"""

from array import array

_ONE_MORE = 1 << 160
_LEN = 10


def _number(words, at):
    return int.from_bytes(words[at : at + _LEN].tobytes(), "little", signed=True)


def _put(words, at, value):
    words[at : at + _LEN] = array("H", (value % _ONE_MORE).to_bytes(2 * _LEN, "little"))


def _double(words, at):
    return words[at] | words[at + 1] << 16


def _signed(words, at):
    value = words[at] | words[at + 1] << 16
    return value - (1 << 32) if value >> 31 else value


def reckon(st, w, b, n):
    ends = n < 0
    n = abs(n)
    for e in (0, 1):
        x0, y0 = _signed(w, 154 + 4 * e), _signed(w, 156 + 4 * e)
        sum_x, sum_y, xy, xy_low, pxy, pxy_low = st[13 + 6 * e : 19 + 6 * e]
        same = (xy << 12) + xy_low
        step = (pxy << 12) + pxy_low - same
        energy = _number(w, 34 + 10 * e)
        for term, now in enumerate(
            (
                (same << 8) - ((y0 * sum_x + x0 * sum_y) << 4) + n * x0 * y0,
                (step << 8) - (y0 * (b[16 + e] - st[10 + e]) << 4),
            ),
            2 * e,
        ):
            k = 2 * term
            b[8 + k] = now & 0xFFFFFF
            b[9 + k] = now >> 24
            energy += (now - (b[k + 1] << 24) - b[k]) * _number(w, 74 + 20 * term)
        _put(w, 10 * e, energy)
    if ends:
        b[0:8] = b[8:16]
        for at in (0, 10):
            _put(w, 54 + at, _number(w, 54 + at) + _number(w, at))
            _put(w, 34 + at, 0)


def take(e, at, w, ticks):
    is_open = w[88]
    if is_open == 3:
        return -1
    held = _number(w, 32)
    total = held + _number(e, at)
    size = abs(total)
    second = _double(w, 86)
    passed = 0
    holds = False
    if size < _number(w, 42):
        passed = min(_double(w, 82) + ticks, second)
        shift = 8 * w[90] + w[91]
        holds = (total >> shift) ** 2 * second <= w[89] ** 2 * passed
    if not is_open:
        if not holds:
            return -1
    elif is_open == 1:
        little = 0
        enough = _number(w, 52)
        if holds or size < enough:
            little = _double(w, 84)
            flowed = (_number(w, 92) if little else 0) + (0 if holds else size)
            little += ticks
            if flowed >= enough:
                little = 0
            elif little >= second:
                return -1
            else:
                _put(w, 92, flowed)
        w[84] = little & 0xFFFF
        w[85] = little >> 16
    if holds:
        w[82] = passed & 0xFFFF
        w[83] = passed >> 16
        _put(w, 32, total)
        return 1 if is_open else 0
    w[82] = w[83] = 0
    if held:
        _put(w, 32, 0)
    register = 10 if total < 0 else 0
    wh, residue = divmod(_number(w, register) + size, _number(w, 20))
    _put(w, register, residue)
    if not wh:
        return 1
    w[31 if total < 0 else 30] += wh
    return 3


def sum_up(e, which):
    _put(e, 20, (_number(e, 0) if which & 1 else 0) + (_number(e, 10) if which & 2 else 0))


def reaches(e, at, w):
    energy = _number(e, at)
    if energy >= 0:
        for times in (1, 2, 3):
            if _number(w, 0) + times * energy >= _number(w, 20):
                return times
    return 0


TWINS = {of.__name__: of for of in (reckon, take, sum_up, reaches)}
