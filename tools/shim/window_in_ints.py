"""Under CPython, the arithmetic of window_words.py and window_viper.py in Python's own integers,
and what wide.py makes these of.

Flow: micropython.viper -> WINDOW_IN_INTS.  Each takes and leaves the same words as the function of
its name there, but for those that are only for the while of a call.
"""

from words_in_ints import _number, _put


def _take(to, words, at):
    to[:] = words[at : at + 10]
    return to[9] >> 15


def join(to, words, count):
    for at in range(0, 10 * count, 10):
        _put(to, at, _number(to, at) + _number(words, at))


def gained(to, now, at, was):
    for k in (0, 10):
        _put(to, k, _number(now, at + k) - _number(was, k))
    was[:20] = now[at : at + 20]


def squares(j, w, places):
    n = j[20]
    for k in range(4):
        a = j[11 + k]
        x2 = (j[25 + 2 * k] << 12) + j[26 + 2 * k]
        _put(w, 10 * places[k], (x2 << 8) - (a * j[21 + k] << 5) + n * a * a)


def quotients(j, w, jobs):
    n = j[15]
    for at in range(0, len(jobs) - 1, 4):
        y, x, which, place = jobs[at : at + 4]
        if which & 1:
            product = j[37 + y] * j[41 + x] - j[41 + y] * j[37 + x]
        else:
            product = j[37 + y] * j[37 + x] + j[41 + y] * j[41 + x]
        quotient = (product << 12) // n
        _put(w, 10 * place, -quotient if which & 2 else quotient)


def turn(j, w, element, signs):
    re, im = _number(w, 100 + 10 * element), _number(w, 120 + 10 * element)
    cos, sin = j[16 + 2 * element : 18 + 2 * element]
    re, im = (re * cos - im * sin) >> 30, (re * sin + im * cos) >> 30
    _put(w, 100 + 10 * element, -re if signs & 1 else re)
    _put(w, 120 + 10 * element, -im if signs & 2 else im)


TWINS = {of.__name__: of for of in (_take, join, gained, squares, quotients, turn)}
