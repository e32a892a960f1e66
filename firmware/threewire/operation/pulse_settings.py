"""What a board file asks of the pulse outputs, with PULSES.

Flow: board file -> PULSE SETTINGS -> outlets, host.  A board loads it for its start alone.
"""

from micropython import const

_WH = const(1000000)  # in millionths
_MOST_WH = const(1000000)
_LONGEST_MS = const(100)
NAMES = ("delivered", "received")
_WORDS = "micro_wh", "ms"


def settings(board, layout):
    """(pins of NAMES, step in millionths of a watt-hour, microseconds on, least microseconds off)
    of a board file's PULSES.  Raises ValueError in the board file's words."""
    given = board.PULSES
    micro_wh = given.get("micro_wh", _WH)
    ms = given.get("ms", 50)
    pins = [given.get(name) for name in NAMES]
    used = [pin for pin in pins if pin is not None]
    taken = [pin for _, pin in board.SLOTS] + [pin for pin, _ in board.LEDS.values()]
    taken.append(board.SEAL)
    said = "board {}: PULSES: ".format(board.NAME)
    for name in given:
        if name not in NAMES + _WORDS:
            raise ValueError(said + "{!r}; there are {}".format(name, ", ".join(NAMES + _WORDS)))
    for name, value in zip(NAMES + _WORDS, pins + [micro_wh, ms]):
        least = 0 if name in NAMES else 1
        if value is not None and not (type(value) is int and value >= least):
            raise ValueError(said + "{} {!r} is no whole number".format(name, value))
    if not used:
        raise ValueError(said + "no pin; name one for delivered, received or both")
    for pin in used:
        if pin in taken or used.count(pin) > 1:
            raise ValueError(said + "pin {} is used twice".format(pin))
    # Both elements at class amperes, of which a thousandth is the starting load.
    watts = 2 * layout.starting_mw
    each_us = micro_wh * 3600 // watts
    on_us = 1000 * ms
    off_us = min(on_us, each_us - on_us)
    if micro_wh > _WH * _MOST_WH:
        raise ValueError(said + "micro_wh {}; {} at most".format(micro_wh, _WH * _MOST_WH))
    if ms > _LONGEST_MS or 2 * off_us < on_us:
        most = min(each_us // 1500, _LONGEST_MS)
        raise ValueError(
            said
            + "ms {} do not fit: at {} W there is a pulse each {} us, and half its length apart "
            "from the next it has {} ms at most".format(ms, watts, each_us, most)
        )
    return pins, micro_wh, on_us, off_us
