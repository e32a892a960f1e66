"""The load profile as text: answers to the console's `utc` and `profile`, and a quarter's JSON.

Flow: load profile -> PROFILE TEXT -> commands, outlets.
"""

from json import dumps

from micropython import const

from threewire.operation.telemetry import decimal

_S = const(900)
_NAMES = ("partial", "more", "clock", "estimated")  # bits of the flags
_MOST_ROWS = const(48)
# The last second of 2099.  It goes on, and what is kept of it has 32 bits, up to 2106.
_MOST = 4102444799
# On a sealed board the time is not to be moved by more: quarters would come again.
_NEAR_S = const(60)


def text(found):
    """The JSON of a quarter, of what LoadProfile.records yields: `start` in Unix seconds."""
    quarter, delivered, received, flags = found
    return '{"start":%d,"delivered_wh":"%s","received_wh":"%s","flags":[%s]}' % (
        quarter * _S,
        decimal(delivered, 3),
        decimal(received, 3),
        ",".join(['"%s"' % name for k, name in enumerate(_NAMES) if flags >> k & 1]),
    )


def utc(operator, given):
    """The time that is known, and was last; sets it before, where it is given.  Raises ValueError
    for what it may not be set to."""
    profile = operator.profile
    clock = profile.utc
    if given:
        # Of bytes, to which only 0 to 9 are digits on any Python.
        seconds = int(given) if len(given) == 10 and given.encode().isdigit() else 0
        if not clock.EARLIEST_S <= seconds <= _MOST:
            raise ValueError("SECONDS must be whole Unix seconds, of 2026 to 2099")
        now = clock.at()
        if now is None:
            is_far = seconds < profile.last - _NEAR_S
        else:
            is_far = abs(seconds - now) > _NEAR_S
        if is_far:
            if operator.sealed:
                raise ValueError(
                    "sealed: it can be moved by %d s, and not before %d"
                    % (_NEAR_S, profile.last if now is None else now)
                )
            operator.check()
        clock.set(seconds * 1000000, clock.ticks_us())
        if is_far:
            operator.note("utc", now, seconds)
    return {"utc": clock.at(), "last": profile.last or None, "drift_ppb": clock.drift_ppb}


def answer(profile, given):
    """Yields the object: the open quarter; or of FROM COUNT rows [start in Unix seconds, delivered
    and received mWh, flags], and from where on there are more.  Raises ValueError."""
    if not given:
        return _state(profile)
    first, _, count = given.partition(" ")
    count = count.strip()
    if not (first + count).encode().isdigit() or not count or len(first) > 10:
        raise ValueError("FROM must be Unix seconds, COUNT 1 to %d" % _MOST_ROWS)
    if len(count) > 2 or not 0 < int(count) <= _MOST_ROWS:
        raise ValueError("COUNT must be 1 to %d" % _MOST_ROWS)
    return _rows(profile, int(first) // _S, int(count))


def _state(profile):
    found = profile.open()
    yield '{"open":' + (text(found) if found else "null")
    yield ',"without_utc_wh":["%s","%s"]' % tuple([decimal(e, 3) for e in profile.waiting()])
    yield ',"problem":' + dumps(profile.problem) + "}"


def _rows(profile, first, count):
    yield '{"rows":['
    start = "["
    after = max(first, profile.quarter)
    for found in profile.records(first, after):
        if not found:
            yield ""
            continue
        quarter, delivered, received, flags = found
        yield "%s%d,%d,%d,%d]" % (start, quarter * _S, delivered, received, flags)
        start = ",["
        count -= 1
        if not count:
            after = quarter + 1
            break
    yield '],"next":%d}' % (after * _S)
