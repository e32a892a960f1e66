"""Calibration constants, checked: a mapping becomes constants to meter by, or is refused.

Flow: stored constants, or typed ones -> CALIBRATION -> constants -> accumulator.  It is imported
when there are any to be checked: a meter goes on without it.
"""

from micropython import const

from threewire.metering.constants import (
    GAINS,
    PHASES,
    REFERENCE,
    TABLES,
    Calibration,
    nominal,
)
from threewire.metering.layout import SENSOR

# By so much the size of a count may differ from the board file's: parts and converter make less,
# and another front end belongs into the board file.
GAIN_PERCENT = 30
# 500 us is 10.8 degrees at 60 Hz, and a whole frame at 2 kHz.
MAX_PHASE_NS = 500000
# Counts from mid-scale to an end of the scale.
_FULL_SCALE = const(2048)
_MAX_ROWS = const(8)
# The converter's codes have neighbours on both sides; the four wide ones of RP2040's erratum E11
# are 9 counts too wide, and its bow is under 2 counts (1/16 count here).
_LAST_CODE = const(4094)
_MAX_EXCESS_Q4 = const(512)
_KNOTS = const(17)
_MAX_BOW_Q4 = const(256)
# A regulator that drifts by more is broken.
_MOST_PPB = const(500000)
# Codes of the chip's sensor that are a temperature's.
_LEAST_CODE = const(600)
_MOST_CODE = const(1200)
# An RP2's identity has 16 digits, an ESP32's 12.
_HEX = "0123456789abcdef"
_MOST_ID = const(32)
# Of a value in a message, so that it stays a line.
_EXCERPT = const(60)


class CalibrationError(ValueError):
    """Constants that cannot be used; the text names the key, what was found and what would be
    right.
    """


def from_dict(constants, layout):
    """Calibration from a mapping with any of

    v1_nv i1_na v2_nv i2_na      size of a count, within 30 % of the board file's, and that where
                                 it is absent
    phase1_ns phase2_ns          or in the place of either
    phase1_by_ma phase2_by_ma    a table
    adc                          the converter's errors, both as in Calibration
    reference_ppb_per_k calibrated_code_q4   both or neither, and only where the board file has the
                                 sensor's slot: Calibration's reference
    board                        must then be this board's name
    id                           hexadecimal digits, as in Calibration

    Raises CalibrationError, and for no JSON value anything else.
    """
    if not isinstance(constants, dict):
        _refuse("the constants", constants, "one JSON object")
    values = nominal(layout).to_dict()
    adc = None
    for key, value in sorted(constants.items()):
        if key == "board":
            if value != layout.name:
                _refuse(key, value, repr(layout.name))
        elif key == "id":
            if not isinstance(value, str) or value.strip(_HEX) or not 0 < len(value) <= _MOST_ID:
                _refuse(key, value, "1 to {} hexadecimal digits".format(_MOST_ID))
        elif key in GAINS:
            _integer(key, value, 0, 0, values[key])
        elif key in PHASES:
            _integer(key, value, -MAX_PHASE_NS, MAX_PHASE_NS)
        elif key in TABLES:
            # Up to what clips.
            most_na = _FULL_SCALE * layout.na_per_count * (100 + GAIN_PERCENT) // 100
            _pairs(key, value, 2, 0, most_na // 1000000, -MAX_PHASE_NS, MAX_PHASE_NS)
        elif key in REFERENCE:
            if SENSOR not in layout.slots:
                _refuse(key, value, "left out: SLOTS of the board file has no " + SENSOR)
            for other in REFERENCE:
                if other not in constants:
                    _refuse(key, value, "beside " + other)
            if key == REFERENCE[0]:
                _integer(key, value, -_MOST_PPB, _MOST_PPB)
            else:
                _integer(key, value, 16 * _LEAST_CODE, 16 * _MOST_CODE)
        elif key == "adc":
            adc = value
            _check_adc(value)
        else:
            known = ("board", "id") + GAINS + PHASES + TABLES + ("adc",) + REFERENCE
            _refuse("a key", key, "one of " + ", ".join(known))
        values[key] = value
    phases = []
    for single, table in zip(PHASES, TABLES):
        if table in values:
            if single in constants:
                _refuse(single, values[single], "left out beside " + table)
            phases.append(values[table][-1][1])
        else:
            phases.append(values[single])
    return Calibration(
        (values["v1_nv"], values["v2_nv"]),
        (values["i1_na"], values["i2_na"]),
        tuple(phases),
        tuple([values.get(table) for table in TABLES]),
        adc,
        values.get("id"),
        tuple([values[key] for key in REFERENCE]) if REFERENCE[0] in values else None,
    )


def _refuse(key, found, right):
    try:
        text = repr(found)
    except Exception:
        # Nested beyond what can be shown, or an integer of thousands of digits.
        text = "beyond words"
    if len(text) > _EXCERPT:
        text = text[:_EXCERPT] + "..."
    raise CalibrationError("{} is {}; it must be {}".format(key, text, right))


def _integer(key, value, least, most, size=0):
    """Refuses what is no integer from `least` to `most`, or where there is a `size` none whose
    magnitude is near that."""
    right = "an integer, {} to {}"
    if size:
        least = -(-size * (100 - GAIN_PERCENT) // 100)
        most = size * (100 + GAIN_PERCENT) // 100
        right = "an integer of magnitude {} to {}, the board file's within 30 %"
    # bool is an int in Python, but true is no gain.
    if isinstance(value, int) and not isinstance(value, bool):
        if least <= (abs(value) if size else value) <= most:
            return
    _refuse(key, value, right.format(least, most))


def _pairs(key, rows, fewest, least1, most1, least2, most2):
    """Refuses what is no list of `fewest` to 8 pairs of integers within these limits, the first
    ones ascending."""
    if not isinstance(rows, list) or not fewest <= len(rows) <= _MAX_ROWS:
        _refuse(key, rows, "a list of {} to {} pairs of integers".format(fewest, _MAX_ROWS))
    for n, row in enumerate(rows):
        where = "{}[{}]".format(key, n)
        if not isinstance(row, list) or len(row) != 2:
            _refuse(where, row, "a pair of integers")
        _integer(where, row[0], least1, most1)
        _integer(where, row[1], least2, most2)
        if n and row[0] <= rows[n - 1][0]:
            _refuse(where, row, "above the pair before")


def _check_adc(adc):
    if not isinstance(adc, dict) or "steps" not in adc:
        _refuse("adc", adc, 'an object with "steps" and optionally "bow_q4"')
    for key, value in sorted(adc.items()):
        where = "adc " + key
        if key == "steps":
            _pairs(where, value, 0, 1, _LAST_CODE, 0, _MAX_EXCESS_Q4)
        elif key == "bow_q4":
            if not isinstance(value, list) or len(value) != _KNOTS:
                _refuse(where, value, "a list of {} integers".format(_KNOTS))
            for n, bow in enumerate(value):
                _integer("{}[{}]".format(where, n), bow, -_MAX_BOW_Q4, _MAX_BOW_Q4)
        else:
            _refuse("a key of adc", key, "steps or bow_q4")
