"""Calibration constants: what a count is worth, how early each current is, the converter's errors.

Flow: stored constants or the board's nominal ones -> CALIBRATION -> accumulator.  All integers, so
that energy stays exact: nanovolts and nanoamperes a count with the sign of the wiring, and per
element the nanoseconds by which its current runs ahead of its voltage.
"""

from micropython import const

from threewire.metering.intmath import nearest
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

_GAINS = ("v1_nv", "i1_na", "v2_nv", "i2_na")
_PHASES = ("phase1_ns", "phase2_ns")
_TABLES = ("phase1_by_ma", "phase2_by_ma")
_REFERENCE = ("reference_ppb_per_k", "calibrated_code_q4")


class CalibrationError(ValueError):
    """Constants that cannot be used; the text names the key, what was found and what would be
    right.
    """


class Calibration:
    """The constants of one board.

    v_nv, i_na   pairs (element 1, element 2): nV and nA per ADC count, not zero; a negative value
                 turns the input round
    phase_ns     pair: time by which the current's samples are ahead of the voltage's because of
                 the front end (CT lead plus divider lag); -500000..500000.  The sampler's own slot
                 skew is not part of it: the accumulator adds that.  Where there is a table, its
                 value at the highest current
    phase_by_ma  pair: the same by current, None or 2 to 8 rows [milliamps, nanoseconds], ascending
    adc          None, or the converter's errors: {"steps": [[code, excess width in 1/16 count],
                 ...], optionally "bow_q4": [17 corrections in 1/16 count]}
    reference    None, or (parts per billion by which the converter's reference rises with each
                 kelvin, mean code of the chip's temperature sensor at calibration in 1/16 count):
                 v_nv and i_na, which are of that temperature, then follow it
    id           None, or the identity of the very board that they are for: metering does not ask
    """

    def __init__(
        self,
        v_nv,
        i_na,
        phase_ns=(0, 0),
        phase_by_ma=(None, None),
        adc=None,
        id=None,
        reference=None,
    ):
        self.v_nv = v_nv
        self.i_na = i_na
        self.phase_ns = phase_ns
        self.phase_by_ma = phase_by_ma
        self.adc = adc
        self.id = id
        self.reference = reference

    def phase_at(self, k, amps_ua):
        """Nanoseconds by which the current of element k + 1 runs ahead at `amps_ua` (rms, 0 or
        more): between two rows of its table in proportion, beyond them the nearest one's.
        """
        rows = self.phase_by_ma[k]
        if not rows:
            return self.phase_ns[k]
        below, ns_below = rows[0]
        for ma, ns in rows:
            if amps_ua <= ma * 1000:
                if ma == below:
                    return ns
                rise = (ns - ns_below) * (amps_ua - below * 1000)
                return ns_below + nearest(rise, (ma - below) * 1000)
            below, ns_below = ma, ns
        return ns_below

    def to_dict(self):
        """The mapping that `from_dict` makes this of; optional keys only where they are used."""
        values = {}
        for k in (0, 1):
            values[_GAINS[2 * k]] = self.v_nv[k]
            values[_GAINS[2 * k + 1]] = self.i_na[k]
            if self.phase_by_ma[k]:
                values[_TABLES[k]] = self.phase_by_ma[k]
            else:
                values[_PHASES[k]] = self.phase_ns[k]
        if self.adc:
            values["adc"] = self.adc
        if self.reference:
            values.update(zip(_REFERENCE, self.reference))
        if self.id:
            values["id"] = self.id
        return values


def nominal(layout):
    """The board file's own front end, uncalibrated."""
    return Calibration(
        (layout.nv_per_count, layout.nv_per_count), (layout.na_per_count, layout.na_per_count)
    )


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
        elif key in _GAINS:
            _integer(key, value, 0, 0, values[key])
        elif key in _PHASES:
            _integer(key, value, -MAX_PHASE_NS, MAX_PHASE_NS)
        elif key in _TABLES:
            # Up to what clips.
            most_na = _FULL_SCALE * layout.na_per_count * (100 + GAIN_PERCENT) // 100
            _pairs(key, value, 2, 0, most_na // 1000000, -MAX_PHASE_NS, MAX_PHASE_NS)
        elif key in _REFERENCE:
            if SENSOR not in layout.slots:
                _refuse(key, value, "left out: SLOTS of the board file has no " + SENSOR)
            for other in _REFERENCE:
                if other not in constants:
                    _refuse(key, value, "beside " + other)
            if key == _REFERENCE[0]:
                _integer(key, value, -_MOST_PPB, _MOST_PPB)
            else:
                _integer(key, value, 16 * _LEAST_CODE, 16 * _MOST_CODE)
        elif key == "adc":
            adc = value
            _check_adc(value)
        else:
            known = ("board", "id") + _GAINS + _PHASES + _TABLES + ("adc",) + _REFERENCE
            _refuse("a key", key, "one of " + ", ".join(known))
        values[key] = value
    phases = []
    for single, table in zip(_PHASES, _TABLES):
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
        tuple([values.get(table) for table in _TABLES]),
        adc,
        values.get("id"),
        tuple([values[key] for key in _REFERENCE]) if _REFERENCE[0] in values else None,
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
