"""Calibration constants: what a count is worth, and how early each current is.

Flow: stored constants or the board's nominal ones -> CALIBRATION -> accumulator.  All integers, so
that energy stays exact: nanovolts and nanoamperes a count with the sign of the wiring, and per
element the nanoseconds by which its current runs ahead of its voltage.
"""

# A count of 0.001 to 2 V or A: far beyond any front end that fits 12 bits, so what is outside is a
# mistake of unit, not a design.
_MIN_GAIN = 1000000
_MAX_GAIN = 2000000000
# 500 us is 10.8 degrees at 60 Hz, and a whole frame at 2 kHz.
MAX_PHASE_NS = 500000

_GAINS = ("v1_nv", "i1_na", "v2_nv", "i2_na")
_PHASES = ("phase1_ns", "phase2_ns")


class CalibrationError(ValueError):
    """Constants that cannot be used; the text names the key, what was found and what would be
    right.
    """


class Calibration:
    """The constants of one board.

    v_nv, i_na  pairs (element 1, element 2): nV and nA per ADC count, not zero; a negative value
                turns the input round
    phase_ns    pair: time by which the current's samples are ahead of the voltage's because of the
                front end (CT lead plus divider lag); -500000..500000.  The sampler's own slot skew
                is not part of it: the accumulator adds that.
    """

    def __init__(self, v_nv, i_na, phase_ns=(0, 0)):
        self.v_nv = v_nv
        self.i_na = i_na
        self.phase_ns = phase_ns

    def to_dict(self):
        return {
            "v1_nv": self.v_nv[0],
            "i1_na": self.i_na[0],
            "v2_nv": self.v_nv[1],
            "i2_na": self.i_na[1],
            "phase1_ns": self.phase_ns[0],
            "phase2_ns": self.phase_ns[1],
        }


def nominal(layout):
    """The board file's own front end, uncalibrated."""
    return Calibration(
        (layout.nv_per_count, layout.nv_per_count), (layout.na_per_count, layout.na_per_count)
    )


def from_dict(constants, layout):
    """Calibration from a mapping with any of v1_nv, i1_na, v2_nv, i2_na, phase1_ns, phase2_ns
    (what is absent stays nominal) and optionally "board", which must then be this board's name.

    Raises CalibrationError.
    """
    if not isinstance(constants, dict):
        raise CalibrationError("the constants must be one JSON object")
    values = nominal(layout).to_dict()
    for key, value in sorted(constants.items()):
        if key == "board":
            if value != layout.name:
                raise CalibrationError(
                    "made for board {!r}, this is {!r}".format(value, layout.name)
                )
            continue
        if key not in values:
            raise CalibrationError(
                "unknown key {!r}; known are board, {}".format(key, ", ".join(_GAINS + _PHASES))
            )
        # bool is an int in Python, but true is no gain.
        if not isinstance(value, int) or isinstance(value, bool):
            raise CalibrationError("{} must be an integer, found {!r}".format(key, value))
        if key in _GAINS:
            if not _MIN_GAIN <= abs(value) <= _MAX_GAIN:
                raise CalibrationError(
                    "{} is {}; its magnitude must be {} to {}".format(
                        key, value, _MIN_GAIN, _MAX_GAIN
                    )
                )
        elif abs(value) > MAX_PHASE_NS:
            raise CalibrationError(
                "{} is {}; it must be {} to {}".format(key, value, -MAX_PHASE_NS, MAX_PHASE_NS)
            )
        values[key] = value
    return Calibration(
        (values["v1_nv"], values["v2_nv"]),
        (values["i1_na"], values["i2_na"]),
        (values["phase1_ns"], values["phase2_ns"]),
    )
